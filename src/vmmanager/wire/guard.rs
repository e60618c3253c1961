//! Fields that protect something or permit it, in whatever shape the server writes them. Read without a copy.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::plain::{Plain, truth_of};

/// A switch that protects something, in whatever shape the server writes it.
///
/// A field that is there and not plainly "no" is a "yes": a node may be on its way into maintenance, or a newer
/// version may say more than a truth value. An object is judged by its own flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vmmanager) enum Guard {
    /// The field is missing or null.
    #[default]
    Absent,
    No,
    Yes,
}

impl Guard {
    pub(crate) fn is_yes(self) -> bool {
        self == Self::Yes
    }

    fn of_plain(plain: &Plain) -> Self {
        match plain {
            Plain::Text(text) => Self::of_word(text),
            other => Self::of_truth(other.truth()),
        }
    }

    fn of_word(word: &str) -> Self {
        if is_word_for_no(word) { Self::No } else { Self::of_truth(truth_of(word)) }
    }

    fn of_truth(truth: Option<bool>) -> Self {
        if truth == Some(false) { Self::No } else { Self::Yes }
    }
}

/// A permission, in whatever shape: one that is there and not plainly "yes" is denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vmmanager) enum Permission {
    /// Missing, null or a "yes".
    #[default]
    Granted,
    Denied,
}

/// A set of restrictions: any that is not plainly "no" counts, and an empty set restricts nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vmmanager) struct Restrictions {
    pub any: bool,
}

/// A VM's word on the balancer: out where it says no in any shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vmmanager) enum OptOut {
    #[default]
    In,
    Out,
}

/// Words for "not in force" besides those that [`Plain::truth`] knows.
fn is_word_for_no(word: &str) -> bool {
    const NO: [&str; 9] =
        ["", "none", "null", "inactive", "normal", "finished", "ok", "no_error", "no error"];
    let word = word.trim();
    NO.iter().any(|known| word.eq_ignore_ascii_case(known))
}

impl<'de> Deserialize<'de> for Guard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Judged::deserialize(deserializer).map(|judged| judged.guard)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Judged::deserialize(deserializer).map(|judged| judged.permission)
    }
}

impl<'de> Deserialize<'de> for Restrictions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let judged = Judged::deserialize(deserializer)?;
        Ok(Self { any: judged.has_a_yes.unwrap_or(judged.guard.is_yes()) })
    }
}

impl<'de> Deserialize<'de> for OptOut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let judged = Judged::deserialize(deserializer)?;
        // Without the field, an edition covers every VM.
        let is_out = judged.guard == Guard::No && !judged.is_blank;
        Ok(if is_out { Self::Out } else { Self::In })
    }
}

/// What a value says, whichever of the four is asked.
#[derive(Clone, Copy, Debug)]
struct Judged {
    guard: Guard,
    permission: Permission,
    /// `None` for what is no word, no number and no truth.
    truth: Option<bool>,
    /// Whether one of an object's flags is a yes; `None` for what is no object.
    has_a_yes: Option<bool>,
    /// Nothing, or a text of blanks.
    is_blank: bool,
}

impl Judged {
    const NOTHING: Self = Self {
        guard: Guard::Absent,
        permission: Permission::Granted,
        truth: None,
        has_a_yes: None,
        is_blank: true,
    };

    fn of_plain(plain: &Plain) -> Self {
        let permission = if plain.is_true() { Permission::Granted } else { Permission::Denied };
        let guard = Guard::of_plain(plain);
        Self { guard, permission, truth: plain.truth(), has_a_yes: None, is_blank: false }
    }

    fn of_word(word: &str) -> Self {
        let truth = truth_of(word);
        let is_granted = truth == Some(true) || word.trim().eq_ignore_ascii_case("allowed");
        Self {
            guard: Guard::of_word(word),
            permission: if is_granted { Permission::Granted } else { Permission::Denied },
            truth,
            has_a_yes: None,
            is_blank: word.trim().is_empty(),
        }
    }

    fn of_list(is_empty: bool) -> Self {
        // An empty list stands for an empty object in some answers.
        let guard = if is_empty { Guard::No } else { Guard::Yes };
        Self { guard, permission: Permission::Denied, truth: None, has_a_yes: None, is_blank: false }
    }
}

/// What the fields of an object say together.
#[derive(Default)]
struct Fields {
    /// Of the keys that name the switch itself: whether all of them say no. They decide where there are any.
    own: Option<bool>,
    /// The same of all flags.
    flags: Option<bool>,
    /// Whether everything that is not an object is granted.
    granted: Option<bool>,
    has_a_yes: bool,
}

impl Fields {
    fn add(&mut self, names_the_switch: bool, value: Judged) {
        let and = |all: &mut Option<bool>, one: bool| *all = Some(all.unwrap_or(true) && one);
        let says_no = value.guard == Guard::No;
        if names_the_switch {
            and(&mut self.own, says_no);
        }
        if value.truth.is_some() {
            and(&mut self.flags, says_no);
        }
        if value.has_a_yes.is_none() {
            and(&mut self.granted, value.permission == Permission::Granted);
        }
        self.has_a_yes |= value.guard.is_yes();
    }

