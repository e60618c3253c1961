//! VMmanager's JSON as it is, read leniently: any field may be missing, null or of another type.
//!
//! Pure: bytes in, rows out. A row is typed from the start and becomes what is kept of it at once, so that 50,000 VMs
//! are read in one pass and take no more room than VMs do.

mod answers;
mod guard;
mod host;
mod page;
mod plain;
mod rows;

pub(super) use answers::{error, history, login, migrate_form, ordered_task, roles, task, texts};
pub(super) use host::{HostRow, HostSeen, KVM};
pub(super) use page::{Page, page};
pub(super) use plain::Plain;
pub(super) use rows::{ClusterRow, Kept, NodeRow, Row, TaskRow};
