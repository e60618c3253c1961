//! What would be best if VMs could be divided: a linear program. It bounds what plans can reach, and what it moves is
//! where a search begins in clusters that are too tight for covers: it sees that VMs must be traded.

use std::collections::BTreeMap;

use super::{
    dive,
    effort::{CELLS_IDEAL, DIVES_MAX, DIVES_WORK, NOTHING, OVERLOAD_OVER_COST, PIVOTS_MAX},
    flow::Flow,
    pool::Move,
    simplex::{Program, Solved},
};
use crate::planner::amounts::{Amounts, Dimension};

/// The optimum of the divided VMs.
pub struct Ideal {
    /// No plan leaves less.
    pub overload: f64,
    /// No plan that leaves as little costs less.
    pub cost: f64,
    /// The moves, rounded: some targets may be overfilled.
    pub moves: Vec<Move>,
    /// Moves of whole VMs, found by rounding one number after the other, each time with the optimum of the rest.
    pub whole: Vec<Vec<Move>>,
}

/// Returns the ideal of a small cluster with at most so many moves.
pub fn ideal(flow: &Flow<'_, '_>, moves_max: usize) -> Option<Ideal> {
    let model = Model::new(flow);
    let width = model.width(flow.pool.slots.len());
    if width * (model.kinds + model.rows.len() + 1) > CELLS_IDEAL {
        return None;
    }
    let solved = model.program(flow, moves_max).solve(PIVOTS_MAX)?;
    let values = solved.values();
    let whole = model.whole(flow, &solved);
    let (leaving, rest) = values.split_at(flow.pool.slots.len());
    let cost = leaving.iter().enumerate().map(|(slot, count)| count * flow.pool.class(slot).cost).sum();
    let (coming, rest) = rest.split_at(model.kinds * model.takers.len());
    let overload =
        rest[..model.rows.len()].iter().zip(&model.rows).filter(|(_, row)| row.hot).map(|(v, _)| v).sum();
    Some(Ideal { overload, cost, moves: model.rounded(flow, leaving, coming), whole })
}

/// One limited resource of a node, or the number of its VMs.
struct Row {
    node: usize,
    resource: Option<Dimension>,
    /// Over its threshold: what is left above it is to be small. Else no move may fill it beyond its room.
    hot: bool,
    scale: f64,
    right: f64,
}

impl Row {
    /// What a VM with these needs takes of it.
    fn takes(&self, needs: Amounts) -> f64 {
        self.resource.map_or(1.0, |r| needs[r] as f64 * self.scale)
    }
}

struct Model {
    kinds: usize,
    takers: Vec<usize>,
    rows: Vec<Row>,
}

impl Model {
    fn new(flow: &Flow<'_, '_>) -> Self {
        let nodes = &flow.board.nodes;
        let rows = (0..nodes.len()).flat_map(|node| {
            let limited = Dimension::ALL.into_iter().filter_map(move |resource| {
                let (facts, used) = (&nodes[node], nodes[node].start[resource]);
                let (over, r, resource) = (facts.overload_in(resource, used), resource, Some(resource));
                let room = |most: i64| (most - used).max(0) as f64 * facts.per_ceiling[r];
                match (over > 0.0, facts.ceiling[r].value()) {
                    (true, _) => {
                        Some(Row { node, resource, hot: true, scale: facts.per_threshold[r], right: over })
                    }
                    (false, Some(most)) => Some(Row {
                        node,
                        resource,
                        hot: false,
                        scale: facts.per_ceiling[r],
                        right: room(most),
                    }),
                    (false, None) => None,
                }
            });
            let places = nodes[node].room.room(nodes[node].start_count);
            let row = |places: i64| Row {
                node,
                resource: None,
                hot: false,
                scale: 1.0,
                right: places.max(0) as f64,
            };
            limited.chain(places.map(row))
        });
        let takers = (0..nodes.len()).filter(|n| nodes[*n].target.is_ok()).collect();
        Self { kinds: flow.pool.classes.len(), takers, rows: rows.collect() }
    }

    /// Columns: what leaves each slot, what comes to each taker by kind, what each row has left, what it has above,
    /// and one that stays 0 for each kind and for the limit.
    fn width(&self, slots: usize) -> usize {
        slots + self.kinds * (self.takers.len() + 1) + 2 * self.rows.len() + 1
    }

