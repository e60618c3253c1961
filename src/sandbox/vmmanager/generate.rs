//! Worlds of any size from a seed: the same seed gives the same world.

use super::world::{SimCluster, SimNode, SimVm, World};
use crate::model::{ClusterId, Mib, NodeId, VmId, dice::Dice};

/// What a generated world should be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub seed: u64,
    pub clusters: usize,
    /// In all clusters together.
    pub nodes: usize,
    /// In all clusters together.
    pub vms: usize,
    /// The share of all memory that is allocated, in percent; below 70, so that there is somewhere to go.
    pub fill_percent: f64,
    /// The share of nodes with 74 to 92 % of their memory allocated, in percent.
    pub overloaded_percent: f64,
}

impl Default for Scale {
    /// 12 nodes and 300 VMs in one cluster, half of the memory allocated, a quarter of the nodes overloaded.
    fn default() -> Self {
        Self { seed: 1, clusters: 1, nodes: 12, vms: 300, fill_percent: 50.0, overloaded_percent: 25.0 }
    }
}

/// The tariffs of a hoster: vCPUs, GiB, and the share of VMs.
const TARIFFS: [(u32, u64, usize); 9] = [
    (1, 1, 20),
    (1, 2, 22),
    (2, 2, 10),
    (2, 4, 20),
    (4, 8, 14),
    (4, 16, 5),
    (8, 16, 5),
    (8, 32, 3),
    (16, 64, 1),
];

const PLACES: [&str; 8] = ["msk", "spb", "ekb", "nsk", "kzn", "ams", "fra", "hel"];
const NODE_NAMES: [&str; 3] = ["kvm", "node", "узел"];
const VM_NAMES: [&str; 14] = [
    "web",
    "db",
    "mail",
    "api",
    "cache",
    "git",
    "shop",
    "test",
    "vpn",
    "сайт",
    "база",
    "почта",
    "1с-сервер",
    "склад",
];

impl World {
    /// Makes a world of a given scale.
    ///
    /// ```
    /// use vm_balancer::sandbox::vmmanager::{Scale, World};
    ///
    /// let world = World::generate(&Scale { seed: 7, nodes: 12, vms: 300, ..Scale::default() });
    /// assert_eq!((world.nodes.len(), world.vms.len()), (12, 300));
    /// assert_eq!(world.nodes_above(70.0).len(), 3);
    /// ```
    #[must_use]
    pub fn generate(scale: &Scale) -> Self {
        let mut dice = Dice::new(scale.seed);
        let mut world = Self::default();
        let clusters = scale.clusters.max(1);
        for n in 0..clusters {
            let id = ClusterId(n as u64 + 1);
            let place = PLACES[n % PLACES.len()];
            let name = if n < PLACES.len() { format!("{place}-kvm") } else { format!("{place}-kvm-{n}") };
            let storage = if n % 3 == 2 { "ceph" } else { "file" };
            let (virtualization, storage) = ("kvm".into(), storage.into());
            let cluster = SimCluster { id, name, virtualization, storage, builtin_balancer: false };
            world.clusters.insert(id, cluster);
            let part = |whole: usize| whole * (n + 1) / clusters - whole * n / clusters;
            fill(&mut world, &mut dice, id, scale, (part(scale.nodes), part(scale.vms)));
        }
        world.counted()
    }
}

fn fill(world: &mut World, dice: &mut Dice, cluster: ClusterId, scale: &Scale, (nodes, vms): (usize, usize)) {
    if nodes == 0 {
        return;
    }
    let first = world.vms.len() as u64 + 1000;
    let mut bought: Vec<_> = (0..vms as u64).map(|n| dice.vm(VmId(first + n))).collect();
    let needed: u64 = bought.iter().map(|vm| vm.memory.0).sum();
    let wanted = needed as f64 / (scale.fill_percent.clamp(1.0, 69.0) / 100.0) / nodes as f64;
    let machines: Vec<_> = (0..nodes).map(|n| dice.node(world.nodes.len() + n, cluster, wanted)).collect();
    let mut rooms = rooms(dice, &machines, needed, scale);
    world.nodes.extend(machines.into_iter().map(|node| (node.id, node)));
    // The large VMs are placed first, and the small ones fill the gaps.
    bought.sort_by_key(|vm| std::cmp::Reverse(vm.memory));
    for mut vm in bought {
        let roomiest = rooms.iter_mut().max_by(|a, b| a.left.total_cmp(&b.left));
        let Some(room) = roomiest else { return };
        room.left -= vm.memory.0 as f64;
        vm.node = room.node;
        world.vms.insert(vm.id, vm);
    }
}

