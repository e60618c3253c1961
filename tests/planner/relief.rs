//! How far relief goes: the margin, targets beyond their target thresholds, what is worth its cost, and when one
//! reading is enough.

use vm_balancer::{
    model::{ClusterId, Measured, NodeId, Snapshot, VmId, VmUse},
    planner::{
        self, Caution, Consent, Excess, Margin, MoveWhy, Obstacle, Policy, Resource, SkipWhy, TargetRefusal,
        Threshold, Unfit,
    },
};

use crate::{
    rules::{only, planned, roomy},
    support::{self, cluster, node, noon, vm},
};

const GIB: u64 = 1024;

// ---- the margin

#[test]
fn a_node_over_its_threshold_of_load_is_taken_below_it_by_the_margin() {
    // 17 cores are wanted on 16: one VM suffices for the threshold, a second for the margin.
    let snapshot = loaded(&[1.0; 17], 0.0);
    let policy = Policy { relief_worth: 0.0, ..roomy() };
    let plan = planned(&snapshot, &policy);
    assert_eq!(planner::check(&snapshot, &policy, &plan), []);
    assert_eq!(plan.migrations.len(), 3, "{:#?}", plan.migrations);
    let source = |step: usize| plan.migrations[step].source_state.after.load;
    assert_eq!((source(0), source(2)), (Some(1.0), Some(0.875)));
    // What each step finds: over the threshold first, and then within the margin.
    let found = |step: usize| match plan.migrations[step].why {
        MoveWhy::Relieve(Excess { resource: Resource::Load, value, threshold: 1.0 }) => Some(value),
        _ => None,
    };
    assert_eq!([found(0), found(1), found(2)], [Some(1.0625), Some(1.0), Some(0.9375)]);
    let exact = planned(&snapshot, &Policy { relief_margin: Margin::default(), ..policy.clone() });
    assert_eq!(exact.migrations.len(), 1);
    // The steps that only the margin needs are part of what was approved.
    let left = planner::revalidate(&snapshot, &policy, &plan.migrations);
    assert_eq!((left.kept.len(), left.relieves), (3, true));
}

#[test]
fn a_margin_of_memory_is_kept_where_one_is_set() {
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32)],
        (0..18).map(|id| vm(id, 1, 1, 4 * GIB)).collect(),
    );
    let at = |memory| {
        let policy = Policy { relief_margin: Margin { memory, load: 0.0 }, ..roomy() };
        let plan = planned(&snapshot, &policy);
        assert_eq!(planner::check(&snapshot, &policy, &plan), []);
        plan.migrations.len()
    };
    assert_eq!((at(0.0), at(3.0)), (1, 2), "72 GiB: to 70, or to 67");
}

#[test]
fn the_margin_is_dropped_where_it_would_leave_overload_or_exceed_the_limit() {
    let mut snapshot = loaded(&[1.0; 17], 0.0);
    snapshot.nodes.push(node(3, 200 * GIB, 16));
    snapshot.nodes[2].load = Some(Measured { busy_cores: Some(16.0), ..support::measured(18.0) });
    for id in 200..218 {
        let own = VmUse { cores: 1.0, at: noon() };
        snapshot.vms.push(vm_balancer::model::VmInfo { measured: Some(own), ..vm(id, 3, 1, GIB) });
    }
    support::recount(&mut snapshot);
    // Three steps clear both nodes; the margin alone would want seven.
    for limit in [3, 4, 7] {
        let policy = Policy { migrations_max: limit, ..roomy() };
        let plan = planned(&snapshot, &policy);
        assert_eq!(planner::check(&snapshot, &policy, &plan), []);
        assert_eq!(plan.after.overloaded, 0, "{limit}: {:#?}", plan.migrations);
    }
}

#[test]
fn a_node_that_stands_between_the_margin_and_its_threshold_is_left_alone() {
    let snapshot = loaded(&[1.0; 15], 0.0);
    assert!(planned(&snapshot, &roomy()).migrations.is_empty(), "0.94 is under the threshold");
}

