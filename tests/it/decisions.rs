//! Conversations about decisions: how far an approval, a leave-out or a stop reaches.

use vm_balancer::{
    model::Mib,
    sandbox::{
        telegram::{ADMIN, OPERATOR},
        vmmanager::{SimNode, SimVm, World},
    },
};

use crate::{
    conversation::{Setup, two_overloaded},
    transcripts::{BOTH, DONE, LANGUAGES, Talk},
};

/// What a message says while something is left out, and what it says of an approval that does not count any more.
const LEFT_OUT: [&str; 2] = ["left out by", "исключена из плана"];
const VOIDED: [&str; 2] = ["does not count any more", "больше не действует"];

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
        let nothing = talk.becomes(&again, ["Everything is left out", "Исключено всё"]).await;
        talk.press(ADMIN, &nothing, ":a").await;
        talk.press(ADMIN, &nothing, ":i:1000").await;
        talk.offers(&again, ":x:1000").await;
        assert!(talk.bot.sim.orders().is_empty());
        talk.shows("what_is_left_out_stays_so_until_it_is_taken_in_again");
    }
}

#[tokio::test]
async fn a_plan_of_many_steps_is_narrowed_with_a_few_taps() {
    for lang in LANGUAGES {
        let setup = [("MAX_MIGRATIONS_PER_CYCLE", "20"), ("MAX_PARALLEL_MIGRATIONS", "1")];
        let mut talk = Talk::start(lang, many_overloaded(), Setup::of(&setup)).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":g:9").await;
        talk.offers(&plan, ":g:1").await;
        talk.press(OPERATOR, &plan, ":k:").await;
        talk.press(OPERATOR, &plan, ":n:").await;
        let narrow = talk.becomes(&plan, LEFT_OUT).await;
        // Taps on a text that was drawn before count all the same.
        talk.press(OPERATOR, &narrow, ":i:").await;
        talk.press(OPERATOR, &narrow, ":x:").await;
        talk.press(OPERATOR, &narrow, ":l").await;
        talk.shows("a_plan_of_many_steps_is_narrowed_with_a_few_taps");
    }
}

/// Three nodes that each need four VMs moved away, and room for them.
fn many_overloaded() -> World {
    let node = |name: &str| SimNode::new(name).cores(64).gib(64);
    let vm = |name: &str| SimVm { memory: Mib(4 * 1024), ..SimVm::new(name) };
    ["alpha", "beta", "gamma"]
        .into_iter()
        .fold(World::builder().cluster("msk"), |world, name| {
            world.node(node(&format!("kvm-{name}"))).vms(15, &vm(&format!("customer-{name}-storefront")))
        })
        .node(node("kvm-free-1"))
        .node(node("kvm-free-2"))
        .node(node("kvm-free-3"))
        .build()
}
