//! What the store keeps, record by record. Each record carries its version; a reader of today reads yesterday's.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Ending, Expected, Round, Standing};
use crate::{
    model::{
        ClusterId, Flaw, HistoryBefore, Mib, MigrationId, NodeId, Person, ProposalId, Quote, Trouble, VmId,
        find::by_id,
    },
    planner::{ClusterPlan, Exclusion, Figures, Fullness, Hold, Migration, MoveWhy, Outlook, PlanId},
};

/// A plan for one cluster with its approval and its progress: one operation, one message in the chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    pub v: u32,
    pub id: ProposalId,
    /// Grows with each change; a listener that showed an older one shows it again.
    pub revision: u64,
    pub cluster: ClusterId,
    pub cluster_name: String,
    pub plan: ClusterPlan,
    pub taken_at: DateTime<Utc>,
    pub origin: Origin,
    pub dry_run: bool,
    /// How many distinct people must approve.
    pub approvals_needed: u32,
    pub approvals: Vec<Approval>,
    /// VMs that people left out of an earlier plan for the same question and that this plan does not move. They stay
    /// left out when a later one does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out_before: Vec<LeftOut>,
    /// What the plan leads to without what is left out, once a look told; `None` where nothing is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlook: Option<Outlook>,
    /// The last change of what an approval is about; `None` where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<SetChange>,
    /// Which steps have buttons where they are too many for one keyboard: those from this number on; 0 for the first.
    #[serde(default)]
    pub buttons_from: u32,
    /// When it is to begin, where people want it later than at once. Taken away when it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<Begin>,
    /// When `BALANCE_WINDOW` opens, where it was closed when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_opens: Option<DateTime<Utc>>,
    /// The nodes that are emptied one after the other, where this plan empties one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// How long its steps are expected to take, where the history tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// Why nothing may be done in the cluster, where that kept an approved plan from beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Hold>,
    /// The people whose approval does not count any more because the plan changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voided: Vec<Person>,
    pub state: ProposalState,
    /// One per migration of the plan, in its order.
    pub steps: Vec<Step>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// Where it is to be shown; `None` for the chat for reports.
    pub reply_to: Option<ReplyTo>,
    /// Somebody asked to stop after the running migration.
    pub cancel: Option<Approval>,
    /// What a look showed when the plan had ended; `None` before that, and in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sight: Option<Sight>,
    /// VMs of the plan that are left alone after a failure, and until when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rests: BTreeMap<VmId, DateTime<Utc>>,
}

/// What a look at the cluster showed when a plan had ended, or why it showed nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// The look showed the cluster.
    Seen {
        /// When its lists were read (UTC).
        at: DateTime<Utc>,
        /// The cluster in four numbers then.
        figures: Figures,
        /// Each node that the plan was to move a VM from or to.
        nodes: BTreeMap<NodeId, Fullness>,
        /// The node that the plan was to empty, where it was to empty one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emptied: Option<Emptied>,
    },
    /// VMmanager or the store could not be used.
    Failed(Trouble),
    /// The picture was incomplete.
    Incomplete(Flaw),
    /// The look took too long.
    TimedOut,
    /// The cluster is gone.
    ClusterGone,
}

/// What a look showed of a node that was to be emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Emptied {
    /// These VMs are on it; none where it is empty.
    Holds(Vec<Held>),
    /// The platform does not have it any more.
    Gone,
}

/// A VM that is on a node that was to be emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub vm: VmId,
    pub name: String,
}

/// Who or what wanted a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A cycle of the schedule.
    Schedule,
    /// Somebody in the chat.
    Person(Person),
    /// `--once` on the command line.
    Once,
    /// It took the place of another at the press of Approve or Refresh, or after a restart.
    Replaces(ProposalId),
}

impl Origin {
    /// Tells whether a plan may go on in the message of the one that it replaces: a plan of the schedule or of the
    /// Refresh button does, one that somebody asked for with `/balance` answers that message.
    #[must_use]
    pub fn takes_over(&self) -> bool {
        match self {
            Self::Schedule | Self::Replaces(_) => true,
            Self::Person(_) | Self::Once => false,
        }
    }
}

/// When an approved plan is to begin, if not at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begin {
    /// While `BALANCE_WINDOW` is open, which is next at this time.
    InWindow { opens: DateTime<Utc> },
    /// At this time.
    At(DateTime<Utc>),
}

impl Begin {
    /// Returns the first moment at which it may begin.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        match self {
            Self::InWindow { opens } => *opens,
            Self::At(at) => *at,
        }
    }
}

/// A message to answer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    pub chat: i64,
    pub thread: Option<i32>,
    pub message: Option<i32>,
}

/// Somebody's word, and when it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub by: Person,
    pub at: DateTime<Utc>,
}

