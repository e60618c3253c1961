//! One cycle: look, plan, and what is needed to carry a plan out. Knows no schedule and no chat.

mod computed;
mod once;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use computed::Computed;
pub use once::{CycleReport, NotCarriedOut};

use crate::{
    clock::Clock,
    event::Events,
    executor::{self, Executor, Ledger, Watcher},
    eyes::{self, Depth, Eyes, LookError, Measure},
    live::Live,
    model::{Asked, ClusterId, ClusterInfo, NodeId, Quote, Snapshot, Trouble},
    planner::{
        self, Beyond, ClusterPlan, Consent, Drain, Limits, Note, Overview, Plan, PlanId, Policy, Revalidated,
        Used,
    },
    rules::{AskConsent, Base, Cooldowns, Rules},
    store::{Draft, Gauge, Origin, Proposal, ProposalState, ReplyTo, Store, StoreError},
    threads::{self, Priority, Threads},
    vmmanager::VmManagerApi,
};

/// What the operator configured for cycles.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Thresholds, limits, exclusions, pins: everything that the configuration says to the planner.
    pub policy: Policy,
    /// How long a moved VM rests.
    pub migration_cooldown: TimeDelta,
    /// How long a VM rests after a failed migration.
    pub failure_cooldown: TimeDelta,
    /// `DRY_RUN`; the chat may change it.
    pub dry_run: bool,
    /// `--dry-run`: nobody can change it.
    pub dry_run_forced: bool,
    pub proposal_ttl: TimeDelta,
    pub approvals_needed: u32,
    pub eyes: eyes::Settings,
    pub execution: executor::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            migration_cooldown: TimeDelta::hours(6),
            failure_cooldown: TimeDelta::days(1),
            dry_run: false,
            dry_run_forced: false,
            proposal_ttl: TimeDelta::minutes(30),
            approvals_needed: 1,
            eyes: eyes::Settings::default(),
            execution: executor::Settings::default(),
        }
    }
}

/// The parts that a balancer works with.
#[derive(Clone)]
pub struct Parts {
    pub api: VmManagerApi,
    pub store: Store,
    pub events: Events,
    pub clock: Clock,
    /// Asks the nodes themselves; `None` without SSH.
    pub measure: Option<Measure>,
}

/// A snapshot with what the planner makes of it. Cheap to clone: all clones share it.
#[derive(Clone, Debug)]
pub struct Picture {
    pub snapshot: Arc<Snapshot>,
    pub policy: Arc<Policy>,
    /// The last plan. Where nobody planned on this snapshot it is of an older one, as `Plan::taken_at` says; then it has
    /// migrations only where all of them still fit this snapshot.
    pub plan: Arc<Plan>,
    computed: Arc<Computed>,
}

/// Why a cycle could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CycleError {
    /// VMmanager or the store gave no picture.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The planner panicked, with these words.
    #[error("{}", Trouble::Planning(.0.clone()))]
    Planning(Quote),
}

impl CycleError {
    /// Returns the error as data for people.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Look(LookError::VmManager(error)) => Trouble::VmManager(error.clone()),
            Self::Look(LookError::Store(error)) | Self::Store(error) => Trouble::Store(error.failure()),
            Self::Planning(said) => Trouble::Planning(said.clone()),
        }
    }
}

/// Looks, plans and carries out.
pub struct VmBalancer {
    settings: Live<Settings>,
    parts: Parts,
    eyes: Arc<Eyes>,
    rules: Rules,
    ledger: Ledger,
    gauge: Arc<Gauge>,
    /// Where plans and forecasts are computed.
    for_plans: Threads,
    /// Where the lists of a look are read.
    for_looks: Threads,
}

/// How many cores plans leave to those that answer. On a machine with one core plans only give way to them.
const CORES_LEFT: usize = 1;

/// How many plans are computed side by side at most: each has a copy of its cluster in memory, and more people hardly ask
/// at the same moment.
const PLANS_MAX: usize = 4;

/// One takes the bytes in while the other reads the rows.
const LOOK_THREADS: usize = 2;

