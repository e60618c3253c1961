//! In which order moves run: what clears nodes soonest first, every rule held at every step, those side by side that may.

use std::collections::HashMap;

use super::{
    effort::{ALIKE_MAX, CHAIN_MAX, DETOURS_WORK, FREEING_ORDERS, NOTHING, ORDERS_MAX, ORDERS_WORK},
    outcome::Outcome,
    rates::Rates,
};
use crate::{
    model::dice::Dice,
    planner::{
        amounts::Amounts,
        board::{Board, Placement},
        figures,
        policy::Strategy,
        step::{Purpose, Step},
    },
};

/// Above the cost of all that can leave a node.
const UNCLEARED: f64 = 1e9;

/// Orders moves of single VMs, parks a VM on a third node where nothing else lets the plan go on, and drops what
/// cannot run. At most `steps_max` steps.
///
/// The first step is off the worst node; then come the nodes that are clear the soonest, for each hour counts in which a
/// node is overloaded. In simulated weeks that took a quarter off the overload that is left when the worst of each moment
/// goes first, which works on all nodes at once and clears them all at the end. Where that way some cannot run, other
/// orders are tried, and the best is taken.
pub(super) fn order_steps(board: &Board<'_>, wanted: &[Step], steps_max: usize) -> Outcome {
    let kinds = kinds(board, wanted);
    let (first, complete) = in_manner(board, wanted, &kinds, steps_max, Manner::SoonestClear);
    if complete {
        return first;
    }
    let tries = (ORDERS_WORK / (wanted.len() * wanted.len()).max(1)).min(ORDERS_MAX) as u64;
    let freeing = (0..tries.min(FREEING_ORDERS)).map(Manner::Freeing);
    let others = freeing.chain([Manner::Unlocking]).chain((0..tries).map(Manner::Shuffled));
    let mut best = first;
    for manner in others {
        let (found, complete) = in_manner(board, wanted, &kinds, steps_max, manner);
        best = best.better(found);
        if complete {
            break;
        }
    }
    best
}

/// The same number for all VMs that are alike in everything that a target asks of them.
fn kinds(board: &Board<'_>, wanted: &[Step]) -> Vec<usize> {
    let mut known = HashMap::new();
    let kind = |step: &Step| {
        let vm = &board.vms[step.vm];
        let key = (vm.needs, &vm.groups, &vm.declined, vm.needs_same_cpu, board.disk(step.vm));
        let next = known.len();
        *known.entry(key).or_insert(next)
    };
    wanted.iter().map(kind).collect()
}

/// Also tells whether every move runs, none by a detour.
fn in_manner(
    board: &Board<'_>,
    wanted: &[Step],
    kinds: &[usize],
    steps_max: usize,
    manner: Manner,
) -> (Outcome, bool) {
    let mut run = Run {
        board,
        kinds,
        manner,
        awaited: Vec::new(),
        lacking: Vec::new(),
        placement: board.start(),
        left: wanted.to_vec(),
        parked: Vec::new(),
        steps: Vec::new(),
        steps_max,
        wave: Vec::new(),
        work: vec![0; board.nodes.len()],
        rank: vec![0; board.vms.len()],
        looks: wanted.iter().map(|_| None).collect(),
        rates: Rates::new(board),
        leaving: vec![Leaving::default(); board.nodes.len()],
        worst: board.nodes.iter().map(|node| node.overload(&node.start)).fold(0.0, f64::max),
    };
    for (rank, step) in wanted.iter().enumerate() {
        let source = run.placement.at[step.vm];
        run.rank[step.vm] = rank;
        run.work[source] += 1;
        run.work[step.target] += 1;
        run.leaving[source].add(board, step.vm);
    }
    while run.steps.len() < steps_max && !run.left.is_empty() {
        run.look_who_waits();
        let freed = matches!(manner, Manner::Freeing(_)) && run.change_targets();
        if !freed && !run.advance() && !run.change_targets() && !run.exchange() && !run.park() {
            break;
        }
    }
    let complete = run.left.is_empty() && run.parked.is_empty();
    (prune(board, without_idle_room(board, run.steps)), complete)
}

/// What goes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    SoonestClear,
    /// Steps off a node that a large VM waits for.
    Unlocking,
    /// Steps off nodes that are too full for what is to come, onto nodes that have room for all that is to come. VMs that
    /// are alike change targets for it. With chance, but for the first.
    Freeing(u64),
    /// By chance, every other time weighed by what waits.
    Shuffled(u64),
}

