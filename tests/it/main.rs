//! The whole service, and its simulated surroundings, over real protocols on loopback.

#[cfg(feature = "ci-browser")]
mod browser;
#[cfg(feature = "sandbox")]
mod fake_bot;
#[cfg(feature = "sandbox")]
mod sandbox_page;
#[cfg(feature = "sandbox")]
mod sim_telegram;
#[cfg(feature = "sandbox")]
mod vmmanager;
