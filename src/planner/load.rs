//! How full nodes are: amounts, measured load, and the figures that sum a cluster up.
//!
//! Pure arithmetic; knows no rule and no search.

use chrono::{DateTime, Utc};

use super::{
    Excess, Figures, LOAD_WINDOW, Policy, RecentMove, Threshold,
    board::{Board, Placement},
    settle::{self, RecentMoves},
    strain,
};
use crate::model::{NodeId, NodeInfo, Snapshot, VmInfo, VmState};

/// How many dimensions a node's fullness has.
pub(super) const RESOURCES: usize = 4;
/// Memory in MiB.
pub(super) const MEMORY: usize = 0;
/// Allocated vCPUs in millionths.
pub(super) const CPU: usize = 1;
/// Measured load in millionths of a core.
pub(super) const LOAD: usize = 2;
/// Memory really used, in MiB. VMs bring theirs to a node and take none from it: what they leave is not known.
pub(super) const IN_USE: usize = 3;
/// Load averages have two decimals and thresholds few more: a millionth keeps every comparison exact in integers.
pub(super) const MICRO: i64 = 1_000_000;
/// Memory is judged in percent, CPU and load per core.
pub(super) const SCALE: [f64; RESOURCES] = [100.0, 1.0, 1.0, 100.0];

/// An amount of each resource.
pub(super) type Amounts = [i64; RESOURCES];

pub(super) fn plus(a: Amounts, b: Amounts) -> Amounts {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
}

pub(super) fn minus(a: Amounts, b: Amounts) -> Amounts {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]]
}

/// What a VM needs on the node where its memory in use is measured already.
pub(super) fn as_at_home(needs: Amounts) -> Amounts {
    let mut needs = needs;
    needs[IN_USE] = 0;
    needs
}

/// One over what a node may use of a resource before it is overloaded.
pub(super) fn per_threshold(threshold: Threshold, capacity: i64, r: usize) -> f64 {
    SCALE[r] / (threshold.overload * capacity as f64).max(f64::MIN_POSITIVE)
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
    /// The five-minute load, with what recent migrations will still do to it.
    pub five: i64,
    pub cpus: i64,
    /// Whether enough readings running were over the threshold for overload to count.
    pub persistent: bool,
    /// When the average will have seen the migrations off this node; until then it counts as no overload.
    pub settles: Option<DateTime<Utc>>,
}

/// What is measured in a cluster, and what that says of its VMs. The definitions are in `docs/PLANNER.md`.
pub(super) struct Loads {
    nodes: Vec<Option<NodeLoad>>,
    /// What each VM adds to a measured node, in the order in which they were given.
    needs: Vec<i64>,
    /// Millionths of a core that a vCPU stands for over all measured nodes, for VMs of which nothing is known.
    pub mean_per_vcpu: f64,
}

/// VMs as they were read.
struct Read<'a> {
    vms: &'a [(&'a VmInfo, usize)],
    /// The node that each was on when it was read.
    homes: Vec<usize>,
    /// The cores that each was measured to use.
    own: Vec<Option<f64>>,
}

impl Read<'_> {
    fn iter(&self) -> impl Iterator<Item = (&VmInfo, usize, Option<f64>)> {
        self.vms.iter().zip(&self.homes).zip(&self.own).map(|(((vm, _), home), own)| (*vm, *home, *own))
    }

    fn residents(&self, nodes: usize) -> Vec<Residents> {
        let mut residents = vec![Residents::default(); nodes];
        for (vm, home, own) in self.iter() {
            match own {
                Some(cores) => residents[home].cores += cores,
                None if vm.state == VmState::Active => {
                    residents[home].unmeasured_vcpus += u64::from(vm.cpu_cores)
                }
                None => {}
            }
        }
        residents
    }
}

/// The VMs that a node's reading is of.
#[derive(Clone, Copy, Default)]
struct Residents {
    /// Cores that the measured ones use together.
    cores: f64,
    /// vCPUs of the active ones of which nothing is measured.
    unmeasured_vcpus: u64,
}

impl Loads {
    /// `nodes` and `vms` by ascending id; each VM with the number of its node.
    pub fn new(snapshot: &Snapshot, policy: &Policy, nodes: &[&NodeInfo], vms: &[(&VmInfo, usize)]) -> Self {
        let now = snapshot.taken_at;
        let loads: Vec<_> = nodes.iter().map(|node| fresh_load(node, now, policy)).collect();
        if loads.iter().all(Option::is_none) {
            return Self { nodes: loads, needs: vec![0; vms.len()], mean_per_vcpu: 0.0 };
        }
        let recent = RecentMoves::new(policy);
        let read = Read {
            homes: vms.iter().map(|(vm, node)| home(vm, *node, nodes, &recent)).collect(),
            own: vms.iter().map(|(vm, _)| own_cores(vm, now, policy)).collect(),
            vms,
        };
        let mean_per_vcpu = mean_per_vcpu(&loads, &read);
        let mut loads = Self { nodes: loads, needs: Vec::new(), mean_per_vcpu };
        loads.needs = loads.shares(nodes, &read);
        loads.settle(nodes, vms, &recent);
        loads
    }

