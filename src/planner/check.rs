//! Replays a plan on its snapshot, step by step, and lists broken promises.
//!
//! Knows nothing of how a plan is found: it has its own sums, in floating point, and its own reading of each rule,
//! so that a mistake in the search does not hide itself.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    brim::MEMORY_BRIM,
    plan::{Caution, ClusterPlan, Migration, MoveWhy, NodeClosed, Resource, SkipWhy, TargetRefusal},
    policy::{Direction, Lenience, Policy, RecentMove, Rest, RestWhy},
    settle::{LOAD_FORGOTTEN, LOAD_WINDOW},
    strain::{CPU_PRESSURE_MAX, CPU_PRESSURE_NONE, LOAD_SURE, MEMORY_IN_USE_MAX, MEMORY_PRESSURE_MAX},
};
use crate::model::{
    Block, Measured, NodeId, NodeInfo, NodeState, OsFamily, QemuVersion, Snapshot, VmId, VmInfo, VmState,
};

/// Sums of loads are rounded to millionths of a core; a difference below this share of a threshold is rounding.
const ROUNDING: f64 = 1e-6;

/// A load below this is none, in cores: the planner counts in millionths.
const LOAD_UNIT: f64 = 1e-6;

/// How far a target may be filled where nothing else helps, of the threshold of overload.
const SOFT_TARGET: f64 = 0.95;

/// The same for a resource that is not the one that is relieved, where targets are not filled softly.
const FAR_TARGET: f64 = 0.9;

/// A promise that a plan breaks.
#[derive(Clone, Debug, PartialEq)]
pub enum Violation {
    /// More migrations than the policy allows.
    TooMany {
        /// How many the plan has.
        migrations: usize,
        /// How many it may have.
        migrations_max: usize,
    },
    /// Migrations where nothing may be done.
    Held,
    /// Steps must count 1, 2, 3, …; waves 1, 1, 2, ….
    Numbering {
        /// The number that is out of order, as the plan has it.
        step: u32,
    },
    /// Steps of one wave share a node.
    WaveSharesNode {
        /// The number of the wave.
        wave: u32,
        /// The node that two of its steps use.
        node: NodeId,
    },
    /// A wave has more steps than may run at one time.
    WaveTooLarge {
        /// The number of the wave.
        wave: u32,
        /// How many steps it has.
        steps: usize,
    },
    /// The VM is not in the snapshot.
    UnknownVm {
        /// The number of the step.
        step: u32,
        /// The VM that the step names.
        vm: VmId,
    },
    /// Source or target is not a node of the cluster.
    UnknownNode {
        /// The number of the step.
        step: u32,
        /// The node that the step names.
        node: NodeId,
    },
    /// The VM is not on the source at that step.
    NotThere {
        /// The number of the step.
        step: u32,
        /// The VM that the step moves.
        vm: VmId,
        /// Where the VM is at that step.
        really: NodeId,
    },
    /// The VM must not be moved.
    Immovable {
        /// The number of the step.
        step: u32,
        /// The VM that the step moves.
        vm: VmId,
        /// What forbids to move it.
        why: SkipWhy,
    },
    /// The target must not take the VM at that step.
    Refused {
        /// The number of the step.
        step: u32,
        /// The node that the step moves the VM to.
        target: NodeId,
        /// What forbids to move it there.
        why: TargetRefusal,
    },
    /// The step leaves more overload than there was before it.
    Worse {
        /// The number of the step.
        step: u32,
        /// By which part of their thresholds source and target are over before it, summed.
        before: f64,
        /// The same after it.
        after: f64,
    },
    /// A step that evens out makes the cluster less even.
    LessEven {
        /// The number of the step.
        step: u32,
        /// The cluster's imbalance before it.
        before: f64,
        /// The same after it.
        after: f64,
    },
    /// A figure that the plan gives is not what the replay finds.
    WrongFigure {
        /// The name of the figure.
        what: &'static str,
        /// What the plan says, in the unit of the figure.
        said: f64,
        /// What the replay finds.
        found: f64,
    },
}

impl Violation {
    /// The step that breaks the promise, where it is one of them.
    #[must_use]
    pub fn step(&self) -> Option<u32> {
        match self {
            Self::UnknownVm { step, .. }
            | Self::UnknownNode { step, .. }
            | Self::NotThere { step, .. }
            | Self::Immovable { step, .. }
            | Self::Refused { step, .. }
            | Self::Worse { step, .. }
            | Self::LessEven { step, .. }
            | Self::Numbering { step } => Some(*step),
            Self::TooMany { migrations, .. } => u32::try_from(*migrations).ok(),
            Self::Held
            | Self::WaveSharesNode { .. }
            | Self::WaveTooLarge { .. }
            | Self::WrongFigure { .. } => None,
        }
    }
}

