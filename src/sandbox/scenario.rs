//! Life in the simulated clusters: load follows the day and drifts, VMs are born and die, a node fills up or burns
//! CPU.
//!
//! Changes nothing by itself: [`Life::live`] is given the world and how much time has passed. The same seed and
//! the same steps give the same life.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    f64::consts::TAU,
    time::Duration,
};

use super::vmmanager::{SimNode, SimVm, World};
use crate::model::{Mib, NodeId, VmId, dice::Dice};

/// When the first node begins to fill up, at any speed. A newcomer looks at the page for about a minute.
const FIRST_RUSH: Duration = Duration::from_secs(8);
/// The time between further nodes that fill up, at any speed.
const RUSH_EVERY: Duration = Duration::from_secs(150);
/// The share of memory to which a rush fills its node, in percent: over the default threshold of 70, and
/// low enough that a few migrations relieve it.
const RUSH_FILLS_PERCENT: f64 = 77.0;
/// The load that a burning node reaches, in busy vCPUs per core: well over the default threshold of 1.0, and
/// low enough that a few migrations relieve it.
const BURN_TO_LOAD: f64 = 1.25;
/// vCPUs and GiB of a VM that burns CPU: a few of them are enough, and none fills memory.
const BURNER: (u32, u64) = (8, 1);
/// How long a burn lasts, at any speed: the bot needs two readings, and a person must read the plan.
const BURN_LASTS: Duration = Duration::from_secs(240);
/// The share of its vCPUs that a burner uses after its burn.
const BURNT_OUT_SHARE: f64 = 0.02;
/// The shortest life of a rush's VMs, at any speed: longer than a plan takes to be carried out.
const GUEST_STAYS: Duration = Duration::from_secs(300);
/// How many VMs a rush brings at a time: slow enough to be seen, and finished before a person has read a plan.
const RUSH_BIRTHS: usize = 2;
/// While a node is fuller than this, in percent, no other rush begins and no VM of a rush ends.
const CALM_PERCENT: f64 = 70.0;
/// Births that are not a rush leave a node below this, in percent.
const BIRTH_FILLS_PERCENT: f64 = 64.0;
/// The share of all VMs that is born in a simulated hour, and dies.
const TURNOVER_PER_HOUR: f64 = 0.02;
/// The least number of births in an hour, so that small worlds change too.
const BIRTHS_PER_HOUR_MIN: f64 = 3.0;
/// How many sizes of ended VMs are kept for new ones. Beyond this the world shrinks.
const SIZES_KEPT: usize = 50;
/// When the simulated day begins: load rises from here on.
const STARTS_AT_HOUR: f64 = 9.0;
/// The hour with the least load.
const QUIET_HOUR: f64 = 3.0;

/// What changes the world.
#[derive(Clone, Debug)]
pub struct Life {
    dice: Dice,
    /// Simulated seconds for one real second.
    speed: f64,
    /// Simulated hours since the start.
    hours: f64,
    next_rush: Duration,
    elapsed: Duration,
    /// The event on each node.
    rush: Option<Rush>,
    /// The bot measures load: nodes burn CPU now and then.
    measured: bool,
    /// How many rushes began by themselves.
    rushes: u32,
    /// VMs that came with a rush, and when. Each ends by itself, otherwise the world would fill up.
    guests: BTreeMap<VmId, Duration>,
    /// VMs that burn CPU, and until when.
    burners: BTreeMap<VmId, Duration>,
    /// Sizes of ended VMs. New VMs get these sizes, so that the allocated memory stays about the same.
    sizes: VecDeque<Mib>,
    /// Births and deaths that are due, in fractions.
    births_due: f64,
    deaths_due: f64,
    next_vm: u64,
    /// How busy each VM is: its usual share of its vCPUs, and its drift from that.
    habits: BTreeMap<VmId, Habit>,
}

#[derive(Clone, Copy, Debug)]
enum Rush {
    Fills(NodeId),
    Burns(NodeId),
}

#[derive(Clone, Copy, Debug)]
struct Habit {
    share: f64,
    drift: f64,
}

