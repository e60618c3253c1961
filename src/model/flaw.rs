//! What is wrong with a picture of a cluster, so that it must not be acted on.

use serde::{Deserialize, Serialize};

use super::{ApiFailure, NodeId, Quote, VmId};

/// Something missing or odd in a picture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// A list has fewer rows than VMmanager promised.
    ShortList {
        /// The list.
        list: List,
        /// Rows that came.
        rows: u64,
        /// Rows that VMmanager said there are.
        promised: u64,
    },
    /// Rows without what must be known of them.
    UnreadableRows {
        /// The list.
        list: List,
        /// How many rows.
        rows: u64,
        /// Where the first of them stands, from 1; 0 in the records of older versions.
        #[serde(default)]
        first: u64,
        /// What is wrong with the first of them.
        #[serde(default)]
        shape: RowShape,
    },
    /// Rows that came twice. Odd, but nothing is missing.
    DoubledRows {
        /// The list.
        list: List,
        /// How many rows came again.
        rows: u64,
    },
    /// Fields of a row that cannot be read. The row stays out of every plan; nothing else does.
    DamagedRow {
        /// The list.
        list: List,
        /// VMmanager's number of the cluster, node or VM.
        id: u64,
        /// The names of the fields, with commas.
        fields: Quote,
    },
    /// VMmanager does not give its task list, so nobody knows which migrations run.
    TasksRefused(ApiFailure),
    /// The cluster has nodes but is not in the cluster list.
    UnlistedCluster,
    /// The row of this node names no cluster.
    NodeWithoutCluster {
        /// VMmanager's number of the node.
        node: NodeId,
    },
    /// VMs on no known node.
    VmsWithoutNode {
        /// How many VMs.
        vms: u64,
        /// One of them.
        example: VmId,
    },
    /// Half of the VMs vanished from one read to the next.
    Shrank {
        /// VMs in the last picture that is believed.
        before: u64,
        /// VMs in the one that is not.
        after: u64,
    },
    /// The planner made a plan that breaks one of its own rules.
    BrokenPlan {
        /// How many rules it breaks.
        violations: u64,
    },
    /// The words of a snapshot file, or of an older version.
    #[serde(untagged)]
    Other(Quote),
}

/// What a row is that cannot be read; never what stands in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowShape {
    /// An object without an id that can be used.
    #[default]
    NoId,
    /// No object that can be read.
    NoObject,
}

/// A list that VMmanager gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// The clusters.
    Clusters,
    /// The nodes.
    Nodes,
    /// The VMs, which the API calls hosts.
    Vms,
    /// The tasks that run.
    Tasks,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_older_file_are_read() {
        let read: Vec<Flaw> =
            serde_json::from_str(r#"["the vm list has 150 of 300 rows", "unlisted_cluster"]"#).unwrap();
        assert_eq!(read, [Flaw::Other("the vm list has 150 of 300 rows".into()), Flaw::UnlistedCluster]);
        let rows =
            serde_json::from_str::<Flaw>(r#"{"unreadable_rows": {"list": "vms", "rows": 2}}"#).unwrap();
        let shape = RowShape::NoId;
        assert_eq!(rows, Flaw::UnreadableRows { list: List::Vms, rows: 2, first: 0, shape });
        let flaw = Flaw::ShortList { list: List::Vms, rows: 150, promised: 300 };
        let written = serde_json::to_string(&flaw).unwrap();
        assert_eq!(serde_json::from_str::<Flaw>(&written).unwrap(), flaw);
    }
}
