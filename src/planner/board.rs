//! One cluster prepared for deciding: what each node holds and may hold, what each VM needs, which rules bind them.
//!
//! Amounts are integers, so sums do not depend on the order of the snapshot. Must not know how a plan is searched.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    Direction, Fullness, NodeClosed, Policy, Resource, SkipWhy, TargetRefusal, Threshold, load,
    load::{Amounts, CPU, IN_USE, LOAD, MEMORY, MICRO, RESOURCES},
    strain,
};
use crate::model::{
    Block, ClusterInfo, NodeId, NodeInfo, NodeState, Snapshot, VmId, VmInfo, VmState, find::Selection,
};

/// A cluster, prepared.
#[derive(Clone)]
pub(super) struct Board<'a> {
    pub snapshot: &'a Snapshot,
    pub policy: &'a Policy,
    pub info: &'a ClusterInfo,
    /// By ascending id.
    pub nodes: Vec<Node<'a>>,
    /// By ascending id; only VMs on nodes of this cluster.
    pub vms: Vec<Vm<'a>>,
    /// Which VMs are on which node at the start.
    pub vms_on: Vec<Vec<usize>>,
    /// How many anti-affinity groups there are.
    pub groups: usize,
    /// The mean load of a vCPU on the measured nodes, in millionths of a core.
    pub load_per_vcpu: f64,
    node_index: HashMap<NodeId, usize>,
}

/// A node with its limits in the board's units.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub info: &'a NodeInfo,
    /// What the node has; 0 where it is not known or does not count.
    pub capacity: Amounts,
    /// What the node holds at the start.
    pub start: Amounts,
    /// VMs on it at the start, as the server counts them.
    pub start_count: i64,
    /// Above this it is overloaded; `i64::MAX` where a resource does not count.
    pub over: Amounts,
    /// No move fills it further; `i64::MAX` where a resource does not count.
    pub ceiling: Amounts,
    /// One over (capacity × overload threshold); 0 where overload is not counted.
    pub per_threshold: [f64; RESOURCES],
    /// What a resource may be used in units of its threshold: 1, or 0 on a node that is to be emptied.
    pub allowed: f64,
    /// One over the ceiling; 0 where a resource does not count.
    pub per_ceiling: [f64; RESOURCES],
    /// One over (capacity × threshold) as the imbalance counts it; 0 for a node that takes no part in it.
    pub per_capacity: [f64; RESOURCES],
    /// The most memory outside the reserve.
    pub outside_reserve: i64,
    pub room: i64,
    pub qemu: Option<u32>,
    pub known: bool,
    /// Load stands in for the vCPU ratio.
    pub by_load: bool,
    /// When the measured load will count again that does not while VMs have left too short a while ago.
    pub settles: Option<DateTime<Utc>>,
    /// Above this the load is over its threshold, whether it counts or not.
    pub load_limit: i64,
    pub source: Result<(), SourceClosed>,
    pub target: Result<(), TargetRefusal>,
}

/// A VM with its needs in the board's units.
#[derive(Clone)]
pub(super) struct Vm<'a> {
    pub info: &'a VmInfo,
    pub node: usize,
    pub needs: Amounts,
    pub groups: Vec<u16>,
    /// Whether its own state and the policy let it move; its node is not asked.
    pub free: Result<(), SkipWhy>,
}

/// Why no VM leaves a node by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SourceClosed {
    Excluded,
    Node(NodeClosed),
}

/// Where all VMs are at one step of a plan.
#[derive(Clone)]
pub(super) struct Placement {
    pub at: Vec<usize>,
    pub used: Vec<Amounts>,
    pub count: Vec<i64>,
    /// VMs of each anti-affinity group on each node: `node × groups + group`.
    in_group: Vec<u32>,
}

