//! Proposals and how they may change. Each change is one transaction, so two presses at once are counted one by one.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use sled::Transactional as _;

use super::{
    Approval, Approver, AuditEntry, Begin, Expected, LeftOut, Origin, Outcome, Proposal, ProposalState,
    ReplyTo, Round, Selection, SetChange, Step, StepState, Store, StoreError,
    kept::SCHEMA_FLOORS,
    shelf::{guard, ids},
    timeline::is_told,
};
use crate::{
    model::{ClusterId, NodeId, Person, ProposalId, find},
    planner::{ClusterPlan, Migration, MoveWhy, Moved},
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
    pub round: Option<Round>,
    pub expected: Option<Expected>,
}

/// What came of proposing.
#[derive(Clone, Debug, PartialEq)]
pub enum Proposed {
    /// It is on disk; the pending ones of the cluster, if any, gave way to it.
    Recorded { proposal: Box<Proposal>, superseded: Vec<ProposalId> },
    /// Another plan of this cluster is approved or runs, or people left out all of it: nothing is left to ask, or to
    /// begin by itself.
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
    /// The steps are not those that were shown.
    Changed,
    /// Every step is left out.
    NothingLeft,
    DryRun,
    NoSuchProposal,
}

impl Proposal {
    /// How long the schedule does not propose a plan again that was rejected.
    pub const REJECTION_HOLDS: TimeDelta = TimeDelta::days(1);

    /// A plan that follows a stale one this soon has the same cause and goes on in its message.
    pub const SAME_CAUSE: TimeDelta = TimeDelta::hours(1);

