//! `/set NAME VALUE`: changes a setting while the bot runs.

use super::settings;
use crate::{
    scheduler::{Change, Changed, Group, Setting, Status},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        grammar::{Problem, Rest},
        verb::{Act, Asker, Verb, erase},
        view::View,
        words::{Arg, args, format::code},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "set",
    usage: "/set NAME VALUE|default|empty",
    examples: &["/set MAX_MIGRATIONS_PER_CYCLE 20", "/set PIN_VMS empty", "/set PIN_VMS default"],
    least_role: Role::Admin,
    read: |rest| Set::read(rest).map(erase),
    button: None,
};

#[derive(Debug, PartialEq, Eq)]
struct Set {
    name: String,
    /// `None` takes the chat's value back.
    value: Option<String>,
}

impl Set {
    /// The value is all that follows: times and lists have blanks in them. `NAME=VALUE` is understood too.
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        let mut name = rest.next_word().ok_or(Problem::Missing)?.text;
        let mut words = Vec::new();
        if let Some((before, behind)) = name.clone().split_once('=') {
            name = before.to_owned();
            words.extend(Some((behind.to_owned(), true)).filter(|(text, _)| !text.is_empty()));
        }
        while let Some(word) = rest.next_word() {
            words.push((word.text, word.quoted));
        }
        let value = match words.as_slice() {
            [] => return Err(Problem::Missing),
            [(word, false)] if word.eq_ignore_ascii_case("default") => None,
            [(word, false)] if word.eq_ignore_ascii_case("empty") => Some(String::new()),
            words => Some(words.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(" ")),
        };
        Ok(Self { name, value })
    }
}

impl Act for Set {
    /// Somebody may try to set a secret: what is refused must not stay in the audit. What is changed has an entry of
    /// its own.
    fn audit_text(&self, _: &str) -> String {
        format!("/set {} …", self.name)
    }

    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let Self { name, value } = *self;
        let asked = name.to_uppercase();
        let then = Then::new(move |(changed, _): (Changed, Box<Status>), view: &View, _| {
            Answer::Page(match changed {
                Changed::Setting { before, now } => {
                    let was = Setting { value: before, ..(*now).clone() };
                    let (name, value) = (Arg::Html(code(now.name)), Arg::Html(view.setting_value(&now)));
                    let was = Arg::Html(view.setting_value(&was));
                    let mut lines =
                        vec![view.say("setting-set", args![name = name, value = value, was = was])];
                    lines.extend(settings::source(view, &now));
                    lines.extend(settings::warning(view, &now));
                    let when = match now.group {
                        Group::Thresholds | Group::Moves | Group::Places => "setting-set-when",
                        Group::Times | Group::Chat => "setting-set-now",
                    };
                    lines.push(view.say(when, args![]));
                    let row = view.button("button-setting-show", format!("set:n:{}", now.name));
                    view.page(lines).with_row(vec![row])
                }
                Changed::Already | Changed::Done | Changed::Nodes(_) | Changed::Vms(_) => {
                    view.change_answer(&Changed::Already, code(&asked))
                }
            })
        });
        Next::Ask(Ask::Change(Change::Set { name, value }, then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        scheduler::{ExpectedValue, FoundValue, Refused, Unsettable},
        talk::verbs::tests::{Found, answers, answers_to, problem},
    };

    #[test]
    fn the_value_is_all_that_follows_the_name() {
        let read = |text: &str| Set::read(Rest::of(text).unwrap()).unwrap();
        let set =
            |name: &str, value: Option<&str>| Set { name: name.into(), value: value.map(str::to_owned) };
        let window = "Mon-Fri 01:00-05:00, Sat 22:00-06:00";
        assert_eq!(read(&format!("BALANCE_WINDOW {window}")), set("BALANCE_WINDOW", Some(window)));
        assert_eq!(read("PIN_VMS=web-*"), set("PIN_VMS", Some("web-*")));
        assert_eq!(read("PIN_VMS default"), set("PIN_VMS", None));
        assert_eq!(read("PIN_VMS empty"), set("PIN_VMS", Some("")));
        assert_eq!(read("PIN_VMS \"default\""), set("PIN_VMS", Some("default")), "a VM of that name");
        assert_eq!(problem("/set"), Problem::Missing);
        assert_eq!(problem("/set PIN_VMS"), Problem::Missing);
    }

    #[test]
    fn what_was_refused_leaves_no_value_in_the_audit() {
        let act = Set { name: "VMMANAGER_PASSWORD".into(), value: Some("deep".into()) };
        assert_eq!(act.audit_text("/set VMMANAGER_PASSWORD deep"), "/set VMMANAGER_PASSWORD …");
    }

    #[test]
    fn the_change_and_every_refusal_are_said() {
        let name = || "XYZ".to_owned();
        let refusals = [
            Unsettable::Unknown { name: name(), similar: None },
            Unsettable::Unknown { name: name(), similar: Some("PIN_VMS".into()) },
            Unsettable::Secret { name: name() },
            Unsettable::AtStart { name: name() },
            Unsettable::ByCommand { name: "BALANCE_MODE".into(), command: "/mode".into() },
            Unsettable::Value {
                name: name(),
                found: FoundValue::Text("x".into()),
                expected: ExpectedValue::Seconds { least: 1 },
            },
        ];
        let refused = refusals.map(|why| {
            answers_to("/set X 1", Found { refused: Some(Refused::Unsettable(why)), ..Found::default() })
        });
        let already = Found { changed: Changed::Already, ..Found::default() };
        let texts = [answers("/set max_migrations_per_cycle 20"), answers_to("/set PIN_VMS a", already)];
        insta::assert_snapshot!(texts.into_iter().chain(refused).collect::<Vec<_>>().join("\n"));
    }
}
