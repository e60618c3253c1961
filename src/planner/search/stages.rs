//! Moves in stages: a linear program over a few stages of which each runs as it is, because what arrives in it fits before
//! anybody leaves. It sees that room must be made first, with moves that gain nothing by themselves: a node gives small VMs
//! with many vCPUs, takes one with much memory, and what that leaves free lets the next ones go.
//!
//! What the program moves is rounded and carried out as far as it runs, and then it is made anew from there.

use super::{
    dive,
    effort::{
        CELLS_STAGED, NOTHING, OVERLOAD_OVER_COST, PIVOTS_STAGED, ROLLS_MAX, STAGE_LATER, STAGED_WORK,
        STAGES, STAGINGS,
    },
    flow::Flow,
    pool::Move,
    simplex::{Program, Rows},
};
use crate::{
    model::dice::Dice,
    planner::amounts::{Amounts, Dimension},
};

/// Returns moves in an order in which they run: the best of several numbers of stages and ways to round. Nodes that are
/// over receive only where they do in `wanted`.
pub(super) fn staged<'a, 'b>(wanted: &Flow<'a, 'b>, moves_max: usize) -> Flow<'a, 'b> {
    let mut best = Flow::new(wanted.board, wanted.pool);
    let mut work = 0;
    for seed in 0..STAGINGS {
        if work > STAGED_WORK {
            break;
        }
        let found = rolled(wanted, seed, moves_max, &mut work);
        if before(&found, &best) {
            best = found;
        }
    }
    best
}

/// Makes the program and carries it out, again and again, each time from where that leads to.
fn rolled<'a, 'b>(wanted: &Flow<'a, 'b>, seed: u64, moves_max: usize, work: &mut usize) -> Flow<'a, 'b> {
    let mut flow = Flow::new(wanted.board, wanted.pool);
    let mut best = flow.clone();
    for _ in 0..ROLLS_MAX {
        let Some(model) = Model::new(&flow, wanted, seed, moves_max) else { break };
        *work += model.width() * model.height() * model.height();
        let Some(stages) = model.solved(&flow, seed) else { break };
        let made = flow.moves.len();
        for stage in &stages {
            carry_out(&mut flow, stage, moves_max);
            if before(&flow, &best) {
                best.clone_from(&flow);
            }
        }
        if flow.moves.len() == made || flow.overload() <= NOTHING {
            break;
        }
    }
    best
}

/// Tells whether one leaves less overload than the other, or as little at less cost.
fn before(one: &Flow<'_, '_>, other: &Flow<'_, '_>) -> bool {
    let overload = one.overload() - other.overload();
    overload < -NOTHING || (overload < NOTHING && one.cost < other.cost - NOTHING)
}

/// How many VMs leave each slot in a stage, and how many of each kind come to each node.
struct Stage {
    out: Vec<f64>,
    into: Vec<Vec<f64>>,
}

/// Makes moves until as many have left and come as a stage says, rounded, or nothing fits.
fn carry_out(flow: &mut Flow<'_, '_>, stage: &Stage, moves_max: usize) {
    let due = |amounts: &[f64]| amounts.iter().map(|amount| amount.round() as i64).collect::<Vec<_>>();
    let mut out = due(&stage.out);
    let mut into: Vec<Vec<i64>> = stage.into.iter().map(|of_kind| due(of_kind)).collect();
    loop {
        let made = flow.moves.len();
        for (slot, leaving) in out.iter_mut().enumerate() {
            for (target, coming) in into[flow.pool.slots[slot].class].iter_mut().enumerate() {
                while *leaving > 0
                    && *coming > 0
                    && flow.moves.len() < moves_max
                    && flow.available(slot)
                    && flow.fits(slot, target)
                {
                    flow.add(Move { slot, target });
                    *leaving -= 1;
                    *coming -= 1;
                }
            }
        }
        if flow.moves.len() == made {
            return;
        }
    }
}

struct Model {
    kinds: usize,
    stages: usize,
    slots: Vec<usize>,
    /// Nodes that receive, and from which stage on.
    takers: Vec<(usize, usize)>,
    limits: Vec<Limit>,
    /// How many moves there may still be.
    moves_max: Option<f64>,
}

