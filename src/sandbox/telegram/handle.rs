//! What people in the simulated Telegram do and see, for tests and for the chat page.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

use super::{
    SimTelegram,
    cast::{ChatKind, Place, Role, User},
    faults::Faults,
    html::Formatted,
    message::{Media, SimMessage},
    state::{Answer, Change, Chat, Command, Draft, Request, State},
};

/// How long a wait lasts before the test fails: far longer than anything here takes, including teloxide's own
/// pause of 10 s after a 5xx.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// An action that is impossible in the simulated Telegram, or an event that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    #[error("there is no chat {0}")]
    NoChat(i64),
    #[error("there is no user {0}")]
    NoUser(i64),
    #[error("there is no message {message} in chat {chat}")]
    NoMessage { chat: i64, message: i64 },
    #[error("there is no button {wanted:?} on the message, only {there:?}")]
    NoButton { wanted: String, there: Vec<String> },
    #[error("there is no topic {thread} in chat {chat}")]
    NoTopic { chat: i64, thread: i64 },
    #[error("there was no update {0}")]
    NoUpdate(i64),
    #[error("waited in vain for {what}; there is: {there}")]
    NothingCame { what: String, there: String },
}

/// A chat as a list of chats shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChatView {
    /// The id a bot knows it by.
    pub id: i64,
    /// What it is.
    pub kind: ChatKind,
    /// The title, or the person's name.
    pub title: String,
    /// Topics with their titles; General is not among them.
    pub topics: Vec<(i64, String)>,
    /// The members with what they are.
    pub members: Vec<(i64, Role)>,
    /// What the bot is in it.
    pub bot: Role,
    /// Where the chat went when it became a supergroup.
    pub migrated_to: Option<i64>,
}

/// What is special about a message: an earlier date, a reply.
#[derive(Clone, Debug, Default)]
struct Said {
    reply_to: Option<i64>,
    date: Option<DateTime<Utc>>,
}

impl SimTelegram {
    /// Returns the bot's token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// Returns the bot as a user.
    #[must_use]
    pub fn bot(&self) -> User {
        self.shared.look(|state, _| state.bot.clone())
    }

    /// Writes a message as this user and returns its number.
    ///
    /// In groups the bot sees commands, replies to it and mentions, unless it is an administrator.
    ///
    /// # Errors
    /// When there is no such user or chat.
    pub fn say(&self, user: i64, place: impl Into<Place>, text: &str) -> Result<i64, SimError> {
        self.say_so(user, place.into(), text, Said::default())
    }

    /// Writes a message with an earlier date, as if it had waited for the bot.
    ///
    /// # Errors
    /// When there is no such user or chat.
    pub fn say_at(
        &self,
        date: DateTime<Utc>,
        user: i64,
        place: impl Into<Place>,
        text: &str,
    ) -> Result<i64, SimError> {
        self.say_so(user, place.into(), text, Said { date: Some(date), ..Said::default() })
    }

    /// Replies to a message.
    ///
    /// # Errors
    /// When there is no such user, chat or message.
    pub fn reply(
        &self,
        user: i64,
        place: impl Into<Place>,
        message: i64,
        text: &str,
    ) -> Result<i64, SimError> {
        let place = place.into();
        self.message(place.chat, message)?;
        self.say_so(user, place, text, Said { reply_to: Some(message), ..Said::default() })
    }

    fn say_so(&self, user: i64, place: Place, text: &str, said: Said) -> Result<i64, SimError> {
        self.shared.with(|state, now| {
            let user = state.users.get(&user).cloned().ok_or(SimError::NoUser(user))?;
            let from = state.author(&user, place.chat);
            let chat = state.chats.get_mut(&place.chat).ok_or(SimError::NoChat(place.chat))?;
            chat.started = true;
            let mut draft = Draft::new(place, from, Formatted::plain(text));
            draft.reply_to = said.reply_to;
            let message = state.post(draft, said.date.unwrap_or(now));
            let message = message.ok_or(SimError::NoChat(place.chat))?;
            if state.is_seen_by_bot(&message) {
                let json = state.message_json(&message);
                state.updates.push("message", json, now);
            }
            Ok(message.id)
        })
    }

