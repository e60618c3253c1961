//! Nodes that are emptied one after the other: what each of them would take, and the plan for the one whose turn it is.

use std::collections::BTreeSet;

use super::{
    board::Board,
    drain::{Drain, drain},
    identity::with_id,
    narrate,
    plan::ClusterPlan,
    policy::Policy,
};
use crate::model::{ClusterId, Mib, NodeId, NodeInfo, Snapshot, VmId};

/// Plans to empty a node of a round; `None` for a node that the snapshot does not have.
///
/// The nodes whose turn is still to come take VMs only where nothing else helps, for those would move twice. VMs that
/// the round moved before do not rest.
#[must_use]
pub fn drain_in_turn(
    snapshot: &Snapshot,
    policy: &Policy,
    node: NodeId,
    later: &[NodeId],
    moved: &BTreeSet<VmId>,
) -> Option<Drain> {
    let emptied_soon = policy.emptied_soon.iter().chain(later).copied().collect();
    drain(snapshot, &Policy { despite_rest: moved.clone(), emptied_soon, ..policy.clone() }, node)
}

/// Forecasts a round: each node is emptied as the ones before it left the cluster, and takes part again afterwards.
/// Nodes that the snapshot does not have are left out. Measured loads stay as they are.
#[must_use]
pub fn maintenance(snapshot: &Snapshot, policy: &Policy, nodes: &[NodeId]) -> Vec<Drain> {
    let mut world = snapshot.clone();
    let mut moved = BTreeSet::new();
    let mut drains = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let later = nodes.get(index + 1..).unwrap_or_default();
        let Some(drain) = drain_in_turn(&world, policy, *node, later, &moved) else { continue };
        carry_out(&mut world, &drain);
        moved.extend(drain.plan.migrations.iter().map(|step| step.vm));
        drains.push(drain);
    }
    drains
}

/// Returns the plan that moves nothing, for a node of a round that the snapshot does not have any more; `None` where
/// the cluster is gone too.
#[must_use]
pub fn standstill(snapshot: &Snapshot, policy: &Policy, cluster: ClusterId) -> Option<ClusterPlan> {
    let board = Board::new(snapshot, policy, snapshot.cluster(cluster)?);
    Some(with_id(narrate::cluster_plan(&board, &[], usize::MAX)))
}

fn carry_out(world: &mut Snapshot, drain: &Drain) {
    for step in &drain.plan.migrations {
        for vm in world.vms.iter_mut().filter(|vm| vm.id == step.vm) {
            vm.node = step.target;
        }
        for node in &mut world.nodes {
            match node.id {
                id if id == step.source => leave(node, step.ram, step.vcpus),
                id if id == step.target => come(node, step.ram, step.vcpus),
                _ => {}
            }
        }
    }
}

fn leave(node: &mut NodeInfo, ram: Mib, vcpus: u32) {
    node.memory_used = node.memory_used.map(|used| Mib(used.0.saturating_sub(ram.0)));
    node.cpu_used = node.cpu_used.map(|used| used.saturating_sub(vcpus));
    node.vm_count = node.vm_count.saturating_sub(1);
}

fn come(node: &mut NodeInfo, ram: Mib, vcpus: u32) {
    node.memory_used = node.memory_used.map(|used| used + ram);
    node.cpu_used = node.cpu_used.map(|used| used + vcpus);
    node.vm_count += 1;
}
