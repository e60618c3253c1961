//! The cluster and its life, a minute at a time.

use std::{collections::BTreeMap, f64::consts::TAU};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Start, Week};
use crate::{
    model::{
        Block, ClusterId, ClusterInfo, Measured, Mib, NodeId, NodeInfo, Snapshot, VmId, VmInfo, VmState,
        VmUse, dice::Dice,
    },
    sandbox::vmmanager::{Scale, World},
};

/// Minutes in a day.
const DAY: u32 = 24 * 60;
/// How full a generated cluster is, and how many of its nodes begin overloaded, in percent.
const FILL_PERCENT: f64 = 56.0;
const OVERLOADED_PERCENT: f64 = 20.0;
/// The mean load per core of the whole cluster where no node measured one.
const LOAD_PER_CORE: f64 = 0.56;
/// How far the day's curve swings around the mean.
const DAY_SWING: f64 = 0.35;
/// The share of the VMs that is born in a day, that ends, and that is made twice as large.
const BORN_A_DAY: f64 = 0.04;
const RESIZED_A_DAY: f64 = 0.012;
/// How many minutes a burst lasts, at least and at most.
const BURST_MINUTES: (usize, usize) = (20, 300);
/// The share of its vCPUs that a VM uses in a burst.
const BURST_SHARE: f64 = 0.95;
/// Once a day a node is in maintenance for so many minutes.
const MAINTENANCE: u32 = 120;
/// Minutes for which a node's averages are kept.
pub(super) const READINGS_KEPT: u32 = 19;
/// One migration of so many fails.
pub(super) const FAILS_ONE_IN: usize = 33;
/// A node over this share of its memory or this load per core is overloaded, by the defaults of the configuration.
const MEMORY_OVER_PERCENT: f64 = 70.0;
const LOAD_OVER: f64 = 1.0;

pub(super) struct Cluster {
    /// What is there now; readings and sums are filled in by [`Cluster::look`].
    state: Snapshot,
    /// As many as VMs, in their order.
    habits: Vec<Habit>,
    loads: Vec<Load>,
    places: BTreeMap<NodeId, usize>,
    dice: Dice,
    seed: u64,
    /// How often a day each VM bursts.
    bursts: f64,
    next_vm: u64,
    /// Due births, deaths and resizes, in fractions.
    due: [f64; 3],
    /// What scales every VM's use so that the cluster's mean load is as wanted.
    scale: f64,
    /// The node in maintenance and its end.
    maintenance: Option<(usize, u32)>,
}

/// How busy a VM is.
#[derive(Clone, Copy)]
struct Habit {
    /// The usual share of its vCPUs.
    share: f64,
    /// When its day begins.
    phase: f64,
    /// Until which minute it bursts.
    burst_until: u32,
}

#[derive(Clone, Copy, Default)]
struct Load {
    wanted: f64,
    memory: u64,
    averages: [f64; 3],
    /// The five-minute average of so many minutes, newest last.
    previous: [f64; READINGS_KEPT as usize + 1],
}

impl Cluster {
    pub(super) fn new(week: &Week) -> Self {
        let mut state = match &week.start {
            Start::Generated { nodes, vms } => generated(week.seed, *nodes, *vms),
            Start::Snapshot(snapshot) => largest_cluster(snapshot),
        };
        state.vms.sort_by_key(|vm| vm.id);
        let measured = |node: &NodeInfo| Some((node.load.as_ref()?.five, f64::from(node.cpu_total?)));
        let (load, cores) = state
            .nodes
            .iter()
            .filter_map(measured)
            .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let per_core = if cores > 0.0 { load / cores } else { LOAD_PER_CORE };
        let mut dice = Dice::new(week.seed ^ 0x0077_EE4B);
        let habits: Vec<_> = state.vms.iter().map(|_| Habit::new(&mut dice)).collect();
        let wanted: f64 =
            state.vms.iter().zip(&habits).map(|(vm, habit)| habit.share * f64::from(vm.cpu_cores)).sum();
        let all_cores: f64 = state.nodes.iter().map(|node| f64::from(node.cpu_total.unwrap_or(0))).sum();
        let mut cluster = Self {
            places: state.nodes.iter().enumerate().map(|(n, node)| (node.id, n)).collect(),
            loads: vec![Load::default(); state.nodes.len()],
            next_vm: state.vms.last().map_or(1, |vm| vm.id.0 + 1),
            habits,
            dice,
            seed: week.seed,
            bursts: week.bursts,
            due: [0.0; 3],
            scale: per_core * all_cores / wanted.max(1.0),
            maintenance: None,
            state,
        };
        cluster.weigh(0);
        for load in &mut cluster.loads {
            load.averages = [load.wanted; 3];
            load.previous = [load.wanted; READINGS_KEPT as usize + 1];
        }
        cluster
    }

    pub(super) fn nodes(&self) -> usize {
        self.state.nodes.len()
    }