/// Replays a plan and returns every promise it breaks; empty for a sound plan.
#[must_use]
pub fn check(snapshot: &Snapshot, policy: &Policy, plan: &ClusterPlan) -> Vec<Violation> {
    let mut replay = Replay::new(snapshot, policy, plan);
    replay.frame();
    for migration in &plan.migrations {
        replay.step(migration);
    }
    replay.figures();
    replay.broken
}

#[derive(Clone, Copy, Default)]
struct Sums {
    memory: f64,
    vcpus: f64,
    load: f64,
    /// Memory really used, in MiB; `None` where nothing fresh is known of it.
    in_use: Option<f64>,
    /// Disks that came with the plan, in MiB.
    disk: f64,
    vms: u64,
}

struct Replay<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    plan: &'a ClusterPlan,
    nodes: BTreeMap<NodeId, &'a NodeInfo>,
    vms: BTreeMap<VmId, &'a VmInfo>,
    at: BTreeMap<VmId, NodeId>,
    sums: BTreeMap<NodeId, Sums>,
    vm_loads: BTreeMap<VmId, f64>,
    broken: Vec<Violation>,
}

impl<'a> Replay<'a> {
    fn new(snapshot: &'a Snapshot, policy: &'a Policy, plan: &'a ClusterPlan) -> Self {
        let nodes: BTreeMap<_, _> = snapshot.nodes_of(plan.cluster).map(|node| (node.id, node)).collect();
        // Where there are a thousand clusters, most VMs are elsewhere.
        let ids = nodes.keys().next().copied().zip(nodes.keys().next_back().copied());
        let is_near = |node: &NodeId| ids.is_some_and(|(first, last)| (first..=last).contains(node));
        let vms: BTreeMap<_, _> = snapshot
            .vms
            .iter()
            .filter(|vm| is_near(&vm.node) && nodes.contains_key(&vm.node))
            .map(|vm| (vm.id, vm))
            .collect();
        let mut listed: BTreeMap<NodeId, Sums> = BTreeMap::new();
        for vm in vms.values() {
            let sums = listed.entry(vm.node).or_default();
            sums.memory += vm.memory.0 as f64;
            sums.vcpus += f64::from(vm.cpu_cores);
            sums.vms += 1;
        }
        let now = snapshot.taken_at;
        let measuring = Measuring { nodes: &nodes, vms: &vms, now, policy };
        let vm_loads = measuring.vm_loads();
        let sums = nodes.values().map(|node| {
            let own = listed.get(&node.id).copied().unwrap_or_default();
            let base = Sums {
                memory: node.memory_used.map_or(0.0, |memory| memory.0 as f64).max(own.memory),
                vcpus: node.cpu_used.map_or(0.0, f64::from).max(own.vcpus),
                load: measuring.node_load(node, &vm_loads),
                in_use: measuring.in_use(node),
                disk: 0.0,
                vms: own.vms.max(u64::from(node.vm_count)),
            };
            (node.id, base)
        });
        let sums = sums.collect();
        let at = vms.values().map(|vm| (vm.id, vm.node)).collect();
        Self { snapshot, policy, plan, nodes, vms, at, sums, vm_loads, broken: Vec::new() }
    }

    /// What concerns the plan as a whole.
    fn frame(&mut self) {
        let steps = &self.plan.migrations;
        let wished = steps.iter().any(|step| step.why.is_wish());
        if steps.len() > self.policy.migrations_max && !wished {
            let migrations_max = self.policy.migrations_max;
            self.broken.push(Violation::TooMany { migrations: steps.len(), migrations_max });
        }
        let cluster = self.snapshot.cluster(self.plan.cluster);
        let held = cluster.is_none_or(|cluster| {
            let kvm = cluster.virtualization.as_deref().unwrap_or("kvm").eq_ignore_ascii_case("kvm");
            !cluster.incomplete.is_empty() || !kvm
        });
        let here = self.plan.cluster;
        let foreign = self.snapshot.foreign.iter().any(|f| f.cluster.is_none_or(|cluster| cluster == here));
        if !steps.is_empty() && (held || foreign) {
            self.broken.push(Violation::Held);
        }
        self.waves();
    }

