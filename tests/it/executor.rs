//! Carrying out a plan: one test for each failure of VMmanager.

use std::{collections::BTreeSet, time::Duration};

use tokio_util::sync::CancellationToken;
use vm_balancer::{
    balancer::{NotCarriedOut, VmBalancer},
    event::Alert,
    executor,
    model::{ClusterId, HistoryBefore, Mib, NodeId, ProposalId, VmId},
    planner::{ExclusionWhy, RestWhy},
    sandbox::vmmanager::{Fault, Options, Pace, Profile, Rule, Scale, SimVm, World},
    store::{
        Approval, Approver, JournalEntry, JournalState, Outcome, Proposal, ProposalState, Step, StepState,
    },
};

use crate::{
    platform::{PATIENCE, Platform, english, intent, noon, outcome, outcomes, person, until},
    worlds::{pairs, three_full_nodes},
};

// ---- the way it should be

#[tokio::test]
async fn a_plan_is_carried_out_and_remembered() {
    let platform = Platform::start(World::small()).await;
    let proposal = platform.carry_out(&platform.balancer()).await;
    assert_eq!(outcome(&proposal), (Outcome::Done, String::new()));
    assert!(matches!(proposal.state, ProposalState::Done { by: Approver::Auto, .. }));
    let [entry] = platform.history().try_into().unwrap();
    assert_eq!((entry.approver, entry.proposal), (Approver::Auto, proposal.id));
    assert!(matches!(entry.state, JournalState::Closed { outcome: Outcome::Done, ordered: true, .. }));
    assert_eq!(platform.sim.node_of(entry.vm), Some(entry.target));
    assert_eq!(platform.sim.orders().len(), 1);
    assert_eq!(platform.sim.violations(), []);
    assert!(platform.dir.path().join("export.jsonl").exists(), "an export after each finished plan");
}

#[tokio::test]
async fn a_long_plan_keeps_every_rule_with_several_migrations_side_by_side() {
    let world = World::generate(&Scale { seed: 3, ..Scale::default() });
    let platform = Platform::start(world).await;
    let balancer = platform.balancer_with(|settings| {
        settings.policy.migrations_max = 100;
        settings.policy.parallel_max = 3;
    });
    let proposal = platform.carry_out(&balancer).await;
    assert!(proposal.steps.len() > 5);
    assert!(
        outcomes(&proposal).iter().all(|(outcome, _)| *outcome == Outcome::Done),
        "{:?}",
        outcomes(&proposal)
    );
    assert_eq!(platform.sim.world().nodes_above(70.0), []);
    assert_eq!(platform.sim.violations(), []);
}

