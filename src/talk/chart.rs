//! The buttons that ask for a picture, and what the picture shows. They begin with `g`.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    access::Role,
    ask::{Answer, Ask, Next, Then},
    verb::{Act, Asker, ButtonKind, erase},
    view::{StalePress, View},
};
use crate::{
    model::{ClusterId, NodeId, ProposalId},
    planner::Fullness,
    scheduler::Status,
};

/// The buttons that begin with `g`.
pub(super) const BUTTON: ButtonKind = ButtonKind { mark: "g", read: |rest| Wanted::read(rest).map(erase) };

pub(super) const LEAST_ROLE: Role = Role::Viewer;

/// What a picture is wanted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Status(Option<ClusterId>),
    Node(NodeId),
    Plan(ProposalId),
    History,
}

/// How full a node was, for a picture of its last days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Oldest first; a quarter of an hour each.
    pub quarters: Vec<(DateTime<Utc>, Fullness)>,
    /// The highest of each day of the last year, oldest first.
    pub days: Vec<(DateTime<Utc>, Fullness)>,
}

/// What each day brought, for a picture of the history. Days are of the chat's time zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Days(pub BTreeMap<NaiveDate, Day>);

/// A day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    pub done: u32,
    pub failed: u32,
    /// For how many hours nodes were over a threshold, all together, in hundredths.
    pub over_centihours: u64,
}

/// How many days a picture of the history has.
pub(crate) const DAYS: u64 = 14;

/// How many days a picture of a node has.
pub(crate) const NODE_DAYS: u64 = 7;

impl Wanted {
    /// Returns the data of the button.
    pub(super) fn data(self) -> String {
        match self {
            Self::Status(None) => "g:s".into(),
            Self::Status(Some(cluster)) => format!("g:s:{cluster}"),
            Self::Node(node) => format!("g:n:{node}"),
            Self::Plan(plan) => format!("g:p:{plan}"),
            Self::History => "g:h".into(),
        }
    }

    fn read(rest: &str) -> Option<Self> {
        let (kind, number) = rest.split_once(':').map_or((rest, None), |(kind, number)| (kind, Some(number)));
        let number: Option<u64> = number.map(str::parse).transpose().ok()?;
        Some(match (kind, number) {
            ("s", cluster) => Self::Status(cluster.map(ClusterId)),
            ("n", Some(node)) => Self::Node(NodeId(node)),
            ("p", Some(plan)) => Self::Plan(ProposalId(plan)),
            ("h", None) => Self::History,
            _ => return None,
        })
    }
}

/// Returns the plan that the data of a button names behind its mark.
pub(super) fn plan_in(rest: &str) -> Option<ProposalId> {
    match Wanted::read(rest)? {
        Wanted::Plan(plan) => Some(plan),
        Wanted::Status(_) | Wanted::Node(_) | Wanted::History => None,
    }
}

impl Act for Wanted {
    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        let unknown = |view: &View| Answer::Window(view.stale_press(StalePress::Unknown));
        Next::Ask(match *self {
            Self::Status(only) => Ask::Status(Then::new(move |status: Status, view: &View, _| {
                view.status_chart(&status, only).unwrap_or_else(|| unknown(view))
            })),
            Self::Plan(_) => {
                let Some(proposal) = asker.proposal.cloned() else {
                    return Next::Say(unknown(&asker.view));
                };
                Ask::Status(Then::new(move |status: Status, view: &View, _| {
                    view.plan_chart(&proposal, &status).unwrap_or_else(|| unknown(view))
                }))
            }
            Self::Node(node) => Ask::Course(
                node,
                Then::new(move |(status, course): (Box<Status>, Course), view: &View, now| {
                    view.node_chart(node, &course, &status, now)
                }),
            ),
            Self::History => Ask::Days(Then::new(|days: Days, view: &View, now| view.days_chart(&days, now))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_buttons_are_read_again() {
        let id = u64::MAX;
        for wanted in [
            Wanted::Status(None),
            Wanted::Status(Some(ClusterId(id))),
            Wanted::Node(NodeId(id)),
            Wanted::Plan(ProposalId(id)),
            Wanted::History,
        ] {
            let data = wanted.data();
            assert_eq!(data.strip_prefix("g:").and_then(Wanted::read), Some(wanted), "{data}");
        }
        for rest in ["", "n", "p:x", "h:1", "s:1:2", "y"] {
            assert_eq!(Wanted::read(rest), None, "{rest}");
        }
    }
}
