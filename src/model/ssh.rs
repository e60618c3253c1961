//! Why a node could not be measured over SSH, and why the monitor cannot start, as data. Holds no secret.

use std::{path::PathBuf, time::Duration};

use super::{Quote, WhyUnmeasured};

/// Why the monitor cannot be made from its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshError {
    /// Neither a private key, nor a password, nor an SSH agent is given.
    NoCredentials,
    /// The private key cannot be read.
    KeyFile {
        /// The file of the key.
        path: PathBuf,
        /// The operating system's words.
        said: Quote,
    },
    /// The private key is encrypted, and no passphrase is given.
    KeyEncrypted {
        /// The file of the key.
        path: PathBuf,
    },
    /// The private key does not open with the passphrase.
    Passphrase {
        /// The file of the key.
        path: PathBuf,
    },
    /// The file holds a public key.
    KeyIsPublic {
        /// The file that holds it.
        path: PathBuf,
    },
    /// The file holds no private key of a known kind.
    KeyForm {
        /// The file.
        path: PathBuf,
        /// The reader's words.
        said: Quote,
    },
    /// Without known hosts no node can be believed.
    KnownHosts(UnreadableHosts),
}

impl std::error::Error for SshError {}

impl From<UnreadableHosts> for SshError {
    fn from(hosts: UnreadableHosts) -> Self {
        Self::KnownHosts(hosts)
    }
}

/// A file of known hosts that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableHosts {
    /// The file.
    pub path: PathBuf,
    /// The operating system's or the reader's words.
    pub said: Quote,
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

/// Why a node has no reading in this round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshFailure {
    /// Nobody listens on the port.
    Refused {
        /// The address that was asked, `host:port`.
        host: String,
    },
    /// No way leads there, or the name is unknown.
    Unreachable {
        /// The address that was asked, `host:port`.
        host: String,
        /// The operating system's words.
        said: Quote,
    },
    /// Its time was up.
    Timeout {
        /// What was under way.
        phase: Phase,
        /// How long it was given.
        after: Duration,
    },
    /// Nothing is known of this host.
    HostKeyUnknown {
        /// The address that was asked, `host:port`.
        host: String,
        /// The fingerprint of the key that it showed.
        found: String,
    },
    /// The host has other keys.
    HostKeyChanged {
        /// The address that was asked, `host:port`.
        host: String,
        /// Fingerprints of the keys that are known.
        expected: Vec<String>,
        /// The fingerprint of the key that it showed.
        found: String,
        /// Where the known keys stand; empty while a learned one is on its way to the file.
        at: Vec<KnownLine>,
    },
    /// The key must never be accepted again.
    HostKeyRevoked {
        /// The address that was asked, `host:port`.
        host: String,
        /// The fingerprint of the key that it showed.
        found: String,
        /// The lines that revoke it.
        at: Vec<KnownLine>,
    },
    /// The key could not be compared, or could not be kept.
    HostKeyUnchecked(HostKeyDoubt),
    /// What answers does not speak SSH, or not as we do.
    Handshake {
        /// The address that was asked, `host:port`.
        host: String,
        /// What went wrong.
        why: HandshakeFlaw,
    },
    /// Nobody is logged in.
    Auth {
        /// The user to log in as.
        username: String,
        /// What was tried, in this order.
        tried: Vec<Tried>,
        /// The ways to log in that the server named last.
        offered: Vec<String>,
    },
    /// There is a login and no session.
    SessionRefused(SessionRefusal),
    /// The connection was lost.
    Dropped {
        /// What was under way.
        phase: Phase,
    },
    /// The answer is longer than any reading.
    TooMuchOutput {
        /// The most bytes that are read.
        limit_bytes: usize,
    },
    /// The command failed; what it wrote to standard error may be empty.
    ExitStatus {
        /// Its exit status.
        code: u32,
        /// What it wrote to standard error.
        said: Quote,
    },
    /// The command was killed.
    Killed {
        /// The signal's name.
        signal: String,
        /// What it wrote to standard error.
        said: Quote,
    },
    /// What the node said is no reading.
    Unreadable(Unreadable),
}

