//! When automatic cycles may migrate: `BALANCE_WINDOW`. Pure; the caller brings the local time.

use std::{fmt, str::FromStr};

use chrono::{Datelike as _, Days, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _, Weekday};

/// Times of the week; empty for always.
///
/// ```
/// use vm_balancer::scheduler::Windows;
///
/// let windows: Windows = "Mon-Fri 01:00-05:00, Sat,Sun 22:00-06:00".parse()?;
/// let at = |text: &str| text.parse().map(|local| windows.is_open(local));
/// assert!(at("2026-11-23T01:00:00")?, "a Monday");
/// assert!(!at("2026-11-24T05:00:00")?, "the end does not belong to it");
/// assert!(at("2026-11-30T05:59:00")?, "the night from Sunday to Monday");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    /// Days on which it begins.
    days: Vec<Weekday>,
    start: NaiveTime,
    /// On the next day where it is not after the start.
    end: NaiveTime,
}

/// Why a text is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not a time window; expected e.g. 22:00-06:00 or Mon-Fri 01:00-05:00, several with a comma"
)]
pub struct NotAWindow {
    pub found: String,
}

const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

impl Windows {
    /// Returns the first minute from `local` on that is inside; `None` where none is within eight days.
    #[must_use]
    pub(super) fn opens_after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        /// Every window opens once a week at least.
        const DAYS: i64 = 8;
        let whole = local.with_second(0).and_then(|local| local.with_nanosecond(0)).unwrap_or(local);
        let minutes = (1..=DAYS * 24 * 60).map(|minute| whole + TimeDelta::minutes(minute));
        std::iter::once(local).chain(minutes).find(|minute| self.is_open(*minute))
    }

    /// Tells whether a local time is inside.
    #[must_use]
    pub fn is_open(&self, local: NaiveDateTime) -> bool {
        self.0.is_empty() || self.0.iter().any(|window| window.is_open(local))
    }

    /// Returns for each minute of a week, from Monday, whether it is inside.
    #[must_use]
    pub fn week(&self) -> Vec<bool> {
        let monday = chrono::NaiveDate::from_isoywd_opt(2024, 1, Weekday::Mon).unwrap_or_default();
        let minutes = (0..7 * 24 * 60).map(TimeDelta::minutes);
        minutes.map(|minute| self.is_open(monday.and_time(NaiveTime::MIN) + minute)).collect()
    }

    /// Returns when the open window began and when it ends; `None` where none is open or there is none.
    pub(super) fn around(&self, local: NaiveDateTime) -> Option<(NaiveDateTime, NaiveDateTime)> {
        let open = self.0.iter().find(|window| window.is_open(local))?;
        let is_over_midnight = open.start >= open.end;
        let began_today = !is_over_midnight || open.start <= local.time();
        let day = match began_today {
            true => local.date(),
            false => local.date().pred_opt()?,
        };
        let last = if is_over_midnight { day.succ_opt()? } else { day };
        Some((day.and_time(open.start), last.and_time(open.end)))
    }
}

impl Window {
    fn is_open(&self, local: NaiveDateTime) -> bool {
        let time = local.time();
        let begins_on =
            |day: Option<chrono::NaiveDate>| day.is_some_and(|d| self.days.contains(&d.weekday()));
        let today = || begins_on(Some(local.date()));
        match self.start < self.end {
            true => today() && self.start <= time && time < self.end,
            false => {
                let since_yesterday = || begins_on(local.date().checked_sub_days(Days::new(1)));
                (self.start <= time && today()) || (time < self.end && since_yesterday())
            }
        }
    }
}

impl FromStr for Windows {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let mut windows = Vec::new();
        // Days on their own belong to the next time: `Sat,Sun 10:00-12:00`.
        let mut days: Vec<Weekday> = Vec::new();
        let mut last = "";
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let bad = || NotAWindow { found: item.to_owned() };
            let (named, times) = match item.rsplit_once(char::is_whitespace) {
                Some((named, times)) => (Some(named), Some(times)),
                None if item.contains(':') => (None, Some(item)),
                None => (Some(item), None),
            };
            for named in named.into_iter().flat_map(str::split_whitespace) {
                days.extend(weekdays(named).ok_or_else(bad)?);
            }
            last = item;
            let Some(times) = times else { continue };
            let (start, end) = span(times).ok_or_else(bad)?;
            let of = if days.is_empty() { WEEK.to_vec() } else { std::mem::take(&mut days) };
            windows.push(Window { days: of, start, end });
        }
        match days.is_empty() {
            true => Ok(Self(windows)),
            false => Err(NotAWindow { found: last.to_owned() }),
        }
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, window) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            f.write_str(separator)?;
            if window.days.len() < WEEK.len() {
                let days: Vec<_> = window.days.iter().map(ToString::to_string).collect();
                write!(f, "{} ", days.join(","))?;
            }
            write!(f, "{}-{}", window.start.format("%H:%M"), window.end.format("%H:%M"))?;
        }
        Ok(())
    }
}

