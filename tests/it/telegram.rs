//! Faults between the service and Telegram, and what people see of them.

use chrono::TimeDelta;
use serde_json::json;
use vm_balancer::{
    model::Mib,
    sandbox::{
        telegram::{ADMIN, FORUM, GROUP, OPERATOR, OPS_TOPIC, Role, VIEWER},
        vmmanager::{Fault, Rule, World},
    },
};

use crate::{
    conversation::{Ctx, Setup},
    platform::{noon, until},
    transcripts::{DONE, LANGUAGES, Talk, WAITS, in_both},
    worlds::two_overloaded,
};

// ---- Telegram is slow, away, or says no

#[tokio::test]
async fn telegrams_pauses_are_kept_and_the_end_is_shown_after_them() {
    let bot = Ctx::with(World::small(), Setup::default().manual()).await;
    too_many(&bot, 1);
    let proposal = bot.proposal().await;
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.says(&proposal, "running since").await;
    bot.until_watched().await;
    too_many(&bot, 1);
    bot.sim.finish_all();
    let done = bot.says(&proposal, "done: 1 moved").await;
    assert_eq!(done.labels(), [["Chart", "Undo"]]);
    assert_eq!(bot.written().len(), 1);
    assert_eq!(bot.telegram.faults().too_many_requests, 0);
}

#[tokio::test]
async fn what_happened_while_telegram_was_away_is_told_once_and_as_it_is_then() {
    let bot = Ctx::prepared(two_overloaded(), Setup::of(&[("BALANCE_MODE", "auto")]).often()).await;
    bot.telegram.set_faults(|faults| faults.away = true);
    bot.restart().await;
    bot.until("balancing goes on", |sim| sim.world().nodes_above(70.0).is_empty()).await;
    bot.cycles(3).await;
    bot.telegram.set_faults(|faults| faults.away = false);
    bot.ends(2).await;
    bot.ask(VIEWER, "/whoami").await;
    let written = bot.written();
    assert_eq!(written.len(), 3, "{}", bot.telegram.transcript(bot.home));
    assert!(written.iter().all(|message| message.history.is_empty()), "nothing is told late");
}

#[tokio::test]
async fn a_plan_that_ends_while_telegram_is_away_ends_in_its_message() {
    let bot = Ctx::with(World::small(), Setup::default().manual()).await;
    let proposal = bot.proposal().await;
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.says(&proposal, "running since").await;
    bot.until("it is ordered", |sim| !sim.orders().is_empty()).await;
    bot.telegram.set_faults(|faults| faults.away = true);
    bot.sim.finish_all();
    bot.until("the VM has moved", |sim| sim.world().nodes_above(70.0).is_empty()).await;
    bot.telegram.set_faults(|faults| faults.away = false);
    let done = bot.says(&proposal, "done: 1 moved").await;
    assert!(done.button("Approve").is_none());
    assert_eq!(bot.written().len(), 1);
}

#[tokio::test]
async fn an_answer_of_telegrams_that_got_lost_runs_nothing_twice() {
    let bot = Ctx::start(World::small()).await;
    let lose = || bot.telegram.set_faults(|faults| faults.lost_answers = 1);
    lose();
    let proposal = bot.proposal().await;
    lose();
    assert_eq!(bot.press(OPERATOR, &proposal, "Approve").await, "Approved: the plan is on its way.");
    bot.heard("done: 1 moved").await;
    // The press found the message whose number was lost, so it ends with the truth.
    bot.says(&proposal, "done: 1 moved").await;
    lose();
    assert!(!bot.ask(VIEWER, "/status").await.text().is_empty());
    assert_eq!(bot.sim.orders().len(), 1);
    // Whether the first message arrived is unknown. A press on either is for the same plan.
    for message in bot.written().iter().filter(|message| message.button("Approve").is_some()) {
        assert_ne!(bot.press(ADMIN, message, "Approve").await, "");
    }
    assert_eq!(bot.sim.orders().len(), 1);
}

