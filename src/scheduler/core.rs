//! What the scheduler's tasks share: the balancer, the newest picture, and how things stand.

use std::{
    panic::AssertUnwindSafe,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::{LastCycle, Picture, Refused, Settings, delta};
use crate::{
    balancer::{CycleError, VmBalancer},
    event::{Alert, Event, Events},
    executor::Carried,
    eyes::LookError,
    model::{ApiFailure, Asked, Person, ProposalId, Trouble},
    planner::ClusterPlan,
    store::{
        AuditEntry, Mode, Origin, Pause, ProposalState, Proposed, ReplyTo, Restored,
        Settings as ChatSettings, Store, StoreError,
    },
};

pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) balancer: VmBalancer,
    /// Cancelled when nothing more may be ordered.
    pub(super) stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) picture: Option<Picture>,
    pub(super) next_cycle: Option<DateTime<Utc>>,
    pub(super) last_cycle: Option<LastCycle>,
    pub(super) away: Option<Away>,
    store_trouble: bool,
}

/// Since when and why VMmanager cannot be used.
#[derive(Clone, Debug)]
pub(super) struct Away {
    since: DateTime<Utc>,
    pub(super) why: ApiFailure,
}

impl Core {
    pub(super) fn new(settings: Settings, balancer: VmBalancer, stop: CancellationToken) -> Self {
        Self { settings, balancer, stop, state: Mutex::default() }
    }

    pub(super) fn store(&self) -> &Store {
        &self.balancer.parts().store
    }

    pub(super) fn events(&self) -> &Events {
        &self.balancer.parts().events
    }

