//! Sets of moves in the order in which they run: simulated annealing where what a set costs and how far its steps overfill
//! their targets on the way are weighed together. It finds sets that can run where the best set, found without an order,
//! cannot.
//!
//! The work is a number of trials; seed and cooling are fixed, so the same cluster gives the same plan.

use super::{
    effort::STRETCH,
    flow::Flow,
    pool::{Move, Pool},
};
use crate::{model::dice::Dice, planner::board::Board};

/// What a sequence is judged by, and how long and how boldly to search.
#[derive(Clone, Copy)]
pub(super) struct Search {
    /// What overload costs.
    pub overload: f64,
    pub trials: usize,
    /// First and last temperature, in units of cost.
    pub start: f64,
    pub end: f64,
    /// How many times dearer an overfilled target is than overload, at first and at last.
    pub overfill: (f64, f64),
    pub seed: u64,
}

/// Returns the best sequence that was found in which no step overfills its target; nothing where none was found.
pub(super) fn searched(
    board: &Board<'_>,
    pool: &Pool,
    first: &[Move],
    search: Search,
    moves_max: usize,
) -> Option<Vec<Move>> {
    let mut run = Run::new(board, pool, first, search, moves_max)?;
    let steps = (search.trials / STRETCH).max(1) as f64;
    let cooler = (search.end / search.start).powf(1.0 / steps);
    let dearer = (search.overfill.1 / search.overfill.0).powf(1.0 / steps);
    let mut temperature = search.start;
    for trial in 0..search.trials {
        if trial % STRETCH == 0 {
            temperature *= cooler;
            run.price *= dearer;
        }
        run.trial(temperature);
    }
    run.best.map(|(_, moves)| moves)
}

/// What a node contributes.
#[derive(Clone, Copy, Default)]
struct Standing {
    overload: f64,
    /// By how much arrivals overfill it, summed up.
    overfill: f64,
}

struct Run<'a, 'b> {
    board: &'a Board<'b>,
    pool: &'a Pool,
    /// The rules that do not depend on the order.
    flow: Flow<'a, 'b>,
    search: Search,
    moves_max: usize,
    dice: Dice,
    moves: Vec<Move>,
    standing: Vec<Standing>,
    cost: f64,
    taken: Vec<u32>,
    /// The node of each slot.
    sources: Vec<usize>,
    /// Nodes that are overloaded at the start.
    hot: Vec<usize>,
    givers: Vec<usize>,
    takers: Vec<usize>,
    price: f64,
    best: Option<(f64, Vec<Move>)>,
    /// What the trial at hand changed, to take it back.
    done: Vec<Change>,
    touched: Vec<usize>,
    before: Vec<(usize, Standing)>,
}

enum Change {
    Inserted(usize),
    Removed(usize, Move),
}

impl<'a, 'b> Run<'a, 'b> {
    fn new(
        board: &'a Board<'b>,
        pool: &'a Pool,
        first: &[Move],
        search: Search,
        moves_max: usize,
    ) -> Option<Self> {
        let gives = |n: &usize| !pool.slots_on[*n].is_empty();
        let givers: Vec<usize> = (0..board.nodes.len()).filter(gives).collect();
        let takers: Vec<usize> = (0..board.nodes.len()).filter(|n| board.nodes[*n].target.is_ok()).collect();
        let hot =
            givers.iter().copied().filter(|n| board.nodes[*n].is_over(&board.nodes[*n].start)).collect();
        if givers.is_empty() || takers.is_empty() {
            return None;
        }
        let mut taken = vec![0; pool.slots.len()];
        first.iter().for_each(|mv| taken[mv.slot] += 1);
        let mut run = Self {
            board,
            pool,
            flow: Flow::new(board, pool),
            search,
            moves_max,
            dice: Dice::new(search.seed),
            moves: first.to_vec(),
            standing: vec![Standing::default(); board.nodes.len()],
            cost: first.iter().map(|mv| pool.class(mv.slot).cost).sum(),
            taken,
            sources: pool.slots.iter().map(|slot| slot.node).collect(),
            hot,
            givers,
            takers,
            price: search.overfill.0,
            best: None,
            done: Vec::new(),
            touched: Vec::new(),
            before: Vec::new(),
        };
        for node in 0..board.nodes.len() {
            run.standing[node] = run.look(node);
        }
        run.keep_if_best();
        Some(run)
    }

