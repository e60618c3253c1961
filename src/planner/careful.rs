//! Moves that the policy would rather avoid: a plan is made without them first, and they come only for what stays.

use super::{
    board::Board,
    policy::{Policy, Strategy},
    search,
    step::Step,
};

/// A move at a risk may make room that others can use without one. A bound on the work, larger than is ever needed.
const ROUNDS_MAX: usize = 4;

/// Returns the steps of a plan, at most so many.
pub(super) fn steps(board: &Board<'_>, steps_max: usize) -> Vec<Step> {
    let Some(careful) = board.careful() else { return search::steps(board, steps_max) };
    // Evening out is worth no risk.
    let relieve = Policy { strategy: Strategy::Relieve, ..board.policy.clone() };
    let risky = Board::new(board.snapshot, &relieve, board.info);
    let mut steps = Vec::new();
    for _ in 0..ROUNDS_MAX {
        steps.extend(search::steps(&careful.after(&steps), steps_max - steps.len()));
        let more = search::steps(&risky.after(&steps), steps_max - steps.len());
        if more.is_empty() {
            break;
        }
        steps.extend(more);
    }
    steps
}

/// Returns steps that empty a node as far as it can be.
pub(super) fn drain_steps(board: &Board<'_>, node: usize) -> Vec<Step> {
    let Some(careful) = board.careful() else { return search::drain_steps(board, node) };
    let mut steps = search::drain_steps(&careful, node);
    let rest = board.after(&steps);
    if !rest.vms_on[node].is_empty() {
        steps.extend(search::drain_steps(&rest, node));
    }
    steps
}
