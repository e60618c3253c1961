//! What orders cost: the real program carries out a plan at once, and the simulated VMmanager counts what it is asked:
//! `cargo test --release --bench orders -- --nocapture`.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench says no by panicking, and prints what it measured"
)]

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use vm_balancer::sandbox::vmmanager::{Options, Pace, RequestSeen, Running, Scale, SimVmManager, World};

const NODES: usize = 200;
const VMS: usize = 6000;

/// How many orders are given at most.
const ORDERS: [usize; 2] = [50, 200];

/// The share of nodes that are overloaded, in percent: enough for so many orders.
const OVERLOADED: f64 = 45.0;

/// The most requests for each order: the history and the form of its VM, and the order. A few are asked again.
const EACH_MAX: f64 = 3.2;

/// How long a migration takes.
const MIGRATION: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_orders_cost() {
    // libtest has written the name of the test without an end of the line.
    println!();
    println!(
        "| nodes | VMs | orders | took | requests for each order | lists of VMs | lists of tasks | others |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for orders in ORDERS {
        let world = World::generate(&Scale {
            nodes: NODES,
            vms: VMS,
            overloaded_percent: OVERLOADED,
            ..Scale::default()
        });
        let options = Options { pace: Pace::After(MIGRATION), ..Options::default() };
        let platform = SimVmManager::start(world, options).await.unwrap();
        let began = Instant::now();
        once(&platform, orders).await;
        let took = began.elapsed();
        let given = platform.orders().len();
        let seen: Vec<_> = platform.requests().iter().map(RequestSeen::line).collect();
        let count = |is: &dyn Fn(&str) -> bool| seen.iter().filter(|line| is(line)).count();
        let of_orders = count(&|line| line.contains("/vm/v3/host/"));
        let lists = count(&|line| line == "GET /vm/v3/host");
        let tasks = count(&|line| line.contains("/vm/v3/task?"));
        let each = of_orders as f64 / given as f64;
        println!(
            "| {NODES} | {VMS} | {given} | {took:.1?} | {each:.2} | {lists} | {tasks} | {} |",
            seen.len() - of_orders - lists - tasks
        );
        assert!(given > orders / 2, "{given} orders");
        assert!(each <= EACH_MAX, "{each} requests for each order");
        assert_eq!(platform.violations(), []);
    }
}

/// Carries out one plan, with as many migrations side by side as its nodes allow.
async fn once(platform: &Running, orders: usize) {
    let dir = TempDir::new().unwrap();
    let Options { username, password, .. } = platform.options();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vm-balancer"));
    command
        .arg("--once")
        .current_dir(dir.path())
        .env("VMMANAGER_HOST", platform.url())
        .env("VMMANAGER_USERNAME", username)
        .env("VMMANAGER_PASSWORD", password)
        .env("MAX_MIGRATIONS_PER_CYCLE", orders.to_string())
        .env("MAX_PARALLEL_MIGRATIONS", orders.to_string())
        .env("DATA_DIR", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");
}
