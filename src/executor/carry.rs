//! One approved proposal from its first step to its last.

use std::collections::BTreeSet;

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

use super::{Depth, Executor, LookError};
use crate::{
    model::{ProposalId, Snapshot, VmId},
    planner::{self, Migration, Policy},
    store::{Approver, Intent, JournalEntry, Outcome, Proposal, ProposalState, Step, StepState, StoreError},
    vmmanager::{ApiError, OrderError},
};

/// What became of a step's beginning.
enum Begun {
    /// To be followed to its end.
    Open(Box<JournalEntry>),
    /// It was not ordered; the next one may be.
    Not,
    /// Nothing more of this plan is ordered, for this reason; `None` where the bot stops and leaves all as it is.
    Halt(Option<String>),
}

/// Why a step is not ordered.
enum No {
    Drop(String),
    Halt(String),
    Stop,
}

/// Migrations that are being followed, with the nodes they occupy.
#[derive(Default)]
struct Running<'a> {
    followed: FuturesUnordered<BoxFuture<'a, (u32, Option<JournalEntry>)>>,
    steps: Vec<Migration>,
}

impl Executor {
    /// Carries out an approved proposal to its end, or until everything stops. Does nothing with any other.
    ///
    /// # Errors
    ///
    /// Says that the store cannot be used; nothing more is ordered then.
    pub async fn carry_out(&self, id: ProposalId) -> Result<(), StoreError> {
        let ledger = &self.watcher.ledger;
        let Some(proposal) = ledger.start(id)? else { return Ok(()) };
        let mut running = Running::default();
        let halted = self.steps(&proposal, &mut running).await;
        while running.next().await {}
        if let Some(why) = halted? {
            ledger.drop_waiting(id, &why)?;
        }
        if self.stop.is_cancelled() {
            return Ok(());
        }
        ledger.finish(id)?;
        self.export().await;
        Ok(())
    }

