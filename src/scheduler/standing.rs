//! Which standing approvals are in force: the one of the chat, and `AUTOPILOT` of the configuration. Pure.

use std::{collections::VecDeque, str::FromStr};

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

use super::Windows;
use crate::{
    model::Person,
    planner::{Limits, Used},
    store::{Approver, Standing, StandingUse},
};

/// `AUTOPILOT`: a standing approval that begins anew with each of its windows.
///
/// ```
/// use vm_balancer::{model::Mib, scheduler::Nightly};
///
/// let nightly: Nightly = "22:00-08:00 max 5 64GiB".parse()?;
/// assert_eq!(nightly.limits.migrations_max, Some(5));
/// assert_eq!(nightly.limits.ram_max, Some(Mib(64 * 1024)));
/// assert!("max 5".parse::<Nightly>().is_err(), "it needs its hours");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nightly {
    pub windows: Windows,
    pub limits: Limits,
}

/// Why a text is no [`Nightly`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no standing approval; expected e.g. 22:00-08:00 max 5 64GiB")]
pub struct NotNightly {
    pub found: String,
}

/// A standing approval as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingNow {
    /// Who asked for it; `None` for the configuration.
    pub by: Option<Person>,
    /// Who confirmed it.
    pub people: Vec<Person>,
    pub until: DateTime<Utc>,
    pub limits: Limits,
    pub cluster_name: Option<String>,
    pub used: Used,
    pub state: StandingState,
    /// What a confirmation must name.
    pub tag: Option<String>,
}

/// Whether a standing approval is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingState {
    /// People must confirm it first.
    Asked {
        have: u32,
        need: u32,
        expires_at: DateTime<Utc>,
    },
    /// Since when.
    InForce(DateTime<Utc>),
    Ended(StandingEnd),
}

/// What ended a standing approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingEnd {
    /// Too few people confirmed it in time.
    Unconfirmed,
    Time,
    /// Its migrations or its GiB are used up.
    Limits,
    /// One of its migrations failed, or nobody knows how it ended.
    Failure,
    /// The clock was set back to before it was given: nobody knows how long it has lasted, and what it moved since
    /// cannot be counted. It goes on where the clock is right again in time.
    SetBack,
}

impl StandingNow {
    /// Returns the approval that a person asked for in the chat.
    pub(super) fn of_chat(standing: Standing, of: StandingUse, now: DateTime<Utc>) -> Self {
        let (have, need) = standing.votes();
        let tag = Some(standing.tag());
        let Standing { by, expires_at, until, limits, cluster_name, approvals, given_at, .. } = standing;
        let state = match given_at {
            Some(since) => state(&limits, since, until, of, now),
            None if now >= expires_at || now >= until => StandingState::Ended(StandingEnd::Unconfirmed),
            None => StandingState::Asked { have, need, expires_at },
        };
        let people = approvals.into_iter().map(|approval| approval.by).collect();
        Self { by: Some(by), people, until, limits, cluster_name, used: of.used, state, tag }
    }

    /// Returns the approval of the configuration whose window began at `since`.
    pub(super) fn of_night(nightly: &Nightly, night: Night, of: StandingUse, now: DateTime<Utc>) -> Self {
        let Night { since, until } = night;
        Self {
            by: None,
            people: Vec::new(),
            until,
            limits: nightly.limits.clone(),
            cluster_name: None,
            used: of.used,
            state: state(&nightly.limits, since, until, of, now),
            tag: None,
        }
    }

    /// Returns the approver of a plan that runs by it; `None` where it is not in force.
    #[must_use]
    pub fn approver(&self) -> Option<Approver> {
        match self.state {
            StandingState::InForce(since) => Some(Approver::Standing { people: self.people.clone(), since }),
            StandingState::Asked { .. } | StandingState::Ended(_) => None,
        }
    }

    /// Tells whether people should know of it: it counts, waits for them, or ended before its time.
    #[must_use]
    pub fn is_news(&self, now: DateTime<Utc>) -> bool {
        match self.state {
            StandingState::Asked { .. } | StandingState::InForce(_) => true,
            StandingState::Ended(end) => {
                matches!(end, StandingEnd::Limits | StandingEnd::Failure) && now < self.until
            }
        }
    }
}

/// Time services set a clock back by less than this all the time.
const CLOCK_SLACK: TimeDelta = TimeDelta::minutes(5);

fn state(
    limits: &Limits,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    of: StandingUse,
    now: DateTime<Utc>,
) -> StandingState {
    if of.has_failed {
        StandingState::Ended(StandingEnd::Failure)
    } else if limits.is_used_up(of.used) {
        StandingState::Ended(StandingEnd::Limits)
    } else if now >= until {
        StandingState::Ended(StandingEnd::Time)
    } else if since - now > CLOCK_SLACK {
        StandingState::Ended(StandingEnd::SetBack)
    } else {
        StandingState::InForce(since)
    }
}

/// One window of [`Nightly`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Night {
    pub(super) since: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
}

