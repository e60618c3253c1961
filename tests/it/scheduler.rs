//! The schedule and what people may ask of it, with the real balancer over a simulated VMmanager.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vm_balancer::{
    event::Alert,
    model::{
        ClusterId, Mib, NodeId, ProposalId, Trouble, VmId,
        find::{self, MissedWhy},
    },
    planner::{Direction, Limits},
    sandbox::vmmanager::{Fault, Options, Pace, Rule, Running, Scale, SimNode, SimVm, World},
    scheduler::{
        Approved, Balanced, Change, Changed, Handle, Maintained, Refused, Scheduler, Settings, Stop, When,
    },
    store::{Approver, Mode, Outcome, Proposal, ProposalState, ReplyTo, Selection, StepState, Store},
};

use crate::{
    platform::{self, PATIENCE, Platform, outcomes, person, until},
    worlds::{quiet, two_overloaded},
};

// ---- propose

#[tokio::test]
async fn the_schedule_keeps_one_live_proposal_and_leaves_it_alone() {
    let bot = Bot::start(World::small(), Mode::Propose).await;
    let proposal = bot.pending().await;
    bot.cycles(3).await;
    assert_eq!(bot.all(), [(proposal.id, ProposalState::Pending)]);
    assert_eq!(bot.sim().orders(), []);
}

#[tokio::test]
async fn a_changed_world_gives_a_newer_proposal_in_place_of_the_old_one() {
    let bot = Bot::start(World::small(), Mode::Propose).await;
    let older = bot.pending().await;
    let vm = older.steps[0].migration.vm;
    bot.sim().edit(|world| world.vms.get_mut(&vm).unwrap().snapshots = 1);
    bot.until("a newer one is pending", |bot| bot.pending_now().is_some_and(|newer| newer.id != older.id))
        .await;
    let newer = bot.pending_now().unwrap();
    let state = bot.platform.proposal(older.id).state;
    assert!(matches!(state, ProposalState::Superseded { by, .. } if by == newer.id), "{state:?}");
}

#[tokio::test]
async fn a_proposal_that_is_needed_no_longer_goes_stale() {
    let bot = Bot::start(World::small(), Mode::Propose).await;
    let proposal = bot.pending().await;
    bot.sim().remove_vm(proposal.steps[0].migration.vm);
    bot.until_state(proposal.id, |state| matches!(state, ProposalState::Stale { .. })).await;
}

#[tokio::test]
async fn overload_that_is_new_is_proposed_long_before_the_next_cycle() {
    let bot = Bot::start_with(quiet(), |settings| {
        settings.interval = Duration::from_secs(3600);
        settings.watch = Some(Duration::from_millis(50));
    })
    .await;
    bot.cycles(3).await;
    assert_eq!(bot.all(), [], "nothing is overloaded");
    bot.sim().edit(|world| world.vms.values_mut().for_each(|vm| vm.memory = Mib(24 * 1024)));
    let proposal = bot.pending().await;
    bot.cycles(3).await;
    assert_eq!(bot.all(), [(proposal.id, ProposalState::Pending)], "known overload starts no cycle");
}

#[tokio::test]
async fn what_a_plan_leaves_overloaded_does_not_wait_for_the_next_cycle() {
    let long = Duration::from_secs(3600);
    let rare = |settings: &mut Settings| (settings.interval, settings.watch) = (long, Some(long));
    let bot = Bot::start_with(two_overloaded(), |settings| {
        rare(settings);
        settings.mode = Mode::Auto;
    })
    .await;
    // One migration for each plan, and two nodes that need one each.
    bot.until("both are done", |bot| {
        let done = |(_, state): &(ProposalId, ProposalState)| matches!(state, ProposalState::Done { .. });
        bot.all().iter().filter(|proposal| done(proposal)).count() == 2
    })
    .await;
    assert_eq!(bot.sim().orders().len(), 2);
}

#[tokio::test]
async fn memory_over_its_threshold_by_a_hair_is_proposed_once_it_has_lasted() {
    let bot = Bot::start_with(quiet(), |settings| settings.watch = None).await;
    bot.cycles(2).await;
    // 45,900 of 65,536 MiB are 70.04 %.
    bot.sim().edit(|world| {
        world.vms.values_mut().filter(|vm| vm.node == NodeId(10)).for_each(|vm| vm.memory = Mib(22_950));
    });
    bot.cycles(5).await;
    assert_eq!(bot.all(), [], "it may be over soon");
    bot.platform.minutes_pass(9);
    bot.cycles(3).await;
    assert_eq!(bot.all(), []);
    bot.platform.minutes_pass(2);
    let proposal = bot.pending().await;
    assert_eq!(proposal.plan.overloaded[0].node, NodeId(10));
}

#[tokio::test]
async fn a_proposal_expires_by_itself_and_at_the_press() {
    let bot = Bot::start_with(World::small(), |settings| settings.interval = Duration::from_secs(3600)).await;
    let proposal = bot.pending().await;
    bot.platform.minutes_pass(30);
    let refused = bot.approve(proposal.id, person(1)).await;
    assert_eq!(refused, bot.closed(proposal.id));
    bot.until_state(proposal.id, |state| matches!(state, ProposalState::Expired { .. })).await;
    let again = bot.approve(proposal.id, person(1)).await;
    assert_eq!(again, bot.closed(proposal.id));
    assert!(matches!(bot.handle.refresh(proposal.id, person(1)).await, Ok(Balanced::Proposed(_))));
}

