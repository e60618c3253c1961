//! What would happen if: a node lost, more VMs wanted. Whether a node can be emptied is answered by `drain`.

use super::{
    amounts::{
        Amounts,
        Dimension::{self, Memory},
        MICRO,
    },
    board::{Board, Placement},
    narrate,
    node::Node,
    plan::{Skip, SkipWhy, TargetRefusal},
    policy::Policy,
};
use crate::model::{ClusterId, Mib, NodeId, Snapshot, VmState};

/// What the loss of one node would mean.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLoss {
    pub node: NodeId,
    pub name: String,
    /// Running VMs on it.
    pub vms: usize,
    /// Those that would find no place on the other nodes.
    pub homeless: Vec<Skip>,
}

/// Asks for each node of a cluster: were it lost, would its running VMs find places on the others?
///
/// In an emergency VMs start anew, so QEMU versions do not bind, and neither do the thresholds: what binds is memory
/// outside the reserve, the nodes that are open, their limits of VMs, and anti-affinity. By ascending node id.
#[must_use]
pub fn node_losses(snapshot: &Snapshot, policy: &Policy, cluster: ClusterId) -> Vec<NodeLoss> {
    let Some(info) = snapshot.cluster(cluster) else { return Vec::new() };
    let board = Board::new(snapshot, policy, info);
    (0..board.nodes.len()).map(|node| loss(&board, node)).collect()
}

fn loss(board: &Board<'_>, node: usize) -> NodeLoss {
    let mut placement = board.start();
    let running = |vm: &usize| board.vms[*vm].info.state == VmState::Active;
    let mut vms: Vec<usize> = board.vms_on[node].iter().copied().filter(running).collect();
    // The largest first, each where it leaves the smallest gap: so the most find a place.
    vms.sort_by_key(|vm| (std::cmp::Reverse(board.vms[*vm].needs[Memory]), *vm));
    let mut homeless = Vec::new();
    for &vm in &vms {
        let takers = (0..board.nodes.len()).filter(|to| refusal(board, &placement, vm, *to).is_none());
        let gap = |to: &usize| board.nodes[*to].outside_reserve.room(placement.used[*to][Memory]);
        match takers.min_by_key(gap) {
            Some(to) => board.apply(&mut placement, vm, to),
            None => homeless.push(narrate::skip(
                board,
                vm,
                SkipWhy::NoTarget(main_refusal(board, &placement, vm)),
            )),
        }
    }
    let info = board.nodes[node].info;
    NodeLoss { node: info.id, name: info.name.clone(), vms: vms.len(), homeless }
}

/// Why a node would not start a VM of a lost one.
fn refusal(board: &Board<'_>, placement: &Placement, vm: usize, target: usize) -> Option<TargetRefusal> {
    let to = &board.nodes[target];
    if placement.at[vm] == target {
        return Some(TargetRefusal::SameNode);
    }
    match to.target {
        // In an emergency a node that is short of something is better than none.
        Ok(()) | Err(TargetRefusal::MemoryPressure | TargetRefusal::CpuPressure) => {}
        Err(refusal) => return Some(refusal),
    }
    if to.room.is_reached_by(placement.count[target]) {
        return Some(TargetRefusal::VmLimit);
    }
    if board.crowded(placement, vm, target) {
        return Some(TargetRefusal::AntiAffinity);
    }
    let memory = placement.used[target][Memory] + board.vms[vm].needs[Memory];
    to.outside_reserve.is_exceeded_by(memory).then_some(TargetRefusal::Memory)
}

fn main_refusal(board: &Board<'_>, placement: &Placement, vm: usize) -> TargetRefusal {
    let others = (0..board.nodes.len()).filter(|node| *node != placement.at[vm]);
    narrate::most_frequent(others.filter_map(|to| refusal(board, placement, vm, to)))
        .unwrap_or(TargetRefusal::SameNode)
}

/// Returns how many more VMs of a size a cluster takes before a target rule forbids it, as the nodes stand.
///
/// Under the thresholds, limits and exclusions of the policy; a measured node counts the mean load of its cluster
/// for each vCPU.
#[must_use]
pub fn capacity_for(
    snapshot: &Snapshot,
    policy: &Policy,
    cluster: ClusterId,
    vcpus: u32,
    memory: Mib,
) -> u64 {
    let Some(info) = snapshot.cluster(cluster) else { return 0 };
    let board = Board::new(snapshot, policy, info);
    let memory = i64::try_from(memory.0).unwrap_or(i64::MAX);
    let load = (board.load_per_vcpu * f64::from(vcpus)).round() as i64;
    let needs = Amounts::new(memory, i64::from(vcpus) * MICRO, load, memory, 0);
    let fit = |node: &Node<'_>| {
        let by_need = Dimension::ALL
            .into_iter()
            .filter(|r| needs[*r] > 0)
            .filter_map(|r| Some(node.ceiling[r].room(node.start[r])?.max(0) / needs[r]));
        let by_count = node.room.room(node.start_count).map(|left| left.max(0));
        let most = by_need.chain(by_count).min().unwrap_or(0);
        if node.target.is_ok() { u64::try_from(most).unwrap_or(0) } else { 0 }
    };
    board.nodes.iter().map(fit).sum()
}
