//! Properties of every plan, on random clusters.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;
use vm_balancer::{
    model::{
        Block, KernelVersion, Measured, Mib, NodeFault, NodeId, NodeInfo, NodeState, QemuVersion, Snapshot,
        VmId, VmUse, dice::Dice,
    },
    planner::{
        self, AntiAffinity, ClusterPlan, Consent, Direction, Exclusion, ExclusionWhy, LEVEL_GAIN_MIN,
        Lenience, Migration, Note, Policy, RecentMove, Rest, RestWhy, Selector, Strategy as Aim, Threshold,
    },
};

use crate::support::{self, after, cluster, node, noon, overload, vm};

const GIB: u64 = 1024;

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_keeps_its_promises((snapshot, policy) in any_cluster()) {
        let plan = planned(&snapshot, &policy);
        prop_assert_eq!(planner::check(&snapshot, &policy, &plan), []);
        for step in &plan.migrations {
            let done = &plan.migrations[..step.step as usize - 1];
            prop_assert_eq!(planner::fit(&after(&snapshot, done), &remembering(&policy, done), step), Ok(()));
        }
        for node in snapshot.nodes.iter().filter(|node| node.state == NodeState::Active) {
            let drain = planner::drain(&snapshot, &policy, node.id).expect("the node is there");
            prop_assert_eq!(planner::check(&snapshot, &policy, &drain.plan), []);
            let dropped = |note: &Note| matches!(note, Note::StepsDropped { .. });
            prop_assert!(!drain.plan.notes.iter().any(dropped));
            let gone: Vec<VmId> = drain.plan.migrations.iter().map(|step| step.vm).collect();
            let stays = drain.stuck.iter().map(|skip| skip.vm);
            let mut here: Vec<VmId> = stays.chain(gone).collect();
            here.sort();
            here.dedup();
            let all = snapshot.vms.iter().filter(|vm| vm.node == node.id);
            prop_assert!(all.map(|vm| vm.id).all(|vm| here.contains(&vm)));
        }
    }

    #[test]
    fn relief_in_advance_comes_after_all_else_and_leaves_no_more_overload((snapshot, policy) in any_cluster()) {
        let plan = |relief_ahead| {
            let (strategy, consent) = (Aim::Relieve, Consent::NotNeeded);
            let policy = Policy { relief_ahead, strategy, consent, ..policy.clone() };
            let plan = planned(&snapshot, &policy);
            prop_assert_eq!(planner::check(&snapshot, &policy, &plan), []);
            for step in &plan.migrations {
                let done = &plan.migrations[..step.step as usize - 1];
                let fit = planner::fit(&after(&snapshot, done), &remembering(&policy, done), step);
                prop_assert_eq!(fit, Ok(()));
            }
            Ok((plan.migrations, plan.after.overloaded))
        };
        let ((alone, over_alone), (ahead, over_ahead)) = (plan(0.0)?, plan(20.0)?);
        prop_assert!(over_ahead <= over_alone);
        let moves = |steps: &[Migration]| steps.iter().map(|step| (step.vm, step.target)).collect::<Vec<_>>();
        prop_assert!(ahead.len() >= alone.len());
        let (relief, further) = ahead.split_at(alone.len());
        prop_assert_eq!(moves(relief), moves(&alone));
        prop_assert!(further.iter().all(|step| step.why.is_ahead()));
        // Where load is measured, it counts and not what is allocated.
        if snapshot.nodes.iter().all(|node| node.load.is_none()) {
            let left = |steps: &[Migration]| overload(&after(&snapshot, steps), &policy);
            prop_assert!(left(&ahead) <= left(&alone) + 1e-9);
        }
    }

    #[test]
    fn no_prefix_is_worse_than_a_shorter_one((snapshot, policy) in troubled()) {
        let plan = planned(&snapshot, &policy);
        let mut least = overload(&snapshot, &policy);
        for steps in 1..=plan.migrations.len() {
            let left = overload(&after(&snapshot, &plan.migrations[..steps]), &policy);
            prop_assert!(left <= least + 1e-9, "step {steps}: {least} -> {left}");
            least = left;
        }
    }

    #[test]
    fn levelling_leaves_no_more_overload_than_relief((snapshot, policy) in troubled()) {
        let left = |strategy| {
            let policy = Policy { strategy, ..policy.clone() };
            overload(&after(&snapshot, &planned(&snapshot, &policy).migrations), &policy)
        };
        let (even, relieved) = (left(planner::Strategy::Level), left(planner::Strategy::Relieve));
        prop_assert!(even <= relieved + 1e-9, "{even} against {relieved}");
    }

    #[test]
    fn planning_again_after_a_plan_yields_nothing((snapshot, policy) in any_cluster()) {
        let policy = Policy { migrations_max: 1_000_000, ..policy };
        let plan = planned(&snapshot, &policy);
        let again = planned(&after(&snapshot, &plan.migrations), &remembering(&policy, &plan.migrations));
        prop_assert!(again.migrations.is_empty(), "{:#?}", again.migrations);
    }

    #[test]
    fn shuffled_input_gives_the_same_plan((snapshot, policy) in any_cluster(), seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let mut shuffled = snapshot.clone();
        for index in (1..shuffled.vms.len()).rev() {
            shuffled.vms.swap(index, dice.remainder(index + 1));
        }
        for index in (1..shuffled.nodes.len()).rev() {
            shuffled.nodes.swap(index, dice.remainder(index + 1));
        }
        let mut reversed = policy.clone();
        reversed.recent_moves.reverse();
        prop_assert_eq!(planner::plan(&snapshot, &policy), planner::plan(&shuffled, &reversed));
    }

    #[test]
    fn an_excluded_node_is_never_named((snapshot, policy) in any_cluster(), excluded in 1u64..4) {
        let mut policy = policy;
        policy.exclusions = vec![exclusion(&excluded.to_string(), Direction::Both)];
        let plan = planned(&snapshot, &policy);
        let named = plan.migrations.iter().any(|step| [step.source, step.target].contains(&NodeId(excluded)));
        prop_assert!(!named);
    }

    #[test]
    fn tiny_clusters_are_relieved_as_well_as_by_brute_force(snapshot in tiny(), limit in 1usize..9) {
        let policy = Policy { migrations_max: limit, ..support::thresholds(70.0, 4.0) };
        let plan = planned(&snapshot, &policy);
        let (best, cost) = brute_force(&snapshot, &policy);
        let left = overload(&after(&snapshot, &plan.migrations), &policy);
        prop_assert!(left <= best + 1e-9, "overload {left} against {best}");
        if left >= best - 1e-9 {
            prop_assert!(support::cost(&plan) <= cost + 1e-9, "cost {} against {cost}", support::cost(&plan));
        }
    }

    #[test]
    fn tiny_clusters_are_levelled_as_well_as_by_brute_force(snapshot in tiny(), limit in 1usize..4) {
        let policy = support::leveling(limit);
        let policy = Policy { migrations_max: limit, ..policy };
        let plan = planned(&snapshot, &policy);
        let (best, rest) = brute_force(&snapshot, &policy);
        let end = after(&snapshot, &plan.migrations);
        prop_assert!(overload(&end, &policy) <= best + 1e-9);
        let found = levelness(&end, &policy) + exchange_rate(&snapshot) * support::cost(&plan);
        prop_assert!(found <= rest + 1e-9, "{found} against {rest}");
        prop_assert!((plan.after.imbalance.powi(2) - levelness(&end, &policy)).abs() < 1e-9);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_higher_limit_leaves_no_more_overload((snapshot, policy) in troubled()) {
        higher_limits_leave_no_more(&snapshot, &policy);
    }
}

