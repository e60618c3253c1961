//! Remembers, over sled: proposals, the journal of migrations, history, audit, settings changed by chat.
//!
//! Knows the records and how they may change, never why: time and people come as arguments.
//! Every write that something outside depends on is on disk before its function returns. Every function here fails
//! when the disk does; its own comment says what else it refuses.
//!
//! ```no_run
//! use std::path::Path;
//! use vm_balancer::store::Store;
//!
//! let store = Store::open(Path::new("./data"))?;
//! let running = store.open_entries()?;
//! # Ok::<(), vm_balancer::store::StoreError>(())
//! ```

mod alerts;
mod declined;
mod ended;
mod ending;
mod error;
#[cfg(any(test, feature = "internals"))]
mod example;
mod expected;
mod export;
mod folder;
mod given_up;
mod index;
mod journal;
mod kept;
#[cfg(test)]
mod long_life;
mod measured;
mod notes;
mod open;
mod pictures;
mod proposals;
mod pulls;
mod records;
mod round;
mod shelf;
mod sidecar;
mod spans;
mod standing;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;
mod timeline;
mod told;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

pub use alerts::KeptAlert;
pub use declined::Declined;
pub use ending::Ending;
pub use error::StoreError;
pub use expected::Expected;
pub use folder::{make_private, other_owner};
pub use journal::{FailingNode, HistoryFilter, failing_nodes};
pub use measured::{Gauge, Measured};
pub use notes::Note;
pub use open::Restored;
pub use pictures::{Doubt, VmCount, VmCounts};
pub use proposals::{Draft, Proposed, Vote};
pub use pulls::{LastMove, Pull};
pub use records::{
    Approval, Approver, AuditEntry, Begin, Emptied, Held, JournalEntry, JournalState, LeftOut, Mode, Motive,
    Origin, Outcome, Pause, Proposal, ProposalState, ReplyTo, Selection, SetByChat, SetChange, Settings,
    Sight, Step, StepState,
};
pub use round::{Round, RoundNode, Turn};
use shelf::{Shelf, guard};
pub use standing::{Confirmed, Standing, StandingUse};
pub use sweep::HISTORY_KEPT;
pub use timeline::{Edge, Happened, PageAt, Timeline, TimelineFilter};
pub use told::ToldIn;

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use crate::model::StoreFailure;

/// The version of the records that this program writes, and the newest it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// The one owner of what is remembered; cheap to clone, shared by all rooms of a process.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    /// `DATA_DIR`: sled, the export and the list of open migrations are inside.
    dir: PathBuf,
    /// The failure while sled, after an error, cannot be opened again.
    files: RwLock<Result<Arc<Files>, StoreFailure>>,
    /// Held over each read-change-write, so that two changes never start from the same record.
    writer: Mutex<()>,
    /// A write failed, and none has been tried since that did not.
    refused: AtomicBool,
    /// The number of writes could not be noted beside sled, and that is in the log.
    mirror_trouble: AtomicBool,
    /// How many exports were asked for.
    exports_wanted: AtomicU64,
    /// Held by the one that writes the export: how many of the wanted ones are done.
    exported: Mutex<u64>,
    /// How long history and audit are kept, in seconds.
    history_kept: AtomicI64,
}

/// sled and its trees.
struct Files {
    db: sled::Db,
    meta: Shelf<serde_json::Value>,
    proposals: Shelf<Proposal>,
    /// Ids of the proposals that can still change.
    live: sled::Tree,
    /// Ids of the proposals whose end is in the timeline.
    told: sled::Tree,
    journal: Shelf<JournalEntry>,
    /// Ids of the journal's open entries.
    open: sled::Tree,
    /// The journal's closed entries in short, in the order in which they ended.
    ended: Shelf<ended::Ended>,
    /// What the journal's entries name, by spans of numbers.
    spans: sled::Tree,
    audit: Shelf<AuditEntry>,
    updates: Shelf<kept::SeenUpdate>,
    outbox: sled::Tree,
    chats: sled::Tree,
    /// How full nodes were, by quarter and by day.
    measured: sled::Tree,
    /// These files are a copy, to be read only.
    copy: Option<open::ReadOnly>,
}

impl Store {
    /// Returns how much room sled takes on disk, in bytes.
    pub fn size_on_disk(&self) -> Result<u64, StoreError> {
        let files = self.files()?;
        shelf::guard(|| files.db.size_on_disk())
    }

