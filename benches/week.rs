//! The week of a cluster, for fixed seeds, under the Python tool's rule and under ours: `cargo bench --bench week`.
//!
//! `cargo bench --bench week -- 100 4 5` plays other seeds (4 and 5) of another size (100 nodes). The bars are in
//! `docs/PLANNER.md`; nothing here fails.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::{env, fs, hint::black_box, time::Instant};

use vm_balancer::{
    model::Snapshot,
    planner::{self, Policy, Strategy},
    sandbox::week::{Approval, BURSTS_A_DAY, HEAD, Ours, Rule, Start, Week},
};

/// The sizes that are played where none is named, each with its seeds.
const PLAYED: [(usize, &[u64]); 3] =
    [(12, &[1, 2, 3]), (40, &[1, 2, 3, 4, 5, 6, 7, 8, 9]), (100, &[1, 2, 3])];

const VMS_PER_NODE: usize = 25;

fn main() {
    // Cargo adds a flag of its own.
    let named: Vec<u64> = env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    match named.split_first() {
        Some((nodes, seeds)) => play(*nodes as usize, seeds),
        None => PLAYED.iter().for_each(|(nodes, seeds)| play(*nodes, seeds)),
    }
}

fn play(nodes: usize, seeds: &[u64]) {
    for &seed in seeds {
        let start = Start::Generated { nodes, vms: nodes * VMS_PER_NODE };
        let week = Week { seed, days: 7, bursts: BURSTS_A_DAY, start };
        let lanes = Policy::default().parallel_max;
        println!("{nodes} nodes, seed {seed}. {}", week.bound(u32::try_from(lanes).unwrap_or(u32::MAX)));
        for line in HEAD.lines() {
            println!("{:<24}{line}", "");
        }
        let python = week.play(&Rule::Python { migrations_max: 1, interval_min: 10 });
        println!("{:<24}{python}", "Python 2.0.1");
        for (name, ours) in rules() {
            let mut costs = Vec::new();
            let outcome = week.play_watched(&Rule::Ours(Box::new(ours)), &mut |snapshot, policy| {
                costs.push(decision_ms(snapshot, policy));
            });
            let part = 100.0 * outcome.overload / python.overload.max(f64::EPSILON);
            costs.sort_by(f64::total_cmp);
            let (half, most) = (costs.get(costs.len() / 2), costs.last());
            let of = |cost: Option<&f64>| cost.copied().unwrap_or(0.0);
            println!("{name:<24}{outcome} {part:>6.2} %  CPU {:.1} ms, at most {:.1}", of(half), of(most));
        }
    }
}

/// Ours by defaults, and what else has a bar.
fn rules() -> Vec<(&'static str, Ours)> {
    let auto = || Ours::by_defaults(Policy::default());
    let people = Ours { approval: Approval::People { minutes: 15, from: 9, to: 19 }, ..auto() };
    let even = Policy { strategy: Strategy::Level, ..Policy::default() };
    vec![
        ("auto", auto()),
        ("propose, night approved", people.with_autopilot(19, 9)),
        ("auto, without SSH", auto().without_ssh()),
        ("auto, level", Ours::by_defaults(even)),
    ]
}

/// The CPU time of one decision: the plan and its check.
fn decision_ms(snapshot: &Snapshot, policy: &Policy) -> f64 {
    let before = cpu_ms();
    for plan in &planner::plan(snapshot, policy).clusters {
        black_box(planner::check(snapshot, policy, plan));
    }
    cpu_ms() - before
}

/// What this thread computed so far; where the kernel does not count that, the time.
fn cpu_ms() -> f64 {
    thread_local!(static BEGAN: Instant = Instant::now());
    let counted = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = counted.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| BEGAN.with(|began| began.elapsed().as_secs_f64() * 1e3), |ns| ns / 1e6)
}
