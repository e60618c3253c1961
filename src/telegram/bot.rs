//! Reads updates and does what [`crate::talk::dialog`] says: a thin shell over it.
//!
//! Updates are read with a loop of our own over teloxide's [`teloxide::Bot`] and types, not with its dispatcher: an
//! update is recorded before it is handled, so that a replayed one does nothing; a panic in a handler ends nothing
//! but that handler (teloxide's dispatcher dies of the next update of that chat); SIGTERM ends a poll at once; and
//! a second poller, a 5xx and silence each have a wait of their own.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::NaiveTime;
use secrecy::SecretString;
use teloxide::types::{
    CallbackQuery, ChatKind, InlineKeyboardButton, InlineKeyboardButtonKind, Message, MessageEntity,
    MessageEntityKind, Update, UpdateKind, User,
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    api::{Api, Failure},
    asking::Asked,
    board,
    chats::Chats,
    clerk::{Claim, Clerk, Receipt, Shown},
    facts::Known,
    lanes::Lanes,
    languages::Languages,
    notifier::{ChatTarget, TelegramNotifier},
};
use crate::{
    clock::Clock,
    dial::DialError,
    event::{Alert, Events},
    live::Live,
    meter::Beat,
    model::Person,
    scheduler::{Handle, Refused},
    store::{AuditEntry, Note, Store, StoreError},
    talk::{
        Language,
        access::{Place, Sender},
        ask::{Ask, Worded},
        cards::{Address, Answer, AnswerKind, Attached, Bell, Input, Spacing, key_of_button},
        dialog::{self, Effect, Incoming, PressAnswer, Turn, Under, What},
        proposal,
        view::{Page, StalePress, View},
        words::escape,
    },
};

/// Whoever writes or presses has a word within a tenth of a second, also where the disk or VMmanager is slow.
const WORD_WITHIN: Duration = Duration::from_millis(50);

/// Waits between polls that fail double up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Pause after another program ended our poll. Two pollers end each other's polls in turn.
const SECOND_POLLER_PAUSE: Duration = Duration::from_secs(5);

/// Pause after a poll that brought only updates that were handled before.
const KNOWN_PAUSE: Duration = Duration::from_secs(1);

/// Pause between polls with a rejected token: the operator may have issued a new one, but polling faster gains nothing.
const BAD_TOKEN_PAUSE: Duration = Duration::from_secs(60);

/// How long the loop that reads may be silent: a poll, and the updates that it brought.
const POLL_SILENCE: Duration = Duration::from_secs(180);

/// How long handlers may take to leave when everything stops; the whole stop has 10 s.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// How the bot is reached and whom it obeys.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bot's token, as BotFather gives it.
    pub token: SecretString,
    /// The chat for reports; `None` for answers only.
    pub chat: Option<ChatTarget>,
    /// Another Bot API server than Telegram's.
    pub api_url: Option<reqwest::Url>,
    /// `http`, `https`, `socks5` or `socks5h`; without one the usual variables count.
    pub proxy: Option<SecretString>,
    /// Telegram's numbers of the users who may do everything.
    pub admins: BTreeSet<i64>,
    /// Telegram's numbers of the users who may also approve plans, drain, exclude and pause.
    pub operators: BTreeSet<i64>,
    /// Telegram's numbers of the users who may only look.
    pub viewers: BTreeSet<i64>,
    /// The language of a chat that has not chosen one.
    pub language: Language,
    /// The time zone of every time in the chat.
    pub timezone: chrono_tz::Tz,
    /// How long one poll waits for updates.
    pub poll_timeout: Duration,
    /// How long it waits after a poll that a second program ended.
    pub second_poller_pause: Duration,
    /// How far apart messages are.
    pub spacing: Spacing,
    /// What may change while the bot runs.
    pub habits: Live<Habits>,
    /// How often the board and the digest are looked at.
    pub look_every: Duration,
    /// An answer that takes longer than this is announced, so that the person does not ask or press again.
    pub word_within: Duration,
    /// A text whose handling panics: how tests see that a panic ends nothing else. `None` outside of them.
    pub panics_at: Option<String>,
}

