//! The configuration: every variable with its default, its unit and its check. All problems are told at once.
//!
//! Pure: variables come through a lookup, and nothing here opens a file, a socket or the environment.

mod env_file;
mod problem;
mod reader;
mod settings;
mod sources;
mod values;
mod variables;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use chrono_tz::Tz;
use secrecy::SecretString;
use url::Url;

pub use env_file::{EnvFile, NotAnEnvFile, Prepared, prepare as prepare_env_file, read as read_env_file};
pub use problem::{Found, Problem, Problems, Warning};
pub use settings::UnreadableFile;
pub use sources::{Source, Sources};
pub use variables::{VARIABLES, Variable};

use crate::{
    model::ClusterId,
    planner::{AntiAffinity, Selector, Strategy, Threshold},
    scheduler::Windows,
    ssh::{HostKeyCheck, HostPort},
    store::Mode,
    talk::Language,
    telegram::ChatTarget,
    vmmanager::is_loopback,
};
use reader::Reader;

/// What the configuration is needed for: not everything needs everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The scheduler, with or without a chat.
    Daemon,
    /// One look or one cycle on the live system.
    Live,
    /// Work on files, on the store, or through a running bot: VMmanager need not be configured.
    Offline,
}

/// A configuration that can be used, with what an operator should know about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Warning>,
}

/// Every setting as a value.
#[derive(Clone, Debug)]
pub struct Config {
    /// `None` only where the purpose does without.
    pub vmmanager: Option<VmManager>,
    pub balance: Balance,
    pub planner: Planning,
    pub ssh: Ssh,
    /// `None` for no chat.
    pub telegram: Option<Telegram>,
    /// How long a proposal stands open.
    pub proposal_ttl: Duration,
    pub data_dir: PathBuf,
    /// `None` for no `/healthz`, `/readyz` and `/metrics`.
    pub http_listen: Option<SocketAddr>,
    pub log_level: LogLevel,
    pub log_format: LogFormat,
    pub language: Language,
}

/// How to reach VMmanager.
#[derive(Clone, Debug)]
pub struct VmManager {
    pub base_url: Url,
    pub credentials: Credentials,
    /// Empty, or with one `/` in front.
    pub path_prefix: String,
    pub verify_tls: bool,
    pub ca_file: Option<PathBuf>,
}

/// What to log in with.
#[derive(Clone, Debug)]
pub enum Credentials {
    Password { username: String, password: SecretString },
    Token(SecretString),
}

/// When and how cycles run.
#[derive(Clone, Debug)]
pub struct Balance {
    pub interval: Duration,
    pub mode: Mode,
    pub windows: Windows,
    pub time_zone: Tz,
    pub dry_run: bool,
    /// `--dry-run` on the command line: nobody in the chat can switch it off.
    pub dry_run_forced: bool,
    /// From when on a running migration is reported as slow.
    pub migration_timeout: Duration,
    pub migration_cooldown: Duration,
    pub failure_cooldown: Duration,
}

/// What the planner obeys.
#[derive(Clone, Debug, PartialEq)]
pub struct Planning {
    pub strategy: Strategy,
    pub clusters: Option<BTreeSet<ClusterId>>,
    pub migrations_max: usize,
    pub parallel_max: usize,
    pub cpu: Threshold,
    pub load: Threshold,
    pub memory: Threshold,
    pub memory_reserve_percent: f64,
    pub exclude_sources: Vec<Selector>,
    pub exclude_targets: Vec<Selector>,
    pub respect_balancer_mode: bool,
    pub anti_affinity: Vec<AntiAffinity>,
    pub pinned: Vec<Selector>,
}

/// How to ask the nodes themselves.
#[derive(Clone, Debug)]
pub struct Ssh {
    pub enabled: bool,
    /// Empty for `root`.
    pub username: String,
    pub private_key: Option<PathBuf>,
    pub private_key_passphrase: Option<SecretString>,
    pub password: Option<SecretString>,
    /// The socket of the SSH agent that the environment names.
    pub agent: Option<PathBuf>,
    /// Where a person's own keys are: `~/.ssh`.
    pub own_keys: Option<PathBuf>,
    pub timeout: Duration,
    pub hosts: BTreeMap<String, HostPort>,
    pub known_hosts: PathBuf,
    pub host_key_check: HostKeyCheck,
}

