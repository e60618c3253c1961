//! One cycle from the command line: `--once`.

use std::collections::BTreeMap;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{CycleError, VmBalancer};
use crate::{
    executor::{Carried, Executor},
    model::{ClusterId, ProposalId},
    planner::Plan,
    store::{Approver, Ending, Origin, Outcome, ProposalState, Proposed, Sight, Step, StepState, StoreError},
};

/// What a single cycle did.
#[derive(Clone, Debug, PartialEq)]
pub struct CycleReport {
    /// Planned only: nothing was ordered.
    pub dry_run: bool,
    /// The store was restored and nobody confirmed: planned only, whatever else was asked.
    pub restored_unconfirmed: bool,
    /// What would be done, or was.
    pub plan: Plan,
    /// How each migration of each cluster ended, in the order of the plan; empty where nothing was carried out.
    pub outcomes: BTreeMap<ClusterId, Vec<Step>>,
    /// What a look showed of each cluster when its plan had ended.
    pub sights: BTreeMap<ClusterId, Sight>,
    /// Why a cluster's plan was not carried out, or not as a whole, where VMmanager or another plan was in the way.
    pub not_carried_out: BTreeMap<ClusterId, NotCarriedOut>,
}

/// Why a cluster's plan was not carried out as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCarriedOut {
    /// Another proposal of this cluster is being carried out.
    Busy(ProposalId),
    /// VMmanager could not be used.
    VmManager(Ending),
}

impl CycleReport {
    /// Tells whether a migration failed or was lost.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.outcomes.values().flatten().any(|step| match step.state {
            StepState::Ended { outcome, .. } => match outcome {
                Outcome::Failed | Outcome::Lost => true,
                Outcome::Done | Outcome::Dropped => false,
            },
            StepState::Waiting | StepState::Running { .. } | StepState::LeftOut { .. } => false,
        })
    }
}

impl VmBalancer {
    /// Runs one cycle and waits for its end: in a dry run it plans only, else it carries the plan out, whatever
    /// mode, window or a pause say. What an earlier run left open is waited for first.
    ///
    /// # Errors
    ///
    /// Says that VMmanager or the store cannot be used.
    pub async fn run_once(&self, stop: &CancellationToken) -> Result<CycleReport, CycleError> {
        self.run_once_showing(stop, |_| {}).await
    }

    /// As [`Self::run_once`]; `planned` sees the plan before anything is ordered.
    ///
    /// # Errors
    ///
    /// As [`Self::run_once`].
    pub async fn run_once_showing(
        &self,
        stop: &CancellationToken,
        planned: impl FnOnce(&CycleReport),
    ) -> Result<CycleReport, CycleError> {
        let restored_unconfirmed = self.parts.store.settings()?.restored_unconfirmed;
        let executor = match restored_unconfirmed {
            true => None,
            false => self.executor(stop)?,
        };
        if executor.is_some() {
            self.clear_up(stop).await?;
        }
        let picture = self.look().await?;
        let mut report = CycleReport {
            dry_run: executor.is_none(),
            restored_unconfirmed,
            plan: picture.plan.as_ref().clone(),
            outcomes: BTreeMap::new(),
            sights: BTreeMap::new(),
            not_carried_out: BTreeMap::new(),
        };
        planned(&report);
        if let Some(executor) = executor {
            self.carry_out_all(&executor, &mut report).await?;
        }
        Ok(report)
    }

    /// Waits for what an earlier run left open. Fails at once if the store is not writable,
    /// instead of waiting forever.
    async fn clear_up(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        self.parts.store.flush()?;
        let watcher = self.watcher(stop);
        watcher.look_after(watcher.left_open()?).await;
        Ok(())
    }

    /// Clusters side by side: they share no node.
    async fn carry_out_all(&self, executor: &Executor, report: &mut CycleReport) -> Result<(), CycleError> {
        let mut begun: Vec<(ClusterId, ProposalId)> = Vec::new();
        for plan in report.plan.clusters.iter().filter(|plan| !plan.migrations.is_empty()) {
            let approved = ProposalState::Approved { by: Approver::CommandLine, at: self.parts.clock.now() };
            let draft = self.draft(plan, report.plan.taken_at, Origin::Once, approved, None);
            match self.parts.store.propose(draft)? {
                Proposed::Recorded { proposal, .. } => begun.push((plan.cluster, proposal.id)),
                Proposed::Busy(other) => {
                    report.not_carried_out.insert(plan.cluster, NotCarriedOut::Busy(other));
                }
            }
        }
        let ended = join_all(begun.iter().map(|(_, proposal)| executor.carry_out(*proposal))).await;
        for ((cluster, proposal), carried_out) in begun.iter().zip(ended) {
            if let Carried::VmManagerTrouble(why) = carried_out? {
                report.not_carried_out.insert(*cluster, NotCarriedOut::VmManager(why));
            }
            if let Some(proposal) = self.parts.store.proposal(*proposal)? {
                report.sights.extend(proposal.sight.map(|sight| (*cluster, sight)));
                report.outcomes.insert(*cluster, proposal.steps);
            }
        }
        Ok(())
    }
}