#[tokio::test]
async fn a_plan_that_was_sent_just_before_a_kill_is_brought_up_to_date_by_a_press_or_a_reply() {
    for by_reply in [false, true] {
        let bot = Ctx::with(World::small(), Setup::default()).await;
        bot.ask(VIEWER, "/whoami").await;
        // The message is there, and its number does not come back before the process dies.
        bot.telegram.set_faults(|faults| faults.late_answers = true);
        bot.say(OPERATOR, "/balance 1");
        let copy = bot.heard(WAITS[0]).await;
        bot.kill().await;
        bot.telegram.set_faults(|faults| faults.late_answers = false);
        bot.restart().await;
        let second = bot.heard("A copy of this message").await;
        assert_ne!(second.id, copy.id);
        assert_eq!(bot.press(OPERATOR, &second, "Approve").await, "Approved: the plan is on its way.");
        bot.says(&second, "done: 1 moved").await;
        let shown = bot.telegram.message(bot.home, copy.id).unwrap();
        assert!(shown.text().contains(WAITS[0]), "nobody can know of it yet: {}", shown.text());
        if by_reply {
            bot.telegram.reply(OPERATOR, bot.home, copy.id, "/whoami").unwrap();
        } else {
            bot.press(ADMIN, &copy, "Approve").await;
        }
        let adopted = bot.says(&copy, "done: 1 moved").await;
        assert!(adopted.button("Approve").is_none(), "{:?}", adopted.labels());
        assert_eq!(bot.sim.orders().len(), 1);
    }
}

#[tokio::test]
async fn sixty_questions_of_a_viewer_hold_up_nobody_else() {
    let bot = Ctx::with(World::small(), Setup::default().counted()).await;
    let asked: Vec<_> = (0..60).map(|_| Some(bot.say(VIEWER, "/help"))).collect();
    let plan = bot.proposal().await;
    bot.ask(OPERATOR, "/whoami").await;
    assert_eq!(bot.press(OPERATOR, &plan, "Approve").await, "Approved: the plan is on its way.");
    bot.says(&plan, "done: 1 moved").await;
    let helped = bot.written().iter().filter(|message| asked.contains(&message.reply_to)).count();
    assert!(helped < 20, "{helped} answers to the viewer alone");
}

#[tokio::test]
async fn the_board_is_pinned_and_follows_what_happens() {
    for lang in LANGUAGES {
        let setup = Setup::of(&[("BOARD", "true")]);
        let mut talk = Talk::prepared(lang, World::small(), setup).await;
        talk.bot.telegram.set_bot_role(talk.bot.home, Role::Administrator).unwrap();
        talk.bot.restart().await;
        let board = talk.hears(["1 node over", "Перегружен 1 узел"]).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.becomes(&board, ["waits until", "ждёт до"]).await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        let board = talk.becomes(&board, ["No node is over", "Ни один узел не перегружен"]).await;
        assert!(board.silent, "{board:?}");
        talk.pinned(&board, true).await;
        talk.shows("the_board_is_pinned_and_follows_what_happens");
    }
}

#[tokio::test]
async fn the_digest_comes_once_a_day_and_is_silent() {
    let setup = || Setup::of(&[("DIGEST", "13:00")]);
    in_both("the_digest_comes_once_a_day", World::small, setup, async |talk| {
        let asked = talk.ask(VIEWER, "/whoami").await;
        let bot = &talk.bot;
        let digests = || bot.written().into_iter().filter(|it| it.id != asked.id).collect::<Vec<_>>();
        until("three digests have come", async || {
            bot.minutes_pass(60);
            digests().len() >= 3
        })
        .await;
        let digests = digests();
        // Hours may pass while one is on its way, so the dates of two may be the same. The first is due in an hour.
        let due = (bot.clock.now() - noon() + TimeDelta::hours(23)).num_days();
        assert!(digests.len() as i64 <= due, "{due} were due: {digests:?}");
        assert!(digests.iter().all(|digest| digest.silent), "{digests:?}");
        talk.shown(&digests[0], "");
    })
    .await;
}

#[tokio::test]
async fn what_a_refused_token_kept_back_is_shown_with_the_right_one() {
    let wrong = [
        ("BALANCE_MODE", "auto"),
        ("TELEGRAM_BOT_TOKEN", "700000001:an_old_token_that_was_renewed_at_telegram"),
    ];
    let mut bot = Ctx::with(World::small(), Setup::of(&wrong).often()).await;
    bot.until("balancing goes on", |sim| sim.world().nodes_above(70.0).is_empty()).await;
    bot.cycles(3).await;
    assert!(bot.written().is_empty());
    let token = bot.telegram.token().to_owned();
    bot.restart_with("TELEGRAM_BOT_TOKEN", &token).await;
    bot.heard("done: 1 moved").await;
}

/// These run at the same time, since each mostly waits: the client itself sleeps ten seconds after a 5xx.
#[tokio::test]
async fn server_errors_and_slowness_are_outlasted() {
    tokio::join!(server_errors_are_outlasted(), a_press_is_answered_before_a_slow_vmmanager_is());
}

