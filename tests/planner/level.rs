//! When evening out begins and where it comes to rest.

use std::collections::BTreeMap;

use vm_balancer::{
    model::{ClusterId, Snapshot},
    planner::{self, ClusterPlan, Consent, LEVEL_GAIN_MIN, LEVEL_TRIGGER, MoveWhy, Policy, Strategy},
};

use crate::support::{self, C20, after, compact, leveling};

const GIB: u64 = 1024;

#[test]
fn evening_out_begins_above_its_trigger_and_ends_at_the_knee() {
    let snapshot = compact(C20);
    let whole = planned(&snapshot, &leveling(1000));
    let first = planned(&snapshot, &settling(1000, None));
    assert_eq!(planner::check(&snapshot, &settling(1000, None), &first), []);
    assert!(first.migrations.len() * 2 < whole.migrations.len(), "{}", first.migrations.len());
    let gain = |plan: &ClusterPlan| plan.before.imbalance - plan.after.imbalance;
    assert!(gain(&first) > 0.3 * gain(&whole), "{} of {}", gain(&first), gain(&whole));
    // What it came to is remembered; the next cycle has nothing to do, nor one that finds it a little less even.
    let at_rest = planner::settled_imbalance(&first, &settling(1000, None)).expect("it goes to the knee");
    assert_eq!(at_rest, first.after.imbalance);
    let end = after(&snapshot, &first.migrations);
    assert!(planned(&end, &settling(1000, Some(at_rest))).migrations.is_empty());
    let now = first.before.imbalance;
    let begins = |at_rest: f64| !planned(&snapshot, &settling(1000, Some(at_rest))).migrations.is_empty();
    assert_eq!((begins(now / LEVEL_TRIGGER * 1.001), begins(now / LEVEL_TRIGGER * 0.999)), (false, true));
}

/// Two nodes of 1000 GiB, and VMs of one: a migration costs 5, and what it must gain for that is documented.
#[test]
fn no_plan_is_made_for_less_than_the_least_gain() {
    let least = LEVEL_GAIN_MIN * 5.0 / 2000.0;
    let policy = leveling(1000);
    let squared = |snapshot: &Snapshot| planned(snapshot, &policy).before.imbalance.powi(2);
    let gain = |more: u64| squared(&apart(more)) - squared(&apart(more - 2));
    let mut seen = Vec::new();
    for more in 2..=12 {
        let plan = planned(&apart(more), &policy);
        assert_eq!(planner::check(&apart(more), &policy, &plan), []);
        assert_eq!(plan.migrations.is_empty(), gain(more) < least, "{more}: {} of {least}", gain(more));
        seen.push(plan.migrations.is_empty());
    }
    assert_eq!((seen.first(), seen.last()), (Some(&true), Some(&false)), "both sides are tried");
}

/// Two nodes, of which the first has so many VMs more.
fn apart(more: u64) -> Snapshot {
    let nodes = vec![support::node(1, 1000 * GIB, 1000), support::node(2, 1000 * GIB, 1000)];
    let vms = (0..20 + more).map(|id| support::vm(id, if id < 10 { 2 } else { 1 }, 1, GIB));
    support::cluster(nodes, vms.collect())
}

#[test]
fn a_limit_goes_towards_the_knee_and_is_no_rest() {
    let snapshot = compact(C20);
    let policy = settling(3, None);
    let plan = planned(&snapshot, &policy);
    assert_eq!((plan.migrations.len(), planner::settled_imbalance(&plan, &policy)), (3, None));
}

#[test]
fn a_cluster_that_becomes_more_even_by_itself_is_remembered_so() {
    let snapshot = compact(C20);
    let imbalance = planned(&snapshot, &settling(10, Some(1.0))).before.imbalance;
    let remembered = |known: Option<f64>, strategy| {
        let policy = Policy { strategy, ..settling(10, known) };
        planner::settled_imbalance(&planned(&snapshot, &policy), &policy)
    };
    assert_eq!(remembered(Some(1.0), Strategy::Level), Some(imbalance));
    assert_eq!(remembered(Some(imbalance * 0.9), Strategy::Level), None);
    assert_eq!(remembered(Some(1.0), Strategy::Relieve), None);
    let mut held = snapshot.clone();
    held.clusters[0].virtualization = Some("lxc".into());
    assert_eq!(planner::settled_imbalance(&planned(&held, &settling(10, None)), &settling(10, None)), None);
}

#[test]
fn overload_is_relieved_however_even_a_cluster_is() {
    let snapshot = compact(C20);
    let relieve = support::thresholds(70.0, 3.0);
    let policy = Policy {
        strategy: Strategy::Level,
        settled: Some(BTreeMap::from([(ClusterId(1), 9.0)])),
        ..relieve.clone()
    };
    let plan = planned(&snapshot, &policy);
    assert_eq!(plan.migrations, planned(&snapshot, &relieve).migrations);
    let evens = |why: &MoveWhy| matches!(why, MoveWhy::Level { .. });
    assert!(plan.after.overloaded == 0 && !plan.migrations.iter().any(|step| evens(&step.why)));
}

#[test]
fn a_plan_that_goes_on_relieves_before_it_evens_out() {
    let snapshot = compact(C20);
    let thresholds = support::thresholds(70.0, 3.0);
    let policy = |consent| Policy {
        strategy: Strategy::Level,
        settled: Some(BTreeMap::new()),
        consent,
        migrations_max: 1000,
        ..thresholds.clone()
    };
    let relief = planned(&snapshot, &Policy { migrations_max: 1000, ..thresholds.clone() }).migrations;
    let evens = |plan: &ClusterPlan| plan.migrations.iter().any(|s| matches!(s.why, MoveWhy::Level { .. }));
    let first = planned(&snapshot, &policy(Consent::NotNeeded));
    assert_eq!(first.migrations, relief);
    assert!(evens(&planned(&snapshot, &policy(Consent::OnePlan))), "people approve both in one");
    // Where nothing is overloaded it evens out as another plan does.
    let calm = planned(&snapshot, &settling(1000, None));
    assert!(calm.before.overloaded == 0 && evens(&calm));
    assert_eq!(planned(&snapshot, &Policy { consent: Consent::NotNeeded, ..settling(1000, None) }), calm);
}

fn settling(migrations_max: usize, at_rest: Option<f64>) -> Policy {
    let settled = at_rest.map(|imbalance| (ClusterId(1), imbalance)).into_iter().collect();
    Policy { settled: Some(settled), ..leveling(migrations_max) }
}

fn planned(snapshot: &Snapshot, policy: &Policy) -> ClusterPlan {
    planner::plan(snapshot, policy).clusters.swap_remove(0)
}
