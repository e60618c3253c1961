//! Plans with measured nodes: which VM causes the load, what averages do not show yet, and what closes a target.

use chrono::{DateTime, TimeDelta, Utc};
use vm_balancer::{
    model::{Measured, Mib, NodeId, Snapshot, VmId, VmInfo, VmUse},
    planner::{
        self, LOAD_FORGOTTEN, LOAD_WINDOW, Migration, Note, Policy, RecentMove, Resource, Strain,
        TargetRefusal, Threshold, Unfit,
    },
};

use crate::{
    rules::{crowded, only, planned, roomy},
    support::{self, cluster, node, noon, vm},
};

const GIB: u64 = 1024;

// ---- whose load it is

#[test]
fn on_a_saturated_node_a_vm_counts_for_the_threads_that_want_to_run() {
    // Ten VMs with four busy vCPUs each share 16 cores: 1.6 cores are what each gets, not what it wants.
    for busy_cores in [None, Some(16.0)] {
        let snapshot = saturated(40.0, 10, 1.6, busy_cores);
        let plan = planned(&snapshot, &roomy());
        assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);
        assert_eq!(
            plan.migrations.len(),
            3,
            "node 2 takes three times 4 of its 12.8: {:#?}",
            plan.migrations
        );
        let first = &plan.migrations[0];
        assert_eq!(
            (first.source_state.after.load, first.target_state.after.load),
            (Some(2.25), Some(0.2625))
        );
    }
}

#[test]
fn a_vm_is_stretched_no_further_than_its_vcpus_and_not_where_nobody_waits_for_a_cpu() {
    let after = |snapshot: &Snapshot| planned(snapshot, &roomy()).migrations[0].source_state.after.load;
    // Of a load of 90 each VM has four threads; the rest waits for a disk.
    assert_eq!(after(&saturated(90.0, 10, 1.6, Some(16.0))), Some(86.0 / 16.0));
    let mut disk = saturated(40.0, 10, 1.0, Some(10.0));
    disk.nodes[0].load.as_mut().expect("measured").cpu_pressure = Some(4.9);
    assert_eq!(after(&disk), Some(39.0 / 16.0));
    disk.nodes[0].load.as_mut().expect("measured").cpu_pressure = Some(5.0);
    assert_eq!(after(&disk), Some(36.0 / 16.0));
}

#[test]
fn unmeasured_vms_share_what_the_measured_ones_leave() {
    // VM 1 uses 7.9 of a load of 8.4: the others are idle, and moving one of them would not help.
    let vms = (1..=4).map(|id| vm(id, 1, if id == 1 { 8 } else { 4 }, 2 * GIB)).collect();
    let mut snapshot = cluster(vec![node(1, 100 * GIB, 8), node(2, 100 * GIB, 16)], vms);
    snapshot.nodes[0].load = Some(support::measured(8.4));
    snapshot.nodes[1].load = Some(support::measured(0.2));
    snapshot.vms[0].measured = Some(VmUse { cores: 7.9, at: noon() });
    let plan = planned(&snapshot, &roomy());
    assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);
    assert_eq!(only(&plan).vm, VmId(1));
    // A VM that does not run takes no part.
    snapshot.vms[2].state = "stopped".into();
    snapshot.nodes[0].load.as_mut().expect("measured").five = 9.9;
    let plan = planned(&snapshot, &roomy());
    assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);
    let shares = only(&plan);
    assert_eq!(
        (shares.vm, shares.source_state.after.load.map(|load| (load * 8.0 * 1e6).round() / 1e6)),
        (VmId(1), Some(2.0))
    );
}

// ---- what a load average does not know yet

#[test]
fn a_source_counts_again_once_its_average_has_seen_the_vm_that_left() {
    let (snapshot, mut policy) = just_moved();
    let plan = planned(&snapshot, &policy);
    assert_eq!((plan.overloaded.len(), plan.migrations.len()), (0, 0), "{:#?}", plan.migrations);
    let until = noon() + LOAD_WINDOW - TimeDelta::minutes(1);
    assert_eq!(plan.notes, [Note::Settling { node: "node-0001".into(), until }]);
    // Five minutes later the average still holds a third of what left; without it the node is fine.
    policy.recent_moves[0].ended = noon() - LOAD_WINDOW;
    let plan = planned(&snapshot, &policy);
    assert_eq!((plan.overloaded.len(), plan.notes.len()), (0, 0), "{:#?}", plan.overloaded);
    // When all is forgotten, what the node reads is its own.
    policy.recent_moves[0].ended = noon() - LOAD_FORGOTTEN;
    assert_eq!(planned(&snapshot, &policy).overloaded.len(), 1);
}