    /// Edits a person's message. The bot gets an update about it.
    ///
    /// # Errors
    /// When there is no such message.
    pub fn edit_said(&self, chat: i64, message: i64, text: &str) -> Result<(), SimError> {
        self.shared.with(|state, now| {
            let none = SimError::NoMessage { chat, message };
            let place = state.chats.get_mut(&chat).ok_or(SimError::NoChat(chat))?;
            let said = place.messages.get_mut(&message).ok_or(none)?;
            said.remember(now);
            said.body = Formatted::plain(text);
            let said = said.clone();
            state.changed(&said);
            let json = state.message_json(&said);
            state.updates.push("edited_message", json, now);
            Ok(())
        })
    }

    /// Presses a button, named by its label or its data, and waits for the bot's answer.
    ///
    /// # Errors
    /// When there is no such message or button, or no answer comes.
    pub async fn press(&self, user: i64, chat: i64, message: i64, button: &str) -> Result<Answer, SimError> {
        let query = self.press_only(user, chat, message, button)?;
        self.answer_to(&query).await
    }

    /// Presses a button and returns the query's id without waiting.
    ///
    /// # Errors
    /// When there is no such message or button.
    pub fn press_only(&self, user: i64, chat: i64, message: i64, button: &str) -> Result<String, SimError> {
        let shown = self.message(chat, message)?;
        let there = || shown.buttons.iter().flatten().map(|button| button.text.clone()).collect();
        let found = shown.button(button).and_then(|button| button.data.clone());
        let data = found.ok_or_else(|| SimError::NoButton { wanted: button.to_owned(), there: there() })?;
        self.press_forged(user, chat, message, &data)
    }

    /// Sends a press without checking for a button: a forged one, or one on an old or deleted message.
    ///
    /// # Errors
    /// When there is no such user or chat.
    pub fn press_forged(&self, user: i64, chat: i64, message: i64, data: &str) -> Result<String, SimError> {
        self.shared.with(|state, now| {
            state.users.get(&user).ok_or(SimError::NoUser(user))?;
            state.chats.get(&chat).ok_or(SimError::NoChat(chat))?;
            Ok(state.press(user, chat, message, data, now))
        })
    }

    /// Waits for the bot's answer to a press.
    ///
    /// # Errors
    /// When none comes.
    pub async fn answer_to(&self, query: &str) -> Result<Answer, SimError> {
        let answered = |state: &State| state.queries.get(query).and_then(|query| query.answer.clone());
        self.wait(&format!("an answer to press {query}"), answered).await
    }

    /// Ends the time to answer for all open presses.
    pub fn expire_presses(&self) {
        self.shared.with(|state, _| state.queries.values_mut().for_each(|query| query.expired = true));
    }

    /// Returns all answers to presses, the oldest first.
    #[must_use]
    pub fn answers(&self) -> Vec<Answer> {
        self.shared.look(|state, _| state.queries.values().filter_map(|query| query.answer.clone()).collect())
    }

    /// Returns the messages of a chat as they are, without deleted ones, the oldest first.
    #[must_use]
    pub fn messages(&self, chat: i64) -> Vec<SimMessage> {
        self.shared.look(|state, _| state.chats.get(&chat).map(Chat::visible).unwrap_or_default())
    }

    /// Returns a message that was not deleted.
    ///
    /// # Errors
    /// When there is none.
    pub fn message(&self, chat: i64, message: i64) -> Result<SimMessage, SimError> {
        self.shared.look(|state, _| {
            state.message(chat, message).cloned().ok_or(SimError::NoMessage { chat, message })
        })
    }

