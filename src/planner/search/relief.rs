//! Moves that take overloaded nodes under their thresholds at the least cost.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    anneal::{self, Aim, Ceilings, Cooling},
    cover::{self, Price},
    effort::{
        self, BOUND_EXACT, FROM_IDEAL, IDLE_MAX, LIMITED, NEAR, NEARLY, NOTHING, OVERFILL_PRICES,
        OVERLOAD_PRICE, PRICES, PROBE, PROBES, PROVEN, REFINED, REFINED_MAX, RELIEF_END, RELIEF_START, RUNS,
        RUNS_LARGE, RUNS_LIMITED, SLIGHT, SLIGHT_SMALL, SMALL_NODES, SMALL_PER_CHOICE, SMALL_TRIALS_EACH,
    },
    flow::Flow,
    ideal::{self, Ideal},
    pack::{self, Places, Taste},
    pool::{Move, Pool},
    proof,
};
use crate::planner::{board::Board, policy::Strategy};

/// Sets of moves, the best first, and the ideal where they may be far from it.
pub(super) struct Found<'a, 'b> {
    pub flows: Vec<Flow<'a, 'b>>,
    pub ideal: Option<Ideal>,
    /// It is proven that nothing takes anything off.
    pub hopeless: bool,
}

impl<'a, 'b> From<Flow<'a, 'b>> for Found<'a, 'b> {
    fn from(flow: Flow<'a, 'b>) -> Self {
        Self { flows: vec![flow], ideal: None, hopeless: false }
    }
}

/// Returns sets of at most so many moves. Which of them can run is for `order` to say.
pub(super) fn candidates<'a, 'b>(board: &'a Board<'b>, pool: &'a Pool, moves_max: usize) -> Found<'a, 'b> {
    let start = Flow::new(board, pool);
    let overload = start.overload();
    if overload <= 0.0 {
        return start.into();
    }
    if moves_max == 1 {
        let mut flow = start;
        extend(&mut flow, moves_max);
        return flow.into();
    }
    let (mut flow, bound) = cover(&start, moves_max);
    if flow.cost <= bound * PROVEN && flow.overload() <= 0.0 && flow.moves.len() <= moves_max {
        return flow.into();
    }
    let relaxed = ideal::relaxed(&start, moves_max, Strategy::Relieve);
    if relaxed.as_ref().is_some_and(|relaxed| relaxed.overload >= overload - BOUND_EXACT) {
        return Found { hopeless: true, ..start.into() };
    }
    cut(&mut flow, moves_max);
    extend(&mut flow, moves_max);
    if flow.moves.len() >= moves_max {
        let mut largest_first = start.clone();
        extend(&mut largest_first, moves_max);
        flow = if before(&largest_first, &flow) { largest_first } else { flow };
        if overload - flow.overload() >= proof::removable(&start, moves_max) - NOTHING {
            cheapen(&mut flow);
            return flow.into();
        }
    }
    let ideal = relaxed.map(|relaxed| relaxed.ideal(&start));
    let (mut flows, agreed) = search(&start, flow, ideal.as_ref(), bound, moves_max);
    flows.sort_by(|a, b| a.overload().total_cmp(&b.overload()).then(a.cost.total_cmp(&b.cost)));
    Found { flows, ideal: ideal.filter(|_| !agreed), hopeless: false }
}

/// Returns what is left at least after so many moves, whatever they are.
pub(super) fn least_left(board: &Board<'_>, moves_max: usize) -> f64 {
    let pool = Pool::new(board, None);
    let start = Flow::new(board, &pool);
    let without_regard_to_room = start.overload() - proof::removable(&start, moves_max);
    let relaxed = ideal::relaxed(&start, moves_max, Strategy::Relieve);
    relaxed.map_or(0.0, |relaxed| relaxed.overload).max(without_regard_to_room)
}

/// The first of the prices at which covers need no more moves than there may be, and what no plan can undercut. Where there
/// are more overloaded nodes than moves no price is high enough, so only the last one is tried.
fn cover<'a, 'b>(start: &Flow<'a, 'b>, moves_max: usize) -> (Flow<'a, 'b>, f64) {
    let (mut flow, bound) = construct(start, Price { per_move: 0.0 });
    let hot = (0..start.board.nodes.len()).filter(|node| start.overload_of(*node) > 0.0).count();
    let tried = if hot > moves_max { PRICES.len() - 1 } else { 0 };
    for &per_move in &PRICES[tried..] {
        if flow.moves.len() <= moves_max {
            break;
        }
        flow = construct(start, Price { per_move }).0;
    }
    (flow, bound)
}

