//! The figures that are not counted but read when somebody asks: nodes, clusters, thresholds, what waits.
//!
//! They are written anew each time, so that a node that is gone leaves nothing behind.

use std::collections::BTreeMap;

use metrics::{Label, Unit, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::{
    meter::Beat,
    model::{ClusterId, Mib, NodeId, NodeInfo},
    planner::{self, NodeOverview, Policy},
    scheduler::{Picture, Status},
    store::{Mode, ProposalState, Store},
};

/// Writes all of them in Prometheus' text format; what is not known is left out.
pub(super) fn now(status: Option<&Status>, store: &Store, beats: &[Beat]) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    with_local_recorder(&recorder, || {
        describe_gauge!("vm_balancer_build_info", "Always 1; the version and the commit are labels.");
        let commit = option_env!("VM_BALANCER_COMMIT").unwrap_or_default();
        gauge!("vm_balancer_build_info", "version" => env!("CARGO_PKG_VERSION"), "commit" => commit).set(1);
        of_loops(beats);
        of_store(store);
        if let Some(status) = status {
            of_status(status);
            if let Some(picture) = &status.picture {
                of_thresholds(&picture.policy);
                of_clusters(picture);
                of_nodes(picture);
            }
        }
    });
    figures.render()
}

fn of_loops(beats: &[Beat]) {
    describe_gauge!(
        "vm_balancer_loop_age_seconds",
        Unit::Seconds,
        "Time since a loop last said that it is alive."
    );
    describe_gauge!("vm_balancer_loop_alive", "1 where the loop is alive.");
    for beat in beats {
        gauge!("vm_balancer_loop_age_seconds", "loop" => beat.name()).set(beat.age());
        gauge!("vm_balancer_loop_alive", "loop" => beat.name()).set(flag(!beat.is_late()));
    }
}

fn of_store(store: &Store) {
    describe_gauge!("vm_balancer_store_size_bytes", Unit::Bytes, "Size of the store on disk.");
    describe_gauge!(
        "vm_balancer_outbox_messages",
        "Messages and alerts that the chat still has to send or keeps up to date."
    );
    describe_gauge!("vm_balancer_proposals", "Open proposals, by state (pending, approved, running).");
    describe_gauge!("vm_balancer_migrations_running", "Migrations that were ordered and have not ended.");
    if let Ok(bytes) = store.size_on_disk() {
        gauge!("vm_balancer_store_size_bytes").set(bytes as f64);
    }
    if let Ok(waiting) = store.outbox().all::<serde_json::Value>() {
        gauge!("vm_balancer_outbox_messages").set(waiting.len() as f64);
    }
    if let Ok(open) = store.open_proposals() {
        for name in ["pending", "approved", "running"] {
            let found = open.iter().filter(|proposal| state(&proposal.state) == Some(name)).count();
            gauge!("vm_balancer_proposals", "state" => name).set(found as f64);
        }
    }
    if let Ok(running) = store.open_entries() {
        gauge!("vm_balancer_migrations_running").set(running.len() as f64);
    }
}

/// The state of an open proposal as a label.
fn state(state: &ProposalState) -> Option<&'static str> {
    match state {
        ProposalState::Pending => Some("pending"),
        ProposalState::Approved { .. } => Some("approved"),
        ProposalState::Running { .. } => Some("running"),
        _ => None,
    }
}

fn of_status(status: &Status) {
    describe_gauge!("vm_balancer_vmmanager_up", "1 where VMmanager answered the last time it was read.");
    describe_gauge!("vm_balancer_last_cycle_timestamp_seconds", Unit::Seconds, "When the last cycle began.");
    describe_gauge!("vm_balancer_dry_run", "1 in a dry run: nothing is ordered.");
    describe_gauge!("vm_balancer_paused", "1 while automatic cycles are paused.");
    describe_gauge!("vm_balancer_mode", "1 for the mode in force (off, propose, auto).");
    describe_gauge!("vm_balancer_stopped_clusters", "Clusters where automatic runs stopped after failures.");
    gauge!("vm_balancer_vmmanager_up").set(flag(status.vmmanager_away.is_none() && status.picture.is_some()));
    if let Some(cycle) = &status.last_cycle {
        gauge!("vm_balancer_last_cycle_timestamp_seconds").set(cycle.at.timestamp() as f64);
    }
    gauge!("vm_balancer_dry_run").set(flag(status.dry_run));
    gauge!("vm_balancer_paused").set(flag(status.pause.is_some()));
    for (mode, name) in [(Mode::Off, "off"), (Mode::Propose, "propose"), (Mode::Auto, "auto")] {
        gauge!("vm_balancer_mode", "mode" => name).set(flag(status.mode == mode));
    }
    gauge!("vm_balancer_stopped_clusters").set(status.stopped_clusters.len() as f64);
}

