//! What the bot writes by itself at its time: the pinned board, and the digest once a day.

use std::{sync::Arc, time::Duration};

use chrono::{NaiveDate, TimeDelta};
use tokio::time::sleep;

use super::bot::Shared;
use crate::{
    store::{PageAt, TimelineFilter},
    talk::cards::{Address, Answer, AnswerKind, Input},
};

/// How often the board is compared with how things stand; it is edited only where they differ.
pub(super) const LOOK: Duration = Duration::from_secs(30);

/// Where the date of the last digest is in the store's outbox.
const LAST_DIGEST: &str = "digest";

/// What a digest is about.
const DAY: TimeDelta = TimeDelta::days(1);

/// More than this moves within a day only where something is badly wrong; then the count ends here.
const COUNTED_MAX: usize = 10_000;

impl Shared {
    /// Keeps the board and sends the digest, until everything stops.
    pub(super) async fn write_by_itself(self: Arc<Self>) {
        let settings = &self.settings;
        if settings.chat.is_none() {
            return std::future::pending().await;
        }
        loop {
            if settings.habits.get().board {
                self.show_board().await;
            }
            self.send_digest_if_due().await;
            sleep(settings.look_every).await;
        }
    }

    async fn show_board(&self) {
        let Some(home) = self.settings.chat else { return };
        if let Ok(status) = self.handle.status().await {
            let _ = self.inputs.send(Input::Board(self.view_of(&[home.chat]).board(&status))).await;
        }
    }

    async fn send_digest_if_due(&self) {
        let (Some(at), Some(home)) = (self.settings.habits.get().digest, self.settings.chat) else { return };
        let now = self.clock.now();
        let local = now.with_timezone(&self.settings.timezone).naive_local();
        let (today, is_due) = (local.date(), local.time() >= at);
        let last: Option<NaiveDate> = match self.store.outbox().get(LAST_DIGEST) {
            Ok(last) => last,
            Err(error) => return tracing::warn!(%error, "the last digest is not known"),
        };
        let is_told = last.is_some_and(|last| last >= today);
        if is_told || (!is_due && last.is_some()) {
            return;
        }
        // A bot that never sent one begins with the next: nobody waits for that of this morning.
        let noted = if last.is_none() && !is_due { today.pred_opt().unwrap_or(today) } else { today };
        if let Err(error) = self.store.outbox().put(LAST_DIGEST, &noted) {
            return tracing::warn!(%error, "the digest cannot be noted");
        }
        if last.is_none() {
            return;
        }
        let filter = TimelineFilter { of: None, since: Some(now - DAY) };
        let found = self.store.timeline(&filter, PageAt::Newest, COUNTED_MAX);
        let (Ok(found), Ok(status)) = (found, self.handle.status().await) else { return };
        let to = Address { chat: self.chats.resolve(home.chat), thread: home.thread, reply_to: None };
        let page = self.view_of(&[home.chat]).digest(&found.rows, &status);
        let answer = Answer { to, page, rewrites: None, person: 0, kind: AnswerKind::Final, attached: None };
        let _ = self.inputs.send(Input::Answer(answer)).await;
    }
}
