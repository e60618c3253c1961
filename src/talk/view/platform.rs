//! What several answers show of the platform: a measurement, a running migration, a pause, a name that is not known.

use chrono::{DateTime, Utc};

use super::{Page, View};
use crate::{
    model::{ClusterId, NodeId, Snapshot, VmId, WhyUnmeasured},
    planner::{NodeOverview, NodeReading, Resource},
    store::{JournalEntry, JournalState, Pause},
    talk::words::{
        Arg, args, escape,
        format::{name, names, words},
    },
};

impl View {
    pub(in crate::talk) fn pause_line(&self, pause: &Pause, now: DateTime<Utc>) -> String {
        let who = format!("{} ({})", name(&pause.by.name), pause.by.id);
        let mut line = match pause.until {
            Some(until) => self.say("status-paused-until", args![who = who, until = self.time(until, now)]),
            None => self.say("status-paused", args![who = who]),
        };
        if let Some(reason) = &pause.reason {
            line.push_str(&format!(": {}", escape(&words(reason))));
        }
        line
    }

    /// What a node measured and how long ago, for a line of a list; `None` where nobody asks nodes.
    pub(in crate::talk) fn measured_briefly(
        &self,
        node: &NodeOverview,
        why: Option<WhyUnmeasured>,
        now: DateTime<Utc>,
    ) -> Option<String> {
        match &node.measured {
            Some(reading) => {
                let key = if reading.fresh { "measured-briefly" } else { "measured-briefly-old" };
                Some(self.say(key, args![what = self.reading(reading), age = self.lasting(now - reading.at)]))
            }
            None => (node.asked && node.known).then(|| match why {
                Some(why) => self.say("measured-never-why", args![why = self.why_unmeasured(why)]),
                None => self.say("measured-never", args![]),
            }),
        }
    }

    pub(in crate::talk) fn why_unmeasured(&self, why: WhyUnmeasured) -> String {
        let key = match why {
            WhyUnmeasured::Refused => "unmeasured-refused",
            WhyUnmeasured::Unreachable => "unmeasured-unreachable",
            WhyUnmeasured::Silent => "unmeasured-silent",
            WhyUnmeasured::HostKeyUnknown => "unmeasured-host-key-unknown",
            WhyUnmeasured::HostKeyChanged => "unmeasured-host-key-changed",
            WhyUnmeasured::HostKeyRevoked => "unmeasured-host-key-revoked",
            WhyUnmeasured::HostKeyUnchecked => "unmeasured-host-key-unchecked",
            WhyUnmeasured::Handshake => "unmeasured-handshake",
            WhyUnmeasured::Login => "unmeasured-login",
            WhyUnmeasured::Lost => "unmeasured-lost",
            WhyUnmeasured::Command => "unmeasured-command",
            WhyUnmeasured::Unreadable => "unmeasured-unreadable",
        };
        self.say(key, args![])
    }

    /// Load per core and memory really used.
    pub(in crate::talk) fn reading(&self, reading: &NodeReading) -> String {
        let load = reading
            .load
            .map(|load| format!("{} {}", self.resource(Resource::Load), self.value(Resource::Load, load)));
        let memory = reading
            .memory_used_percent
            .map(|used| self.say("memory-really-used", args![percent = self.percent(used)]));
        load.into_iter().chain(memory).collect::<Vec<_>>().join(", ")
    }

    pub(in crate::talk) fn running_line(&self, entry: &JournalEntry, now: DateTime<Utc>) -> String {
        let since = match &entry.state {
            JournalState::Ordered { at, .. } => *at,
            JournalState::Intended | JournalState::Closed { .. } => entry.intended_at,
        };
        self.say(
            "running-line",
            args![
                vm = Arg::Html(self.vm(&entry.vm_name, entry.vm)),
                source = name(&entry.source_name),
                target = name(&entry.target_name),
                since = self.time(since, now),
                lasts = self.lasting(now - since),
                plan = entry.proposal.to_string(),
            ],
        )
    }

    /// Returns that there is no such VM or node, with names that are like it.
    pub(in crate::talk) fn no_such(&self, found: &str, similar: &[String]) -> Page {
        let sorry = self.say("no-such", args![found = name(found)]);
        let line = if similar.is_empty() {
            sorry
        } else {
            let similar = names(similar.iter().map(String::as_str));
            format!("{sorry} {}", self.say("did-you-mean", args![similar = similar]))
        };
        self.page(vec![line])
    }

    /// Returns that several VMs or nodes have that name, with their ids.
    pub(in crate::talk) fn ambiguous(&self, found: &str, ids: &[u64]) -> Page {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let ids = names(ids.iter().map(String::as_str));
        self.page(vec![self.say("refused-ambiguous", args![found = name(found), ids = ids])])
    }
}

/// A VM or a node that somebody named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<Id> {
    One(Id),
    Several(Vec<u64>),
    None { similar: Vec<String> },
}

/// Finds a node by name or id.
pub(crate) fn find_node(snapshot: &Snapshot, named: &str) -> Found<NodeId> {
    find(named, snapshot.nodes.iter().map(|node| (node.id.0, node.name.as_str())), NodeId)
}

/// Finds a VM by name or id.
pub(crate) fn find_vm(snapshot: &Snapshot, named: &str) -> Found<VmId> {
    find(named, snapshot.vms.iter().map(|vm| (vm.id.0, vm.name.as_str())), VmId)
}

/// Finds a cluster by name or id.
pub(crate) fn find_cluster(snapshot: &Snapshot, named: &str) -> Found<ClusterId> {
    find(named, snapshot.clusters.iter().map(|c| (c.id.0, c.name.as_str())), ClusterId)
}

/// The id wins over the name, the exact name over one in other letters.
fn find<'a, Id>(
    named: &str,
    all: impl Iterator<Item = (u64, &'a str)> + Clone,
    id: impl Fn(u64) -> Id,
) -> Found<Id> {
    let by_id = named.parse::<u64>().ok();
    if let Some((found, _)) = all.clone().find(|(known, _)| Some(*known) == by_id) {
        return Found::One(id(found));
    }
    let exact: Vec<_> = all.clone().filter(|(_, name)| *name == named).map(|(id, _)| id).collect();
    let folded = named.to_lowercase();
    let loose = || all.clone().filter(|(_, name)| name.to_lowercase() == folded).map(|(id, _)| id).collect();
    let found: Vec<u64> = if exact.is_empty() { loose() } else { exact };
    match found[..] {
        [one] => Found::One(id(one)),
        [] => Found::None { similar: similar(&folded, all.map(|(_, name)| name)) },
        _ => Found::Several(found),
    }
}

fn similar<'a>(named: &str, all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut likely: Vec<_> = all
        .map(|name| (strsim::jaro_winkler(named, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    likely.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    likely.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}
