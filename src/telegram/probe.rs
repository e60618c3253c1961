//! What `vm-balancer check` tries at Telegram: whether the bot can read, can write in its chat, and has an admin.

use std::time::Duration;

use teloxide::types::{Update, UpdateKind};
use tokio::time::timeout;

use super::{
    ChatTarget, Settings,
    api::{Api, Failure, Markup},
};
use crate::talk::{cards::Address, view::View};

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The token is that of this bot.
    Bot {
        name: String,
        reads_all: bool,
    },
    NoAnswer(String),
    BadToken,
    /// Updates go to a web server.
    Webhook(String),
    /// Another program reads the updates.
    SecondPoller,
    /// Telegram does not know the chat. Holds the number of a known chat that is almost the same, if there is one.
    NoChat {
        why: String,
        meant: Option<i64>,
    },
    /// The group became a supergroup with this number.
    Moved(i64),
    CannotWrite(String),
    NoTopic(i32),
    /// The bot is in the chat and may write there.
    CanWrite,
    /// A real message was sent.
    Sent,
    /// No list of people names anybody who could approve.
    NobodyMayApprove,
    /// Somebody may approve, but nobody may change settings.
    NoAdmin,
}

/// How long another program's poll is waited for. It must be able to come back after ours has ended it.
const OTHER_POLLER: Duration = Duration::from_secs(3);

/// How long the first answer may take: somebody waits to hear what is wrong.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// Asks Telegram and says nothing in the chat, but for a real message where one is wanted. While a bot of ours runs
/// its updates are left alone.
pub async fn probe(settings: &Settings, is_running: bool, send: bool) -> Vec<Seen> {
    let api = match Api::new(&Settings { poll_timeout: OTHER_POLLER, ..settings.clone() }) {
        Ok(api) => api,
        Err(error) => return vec![Seen::NoAnswer(error.to_string())],
    };
    let me = match timeout(FIRST_ANSWER, api.me()).await {
        Ok(Ok(me)) => me,
        Ok(Err(Failure::BadToken)) => return vec![Seen::BadToken],
        Ok(Err(failure)) => return vec![Seen::NoAnswer(failure.to_string())],
        Err(_) => {
            let after = humantime::format_duration(FIRST_ANSWER);
            return vec![Seen::NoAnswer(format!("no answer within {after}"))];
        }
    };
    let name = me.user.username.clone().unwrap_or_else(|| me.user.first_name.clone());
    let mut seen = vec![Seen::Bot { name, reads_all: me.can_read_all_group_messages }];
    seen.extend(updates(&api, is_running).await);
    if let Some(target) = settings.chat {
        seen.push(chat(&api, settings, target, send).await);
    }
    seen.extend(people(&api, settings).await);
    seen
}

async fn updates(api: &Api, is_running: bool) -> Option<Seen> {
    match api.webhook().await {
        Ok(Some(url)) => return Some(Seen::Webhook(url)),
        Ok(None) if is_running => return None,
        Ok(None) => {}
        Err(failure) => return Some(Seen::NoAnswer(failure.to_string())),
    }
    // Without a number nothing is confirmed: the bot gets these updates again.
    match api.peek().await {
        Err(Failure::SecondPoller) => Some(Seen::SecondPoller),
        Ok(()) | Err(_) => None,
    }
}

async fn chat(api: &Api, settings: &Settings, target: ChatTarget, send: bool) -> Seen {
    let ChatTarget { chat, thread } = target;
    match api.chat(chat).await {
        Ok(()) => {}
        Err(Failure::Moved(to)) => return Seen::Moved(to),
        Err(failure) => {
            return Seen::NoChat { why: failure.to_string(), meant: likely_chat(api, chat).await };
        }
    }
    let address = Address { chat, thread, reply_to: None };
    let view = View::new(settings.language, settings.timezone);
    let written = match send {
        true => api.send(address, &view.trial(), false, Markup::Html).await.map(|_| Seen::Sent),
        false => match api.may_write(chat).await {
            Ok(true) => api.typing(address).await.map(|()| Seen::CanWrite),
            Ok(false) => return Seen::CannotWrite("the bot may not send messages there".into()),
            Err(failure) => Err(failure),
        },
    };
    written.unwrap_or_else(|failure| match (failure, thread) {
        (Failure::ThreadGone, Some(thread)) => Seen::NoTopic(thread),
        (Failure::Moved(to), _) => Seen::Moved(to),
        (failure, _) => Seen::CannotWrite(failure.to_string()),
    })
}

/// People copy the number of a group without its `-100`, or without its sign.
async fn likely_chat(api: &Api, chat: i64) -> Option<i64> {
    let digits = chat.unsigned_abs();
    for candidate in [format!("-100{digits}"), format!("-{digits}")] {
        let other = candidate.parse().ok().filter(|other| *other != chat);
        if let Some(other) = other
            && api.chat(other).await.is_ok()
        {
            return Some(other);
        }
    }
    None
}

async fn people(api: &Api, settings: &Settings) -> Option<Seen> {
    let Settings { chat, admins, operators, viewers, .. } = settings;
    if !admins.is_empty() {
        return None;
    }
    if !operators.is_empty() {
        return Some(Seen::NoAdmin);
    }
    if !viewers.is_empty() {
        return Some(Seen::NobodyMayApprove);
    }
    match chat {
        // The person of a private chat is its admin.
        Some(target) if target.chat > 0 => None,
        Some(target) => match api.administrators(target.chat).await {
            Ok(people) => people.is_empty().then_some(Seen::NobodyMayApprove),
            // Why is reported with the chat.
            Err(_) => None,
        },
        None => Some(Seen::NobodyMayApprove),
    }
}

/// Who wrote `/start` to the bot, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub chat: i64,
    pub thread: Option<i32>,
    /// The chat's title, or the person's name.
    pub title: String,
    pub person: i64,
    pub name: String,
}

/// Waits for somebody who writes `/start` and confirms no update, so that the bot can answer it later.
///
/// # Errors
///
/// Why nobody was seen.
pub async fn meet(settings: &Settings, within: Duration) -> Result<Met, String> {
    let settings = Settings { poll_timeout: OTHER_POLLER, ..settings.clone() };
    let api = Api::new(&settings).map_err(|error| error.to_string())?;
    let found = async {
        loop {
            let updates = api.updates(0).await.map_err(|failure| failure.to_string())?;
            if let Some(met) = updates.iter().rev().find_map(met) {
                return Ok(met);
            }
            // What waits already is answered at once.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(within, found).await.unwrap_or_else(|_| Err("nothing came in time".into()))
}

fn met(update: &Update) -> Option<Met> {
    let UpdateKind::Message(message) = &update.kind else { return None };
    let person = message.from.as_ref().filter(|person| !person.is_bot)?;
    message.text().filter(|text| text.starts_with("/start"))?;
    let name = person.full_name();
    Some(Met {
        chat: message.chat.id.0,
        thread: message.thread_id.filter(|_| message.is_topic_message).map(|thread| thread.0.0),
        title: message.chat.title().map_or_else(|| name.clone(), str::to_owned),
        person: i64::try_from(person.id.0).ok()?,
        name,
    })
}
