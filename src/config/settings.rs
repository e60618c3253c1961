//! From the configuration to each room's own settings.

use crate::planner::{Direction, Exclusion, ExclusionWhy, Policy, Selector};

use super::Config;

/// A measurement is fresh for two cycles at least this long: shorter intervals would only make SSH flap.
const MEASUREMENT_MAX_AGE_LEAST: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

impl Config {
    /// Returns what the planner obeys; cool-downs and exclusions of the chat are added from the store.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let planning = self.planner.clone();
        let excluded = |nodes: Vec<Selector>, direction| {
            nodes.into_iter().map(move |node| Exclusion {
                node,
                direction,
                until: None,
                why: ExclusionWhy::Configured,
            })
        };
        let two_cycles = chrono::TimeDelta::from_std(self.balance.interval * 2).unwrap_or_default();
        Policy {
            cpu: planning.cpu,
            load: planning.load,
            memory: planning.memory,
            memory_reserve_percent: planning.memory_reserve_percent,
            strategy: planning.strategy,
            migrations_max: planning.migrations_max,
            parallel_max: planning.parallel_max,
            clusters: planning.clusters,
            exclusions: excluded(planning.exclude_sources, Direction::Source)
                .chain(excluded(planning.exclude_targets, Direction::Target))
                .collect(),
            pinned: planning.pinned,
            anti_affinity: planning.anti_affinity,
            respect_balancer_mode: planning.respect_balancer_mode,
            resting: std::collections::BTreeMap::new(),
            measurement_max_age: two_cycles.max(MEASUREMENT_MAX_AGE_LEAST),
            load_readings: 1,
        }
    }
}
