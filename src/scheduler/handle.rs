//! What other rooms may ask of the scheduler. Every answer is data; the room that asked makes the words.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Foreseen, StandingNow, WhatIf, When,
    tuning::{Setting, Unsettable},
};
use crate::{
    balancer::Picture,
    executor::Glimpse,
    model::{ApiFailure, ClusterId, NodeId, Person, ProposalId, Trouble, VmId, find::Missed},
    planner::{Direction, Exclusion, Hold, Limits, Rest, Skip},
    store::{Begin, JournalEntry, Mode, Pause, Proposal, ProposalState, ReplyTo, RoundNode, Selection},
};

/// How things stand.
#[derive(Clone, Debug)]
pub struct Status {
    pub now: DateTime<Utc>,
    pub mode: Mode,
    pub dry_run: bool,
    pub pause: Option<Pause>,
    /// Whether automatic cycles may migrate now, by `BALANCE_WINDOW`.
    pub window_open: bool,
    pub next_cycle: Option<DateTime<Utc>>,
    pub last_cycle: Option<LastCycle>,
    /// The newest picture, with the policy in force (exclusions, cool-downs and all) and what it would lead to.
    pub picture: Option<Picture>,
    /// Why VMmanager cannot be used at this moment.
    pub vmmanager_away: Option<ApiFailure>,
    /// Open entries of the journal: what runs now.
    pub running: Vec<JournalEntry>,
    /// Plans that wait for a decision, oldest first.
    pub waiting: Vec<WaitingPlan>,
    /// Plans that are approved and begin later, with their time.
    pub deferred: Vec<WaitingPlan>,
    pub rounds: Vec<InRound>,
    pub exclusions: Vec<Exclusion>,
    /// VMs that are left alone for a while.
    pub resting: BTreeMap<VmId, Rest>,
    pub stopped_clusters: Vec<ClusterId>,
    pub restored_unconfirmed: bool,
    /// Standing approvals, also those that have ended; the one of the chat first.
    pub standing: Vec<StandingNow>,
}

/// A plan that waits for a decision, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingPlan {
    pub proposal: ProposalId,
    pub cluster: ClusterId,
    pub until: DateTime<Utc>,
}

/// The last cycle in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCycle {
    pub at: DateTime<Utc>,
    /// What went wrong; `None` where nothing did.
    pub trouble: Option<Trouble>,
}

/// Why a request was not carried out. Not an error of the program: the person gets it as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// What the person named is nothing, or could be several things.
    Missed(Missed),
    /// No cluster was named, and there are several.
    WhichCluster {
        known: Vec<(ClusterId, String)>,
    },
    /// `CLUSTER_IDS` leaves it out.
    NotOurs {
        cluster: ClusterId,
        name: String,
    },
    /// A plan of this cluster is being carried out.
    Busy {
        proposal: ProposalId,
    },
    /// The store does not know it.
    NoSuchProposal(ProposalId),
    /// It was decided already, a newer one took its place, or its time is over.
    NotPending {
        proposal: ProposalId,
        state: ProposalState,
    },
    /// Its steps are not those that were shown.
    Changed {
        proposal: ProposalId,
    },
    /// Every step is left out.
    NothingLeft {
        proposal: ProposalId,
    },
    /// This person's press is counted already.
    AlreadyCounted {
        have: u32,
        need: u32,
    },
    /// With two or more approvals the one who asked does not count.
    OwnProposal {
        have: u32,
        need: u32,
    },
    /// A dry run: nothing is carried out.
    DryRun,
    /// VMmanager, the store or the planner could not be used.
    Unable(Trouble),
    NothingRunning,
    /// The standing approval is given already, was ended, or waited too long.
    StandingGone,
    /// No plan waits for approval.
    NothingWaits,
    /// It is not said which of the plans that wait is meant.
    WhichWaits {
        waiting: Vec<PlanOf>,
    },
    /// The maintenance round went on since, or is over.
    RoundWentOn {
        proposal: ProposalId,
    },
    /// Nothing may be done in the cluster at the moment.
    Held {
        hold: Hold,
    },
    /// Nothing of this plan can be taken back.
    NothingToUndo {
        proposal: ProposalId,
        stuck: Vec<Skip>,
    },
    /// It is not said which of the running plans is meant.
    WhichPlan {
        running: Vec<PlanOf>,
    },
    /// The VM rests until its migration has ended; nobody can end that.
    InFlight {
        vm: VmId,
    },
    /// A setting that cannot be set so.
    Unsettable(Unsettable),
    Stopping,
}

