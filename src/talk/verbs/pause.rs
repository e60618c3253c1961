//! `/pause [2h] [reason]`: automatic cycles stop for a while.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    scheduler::{Change, Changed, Status},
    talk::{
        access::Role,
        ask::{Answer, Ask, Then},
        grammar::{Problem, Rest},
        verb::{Verb, asks},
        view::View,
        words::args,
    },
};

pub(super) static VERB: Verb = Verb {
    word: "pause",
    usage: "/pause [2h] [reason]",
    examples: &["/pause", "/pause 1h30m network works"],
    least_role: Role::Operator,
    read: |rest| Pause::read(rest).map(|pause| asks(|asker| pause.ask(asker.now))),
    button: None,
};

#[derive(Debug, PartialEq, Eq)]
struct Pause {
    lasts: Option<TimeDelta>,
    reason: Option<String>,
}

impl Pause {
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        let lasts = rest.next_time()?;
        Ok(Self { lasts, reason: rest.join_rest() })
    }

    fn ask(self, now: DateTime<Utc>) -> Ask {
        let until = self.lasts.map(|lasts| now + lasts);
        let then = Then::new(move |(_, status): (Changed, Box<Status>), view: &View, now| {
            let line = match until {
                Some(until) => view.say("setting-paused-until", args![until = view.time(until, now)]),
                None => view.say("setting-paused", args![]),
            };
            let mut lines = vec![line];
            if !status.running.is_empty() {
                lines.push(view.say("setting-paused-runs", args![]));
                lines.extend(status.running.iter().flat_map(|entry| view.running_lines(entry, now)));
            }
            Answer::Page(view.page(lines))
        });
        Ask::Change(Change::Pause { until, reason: self.reason }, then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::tests::answers;

    #[test]
    fn it_may_have_a_time_and_a_reason() {
        let read = |text| Pause::read(Rest::of(text).unwrap());
        let (hour_and_half, reason) = (Some(TimeDelta::minutes(90)), |text: &str| Some(text.to_owned()));
        assert_eq!(read(""), Ok(Pause { lasts: None, reason: None }));
        let works = Pause { lasts: hour_and_half, reason: reason("network works") };
        assert_eq!(read("1h30m network works"), Ok(works));
        let quoted = Pause { lasts: None, reason: reason("3 nodes are new") };
        assert_eq!(read("\"3 nodes are new\""), Ok(quoted));
        assert_eq!(read("30"), Err(Problem::NotATime("30".into())));
    }

    #[test]
    fn its_end_is_said() {
        insta::assert_snapshot!(["/pause", "/pause 2h"].map(answers).join("\n"));
    }
}