#[tokio::test]
async fn what_was_rejected_is_not_proposed_again_by_the_schedule() {
    let bot = Bot::start(World::small(), Mode::Propose).await;
    let proposal = bot.pending().await;
    bot.handle.reject(proposal.id, None, person(1)).await.unwrap();
    bot.cycles(3).await;
    assert_eq!(bot.all().len(), 1);
    assert_eq!(bot.handle.reject(proposal.id, None, person(1)).await, bot.closed(proposal.id));
    assert!(matches!(bot.balance(None).await, Ok(Balanced::Proposed(_))), "but on command");
}

// ---- approve

#[tokio::test]
async fn two_presses_run_a_plan_once() {
    let bot = Bot::start(World::small(), Mode::Propose).await;
    let proposal = bot.pending().await;
    let (one, two) = tokio::join!(bot.approve(proposal.id, person(1)), bot.approve(proposal.id, person(2)));
    let mut answers = [one, two];
    answers.sort_by_key(|answer| answer.is_err());
    assert!(matches!(answers, [Ok(Approved::Started), Err(Refused::NotPending { .. })]), "{answers:?}");
    let done = bot.done(proposal.id).await;
    assert_eq!(outcomes(&done)[0].0, Outcome::Done);
    assert_eq!(bot.sim().orders().len(), 1);
    let [entry] = bot.platform.history().try_into().unwrap();
    assert!(matches!(entry.approver, Approver::People(people) if people.len() == 1));
}

#[tokio::test]
async fn an_approved_plan_that_no_longer_relieves_gives_a_fresh_one() {
    let bot = Bot::start_with(World::small(), |settings| settings.interval = Duration::from_secs(3600)).await;
    let proposal = bot.pending().await;
    let vm = proposal.steps[0].migration.vm;
    bot.sim().edit(|world| world.vms.get_mut(&vm).unwrap().iso_mounted = true);
    assert_eq!(bot.approve(proposal.id, person(1)).await, Ok(Approved::Started));
    bot.until("a fresh one is pending", |bot| bot.pending_now().is_some()).await;
    let stale = bot.platform.proposal(proposal.id);
    assert!(matches!(stale.state, ProposalState::Stale { .. }));
    let (outcome, why) = outcomes(&stale).remove(0);
    assert!(outcome == Outcome::Dropped && why.contains("ISO"), "{outcome:?}: {why}");
    assert_ne!(bot.pending_now().unwrap().steps[0].migration.vm, vm);
    assert_eq!(bot.sim().orders(), []);
}

#[tokio::test]
async fn steps_that_no_longer_fit_are_dropped_and_the_others_carried_out() {
    let (bot, proposal) = two_steps().await;
    assert_eq!(proposal.steps.len(), 2);
    let gone = proposal.steps[0].migration.vm;
    bot.sim().remove_vm(gone);
    bot.approve(proposal.id, person(1)).await.unwrap();
    let ended = outcomes(&bot.done(proposal.id).await);
    assert_eq!((ended[0].0, ended[1].0), (Outcome::Dropped, Outcome::Done), "{ended:?}");
}

#[tokio::test]
async fn a_vm_that_was_left_out_stays_where_it_is() {
    let (bot, proposal) = two_steps().await;
    let vm = |step: usize| proposal.steps[step].migration.vm;
    for choice in [Selection::LeaveOut(vm(0)), Selection::LeaveOut(vm(1)), Selection::TakeIn(vm(0))] {
        bot.handle.choose(proposal.id, choice, person(1)).await.unwrap();
    }
    let left_out: Vec<_> = bot.platform.proposal(proposal.id).left_out().iter().map(|it| it.vm).collect();
    assert_eq!(left_out, [vm(1)]);
    bot.approve(proposal.id, person(1)).await.unwrap();
    let done = bot.done(proposal.id).await;
    assert!(matches!(done.steps[1].state, StepState::LeftOut { .. }));
    assert_eq!(bot.sim().orders().iter().map(|order| order.vm).collect::<Vec<_>>(), [vm(0)]);
    let late = bot.handle.choose(proposal.id, Selection::LeaveOut(vm(0)), person(1)).await;
    assert_eq!(late.map(drop), bot.closed(proposal.id));
}

#[tokio::test]
async fn two_approvals_are_two_people_other_than_the_asker() {
    let bot = Bot::start_all(
        World::small(),
        |settings| settings.mode = Mode::Off,
        |balancer| {
            balancer.approvals_needed = 2;
        },
    )
    .await;
    let Ok(Balanced::Proposed(id)) = bot.balance(None).await else {
        unreachable!("there is something to do")
    };
    let own = bot.approve(id, asker()).await;
    assert_eq!(own, Err(Refused::OwnProposal { have: 0, need: 2 }));
    assert_eq!(bot.approve(id, person(2)).await, Ok(Approved::Counted { have: 1, need: 2 }));
    assert_eq!(bot.approve(id, person(2)).await, Err(Refused::AlreadyCounted { have: 1, need: 2 }));
    assert_eq!(bot.approve(id, person(3)).await, Ok(Approved::Started));
    bot.done(id).await;
}

// ---- balance

