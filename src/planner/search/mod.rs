//! Finds the moves of a plan. Deterministic: the work is bounded by counts, never by a clock.
//!
//! Overload first: per overloaded node the cheapest set of VMs that must leave (`cover`), for all of them a place
//! (`pack`), and, where that does not work out, a search over whole sets of moves (`flow`). Then an order in which
//! every rule holds at every step (`order`).

mod anneal;
mod cover;
mod dice;
mod exact;
mod flow;
mod level;
mod order;
mod pack;
mod pool;
mod relief;

use flow::Flow;
pub use level::GAIN_MIN as LEVEL_GAIN_MIN;
use pool::Pool;

use super::{Strategy, board::Board, load};

/// One migration of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub vm: usize,
    pub target: usize,
    pub purpose: Purpose,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Relieve,
    MakeRoom,
    Level,
    Drain,
}

/// Rounds of search at most. A second round goes on from where the first leads to, so that planning again finds
/// nothing; each one has to gain something, and more than three were never seen.
const ROUNDS_MAX: usize = 8;

/// Less than this is rounding, not a gain.
const NOTHING: f64 = 1e-9;

/// Returns the best steps, at most so many, in the order of execution.
pub(super) fn steps(board: &Board<'_>, steps_max: usize) -> Vec<Step> {
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
    let relief = relief::relieved(board, &pool, steps_max);
    let relieving = order::ordered(board, &concrete(&relief), steps_max);
    let relieving = Outcome::of(board, relieving);
    let best = match board.policy.strategy {
        Strategy::Relieve => relieving,
        Strategy::Level => {
            let even = level::evened(relief, steps_max);
            even.map(|flow| Outcome::of(board, order::ordered(board, &concrete(&flow), steps_max)))
                .fold(relieving, Outcome::better)
        }
    };
    let best = exact::search(board, steps_max, &best).unwrap_or(best);
    let nothing = Outcome::of(board, Vec::new());
    if best.beats(&nothing) { best.steps } else { Vec::new() }
}

/// What is compared where the overload is the same: cost, or imbalance with cost at its exchange rate.
fn rest(board: &Board<'_>, used: &[load::Amounts], cost: f64) -> f64 {
    match board.policy.strategy {
        Strategy::Relieve => cost,
        Strategy::Level => load::imbalance_squared(board, used) + level::gain_min(board) * cost,
    }
}

/// Steps with what they reach.
struct Outcome {
    steps: Vec<Step>,
    overload: f64,
    rest: f64,
}

impl Outcome {
    fn of(board: &Board<'_>, steps: Vec<Step>) -> Self {
        let mut end = board.start();
        for step in &steps {
            board.apply(&mut end, step.vm, step.target);
        }
        let cost: f64 = steps.iter().map(|step| board.cost(step.vm)).sum();
        Self { overload: load::overload(board, &end), rest: rest(board, &end.used, cost), steps }
    }

    fn beats(&self, other: &Self) -> bool {
        let overload = self.overload - other.overload;
        overload < -NOTHING || (overload < NOTHING && self.rest < other.rest - NOTHING)
    }

    fn better(self, other: Self) -> Self {
        if other.beats(&self) { other } else { self }
    }
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
        flow = relief::relieved(&board, &pool, usize::MAX);
    }
    let steps = concrete(&flow).into_iter().map(|step| match board.vms[step.vm].node == node {
        true => Step { purpose: Purpose::Drain, ..step },
        false => Step { purpose: Purpose::MakeRoom, ..step },
    });
    order::ordered(&board, &steps.collect::<Vec<_>>(), usize::MAX)
}

/// Names the VMs of a set of moves.
fn concrete(flow: &Flow<'_, '_>) -> Vec<Step> {
    let mut next = vec![0; flow.pool.slots.len()];
    let mut moves = flow.moves.clone();
    moves.sort_by_key(|mv| (mv.slot, mv.target));
    let named = moves.iter().map(|mv| {
        let slot = &flow.pool.slots[mv.slot];
        let vm = slot.vms[next[mv.slot]];
        next[mv.slot] += 1;
        let over = flow.board.nodes[slot.node].is_over(&flow.board.nodes[slot.node].start);
        let purpose = match flow.board.policy.strategy {
            Strategy::Level => Purpose::Level,
            Strategy::Relieve if over => Purpose::Relieve,
            Strategy::Relieve => Purpose::MakeRoom,
        };
        Step { vm, target: mv.target, purpose }
    });
    named.collect()
}
