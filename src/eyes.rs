//! One look at the platform, with what only this bot knows: which migrations are not its own, and whether the
//! picture is to be believed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use tokio::time::timeout;

use crate::{
    clock::Clock,
    event::{Alert, Events},
    model::{
        ApiFailure, Asked, Block, ClusterId, Flaw, ForeignMigration, Measured, MigrationId, NodeId, NodeInfo,
        Silence, Snapshot, VmId, VmInfo, VmUse,
    },
    store::{Doubt, JournalEntry, LastMove, Pull, Store, StoreError, VmCount, VmCounts},
    vmmanager::{Detail, Look, RunningMigration, VmManagerApi},
};

/// Asks nodes to measure themselves and adds the readings to a snapshot. `app` provides it where SSH is on.
pub type Measure = Arc<dyn Fn(Snapshot, Asked) -> BoxFuture<'static, Snapshot> + Send + Sync>;

/// How this room judges what it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How far apart reads of a picture that shrank must be to agree. Three of them must outlast the restart of a
    /// service, which the looks of one plan do not.
    pub agreeing_gap: Duration,
    /// How long one look at VMmanager may take, with every page and every repetition.
    pub look_max: Duration,
}

/// A service that restarts is waited for 60 s, as VMmanager's own clients do. A look may meet that twice, at its login
/// and at its lists, and then has a minute to read them. What takes longer is reported as an outage.
const LOOK_MAX: Duration = Duration::from_secs(180);

impl Default for Settings {
    fn default() -> Self {
        Self { agreeing_gap: Duration::from_secs(30), look_max: LOOK_MAX }
    }
}

