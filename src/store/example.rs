//! An order as tests and benches put it into the journal.

use chrono::{DateTime, Utc};

use super::{Approver, JournalEntry, JournalState, Motive};
use crate::{
    model::{ClusterId, HistoryBefore, Mib, MigrationId, NodeId, ProposalId, VmId},
    planner::PlanId,
};

impl JournalEntry {
    /// An order for tests and benches.
    #[doc(hidden)]
    #[must_use]
    pub fn example(vm: u64, intended_at: DateTime<Utc>) -> Self {
        Self {
            v: 1,
            id: MigrationId(0),
            state: JournalState::Intended,
            proposal: ProposalId(1),
            plan: PlanId("abc".into()),
            cluster: ClusterId(1),
            cluster_name: "msk".into(),
            vm: VmId(vm),
            vm_name: format!("vm-{vm}"),
            source: NodeId(10),
            source_name: "node-010".into(),
            target: NodeId(21),
            target_name: "node-021".into(),
            vcpus: 4,
            ram: Mib(8192),
            why: Motive::Text("memory 83.1 % > 70 %".into()),
            approver: Approver::Auto,
            history_before: HistoryBefore::UpTo(7004),
            intended_at,
        }
    }
}
