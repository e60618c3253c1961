//! What people may switch: on disk before the answer.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};

use super::{
    Change, Changed, Refused, Setting, Settings, StandingNow, StandingState, Tuning, Unsettable,
    sight::Sight, standing::Night,
};
use crate::{
    balancer::VmBalancer,
    live::Live,
    model::{ClusterId, NodeId, NodeInfo, Person, VmInfo, find},
    planner::{self, Consent, Direction, Exclusion, ExclusionWhy, Limits, RestWhy, Selector},
    store::{
        Confirmed, Mode, Pause, SetByChat, Settings as ChatSettings, Standing, StandingUse, Store, StoreError,
    },
};

/// No rest is longer: what was ended before does not matter any more.
const REST_MAX: TimeDelta = TimeDelta::days(366);

/// How long after its end a standing approval is still reported.
const STANDING_SHOWN: TimeDelta = TimeDelta::days(1);

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
    /// Standing approvals, whether they count or not.
    pub(super) standing: Vec<StandingNow>,
}

/// What a cycle may do with the plan of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    Nothing,
    /// Post what would be done.
    Show,
    Propose,
    /// Carry out what a standing approval covers, and propose the rest.
    ProposeOrRelieve,
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
        if self.restored_unconfirmed {
            return May::Propose;
        }
        let is_allowed =
            self.window_open && !self.stopped_clusters.contains(&cluster) && !self.orders_refused;
        match (self.mode, is_allowed) {
            (Mode::Propose, true) if self.standing_in_force().next().is_some() => May::ProposeOrRelieve,
            (Mode::Propose, _) => May::Propose,
            (_, true) => May::CarryOut,
            (_, false) => May::Nothing,
        }
    }

    /// Returns whose consent a plan of relief needs. A dry run shows the same plans.
    pub(super) fn consent(&self, now: DateTime<Utc>) -> Consent {
        let clusters = |ends_within: TimeDelta| {
            let covers = self.standing_in_force().filter(|standing| standing.until - now <= ends_within);
            covers.map(|standing| standing.limits.cluster).collect()
        };
        match self.mode {
            Mode::Auto => Consent::NotNeeded,
            Mode::Propose => Consent::People {
                but_for: clusters(TimeDelta::MAX),
                ending: clusters(planner::BEFORE_PEOPLE),
            },
            Mode::Off => Consent::People { but_for: Some(BTreeSet::new()), ending: Some(BTreeSet::new()) },
        }
    }

    fn standing_in_force(&self) -> impl Iterator<Item = &StandingNow> {
        self.standing.iter().filter(|it| matches!(it.state, StandingState::InForce(_)))
    }
}

impl Switches {
    pub(super) fn new(settings: Live<Settings>, tuning: Arc<dyn Tuning>, balancer: Arc<VmBalancer>) -> Self {
        Self { settings, tuning, balancer, setting: Mutex::default() }
    }

    /// Returns what is in force at `now`.
    pub(super) fn in_force(&self, now: DateTime<Utc>) -> Result<InForce, StoreError> {
        let chat = self.store().settings()?;
        let Settings { mode, windows, timezone, interval: _, watch: _, autopilot: _, patience: _ } =
            &*self.settings.get();
        let standing = self.standing(&chat, now)?;
        Ok(InForce {
            mode: chat.mode.unwrap_or(*mode),
            dry_run: self.balancer.dry_run()?,
            pause: chat.pause.filter(|pause| pause.until.is_none_or(|until| now < until)),
            window_open: windows.is_open(now.with_timezone(timezone).naive_local()),
            stopped_clusters: chat.stopped_clusters.into_iter().collect(),
            restored_unconfirmed: chat.restored_unconfirmed,
            orders_refused: self.balancer.orders_are_refused(now),
            standing,
        })
    }

    /// Returns the standing approvals: the one that people asked for last, and the configuration's of this night.
    fn standing(&self, chat: &ChatSettings, now: DateTime<Utc>) -> Result<Vec<StandingNow>, StoreError> {
        let mut all = Vec::new();
        // The migrations of an approval that is long over are not counted.
        if let Some(standing) = chat.standing.clone().filter(|it| now < it.until + STANDING_SHOWN) {
            let used = standing.given_at.map(|since| self.store().standing_use(since)).transpose()?;
            all.push(StandingNow::of_chat(standing, used.unwrap_or_default(), now));
        }
        let settings = self.settings.get();
        let Some(nightly) = &settings.autopilot else { return Ok(all) };
        let night = nightly.night(now, settings.timezone);
        let is_ended =
            |night: &Night| chat.standing_ended_at.is_some_and(|at| night.since <= at && at <= now);
        if let Some(night) = night.filter(|night| !is_ended(night)) {
            let used: StandingUse = self.store().standing_use(night.since)?;
            all.push(StandingNow::of_night(nightly, night, used, now));
        }
        Ok(all)
    }

