//! Every rule of the planner, one cluster each.

use chrono::TimeDelta;
use vm_balancer::{
    model::{
        Block, ClusterId, ClusterInfo, Flaw, ForeignMigration, Measured, Mib, NodeId, ProposalId,
        QemuVersion, Snapshot, VmId, VmUse, dice::Dice,
    },
    planner::{
        self, AntiAffinity, Caution, ClusterPlan, Direction, Exclusion, ExclusionWhy, Migration, MoveWhy,
        NodeClosed, Note, Obstacle, Policy, Resource, Rest, RestWhy, Selector, SkipWhy, TargetRefusal,
        Threshold, Unfit,
    },
};

use crate::support::{self, cluster, node, noon, vm};

const GIB: u64 = 1024;

#[test]
fn a_node_at_its_threshold_is_not_overloaded() {
    let at = cluster(vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32)], vec![vm(1, 1, 1, 70 * GIB)]);
    assert!(planned(&at, &roomy()).overloaded.is_empty());

    let above = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32)],
        vec![vm(1, 1, 1, 70 * GIB), vm(2, 1, 1, 1)],
    );
    assert_eq!(planned(&above, &roomy()).overloaded[0].node, NodeId(1));
}

#[test]
fn the_smallest_sufficient_vm_leaves_and_the_plan_says_why() {
    let plan = planned(&crowded(), &roomy());
    let migration = only(&plan);
    assert_eq!((migration.vm, migration.source, migration.target), (VmId(3), NodeId(1), NodeId(2)));
    assert!(matches!(migration.why, MoveWhy::Relieve(excess) if excess.resource == Resource::Memory));
    assert_eq!(migration.source_state.before.memory_percent, 80.0);
    assert_eq!(migration.source_state.after.memory_percent, 70.0);
    assert_eq!(migration.target_state.after.memory_percent, 10.0);
    assert_eq!(migration.runner_up.as_ref().map(|second| second.node), Some(NodeId(3)));
    assert_eq!((plan.before.overloaded, plan.after.overloaded), (1, 0));
}

#[test]
fn cpu_alone_is_a_reason_too() {
    let snapshot = cluster(
        vec![node(1, 1000 * GIB, 10), node(2, 1000 * GIB, 10)],
        (0..9).map(|id| vm(id, 1, 8, GIB)).collect(),
    );
    let plan = planned(&snapshot, &roomy());
    assert!(matches!(only(&plan).why, MoveWhy::Relieve(excess) if excess.resource == Resource::Cpu));
}

#[test]
fn a_target_is_filled_to_the_smaller_of_its_thresholds() {
    let mut policy = Policy { soft_targets: false, ..roomy() };
    policy.memory = Threshold { overload: 70.0, target: 30.0 };
    let mut snapshot = crowded();
    snapshot.vms.push(vm(50, 2, 1, 25 * GIB));
    snapshot.vms.push(vm(51, 3, 1, 25 * GIB));
    support::recount(&mut snapshot);
    let plan = planned(&snapshot, &policy);
    assert!(plan.migrations.is_empty());
    let because = &plan.still_overloaded[0].because[0];
    assert_eq!(because, &Obstacle::NoTarget { movable: 4, reasons: vec![(TargetRefusal::Memory, 4)] });
}

#[test]
fn the_memory_reserve_is_never_filled() {
    let mut policy = roomy();
    policy.memory = Threshold { overload: 90.0, target: 95.0 };
    policy.memory_reserve_percent = 20.0;
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32)],
        vec![vm(1, 1, 1, 50 * GIB), vm(2, 1, 1, 45 * GIB), vm(3, 2, 1, 40 * GIB)],
    );
    let plan = planned(&snapshot, &policy);
    assert!(plan.migrations.is_empty(), "40 + 45 GiB are over 80 %");
    assert!(plan.skipped.iter().all(|skip| skip.why == SkipWhy::NoTarget(TargetRefusal::Reserve)));
}

#[test]
fn closed_nodes_are_no_targets() {
    type Close = fn(&mut vm_balancer::model::NodeInfo);
    let cases: [(TargetRefusal, Close); 6] = [
        (TargetRefusal::Maintenance, |node| node.maintenance = true),
        (TargetRefusal::NotActive, |node| node.state = "failed".into()),
        (TargetRefusal::CreationBlocked, |node| node.vm_creation_allowed = false),
        (TargetRefusal::UnknownCapacity, |node| node.memory_total = None),
        (TargetRefusal::VmLimit, |node| node.vm_limit = Some(1)),
        (TargetRefusal::OlderQemu, |node| node.qemu_version = Some(QemuVersion::new("6.2.0"))),
    ];
    for (refusal, close) in cases {
        let mut snapshot = crowded();
        snapshot.vms.push(vm(60, 2, 1, 1));
        support::recount(&mut snapshot);
        close(&mut snapshot.nodes[1]);
        let plan = planned(&snapshot, &roomy());
        assert_eq!(only(&plan).target, NodeId(3), "{refusal:?}");
        let explained = planner::explain_vm(&snapshot, &roomy(), VmId(3)).expect("the VM is there");
        assert_eq!(explained.refusals[0].2, refusal);
    }
}

#[test]
fn an_unknown_qemu_is_allowed_but_comes_last() {
    let mut snapshot = crowded();
    snapshot.nodes[1].qemu_version = None;
    snapshot.vms.push(vm(61, 3, 1, 20 * GIB));
    support::recount(&mut snapshot);
    assert_eq!(only(&planned(&snapshot, &roomy())).target, NodeId(3), "although it is fuller");
    snapshot.nodes[2].maintenance = true;
    assert_eq!(only(&planned(&snapshot, &roomy())).target, NodeId(2));
}