// ---- soft targets

#[test]
fn a_target_is_filled_further_only_where_a_node_would_stay_overloaded_and_the_plan_says_so() {
    // Node 2 has 12 of 16 cores busy: one core more is its target threshold, three are 0.95 of the other.
    let snapshot = loaded(&[1.0; 19], 12.0);
    let policy = Policy { relief_margin: Margin::default(), ..roomy() };
    let plan = planned(&snapshot, &policy);
    assert_eq!(planner::check(&snapshot, &policy, &plan), []);
    let soft = [Caution::SoftTarget { resource: Resource::Load }];
    let cautions: Vec<_> = plan.migrations.iter().map(|step| step.cautions.as_slice()).collect();
    assert_eq!(cautions, [&soft[..], &soft[..], &soft[..]][..].to_vec(), "{:#?}", plan.migrations);
    assert_eq!(plan.migrations[2].target_state.after.load, Some(15.0 / 16.0));
    // Without the word, or where the policy forbids it, such a step may not be ordered.
    let step = &plan.migrations[0];
    assert_eq!(planner::fit(&snapshot, &policy, step), Ok(()));
    let silent = planner::Migration { cautions: Vec::new(), ..step.clone() };
    assert_eq!(planner::fit(&snapshot, &policy, &silent), Err(Unfit::Target(TargetRefusal::Load)));
    let hard = Policy { soft_targets: false, ..policy.clone() };
    assert_eq!(planner::fit(&snapshot, &hard, step), Err(Unfit::Target(TargetRefusal::Load)));
    assert_ne!(planner::check(&snapshot, &hard, &plan), []);
    let mut untold = plan.clone();
    untold.migrations.iter_mut().for_each(|step| step.cautions.clear());
    assert_ne!(planner::check(&snapshot, &policy, &untold), []);
    let strict = planned(&snapshot, &hard);
    assert!(strict.migrations.is_empty() && strict.still_overloaded.len() == 1);
}

#[test]
fn a_target_that_needs_no_exception_gets_no_caution() {
    let snapshot = loaded(&[1.0; 18], 4.0);
    let plan = planned(&snapshot, &roomy());
    assert!(plan.after.overloaded == 0 && plan.migrations.iter().all(|step| step.cautions.is_empty()));
}

#[test]
fn nothing_is_evened_out_onto_a_softly_filled_target() {
    let policy = Policy { strategy: planner::Strategy::Level, ..roomy() };
    let snapshot = loaded(&[1.0; 19], 12.0);
    let plan = planned(&snapshot, &policy);
    assert_eq!(planner::check(&snapshot, &policy, &plan), []);
    let evens = |why: &MoveWhy| matches!(why, MoveWhy::Level { .. });
    assert!(plan.migrations.iter().all(|step| step.cautions.is_empty() || !evens(&step.why)));
    assert_eq!(plan.after.overloaded, 0);
}

