//! What would happen if: a node lost, more VMs wanted. Whether a node can be emptied is answered by `drain`.

use std::collections::BTreeMap;

use super::{
    amounts::{
        Amounts,
        Dimension::{self, Cpu, Memory},
        MICRO,
    },
    board::{Board, Placement},
    figures, narrate,
    node::Node,
    plan::{Figures, Fullness, Overloaded, Skip, SkipWhy, TargetRefusal},
    policy::Policy,
};
use crate::model::{ClusterId, Mib, NodeId, Snapshot, VmState};

/// A node that takes VMs, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Taker {
    /// VMmanager's number of the node.
    pub node: NodeId,
    /// The node's name in VMmanager.
    pub name: String,
    /// How many VMs come to it.
    pub vms: usize,
    /// How full it is without them.
    pub before: Fullness,
    /// How full it is with them.
    pub after: Fullness,
}

/// What the loss of one node would mean.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLoss {
    /// The node that is lost.
    pub node: NodeId,
    /// Its name in VMmanager.
    pub name: String,
    /// Running VMs on it.
    pub vms: usize,
    /// Those that would find no place on the other nodes.
    pub homeless: Vec<Skip>,
    /// The nodes that would start the others, the fullest first.
    pub takers: Vec<Taker>,
    /// The other nodes that would be over a threshold then.
    pub over: Vec<Overloaded>,
    /// The other nodes, before and after.
    pub before: Figures,
    /// The same nodes, once they have the VMs that fit.
    pub after: Figures,
}

/// What it would mean to add VMs of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// How many VMs are wanted.
    pub count: u64,
    /// Virtual CPUs of one of them; where nobody said, what VMs of that memory usually have here.
    pub vcpus: u32,
    /// Memory of one of them, in MiB.
    pub memory: Mib,
    /// How many would fit as the nodes stand, wanted or not.
    pub fit: u64,
    /// The nodes that would take the wanted ones as far as they fit, the fullest first.
    pub takers: Vec<Taker>,
    /// Why nodes take none, with how many nodes say so; the most frequent first.
    pub closed: Vec<(TargetRefusal, usize)>,
    /// The cluster as it stands.
    pub before: Figures,
    /// The cluster with the wanted VMs as far as they fit.
    pub after: Figures,
}

/// Were a node lost, would its running VMs find places on the others? `None` for a node that the snapshot does not have.
///
/// In an emergency VMs start anew, so QEMU versions do not bind, and neither do the thresholds: what binds is memory
/// outside the reserve, the nodes that are open, their limits of VMs, and anti-affinity.
#[must_use]
pub fn node_loss(snapshot: &Snapshot, policy: &Policy, node: NodeId) -> Option<NodeLoss> {
    let info = snapshot.cluster(snapshot.node(node)?.cluster)?;
    let mut board = Board::new(snapshot, policy, info);
    let index = board.node_of(node)?;
    Some(loss(&mut board, index))
}

fn loss(board: &mut Board<'_>, node: usize) -> NodeLoss {
    let (end, vms, homeless) = start_elsewhere(board, node);
    // What is lost counts in no figure.
    let known = std::mem::replace(&mut board.nodes[node].known, false);
    let start = board.start();
    let info = board.nodes[node].info;
    let loss = NodeLoss {
        node: info.id,
        name: info.name.clone(),
        vms,
        homeless,
        takers: takers(board, &start, &end),
        over: narrate::list_overloaded(board, &end),
        before: figures::figures(board, &start),
        after: figures::figures(board, &end),
    };
    board.nodes[node].known = known;
    loss
}

/// Starts the running VMs of a node on the others. Returns where all are then, how many they are, and which find no
/// place. Each starts where the least is taken; only where that leaves somebody without a place, as tight as they fit.
fn start_elsewhere(board: &Board<'_>, node: usize) -> (Placement, usize, Vec<Skip>) {
    let running = |vm: &usize| board.vms[*vm].info.state == VmState::Active;
    let mut vms: Vec<usize> = board.vms_on[node].iter().copied().filter(running).collect();
    vms.sort_by_key(|vm| (std::cmp::Reverse(board.vms[*vm].needs[Memory]), *vm));
    let spread = start_each(board, &vms, |placement, vm, to| {
        board.nodes[to].share_of_ceiling(placement.used[to] + board.vms[vm].needs)
    });
    // The largest first, each where it leaves the smallest gap: so the most find a place.
    let tight = (!spread.1.is_empty()).then(|| {
        start_each(board, &vms, |placement, _, to| {
            board.nodes[to]
                .outside_reserve
                .room(placement.used[to][Memory])
                .map_or(f64::NEG_INFINITY, |gap| gap as f64)
        })
    });
    let (placement, homeless) = match tight {
        Some(tight) if tight.1.len() < spread.1.len() => tight,
        _ => spread,
    };
    (placement, vms.len(), homeless)
}