    /// Puts everything on disk, and after a write that failed tries whether one would not. Also the way back after
    /// a full disk: sled writes nothing more after an error, so it is opened anew.
    pub fn flush(&self) -> Result<(), StoreError> {
        match self.shared.refused.load(Ordering::Relaxed) {
            true => self.try_to_write(),
            false => self.flush_files(),
        }
    }

    fn flush_files(&self) -> Result<(), StoreError> {
        let flushed = aside(|| self.files().and_then(|files| files.flush()));
        match flushed {
            Err(error) => {
                tracing::debug!(%error, "the store's files are opened anew");
                self.open_again()
            }
            Ok(()) => Ok(()),
        }
    }

    /// As after an error: nothing can be read until the files are opened again, which a write does.
    #[cfg(test)]
    pub(crate) fn close_for_test(&self) {
        let mut files = self.shared.files.write().unwrap_or_else(PoisonError::into_inner);
        *files = Err(StoreFailure::Other("a test wanted to see this".into()));
    }

    fn files(&self) -> Result<Arc<Files>, StoreError> {
        let files = self.shared.files.read().unwrap_or_else(PoisonError::into_inner);
        files.clone().map_err(StoreError::Unusable)
    }

    /// Puts a write that decides something on disk: sled counts it behind what was written, within the same flush,
    /// and then the number is noted beside sled. sled's log is in order, so a store that has the number has all
    /// before it; one that has a smaller number than was noted has lost something and is damaged.
    /// The note costs one fsync more.
    fn commit(&self) -> Result<(), StoreError> {
        let files = self.files()?;
        let (seq, is_indexed) = (files.seq()? + 1, files.is_indexed()?);
        self.put_meta(kept::row::SEQ, &seq)?;
        if is_indexed {
            self.put_meta(kept::row::INDEXED, &seq)?;
        }
        files.flush()?;
        self.mirror(seq);
        Ok(())
    }

    /// Returns the number of the last write that decides something.
    fn seq(&self) -> Result<u64, StoreError> {
        self.files()?.seq()
    }

    /// Notes beside sled how far sled is. It may be further than was noted, so a note that fails loses nothing.
    fn mirror(&self, seq: u64) {
        let noted = self.note(seq, sidecar::Lasting::OneOfTwo);
        let had_trouble = self.shared.mirror_trouble.swap(noted.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (noted, had_trouble) {
            tracing::warn!(%error, "how far the store is cannot be noted beside it");
        }
    }

    /// Writes open records and the chat's changes to a file beside sled.
    fn note(&self, seq: u64, lasting: sidecar::Lasting) -> Result<(), StoreError> {
        sidecar::write(&self.shared.dir, seq, self.open_entries()?, self.settings()?, lasting)
    }

    /// Lets one writer in, with files that can be written, and remembers whether it could write. Other tasks of the
    /// thread go on meanwhile.
    fn write<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        aside(|| self.write_in_turn(work))
    }

    fn write_in_turn<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        // A panic while writing leaves no half record: sled has the old one or the new one.
        let _guard = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // After an error sled refuses every write, and a flush without anything to flush does not tell.
        let ready = match self.shared.refused.load(Ordering::Relaxed) {
            true => self.open_again(),
            false => self.flush_files(),
        };
        let written = ready.and_then(|()| work());
        if written.as_ref().is_err_and(StoreError::is_of_the_files) {
            self.shared.refused.store(true, Ordering::Relaxed);
        }
        written
    }

    /// sled has nothing to put on disk after a write that failed, so only another write can tell.
    fn try_to_write(&self) -> Result<(), StoreError> {
        self.write(|| {
            folder::try_to_write(&self.shared.dir)?;
            self.put_meta(kept::row::TRIAL, &"?".repeat(folder::TRIAL_BYTES))?;
            self.files()?.flush()?;
            let files = self.files()?;
            guard(|| files.meta.tree.remove(kept::row::TRIAL.to_be_bytes()))?;
            files.flush()?;
            self.note(self.seq()?, sidecar::Lasting::OneOfTwo)
        })?;
        self.shared.refused.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// Does what waits for the disk. A thread that runs tasks hands the others over first: two slow writes would otherwise
/// hold up everything on a machine with two cores.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        // A runtime of one thread has nobody to hand over to; outside of one nobody waits.
        _ => work(),
    }
}

impl Files {
    fn seq(&self) -> Result<u64, StoreError> {
        Ok(self.meta.get(kept::row::SEQ)?.and_then(|value| value.as_u64()).unwrap_or(0))
    }

    fn flush(&self) -> Result<(), StoreError> {
        guard(|| self.db.flush().map(|_| ()))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}