#[test]
fn nodes_that_are_no_sources_stay_overloaded_and_say_so() {
    type Close = fn(&mut Snapshot, &mut Policy);
    let cases: [(Obstacle, Close); 4] = [
        (Obstacle::State(NodeClosed::Maintenance), |snapshot, _| snapshot.nodes[0].maintenance = true),
        (Obstacle::State(NodeClosed::State("failed".into())), |snapshot, _| {
            snapshot.nodes[0].state = "failed".into()
        }),
        (Obstacle::ExcludedSource, |_, policy| {
            policy.exclusions.push(exclusion("node-0001", Direction::Source))
        }),
        (Obstacle::ExcludedSource, |_, policy| policy.exclusions.push(exclusion("1", Direction::Both))),
    ];
    for (obstacle, close) in cases {
        let (mut snapshot, mut policy) = (crowded(), roomy());
        close(&mut snapshot, &mut policy);
        let plan = planned(&snapshot, &policy);
        assert!(plan.migrations.is_empty());
        assert_eq!(plan.still_overloaded[0].because, [obstacle]);
    }
}

#[test]
fn an_exclusion_ends_when_it_says() {
    let mut policy = roomy();
    policy.exclusions = vec![Exclusion { until: Some(noon()), ..exclusion("node-0001", Direction::Source) }];
    assert_eq!(planned(&crowded(), &policy).migrations.len(), 1);
    policy.exclusions[0].until = Some(noon() + TimeDelta::seconds(1));
    assert!(planned(&crowded(), &policy).migrations.is_empty());
}

#[test]
fn an_excluded_target_is_not_used() {
    let mut policy = roomy();
    policy.exclusions = vec![exclusion("2", Direction::Target)];
    assert_eq!(only(&planned(&crowded(), &policy)).target, NodeId(3));
    policy.exclusions = vec![exclusion("2", Direction::Source)];
    assert_eq!(only(&planned(&crowded(), &policy)).target, NodeId(2));
}

#[test]
fn a_target_that_was_declined_for_a_vm_is_not_used_for_it() {
    let mut policy = roomy();
    let vm_id = only(&planned(&crowded(), &policy)).vm;
    policy.declined.insert(vm_id, [NodeId(2)].into());
    let other = planned(&crowded(), &policy);
    assert_ne!((only(&other).vm, only(&other).target), (vm_id, NodeId(2)));
    let all = crowded().vms.iter().filter(|vm| vm.node == NodeId(1)).map(|vm| vm.id).collect::<Vec<_>>();
    policy.declined = all.iter().map(|vm| (*vm, [NodeId(2)].into())).collect();
    assert_eq!(only(&planned(&crowded(), &policy)).target, NodeId(3));
    policy.declined.values_mut().for_each(|nodes| *nodes = [NodeId(2), NodeId(3)].into());
    let stuck = planned(&crowded(), &policy);
    assert!(stuck.migrations.is_empty());
    assert!(stuck.skipped.iter().all(|skip| skip.why == SkipWhy::NoTarget(TargetRefusal::Declined)));
    // One of many: the others do what it would have done.
    policy.declined.remove(all.last().unwrap());
    assert_eq!(only(&planned(&crowded(), &policy)).vm, *all.last().unwrap());
}

#[test]
fn vms_that_must_stay_are_skipped_with_their_reason() {
    let until = noon() + TimeDelta::minutes(30);
    type Hold = fn(&mut Snapshot, &mut Policy);
    let cases: [(SkipWhy, Hold); 7] = [
        (SkipWhy::Blocked(Block::Snapshots), |s, _| s.vms[2].blocked_by = vec![Block::Snapshots]),
        (SkipWhy::Blocked(Block::BalancerMode), |s, _| s.vms[2].blocked_by = vec![Block::BalancerMode]),
        (SkipWhy::State("stopped".into()), |s, _| s.vms[2].state = "stopped".into()),
        (SkipWhy::Pinned, |_, p| p.pinned = vec![Selector("vm-00003".into())]),
        (SkipWhy::Pinned, |_, p| p.pinned = vec![Selector("3".into())]),
        (SkipWhy::Pinned, |_, p| p.pinned = vec![Selector("VM-*3".into())]),
        (SkipWhy::Resting { until, why: RestWhy::Failed }, |_, p| {
            let until = noon() + TimeDelta::minutes(30);
            p.resting.insert(VmId(3), Rest { until, why: RestWhy::Failed });
        }),
    ];
    for (why, hold) in cases {
        let (mut snapshot, mut policy) = (crowded(), roomy());
        hold(&mut snapshot, &mut policy);
        let plan = planned(&snapshot, &policy);
        assert_ne!(only(&plan).vm, VmId(3), "{why:?}");
        assert_eq!((plan.skipped[0].vm, &plan.skipped[0].why), (VmId(3), &why));
    }
}

#[test]
fn balancer_mode_binds_only_where_it_is_respected() {
    let (mut snapshot, mut policy) = (crowded(), roomy());
    for vm in &mut snapshot.vms {
        vm.blocked_by = vec![Block::BalancerMode];
    }
    let plan = planned(&snapshot, &policy);
    assert!(plan.migrations.is_empty());
    assert!(plan.notes.contains(&Note::EveryVmOptedOut));
    policy.respect_balancer_mode = false;
    assert_eq!(planned(&snapshot, &policy).migrations.len(), 1);
}

#[test]
fn a_rest_that_is_over_does_not_bind() {
    let mut policy = roomy();
    policy.resting.insert(VmId(3), Rest { until: noon(), why: RestWhy::Moved });
    assert_eq!(only(&planned(&crowded(), &policy)).vm, VmId(3));
}

#[test]
fn vms_of_one_group_never_come_to_share_a_node() {
    let (mut snapshot, mut policy) = (crowded(), roomy());
    policy.anti_affinity = vec![AntiAffinity(vec!["db-*".into()])];
    snapshot.vms[2].name = "db-1".into();
    snapshot.vms.push(support::vm(70, 2, 1, GIB));
    snapshot.vms[4].name = "db-2".into();
    support::recount(&mut snapshot);
    assert_eq!(only(&planned(&snapshot, &policy)).target, NodeId(3));
    // Both are on one node: one of them may leave, and does.
    snapshot.vms[4].node = NodeId(1);
    support::recount(&mut snapshot);
    let plan = planned(&snapshot, &policy);
    assert!(!plan.migrations.is_empty());
    assert_eq!(planner::check(&snapshot, &policy, &plan), []);
}

