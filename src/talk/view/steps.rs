//! The steps of a plan: what moves where, how much, why, and how it goes. Each line is as long as a phone shows.

use std::collections::{BTreeMap, btree_map::Entry};

use chrono::{DateTime, Utc};

use super::View;
use crate::{
    model::NodeId,
    planner::{Excess, Migration, MoveWhy, NodeChange, Resource},
    store::{Ending, Outcome, Proposal, ProposalState, Step, StepState},
    talk::{
        verbs::link,
        words::{
            args, escape,
            format::{INDENT, LINE_CHARS, code, hung, name, packed, width},
        },
    },
};

/// How much a message says of each migration.
#[derive(Clone, Copy)]
pub(super) enum Detail {
    Full,
    Compact,
    /// Of a plan that comes to nothing: what it would have moved where.
    Brief,
}

impl View {
    pub(super) fn step_lines(
        &self,
        proposal: &Proposal,
        step: &Step,
        same_as: Option<&u32>,
        now: DateTime<Utc>,
        detail: Detail,
    ) -> Vec<String> {
        let migration = &step.migration;
        let mut lines = self.route(step);
        if let (Detail::Brief, StepState::Waiting) = (detail, &step.state) {
            return lines;
        }
        if let Some(state) = self.step_state(proposal, step, same_as, now) {
            // A migration that has begun tells how it goes; why it was wanted stays in the history.
            lines.extend(state);
            return lines;
        }
        let cautions = migration.cautions.iter().map(|caution| format!("⚠ {}", self.caution(caution)));
        let why = self.why_now(proposal, migration);
        if let Detail::Compact = detail {
            let why = (!migration.why.is_wish()).then_some(why);
            let (_, target) = changes_of(proposal, migration);
            let (before, after) = (target.before.memory_percent, target.after.memory_percent);
            let (before, after) = (self.decimal(before), self.decimal(after));
            let target = format!("{}: {before} → {after} %", escape(&name(&migration.target_name)));
            let facts = [self.memory(migration.ram)].into_iter().chain(why).chain([target]);
            lines.extend(packed(INDENT, facts.chain(cautions), ", "));
            return lines;
        }
        lines.extend(packed(INDENT, self.size(migration), ", "));
        let unfit = proposal.outlook.as_ref().and_then(|outlook| outlook.unfit.get(&migration.step));
        if let Some(unfit) = unfit {
            lines.push(format!("{INDENT}{}", self.say("step-unfit", args![])));
            lines.push(format!("{INDENT}{}", self.unfit(unfit, now)));
            return lines;
        }
        // Of a wish the plan says why, once for all its steps.
        let is_told = migration.why.is_wish() && migration.cautions.is_empty();
        let why = (!is_told).then_some(why);
        lines.extend(why.into_iter().chain(cautions).map(|line| format!("{INDENT}{line}")));
        lines.extend(self.effect(proposal, migration));
        lines
    }

    /// `1. web-1 /vm_1000: kvm-01 → kvm-02`, with a mark once it has begun.
    pub(super) fn route(&self, step: &Step) -> Vec<String> {
        let migration = &step.migration;
        let mark = match &step.state {
            StepState::Waiting => "",
            StepState::LeftOut { .. } => "− ",
            StepState::Running { slow: false, .. } => "▸ ",
            StepState::Running { slow: true, .. } => "⚠ ",
            StepState::Ended { outcome: Outcome::Done, .. } => "✓ ",
            StepState::Ended { outcome: Outcome::Failed, .. } => "✗ ",
            StepState::Ended { outcome: Outcome::Lost, .. } => "? ",
            StepState::Ended { outcome: Outcome::Dropped, .. } => "– ",
        };
        let vm = format!("{}. {mark}{}:", migration.step, self.linked_vm(migration));
        hung([vm, nodes(migration)], " ")
    }

    /// `web-1 /vm_1000`: its name can be copied, and its link shows it.
    pub(super) fn linked_vm(&self, migration: &Migration) -> String {
        format!("{} {}", code(&name(&migration.vm_name)), link::vm(migration.vm))
    }

    /// `8 GiB`, its vCPUs where they are why it moves, and its disk where that moves, too.
    fn size(&self, migration: &Migration) -> Vec<String> {
        let is_cpu = matches!(
            migration.why,
            MoveWhy::Relieve(Excess { resource: Resource::Cpu | Resource::Load, .. })
        );
        let cpu = is_cpu.then(|| format!("{} vCPU", migration.vcpus));
        let disk = migration.disk.map(|disk| self.say("disk", args![size = self.memory(disk)]));
        std::iter::once(self.memory(migration.ram)).chain(cpu).chain(disk).collect()
    }

    /// `web-1 (1000): node-001 → node-021, 8 GiB`, in lines that a phone shows whole.
    pub(super) fn migration(&self, migration: &Migration) -> Vec<String> {
        let vm = format!("{}:", self.linked_vm(migration));
        let route = packed("", [vm, nodes(migration)], " ");
        route.into_iter().chain(packed(INDENT, self.size(migration), ", ")).collect()
    }

    /// Why a VM moves. What its node is over by is computed anew where other steps are left out.
    fn why_now(&self, proposal: &Proposal, migration: &Migration) -> String {
        let (source, _) = changes_of(proposal, migration);
        let now = |resource| match resource {
            Resource::Memory => Some(source.before.memory_percent),
            Resource::Cpu => Some(source.before.cpu),
            Resource::Load => source.before.load,
        };
        match &migration.why {
            MoveWhy::Relieve(excess) if proposal.outlook.is_some() => {
                let value = now(excess.resource).filter(|value| *value > excess.threshold);
                let value = value.unwrap_or(excess.value);
                self.move_why(&MoveWhy::Relieve(Excess { value, ..*excess }))
            }
            why => self.move_why(why),
        }
    }

