//! Migrations that somebody gave up watching, as long as their tasks may run: they are nobody else's, and their VMs
//! stay alone. It outlives the process.

use serde::{Deserialize, Serialize};

use super::{JournalEntry, Store, StoreError};
use crate::model::MigrationId;

/// The row in `meta`, next to the one for declined targets.
const ROW: u64 = 22;

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    v: u32,
    entries: Vec<MigrationId>,
}

impl Store {
    /// Returns the migrations that were given up and whose tasks may run.
    pub fn given_up(&self) -> Result<Vec<JournalEntry>, StoreError> {
        let kept: Kept = self.meta_record(ROW, "given up")?;
        let found: Result<Vec<_>, _> = kept.entries.into_iter().map(|id| self.entry(id)).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// Remembers that a migration is given up; on disk when this returns.
    pub fn give_up(&self, id: MigrationId) -> Result<(), StoreError> {
        self.change_given_up(|entries| {
            if !entries.contains(&id) {
                entries.push(id);
            }
        })
    }

    /// Forgets migrations that were given up and whose tasks are over.
    pub fn forget_given_up(&self, ended: &[MigrationId]) -> Result<(), StoreError> {
        self.change_given_up(|entries| entries.retain(|id| !ended.contains(id)))
    }

    fn change_given_up(&self, change: impl FnOnce(&mut Vec<MigrationId>)) -> Result<(), StoreError> {
        self.write(|| {
            let Kept { mut entries, .. } = self.meta_record(ROW, "given up")?;
            change(&mut entries);
            self.put_meta(ROW, &Kept { v: 1, entries })?;
            self.files()?.flush()
        })
    }
}
