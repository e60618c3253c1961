//! The simulated platform as plain data, and how to describe one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Block, ClusterId, Mib, NodeFault, NodeId, Snapshot, VmId};

/// A platform: clusters of nodes with VMs on them.
///
/// ```
/// use vm_balancer::sandbox::vmmanager::{SimNode, SimVm, World};
///
/// let world = World::builder()
///     .cluster("msk")
///     .node(SimNode::new("kvm-01").cores(32).gib(256))
///     .vms(3, &SimVm::new("web").cores(4).gib(64))
///     .vm(SimVm::new("db").gib(16).with_snapshots(2))
///     .node(SimNode::new("kvm-02"))
///     .build();
/// assert_eq!(world.node("kvm-01").unwrap().memory_percent(), 81.25);
/// assert_eq!(world.vm("web-2").unwrap().node, world.node("kvm-01").unwrap().id);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct World {
    pub clusters: BTreeMap<ClusterId, SimCluster>,
    pub nodes: BTreeMap<NodeId, SimNode>,
    pub vms: BTreeMap<VmId, SimVm>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimCluster {
    pub id: ClusterId,
    pub name: String,
    /// `kvm` or `lxd`.
    pub virtualization: String,
    /// VMmanager's word for the main storage, e.g. `file`, `lvm`, `ceph`.
    pub storage: String,
    /// Says `balancer_enabled: true` in the cluster's row.
    pub builtin_balancer: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimNode {
    pub id: NodeId,
    pub name: String,
    pub cluster: ClusterId,
    pub cores: u32,
    #[serde(rename = "memory_mib")]
    pub memory: Mib,
    /// vCPUs of its VMs; the simulator updates it.
    pub vcpus_used: u32,
    /// Memory of its VMs; the simulator updates it.
    #[serde(rename = "memory_used_mib")]
    pub memory_used: Mib,
    /// The count of its VMs; the simulator updates it.
    pub vm_count: u32,
    pub vm_limit: Option<u32>,
    pub maintenance: bool,
    pub creation_blocked: bool,
    pub qemu_version: String,
    pub kernel_version: String,
    pub os_version: String,
    #[serde(rename = "disk_free_mib")]
    pub disk_free: Mib,
    /// `libvirt_error`; empty for none.
    pub libvirt_error: String,
    pub ha_error: String,
    pub state: String,
    pub address: String,
    pub ssh_port: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimVm {
    pub id: VmId,
    pub name: String,
    pub node: NodeId,
    pub cores: u32,
    #[serde(rename = "memory_mib")]
    pub memory: Mib,
    #[serde(rename = "disk_mib")]
    pub disk: Mib,
    pub state: String,
    pub iso_mounted: bool,
    pub snapshots: u32,
    /// E.g. `on`, `off`.
    pub balancer_mode: String,
    pub rescue_mode: bool,
    pub vm5_restricted: bool,
    pub cpu_mode: String,
    pub nesting: bool,
}

impl World {
    /// Starts the description of a world.
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// A cluster of three nodes with 64 GiB each, the first 75 % full of eight-GiB VMs, the others a quarter.
    #[must_use]
    pub fn small() -> Self {
        let node = |name| SimNode::new(name).cores(16).gib(64);
        let web = SimVm::new("web").cores(2).gib(8);
        Self::builder()
            .cluster("msk")
            .node(node("kvm-01"))
            .vms(6, &web)
            .node(node("kvm-02"))
            .vms(2, &SimVm { name: "db".into(), ..web.clone() })
            .node(node("kvm-03"))
            .vms(2, &SimVm { name: "mail".into(), ..web })
            .build()
    }

    /// A world made from a snapshot, e.g. one from a bug report.
    #[must_use]
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        let clusters = snapshot.clusters.iter().map(|cluster| {
            let storage = if cluster.local_storage == Some(false) { "ceph" } else { "file" };
            let virtualization = cluster.virtualization.clone().unwrap_or_else(|| "kvm".into());
            let builtin_balancer = cluster.builtin_balancer.is_some();
            let (id, name) = (cluster.id, cluster.name.clone());
            (id, SimCluster { id, name, virtualization, storage: storage.into(), builtin_balancer })
        });
        let nodes = snapshot.nodes.iter().map(|node| {
            let new = SimNode::new(&node.name);
            let error = |fault: NodeFault, none: &str| {
                if node.faults.contains(&fault) { "out of order".to_owned() } else { none.to_owned() }
            };
            let sim = SimNode {
                id: node.id,
                cluster: node.cluster,
                cores: node.cpu_total.unwrap_or(new.cores),
                memory: node.memory_total.unwrap_or(new.memory),
                vm_limit: node.vm_limit,
                maintenance: node.maintenance,
                creation_blocked: !node.vm_creation_allowed,
                qemu_version: node.qemu_version.as_ref().map_or(String::new(), ToString::to_string),
                kernel_version: node.kernel_version.as_ref().map_or(new.kernel_version, ToString::to_string),
                os_version: node.os_version.clone().unwrap_or(new.os_version),
                disk_free: node.storage_available.unwrap_or(new.disk_free),
                libvirt_error: error(NodeFault::Libvirt, ""),
                ha_error: error(NodeFault::Ha, "no_error"),
                state: node.state.to_string(),
                address: node.address.clone().unwrap_or(new.address.clone()),
                ssh_port: node.ssh_port.unwrap_or(new.ssh_port),
                vcpus_used: 0,
                memory_used: Mib(0),
                vm_count: 0,
                name: new.name,
            };
            (node.id, sim)
        });
        let vms = snapshot.vms.iter().map(|vm| {
            let blocked = |block: &Block| vm.blocked_by.contains(block);
            let new = SimVm::new(&vm.name);
            let sim = SimVm {
                id: vm.id,
                node: vm.node,
                cores: vm.cpu_cores,
                memory: vm.memory,
                disk: vm.disk.unwrap_or(new.disk),
                state: vm.state.to_string(),
                iso_mounted: blocked(&Block::Iso),
                snapshots: u32::from(blocked(&Block::Snapshots)),
                balancer_mode: if blocked(&Block::BalancerMode) { "off".into() } else { new.balancer_mode },
                rescue_mode: blocked(&Block::Rescue),
                vm5_restricted: blocked(&Block::Vm5Restrictions),
                cpu_mode: if vm.host_passthrough { "host-passthrough".into() } else { new.cpu_mode },
                nesting: blocked(&Block::Nesting),
                name: new.name,
            };
            (vm.id, sim)
        });
        Self { clusters: clusters.collect(), nodes: nodes.collect(), vms: vms.collect() }.counted()
    }

    /// Returns the first node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&SimNode> {
        self.nodes.values().find(|node| node.name == name)
    }

    /// Returns the first VM of that name.
    #[must_use]
    pub fn vm(&self, name: &str) -> Option<&SimVm> {
        self.vms.values().find(|vm| vm.name == name)
    }

    /// Returns the VMs on a node, by id.
    pub fn vms_on(&self, node: NodeId) -> impl Iterator<Item = &SimVm> {
        self.vms.values().filter(move |vm| vm.node == node)
    }

    /// Returns the nodes whose allocated memory is strictly above a threshold in percent.
    #[must_use]
    pub fn nodes_above(&self, memory_percent: f64) -> Vec<NodeId> {
        self.nodes
            .values()
            .filter(|node| node.memory_percent() > memory_percent)
            .map(|node| node.id)
            .collect()
    }

    /// Updates each node's counters from its VMs.
    pub(super) fn counted(mut self) -> Self {
        for node in self.nodes.values_mut() {
            (node.vcpus_used, node.memory_used, node.vm_count) = (0, Mib(0), 0);
        }
        for vm in self.vms.values() {
            if let Some(node) = self.nodes.get_mut(&vm.node) {
                node.gain(vm);
            }
        }
        self
    }

    pub(super) fn cluster_of(&self, vm: &SimVm) -> Option<&SimCluster> {
        self.clusters.get(&self.nodes.get(&vm.node)?.cluster)
    }
}

