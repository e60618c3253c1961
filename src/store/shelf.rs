//! One tree of JSON records under big-endian numbers, so that the order of keys is the order of time.

use std::{
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;

/// A typed tree.
pub(super) struct Shelf<T> {
    pub(super) tree: sled::Tree,
    pub(super) name: &'static str,
    record: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Shelf<T> {
    pub(super) fn open(db: &sled::Db, name: &'static str) -> Result<Self, StoreError> {
        let tree = guard(|| db.open_tree(name))?;
        Ok(Self { tree, name, record: PhantomData })
    }

    pub(super) fn get(&self, key: u64) -> Result<Option<T>, StoreError> {
        let bytes = guard(|| self.tree.get(key.to_be_bytes()))?;
        bytes.map(|bytes| self.read(key, &bytes)).transpose()
    }

    /// Newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = Result<T, StoreError>> + '_ {
        self.newest_below(u64::MAX)
    }

    /// Those with a smaller key, newest first; read one by one, as they are asked for.
    pub(super) fn newest_below(&self, key: u64) -> impl Iterator<Item = Result<T, StoreError>> + '_ {
        self.read_each(self.tree.range(..key.to_be_bytes()).rev())
    }

    /// Those with a key in this range, its end left out, newest first.
    pub(super) fn newest_between(
        &self,
        from: u64,
        end: u64,
    ) -> impl Iterator<Item = Result<T, StoreError>> + '_ {
        self.read_each(self.tree.range(from.to_be_bytes()..end.to_be_bytes()).rev())
    }

    /// Those with a key in this range, its end left out, oldest first.
    pub(super) fn oldest_between(
        &self,
        from: u64,
        end: u64,
    ) -> impl Iterator<Item = Result<T, StoreError>> + '_ {
        self.read_each(self.tree.range(from.to_be_bytes()..end.to_be_bytes()))
    }

    /// Those with this key or a larger one, oldest first.
    pub(super) fn oldest_from(&self, key: u64) -> impl Iterator<Item = Result<T, StoreError>> + '_ {
        self.read_each(self.tree.range(key.to_be_bytes()..))
    }

    /// Every record with its key, oldest first.
    pub(super) fn oldest(&self) -> impl Iterator<Item = Result<(u64, T), StoreError>> + '_ {
        rows(self.tree.iter()).map(|row| {
            let (key, bytes) = row?;
            Ok((number(&key), self.read(number(&key), &bytes)?))
        })
    }

    fn read_each(
        &self,
        of: impl Iterator<Item = sled::Result<Row>>,
    ) -> impl Iterator<Item = Result<T, StoreError>> {
        rows(of).map(|row| row.and_then(|(key, bytes)| self.read(number(&key), &bytes)))
    }

    pub(super) fn bytes(&self, record: &T) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(record).map_err(|source| StoreError::Unwritable { tree: self.name, source })
    }

    /// Writes without waiting for the disk.
    pub(super) fn put(&self, key: u64, record: &T) -> Result<(), StoreError> {
        let bytes = self.bytes(record)?;
        guard(|| self.tree.insert(key.to_be_bytes(), bytes).map(|_| ()))
    }

    pub(super) fn last_key(&self) -> Result<Option<u64>, StoreError> {
        Ok(guard(|| self.tree.last())?.map(|(key, _)| number(&key)))
    }

    /// The newest record with its key.
    pub(super) fn last(&self) -> Result<Option<(u64, T)>, StoreError> {
        let Some((key, bytes)) = guard(|| self.tree.last())? else { return Ok(None) };
        Ok(Some((number(&key), self.read(number(&key), &bytes)?)))
    }

    fn read(&self, key: u64, bytes: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(bytes).map_err(|source| StoreError::Record {
            tree: self.name,
            key: key.to_string(),
            source,
        })
    }
}

pub(super) type Row = (sled::IVec, sled::IVec);

/// The rows of a tree, with sled's panics as errors.
pub(super) fn rows(
    mut of: impl Iterator<Item = sled::Result<Row>>,
) -> impl Iterator<Item = Result<Row, StoreError>> {
    std::iter::from_fn(move || guard(|| of.next().transpose()).transpose())
}

/// Runs something of sled's: its panics become errors, for one broken page must not end the bot.
pub(super) fn guard<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(StoreError::Sled),
        Err(panic) => Err(StoreError::Broken(panic_text(panic.as_ref()))),
    }
}

/// Reads the ids of an index tree, oldest first.
pub(super) fn ids(index: &sled::Tree) -> Result<Vec<u64>, StoreError> {
    guard(|| index.iter().keys().map(|key| key.map(|key| number(&key))).collect())
}

pub(super) fn number(key: &[u8]) -> u64 {
    key.try_into().map_or(0, u64::from_be_bytes)
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned()
}
