//! One approved proposal from its first step to its last.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

use super::Executor;
use crate::{
    eyes::{Depth, LookError},
    model::{Flaw, HistoryBefore, MigrationId, ProposalId, Snapshot, Trouble, VmId},
    planner::{self, Migration, Policy},
    store::{
        Approver, Intent, JournalEntry, Motive, Outcome, Proposal, ProposalState, Sight, Step, StepState,
        StoreError,
    },
    vmmanager::{ApiError, History, OrderError, Ordered},
};

/// What carrying out a proposal met, besides what its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Nothing that hinders the next one.
    Fine,
    /// VMmanager could not be used, for this reason, at least for a part of it.
    VmManagerTrouble(String),
}

/// How long the look at the end of a plan may take: the plan's message waits for it.
const LAST_LOOK_MAX: Duration = Duration::from_secs(30);

/// Why a step is not ordered.
enum No {
    /// Only this one is not.
    Drop(String),
    /// VMmanager could not be asked, or took nothing; it may be back for the next one.
    Away(String),
    /// Nothing more of this plan is.
    Halt(String),
    /// VMmanager lets this account order nothing: it says nothing of the VM, and the next one ends the same.
    NotAllowed(String),
    /// The bot stops and leaves all as it is.
    Stop,
}

/// Migrations that are being followed, with the nodes they occupy.
#[derive(Default)]
struct Running<'a> {
    followed: FuturesUnordered<BoxFuture<'a, (u32, Option<JournalEntry>)>>,
    steps: Vec<Migration>,
    /// The last trouble with VMmanager.
    trouble: Option<String>,
}

impl Executor {
    /// Carries out an approved proposal to its end, or until everything stops. Does nothing with any other.
    ///
    /// # Errors
    ///
    /// Says that the store cannot be used; nothing more is ordered then.
    pub async fn carry_out(&self, id: ProposalId) -> Result<Carried, StoreError> {
        let ledger = &self.watcher.ledger;
        let Some(proposal) = ledger.start(id)? else { return Ok(Carried::Fine) };
        let mut running = Running::default();
        let halted = self.steps(&proposal, &mut running).await;
        while running.next().await {}
        if let Some(why) = halted? {
            ledger.drop_waiting(id, &why)?;
        }
        let carried = running.trouble.map_or(Carried::Fine, Carried::VmManagerTrouble);
        if self.stop.is_cancelled() {
            return Ok(carried);
        }
        let sight = self.last_look(&proposal).await?;
        ledger.keep_sight(id, sight)?;
        ledger.finish(id)?;
        // The export is what survives damage to sled.
        ledger.store.export_aside(ledger.clock.now()).await;
        Ok(carried)
    }

