//! Proposals and snapshots for the tests of this room.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    model::{ClusterId, Mib, NodeId, Person, ProposalId, Snapshot, TaskFailure, VmId},
    planner::{
        self, ClusterPlan, Excess, Figures, Fullness, Migration, MoveWhy, NodeChange, Obstacle, PlanId,
        Policy, RecentMove, Resource, Skip, SkipWhy, StillOverloaded, TargetRefusal, Unfit,
    },
    scheduler::{Group, Kind, Picture, Setting, SettingSource, SettingWarning, Status, Unit},
    store::{
        Approver, Ending, JournalEntry, Mode, Origin, Outcome, Proposal, ProposalState, Step, StepState,
    },
};

/// 2026-11-23 20:15 UTC.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_464_900, 0).unwrap_or_default()
}

pub(crate) fn anna() -> Person {
    Person { id: 42, name: "Anna".into() }
}

/// A pending proposal with that many migrations.
pub(crate) fn proposal(migrations: u32) -> Proposal {
    let steps: Vec<_> = (1..=migrations)
        .map(|step| Step {
            migration: migration(step),
            journal: None,
            task: None,
            given_up: None,
            state: StepState::Waiting,
        })
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
        left_out_before: Vec::new(),
        outlook: None,
        changed: None,
        buttons_from: 0,
        begins: None,
        window_opens: None,
        round: None,
        expected: None,
        held: None,
        voided: Vec::new(),
        state: ProposalState::Pending,
        steps,
        created_at: now(),
        expires_at: now() + TimeDelta::minutes(30),
        reply_to: None,
        cancel: None,
        sight: None,
        rests: BTreeMap::new(),
    }
}

pub(crate) fn approved_by_anna() -> Approver {
    Approver::People(vec![anna()])
}

