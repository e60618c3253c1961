//! The buttons under a proposal: what their data says, and what a press leads to.
//!
//! The data names a record of the store and carries a tag of what the message showed, so that a press on an older text
//! is recognised. It is never trusted: the role of the person and the record decide.

use std::fmt;

use chrono::TimeDelta;

use super::{
    access::Role,
    ask::{Answer, Ask, Next, Then},
    chart,
    verb::{Act, Asker, ButtonKind, erase},
    verbs,
    view::{StalePress, View},
};
use crate::{
    model::{NodeId, ProposalId, VmId},
    scheduler::{Balanced, Hand, Rounded, Stop, WatchWish, Watched, When},
    store::{Proposal, ProposalState, Selection, Step},
};

/// The buttons that begin with `p`.
pub(super) const BUTTON: ButtonKind = ButtonKind { mark: "p", read: |rest| Press::read(rest).map(erase) };

/// The least role that may decide about a proposal.
pub(super) const LEAST_ROLE: Role = Role::Operator;

/// A plan is approved no sooner than this after it took the place of another or somebody else changed it: the finger
/// was on its way to another button.
const READING_TIME: TimeDelta = TimeDelta::seconds(5);

/// A press of a button under a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Press {
    pub(super) proposal: ProposalId,
    /// What the message showed; see [`Proposal::tag`].
    pub(super) tag: String,
    pub(super) choice: Choice,
}

/// What can be pressed under a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Approve,
    /// The same, to begin when `BALANCE_WINDOW` opens.
    ApproveInWindow,
    /// Of a finished plan: a plan that takes it back.
    Undo,
    /// Of a plan that emptied a node: the node is back.
    Return,
    /// Of a plan that emptied a node of a maintenance round: how the round goes on.
    Round(Hand),
    Reject,
    Refresh,
    /// Leaves steps out, or takes them in again.
    Steps(Selection),
    /// Stops after the running migration.
    Cancel,
    /// Asks what VMmanager shows of a migration that takes long.
    LookAgain,
    /// Asks what it means to give up watching.
    GiveUp,
    /// Gives up watching.
    GiveUpSurely,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Steps(Selection::LeaveOut(vm)) => return write!(f, "leave out VM {vm}"),
            Self::Steps(Selection::TakeIn(vm)) => return write!(f, "take in VM {vm}"),
            Self::Steps(Selection::KeepFirst(last)) => return write!(f, "only the first {last}"),
            Self::Steps(Selection::OnlyNode(node)) => return write!(f, "only node {node}"),
            Self::Steps(Selection::Show(first)) => return write!(f, "show the buttons from {first} on"),
            Self::Steps(Selection::KeepAll) => "take all in",
            Self::Approve => "approve",
            Self::ApproveInWindow => "approve, run in the window",
            Self::Undo => "undo",
            Self::Return => "the node is back",
            Self::Round(Hand::Done) => "node done",
            Self::Round(Hand::Again) => "try the node again",
            Self::Round(Hand::Skip) => "skip the node",
            Self::Round(Hand::Stop) => "stop the maintenance",
            Self::Reject => "reject",
            Self::Refresh => "refresh",
            Self::Cancel => "stop",
            Self::LookAgain => "look again",
            Self::GiveUp => "ask to give up",
            Self::GiveUpSurely => "give up",
        };
        f.write_str(words)
    }
}

impl Press {
    /// Returns the data of the button.
    pub(super) fn data(&self) -> String {
        let Self { proposal, tag, choice } = self;
        let (letter, number) = match choice {
            Choice::Approve => ("a", None),
            Choice::ApproveInWindow => ("w", None),
            Choice::Undo => ("z", None),
            Choice::Return => ("h", None),
            Choice::Round(Hand::Done) => ("d", None),
            Choice::Round(Hand::Again) => ("t", None),
            Choice::Round(Hand::Skip) => ("s", None),
            Choice::Round(Hand::Stop) => ("e", None),
            Choice::Reject => ("r", None),
            Choice::Refresh => ("f", None),
            Choice::Cancel => ("c", None),
            Choice::LookAgain => ("o", None),
            Choice::GiveUp => ("u", None),
            Choice::GiveUpSurely => ("U", None),
            Choice::Steps(Selection::LeaveOut(VmId(vm))) => ("x", Some(*vm)),
            Choice::Steps(Selection::TakeIn(VmId(vm))) => ("i", Some(*vm)),
            Choice::Steps(Selection::KeepFirst(last)) => ("k", Some(u64::from(*last))),
            Choice::Steps(Selection::OnlyNode(NodeId(node))) => ("n", Some(*node)),
            Choice::Steps(Selection::KeepAll) => ("l", None),
            Choice::Steps(Selection::Show(first)) => ("g", Some(u64::from(*first))),
        };
        let number = number.map(|number| format!(":{number}")).unwrap_or_default();
        format!("p:{proposal}:{tag}:{letter}{number}")
    }

