//! How far a plan goes: relief with a margin where that costs no relief, relief in advance after it, and what the policy
//! would rather avoid (risky moves, targets beyond their target thresholds) only for what stays overloaded otherwise.

use super::{
    amounts::Dimension,
    board::{Board, Placement},
    figures,
    plan::SkipWhy,
    policy::{Policy, RestWhy, Strategy},
    search, settled,
    step::{Purpose, Step},
};

/// A move at a risk may make room that others can use without one. A bound on the work, larger than is ever needed.
const ROUNDS_MAX: usize = 4;

/// A difference of overload below this is rounding.
const NOTHING: f64 = 1e-9;

/// Overload that is so near to what is proven to be the least is the least.
const PROVEN: f64 = 2.5e-7;

/// Limits of which a higher one never leaves more overload.
const LIMITS: [usize; 9] = [1, 2, 3, 4, 5, 6, 10, 25, 100];

/// The most ways to move a single VM in a cluster where smaller limits are tried too.
const CHOICES_MAX: usize = 20_000;

/// Returns the steps of a plan, at most so many.
pub(super) fn steps(board: &Board<'_>, steps_max: usize) -> Vec<Step> {
    // Evening out is worth no risk.
    let policy = Policy { strategy: Strategy::Relieve, ..board.policy.clone() };
    let relief = board.under(&policy);
    let steps = match board.policy.strategy == Strategy::Level && board.policy.settled.is_some() {
        true => settling(board, &relief, steps_max),
        false => even_out(board, &relief, steps_max),
    };
    with_relief_ahead(&relief, steps, steps_max)
}

/// Adds the relief of nodes that are near their thresholds, where that is in order. What is over goes first, so what is
/// left of the limit is for this. It moves no VM of the plan once more, makes no room for its own moves and takes no risk.
fn with_relief_ahead(relief: &Board<'_>, mut steps: Vec<Step>, steps_max: usize) -> Vec<Step> {
    let evens = steps.iter().any(|step| step.purpose == Purpose::Level);
    if evens || !relief.policy.relieves_ahead(relief.info.id, !steps.is_empty()) {
        return steps;
    }
    let careful = relief.careful();
    let after = careful.as_ref().unwrap_or(relief).after(&steps);
    let Some(mut ahead) = after.looking_ahead() else { return steps };
    for step in &steps {
        let until = relief.snapshot.taken_at;
        ahead.vms[step.vm].free = Err(SkipWhy::Resting { until, why: RestWhy::Moved });
    }
    let more = search::steps(&ahead, steps_max.saturating_sub(steps.len()));
    let by_itself = more.into_iter().take_while(|step| step.purpose == Purpose::Relieve);
    steps.extend(by_itself.map(|step| Step { purpose: Purpose::Ahead, ..step }));
    steps
}

/// The steps where evening out comes to rest: relief alone while the cluster is even enough, else up to the knee of what
/// could be done. A plan that goes on relieves first, so that no overload waits for evening out.
fn settling(board: &Board<'_>, relief: &Board<'_>, steps_max: usize) -> Vec<Step> {
    let is_due = settled::is_due(board);
    if !is_due || board.policy.goes_on(board.info.id) {
        let relieving = relieve(relief, steps_max);
        if !is_due || !relieving.is_empty() {
            return relieving;
        }
    }
    let mut all = even_out(board, relief, usize::MAX);
    all.truncate(settled::to_the_knee(board, &all));
    if all.len() <= steps_max { all } else { even_out(board, relief, steps_max) }
}

fn even_out(board: &Board<'_>, relief: &Board<'_>, steps_max: usize) -> Vec<Step> {
    if board.policy.strategy == Strategy::Relieve {
        return relieve(relief, steps_max);
    }
    let steps = going_on(board, relief, Vec::new(), steps_max);
    let left = overload_after(board, &steps);
    if left <= 0.0 {
        return steps;
    }
    // Evening out must not cost relief.
    let relieving = relieve(relief, steps_max);
    match overload_after(board, &relieving) < left - NOTHING {
        true => going_on(board, relief, relieving, steps_max),
        false => steps,
    }
}

