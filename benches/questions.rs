//! How long people wait for answers while a cycle runs and twenty of them ask at once:
//! `cargo test --release --bench questions -- --nocapture`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench says no by panicking, and prints what it measured"
)]

#[path = "support/process.rs"]
mod process;
#[path = "support/scales.rs"]
mod scales;

use std::time::{Duration, Instant};

use scales::scales;
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
    // libtest has written the name of the test without an end of the line.
    println!();
    println!("| nodes | VMs | p99 | last | more memory than before, MiB |");
    println!("| --- | --- | --- | --- | --- |");
    for &(nodes, vms) in scales() {
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
    let resident = || process::memory(std::process::id(), "VmRSS");
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
    let grown = resident() - before;
    println!("| {nodes} | {vms} | {p99:.2?} | {last:.2?} | {grown:.1} |");
    if !cfg!(debug_assertions) {
        assert!(p99 < Duration::from_millis(100) && last < Duration::from_secs(1), "{p99:?} {last:?}");
    }
}
