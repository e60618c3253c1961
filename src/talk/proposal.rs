//! The buttons under a proposal: what their data says, and what a press leads to.
//!
//! The data names a record of the store and carries a tag of what the message showed, so that a press on an older text
//! is recognised. It is never trusted: the role of the person and the record decide.

use sha2::{Digest, Sha256};

use super::{
    access::Role,
    ask::{Answer, Ask, Next, Then},
    verb::{Act, Asker, ButtonKind, boxed},
    verbs,
    view::StalePress,
};
use crate::{
    model::{ProposalId, VmId},
    scheduler::Balanced,
    store::{Proposal, ProposalState},
};

/// The buttons that begin with `p`.
pub(super) const BUTTON: ButtonKind = ButtonKind { mark: "p", read: |rest| Press::read(rest).map(boxed) };

/// The least role that may decide about a proposal.
pub(super) const LEAST_ROLE: Role = Role::Operator;

/// A press of a button under a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Press {
    pub(super) proposal: ProposalId,
    /// What the message showed; see [`tag`].
    pub(super) tag: String,
    pub(super) choice: Choice,
}

/// What can be pressed under a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Approve,
    Reject,
    Refresh,
    /// Leaves this VM out, or takes it in again.
    LeaveOut(VmId),
    /// Stops after the running migration.
    Cancel,
}

impl Press {
    /// Returns the data of the button.
    pub(super) fn data(&self) -> String {
        let Self { proposal, tag, choice } = self;
        match choice {
            Choice::Approve => format!("p:{proposal}:{tag}:a"),
            Choice::Reject => format!("p:{proposal}:{tag}:r"),
            Choice::Refresh => format!("p:{proposal}:{tag}:f"),
            Choice::Cancel => format!("p:{proposal}:{tag}:c"),
            Choice::LeaveOut(vm) => format!("p:{proposal}:{tag}:x:{vm}"),
        }
    }

    fn read(rest: &str) -> Option<Self> {
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
        parts.next().is_none().then_some(Self { proposal, tag, choice })
    }

    /// Compares the press with what the store has: nobody approves what the message did not show.
    fn stale(&self, known: Option<&Proposal>) -> Option<StalePress> {
        let Some(known) = known.filter(|known| known.id == self.proposal) else {
            return Some(StalePress::Unknown);
        };
        let reads_the_plan = match self.choice {
            Choice::Approve | Choice::LeaveOut(_) => true,
            Choice::Reject | Choice::Refresh | Choice::Cancel => false,
        };
        // Of a proposal that is decided, the scheduler says what became of it.
        if reads_the_plan && known.state == ProposalState::Pending && tag(known) != self.tag {
            return Some(StalePress::Changed);
        }
        match self.choice {
            Choice::LeaveOut(vm) if known.steps.iter().all(|step| step.migration.vm != vm) => {
                Some(StalePress::Unknown)
            }
            _ => None,
        }
    }
}

impl Act for Press {
    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        if let Some(stale) = self.stale(asker.proposal) {
            return Next::Say(Answer::Window(asker.view.stale_press(stale)));
        }
        let id = self.proposal;
        Next::Ask(match self.choice {
            Choice::Approve => {
                let then = Then::new(|approved, view, _| Answer::Passing(view.approved(&approved)));
                Ask::Approve(id, then)
            }
            Choice::Reject => Ask::Reject(id, Then::new(|(), view, _| Answer::Passing(view.rejected()))),
            Choice::Refresh => Ask::Refresh(
                id,
                Then::new(|balanced, view, _| {
                    let words = view.refreshed(&balanced);
                    match balanced {
                        Balanced::Proposed(_) => Answer::Passing(words),
                        Balanced::NothingToDo(_) => Answer::Window(words),
                    }
                }),
            ),
            Choice::LeaveOut(vm) => {
                Ask::LeaveOut(id, vm, Then::new(|(), view, _| Answer::Passing(view.left_out())))
            }
            Choice::Cancel => verbs::cancel_by_press(),
        })
    }
}

/// Returns the proposal that the data of a button names, so that the store can be asked for it.
#[must_use]
pub fn named_in(data: &str) -> Option<ProposalId> {
    let (mark, rest) = data.split_once(':')?;
    (mark == BUTTON.mark).then(|| Press::read(rest)).flatten().map(|press| press.proposal)
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
        let id = ProposalId(u64::MAX);
        for choice in [
            Choice::Approve,
            Choice::Reject,
            Choice::Refresh,
            Choice::Cancel,
            Choice::LeaveOut(VmId(u64::MAX)),
        ] {
            let press = Press { proposal: id, tag: "0123abcd".into(), choice };
            let data = press.data();
            assert!(data.len() <= BUTTON_DATA_BYTES_MAX, "{data}");
            assert_eq!(named_in(&data), Some(id));
            assert_eq!(data.strip_prefix("p:").and_then(Press::read), Some(press), "{data}");
        }
    }

    #[test]
    fn other_data_is_nothing() {
        for rest in ["", "1", "1:aa", "1:aa:a:5", "1:aa:x", "-1:aa:a", "1:aa:x:5:6"] {
            assert_eq!(Press::read(rest), None, "{rest}");
        }
        assert_eq!(named_in("s:1"), None);
    }
}
