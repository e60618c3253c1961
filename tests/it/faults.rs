//! Faults of VMmanager and of the store, injected into the whole service: each time the chat ends with
//! the truth.

use std::{collections::BTreeMap, path::Path, time::Duration};

use chrono::TimeDelta;
use tokio::time::timeout;
use vm_balancer::{
    event::{Alert, Events},
    model::{ClusterId, NodeId, VmId},
    sandbox::{
        telegram::{ADMIN, OPERATOR, SimMessage, VIEWER},
        vmmanager::{Fault, Pace, Rule, World},
    },
    store::Store,
};

use crate::{
    conversation::{self, Ctx, LOG, Setup, process, process_with},
    platform::{PATIENCE, noon, until},
    transcripts::{DONE, LANGUAGES, Lang, RUNS, Talk, WAITS, in_both},
    worlds::{two_clusters, two_overloaded},
};

const AUTO: (&str, &str) = ("BALANCE_MODE", "auto");

/// Ten years, which no rounding, time zone or stopped clock explains.
const TEN_YEARS: i64 = 10 * 365 * 24 * 3600;

// ---- a migration that goes wrong

#[tokio::test]
async fn a_token_that_dies_while_a_migration_is_watched_is_renewed() {
    let bot = Ctx::with(World::small(), Setup::default().manual()).await;
    let running = approved(&bot).await;
    for _ in 0..3 {
        bot.sim.end_sessions();
        bot.until("it has logged in again", |sim| sim.session_count() > 0).await;
    }
    bot.sim.finish_all();
    ended(&bot, &running, "done: 1 moved").await;
}

#[tokio::test]
async fn an_endless_task_is_said_to_be_slow_and_stays_watched_past_a_kill() {
    in_both(
        "an_endless_task_is_said_to_be_slow",
        World::small,
        || Setup::default().manual(),
        async |talk| {
            talk.bot.sim.switch_on(Fault::RunsForever);
            let plan = talk.ask(OPERATOR, "/balance 1").await;
            talk.press(OPERATOR, &plan, ":a").await;
            talk.becomes(&plan, RUNS).await;
            talk.bot.until_watched().await;
            talk.minutes_pass(61);
            talk.becomes(&plan, [", slow", ", медленно"]).await;
            talk.restarts().await;
            talk.ask(VIEWER, "/running").await;
            talk.bot.sim.finish_all();
            talk.becomes(&plan, DONE).await;
            talk.ordered();
            assert_eq!(talk.bot.sim.violations(), []);
        },
    )
    .await;
}

#[tokio::test]
async fn a_task_that_vanishes_is_told_by_where_the_vm_is() {
    went_wrong("a_task_that_vanishes_leaves_the_vm", Fault::TaskLost { moves: false }).await;
    went_wrong("a_task_that_vanishes_has_moved_the_vm", Fault::TaskLost { moves: true }).await;
}

#[tokio::test]
async fn a_task_that_completes_without_a_move_is_told_as_a_failure() {
    went_wrong("a_task_that_completes_without_a_move", Fault::CompleteWithoutMove).await;
}

#[tokio::test]
async fn a_vm_that_vanishes_half_way_is_told_as_a_failure() {
    went_wrong("a_vm_that_vanishes_half_way", Fault::VmVanishes).await;
}

#[tokio::test]
async fn a_node_that_vanishes_half_way_is_told_as_a_failure() {
    went_wrong("a_node_that_vanishes_half_way", Fault::TargetVanishes).await;
}

// ---- a picture that cannot be trusted

