//! Carries out approved proposals, as far as the world still agrees.

use std::{
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, future::try_join_all};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    Picture, Refused,
    proposals::{Proposals, is_planned},
    sight::Sight,
};
use crate::{
    balancer::{CycleError, VmBalancer},
    executor::{Carried, Glimpse, Watcher},
    model::{ApiFailure, ClusterId, ProposalId, Silence, Trouble, find},
    planner::{Direction, Exclusion, ExclusionWhy, Revalidated, Selector, Unfit},
    store::{Approver, Ending, Origin, Outcome, Proposal, ProposalState, Step, StepState, StoreError},
};

/// How long a person who pressed a button waits for VMmanager.
const GLIMPSE_MAX: Duration = Duration::from_secs(5);

pub(super) struct Runs {
    balancer: Arc<VmBalancer>,
    /// Cancelled when nothing more may be ordered.
    stop: CancellationToken,
    /// Clusters in which a plan has moved VMs and ended.
    ended: Mutex<BTreeSet<ClusterId>>,
}

impl Runs {
    pub(super) fn new(balancer: Arc<VmBalancer>, stop: CancellationToken) -> Self {
        Self { balancer, stop, ended: Mutex::default() }
    }

    /// Tells whether nothing more may be ordered.
    pub(super) fn are_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Looks again, and carries out what still fits.
    pub(super) async fn start(&self, id: ProposalId, sight: &Sight, proposals: &Proposals) {
        let fits = match sight.look().await {
            Ok(picture) => self.agree(id, picture, proposals).await,
            Err(error) => {
                let why = error.trouble().into();
                self.watcher().abandon(id, &why).await;
                return;
            }
        };
        match fits {
            Ok(true) => self.carry_out(id).await,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(proposal.id = id.0, %error, "an approved plan cannot be started");
                self.watcher().abandon(id, &error.trouble().into()).await;
            }
        }
    }

    /// Carries out an approved proposal. Its record ends even if this fails.
    pub(super) async fn carry_out(&self, id: ProposalId) {
        let why = match self.balancer.executor(&self.stop) {
            Ok(Some(executor)) => match AssertUnwindSafe(executor.carry_out(id)).catch_unwind().await {
                // Its steps say what they met.
                Ok(Ok(Carried::Fine | Carried::VmManagerTrouble(_))) => return self.note_end(id),
                Ok(Err(error)) => Ending::Store(error.failure()),
                Err(_) => {
                    // A process that is shut down during a write has no timers afterwards, and waiting panics. That is
                    // the end of the process and not of the plan: such a process does not come back from here.
                    tokio::task::yield_now().await;
                    Ending::Panicked
                }
            },
            Ok(None) => Ending::DryRun,
            Err(error) => Ending::Store(error.failure()),
        };
        tracing::error!(proposal.id = id.0, error = %why, "a plan is not carried out to its end");
        self.watcher().abandon(id, &why).await;
    }

    /// Returns the clusters in which plans have moved VMs and ended since the last call.
    pub(super) fn take_ended(&self) -> BTreeSet<ClusterId> {
        std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A plan that moved nothing would be made again, and who stopped one does not want the next at once.
    fn note_end(&self, id: ProposalId) {
        // The next request that needs the store reports that it cannot be read.
        let Ok(Some(proposal)) = self.balancer.parts().store.proposal(id) else { return };
        let is_done = |step: &Step| matches!(step.state, StepState::Ended { outcome: Outcome::Done, .. });
        let is_relief = proposal.cancel.is_none() && !proposal.is_wish();
        if is_relief && proposal.steps.iter().any(is_done) {
            self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(proposal.cluster);
        }
    }

    /// Drops steps that no longer fit. If what is left relieves nothing, posts a fresh plan instead: false.
    async fn agree(
        &self,
        id: ProposalId,
        picture: Picture,
        proposals: &Proposals,
    ) -> Result<bool, CycleError> {
        let Some(proposal) = self.balancer.parts().store.proposal(id)? else { return Ok(false) };
        let Revalidated { kept, dropped, relieves } = self.balancer.revalidate(&picture, &proposal);
        if proposal.round.is_some() {
            for (migration, unfit) in dropped {
                self.balancer.ledger().drop_step(id, migration.step, &Ending::Unfit(unfit))?;
            }
            self.close_drained(&proposal)?;
            // A round goes on even if nothing fits: its message names what stays and offers what can be done.
            return Ok(true);
        }
        let held = dropped.iter().find_map(|(_, unfit)| match unfit {
            Unfit::Held(hold) => Some(hold.clone()),
            _ => None,
        });
        if let Some(hold) = held {
            proposals.end_approved_as_held(id, hold)?;
            return Ok(false);
        }
        for (migration, unfit) in dropped {
            self.balancer.ledger().drop_step(id, migration.step, &Ending::Unfit(unfit))?;
        }
        if !kept.is_empty() && relieves {
            self.close_drained(&proposal)?;
            return Ok(true);
        }
        proposals.end_approved_as_stale(id)?;
        if proposal.is_wish() || !is_planned(&picture, proposal.cluster) {
            return Ok(false);
        }
        let picture = self.balancer.plan_for(picture, proposal.cluster).await?;
        let fresh = picture.plan_of(proposal.cluster);
        if let Some(fresh) = fresh.filter(|plan| !plan.migrations.is_empty()) {
            proposals.propose(fresh, &picture, Origin::Replaces(id), proposal.reply_to)?;
        }
        Ok(false)
    }

    /// Closes a node that is emptied as a target, so that nothing moves back onto it. `/include` opens it.
    fn close_drained(&self, proposal: &Proposal) -> Result<(), StoreError> {
        let (Some((node, called)), ProposalState::Approved { by: Approver::People(people), at }) =
            (proposal.drains(), &proposal.state)
        else {
            return Ok(());
        };
        let Some(by) = people.last().cloned() else { return Ok(()) };
        self.balancer.parts().store.update_settings(|settings| {
            let closes = |known: &Exclusion| {
                known.direction != Direction::Source
                    && known.node.is_node(node, called)
                    && known.until.is_none()
            };
            if !settings.exclusions.iter().any(closes) {
                settings.exclusions.push(Exclusion {
                    node: Selector(find::by_id(node.0)),
                    direction: Direction::Target,
                    until: None,
                    why: ExclusionWhy::Chat { by, at: *at },
                });
            }
        })?;
        Ok(())
    }

    /// Asks VMmanager for the open migrations of a plan, each at most for [`GLIMPSE_MAX`].
    pub(super) async fn glimpses(&self, id: ProposalId) -> Result<Vec<Glimpse>, Refused> {
        let open = self.balancer.parts().store.open_entries()?;
        let watcher = self.watcher();
        let asked = open.iter().filter(|entry| entry.proposal == id).map(|entry| watcher.glimpse(entry));
        let waited = GLIMPSE_MAX.as_secs();
        let unanswered = || ApiFailure::NoAnswer {
            what: "GET /vm/v3/task".into(),
            said: Silence::TimedOut(format!("{waited} s").as_str().into()),
        };
        let seen = timeout(GLIMPSE_MAX, try_join_all(asked)).await.unwrap_or_else(|_| Err(unanswered()));
        seen.map_err(|error| Refused::Unable(Trouble::VmManager(error)))
    }

    /// Returns who follows migrations that were ordered.
    pub(super) fn watcher(&self) -> Watcher {
        self.balancer.watcher(&self.stop)
    }
}
