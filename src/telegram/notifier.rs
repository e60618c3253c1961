//! Carries out what [`crate::talk::cards`] says: reads the store for it, makes its calls, records its cards.
//!
//! It holds up nobody: the balancer does not know that it exists. What could not be read or recorded is tried again
//! until the store can be used.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{
    sync::{broadcast, broadcast::error::RecvError, mpsc},
    task::{JoinError, JoinSet},
    time::{Instant, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    api::{Api, Failure, Markup},
    bot::{BotError, Habits, Settings},
    chats::Chats,
    clerk::{CardsWritten, Clerk, Desk, Receipt, Shown},
    courses::draw,
    languages::Languages,
};
use crate::{
    clock::Clock,
    event::{Alert, Event, Events},
    live::Live,
    meter::Beat,
    model::ProposalId,
    scheduler::Handle,
    store::{KeptAlert, Note, Origin, Proposal, ProposalState, Store, StoreError},
    talk::{
        cards::{Address, Attached, Call, Card, Cards, Effect, Failed, Input, Job, Now, Step, alert_key},
        view::{Page, View},
    },
};

/// Where cards are in the store's outbox.
const CARD: &str = "card:";

/// How many inputs of the reader may wait; they are taken at once.
const INPUTS_MAX: usize = 256;

/// How many of the newest proposals are compared with what is shown after a start, or when events were missed.
/// Proposals that can still change are compared besides.
const LOOKED_THROUGH: usize = 200;

/// An alert that waited longer than this, for a chat or for somebody to start the bot, is no news.
const ALERT_NEWS: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// Retry interval after a store error. A full disk takes minutes to clear, so there is no hurry.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long the loop that writes may be silent. It waits only for the store.
const SILENCE: Duration = Duration::from_secs(120);

/// How long the last edits may take when everything stops; the whole stop has 10 s.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long an alert waits to learn whether this is a dry run.
const DRY_RUN_PATIENCE: Duration = Duration::from_secs(1);

/// The chat for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatTarget {
    /// Telegram's number of the chat; negative for a group.
    pub chat: i64,
    /// The topic, in a forum.
    pub thread: Option<i32>,
}

/// Shows proposals and alerts in chats and keeps their messages up to date.
pub struct TelegramNotifier {
    api: Api,
    handle: Handle,
    store: Store,
    clock: Clock,
    chats: Chats,
    languages: Languages,
    habits: Live<Habits>,
    /// The habits that the cards ring by.
    bell_of: Arc<Habits>,
    events: broadcast::Receiver<Event>,
    inputs: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    cards: Cards,
    calls: JoinSet<(Call, Result<Option<i32>, Failure>)>,
    pins: JoinSet<()>,
    started: Instant,
    clerk: Clerk,
    /// What writes the clerk's notes, until this runs.
    desk: Option<Desk>,
    written: mpsc::UnboundedReceiver<CardsWritten>,
    /// The records on their way to the disk that a card's next call waits for, by its key: a restart between the two
    /// would show the card twice.
    receipts: BTreeMap<String, Receipt>,
    shown: Shown,
    /// Keys of cards that the store did not take as they are.
    unrecorded: BTreeSet<String>,
    /// The store could not be used, and that was logged.
    troubled: bool,
    /// Telegram did not answer, and that was logged.
    unanswered: bool,
    look_again: Option<Instant>,
    beat: Beat,
}