    /// Looks at what the plan led to: what was predicted holds only where every step was done.
    async fn last_look(&self, proposal: &Proposal) -> Result<Option<Sight>, StoreError> {
        let looked = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(None),
            looked = tokio::time::timeout(LAST_LOOK_MAX, self.eyes.look(Depth::Quick)) => looked,
        };
        let snapshot = match looked {
            Ok(Ok(snapshot)) => snapshot,
            Ok(Err(LookError::VmManager(error))) => {
                return Ok(Some(Sight::Failed(Trouble::VmManager(error.failure()))));
            }
            Ok(Err(LookError::Store(error))) => return Err(error),
            Err(_) => return Ok(Some(Sight::TimedOut)),
        };
        let policy = self.rules.policy(snapshot.taken_at)?;
        Ok(Some(sight(&snapshot, &policy, proposal)))
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
                Ok(entry) => running.follow(self, migration.clone(), entry),
                Err(No::Drop(_)) => {}
                Err(No::Away(why)) => running.trouble = Some(why),
                Err(No::NotAllowed(why)) => {
                    self.rules.was_refused(self.watcher.ledger.clock.now());
                    running.trouble = Some(why.clone());
                    return Ok(Some(why));
                }
                Err(No::Halt(why)) => return Ok(Some(why)),
                Err(No::Stop) => return Ok(None),
            }
        }
        Ok(None)
    }

    fn has_room(&self, running: &Running<'_>, migration: &Migration) -> bool {
        running.steps.len() < self.rules.parallel_max()
            && running.steps.iter().all(|other| !share_a_node(other, migration))
    }

    /// Asks everything once more, records the intent, and orders; returns what is to be followed to its end.
    async fn begin(&self, proposal: &Proposal, step: &Step) -> Result<Result<JournalEntry, No>, StoreError> {
        let migration = &step.migration;
        let no = match self.intend(proposal, step).await? {
            Ok(entry) => return self.order(proposal, migration, entry).await,
            Err(no) => no,
        };
        if let No::Drop(why) | No::Away(why) = &no {
            self.watcher.ledger.drop_step(proposal.id, migration.step, why)?;
        }
        Ok(Err(no))
    }

    async fn intend(&self, proposal: &Proposal, step: &Step) -> Result<Result<JournalEntry, No>, StoreError> {
        let migration = &step.migration;
        if let Err(no) = self.may_go_on(proposal.id)? {
            return Ok(Err(no));
        }
        if let Err(no) = self.still_fits(proposal.id, migration, None).await? {
            return Ok(Err(no));
        }
        let history_before = match self.ask_vmmanager(migration).await {
            Ok(known) => known,
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

    /// Sends the order; while VMmanager answers 503, and so takes nothing, again and again as long as it is wanted.
    async fn order(
        &self,
        proposal: &Proposal,
        migration: &Migration,
        entry: JournalEntry,
    ) -> Result<Result<JournalEntry, No>, StoreError> {
        tracing::info!(vm.id = %entry.vm, source = %entry.source, target = %entry.target, "ordering a migration");
        let may_send = || matches!(self.may_go_on(proposal.id), Ok(Ok(())));
        let mut patience = self.orders.patience();
        loop {
            match self.orders.migrate_if(entry.vm, entry.target, &may_send).await {
                Ok(ordered) => return Ok(Ok(self.taken(entry, ordered))),
                Err(OrderError::NoAnswer(error)) => {
                    tracing::warn!(vm.id = %entry.vm, %error, "no answer to an order; looking for it");
                    return Ok(Ok(entry));
                }
                Err(OrderError::NotTaken(ApiError::Unavailable { what, .. })) => {
                    let Some(pause) = patience.next_pause() else {
                        let error = ApiError::Unavailable { what, waited: patience.waited() };
                        return self.not_taken(&entry, &error);
                    };
                    tracing::debug!(vm.id = %entry.vm, ?pause, "an order is put off by vmmanager");
                    // Where everything stops the wait ends at once, and the question after it tells.
                    let _ = self.watcher.wait(pause).await;
                }
                Err(OrderError::NotTaken(error)) => return self.not_taken(&entry, &error),
                Err(OrderError::Held) => {}
            }
            if let Err(no) = self.still_wanted(proposal.id, migration, &entry).await? {
                return self.not_ordered(&entry, no);
            }
        }
    }

    fn taken(&self, entry: JournalEntry, ordered: Ordered) -> JournalEntry {
        self.rules.was_allowed();
        match self.watcher.ledger.ordered(entry.id, ordered.task, None) {
            Ok(entry) => entry,
            Err(error) => {
                // It runs: it is followed by what is known in memory, and found by its history after a restart.
                tracing::error!(error = %error.chain(), vm.id = %entry.vm, "an order cannot be recorded");
                entry
            }
        }
    }

    /// Asks again what was asked before the intent: in a pause people and the world may change their minds.
    async fn still_wanted(
        &self,
        id: ProposalId,
        migration: &Migration,
        entry: &JournalEntry,
    ) -> Result<Result<(), No>, StoreError> {
        if let Err(no) = self.may_go_on(id)? {
            return Ok(Err(no));
        }
        let asked = async {
            if let Err(no) = self.still_fits(id, migration, Some(entry.id)).await? {
                return Ok(Err(no));
            }
            Ok(match self.ask_vmmanager(migration).await {
                Ok(history) if history == entry.history_before => Ok(()),
                Ok(_) => {
                    Err(No::Drop("somebody else worked on the VM while VMmanager put the order off".into()))
                }
                Err(no) => Err(no),
            })
        };
        // Reading may take as long as VMmanager is unavailable, and nothing is in flight.
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(Err(No::Stop)),
            answer = asked => answer,
        }
    }

    /// A final no to this VM is a failure and lets it rest; what says nothing of the VM is not.
    fn not_taken(
        &self,
        entry: &JournalEntry,
        error: &ApiError,
    ) -> Result<Result<JournalEntry, No>, StoreError> {
        let ledger = &self.watcher.ledger;
        match no_of(error) {
            No::Drop(why) => {
                let closed = ledger.ended(entry, Outcome::Failed, Some(why.clone()))?;
                self.rules.after(&closed, ledger.clock.now())?;
                Ok(Err(No::Drop(why)))
            }
            no => self.not_ordered(entry, no),
        }
    }

    /// Closes an intent that nothing came of: nothing is in flight.
    fn not_ordered(&self, entry: &JournalEntry, no: No) -> Result<Result<JournalEntry, No>, StoreError> {
        let why = match &no {
            No::Drop(why) | No::Away(why) | No::Halt(why) | No::NotAllowed(why) => why.clone(),
            No::Stop => "the bot stopped before VMmanager took the order".to_owned(),
        };
        self.watcher.ledger.ended(entry, Outcome::Dropped, Some(why))?;
        Ok(Err(no))
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
    ///
    /// `own` is the step's entry in the journal, where it has one: it is not in its own way.
    async fn still_fits(
        &self,
        id: ProposalId,
        migration: &Migration,
        own: Option<MigrationId>,
    ) -> Result<Result<(), No>, StoreError> {
        let snapshot = match self.eyes.look(Depth::Quick).await {
            Ok(snapshot) => snapshot,
            Err(LookError::Store(error)) => return Err(error),
            Err(LookError::VmManager(error)) => return Ok(Err(no_of(&error))),
        };
        let store = &self.watcher.ledger.store;
        let Some(proposal) = store.proposal(id)? else { return Ok(Err(No::Stop)) };
        // Until it is believed or whole again, every step would meet the same.
        if let Some(why) = self.eyes.doubt(proposal.cluster) {
            let why = match why {
                Flaw::Shrank { before, after } => {
                    format!("it had {before} VMs and now seems to have {after}")
                }
                other => format!("{other:?}"),
            };
            return Ok(Err(No::Halt(why)));
        }
        let moved = moved_by(&proposal);
        let mut policy = self.rules.policy_within(snapshot.taken_at, &moved)?;
        if own.is_some() {
            // It rests because of this very entry; why else it could rest was asked before the entry was made.
            policy.resting.remove(&migration.vm);
        }
        let others = store.open_entries()?.into_iter().filter(|entry| Some(entry.id) != own);
        if let Some(other) = others.into_iter().find(|other| in_the_way(other, migration)) {
            let why = format!("the migration of {} (entry {}) occupies a node", other.vm_name, other.id);
            return Ok(Err(No::Drop(why)));
        }
        Ok(fits(&snapshot, &policy, migration))
    }

    /// Asks VMmanager's own form, and how far the VM's history goes.
    async fn ask_vmmanager(&self, migration: &Migration) -> Result<HistoryBefore, No> {
        let api = &self.watcher.api;
        let form = api.migrate_form(migration.vm).await.map_err(|error| no_of(&error))?;
        let offered = form.is_none_or(|targets| {
            targets.iter().any(|target| target.node == migration.target && target.suitable)
        });
        if !offered {
            self.rules.was_not_offered(migration.vm, self.watcher.ledger.clock.now());
            return Err(No::Drop("VMmanager does not offer this target".into()));
        }
        match api.history(migration.vm).await {
            Ok(history) => Ok(known_of(&history)),
            // A version without histories: then only the task list can tell.
            Err(error) if error.is_missing_function() => Ok(HistoryBefore::Unknown),
            Err(error) => Err(no_of(&error)),
        }
    }

    fn intent(&self, proposal: &Proposal, migration: &Migration, history_before: HistoryBefore) -> Intent {
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
            why: Motive::Plan(migration.why.clone()),
            approver: approver(proposal),
            history_before,
            intended_at: self.watcher.ledger.clock.now(),
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

/// What an answer of VMmanager's means for the step that it was asked for.
fn no_of(error: &ApiError) -> No {
    match error {
        ApiError::Forbidden { .. } => No::NotAllowed(format!(
            "VMmanager does not let this account do what a migration needs (perhaps it may only read): {error}"
        )),
        ApiError::Unauthorized(_) | ApiError::Settings(_) => No::NotAllowed(error.to_string()),
        ApiError::Unavailable { .. } | ApiError::NoAnswer { .. } | ApiError::Unreadable { .. } => {
            No::Away(error.to_string())
        }
        ApiError::NotFound { .. } | ApiError::Refused { .. } => No::Drop(error.to_string()),
    }
}

fn fits(snapshot: &Snapshot, policy: &Policy, migration: &Migration) -> Result<(), No> {
    planner::fit(snapshot, policy, migration).map_err(|unfit| No::Drop(unfit.to_string()))
}

fn known_of(history: &History) -> HistoryBefore {
    match history.max_id {
        Some(newest) => HistoryBefore::UpTo(newest),
        None if history.entries.is_empty() => HistoryBefore::Empty,
        None => HistoryBefore::Unknown,
    }
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

/// What a snapshot shows of a plan's cluster and of the nodes that the plan was about.
fn sight(snapshot: &Snapshot, policy: &Policy, proposal: &Proposal) -> Sight {
    let flaw = snapshot.cluster(proposal.cluster).and_then(|cluster| cluster.incomplete.first());
    if let Some(flaw) = flaw {
        return Sight::Incomplete(flaw.clone());
    }
    let Some(overview) = planner::overview(snapshot, policy, proposal.cluster) else {
        return Sight::ClusterGone;
    };
    let steps = &proposal.steps;
    let touched: BTreeSet<_> =
        steps.iter().flat_map(|step| [step.migration.source, step.migration.target]).collect();
    let nodes = overview.nodes.into_iter().filter(|node| touched.contains(&node.node));
    let nodes = nodes.map(|node| (node.node, node.at)).collect();
    Sight::Seen { at: snapshot.taken_at, figures: overview.figures, nodes }
}
