//! After a start: what the last process left open is compared with VMmanager before anything else is ordered.
//!
//! A plan whose process died is never resumed: its waiting steps are dropped and reported, its running migration
//! is followed to the end, and the next cycle plans anew on the world as it is. An approval is for one run of
//! one plan, and nobody watched what happened in between.

use futures::future::{join, join_all};

use super::Watcher;
use crate::{
    event::Event,
    model::ProposalId,
    store::{Ending, HistoryFilter, JournalEntry, Proposal, ProposalState, StepState, StoreError},
};

/// What the last process left open.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOpen {
    /// Open migrations, which must be followed to their end.
    pub entries: Vec<JournalEntry>,
    /// Plans that were being carried out.
    pub proposals: Vec<ProposalId>,
}

impl Watcher {
    /// Reads what the last process left open: to be asked before this one approves anything.
    pub fn left_open(&self) -> Result<LeftOpen, StoreError> {
        let store = &self.ledger.store;
        let is_begun = |proposal: &Proposal| match proposal.state {
            // It waits for its time, and nothing of it has begun.
            _ if proposal.is_deferred() => false,
            ProposalState::Approved { .. } | ProposalState::Running { .. } => true,
            ProposalState::Pending
            | ProposalState::Done { .. }
            | ProposalState::Rejected { .. }
            | ProposalState::Expired { .. }
            | ProposalState::Superseded { .. }
            | ProposalState::Stale { .. }
            | ProposalState::Shown { .. } => false,
        };
        let begun = store.open_proposals()?.into_iter().filter(is_begun).map(|proposal| proposal.id);
        Ok(LeftOpen { proposals: begun.collect(), entries: store.open_entries()? })
    }

    /// As [`Watcher::left_open`], until it can be read; `None` where everything stops.
    pub async fn left_open_at_last(&self) -> Option<LeftOpen> {
        self.write_until_done(|| self.left_open()).await
    }

    /// Looks after what the last process left, until all of it has ended or everything stops.
    pub async fn look_after(&self, left: LeftOpen) {
        let followed = join_all(left.entries.iter().cloned().map(|entry| self.follow_up(entry)));
        join(followed, self.end_left(&left)).await;
    }

    /// Ends the plans of the last process: their migrations are followed, what waits is dropped. Goes on until
    /// that is written, or everything stops.
    pub async fn end_left(&self, left: &LeftOpen) {
        join_all(left.proposals.iter().map(|id| self.write_until_done(|| self.adopt(*id, &left.entries))))
            .await;
    }

    /// Follows an entry of the last run to its end, and ends its proposal when it was the last. Needs the store
    /// only for that: with one that cannot be written the migration is followed all the same.
    pub async fn follow_up(&self, entry: JournalEntry) {
        tracing::debug!(
            migration.id = entry.id.0,
            vm.id = entry.vm.0,
            "an open migration of the last run is looked after"
        );
        let proposal = entry.proposal;
        if self.follow(entry).await.is_none() {
            return;
        }
        if self.write_until_done(|| self.finish_if_kept(proposal)).await.is_some() {
            self.ledger.events.say(Event::Proposal(proposal));
        }
    }

    /// Ends a proposal that is not carried out any further: its open migrations are followed, what waits is
    /// dropped for this reason. Goes on until that is written, or everything stops.
    pub async fn abandon(&self, id: ProposalId, why: &Ending) {
        if self.write_until_done(|| self.ledger.drop_waiting(id, why)).await.is_none() {
            return;
        }
        let Some(open) = self.write_until_done(|| self.ledger.store.open_entries()).await else { return };
        for entry in open.into_iter().filter(|entry| entry.proposal == id) {
            if self.follow(entry).await.is_none() {
                return;
            }
        }
        self.write_until_done(|| self.ledger.finish(id)).await;
    }

    /// May be repeated as a whole: it brings each step to what the journal says at that moment.
    fn adopt(&self, id: ProposalId, open: &[JournalEntry]) -> Result<(), StoreError> {
        let store = &self.ledger.store;
        for entry in open.iter().filter(|entry| entry.proposal == id) {
            if let Some(entry) = store.entry(entry.id)? {
                self.ledger.tell_step(&entry)?;
            }
        }
        let Some(proposal) = store.proposal(id)? else { return Ok(()) };
        for step in &proposal.steps {
            // The process died between closing the journal's entry and telling the proposal.
            for entry in self.closed_entries(&proposal, step.migration.vm)? {
                self.ledger.tell_step(&entry)?;
            }
        }
        self.ledger.drop_waiting(id, &Ending::Restarted)?;
        self.ledger.finish(id)?;
        // The chat may not have shown the end yet.
        self.ledger.events.say(Event::Proposal(id));
        Ok(())
    }

    fn finish_if_kept(&self, id: ProposalId) -> Result<(), StoreError> {
        if self.ledger.store.proposal(id)?.is_some() {
            self.ledger.finish(id)?;
        }
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
