//! Proposals and snapshots for the tests of this room.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    model::{ClusterId, Mib, NodeId, Person, ProposalId, VmId},
    planner::{
        ClusterPlan, Excess, Figures, Fullness, Migration, MoveWhy, NodeState, Obstacle, PlanId, Resource,
        Skip, SkipWhy, StillOverloaded,
    },
    store::{Approver, Origin, Outcome, Proposal, ProposalState, Step, StepState},
};

/// 2026-11-23 20:15 UTC.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_464_900, 0).unwrap_or_default()
}

pub(crate) fn anna() -> Person {
    Person { id: 42, name: "Anna".into() }
}

/// A pending proposal of so many migrations.
pub(crate) fn proposal(migrations: u32) -> Proposal {
    let steps: Vec<_> = (1..=migrations)
        .map(|step| Step { migration: migration(step), journal: None, state: StepState::Waiting })
        .collect();
    Proposal {
        v: 1,
        id: ProposalId(12),
        revision: 1,
        cluster: ClusterId(1),
        cluster_name: "msk".into(),
        plan: plan(steps.iter().map(|step| step.migration.clone()).collect()),
        taken_at: now(),
        origin: Origin::Person(anna()),
        dry_run: false,
        approvals_needed: 1,
        approvals: Vec::new(),
        left_out: BTreeSet::new(),
        state: ProposalState::Pending,
        steps,
        created_at: now(),
        expires_at: now() + TimeDelta::minutes(30),
        reply_to: None,
        cancel: None,
    }
}

pub(crate) fn approved_by_anna() -> Approver {
    Approver::People(vec![anna()])
}

/// The proposal when all is over: every third migration failed, every fourth was dropped.
pub(crate) fn ended(mut proposal: Proposal) -> Proposal {
    for (index, step) in proposal.steps.iter_mut().enumerate() {
        let (outcome, detail) = match index {
            i if i % 3 == 1 => (Outcome::Failed, Some("qemu said no")),
            i if i % 4 == 2 => (Outcome::Dropped, Some("no memory on the target")),
            _ => (Outcome::Done, None),
        };
        step.state = StepState::Ended { outcome, detail: detail.map(str::to_owned), at: now() };
    }
    proposal.state = ProposalState::Done { by: approved_by_anna(), at: now() + TimeDelta::minutes(9) };
    proposal.revision += 5;
    proposal
}

pub(crate) fn migration(step: u32) -> Migration {
    let at = |memory_percent| Fullness { cpu: 1.9, load: None, memory_percent };
    Migration {
        step,
        wave: step,
        vm: VmId(999 + u64::from(step)),
        vm_name: format!("web-{step}"),
        source: NodeId(10),
        source_name: "node-001".into(),
        target: NodeId(21),
        target_name: "node-012".into(),
        vcpus: 4,
        ram: Mib(8192),
        disk: None,
        why: MoveWhy::Relieve(memory_over()),
        runner_up: None,
        source_state: NodeState { before: at(83.1), after: at(79.9) },
        target_state: NodeState { before: at(55.0), after: at(58.1) },
    }
}

pub(crate) fn plan(migrations: Vec<Migration>) -> ClusterPlan {
    ClusterPlan {
        id: PlanId("9f8e7d6c5b4a3210".into()),
        cluster: ClusterId(1),
        name: "msk".into(),
        incomplete: Vec::new(),
        overloaded: Vec::new(),
        migrations,
        still_overloaded: vec![StillOverloaded {
            node: NodeId(11),
            name: "node-002".into(),
            over: vec![memory_over()],
            needs_memory: Some(Mib(4096)),
            needs_cpu: None,
            because: vec![Obstacle::Limit { migrations_max: 2 }],
        }],
        skipped: vec![skip(1), skip(2)],
        notes: Vec::new(),
        before: Figures { overloaded: 4, memory_percent_max: 99.6, cpu_max: 2.2, imbalance: 0.21 },
        after: Figures { overloaded: 1, memory_percent_max: 71.2, cpu_max: 1.9, imbalance: 0.08 },
    }
}

fn memory_over() -> Excess {
    Excess { resource: Resource::Memory, value: 83.1, threshold: 70.0 }
}

fn skip(vm: u64) -> Skip {
    Skip {
        vm: VmId(vm),
        name: format!("db-{vm}"),
        node: NodeId(10),
        why: SkipWhy::Blocked(crate::model::Block::Snapshots),
    }
}
