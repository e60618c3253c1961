//! Reads variables one by one and collects what is wrong with them.

use super::{
    problem::{Expected, Problem},
    variables::{self, VARIABLES},
};
use crate::scheduler::FoundValue;

/// Reads variables through a lookup. What cannot be read becomes a problem and leaves the default.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// Puts a value into its place, which holds the default; an empty one changes nothing.
    pub(super) fn set<T>(
        &mut self,
        place: &mut T,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) {
        if let Some(value) = self.optional(name, parse) {
            *place = value;
        }
    }

    /// Reads a value, or its default where it is empty.
    pub(super) fn value<T>(
        &mut self,
        name: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> T {
        self.optional(name, parse).unwrap_or(default)
    }

    /// Reads a value that has no default; `None` where it is empty.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let text = self.text_of(name)?;
        parse(&text).map_err(|expected| self.refuse(name, &text, expected)).ok()
    }

    /// Returns the text as it is, without checking it. An empty text counts as not set.
    pub(super) fn text_of(&self, name: &str) -> Option<String> {
        let text = (self.lookup)(name)?;
        // A password may begin or end with a blank: it is taken as it is.
        let secret = variables::find(name).is_some_and(|variable| variable.secret);
        let text = if secret { text } else { text.trim().to_owned() };
        Some(text).filter(|text| !text.trim().is_empty())
    }

    /// Reports that a value is missing.
    pub(super) fn missing(&mut self, name: &'static str, expected: impl Into<Expected>) {
        self.problems.push(Problem { name, found: FoundValue::Nothing, expected: expected.into() });
    }

    /// Reports that the value cannot be used.
    pub(super) fn refuse(&mut self, name: &'static str, found: &str, expected: impl Into<Expected>) {
        let found = self.printable(name, found);
        self.problems.push(Problem { name, found, expected: expected.into() });
    }

    /// Reads the path of a file.
    pub(super) fn path(&mut self, name: &'static str) -> Option<String> {
        let text = self.text_of(name)?;
        if !text.contains('\n') && !text.contains("-----") && text.len() <= PATH_BYTES_MAX {
            return Some(text);
        }
        self.problems.push(Problem {
            name,
            found: FoundValue::Hidden,
            expected: "the path of a file, not what the file holds".into(),
        });
        None
    }

    /// A value as it may be shown: not where it is a secret, holds another variable's secret or looks like one.
    fn printable(&self, name: &str, found: &str) -> FoundValue {
        let holds = |secret: String| secret.trim().len() >= SECRET_BYTES_MIN && found.contains(secret.trim());
        let mut secrets = VARIABLES.iter().filter(|variable| variable.secret);
        if found.trim().is_empty() {
            FoundValue::Nothing
        } else if variables::find(name).is_none_or(|variable| variable.secret)
            || may_hold_secret(found)
            || secrets.any(|variable| (self.lookup)(variable.name).is_some_and(holds))
        {
            FoundValue::Hidden
        } else {
            FoundValue::Text(found.to_owned())
        }
    }

    /// Returns the problems in the order of the table.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems
            .sort_by_key(|problem| VARIABLES.iter().position(|variable| variable.name == problem.name));
        self.problems
    }
}

/// The longest path of Linux.
const PATH_BYTES_MAX: usize = 4096;

/// The shortest secret that is searched for in other values. Shorter ones occur inside ordinary words.
const SECRET_BYTES_MIN: usize = 4;

/// Words of which a text that holds a secret often has one.
const SIGNS_OF_SECRETS: [&str; 12] = [
    "%40", "-----", "private", "passw", "pwd", "secret", "token", "bearer", "basic ", "key=", "ses6", "ssh-",
];

/// The length from which a run of letters and digits is more likely a key than a word.
const RUN_OF_A_KEY: usize = 20;

/// Tells whether a text may hold a secret: people paste a token where an id belongs, and a key where a path does.
fn may_hold_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_key = |run: &str| {
        let has = |kind: fn(&char) -> bool| run.chars().any(|c| kind(&c));
        let mixed = has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
            || has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
        run.len() >= 2 * RUN_OF_A_KEY || (mixed && run.len() >= RUN_OF_A_KEY)
    };
    let mut runs = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '+'));
    // The id of a bot and whatever is behind it.
    let is_bot_token = text.split_once(':').is_some_and(|(bot, rest)| {
        bot.trim().len() >= 5
            && bot.trim().chars().all(|c| c.is_ascii_digit())
            && rest.contains(|c: char| c.is_ascii_alphabetic())
    });
    // A user and a password before a host; a name of Telegram begins with it.
    let has_user = text.trim_start_matches('@').contains('@');
    is_bot_token
        || has_user
        || text.contains('\n')
        || SIGNS_OF_SECRETS.iter().any(|sign| lower.contains(sign))
        || runs.any(is_key)
}
