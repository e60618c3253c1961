//! What a move does to the imbalance, and how much of that its cost is worth.

use super::effort::GAIN_MIN;
use crate::planner::{
    amounts::{
        Amounts,
        Dimension::{self, Cpu, Memory},
        PerResource,
    },
    board::Board,
    figures,
};

/// The exchange rates of the imbalance, from which the change of a move follows without looking at other nodes.
pub(super) struct Rates {
    /// Half of 1 / (total capacity × threshold), for memory and Cpu; the other threshold is in `per_capacity`.
    weight: PerResource<f64>,
}

impl Rates {
    pub(super) fn new(board: &Board<'_>) -> Self {
        let rate = |r: Dimension, threshold: f64| {
            let taking_part = (0..board.nodes.len()).filter(|n| figures::takes_part(board, *n));
            let total: f64 = taking_part.map(|n| board.nodes[n].has(r) as f64).sum();
            let unit = threshold / r.scale();
            if total > 0.0 && unit > 0.0 { 0.5 / (total * unit) } else { 0.0 }
        };
        let (memory, cpu) = (board.policy.memory.overload, board.policy.cpu.overload);
        let weight = PerResource::of(|r| match r {
            Memory => rate(Memory, memory),
            Cpu => rate(Cpu, cpu),
            _ => 0.0,
        });
        Self { weight }
    }

    /// By how much the imbalance squared falls when these needs go from one node to another.
    ///
    /// Exact as long as both take part: the capacity-weighted mean does not change.
    pub(super) fn gain(
        &self,
        board: &Board<'_>,
        used: &[Amounts],
        needs: Amounts,
        from: usize,
        to: usize,
    ) -> f64 {
        if !figures::takes_part(board, from) || !figures::takes_part(board, to) {
            return 0.0;
        }
        self.leaving(board, used, needs, from) - self.arriving(board, used, needs, to)
    }

    /// What leaving a node contributes to the gain.
    pub(super) fn leaving(&self, board: &Board<'_>, used: &[Amounts], needs: Amounts, node: usize) -> f64 {
        self.sum(board, node, |r| (needs[r], 2 * used[node][r] - needs[r]))
    }

    /// What arriving on a node takes off the gain.
    pub(super) fn arriving(&self, board: &Board<'_>, used: &[Amounts], needs: Amounts, node: usize) -> f64 {
        self.sum(board, node, |r| (needs[r], 2 * used[node][r] + needs[r]))
    }

    fn sum(&self, board: &Board<'_>, node: usize, of: impl Fn(Dimension) -> (i64, i64)) -> f64 {
        let per_capacity = &board.nodes[node].per_capacity;
        let term = |r: Dimension| {
            let (needs, twice) = of(r);
            self.weight[r] * needs as f64 * twice as f64 * per_capacity[r]
        };
        term(Memory) + term(Cpu)
    }
}

/// The least gain for a unit of cost in this cluster.
pub(super) fn gain_min(board: &Board<'_>) -> f64 {
    let memory: i64 = (0..board.nodes.len())
        .filter(|n| figures::takes_part(board, *n))
        .map(|n| board.nodes[n].has(Memory))
        .sum();
    if memory > 0 { GAIN_MIN * 1024.0 / memory as f64 } else { f64::INFINITY }
}
