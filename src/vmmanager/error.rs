//! What can go wrong with VMmanager, by what a caller does about it.

use crate::model::{ApiFailure, Silence};

impl ApiFailure {
    /// Tells whether a filter in the request may be what the server stumbled over.
    pub(super) fn may_be_the_filter(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NoAnswer { said: Silence::Status { .. }, .. })
    }

    /// Tells whether this version of the server lacks the function, as opposed to the object.
    #[must_use]
    pub(super) fn is_missing_function(&self) -> bool {
        match self {
            Self::NotFound { code, .. } => *code != Some(code::NO_INSTANCE),
            _ => false,
        }
    }
}

/// Why an order has no task to watch.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderError {
    /// Nothing was ordered: the server said so, or was never reached.
    NotTaken(ApiFailure),
    /// The order went out and no answer came: whether it began is unknown, and it must not be repeated.
    NoAnswer(ApiFailure),
    /// The caller took the order back before it was sent.
    Held,
}

/// Numbers in `error.code` that mean something to a client.
pub(super) mod code {
    /// The token is missing or no longer valid.
    pub(crate) const DEAD_TOKEN: i64 = 1000;
    /// The function does not exist in this version.
    pub(crate) const NO_FUNCTION: i64 = 1106;
    /// No permission; on some versions a dead token as well.
    pub(crate) const UNAUTHORIZED: i64 = 3001;
    /// There is no such object.
    pub(crate) const NO_INSTANCE: i64 = 3080;
}