    /// Returns when `BALANCE_WINDOW` opens next; `None` while it is open.
    pub(super) fn window_opens(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let Settings { windows, timezone, .. } = &*self.settings.get();
        let local = now.with_timezone(timezone).naive_local();
        if windows.is_open(local) {
            return None;
        }
        let opens = windows.opens_after(local)?;
        // An hour that the clocks skip begins when they have skipped it.
        let skipped = || timezone.from_local_datetime(&(opens + TimeDelta::hours(1))).earliest();
        let opens = timezone.from_local_datetime(&opens).earliest().or_else(skipped)?;
        Some(opens.with_timezone(&Utc))
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
                let nodes = sight.find_nodes(&node).await?;
                let why = ExclusionWhy::Chat { by: by.clone(), at: now };
                self.exclude(&nodes, direction, until, &why)
            }
            Change::Include { node } => self.include(&sight.find_nodes(&node).await?),
            Change::Set { name, value } => self.set_value(&name, value, by, now),
            Change::EndRest { vms } => self.end_rests(sight.find_vms(&vms).await?, now),
            Change::AskStanding { limits, cluster, until } => {
                let cluster = match cluster {
                    Some(wanted) => Some(sight.find_cluster(&wanted).await?),
                    None => None,
                };
                let limits = Limits { cluster: cluster.as_ref().map(|cluster| cluster.id), ..limits };
                let standing = Standing {
                    by: by.clone(),
                    asked_at: now,
                    expires_at: now + self.balancer.settings().proposal_ttl,
                    until,
                    limits,
                    cluster_name: cluster.map(|cluster| cluster.name),
                    approvals_needed: self.balancer.settings().approvals_needed,
                    approvals: Vec::new(),
                    given_at: None,
                };
                self.set(false, |settings| settings.standing = Some(standing))
            }
            Change::ConfirmStanding { tag } => match self.store().confirm_standing(&tag, by, now)? {
                Confirmed::Given | Confirmed::Counted => Ok(Changed::Done),
                Confirmed::AlreadyCounted { have, need } => Err(Refused::AlreadyCounted { have, need }),
                Confirmed::OwnRequest { have, need } => Err(Refused::OwnProposal { have, need }),
                Confirmed::Gone => Err(Refused::StandingGone),
            },
            Change::EndStanding { tag: Some(tag) } => {
                let known = self.store().settings()?.standing;
                if known.is_none_or(|standing| standing.tag() != tag) {
                    return Err(Refused::StandingGone);
                }
                self.set(false, |settings| settings.standing = None)
            }
            Change::EndStanding { tag: None } => {
                let counts = |it: &StandingNow| !matches!(it.state, StandingState::Ended(_));
                let counted = self.in_force(now)?.standing.iter().any(counts);
                self.set(false, |settings| settings.end_standing(now))?;
                Ok(if counted { Changed::Done } else { Changed::Already })
            }
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
            && self.store().declined_at(now)?.is_empty();
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

    /// Closes each of the nodes by its id: what is called so later is not meant.
    fn exclude(
        &self,
        nodes: &[NodeInfo],
        direction: Direction,
        until: Option<DateTime<Utc>>,
        why: &ExclusionWhy,
    ) -> Result<Changed, Refused> {
        let now = self.now();
        self.store().update_settings(|settings| {
            settings.exclusions.retain(|known| known.until.is_none_or(|until| now < until));
            for node in nodes {
                let selector = Selector(find::by_id(node.id.0));
                let exclusion = Exclusion { node: selector, direction, until, why: why.clone() };
                let is_replaced = |known: &Exclusion| {
                    known.node.is_node(node.id, &node.name) && overlaps(known, &exclusion)
                };
                settings.exclusions.retain(|known| !is_replaced(known));
                settings.exclusions.push(exclusion);
            }
        })?;
        Ok(Changed::Nodes(nodes.iter().map(|node| (node.id, node.name.clone())).collect()))
    }

    fn include(&self, nodes: &[NodeInfo]) -> Result<Changed, Refused> {
        let mut opened = Vec::new();
        self.store().update_settings(|settings| {
            for node in nodes {
                let before = settings.exclusions.len();
                settings.exclusions.retain(|known| !known.node.is_node(node.id, &node.name));
                if settings.exclusions.len() < before {
                    opened.push((node.id, node.name.clone()));
                }
            }
        })?;
        Ok(if opened.is_empty() { Changed::Already } else { Changed::Nodes(opened) })
    }

