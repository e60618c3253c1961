//! The whole service, and its simulated surroundings, over real protocols on loopback.
#![cfg(feature = "sandbox")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test says no by panicking")]

mod autopilot;
mod browser;
mod choices;
mod cli;
mod conditions;
mod conversation;
mod crowd;
mod decisions;
mod executor;
mod faults;
mod from_python;
mod full_disk;
mod hanging;
mod in_russian;
mod kill;
mod layout;
mod operations;
mod others;
mod pictures;
mod pieces;
mod platform;
mod probe;
mod sandbox_faults;
mod sandbox_page;
mod scheduler;
mod service;
mod sim_telegram;
mod ssh;
mod ssh_real;
mod ssh_service;
mod telegram;
mod tls;
mod transcripts;
mod vmmanager;
mod watching;
mod worlds;
