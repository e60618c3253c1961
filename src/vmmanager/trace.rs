//! What became of an order, and what must be known before it to find that out.
//!
//! An order is answered with the queue's number. The task manager gives the task another number, and the VM's history
//! gives its row a third. Versions differ in which of them they show, so all of them are followed here. Only reads.

use std::{collections::BTreeSet, time::Duration};

use super::{
    client::{MIGRATION, VmManagerApi},
    task::{History, HistoryEntry, TaskInfo, TaskStatus},
};
use crate::model::{ApiFailure, HistoryBefore, NodeId, Quote, TaskFailure, VmId, Whereabouts};

/// An order as far as it must be known to find it.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub vm: VmId,
    pub source: NodeId,
    pub target: NodeId,
    pub history_before: HistoryBefore,
    /// The queue's number, where the order was answered with one.
    pub consul_id: Option<u64>,
    /// The task manager's number, once it is known.
    pub task_id: Option<u64>,
}

/// What is known of a VM before an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeforeOrder {
    pub history: HistoryBefore,
    /// The name of a task that waits or runs for the VM.
    pub busy_with: Option<String>,
}

/// What is found of an order that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It began; with the task's number, where that is known.
    Began { task_id: Option<u64> },
    /// No task and no row of the history is its own.
    Nothing(Whereabouts),
    /// A migration runs that may be this one.
    Unclear,
}

/// How far a migration is that VMmanager took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub state: TaskState,
    /// The task's number, where it was found.
    pub task_id: Option<u64>,
}

/// What VMmanager's tasks say of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskState {
    Running,
    Complete,
    Failed(TaskFailure),
    /// The task's status is a word that nobody documented and that may be its last.
    Unknown {
        word: Quote,
        /// Seconds at work: where they grow, the task is not over.
        running_time: Option<u64>,
    },
    /// No task is its own.
    Unseen,
}

impl VmManagerApi {
    /// Asks how far the history of a VM goes, and whether VMmanager is at work on it.
    ///
    /// # Errors
    ///
    /// Any [`ApiFailure`] but a missing function.
    pub async fn before_order(&self, vm: VmId) -> Result<BeforeOrder, ApiFailure> {
        let history = match self.history(vm).await {
            Ok(history) => history,
            // A version without histories: then only the task list can tell.
            Err(error) if error.is_missing_function() => {
                return Ok(BeforeOrder { history: HistoryBefore::Unknown, busy_with: None });
            }
            Err(error) => return Err(error),
        };
        let goes = match history.max_id {
            Some(newest) => HistoryBefore::UpTo(newest),
            None if history.entries.is_empty() && !history.has_odd_rows => HistoryBefore::Empty,
            None => HistoryBefore::Unknown,
        };
        Ok(BeforeOrder { history: goes, busy_with: self.at_work(&history).await? })
    }

    /// Names the task that runs for a VM by its history. A row may say "running" for ever, so only a task that is
    /// still among the unfinished ones counts.
    async fn at_work(&self, history: &History) -> Result<Option<String>, ApiFailure> {
        let goes_on = |row: &&HistoryEntry| {
            let state = TaskStatus::from_word(&row.state);
            row.name != MIGRATION && !state.has_ended() && !state.may_be_the_end()
        };
        let unfinished: Vec<_> = history.entries.iter().filter(goes_on).collect();
        if unfinished.is_empty() {
            return Ok(None);
        }
        let tasks = self.unfinished_tasks().await?.others;
        let runs = |row: &&&HistoryEntry| match row.task {
            Some(number) => tasks.iter().any(|task| task.task_id == number),
            None => tasks.iter().any(|task| task.vm.is_none() && task.name == row.name),
        };
        Ok(unfinished.iter().find(runs).map(|row| row.name.clone()))
    }

    /// Reads the tasks of the migrations that a VM's history has since `before`.
    pub async fn tasks_since(&self, vm: VmId, before: HistoryBefore) -> Result<BTreeSet<u64>, ApiFailure> {
        let history = self.history_since(vm, before).await?;
        Ok(history.iter().flat_map(|history| newer(history, before)).filter_map(|row| row.task).collect())
    }

    /// Asks who migrated a VM last besides this order, by the VM's history; `None` where it does not say.
    pub async fn migrated_by(&self, vm: VmId, besides: Option<u64>) -> Result<Option<String>, ApiFailure> {
        let history = self.history(vm).await?;
        let others = migrations(&history).filter(|row| row.task.is_none() || row.task != besides);
        // Rows without numbers are in no known order.
        let newest = if is_numbered(&history) { others.max_by_key(|row| row.id) } else { None };
        Ok(newest.and_then(|row| row.user.clone()))
    }