struct Run<'a, 'b> {
    board: &'a Board<'b>,
    /// For each rank what its VM is like.
    kinds: &'a [usize],
    manner: Manner,
    /// For each node the size of the largest VM that waits for it; empty where that does not matter.
    awaited: Vec<f64>,
    /// For each node to which somebody is to come, by how much it is too full for all of them; empty likewise.
    lacking: Vec<Option<f64>>,
    placement: Placement,
    left: Vec<Step>,
    parked: Vec<usize>,
    steps: Vec<Step>,
    steps_max: usize,
    /// Nodes that the current wave uses.
    wave: Vec<usize>,
    /// Steps left on each node: the busiest go first, so that waves stay full to the end.
    work: Vec<usize>,
    /// The place of each VM among the moves that are wanted: it decides where nothing else does, and does not depend on ids.
    rank: Vec<usize>,
    /// For each rank how urgent its step is and whether it may run, until one of its nodes changes.
    looks: Vec<Option<(Urgency, bool)>>,
    rates: Rates,
    /// What is still to leave each node.
    leaving: Vec<Leaving>,
    /// The overload of the worst node at the start.
    worst: f64,
}

/// What is still to leave a node.
#[derive(Clone, Copy, Default)]
struct Leaving {
    cost: f64,
    needs: Amounts,
}

impl Run<'_, '_> {
    fn look_who_waits(&mut self) {
        if self.manner == Manner::SoonestClear {
            return;
        }
        if let Manner::Freeing(_) = self.manner {
            self.lacking = (0..self.board.nodes.len()).map(|_| None).collect();
            let mut coming: HashMap<usize, (Amounts, i64)> = HashMap::new();
            for step in &self.left {
                let (needs, count) = coming.entry(step.target).or_default();
                *needs = *needs + self.board.vms[step.vm].needs;
                *count += 1;
            }
            for (node, (needs, count)) in coming {
                let facts = &self.board.nodes[node];
                let seats =
                    facts.room.room(self.placement.count[node]).map_or(0, |room| (count - room).max(0));
                let full = facts.overfill(&(self.placement.used[node] + needs));
                self.lacking[node] = Some(full + seats as f64);
            }
        }
        self.awaited = vec![0.0; self.board.nodes.len()];
        for step in &self.left {
            let size = self.board.nodes[step.target].share_of_ceiling(self.board.vms[step.vm].needs);
            self.awaited[step.target] = self.awaited[step.target].max(size);
        }
    }

    /// Takes the most urgent step that may run, if possible beside those of the current wave.
    fn advance(&mut self) -> bool {
        if self.wave.len() >= 2 * self.board.policy.parallel_max.max(1) {
            self.wave.clear();
        }
        self.look();
        let best = self.most_urgent(&self.wave).or_else(|| {
            let new_wave = self.most_urgent(&[]);
            new_wave.inspect(|_| self.wave.clear())
        });
        let Some(best) = best else { return false };
        let step = self.left.swap_remove(best);
        self.take(step);
        true
    }

    /// Looks again at the steps of which a node changed.
    fn look(&mut self) {
        for index in 0..self.left.len() {
            let step = self.left[index];
            let rank = self.rank[step.vm];
            if self.looks[rank].is_none() {
                let urgency = self.urgency(&step);
                let waits = step.purpose == Purpose::Level && !urgency.helps();
                let may = !waits && self.board.refusal(&self.placement, step.vm, step.target).is_none();
                self.looks[rank] = Some((urgency, may));
            }
        }
    }

    fn most_urgent(&self, busy: &[usize]) -> Option<usize> {
        let is_busy = |step: &Step| busy.contains(&self.placement.at[step.vm]) || busy.contains(&step.target);
        let mut best: Option<(&Urgency, usize)> = None;
        for (index, step) in self.left.iter().enumerate() {
            let Some((urgency, true)) = &self.looks[self.rank[step.vm]] else { continue };
            if !is_busy(step) && best.as_ref().is_none_or(|(best, _)| urgency.before(best)) {
                best = Some((urgency, index));
            }
        }
        best.map(|(_, index)| index)
    }

