//! What the operator allows and wants.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{ClusterId, NodeId, VmId, find};

/// Everything the planner obeys besides the snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Allocated vCPU per core.
    pub cpu: Threshold,
    /// Measured load per core over 5 minutes; stands in for `cpu` on a node with a fresh measurement.
    pub load: Threshold,
    /// Percent of the node's memory allocated.
    pub memory: Threshold,
    /// Percent of each node's memory that no move fills.
    pub memory_reserve_percent: f64,
    /// How far below its thresholds relief takes a node that is over them.
    #[serde(default)]
    pub relief_margin: Margin,
    /// Whether targets may be filled beyond their target thresholds where a node would stay overloaded otherwise.
    #[serde(default)]
    pub soft_targets: bool,
    /// How far below its memory threshold a node is near it, in percent of its memory: where others are relieved, or
    /// nobody has to approve, it is taken below that in advance. 0 relieves nothing in advance.
    #[serde(default)]
    pub relief_ahead: f64,
    /// Off a node that is over by load alone a VM is moved only where it takes off at least this part of the node's
    /// cores for each unit that it costs.
    #[serde(default)]
    pub relief_worth: f64,
    /// How much the planner does.
    pub strategy: Strategy,
    /// With `level`: the imbalance at which evening out last came to rest, by cluster. It begins again only well above
    /// that, and ends at the knee. `None` evens out at any imbalance and to the end.
    #[serde(default)]
    pub settled: Option<BTreeMap<ClusterId, f64>>,
    /// The most migrations per cluster and plan.
    pub migrations_max: usize,
    /// Whose consent a plan needs.
    #[serde(default)]
    pub consent: Consent,
    /// How many migrations of a cluster may run at one time; never two that share a node.
    pub parallel_max: usize,
    /// Clusters to plan for; `None` for all.
    pub clusters: Option<BTreeSet<ClusterId>>,
    /// Nodes that are closed as source, as target or both: from the configuration and from the chat.
    pub exclusions: Vec<Exclusion>,
    /// VMs that are never moved.
    pub pinned: Vec<Selector>,
    /// VMs whose names match one group must not share a node.
    pub anti_affinity: Vec<AntiAffinity>,
    /// Whether a VM with `balancer_mode` `off` stays where it is.
    pub respect_balancer_mode: bool,
    /// Moves to a node whose kernel is newer than the source's.
    #[serde(default)]
    pub newer_kernel: Lenience,
    /// Moves of VMs with the CPU mode `host-passthrough`.
    #[serde(default)]
    pub host_passthrough: Lenience,
    /// VMs that rest after a migration or after a failure.
    pub resting: BTreeMap<VmId, Rest>,
    /// VMs that do not rest after a move: this plan is one that moves them on, or back.
    #[serde(default)]
    pub despite_rest: BTreeSet<VmId>,
    /// Nodes that are to be emptied soon: they are targets only where nothing else helps, for what they take moves twice.
    #[serde(default)]
    pub emptied_soon: BTreeSet<NodeId>,
    /// Targets that VMmanager declined for a VM a while ago.
    #[serde(default)]
    pub declined: BTreeMap<VmId, BTreeSet<NodeId>>,
    /// Migrations that ended a short while ago: measured load does not show all of them yet.
    #[serde(default)]
    pub recent_moves: Vec<RecentMove>,
    /// A measurement older than this counts as none.
    pub measurement_max_age: TimeDelta,
    /// How many readings running must be over the load threshold: 2 in the bot, 1 for a single look.
    pub load_readings: u32,
    /// Nodes that are over their memory threshold by a hair and not for long: their memory counts as no overload yet.
    #[serde(default)]
    pub memory_brims: BTreeSet<NodeId>,
    /// Whether nodes are asked to measure themselves: then one without a fresh measurement is worth a note.
    #[serde(default)]
    pub nodes_are_asked: bool,
}

