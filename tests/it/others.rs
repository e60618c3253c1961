//! What others do with the VMs: VMmanager's own tasks, and hands that move them back.

use chrono::TimeDelta;
use vm_balancer::{
    balancer::VmBalancer,
    event::Alert,
    model::{Block, MigrationId, NodeId, VmId},
    planner::{RestWhy, SkipWhy, Unfit},
    sandbox::{
        telegram::{ADMIN, OPERATOR, VIEWER},
        vmmanager::{Fault, Options, Pace, Profile, Running, World},
    },
    store::{Ending, LastMove, Outcome, StepState},
};

use crate::{
    conversation::Setup,
    platform::{Platform, outcome, until},
    transcripts::{DONE, Talk, in_both},
    worlds::only_one_to_move,
};

// ---- tasks

#[tokio::test]
async fn a_vm_that_any_task_runs_for_is_left_alone_until_it_ends() {
    for task in ["host_backup", "node_host_restore", "disk_resize"] {
        let platform = Platform::start(World::small()).await;
        let balancer = platform.balancer();
        let moved = platform.approved(&balancer).await.steps[0].migration.vm;
        let backup = busy(moved, task, true);
        platform.sim.switch_on(backup.clone());
        let plan = balancer.look().await.unwrap().plan;
        let plan = &plan.clusters[0];
        assert!(plan.migrations.iter().all(|migration| migration.vm != moved), "{plan:?}");
        let skip = plan.skipped.iter().find(|skip| skip.vm == moved).unwrap();
        assert_eq!(skip.why, SkipWhy::Blocked(Block::Task(task.into())));
        platform.sim.switch_off(&backup);
        let plan = balancer.look().await.unwrap().plan;
        assert_eq!(plan.clusters[0].migrations[0].vm, moved, "it is movable again");
    }
}

