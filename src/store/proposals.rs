//! Proposals and how they may change. Each change is one transaction, so two presses at once are counted one by one.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sled::Transactional as _;

use super::{
    Approval, Approver, AuditEntry, Origin, Proposal, ProposalState, ReplyTo, Step, StepState, Store,
    StoreError,
    kept::SCHEMA_FLOORS,
    shelf::{guarded, ids},
};
use crate::{
    model::{ClusterId, Person, ProposalId},
    planner::ClusterPlan,
};

/// What a proposal is made of; the store adds the id.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub plan: ClusterPlan,
    pub taken_at: DateTime<Utc>,
    pub origin: Origin,
    pub dry_run: bool,
    pub approvals_needed: u32,
    pub state: ProposalState,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub reply_to: Option<ReplyTo>,
}

/// What came of proposing.
#[derive(Clone, Debug, PartialEq)]
pub enum Proposed {
    /// It is on disk; the pending ones of the cluster, if any, gave way to it.
    Recorded { proposal: Box<Proposal>, superseded: Vec<ProposalId> },
    /// Another plan of this cluster is approved or runs.
    Busy(ProposalId),
}

/// What a press of Approve counted for.
#[derive(Clone, Debug, PartialEq)]
pub enum Vote {
    /// It was the last one needed: exactly one press ever gets this.
    Started(Box<Proposal>),
    /// Others must press too.
    Counted {
        have: u32,
        need: u32,
    },
    /// This person's press is counted already.
    AlreadyCounted {
        have: u32,
        need: u32,
    },
    /// The person who asked does not count where several must approve.
    OwnProposal {
        have: u32,
        need: u32,
    },
    /// It expired, and its record says so.
    Expired,
    NotPending,
    DryRun,
    NoSuchProposal,
}

impl Store {
    /// A chain of replaced proposals is followed this far to find who asked first; longer ones do not occur,
    /// for each link is a person's press within one life of a proposal.
    const REPLACED_MAX: usize = 1000;

    /// Records a proposal; pending ones of its cluster give way to it in the same transaction.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; nothing is recorded then.
    pub fn propose(&self, draft: Draft) -> Result<Proposed, StoreError> {
        self.write(|| {
            let open = self.open_proposals()?;
            let of_cluster: Vec<_> = open.into_iter().filter(|p| p.cluster == draft.plan.cluster).collect();
            let busy = of_cluster.iter().find(|p| p.state != ProposalState::Pending);
            if let (Some(busy), false) = (busy, draft.state.is_final()) {
                return Ok(Proposed::Busy(busy.id));
            }
            let proposal = from_draft(
                ProposalId(self.next_id(&self.files()?.proposals, SCHEMA_FLOORS.proposals)?),
                draft,
            );
            let mut changed = Vec::new();
            for mut older in of_cluster.into_iter().filter(|p| p.state == ProposalState::Pending) {
                older.state = ProposalState::Superseded { by: proposal.id, at: proposal.created_at };
                older.revision += 1;
                changed.push(older);
            }
            let superseded = changed.iter().map(|p| p.id).collect();
            changed.push(proposal.clone());
            self.write_proposals(&changed, None)?;
            Ok(Proposed::Recorded { proposal: Box::new(proposal), superseded })
        })
    }

