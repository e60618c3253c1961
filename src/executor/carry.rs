//! One approved proposal from its first step to its last.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, Shared},
    stream::FuturesUnordered,
};
use tracing::Instrument as _;

use super::{Executor, sightings::Sightings, watch::span_of};
use crate::{
    eyes::{Depth, LookError},
    model::{ApiFailure, Block, HistoryBefore, MigrationId, NodeId, ProposalId, Snapshot, Trouble, VmId},
    planner::{self, Migration, Policy, SkipWhy, Unfit},
    store::{
        Approver, Emptied, Ending, Held, JournalEntry, JournalState, Motive, Outcome, Proposal,
        ProposalState, Sight, Step, StepState, StoreError,
    },
    vmmanager::{No, OrderError, Ordered},
};

/// What hindered a proposal, besides the reasons in its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Nothing that hinders the next one.
    Fine,
    /// VMmanager could not be used, for this reason, at least for a part of it.
    VmManagerTrouble(Ending),
}

/// How long the look at the end of a plan may take: the plan's message waits for it.
const LAST_LOOK_MAX: Duration = Duration::from_secs(30);

/// Why a step is not ordered.
enum Left {
    /// Only this step is not.
    Drop(Ending),
    /// VMmanager could not be asked, or took nothing. It may be back for the next step.
    Away(Ending),
    /// Nothing more of this plan is ordered.
    Halt(Ending),
    /// VMmanager takes no order: it lets this account order nothing, its queue is full, or it does not understand. That
    /// says nothing of the VM, and the next step would end the same.
    NoOrders(Ending),
    /// The bot stops. Nothing is changed any more.
    Stop,
    /// The store cannot be used, so nothing more is ordered.
    Store(StoreError),
}

impl From<StoreError> for Left {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A look that several steps share.
type Look<'a> = Shared<BoxFuture<'a, Arc<Result<Snapshot, LookError>>>>;

/// Steps under way, from the last questions to the end of the migration.
#[derive(Default)]
struct Running<'a> {
    carried: FuturesUnordered<BoxFuture<'a, (u32, Result<(), Left>)>>,
    steps: Vec<&'a Migration>,
    /// The last trouble with VMmanager.
    trouble: Option<Ending>,
}

impl Executor {
    /// Carries out an approved proposal to its end, or until everything stops. Does nothing with any other.
    ///
    /// # Errors
    ///
    /// Says that the store cannot be used; nothing more is ordered then.
    pub async fn carry_out(&self, id: ProposalId) -> Result<Carried, StoreError> {
        let Some(proposal) = self.watcher.ledger.start(id)? else { return Ok(Carried::Fine) };
        let span = tracing::info_span!(
            "plan",
            plan.id = %proposal.plan.id,
            proposal.id = id.0,
            cluster.id = proposal.cluster.0,
        );
        self.carry_out_started(&proposal).instrument(span).await
    }

