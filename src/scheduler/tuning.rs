//! Settings that can change while the bot runs, as people see and set them. How each is read and checked is known to
//! the configuration, which stands above this room: it comes as a [`Tuning`].

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{model::Person, store::SetByChat};

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub name: &'static str,
    pub group: Group,
    pub unit: Unit,
    pub kind: Kind,
    /// As the file would have it; empty for none.
    pub value: String,
    pub source: SettingSource,
    /// What is in force once the chat takes its value back.
    pub configured: String,
    /// What an operator should know about the value.
    pub warning: Option<SettingWarning>,
}

/// A value that works and is hardly meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingWarning {
    TargetOverOverload { target: &'static str, overload: &'static str },
    NothingIsMoved,
}

/// What a setting is about, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// When a node is overloaded, and how far a target is filled.
    Thresholds,
    /// How much is moved.
    Moves,
    /// Which nodes and VMs are left alone.
    Places,
    /// When and how long.
    Times,
    /// What the bot writes.
    Chat,
}

impl Group {
    /// Every group, in order.
    pub const ALL: [Self; 5] = [Self::Thresholds, Self::Moves, Self::Places, Self::Times, Self::Chat];
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    None,
    Percent,
    PerCore,
    Seconds,
    Days,
}

/// Which values there are, as far as buttons can offer them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Buttons go up and down by this.
    Number { step: f64 },
    /// One of these.
    Choice(&'static [&'static str]),
    /// Only typed.
    Typed,
    /// Only typed; it may be empty.
    Text,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingSource {
    Default,
    File,
    Environment,
    CommandLine,
    Chat { by: Person, at: DateTime<Utc> },
}

/// Why a setting cannot be set by chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unsettable {
    Unknown {
        name: String,
        similar: Option<String>,
    },
    Secret {
        name: String,
    },
    /// It is read at the start only.
    AtStart {
        name: String,
    },
    /// A command of its own changes it.
    ByCommand {
        name: String,
        command: String,
    },
    Value {
        name: String,
        found: FoundValue,
        expected: ExpectedValue,
    },
}

/// What stood where a value belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FoundValue {
    Nothing,
    Text(String),
    /// A secret, or a text that may hold one.
    Hidden,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpectedValue {
    /// Any.
    Something,
    Boolean,
    TimeOfDay,
    Whole {
        least: u64,
    },
    Seconds {
        least: u64,
    },
    SecondsAtMost {
        most: u64,
    },
    Days {
        least: i64,
        most: i64,
    },
    PerCore,
    Percent,
    Reserve,
    Margin,
    Worth,
    OneOf(Vec<String>),
    Windows,
}

/// Reads, checks and puts in force what is set by chat.
pub trait Tuning: Send + Sync + fmt::Debug {
    /// Checks a value (`None`: the chat's is taken back) and returns the setting's name as it is written.
    fn judge(&self, name: &str, value: Option<&str>) -> Result<&'static str, Unsettable>;

    /// Puts in force what the chat has set, over what was configured.
    fn apply(&self, set: &BTreeMap<String, SetByChat>);

    /// Returns every setting as it is in force.
    fn settings(&self, set: &BTreeMap<String, SetByChat>) -> Vec<Setting>;
}

/// For a scheduler without a configuration: nothing can be set.
#[derive(Debug)]
pub(super) struct Untuned;

impl Tuning for Untuned {
    fn judge(&self, name: &str, _: Option<&str>) -> Result<&'static str, Unsettable> {
        Err(Unsettable::Unknown { name: name.to_owned(), similar: None })
    }

    fn apply(&self, _: &BTreeMap<String, SetByChat>) {}

    fn settings(&self, _: &BTreeMap<String, SetByChat>) -> Vec<Setting> {
        Vec::new()
    }
}
