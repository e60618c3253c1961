//! `/exclude NODE [source|target|both] [2h]`: closes a node, or all that match a pattern now, for automatic and
//! asked-for plans.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    planner::Direction,
    scheduler::{Change, Changed},
    talk::{
        access::Role,
        ask::{Answer, Ask, Then},
        grammar::{Problem, Rest},
        verb::{Verb, asks},
        view::View,
        words::{Arg, args},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "exclude",
    usage: "/exclude NODE|PATTERN [source|target|both] [2h]",
    examples: &[
        "/exclude kvm-01",
        "/exclude kvm-01 target 2h",
        "/exclude \"rack 5\" source",
        "/exclude kvm-*",
    ],
    least_role: Role::Operator,
    read: |rest| Exclude::read(rest).map(|exclude| asks(|asker| exclude.ask(asker.now))),
    button: None,
};

const DIRECTIONS: &[&str] = &["source", "target", "both"];

#[derive(Debug, PartialEq, Eq)]
struct Exclude {
    node: String,
    direction: Direction,
    lasts: Option<TimeDelta>,
}

impl Exclude {
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        let node = rest.next_word().ok_or(Problem::Missing)?.text;
        let mut direction = None;
        let mut lasts = rest.next_time()?;
        if let Some(word) = rest.next_of(DIRECTIONS)? {
            direction = Some(match word {
                "source" => Direction::Source,
                "target" => Direction::Target,
                _ => Direction::Both,
            });
        }
        if lasts.is_none() {
            lasts = rest.next_time()?;
        }
        rest.end(Self { node, direction: direction.unwrap_or(Direction::Both), lasts })
    }

    fn ask(self, now: DateTime<Utc>) -> Ask {
        let Self { node, direction, lasts } = self;
        let until = lasts.map(|lasts| now + lasts);
        let asked = node.clone();
        let then = Then::new(move |(changed, _): (Changed, _), view: &View, now| {
            let named = changed.node_names();
            let n = named.len().max(1);
            let node = Arg::Html(view.nodes(&named, &asked));
            let direction = Arg::Html(view.direction(direction));
            let line = match until {
                Some(until) => view.say(
                    "setting-excluded-until",
                    args![n = n, node = node, direction = direction, until = view.time(until, now)],
                ),
                None => view.say("setting-excluded", args![n = n, node = node, direction = direction]),
            };
            Answer::Page(view.change_answer(&changed, line))
        });
        Ask::Change(Change::Exclude { node, direction, until }, then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            NodeId,
            find::{Choice, Kind, Missed, MissedWhy},
        },
        scheduler::Refused,
        talk::verbs::tests::{Found, answers, answers_to},
    };

    #[test]
    fn it_closes_both_ways_unless_asked_otherwise() {
        let both = Exclude { node: "12".into(), direction: Direction::Both, lasts: None };
        assert_eq!(read("12"), Ok(both));
        assert_eq!(read(""), Err(Problem::Missing));
        assert_eq!(read("12 target source"), Err(Problem::TooMuch("source".into())));
    }

    #[test]
    fn direction_and_time_come_in_any_order() {
        let lasts = Some(TimeDelta::hours(2));
        let expected = || Ok(Exclude { node: "rack 5".into(), direction: Direction::Target, lasts });
        assert_eq!(read("\"rack 5\" target 2h"), expected());
        assert_eq!(read("«rack 5» 2ч TARGET"), expected());
    }

    #[test]
    fn what_a_pattern_closed_is_named() {
        let nodes = vec![(NodeId(10), "kvm-01".into()), (NodeId(11), "KVM-02".into())];
        let found = || Found { changed: Changed::Nodes(nodes.clone()), ..Found::default() };
        let missed = Missed {
            kind: Kind::Node,
            wanted: "kvn-*".into(),
            why: MissedWhy::Unknown {
                similar: vec![Choice {
                    kind: Kind::Node,
                    id: 10,
                    name: "kvm-01".into(),
                    cluster: Some("msk".into()),
                }],
                known: Vec::new(),
            },
        };
        let none = Found { refused: Some(Refused::Missed(missed)), ..Found::default() };
        let texts = [
            answers_to("/exclude kvm-*", found()),
            answers_to("/exclude kvm-* target 2h", found()),
            answers_to("/exclude kvn-*", none),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn what_is_closed_and_until_when_is_said() {
        let texts = ["/exclude kvm-01", "/exclude kvm-01 target", "/exclude kvm-01 2h"].map(answers);
        insta::assert_snapshot!(texts.join("\n"));
    }

    fn read(text: &str) -> Result<Exclude, Problem> {
        Exclude::read(Rest::of(text)?)
    }
}
