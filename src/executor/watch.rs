//! Follows a migration that was, or may have been, ordered, until it is known how it ended.
//!
//! Only reads. What a task says is a hint. VMmanager's list decides where a VM is.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{Ledger, Settings};
use crate::{
    model::{ApiFailure, Person, Whereabouts},
    rules::Rules,
    store::{Ending, JournalEntry, JournalState, Outcome, StoreError},
    vmmanager::{Found, Order, TaskState, VmManagerApi},
};

/// Follows migrations. Cannot order anything.
#[derive(Clone)]
pub struct Watcher {
    pub(super) api: VmManagerApi,
    pub(super) ledger: Ledger,
    rules: Rules,
    pub(super) settings: Settings,
    pub(super) stop: CancellationToken,
}

/// How much of a wait a list of running tasks is shared for: migrations whose waits are a little out of step still
/// share one.
const POLL_SHARED: f64 = 0.9;

/// What the wait between two looks at a migration met.
enum Waited {
    LookAgain,
    /// This person does not want to wait for its end any more.
    GivenUp(Person),
}

/// How a migration ended, as far as one look at the VM can tell.
enum Verdict {
    Ended(Outcome, Option<Ending>),
    /// The task is complete and the VM still on its source: the list may be a moment old.
    NotYet(Outcome, Option<Ending>),
}

impl Watcher {
    /// Joins what reads VMmanager with what records.
    #[must_use]
    pub fn new(
        api: VmManagerApi,
        ledger: Ledger,
        rules: Rules,
        settings: Settings,
        stop: CancellationToken,
    ) -> Self {
        Self { api, ledger, rules, settings, stop }
    }

    /// Follows an open entry of the journal to its end; `None` where `stop` came first.
    pub async fn follow(&self, entry: JournalEntry) -> Option<JournalEntry> {
        let span = span_of(&entry);
        async {
            match entry.state {
                JournalState::Intended => self.search(entry).await,
                JournalState::Ordered { .. } => self.settle(entry).await,
                JournalState::Closed { .. } => Some(entry),
            }
        }
        .instrument(span)
        .await
    }

    /// Looks for an order whose answer never came. It is not repeated, whatever is found.
    async fn search(&self, mut entry: JournalEntry) -> Option<JournalEntry> {
        let began = Instant::now();
        let mut pause = Pause::new(&self.settings);
        let mut slow_reported = false;
        loop {
            // Only a look that began after the window can tell that nothing is there.
            let is_last = began.elapsed() >= self.settings.search_window;
            match self.api.look_for(&order_of(&entry)).await {
                Ok(Found::Began { task_id }) => {
                    self.ledger.record_order(&mut entry, None, task_id);
                    return self.settle(entry).await;
                }
                Ok(Found::Nothing(Whereabouts::OnTarget)) => {
                    self.ledger.record_order(&mut entry, None, None);
                    return self.close(&entry, Outcome::Done, None).await;
                }
                Ok(Found::Nothing(place)) if is_last => {
                    let outcome = match place {
                        Whereabouts::OnSource => Outcome::Dropped,
                        Whereabouts::OnTarget | Whereabouts::Elsewhere(_) | Whereabouts::Gone => {
                            Outcome::Lost
                        }
                    };
                    return self.close(&entry, outcome, Some(Ending::NoAnswer(place))).await;
                }
                Ok(Found::Nothing(_) | Found::Unclear) => {}
                Err(error) => tracing::debug!(%error, "cannot look for an order; will retry"),
            }
            if let Waited::GivenUp(by) = self.linger(&entry, &mut slow_reported, pause.next()).await? {
                return self.give_up(&entry, by).await;
            }
        }
    }

