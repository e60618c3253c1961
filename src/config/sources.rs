//! Where values come from and which of them wins: command line, environment, file, default.

use std::{collections::BTreeMap, fmt};

use super::{
    EnvFile, Warning,
    variables::{self, Place, VARIABLES},
};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An option of the command.
    CommandLine,
    /// The environment of the process.
    Environment,
    /// The file of assignments.
    File,
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommandLine => "the command line",
            Self::Environment => "the environment",
            Self::File => "the file",
            Self::Default => "the default",
        })
    }
}

/// All values that were given, by their source. An empty value counts and means the default.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    /// What the command line overrides, under the variables' names.
    pub command_line: BTreeMap<&'static str, String>,
    /// The environment of the process, as it is.
    pub environment: BTreeMap<String, String>,
    /// What the file assigns.
    pub file: EnvFile,
    /// The file's name, for warnings.
    pub file_name: String,
}

impl Sources {
    /// Returns the value that wins, as it was meant.
    #[must_use]
    pub(crate) fn lookup(&self, name: &str) -> Option<String> {
        let secret = variables::find(name).is_some_and(|variable| variable.secret);
        let (value, source) = self.winner(name)?;
        Some(match source {
            // Docker's --env-file hands over comments as a part of the value.
            Source::Environment if !secret => without_comment(value).to_owned(),
            Source::File => self.expand(value, secret),
            Source::CommandLine | Source::Environment | Source::Default => value.to_owned(),
        })
    }

    /// Returns where the value in force comes from.
    #[must_use]
    pub(crate) fn source(&self, name: &str) -> Source {
        let given = self.winner(name).filter(|(value, _)| !value.trim().is_empty());
        given.map_or(Source::Default, |(_, source)| source)
    }

    /// Returns where a person corrects a value, or sets one that is not there.
    #[must_use]
    pub(crate) fn place(&self, name: &str) -> String {
        match self.source(name) {
            Source::File | Source::Default => self.file_name.clone(),
            other => other.to_string(),
        }
    }

    /// Warns of names and lines that have no effect.
    #[must_use]
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let lines = self
            .file
            .unreadable_lines
            .iter()
            .map(|line| Warning::UnreadableLine { file: self.file_name.clone(), line: *line });
        let in_file = unknown(self.file.values.keys(), Place::File, "the file");
        let in_environment = unknown(self.environment.keys(), Place::Environment, "the environment");
        lines.chain(in_file).chain(in_environment).collect()
    }

    fn winner(&self, name: &str) -> Option<(&str, Source)> {
        let given = [
            (self.command_line.get(name), Source::CommandLine),
            (self.environment.get(name), Source::Environment),
            (self.file.values.get(name), Source::File),
        ];
        given.into_iter().find_map(|(value, source)| Some((value?.as_str(), source)))
    }

    /// Puts the value of a variable in place of `${NAME}` and `${NAME:-text}`, as the Python tool did, where there
    /// is such a variable. A secret is left as it is unless it is nothing but one `${NAME}`.
    fn expand(&self, value: &str, secret: bool) -> String {
        let whole = value.starts_with("${") && value.find('}') == Some(value.len() - 1);
        if secret && !whole {
            return value.to_owned();
        }
        let mut text = String::new();
        let mut rest = value;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            let (before, reference) = (&rest[..start], &rest[start..=start + length]);
            text.push_str(before);
            text.push_str(&self.resolve(reference).unwrap_or_else(|| reference.to_owned()));
            rest = &rest[start + length + 1..];
        }
        text + rest
    }

    fn resolve(&self, reference: &str) -> Option<String> {
        let inner = reference.strip_prefix("${")?.strip_suffix('}')?;
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let value = self.environment.get(name).or_else(|| self.file.values.get(name));
        value.filter(|value| !value.is_empty()).cloned().or_else(|| default.map(str::to_owned))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = |variable: &&variables::Variable| self.source(variable.name) != Source::Default;
        let names = VARIABLES.iter().filter(given).map(|variable| variable.name);
        f.write_str("Sources ")?;
        f.debug_list().entries(names).finish()
    }
}

fn unknown<'a>(
    names: impl Iterator<Item = &'a String>,
    place: Place,
    called: &'static str,
) -> impl Iterator<Item = Warning> {
    names.filter_map(move |name| variables::judge(name, place)).map(move |unknown| Warning::UnknownName {
        name: unknown.name,
        meant: unknown.meant,
        place: called,
    })
}

