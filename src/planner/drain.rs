//! Empties a node for maintenance under the rules of every plan, or says which VMs cannot leave and why.

use super::{
    board::{Board, Placement},
    careful,
    forecast::{Taker, takers},
    identity::with_id,
    narrate,
    plan::{ClusterPlan, Hold, Skip, SkipWhy, TargetRefusal},
    policy::Policy,
    sound::sound,
};
use crate::model::{NodeId, Snapshot};

/// So many nodes that are to be emptied soon are tried one by one: each takes a plan, and a round of more is rare.
const SPARED_MAX: usize = 8;

/// A plan that empties a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Drain {
    /// The node that is emptied.
    pub node: NodeId,
    /// Its name in VMmanager.
    pub node_name: String,
    /// Its migrations, in the order of execution; not bounded by the migrations per cycle.
    pub plan: ClusterPlan,
    /// The VMs that stay on the node, and why.
    pub stuck: Vec<Skip>,
    /// The nodes that hold more VMs after the plan, the fullest first.
    pub takers: Vec<Taker>,
}

impl Drain {
    /// Returns how many VMs leave the node.
    #[must_use]
    pub fn leaving(&self) -> usize {
        self.plan.migrations.iter().filter(|step| step.source == self.node).count()
    }

    /// Tells whether the node is empty after the plan.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stuck.is_empty()
    }
}

/// Plans to empty a node; `None` for a node that the snapshot does not have.
///
/// The limit of migrations per cycle does not bind: half an empty node is of no use. A node in maintenance may be
/// drained, one that is closed as a source may not. Nodes that are to be emptied soon take VMs only where nothing else
/// helps, and as few of those nodes as possible.
#[must_use]
pub fn drain(snapshot: &Snapshot, policy: &Policy, node: NodeId) -> Option<Drain> {
    let soon: Vec<_> = policy.emptied_soon.iter().copied().filter(|soon| *soon != node).collect();
    let spared = drain_openly(snapshot, &policy.sparing(&soon), node)?;
    if spared.is_complete() || soon.is_empty() {
        return Some(spared);
    }
    let mut best = drain_openly(snapshot, policy, node)?;
    if best.stuck.len() >= spared.stuck.len() {
        return Some(spared);
    }
    let mut closed: Vec<NodeId> = Vec::new();
    for soon in soon.into_iter().take(SPARED_MAX) {
        closed.push(soon);
        match drain_openly(snapshot, &policy.sparing(&closed), node) {
            Some(sparing) if sparing.stuck.len() <= best.stuck.len() => best = sparing,
            _ => drop(closed.pop()),
        }
    }
    Some(best)
}

fn drain_openly(snapshot: &Snapshot, policy: &Policy, node: NodeId) -> Option<Drain> {
    let info = snapshot.node(node)?;
    let board = Board::new(snapshot, policy, snapshot.cluster(info.cluster)?);
    let index = board.node_of(node)?;
    let hold = narrate::hold(&board);
    let steps = if hold.is_some() { Vec::new() } else { careful::drain_steps(&board, index) };
    let plan = sound(snapshot, policy, &with_id(narrate::cluster_plan(&board, &steps, usize::MAX)));
    let mut end = board.start();
    for step in &plan.migrations {
        if let (Some(vm), Some(target)) = (board.vm_of(step.vm), board.node_of(step.target)) {
            board.apply(&mut end, vm, target);
        }
    }
    let stuck = (0..board.vms.len())
        .filter(|vm| end.at[*vm] == index)
        .map(|vm| narrate::skip(&board, vm, why_stuck(&board, &end, vm, hold.as_ref())))
        .collect();
    let takers = takers(&board, &board.start(), &end);
    Some(Drain { node, node_name: info.name.clone(), plan, stuck, takers })
}

fn why_stuck(board: &Board<'_>, end: &Placement, vm: usize, hold: Option<&Hold>) -> SkipWhy {
    match (board.movable(vm, true), hold) {
        (Err(why), _) => why,
        (Ok(()), Some(hold)) => SkipWhy::Held(hold.clone()),
        (Ok(()), None) => {
            let refusal = narrate::main_refusal(board, end, vm);
            SkipWhy::NoTarget(refusal.unwrap_or(TargetRefusal::Memory))
        }
    }
}
