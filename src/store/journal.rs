//! The journal: intended → ordered → closed, each on disk before the next outside step.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sled::Transactional as _;

use super::{
    Ending, JournalEntry, JournalState, Motive, Outcome, Store, StoreError,
    ended::Ended,
    kept::SCHEMA_FLOORS,
    proposals::plain,
    pulls::Failures,
    shelf::{guard, ids},
    sidecar,
    spans::Wanted,
};
use crate::{
    model::{ClusterId, MigrationId, NodeId, VmId},
    planner::{LEVEL_REST, MoveWhy, RecentMove, Rest, RestWhy},
};

/// Which part of the history; empty for all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    pub vm: Option<VmId>,
    /// As source or as target.
    pub node: Option<NodeId>,
    pub cluster: Option<ClusterId>,
    /// Only entries older than this one: the next page.
    pub before: Option<MigrationId>,
}

impl HistoryFilter {
    /// What each entry has that it takes; of several the rarest.
    fn about(&self) -> Option<Wanted> {
        let node = || self.node.map(|node| node.0);
        let rarest = self.vm.map(|vm| vm.0).or_else(node).or(self.cluster.map(|cluster| cluster.0));
        rarest.map(Wanted::id)
    }

    fn takes(&self, entry: &JournalEntry) -> bool {
        let Self { vm, node, cluster, before } = self;
        vm.is_none_or(|vm| entry.vm == vm)
            && node.is_none_or(|node| entry.source == node || entry.target == node)
            && cluster.is_none_or(|cluster| entry.cluster == cluster)
            && before.is_none_or(|before| entry.id < before)
    }
}

/// A node that too many migrations failed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingNode {
    pub node: NodeId,
    pub name: String,
    pub cluster: ClusterId,
    pub failures: u32,
    pub until: DateTime<Utc>,
}

impl Store {
    /// An open migration has no end yet; its VM is left alone for this long from each look.
    const IN_FLIGHT_REST: TimeDelta = TimeDelta::days(1);

    /// Gives an intended migration its number and records it, on disk when this returns. Only then may the order be
    /// sent.
    ///
    /// # Errors
    ///
    /// Fails when the VM has an open migration, or when the disk fails; then nothing may be ordered.
    pub fn intend(&self, mut entry: JournalEntry) -> Result<JournalEntry, StoreError> {
        debug_assert_eq!(entry.state, JournalState::Intended);
        self.write(|| {
            if let Some(open) = self.open_entries()?.iter().find(|open| open.vm == entry.vm) {
                return Err(StoreError::InFlight { vm: open.vm, entry: open.id });
            }
            entry.id = MigrationId(self.next_id(&self.files()?.journal, SCHEMA_FLOORS.journal)?);
            self.write_entry(&entry)?;
            Ok(entry)
        })
    }

    /// Records that VMmanager took the order, or its task once that is found.
    ///
    /// # Errors
    ///
    /// Fails when there is no such entry, when it is closed, or when the disk fails.
    pub fn record_order(
        &self,
        id: MigrationId,
        consul_id: Option<u64>,
        task_id: Option<u64>,
        now: DateTime<Utc>,
    ) -> Result<JournalEntry, StoreError> {
        self.change_entry(id, |entry| entry.note_order(consul_id, task_id, now))
    }

    /// Records how it ended.
    ///
    /// # Errors
    ///
    /// Fails when there is no such entry, when it is closed already, or when the disk fails.
    pub fn close(
        &self,
        id: MigrationId,
        outcome: Outcome,
        detail: Option<Ending>,
        now: DateTime<Utc>,
    ) -> Result<JournalEntry, StoreError> {
        self.change_entry(id, |entry| {
            let ordered = matches!(entry.state, JournalState::Ordered { .. });
            let (consul_id, task_id) = entry.task_numbers();
            entry.state = JournalState::Closed { outcome, detail, at: now, ordered, consul_id, task_id };
        })
    }

    /// Returns an entry.
    pub fn entry(&self, id: MigrationId) -> Result<Option<JournalEntry>, StoreError> {
        self.files()?.journal.get(id.0)
    }

    /// Returns the number of the newest entry, open or closed.
    pub fn newest_entry(&self) -> Result<Option<MigrationId>, StoreError> {
        Ok(self.files()?.journal.last_key()?.map(MigrationId))
    }

    /// Returns the entries newer than that one, open or closed, newest first; all where there was none.
    pub fn entries_after(&self, newest: Option<MigrationId>) -> Result<Vec<JournalEntry>, StoreError> {
        let is_newer = |row: &Result<JournalEntry, StoreError>| {
            row.as_ref().map_or(true, |entry| newest.is_none_or(|newest| entry.id > newest))
        };
        self.files()?.journal.newest().take_while(is_newer).collect()
    }

