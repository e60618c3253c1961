//! The failures of one plan, and what followed from them: one message.

use serde::{Deserialize, Serialize};

use super::bell::Urgency;
use crate::{
    event::Alert,
    model::{ClusterId, ProposalId},
    store::{Outcome, Proposal, Step, StepState},
};

/// What went wrong in a cluster: migrations of one plan, and the nodes and clusters that are left out because of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    pub cluster: ClusterId,
    /// `None` for alerts whose plan is not known.
    pub plan: Option<FailedPlan>,
    pub alerts: Vec<Alert>,
    pub dry_run: bool,
    pub revision: u64,
}

/// The plan, and its migrations that failed, were lost or are slow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedPlan {
    pub id: ProposalId,
    pub cluster_name: String,
    pub steps: Vec<Step>,
}

impl FailedPlan {
    pub(super) fn of(proposal: &Proposal) -> Self {
        let is_trouble = |step: &&Step| match &step.state {
            StepState::Running { slow, .. } => *slow,
            StepState::Ended { outcome, .. } => matches!(outcome, Outcome::Failed | Outcome::Lost),
            StepState::Waiting | StepState::LeftOut { .. } => false,
        };
        let steps = proposal.steps.iter().filter(is_trouble).cloned().collect();
        Self { id: proposal.id, cluster_name: proposal.cluster_name.clone(), steps }
    }
}

impl Failures {
    /// Nothing went wrong yet.
    pub(super) fn new(cluster: ClusterId, dry_run: bool) -> Self {
        Self { cluster, plan: None, alerts: Vec::new(), dry_run, revision: 0 }
    }

    pub(super) fn key(&self) -> String {
        key(self.cluster, self.plan.as_ref().map(|plan| plan.id))
    }

    pub(super) fn urgency(&self) -> Option<Urgency> {
        let steps = || self.plan.iter().flat_map(|plan| &plan.steps);
        if !self.alerts.is_empty() || steps().any(|step| matches!(step.state, StepState::Ended { .. })) {
            Some(Urgency::Failed)
        } else {
            steps().next().map(|_| Urgency::Slow)
        }
    }

    /// Takes an alert in, in place of an older one of its matter.
    pub(super) fn add(&mut self, alert: Alert) {
        self.alerts.retain(|known| known.key() != alert.key());
        self.alerts.push(alert);
        self.revision += 1;
    }
}

/// The key of the card of a plan's failures; without a plan, of the alerts of a cluster.
pub(super) fn key(cluster: ClusterId, plan: Option<ProposalId>) -> String {
    format!("f-{cluster}-{}", plan.map_or(0, |plan| plan.0))
}

/// Returns the cluster of an alert that follows from failed migrations.
pub(super) fn cluster_of(alert: &Alert) -> Option<ClusterId> {
    match alert {
        Alert::NodeTakenOut { cluster, .. } | Alert::ClusterStopped { cluster, .. } => Some(*cluster),
        _ => None,
    }
}
