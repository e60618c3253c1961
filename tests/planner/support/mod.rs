//! Clusters for tests and benches: recorded ones, and a generator of many sizes, fills and skews.

use chrono::{DateTime, Utc};
use vm_balancer::{
    model::{
        ClusterId, ClusterInfo, Measured, Mib, NodeId, NodeInfo, QemuVersion, Snapshot, VmId, VmInfo,
        dice::Dice,
    },
    planner::{self, Margin, Migration, Policy, Strategy, Threshold},
};

/// The bench's cluster of 20 nodes and 300 VMs: `gen.py 20 300 1 c20`.
pub const C20: &str = include_str!("../data/c20.txt");
/// 100 unlike nodes and 3000 VMs: `gen.py 100 3000 1 c100 --hetero`.
pub const C100: &str = include_str!("../data/c100.txt");
/// 1000 unlike nodes and 50 000 VMs: `gen.py 1000 50000 1 c1000 --hetero`.
pub const C1000: &str = include_str!("../data/c1000.txt");

/// When every test's snapshot was taken.
pub fn noon() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().expect("a date")
}

/// An empty node of cluster 1.
pub fn node(id: u64, memory_mib: u64, cores: u32) -> NodeInfo {
    NodeInfo {
        qemu_version: Some(QemuVersion::new("7.2.0")),
        ..NodeInfo::new(NodeId(id), format!("node-{id:04}"), ClusterId(1))
            .with_cpu(cores, 0)
            .with_memory(Mib(memory_mib), Mib(0))
    }
}

/// A reading of noon with that five-minute load and nothing else.
pub fn measured(five: f64) -> Measured {
    Measured {
        one: five,
        five,
        fifteen: five,
        at: noon(),
        cpus: None,
        cpu_model: None,
        previous_five: None,
        busy_cores: None,
        memory_total_mib: None,
        memory_used_mib: None,
        cpu_pressure: None,
        memory_pressure: None,
        io_pressure: None,
    }
}

/// An idle VM that may move.
pub fn vm(id: u64, node: u64, vcpus: u32, memory_mib: u64) -> VmInfo {
    VmInfo::new(VmId(id), format!("vm-{id:05}"), NodeId(node), vcpus, Mib(memory_mib))
}

/// One cluster of these nodes and VMs, the nodes' own sums filled in.
pub fn cluster(nodes: Vec<NodeInfo>, vms: Vec<VmInfo>) -> Snapshot {
    let mut snapshot = Snapshot::empty(noon());
    snapshot.clusters.push(ClusterInfo::new(ClusterId(1), "msk"));
    snapshot.nodes = nodes;
    snapshot.vms = vms;
    recount(&mut snapshot);
    snapshot
}

/// Fills in what each node says of its VMs.
pub fn recount(snapshot: &mut Snapshot) {
    let by_node = snapshot.vms_by_node();
    let sums: Vec<_> = snapshot
        .nodes
        .iter()
        .map(|node| {
            let here = &by_node[&node.id];
            (here.iter().map(|vm| vm.memory).sum(), here.iter().map(|vm| vm.cpu_cores).sum(), here.len())
        })
        .collect();
    for (node, (memory, vcpus, count)) in snapshot.nodes.iter_mut().zip(sums) {
        node.memory_used = Some(memory);
        node.cpu_used = Some(vcpus);
        node.vm_count = u32::try_from(count).expect("few VMs");
    }
}

/// Reads a cluster as `data/compact.py` writes it.
pub fn compact(text: &str) -> Snapshot {
    let (mut nodes, mut vms) = (Vec::new(), Vec::new());
    for (line, node_id) in text.lines().zip(1..) {
        let mut fields = line.split(' ');
        let mut number = || fields.next().expect("a field").parse::<u64>().expect("a number");
        let (memory, cores) = (number(), number());
        nodes.push(node(node_id, memory, u32::try_from(cores).expect("few cores")));
        for kind in fields.filter(|kind| !kind.is_empty()) {
            let parts: Vec<u64> = kind.split('*').map(|part| part.parse().expect("a number")).collect();
            for _ in 0..parts[2] {
                let id = 100_000 + vms.len() as u64;
                vms.push(vm(id, node_id, u32::try_from(parts[0]).expect("few vCPUs"), parts[1]));
            }
        }
    }
    cluster(nodes, vms)
}

