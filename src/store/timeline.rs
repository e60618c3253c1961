//! What happened, newest first: migrations of the journal, and plans that ended without them.

use chrono::{DateTime, Utc};

use super::{Approver, JournalEntry, Origin, Outcome, Proposal, ProposalState, StepState, Store, StoreError};
use crate::model::{Person, find};

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimelineFilter {
    /// A VM, a node, a cluster or a person, by id, by name in any case or by a pattern.
    pub of: Option<String>,
    pub since: Option<DateTime<Utc>>,
}

/// A place between two rows: what has smaller numbers is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub migration: u64,
    pub proposal: u64,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageAt {
    Newest,
    OlderThan(Edge),
    /// Not older than this.
    NewerThan(Edge),
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    Migration(Box<JournalEntry>),
    /// It was rejected, expired or out of date, or steps of it were dropped.
    Plan(Box<Proposal>),
}

/// One page, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    pub rows: Vec<Happened>,
    pub older: Option<Edge>,
    pub newer: Option<Edge>,
}

impl Edge {
    const NEWEST: Self = Self { migration: u64::MAX, proposal: u64::MAX };
}

impl Happened {
    /// Returns when it began, or when the plan ended.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Migration(entry) => entry.intended_at,
            Self::Plan(proposal) => match &proposal.state {
                ProposalState::Rejected { at, .. }
                | ProposalState::Expired { at }
                | ProposalState::Stale { at }
                | ProposalState::Done { at, .. } => *at,
                _ => proposal.created_at,
            },
        }
    }

    fn is_older_than(&self, edge: Edge) -> bool {
        match self {
            Self::Migration(entry) => entry.id.0 < edge.migration,
            Self::Plan(proposal) => proposal.id.0 < edge.proposal,
        }
    }
}

impl TimelineFilter {
    fn takes(&self, happened: &Happened) -> bool {
        let is_of = |of: &String| match happened {
            Happened::Migration(entry) => is_migration_of(entry, of),
            Happened::Plan(proposal) => is_plan_of(proposal, of),
        };
        self.since.is_none_or(|since| happened.at() >= since) && self.of.as_ref().is_none_or(is_of)
    }
}

impl Store {
    /// Returns one page of what happened.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn timeline(
        &self,
        filter: &TimelineFilter,
        at: PageAt,
        count: usize,
    ) -> Result<Timeline, StoreError> {
        let edge = match at {
            PageAt::Newest => Edge::NEWEST,
            PageAt::OlderThan(edge) | PageAt::NewerThan(edge) => edge,
        };
        if let PageAt::NewerThan(edge) = at {
            let mut rows = Vec::new();
            for row in self.happened(filter)? {
                let row = row?;
                if !row.is_older_than(edge) {
                    rows.push(row);
                }
            }
            let is_newest = rows.len() <= count;
            rows.drain(..rows.len().saturating_sub(count));
            let newer = (!is_newest).then(|| upper(&rows, edge));
            return Ok(Timeline { rows, older: Some(edge), newer });
        }
        let mut rows = Vec::new();
        for row in self.happened(filter)? {
            let row = row?;
            if row.is_older_than(edge) {
                rows.push(row);
            }
            if rows.len() > count {
                break;
            }
        }
        let has_older = rows.len() > count;
        rows.truncate(count);
        let older = has_older.then(|| lower(&rows, edge));
        Ok(Timeline { rows, older, newer: (at != PageAt::Newest).then_some(edge) })
    }

    /// Everything that a filter takes, newest first.
    fn happened(
        &self,
        filter: &TimelineFilter,
    ) -> Result<impl Iterator<Item = Result<Happened, StoreError>>, StoreError> {
        let files = self.files()?;
        let mut rows: Vec<Result<Happened, StoreError>> = Vec::new();
        let migrations = files.journal.newest();
        let migrations =
            migrations.filter(|row| row.as_ref().map_or(true, |entry| entry.outcome().is_some()));
        rows.extend(migrations.map(|row| row.map(|entry| Happened::Migration(Box::new(entry)))));
        let plans = files.proposals.newest().filter(|row| row.as_ref().map_or(true, is_told));
        rows.extend(plans.map(|row| row.map(|plan| Happened::Plan(Box::new(plan)))));
        rows.retain(|row| row.as_ref().map_or(true, |row| filter.takes(row)));
        // An error has no time; it comes first, so that it is not passed over.
        rows.sort_by_key(|row| {
            std::cmp::Reverse(row.as_ref().map_or(DateTime::<Utc>::MAX_UTC, Happened::at))
        });
        Ok(rows.into_iter())
    }
}

/// The smallest numbers of a page; where a kind is not on it, the place stays.
fn lower(rows: &[Happened], edge: Edge) -> Edge {
    rows.iter().fold(edge, |edge, row| match row {
        Happened::Migration(entry) => Edge { migration: edge.migration.min(entry.id.0), ..edge },
        Happened::Plan(proposal) => Edge { proposal: edge.proposal.min(proposal.id.0), ..edge },
    })
}

/// Just above the largest numbers of a page.
fn upper(rows: &[Happened], edge: Edge) -> Edge {
    rows.iter().fold(edge, |edge, row| match row {
        Happened::Migration(entry) => Edge { migration: edge.migration.max(entry.id.0 + 1), ..edge },
        Happened::Plan(proposal) => Edge { proposal: edge.proposal.max(proposal.id.0 + 1), ..edge },
    })
}

/// Tells whether a plan's end is news beside its migrations.
fn is_told(proposal: &Proposal) -> bool {
    match proposal.state {
        ProposalState::Rejected { .. } | ProposalState::Expired { .. } | ProposalState::Stale { .. } => true,
        ProposalState::Done { .. } => proposal.steps.iter().any(|step| {
            step.journal.is_none() && matches!(step.state, StepState::Ended { outcome: Outcome::Dropped, .. })
        }),
        _ => false,
    }
}

fn is_migration_of(entry: &JournalEntry, of: &str) -> bool {
    find::names(of, entry.vm.0, &entry.vm_name)
        || find::names(of, entry.source.0, &entry.source_name)
        || find::names(of, entry.target.0, &entry.target_name)
        || find::names(of, entry.cluster.0, &entry.cluster_name)
        || matches!(&entry.approver, Approver::People(people) if people.iter().any(|person| is(person, of)))
}

fn is_plan_of(proposal: &Proposal, of: &str) -> bool {
    let has_step = || {
        proposal.steps.iter().map(|step| &step.migration).any(|migration| {
            find::names(of, migration.vm.0, &migration.vm_name)
                || find::names(of, migration.source.0, &migration.source_name)
                || find::names(of, migration.target.0, &migration.target_name)
        })
    };
    let decided_by = match &proposal.state {
        ProposalState::Rejected { by, .. } => Some(by),
        _ => None,
    };
    let asked_by = match &proposal.origin {
        Origin::Person(person) => Some(person),
        _ => None,
    };
    let voted = proposal.approvals.iter().map(|approval| &approval.by);
    find::names(of, proposal.cluster.0, &proposal.cluster_name)
        || voted.chain(decided_by).chain(asked_by).any(|person| is(person, of))
        || has_step()
}

fn is(person: &Person, of: &str) -> bool {
    u64::try_from(person.id).is_ok_and(|id| find::names(of, id, &person.name))
}
