//! A plan: what would be done, why, and what it leads to. Data only; made in `search`, checked in `check`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::policy::RestWhy;
use crate::model::{
    Block, ClusterId, Flaw, KernelVersion, Mib, NodeFault, NodeId, NodeState, ProposalId, Quote, VmId,
    VmState,
};

/// What would be done on a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// A hash of the content without `taken_at`: the same world gives the same plan.
    pub id: PlanId,
    pub taken_at: DateTime<Utc>,
    pub clusters: Vec<ClusterPlan>,
}

/// What would be done in one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterPlan {
    /// A hash of the content: a stale button is recognised by it.
    pub id: PlanId,
    pub cluster: ClusterId,
    pub name: String,
    /// What is wrong with the picture of the cluster. Nothing is done here then.
    pub incomplete: Vec<Flaw>,
    pub overloaded: Vec<Overloaded>,
    /// In the order of execution.
    pub migrations: Vec<Migration>,
    pub still_overloaded: Vec<StillOverloaded>,
    /// VMs on nodes that want relief and that were left alone.
    pub skipped: Vec<Skip>,
    /// What an operator should know besides.
    pub notes: Vec<Note>,
    pub before: Figures,
    pub after: Figures,
}

/// Names a plan by its content: lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub String);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node can run short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Percent of memory allocated.
    Memory,
    /// Allocated vCPU per core.
    Cpu,
    /// Measured load per core.
    Load,
}

/// A node over a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overloaded {
    pub node: NodeId,
    pub name: String,
    pub at: Fullness,
    /// Each resource over its threshold.
    pub over: Vec<Excess>,
}

/// One resource over its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Excess {
    pub resource: Resource,
    pub value: f64,
    pub threshold: f64,
}

/// How full a node is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fullness {
    /// Allocated vCPU per core.
    pub cpu: f64,
    /// Measured load per core, where it is known and fresh; else predicted from it.
    pub load: Option<f64>,
    pub memory_percent: f64,
}

/// One live migration of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// Counts from 1 in the order of execution.
    pub step: u32,
    /// Steps of one wave may run side by side.
    pub wave: u32,
    pub vm: VmId,
    pub vm_name: String,
    pub source: NodeId,
    pub source_name: String,
    pub target: NodeId,
    pub target_name: String,
    pub vcpus: u32,
    pub ram: Mib,
    /// The disk that must be copied too: known, and on local storage.
    pub disk: Option<Mib>,
    pub why: MoveWhy,
    /// Risks that it takes because nothing else helps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cautions: Vec<Caution>,
    /// The next best target and how full it would have become.
    pub runner_up: Option<RunnerUp>,
    pub source_state: NodeChange,
    pub target_state: NodeChange,
}

/// A node before and after one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeChange {
    pub before: Fullness,
    pub after: Fullness,
}

/// The target that came second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunnerUp {
    pub node: NodeId,
    pub name: String,
    pub after: Fullness,
}

/// A risk that a migration takes where nothing else helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caution {
    /// The target's kernel is newer than the source's.
    NewerKernel { source: KernelVersion, target: KernelVersion },
    /// The VM sees the node's own CPU: on another one it may freeze.
    HostPassthrough {
        /// Whether both nodes are known to have the same CPU; else nothing is known of one of them.
        same_cpu: bool,
    },
    /// The target is filled beyond its target threshold.
    SoftTarget { resource: Resource },
    /// The VM was moved a short while ago and would be left alone until then.
    MovedLately { until: DateTime<Utc> },
}

/// Why a VM is moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveWhy {
    /// Its node is over a threshold.
    Relieve(Excess),
    /// To make room on its node for a VM from an overloaded one.
    MakeRoom { for_vm: VmId, for_vm_name: String },
    /// To even out.
    Level { imbalance_before: f64, imbalance_after: f64 },
    /// Its node is to be emptied.
    Drain,
    /// It goes back to where it was before that plan.
    Undo { of: ProposalId },
}

impl MoveWhy {
    /// Tells whether somebody asked for this move itself, and not for what it does to the thresholds: neither they nor
    /// the limit of migrations decide how many there are.
    #[must_use]
    pub fn is_wish(&self) -> bool {
        match self {
            Self::Drain | Self::Undo { .. } => true,
            Self::Relieve(_) | Self::MakeRoom { .. } | Self::Level { .. } => false,
        }
    }
}

