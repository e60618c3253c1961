//! What several answers show of the platform: a measurement, a running migration, a pause, a name that is not known.

use chrono::{DateTime, TimeDelta, Utc};

use super::View;
use crate::{
    model::WhyUnmeasured,
    planner::{NodeOverview, NodeReading, Resource},
    store::{JournalEntry, JournalState, Pause},
    talk::{
        verbs::link,
        words::{
            args, escape,
            format::{INDENT, code, hung, name, packed, words},
        },
    },
};

impl View {
    /// When the platform was read, and how long ago that is.
    pub(in crate::talk) fn as_of(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        let age = self.lasting((now - at).max(TimeDelta::zero()));
        self.say("status-as-of", args![at = self.time(at, now), age = age])
    }

    pub(in crate::talk) fn pause_lines(&self, pause: &Pause, now: DateTime<Utc>) -> Vec<String> {
        let who = format!("{} ({})", name(&pause.by.name), pause.by.id);
        let until = pause.until.map(|until| self.say("until", args![until = self.time(until, now)]));
        let paused = self.say("status-paused", args![who = who]);
        let mut lines = hung(std::iter::once(paused).chain(until), " ");
        lines.extend(pause.reason.as_ref().map(|reason| format!("{INDENT}{}", escape(&words(reason)))));
        lines
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
                Some(self.say(
                    key,
                    args![what = self.reading(reading).join(", "), age = self.lasting(now - reading.at)],
                ))
            }
            None => (node.asked && node.known).then(|| match why {
                Some(why) => self.say("measured-never-why", args![why = self.why_unmeasured(why)]),
                None => self.say("measured-never", args![]),
            }),
        }
    }

    /// Load per core and memory really used.
    pub(in crate::talk) fn reading(&self, reading: &NodeReading) -> Vec<String> {
        let load = reading
            .load
            .map(|load| format!("{} {}", self.resource(Resource::Load), self.value(Resource::Load, load)));
        let memory = reading
            .memory_used_percent
            .map(|used| self.say("memory-really-used", args![percent = self.percent(used)]));
        load.into_iter().chain(memory).collect()
    }

    /// `▸ web-1 /vm_1000: kvm-01 → kvm-02`, since when, and of which plan.
    pub(in crate::talk) fn running_lines(&self, entry: &JournalEntry, now: DateTime<Utc>) -> Vec<String> {
        let since = match &entry.state {
            JournalState::Ordered { at, .. } => *at,
            JournalState::Intended | JournalState::Closed { .. } => entry.intended_at,
        };
        let vm = format!("▸ {} {}:", code(&name(&entry.vm_name)), link::vm(entry.vm));
        let nodes = format!("{} → {}", escape(&name(&entry.source_name)), escape(&name(&entry.target_name)));
        let (since, lasts) = (self.time(since, now), self.lasting(now - since));
        let since = self.say("running-since", args![since = since, lasts = lasts]);
        let plan = self.say("running-plan", args![plan = entry.proposal.to_string()]);
        hung([vm, nodes], " ").into_iter().chain(packed(INDENT, [since, plan], ", ")).collect()
    }
}
