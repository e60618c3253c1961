//! What is known of a migration at VMmanager: before its order, and from where it left traces.

use serde::{Deserialize, Serialize};

use super::{NodeId, Quote};

/// What was known of a VM's history before an order.
///
/// On disk a number or nothing, as it was before the three cases were distinguished: nothing is the one that
/// claims least, and an empty history ends before its first number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<u64>", into = "Option<u64>")]
pub enum HistoryBefore {
    /// Nothing: the server has no histories, or no numbers in them. No row can be told from an older one.
    Unknown,
    /// It was read and had no rows: every row is newer.
    Empty,
    /// The number of its newest row.
    UpTo(u64),
}

impl From<Option<u64>> for HistoryBefore {
    fn from(newest: Option<u64>) -> Self {
        match newest {
            None => Self::Unknown,
            Some(0) => Self::Empty,
            Some(newest) => Self::UpTo(newest),
        }
    }
}

impl From<HistoryBefore> for Option<u64> {
    fn from(before: HistoryBefore) -> Self {
        match before {
            HistoryBefore::Unknown => None,
            HistoryBefore::Empty => Some(0),
            HistoryBefore::UpTo(newest) => Some(newest),
        }
    }
}

/// Where the VM of a migration is: the last word on how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whereabouts {
    /// It is on the node that it was sent to.
    OnTarget,
    /// It is on the node that it was to leave.
    OnSource,
    /// It is on a third node.
    Elsewhere(NodeId),
    /// VMmanager has no such VM.
    Gone,
}

/// How a task ended that did not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskFailure {
    /// The task's own words.
    Said(Quote),
    /// It was cancelled, without a word.
    Cancelled,
    /// It failed without a word.
    Silent,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn what_was_known_of_a_history_is_written_as_it_always_was() {
        let known = [HistoryBefore::Unknown, HistoryBefore::Empty, HistoryBefore::UpTo(7004)];
        let written = known.map(|known| json!(known));
        assert_eq!(written, [Value::Null, json!(0), json!(7004)]);
        assert_eq!(written.map(|value| from_value::<HistoryBefore>(value).unwrap()), known);
    }
}
