//! Life in the simulated clusters: load follows the day and drifts, VMs are born and die, a node fills up.
//!
//! Changes nothing by itself: [`Life::live`] is given the world and how much time has passed. The same seed and
//! the same steps give the same life.

use std::{
    collections::{BTreeMap, BTreeSet},
    f64::consts::TAU,
    time::Duration,
};

use super::vmmanager::{SimNode, SimVm, World};
use crate::model::{NodeId, VmId};

/// The first node fills up so soon after the start, at any speed: a newcomer looks for a minute.
const FIRST_RUSH: Duration = Duration::from_secs(8);
/// And then another one so often, at any speed.
const RUSH_EVERY: Duration = Duration::from_secs(150);
/// A rush fills its node up to this share of the memory, in percent: over the default threshold of 70, and
/// little enough that a few migrations mend it.
const RUSH_FILLS_PERCENT: f64 = 77.0;
/// VMs that a rush brings at a time: one sees the node fill up, and it is over before somebody has read a plan.
const RUSH_BIRTHS: usize = 2;
/// While a node is fuller than this, in percent, no other rush begins.
const CALM_PERCENT: f64 = 70.0;
/// Births that are not a rush leave a node below this, in percent.
const BIRTH_FILLS_PERCENT: f64 = 64.0;
/// The share of all VMs that is born in a simulated hour, and dies.
const TURNOVER_PER_HOUR: f64 = 0.02;
/// Fewer births an hour than this would look like death.
const BIRTHS_PER_HOUR_MIN: f64 = 3.0;
/// When the simulated day begins: load rises from here on.
const STARTS_AT_HOUR: f64 = 9.0;
/// The hour with the least load.
const QUIET_HOUR: f64 = 3.0;

/// What moves the world on.
#[derive(Clone, Debug)]
pub struct Life {
    dice: Dice,
    /// Simulated seconds for one real second.
    speed: f64,
    /// Simulated hours since the start.
    hours: f64,
    next_rush: Duration,
    elapsed: Duration,
    /// The node that is filling up, and with what.
    rush: Option<NodeId>,
    /// Births and deaths that are due, in fractions.
    births_due: f64,
    deaths_due: f64,
    next_vm: u64,
    /// How busy each VM is: its share of its vCPUs, and how far it drifted from that.
    habits: BTreeMap<VmId, Habit>,
}

#[derive(Clone, Copy, Debug)]
struct Habit {
    share: f64,
    drift: f64,
}

impl Life {
    /// A life from a seed, so many times faster than the clock.
    #[must_use]
    pub fn new(seed: u64, speed: f64) -> Self {
        Self {
            dice: Dice(seed ^ 0x5EED),
            speed: speed.max(0.0),
            hours: 0.0,
            next_rush: FIRST_RUSH,
            elapsed: Duration::ZERO,
            rush: None,
            births_due: 0.0,
            deaths_due: 0.0,
            next_vm: 1,
            habits: BTreeMap::new(),
        }
    }

    /// Lets so much real time pass; VMs in `busy` are on their way and do not die.
    pub fn live(&mut self, world: &mut World, busy: &BTreeSet<VmId>, passed: Duration) {
        let hours = passed.as_secs_f64() * self.speed / 3600.0;
        self.elapsed += passed;
        self.hours += hours;
        self.drift(world, hours);
        let births = (world.vms.len() as f64 * TURNOVER_PER_HOUR).max(BIRTHS_PER_HOUR_MIN) * hours;
        self.births_due += births;
        self.deaths_due += births;
        while self.births_due >= 1.0 {
            self.births_due -= 1.0;
            self.birth(world);
        }
        while self.deaths_due >= 1.0 {
            self.deaths_due -= 1.0;
            self.death(world, busy);
        }
        self.rush_on(world);
    }

    /// Begins to fill a node up: this one, or one that the dice choose where none is filling up already.
    pub fn begin_rush(&mut self, world: &World, node: Option<NodeId>) {
        if node.is_none() && self.rush.is_some() {
            return;
        }
        let mut open: Vec<_> = world.nodes.values().filter(|node| is_open(node)).collect();
        // A node that is nearly full gets there soonest, and others have room for what must leave.
        open.sort_by(|a, b| b.memory_percent().total_cmp(&a.memory_percent()));
        open.truncate(open.len().div_ceil(3));
        let chosen = self.dice.one_of(&open).map(|node| node.id);
        self.rush = node.filter(|node| world.nodes.contains_key(node)).or(chosen);
        self.next_rush = self.elapsed + RUSH_EVERY;
    }