    pub(super) fn now(minute: u32) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(i64::from(minute) + 30_000_000)
    }

    /// Lets a minute pass.
    pub(super) fn live(&mut self, minute: u32) {
        let count = self.state.vms.len() as f64 / f64::from(DAY);
        for (due, a_day) in self.due.iter_mut().zip([BORN_A_DAY, BORN_A_DAY, RESIZED_A_DAY]) {
            *due += a_day * count;
        }
        while self.due[0] >= 1.0 {
            self.due[0] -= 1.0;
            self.bear();
        }
        while self.due[1] >= 1.0 {
            self.due[1] -= 1.0;
            let dead = self.dice.remainder(self.state.vms.len());
            self.state.vms.remove(dead);
            self.habits.remove(dead);
        }
        while self.due[2] >= 1.0 {
            self.due[2] -= 1.0;
            let grown = self.dice.remainder(self.state.vms.len());
            // Where there is room: VMmanager allows no more than the node has.
            let node = self.places[&self.state.vms[grown].node];
            let total = self.state.nodes[node].memory_total.unwrap_or_default().0;
            let memory = &mut self.state.vms[grown].memory;
            if self.loads[node].memory + memory.0 <= total && memory.0 <= 32 * 1024 {
                memory.0 *= 2;
            }
        }
        for habit in &mut self.habits {
            if self.dice.unit() < self.bursts / f64::from(DAY) {
                let (least, most) = BURST_MINUTES;
                habit.burst_until = minute + (least + self.dice.remainder(most - least)) as u32;
            }
        }
        if minute % DAY == 10 * 60 {
            let node = self.dice.remainder(self.nodes());
            self.maintenance = Some((node, minute + MAINTENANCE));
        }
        self.maintenance = self.maintenance.filter(|(_, end)| minute < *end);
        self.weigh(minute);
        for load in &mut self.loads {
            load.pass_a_minute();
        }
    }

    /// A VM is placed on the emptiest of three nodes: VMmanager places by its own rule, which is not ours.
    fn bear(&mut self) {
        let picks = [(); 3].map(|()| self.dice.remainder(self.nodes()));
        let like = self.dice.remainder(self.state.vms.len());
        let habit = Habit::new(&mut self.dice);
        let id = VmId(self.next_vm);
        self.next_vm += 1;
        let share = |node: usize| {
            let total = self.state.nodes[node].memory_total.unwrap_or_default().0;
            self.loads[node].memory as f64 / total.max(1) as f64
        };
        let emptiest = picks.into_iter().min_by(|a, b| share(*a).total_cmp(&share(*b))).unwrap_or_default();
        let node = self.state.nodes[emptiest].id;
        let like = &self.state.vms[like];
        let newborn = VmInfo::new(id, format!("vm-{id}"), node, like.cpu_cores, like.memory);
        self.loads[emptiest].memory += newborn.memory.0;
        self.state.vms.push(newborn);
        self.habits.push(habit);
    }

    /// Adds up what each node's VMs want now.
    fn weigh(&mut self, minute: u32) {
        for load in &mut self.loads {
            (load.wanted, load.memory) = (0.0, 0);
        }
        for (vm, habit) in self.state.vms.iter().zip(&self.habits) {
            let wanted = self.cores(vm, habit, minute);
            let load = &mut self.loads[self.places[&vm.node]];
            load.wanted += wanted;
            load.memory += vm.memory.0;
        }
    }

    /// The cores that a VM wants to use.
    fn cores(&self, vm: &VmInfo, habit: &Habit, minute: u32) -> f64 {
        if vm.state != VmState::Active {
            return 0.0;
        }
        let vcpus = f64::from(vm.cpu_cores);
        if minute < habit.burst_until {
            return vcpus * BURST_SHARE;
        }
        let day = 1.0 + DAY_SWING * (TAU * (f64::from(minute % DAY) / f64::from(DAY) + habit.phase)).sin();
        // What it does in these ten minutes, by itself.
        let mut own =
            Dice::new(self.seed ^ vm.id.0.wrapping_mul(0xD6E8_FEB8) ^ (u64::from(minute / 10) << 40));
        (vcpus * habit.share * self.scale * day * (0.6 + 0.8 * own.unit())).min(vcpus)
    }

    /// Whether a node is overloaded by memory and by load.
    pub(super) fn is_over(&self, node: usize) -> (bool, bool) {
        let (info, load) = (&self.state.nodes[node], &self.loads[node]);
        let total = info.memory_total.unwrap_or_default().0 as f64;
        let cores = f64::from(info.cpu_total.unwrap_or(0));
        (load.memory as f64 > total * MEMORY_OVER_PERCENT / 100.0, load.averages[1] > cores * LOAD_OVER)
    }

    /// The picture that a balancer gets, `since` minutes after its last one.
    pub(super) fn look(&self, minute: u32, since: u32) -> Snapshot {
        let at = Self::now(minute);
        let mut snapshot = self.state.clone();
        snapshot.taken_at = at;
        let mut vcpus = vec![(0, 0); self.nodes()];
        for (vm, habit) in snapshot.vms.iter_mut().zip(&self.habits) {
            let node = self.places[&vm.node];
            vcpus[node].0 += vm.cpu_cores;
            vcpus[node].1 += 1;
            let cores = self.cores(vm, habit, minute) * self.loads[node].served(&snapshot.nodes[node]);
            vm.measured = Some(VmUse { cores, at });
        }
        for (n, node) in snapshot.nodes.iter_mut().enumerate() {
            let load = &self.loads[n];
            (node.cpu_used, node.vm_count) = (Some(vcpus[n].0), vcpus[n].1);
            node.memory_used = Some(Mib(load.memory));
            node.maintenance |= self.maintenance.is_some_and(|(closed, _)| closed == n);
            node.load = Some(load.measured(node, at, since));
        }
        snapshot
    }

    pub(super) fn place_of(&self, vm: VmId) -> Option<NodeId> {
        let found = self.state.vms.binary_search_by_key(&vm, |vm| vm.id).ok()?;
        Some(self.state.vms[found].node)
    }

    pub(super) fn put(&mut self, vm: VmId, node: NodeId) {
        let Ok(found) = self.state.vms.binary_search_by_key(&vm, |vm| vm.id) else { return };
        let vm = &mut self.state.vms[found];
        // Both nodes' counters change with it: a look in the same minute must not find it twice.
        self.loads[self.places[&vm.node]].memory -= vm.memory.0;
        self.loads[self.places[&node]].memory += vm.memory.0;
        vm.node = node;
    }
}

