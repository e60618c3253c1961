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
/// drained, one that is closed as a source may not.
#[must_use]
pub fn drain(snapshot: &Snapshot, policy: &Policy, node: NodeId) -> Option<Drain> {
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
