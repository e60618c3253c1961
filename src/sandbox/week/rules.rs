//! Who moves VMs in the simulated week, and by which rule.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use chrono::TimeDelta;

use super::cluster::{Cluster, FAILS_ONE_IN, READINGS_KEPT};
use crate::{
    model::{ClusterId, Mib, NodeId, NodeInfo, Snapshot, VmId, VmInfo, dice::Dice},
    planner::{
        self, Brims, ClusterPlan, Consent, Limits, Migration, MoveWhy, Policy, RecentMove, Rest, RestWhy,
        Strategy, Used,
    },
};

/// A rule that keeps a cluster.
#[derive(Clone, Debug)]
pub enum Rule {
    Nothing,
    /// As the Python tool does: the smallest VM of each overloaded node, one after another, with its thresholds.
    Python {
        migrations_max: usize,
        interval_min: u32,
    },
    Ours(Box<Ours>),
}

/// The real policy and how often it is asked.
#[derive(Clone, Debug)]
pub struct Ours {
    pub policy: Policy,
    /// Between cycles (`BALANCE_INTERVAL`).
    pub interval_min: u32,
    /// Between looks besides the cycles (`WATCH_INTERVAL`).
    pub watch_min: Option<u32>,
    /// Rest after a migration, and after a failure.
    pub cooldown: TimeDelta,
    pub failure_cooldown: TimeDelta,
    pub approval: Approval,
    /// Hours of the day in which relief within limits needs no approval (`AUTOPILOT`), and the limits of each night.
    pub autopilot: Option<Autopilot>,
}

impl Ours {
    /// The defaults of the configuration, in auto mode.
    #[must_use]
    pub fn by_defaults(policy: Policy) -> Self {
        Self {
            policy: Policy { load_readings: 2, nodes_are_asked: true, ..policy },
            interval_min: 10,
            watch_min: Some(2),
            cooldown: TimeDelta::hours(6),
            failure_cooldown: TimeDelta::days(1),
            approval: Approval::None,
            autopilot: None,
        }
    }

    /// The same where nodes are not asked: memory and vCPUs decide.
    #[must_use]
    pub fn without_ssh(mut self) -> Self {
        self.policy.nodes_are_asked = false;
        self
    }

    /// A standing approval for relief between two hours of the day, over midnight, without other limits.
    #[must_use]
    pub fn with_autopilot(mut self, from: u32, to: u32) -> Self {
        let night = |minute: u32| !(to..from).contains(&(minute / 60 % 24));
        self.autopilot =
            Some(Autopilot { minutes: (0..7 * 24 * 60).map(night).collect(), limits: Limits::default() });
        self
    }

    /// Returns the picture of the cluster as this configuration sees it.
    fn sees(&self, mut snapshot: Snapshot) -> Snapshot {
        if !self.policy.nodes_are_asked {
            snapshot.nodes.iter_mut().for_each(|node| node.load = None);
            snapshot.vms.iter_mut().for_each(|vm| vm.measured = None);
        }
        snapshot
    }

    /// Minutes from one look to the next.
    fn look_min(&self) -> u32 {
        self.watch_min.unwrap_or(self.interval_min).min(self.interval_min)
    }

    /// How many minutes older the reading is that a new one is compared with, as the monitor of the nodes chooses it.
    fn reading_before(&self, since: u32) -> u32 {
        since.clamp(self.look_min().div_ceil(2), 2 * self.look_min()).min(READINGS_KEPT)
    }
}

/// A standing approval of every night.
#[derive(Clone, Debug)]
pub struct Autopilot {
    /// The minutes of the week, from Monday, in which it counts.
    pub minutes: Vec<bool>,
    pub limits: Limits,
}

impl Autopilot {
    fn is_open(&self, minute: u32) -> bool {
        let of_week = minute as usize % self.minutes.len().max(1);
        self.minutes.get(of_week).copied().unwrap_or(false)
    }
}

/// What the present night's standing approval let run.
#[derive(Clone, Copy, Default)]
struct Night {
    is_open: bool,
    has_failed: bool,
    used: Used,
}

/// Whether people must approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// `BALANCE_MODE=auto`.
    None,
    /// `BALANCE_MODE=propose`: somebody presses after so many minutes, between these hours of the day.
    People { minutes: u32, from: u32, to: u32 },
}

/// A migration that ended.
pub(super) struct Ended {
    pub vm: VmId,
    pub gib: f64,
    pub arrived: bool,
}

struct Step {
    vm: VmId,
    memory: Mib,
    source: NodeId,
    target: NodeId,
    /// Where the planner made it.
    planned: Option<Box<Migration>>,
}

struct Running {
    step: Step,
    ends: u32,
    fails: bool,
}