#[test]
fn a_plan_holds_its_limit_and_names_it() {
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32), node(3, 100 * GIB, 32)],
        (0..20).map(|id| vm(id, 1, 1, 5 * GIB)).collect(),
    );
    let plan = planned(&snapshot, &Policy { migrations_max: 2, ..roomy() });
    assert_eq!(plan.migrations.len(), 2);
    assert_eq!(plan.still_overloaded[0].because[0], Obstacle::Limit { migrations_max: 2 });
    assert_eq!(plan.still_overloaded[0].needs_memory, Some(Mib(20 * GIB)));
}

#[test]
fn what_may_not_be_touched_is_planned_for_but_not_acted_on() {
    type Hold = fn(&mut Snapshot);
    let cases: [Hold; 4] = [
        |s| s.clusters[0].incomplete = vec![Flaw::Other("2 of 3 nodes".into())],
        |s| s.clusters[0].virtualization = Some("lxd".into()),
        |s| s.foreign.push(foreign(Some(ClusterId(1)))),
        |s| s.foreign.push(foreign(None)),
    ];
    for hold in cases {
        let mut snapshot = crowded();
        let free = only(&planned(&snapshot, &roomy())).clone();
        hold(&mut snapshot);
        let plan = planned(&snapshot, &roomy());
        assert!(plan.migrations.is_empty());
        assert!(matches!(plan.still_overloaded[0].because[0], Obstacle::Held(_)));
        assert!(matches!(planner::fit(&snapshot, &roomy(), &free), Err(Unfit::Held(_))));
    }
    let mut elsewhere = crowded();
    elsewhere.foreign.push(foreign(Some(ClusterId(2))));
    assert_eq!(planned(&elsewhere, &roomy()).migrations.len(), 1);
}

#[test]
fn nothing_crosses_clusters() {
    let mut snapshot = crowded();
    snapshot.clusters.push(ClusterInfo::new(ClusterId(2), "spb"));
    for node in &mut snapshot.nodes[1..] {
        node.cluster = ClusterId(2);
    }
    let plan = planner::plan(&snapshot, &roomy());
    assert!(plan.is_empty());
    assert_eq!(plan.clusters.len(), 2);
    let only_second = Policy { clusters: Some([ClusterId(2)].into()), ..roomy() };
    assert_eq!(planner::plan(&snapshot, &only_second).clusters.len(), 1);
}

#[test]
fn measured_load_stands_in_for_the_ratio_and_the_busy_vm_leaves() {
    let mut snapshot = busy();
    let plan = planned(&snapshot, &roomy());
    assert_eq!(plan.overloaded[0].over[0].resource, Resource::Load);
    assert_eq!(only(&plan).vm, VmId(3), "the one whose own measurement relieves");
    assert_eq!(only(&plan).source_state.after.load, Some(0.8));
    assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);

    // An outdated measurement does not count: the node is judged by allocation, with a note where others are measured.
    for node in &mut snapshot.nodes[..1] {
        node.load.as_mut().expect("measured").at = noon() - TimeDelta::hours(1);
    }
    let plan = planned(&snapshot, &roomy());
    assert!(plan.overloaded.is_empty());
    assert!(plan.notes.contains(&Note::Unmeasured { nodes: vec!["node-0001".into()] }));
}

#[test]
fn load_must_be_over_in_as_many_readings_as_asked() {
    let mut snapshot = busy();
    let patient = Policy { load_readings: 2, ..roomy() };
    assert!(planned(&snapshot, &patient).overloaded.is_empty());
    snapshot.nodes[0].load.as_mut().expect("measured").previous_five = Some(9.0);
    assert!(planned(&snapshot, &patient).overloaded.is_empty());
    snapshot.nodes[0].load.as_mut().expect("measured").previous_five = Some(10.5);
    assert_eq!(planned(&snapshot, &patient).overloaded.len(), 1);
}

#[test]
fn steps_of_one_wave_share_no_node() {
    let vms = (0..40).map(|id| vm(id, 1 + id % 2, 1, 5 * GIB)).collect();
    let snapshot = cluster((1..=6).map(|id| node(id, 100 * GIB, 32)).collect(), vms);
    let policy = Policy { parallel_max: 3, ..roomy() };
    let plan = planned(&snapshot, &policy);
    assert_eq!(planner::check(&snapshot, &policy, &plan), []);
    let waves = plan.migrations.last().expect("a plan").wave;
    assert_eq!((plan.migrations.len(), waves), (12, 6), "two sources give one each at a time");
}

#[test]
fn room_is_made_where_a_vm_fits_nowhere_else() {
    // The 40 GiB VM must leave node 1, and only node 2 is large enough once its own 20 GiB VM is gone.
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 60 * GIB, 32), node(3, 30 * GIB, 32)],
        vec![vm(1, 1, 1, 40 * GIB), vm(2, 1, 1, 40 * GIB), vm(3, 2, 1, 20 * GIB)],
    );
    let plan = planned(&snapshot, &roomy());
    assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);
    assert_eq!(plan.after.overloaded, 0, "{plan:?}");
    assert!(matches!(&plan.migrations[0].why, MoveWhy::MakeRoom { for_vm: VmId(1 | 2), .. }));
}

