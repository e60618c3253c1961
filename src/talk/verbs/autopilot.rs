//! `/autopilot`: a standing approval for relief, with limits and an end.

use std::collections::VecDeque;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use crate::{
    planner::{Limits, NotALimit, Used},
    scheduler::{Change, Changed, StandingEnd, StandingNow, StandingState, Status, in_utc},
    store::Mode,
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        grammar::{self, Problem, Rest},
        verb::{Act, Asker, ButtonKind, Verb, erase},
        view::{Button, Page, View},
        words::{Arg, args, format::name},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "autopilot",
    usage: "/autopilot [until TIME|8h] [max N] [max GiB] [only memory|load] [CLUSTER]",
    examples: &["/autopilot until 08:00", "/autopilot 8h max 5 64GiB msk", "/autopilot on", "/autopilot off"],
    least_role: Role::Operator,
    read: |rest| Autopilot::read(rest).map(erase),
    button: Some(ButtonKind { mark: "o", read: |rest| Press::read(rest).map(erase) }),
};

/// The end of an approval that names none: a night, and over by the middle of the next day.
const LASTS: TimeDelta = TimeDelta::hours(12);

#[derive(Debug, PartialEq, Eq)]
enum Autopilot {
    Show,
    Off,
    On { until: Until, limits: Limits, cluster: Option<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// The next moment at which the clock shows this.
    At(NaiveTime),
    For(TimeDelta),
}

/// A button under a standing approval; it names the one that was shown.
#[derive(Debug, PartialEq, Eq)]
struct Press {
    tag: String,
    confirms: bool,
}

impl Autopilot {
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        let mut words = VecDeque::new();
        while let Some(word) = rest.next_word() {
            words.push_back(word.text);
        }
        let only = |word: &str| words.len() == 1 && words[0].eq_ignore_ascii_case(word);
        if words.is_empty() {
            return Ok(Self::Show);
        }
        if only("off") {
            return Ok(Self::Off);
        }
        if only("on") {
            words.clear();
        }
        let (mut until, mut limits) = (Until::For(LASTS), Limits::default());
        while let Some(first) = words.front().cloned() {
            if matches!(first.to_lowercase().as_str(), "until" | "до") {
                words.pop_front();
                until = Until::At(time_of_day(&words.pop_front().ok_or(Problem::Missing)?)?);
            } else if limits.take(&mut words).map_err(problem)? {
            } else if first.starts_with(|c: char| c.is_ascii_digit()) {
                words.pop_front();
                until = Until::For(grammar::time(&first)?);
            } else {
                break;
            }
        }
        let cluster = Some(Vec::from(words).join(" ")).filter(|name| !name.is_empty());
        Ok(Self::On { until, limits, cluster })
    }
}

fn time_of_day(word: &str) -> Result<NaiveTime, Problem> {
    let time = NaiveTime::parse_from_str(word, "%H:%M");
    time.map_err(|_| Problem::NotOneOf { found: word.to_owned(), expected: &["08:00"], similar: None })
}

fn problem(NotALimit { found, expected }: NotALimit) -> Problem {
    match found.is_empty() {
        true => Problem::Missing,
        false => Problem::NotOneOf { found, expected, similar: None },
    }
}

impl Until {
    fn after(self, now: DateTime<Utc>, zone: chrono_tz::Tz) -> DateTime<Utc> {
        match self {
            Self::For(lasts) => now + lasts,
            Self::At(time) => {
                let today = now.with_timezone(&zone).date_naive();
                let days = [Some(today), today.succ_opt()].into_iter().flatten();
                let times = days.map(|day| in_utc(day.and_time(time), zone));
                times.into_iter().find(|at| *at > now).unwrap_or(now + LASTS)
            }
        }
    }
}

impl Press {
    fn read(rest: &str) -> Option<Self> {
        let (kind, tag) = rest.split_once(':')?;
        let confirms = match kind {
            "c" => true,
            "x" => false,
            _ => return None,
        };
        let is_tag = tag.len() == 8 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_tag.then(|| Self { tag: tag.to_owned(), confirms })
    }
}

