//! Tasks, histories and the migrate form, as the rest of the program sees them.

use std::fmt;

use crate::model::{NodeId, VmId};

/// A task of VMmanager's task manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// The task manager's number.
    pub id: u64,
    /// The queue's number: the one that an order is answered with.
    pub consul_id: Option<u64>,
    /// E.g. `host_migrate`.
    pub name: String,
    pub status: TaskStatus,
    /// What the task has to say, mostly why it failed; several lines, of bounded length.
    pub output: Option<String>,
    /// Why it waits.
    pub defer_reason: Option<String>,
    /// Seconds at work.
    pub running_time: Option<u64>,
    /// The VM, on servers that happen to name it.
    pub vm: Option<VmId>,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    Created,
    Running,
    Complete,
    Failed,
    Cancelled,
    /// An undocumented word.
    Other(String),
}

impl TaskStatus {
    /// Understands VMmanager's word, whatever its case; both words for failure are known.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "created" => Self::Created,
            "running" => Self::Running,
            "complete" | "completed" | "success" | "succeeded" | "done" | "finished" | "ok" => Self::Complete,
            "fail" | "failed" | "failure" | "error" => Self::Failed,
            lower if lower.starts_with("cancel") || lower.starts_with("abort") => Self::Cancelled,
            _ => Self::Other(word.trim().to_owned()),
        }
    }

    /// Tells whether this is an unknown word that may be the final status of a task.
    #[must_use]
    pub fn may_be_the_end(&self) -> bool {
        const GOES_ON: [&str; 16] = [
            "defer", "wait", "pend", "queue", "paus", "sched", "hold", "prepar", "start", "init", "in_p",
            "in p", "in-p", "progress", "process", "migrat",
        ];
        match self {
            Self::Other(word) => {
                let word = word.to_ascii_lowercase();
                !GOES_ON.iter().any(|begin| word.starts_with(begin))
            }
            Self::Created | Self::Running | Self::Complete | Self::Failed | Self::Cancelled => false,
        }
    }

    /// Tells whether the task will not change any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Complete | Self::Failed | Self::Cancelled => true,
            Self::Created | Self::Running | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Other(word) => word,
        })
    }
}

/// What was done with a VM, as VMmanager recorded it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The largest id in the history; `None` where entries have no ids or there are none.
    pub max_id: Option<u64>,
    /// By id where there are ids, else in the server's order.
    pub entries: Vec<HistoryEntry>,
    /// Some rows cannot be read in full, so that what is not seen may be there.
    pub has_odd_rows: bool,
}

/// One entry of a VM's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    pub id: Option<u64>,
    /// The task manager's number, not the queue's.
    pub task: Option<u64>,
    /// E.g. `host_migrate`.
    pub name: String,
    pub state: String,
    /// The server's own text, without a time zone. It may be compared only with other dates of this server.
    pub at: Option<String>,
    /// The account that it was done with, where the server says.
    pub user: Option<String>,
}

/// A node that VMmanager names as a target for one VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormTarget {
    pub node: NodeId,
    pub suitable: bool,
}
