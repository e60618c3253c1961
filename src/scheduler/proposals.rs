//! Records of proposals and how people and cycles change them. Everything is checked against the store, never against
//! what a button says. Each change is followed by an event.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    Approved, Balanced, Cancelled, Drained, Picture, PlanOf, Refused, Stop, Stopped, WaitingPlan,
    switches::Switches,
};
use crate::{
    balancer::VmBalancer,
    event::Event,
    model::{ClusterId, NodeId, NodeInfo, Person, ProposalId, VmId, find},
    planner::{self, ClusterPlan, Drain, Hold},
    store::{
        Approval, Begin, Draft, Expected, HistoryFilter, Origin, Proposal, ProposalState, Proposed, ReplyTo,
        Round, Selection, Store, StoreError, Vote,
    },
};

/// How many of the newest proposals are searched for what was shown or rejected; a day has fewer that matter.
const RECENT: usize = 100;

/// How many of the newest migrations say how long others take.
const HISTORY: usize = 300;

pub(super) struct Proposals {
    balancer: Arc<VmBalancer>,
    switches: Arc<Switches>,
}

impl Proposals {
    pub(super) fn new(balancer: Arc<VmBalancer>, switches: Arc<Switches>) -> Self {
        Self { balancer, switches }
    }

    /// Records a proposal and sends events for it and for those that it replaced. In a dry run it is only shown.
    pub(super) fn propose(
        &self,
        plan: &ClusterPlan,
        picture: &Picture,
        origin: Origin,
        reply_to: Option<ReplyTo>,
    ) -> Result<Proposed, StoreError> {
        let state = match self.balancer.dry_run()? {
            true => ProposalState::Shown { at: self.now() },
            false => ProposalState::Pending,
        };
        self.record(plan, picture, origin, state, reply_to)
    }

    pub(super) fn record(
        &self,
        plan: &ClusterPlan,
        picture: &Picture,
        origin: Origin,
        state: ProposalState,
        reply_to: Option<ReplyTo>,
    ) -> Result<Proposed, StoreError> {
        let draft = self.balancer.draft(plan, picture.plan.taken_at, origin, state, reply_to);
        self.record_draft(draft, picture)
    }

    fn record_draft(&self, draft: Draft, picture: &Picture) -> Result<Proposed, StoreError> {
        let (cluster, plan_id) = (draft.plan.cluster, draft.plan.id.clone());
        let history = self.store().history(&HistoryFilter::default(), HISTORY)?;
        let parallel = picture.policy.parallel_max;
        let expected = Expected::from_history(cluster, &draft.plan.migrations, &history, parallel);
        let proposed = self.store().propose(Draft { expected, ..draft })?;
        if let Proposed::Recorded { proposal, superseded } = &proposed {
            let window_opens = self.switches.window_opens(self.now());
            self.store().update_proposal(proposal.id, |proposal| {
                proposal.window_opens = window_opens;
                look_ahead(proposal, Some(picture));
            })?;
            tracing::info!(proposal.id = proposal.id.0, cluster.id = cluster.0, plan.id = %plan_id, "a plan is recorded");
            for older in superseded {
                self.notify(*older);
            }
            self.notify(proposal.id);
        }
        Ok(proposed)
    }

    /// Proposes a plan for the picture; it replaces the pending one of the cluster.
    pub(super) fn propose_fresh(
        &self,
        picture: &Picture,
        cluster: ClusterId,
        origin: Origin,
        reply_to: Option<ReplyTo>,
    ) -> Result<Balanced, Refused> {
        if let Some(running) = self.running_in(cluster)? {
            return Err(Refused::Busy { proposal: running });
        }
        let Some(plan) = picture.plan_of(cluster) else {
            return Err(why_no_plan(picture, cluster));
        };
        if plan.migrations.is_empty() {
            // A picture on which nothing may be done says nothing about what is pending.
            if let (Some(pending), true) = (self.store().pending_of(cluster)?, plan.hold().is_none()) {
                self.end_as_stale(pending.id)?;
            }
            return Ok(Balanced::NothingToDo(Box::new(plan.clone())));
        }
        match self.propose(plan, picture, origin, reply_to)? {
            Proposed::Recorded { proposal, .. } => Ok(Balanced::Proposed(proposal.id)),
            Proposed::Busy(proposal) => Err(Refused::Busy { proposal }),
        }
    }

