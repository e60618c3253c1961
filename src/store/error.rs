//! Why the store could not do something, by what the caller can do about it.

use std::{io, path::PathBuf};

use crate::{
    causes,
    model::{MigrationId, ProposalId, StoreFailure, VmId},
};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error("another instance is using {}", .path.display())]
    Locked { path: PathBuf },
    /// It cannot be read any more.
    #[error("the store in {} is damaged: {why}", .path.display())]
    Corrupt { path: PathBuf, why: String },
    #[error(
        "the store was written by a newer vm-balancer (schema {found}, this one reads up to {known}); use that one"
    )]
    NewerSchema { found: u32, known: u32 },
    /// A full disk, missing rights and the like.
    #[error("failed to {doing} {}", .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// An earlier error closed it; it is opened again when the disk allows.
    #[error("the store in {} is closed after an error: {why}", .path.display())]
    Unusable { path: PathBuf, why: String },
    #[error("failed to use the store's files")]
    Sled(#[source] sled::Error),
    /// sled gave up in the middle of something.
    #[error("the store broke: {0}")]
    Broken(String),
    #[error("record {key} of {tree} cannot be read")]
    Record {
        tree: &'static str,
        key: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("a record for {tree} cannot be written as JSON")]
    Unwritable {
        tree: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the export {} cannot be used: {why}", .path.display())]
    Export { path: PathBuf, why: String },
    /// A VM has at most one open migration.
    #[error("vm {vm} has an open migration already, entry {entry}")]
    InFlight { vm: VmId, entry: MigrationId },
    #[error("there is no entry {0} in the journal")]
    NoSuchEntry(MigrationId),
    /// What has ended is history and is not written over.
    #[error("entry {0} of the journal is closed already")]
    Closed(MigrationId),
    #[error("there is no proposal {0}")]
    NoSuchProposal(ProposalId),
}

impl StoreError {
    /// Tells the whole chain in one line, for a chat or a log.
    #[must_use]
    pub fn chain(&self) -> String {
        causes::chain(self)
    }

    /// Returns the failure as data, with the words of the operating system and of sled as quotations.
    #[must_use]
    pub fn failure(&self) -> StoreFailure {
        let said = || self.chain().into();
        match self {
            Self::Locked { path } => StoreFailure::Locked { path: path.display().to_string() },
            Self::NewerSchema { found, known } => StoreFailure::Newer { found: *found, known: *known },
            Self::InFlight { vm, entry: _ } => StoreFailure::InFlight { vm: *vm },
            other if other.is_damage() => StoreFailure::Damaged(said()),
            Self::Io { .. } | Self::Unusable { .. } | Self::Sled(_) => StoreFailure::Disk(said()),
            _ => StoreFailure::Other(said()),
        }
    }

    /// Tells whether the files themselves are damaged, so that only a restore helps.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::Broken(_) | Self::Record { .. } => true,
            Self::Sled(error) => match error {
                sled::Error::Corruption { .. }
                | sled::Error::ReportableBug(_)
                | sled::Error::CollectionNotFound(_) => true,
                // Files that are shorter than they say, or that say nonsense.
                sled::Error::Io(io) => {
                    matches!(io.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
                }
                sled::Error::Unsupported(_) => false,
            },
            Self::Locked { .. }
            | Self::NewerSchema { .. }
            | Self::Io { .. }
            | Self::Unusable { .. }
            | Self::Unwritable { .. }
            | Self::Export { .. }
            | Self::InFlight { .. }
            | Self::NoSuchEntry(_)
            | Self::Closed(_)
            | Self::NoSuchProposal(_) => false,
        }
    }

    /// Tells whether the files could not be used, whatever was wanted of them.
    pub(super) fn is_of_the_files(&self) -> bool {
        self.is_damage() || matches!(self, Self::Sled(_) | Self::Io { .. } | Self::Unusable { .. })
    }

    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}
