//! What would be if: answers from the planner's forecasts. Nothing is planned in the sight of others, nothing changes.

use chrono::{DateTime, Utc};

use super::{Picture, Refused, core::find_cluster};
use crate::{
    balancer::VmBalancer,
    model::{ClusterId, Flaw, Mib, find},
    planner::{self, Drain, Growth, NodeLoss},
};

/// What somebody wants to know beforehand. Nodes and clusters go by name or id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhatIf {
    /// A node is emptied.
    Drain { node: String },
    /// A node fails.
    Lose { node: String },
    /// So many VMs of one size are added; `None` for the usual vCPUs, and for the only cluster.
    Add { count: u64, memory: Mib, vcpus: Option<u32>, cluster: Option<String> },
}

/// What would be, and the picture that it was computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    pub taken_at: DateTime<Utc>,
    pub cluster: ClusterId,
    pub cluster_name: String,
    /// What is wrong with the picture of the cluster.
    pub incomplete: Vec<Flaw>,
    pub what: Forecast,
}

/// A forecast of the planner.
#[derive(Clone, Debug, PartialEq)]
pub enum Forecast {
    Drain(Box<Drain>),
    Lose(Box<NodeLoss>),
    Add {
        growth: Growth,
        /// Nobody said how many vCPUs each has.
        vcpus_guessed: bool,
    },
}

/// Answers on a picture.
pub(super) async fn foresee(
    balancer: &VmBalancer,
    picture: &Picture,
    question: WhatIf,
) -> Result<Foreseen, Refused> {
    let (cluster, what) = match question {
        WhatIf::Drain { node } => {
            let node = find::node(&picture.snapshot, &node).map_err(Refused::Missed)?;
            let drain = balancer.drain(picture, node.id).await?;
            (node.cluster, drain.map(|drain| Forecast::Drain(Box::new(drain))))
        }
        WhatIf::Lose { node } => {
            let node = find::node(&picture.snapshot, &node).map_err(Refused::Missed)?;
            let (id, cluster) = (node.id, node.cluster);
            let loss =
                balancer.compute(picture, move |of| planner::node_loss(&of.snapshot, &of.policy, id)).await?;
            (cluster, loss.map(|loss| Forecast::Lose(Box::new(loss))))
        }
        WhatIf::Add { count, memory, vcpus, cluster } => {
            let id = find_cluster(picture, cluster.as_deref())?;
            let grown = balancer.compute(picture, move |of| {
                planner::growth(&of.snapshot, &of.policy, id, count, vcpus, memory)
            });
            let forecast = |growth| Forecast::Add { growth, vcpus_guessed: vcpus.is_none() };
            (id, grown.await?.map(forecast))
        }
    };
    let known = find::cluster(&picture.snapshot, &find::by_id(cluster.0)).map_err(Refused::Missed)?;
    let (cluster_name, incomplete) = (known.name.clone(), known.incomplete.clone());
    let Some(what) = what else { return Err(Refused::NotOurs { cluster, name: cluster_name }) };
    Ok(Foreseen { taken_at: picture.snapshot.taken_at, cluster, cluster_name, incomplete, what })
}