/// Starts these VMs one after the other, each on the node with the smallest `key`.
fn start_each(
    board: &Board<'_>,
    vms: &[usize],
    key: impl Fn(&Placement, usize, usize) -> f64,
) -> (Placement, Vec<Skip>) {
    let mut placement = board.start();
    let mut homeless = Vec::new();
    for &vm in vms {
        let takers = (0..board.nodes.len()).filter(|to| refusal(board, &placement, vm, *to).is_none());
        let by_key = |a: &usize, b: &usize| key(&placement, vm, *a).total_cmp(&key(&placement, vm, *b));
        match takers.min_by(by_key) {
            Some(to) => board.apply(&mut placement, vm, to),
            None => homeless.push(narrate::skip(
                board,
                vm,
                SkipWhy::NoTarget(main_refusal(board, &placement, vm)),
            )),
        }
    }
    (placement, homeless)
}

/// The nodes that hold more VMs at the end than at the start, the fullest first.
pub(super) fn takers(board: &Board<'_>, start: &Placement, end: &Placement) -> Vec<Taker> {
    let came = |node: &usize| end.count[*node] > start.count[*node];
    let taker = |node: usize| Taker {
        node: board.nodes[node].info.id,
        name: board.nodes[node].info.name.clone(),
        vms: usize::try_from(end.count[node] - start.count[node]).unwrap_or(0),
        before: board.fullness(node, start.used[node]),
        after: board.fullness(node, end.used[node]),
    };
    let mut takers: Vec<_> = (0..board.nodes.len()).filter(came).map(taker).collect();
    takers.sort_by(|a, b| b.after.memory_percent.total_cmp(&a.after.memory_percent));
    takers
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
    if board.breaks_anti_affinity(placement, vm, target) {
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

/// Asks what it would mean to add VMs of one size, each on the node that is the least full then; `None` for a cluster
/// that the snapshot does not have.
///
/// A VM fits under the thresholds, limits and exclusions of the policy; a measured node counts the mean load of its
/// cluster for each vCPU.
///
/// Without a number of vCPUs each has as many for its memory as the VMs of the cluster have on average.
#[must_use]
pub fn growth(
    snapshot: &Snapshot,
    policy: &Policy,
    cluster: ClusterId,
    count: u64,
    vcpus: Option<u32>,
    memory: Mib,
) -> Option<Growth> {
    let board = Board::new(snapshot, policy, snapshot.cluster(cluster)?);
    let vcpus = vcpus.unwrap_or_else(|| usual_vcpus(&board, memory));
    let mib = i64::try_from(memory.0).unwrap_or(i64::MAX);
    let load = (board.load_per_vcpu * f64::from(vcpus)).round() as i64;
    let needs = Amounts::new(mib, i64::from(vcpus) * MICRO, load, mib, 0);
    let mut left: Vec<u64> = board.nodes.iter().map(|node| fit(node, needs)).collect();
    let fit = left.iter().sum();
    let closed = closed_targets(&board, &left, needs);
    let start = board.start();
    let mut end = board.start();
    for _ in 0..count.min(fit) {
        let share = |node: &usize| board.nodes[*node].share_of_ceiling(end.used[*node] + needs);
        let open = (0..left.len()).filter(|node| left[*node] > 0);
        let Some(to) = open.min_by(|a, b| share(a).total_cmp(&share(b))) else { break };
        left[to] -= 1;
        end.used[to] = end.used[to] + needs;
        end.count[to] += 1;
    }
    Some(Growth {
        count,
        vcpus,
        memory,
        fit,
        takers: takers(&board, &start, &end),
        closed,
        before: figures::figures(&board, &start),
        after: figures::figures(&board, &end),
    })
}

/// How many VMs with these needs one node takes.
fn fit(node: &Node<'_>, needs: Amounts) -> u64 {
    let by_need = Dimension::ALL
        .into_iter()
        .filter(|r| needs[*r] > 0)
        .filter_map(|r| Some(node.ceiling[r].room(node.start[r])?.max(0) / needs[r]));
    let by_count = node.room.room(node.start_count).map(|left| left.max(0));
    let most = by_need.chain(by_count).min().unwrap_or(0);
    let is_open = node.target.is_ok() && needs[Cpu] <= node.cores;
    if is_open { u64::try_from(most).unwrap_or(0) } else { 0 }
}

fn closed_targets(board: &Board<'_>, fit: &[u64], needs: Amounts) -> Vec<(TargetRefusal, usize)> {
    let mut reasons: BTreeMap<TargetRefusal, usize> = BTreeMap::new();
    for (node, _) in board.nodes.iter().zip(fit).filter(|(_, fit)| **fit == 0) {
        let why = match node.target {
            Err(refusal) => refusal,
            Ok(()) if needs[Cpu] > node.cores => TargetRefusal::TooFewCores,
            Ok(()) => node.overfilled_by(node.start, needs).unwrap_or(TargetRefusal::VmLimit),
        };
        *reasons.entry(why).or_default() += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, nodes)| std::cmp::Reverse(*nodes));
    reasons
}

/// Returns how many vCPUs the VMs of this cluster have for that amount of memory on average; at least one.
fn usual_vcpus(board: &Board<'_>, memory: Mib) -> u32 {
    let vcpus: u64 = board.vms.iter().map(|vm| u64::from(vm.info.cpu_cores)).sum();
    let all: Mib = board.vms.iter().map(|vm| vm.info.memory).sum();
    if all.0 == 0 {
        return 1;
    }
    let usual = vcpus as f64 * memory.0 as f64 / all.0 as f64;
    (usual.round() as u32).max(1)
}