    fn urgency(&self, step: &Step) -> Urgency {
        let source = self.placement.at[step.vm];
        let (node, used) = (&self.board.nodes[source], self.placement.used[source]);
        let needs = self.board.vms[step.vm].needs;
        let overload = node.overload(&used);
        let relief = if overload > 0.0 { overload - node.overload(&(used - needs)) } else { 0.0 };
        let gain = match step.purpose {
            Purpose::Level => self.rates.gain(self.board, &self.placement.used, needs, source, step.target),
            _ => 0.0,
        };
        let first = match self.manner {
            Manner::SoonestClear => 0.0,
            Manner::Unlocking => self.awaited[source],
            Manner::Freeing(seed) => self.freeing(step, source, seed),
            Manner::Shuffled(seed) => {
                let chance = Dice::new(seed << 32 ^ self.rank[step.vm] as u64).unit();
                if seed % 2 == 0 { chance } else { (0.5 + chance) * self.awaited[source] }
            }
        };
        let until_clear = self.until_clear(source, overload);
        let (work, rank) = (self.work[step.target], self.rank[step.vm]);
        Urgency { first, until_clear, overload, relief, gain, work, rank }
    }

    /// The cost of what is still to leave an overloaded node. A node that stays overloaded all the same comes after all
    /// that do not, but the worst one leads.
    fn until_clear(&self, node: usize, overload: f64) -> f64 {
        if overload <= 0.0 {
            return f64::INFINITY;
        }
        if self.steps.is_empty() && overload >= self.worst {
            return 0.0;
        }
        let Leaving { cost, needs } = self.leaving[node];
        let stays_over = self.board.nodes[node].is_over(&(self.placement.used[node] - needs));
        if stays_over { UNCLEARED + cost } else { cost }
    }

    /// Two VMs that are alike change their targets where that lets one of them go, if possible one that lets another in:
    /// what each node holds in the end stays the same.
    fn change_targets(&mut self) -> bool {
        let frees = matches!(self.manner, Manner::Freeing(_));
        if self.left.len() > ALIKE_MAX {
            return false;
        }
        let mut best: Option<(bool, Urgency, usize, usize)> = None;
        for (a, step) in self.left.iter().enumerate() {
            let unlocks = !frees && self.lets_somebody_in(step);
            // Whom somebody is to follow may leave even if that alone makes things less even.
            let is_followed = frees && self.lacking[self.placement.at[step.vm]].is_some();
            for (b, other) in self.left.iter().enumerate() {
                if !self.may_change_targets(step, other) {
                    continue;
                }
                let urgency = self.urgency(&Step { target: other.target, ..*step });
                let more =
                    best.as_ref().is_none_or(|(best_unlocks, best, ..)| match unlocks == *best_unlocks {
                        true => urgency.before(best),
                        false => unlocks,
                    });
                if more && (step.purpose != Purpose::Level || urgency.helps() || is_followed) {
                    best = Some((unlocks, urgency, a, b));
                }
            }
        }
        let Some((_, urgency, a, b)) = best else { return false };
        let (own, others) = (self.left[a].target, self.left[b].target);
        self.left[b].target = own;
        let changed = self.rank[self.left[b].vm];
        self.looks[changed] = None;
        let mut step = Step { target: others, ..self.left.swap_remove(a) };
        if step.purpose == Purpose::Level && !urgency.helps() {
            step.purpose = Purpose::MakeRoom;
        }
        self.wave.clear();
        self.take(step);
        true
    }

    /// Tells whether a VM may go to the target of another one now, and that one to its target some time.
    fn may_change_targets(&self, step: &Step, other: &Step) -> bool {
        let two = &self.board.vms[other.vm];
        let from = self.placement.at[other.vm];
        // Without a change there is nothing to ask but whether it may go.
        if step.vm == other.vm {
            let goes_freely = matches!(self.manner, Manner::Freeing(_));
            return goes_freely && self.board.refusal(&self.placement, step.vm, step.target).is_none();
        }
        step.target != other.target
            && from != step.target
            && self.kinds[self.rank[step.vm]] == self.kinds[self.rank[other.vm]]
            && self.board.barrier(two.needs, two.needs_same_cpu, from, step.target).is_none()
            && self.board.refusal(&self.placement, step.vm, other.target).is_none()
    }

    /// Lets a VM leave so that another may come in its place, and so on, where all of them together even out: nodes that
    /// are full, or that may hold no more VMs, can exchange even where the first leg alone makes things less even.
    fn exchange(&mut self) -> bool {
        let most = self.steps_max.saturating_sub(self.steps.len()).min(CHAIN_MAX);
        let mut best = None;
        self.chain(&mut Vec::new(), None, 0.0, most, &mut best);
        let Some((_, chain)): Option<(f64, Vec<Step>)> = best else { return false };
        self.left.retain(|step| chain.iter().all(|other| other.vm != step.vm));
        let last = chain.len() - 1;
        for (index, step) in chain.into_iter().enumerate() {
            let purpose = if index < last { Purpose::MakeRoom } else { step.purpose };
            self.wave.clear();
            self.take(Step { purpose, ..step });
        }
        true
    }

