//! Memory that is over its threshold by a hair: nothing is moved for it until that has lasted.
//!
//! A VM that is born or resized puts a well-filled node over its threshold by a few MiB, and the next one that ends takes
//! it back under. Such a node harms nobody, and a move for it may be one for nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::policy::Policy;
use crate::model::{NodeId, NodeInfo, Snapshot};

/// A node over its memory threshold by at most this many points counts only once that has lasted.
pub const MEMORY_BRIM: f64 = 0.1;

/// How long they must last: long enough for a few looks, and short beside the half hour in which overload should be gone.
pub const BRIM_LASTS: TimeDelta = TimeDelta::minutes(10);

/// Which nodes are a hair over their memory threshold, and since when.
#[derive(Clone, Debug, Default)]
pub struct Brims {
    since: BTreeMap<NodeId, DateTime<Utc>>,
    known: BTreeSet<NodeId>,
}

impl Brims {
    /// Takes a look into account.
    pub fn note(&mut self, snapshot: &Snapshot, policy: &Policy) {
        let at = snapshot.taken_at;
        // Of a node that was never seen before nobody knows for how long it has been so: it counts at once.
        let began = |node: NodeId| match self.since.get(&node) {
            Some(since) => *since,
            None if self.known.contains(&node) => at,
            None => DateTime::<Utc>::MIN_UTC,
        };
        let since = at_the_brim(snapshot, policy).into_iter().map(|node| (node, began(node))).collect();
        self.since = since;
        self.known = snapshot.nodes.iter().map(|node| node.id).collect();
    }

    /// Returns the nodes for which relief of memory waits at this moment.
    #[must_use]
    pub fn waiting(&self, now: DateTime<Utc>) -> BTreeSet<NodeId> {
        let waits = |since: &DateTime<Utc>| *since <= now && now - *since < BRIM_LASTS;
        self.since.iter().filter(|(_, since)| waits(since)).map(|(node, _)| *node).collect()
    }
}

fn at_the_brim(snapshot: &Snapshot, policy: &Policy) -> Vec<NodeId> {
    let mut sums: BTreeMap<NodeId, u64> = BTreeMap::new();
    for vm in &snapshot.vms {
        let sum = sums.entry(vm.node).or_default();
        *sum = sum.saturating_add(vm.memory.0);
    }
    let percent = |node: &NodeInfo| {
        let total = node.memory_total.filter(|total| total.0 > 0)?;
        let summed = sums.get(&node.id).copied().unwrap_or(0);
        let used = node.memory_used.map_or(0, |used| used.0).max(summed);
        Some(used as f64 * 100.0 / total.0 as f64)
    };
    let over = policy.memory.overload;
    let is_brim = |percent: f64| percent > over && percent <= over + MEMORY_BRIM;
    let nodes = snapshot.nodes.iter().filter(|node| percent(node).is_some_and(is_brim));
    nodes.map(|node| node.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{ClusterId, ClusterInfo, Mib, VmId, VmInfo},
        planner::{self, check, plan},
    };

    /// A node of 100,000 MiB with this much allocated, and an empty one.
    fn cluster(minutes: i64, used: u64) -> Snapshot {
        let mut snapshot = Snapshot::empty(DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes));
        snapshot.clusters = vec![ClusterInfo::new(ClusterId(1), "msk")];
        let node = |id: u64, used| {
            NodeInfo::new(NodeId(id), format!("node-{id}"), ClusterId(1))
                .with_cpu(32, 4)
                .with_memory(Mib(100_000), Mib(used))
        };
        snapshot.nodes = vec![node(10, used), node(11, 0)];
        snapshot.vms = vec![VmInfo::new(VmId(1), "web", NodeId(10), 1, Mib(1024))];
        snapshot
    }

    fn moves(brims: &mut Brims, snapshot: &Snapshot) -> usize {
        let base = Policy::default();
        brims.note(snapshot, &base);
        let policy = Policy { memory_brims: brims.waiting(snapshot.taken_at), ..base };
        let plan = plan(snapshot, &policy).clusters.remove(0);
        assert_eq!(check(snapshot, &policy, &plan), []);
        assert_eq!(plan.overloaded.len(), planner::overloaded_nodes(snapshot, &policy).len());
        plan.migrations.len()
    }

    #[test]
    fn a_hair_over_the_threshold_waits_until_it_has_lasted() {
        let mut brims = Brims::default();
        assert_eq!(moves(&mut brims, &cluster(0, 70_000)), 0);
        let at = [(2, 70_050), (11, 70_090), (12, 70_050)].map(|(minute, used)| cluster(minute, used));
        assert_eq!(at.each_ref().map(|snapshot| moves(&mut brims, snapshot)), [0, 0, 1]);
        // More than a hair counts at once, and what was over in between begins anew.
        let at = [(14, 69_000), (16, 70_050), (18, 70_101)].map(|(minute, used)| cluster(minute, used));
        assert_eq!(at.each_ref().map(|snapshot| moves(&mut brims, snapshot)), [0, 0, 1]);
    }

    #[test]
    fn what_the_first_look_finds_counts_at_once() {
        assert_eq!(moves(&mut Brims::default(), &cluster(0, 70_050)), 1);
        assert_eq!(plan(&cluster(0, 70_050), &Policy::default()).clusters[0].migrations.len(), 1);
    }
}
