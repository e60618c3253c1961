//! A platform at one moment, and the file format it is saved in.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    ClusterId, Flaw, KernelVersion, Mib, NodeFault, NodeId, NodeState, QemuVersion, Unmeasured, VmId,
    VmState, WhyUnmeasured,
};

/// The version of the snapshot file that this program writes, and the newest it reads.
const SNAPSHOT_VERSION: u32 = 1;

/// Everything the planner knows of a platform. Holds no secret and no client's e-mail.
///
/// ```
/// use vm_balancer::model::Snapshot;
///
/// let text = r#"{"version": 1, "taken_at": "2026-11-23T20:15:00Z",
///   "clusters": [{"id": 1, "name": "msk"}],
///   "nodes": [{"id": 10, "name": "node-001", "cluster": 1, "cpu_total": 32, "cpu_used": 64,
///              "memory_total_mib": 262144, "memory_used_mib": 131072, "vm_count": 1, "vm_limit": 0,
///              "maintenance": false, "vm_creation_allowed": true, "qemu_version": "7.2.0", "load": null}],
///   "vms": [{"id": 1000, "name": "web-1", "node": 10, "cpu_cores": 4, "memory_mib": 8192,
///            "state": "active", "can_migrate": true, "blocked_by": []}]}"#;
/// let snapshot = Snapshot::from_json(text)?;
/// assert_eq!(snapshot.vms[0].memory.gib(), 8.0);
/// # Ok::<(), vm_balancer::model::ReadSnapshotError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version of the file's form, 1 so far; a higher one is refused.
    pub version: u32,
    /// When VMmanager's lists were read (UTC). The planner takes it for the present.
    pub taken_at: DateTime<Utc>,
    /// Every cluster that VMmanager shows, by ascending id.
    pub clusters: Vec<ClusterInfo>,
    /// The nodes of all clusters.
    pub nodes: Vec<NodeInfo>,
    /// The VMs on all nodes.
    pub vms: Vec<VmInfo>,
    /// Migrations that run and that this bot did not order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<ForeignMigration>,
    /// Nodes that gave no reading when they were asked last; an earlier one may still be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmeasured: Vec<Unmeasured>,
}

/// A cluster: nodes among which VMs may migrate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// VMmanager's number of the cluster.
    pub id: ClusterId,
    /// Its name in VMmanager; `#` and the number where the list lacks it.
    pub name: String,
    /// `kvm`, `lxd`, …; only KVM is balanced, and what is not said counts as KVM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtualization: Option<String>,
    /// Whether the disks must be copied with a VM; `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_storage: Option<bool>,
    /// Why this picture of the cluster must not be acted on; empty for a whole picture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<Flaw>,
    /// A true value under a key with `balanc` in it: VMmanager's own balancer may be on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin_balancer: Option<String>,
}

impl ClusterInfo {
    /// A cluster of which nothing but id and name is known.
    pub fn new(id: ClusterId, name: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            virtualization: None,
            local_storage: None,
            incomplete: Vec::new(),
            builtin_balancer: None,
        }
    }
}