    /// Waits until `look` returns something for the messages of a chat.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn wait_for<T>(
        &self,
        chat: i64,
        what: &str,
        look: impl Fn(&[SimMessage]) -> Option<T>,
    ) -> Result<T, SimError> {
        let looked = |state: &State| look(&state.chats.get(&chat)?.visible());
        let waited = self.wait(what, looked).await;
        waited.map_err(|error| match error {
            SimError::NothingCame { what, .. } => {
                SimError::NothingCame { what, there: self.transcript(chat) }
            }
            error => error,
        })
    }

    /// Waits until a message of the bot in this chat contains `text`, and returns the newest.
    ///
    /// # Errors
    /// When none comes.
    pub async fn wait_for_text(&self, chat: i64, text: &str) -> Result<SimMessage, SimError> {
        let bot = self.bot().id;
        let has = |message: &&SimMessage| message.from.id == bot && message.text().contains(text);
        self.wait_for(chat, &format!("{text:?} in chat {chat}"), |messages| {
            messages.iter().rev().find(has).cloned()
        })
        .await
    }

    /// Waits until the bot has made this many requests with this method, including refused ones.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn wait_for_requests(&self, method: &str, count: u64) -> Result<(), SimError> {
        let what = format!("{count} requests {method}");
        self.wait(&what, |state| (state.request_count(method) >= count).then_some(())).await
    }

    /// Waits until the bot requests updates for the first time, or again after `polls_before`.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn wait_for_poll(&self, polls_before: u64) -> Result<u64, SimError> {
        let newer = |state: &State| Some(state.updates.poll).filter(|poll| *poll > polls_before);
        self.wait("a poll", newer).await
    }

    async fn wait<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> Result<T, SimError> {
        let mut changed = self.shared.version.subscribe();
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        loop {
            changed.mark_unchanged();
            if let Some(found) = self.shared.look(|state, _| look(state)) {
                return Ok(found);
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return Err(SimError::NothingCame { what: what.to_owned(), there: "nothing".to_owned() });
            }
        }
    }

    /// Returns a chat as plain lines, to be read when a test fails.
    #[must_use]
    pub fn transcript(&self, chat: i64) -> String {
        let lines = self.messages(chat).into_iter().map(|message| {
            let buttons = message.labels().concat().join("] [");
            let buttons = if buttons.is_empty() { buttons } else { format!("\n  [{buttons}]") };
            format!("#{} {}: {}{buttons}", message.id, message.from.name, message.text())
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns the newest requests of the bot, the oldest first, including refused ones.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.look(|state, _| state.requests.iter().cloned().collect())
    }

    /// Returns how many requests with this method were answered, refusals included.
    #[must_use]
    pub fn request_count(&self, method: &str) -> u64 {
        self.shared.look(|state, _| state.request_count(method))
    }

    /// Queues any JSON as an update and returns its id, which is new where it had none.
    pub fn push_update(&self, update: Value) -> i64 {
        self.shared.with(|state, now| state.updates.push_raw(update, now))
    }

    /// Begins to count updates anew, as Telegram does after a week without any.
    pub fn count_updates_from(&self, id: i64) {
        self.shared.with(|state, _| state.updates.count_from(id));
    }

    /// Queues an update once more, with its old id.
    ///
    /// # Errors
    /// When there was none with this id.
    pub fn replay(&self, update_id: i64) -> Result<(), SimError> {
        let found = self.shared.with(|state, now| state.updates.replay(update_id, now));
        if found { Ok(()) } else { Err(SimError::NoUpdate(update_id)) }
    }

    /// Returns the id of the newest update.
    #[must_use]
    pub fn last_update_id(&self) -> Option<i64> {
        self.shared.look(|state, _| state.updates.last_id())
    }

    /// Returns how many updates wait to be fetched or confirmed.
    #[must_use]
    pub fn pending_updates(&self) -> usize {
        self.shared.look(|state, _| state.updates.pending())
    }

    /// Deletes a message as an administrator does. As in Telegram, the bot gets no update.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete_message(&self, chat: i64, message: i64) -> Result<(), SimError> {
        self.shared.with(|state, _| {
            let none = SimError::NoMessage { chat, message };
            let place = state.chats.get_mut(&chat).ok_or(SimError::NoChat(chat))?;
            place.messages.get_mut(&message).ok_or(none)?.deleted = true;
            state.changes.push(Change::Deleted { chat, id: message });
            Ok(())
        })
    }

    /// Deletes a topic with its messages. As in Telegram, the bot gets no update.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete_topic(&self, chat: i64, thread: i64) -> Result<(), SimError> {
        self.shared.with(|state, _| {
            let place = state.chats.get_mut(&chat).ok_or(SimError::NoChat(chat))?;
            place.topics.remove(&thread).ok_or(SimError::NoTopic { chat, thread })?;
            let within = place.messages.values_mut().filter(|message| message.thread == Some(thread));
            within.for_each(|message| message.deleted = true);
            state.changes.push(Change::Chat { chat });
            Ok(())
        })
    }

    /// Kicks the bot out of a group, or blocks it in a private chat.
    ///
    /// # Errors
    /// When there is no such chat.
    pub fn kick(&self, chat: i64) -> Result<(), SimError> {
        self.set_bot_role(chat, Role::Kicked)
    }

    /// Changes the bot's membership in a chat. The bot gets an update.
    ///
    /// # Errors
    /// When there is no such chat.
    pub fn set_bot_role(&self, chat: i64, role: Role) -> Result<(), SimError> {
        let by = if chat > 0 { chat } else { super::ADMIN };
        let found = self.shared.with(|state, now| state.set_bot_role(chat, role, by, now));
        if found { Ok(()) } else { Err(SimError::NoChat(chat)) }
    }

    /// Sends the bot's updates to a web server instead, as another program would.
    pub fn set_webhook(&self, url: &str) {
        self.shared.with(|state, _| state.webhook = Some(url.to_owned()));
    }

    /// Turns a basic group into a supergroup and returns its new id.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn migrate_to_supergroup(&self, group: i64) -> Result<i64, SimError> {
        self.shared.with(|state, now| state.migrate(group, now)).ok_or(SimError::NoChat(group))
    }

    /// Returns the faults that are on, with their remaining counts.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.look(|state, _| state.faults.clone())
    }

    /// Switches faults.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        let away = self.shared.with(|state, _| {
            change(&mut state.faults);
            state.changes.push(Change::Faults);
            state.faults.away
        });
        self.shared.breaker.set_away(away);
    }

    /// Subscribes to all changes from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.shared.changes.subscribe()
    }

    /// Returns all people, bots included.
    #[must_use]
    pub fn users(&self) -> Vec<User> {
        self.shared.look(|state, _| state.users.values().cloned().collect())
    }

    /// Returns all chats.
    #[must_use]
    pub fn chats(&self) -> Vec<ChatView> {
        self.shared.look(|state, _| state.chats.values().map(Chat::view).collect())
    }

    /// Returns the menu of commands that this person sees in this chat.
    #[must_use]
    pub fn menu(&self, user: i64, chat: i64) -> Vec<Command> {
        self.shared.look(|state, _| state.menu(user, chat))
    }

    /// Returns a file that was sent.
    #[must_use]
    pub fn file(&self, file_id: &str) -> Option<Media> {
        self.shared.look(|state, _| state.files.get(file_id).cloned())
    }
}

