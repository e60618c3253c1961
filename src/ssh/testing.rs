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
    NodeInfo {
        id: NodeId(id),
        name: name.into(),
        cluster: ClusterId(1),
        cpu_total: Some(32),
        cpu_used: Some(64),
        memory_total: Some(Mib(262_144)),
        memory_used: Some(Mib(131_072)),
        vm_count: 0,
        vm_limit: None,
        maintenance: false,
        vm_creation_allowed: true,
        qemu_version: None,
        load: None,
        state: "active".into(),
        address: None,
        ssh_port: None,
    }
}

pub fn vm(id: u64, name: &str, node: u64) -> VmInfo {
    VmInfo {
        id: VmId(id),
        name: name.into(),
        node: NodeId(node),
        cpu_cores: 4,
        memory: Mib(8192),
        state: "active".into(),
        blocked_by: Vec::new(),
        disk: None,
        measured: None,
        host_passthrough: false,
    }
}