/// Writes a cluster as `compact` reads it.
pub fn to_compact(snapshot: &Snapshot) -> String {
    let by_node = snapshot.vms_by_node();
    let line = |node: &NodeInfo| {
        let mut kinds = std::collections::BTreeMap::new();
        for vm in &by_node[&node.id] {
            *kinds.entry((vm.cpu_cores, vm.memory.0)).or_insert(0) += 1;
        }
        let kinds: Vec<_> = kinds.iter().map(|((c, m), n)| format!("{c}*{m}*{n}")).collect();
        let memory = node.memory_total.unwrap_or_default().0;
        format!("{memory} {} {}\n", node.cpu_total.unwrap_or_default(), kinds.join(" "))
    };
    snapshot.nodes.iter().map(line).collect()
}

/// Bell-shaped around 0 with deviation 1, near enough: the sum of twelve even draws.
fn bell(dice: &mut Dice) -> f64 {
    (0..12).map(|_| dice.unit()).sum::<f64>() - 6.0
}

/// An index, drawn by weight.
fn weighted(dice: &mut Dice, weights: &[f64]) -> usize {
    let mut left = dice.unit() * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return index;
        }
    }
    weights.len() - 1
}

/// What a generated cluster is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub nodes: usize,
    pub vms: usize,
    pub seed: u64,
    /// Nodes of three sizes instead of one.
    pub unlike: bool,
    /// Allocated memory of the whole cluster.
    pub fill: f64,
    /// How unevenly VMs were placed.
    pub skew: f64,
}

/// A tariff grid as hosters sell it: vCPUs, MiB, how many of a hundred.
const TARIFFS: [(u32, u64, f64); 10] = [
    (1, 1024, 22.0),
    (1, 2048, 18.0),
    (2, 2048, 12.0),
    (2, 4096, 18.0),
    (4, 4096, 6.0),
    (4, 8192, 12.0),
    (6, 12288, 4.0),
    (8, 16384, 5.0),
    (8, 32768, 2.0),
    (16, 32768, 1.0),
];

impl Shape {
    /// The shape as one word, as the table of optima has it.
    pub fn name(&self) -> String {
        let alike = if self.unlike { "unlike" } else { "alike" };
        format!("{}-{}-{}-{alike}-{}-{}", self.nodes, self.vms, self.seed, self.fill, self.skew)
    }

    fn parse(name: &str) -> Option<Self> {
        let fields: Vec<&str> = name.split('-').collect();
        let [nodes, vms, seed, alike, fill, skew] = fields[..] else { return None };
        Some(Self {
            nodes: nodes.parse().ok()?,
            vms: vms.parse().ok()?,
            seed: seed.parse().ok()?,
            unlike: alike == "unlike",
            fill: fill.parse().ok()?,
            skew: skew.parse().ok()?,
        })
    }
}

/// The shapes in the table of optima.
pub fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (nodes, vms) in [(8, 120), (12, 300), (20, 300), (40, 800), (100, 3000)] {
        for fill in [0.58, 0.62, 0.65, 0.68] {
            for (skew, seed) in [(0.3, 1), (0.5, 2), (0.9, 3)] {
                shapes.push(Shape { nodes, vms, seed, unlike: seed % 2 == 0, fill, skew });
            }
        }
    }
    shapes
}

/// An exact optimum, found by `data/optima.py`.
pub struct Optimum {
    pub shape: Shape,
    pub memory: f64,
    pub cpu: f64,
    /// The least cost that clears the overload; `None` where nothing can.
    pub cost: Option<f64>,
}

/// The table of optima; a line is `shape memory cpu 0 cost bound`.
pub fn optima() -> Vec<Optimum> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| fields[index].parse::<f64>();
        Optimum {
            shape: Shape::parse(fields[0]).expect("a shape"),
            memory: number(1).expect("a threshold"),
            cpu: number(2).expect("a threshold"),
            cost: number(4).ok(),
        }
    };
    include_str!("../data/optima.txt").lines().map(line).collect()
}

