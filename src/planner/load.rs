//! What measured load says of nodes and VMs. The definitions are in `docs/PLANNER.md`.

use chrono::{DateTime, Utc};

use super::{
    amounts::MICRO,
    policy::{Policy, RecentMove},
    settle::{self, LOAD_WINDOW, RecentMoves},
    strain,
};
use crate::model::{NodeId, NodeInfo, Snapshot, VmInfo, VmState};

/// A node's own fresh measurement, in the board's units.
#[derive(Clone, Copy)]
pub(super) struct NodeLoad {
    /// The five-minute load, with what recent migrations will still do to it.
    pub five: i64,
    pub cpus: i64,
    /// Whether enough readings running were over the threshold for overload to count, or the last one is sure.
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
    pub(super) fn new(
        snapshot: &Snapshot,
        policy: &Policy,
        nodes: &[&NodeInfo],
        vms: &[(&VmInfo, usize)],
    ) -> Self {
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

    pub(super) fn of_node(&self, node: usize) -> Option<NodeLoad> {
        self.nodes[node]
    }

    pub(super) fn of_vm(&self, vm: usize) -> i64 {
        self.needs[vm]
    }

    /// Deals each node's load out to the VMs that it was read with: by what they use, and what is left by vCPU.
    fn shares(&self, nodes: &[&NodeInfo], read: &Read<'_>) -> Vec<i64> {
        let residents = read.residents(nodes.len());
        let stretches: Vec<_> =
            (0..nodes.len()).map(|node| self.stretch(nodes[node], node, residents[node])).collect();
        let by_use = |(vm, home, own): (&VmInfo, usize, Option<f64>)| {
            own.map(|cores| micro(stretch_load(cores, stretches[home], vm.cpu_cores)))
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
    let own = vm.measured.as_ref().filter(|own| policy.is_fresh(own.at, now) && own.cores.is_finite())?;
    Some(own.cores.max(0.0))
}

/// No VM has more threads that want to run than vCPUs; what it really uses counts all the same.
fn stretch_load(cores: f64, stretch: f64, vcpus: u32) -> f64 {
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
    if !known || !policy.is_fresh(measured.at, now) || !measured.five.is_finite() {
        return None;
    }
    let over = |five: f64| five / f64::from(cpus) > policy.load.overload;
    let persistent = policy.load_readings < 2
        || measured.previous_five.is_some_and(over)
        || strain::is_sure(measured, measured.five / f64::from(cpus), policy);
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

fn micro(cores: f64) -> i64 {
    (cores.clamp(0.0, CORES_MAX) * MICRO as f64).round() as i64
}

/// More than any node has, and few enough that sums over all VMs of a cluster stay numbers.
const CORES_MAX: f64 = 1e6;