/// A node: the physical machine that VMs run on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// VMmanager's number of the node.
    pub id: NodeId,
    /// Its name in VMmanager.
    pub name: String,
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Cores; `None` where the server did not say, and then the node is neither source nor target.
    pub cpu_total: Option<u32>,
    /// vCPUs allocated to VMs. Allocation, not load.
    pub cpu_used: Option<u32>,
    /// Memory, in MiB; `None` where the server did not say, and then the node is neither source nor target.
    #[serde(rename = "memory_total_mib")]
    pub memory_total: Option<Mib>,
    /// Memory allocated to VMs.
    #[serde(rename = "memory_used_mib")]
    pub memory_used: Option<Mib>,
    /// VMs on the node as VMmanager counts them; where it does not, those of its list.
    #[serde(default)]
    pub vm_count: u32,
    /// The most VMs the node takes; `None` for no limit.
    #[serde(default, deserialize_with = "positive")]
    pub vm_limit: Option<u32>,
    /// Whether it is in maintenance mode: no target then, and a source for a drain alone.
    #[serde(default)]
    pub maintenance: bool,
    /// Whether VMmanager lets VMs be created there; without that it is no target.
    #[serde(default = "yes")]
    pub vm_creation_allowed: bool,
    /// The version of QEMU; `None` where the server did not say, and then it forbids nothing.
    #[serde(default)]
    pub qemu_version: Option<QemuVersion>,
    /// The version of the kernel; `None` where the server did not say, and then it forbids nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_version: Option<KernelVersion>,
    /// The operating system, e.g. `AlmaLinux 9.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The CPU, e.g. `AMD EPYC 7543`; VMmanager is not known to give it. See also [`Measured::cpu_model`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Free space for disks on local storage.
    #[serde(default, rename = "storage_available_mib", skip_serializing_if = "Option::is_none")]
    pub storage_available: Option<Mib>,
    /// What VMmanager says is wrong with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<NodeFault>,
    /// What the node measures of itself, where it was asked.
    #[serde(default)]
    pub load: Option<Measured>,
    /// VMmanager's word for its state.
    #[serde(default)]
    pub state: NodeState,
    /// The address for SSH, as VMmanager gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The port for SSH, as VMmanager gives it; `None` stands for 22.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_port: Option<u16>,
}

impl NodeInfo {
    /// An active node of which nothing but its name and place is known, as a snapshot file that says no more gives it.
    ///
    /// ```
    /// use vm_balancer::model::{ClusterId, Mib, NodeId, NodeInfo};
    ///
    /// let node = NodeInfo::new(NodeId(10), "node-001", ClusterId(1))
    ///     .with_cpu(32, 64)
    ///     .with_memory(Mib(262_144), Mib(131_072));
    /// assert_eq!(node.cpu_used, Some(64));
    /// ```
    pub fn new(id: NodeId, name: impl Into<String>, cluster: ClusterId) -> Self {
        Self {
            id,
            name: name.into(),
            cluster,
            cpu_total: None,
            cpu_used: None,
            memory_total: None,
            memory_used: None,
            vm_count: 0,
            vm_limit: None,
            maintenance: false,
            vm_creation_allowed: true,
            qemu_version: None,
            kernel_version: None,
            os_version: None,
            cpu_model: None,
            storage_available: None,
            faults: Vec::new(),
            load: None,
            state: NodeState::Active,
            address: None,
            ssh_port: None,
        }
    }

    /// Returns what the node's CPU calls itself, where that is known.
    #[must_use]
    pub fn cpu(&self) -> Option<&str> {
        let measured = self.load.as_ref().and_then(|load| load.cpu_model.as_deref());
        measured.or(self.cpu_model.as_deref())
    }

    /// Returns the memory that the node really has: of two figures the smaller. `None` where its capacity is not known.
    #[must_use]
    pub fn real_memory(&self) -> Option<Mib> {
        let measured = self.load.as_ref().and_then(|load| load.memory_total_mib).filter(|total| total.0 > 0);
        let total = self.memory_total?;
        Some(measured.map_or(total, |measured| measured.min(total)))
    }

    /// The node with this many cores and vCPUs allocated on them.
    #[must_use]
    pub fn with_cpu(self, cores: u32, allocated: u32) -> Self {
        Self { cpu_total: Some(cores), cpu_used: Some(allocated), ..self }
    }

    /// The node with this memory, and this much of it allocated.
    #[must_use]
    pub fn with_memory(self, total: Mib, allocated: Mib) -> Self {
        Self { memory_total: Some(total), memory_used: Some(allocated), ..self }
    }
}