/// The same nodes and VMs in `count` clusters; nodes are assigned by their number.
pub fn in_clusters(snapshot: &Snapshot, count: u64) -> Snapshot {
    let mut dealt = snapshot.clone();
    dealt.clusters = (1..=count).map(|id| ClusterInfo::new(ClusterId(id), format!("cluster-{id}"))).collect();
    for node in &mut dealt.nodes {
        node.cluster = ClusterId(1 + node.id.0 % count);
    }
    dealt
}

/// What the Python tool does, repeated until it changes nothing: the smallest VM of each overloaded node to the node
/// with the lowest CPU ratio and then memory that stays under both thresholds; one for each node and cycle.
pub fn baseline(snapshot: &Snapshot, policy: &Policy) -> Vec<Migration> {
    let template = planner::plan(snapshot, &Policy { migrations_max: 1, ..policy.clone() });
    let Some(template) = template.clusters[0].migrations.first().cloned() else { return Vec::new() };
    let mut world = snapshot.clone();
    let mut moves: Vec<Migration> = Vec::new();
    let mut moved = std::collections::BTreeSet::new();
    loop {
        let before = moves.len();
        for source in 0..world.nodes.len() {
            if !is_over(&world.nodes[source], policy) {
                continue;
            }
            let id = world.nodes[source].id;
            let here = (0..world.vms.len()).filter(|vm| world.vms[*vm].node == id && !moved.contains(vm));
            let Some(vm) = here.min_by_key(|vm| (world.vms[*vm].memory, *vm)) else { continue };
            let Some(target) = baseline_target(&world, vm, policy) else { continue };
            moves.push(Migration {
                vm: world.vms[vm].id,
                source: id,
                target: world.nodes[target].id,
                ram: world.vms[vm].memory,
                ..template.clone()
            });
            moved.insert(vm);
            let (memory, cores) = (world.vms[vm].memory, world.vms[vm].cpu_cores);
            world.vms[vm].node = world.nodes[target].id;
            let used = |node: &NodeInfo| (node.memory_used.unwrap_or_default(), node.cpu_used.unwrap_or(0));
            let (a, b) = (used(&world.nodes[source]), used(&world.nodes[target]));
            world.nodes[source].memory_used = Some(a.0.saturating_sub(memory));
            world.nodes[source].cpu_used = Some(a.1 - cores);
            world.nodes[target].memory_used = Some(b.0 + memory);
            world.nodes[target].cpu_used = Some(b.1 + cores);
        }
        if moves.len() == before {
            return moves;
        }
    }
}

fn ratios(node: &NodeInfo) -> (f64, f64) {
    let memory = node.memory_used.unwrap_or_default().percent_of(node.memory_total.unwrap_or_default());
    (f64::from(node.cpu_used.unwrap_or(0)) / f64::from(node.cpu_total.unwrap_or(1)), memory)
}

fn is_over(node: &NodeInfo, policy: &Policy) -> bool {
    let (cpu, memory) = ratios(node);
    cpu > policy.cpu.overload || memory > policy.memory.overload
}

fn baseline_target(world: &Snapshot, vm: usize, policy: &Policy) -> Option<usize> {
    let vm = &world.vms[vm];
    let after = |node: &NodeInfo| {
        let mut node = node.clone();
        node.memory_used = Some(node.memory_used.unwrap_or_default() + vm.memory);
        node.cpu_used = Some(node.cpu_used.unwrap_or(0) + vm.cpu_cores);
        node
    };
    let open = (0..world.nodes.len()).filter(|n| world.nodes[*n].id != vm.node);
    open.filter(|n| !is_over(&after(&world.nodes[*n]), policy))
        .min_by(|a, b| ratios(&world.nodes[*a]).partial_cmp(&ratios(&world.nodes[*b])).expect("numbers"))
}

