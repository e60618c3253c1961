//! What happened, as data, for people and for the log.
//!
//! Whoever does something says so here and does not know who listens. The truth is in the store:
//! an event only says where to look, so a listener that missed some reads the store again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::model::{ClusterId, NodeId, ProposalId, VmId};

/// Something that listeners may want to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A proposal was made, approved, went on or ended: its record in the store has changed.
    Proposal(ProposalId),
    /// Something an operator must know, apart from any proposal.
    Alert(Alert),
}

/// Something an operator must know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alert {
    /// VMmanager cannot be used; said once, until it is back.
    VmManagerAway { since: DateTime<Utc>, why: String },
    /// VMmanager answers again.
    VmManagerBack { since: DateTime<Utc>, until: DateTime<Utc> },
    /// A picture of a cluster lost half of its VMs from one read to the next; not acted on yet.
    PictureShrank { cluster: ClusterId, vms_before: usize, vms_after: usize },
    /// Somebody else moves VMs.
    ForeignMigration { task: u64, cluster: Option<ClusterId>, vm: Option<VmId> },
    /// Too many migrations onto or off this node failed: it is left out until then.
    NodeTakenOut { cluster: ClusterId, node: NodeId, name: String, failures: u32, until: DateTime<Utc> },
    /// Too many migrations in this cluster failed: automatic runs stop until `/resume`.
    ClusterStopped { cluster: ClusterId, name: String, failures: u32 },
    /// An SSH host key is not the one that is known.
    HostKeyChanged {
        node: NodeId,
        name: String,
        /// Empty for a key that is revoked.
        expected: String,
        found: String,
        /// Where the known keys stand; for a revoked key, where it is revoked.
        #[serde(default)]
        at: Vec<KeptKey>,
    },
    /// The store was damaged and was restored from the last export.
    StoreRestored { exported_at: Option<DateTime<Utc>>, moved_to: String },
    /// The store cannot be written, e.g. because the disk is full: nothing is ordered until it can.
    StoreTrouble { since: DateTime<Utc>, why: String },
    /// A second program reads the updates of the same bot.
    SecondPoller { since: DateTime<Utc> },
}

/// Where an SSH host key stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptKey {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// How the file calls the host.
    pub host: String,
    /// Learned by this bot; else it is the operator's own known hosts.
    pub learned: bool,
}

impl Alert {
    /// Returns what makes two alerts the same matter: the newest of them replaces the older.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::VmManagerAway { .. } | Self::VmManagerBack { .. } => "vmmanager".into(),
            Self::PictureShrank { cluster, .. } => format!("shrank-{cluster}"),
            Self::ForeignMigration { task, .. } => format!("foreign-{task}"),
            Self::NodeTakenOut { node, .. } => format!("node-out-{node}"),
            Self::ClusterStopped { cluster, .. } => format!("cluster-stopped-{cluster}"),
            Self::HostKeyChanged { node, .. } => format!("host-key-{node}"),
            Self::StoreRestored { .. } => "restored".into(),
            Self::StoreTrouble { .. } => "store".into(),
            Self::SecondPoller { .. } => "second-poller".into(),
        }
    }
}

/// Where events are said; cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Events {
    /// Listeners that fall further behind than this read the store instead.
    const BACKLOG_MAX: usize = 256;

    /// A channel that nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self(broadcast::channel(Self::BACKLOG_MAX).0)
    }

    /// Says it to whoever listens.
    pub fn say(&self, event: Event) {
        // Nobody listening is fine: balancing goes on without a chat.
        let _ = self.0.send(event);
    }

    /// Starts listening.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}
