//! Every command, one file each: its grammar, role, usage, what it asks of the scheduler and what it answers.
//!
//! To add one: its file, its line in [`ALL`] below, its texts in both languages.

mod at;
mod audit;
mod autopilot;
mod balance;
mod cancel;
mod drain;
mod dryrun;
mod exclude;
mod exclusions;
mod help;
mod history;
mod include;
mod lang;
pub(super) mod link;
mod maintenance;
mod mode;
mod node;
mod pause;
mod reject;
mod rests;
mod resume;
mod running;
mod set;
mod settings;
mod start;
mod status;
mod vm;
mod whatif;
mod whoami;
mod why;

pub(super) use balance::refusal;
pub(super) use cancel::cancel_by_press;
pub use history::HistoryPage;

use crate::model::alike::closest;

use super::{
    access::{Place, Role},
    chart,
    grammar::{Problem, Rest},
    hand, proposal,
    verb::{Act, Verb},
};

/// Every command in the order of `/help`.
pub(super) static ALL: [&Verb; 29] = [
    &status::VERB,
    &node::VERB,
    &vm::VERB,
    &why::VERB,
    &whatif::VERB,
    &history::VERB,
    &running::VERB,
    &exclusions::VERB,
    &rests::VERB,
    &settings::VERB,
    &balance::VERB,
    &drain::VERB,
    &maintenance::VERB,
    &at::VERB,
    &reject::VERB,
    &cancel::VERB,
    &pause::VERB,
    &resume::VERB,
    &exclude::VERB,
    &include::VERB,
    &dryrun::VERB,
    &mode::VERB,
    &autopilot::VERB,
    &set::VERB,
    &audit::VERB,
    &lang::VERB,
    &whoami::VERB,
    &help::VERB,
    &start::VERB,
];

/// What a text turned out to be.
pub(super) enum Parsed {
    /// It does not start with `/`.
    NotACommand,
    /// It names another bot.
    ForAnotherBot,
    Known {
        verb: &'static Verb,
        act: Box<dyn Act>,
    },
    Unknown {
        typed: String,
        similar: Option<&'static Verb>,
    },
    Malformed {
        verb: &'static Verb,
        problem: Problem,
    },
}

impl Parsed {
    /// Tells whether the bot is spoken to: in a group only by commands, in private by everything.
    pub(super) fn is_for_us(&self, place: Place) -> bool {
        match self {
            Self::NotACommand => place.private,
            Self::ForAnotherBot => false,
            Self::Known { .. } | Self::Unknown { .. } | Self::Malformed { .. } => true,
        }
    }
}

/// A button that was pressed.
pub(super) struct Pressed {
    /// What it is called in the log.
    pub word: &'static str,
    /// The least role that may press it.
    pub least_role: Role,
    pub act: Box<dyn Act>,
}

/// Reads a message. `bot` is the bot's user name without `@`.
pub(super) fn parse(text: &str, bot: &str) -> Parsed {
    let Some(behind_slash) = text.trim_start().strip_prefix('/') else { return Parsed::NotACommand };
    let (head, rest) = behind_slash.split_once(char::is_whitespace).unwrap_or((behind_slash, ""));
    let (word, addressee) = head.split_once('@').map_or((head, None), |(word, to)| (word, Some(to)));
    if addressee.is_some_and(|to| !to.eq_ignore_ascii_case(bot)) {
        return Parsed::ForAnotherBot;
    }
    let word = word.to_lowercase();
    let (word, linked) = link::read(&word).unwrap_or((word, None));
    let Some(verb) = find_by_word(&word) else {
        return Parsed::Unknown { similar: similar_to(&word), typed: word };
    };
    match Rest::of(linked.as_deref().unwrap_or(rest)).and_then(verb.read) {
        Ok(act) => Parsed::Known { verb, act },
        Err(problem) => Parsed::Malformed { verb, problem },
    }
}

/// Reads the data of a button; `None` for what this program does not write.
pub(super) fn read_press(data: &str) -> Option<Pressed> {
    let (mark, rest) = data.split_once(':').unwrap_or((data, ""));
    let of_verbs = ALL.iter().filter_map(|verb| Some((verb.word, verb.least_role, verb.button?)));
    let (word, least_role, button) = of_verbs
        .chain([
            ("plan", proposal::LEAST_ROLE, proposal::BUTTON),
            ("alert", hand::LEAST_ROLE, hand::BUTTON),
            ("chart", chart::LEAST_ROLE, chart::BUTTON),
        ])
        .find(|(_, _, button)| button.mark == mark)?;
    let act = (button.read)(rest)?;
    Some(Pressed { word, least_role: act.least_role(least_role), act })
}

fn find_by_word(word: &str) -> Option<&'static Verb> {
    ALL.into_iter().find(|verb| verb.word == word)
}

fn similar_to(word: &str) -> Option<&'static Verb> {
    closest(word, ALL.into_iter().map(|verb| (verb.word, verb)))
}

#[cfg(test)]
pub(super) mod tests;