impl Settings {
    /// Settings with the usual times, without a chat for reports and without lists of people.
    #[must_use]
    pub fn new(token: SecretString) -> Self {
        Self {
            token,
            chat: None,
            api_url: None,
            proxy: None,
            admins: BTreeSet::new(),
            operators: BTreeSet::new(),
            viewers: BTreeSet::new(),
            language: Language::default(),
            timezone: chrono_tz::UTC,
            poll_timeout: POLL_TIMEOUT,
            second_poller_pause: SECOND_POLLER_PAUSE,
            spacing: Spacing::default(),
            habits: Live::default(),
            look_every: board::LOOK,
            word_within: WORD_WITHIN,
            panics_at: None,
        }
    }
}

/// When messages ring, and what the bot writes by itself.
#[derive(Clone, Debug, Default)]
pub struct Habits {
    pub bell: Bell,
    /// Whether one pinned message shows how things stand.
    pub board: bool,
    /// The time of the day, in the zone of the bell, of one silent message about the last day; `None` for none.
    pub digest: Option<NaiveTime>,
}

/// Long polls keep the number of requests low; Telegram allows 50 s.
const POLL_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the chat cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// The HTTP client cannot be made from the settings.
    #[error("failed to prepare the HTTP client for Telegram")]
    Client(#[source] DialError),
    /// What the bot keeps cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The chat: reads updates, and writes through its [`TelegramNotifier`].
pub struct Bot {
    shared: Arc<Shared>,
    notifier: TelegramNotifier,
}

/// What handlers share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) api: Api,
    pub(super) handle: Handle,
    pub(super) store: Store,
    events: Events,
    pub(super) clock: Clock,
    pub(super) chats: Chats,
    pub(super) languages: Languages,
    pub(super) inputs: mpsc::Sender<Input>,
    clerk: Clerk,
    pub(super) shown: Shown,
    beat: Beat,
    /// Somebody chose another language.
    pub(super) menus_wanted: Notify,
    lanes_beat: Beat,
    pub(super) known: Known,
}

impl Bot {
    /// Joins the parts and starts to listen to events; nothing is sent yet.
    pub fn new(
        settings: Settings,
        handle: Handle,
        store: Store,
        events: Events,
        clock: Clock,
    ) -> Result<Self, BotError> {
        let notifier =
            TelegramNotifier::new(&settings, handle.clone(), store.clone(), &events, clock.clone())?;
        let shared = Shared {
            settings,
            api: notifier.api(),
            handle,
            store,
            events,
            clock,
            chats: notifier.chats(),
            languages: notifier.languages(),
            inputs: notifier.inputs(),
            clerk: notifier.clerk(),
            shown: notifier.shown(),
            beat: Beat::new("chat", POLL_SILENCE),
            menus_wanted: Notify::new(),
            lanes_beat: Lanes::beat(),
            known: Known::default(),
        };
        Ok(Self { shared: Arc::new(shared), notifier })
    }

    /// Returns the signs of life of what reads, what works on questions, and what writes.
    #[must_use]
    pub fn beats(&self) -> [Beat; 3] {
        [self.shared.beat.clone(), self.shared.lanes_beat.clone(), self.notifier.beat()]
    }

    /// Reads and writes until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { shared, notifier } = self;
        let mut parts = JoinSet::new();
        parts.spawn(notifier.run(shutdown.clone()));
        let by_itself = Arc::clone(&shared).write_by_itself();
        let stop = shutdown.clone();
        parts.spawn(async move {
            let _ = stop.run_until_cancelled(by_itself).await;
        });
        let (menus, stop) = (Arc::clone(&shared).keep_menus(), shutdown.clone());
        parts.spawn(async move {
            let _ = stop.run_until_cancelled(menus).await;
        });
        parts.spawn(shared.read(shutdown.clone()));
        while let Some(ended) = parts.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of the chat broke");
                shutdown.cancel();
            }
        }
    }
}

