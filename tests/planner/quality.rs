//! How close plans are to the optimum. The bounds are figures of other balancers and of exact solvers.
//!
//! The large ones take seconds without optimisation and are asserted by `cargo bench --bench planner_quality`.

use vm_balancer::{
    model::{NodeId, Snapshot, VmId},
    planner::{self, ClusterPlan, Policy},
};

use crate::support::{
    C20, C100, Shape, after, compact, cost, generate, leveling, optima, overload, thresholds,
};

#[test]
fn relief_of_the_recorded_clusters_costs_what_the_exact_optimum_does() {
    for (text, policy, optimum) in
        [(C20, thresholds(70.0, 3.0), 273.0), (C100, thresholds(75.0, 3.5), 1912.0)]
    {
        let snapshot = compact(text);
        let plan = sound(&snapshot, &policy);
        assert_eq!(plan.after.overloaded, 0);
        assert!(cost(&plan) <= optimum * 1.05, "{} against {optimum}", cost(&plan));
    }
}

#[test]
fn relief_of_generated_clusters_is_within_a_few_percent_of_the_exact_optimum() {
    let mut ratios = Vec::new();
    for optimum in optima() {
        let snapshot = generate(optimum.shape);
        let plan = sound(&snapshot, &thresholds(optimum.memory, optimum.cpu));
        let Some(least) = optimum.cost else { continue };
        assert_eq!(plan.after.overloaded, 0, "{:?} can be cleared", optimum.shape);
        if least > 0.0 {
            let ratio = cost(&plan) / least;
            assert!((1.0 - 1e-9..=1.15).contains(&ratio), "{ratio} of the optimum in {:?}", optimum.shape);
            ratios.push(ratio);
        }
    }
    assert!(ratios.len() >= 50);
    assert!(ratios.iter().sum::<f64>() / ratios.len() as f64 <= 1.05);
}

#[test]
fn a_limit_takes_the_best_there_is_and_not_the_beginning_of_a_longer_plan() {
    // The least overload that N moves leave of `40-800-3-alike-0.65-0.9`, by `optima.py 60 75 3.5 N`.
    let shape = Shape { nodes: 40, vms: 800, seed: 3, unlike: false, fill: 0.65, skew: 0.9 };
    let snapshot = generate(shape);
    for (moves, least) in LIMITED {
        let policy = Policy { migrations_max: moves, ..thresholds(75.0, 3.5) };
        let before = overload(&snapshot, &policy);
        let left = overload(&after(&snapshot, &sound(&snapshot, &policy).migrations), &policy);
        assert!(
            before - left >= 0.95 * (before - least),
            "{moves} moves leave {left} of {before}, not {least}"
        );
    }
}

/// Moves, and the least overload that they leave.
const LIMITED: [(usize, f64); 4] = [(1, 5.69365), (3, 4.95714), (8, 3.49524), (20, 0.826984)];

#[test]
fn what_cannot_be_cleared_is_relieved_as_far_as_can_be() {
    // The least overload that eight full nodes can be left with, and what it costs, by HiGHS.
    let (snapshot, policy) = (compact(include_str!("data/infeasible10.txt")), thresholds(72.0, 4.0));
    let (before, plan) = (overload(&snapshot, &policy), sound(&snapshot, &policy));
    let left = overload(&after(&snapshot, &plan.migrations), &policy);
    assert!(before - left >= 0.98 * (before - 0.615_017), "{left} of {before}");
}

#[test]
fn five_full_nodes_are_relieved_as_far_as_can_be() {
    // The least overload that they can be left with, and what it costs, by HiGHS. Clusters of up to six nodes have a
    // search of their own, which is short.
    let (snapshot, policy) = (compact(include_str!("data/full5.txt")), thresholds(72.0, 4.0));
    let (before, plan) = (overload(&snapshot, &policy), sound(&snapshot, &policy));
    let left = overload(&after(&snapshot, &plan.migrations), &policy);
    assert!(before - left >= 0.98 * (before - 0.321_1), "{left} of {before}");
    assert!(cost(&plan) <= 245.0 * 1.05, "{}", cost(&plan));
}

#[test]
fn a_higher_limit_leaves_no_more_in_full_and_in_unlike_clusters() {
    let full = compact(include_str!("data/infeasible10.txt"));
    let unlike = compact(include_str!("data/hetero7.txt"));
    for (snapshot, policy) in [(full, thresholds(72.0, 4.0)), (unlike, thresholds(75.0, 4.0))] {
        let mut least = f64::INFINITY;
        for migrations_max in [3, 10, 25] {
            let policy = Policy { migrations_max, ..policy.clone() };
            let plan = sound(&snapshot, &policy);
            let left = overload(&after(&snapshot, &plan.migrations), &policy);
            assert!(left <= least + 1e-9, "{migrations_max}: {left} after {least}");
            least = left;
        }
    }
}