/// A VM that somebody left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub vm: VmId,
    pub vm_name: String,
    pub by: Person,
}

/// A change of the steps or of the buttons of a proposal's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetChange {
    pub at: DateTime<Utc>,
    /// Who left something out or took it in; `None` where the whole plan took the place of another.
    pub by: Option<Person>,
}

/// The change that a person wants in a pending plan's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    LeaveOut(VmId),
    TakeIn(VmId),
    /// Only the steps up to this number.
    KeepFirst(u32),
    /// Only the steps that take a VM off this node.
    OnlyNode(NodeId),
    KeepAll,
    /// No change: the buttons of the steps from this number on are shown.
    Show(u32),
}

/// Where a proposal stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ProposalState {
    /// It waits for approval.
    Pending,
    /// It may run; it is being checked against the world or waits for its turn.
    Approved {
        by: Approver,
        at: DateTime<Utc>,
    },
    Running {
        by: Approver,
        since: DateTime<Utc>,
    },
    /// Every step has its outcome.
    Done {
        by: Approver,
        at: DateTime<Utc>,
    },
    Rejected {
        by: Person,
        at: DateTime<Utc>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Expired {
        at: DateTime<Utc>,
    },
    /// A newer one took its place.
    Superseded {
        by: ProposalId,
        at: DateTime<Utc>,
    },
    /// Nothing of it fitted, or it relieved nothing, when it was to run.
    Stale {
        at: DateTime<Utc>,
    },
    /// A plan of a dry run without buttons: only shown.
    Shown {
        at: DateTime<Utc>,
    },
}

impl ProposalState {
    /// Tells whether nothing can change it any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Pending | Self::Approved { .. } | Self::Running { .. } => false,
            Self::Done { .. }
            | Self::Rejected { .. }
            | Self::Expired { .. }
            | Self::Superseded { .. }
            | Self::Stale { .. }
            | Self::Shown { .. } => true,
        }
    }
}

/// Who let a plan run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// All who pressed, in order.
    People(Vec<Person>),
    /// `BALANCE_MODE=auto` decided.
    Auto,
    /// `--once` on the command line.
    CommandLine,
    /// A standing approval that began at that moment. Of no people: the one of the configuration.
    Standing { people: Vec<Person>, since: DateTime<Utc> },
}

/// One migration of a proposal as it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The migration as it was planned.
    pub migration: Migration,
    /// Its entry in the journal, once it was intended.
    pub journal: Option<MigrationId>,
    /// The number of its task at VMmanager, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// Somebody does not want to wait for its end any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Approval>,
    /// How far it is.
    pub state: StepState,
}

impl Step {
    /// Tells whether its migration takes long and is still watched.
    #[must_use]
    pub fn is_watched_long(&self) -> bool {
        matches!(self.state, StepState::Running { slow: true, .. }) && self.given_up.is_none()
    }
}

/// How far one migration is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum StepState {
    /// Its turn has not come.
    Waiting,
    /// It was left out with a button.
    LeftOut {
        /// Who pressed the button.
        by: Person,
    },
    /// It is ordered, or about to be.
    Running {
        /// When it was begun (UTC).
        since: DateTime<Utc>,
        /// It takes longer than `MIGRATION_TIMEOUT`; it stays watched.
        slow: bool,
    },
    /// Nothing more happens to it.
    Ended {
        /// How it ended.
        outcome: Outcome,
        /// Why it ended so; `None` where there is nothing to add.
        detail: Option<Ending>,
        /// When it ended (UTC).
        at: DateTime<Utc>,
    },
}

/// How a migration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// VMmanager's list has the VM on the target.
    Done,
    /// VMmanager says failed, or the VM is not where it should be.
    Failed,
    /// VMmanager does not know what became of it.
    Lost,
    /// It no longer fitted, and was not ordered.
    Dropped,
}

/// One migration in the journal: written before the order, closed after the last look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    pub v: u32,
    pub id: MigrationId,
    pub proposal: ProposalId,
    pub plan: PlanId,
    pub cluster: ClusterId,
    pub cluster_name: String,
    pub vm: VmId,
    pub vm_name: String,
    pub source: NodeId,
    pub source_name: String,
    pub target: NodeId,
    pub target_name: String,
    pub vcpus: u32,
    pub ram: Mib,
    pub why: Motive,
    pub approver: Approver,
    /// How far the VM's history went before the order; ours is newer.
    pub history_before: HistoryBefore,
    pub intended_at: DateTime<Utc>,
    pub state: JournalState,
}

/// Why a migration was ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Motive {
    Plan(MoveWhy),
    /// Text that an older version recorded.
    Text(Quote),
}