impl Act for Autopilot {
    /// Everybody may see what is approved.
    fn least_role(&self, usual: Role) -> Role {
        match self {
            Self::Show => Role::Viewer,
            Self::Off | Self::On { .. } => usual,
        }
    }

    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        let shown = |(_, status): (Changed, Box<Status>), view: &View, _: DateTime<Utc>| {
            Answer::Page(view.standing_page(&status))
        };
        Next::Ask(match *self {
            Self::Show => {
                Ask::Status(Then::new(|status, view: &View, _| Answer::Page(view.standing_page(&status))))
            }
            Self::Off => Ask::Change(
                Change::EndStanding { tag: None },
                Then::new(|(changed, status): (Changed, Box<Status>), view: &View, now| {
                    let mut lines = vec![view.say("autopilot-off", args![])];
                    if changed == Changed::Already {
                        lines = vec![view.say("setting-already", args![said = lines.remove(0)])];
                    }
                    if !status.running.is_empty() {
                        lines.push(view.say("setting-paused-runs", args![]));
                        lines.extend(status.running.iter().flat_map(|entry| view.running_lines(entry, now)));
                    }
                    Answer::Page(view.page(lines))
                }),
            ),
            Self::On { until, limits, cluster } => {
                let until = until.after(asker.now, asker.view.timezone);
                Ask::Change(Change::AskStanding { limits, cluster, until }, Then::new(shown))
            }
        })
    }
}

impl Act for Press {
    fn audit_text(&self, _: &str) -> String {
        let what = if self.confirms { "confirm" } else { "off" };
        format!("/autopilot {what}")
    }

    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let Self { tag, confirms } = *self;
        let change = match confirms {
            true => Change::ConfirmStanding { tag },
            false => Change::EndStanding { tag: Some(tag) },
        };
        let shown = move |(_, status): (Changed, Box<Status>), view: &View, _| {
            Answer::Rewrite(match confirms {
                true => view.standing_page(&status),
                false => view.line(view.say("autopilot-off", args![])),
            })
        };
        Next::Ask(Ask::Change(change, Then::new(shown)))
    }
}

impl View {
    /// Every standing approval with its limits and what is used of them.
    fn standing_page(&self, status: &Status) -> Page {
        let now = status.now;
        let mut lines = Vec::new();
        for standing in &status.standing {
            lines.extend((!lines.is_empty()).then(String::new));
            lines.extend(self.standing_lines(standing, now));
        }
        if lines.is_empty() {
            lines.push(self.say("autopilot-none", args![]));
        } else if status.mode != Mode::Propose {
            let mode = Arg::Html(self.mode(status.mode));
            lines.push(self.say("autopilot-other-mode", args![mode = mode]));
        }
        lines.extend(status.pause.iter().flat_map(|pause| self.pause_lines(pause, now)));
        let page = self.page(lines);
        match status.standing.iter().find_map(|standing| self.standing_buttons(standing)) {
            Some(row) => page.with_row(row),
            None => page,
        }
    }

    fn standing_buttons(&self, standing: &StandingNow) -> Option<Vec<Button>> {
        let tag = standing.tag.as_ref()?;
        let end = self.button("button-autopilot-end", format!("o:x:{tag}"));
        match standing.state {
            StandingState::Asked { .. } => {
                Some(vec![self.button("button-confirm", format!("o:c:{tag}")), end])
            }
            StandingState::InForce(_) => Some(vec![end]),
            StandingState::Ended(_) => None,
        }
    }

    fn standing_lines(&self, standing: &StandingNow, now: DateTime<Utc>) -> Vec<String> {
        let StandingNow { by, people, until, limits, cluster_name, used, state, tag: _ } = standing;
        let until = self.time(*until, now);
        let mut lines = vec![match state {
            StandingState::Asked { .. } => self.say("autopilot-asked", args![until = until]),
            StandingState::InForce(_) => self.say("autopilot-on", args![until = until]),
            StandingState::Ended(end) => self.standing_end(*end),
        }];
        lines.push(match by {
            Some(by) => {
                let who = Arg::Html(self.people(std::slice::from_ref(by)));
                self.say("autopilot-by", args![who = who])
            }
            None => self.say("autopilot-by-configuration", args![]),
        });
        if !people.is_empty() {
            lines.push(self.say("autopilot-confirmed", args![who = Arg::Html(self.people(people))]));
        }
        if let StandingState::Asked { have, need, expires_at } = state {
            let expires = self.time(*expires_at, now);
            lines.push(self.say("autopilot-waits", args![have = *have, need = *need, until = expires]));
        }
        // The message in which it was confirmed is not edited later, so it shows no count.
        let is_used = used.migrations > 0;
        lines.extend(limits.migrations_max.map(|max| match is_used {
            true => self.say("autopilot-migrations", args![used = used.migrations, max = max]),
            false => self.say("autopilot-migrations-max", args![max = max]),
        }));
        lines.extend(limits.ram_max.map(|max| match is_used {
            true => self.say("autopilot-ram", args![used = self.memory(used.ram), max = self.memory(max)]),
            false => self.say("autopilot-ram-max", args![max = self.memory(max)]),
        }));
        lines.extend(
            limits.only.map(|only| self.say("autopilot-only", args![resource = self.resource(only)])),
        );
        lines
            .extend(cluster_name.as_ref().map(|it| self.say("autopilot-cluster", args![cluster = name(it)])));
        lines
    }

