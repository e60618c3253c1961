//! The words behind a command, one after the other. Pure; knows no command.

use std::{collections::VecDeque, time::Duration};

use chrono::TimeDelta;

use crate::model::{Mib, alike::closest};

/// What is wrong with the words behind a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// A word is missing.
    Missing,
    /// More words than the command takes; the first of them.
    TooMuch(String),
    /// A word that is none of the expected.
    NotOneOf { found: String, expected: &'static [&'static str], similar: Option<&'static str> },
    /// Not a time such as `30m` or `2h`.
    NotATime(String),
    /// Not a size such as `8G` or `512M`.
    NotASize(String),
    /// Not a number, or one that is out of bounds.
    NotANumber(String),
    /// Not a time of the day such as `05:00`.
    NotATimeOfDay(String),
    /// A quote that is never closed.
    OpenQuote,
    /// `/help` about a command that does not exist, and how the likeliest one is written.
    NoSuchCommand { found: String, similar: Option<&'static str> },
}

/// A pause or an exclusion for longer is one without an end.
const LASTS_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// One word, and whether it stood in quotes: a quoted word is never a time or a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    pub quoted: bool,
}

impl Word {
    /// Tells whether it begins like a time. A mistake in such a word is reported as a wrong time.
    #[must_use]
    pub(super) fn looks_like_a_time(&self) -> bool {
        !self.quoted && self.text.starts_with(|c: char| c.is_ascii_digit())
    }
}

/// The words that are not read yet.
#[derive(Debug)]
pub(super) struct Rest(VecDeque<Word>);

impl Rest {
    /// Splits a text at white space; quotes (also those that phones make of them) keep a name together.
    ///
    /// # Errors
    ///
    /// Returns [`Problem::OpenQuote`] for a quote that is never closed.
    pub(super) fn of(text: &str) -> Result<Self, Problem> {
        words(text).map(|words| Self(words.into()))
    }

    /// Takes the next word.
    pub(super) fn next_word(&mut self) -> Option<Word> {
        self.0.pop_front()
    }

    /// Takes the next word if it looks like a time.
    ///
    /// # Errors
    ///
    /// Returns [`Problem::NotATime`] where it only looks like one.
    pub(super) fn next_time(&mut self) -> Result<Option<TimeDelta>, Problem> {
        match self.0.pop_front_if(|word| word.looks_like_a_time()) {
            Some(word) => time(&word.text).map(Some),
            None => Ok(None),
        }
    }

    /// Takes the next word, which must be one of these.
    ///
    /// # Errors
    ///
    /// Returns [`Problem::NotOneOf`] for another word.
    pub(super) fn next_of(
        &mut self,
        expected: &'static [&'static str],
    ) -> Result<Option<&'static str>, Problem> {
        self.next_word().map(|word| one_of(&word.text, expected)).transpose()
    }

    /// Takes the next word, which must be a number from 1 to `most`.
    ///
    /// # Errors
    ///
    /// Returns [`Problem::Missing`] where nothing is left, and [`Problem::NotANumber`] for another word.
    pub(super) fn number(&mut self, most: u64) -> Result<u64, Problem> {
        let word = self.next_word().ok_or(Problem::Missing)?;
        let number = word.text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or(Problem::NotANumber(word.text))
    }

    /// Takes the next word if it is one of these; they may be left out.
    pub(super) fn skip_of(&mut self, expected: &[&str]) {
        let is_one = |word: &mut Word| expected.contains(&word.text.to_lowercase().as_str());
        let _ = self.0.pop_front_if(is_one);
    }

    /// Takes the next word if it is a number.
    pub(super) fn next_number(&mut self) -> Option<u32> {
        let is_number = |word: &mut Word| !word.quoted && word.text.parse::<u32>().is_ok();
        self.0.pop_front_if(is_number).and_then(|word| word.text.parse().ok())
    }

    /// Takes the next word, which must be an amount of memory; one without a unit is in GiB.
    ///
    /// # Errors
    ///
    /// Returns [`Problem::Missing`] where nothing is left, and [`Problem::NotASize`] for another word.
    pub(super) fn size(&mut self) -> Result<Mib, Problem> {
        let word = self.next_word().ok_or(Problem::Missing)?;
        size(&word.text).ok_or(Problem::NotASize(word.text))
    }

    /// Returns all that is left as one name: quotes are needed only where something may follow a name.
    #[must_use]
    pub(super) fn join_rest(self) -> Option<String> {
        let words: Vec<_> = self.0.into_iter().map(|word| word.text).collect();
        Some(words.join(" ")).filter(|text| !text.trim().is_empty())
    }

    /// Returns all that is left as one name, which must be there.
    ///
    /// # Errors
    ///
    /// Returns [`Problem::Missing`] where nothing is left.
    pub(super) fn name(self) -> Result<String, Problem> {
        self.join_rest().ok_or(Problem::Missing)
    }

    /// Returns the names in the whole rest, between commas.
    ///
    /// # Errors
    ///
    /// Returns [`Problem::Missing`] where there is none, and [`Problem::TooMuch`] for the first beyond `most`.
    pub(super) fn names(self, most: usize) -> Result<Vec<String>, Problem> {
        let named = self.name()?;
        let names: Vec<_> =
            named.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match names.get(most) {
            Some(beyond) => Err(Problem::TooMuch(beyond.clone())),
            None if names.is_empty() => Err(Problem::Missing),
            None => Ok(names),
        }
    }

    /// Returns what was read, if nothing is left.
    ///
    /// # Errors
    ///
    /// Returns [`Problem::TooMuch`] for a word that is left.
    pub(super) fn end<T>(mut self, read: T) -> Result<T, Problem> {
        match self.next_word() {
            None => Ok(read),
            Some(word) => Err(Problem::TooMuch(word.text)),
        }
    }
}

