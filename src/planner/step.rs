//! One migration as the search sees it.

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
    MakeRoom,
    Level,
    Drain,
}