#[test]
fn covers_of_very_large_nodes_are_exact() {
    let (snapshot, policy) = (compact(include_str!("data/hetero7.txt")), thresholds(75.0, 4.0));
    let plan = sound(&snapshot, &policy);
    assert_eq!(plan.after.overloaded, 0);
    assert!(cost(&plan) <= 1264.0 * 1.002, "{}", cost(&plan));
}

#[test]
fn one_large_node_among_small_ones_is_relieved_at_nearly_the_least_cost() {
    // The least cost, by HiGHS; single exchanges of VMs end at 612.
    let (snapshot, policy) = (compact(include_str!("data/onebig14.txt")), thresholds(75.0, 4.0));
    let plan = sound(&snapshot, &policy);
    assert_eq!(plan.after.overloaded, 0);
    assert!(cost(&plan) <= 581.0 * 1.05, "{}", cost(&plan));
}

#[test]
fn a_limit_that_relief_uses_up_still_leaves_a_choice_to_even_out() {
    let policy =
        Policy { memory: thresholds(95.0, 8.0).memory, cpu: thresholds(95.0, 8.0).cpu, ..leveling(3) };
    let plan = sound(&compact(include_str!("data/full901.txt")), &policy);
    assert!(plan.after.imbalance <= 0.0968 * 1.05, "{}", plan.after.imbalance);
}

#[test]
fn few_very_large_vms_are_evened_out_by_exchanges() {
    let policy =
        Policy { memory: thresholds(75.0, 4.0).memory, cpu: thresholds(75.0, 4.0).cpu, ..leveling(10) };
    let plan = sound(&compact(include_str!("data/huge1.txt")), &policy);
    assert_eq!(plan.after.overloaded, 0);
    assert!(plan.after.imbalance <= 0.0169 * 1.05, "{}", plan.after.imbalance);
}

#[test]
fn nodes_that_may_hold_no_more_vms_are_evened_out_by_exchanges() {
    let mut snapshot = compact(include_str!("data/vmlimit2.txt"));
    for (node, limit) in snapshot.nodes.iter_mut().zip([30, 30, 31, 54, 24, 25, 38, 21]) {
        node.vm_limit = Some(limit);
    }
    let policy =
        Policy { memory: thresholds(75.0, 4.0).memory, cpu: thresholds(75.0, 4.0).cpu, ..leveling(25) };
    let plan = sound(&snapshot, &policy);
    assert_eq!(plan.after.overloaded, 0);
    assert!(plan.after.imbalance <= 0.0216, "{}", plan.after.imbalance);
}

#[test]
fn a_plan_does_not_depend_on_how_nodes_and_vms_are_numbered() {
    let snapshot = compact(C20);
    for policy in [leveling(26), thresholds(70.0, 3.0), Policy { migrations_max: 5, ..thresholds(70.0, 3.0) }]
    {
        let reached = |snapshot: &Snapshot| {
            let plan = sound(snapshot, &policy);
            let imbalance = (plan.after.imbalance * 1e9).round();
            (plan.migrations.len(), cost(&plan), imbalance, plan.after.overloaded)
        };
        let mut renumbered = snapshot.clone();
        for node in &mut renumbered.nodes {
            node.id = NodeId(1000 - node.id.0 * 7 % 23);
        }
        for vm in &mut renumbered.vms {
            vm.id = VmId(900_000 - vm.id.0 * 7 % 401);
            vm.node = NodeId(1000 - vm.node.0 * 7 % 23);
        }
        assert_eq!(reached(&renumbered), reached(&snapshot));
    }
}

#[test]
fn ten_moves_level_twenty_nodes_as_well_as_is_possible() {
    assert_level(C20, 10, 0.0565);
    assert_level(C20, 26, 0.022);
}

#[test]
fn a_hundred_nodes_are_levelled_beyond_what_others_reach() {
    assert_level(C100, 80, 0.0795);
    assert_level(C100, 140, 0.040);
}

#[test]
fn the_start_of_the_recorded_clusters_is_the_known_one() {
    for (text, imbalance) in [(C20, 0.2111), (C100, 0.2323)] {
        let plan = sound(&compact(text), &leveling(0));
        assert!((plan.before.imbalance - imbalance).abs() < 5e-5, "{}", plan.before.imbalance);
    }
}

fn assert_level(text: &str, moves: usize, bound: f64) {
    let plan = sound(&compact(text), &leveling(moves));
    assert!(plan.migrations.len() <= moves);
    assert!(plan.after.imbalance <= bound, "{} with {moves} moves", plan.after.imbalance);
}

fn sound(snapshot: &Snapshot, policy: &Policy) -> ClusterPlan {
    let plan = planner::plan(snapshot, policy).clusters.swap_remove(0);
    assert_eq!(planner::check(snapshot, policy, &plan), []);
    let left = overload(&after(snapshot, &plan.migrations), policy);
    assert_eq!(left > 1e-9, plan.after.overloaded > 0);
    plan
}
