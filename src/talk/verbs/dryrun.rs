//! `/dryrun [on|off]`: whether nothing is carried out.

use crate::{
    scheduler::{Change, Status},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        grammar::{Problem, Rest},
        verb::{Act, Asker, Verb, erase},
        view::View,
        words::args,
    },
};

pub(super) static VERB: Verb = Verb {
    word: "dryrun",
    usage: "/dryrun [on|off]",
    examples: &["/dryrun", "/dryrun on"],
    least_role: Role::Operator,
    read: |rest| DryRun::read(rest).map(erase),
    button: None,
};

#[derive(Debug, PartialEq, Eq)]
enum DryRun {
    Look,
    Turn { on: bool },
}

impl DryRun {
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        match rest.next_of(&["on", "off"])? {
            None => Ok(Self::Look),
            Some(word) => rest.end(Self::Turn { on: word == "on" }),
        }
    }
}

impl Act for DryRun {
    /// Turning it on only keeps things from happening, and looking changes nothing.
    fn least_role(&self, usual: Role) -> Role {
        match self {
            Self::Look => Role::Viewer,
            Self::Turn { on: true } => usual,
            Self::Turn { on: false } => Role::Admin,
        }
    }

    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        Next::Ask(match *self {
            Self::Look => Ask::Status(Then::new(|status: Status, view, _| {
                let key = if status.dry_run { "dry-run-is-on" } else { "dry-run-is-off" };
                Answer::Page(view.line(view.say(key, args![])))
            })),
            Self::Turn { on } => Ask::Change(
                Change::DryRun(on),
                Then::new(move |(changed, _), view: &View, _| {
                    let key = if on { "setting-dry-run-on" } else { "setting-dry-run-off" };
                    Answer::Page(view.change_answer(&changed, view.say(key, args![])))
                }),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::tests::{answers, read};

    #[test]
    fn it_is_begun_by_an_operator_and_ended_by_an_admin() {
        let role = |text: &str| {
            let (verb, act) = read(text);
            act.least_role(verb.least_role)
        };
        assert_eq!(role("/dryrun on"), Role::Operator);
        assert_eq!(role("/dryrun OFF"), Role::Admin);
        assert_eq!(role("/dryrun"), Role::Viewer);
    }

    #[test]
    fn what_holds_is_said() {
        let texts = ["/dryrun", "/dryrun on", "/dryrun off"].map(answers);
        insta::assert_snapshot!(texts.join("\n"));
    }
}
