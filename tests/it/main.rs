//! The whole service, and its simulated surroundings, over real protocols on loopback.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

#[cfg(feature = "sandbox")]
mod sim_telegram;
