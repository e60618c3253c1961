//! What a node runs besides QEMU, as far as live migrations depend on it: kernel, operating system, faults.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};

/// A kernel version as a node reports it, e.g. `5.14.0-362.18.1.el9_3.x86_64` or `6.1.0-18-amd64`.
///
/// Compared by all its numbers up to the first word that is none, so that builds of one release differ.
///
/// ```
/// use vm_balancer::model::KernelVersion;
///
/// let old = KernelVersion::new("5.14.0-362.el9.x86_64");
/// let new = KernelVersion::new("5.14.0-427.el9.x86_64");
/// assert!(new.is_newer_than(&old) && !old.is_newer_than(&new));
/// assert!(!KernelVersion::new("custom").is_newer_than(&old));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelVersion(String);

impl KernelVersion {
    /// Takes the text as the server gave it.
    pub fn new(raw: impl Into<String>) -> Self {
        Self(raw.into())
    }

    /// Tells whether this version is certainly newer than `other`; unknown versions never are.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.numbers(), other.numbers());
        let longest = mine.len().max(theirs.len());
        let at = |parts: &[u64], i: usize| parts.get(i).copied().unwrap_or(0);
        let order = (0..longest).map(|i| at(&mine, i).cmp(&at(&theirs, i))).find(|order| order.is_ne());
        !mine.is_empty() && !theirs.is_empty() && order == Some(Ordering::Greater)
    }

    fn numbers(&self) -> Vec<u64> {
        let from = self.0.find(|c: char| c.is_ascii_digit()).unwrap_or(self.0.len());
        let words = self.0[from..].split(['.', '-', '_', '+', '~']);
        words.map_while(|word| word.parse().ok()).collect()
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A family of operating systems. VMmanager does not support clusters with nodes of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OsFamily {
    /// Red Hat Enterprise Linux and its kin, e.g. AlmaLinux, CentOS, Rocky Linux.
    RedHat,
    /// Debian and its kin, e.g. Ubuntu, Astra Linux.
    Debian,
}

impl OsFamily {
    /// Finds the family of an operating system by its name, e.g. `AlmaLinux 9.3`; `None` where it is not known.
    ///
    /// ```
    /// use vm_balancer::model::OsFamily;
    ///
    /// assert_eq!(OsFamily::of("AlmaLinux 9.3"), Some(OsFamily::RedHat));
    /// assert_eq!(OsFamily::of("Ubuntu 22.04"), Some(OsFamily::Debian));
    /// assert_eq!(OsFamily::of("Gentoo"), None);
    /// ```
    #[must_use]
    pub fn of(os_version: &str) -> Option<Self> {
        const RED_HAT: [&str; 11] = [
            "alma",
            "centos",
            "rocky",
            "red hat",
            "redhat",
            "rhel",
            "oracle",
            "cloudlinux",
            "fedora",
            "vzlinux",
            "red os",
        ];
        const DEBIAN: [&str; 3] = ["debian", "ubuntu", "astra"];
        let name = os_version.to_lowercase();
        let is_one_of = |words: &[&str]| words.iter().any(|word| name.contains(word));
        match (is_one_of(&RED_HAT), is_one_of(&DEBIAN)) {
            (true, false) => Some(Self::RedHat),
            (false, true) => Some(Self::Debian),
            _ => None,
        }
    }
}

/// A fault that VMmanager reports of a node: no VM is moved there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeFault {
    /// `libvirt_error` says something.
    Libvirt,
    /// `ha_error` says something.
    Ha,
    /// `bird_error` or `frr_error` says something: VMs may lose their network there.
    Routing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_by_their_numbers() {
        let newer = |a: &str, b: &str| KernelVersion::new(a).is_newer_than(&KernelVersion::new(b));
        for (new, old) in [
            ("6.1.0-18-amd64", "6.1.0-13-amd64"),
            ("5.14.0-362.18.1.el9_3.x86_64", "5.14.0-362.8.1.el9_3.x86_64"),
            ("5.15.0-91-generic", "5.4.0-200-generic"),
            ("6.8.12-4-pve", "6.8.12-pve"),
        ] {
            assert!(newer(new, old) && !newer(old, new), "{new} and {old}");
        }
        for (one, other) in
            [("5.14.0-362.el9.x86_64", "5.14.0-362.el9_3.x86_64"), ("", "5.14.0"), ("custom", "5.14.0")]
        {
            assert!(!newer(one, other) && !newer(other, one), "{one} and {other}");
        }
    }
}
