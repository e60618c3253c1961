//! What the planner says in English.

use chrono::TimeDelta;
use vm_balancer::{
    model::{Block, Mib, NodeId, VmId},
    planner::{
        Excess, MoveWhy, Note, Obstacle, Resource, RestWhy, SkipWhy, StillOverloaded, TargetRefusal, Unfit,
    },
};

use crate::support::noon;

#[test]
fn an_excess_shows_that_it_is_one() {
    let said = |resource, value, threshold| Excess { resource, value, threshold }.to_string();
    assert_eq!(said(Resource::Memory, 83.1234, 70.0), "memory 83.1 % > 70 %");
    assert_eq!(said(Resource::Cpu, 7.4, 7.0), "cpu 7.4 > 7 vCPU per core");
    assert_eq!(said(Resource::Load, 1.004, 1.0), "load 1.004 > 1 per core");
}

#[test]
fn what_stays_overloaded_says_what_it_needs_and_what_is_in_the_way() {
    let until = noon() + TimeDelta::minutes(125);
    let still = StillOverloaded {
        node: NodeId(1),
        name: "node-0001".into(),
        over: vec![Excess { resource: Resource::Memory, value: 84.0, threshold: 70.0 }],
        needs_memory: Some(Mib(14 * 1024)),
        needs_cpu: None,
        because: vec![
            Obstacle::NotEnough { movable: 0 },
            Obstacle::Immovable { why: SkipWhy::Blocked(Block::Snapshots), count: 6 },
            Obstacle::Immovable { why: SkipWhy::Resting { until, why: RestWhy::Moved }, count: 2 },
        ],
    };
    assert_eq!(
        still.to_string(),
        "needs 14 GiB less; movable VMs: none (6 with snapshots, 2 resting until 14:05)"
    );
    let still = StillOverloaded {
        needs_memory: None,
        needs_cpu: Some(3.0),
        because: vec![
            Obstacle::Limit { migrations_max: 1 },
            Obstacle::NoTarget { movable: 4, reasons: vec![(TargetRefusal::Cpu, 4)] },
        ],
        ..still
    };
    assert_eq!(
        still.to_string(),
        "needs 3 vCPUs less; limit of 1 migrations reached; movable VMs: 4, but no target takes one (4: vCPU per \
         core would exceed its threshold)"
    );
}

#[test]
fn reasons_read_as_sentences() {
    let room = MoveWhy::MakeRoom { for_vm: VmId(7), for_vm_name: "db-1".into() };
    assert_eq!(room.to_string(), "makes room for db-1");
    assert_eq!(SkipWhy::Blocked(Block::Snapshots).to_string(), "snapshots");
    assert_eq!(SkipWhy::NoTarget(TargetRefusal::OlderQemu).to_string(), "no target: older QEMU");
    assert_eq!(Unfit::Moved { now: NodeId(4) }.to_string(), "the VM is on node 4 now");
    let note = Note::SumsDiffer { node: "n1".into(), memory_node: Mib(2048), memory_vms: Mib(1024) };
    assert_eq!(note.to_string(), "n1 says 2 GiB of memory are allocated, its VMs add up to 1 GiB");
}