impl std::error::Error for SshFailure {}

/// Why a host key is not accepted although nothing is known against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeyDoubt {
    /// Without known hosts nothing can be compared.
    KnownHosts(UnreadableHosts),
    /// The new key cannot be written to the file of learned keys.
    NotKept {
        /// The address that was asked, `host:port`.
        host: String,
        /// The file of learned keys.
        path: PathBuf,
        /// The operating system's words.
        said: Quote,
    },
    /// The new key has no text form.
    NoText(Quote),
    /// Comparing the key panicked.
    Panicked(Quote),
}

/// Why the handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeFlaw {
    /// The server showed no host key.
    NoHostKey,
    /// The SSH library's words.
    Said(Quote),
}

/// A way to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginWay {
    /// The server asks for nothing.
    Open,
    /// With the configured private key.
    Key {
        /// The key's SHA-256 fingerprint.
        fingerprint: String,
    },
    /// With a key of the SSH agent.
    AgentKey {
        /// The key's SHA-256 fingerprint.
        fingerprint: String,
    },
    /// With the configured password.
    Password,
    /// With the password, in answer to the server's question.
    KeyboardInteractive,
}

impl LoginWay {
    /// Returns how SSH calls it.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::Open => "none",
            Self::Key { .. } | Self::AgentKey { .. } => "publickey",
            Self::Password => "password",
            Self::KeyboardInteractive => "keyboard-interactive",
        }
    }
}

/// What was tried to log in, and what was in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The server did not accept it.
    Way(LoginWay),
    /// The server asks for this many answers and not for one password.
    MoreThanPassword {
        /// How many answers it asks for.
        answers: usize,
    },
    /// There is more to try, but servers hang up after this many tries.
    TriesUsedUp {
        /// How many tries were made.
        tries: usize,
    },
    /// The SSH agent cannot be asked for its keys.
    AgentUnreachable {
        /// The agent's socket.
        socket: PathBuf,
        /// What went wrong.
        why: AgentFlaw,
    },
    /// The SSH agent did not sign.
    NotSigned(AgentFlaw),
}

/// What went wrong with the SSH agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentFlaw {
    /// It did not answer in time.
    Silent,
    /// The words of the error.
    Said(Quote),
}

/// Why a server opens no session or runs no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRefusal {
    /// Its settings forbid sessions.
    Prohibited,
    /// As many sessions are open as it allows.
    TooMany,
    /// It does not know what a session is.
    Unknown,
    /// It is short of memory or processes.
    Shortage,
    /// It gives another reason, or none.
    Unexplained,
    /// It opens the session and refuses the command.
    Command,
}

/// Why an answer cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It does not begin as a reading does.
    NotAReading(Quote),
    /// It ends too early.
    Truncated,
    /// This part is missing or broken.
    Missing(&'static str),
}

/// Where a known host's key stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownLine {
    /// The file of known hosts.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// How the file calls the host, e.g. `[10.0.0.1]:2222`.
    pub host: String,
    /// In the file that `accept-new` writes; else in the operator's own.
    pub learned: bool,
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
                | Self::HostKeyUnchecked(_)
        )
    }

    /// Tells whether nobody answered, so that the next attempt may have to wait just as long.
    #[must_use]
    pub fn is_silence(&self) -> bool {
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
            Self::HostKeyUnchecked(_) => WhyUnmeasured::HostKeyUnchecked,
            Self::Handshake { .. } => WhyUnmeasured::Handshake,
            Self::Auth { .. } => WhyUnmeasured::Login,
            Self::Dropped { .. } => WhyUnmeasured::Lost,
            Self::SessionRefused(_) | Self::ExitStatus { .. } | Self::Killed { .. } => WhyUnmeasured::Command,
            Self::TooMuchOutput { .. } | Self::Unreadable(_) => WhyUnmeasured::Unreadable,
        }
    }
}
