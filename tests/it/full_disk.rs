//! A full disk: it is reported and survived, and nothing is ordered.
//!
//! A limit on the size of files simulates a full disk: the write fails and the process lives. Each test uses a process
//! of its own, for the limit is on all its files. One test has a small file system of its own, where that may be
//! mounted.

use std::{path::Path, process::Command, time::Duration};

use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use vm_balancer::{
    model::ProposalId,
    sandbox::{
        telegram::{OPERATOR, SimMessage},
        vmmanager::{Fault, Options, Pace, Rule, World},
    },
    scheduler::{Scheduler, Settings},
    store::{AuditEntry, HistoryFilter, Outcome, ProposalState, Store, StoreError},
};

use crate::{
    conversation::{Ctx, Setup},
    platform::{PATIENCE, Platform, noon, until},
    transcripts::{DONE, RUNS, in_both},
};

/// Gives the child its folder. Without it the child's test does nothing.
const CHILD: &str = "VM_BALANCER_TEST_SMALL_DISK";

/// Blocks of 512 or 1024 bytes, as the shell counts: at most 4 MiB for each file.
const FILE_BLOCKS_MAX: u32 = 4096;

const TROUBLE: [&str; 2] = ["The store has been read-only", "Хранилище не записывается"];

#[test]
fn on_a_full_disk_nothing_is_ordered_and_nothing_panics() {
    let dir = in_a_child("the_child_with_a_small_disk");
    // All acknowledged writes are there, from before the disk was full and from after it.
    let store = Store::open(&dir.path().join("data")).unwrap();
    let [proposal] = store.recent_proposals(10).unwrap().try_into().unwrap();
    assert!(matches!(proposal.state, ProposalState::Done { .. }), "{:?}", proposal.state);
    assert_eq!(outcomes(&store), [Outcome::Done]);
}

#[test]
fn a_full_disk_is_told_in_the_chat_and_work_goes_on_when_there_is_room() {
    in_a_child("the_child_whose_disk_fills_before_an_approval");
}

#[test]
fn a_disk_that_fills_during_a_migration_orders_nothing_twice_and_forgets_nothing() {
    in_a_child("the_child_whose_disk_fills_during_a_migration");
}

#[test]
fn an_order_that_is_taken_while_the_disk_is_full_is_followed_at_once_and_written_when_there_is_room() {
    in_a_child("the_child_whose_disk_fills_while_its_order_is_on_its_way");
}

#[test]
fn what_is_open_at_a_start_on_a_full_disk_is_followed_and_recorded_when_there_is_room() {
    let dir = in_a_child("the_child_that_starts_on_a_full_disk");
    let store = Store::open(&dir.path().join("data")).unwrap();
    let [proposal] = store.recent_proposals(10).unwrap().try_into().unwrap();
    assert!(matches!(proposal.state, ProposalState::Done { .. }), "{:?}", proposal.state);
    assert_eq!(outcomes(&store), [Outcome::Done]);
}

#[expect(clippy::print_stderr, reason = "who reads the output learns that nothing was shown here")]
#[test]
fn a_start_on_a_full_file_system_follows_what_runs_says_so_and_restores_nothing() {
    let dir = TempDir::new().unwrap();
    let small = "mount -t tmpfs -o size=12m none \"$TMPDIR\"";
    let mounts = |then: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &format!("{small} && {then}")]).env("TMPDIR", dir.path());
        command
    };
    if !mounts("true").status().is_ok_and(|ended| ended.success()) {
        eprintln!("no file system may be mounted here; this is not tested");
        return;
    }
    run_child(&mut mounts("exec \"$0\" \"$@\""), "the_child_that_starts_on_a_full_file_system", &dir);
}

