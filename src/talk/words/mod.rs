//! How reasons, numbers and times are worded, in every language: the one place for it.
//!
//! A text is made once, as HTML in which names are marked. The chat shows it as it is; the command line, JSON and the
//! log take the marks away with `plain`. Knows no message, no page and no command.

mod ending;
mod failures;
pub(crate) mod format;
mod log;
mod reasons;
#[cfg(test)]
pub(in crate::talk) mod samples;
mod ssh;
#[cfg(test)]
pub(in crate::talk) mod tests;
mod text;

use chrono_tz::Tz;

pub use text::Language;
pub(crate) use text::{Arg, args, escape};

/// Words a reason for one reader: the language and the time zone.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    pub language: Language,
    pub timezone: Tz,
}

impl Words {
    /// For the command line, JSON and the log.
    #[must_use]
    pub fn english() -> Self {
        Self { language: Language::En, timezone: Tz::UTC }
    }

    /// Returns the text of a message as HTML.
    pub(crate) fn say(&self, key: &str, args: &[(&'static str, Arg)]) -> String {
        self.language.say(key, args)
    }
}

/// Takes away the tags and the escapes that this program makes.
pub(crate) fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
