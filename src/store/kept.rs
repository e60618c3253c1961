//! The smaller things: settings changed by chat, the audit, processed updates, and what the chat keeps for itself.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    AuditEntry, Files, Settings, Store, StoreError,
    shelf::{Shelf, guard},
};
use crate::model::{Person, find};

const SETTINGS: &str = "settings";

/// How deep a search of the audit by person goes.
const AUDIT_SEARCHED: usize = 5000;

/// Keys in `meta` of the smallest ids that may be given out.
pub(super) struct Floors {
    pub(super) proposals: u64,
    pub(super) journal: u64,
}

/// Numbers of the floors' rows in `meta`.
pub(super) const SCHEMA_FLOORS: Floors = Floors { proposals: 10, journal: 11 };

/// Numbers of the other rows in `meta`.
pub(super) mod row {
    pub(in crate::store) const SCHEMA: u64 = 1;
    pub(in crate::store) const SETTINGS: u64 = 2;
    pub(in crate::store) const RESTORED: u64 = 3;
    /// How many writes there were that decide something.
    pub(in crate::store) const SEQ: u64 = 4;
    /// What is written to see whether anything can be.
    pub(in crate::store) const TRIAL: u64 = 5;
    /// As [`INDEXED`], of a program that made fewer indexes.
    pub(in crate::store) const INDEXED_BEFORE: u64 = 6;
    /// When what is too old was last looked for.
    pub(in crate::store) const SWEPT: u64 = 7;
    /// The number of the last write that the index trees know of.
    pub(in crate::store) const INDEXED: u64 = 8;
}

/// A processed update of the Bot API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SeenUpdate {
    pub(super) v: u32,
    pub(super) at: DateTime<Utc>,
}

/// How long processed updates are remembered: the Bot API itself gives them again for a day at most.
pub(super) const UPDATES_KEPT: TimeDelta = TimeDelta::days(2);

impl AuditEntry {
    /// An entry that no chat in particular belongs to.
    #[must_use]
    pub fn new(
        at: DateTime<Utc>,
        by: Option<Person>,
        what: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self { v: 1, at, by, chat: None, what: what.into(), detail: detail.into() }
    }
}

impl Store {
    /// Returns what the chat changed; the defaults where it changed nothing.
    pub fn settings(&self) -> Result<Settings, StoreError> {
        self.meta_record(row::SETTINGS, SETTINGS)
    }

    /// Changes the settings; on disk when this returns.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; nothing is changed then.
    pub fn update_settings(&self, change: impl FnOnce(&mut Settings)) -> Result<Settings, StoreError> {
        self.write(|| {
            let mut settings = self.settings()?;
            change(&mut settings);
            settings.v = 1;
            self.put_meta(row::SETTINGS, &settings)?;
            self.commit()?;
            Ok(settings)
        })
    }