#[tokio::test]
async fn a_cluster_that_is_called_like_the_id_of_another_is_a_choice_for_balance_as_for_status() {
    let world = World::builder().cluster("2").node(SimNode::new("kvm-01")).cluster("spb");
    let bot = Bot::start(world.node(SimNode::new("kvm-02")).build(), Mode::Off).await;
    let Err(Refused::Missed(missed)) = bot.balance(Some("2")).await else { unreachable!("two are meant") };
    let snapshot = bot.handle.look().await.unwrap().snapshot;
    assert_eq!(find::cluster(&snapshot, "2"), Err(missed), "what /status finds");
    assert!(bot.balance(Some("SPB")).await.is_ok());
}

#[tokio::test]
async fn balance_says_what_it_cannot_do() {
    let world = World::generate(&Scale { clusters: 2, nodes: 8, vms: 80, ..Scale::default() });
    let bot = Bot::start(world, Mode::Off).await;
    assert!(matches!(bot.balance(None).await, Err(Refused::WhichCluster { known }) if known.len() == 2));
    let Err(Refused::Missed(missed)) = bot.balance(Some("zzz")).await else {
        unreachable!("no such cluster")
    };
    assert!(matches!(missed.why, MissedWhy::Unknown { known, .. } if known.len() == 2));
    let name = bot.handle.look().await.unwrap().snapshot.clusters[1].name.clone();
    let by_name = bot.balance(Some(&name)).await.unwrap();
    let by_id = bot.balance(Some("2")).await.unwrap();
    let (Balanced::Proposed(older), Balanced::Proposed(newer)) = (by_name, by_id) else {
        unreachable!("there is something to do")
    };
    assert!(
        matches!(bot.platform.proposal(older).state, ProposalState::Superseded { by, .. } if by == newer)
    );
    assert_eq!(bot.platform.proposal(newer).cluster, ClusterId(2));
    let nobody = bot.handle.approve(ProposalId(999), String::new(), When::Now, person(1)).await;
    assert_eq!(nobody, Err(Refused::NoSuchProposal(ProposalId(999))));
}

#[tokio::test]
async fn balance_tells_when_there_is_nothing_to_do() {
    let mut world = World::small();
    world.vms.retain(|id, _| *id != VmId(1000));
    let bot = Bot::start(world, Mode::Off).await;
    assert!(matches!(bot.balance(None).await, Ok(Balanced::NothingToDo(plan)) if plan.overloaded.is_empty()));
}

#[tokio::test]
async fn everything_is_answered_while_a_plan_runs() {
    let bot = Bot::start_paced(World::small(), Pace::Manual).await;
    let proposal = bot.pending().await;
    bot.approve(proposal.id, person(1)).await.unwrap();
    bot.until("it is ordered", |bot| !bot.sim().orders().is_empty()).await;
    let status = bot.handle.status().await.unwrap();
    assert_eq!(status.running.len(), 1);
    assert_eq!(bot.balance(None).await, Err(Refused::Busy { proposal: proposal.id }));
    assert_eq!(bot.handle.cancel(Stop::Only, person(2)).await.map(|it| it.plan), Ok(proposal.id));
    bot.sim().finish_all();
    bot.done(proposal.id).await;
    assert_eq!(bot.handle.cancel(Stop::Only, person(2)).await, Err(Refused::NothingRunning));
}

// ---- auto

#[tokio::test]
async fn in_auto_mode_overload_goes_away_by_itself_and_idle_cycles_say_nothing() {
    let bot = Bot::start_all(
        World::generate(&Scale { seed: 5, ..Scale::default() }),
        |settings| settings.mode = Mode::Auto,
        |balancer| balancer.policy.migrations_max = 5,
    )
    .await;
    bot.until("nobody is overloaded", |bot| bot.sim().world().nodes_above(70.0).is_empty()).await;
    bot.until("nothing runs", |bot| bot.store().open_proposals().unwrap().is_empty()).await;
    let proposals = bot.all();
    bot.cycles(3).await;
    assert_eq!(bot.all(), proposals);
    assert!(bot.platform.history().iter().all(|entry| entry.approver == Approver::Auto));
    assert_eq!(bot.sim().violations(), []);
}

#[tokio::test]
async fn an_account_that_may_only_read_is_told_of_once_an_hour() {
    let platform = Platform::start(World::small()).await;
    platform.sim.switch_on(Fault::ReadOnlyAdmin);
    let bot = Bot::on(platform, |settings| settings.mode = Mode::Auto, |_| {}).await;
    let is_over =
        |count| move |bot: &Bot| bot.all().len() == count && bot.store().open_proposals().unwrap().is_empty();
    bot.until("the first plan is over", is_over(1)).await;
    bot.cycles(5).await;
    assert_eq!(bot.all().len(), 1, "the next one would end the same");
    assert!(bot.store().settings().unwrap().stopped_clusters.is_empty());
    bot.sim().heal();
    bot.platform.minutes_pass(61);
    bot.until("the next plan is over", is_over(2)).await;
    assert_eq!(bot.sim().orders().len(), 1);
}

