//! The one thing that changes the platform.

use serde_json::json;

use super::{
    client::VmManagerApi,
    error::{ApiError, OrderError},
    settings::Patience,
    transport::{Ask, Effect, Failed, Transport},
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
    /// Returns how long, and how often, an order answered with 503 is worth repeating.
    #[must_use]
    pub fn patience(&self) -> Patience {
        self.0.timing().patience()
    }

    /// Orders the live migration of `vm` to `target`, as [`Orders::migrate_if`] where nothing can come between.
    ///
    /// # Errors
    ///
    /// As [`Orders::migrate_if`].
    pub async fn migrate(&self, vm: VmId, target: NodeId) -> Result<Ordered, OrderError> {
        self.migrate_if(vm, target, &|| true).await
    }

    /// Orders the live migration of `vm` to `target`, unless `may_send` says no at the last moment. Sent once:
    /// repeated only with a new token after an answer that says that the old one is dead.
    ///
    /// # Errors
    ///
    /// [`OrderError::NotTaken`] where nothing was ordered, [`OrderError::NoAnswer`] where nobody knows,
    /// [`OrderError::Held`] where `may_send` said no.
    pub async fn migrate_if(
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
            let detail = Transport::unreadable(&error, &body);
            OrderError::NoAnswer(ApiError::Unreadable { what: ask.what(), detail })
        })?;
        Ok(Ordered { task })
    }
}
