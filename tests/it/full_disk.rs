//! A disk that takes no more: said, survived, and nothing is ordered.

use std::{path::Path, process::Command};

use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vm_balancer::{
    sandbox::vmmanager::World,
    store::{AuditEntry, ProposalState, Store, StoreError},
};

use crate::platform::{PATIENCE, Platform, noon};

/// Tells the child that its disk is small.
const CHILD: &str = "VM_BALANCER_TEST_SMALL_DISK";

/// Blocks of 512 or 1024 bytes, as the shell counts: at most 4 MiB for each file.
const FILE_BLOCKS_MAX: u32 = 4096;

#[test]
fn on_a_full_disk_nothing_is_ordered_and_nothing_panics() {
    let dir = TempDir::new().unwrap();
    // A limit on the size of files stands for the end of the disk: the write fails, the process lives.
    let script = format!("trap '' XFSZ; ulimit -f {FILE_BLOCKS_MAX}; exec \"$0\" \"$@\"");
    let ended = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full_disk::the_child_with_a_small_disk", "--nocapture"])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
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
