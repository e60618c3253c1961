//! The kinds of chats that the bot can be configured for.

use serde::{Deserialize, Serialize};

use super::telegram::{ADMIN, FORUM, GROUP, OPS_TOPIC, Place, SUPERGROUP};

/// A kind of chat that the bot can be configured for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BotChat {
    /// A supergroup without topics.
    #[default]
    Supergroup,
    /// A topic of a forum.
    Topic,
    /// A basic group, which may become a supergroup.
    Group,
    /// The private chat with the admin.
    Private,
}

impl BotChat {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Supergroup, Self::Topic, Self::Group, Self::Private];

    /// Returns where it is in the simulated Telegram.
    #[must_use]
    pub fn place(self) -> Place {
        match self {
            Self::Supergroup => SUPERGROUP.into(),
            Self::Topic => (FORUM, OPS_TOPIC).into(),
            Self::Group => GROUP.into(),
            Self::Private => ADMIN.into(),
        }
    }

    /// Returns the value of `TELEGRAM_CHAT_ID`.
    #[must_use]
    pub fn id(self) -> String {
        let Place { chat, thread } = self.place();
        thread.map_or_else(|| chat.to_string(), |thread| format!("{chat}:{thread}"))
    }
}

/// Reads a value of `TELEGRAM_CHAT_ID`; `None` where it names no chat.
pub(super) fn place_of(id: &str) -> Option<Place> {
    let (chat, thread) = id.split_once(':').map_or((id, None), |(chat, thread)| (chat, Some(thread)));
    Some(Place { chat: chat.parse().ok()?, thread: thread.and_then(|thread| thread.parse().ok()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for chat in BotChat::ALL {
            assert_eq!(place_of(&chat.id()), Some(chat.place()));
        }
        assert_eq!(place_of(""), None);
    }
}
