//! Migrations that take longer than anybody wants to wait: looked at again, and given up.

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vm_balancer::{
    balancer::VmBalancer,
    model::{Block, ProposalId},
    planner::SkipWhy,
    sandbox::{
        telegram::{ADMIN, OPERATOR, VIEWER},
        vmmanager::{Fault, Options, Pace, Profile, World},
    },
    store::{Approval, Ending, Outcome, Proposal, ProposalState, Step, StepState},
};

use crate::{
    conversation::{Setup, is_watched},
    platform::{PATIENCE, Platform, person, until},
    transcripts::{BOTH, DONE, LANGUAGES, Talk},
    worlds::two_overloaded,
};

#[tokio::test]
async fn a_watch_that_takes_long_is_given_up_by_an_admin() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_overloaded(), Setup::of(&BOTH).manual()).await;
        talk.bot.sim.switch_on(Fault::RunsForever);
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.bot.until_watched().await;
        talk.minutes_pass(61);
        let slow = talk.offers(&plan, ":u").await;
        talk.press(VIEWER, &slow, ":o").await;
        talk.press(OPERATOR, &slow, ":o").await;
        talk.press(OPERATOR, &slow, ":u").await;
        talk.press(ADMIN, &slow, ":u").await;
        let asked = talk.hears(["Give up watching plan", "Больше не ждать конца плана"]).await;
        talk.press(ADMIN, &asked, ":U").await;
        talk.becomes(&asked, ["is not watched any longer", "больше не отслеживается"]).await;
        talk.becomes(&plan, DONE).await;
        talk.press(ADMIN, &slow, ":u").await;
        let vm = talk.bot.sim.orders()[0].vm;
        // A plan looks by itself; before that, the last picture is an hour old.
        talk.ask(OPERATOR, "/balance 1").await;
        talk.ask(VIEWER, &format!("/vm {vm}")).await;
        talk.ask(VIEWER, "/history").await;
        talk.ask_in(ADMIN, ADMIN, "/audit 8").await;
        talk.shows("a_watch_that_takes_long_is_given_up_by_an_admin");
    }
}

#[tokio::test]
async fn a_migration_that_was_given_up_is_nobody_elses_and_its_vm_stays_alone_while_it_runs() {
    let platform = Platform::start_with(World::small(), manual(Profile::Current)).await;
    platform.sim.switch_on(Fault::RunsForever);
    let balancer = platform.balancer();
    let proposal = given_up(&platform, &balancer).await;
    let migration = proposal.steps[0].migration.clone();
    assert!(matches!(proposal.state, ProposalState::Done { .. }));
    assert_eq!(platform.store.open_entries().unwrap(), []);
    // A process that starts meanwhile knows it too.
    drop(balancer);
    let mut platform = platform.restart();
    let balancer = platform.balancer();
    let picture = balancer.look().await.unwrap();
    assert_eq!(picture.snapshot.foreign, []);
    assert_eq!(platform.alerts(), []);
    let plan = &picture.plan.clusters[0];
    let skip = plan.skipped.iter().find(|skip| skip.vm == migration.vm).unwrap();
    assert_eq!(skip.why, SkipWhy::Blocked(Block::Task("host_migrate".into())));
    assert!(!plan.migrations.is_empty(), "the cluster is free: {plan:?}");
    let used = |snapshot: &vm_balancer::model::Snapshot| snapshot.node(migration.target).unwrap().memory_used;
    let kept = used(&picture.snapshot);
    platform.sim.finish_all();
    let picture = balancer.look().await.unwrap();
    assert_eq!(used(&picture.snapshot), kept, "the room was kept for it");
    assert_eq!(platform.store.given_up().unwrap(), [], "what has ended is forgotten");
    assert!(picture.snapshot.vm(migration.vm).unwrap().blocked_by.is_empty());
    assert_eq!(platform.sim.violations(), []);
}

#[tokio::test]
async fn an_order_whose_trace_stays_unclear_is_given_up_too() {
    // Histories without numbers and tasks without VMs: whether ours began cannot be told while any task runs.
    let platform = Platform::start_with(World::small(), manual(Profile::Old)).await;
    platform.sim.switch_on(Fault::OrderReset);
    let proposal = given_up(&platform, &platform.balancer()).await;
    assert!(matches!(proposal.state, ProposalState::Done { .. }));
    assert_eq!(platform.sim.count_requests("POST /vm/"), 1);
}

#[tokio::test]
async fn a_place_that_vmmanager_does_not_tell_is_given_up_too() {
    let platform = Platform::start_with(World::small(), manual(Profile::Current)).await;
    let balancer = platform.balancer();
    let proposal = platform.approved(&balancer).await;
    let executor = balancer.executor(&CancellationToken::new()).unwrap().unwrap();
    let gives_up = async {
        until("the task shows", async || platform.sim.tasks().iter().any(|task| task.listed)).await;
        // The task is over, and the list of VMs says nothing for hours.
        platform
            .sim
            .rule(vm_balancer::sandbox::vmmanager::Rule::always(Fault::Html).only("GET /vm/v3/host?"));
        platform.sim.finish_all();
        give_up_when_slow(&platform, proposal.id).await;
    };
    let both = futures::future::join(executor.carry_out(proposal.id), gives_up);
    timeout(PATIENCE, both).await.expect("the watch should end").0.unwrap();
    assert_given_up(&platform.proposal(proposal.id).steps[0]);
}

/// Carries out a plan whose migration does not end, until it is given up.
async fn given_up(platform: &Platform, balancer: &VmBalancer) -> Proposal {
    let proposal = platform.approved(balancer).await;
    let executor = balancer.executor(&CancellationToken::new()).unwrap().unwrap();
    let both =
        futures::future::join(executor.carry_out(proposal.id), give_up_when_slow(platform, proposal.id));
    timeout(PATIENCE, both).await.expect("the watch should end").0.unwrap();
    let proposal = platform.proposal(proposal.id);
    assert_given_up(&proposal.steps[0]);
    proposal
}

async fn give_up_when_slow(platform: &Platform, id: ProposalId) {
    until("the order is watched", async || is_watched(&platform.sim)).await;
    platform.minutes_pass(61);
    until("it is slow", async || platform.proposal(id).steps.iter().any(Step::is_watched_long)).await;
    let given_up = Approval { by: person(7), at: platform.clock.now() };
    platform.store.update_proposal(id, |it| it.steps[0].given_up = Some(given_up)).unwrap();
}

fn assert_given_up(step: &Step) {
    let given_up = Some(Ending::GivenUp(person(7)));
    assert!(
        matches!(&step.state, StepState::Ended { outcome: Outcome::Lost, detail, .. } if *detail == given_up),
        "{step:?}"
    );
}

fn manual(profile: Profile) -> Options {
    Options { pace: Pace::Manual, profile, ..Options::default() }
}