/// Carries out what a rule wants.
pub(super) struct Hand<'a> {
    rule: &'a Rule,
    dice: Dice,
    waiting: VecDeque<Step>,
    /// When what waits may begin: when people approve it.
    approved_at: u32,
    running: Vec<Running>,
    next_cycle: u32,
    next_look: u32,
    last_look: u32,
    /// The nodes that were overloaded at the last look.
    overloaded: BTreeSet<NodeId>,
    resting: BTreeMap<VmId, Rest>,
    recent: Vec<RecentMove>,
    brims: Brims,
    /// What the run under way moved: it does not rest within it.
    moved: BTreeSet<VmId>,
    night: Night,
    /// The run under way is by the standing approval.
    is_by_night: bool,
    /// The imbalance at which evening out came to rest.
    settled: BTreeMap<ClusterId, f64>,
    /// Is shown what our planner decides on.
    watch: &'a mut dyn FnMut(&Snapshot, &Policy),
}

impl<'a> Hand<'a> {
    pub(super) fn new(rule: &'a Rule, watch: &'a mut dyn FnMut(&Snapshot, &Policy)) -> Self {
        Self {
            rule,
            watch,
            dice: Dice::new(0xFA11),
            waiting: VecDeque::new(),
            approved_at: 0,
            running: Vec::new(),
            next_cycle: 0,
            next_look: 0,
            last_look: 0,
            overloaded: BTreeSet::new(),
            resting: BTreeMap::new(),
            recent: Vec::new(),
            brims: Brims::default(),
            moved: BTreeSet::new(),
            night: Night::default(),
            is_by_night: false,
            settled: BTreeMap::new(),
        }
    }

