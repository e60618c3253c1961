//! Turns the search's steps into a plan with its reasons: why each VM moves, what each node becomes, what stays and
//! why.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    amounts::{
        Dimension::{self, Cpu, Load, Memory},
        MICRO,
    },
    board::{Board, Placement, Vm},
    figures, load,
    node::{SourceClosed, is_unreadable},
    plan::{
        ClusterPlan, Excess, Hold, Migration, MoveWhy, NodeChange, Note, Obstacle, Overloaded, PlanId,
        Resource, RunnerUp, Skip, SkipWhy, StillOverloaded, Strain, TargetRefusal,
    },
    policy::{ExclusionWhy, Selector},
    step::{Purpose, Step},
    strain, terms,
};
use crate::model::{Block, Mib, NodeState};

/// How far a node's own memory figure and the sum over its VMs may differ without a note, in percent of the node's
/// memory. Rounding explains this much, and so do VMs that come and go between two lists.
const SUMS_DIFFER_PERCENT: i64 = 1;

/// Returns why nothing may be done in this cluster.
pub(super) fn hold(board: &Board<'_>) -> Option<Hold> {
    if let Some(flaw) = board.info.incomplete.first() {
        return Some(Hold::Incomplete(flaw.clone()));
    }
    if let Some(kind) = not_kvm(board) {
        return Some(Hold::NotKvm { virtualization: kind.to_owned() });
    }
    foreign_tasks(board).next().map(|task| Hold::Foreign { task })
}

fn not_kvm<'b>(board: &'b Board<'_>) -> Option<&'b str> {
    board.info.virtualization.as_deref().filter(|kind| !kind.eq_ignore_ascii_case("kvm"))
}

fn foreign_tasks<'b>(board: &'b Board<'_>) -> impl Iterator<Item = u64> + 'b {
    let here = |cluster: Option<_>| cluster.is_none_or(|cluster| cluster == board.info.id);
    board.snapshot.foreign.iter().filter(move |foreign| here(foreign.cluster)).map(|foreign| foreign.task)
}

/// Tells the whole plan of a cluster.
pub(super) fn cluster_plan(board: &Board<'_>, steps: &[Step], steps_max: usize) -> ClusterPlan {
    let start = board.start();
    let mut placement = board.start();
    let mut waves = Waves::new(board.policy.parallel_max);
    let migrations: Vec<Migration> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let wave = waves.take(placement.at[step.vm], step.target);
            let migration = migration(board, &placement, steps, index, wave);
            board.apply(&mut placement, step.vm, step.target);
            migration
        })
        .collect();
    // Relief in advance only takes what relief leaves of the limit.
    let relieving = steps.iter().filter(|step| step.purpose != Purpose::Ahead).count();
    let limit = (relieving >= steps_max).then_some(steps_max);
    let refused = refused_on(board, &placement);
    let still = still_overloaded(board, &placement, limit, &refused);
    ClusterPlan {
        id: PlanId(String::new()),
        cluster: board.info.id,
        name: board.info.name.clone(),
        incomplete: board.info.incomplete.clone(),
        overloaded: list_overloaded(board, &start),
        skipped: list_skips(board, &start, &placement, refused),
        migrations,
        still_overloaded: still,
        notes: notes(board),
        before: figures::figures(board, &start),
        after: figures::figures(board, &placement),
    }
}

/// Numbers the waves: steps that share no node, as many as may run at one time.
pub(super) struct Waves {
    parallel_max: usize,
    number: u32,
    nodes: Vec<usize>,
}

impl Waves {
    pub(super) fn new(parallel_max: usize) -> Self {
        Self { parallel_max: parallel_max.max(1), number: 1, nodes: Vec::new() }
    }

    pub(super) fn take(&mut self, source: usize, target: usize) -> u32 {
        let shared = self.nodes.contains(&source) || self.nodes.contains(&target);
        if shared || self.nodes.len() >= 2 * self.parallel_max {
            self.number += 1;
            self.nodes.clear();
        }
        self.nodes.extend([source, target]);
        self.number
    }
}