async fn a_press_is_answered_before_a_slow_vmmanager_is() {
    let bot = Ctx::start(World::small()).await;
    let proposal = bot.proposal().await;
    bot.sim.switch_on(Fault::Slow { millis: 3500 });
    assert_eq!(
        bot.press(OPERATOR, &proposal, "Refresh").await,
        "In progress; the message will show the result."
    );
    bot.sim.heal();
    bot.says(&proposal, "In place of plan 1").await;
}

async fn server_errors_are_outlasted() {
    let bot = Ctx::start(World::small()).await;
    bot.ask(VIEWER, "/whoami").await;
    bot.telegram.set_faults(|faults| faults.server_errors = 2);
    bot.ask(VIEWER, "/status").await;
    bot.ask(VIEWER, "/whoami").await;
    assert_eq!(bot.telegram.faults().server_errors, 0);
    assert_eq!(bot.written().len(), 3);
}

#[tokio::test]
async fn a_second_poller_is_said_once() {
    let bot = Ctx::start(World::small()).await;
    bot.ask(VIEWER, "/whoami").await;
    bot.telegram.set_faults(|faults| faults.conflict = true);
    bot.heard("Another program has been reading").await;
    let polls = bot.telegram.request_count("getUpdates");
    bot.telegram.wait_for_requests("getUpdates", polls + 8).await.unwrap();
    let refused = bot.telegram.requests().iter().filter(|request| request.status == 409).count();
    assert!(refused >= 8, "{refused}");
    bot.telegram.set_faults(|faults| faults.conflict = false);
    bot.ask(VIEWER, "/whoami").await;
    assert_eq!(bot.written().len(), 3, "{}", bot.telegram.transcript(bot.home));
}

#[tokio::test]
async fn an_alert_of_a_dry_run_says_so_first() {
    let dry = || Setup::of(&[("DRY_RUN", "true")]);
    in_both("an_alert_of_a_dry_run_says_so_first", World::small, dry, async |talk| {
        talk.bot.telegram.set_faults(|faults| faults.conflict = true);
        talk.hears(["Another program has been reading", "ещё одна программа"]).await;
    })
    .await;
}

#[tokio::test]
async fn vmmanager_going_away_is_said_once_and_its_return_in_the_same_message() {
    let setup = || Setup::of(&[("BALANCE_MODE", "propose")]).often();
    in_both("vmmanager_going_away_and_its_return", World::small, setup, async |talk| {
        let plan = talk.bot.heard_any(WAITS).await;
        let before = talk.bot.written().len();
        // Of the requests that a look sends at the same time only one, so that no other is named first.
        talk.bot.sim.rule(Rule::always(Fault::Status { status: 500 }).only("GET /vm/v3/host"));
        let alert = talk.hears(["unavailable since", "недоступен с"]).await;
        talk.bot.cycles(3).await;
        talk.ask(VIEWER, "/status").await;
        talk.ask(OPERATOR, "/balance 1").await;
        talk.bot.sim.heal();
        talk.becomes(&alert, ["is back as of", "снова отвечает"]).await;
        talk.bot.cycles(2).await;
        assert_eq!(talk.bot.written().len() - before, 3, "{}", talk.bot.telegram.transcript(plan.chat));
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
    })
    .await;
}

// ---- chats and messages come and go

