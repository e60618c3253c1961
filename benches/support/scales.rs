//! The sizes that are measured.

/// Nodes and VMs.
const ALL: [(usize, usize); 4] = [(10, 300), (100, 5000), (1000, 50_000), (2000, 100_000)];

/// Returns the sizes, the smallest first; with `BENCH_SCALES=2` only the first two.
#[expect(clippy::disallowed_methods, reason = "a bench is told how much to measure")]
pub fn scales() -> &'static [(usize, usize)] {
    let count = std::env::var("BENCH_SCALES").ok().and_then(|count| count.parse().ok());
    &ALL[..count.unwrap_or(ALL.len()).min(ALL.len())]
}
