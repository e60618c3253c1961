//! One look at the platform, with what only this bot knows: which migrations are not its own, and whether the
//! picture is to be believed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::BoxFuture;

use crate::{
    clock::Clock,
    event::{Alert, Events},
    model::{ClusterId, ForeignMigration, Measured, NodeId, Snapshot, VmId, VmUse},
    store::{JournalEntry, JournalState, Store, StoreError},
    vmmanager::{ApiError, Look, RunningMigration, VmManagerApi},
};

/// Adds what the nodes measure of themselves to a snapshot. Joined in by whoever has SSH.
pub type Measure = Arc<dyn Fn(Snapshot) -> BoxFuture<'static, Snapshot> + Send + Sync>;

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Ask the nodes too.
    Measured,
    /// Take the nodes' measurements of the last look; the planner knows how old they are.
    Quick,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    VmManager(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A smaller picture is believed after so many reads running: a server that restarts is whole again by then.
const AGREEING_READS: u32 = 3;

/// Losing one VM of two is everyday life; below this nothing is suspicious.
const SUSPICIOUS_LOSS: usize = 2;

/// Looks at the platform.
pub struct Eyes {
    api: VmManagerApi,
    store: Store,
    events: Events,
    clock: Clock,
    measure: Option<Measure>,
    memory: Mutex<Memory>,
}

/// What the looks before this one left.
#[derive(Default)]
struct Memory {
    loads: BTreeMap<NodeId, Measured>,
    uses: BTreeMap<VmId, VmUse>,
    counts: BTreeMap<ClusterId, Count>,
    /// Foreign tasks that were told of already.
    foreign_told: BTreeSet<u64>,
    warned: BTreeSet<String>,
}

/// How many VMs a cluster has, and how many it seems to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    believed: usize,
    doubted: Option<Doubt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt {
    vms: usize,
    reads: u32,
}

impl Eyes {
    /// Joins the client with the journal.
    #[must_use]
    pub fn new(
        api: VmManagerApi,
        store: Store,
        events: Events,
        clock: Clock,
        measure: Option<Measure>,
    ) -> Self {
        Self { api, store, events, clock, measure, memory: Mutex::default() }
    }

    /// Looks once.
    ///
    /// # Errors
    ///
    /// Says that VMmanager or the store cannot be read.
    pub async fn look(&self, depth: Depth) -> Result<Snapshot, LookError> {
        let Look { mut snapshot, migrations, warnings } = self.api.look(self.clock.now()).await?;
        self.warn(warnings);
        let open = self.store.open_entries()?;
        let foreign = self.foreign(&open, migrations).await?;
        snapshot.foreign = foreign.iter().map(|running| named(running, &snapshot)).collect();
        self.tell_of_foreign(&snapshot.foreign, &open);
        self.doubt_what_shrank(&mut snapshot);
        Ok(self.measured(snapshot, depth).await)
    }

    /// The migrations that are not in the journal, neither by number nor by the history of its VMs.
    async fn foreign(
        &self,
        open: &[JournalEntry],
        migrations: Vec<RunningMigration>,
    ) -> Result<Vec<RunningMigration>, LookError> {
        let of_our_vm = |running: &RunningMigration| open.iter().any(|entry| running.vm == Some(entry.vm));
        let unknown = |running: &RunningMigration| !open.iter().any(|entry| is_of(running, entry));
        let mut rest: Vec<_> =
            migrations.into_iter().filter(|running| unknown(running) && !of_our_vm(running)).collect();
        for entry in open.iter().filter(|entry| task_of(entry).is_none()) {
            if rest.is_empty() {
                break;
            }
            let ours = tasks_since(&self.api, entry).await?;
            rest.retain(|running| !ours.contains(&running.task_id));
        }
        Ok(rest)
    }

    fn tell_of_foreign(&self, foreign: &[ForeignMigration], open: &[JournalEntry]) {
        // An order whose answer is on its way may be one of these; the next look knows.
        let unanswered = open.iter().any(|entry| entry.state == JournalState::Intended);
        let mut memory = self.memory();
        memory.foreign_told.retain(|told| foreign.iter().any(|running| running.task == *told));
        for running in foreign {
            if unanswered || !memory.foreign_told.insert(running.task) {
                continue;
            }
            let ForeignMigration { task, cluster, vm, .. } = *running;
            tracing::warn!(task, "a migration runs that this bot did not order");
            self.store.alert(&self.events, self.clock.now(), Alert::ForeignMigration { task, cluster, vm });
        }
    }

    fn doubt_what_shrank(&self, snapshot: &mut Snapshot) {
        let seen = vms_by_cluster(snapshot);
        let mut memory = self.memory();
        let known: BTreeSet<_> = memory.counts.keys().chain(seen.keys()).copied().collect();
        for cluster in known {
            let vms = seen.get(&cluster).copied().unwrap_or(0);
            let before = memory.counts.get(&cluster).copied();
            let count = count(before, vms);
            memory.counts.insert(cluster, count);
            let Some(doubt) = count.doubted else { continue };
            if doubt.reads == 1 {
                tracing::warn!(cluster.id = %cluster, before = count.believed, after = vms, "a picture shrank");
                let (vms_before, vms_after) = (count.believed, vms);
                let alert = Alert::PictureShrank { cluster, vms_before, vms_after };
                self.store.alert(&self.events, self.clock.now(), alert);
            }
            let why = format!("it had {} VMs and now seems to have {vms}", count.believed);
            for info in snapshot.clusters.iter_mut().filter(|info| info.id == cluster) {
                info.incomplete.push(why.clone());
            }
        }
    }

    async fn measured(&self, mut snapshot: Snapshot, depth: Depth) -> Snapshot {
        let Some(measure) = &self.measure else { return snapshot };
        match depth {
            Depth::Measured => {
                let snapshot = measure(snapshot).await;
                let mut memory = self.memory();
                memory.loads = snapshot.nodes.iter().filter_map(|n| Some((n.id, n.load.clone()?))).collect();
                memory.uses =
                    snapshot.vms.iter().filter_map(|vm| Some((vm.id, vm.measured.clone()?))).collect();
                snapshot
            }
            Depth::Quick => {
                let memory = self.memory();
                for node in &mut snapshot.nodes {
                    node.load = memory.loads.get(&node.id).cloned();
                }
                for vm in &mut snapshot.vms {
                    vm.measured = memory.uses.get(&vm.id).cloned();
                }
                drop(memory);
                snapshot
            }
        }
    }

    /// Says each oddity once, not with every look.
    fn warn(&self, warnings: Vec<String>) {
        let mut memory = self.memory();
        for warning in warnings.iter().filter(|warning| !memory.warned.contains(*warning)) {
            tracing::warn!(warning, "vmmanager's answers are odd");
        }
        memory.warned = warnings.into_iter().collect();
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the tasks of the migrations that a VM's history has since the entry was intended.
pub(super) async fn tasks_since(api: &VmManagerApi, entry: &JournalEntry) -> Result<BTreeSet<u64>, ApiError> {
    let history = match api.history(entry.vm).await {
        Ok(history) => history,
        // A VM that is gone, a version without histories.
        Err(ApiError::NotFound { .. } | ApiError::Refused { .. }) => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    Ok(super::watch::newer(&history, entry.history_before).filter_map(|row| row.task).collect())
}

/// Tells whether a running task is the one of a journal entry.
fn is_of(running: &RunningMigration, entry: &JournalEntry) -> bool {
    match &entry.state {
        JournalState::Ordered { consul_id, task_id, .. } => {
            (consul_id.is_some() && running.consul_id == *consul_id) || *task_id == Some(running.task_id)
        }
        JournalState::Intended | JournalState::Closed { .. } => false,
    }
}

fn task_of(entry: &JournalEntry) -> Option<u64> {
    match &entry.state {
        JournalState::Ordered { task_id, .. } => *task_id,
        JournalState::Intended | JournalState::Closed { .. } => None,
    }
}

fn named(running: &RunningMigration, snapshot: &Snapshot) -> ForeignMigration {
    let node = running.vm.and_then(|vm| snapshot.vm(vm)).and_then(|vm| snapshot.node(vm.node));
    ForeignMigration {
        task: running.task_id,
        cluster: node.map(|node| node.cluster),
        vm: running.vm,
        status: running.status.clone(),
    }
}

fn vms_by_cluster(snapshot: &Snapshot) -> BTreeMap<ClusterId, usize> {
    let cluster_of: BTreeMap<_, _> = snapshot.nodes.iter().map(|node| (node.id, node.cluster)).collect();
    let mut counts: BTreeMap<_, _> = snapshot.clusters.iter().map(|cluster| (cluster.id, 0)).collect();
    for vm in &snapshot.vms {
        if let Some(cluster) = cluster_of.get(&vm.node) {
            *counts.entry(*cluster).or_default() += 1;
        }
    }
    counts
}

/// Half of the VMs gone from one read to the next is doubted until reads running agree.
fn count(before: Option<Count>, vms: usize) -> Count {
    let believed = Count { believed: vms, doubted: None };
    let Some(before) = before else { return believed };
    let shrank = |from: usize| vms * 2 <= from && from - vms >= SUSPICIOUS_LOSS;
    if !shrank(before.believed) {
        return believed;
    }
    let reads = match before.doubted {
        // A picture that goes on shrinking is no agreement.
        Some(doubt) if !shrank(doubt.vms) => doubt.reads + 1,
        _ => 1,
    };
    match reads {
        AGREEING_READS.. => believed,
        reads => Count { doubted: Some(Doubt { vms, reads }), ..before },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_lost_half_of_its_vms_is_believed_after_three_reads_that_agree() {
        assert_eq!(doubts(&[300, 290, 150, 300]), [false, false, false, false]);
        assert_eq!(doubts(&[300, 149, 300]), [false, true, false]);
        assert_eq!(doubts(&[300, 149, 150, 148, 148]), [false, true, true, false, false]);
        assert_eq!(doubts(&[300, 0, 0, 0]), [false, true, true, false]);
        assert_eq!(doubts(&[300, 140, 60, 60, 60]), [false, true, true, true, false], "still shrinking");
        assert_eq!(doubts(&[2, 1, 0]), [false, false, false]);
    }

    /// Which of these reads, one after the other, are doubted.
    fn doubts(reads: &[usize]) -> Vec<bool> {
        let mut known = None;
        let doubted = |vms: &usize| {
            let next = count(known, *vms);
            known = Some(next);
            next.doubted.is_some()
        };
        reads.iter().map(doubted).collect()
    }
}
