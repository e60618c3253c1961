//! Evening out: what a move does to the imbalance, and moves that lower it.

use super::{
    anneal::{self, Aim, Ceilings, Cooling},
    flow::Flow,
    pool::Move,
};
use crate::planner::{
    board::Board,
    load::{self, Amounts, CPU, MEMORY, SCALE},
};

/// The exchange rates of the imbalance, from which the change of a move follows without looking at other nodes.
pub struct Rates {
    /// Half of 1 / (total capacity × threshold), for memory and CPU; the other threshold is in `per_capacity`.
    weight: [f64; 2],
}

impl Rates {
    pub fn new(board: &Board<'_>) -> Self {
        let rate = |r: usize, threshold: f64| {
            let taking_part = (0..board.nodes.len()).filter(|n| load::takes_part(board, *n));
            let total: f64 = taking_part.map(|n| board.nodes[n].capacity[r] as f64).sum();
            let unit = threshold / SCALE[r];
            if total > 0.0 && unit > 0.0 { 0.5 / (total * unit) } else { 0.0 }
        };
        Self { weight: [rate(MEMORY, board.policy.memory.overload), rate(CPU, board.policy.cpu.overload)] }
    }

    /// By how much the imbalance squared falls when these needs go from one node to another.
    ///
    /// Exact as long as both take part: the capacity-weighted mean does not change.
    pub fn gain(&self, board: &Board<'_>, used: &[Amounts], needs: Amounts, from: usize, to: usize) -> f64 {
        if !load::takes_part(board, from) || !load::takes_part(board, to) {
            return 0.0;
        }
        self.leaving(board, used, needs, from) - self.arriving(board, used, needs, to)
    }

    /// What leaving a node contributes to the gain.
    pub fn leaving(&self, board: &Board<'_>, used: &[Amounts], needs: Amounts, node: usize) -> f64 {
        self.sum(board, node, |r| (needs[r], 2 * used[node][r] - needs[r]))
    }

    /// What arriving on a node takes off the gain.
    pub fn arriving(&self, board: &Board<'_>, used: &[Amounts], needs: Amounts, node: usize) -> f64 {
        self.sum(board, node, |r| (needs[r], 2 * used[node][r] + needs[r]))
    }

    fn sum(&self, board: &Board<'_>, node: usize, of: impl Fn(usize) -> (i64, i64)) -> f64 {
        let per_capacity = &board.nodes[node].per_capacity;
        let term = |r: usize| {
            let (needs, twice) = of(r);
            self.weight[r] * needs as f64 * twice as f64 * per_capacity[r]
        };
        term(MEMORY) + term(CPU)
    }
}

/// So much must a migration gain: for each unit of cost that is this share of the cluster's memory in GiB, the
/// imbalance squared must fall by a thousandth of that share.
///
/// Moving 1 % of all memory has to lower the imbalance squared by 0.000 01: from 0.2 down it gains a thousand times
/// as much, around 0.005 it gains less and stops.
pub const GAIN_MIN: f64 = 1e-3;

/// The least gain for a unit of cost in this cluster.
pub fn gain_min(board: &Board<'_>) -> f64 {
    let memory: i64 = (0..board.nodes.len())
        .filter(|n| load::takes_part(board, *n))
        .map(|n| board.nodes[n].capacity[MEMORY])
        .sum();
    if memory > 0 { GAIN_MIN * 1024.0 / memory as f64 } else { f64::INFINITY }
}

/// Sets of moves that even out, beginning with one that relieves: a plain descent, and what a search makes of it.
pub fn evened<'a, 'b>(mut flow: Flow<'a, 'b>, moves_max: usize) -> impl Iterator<Item = Flow<'a, 'b>> {
    let before = flow.moves.len();
    let rates = Rates::new(flow.board);
    descend(&mut flow, &rates, moves_max);
    let searched = (flow.moves.len() > before).then(|| {
        let moves = flow.moves.len();
        let imbalance = load::imbalance_squared(flow.board, &flow.used);
        let scale = imbalance / moves as f64;
        let aim =
            Aim { overload: 100.0, cost: gain_min(flow.board), imbalance: 1.0, ceilings: Ceilings::Hard };
        let trials = (moves * 5000).clamp(400_000, 500_000.max(flow.board.nodes.len() * 2000));
        let trials = trials.min(flow.choices() * 600);
        let cooling = Cooling { trials, start: START * scale, end: 1e-3 * scale, seed: 0 };
        anneal::anneal(flow.clone(), &aim, cooling, moves_max)
    });
    std::iter::once(flow).chain(searched)
}

const START: f64 = 0.3;

/// So many of the fullest and of the emptiest nodes are looked at for each move, by memory, by CPU and by both.
const CANDIDATES: usize = 6;

/// Adds the move with the largest gain, again and again, as long as one is worth its cost.
pub fn descend(flow: &mut Flow<'_, '_>, rates: &Rates, moves_max: usize) {
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
    let full = |n: usize, r: usize| flow.used[n][r] as f64 * nodes[n].per_capacity[r];
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
fn extremes(nodes: impl Iterator<Item = usize>, of: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let mut keyed: Vec<(usize, [f64; 3])> = nodes
        .map(|n| {
            let (memory, cpu) = (of(n, MEMORY), of(n, CPU));
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
        kinds.entry((needs[MEMORY], needs[CPU])).or_default().push(slot);
    }
    let takers: Vec<usize> = (0..flow.board.nodes.len())
        .filter(|n| flow.board.nodes[*n].target.is_ok() && load::takes_part(flow.board, *n))
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
