//! The configuration. Every variable is read, checked and put into the settings of the room that uses it. All problems
//! are reported at once. Each default is defined in the settings of its room, and nowhere else.
//!
//! Pure: variables come through a lookup, and nothing here opens a file, a socket or the environment.

mod env_file;
mod problem;
mod reader;
mod sources;
mod tunables;
mod values;
mod variables;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use chrono::TimeDelta;
use chrono_tz::Tz;
use secrecy::SecretString;
use url::Url;

pub(crate) use env_file::{EnvFile, read as read_env_file};
pub use problem::{Expected, Problem, Problems, Warning};
use sources::Source;
pub(crate) use sources::Sources;
pub use tunables::Given;
use tunables::TUNABLES;
pub(crate) use tunables::Tuned;
pub(crate) use variables::VARIABLES;

use crate::{
    balancer, dial, scheduler, ssh,
    ssh::HostKeyCheck,
    store::Mode,
    talk::Language,
    telegram,
    vmmanager::{self, Credentials},
};
use reader::Reader;

/// What the configuration is needed for. Not every purpose needs every variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The scheduler, with or without a chat.
    Daemon,
    /// One look or one cycle on the live system.
    Live,
    /// Work on files, on the store, or through a running bot: VMmanager need not be configured.
    Offline,
}

/// A valid configuration, with warnings for the operator.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration itself.
    pub config: Config,
    /// What works and should be looked at.
    pub warnings: Vec<Warning>,
}

/// Each room's settings. What no variable sets has the default of the room.
#[derive(Clone, Debug)]
pub struct Config {
    /// `None` only where the purpose does without.
    pub vmmanager: Option<vmmanager::Settings>,
    /// The file of [`vmmanager::Settings::ca_pem`], not read yet.
    pub ca_file: Option<PathBuf>,
    /// For cycles: what is planned and how plans are carried out.
    pub balancer: balancer::Settings,
    /// When cycles run and whether they ask first.
    pub scheduler: scheduler::Settings,
    /// `None` where SSH is off.
    pub ssh: Option<ssh::Settings>,
    /// A person's own keys. The first that exists is taken where neither a key nor a password is configured.
    pub own_keys: Vec<ssh::KeyFile>,
    /// `None` for no chat.
    pub telegram: Option<telegram::Settings>,
    /// The folder of the store.
    pub data_dir: PathBuf,
    /// How long history and audit are kept.
    pub history_kept: TimeDelta,
    /// Where the settings that can change while the bot runs come from.
    pub given: Given,
    /// `None` for no `/healthz`, `/readyz` and `/metrics`.
    pub http_listen: Option<SocketAddr>,
    /// The least important lines that are logged.
    pub log_level: LogLevel,
    /// The form of the log's lines.
    pub log_format: LogFormat,
}

/// The least important lines that are still logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What failed and needs a person.
    Error,
    /// What is odd and may pass by itself, too.
    Warn,
    /// What is done, too.
    #[default]
    Info,
    /// How it is done, too.
    Debug,
    /// Everything, also of the libraries.
    Trace,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Words for people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

impl Config {
    /// Reads the configuration for a purpose, and notes where each setting comes from.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub(crate) fn from_sources(purpose: Purpose, sources: &Sources) -> Result<Loaded, Problems> {
        let mut loaded = Self::for_purpose(purpose, |name| sources.lookup(name))?;
        loaded.config.given = Given::new(|name| sources.source(name));
        Ok(loaded)
    }

    /// Reads the configuration for a purpose.
    ///
    /// ```
    /// use vm_balancer::config::{Config, Purpose};
    ///
    /// let problems = Config::for_purpose(Purpose::Daemon, |key| match key {
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
    pub fn for_purpose(
        purpose: Purpose,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Loaded, Problems> {
        let mut reader = Reader::new(&lookup);
        let mut config = read(&mut reader, purpose, lookup("HOME"), lookup("SSH_AUTH_SOCK"));
        let is_given =
            |name: &'static str| if reader.text_of(name).is_some() { Source::File } else { Source::Default };
        config.given = Given::new(is_given);
        let warnings = warnings(&config, &reader, purpose);
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(Loaded { config, warnings }) } else { Err(Problems(problems)) }
    }
}