/// One resource of a node in one stage.
struct Limit {
    node: usize,
    resource: Option<Dimension>,
    /// What has left in stages before this one counts.
    left_before: usize,
    /// What has come up to and with this stage counts.
    come_to: usize,
    /// How much it weighs if it is over; nothing if it must not be.
    price: Option<f64>,
    scale: f64,
    /// What fits, or by how much it is over.
    right: f64,
}

impl Model {
    /// The program from where a set of moves leads to, if it is not too large.
    fn new(flow: &Flow<'_, '_>, wanted: &Flow<'_, '_>, seed: u64, moves_max: usize) -> Option<Self> {
        let (board, pool) = (flow.board, flow.pool);
        let nodes = 0..board.nodes.len();
        let slots: Vec<usize> = (0..pool.slots.len()).filter(|slot| flow.available(*slot)).collect();
        let mut dice = Dice::new(seed);
        let stages = 2 + dice.below(STAGES - 1);
        // Which of the nodes that are over receive is left to chance, and from when on.
        let mut from = |node: usize| match flow.overload_of(node) > 0.0 {
            true if wanted.arrivals[node] > 0 => 1 + dice.below(stages),
            true => stages,
            false => 0,
        };
        let open = nodes.clone().filter(|node| board.nodes[*node].target.is_ok());
        let takers: Vec<_> = open.map(|node| (node, from(node))).filter(|(_, from)| *from < stages).collect();
        let mut limits = Vec::new();
        for &(node, from) in &takers {
            limits.extend((from..stages).flat_map(|stage| rooms(flow, node, stage)));
        }
        limits.extend(nodes.flat_map(|node| overloads(flow, node, stages)));
        let moves_max = (moves_max != usize::MAX).then(|| moves_max.saturating_sub(flow.moves.len()) as f64);
        let model = Self { kinds: pool.classes.len(), stages, slots, takers, limits, moves_max };
        (model.width() * model.height() <= CELLS_STAGED).then_some(model)
    }

    // Columns: what leaves each slot, stage by stage; what comes of each kind to each taker, stage by stage; what is left of
    // each slot; what each limit has left, and what it has above; one that stays 0 for each kind and stage; what is left
    // of the moves.

    fn out(&self, slot: usize, stage: usize) -> usize {
        stage * self.slots.len() + slot
    }

    fn come(&self, kind: usize, taker: usize, stage: usize) -> usize {
        self.stages * self.slots.len() + (stage * self.kinds + kind) * self.takers.len() + taker
    }

    fn stays(&self) -> usize {
        self.come(0, 0, self.stages)
    }

    fn left(&self) -> usize {
        self.stays() + self.slots.len()
    }

    fn fixed(&self) -> usize {
        self.left() + 2 * self.limits.len()
    }

    fn width(&self) -> usize {
        self.fixed() + self.kinds * self.stages + 1
    }

    fn height(&self) -> usize {
        self.slots.len() + self.limits.len() + self.kinds * self.stages + 1
    }

    /// What each stage of its optimum moves, in whole VMs; `None` where rounding leads to no end.
    fn solved(&self, flow: &Flow<'_, '_>, seed: u64) -> Option<Vec<Stage>> {
        let sizes = self.sizes(flow);
        let values = dive::dive(self.program(flow).solve(PIVOTS_STAGED)?, &sizes, seed)?;
        let mut sums = Stage {
            out: vec![0.0; flow.pool.slots.len()],
            into: vec![vec![0.0; flow.board.nodes.len()]; self.kinds],
        };
        let mut done = Stage { out: sums.out.clone(), into: sums.into.clone() };
        let mut stages = Vec::new();
        for stage in 0..self.stages {
            for (index, slot) in self.slots.iter().enumerate() {
                sums.out[*slot] += values[self.out(index, stage)];
            }
            for kind in 0..self.kinds {
                for (index, (node, _)) in self.takers.iter().enumerate() {
                    sums.into[kind][*node] += values[self.come(kind, index, stage)];
                }
            }
            // Rounded sums: what one stage rounds off comes in a later one.
            let due = |sum: &f64, done: &mut f64| {
                let due = (sum.round() - *done).max(0.0);
                *done += due;
                due
            };
            let out = sums.out.iter().zip(&mut done.out).map(|(sum, done)| due(sum, done)).collect();
            let into = sums.into.iter().zip(&mut done.into);
            let into =
                into.map(|(sums, done)| sums.iter().zip(done).map(|(sum, done)| due(sum, done)).collect());
            stages.push(Stage { out, into: into.collect() });
        }
        Some(stages)
    }

