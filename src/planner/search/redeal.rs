//! Makes a set of moves better by dealing anew what a few nodes give and take, again and again: a small linear program each
//! time, rounded to whole VMs.

use super::{
    anneal::Aim,
    effort::{NOTHING, REDEAL_NODES, REDEAL_ORDERS, REDEAL_PAIRS, REDEALS_IDLE, REDEALS_LEVEL, REDEALS_MAX},
    flow::{Flow, concrete},
    ideal::{self, Ideal},
    order,
    outcome::Outcome,
};
use crate::{
    model::dice::Dice,
    planner::{board::Board, policy::Strategy},
};

/// Returns the best set that was found and that can run, with where it leads to.
pub fn improved<'a, 'b>(
    board: &Board<'b>,
    ideal: &Ideal,
    (mut flow, mut reached): (Flow<'a, 'b>, Outcome),
    steps_max: usize,
) -> (Flow<'a, 'b>, Outcome) {
    let mut deals = Deals::new(board, Strategy::Relieve, steps_max);
    let (mut orders, mut idle) = (0, 0);
    // Ordering looks at all pairs of moves.
    let orders_max = (REDEAL_PAIRS / (flow.moves.len() * flow.moves.len()).max(1)).clamp(4, REDEAL_ORDERS);
    let mut tried: Vec<(f64, f64, usize)> = Vec::new();
    for _ in 0..REDEALS_MAX {
        let enough = reached.overload <= ideal.overload + NOTHING && reached.cost <= ideal.cost * 1.005;
        idle += 1;
        if enough || orders >= orders_max || idle > REDEALS_IDLE * board.nodes.len() {
            break;
        }
        let Some(other) = deals.deal(&flow) else { continue };
        let mark = (other.overload(), other.cost, other.moves.len());
        let further = mark.0 < reached.overload - NOTHING
            || (mark.0 < reached.overload + NOTHING && mark.1 < reached.cost - NOTHING);
        if !further || tried.contains(&mark) {
            continue;
        }
        tried.push(mark);
        orders += 1;
        let ran = order::ordered(board, &concrete(&other, false), steps_max);
        if ran.beats(&reached) {
            (flow, reached) = (other, ran);
            (orders, idle) = (0, 0);
        }
    }
    (flow, reached)
}

/// Returns the most even set that was found.
pub fn evened<'a, 'b>(mut flow: Flow<'a, 'b>, aim: &Aim, moves_max: usize) -> Flow<'a, 'b> {
    let mut deals = Deals::new(flow.board, Strategy::Level, moves_max);
    let mut least = aim.of(&flow);
    let mut idle = 0;
    for _ in 0..REDEALS_LEVEL {
        idle += 1;
        let Some(other) = deals.deal(&flow) else { continue };
        let judged = aim.of(&other);
        if judged < least - NOTHING {
            (flow, least) = (other, judged);
            idle = 0;
        }
        if idle >= REDEALS_LEVEL / 3 {
            break;
        }
    }
    flow
}

struct Deals {
    aim: Strategy,
    moves_max: usize,
    nodes: usize,
    dice: Dice,
    count: u64,
}

impl Deals {
    fn new(board: &Board<'_>, aim: Strategy, moves_max: usize) -> Self {
        Self { aim, moves_max, nodes: board.nodes.len(), dice: Dice::new(0), count: 0 }
    }

    /// The same set with a few nodes, taken by chance, dealt anew.
    fn deal<'a, 'b>(&mut self, flow: &Flow<'a, 'b>) -> Option<Flow<'a, 'b>> {
        let mut is_free = vec![false; self.nodes];
        (0..REDEAL_NODES + self.dice.below(REDEAL_NODES))
            .for_each(|_| is_free[self.dice.below(self.nodes)] = true);
        self.count += 1;
        let moves = ideal::redealt(flow, &is_free, self.moves_max, self.aim, self.count)?;
        let mut other = Flow::new(flow.board, flow.pool);
        moves.into_iter().for_each(|mv| other.add(mv));
        (other.is_sound() && other.moves.len() <= self.moves_max).then_some(other)
    }
}