    pub fn of_node(&self, node: usize) -> Option<NodeLoad> {
        self.nodes[node]
    }

    pub fn of_vm(&self, vm: usize) -> i64 {
        self.needs[vm]
    }

    /// Deals each node's load out to the VMs that it was read with: by what they use, and what is left by vCPU.
    fn shares(&self, nodes: &[&NodeInfo], read: &Read<'_>) -> Vec<i64> {
        let residents = read.residents(nodes.len());
        let stretches: Vec<_> =
            (0..nodes.len()).map(|node| self.stretch(nodes[node], node, residents[node])).collect();
        let by_use = |(vm, home, own): (&VmInfo, usize, Option<f64>)| {
            own.map(|cores| micro(stretched(cores, stretches[home], vm.cpu_cores)))
        };
        let by_use: Vec<_> = read.iter().map(by_use).collect();
        let per_vcpu = self.left_per_vcpu(&by_use, read, &residents);
        let by_vcpu = |vm: &VmInfo, home: usize| match vm.state {
            VmState::Active => (per_vcpu[home] * f64::from(vm.cpu_cores)).round() as i64,
            _ => 0,
        };
        let each = read.iter().zip(&by_use);
        each.map(|((vm, home, _), need)| need.unwrap_or_else(|| by_vcpu(vm, home))).collect()
    }

    /// What the measured VMs of each node leave to a vCPU of the others.
    fn left_per_vcpu(&self, by_use: &[Option<i64>], read: &Read<'_>, residents: &[Residents]) -> Vec<f64> {
        let mut left: Vec<_> = self.nodes.iter().map(|load| load.map_or(0, |load| load.five)).collect();
        for (need, home) in by_use.iter().zip(&read.homes) {
            left[*home] -= need.unwrap_or(0);
        }
        let each = left.into_iter().zip(&self.nodes).zip(residents);
        each.map(|((left, load), residents)| match load {
            Some(_) => per_vcpu(left.max(0), residents.unmeasured_vcpus),
            None => self.mean_per_vcpu,
        })
        .collect()
    }

    /// By how much the load of a node exceeds the CPUs that are busy, at least 1: where more wants to run than can, a
    /// VM's CPU time says less than what it will want elsewhere.
    fn stretch(&self, info: &NodeInfo, node: usize, residents: Residents) -> f64 {
        let (Some(load), Some(measured)) = (self.nodes[node], &info.load) else { return 1.0 };
        let all_measured = (residents.unmeasured_vcpus == 0).then_some(residents.cores);
        let busy = measured.busy_cores.filter(|busy| busy.is_finite() && *busy > 0.0).or(all_measured);
        match busy.filter(|busy| *busy > 0.0 && !strain::waits_for_no_cpu(measured)) {
            Some(busy) => (load.five as f64 / MICRO as f64 / busy).max(1.0),
            None => 1.0,
        }
    }

    /// Takes migrations into account that the averages do not show yet.
    fn settle(&mut self, nodes: &[&NodeInfo], vms: &[(&VmInfo, usize)], recent: &RecentMoves<'_>) {
        let index = |id: NodeId| nodes.binary_search_by_key(&id, |node| node.id).ok();
        let younger = |node: usize, recent: &RecentMove| Some(nodes[node].load.as_ref()?.at - recent.ended);
        let part = |need: i64, share: f64| (need as f64 * share).round() as i64;
        for recent in recent.iter() {
            let vm = vms.binary_search_by_key(&recent.vm, |(vm, _)| vm.id).ok();
            let need = vm.map_or(0, |vm| self.needs[vm]);
            for (node, leaves) in [(recent.source, true), (recent.target, false)] {
                let Some(node) = index(node) else { continue };
                let (Some(load), Some(younger)) = (&mut self.nodes[node], younger(node, recent)) else {
                    continue;
                };
                if leaves {
                    load.five -= part(need, settle::still_held(younger));
                    if younger < LOAD_WINDOW {
                        load.settles = load.settles.max(Some(recent.ended + LOAD_WINDOW));
                    }
                } else {
                    load.five += part(need, settle::not_yet_held(younger));
                }
            }
        }
        for load in self.nodes.iter_mut().flatten() {
            load.five = load.five.max(0);
        }
    }
}

