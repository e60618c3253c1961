//! Keeps the VMs of VMmanager 6 clusters well spread over their nodes.
pub mod clock;
pub mod model;
pub mod planner;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod ssh;
