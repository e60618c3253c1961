//! How good plans are: `cargo bench --bench planner_quality`. Fails where a bar of `docs/PLANNER.md` is missed.
//!
//! `-- emit DIR` writes the generated clusters of the table of optima, for `tests/planner/data/optima.py`.
#![expect(clippy::print_stdout, reason = "a table on standard output is what this is for")]

#[expect(dead_code, clippy::expect_used, reason = "shared with the tests, of which it is a part")]
#[path = "../tests/planner/support/mod.rs"]
mod support;

use std::time::Instant;

use support::{C20, C100, C1000, after, baseline, compact, cost, leveling, optima, overload, thresholds};
use vm_balancer::{
    model::Snapshot,
    planner::{self, ClusterPlan, Policy},
};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, folder] = &arguments[..]
        && command == "emit"
    {
        return emit(folder);
    }
    println!(
        "{:<34} {:>6} {:>9} {:>9} {:>8} {:>9}",
        "cluster", "moves", "reached", "bar", "of it", "seconds"
    );
    let recorded = [("c20", C20), ("c100", C100), ("c1000", C1000)].map(|(name, text)| (name, compact(text)));
    for ((name, snapshot), (memory, cpu, optimum)) in
        recorded.iter().zip([(70.0, 3.0, 273.0), (75.0, 3.5, 1912.0), (75.0, 3.5, 28_759.0)])
    {
        let (plan, seconds) = timed(snapshot, &thresholds(memory, cpu));
        assert_eq!(plan.after.overloaded, 0, "{name}");
        row(&format!("{name} relieve, cost"), plan.migrations.len(), cost(&plan), optimum * 1.05, seconds);
        let moves = baseline(snapshot, &thresholds(memory, cpu));
        let gone = after(snapshot, &moves);
        let left = overload(&gone, &thresholds(memory, cpu));
        let spent: f64 = moves.iter().map(|migration| migration.ram.gib() + 4.0).sum();
        println!("{:<34} {:>6} {spent:>9.0}   overload left {left:.3}", "  smallest VM first", moves.len());
    }
    for (cluster, moves, bar) in
        [(0, 10, 0.0565), (0, 26, 0.022), (1, 80, 0.0795), (1, 140, 0.040), (2, 2028, 0.0330)]
    {
        let (name, snapshot) = &recorded[cluster];
        let (plan, seconds) = timed(snapshot, &leveling(moves));
        row(&format!("{name} level, imbalance"), plan.migrations.len(), plan.after.imbalance, bar, seconds);
    }
    trading();
    generated();
    Ok(())
}

/// Unlike nodes that can be relieved only by moves in the right order: what is left of the overload against what HiGHS leaves,
/// which does not ask for an order.
fn trading() {
    let (snapshot, policy) =
        (compact(include_str!("../tests/planner/data/trading.txt")), thresholds(75.0, 4.0));
    let (plan, seconds) = timed(&snapshot, &policy);
    let before = overload(&snapshot, &policy);
    let left = overload(&after(&snapshot, &plan.migrations), &policy);
    let bar = before - 0.93 * (before - 0.382_812);
    row("trading relieve, overload left", plan.migrations.len(), left, bar, seconds);
}

/// Against the exact optima of generated clusters.
fn generated() {
    let mut ratios = Vec::new();
    for optimum in optima() {
        let snapshot = support::generate(optimum.shape);
        let (plan, _) = timed(&snapshot, &thresholds(optimum.memory, optimum.cpu));
        let Some(least) = optimum.cost.filter(|least| *least > 0.0) else { continue };
        assert_eq!(plan.after.overloaded, 0, "{:?}", optimum.shape);
        ratios.push(cost(&plan) / least);
    }
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    println!(
        "{} generated clusters: cost {mean:.4} of the optimum on average, {worst:.4} at worst",
        ratios.len()
    );
    assert!(mean <= 1.05 && worst <= 1.15);
}

fn timed(snapshot: &Snapshot, policy: &Policy) -> (ClusterPlan, f64) {
    let start = Instant::now();
    let plan = planner::plan(snapshot, policy).clusters.swap_remove(0);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(planner::check(snapshot, policy, &plan), []);
    (plan, seconds)
}

fn row(what: &str, moves: usize, reached: f64, bar: f64, seconds: f64) {
    println!("{what:<34} {moves:>6} {reached:>9.5} {bar:>9.5} {:>8.4} {seconds:>9.3}", reached / bar);
    assert!(reached <= bar, "{what} misses its bar");
}

fn emit(folder: &str) -> std::io::Result<()> {
    for shape in support::shapes() {
        let path = format!("{folder}/{}.txt", shape.name());
        std::fs::write(&path, support::to_compact(&support::generate(shape)))?;
        println!("{path}");
    }
    Ok(())
}
