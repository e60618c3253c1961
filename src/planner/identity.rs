//! Names plans by their content, so that a button of an older plan is recognised.

use sha2::{Digest, Sha256};

use super::plan::{ClusterPlan, PlanId};

/// Gives a plan the id that belongs to its content.
pub(super) fn with_id(mut plan: ClusterPlan) -> ClusterPlan {
    plan.id = PlanId(String::new());
    // The plan's types have string keys only, so writing them cannot fail.
    let content = serde_json::to_vec(&plan).unwrap_or_default();
    plan.id = PlanId(digest(&content));
    plan
}

/// Returns the id of the plans of several clusters together. A single plan has one id.
pub(super) fn of_all(clusters: &[ClusterPlan]) -> PlanId {
    if let [only] = clusters {
        return only.id.clone();
    }
    let ids: String = clusters.iter().map(|cluster| format!("{}:{};", cluster.cluster, cluster.id)).collect();
    PlanId(digest(ids.as_bytes()))
}

/// The first 16 hex digits of the SHA-256.
fn digest(content: &[u8]) -> String {
    hex::encode(&Sha256::digest(content)[..8])
}