#[test]
fn memory_is_relieved_although_every_target_is_near_its_target_threshold_of_load() {
    // Node 1 is over by memory alone; the only target stands at 0.79 of 0.8 by load and is all but empty.
    let mut snapshot = cluster(
        vec![node(1, 100 * GIB, 16), node(2, 100 * GIB, 16)],
        (0..8).map(|id| vm(id, 1, 2, 10 * GIB)).collect(),
    );
    for (node, five) in snapshot.nodes.iter_mut().zip([4.0, 12.7]) {
        node.load = Some(Measured { busy_cores: Some(five), ..support::measured(five) });
    }
    let plan = planned(&snapshot, &roomy());
    assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);
    assert_eq!(only(&plan).cautions, [Caution::SoftTarget { resource: Resource::Load }]);
    assert_eq!(plan.after.overloaded, 0);
    // Without soft targets too: load is far from its threshold on both nodes, so it does not forbid relief of memory.
    let hard = Policy { soft_targets: false, ..roomy() };
    let plan = planned(&snapshot, &hard);
    assert_eq!(planner::check(&snapshot, &hard, &plan), []);
    let step = only(&plan);
    assert_eq!(step.cautions, [Caution::SoftTarget { resource: Resource::Load }]);
    assert_eq!(planner::fit(&snapshot, &hard, step), Ok(()));
    // At 0.89 on the target, or over 0.9 on the source, it is not far any more.
    for busy in [[4.0, 14.3], [15.0, 12.7]] {
        let mut near = snapshot.clone();
        for (node, five) in near.nodes.iter_mut().zip(busy) {
            node.load = Some(Measured { busy_cores: Some(five), ..support::measured(five) });
        }
        assert!(planned(&near, &hard).migrations.is_empty(), "{busy:?}");
    }
    assert_eq!(
        planner::fit(&snapshot, &hard, &planner::Migration { cautions: Vec::new(), ..step.clone() }),
        Err(Unfit::Target(TargetRefusal::Load))
    );
}

#[test]
fn load_is_relieved_although_every_target_is_near_its_target_threshold_of_memory() {
    let tight = |used: u64| {
        let mut snapshot = loaded(&[1.0; 19], 4.0);
        let mut full = vm(900, 2, 1, used * GIB);
        full.blocked_by = vec![vm_balancer::model::Block::Snapshots];
        snapshot.vms.push(full);
        support::recount(&mut snapshot);
        snapshot
    };
    let memory = Threshold { target: 50.0, overload: 70.0 };
    let hard = Policy { soft_targets: false, memory, relief_margin: Margin::default(), ..roomy() };
    let total = tight(0).nodes[1].memory_total.unwrap().0 / GIB;
    let snapshot = tight(total / 2);
    let plan = planned(&snapshot, &hard);
    assert_eq!(planner::check(&snapshot, &hard, &plan), []);
    assert_eq!(plan.after.overloaded, 0, "{:#?}", plan.still_overloaded);
    let soft = Caution::SoftTarget { resource: Resource::Memory };
    assert!(plan.migrations.iter().all(|step| step.cautions == [soft.clone()]), "{:#?}", plan.migrations);
    assert!(planned(&tight(total * 64 / 100), &hard).migrations.is_empty(), "63 % is not far from 70 %");
}

#[test]
fn a_soft_target_never_reaches_the_reserve_or_the_threshold_of_overload() {
    let soft = |target, overload| Threshold { target, overload }.soft_ceiling();
    assert_eq!(
        [soft(0.8, 1.0), soft(0.97, 1.0), soft(80.0, 70.0), soft(70.0, 70.0)],
        [0.95, 0.97, 70.0, 70.0]
    );
    let snapshot = cluster(
        vec![node(1, 100 * GIB, 32), node(2, 100 * GIB, 32)],
        (0..9).map(|id| vm(id, 1, 1, 10 * GIB)).collect(),
    );
    let memory = Threshold { overload: 80.0, target: 5.0 };
    let policy = Policy { memory, memory_reserve_percent: 91.0, ..roomy() };
    let plan = planned(&snapshot, &policy);
    assert!(plan.migrations.is_empty(), "9 GiB are outside the reserve, and a VM has 10");
}

// ---- worth

