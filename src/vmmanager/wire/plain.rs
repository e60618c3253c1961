//! A value that VMmanager's versions write in different ways.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

/// A number, a word, a truth or nothing, however the server wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vmmanager) enum Plain {
    #[default]
    Nothing,
    Truth(bool),
    Whole(i64),
    Float(f64),
    Text(String),
}

impl Plain {
    /// Returns a usable id: a whole number above zero.
    pub(crate) fn id(&self) -> Option<u64> {
        match self {
            Self::Float(float) if float.fract() != 0.0 => None,
            _ => self.whole().filter(|id| *id > 0),
        }
    }

    pub(crate) fn whole(&self) -> Option<u64> {
        self.to_signed().and_then(|number| u64::try_from(number).ok())
    }

    pub(crate) fn to_signed(&self) -> Option<i64> {
        match self {
            Self::Nothing | Self::Truth(_) => None,
            Self::Whole(number) => Some(*number),
            Self::Float(float) => floor(*float),
            Self::Text(text) => {
                let text = text.trim();
                text.parse().ok().or_else(|| floor(text.parse().ok()?))
            }
        }
    }

    pub(crate) fn small(&self) -> Option<u32> {
        self.whole().and_then(|number| u32::try_from(number).ok())
    }

    pub(crate) fn truth(&self) -> Option<bool> {
        match self {
            Self::Nothing => None,
            Self::Truth(truth) => Some(*truth),
            Self::Whole(number) => Some(*number != 0),
            Self::Float(float) => Some(*float != 0.0),
            Self::Text(text) => truth_of(text),
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        self.truth() == Some(true)
    }

    pub(crate) fn text(&self) -> Option<String> {
        self.word().map(Cow::into_owned)
    }

    /// As [`Self::text`], without a copy where it is a text already.
    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) if text.trim().len() == text.len() => Some(text).filter(|text| !text.is_empty()),
            other => other.text(),
        }
    }

    fn word(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Nothing | Self::Truth(_) => None,
            Self::Whole(number) => Some(number.to_string().into()),
            Self::Float(float) => Some(float.to_string().into()),
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(Cow::Borrowed),
        }
    }
}

/// The truth of a word; `None` for other words.
pub(super) fn truth_of(word: &str) -> Option<bool> {
    let word = word.trim();
    let is = |known: &&str| word.eq_ignore_ascii_case(known);
    match (
        ["true", "1", "yes", "on", "enabled"].iter().any(is),
        ["false", "0", "no", "off", "disabled"].iter().any(is),
    ) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// Either plain or an object of a known shape; a list or anything else counts as nothing.
#[derive(Clone, Debug)]
pub(in crate::vmmanager) struct Mixed<T> {
    pub plain: Plain,
    pub object: Option<T>,
}

impl<T> Default for Mixed<T> {
    fn default() -> Self {
        Self { plain: Plain::Nothing, object: None }
    }
}

fn floor(float: f64) -> Option<i64> {
    // Beyond 2^53 a float is no exact number of anything.
    (float.is_finite() && float.abs() < 9e15).then(|| float.floor() as i64)
}

pub(super) fn plain(value: &Value) -> Plain {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => Plain::Nothing,
        Value::Bool(truth) => Plain::Truth(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Plain::Whole(whole),
            None => Plain::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Plain::Text(text.clone()),
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Mixed::<IgnoredAny>::deserialize(deserializer).map(|mixed| mixed.plain)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Mixed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MixedVisitor(PhantomData))
    }
}

struct MixedVisitor<T>(PhantomData<T>);

impl<T> MixedVisitor<T> {
    fn plain<E>(plain: Plain) -> Result<Mixed<T>, E> {
        Ok(Mixed { plain, object: None })
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for MixedVisitor<T> {
    type Value = Mixed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Self::plain(Plain::Truth(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Self::plain(Plain::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Self::plain(i64::try_from(number).map_or(Plain::Float(number as f64), Plain::Whole))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Self::Value, E> {
        Self::plain(Plain::Float(float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Self::plain(Plain::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Self::plain(Plain::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Self::plain(Plain::Nothing)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Self::plain(Plain::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Self::plain(Plain::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let object = T::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Mixed { plain: Plain::Nothing, object: Some(object) })
    }
}

/// What becomes of a word, made while it is read, so that the word itself is not kept. Numbers are words too.
pub(super) trait OfWord: Sized {
    /// `None` where the server says nothing.
    fn of(word: Option<&str>) -> Self;
}

/// What a word became.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vmmanager) struct Word<T>(pub T);

impl<'de, T: OfWord> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordVisitor(PhantomData))
    }
}

struct WordVisitor<T>(PhantomData<T>);

impl<'de, T: OfWord> Visitor<'de> for WordVisitor<T> {
    type Value = Word<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Word(T::of(None)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Word(T::of(Plain::Whole(number).word().as_deref())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        let number = i64::try_from(number).map_or(Plain::Float(number as f64), Plain::Whole);
        Ok(Word(T::of(number.word().as_deref())))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Self::Value, E> {
        Ok(Word(T::of(Plain::Float(float).word().as_deref())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Word(T::of(Some(text.trim()).filter(|text| !text.is_empty()))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Word(T::of(None)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.visit_unit()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.visit_unit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_truths_are_read_however_they_are_written() {
        for (json, whole, truth) in [
            ("32", Some(32), Some(true)),
            ("\"32\"", Some(32), None),
            ("32.0", Some(32), Some(true)),
            ("\" 32.7 \"", Some(32), None),
            ("-1", None, Some(true)),
            ("0", Some(0), Some(false)),
            ("\"true\"", None, Some(true)),
            ("\"Off\"", None, Some(false)),
            ("false", None, Some(false)),
            ("null", None, None),
            ("\"\"", None, None),
            ("[1]", None, None),
            ("{\"a\": 1}", None, None),
            ("1e300", None, Some(true)),
            ("18446744073709551615", None, Some(true)),
        ] {
            let plain: Plain = serde_json::from_str(json).unwrap();
            assert_eq!((plain.whole(), plain.truth()), (whole, truth), "{json}");
        }
    }

    #[test]
    fn ids_are_whole_and_above_zero() {
        for (json, id) in
            [("5", Some(5)), ("\"5\"", Some(5)), ("5.0", Some(5)), ("5.5", None), ("0", None), ("-5", None)]
        {
            assert_eq!(serde_json::from_str::<Plain>(json).unwrap().id(), id, "{json}");
        }
    }
}
