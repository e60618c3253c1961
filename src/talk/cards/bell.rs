//! What rings and what is silent, who took a matter in hand, and when it rings again.

use std::cmp::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::{
    model::Person,
    planner::{ClusterPlan, Excess, Resource},
    scheduler::Windows,
};

/// A node that is fuller by this many points makes a plan that waits clearly more urgent. Less is the daily noise of
/// a cluster and would ring all night.
const WORSE_POINTS: f64 = 5.0;

/// How long a snooze lasts.
const SNOOZE: TimeDelta = TimeDelta::hours(1);

/// When messages ring.
#[derive(Clone, Debug)]
pub struct Bell {
    /// When only what cannot wait rings, in local time; `None` for never.
    pub quiet: Option<Windows>,
    pub timezone: Tz,
    /// After this time an alert that nobody took rings once more; `None` for never.
    pub remind_after: Option<TimeDelta>,
}

impl Default for Bell {
    /// Half an hour is longer than most people are away from their phone.
    fn default() -> Self {
        Self { quiet: None, timezone: Tz::UTC, remind_after: Some(TimeDelta::minutes(30)) }
    }
}

/// How urgent a matter is. What is more urgent than at its last ring rings again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Urgency {
    /// A plan waits for a decision. `over` counts the overloaded nodes, `worst` is how full the fullest is, in points.
    Plan { over: usize, worst: f64 },
    /// A migration is slow, or a node that was emptied waits for somebody's word.
    Slow,
    /// A migration failed, or nobody knows what became of it.
    Failed,
    /// An outage or a security alarm.
    Alarm,
}

/// What somebody does about an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hand {
    Taken { by: Person, at: DateTime<Utc> },
    Snoozed { by: Person, until: DateTime<Utc> },
}

/// A button under an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandKind {
    Take,
    Snooze,
}

/// What a card knows of its rings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rings {
    /// How urgent the matter was when it rang last.
    pub(super) at: Option<(DateTime<Utc>, Urgency)>,
    /// It rang a second time because nobody took it.
    reminded: bool,
    pub(super) hand: Option<Hand>,
}

impl Urgency {
    pub(super) fn of_plan(plan: &ClusterPlan) -> Self {
        let points = |excess: &Excess| match excess.resource {
            Resource::Memory => excess.value,
            Resource::Cpu | Resource::Load => 100.0 * excess.value / excess.threshold,
        };
        let worst = plan.overloaded.iter().flat_map(|node| &node.over).map(points).fold(0.0, f64::max);
        Self::Plan { over: plan.overloaded.len(), worst }
    }

    fn can_wait(self) -> bool {
        matches!(self, Self::Plan { .. } | Self::Slow)
    }

    fn exceeds(self, before: Self) -> bool {
        match (self, before) {
            (Self::Plan { over, worst }, Self::Plan { over: over_before, worst: worst_before }) => {
                over > over_before || worst >= worst_before + WORSE_POINTS
            }
            _ => self.rank().cmp(&before.rank()) == Ordering::Greater,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Plan { .. } => 0,
            Self::Slow => 1,
            Self::Failed => 2,
            Self::Alarm => 3,
        }
    }
}

impl Bell {
    fn may_ring(&self, urgency: Urgency, now: DateTime<Utc>) -> bool {
        let local = now.with_timezone(&self.timezone).naive_local();
        !urgency.can_wait() || !self.quiet.as_ref().is_some_and(|quiet| quiet.is_open(local))
    }

    /// Tells whether a matter is to ring now.
    pub(super) fn is_due(&self, rings: &Rings, urgency: Urgency, now: DateTime<Utc>) -> bool {
        if !self.may_ring(urgency, now) {
            return false;
        }
        let Some((rang_at, before)) = rings.at else { return true };
        if urgency.exceeds(before) {
            return true;
        }
        match (&rings.hand, urgency, self.remind_after) {
            (Some(Hand::Taken { .. }), ..) | (_, Urgency::Plan { .. }, _) => false,
            (Some(Hand::Snoozed { until, .. }), ..) => *until <= now,
            (None, _, Some(after)) => !rings.reminded && now - rang_at >= after,
            (None, _, None) => false,
        }
    }

