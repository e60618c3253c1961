//! What one whole cycle costs and what its parts do, and the Python tool's cycle on the same server:
//! `PYTHON_TOOL=/tmp/python/bin/vm-balancer cargo test --release --bench cycle -- --nocapture`.
//! Without `PYTHON_TOOL` ours alone. Needs GNU time.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench says no by panicking, prints what it measured, and is told where the Python tool is"
)]

#[expect(dead_code, reason = "other benches need the rest of it")]
#[path = "support/canned.rs"]
mod canned;
#[path = "support/scales.rs"]
mod scales;

use std::{
    fs,
    hint::black_box,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use canned::{Canned, PASSWORD, USERNAME};
use chrono::DateTime;
use scales::scales;
use serde::de::IgnoredAny;
use tempfile::TempDir;
use vm_balancer::planner::{self, Policy};

const ROUNDS: usize = 5;

/// The Python tool takes minutes for the largest world.
const PYTHON_ROUNDS: usize = 2;

/// What a cycle may take of the Python tool's time, from this many VMs on, and of its memory.
const TIME_MAX: [(usize, f64); 2] = [(50_000, 1.0 / 15.0), (0, 1.0 / 6.0)];
const MEMORY_MAX: (usize, f64) = (50_000, 1.0 / 5.0);

/// The longest that a look may take, in bare fetches and parses of the same bytes.
const BARE_MAX: f64 = 3.0;

/// One run of a program: how long it took, and the most memory that it had, in MiB.
#[derive(Clone, Copy)]
struct Run {
    took: Duration,
    peak: f64,
}

/// How long the parts of a cycle take.
struct Parts {
    bare: Duration,
    look: Duration,
    plan: Duration,
    check: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_cycle() {
    let python = std::env::var("PYTHON_TOOL").ok();
    // libtest has written the name of the test without an end of the line.
    println!();
    println!(
        "| nodes | VMs | MiB of JSON | cycle | peak, MiB | look | bare fetch and parse | plan | check | Python tool | its peak, MiB | \
         time, ours of its | memory, ours of its |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let (mut measured, mut missed) = (Vec::<(usize, Run, Parts)>::new(), Vec::new());
    for (nodes, vms) in scales() {
        let server = Canned::of(*nodes, *vms).await;
        let dir = TempDir::new().unwrap();
        let login = format!("VMMANAGER_USERNAME={USERNAME}\nVMMANAGER_PASSWORD={PASSWORD}\n");
        fs::write(dir.path().join(".env"), format!("VMMANAGER_HOST={}\n{login}", server.url())).unwrap();
        let ours = best(ROUNDS, env!("CARGO_BIN_EXE_vm-balancer"), dir.path()).await;
        let theirs = match &python {
            Some(tool) => Some(best(PYTHON_ROUNDS, tool, dir.path()).await),
            None => None,
        };
        let parts = parts(&server).await;
        let Parts { bare, look, plan, check } = &parts;
        let mib = server.bytes() as f64 / 1_048_576.0;
        let beside = theirs.map_or("| | | |".to_owned(), |theirs| {
            let (time, memory) = ratios(&ours, &theirs);
            format!("{:.2?} | {:.1} | {time:.3} | {memory:.3} |", theirs.took, theirs.peak)
        });
        println!(
            "| {nodes} | {vms} | {mib:.1} | {:.2?} | {:.1} | {look:.2?} | {bare:.2?} | {plan:.2?} | {check:.2?} | {beside}",
            ours.took, ours.peak
        );
        missed.extend(judge(*vms, &ours, theirs.as_ref(), &parts));
        measured.push((*vms, ours, parts));
    }
    println!();
    println!("| VMs, times | cycle | look | plan | peak |");
    println!("| --- | --- | --- | --- | --- |");
    for (before, after) in measured.iter().zip(&measured[1..]) {
        let times = |before: Duration, after: Duration| after.as_secs_f64() / before.as_secs_f64();
        println!(
            "| {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            after.0 as f64 / before.0 as f64,
            times(before.1.took, after.1.took),
            times(before.2.look, after.2.look),
            times(before.2.plan, after.2.plan),
            after.1.peak / before.1.peak,
        );
    }
    assert!(cfg!(debug_assertions) || missed.is_empty(), "{missed:?}");
}

/// Runs a program's single dry cycle a few times; returns the shortest time and the smallest peak.
async fn best(rounds: usize, program: &str, dir: &Path) -> Run {
    let mut best = Run { took: Duration::MAX, peak: f64::MAX };
    for _ in 0..rounds {
        let (program, dir) = (program.to_owned(), dir.to_owned());
        let run = tokio::task::spawn_blocking(move || once(&program, &dir)).await.unwrap();
        best = Run { took: best.took.min(run.took), peak: best.peak.min(run.peak) };
    }
    best
}

fn once(program: &str, dir: &Path) -> Run {
    let measured = dir.join("measured");
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "%M", "-o"]).arg(&measured).args([program, "--once", "--dry-run"]);
    let began = Instant::now();
    let status = command.current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let took = began.elapsed();
    assert!(status.success(), "{program}: {status}");
    let kib: f64 = fs::read_to_string(&measured).unwrap().trim().parse().unwrap();
    Run { took, peak: kib / 1024.0 }
}

async fn parts(server: &Canned) -> Parts {
    let api = server.api();
    let (mut look, mut bare) = (Duration::MAX, Duration::MAX);
    let mut snapshot = None;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        snapshot = Some(api.look(DateTime::UNIX_EPOCH).await.unwrap().snapshot);
        look = look.min(began.elapsed());
        let parse = |body: &[u8]| {
            black_box(serde_json::from_slice::<IgnoredAny>(body).unwrap());
        };
        bare = bare.min(server.bare(parse).await);
    }
    let (snapshot, policy) = (snapshot.unwrap(), Policy::default());
    let began = Instant::now();
    let made = planner::plan(&snapshot, &policy);
    let plan = began.elapsed();
    let began = Instant::now();
    for cluster in &made.clusters {
        assert_eq!(planner::check(&snapshot, &policy, cluster), []);
    }
    Parts { bare, look, plan, check: began.elapsed() }
}

fn ratios(ours: &Run, theirs: &Run) -> (f64, f64) {
    (ours.took.as_secs_f64() / theirs.took.as_secs_f64(), ours.peak / theirs.peak)
}

/// Returns the bars that are missed at this size.
fn judge(vms: usize, ours: &Run, theirs: Option<&Run>, parts: &Parts) -> Vec<String> {
    let in_bares = parts.look.as_secs_f64() / parts.bare.as_secs_f64();
    let mut missed = Vec::new();
    if in_bares > BARE_MAX {
        missed.push(format!("{vms} VMs: a look takes {in_bares:.2} bare parses"));
    }
    let Some(theirs) = theirs else { return missed };
    let (time, memory) = ratios(ours, theirs);
    let bar = TIME_MAX.iter().find(|(from, _)| vms >= *from).map_or(1.0, |(_, bar)| *bar);
    if time > bar {
        missed.push(format!("{vms} VMs: {time:.3} of the Python tool's time, {bar:.3} are allowed"));
    }
    if vms >= MEMORY_MAX.0 && memory > MEMORY_MAX.1 {
        missed.push(format!("{vms} VMs: {memory:.3} of the Python tool's memory"));
    }
    missed
}
