//! Finds the moves of a plan. Deterministic: the work is bounded by counts, never by a clock.
//!
//! Overload first: per overloaded node the cheapest set of VMs that must leave (`cover`), for all of them a place
//! (`pack`), and, where that does not work out, a search over whole sets of moves (`flow`). Then an order in which
//! every rule holds at every step (`order`).

mod anneal;
mod cover;
mod dive;
mod effort;
mod exact;
mod flow;
mod ideal;
mod level;
mod order;
mod outcome;
mod pack;
mod pool;
mod proof;
mod rates;
mod redeal;
mod relief;
mod sequence;
mod simplex;

#[cfg(feature = "internals")]
pub use effort::GAIN_MIN as LEVEL_GAIN_MIN;
use effort::{NEARLY, NOTHING, ORDERED_MAX, ROUNDS_MAX};
use flow::{Flow, concrete};
use outcome::Outcome;
use pool::Pool;

use super::{
    board::Board,
    policy::{Policy, Strategy},
    step::{Purpose, Step},
};

/// Returns the best steps within the limit, in the order of execution.
pub(super) fn steps(board: &Board<'_>, steps_max: usize) -> Vec<Step> {
    let best = rounds(board, steps_max);
    let still = |steps: &[Step]| order::overload_after(board, steps).unwrap_or(f64::INFINITY);
    if board.policy.strategy == Strategy::Relieve || still(&best) <= 0.0 {
        return best;
    }
    // Evening out must not cost relief.
    let policy = Policy { strategy: Strategy::Relieve, ..board.policy.clone() };
    let relieving = rounds(&board.under(&policy), steps_max);
    if still(&relieving) < still(&best) - NOTHING { relieving } else { best }
}

/// Searches in an order of the nodes that does not depend on their ids: renumbering them changes no plan.
fn without_regard_to_ids(board: &Board<'_>, search: impl FnOnce(&Board<'_>) -> Vec<Step>) -> Vec<Step> {
    let order = board.natural_order();
    let steps = search(&board.with_node_order(&order));
    steps.into_iter().map(|step| Step { target: order[step.target], ..step }).collect()
}

/// Returns the least overload that so many steps can leave, as far as that can be told without a search.
pub(super) fn least_left(board: &Board<'_>, steps_max: usize) -> f64 {
    relief::least_left(board, steps_max)
}

/// The search goes on from where it leads to, until it finds nothing. Each round looks as a plan of its own would, so
/// planning again finds nothing either.
fn rounds(board: &Board<'_>, steps_max: usize) -> Vec<Step> {
    let round =
        |board: &Board<'_>, steps_max: usize| without_regard_to_ids(board, |board| round(board, steps_max));
    let mut all = round(board, steps_max);
    for _ in 1..ROUNDS_MAX {
        if all.is_empty() || all.len() >= steps_max {
            break;
        }
        let more = round(&board.after(&all), steps_max - all.len());
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    all
}

/// One search from where the board stands; nothing where nothing is gained.
fn round(board: &Board<'_>, steps_max: usize) -> Vec<Step> {
    let overloaded = board.nodes.iter().any(|node| node.overload(&node.start) > 0.0);
    if steps_max == 0 || (!overloaded && board.policy.strategy == Strategy::Relieve) {
        return Vec::new();
    }
    let pool = Pool::new(board, None);
    let relief::Found { flows, ideal, hopeless } = relief::candidates(board, &pool, steps_max);
    if hopeless && board.policy.strategy == Strategy::Relieve {
        return Vec::new();
    }
    let wanted = flows[0].clone();
    let reached = best_relief(board, flows, steps_max);
    let (relief, relieving) = match ideal {
        Some(ideal) => {
            let removable = Flow::new(board, &pool).overload() - ideal.overload;
            let goal = redeal::Goal { overload: ideal.overload + NEARLY * removable, cost: ideal.cost };
            let reached = redeal::Reached { flow: reached.0, outcome: reached.1 };
            let reached = redeal::improve(wanted, reached, goal, steps_max);
            (reached.flow, reached.outcome)
        }
        None => reached,
    };
    let best = match board.policy.strategy {
        Strategy::Relieve => relieving,
        Strategy::Level => {
            let even = level::even_out(relief, steps_max);
            even.iter()
                .map(|flow| order::order_steps(board, &concrete(flow, true), steps_max))
                .fold(relieving, Outcome::better)
        }
    };
    let best = exact::search(board, steps_max, &best).unwrap_or(best);
    let nothing = Outcome::of(board, Vec::new());
    if best.beats(&nothing) { best.steps } else { Vec::new() }
}

/// Orders sets of moves, the best first, and returns the one that leads furthest, with where it leads to. Sets that could
/// not lead further than what was reached are not looked at.
fn best_relief<'a, 'b>(
    board: &Board<'b>,
    mut found: Vec<Flow<'a, 'b>>,
    steps_max: usize,
) -> (Flow<'a, 'b>, Outcome) {
    let mut best = (0, order::order_steps(board, &concrete(&found[0], false), steps_max));
    for index in 1..found.len().min(ORDERED_MAX) {
        let (flow, last) = (&found[index], &found[index - 1]);
        let alike = flow.overload() == last.overload() && flow.cost == last.cost;
        let reached = best.1.overload <= flow.overload() + NOTHING && best.1.cost <= flow.cost + NOTHING;
        if reached || alike {
            continue;
        }
        let ran = order::order_steps(board, &concrete(flow, false), steps_max);
        if ran.beats(&best.1) {
            best = (index, ran);
        }
    }
    (found.swap_remove(best.0), best.1)
}

/// Returns steps that empty a node as far as it can be, in the order of execution.
pub(super) fn drain_steps(board: &Board<'_>, node: usize) -> Vec<Step> {
    let board = board.draining(node);
    let pool = Pool::new(&board, Some(node));
    let each = |slot: &usize| std::iter::repeat_n(*slot, pool.slots[*slot].vms.len());
    let leaving: Vec<_> = pool.slots_on[node].iter().flat_map(each).collect();
    let mut flow = Flow::new(&board, &pool);
    if !pack::pack(&mut flow, leaving, pack::Taste::Emptiest).is_empty() {
        // Somebody found no place: other nodes have to make room, as for relief.
        flow = relief::candidates(&board, &pool, usize::MAX).flows.swap_remove(0);
    }
    let steps = concrete(&flow, false).into_iter().map(|step| match board.vms[step.vm].node == node {
        true => Step { purpose: Purpose::Drain, ..step },
        false => Step { purpose: Purpose::MakeRoom, ..step },
    });
    order::order_steps(&board, &steps.collect::<Vec<_>>(), usize::MAX).steps
}