    fn waves(&mut self) {
        let mut last = 1;
        let mut waves: BTreeMap<u32, Vec<&Migration>> = BTreeMap::new();
        for (step, expected) in self.plan.migrations.iter().zip(1..) {
            if step.step != expected || step.wave < last || step.wave > last + 1 {
                self.broken.push(Violation::Numbering { step: step.step });
            }
            last = step.wave;
            waves.entry(step.wave).or_default().push(step);
        }
        for (wave, steps) in waves {
            if steps.len() > self.policy.parallel_max.max(1) {
                self.broken.push(Violation::WaveTooLarge { wave, steps: steps.len() });
            }
            let mut seen = BTreeSet::new();
            for node in steps.iter().flat_map(|step| [step.source, step.target]) {
                if !seen.insert(node) {
                    self.broken.push(Violation::WaveSharesNode { wave, node });
                }
            }
        }
    }

    fn step(&mut self, step: &Migration) {
        let number = step.step;
        let Some(vm) = self.vms.get(&step.vm).copied() else {
            return self.broken.push(Violation::UnknownVm { step: number, vm: step.vm });
        };
        for node in [step.source, step.target] {
            if !self.nodes.contains_key(&node) {
                return self.broken.push(Violation::UnknownNode { step: number, node });
            }
        }
        let really = self.at[&vm.id];
        if really != step.source {
            self.broken.push(Violation::NotThere { step: number, vm: vm.id, really });
        }
        if let Some(why) = self.immovable(vm, really, step) {
            self.broken.push(Violation::Immovable { step: number, vm: vm.id, why });
        }
        let evens = matches!(step.why, MoveWhy::Level { .. });
        let (before, uneven) = (self.overload_of([really, step.target]), evens.then(|| self.imbalance()));
        let mut refusals = self.refusals(vm, really, step.target);
        refusals.extend(self.unlike(vm, really, step));
        self.carry_out(vm, really, step.target);
        let full = self.exceeded_limit(step);
        let refused = refusals.into_iter().chain(full);
        self.broken.extend(refused.map(|why| Violation::Refused { step: number, target: step.target, why }));
        let after = self.overload_of([really, step.target]);
        if after > before + ROUNDING {
            self.broken.push(Violation::Worse { step: number, before, after });
        }
        if let Some(before) = uneven {
            let after = self.imbalance();
            if after > before + ROUNDING {
                self.broken.push(Violation::LessEven { step: number, before, after });
            }
        }
    }

    fn immovable(&self, vm: &VmInfo, really: NodeId, step: &Migration) -> Option<SkipWhy> {
        let now = self.snapshot.taken_at;
        let node = self.nodes.get(&really)?;
        let kept = |block: &&Block| self.policy.respect_balancer_mode || **block != Block::BalancerMode;
        let told = step.cautions.iter().any(|caution| matches!(caution, Caution::MovedLately { .. }));
        let lifted = told && self.policy.despite_rest.contains(&vm.id) && step.why.is_wish();
        let binds = |rest: &&Rest| rest.until > now && !(lifted && rest.why == RestWhy::Moved);
        let rest = self.policy.resting.get(&vm.id).filter(binds);
        let unknown = node.memory_total.is_none_or(|m| m.0 == 0) || node.cpu_total.is_none_or(|c| c == 0);
        if vm.state != VmState::Active {
            Some(SkipWhy::State(vm.state.clone()))
        } else if let Some(block) = vm.blocked_by.iter().find(kept) {
            Some(SkipWhy::Blocked(block.clone()))
        } else if self.policy.pinned.iter().any(|pin| pin.matches(vm.id.0, &vm.name)) {
            Some(SkipWhy::Pinned)
        } else if self.hides_passthrough(vm, step) {
            Some(SkipWhy::HostPassthrough)
        } else if let Some(rest) = rest {
            Some(SkipWhy::Resting { until: rest.until, why: rest.why })
        } else if self.is_excluded(node, Direction::Source) {
            Some(SkipWhy::ExcludedSource)
        } else if node.maintenance && !step.why.is_wish() {
            Some(SkipWhy::NodeState(NodeClosed::Maintenance))
        } else if node.state != NodeState::Active {
            Some(SkipWhy::NodeState(NodeClosed::State(node.state.clone())))
        } else {
            (unknown && !node.maintenance).then_some(SkipWhy::NodeState(NodeClosed::UnknownCapacity))
        }
    }

