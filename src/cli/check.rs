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

use super::table::Table;
use crate::{
    app::{self, AppError, Pace},
    balancer,
    causes::chain,
    clock::Clock,
    config::{Config, Purpose, Sources},
    control::{self, Answer, Request},
    model::{ApiFailure, Snapshot},
    planner::Note,
    ssh::{self, Known, Probe, Reading, SshFailure},
    store::Store,
    talk::words::{Words, plain},
    vmmanager::VmManagerApi,
};

/// The bot is on this machine.
const HTTP_PATIENCE: Duration = Duration::from_secs(5);

/// What was found; the words are for people, the keys for programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Checked {
    pub findings: Vec<Finding>,
    /// Each node that was asked over SSH.
    pub nodes: Vec<NodeChecked>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub part: &'static str,
    pub state: State,
    pub detail: String,
}

/// How it went. Later is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
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
pub struct NodeChecked {
    pub node: u64,
    pub name: String,
    /// Where it was asked, `host:port`.
    pub host: String,
    pub state: State,
    /// Kind and fingerprint of the host key that it showed.
    pub host_key: Option<String>,
    /// `yes`, `no`, `changed` or `revoked`; `None` where it showed none.
    pub known: Option<&'static str>,
    /// How the login went through.
    pub login: Option<String>,
    pub reading: Option<String>,
    /// The first thing that failed.
    pub problem: Option<String>,
}

const CONFIGURATION: &str = "configuration";
const VMMANAGER: &str = "vmmanager";
const PLATFORM: &str = "platform";
const TELEGRAM: &str = "telegram";
const STORE: &str = "store";
const HTTP: &str = "http";
const SSH: &str = "ssh";

/// Tries everything; never fails, as what fails is what is told.
pub async fn check(sources: &Sources, clock: &Clock) -> Checked {
    let mut checked = Checked::default();
    let Some(config) = checked.configuration(sources) else { return checked };
    let running = checked.store(&config.data_dir).await;
    checked.http(&config, running).await;
    checked.telegram(&config).await;
    let snapshot = checked.vmmanager(&config, clock).await;
    checked.ssh(&config, snapshot.as_ref(), clock).await;
    checked
}

impl Checked {
    /// Returns the worst of all.
    #[must_use]
    pub fn worst(&self) -> State {
        let nodes = self.nodes.iter().map(|node| node.state);
        self.findings.iter().map(|finding| finding.state).chain(nodes).max().unwrap_or(State::Ok)
    }

    fn say(&mut self, part: &'static str, state: State, detail: impl Into<String>) {
        self.findings.push(Finding { part, state, detail: detail.into() });
    }

    fn failed(&mut self, part: &'static str, error: &AppError) {
        let state = if error.is_configuration() { State::Misconfigured } else { State::Wrong };
        self.say(part, state, chain(error));
    }

