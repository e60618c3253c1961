//! A proposal as it goes on, and what became of it.

use std::collections::{BTreeMap, btree_map::Entry};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Besides, Page, View};
use crate::{
    model::{NodeId, VmId},
    planner::{ClusterPlan, Excess, Fullness, Migration, MoveWhy, NodeChange, Note, Resource, Skip, SkipWhy},
    store::{
        Approver, Begin, Emptied, Ending, Held, LeftOut, Origin, Outcome, Proposal, ProposalState, Selection,
        Sight, Step, StepState,
    },
    talk::words::{
        Arg, args, escape,
        format::{bold, name, names, words},
        plain,
    },
};

/// Nodes whose memory the end of a plan shows; a plan of ten migrations touches twenty at most.
const NODES_SEEN_MAX: usize = 20;

/// More lines than this about what stays as it is hide what is to be done.
const STAYS_LINES_MAX: usize = 8;

/// What a phone shows in one line.
const LINE_CHARS: usize = 40;

/// How much is said of each migration.
#[derive(Clone, Copy)]
enum Detail {
    Full,
    Compact,
}

/// How many migrations ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    moved: usize,
    failed: usize,
    dropped: usize,
    lost: usize,
    left_out: usize,
    open: usize,
}

impl View {
    /// Returns a proposal as it stands: one message, or several where one cannot hold every migration.
    /// The first has the state, the figures and the buttons.
    #[must_use]
    pub fn proposal(&self, proposal: &Proposal, now: DateTime<Utc>) -> Vec<Page> {
        let mut pages = self.with_detail(proposal, now, Detail::Full);
        if pages.len() > 1 {
            pages = self.with_detail(proposal, now, Detail::Compact);
        }
        if let Some(first) = pages.first_mut() {
            first.buttons = self.proposal_buttons(proposal, now);
        }
        pages
    }

    fn with_detail(&self, proposal: &Proposal, now: DateTime<Utc>, detail: Detail) -> Vec<Page> {
        let title = self.proposal_title(proposal);
        let mut lines = vec![title.clone(), self.state_line(proposal, now)];
        lines.push(self.origin_line(proposal, now));
        if proposal.cancel.is_some() && !proposal.state.is_final() {
            lines.extend(proposal.cancel.as_ref().map(|asked| {
                self.say("plan-stops", args![who = format!("{} ({})", name(&asked.by.name), asked.by.id)])
            }));
        }
        lines.extend(self.expected_line(proposal, now));
        lines.extend(self.round_lines(proposal, now));
        lines.extend(self.drain_lines(proposal, now));
        lines.extend(self.undo_lines(proposal, now));
        lines.extend(self.changes(proposal));
        lines.extend(self.result(proposal));
        lines.extend(self.stays(proposal));
        lines.push(String::new());
        let mut steps: Vec<_> = proposal.steps.iter().collect();
        if matches!(proposal.state, ProposalState::Done { .. }) {
            steps.sort_by_key(|step| weight(step));
        }
        let same = self.same_endings(steps.iter().copied(), now);
        for step in steps {
            lines.extend(self.step_lines(proposal, step, same.get(&step.migration.step), now, detail));
        }
        self.pages(&title, lines)
    }

    fn proposal_title(&self, proposal: &Proposal) -> String {
        let title = self.say(
            "plan-title",
            args![
                plan = proposal.id.to_string(),
                cluster = Arg::Html(bold(&name(&proposal.cluster_name))),
                id = proposal.cluster.to_string(),
                n = proposal.steps.len(),
            ],
        );
        if proposal.dry_run { super::in_dry_run(&title) } else { title }
    }