    fn read(rest: &str) -> Option<Self> {
        let mut parts = rest.split(':');
        let proposal = ProposalId(parts.next()?.parse().ok()?);
        let tag = parts.next()?.to_owned();
        let letter = parts.next()?;
        let number: Option<u64> = parts.next().map(str::parse).transpose().ok()?;
        let step = || number.and_then(|number| u32::try_from(number).ok());
        let choice = match (letter, number) {
            ("a", None) => Choice::Approve,
            ("w", None) => Choice::ApproveInWindow,
            ("z", None) => Choice::Undo,
            ("h", None) => Choice::Return,
            ("d", None) => Choice::Round(Hand::Done),
            ("t", None) => Choice::Round(Hand::Again),
            ("s", None) => Choice::Round(Hand::Skip),
            ("e", None) => Choice::Round(Hand::Stop),
            ("r", None) => Choice::Reject,
            ("f", None) => Choice::Refresh,
            ("c", None) => Choice::Cancel,
            ("o", None) => Choice::LookAgain,
            ("u", None) => Choice::GiveUp,
            ("U", None) => Choice::GiveUpSurely,
            ("x", Some(vm)) => Choice::Steps(Selection::LeaveOut(VmId(vm))),
            ("i", Some(vm)) => Choice::Steps(Selection::TakeIn(VmId(vm))),
            ("k", Some(_)) => Choice::Steps(Selection::KeepFirst(step()?)),
            ("n", Some(node)) => Choice::Steps(Selection::OnlyNode(NodeId(node))),
            ("l", None) => Choice::Steps(Selection::KeepAll),
            ("g", Some(_)) => Choice::Steps(Selection::Show(step()?)),
            _ => return None,
        };
        parts.next().is_none().then_some(Self { proposal, tag, choice })
    }

    /// Compares the press with what the store has: nobody approves what the message did not show. A choice of steps
    /// is about its own steps, so one that came after another still counts.
    fn stale(&self, asker: &Asker<'_>) -> Option<StalePress> {
        let Some(known) = asker.proposal.filter(|known| known.id == self.proposal) else {
            return Some(StalePress::Unknown);
        };
        // For a proposal that is decided, the scheduler reports what became of it.
        let is_open = known.state == ProposalState::Pending;
        let (steps, before) = (&known.steps, &known.left_out_before);
        match self.choice {
            Choice::Approve | Choice::ApproveInWindow if is_open && known.tag() != self.tag => {
                Some(StalePress::Changed)
            }
            Choice::Approve | Choice::ApproveInWindow if is_open && is_fresh(known, asker) => {
                Some(StalePress::ChangedJustNow)
            }
            Choice::Steps(Selection::LeaveOut(vm) | Selection::TakeIn(vm)) => {
                let is_here =
                    steps.iter().any(|it| it.migration.vm == vm) || before.iter().any(|it| it.vm == vm);
                (!is_here).then_some(StalePress::Unknown)
            }
            Choice::Steps(Selection::OnlyNode(node)) => {
                let is_here = steps.iter().any(|it| it.migration.source == node);
                (!is_here).then_some(StalePress::Unknown)
            }
            Choice::Steps(Selection::KeepFirst(n) | Selection::Show(n)) => {
                let is_here = steps.iter().any(|it| it.migration.step == n);
                (!is_here).then_some(StalePress::Unknown)
            }
            Choice::Approve
            | Choice::ApproveInWindow
            | Choice::Undo
            | Choice::Return
            | Choice::Round(_)
            | Choice::Reject
            | Choice::Refresh
            | Choice::Cancel
            | Choice::LookAgain
            | Choice::Steps(Selection::KeepAll) => None,
            Choice::GiveUp | Choice::GiveUpSurely => {
                let is_here = steps.iter().any(Step::is_watched_long);
                (!is_here).then_some(StalePress::Unknown)
            }
        }
    }
}

/// Tells whether the plan changed so shortly ago that the person may have read another. Who left something out knows
/// of it.
fn is_fresh(known: &Proposal, asker: &Asker<'_>) -> bool {
    known.changed.as_ref().is_some_and(|changed| {
        let is_own = changed.by.as_ref().is_some_and(|by| by.id == asker.person.id);
        !is_own && asker.now - changed.at < READING_TIME
    })
}

