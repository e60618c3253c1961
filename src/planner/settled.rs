//! When evening out begins and where it comes to rest, so that `level` does not move VMs for little every cycle.

use chrono::TimeDelta;

use super::{
    board::Board,
    figures,
    plan::{ClusterPlan, MoveWhy, Note},
    policy::{Policy, Strategy},
    step::{Purpose, Step},
};

/// Evening out begins above this many times the imbalance at which it last came to rest: births and deaths alone change
/// it by a tenth in a day.
pub const LEVEL_TRIGGER: f64 = 1.5;

/// An imbalance at which a cluster may stay, whatever it once came to: nodes that differ by a tenth of a threshold are
/// even enough, and relief alone keeps a living cluster not far above. Without it a cluster that was evened out once was
/// evened out all the time, at 4.8 times the RAM that relief alone moves.
const LEVEL_LEAST: f64 = 0.08;

/// A VM that was moved to even out rests a day: it was no trouble where it was.
pub const LEVEL_REST: TimeDelta = TimeDelta::days(1);

/// Tells whether a cluster is uneven enough to be evened out.
pub(super) fn is_due(board: &Board<'_>) -> bool {
    let Some(settled) = &board.policy.settled else { return true };
    let at_rest = settled.get(&board.info.id).copied().unwrap_or(0.0).max(LEVEL_LEAST);
    figures::imbalance(board, &board.start().used) > at_rest * LEVEL_TRIGGER
}

/// Returns how many of the steps lead to the knee of the curve of cost and imbalance squared: there a step begins to gain
/// less for its cost than all of them do on average. Steps that relieve are all kept.
///
/// Squared, since births and deaths let the square grow evenly: what a step takes off it is time until the next one.
pub(super) fn to_the_knee(board: &Board<'_>, steps: &[Step]) -> usize {
    let mut placement = board.start();
    let start = figures::imbalance_squared(board, &placement.used);
    let mut curve = vec![(0.0, 0.0)];
    for step in steps {
        board.apply(&mut placement, step.vm, step.target);
        let cost = curve[curve.len() - 1].0 + board.cost(step.vm);
        curve.push((cost, start - figures::imbalance_squared(board, &placement.used)));
    }
    let (cost, gain) = curve[curve.len() - 1];
    let above = |index: usize| curve[index].1 * cost - curve[index].0 * gain;
    let knee = (0..curve.len()).max_by(|a, b| above(*a).total_cmp(&above(*b)).then(b.cmp(a))).unwrap_or(0);
    // A step that makes room for one that evens out is no relief.
    let relieving = steps.iter().rposition(|step| step.purpose == Purpose::Relieve);
    knee.max(relieving.map_or(0, |last| last + 1))
}

/// Returns the imbalance at which a cluster comes to rest with this plan, where that is to be remembered: what the plan
/// leaves if it goes to the knee, or what there is if that is less than was known.
#[must_use]
pub fn settled_imbalance(plan: &ClusterPlan, policy: &Policy) -> Option<f64> {
    let known = policy.settled.as_ref()?.get(&plan.cluster).copied();
    let held = |note: &Note| matches!(note, Note::ForeignMigration { .. } | Note::NotKvm { .. });
    let is_held = !plan.incomplete.is_empty() || plan.notes.iter().any(held);
    if policy.strategy == Strategy::Relieve || is_held {
        return None;
    }
    let evens = plan.migrations.iter().any(|step| matches!(step.why, MoveWhy::Level { .. }));
    let now = plan.before.imbalance;
    match known {
        _ if evens => Some(plan.after.imbalance).filter(|_| plan.migrations.len() < policy.migrations_max),
        None => Some(now).filter(|_| plan.migrations.is_empty() && plan.overloaded.is_empty()),
        Some(known) => Some(now).filter(|now| *now < known),
    }
}
