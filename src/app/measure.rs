//! What is done with every fresh snapshot before it is planned on: nodes are measured over SSH, and the operator
//! is told, once, of nodes that cannot be and of clusters that do not exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt as _;

use crate::{
    event::{Alert, Events},
    executor::Measure,
    model::{ClusterId, NodeId, Snapshot},
    ssh::{HostKeyAlarm, Round, SshMonitor},
    store::Store,
};

/// Makes the hook that the balancer calls with each snapshot.
pub(super) fn measure(
    monitor: Option<Arc<SshMonitor>>,
    wanted: Option<BTreeSet<ClusterId>>,
    store: Store,
    events: Events,
) -> Measure {
    let wanted = Arc::new(wanted.unwrap_or_default());
    let told = Arc::new(Mutex::new(Told::default()));
    Arc::new(move |mut snapshot: Snapshot| {
        let (monitor, wanted) = (monitor.clone(), Arc::clone(&wanted));
        let (told, store, events) = (Arc::clone(&told), store.clone(), events.clone());
        async move {
            let round = match &monitor {
                Some(monitor) => {
                    let round = monitor.measure(&snapshot.nodes).await;
                    monitor.apply(&mut snapshot, &round);
                    round
                }
                None => Round::default(),
            };
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.clusters(&wanted, &snapshot);
            told.failures(&round, &snapshot);
            for alert in told.alarms(&round, &snapshot) {
                store.alert(&events, snapshot.taken_at, alert);
            }
            drop(told);
            snapshot
        }
        .boxed()
    })
}

/// What the operator knows already.
#[derive(Default)]
struct Told {
    missing_clusters: BTreeSet<ClusterId>,
    failing: BTreeMap<NodeId, String>,
    alarms: BTreeSet<HostKeyAlarm>,
}

impl Told {
    fn clusters(&mut self, wanted: &BTreeSet<ClusterId>, snapshot: &Snapshot) {
        let missing: BTreeSet<_> =
            wanted.iter().copied().filter(|id| snapshot.cluster(*id).is_none()).collect();
        for id in missing.difference(&self.missing_clusters) {
            tracing::warn!(cluster.id = %id, "CLUSTER_IDS names a cluster that VMmanager does not have");
        }
        self.missing_clusters = missing;
    }

    fn failures(&mut self, round: &Round, snapshot: &Snapshot) {
        let failing: BTreeMap<_, _> =
            round.failures.iter().map(|(node, failure)| (*node, failure.to_string())).collect();
        for (node, why) in failing.iter().filter(|(node, why)| self.failing.get(node) != Some(why)) {
            let name = name(snapshot, *node);
            tracing::warn!(node.id = %node, node.name = %name, %why, "the node cannot be measured; allocation counts");
        }
        for node in self.failing.keys().filter(|node| !failing.contains_key(node)) {
            tracing::info!(node.id = %node, node.name = %name(snapshot, *node), "the node is measured again");
        }
        self.failing = failing;
    }

    /// The alarms that are not known yet.
    fn alarms(&mut self, round: &Round, snapshot: &Snapshot) -> Vec<Alert> {
        let alarms: BTreeSet<_> = round.alarms.iter().cloned().collect();
        let alert = |alarm: &HostKeyAlarm| {
            let HostKeyAlarm { node, host: _, expected, found } = alarm;
            Alert::HostKeyChanged {
                node: *node,
                name: name(snapshot, *node),
                expected: expected.join(", "),
                found: found.clone(),
            }
        };
        let alerts = alarms.difference(&self.alarms).map(alert).collect();
        self.alarms = alarms;
        alerts
    }
}

fn name(snapshot: &Snapshot, node: NodeId) -> String {
    snapshot.node(node).map(|info| info.name.clone()).unwrap_or_default()
}
