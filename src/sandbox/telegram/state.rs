//! The simulated Telegram as data: chats, messages, presses, commands, and what changes them.
//!
//! No HTTP and no waiting here: a request or a test takes the lock, changes something, and releases it.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Options,
    cast::{self, Appears, ChatKind, Place, Role, User},
    faults::Faults,
    html::Formatted,
    message::{Author, Media, Service, SimMessage, merged},
    refusal::Refusal,
    updates::Updates,
};

/// Telegram's limit for messages into one group: sends and edits together, in a minute.
const GROUP_POSTS_PER_MINUTE: usize = 20;
/// How long a press can be answered. Telegram allows 10 to 30 seconds; tests may be slower than people.
const QUERY_LIFE: TimeDelta = TimeDelta::seconds(30);

/// How many requests are kept: a sandbox may run for days, and older requests are not needed.
const REQUESTS_KEPT: usize = 10_000;

#[derive(Debug)]
pub(super) struct State {
    pub(super) bot: User,
    pub(super) users: BTreeMap<i64, User>,
    pub(super) chats: BTreeMap<i64, Chat>,
    pub(super) updates: Updates,
    pub(super) queries: BTreeMap<String, Query>,
    pub(super) commands: BTreeMap<CommandScope, Vec<Command>>,
    pub(super) requests: VecDeque<Request>,
    request_counts: BTreeMap<String, u64>,
    pub(super) faults: Faults,
    pub(super) files: BTreeMap<String, Media>,
    pub(super) rate_limit: bool,
    pub(super) webhook: Option<String>,
    /// What happened since the lock was taken, for listeners.
    pub(super) changes: Vec<Change>,
}

/// A chat with its messages.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) id: i64,
    pub(super) kind: ChatKind,
    pub(super) title: String,
    pub(super) topics: BTreeMap<i64, String>,
    pub(super) members: BTreeMap<i64, Role>,
    pub(super) bot: Role,
    /// In a private chat: whether the person has written first. A bot cannot begin a private chat.
    pub(super) started: bool,
    pub(super) migrated_to: Option<i64>,
    pub(super) messages: BTreeMap<i64, SimMessage>,
    next_message: i64,
    posts: VecDeque<DateTime<Utc>>,
}

/// A press on a button.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) user: i64,
    pub(super) chat: i64,
    pub(super) message: i64,
    pub(super) at: DateTime<Utc>,
    pub(super) expired: bool,
    pub(super) answer: Option<Answer>,
}

/// The bot's answer to a press.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Who pressed.
    pub user: i64,
    /// Where the button is.
    pub chat: i64,
    /// The message with the button.
    pub message: i64,
    /// What the person sees; `None` for an answer that only ends the wait.
    pub text: Option<String>,
    /// Whether it must be closed by hand.
    pub alert: bool,
}

/// Who sees a menu of commands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommandScope {
    pub(super) kind: String,
    pub(super) chat: Option<i64>,
    pub(super) user: Option<i64>,
    pub(super) language: String,
}

/// A line of the menu of commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// The name without the slash.
    pub command: String,
    /// What it does.
    pub description: String,
}

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// The method in lower case.
    pub method: String,
    /// Its parameters without files.
    pub params: Value,
    /// When it was answered.
    pub at: DateTime<Utc>,
    /// The status of the answer.
    pub status: u16,
    /// Telegram's error text, where it was refused.
    pub refusal: Option<String>,
}

/// Something that changed and can be seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A message is new or was changed.
    Message { message: Box<SimMessage> },
    /// A message was deleted.
    Deleted { chat: i64, id: i64 },
    /// A press was answered.
    Answer(Answer),
    /// A menu of commands changed.
    Commands,
    /// The bot shows that it is busy: `typing`, `upload_photo`.
    Action { chat: i64, action: String },
    /// A chat changed: the bot's membership, or the chat's id.
    Chat { chat: i64 },
    /// Faults were switched.
    Faults,
}

