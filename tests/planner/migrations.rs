//! What a live migration asks of its nodes besides room, one cluster each.

use vm_balancer::{
    model::{Block, KernelVersion, Measured, Mib, NodeFault, NodeId, NodeInfo, QemuVersion, Snapshot, VmId},
    planner::{
        self, Caution, ClusterPlan, Lenience, MoveWhy, Note, Obstacle, Policy, SkipWhy, Strategy,
        TargetRefusal, Unfit, Violation,
    },
};

use crate::support::{self, cluster, node, vm};

const GIB: u64 = 1024;
const OLD: &str = "5.14.0-362.el9.x86_64";
const NEW: &str = "5.14.0-427.el9.x86_64";

#[test]
fn a_node_with_an_equal_kernel_comes_before_one_with_a_newer() {
    let mut snapshot = example();
    kernels(&mut snapshot, [OLD, NEW, OLD]);
    let plan = planned(&snapshot, &policy());
    assert!(plan.still_overloaded.is_empty());
    for migration in &plan.migrations {
        assert_eq!((migration.target, migration.cautions.len()), (NodeId(3), 0));
    }
}

#[test]
fn a_newer_kernel_is_taken_where_nothing_else_helps_and_the_plan_says_so() {
    let mut snapshot = example();
    kernels(&mut snapshot, [OLD, NEW, NEW]);
    let plan = planned(&snapshot, &policy());
    assert!(plan.still_overloaded.is_empty() && !plan.migrations.is_empty());
    let said = Caution::NewerKernel { source: KernelVersion::new(OLD), target: KernelVersion::new(NEW) };
    assert!(plan.migrations.iter().all(|migration| migration.cautions == [said.clone()]));

    // One free node with an equal kernel has room for a part: only the rest goes to a newer one.
    snapshot.nodes[1].kernel_version = Some(KernelVersion::new(OLD));
    snapshot.vms.push(vm(90, 2, 1, 76 * GIB));
    support::recount(&mut snapshot);
    let plan = planned(&snapshot, &policy());
    let risky: Vec<_> = plan.migrations.iter().map(|migration| !migration.cautions.is_empty()).collect();
    assert!(plan.still_overloaded.is_empty() && risky.contains(&true) && risky.contains(&false), "{risky:?}");

    let mut forbidding = policy();
    forbidding.newer_kernel = Lenience::Forbid;
    let plan = planned(&snapshot, &forbidding);
    assert!(plan.migrations.iter().all(|migration| migration.target == NodeId(2)));
    assert!(!plan.still_overloaded.is_empty());
    let explained = planner::explain_vm(&snapshot, &forbidding, VmId(1)).expect("the VM is there");
    assert_eq!(explained.refusals, [(NodeId(3), "node-0003".into(), TargetRefusal::NewerKernel)]);

    let mut allowing = policy();
    allowing.newer_kernel = Lenience::Allow;
    kernels(&mut snapshot, [OLD, NEW, NEW]);
    assert!(planned(&snapshot, &allowing).migrations.iter().all(|migration| migration.cautions.is_empty()));
}

#[test]
fn evening_out_takes_no_risk() {
    let mut snapshot = cluster(
        vec![node(1, 128 * GIB, 32), node(2, 128 * GIB, 32)],
        (1..=8).map(|id| vm(id, 1, 2, 8 * GIB)).collect(),
    );
    kernels(&mut snapshot, [OLD, OLD]);
    let mut policy = policy();
    policy.strategy = Strategy::Level;
    assert!(!planned(&snapshot, &policy).migrations.is_empty());
    kernels(&mut snapshot, [OLD, NEW]);
    assert!(planned(&snapshot, &policy).migrations.is_empty());
}

