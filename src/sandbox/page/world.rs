//! The simulated clusters as the page draws them: small rows, and only those that changed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    model::{NodeId, VmId},
    sandbox::vmmanager::{SimNode, SimVm, TaskSeen, World},
};

/// How many ended tasks the page shows, the newest first.
const TASKS_SHOWN: usize = 40;
/// Loads are rounded to this step, so that invisible changes are not sent.
const LOAD_STEP: f64 = 0.02;

/// A node: id, name, cluster, cores, MiB, vCPUs, MiB allocated, VMs, in maintenance, load in hundredths per core.
type NodeRow = (u64, String, u64, u32, u64, u32, u64, u32, bool, u32);
/// A VM: id, name, node, vCPUs, MiB.
type VmRow = (u64, String, u64, u32, u64);

/// What changed since the last report to the page; at first, everything.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Delta {
    /// The simulated hour of the day.
    pub(super) hour: f64,
    pub(super) clusters: Vec<(u64, String)>,
    pub(super) nodes: Vec<NodeRow>,
    pub(super) nodes_gone: Vec<u64>,
    pub(super) vms: Vec<VmRow>,
    pub(super) vms_gone: Vec<u64>,
    /// All tasks worth showing, where one changed.
    pub(super) tasks: Option<Vec<TaskSeen>>,
}

impl Delta {
    /// Returns whether anything but the hour changed.
    pub(super) fn is_news(&self) -> bool {
        let Self { hour: _, clusters, nodes, nodes_gone, vms, vms_gone, tasks } = self;
        let rows = clusters.len() + nodes.len() + nodes_gone.len() + vms.len() + vms_gone.len();
        rows > 0 || tasks.is_some()
    }
}

/// What the page knows.
#[derive(Debug, Default)]
pub(super) struct Told {
    nodes: BTreeMap<NodeId, NodeRow>,
    vms: BTreeMap<VmId, (NodeId, u32, u64)>,
    tasks: Vec<TaskSeen>,
    clusters: usize,
}

impl Told {
    /// Returns what changed, and records it as known to the page.
    pub(super) fn delta(
        &mut self,
        world: &World,
        loads: &BTreeMap<NodeId, f64>,
        tasks: &[TaskSeen],
        hour: f64,
    ) -> Delta {
        let mut delta = Delta { hour, ..Delta::default() };
        if self.clusters != world.clusters.len() {
            self.clusters = world.clusters.len();
            delta.clusters =
                world.clusters.values().map(|cluster| (cluster.id.0, cluster.name.clone())).collect();
        }
        self.nodes_changed(world, loads, &mut delta);
        self.vms_changed(world, &mut delta);
        if self.tasks != tasks {
            self.tasks = tasks.to_vec();
            delta.tasks = Some(tasks.to_vec());
        }
        delta
    }

    fn nodes_changed(&mut self, world: &World, loads: &BTreeMap<NodeId, f64>, delta: &mut Delta) {
        for node in world.nodes.values() {
            let row = node_row(node, loads.get(&node.id).copied().unwrap_or_default());
            if self.nodes.get(&node.id) != Some(&row) {
                self.nodes.insert(node.id, row.clone());
                delta.nodes.push(row);
            }
        }
        self.nodes.retain(|id, _| {
            let stays = world.nodes.contains_key(id);
            if !stays {
                delta.nodes_gone.push(id.0);
            }
            stays
        });
    }

    fn vms_changed(&mut self, world: &World, delta: &mut Delta) {
        for vm in world.vms.values() {
            let seen = (vm.node, vm.cores, vm.memory.0);
            if self.vms.insert(vm.id, seen) != Some(seen) {
                delta.vms.push(vm_row(vm));
            }
        }
        self.vms.retain(|id, _| {
            let stays = world.vms.contains_key(id);
            if !stays {
                delta.vms_gone.push(id.0);
            }
            stays
        });
    }
}

/// Returns the tasks worth showing: those that run, and the newest others.
pub(super) fn shown(tasks: Vec<TaskSeen>) -> Vec<TaskSeen> {
    let older = tasks.len().saturating_sub(TASKS_SHOWN);
    let is_open = |task: &TaskSeen| task.status == "created" || task.status == "running";
    tasks
        .into_iter()
        .enumerate()
        .filter(|(n, task)| *n >= older || is_open(task))
        .map(|(_, task)| task)
        .collect()
}

fn node_row(node: &SimNode, load: f64) -> NodeRow {
    let load = (load / LOAD_STEP).round() * LOAD_STEP * 100.0;
    (
        node.id.0,
        node.name.clone(),
        node.cluster.0,
        node.cores,
        node.memory.0,
        node.vcpus_used,
        node.memory_used.0,
        node.vm_count,
        node.maintenance,
        load.round() as u32,
    )
}

fn vm_row(vm: &SimVm) -> VmRow {
    (vm.id.0, vm.name.clone(), vm.node.0, vm.cores, vm.memory.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_delta_is_everything_and_the_next_only_what_changed() {
        let mut told = Told::default();
        let mut world = World::small();
        let loads = BTreeMap::new();
        let first = told.delta(&world, &loads, &[], 9.0);
        assert_eq!((first.clusters.len(), first.nodes.len(), first.vms.len()), (1, 3, 10));
        assert!(!told.delta(&world, &loads, &[], 9.1).is_news());
        let vm = *world.vms.keys().next().unwrap();
        let target = *world.nodes.keys().next_back().unwrap();
        world.vms.get_mut(&vm).unwrap().node = target;
        let moved = told.delta(&world, &loads, &[], 9.2);
        assert_eq!((moved.vms.len(), moved.vms[0].0, moved.vms[0].2), (1, vm.0, target.0));
        world.vms.remove(&vm);
        assert_eq!(told.delta(&world, &loads, &[], 9.3).vms_gone, [vm.0]);
    }
}