    /// Returns eight hex digits of what an approval is about: the plan, and what is left out of it.
    #[must_use]
    pub fn tag(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.plan.id.0);
        for step in self.steps.iter().filter(|step| matches!(step.state, StepState::LeftOut { .. })) {
            hash.update(step.migration.step.to_be_bytes());
        }
        hex::encode(&hash.finalize()[..4])
    }

    /// Returns the VMs that stay left out when another plan takes the place of this one.
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut> {
        let mut all: Vec<LeftOut> = Vec::new();
        for step in &self.steps {
            let StepState::LeftOut { by } = &step.state else { continue };
            let Migration { vm, vm_name, .. } = &step.migration;
            if all.iter().all(|known| known.vm != *vm) {
                all.push(LeftOut { vm: *vm, vm_name: vm_name.clone(), by: by.clone() });
            }
        }
        all.extend(self.left_out_before.iter().cloned());
        all
    }

    /// Returns what was left out of a plan that people approved: it is theirs to say no to a migration.
    #[must_use]
    pub fn held_back(&self) -> Vec<LeftOut> {
        match &self.state {
            ProposalState::Approved { by: Approver::People(_), .. }
            | ProposalState::Running { by: Approver::People(_), .. }
            | ProposalState::Done { by: Approver::People(_), .. }
                if !self.is_wish() =>
            {
                self.left_out()
            }
            _ => Vec::new(),
        }
    }

    /// Returns when it was approved, began or ended, or was rejected; `None` for a plan that nobody decided.
    fn decided_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            ProposalState::Approved { at, .. }
            | ProposalState::Running { since: at, .. }
            | ProposalState::Done { at, .. }
            | ProposalState::Rejected { at, .. } => Some(at),
            ProposalState::Pending
            | ProposalState::Expired { .. }
            | ProposalState::Superseded { .. }
            | ProposalState::Stale { .. }
            | ProposalState::Shown { .. } => None,
        }
    }

    /// Returns the node that the plan empties, if it is one that empties a node.
    #[must_use]
    pub fn drains(&self) -> Option<(NodeId, &str)> {
        if let Some(node) = self.round.as_ref().and_then(Round::current) {
            return Some((node.node, &node.name));
        }
        let mut migrations = self.plan.migrations.iter();
        let drain = migrations.rfind(|migration| migration.why == MoveWhy::Drain)?;
        Some((drain.source, &drain.source_name))
    }

    /// Returns the plan that this one takes back, if it is one that takes a plan back.
    #[must_use]
    pub fn undoes(&self) -> Option<ProposalId> {
        self.plan.migrations.iter().find_map(|migration| match migration.why {
            MoveWhy::Undo { of } => Some(of),
            _ => None,
        })
    }

    /// Tells whether somebody asked for these moves themselves, whatever the thresholds say.
    #[must_use]
    pub fn is_wish(&self) -> bool {
        self.round.is_some() || self.plan.migrations.iter().any(|migration| migration.why.is_wish())
    }

    /// Tells whether somebody means this plan by its number, or by the name, a pattern or the id of its cluster.
    #[must_use]
    pub fn is_called(&self, called: &str) -> bool {
        called.trim_start_matches('#').parse() == Ok(self.id.0)
            || find::names(called, self.cluster.0, &self.cluster_name)
    }

    /// Tells whether it is approved and waits for its time.
    #[must_use]
    pub fn is_deferred(&self) -> bool {
        self.begins.is_some() && matches!(self.state, ProposalState::Approved { .. })
    }

    /// Returns the VMs that the plan moved, each with where it was before and where the plan put it last.
    #[must_use]
    pub fn moved_vms(&self) -> Vec<Moved> {
        let mut all: Vec<Moved> = Vec::new();
        for step in &self.steps {
            if !matches!(step.state, StepState::Ended { outcome: Outcome::Done, .. }) {
                continue;
            }
            let Migration { vm, vm_name, source, target, .. } = &step.migration;
            match all.iter_mut().find(|known| known.vm == *vm) {
                Some(known) => known.to = *target,
                None => {
                    all.push(Moved { vm: *vm, vm_name: vm_name.clone(), from: *source, to: *target });
                }
            }
        }
        all
    }

    /// Returns the migrations that an approval lets begin.
    pub fn waiting(&self) -> impl Iterator<Item = &Migration> {
        let waiting = self.steps.iter().filter(|step| step.state == StepState::Waiting);
        waiting.map(|step| &step.migration)
    }

    /// Tells whether people left out every step.
    #[must_use]
    pub fn is_all_left_out(&self) -> bool {
        !self.steps.is_empty()
            && self.steps.iter().all(|step| matches!(step.state, StepState::LeftOut { .. }))
    }

    /// Leaves steps out or takes them in. Approvals given for another set do not count any more.
    pub fn choose(&mut self, selection: Selection, by: &Person, at: DateTime<Utc>) {
        if let Selection::Show(from) = selection {
            self.buttons_from = from;
            return;
        }
        let before = self.left_out();
        for step in &mut self.steps {
            let Migration { vm, step: number, source, .. } = step.migration;
            let is_kept = match selection {
                Selection::LeaveOut(of) | Selection::TakeIn(of) if of != vm => continue,
                Selection::LeaveOut(_) => false,
                Selection::TakeIn(_) | Selection::KeepAll | Selection::Show(_) => true,
                Selection::KeepFirst(last) => number <= last,
                Selection::OnlyNode(node) => source == node,
            };
            step.state = match (&step.state, is_kept) {
                (StepState::Waiting, false) => StepState::LeftOut { by: by.clone() },
                (StepState::LeftOut { .. }, true) => StepState::Waiting,
                (state, _) => state.clone(),
            };
        }
        if let Selection::TakeIn(vm) = selection {
            self.left_out_before.retain(|known| known.vm != vm);
        }
        if self.left_out() != before {
            self.outlook = None;
            self.changed = Some(SetChange { at, by: Some(by.clone()) });
            self.begins = None;
            let approvals = std::mem::take(&mut self.approvals);
            self.void(approvals.into_iter().map(|approval| approval.by));
        }
    }

    /// Leaves out what people said no to in a plan that is decided, for as long as a rejection holds. The schedule
    /// alone does; a person who asks for a plan asks anew.
    fn hold_back(&mut self, older: &Proposal) {
        let holds = |at| self.created_at - at < Self::REJECTION_HOLDS;
        if self.origin == Origin::Schedule && older.decided_at().is_some_and(holds) {
            // What a wish's own steps left out says nothing of other plans.
            let left_out = if older.is_wish() { older.left_out_before.clone() } else { older.held_back() };
            self.leave_out(left_out);
        }
    }

    fn leave_out(&mut self, left_out: Vec<LeftOut>) {
        for known in left_out {
            let mut is_here = self.left_out_before.iter().any(|before| before.vm == known.vm);
            for step in self.steps.iter_mut().filter(|step| step.migration.vm == known.vm) {
                step.state = StepState::LeftOut { by: known.by.clone() };
                is_here = true;
            }
            if !is_here {
                self.left_out_before.push(known);
            }
        }
    }

    fn void(&mut self, people: impl IntoIterator<Item = Person>) {
        for person in people {
            if self.voided.iter().all(|known| known.id != person.id) {
                self.voided.push(person);
            }
        }
    }

    /// Goes on with the question of an older plan of the cluster: what was left out stays so, and its approvals count
    /// for nothing here. Once it is decided, the schedule alone goes on with what was left out, for as long as a
    /// rejection holds; a person who asks for a plan asks anew.
    fn go_on_from(&mut self, older: &Proposal) {
        if older.decided_at().is_some() {
            return self.hold_back(older);
        }
        self.leave_out(older.left_out());
        let has_begun = older.steps.iter().any(|step| matches!(step.state, StepState::Ended { .. }));
        let is_news = match older.state {
            ProposalState::Stale { at } => self.created_at - at < Self::SAME_CAUSE,
            _ => true,
        };
        if self.origin.takes_over() && is_news && !has_begun {
            // It goes on in the same message: people were reading another plan there.
            self.changed = Some(SetChange { at: self.created_at, by: None });
        }
        if is_news {
            self.void(older.voided.iter().cloned());
            self.void(older.approvals.iter().map(|approval| approval.by.clone()));
        }
    }
}

