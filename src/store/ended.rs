//! The migrations that ended, in short and in the order of their ends. It answers which VMs rest, what moved and what
//! failed lately, without a walk through the journal.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{JournalEntry, Outcome, Store, StoreError};
use crate::model::{ClusterId, MigrationId, NodeId, VmId};

/// What a closed entry says about which VMs rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub(super) struct Ended {
    pub(super) id: MigrationId,
    pub(super) intended_at: DateTime<Utc>,
    pub(super) at: DateTime<Utc>,
    pub(super) outcome: Outcome,
    pub(super) vm: VmId,
    pub(super) source: NodeId,
    pub(super) target: NodeId,
    pub(super) cluster: ClusterId,
    /// The newest moment in this row and in all before it: where it is old, all before it are.
    pub(super) newest: DateTime<Utc>,
}

/// As it is on disk: short, since there is one for each migration. Moments are microseconds.
type Row = (u64, i64, i64, Outcome, u64, u64, u64, u64, i64);

impl From<Row> for Ended {
    fn from((id, intended_at, at, outcome, vm, source, target, cluster, newest): Row) -> Self {
        let moment = |micros| DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH);
        Self {
            id: MigrationId(id),
            intended_at: moment(intended_at),
            at: moment(at),
            outcome,
            vm: VmId(vm),
            source: NodeId(source),
            target: NodeId(target),
            cluster: ClusterId(cluster),
            newest: moment(newest),
        }
    }
}

impl From<Ended> for Row {
    fn from(ended: Ended) -> Self {
        let Ended { id, intended_at, at, outcome, vm, source, target, cluster, newest } = ended;
        let [intended_at, at, newest] = [intended_at, at, newest].map(|moment| moment.timestamp_micros());
        (id.0, intended_at, at, outcome, vm.0, source.0, target.0, cluster.0, newest)
    }
}

impl Ended {
    /// Returns the row of an entry behind those whose newest moment is `newest_before`; `None` for one that is open.
    pub(super) fn of(entry: &JournalEntry, newest_before: Option<DateTime<Utc>>) -> Option<Self> {
        let (outcome, at) = entry.outcome()?;
        let newest = at.max(entry.intended_at);
        Some(Self {
            id: entry.id,
            intended_at: entry.intended_at,
            at,
            outcome,
            vm: entry.vm,
            source: entry.source,
            target: entry.target,
            cluster: entry.cluster,
            newest: newest_before.map_or(newest, |before| before.max(newest)),
        })
    }
}

impl Store {
    /// A migration that ended within a cool-down was intended at most this much before it; with local disks
    /// one may take days.
    const LONGEST_MIGRATION: TimeDelta = TimeDelta::days(14);

    /// After a clock that was ahead nothing says that all before a row are old. Then the search ends after this many
    /// old ones in a row: a wrong clock is noticed within days, long before it dates a thousand migrations.
    pub(super) const OLD_IN_A_ROW: usize = 1000;

    /// What may have ended after `since`, newest first, with ends put right; a few older ones may be among them.
    pub(super) fn ended_since(
        &self,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Ended>, StoreError> {
        let mut old_in_a_row = 0;
        let mut found = Vec::new();
        for row in self.files()?.ended.newest() {
            let row = row?;
            if row.newest < since {
                break;
            }
            let is_old = row.at < since && row.intended_at < since - Self::LONGEST_MIGRATION;
            old_in_a_row = if is_old { old_in_a_row + 1 } else { 0 };
            found.push(row);
            if old_in_a_row == Self::OLD_IN_A_ROW {
                break;
            }
        }
        correct_ends(&mut found, now);
        Ok(found)
    }
}

/// Puts ends right that were written while the clock was wrong. `ended` are newest first.
///
/// An entry ends after its own intent and those of all that ended before it. An end that is still to come was written
/// while the clock was ahead: the entry's own intent and the next one are the best that is known.
fn correct_ends(ended: &mut [Ended], now: DateTime<Utc>) {
    let mut next_intent = now;
    for row in ended.iter_mut() {
        if row.at > now {
            row.at = next_intent;
        }
        if row.intended_at <= now {
            next_intent = row.intended_at;
        }
    }
    let mut last_intent = DateTime::<Utc>::MIN_UTC;
    for row in ended.iter_mut().rev() {
        if row.intended_at <= now {
            last_intent = last_intent.max(row.intended_at);
        }
        row.at = last_intent.max(row.at);
    }
}