    /// Every reason against a target but its fullness.
    fn refusals(&self, vm: &VmInfo, source: NodeId, target: NodeId) -> Vec<TargetRefusal> {
        let (Some(from), Some(to)) = (self.nodes.get(&source), self.nodes.get(&target)) else {
            return Vec::new();
        };
        let older = match (&to.qemu_version, &from.qemu_version) {
            (Some(target), Some(source)) => target.is_older_than(source),
            _ => false,
        };
        let apart = self.policy.anti_affinity.iter().filter(|group| group.matches(vm.id, &vm.name));
        let crowded = apart.into_iter().any(|group| {
            let mut there = self.at.iter().filter(|(other, node)| **node == target && **other != vm.id);
            there.any(|(other, _)| group.matches(*other, &self.vms[other].name))
        });
        let declined = self.policy.declined.get(&vm.id).is_some_and(|nodes| nodes.contains(&target));
        let full = to.vm_limit.is_some_and(|limit| self.sums[&target].vms >= u64::from(limit));
        let unknown = to.memory_total.is_none_or(|m| m.0 == 0) || to.cpu_total.is_none_or(|c| c == 0);
        let reading = to
            .load
            .as_ref()
            .filter(|load| self.snapshot.taken_at - load.at <= self.policy.measurement_max_age);
        let waits = |pressure: fn(&Measured) -> Option<f64>, max: f64| {
            reading.and_then(pressure).is_some_and(|percent| percent > max)
        };
        [
            (source == target, TargetRefusal::SameNode),
            (to.maintenance, TargetRefusal::Maintenance),
            (to.state != NodeState::Active, TargetRefusal::NotActive),
            (!to.vm_creation_allowed, TargetRefusal::CreationBlocked),
            (unknown, TargetRefusal::UnknownCapacity),
            (self.is_excluded(to, Direction::Target), TargetRefusal::Excluded),
            (older, TargetRefusal::OlderQemu),
            (crowded, TargetRefusal::AntiAffinity),
            (full, TargetRefusal::VmLimit),
            (declined, TargetRefusal::Declined),
            (waits(|load| load.memory_pressure, MEMORY_PRESSURE_MAX), TargetRefusal::MemoryPressure),
            (waits(|load| load.cpu_pressure, CPU_PRESSURE_MAX), TargetRefusal::CpuPressure),
        ]
        .into_iter()
        .filter_map(|(broken, refusal)| broken.then_some(refusal))
        .collect()
    }

    /// Whether a VM that sees its node's CPU would be moved without a word, or where that is forbidden.
    fn hides_passthrough(&self, vm: &VmInfo, step: &Migration) -> bool {
        let told = step.cautions.iter().any(|caution| matches!(caution, Caution::HostPassthrough { .. }));
        vm.host_passthrough && self.forbids(self.policy.host_passthrough, told, step)
    }

    /// A risk may be taken where the policy allows it, or where the plan names it and does not even out.
    fn forbids(&self, lenience: Lenience, told: bool, step: &Migration) -> bool {
        match lenience {
            Lenience::Allow => false,
            Lenience::Avoid => !told || matches!(step.why, MoveWhy::Level { .. }),
            Lenience::Forbid => true,
        }
    }

    /// What a live migration asks of the nodes' systems and sizes.
    fn unlike(&self, vm: &VmInfo, source: NodeId, step: &Migration) -> Vec<TargetRefusal> {
        let (Some(from), Some(to)) = (self.nodes.get(&source), self.nodes.get(&step.target)) else {
            return Vec::new();
        };
        let told = step.cautions.iter().any(|caution| matches!(caution, Caution::NewerKernel { .. }));
        let newer = to.kernel_version.as_ref().is_some_and(|target| {
            from.kernel_version.as_ref().is_some_and(|source| target.is_newer_than(source))
        });
        let family = |node: &NodeInfo| node.os_version.as_deref().and_then(OsFamily::of);
        let mixed = [family(from), family(to)];
        let too_old = |node: &NodeInfo| {
            let least = QemuVersion::new("2.0.0");
            node.qemu_version.as_ref().is_some_and(|version| version.is_older_than(&least))
        };
        let same_cpu = from.cpu().is_none() || to.cpu().is_none() || from.cpu() == to.cpu();
        let bound = vm.host_passthrough && self.policy.host_passthrough != Lenience::Allow;
        let fault = to.faults.first().map(|fault| TargetRefusal::Fault(*fault));
        let checks = [
            (newer && self.forbids(self.policy.newer_kernel, told, step), TargetRefusal::NewerKernel),
            (mixed.iter().all(Option::is_some) && mixed[0] != mixed[1], TargetRefusal::OtherOsFamily),
            (too_old(from) || too_old(to), TargetRefusal::QemuTooOld),
            (bound && !same_cpu, TargetRefusal::OtherCpu),
            (to.cpu_total.is_some_and(|cores| vm.cpu_cores > cores), TargetRefusal::TooFewCores),
        ];
        fault.into_iter().chain(checks.into_iter().filter_map(|(holds, why)| holds.then_some(why))).collect()
    }