impl Life {
    /// Starts a life from a seed, faster than the clock by this factor.
    #[must_use]
    pub fn new(seed: u64, speed: f64) -> Self {
        Self {
            dice: Dice::new(seed ^ 0x5EED),
            speed: speed.max(0.0),
            hours: 0.0,
            next_rush: FIRST_RUSH,
            elapsed: Duration::ZERO,
            rush: None,
            measured: false,
            rushes: 0,
            guests: BTreeMap::new(),
            burners: BTreeMap::new(),
            sizes: VecDeque::new(),
            births_due: 0.0,
            deaths_due: 0.0,
            next_vm: 1,
            habits: BTreeMap::new(),
        }
    }

    /// Lets this much real time pass. VMs in `busy` are migrating and do not end.
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
        self.farewell(world, busy);
        self.rush_on(world);
    }

    /// Switches burns on: the bot measures load, so it can act on them.
    pub fn measured(&mut self) {
        self.measured = true;
    }

    /// Returns whether load is measured.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// Begins to fill a node up: this one, or a random one where none is filling up already.
    pub fn begin_rush(&mut self, world: &World, node: Option<NodeId>) {
        // A nearly full node is over the threshold soonest, and the others have room for its VMs.
        let chosen = self.chosen(world, node, |node| node.memory_percent());
        self.begin(chosen.map(Rush::Fills));
    }

    /// Lets a node burn CPU without filling it: this one, or a random one where no event is going on.
    pub fn begin_burn(&mut self, world: &World, node: Option<NodeId>) {
        let loads = self.loads(world);
        let chosen = self.chosen(world, node, |node| loads.get(&node.id).copied().unwrap_or_default());
        self.begin(chosen.map(Rush::Burns));
    }

    fn begin(&mut self, rush: Option<Rush>) {
        if rush.is_some() {
            self.rush = rush;
            self.next_rush = self.elapsed + RUSH_EVERY;
        }
    }

    /// Returns the wanted node, or one of the third with the most of something; none while something goes on.
    fn chosen(
        &mut self,
        world: &World,
        wanted: Option<NodeId>,
        much: impl Fn(&SimNode) -> f64,
    ) -> Option<NodeId> {
        if wanted.is_none() && self.rush.is_some() {
            return None;
        }
        let mut open: Vec<_> = world.nodes.values().filter(|node| is_open(node)).collect();
        open.sort_by(|a, b| much(b).total_cmp(&much(a)));
        open.truncate(open.len().div_ceil(3));
        let chosen = self.dice.one_of(&open).map(|node| node.id);
        wanted.filter(|node| world.nodes.contains_key(node)).or(chosen)
    }

    /// Delays rushes that begin by themselves.
    pub fn keep_calm(&mut self) {
        self.next_rush = Duration::MAX;
    }

    /// Returns each node's load: busy vCPUs per core, by the hour and by what its VMs do.
    #[must_use]
    pub fn loads(&self, world: &World) -> BTreeMap<NodeId, f64> {
        let mut busy: BTreeMap<NodeId, f64> = world.nodes.keys().map(|node| (*node, 0.0)).collect();
        for vm in world.vms.values() {
            *busy.entry(vm.node).or_default() += self.cores_busy(vm);
        }
        for (node, load) in &mut busy {
            *load /= world.nodes.get(node).map_or(1.0, |node| f64::from(node.cores.max(1)));
        }
        busy
    }

    /// Returns how many cores a VM keeps busy.
    #[must_use]
    pub fn cores_busy(&self, vm: &SimVm) -> f64 {
        let share = match self.habits.get(&vm.id) {
            _ if vm.state != "active" => 0.0,
            _ if self.burners.contains_key(&vm.id) => 1.0,
            Some(habit) => habit.share * habit.drift * day_curve(STARTS_AT_HOUR + self.hours),
            None => 0.0,
        };
        f64::from(vm.cores) * share
    }

    /// Returns the simulated hour of the day, 0 to 24.
    #[must_use]
    pub fn hour(&self) -> f64 {
        (STARTS_AT_HOUR + self.hours).rem_euclid(24.0)
    }

    fn drift(&mut self, world: &World, hours: f64) {
        self.habits.retain(|vm, _| world.vms.contains_key(vm));
        for vm in world.vms.keys() {
            let share = 0.02 + 0.3 * self.dice.unit().powi(2);
            let step = (self.dice.unit() - 0.5) * hours.sqrt();
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
        let gib = self.dice.one_of(&[1, 2, 2, 4, 4, 8]).copied().unwrap_or(1);
        let memory = self.sizes.pop_front().unwrap_or(Mib(gib * 1024));
        self.add(world, node, "new", cores_for(memory), memory);
    }

    fn death(&mut self, world: &mut World, busy: &BTreeSet<VmId>) {
        let is_mortal = |vm: &&VmId| !busy.contains(vm) && !self.guests.contains_key(vm);
        let mortal: Vec<_> = world.vms.keys().filter(is_mortal).copied().collect();
        let dead = self.dice.one_of(&mortal).and_then(|vm| world.vms.remove(vm));
        self.sizes.extend(dead.map(|vm| vm.memory));
        self.sizes.truncate(SIZES_KEPT);
    }

    /// Ends burns, and the VMs of rushes: these are born by the clock, while other VMs end by the simulated
    /// day, so that the numbers would never balance.
    fn farewell(&mut self, world: &mut World, busy: &BTreeSet<VmId>) {
        let (elapsed, habits) = (self.elapsed, &mut self.habits);
        self.burners.retain(|vm, until| {
            let burns = elapsed < *until && world.vms.contains_key(vm);
            if !burns {
                habits.insert(*vm, Habit { share: BURNT_OUT_SHARE, drift: 1.0 });
            }
            burns
        });
        let full = world.nodes_above(CALM_PERCENT);
        let burners = &self.burners;
        self.guests.retain(|id, came| {
            let Some(vm) = world.vms.get(id) else { return false };
            let stays = elapsed < *came + GUEST_STAYS || busy.contains(id) || burners.contains_key(id);
            if stays || full.contains(&vm.node) {
                return true;
            }
            world.vms.remove(id);
            false
        });
    }

    fn rush_on(&mut self, world: &mut World) {
        let is_calm = || world.nodes_above(CALM_PERCENT).is_empty() && self.burners.is_empty();
        if self.rush.is_none() && self.elapsed >= self.next_rush && is_calm() {
            self.rushes += 1;
            match self.rushes {
                // The first event fills a node up, because the page announces that to a newcomer.
                even if self.measured && even.is_multiple_of(2) => self.begin_burn(world, None),
                _ => self.begin_rush(world, None),
            }
        }
        for _ in 0..RUSH_BIRTHS {
            match self.rush {
                Some(Rush::Fills(node)) => self.rush_birth(world, node),
                Some(Rush::Burns(node)) => self.burner_birth(world, node),
                None => {}
            }
        }
    }

    fn burner_birth(&mut self, world: &mut World, node: NodeId) {
        let load = self.loads(world).get(&node).copied();
        if load.is_none_or(|load| load >= BURN_TO_LOAD) {
            self.rush = None;
            return;
        }
        let (cores, gib) = BURNER;
        let vm = self.guest(world, node, "burn", cores, Mib(gib * 1024));
        self.burners.insert(vm, self.elapsed + BURN_LASTS);
    }

    fn rush_birth(&mut self, world: &mut World, node: NodeId) {
        let Some(node) = world.nodes.get(&node) else {
            self.rush = None;
            return;
        };
        if node.memory_percent() >= RUSH_FILLS_PERCENT {
            self.rush = None;
            return;
        }
        let (id, missing) =
            (node.id, node.memory.gib() * (RUSH_FILLS_PERCENT - node.memory_percent()) / 100.0);
        // About a dozen VMs, each small enough to fit on another node.
        let gib = match missing {
            much if much > 48.0 => 16,
            some if some > 12.0 => 8,
            _ => 4,
        };
        let memory = Mib(gib * 1024);
        self.guest(world, id, "rush", cores_for(memory), memory);
    }

    fn guest(&mut self, world: &mut World, node: NodeId, name: &str, cores: u32, memory: Mib) -> VmId {
        let vm = self.add(world, node, name, cores, memory);
        self.guests.insert(vm, self.elapsed);
        vm
    }

    fn add(&mut self, world: &mut World, node: NodeId, name: &str, cores: u32, memory: Mib) -> VmId {
        let id = VmId(world.vms.keys().next_back().map_or(1000, |last| last.0 + 1));
        let name = format!("{name}-{}", self.next_vm);
        self.next_vm += 1;
        let vm = SimVm { id, node, memory, ..SimVm::new(name).cores(cores) };
        if let Some(node) = world.nodes.get_mut(&node) {
            node.memory_used += vm.memory;
        }
        world.vms.insert(id, vm);
        id
    }
}