    /// Returns a proposal.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn proposal(&self, id: ProposalId) -> Result<Option<Proposal>, StoreError> {
        self.files()?.proposals.get(id.0)
    }

    /// Returns the proposals that can still change, oldest first.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn open_proposals(&self) -> Result<Vec<Proposal>, StoreError> {
        let found: Result<Vec<_>, _> =
            ids(&self.files()?.live)?.into_iter().map(|id| self.files()?.proposals.get(id)).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// Returns the newest proposals, newest first.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn recent_proposals(&self, limit: usize) -> Result<Vec<Proposal>, StoreError> {
        self.files()?.proposals.newest().take(limit).collect()
    }

    /// Returns the proposal of a cluster that waits for approval.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn pending_of(&self, cluster: ClusterId) -> Result<Option<Proposal>, StoreError> {
        let open = self.open_proposals()?;
        Ok(open.into_iter().rev().find(|p| p.cluster == cluster && p.state == ProposalState::Pending))
    }

    /// Counts a press of Approve: compare and swap, with its audit entry, in one transaction.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; nothing is counted then.
    pub fn approve(&self, id: ProposalId, person: &Person, now: DateTime<Utc>) -> Result<Vote, StoreError> {
        self.write(|| {
            let Some(mut proposal) = self.proposal(id)? else { return Ok(Vote::NoSuchProposal) };
            if proposal.state != ProposalState::Pending {
                return Ok(Vote::NotPending);
            }
            if proposal.dry_run {
                return Ok(Vote::DryRun);
            }
            if proposal.expires_at <= now {
                proposal.state = ProposalState::Expired { at: now };
                proposal.revision += 1;
                self.write_proposals(&[proposal], None)?;
                return Ok(Vote::Expired);
            }
            let vote = self.count(&mut proposal, person, now)?;
            if matches!(vote, Vote::Counted { .. } | Vote::Started(_)) {
                proposal.revision += 1;
                let audit = AuditEntry::new(now, Some(person.clone()), "approve", format!("proposal {id}"));
                self.write_proposals(std::slice::from_ref(&proposal), Some(&audit))?;
            }
            Ok(match vote {
                Vote::Started(_) => Vote::Started(Box::new(proposal)),
                other => other,
            })
        })
    }

    /// Changes a proposal; its revision grows where something did change. Returns the record as it is then.
    ///
    /// # Errors
    ///
    /// Fails when there is no such proposal, or when the disk fails; nothing is changed then.
    pub fn update_proposal(
        &self,
        id: ProposalId,
        change: impl FnOnce(&mut Proposal),
    ) -> Result<Proposal, StoreError> {
        self.write(|| {
            let before = self.proposal(id)?.ok_or(StoreError::NoSuchProposal(id))?;
            let mut after = before.clone();
            change(&mut after);
            if after != before {
                after.revision = before.revision + 1;
                self.write_proposals(std::slice::from_ref(&after), None)?;
            }
            Ok(after)
        })
    }

    /// Moves a proposal to another state if it is pending: compare and swap. Tells whether it was.
    ///
    /// # Errors
    ///
    /// Fails when there is no such proposal, or when the disk fails.
    pub fn end_pending(&self, id: ProposalId, state: ProposalState) -> Result<bool, StoreError> {
        let mut ended = false;
        self.update_proposal(id, |proposal| {
            if proposal.state == ProposalState::Pending {
                proposal.state = state;
                ended = true;
            }
        })?;
        Ok(ended)
    }

    /// Records that a newer proposal took the place of a pending one. Tells whether it was pending.
    ///
    /// # Errors
    ///
    /// Fails when there is no such proposal, or when the disk fails.
    pub fn supersede(&self, id: ProposalId, by: ProposalId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        self.end_pending(id, ProposalState::Superseded { by, at: now })
    }

    /// Ends pending proposals whose time is over; returns their ids.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn expire_proposals(&self, now: DateTime<Utc>) -> Result<Vec<ProposalId>, StoreError> {
        let mut expired = Vec::new();
        for proposal in self.open_proposals()? {
            let due = proposal.state == ProposalState::Pending && proposal.expires_at <= now;
            if due && self.end_pending(proposal.id, ProposalState::Expired { at: now })? {
                expired.push(proposal.id);
            }
        }
        Ok(expired)
    }

    /// Returns who asked for a plan in the first place, through refreshes and replacements.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn asker(&self, proposal: &Proposal) -> Result<Option<Person>, StoreError> {
        let mut origin = proposal.origin.clone();
        for _ in 0..Self::REPLACED_MAX {
            match origin {
                Origin::Person(person) => return Ok(Some(person)),
                Origin::Schedule | Origin::Once => return Ok(None),
                Origin::Replaces(older) => match self.proposal(older)? {
                    Some(older) => origin = older.origin,
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    /// Forgets proposals that ended before `before`; the journal keeps what was done.
    pub(super) fn forget_proposals(&self, before: DateTime<Utc>) -> Result<usize, StoreError> {
        self.write(|| {
            let newest = self.files()?.proposals.last_key()?;
            let mut old = Vec::new();
            for proposal in self.files()?.proposals.newest() {
                let proposal = proposal?;
                // The newest stays: the next id counts from it.
                if proposal.state.is_final() && proposal.created_at < before && newest != Some(proposal.id.0)
                {
                    old.push(proposal.id.0);
                }
            }
            let files = self.files()?;
            for id in &old {
                guarded(|| files.proposals.tree.remove(id.to_be_bytes()))?;
            }
            self.files()?.flush()?;
            Ok(old.len())
        })
    }

    /// How long a proposal that ended can still be looked up.
    pub(super) const PROPOSALS_KEPT: TimeDelta = TimeDelta::days(30);

    fn count(
        &self,
        proposal: &mut Proposal,
        person: &Person,
        now: DateTime<Utc>,
    ) -> Result<Vote, StoreError> {
        let need = proposal.approvals_needed.max(1);
        let have = proposal.approvals.len().try_into().unwrap_or(u32::MAX);
        if proposal.approvals.iter().any(|approval| approval.by.id == person.id) {
            return Ok(Vote::AlreadyCounted { have, need });
        }
        if need > 1 && self.asker(proposal)?.is_some_and(|asker| asker.id == person.id) {
            return Ok(Vote::OwnProposal { have, need });
        }
        proposal.approvals.push(Approval { by: person.clone(), at: now });
        if have + 1 < need {
            return Ok(Vote::Counted { have: have + 1, need });
        }
        let people = proposal.approvals.iter().map(|approval| approval.by.clone()).collect();
        proposal.state = ProposalState::Approved { by: Approver::People(people), at: now };
        Ok(Vote::Started(Box::new(proposal.clone())))
    }

    /// Writes records, their place in the index and an audit entry as one, and waits for the disk.
    fn write_proposals(&self, changed: &[Proposal], audit: Option<&AuditEntry>) -> Result<(), StoreError> {
        let files = self.files()?;
        let rows: Result<Vec<_>, StoreError> = changed
            .iter()
            .map(|p| Ok((p.id.0.to_be_bytes(), files.proposals.bytes(p)?, p.state.is_final())))
            .collect();
        let rows = rows?;
        let audit = audit
            .map(|entry| Ok::<_, StoreError>((self.next_id(&files.audit, 0)?, files.audit.bytes(entry)?)))
            .transpose()?;
        guarded(|| {
            let trees = (&files.proposals.tree, &files.live, &files.audit.tree);
            let done = trees.transaction(|(proposals, live, audits)| {
                for (key, bytes, is_final) in &rows {
                    proposals.insert(key, bytes.as_slice())?;
                    match is_final {
                        true => live.remove(key)?,
                        false => live.insert(key, &[])?,
                    };
                }
                if let Some((key, bytes)) = &audit {
                    audits.insert(&key.to_be_bytes(), bytes.as_slice())?;
                }
                Ok(())
            });
            done.map_err(plain)
        })?;
        self.commit()
    }
}

fn from_draft(id: ProposalId, draft: Draft) -> Proposal {
    let Draft { plan, taken_at, origin, dry_run, approvals_needed, state, created_at, expires_at, reply_to } =
        draft;
    let waiting = |migration: &crate::planner::Migration| Step {
        migration: migration.clone(),
        journal: None,
        state: StepState::Waiting,
    };
    Proposal {
        v: 1,
        id,
        revision: 1,
        cluster: plan.cluster,
        cluster_name: plan.name.clone(),
        steps: plan.migrations.iter().map(waiting).collect(),
        plan,
        taken_at,
        origin,
        dry_run,
        approvals_needed,
        approvals: Vec::new(),
        left_out: BTreeSet::new(),
        state,
        created_at,
        expires_at,
        reply_to,
        cancel: None,
        sight: None,
    }
}

/// No transaction of ours aborts by itself.
pub(super) fn plain(error: sled::transaction::TransactionError<()>) -> sled::Error {
    match error {
        sled::transaction::TransactionError::Storage(error) => error,
        sled::transaction::TransactionError::Abort(()) => {
            sled::Error::ReportableBug("a transaction was aborted".into())
        }
    }
}
