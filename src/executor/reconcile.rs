//! After a start: what the last process left open is compared with VMmanager before anything else is ordered.
//!
//! A plan whose process died is never resumed: its waiting steps are dropped and said so, its running migration
//! is followed to the end, and the next cycle plans anew on the world as it is. An approval is for one run of
//! one plan, and nobody watched what happened in between.

use super::Watcher;
use crate::{
    event::Event,
    model::ProposalId,
    store::{HistoryFilter, JournalEntry, Proposal, ProposalState, StepState, StoreError},
};

const RESTARTED: &str = "the bot was restarted";

impl Watcher {
    /// Ends what nobody carries out any more, and returns the journal's open entries: each is to be
    /// followed with [`Watcher::follow_up`].
    ///
    /// # Errors
    ///
    /// Says that the store cannot be used.
    pub fn take_over(&self) -> Result<Vec<JournalEntry>, StoreError> {
        let open = self.ledger.store.open_entries()?;
        for entry in &open {
            tracing::info!(vm.id = %entry.vm, entry = %entry.id, "an open migration of the last run is looked after");
            self.ledger.tell_step(entry)?;
        }
        for proposal in self.ledger.store.open_proposals()? {
            match proposal.state {
                ProposalState::Approved { .. } | ProposalState::Running { .. } => self.adopt(&proposal)?,
                _ => {}
            }
        }
        Ok(open)
    }

    /// Follows an entry of the last run to its end, and ends its proposal when it was the last.
    ///
    /// # Errors
    ///
    /// Says that the store cannot be used.
    pub async fn follow_up(&self, entry: JournalEntry) -> Result<(), StoreError> {
        let proposal = entry.proposal;
        if self.follow(entry).await.is_none() {
            return Ok(());
        }
        if self.ledger.store.proposal(proposal)?.is_some() {
            self.ledger.finish(proposal)?;
            self.ledger.events.say(Event::Proposal(proposal));
        }
        Ok(())
    }

    /// Ends a proposal that is not carried out any further: its open migrations are followed, what waits is
    /// dropped for this reason. Goes on until that is written, or everything stops.
    pub async fn abandon(&self, id: ProposalId, why: &str) {
        if self.recorded(|| self.ledger.drop_waiting(id, why)).await.is_none() {
            return;
        }
        let Some(open) = self.recorded(|| self.ledger.store.open_entries()).await else { return };
        for entry in open.into_iter().filter(|entry| entry.proposal == id) {
            if self.follow(entry).await.is_none() {
                return;
            }
        }
        self.recorded(|| self.ledger.finish(id)).await;
    }

    fn adopt(&self, proposal: &Proposal) -> Result<(), StoreError> {
        for step in &proposal.steps {
            // The process died between closing the journal's entry and telling the proposal.
            for entry in self.closed_entries(proposal, step.migration.vm)? {
                self.ledger.tell_step(&entry)?;
            }
        }
        self.ledger.drop_waiting(proposal.id, RESTARTED)?;
        self.ledger.finish(proposal.id)?;
        // Whoever shows it may have died before the last edit.
        self.ledger.events.say(Event::Proposal(proposal.id));
        Ok(())
    }

    fn closed_entries(
        &self,
        proposal: &Proposal,
        vm: crate::model::VmId,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let is_step_over = |entry: &JournalEntry| {
            let of_entry = |step: &&crate::store::Step| step.journal == Some(entry.id);
            let step = proposal.steps.iter().find(of_entry);
            step.is_some_and(|step| matches!(step.state, StepState::Ended { .. }))
        };
        // One VM is in a plan twice at most.
        let filter = HistoryFilter { vm: Some(vm), ..HistoryFilter::default() };
        let newest = self.ledger.store.history(&filter, 3)?;
        Ok(newest.into_iter().filter(|e| e.proposal == proposal.id && !is_step_over(e)).rev().collect())
    }
}
