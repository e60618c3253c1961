//! Follows a migration that was, or may have been, ordered, until it is known how it ended.
//!
//! Only reads. What a task says is a hint; the last word on where a VM is, is VMmanager's list.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Ledger, Settings};
use crate::{
    model::{HistoryBefore, NodeId},
    rules::Rules,
    store::{JournalEntry, JournalState, Outcome, StoreError},
    vmmanager::{ApiError, History, HistoryEntry, TaskInfo, TaskStatus, VmManagerApi, VmPlace},
};

/// The longest text of VMmanager's that is kept: enough for libvirt's lines, little enough for a chat.
const DETAIL_CHARS_MAX: usize = 600;

const MIGRATION: &str = "host_migrate";

/// Follows migrations. Cannot order anything.
#[derive(Clone)]
pub struct Watcher {
    pub(super) api: VmManagerApi,
    pub(super) ledger: Ledger,
    rules: Rules,
    pub(super) settings: Settings,
    pub(super) stop: CancellationToken,
}

/// What VMmanager has to say of a migration besides where the VM is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trace {
    Running,
    Ended { status: TaskStatus, output: Option<String> },
    Nothing,
}

/// How a migration ended, as far as one look at the VM can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Ended(Outcome, Option<String>),
    /// The task is complete and the VM still on its source: the list may be a moment old.
    NotYet(Outcome, Option<String>),
}