/// intended → ordered (task known) → closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum JournalState {
    /// On disk; the order may or may not have reached VMmanager.
    Intended,
    /// VMmanager took the order.
    Ordered { at: DateTime<Utc>, consul_id: Option<u64>, task_id: Option<u64> },
    Closed {
        outcome: Outcome,
        detail: Option<Ending>,
        at: DateTime<Utc>,
        ordered: bool,
        /// The numbers of its task as far as they were known; a record of an older program has none.
        #[serde(default)]
        consul_id: Option<u64>,
        #[serde(default)]
        task_id: Option<u64>,
    },
}

impl JournalEntry {
    /// Returns the queue's number of its task, and the task manager's, as far as they are known.
    #[must_use]
    pub fn task_numbers(&self) -> (Option<u64>, Option<u64>) {
        match &self.state {
            JournalState::Ordered { consul_id, task_id, .. }
            | JournalState::Closed { consul_id, task_id, .. } => (*consul_id, *task_id),
            JournalState::Intended => (None, None),
        }
    }

    /// Notes that VMmanager took the order, or the numbers of its task. What was learned once is not unlearned.
    pub(crate) fn note_order(&mut self, consul_id: Option<u64>, task_id: Option<u64>, now: DateTime<Utc>) {
        let (consul_before, task_before) = self.task_numbers();
        let at = match self.state {
            JournalState::Ordered { at, .. } => at,
            JournalState::Intended | JournalState::Closed { .. } => now,
        };
        let (consul_id, task_id) = (consul_id.or(consul_before), task_id.or(task_before));
        self.state = JournalState::Ordered { at, consul_id, task_id };
    }

    /// Returns how it ended and when; `None` while it is open.
    #[must_use]
    pub fn outcome(&self) -> Option<(Outcome, DateTime<Utc>)> {
        match &self.state {
            JournalState::Closed { outcome, at, .. } => Some((*outcome, *at)),
            JournalState::Intended | JournalState::Ordered { .. } => None,
        }
    }
}

/// Imbalances are kept as whole millionths.
const MILLION: f64 = 1e6;

/// What the chat changed; it outlives restarts and wins over the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub v: u32,
    pub dry_run: Option<bool>,
    pub mode: Option<Mode>,
    pub pause: Option<Pause>,
    #[serde(deserialize_with = "closed_by_id")]
    pub exclusions: Vec<Exclusion>,
    /// Clusters where automatic runs stopped after failures.
    #[serde(default)]
    pub stopped_clusters: BTreeSet<ClusterId>,
    /// When they stopped; a record of an older program does not say.
    #[serde(default)]
    pub stopped_at: BTreeMap<ClusterId, DateTime<Utc>>,
    /// When a cluster's automatic stop ended by itself: older failures stop it no more.
    #[serde(default)]
    pub stop_ended_at: BTreeMap<ClusterId, DateTime<Utc>>,
    /// The store was restored and no admin has confirmed yet.
    #[serde(default)]
    pub restored_unconfirmed: bool,
    /// The last moment at which failures were forgiven (`/resume`).
    #[serde(default)]
    pub failures_forgiven_at: Option<DateTime<Utc>>,
    /// Settings of the configuration that were set by chat, by their names.
    #[serde(default)]
    pub values: BTreeMap<String, SetByChat>,
    /// When the rest of a VM was ended: what was moved or failed before does not count.
    #[serde(default)]
    pub rests_ended: BTreeMap<VmId, DateTime<Utc>>,
    /// The standing approval that was asked for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// When people last ended every standing approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing_ended_at: Option<DateTime<Utc>>,
    /// The imbalance at which evening out last came to rest, in millionths.
    #[serde(default)]
    pub settled: BTreeMap<ClusterId, u64>,
}

/// Earlier versions wrote a node's id without the sign that tells it from a name.
fn closed_by_id<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Exclusion>, D::Error> {
    let mut exclusions = Vec::<Exclusion>::deserialize(from)?;
    for Exclusion { node, .. } in &mut exclusions {
        if let Ok(id) = node.0.parse() {
            node.0 = by_id(id);
        }
    }
    Ok(exclusions)
}

