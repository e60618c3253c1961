//! What happens to every fresh snapshot before it is planned on: nodes are measured over SSH. The operator gets one
//! warning about nodes that cannot be measured and about clusters that do not exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt as _;

use crate::{
    event::{Alert, Events, KeptKey},
    eyes::Measure,
    model::{Asked, ClusterId, NodeId, NodeInfo, Snapshot, ssh::KnownLine},
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
    let wanted = Arc::new(wanted);
    let told = Arc::new(Mutex::new(Told::default()));
    Arc::new(move |mut snapshot: Snapshot, asked: Asked| {
        let (monitor, wanted) = (monitor.clone(), Arc::clone(&wanted));
        let (told, store, events) = (Arc::clone(&told), store.clone(), events.clone());
        async move {
            let round = match &monitor {
                Some(monitor) => {
                    let nodes = nodes_to_ask(&snapshot, wanted.as_ref().as_ref());
                    let round = monitor.measure_asking(&nodes, asked).await;
                    monitor.apply(&mut snapshot, &round);
                    round
                }
                None => Round::default(),
            };
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.clusters(wanted.iter().flatten().copied(), &snapshot);
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

/// Returns the nodes of the clusters that are balanced: nobody logs in to others. `None` for all clusters.
pub fn nodes_to_ask(snapshot: &Snapshot, wanted: Option<&BTreeSet<ClusterId>>) -> Vec<NodeInfo> {
    let is_wanted = |node: &&NodeInfo| wanted.is_none_or(|ids| ids.contains(&node.cluster));
    snapshot.nodes.iter().filter(is_wanted).cloned().collect()
}

/// What the operator knows already.
#[derive(Default)]
struct Told {
    missing_clusters: BTreeSet<ClusterId>,
    failing: BTreeMap<NodeId, String>,
    alarms: BTreeSet<HostKeyAlarm>,
}

impl Told {
    fn clusters(&mut self, wanted: impl Iterator<Item = ClusterId>, snapshot: &Snapshot) {
        let missing: BTreeSet<_> = wanted.filter(|id| snapshot.cluster(*id).is_none()).collect();
        for id in missing.difference(&self.missing_clusters) {
            tracing::warn!(cluster.id = id.0, "CLUSTER_IDS names a cluster that VMmanager does not have");
        }
        self.missing_clusters = missing;
    }

    fn failures(&mut self, round: &Round, snapshot: &Snapshot) {
        let failing: BTreeMap<_, _> =
            round.failures.iter().map(|(node, failure)| (*node, failure.to_string())).collect();
        for (node, why) in failing.iter().filter(|(node, why)| self.failing.get(node) != Some(why)) {
            let name = name(snapshot, *node);
            tracing::warn!(node.id = node.0, node.name = %name, %why, "the node cannot be measured; allocation counts");
        }
        for node in self.failing.keys().filter(|node| !failing.contains_key(node)) {
            tracing::warn!(node.id = node.0, node.name = %name(snapshot, *node), "the node is measured again");
        }
        self.failing = failing;
    }

    /// The alarms that are not known yet.
    fn alarms(&mut self, round: &Round, snapshot: &Snapshot) -> Vec<Alert> {
        let alarms: BTreeSet<_> = round.alarms.iter().cloned().collect();
        let alert = |alarm: &HostKeyAlarm| {
            let HostKeyAlarm { node, host: _, expected, found, at } = alarm;
            Alert::HostKeyChanged {
                node: *node,
                name: name(snapshot, *node),
                expected: expected.join(", "),
                found: found.clone(),
                at: at.iter().map(kept).collect(),
            }
        };
        let alerts = alarms.difference(&self.alarms).map(alert).collect();
        // A node that cannot be asked for a while and then shows the same key is no new matter.
        self.alarms.retain(|alarm| round.failures.contains_key(&alarm.node));
        self.alarms.extend(alarms);
        alerts
    }
}

fn kept(at: &KnownLine) -> KeptKey {
    let KnownLine { file, line, host, learned } = at;
    KeptKey { file: file.display().to_string(), line: *line, host: host.clone(), learned: *learned }
}

fn name(snapshot: &Snapshot, node: NodeId) -> String {
    snapshot.node(node).map(|info| info.name.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::ssh::{Phase, SshFailure};

    #[test]
    fn an_alarm_is_told_again_only_after_the_node_was_read_or_shows_yet_another_key() {
        let mut told = Told::default();
        let mut alarms_in = |round: Round| told.alarms(&round, &Snapshot::empty(DateTime::UNIX_EPOCH)).len();
        let silent = SshFailure::Timeout { phase: Phase::Connect, after: std::time::Duration::from_secs(10) };
        let silent = || Round { failures: [(NodeId(10), silent.clone())].into(), ..Round::default() };
        assert_eq!(alarms_in(changed("b")), 1);
        assert_eq!(alarms_in(changed("b")), 0);
        assert_eq!(alarms_in(silent()), 0);
        assert_eq!(alarms_in(changed("b")), 0, "it only could not be asked for a while");
        assert_eq!(alarms_in(changed("c")), 1);
        assert_eq!(alarms_in(Round::default()), 0);
        assert_eq!(alarms_in(changed("b")), 1, "it was right in between");
    }

    /// A round in which the node shows this key.
    fn changed(found: &str) -> Round {
        let (host, expected, at) = ("gw:22".to_owned(), vec!["a".to_owned()], Vec::new());
        let alarm = HostKeyAlarm {
            node: NodeId(10),
            host: host.clone(),
            expected: expected.clone(),
            found: found.into(),
            at: at.clone(),
        };
        let failure = SshFailure::HostKeyChanged { host, expected, found: found.into(), at };
        Round { failures: [(NodeId(10), failure)].into(), alarms: vec![alarm], ..Round::default() }
    }
}