    fn standing_end(&self, end: StandingEnd) -> String {
        let key = match end {
            StandingEnd::Unconfirmed => "autopilot-unconfirmed",
            StandingEnd::Time => "autopilot-over",
            StandingEnd::Limits => "autopilot-used-up",
            StandingEnd::Failure => "autopilot-failed",
            StandingEnd::SetBack => "autopilot-set-back",
        };
        self.say(key, args![])
    }

    /// That a standing approval ended by itself, and what it did.
    pub(crate) fn autopilot_ended(&self, end: StandingEnd, moved: Used) -> Page {
        let did = match moved.migrations {
            0 => self.say("autopilot-did-nothing", args![]),
            n => self.say("autopilot-did", args![n = n, memory = self.memory(moved.ram)]),
        };
        self.page(vec![self.standing_end(end), did])
    }

    /// The standing approvals for `/status`, one line each.
    pub(super) fn standing_in_short(&self, status: &Status) -> Vec<String> {
        let news = status.standing.iter().filter(|standing| standing.is_news(status.now));
        let line = |standing: &StandingNow| {
            let StandingNow { until, limits, cluster_name, used, state, .. } = standing;
            let key = match state {
                StandingState::Asked { .. } => "status-autopilot-asked",
                StandingState::InForce(_) => "status-autopilot",
                StandingState::Ended(end) => return self.standing_end(*end),
            };
            let mut facts = vec![self.say(key, args![until = self.time(*until, status.now)])];
            facts.extend(limits.migrations_max.map(|most| {
                self.say("status-autopilot-migrations", args![used = used.migrations, max = most])
            }));
            facts.extend(limits.ram_max.map(|most| {
                self.say("autopilot-ram", args![used = self.memory(used.ram), max = self.memory(most)])
            }));
            facts.extend(limits.only.map(|only| self.resource(only)));
            facts.extend(cluster_name.as_ref().map(|it| crate::talk::words::escape(&name(it))));
            facts.join(", ")
        };
        news.map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        model::{Mib, Person},
        planner::Resource,
        talk::{
            samples,
            verbs::tests::{Found, answers_to, problem},
        },
    };

    #[test]
    fn its_words_may_come_in_any_order_and_the_cluster_is_last() {
        let read = |text| Autopilot::read(Rest::of(text).unwrap());
        let eight = NaiveTime::from_hms_opt(8, 0, 0).unwrap();
        let all = Limits {
            migrations_max: Some(5),
            ram_max: Some(Mib(64 * 1024)),
            only: Some(Resource::Memory),
            cluster: None,
        };
        let full =
            || Autopilot::On { until: Until::At(eight), limits: all.clone(), cluster: Some("rack 5".into()) };
        for text in [
            "until 08:00 max 5 migrations max 64 GiB only memory rack 5",
            "only memory max 64GiB 5 until 08:00 \"rack 5\"",
            "до 08:00 макс 5 миграций 64 ГиБ только память rack 5",
        ] {
            assert_eq!(read(text), Ok(full()), "{text}");
        }
        let short = |until| Autopilot::On { until, limits: Limits::default(), cluster: None };
        assert_eq!(read("8h"), Ok(short(Until::For(TimeDelta::hours(8)))));
        assert_eq!(read("on"), Ok(short(Until::For(LASTS))));
        assert_eq!((read(""), read("OFF")), (Ok(Autopilot::Show), Ok(Autopilot::Off)));
        assert_eq!(problem("/autopilot 8x"), Problem::NotATime("8x".into()));
        assert_eq!(problem("/autopilot until"), Problem::Missing);
        for (text, found) in [("until noon", "noon"), ("max five", "five"), ("only disks", "disks")] {
            let problem = problem(&format!("/autopilot {text}"));
            assert!(
                matches!(&problem, Problem::NotOneOf { found: word, .. } if word == found),
                "{problem:?}"
            );
        }
    }

