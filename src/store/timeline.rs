//! What happened, newest first: migrations of the journal, and plans that ended without them.

use std::cell::Cell;

use chrono::{DateTime, Utc};

use super::{
    Approver, Files, JournalEntry, Origin, Outcome, Proposal, ProposalState, StepState, Store, StoreError,
    shelf::{Row, number, rows},
    spans::Wanted,
};
use crate::model::{Person, find::Selection};

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
    /// How far was searched, where the search ended before the page was full; the next page goes on from there.
    pub searched_to: Option<DateTime<Utc>>,
}

/// The most events of a kind that one search for a name reads: some 50 ms, so that a name that occurs nowhere is
/// answered as quickly as any question.
const SEARCHED_MAX: usize = 10_000;

impl Edge {
    const NEWEST: Self = Self { migration: u64::MAX, proposal: u64::MAX };
}

impl Happened {
    /// Returns its number among its kind.
    fn number(&self) -> u64 {
        match self {
            Self::Migration(entry) => entry.id.0,
            Self::Plan(proposal) => proposal.id.0,
        }
    }

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
}

/// What is looked for, read once for all the events that are searched.
struct Sought<'a> {
    filter: &'a TimelineFilter,
    of: Option<Selection>,
}

impl<'a> Sought<'a> {
    fn by(filter: &'a TimelineFilter) -> Self {
        Self { filter, of: filter.of.as_deref().map(|of| Selection::new([of])) }
    }

    /// What each migration has that it takes; `None` where that may be anything.
    fn wanted(&self) -> Option<Wanted> {
        self.filter.of.as_deref().and_then(Wanted::of)
    }

    fn takes(&self, happened: &Happened) -> bool {
        let is_of = |of: &Selection| match happened {
            Happened::Migration(entry) => is_migration_of(entry, of),
            Happened::Plan(proposal) => is_plan_of(proposal, of),
        };
        self.is_new_enough(happened) && self.of.as_ref().is_none_or(is_of)
    }

    fn is_new_enough(&self, happened: &Happened) -> bool {
        self.filter.since.is_none_or(|since| happened.at() >= since)
    }

    /// Keeps what it takes of events that are newest first. Ends behind many that are too old: one that is may be of a
    /// wrong clock.
    fn applied_to<'b>(
        &'b self,
        newest_first: impl Iterator<Item = Read> + 'b,
    ) -> Box<dyn Iterator<Item = Read> + 'b> {
        let mut old_in_a_row = 0;
        let is_near = move |row: &Read| {
            let is_old = row.as_ref().is_ok_and(|row| !self.is_new_enough(row));
            old_in_a_row = if is_old { old_in_a_row + 1 } else { 0 };
            old_in_a_row < Store::OLD_IN_A_ROW
        };
        let is_taken = |row: &Read| row.as_ref().map_or(true, |row| self.takes(row));
        Box::new(newest_first.take_while(is_near).filter(is_taken))
    }
}

impl Store {
    /// Returns one page of what happened. Only so much is read as the page needs.
    pub fn timeline(
        &self,
        filter: &TimelineFilter,
        at: PageAt,
        count: usize,
    ) -> Result<Timeline, StoreError> {
        self.timeline_within(filter, at, count, SEARCHED_MAX)
    }

    pub(super) fn timeline_within(
        &self,
        filter: &TimelineFilter,
        at: PageAt,
        count: usize,
        searched_max: usize,
    ) -> Result<Timeline, StoreError> {
        let (files, sought) = (self.files()?, Sought::by(filter));
        let searched_max = if filter.of.is_some() { searched_max } else { usize::MAX };
        let [migrations, plans] = [(); 2].map(|()| Searched::new(searched_max));
        match at {
            PageAt::NewerThan(edge) => {
                let mut rows = take(files.happened_from(edge, &sought, &migrations, &plans), count + 1)?;
                let has_newer = rows.len() > count;
                rows.truncate(count);
                rows.reverse();
                let searched_to = searched_to(&migrations, &plans).filter(|_| !has_newer);
                let newer = match searched_to {
                    Some(_) => Some(Edge {
                        migration: migrations.last().map_or(edge.migration, |last| last + 1),
                        proposal: plans.last().map_or(edge.proposal, |last| last + 1),
                    }),
                    None => has_newer.then(|| upper(&rows, edge)),
                };
                Ok(Timeline { rows, older: Some(edge), newer, searched_to })
            }
            PageAt::Newest | PageAt::OlderThan(_) => {
                let edge = if let PageAt::OlderThan(edge) = at { edge } else { Edge::NEWEST };
                let mut rows = take(files.happened_below(edge, &sought, &migrations, &plans), count + 1)?;
                let has_older = rows.len() > count;
                rows.truncate(count);
                let searched_to = searched_to(&migrations, &plans).filter(|_| !has_older);
                let older = match searched_to {
                    Some(_) => Some(Edge {
                        migration: migrations.last().unwrap_or(edge.migration),
                        proposal: plans.last().unwrap_or(edge.proposal),
                    }),
                    None => has_older.then(|| lower(&rows, edge)),
                };
                let newer = (at != PageAt::Newest).then_some(edge);
                Ok(Timeline { rows, older, newer, searched_to })
            }
        }
    }
}

/// How far the events of one kind were searched.
struct Searched {
    left: Cell<usize>,
    /// The number and the time of the event that was read last.
    last: Cell<Option<(u64, DateTime<Utc>)>>,
    is_cut: Cell<bool>,
}

impl Searched {
    fn new(max: usize) -> Self {
        Self { left: Cell::new(max), last: Cell::new(None), is_cut: Cell::new(false) }
    }

