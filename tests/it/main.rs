//! The whole service, and its simulated surroundings, over real protocols on loopback.
#![cfg(feature = "sandbox")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

mod sim_telegram;
mod ssh;