#[tokio::test]
async fn outside_the_window_in_a_pause_and_after_failures_nothing_is_done_by_itself() {
    // It is noon on a Monday in November: 15:00 in Moscow.
    let zone = chrono_tz::Europe::Moscow;
    let closed = Bot::start_with(World::small(), |settings| {
        settings.mode = Mode::Auto;
        settings.windows = "Mon-Fri 01:00-12:30".parse().unwrap();
        settings.timezone = zone;
    })
    .await;
    closed.cycles(3).await;
    assert!(!closed.handle.status().await.unwrap().window_open);
    assert_eq!(closed.all(), []);

    let stopped = Platform::start(World::small()).await;
    stopped.store.update_settings(|settings| settings.stopped_clusters.extend([ClusterId(1)])).unwrap();
    let stopped = Bot::on(stopped, |settings| settings.mode = Mode::Auto, |_| {}).await;
    stopped.cycles(3).await;
    assert_eq!(stopped.all(), []);
    assert_eq!(
        stopped.handle.change(Change::Resume { confirms_restored: true }, person(1)).await,
        Ok(Changed::Done)
    );
    stopped.until("it is ordered", |bot| !bot.sim().orders().is_empty()).await;
}

#[tokio::test]
async fn a_restored_store_only_proposes_until_somebody_confirms() {
    let platform = Platform::start(World::small()).await;
    platform.store.update_settings(|settings| settings.restored_unconfirmed = true).unwrap();
    let bot = Bot::on(platform, |settings| settings.mode = Mode::Auto, |_| {}).await;
    bot.pending().await;
    bot.cycles(2).await;
    assert_eq!(bot.sim().orders(), []);
    assert!(bot.handle.status().await.unwrap().restored_unconfirmed);
    bot.handle.change(Change::Resume { confirms_restored: true }, person(1)).await.unwrap();
    bot.until("it is ordered", |bot| !bot.sim().orders().is_empty()).await;
}

#[tokio::test]
async fn a_dry_run_shows_a_plan_once_and_orders_nothing() {
    let bot = Bot::start_all(
        World::small(),
        |settings| settings.mode = Mode::Auto,
        |balancer| {
            balancer.dry_run = true;
        },
    )
    .await;
    bot.until("it is shown", |bot| !bot.all().is_empty()).await;
    bot.cycles(3).await;
    let [(id, ProposalState::Shown { .. })] = bot.all()[..] else {
        unreachable!("shown once: {:?}", bot.all())
    };
    assert!(bot.platform.proposal(id).dry_run);
    assert_eq!(bot.approve(id, person(1)).await, Err(Refused::DryRun));
    assert_eq!(bot.sim().count_requests("POST /vm/"), 0);
    assert_eq!(bot.handle.change(Change::DryRun(false), person(1)).await, Ok(Changed::Done));
    bot.until("it is ordered", |bot| !bot.sim().orders().is_empty()).await;
}

// ---- the clockwork

#[tokio::test]
async fn a_second_cycle_waits_for_the_first() {
    let bot = Bot::start_with(World::small(), |settings| {
        settings.mode = Mode::Off;
        settings.interval = Duration::from_millis(5);
    })
    .await;
    bot.sim().switch_on(Fault::Slow { millis: 40 });
    let before = bot.sim().count_requests("GET /vm/v3/host");
    bot.cycles(4).await;
    let after = bot.sim().count_requests("GET /vm/v3/host");
    assert!(after - before <= 6, "four cycles, and one before and one after: {}", after - before);
}

#[tokio::test]
async fn people_who_ask_for_plans_at_one_time_share_looks() {
    let bot = Bot::start_with(World::small(), |settings| {
        settings.mode = Mode::Off;
        settings.interval = Duration::from_secs(3600);
        settings.watch = None;
    })
    .await;
    bot.balance(Some("1")).await.unwrap();
    bot.sim().switch_on(Fault::Slow { millis: 100 });
    let looks = || bot.sim().count_requests("GET /vm/v3/host");
    let before = looks();
    let asked = (0..8).map(|_| bot.balance(Some("1")));
    for proposed in futures::future::join_all(asked).await {
        assert!(matches!(proposed, Ok(Balanced::Proposed(_))), "{proposed:?}");
    }
    assert!((1..=3).contains(&(looks() - before)), "{} looks for eight people", looks() - before);
    let before = looks();
    bot.balance(Some("1")).await.unwrap();
    assert!(looks() > before, "a look that was over when somebody asked tells nothing new");
}

#[tokio::test]
async fn a_plan_made_while_a_migration_ended_is_not_used() {
    let platform = Platform::start(World::small()).await;
    platform.sim.rule(Rule::times(Fault::Slow { millis: 300 }, 1).only("GET /vm/v3/host"));
    let bot = Bot::on(platform, |_| {}, |_| {}).await;
    bot.until("it is looking", |bot| bot.sim().count_requests("GET /vm/v3/host") > 0).await;
    bot.platform.minutes_pass(1);
    let entry = bot.store().intend(platform::intent(VmId(1009), NodeId(11))).unwrap();
    let ended = bot.platform.clock.now();
    bot.store().close(entry.id, Outcome::Dropped, None, ended).unwrap();
    let proposal = bot.pending().await;
    assert!(proposal.taken_at >= ended, "{} is from before", proposal.taken_at);
}

#[tokio::test]
async fn vmmanager_is_said_to_be_away_once_and_back_once() {
    let mut bot = Bot::start(World::small(), Mode::Off).await;
    bot.cycles(1).await;
    bot.sim().switch_on(Fault::Away);
    bot.until_status("it is away", |status| status.vmmanager_away.is_some()).await;
    bot.cycles(2).await;
    let status = bot.handle.status().await.unwrap();
    assert!(status.last_cycle.unwrap().trouble.is_some());
    assert!(status.picture.is_some(), "the last picture is still there");
    assert!(matches!(bot.balance(None).await, Err(Refused::Unable(Trouble::VmManager(_)))));
    bot.sim().heal();
    bot.until_status("it is back", |status| status.vmmanager_away.is_none()).await;
    bot.cycles(2).await;
    let alerts = bot.platform.alerts();
    assert!(
        matches!(alerts.as_slice(), [Alert::VmManagerAway { .. }, Alert::VmManagerBack { .. }]),
        "{alerts:?}"
    );
}

