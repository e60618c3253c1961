//! The whole service against simulated servers.
#![cfg(feature = "sandbox")]

mod executor;
mod platform;
mod scheduler;
mod ssh;
