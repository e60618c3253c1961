//! Why a node could not be measured over SSH, and why the monitor cannot start.

use std::{path::Path, time::Duration};

use chrono::TimeDelta;

use super::{Arg, Words, args, format::code};
use crate::model::{
    Quote, WhyUnmeasured,
    ssh::{
        AgentFlaw, HandshakeFlaw, HostKeyDoubt, KnownLine, LoginWay, Phase, SessionRefusal, SshError,
        SshFailure, Tried, Unreadable, UnreadableHosts,
    },
};

impl Words {
    /// Why a node gave no reading, in a few words.
    pub(crate) fn why_unmeasured(&self, why: WhyUnmeasured) -> String {
        let key = match why {
            WhyUnmeasured::Refused => "unmeasured-refused",
            WhyUnmeasured::Unreachable => "unmeasured-unreachable",
            WhyUnmeasured::Silent => "unmeasured-silent",
            WhyUnmeasured::HostKeyUnknown => "unmeasured-host-key-unknown",
            WhyUnmeasured::HostKeyChanged => "unmeasured-host-key-changed",
            WhyUnmeasured::HostKeyRevoked => "unmeasured-host-key-revoked",
            WhyUnmeasured::HostKeyUnchecked => "unmeasured-host-key-unchecked",
            WhyUnmeasured::Handshake => "unmeasured-handshake",
            WhyUnmeasured::Login => "unmeasured-login",
            WhyUnmeasured::Lost => "unmeasured-lost",
            WhyUnmeasured::Command => "unmeasured-command",
            WhyUnmeasured::Unreadable => "unmeasured-unreadable",
        };
        self.say(key, args![])
    }

    /// Why the monitor cannot start, with what to do about it.
    pub(crate) fn ssh_error(&self, error: &SshError) -> String {
        let (key, path, said) = match error {
            SshError::NoCredentials => return self.say("ssh-no-credentials", args![]),
            SshError::KeyEncrypted { path } => return self.about_file("ssh-key-encrypted", path),
            SshError::Passphrase { path } => return self.about_file("ssh-key-passphrase", path),
            SshError::KeyIsPublic { path } => return self.about_file("ssh-key-public", path),
            SshError::KeyFile { path, said } => ("ssh-key-file", path, said),
            SshError::KeyForm { path, said } => ("ssh-key-form", path, said),
            SshError::KnownHosts(hosts) => return self.unreadable_hosts(hosts),
        };
        self.say(key, args![path = file(path), said = self.quote(said)])
    }

    fn unreadable_hosts(&self, UnreadableHosts { path, said }: &UnreadableHosts) -> String {
        self.say("ssh-known-hosts", args![path = file(path), said = self.quote(said)])
    }

    fn about_file(&self, key: &str, path: &Path) -> String {
        self.say(key, args![path = file(path)])
    }

    /// Why a node gave no reading, with all that is known.
    pub(crate) fn ssh_failure(&self, failure: &SshFailure) -> String {
        let html = Arg::Html;
        match failure {
            SshFailure::Refused { host } => self.say("ssh-refused", args![host = word(host)]),
            SshFailure::Unreachable { host, said } => {
                self.say("ssh-unreachable", args![host = word(host), said = self.quote(said)])
            }
            SshFailure::Timeout { phase, after } => {
                self.say("ssh-timeout", args![after = self.within(*after), phase = html(self.phase(*phase))])
            }
            SshFailure::HostKeyUnknown { host, found } => {
                self.say("ssh-key-unknown", args![host = word(host), found = word(found)])
            }
            SshFailure::HostKeyChanged { host, expected, found, at } => {
                let expected = join(expected.iter().map(|key| code(key)));
                let changed = args![host = word(host), expected = html(expected), found = word(found)];
                self.with_places(self.say("ssh-key-changed", changed), at)
            }
            SshFailure::HostKeyRevoked { host, found, at } => {
                let revoked = self.say("ssh-key-revoked", args![host = word(host), found = word(found)]);
                self.with_places(revoked, at)
            }
            SshFailure::HostKeyUnchecked(doubt) => {
                self.say("ssh-key-unchecked", args![why = html(self.host_key_doubt(doubt))])
            }
            SshFailure::Handshake { host, why } => {
                self.say("ssh-handshake", args![host = word(host), why = html(self.handshake_flaw(why))])
            }
            SshFailure::Auth { username, tried, offered } => self.login_failed(username, tried, offered),
            SshFailure::SessionRefused(why) => {
                self.say("ssh-session", args![why = html(self.session_refusal(*why))])
            }
            SshFailure::Dropped { phase } => self.say("ssh-dropped", args![phase = html(self.phase(*phase))]),
            SshFailure::TooMuchOutput { limit_bytes } => {
                let why = self.say("answer-too-long", args![n = limit_bytes.to_string()]);
                self.say("ssh-unreadable", args![why = html(why)])
            }
            SshFailure::ExitStatus { code, said } => {
                self.with_words(self.say("ssh-exit", args![code = code.to_string()]), said)
            }
            SshFailure::Killed { signal, said } => {
                self.with_words(self.say("ssh-killed", args![signal = word(signal)]), said)
            }
            SshFailure::Unreadable(why) => {
                self.say("ssh-unreadable", args![why = html(self.unreadable_reading(why))])
            }
        }
    }

