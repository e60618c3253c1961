//! A standing approval: within its limits cycles carry out relief without asking. What it covers is decided here.

use std::collections::VecDeque;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{
    plan::{Caution, ClusterPlan, Migration, MoveWhy, Resource},
    policy::{Direction, Exclusion, ExclusionWhy, Lenience, Policy, Selector, Strategy},
};
use crate::model::{ClusterId, Mib, find};

/// How far a standing approval goes. A limit that is `None` does not bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How many migrations it lets begin, all plans together.
    pub migrations_max: Option<u32>,
    /// How much RAM its migrations move, all plans together.
    pub ram_max: Option<Mib>,
    /// Only relief of this resource. `Load` stands for CPU too: it is what CPU is where nodes measure it.
    pub only: Option<Resource>,
    /// Only plans of this cluster.
    pub cluster: Option<ClusterId>,
}

/// For so long before a standing approval ends nodes are relieved in advance: a failed migration ends it, and the later it
/// does, the less waits for people. In simulated weeks two hours left less than one, and at worst far
/// less than the whole night.
pub const BEFORE_PEOPLE: TimeDelta = TimeDelta::hours(2);

/// What the plans of a standing approval took of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// How many migrations they had.
    pub migrations: u32,
    /// The memory of the VMs that they moved, summed, in MiB.
    pub ram: Mib,
}

/// Why a plan is beyond a standing approval: people are asked as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The plan is of another cluster than the approval.
    OtherCluster,
    /// A VM leaves a node that is not over by the resource that the approval names.
    OtherResource,
    /// It does more than relieve: it evens out, empties a node, or relieves in advance what limits are kept for.
    NotRelief,
    /// A step takes a risk that people must agree to.
    NeedsOk,
    /// With it there would be more migrations than the approval allows.
    Migrations,
    /// With it more memory would be moved than the approval allows.
    Ram,
    /// Nothing is left of the plan within the limits.
    Nothing,
}

/// Why a text is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotALimit {
    /// What was written, as it was written.
    pub found: String,
    /// What could stand there.
    pub expected: &'static [&'static str],
}

const AMOUNTS: &[&str] = &["5", "64GiB"];
const RESOURCES: &[&str] = &["memory", "load"];

impl Limits {
    /// Takes one limit from the front of the words, such as `max 5 migrations`, `64 GiB` or `only memory`; false where
    /// the first word begins none.
    ///
    /// # Errors
    ///
    /// Returns what was found in place of a number or a resource.
    pub fn take(&mut self, words: &mut VecDeque<String>) -> Result<bool, NotALimit> {
        let Some(first) = words.front().map(|word| word.to_lowercase()) else { return Ok(false) };
        match first.as_str() {
            "max" | "макс" => {
                words.pop_front();
                match self.take_amount(words) {
                    true => Ok(true),
                    false => Err(missing(words, AMOUNTS)),
                }
            }
            "only" | "только" => {
                words.pop_front();
                let resource = words.front().map(|word| word.to_lowercase());
                self.only = match resource.as_deref() {
                    Some("memory" | "память") => Some(Resource::Memory),
                    Some("load" | "cpu" | "нагрузка" | "нагрузку") => Some(Resource::Load),
                    _ => return Err(missing(words, RESOURCES)),
                };
                words.pop_front();
                Ok(true)
            }
            _ => Ok(self.take_amount(words)),
        }
    }

    /// Takes `5`, `5 migrations`, `64GiB` or `64 GiB`.
    fn take_amount(&mut self, words: &mut VecDeque<String>) -> bool {
        let Some(first) = words.front().map(|word| word.to_lowercase()) else { return false };
        let digits = first.find(|c: char| !c.is_ascii_digit()).unwrap_or(first.len());
        let (number, unit) = first.split_at(digits);
        let next = words.get(1).map(|word| word.to_lowercase());
        let (is_ram, takes) = match (unit, next.as_deref()) {
            ("", Some(next)) if is_gib(next) => (true, 2),
            ("", Some(next)) if is_migrations(next) => (false, 2),
            ("", _) => (false, 1),
            (unit, _) if is_gib(unit) => (true, 1),
            _ => return false,
        };
        match is_ram {
            true => {
                let Some(mib) = number.parse::<u64>().ok().and_then(|gib| gib.checked_mul(1024)) else {
                    return false;
                };
                self.ram_max = Some(Mib(mib));
            }
            false => {
                let Ok(count) = number.parse() else { return false };
                self.migrations_max = Some(count);
            }
        }
        words.drain(..takes);
        true
    }

