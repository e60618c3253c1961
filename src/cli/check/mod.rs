//! `vm-balancer check`: tries every part of the configuration for real, and says what is wrong.
//!
//! Orders nothing, learns no host key, and beside a running bot leaves the store to it.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

pub(super) mod telegram;
#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
pub(super) mod vmmanager;

use super::table::Table;
use crate::{
    app::{self, AppError},
    causes::chain,
    clock::Clock,
    config::{Config, Problem, Purpose, Sources, Warning},
    control::{self, Answer, Request},
    model::Snapshot,
    ssh::{self, Known, Probe, Reading, SshFailure},
    store::{Store, other_owner},
};

/// The bot is on this machine.
const HTTP_PATIENCE: Duration = Duration::from_secs(5);

/// What was found; the words are for people, the keys for programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Checked {
    pub findings: Vec<Finding>,
    /// Each node that was asked over SSH.
    pub nodes: Vec<NodeChecked>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    pub part: &'static str,
    pub state: State,
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// How it went. Later is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    NotChecked,
    /// It works, and an operator should know it.
    Warning,
    /// It does not work.
    Wrong,
    /// It does not work because of what is configured.
    Misconfigured,
}

/// What a node showed over SSH.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct NodeChecked {
    pub node: u64,
    pub name: String,
    /// Where it was asked, `host:port`.
    pub host: String,
    pub state: State,
    /// Kind and fingerprint of the host key that it showed.
    pub host_key: Option<String>,
    /// `yes`, `no`, `changed` or `revoked`; `None` where it showed none.
    pub known: Option<&'static str>,
    /// The line of `known_hosts` that trusts the key, where it is not trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_line: Option<String>,
    /// How the login went through.
    pub login: Option<String>,
    pub reading: Option<String>,
    /// The first thing that failed.
    pub problem: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<&'static str>,
}

const CONFIGURATION: &str = "configuration";
const PLATFORM: &str = "platform";
const STORE: &str = "store";
const HTTP: &str = "http";
const SSH: &str = "ssh";

/// Tries everything and reports what fails. `progress` is called with the name of what is tried next. With `send` the
/// chat gets a real message.
pub(super) async fn check(sources: &Sources, send: bool, clock: &Clock, progress: impl Fn(&str)) -> Checked {
    let mut checked = Checked::default();
    let Some(config) = checked.configuration(sources) else { return checked };
    progress("the store");
    let is_running = checked.store(&config.data_dir).await;
    checked.http(&config, is_running).await;
    progress("Telegram and VMmanager");
    let (chat, (platform, snapshot)) =
        tokio::join!(telegram::check(&config, is_running, send), vmmanager::check(&config, clock));
    checked.findings.extend(chat.into_iter().chain(platform));
    if config.ssh.is_some() {
        progress("the nodes over SSH");
    }
    checked.ssh(&config, snapshot.as_ref(), clock).await;
    checked
}

impl Finding {
    fn new(part: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { part, state, detail: detail.into(), todo: None }
    }

    /// Adds what to do about it.
    fn todo(self, todo: impl Into<String>) -> Self {
        Self { todo: Some(todo.into()), ..self }
    }
}

impl Checked {
    /// Returns the worst of all.
    #[must_use]
    pub(super) fn worst(&self) -> State {
        let nodes = self.nodes.iter().map(|node| node.state);
        self.findings.iter().map(|finding| finding.state).chain(nodes).max().unwrap_or(State::Ok)
    }

    fn say(&mut self, part: &'static str, state: State, detail: impl Into<String>) {
        self.findings.push(Finding::new(part, state, detail));
    }

    fn configuration(&mut self, sources: &Sources) -> Option<Config> {
        let read = |purpose| Config::for_purpose(purpose, |name| sources.lookup(name));
        let of = |state, problem: &Problem, more: &str| {
            let todo = problem.remedy(&sources.place(problem.name)) + more;
            Finding::new(CONFIGURATION, state, problem.to_string()).todo(todo)
        };
        let warned = |warning: &Warning| {
            Finding::new(CONFIGURATION, State::Warning, warning.fact()).todo(warning.remedy())
        };
        self.findings.extend(sources.warnings().iter().map(warned));
        let loaded = match (read(Purpose::Daemon), read(Purpose::Live)) {
            (Ok(loaded), _) => loaded,
            (Err(problems), Ok(loaded)) => {
                let until = "; until then the bot does not start, and only plan and --once work";
                self.findings.extend(problems.0.iter().map(|problem| of(State::Wrong, problem, until)));
                loaded
            }
            (Err(_), Err(problems)) => {
                self.findings.extend(problems.0.iter().map(|problem| of(State::Misconfigured, problem, "")));
                self.say("all else", State::NotChecked, "first mend the configuration");
                return None;
            }
        };
        self.findings.extend(loaded.warnings.iter().map(warned));
        if self.findings.is_empty() {
            self.say(CONFIGURATION, State::Ok, "every value can be used");
        }
        Some(loaded.config)
    }

