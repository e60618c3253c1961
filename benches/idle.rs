//! What a bot costs that has nothing to do: until it asks Telegram for the first time, in memory, and in CPU time
//! between two looks. `cargo test --release --bench idle -- --nocapture`; with `BENCH_QUIET=10` it is watched for ten
//! seconds instead of a minute. `BENCH_PROGRAM=target/dist/vm-balancer` measures another build of it, as packages have it.
//!
//! Both platforms are watched in the same minute. The looks before it follow each other quickly: then SIGHUP makes the
//! time between them long, so that nobody waits for them.
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

/// From one look to the next before the quiet time, in seconds: a look and what follows it are over by then.
const LOOK_EVERY: u64 = 5;

/// From one look to the next in the quiet time, in seconds.
const QUIET_EVERY: u64 = 3600;

/// What a look and SIGHUP leave to be done is done after this time.
const SETTLED: Duration = Duration::from_secs(10);

/// The longest that is waited for a look.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let mut bots = Vec::new();
    for (nodes, vms, _) in BARS {
        bots.push(Bot::start(nodes, vms).await);
    }
    sleep(SETTLED).await;
    let before: Vec<_> =
        bots.iter().map(|bot| (bot.platform.requests(), process::cpu(bot.child.id()))).collect();
    sleep(quiet).await;
    let mut missed = Vec::new();
    for (((nodes, vms, memory_max), bot), (requests, cpu)) in BARS.into_iter().zip(&bots).zip(before) {
        let pid = bot.child.id();
        let cpu = process::cpu(pid).saturating_sub(cpu);
        let [resident, own, most] = ["VmRSS", "RssAnon", "VmHWM"].map(|figure| process::memory(pid, figure));
        assert_eq!(bot.platform.requests(), requests, "it was not quiet");
        let first_poll = bot.first_poll;
        println!("| {nodes} | {vms} | {first_poll:.0?} | {resident:.1} | {own:.1} | {most:.1} | {cpu:?} |");
        let is_met = first_poll <= FIRST_POLL_MAX && resident <= memory_max && cpu <= CPU_MAX;
        missed.extend((!is_met).then_some((nodes, vms)));
    }
    assert!(cfg!(debug_assertions) || missed.is_empty(), "a bar is missed at {missed:?}");
}

struct Bot {
    child: Child,
    first_poll: Duration,
    platform: Platform,
    /// Lasts as long as the bot.
    _telegram: telegram::Running,
    dir: TempDir,
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A simulated VMmanager with nothing to relieve.
struct Platform(Running);

impl Platform {
    fn looks(&self) -> usize {
        self.0.count_requests("GET /vm/v3/host")
    }

    fn requests(&self) -> usize {
        self.0.requests().len()
    }
}

impl Bot {
    /// Starts the program, and returns when it has looked a few times and will not look for a long time.
    async fn start(nodes: usize, vms: usize) -> Self {
        let clusters = nodes.div_ceil(100);
        let scale = Scale { nodes, vms, clusters, overloaded_percent: 0.0, ..Scale::default() };
        let platform =
            Platform(SimVmManager::start(World::generate(&scale), Options::default()).await.unwrap());
        let telegram = SimTelegram::start(telegram::Options::default()).await.unwrap();
        let dir = TempDir::new().unwrap();
        look_every(&dir, LOOK_EVERY);
        let began = Instant::now();
        let child = start(&platform.0, &telegram, &dir);
        telegram.handle().wait_for_poll(0).await.unwrap();
        let first_poll = began.elapsed();
        let bot = Self { child, first_poll, platform, _telegram: telegram, dir };
        let began = Instant::now();
        while bot.platform.looks() < LOOKS {
            assert!(began.elapsed() < PATIENCE, "no look came");
            sleep(Duration::from_millis(100)).await;
        }
        look_every(&bot.dir, QUIET_EVERY);
        let hangup = Command::new("kill").args(["-HUP", &bot.child.id().to_string()]).status().unwrap();
        assert!(hangup.success());
        sleep(Duration::from_secs(LOOK_EVERY)).await;
        assert_eq!(bot.platform.looks(), LOOKS, "SIGHUP did not make the looks rare");
        bot
    }
}

/// Writes the part of the configuration that SIGHUP reads again.
fn look_every(dir: &TempDir, seconds: u64) {
    fs::write(dir.path().join(".env"), format!("BALANCE_INTERVAL={seconds}\n")).unwrap();
}

fn start(platform: &Running, telegram: &telegram::Running, dir: &TempDir) -> Child {
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
        .env("WATCH_INTERVAL", "0")
        .env("DATA_DIR", dir.path().join("data"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap()
}
