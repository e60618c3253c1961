//! Values for this room's own tests.

use chrono::{DateTime, Utc};

use super::Settings;
use crate::model::{ClusterId, Mib, NodeId, NodeInfo, VmId, VmInfo};

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

pub(crate) fn settings() -> Settings {
    Settings {
        username: "monitor".into(),
        password: Some("secret".into()),
        ..Settings::new("/nonexistent/known_hosts".into(), "/nonexistent/learned_hosts".into())
    }
}

pub(crate) fn node(id: u64, name: &str) -> NodeInfo {
    NodeInfo::new(NodeId(id), name, ClusterId(1)).with_cpu(32, 64).with_memory(Mib(262_144), Mib(131_072))
}

pub(crate) fn vm(id: u64, name: &str, node: u64) -> VmInfo {
    VmInfo::new(VmId(id), name, NodeId(node), 4, Mib(8192))
}