#[test]
fn a_large_vm_changes_places_with_small_ones_by_a_detour() {
    // Node 1 holds 96 GiB of 100 and may keep 70. Its one movable VM of 60 GiB fits on node 2 only without the small
    // ones there, which fit on node 1 only once the large one is gone: somebody has to wait on node 3.
    let mut vms = vec![vm(1, 1, 1, 60 * GIB), vm(2, 1, 1, 36 * GIB)];
    vms[1].blocked_by = vec![Block::Snapshots];
    vms.extend((0..3).map(|id| vm(10 + id, 2, 1, 10 * GIB)));
    vms.push(vm(20, 3, 1, 5 * GIB));
    vms[5].blocked_by = vec![Block::Snapshots];
    let snapshot = cluster(vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32), node(3, 50 * GIB, 32)], vms);
    let plan = planned(&snapshot, &roomy());
    assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);
    assert_eq!(plan.after.overloaded, 0, "{:#?}", plan.migrations);
}

#[test]
fn disks_count_only_where_they_must_be_copied() {
    let mut snapshot = crowded();
    snapshot.vms[2].disk = Some(Mib(500 * GIB));
    assert_eq!(only(&planned(&snapshot, &roomy())).disk, None);
    snapshot.clusters[0].local_storage = Some(true);
    let plan = planned(&snapshot, &roomy());
    assert_ne!(only(&plan).vm, VmId(3), "20 GiB of RAM cost less than 10 GiB with 500 GiB of disk");
}

#[test]
fn a_nodes_own_sum_is_the_base_and_a_difference_is_told() {
    let mut snapshot = crowded();
    snapshot.nodes[0].memory_used = Some(Mib(90 * GIB));
    let plan = planned(&snapshot, &roomy());
    assert_eq!(plan.overloaded[0].at.memory_percent, 90.0);
    assert!(
        plan.notes.iter().any(|note| matches!(note, Note::SumsDiffer { node, .. } if node == "node-0001"))
    );
}

#[test]
fn vms_on_unknown_nodes_and_names_nobody_has_do_no_harm() {
    let mut snapshot = crowded();
    snapshot.vms.push(vm(80, 99, 1, GIB));
    let policy = Policy { pinned: vec![Selector("nobody".into())], ..roomy() };
    let plan = planned(&snapshot, &policy);
    assert_eq!(plan.migrations.len(), 1);
    assert!(plan.notes.contains(&Note::UnknownSelector { selector: "nobody".into() }));
}

#[test]
fn fit_says_what_has_changed() {
    let snapshot = crowded();
    let policy = roomy();
    let step = only(&planned(&snapshot, &policy)).clone();
    assert_eq!(planner::fit(&snapshot, &policy, &step), Ok(()));
    type Change = fn(&mut Snapshot);
    let cases: [(Unfit, Change); 7] = [
        (Unfit::VmGone, |s| {
            s.vms.remove(2);
        }),
        (Unfit::Moved { now: NodeId(3) }, |s| s.vms[2].node = NodeId(3)),
        (Unfit::AlreadyThere, |s| s.vms[2].node = NodeId(2)),
        (Unfit::Vm(SkipWhy::State("stopped".into())), |s| s.vms[2].state = "stopped".into()),
        (Unfit::Target(TargetRefusal::Maintenance), |s| s.nodes[1].maintenance = true),
        (Unfit::Target(TargetRefusal::Memory), |s| s.nodes[1].memory_used = Some(Mib(65 * GIB))),
        (Unfit::NodeGone(NodeId(2)), |s| {
            s.nodes.remove(1);
        }),
    ];
    for (unfit, change) in cases {
        let mut changed = snapshot.clone();
        change(&mut changed);
        assert_eq!(planner::fit(&changed, &policy, &step), Err(unfit));
    }
}

#[test]
fn fit_needs_no_more_than_the_two_lists() {
    let mut snapshot = crowded();
    let step = only(&planned(&snapshot, &roomy())).clone();
    snapshot.clusters.clear();
    assert_eq!(planner::fit(&snapshot, &roomy(), &step), Ok(()));
}

#[test]
fn an_approved_plan_loses_what_no_longer_helps() {
    let vms = (0..40).map(|id| vm(id, 1 + id % 2, 1, 5 * GIB)).collect();
    let snapshot = cluster((1..=4).map(|id| node(id, 100 * GIB, 32)).collect(), vms);
    let plan = planned(&snapshot, &roomy());
    let same = planner::revalidate(&snapshot, &roomy(), &plan.migrations);
    assert_eq!((same.kept.len(), same.dropped.len(), same.relieves), (12, 0, true));

    // Node 1 has been emptied by hand meanwhile: only node 2 still wants relief.
    let mut moved = snapshot.clone();
    let planned_off: Vec<VmId> = plan.migrations.iter().map(|migration| migration.vm).collect();
    for vm in moved.vms.iter_mut().filter(|vm| vm.node == NodeId(1) && !planned_off.contains(&vm.id)) {
        vm.state = "stopped".into();
        vm.memory = Mib(0);
    }
    support::recount(&mut moved);
    let rest = planner::revalidate(&moved, &roomy(), &plan.migrations);
    assert_eq!((rest.kept.len(), rest.dropped.len(), rest.relieves), (6, 6, true));
    assert!(rest.dropped.iter().all(|(_, unfit)| *unfit == Unfit::NoRelief));

    // No node is overloaded any more, so nothing of the plan is left.
    for vm in &mut moved.vms {
        vm.memory = Mib(GIB);
    }
    support::recount(&mut moved);
    let nothing = planner::revalidate(&moved, &roomy(), &plan.migrations);
    assert_eq!((nothing.kept.len(), nothing.relieves), (0, false));
}

