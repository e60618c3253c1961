//! The inside of the simulated platform: orders, tasks, histories, and what is physically possible.
//!
//! Time is an argument: how long the simulator has been running. Nothing happens between two calls; each call
//! first does what was due.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    fault::{Fault, Faults},
    world::{SimVm, World},
};
use crate::model::{Mib, NodeId, QemuVersion, VmId};

/// How long a migration takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Always as long.
    After(Duration),
    /// Until somebody calls `finish`.
    Manual,
    /// The time to copy memory (and disk, with local storage) at 1 GB/s, divided by this factor.
    BySize { times_faster: f64 },
}

/// An order that was taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderSeen {
    pub vm: VmId,
    pub source: NodeId,
    pub target: NodeId,
    pub consul_id: u64,
    pub at: DateTime<Utc>,
}

/// A request that no correct caller makes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Violation {
    /// With this VM the target's VMs need more memory than it has.
    TargetMemoryExceeded { vm: VmId, target: NodeId, needs: Mib, total: Mib },
    /// The VM was already migrating because of an earlier order.
    AlreadyMigrating { vm: VmId },
    /// The target was in maintenance.
    TargetInMaintenance { vm: VmId, target: NodeId },
    /// The target takes no more VMs.
    VmLimitExceeded { vm: VmId, target: NodeId },
    /// The target's QEMU is older than the source's.
    TargetQemuOlder { vm: VmId, target: NodeId },
    /// The VM cannot be migrated live.
    NotMovable { vm: VmId, why: String },
    /// Another ordered migration was using the node.
    NodeShared { vm: VmId, node: NodeId },
    /// The target is in another cluster.
    OtherCluster { vm: VmId, target: NodeId },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TargetMemoryExceeded { vm, target, needs, total } => {
                write!(f, "vm {vm} to node {target}: {needs} of {total} would be needed")
            }
            Self::AlreadyMigrating { vm } => write!(f, "vm {vm} was ordered twice"),
            Self::TargetInMaintenance { vm, target } => write!(f, "vm {vm} to node {target} in maintenance"),
            Self::VmLimitExceeded { vm, target } => write!(f, "vm {vm} to node {target} beyond its limit"),
            Self::TargetQemuOlder { vm, target } => write!(f, "vm {vm} to node {target} with an older QEMU"),
            Self::NotMovable { vm, why } => write!(f, "vm {vm} cannot be moved: {why}"),
            Self::NodeShared { vm, node } => {
                write!(f, "vm {vm}: node {node} was in use by another migration")
            }
            Self::OtherCluster { vm, target } => write!(f, "vm {vm} to node {target} of another cluster"),
        }
    }
}

/// A task as the simulator knows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskSeen {
    /// The task manager's number.
    pub id: u64,
    pub consul_id: u64,
    /// E.g. `host_migrate`.
    pub name: String,
    pub vm: VmId,
    pub source: NodeId,
    /// The source for what is no migration.
    pub target: NodeId,
    /// `created`, `running`, `complete` or `failed`.
    pub status: String,
    pub output: String,
    /// Not ordered over HTTP.
    pub foreign: bool,
    /// Whether it is in the task list.
    pub listed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub seen: TaskSeen,
    pub defer_reason: Option<String>,
    pub says_vm: bool,
    pub accepted: Duration,
    pub started: Option<Duration>,
    pub ended: Option<Duration>,
    script: Script,
    /// What happens when, in order.
    due: Vec<(Duration, Step)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Shows,
    Starts,
    HalfWay,
    Ends,
}

#[derive(Clone, Debug, PartialEq)]
enum Script {
    Moves,
    NeverShows,
    /// It is no migration, and ends when it is finished.
    Works,
    Lost {
        moves: bool,
    },
    Stays,
    EndsWith {
        word: String,
        moves: bool,
    },
    Fails(String),
    VmVanishes,
    TargetVanishes,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub id: u64,
    pub consul_id: u64,
    pub task: u64,
    pub name: String,
    /// The account that it is done with.
    pub user: &'static str,
    pub state: String,
    pub at: DateTime<Utc>,
}

/// Why an order is not taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    NoSuchVm,
    Invalid(String),
    Busy,
}

/// The account of the bot in histories.
const BOT: &str = "balancer@example.com";

/// The account of anybody else who works on the platform.
const SOMEBODY: &str = "admin@example.com";

