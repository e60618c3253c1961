//! Why a step was dropped, in English, as the journal keeps it.

use std::fmt::{self, Display, Formatter};

use super::{
    fit::Unfit,
    plan::{SkipWhy, TargetRefusal},
    policy::RestWhy,
};

impl Display for SkipWhy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked(block) => write!(f, "{block}"),
            Self::State(state) => write!(f, "state {state}"),
            Self::Pinned => f.write_str("pinned"),
            Self::Resting { until, why } => write!(f, "{why} until {}", until.format("%H:%M")),
            Self::ExcludedSource => f.write_str("node excluded as source"),
            Self::NodeState(state) => write!(f, "node {state}"),
            Self::NoTarget(refusal) => write!(f, "no target: {refusal}"),
            Self::Held(hold) => write!(f, "{hold:?}"),
        }
    }
}

impl Display for RestWhy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Moved => "resting",
            Self::Failed => "resting after a failure",
            Self::InFlight => "migration under way",
        })
    }
}

impl Display for TargetRefusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory would exceed its threshold",
            Self::Cpu => "vCPU per core would exceed its threshold",
            Self::Load => "load would exceed its threshold",
            Self::Reserve => "memory reserve",
            Self::VmLimit => "limit of VMs reached",
            Self::OlderQemu => "older QEMU",
            Self::AntiAffinity => "anti-affinity",
            Self::Excluded => "excluded as target",
            Self::Maintenance => "maintenance",
            Self::CreationBlocked => "creation of VMs is blocked",
            Self::NotActive => "node not active",
            Self::UnknownCapacity => "capacity unknown",
            Self::OtherCluster => "another cluster",
            Self::SameNode => "no other node",
            Self::MemoryInUse => "memory really used would leave too little",
            Self::MemoryPressure => "the node waits for memory",
            Self::CpuPressure => "the node waits for CPU",
        })
    }
}

impl Display for Unfit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::VmGone => f.write_str("the VM is gone"),
            Self::NodeGone(node) => write!(f, "node {node} is gone"),
            Self::Moved { now } => write!(f, "the VM is on node {now} now"),
            Self::AlreadyThere => f.write_str("the VM is on the target already"),
            Self::Vm(why) => write!(f, "the VM stays: {why}"),
            Self::Target(refusal) => write!(f, "the target refuses: {refusal}"),
            Self::Held(hold) => write!(f, "{hold:?}"),
            Self::NoRelief => f.write_str("it would not help any more"),
        }
    }
}
