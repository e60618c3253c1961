//! The newest picture of the platform, and whether VMmanager can be used.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::timeout;

use super::{Picture, Refused};
use crate::{
    balancer::{CycleError, VmBalancer},
    event::Alert,
    eyes::LookError,
    model::{ApiFailure, Asked, ClusterInfo, NodeInfo, Silence, Trouble, VmInfo, find},
};

/// At a start nothing is known that a name could be found in. Who names something waits no longer than this for it.
const NAMES_PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Sight {
    balancer: Arc<VmBalancer>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    picture: Option<Picture>,
    away: Option<Away>,
}

/// Since when and why VMmanager cannot be used.
struct Away {
    since: DateTime<Utc>,
    why: ApiFailure,
}

impl Sight {
    pub(super) fn new(balancer: Arc<VmBalancer>) -> Self {
        Self { balancer, seen: Mutex::default() }
    }

    /// Returns the newest picture.
    pub(super) fn picture(&self) -> Option<Picture> {
        self.seen().picture.clone()
    }

    /// Returns why VMmanager cannot be used at this moment.
    pub(super) fn away(&self) -> Option<ApiFailure> {
        self.seen().away.as_ref().map(|away| away.why.clone())
    }

    /// Tells whether VMmanager was read or known to be away since the start.
    pub(super) fn has_tried(&self) -> bool {
        let seen = self.seen();
        seen.picture.is_some() || seen.away.is_some()
    }

    /// Looks and plans with every node asked, as for all that is planned on.
    pub(super) async fn look(&self) -> Result<Picture, CycleError> {
        self.look_asking(Asked::Everybody).await
    }

    /// Looks and plans. Raises an alert when VMmanager goes away, and another when it is back.
    pub(super) async fn look_asking(&self, asked: Asked) -> Result<Picture, CycleError> {
        let looked = self.balancer.look_asking(asked).await;
        match &looked {
            Ok(picture) => self.note_picture(picture),
            Err(CycleError::Look(LookError::VmManager(error))) => self.note_away(error.clone()),
            Err(_) => {}
        }
        looked
    }

    /// Finds a node by name or id in the newest picture.
    pub(super) async fn find_node(&self, wanted: &str) -> Result<NodeInfo, Refused> {
        find::node(&self.any_picture().await?.snapshot, wanted).cloned().map_err(Refused::Missed)
    }

    /// Finds a VM by name or id in the newest picture.
    pub(super) async fn find_vm(&self, wanted: &str) -> Result<VmInfo, Refused> {
        find::vm(&self.any_picture().await?.snapshot, wanted).cloned().map_err(Refused::Missed)
    }

    async fn any_picture(&self) -> Result<Picture, Refused> {
        match self.picture() {
            Some(picture) => Ok(picture),
            None => match timeout(NAMES_PATIENCE, self.look()).await {
                Ok(looked) => Ok(looked?),
                Err(_) => {
                    let waited = format!("{} s", NAMES_PATIENCE.as_secs());
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
        match picture.plan_of(found.id) {
            Some(_) => Ok(found),
            None => Err(Refused::NotOurs { cluster: found.id, name: found.name }),
        }
    }

    fn note_picture(&self, picture: &Picture) {
        let away = {
            let mut seen = self.seen();
            seen.picture = Some(picture.clone());
            seen.away.take()
        };
        let Some(Away { since, .. }) = away else { return };
        tracing::warn!("VMmanager answers again");
        self.alert(|until| Alert::VmManagerBack { since, until });
    }

    fn note_away(&self, why: ApiFailure) {
        let since = self.balancer.parts().clock.now();
        {
            let mut seen = self.seen();
            let is_known = seen.away.is_some();
            let away = seen.away.get_or_insert(Away { since, why: why.clone() });
            away.why = why.clone();
            if is_known {
                return;
            }
        }
        tracing::warn!(error = %why, "VMmanager cannot be used");
        self.alert(|since| Alert::VmManagerAway { since, why });
    }

    fn alert(&self, alert: impl FnOnce(DateTime<Utc>) -> Alert) {
        let parts = self.balancer.parts();
        let now = parts.clock.now();
        parts.store.alert(&parts.events, now, alert(now));
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