/// The proposal when all is over: every third migration failed, every fourth was dropped.
pub(crate) fn ended(mut proposal: Proposal) -> Proposal {
    for (index, step) in proposal.steps.iter_mut().enumerate() {
        let (outcome, detail) = match index {
            i if i % 3 == 1 => {
                (Outcome::Failed, Some(Ending::TaskFailed(TaskFailure::Said("qemu said no".into()))))
            }
            i if i % 4 == 2 => (Outcome::Dropped, Some(Ending::Unfit(Unfit::Target(TargetRefusal::Memory)))),
            _ => (Outcome::Done, None),
        };
        step.state = StepState::Ended { outcome, detail, at: now() };
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
        cautions: Vec::new(),
        runner_up: None,
        source_state: NodeChange { before: at(83.1), after: at(79.9) },
        target_state: NodeChange { before: at(55.0), after: at(58.1) },
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

/// How things stand where one migration runs.
pub(crate) fn status(picture: Picture) -> Status {
    Status {
        now: now(),
        mode: Mode::Propose,
        dry_run: false,
        pause: None,
        window_open: true,
        next_cycle: Some(now() + TimeDelta::minutes(7)),
        last_cycle: None,
        picture: Some(picture),
        vmmanager_away: None,
        running: vec![entry(4, 0)],
        waiting: Vec::new(),
        deferred: Vec::new(),
        rounds: Vec::new(),
        exclusions: Vec::new(),
        resting: BTreeMap::new(),
        stopped_clusters: Vec::new(),
        restored_unconfirmed: false,
        standing: Vec::new(),
    }
}

/// Settings of each kind and from each source.
pub(crate) fn settings() -> Vec<Setting> {
    let of = |name, group, unit, kind, value: &str, source| Setting {
        name,
        group,
        unit,
        kind,
        value: value.into(),
        source,
        configured: value.into(),
        warning: None,
    };
    let by_chat = SettingSource::Chat { by: anna(), at: now() - TimeDelta::hours(2) };
    let number = |step| Kind::Number { step };
    let lenience = Kind::Choice(&["forbid", "avoid", "allow"]);
    vec![
        Setting {
            configured: "70".into(),
            warning: Some(SettingWarning::TargetOverOverload {
                target: "CPU_TARGET_THRESHOLD",
                overload: "CPU_OVERLOAD_THRESHOLD",
            }),
            ..of(
                "MEMORY_OVERLOAD_THRESHOLD",
                Group::Thresholds,
                Unit::Percent,
                number(5.0),
                "75",
                by_chat.clone(),
            )
        },
        of("MAX_MIGRATIONS_PER_CYCLE", Group::Moves, Unit::None, number(1.0), "10", by_chat),
        of(
            "LOAD_TARGET_THRESHOLD",
            Group::Thresholds,
            Unit::PerCore,
            number(0.1),
            "0.8",
            SettingSource::Default,
        ),
        of(
            "MIGRATE_TO_NEWER_KERNEL",
            Group::Moves,
            Unit::None,
            lenience,
            "avoid",
            SettingSource::Environment,
        ),
        of("PIN_VMS", Group::Places, Unit::None, Kind::Text, "", SettingSource::Default),
        of("MIGRATION_COOLDOWN", Group::Times, Unit::Seconds, number(3600.0), "21600", SettingSource::File),
        of("DIGEST", Group::Chat, Unit::None, Kind::Text, "09:00", SettingSource::CommandLine),
    ]
}

/// Two clusters; one node is overloaded, and one of its VMs cannot be moved.
pub(crate) fn picture() -> Picture {
    let node = |id: u64, name: &str, cluster: u64, used_mib: u64| {
        serde_json::json!({
            "id": id, "name": name, "cluster": cluster, "cpu_total": 16, "cpu_used": 24,
            "memory_total_mib": 65_536, "memory_used_mib": used_mib, "vm_count": 3,
        })
    };
    let vm = |id: u64, name: &str, node: u64, blocked_by: &[&str]| {
        serde_json::json!({
            "id": id, "name": name, "node": node, "cpu_cores": 4, "memory_mib": 8192, "state": "active",
            "blocked_by": blocked_by,
        })
    };
    let text = serde_json::json!({
        "version": 1, "taken_at": now() - TimeDelta::minutes(3),
        "clusters": [{"id": 1, "name": "msk"}, {"id": 2, "name": "spb"}],
        "nodes": [node(10, "node-001", 1, 53_248), node(11, "node-002", 1, 16_384), node(20, "neva-01", 2, 8192)],
        "vms": [vm(1000, "web-1", 10, &[]), vm(1001, "web-2", 10, &[]), vm(1002, "db-1", 10, &["snapshots"]), vm(1003, "neva-01", 20, &[])],
    });
    planned(&text, Policy { migrations_max: 1, parallel_max: 1, ..Policy::default() })
}

/// Clusters of nodes; the first node of each is overloaded, in every third cluster the second too.
pub(crate) fn many(clusters: u64, nodes: u64) -> Picture {
    let all = || (1..=clusters).flat_map(|cluster| (1..=nodes).map(move |node| (cluster, node)));
    let used = |cluster: u64, node: u64| match node {
        1 => 50_000 + 100 * cluster,
        2 if cluster.is_multiple_of(3) => 48_000,
        _ => 20_000 + node % 1000,
    };
    let node = |(cluster, node): (u64, u64)| {
        serde_json::json!({
            "id": cluster * 10_000 + node, "name": format!("node-{cluster}-{node}"), "cluster": cluster,
            "cpu_total": 32, "cpu_used": 24, "memory_total_mib": 65_536,
            "memory_used_mib": used(cluster, node), "vm_count": 3,
        })
    };
    let text = serde_json::json!({
        "version": 1, "taken_at": now() - TimeDelta::minutes(3),
        "clusters": (1..=clusters).map(|id| serde_json::json!({"id": id, "name": format!("c{id}")})).collect::<Vec<_>>(),
        "nodes": all().map(node).collect::<Vec<_>>(),
        "vms": [],
    });
    planned(&text, Policy::default())
}

/// Nodes that measure themselves, each in another state.
pub(crate) fn measured() -> Picture {
    let reading = |id: u64, minutes_ago: i64, five: f64| {
        let at = now() - TimeDelta::minutes(minutes_ago);
        serde_json::json!({
            "id": id, "name": format!("node-{id}"), "cluster": 1, "cpu_total": 16, "cpu_used": 40,
            "memory_total_mib": 65_536, "memory_used_mib": 32_768, "vm_count": 0,
            "load": {"one": 1.0, "five": five, "fifteen": 1.0, "at": at, "memory_used_mib": 12_288,
                     "cpu_pressure": 12.5, "io_pressure": 3.5},
        })
    };
    let mut short_of_memory = reading(14, 1, 4.0);
    short_of_memory["load"]["memory_used_mib"] = 64_000.into();
    short_of_memory["load"]["memory_pressure"] = 60.2.into();
    let mut settling = reading(15, 1, 20.0);
    settling["load"]["previous_five"] = 20.0.into();
    settling["load"]["cpu_pressure"] = 1.2.into();
    let mut unmeasured = reading(13, 0, 0.0);
    unmeasured["load"] = serde_json::Value::Null;
    let mut refused = unmeasured.clone();
    (refused["id"], refused["name"]) = (16.into(), "node-16".into());
    let text = serde_json::json!({
        "version": 1, "taken_at": now(), "clusters": [{"id": 1, "name": "msk"}],
        "nodes": [reading(10, 2, 8.0), reading(11, 3, 20.0), reading(12, 40, 20.0), unmeasured,
                  short_of_memory, settling, refused],
        "unmeasured": [{"node": 11, "why": "silent"}, {"node": 12, "why": "login"},
                       {"node": 16, "why": "host_key_changed"}],
        "vms": [{"id": 1000, "name": "web-1", "node": 10, "cpu_cores": 4, "memory_mib": 8192, "state": "active",
                 "blocked_by": [], "measured": {"cores": 2.5, "at": now() - TimeDelta::minutes(2)}}],
    });
    let policy = Policy {
        nodes_are_asked: true,
        load_readings: 2,
        recent_moves: vec![RecentMove {
            vm: VmId(2000),
            source: NodeId(15),
            target: NodeId(10),
            ended: now() - TimeDelta::minutes(4),
        }],
        migrations_max: 1,
        parallel_max: 1,
        ..Policy::default()
    };
    planned(&text, policy)
}

fn planned(snapshot: &serde_json::Value, policy: Policy) -> Picture {
    let snapshot = Snapshot::from_json(&snapshot.to_string()).unwrap();
    let plan = planner::plan(&snapshot, &policy);
    Picture::new(snapshot, policy, plan)
}

/// A migration in the journal, as a file has it: 0 runs, 1 is done, 2 failed, and others were dropped.
pub(crate) fn entry(id: u64, kind: u64) -> JournalEntry {
    let closed = |outcome: &str, detail: serde_json::Value| serde_json::json!({"is": "closed", "outcome": outcome, "detail": detail, "at": now(), "ordered": true});
    let state = match kind {
        0 => {
            serde_json::json!({"is": "ordered", "at": now() - TimeDelta::minutes(2), "consul_id": 5, "task_id": 7})
        }
        1 => closed("done", serde_json::Value::Null),
        2 => closed("failed", serde_json::json!({"task_failed": {"said": "qemu said no"}})),
        _ => closed("dropped", serde_json::json!({"unfit": {"target": "memory"}})),
    };
    let entry = serde_json::json!({
        "v": 1, "id": id, "proposal": 12, "plan": "9f8e7d6c5b4a3210", "cluster": 1, "cluster_name": "msk",
        "vm": 999 + id, "vm_name": format!("web-{id}"), "source": 10, "source_name": "node-001",
        "target": 11, "target_name": "node-002", "vcpus": 4, "ram": 8192, "why": {"relieve": {"resource": "memory", "value": 83.1, "threshold": 70.0}},
        "approver": {"people": [anna()]}, "history_before": null,
        "intended_at": now() - TimeDelta::minutes(3), "state": state,
    });
    serde_json::from_value(entry).unwrap()
}
