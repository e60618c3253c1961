//! The client of VMmanager 6: questions in [`VmManagerApi`], changes in [`Orders`].
//!
//! Speaks HTTP and JSON so that nobody else has to: what leaves this room is the model's. The server's JSON as it
//! is stays in `wire`. Must not know what is planned, why, or for whom.
//! Every request may fail with any [`ApiFailure`](crate::model::ApiFailure).

mod client;
mod error;
mod look;
mod orders;
mod settings;
mod task;
mod trace;
mod transport;
mod wire;

pub use client::VmManagerApi;
pub use error::OrderError;
pub use look::{Detail, Look, RunningMigration};
pub use orders::{No, Ordered, Orders};
pub use settings::{Credentials, Settings, Timing};
#[cfg(feature = "internals")]
pub use task::{TaskInfo, TaskStatus};
pub use trace::{Found, Order, TaskState};
