//! What happened, as data.
//!
//! The rooms that do something send events and do not know who listens. An event only says which record of the
//! store has changed, so a listener that missed some reads the store again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::model::{ApiFailure, ClusterId, NodeId, ProposalId, StoreFailure, VmId};

/// A change that listeners may want to report.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The record of a proposal in the store has changed.
    Proposal(ProposalId),
    /// Something an operator must know that belongs to no proposal.
    Alert(Alert),
}

/// Something an operator must know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alert {
    /// VMmanager cannot be used. Sent once for each outage.
    VmManagerAway {
        /// When it was found out (UTC).
        since: DateTime<Utc>,
        /// The first failure.
        why: ApiFailure,
    },
    /// VMmanager answers again.
    VmManagerBack {
        /// When the outage was found out (UTC).
        since: DateTime<Utc>,
        /// When VMmanager answered again (UTC).
        until: DateTime<Utc>,
    },
    /// Half of a cluster's VMs vanished from one read to the next, so nothing is done there until more reads agree.
    PictureShrank {
        /// VMmanager's number of the cluster.
        cluster: ClusterId,
        /// VMs in the last picture that is believed.
        vms_before: usize,
        /// VMs in the one that is not.
        vms_after: usize,
    },
    /// A migration runs that this bot did not order.
    ForeignMigration {
        /// VMmanager's number of the task.
        task: u64,
        /// VMmanager's number of the cluster; `None` where it is unknown.
        cluster: Option<ClusterId>,
        /// VMmanager's number of the VM; `None` where the task does not tell.
        vm: Option<VmId>,
    },
    /// Somebody moved a VM back each time after this bot had moved it, so it is left alone until then.
    PulledBack {
        /// VMmanager's number of the VM.
        vm: VmId,
        /// The VM's name.
        name: String,
        /// The node that it comes back to.
        node: String,
        /// How many moves were taken back.
        times: u32,
        /// Who did it last, by the history of the VM.
        by: Option<String>,
        /// The end of its rest (UTC).
        until: DateTime<Utc>,
    },
    /// Too many migrations to or from this node failed, so plans leave it out until then.
    NodeTakenOut {
        /// VMmanager's number of the cluster.
        cluster: ClusterId,
        /// VMmanager's number of the node.
        node: NodeId,
        /// The node's name.
        name: String,
        /// How many migrations failed.
        failures: u32,
        /// When plans take it in again (UTC).
        until: DateTime<Utc>,
    },
    /// Too many of the last migrations in this cluster failed, so automatic runs stop until then or `/resume`.
    ClusterStopped {
        /// VMmanager's number of the cluster.
        cluster: ClusterId,
        /// The cluster's name.
        name: String,
        /// How many migrations failed.
        failures: u32,
        /// Alerts of older programs do not say.
        #[serde(default)]
        until: Option<DateTime<Utc>>,
    },
    /// The stop of a cluster's automatic runs has ended by itself.
    ClusterResumed {
        /// VMmanager's number of the cluster.
        cluster: ClusterId,
        /// The cluster's name.
        name: String,
    },
    /// An SSH host key is not the one that is known.
    HostKeyChanged {
        /// VMmanager's number of the node.
        node: NodeId,
        /// The node's name.
        name: String,
        /// Empty for a key that is revoked.
        expected: String,
        /// The fingerprint of the key that the node showed.
        found: String,
        /// The lines with the known keys; for a revoked key, the lines that revoke it.
        #[serde(default)]
        at: Vec<KeptKey>,
    },
    /// The store was damaged and was restored from the last export.
    StoreRestored {
        /// When that export was made (UTC); `None` where there was none, and the store began anew.
        exported_at: Option<DateTime<Utc>>,
        /// The folder where the damaged files are.
        moved_to: String,
        /// How many later writes are missing at least; `None` where nothing tells.
        #[serde(default)]
        writes_lost: Option<u64>,
        /// What is known of the switches that the chat sets.
        #[serde(default)]
        switches: KnownSwitches,
    },
    /// The clock of this machine jumped by minutes or more; `before` is what it should have shown.
    ClockJumped {
        /// What it should have shown (UTC).
        before: DateTime<Utc>,
        /// What it shows (UTC).
        after: DateTime<Utc>,
    },
    /// The store cannot be written, e.g. because the disk is full. Nothing is ordered until it can.
    StoreTrouble {
        /// When it was found out (UTC).
        since: DateTime<Utc>,
        /// The first failure.
        why: StoreFailure,
    },
    /// Another program reads the updates of the same bot.
    SecondPoller {
        /// When it was found out (UTC).
        since: DateTime<Utc>,
    },
}

/// What is known after a restore of what the chat had changed: dry run, mode, pause, exclusions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownSwitches {
    /// All of it.
    Known,
    /// What changed after the export is not known.
    #[default]
    AsExported,
    /// There was no export either: nothing is known of it.
    Unknown,
}

/// A line of a known hosts file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptKey {
    /// The file of known hosts.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// The host's name in the file.
    pub host: String,
    /// Whether this bot wrote the line; otherwise the file is the operator's own.
    pub learned: bool,
}

impl Alert {
    /// Returns the key of the matter: a newer alert with the same key replaces the older one.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::VmManagerAway { .. } | Self::VmManagerBack { .. } => "vmmanager".into(),
            Self::PictureShrank { cluster, .. } => format!("shrank-{cluster}"),
            Self::ForeignMigration { cluster, .. } => {
                let cluster = cluster.map_or_else(|| "any".to_owned(), |cluster| cluster.to_string());
                format!("foreign-{cluster}")
            }
            Self::PulledBack { vm, .. } => format!("pulled-{vm}"),
            Self::NodeTakenOut { node, .. } => format!("node-out-{node}"),
            Self::ClusterStopped { cluster, .. } | Self::ClusterResumed { cluster, .. } => {
                format!("cluster-stopped-{cluster}")
            }
            Self::HostKeyChanged { node, .. } => format!("host-key-{node}"),
            Self::StoreRestored { .. } => "restored".into(),
            Self::ClockJumped { .. } => "clock".into(),
            Self::StoreTrouble { .. } => "store".into(),
            Self::SecondPoller { .. } => "second-poller".into(),
        }
    }
}

/// The channel of events; cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Events {
    /// A listener that falls further behind misses events, and then reads the store.
    const BACKLOG_MAX: usize = 256;

    /// A channel without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self(broadcast::channel(Self::BACKLOG_MAX).0)
    }

    /// Sends an event to every listener.
    pub fn say(&self, event: Event) {
        // It fails where nobody listens, which is fine: balancing goes on without a chat.
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