#[test]
fn a_drain_empties_a_node_or_says_what_stays() {
    let mut snapshot = crowded();
    snapshot.nodes[0].maintenance = true;
    let drain = planner::drain(&snapshot, &roomy(), NodeId(1)).expect("the node is there");
    assert!(drain.is_complete());
    assert_eq!(drain.plan.migrations.len(), 4);
    assert!(drain.plan.migrations.iter().all(|step| step.why == MoveWhy::Drain));
    assert_eq!(planner::check(&snapshot, &roomy(), &drain.plan), []);
    for step in drain.plan.migrations.iter().take(1) {
        assert_eq!(planner::fit(&snapshot, &roomy(), step), Ok(()));
    }

    snapshot.vms[0].blocked_by = vec![Block::Iso];
    snapshot.vms[1].memory = Mib(90 * GIB);
    let drain = planner::drain(&snapshot, &roomy(), NodeId(1)).expect("the node is there");
    let stuck: Vec<_> = drain.stuck.iter().map(|skip| (skip.vm, skip.why.clone())).collect();
    assert_eq!(
        stuck,
        [(VmId(1), SkipWhy::Blocked(Block::Iso)), (VmId(2), SkipWhy::NoTarget(TargetRefusal::Memory)),]
    );
}

#[test]
fn a_drain_makes_room_where_it_must() {
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 60 * GIB, 32), node(3, 30 * GIB, 32)],
        vec![vm(1, 1, 1, 40 * GIB), vm(3, 2, 1, 20 * GIB)],
    );
    let drain = planner::drain(&snapshot, &roomy(), NodeId(1)).expect("the node is there");
    assert!(drain.is_complete(), "{:#?}", drain.stuck);
    let order: Vec<_> = drain.plan.migrations.iter().map(|step| (step.vm, step.target)).collect();
    assert_eq!(order, [(VmId(3), NodeId(3)), (VmId(1), NodeId(2))]);
    assert_eq!(planner::check(&snapshot, &roomy(), &drain.plan), []);
}

#[test]
fn a_round_spares_the_nodes_whose_turn_is_to_come() {
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32), node(3, 60 * GIB, 32)],
        vec![vm(1, 1, 1, 10 * GIB), vm(2, 1, 1, 20 * GIB), vm(3, 2, 1, 5 * GIB)],
    );
    let round = planner::maintenance(&snapshot, &roomy(), &[NodeId(1), NodeId(2)]);
    let moves = |drain: &planner::Drain| -> Vec<_> {
        drain.plan.migrations.iter().map(|step| (step.vm, step.target)).collect()
    };
    assert!(round.iter().all(planner::Drain::is_complete), "{round:#?}");
    assert!(moves(&round[0]).iter().all(|(_, target)| *target == NodeId(3)), "{:?}", moves(&round[0]));
    assert_eq!(moves(&round[1]).len(), 1, "the first node is open again, and nothing moves twice");
    let small = planner::maintenance(&snapshot, &roomy(), &[NodeId(1), NodeId(3), NodeId(2)]);
    assert!(small.iter().all(planner::Drain::is_complete));
}

#[test]
fn only_the_nodes_to_come_that_are_needed_take_vms_of_a_round() {
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32), node(3, 100 * GIB, 32), node(4, 20 * GIB, 32)],
        vec![vm(1, 1, 1, 10 * GIB), vm(2, 1, 1, 20 * GIB), vm(3, 1, 1, 5 * GIB)],
    );
    let first = &planner::maintenance(&snapshot, &roomy(), &[NodeId(1), NodeId(2), NodeId(3)])[0];
    assert!(first.is_complete(), "{first:#?}");
    let on = |node| first.plan.migrations.iter().filter(|step| step.target == NodeId(node)).count();
    assert_eq!(on(2), 0, "node 3 alone holds what does not fit elsewhere: {first:#?}");
    assert!(on(3) > 0 && on(3) + on(4) == 3, "{first:#?}");
}

#[test]
fn relief_spares_nodes_that_are_to_be_emptied_where_the_others_hold_it() {
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 200 * GIB, 32), node(3, 60 * GIB, 32)],
        (1..=8).map(|id| vm(id, 1, 1, 10 * GIB)).collect(),
    );
    let open = Policy::default();
    let spared = Policy { emptied_soon: [NodeId(2)].into(), ..Policy::default() };
    let targets = |snapshot: &Snapshot, policy: &Policy| -> Vec<NodeId> {
        let plan = planner::plan(snapshot, policy).clusters.remove(0);
        assert_eq!(plan.after.overloaded, 0);
        assert_eq!(planner::check(snapshot, policy, &plan), []);
        plan.migrations.iter().map(|step| step.target).collect()
    };
    assert_eq!(targets(&snapshot, &open), [NodeId(2)], "without a round the emptier node is the better one");
    assert_eq!(targets(&snapshot, &spared), [NodeId(3)]);
    let drain = planner::drain(&snapshot, &spared, NodeId(3)).unwrap();
    assert!(drain.is_complete());
    let mut full = snapshot;
    full.nodes[2].maintenance = true;
    assert_eq!(targets(&full, &spared), [NodeId(2)], "an overload is worse than a VM that moves twice");
}

