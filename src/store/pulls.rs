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
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn pulls(&self, now: DateTime<Utc>) -> Result<Vec<Pull>, StoreError> {
        // One of a time to come was written while the clock was ahead.
        let in_force = |pull: &Pull| {
            pull.undone.iter().all(|(_, at)| *at <= now) && pull.until.is_some_and(|until| now < until)
        };
        Ok(self.kept_pulls()?.pulls.into_iter().filter(in_force).collect())
    }

    /// Returns the last migration of each VM that was done before `before`, of those that nothing followed.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
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
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn note_pull(&self, undone: &LastMove, now: DateTime<Utc>) -> Result<Option<Pull>, StoreError> {
        let mut kept = self.kept_pulls()?.pulls;
        let is_known = |pull: &Pull| pull.undone.iter().any(|(id, _)| *id == undone.id);
        if kept.iter().any(is_known) {
            return Ok(None);
        }
        let before = kept.iter().position(|pull| pull.vm == undone.vm).map(|index| kept.remove(index));
        let mut pull = before.unwrap_or(Pull { vm: undone.vm, undone: Vec::new(), until: None });
        pull.undone.push((undone.id, now));
        pull.undone.retain(|(_, at)| *at <= now && now - *at < REMEMBERED);
        pull.until = rest_after(pull.undone.len()).map(|rest| now + rest);
        kept.retain(|pull| pull.undone.iter().any(|(_, at)| now - *at < REMEMBERED));
        kept.push(pull.clone());
        self.write(|| {
            self.put_meta(ROW, &Kept { v: 1, pulls: kept })?;
            self.files()?.flush()
        })?;
        Ok(Some(pull).filter(|pull| pull.until.is_some()))
    }

    fn kept_pulls(&self) -> Result<Kept, StoreError> {
        self.meta_record(ROW, "pulls")
    }
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
    pub(super) fn succeeded(&mut self, vm: VmId) {
        self.0.remove(&vm);
    }

    /// Returns how many there are in a row with this one.
    pub(super) fn failed(&mut self, vm: VmId) -> u32 {
        let times = self.0.entry(vm).or_default();
        *times = times.saturating_add(1);
        *times
    }

    /// Returns how far back failures count.
    pub(super) fn remembered() -> TimeDelta {
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
    fn rests_after_failures_double_up_to_a_week() {
        let hours = |first, times| Failures::rest(TimeDelta::hours(first), times).num_hours();
        assert_eq!([1, 2, 3, 4, 40].map(|times| hours(24, times)), [24, 48, 96, 168, 168]);
        assert_eq!([1, 2].map(|times| hours(240, times)), [240, 240], "never shorter than configured");
    }
}
