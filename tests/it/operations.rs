//! Conversations about work on nodes and about time: what is begun later, what is taken back, what is held.

use vm_balancer::{
    model::{NodeId, VmId},
    sandbox::{
        telegram::{ADMIN, OPERATOR, SimMessage, VIEWER},
        vmmanager::{SimVm, World},
    },
};

use crate::{
    conversation::Setup,
    transcripts::{BOTH, DONE, LANGUAGES, Talk, WAITS},
    worlds::{full, roomy, three_to_maintain, uneven, vm},
};

const BEGINS_LATER: [&str; 2] = ["⏲", "⏲"];
const HELD: [&str; 2] = ["✗ Held", "✗ Отложено"];

#[tokio::test]
async fn an_approval_is_for_one_time() {
    for lang in LANGUAGES {
        let setup = [&BOTH[..], &[("BALANCE_WINDOW", "22:00-06:00"), ("TELEGRAM_APPROVALS", "2")]].concat();
        let mut talk = Talk::start(lang, World::small(), Setup::of(&setup)).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(ADMIN, &plan, ":a").await;
        talk.becomes(&plan, ["1 of 2", "1 из 2"]).await;
        talk.ask(ADMIN, "/at 13:00").await;
        let voided = talk.becomes(&plan, ["13:00", "13:00"]).await;
        talk.press(OPERATOR, &voided, ":w").await;
        talk.shows("an_approval_is_for_one_time");
    }
}

#[tokio::test]
async fn what_is_approved_for_the_window_outlives_a_restart() {
    for lang in LANGUAGES {
        let setup = [&BOTH[..], &[("BALANCE_WINDOW", "22:00-06:00")]].concat();
        let mut talk = Talk::start(lang, World::small(), Setup::of(&setup)).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":w").await;
        talk.becomes(&plan, BEGINS_LATER).await;
        talk.ask(VIEWER, "/status").await;
        talk.restarts().await;
        assert_eq!(talk.bot.sim.orders(), []);
        is_done_after(&mut talk, 10 * 60, &plan).await;
        talk.shows("what_is_approved_for_the_window_outlives_a_restart");
    }
}

#[tokio::test]
async fn a_plan_begins_at_a_time_unless_it_is_called_off() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        talk.ask(OPERATOR, "/at 13:00").await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.ask(OPERATOR, "/at 13:00 1").await;
        let waits = talk.becomes(&plan, BEGINS_LATER).await;
        talk.press(ADMIN, &waits, ":c").await;
        talk.becomes(&plan, DONE).await;
        let again = talk.ask(OPERATOR, "/balance 1").await;
        talk.ask(OPERATOR, "/at 13:00").await;
        talk.becomes(&again, BEGINS_LATER).await;
        is_done_after(&mut talk, 60, &again).await;
        talk.shows("a_plan_begins_at_a_time_unless_it_is_called_off");
    }
}

/// Time goes by, and the one migration of the plan that waited for it is done.
async fn is_done_after(talk: &mut Talk, minutes: i64, plan: &SimMessage) {
    talk.minutes_pass(minutes);
    talk.becomes(plan, DONE).await;
    assert_eq!(talk.bot.sim.orders().len(), 1);
}

#[tokio::test]
async fn a_finished_plan_is_taken_back_as_far_as_it_can_be() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, roomy(), Setup::of(&BOTH)).await;
        let plan = talk.ask(OPERATOR, "/drain kvm-01").await;
        talk.press(OPERATOR, &plan, ":a").await;
        let done = talk.becomes(&plan, DONE).await;
        talk.press(OPERATOR, &done, ":z").await;
        talk.ask(OPERATOR, "/include kvm-01").await;
        talk.bot.sim.edit(|world| world.vms.get_mut(&VmId(1001)).unwrap().iso_mounted = true);
        talk.press(OPERATOR, &done, ":z").await;
        let back = talk.hears(["Plan 2", "План 2"]).await;
        talk.press(ADMIN, &back, ":a").await;
        talk.becomes(&back, DONE).await;
        talk.press(OPERATOR, &done, ":z").await;
        assert_eq!(talk.bot.sim.orders().len(), 3);
        talk.shows("a_finished_plan_is_taken_back_as_far_as_it_can_be");
    }
}

#[tokio::test]
async fn an_emptied_node_that_is_back_takes_part_again() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, uneven(), Setup::of(&BOTH)).await;
        let plan = talk.ask(OPERATOR, "/drain kvm-02").await;
        talk.press(OPERATOR, &plan, ":a").await;
        let done = talk.becomes(&plan, DONE).await;
        talk.press(OPERATOR, &done, ":h").await;
        let level = talk.hears(["Plan 2", "План 2"]).await;
        talk.press(ADMIN, &level, ":a").await;
        talk.becomes(&level, DONE).await;
        talk.ask(VIEWER, "/exclusions").await;
        talk.shows("an_emptied_node_that_is_back_takes_part_again");
    }
}