    /// Puts off rushes that nobody asked for.
    pub fn keep_calm(&mut self) {
        self.next_rush = Duration::MAX;
    }

    /// Returns each node's load: busy vCPUs per core, by the hour and by what its VMs do.
    #[must_use]
    pub fn loads(&self, world: &World) -> BTreeMap<NodeId, f64> {
        let day = day_curve(STARTS_AT_HOUR + self.hours);
        let mut busy: BTreeMap<NodeId, f64> = world.nodes.keys().map(|node| (*node, 0.0)).collect();
        for vm in world.vms.values().filter(|vm| vm.state == "active") {
            let habit = self.habits.get(&vm.id).map_or(0.0, |habit| habit.share * habit.drift);
            *busy.entry(vm.node).or_default() += f64::from(vm.cores) * habit * day;
        }
        for (node, load) in &mut busy {
            *load /= world.nodes.get(node).map_or(1.0, |node| f64::from(node.cores.max(1)));
        }
        busy
    }

    /// Returns the simulated hour of the day, 0 to 24.
    #[must_use]
    pub fn hour(&self) -> f64 {
        (STARTS_AT_HOUR + self.hours).rem_euclid(24.0)
    }

    fn drift(&mut self, world: &World, hours: f64) {
        self.habits.retain(|vm, _| world.vms.contains_key(vm));
        for vm in world.vms.keys() {
            let share = 0.02 + 0.3 * self.dice.fraction().powi(2);
            let step = (self.dice.fraction() - 0.5) * hours.sqrt();
            let habit = self.habits.entry(*vm).or_insert(Habit { share, drift: 1.0 });
            habit.drift = (habit.drift + step).clamp(0.5, 1.8);
        }
    }

    fn birth(&mut self, world: &mut World) {
        let open: Vec<_> = world
            .nodes
            .values()
            .filter(|node| is_open(node) && node.memory_percent() < BIRTH_FILLS_PERCENT)
            .collect();
        let Some(node) = self.dice.one_of(&open).map(|node| node.id) else { return };
        let gib = [1, 2, 2, 4, 4, 8][self.dice.below(6)];
        self.add(world, node, "new", gib);
    }

    fn death(&mut self, world: &mut World, busy: &BTreeSet<VmId>) {
        let mortal: Vec<_> = world.vms.keys().filter(|vm| !busy.contains(vm)).copied().collect();
        if let Some(vm) = self.dice.one_of(&mortal) {
            world.vms.remove(&vm);
        }
    }

    fn rush_on(&mut self, world: &mut World) {
        if self.rush.is_none() && self.elapsed >= self.next_rush && world.nodes_above(CALM_PERCENT).is_empty()
        {
            self.begin_rush(world, None);
        }
        for _ in 0..RUSH_BIRTHS {
            self.rush_birth(world);
        }
    }

    fn rush_birth(&mut self, world: &mut World) {
        let Some(node) = self.rush.and_then(|node| world.nodes.get(&node)) else {
            self.rush = None;
            return;
        };
        if node.memory_percent() >= RUSH_FILLS_PERCENT {
            self.rush = None;
            return;
        }
        let (id, missing) =
            (node.id, node.memory.gib() * (RUSH_FILLS_PERCENT - node.memory_percent()) / 100.0);
        // A dozen births or so, and each small enough to find a place elsewhere.
        let gib = match missing {
            much if much > 48.0 => 16,
            some if some > 12.0 => 8,
            _ => 4,
        };
        self.add(world, id, "rush", gib);
    }

    fn add(&mut self, world: &mut World, node: NodeId, name: &str, gib: u64) {
        let id = VmId(world.vms.keys().next_back().map_or(1000, |last| last.0 + 1));
        let name = format!("{name}-{}", self.next_vm);
        self.next_vm += 1;
        let cores = u32::try_from((gib / 2).clamp(1, 8)).unwrap_or(1);
        let vm = SimVm { id, node, ..SimVm::new(name).cores(cores).gib(gib) };
        if let Some(node) = world.nodes.get_mut(&node) {
            node.memory_used += vm.memory;
        }
        world.vms.insert(id, vm);
    }
}