/// What somebody wants to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The only plan that runs.
    Only,
    Plan(ProposalId),
    /// The plan of this number, or the one of the cluster of this name or id.
    Called(String),
}

/// A plan and its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOf {
    pub plan: ProposalId,
    pub cluster: String,
}

/// What was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    pub plan: ProposalId,
    pub cluster: String,
    pub what: Stopped,
}

/// How far something was when it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ends after its running migration.
    Running,
    /// It was approved for later, and nothing of it had begun.
    BeforeItBegan,
    /// A maintenance round, while a node was in hand.
    Round,
}

/// What somebody says of the node of a round that is in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// The work on it is done: on to the next.
    Done,
    /// What stayed on it is to be tried again.
    Again,
    /// On to the next without it.
    Skip,
    /// The round ends.
    Stop,
}

/// What `/maintenance` led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Maintained {
    /// A proposal was recorded; the notifier shows it.
    Proposed(ProposalId),
    /// Some VMs would have no place elsewhere; what is foreseen of each node.
    CannotHold { nodes: Vec<RoundNode> },
    /// The nodes are of several clusters.
    SeveralClusters,
}

/// What somebody's word on a node in hand led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounded {
    /// This plan empties the next node.
    Next(ProposalId),
    /// Every node had its turn.
    Over,
    Stopped,
}

/// A maintenance round that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InRound {
    pub proposal: ProposalId,
    pub cluster: ClusterId,
    /// The name of the node whose turn it is.
    pub node: String,
    /// Which of the nodes it is, from 1.
    pub number: usize,
    pub of: usize,
    pub waits_for_hand: bool,
}

/// What `/balance` led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Balanced {
    /// A proposal was recorded; the notifier shows it.
    Proposed(ProposalId),
    /// There is nothing to do; the plan says why.
    NothingToDo(Box<crate::planner::ClusterPlan>),
}

/// What `/drain` led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Drained {
    /// A proposal was recorded; the notifier shows it.
    Proposed(ProposalId),
    /// No VM is on the node.
    Empty { node: String },
    /// None of its VMs can leave it, each for its reason.
    Stuck { node: String, stuck: Vec<Skip> },
}

/// What somebody wants with the migrations of a plan that take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchWish {
    /// To see what VMmanager shows of them at this moment.
    LookAgain,
    /// To wait for their ends no more.
    GiveUp,
}

/// What became of a [`WatchWish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    Seen(Vec<Glimpse>),
    GivenUp(PlanOf),
}

/// What a press of Approve led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approved {
    /// It is the last one needed: the plan is on its way.
    Started,
    /// It is the last one needed: the plan begins at that time.
    Later(Begin),
    /// Others must press too.
    Counted { have: u32, need: u32 },
}

/// What can be changed by chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    DryRun(bool),
    Mode(Mode),
    Pause {
        until: Option<DateTime<Utc>>,
        reason: Option<String>,
    },
    /// Ends a pause, lifts stopped clusters and forgives failures.
    Resume {
        /// Also confirms a restored store: what an admin says, and an operator does not.
        confirms_restored: bool,
    },
    Exclude {
        /// By id, by name or by a pattern: what matches at this moment.
        node: String,
        direction: Direction,
        until: Option<DateTime<Utc>>,
    },
    Include {
        /// As for `Exclude`.
        node: String,
    },
    /// Sets a setting of the configuration, or takes back what the chat set.
    Set {
        name: String,
        value: Option<String>,
    },
    /// Ends the rest of VMs after a migration or a failure.
    EndRest {
        /// Names, ids or patterns.
        vms: Vec<String>,
    },
    /// Asks for a standing approval until then; people confirm it.
    AskStanding {
        limits: Limits,
        /// The cluster of the limits by name or id; `None` for all.
        cluster: Option<String>,
        until: DateTime<Utc>,
    },
    /// Confirms the one with this tag.
    ConfirmStanding {
        tag: String,
    },
    /// Ends the one with this tag; without a tag every one, that of the configuration for this night.
    EndStanding {
        tag: Option<String>,
    },
}