    #[test]
    fn an_end_by_the_clock_is_the_next_such_moment_in_the_zone_of_the_chat() {
        let zone = chrono_tz::Europe::Moscow;
        let until = |time: &str, now: &str| {
            Until::At(time.parse().unwrap()).after(now.parse().unwrap(), zone).to_rfc3339()
        };
        assert_eq!(until("08:00:00", "2026-11-23T20:15:00Z"), "2026-11-24T05:00:00+00:00");
        assert_eq!(until("08:00:00", "2026-11-24T04:59:59Z"), "2026-11-24T05:00:00+00:00");
        assert_eq!(until("08:00:00", "2026-11-24T05:00:00Z"), "2026-11-25T05:00:00+00:00");
    }

    #[test]
    fn each_state_is_shown_with_its_limits_and_its_buttons() {
        let texts = [
            ("/autopilot", vec![]),
            ("/autopilot 8h max 5 64GiB msk", vec![standing(asked())]),
            ("/autopilot", vec![standing(StandingState::InForce(samples::now())), nightly()]),
            ("/autopilot", vec![standing(StandingState::Ended(StandingEnd::Failure))]),
            ("/autopilot", vec![standing(StandingState::Ended(StandingEnd::Limits))]),
            ("/autopilot", vec![standing(StandingState::Ended(StandingEnd::SetBack))]),
            ("/autopilot off", vec![]),
        ];
        insta::assert_snapshot!(texts.map(|(text, standing)| answers_to(text, found(standing))).join("\n"));
    }

    #[test]
    fn the_status_shows_what_counts_and_what_ended_before_its_time() {
        let short = |state| {
            let status = found(vec![standing(state)]).status;
            crate::talk::Language::ALL
                .map(|language| View::new(language, chrono_tz::UTC).standing_in_short(&status).join("\n"))
                .join("\n")
        };
        let ended = StandingState::Ended;
        let states = [
            asked(),
            StandingState::InForce(samples::now()),
            ended(StandingEnd::Failure),
            ended(StandingEnd::Time),
            ended(StandingEnd::Unconfirmed),
        ];
        insta::assert_snapshot!(states.map(short).join("\n"));
    }

    #[test]
    fn its_buttons_name_the_approval_that_was_shown() {
        for confirms in [true, false] {
            let data = format!("{}:0123abcd", if confirms { "c" } else { "x" });
            assert_eq!(Press::read(&data), Some(Press { tag: "0123abcd".into(), confirms }));
        }
        assert_eq!((Press::read("c:0123"), Press::read("c"), Press::read("y:0123abcd")), (None, None, None));
    }

    fn found(standing: Vec<StandingNow>) -> Found {
        let found = Found::default();
        Found { status: Status { standing, running: Vec::new(), ..found.status }, ..Found::default() }
    }

    fn asked() -> StandingState {
        let expires_at = samples::now() + TimeDelta::minutes(30);
        StandingState::Asked { have: 0, need: 2, expires_at }
    }

    fn standing(state: StandingState) -> StandingNow {
        let boris = Person { id: 43, name: "Boris".into() };
        StandingNow {
            by: Some(samples::anna()),
            people: if matches!(state, StandingState::Asked { .. }) { Vec::new() } else { vec![boris] },
            until: samples::now() + TimeDelta::hours(8),
            limits: Limits {
                migrations_max: Some(5),
                ram_max: Some(Mib(64 * 1024)),
                only: Some(Resource::Memory),
                cluster: Some(crate::model::ClusterId(1)),
            },
            cluster_name: Some("msk".into()),
            used: Used { migrations: 2, ram: Mib(24 * 1024) },
            state,
            tag: Some("0123abcd".into()),
        }
    }

    fn nightly() -> StandingNow {
        StandingNow {
            by: None,
            people: Vec::new(),
            limits: Limits { migrations_max: Some(5), ..Limits::default() },
            cluster_name: None,
            tag: None,
            ..standing(StandingState::InForce(samples::now()))
        }
    }
}
