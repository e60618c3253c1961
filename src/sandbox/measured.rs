//! Nodes that measure themselves: an SSH server for each, which answers with the simulated load of its node.

use std::{collections::BTreeMap, fmt::Write as _, io, path::Path};

use super::{
    scenario::Life,
    ssh::{Door, SimLoad, SimNode, SimVm},
    vmmanager::{self, World},
};
use crate::model::{Mib, NodeId};

/// Whether the bot asks nodes for their load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ssh {
    On,
    Off,
    /// For small worlds only, where it costs little.
    #[default]
    Auto,
}

/// More nodes than this are asked only on demand: each has a server, a connection and an answer every cycle.
const AUTO_NODES_MAX: usize = 60;
/// The share of their memory that guests really use, in percent.
const MEMORY_TOUCHED_PERCENT: u64 = 80;
/// Memory that the node itself uses.
const MEMORY_OF_NODE: Mib = Mib(2048);
/// Where the bot finds the nodes' host keys, in its folder; its own list of learned keys has another name.
const KNOWN_HOSTS: &str = "sandbox_known_hosts";

impl Ssh {
    /// Returns whether nodes are measured in a world with this many.
    pub(super) fn is_on(self, nodes: usize) -> bool {
        match self {
            Self::On => true,
            Self::Off => false,
            Self::Auto => nodes <= AUTO_NODES_MAX,
        }
    }
}

/// The nodes' SSH servers; they end when this is dropped.
#[derive(Default)]
pub(super) struct MeasuredNodes(BTreeMap<NodeId, SimNode>);

impl MeasuredNodes {
    /// Starts a server for each node of a world, and gives the node its address.
    ///
    /// # Errors
    /// When there are no ports left.
    pub(super) async fn start(world: &mut World) -> io::Result<Self> {
        let mut servers = BTreeMap::new();
        for node in world.nodes.values_mut() {
            let server = SimNode::start(SimLoad::default()).await?;
            node.address = server.address().ip().to_string();
            node.ssh_port = server.address().port();
            servers.insert(node.id, server);
        }
        Ok(Self(servers))
    }

    /// Updates the load of each node's server.
    pub(super) fn feed(&self, world: &World, life: &Life) {
        if self.0.is_empty() {
            return;
        }
        let mut vms: BTreeMap<NodeId, Vec<&vmmanager::SimVm>> = BTreeMap::new();
        for vm in world.vms.values().filter(|vm| vm.state == "active") {
            vms.entry(vm.node).or_default().push(vm);
        }
        for (id, server) in &self.0 {
            if let Some(node) = world.nodes.get(id) {
                server.set_load(load(node, vms.get(id).map_or(&[], Vec::as_slice), life));
            }
        }
    }

    /// Returns the bot's variables for them, and writes down their host keys.
    ///
    /// # Errors
    /// When the file with the host keys cannot be written.
    pub(super) fn variables(&self, data_dir: &Path) -> io::Result<Vec<(&'static str, String)>> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let known_hosts = data_dir.join(KNOWN_HOSTS);
        let lines = self.0.values().fold(String::new(), |mut lines, server| {
            // Writing to a text cannot fail.
            let _ = write!(lines, "{}", server.known_hosts_line());
            lines
        });
        std::fs::write(&known_hosts, lines)?;
        let door = Door::default();
        Ok(vec![
            ("SSH_ENABLED", "true".to_owned()),
            ("SSH_USERNAME", door.username),
            ("SSH_PASSWORD", door.password.unwrap_or_default()),
            ("SSH_KNOWN_HOSTS", known_hosts.display().to_string()),
        ])
    }
}

fn load(node: &vmmanager::SimNode, vms: &[&vmmanager::SimVm], life: &Life) -> SimLoad {
    let cores = |vm: &vmmanager::SimVm| life.cores_busy(vm);
    let busy: f64 = vms.iter().map(|vm| cores(vm)).sum();
    let waiting = (busy / f64::from(node.cores.max(1)) - 1.0).max(0.0) * 100.0;
    SimLoad {
        // The averages follow at once, so that a viewer need not wait for five minutes.
        load: [busy; 3],
        cpus: node.cores,
        memory_total: node.memory,
        memory_used: Mib(node.memory_used.0 * MEMORY_TOUCHED_PERCENT / 100) + MEMORY_OF_NODE,
        cpu_pressure: Some(waiting.min(99.0)),
        memory_pressure: Some(0.0),
        io_pressure: Some(0.0),
        vms: vms
            .iter()
            .map(|vm| SimVm { domain: format!("{}_{}", vm.id, vm.name), cores: cores(vm) })
            .collect(),
    }
}