fn migration(board: &Board<'_>, placement: &Placement, steps: &[Step], index: usize, wave: u32) -> Migration {
    let Step { vm, target, .. } = steps[index];
    let source = placement.at[vm];
    let (what, from, to) = (&board.vms[vm], &board.nodes[source], &board.nodes[target]);
    let without = placement.used[source] - what.needs;
    let with = placement.used[target] + what.needs;
    Migration {
        step: u32::try_from(index + 1).unwrap_or(u32::MAX),
        wave,
        vm: what.info.id,
        vm_name: what.info.name.clone(),
        source: from.info.id,
        source_name: from.info.name.clone(),
        target: to.info.id,
        target_name: to.info.name.clone(),
        vcpus: what.info.cpu_cores,
        ram: what.info.memory,
        disk: board.disk(vm),
        why: why(board, placement, steps, index),
        cautions: board.cautions(placement, vm, target),
        runner_up: runner_up(board, placement, vm, target),
        source_state: NodeChange {
            before: from.fullness(placement.used[source]),
            after: from.fullness(without),
        },
        target_state: NodeChange { before: to.fullness(placement.used[target]), after: to.fullness(with) },
    }
}

fn why(board: &Board<'_>, placement: &Placement, steps: &[Step], index: usize) -> MoveWhy {
    let Step { vm, target, purpose } = steps[index];
    let source = placement.at[vm];
    let home = board.vms[vm].node;
    let goes_to = |step: &&Step, node: usize| step.target == node && step.vm != vm;
    // On its way, a VM makes room for who comes to its home.
    let at_home = || steps.iter().find(|step| source != home && goes_to(step, home));
    let helped = || steps[index + 1..].iter().find(|later| goes_to(later, source)).or_else(at_home);
    let worst_at_home = || {
        let at_start = worst(&figures::excesses(board, home, &board.nodes[home].start))?;
        // A step for the margin finds its node below the threshold already.
        let now = figures::value(board, home, &placement.used[home], at_start.resource);
        Some(if source == home { Excess { value: now, ..at_start } } else { at_start })
    };
    match (purpose, worst(&figures::excesses(board, source, &placement.used[source]))) {
        (Purpose::Drain, _) => MoveWhy::Drain,
        (Purpose::Undo(of), _) => MoveWhy::Undo { of },
        (Purpose::Ahead, _) => MoveWhy::Ahead(Excess {
            resource: Resource::Memory,
            value: board.fullness(source, placement.used[source]).memory_percent,
            threshold: board.policy.memory.overload,
        }),
        (Purpose::Level, None) => leveling(board, placement, vm, target),
        (_, Some(excess)) => MoveWhy::Relieve(excess),
        (purpose, None) => match (purpose, helped(), worst_at_home()) {
            (Purpose::MakeRoom, Some(helped), _) | (_, Some(helped), None) => {
                let for_vm = board.vms[helped.vm].info;
                MoveWhy::MakeRoom { for_vm: for_vm.id, for_vm_name: for_vm.name.clone() }
            }
            (_, _, Some(excess)) => MoveWhy::Relieve(excess),
            (_, None, None) => leveling(board, placement, vm, target),
        },
    }
}

fn leveling(board: &Board<'_>, placement: &Placement, vm: usize, target: usize) -> MoveWhy {
    let mut after = placement.clone();
    board.apply(&mut after, vm, target);
    MoveWhy::Level {
        imbalance_before: figures::imbalance(board, &placement.used),
        imbalance_after: figures::imbalance(board, &after.used),
    }
}

fn worst(excesses: &[Excess]) -> Option<Excess> {
    let by = |excess: &Excess| excess.value / excess.threshold.max(f64::MIN_POSITIVE);
    excesses.iter().copied().max_by(|a, b| by(a).total_cmp(&by(b)))
}

/// The other node that would have taken the VM with the most room left.
fn runner_up(board: &Board<'_>, placement: &Placement, vm: usize, target: usize) -> Option<RunnerUp> {
    let needs = board.vms[vm].needs;
    let fits = |node: &usize| *node != target && board.refusal(placement, vm, *node).is_none();
    let rank = |node: &usize| board.nodes[*node].share_of_ceiling(placement.used[*node] + needs);
    let node = (0..board.nodes.len())
        .filter(fits)
        .map(|node| (rank(&node), node))
        .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))?
        .1;
    let info = board.nodes[node].info;
    let after = board.fullness(node, placement.used[node] + needs);
    Some(RunnerUp { node: info.id, name: info.name.clone(), after })
}

