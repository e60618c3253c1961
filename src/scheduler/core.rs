//! Answers what people ask for, with the parts that know: each part has a file and a state of its own.

use std::{pin::pin, sync::Arc};

use chrono::{DateTime, Utc};
use futures::{FutureExt as _, future::FusedFuture as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    Approved, Balanced, Cancelled, Change, Changed, Drained, Foreseen, Maintained, Picture, PlanOf, Refused,
    Rounded, Settings, StandingNow, Status, Stop, Stopped, Tuning, WatchWish, Watched, WhatIf, When, ahead,
    cycle::Cycle,
    handle::{Answer, Request},
    proposals::{self, Proposals},
    runs::Runs,
    sight::Sight,
    switches::Switches,
    upkeep::Upkeep,
};
use crate::{
    balancer::{CycleError, VmBalancer},
    live::Live,
    model::{ClusterId, Person, ProposalId, Trouble, find},
    planner::{Consent, Hold, Policy, Skip, SkipWhy, Strategy},
    store::{AuditEntry, Begin, Ending, Origin, Proposal, ProposalState, ReplyTo, Selection, StoreError},
};

/// The parts of the scheduler.
pub(super) struct Core {
    pub(super) balancer: Arc<VmBalancer>,
    pub(super) sight: Sight,
    pub(super) switches: Arc<Switches>,
    pub(super) proposals: Proposals,
    pub(super) runs: Runs,
    pub(super) cycle: Cycle,
    pub(super) upkeep: Upkeep,
}

impl Core {
    pub(super) fn new(
        settings: Live<Settings>,
        tuning: Arc<dyn Tuning>,
        balancer: VmBalancer,
        stop: CancellationToken,
    ) -> Self {
        let balancer = Arc::new(balancer);
        let sight = Sight::new(Arc::clone(&balancer), settings.clone(), stop.clone());
        let switches = Arc::new(Switches::new(settings, tuning, Arc::clone(&balancer)));
        // The switches hold the balancer, so it may not hold them.
        let of = Arc::downgrade(&switches);
        balancer.learn_consent_from(move |now| {
            of.upgrade().map_or(Ok(Consent::OnePlan), |switches| Ok(switches.in_force(now)?.consent(now)))
        });
        Self {
            sight,
            proposals: Proposals::new(Arc::clone(&balancer), Arc::clone(&switches)),
            switches,
            runs: Runs::new(Arc::clone(&balancer), stop.clone()),
            cycle: Cycle::new(Arc::clone(&balancer), stop),
            upkeep: Upkeep::new(Arc::clone(&balancer)),
            balancer,
        }
    }

    /// Runs one cycle; returns the proposals that are to be carried out.
    pub(super) async fn cycle(&self) -> Vec<ProposalId> {
        self.cycle.run(&self.sight, &self.switches, &self.proposals).await
    }