pub(super) struct Engine {
    pub world: World,
    pub tasks: BTreeMap<u64, Task>,
    pub history: BTreeMap<VmId, Vec<Entry>>,
    pub orders: Vec<OrderSeen>,
    pub violations: Vec<Violation>,
    pub faults: Faults,
    /// Counts changes of the world, so that a rendering can be reused.
    pub version: u64,
    pace: Pace,
    task_delay: Duration,
    starts_at: DateTime<Utc>,
    open: BTreeSet<u64>,
    next_consul: u64,
    next_task: u64,
    next_entry: u64,
}

impl Engine {
    pub(super) fn new(world: World, pace: Pace, task_delay: Duration, starts_at: DateTime<Utc>) -> Self {
        Self {
            world: world.counted(),
            tasks: BTreeMap::new(),
            history: BTreeMap::new(),
            orders: Vec::new(),
            violations: Vec::new(),
            faults: Faults::default(),
            version: 1,
            pace,
            task_delay,
            starts_at,
            open: BTreeSet::new(),
            // Far apart, so that mixing up the two numbers is noticed.
            next_consul: 90_417,
            next_task: 55_120,
            next_entry: 7_004,
        }
    }

    /// What the server's clock shows.
    pub(super) fn date(&self, now: Duration) -> DateTime<Utc> {
        let skew = self.faults.0.iter().find_map(|rule| match rule.fault {
            Fault::ClockSkew { seconds } => TimeDelta::try_seconds(seconds),
            _ => None,
        });
        self.starts_at + TimeDelta::from_std(now).unwrap_or_default() + skew.unwrap_or_default()
    }

    /// Does everything that was due.
    pub(super) fn catch_up(&mut self, now: Duration) {
        while let Some((at, consul)) = self.next_due().filter(|(at, _)| *at <= now) {
            self.step(consul, at);
        }
    }

    /// Takes an order or refuses it. Violations are recorded either way.
    pub(super) fn order(&mut self, vm: VmId, target: NodeId, now: Duration) -> Result<u64, Refusal> {
        let source = self.judged(vm, target)?;
        let script = self.script(vm, source, target);
        let consul = self.begin(vm, source, target, script, now);
        let at = self.date(now);
        self.orders.push(OrderSeen { vm, source, target, consul_id: consul, at });
        Ok(consul)
    }

    /// Starts a migration that the bot did not order; returns `None` where there is no VM or no target.
    pub(super) fn foreign(
        &mut self,
        vm: Option<VmId>,
        target: Option<NodeId>,
        says_vm: bool,
        now: Duration,
    ) -> Option<u64> {
        let vm = match vm {
            Some(id) => self.world.vms.get(&id)?,
            None => self.world.vms.values().find(|vm| vm.held_by().is_none() && !self.is_migrating(vm.id))?,
        };
        let (id, source) = (vm.id, vm.node);
        let cluster = self.world.nodes.get(&source)?.cluster;
        let others = self.world.nodes.values().filter(|node| node.cluster == cluster && node.id != source);
        let roomiest =
            others.max_by_key(|node| node.memory.saturating_sub(node.memory_used)).map(|node| node.id);
        let consul = self.begin(id, source, target.or(roomiest)?, Script::Moves, now);
        let task = self.tasks.get_mut(&consul)?;
        (task.seen.foreign, task.says_vm) = (true, says_vm);
        // A foreign task appears at once, because it was ordered before the bot looked.
        self.step(consul, now);
        Some(consul)
    }

    /// Starts a task that is no migration and runs until it is finished; returns `None` where there is no VM.
    pub(super) fn occupy(
        &mut self,
        vm: Option<VmId>,
        task: &str,
        says_vm: bool,
        now: Duration,
    ) -> Option<u64> {
        let movable = |vm: &&SimVm| vm.held_by().is_none() && !self.is_migrating(vm.id);
        let vm = match vm {
            Some(id) => self.world.vms.get(&id)?,
            None => self.world.vms.values().find(movable)?,
        };
        let (id, node) = (vm.id, vm.node);
        let consul = self.begin(id, node, node, Script::Works, now);
        let begun = self.tasks.get_mut(&consul)?;
        (begun.seen.foreign, begun.says_vm, begun.seen.name) = (true, says_vm, task.to_owned());
        begun.due.retain(|(_, step)| matches!(step, Step::Shows | Step::Starts));
        self.step(consul, now);
        self.step(consul, now);
        Some(consul)
    }

    /// Ends the tasks that are no migrations.
    pub(super) fn finish_work(&mut self, now: Duration) {
        for consul in self.open_tasks() {
            if self.tasks.get(&consul).is_some_and(|task| task.script == Script::Works) {
                self.finish(consul, now);
            }
        }
    }

