//! `/at`: a plan that waits is approved, to begin at a time of the day.

use chrono::{DateTime, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::{
    scheduler::{Approved, PlanOf},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        grammar::Problem,
        verb::{Act, Asker, Verb, erase},
        view::View,
        words::{args, format::name},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "at",
    usage: "/at HH:MM [PLAN|CLUSTER]",
    examples: &["/at 05:00", "/at 23:30 12"],
    least_role: Role::Operator,
    read: |mut rest| {
        let time = rest.next_word().ok_or(Problem::Missing)?.text;
        let time = NaiveTime::parse_from_str(&time, "%H:%M").map_err(|_| Problem::NotATimeOfDay(time))?;
        let called = rest.next_word().map(|word| word.text);
        rest.end(At { time, called }).map(erase)
    },
    button: None,
};

struct At {
    time: NaiveTime,
    called: Option<String>,
}

impl Act for At {
    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        let at = next(self.time, asker.now, asker.view.timezone);
        let then = move |(plan, approved): (PlanOf, Approved), view: &View, now| {
            let about = |key| {
                let cluster = name(&plan.cluster);
                view.say(key, args![plan = plan.plan.to_string(), cluster = cluster, at = view.time(at, now)])
            };
            Answer::Page(view.line(match approved {
                Approved::Started | Approved::Later(_) => about("at-approved"),
                Approved::Counted { have, need } => {
                    let counted = view.say("press-counted", args![have = have, need = need]);
                    format!("{} {counted}", about("at-counted"))
                }
            }))
        };
        Next::Ask(Ask::ApproveAt(self.called, at, Then::new(then)))
    }
}

/// Returns the next moment at which a clock in that zone shows this time.
fn next(time: NaiveTime, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let today = now.with_timezone(&zone).date_naive();
    let on = |days: i64| {
        let local = (today + TimeDelta::days(days)).and_time(time);
        // A time that the clocks skip is the one that they show instead.
        let found = zone.from_local_datetime(&local).earliest();
        let found = found.or_else(|| zone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest());
        found.map_or(now, |at| at.with_timezone(&Utc))
    };
    [0, 1, 2].map(on).into_iter().find(|at| *at > now).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::tests::{answers, problem};

    #[test]
    fn the_plan_and_its_time_are_named() {
        insta::assert_snapshot!(["/at 05:00", "/at 23:30 12", "/at 5am", "/at"].map(answers).join("\n"));
        assert_eq!(problem("/at 25:00"), Problem::NotATimeOfDay("25:00".into()));
    }

    #[test]
    fn a_time_is_the_next_one_by_the_clock_on_the_wall() {
        let berlin = chrono_tz::Europe::Berlin;
        let next = |time: &str, now: &str| {
            let time = NaiveTime::parse_from_str(time, "%H:%M").unwrap();
            next(time, now.parse().unwrap(), berlin).to_rfc3339()
        };
        assert_eq!(next("05:00", "2026-11-23T20:15:00Z"), "2026-11-24T04:00:00+00:00");
        assert_eq!(next("23:00", "2026-11-23T20:15:00Z"), "2026-11-23T22:00:00+00:00");
        assert_eq!(next("21:15", "2026-11-23T20:15:00Z"), "2026-11-24T20:15:00+00:00", "not at once");
        // In that night 02:00 to 03:00 is left out.
        assert_eq!(next("02:30", "2026-03-28T22:00:00Z"), "2026-03-29T01:30:00+00:00");
    }
}