    fn is_excluded(&self, node: &NodeInfo, direction: Direction) -> bool {
        self.policy.exclusions.iter().any(|exclusion| {
            let open_again = exclusion.until.is_some_and(|until| until <= self.snapshot.taken_at);
            let closes = exclusion.direction == direction || exclusion.direction == Direction::Both;
            !open_again && closes && exclusion.node.matches(node.id.0, &node.name)
        })
    }

    fn carry_out(&mut self, vm: &VmInfo, source: NodeId, target: NodeId) {
        let load = self.vm_loads.get(&vm.id).copied().unwrap_or(0.0);
        let (memory, vcpus) = (vm.memory.0 as f64, f64::from(vm.cpu_cores));
        // Only what came with the plan is known to leave its memory behind when it goes on.
        let brought = |node: NodeId| if vm.node == node { 0.0 } else { memory };
        let network = self.snapshot.cluster(self.plan.cluster).and_then(|c| c.local_storage) == Some(false);
        let disk = vm.disk.filter(|_| !network).map_or(0.0, |disk| disk.0 as f64);
        let stored = |node: NodeId| if vm.node == node { 0.0 } else { disk };
        if let Some(sums) = self.sums.get_mut(&source) {
            *sums = Sums {
                memory: sums.memory - memory,
                vcpus: sums.vcpus - vcpus,
                load: sums.load - load,
                in_use: sums.in_use.map(|in_use| in_use - brought(source)),
                disk: sums.disk - stored(source),
                vms: sums.vms.saturating_sub(1),
            };
        }
        if let Some(sums) = self.sums.get_mut(&target) {
            *sums = Sums {
                memory: sums.memory + memory,
                vcpus: sums.vcpus + vcpus,
                load: sums.load + load,
                in_use: sums.in_use.map(|in_use| in_use + brought(target)),
                disk: sums.disk + stored(target),
                vms: sums.vms + 1,
            };
        }
        self.at.insert(vm.id, target);
    }

    /// Which of its limits a target exceeds.
    fn exceeded_limit(&self, step: &Migration) -> Option<TargetRefusal> {
        let (node, sums) = (self.nodes.get(&step.target)?, self.sums[&step.target]);
        let measured = node.load.as_ref().and_then(|load| load.memory_total_mib).filter(|total| total.0 > 0);
        let total = node.memory_total?.min(measured.unwrap_or(node.memory_total?)).0 as f64;
        let beyond = |value: f64, limit: f64| value > limit * (1.0 + ROUNDING);
        if beyond(sums.memory, total * (1.0 - self.policy.memory_reserve_percent / 100.0)) {
            return Some(TargetRefusal::Reserve);
        }
        if sums.in_use.is_some_and(|in_use| beyond(in_use, total * MEMORY_IN_USE_MAX / 100.0)) {
            return Some(TargetRefusal::MemoryInUse);
        }
        if node.storage_available.is_some_and(|free| sums.disk > free.0 as f64) {
            return Some(TargetRefusal::Disk);
        }
        self.ratios(node).into_iter().find_map(|(resource, value)| {
            let (threshold, refusal) = match resource {
                Resource::Memory => (self.policy.memory, TargetRefusal::Memory),
                Resource::Cpu => (self.policy.cpu, TargetRefusal::Cpu),
                Resource::Load => (self.policy.load, TargetRefusal::Load),
            };
            let soft = self.tells_soft(step, resource) && threshold.target < threshold.overload;
            let raised = if soft { self.raised_share(step, resource) * threshold.overload } else { 0.0 };
            // A VM without load changes nothing about the load of its target, which must not be overloaded all the same.
            let idle = resource == Resource::Load && self.adds_no_load(step);
            let raised = if idle { threshold.overload } else { raised };
            // Relief in advance brings no target near its threshold.
            let near = match step.why.is_ahead() && resource == Resource::Memory {
                true => (threshold.overload - self.policy.relief_ahead).max(threshold.overload / 2.0),
                false => f64::INFINITY,
            };
            let most = threshold.target.min(threshold.overload).max(raised).min(near);
            beyond(value, most).then_some(refusal)
        })
    }

    fn adds_no_load(&self, step: &Migration) -> bool {
        self.vm_loads.get(&step.vm).is_none_or(|load| *load < LOAD_UNIT)
    }

