//! Keeps the VMs of VMmanager 6 clusters well spread over their nodes.
pub mod clock;
pub mod event;
pub mod model;
pub mod planner;
pub mod scheduler;
pub mod store;
pub mod telegram;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod scheduler;
pub mod store;
pub mod vmmanager;
