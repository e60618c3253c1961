//! Numbers, times and names as people read them, in their language.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Arg, Language, Words, args, escape, plain};
use crate::{
    model::{Mib, turns_direction},
    planner::{Excess, Fullness, Resource},
};

/// Longer names of VMs and nodes are cut in the middle, where they differ least.
const NAME_CHARS_MAX: usize = 64;

/// How many characters of a message a quotation (an error, a reason) may fill.
const WORDS_CHARS_MAX: usize = 300;

/// More names than this in one line help nobody.
const NAMES_MAX: usize = 10;

/// What a phone shows in one line.
pub(crate) const LINE_CHARS: usize = 40;

/// What belongs to the line above is moved in by this.
pub(crate) const INDENT: &str = "   ";

/// No two numbers of 64 bits from one on are nearer to each other than this place behind the point.
const PLACES_MAX: usize = 17;

impl Arg {
    /// Returns a name from outside as people can copy it.
    pub(crate) fn copyable(text: &str) -> Self {
        Self::Html(code(&name(text)))
    }
}

impl Words {
    /// One decimal, as the language writes it.
    pub(crate) fn decimal(&self, value: f64) -> String {
        self.decimals(value, 1)
    }

    pub(crate) fn decimals(&self, value: f64, places: usize) -> String {
        if !value.is_finite() {
            return "∞".into();
        }
        self.localize(format!("{value:.places$}"))
    }

    /// At most two decimals, none where there is nothing behind the point.
    pub(crate) fn trim_decimals(&self, value: f64) -> String {
        let text = format!("{value:.2}");
        self.localize(text.trim_end_matches('0').trim_end_matches('.').to_owned())
    }

    fn localize(&self, number: String) -> String {
        match self.language {
            Language::En => number,
            Language::Ru => number.replace('.', ","),
        }
    }

    pub(crate) fn percent(&self, value: f64) -> String {
        format!("{} %", self.decimal(value))
    }

    pub(crate) fn memory(&self, amount: Mib) -> String {
        let text = amount.to_string();
        match self.language {
            Language::En => text,
            Language::Ru => text.replace('.', ",").replace("GiB", "ГиБ").replace("MiB", "МиБ"),
        }
    }

    /// The time of day, with the date where it is another day than `now`, and the zone.
    pub(crate) fn time(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        let at = at.with_timezone(&self.timezone);
        let same_day = at.date_naive() == now.with_timezone(&self.timezone).date_naive();
        at.format(if same_day { "%H:%M %Z" } else { "%Y-%m-%d %H:%M %Z" }).to_string()
    }

