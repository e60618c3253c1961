//! Takes the moves of a plan back, in an order that fits, or says which VMs stay and why.

use super::{
    amounts::{Dimension, share},
    board::Board,
    identity::with_id,
    narrate,
    plan::{ClusterPlan, Skip, SkipWhy, TargetRefusal},
    policy::Policy,
    sound::sound,
    step::{Purpose, Step},
};
use crate::model::{ClusterId, NodeId, ProposalId, Snapshot, VmId};

/// A VM that a plan moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// VMmanager's number of the VM.
    pub vm: VmId,
    /// The VM's name in VMmanager.
    pub vm_name: String,
    /// Where it was before the plan.
    pub from: NodeId,
    /// Where the plan put it.
    pub to: NodeId,
}

/// A plan that takes moves back.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo {
    /// The migrations back, as a plan like any other.
    pub plan: ClusterPlan,
    /// The VMs that stay where they are, and why.
    pub stuck: Vec<Skip>,
}

/// Plans to take the moves of a plan back; `None` for a cluster that the snapshot does not have.
///
/// Only VMs that are where the plan put them go back, each by itself: nothing else makes room for them. They do not
/// rest after their move; every other rule holds. The limit of migrations does not bind, for the plan that they come
/// from was within it or was asked for.
#[must_use]
pub fn undo(
    snapshot: &Snapshot,
    policy: &Policy,
    (cluster, of): (ClusterId, ProposalId),
    moves: &[Moved],
) -> Option<Undo> {
    let policy = &Policy { despite_rest: moves.iter().map(|moved| moved.vm).collect(), ..policy.clone() };
    let board = Board::new(snapshot, policy, snapshot.cluster(cluster)?);
    let hold = narrate::hold(&board);
    let steps = if hold.is_some() { Vec::new() } else { steps(&board, of, moves) };
    let plan = sound(snapshot, policy, &with_id(narrate::cluster_plan(&board, &steps, usize::MAX)));
    let goes = |moved: &&Moved| plan.migrations.iter().any(|step| step.vm == moved.vm);
    let end = board.after(&steps);
    let stuck = moves.iter().filter(|moved| !goes(moved)).map(|moved| {
        let why = match (where_it_was_put(&board, moved), &hold) {
            (None, _) if snapshot.vm(moved.vm).is_some() => SkipWhy::NotThere,
            (_, Some(hold)) => SkipWhy::Held(hold.clone()),
            (None, None) => SkipWhy::Gone,
            (Some(vm), None) => why_stuck(&end, vm, moved.from),
        };
        Skip { vm: moved.vm, name: moved.vm_name.clone(), node: moved.to, why }
    });
    let stuck = stuck.collect();
    Some(Undo { plan, stuck })
}

/// Sends each VM back as soon as it fits, until none does any more.
fn steps(board: &Board<'_>, of: ProposalId, moves: &[Moved]) -> Vec<Step> {
    let going = |moved: &Moved| {
        let vm = where_it_was_put(board, moved).filter(|vm| board.movable(*vm, true).is_ok())?;
        Some(Step { vm, target: board.node_of(moved.from)?, purpose: Purpose::Undo(of) })
    };
    let mut waiting: Vec<Step> = moves.iter().rev().filter_map(going).collect();
    let (mut steps, mut placement) = (Vec::new(), board.start());
    while let Some(next) =
        waiting.iter().position(|step| board.refusal(&placement, step.vm, step.target).is_none())
    {
        let step = waiting.remove(next);
        board.apply(&mut placement, step.vm, step.target);
        steps.push(step);
    }
    steps
}

/// Returns the VM if it is where the plan put it.
fn where_it_was_put(board: &Board<'_>, moved: &Moved) -> Option<usize> {
    board.vm_of(moved.vm).filter(|vm| board.nodes[board.vms[*vm].node].info.id == moved.to)
}

fn why_stuck(end: &Board<'_>, vm: usize, back_to: NodeId) -> SkipWhy {
    if let Err(why) = end.movable(vm, true) {
        return why;
    }
    let Some(target) = end.node_of(back_to) else { return SkipWhy::NoTarget(TargetRefusal::NotActive) };
    match end.refusal(&end.start(), vm, target) {
        Some(TargetRefusal::Memory) => no_room_back(end, vm, target, Dimension::Memory),
        Some(TargetRefusal::Cpu) => no_room_back(end, vm, target, Dimension::Cpu),
        Some(TargetRefusal::Load) => no_room_back(end, vm, target, Dimension::Load),
        refusal => SkipWhy::NotBack {
            node: end.nodes[target].info.name.clone(),
            why: refusal.unwrap_or(TargetRefusal::Memory),
        },
    }
}

fn no_room_back(end: &Board<'_>, vm: usize, target: usize, r: Dimension) -> SkipWhy {
    let (node, used) = (&end.nodes[target], end.fill_after(&end.start(), vm, target));
    let (resource, threshold) = node.threshold(r, end.policy);
    let most = (threshold.overload.min(threshold.target) * 100.0).round() as u64;
    let value = (share(used[r], node.has(r)) * r.scale() * 100.0).ceil() as u64;
    SkipWhy::NoRoomBack { node: node.info.name.clone(), resource, value: value.max(most + 1), most }
}