impl TelegramNotifier {
    /// Joins the parts and starts to listen to events; what happened before is found in the store.
    pub fn new(
        settings: &Settings,
        handle: Handle,
        store: Store,
        events: &Events,
        clock: Clock,
    ) -> Result<Self, BotError> {
        let api = Api::new(settings).map_err(BotError::Client)?;
        let events = events.listen();
        let chats = Chats::open(store.clone())?;
        let languages = Languages::open(store.clone(), settings.language)?;
        let view = View::new(settings.language, settings.timezone);
        let home = settings.chat.map(|ChatTarget { chat, thread }| Address { chat, thread, reply_to: None });
        let kept: Vec<(String, Card)> = store.outbox().with_prefix(CARD)?;
        let kept = kept.into_iter().map(|(_, card)| card);
        let shown = Shown::of(kept.clone());
        let (clerk, desk, written) = Clerk::new(store.clone());
        let cards = Cards::new(view, home, settings.spacing, settings.habits.get().bell.clone(), kept)
            .knowing(chats.moves(), &chats.dead_chats())
            .speaking(languages.all());
        Ok(Self {
            api,
            handle,
            store,
            clock,
            chats,
            languages,
            habits: settings.habits.clone(),
            bell_of: settings.habits.get(),
            events,
            inputs: mpsc::channel(INPUTS_MAX),
            cards,
            calls: JoinSet::new(),
            pins: JoinSet::new(),
            started: Instant::now(),
            clerk,
            desk: Some(desk),
            written,
            receipts: BTreeMap::new(),
            shown,
            unrecorded: BTreeSet::new(),
            troubled: false,
            unanswered: false,
            look_again: None,
            beat: Beat::new("notifier", SILENCE),
        })
    }

    /// Returns the sign of life of the loop that writes.
    pub(super) fn beat(&self) -> Beat {
        self.beat.clone()
    }

    /// A notifier without a scheduler, for programs that only report. It owns `data_dir`, where it keeps what it
    /// shows, and sends what is said to `events` to the chat of the settings.
    ///
    /// ```
    /// use tokio_util::sync::CancellationToken;
    /// use vm_balancer::{
    ///     ChatTarget, TelegramNotifier, TelegramSettings,
    ///     clock::Clock,
    ///     event::{Alert, Event, Events},
    ///     model::ClusterId,
    /// };
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use vm_balancer::sandbox::telegram::{ADMIN, Options, SimTelegram};
    /// # let telegram = SimTelegram::start(Options::default()).await?;
    /// # let (token, url, folder) = (telegram.token().to_owned(), telegram.url(), tempfile::tempdir()?);
    /// let mut settings = TelegramSettings::new(token.into());
    /// settings.chat = Some(ChatTarget { chat: 1001, thread: None });
    /// settings.api_url = Some(url.parse()?);
    /// let (events, stop) = (Events::new(), CancellationToken::new());
    /// let notifier = TelegramNotifier::by_itself(&settings, folder.path(), &events, Clock::system())?;
    /// let running = tokio::spawn(notifier.run(stop.clone()));
    /// events.say(Event::Alert(Alert::ForeignMigration { task: 4711, cluster: Some(ClusterId(1)), vm: None }));
    /// # telegram.wait_for_text(ADMIN, "4711").await.unwrap();
    /// stop.cancel();
    /// running.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Says that the HTTP client or the folder cannot be used.
    pub fn by_itself(
        settings: &Settings,
        data_dir: &std::path::Path,
        events: &Events,
        clock: Clock,
    ) -> Result<Self, BotError> {
        Self::new(settings, Handle::to_nobody(), Store::open(data_dir)?, events, clock)
    }

    /// Returns where the reader of updates puts answers and what it learns of chats.
    pub(super) fn inputs(&self) -> mpsc::Sender<Input> {
        self.inputs.0.clone()
    }

    /// Returns who writes what no answer waits for.
    pub(super) fn clerk(&self) -> Clerk {
        self.clerk.clone()
    }

    /// Returns the cards as they are shown.
    pub(super) fn shown(&self) -> Shown {
        self.shown.clone()
    }

    pub(super) fn api(&self) -> Api {
        self.api.clone()
    }

    pub(super) fn chats(&self) -> Chats {
        self.chats.clone()
    }

    pub(super) fn languages(&self) -> Languages {
        self.languages.clone()
    }