    fn configuration(&mut self, sources: &Sources) -> Option<Config> {
        for warning in sources.warnings() {
            self.say(CONFIGURATION, State::Warning, warning.to_string());
        }
        let loaded = match Config::for_purpose(Purpose::Live, |name| sources.lookup(name)) {
            Ok(loaded) => loaded,
            Err(problems) => {
                for problem in problems.0 {
                    self.say(CONFIGURATION, State::Misconfigured, problem.to_string());
                }
                self.say("all else", State::NotChecked, "first mend the configuration");
                return None;
            }
        };
        for warning in loaded.warnings {
            self.say(CONFIGURATION, State::Warning, warning.to_string());
        }
        if let Err(problems) = Config::for_purpose(Purpose::Daemon, |name| sources.lookup(name)) {
            for problem in problems.0 {
                self.say(CONFIGURATION, State::Warning, format!("only for plan and --once: {problem}"));
            }
        }
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
                self.say(STORE, State::Wrong, detail);
                return true;
            }
            Ok(None) => {}
        }
        match try_store(dir) {
            Ok(detail) => self.say(STORE, State::Ok, detail),
            Err(detail) => self.say(STORE, State::Wrong, detail),
        }
        false
    }

    async fn http(&mut self, config: &Config, running: bool) {
        let Some(address) = config.http_listen else { return };
        if running {
            return match health_over_http(address).await {
                Ok(status) => {
                    self.say(HTTP, State::Ok, format!("the bot answers on {address}: /healthz is {status}"))
                }
                Err(error) => {
                    let why = chain(&error.without_url());
                    self.say(
                        HTTP,
                        State::Wrong,
                        format!("the running bot does not answer on {address}: {why}; restart it"),
                    )
                }
            };
        }
        match tokio::net::TcpListener::bind(address).await {
            Ok(_) => self.say(HTTP, State::Ok, format!("{address} is free: the bot will listen there")),
            Err(error) => self.say(HTTP, State::Wrong, format!("cannot listen on {address}: {error}")),
        }
    }

    async fn telegram(&mut self, config: &Config) {
        match app::bot_name(config).await {
            Ok(None) => return self.say(TELEGRAM, State::NotChecked, "no TELEGRAM_BOT_TOKEN, so no chat"),
            Ok(Some(name)) => self.say(TELEGRAM, State::Ok, format!("the token is that of @{name}")),
            Err(error) => return self.failed(TELEGRAM, &error),
        }
        match app::reach_chat(config).await {
            // The configuration's own warning says so.
            Ok(None) => {}
            Ok(Some(chat)) => self.say(TELEGRAM, State::Ok, format!("the bot is in chat {chat}")),
            Err(error) => self.failed(TELEGRAM, &error),
        }
    }

    async fn vmmanager(&mut self, config: &Config, clock: &Clock) -> Option<Snapshot> {
        let api = match app::vmmanager(config, Pace::Usual) {
            Ok(api) => api,
            Err(error) => {
                self.failed(VMMANAGER, &error);
                return None;
            }
        };
        let told = self.platform(&api, config, clock).await;
        api.log_out().await;
        told.unwrap_or_else(|error| {
            self.failed(VMMANAGER, &error.into());
            None
        })
    }

    async fn platform(
        &mut self,
        api: &VmManagerApi,
        config: &Config,
        clock: &Clock,
    ) -> Result<Option<Snapshot>, ApiFailure> {
        let who = api.whoami().await?.unwrap_or_default();
        let version = api.version().await?;
        let user = who.email.unwrap_or_else(|| "a user whose name is not told".into());
        let roles = if who.roles.is_empty() { String::new() } else { format!(" ({})", who.roles.join(", ")) };
        let version =
            version.map_or("a version that is not told".into(), |version| format!("version {version}"));
        self.say(VMMANAGER, State::Ok, format!("logged in as {user}{roles}; {version}"));
        let look = api.look(clock.now()).await?;
        for (cluster, flaw) in look.warnings {
            let of = cluster.map(|id| format!("cluster {id}: ")).unwrap_or_default();
            self.say(PLATFORM, State::Warning, of + &plain(&Words::english().flaw(&flaw)));
        }
        self.picture(&look.snapshot, config);
        Ok(Some(look.snapshot))
    }

    fn picture(&mut self, snapshot: &Snapshot, config: &Config) {
        let Snapshot { clusters, nodes, vms, .. } = snapshot;
        let (clusters_seen, nodes, vms) = (clusters.len(), nodes.len(), vms.len());
        self.say(PLATFORM, State::Ok, format!("clusters {clusters_seen}, nodes {nodes}, VMs {vms}"));
        for cluster in clusters {
            for flaw in &cluster.incomplete {
                let why = plain(&Words::english().flaw(flaw));
                let detail = format!("cluster {} ({}) is not acted on: {why}", cluster.name, cluster.id);
                self.say(PLATFORM, State::Warning, detail);
            }
        }
        let wanted = config.balancer.policy.clusters.iter().flatten();
        for id in wanted.filter(|id| snapshot.cluster(**id).is_none()) {
            let detail = format!("CLUSTER_IDS names cluster {id}, which VMmanager does not have");
            self.say(PLATFORM, State::Warning, detail);
        }
        let plan = balancer::checked_plan(snapshot, &config.balancer.policy);
        let notes = plan.clusters.iter().flat_map(|cluster| &cluster.notes);
        let told: std::collections::BTreeSet<_> = notes
            .filter(|note| note.is_standing())
            .map(|note| {
                let is_unknown = matches!(note, Note::UnknownSelector { .. });
                let see = if is_unknown { ": see PIN_VMS, ANTI_AFFINITY and EXCLUDE_…_NODES" } else { "" };
                format!("{}{see}", plain(&Words::english().note(note)))
            })
            .collect();
        for note in told {
            self.say(PLATFORM, State::Warning, note);
        }
    }

    async fn ssh(&mut self, config: &Config, snapshot: Option<&Snapshot>, clock: &Clock) {
        let monitor = match app::monitor(config, clock.clone()) {
            Ok(Some(monitor)) => monitor,
            Ok(None) => return self.say(SSH, State::NotChecked, "SSH_ENABLED is false: allocation counts"),
            Err(error) => return self.failed(SSH, &error),
        };
        let Some(snapshot) = snapshot else {
            return self.say(SSH, State::NotChecked, "without VMmanager nobody knows the nodes");
        };
        let nodes = app::nodes_to_ask(snapshot, config.balancer.policy.clusters.as_ref());
        let probes = ssh::probe(&monitor, &nodes).await;
        self.nodes = probes.iter().map(NodeChecked::of).collect();
        let measured = self.nodes.iter().filter(|node| node.reading.is_some()).count();
        let worst = self.nodes.iter().map(|node| node.state).max().unwrap_or(State::Ok);
        self.say(SSH, worst, format!("{measured} of {} nodes can be measured", nodes.len()));
    }
}

