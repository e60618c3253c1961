//! Keeps the sound part of a plan that breaks a rule: a mistake in the search costs a step, not the plan.

use super::{
    board::Board,
    check::{Violation, check},
    fit::revalidate,
    identity::with_id,
    narrate,
    plan::{ClusterPlan, Migration, MoveWhy, Note},
    policy::Policy,
    step::{Purpose, Step},
};
use crate::model::Snapshot;

/// Returns a plan without the steps that break a rule and without those that depend on them. A note tells of it.
#[must_use]
pub fn sound(snapshot: &Snapshot, policy: &Policy, plan: &ClusterPlan) -> ClusterPlan {
    let broken = check(snapshot, policy, plan);
    let Some(info) = snapshot.cluster(plan.cluster).filter(|_| !broken.is_empty()) else {
        return plan.clone();
    };
    let board = Board::new(snapshot, policy, info);
    let wished = plan.migrations.iter().any(|step| step.why.is_wish());
    let steps_max = if wished { usize::MAX } else { policy.migrations_max };
    let mut rest = plan.clone();
    let mut still_broken = broken.clone();
    while !still_broken.is_empty() {
        let kept = without_first_break(snapshot, policy, &rest, &still_broken);
        let is_over = kept.is_empty();
        let steps: Vec<_> = kept.iter().filter_map(|migration| step(&board, migration)).collect();
        rest = narrate::cluster_plan(&board, &steps, steps_max);
        if is_over {
            break;
        }
        still_broken = check(snapshot, policy, &rest);
    }
    let steps = plan.migrations.len() - rest.migrations.len();
    rest.notes.push(Note::StepsDropped { steps, violations: broken.len() });
    with_id(rest)
}

/// What is left without the first step that breaks a rule; nothing where no step is to blame.
fn without_first_break(
    snapshot: &Snapshot,
    policy: &Policy,
    plan: &ClusterPlan,
    broken: &[Violation],
) -> Vec<Migration> {
    let mut kept = plan.migrations.clone();
    match broken.iter().filter_map(Violation::step).min() {
        Some(step) => kept.retain(|migration| migration.step != step),
        None => kept.clear(),
    }
    let left = revalidate(snapshot, policy, &kept);
    if left.relieves { left.kept } else { Vec::new() }
}

fn step(board: &Board<'_>, migration: &Migration) -> Option<Step> {
    let purpose = match migration.why {
        MoveWhy::Relieve(_) => Purpose::Relieve,
        MoveWhy::Ahead(_) => Purpose::Ahead,
        MoveWhy::MakeRoom { .. } => Purpose::MakeRoom,
        MoveWhy::Level { .. } => Purpose::Level,
        MoveWhy::Drain => Purpose::Drain,
        MoveWhy::Undo { of } => Purpose::Undo(of),
    };
    Some(Step { vm: board.vm_of(migration.vm)?, target: board.node_of(migration.target)?, purpose })
}
