//! The row of a VM, which becomes a VM while the list is read: of 50,000 rows nobody keeps more than that.

use serde::Deserialize;

use super::{
    guard::{Guard, OptOut, Permission, Restrictions},
    plain::{Mixed, OfWord, Plain, Word},
    rows::{Amounts, Kept, Row},
};
use crate::model::{Block, Mib, NodeId, VmId, VmInfo, VmState};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::vmmanager) struct HostRow {
    id: Plain,
    name: Plain,
    state: Word<State>,
    node: Mixed<NodeOfHost>,
    cluster: Mixed<ClusterOfHost>,
    cpu_number: Mixed<Amounts>,
    cpu: Mixed<Amounts>,
    ram_mib: Mixed<Amounts>,
    disk: Mixed<Disk>,
    snapshot_count: Guard,
    iso_mounted: Guard,
    rescue_mode: Guard,
    balancer_mode: OptOut,
    cpu_mode: Word<HostPassthrough>,
    nesting: Guard,
    vm5_restrictions: Restrictions,
    /// What could not be read of the row, where a part of it is damaged.
    #[serde(skip)]
    damage: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeOfHost {
    id: Plain,
    maintenance_mode: Guard,
    live_migration_allowed: Permission,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ClusterOfHost {
    id: Plain,
    virtualization_type: Word<Virtualization>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Disk {
    disk_mib: Plain,
}

/// A VM as its row has it, with what the row says besides.
#[derive(Debug)]
pub(in crate::vmmanager) struct HostSeen {
    /// Its node is 0 where the row names none.
    vm: VmInfo,
    /// 0 where the row names none.
    cluster: u64,
    /// The kind of virtualization, where it is not KVM.
    pub virtualization: Option<Box<str>>,
    /// The row says that the node is in maintenance.
    pub maintenance: bool,
    /// The fields that could not be read.
    pub damage: Vec<String>,
}

impl HostSeen {
    pub(crate) fn node(&self) -> Option<u64> {
        Some(self.vm.node.0).filter(|node| *node > 0)
    }

    pub(crate) fn cluster(&self) -> Option<u64> {
        Some(self.cluster).filter(|cluster| *cluster > 0)
    }

    pub(crate) fn state(&self) -> &VmState {
        &self.vm.state
    }

    /// Returns its size; a part that is not known is 0.
    pub(crate) fn size(&self) -> (u32, Mib) {
        (self.vm.cpu_cores, self.vm.memory)
    }

    /// Returns the VM; `None` where the row names no node.
    pub(crate) fn into_vm(self) -> Option<VmInfo> {
        self.node().is_some().then_some(self.vm)
    }
}

impl Kept for HostSeen {
    fn id(&self) -> Option<u64> {
        Some(self.vm.id.0).filter(|id| *id > 0)
    }

    fn contradicts(&self, other: &Self) -> bool {
        let says =
            |seen: &Self| (seen.vm.node, seen.size(), seen.vm.state.clone(), seen.vm.blocked_by.clone());
        says(self) != says(other)
    }

    fn doubt(&mut self) {
        self.damage.push("id".to_owned());
        self.vm.blocked_by.push(Block::Unreadable);
    }
}

impl Row for HostRow {
    type Kept = HostSeen;

    fn into_kept(self) -> HostSeen {
        let id = self.id.id().unwrap_or(0);
        let node = self.node.object.as_ref().map_or_else(|| self.node.plain.id(), |node| node.id.id());
        let cluster =
            self.cluster.object.as_ref().map_or_else(|| self.cluster.plain.id(), |cluster| cluster.id.id());
        let vm = VmInfo {
            id: VmId(id),
            node: NodeId(node.unwrap_or(0)),
            cpu_cores: self.vcpus().unwrap_or(0),
            memory: self.memory().unwrap_or_default(),
            blocked_by: self.blocks(),
            disk: self.disk.object.as_ref().and_then(|disk| disk.disk_mib.whole()).map(Mib),
            measured: None,
            host_passthrough: self.cpu_mode.0.0,
            name: self.name.into_text().unwrap_or_else(|| format!("#{id}")),
            state: self.state.0.0,
        };
        HostSeen {
            vm,
            cluster: cluster.unwrap_or(0),
            virtualization: self.cluster.object.and_then(|cluster| cluster.virtualization_type.0.0),
            maintenance: self.node.object.is_some_and(|node| node.maintenance_mode.is_yes()),
            damage: self.damage,
        }
    }

    fn note_damage(&mut self, fields: Vec<String>) {
        self.damage = fields;
    }
}

impl HostRow {
    fn vcpus(&self) -> Option<u32> {
        self.cpu_number.small_amount().or_else(|| self.cpu.small_amount()).filter(|vcpus| *vcpus > 0)
    }

    fn memory(&self) -> Option<Mib> {
        self.ram_mib.amount().filter(|mib| *mib > 0).map(Mib)
    }

    fn blocks(&self) -> Vec<Block> {
        // Nobody can make room for an unknown size.
        let sized = self.vcpus().is_some() && self.memory().is_some();
        let denies = |node: &NodeOfHost| node.live_migration_allowed == Permission::Denied;
        let checks = [
            (self.iso_mounted.is_yes(), Block::Iso),
            (self.snapshot_count.is_yes(), Block::Snapshots),
            (self.balancer_mode == OptOut::Out, Block::BalancerMode),
            (self.rescue_mode.is_yes(), Block::Rescue),
            (self.vm5_restrictions.any, Block::Vm5Restrictions),
            (self.node.object.as_ref().is_some_and(denies), Block::NodeForbids),
            (self.nesting.is_yes(), Block::Nesting),
            (!sized, Block::UnknownSize),
            (!self.damage.is_empty(), Block::Unreadable),
        ];
        let holding = checks.iter().filter(|(holds, _)| *holds).count();
        // A list that grows has room for four, and these are kept.
        let mut blocks = Vec::with_capacity(holding);
        blocks.extend(checks.into_iter().filter_map(|(holds, block)| holds.then_some(block)));
        blocks
    }
}

#[derive(Clone, Debug)]
struct State(VmState);

impl Default for State {
    fn default() -> Self {
        Self(VmState::Unknown)
    }
}

impl OfWord for State {
    fn of(word: Option<&str>) -> Self {
        Self(word.map_or(VmState::Unknown, VmState::from))
    }
}

#[derive(Clone, Debug, Default)]
struct HostPassthrough(bool);

impl OfWord for HostPassthrough {
    fn of(word: Option<&str>) -> Self {
        Self(word.is_some_and(|mode| mode.eq_ignore_ascii_case("host-passthrough")))
    }
}

/// The kind of virtualization, where it is not KVM: all VMs of a cluster are of one kind.
#[derive(Clone, Debug, Default)]
struct Virtualization(Option<Box<str>>);

impl OfWord for Virtualization {
    fn of(word: Option<&str>) -> Self {
        Self(word.filter(|kind| !kind.eq_ignore_ascii_case(KVM)).map(Box::from))
    }
}

/// The kind of virtualization that is balanced.
pub(in crate::vmmanager) const KVM: &str = "kvm";
