//! Gathers what the dialog decides on: who asks, where, what is configured, and the proposal of a press.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::bot::Shared;
use crate::{
    store::Proposal,
    talk::{
        access::{ChatAdmins, Lists},
        dialog::{Context, Incoming, What},
        proposal,
        view::View,
    },
};

/// For how long a group's list of administrators is used before Telegram is asked again.
const ADMINS_FRESH: TimeDelta = TimeDelta::minutes(5);

/// A stranger gets one answer in this time.
const STRANGER_PAUSE: TimeDelta = TimeDelta::hours(1);

/// What is remembered of Telegram between two updates. A restart may forget it.
#[derive(Default)]
pub(super) struct Known {
    /// The bot's user name.
    name: Mutex<String>,
    /// The administrators of each group, and when they were asked for.
    admins: Mutex<BTreeMap<i64, (ChatAdmins, DateTime<Utc>)>>,
    /// When a stranger was answered last.
    strangers: Mutex<BTreeMap<i64, DateTime<Utc>>>,
}

impl Known {
    pub(super) fn set_name(&self, name: &str) {
        *lock(&self.name) = name.to_owned();
    }

    fn name(&self) -> String {
        lock(&self.name).clone()
    }

    fn stranger_answered_at(&self, id: i64) -> Option<DateTime<Utc>> {
        lock(&self.strangers).get(&id).copied()
    }

    /// Notes that a stranger gets an answer; false where one was given within the hour.
    pub(super) fn claim_strangers_answer(&self, id: i64, now: DateTime<Utc>) -> bool {
        let mut strangers = lock(&self.strangers);
        strangers.retain(|_, at| now - *at < STRANGER_PAUSE);
        let is_due = !strangers.contains_key(&id);
        strangers.entry(id).or_insert(now);
        is_due
    }
}

/// What a [`Context`] borrows from.
pub(super) struct Facts {
    view: View,
    now: DateTime<Utc>,
    bot: String,
    home: Option<(i64, Option<i32>)>,
    home_view: View,
    lists: Lists,
    chat_admins: ChatAdmins,
    pub(super) dry_run: bool,
    stranger_answer_due: bool,
    proposal: Option<Proposal>,
    /// The store cannot be read, so the proposal of a press is unknown.
    pub(super) is_blind: bool,
}

impl Facts {
    pub(super) fn context(&self) -> Context<'_> {
        Context {
            view: self.view,
            now: self.now,
            bot: &self.bot,
            home: self.home,
            home_view: self.home_view,
            lists: &self.lists,
            chat_admins: &self.chat_admins,
            dry_run: self.dry_run,
            stranger_answer_due: self.stranger_answer_due,
            proposal: self.proposal.as_ref(),
        }
    }
}

impl Shared {
    /// Returns who is listed, and the chat for reports.
    pub(super) fn lists(&self) -> Lists {
        Lists {
            admins: self.settings.admins.clone(),
            operators: self.settings.operators.clone(),
            viewers: self.settings.viewers.clone(),
            chat: self.settings.chat.map(|home| self.chats.resolve(home.chat)),
        }
    }

    /// Gathers the facts that a decision needs.
    pub(super) async fn facts(&self, incoming: &Incoming) -> Facts {
        let lists = self.lists();
        let chat_admins = match lists.need_chat_admins(incoming.place) {
            true => self.chat_admins(incoming.place.chat).await,
            false => ChatAdmins::Unknown,
        };
        // A scheduler that does not answer carries nothing out either way.
        let dry_run = self.handle.dry_run().await.unwrap_or(false);
        let now = self.clock.now();
        let answered = self.known.stranger_answered_at(incoming.sender.id());
        let proposal = match &incoming.what {
            What::Press { data, .. } => proposal::named_in(data),
            What::Text { .. } => None,
        };
        let proposal = proposal.map_or(Ok(None), |id| self.store.proposal(id));
        Facts {
            view: self.view(incoming),
            bot: self.known.name(),
            home: self.settings.chat.map(|home| (self.chats.resolve(home.chat), home.thread)),
            home_view: self.view_of(self.settings.chat.map(|home| home.chat).as_slice()),
            lists,
            chat_admins,
            dry_run,
            stranger_answer_due: answered.is_none_or(|at| now - at >= STRANGER_PAUSE),
            is_blind: proposal.is_err(),
            proposal: proposal.unwrap_or_default(),
            now,
        }
    }

    /// Asks Telegram who administers a group, unless that is known.
    async fn chat_admins(&self, chat: i64) -> ChatAdmins {
        let now = self.clock.now();
        let known = lock(&self.known.admins).get(&chat).cloned();
        if let Some((admins, at)) = &known
            && now - *at < ADMINS_FRESH
        {
            return admins.clone();
        }
        match self.api().administrators(chat).await {
            Ok(ids) => {
                let ids = ids.into_iter().filter_map(|id| i64::try_from(id.0).ok()).collect();
                let admins = ChatAdmins::Known(ids);
                lock(&self.known.admins).insert(chat, (admins.clone(), now));
                admins
            }
            Err(failure) => {
                tracing::warn!(chat.id = chat, error = %failure, "Telegram does not say who administers the group");
                ChatAdmins::Unknown
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