    pub(in crate::talk) fn state_line(&self, proposal: &Proposal, now: DateTime<Utc>) -> String {
        match &proposal.state {
            ProposalState::Pending => self.pending_line(proposal, now),
            ProposalState::Approved { by, .. } => {
                let who = Arg::Html(self.approver(by));
                match proposal.begins {
                    None => self.say("plan-approved", args![who = who]),
                    Some(Begin::At(at)) => {
                        self.say("plan-deferred", args![who = who, at = self.time(at, now)])
                    }
                    Some(Begin::InWindow { opens }) => {
                        self.say("plan-deferred-window", args![who = who, at = self.time(opens, now)])
                    }
                }
            }
            ProposalState::Running { by, since } => {
                let tally = Tally::of(&proposal.steps);
                self.say(
                    "plan-running",
                    args![
                        ended = tally.ended().to_string(),
                        of = (tally.ended() + tally.open).to_string(),
                        who = Arg::Html(self.approver(by)),
                        since = self.time(*since, now),
                    ],
                )
            }
            ProposalState::Done { by, at } => self.done_line(proposal, &self.approver(by), *at, now),
            ProposalState::Rejected { by, at, reason } => {
                let who = format!("{} ({})", name(&by.name), by.id);
                let mut line = self.say("plan-rejected", args![who = who, at = self.time(*at, now)]);
                if let Some(reason) = reason {
                    line.push_str(&format!(": {}", escape(&words(reason))));
                }
                let until = self.time(*at + Proposal::REJECTION_HOLDS, now);
                let holds = self.say(
                    "plan-rejection-holds",
                    args![until = until, cluster = proposal.cluster.to_string()],
                );
                format!("{line}\n{holds}")
            }
            ProposalState::Expired { at } => self.say("plan-expired", args![at = self.time(*at, now)]),
            ProposalState::Superseded { by, .. } => self.say("plan-superseded", args![plan = by.to_string()]),
            ProposalState::Stale { .. } => match &proposal.held {
                Some(hold) => self.say("plan-held", args![why = Arg::Html(self.hold(hold))]),
                None => self.say("plan-stale", args![]),
            },
            ProposalState::Shown { .. } => self.say("plan-shown", args![]),
        }
    }

    fn pending_line(&self, proposal: &Proposal, now: DateTime<Utc>) -> String {
        let until = self.time(proposal.expires_at, now);
        if proposal.dry_run {
            return self.say("plan-shown", args![]);
        }
        if proposal.approvals_needed <= 1 {
            return self.say("plan-pending", args![until = until]);
        }
        let people: Vec<_> =
            proposal.approvals.iter().map(|a| format!("{} ({})", name(&a.by.name), a.by.id)).collect();
        let counted = self.say(
            "plan-pending-many",
            args![
                have = proposal.approvals.len().to_string(),
                need = proposal.approvals_needed.to_string(),
                until = until,
            ],
        );
        if people.is_empty() {
            return counted;
        }
        let begins = proposal.begins.map(|begin| self.time(begin.at(), now));
        let begins = begins.map(|at| format!("; {}", self.say("plan-begins", args![at = at])));
        format!("{counted} ✓ {}{}", escape(&people.join(", ")), begins.unwrap_or_default())
    }

    /// `done` where all was done, else `partly`, or `stopped` where somebody asked for it.
    fn done_line(&self, proposal: &Proposal, who: &str, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        let Tally { moved, failed, dropped, lost, left_out, .. } = Tally::of(&proposal.steps);
        let counts = [
            ("tally-moved", moved),
            ("tally-failed", failed),
            ("tally-lost", lost),
            ("tally-dropped", dropped),
            ("tally-left-out", left_out),
        ];
        let counted = counts.into_iter().filter(|(_, n)| *n > 0);
        let counts: Vec<_> = counted.map(|(key, n)| self.say(key, args![n = n.to_string()])).collect();
        let (key, stopper) = match &proposal.cancel {
            _ if failed + dropped + lost == 0 => ("plan-done", String::new()),
            Some(asked) if dropped > 0 => {
                ("plan-stopped", escape(&format!("{} ({})", name(&asked.by.name), asked.by.id)))
            }
            _ => ("plan-partly", String::new()),
        };
        if proposal.steps.is_empty() {
            let by =
                self.say("plan-done-by", args![who = Arg::Html(who.to_owned()), at = self.time(at, now)]);
            return format!("{} {by}", self.say("round-nothing-to-move", args![]));
        }
        let state = self.say(key, args![counts = Arg::Html(counts.join(", ")), who = Arg::Html(stopper)]);
        let by = self.say("plan-done-by", args![who = Arg::Html(who.to_owned()), at = self.time(at, now)]);
        format!("{state}\n{by}")
    }

    fn origin_line(&self, proposal: &Proposal, now: DateTime<Utc>) -> String {
        let at = self.time(proposal.created_at, now);
        match &proposal.origin {
            Origin::Schedule => self.say("origin-schedule", args![at = at]),
            Origin::Person(person) => self.say(
                "origin-person",
                args![who = format!("{} ({})", name(&person.name), person.id), at = at],
            ),
            Origin::Once => self.say("origin-once", args![at = at]),
            Origin::Replaces(older) => self.say("origin-replaces", args![plan = older.to_string(), at = at]),
        }
    }