pub(super) fn list_overloaded(board: &Board<'_>, placement: &Placement) -> Vec<Overloaded> {
    over(board, placement)
        .map(|node| Overloaded {
            node: board.nodes[node].info.id,
            name: board.nodes[node].info.name.clone(),
            at: board.fullness(node, placement.used[node]),
            over: figures::excesses(board, node, &placement.used[node]),
        })
        .collect()
}

fn over<'b>(board: &'b Board<'_>, placement: &'b Placement) -> impl Iterator<Item = usize> + 'b {
    (0..board.nodes.len()).filter(|n| board.nodes[*n].known && board.nodes[*n].is_over(&placement.used[*n]))
}

fn still_overloaded(
    board: &Board<'_>,
    placement: &Placement,
    limit: Option<usize>,
    refused: &RefusedOn,
) -> Vec<StillOverloaded> {
    let here = residents(board, placement);
    over(board, placement)
        .map(|node| {
            let (facts, used) = (&board.nodes[node], placement.used[node]);
            let beyond =
                |r: Dimension| facts.over[r].is_exceeded_by(used[r]).then(|| facts.over[r].excess(used[r]));
            let cpu = beyond(Cpu).or(beyond(Load));
            StillOverloaded {
                node: facts.info.id,
                name: facts.info.name.clone(),
                over: figures::excesses(board, node, &used),
                needs_memory: beyond(Memory).map(|mib| Mib(mib.unsigned_abs())),
                needs_cpu: cpu.map(|micro| micro as f64 / MICRO as f64),
                because: obstacles(board, placement, node, &here[node], (limit, refused)),
            }
        })
        .collect()
}

fn residents(board: &Board<'_>, placement: &Placement) -> Vec<Vec<usize>> {
    let mut here = vec![Vec::new(); board.nodes.len()];
    for (vm, node) in placement.at.iter().enumerate() {
        here[*node].push(vm);
    }
    here
}

fn obstacles(
    board: &Board<'_>,
    placement: &Placement,
    node: usize,
    here: &[usize],
    (limit, refused): (Option<usize>, &RefusedOn),
) -> Vec<Obstacle> {
    if let Some(hold) = hold(board) {
        return vec![Obstacle::Held(hold)];
    }
    match &board.nodes[node].source {
        Ok(()) => {}
        Err(SourceClosed::Excluded) => return vec![Obstacle::ExcludedSource],
        Err(SourceClosed::Node(closed)) => return vec![Obstacle::State(closed.clone())],
    }
    let mut because: Vec<_> =
        limit.map(|migrations_max| Obstacle::Limit { migrations_max }).into_iter().collect();
    let may_leave = |vm: &usize| board.may_relieve(*vm, node, &placement.used[node]);
    let why_not: Vec<_> = here.iter().filter_map(|vm| may_leave(vm).err()).collect();
    let movable = here.iter().filter(|vm| may_leave(vm).is_ok()).count();
    let mut refusals = BTreeMap::new();
    for (_, refusal) in refused.get(&node).into_iter().flatten() {
        *refusals.entry(*refusal).or_insert(0) += 1;
    }
    let homeless: usize = refusals.values().sum();
    if limit.is_none() && (homeless < movable || movable == 0) {
        because.push(Obstacle::NotEnough { movable });
    } else if homeless == movable && homeless > 0 {
        let mut reasons: Vec<_> = refusals.into_iter().collect();
        reasons.sort_by_key(|(refusal, count)| (std::cmp::Reverse(*count), *refusal));
        because.push(Obstacle::NoTarget { movable: homeless, reasons });
    }
    because.extend(group_reasons(why_not));
    because
}