    /// Date and time without a zone, for lists.
    pub(crate) fn stamp(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.timezone).format("%Y-%m-%d %H:%M").to_string()
    }

    /// The two largest units.
    pub(crate) fn lasting(&self, lasts: TimeDelta) -> String {
        let seconds = lasts.num_seconds().max(0).unsigned_abs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        let part = |key, n: u64| self.say(key, args![n = n.to_string()]);
        let parts = match (days, hours, minutes) {
            (0, 0, 0) => vec![part("unit-seconds", seconds)],
            (0, 0, m) if seconds.is_multiple_of(60) || m >= 10 => vec![part("unit-minutes", m)],
            (0, 0, m) => vec![part("unit-minutes", m), part("unit-seconds", seconds % 60)],
            (0, h, 0) => vec![part("unit-hours", h)],
            (0, h, m) => vec![part("unit-hours", h), part("unit-minutes", m)],
            (d, 0, _) => vec![part("unit-days", d)],
            (d, h, _) => vec![part("unit-days", d), part("unit-hours", h)],
        };
        parts.join(" ")
    }

    /// A value of a resource, with its unit.
    pub(crate) fn value(&self, resource: Resource, value: f64) -> String {
        match resource {
            Resource::Memory => self.percent(value),
            Resource::Cpu | Resource::Load => self.decimals(value, 2),
        }
    }

    /// `70 %`, with up to two decimals.
    pub(crate) fn threshold(&self, resource: Resource, value: f64) -> String {
        match resource {
            Resource::Memory => format!("{} %", self.trim_decimals(value)),
            Resource::Cpu | Resource::Load => self.trim_decimals(value),
        }
    }

    /// A text of a value that is not above its threshold.
    pub(super) fn below_threshold(&self, key: &str, below: &Excess) -> String {
        let Excess { resource, value, threshold } = *below;
        let said = args![
            resource = self.resource(resource),
            value = self.value(resource, value),
            threshold = self.threshold(resource, threshold),
        ];
        self.say(key, said)
    }

    /// `memory 83.1 % > 70 %`, as HTML: with as many decimals as it takes to see that it is above.
    pub(crate) fn excess(&self, excess: &Excess) -> String {
        let Excess { resource, value, threshold } = *excess;
        if value <= threshold {
            return self.below_threshold("excess-margin", excess);
        }
        let is_above = |text: &str| text.parse().is_ok_and(|shown: f64| shown > threshold);
        let places = (1..=PLACES_MAX).find(|places| is_above(&format!("{value:.places$}")));
        let places = places.unwrap_or(PLACES_MAX);
        let key = match resource {
            Resource::Memory => "excess-memory",
            Resource::Cpu => "excess-cpu",
            Resource::Load => "excess-load",
        };
        self.say(
            key,
            args![value = self.decimals(value, places), threshold = self.localize(threshold.to_string())],
        )
    }

    pub(crate) fn excesses(&self, over: &[Excess]) -> String {
        over.iter().map(|excess| self.excess(excess)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn resource(&self, resource: Resource) -> String {
        let key = match resource {
            Resource::Memory => "resource-memory",
            Resource::Cpu => "resource-cpu",
            Resource::Load => "resource-load",
        };
        self.say(key, args![])
    }

    /// `memory 83.1 %`, `CPU 1.90`, and the load where it is known.
    pub(crate) fn fullness(&self, at: &Fullness) -> Vec<String> {
        let mut parts = vec![
            format!("{} {}", self.resource(Resource::Memory), self.percent(at.memory_percent)),
            format!("{} {}", self.resource(Resource::Cpu), self.value(Resource::Cpu, at.cpu)),
        ];
        if let Some(load) = at.load {
            parts.push(format!("{} {}", self.resource(Resource::Load), self.value(Resource::Load, load)));
        }
        parts
    }
}

/// A name of a VM, a node or a cluster, short enough for a line. Not escaped.
pub(crate) fn name(text: &str) -> String {
    let clean = one_line(text);
    let count = clean.chars().count();
    if count <= NAME_CHARS_MAX {
        return clean;
    }
    let half = NAME_CHARS_MAX / 2;
    let start: String = clean.chars().take(half).collect();
    let end: String = clean.chars().skip(count - half + 1).collect();
    format!("{start}…{end}")
}

/// Somebody else's words, short enough for a message. Not escaped.
pub(crate) fn words(text: &str) -> String {
    clip(&one_line(text), WORDS_CHARS_MAX)
}

/// The first characters, with an ellipsis where there are more.
pub(crate) fn clip(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let start: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{start}…")
}

/// Some names, and how many more. Not escaped.
pub(crate) fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    some_of(all.map(name))
}

/// Some of these short texts, and how many more. Not escaped.
pub(crate) fn some_of(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMES_MAX);
    let mut text = all.take(NAMES_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(", … +{more}"));
    }
    text
}

/// Characters of a line once its tags are read.
pub(crate) fn width(html: &str) -> usize {
    plain(html).chars().count()
}

/// Puts parts on as few lines as a phone shows whole, each moved in; a longer part stands alone. The parts are HTML.
pub(crate) fn packed(indent: &str, parts: impl IntoIterator<Item = String>, between: &str) -> Vec<String> {
    filled(indent, indent, parts, between)
}

/// As [`packed`], with the first line at the edge and the others moved in.
pub(crate) fn hung(parts: impl IntoIterator<Item = String>, between: &str) -> Vec<String> {
    filled("", INDENT, parts, between)
}