/// Soft targets reach further here than what targets by the book can take.
#[test]
fn a_higher_limit_leaves_no_more_overload_beyond_target_thresholds() {
    for seed in [71, 245, 801, 2482] {
        let (nodes, vms) = (3 + seed % 4, 5 + seed / 4 % 35);
        let (snapshot, policy) = troubled_by(((seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15), nodes, vms));
        higher_limits_leave_no_more(&snapshot, &policy);
    }
}

fn higher_limits_leave_no_more(snapshot: &Snapshot, policy: &Policy) {
    let mut least = f64::INFINITY;
    for migrations_max in [1, 2, 3, 4, 6, 10, 100] {
        let policy = Policy { migrations_max, strategy: Aim::Relieve, ..policy.clone() };
        let left = overload(&after(snapshot, &planned(snapshot, &policy).migrations), &policy);
        assert!(left <= least + 1e-9, "{migrations_max}: {left} after {least}");
        least = left;
    }
}

/// Every reachable placement within the limit, by breadth: the least overload and, with it, the least cost or, with
/// levelling, the least imbalance squared plus cost at its exchange rate.
fn brute_force(snapshot: &Snapshot, policy: &Policy) -> (f64, f64) {
    let level = policy.strategy == Aim::Level;
    let rate = exchange_rate(snapshot);
    let start: Vec<u64> = snapshot.vms.iter().map(|vm| vm.node.0).collect();
    let mut reached: BTreeMap<Vec<u64>, f64> = [(start.clone(), 0.0)].into();
    let mut frontier: BTreeMap<Vec<u64>, f64> = reached.clone();
    for _ in 0..policy.migrations_max {
        let mut next: BTreeMap<Vec<u64>, f64> = BTreeMap::new();
        for (at, cost) in &frontier {
            let here = placed(snapshot, at);
            for (index, vm) in snapshot.vms.iter().enumerate() {
                let large_enough = |node: &&NodeInfo| node.cpu_total >= Some(vm.cpu_cores);
                for target in snapshot.nodes.iter().filter(|node| node.id.0 != at[index]).filter(large_enough)
                {
                    let mut there_at = at.clone();
                    there_at[index] = target.id.0;
                    let there = placed(snapshot, &there_at);
                    let better = overload(&there, policy) < overload(&here, policy) - 1e-12
                        || levelness(&there, policy) < levelness(&here, policy) - 1e-15;
                    if !within(&there, target.id, policy) || (level && !better) {
                        continue;
                    }
                    let price = cost + vm.memory.gib() + 4.0;
                    if reached.get(&there_at).is_none_or(|known| price < known - 1e-9) {
                        reached.insert(there_at.clone(), price);
                        next.insert(there_at, price);
                    }
                }
            }
        }
        frontier = next;
    }
    let mut best = (f64::INFINITY, f64::INFINITY);
    for (at, cost) in &reached {
        let here = placed(snapshot, at);
        let left = overload(&here, policy);
        let rest = if level { levelness(&here, policy) + rate * cost } else { *cost };
        if left < best.0 - 1e-9 || (left < best.0 + 1e-9 && rest < best.1) {
            best = (left, rest);
        }
    }
    best
}