/// Counts the reasons; VMs that rest for the same reason are one group, free when the last of them is.
fn group_reasons(reasons: Vec<SkipWhy>) -> impl Iterator<Item = Obstacle> {
    let mut groups: Vec<(SkipWhy, usize)> = Vec::new();
    for why in reasons {
        let same = groups.iter_mut().find(|(known, _)| match (known, &why) {
            (SkipWhy::Resting { why: a, .. }, SkipWhy::Resting { why: b, .. }) => a == b,
            (known, why) => known == why,
        });
        match (same, &why) {
            (Some((SkipWhy::Resting { until, .. }, count)), SkipWhy::Resting { until: later, .. }) => {
                *until = (*until).max(*later);
                *count += 1;
            }
            (Some((_, count)), _) => *count += 1,
            (None, _) => groups.push((why, 1)),
        }
    }
    groups.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    groups.into_iter().map(|(why, count)| Obstacle::Immovable { why, count })
}

/// For each node that stays overloaded, the VMs that might leave it and that no node takes.
type RefusedOn = BTreeMap<usize, Vec<(usize, TargetRefusal)>>;

/// Looks at all nodes for each kind of VM, so it is done once.
fn refused_on(board: &Board<'_>, end: &Placement) -> RefusedOn {
    if hold(board).is_some() {
        return RefusedOn::new();
    }
    let here = residents(board, end);
    let of = |node: usize| {
        let may_leave = |vm: &usize| board.may_relieve(*vm, node, &end.used[node]).is_ok();
        let movable: Vec<_> = here[node].iter().copied().filter(may_leave).collect();
        (node, refused_everywhere(board, end, &movable))
    };
    over(board, end).map(of).collect()
}

/// Of these VMs, those that no node would take, with the reason that most nodes give.
fn refused_everywhere(
    board: &Board<'_>,
    placement: &Placement,
    vms: &[usize],
) -> Vec<(usize, TargetRefusal)> {
    let mut known: Vec<(usize, Option<TargetRefusal>)> = Vec::new();
    let alike = |a: usize, b: usize| {
        let (a_vm, b_vm) = (&board.vms[a], &board.vms[b]);
        let kind = |vm: &Vm<'_>| (vm.needs, vm.needs_same_cpu);
        kind(a_vm) == kind(b_vm)
            && (&a_vm.groups, &a_vm.declined) == (&b_vm.groups, &b_vm.declined)
            && placement.at[a] == placement.at[b]
    };
    vms.iter()
        .filter_map(|&vm| {
            let refusal = match known.iter().find(|(other, _)| alike(*other, vm)) {
                Some((_, refusal)) => *refusal,
                None => {
                    let refusal = main_refusal(board, placement, vm);
                    known.push((vm, refusal));
                    refusal
                }
            };
            Some((vm, refusal?))
        })
        .collect()
}

/// The reason that most nodes give against a VM; `None` where one would take it.
pub(super) fn main_refusal(board: &Board<'_>, placement: &Placement, vm: usize) -> Option<TargetRefusal> {
    let others = (0..board.nodes.len()).filter(|node| *node != placement.at[vm]);
    let refusals: Option<Vec<_>> = others.map(|node| board.refusal(placement, vm, node)).collect();
    Some(most_frequent(refusals?.into_iter()).unwrap_or(TargetRefusal::SameNode))
}

/// The refusal that occurs most often, the first of its kind where two do.
pub(super) fn most_frequent(refusals: impl Iterator<Item = TargetRefusal>) -> Option<TargetRefusal> {
    // There are few kinds of them, and they come by the thousand.
    let mut counts: Vec<(TargetRefusal, usize)> = Vec::new();
    for refusal in refusals {
        match counts.iter_mut().find(|(known, _)| *known == refusal) {
            Some((_, count)) => *count += 1,
            None => counts.push((refusal, 1)),
        }
    }
    counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0))).map(|(refusal, _)| refusal)
}

