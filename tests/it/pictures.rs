//! Pictures in the chat: asked for with buttons, sent as photos with their numbers in the caption.

use chrono::TimeDelta;
use vm_balancer::sandbox::{
    telegram::{MediaKind, OPERATOR, SimMessage, VIEWER},
    vmmanager::World,
};

use crate::{
    conversation::{Ctx, Setup},
    transcripts::DONE,
};

#[tokio::test]
async fn the_status_a_plan_and_the_history_are_drawn_at_the_press_of_a_button() {
    let bot = Ctx::with(World::small(), Setup::default()).await;
    let status = bot.ask(VIEWER, "/status 1").await;
    let photo = charted(&bot, &status).await;
    assert!(photo.text().contains("kvm-01: 75.0 %") && photo.text().contains('⚠'), "{}", photo.text());
    let plan = bot.ask(OPERATOR, "/balance 1").await;
    bot.press(OPERATOR, &plan, "Approve").await;
    let done = bot.says(&plan, DONE[0]).await;
    let photo = charted(&bot, &done).await;
    assert!(photo.text().contains("75.0 → 62.5 %"), "{}", photo.text());
    let history = bot.ask(VIEWER, "/history").await;
    let photo = charted(&bot, &history).await;
    assert!(photo.text().contains("Migrations: 1 done, 0 failed"), "{}", photo.text());
}

#[tokio::test]
async fn a_nodes_days_are_drawn_from_what_the_bot_saw_also_after_a_restart() {
    let bot = Ctx::with(World::small(), Setup::of(&[("TELEGRAM_APPROVALS", "2")]).often()).await;
    let node = bot.ask(VIEWER, "/node kvm-01").await;
    let told = bot.press(VIEWER, &node, "Chart").await;
    assert!(told.contains("Nothing is known of its last days yet"), "{told}");
    for _ in 0..3 {
        bot.clock.advance(TimeDelta::minutes(15));
        bot.cycles(2).await;
    }
    bot.kill().await;
    bot.restart().await;
    let node = bot.ask(VIEWER, "/node kvm-01").await;
    let photo = charted(&bot, &node).await;
    assert!(photo.text().contains("memory: 75.0 % now, 75.0 % to 75.0 %"), "{}", photo.text());
    assert!(photo.text().contains("Highest within a year: 75.0 % (23.11)"), "{}", photo.text());
}

/// Presses Chart under a message; returns the photo that comes.
async fn charted(bot: &Ctx, message: &SimMessage) -> SimMessage {
    bot.press(VIEWER, message, "Chart").await;
    let is_answer = |it: &&SimMessage| it.media.is_some() && it.reply_to == Some(message.id);
    let found = |all: &[SimMessage]| all.iter().find(is_answer).cloned();
    let photo = bot.telegram.wait_for(message.chat, "a photo", found).await.unwrap();
    let media = photo.media.as_ref().unwrap();
    assert_eq!(media.kind, MediaKind::Photo);
    assert!(media.size.is_some_and(|(width, height)| width == 720 && height < 1440), "{:?}", media.size);
    photo
}
