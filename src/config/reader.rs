//! Reads variables one by one and collects what is wrong with them.

use super::{
    problem::{Found, Problem},
    variables::{self, VARIABLES},
};

/// Why a text is not the value, as the words behind "expected".
pub(super) type Expected = String;

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
        let text = self.given(name)?;
        parse(&text).map_err(|expected| self.refuse(name, &text, expected)).ok()
    }

    /// Returns what stands there without judging it; empty counts as nothing.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        let text = (self.lookup)(name)?;
        // A password may begin or end with a blank: it is taken as it is.
        let secret = variables::find(name).is_some_and(|variable| variable.secret);
        let text = if secret { text } else { text.trim().to_owned() };
        Some(text).filter(|text| !text.trim().is_empty())
    }

    /// Says that something must be set.
    pub(super) fn missing(&mut self, name: &'static str, expected: impl Into<Expected>) {
        self.problems.push(Problem { name, found: Found::Nothing, expected: expected.into() });
    }

    /// Says that what stands there will not do.
    pub(super) fn refuse(&mut self, name: &'static str, found: &str, expected: impl Into<Expected>) {
        let found = shown(name, found);
        self.problems.push(Problem { name, found, expected: expected.into() });
    }

    /// Returns the problems in the order of the table.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems
            .sort_by_key(|problem| VARIABLES.iter().position(|variable| variable.name == problem.name));
        self.problems
    }
}

/// An address may carry a password before its `@`.
fn shown(name: &str, found: &str) -> Found {
    let secret = variables::find(name).is_none_or(|variable| variable.secret);
    let may_hold_secret = found.contains("://") && found.contains('@');
    match (found.trim().is_empty(), secret || may_hold_secret) {
        (true, _) => Found::Nothing,
        (false, true) => Found::Hidden,
        (false, false) => Found::Text(found.to_owned()),
    }
}
