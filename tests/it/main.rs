//! The whole service, and its simulated surroundings, over real protocols on loopback.

#[cfg(feature = "sandbox")]
mod vmmanager;
