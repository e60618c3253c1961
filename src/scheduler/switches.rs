//! What people may switch: on disk before the answer.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Change, Changed, Refused, Setting, Settings, Tuning, Unsettable, sight::Sight};
use crate::{
    balancer::VmBalancer,
    live::Live,
    model::{ClusterId, NodeInfo, Person, VmInfo, find},
    planner::{Direction, Exclusion, ExclusionWhy, RestWhy, Selector},
    store::{Mode, Pause, SetByChat, Settings as ChatSettings, Store, StoreError},
};

/// No rest is longer: what was ended before does not matter any more.
const REST_MAX: TimeDelta = TimeDelta::days(366);

pub(super) struct Switches {
    settings: Live<Settings>,
    tuning: Arc<dyn Tuning>,
    balancer: Arc<VmBalancer>,
    /// Held over a change of a setting, so that what is recorded last is in force last.
    setting: Mutex<()>,
}

/// What is in force at a moment, by the configuration and by what people changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InForce {
    pub(super) mode: Mode,
    pub(super) dry_run: bool,
    pub(super) pause: Option<Pause>,
    /// Whether automatic cycles may migrate now, by `BALANCE_WINDOW`.
    pub(super) window_open: bool,
    pub(super) stopped_clusters: BTreeSet<ClusterId>,
    pub(super) restored_unconfirmed: bool,
    /// VMmanager took no order a little while ago.
    pub(super) orders_refused: bool,
}

/// What a cycle may do with the plan of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    Nothing,
    /// Post what would be done.
    Show,
    Propose,
    CarryOut,
}

impl InForce {
    /// Returns what a cycle may do in this cluster.
    pub(super) fn may(&self, cluster: ClusterId) -> May {
        if self.mode == Mode::Off || self.pause.is_some() {
            return May::Nothing;
        }
        if self.dry_run {
            return May::Show;
        }
        // A restored store may lack what was decided since its export: people look first.
        if self.mode == Mode::Propose || self.restored_unconfirmed {
            return May::Propose;
        }
        let is_allowed =
            self.window_open && !self.stopped_clusters.contains(&cluster) && !self.orders_refused;
        if is_allowed { May::CarryOut } else { May::Nothing }
    }
}

impl Switches {
    pub(super) fn new(settings: Live<Settings>, tuning: Arc<dyn Tuning>, balancer: Arc<VmBalancer>) -> Self {
        Self { settings, tuning, balancer, setting: Mutex::default() }
    }

    /// Returns what is in force at `now`.
    pub(super) fn in_force(&self, now: DateTime<Utc>) -> Result<InForce, StoreError> {
        let chat = self.store().settings()?;
        let Settings { interval: _, watch: _, mode, windows, timezone } = &*self.settings.get();
        Ok(InForce {
            mode: chat.mode.unwrap_or(*mode),
            dry_run: self.balancer.dry_run()?,
            pause: chat.pause.filter(|pause| pause.until.is_none_or(|until| now < until)),
            window_open: windows.is_open(now.with_timezone(timezone).naive_local()),
            stopped_clusters: chat.stopped_clusters.into_iter().collect(),
            restored_unconfirmed: chat.restored_unconfirmed,
            orders_refused: self.balancer.orders_are_refused(now),
        })
    }

    /// Changes a setting. Nodes are found by name or id in what `sight` sees.
    pub(super) async fn change(
        &self,
        change: Change,
        by: &Person,
        sight: &Sight,
    ) -> Result<Changed, Refused> {
        let now = self.now();
        match change {
            Change::DryRun(on) => self.change_dry_run(on),
            Change::Mode(mode) => {
                let is_so = self.in_force(now)?.mode == mode;
                self.set(is_so, |settings| settings.mode = Some(mode))
            }
            Change::Pause { until, reason } => {
                let pause = Pause { by: by.clone(), at: now, until, reason };
                self.set(false, |settings| settings.pause = Some(pause))
            }
            Change::Resume { confirms_restored } => self.resume(confirms_restored),
            Change::Exclude { node, direction, until } => {
                let node = sight.find_node(&node).await?;
                let why = ExclusionWhy::Chat { by: by.clone(), at: self.now() };
                let exclusion = Exclusion { node: Selector(find::by_id(node.id.0)), direction, until, why };
                self.exclude(node, exclusion)
            }
            Change::Include { node } => self.include(sight.find_node(&node).await?),
            Change::Set { name, value } => self.set_value(&name, value, by, now),
            Change::EndRest { vm } => self.end_rest(sight.find_vm(&vm).await?, now),
        }
    }

    fn change_dry_run(&self, on: bool) -> Result<Changed, Refused> {
        if !on && self.balancer.settings().dry_run_forced {
            return Err(Refused::DryRun);
        }
        let is_so = self.balancer.dry_run()? == on;
        self.set(is_so, |settings| settings.dry_run = Some(on))
    }

    fn resume(&self, confirms_restored: bool) -> Result<Changed, Refused> {
        let now = self.now();
        let settings = self.store().settings()?;
        let forgiven = settings.failures_forgiven_at;
        let nothing_failed =
            self.store().failures_since(forgiven.unwrap_or(chrono::DateTime::UNIX_EPOCH), now)?.is_empty();
        let is_so = settings.pause.is_none()
            && settings.stopped_clusters.is_empty()
            && !(settings.restored_unconfirmed && confirms_restored)
            && nothing_failed
            && self.store().declined(now)?.is_empty();
        if !is_so {
            self.store().forget_declined()?;
        }
        self.set(is_so, |settings| {
            settings.pause = None;
            settings.stopped_clusters.clear();
            settings.stopped_at.clear();
            settings.restored_unconfirmed &= !confirms_restored;
            settings.failures_forgiven_at = Some(now);
        })
    }