    /// Proposes a plan that empties a node, in place of whatever is pending in its cluster.
    pub(super) fn drain(
        &self,
        picture: &Picture,
        node: &NodeInfo,
        drain: Option<Drain>,
        origin: Origin,
        reply_to: Option<ReplyTo>,
    ) -> Result<Drained, Refused> {
        if let Some(running) = self.running_in(node.cluster)? {
            return Err(Refused::Busy { proposal: running });
        }
        let Some(Drain { mut plan, stuck, .. }) = drain.filter(|_| is_planned(picture, node.cluster)) else {
            return Err(why_no_plan(picture, node.cluster));
        };
        match (plan.migrations.is_empty(), stuck.is_empty()) {
            (true, true) => return Ok(Drained::Empty { node: node.name.clone() }),
            (true, false) => return Ok(Drained::Stuck { node: node.name.clone(), stuck }),
            (false, _) => plan.skipped = stuck,
        }
        match self.propose(&plan, picture, origin, reply_to)? {
            Proposed::Recorded { proposal, .. } => Ok(Drained::Proposed(proposal.id)),
            Proposed::Busy(proposal) => Err(Refused::Busy { proposal }),
        }
    }

    /// Records the plan that empties the next node of a round, in place of whatever is pending in its cluster.
    pub(super) fn record_turn(
        &self,
        picture: &Picture,
        drain: Drain,
        round: Round,
        (origin, state): (Origin, ProposalState),
        reply_to: Option<ReplyTo>,
    ) -> Result<ProposalId, Refused> {
        let Drain { mut plan, stuck, .. } = drain;
        plan.skipped = stuck;
        let draft = self.balancer.draft(&plan, picture.plan.taken_at, origin, state, reply_to);
        match self.record_draft(Draft { round: Some(round), ..draft }, picture)? {
            Proposed::Recorded { proposal, .. } => {
                self.store().enter_round(proposal.id)?;
                Ok(proposal.id)
            }
            Proposed::Busy(proposal) => Err(Refused::Busy { proposal }),
        }
    }

    /// Counts a press of Approve for the steps with the tag `shown`.
    pub(super) fn approve(
        &self,
        id: ProposalId,
        shown: &str,
        begins: Option<Begin>,
        by: &Person,
    ) -> Result<Approved, Refused> {
        let vote = self.store().approve(id, shown, begins, by, self.now())?;
        if matches!(vote, Vote::Started(_) | Vote::Counted { .. } | Vote::Expired) {
            self.notify(id);
        }
        match vote {
            Vote::Started(_) => Ok(begins.map_or(Approved::Started, Approved::Later)),
            Vote::Counted { have, need } => Ok(Approved::Counted { have, need }),
            Vote::AlreadyCounted { have, need } => Err(Refused::AlreadyCounted { have, need }),
            Vote::OwnProposal { have, need } => Err(Refused::OwnProposal { have, need }),
            Vote::Expired | Vote::NotPending => Err(self.why_closed(id)?),
            Vote::DryRun => Err(Refused::DryRun),
            Vote::Changed => Err(Refused::Changed { proposal: id }),
            Vote::NothingLeft => Err(Refused::NothingLeft { proposal: id }),
            Vote::NoSuchProposal => Err(Refused::NoSuchProposal(id)),
        }
    }

    /// Rejects a pending proposal. The person who rejected it without a reason may give one later.
    pub(super) fn reject(&self, id: ProposalId, reason: Option<String>, by: &Person) -> Result<(), Refused> {
        let known = self.existing(id)?;
        let at = self.now();
        let mut rejected = false;
        self.store().update_proposal(id, |proposal| {
            let is_open = match &proposal.state {
                ProposalState::Pending => true,
                ProposalState::Rejected { by: before, reason: None, .. } => {
                    before.id == by.id && reason.is_some()
                }
                _ => false,
            };
            if is_open {
                proposal.state = ProposalState::Rejected { by: by.clone(), at, reason };
                rejected = true;
            }
        })?;
        if !rejected {
            return Err(Refused::NotPending { proposal: id, state: known.state });
        }
        self.notify(id);
        Ok(())
    }