    /// Returns what of a cluster's plan may be carried out: the plan itself where it is within the limits, else one
    /// that `plan_under` makes under a narrower policy.
    ///
    /// # Errors
    ///
    /// Returns why nothing of it may.
    pub fn narrow(
        &self,
        plan: &ClusterPlan,
        used: Used,
        policy: &Policy,
        mut plan_under: impl FnMut(&Policy) -> Option<ClusterPlan>,
    ) -> Result<ClusterPlan, Beyond> {
        let mut beyond = match self.covers(plan, plan, used) {
            Ok(()) => return Ok(plan.clone()),
            Err(beyond @ Beyond::OtherCluster) => return Err(beyond),
            Err(beyond) => beyond,
        };
        let mut steps_max = plan.migrations.len().min(self.fitting(&plan.migrations, used));
        // Each round plans at least one step less.
        while steps_max > 0 {
            let Some(narrower) = plan_under(&self.policy(plan, policy, steps_max)) else {
                return Err(beyond);
            };
            beyond = match self.covers(&narrower, plan, used) {
                Ok(()) => return Ok(narrower),
                Err(beyond) => beyond,
            };
            let steps = narrower.migrations.len().min(steps_max);
            steps_max = self.fitting(&narrower.migrations, used).min(steps.saturating_sub(1));
        }
        Err(beyond)
    }

    /// Tells whether a plan is within the limits. `whole` is the plan for all resources, by whose list of overloaded
    /// nodes a migration's purpose is known.
    fn covers(&self, plan: &ClusterPlan, whole: &ClusterPlan, used: Used) -> Result<(), Beyond> {
        let Self { migrations_max, ram_max, only, cluster } = self;
        if cluster.is_some_and(|cluster| cluster != plan.cluster) {
            return Err(Beyond::OtherCluster);
        }
        if plan.migrations.is_empty() {
            return Err(Beyond::Nothing);
        }
        let is_over = |migration: &Migration, resource| {
            whole.overloaded.iter().any(|over| {
                over.node == migration.source
                    && over.over.iter().any(|excess| is_alike(excess.resource, resource))
            })
        };
        for migration in &plan.migrations {
            match migration.why {
                MoveWhy::Relieve(_) => {}
                MoveWhy::Ahead(_) if self.covers_ahead() => continue,
                MoveWhy::MakeRoom { .. } => continue,
                MoveWhy::Ahead(_) | MoveWhy::Level { .. } | MoveWhy::Drain | MoveWhy::Undo { .. } => {
                    return Err(Beyond::NotRelief);
                }
            }
            if only.is_some_and(|only| !is_over(migration, only)) {
                return Err(Beyond::OtherResource);
            }
        }
        if plan.migrations.iter().flat_map(|migration| &migration.cautions).any(needs_ok) {
            return Err(Beyond::NeedsOk);
        }
        let steps = u32::try_from(plan.migrations.len()).unwrap_or(u32::MAX);
        if migrations_max.is_some_and(|most| used.migrations.saturating_add(steps) > most) {
            return Err(Beyond::Migrations);
        }
        let ram: u64 = plan.migrations.iter().map(|migration| migration.ram.0).sum();
        if ram_max.is_some_and(|most| used.ram.0.saturating_add(ram) > most.0) {
            return Err(Beyond::Ram);
        }
        Ok(())
    }

    /// Tells whether nodes near their memory thresholds may be relieved in advance: what is counted is kept for those that
    /// are over.
    fn covers_ahead(&self) -> bool {
        self.migrations_max.is_none() && self.ram_max.is_none() && self.only != Some(Resource::Load)
    }

