//! What VMmanager declined, and until when that is remembered: it outlives the process.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::model::{NodeId, VmId};

/// The row in `meta`, beside those of the settings and the pictures.
const ROW: u64 = 21;

/// An hour: what makes VMmanager decline a target or a VM changes by people's hands, or with the end of a backup.
const FIRST_REST: TimeDelta = TimeDelta::hours(1);

/// Beyond this number the oldest are forgotten; no platform declines this many VMs.
const DECLINED_MAX: usize = 2000;

/// Something that VMmanager would not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    pub vm: VmId,
    /// The target that the VM may not go to; `None` where the VM was busy, whatever the target.
    pub target: Option<NodeId>,
    /// How often in a row: the rest doubles each time.
    pub times: u32,
    pub at: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    v: u32,
    declined: Vec<Declined>,
}

impl Store {
    /// Returns what is in force at `now`.
    pub fn declined_at(&self, now: DateTime<Utc>) -> Result<Vec<Declined>, StoreError> {
        // One of a time to come was written while the clock was ahead.
        let in_force = |declined: &Declined| declined.at <= now && now < declined.until;
        Ok(self.kept_declined()?.declined.into_iter().filter(in_force).collect())
    }

    /// Remembers that VMmanager declined a target for a VM, or was busy with it: for an hour, and twice as long each
    /// time that it happens again soon, up to `longest`. On disk when this returns.
    pub fn decline(
        &self,
        vm: VmId,
        target: Option<NodeId>,
        now: DateTime<Utc>,
        longest: TimeDelta,
    ) -> Result<(), StoreError> {
        self.write(|| {
            let mut declined = self.kept_declined()?.declined;
            let is_this = |known: &Declined| (known.vm, known.target) == (vm, target);
            // What ended long ago is no repetition.
            declined.retain(|known| now - known.until < longest && known.at <= now);
            let times = declined.iter().find(|known| is_this(known)).map_or(1, |known| known.times + 1);
            declined.retain(|known| !is_this(known));
            let rest = FIRST_REST * 2_i32.pow(times.clamp(1, 16) - 1);
            declined.push(Declined { vm, target, times, at: now, until: now + rest.min(longest) });
            let too_many = declined.len().saturating_sub(DECLINED_MAX);
            declined.drain(..too_many);
            self.keep_declined(declined)
        })
    }

    /// Forgets all of it: somebody says that the causes are mended.
    pub fn forget_declined(&self) -> Result<(), StoreError> {
        self.write(|| self.keep_declined(Vec::new()))
    }

    /// Forgets what was declined for one VM, after a person reported the cause as mended.
    pub fn forget_declined_of(&self, vm: VmId) -> Result<(), StoreError> {
        self.write(|| {
            let mut declined = self.kept_declined()?.declined;
            declined.retain(|known| known.vm != vm);
            self.keep_declined(declined)
        })
    }

    fn kept_declined(&self) -> Result<Kept, StoreError> {
        self.meta_record(ROW, "declined")
    }

    fn keep_declined(&self, declined: Vec<Declined>) -> Result<(), StoreError> {
        self.put_meta(ROW, &Kept { v: 1, declined })?;
        self.files()?.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_declined_outlives_the_process_and_rests_longer_each_time() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let decline = |store: &Store, minutes| {
            store.decline(VmId(7), Some(NodeId(11)), at(minutes), TimeDelta::hours(3)).unwrap();
        };
        let rests = |store: &Store, minutes| !store.declined_at(at(minutes)).unwrap().is_empty();
        decline(&store, 0);
        store.decline(VmId(7), None, at(0), TimeDelta::minutes(5)).unwrap();
        assert_eq!(store.declined_at(at(0)).unwrap().len(), 2);
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert!(rests(&store, 59) && !rests(&store, 60), "an hour");
        decline(&store, 60);
        assert!(rests(&store, 179) && !rests(&store, 180), "then two");
        decline(&store, 180);
        assert!(rests(&store, 359) && !rests(&store, 360), "at most the longest");
        decline(&store, 600);
        assert!(rests(&store, 659) && !rests(&store, 660), "after a quiet time it begins anew");
        assert!(!rests(&store, 599), "a clock that was ahead keeps nobody waiting");
        store.forget_declined().unwrap();
        assert!(!rests(&store, 601));
    }
}