#[test]
fn a_vm_that_takes_off_too_little_load_for_its_size_stays_and_says_why() {
    // Each VM uses a core and has 30 GiB: 1/16 of the node for a cost of 34 is less than 0.003 for each.
    let mut snapshot = loaded(&[1.0; 17], 0.0);
    snapshot.vms.iter_mut().for_each(|vm| vm.memory = vm_balancer::model::Mib(30 * GIB));
    snapshot.nodes.iter_mut().for_each(|node| {
        node.memory_total = Some(vm_balancer::model::Mib(2000 * GIB));
    });
    support::recount(&mut snapshot);
    let plan = planned(&snapshot, &roomy());
    assert!(plan.migrations.is_empty());
    let why = &plan.still_overloaded[0].because;
    assert!(why.contains(&Obstacle::Immovable { why: SkipWhy::NotWorthIt, count: 17 }), "{why:?}");
    assert!(plan.skipped.iter().all(|skip| skip.why == SkipWhy::NotWorthIt) && plan.skipped.len() == 17);
    let explained = planner::explain_vm(&snapshot, &roomy(), snapshot.vms[0].id).expect("it is there");
    assert_eq!(explained.movable, Err(SkipWhy::NotWorthIt));
    let eager = Policy { relief_worth: 0.0015, ..roomy() };
    assert!(planned(&snapshot, &eager).after.overloaded == 0, "1/16 for 34 is 0.0018 for each");
    // Where memory is over too, its price is no reason.
    snapshot.nodes[0].memory_total = Some(vm_balancer::model::Mib(600 * GIB));
    assert!(!planned(&snapshot, &roomy()).migrations.is_empty());
}

// ---- one sure reading

#[test]
fn one_reading_counts_where_the_excess_is_large_or_guests_wait() {
    let patient = Policy { load_readings: 2, ..roomy() };
    let over = |five: f64, cpu_pressure: Option<f64>| -> Vec<Excess> {
        let mut snapshot = loaded(&[1.0; 21], 0.0);
        let reading = Measured { cpu_pressure, previous_five: Some(4.0), ..support::measured(five) };
        snapshot.nodes[0].load = Some(reading);
        let plan = planned(&snapshot, &patient);
        assert_eq!(planner::check(&snapshot, &patient, &plan), []);
        plan.overloaded.into_iter().flat_map(|node| node.over).collect()
    };
    assert!(over(20.0, None).is_empty(), "1.25 of the threshold waits for the next reading");
    assert_eq!(over(20.1, None).len(), 1);
    assert!(over(17.0, Some(25.0)).is_empty());
    assert_eq!(over(17.0, Some(25.1)).len(), 1);
    assert!(over(16.0, Some(90.0)).is_empty(), "at the threshold a node is not over");
}

/// Two nodes of 16 cores: VMs of one GiB with these uses on the first, and such a load on the second.
fn loaded(uses: &[f64], elsewhere: f64) -> Snapshot {
    let vms = (0..uses.len() as u64).map(|id| vm(id, 1, 1, GIB)).collect();
    let mut snapshot = cluster(vec![node(1, 100 * GIB, 16), node(2, 100 * GIB, 16)], vms);
    for (vm, cores) in snapshot.vms.iter_mut().zip(uses) {
        vm.measured = Some(VmUse { cores: *cores, at: noon() });
    }
    let load = uses.iter().sum();
    for (node, five) in snapshot.nodes.iter_mut().zip([load, elsewhere]) {
        node.load = Some(Measured { busy_cores: Some(five), ..support::measured(five) });
    }
    snapshot
}

#[test]
fn a_vm_without_load_is_not_kept_from_a_target_by_the_load_there() {
    // Node 1 is over by memory alone, and of its VMs only the first two use a CPU. The load of node 2 stands at 0.97.
    let mut snapshot = cluster(
        vec![node(1, 100 * GIB, 16), node(2, 100 * GIB, 16)],
        (1..=8).map(|id| vm(id, 1, 2, 10 * GIB)).collect(),
    );
    for (node, five) in snapshot.nodes.iter_mut().zip([4.0, 15.5]) {
        node.load = Some(Measured { busy_cores: Some(five), ..support::measured(five) });
    }
    for (vm, cores) in snapshot.vms.iter_mut().zip([2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]) {
        vm.measured = Some(VmUse { cores, at: noon() });
    }
    for soft_targets in [true, false] {
        let policy = Policy { soft_targets, ..roomy() };
        let plan = planned(&snapshot, &policy);
        assert_eq!(planner::check(&snapshot, &policy, &plan), []);
        let step = only(&plan);
        assert!(step.vm > VmId(2) && plan.after.overloaded == 0, "{step:?}");
        assert_eq!((step.cautions.as_slice(), step.target_state.after.load), (&[][..], Some(15.5 / 16.0)));
        assert_eq!(planner::fit(&snapshot, &policy, step), Ok(()));
        // One that brings load is refused, and one without load too where the target is overloaded.
        let busy = planner::Migration { vm: VmId(1), ..step.clone() };
        assert_eq!(planner::fit(&snapshot, &policy, &busy), Err(Unfit::Target(TargetRefusal::Load)));
        let mut over = snapshot.clone();
        over.nodes[1].load = Some(Measured { busy_cores: Some(15.9), ..support::measured(16.5) });
        assert_eq!(planner::fit(&over, &policy, step), Err(Unfit::Target(TargetRefusal::Load)));
    }
}

