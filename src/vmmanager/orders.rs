//! The one thing that changes the platform.

use serde_json::json;

use super::{
    client::VmManagerApi,
    error::{ApiError, OrderError},
    transport::{Ask, Effect, Failed},
    wire,
};
use crate::model::{NodeId, VmId};

/// The right to order migrations; in a dry run it does not exist.
#[derive(Clone)]
pub struct Orders(pub(super) VmManagerApi);

/// An order that VMmanager took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The queue's number, to be looked for with [`VmManagerApi::find_task`]; `None` where the answer had none.
    pub task: Option<u64>,
}

impl Orders {
    /// Orders the live migration of `vm` to `target`. Sent once: repeated only after answers that say
    /// that it was not taken (503, a dead token).
    ///
    /// # Errors
    ///
    /// [`OrderError::NotTaken`] where nothing was ordered, [`OrderError::NoAnswer`] where nobody knows.
    pub async fn migrate(&self, vm: VmId, target: NodeId) -> Result<Ordered, OrderError> {
        let path = format!("/vm/v3/host/{vm}/migrate");
        // Exactly this: an unknown property is an error, and the optional ones mean other migrations.
        let ask = Ask::post(&path, json!({ "node": target }));
        let transport = self.0.transport();
        let body = transport.exchange(&ask).await.map_err(|Failed { error, effect, .. }| match effect {
            Effect::None => OrderError::NotTaken(error),
            Effect::Unknown => OrderError::NoAnswer(error),
        })?;
        if body.is_empty() {
            return Ok(Ordered { task: None });
        }
        // A success that is no JSON is some proxy's page: whether the order got through is unknown.
        let task = wire::ordered_task(&body).map_err(|error| {
            let detail = transport.unreadable(&error, &body);
            OrderError::NoAnswer(ApiError::Unreadable { what: ask.what(), detail })
        })?;
        Ok(Ordered { task })
    }
}
