//! What others do with the VMs: VMmanager's own tasks, and hands that move them back.

use vm_balancer::{
    model::{Block, VmId},
    planner::{RestWhy, SkipWhy, Unfit},
    sandbox::vmmanager::{Fault, Options, Profile, World},
    store::{Ending, Outcome, StepState},
};

use crate::platform::{Platform, outcome};

// ---- tasks

#[tokio::test]
async fn a_vm_that_any_task_runs_for_is_left_alone_until_it_ends() {
    for task in ["host_backup", "node_host_restore", "disk_resize"] {
        let platform = Platform::start(World::small()).await;
        let balancer = platform.balancer();
        let moved = platform.approved(&balancer).await.steps[0].migration.vm;
        let backup = busy(moved, task, true);
        platform.sim.switch_on(backup.clone());
        let plan = balancer.look().await.unwrap().plan;
        let plan = &plan.clusters[0];
        assert!(plan.migrations.iter().all(|migration| migration.vm != moved), "{plan:?}");
        let skip = plan.skipped.iter().find(|skip| skip.vm == moved).unwrap();
        assert_eq!(skip.why, SkipWhy::Blocked(Block::Task(task.into())));
        platform.sim.switch_off(&backup);
        let plan = balancer.look().await.unwrap().plan;
        assert_eq!(plan.clusters[0].migrations[0].vm, moved, "it is movable again");
    }
}

#[tokio::test]
async fn a_task_that_begins_after_the_approval_drops_its_step_and_harms_nobody() {
    let platform = Platform::start(World::small()).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let moved = proposal.steps[0].migration.vm;
    platform.sim.switch_on(busy(moved, "host_backup", true));
    let proposal = platform.finish(&balancer, proposal.id).await;
    assert_eq!(ending(&proposal.steps[0].state), Some(&occupied("host_backup")));
    assert_eq!(platform.sim.orders(), []);
    assert!(!balancer.policy().unwrap().resting.contains_key(&moved), "the next look tells when it ends");
}

#[tokio::test]
async fn a_task_whose_row_names_no_vm_is_found_in_the_history_of_the_vm() {
    // Of 2022: histories without the numbers of tasks.
    for profile in [Profile::Current, Profile::Old, Profile::Messy] {
        let options = Options { profile, ..Options::default() };
        let platform = Platform::start_with(World::small(), options).await;
        let balancer = platform.balancer();
        let proposal = platform.approved(&balancer).await;
        let moved = proposal.steps[0].migration.vm;
        let backup = busy(moved, "host_backup", false);
        platform.sim.switch_on(backup.clone());
        let proposal = platform.finish(&balancer, proposal.id).await;
        assert_eq!(outcome(&proposal).0, Outcome::Dropped, "{profile:?}");
        assert_eq!(ending(&proposal.steps[0].state), Some(&occupied("host_backup")), "{profile:?}");
        assert_eq!(platform.sim.count_requests("POST /vm/"), 0, "{profile:?}");
        let resting = balancer.policy().unwrap().resting;
        assert_eq!(resting[&moved].why, RestWhy::Busy, "{profile:?}");
        // The row of a task that has ended occupies nobody.
        platform.sim.switch_off(&backup);
        platform.store.forget_declined().unwrap();
        let proposal = platform.carry_out(&balancer).await;
        assert_eq!((proposal.steps[0].migration.vm, outcome(&proposal).0), (moved, Outcome::Done));
        assert_eq!(platform.sim.violations(), []);
    }
}

fn busy(vm: VmId, task: &str, says_vm: bool) -> Fault {
    Fault::Busy { vm: Some(vm), task: task.into(), says_vm }
}

fn occupied(task: &str) -> Ending {
    Ending::Unfit(Unfit::Vm(SkipWhy::Blocked(Block::Task(task.into()))))
}

fn ending(state: &StepState) -> Option<&Ending> {
    match state {
        StepState::Ended { detail, .. } => detail.as_ref(),
        _ => None,
    }
}