    /// Whether a target may be filled beyond its target threshold: for relief, and where the plan says so.
    fn tells_soft(&self, step: &Migration, filled: Resource) -> bool {
        let told =
            |caution: &Caution| matches!(caution, Caution::SoftTarget { resource } if *resource == filled);
        let relieves = matches!(step.why, MoveWhy::Relieve(_) | MoveWhy::MakeRoom { .. });
        relieves && step.cautions.iter().any(told)
    }

    /// The part of its threshold of overload to which a resource of a target may be filled by a step that says so.
    fn raised_share(&self, step: &Migration, filled: Resource) -> f64 {
        let of_memory = |resource: Resource| resource == Resource::Memory;
        match &step.why {
            _ if self.policy.soft_targets => SOFT_TARGET,
            MoveWhy::Relieve(excess) if of_memory(excess.resource) == of_memory(filled) => 0.0,
            _ => FAR_TARGET,
        }
    }

    /// What a node is judged by: memory in percent, and load per core or else vCPUs per core.
    fn ratios(&self, node: &NodeInfo) -> Vec<(Resource, f64)> {
        let (Some(memory), Some(cores)) = (node.memory_total, node.cpu_total) else { return Vec::new() };
        if memory.0 == 0 || cores == 0 {
            return Vec::new();
        }
        let sums = self.sums[&node.id];
        let cpu = match fresh_load(node, self.snapshot.taken_at, self.policy) {
            Some((_, cpus)) => (Resource::Load, sums.load / cpus),
            None => (Resource::Cpu, sums.vcpus / f64::from(cores)),
        };
        vec![(Resource::Memory, sums.memory * 100.0 / memory.0 as f64), cpu]
    }

    /// The overload of the two nodes of a step: that of the others does not change.
    fn overload_of(&self, both: [NodeId; 2]) -> f64 {
        let of = |node: &NodeInfo| -> f64 {
            let over = |(resource, value): (Resource, f64)| match resource {
                Resource::Memory if self.is_at_the_brim(node, value) => 0.0,
                Resource::Memory => (value / self.policy.memory.overload - 1.0).max(0.0),
                Resource::Cpu => (value / self.policy.cpu.overload - 1.0).max(0.0),
                Resource::Load if !self.load_counts(node) => 0.0,
                Resource::Load => (value / self.policy.load.overload - 1.0).max(0.0),
            };
            self.ratios(node).into_iter().map(over).sum()
        };
        both.iter().filter_map(|id| self.nodes.get(id)).map(|node| of(node)).sum()
    }

    /// Whether this percentage of memory is over the threshold by a hair, and not for long.
    fn is_at_the_brim(&self, node: &NodeInfo, percent: f64) -> bool {
        let waits = self.policy.memory_brims.contains(&node.id);
        waits && percent <= self.policy.memory.overload + MEMORY_BRIM
    }

    /// The contract's imbalance: over memory and CPU, the variance of use / (capacity × threshold) by capacity.
    fn imbalance(&self) -> f64 {
        let variance = |capacity: fn(&NodeInfo) -> f64, used: fn(&Sums) -> f64, unit: f64| {
            let counts = |node: &&&NodeInfo| {
                !node.maintenance
                    && node.memory_total.is_some_and(|m| m.0 > 0)
                    && node.cpu_total.is_some_and(|c| c > 0)
            };
            let nodes = || self.nodes.values().filter(counts);
            let all: f64 = nodes().map(|node| capacity(node)).sum();
            let mean = nodes().map(|node| used(&self.sums[&node.id])).sum::<f64>() / all;
            let apart = |node: &&NodeInfo| {
                let own = capacity(node);
                own / all * (used(&self.sums[&node.id]) / own - mean).powi(2)
            };
            let sum: f64 = nodes().map(apart).sum();
            if all > 0.0 && unit > 0.0 { sum / (unit * unit) } else { 0.0 }
        };
        let memory = |node: &NodeInfo| node.memory_total.map_or(0.0, |memory| memory.0 as f64);
        let cores = |node: &NodeInfo| node.cpu_total.map_or(0.0, f64::from);
        let of_memory = variance(memory, |sums| sums.memory, self.policy.memory.overload / 100.0);
        let of_cpu = variance(cores, |sums| sums.vcpus, self.policy.cpu.overload);
        ((of_memory + of_cpu) / 2.0).sqrt()
    }

