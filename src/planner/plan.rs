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
    /// When the snapshot was taken that the plan was made from (UTC).
    pub taken_at: DateTime<Utc>,
    /// One plan for each cluster of the snapshot, also where nothing is to be done.
    pub clusters: Vec<ClusterPlan>,
}

/// What would be done in one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterPlan {
    /// A hash of the content: a stale button is recognised by it.
    pub id: PlanId,
    /// VMmanager's number of the cluster.
    pub cluster: ClusterId,
    /// The cluster's name in VMmanager.
    pub name: String,
    /// What is wrong with the picture of the cluster. Nothing is done here then.
    pub incomplete: Vec<Flaw>,
    /// The nodes over a threshold before the plan, by ascending node id.
    pub overloaded: Vec<Overloaded>,
    /// In the order of execution.
    pub migrations: Vec<Migration>,
    /// The nodes that the plan leaves over a threshold.
    pub still_overloaded: Vec<StillOverloaded>,
    /// VMs on nodes that want relief and that were left alone.
    pub skipped: Vec<Skip>,
    /// What an operator should know besides.
    pub notes: Vec<Note>,
    /// The cluster as it stands.
    pub before: Figures,
    /// The cluster once every migration is done.
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
    /// VMmanager's number of the node.
    pub node: NodeId,
    /// The node's name in VMmanager.
    pub name: String,
    /// How full the node is.
    pub at: Fullness,
    /// Each resource over its threshold.
    pub over: Vec<Excess>,
}

/// One resource over its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Excess {
    /// Tells the unit of the two numbers too.
    pub resource: Resource,
    /// What the node has, in the unit of `resource`.
    pub value: f64,
    /// The threshold it is above, in the same unit. A step for the margin of relief, or one in
    /// advance, has a value that is not.
    pub threshold: f64,
}

/// How full a node is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fullness {
    /// Allocated vCPU per core.
    pub cpu: f64,
    /// Measured load per core, where it is known and fresh; else predicted from it.
    pub load: Option<f64>,
    /// Percent of its memory that is allocated to VMs; above 100 where it is overcommitted.
    pub memory_percent: f64,
}

/// One live migration of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// Counts from 1 in the order of execution.
    pub step: u32,
    /// Steps of one wave may run side by side.
    pub wave: u32,
    /// The VM that is moved.
    pub vm: VmId,
    /// Its name in VMmanager.
    pub vm_name: String,
    /// The node that the VM leaves.
    pub source: NodeId,
    /// The name of that node.
    pub source_name: String,
    /// The node that the VM goes to.
    pub target: NodeId,
    /// The name of that node.
    pub target_name: String,
    /// Virtual CPUs allocated to the VM.
    pub vcpus: u32,
    /// Memory allocated to the VM, in MiB: what a live migration must copy.
    pub ram: Mib,
    /// The disk that must be copied too: known, and on local storage.
    pub disk: Option<Mib>,
    /// What the move is good for.
    pub why: MoveWhy,
    /// Risks that it takes because nothing else helps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cautions: Vec<Caution>,
    /// The next best target and how full it would have become.
    pub runner_up: Option<RunnerUp>,
    /// The source before and after this step, with the steps before it done.
    pub source_state: NodeChange,
    /// The target before and after this step, with the steps before it done.
    pub target_state: NodeChange,
}

/// A node before and after one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeChange {
    /// How full it is before the step.
    pub before: Fullness,
    /// How full it is after the step.
    pub after: Fullness,
}

/// The target that came second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunnerUp {
    /// VMmanager's number of the node.
    pub node: NodeId,
    /// The node's name in VMmanager.
    pub name: String,
    /// How full it would be with the VM on it.
    pub after: Fullness,
}

/// A risk that a migration takes where nothing else helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caution {
    /// The target's kernel is newer than the source's.
    NewerKernel {
        /// The source's kernel.
        source: KernelVersion,
        /// The target's kernel.
        target: KernelVersion,
    },
    /// The VM sees the node's own CPU: on another one it may freeze.
    HostPassthrough {
        /// Whether both nodes are known to have the same CPU; else nothing is known of one of them.
        same_cpu: bool,
    },
    /// The target is filled beyond its target threshold.
    SoftTarget {
        /// The resource whose target threshold is passed.
        resource: Resource,
    },
    /// The VM was moved a short while ago and would be left alone until then.
    MovedLately {
        /// When its rest ends (UTC).
        until: DateTime<Utc>,
    },
}

