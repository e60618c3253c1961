//! Counts and times what is done, and knows whether the loops are alive. Knows nobody who reads the figures.
//!
//! Every name and label of a metric that grows is here. Labels come from lists that end: a path of VMmanager is
//! written with `{id}` in place of what is not a word of its API.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

pub(crate) const CYCLE_SECONDS: &str = "vm_balancer_cycle_duration_seconds";
pub(crate) const REQUEST_SECONDS: &str = "vm_balancer_vmmanager_request_duration_seconds";
pub(crate) const MIGRATION_SECONDS: &str = "vm_balancer_migration_duration_seconds";
const CYCLES: &str = "vm_balancer_cycles_total";
const REQUESTS: &str = "vm_balancer_vmmanager_requests_total";
const MIGRATIONS: &str = "vm_balancer_migrations_total";
const MOVED: &str = "vm_balancer_migrated_memory_bytes_total";
const CALLS: &str = "vm_balancer_telegram_requests_total";

/// The words of VMmanager's paths. A session's token and numbers stand in paths too, and must not become labels.
const WORDS: [&str; 12] =
    ["auth", "v4", "public", "token", "vm", "v3", "cluster", "node", "host", "task", "migrate", "history"];

/// Says what each metric is. Once, where figures are collected.
pub(crate) fn describe() {
    describe_counter!(CYCLES, Unit::Count, "Cycles of the schedule, by result (done, failed).");
    describe_histogram!(CYCLE_SECONDS, Unit::Seconds, "How long a cycle took: look, plan, propose.");
    describe_counter!(
        REQUESTS,
        Unit::Count,
        "Requests to VMmanager, by method, endpoint and HTTP status (none: no answer)."
    );
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "How long VMmanager took to answer.");
    describe_counter!(
        MIGRATIONS,
        Unit::Count,
        "Live migrations that ended, by outcome (done, failed, lost, dropped)."
    );
    describe_histogram!(MIGRATION_SECONDS, Unit::Seconds, "How long migrations took that were done.");
    describe_counter!(MOVED, Unit::Bytes, "Memory of the VMs whose migrations were done.");
    describe_counter!(
        CALLS,
        Unit::Count,
        "Calls of the Bot API, by method and result (ok, throttled, failed, no_answer)."
    );
    // What has not happened yet is 0, so that an alert can tell it from what is not known.
    for result in ["done", "failed"] {
        counter!(CYCLES, "result" => result).increment(0);
    }
    for outcome in ["done", "failed", "lost", "dropped"] {
        counter!(MIGRATIONS, "outcome" => outcome).increment(0);
    }
    counter!(MOVED).increment(0);
}

/// Counts a cycle.
pub(crate) fn cycle(done: bool, took: Duration) {
    counter!(CYCLES, "result" => if done { "done" } else { "failed" }).increment(1);
    histogram!(CYCLE_SECONDS).record(took);
}

/// Counts a request to VMmanager; without a status there was no answer.
pub(crate) fn request(method: &str, path: &str, status: Option<u16>, took: Duration) {
    let endpoint = endpoint(path);
    let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    let method = method.to_owned();
    counter!(REQUESTS, "method" => method, "endpoint" => endpoint, "status" => status).increment(1);
    histogram!(REQUEST_SECONDS).record(took);
}

/// Counts a migration that ended; `mib` is the VM's memory.
pub(crate) fn migration(outcome: &'static str, took: Duration, mib: u64) {
    counter!(MIGRATIONS, "outcome" => outcome).increment(1);
    if outcome == "done" {
        histogram!(MIGRATION_SECONDS).record(took);
        counter!(MOVED).increment(mib << 20);
    }
}

/// Counts a call of the Bot API.
pub(crate) fn call(method: &'static str, result: &'static str) {
    counter!(CALLS, "method" => method, "result" => result).increment(1);
}

fn endpoint(path: &str) -> String {
    let word =
        |part: &str| if part.is_empty() || WORDS.contains(&part) { part.to_owned() } else { "{id}".into() };
    path.split('/').map(word).collect::<Vec<_>>().join("/")
}

/// A sign of life of a loop: each time it says how long it may be silent.
#[derive(Clone, Debug)]
pub struct Beat {
    name: &'static str,
    times: Arc<Mutex<Times>>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    last: Instant,
    allowed: Duration,
}

impl Beat {
    /// A loop that must say something within this time.
    #[must_use]
    pub fn new(name: &'static str, allowed: Duration) -> Self {
        Self { name, times: Arc::new(Mutex::new(Times { last: Instant::now(), allowed })) }
    }

    /// The loop is alive, and will say so again within this time.
    pub fn again_within(&self, allowed: Duration) {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) = Times { last: Instant::now(), allowed };
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How long ago it last said something.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.times().last.elapsed()
    }

    /// Whether it is silent for longer than it may be.
    #[must_use]
    pub fn is_late(&self) -> bool {
        let Times { last, allowed } = self.times();
        last.elapsed() > allowed
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_and_no_number_becomes_a_label() {
        assert_eq!(endpoint("/vm/v3/host/311/migrate"), "/vm/v3/host/{id}/migrate");
        assert_eq!(endpoint("/auth/v4/token/abcdef"), "/auth/v4/token/{id}");
    }

    #[test]
    fn a_loop_is_late_after_the_time_that_it_asked_for() {
        let beat = Beat::new("scheduler", Duration::from_secs(60));
        assert!(!beat.is_late());
        beat.again_within(Duration::ZERO);
        assert!(beat.is_late());
    }
}
