//! What can go wrong with VMmanager, by what a caller does about it.

use std::time::Duration;

use crate::model::{ApiFailure, Quote};

/// Why a request gave nothing. Never holds a secret.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ApiError {
    /// The settings cannot be used at all.
    #[error("vmmanager settings cannot be used: {0}")]
    Settings(String),
    /// The user, password or token is not taken: a person must change the configuration.
    #[error("vmmanager does not take the credentials: {0}")]
    Unauthorized(String),
    /// The user may not do this: a person must change the rights in VMmanager.
    #[error("no permission for {what}: {msg}")]
    Forbidden { what: String, msg: String },
    /// The service answered 503 or 429 for as long as it was worth waiting. The request was not taken.
    #[error("vmmanager is unavailable: {what} was put off{}", for_so_long(*waited))]
    Unavailable { what: String, waited: Duration },
    /// Silence or a gateway's words: a reset, a timeout, 500, 502, 504. Try again later.
    #[error("no answer from vmmanager to {what}: {detail}")]
    NoAnswer {
        what: String,
        /// The status, where there was one.
        status: Option<u16>,
        detail: String,
    },
    /// There is no such function or no such object.
    #[error("vmmanager does not know {what}: {msg}")]
    NotFound { what: String, code: Option<i64>, msg: String },
    /// A final no.
    #[error("vmmanager refused {what}: {msg} ({})", numbers(*status, *code))]
    Refused { what: String, status: u16, code: Option<i64>, msg: String },
    /// An answer of a shape nobody knows.
    #[error("the answer to {what} cannot be read: {detail}")]
    Unreadable { what: String, detail: String },
}

impl ApiError {
    /// Tells whether the same request may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Unavailable { .. })
    }

    /// Returns the failure as data, with the server's words as quotations.
    #[must_use]
    pub fn failure(&self) -> ApiFailure {
        let (said, what) = (|words: &str| Quote::of(words), String::clone);
        match self {
            Self::Settings(why) => ApiFailure::Settings(said(why)),
            Self::Unauthorized(why) => ApiFailure::Credentials(said(why)),
            Self::Forbidden { what: asked, msg } => {
                ApiFailure::Forbidden { what: what(asked), said: said(msg) }
            }
            Self::Unavailable { what: asked, waited } => {
                ApiFailure::Unavailable { what: what(asked), waited: waited.as_secs() }
            }
            Self::NoAnswer { what: asked, status: _, detail } => {
                ApiFailure::NoAnswer { what: what(asked), said: said(detail) }
            }
            Self::NotFound { what: asked, code: _, msg } => {
                ApiFailure::NotFound { what: what(asked), said: said(msg) }
            }
            Self::Refused { what: asked, status, code, msg } => {
                ApiFailure::Refused { what: what(asked), said: said(msg), status: *status, code: *code }
            }
            Self::Unreadable { what: asked, detail } => {
                ApiFailure::Unreadable { what: what(asked), said: said(detail) }
            }
        }
    }

    /// Tells whether a filter in the request may be what the server stumbled over.
    pub(super) fn may_be_the_filter(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NoAnswer { status: Some(_), .. })
    }

    /// Tells whether this version of the server lacks the function, as opposed to the object.
    #[must_use]
    pub fn is_missing_function(&self) -> bool {
        match self {
            Self::NotFound { code, .. } => *code != Some(code::NO_INSTANCE),
            _ => false,
        }
    }
}

/// Why an order has no task to watch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OrderError {
    /// Nothing was ordered: the server said so, or was never reached.
    #[error("the migration was not ordered")]
    NotTaken(#[source] ApiError),
    /// The order went out and no answer came: whether it began is unknown, and it must not be repeated.
    #[error("it is unknown whether the migration was ordered")]
    NoAnswer(#[source] ApiError),
    /// Whoever ordered took it back before it was sent.
    #[error("the order was taken back before it was sent")]
    Held,
}

/// Numbers in `error.code` that mean something to a client.
pub(super) mod code {
    /// The token is missing or no longer valid.
    pub const DEAD_TOKEN: i64 = 1000;
    /// The function does not exist in this version.
    pub const NO_FUNCTION: i64 = 1106;
    /// No permission; on some versions a dead token as well.
    pub const UNAUTHORIZED: i64 = 3001;
    /// There is no such object.
    pub const NO_INSTANCE: i64 = 3080;
}

/// Less than a second is not worth a word, and "for 0 s" reads like a fault of ours.
fn for_so_long(waited: Duration) -> String {
    match waited.as_secs() {
        0 => String::new(),
        seconds => format!(" for {seconds} s"),
    }
}

fn numbers(status: u16, code: Option<i64>) -> String {
    match code {
        Some(code) => format!("status {status}, code {code}"),
        None => format!("status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_seconds_and_none_is_not_told() {
        let told = |millis| {
            let waited = Duration::from_millis(millis);
            ApiError::Unavailable { what: "the list of nodes".into(), waited }.to_string()
        };
        assert_eq!(told(400), "vmmanager is unavailable: the list of nodes was put off");
        assert_eq!(told(3400), "vmmanager is unavailable: the list of nodes was put off for 3 s");
    }
}