fn placed(snapshot: &Snapshot, at: &[u64]) -> Snapshot {
    let mut placed = snapshot.clone();
    for (vm, node) in placed.vms.iter_mut().zip(at) {
        vm.node = NodeId(*node);
    }
    support::recount(&mut placed);
    placed
}

fn within(snapshot: &Snapshot, target: NodeId, policy: &Policy) -> bool {
    let Some(node) = snapshot.node(target) else { return false };
    let memory = node.memory_used.unwrap_or_default().percent_of(node.memory_total.unwrap_or_default());
    let cpu = f64::from(node.cpu_used.unwrap_or(0)) / f64::from(node.cpu_total.unwrap_or(1));
    memory <= policy.memory.ceiling() && cpu <= policy.cpu.ceiling()
}

/// The contract's imbalance, squared.
fn levelness(snapshot: &Snapshot, policy: &Policy) -> f64 {
    let memory = |n: &vm_balancer::model::NodeInfo| {
        (n.memory_used.unwrap_or_default().0 as f64, n.memory_total.unwrap_or_default().0 as f64)
    };
    let cpu = |n: &vm_balancer::model::NodeInfo| {
        (f64::from(n.cpu_used.unwrap_or(0)), f64::from(n.cpu_total.unwrap_or(0)))
    };
    let variance = |pairs: Vec<(f64, f64)>, threshold: f64| {
        let total: f64 = pairs.iter().map(|pair| pair.1).sum();
        let mean = pairs.iter().map(|pair| pair.0).sum::<f64>() / total / threshold;
        pairs.iter().map(|(used, own)| own / total * (used / own / threshold - mean).powi(2)).sum::<f64>()
    };
    let memory = variance(snapshot.nodes.iter().map(memory).collect(), policy.memory.overload / 100.0);
    let cpu = variance(snapshot.nodes.iter().map(cpu).collect(), policy.cpu.overload);
    (memory + cpu) / 2.0
}

