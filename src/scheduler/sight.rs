//! The newest picture of the platform, and whether VMmanager can be used.
//!
//! Questions are answered from what is known. Where that is a few seconds old, one look follows for all who ask.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Patience, Picture, Refused, Settings, proposals::is_planned};
use crate::{
    balancer::{CycleError, VmBalancer},
    event::Alert,
    eyes::LookError,
    live::Live,
    model::{ApiFailure, Asked, ClusterId, ClusterInfo, NodeInfo, Silence, Trouble, VmInfo, find},
    planner::{self, ClusterPlan, Plan, Policy, RestWhy},
};

/// People who ask within this time get the same picture; each look costs VMmanager whole lists.
const FRESH: Duration = Duration::from_secs(5);

pub(super) struct Sight {
    balancer: Arc<VmBalancer>,
    settings: Live<Settings>,
    stop: CancellationToken,
    seen: Mutex<Seen>,
    /// Held by the one that looks for all who ask.
    turn: tokio::sync::Mutex<()>,
    /// How many looks for plans have begun.
    for_plans: AtomicU64,
    /// The last of them whose result is known. Held by the one that looks.
    plans_turn: tokio::sync::Mutex<Option<ForPlans>>,
    /// How many looks are under way, whatever for.
    under_way: AtomicUsize,
    /// How many looks have begun.
    begun: AtomicU64,
    /// How many looks have ended.
    looks: watch::Sender<u64>,
    /// Whether VMmanager was read or known to be away since the start.
    tried: watch::Sender<bool>,
}

#[derive(Default)]
struct Seen {
    picture: Option<Picture>,
    /// The number of the look that brought it. One that began before it and ends after it does not replace it.
    picture_of: u64,
    away: Option<Away>,
    /// When the last look ended, well or not, by the steady time.
    looked_at: Option<Duration>,
}

/// A look for plans that has ended.
struct ForPlans {
    number: u64,
    /// When its picture was taken; `None` where VMmanager gave none.
    taken_at: Option<DateTime<Utc>>,
}

/// Since when and why VMmanager cannot be used.
struct Away {
    since: DateTime<Utc>,
    why: ApiFailure,
}

