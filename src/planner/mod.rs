//! Decides which VMs migrate where. Pure: no HTTP, no SSH, no Telegram, no clock, no unseeded chance.
//!
//! Time is [`Snapshot::taken_at`](crate::model::Snapshot::taken_at). [`plan`] finds the moves, [`check`] replays
//! them without knowing how they were found, [`fit`] and [`revalidate`] ask again on a world that moved on.

mod amounts;
mod board;
mod brim;
mod careful;
mod check;
mod drain;
mod explain;
mod figures;
mod fit;
mod forecast;
mod identity;
mod lanes;
mod load;
mod narrate;
mod node;
mod plan;
mod policy;
mod round;
mod search;
mod settle;
mod settled;
mod sound;
mod standing;
mod step;
mod strain;
mod terms;
mod undo;

use crate::model::{ClusterInfo, Snapshot};

pub use check::{Violation, check};
#[cfg(not(feature = "internals"))]
pub(crate) use inner::*;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub use inner::*;
pub use plan::{
    Caution, ClusterPlan, Excess, Figures, Fullness, Hold, Migration, MoveWhy, NodeChange, NodeClosed, Note,
    Obstacle, Overloaded, Plan, PlanId, Resource, RunnerUp, Skip, SkipWhy, StillOverloaded, Strain,
    TargetRefusal,
};
pub use policy::{
    AntiAffinity, Consent, Direction, Exclusion, ExclusionWhy, Lenience, Margin, Policy, RecentMove, Rest,
    RestWhy, Selector, Strategy, Threshold,
};
pub(crate) use terms::QEMU_MIN;

/// What only the other rooms ask of the planner, and its tests and benches.
mod inner {
    pub use super::{
        brim::Brims,
        drain::{Drain, drain},
        explain::{
            NodeExplained, NodeOverview, NodeReading, Overview, VmExplained, explain_node, explain_vm,
            overloaded_nodes, overview,
        },
        fit::{Outlook, Revalidated, Unfit, fit, outlook, revalidate},
        forecast::{Growth, NodeLoss, Taker, growth, node_loss},
        lanes::startable,
        round::{drain_in_turn, maintenance, standstill},
        settle::LOAD_FORGOTTEN,
        settled::{LEVEL_REST, settled_imbalance},
        sound::sound,
        standing::{BEFORE_PEOPLE, Beyond, Limits, NotALimit, Used},
        undo::{Moved, Undo, undo},
    };
    #[cfg(feature = "internals")]
    pub use super::{
        brim::{BRIM_LASTS, MEMORY_BRIM},
        search::LEVEL_GAIN_MIN,
        settle::LOAD_WINDOW,
        settled::LEVEL_TRIGGER,
    };
}

/// Plans for every cluster that the policy names, each by itself.
///
/// ```
/// use chrono::DateTime;
/// use vm_balancer::{model::Snapshot, planner::{self, Policy}};
///
/// let plan = planner::plan(&Snapshot::empty(DateTime::UNIX_EPOCH), &Policy::default());
/// assert!(plan.is_empty());
/// ```
#[must_use]
pub fn plan(snapshot: &Snapshot, policy: &Policy) -> Plan {
    let mut wanted: Vec<&ClusterInfo> = snapshot
        .clusters
        .iter()
        .filter(|cluster| policy.clusters.as_ref().is_none_or(|only| only.contains(&cluster.id)))
        .collect();
    wanted.sort_by_key(|cluster| cluster.id);
    let clusters: Vec<_> = wanted.into_iter().map(|info| plan_cluster(snapshot, policy, info)).collect();
    with_id(Plan { id: PlanId(String::new()), taken_at: snapshot.taken_at, clusters })
}

/// Gives a plan the id that belongs to its content.
#[must_use]
pub fn with_id(plan: Plan) -> Plan {
    Plan { id: identity::of_all(&plan.clusters), ..plan }
}

/// Plans for a cluster. Nodes that are to be emptied soon are spared as far as the others can hold it.
fn plan_cluster(snapshot: &Snapshot, policy: &Policy, info: &ClusterInfo) -> ClusterPlan {
    let soon: Vec<_> = snapshot
        .nodes_of(info.id)
        .map(|node| node.id)
        .filter(|id| policy.emptied_soon.contains(id))
        .collect();
    if soon.is_empty() {
        return plan_openly(snapshot, policy, info);
    }
    let spared = plan_openly(snapshot, &policy.sparing(&soon), info);
    if spared.after.overloaded == 0 {
        return spared;
    }
    let open = plan_openly(snapshot, policy, info);
    if open.after.overloaded < spared.after.overloaded { open } else { spared }
}

fn plan_openly(snapshot: &Snapshot, policy: &Policy, info: &ClusterInfo) -> ClusterPlan {
    let board = board::Board::new(snapshot, policy, info);
    let steps = match narrate::hold(&board) {
        Some(_) => Vec::new(),
        None => careful::steps(&board, policy.migrations_max),
    };
    identity::with_id(narrate::cluster_plan(&board, &steps, policy.migrations_max))
}