fn exchange_rate(snapshot: &Snapshot) -> f64 {
    LEVEL_GAIN_MIN
        / snapshot.nodes.iter().map(|node| node.memory_total.unwrap_or_default().gib()).sum::<f64>()
}

/// Two or three nodes with up to six VMs, one of them crowded.
fn tiny() -> impl Strategy<Value = Snapshot> {
    let vms = prop::collection::vec((1u64..4, 1u32..6, 1u64..7), 1..7);
    (prop::collection::vec((40u64..80, 4u32..10), 2..4), vms).prop_map(|(sizes, vms)| {
        let nodes: Vec<_> = (1..).zip(&sizes).map(|(id, (gib, cores))| node(id, gib * GIB, *cores)).collect();
        let count = nodes.len() as u64;
        let place = |(index, (at, vcpus, size)): (usize, (u64, u32, u64))| {
            // Two of three begin on the first node, so that it is crowded.
            let at = if index % 3 < 2 { 1 } else { 1 + at % count };
            vm(100 + index as u64, at, vcpus * 2, size * 5 * GIB)
        };
        cluster(nodes, vms.into_iter().enumerate().map(place).collect())
    })
}

/// A cluster with everything in it that a rule is about, and a policy to match.
fn troubled() -> impl Strategy<Value = (Snapshot, Policy)> {
    (any::<u64>(), 3usize..7, 5usize..40).prop_map(troubled_by)
}

/// The cluster of a seed, with so many nodes and VMs.
fn troubled_by((seed, nodes, vms): (u64, usize, usize)) -> (Snapshot, Policy) {
    let mut dice = Dice::new(seed);
    let mut snapshot = cluster(
        (1..=nodes as u64)
            .map(|id| node(id, (30 + dice.remainder(60) as u64) * GIB, 4 + dice.remainder(12) as u32))
            .collect(),
        (0..vms as u64)
            .map(|id| {
                let at = 1 + dice.remainder(nodes).min(dice.remainder(nodes)) as u64;
                vm(100 + id, at, 1 << dice.remainder(4), GIB << dice.remainder(4))
            })
            .collect(),
    );
    for node in &mut snapshot.nodes {
        match dice.remainder(12) {
            0 => node.maintenance = true,
            1 => node.vm_creation_allowed = false,
            2 => node.qemu_version = None,
            3 | 4 => node.qemu_version = Some(QemuVersion::new("6.2.0")),
            5 => node.vm_limit = Some(8),
            _ => {}
        }
    }
    for node in &mut snapshot.nodes {
        match dice.remainder(10) {
            0 => node.faults = vec![NodeFault::Libvirt],
            1 | 2 => node.kernel_version = Some(KernelVersion::new("6.1.0-18-amd64")),
            3 => node.os_version = Some("Debian 12".into()),
            4 => node.storage_available = Some(Mib(30 * GIB)),
            5 => node.cpu_model = Some("Xeon 6230".into()),
            _ => node.kernel_version = Some(KernelVersion::new("6.1.0-13-amd64")),
        }
    }
    let mut policy = policy(&mut dice);
    for vm in &mut snapshot.vms {
        match dice.remainder(16) {
            0 => vm.blocked_by = vec![Block::Snapshots],
            1 => vm.blocked_by = vec![Block::BalancerMode],
            2 => vm.state = "stopped".into(),
            3 => vm.name = format!("db-{}", vm.id),
            5 | 6 => vm.host_passthrough = true,
            7..10 => vm.disk = Some(Mib(10 * GIB)),
            4 => {
                let until = noon() + TimeDelta::minutes(dice.remainder(3) as i64 - 1);
                policy.resting.insert(vm.id, Rest { until, why: RestWhy::Moved });
            }
            _ => {}
        }
    }
    (snapshot, policy)
}

/// With nodes that measure themselves in every second case.
fn any_cluster() -> impl Strategy<Value = (Snapshot, Policy)> {
    (troubled(), any::<Option<u64>>()).prop_map(|((mut snapshot, mut policy), seed)| {
        if let Some(seed) = seed {
            measure(&mut snapshot, &mut policy, &mut Dice::new(seed));
        }
        (snapshot, policy)
    })
}

