//! Evening out: what a move does to the imbalance, and moves that lower it.

use super::{
    anneal::{self, Aim, Ceilings, Cooling},
    effort::{
        self, AGREED_MOVES, AGREED_NODES, CANDIDATES, LEVEL_END, LEVEL_FEW_NODES, LEVEL_FEW_VMS, LEVEL_RUNS,
        LEVEL_RUNS_FEW, LEVEL_STARTS, LEVEL_TRIALS, LEVEL_TRIALS_EACH, LEVEL_TRIALS_FEW, NOTHING, PROBE,
        PROBES, REDEALS_LEVEL, REDEALS_LEVEL_EACH, REDEALS_LEVEL_FEW,
    },
    flow::Flow,
    ideal,
    pool::Move,
    rates::{Rates, gain_min},
    redeal,
};
use crate::planner::{
    amounts::Dimension::{self, Cpu, Memory},
    figures,
    policy::Strategy,
};

/// Sets of moves that even out, beginning with one that relieves: a plain descent, and what searches make of it. They
/// are of use where the descent finds nothing too: other moves relieve as much, and VMs can be exchanged.
///
/// Two short searches that come to the same end, by other chances, are enough: nothing better is to be expected.
pub(super) fn even_out<'a, 'b>(mut flow: Flow<'a, 'b>, moves_max: usize) -> Vec<Flow<'a, 'b>> {
    let rates = Rates::new(flow.board);
    descend(&mut flow, &rates, moves_max);
    let moves = flow.moves.len().max(1);
    let trials = effort::leveling(flow.board.nodes.len(), moves).of(moves, flow.choices());
    let (nodes, vms) = (flow.board.nodes.len(), flow.board.vms.len());
    let is_few = nodes <= LEVEL_FEW_NODES && vms <= nodes * LEVEL_FEW_VMS;
    let (trials_max, runs_max) =
        if is_few { (LEVEL_TRIALS_FEW, LEVEL_RUNS_FEW) } else { (LEVEL_TRIALS, LEVEL_RUNS) };
    let runs = (trials_max.min(moves * LEVEL_TRIALS_EACH) / trials.max(1)).clamp(1, runs_max) as u64;
    let imbalance = figures::imbalance_squared(flow.board, &flow.used);
    let scale = imbalance / moves as f64;
    let aim = Aim { overload: 100.0, cost: gain_min(flow.board), imbalance: 1.0, ceilings: Ceilings::Hard };
    let searched = |trials: usize, seed: u64| {
        let start = LEVEL_STARTS[seed as usize % LEVEL_STARTS.len()] * scale;
        let end = LEVEL_END * scale;
        let cooling = Cooling { trials, start, end, overfill: (1.0, 1.0), seed };
        let mut found = anneal::anneal(flow.clone(), &aim, cooling, moves_max);
        descend(&mut found, &rates, moves_max);
        found
    };
    let probes = PROBES.map(|seed| searched(trials / PROBE, seed));
    let is_small = moves <= AGREED_MOVES || flow.board.nodes.len() <= AGREED_NODES;
    let agreed = is_small && (aim.of(&probes[0]) - aim.of(&probes[1])).abs() < NOTHING;
    // A plan that ends at the knee takes only the first steps of a set, and short searches find those as well.
    let agreed = agreed || flow.board.policy.settled.is_some() && !is_few;
    let longer: Vec<_> = (0..runs).filter(|_| !agreed).map(|seed| searched(trials, seed)).collect();
    let mut found: Vec<_> = std::iter::once(flow.clone()).chain(probes).chain(longer).collect();
    let start = Flow::new(flow.board, flow.pool);
    if !agreed && let Some(relaxed) = ideal::relaxed(&start, moves_max, Strategy::Level) {
        for moves in relaxed.ideal(&start).whole {
            let mut rounded = Flow::new(flow.board, flow.pool);
            moves.into_iter().for_each(|mv| rounded.add(mv));
            rounded.make_sound();
            if rounded.moves.len() <= moves_max {
                descend(&mut rounded, &rates, moves_max);
                found.push(rounded);
            }
        }
    }
    let best = found.iter().min_by(|a, b| aim.of(a).total_cmp(&aim.of(b))).cloned();
    let pairs = flow.board.nodes.len().pow(2);
    let deals = if is_few { REDEALS_LEVEL_FEW.min(pairs * REDEALS_LEVEL_EACH) } else { REDEALS_LEVEL };
    found.extend(best.filter(|_| !agreed).map(|best| redeal::even_out(&best, &aim, moves_max, deals)));
    found
}

