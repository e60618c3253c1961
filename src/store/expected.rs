//! How long migrations are expected to take, by what the journal says of the last ones. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{JournalEntry, JournalState, Outcome, Step, StepState};
use crate::{
    model::{ClusterId, NodeId},
    planner::Migration,
};

/// How many past migrations an estimate needs; fewer may be chance.
const SAMPLES_MIN: usize = 3;

/// Older migrations say little of today's network.
const SAMPLES_MAX: usize = 20;

/// A running migration that takes longer than expected has this part of its time left, and not nothing.
const LEFT_MIN: f64 = 0.1;

/// How long each step of a plan is expected to take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// By the step's number.
    seconds: BTreeMap<u32, i64>,
    /// How many may run at one time.
    parallel: usize,
}

impl Expected {
    /// Computes it from the cluster's history, newest first: by pair of nodes where that is known, else by what left
    /// the source or came to the target, else by the cluster; `None` where too little is known.
    #[must_use]
    pub fn from_history(
        cluster: ClusterId,
        migrations: &[Migration],
        history: &[JournalEntry],
        parallel: usize,
    ) -> Option<Self> {
        let of_cluster: Vec<_> =
            history.iter().filter(|entry| entry.cluster == cluster).filter_map(rate).collect();
        let rate_of = |source: NodeId, target: NodeId| {
            let of_pair = of_cluster.iter().filter(|rate| (rate.source, rate.target) == (source, target));
            // Two nodes have seldom had enough between them: what left the one or came to the other says more than all do.
            let of_either = of_cluster.iter().filter(|rate| rate.source == source || rate.target == target);
            median(of_pair.map(|rate| rate.gib_per_minute))
                .or_else(|| median(of_either.map(|rate| rate.gib_per_minute)))
                .or_else(|| median(of_cluster.iter().map(|rate| rate.gib_per_minute)))
        };
        let seconds = |migration: &Migration| {
            let rate = rate_of(migration.source, migration.target)?;
            let seconds = (migration.ram.gib() / rate * 60.0).ceil() as i64;
            Some((migration.step, seconds.max(1)))
        };
        let seconds: Option<BTreeMap<_, _>> = migrations.iter().map(seconds).collect();
        seconds
            .filter(|seconds| !seconds.is_empty())
            .map(|seconds| Self { seconds, parallel: parallel.max(1) })
    }

    /// Returns how long it takes from now on until all these steps have ended.
    #[must_use]
    pub fn time_left(&self, steps: &[Step], now: DateTime<Utc>) -> TimeDelta {
        // Each migration under way, with its nodes and its end in seconds from now.
        let mut running: Vec<([NodeId; 2], i64)> = Vec::new();
        let mut waiting: Vec<([NodeId; 2], i64)> = Vec::new();
        for step in steps {
            let takes = self.seconds.get(&step.migration.step).copied().unwrap_or(0);
            let nodes = [step.migration.source, step.migration.target];
            match step.state {
                StepState::Waiting => waiting.push((nodes, takes)),
                StepState::Running { since, .. } => {
                    let least = (takes as f64 * LEFT_MIN).ceil() as i64;
                    running.push((nodes, (takes - (now - since).num_seconds()).max(least)));
                }
                StepState::LeftOut { .. } | StepState::Ended { .. } => {}
            }
        }
        let mut at = 0;
        loop {
            running.retain(|(_, end)| *end > at);
            let mut index = 0;
            while index < waiting.len() && running.len() < self.parallel {
                let is_taken = |node: &NodeId| running.iter().any(|(nodes, _)| nodes.contains(node));
                if waiting[index].0.iter().any(is_taken) {
                    index += 1;
                } else {
                    let (nodes, takes) = waiting.remove(index);
                    running.push((nodes, at + takes.max(1)));
                }
            }
            match running.iter().map(|(_, end)| *end).min() {
                Some(end) => at = end,
                None => return TimeDelta::seconds(at),
            }
        }
    }
}

/// How fast one migration was.
struct Rate {
    source: NodeId,
    target: NodeId,
    gib_per_minute: f64,
}

fn rate(entry: &JournalEntry) -> Option<Rate> {
    let JournalState::Closed { outcome: Outcome::Done, at, .. } = &entry.state else { return None };
    let minutes = (*at - entry.intended_at).num_seconds().max(1) as f64 / 60.0;
    let gib_per_minute = entry.ram.gib() / minutes;
    (gib_per_minute > 0.0).then_some(Rate { source: entry.source, target: entry.target, gib_per_minute })
}

