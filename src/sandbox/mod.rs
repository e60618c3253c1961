//! Everything simulated: servers that replace the real ones and check requests as strictly.
//!
//! [`run`] puts them together: a VMmanager, a Bot API server, life in the clusters, the chat page, and the bot,
//! which comes from outside as a function and is the real one, over the real protocols, on loopback.

pub mod bot;
mod bot_chat;
mod measured;
pub mod page;
pub mod scenario;
pub mod ssh;
pub mod telegram;
pub mod terminal;
mod tour;
pub mod vmmanager;
pub mod week;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use bot::{BotEnvironment, BotStatus, BotSwitch, StartBot};
pub use bot_chat::BotChat;
pub use measured::Ssh;

use crate::{
    clock::Clock,
    model::{ReadSnapshotError, Snapshot},
};
use measured::MeasuredNodes;
use scenario::Life;
use telegram::{ADMIN, OPERATOR, VIEWER};
use vmmanager::{Pace, Scale, SimVmManager, World};

/// The default port of the page.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// How many further ports are tried when another program uses the wanted one.
const PORTS_TRIED: u16 = 20;
/// Migrations are sped up less than life by this factor, so that a VM of some GiB is seen moving for seconds.
const MIGRATION_SLOWER: f64 = 4.0;

/// How the sandbox is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the page is served; another port is taken where this one is in use.
    pub listen: SocketAddr,
    /// What the world and its life are made of.
    pub seed: u64,
    /// Nodes of the made-up world, in clusters of about a hundred.
    pub nodes: usize,
    /// VMs of the made-up world at the start.
    pub vms: usize,
    /// Simulated seconds for one real second.
    pub speed: f64,
    /// A saved snapshot to begin with instead of a made-up world.
    pub snapshot: Option<PathBuf>,
    /// Plays a short story by itself.
    pub tour: bool,
    /// Where the bot keeps its store; a fresh folder that is removed at the end where empty.
    pub data_dir: Option<PathBuf>,
    /// The chat that the bot is configured for at the start.
    pub chat: BotChat,
    /// Whether the bot asks the nodes for their load.
    pub ssh: Ssh,
    /// Settings of the bot beside or instead of the sandbox's own, by the contract's names.
    pub bot_variables: BTreeMap<String, String>,
}

impl Default for Options {
    /// 12 nodes with 300 VMs, a minute in a second.
    fn default() -> Self {
        Self {
            listen: LISTEN,
            seed: 1,
            nodes: 12,
            vms: 300,
            speed: 60.0,
            snapshot: None,
            tour: false,
            data_dir: None,
            chat: BotChat::default(),
            ssh: Ssh::default(),
            bot_variables: BTreeMap::new(),
        }
    }
}

/// Why the sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("failed to listen on {address} and the {PORTS_TRIED} ports after it")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("failed to start {what}")]
    Start { what: &'static str, source: io::Error },
    #[error("failed to read the snapshot {path}")]
    ReadSnapshot { path: PathBuf, source: io::Error },
    #[error("failed to understand the snapshot {path}")]
    Snapshot { path: PathBuf, source: ReadSnapshotError },
    #[error("failed to draw the picture {file}")]
    Picture { file: PathBuf, source: io::Error },
    #[error("failed to make the data folder {path}")]
    DataDir { path: PathBuf, source: io::Error },
}

/// A sandbox that runs until it is dropped; [`Sandbox::stop`] shuts the bot down.
pub struct Sandbox {
    /// The simulated Telegram.
    pub telegram: telegram::Running,
    /// The simulated VMmanager.
    pub vmmanager: vmmanager::Running,
    /// The bot, to be killed and started again.
    pub bot: BotSwitch,
    /// What the page shows and switches.
    pub stage: page::Stage,
    page: page::Served,
    wanted: SocketAddr,
    data: DataDir,
    tour: Option<tokio::task::JoinHandle<()>>,
}

