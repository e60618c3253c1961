//! Shows people what the store knows: one message for each matter, edited as it goes on.
//!
//! [`TelegramNotifier`] carries out what [`super::outbox`] says is next, and reads the store when it does: what
//! Telegram missed while it was away is never sent late, only how things stand. It holds up nobody: the balancer
//! does not know that it exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
};

use futures::FutureExt as _;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    api::{Address, Api, Failure, Markup},
    chats::Chats,
    outbox::{Answer, Card, Job, Queue, Rank, Shown, Spacing, Subject, WAITING_CARDS_MAX},
};
use crate::{
    clock::Clock,
    event::{Alert, Event, Events},
    model::ProposalId,
    scheduler::Handle,
    store::{KeptAlert, Origin, Outcome, Proposal, ProposalState, StepState, Store, StoreError},
    talk::view::{Page, View},
};

/// Where cards are in the store's outbox.
const CARD: &str = "card:";

/// After a start, or when events were missed, so many of the newest proposals are compared with what is shown;
/// those that can still change are compared besides.
const LOOKED_THROUGH: usize = 200;

/// The same alert within this time is the same matter: its message is edited instead of ringing again.
const SAME_MATTER: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// What ended before this is no news, whether it was shown or not; shorter than cards are kept.
const NEWS: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// An alert that waited longer than this, for a chat or for somebody to start the bot, is no news.
const ALERT_NEWS: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// After an error of the store everything is compared with it again, so often until there is none: a full disk
/// takes minutes at least.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// A token that is refused may be renewed at Telegram; nobody is asked for it more often.
const BAD_TOKEN_PAUSE: std::time::Duration = std::time::Duration::from_secs(60);

/// How long the last edits may take when everything stops; the whole stop has 10 s.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(2);

/// How long an alert waits to learn whether this is a dry run.
const DRY_RUN_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// What the reader of updates tells the writer.
#[derive(Debug)]
pub(super) enum Note {
    Answer(Answer),
    /// Something came from this chat, so it can be written to.
    Heard(i64),
    Moved {
        from: i64,
        to: i64,
    },
}

/// The chat for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatTarget {
    pub chat: i64,
    /// The topic, in a forum.
    pub thread: Option<i32>,
}

/// Writes to chats.
pub struct TelegramNotifier {
    api: Api,
    handle: Handle,
    store: Store,
    clock: Clock,
    chats: Chats,
    view: View,
    home: Option<ChatTarget>,
    heard: tokio::sync::broadcast::Receiver<Event>,
    notes: mpsc::Receiver<Note>,
    queue: Queue,
    cards: BTreeMap<String, Card>,
    /// Cards that the store did not take as they are.
    unrecorded: BTreeSet<String>,
    /// The store could not be used, and that was logged.
    troubled: bool,
    look_again: Option<Instant>,
}

/// What came of one job.
enum Ended {
    Answer { answer: Answer, result: Result<(), Failure> },
    Card { key: String, chat: i64, step: Step, result: Result<Option<i32>, Failure> },
}

/// One call that brings a card nearer to what it should show.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Send { index: usize, page: Page },
    Edit { message: i32, page: Page },
    Delete { message: i32 },
}

/// What a card should show.
struct Wanted {
    pages: Vec<Page>,
    revision: u64,
    settled: bool,
    rank: Rank,
}

/// What [`TelegramNotifier`] is joined from.
pub(super) struct Parts {
    pub(super) api: Api,
    pub(super) handle: Handle,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) chats: Chats,
    pub(super) view: View,
    pub(super) home: Option<ChatTarget>,
    pub(super) spacing: Spacing,
}

impl TelegramNotifier {
    /// Listens from here on; what was said before is found in the store.
    pub(super) fn new(
        parts: Parts,
        events: &Events,
        notes: mpsc::Receiver<Note>,
    ) -> Result<Self, StoreError> {
        let Parts { api, handle, store, clock, chats, view, home, spacing } = parts;
        let heard = events.listen();
        let cards = store.outbox().with_prefix::<Card>(CARD)?.into_iter();
        let cards = cards.map(|(_, card)| (card.key(), card)).collect();
        let queue = Queue::new(spacing);
        Ok(Self {
            api,
            handle,
            store,
            clock,
            chats,
            view,
            home,
            heard,
            notes,
            queue,
            cards,
            unrecorded: BTreeSet::new(),
            troubled: false,
            look_again: None,
        })
    }