    async fn carry_out_started(&self, proposal: &Proposal) -> Result<Carried, StoreError> {
        let ledger = &self.watcher.ledger;
        let sightings = Sightings::of(proposal.cluster);
        let mut running = Running::default();
        let mut halted = self.steps(proposal, &sightings, &mut running).await;
        while let Some(carried) = running.next().await {
            if let Err(left) = carried {
                let noted = self.note(left, &mut running);
                halted = halted.and_then(|halted| Ok(halted.or(noted?)));
            }
        }
        if let Some(why) = halted? {
            ledger.drop_waiting(proposal.id, &why)?;
        }
        let carried = running.trouble.map_or(Carried::Fine, Carried::VmManagerTrouble);
        if self.stop.is_cancelled() {
            return Ok(carried);
        }
        let sight = self.last_look(proposal).await?;
        let resting = self.rules.policy(ledger.clock.now())?.resting;
        ledger.keep_sight(proposal.id, sight, &resting)?;
        ledger.finish(proposal.id)?;
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
                return Ok(Some(Sight::Failed(Trouble::VmManager(error))));
            }
            Ok(Err(LookError::Store(error))) => return Err(error),
            Err(_) => return Ok(Some(Sight::TimedOut)),
        };
        let policy = self.rules.policy(snapshot.taken_at)?;
        Ok(Some(sight(&snapshot, &policy, proposal)))
    }

    /// Begins each step as soon as its nodes and a place are free; returns why the rest is left, if it is.
    async fn steps<'a>(
        &'a self,
        proposal: &'a Proposal,
        sightings: &'a Sightings,
        running: &mut Running<'a>,
    ) -> Result<Option<Ending>, StoreError> {
        let mut waiting: Vec<&'a Migration> = proposal
            .steps
            .iter()
            .filter(|step| step.state == StepState::Waiting)
            .map(|step| &step.migration)
            .collect();
        loop {
            let begun = planner::startable(&waiting, &running.steps, self.rules.parallel_max());
            if !begun.is_empty() {
                // Steps that begin together share one look.
                waiting.retain(|step| begun.iter().all(|begun| begun.step != step.step));
                let together = begun.clone();
                let look = async move { Arc::new(self.look_for(proposal.id, &together, sightings).await) };
                let look: Look<'a> = look.boxed().shared();
                for migration in begun {
                    running.begin(self, proposal, migration, look.clone());
                }
            }
            match running.next().await {
                None => return Ok(None),
                Some(Ok(())) => {}
                Some(Err(Left::Stop)) => return Ok(None),
                Some(Err(left)) => {
                    if let Some(halted) = self.note(left, running)? {
                        return Ok(Some(halted));
                    }
                }
            }
        }
    }

    /// Looks for steps that begin together.
    async fn look_for(
        &self,
        id: ProposalId,
        begun: &[&Migration],
        sightings: &Sightings,
    ) -> Result<Snapshot, LookError> {
        let ledger = &self.watcher.ledger;
        let steps = ledger.store.proposal(id)?.map(|proposal| proposal.steps).unwrap_or_default();
        sightings.look(&self.eyes, begun, &steps, ledger.clock.now()).await
    }

    /// Records why a step was not ordered. Returns the reason if the remaining steps are dropped too.
    fn note(&self, left: Left, running: &mut Running<'_>) -> Result<Option<Ending>, StoreError> {
        Ok(match left {
            Left::Drop(_) | Left::Stop => None,
            Left::Away(why) => {
                running.trouble = Some(why);
                None
            }
            Left::NoOrders(why) => {
                self.rules.was_refused(self.watcher.ledger.clock.now());
                running.trouble = Some(why.clone());
                Some(why)
            }
            Left::Halt(why) => Some(why),
            Left::Store(error) => return Err(error),
        })
    }

    /// Asks everything once more, records the intent, orders, and follows the migration to its end.
    async fn carry(&self, proposal: &Proposal, migration: &Migration, look: Look<'_>) -> Result<(), Left> {
        let intended = self.intend(proposal, migration, look).await;
        if let Err(Left::Drop(why) | Left::Away(why)) = &intended {
            self.watcher.ledger.drop_step(proposal.id, migration.step, why)?;
        }
        let entry = intended?;
        let span = span_of(&entry);
        let ordered = self.order(proposal, migration, entry).instrument(span).await?;
        match self.watcher.follow(ordered).await.map(|followed| followed.state) {
            // Nobody knows what the cluster holds: the rest is planned anew.
            Some(JournalState::Closed { detail: Some(why @ Ending::GivenUp(_)), .. }) => Err(Left::Halt(why)),
            _ => Ok(()),
        }
    }

    async fn intend(
        &self,
        proposal: &Proposal,
        migration: &Migration,
        look: Look<'_>,
    ) -> Result<JournalEntry, Left> {
        self.may_go_on(proposal.id)?;
        self.still_fits(proposal.id, migration, None, &*look.await)?;
        let history_before = self.ask_vmmanager(migration).await?;
        // The world may have changed while this was read.
        self.may_go_on(proposal.id)?;
        let intent = self.intent(proposal, migration, history_before);
        match self.watcher.ledger.intend(intent, migration.step) {
            Err(StoreError::InFlight { .. }) => Err(Left::Drop(Ending::AlreadyMoving)),
            intended => Ok(intended?),
        }
    }

    /// Sends the order. While VMmanager answers 503, and so takes nothing, sends it again as long as it is wanted.
    async fn order(
        &self,
        proposal: &Proposal,
        migration: &Migration,
        entry: JournalEntry,
    ) -> Result<JournalEntry, Left> {
        let JournalEntry { vm_name, source_name, target_name, .. } = &entry;
        tracing::info!(
            vm.name = vm_name,
            source.name = source_name,
            target.name = target_name,
            "a migration begins"
        );
        let may_send = || self.may_go_on(proposal.id).is_ok();
        let mut patience = self.orders.patience();
        loop {
            match self.orders.migrate(entry.vm, entry.target, &may_send).await {
                Ok(ordered) => return Ok(self.record_taken(entry, ordered)),
                Err(OrderError::NoAnswer(error)) => {
                    tracing::warn!(%error, "no answer to an order; looking for it");
                    return Ok(entry);
                }
                Err(OrderError::NotTaken(ApiFailure::Unavailable { what, .. })) => {
                    let Some(pause) = patience.next_pause() else {
                        let error =
                            ApiFailure::Unavailable { what, waited: patience.waiting_time().as_secs() };
                        return Err(self.not_taken(&entry, &error)?);
                    };
                    tracing::debug!(?pause, "an order is put off by vmmanager");
                    // At a stop the wait ends at once, and the check after it drops the step.
                    let _ = self.watcher.wait(pause).await;
                }
                Err(OrderError::NotTaken(error)) => return Err(self.not_taken(&entry, &error)?),
                Err(OrderError::Held) => {}
            }
            if let Err(left) = self.still_wanted(proposal.id, migration, &entry).await {
                return Err(self.not_ordered(&entry, left)?);
            }
        }
    }

    /// If it cannot be recorded, it runs all the same: after a restart it is found by the VM's history.
    fn record_taken(&self, mut entry: JournalEntry, ordered: Ordered) -> JournalEntry {
        self.rules.was_allowed();
        self.watcher.ledger.record_order(&mut entry, ordered.task, None);
        entry
    }

    /// Checks again what was checked before the intent, because people and the platform may have changed during a pause.
    async fn still_wanted(
        &self,
        id: ProposalId,
        migration: &Migration,
        entry: &JournalEntry,
    ) -> Result<(), Left> {
        self.may_go_on(id)?;
        let asked = async {
            let seen = self.eyes.look(Depth::Quick).await;
            self.still_fits(id, migration, Some(entry.id), &seen)?;
            match self.ask_vmmanager(migration).await? == entry.history_before {
                true => Ok(()),
                false => Err(Left::Drop(Ending::SomebodyElse)),
            }
        };
        // Reading may take as long as VMmanager is unavailable, and nothing is in flight.
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Left::Stop),
            answer = asked => answer,
        }
    }

    /// A refused order is not a failure, because nothing ran. It is remembered for the VM or for the target.
    fn not_taken(&self, entry: &JournalEntry, error: &ApiFailure) -> Result<Left, StoreError> {
        self.learn(entry.vm, Some(entry.target), error)?;
        self.not_ordered(entry, left_after(error))
    }

    /// Remembers what a no says of a VM, or of a target for it. A no to a question says nothing of the target.
    fn learn(&self, vm: VmId, target: Option<NodeId>, error: &ApiFailure) -> Result<(), StoreError> {
        let now = self.watcher.ledger.clock.now();
        match error.no() {
            Some(No::Declined) => self.rules.was_declined(vm, target, now),
            Some(No::Busy) => self.rules.was_declined(vm, None, now),
            Some(No::QueueFull | No::NotUnderstood | No::Gone) | None => Ok(()),
        }
    }

    /// Closes an intent that nothing came of: nothing is in flight.
    fn not_ordered(&self, entry: &JournalEntry, left: Left) -> Result<Left, StoreError> {
        let why = match &left {
            Left::Drop(why) | Left::Away(why) | Left::Halt(why) | Left::NoOrders(why) => why.clone(),
            Left::Stop => Ending::Stopped,
            // The entry stays open, and the next start looks for the order.
            Left::Store(_) => return Ok(left),
        };
        self.watcher.ledger.record_end(entry, Outcome::Dropped, Some(why))?;
        Ok(left)
    }

    /// Looks at what people decided since the last step.
    fn may_go_on(&self, id: ProposalId) -> Result<(), Left> {
        if self.stop.is_cancelled() {
            return Err(Left::Stop);
        }
        let store = &self.watcher.ledger.store;
        let proposal = store.proposal(id)?.ok_or(Left::Stop)?;
        if let Some(cancel) = proposal.cancel {
            return Err(Left::Halt(Ending::CancelledBy(cancel.by)));
        }
        if store.settings()?.dry_run == Some(true) {
            return Err(Left::Halt(Ending::DryRun));
        }
        Ok(())
    }

    /// Asks whether the step may be ordered in the world of this look.
    ///
    /// `own` is the step's entry in the journal, where it has one: it is not in its own way.
    fn still_fits(
        &self,
        id: ProposalId,
        migration: &Migration,
        own: Option<MigrationId>,
        seen: &Result<Snapshot, LookError>,
    ) -> Result<(), Left> {
        let snapshot = seen.as_ref().map_err(|error| match error {
            LookError::Store(error) => Left::Halt(Ending::Store(error.failure())),
            LookError::VmManager(error) => match left_after(error) {
                // A refused list says nothing of the VM, and nothing of orders.
                Left::Drop(why) => Left::Away(why),
                left => left,
            },
        })?;
        let store = &self.watcher.ledger.store;
        let proposal = store.proposal(id)?.ok_or(Left::Stop)?;
        // Every remaining step would be refused for the same reason, so the plan stops here.
        if let Some(flaw) = self.eyes.doubt(proposal.cluster) {
            return Err(Left::Halt(Ending::Doubted(flaw)));
        }
        let moved = moved_by(&proposal);
        let mut policy = self.rules.policy_within(snapshot.taken_at, &moved)?;
        if own.is_some() {
            // It rests because of this very entry. Other reasons to rest were checked before the entry was made.
            policy.resting.remove(&migration.vm);
        }
        let others = store.open_entries()?.into_iter().filter(|entry| Some(entry.id) != own);
        if let Some(other) = others.into_iter().find(|other| in_the_way(other, migration)) {
            return Err(Left::Drop(Ending::NodeOccupied { vm_name: other.vm_name, by: other.id }));
        }
        planner::fit(snapshot, &policy, migration).map_err(|unfit| Left::Drop(Ending::Unfit(unfit)))
    }

    /// Asks VMmanager's own form, and how far the VM's history goes.
    async fn ask_vmmanager(&self, migration: &Migration) -> Result<HistoryBefore, Left> {
        let api = &self.watcher.api;
        let unanswered = |error: ApiFailure| match self.learn(migration.vm, None, &error) {
            Ok(()) => left_after(&error),
            Err(error) => Left::Store(error),
        };
        let form = api.migrate_form(migration.vm).await.map_err(unanswered)?;
        let offered = form.is_none_or(|targets| {
            targets.iter().any(|target| target.node == migration.target && target.suitable)
        });
        if !offered {
            let now = self.watcher.ledger.clock.now();
            self.rules.was_declined(migration.vm, Some(migration.target), now)?;
            return Err(Left::Drop(Ending::NotOffered));
        }
        let before = api.before_order(migration.vm).await.map_err(unanswered)?;
        match before.busy_with {
            None => Ok(before.history),
            Some(task) => {
                // The look did not show it, so the next plan would not know.
                self.rules.was_declined(migration.vm, None, self.watcher.ledger.clock.now())?;
                Err(Left::Drop(Ending::Unfit(Unfit::Vm(SkipWhy::Blocked(Block::Task(task))))))
            }
        }
    }

    fn intent(
        &self,
        proposal: &Proposal,
        migration: &Migration,
        history_before: HistoryBefore,
    ) -> JournalEntry {
        JournalEntry {
            v: 1,
            // The store gives the number.
            id: MigrationId(0),
            state: JournalState::Intended,
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
    fn begin(
        &mut self,
        executor: &'a Executor,
        proposal: &'a Proposal,
        migration: &'a Migration,
        look: Look<'a>,
    ) {
        self.steps.push(migration);
        let carried = async move { (migration.step, executor.carry(proposal, migration, look).await) };
        self.carried.push(carried.boxed());
    }

    /// Waits for one to end; `None` where none runs.
    async fn next(&mut self) -> Option<Result<(), Left>> {
        let (step, carried) = self.carried.next().await?;
        self.steps.retain(|migration| migration.step != step);
        Some(carried)
    }
}

/// What an answer of VMmanager's means for the step that it was asked for.
fn left_after(error: &ApiFailure) -> Left {
    let failure = error.clone();
    match error {
        ApiFailure::Forbidden { .. }
        | ApiFailure::Credentials(_)
        | ApiFailure::NoLogin { .. }
        | ApiFailure::Settings(_) => Left::NoOrders(Ending::NotAllowed(failure)),
        ApiFailure::Unavailable { .. }
        | ApiFailure::NoAnswer { .. }
        | ApiFailure::Unreadable { .. }
        | ApiFailure::Other(_) => Left::Away(Ending::VmManager(failure)),
        ApiFailure::NotFound { .. } | ApiFailure::Refused { .. } => match error.no() {
            Some(No::Busy) => Left::Drop(Ending::Busy(failure)),
            Some(No::QueueFull) => Left::NoOrders(Ending::Busy(failure)),
            Some(No::NotUnderstood) => Left::NoOrders(Ending::NotUnderstood(failure)),
            Some(No::Declined | No::Gone) | None => Left::Drop(Ending::VmManager(failure)),
        },
    }
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
    let emptied = proposal.drains().map(|(node, _)| how_empty(snapshot, node));
    Sight::Seen { at: snapshot.taken_at, figures: overview.figures, nodes, emptied }
}

fn how_empty(snapshot: &Snapshot, node: NodeId) -> Emptied {
    if snapshot.node(node).is_none() {
        return Emptied::Gone;
    }
    let on_it = snapshot.vms.iter().filter(|vm| vm.node == node);
    Emptied::Holds(on_it.map(|vm| Held { vm: vm.id, name: vm.name.clone() }).collect())
}