impl Store {
    /// The newest proposals among which the one before a cluster's next is searched; more clusters do not occur.
    const BEFORE_MAX: usize = 300;

    /// The search for old proposals ends after this many that are not old: the date of one may come from a clock that
    /// was ahead.
    const YOUNG_IN_A_ROW: usize = 100;

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
            // One that waits for its time is in nobody's way: it is checked anew when it begins.
            let busy = of_cluster.iter().find(|p| p.state != ProposalState::Pending && !p.is_deferred());
            if let (Some(busy), false) = (busy, draft.state.is_final()) {
                return Ok(Proposed::Busy(busy.id));
            }
            let id = ProposalId(self.next_id(&self.files()?.proposals, SCHEMA_FLOORS.proposals)?);
            let mut proposal = from_draft(id, draft);
            let files = self.files()?;
            let mut recent = files.proposals.newest().take(Self::BEFORE_MAX);
            let cluster = proposal.cluster;
            let is_before = |older: &Result<Proposal, _>| {
                older.as_ref().map_or(true, |older: &Proposal| older.cluster == cluster)
            };
            let older = recent.find(is_before).transpose()?;
            if let Some(older) = older.filter(|_| proposal.origin != Origin::Once) {
                proposal.go_on_from(&older);
                let mut is_decided = older.decided_at().is_some();
                if older.is_wish() {
                    // What people wished for in between is no answer to what the thresholds ask.
                    let asked = |older: &Result<Proposal, _>| {
                        is_before(older) && older.as_ref().map_or(true, |older| !older.is_wish())
                    };
                    if let Some(asked) = recent.find(asked).transpose()? {
                        proposal.hold_back(&asked);
                        is_decided |= asked.decided_at().is_some();
                    }
                }
                let begins = matches!(proposal.state, ProposalState::Approved { .. });
                if (begins || is_decided) && proposal.is_all_left_out() {
                    return Ok(Proposed::Busy(older.id));
                }
            }
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
    pub fn proposal(&self, id: ProposalId) -> Result<Option<Proposal>, StoreError> {
        self.files()?.proposals.get(id.0)
    }