impl State {
    pub(super) fn new(bot: User, options: &Options) -> Self {
        let rate_limit = options.rate_limit;
        let users = cast::people(bot.clone(), options.crowd);
        let chats = Chat::all(&users).into_iter().map(|chat| (chat.id, chat)).collect();
        Self {
            bot,
            users,
            chats,
            updates: Updates::new(),
            queries: BTreeMap::new(),
            commands: BTreeMap::new(),
            requests: VecDeque::new(),
            request_counts: BTreeMap::new(),
            faults: Faults::default(),
            files: BTreeMap::new(),
            rate_limit,
            webhook: None,
            changes: Vec::new(),
        }
    }

    /// Returns a chat that exists and has not become a supergroup.
    pub(super) fn chat(&mut self, id: i64) -> Result<&mut Chat, Refusal> {
        let chat = self.chats.get_mut(&id).ok_or_else(|| Refusal::bad_request("chat not found"))?;
        match (chat.migrated_to, chat.bot) {
            (Some(to), _) => Err(Refusal::migrated(to)),
            (None, Role::Kicked) => Err(Refusal::forbidden(chat.kicked_words())),
            (None, Role::Left) => {
                Err(Refusal::forbidden(&format!("bot is not a member of the {} chat", chat.kind.word())))
            }
            _ => Ok(chat),
        }
    }

    /// Returns a chat that the bot may write to, and counts the post for the limit.
    pub(super) fn chat_for_post(&mut self, id: i64, now: DateTime<Utc>) -> Result<&mut Chat, Refusal> {
        let limited = self.rate_limit;
        let chat = self.chat(id)?;
        if chat.kind == ChatKind::Private && !chat.started {
            return Err(Refusal::forbidden("bot can't initiate conversation with a user"));
        }
        if chat.bot == Role::Muted {
            return Err(Refusal::bad_request("not enough rights to send text messages to the chat"));
        }
        if limited && chat.kind != ChatKind::Private {
            chat.count_post(now)?;
        }
        Ok(chat)
    }

    /// Puts a message into its chat.
    pub(super) fn post(&mut self, draft: Draft, now: DateTime<Utc>) -> Option<SimMessage> {
        let chat = self.chats.get_mut(&draft.place.chat)?;
        let message = draft.into_message(chat.next_message, now);
        chat.next_message += 1;
        chat.messages.insert(message.id, message.clone());
        self.changed(&message);
        Some(message)
    }

    pub(super) fn changed(&mut self, message: &SimMessage) {
        self.changes.push(Change::Message { message: Box::new(message.clone()) });
    }

    /// Returns the sender that a bot sees when this person writes there.
    pub(super) fn author(&self, user: &User, chat: i64) -> Author {
        let private = chat == user.id;
        let shown = |id: i64, sender_chat: i64| {
            let name = self.chats.get(&sender_chat).map_or_else(|| user.name.clone(), |c| c.title.clone());
            Author { id, name, is_bot: true, sender_chat: Some(sender_chat) }
        };
        match user.appears {
            Appears::Anonymous if !private => shown(cast::GROUP_ANONYMOUS_BOT, chat),
            Appears::Channel => shown(cast::CHANNEL_BOT, cast::NEWS),
            Appears::Self_ | Appears::Anonymous => {
                Author { id: user.id, name: user.name.clone(), is_bot: user.is_bot, sender_chat: None }
            }
        }
    }

    /// Writes the Bot API's `Message`.
    pub(super) fn message_json(&self, message: &SimMessage) -> Value {
        let mut json = self.message_without_reply(message);
        if let Some(original) = message.reply_to.and_then(|id| self.message(message.chat, id)) {
            json["reply_to_message"] = self.message_without_reply(original);
        }
        if let Some(Service::Pinned(id)) = message.service
            && let Some(pinned) = self.message(message.chat, id)
        {
            json["pinned_message"] = self.message_without_reply(pinned);
        }
        json
    }

    fn message_without_reply(&self, message: &SimMessage) -> Value {
        let mut json = Value::Object(message.fields());
        if let Some(chat) = self.chats.get(&message.chat) {
            json["chat"] = chat.to_api(&self.users);
        }
        if let Some(user) = self.users.get(&message.from.id) {
            json["from"] = user.to_api();
        }
        if let Some(chat) = message.from.sender_chat.and_then(|id| self.chats.get(&id)) {
            json["sender_chat"] = chat.to_api(&self.users);
        }
        json
    }