    fn login_failed(&self, username: &str, tried: &[Tried], offered: &[String]) -> String {
        let or_nothing = |list: String, nothing: &str| match list.is_empty() {
            true => Arg::Html(self.say(nothing, args![])),
            false => Arg::Html(list),
        };
        let tried = join(tried.iter().map(|tried| self.attempt(tried)));
        let offered = join(offered.iter().map(|method| code(method)));
        self.say(
            "ssh-login",
            args![
                user = word(username),
                tried = or_nothing(tried, "ssh-nothing-to-try"),
                offered = or_nothing(offered, "ssh-nothing-offered"),
            ],
        )
    }

    /// How a login went through.
    pub(crate) fn login_way(&self, way: &LoginWay) -> String {
        let method = way.method();
        match way {
            LoginWay::Open => self.say("login-open", args![]),
            LoginWay::Key { fingerprint } => code(&format!("{method} {fingerprint}")),
            LoginWay::AgentKey { fingerprint } => {
                self.say("login-agent", args![key = word(&format!("{method} {fingerprint}"))])
            }
            LoginWay::Password | LoginWay::KeyboardInteractive => code(method),
        }
    }

    fn attempt(&self, tried: &Tried) -> String {
        match tried {
            Tried::Way(way) => self.login_way(way),
            Tried::MoreThanPassword { answers } => self.say("tried-more", args![n = *answers]),
            Tried::TriesUsedUp { tries } => self.say("tried-enough", args![n = *tries]),
            Tried::AgentUnreachable { socket, why } => {
                let why = Arg::Html(self.agent_flaw(why));
                self.say("tried-agent", args![socket = file(socket), why = why])
            }
            Tried::NotSigned(why) => self.say("tried-unsigned", args![why = Arg::Html(self.agent_flaw(why))]),
        }
    }

    fn agent_flaw(&self, flaw: &AgentFlaw) -> String {
        match flaw {
            AgentFlaw::Silent => self.say("unmeasured-silent", args![]),
            AgentFlaw::Said(said) => self.in_quotes(said),
        }
    }

    fn host_key_doubt(&self, doubt: &HostKeyDoubt) -> String {
        match doubt {
            HostKeyDoubt::KnownHosts(hosts) => self.unreadable_hosts(hosts),
            HostKeyDoubt::NotKept { host, path, said } => self.say(
                "ssh-key-not-kept",
                args![host = word(host), path = file(path), said = self.quote(said)],
            ),
            HostKeyDoubt::NoText(said) | HostKeyDoubt::Panicked(said) => self.in_quotes(said),
        }
    }

    fn handshake_flaw(&self, flaw: &HandshakeFlaw) -> String {
        match flaw {
            HandshakeFlaw::NoHostKey => self.say("ssh-no-host-key", args![]),
            HandshakeFlaw::Said(said) => self.in_quotes(said),
        }
    }

    fn session_refusal(&self, why: SessionRefusal) -> String {
        let key = match why {
            SessionRefusal::Prohibited => "session-prohibited",
            SessionRefusal::TooMany => "session-too-many",
            SessionRefusal::Unknown => "session-unknown",
            SessionRefusal::Shortage => "session-shortage",
            SessionRefusal::Unexplained => "said-nothing",
            SessionRefusal::Command => "session-command",
        };
        self.say(key, args![])
    }

    fn unreadable_reading(&self, why: &Unreadable) -> String {
        match why {
            Unreadable::NotAReading(said) => self.say("reading-other", args![said = self.quote(said)]),
            Unreadable::Truncated => self.say("reading-truncated", args![]),
            Unreadable::Missing(part) => self.say("reading-missing", args![part = word(part)]),
        }
    }

    fn phase(&self, phase: Phase) -> String {
        let key = match phase {
            Phase::Queue => "phase-queue",
            Phase::Connect => "phase-connect",
            Phase::Handshake => "phase-handshake",
            Phase::Auth => "phase-auth",
            Phase::Command => "phase-command",
        };
        self.say(key, args![])
    }

    /// Adds in which lines of which files that is written.
    fn with_places(&self, said: String, at: &[KnownLine]) -> String {
        let place = |KnownLine { file: path, line, .. }: &KnownLine| {
            self.say("ssh-known-line", args![file = file(path), line = line.to_string()])
        };
        match at.is_empty() {
            true => said,
            false => format!("{said} ({})", join(at.iter().map(place))),
        }
    }

    fn with_words(&self, said: String, more: &Quote) -> String {
        if more.is_empty() { said } else { format!("{said}: {}", self.in_quotes(more)) }
    }

    fn within(&self, patience: Duration) -> String {
        self.lasting(TimeDelta::from_std(patience).unwrap_or(TimeDelta::MAX))
    }
}

fn word(text: &str) -> Arg {
    Arg::Html(code(text))
}

fn file(path: &Path) -> Arg {
    word(&path.display().to_string())
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