    /// Answers one request. An answer that nobody waits for any more is dropped; what was done is done.
    pub(super) async fn answer(&self, request: Request) {
        match request {
            Request::Status { looks, answer, again } => self.tell_status(looks, answer, again).await,
            Request::Settings { answer } => drop(answer.send(self.switches.settings())),
            Request::Reapply { answer } => drop(answer.send(self.switches.reapply())),
            Request::DryRun { answer } => drop(answer.send(self.balancer.dry_run().map_err(Refused::from))),
            Request::Standing { answer } => drop(answer.send(self.standing())),
            Request::Look { answer } => drop(answer.send(self.look().await)),
            Request::Balance { cluster, by, reply_to, answer } => {
                drop(answer.send(self.balance(cluster, by, reply_to).await));
            }
            Request::Drain { node, by, reply_to, answer } => {
                drop(answer.send(self.drain(&node, Origin::Person(by), Some(reply_to)).await));
            }
            Request::Maintain { nodes, by, reply_to, answer } => {
                let origin = Origin::Person(by);
                drop(answer.send(self.maintenance(&nodes, origin, Some(reply_to)).await));
            }
            Request::Round { proposal, hand, by, answer } => {
                let rounded = self.round(proposal, hand, by).await;
                let next = match &rounded {
                    Ok(Rounded::Next(next)) => Some(*next),
                    Ok(Rounded::Over | Rounded::Stopped) | Err(_) => None,
                };
                drop(answer.send(rounded));
                if let Some(next) = next {
                    self.runs.start(next, &self.sight, &self.proposals).await;
                }
            }
            Request::WhatIf { question, answer } => {
                drop(answer.send(self.foresee(question).await));
                self.sight.look_if_old().await;
            }
            Request::Approve { proposal, shown, when, by, answer } => {
                let approved = self.approve(proposal, &shown, when, &by);
                let started = approved == Ok(Approved::Started);
                drop(answer.send(approved));
                if started {
                    self.runs.start(proposal, &self.sight, &self.proposals).await;
                    self.sight.look_again().await;
                }
            }
            Request::ApproveAt { called, at, by, answer } => {
                drop(answer.send(self.approve_at(called.as_deref(), at, &by)));
            }
            Request::Undo { proposal, by, answer } => drop(answer.send(self.undo(proposal, by).await)),
            Request::Return { proposal, by, answer } => {
                drop(answer.send(self.node_returns(proposal, by).await));
            }
            Request::Reject { proposal, reason, by, answer } => {
                drop(answer.send(self.reject(proposal, reason, &by)));
            }
            Request::Refresh { proposal, by, answer } => {
                drop(answer.send(self.refresh(proposal, &by).await));
            }
            Request::Choose { proposal, selection, by, answer } => {
                drop(answer.send(self.choose(proposal, selection, &by)));
            }
            Request::Cancel { stop, by, answer } => drop(answer.send(self.cancel(&stop, &by).await)),
            Request::Watch { proposal, wish, by, answer } => {
                drop(answer.send(self.watch(proposal, wish, &by).await));
            }
            Request::Change { change, by, answer } => {
                let what = change.to_string();
                let changed = self.switches.change(change, &by, &self.sight).await;
                if changed.is_ok() {
                    self.audit(&by, "change", what);
                }
                let is_changed = matches!(
                    changed,
                    Ok(Changed::Done | Changed::Nodes(_) | Changed::Vms(_) | Changed::Setting { .. })
                );
                drop(answer.send(changed));
                if is_changed {
                    self.upkeep.export().await;
                }
            }
        }
    }

    /// Answers at once, and looks behind that where what is known is old. Only where nothing is known yet the answer
    /// waits a little; a VMmanager that hangs delays none.
    async fn tell_status(&self, looks: bool, answer: Answer<Status>, again: Option<Answer<Status>>) {
        let is_first = !self.sight.has_tried();
        let mut looking = pin!(self.sight.look_if_old().fuse());
        if is_first {
            let first = async {
                let mut tried = pin!(self.sight.first_try());
                tokio::select! {
                    () = &mut looking => tried.await,
                    () = &mut tried => {}
                }
            };
            let _ = timeout(self.sight.patience().status, first).await;
        }
        let known = self.sight.looks();
        drop(answer.send(self.status()));
        if (looks || is_first) && !looking.is_terminated() {
            looking.await;
        }
        if let Some(again) = again
            && self.sight.has_looked_since(known).await
        {
            drop(again.send(self.status()));
        }
    }

    fn status(&self) -> Result<Status, Refused> {
        let now = self.now();
        let in_force = self.switches.in_force(now)?;
        let policy = self.balancer.policy()?;
        Ok(Status {
            now,
            mode: in_force.mode,
            dry_run: in_force.dry_run,
            pause: in_force.pause,
            window_open: in_force.window_open,
            next_cycle: self.cycle.next(),
            last_cycle: self.cycle.last(),
            picture: self.sight.picture_under(policy.clone()),
            vmmanager_away: self.sight.away(),
            running: self.balancer.parts().store.open_entries()?,
            waiting: self.proposals.waiting()?,
            deferred: self.proposals.approved_for_later()?,
            rounds: self.rounds()?,
            exclusions: policy.exclusions,
            resting: policy.resting,
            stopped_clusters: in_force.stopped_clusters.into_iter().collect(),
            restored_unconfirmed: in_force.restored_unconfirmed,
            standing: in_force.standing,
        })
    }