#[test]
fn a_plan_is_taken_back_where_it_fits_although_its_vms_rest() {
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32)],
        vec![vm(1, 2, 1, 10 * GIB), vm(2, 2, 1, 20 * GIB), vm(3, 1, 1, 40 * GIB), vm(4, 1, 1, 5 * GIB)],
    );
    let moved =
        |id| planner::Moved { vm: VmId(id), vm_name: format!("vm-{id}"), from: NodeId(1), to: NodeId(2) };
    let rest = Rest { until: snapshot.taken_at + TimeDelta::hours(1), why: RestWhy::Moved };
    let mut policy = Policy { migrations_max: 1, ..roomy() };
    policy.resting = [1, 2, 4].map(|id| (VmId(id), rest.clone())).into();
    let of = (ClusterId(1), ProposalId(7));
    let undo = planner::undo(&snapshot, &policy, of, &[moved(1), moved(2), moved(4), moved(9)]).unwrap();
    let steps: Vec<_> = undo.plan.migrations.iter().map(|step| (step.vm, step.target)).collect();
    assert_eq!(steps, [(VmId(2), NodeId(1))], "{undo:#?}");
    let step = &undo.plan.migrations[0];
    assert_eq!(step.why, MoveWhy::Undo { of: ProposalId(7) });
    assert_eq!(step.cautions, [Caution::MovedLately { until: rest.until }]);
    let stuck: Vec<_> = undo.stuck.iter().map(|skip| (skip.vm, skip.why.clone())).collect();
    let (resource, node) = (Resource::Memory, "node-0001".into());
    let full = SkipWhy::NoRoomBack { node, resource, value: 7500, most: 7000 };
    assert_eq!(stuck, [(VmId(1), full), (VmId(4), SkipWhy::NotThere), (VmId(9), SkipWhy::Gone)]);
    // What was approved fits although the VM rests; what does not say so does not.
    assert_eq!(planner::fit(&snapshot, &policy, step), Ok(()));
    let silent = planner::Migration { cautions: Vec::new(), ..step.clone() };
    assert!(matches!(
        planner::fit(&snapshot, &policy, &silent),
        Err(planner::Unfit::Vm(SkipWhy::Resting { .. }))
    ));
    let failed = Rest { why: RestWhy::Failed, ..rest };
    policy.resting = [(VmId(2), failed)].into();
    let undo = planner::undo(&snapshot, &policy, of, &[moved(2)]).unwrap();
    assert!(undo.plan.migrations.is_empty() && matches!(undo.stuck[0].why, SkipWhy::Resting { .. }));
}

#[test]
fn forecasts_count_places() {
    let snapshot = crowded();
    let lost =
        |of: &Snapshot, node| planner::node_loss(of, &roomy(), NodeId(node)).expect("the node is there");
    assert!((1..=3).all(|node| lost(&snapshot, node).homeless.is_empty()));
    // There is room for all on either of the empty nodes; they are spread all the same.
    assert_eq!(lost(&snapshot, 1).takers.len(), 2, "{:?}", lost(&snapshot, 1));
    let mut small = snapshot.clone();
    small.nodes[1].memory_total = Some(Mib(30 * GIB));
    small.nodes[2].memory_total = Some(Mib(25 * GIB));
    let homeless: Vec<_> = lost(&small, 1).homeless.iter().map(|skip| skip.vm).collect();
    assert_eq!(homeless, [VmId(4), VmId(3)]);
    // 70 GiB free under the threshold on each of the two empty nodes, none on the overloaded one.
    let growth = planner::growth(&snapshot, &roomy(), ClusterId(1), 0, Some(1), Mib(8 * GIB));
    assert_eq!(growth.expect("the cluster is there").fit, 16);
}

#[test]
fn a_node_and_a_vm_explain_themselves() {
    let snapshot = crowded();
    let full = planner::explain_node(&snapshot, &roomy(), NodeId(1)).expect("the node is there");
    assert_eq!((full.movable, full.source, full.target), (4, Ok(()), Err(TargetRefusal::Memory)));
    let empty = planner::explain_node(&snapshot, &roomy(), NodeId(2)).expect("the node is there");
    assert_eq!((empty.target, empty.memory_room), (Ok(()), Mib(70 * GIB)));
    let vm = planner::explain_vm(&snapshot, &roomy(), VmId(3)).expect("the VM is there");
    assert_eq!((vm.movable, vm.targets.len()), (Ok(()), 2));
    assert!(planner::explain_node(&snapshot, &roomy(), NodeId(77)).is_none());
}

#[test]
fn of_two_figures_for_one_thing_the_careful_one_decides() {
    // The counter says 4 GiB, the VMs add up to 120.
    let mut snapshot = cluster(
        (1..=2).map(|id| node(id, 128 * GIB, 32)).collect(),
        (0..15).map(|id| vm(id, 1, 1, 8 * GIB)).collect(),
    );
    snapshot.nodes[0].memory_used = Some(Mib(4 * GIB));
    let plan = planned(&snapshot, &roomy());
    assert_eq!(plan.overloaded[0].at.memory_percent, 93.75);
    assert_eq!((plan.migrations.len(), plan.still_overloaded.len()), (4, 0));
    assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);
    let overview = planner::overview(&snapshot, &roomy(), ClusterId(1)).expect("the cluster is there");
    assert_eq!(overview.nodes[0].at.memory_percent, 93.75);
    let explained = planner::explain_node(&snapshot, &roomy(), NodeId(1)).expect("the node is there");
    assert_eq!(explained.target, Err(TargetRefusal::Memory));

    // The same of vCPUs, and of a counter that is larger than what the list has.
    let mut busy = cluster(vec![node(1, 100 * GIB, 4), node(2, 100 * GIB, 4)], vec![]);
    busy.vms = (0..10).map(|id| vm(id, 1, 3, GIB)).collect();
    let overloaded = |snapshot: &Snapshot| planned(snapshot, &roomy()).overloaded.len();
    assert_eq!(overloaded(&busy), 1);
    busy.vms.truncate(1);
    assert_eq!(overloaded(&busy), 0);
    busy.nodes[0].cpu_used = Some(30);
    assert_eq!(overloaded(&busy), 1);
}

#[test]
fn names_in_settings_are_patterns_and_take_any_case() {
    let mut snapshot = crowded();
    snapshot.nodes[1].name = "n2".into();
    let mut policy = roomy();
    policy.exclusions = vec![exclusion("N2", Direction::Target), exclusion("NODE-0?01", Direction::Target)];
    policy.pinned = vec![Selector("VM-0000[".into()), Selector("vM-*3".into())];
    policy.anti_affinity = vec![AntiAffinity(vec!["Vm-00004".into(), "db-*".into()])];
    let plan = planned(&snapshot, &policy);
    assert_eq!((only(&plan).vm, only(&plan).target), (VmId(1), NodeId(3)));
    let unknown = ["VM-0000[", "db-*"].map(|selector| Note::UnknownSelector { selector: selector.into() });
    assert_eq!(plan.notes, unknown);
}

