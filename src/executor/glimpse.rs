//! VMmanager's present state of running migrations, for people who ask. Only reads.

use super::{Watcher, watch::order_of};
use crate::{
    model::{ApiFailure, Quote, VmId, Whereabouts},
    store::JournalEntry,
    vmmanager::TaskState,
};

/// A migration as VMmanager shows it at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpse {
    pub vm: VmId,
    pub vm_name: String,
    pub task: Option<u64>,
    pub says: Says,
    pub place: Whereabouts,
}

/// What VMmanager says of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    Runs,
    Complete,
    Failed,
    /// An undocumented word.
    Word(Quote),
    /// No task is its own.
    Nothing,
}

impl Watcher {
    /// Asks VMmanager for one open migration.
    pub async fn glimpse(&self, entry: &JournalEntry) -> Result<Glimpse, ApiFailure> {
        let order = order_of(entry);
        let progress = self.api.progress(&order).await?;
        let place = self.api.whereabouts(&order).await?;
        let says = match progress.state {
            TaskState::Running => Says::Runs,
            TaskState::Complete => Says::Complete,
            TaskState::Failed(_) => Says::Failed,
            TaskState::Unknown { word, .. } => Says::Word(word),
            TaskState::Unseen => Says::Nothing,
        };
        let task = progress.task_id.or(order.task_id);
        Ok(Glimpse { vm: entry.vm, vm_name: entry.vm_name.clone(), task, says, place })
    }
}
