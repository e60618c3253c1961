//! Opening: the lock, the schema, a look at every record; and the way back from damage.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::{
    Files, JournalEntry, JournalState, SCHEMA_VERSION, Shared, Shelf, Store, StoreError, export, folder,
    folder::{LOCK_PAUSE, LOCK_TRIES},
    kept::{SCHEMA_FLOORS, row},
    shelf::{guard, panic_text},
    sidecar::{self, Sidecar},
    sweep,
};
use crate::{
    event::KnownSwitches,
    model::{Damage, StoreFailure},
};

/// sled's folder in `DATA_DIR`.
pub(super) const FOLDER: &str = "store";

/// What sled keeps of its files in memory: what is asked often is small, and without a bound sled takes a gigabyte.
const CACHE_BYTES: u64 = 16 << 20;

/// How many milliseconds sled's own thread sleeps between two times of tidying up. What must be on disk is put there at
/// once by whoever writes it, and a process that has nothing to do is woken rarely.
const TIDY_EVERY: u64 = 5000;

/// How many of the newest records of each kind are read at a start, besides open ones. A damaged record is better found
/// then than in the middle of a migration. An export reads all.
const LOOKED_AT: usize = 100;

/// What the folders that were moved aside are called, before their time.
const MOVED_ASIDE: &str = "store-damaged-";

/// After a restore ids go on this far above the newest known one: what was made after the export had ids too,
/// and an old button must never name a newer proposal.
const RESTORE_ID_GAP: u64 = 1000;

/// The store was damaged, and this is what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    pub v: u32,
    pub at: DateTime<Utc>,
    /// When the export was made that it was restored from; `None` where there was none that could be read.
    pub exported_at: Option<DateTime<Utc>>,
    /// Where the damaged folder is.
    pub moved_to: PathBuf,
    pub why: StoreFailure,
    /// How many writes that decide something are missing at least; `None` where nothing tells.
    #[serde(default)]
    pub writes_lost: Option<u64>,
    #[serde(default)]
    pub switches: KnownSwitches,
}

/// What keeps a copy of sled's files readable while they cannot be opened where they are.
pub(super) struct ReadOnly {
    /// Held so that nobody else opens the store: what runs would be followed twice.
    lock: File,
    /// Goes away with the copy.
    _folder: TempDir,
}