impl Settings {
    /// Returns what lets the least happen of two records of the same settings.
    #[must_use]
    pub fn strictest(mut self, other: Self) -> Self {
        let Self {
            v,
            dry_run,
            mode,
            pause,
            exclusions,
            stopped_clusters,
            stopped_at,
            stop_ended_at,
            restored_unconfirmed,
            failures_forgiven_at,
            rests_ended,
            values,
            standing: _,
            standing_ended_at,
            settled,
        } = other;
        self.v = self.v.max(v);
        self.dry_run = match (self.dry_run, dry_run) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            // The configuration may say so.
            (None, _) | (_, None) => None,
        };
        self.mode = match (self.mode, mode) {
            (Some(one), Some(other)) => Some(one.min(other)),
            // The configuration's mode is at most this.
            (None, Some(Mode::Auto)) | (Some(Mode::Auto), None) => None,
            (one, other) => one.or(other),
        };
        self.pause = match (self.pause, pause) {
            (Some(one), Some(other)) => Some(one.longest(other)),
            (one, other) => one.or(other),
        };
        for exclusion in exclusions {
            if !self.exclusions.contains(&exclusion) {
                self.exclusions.push(exclusion);
            }
        }
        self.stopped_clusters.extend(stopped_clusters);
        self.stopped_at.extend(stopped_at);
        // A stop that only one of them saw ending may go on.
        self.stop_ended_at.retain(|cluster, at| stop_ended_at.get(cluster) == Some(at));
        self.restored_unconfirmed |= restored_unconfirmed;
        // Nothing is less than any moment.
        self.failures_forgiven_at = self.failures_forgiven_at.min(failures_forgiven_at);
        self.values = SetByChat::of_both(self.values, values);
        // A rest that only one of them saw ending goes on.
        self.rests_ended.retain(|vm, at| rests_ended.get(vm) == Some(at));
        // Nobody can tell what it let run since.
        self.standing = None;
        self.standing_ended_at = self.standing_ended_at.max(standing_ended_at);
        // Evening out begins later above a higher one.
        for (cluster, imbalance) in settled {
            let known = self.settled.entry(cluster).or_insert(imbalance);
            *known = imbalance.max(*known);
        }
        self
    }

    /// Returns at which imbalance evening out last came to rest.
    #[must_use]
    pub fn evenness(&self) -> BTreeMap<ClusterId, f64> {
        self.settled.iter().map(|(cluster, imbalance)| (*cluster, *imbalance as f64 / MILLION)).collect()
    }

    /// Keeps at which imbalance evening out comes to rest in a cluster.
    pub fn keep_evenness(&mut self, (cluster, imbalance): (ClusterId, f64)) {
        self.settled.insert(cluster, (imbalance * MILLION).round() as u64);
    }
}

/// A value that was set by chat, as text; the configuration reads and checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetByChat {
    pub value: String,
    pub by: Person,
    pub at: DateTime<Utc>,
    /// After a restore: what the other record of the settings says; `None` is what was configured. Which of them lets
    /// the least happen is known to the configuration, and that one counts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub or: BTreeSet<Option<String>>,
}

impl SetByChat {
    /// Joins what two records of the settings say: of each value the newer stands in front, with the other beside it.
    fn of_both(mut ones: BTreeMap<String, Self>, others: BTreeMap<String, Self>) -> BTreeMap<String, Self> {
        let missing: Vec<_> = ones.keys().filter(|name| !others.contains_key(*name)).cloned().collect();
        for name in missing {
            ones.entry(name).and_modify(|value| value.or.extend([None]));
        }
        for (name, mut other) in others {
            let Some(one) = ones.remove(&name) else {
                other.or.insert(None);
                ones.insert(name, other);
                continue;
            };
            let (mut newer, older) =
                if (one.at, &one.value) >= (other.at, &other.value) { (one, other) } else { (other, one) };
            newer.or.extend(older.or);
            newer.or.insert(Some(older.value));
            newer.or.remove(&Some(newer.value.clone()));
            ones.insert(name, newer);
        }
        ones
    }
}

/// What a cycle of the schedule does.
///
/// In the order of what they let happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing: only commands.
    Off,
    /// It posts a plan with buttons.
    #[default]
    Propose,
    /// It carries the plan out and reports.
    Auto,
}

/// Automatic cycles rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub by: Person,
    pub at: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
    pub reason: Option<String>,
}

impl Pause {
    /// Returns the one that ends later.
    fn longest(self, other: Self) -> Self {
        match (self.until, other.until) {
            (None, _) => self,
            (_, None) => other,
            (Some(one), Some(another)) => {
                if another > one {
                    other
                } else {
                    self
                }
            }
        }
    }
}

/// Who did what, for ever: commands, refusals, votes, changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub v: u32,
    pub at: DateTime<Utc>,
    /// `None` for what nobody in particular did.
    pub by: Option<Person>,
    pub chat: Option<i64>,
    /// What was done, in a word: `approve`, `command`, `refused`, …
    pub what: String,
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn an_end_that_an_older_program_wrote_has_no_numbers() {
        let at = DateTime::UNIX_EPOCH;
        let old = json!({"is": "closed", "outcome": "done", "detail": null, "at": at, "ordered": true});
        let read = JournalState::Closed {
            outcome: Outcome::Done,
            detail: None,
            at,
            ordered: true,
            consul_id: None,
            task_id: None,
        };
        assert_eq!(from_value::<JournalState>(old).unwrap(), read);
    }
}
