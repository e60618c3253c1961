//! The three writes of each change, always in this order: the journal, the proposal's step, the event.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{
    clock::Clock,
    event::{Event, Events},
    meter,
    model::{Person, ProposalId, VmId},
    planner::{Rest, RestWhy},
    store::{
        Ending, JournalEntry, JournalState, Outcome, Proposal, ProposalState, Sight, Step, StepState, Store,
        StoreError,
    },
};

/// Records what happens to migrations and sends the events.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) store: Store,
    pub(super) events: Events,
    pub(super) clock: Clock,
}

impl Ledger {
    /// Joins the store with the listeners.
    #[must_use]
    pub fn new(store: Store, events: Events, clock: Clock) -> Self {
        Self { store, events, clock }
    }

    /// Moves an approved proposal to running; `None` where it is not approved.
    pub(super) fn start(&self, id: ProposalId) -> Result<Option<Proposal>, StoreError> {
        let now = self.clock.now();
        let mut started = false;
        let proposal = self.change(id, |proposal| {
            if let ProposalState::Approved { by, .. } = &proposal.state {
                proposal.state = ProposalState::Running { by: by.clone(), since: now };
                started = true;
            }
        })?;
        Ok(started.then_some(proposal))
    }

    /// Records an intent, in the journal and at its step. After this the order may be sent.
    pub(super) fn intend(&self, intent: JournalEntry, step: u32) -> Result<JournalEntry, StoreError> {
        let entry = self.store.intend(intent)?;
        let since = entry.intended_at;
        let marked = self.change(entry.proposal, |proposal| {
            for known in proposal.steps.iter_mut().filter(|known| known.migration.step == step) {
                known.journal = Some(entry.id);
                known.state = StepState::Running { since, slow: false };
            }
        });
        match marked {
            Ok(_) => Ok(entry),
            Err(error) => {
                // Nothing was ordered; if this cannot be written either, the next start finds the intent.
                let why = Some(Ending::Store(error.failure()));
                let _ = self.store.close(entry.id, Outcome::Dropped, why, self.clock.now());
                Err(error)
            }
        }
    }

    /// Notes in the entry that VMmanager took the order, or the number of its task, and records it. Where the store
    /// cannot be written, the migration is followed by what the entry in memory says, and it is recorded later.
    pub(super) fn record_order(
        &self,
        entry: &mut JournalEntry,
        consul_id: Option<u64>,
        task_id: Option<u64>,
    ) {
        let now = self.clock.now();
        match self.store.record_order(entry.id, consul_id, task_id, now) {
            Ok(recorded) => *entry = recorded,
            Err(error) => {
                tracing::error!(%error, "an order cannot be recorded; it is followed from memory");
                entry.note_order(consul_id, task_id, now);
            }
        }
    }

    /// Records what is known of an open order and could not be recorded before.
    pub(super) fn catch_up(&self, entry: &JournalEntry) -> Result<(), StoreError> {
        let JournalState::Ordered { at, consul_id, task_id } = entry.state else { return Ok(()) };
        let is_behind = |known: &JournalEntry| match known.state {
            JournalState::Intended => true,
            JournalState::Ordered { .. } => known.task_numbers() != (consul_id, task_id),
            JournalState::Closed { .. } => false,
        };
        // A store that cannot be read is opened again by the next write.
        let may_be_behind =
            self.store.entry(entry.id).map_or(true, |known| known.is_some_and(|it| is_behind(&it)));
        match may_be_behind.then(|| self.store.record_order(entry.id, consul_id, task_id, at)) {
            None | Some(Ok(_) | Err(StoreError::Closed(_))) => Ok(()),
            Some(Err(error)) => Err(error),
        }
    }

    /// Records the end of a migration.
    pub(super) fn record_end(
        &self,
        entry: &JournalEntry,
        outcome: Outcome,
        detail: Option<Ending>,
    ) -> Result<JournalEntry, StoreError> {
        self.catch_up(entry)?;
        let closed = match self.store.close(entry.id, outcome, detail, self.clock.now()) {
            // The journal entry is closed already, but the proposal does not say so yet.
            Err(StoreError::Closed(id)) => self.store.entry(id)?.ok_or(StoreError::NoSuchEntry(id))?,
            other => other?,
        };
        self.tell_step(&closed)?;
        log_end(&closed);
        Ok(closed)
    }

    /// Brings the step of a journal entry to what the entry says.
    pub(super) fn tell_step(&self, entry: &JournalEntry) -> Result<(), StoreError> {
        if self.store.proposal(entry.proposal)?.is_none() {
            return Ok(());
        }
        self.change(entry.proposal, |proposal| {
            let step = proposal.steps.iter_mut().find(|step| belongs(step, entry));
            if let Some(step) = step {
                step.journal = Some(entry.id);
                step.task = entry.task_numbers().1;
                step.state = step_state(entry, &step.state);
            }
        })?;
        Ok(())
    }

    /// Marks a running migration as slow.
    pub(super) fn slow(&self, entry: &JournalEntry) -> Result<(), StoreError> {
        self.change(entry.proposal, |proposal| {
            for step in proposal.steps.iter_mut().filter(|step| step.journal == Some(entry.id)) {
                if let StepState::Running { slow, .. } = &mut step.state {
                    *slow = true;
                }
            }
        })?;
        Ok(())
    }

