//! What is too old goes, and the room that it had is given back.
//!
//! sled keeps its file as large as it ever was, so a store that has shrunk is written anew beside the old one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{PoisonError, atomic::Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sled::Transactional as _;

use super::{
    AuditEntry, Files, Store, StoreError,
    ended::Ended,
    export, folder,
    kept::row,
    open::{FOLDER, wait_for_readers},
    proposals::plain,
    shelf::{guard, rows},
};
use crate::model::StoreFailure;

/// How long history and audit are kept by default: a year, and a month to look back at it.
pub const HISTORY_KEPT: TimeDelta = TimeDelta::days(400);

/// From one sweep to the next.
const SWEEP_EVERY: TimeDelta = TimeDelta::hours(20);

/// After a longer time without a sweep nothing is removed yet: the clock may be ahead. The next sweep knows better.
const CLOCK_TRUSTED: TimeDelta = TimeDelta::days(45);

/// How many rows one sweep removes at most: sled takes a kilobyte of memory for each. The next export goes on.
const SWEPT_MAX: usize = 20_000;

/// How many rows are removed at once, while other writers wait.
const ROWS_AT_ONCE: usize = 500;

/// The search for old rows ends after this many that are not old. It does not end at the first one, whose date may come
/// from a clock that was ahead.
const YOUNG_IN_A_ROW: usize = 1000;

/// Below 64 MiB freeing room is not worth a rewrite.
const ROOM_MIN: u64 = 64 << 20;

/// sled takes one and a half times the room of what is in it; at three times it is worth the writing.
const ROOM_RATIO: u64 = 3;

/// The store while it is written anew, and the one whose place it takes.
const FRESH: &str = "store-fresh";
const REPLACED: &str = "store-replaced";

/// While this file is there, the next start reads every record.
const SUSPECT: &str = "suspect";

/// When a sweep was last due.
#[derive(Serialize, Deserialize)]
struct Swept {
    v: u32,
    at: DateTime<Utc>,
}

impl Store {
    /// Sets how long history and audit are kept.
    pub fn keep_history_for(&self, kept: TimeDelta) {
        self.shared.history_kept.store(kept.num_seconds(), Ordering::Relaxed);
    }

    /// Removes the history and the audit that are too old, once a day.
    pub(super) fn sweep(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let last: Option<Swept> = self.meta_record(row::SWEPT, "swept")?;
        let since = last.map(|last| now - last.at);
        let is_due = since.is_none_or(|since| since < TimeDelta::zero() || since >= SWEEP_EVERY);
        if !is_due {
            return Ok(());
        }
        let is_known = since.is_some_and(|since| since >= TimeDelta::zero() && since <= CLOCK_TRUSTED);
        let kept = TimeDelta::seconds(self.shared.history_kept.load(Ordering::Relaxed));
        let is_more = match now.checked_sub_signed(kept) {
            Some(before) if is_known => self.remove_older(before)?,
            _ => false,
        };
        if !is_more {
            self.write(|| self.put_meta(row::SWEPT, &Swept { v: 1, at: now }))?;
        }
        Ok(())
    }

    /// Tells whether more is to be removed.
    fn remove_older(&self, before: DateTime<Utc>) -> Result<bool, StoreError> {
        let migrations = self.old_migrations(before)?;
        for rows in migrations.chunks(ROWS_AT_ONCE) {
            self.remove_migrations(rows)?;
        }
        let audits = self.old_audits(before)?;
        for rows in audits.chunks(ROWS_AT_ONCE) {
            self.write(|| {
                let files = self.files()?;
                let mut batch = sled::Batch::default();
                rows.iter().for_each(|id| batch.remove(&id.to_be_bytes()));
                guard(|| files.audit.tree.apply_batch(batch))
            })?;
        }
        let (migrations, audits) = (migrations.len(), audits.len());
        if migrations + audits > 0 {
            self.write(|| self.files()?.forget_spans())?;
            self.flush()?;
            tracing::info!(migrations, audits, "what is older than HISTORY_DAYS was removed");
        }
        Ok(migrations.max(audits) == SWEPT_MAX)
    }

    /// The oldest closed entries of the journal: each by its number among the ended ones and by its own.
    fn old_migrations(&self, before: DateTime<Utc>) -> Result<Vec<(u64, u64)>, StoreError> {
        let files = self.files()?;
        // The newest stays: the next id counts from it.
        let newest = files.journal.last_key()?;
        let is_old = |(_, ended): &(u64, Ended)| {
            ended.at < before && ended.intended_at < before && newest != Some(ended.id.0)
        };
        let old = oldest(files.ended.oldest(), is_old)?;
        Ok(old.into_iter().map(|(number, ended)| (number, ended.id.0)).collect())
    }

    fn old_audits(&self, before: DateTime<Utc>) -> Result<Vec<u64>, StoreError> {
        let files = self.files()?;
        let newest = files.audit.last_key()?;
        let is_old = |(id, entry): &(u64, AuditEntry)| entry.at < before && newest != Some(*id);
        Ok(oldest(files.audit.oldest(), is_old)?.into_iter().map(|(id, _)| id).collect())
    }

    fn remove_migrations(&self, rows: &[(u64, u64)]) -> Result<(), StoreError> {
        self.write(|| {
            let files = self.files()?;
            guard(|| {
                let done = (&files.journal.tree, &files.ended.tree).transaction(|(journal, ended)| {
                    for (number, id) in rows {
                        journal.remove(&id.to_be_bytes())?;
                        ended.remove(&number.to_be_bytes())?;
                    }
                    Ok(())
                });
                done.map_err(plain)
            })
        })
    }