#[tokio::test]
async fn nodes_are_emptied_one_after_the_other() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, three_to_maintain(), Setup::of(&BOTH)).await;
        let plan = talk.ask(OPERATOR, "/maintenance kvm-01, kvm-02, kvm-03").await;
        talk.press(ADMIN, &plan, ":a").await;
        let first = talk.hears(["kvm-01 is empty", "kvm-01 пуст"]).await;
        talk.ask(VIEWER, "/status").await;
        talk.restarts().await;
        talk.press(OPERATOR, &first, ":d").await;
        let second = talk.hears(["kvm-02 is not empty", "kvm-02 не пуст"]).await;
        talk.press(OPERATOR, &first, ":d").await;
        talk.press(OPERATOR, &second, ":t").await;
        let offered = |all: &[SimMessage]| {
            let is_skip = |data: &str| data.starts_with("p:3:") && data.ends_with(":s");
            let skips = |it: &&SimMessage| {
                it.buttons.iter().flatten().any(|button| button.data.as_deref().is_some_and(is_skip))
            };
            all.iter().find(skips).cloned()
        };
        let again = talk.bot.telegram.wait_for(second.chat, "it was tried again", offered).await.unwrap();
        talk.shown(&again, "");
        talk.press(OPERATOR, &again, ":s").await;
        let third = talk.hears(["kvm-03 is empty", "kvm-03 пуст"]).await;
        talk.press(OPERATOR, &third, ":d").await;
        let over = talk.becomes(&third, ["is over", "закончены"]).await;
        talk.ask(VIEWER, "/exclusions").await;
        talk.press(OPERATOR, &over, ":h").await;
        talk.shows("nodes_are_emptied_one_after_the_other");
    }
}

#[tokio::test]
async fn a_node_of_a_round_that_is_gone_can_be_skipped() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, roomy(), Setup::of(&BOTH)).await;
        let plan = talk.ask(OPERATOR, "/maintenance kvm-01,kvm-03").await;
        talk.press(ADMIN, &plan, ":a").await;
        let first = talk.hears(["kvm-01 is empty", "kvm-01 пуст"]).await;
        talk.bot.sim.remove_node(NodeId(12));
        talk.press(OPERATOR, &first, ":d").await;
        let gone =
            talk.hears(["kvm-03 is no longer in VMmanager", "Узла kvm-03 в VMmanager больше нет"]).await;
        talk.press(OPERATOR, &gone, ":s").await;
        talk.becomes(&gone, ["is over", "закончены"]).await;
        talk.shows("a_node_of_a_round_that_is_gone_can_be_skipped");
    }
}

#[tokio::test]
async fn a_node_is_empty_where_a_look_shows_no_vm_on_it() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, roomy(), Setup::of(&BOTH)).await;
        let plan = talk.ask(OPERATOR, "/drain kvm-01").await;
        let late = SimVm { id: VmId(1900), node: NodeId(10), ..vm("late", 1) };
        talk.bot.sim.edit(|world| drop(world.vms.insert(VmId(1900), late)));
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        assert_eq!(talk.bot.sim.orders().len(), 2, "all that was planned is done");
        talk.shows("a_node_is_empty_where_a_look_shows_no_vm_on_it");
    }
}

#[tokio::test]
async fn a_round_that_the_cluster_cannot_hold_is_not_begun_and_one_that_was_is_cancelled() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, full(), Setup::of(&BOTH)).await;
        talk.ask(OPERATOR, "/maintenance kvm-01,kvm-02").await;
        let plan = talk.ask(OPERATOR, "/maintenance kvm-03,kvm-04").await;
        talk.press(ADMIN, &plan, ":a").await;
        let first = talk.hears(["kvm-03 is empty", "kvm-03 пуст"]).await;
        talk.ask(OPERATOR, "/cancel").await;
        talk.becomes(&first, ["Maintenance stopped", "Работы остановлены"]).await;
        talk.ask(OPERATOR, "/cancel").await;
        talk.shows("a_round_that_the_cluster_cannot_hold_is_not_begun");
    }
}

#[tokio::test]
async fn what_a_foreign_migration_holds_is_said_to_be_held() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default().manual()).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.bot.sim.foreign_migration(VmId(1009), NodeId(11), false).unwrap();
        talk.bot.until("the foreign task shows", |sim| sim.tasks().iter().any(|task| task.listed)).await;
        talk.press(OPERATOR, &plan, ":f").await;
        talk.press(OPERATOR, &plan, ":a").await;
        let held = talk.becomes(&plan, HELD).await;
        talk.ask(OPERATOR, "/balance 1").await;
        talk.bot.sim.finish_all();
        talk.press(OPERATOR, &held, ":f").await;
        talk.becomes(&plan, WAITS).await;
        assert_eq!(talk.bot.sim.orders(), []);
        talk.shows("what_a_foreign_migration_holds_is_said_to_be_held");
    }
}
