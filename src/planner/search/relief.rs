//! Moves that take overloaded nodes under their thresholds at the least cost.

use super::{
    anneal::{self, Aim, Ceilings, Cooling},
    cover::{self, Price},
    effort::{
        self, IDLE_MAX, LIMITED, NEAR, NOTHING, OVERLOAD_PRICE, PRICES, RELIEF_END, RELIEF_START, RUNS,
        RUNS_LIMITED,
    },
    flow::Flow,
    pack::{self, Taste},
    pool::{Move, Pool},
};
use crate::planner::board::Board;

/// Returns the best set of at most so many moves.
pub fn relieved<'a, 'b>(board: &'a Board<'b>, pool: &'a Pool, moves_max: usize) -> Flow<'a, 'b> {
    let start = Flow::new(board, pool);
    let overload = start.overload();
    if overload <= 0.0 {
        return start;
    }
    let hot = (0..board.nodes.len()).filter(|node| start.overload_of(*node) > 0.0).count();
    if moves_max == 1 || moves_max < hot {
        // Not even one move for each, or only one: clearing all is mostly out of reach, the largest relief is wanted.
        let mut flow = start;
        extend(&mut flow, moves_max);
        return searched(flow, overload, 0.0, moves_max);
    }
    let (mut flow, bound) = covered(&start, moves_max);
    if flow.cost <= bound && flow.overload() <= 0.0 && flow.moves.len() <= moves_max {
        return flow;
    }
    cut(&mut flow, moves_max);
    extend(&mut flow, moves_max);
    searched(flow, overload, bound, moves_max)
}

/// The first of the prices at which covers need no more moves than there may be, and what no plan can undercut.
fn covered<'a, 'b>(start: &Flow<'a, 'b>, moves_max: usize) -> (Flow<'a, 'b>, f64) {
    let (mut flow, bound) = constructed(start, Price { per_move: 0.0 });
    for per_move in PRICES {
        if flow.moves.len() <= moves_max {
            break;
        }
        flow = constructed(start, Price { per_move }).0;
    }
    (flow, bound)
}

/// Searches from a first set of moves, several times over where that does not lead close to what is possible.
fn searched<'a, 'b>(mut flow: Flow<'a, 'b>, overload: f64, bound: f64, moves_max: usize) -> Flow<'a, 'b> {
    if moves_max == 1 {
        // The best single move is what `extend` begins with.
        return flow;
    }
    let (aim, scale) = aim(&flow, overload, bound, moves_max);
    let (trials, runs) = work(&flow, moves_max);
    let mut best = flow.clone();
    let mut idle = 0;
    for seed in 0..runs {
        let cooling = Cooling { trials, start: RELIEF_START * scale, end: RELIEF_END * scale, seed };
        flow = anneal::anneal(flow, &aim, cooling, moves_max);
        extend(&mut flow, moves_max);
        idle += 1;
        if before(&flow, &best) {
            best.clone_from(&flow);
            idle = 0;
        }
        if idle == IDLE_MAX || (flow.overload() <= 0.0 && flow.cost <= bound * NEAR) {
            break;
        }
    }
    best
}

/// What the search weighs, and what a typical move weighs by it.
fn aim(flow: &Flow<'_, '_>, overload: f64, bound: f64, moves_max: usize) -> (Aim, f64) {
    let moves = flow.moves.len().max(1) as f64;
    let (cost, imbalance, ceilings) = (flow.cost.max(bound).max(1.0), 0.0, Ceilings::Soft);
    if flow.moves.len() >= moves_max {
        // Every move counts: overload alone, and cost only between sets that leave the same.
        let relief = (overload - flow.overload()).max(NOTHING);
        return (
            Aim { overload: 1.0, cost: 1e-4 * relief / cost, imbalance, ceilings },
            LIMITED * relief / moves,
        );
    }
    (
        Aim { overload: cost / overload * OVERLOAD_PRICE, cost: 1.0, imbalance, ceilings },
        flow.cost.max(1.0) / moves,
    )
}

/// Tells whether one set of moves is better than another: less overload left, or as little at less cost.
fn before(one: &Flow<'_, '_>, other: &Flow<'_, '_>) -> bool {
    let overload = one.overload() - other.overload();
    overload < -NOTHING || (overload < NOTHING && one.cost < other.cost - NOTHING)
}

/// Trials of a run, and runs: the fewer moves there may be, the fewer sets there are to look at.
fn work(flow: &Flow<'_, '_>, moves_max: usize) -> (usize, u64) {
    let moves = flow.moves.len();
    match moves >= moves_max {
        true => (effort::RELIEF_LIMITED.of(moves, flow.choices()), RUNS_LIMITED),
        false => (effort::RELIEF.of(moves, flow.choices()), RUNS),
    }
}

/// For each overloaded node the cheapest cover, and a place for every VM of it as far as there is one; with what the
/// covers cost together, which no set that clears the overload undercuts.
fn constructed<'a, 'b>(start: &Flow<'a, 'b>, price: Price) -> (Flow<'a, 'b>, f64) {
    let nodes = 0..start.board.nodes.len();
    let leaving: Vec<usize> = nodes.flat_map(|node| cover::cover(start, node, price)).collect();
    let bound = leaving.iter().map(|slot| start.pool.class(*slot).cost).sum();
    let mut even = start.clone();
    let homeless = pack::pack(&mut even, leaving.clone(), Taste::Emptiest).len();
    if homeless == 0 {
        return (even, bound);
    }
    let mut tight = start.clone();
    let still = pack::pack(&mut tight, leaving, Taste::Fullest).len();
    (if still < homeless { tight } else { even }, bound)
}

/// Takes moves back, the least useful first, until the set is small enough.
fn cut(flow: &mut Flow<'_, '_>, moves_max: usize) {
    while flow.moves.len() > moves_max {
        let loss = |index: usize| {
            let Move { slot, .. } = flow.moves[index];
            let (node, needs) = (flow.pool.slots[slot].node, flow.pool.class(slot).needs);
            let with = flow.used[node] + needs;
            flow.board.nodes[node].overload(&with) - flow.overload_of(node)
        };
        let least = (0..flow.moves.len()).min_by(|a, b| loss(*a).total_cmp(&loss(*b)));
        let Some(least) = least else { break };
        flow.remove(least);
    }
}

/// Adds the move that takes off the most, as long as one takes off anything.
fn extend(flow: &mut Flow<'_, '_>, moves_max: usize) {
    while flow.moves.len() < moves_max {
        let mut best: Option<(f64, f64, Move)> = None;
        for node in (0..flow.board.nodes.len()).filter(|node| flow.overload_of(*node) > 0.0) {
            for &slot in flow.pool.slots_on[node].iter().filter(|slot| flow.available(**slot)) {
                let class = flow.pool.class(slot);
                let left = flow.used[node] - class.needs;
                let relief = flow.overload_of(node) - flow.board.nodes[node].overload(&left);
                let more = best.is_none_or(|(most, cost, _)| (relief, -class.cost) > (most, -cost));
                if relief <= NOTHING || !more {
                    continue;
                }
                if let Some(target) = pack::best_target(flow, slot, Taste::Emptiest) {
                    best = Some((relief, class.cost, Move { slot, target }));
                }
            }
        }
        let Some((_, _, mv)) = best else { break };
        flow.add(mv);
    }
}