    /// Acts for a minute, and returns what ended in it.
    pub(super) fn act(&mut self, cluster: &mut Cluster, minute: u32) -> Vec<Ended> {
        let was_idle = self.is_idle();
        let ended = self.end(cluster, minute);
        if !was_idle && self.is_idle() {
            // What is still overloaded after a run is looked at at once.
            self.overloaded.clear();
            self.next_look = minute;
        }
        match self.rule {
            Rule::Nothing => {}
            Rule::Python { migrations_max, interval_min } => {
                if self.is_idle() && minute >= self.next_cycle {
                    let snapshot = cluster.look(minute, *interval_min);
                    let resting = self.policy(&Policy::default(), minute).resting;
                    self.waiting = python(&snapshot, &resting, *migrations_max).into();
                    self.next_cycle = minute + interval_min;
                }
                self.start(cluster, minute, &Ours::by_defaults(Policy::default()));
            }
            Rule::Ours(ours) => {
                self.look(cluster, minute, ours);
                if minute >= self.approved_at {
                    self.start(cluster, minute, ours);
                }
            }
        }
        ended
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    fn end(&mut self, cluster: &mut Cluster, minute: u32) -> Vec<Ended> {
        let now = Cluster::now(minute);
        let (over, running): (Vec<_>, _) = self.running.drain(..).partition(|one| one.ends <= minute);
        self.running = running;
        let (cooldown, failure_cooldown) = match self.rule {
            Rule::Ours(ours) => (ours.cooldown, ours.failure_cooldown),
            _ => (TimeDelta::hours(1), TimeDelta::days(1)),
        };
        let mut ended = Vec::new();
        for Running { step: Step { vm, memory, source, target, planned }, fails, .. } in over {
            let evens = planned.is_some_and(|step| matches!(step.why, MoveWhy::Level { .. }));
            let rest = if evens { cooldown.max(planner::LEVEL_REST) } else { cooldown };
            let Some(place) = cluster.place_of(vm) else { continue };
            let arrived = !fails && place == source;
            let (until, why) = match arrived {
                true => (now + rest, RestWhy::Moved),
                false => (now + failure_cooldown, RestWhy::Failed),
            };
            self.resting.insert(vm, Rest { until, why });
            if arrived {
                cluster.put(vm, target);
                self.moved.insert(vm);
                self.recent.push(RecentMove { vm, source, target, ended: now });
            }
            self.night.has_failed |= self.is_by_night && !arrived;
            ended.push(Ended { vm, gib: memory.0 as f64 / 1024.0, arrived });
        }
        ended
    }

    fn policy(&self, base: &Policy, minute: u32) -> Policy {
        let now = Cluster::now(minute);
        let unseen = base.measurement_max_age + planner::LOAD_FORGOTTEN;
        Policy {
            resting: self
                .resting
                .iter()
                .filter(|(_, rest)| now < rest.until)
                .map(|(vm, r)| (*vm, r.clone()))
                .collect(),
            recent_moves: self.recent.iter().filter(|recent| now - recent.ended < unseen).cloned().collect(),
            memory_brims: self.brims.waiting(now),
            settled: (base.strategy == Strategy::Level).then(|| self.settled.clone()),
            ..base.clone()
        }
    }

    /// Whose consent a plan of this minute needs.
    fn consent(&self, ours: &Ours, minute: u32) -> Consent {
        if ours.approval == Approval::None {
            return Consent::NotNeeded;
        }
        // The failure is of this night only where the night was open already.
        let has_ended = self.night.is_open && self.night.has_failed;
        let autopilot = ours.autopilot.as_ref().filter(|autopilot| autopilot.is_open(minute) && !has_ended);
        let ends_soon = |autopilot: &Autopilot| {
            let before = u32::try_from(planner::BEFORE_PEOPLE.num_minutes()).unwrap_or(u32::MAX);
            (minute..=minute + before).any(|minute| !autopilot.is_open(minute))
        };
        let clusters = |are_all: bool| if are_all { None } else { Some([].into()) };
        Consent::People {
            but_for: clusters(autopilot.is_some()),
            ending: clusters(autopilot.is_some_and(ends_soon)),
        }
    }

    /// Looks where it is time, and plans.
    fn look(&mut self, cluster: &Cluster, minute: u32, ours: &Ours) {
        if minute < self.next_look.min(self.next_cycle) {
            return;
        }
        let snapshot = ours.sees(cluster.look(minute, ours.reading_before(minute - self.last_look)));
        self.brims.note(&snapshot, &ours.policy);
        let policy = Policy { consent: self.consent(ours, minute), ..self.policy(&ours.policy, minute) };
        self.next_look = minute + ours.look_min();
        self.last_look = minute;
        let overloaded = planner::overloaded_nodes(&snapshot, &policy);
        let decided = !self.is_idle() && minute >= self.approved_at;
        self.overloaded.retain(|node| overloaded.contains_key(node));
        let is_new = overloaded.keys().any(|node| !self.overloaded.contains(node));
        // While a plan is under way nothing else is begun: what comes then is new to the first look after it.
        if !decided {
            self.overloaded.extend(overloaded.keys());
        }
        if !is_new && minute < self.next_cycle || decided {
            return;
        }
        self.next_cycle = minute + ours.interval_min;
        (self.watch)(&snapshot, &policy);
        let plan = planner::plan(&snapshot, &policy);
        for plan in &plan.clusters {
            self.settled
                .extend(planner::settled_imbalance(plan, &policy).map(|imbalance| (plan.cluster, imbalance)));
        }
        let waited = !self.waiting.is_empty();
        let within = ours
            .autopilot
            .as_ref()
            .and_then(|autopilot| self.within(autopilot, minute, plan.clusters.first()?, &snapshot, &policy));
        self.is_by_night = within.is_some();
        let is_asked = ours.approval != Approval::None;
        let for_people = |plan: &ClusterPlan| !(is_asked && plan.is_only_ahead());
        let mut clusters = plan.clusters;
        match within {
            Some(within) => clusters = vec![within],
            None => clusters.retain(for_people),
        }
        let migrations = clusters.into_iter().flat_map(|cluster| cluster.migrations);
        let step = |planned: Migration| Step {
            vm: planned.vm,
            memory: planned.ram,
            source: planned.source,
            target: planned.target,
            planned: Some(Box::new(planned)),
        };
        self.waiting = migrations.map(step).collect();
        self.moved.clear();
        if self.is_by_night {
            self.approved_at = minute;
        } else if !waited {
            self.approved_at = match ours.approval {
                Approval::None => minute,
                Approval::People { minutes, from, to } => awake(minute + minutes, from, to),
            };
        }
    }

    /// What the standing approval of the night covers of a plan; it counts as used.
    fn within(
        &mut self,
        autopilot: &Autopilot,
        minute: u32,
        plan: &ClusterPlan,
        snapshot: &Snapshot,
        policy: &Policy,
    ) -> Option<ClusterPlan> {
        match (autopilot.is_open(minute), self.night.is_open) {
            (true, false) => self.night = Night { is_open: true, ..Night::default() },
            (is_open, _) => self.night.is_open = is_open,
        }
        if !self.night.is_open || self.night.has_failed {
            return None;
        }
        let plan_under = |policy: &Policy| planner::plan(snapshot, policy).clusters.pop();
        let within = autopilot.limits.narrow(plan, self.night.used, policy, plan_under).ok()?;
        for step in &within.migrations {
            self.night.used.migrations += 1;
            self.night.used.ram += step.ram;
        }
        Some(within)
    }

    /// Starts what may run now.
    fn start(&mut self, cluster: &Cluster, minute: u32, ours: &Ours) {
        while let Some(index) = self.startable(ours.policy.parallel_max.max(1)) {
            let Some(step) = self.waiting.remove(index) else { break };
            let fits = match &step.planned {
                Some(planned) => {
                    let mut policy = self.policy(&ours.policy, minute);
                    policy.resting.retain(|vm, rest| rest.why != RestWhy::Moved || !self.moved.contains(vm));
                    planner::fit(&ours.sees(cluster.look(minute, 1)), &policy, planned).is_ok()
                }
                None => cluster.place_of(step.vm) == Some(step.source),
            };
            if !fits {
                continue;
            }
            let ends = minute + minutes(step.memory);
            self.running.push(Running { step, ends, fails: self.dice.one_in(FAILS_ONE_IN) });
        }
    }

    /// The place among the waiting steps of one that may begin, chosen as the executor does. The Python tool carries out
    /// one after the other.
    fn startable(&self, parallel: usize) -> Option<usize> {
        let waiting: Vec<_> = self.waiting.iter().filter_map(|step| step.planned.as_deref()).collect();
        let running: Vec<_> = self.running.iter().filter_map(|one| one.step.planned.as_deref()).collect();
        if waiting.len() < self.waiting.len() {
            return self.running.is_empty().then_some(0);
        }
        let first = planner::startable(&waiting, &running, parallel).first().map(|step| step.step)?;
        waiting.iter().position(|step| step.step == first)
    }
}

/// How much RAM a live migration copies in a minute, roughly: a 10 Gbit/s network at a sixth of its speed, as
/// VMmanager's defaults give it.
const GIB_PER_MINUTE: f64 = 12.0;

/// What a migration takes besides copying: checks before it, the switch, looking whether it arrived.
const MINUTES_PER_MIGRATION: f64 = 0.5;

/// How long a VM of that memory is on its way.
pub(super) fn minutes(memory: Mib) -> u32 {
    let gib = memory.0 as f64 / 1024.0;
    (MINUTES_PER_MIGRATION + gib / GIB_PER_MINUTE).ceil() as u32
}

/// The first minute from `minute` on at which somebody is awake.
fn awake(minute: u32, from: u32, to: u32) -> u32 {
    let (day, hour) = (minute / (24 * 60), minute / 60 % 24);
    if hour < from {
        day * 24 * 60 + from * 60
    } else if hour >= to {
        (day + 1) * 24 * 60 + from * 60
    } else {
        minute
    }
}

/// What the Python tool's rule would move now, with its default thresholds: of each overloaded node, the worst first,
/// its smallest VM to the first of the emptiest nodes that takes it.
fn python(snapshot: &Snapshot, resting: &BTreeMap<VmId, Rest>, migrations_max: usize) -> Vec<Step> {
    let Policy { cpu, memory, .. } = Policy::default();
    let one = |node: &NodeInfo| f64::from(node.cpu_total.unwrap_or(0).max(1));
    let load = |node: &NodeInfo| node.load.as_ref().map_or(0.0, |load| load.one) / one(node);
    let percent = |node: &NodeInfo, more: Mib| {
        let total = node.memory_total.unwrap_or_default().0.max(1);
        (node.memory_used.unwrap_or_default() + more).0 as f64 * 100.0 / total as f64
    };
    let crowd = |node: &NodeInfo| (f64::from(node.vm_count) / one(node)).min(2.0) * 0.3;
    let score = |node: &&NodeInfo| load(node) + crowd(node);
    let is_over = |node: &&NodeInfo| load(node) > cpu.overload || percent(node, Mib(0)) > memory.overload;
    let mut sources: Vec<_> =
        snapshot.nodes.iter().filter(|node| !node.maintenance && is_over(node)).collect();
    sources.sort_by_key(|node| Reverse((1e6 * (score(node) + percent(node, Mib(0)) / 100.0)) as i64));
    let is_free = |node: &&NodeInfo| {
        !node.maintenance && load(node) < cpu.target && percent(node, Mib(0)) < memory.target
    };
    let mut targets: Vec<_> = snapshot.nodes.iter().filter(is_free).collect();
    targets.sort_by_key(|node| (1e6 * score(node)) as i64);
    let smallest = |source: &NodeInfo| {
        let free =
            |vm: &&VmInfo| vm.node == source.id && vm.blocked_by.is_empty() && !resting.contains_key(&vm.id);
        snapshot.vms.iter().filter(free).min_by_key(|vm| u64::from(vm.cpu_cores) * 1024 + vm.memory.0)
    };
    let takes = |target: &NodeInfo, vm: &VmInfo| {
        let vcpus = f64::from(target.cpu_used.unwrap_or(0) + vm.cpu_cores);
        vcpus / one(target) < cpu.overload && percent(target, vm.memory) < memory.overload
    };
    let step = |source: &&NodeInfo| {
        let vm = smallest(source)?;
        let target = targets.iter().find(|target| target.id != source.id && takes(target, vm))?;
        Some(Step { vm: vm.id, memory: vm.memory, source: source.id, target: target.id, planned: None })
    };
    sources.iter().filter_map(step).take(migrations_max).collect()
}