#[test]
fn vms_that_see_the_nodes_cpu_come_last() {
    let mut snapshot = example();
    for vm in &mut snapshot.vms[..7] {
        vm.host_passthrough = true;
    }
    let plan = planned(&snapshot, &policy());
    assert!(plan.still_overloaded.is_empty());
    assert!(plan.migrations.iter().all(|migration| migration.vm > VmId(7) && migration.cautions.is_empty()));

    snapshot.vms.iter_mut().for_each(|vm| vm.host_passthrough = true);
    let plan = planned(&snapshot, &policy());
    assert!(plan.still_overloaded.is_empty() && !plan.migrations.is_empty());
    let unknown = Caution::HostPassthrough { same_cpu: false };
    assert!(plan.migrations.iter().all(|migration| migration.cautions == [unknown.clone()]));

    models(&mut snapshot, ["EPYC 7543", "Xeon 6230", "EPYC 7543"]);
    let plan = planned(&snapshot, &policy());
    assert!(!plan.migrations.is_empty());
    for migration in &plan.migrations {
        assert_eq!(migration.target, NodeId(3));
        assert_eq!(migration.cautions, [Caution::HostPassthrough { same_cpu: true }]);
    }
    let explained = planner::explain_vm(&snapshot, &policy(), VmId(1)).expect("the VM is there");
    assert_eq!(explained.refusals, [(NodeId(2), "node-0002".into(), TargetRefusal::OtherCpu)]);

    let mut forbidding = policy();
    forbidding.host_passthrough = Lenience::Forbid;
    let plan = planned(&snapshot, &forbidding);
    assert!(plan.migrations.is_empty());
    assert!(plan.skipped.iter().all(|skip| skip.why == SkipWhy::HostPassthrough));
}

#[test]
fn nodes_that_cannot_take_a_vm_however_empty_they_are_take_none() {
    type Change = fn(&mut NodeInfo);
    let cases: [(TargetRefusal, Change); 6] = [
        (TargetRefusal::OtherOsFamily, |node| node.os_version = Some("Debian 12".into())),
        (TargetRefusal::QemuTooOld, |node| node.qemu_version = Some(QemuVersion::new("1.5.3"))),
        (TargetRefusal::TooFewCores, |node| node.cpu_total = Some(1)),
        (TargetRefusal::Disk, |node| node.storage_available = Some(Mib(5 * GIB))),
        (TargetRefusal::Fault(NodeFault::Libvirt), |node| node.faults = vec![NodeFault::Libvirt]),
        (TargetRefusal::Fault(NodeFault::Ha), |node| node.faults = vec![NodeFault::Ha]),
    ];
    for (refusal, change) in cases {
        let mut snapshot = example();
        for node in &mut snapshot.nodes {
            node.os_version = Some("AlmaLinux 9.3".into());
        }
        for vm in &mut snapshot.vms {
            vm.disk = Some(Mib(10 * GIB));
        }
        change(&mut snapshot.nodes[1]);
        let plan = planned(&snapshot, &policy());
        assert!(!plan.migrations.is_empty() && plan.still_overloaded.is_empty(), "{refusal:?}");
        assert!(plan.migrations.iter().all(|migration| migration.target == NodeId(3)), "{refusal:?}");
        let explained = planner::explain_vm(&snapshot, &policy(), VmId(1)).expect("the VM is there");
        assert_eq!(explained.refusals, [(NodeId(2), "node-0002".into(), refusal)]);
        let mut broken = plan.clone();
        broken.migrations[0].target = NodeId(2);
        assert!(
            planner::check(&snapshot, &policy(), &broken).contains(&Violation::Refused {
                step: 1,
                target: NodeId(2),
                why: refusal
            }),
            "{refusal:?}"
        );
    }
}

#[test]
fn a_qemu_too_old_lets_no_vm_go() {
    let mut snapshot = example();
    snapshot.nodes[0].qemu_version = Some(QemuVersion::new("1.5.3"));
    let plan = planned(&snapshot, &policy());
    assert!(plan.migrations.is_empty());
    let because = &plan.still_overloaded[0].because[0];
    assert!(
        matches!(because, Obstacle::NoTarget { reasons, .. } if reasons[0].0 == TargetRefusal::QemuTooOld)
    );
}

#[test]
fn local_disks_fill_a_target_and_free_no_source() {
    let mut snapshot = example();
    for vm in &mut snapshot.vms {
        vm.disk = Some(Mib(10 * GIB));
    }
    for node in &mut snapshot.nodes {
        node.storage_available = Some(Mib(15 * GIB));
    }
    let plan = planned(&snapshot, &policy());
    assert_eq!(plan.migrations.len(), 2, "one disk for each neighbour");
    snapshot.clusters[0].local_storage = Some(false);
    let plan = planned(&snapshot, &policy());
    assert!(plan.still_overloaded.is_empty() && plan.migrations.len() > 2, "on network storage disks stay");
}

#[test]
fn nested_virtualization_keeps_a_vm_where_it_is() {
    let mut snapshot = example();
    for vm in &mut snapshot.vms[..7] {
        vm.blocked_by = vec![Block::Nesting];
    }
    assert!(planned(&snapshot, &policy()).migrations.iter().all(|migration| migration.vm > VmId(7)));
}

