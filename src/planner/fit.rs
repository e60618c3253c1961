//! Asks again, on a world that may have moved on: may this step be ordered now, and what is left of this plan?
//!
//! Works on whatever the snapshot holds: a reduced one (a cluster's nodes and VMs alone) is enough.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    amounts::Dimension,
    board::{Board, Placement},
    figures, narrate,
    plan::{
        Caution, Figures, Hold, Migration, MoveWhy, NodeChange, Overloaded, Resource, SkipWhy, TargetRefusal,
    },
    policy::{Policy, RestWhy},
};
use crate::model::{ClusterId, ClusterInfo, NodeId, Snapshot, VmId};

/// Why a planned step may not be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// The VM is not there.
    VmGone,
    /// The source or the target is not there.
    NodeGone(NodeId),
    /// The VM is on another node than the plan says.
    Moved {
        /// The node that it is on.
        now: NodeId,
    },
    /// The VM is on the target.
    AlreadyThere,
    /// The VM may not be moved.
    Vm(SkipWhy),
    /// The target may not take it.
    Target(TargetRefusal),
    /// Nothing may be done in the cluster.
    Held(Hold),
    /// It would not help any more.
    NoRelief,
}

/// What is left of an approved plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revalidated {
    /// In the order of the plan, with the steps' own numbers.
    pub kept: Vec<Migration>,
    /// The steps that fit no more, each with the reason.
    pub dropped: Vec<(Migration, Unfit)>,
    /// Whether what is left still does what the plan was made for.
    pub relieves: bool,
}

/// What some steps of a plan lead to without the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// The cluster as it stands.
    pub before: Figures,
    /// The cluster once those steps are done.
    pub after: Figures,
    /// The nodes that are over a threshold then.
    pub over: Vec<Overloaded>,
    /// The source and the target of each step that fits, by the step's number.
    pub nodes: BTreeMap<u32, (NodeChange, NodeChange)>,
    /// The steps that do not fit without the others.
    pub unfit: BTreeMap<u32, Unfit>,
}

/// Tells whether one step of a plan may be ordered on this snapshot.
///
/// # Errors
///
/// Says which rule forbids it, or what has changed since the plan was made.
pub fn fit(snapshot: &Snapshot, policy: &Policy, migration: &Migration) -> Result<(), Unfit> {
    let cluster = cluster_of(snapshot, migration)?;
    let board = Board::new(snapshot, policy, &cluster);
    let placement = board.start();
    fit_on(&board, &placement, migration)
}

/// Replays an approved plan on a newer snapshot and drops the steps that no longer fit or help.
#[must_use]
pub fn revalidate(snapshot: &Snapshot, policy: &Policy, migrations: &[Migration]) -> Revalidated {
    let mut result = Revalidated::default();
    let mut clusters: Vec<ClusterInfo> = Vec::new();
    let mut of_cluster: Vec<(ClusterId, &Migration)> = Vec::new();
    for migration in migrations {
        match cluster_of(snapshot, migration) {
            Ok(cluster) => {
                of_cluster.push((cluster.id, migration));
                if clusters.iter().all(|known| known.id != cluster.id) {
                    clusters.push(cluster);
                }
            }
            Err(unfit) => result.dropped.push((migration.clone(), unfit)),
        }
    }
    for cluster in &clusters {
        let own: Vec<_> = of_cluster.iter().filter(|(id, _)| *id == cluster.id).map(|(_, m)| *m).collect();
        revalidate_cluster(&Board::new(snapshot, policy, cluster).going_on(), &own, &mut result);
    }
    result.dropped.sort_by_key(|(migration, _)| migration.step);
    result
}

/// Returns what these steps of a cluster's plan lead to on this snapshot; `None` where it does not have the cluster.
#[must_use]
pub fn outlook(
    snapshot: &Snapshot,
    policy: &Policy,
    cluster: ClusterId,
    steps: &[&Migration],
) -> Option<Outlook> {
    let board = Board::new(snapshot, policy, snapshot.cluster(cluster)?).going_on();
    let mut left = Revalidated::default();
    revalidate_cluster(&board, steps, &mut left);
    let start = board.start();
    let mut end = board.start();
    let mut nodes = BTreeMap::new();
    for migration in &left.kept {
        let (Some(vm), Some(target)) = (board.vm_of(migration.vm), board.node_of(migration.target)) else {
            continue;
        };
        let source = end.at[vm];
        let at = |placement: &Placement, node: usize| board.fullness(node, placement.used[node]);
        let before = (at(&end, source), at(&end, target));
        board.apply(&mut end, vm, target);
        let change = |before, node| NodeChange { before, after: at(&end, node) };
        nodes.insert(migration.step, (change(before.0, source), change(before.1, target)));
    }
    Some(Outlook {
        before: figures::figures(&board, &start),
        after: figures::figures(&board, &end),
        over: narrate::list_overloaded(&board, &end),
        nodes,
        unfit: left.dropped.into_iter().map(|(migration, unfit)| (migration.step, unfit)).collect(),
    })
}

