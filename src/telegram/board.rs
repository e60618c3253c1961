//! What the bot writes by itself at its time: the pinned board, and the digest once a day.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::bot::Shared;
use crate::{
    scheduler::{StandingEnd, StandingNow, StandingState},
    store::{PageAt, TimelineFilter},
    talk::{
        cards::{Address, Answer, AnswerKind, Input},
        view::Page,
    },
};

/// How often the board is compared with how things stand; it is edited only where they differ.
pub(super) const LOOK: Duration = Duration::from_secs(30);

/// Where the date of the last digest is in the store's outbox.
const LAST_DIGEST: &str = "digest";

/// Where the standing approvals in force are in the store's outbox.
const AUTOPILOTS: &str = "autopilots";

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
        let mut keeps_board = None;
        loop {
            let board = settings.habits.get().board;
            match (board, keeps_board) {
                (true, _) => self.show_board().await,
                (false, Some(false)) => {}
                (false, Some(true) | None) => self.end_board().await,
            }
            keeps_board = Some(board);
            self.tell_ended_autopilots().await;
            self.send_digest_if_due().await;
            sleep(settings.look_every).await;
        }
    }

    async fn end_board(&self) {
        let Some(home) = self.settings.chat else { return };
        let _ = self.inputs.send(Input::BoardOff(self.view_of(&[home.chat]).board_off())).await;
    }

    /// Says in one silent line what a standing approval did whose time is over or whose limits are used up. One that
    /// somebody ended was answered then.
    async fn tell_ended_autopilots(&self) {
        let Some(home) = self.settings.chat else { return };
        let known: Result<Option<Autopilots>, _> = self.store.outbox().get(AUTOPILOTS);
        let (Ok(known), Ok(standing)) = (known, self.handle.standing().await) else { return };
        let known = known.unwrap_or_default();
        let (mut kept, mut ended, now) = (Autopilots::of(&standing), Vec::new(), self.clock.now());
        for autopilot in &known.0 {
            if kept.0.iter().any(|it| it.since == autopilot.since) {
                continue;
            }
            match self.store.standing_use(autopilot.since) {
                Ok(of) if of.is_open => kept.0.push(autopilot.clone()),
                Ok(of) => ended.extend(autopilot.end(&standing, now).map(|end| (end, of.moved))),
                Err(error) => return tracing::warn!(%error, "what an autopilot did is not known"),
            }
        }
        if kept == known {
            return;
        }
        if let Err(error) = self.store.outbox().put(AUTOPILOTS, &kept) {
            return tracing::warn!(%error, "the end of an autopilot cannot be noted");
        }
        let view = self.view_of(&[home.chat]);
        for (end, moved) in ended {
            self.write_home(view.autopilot_ended(end, moved)).await;
        }
    }

    /// Sends one silent message to the chat for reports.
    async fn write_home(&self, page: Page) {
        let Some(home) = self.settings.chat else { return };
        let to = Address { chat: self.chats.resolve(home.chat), thread: home.thread, reply_to: None };
        let kind = AnswerKind::Final;
        let answer = Answer { to, page, rewrites: None, person: 0, kind, attached: None };
        let _ = self.inputs.send(Input::Answer(answer)).await;
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
        self.write_home(self.view_of(&[home.chat]).digest(&found.rows, &status)).await;
    }
}

/// The standing approvals that were in force at the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Autopilots(Vec<Autopilot>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Autopilot {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Autopilots {
    fn of(standing: &[StandingNow]) -> Self {
        let in_force = |it: &StandingNow| match it.state {
            StandingState::InForce(since) => Some(Autopilot { since, until: it.until }),
            StandingState::Asked { .. } | StandingState::Ended(_) => None,
        };
        Self(standing.iter().filter_map(in_force).collect())
    }
}

impl Autopilot {
    /// Why it ended by itself; `None` where somebody ended it.
    fn end(&self, standing: &[StandingNow], now: DateTime<Utc>) -> Option<StandingEnd> {
        let shown = standing.iter().find_map(|it| match it.state {
            StandingState::Ended(end) if it.until == self.until => Some(end),
            _ => None,
        });
        shown.or_else(|| (self.until <= now).then_some(StandingEnd::Time))
    }
}
