//! The whole service, and its rooms that speak to others, against the sandbox's servers.

#[cfg(feature = "sandbox")]
mod ssh;
#[cfg(feature = "ci-sshd")]
mod ssh_real;
