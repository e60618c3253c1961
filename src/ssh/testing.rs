//! Values for this room's own tests.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};

use super::{HostKeyCheck, KEEPALIVE_INTERVAL, PARALLEL_MAX, Settings};
use crate::model::{ClusterId, Mib, NodeId, NodeInfo, VmId, VmInfo};

pub fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

pub fn settings() -> Settings {
    Settings {
        username: "monitor".into(),
        private_key: None,
        password: Some("secret".into()),
        agent: None,
        timeout: Duration::from_secs(10),
        interval: Duration::from_secs(600),
        hosts: BTreeMap::new(),
        known_hosts: "/nonexistent/known_hosts".into(),
        learned_hosts: "/nonexistent/learned_hosts".into(),
        host_key_check: HostKeyCheck::Strict,
        parallel_max: PARALLEL_MAX,
        keepalive: KEEPALIVE_INTERVAL,
    }
}

pub fn node(id: u64, name: &str) -> NodeInfo {
    NodeInfo::new(NodeId(id), name, ClusterId(1)).with_cpu(32, 64).with_memory(Mib(262_144), Mib(131_072))
}

pub fn vm(id: u64, name: &str, node: u64) -> VmInfo {
    VmInfo::new(VmId(id), name, NodeId(node), 4, Mib(8192))
}