#[test]
fn memory_is_relieved_from_a_source_whose_load_settles() {
    let (mut snapshot, policy) = just_moved();
    snapshot.nodes[0].memory_used = Some(Mib(75 * GIB));
    let plan = planned(&snapshot, &policy);
    assert_eq!(planner::check(&snapshot, &policy, &plan), []);
    assert_eq!(
        plan.overloaded[0].over.iter().map(|excess| excess.resource).collect::<Vec<_>>(),
        [Resource::Memory]
    );
    assert_eq!(plan.after.overloaded, 0);
}

#[test]
fn a_target_is_booked_with_what_was_put_there_since_it_was_read() {
    // Node 2 read 1.0 before a VM that uses 5 came to it: 8.0 may be filled, so another 3 do not fit.
    let (mut snapshot, mut policy) = just_moved();
    policy.recent_moves[0].source = NodeId(3);
    snapshot.nodes.push(node(3, 100 * GIB, 10));
    snapshot.nodes[2].load = Some(Measured { at: noon() - TimeDelta::hours(1), ..support::measured(1.0) });
    let refused = planner::explain_vm(&snapshot, &policy, VmId(1)).expect("it is there").refusals;
    assert_eq!(refused, [(NodeId(2), "node-0002".into(), TargetRefusal::Load)]);
    policy.recent_moves.clear();
    let refused = planner::explain_vm(&snapshot, &policy, VmId(1)).expect("it is there").refusals;
    assert_eq!(refused, []);
}

#[test]
fn a_plan_under_way_goes_on_while_its_source_settles() {
    let snapshot = saturated(40.0, 10, 1.6, Some(16.0));
    let plan = planned(&snapshot, &roomy());
    let (first, rest) = plan.migrations.split_first().expect("a plan");
    let mut between = support::after(&snapshot, std::slice::from_ref(first));
    between.taken_at += TimeDelta::minutes(1);
    let policy = Policy { recent_moves: vec![ended(first, between.taken_at)], ..roomy() };
    for step in rest {
        assert_eq!(planner::fit(&between, &policy, step), Ok(()));
    }
    let left = planner::revalidate(&between, &policy, rest);
    assert_eq!((left.kept.len(), left.dropped, left.relieves), (rest.len(), vec![], true));
    // A new plan waits.
    assert_eq!(planned(&between, &policy).migrations, []);
    // What is on the target already counts there, though the target's reading does not show it.
    let crowd = Policy { load: Threshold { overload: 1.0, target: 0.3 }, ..policy };
    assert_eq!(planner::fit(&between, &crowd, &rest[0]), Err(Unfit::Target(TargetRefusal::Load)));
}

// ---- memory that is really used, and pressure

#[test]
fn a_target_that_really_uses_its_memory_takes_nothing() {
    let mut snapshot = crowded();
    snapshot.nodes[2].maintenance = true;
    for (used, moves, age) in [(96, 0, 0), (86, 0, 0), (85, 1, 0), (96, 1, 60)] {
        snapshot.nodes[1].load = Some(Measured {
            at: noon() - TimeDelta::minutes(age),
            memory_used_mib: Some(Mib(used * GIB)),
            ..support::measured(0.1)
        });
        let plan = planned(&snapshot, &roomy());
        assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);
        assert_eq!(plan.migrations.len(), moves, "{used} of 100 GiB are used, 10 would come");
    }
    // Where another one takes it, the VM goes there, although node 2 is as empty by allocation.
    snapshot.nodes[1].load.as_mut().expect("measured").at = noon();
    snapshot.nodes[2].maintenance = false;
    assert_eq!(only(&planned(&snapshot, &roomy())).target, NodeId(3));
}