impl Habit {
    /// Most VMs do little, and few do much.
    fn new(dice: &mut Dice) -> Self {
        let share = 0.02 + 0.9 * dice.unit().powi(4);
        // Most people work by day.
        let phase = -0.25 - 0.25 * dice.unit() + if dice.one_in(5) { 0.5 } else { 0.0 };
        Self { share, phase, burst_until: 0 }
    }
}

impl Load {
    fn pass_a_minute(&mut self) {
        for (average, minutes) in self.averages.iter_mut().zip([1.0, 5.0, 15.0]) {
            *average += (self.wanted - *average) * (1.0 - f64::exp(-1.0 / minutes));
        }
        self.previous.rotate_left(1);
        self.previous[READINGS_KEPT as usize] = self.averages[1];
    }

    /// The share of what is wanted that the node can give.
    fn served(&self, node: &NodeInfo) -> f64 {
        (f64::from(node.cpu_total.unwrap_or(0)) / self.wanted.max(1e-9)).min(1.0)
    }

    fn measured(&self, node: &NodeInfo, at: DateTime<Utc>, since: u32) -> Measured {
        let [one, five, fifteen] = self.averages;
        let back = READINGS_KEPT.saturating_sub(since) as usize;
        Measured {
            one,
            five,
            fifteen,
            at,
            cpus: node.cpu_total,
            previous_five: Some(self.previous[back]),
            busy_cores: Some(self.wanted * self.served(node)),
            memory_total_mib: node.memory_total,
            cpu_model: None,
            memory_used_mib: Some(Mib(self.memory * 7 / 10)),
            cpu_pressure: Some((1.0 - self.served(node)) * 100.0),
            memory_pressure: Some(0.0),
            io_pressure: Some(0.0),
        }
    }
}

/// A cluster as hosters have them, from the sandbox's generator.
fn generated(seed: u64, nodes: usize, vms: usize) -> Snapshot {
    let scale = Scale {
        seed,
        clusters: 1,
        nodes,
        vms,
        fill_percent: FILL_PERCENT,
        overloaded_percent: OVERLOADED_PERCENT,
    };
    let world = World::generate(&scale);
    let id = ClusterId(1);
    let mut snapshot = Snapshot::empty(Cluster::now(0));
    snapshot.clusters = vec![ClusterInfo::new(id, "week")];
    snapshot.nodes = world
        .nodes
        .values()
        .map(|node| {
            NodeInfo::new(node.id, &node.name, id).with_cpu(node.cores, 0).with_memory(node.memory, Mib(0))
        })
        .collect();
    snapshot.vms = world
        .vms
        .values()
        .map(|vm| {
            let mut info = VmInfo::new(vm.id, &vm.name, vm.node, vm.cores, vm.memory);
            info.state = vm.state.as_str().into();
            if vm.iso_mounted || vm.snapshots > 0 {
                info.blocked_by = vec![Block::Snapshots];
            }
            info
        })
        .collect();
    snapshot
}

/// A week is played in one cluster.
fn largest_cluster(snapshot: &Snapshot) -> Snapshot {
    let mut only = snapshot.clone();
    let count = |cluster: ClusterId| snapshot.nodes_of(cluster).count();
    let largest = snapshot.clusters.iter().map(|cluster| cluster.id).max_by_key(|id| count(*id));
    only.clusters.retain(|cluster| Some(cluster.id) == largest);
    only.nodes.retain(|node| Some(node.cluster) == largest);
    only.vms.retain(|vm| only.nodes.iter().any(|node| node.id == vm.node));
    only.foreign.clear();
    only
}