    /// Looks for an order whose answer never came.
    pub async fn look_for(&self, order: &Order) -> Result<Found, ApiFailure> {
        let history = self.history_since(order.vm, order.history_before).await?;
        let row = history.as_ref().and_then(|history| newer(history, order.history_before).next());
        if let Some(row) = row {
            return Ok(Found::Began { task_id: row.task });
        }
        let (running, _) = self.unfinished_migrations().await?;
        if let Some(task) = running.iter().find(|task| task.vm == Some(order.vm)) {
            return Ok(Found::Began { task_id: Some(task.task_id) });
        }
        // Where the history cannot tell, any task that does not say its VM may be this one.
        let tells = |history: &History| {
            is_numbered(history)
                && !history.has_odd_rows
                && !numbers_began_anew(history, order.history_before)
        };
        if !history.is_some_and(|history| tells(&history)) && running.iter().any(|task| task.vm.is_none()) {
            return Ok(Found::Unclear);
        }
        self.whereabouts(order).await.map(Found::Nothing)
    }

    /// Asks where the VM of an order is.
    ///
    /// # Errors
    ///
    /// As [`VmManagerApi::vm`].
    pub async fn whereabouts(&self, order: &Order) -> Result<Whereabouts, ApiFailure> {
        Ok(match self.vm_place(order.vm).await? {
            None => Whereabouts::Gone,
            Some(place) if place.node == order.target => Whereabouts::OnTarget,
            Some(place) if place.node == order.source => Whereabouts::OnSource,
            Some(place) => Whereabouts::Elsewhere(place.node),
        })
    }

    /// Asks how far a migration is: by the task's number, by the queue's number, by the VM's history, or among what
    /// runs, in this order.
    pub async fn progress(&self, order: &Order) -> Result<Progress, ApiFailure> {
        if let Some(task_id) = order.task_id
            && let Some(task) = self.task_if_given(task_id).await?.filter(|task| may_be_of(task, order))
        {
            return Ok(Progress::of(task));
        }
        if let Some(consul_id) = order.consul_id
            && let Some(task) = self.find_task(consul_id).await?.filter(|task| may_be_of(task, order))
        {
            return Ok(Progress::of(task));
        }
        match self.in_history(order).await? {
            Some((row, None)) => Ok(Progress { state: state_of_row(&row), task_id: row.task }),
            Some((_, Some(task))) => Ok(Progress::of(task)),
            None if (order.consul_id, order.task_id) == (None, None) => self.among_what_runs(order).await,
            None => Ok(Progress::UNSEEN),
        }
    }

    /// Tells whether the task of an order is plainly at work, by a list that is at most this old and that all share:
    /// watching many migrations costs one request. Where this says no, [`Self::progress`] knows more.
    pub async fn is_running(&self, order: &Order, age_max: Duration) -> Result<bool, ApiFailure> {
        let running = self.unfinished_lately(age_max).await?;
        Ok(running.iter().any(|task| {
            let status = TaskStatus::from_word(&task.status);
            Some(task.task_id) == order.task_id
                && matches!(status, TaskStatus::Created | TaskStatus::Running)
                && order.consul_id.zip(task.consul_id).is_none_or(|(ours, its)| ours == its)
                && task.vm.is_none_or(|vm| vm == order.vm)
        }))
    }

    /// Tells whether the task of an order is among those that wait or run.
    pub async fn is_unfinished(&self, order: &Order) -> Result<bool, ApiFailure> {
        let (running, _) = self.unfinished_migrations().await?;
        let is_its = |vm: Option<VmId>| vm.is_none_or(|vm| vm == order.vm);
        Ok(running.iter().any(|task| Some(task.task_id) == order.task_id && is_its(task.vm)))
    }

    /// Without any number only a task that says its VM, or that may be of any VM, is a sign of life.
    async fn among_what_runs(&self, order: &Order) -> Result<Progress, ApiFailure> {
        if order.history_before != HistoryBefore::Unknown {
            return Ok(Progress::UNSEEN);
        }
        let (running, _) = self.unfinished_migrations().await?;
        let ours = running.iter().find(|task| task.vm == Some(order.vm)).map(|task| task.task_id);
        let may_run = ours.is_some() || running.iter().any(|task| task.vm.is_none());
        let state = if may_run { TaskState::Running } else { TaskState::Unseen };
        Ok(Progress { state, task_id: ours })
    }

    /// As [`VmManagerApi::task`], on versions too that do not give single tasks.
    async fn task_if_given(&self, id: u64) -> Result<Option<TaskInfo>, ApiFailure> {
        match self.task(id).await {
            Err(ApiFailure::Refused { .. }) => Ok(None),
            other => other,
        }
    }

