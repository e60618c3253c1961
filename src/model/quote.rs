//! What somebody else said, kept as a quotation: a server's message, an operating system's error.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Room for a sentence or two; the log has the rest.
const CHARS_MAX: usize = 300;

/// Somebody else's words on one line: bounded in length, without control characters and without marks that turn the
/// direction of the text around them.
///
/// ```
/// use vm_balancer::model::Quote;
///
/// assert_eq!(Quote::of("no space\n\u{202e}left").as_str(), "no space left");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Quote(String);

impl Quote {
    /// Cleans and bounds `said`.
    #[must_use]
    pub fn of(said: &str) -> Self {
        let mut text = String::new();
        // Each kept character takes one of the original, so this bounds the work too.
        for (count, word) in said.split(|c: char| c.is_whitespace() || c.is_control()).enumerate() {
            let word: String = word.chars().filter(|c| !turns_direction(*c)).take(CHARS_MAX + 1).collect();
            if word.is_empty() {
                continue;
            }
            if count > 0 && !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&word);
            if text.chars().count() > CHARS_MAX {
                text = text.chars().take(CHARS_MAX).collect();
                text.push('…');
                break;
            }
        }
        Self(text)
    }

    /// Returns the words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Tells whether a character turns the text around it: bidi marks, embeddings, overrides and isolates; and the byte
/// order mark, which nobody sees.
#[must_use]
pub(crate) fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl From<&str> for Quote {
    fn from(said: &str) -> Self {
        Self::of(said)
    }
}

impl From<String> for Quote {
    fn from(said: String) -> Self {
        Self::of(&said)
    }
}

impl From<Quote> for String {
    fn from(quote: Quote) -> Self {
        quote.0
    }
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_is_one_bounded_line_that_turns_nothing_around() {
        assert_eq!(
            Quote::of("  sh: 1:\r\n\t\u{1b}[31mnot \u{202e}found\u{2069} ").as_str(),
            "sh: 1: [31mnot found"
        );
        for long in ["ы".repeat(100_000), "ы ".repeat(100_000)] {
            let quote = Quote::of(&long);
            assert_eq!(quote.as_str().chars().count(), CHARS_MAX + 1);
            assert!(quote.as_str().ends_with('…'));
            assert_eq!(Quote::of(quote.as_str()).as_str().chars().count(), CHARS_MAX + 1, "made twice");
        }
    }

    #[test]
    fn a_quotation_read_from_disk_is_cleaned_too() {
        let read: Quote = serde_json::from_str("\"a\\u202eb\\nc\"").unwrap();
        assert_eq!(read.as_str(), "ab c");
    }
}