    /// Tells whether this event may be read too.
    fn goes_on(&self, row: &Read) -> bool {
        let Ok(happened) = row else { return true };
        let Some(left) = self.left.get().checked_sub(1) else {
            self.is_cut.set(true);
            return false;
        };
        self.left.set(left);
        self.last.set(Some((happened.number(), happened.at())));
        true
    }

    fn last(&self) -> Option<u64> {
        self.last.get().map(|(number, _)| number)
    }
}

/// Returns the newest moment at which a search was cut.
fn searched_to(migrations: &Searched, plans: &Searched) -> Option<DateTime<Utc>> {
    let cut = [migrations, plans].into_iter().filter(|searched| searched.is_cut.get());
    cut.filter_map(|searched| searched.last.get()).map(|(_, at)| at).max()
}

type Read = Result<Happened, StoreError>;

impl Files {
    /// What is older than a place, newest first.
    fn happened_below<'a>(
        &'a self,
        edge: Edge,
        sought: &'a Sought<'a>,
        migrations_read: &'a Searched,
        plans_read: &'a Searched,
    ) -> impl Iterator<Item = Read> + 'a {
        let migrations = self.newest_of(edge.migration, sought.wanted()).filter_map(migration);
        let migrations = migrations.take_while(|row| migrations_read.goes_on(row));
        let ids = rows(self.told.range(..edge.proposal.to_be_bytes()).rev());
        let plans = ids.filter_map(|row| self.plan(row)).take_while(|row| plans_read.goes_on(row));
        let (migrations, plans) = (sought.applied_to(migrations), sought.applied_to(plans));
        merge(migrations, plans, |migration, plan| migration.at() >= plan.at())
    }

    /// What is not older than a place, oldest first.
    fn happened_from<'a>(
        &'a self,
        edge: Edge,
        sought: &'a Sought<'a>,
        migrations_read: &'a Searched,
        plans_read: &'a Searched,
    ) -> impl Iterator<Item = Read> + 'a {
        let migrations = self.oldest_of(edge.migration, sought.wanted()).filter_map(migration);
        let migrations = migrations.take_while(|row| migrations_read.goes_on(row));
        let ids = rows(self.told.range(edge.proposal.to_be_bytes()..));
        let plans = ids.filter_map(|row| self.plan(row)).take_while(|row| plans_read.goes_on(row));
        let is_wanted = |row: &Read| row.as_ref().map_or(true, |row| sought.takes(row));
        merge(migrations.filter(is_wanted), plans.filter(is_wanted), |migration, plan| {
            migration.at() < plan.at()
        })
    }

    fn plan(&self, row: Result<Row, StoreError>) -> Option<Read> {
        let found = row.and_then(|(id, _)| self.proposals.get(number(&id)));
        found.transpose().map(|found| found.map(|plan| Happened::Plan(Box::new(plan))))
    }
}

fn migration(row: Result<JournalEntry, StoreError>) -> Option<Read> {
    let is_wanted = row.as_ref().map_or(true, |entry| entry.outcome().is_some());
    is_wanted.then(|| row.map(|entry| Happened::Migration(Box::new(entry))))
}

/// Joins two rows of events. An error comes first, so that it is not passed over.
fn merge(
    migrations: impl Iterator<Item = Read>,
    plans: impl Iterator<Item = Read>,
    migration_first: impl Fn(&Happened, &Happened) -> bool,
) -> impl Iterator<Item = Read> {
    let (mut migrations, mut plans) = (migrations.peekable(), plans.peekable());
    std::iter::from_fn(move || match (migrations.peek(), plans.peek()) {
        (None, _) => plans.next(),
        (Some(Ok(_)), Some(Err(_))) => plans.next(),
        (Some(Ok(migration)), Some(Ok(plan))) if !migration_first(migration, plan) => plans.next(),
        (Some(_), _) => migrations.next(),
    })
}

fn take(rows: impl Iterator<Item = Read>, count: usize) -> Result<Vec<Happened>, StoreError> {
    rows.take(count).collect()
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
pub(super) fn is_told(proposal: &Proposal) -> bool {
    match proposal.state {
        ProposalState::Rejected { .. } | ProposalState::Expired { .. } | ProposalState::Stale { .. } => true,
        ProposalState::Done { .. } => proposal.steps.iter().any(|step| {
            step.journal.is_none() && matches!(step.state, StepState::Ended { outcome: Outcome::Dropped, .. })
        }),
        _ => false,
    }
}

fn is_migration_of(entry: &JournalEntry, of: &Selection) -> bool {
    of.holds(entry.vm.0, &entry.vm_name)
        || of.holds(entry.source.0, &entry.source_name)
        || of.holds(entry.target.0, &entry.target_name)
        || of.holds(entry.cluster.0, &entry.cluster_name)
        || matches!(
            &entry.approver,
            Approver::People(people) | Approver::Standing { people, .. } if people.iter().any(|person| is(person, of))
        )
}

fn is_plan_of(proposal: &Proposal, of: &Selection) -> bool {
    let has_step = || {
        proposal.steps.iter().map(|step| &step.migration).any(|migration| {
            of.holds(migration.vm.0, &migration.vm_name)
                || of.holds(migration.source.0, &migration.source_name)
                || of.holds(migration.target.0, &migration.target_name)
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
    of.holds(proposal.cluster.0, &proposal.cluster_name)
        || voted.chain(decided_by).chain(asked_by).any(|person| is(person, of))
        || has_step()
}

fn is(person: &Person, of: &Selection) -> bool {
    u64::try_from(person.id).is_ok_and(|id| of.holds(id, &person.name))
}