    /// Finds the order's row in the VM's history, with its task: the one that has our number in the queue, or else
    /// the oldest that may have it.
    async fn in_history(
        &self,
        order: &Order,
    ) -> Result<Option<(HistoryEntry, Option<TaskInfo>)>, ApiFailure> {
        let Some(history) = self.history_since(order.vm, order.history_before).await? else {
            return Ok(None);
        };
        let mut may_be = None;
        let rows = newer(&history, order.history_before).map(|row| (row, true));
        // Where the numbers began anew, only our number in the queue tells our row from an older one.
        let doubtful = migrations(&history).filter(|_| numbers_began_anew(&history, order.history_before));
        for (row, is_newer) in rows.chain(doubtful.map(|row| (row, false))) {
            let task = match row.task {
                Some(task) => self.task_if_given(task).await?,
                None => None,
            };
            match (order.consul_id, task.as_ref().and_then(|task| task.consul_id)) {
                (Some(ours), Some(its)) if its == ours => return Ok(Some((row.clone(), task))),
                (Some(_), Some(_)) => {}
                _ if !is_newer => {}
                _ => may_be = may_be.or_else(|| Some((row.clone(), task))),
            }
        }
        Ok(may_be)
    }

    /// Reads the history of a VM; `None` where it cannot tell: for a VM that is gone, and where nothing was known of
    /// it before the order. A refusal is neither: the server is asked again.
    async fn history_since(&self, vm: VmId, before: HistoryBefore) -> Result<Option<History>, ApiFailure> {
        if before == HistoryBefore::Unknown {
            return Ok(None);
        }
        match self.history(vm).await {
            Ok(history) => Ok(Some(history)),
            Err(ApiFailure::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Progress {
    const UNSEEN: Self = Self { state: TaskState::Unseen, task_id: None };

    fn of(task: TaskInfo) -> Self {
        let said = task.output.as_deref().map(Quote::of).filter(|said| !said.is_empty());
        let state = match state_of(&task.status, said) {
            Some(TaskState::Unknown { word, .. }) => {
                TaskState::Unknown { word, running_time: task.running_time }
            }
            other => other.unwrap_or(TaskState::Running),
        };
        Self { state, task_id: Some(task.id) }
    }
}

/// Returns how a task ended; `None` while it has not.
fn state_of(status: &TaskStatus, said: Option<Quote>) -> Option<TaskState> {
    match status {
        TaskStatus::Other(word) if status.may_be_the_end() => {
            Some(TaskState::Unknown { word: Quote::of(word), running_time: None })
        }
        TaskStatus::Created | TaskStatus::Running | TaskStatus::Other(_) => None,
        TaskStatus::Complete => Some(TaskState::Complete),
        TaskStatus::Failed => Some(TaskState::Failed(said.map_or(TaskFailure::Silent, TaskFailure::Said))),
        TaskStatus::Cancelled => {
            Some(TaskState::Failed(said.map_or(TaskFailure::Cancelled, TaskFailure::Said)))
        }
    }
}

fn state_of_row(row: &HistoryEntry) -> TaskState {
    match state_of(&TaskStatus::from_word(&row.state), None) {
        Some(state) => state,
        // A history that still says "running" of a task that nobody knows is no sign of life.
        None if row.task.is_some() => TaskState::Unseen,
        None => TaskState::Running,
    }
}

/// Numbers begin anew where VMmanager is restored from a backup: a number alone makes no task ours.
fn may_be_of(task: &TaskInfo, order: &Order) -> bool {
    let differ = |ours: Option<u64>, its: Option<u64>| ours.zip(its).is_some_and(|(ours, its)| ours != its);
    (task.name.is_empty() || task.name == MIGRATION)
        && !differ(order.consul_id, task.consul_id)
        && task.vm.is_none_or(|vm| vm == order.vm)
}

/// A history that ends before where it ended is another one: VMmanager was restored from a backup.
fn numbers_began_anew(history: &History, before: HistoryBefore) -> bool {
    match before {
        HistoryBefore::UpTo(before) => history.max_id.is_none_or(|newest| newest < before),
        HistoryBefore::Unknown | HistoryBefore::Empty => false,
    }
}

fn migrations(history: &History) -> impl Iterator<Item = &HistoryEntry> {
    history.entries.iter().filter(|row| row.name == MIGRATION)
}

/// The migrations that a history has since `before`, oldest first. Where nothing was known, without numbers, or where
/// they began anew, none can be told from an older one.
fn newer(history: &History, before: HistoryBefore) -> impl Iterator<Item = &HistoryEntry> {
    let began_anew = numbers_began_anew(history, before);
    let is_newer = move |row: &&HistoryEntry| match (row.id, before) {
        _ if began_anew => false,
        (None, _) | (_, HistoryBefore::Unknown) => false,
        (Some(_), HistoryBefore::Empty) => true,
        (Some(id), HistoryBefore::UpTo(before)) => id > before,
    };
    let mut rows: Vec<_> = migrations(history).filter(is_newer).collect();
    rows.sort_by_key(|row| row.id);
    rows.into_iter()
}

fn is_numbered(history: &History) -> bool {
    history.max_id.is_some() || history.entries.is_empty()
}
