//! A node prepared for deciding: what it has and holds, its limits, and whether it is open.

use chrono::{DateTime, Utc};

use super::{
    amounts::{
        Amounts,
        Dimension::{self, Cpu, Disk, InUse, Load, Memory},
        Limit, MICRO, PerResource, per_threshold, share, to_signed,
    },
    brim::MEMORY_BRIM,
    load::{self, NodeLoad},
    plan::{Fullness, NodeClosed, Resource, TargetRefusal},
    policy::{Direction, Policy, Threshold},
    strain::{self, MEMORY_IN_USE_MAX},
};
use crate::model::{NodeInfo, NodeState, Snapshot, VmInfo};

/// A node with its limits in the board's units.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub info: &'a NodeInfo,
    /// What the node has; `None` where that is not known or does not count.
    pub capacity: PerResource<Option<i64>>,
    /// What the node holds at the start.
    pub start: Amounts,
    /// VMs on it at the start, as the server counts them.
    pub start_count: i64,
    /// Above this it is overloaded. Without limit where a resource does not count.
    pub over: PerResource<Limit>,
    /// No move fills it further. Without limit where a resource does not count.
    pub ceiling: PerResource<Limit>,
    /// The same where a node would stay overloaded otherwise.
    pub soft_ceiling: PerResource<Limit>,
    /// The same for a resource that is not the one to be relieved.
    pub far_ceiling: PerResource<Limit>,
    /// How much a unit of each resource weighs in the overload: one over (capacity × overload threshold).
    pub per_threshold: PerResource<f64>,
    /// How much of a threshold may be used: 1, or 0 on a node that is to be emptied.
    pub allowed: f64,
    /// How much a unit weighs where it is above the ceiling: one over the ceiling.
    pub per_ceiling: PerResource<f64>,
    /// How much a unit weighs in the imbalance: one over (capacity × overload threshold). Nothing on a node that takes
    /// no part in it.
    pub per_capacity: PerResource<f64>,
    /// The most memory that there really is.
    pub real_memory: Limit,
    /// The most memory outside the reserve.
    pub outside_reserve: Limit,
    /// The most VMs.
    pub room: Limit,
    /// Cores, in millionths.
    pub cores: i64,
    pub qemu_known: bool,
    pub known: bool,
    /// Whether measured load stands in for the vCPU ratio.
    pub by_load: bool,
    /// When the measured load counts again. It does not while VMs have left a short while ago.
    pub settles: Option<DateTime<Utc>>,
    /// Above this the load is over its threshold, whether it counts or not.
    pub load_limit: Limit,
    /// Whether VMs may come that add nothing to its load: then a load above the ceiling forbids them nothing.
    pub takes_idle: bool,
    pub source: Result<(), SourceClosed>,
    pub target: Result<(), TargetRefusal>,
}

/// Why no VM leaves a node by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SourceClosed {
    Excluded,
    Node(NodeClosed),
}

