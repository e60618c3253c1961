//! How long the store takes with a long history, and how much memory:
//! `cargo test --release --bench store -- --nocapture`. With `STORE_ENTRIES=1000000` a million entries.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench says no by panicking, prints what it measured, and is told its size"
)]

#[expect(dead_code, reason = "other benches need the rest of it")]
#[path = "support/process.rs"]
mod process;

use std::{
    fs,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use vm_balancer::{
    model::{NodeId, VmId},
    store::{AuditEntry, JournalEntry, Outcome, PageAt, Store, TimelineFilter},
};

/// A year of 270 migrations a day.
const ENTRIES: u64 = 100_000;

/// They are of so many VMs and nodes.
const VMS: u64 = 50_000;
const NODES: u64 = 1000;

/// So many of them are from the last day.
const OF_A_DAY: i64 = 300;

#[test]
fn a_long_history() {
    let entries = std::env::var("STORE_ENTRIES").map_or(ENTRIES, |count| count.parse().unwrap());
    println!("\n| {entries} entries of the journal, and as many of the audit | |\n| --- | --- |");
    let dir = TempDir::new().unwrap();
    fill(&dir, entries);
    let folder = dir.path().join("store");
    process::forget_peak(std::process::id());
    println!("| on disk | {:.1} MiB |", mib(size(&folder)));
    let memory = |figure| process::memory(std::process::id(), figure);
    let before = memory("VmRSS");
    let (store, opened) = timed("opening", || Store::open(dir.path()).unwrap());
    println!("| memory that it takes | {:.1} MiB |", memory("VmRSS") - before);
    timed("the first intent and its end", || ended(&store, entries + 1, now()));
    let (day, week) = (TimeDelta::days(1), TimeDelta::days(7));
    timed("who rests", || store.rests(now(), TimeDelta::hours(6), day).unwrap());
    timed("what moved within 20 minutes", || {
        store.moves_since(now() - TimeDelta::minutes(20), now()).unwrap()
    });
    timed("what failed within a week", || store.failures_since(now() - week, now()).unwrap());
    let all = TimelineFilter::default();
    let (page, paged) = timed("a page of /history", || store.timeline(&all, PageAt::Newest, 10).unwrap());
    assert_eq!(page.rows.len(), 10);
    timed("its older page", || store.timeline(&all, PageAt::OlderThan(page.older.unwrap()), 10).unwrap());
    let page_of = |of: &str| {
        let filter = TimelineFilter { of: Some(of.to_owned()), since: None };
        timed(&format!("/history of {of}"), || store.timeline(&filter, PageAt::Newest, 10).unwrap())
    };
    let (page, of_vm) = page_of("vm-4711");
    assert_eq!(page.rows.len() as u64, (entries / VMS).min(10));
    let (page, of_node) = page_of("node-0711");
    assert_eq!(page.rows.len() as u64, (2 * entries / NODES).min(10));
    let (page, of_nothing) = page_of("vm-x");
    assert_eq!((page.rows.len(), page.searched_to), (0, None), "all was searched");
    let (page, of_pattern) = page_of("x-*");
    assert_eq!((page.rows.len(), page.searched_to.is_some()), (0, entries > 10_000));
    let (newest, told) = timed("history --limit 5", || store.newest_entries(None, 5).unwrap());
    assert_eq!(newest.len(), 5);
    let (read, _) = timed("the whole history, page by page", || read_all(&store));
    assert_eq!(read, entries + 1);
    timed("an intent and its end behind that", || ended(&store, entries + 2, now()));
    let (_, intended) = timed("another one", || ended(&store, entries + 3, now()));
    println!("| memory at the most | {:.1} MiB |", memory("VmHWM"));
    timed("an export", || store.export(now()).unwrap());
    println!("| memory at the most | {:.1} MiB |", memory("VmHWM"));
    drop(store);
    fs::remove_dir_all(&folder).unwrap();
    let (store, _) = timed("a restore", || Store::open_or_restore(dir.path(), now()).unwrap());
    assert!(store.restoration().unwrap().is_some());
    println!("| memory at the most | {:.1} MiB |", memory("VmHWM"));
    if !cfg!(debug_assertions) {
        let scale = (entries / ENTRIES).max(1).try_into().unwrap_or(u32::MAX);
        assert!(opened < Duration::from_millis(100) * scale, "{opened:?}");
        assert!(paged < Duration::from_millis(50) && told < Duration::from_millis(100), "{paged:?} {told:?}");
        for searched in [of_vm, of_node, of_nothing, of_pattern] {
            assert!(searched < Duration::from_millis(50), "{searched:?}");
        }
        assert!(intended < Duration::from_millis(50), "{intended:?}");
    }
}

/// Fills a store as an export of another one would: intents one by one take a flush each.
fn fill(dir: &TempDir, entries: u64) {
    let began = Instant::now();
    let store = Store::open(dir.path()).unwrap();
    ended(&store, 1, now());
    let like = store.newest_entries(None, 1).unwrap().remove(0);
    store.export(now()).unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    let export = dir.path().join("export.jsonl");
    let text = fs::read_to_string(&export).unwrap();
    let rows: Vec<_> = text.lines().collect();
    let mut written = std::io::BufWriter::new(fs::File::create(&export).unwrap());
    write(&mut written, &[rows[0].to_owned()]);
    let kept: Vec<_> = rows[1..rows.len() - 1].iter().filter(|row| !row.contains("\"journal\"")).collect();
    write(&mut written, &kept.iter().map(|row| (**row).to_string()).collect::<Vec<_>>());
    for id in 1..=entries {
        let at = now() - age(entries - id);
        let entry = aged(&like, id, at);
        let audit = AuditEntry::new(at, None, "command", "/status");
        write(&mut written, &[line("journal", id, &entry), line("audit", id, &audit)]);
    }
    let lines = kept.len() as u64 + 2 * entries;
    write(&mut written, &[format!("{{\"lines\":{lines}}}")]);
    drop(written);
    let store = Store::open_or_restore(dir.path(), now()).unwrap();
    println!("| memory at the most | {:.1} MiB |", process::memory(std::process::id(), "VmHWM"));
    store.update_settings(|settings| settings.restored_unconfirmed = false).unwrap();
    println!("| filling it | {:.1} s |", began.elapsed().as_secs_f64());
}

fn write(to: &mut impl std::io::Write, lines: &[String]) {
    lines.iter().for_each(|line| writeln!(to, "{line}").unwrap());
}

fn line(tree: &str, id: u64, record: &impl serde::Serialize) -> String {
    format!(
        "{{\"tree\":\"{tree}\",\"key\":\"{id:016x}\",\"value\":{}}}",
        serde_json::to_string(record).unwrap()
    )
}

/// The newest are within the last day, the others spread over the year before.
fn age(back: u64) -> TimeDelta {
    let back = i64::try_from(back).unwrap();
    match back {
        0..OF_A_DAY => TimeDelta::minutes(back * 24 * 60 / OF_A_DAY),
        _ => TimeDelta::days(1) + TimeDelta::seconds((back - OF_A_DAY) * 30),
    }
}

fn aged(like: &JournalEntry, id: u64, at: DateTime<Utc>) -> JournalEntry {
    let (vm, nodes) = (id % VMS, [id * 7 % NODES, id * 11 % NODES]);
    let [source_name, target_name] = nodes.map(|node| format!("node-{node:04}"));
    let [source, target] = nodes.map(|node| NodeId(100_000 + node));
    let mut entry = JournalEntry {
        vm: VmId(1_000_000 + vm),
        vm_name: format!("vm-{vm}"),
        source,
        target,
        source_name,
        target_name,
        intended_at: at,
        ..like.clone()
    };
    entry.id.0 = id;
    if let vm_balancer::store::JournalState::Closed { at: end, outcome, .. } = &mut entry.state {
        *end = at + TimeDelta::minutes(2);
        *outcome = if id.is_multiple_of(50) { Outcome::Failed } else { Outcome::Done };
    }
    entry
}

/// Reads the history as the command line does that prints it; returns how long it is.
fn read_all(store: &Store) -> u64 {
    let (mut read, mut before) = (0, None);
    loop {
        let page = store.newest_entries(before, 500).unwrap();
        let Some(oldest) = page.last() else { return read };
        before = Some(oldest.id);
        read += page.len() as u64;
    }
}

fn ended(store: &Store, vm: u64, at: DateTime<Utc>) {
    let entry = store.intend(JournalEntry::example(vm, at)).unwrap();
    store.close(entry.id, Outcome::Done, None, at + TimeDelta::minutes(2)).unwrap();
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_464_900, 0).unwrap()
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    println!("| {what} | {:.2} ms |", took.as_secs_f64() * 1000.0);
    (done, took)
}

fn size(folder: &std::path::Path) -> u64 {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files
        .map(|file| if file.path().is_dir() { size(&file.path()) } else { file.metadata().unwrap().len() })
        .sum()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