impl<'a> Board<'a> {
    pub fn new(snapshot: &'a Snapshot, policy: &'a Policy, info: &'a ClusterInfo) -> Self {
        let mut infos: Vec<&NodeInfo> = snapshot.nodes_of(info.id).collect();
        infos.sort_by_key(|node| node.id);
        let node_index: HashMap<_, _> = infos.iter().enumerate().map(|(i, node)| (node.id, i)).collect();
        let mut on_nodes: Vec<(&VmInfo, usize)> =
            snapshot.vms.iter().filter_map(|vm| Some((vm, *node_index.get(&vm.node)?))).collect();
        on_nodes.sort_by_key(|(vm, _)| vm.id);

        let loads = load::Loads::new(snapshot, policy, &infos, &on_nodes);
        let pins = Selection::new(policy.pinned.iter().map(|selector| selector.0.as_str()));
        let apart: Vec<_> = policy
            .anti_affinity
            .iter()
            .map(|group| Selection::new(group.0.iter().map(String::as_str)))
            .collect();
        let vms: Vec<Vm<'a>> = on_nodes
            .into_iter()
            .enumerate()
            .map(|(index, (vm, node))| Vm {
                info: vm,
                node,
                needs: [
                    signed(vm.memory.0),
                    i64::from(vm.cpu_cores) * MICRO,
                    loads.of_vm(index),
                    signed(vm.memory.0),
                ],
                groups: groups_of(&apart, vm),
                free: free(vm, policy, &pins, snapshot.taken_at),
            })
            .collect();
        let mut vms_on = vec![Vec::new(); infos.len()];
        for (index, vm) in vms.iter().enumerate() {
            vms_on[vm.node].push(index);
        }
        let ranks = qemu_ranks(&infos);
        let nodes = infos
            .iter()
            .enumerate()
            .map(|(i, node)| {
                let residents: Vec<_> = vms_on[i].iter().map(|vm| &vms[*vm]).collect();
                Node::new(node, snapshot, policy, &residents, loads.of_node(i), ranks[i])
            })
            .collect();
        Self {
            snapshot,
            policy,
            info,
            nodes,
            vms,
            vms_on,
            groups: policy.anti_affinity.len(),
            load_per_vcpu: loads.mean_per_vcpu,
            node_index,
        }
    }

    pub fn node_of(&self, id: NodeId) -> Option<usize> {
        self.node_index.get(&id).copied()
    }

    pub fn vm_of(&self, id: VmId) -> Option<usize> {
        self.vms.binary_search_by_key(&id, |vm| vm.info.id).ok()
    }

    /// The placement that the snapshot shows.
    pub fn start(&self) -> Placement {
        let mut in_group = vec![0; self.nodes.len() * self.groups];
        for vm in &self.vms {
            for group in &vm.groups {
                in_group[vm.node * self.groups + usize::from(*group)] += 1;
            }
        }
        Placement {
            at: self.vms.iter().map(|vm| vm.node).collect(),
            used: self.nodes.iter().map(|node| node.start).collect(),
            count: self.nodes.iter().map(|node| node.start_count).collect(),
            in_group,
        }
    }

    /// The same cluster as it will be after these steps.
    pub fn after(&self, steps: &[super::search::Step]) -> Self {
        let mut end = self.start();
        for step in steps {
            self.apply(&mut end, step.vm, step.target);
        }
        let mut after = self.clone();
        for (node, facts) in after.nodes.iter_mut().enumerate() {
            facts.start = end.used[node];
            facts.start_count = end.count[node];
        }
        after.vms_on.iter_mut().for_each(Vec::clear);
        for (vm, node) in end.at.into_iter().enumerate() {
            after.vms[vm].node = node;
            after.vms_on[node].push(vm);
        }
        after
    }

    /// The same cluster with loads that settle counted as they are predicted: for a plan that is under way.
    pub fn going_on(mut self) -> Self {
        for facts in self.nodes.iter_mut().filter(|facts| facts.settles.is_some()) {
            facts.over[LOAD] = facts.load_limit;
            facts.per_threshold[LOAD] = load::per_threshold(self.policy.load, facts.capacity[LOAD], LOAD);
        }
        self
    }

    /// The same cluster with one node that wants to be rid of everything, and no other that wants relief.
    pub fn draining(&self, node: usize) -> Self {
        let mut draining = self.clone();
        for facts in &mut draining.nodes {
            facts.over = [i64::MAX; RESOURCES];
            facts.per_threshold = [0.0; RESOURCES];
        }
        // One more than its VMs need: each of them then still takes something off.
        let sums = sum(self.vms_on[node].iter().map(|vm| self.vms[*vm].needs));
        let facts = &mut draining.nodes[node];
        facts.target = Err(TargetRefusal::Excluded);
        facts.start = [sums[MEMORY] + 1, sums[CPU] + 1, sums[LOAD], facts.start[IN_USE]];
        facts.over = [0, 0, i64::MAX, i64::MAX];
        // All of it is too much, and none is forgiven: what stays weighs as much as a node at twice its thresholds.
        let per = |r: usize| 1.0 / facts.start[r] as f64;
        facts.per_threshold = [per(MEMORY), per(CPU), 0.0, 0.0];
        facts.allowed = 0.0;
        draining
    }

