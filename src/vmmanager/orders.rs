//! The one thing that changes the platform.

use serde_json::json;

use super::{
    client::VmManagerApi,
    error::OrderError,
    settings::Patience,
    transport::{Ask, Effect, Failed},
    wire,
};
use crate::model::{ApiFailure, NodeId, Said, VmId};

/// The body has a property that the function does not know.
const UNEXPECTED: i64 = 3008;

/// The right to order migrations; in a dry run it does not exist.
#[derive(Clone)]
pub struct Orders(pub(super) VmManagerApi);

/// An order that VMmanager took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The queue's number, to be looked for with [`VmManagerApi::find_task`]; `None` where the answer had none.
    pub task: Option<u64>,
}

/// What a final no says, by what a caller may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    /// The VM is locked by something else, such as a backup: later the same may succeed.
    Busy,
    /// VMmanager takes no more tasks for now, whatever the VM.
    QueueFull,
    /// This version does not know the function, or what the body says: that holds for every VM.
    NotUnderstood,
    /// There is no such VM.
    Gone,
    /// The VM may not go to that node.
    Declined,
}

impl ApiFailure {
    /// Reads a final no; `None` where the server gave none.
    ///
    /// Only the numbers that are known say something. For the rest the server's words are searched, since a wrong
    /// guess costs no more than a rest of an hour: either of the VM or of this target for it.
    #[must_use]
    pub fn no(&self) -> Option<No> {
        match self {
            Self::NotFound { .. } if self.is_missing_function() => Some(No::NotUnderstood),
            Self::NotFound { .. } => Some(No::Gone),
            Self::Refused { status, code, said, .. } => {
                let said = match said {
                    Said::Words(words) => words.as_str().to_ascii_lowercase(),
                    Said::Numbers { .. } | Said::Foreign { .. } => String::new(),
                };
                let names = |words: &[&str]| words.iter().any(|word| said.contains(word));
                Some(if *code == Some(UNEXPECTED) || names(&["proxy-3008", "unexpected property"]) {
                    No::NotUnderstood
                } else if names(&["queue"]) {
                    No::QueueFull
                } else if matches!(status, 409 | 423) || names(&["lock", "busy", "another task", "backup"]) {
                    No::Busy
                } else if matches!(status, 405 | 501) {
                    No::NotUnderstood
                } else {
                    No::Declined
                })
            }
            Self::Settings(_)
            | Self::Credentials(_)
            | Self::NoLogin { .. }
            | Self::Forbidden { .. }
            | Self::Unavailable { .. }
            | Self::NoAnswer { .. }
            | Self::Unreadable { .. }
            | Self::Other(_) => None,
        }
    }
}

impl Orders {
    /// Returns how long, and how often, an order answered with 503 is worth repeating.
    #[must_use]
    pub fn patience(&self) -> Patience {
        self.0.timing().patience()
    }

    /// Orders the live migration of `vm` to `target`, unless `may_send` says no at the last moment. Sent once:
    /// repeated only with a new token after an answer that says that the old one is dead.
    ///
    /// # Errors
    ///
    /// [`OrderError::NotTaken`] where nothing was ordered, [`OrderError::NoAnswer`] where nobody knows,
    /// [`OrderError::Held`] where `may_send` said no.
    pub async fn migrate(
        &self,
        vm: VmId,
        target: NodeId,
        may_send: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<Ordered, OrderError> {
        let path = format!("/vm/v3/host/{vm}/migrate");
        // Exactly this: an unknown property is an error, and the optional ones mean other migrations.
        let ask = Ask::post(&path, json!({ "node": target }));
        let transport = self.0.transport();
        let sent = transport.order(&ask, may_send).await.ok_or(OrderError::Held)?;
        let body = sent.map_err(|Failed { error, effect, .. }| match effect {
            Effect::None => OrderError::NotTaken(error),
            Effect::Unknown => OrderError::NoAnswer(error),
        })?;
        if body.is_empty() {
            return Ok(Ordered { task: None });
        }
        // A success that is no JSON is some proxy's page: whether the order got through is unknown.
        let task = wire::ordered_task(&body).map_err(|error| {
            let said = wire::unreadable(&error, &body);
            OrderError::NoAnswer(ApiFailure::Unreadable { what: ask.what(), said })
        })?;
        Ok(Ordered { task })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_is_read_by_what_may_be_done_next() {
        let refused = |status, code, msg: &str| {
            let said = Said::Words(msg.into());
            ApiFailure::Refused { what: "POST /".into(), status, code, said }.no()
        };
        for (status, code, msg, no) in [
            (409, None, "conflict", No::Busy),
            (400, Some(3035), "The host is locked by another task", No::Busy),
            (400, None, "Backup of the host is running", No::Busy),
            (400, Some(3008), "", No::NotUnderstood),
            (400, Some(7), "PROXY-3008: Unexpected property", No::NotUnderstood),
            (405, None, "method not allowed", No::NotUnderstood),
            (400, None, "Task queue is full", No::QueueFull),
            (400, Some(4000), "Not enough space on the storage", No::Declined),
        ] {
            assert_eq!(refused(status, code, msg), Some(no), "{status} {code:?} {msg}");
        }
        let said = || Said::Words("".into());
        let missing = |code| ApiFailure::NotFound { what: "POST /".into(), code, said: said() }.no();
        let codes = [None, Some(1106), Some(3080)].map(missing);
        assert_eq!(codes, [Some(No::NotUnderstood), Some(No::NotUnderstood), Some(No::Gone)]);
        let silent = ApiFailure::NoAnswer {
            what: "POST /".into(),
            said: crate::model::Silence::Status { status: 500, said: said() },
        };
        assert_eq!(silent.no(), None);
    }
}
