//! Asks the scheduler or the store what a conversation needs.

use std::time::Duration;

use chrono::Days;
use tokio::time::timeout;

use super::bot::Shared;
use crate::{
    scheduler::{Later, Refused, Status},
    store::{ReplyTo, StoreError, TimelineFilter},
    talk::{
        HistoryPage,
        access::Sender,
        ask::{Ask, HistoryPart, Spoken, Then, Whose, Worded},
        cards::Input,
        dialog::Incoming,
    },
};

/// A look that takes longer than this renews nothing: the person has read the message and gone on, and the press takes
/// one of the person's places all the while.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(10);

/// What is shown instead of an answer once a look has ended that is under way.
pub(super) struct Renewal {
    later: Later,
    then: Then<Status>,
}

impl Renewal {
    /// Waits for the look, but not for long; `None` where none follows.
    pub(super) async fn worded(self) -> Option<Worded> {
        let status = timeout(RENEWAL_PATIENCE, self.later.status()).await.ok()??;
        Some(self.then.with(status))
    }
}

/// An answer, which may be renewed later, or why there is none.
pub(super) type Asked = Result<(Worded, Option<Renewal>), Refused>;

impl Shared {
    /// Asks the scheduler or the store.
    pub(super) async fn ask(&self, ask: Ask, incoming: &Incoming) -> Asked {
        if let Ask::Glance(then, Some(again)) = ask {
            let (status, later) = self.handle.glance_twice().await?;
            return Ok((then.with(status), Some(Renewal { later, then: again })));
        }
        Ok((self.ask_once(ask, incoming).await?, None))
    }

    async fn ask_once(&self, ask: Ask, incoming: &Incoming) -> Result<Worded, Refused> {
        let Sender::Person(person) = &incoming.sender else { return Err(Refused::Stopping) };
        let by = person.clone();
        let handle = &self.handle;
        Ok(match ask {
            Ask::Status(then) => then.with(handle.status().await?),
            Ask::Glance(then, _) => then.with(handle.glance().await?),
            Ask::Audit(count, of, then) => then.with(self.store.audit_of(of.as_deref(), count)?),
            Ask::Course(node, then) => then.with(self.course(node).await?),
            Ask::Days(then) => then.with(self.days().await?),
            Ask::History(part, then) => then.with(self.history(part)?),
            Ask::Balance(cluster, then) => then.with(handle.balance(cluster, by, answer_to(incoming)).await?),
            Ask::Drain(node, then) => then.with(handle.drain(node, by, answer_to(incoming)).await?),
            Ask::Maintain(nodes, then) => then.with(handle.maintain(nodes, by, answer_to(incoming)).await?),
            Ask::Round(proposal, hand, then) => then.with(handle.round(proposal, hand, by).await?),
            Ask::WhatIf(question, then) => then.with(handle.what_if(question).await?),
            Ask::Cancel(stop, then) => then.with(handle.cancel(stop, by).await?),
            Ask::Approve(proposal, shown, when, then) => {
                then.with(handle.approve(proposal, shown, when, by).await?)
            }
            Ask::ApproveAt(called, at, then) => then.with(handle.approve_at(called, at, by).await?),
            Ask::Undo(proposal, then) => then.with(handle.undo(proposal, by).await?),
            Ask::Return(proposal, then) => then.with(handle.node_returns(proposal, by).await?),
            Ask::Reject(proposal, reason, then) => then.with(handle.reject(proposal, reason, by).await?),
            Ask::Refresh(proposal, then) => then.with(handle.refresh(proposal, by).await?),
            Ask::Watch(proposal, wish, then) => then.with(handle.watch(proposal, wish, by).await?),
            Ask::Choose(proposal, selection, then) => {
                then.with(handle.choose(proposal, selection, by).await?)
            }
            Ask::Hand(key, kind, then) => {
                let is_open = self.shown.is_open(&key);
                if is_open {
                    let _ = self.inputs.send(Input::Hand { key, kind, by }).await;
                }
                then.with(is_open)
            }
            Ask::Settings(then) => then.with(handle.settings().await?),
            Ask::Language(choice, then) => {
                let chat = incoming.place.chat;
                if let Some((whose, language)) = choice {
                    let id = match whose {
                        Whose::Person => by.id,
                        Whose::Chat => chat,
                    };
                    self.languages.choose(id, language)?;
                    let _ = self.inputs.send(Input::Language { chat: id, language }).await;
                    self.menus_wanted.notify_one();
                }
                let of = |id| self.languages.chosen_by(id);
                then.with(Spoken { person: of(by.id), chat: of(chat), default: self.settings.language })
            }
            Ask::Change(change, then) => {
                let changed = handle.change(change, by).await?;
                then.with((changed, Box::new(handle.status().await?)))
            }
        })
    }

    /// Reads one part of the history, of everything or of one VM or node.
    fn history(&self, part: HistoryPart) -> Result<HistoryPage, StoreError> {
        let since = part.days.and_then(|days| self.clock.now().checked_sub_days(Days::new(days.into())));
        let filter = TimelineFilter { of: part.of.clone(), since };
        let found = self.store.timeline(&filter, part.at, part.count)?;
        Ok(HistoryPage { part, found })
    }
}

fn answer_to(incoming: &Incoming) -> ReplyTo {
    let Incoming { place, thread, message, .. } = incoming;
    ReplyTo { chat: place.chat, thread: *thread, message: Some(*message) }
}
