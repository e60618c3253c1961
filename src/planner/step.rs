//! One migration as the search sees it.

use crate::model::ProposalId;

/// A VM goes to a target. Both are numbers on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub vm: usize,
    pub target: usize,
    pub purpose: Purpose,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Relieve,
    /// Off a node that is near its threshold and not over it.
    Ahead,
    MakeRoom,
    Level,
    Drain,
    /// Back to where it was before that plan.
    Undo(ProposalId),
}
