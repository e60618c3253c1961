//! A short story that plays by itself: overload, proposal, approval, done, history, fault, recovery.

use std::time::Duration;

use super::{
    page::{Stage, Switch},
    telegram::{OPERATOR, SUPERGROUP, SimError, SimMessage, SimTelegram},
};

/// How long a caption is shown before the story goes on: enough to read it.
const READING: Duration = Duration::from_secs(4);
/// How long VMmanager stays away in the story: long enough for the bot to retry and report it.
const OUTAGE: Duration = Duration::from_secs(12);
/// How many waits of the simulated Telegram the story allows for migrations to end.
const WAITS_MAX: u32 = 10;
/// What the bot writes then, in each of its languages.
const BACK: [&str; 2] = ["VMmanager is back as of", "VMmanager снова отвечает"];
const STEPS: usize = 7;

/// Plays the story once, from the moment the page is opened, and logs where it gets stuck.
pub(super) async fn play(telegram: SimTelegram, stage: Stage) {
    if let Err(error) = story(&telegram, &stage).await {
        tracing::warn!(%error, "the tour got stuck");
        stage.caption(STEPS, STEPS, "The tour got stuck; everything else goes on.");
    }
}

async fn story(telegram: &SimTelegram, stage: &Stage) -> Result<(), SimError> {
    stage.wait_for_viewer().await;
    telegram.wait_for_poll(0).await?;
    stage.caption(1, STEPS, "A node fills up: many VMs are born on it.");
    stage.switch(Switch::Rush { node: None }).await;
    tokio::time::sleep(READING).await;

    stage.caption(2, STEPS, "The bot sees it and proposes a plan, with a reason for each migration.");
    with_button(telegram, "a plan to approve", approves).await?;
    tokio::time::sleep(READING).await;

    stage.caption(3, STEPS, "An operator approves. Nothing moves before somebody does.");
    tokio::time::sleep(READING).await;
    // A newer proposal may have replaced the first while the caption was shown.
    let proposal = with_button(telegram, "a plan to approve", approves).await?;
    telegram.press(OPERATOR, SUPERGROUP, proposal.0, &proposal.1).await?;

    stage.caption(4, STEPS, "The VMs move while they run; the message shows how far it is.");
    end_of(telegram, proposal.0).await?;
    tokio::time::sleep(READING).await;

    stage.caption(5, STEPS, "The history says what was moved, from where to where, and who approved it.");
    telegram.say(OPERATOR, SUPERGROUP, "/history")?;
    tokio::time::sleep(READING * 2).await;

    stage.caption(6, STEPS, "VMmanager goes away: the chat still answers, and nothing is done blindly.");
    stage.switch(Switch::VmmanagerAway { on: true }).await;
    telegram.say(OPERATOR, SUPERGROUP, "/status")?;
    tokio::time::sleep(OUTAGE).await;

    stage.caption(7, STEPS, "VMmanager is back, and so is everything else. Now it is your turn.");
    stage.switch(Switch::VmmanagerAway { on: false }).await;
    said_to_be_back(telegram).await?;
    telegram.say(OPERATOR, SUPERGROUP, "/status")?;
    tokio::time::sleep(READING * 2).await;
    stage.caption(0, 0, "");
    Ok(())
}

/// Waits until the plan in this message is done; a large VM takes more than a minute.
async fn end_of(telegram: &SimTelegram, message: i64) -> Result<(), SimError> {
    let mut waits = 1;
    loop {
        let waited = telegram.wait_for(SUPERGROUP, "the end of the plan", |messages| {
            messages.iter().find(|m| m.id == message && button(m, charts_an_end).is_some()).map(|_| ())
        });
        match waited.await {
            Err(SimError::NothingCame { .. }) if waits < WAITS_MAX => waits += 1,
            result => return result,
        }
    }
}

/// Waits until the bot reports that VMmanager is back, which its next cycle does.
async fn said_to_be_back(telegram: &SimTelegram) -> Result<(), SimError> {
    let bot = telegram.bot().id;
    telegram
        .wait_for(SUPERGROUP, "that VMmanager is back", |messages| {
            let mut own = messages.iter().rev().filter(|message| message.from.id == bot);
            own.find(|message| BACK.iter().any(|words| message.text().contains(words))).map(|_| ())
        })
        .await
}

/// Waits for a message of the bot with such a button, and returns the message's number and the button's data.
async fn with_button(
    telegram: &SimTelegram,
    what: &str,
    is_it: fn(&str) -> bool,
) -> Result<(i64, String), SimError> {
    let bot = telegram.bot().id;
    telegram
        .wait_for(SUPERGROUP, what, |messages| {
            let mut own = messages.iter().rev().filter(|message| message.from.id == bot);
            own.find_map(|message| Some((message.id, button(message, is_it)?.to_owned())))
        })
        .await
}

/// The data of the first such button. What buttons carry is the same in every language.
fn button(message: &SimMessage, is_it: fn(&str) -> bool) -> Option<&str> {
    message.buttons.iter().flatten().filter_map(|button| button.data.as_deref()).find(|data| is_it(data))
}

/// Approve, under a plan that waits.
fn approves(data: &str) -> bool {
    data.starts_with("p:") && data.ends_with(":a")
}

/// Chart, under a plan that has ended.
fn charts_an_end(data: &str) -> bool {
    data.starts_with("g:p:")
}
