//! What is wrong with a configuration, all of it at once. Never shows a secret.

use std::fmt;

use crate::scheduler::{ExpectedValue, FoundValue, SettingWarning};

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One variable with a value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub name: &'static str,
    pub found: FoundValue,
    pub expected: Expected,
}

/// What was expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// What a setting must be that the chat can change; the chat words it.
    Value(ExpectedValue),
    /// The words after "expected", where only the file has the variable.
    Text(String),
}

impl From<ExpectedValue> for Expected {
    fn from(expected: ExpectedValue) -> Self {
        Self::Value(expected)
    }
}

impl From<String> for Expected {
    fn from(words: String) -> Self {
        Self::Text(words)
    }
}

impl From<&str> for Expected {
    fn from(words: &str) -> Self {
        Self::Text(words.to_owned())
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(expected) => expected.fmt(f),
            Self::Text(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a problem:")?,
            many => write!(f, "the configuration has {many} problems:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, found, expected } = self;
        match found {
            FoundValue::Nothing => write!(f, "{name}: not set, expected {expected}"),
            FoundValue::Text(text) => write!(f, "{name}: found {text:?}, expected {expected}"),
            FoundValue::Hidden => write!(f, "{name}: found a value (not shown), expected {expected}"),
        }
    }
}

/// Something that works and that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    UnknownName { name: String, meant: Option<&'static str>, place: &'static str },
    UnreadableLine { file: String, line: usize },
    TlsNotVerified,
    PlainHttp,
    HostKeysNotChecked,
    PlainBotApi,
    Setting(SettingWarning),
    ChatWithoutToken,
    TokenWithoutChat,
    PythonWaits,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName { name, meant: Some(meant), place } => {
                write!(f, "{name} in {place} is not known and does nothing; did you mean {meant}?")
            }
            Self::UnknownName { name, meant: None, place } => {
                write!(f, "{name} in {place} is not known and does nothing")
            }
            Self::UnreadableLine { file, line } => {
                write!(f, "line {line} of {file} is not NAME=value and does nothing")
            }
            Self::TlsNotVerified => write!(
                f,
                "VERIFY_SSL is false: whoever sits between can read the password and give orders; \
                 VMMANAGER_CA_FILE names a private CA"
            ),
            Self::PlainHttp => {
                write!(f, "VMMANAGER_ALLOW_HTTP is true: the password travels unencrypted")
            }
            Self::HostKeysNotChecked => write!(
                f,
                "SSH_HOST_KEY_CHECK is off: any machine can pose as a node; \
                 accept-new learns each key the first time"
            ),
            Self::PlainBotApi => {
                write!(f, "TELEGRAM_API_URL is http to another machine: the bot's token travels unencrypted")
            }
            Self::Setting(warning) => warning.fmt(f),
            Self::ChatWithoutToken => {
                write!(f, "TELEGRAM_CHAT_ID is set and TELEGRAM_BOT_TOKEN is not: there is no chat")
            }
            Self::PythonWaits => write!(
                f,
                "BALANCE_MODE is not set: plans wait in the chat for an approval; \
                 with BALANCE_MODE=auto they are carried out at once, as the Python tool did"
            ),
            Self::TokenWithoutChat => write!(
                f,
                "TELEGRAM_BOT_TOKEN is set and TELEGRAM_CHAT_ID is not: \
                 reports and proposals of the schedule have no chat to go to"
            ),
        }
    }
}