/// A look that is under way.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Sight {
    pub(super) fn new(balancer: Arc<VmBalancer>, settings: Live<Settings>, stop: CancellationToken) -> Self {
        Self {
            balancer,
            settings,
            stop,
            seen: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            for_plans: AtomicU64::new(0),
            plans_turn: tokio::sync::Mutex::default(),
            under_way: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            looks: watch::Sender::new(0),
            tried: watch::Sender::new(false),
        }
    }

    /// Returns the newest picture.
    pub(super) fn picture(&self) -> Option<Picture> {
        self.lock_seen().picture.clone()
    }

    /// Returns the newest picture under this policy. What was computed for it serves until the policy changes.
    pub(super) fn picture_under(&self, mut policy: Policy) -> Option<Picture> {
        let mut seen = self.lock_seen();
        let known = seen.picture.take()?;
        keep_running_rests(&mut policy, &known.policy);
        let is_same = *known.policy == policy;
        let picture = if is_same { known } else { known.under(Arc::new(policy)) };
        seen.picture.insert(picture).clone().into()
    }

    /// Returns why VMmanager cannot be used at this moment.
    pub(super) fn away(&self) -> Option<ApiFailure> {
        self.lock_seen().away.as_ref().map(|away| away.why.clone())
    }

    /// Tells whether VMmanager was read or known to be away since the start.
    pub(super) fn has_tried(&self) -> bool {
        *self.tried.borrow()
    }

    /// Waits until VMmanager was read or is known to be away.
    pub(super) async fn first_try(&self) {
        // The sender lives as long as this does.
        let _ = self.tried.subscribe().wait_for(|tried| *tried).await;
    }

    /// Looks with every node asked, and plans every cluster: what a cycle does.
    pub(super) async fn look_and_plan(&self) -> Result<Picture, CycleError> {
        let picture = self.balancer.plan_on(self.look().await?).await?;
        if let Some(newest) = &mut self.lock_seen().picture {
            newest.plan = Arc::clone(&picture.plan);
        }
        Ok(picture)
    }

    /// Keeps the plan of one cluster that somebody asked for, so that later answers show nothing older.
    pub(super) fn note_plan(&self, planned: &Picture, cluster: ClusterId) {
        let Some(fresh) = planned.plan_of(cluster) else { return };
        if let Some(newest) = &mut self.lock_seen().picture {
            let plan = Arc::make_mut(&mut newest.plan);
            match plan.clusters.iter_mut().find(|of| of.cluster == cluster) {
                Some(known) => known.clone_from(fresh),
                None => plan.clusters.push(fresh.clone()),
            }
        }
    }

    /// Looks with every node asked, as for all that is planned on. The picture's plan is the last cycle's.
    pub(super) async fn look(&self) -> Result<Picture, CycleError> {
        self.look_asking(Asked::Everybody).await
    }

    /// As [`Self::look`], once for all who ask before that look begins: each gets a picture that is newer than the
    /// question.
    pub(super) async fn look_for_plan(&self) -> Result<Picture, CycleError> {
        let begun = self.for_plans.load(Ordering::Relaxed);
        let mut ended = self.plans_turn.lock().await;
        if let Some(of) = ended.as_ref().filter(|of| of.number > begun) {
            let is_of = |it: &Picture| of.taken_at.is_some_and(|taken_at| it.snapshot.taken_at >= taken_at);
            match (self.away(), self.picture().filter(is_of)) {
                (Some(why), _) => return Err(LookError::VmManager(why).into()),
                (None, Some(picture)) => return Ok(picture),
                (None, None) => {}
            }
        }
        let number = self.for_plans.fetch_add(1, Ordering::Relaxed) + 1;
        let looked = self.look().await;
        let taken_at = looked.as_ref().ok().map(|picture| picture.snapshot.taken_at);
        if taken_at.is_some() || self.away().is_some() {
            *ended = Some(ForPlans { number, taken_at });
        }
        looked
    }

    /// Looks where the last look is a few seconds old, once for all who ask at the same time. Asks no node again that
    /// kept silent.
    pub(super) async fn look_if_old(&self) {
        tokio::select! {
            () = self.look_in_turn() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Looks for those who will ask: what was seen before is known not to be so any more.
    pub(super) async fn look_again(&self) {
        self.lock_seen().looked_at = None;
        self.look_if_old().await;
    }

    async fn look_in_turn(&self) {
        let _turn = self.turn.lock().await;
        if self.is_fresh() || self.under_way.load(Ordering::Relaxed) > 0 {
            return;
        }
        if let Err(error) = self.look_asking(Asked::WhoAnswered).await {
            tracing::debug!(%error, "a look for those who ask failed");
        }
    }

    /// Raises an alert when VMmanager goes away, and another when it is back.
    async fn look_asking(&self, asked: Asked) -> Result<Picture, CycleError> {
        let _under_way = UnderWay::begin(&self.under_way);
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let looked = self.balancer.see(asked).await;
        let looked = match looked {
            Ok(picture) => self.note_picture(picture, number).await,
            Err(CycleError::Look(LookError::VmManager(error))) => {
                self.note_away(error.clone());
                Err(LookError::VmManager(error).into())
            }
            Err(error) => Err(error),
        };
        self.lock_seen().looked_at = Some(self.steady());
        self.looks.send_modify(|looks| *looks += 1);
        looked
    }

    /// Returns how many looks have ended.
    pub(super) fn looks(&self) -> u64 {
        *self.looks.borrow()
    }

    /// Tells whether more looks have ended than this number; waits for one that is under way.
    pub(super) async fn has_looked_since(&self, looks: u64) -> bool {
        if self.looks() == looks && self.under_way.load(Ordering::Relaxed) > 0 {
            let mut ended = self.looks.subscribe();
            tokio::select! {
                _ = ended.wait_for(|ended| *ended > looks) => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.looks() > looks
    }

    fn is_fresh(&self) -> bool {
        let looked_at = self.lock_seen().looked_at;
        looked_at.is_some_and(|at| self.steady().saturating_sub(at) < FRESH)
    }

    fn steady(&self) -> Duration {
        self.balancer.parts().clock.now_and_steady().1
    }

    /// Returns how long people wait where nothing is known yet.
    pub(super) fn patience(&self) -> Patience {
        self.settings.get().patience
    }

    /// Finds the nodes that are meant by a name, an id or a pattern in the newest picture.
    pub(super) async fn find_nodes(&self, wanted: &str) -> Result<Vec<NodeInfo>, Refused> {
        let picture = self.any_picture().await?;
        let found = find::nodes(&picture.snapshot, wanted).map_err(Refused::Missed)?;
        Ok(found.into_iter().cloned().collect())
    }

    /// Finds VMs by name, id or pattern in the newest picture, each once.
    pub(super) async fn find_vms(&self, wanted: &[String]) -> Result<Vec<VmInfo>, Refused> {
        let picture = self.any_picture().await?;
        let mut found = BTreeMap::new();
        for wanted in wanted {
            let vms = find::vms(&picture.snapshot, wanted).map_err(Refused::Missed)?;
            found.extend(vms.into_iter().map(|vm| (vm.id, vm.clone())));
        }
        Ok(found.into_values().collect())
    }

    /// Returns the newest picture; looks where there is none.
    async fn any_picture(&self) -> Result<Picture, Refused> {
        match self.picture() {
            Some(picture) => Ok(picture),
            None => match timeout(self.patience().names, self.look()).await {
                Ok(looked) => Ok(looked?),
                Err(_) => {
                    let waited = format!("{} s", self.patience().names.as_secs());
                    let said = Silence::TimedOut(waited.as_str().into());
                    let what = "GET /vm/v3/host".into();
                    Err(Refused::Unable(Trouble::VmManager(ApiFailure::NoAnswer { what, said })))
                }
            },
        }
    }

    /// Finds a cluster by name or id in the newest picture.
    pub(super) async fn find_cluster(&self, wanted: &str) -> Result<ClusterInfo, Refused> {
        let picture = self.any_picture().await?;
        let found = find::cluster(&picture.snapshot, wanted).cloned().map_err(Refused::Missed)?;
        match is_planned(&picture, found.id) {
            true => Ok(found),
            false => Err(Refused::NotOurs { cluster: found.id, name: found.name }),
        }
    }

    /// Keeps the picture of this look, with what still stands of the plan before; returns it so.
    async fn note_picture(&self, picture: Picture, number: u64) -> Result<Picture, CycleError> {
        let before = self.picture().map(|before| before.plan);
        let mut picture = match before.clone() {
            Some(plan) => {
                let plan = self.balancer.review(&picture, move |of| still_standing(&plan, &of)).await?;
                picture.with_plan(plan)
            }
            None => picture,
        };
        let (picture, away) = {
            let mut seen = self.lock_seen();
            if let (Some(before), Some(newest)) = (&before, &seen.picture)
                && !Arc::ptr_eq(before, &newest.plan)
            {
                // A newer plan was made meanwhile.
                picture = picture.with_plan(Arc::clone(&newest.plan));
            }
            if number > seen.picture_of {
                seen.picture = Some(picture.clone());
                seen.picture_of = number;
            }
            (picture, seen.away.take())
        };
        self.tried.send_replace(true);
        if let Some(Away { since, .. }) = away {
            tracing::warn!("VMmanager answers again");
            self.alert(|until| Alert::VmManagerBack { since, until });
        }
        Ok(picture)
    }

    fn note_away(&self, why: ApiFailure) {
        let since = self.balancer.parts().clock.now();
        let is_known = {
            let mut seen = self.lock_seen();
            let is_known = seen.away.is_some();
            let away = seen.away.get_or_insert(Away { since, why: why.clone() });
            away.why = why.clone();
            is_known
        };
        self.tried.send_replace(true);
        if is_known {
            return;
        }
        tracing::warn!(error = %why, "VMmanager cannot be used");
        self.alert(|since| Alert::VmManagerAway { since, why });
    }

    fn alert(&self, alert: impl FnOnce(DateTime<Utc>) -> Alert) {
        let parts = self.balancer.parts();
        let now = parts.clock.now();
        parts.store.alert(&parts.events, now, alert(now));
    }

    fn lock_seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a plan without what the picture has no use for any more: a plan of which a step was carried out, does not
/// fit or relieves nothing would move other VMs than it says.
fn still_standing(plan: &Arc<Plan>, picture: &Picture) -> Arc<Plan> {
    let Picture { snapshot, policy, .. } = picture;
    let is_over = |cluster: &&ClusterPlan| {
        let left = planner::revalidate(snapshot, policy, &cluster.migrations);
        let stands = left.dropped.is_empty() && left.relieves;
        !stands && !cluster.migrations.is_empty()
    };
    let over: Vec<_> = plan.clusters.iter().filter(is_over).map(|cluster| cluster.cluster).collect();
    if over.is_empty() {
        return Arc::clone(plan);
    }
    let mut plan = Plan::clone(plan);
    for cluster in plan.clusters.iter_mut().filter(|cluster| over.contains(&cluster.cluster)) {
        cluster.migrations.clear();
    }
    Arc::new(plan)
}

/// Keeps the known end of the rest of a VM that is being moved. It is counted from the moment of each question, so a
/// later end is no change of the policy.
fn keep_running_rests(policy: &mut Policy, known: &Policy) {
    for (vm, rest) in policy.resting.iter_mut().filter(|(_, rest)| rest.why == RestWhy::InFlight) {
        if let Some(before) = known.resting.get(vm).filter(|before| before.why == RestWhy::InFlight) {
            rest.until = before.until;
        }
    }
}
