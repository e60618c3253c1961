//! The whole service, and its simulated surroundings, over real protocols on loopback.
#![cfg(feature = "sandbox")]

#[cfg(feature = "ci-browser")]
mod browser;
mod cli;
mod conversation;
mod executor;
mod full_disk;
mod kill;
mod platform;
mod sandbox_page;
mod scheduler;
mod service;
mod sim_telegram;
mod ssh;
#[cfg(feature = "ci-sshd")]
mod ssh_real;
mod telegram;
mod vmmanager;
