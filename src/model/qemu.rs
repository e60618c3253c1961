//! QEMU versions and their order.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};

/// A QEMU version as a node reports it, e.g. `7.2.0`, `6.2.0-11.module_el8` or `1:7.2+dfsg-7`.
///
/// Compared by its first dotted number behind an optional epoch, numerically by component;
/// missing components count as zero.
///
/// ```
/// use vm_balancer::model::QemuVersion;
///
/// let debian = QemuVersion::new("1:7.2+dfsg-7");
/// let alma = QemuVersion::new("7.10.0-1.el9");
/// assert!(debian.is_older_than(&alma));
/// assert!(!QemuVersion::new("6.2").is_older_than(&QemuVersion::new("6.2.0")));
/// assert!(!QemuVersion::new("unknown").is_older_than(&alma));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QemuVersion(String);

impl QemuVersion {
    /// Takes the text as the server gave it.
    pub fn new(raw: impl Into<String>) -> Self {
        Self(raw.into())
    }

    /// Tells whether this version is certainly older than `other`; unknown versions never are.
    #[must_use]
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.compare(other) == Some(Ordering::Less)
    }

    /// Compares two versions; `None` where one of them has no number in it.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        let (mine, theirs) = (self.components()?, other.components()?);
        let longest = mine.len().max(theirs.len());
        let at = |parts: &[u64], i: usize| parts.get(i).copied().unwrap_or(0);
        Some(
            (0..longest)
                .map(|i| at(&mine, i).cmp(&at(&theirs, i)))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal),
        )
    }

    fn components(&self) -> Option<Vec<u64>> {
        let behind_epoch = match self.0.split_once(':') {
            Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => rest,
            _ => &self.0,
        };
        let start = behind_epoch.find(|c: char| c.is_ascii_digit())?;
        let number = behind_epoch[start..].split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        number.split('.').filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
    }
}

impl fmt::Display for QemuVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
