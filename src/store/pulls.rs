//! VMs that somebody moves back after this bot moved them: how often, and until when they are left alone. It outlives
//! the process.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Outcome, Store, StoreError};
use crate::model::{MigrationId, NodeId, VmId};

/// The row in `meta`, beside that of the migrations that were given up.
const ROW: u64 = 23;

/// Moved back once may be a mistake or chance; twice is somebody's will.
const ENOUGH: usize = 2;

/// A day: two of the intervals of most balancers and a working day in which people can settle it.
const FIRST_REST: TimeDelta = TimeDelta::days(1);

/// The rest doubles each time up to a week: then somebody else may have changed their settings.
const LONGEST_REST: TimeDelta = TimeDelta::days(7);

/// What happened before two weeks says nothing of today.
const REMEMBERED: TimeDelta = TimeDelta::days(14);

/// What is kept is bounded by its number and not by time, for a clock may be wrong: more moves back than this make no
/// rest longer.
const UNDONE_MAX: usize = 16;

/// No platform has this many VMs that somebody fights for.
const PULLS_MAX: usize = 1000;

/// A VM that somebody moves back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    pub vm: VmId,
    /// Our migrations that were undone, and when that was seen.
    pub undone: Vec<(MigrationId, DateTime<Utc>)>,
    /// Until when the VM is left alone; `None` after a single time.
    pub until: Option<DateTime<Utc>>,
}

/// Our last migration of a VM, which was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastMove {
    pub id: MigrationId,
    pub vm: VmId,
    pub source: NodeId,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    v: u32,
    pulls: Vec<Pull>,
}

impl Store {
    /// Returns the VMs that are left alone at `now` since somebody moves them back.
    pub fn pulls(&self, now: DateTime<Utc>) -> Result<Vec<Pull>, StoreError> {
        let kept = self.kept_pulls()?.pulls;
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let ends = self.ends(now)?;
        let right = kept.iter().filter_map(|pull| put_right(pull, &ends, now));
        Ok(right.filter(|pull| pull.until.is_some_and(|until| now < until)).collect())
    }

    /// When our last migrations ended, put right where the clock was wrong.
    fn ends(&self, now: DateTime<Utc>) -> Result<BTreeMap<MigrationId, DateTime<Utc>>, StoreError> {
        let ended = self.ended_since(now - REMEMBERED, now)?;
        Ok(ended.into_iter().map(|ended| (ended.id, ended.at)).collect())
    }

    /// Returns the last migration of each VM that was done before `before`, of those that nothing followed.
    pub fn last_moves(&self, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<Vec<LastMove>, StoreError> {
        let mut followed: BTreeSet<_> = self.open_entries()?.into_iter().map(|entry| entry.vm).collect();
        let mut moves = Vec::new();
        for ended in self.ended_since(now - REMEMBERED, now)? {
            // What was dropped never ran.
            if ended.outcome == Outcome::Dropped || !followed.insert(ended.vm) {
                continue;
            }
            if ended.outcome == Outcome::Done && ended.at < before {
                moves.push(LastMove { id: ended.id, vm: ended.vm, source: ended.source });
            }
        }
        Ok(moves)
    }

    /// Remembers that somebody undid one of our migrations. Returns what is known of the VM where this makes it rest;
    /// `None` where it does not, or was known.
    pub fn note_pull(&self, undone: &LastMove, now: DateTime<Utc>) -> Result<Option<Pull>, StoreError> {
        let mut kept = self.kept_pulls()?.pulls;
        let is_known = |pull: &Pull| pull.undone.iter().any(|(id, _)| *id == undone.id);
        if kept.iter().any(is_known) {
            return Ok(None);
        }
        let before = kept.iter().position(|pull| pull.vm == undone.vm).map(|index| kept.remove(index));
        let mut pull = before.unwrap_or(Pull { vm: undone.vm, undone: Vec::new(), until: None });
        pull.undone.push((undone.id, now));
        pull.undone.drain(..pull.undone.len().saturating_sub(UNDONE_MAX));
        let right = put_right(&pull, &self.ends(now)?, now);
        pull.until = right.as_ref().and_then(|pull| pull.until);
        kept.push(pull);
        kept.drain(..kept.len().saturating_sub(PULLS_MAX));
        self.write(|| {
            self.put_meta(ROW, &Kept { v: 1, pulls: kept })?;
            self.files()?.flush()
        })?;
        Ok(right.filter(|pull| pull.until.is_some()))
    }

    fn kept_pulls(&self) -> Result<Kept, StoreError> {
        self.meta_record(ROW, "pulls")
    }
}

/// Puts the moments of a pull right: a migration is undone after its end, and a moment to come was written while the
/// clock was ahead. `None` where no moment is known.
fn put_right(pull: &Pull, ends: &BTreeMap<MigrationId, DateTime<Utc>>, now: DateTime<Utc>) -> Option<Pull> {
    let right = |(id, at): &(MigrationId, DateTime<Utc>)| {
        let at = match ends.get(id) {
            Some(end) if *at > now => *end,
            Some(end) => (*at).max(*end),
            None if *at > now => return None,
            None => *at,
        };
        Some((*id, at))
    };
    let mut undone: Vec<_> = pull.undone.iter().filter_map(right).collect();
    undone.sort_by_key(|(id, at)| (*at, *id));
    let last = undone.last()?.1;
    undone.retain(|(_, at)| last - *at < REMEMBERED);
    let until = rest_after(undone.len()).map(|rest| last + rest);
    Some(Pull { vm: pull.vm, undone, until })
}

fn rest_after(times: usize) -> Option<TimeDelta> {
    let more = times.checked_sub(ENOUGH)?;
    Some((FIRST_REST * 2_i32.pow(u32::try_from(more).unwrap_or(u32::MAX).min(10))).min(LONGEST_REST))
}

/// How long VMs rest after failures: each in a row doubles it.
#[derive(Default)]
pub(super) struct Failures(BTreeMap<VmId, u32>);

impl Failures {
    /// A success ends a row of failures.
    pub(super) fn note_success(&mut self, vm: VmId) {
        self.0.remove(&vm);
    }

