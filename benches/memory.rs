//! How many bytes a look allocates, how many of them at one time, and how many stay:
//! `cargo test --release --bench memory -- --nocapture`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench says no by panicking, and prints what it measured"
)]

#[expect(dead_code, reason = "the bench of the times needs the rest of it")]
#[path = "support/canned.rs"]
mod canned;
#[path = "support/scales.rs"]
mod scales;

use canned::Canned;
use chrono::DateTime;
use scales::scales;

#[global_allocator]
static COUNTING: dhat::Alloc = dhat::Alloc;

/// The most that a look has at one time, in bodies: VMs are smaller than their rows, which are read while they come.
const PEAK_MAX: f64 = 1.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_look_allocates() {
    // libtest has written the name of the test without an end of the line.
    println!();
    println!("| nodes | VMs | MiB of JSON | allocated, MiB | blocks | at one time, MiB | kept, MiB |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for &(nodes, vms) in scales() {
        let server = Canned::of(nodes, vms).await;
        let api = server.api();
        // The first one makes the connections.
        drop(api.look(DateTime::UNIX_EPOCH).await.unwrap());
        let counting = dhat::Profiler::builder().testing().build();
        let look = api.look(DateTime::UNIX_EPOCH).await.unwrap();
        let stats = dhat::HeapStats::get();
        assert_eq!(look.snapshot.vms.len(), vms);
        drop(counting);
        let mib = |bytes: f64| bytes / 1_048_576.0;
        let (bodies, peak) = (server.bytes() as f64, stats.max_bytes as f64);
        println!(
            "| {nodes} | {vms} | {:.1} | {:.1} | {} | {:.1} | {:.1} |",
            mib(bodies),
            mib(stats.total_bytes as f64),
            stats.total_blocks,
            mib(peak),
            mib(stats.curr_bytes as f64),
        );
        assert!(vms < 50_000 || peak < bodies * PEAK_MAX, "{peak} of {bodies}");
    }
}