    /// Whether enough readings running were over the load threshold, and the last one has seen the VMs that left.
    fn load_counts(&self, node: &NodeInfo) -> bool {
        let Some(load) = &node.load else { return false };
        let cpus = load.cpus.or(node.cpu_total).map_or(1.0, f64::from);
        let left_lately = self
            .policy
            .recent_moves
            .iter()
            .any(|recent| recent.source == node.id && load.at < recent.ended + LOAD_WINDOW);
        let beyond = |five: f64, times: f64| five / cpus > self.policy.load.overload * times;
        let twice = load.previous_five.is_some_and(|five| beyond(five, 1.0));
        let waits = load.cpu_pressure.is_some_and(|percent| percent > CPU_PRESSURE_MAX);
        let sure = beyond(load.five, if waits { 1.0 } else { LOAD_SURE });
        !left_lately && (self.policy.load_readings < 2 || twice || sure)
    }

    /// What the plan says comes out of it.
    fn figures(&mut self) {
        let worst = |resource: Resource| {
            let ratios = self.nodes.values().flat_map(|node| self.ratios(node));
            ratios.filter(|(own, _)| *own == resource).map(|(_, value)| value).fold(0.0, f64::max)
        };
        let found = worst(Resource::Memory);
        let said = self.plan.after.memory_percent_max;
        if (found - said).abs() > ROUNDING * found.max(1.0) {
            self.broken.push(Violation::WrongFigure { what: "memory_percent_max", said, found });
        }
    }
}

/// A node's fresh five-minute load and the CPUs it is for.
fn fresh_load(node: &NodeInfo, now: DateTime<Utc>, policy: &Policy) -> Option<(f64, f64)> {
    let load = node.load.as_ref().filter(|load| now - load.at <= policy.measurement_max_age)?;
    let cpus = load.cpus.filter(|cpus| *cpus > 0).or(node.cpu_total).filter(|cpus| *cpus > 0)?;
    let usable = load.five.is_finite() && node.memory_total.is_some_and(|m| m.0 > 0) && node.cpu_total? > 0;
    usable.then(|| (load.five.max(0.0), f64::from(cpus)))
}

/// What the readings say of nodes and VMs, by the definitions in `docs/PLANNER.md`.
struct Measuring<'a, 'b> {
    nodes: &'b BTreeMap<NodeId, &'a NodeInfo>,
    vms: &'b BTreeMap<VmId, &'a VmInfo>,
    now: DateTime<Utc>,
    policy: &'a Policy,
}

impl Measuring<'_, '_> {
    fn five(&self, node: NodeId) -> Option<f64> {
        Some(fresh_load(self.nodes.get(&node)?, self.now, self.policy)?.0)
    }

    /// When a node was read last, however long ago.
    fn read_at(&self, node: NodeId) -> Option<DateTime<Utc>> {
        Some(self.nodes.get(&node)?.load.as_ref()?.at)
    }

    fn own_cores(&self, vm: &VmInfo) -> Option<f64> {
        let own = vm.measured.as_ref()?;
        let usable = self.now - own.at <= self.policy.measurement_max_age && own.cores.is_finite();
        usable.then(|| own.cores.max(0.0))
    }

    /// Where a VM was when it was read: the source of the earliest migration that the reading does not show.
    fn home(&self, vm: &VmInfo) -> NodeId {
        let unseen = self.policy.recent_moves.iter().filter(|recent| recent.vm == vm.id).filter(|recent| {
            let read_at = match &vm.measured {
                Some(own) => Some(own.at),
                None => self.read_at(recent.source).or(self.read_at(recent.target)),
            };
            read_at.is_some_and(|at| at < recent.ended)
        });
        let earliest = unseen.min_by_key(|recent| recent.ended).map(|recent| recent.source);
        earliest.filter(|node| self.nodes.contains_key(node)).unwrap_or(vm.node)
    }

    /// The VMs that a node was read with.
    fn residents(&self) -> BTreeMap<NodeId, Vec<&VmInfo>> {
        let mut residents: BTreeMap<NodeId, Vec<&VmInfo>> = BTreeMap::new();
        for vm in self.vms.values() {
            residents.entry(self.home(vm)).or_default().push(vm);
        }
        residents
    }

    /// What each VM adds to a measured node.
    fn vm_loads(&self) -> BTreeMap<VmId, f64> {
        if self.nodes.keys().all(|node| self.five(*node).is_none()) {
            return BTreeMap::new();
        }
        let residents = self.residents();
        let measured_nodes = || residents.iter().filter(|(node, _)| self.five(**node).is_some());
        let vcpus = |vms: &[&VmInfo]| vms.iter().map(|vm| f64::from(vm.cpu_cores)).sum::<f64>();
        let all: f64 = self.nodes.keys().filter_map(|node| self.five(*node)).sum();
        let all_vcpus: f64 = measured_nodes().map(|(_, vms)| vcpus(vms)).sum();
        let mean = if all_vcpus > 0.0 { (all / all_vcpus).min(1.0) } else { 0.0 };
        residents.iter().flat_map(|(node, vms)| self.shares(*node, vms, mean)).collect()
    }

