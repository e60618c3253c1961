//! How near the optimum plans are: the figures of other balancers and of exact solvers, held as bounds.
//!
//! The large ones take seconds without optimisation and are asserted by `cargo bench --bench planner_quality`.

use vm_balancer::{
    model::Snapshot,
    planner::{self, ClusterPlan, Policy},
};

use crate::support::{C20, C100, compact, cost, leveling, overload, thresholds};

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
    let left = overload(&crate::support::after(snapshot, &plan.migrations), policy);
    assert_eq!(left > 1e-9, plan.after.overloaded > 0);
    plan
}