// ---- a plan that goes on

#[test]
fn a_plan_that_goes_on_clears_more_nodes_and_another_takes_off_the_most() {
    // Node 1 is over by 30 GiB and needs three moves; nodes 2 and 3 are over by 2 and need one each.
    let sizes = [(1, 10, 10), (2, 8, 9), (3, 8, 9)];
    let vms = sizes.into_iter().flat_map(|(node, count, gib)| {
        (0..count).map(move |vm_of| vm(100 * node + vm_of, node, 1, gib * GIB))
    });
    let snapshot = cluster((1..=6).map(|id| node(id, 100 * GIB, 32)).collect(), vms.collect());
    let over_after = |goes_on, migrations_max| {
        let consent = if goes_on { Consent::NotNeeded } else { Consent::OnePlan };
        let policy = Policy { consent, migrations_max, ..roomy() };
        let plan = planned(&snapshot, &policy);
        assert_eq!(planner::check(&snapshot, &policy, &plan), []);
        assert_eq!(plan.migrations[0].source, NodeId(1), "the worst node first");
        plan.after.overloaded
    };
    assert_eq!([2, 3].map(|most| over_after(false, most)), [3, 2]);
    assert_eq!([2, 3].map(|most| over_after(true, most)), [2, 1]);
    // Where the limit does not bind, both are the same.
    assert_eq!([false, true].map(|goes_on| over_after(goes_on, 5)), [0, 0]);
}

// ---- relief in advance

/// Nodes of 100 GiB: the first with so much in VMs of 1 GiB, the second at 69 GiB, and two that are empty.
fn near(first: u64) -> Snapshot {
    let filled = [(1, first), (2, 69)];
    let vms = filled.into_iter().flat_map(|(on, gib)| (0..gib).map(move |id| vm(100 * on + id, on, 1, GIB)));
    cluster((1..=4).map(|id| node(id, 100 * GIB, 32)).collect(), vms.collect())
}

fn asking(but_for: &[u64], ending: &[u64]) -> Consent {
    let clusters = |ids: &[u64]| Some(ids.iter().map(|id| ClusterId(*id)).collect());
    Consent::People { but_for: clusters(but_for), ending: clusters(ending) }
}

