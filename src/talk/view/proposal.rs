//! A proposal as it goes on, and what became of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Button, Page, View};
use crate::{
    model::NodeId,
    planner::{Figures, Fullness, Migration, SkipWhy},
    store::{Origin, Outcome, Proposal, ProposalState, Sight, Step, StepState},
    talk::{
        proposal::{self, Choice, Press},
        words::{
            Arg, args, escape,
            format::{bold, clip, code, name},
        },
    },
};

/// Nodes whose memory the end of a plan shows; a plan of ten migrations touches twenty at most.
const NODES_SEEN_MAX: usize = 20;

/// Telegram takes 100 buttons; the rest is for Approve and its neighbours.
const LEAVE_OUT_BUTTONS_MAX: usize = 80;

/// As many names as fit side by side on a phone.
const LEAVE_OUT_PER_ROW: usize = 2;

/// A label longer than this is cut by phones.
const LABEL_CHARS_MAX: usize = 24;

/// More lines than this about what stays as it is hide what is to be done.
const STAYS_LINES_MAX: usize = 8;

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
            first.buttons = self.proposal_buttons(proposal);
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
        lines.extend(self.result(proposal));
        lines.extend(self.stays(proposal));
        if proposal.steps.len() > LEAVE_OUT_BUTTONS_MAX && self.may_leave_out(proposal) {
            lines.push(self.say("plan-buttons-cut", args![n = LEAVE_OUT_BUTTONS_MAX]));
        }
        lines.push(String::new());
        for step in &proposal.steps {
            lines.extend(self.step_lines(proposal, step, now, detail));
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

    fn state_line(&self, proposal: &Proposal, now: DateTime<Utc>) -> String {
        match &proposal.state {
            ProposalState::Pending => self.pending_line(proposal, now),
            ProposalState::Approved { by, .. } => {
                self.say("plan-approved", args![who = Arg::Html(self.approver(by))])
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
            ProposalState::Rejected { by, at } => self.say(
                "plan-rejected",
                args![who = format!("{} ({})", name(&by.name), by.id), at = self.time(*at, now)],
            ),
            ProposalState::Expired { at } => self.say("plan-expired", args![at = self.time(*at, now)]),
            ProposalState::Superseded { by, .. } => self.say("plan-superseded", args![plan = by.to_string()]),
            ProposalState::Stale { .. } => self.say("plan-stale", args![]),
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
        if people.is_empty() { counted } else { format!("{counted} ✓ {}", escape(&people.join(", "))) }
    }

    fn done_line(&self, proposal: &Proposal, who: &str, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        let tally = Tally::of(&proposal.steps);
        let done = self.say(
            "plan-done",
            args![
                moved = tally.moved.to_string(),
                failed = tally.failed.to_string(),
                dropped = tally.dropped.to_string(),
                lost = tally.lost.to_string(),
            ],
        );
        let mark = if tally.failed + tally.lost > 0 { "⚠" } else { "✓" };
        let by = self.say("plan-done-by", args![who = Arg::Html(who.to_owned()), at = self.time(at, now)]);
        let mut line = format!("{mark} {done}. {by}");
        if tally.left_out > 0 {
            line.push_str(&format!(" {}", self.say("plan-left-out", args![n = tally.left_out])));
        }
        if tally.failed + tally.lost > 0 {
            line.push_str(&format!(" {}", self.say("plan-done-next", args![])));
        }
        line
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

    /// What the plan leads to; once it has ended, what it led to, beside what was predicted where they differ.
    fn result(&self, proposal: &Proposal) -> Vec<String> {
        let (before, predicted) = (&proposal.plan.before, &proposal.plan.after);
        match (&proposal.state, &proposal.sight) {
            (ProposalState::Done { .. }, Some(Sight::Seen { figures, nodes, .. })) => {
                let seen = self.figures_line(before, figures);
                let is_as_predicted = seen == self.figures_line(before, predicted);
                let predicted = (!is_as_predicted).then(|| self.predicted_line(predicted));
                [seen].into_iter().chain(predicted).chain(self.nodes_seen(proposal, nodes)).collect()
            }
            (ProposalState::Done { .. }, unseen) => {
                vec![self.predicted_line(predicted), self.unseen(unseen.as_ref())]
            }
            _ => vec![self.figures_line(before, predicted)],
        }
    }

    fn predicted_line(&self, figures: &Figures) -> String {
        self.say(
            "figures-predicted",
            args![
                over = figures.overloaded.to_string(),
                memory = self.decimal(figures.memory_percent_max),
                cpu = self.decimals(figures.cpu_max, 2),
                imbalance = self.decimals(figures.imbalance, 3),
            ],
        )
    }

    /// Memory of each node that the plan was about: before it, and at its end.
    fn nodes_seen(&self, proposal: &Proposal, seen: &BTreeMap<NodeId, Fullness>) -> Vec<String> {
        let mut touched: BTreeMap<NodeId, (&str, f64, f64)> = BTreeMap::new();
        for migration in &proposal.plan.migrations {
            let sides = [
                (migration.source, &migration.source_name, &migration.source_state),
                (migration.target, &migration.target_name, &migration.target_state),
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

    /// `overloaded nodes 4 → 0, memory at most 99.6 → 69.8 %, …`
    pub(in crate::talk) fn figures_line(&self, before: &Figures, after: &Figures) -> String {
        self.say(
            "figures",
            args![
                over_before = before.overloaded.to_string(),
                over_after = after.overloaded.to_string(),
                memory_before = self.decimal(before.memory_percent_max),
                memory_after = self.decimal(after.memory_percent_max),
                cpu_before = self.decimals(before.cpu_max, 2),
                cpu_after = self.decimals(after.cpu_max, 2),
                imbalance_before = self.decimals(before.imbalance, 3),
                imbalance_after = self.decimals(after.imbalance, 3),
            ],
        )
    }

    fn step_lines(
        &self,
        proposal: &Proposal,
        step: &Step,
        now: DateTime<Utc>,
        detail: Detail,
    ) -> Vec<String> {
        let migration = &step.migration;
        let state = self.step_state(proposal, step, now);
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
        let why = self.move_why(&migration.why);
        match (detail, state) {
            // A migration that has begun tells how it goes; why it was wanted stays in the history.
            (_, Some(state)) => vec![format!("{}. {move_words} · {state}", migration.step)],
            (Detail::Compact, None) => {
                let size = self.memory(migration.ram);
                vec![format!("{}. {move_words}, {size}; {why}", migration.step)]
            }
            (Detail::Full, None) => vec![
                format!("{}. {move_words}", migration.step),
                format!("   {why}; {}", self.effect(migration)),
            ],
        }
    }

    /// `web-1 (1000): node-001 → node-021, 4 vCPU, 8 GiB`
    pub(super) fn migration(&self, migration: &Migration) -> String {
        let mut text = format!(
            "{}: {} → {}, {} vCPU, {}",
            self.vm(&migration.vm_name, migration.vm),
            escape(&name(&migration.source_name)),
            escape(&name(&migration.target_name)),
            migration.vcpus,
            self.memory(migration.ram),
        );
        if let Some(disk) = migration.disk {
            text.push_str(&format!(", {}", self.say("disk", args![size = self.memory(disk)])));
        }
        text
    }

    /// Memory of both nodes before and after: what an operator compares.
    fn effect(&self, migration: &Migration) -> String {
        let change =
            |before: f64, after: f64| format!("{} → {} %", self.decimal(before), self.decimal(after));
        let (source, target) = (&migration.source_state, &migration.target_state);
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
    fn step_state(&self, proposal: &Proposal, step: &Step, now: DateTime<Utc>) -> Option<String> {
        match &step.state {
            StepState::Waiting if proposal.left_out.contains(&step.migration.vm) => {
                Some(self.say("step-left-out", args![]))
            }
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
                let outcome = self.outcome(*outcome);
                Some(match detail {
                    Some(detail) => format!("{outcome}: {}", self.ending(detail, now)),
                    None => outcome,
                })
            }
        }
    }

    /// Overloaded nodes that stay so, notes, and VMs left alone.
    fn stays(&self, proposal: &Proposal) -> Vec<String> {
        if !matches!(proposal.state, ProposalState::Pending | ProposalState::Shown { .. }) {
            return Vec::new();
        }
        self.plan_stays(&proposal.plan)
    }

    fn proposal_buttons(&self, proposal: &Proposal) -> Vec<Vec<Button>> {
        let tag = proposal::tag(proposal);
        let data = |choice| Press { proposal: proposal.id, tag: tag.clone(), choice }.data();
        let refresh = || self.button("button-refresh", data(Choice::Refresh));
        match &proposal.state {
            ProposalState::Pending if proposal.dry_run => vec![vec![refresh()]],
            ProposalState::Pending => {
                let approve = self.button("button-approve", data(Choice::Approve));
                let reject = self.button("button-reject", data(Choice::Reject));
                let mut rows = vec![vec![approve, reject, refresh()]];
                if self.may_leave_out(proposal) {
                    rows.extend(self.leave_out_buttons(proposal, data));
                }
                rows
            }
            ProposalState::Approved { .. } | ProposalState::Running { .. } if proposal.cancel.is_none() => {
                vec![vec![self.button("button-cancel", data(Choice::Cancel))]]
            }
            ProposalState::Expired { .. } | ProposalState::Stale { .. } => vec![vec![refresh()]],
            ProposalState::Approved { .. }
            | ProposalState::Running { .. }
            | ProposalState::Done { .. }
            | ProposalState::Rejected { .. }
            | ProposalState::Superseded { .. }
            | ProposalState::Shown { .. } => Vec::new(),
        }
    }

    fn may_leave_out(&self, proposal: &Proposal) -> bool {
        proposal.state == ProposalState::Pending && !proposal.dry_run
    }

    fn leave_out_buttons(&self, proposal: &Proposal, data: impl Fn(Choice) -> String) -> Vec<Vec<Button>> {
        let buttons: Vec<_> = proposal
            .steps
            .iter()
            .take(LEAVE_OUT_BUTTONS_MAX)
            .map(|step| {
                let vm = step.migration.vm;
                let sign = if proposal.left_out.contains(&vm) { '+' } else { '−' };
                let label = format!("{sign} {}", clip(&name(&step.migration.vm_name), LABEL_CHARS_MAX));
                Button { label, data: data(Choice::LeaveOut(vm)) }
            })
            .collect();
        buttons.chunks(LEAVE_OUT_PER_ROW).map(<[Button]>::to_vec).collect()
    }

    /// What a plan leaves as it is and what an operator should know, in a few lines.
    pub(in crate::talk) fn plan_stays(&self, plan: &crate::planner::ClusterPlan) -> Vec<String> {
        let mut lines: Vec<String> = plan
            .incomplete
            .iter()
            .map(|why| self.say("incomplete", args![why = Arg::Html(self.flaw(why))]))
            .collect();
        lines.extend(plan.still_overloaded.iter().map(|still| {
            self.say(
                "still-overloaded",
                args![
                    node = Arg::Html(code(&name(&still.name))),
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
        if !plan.skipped.is_empty() {
            lines.push(self.skipped_line(plan.skipped.iter().map(|skip| &skip.why)));
        }
        lines
    }

    /// `Left alone: 12 VMs: snapshots (5), ISO image (3), …`
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