fn read(reader: &mut Reader<'_>, purpose: Purpose, home: Option<String>, agent: Option<String>) -> Config {
    let Tuned { mut balancer, scheduler, habits, history_kept } = read_tuned(reader);
    let telegram = telegram(reader, scheduler.timezone, habits);
    let data_dir = reader.text_of("DATA_DIR").map_or_else(|| PathBuf::from("./data"), PathBuf::from);
    let ssh_dir = home.map(|home| PathBuf::from(home).join(".ssh"));
    let mut ssh = ssh(reader, ssh_dir.as_deref(), &data_dir);
    ssh.agent = agent.filter(|socket| !socket.is_empty()).map(PathBuf::from);
    ssh.interval = scheduler.look_interval().into();
    let passphrase = reader.optional("SSH_PRIVATE_KEY_PASSPHRASE", values::secret);
    let key = |path| ssh::KeyFile { path, passphrase: passphrase.clone() };
    ssh.private_key = reader.path("SSH_PRIVATE_KEY_PATH").map(|path| key(in_home(&path, ssh_dir.as_deref())));
    let ssh_enabled = reader.value("SSH_ENABLED", false, values::boolean);
    balancer.policy.nodes_are_asked = ssh_enabled;
    let mut config = Config {
        vmmanager: vmmanager(reader, purpose),
        ca_file: reader.path("VMMANAGER_CA_FILE").map(PathBuf::from),
        balancer,
        scheduler,
        ssh: Some(ssh).filter(|_| ssh_enabled),
        own_keys: ssh_dir.iter().flat_map(|dir| OWN_KEYS.map(|name| key(dir.join(name)))).collect(),
        telegram,
        data_dir,
        history_kept,
        given: Given::default(),
        http_listen: reader.optional("HTTP_LISTEN", values::listen_address),
        log_level: LogLevel::default(),
        log_format: LogFormat::default(),
    };
    reader.set(&mut config.log_level, "LOG_LEVEL", log_level);
    reader.set(&mut config.log_format, "LOG_FORMAT", |text| {
        values::one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
    });
    let nobody_approves = config.scheduler.mode == Mode::Propose && !config.balancer.dry_run;
    if purpose == Purpose::Daemon && nobody_approves && reader.text_of("TELEGRAM_BOT_TOKEN").is_none() {
        let found = reader.text_of("BALANCE_MODE").unwrap_or_default();
        reader.refuse(
            "BALANCE_MODE",
            &found,
            "auto (carries plans out by itself, as the Python tool did), off or DRY_RUN=true: \
             without TELEGRAM_BOT_TOKEN nobody could approve a proposal",
        );
    }
    config
}

fn vmmanager(reader: &mut Reader<'_>, purpose: Purpose) -> Option<vmmanager::Settings> {
    let base_url = reader.optional("VMMANAGER_HOST", values::base_url);
    let allow_http = reader.value("VMMANAGER_ALLOW_HTTP", false, values::boolean);
    let path_prefix = reader.value("VMMANAGER_PATH_PREFIX", String::new(), values::path_prefix);
    let verify_tls = reader.value("VERIFY_SSL", true, values::boolean);
    if base_url.as_ref().is_some_and(is_unencrypted) && !allow_http {
        let found = reader.text_of("VMMANAGER_HOST").unwrap_or_default();
        reader.refuse(
            "VMMANAGER_HOST",
            &found,
            "https://, or VMMANAGER_ALLOW_HTTP=true: the password would travel unencrypted",
        );
    }
    let needed = purpose != Purpose::Offline;
    if needed && reader.text_of("VMMANAGER_HOST").is_none() {
        reader.missing("VMMANAGER_HOST", "the base URL of VMmanager, such as https://vm.example.com");
    }
    let credentials = credentials(reader, needed);
    let proxy = reader.optional("VMMANAGER_PROXY", |text| dial::proxy(text).map_err(Into::into));
    let mut base_url = base_url?;
    // A path in the base URL is put in front of the prefix.
    let path_prefix = format!("{}{path_prefix}", base_url.path().trim_end_matches('/'));
    base_url.set_path("");
    Some(vmmanager::Settings {
        path_prefix,
        verify_tls,
        proxy,
        ..vmmanager::Settings::new(base_url, credentials?)
    })
}

