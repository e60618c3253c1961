//! What a bot costs that has nothing to do: until it asks Telegram for the first time, in memory, and in CPU time
//! between two looks. `cargo test --release --bench idle -- --nocapture`; with `BENCH_QUIET=10` it is watched for ten
//! seconds instead of a minute. `BENCH_PROGRAM=target/dist/vm-balancer` measures another build of it, as packages have it.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench says no by panicking, prints what it measured, and is told how long to watch"
)]

#[expect(dead_code, reason = "other benches need the rest of it")]
#[path = "support/process.rs"]
mod process;

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;
use vm_balancer::sandbox::{
    telegram::{self, ADMIN, SimTelegram},
    vmmanager::{Options, Running, Scale, SimVmManager, World},
};

/// Nodes, VMs, and the most memory in MiB.
const BARS: [(usize, usize, f64); 2] = [(12, 300, 25.0), (1000, 50_000, 60.0)];

/// As the unit of systemd and the image set it.
const MALLOC: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "1048576"), ("MALLOC_TRIM_THRESHOLD_", "1048576")];

const FIRST_POLL_MAX: Duration = Duration::from_millis(200);

/// The most CPU time of a quiet minute.
const CPU_MAX: Duration = Duration::from_millis(60);

/// A look and what follows it are over after this time at the latest.
const SETTLED: Duration = Duration::from_secs(15);

/// Memory is judged after this many looks: the first one alone says little.
const LOOKS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_has_nothing_to_do() {
    let quiet = std::env::var("BENCH_QUIET").map_or(60, |seconds| seconds.parse().unwrap());
    let quiet = Duration::from_secs(quiet);
    // libtest has written the name of the test without an end of the line.
    println!();
    println!(
        "| nodes | VMs | first poll | memory after {LOOKS} looks, MiB | of it not the program file's, MiB | most, MiB | CPU in {quiet:?} of quiet |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut missed = Vec::new();
    for (nodes, vms, memory_max) in BARS {
        let world = World::generate(&Scale {
            nodes,
            vms,
            clusters: nodes.div_ceil(100),
            overloaded_percent: 0.0,
            ..Scale::default()
        });
        let platform = SimVmManager::start(world, Options::default()).await.unwrap();
        let telegram = SimTelegram::start(telegram::Options::default()).await.unwrap();
        let dir = TempDir::new().unwrap();
        let began = Instant::now();
        let mut bot = start(&platform, &telegram, &dir, SETTLED + quiet);
        telegram.handle().wait_for_poll(0).await.unwrap();
        let first_poll = began.elapsed();
        while looks(&platform) < LOOKS {
            sleep(Duration::from_millis(100)).await;
        }
        sleep(SETTLED - Duration::from_secs(5)).await;
        let (resident, most) = (process::memory(bot.id(), "VmRSS"), process::memory(bot.id(), "VmHWM"));
        let own = process::memory(bot.id(), "RssAnon");
        let before = process::cpu(bot.id());
        sleep(quiet).await;
        let cpu = process::cpu(bot.id()).saturating_sub(before);
        assert_eq!(looks(&platform), LOOKS, "it was not quiet");
        bot.kill().unwrap();
        bot.wait().unwrap();
        println!("| {nodes} | {vms} | {first_poll:.0?} | {resident:.1} | {own:.1} | {most:.1} | {cpu:?} |");
        let is_met = first_poll <= FIRST_POLL_MAX && resident <= memory_max && cpu <= CPU_MAX;
        missed.extend((!is_met).then_some((nodes, vms)));
    }
    assert!(cfg!(debug_assertions) || missed.is_empty(), "a bar is missed at {missed:?}");
}

fn start(platform: &Running, telegram: &telegram::Running, dir: &TempDir, interval: Duration) -> Child {
    let Options { username, password, .. } = platform.options();
    let program = std::env::var_os("BENCH_PROGRAM");
    Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_vm-balancer").into()))
        .current_dir(dir.path())
        .envs(MALLOC)
        .env("VMMANAGER_HOST", platform.url())
        .env("VMMANAGER_USERNAME", username)
        .env("VMMANAGER_PASSWORD", password)
        .env("TELEGRAM_BOT_TOKEN", telegram.token())
        .env("TELEGRAM_API_URL", telegram.url())
        .env("TELEGRAM_CHAT_ID", ADMIN.to_string())
        .env("BALANCE_INTERVAL", interval.as_secs().to_string())
        .env("WATCH_INTERVAL", "0")
        .env("DATA_DIR", dir.path().join("data"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap()
}

fn looks(platform: &Running) -> usize {
    platform.count_requests("GET /vm/v3/host")
}
