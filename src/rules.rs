//! The policy in force: the configuration's, what the chat changed, and what the journal remembers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    event::{Alert, Events},
    model::{NodeId, Snapshot, VmId, find},
    planner::{
        self, Brims, Consent, Direction, Exclusion, ExclusionWhy, Plan, Policy, Rest, RestWhy, Selector,
        Strategy,
    },
    store::{
        Declined, FailingNode, JournalEntry, Outcome, ProposalState, Pull, Round, Settings as ChatSettings,
        Store, StoreError, failing_nodes,
    },
};

/// How many failures onto or off one node within [`NODE_WINDOW`] close it: one may be the VM's fault, two may be
/// chance.
const NODE_FAILURES: usize = 3;

/// Within an hour, and then for an hour: a node that was repaired comes back by itself.
const NODE_WINDOW: TimeDelta = TimeDelta::hours(1);

/// So many failures among the last [`CLUSTER_LAST`] migrations of a cluster stop automatic runs there: more than one
/// bad node can explain. By share, for a large cluster has a few failures in any week.
const CLUSTER_FAILURES: usize = 5;

const CLUSTER_LAST: usize = 10;

/// Failures older than a week say nothing of today.
const CLUSTER_WINDOW: TimeDelta = TimeDelta::days(7);

/// A target that VMmanager declines for this many VMs is closed as a target: one may be the VM's fault.
const DECLINED_VMS: usize = 2;

/// An hour without automatic runs where no order is taken (a missing right, a full queue, another version): people
/// mend that, and one report an hour tells them.
const REFUSED_REST: TimeDelta = TimeDelta::hours(1);

/// How long VMs rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooldowns {
    /// After a migration (`MIGRATION_COOLDOWN`).
    pub migration: TimeDelta,
    /// After a failed one (`FAILURE_COOLDOWN`).
    pub failure: TimeDelta,
}

/// Reads what is configured at this moment: it may change while the bot runs.
#[derive(Clone)]
pub struct Base(Arc<dyn Fn() -> (Policy, Cooldowns) + Send + Sync>);

impl Base {
    /// Reads with this function.
    pub fn new(read: impl Fn() -> (Policy, Cooldowns) + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    fn policy(&self) -> Policy {
        (self.0)().0
    }

    fn cooldowns(&self) -> Cooldowns {
        (self.0)().1
    }
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Base")
    }
}

/// Tells whose consent a plan of this moment needs.
#[derive(Clone)]
pub struct AskConsent(Arc<dyn Fn(DateTime<Utc>) -> Result<Consent, StoreError> + Send + Sync>);

impl AskConsent {
    /// Asks this function, which may read the store.
    pub fn new(tell: impl Fn(DateTime<Utc>) -> Result<Consent, StoreError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl std::fmt::Debug for AskConsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AskConsent")
    }
}

/// Puts the policy in force together.
#[derive(Clone, Debug)]
pub struct Rules {
    base: Base,
    store: Store,
    events: Events,
    /// When VMmanager last took no order, whatever the VM. Forgotten with the process: then it is asked once more.
    refused_at: Arc<Mutex<Option<DateTime<Utc>>>>,
    /// Nodes that are a hair over their memory threshold. Forgotten with the process: then they count at once.
    brims: Arc<Mutex<Brims>>,
    /// What the scheduler says of the consent that plans need.
    consent: Arc<OnceLock<AskConsent>>,
}

impl Rules {
    /// `base` is the configuration's policy.
    #[must_use]
    pub fn new(base: Base, store: Store, events: Events) -> Self {
        let (refused_at, brims, consent) = (Arc::default(), Arc::default(), Arc::default());
        Self { base, store, events, refused_at, brims, consent }
    }

    /// From now on this tells whose consent plans need. Until then, and in a single run, each stands for itself. The first
    /// one stays.
    pub fn learn_consent_from(&self, consent: AskConsent) {
        // A second one would come from a second scheduler, and there is none.
        let _ = self.consent.set(consent);
    }

    /// Returns the policy in force at `now`.
    ///
    /// # Errors
    ///
    /// The error of the store: without the journal nobody knows which VMs rest.
    pub fn policy(&self, now: DateTime<Utc>) -> Result<Policy, StoreError> {
        let settings = self.store.settings()?;
        let cooldowns = self.base.cooldowns();
        let mut policy = self.base.policy();
        let in_force = |exclusion: &Exclusion| exclusion.until.is_none_or(|until| now < until);
        policy.exclusions.extend(settings.exclusions.iter().filter(|e| in_force(e)).cloned());
        policy.exclusions.extend(self.failing(&settings, now)?);
        self.add_declined(&mut policy, now)?;
        policy.resting.extend(self.store.rests(now, cooldowns.migration, cooldowns.failure)?);
        self.add_pulled_back(&mut policy, &settings, now)?;
        policy.emptied_soon = self.emptied_soon()?;
        policy.consent = self.consent.get().map_or(Ok(Consent::OnePlan), |consent| (consent.0)(now))?;
        if policy.strategy == Strategy::Level {
            policy.settled = Some(settings.evenness());
        }
        policy.memory_brims = self.brims.lock().unwrap_or_else(PoisonError::into_inner).waiting(now);
        // The oldest reading that counts must have seen whatever ended before these.
        let unseen = policy.measurement_max_age + planner::LOAD_FORGOTTEN;
        policy.recent_moves = self.store.moves_since(now - unseen, now)?;
        Ok(policy)
    }