impl<'a> Node<'a> {
    /// `residents` are the VMs on it with what they need.
    pub(super) fn new(
        info: &'a NodeInfo,
        (snapshot, policy): (&Snapshot, &Policy),
        residents: &[(&VmInfo, Amounts)],
        measured: Option<NodeLoad>,
    ) -> Self {
        let sums: Amounts = residents.iter().map(|(_, needs)| *needs).sum();
        let infos: Vec<_> = residents.iter().map(|(vm, _)| *vm).collect();
        let in_use = load::memory_in_use(info, &infos, snapshot.taken_at, policy);
        let memory = info.memory_total.map_or(0, |memory| to_signed(memory.0));
        let cores = i64::from(info.cpu_total.unwrap_or(0)) * MICRO;
        let real_memory = info.real_memory().map_or(0, |memory| to_signed(memory.0));
        let known = memory > 0 && cores > 0;
        let has = |amount: i64| (amount > 0).then_some(amount);
        let disk = info.storage_available.map(|free| to_signed(free.0));
        let cpus = measured.map_or(0, |measured| measured.cpus);
        let limits = Limits::new(
            PerResource::new(has(memory), has(cores), has(cpus), has(real_memory), disk),
            policy,
            |r| match r {
                Memory => known,
                Cpu => known && measured.is_none(),
                Load => known && measured.is_some(),
                InUse => known && in_use.is_some(),
                Disk => known && disk.is_some(),
            },
        );
        let mut over = limits.over();
        let load_limit = over[Load];
        if measured.is_some_and(|measured| !measured.persistent || measured.settles.is_some()) {
            over[Load] = Limit::NONE;
        }
        if known && policy.memory_brims.contains(&info.id) {
            let brim = policy.memory.overload + MEMORY_BRIM;
            over[Memory] = Limit::within(memory, brim, Memory.scale());
        }
        let outside_reserve =
            Limit::within(real_memory, 100.0 - policy.memory_reserve_percent.clamp(0.0, 100.0), 100.0);
        let within_reserve = |mut ceiling: PerResource<Limit>| {
            ceiling[Memory] = ceiling[Memory].min(outside_reserve);
            ceiling
        };
        let ceiling = within_reserve(limits.ceiling());
        let soft_ceiling = within_reserve(limits.raised_ceiling(Threshold::soft_ceiling));
        let far_ceiling = within_reserve(limits.raised_ceiling(Threshold::far_ceiling));
        let (source, target) = openings(info, known, policy, snapshot.taken_at);
        Self {
            info,
            capacity: limits.capacity,
            start: Amounts::new(
                // Of two figures for one thing the careful one decides.
                sums[Memory].max(info.memory_used.map_or(0, |memory| to_signed(memory.0))),
                sums[Cpu].max(info.cpu_used.map_or(0, |cpu| i64::from(cpu) * MICRO)),
                measured.map_or(sums[Load], |measured| measured.five),
                in_use.unwrap_or(0),
                0,
            ),
            start_count: i64::from(info.vm_count).max(i64::try_from(residents.len()).unwrap_or(i64::MAX)),
            over,
            ceiling,
            soft_ceiling,
            far_ceiling,
            per_threshold: limits.per_threshold(&over),
            allowed: 1.0,
            per_ceiling: per_ceiling(&ceiling),
            per_capacity: limits.per_capacity(known && !info.maintenance),
            real_memory: Limit::at(real_memory),
            outside_reserve,
            room: info.vm_limit.map_or(Limit::NONE, |limit| Limit::at(i64::from(limit))),
            cores,
            qemu_known: info.qemu_version.as_ref().is_some_and(|version| version.compare(version).is_some()),
            known,
            by_load: known && measured.is_some(),
            settles: measured.filter(|measured| measured.persistent).and_then(|measured| measured.settles),
            load_limit,
            takes_idle: false,
            source,
            target,
        }
    }

    /// How much the node has of a resource; nothing where that is not known.
    pub(super) fn has(&self, r: Dimension) -> i64 {
        self.capacity[r].unwrap_or(0)
    }

    /// Raises the ceilings to what is allowed where a node would stay overloaded otherwise.
    pub(super) fn soften(&mut self) {
        self.ceiling = self.soft_ceiling;
        self.per_ceiling = per_ceiling(&self.ceiling);
    }

    /// Looks at one resource only: others make the node neither overloaded nor a refused target while they are far from
    /// their thresholds. Where one is not, no VM leaves the node.
    pub(super) fn look_only_at(&mut self, relieved: &[Dimension]) {
        for r in [Memory, Cpu, Load].into_iter().filter(|r| !relieved.contains(r)) {
            if self.far_ceiling[r].is_exceeded_by(self.start[r]) && self.source.is_ok() {
                self.source = Err(SourceClosed::Excluded);
            }
            self.over[r] = Limit::NONE;
            self.per_threshold[r] = 0.0;
            self.ceiling[r] = self.far_ceiling[r];
        }
        self.per_ceiling = per_ceiling(&self.ceiling);
    }

