//! A proposal as it goes on, and what became of it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Besides, Page, View,
    plan_buttons::STEP_BUTTONS_MAX,
    steps::{Detail, changes_of, weight},
};
use crate::{
    model::{NodeId, VmId},
    planner::{ClusterPlan, Excess, Fullness, Note, Obstacle, Skip, SkipWhy, StillOverloaded},
    store::{
        Approval, Approver, Begin, Emptied, Held, LeftOut, Origin, Outcome, Proposal, ProposalState,
        Selection, Sight, Step, StepState,
    },
    talk::{
        verbs::link,
        words::{
            Arg, args, escape,
            format::{INDENT, bold, code, hung, name, names, narrow, packed, words},
            plain,
        },
    },
};

/// Nodes whose memory the end of a plan shows; a plan of ten migrations touches twenty at most.
const NODES_SEEN_MAX: usize = 20;

/// Lines of a phone that nodes that stay overloaded and notes may take.
const STAYS_HEIGHT_MAX: usize = 16;

/// More lines than this about what stays as it is hide what is to be done.
const STAYS_LINES_MAX: usize = 8;

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
        // What has no room on one page of buttons has none for every detail.
        let is_long = proposal.steps.len() > STEP_BUTTONS_MAX;
        let is_off = matches!(
            proposal.state,
            ProposalState::Rejected { .. }
                | ProposalState::Superseded { .. }
                | ProposalState::Expired { .. }
                | ProposalState::Stale { .. }
        );
        let detail = match (is_off, is_long) {
            (true, _) => Detail::Brief,
            (false, true) => Detail::Compact,
            (false, false) => Detail::Full,
        };
        let mut pages = self.with_detail(proposal, now, detail);
        if pages.len() > 1 && !is_off {
            pages = self.with_detail(proposal, now, Detail::Compact);
        }
        if let Some(first) = pages.first_mut() {
            first.buttons = self.proposal_buttons(proposal, now);
        }
        pages
    }

    fn with_detail(&self, proposal: &Proposal, now: DateTime<Utc>, detail: Detail) -> Vec<Page> {
        let title = self.proposal_title(proposal);
        let mut lines = vec![title.clone()];
        lines.extend(self.state_lines(proposal, now));
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
            // A step is in one message, with all its lines.
            let same_as = same.get(&step.migration.step);
            lines.push(self.step_lines(proposal, step, same_as, now, detail).join("\n"));
        }
        self.pages(&title, lines.iter().map(|line| narrow(line)).collect())
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

    /// What holds of a plan, in lines that a phone shows whole.
    pub(in crate::talk) fn state_lines(&self, proposal: &Proposal, now: DateTime<Utc>) -> Vec<String> {
        let approved =
            |by: &Approver| self.say("plan-approved-by", args![who = Arg::Html(self.approver(by))]);
        match &proposal.state {
            ProposalState::Pending => self.pending_lines(proposal, now),
            ProposalState::Approved { by, .. } => match proposal.begins {
                None => {
                    vec![format!("▸ {}", approved(by)), self.say("plan-checked", args![])]
                }
                Some(begin) => {
                    let at = self.time(begin.at(), now);
                    let begins = match begin {
                        Begin::At(_) => self.say("plan-begins", args![at = at]),
                        Begin::InWindow { .. } => self.say("plan-begins-in-window", args![at = at]),
                    };
                    vec![format!("⏲ {}", approved(by)), begins]
                }
            },
            ProposalState::Running { by, since } => {
                let tally = Tally::of(&proposal.steps);
                let (ended, of) =
                    (tally.count_ended().to_string(), (tally.count_ended() + tally.open).to_string());
                let since = self.time(*since, now);
                let runs = self.say("plan-running", args![since = since]);
                let ended = self.say("plan-running-ended", args![ended = ended, of = of]);
                hung([runs, ended], ": ").into_iter().chain([approved(by)]).collect()
            }
            ProposalState::Done { by, at } => {
                let ended = self.say("plan-ended", args![at = self.time(*at, now)]);
                let mut lines = vec![self.done_line(proposal), approved(by), ended];
                lines.extend(self.left_out_holds(proposal, *at, now));
                lines
            }
            ProposalState::Rejected { by, at, reason } => {
                let who = format!("{} ({})", name(&by.name), by.id);
                let rejected = self.say("plan-rejected", args![who = who, at = self.time(*at, now)]);
                let reason = reason.as_ref().map(|reason| format!("{INDENT}{}", escape(&words(reason))));
                let until = self.time(*at + Proposal::REJECTION_HOLDS, now);
                let cluster = proposal.cluster.to_string();
                // What somebody wished for no cycle proposes anyway.
                let holds = (!proposal.is_wish())
                    .then(|| self.say("plan-rejection-holds", args![until = until, cluster = cluster]));
                std::iter::once(rejected).chain(reason).chain(holds).collect()
            }
            ProposalState::Expired { at } => vec![self.say("plan-expired", args![at = self.time(*at, now)])],
            ProposalState::Superseded { by, .. } => {
                vec![self.say("plan-superseded", args![plan = by.to_string()])]
            }
            ProposalState::Stale { .. } => vec![match &proposal.held {
                Some(hold) => self.say("plan-held", args![why = Arg::Html(self.hold(hold))]),
                None => self.say("plan-stale", args![]),
            }],
            ProposalState::Shown { .. } => vec![self.say("plan-shown", args![])],
        }
    }

    fn pending_lines(&self, proposal: &Proposal, now: DateTime<Utc>) -> Vec<String> {
        if proposal.dry_run {
            return vec![self.say("plan-shown", args![])];
        }
        let until = self.say("until", args![until = self.time(proposal.expires_at, now)]);
        let mut lines = hung([self.say("plan-pending", args![]), until], " ");
        if proposal.approvals_needed <= 1 {
            return lines;
        }
        let (have, need) = (proposal.approvals.len().to_string(), proposal.approvals_needed.to_string());
        let people = proposal.approvals.iter().map(|a| format!("✓ {} ({})", name(&a.by.name), a.by.id));
        let counted = self.say("plan-counted", args![have = have, need = need]);
        lines.extend(packed(INDENT, std::iter::once(counted).chain(people.map(|it| escape(&it))), ", "));
        let begins = proposal.begins.filter(|_| !proposal.approvals.is_empty());
        lines.extend(begins.map(|begin| {
            format!("{INDENT}{}", self.say("plan-begins", args![at = self.time(begin.at(), now)]))
        }));
        lines
    }

    /// What people left out of a plan is not proposed again for a while: until when, and what lifts that.
    fn left_out_holds(&self, proposal: &Proposal, at: DateTime<Utc>, now: DateTime<Utc>) -> Option<String> {
        let until = self.time(at + Proposal::REJECTION_HOLDS, now);
        let cluster = proposal.cluster.to_string();
        let holds = !proposal.held_back().is_empty();
        holds.then(|| self.say("plan-left-out-holds", args![until = until, cluster = cluster]))
    }

    /// `done` where all was done, else `partly`, or `stopped` where somebody asked for it.
    fn done_line(&self, proposal: &Proposal) -> String {
        if proposal.steps.is_empty() {
            return self.say("round-nothing-to-move", args![]);
        }
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
        let by = |asked: &Approval| format!("{} ({})", name(&asked.by.name), asked.by.id);
        let (key, stopper) = match &proposal.cancel {
            _ if failed + dropped + lost == 0 => ("plan-done", None),
            Some(asked) if dropped > 0 => ("plan-stopped", Some(by(asked))),
            _ => ("plan-partly", None),
        };
        let state = self.say(key, args![who = stopper.unwrap_or_default()]);
        let last = counts.len().saturating_sub(1);
        let counts = counts.into_iter().enumerate();
        let counts = counts.map(|(at, count)| if at == last { count } else { format!("{count},") });
        hung(std::iter::once(state).chain(counts), " ").join("\n")
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
        if let Some(round) = &proposal.round {
            // The round says what is to be done.
            let goes_on = !proposal.state.is_final() && round.stopped.is_none();
            let plan = goes_on.then(|| self.say("round-plan", args![]));
            let stays = if is_done { self.still_on_lines(proposal, now) } else { Vec::new() };
            return plan.into_iter().chain(stays).collect();
        }
        let key = match (&proposal.state, proposal.node_at_end()) {
            (ProposalState::Done { .. }, Some(Emptied::Holds(vms))) if vms.is_empty() => "drain-done",
            (ProposalState::Done { .. }, Some(Emptied::Holds(_))) => "drain-not-done",
            (ProposalState::Done { .. }, Some(Emptied::Gone)) => "drain-gone",
            (ProposalState::Done { .. }, None) => "drain-unseen",
            (ProposalState::Pending | ProposalState::Approved { .. } | ProposalState::Running { .. }, _) => {
                "drain-plan"
            }
            _ => return Vec::new(),
        };
        let mut lines = vec![self.say(key, args![node = Arg::copyable(node)])];
        lines.extend(if is_done { self.still_on_lines(proposal, now) } else { self.stuck_lines(stuck, now) });
        lines
    }

    /// The VMs that are still on a node that was to be emptied. What became of those that were to leave it is said
    /// with the steps.
    fn still_on_lines(&self, proposal: &Proposal, now: DateTime<Utc>) -> Vec<String> {
        let stuck = &proposal.plan.skipped;
        let Some(Emptied::Holds(held)) = proposal.node_at_end() else {
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
        lines.extend(came.iter().take(STAYS_LINES_MAX).map(|Held { vm, name: called }| {
            let vm = format!("{} {}", code(&name(called)), link::vm(*vm));
            self.say("drain-came", args![vm = Arg::Html(vm)])
        }));
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
        let seconds = proposal.expected.as_ref()?.time_left(&proposal.steps, now).num_seconds();
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
            let vm = Arg::Html(format!("{} {}", code(&name(&skip.name)), link::vm(skip.vm)));
            let stays = self.say("drain-stays", args![vm = vm]);
            format!("{stays}\n{INDENT}{}", self.skip_why(&skip.why, now))
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
            lines.push(self.say("plan-voided", args![]));
            lines.push(format!("{INDENT}{who}"));
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
                let predicted = (!is_as_predicted).then(|| self.predicted_lines(predicted, besides));
                let predicted = predicted.into_iter().flatten();
                seen.into_iter().chain(predicted).chain(self.nodes_seen(proposal, nodes)).collect()
            }
            (ProposalState::Done { .. }, unseen) => {
                let predicted = self.predicted_lines(predicted, besides);
                predicted.into_iter().chain([self.unseen(unseen.as_ref())]).collect()
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
            let (before, node) = (self.decimal(before), format!("{} {}", name(node_name), link::node(node)));
            if after == before {
                // Nothing came of it there; the steps say why.
                continue;
            }
            let mut line = self.say("node-seen", args![node = node, before = before, after = &after]);
            if after != predicted {
                let unlike = self.say("node-seen-unlike", args![predicted = predicted]);
                line = format!("{line}\n{INDENT}{unlike}");
            }
            lines.push(line);
        }
        let more = lines.len().saturating_sub(NODES_SEEN_MAX);
        lines.truncate(NODES_SEEN_MAX);
        lines.extend((more > 0).then(|| self.say("more-lines", args![n = more])));
        lines
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
        let by_choice: Vec<_> =
            over.filter(|over| known.iter().all(|still| still.node != over.node)).collect();
        let mut lines = match by_choice.as_slice() {
            [] => Vec::new(),
            [only] => {
                let why = self.say("obstacle-left-out", args![]);
                vec![self.stays_over((only.node, &only.name), &only.over, vec![why])]
            }
            several => {
                let rows = several.iter().map(|it| self.over_row((it.node, &it.name), &it.over));
                let rows = std::iter::once(self.say("cut-by-choice", args![])).chain(rows);
                self.as_far_as_they_fit(rows.collect())
            }
        };
        lines.extend(self.plan_stays(&proposal.plan));
        lines
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
    pub(in crate::talk) fn choice_result(&self, proposal: &Proposal, selection: Selection) -> Option<String> {
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
        // A plan that somebody wished for relieves nothing, so it need not say why.
        let is_wish = plan.migrations.iter().any(|migration| migration.why.is_wish());
        lines.extend(match is_wish {
            true => {
                let over = plan.still_overloaded.iter();
                over.map(|it| self.stays_over((it.node, &it.name), &it.over, Vec::new())).collect()
            }
            false => self.still_over_lines(&plan.still_overloaded),
        });
        lines.extend(plan.notes.iter().map(|note| self.note(note)));
        lines = self.as_far_as_they_fit(lines);
        // And it says of each VM why it stays.
        if !plan.skipped.is_empty() && !is_wish {
            lines.push(self.skipped_line(plan.skipped.iter().map(|skip| &skip.why)));
        }
        lines
    }

    /// As many of these as leave room for what is to be done, and how many more there are.
    fn as_far_as_they_fit(&self, mut all: Vec<String>) -> Vec<String> {
        let mut height = 0;
        let fits = |it: &&String| {
            height += it.lines().count();
            height <= STAYS_HEIGHT_MAX
        };
        let shown = all.iter().take_while(fits).count();
        let more = all.len() - shown;
        all.truncate(shown);
        all.extend((more > 0).then(|| self.say("more-lines", args![n = more])));
        all
    }

    /// The nodes that stay overloaded. What cut the plan is said once for all that it leaves so.
    fn still_over_lines(&self, all: &[StillOverloaded]) -> Vec<String> {
        let is_cut = |still: &&StillOverloaded| matches!(still.because.as_slice(), [Obstacle::Limit { .. }]);
        let (cut, other): (Vec<_>, Vec<_>) = all.iter().partition(is_cut);
        let line = |still: &StillOverloaded| {
            let because = still.because.iter().map(|it| self.obstacle(it));
            let why = self.needs_less(still).into_iter().chain(because).collect();
            self.stays_over((still.node, &still.name), &still.over, why)
        };
        let other = other.into_iter();
        let [first, _, ..] = cut.as_slice() else {
            return other.chain(cut).map(line).collect();
        };
        let limit = first.because.iter().map(|limit| self.obstacle(limit)).collect::<String>();
        let head = self.say("cut-by-limit", args![why = Arg::Html(limit)]);
        let cut = cut.into_iter().map(|still| self.over_row((still.node, &still.name), &still.over));
        other.map(line).chain([head]).chain(cut).collect()
    }

    /// One of several nodes that stay overloaded for the same reason.
    fn over_row(&self, node: (NodeId, &str), over: &[Excess]) -> String {
        let (id, called) = node;
        let node = format!("· {} {}:", code(&name(called)), link::node(id));
        let parts = std::iter::once(node).chain(over.iter().map(|excess| self.excess(excess)));
        hung(parts, " ").join("\n")
    }

    /// A node that stays overloaded, by how much, and why: each on a line of its own.
    fn stays_over(&self, node: (NodeId, &str), over: &[Excess], why: Vec<String>) -> String {
        let (id, called) = node;
        let node = Arg::Html(format!("{} {}", code(&name(called)), link::node(id)));
        let over = over.iter().map(|excess| self.excess(excess));
        let lines = packed(INDENT, over.chain(why), "; ");
        format!("{}\n{}", self.say("still-overloaded", args![node = node]), lines.join("\n"))
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
        let head = self.say("left-alone", args![vms = Arg::Html(vms)]);
        std::iter::once(head).chain(packed(INDENT, listed, ", ")).collect::<Vec<_>>().join("\n")
    }
}

pub(super) fn is_left_out(step: &Step) -> bool {
    matches!(step.state, StepState::LeftOut { .. })
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

    fn count_ended(self) -> usize {
        self.moved + self.failed + self.dropped + self.lost
    }
}