#[tokio::test]
async fn a_status_is_refreshed_in_its_message() {
    in_both("a_status_is_refreshed_in_its_message", World::small, Setup::default, async |talk| {
        let status = talk.ask(VIEWER, "/status").await;
        talk.bot.sim.edit(|world| world.vms.values_mut().for_each(|vm| vm.memory = Mib(1024)));
        talk.minutes_pass(1);
        // One press shows the last picture at once, and then what the look behind it saw.
        talk.press(VIEWER, &status, "s").await;
        talk.becomes(&status, ["none overloaded", "перегруженных нет"]).await;
        assert_eq!(talk.bot.written().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_message_goes_on_in_a_new_one() {
    let bot = Ctx::with(World::small(), Setup::default().manual()).await;
    let proposal = bot.proposal().await;
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.says(&proposal, "running since").await;
    bot.until_watched().await;
    bot.telegram.delete_message(bot.home, proposal.id).unwrap();
    bot.sim.finish_all();
    let done = bot.heard("done: 1 moved").await;
    assert_ne!(done.id, proposal.id);
    assert_eq!(bot.written().len(), 1);
}

#[tokio::test]
async fn a_status_whose_message_is_gone_is_told_in_a_new_one() {
    let bot = Ctx::start(World::small()).await;
    let status = bot.ask(VIEWER, "/status").await;
    let refresh = status.buttons.concat().into_iter().find(|button| button.text == "Refresh").unwrap();
    bot.telegram.delete_message(bot.home, status.id).unwrap();
    let query = bot.telegram.press_forged(VIEWER, bot.home, status.id, &refresh.data.unwrap()).unwrap();
    bot.told(&query).await;
    bot.heard("1 overloaded").await;
}

#[tokio::test]
async fn kicked_out_it_goes_on_balancing_and_reports_when_it_is_back() {
    let bot = Ctx::with(two_overloaded(), Setup::default().often()).await;
    bot.ask(ADMIN, "/whoami").await;
    bot.telegram.kick(bot.home).unwrap();
    bot.ask_in(ADMIN, ADMIN, "/mode auto").await;
    bot.until("balancing goes on", |sim| sim.world().nodes_above(70.0).is_empty()).await;
    let refused = || bot.telegram.requests().iter().filter(|request| request.status == 403).count();
    until("it is told that it was kicked", async || refused() > 0).await;
    bot.cycles(4).await;
    assert_eq!(refused(), 1, "whoever is told so does not try on");
    bot.kill().await;
    bot.restart().await;
    bot.cycles(2).await;
    bot.telegram.set_bot_role(bot.home, Role::Member).unwrap();
    bot.ends(2).await;
}

#[tokio::test]
async fn a_group_that_becomes_a_supergroup_takes_its_plan_along() {
    let bot = Ctx::with(World::small(), Setup { home: GROUP, ..Setup::default() }).await;
    bot.proposal().await;
    let supergroup = bot.telegram.migrate_to_supergroup(GROUP).unwrap();
    let again = bot.telegram.wait_for_text(supergroup, "Waits for approval").await.unwrap();
    bot.press(OPERATOR, &again, "Approve").await;
    bot.says(&again, "done: 1 moved").await;
    bot.kill().await;
    bot.restart().await;
    bot.ask_in(VIEWER, supergroup, "/whoami").await;
    assert_eq!(bot.sim.orders().len(), 1);
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_unnoticed_is_found_by_the_refusal() {
    let bot = Ctx::with(World::small(), Setup { home: GROUP, ..Setup::default() }).await;
    bot.ask(VIEWER, "/whoami").await;
    // No update arrives, so only the refusal shows it.
    bot.telegram.set_faults(|faults| faults.conflict = true);
    let supergroup = bot.telegram.migrate_to_supergroup(GROUP).unwrap();
    bot.telegram.wait_for_text(supergroup, "Another program has been reading").await.unwrap();
    assert!(bot.telegram.requests().iter().any(|request| request.status == 400));
}

#[tokio::test]
async fn reports_stay_in_their_topic_and_answers_where_they_were_asked_for() {
    let home = format!("{FORUM}:{OPS_TOPIC}");
    let settings = [("TELEGRAM_CHAT_ID", home.as_str()), ("BALANCE_MODE", "propose")];
    let bot = Ctx::with(World::small(), Setup { home: FORUM, ..Setup::of(&settings).often() }).await;
    let proposal = bot.heard("Waits for approval").await;
    assert_eq!(proposal.thread, Some(OPS_TOPIC));
    let status = bot.ask(VIEWER, "/status").await;
    assert_eq!(status.thread, None, "asked in General");
    let status = bot.ask_in(VIEWER, (FORUM, OPS_TOPIC), "/status").await;
    assert_eq!(status.thread, Some(OPS_TOPIC));
    bot.press(OPERATOR, &proposal, "Approve").await;
    assert_eq!(bot.says(&proposal, "done: 1 moved").await.thread, Some(OPS_TOPIC));
}

#[tokio::test]
async fn a_topic_that_is_gone_is_done_without() {
    let home = format!("{FORUM}:99");
    let settings = [("TELEGRAM_CHAT_ID", home.as_str()), ("BALANCE_MODE", "auto")];
    let bot = Ctx::with(World::small(), Setup { home: FORUM, ..Setup::of(&settings).often() }).await;
    let report = bot.heard("done: 1 moved").await;
    assert_eq!(report.thread, None);
    bot.cycles(3).await;
    assert_eq!(bot.written().len(), 1);
}

// ---- updates come twice, late, changed, or break something

#[tokio::test]
async fn what_telegram_says_twice_is_done_once_even_after_a_kill() {
    let bot = Ctx::start(World::small()).await;
    let proposal = bot.proposal().await;
    let command = bot.telegram.last_update_id().unwrap();
    bot.telegram.replay(command).unwrap();
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.says(&proposal, "done: 1 moved").await;
    let press = bot.telegram.last_update_id().unwrap();
    bot.kill().await;
    for update in [command, press] {
        bot.telegram.replay(update).unwrap();
    }
    bot.restart().await;
    bot.ask(VIEWER, "/whoami").await;
    assert_eq!(bot.written().len(), 2, "{}", bot.telegram.transcript(bot.home));
    assert_eq!((bot.sim.orders().len(), bot.telegram.answers().len()), (1, 1));
}

#[tokio::test]
async fn commands_work_when_telegram_counts_its_updates_anew() {
    let bot = Ctx::start(World::small()).await;
    bot.ask(VIEWER, "/whoami").await;
    bot.telegram.count_updates_from(17);
    for _ in 0..5 {
        bot.ask(VIEWER, "/whoami").await;
    }
    assert_eq!(bot.telegram.last_update_id(), Some(21));
    let polls = bot.telegram.request_count("getUpdates");
    assert!(polls < 30, "{polls} polls for 6 commands");
}

#[tokio::test]
async fn what_was_said_long_ago_is_refused_with_a_word() {
    for lang in LANGUAGES {
        let mut talk = Talk::prepared(lang, World::small(), Setup::default()).await;
        let asked = [(11, "/mode auto"), (9, "/exclude kvm-02")].map(|(minutes, text)| {
            let at = noon() - TimeDelta::minutes(minutes);
            (minutes, text, talk.bot.telegram.say_at(at, ADMIN, talk.bot.home, text).unwrap())
        });
        talk.bot.restart().await;
        for (minutes, text, said) in asked {
            talk.line(&format!("Anna {minutes} minutes ago: {text}"));
            let answer = talk.bot.answer_to(talk.bot.home, said).await;
            talk.shown(&answer, "");
        }
        talk.ask(ADMIN, "/mode").await;
        talk.shows("what_was_said_long_ago");
    }
}

#[tokio::test]
async fn an_edited_message_is_not_carried_out() {
    let bot = Ctx::start(World::small()).await;
    let said = bot.say(ADMIN, "/whoami");
    bot.answer_to(bot.home, said).await;
    bot.telegram.edit_said(bot.home, said, "/dryrun on").unwrap();
    let other = bot.say(ADMIN, "nothing in particular");
    bot.telegram.edit_said(bot.home, other, "/exclude kvm-01").unwrap();
    bot.ask(ADMIN, "/whoami").await;
    assert_eq!(bot.written().len(), 2);
    let settings = bot.store().await.settings().unwrap();
    assert_eq!((settings.dry_run, settings.exclusions), (None, Vec::new()));
}

#[tokio::test]
async fn an_update_that_nobody_understands_holds_nothing_up() {
    let bot = Ctx::start(World::small()).await;
    let inline = json!({ "id": "1", "from": { "id": ADMIN, "is_bot": false, "first_name": "Anna" },
        "inline_message_id": "x", "chat_instance": "1", "data": "p:1:00000000:a" });
    let odd = [
        json!({ "message": { "odd": true } }),
        json!({ "callback_query": { "id": 7 } }),
        json!({ "callback_query": inline }),
        json!({ "my_chat_member": [] }),
    ];
    for update in odd {
        bot.telegram.push_update(update);
    }
    bot.ask(VIEWER, "/whoami").await;
    assert_eq!(bot.written().len(), 1);
}

#[tokio::test]
async fn a_handler_that_breaks_ends_nothing_else() {
    let setup = || Setup { panics_at: Some("/running"), ..Setup::default() }.manual();
    in_both("a_handler_that_breaks", World::small, setup, async |talk| {
        let plan = talk.bot.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.ask(VIEWER, "/running").await;
        talk.ask(VIEWER, "/running").await;
        talk.ask(VIEWER, "/whoami").await;
        talk.bot.until("the migration is ordered", |sim| !sim.orders().is_empty()).await;
        talk.bot.sim.finish_all();
        talk.becomes(&plan, DONE).await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn a_press_whose_handler_breaks_has_its_answer_too() {
    let setup = || Setup { panics_at: Some("s"), ..Setup::default() };
    in_both("a_press_whose_handler_breaks", World::small, setup, async |talk| {
        let status = talk.ask(VIEWER, "/status").await;
        talk.press(VIEWER, &status, "s").await;
        talk.hears(["Something went wrong inside the bot", "Внутренняя ошибка бота"]).await;
        talk.ask(VIEWER, "/whoami").await;
    })
    .await;
}

fn too_many(bot: &Ctx, times: u32) {
    bot.telegram.set_faults(|faults| (faults.too_many_requests, faults.retry_after_seconds) = (times, 1));
}