impl VmBalancer {
    /// Joins the parts; nothing is asked yet.
    #[must_use]
    pub fn new(settings: impl Into<Live<Settings>>, parts: Parts) -> Self {
        let settings: Live<Settings> = settings.into();
        let Parts { api, store, events, clock, measure } = parts.clone();
        let of = settings.clone();
        let base = Base::new(move || {
            let Settings { policy, migration_cooldown, failure_cooldown, .. } = &*of.get();
            (policy.clone(), Cooldowns { migration: *migration_cooldown, failure: *failure_cooldown })
        });
        let rules = Rules::new(base, store.clone(), events.clone());
        let ledger = Ledger::new(store.clone(), events.clone(), clock.clone());
        let eyes = Arc::new(Eyes::new(api, store, events, clock, measure, &settings.get().eyes));
        let side_by_side = threads::cores().saturating_sub(CORES_LEFT).min(PLANS_MAX);
        let for_plans = Threads::new("plan", side_by_side, Priority::Low);
        let for_looks = Threads::new("look", LOOK_THREADS, Priority::Low);
        Self { settings, parts, eyes, rules, ledger, gauge: Arc::default(), for_plans, for_looks }
    }

    /// Returns what is configured at this moment.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.get()
    }

    /// Returns the parts.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Tells whether nothing may be ordered: by `--dry-run`, by the chat, or else by the configuration.
    pub fn dry_run(&self) -> Result<bool, StoreError> {
        let by_chat = self.parts.store.settings()?.dry_run;
        let settings = self.settings();
        Ok(settings.dry_run_forced || by_chat.unwrap_or(settings.dry_run))
    }

    /// Ends automatic stops of clusters that have lasted long enough, on a look that shows them whole.
    pub fn end_stops(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.rules.end_stops(snapshot, self.parts.clock.now())
    }

    /// Remembers at which imbalance clusters come to rest.
    pub fn remember_evenness(&self, plan: &Plan, policy: &Policy) -> Result<(), StoreError> {
        self.rules.remember_evenness(plan, policy)
    }

    /// From now on this tells whose consent plans need.
    pub(crate) fn learn_consent_from(
        &self,
        tell: impl Fn(DateTime<Utc>) -> Result<Consent, StoreError> + Send + Sync + 'static,
    ) {
        self.rules.learn_consent_from(AskConsent::new(tell));
    }

    /// Returns the policy in force.
    pub fn policy(&self) -> Result<Policy, StoreError> {
        self.rules.policy(self.parts.clock.now())
    }

    /// Reads the platform, asks every node and computes what would be done; changes nothing.
    pub async fn look(&self) -> Result<Picture, CycleError> {
        self.look_asking(Asked::Everybody).await
    }

    /// As [`Self::look`], where not every node may be asked.
    pub async fn look_asking(&self, asked: Asked) -> Result<Picture, CycleError> {
        self.plan_on(self.see(asked).await?).await
    }

    /// Keeps how full the nodes were. What goes wrong is logged: no plan depends on it.
    async fn measure(&self, picture: &Picture) {
        let (picture, gauge, store) = (picture.clone(), Arc::clone(&self.gauge), self.parts.store.clone());
        let kept = tokio::task::spawn_blocking(move || {
            gauge.note(&store, picture.snapshot.taken_at, picture.overviews())
        });
        match kept.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "how full nodes were cannot be kept"),
            Err(error) => tracing::error!(%error, "keeping how full nodes were panicked"),
        }
    }

    /// Reads the platform and plans nothing: the picture's plan is empty.
    pub async fn see(&self, asked: Asked) -> Result<Picture, CycleError> {
        let (eyes, rules) = (Arc::clone(&self.eyes), self.rules.clone());
        // Whole lists keep a core busy for a good part of a second, and so would hold up those that answer.
        let looking = self.for_looks.run(async move {
            let snapshot = eyes.look(Depth::Measured(asked)).await?;
            rules.note_look(&snapshot);
            let policy = rules.policy(snapshot.taken_at)?;
            let plan = Plan { id: PlanId(String::new()), taken_at: snapshot.taken_at, clusters: Vec::new() };
            Ok::<_, CycleError>(Picture::new(snapshot, policy, plan))
        });
        let picture = looking.await.map_err(panicked)??;
        // What every question needs of a picture is computed with it, before anybody asks.
        self.measure(&picture).await;
        Ok(picture)
    }

    /// Computes a plan for every cluster of a picture.
    ///
    /// # Errors
    ///
    /// [`CycleError::Planning`] where the planner panicked.
    pub async fn plan_on(&self, picture: Picture) -> Result<Picture, CycleError> {
        let plan = self.compute(&picture, |of| checked_plan(&of.snapshot, &of.policy)).await?;
        Ok(picture.with_plan(Arc::new(plan)))
    }

    /// Computes a plan for one cluster of a picture, once for all who want it; the others are in the picture and not in
    /// its plan.
    ///
    /// # Errors
    ///
    /// [`CycleError::Planning`] where the planner panicked.
    pub async fn plan_for(&self, picture: Picture, cluster: ClusterId) -> Result<Picture, CycleError> {
        let computing = self.compute(&picture, move |of| {
            let policy = Policy { clusters: Some([cluster].into()), ..Policy::clone(&of.policy) };
            Arc::new(checked_plan(&of.snapshot, &policy))
        });
        let plan = picture.computed.plan(cluster, computing).await?;
        Ok(picture.with_plan(plan))
    }

    /// Computes a plan or a forecast from a picture, on threads that give way to those that answer: thousands of VMs
    /// take seconds. What was asked first begins first, so a cycle is not passed by people's questions.
    ///
    /// # Errors
    ///
    /// [`CycleError::Planning`] where the planner panicked.
    pub async fn compute<T: Send + 'static>(
        &self,
        picture: &Picture,
        forecast: impl FnOnce(Picture) -> T + Send + 'static,
    ) -> Result<T, CycleError> {
        let picture = picture.clone();
        let computed = self.for_plans.run(async move { forecast(picture) }).await;
        computed.map_err(panicked)
    }

    /// Works on a picture where looks are read: what every look needs does not wait behind plans.
    ///
    /// # Errors
    ///
    /// [`CycleError::Planning`] where the planner panicked.
    pub async fn review<T: Send + 'static>(
        &self,
        picture: &Picture,
        work: impl FnOnce(Picture) -> T + Send + 'static,
    ) -> Result<T, CycleError> {
        let picture = picture.clone();
        self.for_looks.run(async move { work(picture) }).await.map_err(panicked)
    }

    /// Returns what of a cluster's plan a standing approval covers; the error says why nothing of it.
    ///
    /// # Errors
    ///
    /// [`CycleError::Planning`] where the planner panicked.
    pub async fn plan_within(
        &self,
        picture: &Picture,
        plan: &ClusterPlan,
        limits: &Limits,
        used: Used,
    ) -> Result<Result<ClusterPlan, Beyond>, CycleError> {
        let (plan, limits) = (plan.clone(), limits.clone());
        let narrowed = self.compute(picture, move |of| {
            limits.narrow(&plan, used, &of.policy, |policy| checked_plan(&of.snapshot, policy).clusters.pop())
        });
        narrowed.await
    }

    /// Plans to empty a node of this picture, once for all who want it; `None` where it has no such node. Of a plan that
    /// breaks a rule the sound part is kept.
    ///
    /// # Errors
    ///
    /// [`CycleError::Planning`] where the planner panicked.
    pub async fn drain(&self, picture: &Picture, node: NodeId) -> Result<Option<Drain>, CycleError> {
        let computing = self.compute(picture, move |of| {
            planner::drain(&of.snapshot, &of.policy, node).inspect(|drain| {
                let dropped = |note: &&Note| matches!(note, Note::StepsDropped { .. });
                if let Some(note) = drain.plan.notes.iter().find(dropped) {
                    tracing::error!(node.id = node.0, %note, "a plan to empty a node breaks a rule; its sound part is kept");
                }
            })
        });
        picture.computed.drain(node, computing).await
    }

    /// Asks what is left of a proposal in the world of this picture; left-out steps do not count.
    #[must_use]
    pub fn revalidate(&self, picture: &Picture, proposal: &Proposal) -> Revalidated {
        let migrations: Vec<_> = proposal.waiting().cloned().collect();
        planner::revalidate(&picture.snapshot, &picture.policy, &migrations)
    }

    /// Makes a proposal of a cluster's plan, to be recorded.
    #[must_use]
    pub fn draft(
        &self,
        plan: &ClusterPlan,
        taken_at: DateTime<Utc>,
        origin: Origin,
        state: ProposalState,
        reply_to: Option<ReplyTo>,
    ) -> Draft {
        let (created_at, settings) = (self.parts.clock.now(), self.settings());
        Draft {
            plan: plan.clone(),
            taken_at,
            origin,
            dry_run: matches!(state, ProposalState::Shown { .. }),
            approvals_needed: settings.approvals_needed.max(1),
            state,
            created_at,
            expires_at: created_at + settings.proposal_ttl,
            reply_to,
            round: None,
            expected: None,
        }
    }

    /// Tells whether VMmanager took no order a little while ago, so that automatic runs rest.
    #[must_use]
    pub fn orders_are_refused(&self, now: DateTime<Utc>) -> bool {
        self.rules.orders_are_refused(now)
    }

    /// Returns the right to carry out proposals; `None` in a dry run, where nobody has it.
    ///
    /// # Errors
    ///
    /// Returns the store's error: while the settings cannot be read, nothing is ordered.
    pub fn executor(&self, stop: &CancellationToken) -> Result<Option<Executor>, StoreError> {
        if self.dry_run()? {
            return Ok(None);
        }
        let watcher = self.watcher(stop);
        let orders = self.parts.api.orders();
        Ok(Some(Executor::new(orders, watcher, Arc::clone(&self.eyes), self.rules.clone(), stop.clone())))
    }

    /// Returns who follows migrations that were ordered, in a dry run too.
    #[must_use]
    pub fn watcher(&self, stop: &CancellationToken) -> Watcher {
        Watcher::new(
            self.parts.api.clone(),
            self.ledger.clone(),
            self.rules.clone(),
            self.settings().execution.clone(),
            stop.clone(),
        )
    }

    /// Returns who records what becomes of proposals.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Picture {
    /// Joins what was seen with the plan.
    #[must_use]
    pub fn new(snapshot: Snapshot, policy: Policy, plan: Plan) -> Self {
        Self {
            snapshot: Arc::new(snapshot),
            policy: Arc::new(policy),
            plan: Arc::new(plan),
            computed: Arc::default(),
        }
    }

    /// The same with another plan.
    #[must_use]
    pub fn with_plan(self, plan: Arc<Plan>) -> Self {
        Self { plan, ..self }
    }

    /// The same under another policy.
    #[must_use]
    pub fn under(self, policy: Arc<Policy>) -> Self {
        Self { policy, computed: Arc::default(), ..self }
    }

    /// Returns how every cluster stands; computed once for all who ask.
    #[must_use]
    pub fn overviews(&self) -> &[Overview] {
        self.computed.overviews(|| {
            let clusters = self.snapshot.clusters.iter();
            clusters
                .filter_map(|cluster| planner::overview(&self.snapshot, &self.policy, cluster.id))
                .collect()
        })
    }

    /// Returns the clusters that plans are made for.
    pub fn planned_clusters(&self) -> impl Iterator<Item = &ClusterInfo> {
        let only = self.policy.clusters.as_ref();
        self.snapshot
            .clusters
            .iter()
            .filter(move |cluster| only.is_none_or(|only| only.contains(&cluster.id)))
    }

    /// Returns the plan of a cluster.
    #[must_use]
    pub fn plan_of(&self, cluster: ClusterId) -> Option<&ClusterPlan> {
        self.plan.clusters.iter().find(|plan| plan.cluster == cluster)
    }
}

fn panicked(error: JoinError) -> CycleError {
    CycleError::Planning(Quote::of(&error.to_string()))
}

/// Plans, and replays the plan. Of one that breaks a rule the sound part is kept, and the log names the rules.
#[must_use]
pub fn checked_plan(snapshot: &Snapshot, policy: &Policy) -> Plan {
    let mut plan = planner::plan(snapshot, policy);
    for cluster in &mut plan.clusters {
        keep_sound(snapshot, policy, cluster);
    }
    planner::with_id(plan)
}

fn keep_sound(snapshot: &Snapshot, policy: &Policy, plan: &mut ClusterPlan) {
    let broken = planner::check(snapshot, policy, plan);
    if broken.is_empty() {
        return;
    }
    let steps = plan.migrations.len();
    *plan = planner::sound(snapshot, policy, plan);
    let kept = plan.migrations.len();
    tracing::error!(
        cluster.id = plan.cluster.0,
        steps,
        kept,
        ?broken,
        "a plan breaks a rule; its sound part is kept"
    );
}