/// Searches from a first set of moves and from the ideal, several times over where that does not lead close to what
/// is possible. Returns what each run found, and whether nothing better is to be expected: there is little to take off, or
/// two runs by other chances came to the same end.
fn search<'a, 'b>(
    start: &Flow<'a, 'b>,
    first: Flow<'a, 'b>,
    ideal: Option<&Ideal>,
    bound: f64,
    moves_max: usize,
) -> (Vec<Flow<'a, 'b>>, bool) {
    let (overload, cost) = ideal.map_or((0.0, bound), |ideal| (ideal.overload, ideal.cost.max(bound)));
    let removable = start.overload() - overload;
    let is_near = |flow: &Flow<'_, '_>| {
        flow.overload() <= overload + NEARLY * removable + NOTHING && flow.cost <= cost * NEAR
    };
    let aim = aim(&first, removable, cost, moves_max);
    let made = |moves: &[Move]| {
        let mut flow = start.clone();
        moves.iter().for_each(|mv| flow.add(*mv));
        flow
    };
    let begin = ideal.map(|ideal| made(&ideal.moves));
    let (trials, runs) = work(&first, begin.as_ref(), moves_max);
    let run = |from: &Flow<'a, 'b>, trials: usize, seed: u64| {
        let scale = scale(from, &aim, start.overload(), moves_max);
        let overfill = OVERFILL_PRICES[seed as usize % OVERFILL_PRICES.len()];
        let (start, end) = (RELIEF_START * scale, RELIEF_END * scale);
        let cooling = Cooling { trials, start, end, overfill, seed };
        let mut flow = anneal::anneal(from.clone(), &aim, cooling, moves_max);
        extend(&mut flow, moves_max);
        flow
    };
    let mut found = vec![first];
    found.extend(ideal.iter().flat_map(|ideal| rounded(start, ideal, moves_max)));
    let mut best = found[0].clone();
    for flow in &found[1..] {
        if before(flow, &best) {
            best.clone_from(flow);
        }
    }
    let is_small = ideal.is_some() && start.board.nodes.len() <= SMALL_NODES;
    let slight = if is_small { SLIGHT_SMALL } else { SLIGHT };
    if removable < slight * start.overload() || is_near(&best) {
        return (found, !is_near(&best));
    }
    if is_small {
        found.push(run(begin.as_ref().unwrap_or(&best), trials, 0));
        return (found, false);
    }
    let probes = PROBES.map(|seed| run(begin.as_ref().unwrap_or(&best), trials / PROBE, seed));
    let apart = |one: &Flow<'_, '_>, other: &Flow<'_, '_>| before(one, other) || before(other, one);
    let agreed = !apart(&probes[0], &probes[1]) && !before(&best, &probes[0]);
    for flow in probes {
        if before(&flow, &best) {
            best.clone_from(&flow);
        }
        found.push(flow);
    }
    if agreed {
        return (found, true);
    }
    let mut idle = 0;
    for seed in 0..runs {
        if is_near(&best) || idle == IDLE_MAX {
            break;
        }
        let from = begin.as_ref().filter(|_| seed < FROM_IDEAL).unwrap_or(&best);
        let refines = begin.is_some() && seed >= FROM_IDEAL;
        let flow = run(from, if refines { (trials * REFINED).min(REFINED_MAX) } else { trials }, seed);
        idle += 1;
        if before(&flow, &best) {
            best.clone_from(&flow);
            idle = 0;
        }
        found.push(flow);
    }
    (found, false)
}

/// An ideal in whole VMs, without what overfills its target and with what can be added.
fn rounded<'a, 'b>(start: &Flow<'a, 'b>, ideal: &Ideal, moves_max: usize) -> Vec<Flow<'a, 'b>> {
    let whole = ideal.whole.iter().map(|moves| {
        let mut flow = start.clone();
        moves.iter().for_each(|mv| flow.add(*mv));
        flow.make_sound();
        extend(&mut flow, moves_max);
        flow
    });
    whole.filter(|flow| flow.moves.len() <= moves_max).collect()
}