/// Describes a world from top to bottom: nodes go to the cluster above, VMs to the node above.
///
/// Ids count up from 1 for clusters, 10 for nodes and 1000 for VMs, in the order of the description.
#[derive(Clone, Debug, Default)]
pub struct WorldBuilder {
    world: World,
    cluster: Option<ClusterId>,
    node: Option<NodeId>,
}

impl WorldBuilder {
    /// Adds a KVM cluster with local storage.
    #[must_use]
    pub fn cluster(self, name: &str) -> Self {
        self.cluster_as(|_| {}, name)
    }

    /// Adds a cluster with something unusual about it.
    #[must_use]
    pub fn cluster_as(mut self, change: impl FnOnce(&mut SimCluster), name: &str) -> Self {
        let id = ClusterId(self.world.clusters.len() as u64 + 1);
        let mut cluster = SimCluster {
            id,
            name: name.into(),
            virtualization: "kvm".into(),
            storage: "file".into(),
            builtin_balancer: false,
        };
        change(&mut cluster);
        self.world.clusters.insert(id, cluster);
        self.cluster = Some(id);
        self
    }

    /// Adds a node to the cluster above; one named `main` where there is none.
    #[must_use]
    pub fn node(self, node: SimNode) -> Self {
        let Some(cluster) = self.cluster else { return self.cluster("main").node(node) };
        let mut this = self;
        let id = NodeId(this.world.nodes.len() as u64 + 10);
        let address = format!("192.0.2.{}", id.0 % 250);
        this.world.nodes.insert(id, SimNode { id, cluster, address, ..node });
        this.node = Some(id);
        this
    }