fn words(text: &str) -> Result<Vec<Word>, Problem> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        if let Some(closing) = closing_quote(first) {
            let (inside, after) = behind.split_once(closing).ok_or(Problem::OpenQuote)?;
            words.push(Word { text: inside.trim().to_owned(), quoted: true });
            rest = after.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(Word { text: rest[..end].to_owned(), quoted: false });
            rest = rest[end..].trim_start();
        }
    }
    Ok(words)
}

fn closing_quote(opening: char) -> Option<&'static [char]> {
    match opening {
        '"' => Some(&['"']),
        '“' | '„' => Some(&['”', '“', '"']),
        '«' => Some(&['»']),
        '\'' => Some(&['\'']),
        '‘' => Some(&['’']),
        _ => None,
    }
}

fn one_of(word: &str, expected: &'static [&'static str]) -> Result<&'static str, Problem> {
    let found = word.to_lowercase();
    expected.iter().find(|known| **known == found).copied().ok_or_else(|| Problem::NotOneOf {
        similar: closest(&found, expected.iter().map(|known| (*known, *known))),
        found: word.to_owned(),
        expected,
    })
}

/// `8G`, `8 GiB` without the space, `512M`, `1T`, also in Cyrillic letters.
fn size(word: &str) -> Option<Mib> {
    /// More than any node has.
    const MOST: u64 = 1 << 30;
    let (number, unit) = word.split_at(word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len()));
    let mib_each = match unit.to_lowercase().as_str() {
        "" | "g" | "gb" | "gib" | "г" | "гб" | "гиб" => 1024,
        "m" | "mb" | "mib" | "м" | "мб" | "миб" => 1,
        "t" | "tb" | "tib" | "т" | "тб" | "тиб" => 1024 * 1024,
        _ => return None,
    };
    let mib = number.parse::<u64>().ok()?.checked_mul(mib_each)?;
    (1..=MOST).contains(&mib).then_some(Mib(mib))
}

/// Reads a time such as `30m` or `2h`.
pub(super) fn time(word: &str) -> Result<TimeDelta, Problem> {
    let latin: String = word
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'ч' => 'h',
            'м' => 'm',
            'д' => 'd',
            'с' => 's',
            other => other,
        })
        .collect();
    humantime::parse_duration(&latin)
        .ok()
        .filter(|lasts| (Duration::from_secs(1)..=LASTS_MAX).contains(lasts))
        .and_then(|lasts| TimeDelta::from_std(lasts).ok())
        .ok_or_else(|| Problem::NotATime(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_any_unit() {
        let read = |text: &str| Rest::of(text).unwrap().size();
        for text in ["8G", "8", "8gib", "8ГБ", "8192M", "8192миб"] {
            assert_eq!(read(text), Ok(Mib(8192)), "{text}");
        }
        assert_eq!(read("1T"), Ok(Mib(1024 * 1024)));
        for text in ["0G", "G", "8X", "-8G", "99999999999999999999G", "2000T"] {
            assert_eq!(read(text), Err(Problem::NotASize(text.into())), "{text}");
        }
        assert_eq!(read(""), Err(Problem::Missing));
    }

    #[test]
    fn quotes_of_every_kind_keep_a_name_together() {
        for text in ["\"rack 5\" left", "«rack 5» left", "„rack 5“ left", "'rack 5' left", "‘rack 5’ left"]
        {
            let mut rest = Rest::of(text).unwrap();
            assert_eq!(rest.next_word(), Some(Word { text: "rack 5".into(), quoted: true }), "{text}");
            assert_eq!(rest.join_rest().as_deref(), Some("left"), "{text}");
        }
        assert_eq!(Rest::of("\"rack 5 target").unwrap_err(), Problem::OpenQuote);
    }

    #[test]
    fn times_are_read_in_latin_and_cyrillic_and_within_a_year() {
        let read = |text: &str| Rest::of(text).unwrap().next_time();
        assert_eq!(read("1h30m x"), Ok(Some(TimeDelta::minutes(90))));
        assert_eq!(read("2ч"), Ok(Some(TimeDelta::hours(2))));
        assert_eq!(read("soon"), Ok(None));
        for text in ["30", "0s", "900000y"] {
            assert_eq!(read(text), Err(Problem::NotATime(text.into())));
        }
    }
}