/// What a failed poll leads to.
struct Polls {
    failures: u32,
    unread_said: bool,
    second_poller_said: bool,
    bad_token_said: bool,
}

impl Shared {
    async fn read(self: Arc<Self>, shutdown: CancellationToken) {
        let mut lanes = Lanes::new(self.lanes_beat.clone());
        let mut polls =
            Polls { failures: 0, unread_said: false, second_poller_said: false, bad_token_said: false };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.poll(&mut lanes, &mut polls) => {}
        }
        // What has not left then is ended.
        let _ = timeout(STOP_PATIENCE, lanes.finish()).await;
    }

    async fn poll(self: &Arc<Self>, lanes: &mut Lanes, polls: &mut Polls) {
        while let Err(failure) = self.introduce().await {
            let wait = self.after_failure(&failure, polls);
            lanes.look(wait);
            sleep(wait).await;
        }
        let mut offset = 0;
        loop {
            self.beat.again_within(POLL_SILENCE);
            lanes.look(POLL_SILENCE);
            match self.api.updates(offset).await {
                Ok(updates) => {
                    polls.failures = 0;
                    if std::mem::take(&mut polls.unread_said) {
                        tracing::warn!("Telegram can be read again");
                    }
                    offset = next_offset(&updates);
                    let mut all_known = !updates.is_empty();
                    for update in updates {
                        all_known &= self.take(update, lanes).await == Taken::Before;
                    }
                    if all_known {
                        // They come until they are confirmed; this server does not listen.
                        sleep(KNOWN_PAUSE).await;
                    }
                }
                Err(failure) => {
                    let wait = self.after_failure(&failure, polls);
                    lanes.look(wait);
                    sleep(wait).await;
                }
            }
        }
    }

    /// Learns the bot's own name.
    async fn introduce(&self) -> Result<(), Failure> {
        let me = self.api.me().await?;
        self.known.set_name(me.username());
        tracing::debug!(bot = me.username(), "Telegram knows this bot");
        Ok(())
    }

    /// Reports a failed poll where people must know of it, and returns how long to wait.
    fn after_failure(&self, failure: &Failure, polls: &mut Polls) -> Duration {
        polls.failures = polls.failures.saturating_add(1);
        let wait = self.wait_after(failure, polls);
        self.beat.again_within(wait.saturating_add(POLL_SILENCE));
        wait
    }

    fn wait_after(&self, failure: &Failure, polls: &mut Polls) -> Duration {
        match failure {
            Failure::SecondPoller => {
                if !std::mem::replace(&mut polls.second_poller_said, true) {
                    tracing::error!("another program reads the updates of this bot; commands get lost");
                    let since = self.clock.now();
                    self.store.alert(&self.events, since, Alert::SecondPoller { since });
                }
                self.settings.second_poller_pause
            }
            Failure::BadToken => {
                if !std::mem::replace(&mut polls.bad_token_said, true) {
                    tracing::error!(
                        "Telegram does not accept TELEGRAM_BOT_TOKEN; balancing goes on without the chat"
                    );
                }
                BAD_TOKEN_PAUSE
            }
            Failure::TooMany(wait) => *wait,
            failure => {
                if !std::mem::replace(&mut polls.unread_said, true) {
                    tracing::warn!(error = %failure, "Telegram cannot be read; trying on");
                }
                Duration::from_secs(1 << polls.failures.saturating_sub(1).min(5)).min(BACKOFF_MAX)
            }
        }
    }

    /// Puts an update into its person's queue, unless it came before. Its record is on the way to the disk then.
    async fn take(self: &Arc<Self>, update: Update, lanes: &mut Lanes) -> Taken {
        let recorded = match self.clerk.claim(u64::from(update.id.0), self.clock.now()).await {
            Claim::New(recorded) => recorded,
            Claim::Known => {
                tracing::debug!(update = update.id.0, "an update came twice");
                return Taken::Before;
            }
            Claim::Unrecorded => {
                if let UpdateKind::CallbackQuery(query) = update.kind {
                    let said =
                        PressAnswer::Window(self.view_of(&[person(&query.from).id]).press_unrecorded());
                    self.answer_press(&query.id.0, &said).await;
                }
                return Taken::Now;
            }
        };
        let Some(incoming) = self.incoming(update).await else { return Taken::Now };
        lanes.put(self, incoming, recorded);
        Taken::Now
    }

    /// Says that something of ours broke.
    pub(super) async fn apologise(&self, incoming: &Incoming) {
        self.do_effect(Effect::Reply(self.view(incoming).broke()), incoming, Answered::No).await;
        self.do_effect(Effect::AnswerPress(PressAnswer::Silent), incoming, Answered::No).await;
    }

    /// Reads what matters of an update; `None` for what is not for us.
    async fn incoming(&self, update: Update) -> Option<Incoming> {
        match update.kind {
            UpdateKind::Message(message) => self.message(message).await,
            UpdateKind::CallbackQuery(query) => self.press(query).await,
            UpdateKind::MyChatMember(change) => {
                if change.new_chat_member.is_present() {
                    self.heard(change.chat.id.0).await;
                }
                None
            }
            _ => None,
        }
    }

    async fn message(&self, message: Message) -> Option<Incoming> {
        let chat = message.chat.id.0;
        if let Some(to) = message.migrate_to_chat_id() {
            self.follow_move(chat, to.0).await;
            return None;
        }
        if let Some(from) = message.migrate_from_chat_id() {
            self.follow_move(from.0, chat).await;
            return None;
        }
        self.heard(chat).await;
        if let Some(original) = message.reply_to_message() {
            self.adopt(original).await;
        }
        let text = message.text()?.to_owned();
        let place = Place { chat, private: matches!(message.chat.kind, ChatKind::Private(_)) };
        let speaks_for = message.sender_chat.as_ref().map(|chat| chat.id.0);
        let sender = Sender::new(message.from.as_ref().map(person), speaks_for, chat);
        let thread = message.is_topic_message.then_some(message.thread_id).flatten();
        Some(Incoming {
            place,
            thread: thread.map(|thread| thread.0.0),
            message: message.id.0,
            sender,
            what: What::Text { text, at: message.date, quoted: is_quoted(&message) },
        })
    }

    async fn press(&self, query: CallbackQuery) -> Option<Incoming> {
        let CallbackQuery { id, from, message, data, .. } = query;
        let Some(message) = message else {
            // Under a message that was sent by way of another chat: nothing of ours is there.
            let words = self.view_of(&[person(&from).id]).stale_press(StalePress::Unknown);
            self.answer_press(&id.0, &PressAnswer::Window(words)).await;
            return None;
        };
        let (chat, number) = (message.chat(), message.id());
        self.heard(chat.id.0).await;
        let place = Place { chat: chat.id.0, private: matches!(chat.kind, ChatKind::Private(_)) };
        let regular = message.regular_message();
        if let Some(message) = regular {
            self.adopt(message).await;
        }
        let buttons = regular.map(|message| {
            let rows = message.reply_markup().map(|markup| markup.inline_keyboard.iter().flatten());
            rows.into_iter().flatten().filter_map(data_of).collect()
        });
        let under = self.shown.under(chat.id.0, number.0).unwrap_or(Under::Other(buttons));
        let thread = regular.filter(|message| message.is_topic_message).and_then(|message| message.thread_id);
        Some(Incoming {
            place,
            thread: thread.map(|thread| thread.0.0),
            message: number.0,
            sender: Sender::new(Some(person(&from)), None, chat.id.0),
            what: What::Press { press: id.0, data: data.unwrap_or_default(), under },
        })
    }

    /// Carries out what the dialog decided: sends its answer, or asks its question. What changes something waits until
    /// the disk has that it came and who wanted it. An answer that is not there at `word_at` is announced.
    pub(super) async fn handle(
        self: Arc<Self>,
        incoming: Incoming,
        recorded: Receipt,
        answered: Answered,
        word_at: Instant,
    ) {
        if let Some(panics_at) = &self.settings.panics_at {
            let (What::Text { text: found, .. } | What::Press { data: found, .. }) = &incoming.what;
            assert!(found != panics_at, "a test wanted to see this");
        }
        let facts = self.facts(&incoming).await;
        if facts.is_blind {
            return self.refuse_unrecorded(&incoming, answered).await;
        }
        let Turn { command, effects, ask, reports } = dialog::handle(&incoming, &facts.context());
        tracing::Span::current().record("command", command);
        if effects.contains(&Effect::StrangerAnswered)
            && !self.known.claim_strangers_answer(incoming.sender.id(), self.clock.now())
        {
            // Another message of the same stranger was quicker.
            return;
        }
        let mut records = vec![recorded];
        for effect in effects {
            match effect {
                Effect::Audit { what, detail } => {
                    records.push(self.audit(&incoming.sender, incoming.place.chat, what, detail).await);
                }
                effect => self.do_effect(effect, &incoming, answered).await,
            }
        }
        let Some(ask) = ask else { return };
        let announced = self.view(&incoming).announced(ask.looks_at_platform());
        let asking = self.ask_once_recorded(ask, records, &incoming);
        tokio::pin!(asking);
        // One that waited for its turn may still be answered at once.
        let word_at = word_at.max(Instant::now() + self.settings.word_within / 5);
        let (found, answered) = match timeout_at(word_at, &mut asking).await {
            Ok(found) => (found, answered),
            Err(_) => {
                let answered = match (&incoming.what, answered) {
                    (What::Text { .. }, _) => {
                        let page = if facts.dry_run { announced.in_dry_run() } else { announced };
                        self.answer(&incoming, page, None, AnswerKind::Interim).await;
                        answered
                    }
                    (What::Press { .. }, Answered::No) => self.take_press(&incoming).await,
                    (What::Press { .. }, Answered::Already) => answered,
                };
                (asking.await, answered)
            }
        };
        let (found, renewal) = match found {
            Some(Ok((worded, renewal))) => (Ok(worded), renewal),
            Some(Err(refused)) => (Err(refused), None),
            None => return self.refuse_unrecorded(&incoming, answered).await,
        };
        self.show(found, reports, &incoming, answered).await;
        if let Some(renewal) = renewal
            && let Some(worded) = renewal.worded().await
        {
            self.show(Ok(worded), false, &incoming, Answered::Already).await;
        }
    }

    /// Says of a press that it has come and takes a while; a text has no such answer.
    pub(super) async fn take_press(&self, incoming: &Incoming) -> Answered {
        let What::Press { press, .. } = &incoming.what else { return Answered::No };
        self.answer_press(press, &PressAnswer::Passing(self.view(incoming).press_taken())).await;
        Answered::Already
    }

    /// Says of a press that nothing was done, for the store cannot be used.
    async fn refuse_unrecorded(&self, incoming: &Incoming, answered: Answered) {
        let said = PressAnswer::Window(self.view(incoming).press_unrecorded());
        self.do_effect(Effect::AnswerPress(said), incoming, answered).await;
    }

    /// Asks; `None` where that would change something and is not on disk, so that it could be done twice.
    async fn ask_once_recorded(&self, ask: Ask, records: Vec<Receipt>, incoming: &Incoming) -> Option<Asked> {
        if ask.waits_for_its_record() {
            for record in records {
                if !record.wait().await {
                    return None;
                }
            }
        }
        Some(self.ask(ask, incoming).await)
    }

    async fn show(
        &self,
        found: Result<Worded, Refused>,
        reports: bool,
        incoming: &Incoming,
        answered: Answered,
    ) {
        // What was true before the question may not be after it.
        let facts = self.facts(incoming).await;
        for effect in dialog::go_on(found, reports, incoming, &facts.context()) {
            self.do_effect(effect, incoming, answered).await;
        }
    }

    async fn do_effect(&self, effect: Effect, incoming: &Incoming, answered: Answered) {
        let Incoming { place, message, sender, what, .. } = incoming;
        let reply = |page, rewrites| self.answer(incoming, page, rewrites, AnswerKind::Final);
        match (effect, what, answered) {
            (Effect::Reply(page), ..) => reply(page, None).await,
            (Effect::Rewrite(page), ..) => reply(page, Some(*message)).await,
            (Effect::AnswerPress(words), What::Press { press, .. }, Answered::No) => {
                self.answer_press(press, &words).await;
            }
            // The press has its answer; a refusal must reach the person all the same.
            (Effect::AnswerPress(PressAnswer::Window(words)), _, Answered::Already) => {
                reply(self.view(incoming).line(escape(&words)), None).await;
            }
            (Effect::AnswerPress(_), ..) => {}
            (Effect::Report(page), ..) => {
                if let Some(home) = self.settings.chat {
                    let to =
                        Address { chat: self.chats.resolve(home.chat), thread: home.thread, reply_to: None };
                    let person = sender.id();
                    let answer =
                        Answer { to, page, rewrites: None, person, kind: AnswerKind::Final, attached: None };
                    let _ = self.inputs.send(Input::Answer(answer)).await;
                }
            }
            (Effect::Document(document), ..) => {
                let refused = self.view(incoming).file_refused();
                self.attach(incoming, refused, Attached::File(document.into())).await;
            }
            (Effect::Picture(page, chart), ..) => self.attach(incoming, page, Attached::Picture(chart)).await,
            (Effect::Audit { what, detail }, ..) => drop(self.audit(sender, place.chat, what, detail).await),
            (Effect::StrangerAnswered, ..) => {}
        }
    }

    async fn answer(&self, incoming: &Incoming, page: Page, rewrites: Option<i32>, kind: AnswerKind) {
        let (to, person) = (answer_to(incoming), incoming.sender.id());
        let answer = Answer { to, page, rewrites, person, kind, attached: None };
        // Nothing is answered once the writer has ended.
        let _ = self.inputs.send(Input::Answer(answer)).await;
    }

    /// Answers with a file or a picture; `page` is the answer in a chat that takes none.
    async fn attach(&self, incoming: &Incoming, page: Page, attached: Attached) {
        let (to, person) = (answer_to(incoming), incoming.sender.id());
        let kind = AnswerKind::Final;
        let answer = Answer { to, page, rewrites: None, person, kind, attached: Some(attached) };
        let _ = self.inputs.send(Input::Answer(answer)).await;
    }

    /// A message of ours was pressed or replied to. Its number may not be known: then it is taken over.
    async fn adopt(&self, message: &Message) {
        let rows = message.reply_markup().into_iter().flat_map(|keyboard| &keyboard.inline_keyboard);
        let data = rows.flatten().find_map(|button| match &button.kind {
            InlineKeyboardButtonKind::CallbackData(data) if key_of_button(data).is_some() => Some(data),
            _ => None,
        });
        let Some((data, key)) = data.and_then(|data| Some((data, key_of_button(data)?))) else { return };
        let with = proposal::named_in(data).and_then(|id| self.store.proposal(id).ok().flatten());
        let (chat, message) = (message.chat.id.0, message.id.0);
        let _ = self.inputs.send(Input::Seen { key, chat, message, with: with.map(Box::new) }).await;
    }

    async fn answer_press(&self, query: &str, answer: &PressAnswer) {
        let (words, window) = match answer {
            PressAnswer::Silent => (None, false),
            PressAnswer::Passing(words) => (Some(words.as_str()), false),
            PressAnswer::Window(words) => (Some(words.as_str()), true),
        };
        if let Err(failure) = self.api.answer_press(query, words, window).await {
            // Telegram forgets presses; what they did is shown in the message.
            tracing::debug!(error = %failure, "a press cannot be answered");
        }
    }

    async fn heard(&self, chat: i64) {
        if self.chats.dead_chats().contains(&chat) {
            let _ = self.inputs.send(Input::Heard(chat)).await;
        }
    }

    async fn follow_move(&self, from: i64, to: i64) {
        let _ = self.inputs.send(Input::Moved { from, to }).await;
    }

    /// Answers are in the language of the person, else in that of the chat.
    pub(super) fn view(&self, incoming: &Incoming) -> View {
        self.view_of(&[incoming.sender.id(), incoming.place.chat])
    }

    /// Returns the view for the first of these people and chats that chose a language.
    pub(super) fn view_of(&self, ids: &[i64]) -> View {
        let ids: Vec<_> = ids.iter().map(|id| self.chats.resolve(*id)).collect();
        View::new(self.languages.of(&ids), self.settings.timezone)
    }

    async fn audit(&self, sender: &Sender, chat: i64, what: &str, detail: String) -> Receipt {
        let by = match sender {
            Sender::Person(person) => Some(person.clone()),
            Sender::AnonymousAdmin | Sender::Channel(_) => None,
        };
        if what == "refused" {
            tracing::info!(chat.id = chat, person.id = sender.id(), refused = detail, "a person is refused");
        }
        let entry = AuditEntry { chat: Some(chat), ..AuditEntry::new(self.clock.now(), by, what, detail) };
        self.clerk.note(Note::Audit(entry)).await
    }

    pub(super) fn api(&self) -> &Api {
        &self.api
    }
}

