//! Faults that can be switched on while the server runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Faults that are switched on; all off by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Connections are dropped, running ones too.
    pub away: bool,
    /// How many of the next sends and edits are answered with 429.
    pub too_many_requests: u32,
    /// The seconds a 429 asks to wait.
    pub retry_after_seconds: u32,
    /// How many of the next requests are answered with a 502 and a page of HTML.
    pub server_errors: u32,
    /// How many of the next sends, edits and answers are carried out, but lose their response.
    pub lost_answers: u32,
    /// Sends, edits and answers are carried out, and their responses never come.
    pub late_answers: bool,
    /// The delay of each answer but those of `getUpdates`.
    pub slow: Duration,
    /// Every `getUpdates` is refused because of another poller.
    pub conflict: bool,
    /// The bot's privacy mode is off, which its owner chooses at BotFather.
    pub reads_all: bool,
}

/// How a fault affects a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    LostAnswer,
    LateAnswer,
    ServerError,
    TooMany { retry_after_seconds: u32 },
}

impl Faults {
    /// Returns how the faults affect a request with this method, and counts it.
    pub(super) fn meet(&mut self, method: Kind) -> Fate {
        if take_one(&mut self.server_errors) {
            return Fate::ServerError;
        }
        if method == Kind::Post && take_one(&mut self.too_many_requests) {
            return Fate::TooMany { retry_after_seconds: self.retry_after_seconds.max(1) };
        }
        if matches!(method, Kind::Post | Kind::Answer) && take_one(&mut self.lost_answers) {
            return Fate::LostAnswer;
        }
        if matches!(method, Kind::Post | Kind::Answer) && self.late_answers {
            return Fate::LateAnswer;
        }
        Fate::Answered
    }
}

/// The kinds of methods that faults distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Puts something into a chat: sends and edits, which share Telegram's limit.
    Post,
    /// Answers a press.
    Answer,
    /// Waits for updates.
    Poll,
    /// All else.
    Other,
}

impl Kind {
    /// Tells by the method's name in lower case.
    pub(super) fn of(method: &str) -> Self {
        match method {
            "getupdates" => Self::Poll,
            "answercallbackquery" => Self::Answer,
            "sendchataction" => Self::Other,
            method if method.starts_with("send") || method.starts_with("edit") => Self::Post,
            _ => Self::Other,
        }
    }
}

fn take_one(left: &mut u32) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}
