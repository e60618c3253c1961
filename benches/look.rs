//! How long a look takes beside a bare fetch and parse of the same bytes:
//! `cargo test --release --bench look -- --nocapture --test-threads 1`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench says no by panicking, and prints what it measured"
)]

#[expect(dead_code, reason = "the bench of the whole cycle needs the rest of it")]
#[path = "support/canned.rs"]
mod canned;
#[path = "support/scales.rs"]
mod scales;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use canned::Canned;
use chrono::DateTime;
use scales::scales;
use serde::de::IgnoredAny;

/// The best of this many rounds counts: more where one is short.
fn rounds(vms: usize) -> usize {
    if vms < 50_000 { 25 } else { 5 }
}

/// The longest that a look may take, in bare parses of the same bytes.
const RATIO_MAX: f64 = 3.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_beside_a_bare_parse_of_the_same_bytes() {
    // libtest has written the name of the test without an end of the line.
    println!();
    println!("| nodes | VMs | MiB of JSON | look | bare fetch and parse | ratio |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut most = 0.0_f64;
    for &(nodes, vms) in scales() {
        let server = Canned::of(nodes, vms).await;
        let api = server.api();
        let (mut looks, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds(vms) {
            let began = Instant::now();
            let look = api.look(DateTime::UNIX_EPOCH).await.unwrap();
            looks.push(began.elapsed());
            assert_eq!((look.snapshot.nodes.len(), look.snapshot.vms.len()), (nodes, vms));
            bare.push(
                server
                    .bare(|body| {
                        black_box(serde_json::from_slice::<IgnoredAny>(body).unwrap());
                    })
                    .await,
            );
        }
        let (look, bare) = (least(&looks), least(&bare));
        let ratio = look.as_secs_f64() / bare.as_secs_f64();
        let bytes = server.bytes() as f64 / 1_048_576.0;
        println!("| {nodes} | {vms} | {bytes:.1} | {look:.2?} | {bare:.2?} | {ratio:.2} |");
        most = most.max(ratio);
    }
    assert!(cfg!(debug_assertions) || most <= RATIO_MAX, "{most}");
}

fn least(times: &[Duration]) -> Duration {
    times.iter().min().copied().unwrap_or_default()
}