    /// Tells whether a bot runs.
    async fn store(&mut self, dir: &Path) -> bool {
        match control::ask(dir, &Request::Ping).await {
            Ok(Some(Answer::Pong { pid })) => {
                let detail =
                    format!("{} is in use by the running vm-balancer (process {pid})", dir.display());
                self.say(STORE, State::Ok, detail);
                return true;
            }
            Ok(Some(_)) | Err(_) => {
                let detail = format!("a vm-balancer runs on {} and does not answer", dir.display());
                self.findings
                    .push(Finding::new(STORE, State::Wrong, detail).todo("restart it, and see its log"));
                return true;
            }
            Ok(None) => {}
        }
        let finding = match try_store(dir) {
            Ok(Tried::Usable(detail)) => Finding::new(STORE, State::Ok, detail),
            Ok(Tried::Anothers(owner)) => {
                let detail = format!(
                    "{} belongs to another user (id {owner}), who runs the bot: it was not opened",
                    dir.display()
                );
                Finding::new(STORE, State::Warning, detail).todo(
                    "run check as that user, e.g. `runuser -u vm-balancer -- vm-balancer check --config FILE`",
                )
            }
            Err(detail) => Finding::new(STORE, State::Wrong, detail)
                .todo("DATA_DIR must be a folder of the user that the bot runs as"),
        };
        self.findings.push(finding);
        false
    }

    async fn http(&mut self, config: &Config, running: bool) {
        let Some(address) = config.http_listen else { return };
        let finding = if running {
            match health_over_http(address).await {
                Ok(status) => Finding::new(
                    HTTP,
                    State::Ok,
                    format!("the bot answers on {address}: /healthz is {status}"),
                ),
                Err(error) => {
                    let why = chain(&error.without_url());
                    let detail = format!("the running bot does not answer on {address}: {why}");
                    Finding::new(HTTP, State::Wrong, detail).todo("restart it")
                }
            }
        } else {
            match tokio::net::TcpListener::bind(address).await {
                Ok(_) => {
                    Finding::new(HTTP, State::Ok, format!("{address} is free: the bot will listen there"))
                }
                Err(error) => {
                    Finding::new(HTTP, State::Wrong, format!("cannot listen on {address}: {error}"))
                        .todo("name a free address of this machine in HTTP_LISTEN")
                }
            }
        };
        self.findings.push(finding);
    }

    async fn ssh(&mut self, config: &Config, snapshot: Option<&Snapshot>, clock: &Clock) {
        let monitor = match app::monitor(config, clock.clone()) {
            Ok(Some(monitor)) => monitor,
            Ok(None) => return self.say(SSH, State::NotChecked, "SSH_ENABLED is false: allocation counts"),
            Err(error) => {
                let todo = "correct SSH_PRIVATE_KEY_PATH, its passphrase or SSH_KNOWN_HOSTS: the bot must be able to read them";
                return self.findings.push(finding_of(SSH, &error).todo(todo));
            }
        };
        let Some(snapshot) = snapshot else {
            return self.say(SSH, State::NotChecked, "without VMmanager nobody knows the nodes");
        };
        self.findings.extend(unknown_hosts(config, snapshot));
        let nodes = app::nodes_to_ask(snapshot, config.balancer.policy.clusters.as_ref());
        let probes = ssh::probe(&monitor, &nodes).await;
        self.nodes = probes.iter().map(NodeChecked::of).collect();
        let measured = self.nodes.iter().filter(|node| node.reading.is_some()).count();
        let worst = self.nodes.iter().map(|node| node.state).max().unwrap_or(State::Ok);
        let finding =
            Finding::new(SSH, worst, format!("{measured} of {} nodes can be measured", nodes.len()));
        self.findings.push(match worst {
            State::Ok | State::NotChecked => finding,
            State::Warning | State::Wrong | State::Misconfigured => finding.todo("see each node below"),
        });
    }
}

/// How many names are shown where more would fill the screen.
const NAMES_SHOWN: usize = 5;