    /// Lowers the thresholds that the node is over by the margin of relief; tells whether there are any.
    pub(super) fn lower(&mut self, policy: &Policy) -> bool {
        let mut lowered = false;
        for (r, margin) in [(Memory, policy.relief_margin.memory), (Load, policy.relief_margin.load)] {
            if margin > 0.0 && self.over[r].is_exceeded_by(self.start[r]) {
                let threshold = self.threshold(r, policy).1.with_lower_thresholds(margin);
                self.over[r] = Limit::within(self.has(r), threshold.overload, r.scale());
                self.per_threshold[r] = per_threshold(threshold, self.has(r), r);
                lowered = true;
            }
        }
        lowered
    }

    /// The memory threshold lowered to where a node is near it, and the most memory that is not.
    fn near(&self, policy: &Policy) -> (Threshold, Limit) {
        let lower = policy.memory.with_lower_thresholds(policy.relief_ahead);
        (lower, Limit::within(self.has(Memory), lower.overload, Memory.scale()))
    }

    /// Tells whether a use is near the memory threshold, and over none.
    pub(crate) fn is_near(&self, used: &Amounts, policy: &Policy) -> bool {
        self.known && !self.is_over(used) && !self.is_far(used, policy)
    }

    /// Tells whether a use is below what is near the memory threshold.
    pub(crate) fn is_far(&self, used: &Amounts, policy: &Policy) -> bool {
        !self.near(policy).1.is_exceeded_by(used[Memory])
    }

    /// Looks at memory alone: what is near the threshold is over, and no arrival brings a node there.
    pub(crate) fn look_ahead(&mut self, policy: &Policy) {
        let is_near = self.is_near(&self.start, policy);
        let (lower, limit) = self.near(policy);
        for r in [Memory, Cpu, Load] {
            self.over[r] = Limit::NONE;
            self.per_threshold[r] = 0.0;
        }
        if is_near {
            self.over[Memory] = limit;
            self.per_threshold[Memory] = per_threshold(lower, self.has(Memory), Memory);
        }
        self.ceiling[Memory] = self.ceiling[Memory].min(limit);
        self.per_ceiling = per_ceiling(&self.ceiling);
    }

    /// Tells whether a use is over the threshold of load and over no other.
    pub(super) fn is_over_by_load_alone(&self, used: &Amounts) -> bool {
        let is_over = |r: &Dimension| self.over[*r].is_exceeded_by(used[*r]);
        Dimension::ALL.into_iter().filter(is_over).eq([Load])
    }

    /// The resources in which that use is above the target thresholds and to which an arrival with these needs adds.
    pub(super) fn softly_filled(&self, used: Amounts, needs: Amounts) -> impl Iterator<Item = Resource> {
        let resources = [(Memory, Resource::Memory), (Cpu, Resource::Cpu), (Load, Resource::Load)];
        let ceiling = self.ceiling;
        let filled =
            move |(r, _): &(Dimension, Resource)| needs[*r] > 0 && ceiling[*r].is_exceeded_by(used[*r]);
        resources.into_iter().filter(filled).map(|(_, resource)| resource)
    }

    /// Returns which limit of a target that holds so much an arrival with these needs would break.
    pub(super) fn overfilled_by(&self, held: Amounts, needs: Amounts) -> Option<TargetRefusal> {
        self.broken_by(&self.ceiling, held, needs)
    }

    /// The same for a target that may be filled beyond its target thresholds.
    pub(super) fn softly_overfilled_by(&self, held: Amounts, needs: Amounts) -> Option<TargetRefusal> {
        self.broken_by(&self.soft_ceiling, held, needs)
    }

    /// The same for a target of which only one resource matters.
    pub(super) fn overfilled_beside(
        &self,
        relieved: &[Dimension],
        held: Amounts,
        needs: Amounts,
    ) -> Option<TargetRefusal> {
        let ceiling = PerResource::of(|r| match relieved.contains(&r) {
            true => self.ceiling[r],
            false => self.far_ceiling[r],
        });
        self.broken_by(&ceiling, held, needs)
    }