#[test]
fn nodes_closed_after_failures_are_noted_until_they_open() {
    let mut policy = roomy();
    let why = ExclusionWhy::Failures { count: 3 };
    let until = Some(noon() + TimeDelta::hours(1));
    policy.exclusions =
        vec![Exclusion { node: Selector("2".into()), direction: Direction::Both, until, why }];
    let noted = Note::ClosedAfterFailures { node: "node-0002".into(), count: 3, until };
    assert_eq!(planned(&crowded(), &policy).notes, [noted]);
    policy.exclusions[0].until = Some(noon());
    assert_eq!(planned(&crowded(), &policy).notes, []);
}

#[test]
fn the_sound_part_of_a_plan_is_kept_and_the_rest_told() {
    let mut snapshot = cluster(
        (1..=4).map(|id| node(id, 100 * GIB, 32)).collect(),
        (0..10).map(|id| vm(id, 1, 1, 10 * GIB)).collect(),
    );
    let whole = planned(&snapshot, &roomy());
    assert_eq!(whole.migrations.len(), 3);
    assert_eq!(planner::sound(&snapshot, &roomy(), &whole), whole);

    let mut broken = whole.clone();
    broken.migrations[1].target = NodeId(1);
    let rest = planner::sound(&snapshot, &roomy(), &broken);
    let vms = |plan: &ClusterPlan| plan.migrations.iter().map(|step| step.vm).collect::<Vec<_>>();
    assert_eq!(vms(&rest), [vms(&whole)[0], vms(&whole)[2]]);
    assert_eq!((rest.migrations[1].step, rest.after.overloaded), (2, 1));
    assert!(matches!(rest.notes[..], [Note::StepsDropped { steps: 1, .. }]), "{:?}", rest.notes);
    assert_ne!(rest.id, whole.id);
    assert_eq!(planner::check(&snapshot, &roomy(), &rest), []);

    // VM 9 goes on to a third node: without its first step the second cannot be.
    let mut detour = whole.clone();
    detour.migrations[1] = Migration { source: NodeId(2), target: NodeId(4), ..detour.migrations[0].clone() };
    detour.migrations[0].target = NodeId(1);
    detour.migrations[1].step = 2;
    let rest = planner::sound(&snapshot, &roomy(), &detour);
    assert_eq!(vms(&rest), [vms(&whole)[2]]);

    snapshot.clusters[0].incomplete = vec![Flaw::Other("a page is missing".into())];
    assert!(planner::sound(&snapshot, &roomy(), &whole).migrations.is_empty());
}

#[test]
fn no_detour_leaves_a_node_that_is_closed_as_a_source() {
    let mut detours = 0;
    for seed in 0..150 {
        let snapshot = scattered(seed);
        let mut policy = Policy { strategy: planner::Strategy::Level, ..roomy() };
        let plan = planned(&snapshot, &policy);
        assert_eq!(planner::check(&snapshot, &policy, &plan), [], "seed {seed}");
        detours += usize::from(detour_of(&plan).is_some());
        policy.exclusions.push(exclusion("3", Direction::Source));
        let plan = planned(&snapshot, &policy);
        assert_eq!(planner::check(&snapshot, &policy, &plan), [], "seed {seed}");
    }
    assert!(detours > 0, "some plan has a detour");
}

#[test]
fn no_detour_goes_by_a_node_that_was_declined_for_its_vm() {
    let mut detours = 0;
    for seed in 0..150 {
        let snapshot = scattered(seed);
        let policy = Policy { strategy: planner::Strategy::Level, ..roomy() };
        let plan = planned(&snapshot, &policy);
        let Some((first, second)) = detour_of(&plan) else { continue };
        detours += 1;
        if detours > 5 {
            break;
        }
        // The third node, and the one that the VM was to come to in the end.
        for declined in [first.target, second.target] {
            let mut policy = policy.clone();
            policy.declined.insert(first.vm, [declined].into());
            assert_ne!(
                planner::check(&snapshot, &policy, &plan),
                [],
                "seed {seed}: the old plan is seen through"
            );
            let plan = planned(&snapshot, &policy);
            assert_eq!(planner::check(&snapshot, &policy, &plan), [], "seed {seed}");
            let goes_there = |step: &Migration| (step.vm, step.target) == (first.vm, declined);
            assert!(!plan.migrations.iter().any(goes_there), "seed {seed}");
        }
    }
    assert!(detours > 0, "some plan has a detour");
}

#[test]
fn every_reader_of_a_node_takes_the_careful_figure() {
    // The counter of node 2 says 4 GiB, its VMs add up to 88 of 100; the other way round on node 3.
    let nodes = (1..=3).map(|id| node(id, 100 * GIB, 32)).collect();
    let mut vms = vec![vm(1, 1, 1, 20 * GIB)];
    vms.extend((10..21).map(|id| vm(id, 2, 1, 8 * GIB)));
    let mut snapshot = cluster(nodes, vms);
    snapshot.nodes[1].memory_used = Some(Mib(4 * GIB));
    snapshot.nodes[2].memory_used = Some(Mib(88 * GIB));
    let policy = roomy();
    for id in [2, 3] {
        let explained = planner::explain_node(&snapshot, &policy, NodeId(id)).expect("the node is there");
        assert_eq!(explained.target, Err(TargetRefusal::Memory), "node {id}");
    }
    let drain = planner::drain(&snapshot, &policy, NodeId(1)).expect("the node is there");
    assert_eq!((drain.leaving(), drain.stuck.len()), (0, 1), "{drain:?}");
    let loss = planner::node_loss(&snapshot, &policy, NodeId(1)).expect("the node is there");
    assert_eq!((loss.vms, loss.homeless.len()), (1, 1), "{loss:?}");
    let growth =
        planner::growth(&snapshot, &policy, ClusterId(1), 1, Some(1), Mib(GIB)).expect("it is there");
    assert_eq!(growth.takers.iter().map(|taker| taker.node).collect::<Vec<_>>(), [NodeId(1)], "{growth:?}");
    // The last look before an order: the counters have changed since the plan.
    let mut before = snapshot.clone();
    before.vms.truncate(1);
    before.nodes[2].memory_used = Some(Mib(0));
    let step =
        planner::drain(&before, &policy, NodeId(1)).expect("the node is there").plan.migrations.remove(0);
    assert!(planner::fit(&before, &policy, &step).is_ok());
    for target in [2, 3] {
        let step = Migration { target: NodeId(target), ..step.clone() };
        let refused = planner::fit(&snapshot, &policy, &step);
        assert!(matches!(refused, Err(planner::Unfit::Target(TargetRefusal::Memory))), "{refused:?}");
    }
}

