//! From the configuration to each room's own settings.

use std::{collections::BTreeMap, path::Path, time::Duration};

use chrono::TimeDelta;

use super::{Balance, Config, Credentials, Ssh, Telegram, VmManager};
use crate::{
    balancer, executor, eyes,
    planner::{Direction, Exclusion, ExclusionWhy, Policy, Selector},
    scheduler, ssh, telegram, vmmanager,
};

impl Config {
    /// Returns what the planner obeys; cool-downs and exclusions of the chat are added from the store.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let planning = self.planner.clone();
        Policy {
            cpu: planning.cpu,
            load: planning.load,
            memory: planning.memory,
            memory_reserve_percent: planning.memory_reserve_percent,
            strategy: planning.strategy,
            migrations_max: planning.migrations_max,
            parallel_max: planning.parallel_max,
            clusters: planning.clusters,
            exclusions: configured(planning.exclude_sources, Direction::Source)
                .chain(configured(planning.exclude_targets, Direction::Target))
                .collect(),
            pinned: planning.pinned,
            anti_affinity: planning.anti_affinity,
            respect_balancer_mode: planning.respect_balancer_mode,
            resting: BTreeMap::new(),
            recent_moves: Vec::new(),
            measurement_max_age: delta(self.balance.interval * 2),
            load_readings: 1,
            nodes_are_asked: self.ssh.enabled,
        }
    }
}

impl Config {
    /// Returns what cycles obey.
    #[must_use]
    pub fn balancer_settings(&self) -> balancer::Settings {
        let Balance {
            migration_timeout, migration_cooldown, failure_cooldown, dry_run, dry_run_forced, ..
        } = self.balance;
        balancer::Settings {
            policy: self.policy(),
            migration_cooldown: delta(migration_cooldown),
            failure_cooldown: delta(failure_cooldown),
            dry_run,
            dry_run_forced,
            proposal_ttl: delta(self.proposal_ttl),
            approvals_needed: self.telegram.as_ref().map_or(1, |telegram| telegram.approvals),
            eyes: eyes::Settings::default(),
            execution: executor::Settings { slow_after: migration_timeout, ..executor::Settings::default() },
        }
    }

    /// Returns when cycles run.
    #[must_use]
    pub fn scheduler_settings(&self) -> scheduler::Settings {
        scheduler::Settings {
            interval: self.balance.interval,
            mode: self.balance.mode,
            windows: self.balance.windows.clone(),
            timezone: self.balance.time_zone,
        }
    }
}

impl Config {
    /// Returns how the chat is reached and whom it obeys; `None` without a chat.
    #[must_use]
    pub fn telegram_settings(&self) -> Option<telegram::Settings> {
        let Telegram { token, chat, api_url, admins, operators, viewers, approvals: _ } =
            self.telegram.clone()?;
        Some(telegram::Settings {
            token,
            chat,
            api_url,
            admins,
            operators,
            viewers,
            language: self.language,
            timezone: self.balance.time_zone,
            poll_timeout: telegram::POLL_TIMEOUT,
            second_poller_pause: telegram::SECOND_POLLER_PAUSE,
            spacing: telegram::Spacing::default(),
            panics_at: None,
        })
    }
}

/// Configured times are a year at most, so none is out of range.
fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

fn configured(nodes: Vec<Selector>, direction: Direction) -> impl Iterator<Item = Exclusion> {
    nodes.into_iter().map(move |node| Exclusion {
        node,
        direction,
        until: None,
        why: ExclusionWhy::Configured,
    })
}