    fn alert(&self, alert: Alert) {
        self.store().alert(self.events(), self.now(), alert);
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.balancer.parts().clock.now()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_cycle_in(&self, wait: Duration) {
        self.state().next_cycle = self.now().checked_add_signed(delta(wait));
    }

    pub(super) fn mode(&self, chat: &ChatSettings) -> Mode {
        chat.mode.unwrap_or(self.settings.mode)
    }

    pub(super) fn window_open(&self, now: DateTime<Utc>) -> bool {
        self.settings.windows.is_open(now.with_timezone(&self.settings.timezone).naive_local())
    }

    /// Looks and plans with every node asked, as for all that is planned on.
    pub(super) async fn look(&self) -> Result<Picture, CycleError> {
        self.look_asking(Asked::Everybody).await
    }

    /// Looks and plans; says once when VMmanager goes away, and once when it is back.
    pub(super) async fn look_asking(&self, asked: Asked) -> Result<Picture, CycleError> {
        let looked = self.balancer.look_asking(asked).await;
        match &looked {
            Ok(picture) => self.is_back(picture),
            Err(CycleError::Look(LookError::VmManager(error))) => self.is_away(error.failure()),
            Err(_) => {}
        }
        looked
    }

    fn is_back(&self, picture: &Picture) {
        let mut state = self.state();
        state.picture = Some(picture.clone());
        let Some(away) = state.away.take() else { return };
        drop(state);
        tracing::info!("vmmanager answers again");
        self.alert(Alert::VmManagerBack { since: away.since, until: self.now() });
    }

    fn is_away(&self, why: ApiFailure) {
        let now = self.now();
        let mut state = self.state();
        match &mut state.away {
            Some(away) => away.why = why,
            None => {
                state.away = Some(Away { since: now, why: why.clone() });
                drop(state);
                tracing::warn!(?why, "vmmanager cannot be used");
                self.alert(Alert::VmManagerAway { since: now, why });
            }
        }
    }

    /// Records a proposal and tells of it and of those that gave way to it. In a dry run it is only shown.
    pub(super) fn propose(
        &self,
        plan: &ClusterPlan,
        taken_at: DateTime<Utc>,
        origin: Origin,
        reply_to: Option<ReplyTo>,
    ) -> Result<Proposed, StoreError> {
        let state = match self.balancer.dry_run()? {
            true => ProposalState::Shown { at: self.now() },
            false => ProposalState::Pending,
        };
        self.record(plan, taken_at, origin, state, reply_to)
    }

    pub(super) fn record(
        &self,
        plan: &ClusterPlan,
        taken_at: DateTime<Utc>,
        origin: Origin,
        state: ProposalState,
        reply_to: Option<ReplyTo>,
    ) -> Result<Proposed, StoreError> {
        let draft = self.balancer.draft(plan, taken_at, origin, state, reply_to);
        let proposed = self.store().propose(draft)?;
        if let Proposed::Recorded { proposal, superseded } = &proposed {
            tracing::info!(proposal = %proposal.id, cluster.id = %plan.cluster, plan.id = %plan.id, "a plan is recorded");
            for older in superseded {
                self.events().say(Event::Proposal(*older));
            }
            self.events().say(Event::Proposal(proposal.id));
        }
        Ok(proposed)
    }

    /// Carries out an approved proposal; whatever breaks, its record ends.
    pub(super) async fn carry_out(&self, id: ProposalId) {
        let why = match self.balancer.executor(&self.stop) {
            Ok(Some(executor)) => match AssertUnwindSafe(executor.carry_out(id)).catch_unwind().await {
                // Its steps say what they met.
                Ok(Ok(Carried::Fine | Carried::VmManagerTrouble(_))) => return,
                Ok(Err(error)) => format!("the store cannot be used: {}", error.chain()),
                Err(_) => "carrying out broke".to_owned(),
            },
            Ok(None) => "this is a dry run".to_owned(),
            Err(error) => format!("the store cannot be used: {}", error.chain()),
        };
        tracing::error!(proposal = %id, why, "a plan is not carried out to its end");
        self.balancer.watcher(&self.stop).abandon(id, &why).await;
    }

    /// Ends proposals whose time is over.
    pub(super) fn expire(&self) {
        match self.store().expire_proposals(self.now()) {
            Ok(expired) => {
                for id in expired {
                    self.events().say(Event::Proposal(id));
                }
            }
            Err(error) => tracing::error!(error = %error.chain(), "proposals cannot be looked at"),
        }
    }

    /// Says once that the store cannot be written, and lets it recover when it can.
    pub(super) fn look_after_store(&self) {
        let flushed = self.store().flush();
        let mut state = self.state();
        let was_trouble = std::mem::replace(&mut state.store_trouble, flushed.is_err());
        drop(state);
        match flushed {
            Err(error) if !was_trouble => {
                let (since, why) = (self.now(), error.failure());
                tracing::error!(error = %error.chain(), "the store cannot be written; nothing is ordered until it can");
                self.alert(Alert::StoreTrouble { since, why });
            }
            Ok(()) if was_trouble => tracing::info!("the store can be written again"),
            _ => {}
        }
    }

    pub(super) async fn export(&self) {
        self.store().export_aside(self.now()).await;
    }

    pub(super) fn tell_of_restore(&self) {
        if let Ok(Some(restored)) = self.store().restored() {
            let moved_to = restored.moved_to.display().to_string();
            let Restored { exported_at, writes_lost, switches, .. } = restored;
            self.alert(Alert::StoreRestored { exported_at, moved_to, writes_lost, switches });
        }
    }

    pub(super) fn audit(&self, by: &Person, what: &str, detail: String) {
        let entry = AuditEntry::new(self.now(), Some(by.clone()), what, detail);
        if let Err(error) = self.store().audit(&entry) {
            tracing::error!(error = %error.chain(), "the audit cannot be written");
        }
    }
}

/// Tells whether automatic cycles rest at `now`.
pub(super) fn is_paused(pause: Option<&Pause>, now: DateTime<Utc>) -> bool {
    pause.is_some_and(|pause| pause.until.is_none_or(|until| now < until))
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