    /// Writes until `shutdown`, and then for a moment what is ready.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut jobs: JoinSet<Ended> = JoinSet::new();
        for chat in self.chats.dead_chats() {
            self.queue.dead(chat);
        }
        self.catch_up().await;
        loop {
            self.begin(&mut jobs);
            let wake = self.queue.wake_at(Instant::now());
            tokio::select! {
                () = shutdown.cancelled() => break,
                event = self.heard.recv() => match event {
                    Ok(event) => self.hear(event).await,
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => break,
                },
                Some(note) = self.notes.recv() => self.note(note),
                Some(ended) = jobs.join_next(), if !jobs.is_empty() => self.ended(ended),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = sleep_until(self.look_again.unwrap_or_else(Instant::now)), if self.look_again.is_some() => {
                    self.catch_up().await;
                }
            }
        }
        let _ = timeout(LAST_WORDS, self.last_words(&mut jobs)).await;
    }

    async fn last_words(&mut self, jobs: &mut JoinSet<Ended>) {
        while let Ok(event) = self.heard.try_recv() {
            self.hear(event).await;
        }
        loop {
            self.begin(jobs);
            let Some(ended) = jobs.join_next().await else { return };
            self.ended(ended);
        }
    }

    /// Compares the store with what is shown; after an error of the store it is done again.
    async fn catch_up(&mut self) {
        self.look_again = None;
        self.record_again();
        self.compare();
        self.take_alerts().await;
        if self.look_again.is_none() && std::mem::take(&mut self.troubled) {
            tracing::info!("what is shown can be compared with the store again");
        }
    }

    /// Notes that the store could not be used: what could not be done is done when it can.
    fn trouble(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.troubled, true) {
            tracing::error!(error = %error.chain(), "what is to be shown cannot be read or recorded; trying again");
        }
        self.look_again = Some(Instant::now() + LOOK_AGAIN);
    }

    fn compare(&mut self) {
        let unsettled: Vec<_> =
            self.cards.iter().filter(|(_, card)| !card.settled).map(|(key, _)| key.clone()).collect();
        let now = self.clock.now();
        match self.proposals() {
            Ok(proposals) => {
                for proposal in proposals {
                    // What ended long ago was shown then, and its card is gone; it is no news.
                    if !proposal.state.is_final() || now - proposal.created_at < NEWS {
                        self.see(&proposal);
                    }
                }
            }
            Err(error) => self.trouble(&error),
        }
        for key in unsettled {
            self.want(&key);
        }
        let outdated: Vec<_> =
            self.cards.iter().filter(|(_, card)| card.is_outdated(now)).map(|(key, _)| key.clone()).collect();
        for key in outdated {
            self.remove(&key);
        }
    }

    fn proposals(&self) -> Result<Vec<Proposal>, StoreError> {
        let mut all: BTreeMap<ProposalId, Proposal> = BTreeMap::new();
        for proposal in
            self.store.recent_proposals(LOOKED_THROUGH)?.into_iter().chain(self.store.open_proposals()?)
        {
            all.insert(proposal.id, proposal);
        }
        Ok(all.into_values().collect())
    }

    async fn hear(&mut self, event: Event) {
        match event {
            Event::Proposal(id) => self.see_number(id),
            Event::Alert(alert) => {
                let dry_run = self.is_dry_run().await;
                self.take_alert(alert, dry_run);
            }
        }
    }

    /// Makes cards of the alerts that nobody has made one of: said before this listened, or missed since.
    async fn take_alerts(&mut self) {
        let kept = match self.store.alerts() {
            Ok(kept) => kept,
            Err(error) => return self.trouble(&error),
        };
        if kept.is_empty() {
            return;
        }
        let (dry_run, now) = (self.is_dry_run().await, self.clock.now());
        for KeptAlert { at, alert } in kept {
            match now - at < ALERT_NEWS {
                true => self.take_alert(alert, dry_run),
                false => self.forget_alert(&alert),
            }
        }
    }

    async fn is_dry_run(&self) -> bool {
        // A scheduler that does not answer is on its way out; what it said is said all the same.
        matches!(timeout(DRY_RUN_PATIENCE, self.handle.dry_run()).await, Ok(Ok(true)))
    }

    /// From here on the card keeps the alert.
    fn take_alert(&mut self, alert: Alert, dry_run: bool) {
        self.see_alert(alert.clone(), dry_run);
        if !self.unrecorded.contains(&alert_card(&alert)) {
            self.forget_alert(&alert);
        }
    }

    fn forget_alert(&mut self, alert: &Alert) {
        if let Err(error) = self.store.forget_alert(alert) {
            self.trouble(&error);
        }
    }

    fn see_number(&mut self, id: ProposalId) {
        match self.store.proposal(id) {
            Ok(Some(proposal)) => self.see(&proposal),
            Ok(None) => {}
            Err(error) => self.trouble(&error),
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Answer(answer) => {
                if !self.queue.answer(answer) {
                    tracing::warn!("too many answers wait for Telegram; one is left out");
                }
            }
            Note::Heard(chat) => {
                self.chats.alive(chat);
                self.queue.alive(chat);
            }
            Note::Moved { from, to } => self.moved(from, to),
        }
    }

    /// Makes a card of a proposal, or of its newer state.
    fn see(&mut self, proposal: &Proposal) {
        if let Err(error) = self.try_to_see(proposal) {
            self.trouble(&error);
        }
    }

    fn try_to_see(&mut self, proposal: &Proposal) -> Result<(), StoreError> {
        let Some(to) = self.address(proposal) else { return Ok(()) };
        let scheduled_for = (proposal.origin == Origin::Schedule).then_some(proposal.cluster);
        let subject = Subject::Proposal { id: proposal.id, scheduled_for };
        let fresh = Card::new(subject, to, self.clock.now());
        let key = fresh.key();
        match self.cards.get(&key) {
            Some(card) if card.shown == Some(proposal.revision) => return Ok(()),
            Some(_) => {}
            None => {
                let mut card = fresh;
                if takes_over(proposal) {
                    self.adopt(proposal, &mut card)?;
                }
                if let (ProposalState::Superseded { by, .. }, true) =
                    (&proposal.state, card.messages.is_empty())
                {
                    // Nobody saw it; what took its place is shown instead.
                    self.see_number(*by);
                    return Ok(());
                }
                self.keep(card);
            }
        }
        if let ProposalState::Superseded { by, .. } = proposal.state
            && let Some(newer) = self.store.proposal(by)?
            && takes_over(&newer)
        {
            // The newer one goes on in this message.
            self.see(&newer);
            if !self.cards.contains_key(&key) {
                return Ok(());
            }
        }
        self.want(&key);
        Ok(())
    }

    /// Takes over the messages of the proposal that gave way to this one.
    fn adopt(&mut self, newer: &Proposal, card: &mut Card) -> Result<(), StoreError> {
        let Some((key, revision)) = self.gave_way_to(newer, card.chat)? else { return Ok(()) };
        let Some(mut older) = self.remove(&key) else { return Ok(()) };
        card.thread = older.thread;
        card.reply_to = older.reply_to;
        let messages = std::mem::take(&mut older.messages).into_iter();
        card.messages = messages.map(|shown| Shown { hash: String::new(), ..shown }).collect();
        // Kept without messages: what is shown in another's place must not be sent again after a restart.
        older.shown = Some(revision);
        older.settled = true;
        older.touched_at = self.clock.now();
        self.keep(older);
        Ok(())
    }

    /// The card with messages in this chat whose proposal gave way to this one, and that proposal's revision.
    fn gave_way_to(&self, newer: &Proposal, chat: i64) -> Result<Option<(String, u64)>, StoreError> {
        for (key, older) in self.cards.iter().rev() {
            let Subject::Proposal { id, .. } = older.subject else { continue };
            if id >= newer.id || older.chat != chat || older.messages.is_empty() {
                continue;
            }
            if let Some(older) = self.store.proposal(id)?.filter(|older| gave_way(older, newer)) {
                return Ok(Some((key.clone(), older.revision)));
            }
        }
        Ok(None)
    }

    fn address(&self, proposal: &Proposal) -> Option<Address> {
        let home = self.home.map(|home| Address { chat: home.chat, thread: home.thread, reply_to: None });
        let to = match &proposal.reply_to {
            Some(reply) => Some(Address { chat: reply.chat, thread: reply.thread, reply_to: reply.message }),
            None => home,
        }?;
        Some(self.resolved(to))
    }

    /// The address in the group's present number; topics and messages of the old one mean nothing there.
    fn resolved(&self, to: Address) -> Address {
        match self.chats.resolve(to.chat) {
            chat if chat == to.chat => to,
            chat => Address { chat, thread: None, reply_to: None },
        }
    }

    fn see_alert(&mut self, alert: Alert, dry_run: bool) {
        let Some(home) = self.home else { return };
        let to = self.resolved(Address { chat: home.chat, thread: home.thread, reply_to: None });
        let now = self.clock.now();
        let key = alert_card(&alert);
        let said = Subject::Alert { alert: alert.clone(), revision: 0, dry_run };
        let mut card = match self.cards.remove(&key) {
            Some(card) if goes_on(&card, &alert, now) => card,
            Some(_) | None => Card::new(said, to, now),
        };
        if let Subject::Alert { alert: known, .. } = &card.subject
            && *known == alert
            && card.shown.is_some()
        {
            // Said already.
            self.cards.insert(key, card);
            return;
        }
        let revision = match &card.subject {
            Subject::Alert { revision, .. } => revision + 1,
            Subject::Proposal { .. } | Subject::Missing { .. } => 1,
        };
        card.subject = Subject::Alert { alert, revision, dry_run };
        card.settled = false;
        card.touched_at = now;
        self.keep(card);
        self.want(&key);
    }

    /// Queues a card that does not show what it should.
    fn want(&mut self, key: &str) {
        let Some(card) = self.cards.get(key) else { return };
        let chat = card.chat;
        match self.wanted(card) {
            Ok(Some(wanted)) if card.shown == Some(wanted.revision) => {}
            Ok(Some(wanted)) => {
                self.queue.show(key, chat, wanted.rank);
                self.bound();
            }
            Ok(None) => {
                self.remove(key);
            }
            Err(error) => self.trouble(&error),
        }
    }

    /// What does not fit any more is counted and said, never just left out.
    fn bound(&mut self) {
        let waiting = self.queue.waiting();
        if waiting.len() <= WAITING_CARDS_MAX {
            return;
        }
        let is_report = |key: &&String| key.as_str() != "missing";
        let Some(oldest) = waiting.iter().find(is_report).cloned() else { return };
        let troubled = self.cards.get(&oldest).is_some_and(|card| self.is_trouble(card));
        self.queue.forget(&oldest);
        let left_out = self.remove(&oldest);
        let to = left_out.map(|card| Address { chat: card.chat, thread: card.thread, reply_to: None });
        let Some(to) = to else { return };
        let (quiet_before, troubled_before) = match self.cards.get("missing").map(|card| &card.subject) {
            Some(Subject::Missing { quiet, troubled }) => (*quiet, *troubled),
            _ => (0, 0),
        };
        let subject = Subject::Missing {
            quiet: quiet_before + u64::from(!troubled),
            troubled: troubled_before + u64::from(troubled),
        };
        let mut card =
            self.cards.remove("missing").unwrap_or_else(|| Card::new(subject.clone(), to, self.clock.now()));
        card.subject = subject;
        card.settled = false;
        let chat = card.chat;
        self.keep(card);
        self.queue.show("missing", chat, Rank::Matter);
    }

    fn is_trouble(&self, card: &Card) -> bool {
        let Subject::Proposal { id, .. } = card.subject else { return true };
        let Ok(Some(proposal)) = self.store.proposal(id) else { return true };
        proposal.steps.iter().any(|step| match &step.state {
            StepState::Ended { outcome, .. } => matches!(outcome, Outcome::Failed | Outcome::Lost),
            StepState::Waiting | StepState::LeftOut { .. } | StepState::Running { .. } => false,
        })
    }

    /// What a card should show; `None` where there is nothing to show any more.
    fn wanted(&self, card: &Card) -> Result<Option<Wanted>, StoreError> {
        let now = self.clock.now();
        Ok(match &card.subject {
            Subject::Proposal { id, .. } => self.store.proposal(*id)?.map(|proposal| Wanted {
                pages: self.view.proposal(&proposal, now),
                revision: proposal.revision,
                settled: proposal.state.is_final(),
                rank: match proposal.state {
                    ProposalState::Running { .. } if !card.messages.is_empty() => Rank::Progress,
                    _ => Rank::Matter,
                },
            }),
            Subject::Alert { alert, revision, dry_run } => Some(Wanted {
                pages: vec![match dry_run {
                    true => self.view.alert(alert, now).in_dry_run(),
                    false => self.view.alert(alert, now),
                }],
                revision: *revision,
                settled: true,
                rank: Rank::Matter,
            }),
            Subject::Missing { quiet, troubled } => Some(Wanted {
                pages: vec![self.view.reports_missing(*quiet, *troubled)],
                revision: quiet + troubled,
                settled: true,
                rank: Rank::Matter,
            }),
        })
    }

    /// Begins what may be done now.
    fn begin(&mut self, jobs: &mut JoinSet<Ended>) {
        while let Some(job) = self.queue.next(Instant::now()) {
            match job {
                Job::Answer(answer) => {
                    let api = self.api.clone();
                    let to = self.resolved(answer.to);
                    jobs.spawn(async move {
                        let result = unbroken(answered(&api, to, &answer)).await;
                        Ended::Answer { answer, result }
                    });
                }
                Job::Card { key, chat } => match self.next_step(&key) {
                    Some((step, to)) => {
                        let api = self.api.clone();
                        jobs.spawn(async move {
                            let result = unbroken(shown(&api, to, &step)).await;
                            Ended::Card { key, chat, step, result }
                        });
                    }
                    None => self.queue.ended(chat, false, Instant::now()),
                },
            }
        }
    }

    /// What the card of this key should show; `None` too where the store cannot tell at the moment.
    fn wanted_now(&mut self, key: &str) -> Option<Wanted> {
        match self.wanted(self.cards.get(key)?) {
            Ok(wanted) => wanted,
            Err(error) => {
                self.trouble(&error);
                None
            }
        }
    }

    /// Returns the next call for a card; `None` where it shows what it should, and is noted so.
    fn next_step(&mut self, key: &str) -> Option<(Step, Address)> {
        let wanted = self.wanted_now(key)?;
        let card = self.cards.get_mut(key)?;
        if let Some(step) = step_towards(card, &wanted.pages) {
            let reply_to = match (&step, card.messages.first()) {
                // Further parts answer the first, so that they stay together.
                (Step::Send { index, .. }, Some(first)) if *index > 0 => Some(first.message),
                _ => card.reply_to,
            };
            return Some((step, Address { chat: card.chat, thread: card.thread, reply_to }));
        }
        card.shown = Some(wanted.revision);
        card.settled = wanted.settled;
        card.touched_at = self.clock.now();
        let card = card.clone();
        self.keep(card);
        None
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        match ended {
            Ok(Ended::Answer { answer, result }) => self.answer_ended(answer, result),
            Ok(Ended::Card { key, chat, step, result }) => self.card_ended(&key, chat, step, result),
            Err(error) => tracing::error!(%error, "writing to Telegram broke"),
        }
    }

    fn answer_ended(&mut self, mut answer: Answer, result: Result<(), Failure>) {
        let now = Instant::now();
        let chat = answer.to.chat;
        match result {
            Ok(()) => self.queue.ended(chat, true, now),
            Err(Failure::TooMany(wait)) => {
                self.queue.failed(chat, Some(wait), now);
                self.queue.answer_again(answer);
            }
            Err(Failure::NoAnswer(why)) => {
                tracing::warn!(chat.id = chat, why, "Telegram does not answer; trying again");
                self.queue.failed(chat, None, now);
                self.queue.answer_again(answer);
            }
            Err(Failure::MessageGone) if answer.rewrites.is_some() => {
                answer.rewrites = None;
                self.queue.ended(chat, false, now);
                self.queue.answer_again(answer);
            }
            Err(Failure::ThreadGone) if answer.to.thread.is_some() => {
                answer.to.thread = None;
                self.queue.ended(chat, false, now);
                self.queue.answer_again(answer);
            }
            Err(Failure::Moved(to)) => {
                self.queue.ended(chat, false, now);
                self.queue.answer_again(answer);
                self.moved(chat, to);
            }
            Err(Failure::ChatDead(why)) => self.is_dead(chat, &why),
            Err(failure) => {
                tracing::warn!(chat.id = chat, %failure, "an answer cannot be sent");
                self.queue.ended(chat, false, now);
            }
        }
    }

    fn card_ended(&mut self, key: &str, chat: i64, step: Step, result: Result<Option<i32>, Failure>) {
        let now = Instant::now();
        let failure = match result {
            Ok(sent) => {
                self.queue.ended(chat, true, now);
                self.took(key, step, sent);
                self.want(key);
                return;
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::TooMany(wait) => self.queue.failed(chat, Some(wait), now),
            Failure::NoAnswer(why) => {
                tracing::warn!(chat.id = chat, why, "Telegram does not answer; trying again");
                self.queue.failed(chat, None, now);
            }
            // The reader says so; what waits is shown when the token is good again.
            Failure::BadToken => self.queue.failed(chat, Some(BAD_TOKEN_PAUSE), now),
            Failure::MessageGone => match step {
                Step::Edit { message, .. } | Step::Delete { message } => {
                    self.queue.ended(chat, false, now);
                    self.lose_message(key, message);
                }
                // Nothing of ours is missing, so there is nothing to mend: later it may be taken.
                Step::Send { .. } => self.queue.failed(chat, None, now),
            },
            Failure::ThreadGone => match self.cards.get_mut(key).and_then(|card| card.thread.take()) {
                Some(_) => self.queue.ended(chat, false, now),
                // The chat's general topic is closed; it may be opened again.
                None => self.queue.failed(chat, None, now),
            },
            Failure::Moved(to) => {
                self.queue.ended(chat, false, now);
                self.moved(chat, to);
            }
            Failure::ChatDead(why) => self.is_dead(chat, &why),
            failure => {
                // Saying it again would be refused again; the next change is tried anew.
                tracing::warn!(chat.id = chat, %failure, "a message cannot be shown");
                self.queue.ended(chat, false, now);
                self.give_up_revision(key);
                return;
            }
        }
        self.want(key);
    }

    fn took(&mut self, key: &str, step: Step, sent: Option<i32>) {
        let Some(card) = self.cards.get_mut(key) else { return };
        match (step, sent) {
            (Step::Send { index, page }, Some(message)) => {
                let shown = Shown { message, hash: hash(&page) };
                card.messages.insert(index.min(card.messages.len()), shown);
            }
            (Step::Edit { message, page }, _) => {
                if let Some(shown) = card.messages.iter_mut().find(|shown| shown.message == message) {
                    shown.hash = hash(&page);
                }
            }
            (Step::Delete { message }, _) => card.messages.retain(|shown| shown.message != message),
            (Step::Send { .. }, None) => {}
        }
        let card = card.clone();
        self.keep(card);
    }

    /// Somebody deleted a message: what it showed moves up into the next ones, and a new one follows at the end.
    fn lose_message(&mut self, key: &str, message: i32) {
        if let Some(card) = self.cards.get_mut(key) {
            card.messages.retain(|shown| shown.message != message);
            let card = card.clone();
            self.keep(card);
        }
    }

    fn give_up_revision(&mut self, key: &str) {
        let wanted = self.wanted_now(key);
        if let (Some(card), Some(wanted)) = (self.cards.get_mut(key), wanted) {
            card.shown = Some(wanted.revision);
            card.settled = wanted.settled;
            let card = card.clone();
            self.keep(card);
        }
    }

    fn is_dead(&mut self, chat: i64, why: &str) {
        if self.chats.dead(chat, why) {
            tracing::warn!(
                chat.id = chat,
                why,
                "nothing can be written to this chat until something comes from it"
            );
        }
        self.queue.dead(chat);
    }

    fn moved(&mut self, from: i64, to: i64) {
        if self.chats.moved(from, to) {
            tracing::warn!(
                chat.id = from,
                supergroup.id = to,
                "the group is a supergroup now; put its number into TELEGRAM_CHAT_ID"
            );
        }
        self.queue.moved(from, to);
        let here: Vec<_> =
            self.cards.iter().filter(|(_, card)| card.chat == from).map(|(key, _)| key.clone()).collect();
        for key in here {
            if let Some(card) = self.cards.get_mut(&key) {
                card.moved(to);
                let card = card.clone();
                let settled = card.settled;
                self.keep(card);
                if !settled {
                    self.want(&key);
                }
            }
        }
    }

    fn keep(&mut self, card: Card) {
        let key = card.key();
        match self.store.outbox().put(&format!("{CARD}{key}"), &card) {
            Ok(()) => {
                self.unrecorded.remove(&key);
            }
            // It is shown all the same; only a restart before it is recorded could show it twice.
            Err(error) => {
                self.unrecorded.insert(key.clone());
                self.trouble(&error);
            }
        }
        self.cards.insert(key, card);
    }

    fn record_again(&mut self) {
        for key in std::mem::take(&mut self.unrecorded) {
            if let Some(card) = self.cards.get(&key).cloned() {
                self.keep(card);
            }
        }
    }

    fn remove(&mut self, key: &str) -> Option<Card> {
        if let Err(error) = self.store.outbox().remove(&format!("{CARD}{key}")) {
            tracing::error!(error = %error.chain(), "what was shown cannot be forgotten");
        }
        self.queue.forget(key);
        self.cards.remove(key)
    }
}