    /// Returns a message that was not deleted.
    pub(super) fn message(&self, chat: i64, id: i64) -> Option<&SimMessage> {
        self.chats.get(&chat)?.messages.get(&id).filter(|message| !message.deleted)
    }

    /// Queues a press of a button as the bot will see it, and returns the query's id.
    pub(super) fn press(
        &mut self,
        user: i64,
        chat: i64,
        message: i64,
        data: &str,
        now: DateTime<Utc>,
    ) -> String {
        let id = format!("{}", 4_000_000_000_000_000_i64 + self.queries.len() as i64);
        let mut query = json!({
            "id": id,
            "from": self.users.get(&user).map(User::to_api),
            "chat_instance": format!("{}", chat.unsigned_abs() * 31),
            "data": data,
        });
        query["message"] = match self.message(chat, message) {
            Some(message) => self.message_json(message),
            // Telegram's `InaccessibleMessage`: date 0, its chat and its number.
            None => json!({
                "chat": self.chats.get(&chat).map(|chat| chat.to_api(&self.users)),
                "message_id": message,
                "date": 0,
            }),
        };
        self.updates.push("callback_query", query, now);
        self.queries.insert(id.clone(), Query { user, chat, message, at: now, expired: false, answer: None });
        id
    }

    /// Records the bot's answer to a press.
    pub(super) fn answer(
        &mut self,
        id: &str,
        text: Option<String>,
        alert: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let open =
            |query: &&mut Query| !query.expired && query.answer.is_none() && now - query.at <= QUERY_LIFE;
        let query = self.queries.get_mut(id).filter(open).ok_or_else(|| {
            Refusal::bad_request("query is too old and response timeout expired or query ID is invalid")
        })?;
        let text = text.filter(|text| !text.is_empty());
        let answer = Answer { user: query.user, chat: query.chat, message: query.message, text, alert };
        query.answer = Some(answer.clone());
        self.changes.push(Change::Answer(answer));
        Ok(())
    }

    /// Changes the bot's membership in a chat and queues an update about it.
    pub(super) fn set_bot_role(&mut self, chat: i64, role: Role, by: i64, now: DateTime<Utc>) -> bool {
        let Some(place) = self.chats.get_mut(&chat) else { return false };
        let before = std::mem::replace(&mut place.bot, role);
        let member = |role: Role| merged(json!({ "user": self.bot.to_api() }), role.to_api(false));
        let update = json!({
            "chat": self.chats.get(&chat).map(|chat| chat.to_api(&self.users)),
            "from": self.users.get(&by).map(User::to_api),
            "date": now.timestamp(),
            "old_chat_member": member(before),
            "new_chat_member": member(role),
        });
        self.updates.push("my_chat_member", update, now);
        self.changes.push(Change::Chat { chat });
        true
    }

    /// Turns a group into a supergroup with a new id, and says so in both, as Telegram does.
    pub(super) fn migrate(&mut self, group: i64, now: DateTime<Utc>) -> Option<i64> {
        let old = self.chats.get_mut(&group).filter(|chat| chat.kind == ChatKind::Group)?;
        let to = group - 1_001_000_100_000;
        old.migrated_to = Some(to);
        let mut heir = Chat::new(to, ChatKind::Supergroup, &old.title);
        heir.members = old.members.clone();
        heir.bot = old.bot;
        self.chats.insert(to, heir);
        let owner = self.users.get(&cast::ADMIN)?.clone();
        for (place, service) in [(group, Service::MigratedTo(to)), (to, Service::MigratedFrom(group))] {
            let mut draft = Draft::new(place.into(), self.author(&owner, place), Formatted::default());
            draft.service = Some(service);
            let message = self.post(draft, now)?;
            let json = self.message_json(&message);
            self.updates.push("message", json, now);
            self.changes.push(Change::Chat { chat: place });
        }
        Some(to)
    }

    /// Writes a request into the log.
    pub(super) fn log(&mut self, request: Request) {
        *self.request_counts.entry(request.method.clone()).or_default() += 1;
        self.requests.push_back(request);
        while self.requests.len() > REQUESTS_KEPT {
            self.requests.pop_front();
        }
    }

    pub(super) fn request_count(&self, method: &str) -> u64 {
        self.request_counts.get(&method.to_ascii_lowercase()).copied().unwrap_or_default()
    }