/// A node's own measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Load averages over 1, 5 and 15 minutes, for the whole machine (not per core).
    pub one: f64,
    /// The average over 5 minutes.
    pub five: f64,
    /// The average over 15 minutes.
    pub fifteen: f64,
    /// When it was measured (UTC).
    pub at: DateTime<Utc>,
    /// Logical CPUs as the node counts them; VMmanager's number stands in where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// What the CPU calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// The five-minute average of the reading before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_five: Option<f64>,
    /// How many CPUs were busy, all together, over the time between two samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_cores: Option<f64>,
    /// Memory that the kernel has. VMmanager's total may include overselling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_mib: Option<Mib>,
    /// Memory really used: total less available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_mib: Option<Mib>,
    /// Pressure stall: share of time in percent in which some task waited for CPU, over 300 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_pressure: Option<f64>,
    /// The same for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_pressure: Option<f64>,
    /// The same for storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_pressure: Option<f64>,
}

/// A VM, which VMmanager's API calls a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "VmOnFile", into = "VmOnFile")]
pub struct VmInfo {
    /// VMmanager's number of the VM.
    pub id: VmId,
    /// Its name in VMmanager.
    pub name: String,
    /// The node that it is on.
    pub node: NodeId,
    /// Virtual CPUs allocated to it.
    pub cpu_cores: u32,
    /// Memory allocated to it, in MiB.
    pub memory: Mib,
    /// VMmanager's word for its state.
    pub state: VmState,
    /// What forbids to move it, as far as the VM itself tells; empty for a VM that may move.
    pub blocked_by: Vec<Block>,
    /// The main disk.
    pub disk: Option<Mib>,
    /// What the VM really uses, where its node was asked.
    pub measured: Option<VmUse>,
    /// `cpu_mode` is `host-passthrough`: unlike CPUs may freeze it after a migration.
    pub host_passthrough: bool,
}

impl VmInfo {
    /// An active VM that may be moved.
    pub fn new(id: VmId, name: impl Into<String>, node: NodeId, cpu_cores: u32, memory: Mib) -> Self {
        Self {
            id,
            name: name.into(),
            node,
            cpu_cores,
            memory,
            state: VmState::Active,
            blocked_by: Vec::new(),
            disk: None,
            measured: None,
            host_passthrough: false,
        }
    }
}

/// A VM's measured use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VmUse {
    /// CPU in cores, over the time between two readings.
    pub cores: f64,
    /// When the later of the two readings was taken (UTC).
    pub at: DateTime<Utc>,
}

/// Why a VM cannot be moved, as far as the VM itself tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Block {
    /// An ISO image is mounted.
    Iso,
    /// It has snapshots.
    Snapshots,
    /// `balancer_mode` is `off`; `RESPECT_BALANCER_MODE=false` lifts this one.
    BalancerMode,
    /// It is in rescue mode.
    Rescue,
    /// It was imported from VMmanager 5 with restrictions.
    Vm5Restrictions,
    /// Its node does not allow live migration.
    NodeForbids,
    /// It uses nested virtualization, which can break a live migration.
    Nesting,
    /// VMmanager does not say how large it is, so no room can be made for it.
    UnknownSize,
    /// A part of its record cannot be read.
    Unreadable,
    /// A task of VMmanager's waits or runs for it, e.g. `host_backup`.
    Task(String),
    /// A snapshot file gives no reason.
    Unexplained,
    /// Anything else, in the words of a snapshot file.
    Other(String),
}

/// A migration that runs and that this bot did not order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignMigration {
    /// VMmanager's number of the task.
    pub task: u64,
    /// `None` where it is unknown; then no cluster is safe to change.
    pub cluster: Option<ClusterId>,
    /// The VM that migrates; `None` where the task does not tell.
    pub vm: Option<VmId>,
    /// VMmanager's word for how far the task is.
    pub status: String,
}