/// The key of the card that shows an alert.
fn alert_card(alert: &Alert) -> String {
    format!("a-{}", alert.key())
}

/// A plan of the schedule, or one by the Refresh button, goes on in the message of the one it replaces; one that
/// somebody asked for with `/balance` answers that message.
fn takes_over(proposal: &Proposal) -> bool {
    match proposal.origin {
        Origin::Schedule | Origin::Replaces(_) => true,
        Origin::Person(_) | Origin::Once => false,
    }
}

/// Tells whether a plan goes on in the message of an older one. What was approved and could not be carried out
/// keeps its message: that tells why.
fn gave_way(older: &Proposal, newer: &Proposal) -> bool {
    let has_begun = older.steps.iter().any(|step| matches!(step.state, StepState::Ended { .. }));
    match older.state {
        ProposalState::Superseded { by, .. } => by == newer.id,
        ProposalState::Expired { .. } | ProposalState::Stale { .. } | ProposalState::Shown { .. } => {
            newer.origin == Origin::Replaces(older.id) && !has_begun
        }
        ProposalState::Pending
        | ProposalState::Approved { .. }
        | ProposalState::Running { .. }
        | ProposalState::Done { .. }
        | ProposalState::Rejected { .. } => false,
    }
}

/// Tells whether an alert is the next word on what a card shows.
fn goes_on(card: &Card, alert: &Alert, now: chrono::DateTime<chrono::Utc>) -> bool {
    matches!(alert, Alert::VmManagerBack { .. }) || now - card.touched_at < SAME_MATTER
}