    /// What the VMs of each column that counts VMs cost.
    fn sizes(&self, flow: &Flow<'_, '_>) -> Vec<f64> {
        let leaving = self.slots.iter().map(|slot| flow.pool.slots[*slot].class);
        let coming = (0..self.kinds).flat_map(|kind| std::iter::repeat_n(kind, self.takers.len()));
        let leaving: Vec<usize> = leaving.collect();
        let coming: Vec<usize> = coming.collect();
        let all = leaving.repeat(self.stages).into_iter().chain(coming.repeat(self.stages));
        all.map(|kind| flow.pool.classes[kind].cost).collect()
    }

    fn program(&self, flow: &Flow<'_, '_>) -> Program {
        let (pool, width) = (flow.pool, self.width());
        let mut most = vec![f64::INFINITY; width];
        let mut cost = vec![0.0; width];
        let (mut rows, mut right, mut basis) = (Rows::new(width), Vec::new(), Vec::new());
        for (index, slot) in self.slots.iter().enumerate() {
            let mut values = vec![0.0; width];
            for stage in 0..self.stages {
                values[self.out(index, stage)] = 1.0;
                cost[self.out(index, stage)] = pool.class(*slot).cost * (1.0 + STAGE_LATER * stage as f64);
            }
            values[self.stays() + index] = 1.0;
            rows.push(&values);
            right.push((pool.slots[*slot].vms.len() - flow.taken[*slot] as usize) as f64);
            basis.push(self.stays() + index);
        }
        for (taker, (node, from)) in self.takers.iter().enumerate() {
            for kind in 0..self.kinds {
                let of_kind =
                    |slot: &&usize| pool.slots[**slot].class == kind && flow.may_meet(**slot, *node);
                let none = !self.slots.iter().any(|slot| of_kind(&slot));
                let closed = if none { self.stages } else { *from };
                (0..closed).for_each(|stage| most[self.come(kind, taker, stage)] = 0.0);
            }
        }
        for (index, limit) in self.limits.iter().enumerate() {
            let sign = if limit.price.is_some() { -1.0 } else { 1.0 };
            let takes = |needs: Amounts| limit.resource.map_or(1.0, |r| needs[r] as f64 * limit.scale);
            let mut values = vec![0.0; width];
            for (column, slot) in self.slots.iter().enumerate() {
                if pool.slots[*slot].node == limit.node {
                    let needs = pool.class(*slot).needs.as_at_home();
                    (0..limit.left_before)
                        .for_each(|stage| values[self.out(column, stage)] = -sign * takes(needs));
                }
            }
            if let Some(taker) = self.takers.iter().position(|(node, _)| *node == limit.node) {
                for (kind, class) in pool.classes.iter().enumerate() {
                    let stages = 0..limit.come_to;
                    stages
                        .for_each(|stage| values[self.come(kind, taker, stage)] = sign * takes(class.needs));
                }
            }
            values[self.left() + index] = 1.0;
            cost[self.left() + index] = limit.price.unwrap_or(0.0);
            let above = self.left() + self.limits.len() + index;
            match limit.price {
                Some(_) => values[above] = -1.0,
                None => most[above] = 0.0,
            }
            rows.push(&values);
            right.push(limit.right);
            basis.push(self.left() + index);
        }
        for kind in 0..self.kinds {
            for stage in 0..self.stages {
                let mut values = vec![0.0; width];
                for (column, slot) in self.slots.iter().enumerate() {
                    if pool.slots[*slot].class == kind {
                        values[self.out(column, stage)] = 1.0;
                    }
                }
                (0..self.takers.len()).for_each(|taker| values[self.come(kind, taker, stage)] = -1.0);
                let fixed = self.fixed() + kind * self.stages + stage;
                (values[fixed], most[fixed]) = (1.0, 0.0);
                rows.push(&values);
                right.push(0.0);
                basis.push(fixed);
            }
        }
        if let Some(moves_max) = self.moves_max {
            let mut values = vec![0.0; width];
            values[..self.stages * self.slots.len()].fill(1.0);
            values[width - 1] = 1.0;
            rows.push(&values);
            right.push(moves_max);
            basis.push(width - 1);
        }
        Program { most, cost, rows, right, basis }
    }
}