/// The steps that relieve the most. Where a plan goes on with the rest at once, it is the beginning of the whole relief
/// instead if nodes are overloaded for a shorter time until the end of all.
fn relieve(relief: &Board<'_>, steps_max: usize) -> Vec<Step> {
    let most = relieve_most(relief, steps_max);
    if !relief.policy.goes_on(relief.info.id)
        || most.is_empty()
        || most.len() < steps_max
        || overload_after(relief, &most) <= NOTHING
    {
        return most;
    }
    let whole = relieve_most(relief, usize::MAX);
    let beginning = &whole[..steps_max.min(whole.len())];
    // What only makes room for a step that was cut off would be for nothing.
    let stands_alone = beginning.iter().all(|step| step.purpose != Purpose::MakeRoom)
        && beginning.iter().all(|step| beginning.iter().filter(|other| other.vm == step.vm).count() == 1);
    if !stands_alone {
        return most;
    }
    let all = going_on(relief, relief, most.clone(), usize::MAX);
    let is_better = overload_after(relief, &whole) <= overload_after(relief, &all) + NOTHING
        && time_over(relief, &whole, steps_max) < time_over(relief, &all, steps_max);
    if is_better { beginning.to_vec() } else { most }
}

/// For how long nodes are over a threshold until the last of these steps is done, added up over the nodes. The unit is the
/// time in which one unit of cost moves. Steps run side by side as in [`super::lanes`], and in plans of so many.
fn time_over(board: &Board<'_>, steps: &[Step], steps_in_plan: usize) -> f64 {
    let mut placement = board.start();
    let (mut now, mut sum) = (0.0, 0.0);
    for plan in steps.chunks(steps_in_plan) {
        let mut waiting = plan.to_vec();
        let mut running: Vec<Running> = Vec::new();
        loop {
            while running.len() < board.policy.parallel_max.max(1) {
                let nodes = |step: &Step| [placement.at[step.vm], step.target];
                let is_free = |step: &Step| running.iter().all(|other| !other.uses(nodes(step)));
                let Some(next) = waiting.iter().position(is_free) else { break };
                let step = waiting.remove(next);
                running.push(Running { step, nodes: nodes(&step), ends: now + board.cost(step.vm) });
            }
            let ends = |one: &usize, other: &usize| running[*one].ends.total_cmp(&running[*other].ends);
            let Some(first) = (0..running.len()).min_by(ends) else { break };
            let Running { step, ends, .. } = running.swap_remove(first);
            sum += (ends - now) * count_over(board, &placement) as f64;
            now = ends;
            board.apply(&mut placement, step.vm, step.target);
        }
    }
    sum
}

/// A step under way.
struct Running {
    step: Step,
    nodes: [usize; 2],
    ends: f64,
}

impl Running {
    fn uses(&self, nodes: [usize; 2]) -> bool {
        nodes.iter().any(|node| self.nodes.contains(node))
    }
}

/// How many nodes are over a threshold.
fn count_over(board: &Board<'_>, placement: &Placement) -> usize {
    board.nodes.iter().zip(&placement.used).filter(|(node, used)| node.is_over(used)).count()
}

/// The steps that relieve the most. A limit leaves no more than those of `LIMITS` below it do. A plan that was found
/// without a limit is the plan of each limit that it keeps.
fn relieve_most(relief: &Board<'_>, steps_max: usize) -> Vec<Step> {
    let is_small = relief.vms.len() * relief.nodes.len() <= CHOICES_MAX;
    if !is_small || relief.nodes.iter().all(|node| !node.is_over(&node.start)) {
        return going_on(relief, relief, Vec::new(), steps_max);
    }
    let least = least_left(relief, usize::MAX);
    if steps_max < relief.vms.len() && least_left(relief, steps_max) <= least + PROVEN {
        let unlimited = relieve_further(relief, usize::MAX, least);
        if unlimited.len() <= steps_max {
            return unlimited;
        }
    }
    relieve_further(relief, steps_max, least)
}

/// The steps of a search within a limit, or of one within a smaller limit where that happens to lead further; what that
/// leads to is then gone on from. No number of steps leaves less than `least`.
fn relieve_further(relief: &Board<'_>, steps_max: usize, least: f64) -> Vec<Step> {
    let found = going_on(relief, relief, Vec::new(), steps_max);
    let left = overload_after(relief, &found);
    if left <= least + PROVEN {
        return found;
    }
    // The fewer steps, the more is left at least.
    let is_other = |limit: usize, bound: f64| limit < found.len() || bound > least + PROVEN;
    for limit in LIMITS.into_iter().rev().filter(|limit| *limit < steps_max) {
        let bound = least_left(relief, limit);
        if bound >= left - PROVEN {
            break;
        }
        if is_other(limit, bound) {
            let further = relieve_further(relief, limit, least);
            return match overload_after(relief, &further) < left - NOTHING {
                true => going_on(relief, relief, further, steps_max),
                false => found,
            };
        }
    }
    found
}