    /// Goes on with a chain by who comes to the place that the last one left, and keeps the one that evens out the most.
    fn chain(
        &mut self,
        chain: &mut Vec<Step>,
        place: Option<usize>,
        gain: f64,
        most: usize,
        best: &mut Option<(f64, Vec<Step>)>,
    ) {
        if chain.len() == most {
            return;
        }
        let next =
            |step: &&Step| step.purpose == Purpose::Level && place.is_none_or(|node| step.target == node);
        for step in self.left.iter().filter(next).copied().collect::<Vec<_>>() {
            let done = chain.iter().any(|other| other.vm == step.vm);
            if done || self.board.refusal(&self.placement, step.vm, step.target).is_some() {
                continue;
            }
            let (home, own) = (self.placement.at[step.vm], self.urgency(&step).gain);
            chain.push(step);
            let more = gain + own > best.as_ref().map_or(NOTHING, |best| best.0);
            if more && own > 0.0 {
                *best = Some((gain + own, chain.clone()));
            }
            self.board.apply(&mut self.placement, step.vm, step.target);
            self.chain(chain, Some(home), gain + own, most, best);
            self.board.apply(&mut self.placement, step.vm, home);
            chain.pop();
        }
    }

    /// How well a step prepares those that are to come.
    fn freeing(&self, step: &Step, source: usize, seed: u64) -> f64 {
        let (lacks, room) =
            (self.lacking[source].unwrap_or(0.0), self.lacking[step.target].unwrap_or(0.0) <= 0.0);
        let rank = match (lacks > 0.0, room) {
            (true, true) => 2.0,
            (true, false) => 1.0,
            (false, _) => 0.0,
        };
        let chance =
            Dice::new(seed << 32 ^ (self.rank[step.vm] * self.board.nodes.len() + step.target) as u64).unit();
        match seed {
            0 => rank + lacks.min(0.9),
            _ => rank + 1.5 * chance,
        }
    }

    /// Moves a VM that waits for its target to a third node, once for each VM.
    fn park(&mut self) -> bool {
        if self.steps.len() + self.left.len() >= self.steps_max {
            return false;
        }
        // Each looks at all nodes: in a large full cluster only the first ones are asked.
        let most = (DETOURS_WORK / self.board.nodes.len().max(1)).max(1);
        let left = || self.left.iter().filter(|step| !self.parked.contains(&step.vm)).take(most);
        let unlocking =
            left().filter(|step| self.lets_somebody_in(step)).filter_map(|step| self.detour(step));
        let cheapest = unlocking.min_by(|a, b| self.board.cost(a.vm).total_cmp(&self.board.cost(b.vm)));
        let found = cheapest.or_else(|| left().find_map(|step| self.detour(step)));
        let Some(step) = found else { return false };
        self.parked.push(step.vm);
        self.wave.clear();
        self.take(step);
        true
    }

    /// The same VM on its way to a third node.
    fn detour(&self, step: &Step) -> Option<Step> {
        let fits = |&node: &usize| self.board.refusal(&self.placement, step.vm, node).is_none();
        let what = &self.board.vms[step.vm];
        let onward =
            |&node: &usize| self.board.barrier(what.needs, what.needs_same_cpu, node, step.target).is_none();
        // From the third node it must be able to go on.
        let open = |&node: &usize| self.board.nodes[node].source.is_ok();
        let parked = |target: usize| Step { target, ..*step };
        let may = |&node: &usize| step.purpose != Purpose::Level || self.urgency(&parked(node)).helps();
        let thirds = (0..self.board.nodes.len()).filter(|node| *node != step.target).filter(open).filter(may);
        thirds.filter(fits).find(onward).map(parked)
    }

    /// Tells whether a VM that waits would fit if this one were gone.
    fn lets_somebody_in(&self, step: &Step) -> bool {
        let node = self.placement.at[step.vm];
        let without = self.placement.used[node] - self.board.vms[step.vm].needs_on(node);
        let waiting = self.left.iter().filter(|other| other.target == node);
        waiting
            .map(|other| without + self.board.vms[other.vm].needs_on(node))
            .any(|with| !self.board.nodes[node].is_overfilled(&with))
    }