    /// Ends a task at once, with its planned result.
    pub(super) fn finish(&mut self, consul: u64, now: Duration) {
        while self.open.contains(&consul) {
            if self.tasks.get(&consul).is_none_or(|task| task.due.is_empty()) {
                self.half_way(consul);
                self.end(consul, now);
            } else {
                self.step(consul, now);
            }
        }
    }

    /// Ends the tasks that [`Fault::RunsForever`] keeps running.
    pub(super) fn finish_endless(&mut self, now: Duration) {
        for consul in self.open_tasks() {
            let ends = |task: &Task| task.due.iter().any(|(_, step)| *step == Step::Ends);
            if self.tasks.get(&consul).is_some_and(|task| task.script != Script::Works && !ends(task)) {
                self.finish(consul, now);
            }
        }
    }

    /// Makes a task that has not ended fail at once.
    pub(super) fn fail(&mut self, consul: u64, output: &str, now: Duration) {
        if let Some(task) = self.tasks.get_mut(&consul) {
            task.script = Script::Fails(output.to_owned());
        }
        self.finish(consul, now);
    }

    /// Forgets every task and history and counts anew, as a platform that was restored from a backup.
    pub(super) fn restore(&mut self) {
        let begun = Self::new(World::default(), self.pace, self.task_delay, self.starts_at);
        self.tasks.clear();
        self.open.clear();
        self.history.clear();
        (self.next_consul, self.next_task, self.next_entry) =
            (begun.next_consul, begun.next_task, begun.next_entry);
    }

    /// Returns the queue's numbers of what has not ended.
    pub(super) fn open_tasks(&self) -> Vec<u64> {
        self.open.iter().copied().collect()
    }

