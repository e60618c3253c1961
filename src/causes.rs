//! An error with its causes on one line.

use std::error::Error;

/// Returns an error with all its causes, none of them twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Some libraries repeat the words of a cause in their own.
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// Returns the causes alone: what an HTTP client says of itself holds the address, which may hold a token.
pub fn behind(what: &str, error: &dyn Error) -> String {
    match causes(error) {
        causes if causes.is_empty() => what.to_owned(),
        causes => format!("{what}: {causes}"),
    }
}

/// As [`behind`], with no words of ours; empty where there is no cause.
pub fn causes(error: &dyn Error) -> String {
    error.source().map(chain).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Link {
        words: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn a_chain_names_each_cause_once() {
        let link = |words, source: Option<Link>| Link { words, source: source.map(Box::new) };
        let inner = link("no such file", None);
        let error = link("cannot start", Some(link("cannot read x: no such file", Some(inner))));
        assert_eq!(chain(&error), "cannot start: cannot read x: no such file");
        assert_eq!(behind("broken", &error), "broken: cannot read x: no such file");
        assert_eq!(behind("broken", &link("secret", None)), "broken");
    }
}
