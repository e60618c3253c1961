//! The whole service against simulated servers.
#![cfg(feature = "sandbox")]

mod executor;
mod full_disk;
mod kill;
mod platform;
mod scheduler;