    pub(super) fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Changes the world by hand.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut World)) {
        change(&mut self.world);
        self.world = std::mem::take(&mut self.world).counted();
        self.version += 1;
    }

    fn is_migrating(&self, vm: VmId) -> bool {
        self.open_ones().any(|task| task.seen.vm == vm)
    }

    fn open_ones(&self) -> impl Iterator<Item = &Task> {
        self.open.iter().filter_map(|consul| self.tasks.get(consul))
    }

    fn next_due(&self) -> Option<(Duration, u64)> {
        let due =
            self.open.iter().filter_map(|consul| Some((self.tasks.get(consul)?.due.first()?.0, *consul)));
        due.min()
    }

    /// Checks an order: one that the server would not take is refused, one that breaks a rule is recorded.
    fn judged(&mut self, id: VmId, target: NodeId) -> Result<NodeId, Refusal> {
        let vm = self.world.vms.get(&id).ok_or(Refusal::NoSuchVm)?.clone();
        let invalid = |why: &str| Err(Refusal::Invalid(why.to_owned()));
        let Some(to) = self.world.nodes.get(&target) else { return invalid("unknown node") };
        let Some(from) = self.world.nodes.get(&vm.node) else { return invalid("the host has no node") };
        if to.id == from.id {
            return invalid("the host is already on this node");
        }
        if to.cluster != from.cluster {
            self.violations.push(Violation::OtherCluster { vm: id, target });
            return invalid("the node belongs to another cluster");
        }
        let source = from.id;
        let running = self.open_ones().find(|task| task.seen.vm == id).map(|task| task.seen.foreign);
        if let Some(foreign) = running {
            // A race that a client cannot avoid is not its fault.
            if !foreign {
                self.violations.push(Violation::AlreadyMigrating { vm: id });
            }
            return Err(Refusal::Busy);
        }
        if to.maintenance {
            self.violations.push(Violation::TargetInMaintenance { vm: id, target });
            return invalid("the node is in maintenance mode");
        }
        let broken = self.broken_by(&vm, source, target);
        self.violations.extend(broken);
        Ok(source)
    }

    fn broken_by(&self, vm: &SimVm, source: NodeId, target: NodeId) -> Vec<Violation> {
        let id = vm.id;
        let mut broken = Vec::new();
        let (Some(from), Some(to)) = (self.world.nodes.get(&source), self.world.nodes.get(&target)) else {
            return broken;
        };
        let comes = |task: &&Task| task.seen.target == target && task.script != Script::Works;
        let coming: Vec<_> = self.open_ones().filter(comes).collect();
        let memory_coming: Mib =
            coming.iter().filter_map(|task| self.world.vms.get(&task.seen.vm)).map(|vm| vm.memory).sum();
        let needs = to.memory_used + memory_coming + vm.memory;
        if needs > to.memory {
            broken.push(Violation::TargetMemoryExceeded { vm: id, target, needs, total: to.memory });
        }
        if to.vm_limit.is_some_and(|limit| to.vm_count as usize + coming.len() >= limit as usize) {
            broken.push(Violation::VmLimitExceeded { vm: id, target });
        }
        let version = |text: &str| QemuVersion::new(text.to_owned());
        if version(&to.qemu_version).is_older_than(&version(&from.qemu_version)) {
            broken.push(Violation::TargetQemuOlder { vm: id, target });
        }
        let container = self.world.cluster_of(vm).is_some_and(|cluster| cluster.virtualization != "kvm");
        let unfit = [
            (container, "it is a container"),
            (vm.nesting, "nested virtualization"),
            (vm.cores > to.cores, "the target has fewer cores"),
            (vm.disk > to.disk_free, "the target's disk is full"),
            (!to.libvirt_error.is_empty() || to.ha_error != "no_error", "the target is out of order"),
        ];
        let unfit = unfit.into_iter().find_map(|(holds, why)| holds.then_some(why));
        if let Some(why) = vm.held_by().or(unfit) {
            broken.push(Violation::NotMovable { vm: id, why: why.into() });
        }
        for node in [source, target] {
            let shared =
                |task: &Task| !task.seen.foreign && (task.seen.source == node || task.seen.target == node);
            if self.open_ones().any(shared) {
                broken.push(Violation::NodeShared { vm: id, node });
            }
        }
        broken
    }

    /// Plans how a migration will go: by the faults that are on, otherwise by its size.
    fn script(&mut self, vm: VmId, source: NodeId, target: NodeId) -> Script {
        let request = format!("POST /vm/v3/host/{vm}/migrate");
        let forced = self.faults.take(&request, |fault| match fault {
            Fault::TaskNeverShows => Some(Script::NeverShows),
            Fault::TaskLost { moves } => Some(Script::Lost { moves: *moves }),
            Fault::CompleteWithoutMove => Some(Script::Stays),
            Fault::EndsWith { word, moves } => Some(Script::EndsWith { word: word.clone(), moves: *moves }),
            Fault::Fails { output } => Some(Script::Fails(output.clone())),
            Fault::VmVanishes => Some(Script::VmVanishes),
            Fault::TargetVanishes => Some(Script::TargetVanishes),
            _ => None,
        });
        let broken = self.world.vms.get(&vm).map(|vm| self.broken_by(vm, source, target)).unwrap_or_default();
        let failure = broken.iter().find_map(|violation| match violation {
            Violation::NotMovable { why, .. } => {
                Some(format!("error: Requested operation is not valid: {why}"))
            }
            Violation::TargetQemuOlder { .. } => {
                Some("error: internal error: unsupported machine type on the destination".to_owned())
            }
            Violation::TargetMemoryExceeded { .. } => Some(
                "error: internal error: qemu unexpectedly closed the monitor: Cannot allocate memory"
                    .to_owned(),
            ),
            _ => None,
        });
        forced.or(failure.map(Script::Fails)).unwrap_or(Script::Moves)
    }

    fn begin(&mut self, vm: VmId, source: NodeId, target: NodeId, script: Script, now: Duration) -> u64 {
        let (consul, id) = (self.next_consul, self.next_task);
        self.next_consul += 1;
        // The task manager runs other tasks in between, so numbers are not consecutive.
        self.next_task += 3;
        let request = format!("POST /vm/v3/host/{vm}/migrate");
        let deferred = self.faults.take(&request, |fault| match fault {
            Fault::Deferred { millis, reason } => Some((Duration::from_millis(*millis), reason.clone())),
            _ => None,
        });
        let forever = self.faults.takes(&request, &Fault::RunsForever);
        let shows = now + self.task_delay;
        let starts = shows + deferred.as_ref().map_or(self.task_delay, |(wait, _)| *wait);
        let mut due = vec![(shows, Step::Shows), (starts, Step::Starts)];
        if let Some(takes) = self.takes(vm).filter(|_| !forever) {
            due.extend([(starts + takes / 2, Step::HalfWay), (starts + takes, Step::Ends)]);
        }
        let status = "created".to_owned();
        let (output, foreign, listed) = (String::new(), false, false);
        let name = "host_migrate".to_owned();
        let seen =
            TaskSeen { id, consul_id: consul, name, vm, source, target, status, output, foreign, listed };
        let defer_reason = deferred.map(|(_, reason)| reason);
        let (started, ended, says_vm) = (None, None, false);
        let task = Task { seen, defer_reason, says_vm, accepted: now, started, ended, script, due };
        self.tasks.insert(consul, task);
        self.open.insert(consul);
        consul
    }

    fn takes(&self, vm: VmId) -> Option<Duration> {
        match self.pace {
            Pace::Manual => None,
            Pace::After(takes) => Some(takes),
            Pace::BySize { times_faster } => {
                let vm = self.world.vms.get(&vm)?;
                let local = self.world.cluster_of(vm).is_some_and(|cluster| cluster.storage != "ceph");
                let copied = if local { vm.memory + vm.disk } else { vm.memory };
                // Two seconds to prepare, then a line of about 1 GB/s.
                Some(Duration::from_secs_f64((2.0 + copied.gib()) / times_faster.max(0.001)))
            }
        }
    }

    fn step(&mut self, consul: u64, at: Duration) {
        let Some(task) = self.tasks.get_mut(&consul) else { return };
        let step = if task.due.is_empty() { Step::Ends } else { task.due.remove(0).1 };
        match step {
            Step::Shows => self.show(consul, at),
            Step::Starts => {
                task.seen.status = "running".into();
                (task.started, task.defer_reason) = (Some(at), None);
            }
            Step::HalfWay => self.half_way(consul),
            Step::Ends => self.end(consul, at),
        }
    }

    fn show(&mut self, consul: u64, at: Duration) {
        let date = self.date(at);
        let Some(task) = self.tasks.get_mut(&consul) else { return };
        if task.script == Script::NeverShows {
            return;
        }
        task.seen.listed = true;
        let entry = Entry {
            id: self.next_entry,
            consul_id: consul,
            task: task.seen.id,
            name: task.seen.name.clone(),
            user: if task.seen.foreign { SOMEBODY } else { BOT },
            state: "running".into(),
            at: date,
        };
        self.next_entry += 1;
        self.history.entry(task.seen.vm).or_default().push(entry);
    }

    fn half_way(&mut self, consul: u64) {
        let Some(task) = self.tasks.get_mut(&consul) else { return };
        let (vm, target) = (task.seen.vm, task.seen.target);
        match task.script {
            Script::Lost { .. } => {
                task.seen.listed = false;
                self.history.entry(vm).or_default().retain(|entry| entry.consul_id != consul);
            }
            Script::VmVanishes => self.edit(|world| drop(world.vms.remove(&vm))),
            Script::TargetVanishes => self.edit(|world| drop(world.nodes.remove(&target))),
            Script::Moves
            | Script::NeverShows
            | Script::Works
            | Script::Stays
            | Script::EndsWith { .. }
            | Script::Fails(_) => {}
        }
    }

    fn end(&mut self, consul: u64, at: Duration) {
        self.open.remove(&consul);
        let Some(task) = self.tasks.get(&consul) else { return };
        let (vm, target) = (task.seen.vm, task.seen.target);
        let script = task.script.clone();
        let outcome = match script.clone() {
            Script::Fails(output) => Err(output),
            Script::Works
            | Script::Stays
            | Script::EndsWith { moves: false, .. }
            | Script::Lost { moves: false } => Ok(()),
            Script::Moves
            | Script::EndsWith { moves: true, .. }
            | Script::NeverShows
            | Script::Lost { moves: true }
            | Script::VmVanishes
            | Script::TargetVanishes => self.moved(vm, target),
        };
        let (status, output) = match outcome {
            Ok(()) => ("complete", String::new()),
            Err(output) => ("failed", output),
        };
        let status = match &script {
            Script::EndsWith { word, .. } => word,
            _ => status,
        };
        for entry in self.history.entry(vm).or_default().iter_mut().filter(|entry| entry.consul_id == consul)
        {
            entry.state = status.into();
        }
        let Some(task) = self.tasks.get_mut(&consul) else { return };
        (task.seen.status, task.seen.output, task.ended) = (status.into(), output, Some(at));
        task.due.clear();
        let (source, is_ours) = (task.seen.source, !task.seen.foreign);
        let has_moved = self.world.vms.get(&vm).is_some_and(|vm| vm.node == target);
        if is_ours && has_moved && self.faults.takes("", &Fault::PullsBack) {
            self.foreign(Some(vm), Some(source), true, at);
        }
    }

    /// Moves a VM with both nodes' counters.
    fn moved(&mut self, id: VmId, target: NodeId) -> Result<(), String> {
        let World { nodes, vms, .. } = &mut self.world;
        let Some(vm) = vms.get_mut(&id) else { return Err("error: Domain not found".into()) };
        let Some(to) = nodes.get_mut(&target) else {
            return Err("error: cannot reach the destination".into());
        };
        to.gain(vm);
        if let Some(from) = nodes.get_mut(&vm.node) {
            from.lose(vm);
        }
        vm.node = target;
        self.version += 1;
        Ok(())
    }
}
