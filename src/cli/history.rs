//! The history for the command line: one row per migration, as table, as CSV and as JSON.

use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    json::moment,
    table::{Table, printable},
};
use crate::{
    store::{Approver, JournalEntry, JournalState, Outcome},
    talk::words::{Words, plain},
};

/// One migration of the past. The fields are the JSON's keys and the CSV's columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub id: u64,
    pub started_at: String,
    pub ended_at: Option<String>,
    pub seconds: Option<i64>,
    pub cluster: u64,
    pub cluster_name: String,
    pub vm: u64,
    pub vm_name: String,
    pub source: u64,
    pub source_name: String,
    pub target: u64,
    pub target_name: String,
    pub vcpus: u32,
    pub ram_mib: u64,
    pub why: String,
    pub approver: String,
    /// `null` while it runs.
    pub outcome: Option<Outcome>,
    pub detail: Option<String>,
    pub proposal: u64,
    pub plan_id: String,
}

impl From<&JournalEntry> for Row {
    fn from(entry: &JournalEntry) -> Self {
        let words = Words::english();
        let (outcome, detail, ended) = match &entry.state {
            JournalState::Closed { outcome, detail, at, ordered: _, consul_id: _, task_id: _ } => {
                (Some(*outcome), detail.as_ref().map(|why| words.plain_ending(why, *at)), Some(*at))
            }
            JournalState::Intended | JournalState::Ordered { .. } => (None, None, None),
        };
        Self {
            id: entry.id.0,
            started_at: moment(entry.intended_at),
            ended_at: ended.map(moment),
            seconds: ended.map(|at| took(entry.intended_at, at).num_seconds()),
            cluster: entry.cluster.0,
            cluster_name: entry.cluster_name.clone(),
            vm: entry.vm.0,
            vm_name: entry.vm_name.clone(),
            source: entry.source.0,
            source_name: entry.source_name.clone(),
            target: entry.target.0,
            target_name: entry.target_name.clone(),
            vcpus: entry.vcpus,
            ram_mib: entry.ram.0,
            why: plain(&words.motive(&entry.why)),
            approver: approver(&entry.approver),
            outcome,
            detail,
            proposal: entry.proposal.0,
            plan_id: entry.plan.0.clone(),
        }
    }
}

/// How the history is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table for people, no wider than so many columns; `None` for no limit.
    Text(Option<usize>),
    Csv,
    Json,
}

/// Writes the history part by part, newest first, so that a long one need not be in memory.
pub struct Telling {
    format: Format,
    is_begun: bool,
    /// How wide the table's columns are so far.
    widths: Vec<usize>,
}

impl Telling {
    /// Nothing is written yet.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, is_begun: false, widths: Vec::new() }
    }

    /// Writes the next rows.
    ///
    /// # Errors
    ///
    /// Where the writer of the format refuses, which rows in memory give no reason for.
    pub fn rows(&mut self, rows: &[Row]) -> io::Result<String> {
        if rows.is_empty() {
            return Ok(String::new());
        }
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        match self.format {
            Format::Text(width) => Ok(self.table(rows, is_first, width)),
            Format::Csv => csv(rows, is_first),
            Format::Json => {
                let array = serde_json::to_string_pretty(rows)?;
                let items = array.trim_start_matches("[\n").trim_end_matches("\n]");
                Ok(format!("{}{items}", if is_first { "[\n" } else { ",\n" }))
            }
        }
    }

    /// Writes what comes behind the last row, or instead of all rows.
    ///
    /// # Errors
    ///
    /// As [`Self::rows`].
    pub fn end(self) -> io::Result<String> {
        Ok(match (self.format, self.is_begun) {
            (Format::Text(_) | Format::Csv, true) => String::new(),
            (Format::Text(_), false) => "nothing was migrated yet\n".into(),
            (Format::Csv, false) => csv(&[], true)?,
            (Format::Json, true) => "\n]\n".into(),
            (Format::Json, false) => "[]\n".into(),
        })
    }

    fn table(&mut self, rows: &[Row], is_first: bool, width: Option<usize>) -> String {
        let mut table = Table::default();
        if is_first {
            table.row(["started", "vm", "from", "to", "outcome", "took", "approved by", "why", "detail"]);
        }
        for row in rows {
            table.row([
                row.started_at.clone(),
                format!("{} ({})", row.vm_name, row.vm),
                row.source_name.clone(),
                row.target_name.clone(),
                row.outcome.map_or("running", word).to_owned(),
                row.seconds.map(|seconds| duration(TimeDelta::seconds(seconds))).unwrap_or_default(),
                row.approver.clone(),
                row.why.clone(),
                row.detail.clone().unwrap_or_default(),
            ]);
        }
        table.fitted_on(&mut self.widths, width)
    }
}

/// Writes rows as CSV, with a header where they are the first.
fn csv(rows: &[Row], with_header: bool) -> io::Result<String> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    if with_header {
        writer.write_record(COLUMNS)?;
    }
    for row in rows {
        writer.serialize(unarmed(row.clone()))?;
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The fields of a row in their order.
const COLUMNS: [&str; 20] = [
    "id",
    "started_at",
    "ended_at",
    "seconds",
    "cluster",
    "cluster_name",
    "vm",
    "vm_name",
    "source",
    "source_name",
    "target",
    "target_name",
    "vcpus",
    "ram_mib",
    "why",
    "approver",
    "outcome",
    "detail",
    "proposal",
    "plan_id",
];

/// A client chooses a VM's name, and a spreadsheet runs what begins with `=`: such texts get a `'` in front. No control
/// character is left.
fn unarmed(mut row: Row) -> Row {
    let texts = [
        &mut row.cluster_name,
        &mut row.vm_name,
        &mut row.source_name,
        &mut row.target_name,
        &mut row.why,
        &mut row.approver,
    ];
    for text in texts.into_iter().chain(row.detail.as_mut()) {
        *text = printable(text);
        if text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
            text.insert(0, '\'');
        }
    }
    row
}

fn approver(approver: &Approver) -> String {
    match approver {
        Approver::People(people) => people.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Approver::Auto => "auto".into(),
        Approver::CommandLine => "command line".into(),
    }
}

pub(super) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Lost => "lost",
        Outcome::Dropped => "dropped",
    }
}

/// A clock that was set back makes no negative durations.
fn took(from: DateTime<Utc>, to: DateTime<Utc>) -> TimeDelta {
    (to - from).max(TimeDelta::zero())
}

pub(super) fn duration(took: TimeDelta) -> String {
    humantime::format_duration(took.to_std().unwrap_or_default()).to_string()
}
