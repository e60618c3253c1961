//! Answers "why this, why not that" about one node, one VM or one cluster, under the rules the planner obeys.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{
    amounts::{
        Amounts,
        Dimension::{InUse, Memory},
        MICRO, share,
    },
    board::Board,
    figures, load, narrate,
    node::SourceClosed,
    plan::{Caution, Excess, Figures, Fullness, Hold, SkipWhy, Strain, TargetRefusal},
    policy::Policy,
    terms::Link,
};
use crate::model::{ClusterId, ClusterInfo, Mib, NodeId, Snapshot, VmId, VmUse};

/// A cluster as its nodes stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// VMmanager's number of the cluster.
    pub cluster: ClusterId,
    /// The cluster's name in VMmanager.
    pub name: String,
    /// By ascending node id.
    pub nodes: Vec<NodeOverview>,
    /// The cluster in four numbers.
    pub figures: Figures,
    /// Why nothing may be done here; `None` where plans are made.
    pub held: Option<Hold>,
}

/// A node as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeOverview {
    /// VMmanager's number of the node.
    pub node: NodeId,
    /// The node's name in VMmanager.
    pub name: String,
    /// How full the node is.
    pub at: Fullness,
    /// How many VMs are on it, in whatever state.
    pub vms: usize,
    /// Each resource over its threshold; empty for a node that is not overloaded.
    pub over: Vec<Excess>,
    /// Whether its capacity is known; where not, the fullness says nothing.
    pub known: bool,
    /// Whether it is asked to measure itself.
    pub asked: bool,
    /// What it measured of itself, if ever.
    pub measured: Option<NodeReading>,
    /// What it suffers from although its thresholds hold.
    pub strains: Vec<Strain>,
}

/// What a node measured of itself, as the planner takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeReading {
    /// When it was measured (UTC).
    pub at: DateTime<Utc>,
    /// Whether it counts; an old one does not, and then allocation does.
    pub fresh: bool,
    /// Load per core over 5 minutes; `None` where the number of cores is not known.
    pub load: Option<f64>,
    /// Over the threshold in this reading and not in the one before: it counts when the next one is, too.
    pub waits: bool,
    /// Over the threshold, but VMs left since most of what the average shows: when it counts again.
    pub settles: Option<DateTime<Utc>>,
    /// Memory really used, which allocation says nothing about.
    pub memory_used: Option<Mib>,
    /// The same in percent of all the node's memory.
    pub memory_used_percent: Option<f64>,
    /// Percent of time in which some task waited for Cpu.
    pub cpu_pressure: Option<f64>,
    /// Percent of time in which some task waited for memory.
    pub memory_pressure: Option<f64>,
    /// Percent of time in which some task waited for storage.
    pub io_pressure: Option<f64>,
}

/// What there is to say of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeExplained {
    /// The node as it stands.
    pub overview: NodeOverview,
    /// The cluster that the node belongs to.
    pub cluster: ClusterId,
    /// Why nothing may be done in its cluster.
    pub held: Option<Hold>,
    /// Why no VM leaves it; `Ok` where VMs may.
    pub source: Result<(), SkipWhy>,
    /// Why it takes no VM; `Ok` where it takes those that fit.
    pub target: Result<(), TargetRefusal>,
    /// How many other nodes have an older kernel: their VMs come here only where nothing else helps.
    pub newer_than: usize,
    /// VMs on it that may be moved.
    pub movable: usize,
    /// Why VMs on it stay wherever they are.
    pub stays: BTreeMap<VmId, SkipWhy>,
    /// Memory that moves may still fill; zero where it is full or closed.
    pub memory_room: Mib,
}

/// What there is to say of a VM.
#[derive(Clone, Debug, PartialEq)]
pub struct VmExplained {
    /// VMmanager's number of the VM.
    pub vm: VmId,
    /// The VM's name in VMmanager.
    pub name: String,
    /// The node that the VM is on.
    pub node: NodeId,
    /// The cluster of that node.
    pub cluster: ClusterId,
    /// Why nothing may be done in its cluster.
    pub held: Option<Hold>,
    /// Why it stays; `Ok` where it may be moved.
    pub movable: Result<(), SkipWhy>,
    /// What it really uses of CPU, where its node was asked; it may be old.
    pub measured: Option<VmUse>,
    /// Nodes of its cluster that would take it, with how full they would become.
    pub targets: Vec<(NodeId, String, Fullness, Vec<Caution>)>,
    /// Nodes of its cluster that would not.
    pub refusals: Vec<(NodeId, String, TargetRefusal)>,
}

/// Returns how a cluster stands; `None` for a cluster that the snapshot does not have.
#[must_use]
pub fn overview(snapshot: &Snapshot, policy: &Policy, cluster: ClusterId) -> Option<Overview> {
    let board = Board::new(snapshot, policy, snapshot.cluster(cluster)?);
    Some(Overview {
        cluster,
        name: board.info.name.clone(),
        nodes: (0..board.nodes.len()).map(|node| node_overview(&board, node)).collect(),
        figures: figures::figures(&board, &board.start()),
        held: narrate::hold(&board),
    })
}

/// Returns the overloaded nodes of all clusters that the policy names, with their clusters.
#[must_use]
pub fn overloaded_nodes(snapshot: &Snapshot, policy: &Policy) -> BTreeMap<NodeId, ClusterId> {
    let wanted =
        |cluster: &&ClusterInfo| policy.clusters.as_ref().is_none_or(|only| only.contains(&cluster.id));
    let nodes = snapshot.clusters.iter().filter(wanted).flat_map(|cluster| {
        let board = Board::new(snapshot, policy, cluster);
        let over = narrate::list_overloaded(&board, &board.start());
        over.into_iter().map(|node| (node.node, cluster.id))
    });
    nodes.collect()
}

