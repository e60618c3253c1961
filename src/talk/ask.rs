//! What the scheduler or the store is asked, and what follows from its answer.
//!
//! Each variant of [`Ask`] carries its continuation with the type of its answer, so an answer of the wrong kind cannot
//! be written. The room that carries out an [`Ask`] calls [`Then::with`] and hands the result back to the dialog.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    Language,
    cards::HandKind,
    chart::{Course, Days},
    verbs::HistoryPage,
    view::{Page, View},
};
use crate::{
    model::{NodeId, ProposalId},
    picture::Chart,
    scheduler::{
        Approved, Balanced, Cancelled, Change, Changed, Drained, Foreseen, Hand, Maintained, PlanOf, Rounded,
        Setting, Status, Stop, WatchWish, Watched, WhatIf, When,
    },
    store::{AuditEntry, PageAt, Proposal, Selection},
};

/// What a command or a press leads to.
pub enum Next {
    Say(Answer),
    Ask(Ask),
}

/// What the person sees in the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A message of its own.
    Page(Page),
    /// A picture with its caption.
    Picture(Page, Arc<Chart>),
    /// The message that carries the button, anew.
    Rewrite(Page),
    /// A line that goes away by itself.
    Passing(String),
    /// A window that must be closed: something was not done.
    Window(String),
    /// A file.
    Document(Document),
    /// Another message shows it: the one of the proposal.
    ShownElsewhere,
}

/// A file with a line about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub name: String,
    pub text: String,
    pub caption: Page,
}

/// What must be asked before there is an answer.
pub enum Ask {
    /// How things stand, as far as it is known.
    Status(Then<Status>),
    /// How things stand, as far as it is known; a new look follows where that is old. The second answer, where one is
    /// wanted, is of what that look shows.
    Glance(Then<Status>, Option<Then<Status>>),
    /// The newest entries of the audit, of one person where one is named by id or name.
    Audit(usize, Option<String>, Then<Vec<AuditEntry>>),
    /// How full a node was, and how things stand.
    Course(NodeId, Then<(Box<Status>, Course)>),
    /// What the last days brought.
    Days(Then<Days>),
    /// One part of the history.
    History(HistoryPart, Then<HistoryPage>),
    /// A plan for the cluster of that name or id.
    Balance(Option<String>, Then<Balanced>),
    /// A plan that empties the node of that name or id.
    Drain(String, Then<Drained>),
    /// That these nodes are emptied one after the other.
    Maintain(Vec<String>, Then<Maintained>),
    /// That a maintenance round goes on in this way.
    Round(ProposalId, Hand, Then<Rounded>),
    /// What would be.
    WhatIf(WhatIf, Then<Foreseen>),
    /// That one plan stops after its running migration.
    Cancel(Stop, Then<Cancelled>),
    /// That the steps with this tag are approved, to begin then.
    Approve(ProposalId, String, When, Then<Approved>),
    /// That the plan of this number or cluster is approved, to begin at a time.
    ApproveAt(Option<String>, DateTime<Utc>, Then<(PlanOf, Approved)>),
    /// A plan that takes a finished one back.
    Undo(ProposalId, Then<ProposalId>),
    /// That the node that a plan emptied is back, and a plan that evens its cluster out.
    Return(ProposalId, Then<Balanced>),
    /// That a plan is rejected, with the reason that was given.
    Reject(ProposalId, Option<String>, Then<()>),
    Refresh(ProposalId, Then<Balanced>),
    /// That steps of a proposal are left out, or taken in again. Answers with the proposal as it is then.
    Choose(ProposalId, Selection, Then<Box<Proposal>>),
    /// That the migrations of a plan that take long are looked at again, or given up.
    Watch(ProposalId, WatchWish, Then<Watched>),
    /// A setting; answers with how things stand then.
    Change(Change, Then<(Changed, Box<Status>)>),
    /// Every setting as it is in force.
    Settings(Then<Vec<Setting>>),
    /// The languages of this person and this chat, after one of them chose.
    Language(Option<(Whose, Option<Language>)>, Then<Spoken>),
    /// That somebody takes the alert with this key in hand, or silences it; the answer tells whether it is open.
    Hand(String, HandKind, Then<bool>),
}

impl Ask {
    /// Tells whether it is carried out only when the disk has who asked: it changes something, and must not be done twice
    /// after a crash, or it reads the very record.
    #[must_use]
    pub fn waits_for_its_record(&self) -> bool {
        match self {
            Self::Status(_)
            | Self::Glance(..)
            | Self::Course(..)
            | Self::Days(_)
            | Self::History(..)
            | Self::WhatIf(..)
            | Self::Watch(_, WatchWish::LookAgain, _)
            | Self::Settings(_)
            | Self::Language(None, _) => false,
            Self::Audit(..)
            | Self::Balance(..)
            | Self::Drain(..)
            | Self::Maintain(..)
            | Self::Round(..)
            | Self::Cancel(..)
            | Self::Approve(..)
            | Self::ApproveAt(..)
            | Self::Undo(..)
            | Self::Return(..)
            | Self::Reject(..)
            | Self::Refresh(..)
            | Self::Choose(..)
            | Self::Watch(_, WatchWish::GiveUp, _)
            | Self::Change(..)
            | Self::Language(Some(_), _)
            | Self::Hand(..) => true,
        }
    }

    /// Tells whether the answer comes of a look at the platform; others wait for the disk at most.
    #[must_use]
    pub fn looks_at_platform(&self) -> bool {
        matches!(
            self,
            Self::Status(_)
                | Self::Glance(..)
                | Self::Balance(..)
                | Self::Drain(..)
                | Self::Maintain(..)
                | Self::WhatIf(..)
                | Self::Undo(..)
                | Self::Return(..)
                | Self::Refresh(..)
                | Self::Watch(_, WatchWish::LookAgain, _)
        )
    }
}

/// Whose language is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Answers to this person, and their private chat.
    Person,
    /// What the bot writes in this chat.
    Chat,
}

/// What a person and a chat chose, and what holds without a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub person: Option<Language>,
    pub chat: Option<Language>,
    pub default: Language,
}

/// Which part of the history is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPart {
    pub at: PageAt,
    pub count: usize,
    /// The VM, node, cluster or person it is about; `None` for everything.
    pub of: Option<String>,
    /// Only this many days back.
    pub days: Option<u32>,
}

/// What follows an answer of type `T`.
pub struct Then<T>(Box<Follow<T>>);

type Follow<T> = dyn FnOnce(T, &View, DateTime<Utc>) -> Answer + Send;

/// An answer that has come and waits for the view and the time to word it.
pub type Worded = Box<dyn FnOnce(&View, DateTime<Utc>) -> Answer + Send>;

impl<T: Send + 'static> Then<T> {
    /// Goes on with `follow`.
    #[must_use]
    pub fn new(follow: impl FnOnce(T, &View, DateTime<Utc>) -> Answer + Send + 'static) -> Self {
        Self(Box::new(follow))
    }

    /// Takes the answer.
    #[must_use]
    pub fn with(self, found: T) -> Worded {
        Box::new(move |view, now| (self.0)(found, view, now))
    }
}