#[tokio::test]
async fn answers_that_make_no_sense_are_not_acted_on_and_the_next_ones_are() {
    for fault in [
        Fault::EmptyLists,
        Fault::HalfLists,
        Fault::UnreadableRows,
        Fault::Html,
        Fault::ErrorInOk { code: 5000, msg: "internal error".into() },
        Fault::TornBody,
        Fault::Status { status: 500 },
        Fault::Unavailable,
    ] {
        let platform = Platform::start(World::small()).await;
        // A refused login is different: it is not repeated for ever.
        platform.sim.rule(Rule::always(fault.clone()).only("/vm/"));
        let bot = Bot::on(platform, |settings| settings.mode = Mode::Auto, |_| {}).await;
        bot.until(&format!("it has looked in spite of {fault:?}"), |bot| bot.sim().requests().len() > 12)
            .await;
        assert_eq!(bot.sim().orders(), [], "{fault:?}");
        bot.sim().heal();
        bot.until("it is relieved", |bot| bot.sim().world().nodes_above(70.0).is_empty()).await;
        assert_eq!(bot.sim().violations(), [], "{fault:?}");
    }
}

#[tokio::test]
async fn what_is_only_odd_does_not_keep_it_from_its_work() {
    for fault in [
        Fault::FilterBroken,
        Fault::TaskFilterBroken,
        Fault::ClockSkew { seconds: 7200 },
        Fault::Slow { millis: 10 },
        Fault::PageOf { rows: 3 },
        Fault::NoMigrateForm,
    ] {
        let platform = Platform::start(World::small()).await;
        platform.sim.switch_on(fault.clone());
        let bot = Bot::on(platform, |settings| settings.mode = Mode::Auto, |_| {}).await;
        bot.until("it is recorded", |bot| !bot.platform.history().is_empty()).await;
        let [entry] = bot.platform.history().try_into().unwrap();
        assert_eq!(entry.outcome().map(|(outcome, _)| outcome), Some(Outcome::Done), "{fault:?}");
    }
}

#[tokio::test]
async fn an_hour_without_vmmanager_ends_no_proposal_and_orders_nothing_twice() {
    let bot = Bot::start_paced(World::small(), Pace::Manual).await;
    let proposal = bot.pending().await;
    bot.approve(proposal.id, person(1)).await.unwrap();
    bot.until("it is ordered", |bot| !bot.sim().orders().is_empty()).await;
    bot.sim().switch_on(Fault::Away);
    bot.until_status("it is away", |status| status.vmmanager_away.is_some()).await;
    bot.platform.minutes_pass(60);
    bot.sim().finish_all();
    bot.sim().heal();
    let done = bot.done(proposal.id).await;
    assert_eq!(outcomes(&done)[0].0, Outcome::Done);
    assert_eq!(bot.sim().orders().len(), 1);
}

#[tokio::test]
async fn a_stop_leaves_the_running_migration_to_the_next_start() {
    let bot = Bot::start_paced(World::small(), Pace::Manual).await;
    let proposal = bot.pending().await;
    bot.approve(proposal.id, person(1)).await.unwrap();
    bot.until("it is ordered", |bot| !bot.sim().orders().is_empty()).await;
    let handle = bot.handle.clone();
    let platform = bot.stop().await;
    assert_eq!(handle.cancel(Stop::Only, person(1)).await, Err(Refused::Stopping));
    assert_eq!(platform.store.open_entries().unwrap().len(), 1);

    let bot = Bot::on(platform.restart(), |_| {}, |_| {}).await;
    bot.until("its step runs", |bot| {
        matches!(bot.platform.proposal(proposal.id).steps[0].state, StepState::Running { .. })
    })
    .await;
    assert_eq!(bot.balance(None).await, Err(Refused::Busy { proposal: proposal.id }));
    bot.sim().finish_all();
    let done = bot.done(proposal.id).await;
    assert_eq!(outcomes(&done)[0].0, Outcome::Done);
    assert_eq!(bot.sim().orders().len(), 1);
}

// ---- settings

#[tokio::test]
async fn plans_go_on_while_nobody_must_approve_them() {
    let bot = Bot::start(quiet(), Mode::Auto).await;
    let by = || person(1);
    let change = async |change| bot.handle.change(change, by()).await.unwrap();
    assert!(bot.plans_go_on().await);
    change(Change::Mode(Mode::Propose)).await;
    assert!(!bot.plans_go_on().await, "people approve plan by plan");
    let until = platform::noon() + chrono::TimeDelta::hours(2);
    change(Change::AskStanding { limits: Limits::default(), cluster: None, until }).await;
    assert!(!bot.plans_go_on().await, "it is not confirmed");
    let tag = bot.handle.standing().await.unwrap().swap_remove(0).tag.unwrap();
    change(Change::ConfirmStanding { tag }).await;
    assert!(bot.plans_go_on().await);
    bot.platform.minutes_pass(121);
    assert!(!bot.plans_go_on().await, "its time is over");
    change(Change::Mode(Mode::Auto)).await;
    assert!(bot.plans_go_on().await);
    change(Change::Mode(Mode::Off)).await;
    assert!(!bot.plans_go_on().await);
}