/// Readings of all kinds: old ones, saturated nodes, memory that is short, pressure, and migrations that ended lately.
fn measure(snapshot: &mut Snapshot, policy: &mut Policy, dice: &mut Dice) {
    for node in &mut snapshot.nodes {
        if dice.remainder(5) == 0 {
            continue;
        }
        let cores = f64::from(node.cpu_total.unwrap_or(1));
        let five = dice.unit() * dice.unit() * 3.0 * cores;
        let mut maybe = |value: f64| (dice.remainder(2) == 0).then(|| value * dice.unit());
        let (busy_cores, previous_five) = (maybe(five.min(cores)), maybe(2.0 * five));
        let (cpu_pressure, memory_pressure, in_use) = (maybe(30.0), maybe(12.0), maybe(100.0));
        let age = if dice.remainder(12) == 0 { 100 } else { 1 + dice.remainder(4) as i64 };
        let all = node.memory_total.unwrap_or_default().0 as f64;
        node.load = Some(Measured {
            at: noon() - TimeDelta::minutes(age),
            busy_cores,
            previous_five,
            memory_total_mib: (age == 2).then_some(Mib((all * 0.8) as u64)),
            memory_used_mib: in_use.map(|percent| Mib((all * percent / 100.0) as u64)),
            cpu_pressure,
            memory_pressure,
            ..support::measured(five)
        });
    }
    let at: BTreeMap<NodeId, _> =
        snapshot.nodes.iter().filter_map(|node| Some((node.id, node.load.as_ref()?.at))).collect();
    for vm in &mut snapshot.vms {
        if dice.remainder(3) == 0 {
            continue;
        }
        let cores = dice.unit() * dice.unit() * f64::from(vm.cpu_cores);
        vm.measured = at.get(&vm.node).map(|at| VmUse { cores, at: *at });
    }
    policy.load_readings = 1 + dice.remainder(2) as u32;
    for _ in 0..dice.remainder(4) {
        let vm = &snapshot.vms[dice.remainder(snapshot.vms.len())];
        let source = snapshot.nodes[dice.remainder(snapshot.nodes.len())].id;
        let ended = noon() - TimeDelta::minutes(dice.remainder(20) as i64);
        if source != vm.node {
            policy.recent_moves.push(RecentMove { vm: vm.id, source, target: vm.node, ended });
        }
    }
}

/// The policy once these migrations have ended, while the nodes' readings are what they were.
fn remembering(policy: &Policy, done: &[Migration]) -> Policy {
    let ended = |step: &Migration| RecentMove {
        vm: step.vm,
        source: step.source,
        target: step.target,
        ended: noon() + TimeDelta::milliseconds(i64::from(step.step)),
    };
    let mut policy = policy.clone();
    policy.recent_moves.extend(done.iter().map(ended));
    policy
}

fn policy(dice: &mut Dice) -> Policy {
    let memory = 50.0 + dice.remainder(40) as f64;
    let cpu = 2.0 + dice.remainder(4) as f64;
    Policy {
        memory: Threshold { overload: memory, target: memory + dice.remainder(20) as f64 - 10.0 },
        cpu: Threshold { overload: cpu, target: cpu - dice.remainder(2) as f64 },
        memory_reserve_percent: [0.0, 10.0, 30.0][dice.remainder(3)],
        strategy: if dice.remainder(2) == 0 { Aim::Relieve } else { Aim::Level },
        migrations_max: [1, 3, 1000][dice.remainder(3)],
        parallel_max: 1 + dice.remainder(3),
        exclusions: match dice.remainder(3) {
            0 => vec![exclusion("node-0002", [Direction::Source, Direction::Target][dice.remainder(2)])],
            _ => Vec::new(),
        },
        pinned: vec![Selector("101".into())],
        anti_affinity: vec![AntiAffinity(vec!["db-*".into()])],
        respect_balancer_mode: dice.remainder(2) == 0,
        newer_kernel: [Lenience::Avoid, Lenience::Forbid, Lenience::Allow][dice.remainder(3)],
        host_passthrough: [Lenience::Avoid, Lenience::Avoid, Lenience::Allow][dice.remainder(3)],
        ..Policy::default()
    }
}

fn exclusion(node: &str, direction: Direction) -> Exclusion {
    Exclusion { node: Selector(node.into()), direction, until: None, why: ExclusionWhy::Configured }
}

fn planned(snapshot: &Snapshot, policy: &Policy) -> ClusterPlan {
    planner::plan(snapshot, policy).clusters.swap_remove(0)
}
