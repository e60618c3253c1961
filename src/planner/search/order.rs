//! In which order moves run: the worst overload first, every rule held at every step, those side by side that may.

use super::{
    effort::{ORDERS_MAX, ORDERS_WORK},
    outcome::Outcome,
    rates::Rates,
};
use crate::{
    model::dice::Dice,
    planner::{
        board::{Board, Placement},
        figures,
        step::{Purpose, Step},
    },
};

/// Orders moves of single VMs, parks a VM on a third node where nothing else lets the plan go on, and drops what
/// cannot run. At most `steps_max` steps.
///
/// The worst overload goes first. Where that way some cannot run, other orders are tried, and the best is taken.
pub fn ordered(board: &Board<'_>, wanted: &[Step], steps_max: usize) -> Outcome {
    let (first, complete) = in_manner(board, wanted, steps_max, Manner::WorstFirst);
    if complete {
        return first;
    }
    let tries = (ORDERS_WORK / (wanted.len() * wanted.len()).max(1)).min(ORDERS_MAX) as u64;
    let others = std::iter::once(Manner::Unlocking).chain((0..tries).map(Manner::Shuffled));
    others.fold(first, |best, manner| best.better(in_manner(board, wanted, steps_max, manner).0))
}

/// Also tells whether every move runs, none by a detour.
fn in_manner(board: &Board<'_>, wanted: &[Step], steps_max: usize, manner: Manner) -> (Outcome, bool) {
    let mut run = Run {
        board,
        manner,
        awaited: Vec::new(),
        placement: board.start(),
        left: wanted.to_vec(),
        parked: Vec::new(),
        steps: Vec::new(),
        steps_max,
        wave: Vec::new(),
        work: vec![0; board.nodes.len()],
        rates: Rates::new(board),
    };
    for step in wanted {
        run.work[run.placement.at[step.vm]] += 1;
        run.work[step.target] += 1;
    }
    while run.steps.len() < steps_max && !run.left.is_empty() {
        run.look_who_waits();
        if !run.advance() && !run.park() {
            break;
        }
    }
    let complete = run.left.is_empty() && run.parked.is_empty();
    (pruned(board, run.steps), complete)
}

/// What goes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    WorstFirst,
    /// Steps off a node that a large VM waits for.
    Unlocking,
    /// By chance, every other time weighed by what waits.
    Shuffled(u64),
}

struct Run<'a, 'b> {
    board: &'a Board<'b>,
    manner: Manner,
    /// For each node the size of the largest VM that waits for it; empty where that does not matter.
    awaited: Vec<f64>,
    placement: Placement,
    left: Vec<Step>,
    parked: Vec<usize>,
    steps: Vec<Step>,
    steps_max: usize,
    /// Nodes that the current wave uses.
    wave: Vec<usize>,
    /// Steps left on each node: the busiest go first, so that waves stay full to the end.
    work: Vec<usize>,
    rates: Rates,
}

impl Run<'_, '_> {
    fn look_who_waits(&mut self) {
        if self.manner == Manner::WorstFirst {
            return;
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
        let best = self.most_urgent(&self.wave).or_else(|| {
            let new_wave = self.most_urgent(&[]);
            new_wave.inspect(|_| self.wave.clear())
        });
        let Some(best) = best else { return false };
        let step = self.left.swap_remove(best);
        self.take(step);
        true
    }

    fn most_urgent(&self, busy: &[usize]) -> Option<usize> {
        let mut best: Option<(Urgency, usize)> = None;
        for (index, step) in self.left.iter().enumerate() {
            let source = self.placement.at[step.vm];
            if busy.contains(&source) || busy.contains(&step.target) {
                continue;
            }
            let urgency = self.urgency(step);
            if step.purpose == Purpose::Level && !urgency.helps() {
                continue;
            }
            let more = best.as_ref().is_none_or(|(best, _)| urgency.before(best));
            if more && self.board.refusal(&self.placement, step.vm, step.target).is_none() {
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
            Manner::WorstFirst => 0.0,
            Manner::Unlocking => self.awaited[source],
            Manner::Shuffled(seed) => {
                let chance = Dice::new(seed << 32 ^ step.vm as u64).unit();
                if seed % 2 == 0 { chance } else { (0.5 + chance) * self.awaited[source] }
            }
        };
        Urgency { first, overload, relief, gain, work: self.work[step.target], vm: step.vm }
    }

    /// Moves a VM that waits for its target to a third node, once for each VM.
    fn park(&mut self) -> bool {
        if self.steps.len() + self.left.len() >= self.steps_max {
            return false;
        }
        let left = || self.left.iter().filter(|step| !self.parked.contains(&step.vm));
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
        let open =
            |&node: &usize| self.board.nodes[node].source.is_ok() && !what.declined.contains(&step.target);
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
        self.board.apply(&mut self.placement, step.vm, step.target);
        self.steps.push(step);
    }
}

/// What makes one step more urgent than another.
struct Urgency {
    /// By the manner.
    first: f64,
    /// The overload of its source.
    overload: f64,
    /// What the step takes off it.
    relief: f64,
    gain: f64,
    /// Steps left at its target.
    work: usize,
    vm: usize,
}

impl Urgency {
    /// Evening out never makes things worse, not even for one step.
    fn helps(&self) -> bool {
        self.relief > 0.0 || self.gain > 0.0
    }

    fn before(&self, other: &Self) -> bool {
        let by = other.first.total_cmp(&self.first).then(other.overload.total_cmp(&self.overload));
        by.then(other.relief.total_cmp(&self.relief))
            .then(other.gain.total_cmp(&self.gain))
            .then(other.work.cmp(&self.work))
            .then(self.vm.cmp(&other.vm))
            .is_lt()
    }
}

/// Leaves out steps that nothing needs: without them the rest still runs and reaches as much.
fn pruned(board: &Board<'_>, steps: Vec<Step>) -> Outcome {
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
pub fn overload_after(board: &Board<'_>, steps: &[Step]) -> Option<f64> {
    let mut placement = board.start();
    for step in steps {
        if board.refusal(&placement, step.vm, step.target).is_some() {
            return None;
        }
        board.apply(&mut placement, step.vm, step.target);
    }
    Some(figures::overload(board, &placement))
}
