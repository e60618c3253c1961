//! What a command is made of. Each command has a file of its own in [`super::verbs`]; nothing else lists them.

use chrono::{DateTime, Utc};

use super::{
    access::{Place, Role},
    ask::{Answer, Ask, Next, Then},
    grammar::{Problem, Rest},
    view::{Page, View},
};
use crate::{
    model::Person,
    scheduler::{Picture, Status},
    store::Proposal,
};

/// A command: how it is written, who may use it and what it leads to.
#[derive(Debug)]
pub(super) struct Verb {
    /// The word behind the `/`. The text `help-WORD` tells what the command does.
    pub word: &'static str,
    /// How the command is written.
    pub usage: &'static str,
    /// Some ways to write it that are not obvious from the usage.
    pub examples: &'static [&'static str],
    /// The least role for which `/help` shows the command.
    pub least_role: Role,
    /// Reads the words behind the command.
    pub read: fn(Rest) -> Result<Box<dyn Act>, Problem>,
    /// The kind of button that does the same, where there is one.
    pub button: Option<ButtonKind>,
}

/// A kind of button: how its data begins, and how the rest of the data is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ButtonKind {
    /// What stands before the first `:` of the data.
    pub mark: &'static str,
    /// Reads what follows; `None` for what this program does not write.
    pub read: fn(&str) -> Option<Box<dyn Act>>,
}

/// What somebody asked for, read in full.
pub(super) trait Act: Send {
    /// Returns the least role that may ask for this. `usual` is the role of the command.
    fn least_role(&self, usual: Role) -> Role {
        usual
    }

    /// Returns how the audit has it.
    fn audit_text(&self, text: &str) -> String {
        text.to_owned()
    }

    /// Returns the answer, or what must be asked for one.
    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next;
}

/// The person who wrote or pressed, where, and what the store has for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub view: View,
    pub now: DateTime<Utc>,
    pub person: &'a Person,
    pub role: Role,
    pub place: Place,
    pub thread: Option<i32>,
    /// The proposal that a press names, if the store has it.
    pub proposal: Option<&'a Proposal>,
}

/// The frame of most commands: what was read is a question, and the command's own role is enough for it.
pub(super) fn asks(ask: impl FnOnce(&Asker<'_>) -> Ask + Send + 'static) -> Box<dyn Act> {
    struct Asks<F>(F);

    impl<F: FnOnce(&Asker<'_>) -> Ask + Send> Act for Asks<F> {
        fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
            Next::Ask((self.0)(asker))
        }
    }

    Box::new(Asks(ask))
}

/// The frame of commands about something with a name: the last picture answers, and a look follows where it is old.
pub(super) fn asks_about(
    named: String,
    page: fn(&str, &Picture, &View, DateTime<Utc>) -> Page,
) -> Box<dyn Act> {
    let answer = move |status: Status, view: &View, now| {
        Answer::Page(view.of_picture(&status, |picture| page(&named, picture, view, now)))
    };
    asks(|_| Ask::Glance(Then::new(answer), None))
}

/// Forgets of which kind an act is.
pub(super) fn erase<A: Act + 'static>(act: A) -> Box<dyn Act> {
    Box::new(act)
}