#[test]
fn memory_that_came_since_the_reading_is_added_to_what_is_used() {
    let mut snapshot = crowded();
    snapshot.vms.push(vm(5, 2, 1, 10 * GIB));
    support::recount(&mut snapshot);
    let used = Measured {
        at: noon() - TimeDelta::minutes(2),
        memory_used_mib: Some(Mib(80 * GIB)),
        ..support::measured(0.1)
    };
    snapshot.nodes[1].load = Some(used);
    let refused =
        |policy: &Policy| planner::explain_vm(&snapshot, policy, VmId(3)).expect("it is there").refusals;
    assert_eq!(refused(&roomy()), []);
    let moved = |minutes| RecentMove {
        vm: VmId(5),
        source: NodeId(3),
        target: NodeId(2),
        ended: noon() - TimeDelta::minutes(minutes),
    };
    let policy = |minutes| Policy { recent_moves: vec![moved(minutes)], ..roomy() };
    assert_eq!(refused(&policy(1)), [(NodeId(2), "node-0002".into(), TargetRefusal::MemoryInUse)]);
    assert_eq!(refused(&policy(2)), [], "the reading has seen it");
}

#[test]
fn a_target_under_pressure_takes_nothing() {
    let mut snapshot = crowded();
    snapshot.nodes[2].maintenance = true;
    let mut refused = |cpu: f64, memory: f64| {
        let pressure =
            Measured { cpu_pressure: Some(cpu), memory_pressure: Some(memory), ..support::measured(0.1) };
        snapshot.nodes[1].load = Some(pressure);
        let plan = planned(&snapshot, &roomy());
        assert_eq!(planner::check(&snapshot, &roomy(), &plan), []);
        let explained = planner::explain_node(&snapshot, &roomy(), NodeId(2)).expect("it is there");
        (plan.migrations.len(), explained.target)
    };
    assert_eq!(refused(25.0, 10.0), (1, Ok(())));
    assert_eq!(refused(25.1, 0.0), (0, Err(TargetRefusal::CpuPressure)));
    assert_eq!(refused(60.0, 10.1), (0, Err(TargetRefusal::MemoryPressure)));
}

#[test]
fn check_knows_what_a_measured_target_refuses() {
    let mut snapshot = crowded();
    snapshot.nodes[1].load =
        Some(Measured { memory_used_mib: Some(Mib(10 * GIB)), ..support::measured(0.1) });
    snapshot.nodes[2].maintenance = true;
    let plan = planned(&snapshot, &roomy());
    assert_eq!(only(&plan).target, NodeId(2));
    type Spoil = fn(&mut Measured);
    let cases: [(TargetRefusal, Spoil); 3] = [
        (TargetRefusal::MemoryInUse, |load| load.memory_used_mib = Some(Mib(90 * GIB))),
        (TargetRefusal::MemoryPressure, |load| load.memory_pressure = Some(11.0)),
        (TargetRefusal::CpuPressure, |load| load.cpu_pressure = Some(26.0)),
    ];
    for (why, spoil) in cases {
        let mut snapshot = snapshot.clone();
        spoil(snapshot.nodes[1].load.as_mut().expect("measured"));
        let refused = planner::Violation::Refused { step: 1, target: NodeId(2), why };
        assert_eq!(planner::check(&snapshot, &roomy(), &plan), [refused]);
    }
}

#[test]
fn real_memory_bounds_a_target_whatever_the_overselling() {
    let mut snapshot = crowded();
    snapshot.nodes[2].maintenance = true;
    snapshot.nodes[1].memory_total = Some(Mib(384 * GIB));
    let real = |total: u64, used: u64| Measured {
        memory_total_mib: Some(Mib(total)),
        memory_used_mib: Some(Mib(used)),
        ..support::measured(0.1)
    };
    let target = |snapshot: &Snapshot| {
        let plan = planned(snapshot, &roomy());
        assert_eq!(planner::check(snapshot, &roomy(), &plan), []);
        let explained = planner::explain_vm(snapshot, &roomy(), VmId(3)).expect("the VM is there");
        (plan.migrations.len(), explained.refusals.first().map(|refusal| refusal.2))
    };
    // VMmanager says 384 GiB, the node has 251.6, of which 242 are used.
    snapshot.nodes[1].load = Some(real(257_638, 242 * GIB));
    assert_eq!(target(&snapshot), (0, Some(TargetRefusal::MemoryInUse)));
    // Little of it is used, but 245 GiB are promised to VMs.
    snapshot.nodes[1].load = Some(real(257_638, 20 * GIB));
    snapshot.nodes[1].memory_used = Some(Mib(245 * GIB));
    assert_eq!(target(&snapshot), (0, Some(TargetRefusal::RealMemory)));
    snapshot.nodes[1].memory_used = Some(Mib(200 * GIB));
    assert_eq!(target(&snapshot), (1, Some(TargetRefusal::Maintenance)));
    // An old reading still tells how much memory is built in.
    snapshot.nodes[1].memory_used = Some(Mib(245 * GIB));
    snapshot.nodes[1].load.as_mut().expect("measured").at -= TimeDelta::hours(5);
    assert_eq!(target(&snapshot), (0, Some(TargetRefusal::RealMemory)));
}

