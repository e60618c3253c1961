//! Reads variables one by one and collects what is wrong with them.

use super::{
    problem::{Found, Problem},
    variables::{self, VARIABLES},
};

/// Why a text is not the value, as the words behind "expected".
pub(super) type Expected = String;

/// Reads variables through a lookup. What cannot be read becomes a problem and, until the problems are reported,
/// the type's own default.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// Reads a value, or its default where it is empty.
    pub(super) fn value<T: Default>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> T {
        let text = self.given(name).unwrap_or_else(|| default_of(name).to_owned());
        self.parsed(name, &text, parse).unwrap_or_default()
    }

    /// Reads a value that has no default; `None` where it is empty.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let text = self.given(name)?;
        self.parsed(name, &text, parse)
    }

    /// Reads a text; empty where nothing is given and there is no default.
    pub(super) fn text(&mut self, name: &'static str) -> String {
        self.given(name).unwrap_or_else(|| default_of(name).to_owned())
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

    fn parsed<T>(
        &mut self,
        name: &'static str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        parse(text).map_err(|expected| self.refuse(name, text, expected)).ok()
    }
}

fn default_of(name: &str) -> &'static str {
    variables::find(name).map_or("", |variable| variable.default)
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
