//! What a list of steps reaches, and which of two is better.

use super::{effort::NOTHING, rates::gain_min};
use crate::planner::{amounts::Amounts, board::Board, figures, policy::Strategy, step::Step};

/// What is compared where the overload is the same: cost, or imbalance with cost at its exchange rate.
pub(super) fn rest(board: &Board<'_>, used: &[Amounts], cost: f64) -> f64 {
    match board.policy.strategy {
        Strategy::Relieve => cost,
        Strategy::Level => figures::imbalance_squared(board, used) + gain_min(board) * cost,
    }
}

/// Steps with what they reach.
pub(super) struct Outcome {
    pub steps: Vec<Step>,
    pub overload: f64,
    pub cost: f64,
    pub rest: f64,
}

impl Outcome {
    pub(super) fn of(board: &Board<'_>, steps: Vec<Step>) -> Self {
        let mut end = board.start();
        for step in &steps {
            board.apply(&mut end, step.vm, step.target);
        }
        let cost: f64 = steps.iter().map(|step| board.cost(step.vm)).sum();
        Self { overload: figures::overload(board, &end), rest: rest(board, &end.used, cost), cost, steps }
    }

    pub(super) fn beats(&self, other: &Self) -> bool {
        let overload = self.overload - other.overload;
        overload < -NOTHING || (overload < NOTHING && self.rest < other.rest - NOTHING)
    }

    pub(super) fn better(self, other: Self) -> Self {
        if other.beats(&self) { other } else { self }
    }
}