#[test]
fn faults_and_mixed_families_are_noted() {
    let mut snapshot = example();
    snapshot.nodes[1].faults = vec![NodeFault::Routing];
    snapshot.nodes[0].os_version = Some("Rocky Linux 9".into());
    snapshot.nodes[2].os_version = Some("Ubuntu 22.04".into());
    let plan = planned(&snapshot, &policy());
    assert!(plan.migrations.is_empty());
    let faulty = Note::Faulty { node: "node-0002".into(), faults: vec![NodeFault::Routing] };
    assert_eq!(plan.notes, [faulty, Note::MixedOsFamilies]);
}

#[test]
fn a_risk_that_the_plan_did_not_name_is_not_taken() {
    let mut snapshot = example();
    let plan = planned(&snapshot, &policy());
    let migration = &plan.migrations[0];
    assert_eq!(planner::fit(&snapshot, &policy(), migration), Ok(()));
    for node in &mut snapshot.nodes {
        node.kernel_version = Some(KernelVersion::new(if node.id == NodeId(1) { OLD } else { NEW }));
    }
    let unfit = Unfit::Target(TargetRefusal::NewerKernel);
    assert_eq!(planner::fit(&snapshot, &policy(), migration), Err(unfit));
    let risky = planned(&snapshot, &policy());
    assert_eq!(planner::fit(&snapshot, &policy(), &risky.migrations[0]), Ok(()));
    snapshot.vms.iter_mut().for_each(|vm| vm.host_passthrough = true);
    let unfit = Unfit::Vm(SkipWhy::HostPassthrough);
    assert_eq!(planner::fit(&snapshot, &policy(), &risky.migrations[0]), Err(unfit.clone()));

    // What was unknown may turn out the same, but what was the same must not become unknown.
    let unknown = planned(&snapshot, &policy());
    models(&mut snapshot, ["EPYC 7543"; 3]);
    assert_eq!(planner::fit(&snapshot, &policy(), &unknown.migrations[0]), Ok(()));
    let same = planned(&snapshot, &policy());
    snapshot.nodes.iter_mut().for_each(|node| node.load = None);
    assert_eq!(planner::fit(&snapshot, &policy(), &same.migrations[0]), Err(unfit));
}

#[test]
fn a_drain_takes_a_risk_only_for_who_cannot_leave_otherwise() {
    let mut snapshot = example();
    kernels(&mut snapshot, [OLD, NEW, OLD]);
    let drain = planner::drain(&snapshot, &policy(), NodeId(1)).expect("the node is there");
    assert!(drain.is_complete());
    assert!(drain.plan.migrations.iter().all(|migration| migration.why == MoveWhy::Drain));
    let risky = drain.plan.migrations.iter().filter(|migration| !migration.cautions.is_empty()).count();
    assert_eq!((risky, drain.plan.migrations.len()), (3, 14), "node 3 takes 11 of 8 GiB");
    assert!(planner::check(&snapshot, &policy(), &drain.plan).is_empty());
}

/// A node of 128 GiB with 14 VMs of 8 GiB, and two empty neighbours.
fn example() -> Snapshot {
    let nodes = (1..=3).map(|id| node(id, 128 * GIB, 32)).collect();
    cluster(nodes, (1..=14).map(|id| vm(id, 1, 2, 8 * GIB)).collect())
}

fn kernels<const N: usize>(snapshot: &mut Snapshot, kernels: [&str; N]) {
    for (node, kernel) in snapshot.nodes.iter_mut().zip(kernels) {
        node.kernel_version = Some(KernelVersion::new(kernel));
    }
}

fn models(snapshot: &mut Snapshot, models: [&str; 3]) {
    for (node, model) in snapshot.nodes.iter_mut().zip(models) {
        node.load = Some(Measured { cpu_model: Some(model.into()), ..support::measured(0.1) });
    }
}

fn policy() -> Policy {
    Policy { migrations_max: 20, parallel_max: 2, ..Policy::default() }
}

/// Plans for cluster 1 and finds no rule broken.
fn planned(snapshot: &Snapshot, policy: &Policy) -> ClusterPlan {
    let plan = planner::plan(snapshot, policy).clusters.remove(0);
    assert_eq!(planner::check(snapshot, policy, &plan), []);
    plan
}