/// What the search weighs: what can be removed is worth many times what that costs. With a limit that is used up every
/// move counts: overload alone, and cost only between sets that leave the same.
fn aim(first: &Flow<'_, '_>, removable: f64, cost: f64, moves_max: usize) -> Aim {
    let (cost, removable) = (first.cost.max(cost).max(1.0), removable.max(NOTHING));
    let (overload, cost) = match first.moves.len() >= moves_max {
        true => (1.0, 1e-4 * removable / cost),
        false => (cost / removable * OVERLOAD_PRICE, 1.0),
    };
    Aim { overload, cost, imbalance: 0.0, ceilings: Ceilings::Soft }
}

/// What a typical move weighs.
fn scale(flow: &Flow<'_, '_>, aim: &Aim, overload: f64, moves_max: usize) -> f64 {
    let moves = flow.moves.len().max(1) as f64;
    match flow.moves.len() >= moves_max {
        true => LIMITED * aim.overload * (overload - flow.overload()).max(NOTHING) / moves,
        false => aim.cost * flow.cost.max(1.0) / moves,
    }
}

/// Tells whether one set of moves is better than another: less overload left, or as little at less cost.
fn before(one: &Flow<'_, '_>, other: &Flow<'_, '_>) -> bool {
    let overload = one.overload() - other.overload();
    overload < -NOTHING || (overload < NOTHING && one.cost < other.cost - NOTHING)
}

/// Trials of a run, and runs: the fewer moves there may be, the fewer sets there are to look at.
fn work(first: &Flow<'_, '_>, ideal: Option<&Flow<'_, '_>>, moves_max: usize) -> (usize, u64) {
    let moves = first.moves.len().max(ideal.map_or(0, |flow| flow.moves.len()));
    if ideal.is_some() && first.board.nodes.len() <= SMALL_NODES {
        return ((moves * SMALL_TRIALS_EACH).min(first.choices() * SMALL_PER_CHOICE), 1);
    }
    match moves >= moves_max {
        true => (effort::RELIEF_LIMITED.of(moves, first.choices()), RUNS_LIMITED),
        false => (effort::RELIEF.of(moves, first.choices()), if ideal.is_some() { RUNS } else { RUNS_LARGE }),
    }
}

/// For each overloaded node the cheapest cover, and a place for every VM of it as far as there is one; with what the
/// covers cost together, which no set that clears the overload undercuts.
fn construct<'a, 'b>(start: &Flow<'a, 'b>, price: Price) -> (Flow<'a, 'b>, f64) {
    let nodes = 0..start.board.nodes.len();
    let hot: Vec<usize> = nodes.filter(|node| start.overload_of(*node) > 0.0).collect();
    let covers: Vec<_> = hot.iter().map(|node| cover::cover(start, *node, price)).collect();
    let leaving: Vec<usize> = covers.iter().flat_map(|cover| cover.slots.iter().copied()).collect();
    let mut even = start.clone();
    let homeless = pack::pack(&mut even, leaving.clone(), Taste::Emptiest).len();
    // What covers cost is as good where a search follows anyway: only a proof needs the bound, which takes as long again.
    let bound = |flow: &Flow<'_, '_>| match flow.overload() > 0.0 {
        true => covers.iter().map(|cover| cover.cost).sum(),
        false => hot.iter().zip(&covers).map(|(node, cover)| cover::bound(start, *node, cover, price)).sum(),
    };
    if homeless == 0 {
        let bound = bound(&even);
        return (even, bound);
    }
    let mut tight = start.clone();
    let still = pack::pack(&mut tight, leaving, Taste::Fullest).len();
    let flow = if still < homeless { tight } else { even };
    let bound = bound(&flow);
    (flow, bound)
}