impl Watcher {
    /// Follows until `stop` is cancelled; what is not over then stays open in the journal.
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
        match entry.state {
            JournalState::Intended => self.search(entry).await,
            JournalState::Ordered { .. } => self.settle(entry).await,
            JournalState::Closed { .. } => Some(entry),
        }
    }

    /// Looks for an order whose answer never came. It is not repeated, whatever is found.
    pub(super) async fn search(&self, entry: JournalEntry) -> Option<JournalEntry> {
        let began = Instant::now();
        let mut pause = Pause::new(&self.settings);
        loop {
            // Only a look that began after the window can tell that nothing is there.
            let is_last = began.elapsed() >= self.settings.search_window;
            match self.look_for(&entry).await {
                Ok(Found::Task(task)) => {
                    let ordered = self.recorded(|| self.ledger.ordered(entry.id, None, task)).await?;
                    return self.settle(ordered).await;
                }
                Ok(Found::OnTarget) => {
                    let ordered = self.recorded(|| self.ledger.ordered(entry.id, None, None)).await?;
                    return self.close(&ordered, Outcome::Done, None).await;
                }
                Ok(Found::Gone) if is_last => {
                    let why = "no answer to the order, and the VM is gone".to_owned();
                    return self.close(&entry, Outcome::Lost, Some(why)).await;
                }
                Ok(Found::Elsewhere(node)) if is_last => {
                    let why = format!("no answer to the order, and the VM is on node {node}");
                    return self.close(&entry, Outcome::Lost, Some(why)).await;
                }
                Ok(Found::OnSource) if is_last => {
                    let why = "no answer to the order, and nothing began".to_owned();
                    return self.close(&entry, Outcome::Dropped, Some(why)).await;
                }
                Ok(Found::Gone | Found::Elsewhere(_) | Found::OnSource | Found::Unclear) => {}
                Err(error) => {
                    tracing::debug!(vm.id = %entry.vm, %error, "cannot look for an order; trying on")
                }
            }
            self.wait(pause.next()).await?;
        }
    }

    /// Follows a migration that VMmanager took.
    pub(super) async fn settle(&self, mut entry: JournalEntry) -> Option<JournalEntry> {
        let mut pause = Pause::new(&self.settings);
        let mut unseen: Option<Instant> = None;
        let mut said_slow = false;
        loop {
            match self.trace(&mut entry).await {
                Ok(Trace::Running) => unseen = None,
                Ok(Trace::Ended { status, output }) => {
                    return self.verify(&entry, Some((status, output))).await;
                }
                Ok(Trace::Nothing) => {
                    let since = *unseen.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.settings.search_window {
                        return self.verify(&entry, None).await;
                    }
                }
                // Not being able to look is not the same as seeing nothing.
                Err(error) => {
                    unseen = None;
                    tracing::debug!(vm.id = %entry.vm, %error, "cannot look at a migration; trying on");
                }
            }
            if !said_slow && self.is_slow(&entry) {
                said_slow = true;
                tracing::warn!(vm.id = %entry.vm, target = %entry.target, "a migration is slow; it stays watched");
                self.log_trouble(self.ledger.slow(&entry));
            }
            self.wait(pause.next()).await?;
        }
    }

    /// Believes where the VM is.
    async fn verify(
        &self,
        entry: &JournalEntry,
        ended: Option<(TaskStatus, Option<String>)>,
    ) -> Option<JournalEntry> {
        let began = Instant::now();
        let mut pause = Pause::new(&self.settings);
        loop {
            match self.api.vm_place(entry.vm).await {
                Ok(place) => match verdict(entry, ended.as_ref(), place.as_ref()) {
                    Verdict::Ended(outcome, detail) => return self.close(entry, outcome, detail).await,
                    Verdict::NotYet(outcome, detail) if began.elapsed() >= self.settings.settle_window => {
                        return self.close(entry, outcome, detail).await;
                    }
                    Verdict::NotYet(..) => {}
                },
                Err(error) => {
                    tracing::debug!(vm.id = %entry.vm, %error, "cannot see where a VM is; trying on")
                }
            }
            self.wait(pause.next()).await?;
        }
    }

    async fn close(
        &self,
        entry: &JournalEntry,
        outcome: Outcome,
        detail: Option<String>,
    ) -> Option<JournalEntry> {
        let closed = self.recorded(|| self.ledger.ended(entry, outcome, detail.clone())).await?;
        self.log_trouble(self.rules.after(&closed, self.ledger.clock.now()));
        Some(closed)
    }

    /// Writes until it is written: with a full disk the entry stays open, and the VM in flight.
    pub(super) async fn recorded<T>(&self, write: impl Fn() -> Result<T, StoreError>) -> Option<T> {
        let mut pause = Pause::new(&self.settings);
        let mut said = false;
        loop {
            match write() {
                Ok(written) => return Some(written),
                Err(error) if !said => {
                    said = true;
                    tracing::error!(error = %error.chain(), "the journal cannot be written; trying on");
                }
                Err(_) => {}
            }
            self.wait(pause.next()).await?;
        }
    }

    /// Reads the task by its number, by the queue's number, by the VM's history, or among what runs, in this order.
    async fn trace(&self, entry: &mut JournalEntry) -> Result<Trace, ApiError> {
        let (consul_id, task_id) = entry.task_numbers();
        if let Some(task_id) = task_id
            && let Some(task) = self.task(task_id).await?
        {
            return Ok(told(task));
        }
        if let Some(consul_id) = consul_id
            && let Some(task) = self.api.find_task(consul_id).await?
        {
            self.learn(entry, task.id).await;
            return Ok(told(task));
        }
        match self.in_history(entry).await? {
            Some((row, task)) => {
                if let Some(task_id) = row.task {
                    self.learn(entry, task_id).await;
                }
                Ok(task.map_or_else(|| told_by_row(&row), told))
            }
            None if (consul_id, task_id) == (None, None) => self.among_what_runs(entry).await,
            None => Ok(Trace::Nothing),
        }
    }

    /// Without any number only a task that says its VM, or that may be of any VM, is a sign of life.
    async fn among_what_runs(&self, entry: &mut JournalEntry) -> Result<Trace, ApiError> {
        if entry.history_before != HistoryBefore::Unknown {
            return Ok(Trace::Nothing);
        }
        let (running, _) = self.api.unfinished_migrations().await?;
        if let Some(ours) = running.iter().find(|task| task.vm == Some(entry.vm)) {
            self.learn(entry, ours.task_id).await;
            return Ok(Trace::Running);
        }
        Ok(if running.iter().any(|task| task.vm.is_none()) { Trace::Running } else { Trace::Nothing })
    }

    async fn task(&self, id: u64) -> Result<Option<TaskInfo>, ApiError> {
        match self.api.task(id).await {
            // A version that does not give single tasks.
            Err(ApiError::Refused { .. }) => Ok(None),
            other => other,
        }
    }

    /// Remembers the task's number; if that cannot be written, it is found again.
    async fn learn(&self, entry: &mut JournalEntry, task: u64) {
        if matches!(entry.state, JournalState::Ordered { task_id: Some(known), .. } if known == task) {
            return;
        }
        match self.ledger.ordered(entry.id, None, Some(task)) {
            Ok(known) => *entry = known,
            Err(error) => tracing::warn!(error = %error.chain(), "the number of a task cannot be recorded"),
        }
    }

    /// Finds the entry's row in the VM's history, with its task: the one that has our number in the queue, or else
    /// the oldest that may have it.
    async fn in_history(
        &self,
        entry: &JournalEntry,
    ) -> Result<Option<(HistoryEntry, Option<TaskInfo>)>, ApiError> {
        let Some(history) = history_of(&self.api, entry).await? else { return Ok(None) };
        let (ours, _) = entry.task_numbers();
        let mut may_be = None;
        for row in newer(&history, entry.history_before) {
            let task = match row.task {
                Some(task) => self.task(task).await?,
                None => None,
            };
            match (ours, task.as_ref().and_then(|task| task.consul_id)) {
                (Some(ours), Some(its)) if its == ours => return Ok(Some((row.clone(), task))),
                (Some(_), Some(_)) => {}
                _ => may_be = may_be.or_else(|| Some((row.clone(), task))),
            }
        }
        Ok(may_be)
    }

    async fn look_for(&self, entry: &JournalEntry) -> Result<Found, ApiError> {
        let history = history_of(&self.api, entry).await?;
        if let Some(row) = history.as_ref().and_then(|history| newer(history, entry.history_before).next()) {
            return Ok(Found::Task(row.task));
        }
        let (running, _) = self.api.unfinished_migrations().await?;
        if let Some(task) = running.iter().find(|task| task.vm == Some(entry.vm)) {
            return Ok(Found::Task(Some(task.task_id)));
        }
        // Where the history cannot tell, any task that does not say its VM may be this one.
        if !history.is_some_and(|history| is_numbered(&history))
            && running.iter().any(|task| task.vm.is_none())
        {
            return Ok(Found::Unclear);
        }
        Ok(match self.api.vm_place(entry.vm).await? {
            None => Found::Gone,
            Some(place) if place.node == entry.target => Found::OnTarget,
            Some(place) if place.node == entry.source => Found::OnSource,
            Some(place) => Found::Elsewhere(place.node),
        })
    }

    fn is_slow(&self, entry: &JournalEntry) -> bool {
        let took = self.ledger.clock.now() - entry.intended_at;
        took.to_std().is_ok_and(|took| took >= self.settings.slow_after)
    }

    fn log_trouble(&self, done: Result<(), StoreError>) {
        if let Err(error) = done {
            tracing::error!(error = %error.chain(), "the store cannot be written");
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

/// What is found of an order without an answer.
enum Found {
    /// It began; the task's number, where it is known.
    Task(Option<u64>),
    OnTarget,
    OnSource,
    Elsewhere(NodeId),
    Gone,
    /// Something runs that may be it.
    Unclear,
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

/// Reads the history of an entry's VM; `None` where it cannot tell: for a VM that is gone, and where nothing was
/// known of it before the order. A refusal is neither: the server is asked again.
pub(super) async fn history_of(
    api: &VmManagerApi,
    entry: &JournalEntry,
) -> Result<Option<History>, ApiError> {
    if entry.history_before == HistoryBefore::Unknown {
        return Ok(None);
    }
    match api.history(entry.vm).await {
        Ok(history) => Ok(Some(history)),
        Err(ApiError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The migrations that a history has since `before`, oldest first. Where nothing was known, or without numbers,
/// none can be told from an older one.
pub(super) fn newer(history: &History, before: HistoryBefore) -> impl Iterator<Item = &HistoryEntry> {
    let is_newer = move |row: &&HistoryEntry| match (row.id, before) {
        (None, _) | (_, HistoryBefore::Unknown) => false,
        (Some(_), HistoryBefore::Empty) => true,
        (Some(id), HistoryBefore::UpTo(before)) => id > before,
    };
    let mut rows: Vec<_> =
        history.entries.iter().filter(|row| row.name == MIGRATION).filter(is_newer).collect();
    rows.sort_by_key(|row| row.id);
    rows.into_iter()
}

fn is_numbered(history: &History) -> bool {
    history.max_id.is_some() || history.entries.is_empty()
}

fn told(task: TaskInfo) -> Trace {
    match task.status.has_ended() {
        true => Trace::Ended { status: task.status, output: task.output },
        false => Trace::Running,
    }
}

fn told_by_row(row: &HistoryEntry) -> Trace {
    let status = TaskStatus::from_word(&row.state);
    match status.has_ended() {
        true => Trace::Ended { status, output: None },
        // A history that still says "running" of a task that nobody knows is no sign of life.
        false if row.task.is_some() => Trace::Nothing,
        false => Trace::Running,
    }
}

/// A task that says complete with the VM on the source is a failure; a lost task with the VM on the target is a
/// success.
fn verdict(
    entry: &JournalEntry,
    ended: Option<&(TaskStatus, Option<String>)>,
    place: Option<&VmPlace>,
) -> Verdict {
    let whereabouts = match place {
        Some(place) if place.node == entry.target => return Verdict::Ended(Outcome::Done, None),
        Some(place) if place.node == entry.source => "the VM is on its source".to_owned(),
        Some(place) => format!("the VM is on node {}", place.node),
        None => "the VM is gone".to_owned(),
    };
    match (ended, place) {
        (None, _) => Verdict::Ended(Outcome::Lost, Some(format!("the task vanished; {whereabouts}"))),
        (Some((TaskStatus::Complete, _)), None) => {
            Verdict::NotYet(Outcome::Lost, Some(format!("the task is complete; {whereabouts}")))
        }
        (Some((TaskStatus::Complete, _)), Some(_)) => {
            Verdict::NotYet(Outcome::Failed, Some(format!("the task is complete, yet {whereabouts}")))
        }
        (Some((status, output)), _) => {
            let said = output.as_deref().map_or_else(|| format!("the task is {status}"), bounded);
            Verdict::Ended(Outcome::Failed, Some(said))
        }
    }
}

fn bounded(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
