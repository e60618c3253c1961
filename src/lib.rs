//! Keeps the VMs of VMmanager 6 clusters well spread over their nodes.
//!
//! One cycle of the program, with the same configuration file:
//!
//! ```standalone_crate
//! use vm_balancer::VmBalancer;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use vm_balancer::sandbox::vmmanager::{Options, SimVmManager, World};
//! # let vmmanager = SimVmManager::start(World::small(), Options::default()).await?;
//! # let Options { username, password, .. } = vmmanager.options();
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(&folder)?;
//! # let login = format!("VMMANAGER_USERNAME={username}\nVMMANAGER_PASSWORD={password}\n");
//! # std::fs::write(".env", format!("VMMANAGER_HOST={}\n{login}", vmmanager.url()))?;
//! let report = VmBalancer::from_env_file(".env")?.dry_run(true).run_once().await?;
//! for cluster in &report.plan.clusters {
//!     println!("{}: {} migrations", cluster.name, cluster.migrations.len());
//! }
//! # assert!(report.dry_run && !report.plan.clusters[0].migrations.is_empty());
//! # assert!(vmmanager.orders().is_empty() && !std::path::Path::new("data").exists());
//! # Ok(())
//! # }
//! ```
//!
//! The program is made of these parts, which other programs can use too. Each has settings of its own
//! ([`VmManagerSettings`], [`SshSettings`], [`TelegramSettings`]); [`config`] makes them from a file.
//!
//! ```
//! use vm_balancer::{
//!     ClusterInfo, NodeInfo, SshMonitor, TelegramNotifier, VmBalancer, VmInfo, VmManagerApi, check, plan,
//! };
//! # fn used(_: (ClusterInfo, NodeInfo, SshMonitor, TelegramNotifier, VmBalancer, VmInfo, VmManagerApi)) {}
//! ```
//!
//! [`plan`] decides and [`check`] replays what it decided, both on a [`model::Snapshot`].
//!
//! ```text
//! VMmanager API ─┐                                       ┌─> store: plans, journal, history, settings
//! SSH to nodes ──┴─> Snapshot ──> plan() ──> Plan ──> executor ──> VMmanager API
//!                                   pure       │          │
//!                                              │          └─ Event ─> notifier ─> chat
//!                     chat ─> Command ─> Handle ─> scheduler / balancer
//! ```

// A `pub` that nobody outside can reach says more than is so. Without `internals` the rooms are private and all would be.
#![cfg_attr(feature = "internals", warn(unreachable_pub))]

pub mod clock;
pub mod config;
pub mod event;
pub mod model;
pub mod planner;

#[doc(hidden)]
pub mod cli;
#[cfg(feature = "sandbox")]
#[doc(hidden)]
pub mod sandbox;

// Tests and benches look into these rooms, with the feature `internals`; nobody else does.
#[cfg(not(feature = "internals"))]
mod app;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod app;
#[cfg(not(feature = "internals"))]
mod balancer;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod balancer;
#[cfg(not(feature = "internals"))]
mod causes;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod causes;
#[cfg(not(feature = "internals"))]
mod control;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod control;
mod dial;
#[cfg(not(feature = "internals"))]
mod executor;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod executor;
#[cfg(not(feature = "internals"))]
mod eyes;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod eyes;
pub mod live;
mod meter;
mod picture;
mod probe;
#[cfg(not(feature = "internals"))]
mod rules;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod rules;
#[cfg(not(feature = "internals"))]
mod scheduler;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod scheduler;
#[cfg(not(feature = "internals"))]
mod ssh;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod ssh;
#[cfg(not(feature = "internals"))]
mod store;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod store;
#[cfg(not(feature = "internals"))]
mod talk;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod talk;
#[cfg(not(feature = "internals"))]
mod telegram;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod telegram;
mod threads;
#[cfg(not(feature = "internals"))]
mod vmmanager;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod vmmanager;

pub use app::{AppError, Single};
pub use balancer::{CycleError, CycleReport, NotCarriedOut, VmBalancer};
pub use model::{ClusterInfo, NodeInfo, VmInfo};
pub use planner::{check, plan};
pub use ssh::{HostKeyCheck, HostPort, KeyFile, Settings as SshSettings, SshError, SshMonitor};
pub use store::{Outcome, Sight, Step, StepState};
pub use talk::Language;
pub use telegram::{BotError, ChatTarget, Settings as TelegramSettings, Spacing, TelegramNotifier};
pub use vmmanager::{Credentials, Settings as VmManagerSettings, Timing, VmManagerApi};
