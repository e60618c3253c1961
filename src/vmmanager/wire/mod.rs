//! VMmanager's JSON as it is, read leniently: any field may be missing, null or of another type.
//!
//! Pure: bytes in, rows out. A row is typed from the start and becomes what is kept of it as soon as it has come, so
//! that 50,000 VMs are read while they come and take no more room than VMs do.

mod answers;
mod guard;
mod host;
mod incoming;
mod page;
mod plain;
mod rows;

pub(super) use answers::{
    HistoryOf, WireError, error, login, migrate_form, ordered_task, roles, task, texts,
};
pub(super) use host::{HostRow, HostSeen, KVM};
pub(super) use incoming::unreadable;
pub(super) use page::{Page, PageOf};
pub(super) use plain::Plain;
pub(super) use rows::{ClusterRow, Kept, NodeRow, Row, TaskRow};

use crate::model::AnswerFlaw;

/// What becomes of a successful answer while it comes.
pub(super) trait Intake: Default + Send {
    type Taken: Send;

    /// Takes the next piece of the body, wherever it was cut; returns whether more of it is wanted.
    fn take(&mut self, piece: &[u8]) -> bool;

    /// Finds a top-level `error`, which an answer may hold in spite of its status.
    fn error(&self) -> Option<WireError>;

    /// Returns what the body became, once all of it has come.
    fn finish(self) -> Result<Self::Taken, AnswerFlaw>;
}

/// A small answer is read when all of it is there.
impl Intake for Vec<u8> {
    type Taken = Self;

    fn take(&mut self, piece: &[u8]) -> bool {
        self.extend_from_slice(piece);
        true
    }

    fn error(&self) -> Option<WireError> {
        error(self)
    }

    fn finish(self) -> Result<Self, AnswerFlaw> {
        Ok(self)
    }
}
