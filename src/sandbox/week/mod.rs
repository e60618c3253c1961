//! Seven days of a cluster at speed, without servers: how would a rule have kept it?
//!
//! The life of the cluster (births, deaths, resizes, the day's curve, bursts, maintenance, migrations that fail) is the
//! same for every rule. Ours is the real policy and the real planner in a closed loop.

mod bound;
mod cluster;
mod rules;

use std::{collections::BTreeMap, fmt};

use chrono::TimeDelta;

pub use bound::Bound;
pub use rules::{Approval, Autopilot, Ours, Rule};

use crate::{
    model::{Snapshot, VmId},
    planner::Policy,
};
use cluster::Cluster;

/// Two migrations of one VM within this time are a ping-pong.
const PING_PONG: TimeDelta = TimeDelta::hours(6);

/// What begins within this time belongs to how the cluster was found.
const BEGINNING: TimeDelta = TimeDelta::hours(6);

/// What is played.
#[derive(Clone, Debug)]
pub struct Week {
    pub seed: u64,
    pub days: u32,
    /// How often a day each VM bursts.
    pub bursts: f64,
    pub start: Start,
}

/// How often a day each VM bursts in an ordinary cluster.
pub const BURSTS_A_DAY: f64 = 0.12;

/// How the cluster looks in the beginning.
#[derive(Clone, Debug)]
pub enum Start {
    Generated {
        nodes: usize,
        vms: usize,
    },
    /// The largest cluster of a snapshot.
    Snapshot(Box<Snapshot>),
}

/// How a rule kept the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Hours in which a node was over 70 % of its memory or its 5-minute load over its cores, of all nodes together.
    pub overload: f64,
    /// The part of it that is by memory.
    pub memory_overload: f64,
    /// The longest time that one node was overloaded, in hours.
    pub longest: f64,
    /// The same of what began after the first six hours: how the cluster was found is not in it.
    pub longest_later: f64,
    /// RAM moved.
    pub gib: f64,
    pub migrations: u32,
    pub failed: u32,
    /// Migrations of a VM that was moved less than six hours before.
    pub twice: u32,
    /// For each hour: how many nodes were overloaded on average, and the RAM moved so far in GiB.
    pub hours: Vec<(f64, f64)>,
}

impl Week {
    /// What nobody undercuts who moves so many VMs at a time, from how the cluster is found.
    #[must_use]
    pub fn bound(&self, lanes: u32) -> Bound {
        bound::of(&Cluster::new(self).look(0, 0), lanes)
    }

    /// Plays the week under one rule.
    #[must_use]
    pub fn play(&self, rule: &Rule) -> Outcome {
        self.play_watched(rule, &mut |_, _| {})
    }

    /// The same; each picture that our planner decides on is shown to somebody, with the policy of that moment.
    pub fn play_watched(&self, rule: &Rule, watch: &mut dyn FnMut(&Snapshot, &Policy)) -> Outcome {
        let mut cluster = Cluster::new(self);
        let mut hand = rules::Hand::new(rule, watch);
        let mut outcome = Outcome::default();
        let mut over_since: Vec<Option<u32>> = vec![None; cluster.nodes()];
        let mut moved: BTreeMap<VmId, u32> = BTreeMap::new();
        for minute in 0..self.days * 24 * 60 {
            cluster.live(minute);
            for ended in hand.act(&mut cluster, minute) {
                if !ended.arrived {
                    outcome.failed += 1;
                    continue;
                }
                outcome.migrations += 1;
                outcome.gib += ended.gib;
                let before = moved.insert(ended.vm, minute);
                outcome.twice += u32::from(
                    before.is_some_and(|before| i64::from(minute - before) < PING_PONG.num_minutes()),
                );
            }
            let mut over = 0;
            for (node, since) in over_since.iter_mut().enumerate() {
                let (memory, load) = cluster.is_over(node);
                outcome.memory_overload += f64::from(u8::from(memory)) / 60.0;
                if memory || load {
                    over += 1;
                    let began = *since.get_or_insert(minute);
                    let hours = f64::from(minute - began + 1) / 60.0;
                    outcome.longest = outcome.longest.max(hours);
                    if i64::from(began) >= BEGINNING.num_minutes() {
                        outcome.longest_later = outcome.longest_later.max(hours);
                    }
                } else {
                    *since = None;
                }
            }
            outcome.count(minute, over);
        }
        outcome
    }
}

