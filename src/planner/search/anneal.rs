//! Improves a set of moves as a whole: simulated annealing over exchanges of its members.
//!
//! The work is a number of trials; seed and cooling are fixed, so the same cluster gives the same plan.

use super::{
    effort::{ANYWHERE, EJECTED_MAX, STRETCH},
    flow::Flow,
    pool::Move,
    rates::Rates,
};
use crate::{
    model::dice::Dice,
    planner::{
        amounts::{
            Amounts,
            Dimension::{self, Cpu, Memory},
        },
        figures,
    },
};

/// What a set of moves is judged by; the sum is made small.
#[derive(Clone)]
pub(super) struct Aim {
    pub overload: f64,
    pub cost: f64,
    /// The weight of the imbalance squared.
    pub imbalance: f64,
    pub ceilings: Ceilings,
}

impl Aim {
    /// What a set of moves is judged by.
    pub(super) fn of(&self, flow: &Flow<'_, '_>) -> f64 {
        let imbalance = figures::imbalance_squared(flow.board, &flow.used);
        flow.overload() * self.overload + flow.cost * self.cost + imbalance * self.imbalance
    }
}

/// Whether targets may be overfilled on the way to a better set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ceilings {
    Hard,
    /// At the price of overload; the set that is returned keeps them all the same.
    Soft,
}

/// How long and how boldly to search.
#[derive(Clone, Copy)]
pub(super) struct Cooling {
    pub trials: usize,
    pub start: f64,
    pub end: f64,
    /// What overfilled targets weigh beside overload, at first and at last.
    pub overfill: (f64, f64),
    pub seed: u64,
}

/// Returns the best set found; never more than `moves_max` moves.
pub(super) fn anneal<'a, 'b>(
    flow: Flow<'a, 'b>,
    aim: &Aim,
    cooling: Cooling,
    moves_max: usize,
) -> Flow<'a, 'b> {
    let hot =
        (0..flow.board.nodes.len()).filter(|n| flow.board.nodes[*n].is_over(&flow.board.nodes[*n].start));
    let givers: Vec<usize> =
        (0..flow.board.nodes.len()).filter(|n| !flow.pool.slots_on[*n].is_empty()).collect();
    let takers: Vec<usize> =
        (0..flow.board.nodes.len()).filter(|n| flow.board.nodes[*n].target.is_ok()).collect();
    let hot: Vec<usize> = hot.filter(|n| !flow.pool.slots_on[*n].is_empty()).collect();
    if givers.is_empty() || takers.is_empty() {
        return flow;
    }
    let mut search = Search {
        rates: Rates::new(flow.board),
        dice: Dice::new(cooling.seed),
        hot,
        givers,
        takers,
        tight: aim.ceilings == Ceilings::Soft || flow.board.nodes.iter().any(|n| n.room.value().is_some()),
        aim,
        moves_max,
        best: flow.moves.clone(),
        start: flow.clone(),
        energy: 0.0,
        best_energy: 0.0,
        unsaved: 0,
        overfill: 0.0,
        price: 0.0,
        done: Vec::new(),
        standing: Vec::new(),
        flow,
    };
    search.standing = (0..search.flow.used.len())
        .map(|node| search.standing(node, &search.flow.used[node], search.flow.arrivals[node]))
        .collect();
    search.run(cooling);
    search.finish()
}

struct Search<'a, 'b, 's> {
    flow: Flow<'a, 'b>,
    start: Flow<'a, 'b>,
    rates: Rates,
    dice: Dice,
    aim: &'s Aim,
    moves_max: usize,
    /// Whether exchanges are worth more trials: targets may be full, or numbers of VMs are limited.
    tight: bool,
    /// Nodes that are overloaded at the start.
    hot: Vec<usize>,
    givers: Vec<usize>,
    takers: Vec<usize>,
    /// Relative to the start.
    energy: f64,
    best_energy: f64,
    best: Vec<Move>,
    /// Trials since the best set was copied.
    unsaved: usize,
    /// By how much the trial at hand overfills targets.
    overfill: f64,
    /// What that weighs beside overload.
    price: f64,
    /// What the trial at hand did, to take it back.
    done: Vec<Change>,
    standing: Vec<Standing>,
}

/// What a node contributes.
#[derive(Clone, Copy)]
struct Standing {
    overload: f64,
    overfill: f64,
}

/// A change with what source and target contributed before.
#[derive(Clone, Copy)]
enum Change {
    Added([Standing; 2]),
    Removed(Move, [Standing; 2]),
}

