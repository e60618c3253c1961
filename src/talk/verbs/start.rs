//! `/start`: who the bot is, and what this role can do.

use super::help;
use crate::talk::{
    access::Role,
    ask::{Answer, Next},
    verb::{Act, Asker, Verb, erase},
    words::args,
};

pub(super) static VERB: Verb = Verb {
    word: "start",
    usage: "/start",
    examples: &[],
    least_role: Role::Viewer,
    // A deep link puts a payload behind `/start`. It has no meaning here.
    read: |_| Ok(erase(Start)),
    button: None,
};

struct Start;

impl Act for Start {
    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        let opening = asker.view.say("start", args![]);
        Next::Say(Answer::Page(help::commands(&asker.view, opening, asker.role)))
    }
}