impl Sandbox {
    /// Starts the simulated servers, the page and the bot.
    ///
    /// # Errors
    /// When an address, the snapshot or the data folder cannot be used.
    pub async fn start(options: Options, start_bot: StartBot) -> Result<Self, SandboxError> {
        let listener = listen(options.listen).await?;
        let clock = Clock::system();
        let mut world = world(&options)?;
        let measured = match options.ssh.is_on(world.nodes.len()) {
            true => MeasuredNodes::start(&mut world)
                .await
                .map_err(|source| SandboxError::Start { what: "the simulated nodes", source })?,
            false => MeasuredNodes::default(),
        };
        let vmmanager = start_vmmanager(world, &options, &clock).await?;
        let telegram =
            telegram::SimTelegram::start(telegram::Options { clock, ..telegram::Options::default() });
        let telegram = telegram
            .await
            .map_err(|source| SandboxError::Start { what: "the simulated Telegram", source })?;
        let data = DataDir::new(options.data_dir.clone())?;
        let mut variables = bot_variables(&telegram, &vmmanager, &data.path, options.chat);
        let ssh = measured
            .variables(&data.path)
            .map_err(|source| SandboxError::DataDir { path: data.path.clone(), source })?;
        variables.extend(ssh.into_iter().map(|(name, value)| (name.to_owned(), value)));
        variables.extend(options.bot_variables.clone());
        let about = about(&variables);
        let bot = BotSwitch::new(start_bot, variables);
        let mut life = Life::new(options.seed, options.speed);
        if options.tour {
            life.keep_calm();
        }
        if bot.variable("SSH_ENABLED").is_some_and(|on| on == "true") {
            life.measured();
        }
        let (telegram_handle, platform) = (telegram.handle(), vmmanager.clone());
        let stage = page::Stage::new(telegram_handle, platform, life, measured, bot.clone(), about);
        let page = stage
            .serve(listener)
            .map_err(|source| SandboxError::Listen { address: options.listen, source })?;
        bot.restart()
            .await
            .map_err(|source| SandboxError::Start { what: "a runtime for the bot", source })?;
        let tour = options.tour.then(|| tokio::spawn(tour::play(telegram.handle(), stage.clone())));
        let wanted = options.listen;
        Ok(Self { telegram, vmmanager, bot, stage, page, wanted, data, tour })
    }

    /// Returns where the page is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.page.address()
    }

    /// Returns the folder of the bot's store.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data.path
    }

    /// Returns a text for the terminal: where the page is and what to try.
    #[must_use]
    pub fn welcome(&self) -> String {
        let address = self.address();
        let (wanted, port) = (self.wanted, address.port());
        let moved = match wanted.port() {
            0 => String::new(),
            taken if taken == port => String::new(),
            taken => format!("Port {taken} is in use by another program; this is port {port}.\n"),
        };
        let (telegram, token) = (self.telegram.url(), self.telegram.token());
        let vmmanager::Options { username, password, .. } = self.vmmanager.options();
        format!(
            "{moved}The sandbox is at http://{address}/\n\
             (from another machine: ssh -L {port}:{address} this-machine, then http://localhost:{port}/)\n\
             Behind it: VMmanager at {}, Bot API at {telegram}\n\
             \n\
             What to try:\n\
             \x20 - within a minute a node fills up and the bot proposes a plan: press Approve\n\
             \x20 - /status, /balance, /history in the chat; write as an operator, a viewer, a stranger\n\
             \x20 - Faults: VMmanager away, the next migration fails, kill and restart the bot; More faults has the rest\n\
             \x20 - Burn CPU on a node; another chat for the bot: a topic, a basic group, a private chat\n\
             To try `vm-balancer init` here: kill the bot (Faults), and in an empty folder run\n\
             \x20 TELEGRAM_API_URL={telegram} vm-balancer init\n\
             with the user {username}, the password {password} and the token {token}\n\
             Here in the terminal: write a command such as /status, press Approve, as viewer, help\n\
             Ctrl+C ends it.\n",
            self.vmmanager.url(),
        )
    }

    /// Shuts the bot down, then everything else.
    pub async fn stop(self) {
        self.bot.stop().await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(tour) = &self.tour {
            tour.abort();
        }
    }
}

/// Runs a sandbox with a terminal until `shutdown`. `print` gets the text for the person there.
///
/// # Errors
/// When it does not start.
pub async fn run(
    options: Options,
    start_bot: StartBot,
    input: impl tokio::io::AsyncBufRead + Unpin,
    print: impl Fn(&str),
    shutdown: CancellationToken,
) -> Result<(), SandboxError> {
    let sandbox = Sandbox::start(options, start_bot).await?;
    print(&sandbox.welcome());
    let telegram = sandbox.telegram.handle();
    tokio::select! {
        () = terminal::talk(&telegram, || sandbox.stage.bot_place(), input, &print) => {}
        () = shutdown.cancelled() => {}
    }
    sandbox.stop().await;
    Ok(())
}

async fn listen(wanted: SocketAddr) -> Result<TcpListener, SandboxError> {
    let mut address = wanted;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(source) => {
                let in_use = source.kind() == io::ErrorKind::AddrInUse;
                let next = address.port().checked_add(1);
                let next = next.filter(|port| in_use && *port <= wanted.port().saturating_add(PORTS_TRIED));
                let Some(next) = next else {
                    return Err(SandboxError::Listen { address: wanted, source });
                };
                address.set_port(next);
            }
        }
    }
}

fn world(options: &Options) -> Result<World, SandboxError> {
    let Some(path) = &options.snapshot else {
        let scale = Scale {
            seed: options.seed,
            nodes: options.nodes,
            vms: options.vms,
            // One cluster can be looked over; beyond, as many as a hoster would have.
            clusters: options.nodes.div_ceil(100),
            fill_percent: 52.0,
            overloaded_percent: 0.0,
        };
        return Ok(World::generate(&scale));
    };
    Ok(World::from_snapshot(&read_snapshot(path)?))
}