/// `Mon` or `Fri-Mon`.
fn weekdays(text: &str) -> Option<Vec<Weekday>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (Weekday, Weekday) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let mut days = vec![first];
    let mut day = first;
    while day != last {
        day = day.succ();
        days.push(day);
    }
    Some(days)
}

/// `22:00-06:00`; `24:00` is midnight.
fn span(text: &str) -> Option<(NaiveTime, NaiveTime)> {
    let (start, end) = text.split_once('-')?;
    let time = |text: &str| match text.trim() {
        "24:00" => Some(NaiveTime::MIN),
        text => NaiveTime::parse_from_str(text, "%H:%M").ok(),
    };
    Some((time(start)?, time(end)?))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use chrono_tz::{Europe::Berlin, Europe::Moscow, Tz};

    use super::*;

    #[test]
    fn no_window_is_always_open() {
        for text in ["", "  ", ","] {
            assert!(is_open(text, "2026-11-23T12:00:00"), "{text:?}");
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
        let friday_night = "Fri 22:00-06:00";
        for (local, open) in [
            ("2026-11-27T21:59:59", false),
            ("2026-11-27T22:00:00", true),
            ("2026-11-28T05:59:59", true),
            ("2026-11-28T06:00:00", false),
            ("2026-11-28T22:00:00", false),
            ("2026-11-27T03:00:00", false),
        ] {
            assert_eq!(is_open(friday_night, local), open, "{local}");
        }
    }

    #[test]
    fn several_windows_and_ranges_of_days_are_understood() {
        for (text, local, open) in [
            ("22:00-06:00", "2026-11-23T23:00:00", true),
            ("22:00-06:00", "2026-11-23T12:00:00", false),
            ("Mon-Fri 01:00-05:00", "2026-11-28T02:00:00", false),
            ("Sat,Sun 10:00-12:00", "2026-11-29T11:00:00", true),
            ("Sat,Sun 10:00-12:00", "2026-11-30T11:00:00", false),
            ("fri-mon 10:00-12:00", "2026-11-30T11:00:00", true),
            ("01:00-02:00,12:00-13:00", "2026-11-23T12:30:00", true),
            ("00:00-24:00", "2026-11-23T23:59:00", true),
            ("20:00-24:00", "2026-11-23T23:59:00", true),
            ("20:00-24:00", "2026-11-24T00:00:00", false),
        ] {
            assert_eq!(is_open(text, local), open, "{text} at {local}");
        }
    }

    #[test]
    fn a_closed_window_says_when_it_opens() {
        let opens = |text: &str, local: &str| {
            let windows: Windows = text.parse().unwrap();
            windows.opens_after(local.parse().unwrap()).map(|at| at.to_string())
        };
        let friday = "2026-11-27T12:30:30";
        assert_eq!(opens("22:00-06:00", friday).as_deref(), Some("2026-11-27 22:00:00"));
        assert_eq!(opens("Mon-Fri 01:00-05:00", friday).as_deref(), Some("2026-11-30 01:00:00"));
        assert_eq!(opens("Fri 12:00-12:30", friday).as_deref(), Some("2026-12-04 12:00:00"));
        assert_eq!(opens("12:00-13:00", friday).as_deref(), Some("2026-11-27 12:30:30"));
    }

    #[test]
    fn what_is_no_window_is_named() {
        for (text, found) in [
            ("22:00", "22:00"),
            ("25:00-26:00", "25:00-26:00"),
            ("Mon-Fry 01:00-05:00", "Mon-Fry 01:00-05:00"),
            ("01:00-02:00, Sat", "Sat"),
            ("always", "always"),
        ] {
            assert_eq!(text.parse::<Windows>().unwrap_err().found, found, "{text}");
        }
    }

    #[test]
    fn a_window_keeps_local_time_when_the_clocks_change() {
        // In Berlin 2026-10-25 the hour from 02:00 to 03:00 comes twice, on 2026-03-29 it is left out.
        assert_eq!(open_hours("02:00-03:00", Berlin, "2026-10-24T22:00:00Z"), 2);
        assert_eq!(open_hours("02:00-03:00", Berlin, "2026-03-28T23:00:00Z"), 0);
        assert_eq!(open_hours("01:00-04:00", Berlin, "2026-10-24T22:00:00Z"), 4);
        assert_eq!(open_hours("01:00-04:00", Berlin, "2026-03-28T23:00:00Z"), 2);
        assert_eq!(open_hours("01:00-04:00", Moscow, "2026-10-24T21:00:00Z"), 3);
    }

    fn is_open(text: &str, local: &str) -> bool {
        text.parse::<Windows>().unwrap().is_open(local.parse().unwrap())
    }

    /// How many of the 24 hours from `start` begin inside the window.
    fn open_hours(text: &str, zone: Tz, start: &str) -> usize {
        let windows: Windows = text.parse().unwrap();
        let start: DateTime<Utc> = start.parse().unwrap();
        let local = |hour| (start + TimeDelta::hours(hour)).with_timezone(&zone).naive_local();
        (0..24).filter(|hour| windows.is_open(local(*hour))).count()
    }
}