    /// Follows a node from the first step to the last.
    fn look(&self, node: usize) -> Standing {
        let facts = &self.board.nodes[node];
        let mut used = facts.start;
        let mut count = facts.start_count;
        let mut overfill = 0.0;
        for mv in &self.moves {
            if mv.target == node {
                used = used + self.pool.class(mv.slot).needs;
                count += 1;
                overfill += facts.overfill(&used);
                overfill += if facts.room.is_exceeded_by(count) { 1.0 } else { 0.0 };
            } else if self.sources[mv.slot] == node {
                used = used - self.pool.class(mv.slot).needs.as_at_home();
                count -= 1;
            }
        }
        Standing { overload: facts.overload(&used), overfill }
    }

    fn trial(&mut self, temperature: f64) {
        self.done.clear();
        self.touched.clear();
        self.before.clear();
        let cost = self.cost;
        let made = match self.dice.below(16) {
            0..=3 => self.retarget(),
            4 | 5 => self.other_vm(),
            6 => self.swap_targets(),
            7..=9 => self.shift(),
            10 | 11 => self.add(),
            12 => self.remove_one(),
            13 => self.replace(),
            _ => self.make_room(),
        };
        let accepted = made.is_some() && self.moves.len() <= self.moves_max && {
            let change = self.change() + self.cost - cost;
            change <= 0.0 || (change < 40.0 * temperature && self.dice.unit() < (-change / temperature).exp())
        };
        match accepted {
            true => self.keep_if_best(),
            false => self.undo(cost),
        }
    }

    /// What the nodes that were touched contribute more than before.
    fn change(&mut self) -> f64 {
        self.touched.sort_unstable();
        self.touched.dedup();
        let worth = self.search.overload;
        let mut change = 0.0;
        for index in 0..self.touched.len() {
            let node = self.touched[index];
            let (was, is) = (self.standing[node], self.look(node));
            change += worth * (is.overload - was.overload);
            change += worth * self.price * (is.overfill - was.overfill);
            self.before.push((node, was));
            self.standing[node] = is;
        }
        change
    }

    fn undo(&mut self, cost: f64) {
        while let Some(change) = self.done.pop() {
            match change {
                Change::Inserted(at) => {
                    let mv = self.moves.remove(at);
                    self.taken[mv.slot] -= 1;
                }
                Change::Removed(at, mv) => {
                    self.moves.insert(at, mv);
                    self.taken[mv.slot] += 1;
                }
            }
        }
        for (node, was) in &self.before {
            self.standing[*node] = *was;
        }
        self.cost = cost;
    }

    fn keep_if_best(&mut self) {
        if self.standing.iter().any(|standing| standing.overfill > 0.0) {
            return;
        }
        let overload: f64 = self.standing.iter().map(|standing| standing.overload).sum();
        let judged = self.search.overload * overload + self.cost;
        if self.best.as_ref().is_none_or(|(least, _)| judged < least - 1e-9) {
            self.best = Some((judged, self.moves.clone()));
        }
    }

    fn insert(&mut self, at: usize, mv: Move) -> Option<()> {
        let available = (self.taken[mv.slot] as usize) < self.pool.slots[mv.slot].vms.len();
        if !available || !self.may_come(mv) {
            return None;
        }
        self.moves.insert(at, mv);
        self.taken[mv.slot] += 1;
        self.cost += self.pool.class(mv.slot).cost;
        self.done.push(Change::Inserted(at));
        self.touch(mv);
        Some(())
    }

    fn remove(&mut self, at: usize) -> Move {
        let mv = self.moves.remove(at);
        self.taken[mv.slot] -= 1;
        self.cost -= self.pool.class(mv.slot).cost;
        self.done.push(Change::Removed(at, mv));
        self.touch(mv);
        mv
    }