#[tokio::test]
async fn plans_go_on_in_the_hours_of_the_nightly_autopilot_alone() {
    // It is noon in the simulated world.
    for (hours, expected) in [("11:00-13:00", true), ("22:00-08:00", false)] {
        let nightly = Some(hours.parse().unwrap());
        let bot = Bot::start_with(quiet(), |settings| settings.autopilot = nightly).await;
        assert_eq!(bot.plans_go_on().await, expected, "{hours}");
    }
}

#[tokio::test]
async fn what_people_set_outlives_a_restart() {
    let bot = Bot::start(World::small(), Mode::Off).await;
    let by = || person(1);
    let until = platform::noon() + chrono::TimeDelta::hours(2);
    let exclude = Change::Exclude { node: "kvm-01".into(), direction: Direction::Source, until: Some(until) };
    assert_eq!(bot.handle.change(Change::DryRun(true), by()).await, Ok(Changed::Done));
    assert_eq!(bot.handle.change(Change::DryRun(true), by()).await, Ok(Changed::Already));
    assert_eq!(bot.handle.change(Change::Mode(Mode::Auto), by()).await, Ok(Changed::Done));
    let pause = Change::Pause { until: None, reason: Some("works on the network".into()) };
    assert_eq!(bot.handle.change(pause, by()).await, Ok(Changed::Done));
    let excluded = bot.handle.change(exclude, by()).await;
    assert_eq!(excluded, Ok(Changed::Nodes(vec![(NodeId(10), "kvm-01".into())])));

    let bot = Bot::on(bot.stop().await.restart(), |settings| settings.mode = Mode::Off, |_| {}).await;
    let status = bot.handle.status().await.unwrap();
    assert!(status.dry_run && status.mode == Mode::Auto);
    assert_eq!(status.pause.unwrap().reason.as_deref(), Some("works on the network"));
    assert_eq!(status.exclusions.len(), 1);
    assert!(status.picture.unwrap().plan.is_empty(), "the only source is closed");
    bot.platform.minutes_pass(120);
    assert_eq!(bot.handle.status().await.unwrap().exclusions, []);
    assert_eq!(bot.handle.change(Change::Resume { confirms_restored: true }, by()).await, Ok(Changed::Done));
    assert_eq!(
        bot.handle.change(Change::Resume { confirms_restored: true }, by()).await,
        Ok(Changed::Already)
    );
    let words: Vec<_> = bot.store().audit_log(10).unwrap().into_iter().map(|entry| entry.what).collect();
    assert_eq!(words, ["change"; 7]);
}

#[tokio::test]
async fn nodes_are_found_by_name_and_id_and_guessed_at() {
    let world = World::builder()
        .cluster("msk")
        .node(SimNode::new("kvm-01"))
        .node(SimNode::new("kvm-02"))
        .cluster("spb")
        .node(SimNode::new("kvm-02"))
        .vm(SimVm::new("web"))
        .build();
    let bot = Bot::start(world, Mode::Off).await;
    let exclude = async |node: &str| {
        let change = Change::Exclude { node: node.into(), direction: Direction::Both, until: None };
        bot.handle.change(change, person(1)).await
    };
    let include =
        async |node: &str| bot.handle.change(Change::Include { node: node.into() }, person(1)).await;
    let first = || Changed::Nodes(vec![(NodeId(10), "kvm-01".into())]);
    assert_eq!(exclude("10").await, Ok(first()));
    assert_eq!(exclude("kvm-01").await, Ok(first()));
    assert_eq!(bot.store().settings().unwrap().exclusions.len(), 1, "the newer in place of the older");
    assert_eq!(include("kvm-01").await, Ok(first()));
    assert_eq!(include("kvm-01").await, Ok(Changed::Already));
    assert_eq!(exclude("KVM-01").await, Ok(first()), "as /node finds it");
    let missed = async |node: &str| match exclude(node).await {
        Err(Refused::Missed(missed)) => missed.why,
        other => unreachable!("{other:?}"),
    };
    let MissedWhy::Several(choices) = missed("kvm-02").await else { unreachable!("in both clusters") };
    let choices: Vec<_> = choices.iter().map(|it| (it.id, it.cluster.as_deref())).collect();
    assert_eq!(choices, [(11, Some("msk")), (12, Some("spb"))]);
    let MissedWhy::Unknown { similar, .. } = missed("KVM-1").await else { unreachable!("no such node") };
    assert_eq!(similar.first().map(|it| it.name.as_str()), Some("kvm-01"));
    assert!(matches!(missed("zzz").await, MissedWhy::Unknown { similar, .. } if similar.is_empty()));
}