#[tokio::test]
async fn a_task_that_begins_after_the_approval_drops_its_step_and_harms_nobody() {
    let platform = Platform::start(World::small()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let moved = proposal.steps[0].migration.vm;
    platform.sim.switch_on(busy(moved, "host_backup", true));
    let proposal = platform.finish(&balancer, proposal.id).await;
    assert_eq!(ending(&proposal.steps[0].state), Some(&occupied("host_backup")));
    assert_eq!(platform.sim.orders(), []);
    assert!(!balancer.policy().unwrap().resting.contains_key(&moved), "the next look tells when it ends");
}

#[tokio::test]
async fn a_task_whose_row_names_no_vm_is_found_in_the_history_of_the_vm() {
    // Of 2022: histories without the numbers of tasks.
    for profile in [Profile::Current, Profile::Old, Profile::Messy] {
        let options = Options { profile, ..Options::default() };
        let platform = Platform::start_with(World::small(), options).await;
        let balancer = platform.balancer();
        let proposal = platform.approved(&balancer).await;
        let moved = proposal.steps[0].migration.vm;
        let backup = busy(moved, "host_backup", false);
        platform.sim.switch_on(backup.clone());
        let proposal = platform.finish(&balancer, proposal.id).await;
        assert_eq!(outcome(&proposal).0, Outcome::Dropped, "{profile:?}");
        assert_eq!(ending(&proposal.steps[0].state), Some(&occupied("host_backup")), "{profile:?}");
        assert_eq!(platform.sim.count_requests("POST /vm/"), 0, "{profile:?}");
        let resting = balancer.policy().unwrap().resting;
        assert_eq!(resting[&moved].why, RestWhy::Busy, "{profile:?}");
        // The row of a task that has ended occupies nobody.
        platform.sim.switch_off(&backup);
        platform.store.forget_declined().unwrap();
        let proposal = platform.carry_out(&balancer).await;
        assert_eq!((proposal.steps[0].migration.vm, outcome(&proposal).0), (moved, Outcome::Done));
        assert_eq!(platform.sim.violations(), []);
    }
}

// ---- a foreign hand

#[tokio::test]
async fn a_vm_that_somebody_moves_back_twice_stays_alone_for_a_day_and_the_chat_says_who_does_it() {
    let options = Options { pace: Pace::Manual, ..Options::default() };
    let mut platform = Platform::start_with(only_one_to_move(), options).await;
    platform.sim.switch_on(Fault::PullsBack);
    let balancer = platform.balancer();
    assert_eq!(there_and_back(&platform, &balancer).await, VmId(1000));
    balancer.look().await.unwrap();
    assert_eq!(pulls(&mut platform), [], "once may be chance");
    platform.minutes_pass(61);
    assert_eq!(there_and_back(&platform, &balancer).await, VmId(1000));
    let plan = balancer.look().await.unwrap().plan;
    let until = platform.clock.now() + TimeDelta::days(1);
    let by = Some("admin@example.com".to_owned());
    let (name, node) = ("web".to_owned(), "kvm-01".to_owned());
    let said = Alert::PulledBack { vm: VmId(1000), name, node, times: 2, by, until };
    assert_eq!(pulls(&mut platform), [said]);
    let alone = SkipWhy::Resting { until, why: RestWhy::PulledBack };
    assert_eq!(plan.clusters[0].skipped[0].why, alone);
    // It outlasts the cool-down and the process, and is said once.
    platform.minutes_pass(23 * 60);
    drop(balancer);
    let mut platform = platform.restart();
    let balancer = platform.balancer();
    let plan = balancer.look().await.unwrap().plan;
    assert_eq!((plan.is_empty(), &plan.clusters[0].skipped[0].why), (true, &alone));
    assert_eq!(pulls(&mut platform), []);
    platform.minutes_pass(61);
    assert!(!balancer.look().await.unwrap().plan.is_empty(), "after the day it is tried again");
    assert_eq!(platform.sim.violations(), []);
}

#[tokio::test]
async fn who_moves_a_vm_back_is_said_with_what_to_do_and_each_time_it_rests_longer() {
    let setup = || Setup::default().manual();
    in_both("somebody_moves_a_vm_back", only_one_to_move, setup, async |talk| {
        // The look right after the plan may see it back already, or the next one does.
        let seen = ["14:06", "15:07"].map(|time| (format!("2026-11-26 {time} UTC"), "2026-11-26 HH:MM UTC"));
        talk.masks(seen);
        talk.bot.sim.switch_on(Fault::PullsBack);
        moved_and_back(talk).await;
        moved_and_back(talk).await;
        // A question for a plan looks by itself, and finds it back once more.
        talk.ask(OPERATOR, "/balance 1").await;
        talk.hears(PULLS).await;
        for question in ["/vm web", "/why web", "/rests", "/status"] {
            talk.ask(VIEWER, question).await;
        }
        talk.minutes_pass(23 * 60);
        talk.ask(OPERATOR, "/balance 1").await;
        talk.minutes_pass(61);
        moved_and_back(talk).await;
        talk.ask(OPERATOR, "/balance 1").await;
        talk.hears(THIRD_TIME).await;
        talk.ask(VIEWER, "/rests").await;
        talk.ask(ADMIN, "/rests clear w*").await;
        talk.ask(OPERATOR, "/balance 1").await;
    })
    .await;
}

const PULLS: [&str; 2] = ["Somebody moves", "Кто-то возвращает"];
const THIRD_TIME: [&str; 2] = ["after 3 migrations", "(3)"];

/// A plan moves the only VM that helps, and somebody moves it back; then its rest is over.
async fn moved_and_back(talk: &mut Talk) {
    let before = talk.bot.sim.orders().len();
    let plan = talk.ask(OPERATOR, "/balance 1").await;
    talk.press(OPERATOR, &plan, ":a").await;
    talk.bot.until("it is ordered", |sim| sim.orders().len() > before).await;
    talk.bot.sim.finish_all();
    talk.becomes(&plan, DONE).await;
    talk.minutes_pass(1);
    talk.bot.sim.finish_all();
    let home = |sim: &Running| sim.orders().iter().all(|order| sim.node_of(order.vm) == Some(order.source));
    talk.bot.until("it is back", home).await;
    talk.line("— somebody has moved it back —");
    talk.minutes_pass(61);
}

#[tokio::test]
async fn a_vm_that_somebody_moves_to_a_third_node_is_not_pulled_back() {
    let mut platform = Platform::start(only_one_to_move()).await;
    let balancer = platform.balancer();
    platform.carry_out(&balancer).await;
    let entry = platform.history().remove(0);
    let third = [NodeId(11), NodeId(12)].into_iter().find(|node| *node != entry.target).unwrap();
    platform.minutes_pass(1);
    platform.sim.edit(|world| world.vms.get_mut(&entry.vm).unwrap().node = third);
    // One more would make it rest.
    let before = LastMove { id: MigrationId(999), vm: entry.vm, source: entry.source };
    platform.store.note_pull(&before, platform.clock.now()).unwrap();
    balancer.look().await.unwrap();
    assert_eq!(pulls(&mut platform), []);
    platform.sim.edit(|world| world.vms.get_mut(&entry.vm).unwrap().node = entry.source);
    balancer.look().await.unwrap();
    assert_eq!(pulls(&mut platform).len(), 1, "back on its source it is");
}

/// The bot moves the only VM that helps, and somebody moves it back.
async fn there_and_back(platform: &Platform, balancer: &VmBalancer) -> VmId {
    let before = platform.sim.orders().len();
    let ends = async {
        until("it is ordered", async || platform.sim.orders().len() > before).await;
        platform.sim.finish_all();
    };
    let (proposal, ()) = tokio::join!(platform.carry_out(balancer), ends);
    let migration = &proposal.steps[0].migration;
    assert_eq!(outcome(&proposal).0, Outcome::Done);
    platform.minutes_pass(1);
    platform.sim.finish_all();
    until("it is back", async || platform.sim.node_of(migration.vm) == Some(migration.source)).await;
    migration.vm
}

fn pulls(platform: &mut Platform) -> Vec<Alert> {
    let alerts = platform.alerts();
    alerts.into_iter().filter(|alert| matches!(alert, Alert::PulledBack { .. })).collect()
}

fn busy(vm: VmId, task: &str, says_vm: bool) -> Fault {
    Fault::Busy { vm: Some(vm), task: task.into(), says_vm }
}

fn occupied(task: &str) -> Ending {
    Ending::Unfit(Unfit::Vm(SkipWhy::Blocked(Block::Task(task.into()))))
}

fn ending(state: &StepState) -> Option<&Ending> {
    match state {
        StepState::Ended { detail, .. } => detail.as_ref(),
        _ => None,
    }
}