    /// Leaves steps out of a pending proposal, or takes them in again.
    pub(super) fn choose(
        &self,
        id: ProposalId,
        selection: Selection,
        by: &Person,
        picture: Option<&Picture>,
    ) -> Result<Proposal, Refused> {
        let known = self.existing(id)?;
        let mut was_pending = false;
        let at = self.now();
        let chosen = self.store().update_proposal(id, |proposal| {
            was_pending = proposal.state == ProposalState::Pending;
            if was_pending {
                proposal.choose(selection, by, at);
                look_ahead(proposal, picture);
            }
        })?;
        if !was_pending {
            return Err(self.why_closed(id)?);
        }
        if chosen.revision != known.revision {
            self.notify(id);
        }
        Ok(chosen)
    }

    /// Computes what a pending proposal leads to without what is left out, where that is not known yet.
    pub(super) fn look_ahead(&self, pending: &Proposal, picture: &Picture) -> Result<(), StoreError> {
        let seen =
            self.store().update_proposal(pending.id, |proposal| look_ahead(proposal, Some(picture)))?;
        if seen.revision != pending.revision {
            self.notify(pending.id);
        }
        Ok(())
    }

    /// Notes that one running plan is to stop.
    pub(super) fn cancel(&self, stop: &Stop, by: &Person) -> Result<Cancelled, Refused> {
        let is_stoppable = |proposal: &Proposal| is_running(proposal) || proposal.is_deferred();
        let mut running: Vec<_> = self.store().open_proposals()?.into_iter().filter(is_stoppable).collect();
        let of = |proposal: &Proposal| PlanOf { plan: proposal.id, cluster: proposal.cluster_name.clone() };
        let all = running.iter().map(of).collect();
        running.retain(|proposal| match stop {
            Stop::Only => true,
            Stop::Plan(id) => proposal.id == *id,
            Stop::Called(called) => proposal.is_called(called),
        });
        let id = match (running.as_slice(), stop) {
            ([only], _) => only.id,
            ([], Stop::Plan(id)) => return Err(self.why_closed(*id)?),
            ([], _) => return Err(which_plan(all)),
            (several, _) => return Err(Refused::WhichPlan { running: several.iter().map(of).collect() }),
        };
        let at = self.now();
        let mut is_first = false;
        let cancelled = self.store().update_proposal(id, |proposal| {
            is_first = is_stoppable(proposal) && proposal.cancel.is_none();
            if is_first {
                let asked = Approval { by: by.clone(), at };
                if let Some(round) = &mut proposal.round {
                    round.stopped = Some(asked.clone());
                }
                proposal.cancel = Some(asked);
            }
        })?;
        if is_first {
            self.notify(id);
        }
        let what = match cancelled.is_deferred() {
            true => Stopped::BeforeItBegan,
            false => Stopped::Running,
        };
        let PlanOf { plan, cluster } = of(&cancelled);
        Ok(Cancelled { plan, cluster, what })
    }

    /// Notes that somebody gives up the migrations of a plan that take long. The watchers then end.
    pub(super) fn give_up(&self, id: ProposalId, by: &Person) -> Result<PlanOf, Refused> {
        let given_up = Approval { by: by.clone(), at: self.now() };
        let mut found = false;
        let known = self.existing(id)?;
        if !is_running(&known) {
            return Err(self.why_closed(id)?);
        }
        let plan = self.store().update_proposal(id, |proposal| {
            for step in proposal.steps.iter_mut().filter(|step| step.is_watched_long()) {
                step.given_up = Some(given_up.clone());
                found = true;
            }
        })?;
        if !found {
            return Err(Refused::NothingRunning);
        }
        self.notify(id);
        Ok(PlanOf { plan: id, cluster: plan.cluster_name })
    }

    /// Ends proposals whose time is over.
    pub(super) fn expire(&self) {
        match self.store().expire_proposals(self.now()) {
            Ok(expired) => {
                for id in expired {
                    self.notify(id);
                }
            }
            Err(error) => tracing::error!(%error, "proposals cannot be looked at"),
        }
    }

    /// Ends a pending proposal that does not fit any more.
    pub(super) fn end_as_stale(&self, id: ProposalId) -> Result<(), StoreError> {
        if self.store().end_pending(id, ProposalState::Stale { at: self.now() })? {
            self.notify(id);
        }
        Ok(())
    }