    /// Adds a VM to the node above; a plain node where there is none.
    #[must_use]
    pub fn vm(self, vm: SimVm) -> Self {
        let Some(node) = self.node else { return self.node(SimNode::new("node-01")).vm(vm) };
        let mut this = self;
        let id = VmId(this.world.vms.len() as u64 + 1000);
        this.world.vms.insert(id, SimVm { id, node, ..vm });
        this
    }

    /// Adds `count` VMs alike to the node above, named `web-1`, `web-2`, ….
    #[must_use]
    pub fn vms(self, count: usize, like: &SimVm) -> Self {
        (1..=count)
            .fold(self, |this, n| this.vm(SimVm { name: format!("{}-{n}", like.name), ..like.clone() }))
    }

    /// Ends the description.
    #[must_use]
    pub fn build(self) -> World {
        self.world.counted()
    }
}

impl SimNode {
    /// A node of 32 cores and 256 GiB, open to VMs.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            id: NodeId(0),
            name: name.into(),
            cluster: ClusterId(0),
            cores: 32,
            memory: Mib(256 * 1024),
            vcpus_used: 0,
            memory_used: Mib(0),
            vm_count: 0,
            vm_limit: None,
            maintenance: false,
            creation_blocked: false,
            qemu_version: "7.2.0".into(),
            kernel_version: "5.14.0-362.el9.x86_64".into(),
            os_version: "AlmaLinux 9.3".into(),
            disk_free: Mib(2_100_000),
            libvirt_error: String::new(),
            ha_error: "no_error".into(),
            state: "active".into(),
            address: "192.0.2.1".into(),
            ssh_port: 22,
        }
    }

    #[must_use]
    pub fn cores(self, cores: u32) -> Self {
        Self { cores, ..self }
    }

    #[must_use]
    pub fn gib(self, gib: u64) -> Self {
        Self { memory: Mib(gib * 1024), ..self }
    }

    /// Limits the number of VMs.
    #[must_use]
    pub fn limit(self, vms: u32) -> Self {
        Self { vm_limit: Some(vms), ..self }
    }

    #[must_use]
    pub fn in_maintenance(self) -> Self {
        Self { maintenance: true, ..self }
    }

    /// Closed to new VMs.
    #[must_use]
    pub fn closed(self) -> Self {
        Self { creation_blocked: true, ..self }
    }

    #[must_use]
    pub fn qemu(self, version: &str) -> Self {
        Self { qemu_version: version.into(), ..self }
    }

    /// Returns the share of its memory that is allocated, in percent.
    #[must_use]
    pub fn memory_percent(&self) -> f64 {
        self.memory_used.percent_of(self.memory)
    }

    pub(super) fn gain(&mut self, vm: &SimVm) {
        self.vcpus_used += vm.cores;
        self.memory_used += vm.memory;
        self.vm_count += 1;
    }

    pub(super) fn lose(&mut self, vm: &SimVm) {
        self.vcpus_used = self.vcpus_used.saturating_sub(vm.cores);
        self.memory_used = self.memory_used.saturating_sub(vm.memory);
        self.vm_count = self.vm_count.saturating_sub(1);
    }
}

impl SimVm {
    /// A running VM of 2 vCPUs and 4 GiB with a disk of 40 GiB.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            id: VmId(0),
            name: name.into(),
            node: NodeId(0),
            cores: 2,
            memory: Mib(4 * 1024),
            disk: Mib(40 * 1024),
            state: "active".into(),
            iso_mounted: false,
            snapshots: 0,
            balancer_mode: "on".into(),
            rescue_mode: false,
            vm5_restricted: false,
            cpu_mode: "host-model".into(),
            nesting: false,
        }
    }

    #[must_use]
    pub fn cores(self, cores: u32) -> Self {
        Self { cores, ..self }
    }

    #[must_use]
    pub fn gib(self, gib: u64) -> Self {
        Self { memory: Mib(gib * 1024), ..self }
    }

    #[must_use]
    pub fn stopped(self) -> Self {
        Self { state: "stopped".into(), ..self }
    }

    #[must_use]
    pub fn with_iso(self) -> Self {
        Self { iso_mounted: true, ..self }
    }

    #[must_use]
    pub fn with_snapshots(self, snapshots: u32) -> Self {
        Self { snapshots, ..self }
    }

    #[must_use]
    pub fn balancer_off(self) -> Self {
        Self { balancer_mode: "off".into(), ..self }
    }

    /// Returns why it cannot be migrated live. `balancer_mode` does not forbid a migration, so it does not count.
    pub(super) fn held_by(&self) -> Option<&'static str> {
        let checks = [
            (self.state != "active", "it is not running"),
            (self.iso_mounted, "an ISO image is mounted"),
            (self.snapshots > 0, "it has snapshots"),
            (self.rescue_mode, "it is in rescue mode"),
            (self.vm5_restricted, "it was imported with restrictions"),
        ];
        checks.into_iter().find_map(|(holds, why)| holds.then_some(why))
    }
}