#[tokio::test]
async fn a_pattern_closes_and_opens_what_matches_at_that_moment() {
    let world = World::builder()
        .cluster("msk")
        .node(SimNode::new("kvm-01"))
        .node(SimNode::new("KVM-02"))
        .node(SimNode::new("db-01"))
        .vm(SimVm::new("web"))
        .build();
    let bot = Bot::start(world, Mode::Off).await;
    let change = async |change: Change| bot.handle.change(change, person(1)).await;
    let exclude =
        |node: &str| Change::Exclude { node: node.into(), direction: Direction::Target, until: None };
    let include = |node: &str| Change::Include { node: node.into() };
    let both = || Ok(Changed::Nodes(vec![(NodeId(10), "kvm-01".into()), (NodeId(11), "KVM-02".into())]));
    assert_eq!(change(exclude("kvm-*")).await, both());
    let closed = bot.store().settings().unwrap().exclusions;
    let closed: Vec<_> = closed.iter().map(|it| it.node.0.as_str()).collect();
    assert_eq!(closed, ["#10", "#11"], "each by its id: a node that comes later is not meant");
    assert_eq!(change(exclude("*VM-02")).await, Ok(Changed::Nodes(vec![(NodeId(11), "KVM-02".into())])));
    assert_eq!(change(include("KVM-*")).await, both());
    assert_eq!(change(include("KVM-*")).await, Ok(Changed::Already));
    let Err(Refused::Missed(missed)) = change(exclude("kvn-*")).await else {
        unreachable!("matches nothing")
    };
    let MissedWhy::Unknown { similar, .. } = missed.why else { unreachable!("matches nothing") };
    assert_eq!(similar.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["KVM-02", "kvm-01"]);
    assert_eq!(bot.store().settings().unwrap().exclusions, []);
    let reply_to = ReplyTo { chat: -100, thread: None, message: Some(5) };
    let rounds = bot.handle.maintain(vec!["KVM-*".into(), "kvm-01".into()], person(1), reply_to).await;
    let Ok(Maintained::Proposed(id)) = rounds else { unreachable!("{rounds:?}") };
    let round = bot.store().proposal(id).unwrap().unwrap().round.unwrap();
    assert_eq!(round.nodes.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["kvm-01", "KVM-02"]);
}

#[tokio::test]
async fn a_quiet_cycle_is_one_line_of_the_log() {
    let log = Log::default();
    // With one subscriber alone, tracing asks only the thread that comes to a line first whether anybody listens, and
    // that may be another test's.
    let _other = tracing::Dispatch::new(Log::default().subscriber());
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let bot = Bot::start_with(quiet(), |settings| settings.interval = Duration::from_secs(3600)).await;
    bot.until_status("a cycle is done", |status| status.last_cycle.is_some()).await;
    bot.stop().await;
    let text = log.text();
    let lines: Vec<_> = text.lines().collect();
    let [line] = lines.as_slice() else { panic!("one line: {text}") };
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["span"]["name"], "cycle");
    let fields = line["fields"].as_object().unwrap();
    assert!(fields["took_ms"].is_u64(), "{line}");
    let figures = ["nodes", "vms", "overloaded", "planned"].map(|field| fields[field].as_u64());
    assert_eq!(figures, [Some(2), Some(2), Some(0), Some(0)]);
    assert_eq!(
        fields.keys().collect::<Vec<_>>(),
        ["message", "nodes", "overloaded", "planned", "took_ms", "vms"]
    );
}

#[tokio::test]
async fn twenty_questions_at_once_cost_one_look_and_wait_for_none() {
    let bot = Bot::start_with(two_overloaded(), |settings| {
        settings.interval = Duration::from_secs(3600);
        settings.watch = None;
    })
    .await;
    // Whoever asks for the status this early may look too, and that look would end later.
    bot.pending().await;
    let looks = || bot.sim().count_requests("GET /vm/v3/host");
    let ask = async || {
        let asked = (0..20).map(|_| bot.handle.glance());
        let answers = tokio::time::timeout(Duration::from_secs(2), futures::future::join_all(asked)).await;
        let answers: Result<Vec<_>, _> = answers.expect("nobody waits for a look").into_iter().collect();
        answers.unwrap().into_iter().map(|status| status.picture.unwrap()).collect::<Vec<_>>()
    };
    let (before, first) = (looks(), ask().await);
    assert_eq!(looks(), before, "what was just seen is not looked at again");
    bot.platform.minutes_pass(1);
    bot.sim().switch_on(Fault::Slow { millis: 3000 });
    let asked = ask().await;
    let of = |picture: &vm_balancer::scheduler::Picture| picture.snapshot.taken_at;
    assert!(asked.iter().all(|picture| of(picture) == of(&first[0])), "the last picture, whatever its age");
    assert!(asked.iter().all(|picture| Arc::ptr_eq(&picture.snapshot, &asked[0].snapshot)), "shared");
    bot.sim().heal();
    bot.until_status("the look behind them is over", |status| {
        status.picture.as_ref().is_some_and(|picture| of(picture) > of(&first[0]))
    })
    .await;
    assert_eq!(looks(), before + 1, "one look for all of them");
    let last = ask().await;
    assert!(of(&last[0]) > of(&first[0]));
    assert!(!last[0].plan.is_empty() && Arc::ptr_eq(&last[0].plan, &first[0].plan), "no question plans");
}

#[tokio::test]
async fn what_is_closed_shows_at_once_without_a_look() {
    let bot = Bot::start_with(two_overloaded(), |settings| {
        settings.interval = Duration::from_secs(3600);
        settings.watch = None;
    })
    .await;
    bot.until_status("the first cycle is over", |status| status.last_cycle.is_some()).await;
    let looks = bot.sim().count_requests("GET /vm/v3/host");
    let before = bot.handle.glance().await.unwrap().picture.unwrap();
    let close = Change::Exclude { node: "kvm-03".into(), direction: Direction::Both, until: None };
    bot.handle.change(close, person(1)).await.unwrap();
    let after = bot.handle.glance().await.unwrap().picture.unwrap();
    assert_eq!(after.policy.exclusions.len(), before.policy.exclusions.len() + 1);
    assert_eq!(bot.sim().count_requests("GET /vm/v3/host"), looks);
}