    /// Ends the newest proposal of a cluster as stale where it expired undecided: the next one has another cause.
    pub(super) fn cause_is_over(&self, cluster: ClusterId) -> Result<(), StoreError> {
        let recent = self.store().recent_proposals(RECENT)?;
        let newest = recent.into_iter().find(|proposal| proposal.cluster == cluster);
        if let Some(Proposal { id, state: ProposalState::Expired { .. }, .. }) = newest {
            let at = self.now();
            self.store().update_proposal(id, |proposal| proposal.state = ProposalState::Stale { at })?;
            self.notify(id);
        }
        Ok(())
    }

    /// Ends an approved proposal of which too little fits any more.
    pub(super) fn end_approved_as_stale(&self, id: ProposalId) -> Result<(), StoreError> {
        let at = self.now();
        self.store().update_proposal(id, |proposal| proposal.state = ProposalState::Stale { at })?;
        self.notify(id);
        Ok(())
    }

    /// Returns the proposals that wait for approval.
    pub(super) fn waiting(&self) -> Result<Vec<WaitingPlan>, StoreError> {
        let open = self.store().open_proposals()?.into_iter();
        let waiting = open.filter(|proposal| proposal.state == ProposalState::Pending);
        Ok(waiting
            .map(|Proposal { id, cluster, expires_at, .. }| WaitingPlan {
                proposal: id,
                cluster,
                until: expires_at,
            })
            .collect())
    }

    /// Returns the proposals that are approved for later.
    pub(super) fn approved_for_later(&self) -> Result<Vec<WaitingPlan>, StoreError> {
        let open = self.store().open_proposals()?.into_iter();
        let deferred = open.filter(Proposal::is_deferred);
        let of = |it: Proposal| {
            it.begins.map(|begins| WaitingPlan { proposal: it.id, cluster: it.cluster, until: begins.at() })
        };
        Ok(deferred.filter_map(of).collect())
    }

    /// Returns the proposal of a cluster that is approved for later.
    pub(super) fn deferred_of(&self, cluster: ClusterId) -> Result<Option<Proposal>, StoreError> {
        let open = self.store().open_proposals()?;
        Ok(open.into_iter().find(|proposal| proposal.cluster == cluster && proposal.is_deferred()))
    }

    /// Proposes a plan that takes the moves of another back.
    pub(super) fn undo(
        &self,
        picture: &Picture,
        older: &Proposal,
        origin: Origin,
    ) -> Result<ProposalId, Refused> {
        if let Some(running) = self.running_in(older.cluster)? {
            return Err(Refused::Busy { proposal: running });
        }
        let moves = older.moved_vms();
        let undone = planner::undo(&picture.snapshot, &picture.policy, (older.cluster, older.id), &moves);
        let Some(planner::Undo { mut plan, stuck }) = undone.filter(|_| is_planned(picture, older.cluster))
        else {
            return Err(why_no_plan(picture, older.cluster));
        };
        if plan.migrations.is_empty() {
            return Err(match plan.hold() {
                Some(hold) => Refused::Held { hold },
                None => Refused::NothingToUndo { proposal: older.id, stuck },
            });
        }
        plan.skipped = stuck;
        match self.propose(&plan, picture, origin, older.reply_to.clone())? {
            Proposed::Recorded { proposal, .. } => Ok(proposal.id),
            Proposed::Busy(proposal) => Err(Refused::Busy { proposal }),
        }
    }

    /// Notes that an approved plan did not begin because nothing may be done in its cluster at the moment.
    pub(super) fn end_approved_as_held(&self, id: ProposalId, hold: Hold) -> Result<(), StoreError> {
        self.store().update_proposal(id, |proposal| proposal.held = Some(hold))?;
        self.end_approved_as_stale(id)
    }

    /// Returns the proposal that waits for approval in a cluster.
    pub(super) fn pending_of(&self, cluster: ClusterId) -> Result<Option<Proposal>, StoreError> {
        self.store().pending_of(cluster)
    }