impl Act for Press {
    /// Who gives up frees a cluster of which nobody knows what runs there.
    fn least_role(&self, usual: Role) -> Role {
        match self.choice {
            Choice::GiveUp | Choice::GiveUpSurely => Role::Admin,
            _ => usual,
        }
    }

    /// Who reads the audit reads what was pressed, not the data of a button.
    fn audit_text(&self, _: &str) -> String {
        format!("plan {}: {}", self.proposal, self.choice)
    }

    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        if let Some(stale) = self.stale(asker) {
            return Next::Say(Answer::Window(asker.view.stale_press(stale)));
        }
        let id = self.proposal;
        if let (Choice::GiveUp, Some(known)) = (self.choice, asker.proposal) {
            return Next::Say(Answer::Page(asker.view.confirm_giving_up(known, asker.now)));
        }
        Next::Ask(match self.choice {
            Choice::Approve => approve(id, self.tag, When::Now),
            Choice::ApproveInWindow => approve(id, self.tag, When::InWindow),
            Choice::Undo => {
                let then = |fresh: ProposalId, view: &View, _| Answer::Passing(view.undo_proposed(fresh));
                Ask::Undo(id, Then::new(then))
            }
            Choice::Return => {
                let then = |balanced, view: &View, _| by_press(view.evened_out(&balanced), &balanced);
                Ask::Return(id, Then::new(then))
            }
            Choice::Reject => {
                Ask::Reject(id, None, Then::new(|(), view, _| Answer::Passing(view.rejection_answer())))
            }
            Choice::Round(hand) => {
                let then = |rounded: Rounded, view: &View, _| Answer::Passing(view.round_answer(rounded));
                Ask::Round(id, hand, Then::new(then))
            }
            Choice::Refresh => {
                let then = |balanced, view: &View, _| by_press(view.refresh_answer(&balanced), &balanced);
                Ask::Refresh(id, Then::new(then))
            }
            Choice::Steps(selection) => Ask::Choose(
                id,
                selection,
                Then::new(move |chosen: Box<Proposal>, view: &View, _| {
                    match view.choice_result(&chosen, selection) {
                        Some(words) => Answer::Passing(words),
                        None => Answer::ShownElsewhere,
                    }
                }),
            ),
            Choice::Cancel => verbs::cancel_by_press(Stop::Plan(id)),
            Choice::LookAgain => watch(id, WatchWish::LookAgain),
            Choice::GiveUp | Choice::GiveUpSurely => watch(id, WatchWish::GiveUp),
        })
    }
}

fn watch(id: ProposalId, wish: WatchWish) -> Ask {
    let then = Then::new(|watched, view: &View, _| match watched {
        Watched::Seen(seen) => Answer::Window(view.glimpses(&seen)),
        Watched::GivenUp(plan) => Answer::Rewrite(view.gave_up(&plan)),
    });
    Ask::Watch(id, wish, then)
}

fn approve(id: ProposalId, tag: String, when: When) -> Ask {
    let then = |approved, view: &View, now| Answer::Passing(view.approval_answer(&approved, now));
    Ask::Approve(id, tag, when, Then::new(then))
}

/// A plan that was made shows itself; why there is none is read at leisure.
fn by_press(words: String, balanced: &Balanced) -> Answer {
    match balanced {
        Balanced::Proposed(_) => Answer::Passing(words),
        Balanced::NothingToDo(_) => Answer::Window(words),
    }
}

/// Returns the proposal that the data of a button names, so that the store can be asked for it.
#[must_use]
pub fn named_in(data: &str) -> Option<ProposalId> {
    let (mark, rest) = data.split_once(':')?;
    match mark {
        mark if mark == BUTTON.mark => Press::read(rest).map(|press| press.proposal),
        mark if mark == chart::BUTTON.mark => chart::plan_in(rest),
        _ => None,
    }
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
            Choice::ApproveInWindow,
            Choice::Undo,
            Choice::Return,
            Choice::Round(Hand::Done),
            Choice::Round(Hand::Again),
            Choice::Round(Hand::Skip),
            Choice::Round(Hand::Stop),
            Choice::Reject,
            Choice::Refresh,
            Choice::Cancel,
            Choice::LookAgain,
            Choice::GiveUp,
            Choice::GiveUpSurely,
            Choice::Steps(Selection::LeaveOut(VmId(u64::MAX))),
            Choice::Steps(Selection::TakeIn(VmId(u64::MAX))),
            Choice::Steps(Selection::OnlyNode(NodeId(u64::MAX))),
            Choice::Steps(Selection::KeepFirst(u32::MAX)),
            Choice::Steps(Selection::Show(u32::MAX)),
            Choice::Steps(Selection::KeepAll),
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
