//! A maintenance round: nodes that are emptied one after the other. It is kept in the proposal that empties the node
//! whose turn it is; `meta` lists those proposals.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Approval, Emptied, Proposal, ProposalState, Sight, Store, StoreError};
use crate::{
    model::{Mib, NodeId, ProposalId, VmId},
    planner::{Drain, Skip},
};

/// The number of the list of rounds in `meta`.
const ROW: u64 = 40;

/// A round as it stands with one of its proposals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub nodes: Vec<RoundNode>,
    /// Which of them this proposal empties.
    pub at: usize,
    /// VMs that the round moved before: they do not rest for it.
    pub moved: BTreeSet<VmId>,
    /// The proposal that goes on with the round.
    pub next: Option<ProposalId>,
    /// Who ended the round before its last node had its turn.
    pub stopped: Option<Approval>,
}

/// One node of a round, with what was foreseen at its beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundNode {
    pub node: NodeId,
    pub name: String,
    /// How many VMs are to leave it.
    pub vms: usize,
    pub memory: Mib,
    /// The VMs that stay on it.
    pub stuck: Vec<Skip>,
    pub turn: Turn,
}

/// What became of a node of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// Its turn is to come, or has come.
    Waits,
    /// Somebody said that the work on it is done.
    Worked(Approval),
    Skipped(Approval),
}

impl RoundNode {
    /// What is foreseen of a node.
    #[must_use]
    pub fn foreseen(drain: &Drain) -> Self {
        Self {
            node: drain.node,
            name: drain.node_name.clone(),
            vms: drain.leaving(),
            memory: drain.plan.migrations.iter().map(|step| step.ram).sum(),
            stuck: drain.stuck.clone(),
            turn: Turn::Waits,
        }
    }
}

impl Round {
    /// The round at its beginning.
    #[must_use]
    pub fn new(nodes: Vec<RoundNode>) -> Self {
        Self { nodes, at: 0, moved: BTreeSet::new(), next: None, stopped: None }
    }

    /// Returns the node whose turn it is.
    #[must_use]
    pub fn current(&self) -> Option<&RoundNode> {
        self.nodes.get(self.at)
    }

    /// Returns the nodes that have not had their turn.
    #[must_use]
    pub fn later(&self) -> Vec<NodeId> {
        let later = self.nodes.get(self.at + 1..).unwrap_or_default();
        later.iter().map(|node| node.node).collect()
    }

    /// Tells whether every node had its turn.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.nodes.iter().all(|node| node.turn != Turn::Waits)
    }

    /// Tells whether this proposal is the one with which the round goes on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.next.is_none() && self.stopped.is_none() && !self.is_over()
    }
}

impl Proposal {
    /// Returns what the look at the end of the plan showed of the node that it was to empty; `None` where nobody
    /// could look.
    #[must_use]
    pub fn node_at_end(&self) -> Option<&Emptied> {
        match &self.sight {
            Some(Sight::Seen { emptied, .. }) => emptied.as_ref(),
            None | Some(Sight::Failed(_) | Sight::Incomplete(_) | Sight::TimedOut | Sight::ClusterGone) => {
                None
            }
        }
    }

    /// Tells whether the node that the plan was to empty was empty at its end, whatever became of the steps.
    #[must_use]
    pub fn has_emptied(&self) -> bool {
        matches!(self.node_at_end(), Some(Emptied::Holds(vms)) if vms.is_empty())
    }

    /// Tells whether a node of a round waits for somebody's word.
    #[must_use]
    pub fn waits_for_hand(&self) -> bool {
        matches!(self.state, ProposalState::Done { .. }) && self.round.as_ref().is_some_and(Round::is_open)
    }
}

impl Store {
    /// Returns the proposals with which rounds go on.
    pub fn rounds(&self) -> Result<Vec<Proposal>, StoreError> {
        let known: Vec<ProposalId> = self.meta_record(ROW, "rounds")?;
        let found: Result<Vec<_>, _> = known.into_iter().map(|id| self.proposal(id)).collect();
        Ok(found?.into_iter().flatten().filter(goes_on).collect())
    }

    /// Notes that a round goes on with this proposal, and forgets those that are over.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; nothing is changed then.
    pub fn enter_round(&self, id: ProposalId) -> Result<(), StoreError> {
        let mut ids: Vec<_> = self.rounds()?.into_iter().map(|proposal| proposal.id).collect();
        ids.push(id);
        self.write(|| {
            self.put_meta(ROW, &ids)?;
            self.commit()
        })
    }
}

/// Tells whether a round may still go on with this proposal.
fn goes_on(proposal: &Proposal) -> bool {
    let is_open = proposal.round.as_ref().is_some_and(Round::is_open);
    is_open && (matches!(proposal.state, ProposalState::Done { .. }) || !proposal.state.is_final())
}