/// Not a test by itself.
#[tokio::test]
async fn the_child_that_starts_on_a_full_file_system() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let bot = Ctx::with(World::small(), Setup::default().manual()).await;
    assert!(bot.dir.path().starts_with(&dir), "everything is on the small file system");
    let proposal = bot.proposal().await;
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.until("it is ordered", |sim| !sim.orders().is_empty()).await;
    is_followed(&bot).await;
    let filler = Path::new(&dir).join("filler");
    // Every start on a full disk finds what the one before left.
    for _ in 0..3 {
        bot.kill().await;
        fill_file_system(&filler);
        bot.restart().await;
        is_followed(&bot).await;
    }
    bot.heard(TROUBLE[0]).await;
    bot.sim.finish_all();
    bot.until("it has moved", |sim| sim.world().nodes_above(70.0).is_empty()).await;
    std::fs::remove_file(&filler).unwrap();
    bot.says(&proposal, "done: 1 moved").await;
    assert_eq!(bot.sim.orders().len(), 1);
    is_recorded_as_done(&bot).await;
    let names = std::fs::read_dir(bot.dir.path().join("data")).unwrap();
    let names: Vec<_> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.contains("damaged")), "{names:?}");
}

/// A migration is followed once its task is recorded.
async fn is_followed(bot: &Ctx) {
    let before = bot.sim.count_requests("/vm/v3/task");
    bot.until("it is followed", |sim| sim.count_requests("/vm/v3/task") > before + 3).await;
}

fn fill_file_system(filler: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::options().create(true).append(true).open(filler).unwrap();
    for size in [64 * 1024, 1024, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

/// Not a test by itself.
#[tokio::test]
async fn the_child_with_a_small_disk() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let mut platform = Platform::start(World::small()).await;
    platform.store = Store::open(&Path::new(&dir).join("data")).unwrap();
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let refused = fill(&platform.store);
    assert!(
        refused.to_string().contains("os error 27") || refused.to_string().contains("FileTooLarge"),
        "{}",
        refused
    );
    platform.store.flush().expect_err("it is noticed, though nothing waits to be put on disk");
    // Cleaning up may have left room for a record or two. From now on there is none.
    leave_room(Room::None);
    let refused = match balancer.executor(&CancellationToken::new()) {
        Ok(executor) => {
            let executor = executor.expect("no dry run");
            let carried_out = timeout(PATIENCE, executor.carry_out(proposal.id)).await;
            carried_out.expect("it gives up").expect_err("nothing can be recorded")
        }
        Err(error) => error,
    };
    assert!(!refused.is_damage(), "a full disk is no damage: {refused}");
    assert_eq!(platform.sim.count_requests("POST /vm/v3/host"), 0);
    // With room on the disk it works again.
    leave_room(Room::Enough);
    // sled may report its last failure once more.
    until("the store can be written", async || platform.store.flush().is_ok()).await;
    platform.finish(&balancer, proposal.id).await;
    assert_eq!(platform.sim.orders().len(), 1);
}

/// The one migration is in the journal with its end, and the store was never restored.
async fn is_recorded_as_done(bot: &Ctx) {
    let store = bot.store().await;
    assert_eq!(outcomes(&store), [Outcome::Done]);
    assert!(!store.settings().unwrap().restored_unconfirmed, "a full disk is no damage");
}

/// Not a test by itself.
#[tokio::test]
async fn the_child_whose_disk_fills_before_an_approval() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    in_both("a_disk_that_is_full_before_an_approval", World::small, Setup::default, async |talk| {
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        leave_room(Room::None);
        // An action that cannot be recorded must not be done.
        talk.press(OPERATOR, &plan, ":a").await;
        talk.hears(TROUBLE).await;
        assert_eq!(talk.bot.sim.count_requests("POST /vm/v3/host"), 0);
        leave_room(Room::Enough);
        talk.line("— there is room again —");
        pressed_until_it_is_ordered(&talk.bot, &plan).await;
        talk.becomes(&plan, DONE).await;
        assert_eq!(talk.bot.sim.orders().len(), 1);
        let is_trouble = |message: &&SimMessage| TROUBLE.iter().any(|words| message.text().contains(words));
        assert_eq!(talk.bot.written().iter().filter(is_trouble).count(), 1, "it is said once");
        is_recorded_as_done(&talk.bot).await;
    })
    .await;
}

