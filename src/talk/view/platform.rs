//! What several answers show of the platform: a measurement, a running migration, a pause, a name that is not known.

use chrono::{DateTime, TimeDelta, Utc};

use super::View;
use crate::{
    model::WhyUnmeasured,
    planner::{NodeOverview, NodeReading, Resource},
    store::{JournalEntry, JournalState, Pause},
    talk::words::{
        Arg, args, escape,
        format::{name, words},
    },
};

impl View {
    /// When the platform was read, and how long ago that is.
    pub(in crate::talk) fn as_of(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        let age = self.lasting((now - at).max(TimeDelta::zero()));
        self.say("status-as-of", args![at = self.time(at, now), age = age])
    }

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
}
