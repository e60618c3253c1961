//! One cluster prepared for deciding: what each node holds and may hold, what each VM needs, which rules bind them.
//!
//! Amounts are integers, so sums do not depend on the order of the snapshot. Must not know how a plan is searched.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    amounts::{
        Amounts,
        Dimension::{self, Cpu, Disk, InUse, Load, Memory},
        Limit, MICRO, PerResource, per_threshold, share, to_signed,
    },
    load,
    node::{Node, SourceClosed},
    plan::{Caution, Fullness, NodeClosed, SkipWhy, TargetRefusal},
    policy::{Lenience, Policy, Strategy},
    step::Step,
    terms::Links,
};
use crate::model::{
    Block, ClusterInfo, Mib, NodeId, NodeInfo, Snapshot, VmId, VmInfo, VmState,
    find::{Selection, Selections},
};

/// What a migration costs besides a unit for each GiB: starting one is work for people and machines too.
pub(super) const COST_PER_VM: f64 = 4.0;

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
    pub links: Links,
    node_index: HashMap<NodeId, usize>,
}

/// A VM with its needs in the board's units.
#[derive(Clone)]
pub(super) struct Vm<'a> {
    pub info: &'a VmInfo,
    pub node: usize,
    pub needs: Amounts,
    pub groups: Vec<u16>,
    /// Nodes that VMmanager declined for it, ascending; mostly none.
    pub declined: Vec<usize>,
    /// Whether it may go only to nodes that are not known to have another CPU.
    pub needs_same_cpu: bool,
    /// Whether its own state and the policy let it move; its node is not asked.
    pub free: Result<(), SkipWhy>,
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
    pub(super) fn new(snapshot: &'a Snapshot, policy: &'a Policy, info: &'a ClusterInfo) -> Self {
        let mut infos: Vec<&NodeInfo> = snapshot.nodes_of(info.id).collect();
        infos.sort_by_key(|node| node.id);
        let node_index: HashMap<_, _> = infos.iter().enumerate().map(|(i, node)| (node.id, i)).collect();
        // Where there are a thousand clusters, most VMs are elsewhere.
        let ids = infos.first().zip(infos.last()).map(|(first, last)| first.id..=last.id);
        let is_near = |vm: &&VmInfo| ids.as_ref().is_some_and(|ids| ids.contains(&vm.node));
        let near = snapshot.vms.iter().filter(is_near);
        let mut on_nodes: Vec<(&VmInfo, usize)> =
            near.filter_map(|vm| Some((vm, *node_index.get(&vm.node)?))).collect();
        on_nodes.sort_by_key(|(vm, _)| vm.id);

        let loads = load::Loads::new(snapshot, policy, &infos, &on_nodes);
        let pins = Selection::new(policy.pinned.iter().map(|selector| selector.0.as_str()));
        let apart = Selections::new(policy.anti_affinity.iter().map(|group| group.0.as_slice()));
        // Storage of which nothing is known counts as local.
        let copies_disks =
            info.local_storage != Some(false) && infos.iter().any(|node| node.storage_available.is_some());
        let vms: Vec<Vm<'a>> = on_nodes
            .into_iter()
            .enumerate()
            .map(|(index, (vm, node))| Vm {
                info: vm,
                node,
                needs: Amounts::new(
                    to_signed(vm.memory.0),
                    i64::from(vm.cpu_cores) * MICRO,
                    loads.of_vm(index),
                    to_signed(vm.memory.0),
                    disk_needs(vm, copies_disks),
                ),
                groups: apart.holding(vm.id.0, &vm.name),
                declined: declined_targets(policy, vm.id, &node_index),
                needs_same_cpu: vm.host_passthrough && policy.host_passthrough != Lenience::Allow,
                free: free(vm, policy, &pins, snapshot.taken_at),
            })
            .collect();
        let mut vms_on = vec![Vec::new(); infos.len()];
        for (index, vm) in vms.iter().enumerate() {
            vms_on[vm.node].push(index);
        }
        let mut nodes: Vec<_> = infos
            .iter()
            .enumerate()
            .map(|(i, node)| {
                let residents: Vec<_> = vms_on[i].iter().map(|vm| (vms[*vm].info, vms[*vm].needs)).collect();
                Node::new(node, (snapshot, policy), &residents, loads.of_node(i))
            })
            .collect();
        let any_idle = vms.iter().any(|vm| vm.free.is_ok() && vm.needs[Load] == 0);
        nodes.iter_mut().for_each(|node| node.takes_idle = any_idle);
        Self {
            snapshot,
            policy,
            info,
            nodes,
            vms,
            vms_on,
            groups: policy.anti_affinity.len(),
            load_per_vcpu: loads.mean_per_vcpu,
            links: Links::new(&infos, policy.newer_kernel),
            node_index,
        }
    }

    pub(super) fn node_of(&self, id: NodeId) -> Option<usize> {
        self.node_index.get(&id).copied()
    }

    pub(super) fn vm_of(&self, id: VmId) -> Option<usize> {
        self.vms.binary_search_by_key(&id, |vm| vm.info.id).ok()
    }

    /// The placement that the snapshot shows.
    pub(super) fn start(&self) -> Placement {
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
    pub(super) fn after(&self, steps: &[Step]) -> Self {
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

    /// The order of the nodes that follows from what they are and hold, and not from their ids: two nodes change places
    /// only if they are alike.
    pub(super) fn natural_order(&self) -> Vec<usize> {
        let size = |node: usize| {
            let facts = &self.nodes[node];
            (
                facts.capacity,
                facts.start,
                facts.start_count,
                facts.room,
                facts.source.is_ok(),
                facts.target.is_ok(),
            )
        };
        let holds = |node: usize| {
            let mut needs: Vec<_> = self.vms_on[node].iter().map(|vm| self.vms[*vm].needs).collect();
            needs.sort_unstable();
            needs
        };
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by(|a, b| size(*a).cmp(&size(*b)).then_with(|| holds(*a).cmp(&holds(*b))).then(a.cmp(b)));
        order
    }

    /// The same cluster with its nodes in that order.
    pub(super) fn with_node_order(&self, order: &[usize]) -> Self {
        let mut number = vec![0; order.len()];
        order.iter().enumerate().for_each(|(now, before)| number[*before] = now);
        let mut board = self.clone();
        board.nodes = order.iter().map(|node| self.nodes[*node].clone()).collect();
        board.vms_on = order.iter().map(|node| self.vms_on[*node].clone()).collect();
        board.links = board.links.with_node_order(order);
        board.node_index.values_mut().for_each(|node| *node = number[*node]);
        for vm in &mut board.vms {
            vm.node = number[vm.node];
            vm.declined.iter_mut().for_each(|node| *node = number[*node]);
            vm.declined.sort_unstable();
        }
        board
    }

    /// The same cluster with loads that settle counted as they are predicted: for a plan that is under way.
    pub(super) fn going_on(mut self) -> Self {
        for facts in self.nodes.iter_mut().filter(|facts| facts.settles.is_some()) {
            facts.over[Load] = facts.load_limit;
            facts.per_threshold[Load] = per_threshold(self.policy.load, facts.has(Load), Load);
        }
        self
    }

    /// The same cluster with the thresholds of overloaded nodes lowered by the margin of relief; `None` where none is.
    pub(super) fn with_margin(&self) -> Option<Self> {
        let margin = self.policy.relief_margin;
        let any_over = || self.nodes.iter().any(|node| node.is_over(&node.start));
        if margin.memory.max(margin.load) <= 0.0 || !any_over() {
            return None;
        }
        let mut lower = self.clone();
        let lowered = lower.nodes.iter_mut().filter_map(|node| node.lower(self.policy).then_some(())).count();
        (lowered > 0).then_some(lower)
    }

    /// The same cluster where only nodes near their memory thresholds want relief, and targets do not come near theirs;
    /// `None` where no node is.
    pub(crate) fn looking_ahead(&self) -> Option<Self> {
        let any_near = |policy: &Policy| self.nodes.iter().any(|node| node.is_near(&node.start, policy));
        if !any_near(self.policy) {
            return None;
        }
        let mut ahead = self.clone();
        ahead.nodes.iter_mut().for_each(|node| node.look_ahead(self.policy));
        Some(ahead)
    }

    /// The same cluster with targets that may be filled beyond their target thresholds.
    pub(super) fn with_soft_targets(&self) -> Self {
        let mut soft = self.clone();
        soft.nodes.iter_mut().for_each(Node::soften);
        soft
    }

    /// The same cluster with one resource looked at, so that others do not forbid its relief while they are far from
    /// their thresholds; `None` where no node is over by it or nothing is gained.
    pub(super) fn looking_only_at(&self, relieved: &[Dimension]) -> Option<Self> {
        let is_over = |node: &Node<'_>| relieved.iter().any(|r| node.over[*r].is_exceeded_by(node.start[*r]));
        let is_raised = |node: &Node<'_>| node.far_ceiling != node.ceiling;
        if !self.nodes.iter().any(is_over) || !self.nodes.iter().any(is_raised) {
            return None;
        }
        let mut only = self.clone();
        only.nodes.iter_mut().for_each(|node| node.look_only_at(relieved));
        Some(only)
    }

    /// The same cluster for a policy that differs in its strategy alone.
    pub(super) fn under<'b>(&'b self, policy: &'b Policy) -> Board<'b> {
        Board { policy, ..self.clone() }
    }

    /// The same cluster with one node that wants to be rid of everything, and no other that wants relief.
    pub(super) fn draining(&self, node: usize) -> Self {
        let mut draining = self.clone();
        for facts in &mut draining.nodes {
            facts.over = PerResource::of(|_| Limit::NONE);
            facts.per_threshold = PerResource::default();
        }
        // One more than its VMs need: each of them then still takes something off.
        let sums: Amounts = self.vms_on[node].iter().map(|vm| self.vms[*vm].needs).sum();
        let facts = &mut draining.nodes[node];
        facts.target = Err(TargetRefusal::Excluded);
        facts.start =
            Amounts::new(sums[Memory] + 1, sums[Cpu] + 1, sums[Load], facts.start[InUse], facts.start[Disk]);
        facts.over = PerResource::of(|r| if matches!(r, Memory | Cpu) { Limit::at(0) } else { Limit::NONE });
        // All of it is too much, and none is forgiven: what stays weighs as much as a node at twice its thresholds.
        let per = |amount: i64| 1.0 / amount as f64;
        facts.per_threshold =
            PerResource::new(per(facts.start[Memory]), per(facts.start[Cpu]), 0.0, 0.0, 0.0);
        facts.allowed = 0.0;
        draining
    }

    /// Tells whether the VM may leave the node where it starts.
    pub(super) fn movable(&self, vm: usize, drain: bool) -> Result<(), SkipWhy> {
        let vm = &self.vms[vm];
        vm.free.clone()?;
        match &self.nodes[vm.node].source {
            Ok(()) => Ok(()),
            Err(SourceClosed::Node(NodeClosed::Maintenance)) if drain => Ok(()),
            Err(SourceClosed::Excluded) => Err(SkipWhy::ExcludedSource),
            Err(SourceClosed::Node(closed)) => Err(SkipWhy::NodeState(closed.clone())),
        }
    }

    /// Tells whether a VM may leave an overloaded node with this use, and whether that is worth its cost. On a node that
    /// is over by load alone, the VM must take off enough load for its RAM. Evening out weighs the cost by itself.
    pub(super) fn may_relieve(&self, vm: usize, node: usize, used: &Amounts) -> Result<(), SkipWhy> {
        self.movable(vm, false)?;
        let facts = &self.nodes[node];
        let by_worth = self.policy.strategy == Strategy::Relieve && facts.is_over_by_load_alone(used);
        let takes_off = share(self.vms[vm].needs[Load], facts.has(Load));
        match by_worth && takes_off < self.policy.relief_worth * self.cost(vm) {
            true => Err(SkipWhy::NotWorthIt),
            false => Ok(()),
        }
    }

    /// Returns why the target may not take the VM from where it is; every rule of a single step is here.
    pub(super) fn refusal(&self, placement: &Placement, vm: usize, target: usize) -> Option<TargetRefusal> {
        self.obstacle(placement, vm, target).or_else(|| {
            self.nodes[target].overfilled_by(placement.used[target], self.vms[vm].needs_on(target))
        })
    }

    /// The same where the target may be filled beyond its target thresholds.
    pub(super) fn soft_refusal(
        &self,
        placement: &Placement,
        vm: usize,
        target: usize,
    ) -> Option<TargetRefusal> {
        self.obstacle(placement, vm, target).or_else(|| {
            self.nodes[target].softly_overfilled_by(placement.used[target], self.vms[vm].needs_on(target))
        })
    }

    /// The same where one resource is relieved, and others count only near their thresholds.
    pub(super) fn refusal_beside(
        &self,
        relieved: &[Dimension],
        placement: &Placement,
        vm: usize,
        target: usize,
    ) -> Option<TargetRefusal> {
        self.obstacle(placement, vm, target).or_else(|| {
            let needs = self.vms[vm].needs_on(target);
            self.nodes[target].overfilled_beside(relieved, placement.used[target], needs)
        })
    }

    /// What a target holds once it has taken the VM.
    pub(super) fn fill_after(&self, placement: &Placement, vm: usize, target: usize) -> Amounts {
        placement.used[target] + self.vms[vm].needs_on(target)
    }

    /// Every rule of a single step but how full the target becomes.
    fn obstacle(&self, placement: &Placement, vm: usize, target: usize) -> Option<TargetRefusal> {
        let source = placement.at[vm];
        if source == target {
            return Some(TargetRefusal::SameNode);
        }
        let (to, what) = (&self.nodes[target], &self.vms[vm]);
        // A VM that is on its way leaves no node that is closed as a source.
        if source != what.node && self.nodes[source].source.is_err() {
            return Some(TargetRefusal::Excluded);
        }
        if let Err(refusal) = to.target {
            return Some(refusal);
        }
        if let Some(refusal) = self.barrier(what.needs, what.needs_same_cpu, source, target) {
            return Some(refusal);
        }
        if what.declined.contains(&target) {
            return Some(TargetRefusal::Declined);
        }
        if to.room.is_reached_by(placement.count[target]) {
            return Some(TargetRefusal::VmLimit);
        }
        self.breaks_anti_affinity(placement, vm, target).then_some(TargetRefusal::AntiAffinity)
    }

    /// Returns why a VM never goes from one node to another, however empty that is.
    pub(super) fn barrier(
        &self,
        needs: Amounts,
        needs_same_cpu: bool,
        source: usize,
        target: usize,
    ) -> Option<TargetRefusal> {
        let link = self.links.between(source, target);
        let checks = [
            (needs_same_cpu && link.other_cpu, TargetRefusal::OtherCpu),
            (needs[Cpu] > self.nodes[target].cores, TargetRefusal::TooFewCores),
        ];
        link.refusal.or_else(|| checks.into_iter().find_map(|(holds, refusal)| holds.then_some(refusal)))
    }

    /// Returns what a migration risks that the policy would rather avoid.
    pub(super) fn cautions(&self, placement: &Placement, vm: usize, target: usize) -> Vec<Caution> {
        let source = placement.at[vm];
        let (from, to) = (self.nodes[source].info, self.nodes[target].info);
        let kernels = from.kernel_version.clone().zip(to.kernel_version.clone());
        let newer = kernels.filter(|_| self.links.between(source, target).newer_kernel);
        let newer = newer.map(|(source, target)| Caution::NewerKernel { source, target });
        let same_cpu = from.cpu().is_some() && to.cpu().is_some();
        let passthrough = self.vms[vm].needs_same_cpu.then_some(Caution::HostPassthrough { same_cpu });
        let soft =
            self.nodes[target].softly_filled(self.fill_after(placement, vm, target), self.vms[vm].needs);
        let soft = soft.map(|resource| Caution::SoftTarget { resource });
        let lifted = self.policy.rest_lifted(self.vms[vm].info.id, self.snapshot.taken_at);
        let moved = lifted.map(|until| Caution::MovedLately { until });
        newer.into_iter().chain(passthrough).chain(soft).chain(moved).collect()
    }

    /// The same cluster without the moves that the policy would rather avoid; `None` where there are none.
    pub(super) fn careful(&self) -> Option<Self> {
        let avoided = |vm: &Vm<'_>| vm.needs_same_cpu && vm.free.is_ok();
        if !self.links.has_newer_kernel() && !self.vms.iter().any(avoided) {
            return None;
        }
        let mut careful = self.clone();
        careful.links = careful.links.without_newer_kernel();
        for vm in careful.vms.iter_mut().filter(|vm| avoided(vm)) {
            vm.free = Err(SkipWhy::HostPassthrough);
        }
        Some(careful)
    }

    /// Tells whether a VM of one of its anti-affinity groups is on the target.
    pub(super) fn breaks_anti_affinity(&self, placement: &Placement, vm: usize, target: usize) -> bool {
        let on_target = |group: &u16| placement.in_group[target * self.groups + usize::from(*group)] > 0;
        self.vms[vm].groups.iter().any(on_target)
    }

    /// Carries out one migration.
    pub(super) fn apply(&self, placement: &mut Placement, vm: usize, target: usize) {
        let source = std::mem::replace(&mut placement.at[vm], target);
        let what = &self.vms[vm];
        placement.used[source] = placement.used[source] - what.needs_on(source);
        placement.used[target] = placement.used[target] + what.needs_on(target);
        placement.count[source] -= 1;
        placement.count[target] += 1;
        for group in &what.groups {
            placement.in_group[source * self.groups + usize::from(*group)] -= 1;
            placement.in_group[target * self.groups + usize::from(*group)] += 1;
        }
    }

    pub(super) fn fullness(&self, node: usize, used: Amounts) -> Fullness {
        self.nodes[node].fullness(used)
    }

    /// What a migration costs: RAM in GiB and 4 for the VM itself, and the disk where it must be copied.
    pub(super) fn cost(&self, vm: usize) -> f64 {
        let info = self.vms[vm].info;
        info.memory.gib() + COST_PER_VM + self.disk(vm).map_or(0.0, Mib::gib)
    }

    /// The disk that must be copied with a VM: known, and on storage that is known to be local.
    pub(super) fn disk(&self, vm: usize) -> Option<Mib> {
        self.vms[vm].info.disk.filter(|_| self.info.local_storage == Some(true))
    }
}

impl Vm<'_> {
    /// What the VM adds to a node. At home its memory in use is part of what was measured there, and stays so for this
    /// plan when it leaves.
    pub(super) fn needs_on(&self, node: usize) -> Amounts {
        match node == self.node {
            true => self.needs.as_at_home(),
            false => self.needs,
        }
    }
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
    if vm.host_passthrough && policy.host_passthrough == Lenience::Forbid {
        return Err(SkipWhy::HostPassthrough);
    }
    match policy.rest_of(vm.id, now) {
        Some(rest) => Err(SkipWhy::Resting { until: rest.until, why: rest.why }),
        None => Ok(()),
    }
}

fn declined_targets(policy: &Policy, vm: VmId, node_index: &HashMap<NodeId, usize>) -> Vec<usize> {
    let declined = policy.declined.get(&vm).into_iter().flatten();
    declined.filter_map(|node| node_index.get(node).copied()).collect()
}

/// The disk that a VM brings to a node.
fn disk_needs(vm: &VmInfo, copied: bool) -> i64 {
    vm.disk.filter(|_| copied).map_or(0, |disk| to_signed(disk.0))
}
