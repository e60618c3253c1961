//! A disk that takes no more: said, survived, and nothing is ordered.

use std::{path::Path, process::Command, time::Duration};

use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vm_balancer::{
    model::ProposalId,
    sandbox::vmmanager::{Options, Pace, World},
    scheduler::{Scheduler, Settings},
    store::{AuditEntry, Mode, Outcome, ProposalState, Store, StoreError},
};

use crate::platform::{PATIENCE, Platform, noon, outcomes, until};

/// Tells the child that its disk is small.
const CHILD: &str = "VM_BALANCER_TEST_SMALL_DISK";

/// Blocks of 512 or 1024 bytes, as the shell counts: at most 4 MiB for each file.
const FILE_BLOCKS_MAX: u32 = 4096;

#[test]
fn on_a_full_disk_nothing_is_ordered_and_nothing_panics() {
    let dir = TempDir::new().unwrap();
    let limit = format!("ulimit -f {FILE_BLOCKS_MAX}");
    ends_well("full_disk::the_child_with_a_small_disk", &limit, dir.path());
    // What was acknowledged is there.
    let store = Store::open(&dir.path().join("data")).unwrap();
    let [proposal] = store.recent_proposals(10).unwrap().try_into().unwrap();
    assert!(matches!(proposal.state, ProposalState::Approved { .. }), "{:?}", proposal.state);
    assert_eq!(store.open_entries().unwrap(), []);
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
        refused.chain().contains("os error 27") || refused.chain().contains("FileTooLarge"),
        "{}",
        refused.chain()
    );
    leave_no_room();
    let executor = balancer.executor(&CancellationToken::new());
    if let Ok(Some(executor)) = executor {
        let carried_out = timeout(PATIENCE, executor.carry_out(proposal.id)).await.expect("it gives up");
        assert!(carried_out.is_err());
    }
    assert_eq!(platform.sim.orders(), []);
}

#[test]
fn what_is_open_at_a_start_on_a_full_disk_is_followed_and_recorded_when_there_is_room() {
    let dir = TempDir::new().unwrap();
    ends_well("full_disk::the_child_that_starts_on_a_full_disk", ":", dir.path());
    let store = Store::open(&dir.path().join("data")).unwrap();
    let [proposal] = store.recent_proposals(10).unwrap().try_into().unwrap();
    assert!(matches!(proposal.state, ProposalState::Done { .. }), "{:?}", proposal.state);
    assert_eq!(outcomes(&proposal), [(Outcome::Done, String::new())]);
    assert_eq!(store.open_entries().unwrap(), []);
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
    room_for_files("1");
    assert!(platform.store.audit(&AuditEntry::new(noon(), None, "noise", "")).is_err(), "there is no room");

    let (scheduler, _handle) = Scheduler::new(settings(), platform.balancer());
    let shutdown = CancellationToken::new();
    let meanwhile = async {
        let asked = || platform.sim.count_requests("/vm/v3/task");
        let before = asked();
        until("the migration is followed", || async { asked() > before + 3 }).await;
        platform.sim.finish_all();
        let placed = || platform.sim.count_requests("GET /vm/v3/host");
        let before = placed();
        until("its end is seen", || async { placed() > before }).await;
        room_for_files("unlimited");
        let ended = || platform.store.proposal(proposal.id).ok().flatten().map(|proposal| proposal.state);
        until("the end is recorded", || async { matches!(ended(), Some(ProposalState::Done { .. })) }).await;
        shutdown.cancel();
    };
    tokio::join!(scheduler.run(shutdown.clone()), meanwhile);
    assert_eq!(platform.sim.orders().len(), 1);
}

/// Runs a test as a process of its own, with what the shell prepares. A limit on the size of files stands for the
/// end of the disk: the write fails, the process lives.
fn ends_well(test: &str, prepare: &str, dir: &Path) {
    let script = format!("trap '' XFSZ; {prepare}; exec \"$0\" \"$@\"");
    let ended = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, dir)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
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
    Settings {
        interval: Duration::from_secs(3600),
        mode: Mode::Propose,
        windows: "".parse().unwrap(),
        timezone: chrono_tz::UTC,
    }
}

/// Takes room away, or gives it back: only the limit that may be raised again is changed.
fn room_for_files(bytes: &str) {
    let pid = std::process::id().to_string();
    let limit = format!("--fsize={bytes}:");
    let done = Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(done.success());
}

/// Clearing up may leave room for a record or two: from here on there is none at all.
fn leave_no_room() {
    let pid = std::process::id().to_string();
    let lowered = Command::new("prlimit").args(["--pid", &pid, "--fsize=1:1"]).status().unwrap();
    assert!(lowered.success());
}

/// Writes until there is no room even after sled has cleared up behind itself.
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