    /// Tells whether the newest proposal of the cluster shows this plan already, as in a dry run.
    pub(super) fn is_shown(&self, plan: &ClusterPlan) -> Result<bool, StoreError> {
        let recent = self.store().recent_proposals(RECENT)?;
        let newest = recent.into_iter().find(|proposal| proposal.cluster == plan.cluster);
        Ok(newest.is_some_and(|newest| {
            matches!(newest.state, ProposalState::Shown { .. }) && is_same(&newest.plan, plan)
        }))
    }

    /// Tells whether somebody rejected this plan within the last day, and nobody asked for a plan since.
    pub(super) fn was_rejected(&self, plan: &ClusterPlan) -> Result<bool, StoreError> {
        let since = self.now() - Proposal::REJECTION_HOLDS;
        let recent = self.store().recent_proposals(RECENT)?;
        let rejects = |proposal: &&Proposal| {
            matches!(proposal.state, ProposalState::Rejected { at, .. } if at > since)
                && is_same(&proposal.plan, plan)
        };
        let of_cluster = || recent.iter().filter(|proposal| proposal.cluster == plan.cluster);
        let asked_anew = |proposal: &&Proposal| {
            matches!(proposal.origin, Origin::Person(_))
                && !matches!(proposal.state, ProposalState::Rejected { .. })
        };
        Ok(of_cluster().take_while(|proposal| !asked_anew(proposal)).any(|proposal| rejects(&proposal)))
    }

    /// Returns a proposal that people name.
    pub(super) fn existing(&self, id: ProposalId) -> Result<Proposal, Refused> {
        self.store().proposal(id)?.ok_or(Refused::NoSuchProposal(id))
    }

    pub(super) fn running_in(&self, cluster: ClusterId) -> Result<Option<ProposalId>, Refused> {
        let open = self.store().open_proposals()?;
        Ok(open.iter().find(|proposal| proposal.cluster == cluster && is_running(proposal)).map(|p| p.id))
    }

    fn why_closed(&self, id: ProposalId) -> Result<Refused, Refused> {
        Ok(Refused::NotPending { proposal: id, state: self.existing(id)?.state })
    }

    pub(super) fn notify(&self, id: ProposalId) {
        self.balancer.parts().events.say(Event::Proposal(id));
    }

    pub(super) fn store(&self) -> &Store {
        &self.balancer.parts().store
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.balancer.parts().clock.now()
    }
}

/// Notes what a proposal leads to without what is left out, unless that is known or nothing is left out.
fn look_ahead(proposal: &mut Proposal, picture: Option<&Picture>) {
    let waiting: Vec<_> = proposal.waiting().collect();
    let is_whole = waiting.len() == proposal.steps.len();
    if let (Some(picture), None, false) = (picture, &proposal.outlook, is_whole) {
        proposal.outlook = planner::outlook(&picture.snapshot, &picture.policy, proposal.cluster, &waiting);
    }
}

fn which_plan(running: Vec<PlanOf>) -> Refused {
    if running.is_empty() { Refused::NothingRunning } else { Refused::WhichPlan { running } }
}

/// Tells whether a plan is being carried out, or about to be.
pub(super) fn is_running(proposal: &Proposal) -> bool {
    let has_begun = matches!(proposal.state, ProposalState::Approved { .. } | ProposalState::Running { .. });
    has_begun && !proposal.is_deferred()
}

/// The same moves are the same plan to people, whatever the figures around them.
pub(super) fn is_same(one: &ClusterPlan, other: &ClusterPlan) -> bool {
    let moves = |plan: &ClusterPlan| -> BTreeSet<(VmId, NodeId, NodeId)> {
        plan.migrations.iter().map(|m| (m.vm, m.source, m.target)).collect()
    };
    one.id == other.id || moves(one) == moves(other)
}

/// Tells whether plans are made for a cluster: `CLUSTER_IDS` may leave it out.
pub(super) fn is_planned(picture: &Picture, cluster: ClusterId) -> bool {
    picture.planned_clusters().any(|planned| planned.id == cluster)
}

/// Why there is no plan of a cluster: it is gone, or it is not ours to plan for.
pub(super) fn why_no_plan(picture: &Picture, cluster: ClusterId) -> Refused {
    match find::cluster(&picture.snapshot, &cluster.to_string()) {
        Ok(known) => Refused::NotOurs { cluster, name: known.name.clone() },
        Err(missed) => Refused::Missed(missed),
    }
}