/// The median of the first ones; `None` where they are too few.
fn median(rates: impl Iterator<Item = f64>) -> Option<f64> {
    let mut rates: Vec<_> = rates.take(SAMPLES_MAX).collect();
    if rates.len() < SAMPLES_MIN {
        return None;
    }
    rates.sort_by(f64::total_cmp);
    Some(rates[rates.len() / 2])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pair_of_nodes_counts_by_itself_and_others_by_one_of_the_two_or_by_the_cluster() {
        // Three migrations between 10 and 11 at 8 GiB a minute, three elsewhere at 2.
        let history: Vec<_> =
            (0..3).map(|_| entry(10, 11, 60)).chain((0..3).map(|_| entry(12, 13, 240))).collect();
        let migrations = [migration(1, 10, 11), migration(2, 12, 14)];
        let expected = Expected::from_history(ClusterId(1), &migrations, &history, 1).unwrap();
        assert_eq!(expected.seconds, [(1, 60), (2, 240)].into(), "three left node 12");
        let elsewhere = [migration(1, 11, 12), migration(2, 14, 15)];
        let expected = Expected::from_history(ClusterId(1), &elsewhere, &history, 1).unwrap();
        assert_eq!(expected.seconds, [(1, 60), (2, 60)].into(), "the cluster's median is the upper of both");
        let into = [migration(1, 14, 13)];
        let expected = Expected::from_history(ClusterId(1), &into, &history, 1).unwrap();
        assert_eq!(expected.seconds, [(1, 240)].into(), "three came to node 13");
        assert_eq!(Expected::from_history(ClusterId(1), &migrations, &history[..2], 1), None);
        assert_eq!(Expected::from_history(ClusterId(2), &migrations, &history, 1), None);
    }

    #[test]
    fn steps_that_share_no_node_run_side_by_side() {
        let history: Vec<_> = (0..3).map(|_| entry(10, 11, 60)).collect();
        let migrations = [migration(1, 10, 11), migration(2, 10, 12), migration(3, 13, 14)];
        let now = DateTime::UNIX_EPOCH;
        let left = |parallel, states: [StepState; 3]| {
            let expected = Expected::from_history(ClusterId(1), &migrations, &history, parallel).unwrap();
            let step = |(migration, state): (&Migration, StepState)| Step {
                migration: migration.clone(),
                journal: None,
                task: None,
                given_up: None,
                state,
            };
            let steps: Vec<_> = migrations.iter().zip(states).map(step).collect();
            expected.time_left(&steps, now).num_seconds()
        };
        let waiting = || StepState::Waiting;
        let running = |ago| StepState::Running { since: now - TimeDelta::seconds(ago), slow: false };
        let ended = || StepState::Ended { outcome: Outcome::Done, detail: None, at: now };
        assert_eq!(left(1, [waiting(), waiting(), waiting()]), 180);
        assert_eq!(left(2, [waiting(), waiting(), waiting()]), 120, "1 and 3 together, then 2");
        assert_eq!(left(2, [running(20), waiting(), ended()]), 100);
        assert_eq!(left(2, [running(600), ended(), ended()]), 6, "it is not over yet");
        assert_eq!(left(2, [ended(), ended(), ended()]), 0);
    }

    fn entry(source: u64, target: u64, seconds: i64) -> JournalEntry {
        let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let entry = json!({
            "v": 1, "id": 1, "proposal": 1, "plan": "aa", "cluster": 1, "cluster_name": "msk", "vm": 7,
            "vm_name": "web", "source": source, "source_name": "a", "target": target, "target_name": "b",
            "vcpus": 1, "ram": 8192, "why": "drain", "approver": "auto", "history_before": null,
            "intended_at": DateTime::UNIX_EPOCH,
            "state": {"is": "closed", "outcome": "done", "detail": null, "at": at, "ordered": true},
        });
        serde_json::from_value(entry).unwrap()
    }

    fn migration(step: u32, source: u64, target: u64) -> Migration {
        let full = json!({"cpu": 1.0, "load": null, "memory_percent": 50.0});
        let change = json!({"before": full, "after": full});
        let migration = json!({
            "step": step, "wave": step, "vm": step, "vm_name": "web", "source": source, "source_name": "a",
            "target": target, "target_name": "b", "vcpus": 1, "ram": 8192, "disk": null, "why": "drain",
            "runner_up": null, "source_state": change, "target_state": change,
        });
        serde_json::from_value(migration).unwrap()
    }
}
