//! The whole service against simulated servers.
#![cfg(feature = "sandbox")]

mod executor;
mod kill;
mod platform;
mod scheduler;