    fn take(&mut self, step: Step) {
        let source = self.placement.at[step.vm];
        self.wave.extend([source, step.target]);
        for node in [source, step.target] {
            self.work[node] = self.work[node].saturating_sub(1);
        }
        self.leaving[source].take_off(self.board, step.vm);
        if self.left.iter().any(|other| other.vm == step.vm) {
            self.leaving[step.target].add(self.board, step.vm);
        }
        self.board.apply(&mut self.placement, step.vm, step.target);
        self.steps.push(step);
        if self.steps.len() == 1 {
            // Only the first step is off the worst node before all else.
            self.looks.fill_with(|| None);
        }
        for other in &self.left {
            let nodes = [self.placement.at[other.vm], other.target];
            if nodes.iter().any(|node| *node == source || *node == step.target) {
                self.looks[self.rank[other.vm]] = None;
            }
        }
    }
}

impl Leaving {
    fn add(&mut self, board: &Board<'_>, vm: usize) {
        self.cost += board.cost(vm);
        self.needs = self.needs + board.vms[vm].needs;
    }

    fn take_off(&mut self, board: &Board<'_>, vm: usize) {
        self.cost -= board.cost(vm);
        self.needs = self.needs - board.vms[vm].needs;
    }
}

/// What makes one step more urgent than another.
struct Urgency {
    /// By the manner.
    first: f64,
    /// What must still be moved until its source is not overloaded, by cost.
    until_clear: f64,
    /// The overload of its source.
    overload: f64,
    /// What the step takes off it.
    relief: f64,
    gain: f64,
    /// Steps left at its target.
    work: usize,
    rank: usize,
}

impl Urgency {
    /// Evening out never makes things worse, not even for one step.
    fn helps(&self) -> bool {
        self.relief > 0.0 || self.gain > 0.0
    }

    fn before(&self, other: &Self) -> bool {
        let by = other
            .first
            .total_cmp(&self.first)
            .then(self.until_clear.total_cmp(&other.until_clear))
            .then(other.overload.total_cmp(&self.overload));
        by.then(other.relief.total_cmp(&self.relief))
            .then(other.gain.total_cmp(&self.gain))
            .then(other.work.cmp(&self.work))
            .then(self.rank.cmp(&other.rank))
            .is_lt()
    }
}

/// Leaves out steps that make room for evening out and that nobody follows: they alone make things less even.
fn without_idle_room(board: &Board<'_>, mut steps: Vec<Step>) -> Vec<Step> {
    if board.policy.strategy == Strategy::Relieve {
        return steps;
    }
    for index in (0..steps.len()).rev() {
        let Step { vm, purpose, .. } = steps[index];
        let before = steps[..index].iter().rev().find(|step| step.vm == vm);
        let source = before.map_or(board.vms[vm].node, |step| step.target);
        let is_followed = steps[index + 1..].iter().any(|step| step.target == source && step.vm != vm);
        if purpose == Purpose::MakeRoom && !is_followed {
            steps.remove(index);
        }
    }
    // What cannot run without them ends the plan.
    let mut placement = board.start();
    let mut runs = |step: &Step| {
        let may = board.refusal(&placement, step.vm, step.target).is_none();
        if may {
            board.apply(&mut placement, step.vm, step.target);
        }
        may
    };
    let count = steps.iter().take_while(|step| runs(step)).count();
    steps.truncate(count);
    steps
}

/// Leaves out steps that nothing needs: without them the rest still runs and reaches as much.
fn prune(board: &Board<'_>, steps: Vec<Step>) -> Outcome {
    let mut best = Outcome::of(board, steps);
    for index in (0..best.steps.len()).rev() {
        if best.steps[index].purpose != Purpose::MakeRoom {
            continue;
        }
        let mut without = best.steps.clone();
        without.remove(index);
        if overload_after(board, &without).is_some_and(|overload| overload <= best.overload) {
            let without = Outcome::of(board, without);
            if without.rest <= best.rest {
                best = without;
            }
        }
    }
    best
}

/// Replays steps; `None` where one breaks a rule.
pub(super) fn overload_after(board: &Board<'_>, steps: &[Step]) -> Option<f64> {
    let mut placement = board.start();
    for step in steps {
        if board.refusal(&placement, step.vm, step.target).is_some() {
            return None;
        }
        board.apply(&mut placement, step.vm, step.target);
    }
    Some(figures::overload(board, &placement))
}