    /// Returns the nodes whose turn in a maintenance round that has begun is still to come.
    fn emptied_soon(&self) -> Result<BTreeSet<NodeId>, StoreError> {
        let rounds = self.store.rounds()?;
        let begun = rounds.iter().filter(|proposal| proposal.state != ProposalState::Pending);
        Ok(begun.filter_map(|proposal| proposal.round.as_ref()).flat_map(Round::later).collect())
    }

    /// Takes a look at the whole platform into account.
    pub fn note_look(&self, snapshot: &Snapshot) {
        let policy = self.base.policy();
        self.brims.lock().unwrap_or_else(PoisonError::into_inner).note(snapshot, &policy);
    }

    /// Remembers at which imbalance clusters come to rest, where a plan of all of them says so.
    pub fn remember_evenness(&self, plan: &Plan, policy: &Policy) -> Result<(), StoreError> {
        let settled =
            plan.clusters.iter().filter_map(|of| Some((of.cluster, planner::settled_imbalance(of, policy)?)));
        let settled: Vec<_> = settled.collect();
        if settled.is_empty() {
            return Ok(());
        }
        self.store.update_settings(|settings| settled.iter().for_each(|of| settings.keep_evenness(*of)))?;
        Ok(())
    }

    /// Returns how many migrations of one cluster may run at one time.
    #[must_use]
    pub fn parallel_max(&self) -> usize {
        self.base.policy().parallel_max.max(1)
    }

    /// Returns the policy for the later steps of one plan: what that plan itself moved does not rest, for it
    /// may be moved on by it.
    ///
    /// # Errors
    ///
    /// As [`Rules::policy`].
    pub fn policy_within(&self, now: DateTime<Utc>, moved: &BTreeSet<VmId>) -> Result<Policy, StoreError> {
        let mut policy = self.policy(now)?;
        policy.resting.retain(|vm, rest| rest.why != RestWhy::Moved || !moved.contains(vm));
        Ok(policy)
    }

    /// Remembers that VMmanager declined a target for a VM (`None`: that it was busy with the VM), so that not every
    /// cycle plans the same.
    pub fn was_declined(
        &self,
        vm: VmId,
        target: Option<NodeId>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.store.decline(vm, target, now, self.base.cooldowns().failure)
    }