    /// Begins step after step, wave after wave; returns why the rest is left, if it is.
    async fn steps<'a>(
        &'a self,
        proposal: &Proposal,
        running: &mut Running<'a>,
    ) -> Result<Option<String>, StoreError> {
        let mut wave = 0;
        for step in proposal.steps.iter().filter(|step| step.state == StepState::Waiting) {
            let migration = &step.migration;
            // What a wave was planned on is there when the wave before it has ended.
            while !running.steps.is_empty() && (migration.wave != wave || !self.has_room(running, migration))
            {
                running.next().await;
            }
            wave = migration.wave;
            match self.begin(proposal, step).await? {
                Begun::Open(entry) => running.follow(self, migration.clone(), *entry),
                Begun::Not => {}
                Begun::Halt(why) => return Ok(why),
            }
        }
        Ok(None)
    }

    fn has_room(&self, running: &Running<'_>, migration: &Migration) -> bool {
        running.steps.len() < self.rules.parallel_max()
            && running.steps.iter().all(|other| !share_a_node(other, migration))
    }

    /// Asks everything once more, records the intent, and orders.
    async fn begin(&self, proposal: &Proposal, step: &Step) -> Result<Begun, StoreError> {
        let ledger = &self.watcher.ledger;
        let number = step.migration.step;
        match self.intend(proposal, step).await? {
            Ok(entry) => self.order(entry).await,
            Err(No::Drop(why)) => {
                ledger.drop_step(proposal.id, number, &why)?;
                Ok(Begun::Not)
            }
            Err(No::Halt(why)) => Ok(Begun::Halt(Some(why))),
            Err(No::Stop) => Ok(Begun::Halt(None)),
        }
    }

    async fn intend(&self, proposal: &Proposal, step: &Step) -> Result<Result<JournalEntry, No>, StoreError> {
        let migration = &step.migration;
        if let Err(no) = self.may_go_on(proposal.id)? {
            return Ok(Err(no));
        }
        if let Err(no) = self.still_fits(proposal.id, migration).await? {
            return Ok(Err(no));
        }
        let history_before = match self.ask_vmmanager(migration).await {
            Ok(max_id) => max_id,
            Err(no) => return Ok(Err(no)),
        };
        // Reading took a while.
        if let Err(no) = self.may_go_on(proposal.id)? {
            return Ok(Err(no));
        }
        let intent = self.intent(proposal, migration, history_before);
        match self.watcher.ledger.intend(intent, migration.step) {
            Ok(entry) => Ok(Ok(entry)),
            Err(error @ StoreError::InFlight { .. }) => Ok(Err(No::Drop(error.to_string()))),
            Err(error) => Err(error),
        }
    }

    async fn order(&self, entry: JournalEntry) -> Result<Begun, StoreError> {
        let ledger = &self.watcher.ledger;
        tracing::info!(vm.id = %entry.vm, source = %entry.source, target = %entry.target, "ordering a migration");
        match self.orders.migrate(entry.vm, entry.target).await {
            Ok(ordered) => match ledger.ordered(entry.id, ordered.task, None) {
                Ok(entry) => Ok(Begun::Open(Box::new(entry))),
                Err(error) => {
                    // It runs: it is followed by what is known in memory, and found by its history after a restart.
                    tracing::error!(error = %error.chain(), vm.id = %entry.vm, "an order cannot be recorded");
                    Ok(Begun::Open(Box::new(entry)))
                }
            },
            Err(OrderError::NoAnswer(error)) => {
                tracing::warn!(vm.id = %entry.vm, %error, "no answer to an order; looking for it");
                Ok(Begun::Open(Box::new(entry)))
            }
            Err(OrderError::NotTaken(error)) => self.not_taken(&entry, &error),
        }
    }

    /// A final no is a failure and lets the VM rest; one that may pass is not.
    fn not_taken(&self, entry: &JournalEntry, error: &ApiError) -> Result<Begun, StoreError> {
        let ledger = &self.watcher.ledger;
        let said = Some(error.to_string());
        let outcome = match error {
            ApiError::Unavailable { .. } | ApiError::NoAnswer { .. } | ApiError::Settings(_) => {
                Outcome::Dropped
            }
            ApiError::Forbidden { .. }
            | ApiError::Unauthorized(_)
            | ApiError::NotFound { .. }
            | ApiError::Refused { .. }
            | ApiError::Unreadable { .. } => Outcome::Failed,
        };
        let closed = ledger.ended(entry, outcome, said)?;
        self.rules.after(&closed, ledger.clock.now())?;
        match error {
            ApiError::Forbidden { .. } | ApiError::Unauthorized(_) => {
                Ok(Begun::Halt(Some(format!("an earlier step was refused: {error}"))))
            }
            _ => Ok(Begun::Not),
        }
    }

    /// Looks at what people said since the last step.
    fn may_go_on(&self, id: ProposalId) -> Result<Result<(), No>, StoreError> {
        if self.stop.is_cancelled() {
            return Ok(Err(No::Stop));
        }
        let store = &self.watcher.ledger.store;
        let Some(proposal) = store.proposal(id)? else { return Ok(Err(No::Stop)) };
        if let Some(cancel) = proposal.cancel {
            return Ok(Err(No::Halt(format!("cancelled by {}", cancel.by))));
        }
        if store.settings()?.dry_run == Some(true) {
            return Ok(Err(No::Halt("dry run was switched on".into())));
        }
        Ok(Ok(()))
    }

    /// Looks anew, and asks whether the step may be ordered in this world.
    async fn still_fits(&self, id: ProposalId, migration: &Migration) -> Result<Result<(), No>, StoreError> {
        let snapshot = match self.eyes.look(Depth::Quick).await {
            Ok(snapshot) => snapshot,
            Err(LookError::Store(error)) => return Err(error),
            Err(LookError::VmManager(error)) => return Ok(Err(No::Drop(error.to_string()))),
        };
        let store = &self.watcher.ledger.store;
        let moved = store.proposal(id)?.map(|proposal| moved_by(&proposal)).unwrap_or_default();
        let policy = self.rules.policy_within(snapshot.taken_at, &moved)?;
        if let Some(other) = store.open_entries()?.iter().find(|other| in_the_way(other, migration)) {
            let why = format!("the migration of {} (entry {}) occupies a node", other.vm_name, other.id);
            return Ok(Err(No::Drop(why)));
        }
        Ok(fits(&snapshot, &policy, migration))
    }

    /// Asks VMmanager's own form, and how far the VM's history goes.
    async fn ask_vmmanager(&self, migration: &Migration) -> Result<Option<u64>, No> {
        let api = &self.watcher.api;
        let form = api.migrate_form(migration.vm).await.map_err(|error| No::Drop(error.to_string()))?;
        let offered = form.is_none_or(|targets| {
            targets.iter().any(|target| target.node == migration.target && target.suitable)
        });
        if !offered {
            self.rules.was_not_offered(migration.vm, self.watcher.ledger.clock.now());
            return Err(No::Drop("VMmanager does not offer this target".into()));
        }
        match api.history(migration.vm).await {
            Ok(history) => Ok(history.max_id),
            // A version without histories: then only the task list can tell.
            Err(ApiError::NotFound { .. } | ApiError::Refused { .. }) => Ok(None),
            Err(error) => Err(No::Drop(error.to_string())),
        }
    }

    fn intent(&self, proposal: &Proposal, migration: &Migration, history_before: Option<u64>) -> Intent {
        Intent {
            proposal: proposal.id,
            plan: proposal.plan.id.clone(),
            cluster: proposal.cluster,
            cluster_name: proposal.cluster_name.clone(),
            vm: migration.vm,
            vm_name: migration.vm_name.clone(),
            source: migration.source,
            source_name: migration.source_name.clone(),
            target: migration.target,
            target_name: migration.target_name.clone(),
            vcpus: migration.vcpus,
            ram: migration.ram,
            why: migration.why.to_string(),
            approver: approver(proposal),
            history_before,
            intended_at: self.watcher.ledger.clock.now(),
        }
    }

    /// What is in the store outlives it: an export after each plan that ended.
    async fn export(&self) {
        let (store, now) = (self.watcher.ledger.store.clone(), self.watcher.ledger.clock.now());
        match tokio::task::spawn_blocking(move || store.export(now)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = %error.chain(), "the store cannot be exported"),
            Err(error) => tracing::error!(%error, "the export broke"),
        }
    }
}

