//! The whole service against simulated servers.
#![cfg(feature = "sandbox")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test says what is wrong by failing")]

mod executor;
mod full_disk;
mod kill;
mod platform;
mod scheduler;
mod vmmanager;
