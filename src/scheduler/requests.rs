//! Answers to what people ask for. Everything is checked against the store, never against what a button says.

use super::{Approved, Balanced, Changed, Picture, Refused, Status, core::Core, handle::Request};
use crate::{
    event::Event,
    model::{Asked, ClusterId, Person, ProposalId, VmId, find},
    planner::Revalidated,
    store::{Approval, Origin, Proposal, ProposalState, Proposed, ReplyTo, StepState, StoreError, Vote},
};

impl Core {
    /// Answers one request. Whoever asked may have gone: then the answer is dropped, and what was done is done.
    pub(super) async fn answer(&self, request: Request) {
        match request {
            Request::Status { answer } => drop(answer.send(self.status().await)),
            Request::DryRun { answer } => drop(answer.send(self.balancer.dry_run().map_err(Refused::from))),
            Request::Look { asked, answer } => {
                drop(answer.send(self.look_asking(asked).await.map_err(Refused::from)));
            }
            Request::Balance { cluster, by, reply_to, answer } => {
                drop(answer.send(self.balance(cluster, by, reply_to).await));
            }
            Request::Approve { proposal, by, answer } => {
                let approved = self.approve(proposal, &by);
                let started = approved == Ok(Approved::Started);
                drop(answer.send(approved));
                if started {
                    self.start(proposal).await;
                }
            }
            Request::Reject { proposal, by, answer } => drop(answer.send(self.reject(proposal, &by))),
            Request::Refresh { proposal, by, answer } => {
                drop(answer.send(self.refresh(proposal, &by).await));
            }
            Request::LeaveOut { proposal, vm, by, answer } => {
                drop(answer.send(self.leave_out(proposal, vm, &by)));
            }
            Request::Cancel { by, answer } => drop(answer.send(self.cancel(&by))),
            Request::Change { change, by, answer } => {
                let changed = self.change(change, &by).await;
                let is_changed = matches!(changed, Ok(Changed::Done | Changed::Node { .. }));
                drop(answer.send(changed));
                if is_changed {
                    self.export().await;
                }
            }
        }
    }

    async fn status(&self) -> Result<Status, Refused> {
        let knows_something = {
            let state = self.state();
            state.picture.is_some() || state.away.is_some()
        };
        if !knows_something {
            // What went wrong is in the state then.
            let _ = self.look_asking(Asked::WhoAnswered).await;
        }
        let now = self.now();
        let chat = self.store().settings()?;
        let exclusions = self.balancer.policy()?.exclusions;
        let state = self.state();
        Ok(Status {
            now,
            mode: self.mode(&chat),
            dry_run: self.balancer.dry_run()?,
            pause: chat.pause.filter(|pause| super::core::is_paused(Some(pause), now)),
            window_open: self.window_open(now),
            next_cycle: state.next_cycle,
            last_cycle: state.last_cycle.clone(),
            picture: state.picture.clone(),
            vmmanager_away: state.away.as_ref().map(|away| away.why.clone()),
            running: self.store().open_entries()?,
            exclusions,
            stopped_clusters: chat.stopped_clusters.into_iter().collect(),
            restored_unconfirmed: chat.restored_unconfirmed,
        })
    }

    async fn balance(
        &self,
        cluster: Option<String>,
        by: Person,
        reply_to: ReplyTo,
    ) -> Result<Balanced, Refused> {
        let picture = self.look().await?;
        let cluster = find_cluster(&picture, cluster.as_deref())?;
        self.audit(&by, "balance", format!("cluster {cluster}"));
        self.propose_fresh(&picture, cluster, Origin::Person(by), Some(reply_to))
    }

