//! When cycles run. Owns the balancer; others reach it through a [`Handle`].

mod handle;

pub use handle::{Approved, Balanced, Change, Changed, Handle, LastCycle, Picture, Refused, Status};