/// Returns what there is to say of a node; `None` for one that the snapshot does not have.
#[must_use]
pub fn explain_node(snapshot: &Snapshot, policy: &Policy, node: NodeId) -> Option<NodeExplained> {
    let cluster = snapshot.node(node)?.cluster;
    let board = Board::new(snapshot, policy, snapshot.cluster(cluster)?);
    let index = board.node_of(node)?;
    let facts = &board.nodes[index];
    let source = match &facts.source {
        Ok(()) => Ok(()),
        Err(SourceClosed::Excluded) => Err(SkipWhy::ExcludedSource),
        Err(SourceClosed::Node(closed)) => Err(SkipWhy::NodeState(closed.clone())),
    };
    let full = facts.overfilled_by(facts.start, smallest());
    let crowded = facts.room.is_reached_by(facts.start_count).then_some(TargetRefusal::VmLimit);
    let closed = || crowded.or(full).or_else(|| closed_to_all(&board, index));
    let target = facts.target.and_then(|()| closed().map_or(Ok(()), Err));
    let left = [Memory, InUse].into_iter().filter_map(|r| facts.ceiling[r].room(facts.start[r])).min();
    let room = left.filter(|_| target.is_ok()).unwrap_or(0);
    Some(NodeExplained {
        overview: node_overview(&board, index),
        cluster,
        held: narrate::hold(&board),
        source,
        target,
        newer_than: links_to(&board, index)
            .filter(|link| link.newer_kernel && link.refusal.is_none())
            .count(),
        stays: board.vms_on[index]
            .iter()
            .filter_map(|vm| Some((board.vms[*vm].info.id, board.vms[*vm].free.clone().err()?)))
            .collect(),
        movable: board.vms_on[index].iter().filter(|vm| board.movable(**vm, false).is_ok()).count(),
        memory_room: Mib(u64::try_from(room).unwrap_or(0)),
    })
}

/// Why no VM of any other node may come here, however much room there is.
fn closed_to_all(board: &Board<'_>, node: usize) -> Option<TargetRefusal> {
    let refusals: Option<Vec<_>> = links_to(board, node).map(|link| link.refusal).collect();
    refusals?.first().copied()
}

fn links_to(board: &Board<'_>, node: usize) -> impl Iterator<Item = Link> {
    (0..board.nodes.len())
        .filter(move |other| *other != node)
        .map(move |other| board.links.between(other, node))
}

/// The least that a VM can need: a node that cannot take this takes nothing.
fn smallest() -> Amounts {
    Amounts::new(1, MICRO, 1, 1, 0)
}

/// Returns what there is to say of a VM; `None` for one that the snapshot does not have on a known node.
#[must_use]
pub fn explain_vm(snapshot: &Snapshot, policy: &Policy, vm: VmId) -> Option<VmExplained> {
    let info = snapshot.vm(vm)?;
    let cluster = snapshot.node(info.node)?.cluster;
    let board = Board::new(snapshot, policy, snapshot.cluster(cluster)?);
    let (index, placement) = (board.vm_of(vm)?, board.start());
    let mut targets = Vec::new();
    let mut refusals = Vec::new();
    for (node, facts) in board.nodes.iter().enumerate() {
        let (id, name) = (facts.info.id, facts.info.name.clone());
        match board.refusal(&placement, index, node) {
            Some(TargetRefusal::SameNode) => {}
            Some(refusal) => refusals.push((id, name, refusal)),
            None => {
                let after = facts.fullness(placement.used[node] + board.vms[index].needs);
                targets.push((id, name, after, board.cautions(&placement, index, node)));
            }
        }
    }
    Some(VmExplained {
        vm,
        name: info.name.clone(),
        node: info.node,
        cluster,
        held: narrate::hold(&board),
        movable: board.may_relieve(index, placement.at[index], &placement.used[placement.at[index]]),
        measured: info.measured.clone(),
        targets,
        refusals,
    })
}

fn node_overview(board: &Board<'_>, node: usize) -> NodeOverview {
    let facts = &board.nodes[node];
    NodeOverview {
        node: facts.info.id,
        name: facts.info.name.clone(),
        at: facts.fullness(facts.start),
        vms: board.vms_on[node].len(),
        over: figures::excesses(board, node, &facts.start),
        known: facts.known,
        asked: board.policy.nodes_are_asked,
        measured: reading(board, node),
        strains: narrate::list_strains(board, node),
    }
}

fn reading(board: &Board<'_>, node: usize) -> Option<NodeReading> {
    let info = board.nodes[node].info;
    let measured = info.load.as_ref()?;
    let counts = load::fresh_load(info, board.snapshot.taken_at, board.policy);
    let load = load::cpus(info).map(|cpus| measured.five / f64::from(cpus));
    let over = load::reads_over(info, board.policy);
    let percent = |used: Mib| info.real_memory().map(|all| share(to_signed(used), to_signed(all)) * 100.0);
    Some(NodeReading {
        at: measured.at,
        fresh: counts.is_some(),
        load,
        waits: over && counts.is_some_and(|counts| !counts.persistent),
        settles: narrate::settles(board, node),
        memory_used: measured.memory_used_mib,
        memory_used_percent: measured.memory_used_mib.and_then(percent),
        cpu_pressure: measured.cpu_pressure,
        memory_pressure: measured.memory_pressure,
        io_pressure: measured.io_pressure,
    })
}

fn to_signed(amount: Mib) -> i64 {
    i64::try_from(amount.0).unwrap_or(i64::MAX)
}