#[test]
fn a_node_that_suffers_although_its_thresholds_hold_is_told() {
    let mut snapshot = crowded();
    snapshot.nodes[1].load = Some(Measured {
        memory_used_mib: Some(Mib(98 * GIB)),
        memory_pressure: Some(60.2),
        cpu_pressure: Some(70.4),
        ..support::measured(8.0)
    });
    let notes = |snapshot: &Snapshot| planned(snapshot, &roomy()).notes;
    let node = || "node-0002".to_owned();
    let unmeasured = || Note::Unmeasured { nodes: vec!["node-0001".into(), "node-0003".into()] };
    let strains = vec![Strain::MemoryInUse(98), Strain::WaitsForMemory(60), Strain::WaitsForCpu(70)];
    assert_eq!(notes(&snapshot), [unmeasured(), Note::Strained { node: node(), strains }]);
    // Tasks that wait for a disk do not count as CPU load.
    snapshot.nodes[1].load =
        Some(Measured { cpu_pressure: Some(1.0), io_pressure: Some(80.0), ..support::measured(40.0) });
    let disk = Note::LoadIsNotCpu { node: node(), cpu_pressure: 1, io_pressure: Some(80) };
    assert_eq!(notes(&snapshot), [unmeasured(), disk]);
    assert_eq!(
        planned(&snapshot, &roomy()).overloaded.len(),
        2,
        "the contract's threshold counts all the same"
    );
}

/// Node 1 with that load on 16 cores and `count` VMs of four vCPUs that use `cores` each; node 2 idle.
fn saturated(five: f64, vms: u64, cores: f64, busy_cores: Option<f64>) -> Snapshot {
    let vms = (1..=vms)
        .map(|id| VmInfo { measured: Some(VmUse { cores, at: noon() }), ..vm(id, 1, 4, GIB) })
        .collect();
    let mut snapshot = cluster(vec![node(1, 100 * GIB, 16), node(2, 100 * GIB, 16)], vms);
    snapshot.nodes[0].load = Some(Measured { busy_cores, ..support::measured(five) });
    snapshot.nodes[1].load = Some(support::measured(0.2));
    snapshot
}

/// Node 1 still reads a load of 11 on 10 cores a minute after VM 2 went to node 2, which uses 5 of it.
fn just_moved() -> (Snapshot, Policy) {
    let mut snapshot = cluster(
        vec![node(1, 100 * GIB, 10), node(2, 100 * GIB, 10)],
        vec![vm(1, 1, 8, 10 * GIB), vm(2, 2, 6, 10 * GIB), vm(3, 1, 2, 10 * GIB)],
    );
    let busy_cores = Some(11.0);
    snapshot.nodes[0].load = Some(Measured { busy_cores, ..support::measured(11.0) });
    snapshot.nodes[1].load = Some(support::measured(1.0));
    for (vm, cores) in snapshot.vms.iter_mut().zip([4.0, 5.0, 1.0]) {
        vm.measured = Some(VmUse { cores, at: noon() });
    }
    let left = RecentMove {
        vm: VmId(2),
        source: NodeId(1),
        target: NodeId(2),
        ended: noon() - TimeDelta::minutes(1),
    };
    (snapshot, Policy { recent_moves: vec![left], ..roomy() })
}

fn ended(step: &Migration, ended: DateTime<Utc>) -> RecentMove {
    RecentMove { vm: step.vm, source: step.source, target: step.target, ended }
}