    /// Adds to the audit.
    pub fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.write(|| {
            let id = self.next_id(&self.files()?.audit, 0)?;
            self.files()?.audit.put(id, entry)?;
            self.files()?.flush()
        })
    }

    /// Returns the newest entries of the audit, newest first.
    pub fn audit_log(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.files()?.audit.newest().take(limit).collect()
    }

    /// Returns the newest entries of the audit, of everybody or of the people with this number, or with a name that
    /// contains this or that this pattern matches.
    pub fn audit_of(&self, person: Option<&str>, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let is_meant = |by: &Person, person: &str| {
            person.parse() == Ok(by.id)
                || by.name.to_lowercase().contains(&person.to_lowercase())
                || find::names(person, u64::MAX, &by.name)
        };
        let is_wanted = |entry: &AuditEntry| {
            person.is_none_or(|person| entry.by.as_ref().is_some_and(|by| is_meant(by, person)))
        };
        let newest = self.audit_log(AUDIT_SEARCHED)?;
        Ok(newest.into_iter().filter(is_wanted).take(limit).collect())
    }

    /// Messages that wait to be sent, by the key of their matter.
    #[must_use]
    pub fn outbox(&self) -> Keep<'_> {
        Keep { store: self, tree: |files| &files.outbox, name: "outbox" }
    }

    /// What the chat keeps of chats, people and messages.
    #[must_use]
    pub fn chats(&self) -> Keep<'_> {
        Keep { store: self, tree: |files| &files.chats, name: "chats" }
    }

    pub(super) fn forget_updates(&self, before: DateTime<Utc>) -> Result<usize, StoreError> {
        self.write(|| {
            let files = self.files()?;
            let shelf = &files.updates;
            let mut forgotten = 0;
            for row in shelf.tree.iter() {
                let (key, bytes) = guard(|| row)?;
                let seen: SeenUpdate = serde_json::from_slice(&bytes).map_err(|source| {
                    StoreError::Record { tree: shelf.name, key: format!("{key:?}"), source }
                })?;
                if seen.at < before {
                    guard(|| shelf.tree.remove(key))?;
                    forgotten += 1;
                }
            }
            Ok(forgotten)
        })
    }

    /// The number after the newest one, and never below the floor that a restore left in `meta`.
    pub(super) fn next_id<T: Serialize + DeserializeOwned>(
        &self,
        shelf: &Shelf<T>,
        floor_row: u64,
    ) -> Result<u64, StoreError> {
        let floor = self.files()?.meta.get(floor_row)?.and_then(|value| value.as_u64()).unwrap_or(1);
        Ok(shelf.last_key()?.map_or(1, |last| last + 1).max(floor))
    }

    /// A record in `meta`; its default where there is none.
    pub(super) fn meta_record<T: DeserializeOwned + Default>(
        &self,
        row: u64,
        key: &str,
    ) -> Result<T, StoreError> {
        let Some(value) = self.files()?.meta.get(row)? else { return Ok(T::default()) };
        serde_json::from_value(value).map_err(|source| StoreError::Record {
            tree: "meta",
            key: key.into(),
            source,
        })
    }

    pub(super) fn put_meta(&self, row: u64, value: &impl Serialize) -> Result<(), StoreError> {
        let value =
            serde_json::to_value(value).map_err(|source| StoreError::Unwritable { tree: "meta", source })?;
        self.files()?.meta.put(row, &value)
    }
}

/// A tree of somebody else's records by name: the store keeps them and does not look inside.
#[derive(Clone, Copy)]
pub struct Keep<'a> {
    store: &'a Store,
    tree: fn(&Files) -> &sled::Tree,
    name: &'static str,
}

/// What is written around a record of somebody else's.
#[derive(Serialize, Deserialize)]
struct Wrapped<T> {
    v: u32,
    record: T,
}

/// A record as it is kept in a tree of somebody else's records.
pub(super) fn wrap(tree: &'static str, record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&Wrapped { v: 1, record }).map_err(|source| StoreError::Unwritable { tree, source })
}

impl Keep<'_> {
    /// Keeps a record in place of the one of that key; on disk when this returns.
    pub fn put<T: Serialize>(&self, key: &str, record: &T) -> Result<(), StoreError> {
        let bytes = wrap(self.name, record)?;
        self.store.write(|| {
            let files = self.store.files()?;
            guard(|| (self.tree)(&files).insert(key, bytes).map(|_| ()))?;
            files.flush()
        })
    }

    /// Returns the record of that key.
    ///
    /// # Errors
    ///
    /// Fails when the disk does, or when the record is of another kind.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let files = self.store.files()?;
        let bytes = guard(|| (self.tree)(&files).get(key))?;
        bytes.map(|bytes| self.read(key.as_bytes(), &bytes)).transpose()
    }

    /// Returns every record with its key, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Fails when the disk does, or when a record is of another kind.
    pub fn all<T: DeserializeOwned>(&self) -> Result<Vec<(String, T)>, StoreError> {
        self.with_prefix("")
    }

    /// Returns the records whose keys begin with `prefix`, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Fails when the disk does, or when a record is of another kind.
    pub fn with_prefix<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        let files = self.store.files()?;
        let rows = guard(|| (self.tree)(&files).scan_prefix(prefix).collect::<sled::Result<Vec<_>>>())?;
        rows.into_iter()
            .map(|(key, bytes)| Ok((String::from_utf8_lossy(&key).into_owned(), self.read(&key, &bytes)?)))
            .collect()
    }

    /// Forgets the record of that key; true where there was one.
    pub fn remove(&self, key: &str) -> Result<bool, StoreError> {
        self.store.write(|| {
            let files = self.store.files()?;
            let before = guard(|| (self.tree)(&files).remove(key))?;
            files.flush()?;
            Ok(before.is_some())
        })
    }

    fn read<T: DeserializeOwned>(&self, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
        let wrapped: Result<Wrapped<T>, _> = serde_json::from_slice(bytes);
        wrapped.map(|wrapped| wrapped.record).map_err(|source| StoreError::Record {
            tree: self.name,
            key: String::from_utf8_lossy(key).into_owned(),
            source,
        })
    }
}
