//! The settings of the monitor: how it logs in, where each node is, and which host keys it trusts.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, time::Duration};

use secrecy::SecretString;

use crate::{live::Live, model::NodeInfo};

/// SSH's port, where neither the mapping nor VMmanager names another.
const SSH_PORT: u16 = 22;

/// How many nodes are asked at one time unless said otherwise.
///
/// Larger than the 200 nodes that one platform is expected to have, so that hanging nodes do not keep others waiting.
/// On larger platforms it limits the number of open sockets and of key exchanges at one time.
const PARALLEL_MAX: usize = 256;

/// How often a connection without traffic is tried unless said otherwise.
///
/// With three tries a dead connection is noticed within a minute, before the next cycle. Many people set OpenSSH's
/// `ServerAliveInterval` and `ServerAliveCountMax` to the same values.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Everything the monitor needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The user to log in as on every node.
    pub username: String,
    /// The private key; `None` for none.
    pub private_key: Option<KeyFile>,
    /// The password; `None` for none.
    pub password: Option<SecretString>,
    /// The socket of an SSH agent (`SSH_AUTH_SOCK`); `None` for no agent.
    pub agent: Option<PathBuf>,
    /// The longest that connecting and logging in may take, and the longest for each command.
    pub timeout: Duration,
    /// The time between two looks. It decides which past reading a new one is compared with.
    pub interval: Live<Duration>,
    /// Node name or id to host: wins over the address that VMmanager gives.
    pub hosts: BTreeMap<String, HostPort>,
    /// The file of known hosts.
    pub known_hosts: PathBuf,
    /// Where `accept-new` keeps what it learns; believed in every mode.
    pub learned_hosts: PathBuf,
    /// What to do with a host key that is not known.
    pub host_key_check: HostKeyCheck,
    /// How many nodes are asked at one time; 256 is a good choice.
    pub parallel_max: usize,
    /// How often a connection without traffic is tried; 15 s is a good choice.
    pub keepalive: Duration,
}

impl Settings {
    /// Settings for `root` with the usual times, no key and no password. Unknown host keys are refused.
    ///
    /// ```
    /// use vm_balancer::{KeyFile, SshMonitor, SshSettings, clock::Clock};
    ///
    /// let mut settings = SshSettings::new("/etc/ssh/ssh_known_hosts".into(), "/tmp/learned".into());
    /// settings.username = "monitor".into();
    /// settings.private_key = Some(KeyFile { path: "/nonexistent/key".into(), passphrase: None });
    /// let error = SshMonitor::new(settings, Clock::system()).err().map(|error| error.to_string());
    /// assert!(error.is_some_and(|error| error.contains("/nonexistent/key")));
    /// ```
    #[must_use]
    pub fn new(known_hosts: PathBuf, learned_hosts: PathBuf) -> Self {
        Self {
            username: "root".into(),
            private_key: None,
            password: None,
            agent: None,
            timeout: Duration::from_secs(10),
            interval: Duration::from_secs(600).into(),
            hosts: BTreeMap::new(),
            known_hosts,
            learned_hosts,
            host_key_check: HostKeyCheck::default(),
            parallel_max: PARALLEL_MAX,
            keepalive: KEEPALIVE_INTERVAL,
        }
    }
}

/// A private key on disk.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// The file of the key.
    pub path: PathBuf,
    /// What opens it; `None` for a key that is not encrypted.
    pub passphrase: Option<SecretString>,
}

/// What happens to a host key that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKeyCheck {
    /// Unknown and changed keys are refused.
    #[default]
    Strict,
    /// An unknown key is learned the first time; a changed one is refused.
    AcceptNew,
    /// Every key but a revoked one is accepted, with a warning.
    Off,
}

/// A host with an optional port, as `host`, `host:port`, `[v6]:port` or a bare IPv6 address.
///
/// ```
/// use vm_balancer::HostPort;
///
/// let mapped: HostPort = "gw.example.com:2201".parse().unwrap();
/// assert_eq!((mapped.host.as_str(), mapped.port), ("gw.example.com", Some(2201)));
/// let v6: HostPort = "2001:db8::5".parse().unwrap();
/// assert_eq!((v6.host.as_str(), v6.port), ("2001:db8::5", None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// `None` for the port that VMmanager gives, else 22.
    pub port: Option<u16>,
}

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host; expected host, host:port or [IPv6]:port, without a user or a password")]
pub struct BadHostPort(String);