    async fn look(&self) -> Result<Picture, Refused> {
        Ok(self.sight.look().await?)
    }

    fn standing(&self) -> Result<Vec<StandingNow>, Refused> {
        Ok(self.switches.in_force(self.now())?.standing)
    }

    async fn balance(
        &self,
        cluster: Option<String>,
        by: Person,
        reply_to: ReplyTo,
    ) -> Result<Balanced, Refused> {
        let picture = self.sight.look_for_plan().await?;
        let cluster = find_cluster(&picture, cluster.as_deref())?;
        self.audit(&by, "balance", format!("cluster {cluster}"));
        let picture = self.plan_cluster(picture, cluster).await?;
        self.proposals.propose_fresh(&picture, cluster, Origin::Person(by), Some(reply_to))
    }

    async fn foresee(&self, question: WhatIf) -> Result<Foreseen, Refused> {
        let picture = match self.sight.picture_under(self.balancer.policy()?) {
            Some(known) => known,
            None => self.sight.look_for_plan().await?,
        };
        ahead::foresee(&self.balancer, &picture, question).await
    }

    /// Plans one cluster; one that `CLUSTER_IDS` leaves out has no plan.
    async fn plan_cluster(&self, picture: Picture, cluster: ClusterId) -> Result<Picture, Refused> {
        if !proposals::is_planned(&picture, cluster) {
            return Err(proposals::why_no_plan(&picture, cluster));
        }
        let planned = self.balancer.plan_for(picture, cluster).await?;
        self.sight.note_plan(&planned, cluster);
        Ok(planned)
    }

    async fn drain(&self, node: &str, origin: Origin, reply_to: Option<ReplyTo>) -> Result<Drained, Refused> {
        let picture = self.sight.look_for_plan().await?;
        let node = find::node(&picture.snapshot, node).map_err(Refused::Missed)?;
        if let Origin::Person(by) = &origin {
            self.audit(by, "drain", format!("node {}", node.id));
        }
        let drain = self.balancer.drain(&picture, node.id).await?;
        self.proposals.drain(&picture, node, drain, origin, reply_to)
    }

    fn approve(&self, id: ProposalId, shown: &str, when: When, by: &Person) -> Result<Approved, Refused> {
        if self.runs.are_stopping() {
            return Err(Refused::Stopping);
        }
        if self.balancer.dry_run()? {
            return Err(Refused::DryRun);
        }
        let begins = match when {
            When::Now => None,
            When::At(at) => Some(Begin::At(at)),
            When::InWindow => {
                let agreed = self.proposals.existing(id)?.begins;
                let agreed = agreed.filter(|begin| matches!(begin, Begin::InWindow { .. }));
                let next = || self.switches.window_opens(self.now()).map(|opens| Begin::InWindow { opens });
                agreed.or_else(next)
            }
        };
        let approved = self.proposals.approve(id, shown, begins, by)?;
        // The store counts and audits it at once.
        note_decision(by, "approve", &format!("proposal {id}"));
        Ok(approved)
    }

    fn approve_at(
        &self,
        called: Option<&str>,
        at: DateTime<Utc>,
        by: &Person,
    ) -> Result<(PlanOf, Approved), Refused> {
        let pending = self.proposals.pending_called(called, by)?;
        let approved = self.approve(pending.id, &pending.tag(), When::At(at), by)?;
        Ok((PlanOf { plan: pending.id, cluster: pending.cluster_name }, approved))
    }

    /// Returns the plans that were approved for this time.
    pub(super) fn due(&self) -> Vec<ProposalId> {
        let now = self.now();
        let begun = self
            .switches
            .in_force(now)
            .and_then(|in_force| self.proposals.begin_due(&in_force, self.switches.window_opens(now), now));
        begun.unwrap_or_else(|error| {
            tracing::error!(%error, "it cannot be seen which plans are to begin");
            Vec::new()
        })
    }