fn of_thresholds(policy: &Policy) {
    describe_gauge!(
        "vm_balancer_overload_threshold",
        "Above which a node is overloaded: memory as a ratio, vCPUs and load per core."
    );
    describe_gauge!(
        "vm_balancer_target_threshold",
        "Up to which a target is filled, in the units of the overload threshold."
    );
    let kinds = [("memory", policy.memory, 100.0), ("cpu", policy.cpu, 1.0), ("load", policy.load, 1.0)];
    for (name, threshold, unit) in kinds {
        gauge!("vm_balancer_overload_threshold", "resource" => name).set(threshold.overload / unit);
        gauge!("vm_balancer_target_threshold", "resource" => name).set(threshold.target / unit);
    }
}

fn of_clusters(picture: &Picture) {
    describe_gauge!("vm_balancer_overloaded_nodes", "Nodes over a threshold.");
    describe_gauge!("vm_balancer_imbalance", "How uneven a cluster is; 0 is perfectly even.");
    describe_gauge!("vm_balancer_planned_migrations", "Migrations of the newest plan.");
    describe_gauge!("vm_balancer_cluster_incomplete", "1 where the picture of the cluster is not acted on.");
    describe_gauge!("vm_balancer_virtual_machines", "VMs of a cluster.");
    for plan in &picture.plan.clusters {
        let labels = cluster_labels(plan.cluster, &plan.name);
        let seen = picture.overviews().iter().find(|seen| seen.cluster == plan.cluster);
        let vms: usize = seen.map_or(0, |seen| seen.nodes.iter().map(|node| node.vms).sum());
        let values = [
            ("vm_balancer_overloaded_nodes", plan.overloaded.len() as f64),
            ("vm_balancer_imbalance", plan.before.imbalance),
            ("vm_balancer_planned_migrations", plan.migrations.len() as f64),
            ("vm_balancer_cluster_incomplete", flag(!plan.incomplete.is_empty())),
            ("vm_balancer_virtual_machines", vms as f64),
        ];
        for (name, value) in values {
            gauge!(name, labels.clone()).set(value);
        }
    }
}

/// The name is for people, the id tells apart clusters of one name.
fn cluster_labels(id: ClusterId, name: &str) -> Vec<Label> {
    vec![Label::new("cluster", name.to_owned()), Label::new("cluster_id", id.to_string())]
}

fn of_nodes(picture: &Picture) {
    describe_gauge!("vm_balancer_node_memory_bytes", Unit::Bytes, "Memory of a node.");
    describe_gauge!(
        "vm_balancer_node_memory_allocated_bytes",
        Unit::Bytes,
        "Memory of a node that is allocated to VMs."
    );
    describe_gauge!(
        "vm_balancer_node_memory_used_bytes",
        Unit::Bytes,
        "Memory really used, measured over SSH."
    );
    describe_gauge!("vm_balancer_node_cpus", "Cores of a node.");
    describe_gauge!("vm_balancer_node_cpus_allocated", "vCPUs of a node that are allocated to VMs.");
    describe_gauge!("vm_balancer_node_load5", "Load of the whole node over 5 minutes, measured over SSH.");
    describe_gauge!("vm_balancer_node_maintenance", "1 for a node in maintenance.");
    let careful = careful_use(picture);
    for node in &picture.snapshot.nodes {
        let plan = picture.plan.clusters.iter().find(|plan| plan.cluster == node.cluster);
        let named = plan.map_or_else(|| node.cluster.to_string(), |plan| plan.name.clone());
        let mut labels = cluster_labels(node.cluster, &named);
        labels.push(Label::new("node", node.name.clone()));
        labels.push(Label::new("node_id", node.id.to_string()));
        let NodeInfo { cpu_total, memory_total, load, maintenance, .. } = node;
        let (memory_used, cpu_used) = careful.get(&node.id).copied().unzip();
        let bytes = |Mib(mib): Mib| mib as f64 * 1_048_576.0;
        let measured = load.as_ref();
        let values = [
            ("vm_balancer_node_memory_bytes", memory_total.map(bytes)),
            ("vm_balancer_node_memory_allocated_bytes", memory_used.map(bytes)),
            ("vm_balancer_node_memory_used_bytes", measured.and_then(|load| load.memory_used_mib).map(bytes)),
            ("vm_balancer_node_cpus", cpu_total.map(f64::from)),
            ("vm_balancer_node_cpus_allocated", cpu_used),
            ("vm_balancer_node_load5", measured.map(|load| load.five)),
            ("vm_balancer_node_maintenance", Some(flag(*maintenance))),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                gauge!(name, labels.clone()).set(value);
            }
        }
    }
}

