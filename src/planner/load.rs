//! How full nodes are: amounts, measured load, and the figures that sum a cluster up.
//!
//! Pure arithmetic; knows no rule and no search.

use chrono::{DateTime, Utc};

use super::{
    Excess, Figures, Policy,
    board::{Board, Placement},
};
use crate::model::{NodeInfo, Snapshot, VmInfo};

/// How many dimensions a node's fullness has.
pub(super) const RESOURCES: usize = 3;
/// Memory in MiB.
pub(super) const MEMORY: usize = 0;
/// Allocated vCPUs in millionths.
pub(super) const CPU: usize = 1;
/// Measured load in millionths of a core.
pub(super) const LOAD: usize = 2;
/// Load averages have two decimals and thresholds few more: a millionth keeps every comparison exact in integers.
pub(super) const MICRO: i64 = 1_000_000;
/// Memory is judged in percent, CPU and load per core.
pub(super) const SCALE: [f64; RESOURCES] = [100.0, 1.0, 1.0];

/// An amount of each resource.
pub(super) type Amounts = [i64; RESOURCES];

pub(super) fn plus(a: Amounts, b: Amounts) -> Amounts {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn minus(a: Amounts, b: Amounts) -> Amounts {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// Returns part of whole as a fraction; 0 of nothing is 0.
pub(super) fn share(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part.max(0) as f64 / whole as f64 }
}

/// Returns the largest use of a capacity that is not strictly above a threshold.
pub(super) fn largest_within(capacity: i64, threshold: f64, scale: f64) -> i64 {
    if capacity <= 0 || !threshold.is_finite() {
        return 0;
    }
    let above = |used: i64| used as f64 * scale / capacity as f64 > threshold;
    let mut used = (threshold * capacity as f64 / scale) as i64;
    while above(used) {
        used -= 1;
    }
    while !above(used + 1) {
        used += 1;
    }
    used
}

/// A node's own fresh measurement, in the board's units.
#[derive(Clone, Copy)]
pub(super) struct NodeLoad {
    pub five: i64,
    pub cpus: i64,
    /// Whether enough readings running were over the threshold for overload to count.
    pub persistent: bool,
}

/// What is measured in a cluster, and what that says of VMs which were not.
pub(super) struct Loads {
    nodes: Vec<Option<NodeLoad>>,
    /// Millionths of a core that a vCPU of each measured node stands for.
    per_vcpu: Vec<f64>,
    /// The same over all measured nodes, for VMs that come from elsewhere.
    pub mean_per_vcpu: f64,
    any: bool,
}

impl Loads {
    pub fn new(snapshot: &Snapshot, policy: &Policy, nodes: &[&NodeInfo], vms: &[(&VmInfo, usize)]) -> Self {
        let loads: Vec<_> = nodes.iter().map(|node| fresh_load(node, snapshot.taken_at, policy)).collect();
        let mut vcpus = vec![0u64; nodes.len()];
        for (vm, node) in vms {
            vcpus[*node] += u64::from(vm.cpu_cores);
        }
        let per = |load: i64, vcpus: u64| if vcpus == 0 { 0.0 } else { load as f64 / vcpus as f64 };
        let measured = || loads.iter().zip(&vcpus).filter_map(|(load, vcpus)| Some(((*load)?.five, *vcpus)));
        Self {
            per_vcpu: loads
                .iter()
                .zip(&vcpus)
                .map(|(load, n)| load.map_or(0.0, |l| per(l.five, *n)))
                .collect(),
            mean_per_vcpu: per(measured().map(|(five, _)| five).sum(), measured().map(|(_, n)| n).sum()),
            any: loads.iter().any(Option::is_some),
            nodes: loads,
        }
    }

    pub fn of_node(&self, node: usize) -> Option<NodeLoad> {
        self.nodes[node]
    }

    /// What a VM adds to a measured node: its own fresh measurement, else its share of its node's load.
    pub fn of_vm(&self, vm: &VmInfo, node: usize, now: DateTime<Utc>, policy: &Policy) -> i64 {
        if !self.any {
            return 0;
        }
        let own = vm.measured.as_ref().filter(|own| is_fresh(own.at, now, policy) && own.cores.is_finite());
        if let Some(own) = own {
            return micro(own.cores);
        }
        let per_vcpu = if self.nodes[node].is_some() { self.per_vcpu[node] } else { self.mean_per_vcpu };
        (per_vcpu * f64::from(vm.cpu_cores)).round() as i64
    }
}

/// Returns a node's measurement where there is one that is fresh, on a node whose capacity is known.
pub(super) fn fresh_load(node: &NodeInfo, now: DateTime<Utc>, policy: &Policy) -> Option<NodeLoad> {
    let measured = node.load.as_ref()?;
    let known = node.memory_total.is_some_and(|m| m.0 > 0) && node.cpu_total.is_some_and(|cpus| cpus > 0);
    let cpus = measured.cpus.filter(|cpus| *cpus > 0).or(node.cpu_total).filter(|cpus| *cpus > 0)?;
    if !known || !is_fresh(measured.at, now, policy) || !measured.five.is_finite() {
        return None;
    }
    let over = |five: f64| five / f64::from(cpus) > policy.load.overload;
    let persistent = policy.load_readings < 2 || measured.previous_five.is_some_and(over);
    Some(NodeLoad { five: micro(measured.five), cpus: i64::from(cpus) * MICRO, persistent })
}

fn is_fresh(at: DateTime<Utc>, now: DateTime<Utc>, policy: &Policy) -> bool {
    now - at <= policy.measurement_max_age
}

fn micro(cores: f64) -> i64 {
    (cores.max(0.0) * MICRO as f64).round() as i64
}

/// Returns every resource of a node that is over its threshold.
pub(super) fn excesses(board: &Board<'_>, node: usize, used: &Amounts) -> Vec<Excess> {
    let facts = &board.nodes[node];
    let over = (0..RESOURCES).filter(|r| used[*r] > facts.over[*r]);
    over.map(|r| {
        let (resource, threshold) = facts.threshold(r, board.policy);
        let value = share(used[r], facts.capacity[r]) * SCALE[r];
        Excess { resource, value, threshold: threshold.overload }
    })
    .collect()
}

/// Returns the overload that is left: by how much of their thresholds all nodes that count exceed them.
pub(super) fn overload(board: &Board<'_>, placement: &Placement) -> f64 {
    board.nodes.iter().zip(&placement.used).map(|(node, used)| node.overload(used)).sum()
}

/// Sums a cluster up.
pub(super) fn figures(board: &Board<'_>, placement: &Placement) -> Figures {
    let known = || (0..board.nodes.len()).filter(|n| board.nodes[*n].known);
    let fullest = |read: fn(&super::Fullness) -> f64| {
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

/// The mean over memory and CPU of the capacity-weighted variance of use / (capacity × overload threshold).
pub(super) fn imbalance_squared(board: &Board<'_>, used: &[Amounts]) -> f64 {
    let total: f64 = [(MEMORY, board.policy.memory), (CPU, board.policy.cpu)]
        .into_iter()
        .map(|(r, threshold)| {
            let taking_part = || (0..board.nodes.len()).filter(|n| takes_part(board, *n));
            let capacity: f64 = taking_part().map(|n| board.nodes[n].capacity[r] as f64).sum();
            let mean = taking_part().map(|n| used[n][r] as f64).sum::<f64>() / capacity;
            let variance: f64 = taking_part()
                .map(|n| {
                    let own = board.nodes[n].capacity[r] as f64;
                    own / capacity * (used[n][r] as f64 / own - mean).powi(2)
                })
                .sum();
            let unit = threshold.overload / SCALE[r];
            if capacity > 0.0 && unit > 0.0 { variance / (unit * unit) } else { 0.0 }
        })
        .sum();
    total / 2.0
}

/// Tells whether a node counts in the imbalance.
pub(super) fn takes_part(board: &Board<'_>, node: usize) -> bool {
    board.nodes[node].known && !board.nodes[node].info.maintenance
}