    /// Returns every setting as it is in force.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, Refused> {
        Ok(self.tuning.settings(&self.store().settings()?.values))
    }

    /// Puts what the chat has set in force again, and returns every setting.
    pub(super) fn reapply(&self) -> Result<Vec<Setting>, Refused> {
        let _one_at_a_time = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        self.tuning.apply(&self.store().settings()?.values);
        self.settings()
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

    /// Ends the rests of those of the VMs that rest. One whose migration has not ended goes on resting.
    fn end_rests(&self, vms: Vec<VmInfo>, now: DateTime<Utc>) -> Result<Changed, Refused> {
        let resting = self.balancer.policy()?.resting;
        let why = |vm: &VmInfo| resting.get(&vm.id).map(|rest| rest.why);
        let (in_flight, rest): (Vec<_>, Vec<_>) =
            vms.into_iter().filter(|vm| why(vm).is_some()).partition(|vm| why(vm) == Some(RestWhy::InFlight));
        if rest.is_empty() {
            return match in_flight.first() {
                None => Ok(Changed::Already),
                Some(vm) => Err(Refused::InFlight { vm: vm.id }),
            };
        }
        for vm in &rest {
            self.store().forget_declined_of(vm.id)?;
        }
        self.store().update_settings(|settings| {
            settings.rests_ended.retain(|_, at| now - *at < REST_MAX);
            settings.rests_ended.extend(rest.iter().map(|vm| (vm.id, now)));
        })?;
        Ok(Changed::Vms(rest.into_iter().map(|vm| (vm.id, vm.name)).collect()))
    }

    /// Opens a node that a plan closed as a target when it emptied it.
    pub(super) fn reopen(&self, node: NodeId, name: &str) -> Result<(), StoreError> {
        let is_closed_by_plan = |known: &Exclusion| {
            known.direction == Direction::Target && known.until.is_none() && known.node.is_node(node, name)
        };
        self.store().update_settings(|settings| settings.exclusions.retain(|it| !is_closed_by_plan(it)))?;
        Ok(())
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
            standing: Vec::new(),
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
        assert_eq!(may(InForce { mode: Mode::Off, dry_run: true, ..auto.clone() }), May::Nothing);
        // A standing approval counts in propose mode only, and only where automatic runs may migrate.
        let standing = InForce { mode: Mode::Propose, standing: vec![of(true)], ..auto };
        assert_eq!(may(standing.clone()), May::ProposeOrRelieve);
        let asked = InForce { standing: vec![of(false)], ..standing.clone() };
        assert_eq!(may(asked), May::Propose);
        assert_eq!(may(InForce { mode: Mode::Off, ..standing.clone() }), May::Nothing);
        assert_eq!(may(InForce { mode: Mode::Auto, ..standing.clone() }), May::CarryOut);
        assert_eq!(may(InForce { dry_run: true, ..standing.clone() }), May::Show);
        assert_eq!(may(InForce { restored_unconfirmed: true, ..standing.clone() }), May::Propose);
        assert_eq!(may(InForce { window_open: false, ..standing.clone() }), May::Propose);
        assert_eq!(may(InForce { orders_refused: true, ..standing.clone() }), May::Propose);
        assert_eq!(may(InForce { stopped_clusters: [ClusterId(1)].into(), ..standing }), May::Propose);
    }

    #[test]
    fn consent_is_asked_for_cluster_by_cluster() {
        let now = DateTime::UNIX_EPOCH;
        let in_cluster = |cluster: Option<u64>, hours| StandingNow {
            until: now + TimeDelta::hours(hours),
            limits: Limits { cluster: cluster.map(ClusterId), ..Limits::default() },
            ..of(true)
        };
        let consent = |mode, standing| {
            let in_force = InForce {
                mode,
                dry_run: false,
                pause: None,
                window_open: true,
                stopped_clusters: BTreeSet::new(),
                restored_unconfirmed: false,
                orders_refused: false,
                standing,
            };
            in_force.consent(now)
        };
        let clusters = |ids: &[u64]| Some(ids.iter().map(|id| ClusterId(*id)).collect());
        let people = |but_for, ending| Consent::People { but_for, ending };
        let nobody = people(clusters(&[]), clusters(&[]));
        assert_eq!(consent(Mode::Auto, Vec::new()), Consent::NotNeeded);
        assert_eq!(consent(Mode::Off, vec![in_cluster(None, 1)]), nobody);
        assert_eq!(consent(Mode::Propose, Vec::new()), nobody);
        assert_eq!(consent(Mode::Propose, vec![of(false)]), nobody);
        assert_eq!(consent(Mode::Propose, vec![in_cluster(None, 8)]), people(None, clusters(&[])));
        assert_eq!(consent(Mode::Propose, vec![in_cluster(None, 2)]), people(None, None));
        let two = vec![in_cluster(Some(1), 8), in_cluster(Some(2), 1)];
        assert_eq!(consent(Mode::Propose, two), people(clusters(&[1, 2]), clusters(&[2])));
    }

    fn of(in_force: bool) -> StandingNow {
        let at = DateTime::UNIX_EPOCH;
        let state = match in_force {
            true => StandingState::InForce(at),
            false => StandingState::Asked { have: 0, need: 1, expires_at: at },
        };
        StandingNow {
            by: None,
            people: Vec::new(),
            until: at,
            limits: Limits::default(),
            cluster_name: None,
            used: crate::planner::Used::default(),
            state,
            tag: None,
        }
    }
}
