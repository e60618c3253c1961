//! Pictures in the chat: asked for with buttons, sent as photos with their numbers in the caption.

use vm_balancer::sandbox::{
    telegram::{MediaKind, OPERATOR, SimMessage, VIEWER},
    vmmanager::World,
};

use crate::{
    conversation::Setup,
    transcripts::{DONE, LANGUAGES, Talk},
};

/// What the data of a Chart button begins with.
const CHART: &str = "g:";

#[tokio::test]
async fn the_status_a_plan_and_the_history_are_drawn_at_the_press_of_a_button() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        let status = talk.ask(VIEWER, "/status 1").await;
        charted(&mut talk, &status).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        let done = talk.becomes(&plan, DONE).await;
        charted(&mut talk, &done).await;
        let history = talk.ask(VIEWER, "/history").await;
        charted(&mut talk, &history).await;
        talk.shows("the_status_a_plan_and_the_history_are_drawn_at_the_press_of_a_button");
    }
}

#[tokio::test]
async fn a_nodes_days_are_drawn_from_what_the_bot_saw_also_after_a_restart() {
    for lang in LANGUAGES {
        let setup = Setup::of(&[("TELEGRAM_APPROVALS", "2")]).often();
        let mut talk = Talk::start(lang, World::small(), setup).await;
        let node = talk.bot.ask(VIEWER, "/node kvm-01").await;
        talk.press(VIEWER, &node, CHART).await;
        for _ in 0..3 {
            talk.minutes_pass(15);
            talk.bot.cycles(2).await;
        }
        talk.restarts().await;
        let node = talk.bot.ask(VIEWER, "/node kvm-01").await;
        charted(&mut talk, &node).await;
        talk.shows("a_nodes_days_are_drawn_from_what_the_bot_saw_also_after_a_restart");
    }
}

/// Presses Chart under a message, and shows the words of the photo that comes.
async fn charted(talk: &mut Talk, message: &SimMessage) {
    talk.press(VIEWER, message, CHART).await;
    let is_answer = |it: &&SimMessage| it.media.is_some() && it.reply_to == Some(message.id);
    let found = |all: &[SimMessage]| all.iter().find(is_answer).cloned();
    let photo = talk.bot.telegram.wait_for(message.chat, "a photo", found).await.unwrap();
    talk.shown(&photo, " (with a photo)");
    let media = photo.media.as_ref().unwrap();
    assert_eq!(media.kind, MediaKind::Photo);
    assert!(media.size.is_some_and(|(width, height)| width == 720 && height < 1440), "{:?}", media.size);
}
