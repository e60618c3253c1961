//! Carries out one approved proposal: looks again, records, orders, waits, checks where the VM is, and records that.
//!
//! The only room that may hold [`Orders`]. Knows nothing of schedules, approvals or chats.
//!
//! A [`Watcher`] only reads VMmanager; an [`Executor`] exists only with [`Orders`], so in a dry run there is none.

mod carry;
mod glimpse;
mod ledger;
mod reconcile;
mod sightings;
mod watch;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use carry::Carried;
pub use glimpse::{Glimpse, Says};
pub use ledger::Ledger;
pub use watch::Watcher;

use crate::{eyes::Eyes, rules::Rules, vmmanager::Orders};

/// How long the executor waits for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After this a migration is reported as slow (`MIGRATION_TIMEOUT`); it stays watched.
    pub slow_after: Duration,
    /// The first wait between two looks at a running task; 1 s, for small VMs are moved within seconds.
    pub poll_first: Duration,
    /// The longest such wait; 5 s, as VMmanager's own clients do.
    pub poll_max: Duration,
    /// How long a task may be invisible, and how long an order without an answer is looked for; 30 s, the time
    /// that VMmanager's queue may take.
    pub search_window: Duration,
    /// How long after a task's end the VM list may still be old; 10 s.
    pub settle_window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slow_after: Duration::from_secs(3600),
            poll_first: Duration::from_secs(1),
            poll_max: Duration::from_secs(5),
            search_window: Duration::from_secs(30),
            settle_window: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// Short waits, for servers on the same machine in tests and in the sandbox.
    #[must_use]
    pub fn short() -> Self {
        Self {
            slow_after: Duration::from_secs(3600),
            poll_first: Duration::from_millis(5),
            poll_max: Duration::from_millis(40),
            search_window: Duration::from_millis(400),
            settle_window: Duration::from_millis(200),
        }
    }
}

/// Carries out approved proposals. It is the only thing that can change the platform.
pub struct Executor {
    orders: Orders,
    watcher: Watcher,
    eyes: std::sync::Arc<Eyes>,
    rules: Rules,
    stop: CancellationToken,
}

impl Executor {
    /// Joins the parts. Once `stop` is cancelled nothing is ordered.
    #[must_use]
    pub fn new(
        orders: Orders,
        watcher: Watcher,
        eyes: std::sync::Arc<Eyes>,
        rules: Rules,
        stop: CancellationToken,
    ) -> Self {
        Self { orders, watcher, eyes, rules, stop }
    }
}
