//! Ids and quantities as types of their own, so that a VM is never taken for a node.

use std::{fmt, iter::Sum, ops};

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// VMmanager's number of a cluster.
    ClusterId
);
id!(
    /// VMmanager's number of a node, the physical machine.
    NodeId
);
id!(
    /// VMmanager's number of a VM, which its API calls a host.
    VmId
);

/// An amount of memory in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mib(pub u64);

impl Mib {
    /// Returns the amount in GiB.
    #[must_use]
    pub fn gib(self) -> f64 {
        self.0 as f64 / 1024.0
    }

    /// Returns the difference, or zero where `other` is larger.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns what percentage of `whole` this is; 0 of nothing is 0, something of nothing is infinite.
    #[must_use]
    pub fn percent_of(self, whole: Self) -> f64 {
        match (self.0, whole.0) {
            (0, 0) => 0.0,
            (part, whole) => part as f64 * 100.0 / whole as f64,
        }
    }
}

impl fmt::Display for Mib {
    /// Writes GiB with at most one decimal, as people in a chat read it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            mib if mib % 1024 == 0 => write!(f, "{} GiB", mib / 1024),
            mib if mib < 1024 => write!(f, "{mib} MiB"),
            _ => write!(f, "{:.1} GiB", self.gib()),
        }
    }
}

impl ops::Add for Mib {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl ops::AddAssign for Mib {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Mib {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), ops::Add::add)
    }
}

id!(
    /// The store's number of a proposal: a plan with its approval and its progress.
    ProposalId
);
id!(
    /// The store's number of one migration in the journal.
    MigrationId
);