impl Outcome {
    fn count(&mut self, minute: u32, over: u32) {
        if minute.is_multiple_of(60) {
            self.hours.push((0.0, 0.0));
        }
        let share = f64::from(over) / 60.0;
        self.overload += share;
        if let Some((overloaded, gib)) = self.hours.last_mut() {
            *overloaded += share;
            *gib = self.gib;
        }
    }
}

/// One line of the table.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { overload, memory_overload, longest, longest_later, .. } = self;
        let Self { gib, migrations, failed, twice, hours: _, .. } = self;
        write!(f, "{overload:>9.1} {memory_overload:>9.1} {longest:>8.2} {longest_later:>8.2}")?;
        write!(f, " {gib:>8.0} {migrations:>7} {failed:>7} {twice:>7}")
    }
}

/// The head of the table whose lines [`Outcome`] prints.
pub const HEAD: &str = " overload  of it by  longest  from 6h            migra-          twice\n\
                        \x20  node-h    memory        h     on, h      GiB   tions  failed   in 6 h";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::{Limits, Policy};

    const DAY: Week =
        Week { seed: 3, days: 1, bursts: BURSTS_A_DAY, start: Start::Generated { nodes: 12, vms: 300 } };

    #[test]
    fn a_day_is_the_same_each_time_and_our_rule_leaves_little_of_what_nothing_leaves() {
        let nothing = DAY.play(&Rule::Nothing);
        assert!(nothing.overload > 10.0 && nothing.gib == 0.0, "{nothing}");
        let rule = Rule::Ours(Box::new(Ours::by_defaults(Policy::default())));
        let ours = DAY.play(&rule);
        assert_eq!(ours, DAY.play(&rule));
        assert!(ours.overload < nothing.overload / 4.0, "{HEAD}\n{nothing}\n{ours}");
        assert!(ours.migrations > 0 && ours.twice == 0, "{ours}");
    }

    #[test]
    fn more_bursts_overload_nodes_by_load_where_few_do_not() {
        let by_load = |bursts| {
            let outcome = Week { bursts, ..DAY }.play(&Rule::Nothing);
            outcome.overload - outcome.memory_overload
        };
        assert!(by_load(BURSTS_A_DAY) < 0.1 && by_load(8.0) > 1.0);
    }

    #[test]
    fn a_standing_approval_for_the_night_needs_no_people_then() {
        let by_day = |autopilot| Ours {
            approval: Approval::People { minutes: 15, from: 9, to: 19 },
            autopilot,
            ..Ours::by_defaults(Policy::default())
        };
        let night = |minute: u32| !(8..22).contains(&(minute / 60 % 24));
        let autopilot = |migrations_max| {
            let limits = Limits { migrations_max, ..Limits::default() };
            Some(Autopilot { minutes: (0..7 * 24 * 60).map(night).collect(), limits })
        };
        let play = |autopilot| DAY.play(&Rule::Ours(Box::new(by_day(autopilot))));
        let (without, with) = (play(None), play(autopilot(None)));
        assert!(with.overload < without.overload / 1.2, "{HEAD}\n{without}\n{with}");
        assert_eq!(play(autopilot(Some(0))), without, "a limit of nothing covers nothing");
    }

    #[test]
    fn without_ssh_memory_is_kept_as_well_and_load_is_not_seen() {
        let ours = Ours::by_defaults(Policy::default());
        let with = DAY.play(&Rule::Ours(Box::new(ours.clone())));
        let without = DAY.play(&Rule::Ours(Box::new(ours.without_ssh())));
        assert!(without.memory_overload <= with.memory_overload * 1.2, "{HEAD}\n{with}\n{without}");
        assert!(without.migrations > 0 && without.twice == 0, "{without}");
    }

    #[test]
    fn the_python_tools_rule_moves_small_vms_and_needs_longer() {
        let python = DAY.play(&Rule::Python { migrations_max: 1, interval_min: 10 });
        let ours = DAY.play(&Rule::Ours(Box::new(Ours::by_defaults(Policy::default()))));
        assert!(python.migrations > 0 && python.overload > ours.overload, "{HEAD}\n{python}\n{ours}");
    }
}
