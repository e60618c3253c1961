//! What a button says when it is pressed: a short word, never trusted.
//!
//! It names a record of the store and carries a tag of what the message showed, so that a press on an older
//! text is recognised. Whether it may be done is asked of the roles and of the store.

use sha2::{Digest, Sha256};

use crate::{
    model::{ClusterId, ProposalId, VmId},
    store::Proposal,
};

/// A press of a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Press {
    Proposal {
        proposal: ProposalId,
        /// What the message showed; see [`tag`].
        tag: String,
        choice: Choice,
    },
    /// `/status` again, of one cluster or of all.
    Status { cluster: Option<ClusterId> },
    /// `/balance` of this cluster.
    Balance { cluster: ClusterId },
    /// `/cancel`.
    Cancel,
    /// Another part of the history.
    History { skip: usize, count: usize, of: Option<String> },
}

/// What can be pressed under a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Approve,
    Reject,
    Refresh,
    /// Leaves this VM out, or takes it in again.
    LeaveOut(VmId),
    /// Stops after the running migration.
    Cancel,
}

/// Nobody pages further back by buttons than this.
const SKIP_MAX: usize = 10_000;

impl Press {
    /// Returns the data of the button; at most 64 bytes but for a history of a very long name.
    #[must_use]
    pub fn data(&self) -> String {
        match self {
            Self::Proposal { proposal, tag, choice } => match choice {
                Choice::Approve => format!("p:{proposal}:{tag}:a"),
                Choice::Reject => format!("p:{proposal}:{tag}:r"),
                Choice::Refresh => format!("p:{proposal}:{tag}:f"),
                Choice::Cancel => format!("p:{proposal}:{tag}:c"),
                Choice::LeaveOut(vm) => format!("p:{proposal}:{tag}:x:{vm}"),
            },
            Self::Status { cluster: None } => "s".into(),
            Self::Status { cluster: Some(id) } => format!("s:{id}"),
            Self::Balance { cluster } => format!("b:{cluster}"),
            Self::Cancel => "c".into(),
            Self::History { skip, count, of: None } => format!("h:{skip}:{count}"),
            Self::History { skip, count, of: Some(of) } => format!("h:{skip}:{count}:{of}"),
        }
    }

    /// Reads the data of a button; `None` for what this program does not write.
    #[must_use]
    pub fn parse(data: &str) -> Option<Self> {
        let (kind, rest) = data.split_once(':').unwrap_or((data, ""));
        match kind {
            "p" => proposal(rest),
            "s" if rest.is_empty() => Some(Self::Status { cluster: None }),
            "s" => Some(Self::Status { cluster: Some(ClusterId(rest.parse().ok()?)) }),
            "b" => Some(Self::Balance { cluster: ClusterId(rest.parse().ok()?) }),
            "c" if rest.is_empty() => Some(Self::Cancel),
            "h" => history(rest),
            _ => None,
        }
    }
}

fn proposal(rest: &str) -> Option<Press> {
    let mut parts = rest.split(':');
    let proposal = ProposalId(parts.next()?.parse().ok()?);
    let tag = parts.next()?.to_owned();
    let choice = match (parts.next()?, parts.next()) {
        ("a", None) => Choice::Approve,
        ("r", None) => Choice::Reject,
        ("f", None) => Choice::Refresh,
        ("c", None) => Choice::Cancel,
        ("x", Some(vm)) => Choice::LeaveOut(VmId(vm.parse().ok()?)),
        _ => return None,
    };
    parts.next().is_none().then_some(Press::Proposal { proposal, tag, choice })
}

fn history(rest: &str) -> Option<Press> {
    let mut parts = rest.splitn(3, ':');
    let skip = parts.next()?.parse().ok().filter(|skip| *skip <= SKIP_MAX)?;
    let count = parts.next()?.parse().ok().filter(|n| (1..=super::command::HISTORY_PAGE_MAX).contains(n))?;
    Some(Press::History { skip, count, of: parts.next().map(str::to_owned) })
}

/// Returns eight hex digits of what a press on a proposal is about: its plan and what is left out of it.
///
/// Approvals and progress do not change it: they change nothing of what is approved.
#[must_use]
pub fn tag(proposal: &Proposal) -> String {
    let mut hash = Sha256::new();
    hash.update(&proposal.plan.id.0);
    for vm in &proposal.left_out {
        hash.update(vm.0.to_be_bytes());
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::view::BUTTON_DATA_BYTES_MAX;

    #[test]
    fn what_a_button_says_is_read_again() {
        let of_proposal =
            |choice| Press::Proposal { proposal: ProposalId(u64::MAX), tag: "0123abcd".into(), choice };
        let presses = [
            of_proposal(Choice::Approve),
            of_proposal(Choice::Reject),
            of_proposal(Choice::Refresh),
            of_proposal(Choice::Cancel),
            of_proposal(Choice::LeaveOut(VmId(u64::MAX))),
            Press::Status { cluster: None },
            Press::Status { cluster: Some(ClusterId(3)) },
            Press::Balance { cluster: ClusterId(u64::MAX) },
            Press::Cancel,
            Press::History { skip: 20, count: 10, of: None },
            Press::History { skip: 0, count: 10, of: Some("web:1".into()) },
        ];
        for press in presses {
            let data = press.data();
            assert!(data.len() <= BUTTON_DATA_BYTES_MAX, "{data}");
            assert_eq!(Press::parse(&data), Some(press), "{data}");
        }
    }

    #[test]
    fn other_data_is_nothing() {
        for data in [
            "",
            "p",
            "p:1",
            "p:1:aa",
            "p:1:aa:a:5",
            "p:1:aa:x",
            "p:-1:aa:a",
            "b:",
            "b:x",
            "h:1",
            "h:99999:10",
            "h:0:0",
            "x:1",
            "c:1",
        ] {
            assert_eq!(Press::parse(data), None, "{data}");
        }
    }
}
