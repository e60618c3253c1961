//! Everything in the store as JSON lines: written beside the old file and renamed, read back after damage.
//!
//! sled has no repair tool, so this file is what a damaged store is restored from.

use std::{
    fs::File,
    io::{self, BufRead as _},
    path::Path,
    sync::{PoisonError, atomic::Ordering},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Files, SCHEMA_VERSION, Store, StoreError, folder,
    kept::{UPDATES_KEPT, row},
    shelf::guarded,
};
use crate::model::ExportFlaw;

/// The export's name in `DATA_DIR`.
pub(super) const NAME: &str = "export.jsonl";

#[derive(Serialize, Deserialize)]
struct Header {
    v: u32,
    exported_at: DateTime<Utc>,
    /// How many writes that decide something are in it; exports of older programs do not say.
    #[serde(default)]
    seq: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    tree: String,
    /// Hex digits.
    key: String,
    /// JSON text; the index trees have none.
    value: Option<Box<RawValue>>,
}

/// The last line: a file without it was cut off.
#[derive(Serialize, Deserialize)]
struct End {
    lines: u64,
}

impl Store {
    /// Writes everything to `DATA_DIR/export.jsonl`, by rename, after forgetting what is too old to matter.
    /// One writes at a time; of several who wait, one export serves all.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; the older export stays then.
    pub fn export(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let wanted = self.shared.exports_wanted.fetch_add(1, Ordering::SeqCst) + 1;
        let mut exported = self.shared.exported.lock().unwrap_or_else(PoisonError::into_inner);
        if *exported >= wanted {
            return Ok(());
        }
        // Who asked up to this moment gets this export: all that they wrote is in it.
        let served = self.shared.exports_wanted.load(Ordering::SeqCst);
        self.forget_updates(now - UPDATES_KEPT)?;
        self.forget_proposals(now - Self::PROPOSALS_KEPT)?;
        self.replace_export(now)?;
        *exported = served;
        Ok(())
    }

    /// Exports on a thread of its own; what goes wrong is logged, for the older export stays.
    pub async fn export_aside(&self, now: DateTime<Utc>) {
        let store = self.clone();
        match tokio::task::spawn_blocking(move || store.export(now)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the store cannot be exported"),
            Err(error) => tracing::error!(%error, "the export panicked"),
        }
    }

    fn replace_export(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut trouble = None;
        let written = folder::replace(&self.shared.dir.join(NAME), |file| {
            self.write_export(file, now).map_err(|error| match error {
                StoreError::Io { source, .. } => source,
                other => {
                    let said = io::Error::other(other.to_string());
                    trouble = Some(other);
                    said
                }
            })
        });
        trouble.map_or(written, Err)?;
        folder::sync(&self.shared.dir)
    }

    fn write_export(&self, file: &mut impl io::Write, now: DateTime<Utc>) -> Result<(), StoreError> {
        // No change may fall between two trees of one export.
        self.write(|| {
            write_line(file, &Header { v: SCHEMA_VERSION, exported_at: now, seq: self.seq()? })?;
            let mut lines = 0;
            let files = self.files()?;
            for (name, tree) in files.trees() {
                for row in tree.iter() {
                    let (key, bytes) = guarded(|| row)?;
                    write_line(file, &to_line(name, &key, &bytes)?)?;
                    lines += 1;
                }
            }
            write_line(file, &End { lines })
        })
    }

    /// Puts the rows of an export into this store, which is empty; returns when it was made.
    /// The schema is left out: only a finished restore has one.
    pub(super) fn import(&self, path: &Path) -> Result<DateTime<Utc>, StoreError> {
        let odd = |said: String| StoreError::Export(ExportFlaw::Unreadable(said.into()));
        let cut_off = || StoreError::Export(ExportFlaw::CutOff);
        let file = File::open(path).map_err(StoreError::io(path))?;
        let lines: io::Result<Vec<String>> = io::BufReader::new(file).lines().collect();
        let lines = lines.map_err(StoreError::io(path))?;
        let [first, rows @ .., last] = lines.as_slice() else { return Err(cut_off()) };
        let header: Header = serde_json::from_str(first).map_err(|error| odd(error.to_string()))?;
        if header.v > SCHEMA_VERSION {
            return Err(StoreError::NewerSchema { found: header.v, known: SCHEMA_VERSION });
        }
        let end: End = serde_json::from_str(last).map_err(|_| cut_off())?;
        let has = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        if end.lines != has {
            return Err(StoreError::Export(ExportFlaw::Count { has, of: end.lines }));
        }
        let files = self.files()?;
        for text in rows {
            let line: Line = serde_json::from_str(text).map_err(|error| odd(error.to_string()))?;
            let key = hex::decode(&line.key).map_err(|_| odd(line.key.clone()))?;
            let is_schema = line.tree == "meta" && key == row::SCHEMA.to_be_bytes();
            let tree = files.trees().into_iter().find(|(name, _)| *name == line.tree && !is_schema);
            let Some((_, tree)) = tree else { continue };
            let value = line.value.as_ref().map_or("", |value| value.get());
            guarded(|| tree.insert(key, value).map(|_| ()))?;
        }
        Ok(header.exported_at)
    }
}

/// Returns how many writes the export in `dir` has; 0 where there is none that says so. Only its first line is read.
pub(super) fn seq(dir: &Path) -> u64 {
    let Ok(file) = File::open(dir.join(NAME)) else { return 0 };
    let mut first = String::new();
    let read = io::BufReader::new(file).read_line(&mut first).ok();
    let header = read.and_then(|_| serde_json::from_str::<Header>(&first).ok());
    header.map_or(0, |header| header.seq)
}

impl Files {
    fn trees(&self) -> [(&'static str, &sled::Tree); 9] {
        [
            ("meta", &self.meta.tree),
            ("proposals", &self.proposals.tree),
            ("live", &self.live),
            ("journal", &self.journal.tree),
            ("open", &self.open),
            ("audit", &self.audit.tree),
            ("updates", &self.updates.tree),
            ("outbox", &self.outbox),
            ("chats", &self.chats),
        ]
    }
}

fn to_line(tree: &'static str, key: &[u8], bytes: &[u8]) -> Result<Line, StoreError> {
    let broken = |source| StoreError::Record { tree, key: hex::encode(key), source };
    let value = match bytes {
        [] => None,
        bytes => Some(serde_json::from_slice::<&RawValue>(bytes).map_err(broken)?.to_owned()),
    };
    Ok(Line { tree: tree.into(), key: hex::encode(key), value })
}

fn write_line(file: &mut impl io::Write, line: &impl Serialize) -> Result<(), StoreError> {
    let mut text =
        serde_json::to_vec(line).map_err(|source| StoreError::Unwritable { tree: "export", source })?;
    text.push(b'\n');
    file.write_all(&text).map_err(StoreError::io(NAME))
}
