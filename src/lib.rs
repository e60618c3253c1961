//! Keeps the VMs of VMmanager 6 clusters well spread over their nodes.
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod event;
pub mod model;
pub mod planner;
pub mod scheduler;
pub mod store;
pub mod vmmanager;
