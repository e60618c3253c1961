//! The messages of each language, from `*.ftl`, parsed once. Knows no number format and no reason.

use std::{collections::BTreeMap, sync::LazyLock};

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use serde::{Deserialize, Serialize};
use unic_langid::LanguageIdentifier;

/// A language that the bot speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Russian.
    Ru,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::En, Self::Ru];

    /// Returns the two-letter code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
        }
    }

    /// Returns the language of that two-letter code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    fn sources(self) -> [&'static str; 2] {
        match self {
            Self::En => [include_str!("en.ftl"), include_str!("en-work.ftl")],
            Self::Ru => [include_str!("ru.ftl"), include_str!("ru-work.ftl")],
        }
    }

    /// Returns the words of a message as HTML. A key that is missing stands for itself; a test finds those.
    pub(crate) fn say(self, key: &str, args: &[(&'static str, Arg)]) -> String {
        let found = BUNDLES.get(&self).and_then(|bundle| say(bundle, key, args));
        found.unwrap_or_else(|| {
            debug_assert!(false, "no words for {key} in {self:?}");
            key.to_owned()
        })
    }
}

/// What is filled into a message.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    /// Escaped: names and everything else that comes from outside.
    Text(String),
    /// Made by this program, already HTML.
    Html(String),
    /// Chooses the plural.
    Number(u64),
}

macro_rules! args {
    ($($name:ident = $value:expr),* $(,)?) => {
        &[$((stringify!($name), $crate::talk::words::Arg::from($value))),*][..]
    };
}
pub(crate) use args;

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Arg {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<u64> for Arg {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Arg {
    fn from(number: u32) -> Self {
        Self::Number(u64::from(number))
    }
}

impl From<usize> for Arg {
    fn from(number: usize) -> Self {
        Self::Number(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

/// Writes text so that Telegram reads it as text.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

type Bundle = FluentBundle<FluentResource>;

static BUNDLES: LazyLock<BTreeMap<Language, Bundle>> =
    LazyLock::new(|| Language::ALL.into_iter().map(|language| (language, bundle(language))).collect());

fn bundle(language: Language) -> Bundle {
    let id = LanguageIdentifier::from_bytes(language.code().as_bytes()).unwrap_or_default();
    let mut bundle = Bundle::new_concurrent(vec![id]);
    // Marks around each argument keep mixed directions apart; here they would only be in the way of copying.
    bundle.set_use_isolating(false);
    for source in language.sources() {
        // What can be read of a file with a mistake is used; a test refuses such a file.
        let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(part, _)| part);
        bundle.add_resource_overriding(resource);
    }
    bundle
}

fn say(bundle: &Bundle, key: &str, args: &[(&'static str, Arg)]) -> Option<String> {
    let pattern = bundle.get_message(key)?.value()?;
    let mut filled = FluentArgs::new();
    for (name, arg) in args {
        filled.set(*name, value(arg));
    }
    let mut errors = Vec::new();
    let words = bundle.format_pattern(pattern, Some(&filled), &mut errors).into_owned();
    debug_assert!(errors.is_empty(), "{key}: {errors:?}");
    Some(words)
}

fn value(arg: &Arg) -> FluentValue<'static> {
    match arg {
        Arg::Text(text) => FluentValue::from(escape(text)),
        Arg::Html(html) => FluentValue::from(html.clone()),
        Arg::Number(number) => FluentValue::from(*number),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_language_has_the_same_messages_with_the_same_arguments() {
        let english = messages(Language::En);
        let russian = messages(Language::Ru);
        assert!(english.len() > 100, "{}", english.len());
        for (key, args) in &english {
            assert_eq!(russian.get(key), Some(args), "{key}");
        }
        assert_eq!(english.len(), russian.len());
    }

    #[test]
    fn russian_counts_in_three_ways() {
        let nodes = |n: u64| Language::Ru.say("count-nodes", args![n = n]);
        assert_eq!(nodes(1), "1 узел");
        assert_eq!(nodes(2), "2 узла");
        assert_eq!(nodes(5), "5 узлов");
        assert_eq!(nodes(11), "11 узлов");
        assert_eq!(nodes(21), "21 узел");
        assert_eq!(Language::En.say("count-vms", args![n = 1_u64]), "1 VM");
        assert_eq!(Language::En.say("count-vms", args![n = 1000_u64]), "1000 VMs");
    }

    fn messages(language: Language) -> BTreeMap<String, BTreeSet<String>> {
        for source in language.sources() {
            let resource = FluentResource::try_new(source.to_owned())
                .unwrap_or_else(|(_, errors)| panic!("{language:?}: {errors:?}"));
            drop(resource);
        }
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut current = String::new();
        for line in language.sources().into_iter().flat_map(str::lines) {
            if let Some((key, _)) = line.split_once(" =").filter(|_| !line.starts_with([' ', '#', '}'])) {
                current = key.to_owned();
                assert!(found.insert(current.clone(), BTreeSet::new()).is_none(), "{current} twice");
            }
            let args = line.split('$').skip(1).map(|rest| {
                rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
            });
            if let Some(entry) = found.get_mut(&current) {
                entry.extend(args);
            }
        }
        found
    }
}