/// The next difference between what a card shows and what it should. The first message is edited last: when it
/// says that a plan is done, the others have the outcomes.
fn step_towards(card: &Card, pages: &[Page]) -> Option<Step> {
    let towards = |index: usize| {
        let page = pages.get(index)?.clone();
        match card.messages.get(index) {
            None => Some(Step::Send { index, page }),
            Some(shown) if shown.hash != hash(&page) => Some(Step::Edit { message: shown.message, page }),
            Some(_) => None,
        }
    };
    if card.messages.is_empty() {
        return towards(0);
    }
    let surplus = || card.messages.get(pages.len()).map(|shown| Step::Delete { message: shown.message });
    (1..pages.len()).find_map(towards).or_else(surplus).or_else(|| towards(0))
}

fn hash(page: &Page) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    hash.update(page.html());
    for button in page.buttons.iter().flatten() {
        hash.update([0]);
        hash.update(&button.label);
        hash.update([0]);
        hash.update(&button.data);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

async fn shown(api: &Api, to: Address, step: &Step) -> Result<Option<i32>, Failure> {
    match step {
        Step::Send { page, .. } => plainly(|markup| api.send(to, page, markup)).await.map(Some),
        Step::Edit { message, page } => {
            plainly(|markup| api.edit(to.chat, *message, page, markup)).await.map(|()| None)
        }
        Step::Delete { message } => match api.delete(to.chat, *message).await {
            // After two days a bot may not delete; the part says nothing wrong, it is only one too many.
            Ok(()) | Err(Failure::MessageGone | Failure::Refused(_)) => Ok(None),
            Err(failure) => Err(failure),
        },
    }
}

async fn answered(api: &Api, to: Address, answer: &Answer) -> Result<(), Failure> {
    match answer.rewrites {
        Some(message) => plainly(|markup| api.edit(to.chat, message, &answer.page, markup)).await,
        None => plainly(|markup| api.send(to, &answer.page, markup)).await.map(|_| ()),
    }
}

/// A panic in a call is one more answer that never came: the chat must not stay busy for ever.
async fn unbroken<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let result = AssertUnwindSafe(call).catch_unwind().await;
    result.unwrap_or_else(|_| Err(Failure::NoAnswer("the call broke".into())))
}