/// Warns of names in the mapping that are no node's.
fn unknown_hosts(config: &Config, snapshot: &Snapshot) -> Option<Finding> {
    let is_known = |name: &&String| {
        snapshot.nodes.iter().any(|node| node.name == **name || node.id.to_string() == **name)
    };
    let hosts = config.ssh.as_ref().map(|ssh| &ssh.hosts)?;
    let unknown: Vec<_> = hosts.keys().filter(|name| !is_known(name)).map(String::as_str).collect();
    if unknown.is_empty() {
        return None;
    }
    let names: Vec<_> = snapshot.nodes.iter().map(|node| node.name.as_str()).collect();
    let shown = names.get(..NAMES_SHOWN).map_or_else(|| names.join(", "), |some| some.join(", ") + ", …");
    let detail = format!("SSH_HOSTS_MAPPING names {}, which VMmanager does not have", unknown.join(", "));
    Some(Finding::new(SSH, State::Warning, detail).todo(format!("VMmanager has {shown}")))
}

fn finding_of(part: &'static str, error: &AppError) -> Finding {
    let state = if error.is_configuration() { State::Misconfigured } else { State::Wrong };
    Finding::new(part, state, chain(error))
}

impl NodeChecked {
    fn of(probe: &Probe) -> Self {
        let Probe { node, node_name, host, fingerprint, known, known_line, auth, reading } = probe;
        let problem = auth.as_ref().err().or(reading.as_ref().err());
        let doubted = !matches!(known, None | Some(Known::Yes));
        Self {
            node: node.0,
            name: node_name.clone(),
            host: host.clone(),
            state: match (problem, doubted) {
                (Some(_), _) => State::Wrong,
                (None, true) => State::Warning,
                (None, false) => State::Ok,
            },
            host_key: fingerprint.clone(),
            known: known.as_ref().map(word),
            known_line: known_line.clone().filter(|_| doubted),
            login: auth.as_ref().ok().map(ToString::to_string),
            reading: reading.as_ref().ok().map(describe_reading),
            problem: problem.map(SshFailure::to_string),
            todo: match (problem, doubted) {
                (Some(failure), _) => Some(advice(failure)),
                (None, true) => Some("compare its key with the node's own and add the line below"),
                (None, false) => None,
            },
        }
    }
}

/// What to do about a node that cannot be measured.
fn advice(failure: &SshFailure) -> &'static str {
    match failure {
        SshFailure::Refused { .. } => "start sshd there, or name its host:port in SSH_HOSTS_MAPPING",
        SshFailure::Unreachable { .. } | SshFailure::Timeout { .. } => {
            "check the firewall; where VMmanager's address is not the one for SSH, use SSH_HOSTS_MAPPING"
        }
        SshFailure::HostKeyUnknown { .. } => "compare its key with the node's own and add the line below",
        SshFailure::HostKeyChanged { .. } | SshFailure::HostKeyRevoked { .. } => {
            "ask who changed it; if it was meant, put the line below in place of the old one"
        }
        SshFailure::HostKeyUnchecked(_) => "see that SSH_KNOWN_HOSTS and DATA_DIR can be read and written",
        SshFailure::Auth { .. } => {
            "correct SSH_USERNAME, SSH_PRIVATE_KEY_PATH or SSH_PASSWORD, or add the key to the node's authorized_keys"
        }
        SshFailure::Handshake { .. } => {
            "see that an SSH server answers there, and name its host:port in SSH_HOSTS_MAPPING"
        }
        SshFailure::SessionRefused(_)
        | SshFailure::Dropped { .. }
        | SshFailure::TooMuchOutput { .. }
        | SshFailure::ExitStatus { .. }
        | SshFailure::Killed { .. }
        | SshFailure::Unreadable(_) => {
            "log in by hand as that user: it must be able to run sh and read /proc"
        }
    }
}

fn word(known: &Known) -> &'static str {
    match known {
        Known::Yes => "yes",
        Known::No => "no",
        Known::Changed { .. } => "changed",
        Known::Revoked => "revoked",
    }
}

fn describe_reading(reading: &Reading) -> String {
    let cpus = reading.cpus.map_or(String::new(), |cpus| format!(" on {cpus} CPUs"));
    let memory = match (reading.memory_used, reading.memory_total) {
        (Some(used), Some(total)) => format!(", memory really used {used} of {total}"),
        _ => String::new(),
    };
    let pressure = match reading.cpu_pressure {
        Some(percent) => format!(", CPU pressure {percent:.1} %"),
        None => String::new(),
    };
    let vms = match reading.domains.iter().filter(|domain| domain.cores.is_some()).count() {
        0 => ", no VM's use can be seen".into(),
        seen => format!(", VMs whose use can be seen: {seen}"),
    };
    format!("load {:.2}{cpus}{memory}{pressure}{vms}", reading.load[1])
}