/// Why a snapshot file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadSnapshotError {
    /// It is no JSON, or lacks what a snapshot has.
    #[error("not a snapshot file: expected JSON as `vm-balancer snapshot` writes it")]
    Json(#[source] serde_json::Error),
    #[error(
        "snapshot version {found} is newer than this program, which reads up to {SNAPSHOT_VERSION}; use a newer vm-balancer"
    )]
    /// A newer program wrote it.
    Version {
        /// The version that the file names.
        found: u32,
    },
    /// Two of its objects share an id.
    #[error("{what} {id} appears twice in the snapshot; ids must be unique")]
    Twice {
        /// The kind of the objects: cluster, node or VM.
        what: &'static str,
        /// The id that they share.
        id: u64,
    },
    /// A node is in a cluster that the file does not have.
    #[error("node {node} belongs to cluster {cluster}, which is not among the snapshot's clusters")]
    NoCluster {
        /// The node's number.
        node: NodeId,
        /// The number of the cluster that it names.
        cluster: ClusterId,
    },
}

impl Snapshot {
    /// An empty platform.
    #[must_use]
    pub fn empty(taken_at: DateTime<Utc>) -> Self {
        Self {
            version: SNAPSHOT_VERSION,
            taken_at,
            clusters: Vec::new(),
            nodes: Vec::new(),
            vms: Vec::new(),
            foreign: Vec::new(),
            unmeasured: Vec::new(),
        }
    }

    /// Reads a snapshot file.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the text: not JSON, from a newer program, an id twice, a node without cluster.
    pub fn from_json(text: &str) -> Result<Self, ReadSnapshotError> {
        let snapshot: Self = serde_json::from_slice(text.as_bytes()).map_err(ReadSnapshotError::Json)?;
        if snapshot.version > SNAPSHOT_VERSION {
            return Err(ReadSnapshotError::Version { found: snapshot.version });
        }
        unique("cluster", snapshot.clusters.iter().map(|c| c.id.0))?;
        unique("node", snapshot.nodes.iter().map(|n| n.id.0))?;
        unique("vm", snapshot.vms.iter().map(|vm| vm.id.0))?;
        let known: BTreeSet<_> = snapshot.clusters.iter().map(|c| c.id).collect();
        match snapshot.nodes.iter().find(|node| !known.contains(&node.cluster)) {
            Some(node) => Err(ReadSnapshotError::NoCluster { node: node.id, cluster: node.cluster }),
            None => Ok(snapshot),
        }
    }

    /// Returns the cluster of that id.
    #[must_use]
    pub fn cluster(&self, id: ClusterId) -> Option<&ClusterInfo> {
        self.clusters.iter().find(|cluster| cluster.id == id)
    }

    /// Returns the node of that id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&NodeInfo> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Returns the VM of that id.
    #[must_use]
    pub fn vm(&self, id: VmId) -> Option<&VmInfo> {
        self.vms.iter().find(|vm| vm.id == id)
    }

    /// Returns why a node gave no reading when it was asked last.
    #[must_use]
    pub fn why_unmeasured(&self, node: NodeId) -> Option<WhyUnmeasured> {
        self.unmeasured.iter().find(|unmeasured| unmeasured.node == node).map(|unmeasured| unmeasured.why)
    }

    /// Returns the nodes of a cluster in the order of the snapshot.
    pub fn nodes_of(&self, cluster: ClusterId) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.iter().filter(move |node| node.cluster == cluster)
    }

    /// Returns the VMs on each node; nodes without VMs have an empty list.
    #[must_use]
    pub fn vms_by_node(&self) -> BTreeMap<NodeId, Vec<&VmInfo>> {
        let mut by_node: BTreeMap<_, Vec<_>> = self.nodes.iter().map(|node| (node.id, Vec::new())).collect();
        for vm in &self.vms {
            by_node.entry(vm.node).or_default().push(vm);
        }
        by_node
    }
}

impl Block {
    /// The task of a live migration.
    pub const MIGRATION: &str = "host_migrate";

