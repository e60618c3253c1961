//! Finds the moves of a plan. Deterministic: the work is bounded by counts, never by a clock.
//!
//! Overload first: per overloaded node the cheapest set of VMs that must leave (`cover`), for all of them a place
//! (`pack`), and, where that does not work out, a search over whole sets of moves (`flow`). Then an order in which
//! every rule holds at every step (`order`).

mod cover;
mod flow;
mod level;
mod order;
mod pack;
mod pool;

use flow::Flow;
use pool::Pool;

use super::board::Board;

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

/// Returns the best steps, at most so many, in the order of execution.
pub(super) fn steps(board: &Board<'_>, steps_max: usize) -> Vec<Step> {
    let pool = Pool::new(board, None);
    let flow = relieved(board, &pool, steps_max);
    order::ordered(board, &concrete(&flow), steps_max)
}

/// Returns steps that empty a node as far as it can be, in the order of execution.
pub(super) fn drain_steps(board: &Board<'_>, node: usize) -> Vec<Step> {
    let pool = Pool::new(board, Some(node));
    let mut flow = Flow::new(board, &pool);
    let leaving = pool.slots_on[node].iter().flat_map(|slot| {
        let count = pool.slots[*slot].vms.len();
        std::iter::repeat_n(*slot, count)
    });
    let leaving: Vec<_> = leaving.collect();
    let homeless = pack::pack(&mut flow, leaving.clone(), pack::Taste::Emptiest);
    if !homeless.is_empty() {
        let mut tight = Flow::new(board, &pool);
        if pack::pack(&mut tight, leaving, pack::Taste::Fullest).len() < homeless.len() {
            flow = tight;
        }
    }
    let drained = |step: Step| Step { purpose: Purpose::Drain, ..step };
    order::ordered(board, &concrete(&flow).into_iter().map(drained).collect::<Vec<_>>(), usize::MAX)
}

/// Prices of a move that are tried one after the other while a plan has too many of them; in units of cost.
const PRICES: [f64; 6] = [0.0, 2.0, 8.0, 32.0, 128.0, 1e4];

fn relieved<'a, 'b>(board: &'a Board<'b>, pool: &'a Pool, moves_max: usize) -> Flow<'a, 'b> {
    let mut flow = Flow::new(board, pool);
    for price in PRICES {
        flow = constructed(board, pool, cover::Price { per_move: price });
        if flow.moves.len() <= moves_max {
            break;
        }
    }
    flow
}

fn constructed<'a, 'b>(board: &'a Board<'b>, pool: &'a Pool, price: cover::Price) -> Flow<'a, 'b> {
    let start = Flow::new(board, pool);
    let leaving: Vec<usize> =
        (0..board.nodes.len()).flat_map(|node| cover::cover(&start, node, price)).collect();
    let mut best: Option<(usize, Flow<'_, '_>)> = None;
    for taste in [pack::Taste::Emptiest, pack::Taste::Fullest] {
        let mut flow = start.clone();
        let homeless = pack::pack(&mut flow, leaving.clone(), taste).len();
        if best.as_ref().is_none_or(|(least, _)| homeless < *least) {
            best = Some((homeless, flow));
        }
        if homeless == 0 {
            break;
        }
    }
    best.map_or(start, |(_, flow)| flow)
}

/// Names the VMs of a set of moves.
fn concrete(flow: &Flow<'_, '_>) -> Vec<Step> {
    let mut next = vec![0; flow.pool.slots.len()];
    let mut moves = flow.moves.clone();
    moves.sort_by_key(|mv| (mv.slot, mv.target));
    moves
        .iter()
        .map(|mv| {
            let slot = &flow.pool.slots[mv.slot];
            let vm = slot.vms[next[mv.slot]];
            next[mv.slot] += 1;
            let over = flow.board.nodes[slot.node].is_over(&flow.board.nodes[slot.node].start);
            Step { vm, target: mv.target, purpose: if over { Purpose::Relieve } else { Purpose::MakeRoom } }
        })
        .collect()
}
