//! What the cards are given, and what they answer with: the two sides of [`super::Cards::on`].

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::{Card, HandKind, Step, queue::Job};
use crate::{
    event::Alert,
    model::{Person, ProposalId},
    picture::Chart,
    store::Proposal,
    talk::{Language, ask::Document, view::Page},
};

/// Time since the front-end was started; does not jump when somebody sets the clock.
pub(crate) type SinceStart = Duration;

/// The time of an input, on the calendar and on a clock that never jumps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) date: DateTime<Utc>,
    pub(crate) run: SinceStart,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) chat: i64,
    pub(crate) thread: Option<i32>,
    pub(crate) reply_to: Option<i32>,
}

/// An answer to a command or a press.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) to: Address,
    pub(crate) page: Page,
    /// The message to edit; a new one is sent where there is none.
    pub(crate) rewrites: Option<i32>,
    /// Who asked: answers are shared out by person.
    pub(crate) person: i64,
    pub(crate) kind: AnswerKind,
    /// What comes with it; the page is then what is said where the chat does not take it.
    pub(crate) attached: Option<Attached>,
}

/// What an answer brings besides its text. It counts as one message, and waits like one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attached {
    File(Arc<Document>),
    /// Drawn when its turn comes, with the answer's page as its caption.
    Picture(Arc<Chart>),
}

/// Whether an answer is the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    Final,
    /// It says silently that the answer takes a while. The answer, or the plan that was asked for, goes on in its message.
    Interim,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A proposal changed. `with` holds it as it is in the store, and the ones that it replaced or that replaced it.
    Changed {
        id: ProposalId,
        with: Vec<Proposal>,
    },
    /// Everything that the store has for [`super::Cards::proposals`] and besides, after a start or where changes were missed.
    Everything(Vec<Proposal>),
    Alert {
        alert: Alert,
        dry_run: bool,
    },
    Answer(Answer),
    /// Somebody pressed a button of the alert with this key.
    Hand {
        key: String,
        kind: HandKind,
        by: Person,
    },
    /// Somebody pressed a button of this message, or replied to it: it shows the card with this key.
    Seen {
        key: String,
        chat: i64,
        message: i32,
        /// The card's proposal.
        with: Option<Box<Proposal>>,
    },
    /// A chat chose a language, or took its choice back. What it shows is in that language from the next change on.
    Language {
        chat: i64,
        language: Option<Language>,
    },
    /// How things stand, for the pinned board.
    Board(Page),
    /// What the pinned board says at last: it is not kept any more.
    BoardOff(Page),
    /// Something came from this chat, so it can be written to.
    Heard(i64),
    /// A group has a new number.
    Moved {
        from: i64,
        to: i64,
    },
    /// A call ended; a new message has a number.
    Ended {
        call: Call,
        result: Result<Option<i32>, Failed>,
    },
    /// The time of [`super::Cards::wake_at`] has come.
    Wake,
}

/// What the front-end does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Carries out a call; [`Input::Ended`] tells its result.
    Call(Call),
    /// Keeps a card in the store, in place of the one with its key.
    Record(Card),
    /// Removes the card with this key from the store.
    Forget(String),
    ChatMoved {
        from: i64,
        to: i64,
    },
    /// Nothing is sent there until something comes from it.
    ChatDead {
        chat: i64,
        why: String,
    },
    ChatAlive(i64),
    /// Pins the board.
    Pin {
        chat: i64,
        message: i32,
    },
    /// Takes the board down.
    Unpin {
        chat: i64,
        message: i32,
    },
    /// An answer is not sent: the chat does not take it, or too many wait.
    AnswerDropped {
        chat: i64,
    },
}

/// One call to the chat.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) job: Job,
    pub(crate) to: Address,
    pub(crate) step: Step,
}

/// Why a call was not carried out, by what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The chat wants a pause.
    Wait(Duration),
    /// It may or may not have been carried out.
    NoAnswer,
    /// It was not carried out.
    Unreached,
    Unauthorized,
    MessageGone,
    ThreadGone,
    Moved(i64),
    ChatDead(String),
    /// Would be refused again.
    Refused,
}