#[tokio::test]
async fn a_vmmanager_that_hangs_at_the_start_delays_no_status() {
    let platform = Platform::start(World::small()).await;
    platform.sim.switch_on(Fault::Slow { millis: 60_000 });
    let bot = Bot::on(platform, |_| {}, |_| {}).await;
    let status = tokio::time::timeout(Duration::from_secs(5), bot.handle.status()).await;
    let status = status.expect("an answer in time").unwrap();
    assert!(status.picture.is_none() && status.vmmanager_away.is_none());
}

/// What is logged at INFO and above, as JSON.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn subscriber(&self) -> impl tracing::Subscriber + use<> {
        let log = self.clone();
        tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || log.clone())
            .finish()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A running scheduler over a simulated platform.
struct Bot {
    platform: Platform,
    handle: Handle,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Bot {
    async fn start(world: World, mode: Mode) -> Self {
        Self::start_with(world, |settings| settings.mode = mode).await
    }

    /// Whether what a plan leaves over follows at once, by the policy of the newest picture.
    async fn plans_go_on(&self) -> bool {
        self.handle.look().await.unwrap().policy.goes_on(ClusterId(1))
    }

    async fn start_with(world: World, change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_all(world, change, |_| {}).await
    }

    async fn start_paced(world: World, pace: Pace) -> Self {
        let platform = Platform::start_with(world, Options { pace, ..Options::default() }).await;
        Self::on(platform, |_| {}, |_| {}).await
    }

    async fn start_all(
        world: World,
        schedule: impl FnOnce(&mut Settings),
        balance: impl FnOnce(&mut vm_balancer::balancer::Settings),
    ) -> Self {
        Self::on(Platform::start(world).await, schedule, balance).await
    }

    async fn on(
        platform: Platform,
        schedule: impl FnOnce(&mut Settings),
        balance: impl FnOnce(&mut vm_balancer::balancer::Settings),
    ) -> Self {
        let mut settings = Settings { interval: Duration::from_millis(20), ..Settings::default() };
        schedule(&mut settings);
        let (scheduler, handle) = Scheduler::new(settings, None, platform.balancer_with(balance));
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(scheduler.run(shutdown.clone()));
        Self { platform, handle, shutdown, running }
    }

    async fn stop(self) -> Platform {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.expect("it stops in time").unwrap();
        self.platform
    }

    fn sim(&self) -> &Running {
        &self.platform.sim
    }

    fn store(&self) -> &Store {
        &self.platform.store
    }

    /// Every proposal, oldest first.
    fn all(&self) -> Vec<(ProposalId, ProposalState)> {
        let recent = self.store().recent_proposals(1000).unwrap();
        recent.into_iter().rev().map(|proposal| (proposal.id, proposal.state)).collect()
    }

    fn pending_now(&self) -> Option<Proposal> {
        self.store().pending_of(ClusterId(1)).unwrap()
    }

    async fn pending(&self) -> Proposal {
        self.until("a proposal is pending", |bot| bot.pending_now().is_some()).await;
        self.pending_now().unwrap()
    }

    /// Approves what the proposal shows at this moment.
    async fn approve(&self, id: ProposalId, by: vm_balancer::model::Person) -> Result<Approved, Refused> {
        let shown = self.platform.proposal(id).tag();
        self.handle.approve(id, shown, When::Now, by).await
    }

    /// The answer to a press that comes too late.
    fn closed<T>(&self, proposal: ProposalId) -> Result<T, Refused> {
        Err(Refused::NotPending { proposal, state: self.platform.proposal(proposal).state })
    }

    async fn done(&self, id: ProposalId) -> Proposal {
        self.until_state(id, |state| matches!(state, ProposalState::Done { .. })).await;
        self.platform.proposal(id)
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        until(what, || async { holds(self) }).await;
    }

    async fn until_state(&self, id: ProposalId, holds: impl Fn(&ProposalState) -> bool) {
        self.until("the proposal gets there", |bot| holds(&bot.platform.proposal(id).state)).await;
    }

    async fn until_status(&self, what: &str, holds: impl Fn(&vm_balancer::scheduler::Status) -> bool) {
        until(what, || async { holds(&self.handle.status().await.unwrap()) }).await;
    }

    /// Waits for this many whole cycles, by the VM lists that they read. Their effects may take a moment longer.
    async fn cycles(&self, count: usize) {
        let reads = || self.sim().count_requests("GET /vm/v3/host");
        let before = reads();
        self.until("cycles went by", |_| reads() > before + count).await;
    }

    async fn balance(&self, cluster: Option<&str>) -> Result<Balanced, Refused> {
        let reply_to = ReplyTo { chat: -100, thread: None, message: Some(5) };
        self.handle.balance(cluster.map(str::to_owned), asker(), reply_to).await
    }
}

/// The person who sends `/balance` in these tests.
fn asker() -> vm_balancer::model::Person {
    person(1)
}

/// A bot that has proposed both steps of [`two_overloaded`], and no further cycle is near.
async fn two_steps() -> (Bot, Proposal) {
    let rarely = |settings: &mut Settings| settings.interval = Duration::from_secs(3600);
    let bot = Bot::start_all(two_overloaded(), rarely, |balancer| balancer.policy.migrations_max = 10).await;
    let proposal = bot.pending().await;
    (bot, proposal)
}