impl Default for Policy {
    /// The defaults of the configuration.
    fn default() -> Self {
        Self {
            cpu: Threshold { overload: 7.0, target: 6.0 },
            load: Threshold { overload: 1.0, target: 0.8 },
            memory: Threshold { overload: 70.0, target: 80.0 },
            memory_reserve_percent: 0.0,
            // As a simulated week chose them; the table is in docs/PLANNER.md. Relief in advance is for who asks for it.
            relief_margin: Margin { memory: 0.0, load: 0.10 },
            soft_targets: true,
            relief_ahead: 0.0,
            relief_worth: 0.003,
            strategy: Strategy::Relieve,
            settled: None,
            migrations_max: 10,
            consent: Consent::OnePlan,
            parallel_max: 2,
            clusters: None,
            exclusions: Vec::new(),
            pinned: Vec::new(),
            anti_affinity: Vec::new(),
            respect_balancer_mode: true,
            newer_kernel: Lenience::Avoid,
            host_passthrough: Lenience::Avoid,
            resting: BTreeMap::new(),
            despite_rest: BTreeSet::new(),
            emptied_soon: BTreeSet::new(),
            declined: BTreeMap::new(),
            recent_moves: Vec::new(),
            measurement_max_age: TimeDelta::seconds(1200),
            load_readings: 1,
            memory_brims: BTreeSet::new(),
            nodes_are_asked: false,
        }
    }
}

impl Policy {
    /// Returns until when a VM is left alone, and why.
    #[must_use]
    pub fn rest_of(&self, vm: VmId, now: DateTime<Utc>) -> Option<&Rest> {
        let is_lifted = |rest: &Rest| rest.why == RestWhy::Moved && self.despite_rest.contains(&vm);
        self.resting.get(&vm).filter(|rest| rest.until > now && !is_lifted(rest))
    }

    /// Returns until when a VM would be left alone if this plan did not move it all the same.
    pub(super) fn rest_lifted(&self, vm: VmId, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let rest = self.resting.get(&vm).filter(|rest| rest.until > now && rest.why == RestWhy::Moved)?;
        self.despite_rest.contains(&vm).then_some(rest.until)
    }

    /// The same with these nodes closed as targets.
    pub(super) fn sparing<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeId>) -> Self {
        let close = |node: &NodeId| Exclusion {
            node: Selector(find::by_id(node.0)),
            direction: Direction::Target,
            until: None,
            why: ExclusionWhy::Configured,
        };
        let mut sparing = self.clone();
        sparing.exclusions.extend(nodes.into_iter().map(close));
        sparing
    }

    /// Tells whether what the limit leaves over in a cluster is planned and carried out as soon as the plan has ended,
    /// without people. Then a plan that reaches the limit is the beginning of the whole relief where that way nodes are
    /// overloaded for a shorter time until the end of all.
    #[must_use]
    pub fn goes_on(&self, cluster: ClusterId) -> bool {
        match &self.consent {
            Consent::OnePlan => false,
            Consent::NotNeeded => true,
            Consent::People { but_for, ending: _ } => holds(but_for, cluster),
        }
    }

    /// Tells whether nodes near their memory thresholds are relieved in advance, by a plan that relieves others or does
    /// not. People are not asked for that alone, but what they approve anyway covers it. A standing approval does it
    /// before it ends: a migration that fails ends it, and then little is left to lose.
    pub(super) fn relieves_ahead(&self, cluster: ClusterId, is_relief: bool) -> bool {
        match &self.consent {
            Consent::OnePlan => false,
            Consent::NotNeeded => true,
            Consent::People { but_for, ending } => match holds(but_for, cluster) {
                true => holds(ending, cluster),
                false => is_relief,
            },
        }
    }

    /// Tells whether a measurement of that moment still counts.
    pub(super) fn is_fresh(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        now - at <= self.measurement_max_age
    }
}

/// When a node counts as overloaded, and how far a target may be filled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Strictly above this the node is overloaded.
    pub overload: f64,
    /// A move fills a target up to this at most, and never above `overload`.
    pub target: f64,
}

impl Threshold {
    /// Returns how far a target may be filled: a move never makes a node overloaded.
    #[must_use]
    pub fn ceiling(&self) -> f64 {
        self.target.min(self.overload)
    }

    /// Returns how far a target may be filled where a node would stay overloaded otherwise.
    #[must_use]
    pub fn soft_ceiling(&self) -> f64 {
        match self.target < self.overload {
            true => self.target.max(SOFT_PART * self.overload),
            false => self.overload,
        }
    }

    /// Returns up to where a resource is far from its threshold of overload: below that it forbids no relief of another.
    #[must_use]
    pub fn far_ceiling(&self) -> f64 {
        self.ceiling().max(FAR_PART * self.overload)
    }

    /// The same with the threshold of overload lowered, by half of it at most.
    #[must_use]
    pub(super) fn with_lower_thresholds(&self, margin: f64) -> Self {
        Self { overload: (self.overload - margin).max(self.overload / 2.0), ..*self }
    }
}