/// Reads a snapshot file.
///
/// # Errors
///
/// The file cannot be read, or is no snapshot.
pub fn read_snapshot(path: &Path) -> Result<Snapshot, SandboxError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SandboxError::ReadSnapshot { path: path.into(), source })?;
    Snapshot::from_json(&text).map_err(|source| SandboxError::Snapshot { path: path.into(), source })
}

async fn start_vmmanager(
    world: World,
    options: &Options,
    clock: &Clock,
) -> Result<vmmanager::Running, SandboxError> {
    let options = vmmanager::Options {
        pace: Pace::BySize { times_faster: options.speed / MIGRATION_SLOWER },
        task_delay: std::time::Duration::from_millis(300),
        starts_at: clock.now(),
        ..vmmanager::Options::default()
    };
    SimVmManager::start(world, options)
        .await
        .map_err(|source| SandboxError::Start { what: "the simulated VMmanager", source })
}

/// Returns the bot's configuration, with short intervals for a person who watches.
fn bot_variables(
    telegram: &telegram::Running,
    vmmanager: &vmmanager::Running,
    data_dir: &Path,
    chat: BotChat,
) -> BTreeMap<String, String> {
    let login = vmmanager.options();
    let settings = [
        ("VMMANAGER_HOST", vmmanager.url()),
        ("VMMANAGER_USERNAME", login.username),
        ("VMMANAGER_PASSWORD", login.password),
        ("TELEGRAM_BOT_TOKEN", telegram.token().to_owned()),
        ("TELEGRAM_API_URL", telegram.url()),
        ("TELEGRAM_CHAT_ID", chat.id()),
        ("TELEGRAM_ADMIN_IDS", ADMIN.to_string()),
        ("TELEGRAM_OPERATOR_IDS", OPERATOR.to_string()),
        ("TELEGRAM_VIEWER_IDS", VIEWER.to_string()),
        ("DATA_DIR", data_dir.display().to_string()),
        ("BALANCE_MODE", "propose".to_owned()),
        ("BALANCE_INTERVAL", "15".to_owned()),
        ("MAX_MIGRATIONS_PER_CYCLE", "6".to_owned()),
        ("MAX_PARALLEL_MIGRATIONS", "3".to_owned()),
        ("MIGRATION_COOLDOWN", "60".to_owned()),
        ("FAILURE_COOLDOWN", "120".to_owned()),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The bot's settings that the page needs, to draw thresholds and name roles.
fn about(variables: &BTreeMap<String, String>) -> serde_json::Value {
    let number = |name: &str, default: f64| {
        variables.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let mut roles = serde_json::Map::new();
    for role in ["viewer", "operator", "admin"] {
        let ids = variables.get(&format!("TELEGRAM_{}_IDS", role.to_ascii_uppercase()));
        for id in ids.map(String::as_str).unwrap_or_default().split(',') {
            roles.insert(id.trim().to_owned(), json!(role));
        }
    }
    for (id, who) in [
        (telegram::ANONYMOUS_ADMIN, "anonymous admin"),
        (telegram::STRANGER, "stranger"),
        (telegram::CHANNEL, "a channel"),
    ] {
        roles.entry(id.to_string()).or_insert(json!(who));
    }
    json!({
        "roles": roles,
        "memory_threshold": number("MEMORY_OVERLOAD_THRESHOLD", 70.0),
        "cpu_threshold": number("CPU_OVERLOAD_THRESHOLD", 7.0),
        "load_threshold": number("LOAD_OVERLOAD_THRESHOLD", 1.0),
        "measured": variables.get("SSH_ENABLED").is_some_and(|on| on == "true"),
    })
}

/// The bot's folder. One that the sandbox created is removed with it.
struct DataDir {
    path: PathBuf,
    temporary: bool,
}

impl DataDir {
    fn new(wanted: Option<PathBuf>) -> Result<Self, SandboxError> {
        let temporary = wanted.is_none();
        let path = wanted.unwrap_or_else(|| {
            // Unique among all sandboxes that run at the same time, also in one process.
            static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::env::temp_dir().join(format!("vm-balancer-sandbox-{}-{number}", std::process::id()))
        });
        if temporary {
            // An earlier process with the same id may have left its folder behind.
            let _ = std::fs::remove_dir_all(&path);
        }
        std::fs::create_dir_all(&path)
            .map_err(|source| SandboxError::DataDir { path: path.clone(), source })?;
        Ok(Self { path, temporary })
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes a [`StartBot`] of an async function.
pub fn bot<F, Fut>(start: F) -> StartBot
where
    F: Fn(BotEnvironment) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    Arc::new(move |environment| Box::pin(start(environment)))
}