impl Nightly {
    /// Returns the window that is open now.
    pub(super) fn night(&self, now: DateTime<Utc>, zone: Tz) -> Option<Night> {
        let local = now.with_timezone(&zone).naive_local();
        let (start, end) = self.windows.around(local)?;
        Some(Night { since: in_utc(start, zone), until: in_utc(end, zone) })
    }
}

/// A local time that comes twice is the first of them, and one that is left out is that much later.
pub(crate) fn in_utc(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let found = zone.from_local_datetime(&local).earliest();
    let found = found.or_else(|| zone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest());
    found.map_or_else(|| local.and_utc(), |at| at.to_utc())
}

impl FromStr for Nightly {
    type Err = NotNightly;

    fn from_str(text: &str) -> Result<Self, NotNightly> {
        let not = |found: &str| NotNightly { found: found.to_owned() };
        let mut words: VecDeque<String> = text.split_whitespace().map(str::to_owned).collect();
        // The times come first; they may have days in front and commas in between.
        let is_of_times = |word: &String| word.contains(':') || word.contains(',') || is_days(word);
        let times: Vec<String> =
            std::iter::from_fn(|| words.pop_front_if(|word| is_of_times(word))).collect();
        let windows: Windows = times.join(" ").parse().map_err(|_| not(text))?;
        if windows == Windows::default() {
            return Err(not(text));
        }
        let mut limits = Limits::default();
        while limits.take(&mut words).map_err(|wrong| not(&wrong.found))? {}
        match words.front() {
            None => Ok(Self { windows, limits }),
            Some(word) => Err(not(word)),
        }
    }
}

fn is_days(word: &str) -> bool {
    word.split('-').all(|day| day.parse::<chrono::Weekday>().is_ok())
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Berlin;

    use super::*;
    use crate::model::Mib;

    #[test]
    fn a_night_is_read_with_its_days_and_limits() {
        for (text, windows, migrations, gib) in [
            ("22:00-08:00", "22:00-08:00", None, None),
            ("22:00-08:00 max 5 64GiB", "22:00-08:00", Some(5), Some(64)),
            (
                "Mon-Fri 22:00-08:00, Sat,Sun 20:00-10:00 max 3",
                "Mon-Fri 22:00-08:00, Sat,Sun 20:00-10:00",
                Some(3),
                None,
            ),
        ] {
            let read: Nightly = text.parse().unwrap();
            assert_eq!(read.windows, windows.parse().unwrap(), "{text}");
            let ram_max = read.limits.ram_max.map(|Mib(mib)| mib / 1024);
            assert_eq!((read.limits.migrations_max, ram_max), (migrations, gib), "{text}");
        }
        for text in ["", "yes", "max 5", "22:00", "22:00-08:00 max", "22:00-08:00 maxx 5", "22:00-08:00 msk"]
        {
            assert!(text.parse::<Nightly>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn each_night_begins_anew_also_where_the_clocks_change() {
        let nightly: Nightly = "22:00-08:00".parse().unwrap();
        let night = |now: &str| {
            let night = nightly.night(now.parse().unwrap(), Berlin)?;
            Some((night.since.to_rfc3339(), (night.until - night.since).num_hours()))
        };
        let of = |since: &str, hours| Some((since.to_owned(), hours));
        assert_eq!(night("2026-11-23T20:59:59Z"), None);
        assert_eq!(night("2026-11-23T21:00:00Z"), of("2026-11-23T21:00:00+00:00", 10));
        assert_eq!(night("2026-11-24T06:59:59Z"), of("2026-11-23T21:00:00+00:00", 10));
        assert_eq!(night("2026-11-24T07:00:00Z"), None);
        assert_eq!(night("2026-10-25T03:00:00Z"), of("2026-10-24T20:00:00+00:00", 11), "an hour comes twice");
    }

    #[test]
    fn it_ends_by_its_time_its_limits_and_a_failure() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let limits = Limits { migrations_max: Some(2), ram_max: Some(Mib(100)), ..Limits::default() };
        let of = |migrations, ram, has_failed| StandingUse {
            used: Used { migrations, ram: Mib(ram) },
            has_failed,
            ..StandingUse::default()
        };
        let ended = StandingState::Ended;
        for (of, now, expected) in [
            (of(0, 0, false), 0, StandingState::InForce(at(0))),
            (of(1, 99, false), 59, StandingState::InForce(at(0))),
            (of(1, 99, false), 60, ended(StandingEnd::Time)),
            (of(2, 50, false), 1, ended(StandingEnd::Limits)),
            (of(1, 100, false), 1, ended(StandingEnd::Limits)),
            (of(1, 1, true), 1, ended(StandingEnd::Failure)),
            (of(0, 0, false), -5, StandingState::InForce(at(0))),
            (of(0, 0, false), -6, ended(StandingEnd::SetBack)),
        ] {
            assert_eq!(state(&limits, at(0), at(60), of, at(now)), expected, "{of:?} at {now}");
        }
    }
}