impl State {
    /// Returns whether a bot in privacy mode gets this message.
    fn is_seen_by_bot(&self, message: &SimMessage) -> bool {
        let Some(chat) = self.chats.get(&message.chat) else { return false };
        match chat.bot {
            Role::Kicked | Role::Left => return false,
            Role::Owner | Role::Administrator => return true,
            Role::Member | Role::Muted => {}
        }
        let name = self.bot.username.clone().unwrap_or_default().to_ascii_lowercase();
        let text = message.text().to_ascii_lowercase();
        let is_reply = message.reply_to.and_then(|id| chat.messages.get(&id));
        chat.kind == ChatKind::Private
            || is_reply.is_some_and(|original| original.from.id == self.bot.id)
            || text.contains(&format!("@{name}"))
            || is_command_for_anybody(&text)
    }
}

/// `/name@other_bot` is for that bot alone; `/name` is for all.
fn is_command_for_anybody(text: &str) -> bool {
    let command = text.split_whitespace().next().unwrap_or_default();
    command.len() > 1 && command.starts_with('/') && !command.contains('@')
}

impl Chat {
    fn visible(&self) -> Vec<SimMessage> {
        self.messages.values().filter(|message| !message.deleted).cloned().collect()
    }

    fn view(&self) -> ChatView {
        ChatView {
            id: self.id,
            kind: self.kind,
            title: self.title.clone(),
            topics: self.topics.iter().map(|(id, title)| (*id, title.clone())).collect(),
            members: self.members.iter().map(|(user, role)| (*user, *role)).collect(),
            bot: self.bot,
            migrated_to: self.migrated_to,
        }
    }
}
