//! What is wrong with a configuration, all of it at once. Never shows a secret.

use std::fmt;

use crate::scheduler::{ExpectedValue, FoundValue, SettingWarning};

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One variable with a value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable's name.
    pub name: &'static str,
    /// What was there.
    pub found: FoundValue,
    /// What should be there.
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
    /// A name that no variable has; it does nothing.
    UnknownName {
        /// The name as written.
        name: String,
        /// The variable with a name much like it, if there is one.
        meant: Option<&'static str>,
        /// Where the name was found.
        place: &'static str,
    },
    /// A line that is no assignment; it does nothing.
    UnreadableLine {
        /// The file's name.
        file: String,
        /// The line's number, from 1.
        line: usize,
    },
    /// `VERIFY_SSL` is false: any certificate of VMmanager's is taken.
    TlsNotVerified,
    /// VMmanager is reached over `http://`.
    PlainHttp,
    /// `SSH_HOST_KEY_CHECK` is off.
    HostKeysNotChecked,
    /// The Bot API server of `TELEGRAM_API_URL` is on another machine and reached over `http://`.
    PlainBotApi,
    /// Something about the settings that the chat can change too.
    Setting(SettingWarning),
    /// A chat for reports is set, and no bot.
    ChatWithoutToken,
    /// A bot is set, and no chat for reports.
    TokenWithoutChat,
    /// A file written for the Python tool does not set `BALANCE_MODE`, so plans wait for an approval.
    PythonWaits,
}

impl Problem {
    /// Says what to do about it; `place` is where the value came from or belongs.
    #[must_use]
    pub fn remedy(&self, place: &str) -> String {
        let name = self.name;
        match self.found {
            FoundValue::Nothing => format!("set {name} in {place}"),
            FoundValue::Text(_) | FoundValue::Hidden => format!("correct {name} in {place}"),
        }
    }
}

impl Warning {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::UnknownName { meant: Some(meant), .. } => format!("did you mean {meant}?"),
            Self::UnknownName { meant: None, .. } => {
                "take it out, or look its name up in config.env.example".into()
            }
            Self::UnreadableLine { .. } => "write NAME=value, or # in front of a comment".into(),
            Self::TlsNotVerified => "set VERIFY_SSL=true; VMMANAGER_CA_FILE names a private CA".into(),
            Self::PlainHttp => "name VMmanager with https:// in VMMANAGER_HOST".into(),
            Self::HostKeysNotChecked => {
                "set SSH_HOST_KEY_CHECK=accept-new, which learns each key the first time".into()
            }
            Self::PlainBotApi => "name the server with https:// in TELEGRAM_API_URL".into(),
            Self::Setting(SettingWarning::TargetOverOverload { target, overload }) => {
                format!("set {target} to at most {overload} where that is not meant")
            }
            Self::Setting(SettingWarning::NothingIsMoved) => {
                "set MAX_MIGRATIONS_PER_CYCLE to 1 or more, or DRY_RUN=true to look on".into()
            }
            Self::ChatWithoutToken => "set TELEGRAM_BOT_TOKEN, or take TELEGRAM_CHAT_ID out".into(),
            Self::TokenWithoutChat => {
                "set TELEGRAM_CHAT_ID: start the bot and write /whoami in the chat, which answers its number"
                    .into()
            }
            Self::PythonWaits => {
                "set BALANCE_MODE=auto to have them carried out at once, as the Python tool did, \
                 or BALANCE_MODE=propose to keep it so"
                    .into()
            }
        }
    }

    /// Says what was seen.
    #[must_use]
    pub fn fact(&self) -> String {
        match self {
            Self::UnknownName { name, meant: _, place } => {
                format!("{name} in {place} is not known and does nothing")
            }
            Self::UnreadableLine { file, line } => {
                format!("line {line} of {file} is not NAME=value and does nothing")
            }
            Self::TlsNotVerified => {
                "VERIFY_SSL is false: whoever sits between can read the password and give orders".into()
            }
            Self::PlainHttp => "VMMANAGER_ALLOW_HTTP is true: the password travels unencrypted".into(),
            Self::HostKeysNotChecked => "SSH_HOST_KEY_CHECK is off: any machine can pose as a node".into(),
            Self::PlainBotApi => {
                "TELEGRAM_API_URL is http to another machine: the bot's token travels unencrypted".into()
            }
            Self::Setting(warning) => warning.to_string(),
            Self::ChatWithoutToken => {
                "TELEGRAM_CHAT_ID is set and TELEGRAM_BOT_TOKEN is not: there is no chat".into()
            }
            Self::TokenWithoutChat => "TELEGRAM_BOT_TOKEN is set and TELEGRAM_CHAT_ID is not: \
                 reports and proposals of the schedule have no chat to go to"
                .into(),
            Self::PythonWaits => "BALANCE_MODE is not set: plans wait in the chat for an approval".into(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.fact(), self.remedy())
    }
}