impl fmt::Display for Change {
    /// As the audit has it: the command that asks for it, with names and times as they were understood.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until =
            |until: &Option<DateTime<Utc>>| until.map(|at| format!(" until {at}")).unwrap_or_default();
        match self {
            Self::DryRun(on) => write!(f, "dryrun {}", if *on { "on" } else { "off" }),
            Self::Mode(mode) => write!(f, "mode {}", word(mode)),
            Self::Pause { until: end, reason } => {
                let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                write!(f, "pause{}{reason}", until(end))
            }
            Self::Resume { confirms_restored: true } => f.write_str("resume restored"),
            Self::Resume { confirms_restored: false } => f.write_str("resume"),
            Self::Exclude { node, direction, until: end } => {
                write!(f, "exclude {node} {}{}", word(direction), until(end))
            }
            Self::Include { node } => write!(f, "include {node}"),
            Self::Set { name, value: Some(value) } => write!(f, "set {} {value:?}", name.to_uppercase()),
            Self::Set { name, value: None } => write!(f, "set {} default", name.to_uppercase()),
            Self::EndRest { vms } => write!(f, "rests clear {}", vms.join(", ")),
            Self::AskStanding { limits, cluster, until: end } => {
                let Limits { migrations_max, ram_max, only, cluster: _ } = limits;
                write!(f, "autopilot until {end}")?;
                migrations_max.iter().try_for_each(|max| write!(f, " max {max}"))?;
                ram_max.iter().try_for_each(|max| write!(f, " max {max}"))?;
                only.iter().try_for_each(|only| write!(f, " only {}", word(only)))?;
                cluster.iter().try_for_each(|cluster| write!(f, " {cluster}"))
            }
            Self::ConfirmStanding { tag } => write!(f, "autopilot confirm {tag}"),
            Self::EndStanding { tag: Some(tag) } => write!(f, "autopilot off {tag}"),
            Self::EndStanding { tag: None } => f.write_str("autopilot off"),
        }
    }
}

/// A variant as people write it.
fn word(variant: &impl fmt::Debug) -> String {
    format!("{variant:?}").to_lowercase()
}

/// What a change led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// It is so now, and was not before.
    Done,
    /// It was so already.
    Already,
    /// Nodes were closed or opened; the id and name of each.
    Nodes(Vec<(NodeId, String)>),
    /// A setting has another value; `before` is the one that was in force.
    Setting { before: String, now: Box<Setting> },
    /// The rests of VMs were ended; the id and name of each.
    Vms(Vec<(VmId, String)>),
}

impl Changed {
    /// Returns the names of the nodes that were closed or opened.
    #[must_use]
    pub fn node_names(&self) -> Vec<&str> {
        match self {
            Self::Nodes(nodes) => nodes.iter().map(|(_, name)| name.as_str()).collect(),
            Self::Done | Self::Already | Self::Vms(_) | Self::Setting { .. } => Vec::new(),
        }
    }
}

/// How things stand after a look that may be under way.
#[derive(Debug)]
pub struct Later(tokio::sync::oneshot::Receiver<Result<Status, Refused>>);

impl Later {
    /// Waits for the look; `None` where none follows.
    pub async fn status(self) -> Option<Status> {
        self.0.await.ok()?.ok()
    }
}