fn revalidate_cluster(board: &Board<'_>, migrations: &[&Migration], result: &mut Revalidated) {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    let lowered = board.with_margin();
    let goal = lowered.as_ref().unwrap_or(board);
    let mut useless = BTreeSet::new();
    // Room is made for somebody: once that migration is dropped, making room is of no use, so begin again.
    loop {
        (kept, dropped) = replay((board, goal), migrations, &useless, (kept, dropped));
        let helps = |for_vm: VmId| kept.iter().any(|m: &Migration| m.vm == for_vm);
        let idle =
            kept.iter().filter(|m| matches!(m.why, MoveWhy::MakeRoom { for_vm, .. } if !helps(for_vm)));
        let idle: Vec<_> = idle.map(|m| m.step).collect();
        if idle.is_empty() {
            break;
        }
        useless.extend(idle);
    }
    let mut end = board.start();
    for migration in &kept {
        if let (Some(vm), Some(target)) = (board.vm_of(migration.vm), board.node_of(migration.target)) {
            board.apply(&mut end, vm, target);
        }
    }
    let start = board.start();
    let by_itself = kept.iter().any(|m| m.why.is_wish() || matches!(m.why, MoveWhy::Level { .. }));
    // What people approved for relief is not for relief in advance alone.
    let by_itself = by_itself || !kept.is_empty() && migrations.iter().all(|m| m.why.is_ahead());
    result.relieves |= by_itself || figures::overload(board, &end) < figures::overload(board, &start);
    result.kept.append(&mut kept);
    result.dropped.append(&mut dropped);
}

type KeptAndDropped = (Vec<Migration>, Vec<(Migration, Unfit)>);

/// `goal` has the thresholds below which relief takes the nodes.
fn replay(
    (board, goal): (&Board<'_>, &Board<'_>),
    migrations: &[&Migration],
    useless: &BTreeSet<u32>,
    (mut kept, mut dropped): KeptAndDropped,
) -> KeptAndDropped {
    kept.clear();
    dropped.clear();
    let mut placement = board.start();
    for migration in migrations {
        let fits = match useless.contains(&migration.step) {
            true => Err(Unfit::NoRelief),
            false => {
                fit_on(board, &placement, migration).and_then(|()| still_helps(goal, &placement, migration))
            }
        };
        match fits {
            Ok(()) => {
                if let (Some(vm), Some(target)) = (board.vm_of(migration.vm), board.node_of(migration.target))
                {
                    board.apply(&mut placement, vm, target);
                }
                kept.push((*migration).clone());
            }
            Err(unfit) => dropped.push(((*migration).clone(), unfit)),
        }
    }
    (kept, dropped)
}

/// A step that relieves must find its source overloaded, unless it is the second leg of a detour; one in advance must find
/// its source near the threshold and not bring its target there; one that evens out must lower the imbalance.
fn still_helps(board: &Board<'_>, placement: &Placement, migration: &Migration) -> Result<(), Unfit> {
    let (Some(vm), Some(target)) = (board.vm_of(migration.vm), board.node_of(migration.target)) else {
        return Err(Unfit::VmGone);
    };
    let source = placement.at[vm];
    let second_leg = board.vms[vm].node != source;
    let helps = match migration.why {
        MoveWhy::Relieve(_) => second_leg || board.nodes[source].is_over(&placement.used[source]),
        MoveWhy::Ahead(_) => {
            let filled = board.fill_after(placement, vm, target);
            let is_far = |node: usize, used: &_| board.nodes[node].is_far(used, board.policy);
            !is_far(source, &placement.used[source]) && is_far(target, &filled)
        }
        MoveWhy::Level { .. } => {
            let mut after = placement.clone();
            board.apply(&mut after, vm, target);
            figures::imbalance(board, &after.used) < figures::imbalance(board, &placement.used)
        }
        MoveWhy::MakeRoom { .. } | MoveWhy::Drain | MoveWhy::Undo { .. } => true,
    };
    if helps { Ok(()) } else { Err(Unfit::NoRelief) }
}

