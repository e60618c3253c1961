//! Everything simulated: servers that stand for the real ones and check what they are asked as strictly.

pub mod ssh;
pub mod vmmanager;
