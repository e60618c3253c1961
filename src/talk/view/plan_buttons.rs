//! The buttons under a proposal, by its state.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Button, View, proposal::is_left_out};
use crate::{
    model::NodeId,
    planner::Migration,
    store::{Proposal, ProposalState, Selection, Step},
    talk::{
        chart::Wanted,
        proposal::{Choice, Press},
        words::{args, format::name, plain},
    },
};

/// How many steps have buttons at one time: a phone shows this many without scrolling.
pub(super) const STEP_BUTTONS_MAX: usize = 8;

/// As many names as fit side by side on a phone.
const STEP_BUTTONS_PER_ROW: usize = 2;

/// Nodes that a plan can be narrowed to with one tap.
const NODE_BUTTONS_MAX: usize = 4;

/// A label longer than this is cut by phones: two stand side by side.
const LABEL_CHARS_MAX: usize = 14;

/// How many characters of a name's end stay where names begin alike.
const LABEL_END_MIN: usize = 6;

impl View {
    pub(super) fn proposal_buttons(&self, proposal: &Proposal, now: DateTime<Utc>) -> Vec<Vec<Button>> {
        let tag = proposal.tag();
        let data = |choice| Press { proposal: proposal.id, tag: tag.clone(), choice }.data();
        let refresh = || self.button("button-refresh", data(Choice::Refresh));
        match &proposal.state {
            ProposalState::Pending if proposal.dry_run => vec![vec![refresh()]],
            ProposalState::Pending => {
                let approve = self.button("button-approve", data(Choice::Approve));
                let reject = self.button("button-reject", data(Choice::Reject));
                let mut rows = vec![vec![approve, reject, refresh()]];
                let is_closed = proposal.window_opens.is_some_and(|opens| opens > now);
                let later = || self.button("button-approve-window", data(Choice::ApproveInWindow));
                rows.extend(is_closed.then(|| vec![later()]));
                rows.extend(self.step_buttons(proposal, data));
                rows
            }
            ProposalState::Approved { .. } | ProposalState::Running { .. } => {
                let key = if proposal.is_deferred() { "button-call-off" } else { "button-cancel" };
                let stop = || vec![self.button(key, data(Choice::Cancel))];
                let stop = proposal.cancel.is_none().then(stop);
                stop.into_iter().chain(self.watch_buttons(proposal)).collect()
            }
            ProposalState::Done { .. } => {
                let chart = self.button("button-chart", Wanted::Plan(proposal.id).data());
                if let Some(round) = &proposal.round {
                    let mut rows = self.round_buttons(proposal, round, data);
                    rows.push(vec![chart]);
                    return rows;
                }
                let back = proposal.drains().map(|_| self.button("button-node-back", data(Choice::Return)));
                let undo = || self.button("button-undo", data(Choice::Undo));
                let undo = (!proposal.moved_vms().is_empty()).then(undo);
                let back = back.map(|back| vec![back]);
                back.into_iter().chain([std::iter::once(chart).chain(undo).collect()]).collect()
            }
            ProposalState::Expired { .. } | ProposalState::Stale { .. } => vec![vec![refresh()]],
            ProposalState::Rejected { .. }
            | ProposalState::Superseded { .. }
            | ProposalState::Shown { .. } => Vec::new(),
        }
    }

    /// One button per step to leave it out or to take it in again. Where the steps are many, some of them at a time,
    /// and buttons for many steps at once.
    fn step_buttons(&self, proposal: &Proposal, data: impl Fn(Choice) -> String) -> Vec<Vec<Button>> {
        let data = |selection| data(Choice::Steps(selection));
        let (steps, from) = (&proposal.steps, proposal.buttons_from);
        let first = steps.iter().position(|step| step.migration.step == from).unwrap_or(0);
        let shown = steps.get(first..).unwrap_or_default();
        let shown = shown.get(..STEP_BUTTONS_MAX).unwrap_or(shown);
        let labels = distinct_labels(shown.iter().map(|step| name(&step.migration.vm_name)).collect());
        let toggle = |(step, label): (&Step, String)| {
            let Migration { vm, step: number, .. } = step.migration;
            let (sign, selection) = match is_left_out(step) {
                true => ('+', Selection::TakeIn(vm)),
                false => ('−', Selection::LeaveOut(vm)),
            };
            Button { label: format!("{sign} {number} · {label}"), data: data(selection) }
        };
        let toggles: Vec<_> = shown.iter().zip(labels).map(toggle).collect();
        let mut rows: Vec<Vec<Button>> =
            toggles.chunks(STEP_BUTTONS_PER_ROW).map(<[Button]>::to_vec).collect();
        rows.extend(proposal.left_out_before.iter().map(|known| {
            let label = distinct_labels(vec![name(&known.vm_name)]).concat();
            vec![Button { label: format!("+ {label}"), data: data(Selection::TakeIn(known.vm)) }]
        }));
        if steps.len() > STEP_BUTTONS_MAX {
            rows.extend(self.many_step_buttons(proposal, first, data));
        }
        rows
    }

