//! The whole service, and its simulated surroundings, over real protocols on loopback.
#![cfg(feature = "sandbox")]

mod executor;
mod kill;
mod platform;
mod scheduler;
mod sim_telegram;
mod ssh;
#[cfg(feature = "ci-sshd")]
mod ssh_real;
