//! Who is asked to measure itself, and why a node that was asked has no reading.

use serde::{Deserialize, Serialize};

use super::NodeId;

/// Which nodes a round asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of them: for what is planned on.
    Everybody,
    /// All but those that kept silent when they were asked last: nobody with a question waits for them again.
    WhoAnswered,
}

/// A node that gave no reading when it was asked last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmeasured {
    /// VMmanager's number of the node.
    pub node: NodeId,
    /// The cause.
    pub why: WhyUnmeasured,
}

/// Why a node gave no reading, for people; the log has the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyUnmeasured {
    /// Nobody listens on the port.
    Refused,
    /// No way leads there, or the name is unknown.
    Unreachable,
    /// No answer in time.
    Silent,
    /// Its host key is not among the known ones, and `strict` learns none.
    HostKeyUnknown,
    /// It shows another host key than the known one.
    HostKeyChanged,
    /// It shows a host key that is marked as revoked.
    HostKeyRevoked,
    /// The known hosts cannot be used.
    HostKeyUnchecked,
    /// What answers does not speak SSH, or not as we do.
    Handshake,
    /// The login was refused.
    Login,
    /// The connection was lost.
    Lost,
    /// The session or the command was refused, or the command failed.
    Command,
    /// What the node said is no reading.
    Unreadable,
}
