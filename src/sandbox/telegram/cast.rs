//! The people, chats and topics of the simulated Telegram.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

/// A person for `TELEGRAM_ADMIN_IDS`, who is also an administrator of the groups.
pub const ADMIN: i64 = 1001;
/// A person for `TELEGRAM_OPERATOR_IDS`.
pub const OPERATOR: i64 = 1002;
/// A person for `TELEGRAM_VIEWER_IDS`.
pub const VIEWER: i64 = 1003;
/// A person that no list names, and who has never written to the bot in private.
pub const STRANGER: i64 = 1004;
/// An administrator of the groups who writes anonymously. A press shows this id.
pub const ANONYMOUS_ADMIN: i64 = 1005;
/// Not a person: messages of this user are sent in the name of [`NEWS`], the channel.
pub const CHANNEL: i64 = 1006;

/// The first of those without a name of their own, where there is a crowd.
pub const CROWD: i64 = 2001;

/// The user that Telegram shows instead of an anonymous administrator.
pub const GROUP_ANONYMOUS_BOT: i64 = 1_087_968_824;
/// The user that Telegram shows instead of a channel.
pub const CHANNEL_BOT: i64 = 136_817_688;

/// A basic group.
pub const GROUP: i64 = -4001;
/// A supergroup with topics: [`OPS_TOPIC`] and [`TALK_TOPIC`].
pub const FORUM: i64 = -1_001_000_000_001;
/// A supergroup without topics.
pub const SUPERGROUP: i64 = -1_001_000_000_002;
/// A channel.
pub const NEWS: i64 = -1_001_000_000_003;
/// A topic of [`FORUM`].
pub const OPS_TOPIC: i64 = 7;
/// Another topic of [`FORUM`].
pub const TALK_TOPIC: i64 = 9;

/// A chat, and the topic in it where there are topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The chat; a private chat has its person's id.
    pub chat: i64,
    /// The topic; none is General.
    pub thread: Option<i64>,
}

impl From<i64> for Place {
    fn from(chat: i64) -> Self {
        Self { chat, thread: None }
    }
}

impl From<(i64, i64)> for Place {
    fn from((chat, thread): (i64, i64)) -> Self {
        Self { chat, thread: Some(thread) }
    }
}

/// A user of the simulated Telegram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// The numeric id that decides what the person may do.
    pub id: i64,
    /// The name that people see.
    pub name: String,
    /// The name behind the `@`.
    pub username: Option<String>,
    /// Whether it is a program.
    pub is_bot: bool,
    /// The language of the person's Telegram.
    pub language: Option<String>,
    /// How the person appears in groups.
    pub appears: Appears,
}

/// The name in which a user writes in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Appears {
    /// The user's own name and id.
    Self_,
    /// As the group: an anonymous administrator.
    Anonymous,
    /// As a channel.
    Channel,
}

/// What a chat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    Private,
    Group,
    Supergroup,
    Channel,
}

/// A user's membership in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Owner,
    Administrator,
    Member,
    /// A member that may not write.
    Muted,
    Left,
    Kicked,
}

impl User {
    fn person(id: i64, name: &str, username: &str, appears: Appears) -> Self {
        let language = Some("en".to_owned());
        Self { id, name: name.into(), username: Some(username.into()), is_bot: false, language, appears }
    }

    fn bot(id: i64, name: &str, username: &str) -> Self {
        let username = Some(username.to_owned());
        Self { id, name: name.into(), username, is_bot: true, language: None, appears: Appears::Self_ }
    }

    /// Writes the Bot API's `User`.
    pub(super) fn to_api(&self) -> Value {
        let mut user = json!({ "id": self.id, "is_bot": self.is_bot, "first_name": self.name });
        if let Some(username) = &self.username {
            user["username"] = json!(username);
        }
        if let Some(language) = &self.language {
            user["language_code"] = json!(language);
        }
        user
    }
}

/// Returns all users, by id.
pub(super) fn people(bot: User, crowd: u16) -> BTreeMap<i64, User> {
    let crowd = (0..crowd).map(|number| {
        let name = format!("crowd{number}");
        User::person(CROWD + i64::from(number), &name, &name, Appears::Self_)
    });
    let named = [
        User::person(ADMIN, "Anna", "anna_admin", Appears::Self_),
        User::person(OPERATOR, "Oleg", "oleg_operator", Appears::Self_),
        User::person(VIEWER, "Vera", "vera_viewer", Appears::Self_),
        User::person(STRANGER, "Stan", "stan_stranger", Appears::Self_),
        User::person(ANONYMOUS_ADMIN, "Nora", "nora_nobody", Appears::Anonymous),
        User::person(CHANNEL, "News", "news_channel", Appears::Channel),
        User::bot(GROUP_ANONYMOUS_BOT, "Group", "GroupAnonymousBot"),
        User::bot(CHANNEL_BOT, "Channel", "Channel_Bot"),
        bot,
    ];
    named.into_iter().chain(crowd).map(|user| (user.id, user)).collect()
}

/// Returns the bot itself.
pub(super) fn bot(id: i64, username: &str) -> User {
    User::bot(id, "Balancer", username)
}
