//! The history as rows, for a spreadsheet and for programs: the fields are the JSON's keys and the CSV's columns.

use std::io;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use super::words::{Words, format::printable, plain};
use crate::{
    model::Person,
    store::{Approver, JournalEntry, JournalState, Outcome},
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
    pub outcome: RowOutcome,
    pub detail: Option<String>,
    pub proposal: u64,
    pub plan_id: String,
}

/// How a migration of the past ended, or that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowOutcome {
    Done,
    Failed,
    Lost,
    Dropped,
    Running,
}

impl RowOutcome {
    /// Returns the word of the JSON and of the CSV.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Dropped => "dropped",
            Self::Running => "running",
        }
    }
}

impl From<Option<Outcome>> for RowOutcome {
    fn from(outcome: Option<Outcome>) -> Self {
        match outcome {
            Some(Outcome::Done) => Self::Done,
            Some(Outcome::Failed) => Self::Failed,
            Some(Outcome::Lost) => Self::Lost,
            Some(Outcome::Dropped) => Self::Dropped,
            None => Self::Running,
        }
    }
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
            outcome: outcome.into(),
            detail,
            proposal: entry.proposal.0,
            plan_id: entry.plan.0.clone(),
        }
    }
}

/// Writes rows as CSV, with a header where they are the first.
///
/// # Errors
///
/// Where the CSV writer refuses, which rows in memory give no reason for.
pub fn csv(rows: &[Row], with_header: bool) -> io::Result<String> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    if with_header {
        writer.write_record(COLUMNS)?;
    }
    for row in rows {
        writer.serialize(disarm(row.clone()))?;
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
fn disarm(mut row: Row) -> Row {
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
    let names = |people: &[Person]| people.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match approver {
        Approver::People(people) => names(people),
        Approver::Auto => "auto".into(),
        Approver::CommandLine => "command line".into(),
        Approver::Standing { people, .. } if people.is_empty() => "autopilot".into(),
        Approver::Standing { people, .. } => format!("autopilot of {}", names(people)),
    }
}

/// A clock that was set back makes no negative durations.
fn took(from: DateTime<Utc>, to: DateTime<Utc>) -> TimeDelta {
    (to - from).max(TimeDelta::zero())
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