    /// Tells whether the VM may leave the node where it starts.
    pub fn movable(&self, vm: usize, drain: bool) -> Result<(), SkipWhy> {
        let vm = &self.vms[vm];
        vm.free.clone()?;
        match &self.nodes[vm.node].source {
            Ok(()) => Ok(()),
            Err(SourceClosed::Node(NodeClosed::Maintenance)) if drain => Ok(()),
            Err(SourceClosed::Excluded) => Err(SkipWhy::ExcludedSource),
            Err(SourceClosed::Node(closed)) => Err(SkipWhy::NodeState(closed.clone())),
        }
    }

    /// Returns why the target may not take the VM from where it is; every rule of a single step is here.
    pub fn refusal(&self, placement: &Placement, vm: usize, target: usize) -> Option<TargetRefusal> {
        let source = placement.at[vm];
        if source == target {
            return Some(TargetRefusal::SameNode);
        }
        let (from, to, what) = (&self.nodes[source], &self.nodes[target], &self.vms[vm]);
        if let Err(refusal) = to.target {
            return Some(refusal);
        }
        if !qemu_allows(from.qemu, to.qemu) {
            return Some(TargetRefusal::OlderQemu);
        }
        if placement.count[target] >= to.room {
            return Some(TargetRefusal::VmLimit);
        }
        if self.crowded(placement, vm, target) {
            return Some(TargetRefusal::AntiAffinity);
        }
        to.overfilled_by(load::plus(placement.used[target], what.needs_on(target)))
    }

    /// Tells whether a VM of one of its anti-affinity groups is on the target.
    pub fn crowded(&self, placement: &Placement, vm: usize, target: usize) -> bool {
        let on_target = |group: &u16| placement.in_group[target * self.groups + usize::from(*group)] > 0;
        self.vms[vm].groups.iter().any(on_target)
    }

    /// Carries out one migration.
    pub fn apply(&self, placement: &mut Placement, vm: usize, target: usize) {
        let source = std::mem::replace(&mut placement.at[vm], target);
        let what = &self.vms[vm];
        placement.used[source] = load::minus(placement.used[source], what.needs_on(source));
        placement.used[target] = load::plus(placement.used[target], what.needs_on(target));
        placement.count[source] -= 1;
        placement.count[target] += 1;
        for group in &what.groups {
            placement.in_group[source * self.groups + usize::from(*group)] -= 1;
            placement.in_group[target * self.groups + usize::from(*group)] += 1;
        }
    }

    pub fn fullness(&self, node: usize, used: Amounts) -> Fullness {
        self.nodes[node].fullness(used)
    }

    /// What a migration costs: RAM in GiB and 4 for the VM itself, and the disk where it must be copied.
    pub fn cost(&self, vm: usize) -> f64 {
        let info = self.vms[vm].info;
        info.memory.gib() + super::COST_PER_VM + self.disk(vm).map_or(0.0, crate::model::Mib::gib)
    }

    /// The disk that must be copied with a VM: known, and on storage that is known to be local.
    pub fn disk(&self, vm: usize) -> Option<crate::model::Mib> {
        self.vms[vm].info.disk.filter(|_| self.info.local_storage == Some(true))
    }
}

impl Vm<'_> {
    /// What the VM adds to a node. At home its memory in use is part of what was measured there, and stays so for this
    /// plan when it leaves.
    pub fn needs_on(&self, node: usize) -> Amounts {
        match node == self.node {
            true => load::as_at_home(self.needs),
            false => self.needs,
        }
    }
}