    /// Returns who gave up watching a migration, if somebody did. A store that cannot be read is reported elsewhere.
    pub(super) fn gave_up(&self, entry: &JournalEntry) -> Option<Person> {
        let proposal = self.store.proposal(entry.proposal).ok().flatten()?;
        let step = proposal.steps.into_iter().find(|step| step.journal == Some(entry.id))?;
        step.given_up.map(|given_up| given_up.by)
    }

    /// Records that one step is not ordered, and why.
    pub fn drop_step(&self, id: ProposalId, step: u32, why: &Ending) -> Result<(), StoreError> {
        tracing::info!(proposal.id = id.0, step, error = %why, "a step is dropped");
        self.drop_steps(id, why, |known| known.migration.step == step)
    }

    /// Drops every step that waits.
    pub(super) fn drop_waiting(&self, id: ProposalId, why: &Ending) -> Result<(), StoreError> {
        self.drop_steps(id, why, |_| true)
    }

    /// Keeps what a look at the end of a plan showed, and which of its VMs are left alone until when. Its end follows
    /// at once, so listeners hear of that alone.
    pub(super) fn keep_sight(
        &self,
        id: ProposalId,
        sight: Option<Sight>,
        resting: &BTreeMap<VmId, Rest>,
    ) -> Result<(), StoreError> {
        self.store.update_proposal(id, |proposal| {
            proposal.sight = sight;
            let failed =
                resting.iter().filter(|(_, rest)| matches!(rest.why, RestWhy::Failed | RestWhy::FailedAgain));
            let of_plan =
                failed.filter(|(vm, _)| proposal.steps.iter().any(|step| step.migration.vm == **vm));
            proposal.rests = of_plan.map(|(vm, rest)| (*vm, rest.until)).collect();
        })?;
        Ok(())
    }

    /// Ends a proposal whose steps have all ended; returns it as it is then.
    pub(super) fn finish(&self, id: ProposalId) -> Result<Proposal, StoreError> {
        let now = self.clock.now();
        self.change(id, |proposal| {
            let by = match &proposal.state {
                ProposalState::Running { by, .. } | ProposalState::Approved { by, .. } => by.clone(),
                _ => return,
            };
            let is_over = |step: &Step| match step.state {
                StepState::Ended { .. } | StepState::LeftOut { .. } => true,
                StepState::Waiting | StepState::Running { .. } => false,
            };
            if proposal.steps.iter().all(is_over) {
                proposal.state = ProposalState::Done { by, at: now };
            }
        })
    }

    fn drop_steps(
        &self,
        id: ProposalId,
        why: &Ending,
        which: impl Fn(&Step) -> bool,
    ) -> Result<(), StoreError> {
        let at = self.clock.now();
        self.change(id, |proposal| {
            for step in
                proposal.steps.iter_mut().filter(|step| step.state == StepState::Waiting && which(step))
            {
                step.state = StepState::Ended { outcome: Outcome::Dropped, detail: Some(why.clone()), at };
            }
        })?;
        Ok(())
    }

    fn change(&self, id: ProposalId, change: impl FnOnce(&mut Proposal)) -> Result<Proposal, StoreError> {
        let before = self.store.proposal(id)?.map(|proposal| proposal.revision);
        let after = self.store.update_proposal(id, change)?;
        if before != Some(after.revision) {
            self.events.say(Event::Proposal(id));
        }
        Ok(after)
    }
}

/// A step without its number in the journal was intended just before the process died.
fn belongs(step: &Step, entry: &JournalEntry) -> bool {
    match step.journal {
        Some(id) => id == entry.id,
        None => {
            step.state == StepState::Waiting
                && step.migration.vm == entry.vm
                && step.migration.source == entry.source
                && step.migration.target == entry.target
        }
    }
}

fn step_state(entry: &JournalEntry, before: &StepState) -> StepState {
    match &entry.state {
        JournalState::Closed { outcome, detail, at, .. } => {
            StepState::Ended { outcome: *outcome, detail: detail.clone(), at: *at }
        }
        JournalState::Intended | JournalState::Ordered { .. } => match before {
            StepState::Running { .. } => before.clone(),
            _ => StepState::Running { since: start_of(entry), slow: false },
        },
    }
}

fn start_of(entry: &JournalEntry) -> DateTime<Utc> {
    match &entry.state {
        JournalState::Ordered { at, .. } => *at,
        JournalState::Intended | JournalState::Closed { .. } => entry.intended_at,
    }
}

/// The outcome as a label of the metrics.
fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Lost => "lost",
        Outcome::Dropped => "dropped",
    }
}

fn log_end(entry: &JournalEntry) {
    if let JournalState::Closed { outcome, detail, at, .. } = &entry.state {
        let took = at.signed_duration_since(entry.intended_at);
        meter::migration(name(*outcome), took.to_std().unwrap_or_default(), entry.ram.0);
        let JournalEntry { vm_name, source_name, target_name, .. } = entry;
        tracing::info!(
            migration.id = entry.id.0,
            vm.id = entry.vm.0,
            vm.name = vm_name,
            source.name = source_name,
            target.name = target_name,
            ?outcome,
            error = detail.as_ref().map(tracing::field::display),
            took_ms = took.num_milliseconds(),
            "a migration has ended"
        );
    }
}