    /// A limit counts for what the arrival changes: a VM that adds nothing to the load may come to any node that is not
    /// over its threshold of load.
    fn broken_by(
        &self,
        ceiling: &PerResource<Limit>,
        held: Amounts,
        needs: Amounts,
    ) -> Option<TargetRefusal> {
        let used = held + needs;
        let load_counts = needs[Load] > 0 || self.load_limit.is_exceeded_by(used[Load]);
        if ceiling[Memory].is_exceeded_by(used[Memory]) {
            if self.real_memory.is_exceeded_by(used[Memory]) && self.real_memory < Limit::at(self.has(Memory))
            {
                return Some(TargetRefusal::RealMemory);
            }
            let is_a_reserve = self.outside_reserve.is_exceeded_by(self.has(Memory));
            let reserve = is_a_reserve && self.outside_reserve.is_exceeded_by(used[Memory]);
            return Some(if reserve { TargetRefusal::Reserve } else { TargetRefusal::Memory });
        }
        if ceiling[Cpu].is_exceeded_by(used[Cpu]) {
            return Some(TargetRefusal::Cpu);
        }
        if load_counts && ceiling[Load].is_exceeded_by(used[Load]) {
            return Some(TargetRefusal::Load);
        }
        if ceiling[InUse].is_exceeded_by(used[InUse]) {
            return Some(TargetRefusal::MemoryInUse);
        }
        ceiling[Disk].is_exceeded_by(used[Disk]).then_some(TargetRefusal::Disk)
    }

    /// How far arrivals may fill it together. Where VMs without load may come, those alone leave a load above the ceiling
    /// as it is.
    fn filled_to(&self, r: Dimension) -> Limit {
        let stays = self.takes_idle && r == Load && !self.load_limit.is_exceeded_by(self.start[Load]);
        if stays { self.ceiling[r].max(Limit::at(self.start[r])) } else { self.ceiling[r] }
    }

    /// Tells whether that use is above one of its ceilings.
    pub(super) fn is_overfilled(&self, used: &Amounts) -> bool {
        Dimension::ALL.into_iter().any(|r| self.filled_to(r).is_exceeded_by(used[r]))
    }

    /// Tells whether that use is over one of the node's thresholds.
    pub(super) fn is_over(&self, used: &Amounts) -> bool {
        Dimension::ALL.into_iter().any(|r| self.over[r].is_exceeded_by(used[r]))
    }

    /// Returns by how much of the thresholds that use exceeds them, summed over the resources.
    pub(super) fn overload(&self, used: &Amounts) -> f64 {
        Dimension::ALL.into_iter().map(|r| self.overload_in(r, used[r])).sum()
    }

    /// Returns by how much of its ceilings that use exceeds them, summed over the resources.
    pub(super) fn overfill(&self, used: &Amounts) -> f64 {
        Dimension::ALL
            .into_iter()
            .map(|r| self.filled_to(r).excess(used[r]) as f64 * self.per_ceiling[r])
            .sum()
    }

    /// Returns by how much of its threshold the use of one resource exceeds it.
    pub(super) fn overload_in(&self, r: Dimension, used: i64) -> f64 {
        if self.over[r].is_exceeded_by(used) {
            (used as f64 * self.per_threshold[r] - self.allowed).max(0.0)
        } else {
            0.0
        }
    }

    /// How far the fullest resource would be filled, as a part of its ceiling.
    pub(super) fn share_of_ceiling(&self, used: Amounts) -> f64 {
        let of = |r| Some(share(used[r], self.ceiling[r].value()?.max(1)));
        Dimension::ALL.into_iter().filter_map(of).fold(0.0, f64::max)
    }

    pub(super) fn fullness(&self, used: Amounts) -> Fullness {
        let share = |r: Dimension| share(used[r], self.has(r)) * r.scale();
        Fullness { cpu: share(Cpu), load: self.by_load.then(|| share(Load)), memory_percent: share(Memory) }
    }

    /// The resource that a dimension stands for, with its threshold.
    pub(super) fn threshold(&self, r: Dimension, policy: &Policy) -> (Resource, Threshold) {
        match r {
            Memory => (Resource::Memory, policy.memory),
            Cpu => (Resource::Cpu, policy.cpu),
            _ => (Resource::Load, policy.load),
        }
    }
}

/// What a node has, with the thresholds that count for it.
struct Limits {
    capacity: PerResource<Option<i64>>,
    thresholds: PerResource<Threshold>,
    counts: PerResource<bool>,
}