impl<'a, 'b> Search<'a, 'b, '_> {
    fn run(&mut self, cooling: Cooling) {
        let factor = (cooling.end / cooling.start).powf(1.0 / cooling.trials.max(1) as f64 * STRETCH as f64);
        let mut temperature = cooling.start;
        self.price = cooling.overfill.0;
        let rise = (cooling.overfill.1 / cooling.overfill.0)
            .powf(1.0 / cooling.trials.max(1) as f64 * STRETCH as f64);
        for trial in 0..cooling.trials {
            if trial % STRETCH == 0 {
                temperature *= factor;
                self.price *= rise;
            }
            self.trial(temperature);
        }
        self.save_if_best(0);
    }

    fn trial(&mut self, temperature: f64) {
        self.done.clear();
        self.overfill = 0.0;
        let change = match self.dice.below(16) {
            0..=4 => self.retarget(),
            5..=7 => self.other_vm(),
            8 => self.swap_targets(),
            11 if self.tight => self.trade(),
            9..=11 => self.replace(),
            12 => self.add_one(),
            13 => self.remove_one(),
            14 if self.aim.ceilings == Ceilings::Soft => self.eject(),
            _ => match self.dice.below(3) {
                0 => self.make_room(),
                1 => self.trade(),
                _ => self.shortcut(),
            },
        };
        let accepted = change.is_some_and(|change| {
            let all = change + self.price * self.aim.overload * self.overfill;
            let lucky =
                all <= 0.0 || (all < 40.0 * temperature && self.dice.unit() < (-all / temperature).exp());
            if lucky {
                self.energy += change;
            }
            lucky
        });
        if accepted {
            self.save_if_best(self.flow.moves.len());
        } else {
            self.undo();
        }
        self.unsaved += 1;
    }

    /// Copying a large set at every improvement would cost more than the search.
    fn save_if_best(&mut self, patience: usize) {
        let better = self.energy < self.best_energy - 1e-12 && self.unsaved >= patience;
        if better && (self.aim.ceilings == Ceilings::Hard || self.flow.is_sound()) {
            self.best_energy = self.energy;
            self.best.clone_from(&self.flow.moves);
            self.unsaved = 0;
        }
    }

    fn finish(self) -> Flow<'a, 'b> {
        let mut flow = Flow::new(self.flow.board, self.flow.pool);
        for mv in &self.best {
            flow.add(*mv);
        }
        // Sums of small changes drift; the sets themselves are compared.
        if !flow.is_sound() {
            flow = self.flow;
            flow.make_sound();
        }
        if !self.start.is_sound() || self.aim.of(&flow) < self.aim.of(&self.start) {
            flow
        } else {
            self.start
        }
    }

    /// Sends a move elsewhere.
    fn retarget(&mut self) -> Option<f64> {
        let (index, mv) = self.any_move()?;
        let target = self.cool_target();
        if target == mv.target || !self.may_add(mv.slot, target) {
            return None;
        }
        Some(self.remove(index) + self.add(Move { target, ..mv }))
    }

    /// Sends another VM of the same node.
    fn other_vm(&mut self) -> Option<f64> {
        let (index, mv) = self.any_move()?;
        let source = self.flow.pool.slots[mv.slot].node;
        let slot = *self.dice.one_of(&self.flow.pool.slots_on[source])?;
        if slot == mv.slot || !self.flow.available(slot) {
            return None;
        }
        let change = self.take_back(index)?;
        Some(change + self.try_add(Move { slot, target: mv.target })?)
    }

    /// Two VMs change their targets.
    fn swap_targets(&mut self) -> Option<f64> {
        let (a, first) = self.any_move()?;
        let (b, second) = self.any_move()?;
        if first.target == second.target || first.slot == second.slot {
            return None;
        }
        // The later one first: taking it out does not move the other.
        let mut change = self.remove(a.max(b)) + self.remove(a.min(b));
        change += self.try_add(Move { target: second.target, ..first })?;
        Some(change + self.try_add(Move { target: first.target, ..second })?)
    }

    /// One VM stays, another goes.
    fn replace(&mut self) -> Option<f64> {
        let (index, _) = self.any_move()?;
        let change = self.take_back(index)?;
        let (slot, target) = (self.any_slot()?, self.cool_target());
        Some(change + self.try_add(Move { slot, target })?)
    }

    fn add_one(&mut self) -> Option<f64> {
        if self.flow.moves.len() >= self.moves_max {
            return None;
        }
        let (slot, target) = (self.any_slot()?, self.cool_target());
        self.try_add(Move { slot, target })
    }

    fn remove_one(&mut self) -> Option<f64> {
        let (index, _) = self.any_move()?;
        self.take_back(index)
    }

    /// Takes moves back where two more would be too many.
    fn leave_room_for_two(&mut self) -> Option<f64> {
        let mut change = 0.0;
        while self.flow.moves.len() + 2 > self.moves_max {
            let (index, _) = self.any_move()?;
            change += self.take_back(index)?;
        }
        Some(change)
    }

    /// A VM leaves a target so that a larger one may come.
    fn make_room(&mut self) -> Option<f64> {
        let change = self.leave_room_for_two()?;
        let (slot, target) = (self.any_slot()?, *self.dice.one_of(&self.takers)?);
        let leaving = *self.dice.one_of(&self.flow.pool.slots_on[target])?;
        let elsewhere = self.cool_target();
        let change = change + self.try_add(Move { slot: leaving, target: elsewhere })?;
        Some(change + self.try_add(Move { slot, target })?)
    }

    /// Small VMs leave a target, one after the other, until what arrives there fits.
    fn eject(&mut self) -> Option<f64> {
        let mut change = 0.0;
        let target = if self.dice.below(2) == 0 {
            self.any_move()?.1.target
        } else {
            let (slot, target) = (self.any_slot()?, *self.dice.one_of(&self.takers)?);
            change += self.try_add(Move { slot, target })?;
            target
        };
        let facts = &self.flow.board.nodes[target];
        for _ in 0..EJECTED_MAX {
            if !facts.is_overfilled(&self.flow.used[target]) {
                break;
            }
            let slot = *self.dice.one_of(&self.flow.pool.slots_on[target])?;
            if !self.flow.available(slot) {
                continue;
            }
            let place = (0..4)
                .map(|_| self.takers[self.dice.below(self.takers.len())])
                .find(|n| self.flow.fits(slot, *n))?;
            change += self.add(Move { slot, target: place });
        }
        (self.flow.moves.len() <= self.moves_max).then_some(change)
    }

    /// Two nodes exchange a VM each: what a tight cluster has left to do.
    fn trade(&mut self) -> Option<f64> {
        let change = self.leave_room_for_two()?;
        let (slot, target) = (self.any_slot()?, *self.dice.one_of(&self.takers)?);
        let back = *self.dice.one_of(&self.flow.pool.slots_on[target])?;
        let source = self.flow.pool.slots[slot].node;
        if !(self.flow.available(slot) && self.flow.available(back)) {
            return None;
        }
        if !(self.flow.may_meet(slot, target) && self.flow.may_meet(back, source)) {
            return None;
        }
        // Both at once: neither may fit while the other is there.
        let change = change + self.add(Move { slot: back, target: source }) + self.add(Move { slot, target });
        let hard = self.aim.ceilings == Ceilings::Hard;
        (self.flow.may_stay(back, source, hard) && self.flow.may_stay(slot, target, hard)).then_some(change)
    }

    /// A node that gives one VM and takes another: the other goes on to where the first went.
    fn shortcut(&mut self) -> Option<f64> {
        let (index, mv) = self.any_move()?;
        let source = self.flow.pool.slots[mv.slot].node;
        if self.flow.arrivals[source] == 0 {
            return None;
        }
        let offset = self.dice.below(self.flow.moves.len());
        let count = self.flow.moves.len();
        let other =
            (0..count).map(|i| (i + offset) % count).find(|i| self.flow.moves[*i].target == source)?;
        let arriving = self.flow.moves[other];
        let change = self.remove(index.max(other)) + self.remove(index.min(other));
        if !self.flow.may_stay(mv.slot, source, self.aim.ceilings == Ceilings::Hard) {
            return None;
        }
        Some(change + self.try_add(Move { target: mv.target, ..arriving })?)
    }

    fn any_move(&mut self) -> Option<(usize, Move)> {
        let index = self.dice.below(self.flow.moves.len());
        Some((index, *self.flow.moves.get(index)?))
    }

    /// A VM of a node that wants to give: an overloaded one, or the fuller of two.
    fn any_slot(&mut self) -> Option<usize> {
        let node = if !self.hot.is_empty() && self.dice.below(8) > 0 && self.aim.imbalance == 0.0 {
            *self.dice.one_of(&self.hot)?
        } else {
            let (a, b) = (*self.dice.one_of(&self.givers)?, *self.dice.one_of(&self.givers)?);
            if self.fullness(a) > self.fullness(b) { a } else { b }
        };
        let slot = *self.dice.one_of(&self.flow.pool.slots_on[node])?;
        self.flow.available(slot).then_some(slot)
    }

    /// The emptier of two nodes, or any: where memory and Cpu pull apart, a node that is full by one has room by the other.
    fn cool_target(&mut self) -> usize {
        let a = self.takers[self.dice.below(self.takers.len())];
        if self.aim.imbalance == 0.0 && self.dice.unit() < ANYWHERE {
            return a;
        }
        let b = self.takers[self.dice.below(self.takers.len())];
        if self.fullness(a) < self.fullness(b) { a } else { b }
    }

    fn fullness(&self, node: usize) -> f64 {
        let (facts, used) = (&self.flow.board.nodes[node], &self.flow.used[node]);
        let of = |r: Dimension| used[r] as f64 * facts.per_capacity[r];
        of(Memory) + of(Cpu)
    }

    fn may_add(&self, slot: usize, target: usize) -> bool {
        match self.aim.ceilings {
            Ceilings::Hard => self.flow.fits(slot, target),
            Ceilings::Soft => self.flow.may_meet(slot, target) && self.flow.seats(slot, target),
        }
    }

    fn try_add(&mut self, mv: Move) -> Option<f64> {
        (self.flow.available(mv.slot) && self.may_add(mv.slot, mv.target)).then(|| self.add(mv))
    }

    fn take_back(&mut self, index: usize) -> Option<f64> {
        let Move { slot, .. } = self.flow.moves[index];
        let may = match self.aim.ceilings {
            Ceilings::Hard => self.flow.may_return(index),
            Ceilings::Soft => {
                self.flow.seats(slot, self.flow.pool.slots[slot].node) || self.flow.may_return(index)
            }
        };
        may.then(|| self.remove(index))
    }

    fn add(&mut self, mv: Move) -> f64 {
        let source = self.flow.pool.slots[mv.slot].node;
        let before = [self.standing[source], self.standing[mv.target]];
        let change = self.shift_energy(mv.slot, (source, 0), (mv.target, 1));
        self.flow.add(mv);
        self.done.push(Change::Added(before));
        change + self.aim.cost * self.flow.pool.class(mv.slot).cost
    }

    fn remove(&mut self, index: usize) -> f64 {
        let mv = self.flow.moves[index];
        let source = self.flow.pool.slots[mv.slot].node;
        let before = [self.standing[source], self.standing[mv.target]];
        let change = self.shift_energy(mv.slot, (mv.target, -1), (source, 0));
        self.flow.remove(index);
        self.done.push(Change::Removed(mv, before));
        change - self.aim.cost * self.flow.pool.class(mv.slot).cost
    }

    fn undo(&mut self) {
        while let Some(change) = self.done.pop() {
            let (mv, before) = match change {
                Change::Added(before) => (self.flow.remove(self.flow.moves.len() - 1), before),
                Change::Removed(mv, before) => {
                    self.flow.add(mv);
                    (mv, before)
                }
            };
            let source = self.flow.pool.slots[mv.slot].node;
            [self.standing[source], self.standing[mv.target]] = before;
        }
    }

    /// What a VM's way from one node to another changes, before it goes; with the change of each node's arrivals.
    fn shift_energy(&mut self, slot: usize, (from, left): (usize, i32), (to, came): (usize, i32)) -> f64 {
        let (flow, needs) = (&self.flow, self.flow.pool.class(slot).needs);
        let mut change = 0.0;
        if self.aim.imbalance > 0.0 {
            change -= self.aim.imbalance * self.rates.gain(flow.board, &flow.used, needs, from, to);
        }
        let (leaving, coming) = (flow.needs_on(slot, from), flow.needs_on(slot, to));
        let arrivals = |node: usize, more: i32| flow.arrivals[node].saturating_add_signed(more);
        let here = self.standing(from, &(flow.used[from] - leaving), arrivals(from, left));
        let there = self.standing(to, &(flow.used[to] + coming), arrivals(to, came));
        let (a, b) = (self.standing[from], self.standing[to]);
        let overfill = here.overfill + there.overfill - a.overfill - b.overfill;
        self.overfill += overfill;
        change += self.aim.overload * (here.overload + there.overload - a.overload - b.overload);
        (self.standing[from], self.standing[to]) = (here, there);
        change
    }

    /// What a node contributes with that use. Where ceilings are hard nobody overfills a target.
    fn standing(&self, node: usize, used: &Amounts, arrivals: u32) -> Standing {
        let overfill = match self.aim.ceilings {
            Ceilings::Hard => 0.0,
            Ceilings::Soft => self.flow.overfill(node, used, arrivals),
        };
        Standing { overload: self.flow.board.nodes[node].overload(used), overfill }
    }
}
