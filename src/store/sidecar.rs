//! The open migrations once more, in one small file beside sled.
//!
//! sled drops what it cannot read at the end of a torn file and says nothing. This file tells that it did,
//! and holds the only records that must not be lost: what may be running now.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{JournalEntry, StoreError};

const NAME: &str = "inflight.json";

#[derive(Serialize, Deserialize)]
struct OnFile {
    v: u32,
    open: Vec<JournalEntry>,
}

/// Writes the list, on disk when this returns.
pub(super) fn write(dir: &Path, open: &[JournalEntry]) -> Result<(), StoreError> {
    let on_file = OnFile { v: 1, open: open.to_vec() };
    let bytes =
        serde_json::to_vec(&on_file).map_err(|source| StoreError::Unwritable { tree: "inflight", source })?;
    replace(&dir.join(NAME), |file| file.write_all(&bytes))
}

/// Reads the list; empty where there is no such file, or none that can be read: then sled alone is asked.
pub(super) fn read(dir: &Path) -> Vec<JournalEntry> {
    let Ok(bytes) = fs::read(dir.join(NAME)) else { return Vec::new() };
    match serde_json::from_slice::<OnFile>(&bytes) {
        Ok(on_file) => on_file.open,
        Err(error) => {
            tracing::warn!(%error, file = NAME, "the list of open migrations cannot be read; going by the journal");
            Vec::new()
        }
    }
}

/// Writes a file anew beside the old one, puts it on disk, and only then in the old one's place.
pub(super) fn replace(
    path: &Path,
    fill: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>,
) -> Result<(), StoreError> {
    let beside = path.with_extension("new");
    let written = File::create(&beside).and_then(|file| {
        let mut writer = io::BufWriter::new(file);
        fill(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    written.and_then(|()| fs::rename(&beside, path)).map_err(StoreError::io("write", path))?;
    // The new name is on disk only when its folder is.
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("write", folder))
}
