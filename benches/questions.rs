//! How long people wait for answers of the real program, and what twenty of them who ask at once cost it:
//! `cargo test --release --bench questions -- --nocapture`.
//!
//! People write and press in the simulated Telegram, and the program looks at a server that repeats recorded lists. What
//! counts is the first word: the answer, or that it takes a while. The load is measured twice: as the disk is, and with a
//! writer beside that makes the disk busy. `BENCH_BEFORE=PATH` measures another build of the program in the same run.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench says no by panicking, prints what it measured, and is told what else to measure"
)]

#[expect(dead_code, reason = "other benches need the rest of it")]
#[path = "support/canned.rs"]
mod canned;
#[expect(dead_code, reason = "other benches need the rest of it")]
#[path = "support/process.rs"]
mod process;
#[path = "support/scales.rs"]
mod scales;

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use canned::Canned;
use chrono::Timelike as _;
use futures::future::join_all;
use scales::scales;
use tempfile::TempDir;
use tokio::{sync::broadcast, time::sleep};
use vm_balancer::{
    clock::Clock,
    sandbox::telegram::{CROWD, Change, Options, Running, SimMessage, SimTelegram},
    store::{JournalEntry, Store},
};

const PEOPLE: u16 = 20;

/// What they write in turn while cycles run: each of them each of these. The last ones change something or make a plan.
const WRITTEN: [&str; 18] = [
    "/status",
    "/running",
    "/node 1",
    "/vm 1000",
    "/why 1000",
    "/history",
    "/settings",
    "/rests",
    "/exclusions",
    "/help",
    "/exclude 7 target 2h",
    "/include 7",
    "/mode off",
    "/lang en",
    "/audit",
    "/whatif lose 7",
    "/drain 7",
    PLAN,
];

/// Makes a plan with buttons.
const PLAN: &str = "/balance 1";

/// What every other person presses under a plan, in this order: to plan anew, and to decide.
const BUTTONS: [&str; 2] = ["Refresh", REJECT];

const REJECT: &str = "Reject";

/// What the others press: the plan is approved like any other and begins when the window opens. That is not within this
/// bench, for the server cannot move a VM. Whoever just planned anew has to read the plan first, so this comes alone.
const APPROVE: &str = "Approve, run in the window";

/// What the message of an approved plan says.
const APPROVED: &str = "Approved by";

/// So many hours from this moment the window opens, for an hour.
const WINDOW_IN: u32 = 12;

/// How many migrations are watched meanwhile.
const WATCHED: u64 = 50;

/// A picture is older than a few seconds after this.
const STALE: Duration = Duration::from_secs(7);

const P99_MAX: Duration = Duration::from_millis(100);
const LAST_MAX: Duration = Duration::from_secs(1);

/// Up to so many VMs, in MiB.
const MEMORY_MAX: (usize, f64) = (50_000, 20.0);

/// What the writer beside puts on the disk at a time, in MiB.
const BUSY_MIB: usize = 8;

/// The longest that is waited for a plan.
const PLAN_PATIENCE: Duration = Duration::from_secs(5);

/// The longest that is waited for an answer, or for a cycle.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_people_ask_at_once() {
    // libtest has written the name of the test without an end of the line.
    println!();
    println!(
        "| nodes | VMs | build | last of {PEOPLE} `/status` at once | looks for them | peak above before, MiB | while cycles run \
         and {WATCHED} migrations are watched: p99 | last | slowest | presses: p99 | last | slowest | the same on a busy disk: p99 | last | \
         slowest | presses: p99 | last | slowest |"
    );
    println!("|{}", " --- |".repeat(18));
    let mut missed = Vec::new();
    let before = std::env::var("BENCH_BEFORE").ok();
    for &(nodes, vms) in scales() {
        if let Some(before) = &before {
            measure(nodes, vms, ("before", before)).await;
        }
        let is_met = measure(nodes, vms, ("this", env!("CARGO_BIN_EXE_vm-balancer"))).await;
        missed.extend((!is_met).then_some((nodes, vms)));
    }
    assert!(cfg!(debug_assertions) || missed.is_empty(), "a bar is missed at {missed:?}");
}

/// Measures one build and prints its row; tells whether every bar is met.
async fn measure(nodes: usize, vms: usize, (build, program): (&str, &str)) -> bool {
    let Quiet { last, looks, grown } = at_once(nodes, vms, program).await;
    let loads = [
        under_load(nodes, vms, program, Disk::AsItIs).await,
        under_load(nodes, vms, program, Disk::Busy).await,
    ];
    let columns =
        loads.iter().map(|Busy { p99, slowest: (slowest, what), presses, slowest_press: (last, which) }| {
            format!("{p99:.2?} | {slowest:.2?} | `{what}` | {presses:.2?} | {last:.2?} | {which} |")
        });
    let columns: Vec<_> = columns.collect();
    println!("| {nodes} | {vms} | {build} | {last:.2?} | {looks} | {grown:.1} | {}", columns.join(" "));
    let is_quick = |it: &Busy| it.p99 <= P99_MAX && it.presses <= P99_MAX && it.slowest.0 <= LAST_MAX;
    let is_small = vms > MEMORY_MAX.0 || grown <= MEMORY_MAX.1;
    last <= LAST_MAX && looks <= 1 && is_small && loads.iter().all(is_quick)
}