/// What is left below the threshold of overload on a softly filled target: a load swings by a few percent by itself.
const SOFT_PART: f64 = 0.95;

/// Below this part of its threshold of overload a resource does not forbid the relief of another one. It leaves room for
/// the swing of a load, twice that of a softly filled target, because nobody asked for soft targets here.
const FAR_PART: f64 = 0.9;

/// How far below its thresholds a node is taken, so that it is not back in the next cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Margin {
    /// Percent of the node's memory.
    pub memory: f64,
    /// Load per core.
    pub load: f64,
}

fn holds(clusters: &Option<BTreeSet<ClusterId>>, cluster: ClusterId) -> bool {
    clusters.as_ref().is_none_or(|these| these.contains(&cluster))
}

/// Whose consent a plan needs before it is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// It is a plan for itself, as on the command line: no other follows by itself.
    #[default]
    OnePlan,
    /// Nobody's.
    NotNeeded,
    /// People approve each plan.
    People {
        /// The clusters in which a standing approval covers relief; `None` for all.
        but_for: Option<BTreeSet<ClusterId>>,
        /// Those of them in which it ends soon, and people are asked again; `None` for all.
        ending: Option<BTreeSet<ClusterId>>,
    },
}

/// How much the planner does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Only bring overloaded nodes under their thresholds.
    #[default]
    Relieve,
    /// Then also even out.
    Level,
}

/// Whether moves are made that may go wrong on some nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lenience {
    /// Only where nothing else helps, and the plan says so.
    #[default]
    Avoid,
    /// They are never made.
    Forbid,
    /// They are made as any other, without a caution in the plan.
    Allow,
}

/// A node that is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// Names the node, by id, name or pattern.
    pub node: Selector,
    /// The role in which it is closed.
    pub direction: Direction,
    /// When it opens again; `None` for not by itself. The planner compares with `taken_at`.
    pub until: Option<DateTime<Utc>>,
    /// Where it comes from.
    pub why: ExclusionWhy,
}

/// Where an exclusion comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionWhy {
    /// The configuration.
    Configured,
    /// Somebody said `/exclude`.
    Chat {
        /// Who said it.
        by: crate::model::Person,
        /// When it was said (UTC).
        at: DateTime<Utc>,
    },
    /// Too many migrations onto it or off it failed.
    Failures {
        /// How many migrations failed.
        count: u32,
    },
    /// VMmanager declined it as a target for this many VMs.
    Declined {
        /// How many VMs it was declined for.
        vms: u32,
    },
}

/// In which role a node is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// VMs are not moved off it.
    Source,
    /// VMs are not moved onto it.
    Target,
    /// VMs are moved neither off it nor onto it.
    Both,
}

/// A name, a pattern or an id, as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Selector(pub String);

impl Selector {
    /// Tells whether this names the node or VM of that id and name.
    #[must_use]
    pub fn matches(&self, id: u64, name: &str) -> bool {
        find::names(&self.0, id, name)
    }

    /// Tells whether this names that node.
    #[must_use]
    pub fn is_node(&self, id: NodeId, name: &str) -> bool {
        self.matches(id.0, name)
    }
}

/// One group of VMs by names, patterns and ids: no two of them may share a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AntiAffinity(pub Vec<String>);

impl AntiAffinity {
    /// Tells whether the VM of that id and name belongs to the group.
    #[must_use]
    pub fn matches(&self, id: VmId, name: &str) -> bool {
        self.0.iter().any(|member| find::names(member, id.0, name))
    }
}

/// Why and until when a VM is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// When it may be moved again (UTC).
    pub until: DateTime<Utc>,
    /// What it rests from.
    pub why: RestWhy,
}

/// A migration of ours that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentMove {
    /// The VM that was moved.
    pub vm: VmId,
    /// The node that it left.
    pub source: NodeId,
    /// The node that it was sent to.
    pub target: NodeId,
    /// When the migration ended (UTC).
    pub ended: DateTime<Utc>,
}

/// What a VM rests from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestWhy {
    /// It was moved.
    Moved,
    /// Its migration failed.
    Failed,
    /// Its migration failed, and the one before it did too.
    FailedAgain,
    /// Somebody moved it back, more than once.
    PulledBack,
    /// VMmanager was busy with it.
    Busy,
    /// Its migration is under way, or nobody knows yet how it ended.
    InFlight,
}