    /// Memory of both nodes before and after: what an operator compares. Each has its link.
    fn effect(&self, proposal: &Proposal, migration: &Migration) -> [String; 2] {
        let (source, target) = changes_of(proposal, migration);
        let line = |node: NodeId, called: &str, change: &NodeChange| {
            let (before, after) = (change.before.memory_percent, change.after.memory_percent);
            let (before, after) = (self.decimal(before), self.decimal(after));
            format!("{INDENT}{} {}: {before} → {after} %", escape(&name(called)), link::node(node))
        };
        [
            line(migration.source, &migration.source_name, source),
            line(migration.target, &migration.target_name, target),
        ]
    }

    /// How far one migration is; `None` where nothing has begun.
    fn step_state(
        &self,
        proposal: &Proposal,
        step: &Step,
        same_as: Option<&u32>,
        now: DateTime<Utc>,
    ) -> Option<Vec<String>> {
        let size = || self.memory(step.migration.ram);
        let brief = |said: String| packed(INDENT, [size(), said], ", ");
        Some(match &step.state {
            StepState::Waiting => {
                let waits =
                    matches!(proposal.state, ProposalState::Approved { .. } | ProposalState::Running { .. });
                return waits.then(|| brief(self.say("step-waits", args![])));
            }
            StepState::LeftOut { by } => brief(self.say("step-left-out-by", args![who = name(&by.name)])),
            StepState::Running { since, slow } => {
                let key = if *slow { "step-slow" } else { "step-runs" };
                let runs = self.say(key, args![since = self.time(*since, now)]);
                packed(INDENT, self.size(&step.migration).into_iter().chain([runs]), ", ")
            }
            StepState::Ended { outcome: Outcome::Done, detail: None, .. } => {
                brief(self.outcome(Outcome::Done))
            }
            StepState::Ended { outcome, detail, .. } => {
                let has_failed = matches!(outcome, Outcome::Failed | Outcome::Lost);
                let task = step.task.filter(|_| has_failed);
                let task = task.map(|task| self.say("step-task", args![task = task.to_string()]));
                let until = proposal.rests.get(&step.migration.vm).filter(|_| has_failed);
                let until = until.map(|at| self.say("step-rests", args![until = self.time(*at, now)]));
                let how = self.how_it_ended(*outcome, detail.as_ref(), same_as, now).into_iter();
                how.chain(packed(INDENT, task.into_iter().chain(until), ", ")).collect()
            }
        })
    }

    /// `failed: guest CPU does not match …`, or that it was so with another step.
    pub(super) fn how_it_ended(
        &self,
        outcome: Outcome,
        detail: Option<&Ending>,
        same_as: Option<&u32>,
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let outcome = self.outcome(outcome);
        match (detail, same_as) {
            (None, _) => vec![format!("{INDENT}{outcome}")],
            (Some(_), Some(step)) => {
                let same = self.say("step-same", args![outcome = outcome, step = step.to_string()]);
                vec![format!("{INDENT}{same}")]
            }
            (Some(detail), None) => packed(INDENT, [format!("{outcome}:"), self.ending(detail, now)], " "),
        }
    }

    /// The steps that ended with the same long words as one before them, and that one's number: words that fill a
    /// phone's screen are said once.
    pub(super) fn same_endings<'a>(
        &self,
        steps: impl IntoIterator<Item = &'a Step>,
        now: DateTime<Utc>,
    ) -> BTreeMap<u32, u32> {
        let mut first: BTreeMap<(Outcome, String), u32> = BTreeMap::new();
        let mut same = BTreeMap::new();
        for step in steps {
            let StepState::Ended { outcome, detail: Some(detail), .. } = &step.state else { continue };
            let words = self.ending(detail, now);
            if width(&words) <= LINE_CHARS {
                continue;
            }
            let number = step.migration.step;
            match first.entry((*outcome, words)) {
                Entry::Vacant(place) => drop(place.insert(number)),
                Entry::Occupied(known) => drop(same.insert(number, *known.get())),
            }
        }
        same
    }
}

/// `kvm-01 → kvm-02`
pub(super) fn nodes(migration: &Migration) -> String {
    format!("{} → {}", escape(&name(&migration.source_name)), escape(&name(&migration.target_name)))
}

/// Steps that need a look come first.
pub(super) fn weight(step: &Step) -> u8 {
    match &step.state {
        StepState::Ended { outcome: Outcome::Failed, .. } => 0,
        StepState::Ended { outcome: Outcome::Lost, .. } => 1,
        StepState::Ended { outcome: Outcome::Dropped, .. } => 2,
        StepState::Waiting | StepState::Running { .. } => 3,
        StepState::Ended { outcome: Outcome::Done, .. } => 4,
        StepState::LeftOut { .. } => 5,
    }
}

/// Both nodes of a migration before and after it, without what is left out where that is known.
pub(super) fn changes_of<'a>(
    proposal: &'a Proposal,
    migration: &'a Migration,
) -> (&'a NodeChange, &'a NodeChange) {
    match proposal.outlook.as_ref().and_then(|outlook| outlook.nodes.get(&migration.step)) {
        Some((source, target)) => (source, target),
        None => (&migration.source_state, &migration.target_state),
    }
}
