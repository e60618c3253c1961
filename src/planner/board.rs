//! One cluster prepared for deciding: what each node holds and may hold, what each VM needs, which rules bind them.
//!
//! Amounts are integers, so sums do not depend on the order of the snapshot. Must not know how a plan is searched.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    amounts::{
        Amounts,
        Dimension::{Cpu, InUse, Load, Memory},
        Limit, MICRO, PerResource, per_threshold, signed,
    },
    load,
    node::{Node, SourceClosed, qemu_allows, qemu_ranks},
    plan::{Fullness, NodeClosed, SkipWhy, TargetRefusal},
    policy::Policy,
    step::Step,
};
use crate::model::{
    Block, ClusterInfo, Mib, NodeId, NodeInfo, Snapshot, VmId, VmInfo, VmState, find::Selection,
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
                needs: Amounts::new(
                    signed(vm.memory.0),
                    i64::from(vm.cpu_cores) * MICRO,
                    loads.of_vm(index),
                    signed(vm.memory.0),
                ),
                groups: groups_of(&apart, vm),
                declined: declined(policy, vm.id, &node_index),
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
                let residents: Vec<_> = vms_on[i].iter().map(|vm| (vms[*vm].info, vms[*vm].needs)).collect();
                Node::new(node, (snapshot, policy), &residents, loads.of_node(i), ranks[i])
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
    pub fn after(&self, steps: &[Step]) -> Self {
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
            facts.over[Load] = facts.load_limit;
            facts.per_threshold[Load] = per_threshold(self.policy.load, facts.has(Load), Load);
        }
        self
    }

    /// The same cluster with one node that wants to be rid of everything, and no other that wants relief.
    pub fn draining(&self, node: usize) -> Self {
        let mut draining = self.clone();
        for facts in &mut draining.nodes {
            facts.over = PerResource::of(|_| Limit::NONE);
            facts.per_threshold = PerResource::default();
        }
        // One more than its VMs need: each of them then still takes something off.
        let sums: Amounts = self.vms_on[node].iter().map(|vm| self.vms[*vm].needs).sum();
        let facts = &mut draining.nodes[node];
        facts.target = Err(TargetRefusal::Excluded);
        facts.start = Amounts::new(sums[Memory] + 1, sums[Cpu] + 1, sums[Load], facts.start[InUse]);
        facts.over = PerResource::new(Limit::at(0), Limit::at(0), Limit::NONE, Limit::NONE);
        // All of it is too much, and none is forgiven: what stays weighs as much as a node at twice its thresholds.
        let per = |amount: i64| 1.0 / amount as f64;
        facts.per_threshold = PerResource::new(per(facts.start[Memory]), per(facts.start[Cpu]), 0.0, 0.0);
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
        if what.declined.contains(&target) {
            return Some(TargetRefusal::Declined);
        }
        if to.room.is_reached_by(placement.count[target]) {
            return Some(TargetRefusal::VmLimit);
        }
        if self.crowded(placement, vm, target) {
            return Some(TargetRefusal::AntiAffinity);
        }
        to.overfilled_by(placement.used[target] + what.needs_on(target))
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
        placement.used[source] = placement.used[source] - what.needs_on(source);
        placement.used[target] = placement.used[target] + what.needs_on(target);
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
        info.memory.gib() + COST_PER_VM + self.disk(vm).map_or(0.0, Mib::gib)
    }

    /// The disk that must be copied with a VM: known, and on storage that is known to be local.
    pub fn disk(&self, vm: usize) -> Option<Mib> {
        self.vms[vm].info.disk.filter(|_| self.info.local_storage == Some(true))
    }
}

impl Vm<'_> {
    /// What the VM adds to a node. At home its memory in use is part of what was measured there, and stays so for this
    /// plan when it leaves.
    pub fn needs_on(&self, node: usize) -> Amounts {
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
    match policy.resting.get(&vm.id) {
        Some(rest) if rest.until > now => Err(SkipWhy::Resting { until: rest.until, why: rest.why }),
        _ => Ok(()),
    }
}

fn declined(policy: &Policy, vm: VmId, node_index: &HashMap<NodeId, usize>) -> Vec<usize> {
    let declined = policy.declined.get(&vm).into_iter().flatten();
    declined.filter_map(|node| node_index.get(node).copied()).collect()
}

fn groups_of(apart: &[Selection], vm: &VmInfo) -> Vec<u16> {
    let numbered = apart.iter().zip(0u16..);
    numbered.filter(|(group, _)| group.holds(vm.id.0, &vm.name)).map(|(_, number)| number).collect()
}