fn is_open(node: &SimNode) -> bool {
    !node.maintenance && !node.creation_blocked && node.vm_limit.is_none_or(|limit| node.vm_count < limit)
}

/// How busy the world is at that hour: 1 at the height of the afternoon, a fifth of it at night.
fn day_curve(hour: f64) -> f64 {
    0.6 - 0.4 * ((hour - QUIET_HOUR) / 24.0 * TAU).cos()
}

/// Splitmix64: small, well known, and the same on every machine.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or_default()
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn one_of<T: Copy>(&mut self, things: &[T]) -> Option<T> {
        let chosen = self.below(things.len());
        things.get(chosen).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::vmmanager::{Options, Scale, SimVmManager};

    const TICK: Duration = Duration::from_millis(500);

    #[test]
    fn a_node_overloads_within_the_first_minute_at_any_size_and_speed() {
        for (nodes, vms) in [(3, 40), (12, 300), (100, 2500)] {
            for speed in [1.0, 60.0, 600.0] {
                let mut world = calm_world(nodes, vms);
                let mut life = Life::new(1, speed);
                let overloaded = (0..120).any(|_| {
                    step(&mut life, &mut world);
                    !world.nodes_above(70.0).is_empty()
                });
                assert!(overloaded, "{nodes} nodes at speed {speed}");
            }
        }
    }

    #[test]
    fn the_number_of_vms_stays_about_the_same_for_a_simulated_day() {
        let mut world = calm_world(12, 300);
        let mut life = Life::new(3, 60.0);
        life.keep_calm();
        for _ in 0..2 * 24 * 60 {
            step(&mut life, &mut world);
        }
        assert!((250..=350).contains(&world.vms.len()), "{} VMs", world.vms.len());
        assert!(world.vms.values().any(|vm| vm.name.starts_with("new-")));
        assert!((life.hour() - STARTS_AT_HOUR).abs() < 0.1);
    }

    #[test]
    fn load_is_lower_at_night() {
        let world = calm_world(12, 300);
        let mut life = Life::new(3, 3600.0);
        let mut total_at_hour = |hour: f64| {
            while (life.hour() - hour).abs() > 0.6 {
                life.live(&mut world.clone(), &BTreeSet::new(), TICK);
            }
            life.loads(&world).values().sum::<f64>()
        };
        let afternoon = total_at_hour(15.0);
        assert!(total_at_hour(3.0) < afternoon / 2.0);
    }

    #[test]
    fn nobody_dies_on_the_way() {
        let mut world = calm_world(3, 40);
        let busy: BTreeSet<_> = world.vms.keys().copied().collect();
        let mut life = Life::new(5, 6000.0);
        for _ in 0..100 {
            let all: Vec<_> = busy.iter().copied().collect();
            life.live(&mut world, &busy, TICK);
            assert!(all.iter().all(|vm| world.vms.contains_key(vm)));
        }
    }

    #[tokio::test]
    async fn a_rush_can_be_ordered_for_a_node() {
        let sim = SimVmManager::start(calm_world(3, 40), Options::default()).await.unwrap();
        let mut life = Life::new(1, 60.0);
        let node = sim.view().nodes[1].id;
        life.begin_rush(&sim.world(), Some(node));
        for _ in 0..100 {
            sim.edit(|world| life.live(world, &BTreeSet::new(), TICK));
        }
        assert_eq!(sim.world().nodes_above(70.0), [node]);
    }

    #[test]
    fn the_same_seed_gives_the_same_life() {
        let lived = |seed: u64| {
            let mut world = calm_world(12, 300);
            let mut life = Life::new(seed, 60.0);
            (0..200).for_each(|_| step(&mut life, &mut world));
            world
        };
        assert_eq!(lived(4), lived(4));
        assert_ne!(lived(4), lived(5));
    }

    fn calm_world(nodes: usize, vms: usize) -> World {
        World::generate(&Scale { nodes, vms, overloaded_percent: 0.0, ..Scale::default() })
    }

    fn step(life: &mut Life, world: &mut World) {
        life.live(world, &BTreeSet::new(), TICK);
        // As the simulator does after every change by hand.
        for node in world.nodes.values_mut() {
            node.memory_used = crate::model::Mib(0);
        }
        for vm in world.vms.values() {
            if let Some(node) = world.nodes.get_mut(&vm.node) {
                node.memory_used += vm.memory;
            }
        }
    }
}