/// Asks `/healthz` of the running bot. A bot that listens on every address is asked over loopback.
async fn health_over_http(mut address: SocketAddr) -> reqwest::Result<reqwest::StatusCode> {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    let client = reqwest::Client::builder().no_proxy().timeout(HTTP_PATIENCE).build()?;
    Ok(client.get(format!("http://{address}/healthz")).send().await?.status())
}

/// What a trial of the store's folder showed.
enum Tried {
    Usable(String),
    /// We are root and it is this user's, who could not read what sled would make in there now.
    Anothers(u32),
}

/// Tells whether the store can be used or created. Creates nothing.
fn try_store(dir: &Path) -> Result<Tried, String> {
    let there = dir.exists();
    let place = match there {
        true => dir.to_owned(),
        false => nearest(dir).ok_or("DATA_DIR has no folder above it")?,
    };
    try_writing(&place).map_err(|error| format!("cannot write to {}: {error}", place.display()))?;
    if !there {
        return Ok(Tried::Usable(format!("{} will be made at the first start", dir.display())));
    }
    let holds_something = fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some());
    if holds_something {
        if let Some(owner) = other_owner(dir) {
            return Ok(Tried::Anothers(owner));
        }
        Store::open(dir).map_err(|error| chain(&error))?;
    }
    Ok(Tried::Usable(format!("{} can be read and written", dir.display())))
}

/// Writes a file and takes it away.
fn try_writing(place: &Path) -> std::io::Result<()> {
    let trial = place.join(format!(".vm-balancer-check-{}", std::process::id()));
    fs::write(&trial, b"x")?;
    fs::remove_file(&trial)
}

fn nearest(dir: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(dir).ok()?;
    absolute.ancestors().find(|above| above.is_dir()).map(Path::to_owned)
}

/// Writes what was found for people, no wider than `width` columns where words can be broken.
#[must_use]
pub(super) fn text(checked: &Checked, width: usize) -> String {
    let mut findings = Table::with_indent(0);
    for Finding { part, state, detail, todo } in &checked.findings {
        findings.row([part, label(*state), detail.as_str()]);
        if let Some(todo) = todo {
            findings.row(["", "", &format!("→ {todo}")]);
        }
    }
    let mut nodes = Table::with_indent(2);
    for node in &checked.nodes {
        let NodeChecked {
            node: id, name, host, state, host_key, known, login, reading, problem, todo, ..
        } = node;
        let login = login.as_ref().map_or_else(|| "no login".into(), |way| format!("login: {way}"));
        nodes.row([label(*state).to_owned(), format!("{name} ({id}) at {host}, {login}")]);
        let known = known.map_or(String::new(), |known| format!(", known: {known}"));
        let key = host_key.as_deref().unwrap_or("no host key seen");
        nodes.row([String::new(), format!("{key}{known}")]);
        nodes.row([String::new(), problem.clone().or_else(|| reading.clone()).unwrap_or_default()]);
        if let Some(todo) = todo {
            nodes.row([String::new(), format!("→ {todo}")]);
        }
    }
    let lines: String = checked
        .nodes
        .iter()
        .filter_map(|node| node.known_line.as_ref())
        .map(|line| format!("{line}\n"))
        .collect();
    let lines = match lines.is_empty() {
        true => lines,
        false => format!("compare these keys with the nodes' own and add them to SSH_KNOWN_HOSTS:\n{lines}"),
    };
    let end = match checked.worst() {
        State::Ok | State::NotChecked => "nothing is wrong",
        State::Warning => "nothing is wrong; see the warnings",
        State::Wrong | State::Misconfigured => "something is wrong",
    };
    format!("{}{}{lines}{end}\n", findings.render(Some(width)), nodes.render(Some(width)))
}

/// Writes what was found for programs.
pub(super) fn json(checked: &Checked) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Printed<'a> {
        ok: bool,
        #[serde(flatten)]
        checked: &'a Checked,
    }
    serde_json::to_string_pretty(&Printed { ok: checked.worst() < State::Wrong, checked })
}

pub(super) fn label(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::NotChecked => "not checked",
        State::Warning => "warning",
        State::Wrong | State::Misconfigured => "WRONG",
    }
}