/// A request to the scheduler, with where its answer goes.
#[derive(Debug)]
pub(super) enum Request {
    Status { looks: bool, answer: Answer<Status>, again: Option<Answer<Status>> },
    DryRun { answer: Answer<bool> },
    Standing { answer: Answer<Vec<StandingNow>> },
    Settings { answer: Answer<Vec<Setting>> },
    Reapply { answer: Answer<Vec<Setting>> },
    Look { answer: Answer<Picture> },
    Balance { cluster: Option<String>, by: Person, reply_to: ReplyTo, answer: Answer<Balanced> },
    Drain { node: String, by: Person, reply_to: ReplyTo, answer: Answer<Drained> },
    Maintain { nodes: Vec<String>, by: Person, reply_to: ReplyTo, answer: Answer<Maintained> },
    Round { proposal: ProposalId, hand: Hand, by: Person, answer: Answer<Rounded> },
    WhatIf { question: WhatIf, answer: Answer<Foreseen> },
    Approve { proposal: ProposalId, shown: String, when: When, by: Person, answer: Answer<Approved> },
    ApproveAt { called: Option<String>, at: DateTime<Utc>, by: Person, answer: Answer<(PlanOf, Approved)> },
    Undo { proposal: ProposalId, by: Person, answer: Answer<ProposalId> },
    Return { proposal: ProposalId, by: Person, answer: Answer<Balanced> },
    Reject { proposal: ProposalId, reason: Option<String>, by: Person, answer: Answer<()> },
    Refresh { proposal: ProposalId, by: Person, answer: Answer<Balanced> },
    Choose { proposal: ProposalId, selection: Selection, by: Person, answer: Answer<Box<Proposal>> },
    Cancel { stop: Stop, by: Person, answer: Answer<Cancelled> },
    Watch { proposal: ProposalId, wish: WatchWish, by: Person, answer: Answer<Watched> },
    Change { change: Change, by: Person, answer: Answer<Changed> },
}

pub(super) type Answer<T> = tokio::sync::oneshot::Sender<Result<T, Refused>>;

/// The way to the scheduler; cheap to clone. Every method may also answer [`Refused::Stopping`].
#[derive(Clone, Debug)]
pub struct Handle {
    requests: tokio::sync::mpsc::Sender<Request>,
}

impl Handle {
    pub(super) fn new(requests: tokio::sync::mpsc::Sender<Request>) -> Self {
        Self { requests }
    }

    /// A handle to a scheduler that has ended.
    pub(crate) fn to_nobody() -> Self {
        Self::new(tokio::sync::mpsc::channel(1).0)
    }

    /// Returns how things stand, from what is known; asks VMmanager only where nothing is known yet.
    pub async fn status(&self) -> Result<Status, Refused> {
        self.ask(|answer| Request::Status { looks: false, answer, again: None }).await
    }

    /// Returns how things stand, from what is known. Where that is a few seconds old, a look follows for those who ask
    /// next: one for all, however many ask, and without those nodes that kept silent when they were asked last.
    pub async fn glance(&self) -> Result<Status, Refused> {
        self.ask(|answer| Request::Status { looks: true, answer, again: None }).await
    }

    /// As [`Self::glance`], with how things stand after the look behind it. Nothing comes where no look follows.
    pub async fn glance_twice(&self) -> Result<(Status, Later), Refused> {
        let (again, later) = tokio::sync::oneshot::channel();
        let status = self.ask(|answer| Request::Status { looks: true, answer, again: Some(again) }).await?;
        Ok((status, Later(later)))
    }

    /// Tells whether nothing is carried out.
    pub async fn dry_run(&self) -> Result<bool, Refused> {
        self.ask(|answer| Request::DryRun { answer }).await
    }

    /// Returns the standing approvals as they stand.
    pub async fn standing(&self) -> Result<Vec<StandingNow>, Refused> {
        self.ask(|answer| Request::Standing { answer }).await
    }

    /// Returns every setting that can change while the bot runs, as it is in force.
    pub async fn settings(&self) -> Result<Vec<Setting>, Refused> {
        self.ask(|answer| Request::Settings { answer }).await
    }

    /// Puts what the chat has set in force again, over a configuration that was read anew; returns every setting.
    pub async fn reapply(&self) -> Result<Vec<Setting>, Refused> {
        self.ask(|answer| Request::Reapply { answer }).await
    }

    /// Reads the platform anew and asks every node; the picture's plan is the last cycle's.
    pub async fn look(&self) -> Result<Picture, Refused> {
        self.ask(|answer| Request::Look { answer }).await
    }

    /// Computes a plan for a cluster (name or id; `None` where there is only one) and records it as a proposal.
    pub async fn balance(
        &self,
        cluster: Option<String>,
        by: Person,
        reply_to: ReplyTo,
    ) -> Result<Balanced, Refused> {
        self.ask(|answer| Request::Balance { cluster, by, reply_to, answer }).await
    }