    /// Proposes a plan that takes a finished one back.
    async fn undo(&self, id: ProposalId, by: Person) -> Result<ProposalId, Refused> {
        let older = self.proposals.existing(id)?;
        if !matches!(older.state, ProposalState::Done { .. }) {
            return Err(Refused::NotPending { proposal: id, state: older.state });
        }
        self.audit(&by, "undo", format!("proposal {id}"));
        let picture = self.sight.look_for_plan().await?;
        self.proposals.undo(&picture, &older, Origin::Person(by))
    }

    /// Opens the node that a finished plan emptied, and proposes a plan that evens its cluster out.
    async fn node_returns(&self, id: ProposalId, by: Person) -> Result<Balanced, Refused> {
        let proposal = self.proposals.existing(id)?;
        let (ProposalState::Done { .. }, Some((node, _))) = (&proposal.state, proposal.drains()) else {
            return Err(Refused::NotPending { proposal: id, state: proposal.state });
        };
        self.audit(&by, "include", format!("node {node}, after proposal {id}"));
        let include = Change::Include { node: find::by_id(node.0) };
        self.switches.change(include, &by, &self.sight).await?;
        self.level(proposal.cluster, by, proposal.reply_to).await
    }

    /// Proposes a plan that evens a cluster out, whatever the strategy of the cycles.
    async fn level(
        &self,
        cluster: ClusterId,
        by: Person,
        reply_to: Option<ReplyTo>,
    ) -> Result<Balanced, Refused> {
        let picture = self.sight.look_for_plan().await?;
        if !proposals::is_planned(&picture, cluster) {
            return Err(proposals::why_no_plan(&picture, cluster));
        }
        let policy = Policy {
            strategy: Strategy::Level,
            clusters: Some([cluster].into()),
            ..Policy::clone(&picture.policy)
        };
        let level = self.balancer.plan_on(picture.under(Arc::new(policy))).await?;
        self.proposals.propose_fresh(&level, cluster, Origin::Person(by), reply_to)
    }

    fn reject(&self, id: ProposalId, reason: Option<String>, by: &Person) -> Result<(), Refused> {
        self.proposals.reject(id, reason, by)?;
        self.audit(by, "reject", format!("proposal {id}"));
        Ok(())
    }

    async fn refresh(&self, id: ProposalId, by: &Person) -> Result<Balanced, Refused> {
        let proposal = self.proposals.existing(id)?;
        match proposal.state {
            ProposalState::Pending
            | ProposalState::Expired { .. }
            | ProposalState::Stale { .. }
            | ProposalState::Shown { .. } => {}
            ProposalState::Approved { .. } | ProposalState::Running { .. } => {
                return Err(Refused::Busy { proposal: id });
            }
            ProposalState::Done { .. }
            | ProposalState::Rejected { .. }
            | ProposalState::Superseded { .. } => {
                return Err(Refused::NotPending { proposal: id, state: proposal.state });
            }
        }
        self.audit(by, "refresh", format!("proposal {id}"));
        if let Some(round) = &proposal.round {
            let nodes: Vec<_> = round.nodes.iter().map(|node| find::by_id(node.node.0)).collect();
            let fresh = self.maintenance(&nodes, Origin::Replaces(id), proposal.reply_to.clone());
            return match fresh.await? {
                Maintained::Proposed(fresh) => Ok(Balanced::Proposed(fresh)),
                Maintained::CannotHold { .. } | Maintained::SeveralClusters => {
                    self.proposals.end_as_stale(id)?;
                    Err(Refused::NotPending { proposal: id, state: self.proposals.existing(id)?.state })
                }
            };
        }
        if let Some((node, _)) = proposal.drains() {
            let node = find::by_id(node.0);
            let drained = self.drain(&node, Origin::Replaces(id), proposal.reply_to.clone());
            return match drained.await? {
                Drained::Proposed(fresh) => Ok(Balanced::Proposed(fresh)),
                Drained::Stuck { stuck, .. } if let Some(hold) = hold_of(&stuck) => {
                    Err(Refused::Held { hold })
                }
                Drained::Empty { .. } | Drained::Stuck { .. } => {
                    self.proposals.end_as_stale(id)?;
                    Err(Refused::NotPending { proposal: id, state: self.proposals.existing(id)?.state })
                }
            };
        }
        let picture = self.sight.look_for_plan().await?;
        if let Some(undone) = proposal.undoes() {
            let undone = self.proposals.existing(undone)?;
            let fresh = self.proposals.undo(&picture, &undone, Origin::Replaces(id));
            if matches!(fresh, Err(Refused::NothingToUndo { .. })) {
                self.proposals.end_as_stale(id)?;
            }
            return fresh.map(Balanced::Proposed);
        }
        let picture = self.plan_cluster(picture, proposal.cluster).await?;
        self.proposals.propose_fresh(&picture, proposal.cluster, Origin::Replaces(id), proposal.reply_to)
    }