    fn judge(self) -> Judged {
        let all_say_no = self.own.or(self.flags) == Some(true);
        Judged {
            guard: if all_say_no { Guard::No } else { Guard::Yes },
            permission: if self.granted == Some(true) { Permission::Granted } else { Permission::Denied },
            truth: None,
            has_a_yes: Some(self.has_a_yes),
            is_blank: false,
        }
    }
}

impl<'de> Deserialize<'de> for Judged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JudgedVisitor)
    }
}

struct JudgedVisitor;

impl<'de> Visitor<'de> for JudgedVisitor {
    type Value = Judged;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Judged, E> {
        Ok(Judged::of_plain(&Plain::Truth(truth)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Judged, E> {
        Ok(Judged::of_plain(&Plain::Whole(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Judged, E> {
        // Only whether it is zero counts.
        Ok(Judged::of_plain(&Plain::Whole(i64::from(number > 0))))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Judged, E> {
        Ok(Judged::of_plain(&Plain::Float(float)))
    }

    fn visit_str<E>(self, word: &str) -> Result<Judged, E> {
        Ok(Judged::of_word(word))
    }

    fn visit_unit<E>(self) -> Result<Judged, E> {
        Ok(Judged::NOTHING)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Judged, A::Error> {
        let is_empty = list.next_element::<IgnoredAny>()?.is_none();
        if !is_empty {
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(Judged::of_list(is_empty))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Judged, A::Error> {
        let mut fields = Fields::default();
        while let Some(Key { names_the_switch }) = map.next_key()? {
            fields.add(names_the_switch, map.next_value()?);
        }
        Ok(fields.judge())
    }
}

/// A key of an object, as far as it matters.
struct Key {
    names_the_switch: bool,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                const SWITCHES: [&str; 9] = [
                    "enabled",
                    "is_enabled",
                    "active",
                    "is_active",
                    "blocked",
                    "value",
                    "state",
                    "status",
                    "mode",
                ];
                Ok(Key { names_the_switch: SWITCHES.contains(&key) })
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_that_protects_is_believed_in_any_shape() {
        for (json, guard) in [
            ("true", Guard::Yes),
            ("1", Guard::Yes),
            ("\"in_progress\"", Guard::Yes),
            ("\"entering\"", Guard::Yes),
            (r#"{"enabled": true}"#, Guard::Yes),
            (r#"{"enabled": "on", "evacuate": false}"#, Guard::Yes),
            (r#"{"reason": "disk", "date": "2026-11-01"}"#, Guard::Yes),
            (r#"{"enabled": null}"#, Guard::Yes),
            (r#"{"state": {"active": true}}"#, Guard::Yes),
            ("{}", Guard::Yes),
            ("[1]", Guard::Yes),
            (r#"{"enabled": false, "reason": "disk"}"#, Guard::No),
            (r#"{"state": "off"}"#, Guard::No),
            (r#"{"iso": false, "snapshot": 0}"#, Guard::No),
            ("false", Guard::No),
            ("0", Guard::No),
            ("\"0\"", Guard::No),
            ("\"Off\"", Guard::No),
            ("\"\"", Guard::No),
            ("[]", Guard::No),
            ("\"no_error\"", Guard::No),
            ("null", Guard::Absent),
        ] {
            assert_eq!(serde_json::from_str::<Guard>(json).unwrap(), guard, "{json}");
        }
    }

    #[test]
    fn a_permission_that_is_not_plainly_given_is_denied() {
        for (json, granted) in [
            ("true", true),
            ("\"allowed\"", true),
            (r#"{"allowed": true}"#, true),
            ("null", true),
            ("false", false),
            ("\"forbidden\"", false),
            (r#"{"allowed": false}"#, false),
            ("{}", false),
        ] {
            let read: Permission = serde_json::from_str(json).unwrap();
            assert_eq!(read == Permission::Granted, granted, "{json}");
        }
    }

    #[test]
    fn a_set_without_a_restriction_restricts_nothing() {
        for (json, any) in [
            ("{}", false),
            ("[]", false),
            ("null", false),
            (r#"{"iso": false, "ipv6": 0}"#, false),
            (r#"{"iso": false, "ipv6": "yes"}"#, true),
            (r#"{"net_iface_count": {"found": 2}}"#, true),
            ("true", true),
        ] {
            assert_eq!(serde_json::from_str::<Restrictions>(json).unwrap().any, any, "{json}");
        }
    }

    #[test]
    fn a_vm_opts_out_of_balancing_in_any_shape() {
        for (json, out) in [
            ("\"off\"", true),
            ("false", true),
            (r#"{"enabled": false}"#, true),
            ("\"on\"", false),
            ("\"auto\"", false),
            ("\"\"", false),
            ("null", false),
        ] {
            let read: OptOut = serde_json::from_str(json).unwrap();
            assert_eq!(read == OptOut::Out, out, "{json}");
        }
    }
}
