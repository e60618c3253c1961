//! A message in a simulated chat: what people see of it, and how the Bot API writes it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::html::Formatted;

/// A message with its earlier versions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimMessage {
    /// Counts within the chat.
    pub id: i64,
    /// The chat it stands in.
    pub chat: i64,
    /// The topic it stands in; `None` in General and in chats without topics.
    pub thread: Option<i64>,
    /// When it was sent.
    pub date: DateTime<Utc>,
    /// Who sent it.
    pub from: Author,
    /// The text, or the caption of a photo or document.
    #[serde(flatten)]
    pub body: Formatted,
    /// A photo or a document.
    pub media: Option<Media>,
    /// The message it answers.
    pub reply_to: Option<i64>,
    /// Inline buttons, row by row.
    pub buttons: Vec<Vec<Button>>,
    /// Its versions before each edit, the oldest first.
    pub history: Vec<Revision>,
    /// When it was last edited.
    pub edited: Option<DateTime<Utc>>,
    /// Whether it was deleted; [`super::SimTelegram::messages`] leaves deleted ones out.
    pub deleted: bool,
    /// Whether it is pinned.
    pub pinned: bool,
    /// The bot's reactions.
    pub reactions: Vec<String>,
    /// Whether it was sent without a sound.
    pub silent: bool,
    /// What happened to the chat, for service messages.
    pub service: Option<Service>,
}

/// Who sent a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Author {
    /// The user id that a bot sees.
    pub id: i64,
    /// The name that people see.
    pub name: String,
    /// Whether it is a bot.
    pub is_bot: bool,
    /// The chat in whose name it was sent: an anonymous administrator's or a channel's.
    pub sender_chat: Option<i64>,
}

/// An inline button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Button {
    /// What is written on it.
    pub text: String,
    /// What a press sends to the bot.
    pub data: Option<String>,
    /// What a press opens.
    pub url: Option<String>,
    /// What a press copies.
    pub copy_text: Option<String>,
    /// `danger`, `success` or `primary`.
    pub style: Option<String>,
    /// The button as the bot sent it.
    #[serde(skip)]
    pub raw: Value,
}

/// A message before an edit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Revision {
    /// The text it had.
    #[serde(flatten)]
    pub body: Formatted,
    /// The buttons it had.
    pub buttons: Vec<Vec<Button>>,
    /// When it was replaced.
    pub until: DateTime<Utc>,
}

/// A photo or a document in a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Media {
    /// Which of the two.
    pub kind: MediaKind,
    /// Telegram's id of the file, with which it can be sent again.
    pub file_id: String,
    /// The name it was sent with.
    pub file_name: String,
    /// Its content type.
    pub mime: String,
    /// Width and height in pixels, of photos.
    pub size: Option<(u32, u32)>,
    /// The content.
    #[serde(skip)]
    pub bytes: Arc<[u8]>,
}

/// What a file was sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Photo,
    Document,
}

/// What happened to a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// The group goes on as the supergroup with this id.
    MigratedTo(i64),
    /// The supergroup was the group with this id.
    MigratedFrom(i64),
    /// The message with this number was pinned.
    Pinned(i64),
}

impl SimMessage {
    /// Returns the text without formatting.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.body.text
    }

    /// Returns the text with its tags.
    #[must_use]
    pub fn html(&self) -> String {
        self.body.to_html()
    }

    /// Returns what is written on the buttons, row by row.
    #[must_use]
    pub fn labels(&self) -> Vec<Vec<&str>> {
        self.buttons.iter().map(|row| row.iter().map(|button| button.text.as_str()).collect()).collect()
    }

    /// Returns the first button with that label or that data.
    #[must_use]
    pub fn button(&self, label_or_data: &str) -> Option<&Button> {
        let buttons = || self.buttons.iter().flatten();
        buttons()
            .find(|button| button.text == label_or_data)
            .or_else(|| buttons().find(|button| button.data.as_deref() == Some(label_or_data)))
    }

    /// Adds the present version to the history, before a change.
    pub(super) fn remember(&mut self, now: DateTime<Utc>) {
        let (body, buttons) = (self.body.clone(), self.buttons.clone());
        self.history.push(Revision { body, buttons, until: now });
        self.edited = Some(now);
    }

    /// Returns the first button whose data has this in it.
    #[must_use]
    pub fn button_with(&self, part: &str) -> Option<&Button> {
        let mut buttons = self.buttons.iter().flatten();
        buttons.find(|button| button.data.as_ref().is_some_and(|data| data.contains(part)))
    }

    /// Writes everything but the chat, the sender and the message replied to, which only the state knows.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("message_id", json!(self.id));
        put("date", json!(self.date.timestamp()));
        if let Some(thread) = self.thread {
            put("message_thread_id", json!(thread));
            put("is_topic_message", json!(true));
        }
        if let Some(edited) = self.edited {
            put("edit_date", json!(edited.timestamp()));
        }
        match &self.media {
            Some(media) => {
                put(media.kind.field(), media.to_api());
                if !self.body.text.is_empty() {
                    put("caption", json!(self.body.text));
                    put("caption_entities", json!(self.body.entities));
                }
            }
            None if self.service.is_none() => {
                put("text", json!(self.body.text));
                if !self.body.entities.is_empty() {
                    put("entities", json!(self.body.entities));
                }
            }
            None => {}
        }
        match self.service {
            Some(Service::MigratedTo(id)) => put("migrate_to_chat_id", json!(id)),
            Some(Service::MigratedFrom(id)) => put("migrate_from_chat_id", json!(id)),
            Some(Service::Pinned(_)) | None => None,
        };
        if !self.buttons.is_empty() {
            let rows: Vec<Vec<&Value>> =
                self.buttons.iter().map(|row| row.iter().map(|button| &button.raw).collect()).collect();
            put("reply_markup", json!({ "inline_keyboard": rows }));
        }
        fields
    }
}

impl MediaKind {
    /// Returns the name of the parameter and of the message's field.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Document => "document",
        }
    }
}

impl Media {
    fn to_api(&self) -> Value {
        let file = json!({
            "file_id": self.file_id,
            "file_unique_id": format!("u{}", self.file_id),
            "file_size": self.bytes.len(),
        });
        let with = |extra: Value| merged(file.clone(), extra);
        match self.kind {
            MediaKind::Photo => {
                let (width, height) = self.size.unwrap_or((1, 1));
                json!([with(json!({ "width": width, "height": height }))])
            }
            MediaKind::Document => with(json!({ "file_name": self.file_name, "mime_type": self.mime })),
        }
    }
}

/// Puts the fields of `extra` into `object`.
pub(super) fn merged(mut object: Value, extra: Value) -> Value {
    if let (Value::Object(object), Value::Object(extra)) = (&mut object, extra) {
        object.extend(extra);
    }
    object
}
