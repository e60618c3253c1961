//! Everything in the store as JSON lines: written beside the old file and renamed, read back after damage.
//!
//! sled has no repair tool, so this file is what a damaged store is restored from.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _},
    iter,
    path::Path,
    sync::{PoisonError, atomic::Ordering},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Files, SCHEMA_VERSION, Store, StoreError, folder,
    kept::{UPDATES_KEPT, row},
    shelf::{Row, guard, ids, number, rows},
    sweep,
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
        let done = self.export_what_is_kept(now);
        if done.as_ref().is_err_and(StoreError::is_damage) {
            sweep::suspect(&self.shared.dir);
        }
        done?;
        *exported = served;
        Ok(())
    }

    fn export_what_is_kept(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.forget_updates(now - UPDATES_KEPT)?;
        self.forget_proposals(now - Self::PROPOSALS_KEPT)?;
        self.sweep(now)?;
        self.replace_export(now)?;
        self.give_room_back()
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

    /// What can change no more is written beside other writers, who would wait for seconds; no change may fall between
    /// two parts of the rest.
    fn write_export(
        &self,
        file: &mut (impl io::Write + io::Seek),
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let files = self.files()?;
        let fixed = Fixed::of(&files)?;
        write_header(file, &Header { v: SCHEMA_VERSION, exported_at: now, seq: 0 })?;
        let mut lines = 0;
        for (name, tree) in files.trees() {
            lines += write_rows(file, name, fixed.rows(name, tree))?;
        }
        drop(files);
        self.write(|| {
            let files = self.files()?;
            for (name, tree) in files.trees() {
                lines += write_rows(file, name, fixed.other_rows(name, tree))?;
            }
            write_line(file, &End { lines })?;
            file.seek(io::SeekFrom::Start(0)).map_err(StoreError::io(NAME))?;
            write_header(file, &Header { v: SCHEMA_VERSION, exported_at: now, seq: self.seq()? })
        })
    }

    /// Puts the rows of an export into this store, which is empty; returns when it was made. Nothing is put in before
    /// the export is known to be whole.
    /// The schema is left out: only a finished restore has one. What the indexes know is left out with them.
    pub(super) fn import(&self, path: &Path) -> Result<DateTime<Utc>, StoreError> {
        let header = whole(path)?;
        let files = self.files()?;
        let trees = files.trees();
        let mut batches: BTreeMap<&str, (sled::Batch, usize)> = BTreeMap::new();
        let mut waiting = 0;
        for text in lines_of(path)?.skip(1) {
            let text = text.map_err(StoreError::io(path))?;
            // The end is known to be the last line.
            let Ok(line) = serde_json::from_str::<Line>(&text) else { break };
            let key = hex::decode(&line.key).map_err(|_| odd(line.key.clone()))?;
            let is_ours = line.tree == "meta"
                && [row::SCHEMA, row::INDEXED_BEFORE, row::INDEXED].contains(&number(&key));
            let tree = trees.iter().find(|(name, _)| *name == line.tree && !is_ours);
            let Some((name, tree)) = tree else { continue };
            let (batch, rows) = batches.entry(*name).or_default();
            batch.insert(key, line.value.as_ref().map_or("", |value| value.get()));
            *rows += 1;
            waiting += text.len();
            if *rows == ROWS_AT_ONCE {
                *rows = 0;
                guard(|| tree.apply_batch(std::mem::take(batch)))?;
            }
            if waiting > WAITING_MAX {
                waiting = 0;
                files.flush()?;
            }
        }
        for (name, tree) in trees {
            if let Some((batch, _)) = batches.remove(name) {
                guard(|| tree.apply_batch(batch))?;
            }
        }
        Ok(header.exported_at)
    }
}

/// How many rows of an export are put into the store at once: half a megabyte of the journal.
const ROWS_AT_ONCE: usize = 500;

/// How many bytes of an export wait for the disk at most. sled holds them all in memory, where the disk is slower.
const WAITING_MAX: usize = 16 << 20;

/// The rows that can change no more: what had ended in the journal, and the audit, when an export began.
struct Fixed {
    journal: u64,
    open: Vec<u64>,
    audit: u64,
}

