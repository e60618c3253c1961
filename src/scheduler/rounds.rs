//! Maintenance rounds: nodes that are emptied one after the other. Each waits for somebody's word before the next.

use super::{
    Picture, Refused, Stop,
    core::{Core, hold_of},
    handle::{Cancelled, Hand, InRound, Maintained, Rounded, Stopped},
    proposals::{is_planned, why_no_plan},
};
use crate::{
    model::{NodeInfo, Person, ProposalId, find},
    planner::{self, Drain, SkipWhy},
    store::{
        Approval, Approver, Origin, Proposal, ProposalState, ReplyTo, Round, RoundNode, StoreError, Turn,
    },
};

impl Core {
    /// Proposes to empty nodes one after the other, where the cluster can hold that.
    pub(super) async fn maintenance(
        &self,
        nodes: &[String],
        origin: Origin,
        reply_to: Option<ReplyTo>,
    ) -> Result<Maintained, Refused> {
        let picture = self.sight.look_for_plan().await?;
        let nodes = find_nodes(&picture, nodes)?;
        let Some(first) = nodes.first() else { return Ok(Maintained::CannotHold { nodes: Vec::new() }) };
        let cluster = first.cluster;
        if nodes.iter().any(|node| node.cluster != cluster) {
            return Ok(Maintained::SeveralClusters);
        }
        if !is_planned(&picture, cluster) {
            return Err(why_no_plan(&picture, cluster));
        }
        if let Some(running) = self.proposals.running_in(cluster)? {
            return Err(Refused::Busy { proposal: running });
        }
        let ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
        if let Origin::Person(by) = &origin {
            let named: Vec<_> = ids.iter().map(ToString::to_string).collect();
            self.audit(by, "maintenance", format!("node {}", named.join(", ")));
        }
        let drains = self
            .balancer
            .compute(&picture, move |of| planner::maintenance(&of.snapshot, &of.policy, &ids))
            .await?;
        if let Some(hold) = drains.first().and_then(|drain| hold_of(&drain.stuck)) {
            return Err(Refused::Held { hold });
        }
        let nodes: Vec<_> = drains.iter().map(RoundNode::foreseen).collect();
        if drains.iter().any(lacks_room) {
            return Ok(Maintained::CannotHold { nodes });
        }
        let Some(drain) = drains.into_iter().next() else {
            return Ok(Maintained::CannotHold { nodes });
        };
        let state = match self.balancer.dry_run()? {
            true => ProposalState::Shown { at: self.now() },
            false => ProposalState::Pending,
        };
        let round = Round::new(nodes);
        let id = self.proposals.record_turn(&picture, drain, round, (origin, state), reply_to)?;
        Ok(Maintained::Proposed(id))
    }

    /// Goes on with a round, as somebody says of the node in hand.
    pub(super) async fn round(&self, id: ProposalId, hand: Hand, by: Person) -> Result<Rounded, Refused> {
        let proposal = self.proposals.existing(id)?;
        let Some(mut round) = proposal.round.clone().filter(|_| proposal.waits_for_hand()) else {
            return Err(Refused::RoundWentOn { proposal: id });
        };
        self.audit(&by, "maintenance", format!("proposal {id}: {hand:?}"));
        let word = Approval { by: by.clone(), at: self.now() };
        let turn = match hand {
            Hand::Stop => {
                round.stopped = Some(word);
                self.proposals.change(id, |proposal| proposal.round = Some(round))?;
                return Ok(Rounded::Stopped);
            }
            Hand::Again => None,
            Hand::Done => Some(Turn::Worked(word)),
            Hand::Skip => Some(Turn::Skipped(word)),
        };
        if let Some(turn) = turn {
            if let Some(node) = round.nodes.get_mut(round.at) {
                self.switches.reopen(node.node, &node.name)?;
                node.turn = turn;
            }
            if round.is_over() {
                self.proposals.change(id, |proposal| proposal.round = Some(round))?;
                return Ok(Rounded::Over);
            }
        }
        let at = if hand == Hand::Again { round.at } else { round.at + 1 };
        let moved = proposal.moved_vms().into_iter().map(|moved| moved.vm).chain(round.moved.iter().copied());
        let next = Round { at, moved: moved.collect(), ..round.clone() };
        let fresh = self.take_turn(&proposal, next, by).await?;
        round.next = Some(fresh);
        self.proposals.change(id, |proposal| proposal.round = Some(round))?;
        Ok(Rounded::Next(fresh))
    }

