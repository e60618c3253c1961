//! The whole service, and its rooms that speak to others, against the sandbox's servers.

#[cfg(feature = "sandbox")]
mod ssh;