    /// Writes the store anew where its files are much larger than what is in it, as an export that was just made tells.
    pub(super) fn give_room_back(&self) -> Result<(), StoreError> {
        let export = self.shared.dir.join(export::NAME);
        let kept = fs::metadata(&export).map_err(StoreError::io(export))?.len();
        match is_wasteful(self.size_on_disk()?, kept) {
            true => self.write_anew(),
            false => Ok(()),
        }
    }

    /// Writers wait meanwhile; readers only while the folders change places.
    pub(super) fn write_anew(&self) -> Result<(), StoreError> {
        let dir = &self.shared.dir;
        self.write(|| {
            let old = self.files()?;
            if old.copy.is_some() {
                return Ok(());
            }
            remove_folder(&dir.join(FRESH))?;
            old.copy_into(&Files::open(&dir.join(FRESH))?)?;
            drop(old);
            let mut files = self.shared.files.write().unwrap_or_else(PoisonError::into_inner);
            if let Ok(old) = std::mem::replace(&mut *files, Err(StoreFailure::Opening)) {
                wait_for_readers(&old);
            }
            let swapped = swap_folders(dir);
            settle_folders(dir)?;
            drop(files);
            self.open_again()?;
            swapped
        })?;
        tracing::info!(bytes = self.size_on_disk()?, "the store was written anew to give room back");
        Ok(())
    }
}

impl Files {
    fn copy_into(&self, fresh: &Self) -> Result<(), StoreError> {
        // The export has none of these.
        let others = |files: &Self| {
            [files.told.clone(), files.ended.tree.clone(), files.spans.clone(), files.measured.clone()]
        };
        let all = |files: &Self| {
            let trees = files.trees().map(|(_, tree)| tree.clone());
            trees.into_iter().chain(others(files)).collect::<Vec<_>>()
        };
        for (from, to) in all(self).into_iter().zip(all(fresh)) {
            copy_rows(&from, &to)?;
        }
        fresh.flush()
    }
}

fn copy_rows(from: &sled::Tree, to: &sled::Tree) -> Result<(), StoreError> {
    let (mut batch, mut count) = (sled::Batch::default(), 0);
    for row in rows(from.iter()) {
        let (key, bytes) = row?;
        batch.insert(key, bytes);
        count += 1;
        if count % ROWS_AT_ONCE == 0 {
            guard(|| to.apply_batch(std::mem::take(&mut batch)))?;
        }
    }
    guard(|| to.apply_batch(batch))
}

/// Finds the oldest that are old, at most [`SWEPT_MAX`].
fn oldest<T>(
    rows: impl Iterator<Item = Result<T, StoreError>>,
    is_old: impl Fn(&T) -> bool,
) -> Result<Vec<T>, StoreError> {
    let (mut old, mut young_in_a_row) = (Vec::new(), 0);
    for row in rows {
        let row = row?;
        if is_old(&row) {
            young_in_a_row = 0;
            old.push(row);
        } else {
            young_in_a_row += 1;
        }
        if old.len() == SWEPT_MAX || young_in_a_row == YOUNG_IN_A_ROW {
            break;
        }
    }
    Ok(old)
}

fn is_wasteful(size: u64, kept: u64) -> bool {
    size >= ROOM_MIN && size / ROOM_RATIO > kept
}

fn swap_folders(dir: &Path) -> Result<(), StoreError> {
    let [fresh, store, replaced] = [FRESH, FOLDER, REPLACED].map(|name| dir.join(name));
    remove_folder(&replaced)?;
    fs::rename(&store, &replaced).map_err(StoreError::io(&store))?;
    fs::rename(&fresh, &store).map_err(StoreError::io(&fresh))?;
    folder::sync(dir)
}

/// Puts the folders in order after a swap, whole or not: where the store is not in its place, the one that was there
/// is as good as the new one.
pub(super) fn settle_folders(dir: &Path) -> Result<(), StoreError> {
    let [fresh, store, replaced] = [FRESH, FOLDER, REPLACED].map(|name| dir.join(name));
    if !store.exists() && replaced.exists() {
        fs::rename(&replaced, &store).map_err(StoreError::io(&replaced))?;
        folder::sync(dir)?;
    }
    remove_folder(&fresh)?;
    remove_folder(&replaced)
}

fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the next start read every record. Used after damage in a record that a start usually skips.
pub(super) fn suspect(dir: &Path) {
    if let Err(error) = fs::write(suspected(dir), "a record could not be read\n") {
        tracing::warn!(%error, "that the store is damaged cannot be noted beside it");
    }
}

/// Tells whether damage was found since everything was read.
pub(super) fn is_suspect(dir: &Path) -> bool {
    suspected(dir).exists()
}

/// Forgets the suspicion: everything can be read.
pub(super) fn trust(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_file(suspected(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(suspected(dir))(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn suspected(dir: &Path) -> PathBuf {
    dir.join(SUSPECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_written_anew_only_where_that_gives_much_back() {
        const MIB: u64 = 1 << 20;
        assert!(!is_wasteful(63 * MIB, MIB), "nobody misses that");
        assert!(!is_wasteful(1200 * MIB, 800 * MIB), "as large as sled makes it");
        assert!(is_wasteful(1200 * MIB, 80 * MIB));
    }
}