/// The chat.
#[derive(Clone, Debug)]
pub struct Telegram {
    pub token: SecretString,
    /// Where reports go; `None` for nowhere.
    pub chat: Option<ChatTarget>,
    /// `None` for Telegram's own.
    pub api_url: Option<Url>,
    pub admins: BTreeSet<i64>,
    pub operators: BTreeSet<i64>,
    pub viewers: BTreeSet<i64>,
    pub approvals: u32,
}

/// The least important lines that are still logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Config {
    /// Reads the configuration for the bot.
    ///
    /// ```
    /// use vm_balancer::config::Config;
    ///
    /// let problems = Config::from_lookup(|key| match key {
    ///     "VMMANAGER_HOST" => Some("vm.example.com".into()),
    ///     "BALANCE_INTERVAL" => Some("often".into()),
    ///     _ => None,
    /// })
    /// .unwrap_err();
    /// assert!(problems.to_string().contains("BALANCE_INTERVAL: found \"often\", expected a whole number"));
    /// assert!(problems.to_string().contains("VMMANAGER_PASSWORD: not set"));
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Loaded, Problems> {
        Self::for_purpose(Purpose::Daemon, lookup)
    }

    /// Reads the configuration for a purpose.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn for_purpose(
        purpose: Purpose,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Loaded, Problems> {
        let mut reader = Reader::new(&lookup);
        let config = read(&mut reader, purpose, lookup("HOME"), lookup("SSH_AUTH_SOCK"));
        let warnings = warnings(&config, &reader);
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(Loaded { config, warnings }) } else { Err(Problems(problems)) }
    }
}

fn read(reader: &mut Reader<'_>, purpose: Purpose, home: Option<String>, agent: Option<String>) -> Config {
    let config = Config {
        vmmanager: vmmanager(reader, purpose),
        balance: balance(reader),
        planner: planning(reader),
        ssh: ssh(reader, home, agent),
        telegram: telegram(reader),
        proposal_ttl: reader.value("PROPOSAL_TTL", values::seconds(1)),
        data_dir: PathBuf::from(reader.text("DATA_DIR")),
        http_listen: reader.optional("HTTP_LISTEN", values::listen_address),
        log_level: reader.value("LOG_LEVEL", log_level),
        log_format: reader.value("LOG_FORMAT", |text| {
            values::one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
        }),
        language: reader.value("VM_BALANCER_LANG", language),
    };
    let nobody_approves =
        config.balance.mode == Mode::Propose && config.telegram.is_none() && !config.balance.dry_run;
    if purpose == Purpose::Daemon && nobody_approves && reader.given("TELEGRAM_BOT_TOKEN").is_none() {
        reader.refuse(
            "BALANCE_MODE",
            "propose",
            "auto or off (or DRY_RUN=true) without TELEGRAM_BOT_TOKEN: nobody could approve a proposal",
        );
    }
    config
}

fn vmmanager(reader: &mut Reader<'_>, purpose: Purpose) -> Option<VmManager> {
    let base_url = reader.optional("VMMANAGER_HOST", values::base_url);
    let allow_http = reader.value("VMMANAGER_ALLOW_HTTP", values::boolean);
    let path_prefix = reader.value("VMMANAGER_PATH_PREFIX", values::path_prefix);
    let verify_tls = reader.value("VERIFY_SSL", values::boolean);
    let ca_file = reader.given("VMMANAGER_CA_FILE").map(PathBuf::from);
    let unencrypted = |url: &&Url| url.scheme() == "http" && !is_loopback(url);
    if base_url.as_ref().filter(unencrypted).is_some() && !allow_http {
        let found = reader.given("VMMANAGER_HOST").unwrap_or_default();
        reader.refuse(
            "VMMANAGER_HOST",
            &found,
            "https://, or VMMANAGER_ALLOW_HTTP=true: the password would travel unencrypted",
        );
    }
    let needed = purpose != Purpose::Offline;
    if needed && reader.given("VMMANAGER_HOST").is_none() {
        reader.missing("VMMANAGER_HOST", "the base URL of VMmanager, such as https://vm.example.com");
    }
    let credentials = credentials(reader, needed);
    Some(VmManager { base_url: base_url?, credentials: credentials?, path_prefix, verify_tls, ca_file })
}

