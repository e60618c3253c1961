//! How many VMs each cluster is believed to have: what a picture that shrank is measured by, in any process.
//!
//! After a restore it is as old as the export: at worst a cluster that was emptied since is doubted for a minute.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::model::ClusterId;

/// The row in `meta`, beside those of the settings and the floors.
const ROW: u64 = 20;

/// What is believed of each cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmCounts {
    pub v: u32,
    pub clusters: BTreeMap<ClusterId, VmCount>,
}

/// How many VMs a cluster has, and how many it seems to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmCount {
    pub believed: usize,
    pub doubted: Option<Doubt>,
}

/// A picture that shrank and is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    pub vms: usize,
    /// How many reads agree.
    pub reads: u32,
    pub last_counted_at: DateTime<Utc>,
}

impl Store {
    /// Returns the believed numbers of each cluster; nothing before the first look.
    pub fn vm_counts(&self) -> Result<VmCounts, StoreError> {
        self.meta_record(ROW, "vm counts")
    }

    /// Keeps what is believed of each cluster; on disk when this returns.
    pub fn keep_vm_counts(&self, counts: &VmCounts) -> Result<(), StoreError> {
        self.write(|| {
            self.put_meta(ROW, &VmCounts { v: 1, clusters: counts.clusters.clone() })?;
            self.files()?.flush()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_believed_outlives_the_process_and_is_in_the_export() {
        let dir = tempfile::TempDir::new().unwrap();
        let doubted = Some(Doubt { vms: 100, reads: 2, last_counted_at: DateTime::UNIX_EPOCH });
        let clusters = BTreeMap::from([(ClusterId(7), VmCount { believed: 300, doubted })]);
        let counts = VmCounts { v: 1, clusters };
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.vm_counts().unwrap(), VmCounts::default());
        store.keep_vm_counts(&counts).unwrap();
        store.export(DateTime::UNIX_EPOCH).unwrap();
        drop(store);
        assert_eq!(Store::open(dir.path()).unwrap().vm_counts().unwrap(), counts);
        // An empty store where there was one before is damage.
        std::fs::remove_dir_all(dir.path().join("store")).unwrap();
        std::fs::create_dir(dir.path().join("store")).unwrap();
        let restored = Store::open_or_restore(dir.path(), DateTime::UNIX_EPOCH).unwrap();
        assert!(restored.settings().unwrap().restored_unconfirmed);
        assert_eq!(restored.vm_counts().unwrap(), counts);
    }
}