    /// Which node the plan empties, and whether it is empty once the plan has ended.
    fn drain_lines(&self, proposal: &Proposal, now: DateTime<Utc>) -> Vec<String> {
        let Some((_, node)) = proposal.drains() else { return Vec::new() };
        let stuck = &proposal.plan.skipped;
        let is_done = matches!(proposal.state, ProposalState::Done { .. });
        if proposal.round.is_some() {
            // The round says what is to be done.
            let plan = (!proposal.state.is_final()).then(|| self.say("round-plan", args![]));
            let stays = match (is_done, plan.is_some()) {
                (true, _) => self.still_on_lines(proposal, now),
                (false, true) => self.stuck_lines(stuck, now),
                (false, false) => Vec::new(),
            };
            return plan.into_iter().chain(stays).collect();
        }
        let key = match (&proposal.state, proposal.emptied()) {
            (ProposalState::Done { .. }, Some(Emptied::Holds(vms))) if vms.is_empty() => "drain-done",
            (ProposalState::Done { .. }, Some(Emptied::Holds(_))) => "drain-not-done",
            (ProposalState::Done { .. }, Some(Emptied::Gone)) => "drain-gone",
            (ProposalState::Done { .. }, None) => "drain-unseen",
            (ProposalState::Pending | ProposalState::Approved { .. } | ProposalState::Running { .. }, _) => {
                "drain-plan"
            }
            _ => return Vec::new(),
        };
        let mut lines = vec![self.say(key, args![node = Arg::named(node)])];
        lines.extend(if is_done { self.still_on_lines(proposal, now) } else { self.stuck_lines(stuck, now) });
        lines
    }

    /// The VMs that are still on a node that was to be emptied. What became of those that were to leave it is said
    /// with the steps.
    fn still_on_lines(&self, proposal: &Proposal, now: DateTime<Utc>) -> Vec<String> {
        let stuck = &proposal.plan.skipped;
        let Some(Emptied::Holds(held)) = proposal.emptied() else {
            return self.stuck_lines(stuck, now);
        };
        let is_held = |skip: &&Skip| held.iter().any(|held| held.vm == skip.vm);
        let stays: Vec<_> = stuck.iter().filter(is_held).cloned().collect();
        let is_known = |vm: VmId| {
            let was_to_leave = proposal.steps.iter().any(|step| step.migration.vm == vm);
            was_to_leave || stuck.iter().any(|skip| skip.vm == vm)
        };
        let came: Vec<_> = held.iter().filter(|held| !is_known(held.vm)).collect();
        let more = came.len().saturating_sub(STAYS_LINES_MAX);
        let mut lines = self.stuck_lines(&stays, now);
        lines.extend(
            came.iter()
                .take(STAYS_LINES_MAX)
                .map(|Held { vm, name }| self.say("drain-came", args![vm = Arg::Html(self.vm(name, *vm))])),
        );
        lines.extend((more > 0).then(|| self.say("more-lines", args![n = more])));
        lines
    }

    /// How long it is expected to take, or how much of that is left, where the history tells.
    fn expected_line(&self, proposal: &Proposal, now: DateTime<Utc>) -> Option<String> {
        let key = match &proposal.state {
            ProposalState::Pending | ProposalState::Approved { .. } => "plan-takes",
            ProposalState::Running { .. } => "plan-left",
            _ => return None,
        };
        let seconds = proposal.expected.as_ref()?.left(&proposal.steps, now).num_seconds();
        let minutes = seconds.unsigned_abs().div_ceil(60).max(1);
        let lasts = self.lasting(TimeDelta::minutes(i64::try_from(minutes).unwrap_or(i64::MAX / 60_000)));
        (seconds > 0).then(|| self.say(key, args![lasts = lasts]))
    }

    /// Which plan this one takes back, and what of it cannot be.
    fn undo_lines(&self, proposal: &Proposal, now: DateTime<Utc>) -> Vec<String> {
        let Some(older) = proposal.undoes() else { return Vec::new() };
        let mut lines = vec![self.say("undo-plan", args![plan = older.to_string()])];
        lines.extend(self.stuck_lines(&proposal.plan.skipped, now));
        lines
    }

