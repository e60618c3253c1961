//! The English of reasons for the log and the command line, so that each is worded once.

use std::fmt;

use chrono::DateTime;

use super::{Words, plain};
use crate::{
    model::{
        ApiFailure, Flaw, StoreFailure, Trouble,
        ssh::{LoginWay, SshError, SshFailure},
    },
    planner::Note,
    scheduler::{ExpectedValue, SettingWarning},
    store::{Ending, StoreError},
};

/// Displays a reason as the English that the chat shows, without markup.
macro_rules! display {
    ($($of:ty: $words:expr),* $(,)?) => {$(
        impl fmt::Display for $of {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let words: fn(&Words, &Self) -> String = $words;
                f.write_str(&plain(&words(&Words::english(), self)))
            }
        }
    )*};
}

display! {
    Trouble: Words::trouble,
    ApiFailure: |words, failure| {
        words.say("trouble-vmmanager", super::args![why = super::Arg::Html(words.api_failure(failure))])
    },
    StoreFailure: Words::store_failure,
    StoreError: |words, error| words.trouble(&Trouble::Store(error.failure())),
    SshError: Words::ssh_error,
    SshFailure: Words::ssh_failure,
    LoginWay: Words::login_way,
    Flaw: Words::flaw,
    Note: Words::note,
    ExpectedValue: Words::expected_value,
    SettingWarning: Words::setting_warning,
    // A moment far away: times then show their day.
    Ending: |words, ending| words.ending(ending, DateTime::UNIX_EPOCH),
}