/// What arrives in a stage fits before anybody leaves in it. A node that is over must be clear before; to be so costs as
/// much as overload, since the program cannot ask whether somebody arrives at all.
fn rooms(flow: &Flow<'_, '_>, node: usize, stage: usize) -> Vec<Limit> {
    let facts = &flow.board.nodes[node];
    let used = flow.used[node];
    let at = |resource, price, scale, right| Limit {
        node,
        resource,
        left_before: stage,
        come_to: stage + 1,
        price,
        scale,
        right,
    };
    let limited = Dimension::ALL.into_iter().filter_map(|r| {
        let most = facts.ceiling[r].value()?;
        let over = facts.ceiling[r].excess(used[r]) as f64;
        let scale = facts.per_ceiling[r];
        Some(match over > 0.0 {
            true => at(Some(r), Some(OVERLOAD_OVER_COST), scale, over * scale),
            false => at(Some(r), None, scale, (most - used[r]) as f64 * scale),
        })
    });
    let seats = facts.room.room(flow.count(node)).map(|seats| at(None, None, 1.0, seats.max(0) as f64));
    limited.chain(seats).collect()
}

/// What is over at the end.
fn overloads(flow: &Flow<'_, '_>, node: usize, stages: usize) -> Vec<Limit> {
    let (facts, used) = (&flow.board.nodes[node], flow.used[node]);
    let over = |r: &Dimension| facts.overload_in(*r, used[*r]) > 0.0;
    let limit = |r: Dimension| Limit {
        node,
        resource: Some(r),
        left_before: stages,
        come_to: stages,
        price: Some(OVERLOAD_OVER_COST),
        scale: facts.per_threshold[r],
        right: facts.overload_in(r, used[r]),
    };
    Dimension::ALL.into_iter().filter(over).map(limit).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{
        model::{ClusterId, ClusterInfo, Mib, NodeId, NodeInfo, Snapshot, VmId, VmInfo},
        planner::{
            board::Board,
            policy::{Policy, Threshold},
            search::pool::Pool,
        },
    };

    #[test]
    fn room_is_made_with_moves_that_gain_nothing_by_themselves() {
        // Node 2 is over by memory. Node 3 could take a VM of it once a large one has left for node 1, and that has no vCPU
        // for it before one of its small ones has left for node 3.
        let sizes = [(1, 1, 1, 32), (2, 4, 16, 4), (3, 2, 8, 1), (3, 1, 37, 1)];
        let mut snapshot = Snapshot::empty(DateTime::UNIX_EPOCH);
        snapshot.clusters.push(ClusterInfo::new(ClusterId(1), "msk"));
        for (node, cores, gib) in [(1, 8, 256), (2, 16, 64), (3, 16, 64)] {
            let here = || sizes.iter().filter(move |(on, ..)| *on == node);
            let vcpus = here().map(|(_, vcpus, _, count)| vcpus * count).sum();
            let memory = here().map(|(_, _, gib, count)| u64::from(gib * count) * 1024).sum();
            let info = NodeInfo::new(NodeId(node), format!("node-{node}"), ClusterId(1));
            snapshot.nodes.push(info.with_cpu(cores, vcpus).with_memory(Mib(gib * 1024), Mib(memory)));
        }
        for (node, vcpus, gib, count) in sizes {
            for _ in 0..count {
                let id = snapshot.vms.len() as u64;
                let memory = Mib(u64::from(gib) * 1024);
                snapshot.vms.push(VmInfo::new(VmId(id), format!("vm-{id}"), NodeId(node), vcpus, memory));
            }
        }
        let policy = Policy {
            memory: Threshold { overload: 75.0, target: 75.0 },
            cpu: Threshold { overload: 4.0, target: 4.0 },
            ..Policy::default()
        };
        let board = Board::new(&snapshot, &policy, &snapshot.clusters[0]);
        let pool = Pool::new(&board, None);
        let start = Flow::new(&board, &pool);
        assert!(start.overload() > 0.3, "{}", start.overload());
        let found = staged(&start, usize::MAX);
        assert_eq!(found.overload(), 0.0, "{:?}", found.moves);
        // Each move fits at its moment.
        let mut again = Flow::new(&board, &pool);
        for mv in &found.moves {
            assert!(again.available(mv.slot) && again.fits(mv.slot, mv.target));
            again.add(*mv);
        }
        assert_eq!(found.moves.len(), 3, "{:?}", found.moves);
        assert!(staged(&start, 2).moves.len() <= 2);
    }
}