impl<'a> Running<'a> {
    fn follow(&mut self, executor: &'a Executor, migration: Migration, entry: JournalEntry) {
        let step = migration.step;
        self.steps.push(migration);
        self.followed.push(Box::pin(async move { (step, executor.watcher.follow(entry).await) }));
    }

    /// Waits for one to end; false where none runs.
    async fn next(&mut self) -> bool {
        let Some((step, _)) = self.followed.next().await else { return false };
        self.steps.retain(|migration| migration.step != step);
        true
    }
}

fn fits(snapshot: &Snapshot, policy: &Policy, migration: &Migration) -> Result<(), No> {
    planner::fit(snapshot, policy, migration).map_err(|unfit| No::Drop(unfit.to_string()))
}

fn share_a_node(one: &Migration, other: &Migration) -> bool {
    [one.source, one.target].iter().any(|node| *node == other.source || *node == other.target)
}

fn in_the_way(other: &JournalEntry, migration: &Migration) -> bool {
    [other.source, other.target].iter().any(|node| *node == migration.source || *node == migration.target)
}

fn moved_by(proposal: &Proposal) -> BTreeSet<VmId> {
    let done = |step: &&Step| matches!(step.state, StepState::Ended { outcome: Outcome::Done, .. });
    proposal.steps.iter().filter(done).map(|step| step.migration.vm).collect()
}

fn approver(proposal: &Proposal) -> Approver {
    match &proposal.state {
        ProposalState::Running { by, .. }
        | ProposalState::Approved { by, .. }
        | ProposalState::Done { by, .. } => by.clone(),
        _ => Approver::People(proposal.approvals.iter().map(|approval| approval.by.clone()).collect()),
    }
}