    /// Follows a migration that VMmanager took.
    async fn settle(&self, mut entry: JournalEntry) -> Option<JournalEntry> {
        let mut pause = Pause::new(&self.settings);
        let mut unseen: Option<Instant> = None;
        let mut unknown: Option<(Instant, TaskState)> = None;
        let mut slow_reported = false;
        let mut waited = Duration::ZERO;
        loop {
            let seen = self.look_at(&mut entry, waited).await;
            if !matches!(seen, Ok(TaskState::Unknown { .. })) {
                unknown = None;
            }
            match seen {
                Ok(TaskState::Running) => unseen = None,
                Ok(state @ TaskState::Unknown { .. }) => {
                    unseen = None;
                    let (since, first) = unknown.get_or_insert_with(|| (Instant::now(), state.clone()));
                    let has_lasted = since.elapsed() >= self.settings.search_window;
                    if has_lasted && (*first == state || self.has_left(&entry).await) {
                        return self.verify(&entry, &state).await;
                    }
                }
                Ok(ended @ (TaskState::Complete | TaskState::Failed(_))) => {
                    return self.verify(&entry, &ended).await;
                }
                Ok(TaskState::Unseen) => {
                    let since = *unseen.get_or_insert_with(Instant::now);
                    let is_late = since.elapsed() >= self.settings.search_window;
                    let was_seen = entry.task_numbers().1.is_some();
                    if is_late && (was_seen || self.is_slow(&entry) || self.has_moved(&entry).await) {
                        return self.verify(&entry, &TaskState::Unseen).await;
                    }
                }
                // A failed look does not mean that nothing is there.
                Err(error) => {
                    unseen = None;
                    tracing::debug!(%error, "cannot look at a migration; will retry");
                }
            }
            waited = pause.next();
            if let Waited::GivenUp(by) = self.linger(&entry, &mut slow_reported, waited).await? {
                return self.give_up(&entry, by).await;
            }
        }
    }

    /// Waits before the next look, and asks whether anybody still wants it. Reports once that it takes long.
    async fn linger(
        &self,
        entry: &JournalEntry,
        slow_reported: &mut bool,
        pause: Duration,
    ) -> Option<Waited> {
        if !*slow_reported && self.is_slow(entry) {
            *slow_reported = true;
            tracing::warn!("a migration is slow; it stays watched");
            self.log_trouble(self.ledger.slow(entry));
        }
        if let Err(error) = self.ledger.catch_up(entry) {
            tracing::debug!(%error, "an order still cannot be recorded; will retry");
        }
        self.wait(pause).await?;
        Some(match self.ledger.gave_up(entry) {
            Some(by) => Waited::GivenUp(by),
            None => Waited::LookAgain,
        })
    }

    /// Ends the watch, whatever VMmanager does. What runs there on is remembered as ours first.
    async fn give_up(&self, entry: &JournalEntry, by: Person) -> Option<JournalEntry> {
        tracing::warn!(person.id = by.id, "a person gave up watching a migration");
        self.write_until_done(|| self.ledger.store.give_up(entry.id)).await?;
        self.close(entry, Outcome::Lost, Some(Ending::GivenUp(by))).await
    }

    /// Tells whether a VM is not where it was. An order that VMmanager took and whose task never showed may still
    /// wait in the queue while the VM is on its source.
    async fn has_moved(&self, entry: &JournalEntry) -> bool {
        let place = self.api.whereabouts(&order_of(entry)).await;
        !matches!(place, Ok(Whereabouts::OnSource) | Err(_))
    }

    /// Tells whether a task is no longer among those that wait or run.
    async fn has_left(&self, entry: &JournalEntry) -> bool {
        matches!(self.api.is_unfinished(&order_of(entry)).await, Ok(false))
    }

    /// Asks how far a migration is, and remembers its task's number.
    /// A list of running tasks that is younger than `waited` is asked for first: all migrations share it.
    async fn look_at(&self, entry: &mut JournalEntry, waited: Duration) -> Result<TaskState, ApiFailure> {
        let order = order_of(entry);
        if order.task_id.is_some() && self.api.is_running(&order, waited.mul_f64(POLL_SHARED)).await? {
            return Ok(TaskState::Running);
        }
        let progress = self.api.progress(&order_of(entry)).await?;
        if progress.task_id.is_some() && progress.task_id != entry.task_numbers().1 {
            self.ledger.record_order(entry, None, progress.task_id);
        }
        Ok(progress.state)
    }