    fn choose(&self, id: ProposalId, selection: Selection, by: &Person) -> Result<Box<Proposal>, Refused> {
        let chosen = self.proposals.choose(id, selection, by, self.sight.picture().as_ref())?;
        self.audit(by, "choose", format!("{selection:?} of proposal {id}"));
        Ok(Box::new(chosen))
    }

    async fn cancel(&self, stop: &Stop, by: &Person) -> Result<Cancelled, Refused> {
        let cancelled = match self.proposals.cancel(stop, by) {
            Err(refused) => self.stop_round(stop, by)?.ok_or(refused)?,
            Ok(cancelled) => cancelled,
        };
        self.audit(by, "cancel", format!("proposal {}", cancelled.plan));
        if cancelled.what == Stopped::BeforeItBegan {
            self.runs.watcher().abandon(cancelled.plan, &Ending::CancelledBy(by.clone())).await;
        }
        Ok(cancelled)
    }

    async fn watch(&self, id: ProposalId, wish: WatchWish, by: &Person) -> Result<Watched, Refused> {
        match wish {
            WatchWish::LookAgain => Ok(Watched::Seen(self.runs.glimpses(id).await?)),
            WatchWish::GiveUp => {
                let plan = self.proposals.give_up(id, by)?;
                self.audit(by, "give-up", format!("proposal {id}"));
                Ok(Watched::GivenUp(plan))
            }
        }
    }

    pub(super) fn audit(&self, by: &Person, what: &str, detail: String) {
        note_decision(by, what, &detail);
        let entry = AuditEntry::new(self.now(), Some(by.clone()), what, detail);
        if let Err(error) = self.balancer.parts().store.audit(&entry) {
            tracing::error!(%error, "the audit cannot be written");
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.balancer.parts().clock.now()
    }
}

fn note_decision(by: &Person, decision: &str, subject: &str) {
    tracing::info!(person.id = by.id, decision, subject, "a person decided");
}

/// Why nothing leaves the node, where that is the same for every VM: nothing may be done in the cluster.
pub(super) fn hold_of(stuck: &[Skip]) -> Option<Hold> {
    stuck.iter().find_map(|skip| match &skip.why {
        SkipWhy::Held(hold) => Some(hold.clone()),
        _ => None,
    })
}

/// Finds the cluster that a person means; the only one where none is named.
pub(super) fn find_cluster(picture: &Picture, wanted: Option<&str>) -> Result<ClusterId, Refused> {
    if let Some(wanted) = wanted {
        return Ok(find::cluster(&picture.snapshot, wanted).map_err(Refused::Missed)?.id);
    }
    let mut known: Vec<_> =
        picture.planned_clusters().map(|cluster| (cluster.id, cluster.name.clone())).collect();
    known.sort_unstable();
    match known.as_slice() {
        [(only, _)] => Ok(*only),
        _ => Err(Refused::WhichCluster { known }),
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Unable(Trouble::Store(error.failure()))
    }
}

impl From<CycleError> for Refused {
    fn from(error: CycleError) -> Self {
        Self::Unable(error.trouble())
    }
}