#[tokio::test]
async fn a_proposal_that_nobody_approved_is_not_carried_out() {
    let platform = Platform::start(World::small()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    platform.store.update_proposal(proposal.id, |proposal| proposal.state = ProposalState::Pending).unwrap();
    let proposal = platform.finish(&balancer, proposal.id).await;
    assert_eq!(proposal.state, ProposalState::Pending);
    assert_eq!(platform.sim.orders(), []);
}

#[tokio::test]
async fn in_a_dry_run_there_is_no_executor() {
    let platform = Platform::start(World::small()).await;
    let stop = CancellationToken::new();
    assert!(platform.balancer_with(|settings| settings.dry_run = true).executor(&stop).unwrap().is_none());
    let balancer = platform.balancer();
    platform.store.update_settings(|settings| settings.dry_run = Some(true)).unwrap();
    assert!(balancer.executor(&stop).unwrap().is_none());
    platform.store.update_settings(|settings| settings.dry_run = Some(false)).unwrap();
    let forced = platform.balancer_with(|settings| settings.dry_run_forced = true);
    assert!(forced.executor(&stop).unwrap().is_none(), "--dry-run cannot be lifted by chat");
}

#[tokio::test]
async fn a_single_cycle_carries_everything_out_and_reports() {
    let platform = Platform::start(World::small()).await;
    let report = platform.balancer().run_once(&CancellationToken::new()).await.unwrap();
    assert_eq!(report.outcomes[&ClusterId(1)].len(), 1);
    assert!(!report.dry_run && !report.has_failures());
    let again = platform.balancer().run_once(&CancellationToken::new()).await.unwrap();
    assert!(again.plan.is_empty());
    assert_eq!(platform.sim.orders().len(), 1);
}

#[tokio::test]
async fn a_single_dry_cycle_touches_nothing() {
    let platform = Platform::start(World::small()).await;
    let balancer = platform.balancer_with(|settings| settings.dry_run_forced = true);
    let report = balancer.run_once(&CancellationToken::new()).await.unwrap();
    assert!(report.dry_run && !report.plan.is_empty() && report.outcomes.is_empty());
    assert_eq!(platform.sim.count_requests("POST /vm/"), 0);
    assert_eq!(platform.store.open_proposals().unwrap(), []);
}

// ---- the order

#[tokio::test]
async fn an_order_whose_answer_never_came_is_looked_for_and_never_repeated() {
    let gateways = [502, 504].map(|status| Fault::OrderGateway { status });
    let taken = [503, 429, 400].map(|status| Fault::OrderTakenUnder { status });
    for fault in [Fault::OrderReset].into_iter().chain(gateways).chain(taken) {
        let platform = Platform::start(World::small()).await;
        platform.sim.switch_on(fault.clone());
        let proposal = platform.carry_out(&platform.balancer()).await;
        assert_eq!(outcome(&proposal).0, Outcome::Done, "{fault:?}");
        assert_eq!(platform.sim.count_requests("POST /vm/"), 1, "{fault:?}");
        assert_eq!(platform.sim.violations(), []);
    }
}

#[tokio::test]
async fn an_order_that_runs_though_its_answer_names_a_dead_token_ends_by_where_the_vm_is() {
    for (status, code) in [(500, 1000), (502, 3001), (500, 3080), (200, 1000)] {
        let platform = Platform::start(World::small()).await;
        platform.sim.rule(on_orders(Fault::FalseError { status, code }));
        let balancer = platform.balancer();
        let proposal = platform.carry_out(&balancer).await;
        assert_eq!(outcome(&proposal).0, Outcome::Done, "{status}, {code}");
        assert_eq!(platform.sim.count_requests("POST /vm/"), 1, "{status}, {code}");
        assert_eq!(platform.sim.orders().len(), 1, "{status}, {code}");
        assert_eq!(platform.sim.violations(), []);
    }
}

#[tokio::test]
async fn an_order_that_never_arrived_is_dropped_and_does_not_count_as_a_failure() {
    let platform = Platform::start(World::small()).await;
    platform.sim.rule(on_orders(Fault::Away));
    let balancer = platform.balancer();
    let proposal = platform.carry_out(&balancer).await;
    assert_eq!(outcome(&proposal), (Outcome::Dropped, "no answer to the order, and nothing began".into()));
    let [entry] = platform.history().try_into().unwrap();
    assert!(matches!(entry.state, JournalState::Closed { ordered: false, .. }));
    assert_eq!(balancer.policy().unwrap().resting.len(), 0);
    assert_eq!(platform.sim.orders(), []);
}

#[tokio::test]
async fn an_order_answered_without_a_task_number_is_followed_by_the_history() {
    let platform = Platform::start(World::small()).await;
    platform.sim.switch_on(Fault::OrderWithoutTask);
    let proposal = platform.carry_out(&platform.balancer()).await;
    assert_eq!(outcome(&proposal).0, Outcome::Done);
}

#[tokio::test]
async fn an_old_server_without_numbers_in_its_histories_is_believed_by_where_the_vm_is() {
    for fault in [None, Some(Fault::OrderReset)] {
        let platform =
            Platform::start_with(World::small(), Options { profile: Profile::Old, ..Options::default() })
                .await;
        if let Some(fault) = &fault {
            platform.sim.switch_on(fault.clone());
        }
        let proposal = platform.carry_out(&platform.balancer()).await;
        assert_eq!(outcome(&proposal).0, Outcome::Done, "{fault:?}");
        assert_eq!(platform.sim.orders().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_refused_history_drops_the_step() {
    let platform = Platform::start(World::small()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let refused = Fault::ErrorInOk { code: 5000, msg: "internal error".into() };
    platform.sim.rule(Rule::times(refused, 1).only("/history"));
    let (outcome, why) = outcome(&platform.finish(&balancer, proposal.id).await);
    assert_eq!(outcome, Outcome::Dropped, "{why}");
    insta::assert_snapshot!("a_refused_history", why);
    assert_eq!(platform.sim.orders(), [], "an old migration could not be told from this one");
}

#[tokio::test]
async fn without_histories_an_older_migration_is_not_taken_for_ours() {
    for fault in [None, Some(Fault::OrderWithoutTask), Some(Fault::OrderReset)] {
        let platform = Platform::start_with(World::small(), manual()).await;
        let balancer = platform.balancer();
        let proposal = platform.approved(&balancer).await;
        there_and_back(&platform, &proposal).await;
        // The function is back before the migration ends: the old row must not count.
        let missing = Fault::ErrorInOk { code: 1106, msg: "Request handler not found".into() };
        platform.sim.rule(Rule::times(missing, 1).only("/history"));
        if let Some(fault) = &fault {
            platform.sim.switch_on(fault.clone());
        }
        let followed = async {
            until("it is ordered", || async { !platform.sim.orders().is_empty() }).await;
            let asked = || platform.sim.count_requests("/vm/v3/task");
            let before = asked();
            // More than the window in which an invisible task is given up.
            until("it is watched", || async { asked() > before + 25 }).await;
            let open = platform.store.open_entries().unwrap();
            platform.sim.finish_all();
            open
        };
        let (proposal, open) = tokio::join!(platform.finish(&balancer, proposal.id), followed);
        assert_eq!(open.len(), 1, "{fault:?}: it runs all the time");
        assert_eq!(open[0].history_before, HistoryBefore::Unknown);
        assert_eq!(outcome(&proposal).0, Outcome::Done, "{fault:?}");
        assert_eq!(platform.sim.orders().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn of_several_new_rows_the_one_with_our_number_is_ours() {
    let platform = Platform::start_with(World::small(), manual()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let migration = &proposal.steps[0].migration;
    let (vm, source, target) = (migration.vm, migration.source, migration.target);
    // A foreign migration began after the history was read and before the order.
    let intent = JournalEntry { history_before: HistoryBefore::Empty, source, ..intent(vm, target) };
    let entry = platform.store.intend(intent).unwrap();
    there_and_back(&platform, &proposal).await;
    let ordered = platform.api().orders().migrate(vm, target, &|| true).await.unwrap();
    platform.store.record_order(entry.id, ordered.task, None, noon()).unwrap();
    // The list by the queue's number knows nothing; the history has two rows.
    platform.sim.rule(Rule::always(Fault::EmptyLists).only("consul_id"));
    let ends = async {
        until("its number is known", || async {
            platform.store.entry(entry.id).unwrap().unwrap().task_numbers().1.is_some()
        })
        .await;
        platform.sim.finish_all();
    };
    let (closed, ()) = tokio::join!(followed(&platform, entry.clone()), ends);
    assert!(matches!(closed.state, JournalState::Closed { outcome: Outcome::Done, .. }), "{closed:?}");
    let ours = platform.sim.tasks().into_iter().find(|task| Some(task.consul_id) == ordered.task).unwrap();
    assert_eq!(closed.task_numbers(), (ordered.task, Some(ours.id)));
    assert!(platform.sim.count_requests("/history") > 0, "it was found there");
}

#[tokio::test]
async fn a_service_that_stays_suspended_took_nothing() {
    let platform = Platform::start(World::small()).await;
    platform.sim.switch_on(Fault::OrderUnavailable);
    let balancer = platform.balancer();
    let proposal = platform.carry_out(&balancer).await;
    assert_eq!(outcome(&proposal).0, Outcome::Dropped);
    assert_eq!(balancer.policy().unwrap().resting.len(), 0);
    platform.sim.heal();
    assert_eq!(outcome(&platform.carry_out(&balancer).await).0, Outcome::Done);
    assert_eq!(platform.sim.orders().len(), 1);
}

#[tokio::test]
async fn a_service_that_is_suspended_for_a_moment_takes_the_order_once() {
    let platform = Platform::start(World::small()).await;
    platform.sim.arm_times(Fault::OrderUnavailable, 3);
    let proposal = platform.carry_out(&platform.balancer()).await;
    assert_eq!(outcome(&proposal).0, Outcome::Done);
    assert_eq!(platform.sim.orders().len(), 1);
}

#[tokio::test]
async fn an_order_that_is_put_off_is_sent_again_only_while_it_is_wanted() {
    for (unwanted, said) in UNWANTED {
        let mut platform = Platform::start(overloaded()).await;
        platform.sim.switch_on(Fault::OrderUnavailable);
        let balancer = many_migrations(&platform);
        let proposal = platform.approved(&balancer).await;
        let stop = CancellationToken::new();
        let executor = balancer.executor(&stop).unwrap().unwrap();
        let tries = || platform.sim.count_requests("POST /vm/");
        let meanwhile = async {
            until("it is put off", || async { tries() > 1 }).await;
            unwanted(&platform, &proposal, &stop);
            tries()
        };
        let carried = tokio::time::timeout(PATIENCE, executor.carry_out(proposal.id));
        let (carried, tried) = tokio::join!(carried, meanwhile);
        carried.expect("it ends at once").unwrap();
        assert_eq!(platform.sim.orders(), [], "{said}");
        assert!(tries() <= tried + 1, "{said}: only what was on its way is sent");
        assert_eq!(platform.store.open_entries().unwrap(), [], "{said}: nothing is in flight");
        let [entry] = platform.history().try_into().unwrap();
        let JournalState::Closed { outcome, detail: Some(detail), ordered: false, .. } = entry.state else {
            unreachable!("{said}: {:?}", entry.state)
        };
        assert_eq!((outcome, english(&detail).as_str()), (Outcome::Dropped, said));
        assert!(balancer.policy().unwrap().resting.is_empty());
        assert_eq!(platform.alerts(), []);
    }
}

#[tokio::test]
async fn an_order_that_is_put_off_is_dropped_where_the_world_has_moved_on() {
    let platform = Platform::start(World::small()).await;
    platform.sim.switch_on(Fault::OrderUnavailable);
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let target = proposal.steps[0].migration.target;
    let meanwhile = async {
        until("it is put off", || async { platform.sim.count_requests("POST /vm/") > 1 }).await;
        platform.sim.set_maintenance(target, true);
        platform.sim.heal();
    };
    let (proposal, ()) = tokio::join!(platform.finish(&balancer, proposal.id), meanwhile);
    let (outcome, why) = outcome(&proposal);
    assert_eq!(outcome, Outcome::Dropped, "{why}");
    assert_eq!(platform.sim.orders(), []);
}

#[tokio::test]
async fn a_missing_permission_ends_the_plan_and_says_nothing_of_the_vm() {
    let mut told = String::new();
    for fault in [Fault::ReadOnlyAdmin, Fault::WrongPassword] {
        let platform = Platform::start(overloaded()).await;
        let balancer = many_migrations(&platform);
        let proposal = platform.approved(&balancer).await;
        platform.sim.switch_on(fault.clone());
        if fault == Fault::WrongPassword {
            platform.sim.rule(Rule::times(Fault::DeadToken, 1).only("POST /vm/"));
        }
        let ended = outcomes(&platform.finish(&balancer, proposal.id).await);
        assert!(ended.len() > 1);
        told += &lines(&fault.kind(), &ended);
        let tries = platform.sim.count_requests("POST /vm/");
        assert!(tries <= 2, "{fault:?}: tried once, and once more with a new token, not {tries} times");
        assert_eq!(balancer.policy().unwrap().resting.len(), 0, "{fault:?}");
        assert_eq!(
            platform.store.failures_since(chrono::DateTime::UNIX_EPOCH, platform.clock.now()).unwrap(),
            [],
            "{fault:?}"
        );
    }
    insta::assert_snapshot!("a_missing_permission_ends_the_plan", told);
}

#[tokio::test]
async fn after_a_final_no_to_one_vm_the_next_one_is_tried() {
    let platform = Platform::start(overloaded()).await;
    platform
        .sim
        .rule(Rule { times: Some(1), ..on_orders(Fault::ErrorInOk { code: 4000, msg: "no way".into() }) });
    let balancer = many_migrations(&platform);
    let ended = outcomes(&platform.carry_out(&balancer).await);
    insta::assert_snapshot!("after_a_final_no_to_one_vm", lines("no way", &ended));
    let failures = platform.store.failures_since(chrono::DateTime::UNIX_EPOCH, platform.clock.now());
    assert_eq!(failures.unwrap(), [], "nothing ran, so nothing failed");
}

#[tokio::test]
async fn a_single_cycle_says_that_vmmanager_could_not_be_used() {
    let faults = [Fault::ReadOnlyAdmin, Fault::OrderUnavailable].map(Rule::always);
    let away = Rule::always(Fault::Status { status: 500 }).only("/history");
    let mut told = String::new();
    for rule in faults.into_iter().chain([away]) {
        let platform = Platform::start(World::small()).await;
        platform.sim.rule(rule.clone());
        let report = platform.balancer().run_once(&CancellationToken::new()).await.unwrap();
        let why = &report.not_carried_out[&ClusterId(1)];
        let NotCarriedOut::VmManager(why) = why else { unreachable!("{rule:?}: {why:?}") };
        told += &format!("{}: {}\n", rule.fault.kind(), english(why));
        assert!(!report.has_failures(), "{rule:?}: no migration failed");
    }
    insta::assert_snapshot!("a_single_cycle_says_that_vmmanager_could_not_be_used", told);
}

#[tokio::test]
async fn vmmanagers_own_form_has_a_say_where_it_exists() {
    let platform = Platform::start(World::small()).await;
    platform.sim.switch_on(Fault::FormSaysNo { node: None });
    let balancer = platform.balancer();
    let refused = platform.carry_out(&balancer).await;
    assert_eq!(outcome(&refused), (Outcome::Dropped, "VMmanager does not offer this target".into()));
    platform.sim.heal();
    platform.sim.switch_on(Fault::NoMigrateForm);
    assert_eq!(outcome(&platform.carry_out(&platform.balancer()).await).0, Outcome::Done);
    assert_eq!(platform.sim.orders().len(), 1);
}

#[tokio::test]
async fn a_target_that_the_form_refuses_is_learned_for_the_vm_and_then_for_the_target() {
    let stubborn = NodeId(11);
    let mut platform = Platform::start(overloaded()).await;
    // The planner likes the emptiest one best.
    platform.sim.edit(|world| world.vms.retain(|_, vm| vm.node != stubborn));
    platform.sim.switch_on(Fault::FormSaysNo { node: Some(stubborn) });
    let mut dropped = Vec::new();
    for _ in 0..7 {
        let balancer = platform.balancer();
        if balancer.look().await.unwrap().plan.is_empty() {
            break;
        }
        let proposal = platform.carry_out(&balancer).await;
        let step = &proposal.steps[0].migration;
        match outcome(&proposal).0 {
            Outcome::Done => assert_ne!(step.target, stubborn),
            Outcome::Dropped => dropped.push(step.vm),
            other => unreachable!("{other:?}"),
        }
        // What is learned outlives the process.
        drop(balancer);
        platform = platform.restart();
        platform.minutes_pass(1);
    }
    assert_eq!(platform.sim.orders().len(), 2, "both VMs that had to move have moved");
    assert!(dropped.len() <= 2, "one for the VM, one for the target: {dropped:?}");
    let policy = platform.balancer().policy().unwrap();
    let closed = policy.exclusions.iter().any(|exclusion| exclusion.node.is_node(stubborn, ""));
    assert_eq!(closed, dropped.len() == 2);
    assert!(dropped.iter().all(|vm| policy.declined[vm].contains(&stubborn)), "{:?}", policy.declined);
    assert_eq!(platform.alerts(), []);
    platform.minutes_pass(60);
    assert_eq!(platform.balancer().policy().unwrap().declined.len(), 0, "then it is tried once more");
}

#[tokio::test]
async fn an_order_that_is_refused_is_no_failure_and_is_remembered_where_it_belongs() {
    let no_room = "Not enough space on the storage";
    let mut told = String::new();
    for (code, msg, rests, declined) in [
        (4000, no_room, false, true),
        (3035, "The host is locked by a backup", true, false),
        (3008, "PROXY-3008: Unexpected property", false, false),
        (4001, "The task queue is full", false, false),
    ] {
        let mut platform = Platform::start(World::small()).await;
        platform.sim.rule(on_orders(Fault::ErrorInOk { code, msg: msg.into() }));
        let balancer = platform.balancer();
        let proposal = platform.carry_out(&balancer).await;
        let (vm, target) = (proposal.steps[0].migration.vm, proposal.steps[0].migration.target);
        told += &lines(msg, &outcomes(&proposal));
        let policy = balancer.policy().unwrap();
        let rest = policy.resting.get(&vm).map(|rest| rest.why);
        assert_eq!(rest, rests.then_some(RestWhy::Busy), "{msg}");
        assert_eq!(policy.declined.get(&vm).is_some_and(|nodes| nodes.contains(&target)), declined, "{msg}");
        // Where no order is taken at all, automatic runs rest: it is said once.
        assert_eq!(balancer.orders_are_refused(noon()), !rests && !declined, "{msg}");
        assert_eq!(platform.alerts(), []);
        platform.sim.heal();
        if rests || declined {
            let next = platform.carry_out(&balancer).await;
            assert_ne!((next.steps[0].migration.vm, next.steps[0].migration.target), (vm, target), "{msg}");
            assert_eq!(outcomes(&next)[0].0, Outcome::Done, "{msg}");
        }
    }
    insta::assert_snapshot!("an_order_that_is_refused", told);
}

#[tokio::test]
async fn a_status_without_words_says_no_as_plainly() {
    for (status, rests) in [(409, true), (423, true), (404, false), (405, false)] {
        let mut platform = Platform::start(World::small()).await;
        platform.sim.rule(on_orders(Fault::Status { status }));
        let balancer = platform.balancer();
        let proposal = platform.carry_out(&balancer).await;
        let vm = proposal.steps[0].migration.vm;
        assert_eq!(outcome(&proposal).0, Outcome::Dropped, "{status}");
        let policy = balancer.policy().unwrap();
        let rest = policy.resting.get(&vm).map(|rest| rest.why);
        assert_eq!(rest, rests.then_some(RestWhy::Busy), "{status}");
        assert!(policy.declined.is_empty() && policy.exclusions.is_empty(), "{status}: {policy:?}");
        assert_eq!(balancer.orders_are_refused(noon()), !rests, "{status}");
        assert_eq!(platform.alerts(), []);
    }
}

// ---- the world between the plan and the order

#[tokio::test]
async fn a_step_that_no_longer_fits_is_dropped_with_its_reason() {
    let changes: [(&str, Change); 4] = [
        ("its target is in maintenance", |platform, target, _| platform.sim.set_maintenance(target, true)),
        ("the VM is gone", |platform, _, vm| platform.sim.remove_vm(vm)),
        ("the VM has a snapshot", |platform, _, vm| {
            platform.sim.edit(|world| world.vms.get_mut(&vm).unwrap().snapshots = 1)
        }),
        ("the VM is elsewhere", |platform, target, vm| {
            let other = if target == NodeId(11) { NodeId(12) } else { NodeId(11) };
            platform.sim.edit(|world| world.vms.get_mut(&vm).unwrap().node = other);
        }),
    ];
    let mut told = String::new();
    for (what, change) in changes {
        let platform = Platform::start(World::small()).await;
        let balancer = platform.balancer();
        let proposal = platform.approved(&balancer).await;
        let step = &proposal.steps[0].migration;
        change(&platform, step.target, step.vm);
        told += &lines(what, &outcomes(&platform.finish(&balancer, proposal.id).await));
        assert_eq!(platform.sim.orders(), [], "{what}");
        assert_eq!(platform.history(), [], "what was never intended is not in the journal");
    }
    insta::assert_snapshot!("a_step_that_no_longer_fits", told);
}

#[tokio::test]
async fn nothing_is_ordered_while_somebody_else_migrates() {
    let mut platform = Platform::start_with(World::small(), manual()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    // The VM is unknown, so no cluster is safe.
    platform.sim.foreign_migration(VmId(1009), NodeId(11), false).unwrap();
    until("the foreign task shows", || async { platform.sim.tasks().iter().any(|task| task.listed) }).await;
    let (outcome, why) = outcome(&platform.finish(&balancer, proposal.id).await);
    assert_eq!(outcome, Outcome::Dropped, "{why}");
    assert_eq!(platform.sim.orders(), []);
    let alerts = platform.alerts();
    assert!(matches!(alerts.as_slice(), [Alert::ForeignMigration { cluster: None, .. }]), "{alerts:?}");
    let held = balancer.look().await.unwrap();
    assert!(held.plan.is_empty() && held.snapshot.foreign.len() == 1);
    assert_eq!(platform.alerts(), [], "said once");
}

#[tokio::test]
async fn our_own_migrations_are_not_foreign() {
    let mut platform = Platform::start_with(World::small(), manual()).await;
    platform.sim.switch_on(Fault::OrderWithoutTask);
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let running = async {
        until("the task shows", || async { platform.sim.tasks().iter().any(|task| task.listed) }).await;
        assert_eq!(balancer.look().await.unwrap().snapshot.foreign, []);
        platform.sim.finish_all();
    };
    tokio::join!(platform.finish(&balancer, proposal.id), running);
    assert_eq!(platform.alerts(), []);
}

#[tokio::test]
async fn a_picture_that_lost_half_of_its_vms_is_not_acted_on_until_three_reads_agree() {
    let mut platform = Platform::start(overloaded()).await;
    let balancer = platform.balancer();
    assert!(!balancer.look().await.unwrap().plan.is_empty());
    platform.sim.switch_on(Fault::ShrunkList);
    let incomplete = async || {
        let picture = balancer.look().await.unwrap();
        let cluster = &picture.plan.clusters[0];
        (!cluster.incomplete.is_empty(), cluster.migrations.is_empty())
    };
    for _ in 0..5 {
        assert_eq!(incomplete().await, (true, true), "at one moment nothing agrees but with itself");
    }
    platform.minutes_pass(1);
    assert_eq!(incomplete().await, (true, true));
    platform.minutes_pass(1);
    assert!(!incomplete().await.0, "three reads running agree");
    let alerts = platform.alerts();
    assert!(
        matches!(alerts.as_slice(), [Alert::PictureShrank { vms_before: 10, vms_after: 5, .. }]),
        "{alerts:?}"
    );
}

#[tokio::test]
async fn a_picture_that_shrinks_under_a_running_plan_ends_it() {
    let world = World::generate(&Scale { seed: 3, ..Scale::default() });
    let mut platform = Platform::start(world).await;
    let balancer = many_migrations(&platform);
    let proposal = platform.approved(&balancer).await;
    platform.sim.switch_on(Fault::ShrunkList);
    let ended = outcomes(&platform.finish(&balancer, proposal.id).await);
    assert!(ended.len() > 3);
    let told: BTreeSet<_> = ended.iter().map(|(outcome, why)| format!("{outcome:?}: {why}\n")).collect();
    insta::assert_snapshot!("a_picture_that_shrinks", told.into_iter().collect::<String>());
    assert_eq!(platform.sim.orders(), []);
    assert_eq!(platform.alerts().len(), 1, "said once");
}

#[tokio::test]
async fn what_is_doubted_is_doubted_by_the_next_process_too() {
    let platform = Platform::start(overloaded()).await;
    assert!(!platform.balancer().look().await.unwrap().plan.is_empty());
    platform.sim.switch_on(Fault::ShrunkList);
    let mut platform = platform.restart();
    for left_to_agree in [2, 1, 0] {
        let report = platform.balancer().run_once(&CancellationToken::new()).await.unwrap();
        let is_doubted = !report.plan.clusters[0].incomplete.is_empty();
        assert_eq!(is_doubted, left_to_agree > 0, "{left_to_agree}");
        assert!(!is_doubted || report.plan.is_empty());
        platform = platform.restart();
        platform.minutes_pass(1);
    }
}

#[tokio::test]
async fn our_own_migration_that_ends_during_a_look_is_not_foreign() {
    let mut platform = Platform::start_with(World::small(), manual()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let looked = async {
        until("the task shows", || async { platform.sim.tasks().iter().any(|task| task.listed) }).await;
        let numbers = || platform.store.open_entries().unwrap().first().map(JournalEntry::task_numbers);
        until("its number is known", || async { numbers().is_some_and(|known| known.1.is_some()) }).await;
        // The list of tasks is there long before this one.
        platform.sim.rule(Rule::times(Fault::Slow { millis: 1500 }, 1).only("GET /vm/v3/cluster"));
        let lists = || platform.sim.count_requests("GET /vm/v3/cluster");
        let before = lists();
        let ends = async {
            until("all lists are asked for", || async { lists() > before }).await;
            platform.sim.finish_all();
            until("it is closed", || async { platform.store.open_entries().unwrap().is_empty() }).await;
        };
        tokio::join!(balancer.look(), ends).0.unwrap().snapshot.foreign.clone()
    };
    let (_, foreign) = tokio::join!(platform.finish(&balancer, proposal.id), looked);
    assert_eq!(foreign, []);
    assert_eq!(platform.alerts(), []);
}

// ---- the task

#[tokio::test]
async fn only_where_the_vm_is_decides_how_it_ended() {
    let mut told = String::new();
    for fault in [
        Fault::TaskNeverShows,
        Fault::TaskLost { moves: true },
        Fault::TaskLost { moves: false },
        Fault::CompleteWithoutMove,
        Fault::libvirt_failure(),
        Fault::Deferred { millis: 50, reason: "busy".into() },
        Fault::VmVanishes,
        Fault::TargetVanishes,
    ] {
        let platform = Platform::start(World::small()).await;
        platform.sim.switch_on(fault.clone());
        told += &lines(&format!("{fault:?}"), &outcomes(&platform.carry_out(&platform.balancer()).await));
        assert_eq!(platform.sim.orders().len(), 1, "{fault:?}");
        assert_eq!(platform.store.open_entries().unwrap(), [], "{fault:?}");
    }
    insta::assert_snapshot!("only_where_the_vm_is_decides_how_it_ended", told);
}

#[tokio::test]
async fn a_task_that_ends_with_an_unknown_word_is_judged_by_where_the_vm_is() {
    let mut told = String::new();
    for (word, moves) in
        [("success", true), ("done", false), ("", true), ("", false), ("retired", true), ("retired", false)]
    {
        let platform = Platform::start(World::small()).await;
        platform.sim.switch_on(Fault::EndsWith { word: word.into(), moves });
        let what = format!("“{word}”, {}", if moves { "and it moves" } else { "and it stays" });
        told += &lines(&what, &outcomes(&platform.carry_out(&platform.balancer()).await));
        assert_eq!(platform.store.open_entries().unwrap(), []);
    }
    insta::assert_snapshot!("a_task_that_ends_with_an_unknown_word", told);
}

#[tokio::test]
async fn an_order_whose_task_shows_late_stays_open_until_it_is_seen_or_the_vm_has_moved() {
    // Three times as long as an invisible task is looked for.
    let task_delay = executor::Settings::short().search_window * 3;
    for fault in [None, Some(Fault::libvirt_failure()), Some(Fault::TaskNeverShows)] {
        let options = Options { task_delay, ..Options::default() };
        let platform = Platform::start_with(World::small(), options).await;
        if let Some(fault) = &fault {
            platform.sim.switch_on(fault.clone());
        }
        let ended = outcome(&platform.carry_out(&platform.balancer()).await);
        let expected = if fault == Some(Fault::libvirt_failure()) { Outcome::Failed } else { Outcome::Done };
        assert_eq!(ended.0, expected, "{fault:?}: {}", ended.1);
    }
}

#[tokio::test]
async fn a_number_alone_makes_no_task_ours_after_a_restore_of_vmmanager() {
    let platform = Platform::start_with(World::small(), manual()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    there_and_back(&platform, &proposal).await;
    platform.sim.restore_from_backup();
    let migration = proposal.steps[0].migration.clone();
    let restored = async {
        let numbers = || platform.store.open_entries().unwrap().first().map(JournalEntry::task_numbers);
        until("its number is known", || async { numbers().is_some_and(|known| known.1.is_some()) }).await;
        let known = numbers();
        platform.sim.restore_from_backup();
        let other = platform.sim.world().vms.values().find(|vm| vm.id != migration.vm).unwrap().id;
        let elsewhere = if migration.target == NodeId(11) { NodeId(12) } else { NodeId(11) };
        platform.sim.foreign_migration(other, elsewhere, true).unwrap();
        until("it shows", || async { platform.sim.tasks().iter().any(|task| task.listed) }).await;
        let task = platform.sim.tasks().remove(0);
        assert_eq!(known, Some((Some(task.consul_id), Some(task.id))), "the same numbers");
        assert_eq!(balancer.look().await.unwrap().snapshot.foreign.len(), 1, "it is not ours");
        platform.sim.finish_all();
    };
    let (proposal, ()) = tokio::join!(platform.finish(&balancer, proposal.id), restored);
    let lost = "the task vanished; the VM is on its source";
    assert_eq!(outcome(&proposal), (Outcome::Lost, lost.into()));
    // Of an order without an answer the history tells nothing then: where the VM is counts.
    let intent = JournalEntry {
        history_before: HistoryBefore::UpTo(99_000),
        ..intent(migration.vm, migration.target)
    };
    let entry = platform.store.intend(intent).unwrap();
    let closed = followed(&platform, entry).await;
    assert!(matches!(closed.state, JournalState::Closed { outcome: Outcome::Dropped, .. }), "{closed:?}");
}

#[tokio::test]
async fn an_order_without_an_answer_is_followed_although_its_history_began_anew() {
    let platform = Platform::start_with(World::small(), manual()).await;
    let (vm, target) = (VmId(1000), NodeId(11));
    // Read before VMmanager was restored, whose histories count from far below since.
    for (number, before) in [HistoryBefore::UpTo(99_000), HistoryBefore::UpTo(7_999)].into_iter().enumerate()
    {
        let source = platform.sim.node_of(vm).unwrap();
        let target = if source == target { NodeId(10) } else { target };
        let intent = JournalEntry { history_before: before, source, ..intent(vm, target) };
        let entry = platform.store.intend(intent).unwrap();
        platform.api().orders().migrate(vm, target, &|| true).await.unwrap();
        let ends = async {
            let asked = || platform.sim.count_requests("/history");
            let started = asked();
            // More than the window in which an order without a trace is given up.
            until("it is watched", || async { asked() > started + 25 }).await;
            assert_eq!(platform.store.open_entries().unwrap().len(), 1, "{before:?}: it runs");
            platform.sim.finish_all();
        };
        let (closed, ()) = tokio::join!(followed(&platform, entry), ends);
        assert!(
            matches!(closed.state, JournalState::Closed { outcome: Outcome::Done, ordered: true, .. }),
            "{closed:?}"
        );
        assert_eq!(platform.sim.orders().len(), number + 1, "it is not sent again");
    }
}

#[tokio::test]
async fn a_failed_vm_rests_and_a_lost_one_does_not() {
    let platform = Platform::start(World::small()).await;
    let balancer = platform.balancer();
    platform.sim.arm(Fault::libvirt_failure());
    let failed = platform.carry_out(&balancer).await.steps[0].migration.vm;
    platform.sim.arm(Fault::TaskLost { moves: false });
    let lost = platform.carry_out(&balancer).await.steps[0].migration.vm;
    assert_ne!(failed, lost, "the failed one is left alone");
    let resting = balancer.policy().unwrap().resting;
    assert_eq!(
        resting.into_iter().map(|(vm, rest)| (vm, rest.why)).collect::<Vec<_>>(),
        [(failed, RestWhy::Failed)]
    );
    platform.minutes_pass(24 * 60);
    assert_eq!(balancer.policy().unwrap().resting.len(), 0);
}

#[tokio::test]
async fn a_migration_that_takes_too_long_is_said_to_be_slow_and_stays_watched() {
    let platform = Platform::start(World::small()).await;
    platform.sim.switch_on(Fault::RunsForever);
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let watched = async {
        let slow = || platform.proposal(proposal.id).steps[0].state.clone();
        until("it runs", || async { matches!(slow(), StepState::Running { slow: false, .. }) }).await;
        platform.minutes_pass(61);
        until("it is slow", || async { matches!(slow(), StepState::Running { slow: true, .. }) }).await;
        until("it is taken", || async { !platform.sim.orders().is_empty() }).await;
        platform.sim.finish_all();
    };
    let (proposal, ()) = tokio::join!(platform.finish(&balancer, proposal.id), watched);
    assert_eq!(outcome(&proposal).0, Outcome::Done);
}

#[tokio::test]
async fn vmmanager_may_go_away_and_forget_us_while_a_migration_runs() {
    let platform = Platform::start_with(World::small(), manual()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let away = async {
        until("it is ordered", || async { !platform.sim.orders().is_empty() }).await;
        for fault in [
            Fault::Away,
            Fault::Status { status: 500 },
            Fault::Html,
            Fault::ErrorInOk { code: 5000, msg: "no".into() },
            Fault::Unavailable,
        ] {
            platform.sim.switch_on(fault);
            let before = platform.sim.requests().len();
            until("it asked again", || async { platform.sim.requests().len() > before + 3 }).await;
            platform.sim.heal();
        }
        platform.sim.end_sessions();
        platform.sim.finish_all();
    };
    let (proposal, ()) = tokio::join!(platform.finish(&balancer, proposal.id), away);
    assert_eq!(outcome(&proposal).0, Outcome::Done);
    assert_eq!(platform.sim.orders().len(), 1);
}

#[tokio::test]
async fn vmmanager_away_before_the_order_drops_the_step() {
    let platform = Platform::start(World::small()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    platform.sim.switch_on(Fault::Away);
    let (outcome, why) = outcome(&platform.finish(&balancer, proposal.id).await);
    assert_eq!(outcome, Outcome::Dropped);
    assert!(why.contains("VMmanager: no answer to"), "{why}");
}

// ---- people and the end of the process

#[tokio::test]
async fn cancel_lets_the_running_migration_end_and_drops_the_rest() {
    let platform = Platform::start_with(overloaded(), manual()).await;
    let balancer = many_migrations(&platform);
    let proposal = platform.approved(&balancer).await;
    let cancelled = async {
        until("the first is ordered", || async { !platform.sim.orders().is_empty() }).await;
        let cancel = Approval { by: person(7), at: noon() };
        platform.store.update_proposal(proposal.id, |proposal| proposal.cancel = Some(cancel)).unwrap();
        platform.sim.finish_all();
    };
    let (proposal, ()) = tokio::join!(platform.finish(&balancer, proposal.id), cancelled);
    let ended = outcomes(&proposal);
    assert_eq!(ended[0].0, Outcome::Done);
    assert_eq!(ended[1], (Outcome::Dropped, "cancelled by person 7 (7)".into()));
    assert_eq!(platform.sim.orders().len(), 1);
}

#[tokio::test]
async fn a_dry_run_that_is_switched_on_stops_a_running_plan() {
    let platform = Platform::start_with(overloaded(), manual()).await;
    let balancer = many_migrations(&platform);
    let proposal = platform.approved(&balancer).await;
    let switched = async {
        until("the first is ordered", || async { !platform.sim.orders().is_empty() }).await;
        platform.store.update_settings(|settings| settings.dry_run = Some(true)).unwrap();
        platform.sim.finish_all();
    };
    tokio::join!(platform.finish(&balancer, proposal.id), switched);
    assert_eq!(platform.sim.orders().len(), 1);
}

#[tokio::test]
async fn what_runs_when_everything_stops_is_picked_up_at_the_next_start() {
    let platform = Platform::start_with(overloaded(), manual()).await;
    let balancer = many_migrations(&platform);
    let proposal = platform.approved(&balancer).await;
    let stop = CancellationToken::new();
    let executor = balancer.executor(&stop).unwrap().unwrap();
    let stopped = async {
        until("the first is ordered", || async { !platform.store.open_entries().unwrap().is_empty() }).await;
        until("it is taken", || async { !platform.sim.orders().is_empty() }).await;
        stop.cancel();
    };
    let (carried, ()) =
        tokio::join!(tokio::time::timeout(PATIENCE, executor.carry_out(proposal.id)), stopped);
    carried.expect("it leaves at once").unwrap();
    assert_eq!(platform.store.open_entries().unwrap().len(), 1, "left open");
    drop((executor, balancer));

    let platform = platform.restart();
    let balancer = many_migrations(&platform);
    let watcher = balancer.watcher(&CancellationToken::new());
    let left = watcher.left_open().unwrap();
    assert_eq!((left.entries.len(), left.proposals.as_slice()), (1, [proposal.id].as_slice()));
    platform.sim.finish_all();
    tokio::time::timeout(PATIENCE, watcher.look_after(left)).await.unwrap();
    let ended = platform.proposal(proposal.id);
    assert!(matches!(ended.state, ProposalState::Done { .. }));
    assert_eq!(outcomes(&ended)[0].0, Outcome::Done);
    assert_eq!(outcomes(&ended)[1], (Outcome::Dropped, "the bot was restarted".into()));
    assert_eq!(platform.sim.orders().len(), 1);
}

#[tokio::test]
async fn an_approved_plan_whose_process_died_is_reported_and_not_resumed() {
    let platform = Platform::start(World::small()).await;
    let proposal = platform.approved(&platform.balancer()).await;
    let platform = platform.restart();
    let watcher = platform.balancer().watcher(&CancellationToken::new());
    let left = watcher.left_open().unwrap();
    assert_eq!(left.entries, []);
    watcher.look_after(left).await;
    let ended = platform.proposal(proposal.id);
    assert!(matches!(ended.state, ProposalState::Done { .. }));
    assert_eq!(outcome(&ended), (Outcome::Dropped, "the bot was restarted".into()));
    assert_eq!(platform.sim.orders(), []);
}

#[tokio::test]
async fn an_intent_of_a_dead_process_is_dropped_where_nothing_began() {
    let platform = Platform::start(World::small()).await;
    let entry = platform.store.intend(intent(VmId(1000), NodeId(11))).unwrap();
    let closed = followed(&platform, entry).await;
    assert!(
        matches!(closed.state, JournalState::Closed { outcome: Outcome::Dropped, ordered: false, .. }),
        "{closed:?}"
    );
}

#[tokio::test]
async fn an_intent_of_a_dead_process_is_watched_on_where_the_order_got_through() {
    let platform = Platform::start(World::small()).await;
    let before = HistoryBefore::Empty;
    assert_eq!(platform.api().history(VmId(1000)).await.unwrap().entries, []);
    let entry = platform
        .store
        .intend(JournalEntry { history_before: before, ..intent(VmId(1000), NodeId(11)) })
        .unwrap();
    platform.api().orders().migrate(VmId(1000), NodeId(11), &|| true).await.unwrap();
    let closed = followed(&platform, entry).await;
    assert!(
        matches!(closed.state, JournalState::Closed { outcome: Outcome::Done, ordered: true, .. }),
        "{closed:?}"
    );
}

// ---- failures

#[tokio::test]
async fn three_failures_take_a_node_out_for_an_hour_and_five_stop_the_cluster() {
    let mut platform = Platform::start(overloaded()).await;
    platform.sim.switch_on(Fault::libvirt_failure());
    let balancer = many_migrations(&platform);
    let mut failures = 0;
    while failures < 3 {
        failures += failed_in(&platform.carry_out(&balancer).await);
    }
    let out: Vec<_> = balancer
        .policy()
        .unwrap()
        .exclusions
        .into_iter()
        .filter(|exclusion| matches!(exclusion.why, ExclusionWhy::Failures { .. }))
        .map(|exclusion| exclusion.node.0)
        .collect();
    assert!(out.contains(&"#10".to_owned()), "the source of all three: {out:?}");
    assert!(balancer.look().await.unwrap().plan.is_empty(), "it is no source any more");
    let alerts = platform.alerts();
    assert!(
        alerts.iter().any(|alert| matches!(alert, Alert::NodeTakenOut { node: NodeId(10), failures: 3, .. }))
    );

    platform.minutes_pass(61);
    while failures < 5 {
        failures += failed_in(&platform.carry_out(&balancer).await);
    }
    assert!(platform.store.settings().unwrap().stopped_clusters.contains(&ClusterId(1)));
    let alerts = platform.alerts();
    let stopped = |alert: &&Alert| matches!(alert, Alert::ClusterStopped { failures: 5, .. });
    assert_eq!(alerts.iter().filter(stopped).count(), 1, "{alerts:?}");
}

#[tokio::test]
async fn a_few_failures_among_many_migrations_do_not_stop_a_cluster() {
    let platform = Platform::start(overloaded()).await;
    let rules = |outcomes: &[Outcome]| {
        for (number, outcome) in (2000..).zip(outcomes) {
            let entry = platform.store.intend(intent(VmId(number), NodeId(11))).unwrap();
            let closed = platform.store.close(entry.id, *outcome, None, platform.clock.now()).unwrap();
            platform.rules().after(&closed, platform.clock.now()).unwrap();
            platform.minutes_pass(60);
        }
        platform.store.settings().unwrap().stopped_clusters.contains(&ClusterId(1))
    };
    let (done, failed) = (Outcome::Done, Outcome::Failed);
    let share = |fails: usize| [vec![done; 10 - fails], vec![failed; fails]].concat();
    assert!(!rules(&[share(4), share(4), share(4)].concat()), "twelve of thirty in a day and a half");
    assert!(rules(&share(5)), "five of the last ten");
    // It ends by itself, after a look, and the old failures stop it no more.
    let mut platform = platform;
    platform.alerts();
    let balancer = platform.balancer();
    let picture = balancer.look().await.unwrap();
    balancer.end_stops(&picture.snapshot).unwrap();
    assert!(!platform.store.settings().unwrap().stopped_clusters.is_empty(), "not before its time");
    platform.minutes_pass(24 * 60);
    balancer.end_stops(&picture.snapshot).unwrap();
    assert!(platform.store.settings().unwrap().stopped_clusters.is_empty());
    assert!(matches!(platform.alerts().as_slice(), [Alert::ClusterResumed { .. }]));
    let entry = platform.store.intend(intent(VmId(3000), NodeId(11))).unwrap();
    let closed = platform.store.close(entry.id, failed, None, platform.clock.now()).unwrap();
    platform.rules().after(&closed, platform.clock.now()).unwrap();
    assert!(platform.store.settings().unwrap().stopped_clusters.is_empty());
}

#[tokio::test]
async fn steps_begin_as_soon_as_their_nodes_are_free_and_share_a_look() {
    let platform = Platform::start_with(three_full_nodes(), manual()).await;
    let balancer = platform.balancer_with(|settings| {
        settings.policy.migrations_max = 10;
        settings.policy.parallel_max = 2;
    });
    let proposal = platform.approved(&balancer).await;
    let nodes = |step: &Step| [step.migration.source, step.migration.target];
    let nodes: BTreeSet<_> = proposal.steps.iter().flat_map(nodes).collect();
    assert_eq!((proposal.steps.len(), nodes.len()), (3, 6), "no two share a node");
    // Requests since a moment: a path as it is, or a part of a longer one with a `*` before it.
    let since = std::cell::Cell::new(platform.sim.requests().len());
    let count = |text: &str| {
        let fits = |line: String| text.strip_prefix('*').map_or(line == text, |part| line.contains(part));
        platform.sim.requests().iter().skip(since.get()).filter(|request| fits(request.line())).count()
    };
    let run = async {
        until("two are ordered", || async { platform.sim.orders().len() == 2 }).await;
        let numbered = || platform.store.open_entries().unwrap();
        until("both are known", || async {
            numbered().len() == 2 && numbered().iter().all(|entry| entry.task_numbers().1.is_some())
        })
        .await;
        // The two that began together: one look, and for each its form and its order.
        let lists = ["GET /vm/v3/host", "GET /vm/v3/node", "GET /vm/v3/cluster"].map(count);
        assert_eq!(lists, [1; 3]);
        assert_eq!(["*/migrate", "*POST /vm/"].map(count), [4, 2]);
        since.set(platform.sim.requests().len());
        until("they are watched", || async { count("*/vm/v3/task") > 20 }).await;
        let (lists, singles) = (count("*/vm/v3/task?"), count("*/vm/v3/task/"));
        assert!(singles * 10 <= lists, "{singles} single tasks beside {lists} lists");
        let first = platform.sim.orders()[0].consul_id;
        platform.sim.finish(first);
        until("the next one begins beside the second", || async { platform.sim.orders().len() == 3 }).await;
        assert_eq!(platform.store.open_entries().unwrap().len(), 2);
        // It asks for its VM, its two nodes and the tasks; the other question for a VM is where the first one is.
        let lists = ["GET /vm/v3/host", "GET /vm/v3/node", "GET /vm/v3/cluster"].map(count);
        assert_eq!(lists, [0; 3]);
        assert_eq!(["*GET /vm/v3/host?", "*GET /vm/v3/node?"].map(count), [2, 2]);
    };
    all_are_done_after(&platform, &balancer, proposal.id, run).await;
}

#[tokio::test]
async fn a_step_that_begins_by_itself_reads_whole_lists_where_its_vm_or_its_nodes_are_not_as_they_should_be()
{
    let grows: Change = |platform, _, vm| {
        platform.sim.edit(|world| world.vms.get_mut(&vm).unwrap().memory = Mib(60 * 1024));
    };
    let is_joined: Change = |platform, target, vm| {
        platform.sim.edit(|world| {
            let id = VmId(vm.0 + 1000);
            let big = SimVm { id, node: target, memory: Mib(60 * 1024), ..world.vms[&vm].clone() };
            world.vms.insert(id, big);
        });
    };
    let is_snapshotted: Change = |platform, _, vm| {
        platform.sim.edit(|world| world.vms.get_mut(&vm).unwrap().snapshots = 1);
    };
    let closes: Change = |platform, target, _| {
        platform.sim.edit(|world| world.nodes.get_mut(&target).unwrap().creation_blocked = true);
    };
    for (change, what) in
        [(grows, "grows"), (is_joined, "joined"), (is_snapshotted, "snapshot"), (closes, "closed")]
    {
        let platform = Platform::start_with(three_full_nodes(), manual()).await;
        let balancer = platform.balancer_with(|settings| settings.policy.migrations_max = 10);
        let proposal = platform.approved(&balancer).await;
        let lists = || platform.sim.requests().iter().filter(|it| it.line() == "GET /vm/v3/host").count();
        let seen = std::cell::Cell::new(0);
        let run = async {
            until("one is ordered", || async { platform.sim.orders().len() == 1 }).await;
            let next = &proposal.steps[1].migration;
            change(&platform, next.target, next.vm);
            seen.set(lists());
            platform.sim.finish(platform.sim.orders()[0].consul_id);
            until("the last one is ordered", || async { platform.sim.orders().len() == 2 }).await;
            assert_eq!(lists(), seen.get() + 1, "{what}: the second read whole lists, the third did not");
            assert_eq!(platform.sim.orders()[1].vm, proposal.steps[2].migration.vm, "{what}");
            platform.sim.finish_all();
        };
        let (done, ()) = tokio::join!(platform.finish(&balancer, proposal.id), run);
        let outcomes: Vec<_> = outcomes(&done).into_iter().map(|(outcome, _)| outcome).collect();
        assert_eq!(outcomes, [Outcome::Done, Outcome::Dropped, Outcome::Done], "{what}");
    }
}

#[tokio::test]
async fn fifty_orders_cost_three_requests_each_and_their_watching_one_list_for_each_poll() {
    const ORDERS: usize = 50;
    let poll = Duration::from_millis(200);
    let platform = Platform::start_with(pairs(ORDERS), manual()).await;
    let balancer = platform.balancer_with(|settings| {
        (settings.policy.migrations_max, settings.policy.parallel_max) = (2 * ORDERS, ORDERS);
        (settings.execution.poll_first, settings.execution.poll_max) = (poll, poll);
    });
    let proposal = platform.approved(&balancer).await;
    assert_eq!(proposal.steps.len(), ORDERS);
    let since = std::cell::Cell::new(platform.sim.requests().len());
    let count = |fits: &dyn Fn(&str) -> bool| {
        platform.sim.requests().iter().skip(since.get()).filter(|request| fits(&request.line())).count()
    };
    let run = async {
        until("all are ordered", || async { platform.sim.orders().len() == ORDERS }).await;
        // The history and the form before each order; the lists of one look are shared.
        let lines: Vec<_> =
            platform.sim.requests().iter().skip(since.get()).map(|request| request.line()).collect();
        for step in &proposal.steps {
            let its = format!("/vm/v3/host/{}/", step.migration.vm);
            let asked = lines.iter().filter(|line| line.contains(&its));
            let before: Vec<_> = asked.take_while(|line| !line.starts_with("POST")).collect();
            assert_eq!(before.len(), 2, "{before:?}");
        }
        for list in ["GET /vm/v3/host", "GET /vm/v3/node", "GET /vm/v3/cluster"] {
            assert_eq!(count(&|line| line == list), 1, "{list}");
        }
        let is_list = |line: &str| line.contains("/vm/v3/task?") && line.contains("status EQ");
        let entries = || platform.store.open_entries().unwrap();
        until("all have their tasks' numbers", || async {
            entries().len() == ORDERS && entries().iter().all(|entry| entry.task_numbers().1.is_some())
        })
        .await;
        // A list that was read before the last task began may still be in use.
        since.set(platform.sim.requests().len());
        until("a list has all", || async { count(&is_list) >= 2 }).await;
        let began = std::time::Instant::now();
        since.set(platform.sim.requests().len());
        until("they are watched", || async { count(&is_list) >= 5 }).await;
        let others = count(&|line| !is_list(line));
        let polls = began.elapsed().as_millis() / poll.mul_f64(0.9).as_millis() + 2;
        assert!(count(&is_list) as u128 <= polls, "{} lists in {polls} polls", count(&is_list));
        assert_eq!(others, 0, "watching needs nothing but the list");
    };
    all_are_done_after(&platform, &balancer, proposal.id, run).await;
}

/// Carries a plan out beside what looks at it, ends all its migrations then, and finds each of them done.
async fn all_are_done_after(
    platform: &Platform,
    balancer: &VmBalancer,
    id: ProposalId,
    looks: impl Future<Output = ()>,
) {
    let ends = async {
        looks.await;
        until("all are done", || async {
            platform.sim.finish_all();
            matches!(platform.proposal(id).state, ProposalState::Done { .. })
        })
        .await;
    };
    let (done, ()) = tokio::join!(platform.finish(balancer, id), ends);
    assert!(outcomes(&done).iter().all(|(outcome, _)| *outcome == Outcome::Done), "{:?}", outcomes(&done));
    assert_eq!(platform.sim.violations(), []);
}

/// A change of the target or of the VM.
type Change = fn(&Platform, NodeId, VmId);

fn failed_in(proposal: &Proposal) -> usize {
    outcomes(proposal).iter().filter(|(outcome, _)| *outcome == Outcome::Failed).count()
}

/// What makes an order unwanted while it is put off, and what the journal records then.
type Unwanted = fn(&Platform, &Proposal, &CancellationToken);

const UNWANTED: [(Unwanted, &str); 3] = [
    (|_, _, stop| stop.cancel(), "the bot was stopped before VMmanager took the order"),
    (
        |platform, proposal, _| {
            let cancel = Approval { by: person(7), at: noon() };
            platform.store.update_proposal(proposal.id, |proposal| proposal.cancel = Some(cancel)).unwrap();
        },
        "cancelled by person 7 (7)",
    ),
    (
        |platform, _, _| {
            platform.store.update_settings(|settings| settings.dry_run = Some(true)).unwrap();
        },
        "nothing is ordered in a dry run",
    ),
];

/// Moves the VM of a plan's first step away and back without the bot, so that its history has an older migration.
async fn there_and_back(platform: &Platform, proposal: &Proposal) {
    let migration = &proposal.steps[0].migration;
    let elsewhere = if migration.target == NodeId(11) { NodeId(12) } else { NodeId(11) };
    platform.sim.foreign_migration(migration.vm, elsewhere, true).unwrap();
    until("the other task shows", || async { platform.sim.tasks().iter().any(|task| task.listed) }).await;
    platform.sim.finish_all();
    until("the VM has moved", || async { platform.sim.node_of(migration.vm) == Some(elsewhere) }).await;
    platform.sim.edit(|world| world.vms.get_mut(&migration.vm).unwrap().node = migration.source);
}

fn on_orders(fault: Fault) -> Rule {
    Rule::always(fault).only("POST /vm/")
}

/// What happened, and below it the end of each step in the words of the command line.
fn lines<'a>(what: &str, ended: impl IntoIterator<Item = &'a (Outcome, String)>) -> String {
    let steps = ended.into_iter().map(|(outcome, why)| format!("    {outcome:?}: {why}\n"));
    format!("{what}\n{}", steps.collect::<String>())
}

fn manual() -> Options {
    Options { pace: Pace::Manual, ..Options::default() }
}

/// The first node needs two of its VMs moved away, and three more if those fail.
fn overloaded() -> World {
    let mut world = World::small();
    for vm in world.vms.values_mut().filter(|vm| vm.node == NodeId(10)) {
        vm.memory = Mib(10 * 1024);
    }
    world
}

fn many_migrations(platform: &Platform) -> VmBalancer {
    platform.balancer_with(|settings| settings.policy.migrations_max = 10)
}

async fn followed(platform: &Platform, entry: JournalEntry) -> JournalEntry {
    let watcher = platform.balancer().watcher(&CancellationToken::new());
    let left = watcher.left_open().unwrap();
    assert_eq!(left.entries.len(), 1);
    tokio::time::timeout(PATIENCE, watcher.look_after(left)).await.unwrap();
    platform.store.entry(entry.id).unwrap().unwrap()
}
