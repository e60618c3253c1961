//! Everything simulated: servers that stand for the real ones and check what they are asked as strictly.

pub mod bot;
pub mod page;
pub mod scenario;
pub mod telegram;
pub mod vmmanager;