    fn exclude(&self, node: NodeInfo, exclusion: Exclusion) -> Result<Changed, Refused> {
        let now = self.now();
        self.store().update_settings(|settings| {
            settings.exclusions.retain(|known| known.until.is_none_or(|until| now < until));
            settings
                .exclusions
                .retain(|known| !known.node.is_node(node.id, &node.name) || !overlaps(known, &exclusion));
            settings.exclusions.push(exclusion);
        })?;
        Ok(Changed::Node { id: node.id, name: node.name })
    }

    fn include(&self, node: NodeInfo) -> Result<Changed, Refused> {
        let mut removed = false;
        self.store().update_settings(|settings| {
            let before = settings.exclusions.len();
            settings.exclusions.retain(|known| !known.node.is_node(node.id, &node.name));
            removed = settings.exclusions.len() < before;
        })?;
        Ok(if removed { Changed::Node { id: node.id, name: node.name } } else { Changed::Already })
    }

    /// Returns every setting as it is in force.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, Refused> {
        Ok(self.tuning.settings(&self.store().settings()?.values))
    }

    fn setting(&self, name: &str) -> Result<Setting, Refused> {
        let all = self.settings()?;
        let found = all.into_iter().find(|setting| setting.name == name);
        found.ok_or_else(|| Refused::Unsettable(Unsettable::Unknown { name: name.to_owned(), similar: None }))
    }

    fn set_value(
        &self,
        name: &str,
        value: Option<String>,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<Changed, Refused> {
        let name = self.tuning.judge(name, value.as_deref()).map_err(Refused::Unsettable)?;
        let _one_at_a_time = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.setting(name)?.value;
        let known = self.store().settings()?.values.remove(name);
        let is_so = match (&known, &value) {
            (None, None) => true,
            (Some(known), Some(value)) => known.value == *value && known.or.is_empty(),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if is_so {
            return Ok(Changed::Already);
        }
        let set = self.store().update_settings(|settings| {
            settings.values.remove(name);
            settings.values.extend(value.map(|value| {
                (name.to_owned(), SetByChat { value, by: by.clone(), at: now, or: BTreeSet::new() })
            }));
        })?;
        self.tuning.apply(&set.values);
        Ok(Changed::Setting { before, now: Box::new(self.setting(name)?) })
    }

    fn end_rest(&self, vm: VmInfo, now: DateTime<Utc>) -> Result<Changed, Refused> {
        match self.balancer.policy()?.resting.get(&vm.id).map(|rest| rest.why) {
            None => return Ok(Changed::Already),
            Some(RestWhy::InFlight) => return Err(Refused::InFlight { vm: vm.id }),
            Some(RestWhy::Moved | RestWhy::Failed | RestWhy::Busy) => {}
        }
        self.store().forget_declined_of(vm.id)?;
        self.store().update_settings(|settings| {
            settings.rests_ended.retain(|_, at| now - *at < REST_MAX);
            settings.rests_ended.insert(vm.id, now);
        })?;
        Ok(Changed::Vm { id: vm.id, name: vm.name })
    }

    fn set(&self, is_so: bool, change: impl FnOnce(&mut ChatSettings)) -> Result<Changed, Refused> {
        if is_so {
            return Ok(Changed::Already);
        }
        self.store().update_settings(change)?;
        Ok(Changed::Done)
    }

    fn store(&self) -> &Store {
        &self.balancer.parts().store
    }

    fn now(&self) -> DateTime<Utc> {
        self.balancer.parts().clock.now()
    }
}

/// A wider or equal exclusion takes the place of a narrower one.
fn overlaps(known: &Exclusion, newer: &Exclusion) -> bool {
    newer.direction == Direction::Both || known.direction == newer.direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_may_do_what_everything_in_force_allows() {
        let auto = InForce {
            mode: Mode::Auto,
            dry_run: false,
            pause: None,
            window_open: true,
            stopped_clusters: BTreeSet::new(),
            restored_unconfirmed: false,
            orders_refused: false,
        };
        let by = Person { id: 1, name: "Anna".into() };
        let pause = Pause { by, at: DateTime::UNIX_EPOCH, until: None, reason: None };
        let may = |in_force: InForce| in_force.may(ClusterId(1));
        assert_eq!(may(auto.clone()), May::CarryOut);
        assert_eq!(may(InForce { window_open: false, ..auto.clone() }), May::Nothing);
        assert_eq!(may(InForce { orders_refused: true, ..auto.clone() }), May::Nothing);
        assert_eq!(may(InForce { stopped_clusters: [ClusterId(1)].into(), ..auto.clone() }), May::Nothing);
        assert_eq!(may(InForce { stopped_clusters: [ClusterId(2)].into(), ..auto.clone() }), May::CarryOut);
        assert_eq!(may(InForce { restored_unconfirmed: true, ..auto.clone() }), May::Propose);
        assert_eq!(may(InForce { mode: Mode::Propose, window_open: false, ..auto.clone() }), May::Propose);
        assert_eq!(may(InForce { dry_run: true, ..auto.clone() }), May::Show);
        assert_eq!(may(InForce { dry_run: true, pause: Some(pause), ..auto.clone() }), May::Nothing);
        assert_eq!(may(InForce { mode: Mode::Off, dry_run: true, ..auto }), May::Nothing);
    }
}