/// Not a test by itself.
#[tokio::test]
async fn the_child_whose_disk_fills_during_a_migration() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let setup = || Setup::default().manual();
    in_both("a_disk_that_fills_during_a_migration", World::small, setup, async |talk| {
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, RUNS).await;
        talk.bot.until("it is ordered", |sim| !sim.orders().is_empty()).await;
        leave_room(Room::None);
        talk.bot.sim.finish_all();
        talk.hears(TROUBLE).await;
        assert!(talk.bot.sim.world().nodes_above(70.0).is_empty(), "it has moved");
        leave_room(Room::Enough);
        talk.line("— there is room again —");
        talk.becomes(&plan, DONE).await;
        talk.ordered();
        is_recorded_as_done(&talk.bot).await;
    })
    .await;
}

/// Not a test by itself. The order is acknowledged; it is, without a number; a gateway answers in its place.
#[tokio::test]
async fn the_child_whose_disk_fills_while_its_order_is_on_its_way() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    for (number, fault) in
        [None, Some(Fault::OrderWithoutTask), Some(Fault::OrderGateway { status: 504 })].iter().enumerate()
    {
        let options = Options { pace: Pace::Manual, ..Options::default() };
        let mut platform = Platform::start_with(World::small(), options).await;
        platform.store = Store::open(&Path::new(&dir).join(format!("data-{number}"))).unwrap();
        let balancer = platform.balancer();
        let proposal = platform.approved(&balancer).await;
        // The order is taken, and its answer takes longer than the disk takes to fill.
        platform.sim.rule(Rule::always(Fault::Slow { millis: 700 }).only("POST /vm/"));
        if let Some(fault) = fault {
            platform.sim.switch_on(fault.clone());
        }
        let meanwhile = async {
            until("it is taken", || async { !platform.sim.orders().is_empty() }).await;
            leave_room(Room::None);
            until("its task shows", || async { platform.sim.tasks().iter().any(|task| task.listed) }).await;
            let asked = || platform.sim.count_requests("/vm/v3/task");
            let before = asked();
            // More than a search for it needs.
            until("it is followed", || async { asked() > before + 20 }).await;
            let noise = AuditEntry::new(noon(), None, "noise", "");
            assert!(platform.store.audit(&noise).is_err(), "{fault:?}: there is no room");
            platform.sim.finish_all();
            let placed = || platform.sim.count_requests("GET /vm/v3/host");
            let before = placed();
            until("its end is seen", || async { placed() > before }).await;
            leave_room(Room::Enough);
        };
        let (done, ()) = tokio::join!(platform.finish(&balancer, proposal.id), meanwhile);
        assert!(matches!(done.state, ProposalState::Done { .. }), "{fault:?}: {:?}", done.state);
        assert_eq!(outcomes(&platform.store), [Outcome::Done], "{fault:?}");
        let [entry] = platform.history().try_into().unwrap();
        let [task] = platform.sim.tasks().try_into().unwrap();
        assert_eq!(entry.task_numbers().1, Some(task.id), "{fault:?}: what was seen is in the record");
        assert_eq!(platform.sim.orders().len(), 1, "{fault:?}");
    }
}