impl BadHostPort {
    /// What stands before an `@` may be a password, and is not shown.
    fn of(text: &str) -> Self {
        Self(text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, host)| format!("***@{host}")))
    }
}

impl FromStr for HostPort {
    type Err = BadHostPort;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadHostPort::of(text);
        let trimmed = text.trim();
        if trimmed.contains('@') {
            return Err(bad());
        }
        let (host, port) = match trimmed.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once(']').ok_or_else(bad)?;
                match rest.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if rest.is_empty() => (host, None),
                    None => return Err(bad()),
                }
            }
            None => match trimmed.split_once(':') {
                // More than one colon without brackets is an IPv6 address.
                Some((_, rest)) if rest.contains(':') => (trimmed, None),
                Some((host, port)) => (host, Some(port)),
                None => (trimmed, None),
            },
        };
        let port: Option<u16> = port.map(|port| port.parse().map_err(|_| bad())).transpose()?;
        if host.is_empty() || host.contains(char::is_whitespace) || port == Some(0) {
            return Err(bad());
        }
        Ok(Self { host: host.into(), port })
    }
}

/// Where one node is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub host: String,
    pub port: u16,
}

impl Target {
    /// The mapping by name, then by id; then VMmanager's address; at last the node's name, for DNS.
    pub(super) fn of(node: &NodeInfo, settings: &Settings) -> Self {
        let mapped = settings.hosts.get(&node.name).or_else(|| settings.hosts.get(&node.id.to_string()));
        let address = node.address.as_deref().map(str::trim).filter(|address| !address.is_empty());
        let host = match mapped {
            Some(mapped) => mapped.host.clone(),
            None => address.unwrap_or(&node.name).into(),
        };
        let port = mapped.and_then(|mapped| mapped.port).or(node.ssh_port).unwrap_or(SSH_PORT);
        Self { host, port }
    }

    /// The host as known_hosts files write it.
    pub(super) fn known_as(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        if self.port == SSH_PORT { host } else { format!("[{host}]:{}", self.port) }
    }

    /// The host without its port, where known_hosts would write a port; `None` on SSH's own port.
    pub(super) fn known_without_port(&self) -> Option<String> {
        (self.port != SSH_PORT).then(|| self.host.to_ascii_lowercase())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::testing;

    #[test]
    fn a_host_is_read_in_every_usual_form() {
        for (text, host, port) in [
            ("10.0.0.5", "10.0.0.5", None),
            (" node-1:2222 ", "node-1", Some(2222)),
            ("[2001:db8::1]:22", "2001:db8::1", Some(22)),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("2001:db8::1", "2001:db8::1", None),
        ] {
            assert_eq!(text.parse(), Ok(HostPort { host: host.into(), port }), "{text}");
        }
        for text in ["root:s3cr3t@10.0.0.1", "root:s3c@r3t@10.0.0.1:22", "root:s3:cr3t@[::1]:22", "root@n1"] {
            let refused = text.parse::<HostPort>().unwrap_err().to_string();
            assert!(refused.starts_with("`***@") && !refused.contains("s3"), "{refused}");
        }
        for text in ["", ":22", "host:", "host:port", "host:99999", "host:0", "[::1", "[::1]x", "a b"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_mapping_wins_over_the_address_and_the_address_over_the_name() {
        let mut settings = testing::settings();
        let mut node = testing::node(10, "node-001");
        assert_eq!(Target::of(&node, &settings).to_string(), "node-001:22");
        node.address = Some("192.0.2.10".into());
        node.ssh_port = Some(2022);
        assert_eq!(Target::of(&node, &settings).to_string(), "192.0.2.10:2022");
        settings.hosts.insert("10".into(), "by-id".parse().unwrap());
        assert_eq!(Target::of(&node, &settings).to_string(), "by-id:2022");
        settings.hosts.insert("node-001".into(), "by-name:22".parse().unwrap());
        assert_eq!(Target::of(&node, &settings).to_string(), "by-name:22");
    }

    #[test]
    fn a_secret_never_shows_in_debug() {
        let mut settings = testing::settings();
        settings.password = Some("hunter2".into());
        settings.private_key = Some(KeyFile { path: "/k".into(), passphrase: Some("correct horse".into()) });
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("correct horse"), "{shown}");
    }
}
