//! A plan with what became of it: what the command line prints, as data.

use std::collections::BTreeMap;

use crate::{
    model::ClusterId,
    planner::{ClusterPlan, Figures, Plan},
    store::{Outcome, Sight, Step, StepState},
    talk::words::Words,
};

/// A plan with what became of it.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    pub plan: &'a Plan,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// Empty where the plan was only computed.
    pub outcomes: Outcomes,
    /// What a look showed of each cluster when its plan had ended.
    pub sights: BTreeMap<ClusterId, Sight>,
}

/// What a cluster is like after a plan.
pub enum After<'a> {
    /// Nothing was carried out: what the plan would lead to.
    Predicted(&'a Figures),
    Seen(&'a Figures),
    /// It was carried out, and nobody knows what it led to.
    Unseen(Option<&'a Sight>),
}

impl Report<'_> {
    /// Returns what the cluster of a plan is like after it.
    #[must_use]
    pub fn after<'a>(&'a self, plan: &'a ClusterPlan) -> After<'a> {
        if self.dry_run || plan.migrations.is_empty() {
            return After::Predicted(&plan.after);
        }
        match self.sights.get(&plan.cluster) {
            Some(Sight::Seen { figures, .. }) => After::Seen(figures),
            unseen => After::Unseen(unseen),
        }
    }
}

/// How each migration of a plan ended, by cluster and step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes(BTreeMap<(ClusterId, u32), Ending>);

/// How one migration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub outcome: Outcome,
    pub detail: Option<String>,
}

impl Outcomes {
    /// Collects the endings of steps that were carried out.
    #[must_use]
    pub fn of(carried_out: &BTreeMap<ClusterId, Vec<Step>>) -> Self {
        let (mut outcomes, words) = (Self::default(), Words::english());
        for (cluster, steps) in carried_out {
            for step in steps {
                match &step.state {
                    StepState::Ended { outcome, detail, at } => {
                        let detail = detail.as_ref().map(|why| words.plain_ending(why, *at));
                        outcomes.set(*cluster, step.migration.step, *outcome, detail);
                    }
                    StepState::Waiting | StepState::LeftOut { .. } | StepState::Running { .. } => {}
                }
            }
        }
        outcomes
    }

    /// Notes how a step ended.
    pub fn set(&mut self, cluster: ClusterId, step: u32, outcome: Outcome, detail: Option<String>) {
        self.0.insert((cluster, step), Ending { outcome, detail });
    }

    /// Returns how a step ended.
    #[must_use]
    pub fn get(&self, cluster: ClusterId, step: u32) -> Option<&Ending> {
        self.0.get(&(cluster, step))
    }

    /// Returns how many ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.0.values().filter(|ending| ending.outcome == outcome).count()
    }

    /// Tells whether a migration failed, or nobody knows what became of it.
    #[must_use]
    pub fn any_trouble(&self) -> bool {
        self.0.values().any(|ending| match ending.outcome {
            Outcome::Failed | Outcome::Lost => true,
            Outcome::Done | Outcome::Dropped => false,
        })
    }
}