/// The least overload that so many steps can leave, as far as that can be told without a search: also those steps count
/// that the policy would rather avoid.
fn least_left(relief: &Board<'_>, steps_max: usize) -> f64 {
    let softly = relief.policy.soft_targets.then(|| relief.with_soft_targets());
    search::least_left(softly.as_ref().unwrap_or(relief), steps_max)
}

/// Goes on from some steps until nothing more is found. `relief` is the same cluster where nothing is evened out.
fn going_on(board: &Board<'_>, relief: &Board<'_>, mut steps: Vec<Step>, steps_max: usize) -> Vec<Step> {
    let careful = board.careful();
    let usual = careful.as_ref().unwrap_or(board);
    let daring = daring(relief, usual.under(relief.policy), careful.is_some());
    for _ in 0..ROUNDS_MAX {
        let (more, further) = with_margin(&usual.after(&steps), steps_max - steps.len());
        let mut goes_on = further && !more.is_empty();
        steps.extend(more);
        for board in &daring {
            let more = search::steps(&board.after(&steps), steps_max - steps.len());
            goes_on |= !more.is_empty();
            steps.extend(more);
        }
        for relieved in beside(relief.policy) {
            let Some(only) = usual.under(relief.policy).after(&steps).looking_only_at(relieved) else {
                continue;
            };
            let more = search::steps(&only, steps_max - steps.len());
            goes_on |= !more.is_empty();
            steps.extend(more);
        }
        if !goes_on {
            break;
        }
    }
    steps
}

/// The resources of which each is looked at alone for what stays overloaded. Soft targets reach further, so with them
/// there is nothing left for this.
fn beside(policy: &Policy) -> impl Iterator<Item = &'static [Dimension]> {
    Dimension::EACH_ALONE.into_iter().filter(|_| !policy.soft_targets)
}

/// The boards on which moves are looked for that the policy would rather avoid, the least unwelcome first.
fn daring<'a>(all: &Board<'a>, usual: Board<'a>, has_risky: bool) -> Vec<Board<'a>> {
    let soft = all.policy.soft_targets;
    let risky = has_risky.then(|| all.clone());
    let softly = soft.then(|| usual.with_soft_targets());
    let both = (soft && has_risky).then(|| all.with_soft_targets());
    risky.into_iter().chain(softly).chain(both).collect()
}

/// Returns the steps that take overloaded nodes below their thresholds by the margin, or only to their thresholds where
/// the margin would leave more overload; with whether a search from where they lead to may find more.
fn with_margin(board: &Board<'_>, steps_max: usize) -> (Vec<Step>, bool) {
    let Some(lower) = board.with_margin() else {
        let steps = search::steps(board, steps_max);
        // A search goes on by itself until it finds nothing, but relief that came before evenness can be evened out.
        let can_even_out = board.policy.strategy == Strategy::Level && overload_after(board, &steps) > 0.0;
        return (steps, can_even_out);
    };
    let further = search::steps(&lower, steps_max);
    let left = overload_after(board, &further);
    if left <= 0.0 {
        return (further, true);
    }
    let plain = search::steps(board, steps_max);
    match overload_after(board, &plain) < left - NOTHING {
        true => (plain, false),
        false => (further, true),
    }
}

fn overload_after(board: &Board<'_>, steps: &[Step]) -> f64 {
    figures::overload(board, &end_of(board, steps))
}

fn end_of(board: &Board<'_>, steps: &[Step]) -> Placement {
    let mut end = board.start();
    for step in steps {
        board.apply(&mut end, step.vm, step.target);
    }
    end
}

/// Returns steps that empty a node as far as it can be.
pub(super) fn drain_steps(board: &Board<'_>, node: usize) -> Vec<Step> {
    let Some(careful) = board.careful() else { return search::drain_steps(board, node) };
    let mut steps = search::drain_steps(&careful, node);
    let rest = board.after(&steps);
    if !rest.vms_on[node].is_empty() {
        steps.extend(search::drain_steps(&rest, node));
    }
    steps
}