fn cluster_of(snapshot: &Snapshot, migration: &Migration) -> Result<ClusterInfo, Unfit> {
    let node = snapshot.node(migration.target).ok_or(Unfit::NodeGone(migration.target))?;
    let unnamed = || ClusterInfo::new(node.cluster, node.cluster.to_string());
    Ok(snapshot.cluster(node.cluster).cloned().unwrap_or_else(unnamed))
}

fn fit_on(board: &Board<'_>, placement: &Placement, migration: &Migration) -> Result<(), Unfit> {
    if let Some(hold) = narrate::hold(board) {
        return Err(Unfit::Held(hold));
    }
    let target = board.node_of(migration.target).ok_or(Unfit::NodeGone(migration.target))?;
    let vm = match (board.vm_of(migration.vm), board.snapshot.vm(migration.vm)) {
        (Some(vm), _) => vm,
        (None, Some(elsewhere)) => return Err(Unfit::Moved { now: elsewhere.node }),
        (None, None) => return Err(Unfit::VmGone),
    };
    let now = board.nodes[placement.at[vm]].info.id;
    if now == migration.target {
        return Err(Unfit::AlreadyThere);
    }
    if now != migration.source {
        return Err(Unfit::Moved { now });
    }
    match board.movable(vm, migration.why.is_wish()) {
        // The plan said that it moves a VM that rests after a move.
        Err(SkipWhy::Resting { why: RestWhy::Moved, .. }) if says_moved_lately(migration) => {}
        movable => movable.map_err(Unfit::Vm)?,
    }
    let refusal = match (says_soft(migration), &migration.why) {
        (true, _) if board.policy.soft_targets => board.soft_refusal(placement, vm, target),
        (true, MoveWhy::Relieve(excess)) => {
            board.refusal_beside(alone(excess.resource), placement, vm, target)
        }
        (true, MoveWhy::MakeRoom { .. }) => board.refusal_beside(&[], placement, vm, target),
        _ => board.refusal(placement, vm, target),
    };
    if let Some(refusal) = refusal {
        return Err(Unfit::Target(refusal));
    }
    let cautions = board.cautions(placement, vm, target);
    let unsaid = |caution: &&Caution| !migration.cautions.iter().any(|said| is_alike(said, caution));
    match cautions.iter().find(unsaid) {
        Some(Caution::SoftTarget { resource: Resource::Memory }) => Err(Unfit::Target(TargetRefusal::Memory)),
        Some(Caution::SoftTarget { resource: Resource::Cpu }) => Err(Unfit::Target(TargetRefusal::Cpu)),
        Some(Caution::SoftTarget { resource: Resource::Load }) => Err(Unfit::Target(TargetRefusal::Load)),
        Some(Caution::NewerKernel { .. }) => Err(Unfit::Target(TargetRefusal::NewerKernel)),
        Some(Caution::HostPassthrough { .. }) => Err(Unfit::Vm(SkipWhy::HostPassthrough)),
        Some(Caution::MovedLately { until }) => {
            Err(Unfit::Vm(SkipWhy::Resting { until: *until, why: RestWhy::Moved }))
        }
        None => Ok(()),
    }
}

fn says_soft(migration: &Migration) -> bool {
    migration.cautions.iter().any(|caution| matches!(caution, Caution::SoftTarget { .. }))
}

/// The resource that a move relieves, where others count only near their thresholds.
fn alone(relieved: Resource) -> &'static [Dimension] {
    let [memory, cpus] = Dimension::EACH_ALONE;
    match relieved {
        Resource::Memory => memory,
        Resource::Cpu | Resource::Load => cpus,
    }
}

fn says_moved_lately(migration: &Migration) -> bool {
    migration.cautions.iter().any(|caution| matches!(caution, Caution::MovedLately { .. }))
}

/// Tells whether a risk of now is one that the plan named, or less.
fn is_alike(said: &Caution, now: &Caution) -> bool {
    match (said, now) {
        (Caution::NewerKernel { .. }, Caution::NewerKernel { .. })
        | (Caution::MovedLately { .. }, Caution::MovedLately { .. }) => true,
        (Caution::HostPassthrough { same_cpu: said }, Caution::HostPassthrough { same_cpu: now }) => {
            *now || !said
        }
        (Caution::SoftTarget { resource: said }, Caution::SoftTarget { resource: now }) => said == now,
        _ => false,
    }
}