/// What each node counts with, in the planner's figures: of VMmanager's counter and the sum of its VMs the larger one.
fn careful_use(picture: &Picture) -> BTreeMap<NodeId, (Mib, f64)> {
    let Picture { snapshot, policy, .. } = picture;
    let overviews = snapshot.clusters.iter().filter_map(|it| planner::overview(snapshot, policy, it.id));
    let nodes = overviews.flat_map(|overview| overview.nodes).filter(|node| node.known);
    let used = nodes.filter_map(|NodeOverview { node, at, .. }| {
        let info = snapshot.node(node)?;
        let memory = info.memory_total?.0 as f64 * at.memory_percent / 100.0;
        Some((node, (Mib(memory.round() as u64), (f64::from(info.cpu_total?) * at.cpu).round())))
    });
    used.collect()
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Snapshot;

    #[test]
    fn of_two_figures_for_one_thing_the_careful_one_is_exported() {
        // The counter says 4 GiB and 2 vCPUs; the VMs add up to 24 GiB and 12.
        let vm = |id: u64| json!({"id": id, "name": "web", "node": 10, "cpu_cores": 6, "memory_mib": 12288});
        let snapshot = json!({
            "version": 1, "taken_at": "2026-11-23T12:00:00Z", "clusters": [{"id": 1, "name": "msk"}],
            "nodes": [{"id": 10, "name": "kvm-01", "cluster": 1, "cpu_total": 16, "cpu_used": 2,
                "memory_total_mib": 65536, "memory_used_mib": 4096, "vm_count": 2, "vm_limit": null,
                "maintenance": false, "vm_creation_allowed": true, "qemu_version": "7.2.0", "load": null}],
            "vms": [vm(1), vm(2)],
        });
        let snapshot = Snapshot::from_json(&snapshot.to_string()).unwrap();
        let policy = Policy::default();
        let plan = planner::plan(&snapshot, &policy);
        let picture = Picture::new(snapshot, policy, plan);
        assert_eq!(careful_use(&picture), BTreeMap::from([(NodeId(10), (Mib(24576), 12.0))]));
    }

    #[test]
    fn what_was_measured_over_ssh_is_exported_and_what_was_not_is_left_out() {
        let load = json!({"one": 1.0, "five": 4.5, "fifteen": 3.0, "at": "2026-11-23T11:59:00Z", "memory_used_mib": 1024});
        let node = |id: u64, load: Option<serde_json::Value>| {
            json!({"id": id, "name": format!("kvm-{id}"), "cluster": 1, "cpu_total": 16, "cpu_used": 2,
                "memory_total_mib": 65536, "memory_used_mib": 4096, "vm_count": 0, "vm_limit": null,
                "maintenance": false, "vm_creation_allowed": true, "qemu_version": "7.2.0", "load": load})
        };
        let snapshot = json!({
            "version": 1, "taken_at": "2026-11-23T12:00:00Z", "clusters": [{"id": 1, "name": "msk"}],
            "nodes": [node(10, Some(load)), node(11, None)], "vms": [],
        });
        let snapshot = Snapshot::from_json(&snapshot.to_string()).unwrap();
        let policy = Policy::default();
        let plan = planner::plan(&snapshot, &policy);
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || of_nodes(&Picture::new(snapshot, policy, plan)));
        let text = recorder.handle().render();
        for line in [
            "vm_balancer_node_load5{cluster=\"msk\",cluster_id=\"1\",node=\"kvm-10\",node_id=\"10\"} 4.5\n",
            "vm_balancer_node_memory_used_bytes{cluster=\"msk\",cluster_id=\"1\",node=\"kvm-10\",node_id=\"10\"} 1073741824\n",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
        assert!(!text.contains("load5{cluster=\"msk\",cluster_id=\"1\",node=\"kvm-11\""), "{text}");
    }

    #[test]
    fn clusters_of_one_name_have_figures_of_their_own() {
        let snapshot = json!({
            "version": 1, "taken_at": "2026-11-23T12:00:00Z", "nodes": [], "vms": [],
            "clusters": [{"id": 1, "name": "msk"}, {"id": 2, "name": "msk"}],
        });
        let snapshot = Snapshot::from_json(&snapshot.to_string()).unwrap();
        let policy = Policy::default();
        let plan = planner::plan(&snapshot, &policy);
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || of_clusters(&Picture::new(snapshot, policy, plan)));
        let text = recorder.handle().render();
        for id in [1, 2] {
            let line = format!("vm_balancer_imbalance{{cluster=\"msk\",cluster_id=\"{id}\"}} 0\n");
            assert!(text.contains(&line), "no {line} in {text}");
        }
    }
}