/// Where the answer to this goes.
fn answer_to(incoming: &Incoming) -> Address {
    let Incoming { place, thread, message, .. } = incoming;
    Address { chat: place.chat, thread: *thread, reply_to: Some(*message) }
}

/// Whether an update was taken before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Now,
    Before,
}

/// Whether a press has had its one answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    No,
    Already,
}

/// Returns the offset that confirms these updates. Where there are none, everything before is confirmed, and the next
/// update may have any number: after a quiet week Telegram begins to count anew.
fn next_offset(updates: &[Update]) -> i32 {
    let newest = updates.iter().map(|update| update.id.0).max();
    newest.and_then(|id| i32::try_from(id).ok()).map_or(0, |id| id.saturating_add(1))
}

/// Tells whether a text is only quoted: it was forwarded, or begins in a code block.
fn is_quoted(message: &Message) -> bool {
    let is_code = |entity: &MessageEntity| {
        entity.offset == 0 && matches!(entity.kind, MessageEntityKind::Code | MessageEntityKind::Pre { .. })
    };
    message.forward_origin().is_some() || message.entities().is_some_and(|all| all.iter().any(is_code))
}

fn data_of(button: &InlineKeyboardButton) -> Option<String> {
    match &button.kind {
        InlineKeyboardButtonKind::CallbackData(data) => Some(data.clone()),
        _ => None,
    }
}

fn person(user: &User) -> Person {
    Person { id: i64::try_from(user.id.0).unwrap_or(i64::MAX), name: user.full_name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_confirms_what_came_and_nothing_that_is_to_come() {
        let updates = |ids: &[u32]| -> Vec<Update> {
            let update = |id: &u32| serde_json::from_value(serde_json::json!({ "update_id": id })).unwrap();
            ids.iter().map(update).collect()
        };
        assert_eq!(next_offset(&updates(&[700, 701])), 702);
        assert_eq!(next_offset(&updates(&[])), 0, "the next number may be a smaller one");
        assert_eq!(next_offset(&updates(&[17])), 18);
    }
}
