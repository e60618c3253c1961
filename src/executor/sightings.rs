//! What the steps of one plan see of the platform before they are ordered.
//!
//! The first look reads whole lists. A step that begins by itself later asks for its VM, its two nodes and the tasks. It
//! goes on with the known picture of the plan's cluster where these are as they should be: as that picture has them, moved
//! on by what this plan has done since. Where anything differs, whole lists are read again.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    eyes::{Depth, Eyes, LookError},
    model::{ClusterId, NodeId, NodeInfo, Snapshot, VmInfo},
    planner::Migration,
    store::{Outcome, Step, StepState},
};

/// Up to this many steps that begin together are asked for one by one, with three requests for each. Lists of the whole
/// platform cost VMmanager less where there are more.
const ASKED_ONE_BY_ONE_MAX: usize = 4;

/// A picture is read anew after this time, for it tells what no row of a VM or a node does: e.g. that half of the VMs are
/// gone. A plan of hundreds of migrations takes hours.
const PICTURE_AGE_MAX: TimeDelta = TimeDelta::minutes(10);

/// The picture that the steps of one plan share.
pub(super) struct Sightings {
    cluster: ClusterId,
    known: Mutex<Option<Known>>,
}

/// The plan's cluster as it was seen last.
#[derive(Clone)]
struct Known {
    snapshot: Snapshot,
    /// When whole lists were read.
    listed_at: DateTime<Utc>,
    /// The steps whose ends are in it.
    ended: BTreeSet<u32>,
}

impl Sightings {
    /// Nothing is seen yet.
    pub(super) fn of(cluster: ClusterId) -> Self {
        Self { cluster, known: Mutex::default() }
    }

    /// Looks for steps that begin together; `steps` is the plan's record at this moment.
    pub(super) async fn look(
        &self,
        eyes: &Eyes,
        begun: &[&Migration],
        steps: &[Step],
        now: DateTime<Utc>,
    ) -> Result<Snapshot, LookError> {
        if begun.len() <= ASKED_ONE_BY_ONE_MAX
            && let Some(known) = self.moved_on(steps, now)
        {
            let vms: Vec<_> = begun.iter().map(|step| step.vm).collect();
            let nodes: Vec<_> = begun.iter().flat_map(|step| [step.source, step.target]).collect();
            if let Some(snapshot) = eyes.confirm(&known.snapshot, &vms, &nodes).await? {
                self.keep(Known { snapshot: snapshot.clone(), ..known });
                return Ok(snapshot);
            }
            tracing::debug!("a step's VM or nodes are not as they should be; reading whole lists");
        }
        let snapshot = eyes.look(Depth::Quick).await?;
        let ended = done(steps).map(|migration| migration.step).collect();
        let of_cluster = of_cluster(&snapshot, self.cluster);
        self.keep(Known { listed_at: snapshot.taken_at, snapshot: of_cluster, ended });
        Ok(snapshot)
    }

    /// Returns the known picture with what the plan has done since; `None` where it is too old, or there is none.
    fn moved_on(&self, steps: &[Step], now: DateTime<Utc>) -> Option<Known> {
        let is_young =
            |known: &Known| (TimeDelta::zero()..PICTURE_AGE_MAX).contains(&(now - known.listed_at));
        let mut known = self.lock().clone().filter(is_young)?;
        for migration in done(steps) {
            if known.ended.insert(migration.step) {
                carry_over(&mut known.snapshot, migration);
            }
        }
        Some(known)
    }

    fn keep(&self, known: Known) {
        let mut kept = self.lock();
        if kept.as_ref().is_none_or(|kept| kept.snapshot.taken_at <= known.snapshot.taken_at) {
            *kept = Some(known);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn done(steps: &[Step]) -> impl Iterator<Item = &Migration> {
    let is_done = |step: &&Step| matches!(step.state, StepState::Ended { outcome: Outcome::Done, .. });
    steps.iter().filter(is_done).map(|step| &step.migration)
}

/// Puts a VM where a step has moved it, unless the picture has it there.
fn carry_over(snapshot: &mut Snapshot, migration: &Migration) {
    let Migration { vm, source, target, .. } = migration;
    let moved = snapshot.vms.iter_mut().find(|known| known.id == *vm && known.node == *source);
    let Some(moved) = moved else { return };
    moved.node = *target;
    let moved = moved.clone();
    for node in &mut snapshot.nodes {
        match node.id {
            id if id == *source => take_off(node, &moved),
            id if id == *target => put_on(node, &moved),
            _ => {}
        }
    }
}

fn take_off(node: &mut NodeInfo, vm: &VmInfo) {
    node.cpu_used = node.cpu_used.map(|used| used.saturating_sub(vm.cpu_cores));
    node.memory_used = node.memory_used.map(|used| used.saturating_sub(vm.memory));
    node.vm_count = node.vm_count.saturating_sub(1);
}

fn put_on(node: &mut NodeInfo, vm: &VmInfo) {
    node.cpu_used = node.cpu_used.map(|used| used.saturating_add(vm.cpu_cores));
    node.memory_used = node.memory_used.map(|used| used + vm.memory);
    node.vm_count = node.vm_count.saturating_add(1);
}

/// Only a plan's own cluster is kept: its steps ask for no other.
fn of_cluster(whole: &Snapshot, cluster: ClusterId) -> Snapshot {
    let mut clusters = whole.clusters.clone();
    clusters.retain(|known| known.id == cluster);
    let nodes: Vec<_> = whole.nodes.iter().filter(|node| node.cluster == cluster).cloned().collect();
    let ids: BTreeSet<NodeId> = nodes.iter().map(|node| node.id).collect();
    let vms = whole.vms.iter().filter(|vm| ids.contains(&vm.node)).cloned().collect();
    let mut unmeasured = whole.unmeasured.clone();
    unmeasured.retain(|known| ids.contains(&known.node));
    let (version, taken_at, foreign) = (whole.version, whole.taken_at, whole.foreign.clone());
    Snapshot { version, taken_at, clusters, nodes, vms, foreign, unmeasured }
}
