//! What nobody undercuts: the shortest time in which what is overloaded by memory in the beginning can be relieved.

use std::fmt;

use super::rules::minutes;
use crate::{
    model::{NodeInfo, Snapshot, VmState},
    planner::Policy,
};

/// A start from which nodes are cleared as fast as can be, with a place for every VM, no failures and all of it known at
/// once. Of overload that comes later it knows nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Nodes that are over their memory threshold and can be relieved.
    pub nodes: usize,
    /// VMs that move at one time.
    pub lanes: u32,
    /// The node-hours of overload until all of them are clear, where the shortest work goes first.
    pub overload: f64,
    /// Hours until the last one is clear, where the work is dealt out evenly.
    pub longest: f64,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, lanes, overload, longest } = self;
        write!(f, "{nodes} nodes are over by memory in the beginning. ")?;
        write!(
            f,
            "With {lanes} migrations at a time nobody leaves less than {overload:.1} node-h of that, "
        )?;
        write!(f, "and nobody clears the last of them before {longest:.2} h.")
    }
}

/// No two migrations share a node, so those of one node run one after the other, and each node is one piece of work.
pub(super) fn of(snapshot: &Snapshot, lanes: u32) -> Bound {
    let lanes = lanes.max(1);
    let mut work: Vec<u32> = snapshot.nodes.iter().filter_map(|node| until_clear(snapshot, node)).collect();
    work.sort_unstable();
    // The shortest first is the least sum on lanes that are alike.
    let mut free_at = vec![0; lanes as usize];
    let mut overload = 0;
    for minutes in &work {
        if let Some(first) = free_at.iter_mut().min() {
            *first += minutes;
            overload += *first;
        }
    }
    let last = work.iter().sum::<u32>().div_ceil(lanes).max(work.last().copied().unwrap_or(0));
    Bound { nodes: work.len(), lanes, overload: f64::from(overload) / 60.0, longest: f64::from(last) / 60.0 }
}

/// The fewest minutes in which VMs leave that take a node to its memory threshold; `None` where it is not over, or stays so.
fn until_clear(snapshot: &Snapshot, node: &NodeInfo) -> Option<u32> {
    let of_node = || snapshot.vms.iter().filter(|vm| vm.node == node.id);
    let allocated: u64 = of_node().map(|vm| vm.memory.0).sum();
    let allowed = node.memory_total?.0 as f64 * Policy::default().memory.overload / 100.0;
    let excess = allocated.checked_sub(allowed as u64).filter(|excess| *excess > 0)?;
    let movable = of_node().filter(|vm| vm.state == VmState::Active && vm.blocked_by.is_empty());
    // For each number of minutes the most that can leave in them.
    let mut most = vec![0];
    for vm in movable {
        let took = minutes(vm.memory) as usize;
        most.resize(most.len() + took, most.last().copied().unwrap_or(0));
        for minute in (took..most.len()).rev() {
            most[minute] = most[minute].max(most[minute - took] + vm.memory.0);
        }
    }
    most.iter().position(|leaves| *leaves >= excess).and_then(|minutes| u32::try_from(minutes).ok())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{ClusterId, Mib, NodeId, VmId, VmInfo};

    const GIB: u64 = 1024;

    /// Nodes of 100 GiB; each row has the VMs of one, in GiB.
    fn cluster(nodes: &[&[u64]]) -> Snapshot {
        let mut snapshot = Snapshot::empty(DateTime::UNIX_EPOCH);
        for (n, sizes) in nodes.iter().enumerate() {
            let id = NodeId(n as u64 + 1);
            let node = NodeInfo::new(id, format!("node-{id}"), ClusterId(1));
            snapshot.nodes.push(node.with_cpu(32, 0).with_memory(Mib(100 * GIB), Mib(0)));
            for size in *sizes {
                let vm = VmId(snapshot.vms.len() as u64 + 1);
                snapshot.vms.push(VmInfo::new(vm, format!("vm-{vm}"), id, 1, Mib(size * GIB)));
            }
        }
        snapshot
    }

    #[test]
    fn the_quickest_vms_leave_and_the_shortest_work_goes_first() {
        // 6 GiB take a minute, 18 two, 30 three. Nodes of 4, 1 and 2 minutes.
        let snapshot = cluster(&[&[30, 30, 6, 30, 10], &[60, 6, 10], &[60, 18, 4], &[70]]);
        let hours = |minutes: f64| minutes / 60.0;
        let one = of(&snapshot, 1);
        assert_eq!((one.nodes, one.overload, one.longest), (3, hours(11.0), hours(7.0)));
        let two = of(&snapshot, 2);
        assert_eq!((two.overload, two.longest), (hours(8.0), hours(4.0)));
    }

    #[test]
    fn what_cannot_leave_is_no_work() {
        let mut snapshot = cluster(&[&[60, 20]]);
        assert_eq!(of(&snapshot, 1).nodes, 1);
        snapshot.vms.iter_mut().for_each(|vm| vm.state = VmState::Unknown);
        assert_eq!(of(&snapshot, 1), Bound { nodes: 0, lanes: 1, overload: 0.0, longest: 0.0 });
    }
}