    /// The VMs that stay where they are, with their reasons.
    pub(in crate::talk) fn stuck_lines(&self, stuck: &[Skip], now: DateTime<Utc>) -> Vec<String> {
        let shown = stuck.iter().take(STAYS_LINES_MAX).map(|skip| {
            let vm = Arg::Html(self.vm(&skip.name, skip.vm));
            self.say("drain-stays", args![vm = vm, why = Arg::Html(self.skip_why(&skip.why, now))])
        });
        let more = stuck.len().saturating_sub(STAYS_LINES_MAX);
        shown.chain((more > 0).then(|| self.say("more-lines", args![n = more]))).collect()
    }

    /// The changes that people made to a waiting plan, and the approvals that became void by them.
    fn changes(&self, proposal: &Proposal) -> Vec<String> {
        if proposal.state != ProposalState::Pending {
            return Vec::new();
        }
        let mut lines = Vec::new();
        if !proposal.voided.is_empty() {
            let who = self.approver(&Approver::People(proposal.voided.clone()));
            lines.push(self.say("plan-voided", args![who = Arg::Html(who)]));
        }
        if proposal.is_all_left_out() {
            lines.push(self.say("plan-all-left-out", args![]));
        }
        lines.extend(proposal.left_out_before.iter().map(|LeftOut { vm, vm_name, by }| {
            self.say(
                "plan-left-out-before",
                args![vm = Arg::Html(self.vm(vm_name, *vm)), who = name(&by.name)],
            )
        }));
        lines
    }

    /// What the plan leads to; once it has ended, what it led to, beside what was predicted where they differ.
    fn result(&self, proposal: &Proposal) -> Vec<String> {
        let is_whole = !proposal.steps.iter().any(is_left_out);
        let besides = Besides::of(&proposal.plan);
        let (before, predicted) = match &proposal.outlook {
            Some(outlook) => (&outlook.before, &outlook.after),
            None if is_whole => (&proposal.plan.before, &proposal.plan.after),
            None => return vec![self.say("figures-later", args![])],
        };
        match (&proposal.state, &proposal.sight) {
            (ProposalState::Done { .. }, Some(Sight::Seen { figures, nodes, .. })) => {
                let seen = self.figures_lines(before, figures, besides);
                let is_as_predicted = seen == self.figures_lines(before, predicted, besides);
                let predicted = (!is_as_predicted).then(|| self.predicted_line(predicted, besides));
                seen.into_iter().chain(predicted).chain(self.nodes_seen(proposal, nodes)).collect()
            }
            (ProposalState::Done { .. }, unseen) => {
                vec![self.predicted_line(predicted, besides), self.unseen(unseen.as_ref())]
            }
            _ => self.figures_lines(before, predicted, besides),
        }
    }

    /// Memory of each node that the plan was about: before it, and at its end.
    fn nodes_seen(&self, proposal: &Proposal, seen: &BTreeMap<NodeId, Fullness>) -> Vec<String> {
        let mut touched: BTreeMap<NodeId, (&str, f64, f64)> = BTreeMap::new();
        for step in proposal.steps.iter().filter(|step| !is_left_out(step)) {
            let migration = &step.migration;
            let (source, target) = changes_of(proposal, migration);
            let sides = [
                (migration.source, &migration.source_name, source),
                (migration.target, &migration.target_name, target),
            ];
            for (node, node_name, change) in sides {
                let first = change.before.memory_percent;
                let known = touched.entry(node).or_insert((node_name, first, first));
                known.2 = change.after.memory_percent;
            }
        }
        let mut lines = Vec::new();
        for (node, (node_name, before, predicted)) in touched {
            let Some(at) = seen.get(&node) else { continue };
            let (after, predicted) = (self.decimal(at.memory_percent), self.decimal(predicted));
            let (node, before) = (name(node_name), self.decimal(before));
            if after == before {
                // Nothing came of it there; the steps say why.
                continue;
            }
            lines.push(match after == predicted {
                true => self.say("node-seen", args![node = node, before = before, after = after]),
                false => self.say(
                    "node-seen-unlike",
                    args![node = node, before = before, after = after, predicted = predicted],
                ),
            });
        }
        let more = lines.len().saturating_sub(NODES_SEEN_MAX);
        lines.truncate(NODES_SEEN_MAX);
        lines.extend((more > 0).then(|| self.say("more-lines", args![n = more])));
        lines
    }

