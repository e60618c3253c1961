//! What a cycle of the schedule does with each cluster's plan.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    LastCycle, Picture, StandingNow, delta,
    proposals::{Proposals, is_same},
    sight::Sight,
    switches::{May, Switches},
};
use crate::{
    balancer::{CycleError, VmBalancer},
    meter,
    model::{ClusterId, MigrationId, NodeId, ProposalId},
    planner::{self, ClusterPlan},
    store::{Approver, AuditEntry, Origin, Proposal, ProposalState, Proposed, Store, StoreError, ToldIn},
};

pub(super) struct Cycle {
    balancer: Arc<VmBalancer>,
    stop: CancellationToken,
    times: Mutex<Times>,
    /// The nodes that were overloaded at the last look, with their clusters.
    overloaded: Mutex<BTreeMap<NodeId, ClusterId>>,
}

#[derive(Default)]
struct Times {
    next: Option<DateTime<Utc>>,
    last: Option<LastCycle>,
}

/// The journal before a look.
struct Before {
    newest: Option<MigrationId>,
    /// Clusters with a migration of ours under way.
    migrating: BTreeSet<ClusterId>,
}

/// What a cycle led to.
struct Done {
    picture: Picture,
    approved: Vec<ProposalId>,
}

impl Cycle {
    pub(super) fn new(balancer: Arc<VmBalancer>, stop: CancellationToken) -> Self {
        Self { balancer, stop, times: Mutex::default(), overloaded: Mutex::default() }
    }

    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.times().next
    }

    pub(super) fn last(&self) -> Option<LastCycle> {
        self.times().last.clone()
    }

    /// Notes when the next cycle begins.
    pub(super) fn next_in(&self, wait: Duration) {
        self.times().next = self.now().checked_add_signed(delta(wait));
    }

    /// Runs one cycle; returns what is to be carried out.
    pub(super) async fn run(
        &self,
        sight: &Sight,
        switches: &Switches,
        proposals: &Proposals,
    ) -> Vec<ProposalId> {
        let (at, began) = (self.now(), Instant::now());
        let work = async {
            let done = self.look_and_decide(sight, switches, proposals).await;
            report(&done, began.elapsed());
            done
        };
        let done = work.instrument(tracing::info_span!("cycle")).await;
        self.times().last = Some(LastCycle { at, trouble: done.as_ref().err().map(CycleError::trouble) });
        done.map(|done| done.approved).unwrap_or_default()
    }

    async fn look_and_decide(
        &self,
        sight: &Sight,
        switches: &Switches,
        proposals: &Proposals,
    ) -> Result<Done, CycleError> {
        proposals.expire();
        let before = self.before()?;
        let picture = sight.look_and_plan().await?;
        self.balancer.end_stops(&picture.snapshot)?;
        let overloaded = picture
            .plan
            .clusters
            .iter()
            .flat_map(|plan| plan.overloaded.iter().map(|overloaded| (overloaded.node, plan.cluster)));
        self.learn_overload(&overloaded.collect(), &before.migrating);
        self.balancer.remember_evenness(&picture.plan, &picture.policy)?;
        let mut approved = Vec::new();
        for plan in &picture.plan.clusters {
            if self.stop.is_cancelled() {
                break;
            }
            self.log_news(plan);
            if self.has_moved_since(&before, plan.cluster)? {
                continue;
            }
            let in_force = switches.in_force(self.now())?;
            match in_force.may(plan.cluster) {
                May::Nothing => {}
                May::Show => self.show(&picture, plan, proposals)?,
                May::Propose => self.propose_unless_there(&picture, &for_people(plan), proposals)?,
                May::ProposeOrRelieve => {
                    match self.relieve_within(&picture, plan, proposals, &in_force.standing).await? {
                        Some(id) => approved.push(id),
                        None => self.propose_unless_there(&picture, &for_people(plan), proposals)?,
                    }
                }
                May::CarryOut => {
                    approved.extend(self.approve(&picture, plan, proposals, Approver::Auto)?);
                }
            }
        }
        Ok(Done { picture, approved })
    }

    /// Looks without planning, and tells whether a node is overloaded that was not at the last look.
    pub(super) async fn sees_new_overload(&self, sight: &Sight) -> bool {
        let picture = match sight.look().await {
            Ok(picture) => picture,
            // The next cycle reports it.
            Err(error) => {
                tracing::debug!(%error, "a look between two cycles failed");
                return false;
            }
        };
        let overloaded = |of: Picture| planner::overloaded_nodes(&of.snapshot, &of.policy);
        let found = self.balancer.compute(&picture, overloaded).await;
        // A panic of the planner is reported by the next cycle.
        let Ok(seen) = found else { return false };
        let Ok(Before { migrating, .. }) = self.before() else { return false };
        let new = self.learn_overload(&seen, &migrating);
        if let Some(node) = new {
            tracing::debug!(
                node.id = node.0,
                count = seen.len(),
                "new overload: the next cycle begins at once"
            );
        }
        new.is_some()
    }

    /// Keeps which nodes are overloaded, and returns one that was not before. While a plan of its cluster is under way
    /// a cycle would do nothing, so a node that becomes overloaded then is new to the first look after it.
    fn learn_overload(
        &self,
        seen: &BTreeMap<NodeId, ClusterId>,
        migrating: &BTreeSet<ClusterId>,
    ) -> Option<NodeId> {
        let mut known = self.lock_overloaded();
        known.retain(|node, _| seen.contains_key(node));
        let is_new = |(node, cluster): &(&NodeId, &ClusterId)| {
            !migrating.contains(cluster) && !known.contains_key(node)
        };
        let new: Vec<(NodeId, ClusterId)> =
            seen.iter().filter(is_new).map(|(node, cluster)| (*node, *cluster)).collect();
        known.extend(new.iter().copied());
        new.first().map(|(node, _)| *node)
    }

    /// Lets what is still overloaded in these clusters count as new: their VMs were moved, so the next plan is another.
    pub(super) fn forget_overload(&self, clusters: &BTreeSet<ClusterId>) {
        self.lock_overloaded().retain(|_, cluster| !clusters.contains(cluster));
    }

    /// Tells whether a migration of ours ran in this cluster during the look. The plan was then made on a picture that
    /// is out of date, and the next cycle makes a better one.
    fn has_moved_since(&self, before: &Before, cluster: ClusterId) -> Result<bool, StoreError> {
        if before.migrating.contains(&cluster) {
            return Ok(true);
        }
        let since = self.store().entries_after(before.newest)?;
        Ok(since.iter().any(|entry| entry.cluster == cluster))
    }

    fn before(&self) -> Result<Before, StoreError> {
        let migrating = self.store().open_entries()?.iter().map(|entry| entry.cluster).collect();
        Ok(Before { newest: self.store().newest_entry()?, migrating })
    }

    /// Shows a plan of a dry run, once.
    fn show(&self, picture: &Picture, plan: &ClusterPlan, proposals: &Proposals) -> Result<(), StoreError> {
        if !plan.migrations.is_empty() && !proposals.is_shown(plan)? {
            let state = ProposalState::Shown { at: self.now() };
            proposals.record(plan, picture, Origin::Schedule, state, None)?;
        }
        Ok(())
    }

    /// Keeps one live proposal per cluster.
    fn propose_unless_there(
        &self,
        picture: &Picture,
        plan: &ClusterPlan,
        proposals: &Proposals,
    ) -> Result<(), StoreError> {
        let pending = proposals.pending_of(plan.cluster)?;
        if let Some(pending) = &pending {
            if plan.hold().is_some() || self.still_stands(picture, pending, plan) {
                return proposals.look_ahead(pending, picture);
            }
            if pending.is_wish() {
                // Somebody wants these moves, whatever the thresholds say.
                return Ok(());
            }
            if plan.migrations.is_empty() {
                return proposals.end_as_stale(pending.id);
            }
        }
        if plan.migrations.is_empty() && plan.hold().is_none() {
            proposals.cause_is_over(plan.cluster)?;
        }
        if plan.migrations.is_empty()
            || proposals.was_rejected(plan)?
            || self.is_seen_to_later(picture, plan, proposals)?
        {
            return Ok(());
        }
        let reply_to = pending.and_then(|pending| pending.reply_to);
        proposals.propose(plan, picture, Origin::Schedule, reply_to)?;
        Ok(())
    }

    /// Approves what a standing approval covers of a plan; returns the proposal that is to be carried out.
    async fn relieve_within(
        &self,
        picture: &Picture,
        plan: &ClusterPlan,
        proposals: &Proposals,
        standing: &[StandingNow],
    ) -> Result<Option<ProposalId>, CycleError> {
        if plan.migrations.is_empty() || proposals.was_rejected(plan)? {
            return Ok(None);
        }
        for (standing, by) in standing.iter().filter_map(|it| Some((it, it.approver()?))) {
            let within = self.balancer.plan_within(picture, plan, &standing.limits, standing.used).await?;
            let within = match within {
                Ok(within) => within,
                Err(beyond) => {
                    tracing::info!(
                        cluster.id = plan.cluster.0,
                        why = ?beyond,
                        "a plan is beyond the standing approval"
                    );
                    continue;
                }
            };
            if proposals.was_rejected(&within)? {
                continue;
            }
            let approved = self.approve(picture, &within, proposals, by)?;
            if let Some(id) = approved {
                self.audit(id, standing);
                return Ok(approved);
            }
        }
        Ok(None)
    }

    fn audit(&self, id: ProposalId, standing: &StandingNow) {
        let entry = AuditEntry::new(self.now(), standing.by.clone(), "autopilot", format!("proposal {id}"));
        if let Err(error) = self.store().audit(&entry) {
            tracing::error!(%error, "the audit cannot be written");
        }
    }

    fn approve(
        &self,
        picture: &Picture,
        plan: &ClusterPlan,
        proposals: &Proposals,
        by: Approver,
    ) -> Result<Option<ProposalId>, StoreError> {
        let waits = proposals.pending_of(plan.cluster)?.is_some_and(|pending| pending.is_wish());
        if plan.migrations.is_empty() || waits || self.is_seen_to_later(picture, plan, proposals)? {
            return Ok(None);
        }
        let approved = ProposalState::Approved { by, at: self.now() };
        let notes = self.store().news(ToldIn::Reports, plan)?;
        let report = ClusterPlan { notes, ..plan.clone() };
        let recorded = proposals.record(&report, picture, Origin::Schedule, approved, None)?;
        let Proposed::Recorded { proposal, .. } = recorded else { return Ok(None) };
        self.store().was_told(ToldIn::Reports, plan)?;
        Ok(Some(proposal.id))
    }

    /// Logs what holds of a cluster and was not logged before. A store that cannot keep it does not end the cycle.
    fn log_news(&self, plan: &ClusterPlan) {
        let store = self.store();
        let news = store.news(ToldIn::Log, plan).and_then(|news| {
            store.was_told(ToldIn::Log, plan)?;
            Ok(news)
        });
        match news {
            Ok(news) => {
                for note in news {
                    tracing::warn!(cluster.id = plan.cluster.0, %note, "noted of a cluster");
                }
            }
            Err(error) => tracing::error!(%error, "what was noted of a cluster cannot be kept"),
        }
    }

    /// Tells whether a plan that people approved for later still does what this one is for.
    fn is_seen_to_later(
        &self,
        picture: &Picture,
        plan: &ClusterPlan,
        proposals: &Proposals,
    ) -> Result<bool, StoreError> {
        let deferred = proposals.deferred_of(plan.cluster)?;
        Ok(deferred
            .is_some_and(|deferred| !deferred.is_wish() && self.still_stands(picture, &deferred, plan)))
    }

    fn still_stands(&self, picture: &Picture, pending: &Proposal, plan: &ClusterPlan) -> bool {
        if pending.plan.id == plan.id || pending.is_all_left_out() && is_same(&pending.plan, plan) {
            return true;
        }
        let left = self.balancer.revalidate(picture, pending);
        left.dropped.is_empty() && left.relieves
    }

    fn lock_overloaded(&self) -> MutexGuard<'_, BTreeMap<NodeId, ClusterId>> {
        self.overloaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> &Store {
        &self.balancer.parts().store
    }

    fn now(&self) -> DateTime<Utc> {
        self.balancer.parts().clock.now()
    }
}

/// What people are asked for: not for relief in advance alone, where nobody would have been asked but something is in the
/// way, such as a limit of the standing approval or a closed window.
fn for_people(plan: &ClusterPlan) -> Cow<'_, ClusterPlan> {
    match plan.is_only_ahead() {
        true => Cow::Owned(ClusterPlan { migrations: Vec::new(), ..plan.clone() }),
        false => Cow::Borrowed(plan),
    }
}

/// Logs the one line of a cycle.
fn report(done: &Result<Done, CycleError>, took: Duration) {
    meter::cycle(done.is_ok(), took);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match done {
        Ok(Done { picture, .. }) => {
            let clusters = &picture.plan.clusters;
            tracing::info!(
                nodes = picture.snapshot.nodes.len(),
                vms = picture.snapshot.vms.len(),
                overloaded = clusters.iter().map(|plan| plan.overloaded.len()).sum::<usize>(),
                planned = clusters.iter().map(|plan| plan.migrations.len()).sum::<usize>(),
                took_ms,
                "a cycle is done"
            );
        }
        Err(error) => {
            tracing::warn!(%error, took_ms, "a cycle could not be done");
        }
    }
}