    /// Returns the entries without an end, oldest first.
    pub fn open_entries(&self) -> Result<Vec<JournalEntry>, StoreError> {
        let found: Result<Vec<_>, _> =
            ids(&self.files()?.open)?.into_iter().map(|id| self.files()?.journal.get(id)).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// Returns the newest entries, open or closed, newest first: those older than `before` where that is given.
    pub fn newest_entries(
        &self,
        before: Option<MigrationId>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let before = before.map_or(u64::MAX, |before| before.0);
        self.files()?.journal.newest_below(before).take(limit).collect()
    }

    /// Returns closed entries, newest first.
    pub fn history(&self, filter: &HistoryFilter, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        let wanted = |row: &Result<JournalEntry, StoreError>| {
            row.as_ref().map_or(true, |entry| entry.outcome().is_some() && filter.takes(entry))
        };
        let before = filter.before.map_or(u64::MAX, |before| before.0);
        self.files()?.newest_of(before, filter.about()).filter(wanted).take(limit).collect()
    }

    /// Returns the VMs that are to be left alone at `now`, as far as the journal knows.
    ///
    /// A VM is left alone for `cooldown` after a migration that is done, and for `failure_cooldown` after one that
    /// failed, doubled with each that failed before it in a row; one that was lost or dropped does not count, and
    /// neither does one before an admin ended its rest.
    pub fn rests(
        &self,
        now: DateTime<Utc>,
        cooldown: TimeDelta,
        failure_cooldown: TimeDelta,
    ) -> Result<BTreeMap<VmId, Rest>, StoreError> {
        let rests_ended = self.settings()?.rests_ended;
        let mut rests: BTreeMap<VmId, Rest> = BTreeMap::new();
        let mut failures = Failures::default();
        let remembered = cooldown.max(failure_cooldown).max(Failures::memory_span()).max(LEVEL_REST);
        for ended in self.ended_since(now - remembered, now)?.into_iter().rev() {
            // An end that is still to come was written while the clock was ahead.
            let over = rests_ended.get(&ended.vm).filter(|over| **over <= now);
            if over.is_some_and(|over| ended.at <= *over) {
                continue;
            }
            let evened_out = now - ended.at < LEVEL_REST && self.has_evened_out(&ended)?;
            let cooldown = if evened_out { cooldown.max(LEVEL_REST) } else { cooldown };
            let rest = rest(&ended, cooldown, failure_cooldown, &mut failures);
            let Some(rest) = rest.filter(|rest| rest.until > now) else { continue };
            let known = rests.entry(ended.vm).or_insert_with(|| rest.clone());
            if known.until < rest.until {
                *known = rest;
            }
        }
        for entry in self.open_entries()? {
            let until = now + Self::IN_FLIGHT_REST;
            rests.insert(entry.vm, Rest { until, why: RestWhy::InFlight });
        }
        Ok(rests)
    }

    fn has_evened_out(&self, ended: &Ended) -> Result<bool, StoreError> {
        if ended.outcome != Outcome::Done {
            return Ok(false);
        }
        let motive = self.entry(ended.id)?.map(|entry| entry.why);
        Ok(matches!(motive, Some(Motive::Plan(MoveWhy::Level { .. }))))
    }

    /// Returns the migrations that were done after `since`, oldest first, with ends as [`Self::failures_since`] has
    /// them.
    pub fn moves_since(
        &self,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<RecentMove>, StoreError> {
        let recent = |ended: &Ended| ended.outcome == Outcome::Done && ended.at > since;
        let recent = self.ended_since(since, now)?.into_iter().filter(recent);
        let mut moves: Vec<_> = recent
            .map(|Ended { vm, source, target, at, .. }| RecentMove { vm, source, target, ended: at })
            .collect();
        moves.sort_by_key(|recent| (recent.ended, recent.vm));
        Ok(moves)
    }

    /// Returns the migrations that failed after `since`, oldest first. Only an outcome `failed` counts.
    ///
    /// Where the clock was wrong when an entry ended, its end is put right by its number: it is not before the
    /// intent of an older entry, and not after `now`.
    pub fn failures_since(
        &self,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let mut failed = Vec::new();
        for ended in self.ended_since(since, now)? {
            if ended.outcome != Outcome::Failed || ended.at <= since {
                continue;
            }
            let Some(mut entry) = self.entry(ended.id)? else { continue };
            if let JournalState::Closed { at, .. } = &mut entry.state {
                *at = ended.at;
            }
            failed.push(entry);
        }
        failed.sort_by_key(|entry| (entry.outcome().map(|(_, at)| at), entry.id));
        Ok(failed)
    }

    /// Returns how the last migrations of a cluster that ran ended, newest first: at most `limit`, none from before
    /// `since`.
    pub fn last_outcomes(
        &self,
        cluster: ClusterId,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Outcome>, StoreError> {
        let ran = |ended: &Ended| {
            let ran = matches!(ended.outcome, Outcome::Done | Outcome::Failed);
            ran && ended.cluster == cluster && ended.at > since
        };
        let mut ended: Vec<_> = self.ended_since(since, now)?.into_iter().filter(ran).collect();
        ended.sort_by_key(|ended| std::cmp::Reverse((ended.at, ended.id)));
        Ok(ended.into_iter().take(limit).map(|ended| ended.outcome).collect())
    }

    /// Returns the newest time that any record was written at, as far as the newest record of each kind tells.
    pub fn newest_time(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let files = self.files()?;
        let entry = files.journal.newest().next().transpose()?;
        let entry = entry.map(|entry| entry.outcome().map_or(entry.intended_at, |(_, at)| at));
        let audited = files.audit.newest().next().transpose()?.map(|entry| entry.at);
        let proposed = files.proposals.newest().next().transpose()?.map(|proposal| proposal.created_at);
        Ok(entry.max(audited).max(proposed))
    }

    fn change_entry(
        &self,
        id: MigrationId,
        change: impl FnOnce(&mut JournalEntry),
    ) -> Result<JournalEntry, StoreError> {
        self.write(|| {
            let mut entry = self.entry(id)?.ok_or(StoreError::NoSuchEntry(id))?;
            if entry.outcome().is_some() {
                return Err(StoreError::Closed(id));
            }
            change(&mut entry);
            self.write_entry(&entry)?;
            Ok(entry)
        })
    }

    /// An intent is in the small file beside sled first: a full disk refuses it before sled is touched, and what may
    /// run is never in sled alone. What comes after it is noted there when sled has it.
    pub(super) fn write_entry(&self, entry: &JournalEntry) -> Result<(), StoreError> {
        if entry.state == JournalState::Intended {
            let mut open = self.open_entries()?;
            open.retain(|other| other.id != entry.id);
            open.push(entry.clone());
            let (seq, settings) = (self.seq()?, self.settings()?);
            sidecar::write(&self.shared.dir, seq, open, settings, sidecar::Lasting::Wholly)?;
        }
        self.write_entry_to_sled(entry)?;
        self.commit()
    }

    pub(super) fn write_entry_to_sled(&self, entry: &JournalEntry) -> Result<(), StoreError> {
        let files = self.files()?;
        if entry.state == JournalState::Intended {
            files.make_room_for(entry.id.0)?;
        }
        let key = entry.id.0.to_be_bytes();
        let bytes = files.journal.bytes(entry)?;
        let last = files.ended.last()?;
        let ended = Ended::of(entry, last.as_ref().map(|(_, last)| last.newest));
        let ended = ended.map(|ended| files.ended.bytes(&ended)).transpose()?;
        let next = last.map_or(0, |(key, _)| key) + 1;
        guard(|| {
            let trees = (&files.journal.tree, &files.open, &files.ended.tree);
            let done = trees.transaction(|(journal, open, ends)| {
                journal.insert(&key, bytes.as_slice())?;
                match &ended {
                    Some(ended) => {
                        open.remove(&key)?;
                        ends.insert(&next.to_be_bytes(), ended.as_slice())?;
                    }
                    None => drop(open.insert(&key, &[])?),
                }
                Ok(())
            });
            done.map_err(plain)
        })
    }
}

/// Finds the nodes that `failures` (oldest first) take out at `now`: `enough` of them within `window`, onto
/// the node or off it. Such a node is out for one `window` more.
#[must_use]
pub fn failing_nodes(
    failures: &[JournalEntry],
    enough: usize,
    window: TimeDelta,
    now: DateTime<Utc>,
) -> Vec<FailingNode> {
    let mut by_node: BTreeMap<NodeId, (String, ClusterId, Vec<DateTime<Utc>>)> = BTreeMap::new();
    for entry in failures {
        let Some((_, at)) = entry.outcome() else { continue };
        for (node, name) in [(entry.source, &entry.source_name), (entry.target, &entry.target_name)] {
            let known = by_node.entry(node).or_insert_with(|| (name.clone(), entry.cluster, Vec::new()));
            known.2.push(at);
        }
    }
    let mut failing = Vec::new();
    for (node, (name, cluster, times)) in by_node {
        let last_run = times.windows(enough.max(1)).rev().find(|run| run[run.len() - 1] - run[0] <= window);
        let Some(until) = last_run.map(|run| run[run.len() - 1] + window).filter(|until| *until > now) else {
            continue;
        };
        let count = times.iter().filter(|at| **at > until - window - window).count();
        let failures = count.try_into().unwrap_or(u32::MAX);
        failing.push(FailingNode { node, name, cluster, failures, until });
    }
    failing
}

fn rest(
    ended: &Ended,
    cooldown: TimeDelta,
    failure_cooldown: TimeDelta,
    failures: &mut Failures,
) -> Option<Rest> {
    match ended.outcome {
        Outcome::Done => {
            failures.note_success(ended.vm);
            Some(Rest { until: ended.at + cooldown, why: RestWhy::Moved })
        }
        Outcome::Failed => {
            let times = failures.note_failure(ended.vm);
            let why = if times > 1 { RestWhy::FailedAgain } else { RestWhy::Failed };
            Some(Rest { until: ended.at + Failures::rest(failure_cooldown, times), why })
        }
        Outcome::Lost | Outcome::Dropped => None,
    }
}
