//! Makes a set of moves better by dealing anew what a few nodes give and take, again and again: a small linear program each
//! time, rounded to whole VMs.

use std::collections::BTreeMap;

use super::{
    anneal::Aim,
    effort::{
        NOTHING, OVERLOAD_PRICE, REDEAL_DETOUR, REDEAL_NODES, REDEAL_ORDERS, REDEAL_PAIRS, REDEAL_WORK,
        REDEAL_WORK_EACH, REDEALS_IDLE, REDEALS_IDLE_SMALL, REDEALS_MAX, RELIEF_END, SEQUENCE_MISSING,
        SEQUENCE_NODES, SEQUENCE_PRICES, SEQUENCE_START, SEQUENCE_TRIALS, SEQUENCE_TRIALS_EACH,
        SEQUENCE_WORK, SEQUENCES, SMALL_NODES,
    },
    flow::{Flow, concrete},
    ideal, order,
    outcome::Outcome,
    pool::{Move, Pool},
    sequence::{self, Search},
};
use crate::{
    model::dice::Dice,
    planner::{
        board::Board,
        policy::Strategy,
        step::{Purpose, Step},
    },
};

/// What a set of moves that is good enough comes to: hardly any undercuts it.
#[derive(Clone, Copy)]
pub(super) struct Goal {
    pub overload: f64,
    pub cost: f64,
}

/// A set of moves with what is reached in the order in which it runs.
pub(super) struct Reached<'a, 'b> {
    pub flow: Flow<'a, 'b>,
    pub outcome: Outcome,
}

/// Returns better sets than the one that was reached, if possible, and where they lead to.
///
/// `wanted` is the best set that was found, which may not run to its end.
pub(super) fn improve<'a, 'b>(
    wanted: Flow<'a, 'b>,
    mut reached: Reached<'a, 'b>,
    goal: Goal,
    steps_max: usize,
) -> Reached<'a, 'b> {
    let board = wanted.board;
    let removable = (Flow::new(board, wanted.pool).overload() - goal.overload).max(NOTHING);
    reached = cheapened(reached, goal, steps_max);
    let missing = reached.outcome.overload - wanted.overload();
    if missing < SEQUENCE_MISSING * removable || board.nodes.len() < SEQUENCE_NODES {
        return reached;
    }
    let before = reached.outcome.overload;
    sequenced(&wanted, &mut reached, removable, steps_max);
    if reached.outcome.overload < before { cheapened(reached, goal, steps_max) } else { reached }
}

/// Looks for sets that can run, where the best one cannot.
fn sequenced<'a, 'b>(wanted: &Flow<'a, 'b>, reached: &mut Reached<'a, 'b>, removable: f64, steps_max: usize) {
    let (board, pool) = (wanted.board, wanted.pool);
    let mut from = in_order(wanted, &reached.outcome);
    for seed in 0..SEQUENCES {
        let moves = from.len().max(1);
        let scale = wanted.cost / moves as f64;
        let search = Search {
            overload: wanted.cost / removable * OVERLOAD_PRICE,
            trials: (moves * SEQUENCE_TRIALS_EACH).min(SEQUENCE_TRIALS).min(SEQUENCE_WORK / moves),
            start: SEQUENCE_START * scale,
            end: RELIEF_END * scale,
            overfill: SEQUENCE_PRICES[seed as usize % SEQUENCE_PRICES.len()],
            seed,
        };
        let Some(found) = sequence::searched(board, pool, &from, search, steps_max) else { continue };
        let flow = made(board, pool, &found);
        let outcome = Outcome::of(board, named(&flow, &found));
        let runs = order::overload_after(board, &outcome.steps).is_some();
        if runs && outcome.beats(&reached.outcome) {
            *reached = Reached { flow, outcome };
            from = found;
        }
    }
}

/// The moves of a set: first off the nodes that left their place early when as much as possible ran, then the rest.
fn in_order(wanted: &Flow<'_, '_>, ran: &Outcome) -> Vec<Move> {
    let source = |mv: &Move| wanted.pool.slots[mv.slot].node;
    let mut first: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (index, step) in ran.steps.iter().enumerate() {
        first.entry((wanted.board.vms[step.vm].node, step.target)).or_insert(index);
    }
    let mut moves = wanted.moves.clone();
    moves.sort_by_key(|mv| {
        (first.get(&(source(mv), mv.target)).copied().unwrap_or(usize::MAX), mv.slot, mv.target)
    });
    moves
}

/// Names the VMs of moves, in their order.
fn named(flow: &Flow<'_, '_>, moves: &[Move]) -> Vec<Step> {
    let mut next = vec![0; flow.pool.slots.len()];
    let is_over = |node: usize| flow.board.nodes[node].is_over(&flow.board.nodes[node].start);
    let name = |mv: &Move| {
        let slot = &flow.pool.slots[mv.slot];
        let vm = slot.vms[next[mv.slot]];
        next[mv.slot] += 1;
        let purpose = if is_over(slot.node) { Purpose::Relieve } else { Purpose::MakeRoom };
        Step { vm, target: mv.target, purpose }
    };
    moves.iter().map(name).collect()
}

