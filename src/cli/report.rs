//! A plan with what became of it: what the command line prints, as data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::history::word;
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
    /// Whether it was carried out: then what was seen afterwards counts, and no prediction.
    pub is_over: bool,
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

impl<'a> Report<'a> {
    /// A plan of which nothing was carried out yet.
    #[must_use]
    pub fn of_plan(plan: &'a Plan, dry_run: bool) -> Self {
        Self { plan, dry_run, is_over: false, outcomes: Outcomes::default(), sights: BTreeMap::new() }
    }

    /// Returns what the cluster of a plan is like after it.
    #[must_use]
    pub fn after(&'a self, plan: &'a ClusterPlan) -> After<'a> {
        if !self.is_over || plan.migrations.is_empty() {
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

/// How one migration ended, or how far it was when the run was interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub outcome: Became,
    pub detail: Option<String>,
}

/// What became of one migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Became {
    Ended(Outcome),
    Interrupted(Interrupted),
}

/// How far a migration was when the run was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Interrupted {
    Running,
    NotBegun,
}

impl Became {
    /// All of them, in the order of the summary.
    pub(super) const ALL: [Self; 6] = [
        Self::Ended(Outcome::Done),
        Self::Ended(Outcome::Failed),
        Self::Ended(Outcome::Lost),
        Self::Ended(Outcome::Dropped),
        Self::Interrupted(Interrupted::Running),
        Self::Interrupted(Interrupted::NotBegun),
    ];

    /// Returns the word for people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ended(outcome) => word(outcome),
            Self::Interrupted(Interrupted::Running) => "running",
            Self::Interrupted(Interrupted::NotBegun) => "not begun",
        }
    }
}

impl Outcomes {
    /// Collects the endings of steps that were carried out.
    #[must_use]
    pub fn of(carried_out: &BTreeMap<ClusterId, Vec<Step>>) -> Self {
        let (mut outcomes, words) = (Self::default(), Words::english());
        for (cluster, steps) in carried_out {
            for step in steps {
                let (outcome, detail) = match &step.state {
                    StepState::Ended { outcome, detail, at } => {
                        let detail = detail.as_ref().map(|why| words.plain_ending(why, *at));
                        (Became::Ended(*outcome), detail)
                    }
                    StepState::Running { .. } => {
                        let detail = "interrupted: VMmanager goes on with it, and the next start follows it";
                        (Became::Interrupted(Interrupted::Running), Some(detail.to_owned()))
                    }
                    StepState::Waiting | StepState::LeftOut { .. } => {
                        (Became::Interrupted(Interrupted::NotBegun), Some("interrupted before it".to_owned()))
                    }
                };
                outcomes.set(*cluster, step.migration.step, outcome, detail);
            }
        }
        outcomes
    }

    /// Notes how a step ended.
    pub fn set(&mut self, cluster: ClusterId, step: u32, outcome: Became, detail: Option<String>) {
        self.0.insert((cluster, step), Ending { outcome, detail });
    }

    /// Returns how a step ended.
    #[must_use]
    pub fn get(&self, cluster: ClusterId, step: u32) -> Option<&Ending> {
        self.0.get(&(cluster, step))
    }

    /// Returns how many ended so.
    #[must_use]
    pub fn count(&self, outcome: Became) -> usize {
        self.0.values().filter(|ending| ending.outcome == outcome).count()
    }

    /// Tells whether a migration failed, was interrupted, or nobody knows what became of it.
    #[must_use]
    pub(super) fn any_trouble(&self) -> bool {
        self.0.values().any(|ending| match ending.outcome {
            Became::Ended(Outcome::Failed | Outcome::Lost) | Became::Interrupted(_) => true,
            Became::Ended(Outcome::Done | Outcome::Dropped) => false,
        })
    }
}