impl Store {
    /// Opens the store in `dir` (`DATA_DIR`), or makes one.
    ///
    /// # Errors
    ///
    /// Fails when another process holds it, when it is damaged or of a newer program, or when the disk fails.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FOLDER);
        folder::make_private(dir).map_err(StoreError::io(dir))?;
        sweep::settle_folders(dir)?;
        let is_first = !path.exists() && !has_traces(dir)?;
        let store = Self::open_files(dir).map_err(as_damage)?;
        let opened = match store.schema()? {
            None if is_first || store.is_untouched()? => store.begin(),
            None => Err(StoreError::Corrupt(Damage::Emptied)),
            Some(found) if found > SCHEMA_VERSION => {
                Err(StoreError::NewerSchema { found, known: SCHEMA_VERSION })
            }
            Some(_) => store.look().and_then(|()| store.compare_with_what_is_beside()),
        };
        opened.map_err(as_damage)?;
        folder::remove_unfinished(dir)?;
        Ok(store)
    }

    /// Opens the store; a damaged one is moved aside and restored from its last export and from the list of open
    /// migrations. The settings then say `restored_unconfirmed`.
    ///
    /// Where the disk takes nothing, the store is read from a copy in memory: what runs can be followed then, and
    /// writing is tried again and again.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], but for damage.
    pub fn open_or_restore(dir: &Path, now: DateTime<Utc>) -> Result<Self, StoreError> {
        match Self::open(dir) {
            Err(error @ (StoreError::Locked { .. } | StoreError::NewerSchema { .. })) => Err(error),
            // A full disk breaks sled in odd ways, and there is no room for a restore either.
            Err(error) if error.is_damage() && folder::try_to_write(dir).is_ok() => {
                Self::restore(dir, &error, now)
            }
            Err(error) if error.is_of_the_files() => Self::open_to_read(dir, error),
            opened => opened,
        }
    }

    fn open_to_read(dir: &Path, error: StoreError) -> Result<Self, StoreError> {
        let opened = Files::open_copy(&dir.join(FOLDER)).and_then(|files| {
            files.reaches(sidecar::read(dir).seq)?;
            let store = Self::of(dir, files);
            store.look()?;
            Ok(store)
        });
        let store = match opened {
            Ok(store) if store.schema()? == Some(SCHEMA_VERSION) => store,
            Ok(_) => return Err(error),
            Err(of_copy) => {
                tracing::debug!(error = %of_copy, "the store cannot be read from a copy either");
                return Err(error);
            }
        };
        tracing::error!(%error, "the store cannot be opened; it is read from a copy until it can");
        store.shared.refused.store(true, Ordering::Relaxed);
        Ok(store)
    }

    /// Returns what became of a damaged store, until an admin confirms.
    pub fn restoration(&self) -> Result<Option<Restored>, StoreError> {
        if !self.settings()?.restored_unconfirmed {
            return Ok(None);
        }
        let note = self.files()?.meta.get(row::RESTORED)?;
        Ok(note.and_then(|note| serde_json::from_value(note).ok()))
    }

    fn restore(dir: &Path, damage: &StoreError, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let why = damage.failure();
        tracing::error!(error = %damage, "the store is damaged; it is moved aside and restored from the last export");
        let in_flight = sidecar::read(dir);
        let moved_to = move_aside(dir, now)?;
        let (store, exported_at) = Self::from_export(dir, &moved_to)?;
        let writes_lost = writes_lost(&in_flight, exported_at.map(|_| store.seq()).transpose()?);
        let switches = match (&in_flight.settings, writes_lost, exported_at) {
            (Some(_), _, _) | (None, Some(0), _) => KnownSwitches::Known,
            (None, _, Some(_)) => KnownSwitches::AsExported,
            (None, _, None) => KnownSwitches::Unknown,
        };
        for entry in &in_flight.open {
            if store.entry(entry.id)?.is_none_or(|known| known.outcome().is_none()) {
                store.write_entry_to_sled(entry)?;
            }
        }
        store.raise_ids(&in_flight.open)?;
        // What was counted before counts on, or the restored store would seem to have lost it once more.
        let counted = in_flight.seq.max(export::seq(dir)).max(store.seq()?);
        store.put_meta(row::SEQ, &counted)?;
        let restored = Restored { v: 2, at: now, exported_at, moved_to, why, writes_lost, switches };
        store.put_meta(row::RESTORED, &restored)?;
        store.update_settings(|settings| {
            if let Some(newest) = in_flight.settings {
                // Without an export there is nothing older that could be stricter.
                let older = exported_at.map_or_else(|| newest.clone(), |_| settings.clone());
                *settings = older.strictest(newest);
            }
            settings.restored_unconfirmed = true;
            settings.standing = None;
        })?;
        // Only a store with a schema counts as whole: a crash before this line restores again.
        store.begin()?;
        store.note(store.seq()?, sidecar::Lasting::Wholly)?;
        sweep::trust(dir)?;
        Ok(store)
    }

    /// An empty store, filled from the export where that can be read whole. One that cannot is kept beside the
    /// damaged files: the next export takes its place.
    fn from_export(dir: &Path, moved_to: &Path) -> Result<(Self, Option<DateTime<Utc>>), StoreError> {
        let path = dir.join(export::NAME);
        let store = Self::open_files(dir)?;
        if !path.exists() {
            return Ok((store, None));
        }
        match store.import(&path) {
            Ok(exported_at) => match store.look_at(usize::MAX) {
                Ok(()) => return Ok((store, Some(exported_at))),
                Err(error) => tracing::error!(%error, "the export cannot be used"),
            },
            // Neither is a fault of the export.
            Err(error @ (StoreError::NewerSchema { .. } | StoreError::Sled(_))) => return Err(error),
            Err(error) => tracing::error!(%error, "the export cannot be used"),
        }
        drop(store);
        fs::copy(&path, moved_to.join(export::NAME)).map_err(StoreError::io(&path))?;
        let folder = dir.join(FOLDER);
        fs::remove_dir_all(&folder).map_err(StoreError::io(&folder))?;
        Ok((Self::open_files(dir)?, None))
    }

    fn open_files(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self::of(dir, Files::open(&dir.join(FOLDER))?))
    }

    fn of(dir: &Path, files: Files) -> Self {
        let shared = Shared {
            dir: dir.to_owned(),
            files: RwLock::new(Ok(Arc::new(files))),
            writer: Mutex::new(()),
            refused: AtomicBool::new(false),
            mirror_trouble: AtomicBool::new(false),
            exports_wanted: AtomicU64::new(0),
            exported: Mutex::new(0),
            history_kept: AtomicI64::new(sweep::HISTORY_KEPT.num_seconds()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Closes sled and opens it again, so that it forgets what never reached the disk and writes again. Where it
    /// cannot be opened, it is read from a copy until the next try.
    pub(super) fn open_again(&self) -> Result<(), StoreError> {
        let mut files = self.shared.files.write().unwrap_or_else(PoisonError::into_inner);
        let unusable = Err(StoreFailure::Opening);
        let copy = match std::mem::replace(&mut *files, unusable) {
            Ok(old) if old.copy.is_some() => Some(old),
            Ok(old) => {
                wait_for_readers(&old);
                None
            }
            Err(_) => None,
        };
        let path = self.shared.dir.join(FOLDER);
        // What was acknowledged must be there; otherwise only the next start can restore it.
        let acknowledged = sidecar::read(&self.shared.dir).seq;
        if let Some(copy) = &copy {
            copy.release();
        }
        let opened = Files::open(&path).and_then(|opened| {
            opened.flush()?;
            opened.reaches(acknowledged)?;
            opened.index()?;
            Ok(opened)
        });
        let error = match opened {
            Ok(opened) => {
                *files = Ok(Arc::new(opened));
                return Ok(());
            }
            Err(error) => as_damage(error),
        };
        let copy = match copy.filter(|copy| copy.takes_hold()) {
            Some(copy) => Ok(copy),
            None => {
                Files::open_copy(&path).and_then(|copy| copy.reaches(acknowledged).map(|()| Arc::new(copy)))
            }
        };
        *files = copy.map_err(|_| error.failure());
        Err(error)
    }

    fn schema(&self) -> Result<Option<u32>, StoreError> {
        let value = self.files()?.meta.get(row::SCHEMA)?;
        Ok(value.and_then(|value| value.as_u64()).map(|found| u32::try_from(found).unwrap_or(u32::MAX)))
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.files()?.index()?;
        self.put_meta(row::SCHEMA, &SCHEMA_VERSION)?;
        // Counted too, so that a store which is lost before anything was decided is known to have been there.
        self.commit()
    }

    /// Tells whether nothing was ever begun here: the process died before its first record.
    fn is_untouched(&self) -> Result<bool, StoreError> {
        let files = self.files()?;
        Ok(!has_traces(&self.shared.dir)? && files.journal.tree.is_empty() && files.proposals.tree.is_empty())
    }

    /// Reads what is open and the newest of the rest, and everything where an earlier process found damage or where
    /// the indexes are not whole.
    fn look(&self) -> Result<(), StoreError> {
        let (dir, files) = (&self.shared.dir, self.files()?);
        if sweep::is_suspect(dir) || !files.is_indexed()? {
            self.look_at(usize::MAX)?;
            files.index()?;
            return sweep::trust(dir);
        }
        self.open_entries()?;
        self.open_proposals()?;
        self.look_at(LOOKED_AT)
    }

    /// Reads the settings, what the chat keeps, and the newest of all other records.
    fn look_at(&self, count: usize) -> Result<(), StoreError> {
        let files = self.files()?;
        self.settings()?;
        files.proposals.newest().take(count).try_for_each(|row| row.map(|_| ()))?;
        files.journal.newest().take(count).try_for_each(|row| row.map(|_| ()))?;
        files.ended.newest().take(count).try_for_each(|row| row.map(|_| ()))?;
        files.audit.newest().take(count).try_for_each(|row| row.map(|_| ()))?;
        self.outbox().all::<serde_json::Value>()?;
        self.chats().all::<serde_json::Value>()?;
        Ok(())
    }

    /// sled silently drops a torn end of its log; the file beside it shows that.
    fn compare_with_what_is_beside(&self) -> Result<(), StoreError> {
        let dir = &self.shared.dir;
        let Sidecar { seq, open, settings: _, unreadable: _ } = sidecar::read(dir);
        self.files()?.reaches(seq.max(export::seq(dir)))?;
        for entry in open {
            if self.entry(entry.id)?.is_some() {
                continue;
            }
            match entry.state {
                // The process died between the two writes of an intent: nothing was ordered yet.
                JournalState::Intended => self.write_entry(&entry)?,
                JournalState::Ordered { .. } | JournalState::Closed { .. } => {
                    return Err(StoreError::Corrupt(Damage::EntryLost { entry: entry.id, vm: entry.vm }));
                }
            }
        }
        Ok(())
    }

    fn raise_ids(&self, in_flight: &[JournalEntry]) -> Result<(), StoreError> {
        let files = self.files()?;
        let newest_of = |ids: &mut dyn Iterator<Item = u64>| ids.max().unwrap_or(0);
        let entries = files.journal.last_key()?.unwrap_or(0);
        let entries = entries.max(newest_of(&mut in_flight.iter().map(|entry| entry.id.0)));
        let proposals = files.proposals.last_key()?.unwrap_or(0);
        let proposals = proposals.max(newest_of(&mut in_flight.iter().map(|entry| entry.proposal.0)));
        self.put_meta(SCHEMA_FLOORS.journal, &(entries + RESTORE_ID_GAP))?;
        self.put_meta(SCHEMA_FLOORS.proposals, &(proposals + RESTORE_ID_GAP))
    }
}

impl Files {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::io(path))?;
        folder::remove_unfinished_snapshots(path)?;
        let files = Self::of(open_patiently(path)?)?;
        folder::close_off_all(path);
        Ok(files)
    }

    /// Opens a copy in memory, to be read only.
    fn open_copy(path: &Path) -> Result<Self, StoreError> {
        let Some(lock) = folder::lock(path)? else { return Err(StoreError::Corrupt(Damage::Missing)) };
        let folder = folder::copy(path).map_err(StoreError::io(path))?;
        let mut files = Self::of(open_patiently(folder.path())?)?;
        folder::remove_open_copy(folder.path());
        files.copy = Some(ReadOnly { lock, _folder: folder });
        Ok(files)
    }

    /// Lets the files be opened that this is a copy of.
    fn release(&self) {
        if let Some(Err(error)) = self.copy.as_ref().map(|copy| copy.lock.unlock()) {
            tracing::warn!(%error, "the store's files cannot be unlocked");
        }
    }

    /// Keeps others from opening the files that this is a copy of; false where somebody has.
    fn takes_hold(&self) -> bool {
        self.copy.as_ref().is_some_and(|copy| copy.lock.try_lock().is_ok())
    }

    fn of(db: sled::Db) -> Result<Self, StoreError> {
        let tree = |name: &'static str| guard(|| db.open_tree(name));
        Ok(Self {
            meta: Shelf::open(&db, "meta")?,
            proposals: Shelf::open(&db, "proposals")?,
            live: tree("live")?,
            told: tree("told")?,
            journal: Shelf::open(&db, "journal")?,
            open: tree("open")?,
            ended: Shelf::open(&db, "ended")?,
            spans: tree("spans")?,
            audit: Shelf::open(&db, "audit")?,
            updates: Shelf::open(&db, "updates")?,
            outbox: tree("outbox")?,
            chats: tree("chats")?,
            measured: tree("measured")?,
            copy: None,
            db,
        })
    }

    /// Makes sure that every write up to this number is there.
    fn reaches(&self, seq: u64) -> Result<(), StoreError> {
        let has = self.seq()?;
        match has < seq {
            true => Err(StoreError::Corrupt(Damage::EndLost { has, of: seq })),
            false => Ok(()),
        }
    }
}