/// Breaks every line that a phone does not show whole: behind a colon or a comma where that is enough, else between its
/// words. What follows a break is moved in at least as far as the line, and what can be copied stays in one piece. The
/// text is HTML.
pub(crate) fn narrow(html: &str) -> String {
    let lines = html.split('\n').flat_map(|line| {
        if width(line) <= LINE_CHARS {
            return vec![line.to_owned()];
        }
        let words = line.trim_start_matches(' ');
        let (edge, _) = line.split_at(line.len() - words.len());
        let rest = if edge.is_empty() { INDENT } else { edge };
        let halves = [": ", ", "].iter().find_map(|behind| halves(edge, rest, words, behind));
        halves.unwrap_or_else(|| filled(edge, rest, pieces(words), " "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The two lines that a line becomes when it is broken behind the last such mark; `None` where that is not enough.
fn halves(edge: &str, rest: &str, words: &str, behind: &str) -> Option<Vec<String>> {
    let (first, second) = words.rsplit_once(behind).filter(|(first, _)| !is_open(first))?;
    let halves = vec![format!("{edge}{first}{}", behind.trim_end()), format!("{rest}{second}")];
    halves.iter().all(|line| width(line) <= LINE_CHARS).then_some(halves)
}

/// The words of a line. A sign or a unit stays with the word before it, and what is compared with the sign.
fn pieces(html: &str) -> Vec<String> {
    const WITH_THE_WORD_BEFORE: [&str; 8] = ["%", "GiB", "MiB", "ГиБ", "МиБ", "—", "→", "&gt;"];
    let stays = |last: &str, word: &str| {
        WITH_THE_WORD_BEFORE.contains(&word.trim_end_matches([',', '.', ':']))
            || last.ends_with("&gt;")
            || is_open(last)
    };
    let mut all: Vec<String> = Vec::new();
    for word in html.split(' ') {
        match all.last_mut() {
            Some(last) if stays(last, word) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => all.push(word.to_owned()),
        }
    }
    all
}

/// Tells whether a piece of HTML ends inside a tag, or inside what can be copied.
fn is_open(html: &str) -> bool {
    html.matches('<').count() > html.matches('>').count()
        || html.matches("<code>").count() > html.matches("</code>").count()
}

fn filled(first: &str, rest: &str, parts: impl IntoIterator<Item = String>, between: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if width(line) + width(between) + width(&part) <= LINE_CHARS => {
                line.push_str(between);
                line.push_str(&part);
            }
            Some(_) => lines.push(format!("{rest}{part}")),
            None => lines.push(format!("{first}{part}")),
        }
    }
    lines
}

pub(crate) fn bold(text: &str) -> String {
    format!("<b>{}</b>", escape(text))
}

pub(crate) fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// Names come from clients: line ends, escape sequences and marks that turn the writing direction become `?`.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || turns_direction(c) { '?' } else { c }).collect()
}

/// Line ends and control characters in a name would tear a list apart, and marks of direction would turn the text
/// behind it around.
fn one_line(text: &str) -> String {
    let harmless = |c: char| match c {
        c if c.is_control() => ' ',
        c if turns_direction(c) => '?',
        c => c,
    };
    text.chars().map(harmless).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::talk::words::plain;

    proptest! {
        #[test]
        fn what_is_above_its_threshold_is_above_it_in_words(
            threshold in prop_oneof![Just(70.0), Just(7.0), Just(1.0), 0.1_f64..1000.0],
            by in prop_oneof![Just(0.0), -16.0_f64..2.0],
            kind in 0_usize..3,
        ) {
            // The next number there is, or anything from nearly nothing to a lot above.
            let value = if by == 0.0 { f64::next_up(threshold) } else { threshold + 10_f64.powf(by) };
            let value = value.max(f64::next_up(threshold));
            let resource = [Resource::Memory, Resource::Cpu, Resource::Load][kind];
            for language in Language::ALL {
                let words = Words { language, timezone: chrono_tz::UTC };
                let said = plain(&words.excess(&Excess { resource, value, threshold }));
                let numbers: Vec<f64> = said
                    .split_whitespace()
                    .filter_map(|word| word.replace(',', ".").parse().ok())
                    .collect();
                prop_assert!(matches!(numbers.as_slice(), [shown, limit] if shown > limit), "{said}");
            }
        }
    }

    #[test]
    fn names_turn_no_text_around_and_tear_no_list_apart() {
        assert_eq!(name("\u{202e}evil\u{2069}\r\n"), "?evil?");
        assert_eq!(words("a\u{200f}b\tc"), "a?b c");
        assert_eq!(printable("a\u{1b}[2Jb"), "a?[2Jb");
    }
}