/// Tells whether requests to this address travel unencrypted over a network.
fn is_unencrypted(url: &Url) -> bool {
    url.scheme() == "http" && !dial::is_loopback(url)
}

fn credentials(reader: &mut Reader<'_>, needed: bool) -> Option<Credentials> {
    if let Some(token) = reader.text_of("VMMANAGER_TOKEN") {
        let fits_a_header = token.trim().chars().all(|c| c.is_ascii_graphic());
        if !fits_a_header {
            reader.refuse("VMMANAGER_TOKEN", &token, "a token as VMmanager gives it, one word");
        }
        return Some(Credentials::Token(SecretString::from(token.trim())));
    }
    let username = reader.text_of("VMMANAGER_USERNAME");
    let password = reader.optional("VMMANAGER_PASSWORD", values::secret);
    if needed && username.is_none() {
        reader.missing("VMMANAGER_USERNAME", "a user's name (or VMMANAGER_TOKEN instead)");
    }
    if needed && password.is_none() {
        reader.missing("VMMANAGER_PASSWORD", "the user's password (or VMMANAGER_TOKEN instead)");
    }
    Some(Credentials::Password { username: username?, password: password? })
}

/// Reads what may change while the bot runs by its table, and beside it what is read at the start only.
fn read_tuned(reader: &mut Reader<'_>) -> Tuned {
    let mut tuned = Tuned::default();
    for tunable in TUNABLES {
        (tunable.read)(&mut tuned, reader, tunable.name);
    }
    let Tuned { balancer, scheduler, habits: _, history_kept: _ } = &mut tuned;
    reader.set(&mut scheduler.mode, "BALANCE_MODE", values::mode);
    reader.set(&mut scheduler.timezone, "TIMEZONE", values::time_zone);
    scheduler.autopilot = reader.optional("AUTOPILOT", values::nightly);
    reader.set(&mut balancer.policy.clusters, "CLUSTER_IDS", values::cluster_ids);
    reader.set(&mut balancer.dry_run, "DRY_RUN", values::boolean);
    reader.set(&mut balancer.approvals_needed, "TELEGRAM_APPROVALS", values::people);
    tuned.derive()
}

/// The keys that OpenSSH tries by itself, and the Python tool with it.
const OWN_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The name of the host keys file, in `~/.ssh` and, for what `accept-new` learned, in `DATA_DIR`.
const KNOWN_HOSTS: &str = "known_hosts";

fn ssh(reader: &mut Reader<'_>, ssh_dir: Option<&Path>, data_dir: &Path) -> ssh::Settings {
    let known_hosts = match reader.path("SSH_KNOWN_HOSTS") {
        Some(path) => in_home(&path, ssh_dir),
        None => ssh_dir.unwrap_or(Path::new("~/.ssh")).join(KNOWN_HOSTS),
    };
    let mut settings = ssh::Settings::new(known_hosts, data_dir.join(KNOWN_HOSTS));
    reader.set(&mut settings.username, "SSH_USERNAME", |text| Ok(text.to_owned()));
    reader.set(&mut settings.password, "SSH_PASSWORD", |text| values::secret(text).map(Some));
    reader.set(&mut settings.timeout, "SSH_TIMEOUT", values::seconds(1));
    reader.set(&mut settings.hosts, "SSH_HOSTS_MAPPING", values::hosts);
    reader.set(&mut settings.host_key_check, "SSH_HOST_KEY_CHECK", |text| {
        let [strict, accept_new, off] = [HostKeyCheck::Strict, HostKeyCheck::AcceptNew, HostKeyCheck::Off];
        values::one_of(text, &[("strict", strict), ("accept-new", accept_new), ("off", off)])
    });
    settings
}