impl<'a> Node<'a> {
    fn new(
        info: &'a NodeInfo,
        snapshot: &Snapshot,
        policy: &Policy,
        residents: &[&Vm<'_>],
        measured: Option<load::NodeLoad>,
        qemu: Option<u32>,
    ) -> Self {
        let sums = sum(residents.iter().map(|vm| vm.needs));
        let listed = i64::try_from(residents.len()).unwrap_or(i64::MAX);
        let infos: Vec<_> = residents.iter().map(|vm| vm.info).collect();
        let in_use = load::memory_in_use(info, &infos, snapshot.taken_at, policy);
        let memory = info.memory_total.map_or(0, |memory| signed(memory.0));
        let cores = i64::from(info.cpu_total.unwrap_or(0)) * MICRO;
        let known = memory > 0 && cores > 0;
        let by_load = known && measured.is_some();
        let capacity = [memory, cores, measured.map_or(0, |measured| measured.cpus), memory];
        let in_use_limits = Threshold { overload: f64::INFINITY, target: super::MEMORY_IN_USE_MAX };
        let thresholds = [policy.memory, policy.cpu, policy.load, in_use_limits];
        let counts = [known, known && !by_load, by_load, known && in_use.is_some()];
        let limit = |r: usize, level: fn(&Threshold) -> f64| match counts[r] {
            true => load::largest_within(capacity[r], level(&thresholds[r]), load::SCALE[r]),
            false => i64::MAX,
        };
        let mut over: Amounts = std::array::from_fn(|r| limit(r, |threshold| threshold.overload));
        let mut ceiling: Amounts = std::array::from_fn(|r| limit(r, Threshold::ceiling));
        over[IN_USE] = i64::MAX;
        let load_limit = over[LOAD];
        if measured.is_some_and(|measured| !measured.persistent || measured.settles.is_some()) {
            over[LOAD] = i64::MAX;
        }
        let outside_reserve =
            load::largest_within(memory, 100.0 - policy.memory_reserve_percent.clamp(0.0, 100.0), 100.0);
        ceiling[MEMORY] = ceiling[MEMORY].min(outside_reserve);
        let per_threshold = std::array::from_fn(|r| match over[r] {
            i64::MAX => 0.0,
            _ => load::per_threshold(thresholds[r], capacity[r], r),
        });
        let per_ceiling = std::array::from_fn(|r| match ceiling[r] {
            i64::MAX => 0.0,
            ceiling => 1.0 / ceiling.max(1) as f64,
        });
        let even = |r: usize| load::per_threshold(thresholds[r], capacity[r], r);
        let per_capacity =
            std::array::from_fn(|r| if known && !info.maintenance && r < LOAD { even(r) } else { 0.0 });
        let (source, target) = openings(info, known, policy, snapshot.taken_at);
        Self {
            info,
            capacity,
            start: [
                info.memory_used.map_or(sums[MEMORY], |memory| signed(memory.0)),
                info.cpu_used.map_or(sums[CPU], |cpu| i64::from(cpu) * MICRO),
                measured.map_or(sums[LOAD], |measured| measured.five),
                in_use.unwrap_or(0),
            ],
            start_count: i64::from(info.vm_count).max(listed),
            over,
            ceiling,
            per_threshold,
            allowed: 1.0,
            per_ceiling,
            per_capacity,
            outside_reserve,
            room: info.vm_limit.map_or(i64::MAX, i64::from),
            qemu,
            known,
            by_load,
            settles: measured.filter(|measured| measured.persistent).and_then(|measured| measured.settles),
            load_limit,
            source,
            target,
        }
    }

    /// Returns which limit of a target that use would break.
    pub fn overfilled_by(&self, used: Amounts) -> Option<TargetRefusal> {
        if used[MEMORY] > self.ceiling[MEMORY] {
            let reserve = used[MEMORY] > self.outside_reserve && self.outside_reserve < self.capacity[MEMORY];
            return Some(if reserve { TargetRefusal::Reserve } else { TargetRefusal::Memory });
        }
        if used[CPU] > self.ceiling[CPU] {
            return Some(TargetRefusal::Cpu);
        }
        if used[LOAD] > self.ceiling[LOAD] {
            return Some(TargetRefusal::Load);
        }
        (used[IN_USE] > self.ceiling[IN_USE]).then_some(TargetRefusal::MemoryInUse)
    }

    /// Tells whether that use is over one of the node's thresholds.
    pub fn is_over(&self, used: &Amounts) -> bool {
        (0..RESOURCES).any(|r| used[r] > self.over[r])
    }

    /// Returns by how much of the thresholds that use exceeds them, summed over the resources.
    pub fn overload(&self, used: &Amounts) -> f64 {
        (0..RESOURCES).map(|r| self.overload_in(r, used[r])).sum()
    }

    /// Returns by how much of its ceilings that use exceeds them, summed over the resources.
    pub fn overfill(&self, used: &Amounts) -> f64 {
        let of = |r: usize| {
            let beyond = used[r].saturating_sub(self.ceiling[r]);
            if beyond > 0 { beyond as f64 * self.per_ceiling[r] } else { 0.0 }
        };
        (0..RESOURCES).map(of).sum()
    }

    /// Returns by how much of its threshold the use of one resource exceeds it.
    pub fn overload_in(&self, r: usize, used: i64) -> f64 {
        if used > self.over[r] { (used as f64 * self.per_threshold[r] - self.allowed).max(0.0) } else { 0.0 }
    }

    pub fn fullness(&self, used: Amounts) -> Fullness {
        let share = |r: usize| load::share(used[r], self.capacity[r]) * load::SCALE[r];
        Fullness { cpu: share(CPU), load: self.by_load.then(|| share(LOAD)), memory_percent: share(MEMORY) }
    }

    /// The resource that a dimension stands for, with its threshold.
    pub fn threshold(&self, r: usize, policy: &Policy) -> (Resource, Threshold) {
        match r {
            MEMORY => (Resource::Memory, policy.memory),
            CPU => (Resource::Cpu, policy.cpu),
            _ => (Resource::Load, policy.load),
        }
    }
}

/// Tells whether a VM may go from a QEMU of one rank to another; what is not known does not forbid.
pub(super) fn qemu_allows(source: Option<u32>, target: Option<u32>) -> bool {
    match (source, target) {
        (Some(source), Some(target)) => target >= source,
        _ => true,
    }
}

pub(super) fn sum(amounts: impl Iterator<Item = Amounts>) -> Amounts {
    amounts.fold([0; RESOURCES], load::plus)
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
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
        () if !active => Err(TargetRefusal::NotActive),
        () if !node.vm_creation_allowed => Err(TargetRefusal::CreationBlocked),
        () if !known => Err(TargetRefusal::UnknownCapacity),
        () if excluded(Direction::Target) => Err(TargetRefusal::Excluded),
        () => strain::refusal(node, now, policy).map_or(Ok(()), Err),
    };
    (source, target)
}