/// Adds the move with the largest gain, again and again, as long as one is worth its cost.
pub(super) fn descend(flow: &mut Flow<'_, '_>, rates: &Rates, moves_max: usize) {
    let gain_min = gain_min(flow.board);
    while flow.moves.len() < moves_max {
        let best = near_best(flow, rates, gain_min).or_else(|| any_gain(flow, rates, gain_min));
        let Some(best) = best else { break };
        flow.add(best);
    }
}

/// The best move between the fullest and the emptiest nodes.
fn near_best(flow: &Flow<'_, '_>, rates: &Rates, gain_min: f64) -> Option<Move> {
    let nodes = &flow.board.nodes;
    let givers = (0..nodes.len()).filter(|n| !flow.pool.slots_on[*n].is_empty());
    let takers = (0..nodes.len()).filter(|n| nodes[*n].target.is_ok());
    let full = |n: usize, r: Dimension| flow.used[n][r] as f64 * nodes[n].per_capacity[r];
    let givers = extremes(givers, |n, r| -full(n, r));
    let takers = extremes(takers, full);
    let mut best: Option<(f64, Move)> = None;
    for &source in &givers {
        for &slot in &flow.pool.slots_on[source] {
            if !flow.available(slot) {
                continue;
            }
            let class = flow.pool.class(slot);
            for &target in &takers {
                let gain = rates.gain(flow.board, &flow.used, class.needs, source, target);
                let worth = gain > gain_min * class.cost && best.is_none_or(|(most, _)| gain > most);
                if worth && flow.fits(slot, target) {
                    best = Some((gain, Move { slot, target }));
                }
            }
        }
    }
    best.map(|(_, mv)| mv)
}

/// The nodes with the least by each measure, in a fixed order, none twice.
fn extremes(nodes: impl Iterator<Item = usize>, of: impl Fn(usize, Dimension) -> f64) -> Vec<usize> {
    let mut keyed: Vec<(usize, [f64; 3])> = nodes
        .map(|n| {
            let (memory, cpu) = (of(n, Memory), of(n, Cpu));
            (n, [memory, cpu, memory + cpu])
        })
        .collect();
    let mut chosen = Vec::with_capacity(3 * CANDIDATES);
    for measure in 0..3 {
        let by = |a: &(usize, [f64; 3]), b: &(usize, [f64; 3])| {
            a.1[measure].total_cmp(&b.1[measure]).then(a.0.cmp(&b.0))
        };
        if keyed.len() > CANDIDATES {
            keyed.select_nth_unstable_by(CANDIDATES, by);
        }
        chosen.extend(keyed.iter().take(CANDIDATES).map(|(n, _)| *n));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Looks at every node before giving up. What a VM gains by leaving and what it costs to arrive are independent, so
/// pairs are only looked at where the best of both would be worth it.
fn any_gain(flow: &Flow<'_, '_>, rates: &Rates, gain_min: f64) -> Option<Move> {
    let mut kinds: std::collections::BTreeMap<(i64, i64), Vec<usize>> = std::collections::BTreeMap::new();
    for slot in (0..flow.pool.slots.len()).filter(|slot| flow.available(*slot)) {
        let needs = flow.pool.class(slot).needs;
        kinds.entry((needs[Memory], needs[Cpu])).or_default().push(slot);
    }
    let takers: Vec<usize> = (0..flow.board.nodes.len())
        .filter(|n| flow.board.nodes[*n].target.is_ok() && figures::takes_part(flow.board, *n))
        .collect();
    let mut best: Option<(f64, Move)> = None;
    for slots in kinds.values() {
        let needs = flow.pool.class(slots[0]).needs;
        let arriving = |n: usize| rates.arriving(flow.board, &flow.used, needs, n);
        let mut by_room: Vec<(f64, usize)> = takers.iter().map(|n| (arriving(*n), *n)).collect();
        by_room.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for &slot in slots {
            let source = flow.pool.slots[slot].node;
            let leaving = rates.leaving(flow.board, &flow.used, needs, source);
            let floor = gain_min * flow.pool.class(slot).cost;
            let wanted =
                |gain: f64, best: Option<(f64, Move)>| gain > best.map_or(floor, |(most, _)| most.max(floor));
            let fits = by_room
                .iter()
                .take_while(|(arriving, _)| wanted(leaving - arriving, best))
                .find(|(_, target)| flow.fits(slot, *target));
            if let Some((arriving, target)) = fits {
                best = Some((leaving - arriving, Move { slot, target: *target }));
            }
        }
    }
    best.map(|(_, mv)| mv)
}