    /// Proposes what the picture says, in place of whatever is pending in the cluster.
    fn propose_fresh(
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
            return Err(unplanned(picture, cluster));
        };
        if plan.migrations.is_empty() {
            // An incomplete picture says nothing about what is pending.
            if let (Some(pending), true) = (self.store().pending_of(cluster)?, plan.incomplete.is_empty()) {
                self.end_as_stale(pending.id)?;
            }
            return Ok(Balanced::NothingToDo(Box::new(plan.clone())));
        }
        match self.propose(plan, picture.plan.taken_at, origin, reply_to)? {
            Proposed::Recorded { proposal, .. } => Ok(Balanced::Proposed(proposal.id)),
            Proposed::Busy(proposal) => Err(Refused::Busy { proposal }),
        }
    }

    fn approve(&self, id: ProposalId, by: &Person) -> Result<Approved, Refused> {
        if self.stop.is_cancelled() {
            return Err(Refused::Stopping);
        }
        if self.balancer.dry_run()? {
            return Err(Refused::DryRun);
        }
        let vote = self.store().approve(id, by, self.now())?;
        if matches!(vote, Vote::Started(_) | Vote::Counted { .. } | Vote::Expired) {
            self.events().say(Event::Proposal(id));
        }
        match vote {
            Vote::Started(_) => Ok(Approved::Started),
            Vote::Counted { have, need } => Ok(Approved::Counted { have, need }),
            Vote::AlreadyCounted { have, need } => Err(Refused::AlreadyCounted { have, need }),
            Vote::OwnProposal { have, need } => Err(Refused::OwnProposal { have, need }),
            Vote::Expired => Err(Refused::Expired { proposal: id }),
            Vote::NotPending => Err(self.why_closed(id)?),
            Vote::DryRun => Err(Refused::DryRun),
            Vote::NoSuchProposal => Err(Refused::NoSuchProposal(id)),
        }
    }

    /// Carries out what was approved, as far as the world still agrees.
    async fn start(&self, id: ProposalId) {
        let fits = match self.look().await {
            Ok(picture) => self.agree(id, &picture),
            Err(error) => {
                let why = error.to_string();
                self.balancer.watcher(&self.stop).abandon(id, &why).await;
                return;
            }
        };
        match fits {
            Ok(true) => self.carry_out(id).await,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(proposal = %id, error = %error.chain(), "an approved plan cannot be started");
                self.balancer.watcher(&self.stop).abandon(id, &error.chain()).await;
            }
        }
    }

    /// Drops steps that no longer fit. If what is left relieves nothing, posts a fresh plan instead: false.
    fn agree(&self, id: ProposalId, picture: &Picture) -> Result<bool, StoreError> {
        let Some(proposal) = self.store().proposal(id)? else { return Ok(false) };
        let Revalidated { kept, dropped, relieves } = self.balancer.revalidate(picture, &proposal);
        for (migration, unfit) in dropped {
            self.balancer.ledger().drop_step(id, migration.step, &unfit.to_string())?;
        }
        if !kept.is_empty() && relieves {
            return Ok(true);
        }
        let at = self.now();
        self.store().update_proposal(id, |proposal| proposal.state = ProposalState::Stale { at })?;
        self.events().say(Event::Proposal(id));
        if let Some(fresh) = picture.plan_of(proposal.cluster).filter(|plan| !plan.migrations.is_empty()) {
            self.propose(fresh, picture.plan.taken_at, Origin::Replaces(id), proposal.reply_to)?;
        }
        Ok(false)
    }

    fn reject(&self, id: ProposalId, by: &Person) -> Result<(), Refused> {
        self.existing(id)?;
        let state = ProposalState::Rejected { by: by.clone(), at: self.now() };
        if !self.store().end_pending(id, state)? {
            return Err(self.why_closed(id)?);
        }
        self.audit(by, "reject", format!("proposal {id}"));
        self.events().say(Event::Proposal(id));
        Ok(())
    }

    async fn refresh(&self, id: ProposalId, by: &Person) -> Result<Balanced, Refused> {
        let proposal = self.existing(id)?;
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
                return Err(Refused::NotPending { proposal: id });
            }
        }
        let picture = self.look().await?;
        self.audit(by, "refresh", format!("proposal {id}"));
        self.propose_fresh(&picture, proposal.cluster, Origin::Replaces(id), proposal.reply_to)
    }

    fn leave_out(&self, id: ProposalId, vm: VmId, by: &Person) -> Result<(), Refused> {
        self.existing(id)?;
        let mut was_pending = false;
        self.store().update_proposal(id, |proposal| {
            was_pending = proposal.state == ProposalState::Pending;
            if was_pending {
                toggle(proposal, vm, by);
            }
        })?;
        if !was_pending {
            return Err(self.why_closed(id)?);
        }
        self.audit(by, "leave_out", format!("vm {vm} of proposal {id}"));
        self.events().say(Event::Proposal(id));
        Ok(())
    }

    fn cancel(&self, by: &Person) -> Result<Vec<ProposalId>, Refused> {
        let at = self.now();
        let mut cancelled = Vec::new();
        for running in self.store().open_proposals()?.into_iter().filter(is_running) {
            let mut is_first = false;
            self.store().update_proposal(running.id, |proposal| {
                is_first = is_running(proposal) && proposal.cancel.is_none();
                if is_first {
                    proposal.cancel = Some(Approval { by: by.clone(), at });
                }
            })?;
            if is_first {
                self.events().say(Event::Proposal(running.id));
            }
            cancelled.push(running.id);
        }
        if cancelled.is_empty() {
            return Err(Refused::NothingRunning);
        }
        self.audit(by, "cancel", format!("proposals {}", list(&cancelled)));
        Ok(cancelled)
    }

    fn existing(&self, id: ProposalId) -> Result<Proposal, Refused> {
        self.store().proposal(id)?.ok_or(Refused::NoSuchProposal(id))
    }

    fn running_in(&self, cluster: ClusterId) -> Result<Option<ProposalId>, Refused> {
        let open = self.store().open_proposals()?;
        Ok(open.iter().find(|proposal| proposal.cluster == cluster && is_running(proposal)).map(|p| p.id))
    }

    fn why_closed(&self, id: ProposalId) -> Result<Refused, Refused> {
        Ok(match self.existing(id)?.state {
            ProposalState::Expired { .. } => Refused::Expired { proposal: id },
            _ => Refused::NotPending { proposal: id },
        })
    }
}