/// Takes moves back, the least useful first, until the set is small enough. What taking one back adds only grows with
/// those that were taken back before, so an old figure is a bound.
fn cut(flow: &mut Flow<'_, '_>, moves_max: usize) {
    let moves = flow.moves.clone();
    let loss = |flow: &Flow<'_, '_>, mv: Move| {
        let node = flow.pool.slots[mv.slot].node;
        let with = flow.used[node] + flow.pool.class(mv.slot).needs.as_at_home();
        // Bits of numbers that are not negative are in the order of the numbers.
        (flow.board.nodes[node].overload(&with) - flow.overload_of(node)).max(0.0).to_bits()
    };
    let mut waiting: BinaryHeap<_> =
        moves.iter().enumerate().map(|(index, mv)| Reverse((loss(flow, *mv), index))).collect();
    let mut place: Vec<usize> = (0..moves.len()).collect();
    let mut at = place.clone();
    while let Some(Reverse((known, index))) = waiting.pop().filter(|_| flow.moves.len() > moves_max) {
        let now = loss(flow, moves[index]);
        if now > known {
            waiting.push(Reverse((now, index)));
            continue;
        }
        // The last one takes its place.
        flow.remove(place[index]);
        at.swap_remove(place[index]);
        if let Some(moved) = at.get(place[index]) {
            place[*moved] = place[index];
        }
    }
}

/// Sends a cheaper VM of the same node where that leaves as little overload.
fn cheapen(flow: &mut Flow<'_, '_>) {
    for mv in flow.moves.clone() {
        let Some(index) = flow.moves.iter().position(|other| *other == mv) else { continue };
        let node = flow.pool.slots[mv.slot].node;
        let (least, price) = (flow.overload_of(node), flow.pool.class(mv.slot).cost);
        flow.remove(index);
        let cheaper = |slot: &usize| {
            let class = flow.pool.class(*slot);
            let left = flow.board.nodes[node].overload(&(flow.used[node] - class.needs.as_at_home()));
            class.cost < price
                && left <= least + NOTHING
                && flow.available(*slot)
                && flow.fits(*slot, mv.target)
        };
        let cost = |slot: usize| flow.pool.class(slot).cost;
        let there = flow.pool.slots_on[node].iter().copied().filter(cheaper);
        let slot = there.min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(mv.slot);
        flow.add(Move { slot, ..mv });
    }
}

/// Adds the move that takes off the most, as long as one takes off anything.
///
/// What a move takes off depends on its source alone, so the best of each node is remembered.
fn extend(flow: &mut Flow<'_, '_>, moves_max: usize) {
    let mut places = Places::default();
    let hot = (0..flow.board.nodes.len()).filter(|node| flow.overload_of(*node) > 0.0);
    let mut best: Vec<(usize, Option<Useful>)> =
        hot.collect::<Vec<_>>().into_iter().map(|node| (node, useful(flow, node, &mut places))).collect();
    while flow.moves.len() < moves_max {
        let by = |a: &Useful, b: &Useful| a.relief.total_cmp(&b.relief).then(b.cost.total_cmp(&a.cost));
        let found = best.iter().enumerate().filter_map(|(index, (_, useful))| Some((index, (*useful)?)));
        let Some((index, chosen)) = found.max_by(|a, b| by(&a.1, &b.1).then(b.0.cmp(&a.0))) else { break };
        if let Some(target) = places.best(flow, chosen.slot, Taste::Emptiest) {
            flow.add(Move { slot: chosen.slot, target });
        }
        best[index].1 = useful(flow, best[index].0, &mut places);
    }
}

/// A VM whose leaving takes something off, and that has a place.
#[derive(Clone, Copy)]
struct Useful {
    relief: f64,
    cost: f64,
    slot: usize,
}

/// The most useful VM of a node.
fn useful(flow: &Flow<'_, '_>, node: usize, places: &mut Places) -> Option<Useful> {
    let of = |&slot: &usize| {
        let class = flow.pool.class(slot);
        let left = flow.used[node] - class.needs.as_at_home();
        let relief = flow.overload_of(node) - flow.board.nodes[node].overload(&left);
        Useful { relief, cost: class.cost, slot }
    };
    let there = flow.pool.slots_on[node].iter().filter(|slot| flow.available(**slot)).map(of);
    let mut there: Vec<Useful> = there.filter(|useful| useful.relief > NOTHING).collect();
    there.sort_by(|a, b| {
        b.relief.total_cmp(&a.relief).then(a.cost.total_cmp(&b.cost)).then(a.slot.cmp(&b.slot))
    });
    there.into_iter().find(|useful| places.best(flow, useful.slot, Taste::Emptiest).is_some())
}