fn credentials(reader: &mut Reader<'_>, needed: bool) -> Option<Credentials> {
    if let Some(token) = reader.given("VMMANAGER_TOKEN") {
        let fits_a_header = token.trim().chars().all(|c| c.is_ascii_graphic());
        if !fits_a_header {
            reader.refuse("VMMANAGER_TOKEN", &token, "a token as VMmanager gives it, one word");
        }
        return Some(Credentials::Token(SecretString::from(token.trim())));
    }
    let username = reader.given("VMMANAGER_USERNAME");
    let password = reader.optional("VMMANAGER_PASSWORD", values::secret);
    if needed && username.is_none() {
        reader.missing("VMMANAGER_USERNAME", "a user's name (or VMMANAGER_TOKEN instead)");
    }
    if needed && password.is_none() {
        reader.missing("VMMANAGER_PASSWORD", "the user's password (or VMMANAGER_TOKEN instead)");
    }
    Some(Credentials::Password { username: username?, password: password? })
}

fn balance(reader: &mut Reader<'_>) -> Balance {
    Balance {
        interval: reader.value("BALANCE_INTERVAL", values::seconds(1)),
        mode: reader.value("BALANCE_MODE", values::mode),
        windows: reader.value("BALANCE_WINDOW", values::windows),
        time_zone: reader.value("TIMEZONE", |text| values::time_zone(text).map(Some)).unwrap_or(Tz::UTC),
        dry_run: reader.value("DRY_RUN", values::boolean),
        dry_run_forced: false,
        migration_timeout: reader.value("MIGRATION_TIMEOUT", values::seconds(1)),
        migration_cooldown: reader.value("MIGRATION_COOLDOWN", values::seconds(0)),
        failure_cooldown: reader.value("FAILURE_COOLDOWN", values::seconds(0)),
    }
}

fn planning(reader: &mut Reader<'_>) -> Planning {
    Planning {
        strategy: reader.value("BALANCE_STRATEGY", values::strategy),
        clusters: reader.value("CLUSTER_IDS", values::cluster_ids),
        migrations_max: reader.value("MAX_MIGRATIONS_PER_CYCLE", values::whole(0, "")),
        parallel_max: reader.value("MAX_PARALLEL_MIGRATIONS", values::whole(1, "")),
        cpu: Threshold {
            overload: reader.value("CPU_OVERLOAD_THRESHOLD", values::per_core),
            target: reader.value("CPU_TARGET_THRESHOLD", values::per_core),
        },
        load: Threshold {
            overload: reader.value("LOAD_OVERLOAD_THRESHOLD", values::per_core),
            target: reader.value("LOAD_TARGET_THRESHOLD", values::per_core),
        },
        memory: Threshold {
            overload: reader.value("MEMORY_OVERLOAD_THRESHOLD", values::memory_percent),
            target: reader.value("MEMORY_TARGET_THRESHOLD", values::memory_percent),
        },
        memory_reserve_percent: reader.value("NODE_MEMORY_RESERVE", values::reserve_percent),
        exclude_sources: values::selectors(&reader.text("EXCLUDE_SOURCE_NODES")),
        exclude_targets: values::selectors(&reader.text("EXCLUDE_TARGET_NODES")),
        respect_balancer_mode: reader.value("RESPECT_BALANCER_MODE", values::boolean),
        anti_affinity: values::anti_affinity(&reader.text("ANTI_AFFINITY")),
        pinned: values::selectors(&reader.text("PIN_VMS")),
    }
}