    fn program(&self, flow: &Flow<'_, '_>, moves_max: usize) -> Program {
        let (pool, slots) = (flow.pool, flow.pool.slots.len());
        let come = |kind: usize, taker: usize| slots + kind * self.takers.len() + taker;
        let left = slots + self.kinds * self.takers.len();
        let (spare, fixed) = (left + self.rows.len(), left + 2 * self.rows.len());
        let width = self.width(slots);
        let limit = if moves_max == usize::MAX { f64::INFINITY } else { moves_max as f64 };
        let mut most = vec![f64::INFINITY; width];
        let mut cost = vec![0.0; width];
        for (slot, of) in pool.slots.iter().enumerate() {
            most[slot] = of.vms.len() as f64;
            cost[slot] = pool.class(slot).cost;
        }
        let (mut rows, mut right, mut basis) = (Vec::new(), Vec::new(), Vec::new());
        for (index, row) in self.rows.iter().enumerate() {
            // A hot row reads: what leaves - what comes + what is left over - what there is room = over.
            let sign = if row.hot { -1.0 } else { 1.0 };
            let mut values = vec![0.0; width];
            for &slot in &pool.slots_on[row.node] {
                let needs = pool.class(slot).needs.as_at_home();
                values[slot] = -sign * row.takes(needs);
            }
            if let Some(taker) = self.takers.iter().position(|n| *n == row.node) {
                for (kind, class) in pool.classes.iter().enumerate() {
                    values[come(kind, taker)] = sign * row.takes(class.needs);
                }
            }
            values[left + index] = 1.0;
            cost[left + index] = if row.hot { OVERLOAD_OVER_COST } else { 0.0 };
            if row.hot {
                values[spare + index] = -1.0;
            }
            rows.push(values);
            right.push(row.right);
            basis.push(left + index);
        }
        for kind in 0..self.kinds {
            let mut values = vec![0.0; width];
            (0..slots).filter(|slot| pool.slots[*slot].class == kind).for_each(|slot| values[slot] = 1.0);
            (0..self.takers.len()).for_each(|taker| values[come(kind, taker)] = -1.0);
            values[fixed + kind] = 1.0;
            most[fixed + kind] = 0.0;
            rows.push(values);
            right.push(0.0);
            basis.push(fixed + kind);
        }
        if limit.is_finite() {
            let mut values = vec![0.0; width];
            values[..slots].fill(1.0);
            values[width - 1] = 1.0;
            rows.push(values);
            right.push(limit);
            basis.push(width - 1);
        }
        Program { most, cost, rows, right, basis }
    }

    /// Rounds one after the other, in several ways.
    fn whole(&self, flow: &Flow<'_, '_>, solved: &Solved) -> Vec<Vec<Move>> {
        let (slots, coming) = (flow.pool.slots.len(), self.kinds * self.takers.len());
        let closed = self.without_arrivals_at_full_nodes(solved.clone(), slots);
        let size = |kind: usize| flow.pool.classes[kind].cost;
        let sizes: Vec<f64> = (0..slots)
            .map(|slot| flow.pool.slots[slot].class)
            .chain((0..coming).map(|column| column / self.takers.len()))
            .map(size)
            .collect();
        let runs = (DIVES_WORK / (self.width(slots) * self.rows.len()).max(1)).clamp(1, DIVES_MAX) as u64;
        let found = (0..runs).filter_map(|seed| dive::dive(closed.clone(), &sizes, seed));
        found.map(|values| self.rounded(flow, &values[..slots], &values[slots..slots + coming])).collect()
    }

    /// Who receives may not stay over: a node that stays over in the optimum receives nothing.
    fn without_arrivals_at_full_nodes(&self, mut solved: Solved, slots: usize) -> Solved {
        let left = slots + self.kinds * self.takers.len();
        for (index, row) in self.rows.iter().enumerate().filter(|(_, row)| row.hot) {
            let Some(taker) = self.takers.iter().position(|n| *n == row.node) else { continue };
            if solved.values()[left + index] < NOTHING {
                continue;
            }
            for kind in 0..self.kinds {
                solved.bound(slots + kind * self.takers.len() + taker, 0.0, 0.0, PIVOTS_MAX);
            }
        }
        solved
    }

    /// Whole VMs: of each kind as many as rounding gives leave and come, those with the largest fractions first.
    fn rounded(&self, flow: &Flow<'_, '_>, leaving: &[f64], coming: &[f64]) -> Vec<Move> {
        let mut moves = Vec::new();
        let mut of_kind: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (slot, what) in flow.pool.slots.iter().enumerate() {
            of_kind.entry(what.class).or_default().push(slot);
        }
        for (kind, slots) in of_kind {
            let out: Vec<f64> = slots.iter().map(|slot| leaving[*slot]).collect();
            let into = &coming[kind * self.takers.len()..][..self.takers.len()];
            let total = out.iter().sum::<f64>().round() as usize;
            let mut targets = whole(into, total);
            for (slot, count) in slots.iter().zip(whole(&out, total)) {
                for _ in 0..count.min(flow.pool.slots[*slot].vms.len()) {
                    let open =
                        (0..targets.len()).find(|t| targets[*t] > 0 && flow.may_meet(*slot, self.takers[*t]));
                    let Some(taker) = open else { break };
                    targets[taker] -= 1;
                    moves.push(Move { slot: *slot, target: self.takers[taker] });
                }
            }
        }
        moves
    }
}

/// Rounds amounts so that they sum up to the total.
fn whole(amounts: &[f64], total: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = amounts.iter().map(|amount| (amount + 1e-6).max(0.0) as usize).collect();
    let mut order: Vec<usize> = (0..amounts.len()).collect();
    let fraction = |index: usize| amounts[index] - (amounts[index] + 1e-6).floor();
    order.sort_by(|a, b| fraction(*b).total_cmp(&fraction(*a)).then(a.cmp(b)));
    let missing = total.saturating_sub(counts.iter().sum());
    order.iter().take(missing).for_each(|index| counts[*index] += 1);
    counts
}