impl Fixed {
    fn of(files: &Files) -> Result<Self, StoreError> {
        // The newest first: an entry that begins between these reads is behind it, and not fixed.
        let journal = files.journal.last_key()?.unwrap_or(0);
        let audit = files.audit.last_key()?.unwrap_or(0);
        Ok(Self { journal, open: ids(&files.open)?, audit })
    }

    /// Those of a tree that are fixed.
    fn rows<'a>(&'a self, name: &str, tree: &sled::Tree) -> Rows<'a> {
        let is_closed = |row: &Result<Row, StoreError>| {
            row.as_ref().map_or(true, |(key, _)| !self.open.contains(&number(key)))
        };
        match name {
            "journal" => Box::new(rows(tree.range(..=self.journal.to_be_bytes())).filter(is_closed)),
            "audit" => Box::new(rows(tree.range(..=self.audit.to_be_bytes()))),
            _ => Box::new(iter::empty()),
        }
    }

    /// All others of a tree.
    fn other_rows<'a>(&'a self, name: &str, tree: &'a sled::Tree) -> Rows<'a> {
        let after = |last: u64| rows(tree.range((last + 1).to_be_bytes()..));
        let row_of = |id: &u64| {
            let key = id.to_be_bytes();
            guard(|| tree.get(key)).map(|found| found.map(|bytes| (key.as_slice().into(), bytes))).transpose()
        };
        match name {
            "journal" => Box::new(self.open.iter().filter_map(row_of).chain(after(self.journal))),
            "audit" => Box::new(after(self.audit)),
            _ => Box::new(rows(tree.iter())),
        }
    }
}

type Rows<'a> = Box<dyn Iterator<Item = Result<Row, StoreError>> + 'a>;

/// Reads an export to its end and makes sure that it is whole; returns its first line.
fn whole(path: &Path) -> Result<Header, StoreError> {
    let cut_off = || StoreError::Export(ExportFlaw::CutOff);
    let mut lines = lines_of(path)?;
    let first = lines.next().ok_or_else(cut_off)?.map_err(StoreError::io(path))?;
    let header: Header = serde_json::from_str(&first).map_err(|error| odd(error.to_string()))?;
    if header.v > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema { found: header.v, known: SCHEMA_VERSION });
    }
    let (mut has, mut last) = (0, None);
    for text in lines {
        let text = text.map_err(StoreError::io(path))?;
        if let Some(row) = last.replace(text) {
            serde_json::from_str::<Line>(&row).map_err(|error| odd(error.to_string()))?;
            has += 1;
        }
    }
    let end: End = serde_json::from_str(&last.ok_or_else(cut_off)?).map_err(|_| cut_off())?;
    match end.lines == has {
        true => Ok(header),
        false => Err(StoreError::Export(ExportFlaw::Count { has, of: end.lines })),
    }
}

fn lines_of(path: &Path) -> Result<io::Lines<io::BufReader<File>>, StoreError> {
    let file = File::open(path).map_err(StoreError::io(path))?;
    Ok(io::BufReader::new(file).lines())
}

fn odd(said: String) -> StoreError {
    StoreError::Export(ExportFlaw::Unreadable(said.into()))
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
    /// All trees but the indexes, which are made of these.
    pub(super) fn trees(&self) -> [(&'static str, &sled::Tree); 9] {
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

/// The header is written twice, so it is as long each time.
const HEADER_BYTES: usize = 128;

fn write_header(file: &mut impl io::Write, header: &Header) -> Result<(), StoreError> {
    let text =
        serde_json::to_string(header).map_err(|source| StoreError::Unwritable { tree: "export", source })?;
    writeln!(file, "{text:<HEADER_BYTES$}").map_err(StoreError::io(NAME))
}

/// Writes rows of a tree; returns how many they are.
fn write_rows(file: &mut impl io::Write, name: &'static str, rows: Rows<'_>) -> Result<u64, StoreError> {
    let mut lines = 0;
    for row in rows {
        let (key, bytes) = row?;
        write_line(file, &to_line(name, &key, &bytes)?)?;
        lines += 1;
    }
    Ok(lines)
}

fn write_line(file: &mut impl io::Write, line: &impl Serialize) -> Result<(), StoreError> {
    let mut text =
        serde_json::to_vec(line).map_err(|source| StoreError::Unwritable { tree: "export", source })?;
    text.push(b'\n');
    file.write_all(&text).map_err(StoreError::io(NAME))
}
