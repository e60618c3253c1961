//! The history for the command line: one row per migration, as table, as CSV and as JSON.

use std::io;

use chrono::TimeDelta;

use super::table::Table;
use crate::{
    store::Outcome,
    talk::rows::{self, Row},
};

/// How the history is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table for people, no wider than this many columns; `None` for no limit.
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
            Format::Csv => rows::csv(rows, is_first),
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
            (Format::Csv, false) => rows::csv(&[], true)?,
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
                row.outcome.word().to_owned(),
                row.seconds.map(|seconds| duration(TimeDelta::seconds(seconds))).unwrap_or_default(),
                row.approver.clone(),
                row.why.clone(),
                row.detail.clone().unwrap_or_default(),
            ]);
        }
        table.fitted_on(&mut self.widths, width)
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

pub(super) fn duration(took: TimeDelta) -> String {
    humantime::format_duration(took.to_std().unwrap_or_default()).to_string()
}