    /// A node's load, dealt out to its VMs: to the measured ones by what they use, the rest by vCPU.
    fn shares(&self, node: NodeId, vms: &[&VmInfo], mean: f64) -> Vec<(VmId, f64)> {
        let stretch = self.stretch(node, vms);
        let by_use = |vm: &VmInfo| {
            let cores = self.own_cores(vm)?;
            Some((cores * stretch).min(f64::from(vm.cpu_cores)).max(cores))
        };
        let known: f64 = vms.iter().filter_map(|vm| by_use(vm)).sum();
        let unknown = vms.iter().filter(|vm| by_use(vm).is_none() && vm.state == VmState::Active);
        let unknown_vcpus: f64 = unknown.map(|vm| f64::from(vm.cpu_cores)).sum();
        let per_vcpu = match self.five(node) {
            Some(five) if unknown_vcpus > 0.0 => ((five - known).max(0.0) / unknown_vcpus).min(1.0),
            Some(_) => 0.0,
            None => mean,
        };
        let by_vcpu =
            |vm: &VmInfo| if vm.state == VmState::Active { per_vcpu * f64::from(vm.cpu_cores) } else { 0.0 };
        vms.iter().map(|vm| (vm.id, by_use(vm).unwrap_or_else(|| by_vcpu(vm)))).collect()
    }

    /// Load for each busy CPU, where threads wait for one.
    fn stretch(&self, node: NodeId, vms: &[&VmInfo]) -> f64 {
        let Some((five, load)) = self.five(node).zip(self.nodes.get(&node).and_then(|n| n.load.as_ref()))
        else {
            return 1.0;
        };
        let uses: Option<Vec<f64>> = vms
            .iter()
            .filter(|vm| vm.state == VmState::Active || self.own_cores(vm).is_some())
            .map(|vm| self.own_cores(vm))
            .collect();
        let known = load.busy_cores.filter(|busy| busy.is_finite() && *busy > 0.0);
        let busy = known.or(uses.map(|uses| uses.iter().sum())).unwrap_or(0.0);
        let waits = load.cpu_pressure.is_none_or(|percent| percent >= CPU_PRESSURE_NONE);
        if waits && busy > 0.0 { (five / busy).max(1.0) } else { 1.0 }
    }

    /// The load that a node is taken to have: what it read, less what left and with what came since.
    fn node_load(&self, node: &NodeInfo, vm_loads: &BTreeMap<VmId, f64>) -> f64 {
        let (Some(five), Some(at)) = (self.five(node.id), self.read_at(node.id)) else { return 0.0 };
        let decayed = |younger: TimeDelta| match younger {
            younger if younger >= LOAD_FORGOTTEN => 0.0,
            younger => (-(younger.as_seconds_f64().max(0.0)) / LOAD_WINDOW.as_seconds_f64()).exp(),
        };
        let change = |recent: &RecentMove| {
            let (load, younger) = (vm_loads.get(&recent.vm).copied().unwrap_or(0.0), at - recent.ended);
            let left = if recent.source == node.id { load * decayed(younger) } else { 0.0 };
            let unseen = if younger < LOAD_WINDOW { 1.0 } else { decayed(younger) };
            let came = if recent.target == node.id { load * unseen } else { 0.0 };
            came - left
        };
        (five + self.policy.recent_moves.iter().map(change).sum::<f64>()).max(0.0)
    }

    /// Memory that a node really uses: what it read, and the memory of VMs on it that came since.
    fn in_use(&self, node: &NodeInfo) -> Option<f64> {
        let load = node.load.as_ref().filter(|load| self.now - load.at <= self.policy.measurement_max_age)?;
        let unseen = |recent: &&RecentMove| recent.target == node.id && recent.ended > load.at;
        let came: BTreeSet<VmId> =
            self.policy.recent_moves.iter().filter(unseen).map(|recent| recent.vm).collect();
        let here = came.iter().filter_map(|vm| self.vms.get(vm)).filter(|vm| vm.node == node.id);
        let brought: f64 = here.map(|vm| vm.memory.0 as f64).sum();
        Some(load.memory_used_mib?.0 as f64 + brought)
    }
}