    /// Writes until `shutdown`, and then for a moment what is ready. Ends when all that was noted is on disk.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let desk = self.desk.take();
        let writing = async {
            if let Some(desk) = desk {
                desk.write().await;
            }
        };
        tokio::join!(self.show(shutdown), writing);
    }

    async fn show(mut self, shutdown: CancellationToken) {
        self.catch_up().await;
        let mut alive = interval(SILENCE / 4);
        loop {
            self.beat.again_within(SILENCE);
            let wake = self.cards.wake_at(self.started.elapsed()).map(|after| self.started + after);
            tokio::select! {
                () = shutdown.cancelled() => break,
                event = self.events.recv() => match event {
                    Ok(event) => self.hear(event).await,
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => break,
                },
                Some(input) = self.inputs.1.recv() => self.on(input),
                Some(ended) = self.calls.join_next(), if !self.calls.is_empty() => self.end_call(ended),
                Some(written) = self.written.recv() => self.end_writing(written),
                _ = alive.tick() => {}
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => self.on(Input::Wake),
                () = sleep_until(self.look_again.unwrap_or_else(Instant::now)), if self.look_again.is_some() => {
                    self.catch_up().await;
                }
            }
        }
        let _ = timeout(LAST_WORDS, self.last_words()).await;
    }

    async fn last_words(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.hear(event).await;
        }
        self.on(Input::Wake);
        while let Some(ended) = self.calls.join_next().await {
            self.end_call(ended);
        }
    }

    /// Compares the store with what is shown; after an error of the store it is done again.
    async fn catch_up(&mut self) {
        self.look_again = None;
        for key in std::mem::take(&mut self.unrecorded) {
            if let Some(card) = self.cards.card(&key).cloned() {
                self.record(card);
            }
        }
        match self.everything() {
            Ok(proposals) => self.on(Input::Everything(proposals)),
            Err(error) => self.trouble(&error),
        }
        self.take_alerts().await;
        if self.look_again.is_none() && std::mem::take(&mut self.troubled) {
            tracing::warn!("what is shown can be compared with the store again");
        }
    }

    /// Notes that the store could not be used: what could not be done is done when it can.
    fn trouble(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.troubled, true) {
            tracing::error!(%error, "what is to be shown cannot be read or recorded; will retry");
        }
        self.look_again();
    }

    fn look_again(&mut self) {
        self.look_again = Some(Instant::now() + LOOK_AGAIN);
    }

    fn everything(&self) -> Result<Vec<Proposal>, StoreError> {
        let listed =
            self.store.recent_proposals(LOOKED_THROUGH)?.into_iter().chain(self.store.open_proposals()?);
        let mut all: BTreeMap<ProposalId, Proposal> =
            listed.map(|proposal| (proposal.id, proposal)).collect();
        for id in self.cards.proposals() {
            if !all.contains_key(&id)
                && let Some(proposal) = self.store.proposal(id)?
            {
                all.insert(id, proposal);
            }
        }
        Ok(all.into_values().collect())
    }

    async fn hear(&mut self, event: Event) {
        match event {
            Event::Proposal(id) => match self.with_relatives(id) {
                Ok(with) => self.on(Input::Changed { id, with }),
                Err(error) => self.trouble(&error),
            },
            Event::Alert(alert) => {
                let dry_run = self.is_dry_run().await;
                self.take_alert(alert, dry_run);
            }
        }
    }

    /// Reads a proposal, the one that it replaced, and those that replaced it.
    fn with_relatives(&self, id: ProposalId) -> Result<Vec<Proposal>, StoreError> {
        let mut found = Vec::new();
        let mut next = Some(id);
        while let Some(proposal) = next.map(|id| self.store.proposal(id)).transpose()?.flatten() {
            next = match proposal.state {
                ProposalState::Superseded { by, .. } if by > proposal.id => Some(by),
                _ => None,
            };
            found.push(proposal);
        }
        if let Some(Origin::Replaces(older)) = found.first().map(|proposal| &proposal.origin) {
            found.extend(self.store.proposal(*older)?);
        }
        Ok(found)
    }

    /// Takes the alerts that no card was made of: raised before this listened, or missed since.
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
                false => self.forget_alert(alert),
            }
        }
    }

    async fn is_dry_run(&self) -> bool {
        // A scheduler that does not answer is stopping; its alerts are shown all the same.
        matches!(timeout(DRY_RUN_PATIENCE, self.handle.dry_run()).await, Ok(Ok(true)))
    }

    /// Makes a card of an alert. From then on the card keeps it.
    fn take_alert(&mut self, alert: Alert, dry_run: bool) {
        self.on(Input::Alert { alert: alert.clone(), dry_run });
        if !self.unrecorded.contains(&alert_key(&alert)) {
            // It is forgotten behind the record of its card: both are written, or neither.
            self.forget_alert(alert);
        }
    }

    fn forget_alert(&mut self, alert: Alert) {
        if self.clerk.try_note(Note::Shown(alert)).is_none() {
            self.look_again();
        }
    }

    fn end_call(&mut self, ended: Result<(Call, Result<Option<i32>, Failure>), JoinError>) {
        match ended {
            Ok((call, result)) => {
                self.log_silence(&call, &result);
                let result = result.map_err(|failure| classify_failure(&call, failure));
                self.on(Input::Ended { call, result });
            }
            Err(error) => tracing::error!(%error, "a call to Telegram panicked"),
        }
    }

    /// Logs once that Telegram does not answer, and once that it does again.
    fn log_silence(&mut self, call: &Call, result: &Result<Option<i32>, Failure>) {
        match result {
            Err(Failure::NoAnswer(error) | Failure::Unreached(error)) => {
                if !std::mem::replace(&mut self.unanswered, true) {
                    tracing::warn!(chat.id = call.to.chat, error, "Telegram does not answer; will retry");
                }
            }
            Ok(_) if std::mem::take(&mut self.unanswered) => {
                tracing::warn!("Telegram takes messages again");
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Gives an input to the cards and does what they say.
    fn on(&mut self, input: Input) {
        let habits = self.habits.get();
        if !Arc::ptr_eq(&habits, &self.bell_of) {
            self.cards.ring_by(habits.bell.clone());
            self.bell_of = habits;
        }
        let now = Now { date: self.clock.now(), run: self.started.elapsed() };
        for effect in self.cards.on(input, now) {
            self.act(effect);
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Call(call) => {
                let api = self.api.clone();
                let recorded = match &call.job {
                    Job::Card { key, .. } => self.receipts.remove(key),
                    // An answer waits for no disk.
                    Job::Answer { .. } => None,
                };
                self.calls.spawn(async move {
                    if let Some(recorded) = recorded {
                        // It is shown in any case; only a restart before it is recorded could show it twice.
                        recorded.wait().await;
                    }
                    let result = without_panic(carry_out(&api, &call)).await;
                    (call, result)
                });
            }
            Effect::Pin { chat, message } => {
                let api = self.api.clone();
                self.pins.spawn(async move {
                    if let Err(failure) = api.pin(chat, message).await {
                        tracing::warn!(chat.id = chat, error = %failure, "the board cannot be pinned; the bot needs that right");
                    }
                });
            }
            Effect::Unpin { chat, message } => {
                let api = self.api.clone();
                self.pins.spawn(async move {
                    if let Err(failure) = api.unpin(chat, message).await {
                        tracing::warn!(chat.id = chat, error = %failure, "the board cannot be unpinned");
                    }
                });
            }
            Effect::Record(card) => self.record(card),
            Effect::Forget(key) => {
                self.unrecorded.remove(&key);
                self.receipts.remove(&key);
                self.shown.remove(&key);
                if self.clerk.try_note(Note::Dropped(format!("{CARD}{key}"))).is_none() {
                    tracing::error!("what was shown cannot be forgotten: too much waits for the disk");
                }
            }
            Effect::ChatMoved { from, to } => {
                self.languages.follow_move(from, to);
                if self.chats.note_move(from, to) {
                    tracing::warn!(
                        chat.id = from,
                        supergroup.id = to,
                        "the group is a supergroup now; put its number into TELEGRAM_CHAT_ID"
                    );
                }
            }
            Effect::ChatDead { chat, why } => {
                if self.chats.dead(chat, &why) {
                    tracing::warn!(
                        chat.id = chat,
                        error = why,
                        "nothing can be written to this chat until something comes from it"
                    );
                }
            }
            Effect::ChatAlive(chat) => drop(self.chats.alive(chat)),
            Effect::AnswerDropped { chat } => {
                tracing::warn!(chat.id = chat, "an answer is left out: it is refused, or too many wait");
            }
        }
    }

    /// Keeps a card as it is. The disk is not waited for here.
    fn record(&mut self, card: Card) {
        let key = card.key();
        match Note::keep(format!("{CARD}{key}"), &card).map(|note| self.clerk.try_note(note)) {
            Ok(Some(receipt)) => {
                self.unrecorded.remove(&key);
                self.receipts.insert(key, receipt);
            }
            Ok(None) => {
                self.unrecorded.insert(key);
                self.look_again();
            }
            Err(error) => {
                self.unrecorded.insert(key);
                self.trouble(&error);
            }
        }
        self.shown.put(card);
    }

    /// Notes which cards are not on disk as they are.
    fn end_writing(&mut self, CardsWritten { keys, error }: CardsWritten) {
        let Some(error) = error else { return };
        let keys = keys.iter().filter_map(|key| key.strip_prefix(CARD));
        self.unrecorded.extend(keys.filter(|key| self.cards.card(key).is_some()).map(str::to_owned));
        self.trouble(&error);
    }
}

/// Logs a refusal and returns what the cards need to know of it.
fn classify_failure(call: &Call, failure: Failure) -> Failed {
    let chat = call.to.chat;
    match failure {
        Failure::TooMany(wait) => Failed::Wait(wait),
        Failure::Moved(to) => Failed::Moved(to),
        Failure::MessageGone => Failed::MessageGone,
        Failure::ThreadGone => Failed::ThreadGone,
        Failure::ChatDead(why) => Failed::ChatDead(why),
        // The reader of updates logs it.
        Failure::BadToken => Failed::Unauthorized,
        Failure::NoAnswer(_) => Failed::NoAnswer,
        Failure::Unreached(_) => Failed::Unreached,
        failure @ (Failure::NotModified
        | Failure::BadText(_)
        | Failure::SecondPoller
        | Failure::Refused(_)) => {
            tracing::warn!(chat.id = chat, error = %failure, "a message cannot be shown");
            Failed::Refused
        }
    }
}

/// Makes a call; returns the number of a message that was sent.
async fn carry_out(api: &Api, call: &Call) -> Result<Option<i32>, Failure> {
    let Call { to, step, .. } = call;
    match step {
        Step::Send { page, ring, .. } => {
            plain_if_refused(|markup| api.send(*to, page, ring.is_some(), markup)).await.map(Some)
        }
        Step::Edit { message, page } => {
            plain_if_refused(|markup| api.edit(to.chat, *message, page, markup)).await.map(|()| None)
        }
        Step::Delete { message } => match api.delete(to.chat, *message).await {
            // After two days a bot may not delete; the part says nothing wrong, it is only one too many.
            Ok(()) | Err(Failure::MessageGone | Failure::Refused(_)) => Ok(None),
            Err(failure) => Err(failure),
        },
        Step::Upload { page, attached } => upload(api, *to, page, attached).await.map(|()| None),
    }
}

/// Sends a file or a picture. A chat may refuse those and take texts, so a refusal says nothing of the chat.
async fn upload(api: &Api, to: Address, page: &Page, attached: &Attached) -> Result<(), Failure> {
    let sent = match attached {
        Attached::File(document) => api.document(to, document).await,
        Attached::Picture(chart) => match draw(Arc::clone(chart)).await {
            Some(png) => api.photo(to, page, png).await,
            None => Err(Failure::Refused("the picture cannot be drawn".into())),
        },
    };
    sent.map_err(|failure| match failure {
        Failure::ChatDead(why) | Failure::BadText(why) => Failure::Refused(why),
        failure => failure,
    })
}

/// Makes a panic in a call a call without an answer, so that the chat does not stay busy for ever.
async fn without_panic<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let result = AssertUnwindSafe(call).catch_unwind().await;
    result.unwrap_or_else(|_| Err(Failure::NoAnswer("the call panicked".into())))
}

/// Sends a text without markup where Telegram refuses its HTML.
async fn plain_if_refused<T, F: Future<Output = Result<T, Failure>>>(
    call: impl Fn(Markup) -> F,
) -> Result<T, Failure> {
    match call(Markup::Html).await {
        Err(Failure::BadText(why)) => {
            tracing::error!(error = why, "Telegram refuses the HTML of a text; sending it plain");
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
        model::ClusterId,
        store::{Draft, Proposed},
        talk::samples::{self, now},
    };

    #[tokio::test]
    async fn a_store_that_cannot_be_read_loses_no_card_and_no_news() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut notifier = notifier(&store, &Events::new(), now());
        let _writing = tokio::spawn(notifier.desk.take().unwrap().write());
        let shown = recorded(&store);
        notifier.hear(Event::Proposal(shown.id)).await;
        notifier.settle().await;
        let unseen = recorded(&store);
        store.close_for_test();
        notifier.hear(Event::Proposal(unseen.id)).await;
        notifier.catch_up().await;
        assert_eq!(notifier.cards.proposals(), [shown.id].into(), "its card is known");
        let wait = notifier.look_again.unwrap() - Instant::now();
        assert!(wait > LOOK_AGAIN / 2, "no busy loop");

        store.flush().unwrap();
        notifier.catch_up().await;
        assert_eq!(notifier.look_again, None);
        notifier.settle().await;
        assert_eq!(notifier.cards.proposals(), [shown.id, unseen.id].into());
        assert_eq!(store.outbox().with_prefix::<Card>(CARD).unwrap().len(), 2);
    }

    #[tokio::test]
    async fn alerts_said_before_anybody_listened_and_those_that_were_missed_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let events = Events::new();
        let foreign = |task| Alert::ForeignMigration { task, cluster: Some(ClusterId(task)), vm: None };
        store.alert(&events, now(), foreign(0));
        let stop = CancellationToken::new();
        let running = tokio::spawn(notifier(&store, &events, now()).run(stop.clone()));
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
        let mut notifier = notifier(&store, &Events::new(), now());
        let _writing = tokio::spawn(notifier.desk.take().unwrap().write());
        notifier.catch_up().await;
        notifier.settle().await;
        assert_eq!(store.outbox().with_prefix::<Card>(CARD).unwrap().len(), 0);
        assert_eq!(store.alerts().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_card_that_could_not_be_recorded_is_recorded_at_the_next_look() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut notifier = notifier(&store, &Events::new(), now());
        drop(notifier.desk.take());
        let shown = recorded(&store);
        notifier.hear(Event::Proposal(shown.id)).await;
        assert!(notifier.look_again.is_some(), "it is not forgotten");
        let (clerk, desk, written) = Clerk::new(store.clone());
        (notifier.clerk, notifier.written) = (clerk, written);
        let _writing = tokio::spawn(desk.write());
        notifier.catch_up().await;
        notifier.settle().await;
        assert_eq!(store.outbox().with_prefix::<Card>(CARD).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_call_that_panics_is_tried_again() {
        let broken = without_panic::<()>(async { panic!("a test wanted to see this") }).await;
        assert!(matches!(broken, Err(Failure::NoAnswer(_))), "{broken:?}");
    }

    impl TelegramNotifier {
        /// Waits until all that was noted was tried to be written.
        async fn settle(&mut self) {
            let last = self.clerk.note(Note::Dropped("nothing".into())).await;
            last.wait().await;
            while let Ok(written) = self.written.try_recv() {
                self.end_writing(written);
            }
        }
    }

    async fn every_alert_is_taken(store: &Store) {
        let taken = async {
            while !store.alerts().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), taken).await.expect("every alert becomes a card");
    }

    fn notifier(store: &Store, events: &Events, now: DateTime<Utc>) -> TelegramNotifier {
        let settings = Settings {
            chat: Some(ChatTarget { chat: -100, thread: None }),
            // Nobody answers there.
            api_url: Some("http://127.0.0.1:1".parse().unwrap()),
            poll_timeout: Duration::from_secs(1),
            ..Settings::new(SecretString::from("1:x"))
        };
        let clock = ManualClock::at(now).into();
        TelegramNotifier::new(&settings, Handle::to_nobody(), store.clone(), events, clock).unwrap()
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
            round: None,
            expected: None,
        };
        match store.propose(draft).unwrap() {
            Proposed::Recorded { proposal, .. } => *proposal,
            Proposed::Busy(other) => panic!("busy with {other}"),
        }
    }
}