/// A path that begins with `~/` is in the home folder, which `ssh_dir` is in.
fn in_home(path: &str, ssh_dir: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), ssh_dir.and_then(Path::parent)) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

fn telegram(reader: &mut Reader<'_>, timezone: Tz, habits: telegram::Habits) -> Option<telegram::Settings> {
    let token = reader.optional("TELEGRAM_BOT_TOKEN", values::token);
    // Wrong values are reported even where no token is set.
    let mut settings = telegram::Settings::new(token.clone().unwrap_or_default());
    settings.timezone = timezone;
    settings.chat = reader.optional("TELEGRAM_CHAT_ID", values::chat);
    settings.api_url = reader.optional("TELEGRAM_API_URL", values::api_url);
    settings.proxy = reader.optional("TELEGRAM_PROXY", |text| dial::proxy(text).map_err(Into::into));
    reader.set(&mut settings.admins, "TELEGRAM_ADMIN_IDS", values::user_ids);
    reader.set(&mut settings.operators, "TELEGRAM_OPERATOR_IDS", values::user_ids);
    reader.set(&mut settings.viewers, "TELEGRAM_VIEWER_IDS", values::user_ids);
    reader.set(&mut settings.language, "VM_BALANCER_LANG", language);
    settings.habits = habits.into();
    token.map(|_| settings)
}

/// The Python tool's words count too.
fn log_level(text: &str) -> Result<LogLevel, Expected> {
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
fn language(text: &str) -> Result<Language, Expected> {
    let word = text.split(['_', '-', '.']).next().unwrap_or_default();
    values::one_of(word, &[("en", Language::En), ("ru", Language::Ru)])
}

fn warnings(config: &Config, reader: &Reader<'_>, purpose: Purpose) -> Vec<Warning> {
    let Config { vmmanager, telegram, ssh, balancer, .. } = config;
    let policy = &balancer.policy;
    let chat_given = reader.text_of("TELEGRAM_CHAT_ID").is_some();
    let bot_api = telegram.as_ref().and_then(|telegram| telegram.api_url.as_ref());
    let host_keys_off = ssh.as_ref().is_some_and(|ssh| ssh.host_key_check == HostKeyCheck::Off);
    [
        vmmanager.as_ref().filter(|vmmanager| !vmmanager.verify_tls).map(|_| Warning::TlsNotVerified),
        vmmanager.as_ref().filter(|it| is_unencrypted(&it.base_url)).map(|_| Warning::PlainHttp),
        host_keys_off.then_some(Warning::HostKeysNotChecked),
        bot_api.filter(|url| is_unencrypted(url)).map(|_| Warning::PlainBotApi),
        (chat_given && telegram.is_none()).then_some(Warning::ChatWithoutToken),
        (!chat_given && telegram.is_some()).then_some(Warning::TokenWithoutChat),
        (purpose == Purpose::Daemon && was_written_for_python(reader)).then_some(Warning::PythonWaits),
    ]
    .into_iter()
    .flatten()
    .chain(tunables::warnings(policy).map(Warning::Setting))
    .collect()
}

/// Tells whether only variables of the Python tool are set, besides where and how the program runs. Its user may
/// expect plans to be carried out at once.
fn was_written_for_python(reader: &Reader<'_>) -> bool {
    VARIABLES.iter().all(|variable| variable.fits_python() || reader.text_of(variable.name).is_none())
}

#[cfg(test)]
mod tests;
