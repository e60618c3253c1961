//! The process is killed many times during an automatic run, and nothing is lost or done twice.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use chrono::TimeDelta;
use futures::{StreamExt as _, stream};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use vm_balancer::{
    balancer::{Parts, VmBalancer},
    clock::Clock,
    event::Events,
    model::{Mib, NodeId, VmId, dice::Dice},
    planner::MEMORY_BRIM,
    sandbox::vmmanager::{Options, Pace, Running, Scale, SimNode, SimVm, SimVmManager, World},
    scheduler::{Scheduler, Settings},
    store::{HistoryFilter, JournalEntry, JournalState, Mode, Outcome, Store},
    vmmanager::{self, Credentials, Timing, VmManagerApi},
};

use crate::platform;

const WORLDS: u64 = 10;
const KILLS_PER_WORLD: u64 = 20;

/// After ten cycles that order nothing, everything is recorded.
const IDLE_REQUESTS: usize = 40;

/// Gives the child its folder and VMmanager's address. Without it the child's test does nothing.
const CHILD: &str = "VM_BALANCER_TEST_CHILD";

/// How many run at the same time, since each mostly waits.
const AT_ONE_TIME: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_two_hundred_points_nothing_is_lost_and_nothing_done_twice() {
    let mid_migration: usize = stream::iter(0..WORLDS)
        .map(killed_again_and_again)
        .buffer_unordered(AT_ONE_TIME)
        .collect::<Vec<_>>()
        .await
        .iter()
        .sum();
    assert!(mid_migration > 50, "only {mid_migration} kills were in the middle of a migration");
}

/// Returns how many of the kills were in the middle of a migration, or before its end was recorded.
async fn killed_again_and_again(world: u64) -> usize {
    let sim = start(world).await;
    let dir = TempDir::new().unwrap();
    let mut dice = Dice::new(world + 1);
    let mut mid_migration = 0;
    for _ in 0..KILLS_PER_WORLD {
        // After a request that is visible from outside and a short time more: within a request, between two writes.
        let requests = dice.remainder(50);
        let more = Duration::from_micros(dice.remainder(6000) as u64);
        if nothing_runs(&sim) && is_relieved(&sim) && nothing_is_open(dir.path()) {
            overload_again(&sim);
        }
        let mut child = spawn(dir.path(), &sim);
        after_requests(&sim, requests, &mut child).await;
        sleep(more).await;
        let running = !nothing_runs(&sim);
        child.kill().unwrap();
        child.wait().unwrap();
        mid_migration += usize::from(running || !nothing_is_open(dir.path()));
    }
    let mut child = spawn(dir.path(), &sim);
    relieved(&sim, &mut child).await;
    child.kill().unwrap();
    child.wait().unwrap();
    all_is_well(&sim, dir.path(), world);
    mid_migration
}

/// Runs in the process that is killed; not a test by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_that_is_killed() {
    let Some(told) = std::env::var_os(CHILD) else { return };
    let told = told.into_string().unwrap();
    let (dir, url) = told.split_once('|').unwrap();
    let settings = Settings { interval: Duration::from_millis(50), mode: Mode::Auto, ..Settings::default() };
    let store = Store::open_or_restore(Path::new(dir), Clock::system().now()).unwrap();
    let (scheduler, _handle) = Scheduler::new(settings, None, balancer(store, url));
    scheduler.run(CancellationToken::new()).await;
}

fn balancer(store: Store, url: &str) -> VmBalancer {
    let options = Options::default();
    let mut api = vmmanager::Settings::new(url.parse().unwrap(), Credentials::Token(options.token.into()));
    api.timing = Timing::short();
    let mut settings = platform::settings();
    settings.migration_cooldown = TimeDelta::zero();
    settings.policy.migrations_max = 4;
    settings.policy.parallel_max = 2;
    let parts = Parts {
        api: VmManagerApi::new(api).unwrap(),
        store,
        events: Events::new(),
        clock: Clock::system(),
        measure: None,
    };
    VmBalancer::new(settings, parts)
}

/// A world that needs many migrations.
async fn start(seed: u64) -> Running {
    let scale =
        Scale { seed, clusters: 2, nodes: 24, vms: 400, fill_percent: 50.0, overloaded_percent: 45.0 };
    let options = Options { pace: Pace::After(Duration::from_millis(60)), ..Options::default() };
    SimVmManager::start(World::generate(&scale), options).await.unwrap()
}

/// Puts small VMs on three nodes of each cluster until these are overloaded.
fn overload_again(sim: &Running) {
    let world = sim.world();
    for cluster in world.clusters.keys() {
        let nodes: Vec<_> =
            world.nodes.values().filter(|node| node.cluster == *cluster && is_open(node)).collect();
        for node in nodes.iter().take(3) {
            let mut used = node.memory_used.0;
            let elsewhere = |vm: &&SimVm| {
                vm.memory <= Mib(16 * 1024)
                    && nodes[3..].iter().any(|other| other.id == vm.node)
                    && is_movable(vm)
            };
            for vm in world.vms.values().filter(elsewhere).filter(|vm| sim.node_of(vm.id) == Some(vm.node)) {
                if used * 100 > node.memory.0 * 80 {
                    break;
                }
                used += vm.memory.0;
                sim.edit(|world| world.vms.get_mut(&vm.id).unwrap().node = node.id);
            }
        }
    }
}

