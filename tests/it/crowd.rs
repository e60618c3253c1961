//! Much at one time: long plans, many failures, many people.

use std::time::{Duration, Instant};

use vm_balancer::sandbox::{
    telegram::{ADMIN, OPERATOR, STRANGER, VIEWER},
    vmmanager::{Fault, World},
};

use crate::{
    conversation::{Ctx, Setup},
    platform,
    transcripts::{BOTH, DONE, LANGUAGES, Talk},
    worlds::{five_pairs, of_43_steps},
};

#[tokio::test]
async fn a_plan_of_43_steps_from_the_question_to_its_end() {
    for lang in LANGUAGES {
        let setup = [("MAX_MIGRATIONS_PER_CYCLE", "100"), ("MAX_PARALLEL_MIGRATIONS", "1")];
        let mut talk = Talk::start(lang, of_43_steps(), Setup::of(&setup)).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":g:9").await;
        talk.offers(&plan, ":g:17").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        assert_eq!(talk.bot.sim.orders().len(), 43);
        let written = talk.bot.written();
        assert!(written.len() <= 3, "a plan and its further parts: {}", written.len());
        for part in written.into_iter().filter(|message| message.id != plan.id) {
            talk.shown(&part, " (a further part)");
        }
        talk.shows("a_plan_of_43_steps_from_the_question_to_its_end");
    }
}

#[tokio::test]
async fn five_failures_of_a_plan_are_one_message() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, five_pairs(), Setup::of(&BOTH)).await;
        (0..5).for_each(|_| talk.bot.sim.arm(Fault::libvirt_failure()));
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        let stop = ["stopped: 5 migrations failed", "остановлена: не удалось 5"];
        let failures = talk.hears(stop).await;
        let about = |text: &str| talk.bot.written().iter().filter(|it| it.text().contains(text)).count();
        assert_eq!(about(["need a look", "проверьте"][lang.1]), 1, "{}", failures.text());
        talk.shows("five_failures_of_a_plan_are_one_message");
    }
}

#[tokio::test]
async fn fifty_operations_of_four_people_are_answered_where_they_were_asked_and_twenty_a_minute() {
    let operators = format!("{OPERATOR},{STRANGER}");
    // The group takes as much in these seconds as in Telegram's minute.
    let minute = Duration::from_secs(4);
    let setup = Setup { counts_for: minute, ..Setup::of(&[("TELEGRAM_OPERATOR_IDS", &operators)]) };
    let bot = Ctx::with(World::small(), setup).await;
    let people = [ADMIN, OPERATOR, VIEWER, STRANGER];
    let texts = [
        "/status",
        "/node kvm-01",
        "/vm web-1",
        "/why web-1",
        "/history",
        "/settings",
        "/rests",
        "/help set",
        "/exclusions",
        "/running",
        "/mode",
        "/lang",
        "/whoami",
        "/balnce",
        "/node <b>",
        "/status nowhere",
        "/help",
        "/dryrun",
        "/history 7d",
        "/settings PIN_VMS",
        "/vm \u{202e}&",
        "/audit",
        "/mode x",
        "/balance 1",
        "/start",
    ];
    let mut asked = Vec::new();
    for number in 0..50 {
        let person = people[number % people.len()];
        // More than the group takes in a minute.
        let place = if number % 3 == 0 { person } else { bot.home };
        asked.push((place, bot.telegram.say(person, place, texts[number % texts.len()]).unwrap()));
    }
    let answered = async {
        for (place, said) in &asked {
            bot.answer_to(*place, *said).await;
        }
    };
    let mut sent: Vec<Instant> = Vec::new();
    let watched = async {
        let mut often = tokio::time::interval(Duration::from_millis(10));
        loop {
            often.tick().await;
            sent.resize(writes_to(&bot, bot.home), Instant::now());
        }
    };
    tokio::select! {
        () = answered => {}
        () = watched => {}
    }
    // What was sent is seen a moment later.
    let almost = minute * 3 / 4;
    for at in &sent {
        let within = sent.iter().filter(|other| *other >= at && **other - *at < almost).count();
        assert!(within <= 20, "{within} within {almost:?}");
    }
    assert!(sent.len() > 30, "{}", sent.len());
    let requests = bot.telegram.requests();
    let written: Vec<_> = requests
        .iter()
        .filter(|request| request.method.starts_with("send") || request.method.starts_with("edit"))
        .collect();
    for request in &written {
        assert_eq!(request.refusal, None, "{request:?}");
    }
    for (place, said) in asked {
        let answers =
            bot.written_in(place).into_iter().filter(|message| message.reply_to == Some(said)).count();
        assert_eq!(answers, 1, "to {said}");
    }
}

#[tokio::test]
async fn pictures_asked_in_a_row_leave_room_for_a_plan() {
    let operators = format!("{OPERATOR},{STRANGER}");
    // A minute that does not end while this runs.
    let setup = Setup {
        counts_for: Duration::from_secs(3600),
        ..Setup::of(&[("TELEGRAM_OPERATOR_IDS", &operators)])
    };
    let bot = Ctx::with(World::small(), setup).await;
    let status = bot.ask(VIEWER, "/status").await;
    for number in 0..24 {
        let told = bot.press([ADMIN, OPERATOR, VIEWER, STRANGER][number % 4], &status, "Chart").await;
        assert_eq!(told, "");
    }
    let pictures = || bot.written().iter().filter(|message| message.media.is_some()).count();
    // With the status they are as many answers as a group takes in a minute; the others wait.
    platform::until("the minute has no room for more pictures", async || pictures() == 16).await;
    bot.proposal().await;
    let written = bot.telegram.requests().into_iter().filter(|it| it.method.starts_with("send"));
    assert!(written.clone().all(|request| request.refusal.is_none()));
    assert_eq!((pictures(), written.count()), (16, 18), "the status, the pictures and the plan");
}

/// How many times a chat was written to.
fn writes_to(bot: &Ctx, chat: i64) -> usize {
    let is_there = |params: &serde_json::Value| {
        let number = &params["chat_id"];
        number.as_i64().or_else(|| number.as_str()?.parse().ok()) == Some(chat)
    };
    let requests = bot.telegram.requests().into_iter();
    let writes = requests.filter(|it| it.method.starts_with("send") || it.method.starts_with("edit"));
    writes.filter(|request| request.refusal.is_none() && is_there(&request.params)).count()
}
