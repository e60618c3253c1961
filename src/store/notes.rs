//! What the chat notes while it answers: small records that are put on disk together, however many they are.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    AuditEntry, Store, StoreError,
    kept::{SeenUpdate, UPDATES_KEPT, wrap},
    shelf::guard,
};
use crate::event::Alert;

/// A small record of the chat's.
#[derive(Clone, Debug)]
pub enum Note {
    /// An entry of the audit.
    Audit(AuditEntry),
    /// The update of the Bot API with this number is handled, since then.
    Update(u64, DateTime<Utc>),
    /// A record of the outbox takes the place of the one of its key; made by [`Note::keep`].
    Kept(String, Vec<u8>),
    /// The record of the outbox with this key is over.
    Dropped(String),
    /// An alert is shown, so it need not wait any more.
    Shown(Alert),
}

impl Note {
    /// A record of the outbox with its key.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be written as JSON.
    pub fn keep(key: impl Into<String>, record: &impl Serialize) -> Result<Self, StoreError> {
        Ok(Self::Kept(key.into(), wrap("outbox", record)?))
    }
}

impl Store {
    /// Puts notes on disk, in their order. The disk is waited for once.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; then none of them counts as written.
    pub fn note_together(&self, notes: &[Note]) -> Result<(), StoreError> {
        self.write(|| {
            notes.iter().try_for_each(|note| self.put_note(note))?;
            self.files()?.flush()
        })
    }

    /// Tells whether an update of the Bot API was handled. Numbers begin anew after a quiet week, so one that was noted
    /// long ago is another update.
    pub fn knows_update(&self, update: u64, now: DateTime<Utc>) -> Result<bool, StoreError> {
        Ok(self.files()?.updates.get(update)?.is_some_and(|seen| now - seen.at < UPDATES_KEPT))
    }

    fn put_note(&self, note: &Note) -> Result<(), StoreError> {
        let files = self.files()?;
        match note {
            Note::Audit(entry) => files.audit.put(self.next_id(&files.audit, 0)?, entry),
            Note::Update(update, at) => files.updates.put(*update, &SeenUpdate { v: 1, at: *at }),
            Note::Kept(key, bytes) => guard(|| files.outbox.insert(key, bytes.as_slice()).map(drop)),
            Note::Dropped(key) => guard(|| files.outbox.remove(key).map(drop)),
            Note::Shown(alert) => self.remove_alert(alert).map(drop),
        }
    }
}
