//! The nouns: clusters, nodes, VMs and the [`Snapshot`] that holds them at one moment.
//!
//! Plain data. Nothing here knows where it came from or what will be done with it.

pub mod alike;
#[doc(hidden)]
pub mod dice;
pub mod find;
mod flaw;
mod ids;
mod machine;
mod measuring;
mod person;
mod qemu;
mod quote;
mod snapshot;
pub mod ssh;
mod state;
mod traces;
mod trouble;

pub use flaw::{Flaw, List, RowShape};
pub use ids::{ClusterId, Mib, MigrationId, NodeId, ProposalId, VmId};
pub use machine::{KernelVersion, NodeFault, OsFamily};
pub use measuring::{Asked, Unmeasured, WhyUnmeasured};
pub use person::Person;
pub use qemu::QemuVersion;
pub use quote::Quote;
pub(crate) use quote::turns_direction;
pub use snapshot::{
    Block, ClusterInfo, ForeignMigration, Measured, NodeInfo, ReadSnapshotError, Snapshot, VmInfo, VmUse,
};
pub use state::{NodeState, VmState};
pub use traces::{HistoryBefore, TaskFailure, Whereabouts};
pub use trouble::{
    AnswerFlaw, ApiFailure, ApiSettingsFlaw, Body, BodyKind, Damage, DiskFailure, ExportFlaw, LoginRefusal,
    Said, Silence, StoreFailure, Trouble,
};
