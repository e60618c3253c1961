//! The chat in a terminal: typed lines are messages or presses, and the bot's messages are printed as plain text.

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, Lines},
    sync::broadcast::error::RecvError,
};

use super::telegram::{
    ADMIN, ANONYMOUS_ADMIN, Change, OPERATOR, Place, STRANGER, SimMessage, SimTelegram, VIEWER,
};

const HELP: &str = "  /status            says it in the chat; so does any other line\n\
    \x20 press Approve      presses the newest button of that name\n\
    \x20 as viewer          goes on as admin, operator, viewer, stranger or anonymous\n\
    \x20 in private         goes on in the private chat with the bot; in group, back\n\
    \x20 help               these lines\n";

/// The people that a user of the terminal can write as.
const PEOPLE: [(&str, i64); 5] = [
    ("admin", ADMIN),
    ("operator", OPERATOR),
    ("viewer", VIEWER),
    ("stranger", STRANGER),
    ("anonymous", ANONYMOUS_ADMIN),
];

/// Reads lines and prints the chat, and never ends. Without input it only prints. `group` is the bot's chat.
pub async fn talk(
    telegram: &SimTelegram,
    group: impl Fn() -> Place,
    input: impl AsyncBufRead + Unpin,
    print: &impl Fn(&str),
) {
    let mut changes = telegram.changes();
    let mut lines = Some(input.lines());
    let mut person = Person { user: ADMIN, private: false };
    loop {
        tokio::select! {
            change = changes.recv() => match change {
                Ok(Change::Message { message }) if message.from.id == telegram.bot().id => print(&shown(&message)),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            line = next(&mut lines) => match line {
                Some(line) => obey(telegram, &mut person, group(), line.trim(), print).await,
                // A closed terminal, as under a service manager, does not end the sandbox.
                None => lines = None,
            },
        }
    }
}

async fn next<R: AsyncBufRead + Unpin>(lines: &mut Option<Lines<R>>) -> Option<String> {
    match lines {
        Some(lines) => lines.next_line().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

struct Person {
    user: i64,
    private: bool,
}

impl Person {
    fn place(&self, group: Place) -> Place {
        if self.private { self.user.into() } else { group }
    }
}

async fn obey(telegram: &SimTelegram, person: &mut Person, group: Place, line: &str, print: &impl Fn(&str)) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match (word, rest.trim()) {
        ("", _) => {}
        ("help", "") => print(HELP),
        ("as", name) if PEOPLE.iter().any(|(known, _)| *known == name) => {
            person.user = PEOPLE.iter().find(|(known, _)| *known == name).map_or(ADMIN, |(_, user)| *user);
            print(&format!("you are {name} ({})\n", person.user));
        }
        ("in", place @ ("private" | "group")) => {
            person.private = place == "private";
            print(&format!("you are in chat {}\n", person.place(group).chat));
        }
        ("press", button) => press(telegram, person.user, person.place(group), button, print).await,
        _ => {
            if let Err(error) = telegram.say(person.user, person.place(group), line) {
                print(&format!("{error}\n"));
            }
        }
    }
}

async fn press(telegram: &SimTelegram, user: i64, place: Place, wanted: &str, print: &impl Fn(&str)) {
    let Place { chat, thread } = place;
    let is_wanted = |label: &str| label.to_lowercase().contains(&wanted.to_lowercase());
    let found =
        telegram.messages(chat).into_iter().rev().filter(|message| message.thread == thread).find_map(
            |message| {
                let button = message.buttons.iter().flatten().find(|button| is_wanted(&button.text))?;
                Some((message.id, button.data.clone()?))
            },
        );
    let Some((message, data)) = found else {
        print(&format!("there is no button {wanted:?} in this chat\n"));
        return;
    };
    match telegram.press(user, chat, message, &data).await {
        Ok(answer) => print(&format!("({})\n", answer.text.as_deref().unwrap_or("pressed"))),
        Err(error) => print(&format!("{error}\n")),
    }
}

fn shown(message: &SimMessage) -> String {
    let edited = if message.edited.is_some() { " (edited)" } else { "" };
    let file = message.media.as_ref().map(|media| format!("[{}]\n", media.file_name)).unwrap_or_default();
    let rows = message.labels().into_iter().map(|row| format!("  [{}]\n", row.join("] [")));
    let rows: String = rows.collect();
    format!("--- {} #{}{edited}\n{file}{}\n{rows}", message.from.name, message.id, message.text())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::sandbox::telegram::{Options, SUPERGROUP};

    #[tokio::test]
    async fn a_person_writes_and_presses_from_the_terminal() {
        let telegram = SimTelegram::start(Options::default()).await.unwrap();
        let base = format!("{}/bot{}", telegram.url(), telegram.token());
        let keys = r#"{"inline_keyboard":[[{"text":"✅ Approve","callback_data":"a:1"}]]}"#;
        let post = format!("{base}/sendMessage?chat_id={SUPERGROUP}&text=A+plan&reply_markup={keys}");
        let printed = Mutex::new(String::new());
        let print = |text: &str| printed.lock().unwrap().push_str(text);
        let (mut typing, input) = tokio::io::duplex(1024);
        let talk = talk(&telegram, || SUPERGROUP.into(), tokio::io::BufReader::new(input), &print);
        let person = async {
            reqwest::get(post).await.unwrap();
            let lines = "help\nas operator\n/status\npress approve\npress nothing\n";
            tokio::io::AsyncWriteExt::write_all(&mut typing, lines.as_bytes()).await.unwrap();
            let updates = loop {
                let updates = reqwest::get(format!("{base}/getUpdates?timeout=20")).await.unwrap();
                let updates: serde_json::Value = updates.json().await.unwrap();
                if updates["result"].as_array().unwrap().len() == 2 {
                    break updates["result"].clone();
                }
            };
            let query = updates[1]["callback_query"]["id"].as_str().unwrap().to_owned();
            reqwest::get(format!("{base}/answerCallbackQuery?callback_query_id={query}&text=Approved"))
                .await
                .unwrap();
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
            while !printed.lock().unwrap().contains("no button \"nothing\"") {
                assert!(tokio::time::Instant::now() < deadline);
                tokio::task::yield_now().await;
            }
            updates
        };
        let updates = tokio::select! {
            () = talk => panic!("the terminal ended"),
            updates = person => updates,
        };
        assert_eq!(updates[0]["message"]["from"]["id"], OPERATOR);
        assert_eq!(updates[0]["message"]["text"], "/status");
        let printed = printed.lock().unwrap();
        assert!(printed.contains("A plan\n  [✅ Approve]"), "{printed}");
        assert!(printed.contains("(Approved)"), "{printed}");
    }
}