#[test]
fn check_finds_what_a_plan_must_not_do() {
    let snapshot = crowded();
    let good = planned(&snapshot, &roomy());
    type Spoil = fn(&mut Snapshot, &mut Policy, &mut ClusterPlan);
    let cases: [Spoil; 12] = [
        |_, policy, _| policy.migrations_max = 0,
        |_, policy, plan| {
            drop(policy.declined.insert(plan.migrations[0].vm, [plan.migrations[0].target].into()))
        },
        |snapshot, _, _| snapshot.clusters[0].incomplete = vec![Flaw::Other("a page is missing".into())],
        |_, _, plan| plan.migrations[0].step = 2,
        |_, _, plan| plan.migrations[0].vm = VmId(77),
        |_, _, plan| plan.migrations[0].source = NodeId(3),
        |_, _, plan| plan.migrations[0].target = NodeId(1),
        |snapshot, _, _| snapshot.vms[2].blocked_by = vec![Block::Rescue],
        |_, policy, _| policy.pinned = vec![Selector("3".into())],
        |snapshot, _, _| snapshot.nodes[1].memory_used = Some(Mib(65 * GIB)),
        |_, policy, _| policy.exclusions = vec![exclusion("node-0002", Direction::Target)],
        |_, _, plan| plan.after.memory_percent_max = 12.0,
    ];
    assert_eq!(planner::check(&snapshot, &roomy(), &good), []);
    for spoil in cases {
        let (mut snapshot, mut policy, mut plan) = (snapshot.clone(), roomy(), good.clone());
        spoil(&mut snapshot, &mut policy, &mut plan);
        assert_ne!(planner::check(&snapshot, &policy, &plan), []);
    }
}

#[test]
fn the_plans_name_does_not_depend_on_the_time() {
    let mut snapshot = crowded();
    let first = planner::plan(&snapshot, &roomy());
    snapshot.taken_at += TimeDelta::minutes(3);
    let second = planner::plan(&snapshot, &roomy());
    assert_eq!((&first.id, &first.clusters[0].id), (&second.id, &second.clusters[0].id));
    assert_eq!(first.id.0.len(), 16);
    snapshot.vms[2].blocked_by = vec![Block::Iso];
    assert_ne!(planner::plan(&snapshot, &roomy()).id, first.id);
}

/// Four nodes of different sizes and 14 VMs anywhere but on the third.
fn scattered(seed: u64) -> Snapshot {
    let mut dice = Dice::new(seed);
    let nodes = (1..=4).map(|id| node(id, (60 + dice.remainder(40) as u64) * GIB, 8)).collect();
    let vms = (0..14).map(|id| {
        let at = [1, 1, 2, 2, 4][dice.remainder(5)];
        vm(id, at, 1 << dice.remainder(4), (4 + dice.remainder(6) as u64 * 4) * GIB)
    });
    cluster(nodes, vms.collect())
}

/// Both steps of a VM that goes by way of a third node.
fn detour_of(plan: &ClusterPlan) -> Option<(&Migration, &Migration)> {
    plan.migrations.iter().enumerate().find_map(|(index, first)| {
        let second = plan.migrations[index + 1..].iter().find(|step| step.vm == first.vm)?;
        Some((first, second))
    })
}

/// Node 1 with 80 of 100 GiB, nodes 2 and 3 empty.
pub fn crowded() -> Snapshot {
    cluster(
        (1..=3).map(|id| node(id, 100 * GIB, 32)).collect(),
        vec![vm(1, 1, 1, 20 * GIB), vm(2, 1, 1, 30 * GIB), vm(3, 1, 1, 10 * GIB), vm(4, 1, 1, 20 * GIB)],
    )
}

/// Node 1 with a load of 11 on 10 cores, 3 of it by VM 3; node 2 idle. Both measured.
fn busy() -> Snapshot {
    let vms = (1..=4).map(|id| vm(id, 1, 2, 10 * GIB)).collect();
    let mut snapshot = cluster(vec![node(1, 100 * GIB, 10), node(2, 100 * GIB, 10)], vms);
    snapshot.nodes[0].load = Some(Measured { busy_cores: Some(9.9), ..support::measured(11.0) });
    snapshot.nodes[1].load = Some(support::measured(1.0));
    for (vm, cores) in snapshot.vms.iter_mut().zip([0.1, 0.2, 3.0, 0.5]) {
        vm.measured = Some(VmUse { cores, at: noon() });
    }
    snapshot
}

pub fn roomy() -> Policy {
    Policy { migrations_max: 100, parallel_max: 1, ..Policy::default() }
}

fn exclusion(node: &str, direction: Direction) -> Exclusion {
    Exclusion { node: Selector(node.into()), direction, until: None, why: ExclusionWhy::Configured }
}

fn foreign(cluster: Option<ClusterId>) -> ForeignMigration {
    ForeignMigration { task: 5, cluster, vm: None, status: "running".into() }
}

pub fn planned(snapshot: &Snapshot, policy: &Policy) -> ClusterPlan {
    planner::plan(snapshot, policy).clusters.swap_remove(0)
}

pub fn only(plan: &ClusterPlan) -> &Migration {
    assert_eq!(plan.migrations.len(), 1, "{:#?}", plan.migrations);
    &plan.migrations[0]
}
