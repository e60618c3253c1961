//! The open migrations once more, and how many writes there were, in one small file beside sled.
//!
//! sled drops what it cannot read at the end of a torn file and says nothing. This file tells that it did,
//! and holds the only records that must not be lost: what may be running now.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{JournalEntry, Settings, StoreError, folder};

const NAME: &str = "inflight.json";

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sidecar {
    /// The number of the last write that sled had on disk when this was written: sled may have more, never less.
    pub(super) seq: u64,
    pub(super) open: Vec<JournalEntry>,
    /// What the chat had changed by then; notes of older programs do not say.
    pub(super) settings: Option<Settings>,
    /// There is a file and it cannot be read: then sled and the export alone are asked.
    pub(super) unreadable: bool,
}

impl Sidecar {
    /// Tells whether there was no store beside which something was written.
    pub(super) fn is_empty(&self) -> bool {
        self.seq == 0 && self.open.is_empty() && !self.unreadable
    }
}

#[derive(Serialize, Deserialize)]
struct OnFile {
    v: u32,
    /// Files of version 1 have none.
    #[serde(default)]
    seq: u64,
    open: Vec<JournalEntry>,
    /// Files before version 3 have none.
    #[serde(default)]
    settings: Option<Settings>,
}

/// How much of a write must outlive the loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// The file and its name: it says what may be ordered next.
    Wholly,
    /// Either this file or the one before: both tell the truth, the older one less of it.
    OneOfTwo,
}

/// Writes the file, on disk when this returns.
pub(super) fn write(
    dir: &Path,
    seq: u64,
    open: Vec<JournalEntry>,
    settings: Settings,
    lasting: Lasting,
) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(&OnFile { v: 3, seq, open, settings: Some(settings) })
        .map_err(|source| StoreError::Unwritable { tree: "inflight", source })?;
    folder::replace(&dir.join(NAME), |file| file.write_all(&bytes))?;
    match lasting {
        Lasting::Wholly => folder::sync(dir),
        Lasting::OneOfTwo => Ok(()),
    }
}

/// Reads the file; empty where there is none.
pub(super) fn read(dir: &Path) -> Sidecar {
    let read = match fs::read(dir.join(NAME)) {
        Ok(bytes) => serde_json::from_slice::<OnFile>(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Sidecar::default(),
        Err(error) => Err(error),
    };
    match read {
        Ok(OnFile { v: _, seq, open, settings }) => Sidecar { seq, open, settings, unreadable: false },
        Err(error) => {
            tracing::warn!(%error, file = NAME, "the list of open migrations cannot be read; going by the journal");
            Sidecar { unreadable: true, ..Sidecar::default() }
        }
    }
}