    /// Returns the menu that a person sees in a chat: the narrowest scope that has one.
    pub(super) fn menu(&self, user: i64, chat: i64) -> Vec<Command> {
        let language = self.users.get(&user).and_then(|user| user.language.clone()).unwrap_or_default();
        let kind = self.chats.get(&chat).map(|chat| (chat.kind, chat.role(user)));
        let is_admin = matches!(kind, Some((_, Role::Owner | Role::Administrator)));
        let private = matches!(kind, Some((ChatKind::Private, _)));
        let scope = |kind: &str, chat, user| (kind.to_owned(), chat, user);
        let mut scopes = vec![scope("chat_member", Some(chat), Some(user))];
        if is_admin {
            scopes.push(scope("chat_administrators", Some(chat), None));
        }
        scopes.push(scope("chat", Some(chat), None));
        if is_admin {
            scopes.push(scope("all_chat_administrators", None, None));
        }
        let all = if private { "all_private_chats" } else { "all_group_chats" };
        scopes.push(scope(all, None, None));
        scopes.push(scope("default", None, None));
        let menu = scopes.into_iter().find_map(|(kind, chat, user)| {
            [language.as_str(), ""].into_iter().find_map(|language| {
                let language = language.to_owned();
                let scope = CommandScope { kind: kind.clone(), chat, user, language };
                self.commands.get(&scope).filter(|menu| !menu.is_empty())
            })
        });
        menu.cloned().unwrap_or_default()
    }
}

/// A message that is not in its chat yet.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) place: Place,
    pub(super) from: Author,
    pub(super) body: Formatted,
    pub(super) media: Option<Media>,
    pub(super) reply_to: Option<i64>,
    pub(super) buttons: Vec<Vec<super::message::Button>>,
    pub(super) silent: bool,
    pub(super) service: Option<Service>,
}

impl Draft {
    pub(super) fn new(place: Place, from: Author, body: Formatted) -> Self {
        Self {
            place,
            from,
            body,
            media: None,
            reply_to: None,
            buttons: Vec::new(),
            silent: false,
            service: None,
        }
    }

    fn into_message(self, id: i64, now: DateTime<Utc>) -> SimMessage {
        let Self { place, from, body, media, reply_to, buttons, silent, service } = self;
        SimMessage {
            id,
            chat: place.chat,
            thread: place.thread,
            date: now,
            from,
            body,
            media,
            reply_to,
            buttons,
            history: Vec::new(),
            edited: None,
            deleted: false,
            pinned: false,
            reactions: Vec::new(),
            silent,
            service,
        }
    }
}

impl Chat {
    fn new(id: i64, kind: ChatKind, title: &str) -> Self {
        Self {
            id,
            kind,
            title: title.to_owned(),
            topics: BTreeMap::new(),
            members: BTreeMap::new(),
            bot: Role::Member,
            started: false,
            migrated_to: None,
            messages: BTreeMap::new(),
            next_message: 1,
            posts: VecDeque::new(),
        }
    }

    fn all(users: &BTreeMap<i64, User>) -> Vec<Self> {
        let everybody = [
            (cast::ADMIN, Role::Owner),
            (cast::OPERATOR, Role::Member),
            (cast::VIEWER, Role::Member),
            (cast::STRANGER, Role::Member),
            (cast::ANONYMOUS_ADMIN, Role::Administrator),
        ];
        let group = |id, kind, title| Self { members: everybody.into(), ..Self::new(id, kind, title) };
        let mut forum = group(cast::FORUM, ChatKind::Supergroup, "Operations");
        forum.topics = [(cast::OPS_TOPIC, "Balancer".into()), (cast::TALK_TOPIC, "Talk".into())].into();
        let mut news = group(cast::NEWS, ChatKind::Channel, "News");
        news.bot = Role::Left;
        let mut chats = vec![
            group(cast::GROUP, ChatKind::Group, "Night shift"),
            forum,
            group(cast::SUPERGROUP, ChatKind::Supergroup, "Virtualization"),
            news,
        ];
        chats.extend(users.values().filter(|user| !user.is_bot && user.appears != Appears::Channel).map(
            |user| {
                let mut private = Self::new(user.id, ChatKind::Private, &user.name);
                private.members.insert(user.id, Role::Member);
                private.started = user.id != cast::STRANGER;
                private
            },
        ));
        // Numbers differ from chat to chat, so that a message of one chat cannot pass as one of another.
        for (number, chat) in chats.iter_mut().enumerate() {
            chat.next_message = 1 + 10 * i64::try_from(number).unwrap_or_default();
        }
        chats
    }