struct Room {
    node: NodeId,
    left: f64,
}

/// Returns the allocation of each node: a few are overfull, the others share the rest evenly.
fn rooms(dice: &mut Dice, machines: &[SimNode], needed_mib: u64, scale: &Scale) -> Vec<Room> {
    let overloaded = (machines.len() as f64 * scale.overloaded_percent / 100.0).round() as usize;
    let mut order: Vec<_> = machines.iter().collect();
    for n in (1..order.len()).rev() {
        order.swap(n, dice.remainder(n + 1));
    }
    let (full, rest) = order.split_at(overloaded.min(order.len()));
    let room = |node: &SimNode, share: f64| Room { node: node.id, left: node.memory.0 as f64 * share };
    let mut rooms: Vec<_> = full.iter().map(|node| room(node, 0.74 + 0.18 * dice.unit())).collect();
    let left = needed_mib as f64 - rooms.iter().map(|room| room.left).sum::<f64>();
    let free: f64 = rest.iter().map(|node| node.memory.0 as f64).sum();
    let share = (left / free.max(1.0)).clamp(0.02, 0.69);
    rooms.extend(rest.iter().map(|node| room(node, share)));
    rooms
}

impl Dice {
    fn node(&mut self, count: usize, cluster: ClusterId, wanted_mib: f64) -> SimNode {
        // Real machines come in steps of 32 GiB; a fifth more or less, as bought over the years.
        let gib = wanted_mib / 1024.0 * (0.9 + 0.2 * self.unit());
        let memory = Mib(((gib / 32.0).round() as u64).max(1) * 32 * 1024);
        let cores = [16, 24, 32, 48, 64, 96, 128];
        let enough = cores.into_iter().find(|cores| u64::from(*cores) * 6 * 1024 >= memory.0).unwrap_or(128);
        let family = NODE_NAMES[(cluster.0 as usize - 1) % NODE_NAMES.len()];
        let id = NodeId(count as u64 + 10);
        SimNode {
            id,
            cluster,
            address: format!("10.{}.{}.{}", cluster.0 % 250, id.0 / 250 % 250, id.0 % 250 + 1),
            ..SimNode::new(format!("{family}-{:02}", count + 1)).cores(enough)
        }
        .with_memory(memory)
    }

    fn vm(&mut self, id: VmId) -> SimVm {
        let bought = self.remainder(TARIFFS.iter().map(|tariff| tariff.2).sum());
        let mut upto = 0;
        let tariff = TARIFFS.iter().find(|tariff| {
            upto += tariff.2;
            bought < upto
        });
        let (cores, gib, _) = tariff.copied().unwrap_or(TARIFFS[0]);
        let name = format!("{}-{}", VM_NAMES[self.remainder(VM_NAMES.len())], id.0 - 999);
        let plain =
            SimVm { id, disk: Mib((gib * 10).max(20) * 1024), ..SimVm::new(name).cores(cores).gib(gib) };
        // As on real platforms, a few VMs are off, and fewer have an ISO image or a snapshot.
        SimVm {
            state: if self.one_in(25) { "stopped".into() } else { plain.state },
            iso_mounted: self.one_in(60),
            snapshots: u32::from(self.one_in(40)),
            balancer_mode: if self.one_in(80) { "off".into() } else { plain.balancer_mode },
            ..plain
        }
    }
}

impl SimNode {
    fn with_memory(self, memory: Mib) -> Self {
        Self { memory, ..self }
    }
}