fn without_comment(value: &str) -> &str {
    let comment = value
        .char_indices()
        .find(|(at, c)| *c == '#' && (value[..*at].trim().is_empty() || value[..*at].ends_with([' ', '\t'])));
    comment.map_or(value, |(at, _)| value[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read_env_file;

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
        let mut sources = given("BALANCE_INTERVAL=1\nDRY_RUN=true\nTIMEZONE=UTC\n", &[("DRY_RUN", "false")]);
        sources.command_line.insert("BALANCE_INTERVAL", "3".into());
        assert_eq!(sources.lookup("BALANCE_INTERVAL").as_deref(), Some("3"));
        assert_eq!(sources.lookup("DRY_RUN").as_deref(), Some("false"));
        assert_eq!(sources.lookup("TIMEZONE").as_deref(), Some("UTC"));
        assert_eq!(sources.lookup("LOG_LEVEL"), None);
        let found = ["BALANCE_INTERVAL", "DRY_RUN", "TIMEZONE", "LOG_LEVEL"].map(|name| sources.source(name));
        assert_eq!(found, [Source::CommandLine, Source::Environment, Source::File, Source::Default]);
    }

    #[test]
    fn an_empty_value_in_the_environment_takes_the_one_of_the_file_away() {
        let sources = given("CLUSTER_IDS=1,2\n", &[("CLUSTER_IDS", "")]);
        assert_eq!(sources.lookup("CLUSTER_IDS").as_deref(), Some(""));
    }

    #[test]
    fn comments_that_docker_hands_over_are_no_values() {
        let sources = given(
            "",
            &[
                ("BALANCE_INTERVAL", "600  # ten minutes"),
                ("CLUSTER_IDS", "# all"),
                ("SSH_PASSWORD", "a # b"),
            ],
        );
        assert_eq!(sources.lookup("BALANCE_INTERVAL").as_deref(), Some("600"));
        assert_eq!(sources.lookup("CLUSTER_IDS").as_deref(), Some(""));
        assert_eq!(sources.lookup("SSH_PASSWORD").as_deref(), Some("a # b"));
    }

    #[test]
    fn references_to_other_variables_are_followed_as_the_python_tool_did() {
        let sources = given(
            "KEYS=${HOME}/.ssh\nSSH_PRIVATE_KEY_PATH=${HOME}/id\nDATA_DIR=${NOWHERE:-/data}\nPIN_VMS=${NOWHERE}\n",
            &[("HOME", "/root")],
        );
        assert_eq!(sources.lookup("SSH_PRIVATE_KEY_PATH").as_deref(), Some("/root/id"));
        assert_eq!(sources.lookup("DATA_DIR").as_deref(), Some("/data"));
        assert_eq!(sources.lookup("PIN_VMS").as_deref(), Some("${NOWHERE}"));
    }

    #[test]
    fn a_password_is_never_expanded_in_the_middle() {
        let sources = given(
            "VMMANAGER_PASSWORD=a${HOME}b\nSSH_PASSWORD=${VAULT}\n",
            &[("HOME", "/root"), ("VAULT", "deep")],
        );
        assert_eq!(sources.lookup("VMMANAGER_PASSWORD").as_deref(), Some("a${HOME}b"));
        assert_eq!(sources.lookup("SSH_PASSWORD").as_deref(), Some("deep"));
    }

    #[test]
    fn what_does_nothing_is_named() {
        let sources = given(
            "VMMANAGER_PASWORD=x\nnonsense\n",
            &[("SSH_AUTH_SOCK", "/run/agent"), ("TELEGRAM_TOKEN", "y")],
        );
        let said: Vec<_> = sources.warnings().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn debug_shows_no_value() {
        let sources = given("VMMANAGER_PASSWORD=deep\n", &[("TELEGRAM_BOT_TOKEN", "1:secret")]);
        assert_eq!(format!("{sources:?}"), r#"Sources ["VMMANAGER_PASSWORD", "TELEGRAM_BOT_TOKEN"]"#);
    }

    fn given(file: &str, environment: &[(&str, &str)]) -> Sources {
        Sources {
            command_line: BTreeMap::new(),
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            file: read_env_file(file).unwrap(),
            file_name: ".env".into(),
        }
    }
}
