//! How long people wait for answers while a cycle runs and twenty of them ask at once:
//! `cargo test --release --bench questions -- --nocapture`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench says no by panicking, and prints what it measured"
)]

use std::{
    fs,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use vm_balancer::{
    balancer::{Parts, Settings, VmBalancer},
    clock::Clock,
    event::Events,
    sandbox::vmmanager::{Options, Scale, SimVmManager, World},
    scheduler::{self, Handle, Scheduler},
    store::{Mode, Store},
    vmmanager::{self, Credentials, Timing, VmManagerApi},
};

const PEOPLE: usize = 20;
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_people_ask_while_cycles_run() {
    for (nodes, vms) in [(12, 300), (100, 5000), (1000, 50_000)] {
        let sim = SimVmManager::start(
            World::generate(&Scale { nodes, vms, ..Scale::default() }),
            Options::default(),
        )
        .await
        .unwrap();
        let dir = TempDir::new().unwrap();
        let Options { username, password, .. } = sim.options();
        let credentials = Credentials::Password { username, password: password.into() };
        let mut settings = vmmanager::Settings::new(sim.url().parse().unwrap(), credentials);
        settings.timing = Timing::short();
        settings.timing.request_timeout = Duration::from_secs(60);
        let parts = Parts {
            api: VmManagerApi::new(settings).unwrap(),
            store: Store::open(dir.path()).unwrap(),
            events: Events::new(),
            clock: Clock::system(),
            measure: None,
        };
        let often = scheduler::Settings {
            interval: Duration::from_millis(100),
            watch: None,
            mode: Mode::Off,
            ..scheduler::Settings::default()
        };
        let (scheduler, handle) = Scheduler::new(often, None, VmBalancer::new(Settings::default(), parts));
        let stop = CancellationToken::new();
        let running = tokio::spawn(scheduler.run(stop.clone()));
        while handle.status().await.unwrap().last_cycle.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        measure(&handle, nodes, vms).await;
        stop.cancel();
        running.await.unwrap();
    }
}

async fn measure(handle: &Handle, nodes: usize, vms: usize) {
    let (before, mut waits) = (resident(), Vec::new());
    for _ in 0..ROUNDS {
        let asked = (0..PEOPLE).map(|_| async {
            let began = Instant::now();
            let status = handle.glance().await.unwrap();
            let clusters = status.picture.as_ref().map(|picture| picture.overviews().len());
            assert!(clusters.is_some_and(|clusters| clusters > 0));
            began.elapsed()
        });
        waits.extend(futures::future::join_all(asked).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    waits.sort_unstable();
    let (p99, last) = (waits[waits.len() * 99 / 100 - 1], waits[waits.len() - 1]);
    let grown = resident().saturating_sub(before) / 1_048_576;
    println!(
        "{nodes:>5} nodes {vms:>7} VMs: p99 {p99:>9.2?}, last {last:>9.2?}, {grown} MiB more than before"
    );
    if !cfg!(debug_assertions) {
        assert!(p99 < Duration::from_millis(100) && last < Duration::from_secs(1), "{p99:?} {last:?}");
    }
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