    /// Returns a user's membership in this chat.
    pub(super) fn role(&self, user: i64) -> Role {
        self.members.get(&user).copied().unwrap_or(Role::Left)
    }

    pub(super) fn bot_is_admin(&self) -> bool {
        matches!(self.bot, Role::Owner | Role::Administrator) || self.kind == ChatKind::Private
    }

    /// Writes the Bot API's `Chat`.
    pub(super) fn to_api(&self, users: &BTreeMap<i64, User>) -> Value {
        let mut chat = json!({ "id": self.id, "type": self.kind.word() });
        if self.kind != ChatKind::Private {
            chat["title"] = json!(self.title);
        } else if let Some(user) = users.get(&self.id) {
            chat["first_name"] = json!(user.name);
            chat["username"] = json!(user.username);
        }
        if !self.topics.is_empty() {
            chat["is_forum"] = json!(true);
        }
        chat
    }

    fn kicked_words(&self) -> &'static str {
        match self.kind {
            ChatKind::Private => "bot was blocked by the user",
            ChatKind::Group => "bot was kicked from the group chat",
            ChatKind::Supergroup => "bot was kicked from the supergroup chat",
            ChatKind::Channel => "bot was kicked from the channel chat",
        }
    }

    fn count_post(&mut self, now: DateTime<Utc>) -> Result<(), Refusal> {
        let minute = TimeDelta::minutes(1);
        while self.posts.front().is_some_and(|at| now - *at >= minute) {
            self.posts.pop_front();
        }
        match self.posts.front() {
            Some(oldest) if self.posts.len() >= GROUP_POSTS_PER_MINUTE => {
                let wait = (minute - (now - *oldest)).num_seconds() + 1;
                Err(Refusal::too_many_requests(u32::try_from(wait).unwrap_or(1)))
            }
            _ => {
                self.posts.push_back(now);
                Ok(())
            }
        }
    }
}

impl ChatKind {
    /// Returns Telegram's word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Group => "group",
            Self::Supergroup => "supergroup",
            Self::Channel => "channel",
        }
    }
}

impl Role {
    /// Writes the Bot API's `ChatMember` without the user.
    pub(super) fn to_api(self, anonymous: bool) -> Value {
        match self {
            Self::Owner => json!({ "status": "creator", "is_anonymous": anonymous }),
            Self::Member => json!({ "status": "member" }),
            Self::Muted => muted(),
            Self::Left => json!({ "status": "left" }),
            Self::Kicked => json!({ "status": "kicked", "until_date": 0 }),
            Self::Administrator => json!({
                "status": "administrator",
                "is_anonymous": anonymous,
                "can_be_edited": false,
                "can_manage_chat": true,
                "can_change_info": true,
                "can_delete_messages": true,
                "can_manage_video_chats": true,
                "can_invite_users": true,
                "can_restrict_members": true,
                "can_pin_messages": true,
                "can_manage_topics": true,
                "can_promote_members": false,
                "can_post_stories": false,
                "can_edit_stories": false,
                "can_delete_stories": false,
            }),
        }
    }
}

fn muted() -> Value {
    let rights = [
        "can_send_messages",
        "can_send_audios",
        "can_send_documents",
        "can_send_photos",
        "can_send_videos",
        "can_send_video_notes",
        "can_send_voice_notes",
        "can_send_polls",
        "can_send_other_messages",
        "can_add_web_page_previews",
        "can_change_info",
        "can_invite_users",
        "can_pin_messages",
        "can_manage_topics",
    ];
    let mut member = json!({ "status": "restricted", "is_member": true, "until_date": 0 });
    if let Some(fields) = member.as_object_mut() {
        fields.extend(rights.map(|right| (right.to_owned(), json!(false))));
    }
    member
}