    /// Records the plan for the node whose turn it is, under the approval that the round has.
    async fn take_turn(&self, before: &Proposal, round: Round, by: Person) -> Result<ProposalId, Refused> {
        if self.balancer.dry_run()? {
            return Err(Refused::DryRun);
        }
        if self.runs.are_stopping() {
            return Err(Refused::Stopping);
        }
        let approver = match &before.state {
            ProposalState::Done { by, .. } => by.clone(),
            _ => Approver::People(vec![by.clone()]),
        };
        let Some((node, called)) = round.current().map(|node| (node.node, node.name.clone())) else {
            return Err(Refused::RoundWentOn { proposal: before.id });
        };
        let picture = self.sight.look_for_plan().await?;
        let (later, moved, cluster) = (round.later(), round.moved.clone(), before.cluster);
        let drain = self.balancer.compute(&picture, move |of| {
            let gone = || {
                // Its message says that it is gone, and somebody says what to do.
                let plan = planner::standstill(&of.snapshot, &of.policy, cluster)?;
                Some(Drain { node, node_name: called, plan, stuck: Vec::new(), takers: Vec::new() })
            };
            planner::drain_in_turn(&of.snapshot, &of.policy, node, &later, &moved).or_else(gone)
        });
        let Some(drain) = drain.await? else { return Err(why_no_plan(&picture, before.cluster)) };
        if let Some(hold) = hold_of(&drain.stuck) {
            return Err(Refused::Held { hold });
        }
        let state = ProposalState::Approved { by: approver, at: self.now() };
        let origin = (Origin::Person(by), state);
        self.proposals.record_turn(&picture, drain, round, origin, before.reply_to.clone())
    }

    /// Stops the one round that somebody means, where nothing of it is running.
    pub(super) fn stop_round(&self, stop: &Stop, by: &Person) -> Result<Option<Cancelled>, StoreError> {
        let is_meant = |proposal: &Proposal| match stop {
            Stop::Only => true,
            Stop::Plan(id) => proposal.id == *id,
            Stop::Called(called) => proposal.is_called(called),
        };
        let rounds = self.balancer.parts().store.rounds()?;
        let meant: Vec<_> =
            rounds.into_iter().filter(|round| round.waits_for_hand() && is_meant(round)).collect();
        let [only] = meant.as_slice() else { return Ok(None) };
        let word = Approval { by: by.clone(), at: self.now() };
        self.proposals.change(only.id, |proposal| {
            if let Some(round) = &mut proposal.round {
                round.stopped = Some(word);
            }
        })?;
        let (plan, cluster) = (only.id, only.cluster_name.clone());
        Ok(Some(Cancelled { plan, cluster, what: Stopped::Round }))
    }

    /// Returns the rounds that go on.
    pub(super) fn rounds(&self) -> Result<Vec<InRound>, StoreError> {
        let rounds = self.balancer.parts().store.rounds()?;
        let of = |proposal: Proposal| {
            let round = proposal.round.as_ref()?;
            let waits_for_hand = proposal.waits_for_hand();
            Some(InRound {
                proposal: proposal.id,
                cluster: proposal.cluster,
                node: round.current()?.name.clone(),
                number: round.at + 1,
                of: round.nodes.len(),
                waits_for_hand,
            })
        };
        // One that is not approved yet waits like every other plan.
        let begun = rounds.into_iter().filter(|proposal| proposal.state != ProposalState::Pending);
        Ok(begun.filter_map(of).collect())
    }
}

/// Finds the nodes that a person names, by patterns too, each once.
fn find_nodes(picture: &Picture, named: &[String]) -> Result<Vec<NodeInfo>, Refused> {
    let mut nodes: Vec<NodeInfo> = Vec::new();
    for named in named {
        for node in find::nodes(&picture.snapshot, named).map_err(Refused::Missed)? {
            if nodes.iter().all(|known| known.id != node.id) {
                nodes.push(node.clone());
            }
        }
    }
    Ok(nodes)
}

/// Tells whether a VM stays on the node because no other has room for it.
fn lacks_room(drain: &Drain) -> bool {
    drain.stuck.iter().any(|skip| matches!(skip.why, SkipWhy::NoTarget(_)))
}