fn made<'a, 'b>(board: &'a Board<'b>, pool: &'a Pool, moves: &[Move]) -> Flow<'a, 'b> {
    let mut flow = Flow::new(board, pool);
    moves.iter().for_each(|mv| flow.add(*mv));
    flow
}

/// Deals a few nodes anew, again and again, and goes on from sets that are nearly as good as the best one.
fn cheapened<'a, 'b>(mut reached: Reached<'a, 'b>, goal: Goal, steps_max: usize) -> Reached<'a, 'b> {
    let (board, pool) = (reached.flow.board, reached.flow.pool);
    let mut deals = Deals::new(board, Strategy::Relieve, steps_max);
    let mut flow = made(board, pool, &reached.flow.moves);
    let (mut orders, mut idle) = (0, 0);
    // Ordering looks at all pairs of moves.
    let orders_max = (REDEAL_PAIRS / (flow.moves.len() * flow.moves.len()).max(1)).clamp(4, REDEAL_ORDERS);
    // The number of ways to choose nodes.
    let is_small = board.nodes.len() <= SMALL_NODES;
    let idle_max = if is_small { REDEALS_IDLE_SMALL } else { REDEALS_IDLE } * board.nodes.len().pow(2);
    let mut tried: Vec<(f64, f64, usize)> = Vec::new();
    let work_max = (board.nodes.len().pow(2) * REDEAL_WORK_EACH).min(REDEAL_WORK);
    for _ in 0..REDEALS_MAX {
        let best = &reached.outcome;
        let enough = best.overload <= goal.overload + NOTHING && best.cost <= goal.cost * 1.002;
        idle += 1;
        if enough || orders >= orders_max || idle > idle_max || deals.work > work_max {
            break;
        }
        let Some(other) = deals.deal(&flow) else { continue };
        let mark = (other.overload(), other.cost, other.moves.len());
        let as_little = mark.0 < best.overload + NOTHING;
        let further = mark.0 < best.overload - NOTHING || (as_little && mark.1 < best.cost - NOTHING);
        let left = (1.0 - idle as f64 / idle_max as f64).max(0.0);
        let near = as_little && mark.1 < best.cost * (1.0 + REDEAL_DETOUR * left);
        if further && !tried.contains(&mark) {
            tried.push(mark);
            orders += 1;
            let ran = order::order_steps(board, &concrete(&other, false), steps_max);
            if ran.beats(&reached.outcome) {
                (orders, idle) = (0, 0);
                reached = Reached { flow: made(board, pool, &other.moves), outcome: ran };
            }
            // From a set that cannot run, few ways lead to one that can.
            flow.clone_from(&reached.flow);
        } else if near {
            flow = other;
        }
    }
    reached
}

/// Returns the most even set that was found with so many deals. It goes on from sets that are nearly as even as the best one.
pub(super) fn even_out<'a, 'b>(
    best: &Flow<'a, 'b>,
    aim: &Aim,
    moves_max: usize,
    deals_max: usize,
) -> Flow<'a, 'b> {
    let mut deals = Deals::new(best.board, Strategy::Level, moves_max);
    let (mut flow, mut best) = (best.clone(), best.clone());
    let mut least = aim.of(&best);
    let idle_max = deals_max.div_ceil(3);
    let mut idle = 0;
    for _ in 0..deals_max {
        if idle >= idle_max {
            break;
        }
        idle += 1;
        let Some(other) = deals.deal(&flow) else { continue };
        let judged = aim.of(&other);
        if judged < least - NOTHING {
            best.clone_from(&other);
            (least, idle) = (judged, 0);
        }
        let left = 1.0 - idle as f64 / idle_max as f64;
        if judged < least * (1.0 + REDEAL_DETOUR * left) + NOTHING {
            flow = other;
        }
    }
    best
}

struct Deals {
    aim: Strategy,
    moves_max: usize,
    nodes: usize,
    dice: Dice,
    count: u64,
    /// Cells × rows of all programs.
    work: usize,
}

impl Deals {
    fn new(board: &Board<'_>, aim: Strategy, moves_max: usize) -> Self {
        Self { aim, moves_max, nodes: board.nodes.len(), dice: Dice::new(0), count: 0, work: 0 }
    }

    /// The same set with a few nodes, taken by chance, dealt anew.
    fn deal<'a, 'b>(&mut self, flow: &Flow<'a, 'b>) -> Option<Flow<'a, 'b>> {
        let mut is_free = vec![false; self.nodes];
        (0..REDEAL_NODES + self.dice.below(REDEAL_NODES))
            .for_each(|_| is_free[self.dice.below(self.nodes)] = true);
        self.count += 1;
        let (moves, work) = ideal::redealt(flow, &is_free, self.moves_max, self.aim, self.count);
        self.work += work;
        let moves = moves?;
        let mut other = Flow::new(flow.board, flow.pool);
        moves.into_iter().for_each(|mv| other.add(mv));
        (other.is_sound() && other.moves.len() <= self.moves_max).then_some(other)
    }
}
