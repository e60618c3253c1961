//! The states that VMmanager gives nodes and VMs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// VMmanager's word for the state of a node. A node that is not `Active` is neither source nor target.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NodeState {
    /// It works as usual. A snapshot file that does not say means this.
    #[default]
    Active,
    /// The server did not say.
    Unknown,
    /// The node's record is damaged, so it is left alone.
    Unreadable,
    /// The record of a VM on it is damaged, so nobody knows what the node holds.
    UnreadableVm,
    /// Any other word, as VMmanager writes it.
    Other(String),
}

/// VMmanager's word for the state of a VM. Only an `Active` one is moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum VmState {
    /// The only state in which it is moved.
    #[default]
    Active,
    /// The VM is being created. It may have no node yet.
    Creating,
    /// The server did not say.
    Unknown,
    /// Any other word, as VMmanager writes it.
    Other(String),
}

/// The words as VMmanager writes them. A word in another case is another state, so its VM or node stays alone.
macro_rules! words {
    ($state:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl From<&str> for $state {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $state {
            fn from(word: String) -> Self {
                word.as_str().into()
            }
        }

        impl From<$state> for String {
            fn from(state: $state) -> Self {
                state.to_string()
            }
        }

        impl fmt::Display for $state {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                })
            }
        }
    };
}

words!(NodeState { Active = "active", Unknown = "unknown", Unreadable = "unreadable", UnreadableVm = "unreadable_vm" });
words!(VmState { Active = "active", Creating = "creating", Unknown = "unknown" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_written_as_they_were_read() {
        for word in ["active", "creating", "unknown", "failed", "Active", ""] {
            let json = format!("\"{word}\"");
            let vm: VmState = serde_json::from_str(&json).unwrap();
            let node: NodeState = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&vm).unwrap(), json);
            assert_eq!(serde_json::to_string(&node).unwrap(), json);
            assert_eq!(
                (vm == VmState::Active, node == NodeState::Active),
                (word == "active", word == "active")
            );
        }
    }
}