/// Reads end within moments, and nobody begins one while the files are locked for a change.
pub(super) fn wait_for_readers(files: &Arc<Files>) {
    for _ in 0..LOCK_TRIES {
        if Arc::strong_count(files) == 1 {
            return;
        }
        thread::sleep(LOCK_PAUSE);
    }
}

/// Returns how many writes are known that an export of `exported` writes does not have.
fn writes_lost(in_flight: &Sidecar, exported: Option<u64>) -> Option<u64> {
    match exported {
        // An export of a program that did not count.
        Some(0) => None,
        _ if in_flight.seq == 0 => None,
        _ => Some(in_flight.seq.saturating_sub(exported.unwrap_or(0))),
    }
}

/// Tells whether there was a store in `dir` before, whatever became of its folder.
fn has_traces(dir: &Path) -> Result<bool, StoreError> {
    let moved_aside = names_in(dir)?.iter().any(|name| name.to_string_lossy().starts_with(MOVED_ASIDE));
    Ok(moved_aside || dir.join(export::NAME).exists() || !sidecar::read(dir).is_empty())
}

fn names_in(dir: &Path) -> Result<BTreeSet<OsString>, StoreError> {
    fs::read_dir(dir)
        .and_then(|names| names.map(|name| Ok(name?.file_name())).collect::<io::Result<_>>())
        .map_err(StoreError::io(dir))
}