/// Why a VM is moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveWhy {
    /// Its node is over a threshold, or was so before an earlier step of the plan and gets its margin.
    Relieve(Excess),
    /// Its node is near its threshold and is relieved in advance: `value` is not above `threshold` yet.
    Ahead(Excess),
    /// To make room on its node for a VM from an overloaded one.
    MakeRoom {
        /// The VM on the overloaded node that gets the room.
        for_vm: VmId,
        /// Its name in VMmanager.
        for_vm_name: String,
    },
    /// To even out.
    Level {
        /// The cluster's [`Figures::imbalance`] before the step.
        imbalance_before: f64,
        /// The same after it.
        imbalance_after: f64,
    },
    /// Its node is to be emptied.
    Drain,
    /// It goes back to where it was before that plan.
    Undo {
        /// The proposal whose plan is taken back.
        of: ProposalId,
    },
}

impl MoveWhy {
    /// Tells whether the move relieves in advance: nothing is overloaded without it.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        match self {
            Self::Ahead(_) => true,
            Self::Relieve(_)
            | Self::MakeRoom { .. }
            | Self::Level { .. }
            | Self::Drain
            | Self::Undo { .. } => false,
        }
    }

    /// Tells whether somebody asked for this move itself, and not for what it does to the thresholds: neither they nor
    /// the limit of migrations decide how many there are.
    #[must_use]
    pub fn is_wish(&self) -> bool {
        match self {
            Self::Drain | Self::Undo { .. } => true,
            Self::Relieve(_) | Self::Ahead(_) | Self::MakeRoom { .. } | Self::Level { .. } => false,
        }
    }
}

/// A node that the plan leaves over a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StillOverloaded {
    /// VMmanager's number of the node.
    pub node: NodeId,
    /// The node's name in VMmanager.
    pub name: String,
    /// What is over once the plan is done.
    pub over: Vec<Excess>,
    /// How much less it needs: memory, where memory is over.
    pub needs_memory: Option<Mib>,
    /// How much less it needs: vCPUs (or, with load, cores), where CPU is over.
    pub needs_cpu: Option<f64>,
    /// What is in the way.
    pub because: Vec<Obstacle>,
}

/// What keeps a node overloaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// `migrations_max` was used up.
    Limit {
        /// The policy's limit of migrations in one plan.
        migrations_max: usize,
    },
    /// The node is closed as a source.
    ExcludedSource,
    /// The node is in a state in which VMs do not leave it by themselves.
    State(NodeClosed),
    /// How many VMs cannot be moved, and for which reason.
    Immovable {
        /// The reason that these VMs share.
        why: SkipWhy,
        /// How many VMs have it.
        count: usize,
    },
    /// Movable VMs are there, but no target may take one; the fullest reason first.
    NoTarget {
        /// How many VMs of the node may be moved.
        movable: usize,
        /// Each reason, and how often it was given.
        reasons: Vec<(TargetRefusal, usize)>,
    },
    /// What can be moved does not suffice.
    NotEnough {
        /// How many VMs of the node may be moved.
        movable: usize,
    },
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
    NotKvm {
        /// VMmanager's word for the kind, e.g. `lxd`.
        virtualization: String,
    },
    /// A migration runs that this bot did not order.
    Foreign {
        /// VMmanager's number of the task.
        task: u64,
    },
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
    /// VMmanager does not tell its cores or its memory.
    UnknownCapacity,
    /// Its state in VMmanager is another than active.
    State(NodeState),
}