    /// Remembers that VMmanager takes no order, whatever the VM: the next plan would end the same.
    pub fn was_refused(&self, now: DateTime<Utc>) {
        *self.refused_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Remembers that VMmanager took an order of this account.
    pub fn was_allowed(&self) {
        *self.refused_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Tells whether VMmanager took no order a little while ago, so that automatic runs rest.
    #[must_use]
    pub fn orders_are_refused(&self, now: DateTime<Utc>) -> bool {
        let refused_at = *self.refused_at.lock().unwrap_or_else(PoisonError::into_inner);
        refused_at.is_some_and(|at| now - at < REFUSED_REST)
    }

    /// Adds the VMs that somebody moves back, unless an admin ended their rest since.
    fn add_pulled_back(
        &self,
        policy: &mut Policy,
        settings: &ChatSettings,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        for Pull { vm, undone, until } in self.store.pulls(now)? {
            let (Some(until), Some((_, last))) = (until, undone.last()) else { continue };
            let is_ended = settings.rests_ended.get(&vm).is_some_and(|over| *over <= now && last <= over);
            let rests_longer = policy
                .resting
                .get(&vm)
                .is_some_and(|rest| rest.why == RestWhy::InFlight || rest.until > until);
            if !is_ended && !rests_longer {
                policy.resting.insert(vm, Rest { until, why: RestWhy::PulledBack });
            }
        }
        Ok(())
    }

    /// Adds what VMmanager declined: a pair of VM and target, and the target itself where several VMs may not go there.
    fn add_declined(&self, policy: &mut Policy, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut by_target: BTreeMap<NodeId, Vec<DateTime<Utc>>> = BTreeMap::new();
        for Declined { vm, target, until, .. } in self.store.declined_at(now)? {
            let Some(target) = target else {
                policy.resting.insert(vm, Rest { until, why: RestWhy::Busy });
                continue;
            };
            policy.declined.entry(vm).or_default().insert(target);
            by_target.entry(target).or_default().push(until);
        }
        for (target, mut ends) in by_target {
            ends.sort_unstable();
            // It opens again when fewer than that many are left.
            let Some(last) = ends.len().checked_sub(DECLINED_VMS) else { continue };
            policy.exclusions.push(Exclusion {
                node: Selector(find::by_id(target.0)),
                direction: Direction::Target,
                until: Some(ends[last]),
                why: ExclusionWhy::Declined { vms: ends.len().try_into().unwrap_or(u32::MAX) },
            });
        }
        Ok(())
    }

    /// Looks at what a migration's end means for its nodes and its cluster, and says so once.
    pub fn after(&self, entry: &JournalEntry, now: DateTime<Utc>) -> Result<(), StoreError> {
        if entry.outcome().is_none_or(|(outcome, _)| outcome != Outcome::Failed) {
            return Ok(());
        }
        let settings = self.store.settings()?;
        self.after_failure_on_nodes(entry, &settings, now)?;
        self.after_failure_in_cluster(entry, &settings, now)
    }

    fn after_failure_on_nodes(
        &self,
        entry: &JournalEntry,
        settings: &ChatSettings,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let failures = self.store.failures_since(counted_from(settings, now - NODE_WINDOW * 2, now), now)?;
        let before: Vec<_> = failures.iter().filter(|failed| failed.id != entry.id).cloned().collect();
        let was_out: BTreeSet<_> = failing(&before, now).into_iter().map(|node| node.node).collect();
        for node in failing(&failures, now).into_iter().filter(|node| !was_out.contains(&node.node)) {
            tracing::warn!(
                node.id = node.node.0,
                failures = node.failures,
                "a node is taken out after failures"
            );
            let FailingNode { node, name, cluster, failures, until } = node;
            let alert = Alert::NodeTakenOut { cluster, node, name, failures, until };
            self.store.alert(&self.events, now, alert);
        }
        Ok(())
    }

    fn after_failure_in_cluster(
        &self,
        entry: &JournalEntry,
        settings: &ChatSettings,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let ended = settings.stop_ended_at.get(&entry.cluster).copied();
        let since = counted_from(settings, now - CLUSTER_WINDOW, now);
        let since = ended.filter(|ended| *ended <= now).map_or(since, |ended| ended.max(since));
        let last = self.store.last_outcomes(entry.cluster, since, now, CLUSTER_LAST)?;
        let here = last.into_iter().filter(|outcome| *outcome == Outcome::Failed).count();
        if here < CLUSTER_FAILURES || settings.stopped_clusters.contains(&entry.cluster) {
            return Ok(());
        }
        self.store.update_settings(|settings| {
            settings.stopped_clusters.insert(entry.cluster);
            settings.stopped_at.insert(entry.cluster, now);
        })?;
        tracing::warn!(
            cluster.id = entry.cluster.0,
            failures = here,
            "automatic runs stop in a cluster after failures"
        );
        let (cluster, name) = (entry.cluster, entry.cluster_name.clone());
        let failures = here.try_into().unwrap_or(u32::MAX);
        let until = Some(now + self.base.cooldowns().failure);
        self.store.alert(&self.events, now, Alert::ClusterStopped { cluster, name, failures, until });
        Ok(())
    }

    /// Ends the stops of clusters that have lasted long enough and that this look shows whole, and says so.
    pub fn end_stops(&self, snapshot: &Snapshot, now: DateTime<Utc>) -> Result<(), StoreError> {
        let settings = self.store.settings()?;
        for stopped in &settings.stopped_clusters {
            let Some(cluster) = snapshot.cluster(*stopped).filter(|seen| seen.incomplete.is_empty()) else {
                continue;
            };
            // A moment to come was written while the clock was ahead, and of an older program's stop nothing is known.
            let known = settings.stopped_at.get(stopped).copied().filter(|at| *at <= now);
            let is_over = known.is_some_and(|at| now - at >= self.base.cooldowns().failure);
            if known.is_some() && !is_over {
                continue;
            }
            self.store.update_settings(|settings| match is_over {
                false => drop(settings.stopped_at.insert(*stopped, now)),
                true => {
                    settings.stopped_clusters.remove(stopped);
                    settings.stopped_at.remove(stopped);
                    settings.stop_ended_at.insert(*stopped, now);
                }
            })?;
            if is_over {
                tracing::info!(cluster.id = stopped.0, "automatic runs of a cluster begin again");
                let (cluster, name) = (*stopped, cluster.name.clone());
                self.store.alert(&self.events, now, Alert::ClusterResumed { cluster, name });
            }
        }
        Ok(())
    }

    fn failing(&self, settings: &ChatSettings, now: DateTime<Utc>) -> Result<Vec<Exclusion>, StoreError> {
        let failures = self.store.failures_since(counted_from(settings, now - NODE_WINDOW * 2, now), now)?;
        Ok(failing(&failures, now)
            .into_iter()
            .map(|node| Exclusion {
                node: Selector(find::by_id(node.node.0)),
                direction: Direction::Both,
                until: Some(node.until),
                why: ExclusionWhy::Failures { count: node.failures },
            })
            .collect())
    }
}

fn failing(failures: &[JournalEntry], now: DateTime<Utc>) -> Vec<FailingNode> {
    failing_nodes(failures, NODE_FAILURES, NODE_WINDOW, now)
}

/// What was forgiven does not count.
fn counted_from(settings: &ChatSettings, since: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    // A moment to come was written while the clock was ahead.
    let forgiven = settings.failures_forgiven_at.filter(|forgiven| *forgiven <= now);
    forgiven.map_or(since, |forgiven| forgiven.max(since))
}
