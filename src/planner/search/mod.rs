//! Finds the moves of a plan. Deterministic: the work is bounded by counts, never by a clock.
//!
//! Overload first: per overloaded node the cheapest set of VMs that must leave (`cover`), for all of them a place
//! (`pack`), and, where that does not work out, a search over whole sets of moves (`flow`). Then an order in which
//! every rule holds at every step (`order`).

mod anneal;
mod cover;
mod effort;
mod exact;
mod flow;
mod ideal;
mod level;
mod order;
mod outcome;
mod pack;
mod pool;
mod rates;
mod relief;
mod simplex;

pub use effort::GAIN_MIN as LEVEL_GAIN_MIN;
use effort::{NOTHING, ROUNDS_MAX};
use flow::Flow;
use outcome::Outcome;
use pool::Pool;

use super::{
    board::Board,
    policy::{Policy, Strategy},
    step::{Purpose, Step},
};

/// Returns the best steps, at most so many, in the order of execution.
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

/// The search goes on from where it leads to, until it finds nothing.
fn rounds(board: &Board<'_>, steps_max: usize) -> Vec<Step> {
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
    let mut found = relief::found(board, &pool, steps_max);
    let ran: Vec<Outcome> =
        found.iter().map(|flow| order::ordered(board, &concrete(flow, false), steps_max)).collect();
    let first = (0..ran.len()).reduce(|a, b| if ran[b].beats(&ran[a]) { b } else { a }).unwrap_or(0);
    let relief = found.swap_remove(first);
    let relieving = ran.into_iter().nth(first).unwrap_or_else(|| Outcome::of(board, Vec::new()));
    let best = match board.policy.strategy {
        Strategy::Relieve => relieving,
        Strategy::Level => {
            let even = level::evened(relief, steps_max);
            even.map(|flow| order::ordered(board, &concrete(&flow, true), steps_max))
                .fold(relieving, Outcome::better)
        }
    };
    let best = exact::search(board, steps_max, &best).unwrap_or(best);
    let nothing = Outcome::of(board, Vec::new());
    if best.beats(&nothing) { best.steps } else { Vec::new() }
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
        flow = relief::found(&board, &pool, usize::MAX).swap_remove(0);
    }
    let steps = concrete(&flow, false).into_iter().map(|step| match board.vms[step.vm].node == node {
        true => Step { purpose: Purpose::Drain, ..step },
        false => Step { purpose: Purpose::MakeRoom, ..step },
    });
    order::ordered(&board, &steps.collect::<Vec<_>>(), usize::MAX).steps
}

/// Names the VMs of a set of moves.
fn concrete(flow: &Flow<'_, '_>, even: bool) -> Vec<Step> {
    let mut next = vec![0; flow.pool.slots.len()];
    let mut moves = flow.moves.clone();
    moves.sort_by_key(|mv| (mv.slot, mv.target));
    let is_over = |node: usize| flow.board.nodes[node].is_over(&flow.board.nodes[node].start);
    let named = moves.iter().map(|mv| {
        let slot = &flow.pool.slots[mv.slot];
        let vm = slot.vms[next[mv.slot]];
        next[mv.slot] += 1;
        let purpose = match is_over(slot.node) {
            true => Purpose::Relieve,
            false if even => Purpose::Level,
            false => Purpose::MakeRoom,
        };
        Step { vm, target: mv.target, purpose }
    });
    named.collect()
}
