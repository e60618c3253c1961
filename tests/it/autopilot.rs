//! Standing approvals in the whole service: what runs without asking, and where people are asked again.

use vm_balancer::{
    sandbox::{
        telegram::{ADMIN, OPERATOR, VIEWER},
        vmmanager::{Fault, World},
    },
    store::{Approver, Store},
};

use crate::{
    conversation::Setup,
    transcripts::{BOTH, DONE, LANGUAGES, Talk, WAITS, in_both},
    worlds::{one_near, two_overloaded},
};

const CONFIRMED: [&str; 2] = ["Confirmed by", "Подтверждено"];

#[tokio::test]
async fn a_standing_approval_relieves_within_its_limits_and_beyond_them_people_are_asked() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_overloaded(), Setup::of(&BOTH).often()).await;
        let asked = talk.ask(OPERATOR, "/autopilot 8h max 1 msk").await;
        talk.press(VIEWER, &asked, "o:c:").await;
        talk.press(OPERATOR, &asked, "o:c:").await;
        talk.becomes(&asked, CONFIRMED).await;
        talk.press(ADMIN, &asked, "o:c:").await;
        talk.ask(ADMIN, "/mode propose").await;
        let plan = talk.bot.heard(["Plan 1", "План 1"][lang.1]).await;
        talk.becomes(&plan, DONE).await;
        talk.hears(WAITS).await;
        assert_eq!(talk.bot.sim.orders().len(), 1, "the second is for people");
        talk.ask(VIEWER, "/autopilot").await;
        talk.ask(OPERATOR, "/autopilot off").await;
        talk.ask(VIEWER, "/autopilot").await;
        talk.shows("a_standing_approval_relieves_within_its_limits_and_beyond_them_people_are_asked");
    }
}

#[tokio::test]
async fn an_autopilot_that_ends_by_itself_says_silently_what_it_did() {
    for lang in LANGUAGES {
        let setup = Setup::of(&[&BOTH[..], &[("BOARD", "true")]].concat()).often();
        let mut talk = Talk::start(lang, two_overloaded(), setup).await;
        let board = talk.bot.heard(["As of", "Данные от"][lang.1]).await;
        let asked = talk.ask(OPERATOR, "/autopilot 1h").await;
        talk.press(OPERATOR, &asked, "o:c:").await;
        // What the board shows is known to what watches for the end, once it shows something else.
        talk.bot.says(&board, ["Autopilot until", "Автопилот до"][lang.1]).await;
        talk.ask(ADMIN, "/mode propose").await;
        talk.bot.says(&board, ["No node is over", "Ни один узел не перегружен"][lang.1]).await;
        talk.minutes_pass(61);
        let ended = talk.hears(["time is over", "Время автопилота вышло"]).await;
        assert!(ended.silent, "{ended:?}");
        talk.shows("an_autopilot_that_ends_by_itself_says_silently_what_it_did");
    }
}

#[tokio::test]
async fn an_autopilot_relieves_in_advance_before_it_ends_and_people_are_not_asked_for_that() {
    for lang in LANGUAGES {
        let setup = Setup::of(&[&BOTH[..], &[("RELIEF_AHEAD", "3")]].concat()).often();
        let mut talk = Talk::start(lang, one_near(), setup).await;
        talk.ask(ADMIN, "/mode propose").await;
        let asked = talk.ask(OPERATOR, "/autopilot 8h").await;
        talk.press(OPERATOR, &asked, "o:c:").await;
        talk.becomes(&asked, CONFIRMED).await;
        talk.bot.cycles(2).await;
        assert_eq!(talk.bot.sim.orders().len(), 0, "it has six hours more, and nothing is over");
        talk.minutes_pass(6 * 60);
        let plan = talk.bot.heard(["Plan 1", "План 1"][lang.1]).await;
        talk.becomes(&plan, DONE).await;
        talk.shows("an_autopilot_relieves_in_advance_before_it_ends_and_people_are_not_asked_for_that");
    }
}

#[tokio::test]
async fn a_failure_ends_a_standing_approval() {
    let setup = || Setup::default().often();
    in_both("a_failure_ends_a_standing_approval", two_overloaded, setup, async |talk| {
        talk.bot.sim.arm(Fault::libvirt_failure());
        let asked = talk.ask(OPERATOR, "/autopilot on").await;
        talk.press(OPERATOR, &asked, "o:c:").await;
        talk.becomes(&asked, CONFIRMED).await;
        talk.ask(ADMIN, "/mode propose").await;
        talk.hears(WAITS).await;
        talk.bot.cycles(3).await;
        assert_eq!(talk.bot.sim.orders().len(), 1);
        talk.ask(VIEWER, "/autopilot").await;
    })
    .await;
}

#[tokio::test]
async fn the_nightly_one_counts_through_a_restart_and_is_in_the_records() {
    // It is noon in the simulated world.
    let variables = [("BALANCE_MODE", "propose"), ("AUTOPILOT", "11:00-13:00 max 1")];
    let setup = Setup::of(&[&BOTH[..], &variables].concat()).often();
    let mut talk = Talk::start(LANGUAGES[0], two_overloaded(), setup).await;
    let waits = talk.bot.heard(WAITS[0]).await;
    talk.restarts().await;
    talk.bot.cycles(3).await;
    assert_eq!(talk.bot.sim.orders().len(), 1, "its limit is not forgotten");
    talk.press(ADMIN, &waits, ":a").await;
    talk.becomes(&waits, DONE).await;
    talk.bot.kill().await;
    let store = Store::open(&talk.bot.dir.path().join("data")).unwrap();
    let approvers: Vec<_> = store.recent_proposals(9).unwrap().into_iter().map(|plan| plan.state).collect();
    let by_night = |text: &String| {
        text.contains(&format!("{:?}", Approver::Standing { people: Vec::new(), since: eleven() }))
    };
    assert!(approvers.iter().map(|state| format!("{state:?}")).any(|text| by_night(&text)), "{approvers:?}");
    let audit = store.audit_log(50).unwrap();
    assert!(audit.iter().any(|entry| entry.what == "autopilot" && entry.by.is_none()), "{audit:?}");
}

#[tokio::test]
async fn outside_its_hours_in_a_pause_and_in_a_dry_run_it_does_not_count() {
    for variables in [
        [("BALANCE_MODE", "propose"), ("AUTOPILOT", "22:00-08:00")],
        [("DRY_RUN", "true"), ("AUTOPILOT", "11:00-13:00")],
        [("BALANCE_MODE", "off"), ("AUTOPILOT", "11:00-13:00")],
    ] {
        let talk = Talk::start(LANGUAGES[0], World::small(), Setup::of(&variables).often()).await;
        talk.bot.cycles(3).await;
        assert!(talk.bot.sim.orders().is_empty(), "{variables:?}");
    }
}

fn eleven() -> chrono::DateTime<chrono::Utc> {
    crate::platform::noon() - chrono::TimeDelta::hours(1)
}