#[test]
fn nodes_near_their_memory_thresholds_are_relieved_in_advance_where_nobody_is_asked_for_that_alone() {
    let (calm, over) = (near(30), near(72));
    let sources = |snapshot: &Snapshot, consent: Consent| {
        let policy = Policy { consent, relief_ahead: 3.0, ..roomy() };
        let plan = planned(snapshot, &policy);
        assert_eq!(planner::check(snapshot, &policy, &plan), []);
        let moves = |step: &planner::Migration| (step.source.0, step.why.is_ahead());
        plan.migrations.iter().map(moves).collect::<Vec<_>>()
    };
    let (relief, ahead) = ((1, false), (2, true));
    // Node 1 goes to its threshold, and then as far below it as node 2: 67 GiB.
    let both = [relief, relief, (1, true), (1, true), (1, true), ahead, ahead];
    let sorted = |consent| {
        let mut sources = sources(&over, consent);
        sources.sort();
        sources
    };
    assert_eq!(sorted(Consent::OnePlan), [relief; 2]);
    assert_eq!(sorted(Consent::NotNeeded), both);
    assert_eq!(sorted(asking(&[], &[])), both, "people are asked anyway");
    assert_eq!(sorted(asking(&[1], &[])), [relief; 2], "a failure would end the standing approval");
    assert_eq!(sorted(asking(&[1], &[1])), both);
    assert_eq!(sources(&calm, Consent::OnePlan), []);
    assert_eq!(sources(&calm, Consent::NotNeeded), [ahead; 2]);
    assert_eq!(sources(&calm, asking(&[], &[])), []);
    assert_eq!(sources(&calm, asking(&[1], &[])), []);
    assert_eq!(sources(&calm, asking(&[1], &[1])), [ahead; 2]);
    assert_eq!(sources(&calm, asking(&[2], &[2])), [], "that is another cluster's");
}

#[test]
fn relief_in_advance_takes_what_relief_leaves_of_the_limit_and_names_what_it_finds() {
    let plan = |migrations_max, relief_ahead| {
        let policy = Policy { consent: asking(&[], &[]), migrations_max, relief_ahead, ..roomy() };
        let plan = planned(&near(72), &policy);
        assert_eq!(planner::check(&near(72), &policy, &plan), []);
        plan
    };
    let ahead =
        |plan: &planner::ClusterPlan| plan.migrations.iter().filter(|step| step.why.is_ahead()).count();
    assert_eq!([2, 3, 4].map(|most| ahead(&plan(most, 3.0))), [0, 1, 2]);
    assert_eq!(ahead(&plan(100, 0.0)), 0);
    let plan = plan(100, 3.0);
    let of_second = plan.migrations.iter().filter(|step| step.source == NodeId(2)).map(|step| &step.why);
    let found = |value| MoveWhy::Ahead(Excess { resource: Resource::Memory, value, threshold: 70.0 });
    assert_eq!(of_second.collect::<Vec<_>>(), [&found(69.0), &found(68.0)]);
}

#[test]
fn relief_in_advance_is_kept_while_its_node_is_near_and_relief_is_left_beside_it() {
    let policy = Policy { consent: asking(&[], &[]), relief_ahead: 3.0, ..roomy() };
    let plan = planned(&near(72), &policy);
    let left = |snapshot: &Snapshot, policy: &Policy| {
        let left = planner::revalidate(snapshot, policy, &plan.migrations);
        (left.kept.len(), left.dropped.into_iter().map(|(_, why)| why).collect::<Vec<_>>(), left.relieves)
    };
    assert_eq!(left(&near(72), &policy), (7, vec![], true));
    // VMs of the second node ended by themselves, and it is not near any more.
    let mut shrunk = near(72);
    let leaving: Vec<VmId> = plan.migrations.iter().map(|step| step.vm).collect();
    let mut ended = 0;
    shrunk.vms.retain(|vm| {
        let ends = vm.node == NodeId(2) && !leaving.contains(&vm.id) && ended < 2;
        ended += u32::from(ends);
        !ends
    });
    support::recount(&mut shrunk);
    assert_eq!(left(&shrunk, &policy), (5, vec![Unfit::NoRelief; 2], true));
    let never = Policy { relief_ahead: 0.0, ..policy.clone() };
    assert_eq!(left(&near(72), &never), (2, vec![Unfit::NoRelief; 5], true));
    // What was for relief is not for relief in advance alone; what never was is.
    let mut calm = near(72);
    calm.vms.retain(|vm| leaving.contains(&vm.id) || !(100..110).contains(&vm.id.0));
    support::recount(&mut calm);
    assert!(!left(&calm, &policy).2);
    let ahead: Vec<_> = plan.migrations.iter().filter(|step| step.why.is_ahead()).cloned().collect();
    assert!(planner::revalidate(&near(70), &policy, &ahead).relieves);
}
