//! A maintenance round as its proposals show it: which node has its turn, what became of the others, what to do.

use chrono::{DateTime, Utc};

use super::{Button, View, plain};
use crate::{
    scheduler::{Hand, Rounded},
    store::{Approval, Emptied, Proposal, ProposalState, Round, RoundNode, Turn},
    talk::{
        proposal::Choice,
        words::{
            Arg, args,
            format::{INDENT, name},
        },
    },
};

/// Lines that belong to the one above them.
fn moved_in(lines: &str) -> impl Iterator<Item = String> {
    lines.lines().map(|line| format!("{INDENT}{line}"))
}

impl View {
    /// The nodes of the round that this proposal belongs to, and how it stands with it.
    pub(super) fn round_lines(&self, proposal: &Proposal, now: DateTime<Utc>) -> Vec<String> {
        let Some(round) = &proposal.round else { return Vec::new() };
        let mut lines = vec![self.say("round-title", args![n = round.nodes.len()])];
        for (index, node) in round.nodes.iter().enumerate() {
            lines.push(self.round_node(node, index == round.at, now));
            let is_ahead = match proposal.state {
                ProposalState::Pending => index >= round.at,
                // At the end it is looked at what is still there.
                _ => index == round.at && !proposal.state.is_final(),
            };
            if is_ahead {
                lines.extend(self.stuck_lines(&node.stuck, now).iter().flat_map(|it| moved_in(it)));
            }
        }
        lines.extend(self.round_state(proposal, round));
        lines
    }

    fn round_node(&self, node: &RoundNode, has_turn: bool, now: DateTime<Utc>) -> String {
        let called = Arg::copyable(&node.name);
        let by = |word: &Approval| name(&word.by.name);
        match &node.turn {
            Turn::Worked(word) => self
                .say("round-node-worked", args![node = called, who = by(word), at = self.time(word.at, now)]),
            Turn::Skipped(word) => self.say(
                "round-node-skipped",
                args![node = called, who = by(word), at = self.time(word.at, now)],
            ),
            Turn::Waits => {
                let key = if has_turn { "round-node-now" } else { "round-node-waits" };
                self.say(key, args![node = called, forecast = Arg::Html(self.round_forecast(node))])
            }
        }
    }

    /// `12 VMs, 96 GiB; stay: 1`
    fn round_forecast(&self, node: &RoundNode) -> String {
        let vms = self.say("count-vms", args![n = node.vms]);
        let mut text = match node.vms {
            0 if node.stuck.is_empty() => self.say("round-forecast-empty", args![]),
            _ => format!("{vms}, {}", self.memory(node.memory)),
        };
        if !node.stuck.is_empty() {
            text.push_str(&format!("; {}", self.say("round-forecast-stay", args![n = node.stuck.len()])));
        }
        text
    }

    /// What is to be done about the node in hand, or how the round ended.
    fn round_state(&self, proposal: &Proposal, round: &Round) -> Vec<String> {
        let node = || Arg::copyable(round.current().map_or("", |node| &node.name));
        if let Some(stopped) = &round.stopped {
            let who = format!("{} ({})", name(&stopped.by.name), stopped.by.id);
            return vec![self.say("round-stopped", args![who = who, node = node()])];
        }
        if round.is_over() {
            return vec![self.say("round-over", args![])];
        }
        if let Some(next) = round.next {
            return vec![self.say("round-goes-on", args![plan = next.to_string()])];
        }
        if !proposal.waits_for_hand() {
            return Vec::new();
        }
        let key = match proposal.node_at_end() {
            Some(Emptied::Holds(vms)) if vms.is_empty() => "round-empty",
            Some(Emptied::Holds(_)) => "round-not-empty",
            Some(Emptied::Gone) => "round-gone",
            None => "round-unseen",
        };
        vec![self.say(key, args![node = node()])]
    }

    /// The buttons with which somebody says how the round goes on.
    pub(super) fn round_buttons(
        &self,
        proposal: &Proposal,
        round: &Round,
        data: impl Fn(Choice) -> String,
    ) -> Vec<Vec<Button>> {
        let button = |key, hand| self.button(key, data(Choice::Round(hand)));
        match (proposal.waits_for_hand(), proposal.has_emptied()) {
            (true, true) => {
                vec![
                    vec![button("button-round-done", Hand::Done)],
                    vec![button("button-round-stop", Hand::Stop)],
                ]
            }
            (true, false) => vec![
                vec![button("button-round-again", Hand::Again), button("button-round-skip", Hand::Skip)],
                vec![button("button-round-stop", Hand::Stop)],
            ],
            (false, _) if round.is_over() => {
                vec![vec![self.button("button-even-out", data(Choice::Return))]]
            }
            (false, _) if round.stopped.is_some() => {
                vec![vec![self.button("button-node-back", data(Choice::Return))]]
            }
            (false, _) => Vec::new(),
        }
    }

    /// What a press on a node in hand led to.
    pub(in crate::talk) fn round_answer(&self, rounded: Rounded) -> String {
        plain(&match rounded {
            Rounded::Next(plan) => self.say("press-round-next", args![plan = plan.to_string()]),
            Rounded::Over => self.say("round-over", args![]),
            Rounded::Stopped => self.say("press-round-stopped", args![]),
        })
    }
}
