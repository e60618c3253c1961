//! Why a node could not be measured, and why the monitor cannot start. Holds no secret.

use std::{fmt, io, path::PathBuf, time::Duration};

use super::{host_keys::KnownLine, parse::Unreadable};
use crate::model::WhyUnmeasured;

/// The most characters of a node's own words that are kept.
///
/// Enough for one sentence of `sh` or `sshd`; the rest is on the node.
const EXCERPT_MAX: usize = 200;

/// Why the monitor cannot be made from these settings.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    #[error("no way to log in: neither a private key, nor a password, nor an SSH agent is given")]
    NoCredentials,
    #[error("private key {} cannot be read", path.display())]
    KeyFile { path: PathBuf, source: io::Error },
    #[error("private key {} is encrypted and no passphrase is given", path.display())]
    KeyEncrypted { path: PathBuf },
    #[error("private key {} does not open with the passphrase given", path.display())]
    Passphrase { path: PathBuf },
    #[error("{} is a public key; the private one is needed, usually the same name without .pub", path.display())]
    KeyIsPublic { path: PathBuf },
    #[error(
        "{} is no private key of a known kind; expected RSA, ed25519 or ECDSA in the OpenSSH or PEM form: {why}",
        path.display()
    )]
    KeyForm { path: PathBuf, why: String },
    #[error("known hosts {} cannot be read", path.display())]
    KnownHosts { path: PathBuf, source: io::Error },
}

/// What was going on when a node's time was up or its connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for an earlier reading of the same node.
    Queue,
    /// Opening the TCP connection, the name's lookup included.
    Connect,
    /// From the server's banner to the end of the key exchange.
    Handshake,
    /// Logging in.
    Auth,
    /// Opening the session and running the command.
    Command,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting for an earlier reading",
            Self::Connect => "connecting",
            Self::Handshake => "the handshake",
            Self::Auth => "the login",
            Self::Command => "the command",
        })
    }
}

/// Why a node has no reading in this round.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshFailure {
    #[error("connection to {host} refused")]
    Refused { host: String },
    #[error("{host} cannot be reached: {why}")]
    Unreachable { host: String, why: String },
    #[error("no answer within {} during {phase}", humantime::format_duration(*after))]
    Timeout { phase: Phase, after: Duration },
    #[error(
        "host key of {host} is unknown: {found}; add it to the known hosts after comparing it on the node"
    )]
    HostKeyUnknown { host: String, found: String },
    #[error("host key of {host} has changed: expected {}, found {found}{}", expected.join(" or "), places("known from", at))]
    HostKeyChanged { host: String, expected: Vec<String>, found: String, at: Vec<KnownLine> },
    #[error("host key of {host} is revoked: {found}{}", places("by", at))]
    HostKeyRevoked { host: String, found: String, at: Vec<KnownLine> },
    #[error("host keys cannot be checked: {why}")]
    HostKeyUnchecked { why: String },
    #[error("SSH handshake with {host} failed: {why}")]
    Handshake { host: String, why: String },
    #[error(
        "login as {username} failed: {}; the server offers {}",
        none_or(tried, "nothing to try"),
        none_or(offered, "nothing")
    )]
    Auth { username: String, tried: Vec<String>, offered: Vec<String> },
    #[error("the server refused the session: {why}")]
    SessionRefused { why: String },
    #[error("connection lost during {phase}")]
    Dropped { phase: Phase },
    #[error("the answer is longer than {limit_bytes} bytes")]
    TooMuchOutput { limit_bytes: usize },
    #[error("the command failed with status {code}{}", words(stderr))]
    ExitStatus { code: u32, stderr: String },
    #[error("the command was killed by signal {signal}{}", words(stderr))]
    Killed { signal: String, stderr: String },
    #[error("the answer cannot be understood: {0}")]
    Unreadable(Unreadable),
}

impl SshFailure {
    /// Tells whether the server's identity is in doubt: nothing it said before counts then.
    #[must_use]
    pub fn is_host_key(&self) -> bool {
        matches!(
            self,
            Self::HostKeyUnknown { .. }
                | Self::HostKeyChanged { .. }
                | Self::HostKeyRevoked { .. }
                | Self::HostKeyUnchecked { .. }
        )
    }

    /// Tells whether nobody answered: whoever asks again may have to wait as long again.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Unreachable { .. })
    }

    /// Returns the failure without its details.
    #[must_use]
    pub fn why(&self) -> WhyUnmeasured {
        match self {
            Self::Refused { .. } => WhyUnmeasured::Refused,
            Self::Unreachable { .. } => WhyUnmeasured::Unreachable,
            Self::Timeout { .. } => WhyUnmeasured::Silent,
            Self::HostKeyUnknown { .. } => WhyUnmeasured::HostKeyUnknown,
            Self::HostKeyChanged { .. } => WhyUnmeasured::HostKeyChanged,
            Self::HostKeyRevoked { .. } => WhyUnmeasured::HostKeyRevoked,
            Self::HostKeyUnchecked { .. } => WhyUnmeasured::HostKeyUnchecked,
            Self::Handshake { .. } => WhyUnmeasured::Handshake,
            Self::Auth { .. } => WhyUnmeasured::Login,
            Self::Dropped { .. } => WhyUnmeasured::Lost,
            Self::SessionRefused { .. } | Self::ExitStatus { .. } | Self::Killed { .. } => {
                WhyUnmeasured::Command
            }
            Self::TooMuchOutput { .. } | Self::Unreadable(_) => WhyUnmeasured::Unreadable,
        }
    }
}

fn none_or(words: &[String], none: &str) -> String {
    if words.is_empty() { none.into() } else { words.join(", ") }
}

fn places(by: &str, lines: &[KnownLine]) -> String {
    let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    if lines.is_empty() { String::new() } else { format!(" ({by} {})", lines.join(", ")) }
}

fn words(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

/// Returns the beginning of what a node said as one line without control characters.
pub(super) fn excerpt(said: &[u8]) -> String {
    // A character has at most four bytes, so this much is enough and bounds the work.
    let head = &said[..said.len().min(EXCERPT_MAX * 4)];
    let text = String::from_utf8_lossy(head);
    let plain: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut short: String = plain.chars().take(EXCERPT_MAX).collect();
    if short.len() < plain.len() || head.len() < said.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line_without_control_characters() {
        assert_eq!(excerpt(b"  sh: 1: nproc:\n\x1b[31mnot found\n"), "sh: 1: nproc:  [31mnot found");
        let long = excerpt(&b"x".repeat(100_000));
        assert_eq!(long.chars().count(), EXCERPT_MAX + 1);
    }

    #[test]
    fn failures_say_what_happened_and_to_whom() {
        let auth = SshFailure::Auth {
            username: "monitor".into(),
            tried: vec!["publickey SHA256:abc".into(), "password".into()],
            offered: vec!["publickey".into()],
        };
        insta::assert_snapshot!(auth, @"login as monitor failed: publickey SHA256:abc, password; the server offers publickey");
        let slow = SshFailure::Timeout { phase: Phase::Handshake, after: Duration::from_secs(10) };
        insta::assert_snapshot!(slow, @"no answer within 10s during the handshake");
        let exit = SshFailure::ExitStatus { code: 127, stderr: "sh: not found".into() };
        insta::assert_snapshot!(exit, @"the command failed with status 127: sh: not found");
    }
}