/// A node that the plan leaves over a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StillOverloaded {
    pub node: NodeId,
    pub name: String,
    /// What is over once the plan is done.
    pub over: Vec<Excess>,
    /// How much less it needs: memory, where memory is over.
    pub needs_memory: Option<Mib>,
    /// How much less it needs: vCPUs (or, with load, cores), where CPU is over.
    pub needs_cpu: Option<f64>,
    pub because: Vec<Obstacle>,
}

/// What keeps a node overloaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// `migrations_max` was used up.
    Limit { migrations_max: usize },
    /// The node is closed as a source.
    ExcludedSource,
    /// The node is in a state in which VMs do not leave it by themselves.
    State(NodeClosed),
    /// How many VMs cannot be moved, and for which reason.
    Immovable { why: SkipWhy, count: usize },
    /// Movable VMs are there, but no target may take one; the fullest reason first.
    NoTarget { movable: usize, reasons: Vec<(TargetRefusal, usize)> },
    /// What can be moved does not suffice.
    NotEnough { movable: usize },
    /// Nothing may be done in the cluster.
    Held(Hold),
}

/// Why nothing may be done in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The picture is incomplete.
    Incomplete(Flaw),
    /// Only KVM is balanced.
    NotKvm { virtualization: String },
    /// A migration runs that this bot did not order.
    Foreign { task: u64 },
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

/// Why VMs do not leave a node by themselves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NodeClosed {
    /// VMs leave only by a drain.
    Maintenance,
    UnknownCapacity,
    State(NodeState),
}

/// Why a node may not take a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetRefusal {
    Memory,
    Cpu,
    Load,
    Reserve,
    VmLimit,
    OlderQemu,
    /// The source or the target has a QEMU too old for live migrations.
    QemuTooOld,
    NewerKernel,
    OtherOsFamily,
    /// The VM uses the node's own CPU, and the target has another one.
    OtherCpu,
    /// The VM has more vCPUs than the node has cores.
    TooFewCores,
    /// Too little local storage is free for the VM's disk.
    Disk,
    /// VMmanager reports a fault of the node.
    Fault(NodeFault),
    AntiAffinity,
    Excluded,
    Maintenance,
    CreationBlocked,
    NotActive,
    /// Its record, or that of a VM on it, cannot be read in full.
    Unreadable,
    UnknownCapacity,
    OtherCluster,
    SameNode,
    /// It would have more memory allocated than it really has.
    RealMemory,
    /// The memory that it really uses would leave too little.
    MemoryInUse,
    /// Its tasks wait for memory.
    MemoryPressure,
    /// Its tasks wait for a CPU.
    CpuPressure,
    /// VMmanager declined it for this VM a while ago.
    Declined,
}

/// A VM left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    pub vm: VmId,
    pub name: String,
    pub node: NodeId,
    pub why: SkipWhy,
}

/// Why a VM is left alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipWhy {
    /// It says so itself.
    Blocked(Block),
    /// It is not active.
    State(VmState),
    /// `PIN_VMS` names it.
    Pinned,
    /// It sees the node's own CPU, and the policy forbids to move such VMs.
    HostPassthrough,
    /// Its node is over by load alone, and it takes too little off for what it costs.
    NotWorthIt,
    /// It rests.
    Resting { until: DateTime<Utc>, why: RestWhy },
    /// Its node is closed as a source.
    ExcludedSource,
    /// Its node is in a state in which VMs do not leave it by themselves.
    NodeState(NodeClosed),
    /// No node may take it; the reason that most of them gave.
    NoTarget(TargetRefusal),
    /// Back on its node it would fill that beyond what a move may; in hundredths of a percent of memory, or of what a
    /// core has.
    NoRoomBack { node: String, resource: Resource, value: u64, most: u64 },
    /// It is not where a plan had put it, so that is not taken back.
    NotThere,
    /// Nothing may be done in its cluster.
    Held(Hold),
}