fn ssh(reader: &mut Reader<'_>, home: Option<String>, agent: Option<String>) -> Ssh {
    let in_home = |path: String| match (path.strip_prefix("~/"), &home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    };
    Ssh {
        enabled: reader.value("SSH_ENABLED", values::boolean),
        username: reader.text("SSH_USERNAME"),
        private_key: reader.given("SSH_PRIVATE_KEY_PATH").map(in_home),
        private_key_passphrase: reader.optional("SSH_PRIVATE_KEY_PASSPHRASE", values::secret),
        password: reader.optional("SSH_PASSWORD", values::secret),
        own_keys: home.as_ref().map(|home| PathBuf::from(home).join(".ssh")),
        agent: agent.filter(|socket| !socket.is_empty()).map(PathBuf::from),
        timeout: reader.value("SSH_TIMEOUT", values::seconds(1)),
        hosts: reader.optional("SSH_HOSTS_MAPPING", values::hosts).unwrap_or_default(),
        known_hosts: in_home(reader.text("SSH_KNOWN_HOSTS")),
        host_key_check: reader.value("SSH_HOST_KEY_CHECK", |text| {
            values::one_of(
                text,
                &[
                    ("strict", HostKeyCheck::Strict),
                    ("accept-new", HostKeyCheck::AcceptNew),
                    ("off", HostKeyCheck::Off),
                ],
            )
        }),
    }
}

fn telegram(reader: &mut Reader<'_>) -> Option<Telegram> {
    let token = reader.optional("TELEGRAM_BOT_TOKEN", values::token);
    let chat = reader.optional("TELEGRAM_CHAT_ID", values::chat);
    let api_url = reader.optional("TELEGRAM_API_URL", values::api_url);
    let admins = reader.value("TELEGRAM_ADMIN_IDS", values::user_ids);
    let operators = reader.value("TELEGRAM_OPERATOR_IDS", values::user_ids);
    let viewers = reader.value("TELEGRAM_VIEWER_IDS", values::user_ids);
    let approvals = reader.value("TELEGRAM_APPROVALS", values::whole(1, " of people"));
    Some(Telegram { token: token?, chat, api_url, admins, operators, viewers, approvals })
}

/// The Python tool's words count too.
fn log_level(text: &str) -> Result<LogLevel, String> {
    let levels = [
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warning", LogLevel::Warn),
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("critical", LogLevel::Error),
        ("trace", LogLevel::Trace),
    ];
    values::one_of(text, &levels).map_err(|_| "one of DEBUG, INFO, WARNING, ERROR".into())
}

/// A locale such as `ru_RU.UTF-8` names its language too.
fn language(text: &str) -> Result<Language, String> {
    let word = text.split(['_', '-', '.']).next().unwrap_or_default();
    values::one_of(word, &[("en", Language::En), ("ru", Language::Ru)])
}

fn warnings(config: &Config, reader: &Reader<'_>) -> Vec<Warning> {
    let vmmanager = config.vmmanager.as_ref();
    let unencrypted = |url: &Url| url.scheme() == "http" && !is_loopback(url);
    let bot_api = config.telegram.as_ref().and_then(|telegram| telegram.api_url.as_ref());
    let over = |threshold: Threshold| threshold.target > threshold.overload;
    let target_over = |resource: Threshold, target, overload| {
        over(resource).then_some(Warning::TargetOverOverload { target, overload })
    };
    let chat_given = reader.given("TELEGRAM_CHAT_ID").is_some();
    // The memory target is above the overload threshold by default, so it says nothing about a mistake.
    [
        vmmanager.filter(|vmmanager| !vmmanager.verify_tls).map(|_| Warning::TlsNotVerified),
        vmmanager.filter(|vmmanager| unencrypted(&vmmanager.base_url)).map(|_| Warning::PlainHttp),
        (config.ssh.enabled && config.ssh.host_key_check == HostKeyCheck::Off)
            .then_some(Warning::HostKeysNotChecked),
        bot_api.filter(|url| unencrypted(url)).map(|_| Warning::PlainBotApi),
        target_over(config.planner.cpu, "CPU_TARGET_THRESHOLD", "CPU_OVERLOAD_THRESHOLD"),
        target_over(config.planner.load, "LOAD_TARGET_THRESHOLD", "LOAD_OVERLOAD_THRESHOLD"),
        (config.planner.migrations_max == 0).then_some(Warning::NothingIsMoved),
        (chat_given && config.telegram.is_none()).then_some(Warning::ChatWithoutToken),
        (!chat_given && config.telegram.is_some()).then_some(Warning::TokenWithoutChat),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
