//! What would be best if VMs could be divided: a linear program. It bounds what plans can reach, and what it moves is
//! where a search begins in clusters that are too tight for covers: it sees that VMs must be traded. Rounded number by
//! number it gives whole VMs, for all nodes or for a few of which the others keep what they give and take.

use std::collections::BTreeMap;

use super::{
    dive,
    effort::{
        CELLS_IDEAL, DIVES_MAX, DIVES_SMALL, DIVES_WORK, NOTHING, OVERLOAD_OVER_COST, PIVOTS_MAX,
        SMALL_NODES, UNEVEN,
    },
    flow::Flow,
    pool::Move,
    rates::gain_min,
    simplex::{Program, Rows, Solved},
};
use crate::planner::{
    amounts::{
        Amounts,
        Dimension::{self, Cpu, Memory},
    },
    figures,
    policy::Strategy,
};

/// The optimum of the divided VMs.
pub(super) struct Ideal {
    /// No plan leaves less.
    pub overload: f64,
    /// No plan that leaves as little costs less, if it is for relief alone.
    pub cost: f64,
    /// The moves, rounded: some targets may be overfilled.
    pub moves: Vec<Move>,
    /// Moves of whole VMs, found by rounding one number after the other, each time with the optimum of the rest.
    pub whole: Vec<Vec<Move>>,
}

/// The optimum of the divided VMs before anything is rounded.
pub(super) struct Relaxed {
    model: Model,
    solved: Solved,
    /// No plan leaves less.
    pub overload: f64,
    cost: f64,
}

/// Returns the optimum of a small cluster with at most so many moves, in which VMs are divided.
pub(super) fn relaxed(flow: &Flow<'_, '_>, moves_max: usize, aim: Strategy) -> Option<Relaxed> {
    let model = Model::new(flow, &|_| true, moves_max, aim);
    if model.cells() > CELLS_IDEAL {
        return None;
    }
    let solved = model.program(flow).solve(PIVOTS_MAX)?;
    let values = solved.values();
    let cost = model.slots.iter().zip(&values).map(|(slot, count)| count * flow.pool.class(*slot).cost).sum();
    let left = &values[model.left()..];
    let overload = left.iter().zip(&model.rows).filter(|(_, row)| row.hot).map(|(left, _)| left).sum();
    Some(Relaxed { model, solved, overload, cost })
}

impl Relaxed {
    /// Rounds it to whole VMs.
    pub(super) fn ideal(&self, flow: &Flow<'_, '_>) -> Ideal {
        let whole = self.model.whole(flow, &self.solved);
        let moves = self.model.counts(flow, &self.solved.values()).moves(flow);
        Ideal { overload: self.overload, cost: self.cost, moves, whole }
    }
}

