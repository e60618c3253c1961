//! A VMmanager that takes every request and answers none: everybody who asks the bot gets an answer within seconds.

use std::time::{Duration, Instant};

use vm_balancer::{
    balancer::CycleError,
    eyes::LookError,
    model::ApiFailure,
    sandbox::{
        telegram::{ADMIN, OPERATOR, VIEWER},
        vmmanager::{Fault, World},
    },
    scheduler::Patience,
};

use crate::{
    conversation::{LOOKING, Setup},
    platform::Platform,
    transcripts::{LANGUAGES, Talk, in_both},
};

/// People wait no longer for a word; a busy machine has some of it.
const SECONDS: Duration = Duration::from_secs(10);

/// Long enough for a simulated VMmanager that does not hang.
const MOMENT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_start_beside_a_hanging_vmmanager_answers_within_seconds() {
    // Nobody waits longer than the usual patience, which is seconds; the test waits less.
    let usual = Patience::default();
    assert!(usual.status < usual.names && usual.names < SECONDS, "{usual:?}");
    let patience = Patience { status: MOMENT, names: MOMENT };
    for lang in LANGUAGES {
        let setup = Setup { patience, ..Setup::default() };
        let mut talk = Talk::prepared(lang, World::small(), setup).await;
        talk.bot.sim.switch_on(Fault::Hangs);
        talk.bot.restart().await;
        for question in ["/status", "/vm web-1", "/running", "/mode"] {
            soon(&mut talk, VIEWER, question).await;
        }
        soon(&mut talk, OPERATOR, "/exclude kvm-01").await;
        // What is behind stuck ones is not: the switches work.
        soon(&mut talk, ADMIN, "/pause 2h").await;
        talk.shows("a_start_beside_a_hanging_vmmanager");
    }
}

#[tokio::test]
async fn what_was_known_is_told_within_seconds_while_vmmanager_hangs() {
    in_both("what_was_known_while_vmmanager_hangs", World::small, Setup::default, async |talk| {
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.bot.sim.switch_on(Fault::Hangs);
        soon(talk, VIEWER, "/status").await;
        // A look that hangs for somebody else holds up no press.
        talk.bot.say(OPERATOR, "/balance 1");
        let began = Instant::now();
        talk.press(ADMIN, &plan, ":r").await;
        assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test]
async fn a_look_ends_in_time_with_every_page_and_every_repetition() {
    let platform = Platform::start(World::small()).await;
    platform.sim.switch_on(Fault::Hangs);
    let balancer = platform.balancer_with(|settings| settings.eyes.look_max = Duration::from_millis(300));
    let began = Instant::now();
    let looked = balancer.look().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(
        matches!(&looked, Err(CycleError::Look(LookError::VmManager(ApiFailure::NoAnswer { .. })))),
        "{looked:?}"
    );
}

/// Somebody asks, and has a last word within seconds.
async fn soon(talk: &mut Talk, user: i64, text: &str) {
    let began = Instant::now();
    let answer = talk.ask(user, text).await;
    assert!(began.elapsed() < SECONDS, "{text} took {:?}: {}", began.elapsed(), answer.text());
    assert!(!LOOKING.iter().any(|words| answer.text().contains(words)), "{text}");
}