/// What an operator should know besides the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Every VM says `balancer_mode` off, so nothing can be moved.
    EveryVmOptedOut,
    /// Measurement was asked for, and these nodes have none that is fresh: they count by allocation.
    Unmeasured { nodes: Vec<String> },
    /// Its load is over the threshold, but VMs left it since most of what the average shows: it does not count until
    /// a reading of that moment or a later one.
    Settling { node: String, until: DateTime<Utc> },
    /// It suffers although its thresholds hold.
    Strained { node: String, strains: Vec<Strain> },
    /// Its load is over the threshold, and hardly anybody waits for a CPU: it waits for disks or the like. In whole
    /// percent of the time.
    LoadIsNotCpu { node: String, cpu_pressure: u32, io_pressure: Option<u32> },
    /// Not KVM: left alone.
    NotKvm { virtualization: String },
    /// VMmanager's own balancer may be on.
    BuiltinBalancer { key: String },
    /// Somebody else's migration runs here (or nobody can tell where): nothing is ordered.
    ForeignMigration { task: u64 },
    /// A name or id of the policy that nothing matches.
    UnknownSelector { selector: String },
    /// The record of the node, or of these VMs on it, cannot be read in full: nothing is moved there or from there.
    Unreadable { node: String, vms: Vec<String> },
    /// The record of a VM on the node has no id that can be read: nothing is moved there or from there.
    NamelessVm { node: String },
    /// Steps that broke a rule, or depended on one that did, were left out.
    StepsDropped { steps: usize, violations: usize },
    /// VMmanager reports faults of a node: nothing is moved there.
    Faulty { node: String, faults: Vec<NodeFault> },
    /// The cluster has nodes of both families of operating systems, which VMmanager does not support.
    MixedOsFamilies,
    /// Too many migrations of the node failed: it is closed until then.
    ClosedAfterFailures { node: String, count: u32, until: Option<DateTime<Utc>> },
    /// A node's own figures and the sums over its VMs differ.
    SumsDiffer { node: String, memory_node: Mib, memory_vms: Mib },
}

impl Note {
    /// Tells whether this holds beyond a single plan. Such a note is reported once until it changes, also where no plan
    /// is shown. A note about the load of the moment does not hold on.
    #[must_use]
    pub fn is_standing(&self) -> bool {
        match self {
            Self::EveryVmOptedOut
            | Self::BuiltinBalancer { .. }
            | Self::UnknownSelector { .. }
            | Self::Unreadable { .. }
            | Self::NamelessVm { .. }
            | Self::StepsDropped { .. }
            | Self::Faulty { .. }
            | Self::MixedOsFamilies
            | Self::ClosedAfterFailures { .. }
            | Self::SumsDiffer { .. } => true,
            Self::Unmeasured { .. }
            | Self::Settling { .. }
            | Self::Strained { .. }
            | Self::LoadIsNotCpu { .. }
            | Self::NotKvm { .. }
            | Self::ForeignMigration { .. } => false,
        }
    }

    /// Tells whether nothing has changed but figures that move all the time.
    #[must_use]
    pub fn is_same_matter(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::SumsDiffer { node, .. }, Self::SumsDiffer { node: same, .. }) => node == same,
            _ => self == other,
        }
    }
}

/// Something that a node suffers from although its thresholds hold, in whole percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strain {
    /// Really used, of all its memory.
    MemoryInUse(u32),
    /// Of the time some task waits for memory.
    WaitsForMemory(u32),
    /// Of the time some task waits for a CPU.
    WaitsForCpu(u32),
}

/// A cluster in four numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Nodes over a threshold.
    pub overloaded: usize,
    pub memory_percent_max: f64,
    /// The highest allocated vCPU per core.
    pub cpu_max: f64,
    /// Square root of the mean, over memory and CPU, of the capacity-weighted variance of
    /// use / (capacity × overload threshold); 0 is perfectly even.
    pub imbalance: f64,
}

impl From<String> for NodeClosed {
    fn from(word: String) -> Self {
        match word.as_str() {
            "maintenance" => Self::Maintenance,
            "capacity unknown" => Self::UnknownCapacity,
            _ => Self::State(word.into()),
        }
    }
}

impl From<NodeClosed> for String {
    fn from(closed: NodeClosed) -> Self {
        closed.to_string()
    }
}

impl fmt::Display for NodeClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maintenance => f.write_str("maintenance"),
            Self::UnknownCapacity => f.write_str("capacity unknown"),
            Self::State(state) => state.fmt(f),
        }
    }
}

impl ClusterPlan {
    /// Returns why nothing may be done in the cluster at the moment.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        let of_note = |note: &Note| match note {
            Note::NotKvm { virtualization } => Some(Hold::NotKvm { virtualization: virtualization.clone() }),
            Note::ForeignMigration { task } => Some(Hold::Foreign { task: *task }),
            _ => None,
        };
        let incomplete = self.incomplete.first().map(|flaw| Hold::Incomplete(flaw.clone()));
        incomplete.or_else(|| self.notes.iter().find_map(of_note))
    }
}

impl Plan {
    /// Tells whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clusters.iter().all(|cluster| cluster.migrations.is_empty())
    }
}
