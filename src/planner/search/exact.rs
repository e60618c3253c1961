//! Tiny clusters by going through all that can be reached: the cheapest first, so detours cost what they cost.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::{
    effort::{LOOKS_MAX, NOTHING, PLACEMENTS_MAX},
    outcome::{self, Outcome},
    rates::Rates,
};
use crate::planner::{
    board::{Board, Placement},
    figures,
    policy::Strategy,
    step::{Purpose, Step},
};

/// Returns the best outcome within the limit of steps, if the cluster is tiny and the outcome beats what is known.
pub(super) fn search(board: &Board<'_>, steps_max: usize, known: &Outcome) -> Option<Outcome> {
    let movable: Vec<usize> = (0..board.vms.len()).filter(|vm| may_leave(board, *vm)).collect();
    let nodes = board.nodes.len() as u64;
    let placements = nodes.checked_pow(u32::try_from(movable.len()).ok()?)?;
    if placements > PLACEMENTS_MAX {
        return None;
    }
    let mut walk = Walk { board, movable, rates: Rates::new(board), steps_max, found: Vec::new() };
    let best = walk.run(known)?;
    let outcome = Outcome::of(board, walk.steps_to(best));
    outcome.beats(known).then_some(outcome)
}

fn may_leave(board: &Board<'_>, vm: usize) -> bool {
    let node = board.vms[vm].node;
    board.may_relieve(vm, node, &board.nodes[node].start).is_ok()
}

struct Walk<'a, 'b> {
    board: &'a Board<'b>,
    movable: Vec<usize>,
    rates: Rates,
    steps_max: usize,
    /// For every placement looked at, in the order of cost, the one before and the step from there.
    found: Vec<Option<(usize, Step)>>,
}

/// What waits to be looked at, the cheapest first: cost, steps, placement, from which find, by which VM to where.
type Waiting = Reverse<(u64, usize, u64, Option<(usize, usize, usize)>)>;

impl Walk<'_, '_> {
    /// Returns the best find.
    fn run(&mut self, known: &Outcome) -> Option<usize> {
        let mut waiting: BinaryHeap<Waiting> = BinaryHeap::new();
        let mut fewest: HashMap<u64, usize> = HashMap::new();
        let mut best: Option<(f64, f64, usize)> = None;
        waiting.push(Reverse((0, 0, self.key(&self.board.start()), None)));
        while let Some(Reverse((cost, steps, placement, from))) = waiting.pop() {
            if fewest.get(&placement).is_some_and(|known| *known <= steps) {
                continue;
            }
            if self.found.len() >= LOOKS_MAX {
                return None;
            }
            fewest.insert(placement, steps);
            let from = from.map(|(from, vm, target)| (from, self.step(vm, target)));
            self.found.push(from);
            let here = self.placement(placement);
            let (overload, rest) = self.judge(&here, cost);
            let better = |(o, r, _): (f64, f64, usize)| {
                overload < o - NOTHING || (overload < o + NOTHING && rest < r - NOTHING)
            };
            if best.is_none_or(better) {
                best = Some((overload, rest, self.found.len() - 1));
            }
            if self.is_enough(overload, cost, known) {
                break;
            }
            if steps < self.steps_max {
                self.look_around(&here, (cost, steps), &mut waiting);
            }
        }
        best.map(|(_, _, index)| index)
    }

    /// With relief alone the first placement without overload is the cheapest one.
    fn is_enough(&self, overload: f64, cost: u64, known: &Outcome) -> bool {
        let undercut = known.overload <= 0.0 && cost as f64 / 1024.0 >= known.rest;
        self.board.policy.strategy == Strategy::Relieve && (overload <= 0.0 || undercut)
    }

    fn look_around(&self, here: &Placement, (cost, steps): (u64, usize), waiting: &mut BinaryHeap<Waiting>) {
        let from = self.found.len() - 1;
        for &vm in &self.movable {
            let price = (self.board.cost(vm) * 1024.0).round() as u64;
            for target in 0..self.board.nodes.len() {
                if self.board.refusal(here, vm, target).is_some() || !self.is_useful(here, vm, target) {
                    continue;
                }
                let mut there = here.clone();
                self.board.apply(&mut there, vm, target);
                waiting.push(Reverse((cost + price, steps + 1, self.key(&there), Some((from, vm, target)))));
            }
        }
    }

    /// Evening out never makes things worse, not even for one step.
    fn is_useful(&self, here: &Placement, vm: usize, target: usize) -> bool {
        let (source, needs) = (here.at[vm], self.board.vms[vm].needs);
        let (node, used) = (&self.board.nodes[source], here.used[source]);
        self.board.policy.strategy == Strategy::Relieve
            || node.overload(&(used - needs)) < node.overload(&used)
            || self.rates.gain(self.board, &here.used, needs, source, target) > 0.0
    }

    fn judge(&self, here: &Placement, cost: u64) -> (f64, f64) {
        let cost = cost as f64 / 1024.0;
        (figures::overload(self.board, here), outcome::rest(self.board, &here.used, cost))
    }

    fn step(&self, vm: usize, target: usize) -> Step {
        let home = &self.board.nodes[self.board.vms[vm].node];
        let purpose = match self.board.policy.strategy {
            Strategy::Level if !home.is_over(&home.start) => Purpose::Level,
            Strategy::Relieve | Strategy::Level => Purpose::Relieve,
        };
        Step { vm, target, purpose }
    }

    fn steps_to(&self, index: usize) -> Vec<Step> {
        let mut steps: Vec<Step> = std::iter::successors(self.found[index], |(from, _)| self.found[*from])
            .map(|(_, step)| step)
            .collect();
        steps.reverse();
        steps
    }

    /// A placement as a number: one digit for each movable VM.
    fn key(&self, placement: &Placement) -> u64 {
        let nodes = self.board.nodes.len() as u64;
        self.movable.iter().fold(0, |key, vm| key * nodes + placement.at[*vm] as u64)
    }

    fn placement(&self, mut key: u64) -> Placement {
        let nodes = self.board.nodes.len() as u64;
        let mut placement = self.board.start();
        for &vm in self.movable.iter().rev() {
            let node = usize::try_from(key % nodes).unwrap_or(0);
            if node != placement.at[vm] {
                self.board.apply(&mut placement, vm, node);
            }
            key /= nodes;
        }
        placement
    }
}
