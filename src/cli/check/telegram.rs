//! The chat: what was seen of it, and what to do.

use super::{Finding, State};
use crate::{
    config::Config,
    store::Mode,
    telegram::{Seen, Settings, probe},
};

const TELEGRAM: &str = "telegram";

/// Tries the token, the updates, the chat and the people.
pub(super) async fn check(config: &Config, is_running: bool, send: bool) -> Vec<Finding> {
    let Some(settings) = &config.telegram else {
        return vec![Finding::new(TELEGRAM, State::NotChecked, "no TELEGRAM_BOT_TOKEN, so no chat")];
    };
    let waits = config.scheduler.mode == Mode::Propose;
    let chat = settings.chat.map(|target| target.chat).unwrap_or_default();
    probe(settings, is_running, send).await.iter().map(|seen| finding(seen, chat, waits)).collect()
}

/// Tries a token before the chat and the people are known.
pub(in crate::cli) async fn token(settings: &Settings) -> Vec<Finding> {
    let seen = probe(settings, false, false).await;
    let known = seen.iter().filter(|seen| **seen != Seen::NobodyMayApprove);
    known.map(|seen| finding(seen, 0, false)).collect()
}

fn finding(seen: &Seen, chat: i64, waits: bool) -> Finding {
    let (state, detail, todo) = words(seen, chat, waits);
    let finding = Finding::new(TELEGRAM, state, detail);
    if todo.is_empty() { finding } else { finding.todo(todo) }
}

fn words(seen: &Seen, chat: i64, waits: bool) -> (State, String, String) {
    let people = if waits { State::Wrong } else { State::Warning };
    let (state, detail, todo) = match seen {
        Seen::Bot { name, reads_all: false } => {
            (State::Ok, format!("the token is that of @{name}; privacy mode is on, which is enough"), "")
        }
        Seen::Bot { name, reads_all: true } => (
            State::Warning,
            format!(
                "the token is that of @{name}; privacy mode is off, so it gets every message of its groups"
            ),
            "commands need no more than privacy mode: turn it on with /setprivacy at BotFather",
        ),
        Seen::NoAnswer(why) => (
            State::Wrong,
            format!("Telegram: {why}"),
            "check the way to api.telegram.org, TELEGRAM_PROXY and TELEGRAM_API_URL",
        ),
        Seen::BadToken => (
            State::Wrong,
            "Telegram does not know the token".into(),
            "copy TELEGRAM_BOT_TOKEN from BotFather again (/mybots, API Token)",
        ),
        Seen::Webhook(url) => (
            State::Wrong,
            format!("the bot's updates go to a webhook: {url}"),
            "stop the program that set it, or delete it with the Bot API's deleteWebhook; one bot is for one program",
        ),
        Seen::SecondPoller => (
            State::Wrong,
            "another program reads the updates of this bot".into(),
            "stop it, or make a bot of its own for each program at BotFather",
        ),
        Seen::NoChat { why, meant: Some(meant) } => {
            let todo = format!("write TELEGRAM_CHAT_ID={meant}: that chat is known");
            return (State::Wrong, format!("chat {chat}: {why}"), todo);
        }
        Seen::NoChat { why, meant: None } => (
            State::Wrong,
            format!("chat {chat}: {why}"),
            "add the bot to the group, or send it /start in private; /whoami there tells the number of the chat",
        ),
        Seen::Moved(to) => {
            let todo = format!("write TELEGRAM_CHAT_ID={to}");
            return (State::Wrong, format!("chat {chat} became a supergroup with the number {to}"), todo);
        }
        Seen::CannotWrite(why) => (
            State::Wrong,
            format!("the bot cannot write in chat {chat}: {why}"),
            "let the bot send messages there; in a channel make it an administrator, in private send it /start",
        ),
        Seen::NoTopic(thread) => (
            State::Wrong,
            format!("chat {chat} has no open topic {thread}"),
            "write the topic's number behind TELEGRAM_CHAT_ID (…:TOPIC): it is in the links to its messages",
        ),
        Seen::CanWrite => (State::Ok, format!("the bot is in chat {chat} and may write there"), ""),
        Seen::Sent => (State::Ok, format!("the bot is in chat {chat} and has sent a message"), ""),
        Seen::NobodyMayApprove => (
            people,
            "nobody could approve a plan".into(),
            "name your own number in TELEGRAM_ADMIN_IDS: the bot answers it to /whoami",
        ),
        Seen::NoAdmin => (
            State::Warning,
            "nobody is an admin: mode, dry run and settings cannot be changed in the chat".into(),
            "name your own number in TELEGRAM_ADMIN_IDS: the bot answers it to /whoami",
        ),
    };
    (state, detail, todo.to_owned())
}