/// Leaves a VM's migrations out, or takes them in again.
fn toggle(proposal: &mut Proposal, vm: VmId, by: &Person) {
    let is_left_out = !proposal.left_out.remove(&vm);
    for step in proposal.steps.iter_mut().filter(|step| step.migration.vm == vm) {
        step.state = match is_left_out {
            true => StepState::LeftOut { by: by.clone() },
            false => StepState::Waiting,
        };
    }
    if is_left_out && proposal.steps.iter().any(|step| step.migration.vm == vm) {
        proposal.left_out.insert(vm);
    }
}

fn is_running(proposal: &Proposal) -> bool {
    matches!(proposal.state, ProposalState::Approved { .. } | ProposalState::Running { .. })
}

/// Finds the cluster that a person means; the only one where none is named.
fn find_cluster(picture: &Picture, wanted: Option<&str>) -> Result<ClusterId, Refused> {
    if let Some(wanted) = wanted {
        return Ok(find::cluster(&picture.snapshot, wanted).map_err(Refused::Missed)?.id);
    }
    match picture.plan.clusters.as_slice() {
        [only] => Ok(only.cluster),
        several => {
            let known = several.iter().map(|plan| (plan.cluster, plan.name.clone())).collect();
            Err(Refused::WhichCluster { known })
        }
    }
}

/// Why there is no plan of a cluster: it is gone, or it is not ours to plan for.
fn unplanned(picture: &Picture, cluster: ClusterId) -> Refused {
    match find::cluster(&picture.snapshot, &cluster.to_string()) {
        Ok(known) => Refused::NotOurs { cluster, name: known.name.clone() },
        Err(missed) => Refused::Missed(missed),
    }
}

fn list(ids: &[ProposalId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