    /// Tells whether time alone can make a matter ring that does not ring now.
    pub(super) fn waits(&self, rings: &Rings, urgency: Urgency) -> bool {
        let can_be_reminded = || {
            let is_alert = !matches!(urgency, Urgency::Plan { .. });
            is_alert && !rings.reminded && self.remind_after.is_some()
        };
        match (&rings.hand, rings.at) {
            (_, None) => true,
            (Some(Hand::Taken { .. }), _) => false,
            (Some(Hand::Snoozed { .. }), _) => true,
            (None, Some((_, before))) => urgency.exceeds(before) || can_be_reminded(),
        }
    }
}

impl Rings {
    /// Rang in full already.
    pub(super) fn over(at: DateTime<Utc>) -> Self {
        Self { at: Some((at, Urgency::Alarm)), reminded: true, hand: None }
    }

    /// Notes a ring.
    pub(super) fn ring(&mut self, urgency: Urgency, now: DateTime<Utc>) {
        let is_reminder = self.hand.is_none() && self.at.is_some_and(|(_, before)| !urgency.exceeds(before));
        *self = Self { at: Some((now, urgency)), reminded: is_reminder, hand: None };
    }

    /// Notes what somebody does about it.
    pub(super) fn take(&mut self, kind: HandKind, by: Person, now: DateTime<Utc>) {
        self.hand = Some(match kind {
            HandKind::Take => Hand::Taken { by, at: now },
            HandKind::Snooze => Hand::Snoozed { by, until: now + SNOOZE },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::samples::{anna, now};

    #[test]
    fn a_plan_that_waits_rings_again_only_when_it_is_clearly_worse() {
        let bell = Bell::default();
        let mut rings = Rings::default();
        let plan = |over, worst| Urgency::Plan { over, worst };
        assert!(bell.is_due(&rings, plan(2, 80.0), now()));
        rings.ring(plan(2, 80.0), now());
        for (over, worst, due) in [(2, 84.9, false), (1, 80.0, false), (3, 71.0, true), (2, 85.0, true)] {
            assert_eq!(bell.is_due(&rings, plan(over, worst), now()), due, "{over} {worst}");
        }
    }

    #[test]
    fn an_alert_that_nobody_took_rings_once_more_and_a_snoozed_one_when_its_time_is_over() {
        let bell = Bell::default();
        let at = |minutes| now() + TimeDelta::minutes(minutes);
        let due = |rings: &Rings, minutes| bell.is_due(rings, Urgency::Alarm, at(minutes));
        let mut rings = Rings::default();
        rings.ring(Urgency::Alarm, at(0));
        assert_eq!((due(&rings, 29), due(&rings, 30)), (false, true));
        let mut taken = rings.clone();
        taken.take(HandKind::Take, anna(), at(1));
        assert!(!due(&taken, 600));
        let mut snoozed = rings.clone();
        snoozed.take(HandKind::Snooze, anna(), at(1));
        assert_eq!((due(&snoozed, 60), due(&snoozed, 61)), (false, true));
        snoozed.ring(Urgency::Alarm, at(61));
        assert!(due(&snoozed, 91), "after a snooze it is as new");
        rings.ring(Urgency::Alarm, at(30));
        assert!(!due(&rings, 600), "only once");
        let never = Bell { remind_after: None, ..bell.clone() };
        rings = Rings::default();
        rings.ring(Urgency::Alarm, at(0));
        assert!(!never.is_due(&rings, Urgency::Alarm, at(600)));
    }

    #[test]
    fn in_quiet_hours_only_what_cannot_wait_rings_and_the_rest_rings_after_them() {
        let quiet = Some("23:00-08:00".parse().unwrap());
        let bell = Bell { quiet, timezone: chrono_tz::Europe::Berlin, ..Bell::default() };
        let none = Rings::default();
        let due = |urgency, time: &str| bell.is_due(&none, urgency, time.parse().unwrap());
        let plan = Urgency::Plan { over: 1, worst: 80.0 };
        let (night, morning) = ("2026-11-23T23:30:00Z", "2026-11-24T07:00:00Z");
        for (urgency, rings_at_night) in
            [(plan, false), (Urgency::Slow, false), (Urgency::Failed, true), (Urgency::Alarm, true)]
        {
            assert_eq!((due(urgency, night), due(urgency, morning)), (rings_at_night, true), "{urgency:?}");
        }
        assert!(bell.waits(&none, plan));
    }
}
