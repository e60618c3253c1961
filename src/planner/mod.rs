//! Decides which VMs migrate where. Pure: no HTTP, no SSH, no Telegram, no clock, no unseeded chance.
//!
//! Time is [`Snapshot::taken_at`](crate::model::Snapshot::taken_at).

mod plan;
mod policy;

pub use plan::{
    ClusterPlan, Excess, Figures, Fullness, Migration, MoveWhy, NodeState, Note, Obstacle, Overloaded, Plan,
    PlanId, Resource, RunnerUp, Skip, SkipWhy, StillOverloaded, TargetRefusal,
};
pub use policy::{
    AntiAffinity, Direction, Exclusion, ExclusionWhy, Policy, Rest, RestWhy, Selector, Strategy, Threshold,
};