    /// Returns how many there are in a row with this one.
    pub(super) fn note_failure(&mut self, vm: VmId) -> u32 {
        let times = self.0.entry(vm).or_default();
        *times = times.saturating_add(1);
        *times
    }

    /// Returns how far back failures count.
    pub(super) fn memory_span() -> TimeDelta {
        REMEMBERED
    }

    /// Returns the rest after `times` failures in a row, of which the first leads to a rest of `first`.
    pub(super) fn rest(first: TimeDelta, times: u32) -> TimeDelta {
        let doubled = i32::try_from(times.clamp(1, 11) - 1)
            .map_or(first, |more| first * 2_i32.pow(more.unsigned_abs()));
        doubled.min(LONGEST_REST.max(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::JournalEntry;

    #[test]
    fn who_is_moved_back_twice_rests_for_a_day_and_twice_as_long_each_time_after_a_restart_too() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let at = |hours| DateTime::UNIX_EPOCH + TimeDelta::hours(hours);
        let pull = |store: &Store, id, hours| {
            let undone = LastMove { id: MigrationId(id), vm: VmId(7), source: NodeId(10) };
            store.note_pull(&undone, at(hours)).unwrap().and_then(|pull| pull.until)
        };
        assert_eq!(pull(&store, 1, 0), None, "once may be chance");
        assert_eq!(pull(&store, 1, 1), None, "one migration counts once");
        assert!(store.pulls(at(1)).unwrap().is_empty());
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(pull(&store, 2, 10), Some(at(34)), "a day");
        assert_eq!((store.pulls(at(33)).unwrap().len(), store.pulls(at(34)).unwrap().len()), (1, 0));
        assert_eq!(pull(&store, 3, 40), Some(at(88)), "two days");
        assert_eq!(pull(&store, 4, 90), Some(at(90 + 96)), "four");
        assert_eq!(pull(&store, 5, 200), Some(at(200 + 168)), "a week at most");
        assert_eq!(pull(&store, 6, 200 + 24 * 14), None, "what happened long ago does not count");
        assert!(store.pulls(at(0)).unwrap().is_empty(), "a clock that was ahead keeps nobody waiting");
    }

    #[test]
    fn a_wrong_clock_neither_hides_that_a_vm_was_moved_back_nor_makes_its_rest_longer() {
        for wrong in [TimeDelta::days(-40), TimeDelta::days(-20_000), TimeDelta::days(365)] {
            let dir = tempfile::TempDir::new().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let at = |hours| DateTime::UNIX_EPOCH + TimeDelta::days(30_000) + TimeDelta::hours(hours);
            let moved_back = |intended, ended, seen| {
                let entry = store.intend(JournalEntry::example(7, at(intended))).unwrap();
                store.close(entry.id, Outcome::Done, None, at(ended)).unwrap();
                store.note_pull(&LastMove { id: entry.id, vm: VmId(7), source: NodeId(10) }, seen).unwrap();
            };
            moved_back(0, 1, at(2));
            // It is seen again while the clock is wrong.
            moved_back(3, 4, at(5) + wrong);
            let until = |hours| store.pulls(at(hours)).unwrap().first().map(|pull| pull.until.unwrap());
            assert_eq!((until(6), until(27), until(28)), (Some(at(28)), Some(at(28)), None), "{wrong}");
            // And once more when it is right.
            moved_back(29, 30, at(31));
            assert_eq!(until(32), Some(at(31 + 48)), "{wrong}: the third time is two days");
        }
    }

    #[test]
    fn rests_after_failures_double_up_to_a_week() {
        let hours = |first, times| Failures::rest(TimeDelta::hours(first), times).num_hours();
        assert_eq!([1, 2, 3, 4, 40].map(|times| hours(24, times)), [24, 48, 96, 168, 168]);
        assert_eq!([1, 2].map(|times| hours(240, times)), [240, 240], "never shorter than configured");
    }
}
