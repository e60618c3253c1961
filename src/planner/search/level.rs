//! Evening out: what a move does to the imbalance, and moves that lower it.

use crate::planner::{
    board::{Board, Placement},
    load::{self, CPU, MEMORY, SCALE},
};

/// The exchange rates of the imbalance, from which the change of a move follows without looking at other nodes.
pub struct Rates {
    /// 1 / (total capacity × threshold²) / 2, for memory and CPU.
    weight: [f64; 2],
}

impl Rates {
    pub fn new(board: &Board<'_>) -> Self {
        let rate = |r: usize, threshold: f64| {
            let taking_part = (0..board.nodes.len()).filter(|n| load::takes_part(board, *n));
            let total: f64 = taking_part.map(|n| board.nodes[n].capacity[r] as f64).sum();
            let unit = threshold / SCALE[r];
            if total > 0.0 && unit > 0.0 { 0.5 / (total * unit * unit) } else { 0.0 }
        };
        Self {
            weight: [rate(MEMORY, board.policy.memory.overload), rate(CPU, board.policy.cpu.overload)],
        }
    }

    /// By how much the imbalance squared falls when these needs go from one node to another.
    ///
    /// Exact as long as both take part: the capacity-weighted mean does not change.
    pub fn gain(&self, board: &Board<'_>, used: &[load::Amounts], needs: load::Amounts, from: usize, to: usize) -> f64 {
        if !load::takes_part(board, from) || !load::takes_part(board, to) {
            return 0.0;
        }
        let of = |r: usize| {
            let d = needs[r] as f64;
            let (a, b) = (&board.nodes[from].capacity, &board.nodes[to].capacity);
            let relieved = (2.0 * used[from][r] as f64 - d) / a[r] as f64;
            let filled = (2.0 * used[to][r] as f64 + d) / b[r] as f64;
            self.weight[r] * d * (relieved - filled)
        };
        of(MEMORY) + of(CPU)
    }
}

/// By how much a step lowers the imbalance squared.
pub fn gain(board: &Board<'_>, placement: &Placement, vm: usize, target: usize) -> f64 {
    Rates::new(board).gain(board, &placement.used, board.vms[vm].needs, placement.at[vm], target)
}
