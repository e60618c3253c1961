//! Every text people see, in their language. Pure: data in, pages out; sends nothing and asks nobody.
//!
//! A text is a list of lines, each of them whole HTML. What Telegram counts (UTF-16 units after its tags are
//! taken away, and tags) is counted per line before anything is put together, so rendered HTML is never cut.
//! A plan that does not fit one message goes on in further ones: every migration is named in full.

mod alerts;
mod answers;
mod charts;
mod figures;
mod plan_buttons;
mod platform;
mod proposal;
mod round;
mod steps;
mod watch;

use std::ops::Deref;

use chrono_tz::Tz;

use super::words::{Arg, Language, Words, args, escape, format, plain};

pub use answers::StalePress;
pub(super) use figures::Besides;

/// Telegram takes 4096 UTF-16 units of text; some are left for the line that says how a text goes on.
const PAGE_UNITS_MAX: usize = 3900;

/// Telegram renders about 100 tags of a message and shows the rest as plain text.
const PAGE_TAGS_MAX: usize = 95;

/// Telegram takes 64 bytes of data behind a button.
pub const BUTTON_DATA_BYTES_MAX: usize = 64;

/// An answer to a press is cut by Telegram beyond this.
pub const ALERT_CHARS_MAX: usize = 200;

/// Makes messages for people, with the words of their language.
#[derive(Clone, Copy, Debug)]
pub struct View(Words);

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Page {
    lines: Vec<String>,
    pub buttons: Vec<Vec<Button>>,
}

/// A button under a message. Its data alone decides what it does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Button {
    pub label: String,
    pub data: String,
}

impl Deref for View {
    type Target = Words;

    fn deref(&self) -> &Words {
        &self.0
    }
}

impl View {
    /// For readers of that language in that time zone.
    #[must_use]
    pub fn new(language: Language, timezone: Tz) -> Self {
        Self(Words { language, timezone })
    }

    /// Returns what `vm-balancer check --send` sends.
    #[must_use]
    pub fn trial(&self) -> Page {
        self.line(self.say("check-message", args![]))
    }

    pub(super) fn button(&self, key: &str, data: impl Into<String>) -> Button {
        Button { label: plain(&self.say(key, args![])), data: data.into() }
    }

    /// Puts lines into as many messages as they need; `title` names the text at the head of each further one.
    pub(super) fn pages(&self, title: &str, lines: Vec<String>) -> Vec<Page> {
        let mut pages: Vec<Page> = Vec::new();
        let mut room = Room::none();
        for line in lines {
            let line = whole(line);
            if !room.take(&line) {
                room = Room::new();
                let mut page = Page::default();
                if !pages.is_empty() {
                    let head = self
                        .say("continued", args![title = Arg::Html(title.to_owned()), n = pages.len() + 1]);
                    room.take(&head);
                    page.lines.push(head);
                }
                room.take(&line);
                pages.push(page);
            }
            if let Some(page) = pages.last_mut() {
                page.lines.push(line);
            }
        }
        pages
    }

    /// Returns how many of these lines one message holds.
    pub(super) fn fitting(&self, lines: &[String]) -> usize {
        let mut room = Room::new();
        lines.iter().take_while(|line| room.take(&whole((*line).clone()))).count()
    }

    /// Puts lines into one message that a phone shows whole, as [`View::page`] does.
    pub(super) fn narrow_page(&self, lines: Vec<String>) -> Page {
        self.page(lines.iter().map(|line| format::narrow(line)).collect())
    }

    /// Puts lines into one message; what does not fit is counted in its last line.
    pub(super) fn page(&self, lines: Vec<String>) -> Page {
        let mut room = Room::new();
        let mut page = Page::default();
        let total = lines.len();
        for line in lines {
            let line = whole(line);
            if !room.take(&line) {
                page.lines.push(self.say("more-lines", args![n = total - page.lines.len()]));
                return page;
            }
            page.lines.push(line);
        }
        page
    }
}

impl Page {
    /// Returns the text as Telegram's HTML.
    #[must_use]
    pub fn html(&self) -> String {
        self.lines.join("\n")
    }

    /// Returns the text without tags, for where HTML is refused.
    #[must_use]
    pub fn plain(&self) -> String {
        plain(&self.html())
    }

    /// Says in the first line that this is a dry run.
    #[must_use]
    pub fn in_dry_run(mut self) -> Self {
        if let Some(first) = self.lines.first_mut().filter(|first| !first.contains(DRY_RUN)) {
            *first = in_dry_run(first);
        }
        self
    }

    /// Adds a row of buttons.
    #[must_use]
    pub fn with_row(mut self, row: Vec<Button>) -> Self {
        self.buttons.push(row);
        self
    }
}

const DRY_RUN: &str = "DRY RUN";

fn in_dry_run(line: &str) -> String {
    let mark = format!("<b>{DRY_RUN}</b> ·");
    format::packed("", [mark, line.to_owned()], " ").join("\n")
}

/// What is left of a message.
struct Room {
    units: usize,
    tags: usize,
}

impl Room {
    fn new() -> Self {
        Self { units: PAGE_UNITS_MAX, tags: PAGE_TAGS_MAX }
    }

    fn none() -> Self {
        Self { units: 0, tags: 0 }
    }

    /// Tells whether the line fits, and takes its room.
    fn take(&mut self, line: &str) -> bool {
        let units = units(line) + 1;
        let tags = line.matches("</").count();
        if units > self.units || tags > self.tags {
            return false;
        }
        self.units -= units;
        self.tags -= tags;
        true
    }
}

/// UTF-16 units of a line once Telegram has read its tags.
fn units(html: &str) -> usize {
    plain(html).encode_utf16().count()
}

/// A line that no message could hold loses its tags and its end; names and words are cut long before.
fn whole(line: String) -> String {
    if units(&line) < PAGE_UNITS_MAX && line.matches("</").count() <= PAGE_TAGS_MAX {
        return line;
    }
    // A character is at most two units.
    escape(&format::clip(&plain(&line), PAGE_UNITS_MAX / 4))
}

#[cfg(test)]
pub(crate) mod tests;
