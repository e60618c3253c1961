//! Why the store could not do something, by what the caller can do about it.

use std::{io, path::PathBuf};

use crate::{
    causes,
    model::{Damage, DiskFailure, ExportFlaw, MigrationId, ProposalId, StoreFailure, VmId},
};

/// Why the store could not do something. Worded as its [`StoreFailure`].
#[derive(Debug)]
pub enum StoreError {
    /// Another process holds it.
    Locked {
        path: PathBuf,
    },
    /// It cannot be read any more.
    Corrupt(Damage),
    /// A newer program wrote it.
    NewerSchema {
        found: u32,
        known: u32,
    },
    /// A full disk, missing rights and the like.
    Io {
        path: PathBuf,
        source: io::Error,
    },
    /// An earlier error closed it; it is opened again when the disk allows.
    Unusable(StoreFailure),
    Sled(sled::Error),
    /// sled gave up in the middle of something.
    Broken(String),
    Record {
        tree: &'static str,
        key: String,
        source: serde_json::Error,
    },
    /// A record for `tree` cannot be written as JSON.
    Unwritable {
        tree: &'static str,
        source: serde_json::Error,
    },
    /// An export is of no use.
    Export(ExportFlaw),
    /// A VM has at most one open migration.
    InFlight {
        vm: VmId,
        entry: MigrationId,
    },
    NoSuchEntry(MigrationId),
    /// What has ended is history and is not written over.
    Closed(MigrationId),
    NoSuchProposal(ProposalId),
}

impl std::error::Error for StoreError {}

impl StoreError {
    /// Returns the failure as data, with the words of the operating system and of sled as quotations.
    #[must_use]
    pub fn failure(&self) -> StoreFailure {
        match self {
            Self::Locked { path } => StoreFailure::Locked { path: path.display().to_string() },
            Self::NewerSchema { found, known } => StoreFailure::Newer { found: *found, known: *known },
            Self::Corrupt(damage) => StoreFailure::Damaged(damage.clone()),
            Self::Broken(said) => StoreFailure::Damaged(Damage::Panicked(said.as_str().into())),
            Self::Record { tree, key, source } => StoreFailure::Damaged(Damage::Record {
                tree: (*tree).to_owned(),
                key: key.clone(),
                said: source.to_string().into(),
            }),
            Self::Sled(error) => match causes::chain(error).into() {
                said if self.is_damage() => StoreFailure::Damaged(Damage::Files(said)),
                said => StoreFailure::Disk(DiskFailure::Files(said)),
            },
            Self::Io { path, source } => StoreFailure::Disk(DiskFailure::File {
                path: path.display().to_string(),
                said: causes::chain(source).into(),
            }),
            Self::Unusable(earlier) => StoreFailure::Closed(Box::new(earlier.clone())),
            Self::Unwritable { tree, source } => StoreFailure::Unwritable(format!("{tree}: {source}").into()),
            Self::Export(flaw) => StoreFailure::Export(flaw.clone()),
            Self::InFlight { vm, entry: _ } => StoreFailure::InFlight { vm: *vm },
            Self::NoSuchEntry(entry) => StoreFailure::NoSuchEntry(*entry),
            Self::Closed(entry) => StoreFailure::EntryEnded(*entry),
            Self::NoSuchProposal(proposal) => StoreFailure::NoSuchProposal(*proposal),
        }
    }

    /// Returns how the files are damaged, if they are.
    pub(super) fn damage(&self) -> Option<Damage> {
        match self.failure() {
            StoreFailure::Damaged(damage) => Some(damage),
            _ => None,
        }
    }

    /// Tells whether the files themselves are damaged, so that only a restore helps.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt(_) | Self::Broken(_) | Self::Record { .. } => true,
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
            | Self::Unusable(_)
            | Self::Unwritable { .. }
            | Self::Export(_)
            | Self::InFlight { .. }
            | Self::NoSuchEntry(_)
            | Self::Closed(_)
            | Self::NoSuchProposal(_) => false,
        }
    }

    /// Tells whether the files could not be used, whatever was wanted of them.
    pub(super) fn is_of_the_files(&self) -> bool {
        self.is_damage() || matches!(self, Self::Sled(_) | Self::Io { .. } | Self::Unusable(_))
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
