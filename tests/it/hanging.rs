//! A VMmanager that takes every request and answers none: whoever asks the bot gets a word within seconds.

use std::time::{Duration, Instant};

use vm_balancer::{
    balancer::CycleError,
    eyes::LookError,
    model::ApiFailure,
    sandbox::{
        telegram::{ADMIN, OPERATOR, SimMessage, VIEWER},
        vmmanager::{Fault, World},
    },
    scheduler::Patience,
};

use crate::{
    conversation::{Ctx, LOOKING, Setup},
    platform::Platform,
};

/// People wait no longer for a word; a busy machine has some of it.
const SECONDS: Duration = Duration::from_secs(10);

/// Long enough for a simulated VMmanager that does not hang.
const MOMENT: Duration = Duration::from_millis(200);

/// Longer than any test.
const HANGS: Fault = Fault::Slow { millis: 3_600_000 };

#[tokio::test]
async fn a_start_beside_a_hanging_vmmanager_answers_within_seconds() {
    // Nobody waits longer than the usual patience, which is seconds; the test waits less.
    let usual = Patience::default();
    assert!(usual.status < usual.names && usual.names < SECONDS, "{usual:?}");
    let patience = Patience { status: MOMENT, names: MOMENT };
    let bot = Ctx::prepared(World::small(), Setup { patience, ..Setup::default() }).await;
    bot.sim.switch_on(HANGS);
    bot.restart().await;
    for question in ["/status", "/vm web-1", "/running", "/mode"] {
        let (answer, took) = timed(&bot, VIEWER, question).await;
        assert!(took < SECONDS, "{question} took {took:?}: {}", answer.text());
        assert!(!LOOKING.iter().any(|words| answer.text().contains(words)), "{question}");
    }
    let (answer, took) = timed(&bot, OPERATOR, "/exclude kvm-01").await;
    assert!(took < SECONDS && answer.text().contains("VMmanager"), "{took:?}: {}", answer.text());
    // What is behind stuck ones is not: the switches work.
    let (answer, took) = timed(&bot, ADMIN, "/pause 2h").await;
    assert!(took < SECONDS, "{took:?}: {}", answer.text());
}

#[tokio::test]
async fn what_was_known_is_told_within_seconds_while_vmmanager_hangs() {
    let bot = Ctx::start(World::small()).await;
    let plan = bot.proposal().await;
    bot.sim.switch_on(HANGS);
    let (status, took) = timed(&bot, VIEWER, "/status").await;
    assert!(took < SECONDS && status.text().contains("kvm-01"), "{took:?}: {}", status.text());
    // A look that hangs for somebody else holds up no press.
    bot.say(OPERATOR, "/balance 1");
    let began = Instant::now();
    let rejected = bot.press(ADMIN, &plan, "Reject").await;
    assert!(rejected.starts_with("Rejected."), "{rejected}");
    assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_look_ends_in_time_with_every_page_and_every_repetition() {
    let platform = Platform::start(World::small()).await;
    platform.sim.switch_on(HANGS);
    let balancer = platform.balancer_with(|settings| settings.eyes.look_max = Duration::from_millis(300));
    let began = Instant::now();
    let looked = balancer.look().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(
        matches!(&looked, Err(CycleError::Look(LookError::VmManager(ApiFailure::NoAnswer { .. })))),
        "{looked:?}"
    );
}

async fn timed(bot: &Ctx, user: i64, text: &str) -> (SimMessage, Duration) {
    let began = Instant::now();
    let answer = bot.ask(user, text).await;
    (answer, began.elapsed())
}