    fn step_lines(
        &self,
        proposal: &Proposal,
        step: &Step,
        same_as: Option<&u32>,
        now: DateTime<Utc>,
        detail: Detail,
    ) -> Vec<String> {
        let migration = &step.migration;
        let state = self.step_state(proposal, step, same_as, now);
        let move_words = match detail {
            Detail::Full => self.migration(migration),
            Detail::Compact => format!(
                "{} ({}): {} → {}",
                escape(&name(&migration.vm_name)),
                migration.vm,
                escape(&name(&migration.source_name)),
                escape(&name(&migration.target_name)),
            ),
        };
        let why = self.why_now(proposal, migration) + &self.cautions(&migration.cautions);
        match (detail, state) {
            // A migration that has begun tells how it goes; why it was wanted stays in the history.
            (_, Some(state)) => vec![format!("{}. {move_words} · {state}", migration.step)],
            (Detail::Compact, None) => {
                let size = self.memory(migration.ram);
                vec![format!("{}. {move_words}, {size}; {why}", migration.step)]
            }
            (Detail::Full, None) => {
                let unfit = proposal.outlook.as_ref().and_then(|outlook| outlook.unfit.get(&migration.step));
                let first = format!("{}. {move_words}", migration.step);
                match unfit {
                    Some(unfit) => {
                        let why = Arg::Html(self.unfit(unfit, now));
                        vec![first, format!("   {}", self.say("step-unfit", args![why = why]))]
                    }
                    None => {
                        // Of a wish the plan says why, once for all its steps.
                        let is_told = migration.why.is_wish() && migration.cautions.is_empty();
                        let why = (!is_told).then(|| format!("   {why}"));
                        let effect = format!("   {}", self.effect(proposal, migration));
                        std::iter::once(first).chain(why).chain([effect]).collect()
                    }
                }
            }
        }
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

    /// `web-1 (1000): node-001 → node-021, 8 GiB`, and its vCPUs where they are why it moves.
    pub(super) fn migration(&self, migration: &Migration) -> String {
        let mut text = format!(
            "{}: {} → {}, {}",
            self.vm(&migration.vm_name, migration.vm),
            escape(&name(&migration.source_name)),
            escape(&name(&migration.target_name)),
            self.memory(migration.ram),
        );
        if let MoveWhy::Relieve(Excess { resource: Resource::Cpu | Resource::Load, .. }) = migration.why {
            text.push_str(&format!(", {} vCPU", migration.vcpus));
        }
        if let Some(disk) = migration.disk {
            text.push_str(&format!(", {}", self.say("disk", args![size = self.memory(disk)])));
        }
        text
    }

    /// Memory of both nodes before and after: what an operator compares.
    fn effect(&self, proposal: &Proposal, migration: &Migration) -> String {
        let change =
            |before: f64, after: f64| format!("{} → {} %", self.decimal(before), self.decimal(after));
        let (source, target) = changes_of(proposal, migration);
        self.say(
            "effect",
            args![
                source = name(&migration.source_name),
                of_source = change(source.before.memory_percent, source.after.memory_percent),
                target = name(&migration.target_name),
                of_target = change(target.before.memory_percent, target.after.memory_percent),
            ],
        )
    }

    /// How far one migration is; `None` where nothing has begun.
    fn step_state(
        &self,
        proposal: &Proposal,
        step: &Step,
        same_as: Option<&u32>,
        now: DateTime<Utc>,
    ) -> Option<String> {
        match &step.state {
            StepState::Waiting => {
                matches!(proposal.state, ProposalState::Approved { .. } | ProposalState::Running { .. })
                    .then(|| self.say("step-waits", args![]))
            }
            StepState::LeftOut { by } => Some(self.say("step-left-out-by", args![who = name(&by.name)])),
            StepState::Running { since, slow } => {
                let key = if *slow { "step-slow" } else { "step-runs" };
                Some(self.say(key, args![since = self.time(*since, now)]))
            }
            StepState::Ended { outcome, detail, .. } => {
                let has_failed = matches!(outcome, Outcome::Failed | Outcome::Lost);
                let mut said = self.how_it_ended(*outcome, detail.as_ref(), same_as, now);
                if let Some(task) = step.task.filter(|_| has_failed) {
                    said.push_str(&format!("; {}", self.say("step-task", args![task = task.to_string()])));
                }
                if let Some(until) = proposal.rests.get(&step.migration.vm).filter(|_| has_failed) {
                    let until = self.time(*until, now);
                    said.push_str(&format!("; {}", self.say("step-rests", args![until = until])));
                }
                Some(said)
            }
        }
    }

    /// `failed: guest CPU does not match …`, or that it was so with another step.
    pub(super) fn how_it_ended(
        &self,
        outcome: Outcome,
        detail: Option<&Ending>,
        same_as: Option<&u32>,
        now: DateTime<Utc>,
    ) -> String {
        let outcome = self.outcome(outcome);
        match (detail, same_as) {
            (None, _) => outcome,
            (Some(_), Some(step)) => self.say("step-same", args![outcome = outcome, step = step.to_string()]),
            (Some(detail), None) => format!("{outcome}: {}", self.ending(detail, now)),
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
            if words.chars().count() <= LINE_CHARS {
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

    /// Overloaded nodes that stay so, notes, and VMs left alone.
    fn stays(&self, proposal: &Proposal) -> Vec<String> {
        match &proposal.state {
            ProposalState::Pending | ProposalState::Shown { .. } => {}
            // Nobody saw it before it ran.
            ProposalState::Approved { by: Approver::Auto | Approver::Standing { .. }, .. }
            | ProposalState::Running { by: Approver::Auto | Approver::Standing { .. }, .. }
            | ProposalState::Done { by: Approver::Auto | Approver::Standing { .. }, .. } => {
                return self.standing_notes([&proposal.plan]);
            }
            _ => return Vec::new(),
        }
        let known = &proposal.plan.still_overloaded;
        let over = proposal.outlook.iter().flat_map(|outlook| &outlook.over);
        let by_choice = over.filter(|over| known.iter().all(|still| still.node != over.node)).map(|over| {
            self.say(
                "still-overloaded",
                args![
                    node = Arg::named(&over.name),
                    over = Arg::Html(self.excesses(&over.over)),
                    why = self.say("obstacle-left-out", args![]),
                ],
            )
        });
        by_choice.chain(self.plan_stays(&proposal.plan)).collect()
    }

    /// What holds beyond a single plan, each thing once.
    pub(in crate::talk) fn standing_notes<'a>(
        &self,
        plans: impl IntoIterator<Item = &'a ClusterPlan>,
    ) -> Vec<String> {
        let notes = plans.into_iter().flat_map(|plan| &plan.notes).filter(|note| note.is_standing());
        let mut lines: Vec<String> = Vec::new();
        let mut differing = Vec::new();
        for note in notes {
            let line = self.note(note);
            match note {
                Note::SumsDiffer { node, .. } => differing.push((node.as_str(), line)),
                _ if lines.contains(&line) => {}
                _ => lines.push(line),
            }
        }
        match differing.as_slice() {
            [] | [_] => lines.extend(differing.into_iter().map(|(_, line)| line)),
            several => {
                let nodes = names(several.iter().map(|(node, _)| *node));
                lines.push(self.say("note-sums-differ-on", args![nodes = nodes]));
            }
        }
        let mut lines: Vec<_> = lines.into_iter().map(|line| format!("⚠ {line}")).collect();
        if lines.len() > STAYS_LINES_MAX {
            let more = lines.len() - STAYS_LINES_MAX;
            lines.truncate(STAYS_LINES_MAX);
            lines.push(self.say("more-lines", args![n = more]));
        }
        lines
    }

    /// What a choice of steps led to; `None` where only the buttons changed.
    pub(in crate::talk) fn chosen(&self, proposal: &Proposal, selection: Selection) -> Option<String> {
        let (kept, of) = (proposal.waiting().count().to_string(), proposal.steps.len().to_string());
        let vm_named = |key, vm: VmId| {
            let of_step = proposal.steps.iter().map(|step| &step.migration).find(|it| it.vm == vm);
            let called = of_step.map(|it| self.vm(&it.vm_name, vm)).unwrap_or_else(|| vm.to_string());
            self.say(key, args![vm = Arg::Html(called)])
        };
        let chosen = match selection {
            Selection::Show(_) => return None,
            Selection::LeaveOut(vm) => vm_named("press-left-out", vm),
            Selection::TakeIn(vm) => vm_named("press-taken-in", vm),
            Selection::KeepFirst(_) | Selection::OnlyNode(_) | Selection::KeepAll => {
                self.say("press-kept", args![kept = kept, of = of])
            }
        };
        let nothing = proposal.is_all_left_out().then(|| self.say("plan-all-left-out", args![]));
        Some(plain(&[chosen].into_iter().chain(nothing).collect::<Vec<_>>().join(" ")))
    }

    /// What a plan leaves as it is and what an operator should know, in a few lines.
    pub(in crate::talk) fn plan_stays(&self, plan: &ClusterPlan) -> Vec<String> {
        let mut lines: Vec<String> = plan
            .incomplete
            .iter()
            .map(|why| self.say("incomplete", args![why = Arg::Html(self.flaw(why))]))
            .collect();
        lines.extend(plan.still_overloaded.iter().map(|still| {
            self.say(
                "still-overloaded",
                args![
                    node = Arg::named(&still.name),
                    over = Arg::Html(self.excesses(&still.over)),
                    why = Arg::Html(self.still_overloaded(still)),
                ],
            )
        }));
        lines.extend(plan.notes.iter().map(|note| self.note(note)));
        if lines.len() > STAYS_LINES_MAX {
            let more = lines.len() - STAYS_LINES_MAX;
            lines.truncate(STAYS_LINES_MAX);
            lines.push(self.say("more-lines", args![n = more]));
        }
        // A plan that somebody wished for says of each VM why it stays.
        let is_wish = plan.migrations.iter().any(|migration| migration.why.is_wish());
        if !plan.skipped.is_empty() && !is_wish {
            lines.push(self.skipped_line(plan.skipped.iter().map(|skip| &skip.why)));
        }
        lines
    }

    /// `12 VMs left alone: snapshots (5), ISO image (3), …`
    fn skipped_line<'a>(&self, whys: impl ExactSizeIterator<Item = &'a SkipWhy>) -> String {
        let total = whys.len();
        let mut kinds: Vec<(String, usize)> = Vec::new();
        for why in whys {
            let kind = self.skip_kind(why);
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => kinds.push((kind, 1)),
            }
        }
        kinds.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
        let listed: Vec<_> = kinds.iter().take(5).map(|(kind, n)| format!("{kind} ({n})")).collect();
        let vms = self.say("count-vms", args![n = total]);
        self.say("left-alone", args![vms = Arg::Html(vms), why = Arg::Html(listed.join(", "))])
    }
}

/// Steps that need a look come first.
fn weight(step: &Step) -> u8 {
    match &step.state {
        StepState::Ended { outcome: Outcome::Failed, .. } => 0,
        StepState::Ended { outcome: Outcome::Lost, .. } => 1,
        StepState::Ended { outcome: Outcome::Dropped, .. } => 2,
        StepState::Waiting | StepState::Running { .. } => 3,
        StepState::Ended { outcome: Outcome::Done, .. } => 4,
        StepState::LeftOut { .. } => 5,
    }
}

pub(super) fn is_left_out(step: &Step) -> bool {
    matches!(step.state, StepState::LeftOut { .. })
}

/// Both nodes of a migration before and after it, without what is left out where that is known.
fn changes_of<'a>(proposal: &'a Proposal, migration: &'a Migration) -> (&'a NodeChange, &'a NodeChange) {
    match proposal.outlook.as_ref().and_then(|outlook| outlook.nodes.get(&migration.step)) {
        Some((source, target)) => (source, target),
        None => (&migration.source_state, &migration.target_state),
    }
}

impl Tally {
    fn of(steps: &[Step]) -> Self {
        let mut tally = Self::default();
        for step in steps {
            *match &step.state {
                StepState::Waiting | StepState::Running { .. } => &mut tally.open,
                StepState::LeftOut { .. } => &mut tally.left_out,
                StepState::Ended { outcome, .. } => match outcome {
                    Outcome::Done => &mut tally.moved,
                    Outcome::Failed => &mut tally.failed,
                    Outcome::Lost => &mut tally.lost,
                    Outcome::Dropped => &mut tally.dropped,
                },
            } += 1;
        }
        tally
    }

    fn ended(self) -> usize {
        self.moved + self.failed + self.dropped + self.lost
    }
}