impl VmManager {
    /// Returns the client's settings.
    ///
    /// # Errors
    ///
    /// Where `read` cannot read `VMMANAGER_CA_FILE`; says which file that is.
    pub fn settings(
        &self,
        read: impl FnOnce(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<vmmanager::Settings, UnreadableFile> {
        let Self { base_url, credentials, path_prefix, verify_tls, ca_file } = self;
        let ca_pem = ca_file.as_deref().map(|path| {
            read(path).map_err(|source| UnreadableFile {
                name: "VMMANAGER_CA_FILE",
                path: path.display().to_string(),
                source,
            })
        });
        // A path in the base URL is the front part of the prefix.
        let path_prefix = format!("{}{path_prefix}", base_url.path().trim_end_matches('/'));
        let mut base_url = base_url.clone();
        base_url.set_path("");
        let credentials = match credentials.clone() {
            Credentials::Password { username, password } => {
                vmmanager::Credentials::Password { username, password }
            }
            Credentials::Token(token) => vmmanager::Credentials::Token(token),
        };
        Ok(vmmanager::Settings {
            path_prefix,
            verify_tls: *verify_tls,
            ca_pem: ca_pem.transpose()?,
            ..vmmanager::Settings::new(base_url, credentials)
        })
    }
}

/// The keys that OpenSSH tries by itself, and the Python tool with it.
const OWN_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Where `accept-new` keeps what it learned, in `DATA_DIR`.
const LEARNED_HOSTS: &str = "known_hosts";

impl Ssh {
    /// Returns the monitor's settings; `None` where SSH is off.
    ///
    /// Without a key and without a password a person's own key is taken, the first that `exists`.
    #[must_use]
    pub fn settings(
        &self,
        data_dir: &Path,
        interval: Duration,
        exists: impl Fn(&Path) -> bool,
    ) -> Option<ssh::Settings> {
        let own_keys = self.own_keys.iter().flat_map(|dir| OWN_KEYS.map(|name| dir.join(name)));
        let own_key = || match self.password {
            Some(_) => None,
            None => own_keys.into_iter().find(|path| exists(path)),
        };
        let username = if self.username.is_empty() { "root" } else { &self.username };
        self.enabled.then(|| ssh::Settings {
            username: username.to_owned(),
            private_key: self
                .private_key
                .clone()
                .or_else(own_key)
                .map(|path| ssh::KeyFile { path, passphrase: self.private_key_passphrase.clone() }),
            password: self.password.clone(),
            agent: self.agent.clone(),
            timeout: self.timeout,
            interval,
            hosts: self.hosts.clone(),
            known_hosts: self.known_hosts.clone(),
            learned_hosts: data_dir.join(LEARNED_HOSTS),
            host_key_check: self.host_key_check,
            parallel_max: ssh::PARALLEL_MAX,
            keepalive: ssh::KEEPALIVE_INTERVAL,
        })
    }
}

/// A file that a variable names and that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{name}: cannot read {path}")]
pub struct UnreadableFile {
    pub name: &'static str,
    pub path: String,
    #[source]
    pub source: std::io::Error,
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::config::Purpose;

    const REQUIRED: &[(&str, &str)] =
        &[("VMMANAGER_HOST", "https://vm.example.com/panel/"), ("VMMANAGER_TOKEN", "t")];

    #[test]
    fn exclusions_of_the_configuration_are_the_policys() {
        let config = config(&[("EXCLUDE_SOURCE_NODES", "a, 2"), ("EXCLUDE_TARGET_NODES", "b")]);
        let told: Vec<_> = config.policy().exclusions.into_iter().map(|e| (e.node.0, e.direction)).collect();
        let expected = [("a", Direction::Source), ("2", Direction::Source), ("b", Direction::Target)]
            .map(|(n, d)| (n.into(), d));
        assert_eq!(told, expected);
    }

    #[test]
    fn a_path_in_the_base_url_stands_before_the_prefix() {
        let config = config(&[("VMMANAGER_PATH_PREFIX", "api/")]);
        let settings = config.vmmanager.unwrap().settings(|_| Err(io::ErrorKind::NotFound.into())).unwrap();
        assert_eq!(settings.base_url.as_str(), "https://vm.example.com/");
        assert_eq!(settings.path_prefix, "/panel/api");
    }

    #[test]
    fn an_unreadable_ca_file_is_named() {
        let config = config(&[("VMMANAGER_CA_FILE", "/nowhere/ca.pem")]);
        let error = config.vmmanager.unwrap().settings(|_| Err(io::ErrorKind::NotFound.into())).unwrap_err();
        assert_eq!(error.to_string(), "VMMANAGER_CA_FILE: cannot read /nowhere/ca.pem");
    }

    #[test]
    fn without_key_and_password_a_persons_own_key_is_tried() {
        let interval = Duration::from_secs(600);
        let own = |more: &[(&str, &str)]| {
            let given = [&[("SSH_ENABLED", "true"), ("HOME", "/home/op")], more].concat();
            let ssh = config(&given).ssh;
            let settings =
                ssh.settings(Path::new("/data"), interval, |path| path.ends_with("id_rsa")).unwrap();
            assert_eq!(settings.username, "root");
            assert_eq!(settings.learned_hosts, Path::new("/data/known_hosts"));
            settings.private_key.map(|key| key.path.display().to_string())
        };
        assert_eq!(own(&[]).as_deref(), Some("/home/op/.ssh/id_rsa"));
        assert_eq!(own(&[("SSH_PASSWORD", "x")]), None);
        assert_eq!(own(&[("SSH_PRIVATE_KEY_PATH", "~/k")]).as_deref(), Some("/home/op/k"));
        assert!(config(&[]).ssh.settings(Path::new("/data"), interval, |_| true).is_none(), "off by default");
    }

    fn config(more: &[(&str, &str)]) -> Config {
        let lookup = |key: &str| {
            REQUIRED.iter().chain(more).find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
        };
        Config::for_purpose(Purpose::Live, lookup).unwrap().config
    }
}