    /// Computes a plan that empties a node (name or id) and records it as a proposal.
    pub async fn drain(&self, node: String, by: Person, reply_to: ReplyTo) -> Result<Drained, Refused> {
        self.ask(|answer| Request::Drain { node, by, reply_to, answer }).await
    }

    /// Forecasts what it takes to empty nodes one after the other, and records that as a proposal where it is possible.
    pub async fn maintain(
        &self,
        nodes: Vec<String>,
        by: Person,
        reply_to: ReplyTo,
    ) -> Result<Maintained, Refused> {
        self.ask(|answer| Request::Maintain { nodes, by, reply_to, answer }).await
    }

    /// Goes on with a maintenance round, as somebody says of the node in hand.
    pub async fn round(&self, proposal: ProposalId, hand: Hand, by: Person) -> Result<Rounded, Refused> {
        self.ask(|answer| Request::Round { proposal, hand, by, answer }).await
    }

    /// Answers from the planner's forecasts; changes nothing.
    pub async fn what_if(&self, question: WhatIf) -> Result<Foreseen, Refused> {
        self.ask(|answer| Request::WhatIf { question, answer }).await
    }

    /// Counts a press of Approve for the steps with the tag `shown`; the last one needed starts the plan, or lets it begin
    /// when it is to.
    pub async fn approve(
        &self,
        proposal: ProposalId,
        shown: String,
        when: When,
        by: Person,
    ) -> Result<Approved, Refused> {
        self.ask(|answer| Request::Approve { proposal, shown, when, by, answer }).await
    }

    /// Approves the plan of this number or cluster, or the only one that waits, to begin at a time.
    pub async fn approve_at(
        &self,
        called: Option<String>,
        at: DateTime<Utc>,
        by: Person,
    ) -> Result<(PlanOf, Approved), Refused> {
        self.ask(|answer| Request::ApproveAt { called, at, by, answer }).await
    }

    /// Proposes a plan that takes a finished one back, as far as that is possible.
    pub async fn undo(&self, proposal: ProposalId, by: Person) -> Result<ProposalId, Refused> {
        self.ask(|answer| Request::Undo { proposal, by, answer }).await
    }

    /// Opens the node that a finished plan emptied, and proposes a plan that evens its cluster out.
    pub async fn node_returns(&self, proposal: ProposalId, by: Person) -> Result<Balanced, Refused> {
        self.ask(|answer| Request::Return { proposal, by, answer }).await
    }

    /// Rejects a pending proposal. The person who rejected it without a reason may give one later.
    pub async fn reject(
        &self,
        proposal: ProposalId,
        reason: Option<String>,
        by: Person,
    ) -> Result<(), Refused> {
        self.ask(|answer| Request::Reject { proposal, reason, by, answer }).await
    }

    /// Computes the plan anew in place of a pending, expired or stale proposal.
    pub async fn refresh(&self, proposal: ProposalId, by: Person) -> Result<Balanced, Refused> {
        self.ask(|answer| Request::Refresh { proposal, by, answer }).await
    }

    /// Leaves migrations out of a pending proposal, or takes them in again; returns the proposal as it is then.
    pub async fn choose(
        &self,
        proposal: ProposalId,
        selection: Selection,
        by: Person,
    ) -> Result<Box<Proposal>, Refused> {
        self.ask(|answer| Request::Choose { proposal, selection, by, answer }).await
    }

    /// Stops one plan after its running migration.
    pub async fn cancel(&self, stop: Stop, by: Person) -> Result<Cancelled, Refused> {
        self.ask(|answer| Request::Cancel { stop, by, answer }).await
    }

    /// Looks again at the migrations of a plan that take long, or gives them up.
    pub async fn watch(&self, proposal: ProposalId, wish: WatchWish, by: Person) -> Result<Watched, Refused> {
        self.ask(|answer| Request::Watch { proposal, wish, by, answer }).await
    }

    /// Changes a setting; it outlives restarts.
    pub async fn change(&self, change: Change, by: Person) -> Result<Changed, Refused> {
        self.ask(|answer| Request::Change { change, by, answer }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, Refused> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| Refused::Stopping)?;
        answered.await.map_err(|_| Refused::Stopping)?
    }
}
