//! Why a step of a plan ended as it did, as data.

use serde::{Deserialize, Serialize};

use crate::{
    model::{ApiFailure, Flaw, MigrationId, Person, Quote, StoreFailure, TaskFailure, Trouble, Whereabouts},
    planner::Unfit,
};

/// Why a step ended as it did; a migration that simply went well has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It no longer fitted when it was to be ordered.
    Unfit(Unfit),
    /// VMmanager's own form does not offer the target for this VM.
    NotOffered,
    /// Another migration occupies its source or its target.
    NodeOccupied {
        vm_name: String,
        by: MigrationId,
    },
    /// The VM has another migration without an end.
    AlreadyMoving,
    /// While VMmanager put the order off, somebody else did something with the VM.
    SomebodyElse,
    /// The last picture of the cluster is doubted.
    Doubted(Flaw),
    /// VMmanager could not be asked, or did not take the order.
    VmManager(ApiFailure),
    /// VMmanager is busy with the VM, or its queue is full: later the same may succeed.
    Busy(ApiFailure),
    /// VMmanager does not understand the order. That says nothing of the VM.
    NotUnderstood(ApiFailure),
    /// The account lacks a right that a migration needs.
    NotAllowed(ApiFailure),
    CancelledBy(Person),
    /// A person gave up watching the migration, so its outcome is unknown.
    GivenUp(Person),
    /// Nothing is ordered in a dry run.
    DryRun,
    /// The bot was stopped before VMmanager took the order.
    Stopped,
    /// The bot was restarted: a plan of the last process is not resumed.
    Restarted,
    /// The store could not be used.
    Store(StoreFailure),
    /// The planner panicked.
    Planning(Quote),
    /// The executor panicked.
    Panicked,
    /// The order was not answered, and it left no trace; the VM is there.
    NoAnswer(Whereabouts),
    /// VMmanager lost the task; the VM is there.
    TaskVanished(Whereabouts),
    /// The task is complete, and yet the VM is there.
    TaskComplete(Whereabouts),
    TaskFailed(TaskFailure),
    /// The task is over with a word that nobody documented, and the VM is there.
    TaskWord {
        word: Quote,
        place: Whereabouts,
    },
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

impl From<Trouble> for Ending {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::VmManager(failure) => Self::VmManager(failure),
            Trouble::Store(failure) => Self::Store(failure),
            Trouble::Planning(said) => Self::Planning(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;
    use crate::{
        model::NodeId,
        planner::SkipWhy,
        store::{JournalState, Outcome, StepState},
    };

    #[test]
    fn an_ending_survives_the_store() {
        for ending in [
            Ending::NotOffered,
            Ending::Unfit(Unfit::Vm(SkipWhy::State("stopped".into()))),
            Ending::Unfit(Unfit::Moved { now: NodeId(3) }),
            Ending::NodeOccupied { vm_name: "web-1".into(), by: MigrationId(4) },
            Ending::NoAnswer(Whereabouts::Elsewhere(NodeId(3))),
            Ending::TaskFailed(TaskFailure::Said("no space".into())),
            Ending::VmManager(ApiFailure::Unavailable { what: "GET /".into(), waited: 3 }),
            Ending::Other("words".into()),
        ] {
            let written = to_value(StepState::Ended {
                outcome: Outcome::Lost,
                detail: Some(ending.clone()),
                at: chrono::DateTime::UNIX_EPOCH,
            });
            let StepState::Ended { detail, .. } = from_value(written.unwrap()).unwrap() else { panic!() };
            assert_eq!(detail, Some(ending));
        }
        assert_eq!(to_value(Ending::NotOffered).unwrap(), json!("not_offered"));
    }

    #[test]
    fn text_of_an_older_version_is_read_as_a_quotation() {
        let old = r#"{"is":"closed","outcome":"failed","detail":"the task is failed\n\u202ehere",
            "at":"2026-11-20T10:00:00Z","ordered":true,"consul_id":7,"task_id":null}"#;
        let JournalState::Closed { detail, .. } = serde_json::from_str(old).unwrap() else { panic!() };
        assert_eq!(detail, Some(Ending::Other("the task is failed here".into())));
        let old = r#"{"is":"ended","outcome":"dropped","detail":"the bot was restarted","at":"2026-11-20T10:00:00Z"}"#;
        let StepState::Ended { detail, .. } = serde_json::from_str(old).unwrap() else { panic!() };
        assert_eq!(detail, Some(Ending::Other("the bot was restarted".into())));
    }
}
