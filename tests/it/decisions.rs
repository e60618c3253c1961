//! Conversations about decisions: how far an approval, a leave-out or a stop reaches.

use vm_balancer::sandbox::{
    telegram::{ADMIN, OPERATOR},
    vmmanager::World,
};

use crate::{
    conversation::Setup,
    transcripts::{BOTH, DONE, LANGUAGES, Lang, RUNS, Talk},
    worlds::{many_overloaded, overloaded_beside_a_small_one, two_clusters, two_overloaded},
};

/// What a message says while something is left out, and what it says of an approval that does not count any more.
const LEFT_OUT: [&str; 2] = ["left out by", "исключена из плана"];
const VOIDED: [&str; 2] = ["votes are void", "голоса сброшены"];

#[tokio::test]
async fn a_leave_out_between_two_approvals_voids_the_first() {
    for lang in LANGUAGES {
        let setup = [&BOTH[..], &[("BALANCE_MODE", "propose"), ("TELEGRAM_APPROVALS", "2")]].concat();
        let mut talk = Talk::start(lang, two_overloaded(), Setup::of(&setup)).await;
        let plan = talk.hears(["Plan 1", "План 1"]).await;
        talk.press(ADMIN, &plan, ":a").await;
        talk.becomes(&plan, ["1 of 2", "1 из 2"]).await;
        talk.press(OPERATOR, &plan, ":x:1000").await;
        let without = talk.becomes(&plan, VOIDED).await;
        talk.press(ADMIN, &without, ":a").await;
        talk.press(OPERATOR, &without, ":a").await;
        talk.press(OPERATOR, &without, ":i:1000").await;
        let whole = talk.offers(&plan, ":x:1000").await;
        talk.seconds_pass(5);
        talk.press(ADMIN, &without, ":a").await;
        talk.press(ADMIN, &whole, ":a").await;
        talk.press(OPERATOR, &whole, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.shows("a_leave_out_between_two_approvals_voids_the_first");
    }
}

#[tokio::test]
async fn what_is_left_out_stays_so_until_it_is_taken_in_again() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_overloaded(), Setup::of(&BOTH)).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":x:1000").await;
        let without = talk.becomes(&plan, LEFT_OUT).await;
        talk.press(ADMIN, &without, ":f").await;
        let fresh = talk.becomes(&plan, ["In place of plan 1", "Вместо плана 1"]).await;
        talk.press(ADMIN, &fresh, ":a").await;
        talk.restarts().await;
        talk.minutes_pass(31);
        let again = talk.ask(ADMIN, "/balance 1").await;
        talk.press(ADMIN, &again, ":x:1006").await;
        let nothing = talk.becomes(&again, ["All is left out", "Исключено всё"]).await;
        talk.press(ADMIN, &nothing, ":a").await;
        talk.press(ADMIN, &nothing, ":i:1000").await;
        talk.offers(&again, ":x:1000").await;
        assert!(talk.bot.sim.orders().is_empty());
        talk.shows("what_is_left_out_stays_so_until_it_is_taken_in_again");
    }
}

#[tokio::test]
async fn what_is_left_out_of_an_approved_plan_is_not_asked_again_for_a_day() {
    for lang in LANGUAGES {
        let mut talk = one_of_two_is_left_out(lang, two_overloaded()).await;
        for _ in 0..3 {
            talk.minutes_pass(31);
            talk.bot.cycles(2).await;
        }
        let rings = |talk: &Talk| talk.bot.written().iter().filter(|message| !message.silent).count();
        assert_eq!((talk.bot.written().len(), rings(&talk)), (1, 1), "only the first plan rang");
        // A day later it is asked again; who asks for a plan has it at once.
        talk.minutes_pass(24 * 60);
        talk.bot.cycles(2).await;
        let again = talk.hears(["Plan 2", "План 2"]).await;
        assert!(again.button_with(":x:1000").is_some(), "{}", again.text());
        talk.shows("what_is_left_out_of_an_approved_plan_is_not_asked_again_for_a_day");
    }
}

#[tokio::test]
async fn a_drain_in_between_lifts_no_hold() {
    for lang in LANGUAGES {
        let mut talk = one_of_two_is_left_out(lang, overloaded_beside_a_small_one()).await;
        let drain = talk.ask(OPERATOR, "/drain kvm-05").await;
        talk.press(ADMIN, &drain, ":a").await;
        let empty = talk.becomes(&drain, DONE).await;
        talk.ask(OPERATOR, "/include kvm-05").await;
        talk.press(OPERATOR, &empty, ":z").await;
        let back = talk.hears(["Plan 3", "План 3"]).await;
        talk.press(ADMIN, &back, ":r").await;
        talk.becomes(&back, ["Rejected by", "Отклонено"]).await;
        for _ in 0..3 {
            talk.minutes_pass(31);
            talk.bot.cycles(2).await;
        }
        let asked = |text: &str| talk.bot.written().iter().any(|message| message.text().contains(text));
        assert!(!asked("Plan 4") && !asked("План 4"), "the hold ends with its day");
        talk.minutes_pass(24 * 60);
        talk.bot.cycles(2).await;
        let again = talk.hears(["Plan 4", "План 4"]).await;
        assert!(again.button_with(":x:1000").is_some(), "{}", again.text());
    }
}