impl Limits {
    fn new(
        capacity: PerResource<Option<i64>>,
        policy: &Policy,
        counts: impl FnMut(Dimension) -> bool,
    ) -> Self {
        let in_use = Threshold { overload: f64::INFINITY, target: MEMORY_IN_USE_MAX };
        let all = Threshold { overload: f64::INFINITY, target: 1.0 };
        let thresholds = PerResource::new(policy.memory, policy.cpu, policy.load, in_use, all);
        Self { capacity, thresholds, counts: PerResource::of(counts) }
    }

    fn limit(&self, r: Dimension, level: fn(&Threshold) -> f64) -> Limit {
        match self.counts[r] {
            true => Limit::within(self.capacity[r].unwrap_or(0), level(&self.thresholds[r]), r.scale()),
            false => Limit::NONE,
        }
    }

    /// Memory in use and disks never make a node overloaded.
    fn over(&self) -> PerResource<Limit> {
        PerResource::of(|r| match r {
            InUse | Disk => Limit::NONE,
            r => self.limit(r, |threshold| threshold.overload),
        })
    }

    fn ceiling(&self) -> PerResource<Limit> {
        PerResource::of(|r| self.limit(r, Threshold::ceiling))
    }

    /// Memory in use and disks have no other ceiling.
    fn raised_ceiling(&self, level: fn(&Threshold) -> f64) -> PerResource<Limit> {
        PerResource::of(|r| match r {
            InUse | Disk => self.limit(r, Threshold::ceiling),
            r => self.limit(r, level),
        })
    }

    fn weight(&self, r: Dimension) -> f64 {
        per_threshold(self.thresholds[r], self.capacity[r].unwrap_or(0), r)
    }

    fn per_threshold(&self, over: &PerResource<Limit>) -> PerResource<f64> {
        PerResource::of(|r| over[r].value().map_or(0.0, |_| self.weight(r)))
    }

    fn per_capacity(&self, takes_part: bool) -> PerResource<f64> {
        PerResource::of(|r| match r {
            Memory | Cpu if takes_part => self.weight(r),
            _ => 0.0,
        })
    }
}

fn per_ceiling(ceiling: &PerResource<Limit>) -> PerResource<f64> {
    PerResource::of(|r| ceiling[r].value().map_or(0.0, |most| 1.0 / most.max(1) as f64))
}

fn openings(
    node: &NodeInfo,
    known: bool,
    policy: &Policy,
    now: DateTime<Utc>,
) -> (Result<(), SourceClosed>, Result<(), TargetRefusal>) {
    let excluded = |closed: Direction| {
        policy.exclusions.iter().any(|exclusion| {
            exclusion.until.is_none_or(|until| until > now)
                && (exclusion.direction == closed || exclusion.direction == Direction::Both)
                && exclusion.node.is_node(node.id, &node.name)
        })
    };
    let closed = |why| Err(SourceClosed::Node(why));
    let active = node.state == NodeState::Active;
    let source = match () {
        () if !active => closed(NodeClosed::State(node.state.clone())),
        () if excluded(Direction::Source) => Err(SourceClosed::Excluded),
        () if node.maintenance => closed(NodeClosed::Maintenance),
        () if !known => closed(NodeClosed::UnknownCapacity),
        () => Ok(()),
    };
    let target = match () {
        () if node.maintenance => Err(TargetRefusal::Maintenance),
        () if is_unreadable(node) => Err(TargetRefusal::Unreadable),
        () if !active => Err(TargetRefusal::NotActive),
        () if !node.vm_creation_allowed => Err(TargetRefusal::CreationBlocked),
        () if let Some(fault) = node.faults.first() => Err(TargetRefusal::Fault(*fault)),
        () if !known => Err(TargetRefusal::UnknownCapacity),
        () if excluded(Direction::Target) => Err(TargetRefusal::Excluded),
        () => strain::refusal(node, now, policy).map_or(Ok(()), Err),
    };
    (source, target)
}

/// Tells whether nobody knows what the node holds, because a record is damaged.
pub(super) fn is_unreadable(node: &NodeInfo) -> bool {
    matches!(node.state, NodeState::Unreadable | NodeState::UnreadableVm)
}