/// Not a test by itself.
#[tokio::test]
async fn the_child_that_starts_on_a_full_disk() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let options = Options { pace: Pace::Manual, ..Options::default() };
    let mut platform = Platform::start_with(World::small(), options).await;
    platform.store = Store::open(&Path::new(&dir).join("data")).unwrap();
    let proposal = platform.approved(&platform.balancer()).await;
    left_running(&platform, proposal.id).await;
    leave_room(Room::None);
    assert!(platform.store.audit(&AuditEntry::new(noon(), None, "noise", "")).is_err(), "there is no room");

    let (scheduler, _handle) = Scheduler::new(settings(), None, platform.balancer());
    let shutdown = CancellationToken::new();
    let meanwhile = async {
        let asked = || platform.sim.count_requests("/vm/v3/task");
        let before = asked();
        until("the migration is followed", || async { asked() > before + 3 }).await;
        platform.sim.finish_all();
        let placed = || platform.sim.count_requests("GET /vm/v3/host");
        let before = placed();
        until("its end is seen", || async { placed() > before }).await;
        leave_room(Room::Enough);
        let ended = || platform.store.proposal(proposal.id).ok().flatten().map(|proposal| proposal.state);
        until("the end is recorded", || async { matches!(ended(), Some(ProposalState::Done { .. })) }).await;
        shutdown.cancel();
    };
    tokio::join!(scheduler.run(shutdown.clone()), meanwhile);
    assert_eq!(platform.sim.orders().len(), 1);
}

/// Everything stops while the first migration of a plan runs.
async fn left_running(platform: &Platform, proposal: ProposalId) {
    let stop = CancellationToken::new();
    let executor = platform.balancer().executor(&stop).unwrap().unwrap();
    let ordered =
        || platform.store.open_entries().unwrap().iter().any(|entry| entry.task_numbers().0.is_some());
    let stopped = async {
        until("it is ordered", || async { ordered() }).await;
        stop.cancel();
    };
    let (carried, ()) = tokio::join!(executor.carry_out(proposal), stopped);
    carried.unwrap();
}

/// Only posts plans, and looks once.
fn settings() -> Settings {
    Settings { interval: Duration::from_secs(3600), ..Settings::default() }
}

/// Runs a test of this file in a process that may be told that the disk is full; returns the folder it was given.
fn in_a_child(test: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let script = format!("trap '' XFSZ; ulimit -S -f {FILE_BLOCKS_MAX}; exec \"$0\" \"$@\"");
    run_child(Command::new("sh").args(["-c", &script]), test, &dir);
    dir
}

fn run_child(shell: &mut Command, test: &str, dir: &TempDir) {
    let ended = shell
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("full_disk::{test}"), "--nocapture"])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(told.contains("1 passed"), "the child's test is found by its name: {told}");
}

/// What is left on the disk.
#[derive(Clone, Copy, Debug)]
enum Room {
    None,
    Enough,
}

/// Changes the file size limit of this process.
fn leave_room(room: Room) {
    let limit = match room {
        // Even the first byte of a file cannot be overwritten.
        Room::None => "--fsize=0:",
        Room::Enough => "--fsize=unlimited:",
    };
    let pid = std::process::id().to_string();
    let moved = Command::new("prlimit").args(["--pid", &pid, limit]).status().unwrap();
    assert!(moved.success());
}

/// Presses several times, as people do: presses without room on the disk are refused.
async fn pressed_until_it_is_ordered(bot: &Ctx, proposal: &SimMessage) {
    until("it is ordered", async || {
        bot.press_only(OPERATOR, proposal, &proposal.button_with(":a").unwrap().text);
        sleep(Duration::from_millis(200)).await;
        !bot.sim.orders().is_empty()
    })
    .await;
}

/// How everything in the journal ended; nothing is open.
fn outcomes(store: &Store) -> Vec<Outcome> {
    assert_eq!(store.open_entries().unwrap(), []);
    let history = store.history(&HistoryFilter::default(), 10).unwrap();
    history.iter().map(|entry| entry.outcome().unwrap().0).collect()
}

/// Writes until there is no room, even after sled has cleaned up.
fn fill(store: &Store) -> StoreError {
    // Text that does not compress.
    let noise = |seed: u64| -> String {
        (0..400).map(|i| format!("{:x}", seed.wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ i))).collect()
    };
    let mut refused_running = 0;
    for i in 0.. {
        match store.audit(&AuditEntry::new(noon(), None, "noise", noise(i))) {
            Ok(()) => refused_running = 0,
            Err(error) if refused_running == 20 => return error,
            Err(_) => refused_running += 1,
        }
    }
    unreachable!("the disk is small")
}