/// Deals anew what leaves and comes to some nodes; the others keep what a set of moves gives and takes there. Also tells
/// how much work that was: the cells of the program times its rows.
pub(super) fn redealt(
    flow: &Flow<'_, '_>,
    is_free: &[bool],
    moves_max: usize,
    aim: Strategy,
    seed: u64,
) -> (Option<Vec<Move>>, usize) {
    let mut model = Model::new(flow, &|node| is_free[node], moves_max, aim);
    // Who receives may not stay over. Half of the time only those take part that receive already.
    let starts_over = |node: usize| flow.board.nodes[node].is_over(&flow.board.nodes[node].start);
    let begins = |node: usize| flow.overload_of(node) <= 0.0 && seed.is_multiple_of(2);
    model.takers.retain(|node| !starts_over(*node) || flow.arrivals[*node] > 0 || begins(*node));
    for row in model.rows.iter_mut().filter(|row| row.hot && model.takers.contains(&row.node)) {
        let facts = &flow.board.nodes[row.node];
        row.right = row.resource.map_or(0.0, |r| facts.ceiling[r].excess(facts.start[r]) as f64 * row.scale);
    }
    let cells = model.cells();
    let work = cells * cells / model.width();
    if cells > CELLS_IDEAL { (None, 0) } else { (model.dealt(flow, seed), work) }
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

/// How full a node is by one resource, in pieces, each dearer than the one before.
struct Fullness {
    node: usize,
    resource: Dimension,
    used: f64,
    /// How long each piece is, and what a unit of it costs.
    pieces: Vec<(f64, f64)>,
}

struct Model {
    kinds: usize,
    /// What may leave, and where to: only of nodes that are dealt.
    slots: Vec<usize>,
    takers: Vec<usize>,
    rows: Vec<Row>,
    fullness: Vec<Fullness>,
    /// Of each kind, how many more the other nodes take than they give.
    due: Vec<f64>,
    limit: Option<f64>,
    /// What leaves and comes at the other nodes.
    kept: Counts,
}

impl Model {
    fn new(flow: &Flow<'_, '_>, is_free: &dyn Fn(usize) -> bool, moves_max: usize, aim: Strategy) -> Self {
        let (board, pool) = (flow.board, flow.pool);
        let free: Vec<usize> = (0..board.nodes.len()).filter(|node| is_free(*node)).collect();
        let slots: Vec<usize> = free.iter().flat_map(|node| &pool.slots_on[*node]).copied().collect();
        let takers = free.iter().copied().filter(|n| board.nodes[*n].target.is_ok()).collect();
        let mut kept = Counts::new(flow);
        let mut due = vec![0.0; pool.classes.len()];
        for mv in &flow.moves {
            let (slot, kind) = (&pool.slots[mv.slot], pool.slots[mv.slot].class);
            if !is_free(slot.node) {
                kept.out[mv.slot] += 1.0;
                due[kind] -= 1.0;
            }
            if !is_free(mv.target) {
                kept.into[kind][mv.target] += 1.0;
                due[kind] += 1.0;
            }
        }
        let gone: f64 = kept.out.iter().sum();
        Self {
            kinds: pool.classes.len(),
            slots,
            takers,
            rows: free.iter().flat_map(|node| rows(flow, *node)).collect(),
            fullness: if aim == Strategy::Level { fullness(flow, &free) } else { Vec::new() },
            due,
            limit: (moves_max != usize::MAX).then_some(moves_max as f64 - gone),
            kept,
        }
    }

    fn cells(&self) -> usize {
        self.width() * (self.kinds + self.rows.len() + self.fullness.len() + 1)
    }

    // Columns: what leaves each slot, what comes to each taker by kind, what each row has left, what it has above, one
    // that stays 0 for each kind, what is left of the limit, and the pieces of fullness.

    fn left(&self) -> usize {
        self.slots.len() + self.kinds * self.takers.len()
    }

    fn count_fixed(&self) -> usize {
        self.left() + 2 * self.rows.len()
    }

    fn width(&self) -> usize {
        self.count_fixed() + self.kinds + 1 + self.fullness.iter().map(|of| of.pieces.len()).sum::<usize>()
    }

    fn program(&self, flow: &Flow<'_, '_>) -> Program {
        let (pool, width) = (flow.pool, self.width());
        let (left, fixed) = (self.left(), self.count_fixed());
        let spare = left + self.rows.len();
        let mut most = vec![f64::INFINITY; width];
        let mut cost = vec![0.0; width];
        for (column, slot) in self.slots.iter().enumerate() {
            most[column] = pool.slots[*slot].vms.len() as f64;
            cost[column] = pool.class(*slot).cost;
        }
        let (mut rows, mut right, mut basis) = (Rows::new(width), Vec::new(), Vec::new());
        for (index, row) in self.rows.iter().enumerate() {
            // A hot row reads: what leaves - what comes + what is left over - what there is room = over.
            let sign = if row.hot { -1.0 } else { 1.0 };
            let mut values = self.changes(flow, row.node, |needs| sign * row.takes(needs));
            values[left + index] = 1.0;
            cost[left + index] = if row.hot { OVERLOAD_OVER_COST } else { 0.0 };
            if row.hot {
                values[spare + index] = -1.0;
            }
            rows.push(&values);
            right.push(row.right);
            basis.push(left + index);
        }
        for (kind, due) in self.due.iter().enumerate() {
            // What leaves and does not come is due elsewhere.
            let sign = if *due < 0.0 { -1.0 } else { 1.0 };
            let mut values = vec![0.0; width];
            let of_kind = |slot: &usize| pool.slots[*slot].class == kind;
            let leaving = self.slots.iter().enumerate().filter(|(_, slot)| of_kind(slot));
            leaving.for_each(|(column, _)| values[column] = sign);
            (0..self.takers.len()).for_each(|taker| values[self.come(kind, taker)] = -sign);
            values[fixed + kind] = 1.0;
            most[fixed + kind] = due.abs();
            cost[fixed + kind] = if *due == 0.0 { 0.0 } else { 100.0 * OVERLOAD_OVER_COST };
            rows.push(&values);
            right.push(due.abs());
            basis.push(fixed + kind);
        }
        if let Some(limit) = self.limit {
            let mut values = vec![0.0; width];
            values[..self.slots.len()].fill(1.0);
            values[fixed + self.kinds] = 1.0;
            rows.push(&values);
            right.push(limit);
            basis.push(fixed + self.kinds);
        }
        let mut piece = fixed + self.kinds + 1;
        for of in &self.fullness {
            // What the pieces hold is what the node holds.
            let per = flow.board.nodes[of.node].per_capacity[of.resource];
            let mut values = self.changes(flow, of.node, |needs| -(needs[of.resource] as f64) * per);
            for (length, price) in &of.pieces {
                (values[piece], most[piece], cost[piece]) = (1.0, *length, *price);
                piece += 1;
            }
            rows.push(&values);
            right.push(of.used);
            // The last piece has no end, so it can hold all at first.
            basis.push(piece - 1);
        }
        Program { most, cost, rows, right, basis }
    }

    /// A row with what each VM that comes to a node adds to it, and each that leaves takes off it.
    fn changes(&self, flow: &Flow<'_, '_>, node: usize, of: impl Fn(Amounts) -> f64) -> Vec<f64> {
        let mut values = vec![0.0; self.width()];
        let here = self.slots.iter().enumerate().filter(|(_, slot)| flow.pool.slots[**slot].node == node);
        here.for_each(|(column, slot)| values[column] = -of(flow.pool.class(*slot).needs.as_at_home()));
        if let Some(taker) = self.takers.iter().position(|n| *n == node) {
            let kinds = flow.pool.classes.iter().enumerate();
            kinds.for_each(|(kind, class)| values[self.come(kind, taker)] = of(class.needs));
        }
        values
    }

    fn come(&self, kind: usize, taker: usize) -> usize {
        self.slots.len() + kind * self.takers.len() + taker
    }

    /// The optimum in whole VMs, if rounding leads to one in which every VM that leaves comes somewhere.
    fn dealt(&self, flow: &Flow<'_, '_>, seed: u64) -> Option<Vec<Move>> {
        let solved = self.program(flow).solve(PIVOTS_MAX)?;
        let values = dive::dive(solved, &self.sizes(flow), seed)?;
        let fixed = values[self.count_fixed()..].iter().take(self.kinds);
        if fixed.into_iter().any(|left| *left > 0.5) {
            return None;
        }
        Some(self.counts(flow, &values).moves(flow))
    }

    /// Rounds one after the other, in several ways.
    fn whole(&self, flow: &Flow<'_, '_>, solved: &Solved) -> Vec<Vec<Move>> {
        let closed = self.without_arrivals_at_full_nodes(solved.clone());
        let sizes = self.sizes(flow);
        let most = if flow.board.nodes.len() <= SMALL_NODES { DIVES_SMALL } else { DIVES_MAX };
        let runs = (DIVES_WORK / self.cells().max(1)).clamp(1, most) as u64;
        // Now and then with arrivals at full nodes: some can be emptied enough to receive.
        let from = |seed: u64| if seed % 3 == 2 { solved.clone() } else { closed.clone() };
        let found = (0..runs).filter_map(|seed| dive::dive(from(seed), &sizes, seed));
        found.map(|values| self.counts(flow, &values).moves(flow)).collect()
    }

    /// What the VMs of each column that counts VMs cost.
    fn sizes(&self, flow: &Flow<'_, '_>) -> Vec<f64> {
        let leaving = self.slots.iter().map(|slot| flow.pool.slots[*slot].class);
        let coming = (0..self.kinds).flat_map(|kind| std::iter::repeat_n(kind, self.takers.len()));
        leaving.chain(coming).map(|kind| flow.pool.classes[kind].cost).collect()
    }

    /// Who receives may not stay over: a node that stays over in the optimum receives nothing.
    fn without_arrivals_at_full_nodes(&self, mut solved: Solved) -> Solved {
        for (index, row) in self.rows.iter().enumerate().filter(|(_, row)| row.hot) {
            let Some(taker) = self.takers.iter().position(|n| *n == row.node) else { continue };
            if solved.values()[self.left() + index] < NOTHING {
                continue;
            }
            for kind in 0..self.kinds {
                solved.bound(self.come(kind, taker), 0.0, 0.0, PIVOTS_MAX);
            }
        }
        solved
    }

    /// What leaves and comes, with what is kept.
    fn counts(&self, flow: &Flow<'_, '_>, values: &[f64]) -> Counts {
        let mut counts = Counts { out: self.kept.out.clone(), into: self.kept.into.clone() };
        self.slots.iter().zip(values).for_each(|(slot, count)| counts.out[*slot] += count);
        for kind in 0..flow.pool.classes.len() {
            for (taker, node) in self.takers.iter().enumerate() {
                counts.into[kind][*node] += values[self.come(kind, taker)];
            }
        }
        counts
    }
}

/// The limits of a node.
fn rows(flow: &Flow<'_, '_>, node: usize) -> Vec<Row> {
    let facts = &flow.board.nodes[node];
    let limited = Dimension::ALL.into_iter().filter_map(|r| {
        let used = facts.start[r];
        let over = facts.overload_in(r, used);
        let (resource, most) = (Some(r), facts.ceiling[r].value());
        match most {
            _ if over > 0.0 => {
                Some(Row { node, resource, hot: true, scale: facts.per_threshold[r], right: over })
            }
            Some(most) => {
                let right = (most - used).max(0) as f64 * facts.per_ceiling[r];
                Some(Row { node, resource, hot: false, scale: facts.per_ceiling[r], right })
            }
            None => None,
        }
    });
    let places = facts.room.room(facts.start_count);
    let row = |places: i64| Row { node, resource: None, hot: false, scale: 1.0, right: places.max(0) as f64 };
    limited.chain(places.map(row)).collect()
}

/// How full nodes are, with what that costs: the imbalance squared at its exchange rate, in straight pieces.
fn fullness(flow: &Flow<'_, '_>, nodes: &[usize]) -> Vec<Fullness> {
    let board = flow.board;
    let rate = gain_min(board);
    let mut all = Vec::new();
    for resource in [Memory, Cpu] {
        let counts = || (0..board.nodes.len()).filter(|n| figures::takes_part(board, *n));
        let per = |n: usize| board.nodes[n].per_capacity[resource];
        let capacity: f64 = counts().map(|n| board.nodes[n].has(resource) as f64).sum();
        let whole: f64 = counts()
            .map(|n| board.nodes[n].has(resource) as f64 * board.nodes[n].start[resource] as f64 * per(n))
            .sum();
        let mean = whole / capacity;
        for &node in nodes.iter().filter(|n| figures::takes_part(board, **n) && per(**n) > 0.0) {
            let weight = 0.5 * board.nodes[node].has(resource) as f64 / capacity / rate;
            let price = |from: f64, to: f64| weight * (from + to - 2.0 * mean);
            let away = UNEVEN.into_iter().rev().map(|away| mean - away).chain(UNEVEN.map(|away| mean + away));
            let ends: Vec<f64> = std::iter::once(0.0).chain(away.filter(|end| *end > 0.0)).collect();
            let mut pieces: Vec<_> =
                ends.windows(2).map(|ends| (ends[1] - ends[0], price(ends[0], ends[1]))).collect();
            let last = ends[ends.len() - 1];
            pieces.push((f64::INFINITY, price(last, last + 1.0)));
            all.push(Fullness {
                node,
                resource,
                used: board.nodes[node].start[resource] as f64 * per(node),
                pieces,
            });
        }
    }
    all
}

/// How many VMs leave each slot, and how many of each kind come to each node.
struct Counts {
    out: Vec<f64>,
    into: Vec<Vec<f64>>,
}

impl Counts {
    fn new(flow: &Flow<'_, '_>) -> Self {
        let into = vec![vec![0.0; flow.board.nodes.len()]; flow.pool.classes.len()];
        Self { out: vec![0.0; flow.pool.slots.len()], into }
    }

    /// Whole VMs: of each kind as many as rounding gives leave and come, those with the largest fractions first.
    fn moves(&self, flow: &Flow<'_, '_>) -> Vec<Move> {
        let mut moves = Vec::new();
        let mut of_kind: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (slot, what) in flow.pool.slots.iter().enumerate() {
            of_kind.entry(what.class).or_default().push(slot);
        }
        for (kind, slots) in of_kind {
            let out: Vec<f64> = slots.iter().map(|slot| self.out[*slot]).collect();
            let total = out.iter().sum::<f64>().round() as usize;
            let mut targets = whole(&self.into[kind], total);
            for (slot, count) in slots.iter().zip(whole(&out, total)) {
                for _ in 0..count.min(flow.pool.slots[*slot].vms.len()) {
                    let open = (0..targets.len()).find(|t| targets[*t] > 0 && flow.may_meet(*slot, *t));
                    let Some(target) = open else { break };
                    targets[target] -= 1;
                    moves.push(Move { slot: *slot, target });
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