/// Why a node may not take a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetRefusal {
    /// Its memory would be filled beyond the target threshold.
    Memory,
    /// Its allocated vCPU per core would be beyond the target threshold.
    Cpu,
    /// Its measured load per core would be beyond the target threshold.
    Load,
    /// The memory that every node keeps free would be used; the thresholds alone would allow the move.
    Reserve,
    /// It has as many VMs as VMmanager lets it have.
    VmLimit,
    /// Its QEMU is older than the source's.
    OlderQemu,
    /// The source or the target has a QEMU too old for live migrations.
    QemuTooOld,
    /// Its kernel is newer than the source's, and the policy does not allow that here.
    NewerKernel,
    /// One of the two nodes is of the Red Hat family and the other of the Debian family.
    OtherOsFamily,
    /// The VM uses the node's own CPU, and the target has another one.
    OtherCpu,
    /// The VM has more vCPUs than the node has cores.
    TooFewCores,
    /// Too little local storage is free for the VM's disk.
    Disk,
    /// VMmanager reports a fault of the node.
    Fault(NodeFault),
    /// A VM that must be kept apart from this one is there.
    AntiAffinity,
    /// It is closed as a target, by the configuration, the chat or after failures.
    Excluded,
    /// It is in maintenance.
    Maintenance,
    /// VMmanager lets no VM be created there.
    CreationBlocked,
    /// Its state in VMmanager is another than active.
    NotActive,
    /// Its record, or that of a VM on it, cannot be read in full.
    Unreadable,
    /// VMmanager does not tell its cores or its memory.
    UnknownCapacity,
    /// It is a node of another cluster.
    OtherCluster,
    /// The VM is on it.
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
    /// VMmanager's number of the VM.
    pub vm: VmId,
    /// The VM's name in VMmanager.
    pub name: String,
    /// The node that the VM is on.
    pub node: NodeId,
    /// The first reason found; there may be more.
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
    Resting {
        /// When the rest ends (UTC).
        until: DateTime<Utc>,
        /// Why it rests.
        why: RestWhy,
    },
    /// Its node is closed as a source.
    ExcludedSource,
    /// Its node is in a state in which VMs do not leave it by themselves.
    NodeState(NodeClosed),
    /// No node may take it; the reason that most of them gave.
    NoTarget(TargetRefusal),
    /// Back on its node it would fill that beyond what a move may; in hundredths of a percent of memory, or of what a
    /// core has.
    NoRoomBack {
        /// The name of the node that it would go back to.
        node: String,
        /// What that node would have too much of.
        resource: Resource,
        /// How full that node would become.
        value: u64,
        /// How full a move may make it.
        most: u64,
    },
    /// The node that it would go back to does not take it.
    NotBack {
        /// The name of that node.
        node: String,
        /// Why it does not.
        why: TargetRefusal,
    },
    /// It is not where a plan had put it, so that is not taken back.
    NotThere,
    /// VMmanager has it no more.
    Gone,
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
    Unmeasured {
        /// The names of the nodes.
        nodes: Vec<String>,
    },
    /// Its load is over the threshold, but VMs left it since most of what the average shows: it does not count until
    /// a reading of that moment or a later one.
    Settling {
        /// The node's name.
        node: String,
        /// The moment from which on a reading counts (UTC).
        until: DateTime<Utc>,
    },
    /// It suffers although its thresholds hold.
    Strained {
        /// The node's name.
        node: String,
        /// Everything that it suffers from.
        strains: Vec<Strain>,
    },
    /// Its load is over the threshold, and hardly anybody waits for a CPU: it waits for disks or the like. In whole
    /// percent of the time.
    LoadIsNotCpu {
        /// The node's name.
        node: String,
        /// How long somebody waited for a CPU.
        cpu_pressure: u32,
        /// How long somebody waited for a disk; `None` where the node does not tell.
        io_pressure: Option<u32>,
    },
    /// Not KVM: left alone.
    NotKvm {
        /// VMmanager's word for the kind, e.g. `lxd`.
        virtualization: String,
    },
    /// VMmanager's own balancer may be on.
    BuiltinBalancer {
        /// The name of the setting in VMmanager's answer that says so.
        key: String,
    },
    /// Somebody else's migration runs here (or nobody can tell where): nothing is ordered.
    ForeignMigration {
        /// VMmanager's number of the task.
        task: u64,
    },
    /// A name or id of the policy that nothing matches.
    UnknownSelector {
        /// As it is written in the policy.
        selector: String,
    },
    /// The record of the node, or of these VMs on it, cannot be read in full: nothing is moved there or from there.
    Unreadable {
        /// The node's name.
        node: String,
        /// The names of the VMs; empty where it is the node's own record.
        vms: Vec<String>,
    },
    /// The record of a VM on the node has no id that can be read: nothing is moved there or from there.
    NamelessVm {
        /// The node's name.
        node: String,
    },
    /// Steps that broke a rule, or depended on one that did, were left out.
    StepsDropped {
        /// How many steps were left out.
        steps: usize,
        /// How many rules the plan broke.
        violations: usize,
    },
    /// VMmanager reports faults of a node: nothing is moved there.
    Faulty {
        /// The node's name.
        node: String,
        /// Every fault that is reported.
        faults: Vec<NodeFault>,
    },
    /// The cluster has nodes of both families of operating systems, which VMmanager does not support.
    MixedOsFamilies,
    /// Too many migrations of the node failed: it is closed until then.
    ClosedAfterFailures {
        /// The node's name.
        node: String,
        /// How many migrations failed.
        count: u32,
        /// When it opens again (UTC); `None` for not by itself.
        until: Option<DateTime<Utc>>,
    },
    /// A node's own figures and the sums over its VMs differ.
    SumsDiffer {
        /// The node's name.
        node: String,
        /// Allocated memory as the node tells it, in MiB.
        memory_node: Mib,
        /// The memory of its VMs, summed, in MiB.
        memory_vms: Mib,
    },
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
    /// The highest percentage of memory that is allocated on a node.
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
    /// Tells whether all that it does is relief in advance: people are not asked for that alone.
    #[must_use]
    pub fn is_only_ahead(&self) -> bool {
        !self.migrations.is_empty() && self.migrations.iter().all(|migration| migration.why.is_ahead())
    }

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
