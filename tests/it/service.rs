//! The whole service as people in the chat see it: plans, presses, roles, modes, restarts.

use std::{collections::BTreeSet, time::Duration};

use tokio::{
    process::{Child, Command},
    time::timeout,
};
use vm_balancer::{
    model::NodeId,
    sandbox::{
        telegram::{
            ADMIN, ANONYMOUS_ADMIN, CHANNEL, FORUM, GROUP_ANONYMOUS_BOT, OPERATOR, OPS_TOPIC, STRANGER,
            SimMessage, VIEWER,
        },
        vmmanager::{Fault, Pace, Scale, SimNode, SimVm, World},
    },
};

use crate::{
    conversation::{self, Ctx, LOG, LOOKING, Setup, process},
    platform::PATIENCE,
    transcripts::{BOTH, DONE, LANGUAGES, Lang, RUNS, Talk, WAITS, in_both},
    worlds::{two_clusters, two_overloaded},
};

/// More migrations at a time than the worlds of these tests need.
const ALL_AT_ONCE: [(&str, &str); 2] =
    [("MAX_MIGRATIONS_PER_CYCLE", "300"), ("MAX_PARALLEL_MIGRATIONS", "4")];

/// What a message says of a plan that the world has left behind, and of one that waits.
const STALE: [&str; 2] = ["does not fit any more", "больше не подходит"];

/// What an operator sets, each with a record of its own in the store.
const SETTINGS: [&str; 3] = ["/dryrun on", "/exclude kvm-03 target", "/pause the network is being mended"];

// ---- one plan

#[tokio::test]
async fn a_plan_that_is_asked_for_is_announced_at_once_and_goes_on_in_that_message() {
    let setup = || Setup { word_within: Duration::ZERO, ..Setup::default() };
    in_both("a_plan_is_announced_at_once", two_clusters, setup, async |talk| {
        talk.bot.sim.switch_on(Fault::Slow { millis: 600 });
        talk.line("Oleg: /balance msk");
        talk.bot.say(OPERATOR, "/balance msk");
        let plan = talk.bot.heard_any(WAITS).await;
        talk.line(&format!("balancer:\n{}", plan.history[0].body.text));
        talk.shown(&plan, " (edited)");
    })
    .await;
}

/// What one person presses is done in order, so the second waits; its word does not.
#[tokio::test]
async fn a_press_behind_a_slow_one_has_its_word_before_its_turn() {
    let setup = Setup { word_within: Duration::from_millis(100), ..Setup::default() };
    let bot = Ctx::with(World::small(), setup).await;
    let plan = bot.proposal().await;
    bot.sim.switch_on(Fault::Slow { millis: 1000 });
    let presses = ["Refresh", "Reject"].map(|button| bot.press_only(OPERATOR, &plan, button));
    let words = [bot.told(&presses[0]).await, bot.told(&presses[1]).await];
    assert_eq!(words[0], words[1], "both have come, and neither is done");
}

