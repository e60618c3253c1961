//! `/help [command]`: what this role can do, or how one command is used.

use super::{ALL, find_by_word, similar_to};
use crate::talk::{
    access::Role,
    ask::{Answer, Next},
    grammar::{Problem, Rest},
    verb::{Act, Asker, Verb, erase},
    view::{Page, View},
    words::{Arg, args, escape, format::code},
};

pub(super) static VERB: Verb = Verb {
    word: "help",
    usage: "/help [command]",
    examples: &["/help exclude"],
    least_role: Role::Viewer,
    read: |rest| Help::read(rest).map(erase),
    button: None,
};

struct Help {
    about: Option<&'static Verb>,
}

impl Help {
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        let Some(word) = rest.next_word() else { return Ok(Self { about: None }) };
        let asked = word.text.trim_start_matches('/').to_lowercase();
        let verb = find_by_word(&asked).ok_or_else(|| Problem::NoSuchCommand {
            similar: similar_to(&asked).map(|verb| verb.usage),
            found: asked,
        })?;
        rest.end(Self { about: Some(verb) })
    }
}

impl Act for Help {
    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        let view = &asker.view;
        Next::Say(Answer::Page(match self.about {
            Some(verb) => one(view, verb),
            None => commands(view, view.say("help", args![]), asker.role),
        }))
    }
}

/// Returns what a role can do, one command per line.
pub(super) fn commands(view: &View, opening: String, role: Role) -> Page {
    let mut lines = vec![opening];
    lines.push(view.say("your-role", args![role = Arg::Html(view.role(role))]));
    lines.push(String::new());
    let may = ALL.into_iter().filter(|verb| verb.least_role <= role);
    lines.extend(may.map(|verb| format!("{} — {}", escape(verb.usage), view.about(verb))));
    view.page(lines)
}

/// Returns what one command does, how it is written and who may use it.
fn one(view: &View, verb: &Verb) -> Page {
    let mut lines = vec![code(verb.usage), view.about(verb)];
    if !verb.examples.is_empty() {
        let examples = verb.examples.iter().map(|example| code(example)).collect::<Vec<_>>().join(", ");
        lines.push(view.say("help-examples", args![examples = Arg::Html(examples)]));
    }
    lines.push(view.say("help-needs", args![role = Arg::Html(view.role(verb.least_role))]));
    view.page(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::tests::{answers, problem};

    #[test]
    fn one_command_is_explained_with_examples() {
        insta::assert_snapshot!(answers("/help /exclude"));
    }

    #[test]
    fn a_command_that_does_not_exist_gets_a_suggestion() {
        let similar = Some("/balance [cluster]");
        assert_eq!(problem("/help balanse"), Problem::NoSuchCommand { found: "balanse".into(), similar });
        assert_eq!(problem("/help status now"), Problem::TooMuch("now".into()));
    }
}