/// sled panics on some broken files; a thread of its own contains that.
fn open_patiently(path: &Path) -> Result<sled::Db, StoreError> {
    for attempt in 1.. {
        let config = sled::Config::new()
            .path(path)
            .mode(sled::Mode::LowSpace)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(TIDY_EVERY));
        let opened = thread::Builder::new()
            .name("store-open".into())
            .spawn(move || config.open())
            .map_err(StoreError::io(path))?
            .join();
        match opened {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(error)) if is_lock(&error) && attempt < LOCK_TRIES => thread::sleep(LOCK_PAUSE),
            Ok(Err(error)) if is_lock(&error) => return Err(StoreError::Locked { path: path.to_owned() }),
            Ok(Err(error)) => return Err(StoreError::Sled(error)),
            Err(panic) => return Err(StoreError::Broken(panic_text(panic.as_ref()))),
        }
    }
    Err(StoreError::Locked { path: path.to_owned() })
}

/// sled has no kind of its own for it, only a text.
fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}

/// Says damage in one way, however it was found.
fn as_damage(error: StoreError) -> StoreError {
    error.damage().map_or(error, StoreError::Corrupt)
}

fn move_aside(dir: &Path, now: DateTime<Utc>) -> Result<PathBuf, StoreError> {
    let from = dir.join(FOLDER);
    let stamp = now.format("%Y%m%dT%H%M%SZ");
    let taken = names_in(dir)?;
    let free = (1..)
        .map(|n| format!("{MOVED_ASIDE}{stamp}-{n}"))
        .find(|name| !taken.contains(name.as_ref() as &OsStr));
    let to = dir.join(free.unwrap_or_else(|| format!("{MOVED_ASIDE}{stamp}")));
    fs::rename(&from, &to).map_err(StoreError::io(&from))?;
    Ok(to)
}
