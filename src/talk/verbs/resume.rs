//! `/resume`: automatic cycles go on; failures are forgiven.

use crate::{
    scheduler::{Change, Changed, Status},
    store::Mode,
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        verb::{Act, Asker, Verb, erase},
        view::View,
        words::args,
    },
};

pub(super) static VERB: Verb = Verb {
    word: "resume",
    usage: "/resume",
    examples: &[],
    least_role: Role::Operator,
    read: |rest| rest.end(Resume).map(erase),
    button: None,
};

struct Resume;

impl Act for Resume {
    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        // A restored store may have forgotten what was ordered: that needs the word of an admin.
        let confirms_restored = asker.role >= Role::Admin;
        let then = Then::new(|(changed, status): (Changed, Box<Status>), view: &View, _| {
            let mut page = view.change_answer(&changed, view.say("setting-resumed", args![]));
            if status.mode == Mode::Off {
                page = view.line(view.say("setting-resumed-off", args![]));
            }
            Answer::Page(page)
        });
        Next::Ask(Ask::Change(Change::Resume { confirms_restored }, then))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        scheduler::Changed,
        talk::{
            grammar::Problem,
            verbs::tests::{Found, answers, answers_to, problem},
        },
    };

    #[test]
    fn it_says_where_it_was_so_already() {
        let already = Found { changed: Changed::Already, ..Found::default() };
        insta::assert_snapshot!([answers("/resume"), answers_to("/resume", already)].join("\n"));
    }

    #[test]
    fn it_takes_no_words() {
        assert_eq!(problem("/resume now"), Problem::TooMuch("now".into()));
    }
}