    /// Returns the proposals that can still change, oldest first.
    pub fn open_proposals(&self) -> Result<Vec<Proposal>, StoreError> {
        let found: Result<Vec<_>, _> =
            ids(&self.files()?.live)?.into_iter().map(|id| self.files()?.proposals.get(id)).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// Returns the newest proposals, newest first.
    pub fn recent_proposals(&self, limit: usize) -> Result<Vec<Proposal>, StoreError> {
        self.files()?.proposals.newest().take(limit).collect()
    }

    /// Returns the proposal of a cluster that waits for approval.
    pub fn pending_of(&self, cluster: ClusterId) -> Result<Option<Proposal>, StoreError> {
        let open = self.open_proposals()?;
        Ok(open.into_iter().rev().find(|p| p.cluster == cluster && p.state == ProposalState::Pending))
    }

    /// Counts a press of Approve for the steps with the tag `shown`: compare and swap, with its audit entry, in one
    /// transaction. `begins` says when the plan is to begin, `None` at once. An approval is for one time: those that were
    /// given for another do not count any more.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; nothing is counted then.
    pub fn approve(
        &self,
        id: ProposalId,
        shown: &str,
        begins: Option<Begin>,
        person: &Person,
        now: DateTime<Utc>,
    ) -> Result<Vote, StoreError> {
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
            if proposal.tag() != shown {
                return Ok(Vote::Changed);
            }
            if proposal.is_all_left_out() {
                return Ok(Vote::NothingLeft);
            }
            if proposal.begins != begins {
                let for_another_time = std::mem::take(&mut proposal.approvals);
                proposal.void(for_another_time.into_iter().map(|approval| approval.by));
                proposal.begins = begins;
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

    /// Ends pending proposals whose time is over; returns their ids.
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
            let files = self.files()?;
            let newest = files.proposals.last_key()?;
            let mut forgotten = 0;
            let mut young_in_a_row = 0;
            for row in files.proposals.oldest() {
                let (id, proposal) = row?;
                let is_old = proposal.created_at < before;
                young_in_a_row = if is_old { 0 } else { young_in_a_row + 1 };
                // The newest stays: the next id counts from it.
                if is_old && proposal.state.is_final() && newest != Some(id) {
                    guard(|| files.told.remove(id.to_be_bytes()))?;
                    guard(|| files.proposals.tree.remove(id.to_be_bytes()))?;
                    forgotten += 1;
                }
                if young_in_a_row == Self::YOUNG_IN_A_ROW {
                    break;
                }
            }
            files.flush()?;
            Ok(forgotten)
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
        proposal.voided.retain(|voided| voided.id != person.id);
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
            .map(|p| Ok((p.id.0.to_be_bytes(), files.proposals.bytes(p)?, p.state.is_final(), is_told(p))))
            .collect();
        let rows = rows?;
        let audit = audit
            .map(|entry| Ok::<_, StoreError>((self.next_id(&files.audit, 0)?, files.audit.bytes(entry)?)))
            .transpose()?;
        guard(|| {
            let trees = (&files.proposals.tree, &files.live, &files.told, &files.audit.tree);
            let done = trees.transaction(|(proposals, live, told, audits)| {
                for (key, bytes, is_final, is_told) in &rows {
                    proposals.insert(key, bytes.as_slice())?;
                    match is_final {
                        true => live.remove(key)?,
                        false => live.insert(key, &[])?,
                    };
                    match is_told {
                        true => told.insert(key, &[])?,
                        false => told.remove(key)?,
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
    let Draft { plan, taken_at, origin, dry_run, approvals_needed, state, .. } = draft;
    let Draft { created_at, expires_at, reply_to, round, expected, .. } = draft;
    let waiting = |migration: &Migration| Step {
        migration: migration.clone(),
        journal: None,
        task: None,
        given_up: None,
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
        left_out_before: Vec::new(),
        outlook: None,
        changed: None,
        buttons_from: 0,
        begins: None,
        window_opens: None,
        round,
        expected,
        held: None,
        voided: Vec::new(),
        state,
        created_at,
        expires_at,
        reply_to,
        cancel: None,
        sight: None,
        rests: BTreeMap::new(),
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