    /// Returns how many of the first steps are within the limits of count and RAM.
    fn fitting(&self, migrations: &[Migration], used: Used) -> usize {
        let left = self.migrations_max.map_or(u32::MAX, |most| most.saturating_sub(used.migrations));
        let mut ram = self.ram_max.map_or(u64::MAX, |most| most.0.saturating_sub(used.ram.0));
        let takes = |migration: &&Migration| match ram.checked_sub(migration.ram.0) {
            Some(rest) => {
                ram = rest;
                true
            }
            None => false,
        };
        let count = migrations.iter().take_while(takes).count();
        count.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// The policy of a plan within the limits: relief, no risks, and nothing off nodes that want for another resource.
    fn policy(&self, whole: &ClusterPlan, base: &Policy, steps_max: usize) -> Policy {
        let others = whole.overloaded.iter().filter(|over| {
            self.only.is_some_and(|only| !over.over.iter().any(|excess| is_alike(excess.resource, only)))
        });
        let closed = others.map(|over| Exclusion {
            node: Selector(find::by_id(over.node.0)),
            direction: Direction::Source,
            until: None,
            why: ExclusionWhy::Configured,
        });
        let unasked = |lenience| match lenience {
            Lenience::Avoid | Lenience::Forbid => Lenience::Forbid,
            Lenience::Allow => Lenience::Allow,
        };
        Policy {
            strategy: Strategy::Relieve,
            relief_ahead: if self.covers_ahead() { base.relief_ahead } else { 0.0 },
            newer_kernel: unasked(base.newer_kernel),
            host_passthrough: unasked(base.host_passthrough),
            migrations_max: base.migrations_max.min(steps_max),
            clusters: Some([whole.cluster].into()),
            exclusions: base.exclusions.iter().cloned().chain(closed).collect(),
            ..base.clone()
        }
    }

    /// Tells whether nothing more can begin.
    #[must_use]
    pub fn is_used_up(&self, used: Used) -> bool {
        self.migrations_max.is_some_and(|most| used.migrations >= most)
            || self.ram_max.is_some_and(|most| used.ram >= most)
    }
}

/// Tells whether people must agree to a risk. A target that is filled further is no risk to a VM.
fn needs_ok(caution: &Caution) -> bool {
    match caution {
        Caution::NewerKernel { .. } | Caution::HostPassthrough { .. } | Caution::MovedLately { .. } => true,
        Caution::SoftTarget { .. } => false,
    }
}

fn is_alike(one: Resource, other: Resource) -> bool {
    (one == Resource::Memory) == (other == Resource::Memory)
}

fn is_gib(word: &str) -> bool {
    matches!(word, "gib" | "gb" | "g" | "гиб" | "гб" | "г")
}

fn is_migrations(word: &str) -> bool {
    matches!(word, "migration" | "migrations" | "moves") || word.starts_with("миграци")
}

fn missing(words: &VecDeque<String>, expected: &'static [&'static str]) -> NotALimit {
    NotALimit { found: words.front().cloned().unwrap_or_default(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{NodeId, Snapshot},
        planner,
    };

    #[test]
    fn limits_are_read_in_every_form_and_a_slip_is_named() {
        let limits = |migrations_max, gib: Option<u64>, only| Limits {
            migrations_max,
            ram_max: gib.map(|gib| Mib(gib * 1024)),
            only,
            cluster: None,
        };
        for (text, expected, rest) in [
            (
                "max 5 migrations max 64 GiB only memory",
                limits(Some(5), Some(64), Some(Resource::Memory)),
                "",
            ),
            ("max 5 64GiB", limits(Some(5), Some(64), None), ""),
            ("макс 5 миграций 64 ГиБ только нагрузка", limits(Some(5), Some(64), Some(Resource::Load)), ""),
            ("max 0 msk", limits(Some(0), None, None), "msk"),
            ("only CPU msk 5", limits(None, None, Some(Resource::Load)), "msk 5"),
            ("8h max 5", Limits::default(), "8h max 5"),
            ("", Limits::default(), ""),
        ] {
            let (read, left) = read(text).unwrap();
            assert_eq!((&read, left.as_str()), (&expected, rest), "{text}");
        }
        for (text, found, expected) in [
            ("max five", "five", AMOUNTS),
            ("max", "", AMOUNTS),
            ("only disk", "disk", RESOURCES),
            ("max 99999999999999999999", "99999999999999999999", AMOUNTS),
        ] {
            assert_eq!(read(text), Err(NotALimit { found: found.into(), expected }), "{text}");
        }
    }

    #[test]
    fn only_relief_within_every_limit_is_covered() {
        let plan = planned(&[("node-1", 50)], 10);
        assert!(plan.migrations.len() >= 2, "{:?}", plan.migrations);
        let steps = u32::try_from(plan.migrations.len()).unwrap();
        let ram = Mib(plan.migrations.iter().map(|migration| migration.ram.0).sum());
        let covers = |limits: Limits, plan: &ClusterPlan, migrations, ram| {
            limits.covers(plan, plan, Used { migrations, ram })
        };
        let none = Limits::default;
        let of = |only| Limits { only: Some(only), ..none() };
        let exact = Limits { migrations_max: Some(steps), ram_max: Some(ram), ..none() };
        assert_eq!(covers(exact.clone(), &plan, 0, Mib(0)), Ok(()));
        assert_eq!(covers(exact.clone(), &plan, 1, Mib(0)), Err(Beyond::Migrations));
        assert_eq!(covers(exact, &plan, 0, Mib(1)), Err(Beyond::Ram));
        assert_eq!(covers(of(Resource::Memory), &plan, 0, Mib(0)), Ok(()));
        assert_eq!(covers(of(Resource::Load), &plan, 0, Mib(0)), Err(Beyond::OtherResource));
        let other = Limits { cluster: Some(ClusterId(2)), ..none() };
        assert_eq!(covers(other, &plan, 0, Mib(0)), Err(Beyond::OtherCluster));
        let with = |change: &dyn Fn(&mut Migration)| {
            let mut plan = plan.clone();
            change(&mut plan.migrations[0]);
            covers(none(), &plan, 0, Mib(0))
        };
        assert_eq!(with(&|step| step.why = MoveWhy::Drain), Err(Beyond::NotRelief));
        let level = MoveWhy::Level { imbalance_before: 0.2, imbalance_after: 0.1 };
        assert_eq!(with(&|step| step.why = level.clone()), Err(Beyond::NotRelief));
        let caution = Caution::HostPassthrough { same_cpu: false };
        assert_eq!(with(&|step| step.cautions = vec![caution.clone()]), Err(Beyond::NeedsOk));
        // Limits are kept for nodes that are over.
        let ahead = |limits: Limits| {
            let mut plan = plan.clone();
            plan.migrations.iter_mut().for_each(|step| {
                let MoveWhy::Relieve(excess) = step.why else { return };
                step.why = MoveWhy::Ahead(excess);
            });
            covers(limits, &plan, 0, Mib(0))
        };
        assert_eq!([ahead(none()), ahead(of(Resource::Memory))], [Ok(()); 2]);
        assert_eq!(ahead(of(Resource::Load)), Err(Beyond::NotRelief));
        assert_eq!(ahead(Limits { migrations_max: Some(100), ..none() }), Err(Beyond::NotRelief));
        assert_eq!(ahead(Limits { ram_max: Some(Mib(1 << 30)), ..none() }), Err(Beyond::NotRelief));
        let soft = Caution::SoftTarget { resource: Resource::Memory };
        assert_eq!(with(&|step| step.cautions = vec![soft.clone()]), Ok(()));
    }

    #[test]
    fn a_plan_that_is_too_long_is_planned_anew_with_what_is_left() {
        let snapshot = world(&[("node-1", 50)], &[]);
        let policy = Policy::default();
        let whole = planner::plan(&snapshot, &policy).clusters.remove(0);
        let narrowed = |limits: &Limits, used| {
            limits.narrow(&whole, used, &policy, |policy| planner::plan(&snapshot, policy).clusters.pop())
        };
        let one = Limits { migrations_max: Some(3), ..Limits::default() };
        let used = Used { migrations: 2, ram: Mib(0) };
        let plan = narrowed(&one, used).unwrap();
        assert_eq!(plan.migrations.len(), 1);
        assert!(plan.after.memory_percent_max > whole.after.memory_percent_max, "its figures are its own");
        let gib = Limits { ram_max: Some(Mib(5 * 1024)), ..Limits::default() };
        let plan = narrowed(&gib, Used::default()).unwrap();
        assert!(
            plan.migrations.iter().map(|step| step.ram.0).sum::<u64>() <= 5 * 1024,
            "{:?}",
            plan.migrations
        );
        assert_eq!(narrowed(&one, Used { migrations: 3, ram: Mib(0) }), Err(Beyond::Migrations));
        let little = Limits { ram_max: Some(Mib(1024)), ..Limits::default() };
        assert_eq!(narrowed(&little, Used::default()), Err(Beyond::Ram));
    }

    #[test]
    fn of_a_plan_for_two_resources_only_the_wanted_one_is_relieved() {
        let snapshot = world(&[("node-1", 50)], &["node-2"]);
        let policy = Policy::default();
        let whole = planner::plan(&snapshot, &policy).clusters.remove(0);
        let sources = |plan: &ClusterPlan| -> Vec<_> {
            let mut all: Vec<_> = plan.migrations.iter().map(|step| step.source).collect();
            all.dedup();
            all
        };
        assert_eq!(whole.overloaded.len(), 2, "{:?}", whole.overloaded);
        let only = |only| {
            let limits = Limits { only: Some(only), ..Limits::default() };
            let plan = |policy: &Policy| planner::plan(&snapshot, policy).clusters.pop();
            limits.narrow(&whole, Used::default(), &policy, plan).map(|plan| sources(&plan))
        };
        assert_eq!(only(Resource::Memory), Ok(vec![NodeId(1)]));
        assert_eq!(only(Resource::Load), Ok(vec![NodeId(2)]));
    }

    fn read(text: &str) -> Result<(Limits, String), NotALimit> {
        let mut limits = Limits::default();
        let mut words: VecDeque<_> = text.split_whitespace().map(str::to_owned).collect();
        while limits.take(&mut words)? {}
        Ok((limits, Vec::from(words).join(" ")))
    }

    fn planned(full: &[(&str, u64)], migrations_max: usize) -> ClusterPlan {
        let policy = Policy { migrations_max, ..Policy::default() };
        planner::plan(&world(full, &[]), &policy).clusters.remove(0)
    }

    /// Four nodes of 64 GiB; each `full` one has that many GiB in VMs of 5 GiB, each `busy` one is over by CPU.
    fn world(full: &[(&str, u64)], busy: &[&str]) -> Snapshot {
        let (mut nodes, mut vms) = (Vec::new(), Vec::new());
        for id in 1..=4u64 {
            let name = format!("node-{id}");
            let gib = full.iter().find(|(full, _)| *full == name).map_or(0, |(_, gib)| *gib);
            let is_busy = busy.contains(&name.as_str());
            let (count, cores, memory) = if is_busy { (15, 8, 256) } else { (gib / 5, 1, 5120) };
            for vm in 0..count {
                vms.push(serde_json::json!({
                    "id": id * 100 + vm, "name": format!("vm-{id}-{vm}"), "node": id, "cpu_cores": cores,
                    "memory_mib": memory, "state": "active", "blocked_by": [],
                }));
            }
            nodes.push(serde_json::json!({
                "id": id, "name": name, "cluster": 1, "cpu_total": 16, "cpu_used": count * cores,
                "memory_total_mib": 65_536, "memory_used_mib": count * memory, "vm_count": count,
            }));
        }
        let world = serde_json::json!({
            "version": 1, "taken_at": "2026-11-23T20:15:00Z", "clusters": [{"id": 1, "name": "msk"}],
            "nodes": nodes, "vms": vms,
        });
        Snapshot::from_json(&world.to_string()).unwrap()
    }
}