struct Quiet {
    last: Duration,
    looks: usize,
    grown: f64,
}

/// All ask for the status where the picture is old and nothing else happens.
async fn at_once(nodes: usize, vms: usize, program: &str) -> Quiet {
    let bot = Bot::start(nodes, vms, program, Duration::from_secs(3600), 0).await;
    bot.cycles(1).await;
    sleep(STALE).await;
    let pid = bot.child.id();
    process::forget_peak(pid);
    let (before, looks) = (process::memory(pid, "VmRSS"), bot.platform.looks());
    let asked = (0..PEOPLE).map(|person| bot.ask(CROWD + i64::from(person), "/status"));
    let last = join_all(asked).await.into_iter().map(|(_, took)| took).max().unwrap();
    sleep(STALE).await;
    let grown = process::memory(pid, "VmHWM") - before;
    Quiet { last, looks: bot.platform.looks() - looks, grown }
}

struct Busy {
    p99: Duration,
    slowest: (Duration, &'static str),
    /// Until a press is answered, p99 and the slowest.
    presses: Duration,
    slowest_press: (Duration, &'static str),
}

/// What else is done with the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disk {
    AsItIs,
    Busy,
}

/// All write one thing after another and press, while one cycle follows the other.
async fn under_load(nodes: usize, vms: usize, program: &str, disk: Disk) -> Busy {
    let bot = Bot::start(nodes, vms, program, Duration::from_secs(1), WATCHED).await;
    bot.cycles(2).await;
    let _writer = (disk == Disk::Busy).then(|| Writer::beside(bot.dir.path()));
    let people = (0..PEOPLE).map(|person| bot.talk(CROWD + i64::from(person), usize::from(person)));
    let (mut answers, mut presses, mut approved) = (Vec::new(), Vec::new(), 0);
    for said in join_all(people).await {
        answers.extend(said.answers);
        presses.extend(said.presses);
        approved += said.approved;
    }
    answers.sort_unstable();
    presses.sort_unstable();
    let plans = answers.iter().filter(|(_, what)| *what == PLAN).count();
    assert!(presses.len() > plans, "hardly anything could be pressed: {} buttons", presses.len());
    // Where the disk is slow, most plans make room for another person's before their approval is read.
    assert!(approved > 0, "nothing was approved of {plans} plans");
    let p99 = answers[answers.len() * 99 / 100 - 1].0;
    let slowest_press = *presses.last().unwrap();
    let presses = presses[presses.len() * 99 / 100 - 1].0;
    Busy { p99, slowest: *answers.last().unwrap(), presses, slowest_press }
}

/// What one person was answered, and how long that took.
#[derive(Default)]
struct Said {
    answers: Vec<(Duration, &'static str)>,
    presses: Vec<(Duration, &'static str)>,
    /// How many approvals were counted.
    approved: usize,
}

struct Bot {
    child: Child,
    platform: Canned,
    telegram: Running,
    dir: TempDir,
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Bot {
    async fn start(nodes: usize, vms: usize, program: &str, interval: Duration, watched: u64) -> Self {
        let platform = Canned::with_running(nodes, vms, watched).await;
        let telegram = SimTelegram::start(Options { crowd: PEOPLE, ..Options::default() }).await.unwrap();
        let dir = TempDir::new().unwrap();
        leave_open(&dir, watched);
        let people: Vec<_> = (0..i64::from(PEOPLE)).map(|person| (CROWD + person).to_string()).collect();
        let child = Command::new(program)
            .current_dir(dir.path())
            .env("VMMANAGER_HOST", platform.url())
            .env("VMMANAGER_USERNAME", canned::USERNAME)
            .env("VMMANAGER_PASSWORD", canned::PASSWORD)
            .env("TELEGRAM_BOT_TOKEN", telegram.token())
            .env("TELEGRAM_API_URL", telegram.url())
            .env("TELEGRAM_CHAT_ID", CROWD.to_string())
            .env("TELEGRAM_ADMIN_IDS", people.join(","))
            .env("BALANCE_MODE", "off")
            .env("BALANCE_WINDOW", window_later())
            .env("BALANCE_INTERVAL", interval.as_secs().to_string())
            .env("WATCH_INTERVAL", "0")
            .env("DATA_DIR", dir.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        telegram.handle().wait_for_poll(0).await.unwrap();
        Self { child, platform, telegram, dir }
    }

    /// Waits until there were so many looks, and then for what follows a look.
    async fn cycles(&self, count: usize) {
        let began = Instant::now();
        while self.platform.looks() < count {
            assert!(began.elapsed() < PATIENCE, "no cycle came");
            sleep(Duration::from_millis(50)).await;
        }
        sleep(Duration::from_secs(3)).await;
    }

    /// Asks something, and returns the answer and how long it took.
    async fn ask(&self, person: i64, question: &str) -> (SimMessage, Duration) {
        let changes = self.telegram.handle().changes();
        let began = Instant::now();
        self.telegram.handle().say(person, person, question).unwrap();
        let bot = self.telegram.handle().bot().id;
        let answer = first(changes, |change| match change {
            Change::Message { message } if message.chat == person && message.from.id == bot => Some(*message),
            _ => None,
        });
        (answer.await, began.elapsed())
    }

    /// Presses a button; returns how long its answer took.
    async fn press(&self, person: i64, message: i64, button: &str) -> Duration {
        let changes = self.telegram.handle().changes();
        let began = Instant::now();
        self.telegram.handle().press_only(person, person, message, button).unwrap();
        first(changes, |change| match change {
            Change::Answer(answer) if answer.user == person => Some(()),
            _ => None,
        })
        .await;
        began.elapsed()
    }

    /// Writes one thing after another, and presses what there is to press.
    async fn talk(&self, person: i64, begins_at: usize) -> Said {
        let mut said = Said::default();
        let decides = if begins_at.is_multiple_of(2) { &BUTTONS[..] } else { &[APPROVE][..] };
        for round in 0..WRITTEN.len() {
            let written = WRITTEN[(begins_at + round) % WRITTEN.len()];
            let (mut answer, took) = self.ask(person, written).await;
            said.answers.push((took, written));
            if written == PLAN {
                answer = self.plan_after(answer).await;
            }
            for label in if written == PLAN { decides } else { &BUTTONS[..] } {
                let Some(button) = answer.button(label) else { continue };
                said.presses.push((self.press(person, answer.id, &button.text).await, *label));
                if *label == APPROVE {
                    said.approved += usize::from(self.is_approved(&answer).await);
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
        said
    }

    /// Waits a while until a plan's message says that it is approved. Another plan may have taken its place before.
    async fn is_approved(&self, plan: &SimMessage) -> bool {
        let began = Instant::now();
        while began.elapsed() < PLAN_PATIENCE {
            let shown = self.telegram.handle().message(plan.chat, plan.id).unwrap();
            if shown.button(REJECT).is_none() {
                return shown.text().contains(APPROVED);
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Waits a while for a plan with buttons; returns the answer where none comes, as where it says why.
    async fn plan_after(&self, answer: SimMessage) -> SimMessage {
        let began = Instant::now();
        while began.elapsed() < PLAN_PATIENCE {
            let newest = self.telegram.handle().messages(answer.chat).into_iter().rev();
            if let Some(plan) =
                newest.take_while(|it| it.id >= answer.id).find(|it| it.button(REJECT).is_some())
            {
                return plan;
            }
            sleep(Duration::from_millis(20)).await;
        }
        answer
    }
}

/// Writes to a disk and waits for it, over and over, until it is dropped.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    fn beside(folder: &Path) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (stopped, path) = (Arc::clone(&stop), folder.join("noise"));
        let thread = thread::spawn(move || {
            let noise = vec![b'x'; BUSY_MIB << 20];
            while !stopped.load(Ordering::Relaxed) {
                let mut file = fs::File::create(&path).unwrap();
                file.write_all(&noise).unwrap();
                file.sync_all().unwrap();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A window that is closed until this bench is long over.
fn window_later() -> String {
    let hour = (Clock::system().now().hour() + WINDOW_IN) % 24;
    format!("{hour:02}:00-{hour:02}:59")
}

/// Leaves migrations in the store that VMmanager took, as a process does that ends while they run.
fn leave_open(dir: &TempDir, count: u64) {
    let (store, now) = (Store::open(dir.path()).unwrap(), Clock::system().now());
    for number in 1..=count {
        let entry = store.intend(JournalEntry::example(1000 + number, now)).unwrap();
        store.record_order(entry.id, Some(number), Some(number), now).unwrap();
    }
}

/// Waits for the first change that `is_it` takes something from.
async fn first<T>(mut changes: broadcast::Receiver<Change>, is_it: impl Fn(Change) -> Option<T>) -> T {
    let wait = async {
        loop {
            match changes.recv().await {
                Ok(change) => {
                    if let Some(found) = is_it(change) {
                        return found;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => unreachable!("the server runs"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap()
}