fn free(vm: &VmInfo, policy: &Policy, pins: &Selection, now: DateTime<Utc>) -> Result<(), SkipWhy> {
    if vm.state != VmState::Active {
        return Err(SkipWhy::State(vm.state.clone()));
    }
    let lifted = |block: &&Block| **block == Block::BalancerMode && !policy.respect_balancer_mode;
    if let Some(block) = vm.blocked_by.iter().find(|block| !lifted(block)) {
        return Err(SkipWhy::Blocked(block.clone()));
    }
    if pins.holds(vm.id.0, &vm.name) {
        return Err(SkipWhy::Pinned);
    }
    match policy.resting.get(&vm.id) {
        Some(rest) if rest.until > now => Err(SkipWhy::Resting { until: rest.until, why: rest.why }),
        _ => Ok(()),
    }
}

fn groups_of(apart: &[Selection], vm: &VmInfo) -> Vec<u16> {
    let numbered = apart.iter().zip(0u16..);
    numbered.filter(|(group, _)| group.holds(vm.id.0, &vm.name)).map(|(_, number)| number).collect()
}

/// Ranks the QEMU versions of the nodes, equal versions alike; `None` for those without a number.
fn qemu_ranks(nodes: &[&NodeInfo]) -> Vec<Option<u32>> {
    let known = |node: &&NodeInfo| node.qemu_version.clone().filter(|v| v.compare(v).is_some());
    let mut versions: Vec<_> = nodes.iter().filter_map(known).collect();
    versions.sort_by(|a, b| a.compare(b).unwrap_or(std::cmp::Ordering::Equal));
    versions.dedup_by(|a, b| a.compare(b) == Some(std::cmp::Ordering::Equal));
    let rank = |node: &&NodeInfo| {
        let own = known(node)?;
        let place = versions.iter().position(|v| v.compare(&own) == Some(std::cmp::Ordering::Equal))?;
        u32::try_from(place).ok()
    };
    nodes.iter().map(rank).collect()
}
