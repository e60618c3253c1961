//! Keeps the VMs of VMmanager 6 clusters well spread over their nodes.
//!
//! ```text
//! VMmanager API ─┐                                       ┌─> store: plans, journal, history, settings
//! SSH to nodes ──┴─> Snapshot ──> plan() ──> Plan ──> executor ──> VMmanager API
//!                                   pure       │          │
//!                                              │          └─ Event ─> notifier ─> chat
//!                     chat ─> Command ─> Handle ─> scheduler / balancer
//! ```

pub mod app;
pub mod balancer;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod event;
pub mod executor;
pub mod eyes;
pub mod model;
pub mod planner;
pub mod rules;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod scheduler;
pub mod ssh;
pub mod store;
pub mod talk;
pub mod telegram;
pub mod vmmanager;