    fn touch(&mut self, mv: Move) {
        let source = self.pool.slots[mv.slot].node;
        self.touched.extend([source, mv.target]);
    }

    /// The rules of a single move but how full its target is. Of an anti-affinity group nobody else comes to a node where one
    /// is at any time.
    fn may_come(&self, mv: Move) -> bool {
        let groups = &self.pool.class(mv.slot).groups;
        let shares = |other: &Move| {
            other.target == mv.target && self.pool.class(other.slot).groups.iter().any(|g| groups.contains(g))
        };
        self.flow.may_meet(mv.slot, mv.target)
            && (groups.is_empty()
                || (self.flow.is_apart(mv.slot, mv.target) && !self.moves.iter().any(shares)))
    }

    fn any_move(&mut self) -> Option<usize> {
        (!self.moves.is_empty()).then(|| self.dice.below(self.moves.len()))
    }

    /// Any place in the order, more often the one given.
    fn place(&mut self, near: usize) -> usize {
        match self.dice.below(2) {
            0 => near.min(self.moves.len()),
            _ => self.dice.below(self.moves.len() + 1),
        }
    }

    fn any_slot(&mut self) -> Option<usize> {
        let from_hot = !self.hot.is_empty() && self.dice.below(8) > 0;
        let node = *self.dice.one_of(if from_hot { &self.hot } else { &self.givers })?;
        self.dice.one_of(&self.pool.slots_on[node]).copied()
    }

    fn any_target(&mut self) -> usize {
        self.takers[self.dice.below(self.takers.len())]
    }

    fn retarget(&mut self) -> Option<()> {
        let at = self.any_move()?;
        let (mv, target) = (self.remove(at), self.any_target());
        let place = self.place(at);
        (target != mv.target).then_some(())?;
        self.insert(place, Move { target, ..mv })
    }

    fn other_vm(&mut self) -> Option<()> {
        let at = self.any_move()?;
        let mv = self.remove(at);
        let slot = *self.dice.one_of(&self.pool.slots_on[self.pool.slots[mv.slot].node])?;
        (slot != mv.slot).then_some(())?;
        self.insert(at, Move { slot, ..mv })
    }

    fn swap_targets(&mut self) -> Option<()> {
        let (a, b) = (self.any_move()?, self.any_move()?);
        let (a, b) = (a.min(b), a.max(b));
        (self.moves[a].target != self.moves[b].target).then_some(())?;
        let second = self.remove(b);
        let first = self.remove(a);
        self.insert(a, Move { target: second.target, ..first })?;
        self.insert(b, Move { target: first.target, ..second })
    }

    /// The same move earlier or later.
    fn shift(&mut self) -> Option<()> {
        let at = self.any_move()?;
        let mv = self.remove(at);
        let place = self.dice.below(self.moves.len() + 1);
        (place != at).then_some(())?;
        self.insert(place, mv)
    }

    fn add(&mut self) -> Option<()> {
        let (slot, target) = (self.any_slot()?, self.any_target());
        let place = self.dice.below(self.moves.len() + 1);
        self.insert(place, Move { slot, target })
    }

    fn remove_one(&mut self) -> Option<()> {
        let at = self.any_move()?;
        self.remove(at);
        Some(())
    }

    fn replace(&mut self) -> Option<()> {
        let at = self.any_move()?;
        self.remove(at);
        let (slot, target) = (self.any_slot()?, self.any_target());
        let place = self.place(at);
        self.insert(place, Move { slot, target })
    }

    /// Some VMs leave a node before another one comes there.
    fn make_room(&mut self) -> Option<()> {
        let at = match self.dice.below(2) {
            0 => self.any_move()?,
            _ => {
                let place = self.dice.below(self.moves.len() + 1);
                let (slot, target) = (self.any_slot()?, self.any_target());
                self.insert(place, Move { slot, target })?;
                place
            }
        };
        let node = self.moves[at].target;
        for _ in 0..=self.dice.below(3) {
            let slot = *self.dice.one_of(&self.pool.slots_on[node])?;
            let target = self.any_target();
            self.insert(at, Move { slot, target })?;
        }
        Some(())
    }
}
