//! What was computed from a picture, once for all who ask: people who ask at one time share a look, and its plans too.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tokio::sync::OnceCell;

use super::CycleError;
use crate::{
    model::{ClusterId, NodeId},
    planner::{Drain, Overview, Plan},
};

/// What is known of one snapshot under one policy.
#[derive(Debug, Default)]
pub(super) struct Computed {
    overviews: OnceLock<Vec<Overview>>,
    plans: Mutex<Answers<ClusterId, Arc<Plan>>>,
    drains: Mutex<Answers<NodeId, Option<Drain>>>,
}

/// Each is computed by the first who asks; others wait for it. Where it fails, the next one tries again.
type Answers<Key, Answer> = BTreeMap<Key, Arc<OnceCell<Answer>>>;

impl Computed {
    pub(super) fn overviews(&self, compute: impl FnOnce() -> Vec<Overview>) -> &[Overview] {
        self.overviews.get_or_init(compute)
    }

    pub(super) async fn plan(
        &self,
        of: ClusterId,
        computing: impl Future<Output = Result<Arc<Plan>, CycleError>>,
    ) -> Result<Arc<Plan>, CycleError> {
        once(&self.plans, of, computing).await
    }

    pub(super) async fn drain(
        &self,
        of: NodeId,
        computing: impl Future<Output = Result<Option<Drain>, CycleError>>,
    ) -> Result<Option<Drain>, CycleError> {
        once(&self.drains, of, computing).await
    }
}

async fn once<Key: Ord, Answer: Clone>(
    answers: &Mutex<Answers<Key, Answer>>,
    key: Key,
    computing: impl Future<Output = Result<Answer, CycleError>>,
) -> Result<Answer, CycleError> {
    let answer = {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(answers.entry(key).or_default())
    };
    answer.get_or_try_init(|| computing).await.cloned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::model::Quote;

    #[tokio::test]
    async fn what_two_ask_at_one_time_is_computed_once_and_each_cluster_has_its_own() {
        let (computed, count) = (Computed::default(), AtomicUsize::new(0));
        let ask = |cluster| {
            computed.plan(ClusterId(cluster), async {
                tokio::task::yield_now().await;
                let taken_at = chrono::DateTime::UNIX_EPOCH;
                let number = count.fetch_add(1, Ordering::Relaxed);
                let id = crate::planner::PlanId(number.to_string());
                Ok(Arc::new(Plan { id, taken_at, clusters: Vec::new() }))
            })
        };
        let (one, same, other) = tokio::join!(ask(1), ask(1), ask(2));
        let (one, same, other) = (one.unwrap(), same.unwrap(), other.unwrap());
        assert!(Arc::ptr_eq(&one, &same) && one.id != other.id);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn what_failed_is_computed_again_for_the_next() {
        let computed = Computed::default();
        let failed =
            computed.drain(NodeId(1), async { Err(CycleError::Planning(Quote::of("a test"))) }).await;
        assert!(failed.is_err());
        assert!(matches!(computed.drain(NodeId(1), async { Ok(None) }).await, Ok(None)));
    }
}
