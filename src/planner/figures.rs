//! What a placement amounts to: overload, imbalance, and the figures that sum a cluster up.

use super::{
    amounts::{
        Amounts, Dimension,
        Dimension::{Cpu, Load, Memory},
        share,
    },
    board::{Board, Placement},
    plan::{Excess, Figures, Fullness, Resource},
};

/// Returns every resource of a node that is over its threshold.
pub(super) fn excesses(board: &Board<'_>, node: usize, used: &Amounts) -> Vec<Excess> {
    let facts = &board.nodes[node];
    let over = Dimension::ALL.into_iter().filter(|r| facts.over[*r].is_exceeded_by(used[*r]));
    over.map(|r| {
        let (resource, threshold) = facts.threshold(r, board.policy);
        Excess { resource, value: value(board, node, used, resource), threshold: threshold.overload }
    })
    .collect()
}

/// Returns how much of a resource a node uses, in the unit of its threshold.
pub(super) fn value(board: &Board<'_>, node: usize, used: &Amounts, resource: Resource) -> f64 {
    let r = match resource {
        Resource::Memory => Memory,
        Resource::Cpu => Cpu,
        Resource::Load => Load,
    };
    share(used[r], board.nodes[node].has(r)) * r.scale()
}

/// Returns the overload that is left: by how much of their thresholds all nodes that count exceed them.
pub(super) fn overload(board: &Board<'_>, placement: &Placement) -> f64 {
    board.nodes.iter().zip(&placement.used).map(|(node, used)| node.overload(used)).sum()
}

/// Sums a cluster up.
pub(super) fn figures(board: &Board<'_>, placement: &Placement) -> Figures {
    let known = || (0..board.nodes.len()).filter(|n| board.nodes[*n].known);
    let fullest = |read: fn(&Fullness) -> f64| {
        known().map(|n| read(&board.fullness(n, placement.used[n]))).fold(0.0, f64::max)
    };
    Figures {
        overloaded: known().filter(|n| board.nodes[*n].is_over(&placement.used[*n])).count(),
        memory_percent_max: fullest(|at| at.memory_percent),
        cpu_max: fullest(|at| at.cpu),
        imbalance: imbalance(board, &placement.used),
    }
}

/// The contract's imbalance over the nodes that take part: capacity known, not in maintenance.
pub(super) fn imbalance(board: &Board<'_>, used: &[Amounts]) -> f64 {
    imbalance_squared(board, used).sqrt()
}

/// The mean over memory and Cpu of the capacity-weighted variance of use / (capacity × overload threshold).
pub(super) fn imbalance_squared(board: &Board<'_>, used: &[Amounts]) -> f64 {
    let total: f64 = [(Memory, board.policy.memory), (Cpu, board.policy.cpu)]
        .into_iter()
        .map(|(r, threshold)| {
            let taking_part = || (0..board.nodes.len()).filter(|n| takes_part(board, *n));
            let capacity: f64 = taking_part().map(|n| board.nodes[n].has(r) as f64).sum();
            let mean = taking_part().map(|n| used[n][r] as f64).sum::<f64>() / capacity;
            let variance: f64 = taking_part()
                .map(|n| {
                    let own = board.nodes[n].has(r) as f64;
                    own / capacity * (used[n][r] as f64 / own - mean).powi(2)
                })
                .sum();
            let unit = threshold.overload / r.scale();
            if capacity > 0.0 && unit > 0.0 { variance / (unit * unit) } else { 0.0 }
        })
        .sum();
    total / 2.0
}

/// Tells whether a node counts in the imbalance.
pub(super) fn takes_part(board: &Board<'_>, node: usize) -> bool {
    board.nodes[node].known && !board.nodes[node].info.maintenance
}