/// Where Telegram refuses the HTML: rather plain than never.
async fn plainly<T, F: Future<Output = Result<T, Failure>>>(
    call: impl Fn(Markup) -> F,
) -> Result<T, Failure> {
    match call(Markup::Html).await {
        Err(Failure::BadText(why)) => {
            tracing::error!(why, "Telegram refuses a text of ours; sending it plain");
            call(Markup::Plain).await
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use secrecy::SecretString;

    use super::*;
    use crate::{
        clock::ManualClock,
        store::Draft,
        talk::{
            samples::{self, ended, now, proposal},
            view::tests::view,
            words::Language,
        },
    };

    #[tokio::test]
    async fn more_reports_than_are_kept_are_counted_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut notifier = notifier(&store);
        for _ in 0..WAITING_CARDS_MAX + 7 {
            let proposal = recorded(&store);
            notifier.see(&proposal);
        }
        let waiting = notifier.queue.waiting();
        assert_eq!(waiting.len(), WAITING_CARDS_MAX + 1, "and the word about the others");
        assert!(waiting.contains(&"missing".to_owned()));
        let missing = &notifier.cards["missing"];
        assert_eq!(missing.subject, Subject::Missing { quiet: 7, troubled: 0 });
        let pages = notifier.wanted(missing).unwrap().unwrap().pages;
        assert!(pages[0].plain().contains("7 without and 0 with failures"), "{}", pages[0].plain());
        let newest = store.recent_proposals(1).unwrap().remove(0);
        assert!(waiting.contains(&format!("p{:020}", newest.id.0)), "the oldest give way");
    }

    #[tokio::test]
    async fn a_start_finds_what_was_not_shown_and_leaves_old_news() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let proposal = recorded(&store);
        let mut fresh = notifier(&store);
        fresh.catch_up().await;
        assert_eq!(fresh.queue.waiting().len(), 1);
        let mut late = notifier_at(&store, proposal.created_at + NEWS);
        late.cards.clear();
        late.catch_up().await;
        assert_eq!(late.queue.waiting().len(), 0);
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_read_loses_no_card_and_no_news() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut notifier = notifier(&store);
        let shown = recorded(&store);
        notifier.see(&shown);
        let Some(Job::Card { key, chat }) = notifier.queue.next(Instant::now()) else { panic!("a card") };
        let (step, _) = notifier.next_step(&key).unwrap();
        notifier.card_ended(&key, chat, step, Ok(Some(7)));
        let unseen = recorded(&store);
        store.close_for_test();
        notifier.see_number(unseen.id);
        notifier.want(&key);
        let Some(Job::Card { key, chat }) = notifier.queue.next(later()) else { panic!("the card's end") };
        assert_eq!(notifier.next_step(&key), None, "what it should show cannot be read");
        notifier.queue.ended(chat, false, later());
        notifier.catch_up().await;
        assert_eq!(notifier.cards[&key].messages.len(), 1, "its message is known");
        let wait = notifier.look_again.unwrap() - Instant::now();
        assert!(wait > LOOK_AGAIN / 2, "no busy loop");

        store.flush().unwrap();
        notifier.catch_up().await;
        assert_eq!(notifier.look_again, None);
        assert_eq!(notifier.queue.waiting().len(), 2, "both are looked at again");
    }

    #[tokio::test]
    async fn alerts_said_before_anybody_listened_and_those_that_were_missed_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let events = Events::new();
        let foreign = |task| Alert::ForeignMigration { task, cluster: None, vm: None };
        store.alert(&events, now(), foreign(0));
        let stop = CancellationToken::new();
        let running = tokio::spawn(joined(&store, &events, now()).run(stop.clone()));
        every_alert_is_taken(&store).await;
        // The notifier gets no turn here, and what comes last pushes the others out of its channel.
        (1..=100).for_each(|task| store.alert(&events, now(), foreign(task)));
        (0..300).for_each(|_| events.say(Event::Proposal(ProposalId(1))));
        every_alert_is_taken(&store).await;
        stop.cancel();
        running.await.unwrap();
        assert_eq!(store.outbox().with_prefix::<Card>("card:a-foreign-").unwrap().len(), 101);
    }

    #[tokio::test]
    async fn an_alert_that_waited_for_a_chat_for_a_week_is_no_news() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.alert(&Events::new(), now() - ALERT_NEWS, Alert::SecondPoller { since: now() });
        let mut notifier = notifier(&store);
        notifier.catch_up().await;
        assert_eq!((notifier.cards.len(), store.alerts().unwrap().len()), (0, 0));
    }

    #[test]
    fn a_plan_that_is_done_says_so_when_all_its_messages_have_the_outcomes() {
        let (mut card, before) = shown_in_full(200);
        assert!(before.len() > 2, "{}", before.len());
        let after = pages(&ended(proposal(200)));
        let mut edited = Vec::new();
        while let Some(step) = step_towards(&card, &after) {
            edited.push(carry_out(&mut card, step));
        }
        assert_eq!(edited.last(), Some(&1), "{edited:?}");
        assert!(after[0].plain().contains("done") && edited.len() >= after.len(), "{edited:?}");
        assert_eq!(card.messages.len(), after.len());
    }

    #[test]
    fn a_first_message_comes_first() {
        let card = Card::new(subject(), address(), now());
        let pages = pages(&proposal(200));
        assert!(matches!(step_towards(&card, &pages), Some(Step::Send { index: 0, .. })));
    }

    #[test]
    fn what_a_deleted_message_showed_moves_up_and_nothing_is_shown_twice() {
        for gone in [0, 1] {
            let (mut card, pages) = shown_in_full(200);
            card.messages.remove(gone);
            while let Some(step) = step_towards(&card, &pages) {
                carry_out(&mut card, step);
            }
            let shows: Vec<_> = card.messages.iter().map(|shown| shown.hash.clone()).collect();
            assert_eq!(shows, pages.iter().map(hash).collect::<Vec<_>>());
        }
    }

    #[test]
    fn messages_that_are_not_needed_any_more_go() {
        let (mut card, _) = shown_in_full(200);
        let fewer = pages(&proposal(1));
        while let Some(step) = step_towards(&card, &fewer) {
            carry_out(&mut card, step);
        }
        assert_eq!(card.messages.len(), 1);
    }

    #[tokio::test]
    async fn a_call_that_breaks_is_tried_again() {
        let broken = unbroken::<()>(async { panic!("a test wanted to see this") }).await;
        assert!(matches!(broken, Err(Failure::NoAnswer(_))), "{broken:?}");
    }

    #[tokio::test]
    async fn a_closed_general_topic_is_not_asked_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut notifier = notifier(&store);
        notifier.see(&recorded(&store));
        let Some(Job::Card { key, chat }) = notifier.queue.next(Instant::now()) else { panic!("a card") };
        let (step, _) = notifier.next_step(&key).unwrap();
        notifier.card_ended(&key, chat, step, Err(Failure::ThreadGone));
        assert_eq!(notifier.queue.next(Instant::now()), None);
        assert_eq!(notifier.queue.waiting(), [key], "it waits all the same");
    }

    async fn every_alert_is_taken(store: &Store) {
        let taken = async {
            while !store.alerts().unwrap().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        timeout(std::time::Duration::from_secs(20), taken).await.expect("every alert becomes a card");
    }

    fn notifier(store: &Store) -> TelegramNotifier {
        notifier_at(store, samples::now())
    }

    fn notifier_at(store: &Store, now: DateTime<Utc>) -> TelegramNotifier {
        joined(store, &Events::new(), now)
    }

    fn later() -> Instant {
        Instant::now() + Spacing::default().card
    }

    fn joined(store: &Store, events: &Events, now: DateTime<Utc>) -> TelegramNotifier {
        let token = SecretString::from("1:x");
        // Nobody answers there.
        let nowhere = Some("http://127.0.0.1:1".parse().unwrap());
        let parts = Parts {
            api: Api::new(token, nowhere, std::time::Duration::from_secs(1)).unwrap(),
            handle: Handle::to_nobody(),
            store: store.clone(),
            clock: ManualClock::at(now).into(),
            chats: Chats::open(store.clone()).unwrap(),
            view: View::new(Language::En, chrono_tz::UTC),
            home: Some(ChatTarget { chat: -100, thread: None }),
            spacing: Spacing::default(),
        };
        TelegramNotifier::new(parts, events, mpsc::channel(1).1).unwrap()
    }

    /// A plan of the schedule that is only shown.
    fn recorded(store: &Store) -> Proposal {
        let sample = samples::proposal(1);
        let draft = Draft {
            plan: sample.plan,
            taken_at: sample.taken_at,
            origin: Origin::Schedule,
            dry_run: true,
            approvals_needed: 1,
            state: ProposalState::Shown { at: samples::now() },
            created_at: samples::now(),
            expires_at: sample.expires_at,
            reply_to: None,
        };
        match store.propose(draft).unwrap() {
            crate::store::Proposed::Recorded { proposal, .. } => *proposal,
            crate::store::Proposed::Busy(other) => panic!("busy with {other}"),
        }
    }

    fn shown_in_full(migrations: u32) -> (Card, Vec<Page>) {
        let mut card = Card::new(subject(), address(), now());
        let pages = pages(&proposal(migrations));
        while let Some(step) = step_towards(&card, &pages) {
            carry_out(&mut card, step);
        }
        (card, pages)
    }

    /// Does to the card what Telegram's answer would; returns the message.
    fn carry_out(card: &mut Card, step: Step) -> i32 {
        match step {
            Step::Send { index, page } => {
                let message = i32::try_from(card.messages.len()).unwrap() + 1;
                card.messages.insert(index, Shown { message, hash: hash(&page) });
                message
            }
            Step::Edit { message, page } => {
                card.messages.iter_mut().find(|shown| shown.message == message).unwrap().hash = hash(&page);
                message
            }
            Step::Delete { message } => {
                card.messages.retain(|shown| shown.message != message);
                message
            }
        }
    }

    fn pages(proposal: &Proposal) -> Vec<Page> {
        view(Language::En).proposal(proposal, now())
    }

    fn subject() -> Subject {
        Subject::Proposal { id: ProposalId(12), scheduled_for: None }
    }

    fn address() -> Address {
        Address { chat: -100, thread: None, reply_to: None }
    }
}