    fn many_step_buttons(
        &self,
        proposal: &Proposal,
        first: usize,
        data: impl Fn(Selection) -> String,
    ) -> Vec<Vec<Button>> {
        let number = |index: usize| proposal.steps.get(index).map(|step| step.migration.step);
        let part = |index: usize| (index + STEP_BUTTONS_MAX).min(proposal.steps.len());
        let turn = |index: usize, arrow: &str| {
            let label = format!("{arrow} {}–{}", index + 1, part(index));
            number(index).map(|from| Button { label, data: data(Selection::Show(from)) })
        };
        let back = first.checked_sub(STEP_BUTTONS_MAX).and_then(|index| turn(index, "‹"));
        let on = turn(first + STEP_BUTTONS_MAX, "›");
        let last = number(part(first) - 1).filter(|_| part(first) < proposal.steps.len());
        let keep = last.map(|last| Button {
            label: plain(&self.say("button-keep-first", args![n = last.to_string()])),
            data: data(Selection::KeepFirst(last)),
        });
        let all = proposal
            .steps
            .iter()
            .any(is_left_out)
            .then(|| self.button("button-keep-all", data(Selection::KeepAll)));
        let mut nodes: Vec<(NodeId, &str, usize)> = Vec::new();
        for Migration { source, source_name, .. } in proposal.steps.iter().map(|step| &step.migration) {
            match nodes.iter_mut().find(|(node, ..)| node == source) {
                Some((.., count)) => *count += 1,
                None => nodes.push((*source, source_name, 1)),
            }
        }
        nodes.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        nodes.truncate(if nodes.len() > 1 { NODE_BUTTONS_MAX } else { 0 });
        let node_names = distinct_labels(nodes.iter().map(|(_, called, _)| name(called)).collect());
        let only = nodes.iter().zip(node_names).map(|((node, _, count), called)| Button {
            label: plain(&self.say("button-only-node", args![node = called, n = count.to_string()])),
            data: data(Selection::OnlyNode(*node)),
        });
        let only: Vec<_> = only.collect();
        let rows = [back.into_iter().chain(on).collect(), keep.into_iter().chain(all).collect()];
        rows.into_iter().chain(only.chunks(STEP_BUTTONS_PER_ROW).map(<[Button]>::to_vec)).collect()
    }
}

/// Cuts names so that they fit on buttons: what all begin with first, then in the middle, at a place that keeps them
/// distinct where there is one.
fn distinct_labels(names: Vec<String>) -> Vec<String> {
    let names: Vec<Vec<char>> = names.iter().map(|name| name.chars().collect()).collect();
    let shortest = names.iter().map(Vec::len).min().unwrap_or(0);
    let alike =
        (0..shortest).take_while(|at| names.windows(2).all(|pair| pair[0][*at] == pair[1][*at])).count();
    let alike = if names.len() > 1 { alike.min(shortest.saturating_sub(LABEL_END_MIN)) } else { 0 };
    let cut = |name: &Vec<char>, start: usize| -> String {
        if name.len() <= LABEL_CHARS_MAX {
            return name.iter().collect();
        }
        let (dots, rest) = if alike > 1 { ("…", &name[alike..]) } else { ("", name.as_slice()) };
        let room = LABEL_CHARS_MAX - dots.chars().count();
        if rest.len() <= room {
            return dots.chars().chain(rest.iter().copied()).collect();
        }
        let end = rest.len() - room.saturating_sub(start + 1);
        dots.chars()
            .chain(rest[..start].iter().copied())
            .chain(['…'])
            .chain(rest[end..].iter().copied())
            .collect()
    };
    let all_cut = |start: usize| -> Vec<String> { names.iter().map(|name| cut(name, start)).collect() };
    let differing = |labels: &[String]| labels.iter().collect::<BTreeSet<_>>().len();
    let best = [4, 0, LABEL_CHARS_MAX / 2, LABEL_CHARS_MAX - 2]
        .map(all_cut)
        .into_iter()
        .reduce(|best, other| if differing(&other) > differing(&best) { other } else { best });
    best.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_buttons_are_short_and_stay_distinct() {
        let labels = |names: &[&str]| distinct_labels(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(labels(&["web-1", "web-2"]), ["web-1", "web-2"]);
        assert_eq!(labels(&["customer-storefront-1003", "customer-storefront-1007"]), ["…t-1003", "…t-1007"]);
        assert_eq!(labels(&["a-very-long-customer-name"]), ["a-ve…omer-name"]);
        let hard = [
            "customer-alpha-storefront-1",
            "customer-alpha-storefront-2",
            "customer-beta-storefront-1",
            "db",
            "x-aaaa-something-1111-zzzzzzzzzzzzz",
            "x-aaaa-something-2222-zzzzzzzzzzzzz",
        ];
        let of = |names: &[&str]| labels(names).into_iter().collect::<BTreeSet<_>>();
        assert_eq!(of(&hard[..4]).len(), 4);
        assert_eq!(of(&hard[4..]).len(), 2);
        assert!(of(&hard).iter().all(|label| label.chars().count() <= LABEL_CHARS_MAX));
    }
}