#[tokio::test]
async fn a_plan_of_many_steps_is_narrowed_with_a_few_taps() {
    for lang in LANGUAGES {
        let setup = [("MAX_MIGRATIONS_PER_CYCLE", "20"), ("MAX_PARALLEL_MIGRATIONS", "3")];
        let mut talk = Talk::start(lang, many_overloaded(), Setup::of(&setup)).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":g:9").await;
        talk.offers(&plan, ":g:1").await;
        talk.press(OPERATOR, &plan, ":k:").await;
        talk.press(OPERATOR, &plan, ":n:").await;
        let narrow = talk.becomes(&plan, ["3 → 2", "3 → 2"]).await;
        // Taps on a text that was drawn before count all the same.
        talk.press(OPERATOR, &narrow, ":i:").await;
        talk.press(OPERATOR, &narrow, ":x:").await;
        talk.press(OPERATOR, &narrow, ":l").await;
        talk.shows("a_plan_of_many_steps_is_narrowed_with_a_few_taps");
    }
}

#[tokio::test]
async fn a_stop_says_which_plan_it_stops() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_clusters(), Setup::default().manual()).await;
        let mut plans = Vec::new();
        for cluster in ["msk", "spb"] {
            let plan = talk.ask(OPERATOR, &format!("/balance {cluster}")).await;
            talk.press(OPERATOR, &plan, ":a").await;
            plans.push(talk.becomes(&plan, RUNS).await);
        }
        talk.bot.until("both are ordered", |sim| sim.orders().len() == 2).await;
        let which = talk.ask(OPERATOR, "/cancel").await;
        talk.press(OPERATOR, &which, "c:2").await;
        talk.becomes(&plans[1], ["■", "■"]).await;
        talk.ask(OPERATOR, "/cancel nowhere").await;
        talk.ask(OPERATOR, "/cancel msk").await;
        talk.becomes(&plans[0], ["■", "■"]).await;
        talk.ask(OPERATOR, "/running").await;
        talk.bot.sim.finish_all();
        talk.becomes(&plans[0], DONE).await;
        talk.becomes(&plans[1], DONE).await;
        talk.press(ADMIN, &plans[0], ":c").await;
        talk.shows("a_stop_says_which_plan_it_stops");
    }
}

#[tokio::test]
async fn a_press_does_only_what_its_message_carries() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        let status = talk.ask(OPERATOR, "/status").await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        let approve = plan.buttons.concat()[0].data.clone().unwrap();
        for forged in ["s", "h:0:", "b:1", "c"] {
            talk.forge(ADMIN, &plan, forged).await;
        }
        talk.forge(ADMIN, &status, &approve).await;
        talk.forge(ADMIN, &status, "h:0:").await;
        assert!(talk.bot.sim.orders().is_empty());
        talk.shows("a_press_does_only_what_its_message_carries");
    }
}

#[tokio::test]
async fn what_is_decided_in_private_is_shown_to_the_others() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        talk.ask_in(ADMIN, ADMIN, "/pause 2h network works").await;
        talk.hears(["/pause 2h", "/pause 2h"]).await;
        let plan = talk.ask_in(OPERATOR, OPERATOR, "/balance 1").await;
        let copy = talk.hears(["Plan 1", "План 1"]).await;
        talk.press(ADMIN, &copy, ":r").await;
        talk.ask(ADMIN, "/reject 1 wait for the weekend").await;
        talk.becomes(&copy, ["weekend", "weekend"]).await;
        talk.becomes(&plan, ["weekend", "weekend"]).await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.ask(OPERATOR, "/audit").await;
        talk.ask(ADMIN, "/audit 4").await;
        talk.shows("what_is_decided_in_private_is_shown_to_the_others");
    }
}

#[tokio::test]
async fn a_node_is_emptied_and_comes_back() {
    for lang in LANGUAGES {
        let mut world = two_overloaded();
        world.vms.values_mut().next().unwrap().iso_mounted = true;
        let setup = Setup::of(&[("MAX_PARALLEL_MIGRATIONS", "1")]);
        let mut talk = Talk::start(lang, world, setup).await;
        for (node, plan) in [("kvm-01", 1), ("kvm-02", 2)] {
            let drain = talk.ask(OPERATOR, &format!("/drain {node}")).await;
            if plan == 2 {
                talk.press(OPERATOR, &drain, ":f").await;
                let fresh = talk.offers(&drain, "p:3:").await;
                talk.seconds_pass(5);
                talk.press(OPERATOR, &fresh, ":a").await;
            } else {
                talk.press(OPERATOR, &drain, ":a").await;
            }
            talk.becomes(&drain, DONE).await;
        }
        for text in ["/drain kvm-01", "/drain kvm-02", "/exclusions", "/include kvm-02"] {
            talk.ask(OPERATOR, text).await;
        }
        talk.shows("a_node_is_emptied_and_comes_back");
    }
}

#[tokio::test]
async fn an_answer_says_how_things_stand() {
    for lang in LANGUAGES {
        let setup = Setup::of(&[("EXCLUDE_SOURCE_NODES", "kvm-0[12],kvm-03")]).manual();
        let mut talk = Talk::start(lang, two_clusters(), setup).await;
        talk.ask(OPERATOR, "/include kvm-01").await;
        let plan = talk.ask(OPERATOR, "/balance spb").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, RUNS).await;
        talk.ask(OPERATOR, "/pause 1h").await;
        talk.ask(OPERATOR, "/resume").await;
        talk.shows("an_answer_says_how_things_stand");
    }
}

/// The schedule proposes both steps of [`two_overloaded`]. One is left out, and the other one is carried out.
async fn one_of_two_is_left_out(lang: Lang, world: World) -> Talk {
    let setup = [&BOTH[..], &[("BALANCE_MODE", "propose")]].concat();
    let mut talk = Talk::start(lang, world, Setup::of(&setup).often()).await;
    let plan = talk.hears(["Plan 1", "План 1"]).await;
    talk.press(OPERATOR, &plan, ":x:1000").await;
    let without = talk.becomes(&plan, LEFT_OUT).await;
    talk.seconds_pass(5);
    talk.press(ADMIN, &without, ":a").await;
    talk.becomes(&plan, DONE).await;
    talk
}
