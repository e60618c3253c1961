//! The planner's reasons in English, for logs, the command line and JSON. The chat writes its own from the enums.

use std::fmt::{self, Display, Formatter};

use super::{
    Excess, MoveWhy, Note, Obstacle, Resource, RestWhy, SkipWhy, StillOverloaded, Strain, TargetRefusal,
    Unfit,
};

impl Display for Excess {
    /// Writes `memory 83.1 % > 70 %` or `cpu 7.4 > 7 vCPU per core`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { resource, value, threshold } = *self;
        let value = short(value, threshold);
        match resource {
            Resource::Memory => write!(f, "memory {value} % > {threshold} %"),
            Resource::Cpu => write!(f, "cpu {value} > {threshold} vCPU per core"),
            Resource::Load => write!(f, "load {value} > {threshold} per core"),
        }
    }
}

/// One decimal, or as many as it takes to see that the value is above its threshold.
fn short(value: f64, threshold: f64) -> String {
    (1..=6)
        .map(|decimals| format!("{value:.decimals$}"))
        .find(|text| text.parse().is_ok_and(|shown: f64| shown > threshold))
        .unwrap_or_else(|| value.to_string())
}

impl Display for MoveWhy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relieve(excess) => write!(f, "{excess}"),
            Self::MakeRoom { for_vm_name, .. } => write!(f, "makes room for {for_vm_name}"),
            Self::Level { imbalance_before, imbalance_after } => {
                write!(f, "evens out: imbalance {imbalance_before:.4} -> {imbalance_after:.4}")
            }
            Self::Drain => f.write_str("empties its node"),
        }
    }
}

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
            Self::Held(reason) => f.write_str(reason),
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

impl Display for Obstacle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit { migrations_max } => write!(f, "limit of {migrations_max} migrations reached"),
            Self::ExcludedSource => f.write_str("node excluded as source"),
            Self::State(state) => write!(f, "node {state}"),
            Self::Immovable { why: SkipWhy::Blocked(block), count } => write!(f, "{count} with {block}"),
            Self::Immovable { why, count } => write!(f, "{count} {why}"),
            Self::NoTarget { movable, reasons } => {
                write!(f, "movable VMs: {movable}, but no target takes one (")?;
                let told = reasons.iter().map(|(refusal, count)| format!("{count}: {refusal}"));
                write!(f, "{})", told.collect::<Vec<_>>().join(", "))
            }
            Self::NotEnough { movable } => write!(f, "movable VMs that remain: {movable}, not enough"),
            Self::Held(reason) => f.write_str(reason),
        }
    }
}

impl Display for StillOverloaded {
    /// Writes `needs 14 GiB less; movable VMs: none (6 with snapshots, 2 resting until 14:05)`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let memory = self.needs_memory.map(|mib| mib.to_string());
        let load = self.over.iter().any(|excess| excess.resource == Resource::Load);
        let unit = if load { "cores of load" } else { "vCPUs" };
        let cpu = self.needs_cpu.map(|cpus| format!("{} {unit}", trimmed(cpus)));
        let needs: Vec<_> = memory.into_iter().chain(cpu).collect();
        write!(f, "needs {} less", needs.join(" and "))?;
        let is_immovable = |obstacle: &&Obstacle| matches!(obstacle, Obstacle::Immovable { .. });
        let none_movable = |obstacle: &&Obstacle| matches!(obstacle, Obstacle::NotEnough { movable: 0 });
        let others = self.because.iter().filter(|o| !is_immovable(o) && !none_movable(o));
        for obstacle in others {
            write!(f, "; {obstacle}")?;
        }
        let immovable: Vec<_> = self.because.iter().filter(is_immovable).map(ToString::to_string).collect();
        let none = self.because.iter().any(|obstacle| none_movable(&obstacle));
        match (none, immovable.is_empty()) {
            (true, true) => f.write_str("; movable VMs: none"),
            (true, false) => write!(f, "; movable VMs: none ({})", immovable.join(", ")),
            (false, true) => Ok(()),
            (false, false) => write!(f, "; not movable: {}", immovable.join(", ")),
        }
    }
}

/// At most two decimals, none where there is nothing behind the point.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Display for Note {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryVmOptedOut => f.write_str("every VM has balancer_mode off, so nothing can be moved"),
            Self::Unmeasured { nodes } => {
                write!(f, "no fresh measurement, counted by allocation: {}", nodes.join(", "))
            }
            Self::Settling { node, until } => {
                let until = until.format("%H:%M");
                write!(
                    f,
                    "{node} is over its load threshold, but a VM left it a moment ago: it counts when read at {until} or later"
                )
            }
            Self::Strained { node, strains } => {
                let told: Vec<_> = strains.iter().map(ToString::to_string).collect();
                write!(f, "{node} is within its thresholds, but {}", told.join(" and "))
            }
            Self::LoadIsNotCpu { node, cpu_pressure, io_pressure } => {
                write!(
                    f,
                    "the load of {node} waits for disks or the like, not for CPU: waiting for CPU {cpu_pressure} % of the time"
                )?;
                io_pressure.map_or(Ok(()), |io| write!(f, ", for storage {io} %"))
            }
            Self::NotKvm { virtualization } => write!(f, "{virtualization} is not balanced, only KVM"),
            Self::BuiltinBalancer { key } => {
                write!(f, "VMmanager's own balancer may be on ({key}); two balancers undo each other's work")
            }
            Self::ForeignMigration { task } => {
                write!(
                    f,
                    "a migration that this bot did not order is running (task {task}); nothing is ordered"
                )
            }
            Self::UnknownSelector { selector } => write!(f, "nothing is called {selector}"),
            Self::SumsDiffer { node, memory_node, memory_vms } => {
                write!(f, "{node} says {memory_node} of memory are allocated, its VMs add up to {memory_vms}")
            }
        }
    }
}

impl Display for Strain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryInUse(percent) => write!(f, "really uses {percent} % of its memory"),
            Self::WaitsForMemory(percent) => write!(f, "waits for memory {percent} % of the time"),
            Self::WaitsForCpu(percent) => write!(f, "waits for CPU {percent} % of the time"),
        }
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
            Self::Held(reason) => f.write_str(reason),
            Self::NoRelief => f.write_str("it would not help any more"),
        }
    }
}