/// Makes a cluster: VMs by tariff, nodes sized for the fill, placement skewed but within capacity.
pub fn generate(shape: Shape) -> Snapshot {
    let mut dice = Dice::new(shape.seed.wrapping_mul(0x5851_F42D_4C95_7F2D) ^ shape.nodes as u64);
    let weights = TARIFFS.map(|tariff| tariff.2);
    let kinds: Vec<_> = (0..shape.vms).map(|_| TARIFFS[weighted(&mut dice, &weights)]).collect();
    let sizes: Vec<f64> = (0..shape.nodes)
        .map(|_| if shape.unlike { [1.0, 2.0, 3.0][weighted(&mut dice, &[5.0, 4.0, 1.0])] } else { 1.0 })
        .collect();
    let memory: u64 = kinds.iter().map(|kind| kind.1).sum();
    let per_size = memory as f64 / shape.fill / sizes.iter().sum::<f64>();
    let nodes: Vec<_> = (1..)
        .zip(&sizes)
        .map(|(id, size)| {
            let mib = (size * per_size / 8192.0).ceil() as u64 * 8192;
            node(id, mib, ((size * per_size / 32768.0).round() as u32 * 4).max(8))
        })
        .collect();
    let draw: Vec<f64> = sizes.iter().map(|size| (bell(&mut dice) * shape.skew).exp() * size).collect();
    let mut used = vec![(0u64, 0u32); nodes.len()];
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(kinds[*index].1));
    let mut vms = Vec::new();
    for index in order {
        let (vcpus, mib, _) = kinds[index];
        let capacity =
            |n: usize| (nodes[n].memory_total.unwrap_or_default().0, nodes[n].cpu_total.unwrap_or(0));
        let fits = |n: usize, used: &[(u64, u32)]| {
            let (memory, cores) = capacity(n);
            (used[n].0 + mib) as f64 <= memory as f64 * 0.97 && used[n].1 + vcpus <= cores * 6
        };
        let emptiest = |used: &[(u64, u32)]| {
            (0..nodes.len()).min_by_key(|n| used[*n].0 * 1000 / capacity(*n).0).unwrap_or(0)
        };
        let chosen = (0..200).map(|_| weighted(&mut dice, &draw)).find(|n| fits(*n, &used));
        let chosen = chosen.unwrap_or_else(|| emptiest(&used));
        used[chosen] = (used[chosen].0 + mib, used[chosen].1 + vcpus);
        vms.push(vm(100_000 + index as u64, chosen as u64 + 1, vcpus, mib));
    }
    cluster(nodes, vms)
}

/// A policy for what is compared with exact optima: to the thresholds and no further, every target strictly, at any
/// price.
pub fn exact() -> Policy {
    Policy { relief_margin: Margin::default(), soft_targets: false, relief_worth: 0.0, ..Policy::default() }
}

/// A policy with both thresholds at these, and room for any plan.
pub fn thresholds(memory_percent: f64, vcpus_per_core: f64) -> Policy {
    let at = |value| Threshold { overload: value, target: value };
    Policy {
        memory: at(memory_percent),
        cpu: at(vcpus_per_core),
        migrations_max: 1_000_000,
        parallel_max: 1,
        ..exact()
    }
}

/// The level figures' policy: nothing is overloaded, everything may be evened out.
pub fn leveling(migrations_max: usize) -> Policy {
    Policy { strategy: Strategy::Level, migrations_max, ..thresholds(100.0, 6.0) }
}

/// GiB moved and 4 for each migration.
pub fn cost(plan: &vm_balancer::planner::ClusterPlan) -> f64 {
    plan.migrations.iter().map(|migration| migration.ram.gib() + 4.0).sum()
}

/// The overload that a placement has: by how much of their thresholds its nodes exceed them.
pub fn overload(snapshot: &Snapshot, policy: &Policy) -> f64 {
    let of = |node: &NodeInfo| {
        let (memory, cores) = (node.memory_total.unwrap_or_default(), f64::from(node.cpu_total.unwrap_or(1)));
        let memory = node.memory_used.unwrap_or_default().percent_of(memory) / policy.memory.overload;
        let cpu = f64::from(node.cpu_used.unwrap_or(0)) / cores / policy.cpu.overload;
        (memory - 1.0).max(0.0) + (cpu - 1.0).max(0.0)
    };
    snapshot.nodes.iter().map(of).sum()
}

/// The snapshot after these migrations.
pub fn after(snapshot: &Snapshot, migrations: &[vm_balancer::planner::Migration]) -> Snapshot {
    let mut moved = snapshot.clone();
    let index: std::collections::HashMap<_, _> =
        moved.vms.iter().enumerate().map(|(index, vm)| (vm.id, index)).collect();
    for migration in migrations {
        moved.vms[index[&migration.vm]].node = migration.target;
    }
    recount(&mut moved);
    moved
}