#[tokio::test]
async fn nothing_is_ordered_on_half_a_picture_and_work_goes_on_with_the_whole_one() {
    let setup = || Setup::default().often();
    in_both("nothing_is_ordered_on_half_a_picture", two_overloaded, setup, async |talk| {
        talk.bot.sim.rule(Rule::times(Fault::ShrunkList, 2));
        talk.ask(ADMIN, "/mode auto").await;
        talk.hears(["VMs became", "ВМ было"]).await;
        let is_whole = |sim: &vm_balancer::sandbox::vmmanager::Running| {
            // In this order, so that an order while half was missing would be first.
            let (is_ordered, is_halved) = (!sim.orders().is_empty(), !sim.faults().is_empty());
            assert!(!(is_ordered && is_halved), "ordered on half a picture");
            !is_halved
        };
        talk.bot.until("the picture is whole again", is_whole).await;
        // A look that was under way may have made a plan of a whole picture, which the next look then ends.
        talk.bot.until("both nodes are relieved", |sim| sim.orders().len() == 2).await;
        talk.ordered();
        assert_eq!(talk.bot.sim.violations(), []);
    })
    .await;
}

#[tokio::test]
async fn a_foreign_migration_holds_its_cluster_alone_and_is_told() {
    for lang in LANGUAGES {
        let mut talk = beside_a_foreign_migration(lang, true).await;
        let plan = talk.hears(RUNS).await;
        talk.bot.until("the other cluster is served", |sim| !sim.orders().is_empty()).await;
        talk.bot.cycles(3).await;
        talk.ask(VIEWER, "/status").await;
        talk.ordered();
        talk.bot.sim.finish_all();
        talk.becomes(&plan, DONE).await;
        talk.shows("a_foreign_migration_holds_its_cluster_alone");
    }
}

#[tokio::test]
async fn a_foreign_migration_of_an_unknown_cluster_holds_everything_and_is_told() {
    for lang in LANGUAGES {
        let mut talk = beside_a_foreign_migration(lang, false).await;
        talk.bot.cycles(4).await;
        talk.ask(VIEWER, "/status").await;
        talk.ordered();
        talk.bot.sim.set_pace(Pace::After(Duration::from_millis(5)));
        talk.bot.sim.finish_all();
        talk.hears(DONE).await;
        talk.shows("a_foreign_migration_of_an_unknown_cluster_holds_everything");
    }
}

/// A bot that works by itself starts while somebody else migrates, and says so.
async fn beside_a_foreign_migration(lang: Lang, says_vm: bool) -> Talk {
    let mut talk = Talk::prepared(lang, two_clusters(), Setup::of(&[AUTO]).often().manual()).await;
    somebody_else_migrates(&talk.bot, says_vm);
    talk.bot.restart().await;
    talk.hears(["Somebody else moves", "Идёт чужая миграция"]).await;
    talk
}

#[tokio::test]
async fn a_clock_of_vmmanager_that_is_years_off_changes_nothing() {
    for seconds in [TEN_YEARS, -TEN_YEARS] {
        let bot = Ctx::with(World::small(), Setup::default().manual()).await;
        bot.sim.switch_on(Fault::ClockSkew { seconds });
        // Every VM that may be planned has an older migration with such a date.
        there_and_back(&bot).await;
        let running = approved(&bot).await;
        bot.sim.finish_all();
        ended(&bot, &running, "done: 1 moved").await;
    }
}

// ---- the store