#[tokio::test]
async fn a_plan_that_came_late_rings_once_for_the_only_one_who_approves() {
    let setup = || Setup { word_within: Duration::ZERO, ..Setup::default() };
    in_both("a_plan_that_came_late_rings", two_clusters, setup, async |talk| {
        talk.bot.sim.switch_on(Fault::Slow { millis: 1500 });
        talk.line("Oleg: /balance msk");
        talk.bot.say(OPERATOR, "/balance msk");
        let looking = talk.bot.heard_any(LOOKING).await;
        assert!(looking.silent, "nobody knows yet whether there is a plan");
        talk.shown(&looking, "");
        talk.seconds_pass(6);
        let plan = talk.bot.heard_any(WAITS).await;
        assert!(!plan.silent && plan.id != looking.id, "an edit does not ring");
        talk.shown(&plan, " (rings)");
        let is_gone = |it: &SimMessage| it.id != looking.id || it.deleted;
        let is_alone = |all: &[SimMessage]| all.iter().all(is_gone).then_some(());
        talk.bot.telegram.wait_for(plan.chat, "the word about the look is gone", is_alone).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn whatever_is_pressed_twice_is_carried_out_once() {
    in_both(
        "whatever_is_pressed_twice",
        World::small,
        || Setup::default().manual(),
        async |talk| {
            // Of two that press at one time either may be the first.
            talk.masks(["Anna (1001)", "Oleg (1002)"].map(|name| (name.to_owned(), "PERSON")));
            let plan = talk.ask(OPERATOR, "/balance 1").await;
            let approve = plan.button_with(":a").unwrap().text.clone();
            let presses = [ADMIN, OPERATOR].map(|user| talk.bot.press_only(user, &plan, &approve));
            let update = talk.bot.telegram.last_update_id().unwrap();
            // The one who comes second may find the plan running already.
            assert_ne!(talk.bot.told(&presses[0]).await, talk.bot.told(&presses[1]).await);
            talk.line(&format!("both press [{approve}]"));
            talk.bot.telegram.replay(update).unwrap();
            talk.becomes(&plan, RUNS).await;
            talk.bot.until_watched().await;
            talk.press(ADMIN, &plan, ":a").await;
            talk.bot.sim.finish_all();
            talk.becomes(&plan, DONE).await;
            talk.press(OPERATOR, &plan, ":a").await;
            talk.ordered();
        },
    )
    .await;
}

#[tokio::test]
async fn two_approvals_are_of_two_others_than_the_one_who_asked() {
    let operators = format!("{OPERATOR},{STRANGER}");
    let setup = || Setup::of(&[("TELEGRAM_APPROVALS", "2"), ("TELEGRAM_OPERATOR_IDS", &operators)]);
    in_both("two_approvals_are_of_two_others", World::small, setup, async |talk| {
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.press(ADMIN, &plan, ":a").await;
        talk.becomes(&plan, ["1 of 2", "1 из 2"]).await;
        talk.press(ADMIN, &plan, ":a").await;
        talk.ordered();
        talk.press(STRANGER, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn a_newer_proposal_takes_the_place_of_the_older_one() {
    in_both("a_newer_proposal_takes_the_place", World::small, Setup::default, async |talk| {
        let older = talk.ask(OPERATOR, "/balance 1").await;
        let newer = talk.ask(OPERATOR, "/balance 1").await;
        talk.becomes(&older, ["took its place", "Его место занял"]).await;
        talk.press(OPERATOR, &older, ":a").await;
        talk.ordered();
        talk.press(OPERATOR, &newer, ":a").await;
        talk.becomes(&newer, DONE).await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn a_refresh_shows_the_present_state_in_the_same_message() {
    in_both("a_refresh_shows_the_present_state", World::small, Setup::default, async |talk| {
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        for node in [11, 12] {
            talk.bot.sim.set_maintenance(NodeId(node), true);
        }
        talk.press(OPERATOR, &plan, ":f").await;
        let stale = talk.becomes(&plan, STALE).await;
        talk.bot.sim.set_maintenance(NodeId(12), false);
        talk.press(OPERATOR, &stale, ":f").await;
        talk.becomes(&plan, WAITS).await;
        talk.restarts().await;
        talk.ask(VIEWER, "/whoami").await;
        assert_eq!(talk.bot.written().len(), 2, "{}", talk.bot.telegram.transcript(talk.bot.home));
    })
    .await;
}

#[tokio::test]
async fn among_several_clusters_one_is_chosen_by_a_button() {
    in_both("among_several_clusters_one_is_chosen", two_clusters, Setup::default, async |talk| {
        let choice = talk.ask(OPERATOR, "/balance").await;
        talk.press(OPERATOR, &choice, "b:2").await;
        let plan = talk.hears(["neva-01 → neva-02"; 2]).await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.ask(OPERATOR, "/balance msk").await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn what_no_longer_fits_is_dropped_with_its_reason_and_the_rest_is_done() {
    in_both(
        "what_no_longer_fits_is_dropped",
        two_overloaded,
        || Setup::of(&BOTH),
        async |talk| {
            let plan = talk.ask(OPERATOR, "/balance 1").await;
            // ISO images are mounted in the VMs of one node.
            talk.bot.sim.edit(|world| {
                world
                    .vms
                    .values_mut()
                    .filter(|vm| vm.node == NodeId(10))
                    .for_each(|vm| vm.iso_mounted = true);
            });
            talk.press(OPERATOR, &plan, ":a").await;
            talk.becomes(&plan, DONE).await;
            talk.ordered();
            assert_eq!(talk.bot.sim.violations(), []);
        },
    )
    .await;
}

#[tokio::test]
async fn a_plan_of_which_half_failed_shows_what_is_beside_what_was_predicted() {
    in_both(
        "a_plan_of_which_half_failed",
        two_overloaded,
        || Setup::of(&BOTH),
        async |talk| {
            let plan = talk.ask(OPERATOR, "/balance 1").await;
            talk.bot.sim.arm(Fault::libvirt_failure());
            talk.press(OPERATOR, &plan, ":a").await;
            talk.becomes(&plan, DONE).await;
        },
    )
    .await;
}

#[tokio::test]
async fn an_account_that_may_only_read_is_named_as_the_reason() {
    in_both("an_account_that_may_only_read", World::small, Setup::default, async |talk| {
        talk.bot.sim.switch_on(Fault::ReadOnlyAdmin);
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn a_plan_that_relieves_nothing_any_more_gives_way_to_a_fresh_one() {
    in_both("a_plan_that_relieves_nothing_any_more", World::small, Setup::default, async |talk| {
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.bot.sim.set_maintenance(NodeId(11), true);
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, STALE).await;
        let fresh = talk.hears(["In place of plan 1", "Вместо плана 1"]).await;
        talk.ordered();
        talk.press(OPERATOR, &fresh, ":a").await;
        talk.becomes(&fresh, DONE).await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn one_approved_plan_relieves_twelve_nodes_and_breaks_no_rule() {
    let world = World::generate(&Scale { overloaded_percent: 40.0, ..Scale::default() });
    let overloaded = world.nodes_above(70.0).len();
    assert!(overloaded > 3, "{overloaded}");
    let bot =
        Ctx::with(world, Setup { pace: Pace::After(Duration::from_millis(1)), ..Setup::of(&ALL_AT_ONCE) })
            .await;
    let proposal = bot.proposal().await;
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.says(&proposal, "done: ").await;
    assert_eq!(bot.sim.world().nodes_above(70.0), []);
    assert_eq!(bot.sim.violations(), []);
    let text: String = bot.written().iter().map(SimMessage::text).collect();
    for number in 0..bot.sim.orders().len() {
        assert!(bot.ordered(number).iter().all(|name| text.contains(name)), "{:?}", bot.ordered(number));
    }
}

#[tokio::test]
async fn a_plan_of_many_migrations_is_told_whole_in_good_html() {
    let bot = Ctx::with(crowded(), Setup::of(&ALL_AT_ONCE)).await;
    bot.proposal().await;
    let is_whole = |messages: &[SimMessage]| {
        let text: String = messages.iter().map(SimMessage::text).collect();
        (text.matches("<b>x & y").count() >= 60 && messages.len() > 2).then_some(())
    };
    bot.telegram.wait_for(bot.home, "sixty migrations", is_whole).await.unwrap();
    for message in bot.written() {
        assert!(message.text().encode_utf16().count() <= 4096);
    }
    let proposal = bot.written().remove(0);
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.says(&proposal, "done: ").await;
    let moved: BTreeSet<_> = bot.sim.orders().iter().map(|order| bot.vm_name(order.vm)).collect();
    assert!(moved.len() >= 60, "{}", moved.len());
    let names_all = |messages: &[SimMessage]| {
        let text: String = messages.iter().map(SimMessage::text).collect();
        moved.iter().all(|name| text.contains(name.as_str())).then_some(())
    };
    bot.telegram.wait_for(bot.home, "every migration by its name", names_all).await.unwrap();
    let refused: Vec<_> =
        bot.telegram.requests().into_iter().filter(|request| request.status == 400).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

// ---- roles

#[tokio::test]
async fn whoever_may_not_gets_an_answer_and_nothing_else() {
    in_both("whoever_may_not_gets_an_answer", World::small, Setup::default, async |talk| {
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        for button in [":a", ":r", ":f", ":a"] {
            for person in [VIEWER, STRANGER, ANONYMOUS_ADMIN, GROUP_ANONYMOUS_BOT, CHANNEL] {
                talk.press(person, &plan, button).await;
            }
        }
        for command in ["/balance 1", "/pause", "/dryrun on", "/exclude kvm-02", "/cancel"] {
            talk.ask(VIEWER, command).await;
        }
        for command in ["/mode auto", "/dryrun off"] {
            talk.ask(OPERATOR, command).await;
        }
        talk.ordered();
        assert_eq!(talk.bot.telegram.message(plan.chat, plan.id).unwrap().history, []);
        let audited = talk.bot.store().await.audit_log(100).unwrap();
        assert_eq!(audited.iter().filter(|entry| entry.what == "refused").count(), 27, "{audited:?}");
    })
    .await;
}

#[tokio::test]
async fn strangers_hear_once_an_hour_which_id_to_allow() {
    in_both("strangers_hear_once_an_hour", World::small, Setup::default, async |talk| {
        for stranger in [STRANGER, ANONYMOUS_ADMIN, CHANNEL] {
            talk.ask(stranger, "/balance 1").await;
        }
        let elsewhere = talk.bot.ask_in(ADMIN, (FORUM, OPS_TOPIC), "/mode auto").await;
        talk.shown(&elsewhere, " in a strange forum");
        talk.minutes_pass(30);
        for stranger in [STRANGER, ANONYMOUS_ADMIN, CHANNEL] {
            talk.bot.say(stranger, "/dryrun on");
        }
        talk.bot.telegram.say(ADMIN, (FORUM, OPS_TOPIC), "/mode auto").unwrap();
        talk.ask(ADMIN, "/mode").await;
        assert_eq!((talk.bot.written().len(), talk.bot.written_in(FORUM).len()), (4, 1));
        talk.minutes_pass(31);
        talk.ask(STRANGER, "/status").await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn talk_that_is_no_command_is_left_alone_in_a_group() {
    let bot = Ctx::start(World::small()).await;
    bot.say(ADMIN, "hello, @vm_balancer_bot");
    bot.say(ADMIN, "/status@other_bot");
    bot.ask(ADMIN, "/WhoAmI@VM_balancer_bot").await;
    assert_eq!(bot.written().len(), 1);
}

#[tokio::test]
async fn without_lists_a_groups_administrators_are_admins_and_a_private_chats_owner_is() {
    let none = || {
        Setup::of(&[("TELEGRAM_ADMIN_IDS", ""), ("TELEGRAM_OPERATOR_IDS", ""), ("TELEGRAM_VIEWER_IDS", "")])
    };
    for lang in LANGUAGES {
        let mut group = Talk::over(lang, started(lang, none()).await);
        for who in [ADMIN, STRANGER, ANONYMOUS_ADMIN] {
            group.ask(who, "/whoami").await;
        }
        let plan = group.ask(ADMIN, "/balance 1").await;
        group.press(OPERATOR, &plan, ":a").await;
        let mut private = Talk::over(lang, started(lang, Setup { home: VIEWER, ..none() }).await);
        let plan = private.ask(VIEWER, "/balance 1").await;
        private.press(VIEWER, &plan, ":a").await;
        private.becomes(&plan, DONE).await;
        private.ask_in(ADMIN, ADMIN, "/status").await;
        private.ordered();
        group.followed_by(private).shows("without_lists_administrators_are_admins");
    }
}

#[tokio::test]
async fn an_unknown_or_malformed_command_is_answered_with_what_was_meant() {
    in_both("an_unknown_or_malformed_command", World::small, Setup::default, async |talk| {
        let texts = [
            (VIEWER, "/statsu"),
            (ADMIN, "/mode atuo"),
            (OPERATOR, "/exclude kvm-1"),
            (OPERATOR, "/balance nowhere"),
            (VIEWER, "/node kvm-01"),
            (VIEWER, "/vm web-1"),
        ];
        for (who, text) in texts {
            talk.ask(who, text).await;
        }
        talk.ask_in(OPERATOR, OPERATOR, "what can you do?").await;
    })
    .await;
}

// ---- modes

#[tokio::test]
async fn in_auto_mode_overload_goes_away_with_one_report_for_each_cycle_that_did_something() {
    let setup = || Setup::of(&[("BALANCE_MODE", "auto")]).often();
    in_both("in_auto_mode_overload_goes_away", two_overloaded, setup, async |talk| {
        for report in talk.bot.ends(2).await {
            talk.shown(&report, "");
            let had_buttons = report.history.iter().flat_map(|before| before.buttons.concat());
            assert!(had_buttons.into_iter().all(|button| !button.data.unwrap().ends_with(":a")));
        }
        talk.bot.cycles(5).await;
        assert_eq!(talk.bot.ends(2).await.len(), talk.bot.written().len(), "nothing else is written");
        talk.ask(VIEWER, "/history").await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn in_propose_mode_each_cluster_has_one_live_proposal_however_many_cycles_go_by() {
    let setup = || Setup::of(&[("BALANCE_MODE", "propose")]).often();
    in_both("each_cluster_has_one_live_proposal", two_clusters, setup, async |talk| {
        let first = talk.hears(["kvm-01 → kvm-02"; 2]).await;
        let second = talk.hears(["neva-01 → neva-02"; 2]).await;
        talk.bot.cycles(6).await;
        let written = |talk: &Talk| talk.bot.written().len();
        assert_eq!(written(talk), 2, "{}", talk.bot.telegram.transcript(talk.bot.home));
        talk.press(OPERATOR, &first, ":r").await;
        talk.becomes(&first, ["Rejected by", "Отклонено"]).await;
        talk.bot.cycles(4).await;
        assert_eq!(written(talk), 2, "what was rejected is not asked again");
        talk.press(OPERATOR, &second, ":a").await;
        talk.becomes(&second, DONE).await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn a_scheduled_proposal_that_the_world_has_left_behind_goes_on_in_its_message() {
    let setup = || Setup::of(&[("BALANCE_MODE", "propose")]).often();
    in_both("a_scheduled_proposal_left_behind", World::small, setup, async |talk| {
        let plan = talk.hears(WAITS).await;
        talk.bot.sim.set_maintenance(NodeId(11), true);
        talk.becomes(&plan, ["kvm-01 → kvm-03"; 2]).await;
        talk.bot.sim.set_maintenance(NodeId(11), false);
        talk.bot.cycles(4).await;
        assert_eq!(talk.bot.written().len(), 1, "{}", talk.bot.telegram.transcript(plan.chat));
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_is_said_first_asks_for_nothing_and_is_not_repeated() {
    let setup = || Setup::of(&[("BALANCE_MODE", "auto"), ("DRY_RUN", "true")]).often();
    in_both("a_dry_run_is_said_first", World::small, setup, async |talk| {
        talk.hears(["kvm-01 →"; 2]).await;
        talk.bot.cycles(5).await;
        assert_eq!(talk.bot.written().len(), 1, "{}", talk.bot.telegram.transcript(talk.bot.home));
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.ask(VIEWER, "/status").await;
        talk.forge(ADMIN, &plan, "p:2:00000000:a").await;
        assert_eq!(talk.bot.sim.count_requests("POST /vm/v3/host"), 0);
        talk.ask(ADMIN, "/dryrun off").await;
        talk.hears(DONE).await;
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_that_begins_ends_what_could_be_approved() {
    in_both("a_dry_run_that_begins", World::small, Setup::default, async |talk| {
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.ask(OPERATOR, "/dryrun on").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.ordered();
    })
    .await;
}

// ---- restarts

#[tokio::test]
async fn what_people_set_outlives_a_kill() {
    let setup = || Setup::of(&[("BALANCE_MODE", "auto"), ("DRY_RUN", "true")]);
    in_both("what_people_set_outlives_a_kill", World::small, setup, async |talk| {
        for text in SETTINGS {
            talk.ask(OPERATOR, text).await;
        }
        talk.restarts().await;
        talk.ask(VIEWER, "/mode").await;
        talk.ask(VIEWER, "/exclusions").await;
        talk.ordered();
    })
    .await;
}

#[tokio::test]
async fn what_people_set_outlives_the_death_of_the_process() {
    let bot = Ctx::prepared(World::small(), Setup { real_time: true, ..Setup::default() }).await;
    let variables = conversation::environment(&bot.sim, &bot.telegram, bot.dir.path(), bot.home);
    let mut child = process(bot.dir.path(), &variables);
    for text in SETTINGS {
        bot.ask(OPERATOR, text).await;
    }
    child.kill().await.unwrap();
    let kept = bot.store().await.settings().unwrap();
    assert_eq!((kept.dry_run, kept.exclusions.len(), kept.pause.is_some()), (Some(true), 1, true));
}

#[tokio::test]
async fn a_plan_that_ran_when_the_bot_was_killed_ends_in_its_message() {
    let bot = Ctx::with(World::small(), Setup::default().manual()).await;
    let proposal = bot.proposal().await;
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.says(&proposal, "running since").await;
    bot.until_watched().await;
    bot.kill().await;
    bot.sim.finish_all();
    bot.restart().await;
    bot.says(&proposal, "done: 1 moved").await;
    assert_eq!(bot.sim.orders().len(), 1);
    assert_eq!(bot.written().len(), 1);
}

#[tokio::test]
async fn the_process_ends_well_while_it_polls_and_during_a_migration() {
    let bot = Ctx::prepared(World::small(), Setup { real_time: true, ..Setup::default().manual() }).await;
    let mut variables = conversation::environment(&bot.sim, &bot.telegram, bot.dir.path(), bot.home);
    variables.insert("LOG_LEVEL".into(), "debug".into());
    let mut child = process(bot.dir.path(), &variables);
    bot.ask(VIEWER, "/status").await;
    // An update that is repeated before it is confirmed is confirmed with the first.
    bot.until("the update is confirmed", |_| bot.telegram.pending_updates() == 0).await;
    // This is logged for developers only.
    bot.telegram.replay(bot.telegram.last_update_id().unwrap()).unwrap();
    bot.ask(VIEWER, "/whoami").await;
    ended_well(&mut child).await;

    let mut child = process(bot.dir.path(), &variables);
    let proposal = bot.proposal().await;
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.until("a migration runs", |sim| !sim.orders().is_empty()).await;
    ended_well(&mut child).await;

    let mut child = process(bot.dir.path(), &variables);
    bot.sim.finish_all();
    bot.says(&proposal, "done: 1 moved").await;
    bot.telegram.set_faults(|faults| faults.away = true);
    ended_well(&mut child).await;
    let log = std::fs::read_to_string(bot.dir.path().join(LOG)).unwrap();
    assert!(log.contains("Telegram knows this bot"), "{log}");
    assert!(log.contains("DEBUG"), "{log}");
    let secret = bot.telegram.token().split(':').nth(1).unwrap();
    let leak = log.lines().find(|line| line.contains(secret) || line.contains(&bot.sim.options().password));
    assert_eq!(leak, None);
}

async fn started(lang: Lang, mut setup: Setup) -> Ctx {
    setup.variables.push(("VM_BALANCER_LANG", lang.0.to_owned()));
    Ctx::with(World::small(), setup).await
}

/// Asks the process to end.
async fn ended_well(child: &mut Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().await.unwrap().success());
    let status = timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Two nodes that each need some forty small VMs moved away, with names that need care.
fn crowded() -> World {
    let small = SimVm::new("<b>x & y</i>").cores(1).gib(2);
    let big = |name| SimNode::new(name).cores(256).gib(256);
    World::builder()
        .cluster("msk & <co>")
        .node(big("kvm-01"))
        .vms(125, &SimVm { name: "<b>x & y</i> one".into(), ..small.clone() })
        .node(big("kvm-02"))
        .vms(125, &SimVm { name: "<b>x & y</i> two".into(), ..small })
        .node(big("kvm-03"))
        .node(big("kvm-04"))
        .build()
}