/// Waits until all tasks are recorded: an ended task without a record would count as foreign.
fn nothing_is_open(dir: &Path) -> bool {
    let store = Store::open(dir).unwrap();
    store.open_entries().unwrap().is_empty() && store.open_proposals().unwrap().is_empty()
}

fn is_open(node: &SimNode) -> bool {
    !node.maintenance && !node.creation_blocked && node.state == "active" && node.vm_limit.is_none()
}

fn is_movable(vm: &SimVm) -> bool {
    vm.state == "active" && !vm.iso_mounted && vm.snapshots == 0 && vm.balancer_mode != "off"
}

fn spawn(dir: &Path, sim: &Running) -> Child {
    let told = format!("{}|{}", dir.display(), sim.url());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::the_child_that_is_killed"])
        .env(CHILD, told)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn after_requests(sim: &Running, requests: usize, child: &mut Child) {
    let before = sim.requests().len();
    alive_until(child, || sim.requests().len() >= before + requests).await;
}

async fn relieved(sim: &Running, child: &mut Child) {
    let began = sim.requests().len();
    let is_idle = || {
        let requests = sim.requests();
        let newest: Vec<_> = requests[began..].iter().rev().take(IDLE_REQUESTS).collect();
        newest.len() == IDLE_REQUESTS && newest.iter().all(|request| is_of_a_look(&request.line()))
    };
    alive_until(child, || is_relieved(sim) && nothing_runs(sim) && is_idle()).await;
}

/// Returns whether a request is more than a list: the bot orders, searches or watches.
fn is_of_a_look(line: &str) -> bool {
    !["/history", "/migrate", "consul_id", "id EQ", "id%20EQ", "id+EQ", "/task/"]
        .iter()
        .any(|other| line.contains(other))
}

/// A node that is a hair over its threshold waits longer than this test.
fn is_relieved(sim: &Running) -> bool {
    sim.world().nodes_above(70.0 + MEMORY_BRIM).is_empty()
}

fn nothing_runs(sim: &Running) -> bool {
    sim.tasks().iter().all(|task| ["complete", "failed"].contains(&task.status.as_str()))
}

async fn alive_until(child: &mut Child, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert_eq!(child.try_wait().unwrap(), None, "the child ended by itself");
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain for the child");
        sleep(Duration::from_micros(300)).await;
    }
}

fn all_is_well(sim: &Running, dir: &Path, world: u64) {
    let store = Store::open(dir).unwrap();
    assert!(!store.settings().unwrap().restored_unconfirmed, "world {world}: a kill is no damage");
    assert_eq!(sim.violations(), [], "world {world}");
    assert_eq!(store.open_entries().unwrap(), [], "world {world}");
    assert_eq!(store.open_proposals().unwrap(), [], "world {world}");
    let history = store.history(&HistoryFilter::default(), usize::MAX).unwrap();
    each_order_is_one_entry(sim, &history, world);
    let outcomes =
        |wanted| history.iter().filter(|entry| entry.outcome().is_some_and(|(o, _)| o == wanted)).count();
    assert_eq!(outcomes(Outcome::Done), sim.orders().len(), "world {world}");
    assert_eq!(outcomes(Outcome::Failed) + outcomes(Outcome::Lost), 0, "world {world}");
}

/// Checks that each order belongs to one intent, and that each ordered intent was ordered once.
fn each_order_is_one_entry(sim: &Running, history: &[JournalEntry], world: u64) {
    let ordered: Vec<_> = history.iter().filter(|entry| was_ordered(entry)).collect();
    let orders = sim.orders();
    assert!(orders.len() > 5, "world {world}: there was work");
    // A migration that was found by the VM's place has no number. A VM has at most one migration at a time.
    let (numbered, unnumbered): (Vec<_>, Vec<_>) =
        ordered.into_iter().partition(|entry| entry.task_numbers() != (None, None));
    let tasks: BTreeMap<_, _> = sim.tasks().iter().map(|task| (task.consul_id, task.id)).collect();
    let mut rest = BTreeMap::new();
    for order in &orders {
        let task = tasks.get(&order.consul_id).copied();
        let is_its = |entry: &&&JournalEntry| {
            let (consul_id, task_id) = entry.task_numbers();
            consul_id == Some(order.consul_id) || (task_id.is_some() && task_id == task)
        };
        match numbered.iter().filter(is_its).collect::<Vec<_>>().as_slice() {
            [] => *rest.entry((order.vm, order.source, order.target)).or_insert(0) += 1,
            [entry] => assert_eq!(moved(entry), (order.vm, order.source, order.target), "world {world}"),
            several => unreachable!("world {world}: {order:?} is in the history twice: {several:?}"),
        }
    }
    let without_number = orders.len() - numbered.len();
    assert_eq!(rest.values().sum::<usize>(), without_number, "world {world}: each entry has its order");
    let mut found: BTreeMap<_, usize> = BTreeMap::new();
    for entry in unnumbered {
        *found.entry(moved(entry)).or_default() += 1;
    }
    assert_eq!(found, rest, "world {world}: each order is in the history, and each is there once");
}

fn moved(entry: &JournalEntry) -> (VmId, NodeId, NodeId) {
    (entry.vm, entry.source, entry.target)
}

fn was_ordered(entry: &JournalEntry) -> bool {
    matches!(entry.state, JournalState::Closed { ordered: true, .. })
}