impl Settings {
    /// A short gap, for servers on the same machine: tests and the sandbox.
    #[must_use]
    pub fn short() -> Self {
        Self { agreeing_gap: Duration::from_millis(100), look_max: Duration::from_secs(20) }
    }
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Ask the nodes too, or some of them.
    Measured(Asked),
    /// Take the nodes' measurements of the last look; the planner knows how old they are.
    Quick,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    VmManager(#[from] ApiFailure),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many reads in a row must agree before a smaller picture is believed. They are [`Settings::agreeing_gap`] apart:
/// a server that restarts is whole again by then.
const AGREEING_READS: u32 = 3;

/// Losing one VM of two is everyday life; below this nothing is suspicious.
const SUSPICIOUS_LOSS: usize = 2;

/// Who moved a VM is worth no longer wait than this: the look goes on without.
const WHO_MAX: Duration = Duration::from_secs(2);

/// Looks at the platform.
pub struct Eyes {
    api: VmManagerApi,
    store: Store,
    events: Events,
    clock: Clock,
    measure: Option<Measure>,
    /// How far apart two reads are that agree independently of each other.
    agreeing_gap: TimeDelta,
    look_max: Duration,
    memory: Mutex<Memory>,
}

/// What the looks before this one left.
#[derive(Default)]
struct Memory {
    loads: BTreeMap<NodeId, Measured>,
    uses: BTreeMap<VmId, VmUse>,
    /// As they are in the store, once that was read.
    counts: Option<VmCounts>,
    /// Foreign tasks that an alert has named already.
    foreign_told: BTreeSet<u64>,
    warned: BTreeSet<(Option<ClusterId>, Flaw)>,
}

/// The journal around a look: what is of this bot in the lists between.
struct Before {
    open: Vec<JournalEntry>,
    newest: Option<MigrationId>,
}

/// What a read means for the number of a cluster's VMs.
enum Counted {
    Believed(VmCount),
    /// The first read of a picture that shrank.
    DoubtBegins(VmCount),
    Doubted(VmCount),
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
        settings: &Settings,
    ) -> Self {
        let agreeing_gap = TimeDelta::from_std(settings.agreeing_gap).unwrap_or(TimeDelta::MAX);
        let look_max = settings.look_max;
        Self { api, store, events, clock, measure, agreeing_gap, look_max, memory: Mutex::default() }
    }

    /// Looks once.
    pub async fn look(&self, depth: Depth) -> Result<Snapshot, LookError> {
        let before = self.before()?;
        let Look { mut snapshot, mut migrations, tasks_known, warnings } = self.look_in_time().await?;
        self.warn(warnings);
        let ours = self.under_way_since(before)?;
        self.take_given_up(&mut snapshot, &mut migrations, tasks_known).await?;
        let foreign = self.foreign(&ours, migrations).await?;
        snapshot.foreign = foreign.iter().map(|running| to_foreign(running, &snapshot)).collect();
        self.tell_of_foreign(&snapshot.foreign, &ours);
        self.doubt_what_shrank(&mut snapshot)?;
        self.notice_who_pulls(&snapshot).await?;
        Ok(self.add_measurements(snapshot, depth).await)
    }

    /// Asks whether a few VMs and nodes are still as an earlier look has them, by requests for them alone; returns that
    /// look with this moment as its time. `None` where anything differs, or where only whole lists can tell.
    ///
    /// The nodes' own counts and sums tell whether anything came or went, so what is on them need not be listed again.
    pub async fn confirm(
        &self,
        known: &Snapshot,
        vms: &[VmId],
        nodes: &[NodeId],
    ) -> Result<Option<Snapshot>, LookError> {
        // Such a migration takes room that the nodes' rows do not show.
        if !self.store.given_up()?.is_empty() {
            return Ok(None);
        }
        let (before, now) = (self.before()?, self.clock.now());
        let Some(Detail { vms, nodes, migrations }) = self.in_time(self.api.detail(vms, nodes)).await? else {
            return Ok(None);
        };
        let ours = self.under_way_since(before)?;
        let foreign = self.foreign(&ours, migrations).await?;
        let is_same = vms.into_iter().all(|vm| is_same_vm(known, vm))
            && nodes.iter().all(|node| is_same_node(known, node.clone()));
        if !is_same {
            return Ok(None);
        }
        let mut snapshot = Snapshot { taken_at: now, ..known.clone() };
        let free: BTreeMap<_, _> = nodes.iter().map(|node| (node.id, node.storage_available)).collect();
        for node in &mut snapshot.nodes {
            node.storage_available = free.get(&node.id).copied().unwrap_or(node.storage_available);
        }
        snapshot.foreign = foreign.iter().map(|running| to_foreign(running, &snapshot)).collect();
        self.tell_of_foreign(&snapshot.foreign, &ours);
        Ok(Some(self.add_measurements(snapshot, Depth::Quick).await))
    }

    async fn look_in_time(&self) -> Result<Look, ApiFailure> {
        self.in_time(self.api.look(self.clock.now())).await
    }

    async fn in_time<T>(&self, look: impl Future<Output = Result<T, ApiFailure>>) -> Result<T, ApiFailure> {
        timeout(self.look_max, look).await.unwrap_or_else(|_| {
            let waited = format!("{} s", self.look_max.as_secs());
            Err(ApiFailure::NoAnswer {
                what: "GET /vm/v3/host".into(),
                said: Silence::TimedOut(waited.as_str().into()),
            })
        })
    }

    /// Returns why a cluster's last picture is doubted, if it is.
    #[must_use]
    pub fn doubt(&self, cluster: ClusterId) -> Option<Flaw> {
        let memory = self.memory();
        let count = memory.counts.as_ref()?.clusters.get(&cluster)?;
        count.doubted.as_ref().map(|doubt| shrank(count.believed, doubt.vms))
    }

    fn before(&self) -> Result<Before, StoreError> {
        Ok(Before { newest: self.store.newest_entry()?, open: self.store.open_entries()? })
    }

    /// The entries that were open at any moment since: what ended meanwhile is in a list that was read before its end.
    fn under_way_since(&self, before: Before) -> Result<Vec<JournalEntry>, StoreError> {
        let mut ours = self.store.entries_after(before.newest)?;
        for entry in before.open {
            ours.push(self.store.entry(entry.id)?.unwrap_or(entry));
        }
        Ok(ours)
    }

    /// Takes out the migrations that somebody gave up watching. While such a task runs, its VM stays alone and its
    /// target keeps the room; it holds nothing else.
    async fn take_given_up(
        &self,
        snapshot: &mut Snapshot,
        migrations: &mut Vec<RunningMigration>,
        tasks_known: bool,
    ) -> Result<(), LookError> {
        let mut ended = Vec::new();
        for entry in self.store.given_up()? {
            let its = match entry.task_numbers() {
                (_, Some(task)) => BTreeSet::from([task]),
                (_, None) => self.api.tasks_since(entry.vm, entry.history_before).await?,
            };
            let is_its = |running: &RunningMigration| {
                is_of(running, &entry) || its.contains(&running.task_id) || running.vm == Some(entry.vm)
            };
            let before = migrations.len();
            migrations.retain(|running| !is_its(running));
            match migrations.len() < before {
                true => occupy(snapshot, &entry),
                false if tasks_known => ended.push(entry.id),
                false => {}
            }
        }
        if !ended.is_empty() {
            for migration in &ended {
                tracing::info!(migration.id = migration.0, "a migration that was given up is over");
            }
            self.store.forget_given_up(&ended)?;
        }
        Ok(())
    }

    /// The migrations that are not in the journal, neither by number nor by the history of its VMs.
    async fn foreign(
        &self,
        ours: &[JournalEntry],
        migrations: Vec<RunningMigration>,
    ) -> Result<Vec<RunningMigration>, LookError> {
        let of_our_vm = |running: &RunningMigration| ours.iter().any(|entry| running.vm == Some(entry.vm));
        let unknown = |running: &RunningMigration| !ours.iter().any(|entry| is_of(running, entry));
        let mut rest: Vec<_> =
            migrations.into_iter().filter(|running| unknown(running) && !of_our_vm(running)).collect();
        for entry in ours.iter().filter(|entry| entry.task_numbers().1.is_none()) {
            if rest.is_empty() {
                break;
            }
            let its = self.api.tasks_since(entry.vm, entry.history_before).await?;
            rest.retain(|running| !its.contains(&running.task_id));
        }
        Ok(rest)
    }

    fn tell_of_foreign(&self, foreign: &[ForeignMigration], ours: &[JournalEntry]) {
        // An order whose number is not known may be one of these; a later look knows.
        let unanswered = ours.iter().any(|entry| entry.task_numbers() == (None, None));
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

    /// Compares where VMs are with where this bot moved them. A VM that is back on its source was moved by somebody.
    async fn notice_who_pulls(&self, snapshot: &Snapshot) -> Result<(), LookError> {
        for last in self.store.last_moves(snapshot.taken_at, self.clock.now())? {
            let Some(vm) = snapshot.vm(last.vm).filter(|vm| vm.node == last.source) else { continue };
            let Some(node) = snapshot.node(vm.node) else { continue };
            // Of a picture with something missing nothing is concluded.
            if snapshot.cluster(node.cluster).is_none_or(|cluster| !cluster.incomplete.is_empty()) {
                continue;
            }
            let Some(Pull { undone, until: Some(until), .. }) =
                self.store.note_pull(&last, snapshot.taken_at)?
            else {
                continue;
            };
            tracing::warn!(
                vm.id = vm.id.0,
                node.id = node.id.0,
                times = undone.len(),
                "somebody moves a VM back"
            );
            let alert = Alert::PulledBack {
                vm: vm.id,
                name: vm.name.clone(),
                node: node.name.clone(),
                times: undone.len().try_into().unwrap_or(u32::MAX),
                by: self.who_moved(&last).await,
                until,
            };
            self.store.alert(&self.events, self.clock.now(), alert);
        }
        Ok(())
    }

    /// Who moved a VM after our migration; a history that cannot be read delays nothing.
    async fn who_moved(&self, last: &LastMove) -> Option<String> {
        let ours = self.store.entry(last.id).ok().flatten().and_then(|entry| entry.task_numbers().1);
        let asked = timeout(WHO_MAX, self.api.migrated_by(last.vm, ours)).await;
        asked
            .ok()?
            .inspect_err(|error| tracing::debug!(%error, "a history does not say who moved a VM"))
            .ok()?
    }

    fn doubt_what_shrank(&self, snapshot: &mut Snapshot) -> Result<(), StoreError> {
        let (now, seen) = (snapshot.taken_at, vms_by_cluster(snapshot));
        let mut memory = self.memory();
        // From the store, for what one process believes and doubts the next one must not forget.
        let before = match memory.counts.take() {
            Some(counts) => counts,
            None => self.store.vm_counts()?,
        };
        let mut counts = before.clone();
        let known: BTreeSet<_> = before.clusters.keys().chain(seen.keys()).copied().collect();
        for cluster in known {
            let vms = seen.get(&cluster).copied().unwrap_or(0);
            let counted = count(before.clusters.get(&cluster), vms, now, self.agreeing_gap);
            if let Counted::DoubtBegins(count) = &counted {
                self.tell_of_doubt(cluster, count.believed, vms);
            }
            let (Counted::Believed(count) | Counted::DoubtBegins(count) | Counted::Doubted(count)) = counted;
            if count.doubted.is_some() {
                for info in snapshot.clusters.iter_mut().filter(|info| info.id == cluster) {
                    info.incomplete.push(shrank(count.believed, vms));
                }
            }
            counts.clusters.insert(cluster, count);
        }
        if counts != before {
            self.keep(&counts);
        }
        memory.counts = Some(counts);
        Ok(())
    }

    /// While the store cannot be written nothing is ordered, but looking still works.
    fn keep(&self, counts: &VmCounts) {
        if let Err(error) = self.store.keep_vm_counts(counts) {
            tracing::warn!(%error, "how many VMs there are cannot be recorded");
        }
    }

    fn tell_of_doubt(&self, cluster: ClusterId, vms_before: usize, vms_after: usize) {
        tracing::warn!(cluster.id = cluster.0, before = vms_before, after = vms_after, "a picture shrank");
        let alert = Alert::PictureShrank { cluster, vms_before, vms_after };
        self.store.alert(&self.events, self.clock.now(), alert);
    }

    async fn add_measurements(&self, mut snapshot: Snapshot, depth: Depth) -> Snapshot {
        let Some(measure) = &self.measure else { return snapshot };
        match depth {
            Depth::Measured(asked) => {
                let snapshot = measure(snapshot, asked).await;
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
    fn warn(&self, warnings: Vec<(Option<ClusterId>, Flaw)>) {
        let mut memory = self.memory();
        for warning in warnings.iter().filter(|warning| !memory.warned.contains(*warning)) {
            let (cluster, flaw) = warning;
            tracing::warn!(cluster.id = cluster.map(|id| id.0), error = %flaw, "vmmanager's answers are odd");
        }
        memory.warned = warnings.into_iter().collect();
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether a VM is as it was, but for what the nodes measure.
fn is_same_vm(known: &Snapshot, vm: VmInfo) -> bool {
    known.vm(vm.id).is_some_and(|before| {
        let measured = before.measured.clone();
        *before == VmInfo { measured, ..vm }
    })
}

/// Tells whether a node is as it was, but for what it measures and for its free disk.
fn is_same_node(known: &Snapshot, node: NodeInfo) -> bool {
    known.node(node.id).is_some_and(|before| {
        let (load, storage_available) = (before.load.clone(), before.storage_available);
        *before == NodeInfo { load, storage_available, ..node }
    })
}

/// Tells whether a running task is the one of a journal entry.
fn is_of(running: &RunningMigration, entry: &JournalEntry) -> bool {
    let (consul_id, task_id) = entry.task_numbers();
    let has_its_number =
        (consul_id.is_some() && running.consul_id == consul_id) || task_id == Some(running.task_id);
    // Numbers begin anew where VMmanager is restored from a backup.
    has_its_number && running.vm.is_none_or(|vm| vm == entry.vm)
}

fn occupy(snapshot: &mut Snapshot, entry: &JournalEntry) {
    for vm in snapshot.vms.iter_mut().filter(|vm| vm.id == entry.vm) {
        vm.blocked_by.push(Block::Task(Block::MIGRATION.into()));
    }
    for node in snapshot.nodes.iter_mut().filter(|node| node.id == entry.target) {
        node.memory_used = node.memory_used.map(|used| used + entry.ram);
    }
}

fn to_foreign(running: &RunningMigration, snapshot: &Snapshot) -> ForeignMigration {
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

/// Half of the VMs gone from one read to the next is doubted until reads running agree that are `gap` apart:
/// looks within one plan follow each other in moments and say nothing that the first did not.
fn count(before: Option<&VmCount>, vms: usize, now: DateTime<Utc>, gap: TimeDelta) -> Counted {
    let believed = Counted::Believed(VmCount { believed: vms, doubted: None });
    let Some(before) = before else { return believed };
    let shrank = |from: usize| vms * 2 <= from && from - vms >= SUSPICIOUS_LOSS;
    if !shrank(before.believed) {
        return believed;
    }
    let doubted = |reads, at| VmCount {
        believed: before.believed,
        doubted: Some(Doubt { vms, reads, last_counted_at: at }),
    };
    // A picture that goes on shrinking is no agreement.
    let Some(doubt) = before.doubted.as_ref().filter(|doubt| !shrank(doubt.vms)) else {
        return Counted::DoubtBegins(doubted(1, now));
    };
    // A clock that was set back must not make the wait longer than it is.
    let last = doubt.last_counted_at.min(now);
    match (now - last >= gap, doubt.reads + 1) {
        (false, _) => Counted::Doubted(doubted(doubt.reads, last)),
        (true, AGREEING_READS..) => believed,
        (true, reads) => Counted::Doubted(doubted(reads, now)),
    }
}

fn shrank(believed: usize, seems: usize) -> Flaw {
    let vms = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Flaw::Shrank { before: vms(believed), after: vms(seems) }
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

    #[test]
    fn reads_that_follow_each_other_in_moments_do_not_agree_independently() {
        let moments = [(0, 300), (30, 149), (31, 149), (59, 149), (60, 149), (61, 149), (89, 149), (90, 149)];
        assert_eq!(doubts_at(&moments), [false, true, true, true, true, true, true, false]);
        let clock_set_back = [(1000, 300), (1000, 149), (0, 149), (30, 149), (60, 149)];
        assert_eq!(doubts_at(&clock_set_back), [false, true, true, true, false]);
    }

    /// Which of these reads, far enough apart, are doubted.
    fn doubts(reads: &[usize]) -> Vec<bool> {
        let moments: Vec<_> = (0..).step_by(30).zip(reads.iter().copied()).collect();
        doubts_at(&moments)
    }

    /// Which of these reads (second, VMs) are doubted.
    fn doubts_at(reads: &[(i64, usize)]) -> Vec<bool> {
        let mut known = None;
        let doubted = |(second, vms): &(i64, usize)| {
            let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(*second);
            let counted = count(known.as_ref(), *vms, now, TimeDelta::seconds(30));
            let is_doubted = !matches!(counted, Counted::Believed(_));
            let (Counted::Believed(next) | Counted::DoubtBegins(next) | Counted::Doubted(next)) = counted;
            known = Some(next);
            is_doubted
        };
        reads.iter().map(doubted).collect()
    }
}