/// One vCPU for two GiB, as in usual tariffs.
fn cores_for(memory: Mib) -> u32 {
    u32::try_from((memory.0 / 2048).clamp(1, 8)).unwrap_or(1)
}

fn is_open(node: &SimNode) -> bool {
    !node.maintenance && !node.creation_blocked && node.vm_limit.is_none_or(|limit| node.vm_count < limit)
}

/// Returns how busy the world is at an hour: 1 in the afternoon, a fifth of that at night.
fn day_curve(hour: f64) -> f64 {
    0.6 - 0.4 * ((hour - QUIET_HOUR) / 24.0 * TAU).cos()
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
    fn with_rushes_and_plans_carried_out_the_world_stays_as_full_as_it_was_for_hours() {
        for speed in [1.0, 60.0] {
            let mut world = calm_world(12, 300);
            let full = |world: &World| {
                let used: u64 = world.nodes.values().map(|node| node.memory_used.0).sum();
                used as f64 * 100.0 / world.nodes.values().map(|node| node.memory.0).sum::<u64>() as f64
            };
            let at_first = full(&world);
            let mut life = Life::new(1, speed);
            life.measured();
            let (mut overloads, mut late_overloads) = (0, 0);
            // Four real hours in steps of five seconds.
            for minute in 0..240 {
                for _ in 0..12 {
                    step_by(&mut life, &mut world, Duration::from_secs(5));
                }
                for node in world.nodes_above(70.0) {
                    overloads += 1;
                    late_overloads += u32::from(minute >= 180);
                    relieve(&mut world, node);
                }
                let vms = world.vms.len();
                assert!((270..=370).contains(&vms), "speed {speed}, minute {minute}: {vms} VMs");
                let now = full(&world);
                assert!((now - at_first).abs() < 8.0, "speed {speed}, minute {minute}: {now} % full");
            }
            assert!(overloads > 20 && late_overloads > 4, "speed {speed}: {overloads}, {late_overloads}");
        }
    }

    #[test]
    fn a_node_burns_without_filling_up_and_ends_by_itself() {
        let mut world = calm_world(12, 300);
        let mut life = Life::new(1, 60.0);
        life.keep_calm();
        life.measured();
        step(&mut life, &mut world);
        life.begin_burn(&world, None);
        (0..40).for_each(|_| step(&mut life, &mut world));
        let hot = |life: &Life, world: &World| -> Vec<NodeId> {
            life.loads(world).into_iter().filter(|(_, load)| *load > 1.0).map(|(node, _)| node).collect()
        };
        let [node] = hot(&life, &world).try_into().unwrap();
        assert_eq!(world.nodes_above(70.0), []);
        // Where a burner goes, its load goes.
        let other = *world.nodes.keys().find(|other| **other != node).unwrap();
        let before = life.loads(&world)[&other];
        let burner = world.vms.values_mut().find(|vm| vm.name.starts_with("burn-")).unwrap();
        burner.node = other;
        assert!(life.loads(&world)[&other] > before);
        (0..480).for_each(|_| step(&mut life, &mut world));
        assert_eq!(hot(&life, &world), []);
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

    /// Moves VMs away as a plan that was approved does.
    fn relieve(world: &mut World, node: NodeId) {
        while world.nodes[&node].memory_percent() > 68.0 {
            let emptiest = |a: &&SimNode, b: &&SimNode| a.memory_percent().total_cmp(&b.memory_percent());
            let to = world.nodes.values().min_by(emptiest).unwrap().id;
            let vm = world.vms.values_mut().rfind(|vm| vm.node == node).unwrap();
            vm.node = to;
            count(world);
        }
    }

    fn step(life: &mut Life, world: &mut World) {
        step_by(life, world, TICK);
    }

    fn step_by(life: &mut Life, world: &mut World, passed: Duration) {
        life.live(world, &BTreeSet::new(), passed);
        count(world);
    }

    fn count(world: &mut World) {
        // As the simulator does after every change by hand.
        for node in world.nodes.values_mut() {
            node.memory_used = Mib(0);
        }
        for vm in world.vms.values() {
            if let Some(node) = world.nodes.get_mut(&vm.node) {
                node.memory_used += vm.memory;
            }
        }
    }
}