#[tokio::test]
async fn a_damaged_store_is_told_and_only_proposes_until_an_admin_confirms() {
    for lang in LANGUAGES {
        let mut talk = Talk::prepared(lang, two_overloaded(), Setup::of(&[AUTO]).often()).await;
        talk.masks([(talk.bot.dir.path().display().to_string(), "/var/lib/vm-balancer")]);
        a_damaged_store_is_left(talk.bot.dir.path());
        talk.bot.restart().await;
        let alert = talk.hears(["My store was damaged and is restored", "Хранилище бота повредилось"]).await;
        let plan = talk.hears(WAITS).await;
        talk.ask(VIEWER, "/status").await;
        talk.ask(OPERATOR, "/resume").await;
        talk.bot.cycles(4).await;
        talk.ordered();
        talk.ask(VIEWER, "/status").await;

        talk.ask(ADMIN, "/resume").await;
        talk.bot.until("overload is gone", |sim| sim.world().nodes_above(70.0).is_empty()).await;
        talk.bot.heard_any(DONE).await;
        let plan = talk.bot.telegram.message(alert.chat, plan.id).unwrap();
        assert_eq!(plan.button_with(":a"), None);
        let start = alert.text().lines().next().unwrap().to_owned();
        let alerts = talk.bot.written().into_iter().filter(|message| message.text().starts_with(&start));
        assert_eq!(alerts.count(), 1);
        assert!(!talk.bot.store().await.settings().unwrap().restored_unconfirmed);
        talk.shows("a_damaged_store_is_told_and_only_proposes");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_is_told_while_the_bot_runs_and_at_its_start() {
    in_both("a_clock_that_is_set_is_told", World::small, Setup::default, async |talk| {
        talk.ask(OPERATOR, "/balance 1").await;
        let back = TimeDelta::days(40);
        talk.line("— the clock is set back by 40 days, and right again —");
        talk.bot.clock.set(noon() - back);
        talk.hears(["went back by 40 d", "ушли назад на 40 д"]).await;
        talk.bot.clock.set(noon());
        talk.hears(["went ahead by 40 d", "ушли вперёд на 40 д"]).await;
        // Time that goes by is no jump; the clock is checked each second.
        talk.minutes_pass(60);
        let written = talk.bot.written().len();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(talk.bot.written().len(), written, "{}", talk.bot.telegram.transcript(talk.bot.home));
        talk.line("— the bot is started again, and the clock says 10:00 —");
        talk.bot.kill().await;
        talk.bot.clock.set(noon() - TimeDelta::hours(2));
        talk.bot.restart().await;
        talk.hears(["went back by 2 h", "ушли назад на 2 ч"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_vm_that_failed_is_not_ordered_again_because_a_clock_was_wrong() {
    // A dead battery, a wrong month, and a year ahead.
    for wrong in [-40, -20_000, 365].map(TimeDelta::days) {
        let bot = Ctx::start(World::small()).await;
        bot.sim.switch_on(Fault::libvirt_failure());
        fails(&bot).await;
        // One more fails while the clock is wrong.
        bot.clock.set(noon() + wrong);
        bot.heard(if wrong < TimeDelta::zero() { "went back by" } else { "went ahead by" }).await;
        fails(&bot).await;
        bot.clock.set(noon());
        bot.heard(if wrong < TimeDelta::zero() { "went ahead by" } else { "went back by" }).await;
        bot.sim.heal();
        // Neither the process that saw the clock nor the next one forgets who failed.
        let known = bot.proposal().await;
        bot.kill().await;
        bot.restart().await;
        bot.press(OPERATOR, &known, "Approve").await;
        bot.says(&known, "done: 1 moved").await;
        let orders: Vec<VmId> = bot.sim.orders().iter().map(|order| order.vm).collect();
        assert_eq!(orders.len(), 3, "{wrong}");
        assert!(!orders[..2].contains(&orders[2]), "{wrong}: {orders:?}");
        assert_eq!(
            orders[0] == orders[1],
            wrong > TimeDelta::zero(),
            "{wrong}: a year later it may be tried"
        );
    }
}

/// A plan of which the only migration fails.
async fn fails(bot: &Ctx) {
    let plan = bot.proposal().await;
    bot.press(OPERATOR, &plan, "Approve").await;
    bot.says(&plan, "1 failed").await;
}

#[tokio::test]
async fn every_change_of_a_switch_and_a_clean_stop_are_in_the_export() {
    let bot = Ctx::start(two_overloaded()).await;
    let data = bot.dir.path().join("data");
    let exported =
        |what: &str| std::fs::read_to_string(data.join("export.jsonl")).unwrap_or_default().contains(what);
    let switches = [
        ("/dryrun on", r#""dry_run":true"#),
        ("/pause 2h", r#""pause":{"#),
        ("/mode propose", r#""mode":"propose""#),
        ("/exclude kvm-01", r#""exclusions":[{"#),
    ];
    for (command, record) in switches {
        assert!(!exported(record), "{record}");
        bot.ask(ADMIN, command).await;
        until("it is exported", async || exported(record)).await;
    }
    // Nothing but the export is left.
    bot.kill().await;
    std::fs::remove_file(data.join("inflight.json")).unwrap();
    std::fs::remove_dir_all(data.join("store")).unwrap();
    bot.restart().await;
    bot.heard("My store was damaged and is restored").await;
    insta::assert_snapshot!("a_dry_run_that_is_restored", bot.ask(ADMIN, "/dryrun").await.text());

    bot.ask(ADMIN, "/dryrun off").await;
    until("it is exported", async || exported(r#""dry_run":false"#)).await;
    bot.proposal().await;
    assert!(!exported(r#""is":"pending""#));
    drop(bot.store().await);
    assert!(exported(r#""is":"pending""#), "a clean stop exports");
}

#[tokio::test]
async fn without_a_chat_a_restored_store_only_plans_until_it_is_confirmed() {
    let bot = Ctx::prepared(World::small(), Setup { real_time: true, ..Setup::default() }).await;
    a_damaged_store_is_left(bot.dir.path());
    let variables = without_a_chat(&bot);
    let mut child = process(bot.dir.path(), &variables);
    bot.cycles(3).await;
    child.kill().await.unwrap();
    assert_eq!(bot.sim.orders(), []);
    let log = log(bot.dir.path());
    assert!(log.contains("the store is damaged") && log.contains("a plan is recorded"), "{log}");

    let mut child = process_with(bot.dir.path(), &variables, &["--confirm-restored"]);
    bot.until("overload is gone", |sim| sim.world().nodes_above(70.0).is_empty()).await;
    child.kill().await.unwrap();
    assert!(!bot.store().await.settings().unwrap().restored_unconfirmed);
}

#[tokio::test]
async fn the_program_refuses_a_store_of_a_newer_one_and_leaves_it_as_it_is() {
    let bot = Ctx::prepared(World::small(), Setup { real_time: true, ..Setup::default() }).await;
    let data = bot.dir.path().join("data");
    drop(Store::open(&data).unwrap());
    newer_schema(&data).await;
    let mut child = process(bot.dir.path(), &without_a_chat(&bot));
    let ended = timeout(PATIENCE, child.wait()).await.expect("it should end").unwrap();
    assert_eq!(ended.code(), Some(1));
    insta::assert_snapshot!("the_program_refuses_a_store_of_a_newer_one", log_without_times(bot.dir.path()));
    let names = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("damaged")));
    assert_eq!(bot.sim.requests(), []);
}

#[tokio::test]
async fn the_program_ends_where_another_one_has_the_store() {
    let bot = Ctx::prepared(World::small(), Setup { real_time: true, ..Setup::default() }).await;
    let _other = Store::open(&bot.dir.path().join("data")).unwrap();
    let mut child = process(bot.dir.path(), &without_a_chat(&bot));
    let ended = timeout(PATIENCE, child.wait()).await.expect("it should end").unwrap();
    assert_eq!(ended.code(), Some(1));
    insta::assert_snapshot!(
        "the_program_ends_where_another_one_has_the_store",
        log_without_times(bot.dir.path())
    );
    assert_eq!(bot.sim.requests(), []);
}

#[tokio::test]
async fn an_alert_said_just_before_a_kill_is_in_the_chat_after_the_restart() {
    in_both("an_alert_said_just_before_a_kill", World::small, Setup::default, async |talk| {
        talk.ask(VIEWER, "/whoami").await;
        let store = talk.bot.store().await;
        let (cluster, name) = (ClusterId(1), "msk".to_owned());
        let alert = Alert::ClusterStopped { cluster, name, failures: 5, until: None };
        store.alert(&Events::new(), noon(), alert);
        drop(store);
        talk.restarts().await;
        talk.hears(["Automatic runs in cluster msk (1)", "Автоматика в кластере msk (1)"]).await;
        assert_eq!(talk.bot.store().await.alerts().unwrap(), []);
        talk.restarts().await;
        talk.ask(VIEWER, "/whoami").await;
        let transcript = talk.bot.telegram.transcript(talk.bot.home);
        assert_eq!(talk.bot.written().len(), 3, "it is said once: {transcript}");
    })
    .await;
}

/// Approves the plan and returns its message once its migration runs.
async fn approved(bot: &Ctx) -> SimMessage {
    let proposal = bot.proposal().await;
    bot.press(OPERATOR, &proposal, "Approve").await;
    let running = bot.says(&proposal, "running since").await;
    bot.until("it is ordered", |sim| !sim.orders().is_empty()).await;
    running
}

/// Waits until the plan's message says how it ended. There is no further message, and only one order.
async fn ended(bot: &Ctx, message: &SimMessage, how: &str) -> String {
    let done = bot.says(message, how).await;
    assert!(done.button("Approve").is_none(), "{:?}", done.labels());
    assert_eq!(bot.sim.orders().len(), 1);
    assert_eq!(bot.sim.violations(), []);
    done.text().to_owned()
}

/// Lets the only migration of a plan meet a fault, and shows the end of the plan and the history.
async fn went_wrong(scenario: &str, fault: Fault) {
    // Long enough for its task to be seen.
    let setup = || Setup { pace: Pace::After(Duration::from_millis(100)), ..Setup::default() };
    in_both(scenario, World::small, setup, async |talk| {
        talk.bot.sim.arm(fault.clone());
        let plan = talk.bot.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.ask(VIEWER, "/history").await;
        assert_eq!((talk.bot.sim.orders().len(), talk.bot.sim.violations()), (1, Vec::new()));
        assert_eq!(talk.bot.store().await.open_entries().unwrap(), []);
    })
    .await;
}

pub fn somebody_else_migrates(bot: &Ctx, says_vm: bool) {
    let vm = bot.sim.look(|world| world.vms_on(NodeId(10)).next().unwrap().id);
    bot.sim.foreign_migration(vm, NodeId(11), says_vm).unwrap();
}

/// Each VM of the overloaded node moves away and comes back.
async fn there_and_back(bot: &Ctx) {
    let vms: Vec<VmId> = bot.sim.look(|world| world.vms_on(NodeId(10)).map(|vm| vm.id).collect());
    for vm in vms {
        bot.sim.foreign_migration(vm, NodeId(11), true).unwrap();
        bot.sim.finish_all();
        bot.until("it has moved", |sim| sim.node_of(vm) == Some(NodeId(11))).await;
        bot.sim.edit(|world| world.vms.get_mut(&vm).unwrap().node = NodeId(10));
    }
}

/// A store that lost the end of its file, after an export.
pub fn a_damaged_store_is_left(dir: &Path) {
    let data = dir.join("data");
    let store = Store::open(&data).unwrap();
    store.export(noon()).unwrap();
    for _ in 0..20 {
        store.update_settings(|settings| settings.exclusions.clear()).unwrap();
    }
    drop(store);
    let db = data.join("store").join("db");
    let bytes = std::fs::read(&db).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    std::fs::write(&db, &bytes[..used - 1000]).unwrap();
}

/// The schema's row in sled, as the next version would write it.
async fn newer_schema(data: &Path) {
    // sled may hold its lock slightly longer than its owner lives.
    let opened = std::cell::OnceCell::new();
    until("the lock is free", async || sled::open(data.join("store")).is_ok_and(|db| opened.set(db).is_ok()))
        .await;
    let db = opened.into_inner().unwrap();
    db.open_tree("meta").unwrap().insert(1_u64.to_be_bytes(), "2").unwrap();
    db.flush().unwrap();
}

fn without_a_chat(bot: &Ctx) -> BTreeMap<String, String> {
    let mut variables = conversation::environment(&bot.sim, &bot.telegram, bot.dir.path(), bot.home);
    variables.retain(|name, _| !name.starts_with("TELEGRAM_"));
    variables.insert("BALANCE_MODE".into(), "auto".into());
    variables.insert("BALANCE_INTERVAL".into(), "1".into());
    variables
}

fn log(dir: &Path) -> String {
    std::fs::read_to_string(dir.join(LOG)).unwrap()
}

/// The log without what differs from run to run.
fn log_without_times(dir: &Path) -> String {
    let log = log(dir).replace(&dir.display().to_string(), "/var/lib/vm-balancer");
    log.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, rest)| rest.trim_start().to_owned() + "\n")
        .collect()
}