fn list_skips(board: &Board<'_>, start: &Placement, end: &Placement, refused: RefusedOn) -> Vec<Skip> {
    let mut skips: Vec<(usize, SkipWhy)> = Vec::new();
    for node in over(board, start) {
        for &vm in &board.vms_on[node] {
            skips.extend(board.movable(vm, false).err().map(|why| (vm, why)));
        }
    }
    if hold(board).is_none() {
        let here = residents(board, end);
        for node in over(board, end) {
            let may_leave = |vm: &usize| board.may_relieve(*vm, node, &end.used[node]);
            let dear = here[node].iter().filter(|vm| may_leave(vm) == Err(SkipWhy::NotWorthIt));
            skips.extend(dear.map(|vm| (*vm, SkipWhy::NotWorthIt)));
        }
    }
    let refused = refused.into_values().flatten();
    skips.extend(refused.map(|(vm, refusal)| (vm, SkipWhy::NoTarget(refusal))));
    skips.sort_by_key(|(vm, _)| *vm);
    skips.into_iter().map(|(vm, why)| skip(board, vm, why)).collect()
}

pub(super) fn skip(board: &Board<'_>, vm: usize, why: SkipWhy) -> Skip {
    let info = board.vms[vm].info;
    Skip { vm: info.id, name: info.name.clone(), node: info.node, why }
}

fn notes(board: &Board<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let opted_out =
        |vm: &Vm<'_>| vm.info.blocked_by.contains(&Block::BalancerMode) && board.policy.respect_balancer_mode;
    if !board.vms.is_empty() && board.vms.iter().all(opted_out) {
        notes.push(Note::EveryVmOptedOut);
    }
    let unmeasured: Vec<_> = board.nodes.iter().filter(|node| node.known && !node.by_load).collect();
    let asked = board.policy.nodes_are_asked || board.nodes.iter().any(|node| node.info.load.is_some());
    if asked && !unmeasured.is_empty() {
        let nodes = unmeasured.iter().map(|node| node.info.name.clone()).collect();
        notes.push(Note::Unmeasured { nodes });
    }
    notes.extend((0..board.nodes.len()).filter_map(|node| settling(board, node)));
    notes.extend((0..board.nodes.len()).filter_map(|node| {
        let strains = list_strains(board, node);
        (!strains.is_empty()).then(|| Note::Strained { node: board.nodes[node].info.name.clone(), strains })
    }));
    notes.extend((0..board.nodes.len()).filter_map(|node| load_is_not_cpu(board, node)));
    notes.extend(
        board
            .nodes
            .iter()
            .map(|node| node.info)
            .filter(|node| !node.faults.is_empty())
            .map(|node| Note::Faulty { node: node.name.clone(), faults: node.faults.clone() }),
    );
    notes.extend((0..board.nodes.len()).filter_map(|node| unreadable(board, node)));
    let families: BTreeSet<_> = board.nodes.iter().filter_map(|node| terms::family(node.info)).collect();
    if families.len() > 1 {
        notes.push(Note::MixedOsFamilies);
    }
    if let Some(kind) = not_kvm(board) {
        notes.push(Note::NotKvm { virtualization: kind.to_owned() });
    }
    if let Some(key) = &board.info.builtin_balancer {
        notes.push(Note::BuiltinBalancer { key: key.clone() });
    }
    notes.extend(foreign_tasks(board).map(|task| Note::ForeignMigration { task }));
    notes.extend(closed_after_failures(board));
    notes.extend(unknown_selectors(board));
    notes.extend((0..board.nodes.len()).filter_map(|node| sums_differ(board, node)));
    notes
}

fn unreadable(board: &Board<'_>, node: usize) -> Option<Note> {
    let info = board.nodes[node].info;
    let here = board.vms_on[node].iter().map(|vm| board.vms[*vm].info);
    let damaged = here.filter(|vm| vm.blocked_by.contains(&Block::Unreadable));
    let vms: Vec<_> = damaged.map(|vm| vm.name.clone()).collect();
    let node = info.name.clone();
    match info.state == NodeState::UnreadableVm && vms.is_empty() {
        true => Some(Note::NamelessVm { node }),
        false => is_unreadable(info).then_some(Note::Unreadable { node, vms }),
    }
}

/// When the load of a node counts again that was read over the threshold and would count but for VMs that left it.
pub(super) fn settles(board: &Board<'_>, node: usize) -> Option<DateTime<Utc>> {
    let facts = &board.nodes[node];
    load::reads_over(facts.info, board.policy).then_some(facts.settles).flatten()
}

