//! How long planning takes: `cargo bench --bench planner`. The bars are in `docs/PLANNER.md`.
#![expect(missing_docs, reason = "criterion's macro writes a public function")]

#[expect(dead_code, clippy::expect_used, reason = "shared with the tests, of which it is a part")]
#[path = "../tests/planner/support/mod.rs"]
mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{C100, C1000, Shape, compact, generate, in_clusters, leveling, thresholds};
use vm_balancer::{
    model::Snapshot,
    planner::{self, Policy},
};

fn planning(criterion: &mut Criterion) {
    let small = Shape { nodes: 10, vms: 300, seed: 1, unlike: false, fill: 0.62, skew: 0.5 };
    let small = generate(small);
    let (middle, large) = (compact(C100), compact(C1000));
    let ten = in_clusters(&large, 10);
    let relieve = thresholds(75.0, 3.5);
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    let mut measure = |name: &str, snapshot: &Snapshot, policy: &Policy| {
        group.bench_function(name, |bench| bench.iter(|| planner::plan(black_box(snapshot), policy)));
    };
    measure("10 nodes 300 VMs relieve", &small, &relieve);
    measure("10 nodes 300 VMs level", &small, &leveling(20));
    let hoster = Shape { nodes: 40, vms: 1000, seed: 1, unlike: false, fill: 0.62, skew: 0.5 };
    measure("40 nodes 1000 VMs by defaults", &generate(hoster), &Policy::default());
    measure("100 nodes 3000 VMs relieve", &middle, &relieve);
    measure("100 nodes 3000 VMs relieve 10", &middle, &Policy { migrations_max: 10, ..relieve.clone() });
    measure("100 nodes 3000 VMs level 80", &middle, &leveling(80));
    measure("1000 nodes 50000 VMs relieve", &large, &relieve);
    measure("1000 nodes 50000 VMs relieve 10", &large, &Policy { migrations_max: 10, ..relieve.clone() });
    measure("1000 nodes 50000 VMs level 2028", &large, &leveling(2028));
    measure("ten clusters of 100 and 5000 relieve", &ten, &relieve);
    measure("ten clusters of 100 and 5000 level 200", &ten, &leveling(200));
    group.finish();
    let mut group = criterion.benchmark_group("ask");
    group.sample_size(10);
    let plan = planner::plan(&large, &relieve).clusters.swap_remove(0);
    group.bench_function("check of 1000 nodes", |bench| {
        bench.iter(|| planner::check(&large, &relieve, &plan))
    });
    let step = &plan.migrations[0];
    group.bench_function("fit in 1000 nodes", |bench| bench.iter(|| planner::fit(&large, &relieve, step)));
    group.finish();
}

criterion_group!(benches, planning);
criterion_main!(benches);
