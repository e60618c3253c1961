//! Somebody who asked for something or approved it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A person in the chat: the numeric user id decides, the name is for reading.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Person {
    /// Telegram's user id.
    pub id: i64,
    /// The name as the person shows it.
    pub name: String,
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}