    /// Tells whether a migration of the VM runs that nobody follows.
    #[must_use]
    pub fn is_migration(&self) -> bool {
        matches!(self, Self::Task(task) if task == Self::MIGRATION)
    }
}

/// What a snapshot file has in front of the name of a task that occupies a VM.
const TASK: &str = "task:";

impl From<String> for Block {
    fn from(text: String) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "iso" | "iso_mounted" => Self::Iso,
            "snapshots" | "snapshot" | "snapshot_count" => Self::Snapshots,
            "balancer_mode" | "balancer_off" | "balancer" => Self::BalancerMode,
            "rescue" | "rescue_mode" => Self::Rescue,
            "vm5_restrictions" => Self::Vm5Restrictions,
            "node_forbids_live_migration" | "its node does not allow live migration" => Self::NodeForbids,
            "nesting" => Self::Nesting,
            "unknown_size" | "its size is unknown" => Self::UnknownSize,
            "unreadable_record" => Self::Unreadable,
            "unexplained" | "can_migrate is false" => Self::Unexplained,
            _ => match text.strip_prefix(TASK) {
                Some(task) => Self::Task(task.to_owned()),
                None => Self::Other(text),
            },
        }
    }
}

impl From<Block> for String {
    fn from(block: Block) -> Self {
        block.to_string()
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Iso => "iso",
            Self::Snapshots => "snapshots",
            Self::BalancerMode => "balancer_mode",
            Self::Rescue => "rescue",
            Self::Vm5Restrictions => "vm5_restrictions",
            Self::NodeForbids => "node_forbids_live_migration",
            Self::Nesting => "nesting",
            Self::UnknownSize => "unknown_size",
            Self::Unreadable => "unreadable_record",
            Self::Unexplained => "unexplained",
            Self::Task(task) => return write!(f, "{TASK}{task}"),
            Self::Other(text) => text,
        })
    }
}

/// A VM as the snapshot file has it: `can_migrate` is said beside its reasons.
#[derive(Clone, Serialize, Deserialize)]
struct VmOnFile {
    id: VmId,
    name: String,
    node: NodeId,
    cpu_cores: u32,
    memory_mib: Mib,
    #[serde(default)]
    state: VmState,
    #[serde(default = "yes")]
    can_migrate: bool,
    #[serde(default)]
    blocked_by: Vec<Block>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disk_mib: Option<Mib>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measured: Option<VmUse>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    host_passthrough: bool,
}

impl From<VmOnFile> for VmInfo {
    fn from(file: VmOnFile) -> Self {
        let mut blocked_by = file.blocked_by;
        if !file.can_migrate && blocked_by.is_empty() && file.state == VmState::Active {
            blocked_by.push(Block::Unexplained);
        }
        Self {
            id: file.id,
            name: file.name,
            node: file.node,
            cpu_cores: file.cpu_cores,
            memory: file.memory_mib,
            state: file.state,
            blocked_by,
            disk: file.disk_mib,
            measured: file.measured,
            host_passthrough: file.host_passthrough,
        }
    }
}

impl From<VmInfo> for VmOnFile {
    fn from(vm: VmInfo) -> Self {
        Self {
            can_migrate: vm.blocked_by.is_empty() && vm.state == VmState::Active,
            id: vm.id,
            name: vm.name,
            node: vm.node,
            cpu_cores: vm.cpu_cores,
            memory_mib: vm.memory,
            state: vm.state,
            blocked_by: vm.blocked_by,
            disk_mib: vm.disk,
            measured: vm.measured,
            host_passthrough: vm.host_passthrough,
        }
    }
}

fn unique(what: &'static str, ids: impl Iterator<Item = u64>) -> Result<(), ReadSnapshotError> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(ReadSnapshotError::Twice { what, id });
        }
    }
    Ok(())
}

/// VMmanager says "no limit" as 0, as -1 and as null.
fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let limit: Option<i64> = Option::deserialize(deserializer)?;
    Ok(limit.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0))
}

fn yes() -> bool {
    true
}