fn settling(board: &Board<'_>, node: usize) -> Option<Note> {
    settles(board, node).map(|until| Note::Settling { node: board.nodes[node].info.name.clone(), until })
}

/// What a node suffers from although its thresholds hold.
pub(super) fn list_strains(board: &Board<'_>, node: usize) -> Vec<Strain> {
    let facts = &board.nodes[node];
    let holds = !facts.is_over(&facts.start) && !load::reads_over(facts.info, board.policy);
    match facts.known && holds {
        true => strain::strains(facts.info, board.snapshot.taken_at, board.policy),
        false => Vec::new(),
    }
}

/// Load over the threshold although hardly anybody waits for a Cpu.
fn load_is_not_cpu(board: &Board<'_>, node: usize) -> Option<Note> {
    let facts = &board.nodes[node];
    let measured = strain::fresh(facts.info, board.snapshot.taken_at, board.policy)?;
    let told =
        facts.by_load && load::reads_over(facts.info, board.policy) && strain::waits_for_no_cpu(measured);
    let percent = |value: f64| value.round() as u32;
    told.then(|| Note::LoadIsNotCpu {
        node: facts.info.name.clone(),
        cpu_pressure: percent(measured.cpu_pressure.unwrap_or(0.0)),
        io_pressure: measured.io_pressure.map(percent),
    })
}

fn closed_after_failures<'b>(board: &'b Board<'_>) -> impl Iterator<Item = Note> + 'b {
    let now = board.snapshot.taken_at;
    let closed = board.policy.exclusions.iter().filter_map(move |exclusion| match exclusion.why {
        ExclusionWhy::Failures { count } if exclusion.until.is_none_or(|until| until > now) => {
            Some((exclusion, count))
        }
        _ => None,
    });
    closed.flat_map(|(exclusion, count)| {
        let infos = board.nodes.iter().map(|node| node.info);
        infos.filter(|info| exclusion.node.is_node(info.id, &info.name)).map(move |info| {
            Note::ClosedAfterFailures { node: info.name.clone(), count, until: exclusion.until }
        })
    })
}

/// Names that match nothing on the whole platform.
fn unknown_selectors(board: &Board<'_>) -> impl Iterator<Item = Note> {
    let (snapshot, policy) = (board.snapshot, board.policy);
    let is_node = |s: &Selector| snapshot.nodes.iter().any(|node| s.is_node(node.id, &node.name));
    let is_vm = |s: &Selector| snapshot.vms.iter().any(|vm| s.matches(vm.id.0, &vm.name));
    let nodes = policy.exclusions.iter().map(|exclusion| &exclusion.node).filter(|s| !is_node(s));
    let apart = policy.anti_affinity.iter().flat_map(|group| &group.0).cloned().map(Selector);
    let apart = apart.filter(|s| !is_vm(s)).map(|selector| selector.0);
    let unknown = nodes.chain(policy.pinned.iter().filter(|s| !is_vm(s))).map(|selector| selector.0.clone());
    let unknown: BTreeSet<_> = unknown.chain(apart).collect();
    unknown.into_iter().map(|selector| Note::UnknownSelector { selector })
}

fn sums_differ(board: &Board<'_>, node: usize) -> Option<Note> {
    let facts = &board.nodes[node];
    let memory_node = facts.info.memory_used?;
    let memory_vms: Mib = board.vms_on[node].iter().map(|vm| board.vms[*vm].info.memory).sum();
    let differ = memory_node.0.abs_diff(memory_vms.0);
    let tolerated = facts.has(Memory).unsigned_abs() * SUMS_DIFFER_PERCENT.unsigned_abs() / 100;
    if differ <= tolerated {
        return None;
    }
    // A VM under way takes room on both of its nodes.
    let moves = |vm: &&Vm<'_>| vm.info.blocked_by.iter().any(Block::is_migration);
    let under_way: Mib = board.vms.iter().filter(moves).map(|vm| vm.info.memory).sum();
    (differ > tolerated + under_way.0).then(|| Note::SumsDiffer {
        node: facts.info.name.clone(),
        memory_node,
        memory_vms,
    })
}