    /// Decides the outcome by where the VM is.
    async fn verify(&self, entry: &JournalEntry, task: &TaskState) -> Option<JournalEntry> {
        let began = Instant::now();
        let mut pause = Pause::new(&self.settings);
        let mut slow_reported = false;
        loop {
            match self.api.whereabouts(&order_of(entry)).await {
                Ok(place) => match verdict(task, place) {
                    Verdict::Ended(outcome, detail) => return self.close(entry, outcome, detail).await,
                    Verdict::NotYet(outcome, detail) if began.elapsed() >= self.settings.settle_window => {
                        return self.close(entry, outcome, detail).await;
                    }
                    Verdict::NotYet(..) => {}
                },
                Err(error) => tracing::debug!(%error, "cannot see where a VM is; will retry"),
            }
            if let Waited::GivenUp(by) = self.linger(entry, &mut slow_reported, pause.next()).await? {
                return self.give_up(entry, by).await;
            }
        }
    }

    async fn close(
        &self,
        entry: &JournalEntry,
        outcome: Outcome,
        detail: Option<Ending>,
    ) -> Option<JournalEntry> {
        let closed = self.write_until_done(|| self.ledger.record_end(entry, outcome, detail.clone())).await?;
        self.log_trouble(self.rules.after(&closed, self.ledger.clock.now()));
        Some(closed)
    }

    /// Retries until the record is written. On a full disk the entry stays open and the VM is not planned for.
    pub(super) async fn write_until_done<T>(&self, write: impl Fn() -> Result<T, StoreError>) -> Option<T> {
        let mut pause = Pause::new(&self.settings);
        let mut reported = false;
        loop {
            match write() {
                Ok(written) => return Some(written),
                Err(error) if !reported => {
                    reported = true;
                    tracing::error!(%error, "the journal cannot be written; will retry");
                }
                Err(_) => {}
            }
            self.wait(pause.next()).await?;
        }
    }

    fn is_slow(&self, entry: &JournalEntry) -> bool {
        let took = self.ledger.clock.now() - entry.intended_at;
        took.to_std().is_ok_and(|took| took >= self.settings.slow_after)
    }

    fn log_trouble(&self, done: Result<(), StoreError>) {
        if let Err(error) = done {
            tracing::error!(%error, "the store cannot be written");
        }
    }

    /// Waits; `None` where everything stops.
    pub(super) async fn wait(&self, pause: Duration) -> Option<()> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = sleep(pause) => Some(()),
        }
    }
}

/// A wait that grows.
pub(super) struct Pause {
    next: Duration,
    max: Duration,
}

impl Pause {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { next: settings.poll_first, max: settings.poll_max }
    }

    pub(super) fn next(&mut self) -> Duration {
        let now = self.next.min(self.max);
        self.next = now.mul_f64(1.5);
        now
    }
}

/// The span of one migration in the log.
pub(super) fn span_of(entry: &JournalEntry) -> tracing::Span {
    tracing::info_span!(
        "migration",
        migration.id = entry.id.0,
        vm.id = entry.vm.0,
        source = entry.source.0,
        target = entry.target.0,
    )
}

pub(super) fn order_of(entry: &JournalEntry) -> Order {
    let (consul_id, task_id) = entry.task_numbers();
    Order {
        vm: entry.vm,
        source: entry.source,
        target: entry.target,
        history_before: entry.history_before,
        consul_id,
        task_id,
    }
}

/// A task that says complete with the VM on the source is a failure; a lost task with the VM on the target is a
/// success.
fn verdict(task: &TaskState, place: Whereabouts) -> Verdict {
    match (task, place) {
        (_, Whereabouts::OnTarget) => Verdict::Ended(Outcome::Done, None),
        (TaskState::Unseen | TaskState::Running, _) => {
            Verdict::Ended(Outcome::Lost, Some(Ending::TaskVanished(place)))
        }
        (TaskState::Unknown { word, .. }, _) => {
            let outcome = if place == Whereabouts::Gone { Outcome::Lost } else { Outcome::Failed };
            Verdict::NotYet(outcome, Some(Ending::TaskWord { word: word.clone(), place }))
        }
        (TaskState::Complete, Whereabouts::Gone) => {
            Verdict::NotYet(Outcome::Lost, Some(Ending::TaskComplete(place)))
        }
        (TaskState::Complete, Whereabouts::OnSource | Whereabouts::Elsewhere(_)) => {
            Verdict::NotYet(Outcome::Failed, Some(Ending::TaskComplete(place)))
        }
        (TaskState::Failed(failure), _) => {
            Verdict::Ended(Outcome::Failed, Some(Ending::TaskFailed(failure.clone())))
        }
    }
}