/// The node that a VM was on when what is known of its load was read.
fn home(vm: &VmInfo, node: usize, nodes: &[&NodeInfo], recent: &RecentMoves<'_>) -> usize {
    let index = |id: NodeId| nodes.binary_search_by_key(&id, |node| node.id).ok();
    let node_at = |id: NodeId| Some(nodes[index(id)?].load.as_ref()?.at);
    let own_at = vm.measured.as_ref().map(|own| own.at);
    let read_at =
        |recent: &RecentMove| own_at.or_else(|| node_at(recent.source)).or_else(|| node_at(recent.target));
    recent.first_after(vm.id, read_at).and_then(|recent| index(recent.source)).unwrap_or(node)
}

/// A VM's own fresh measurement, in cores.
fn own_cores(vm: &VmInfo, now: DateTime<Utc>, policy: &Policy) -> Option<f64> {
    let own = vm.measured.as_ref().filter(|own| is_fresh(own.at, now, policy) && own.cores.is_finite())?;
    Some(own.cores.max(0.0))
}

/// No VM has more threads that want to run than vCPUs; what it really uses counts all the same.
fn stretched(cores: f64, stretch: f64, vcpus: u32) -> f64 {
    (cores * stretch).min(f64::from(vcpus)).max(cores)
}

fn mean_per_vcpu(loads: &[Option<NodeLoad>], read: &Read<'_>) -> f64 {
    let five = loads.iter().flatten().map(|load| load.five).sum();
    let on_measured = read.iter().filter(|(_, home, _)| loads[*home].is_some());
    per_vcpu(five, on_measured.map(|(vm, ..)| u64::from(vm.cpu_cores)).sum())
}

/// A vCPU is one thread: load beyond that belongs to no VM.
fn per_vcpu(load: i64, vcpus: u64) -> f64 {
    if vcpus == 0 { 0.0 } else { (load as f64 / vcpus as f64).min(MICRO as f64) }
}

/// Returns a node's measurement where there is one that is fresh, on a node whose capacity is known.
pub(super) fn fresh_load(node: &NodeInfo, now: DateTime<Utc>, policy: &Policy) -> Option<NodeLoad> {
    let measured = node.load.as_ref()?;
    let known = node.memory_total.is_some_and(|m| m.0 > 0) && node.cpu_total.is_some_and(|cpus| cpus > 0);
    let cpus = cpus(node)?;
    if !known || !is_fresh(measured.at, now, policy) || !measured.five.is_finite() {
        return None;
    }
    let over = |five: f64| five / f64::from(cpus) > policy.load.overload;
    let persistent = policy.load_readings < 2 || measured.previous_five.is_some_and(over);
    Some(NodeLoad { five: micro(measured.five), cpus: i64::from(cpus) * MICRO, persistent, settles: None })
}

/// The CPUs that a node's load is for.
pub(super) fn cpus(node: &NodeInfo) -> Option<u32> {
    let measured = node.load.as_ref().and_then(|load| load.cpus);
    measured.filter(|cpus| *cpus > 0).or(node.cpu_total).filter(|cpus| *cpus > 0)
}

/// Tells whether a node's last reading is over the threshold of load, whether it counts or not.
pub(super) fn reads_over(node: &NodeInfo, policy: &Policy) -> bool {
    let per_core = node.load.as_ref().zip(cpus(node)).map(|(load, cpus)| load.five / f64::from(cpus));
    per_core.is_some_and(|load| load > policy.load.overload)
}

/// Returns the memory that a node really uses, in MiB: as it measured, and with what VMs brought that came since.
/// `None` without a fresh measurement of it.
pub(super) fn memory_in_use(
    node: &NodeInfo,
    arrivals: &[&VmInfo],
    now: DateTime<Utc>,
    policy: &Policy,
) -> Option<i64> {
    let measured = strain::fresh(node, now, policy)?;
    let came_since = |vm: &&&VmInfo| {
        policy
            .recent_moves
            .iter()
            .any(|recent| recent.vm == vm.id && recent.target == node.id && measured.at < recent.ended)
    };
    let brought = arrivals.iter().filter(came_since).map(|vm| vm.memory.0);
    i64::try_from(brought.fold(measured.memory_used_mib?.0, u64::saturating_add)).ok()
}

pub(super) fn is_fresh(at: DateTime<Utc>, now: DateTime<Utc>, policy: &Policy) -> bool {
    now - at <= policy.measurement_max_age
}

fn micro(cores: f64) -> i64 {
    (cores.clamp(0.0, CORES_MAX) * MICRO as f64).round() as i64
}

/// More than any node has, and few enough that sums over all VMs of a cluster stay numbers.
const CORES_MAX: f64 = 1e6;

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