impl NodeChecked {
    fn of(probe: &Probe) -> Self {
        let Probe { node, node_name, host, fingerprint, known, auth, reading } = probe;
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
            login: auth.as_ref().ok().cloned(),
            reading: reading.as_ref().ok().map(told),
            problem: problem.map(SshFailure::to_string),
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

fn told(reading: &Reading) -> String {
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

/// Says that the store can be used or will be made; leaves nothing behind where there was none.
/// Where the bot listens on every address, this machine is asked by its loopback.
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

fn try_store(dir: &Path) -> Result<String, String> {
    let there = dir.exists();
    let place = match there {
        true => dir.to_owned(),
        false => nearest(dir).ok_or("DATA_DIR has no folder above it")?,
    };
    let trial = place.join(format!(".vm-balancer-check-{}", std::process::id()));
    let tried = fs::write(&trial, b"x").and_then(|()| fs::remove_file(&trial));
    tried.map_err(|error| format!("cannot write to {}: {error}", place.display()))?;
    if !there {
        return Ok(format!("{} will be made at the first start", dir.display()));
    }
    let holds_something = fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some());
    if holds_something {
        Store::open(dir).map_err(|error| chain(&error))?;
    }
    Ok(format!("{} can be read and written", dir.display()))
}

fn nearest(dir: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(dir).ok()?;
    absolute.ancestors().find(|above| above.is_dir()).map(Path::to_owned)
}

/// Writes what was found for a terminal.
#[must_use]
pub fn text(checked: &Checked) -> String {
    let mut findings = Table::indented(0);
    for Finding { part, state, detail } in &checked.findings {
        findings.row([part, label(*state), detail.as_str()]);
    }
    let mut nodes = Table::indented(2);
    for node in &checked.nodes {
        let NodeChecked { node: id, name, host, state, host_key, known, login, reading, problem } = node;
        nodes.row([
            label(*state).to_owned(),
            format!("{name} ({id})"),
            host.clone(),
            host_key.clone().unwrap_or_else(|| "no host key seen".into()),
            known.map_or_else(|| "-".into(), |known| format!("known: {known}")),
            login.as_ref().map_or_else(|| "no login".into(), |way| format!("login: {way}")),
            problem.clone().or_else(|| reading.clone()).unwrap_or_default(),
        ]);
    }
    let end = match checked.worst() {
        State::Ok | State::NotChecked => "nothing is wrong",
        State::Warning => "nothing is wrong; see the warnings",
        State::Wrong | State::Misconfigured => "something is wrong",
    };
    format!("{findings}{nodes}{end}\n")
}

/// Writes what was found for programs.
///
/// # Errors
///
/// Where serde refuses, which plain data gives no reason for.
pub fn json(checked: &Checked) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Printed<'a> {
        ok: bool,
        #[serde(flatten)]
        checked: &'a Checked,
    }
    serde_json::to_string_pretty(&Printed { ok: checked.worst() < State::Wrong, checked })
}

fn label(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::NotChecked => "not checked",
        State::Warning => "warning",
        State::Wrong | State::Misconfigured => "WRONG",
    }
}
