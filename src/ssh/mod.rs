//! What nodes measure of themselves, over SSH: load, memory, pressure, and each VM's share.
//!
//! [`SshMonitor::measure`] asks, [`Round::apply_to`] puts the answers into a snapshot. Host keys are checked
//! here and by nobody else. Knows the nouns and the clock; not what the numbers are used for.
//!
//! On the node nothing is installed and no right is needed but to log in and run `sh`: load, memory and
//! pressure are world-readable, and so are the CPU times of other users' processes. Where `/proc` is mounted
//! with `hidepid`, libvirt's read-only socket is asked with `virsh`; where that is closed too, the node has a
//! load but its VMs have no share of it.

mod auth;
mod command;
mod connection;
mod credentials;
mod host_keys;
mod monitor;
mod parse;
mod reading;
mod settings;
#[cfg(test)]
mod testing;

pub use host_keys::Known;
pub use monitor::{HostKeyAlarm, Probe, Round, SshMonitor};
pub use reading::Reading;
pub use settings::{HostKeyCheck, HostPort, KeyFile, Settings};

pub use crate::model::ssh::{SshError, SshFailure};
use crate::model::{
    NodeInfo,
    ssh::{KnownLine, Phase},
};

/// Looks at every node for `vm-balancer check`: its fingerprint, whether that is known, whether the login and
/// the reading work. Keeps no connection and learns no key.
pub async fn probe(monitor: &SshMonitor, nodes: &[NodeInfo]) -> Vec<Probe> {
    monitor.probe(nodes).await
}
