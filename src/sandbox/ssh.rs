//! A simulated node: an SSH server that answers the reading command from a given state, or with a fault.
//!
//! Knows the model only. Its answers are written after what a Linux node prints, without the parser's code,
//! so that both must agree.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use russh::{
    Channel, ChannelId, ChannelOpenFailure, Disconnect, MethodKind, MethodSet, Preferred, kex,
    keys::{Algorithm, HashAlg, PrivateKey, PublicKey, key::safe_rng, ssh_key::public::KeyData},
    server::{self, Auth, ChannelOpenHandle, Config, Msg, Response, Session, VerifiedPublicKey},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::model::Mib;

/// Ticks per second of the simulated kernel, as every Linux on x86 has it.
const TICKS_PER_SECOND: f64 = 100.0;

/// How much simulated time passes between two commands, in seconds.
///
/// The simulation reads no clock: each command finds the node a minute older.
const SECONDS_BETWEEN_COMMANDS: f64 = 60.0;

/// When the first VMs were started, in seconds after the node.
const VM_STARTED: f64 = 100.0;

/// The process id of the first VM. Ids are not used twice.
const FIRST_PID: u32 = 5001;

/// How many commands are kept for inspection; a sandbox may run for days.
const COMMANDS_KEPT: usize = 100;

/// What the node is busy with.
#[derive(Clone, Debug, PartialEq)]
pub struct SimLoad {
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    pub cpus: u32,
    pub memory_total: Mib,
    pub memory_used: Mib,
    /// Percent; `None` for a kernel without pressure stall information.
    pub cpu_pressure: Option<f64>,
    pub memory_pressure: Option<f64>,
    pub io_pressure: Option<f64>,
    pub vms: Vec<SimVm>,
}

/// A VM on the node.
#[derive(Clone, Debug, PartialEq)]
pub struct SimVm {
    /// libvirt's name, e.g. `311_web-1`.
    pub domain: String,
    /// How many cores it keeps busy.
    pub cores: f64,
}

impl Default for SimLoad {
    /// An idle node with 32 CPUs and 256 GiB.
    fn default() -> Self {
        Self {
            load: [0.5, 0.5, 0.5],
            cpus: 32,
            memory_total: Mib(262_144),
            memory_used: Mib(65_536),
            cpu_pressure: Some(0.0),
            memory_pressure: Some(0.0),
            io_pressure: Some(0.0),
            vms: Vec::new(),
        }
    }
}

/// Which credentials are accepted.
#[derive(Clone, Debug)]
pub struct Door {
    pub username: String,
    /// Accepted as password.
    pub password: Option<String>,
    /// Accepted as the answer to a keyboard-interactive question.
    pub keyboard: Option<String>,
    /// Accepted public keys.
    pub keys: Vec<PublicKey>,
    /// Asks for the password too after a key.
    pub both: bool,
    /// How a session's key is agreed on.
    pub exchange: Exchange,
}

/// How a server agrees on a session's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exchange {
    /// As a server of today: whatever the client likes best.
    #[default]
    Any,
    /// A fixed group, and no elliptic curve.
    FixedGroup,
    /// A group that the server chooses, as old FIPS servers do, and nothing else.
    ServersGroup,
}

impl Default for Door {
    /// `monitor` with the password `secret`.
    fn default() -> Self {
        Self {
            username: "monitor".into(),
            password: Some("secret".into()),
            keyboard: None,
            keys: Vec::new(),
            both: false,
            exchange: Exchange::Any,
        }
    }
}

/// How a node misbehaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Accepts the connection and sends nothing.
    HangBeforeBanner,
    /// Sends something that is not SSH.
    NotSsh,
    /// Accepts the login and the command, and never answers.
    HangAfterExec,
    /// Refuses every session, as with `MaxSessions 0`.
    RefuseSession,
    /// Refuses every command.
    RefuseExec,
    /// Sends an endless answer.
    HugeOutput,
    /// Hangs up in the middle of the answer.
    DropMidOutput,
    /// Ends the answer in the middle, with status 0.
    Truncated,
    /// Ends with this status and this text on standard error.
    Exit(u32, String),
    /// Answers with this text and status 0.
    Say(String),
}

/// A simulated node that listens on a port of its own. It ends when it is dropped.
pub struct SimNode {
    address: SocketAddr,
    host_key: PublicKey,
    shared: Arc<Mutex<Shared>>,
    _serving: JoinSet<()>,
}

struct Shared {
    door: Door,
    load: SimLoad,
    fault: Fault,
    /// Seconds since the simulated start.
    uptime: f64,
    /// The node's age at the next command, where a test sets it.
    next_uptime: Option<f64>,
    /// The process of each VM, in the order of `load.vms`.
    processes: Vec<Process>,
    next_pid: u32,
    connections: usize,
    commands: VecDeque<String>,
    open: Vec<server::Handle>,
    /// Connections that are served at this moment.
    served: usize,
    /// Tells each open connection to lose all further bytes.
    lost: Vec<Arc<AtomicBool>>,
    /// Connections that are kept open in silence.
    silent: Vec<TcpStream>,
}

/// A VM's process: it keeps its number as long as the VM is on the node.
#[derive(Clone, Copy, Debug)]
struct Process {
    pid: u32,
    /// Seconds after the node's start.
    started: f64,
    /// Seconds of CPU.
    consumed: f64,
}

impl SimNode {
    /// Starts a node with a fresh ed25519 host key and the default [`Door`].
    ///
    /// # Errors
    ///
    /// When no port of 127.0.0.1 is free.
    pub async fn start(load: SimLoad) -> io::Result<Self> {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(io::Error::other)?;
        Self::start_with(load, Door::default(), vec![key], Fault::None).await
    }

    /// Starts a node with these host keys; the client chooses one.
    ///
    /// # Errors
    ///
    /// When no host key is given or no port of 127.0.0.1 is free.
    pub async fn start_with(
        load: SimLoad,
        door: Door,
        host_keys: Vec<PrivateKey>,
        fault: Fault,
    ) -> io::Result<Self> {
        let first = host_keys.first().ok_or_else(|| io::Error::other("no host key"))?;
        let host_key = first.public_key().clone();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared::new(door, load, fault)));
        let config = Arc::new(config(host_keys, &lock(&shared).door));
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, config, Arc::clone(&shared)));
        Ok(Self { address, host_key, shared, _serving: serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first host key.
    #[must_use]
    pub fn host_key(&self) -> &PublicKey {
        &self.host_key
    }

    /// The line of a known_hosts file that makes this node known.
    #[must_use]
    pub fn known_hosts_line(&self) -> String {
        let key = self.host_key.to_openssh().unwrap_or_default();
        format!("[{}]:{} {key}\n", self.address.ip(), self.address.port())
    }

    /// The SHA-256 fingerprint of the first host key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.host_key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Sets the node's age in seconds at the next command, instead of a minute after the previous one.
    pub fn set_uptime(&self, seconds: f64) {
        lock(&self.shared).next_uptime = Some(seconds);
    }

    /// Changes what the node is busy with; VMs that stay keep their process and the CPU time they have used.
    pub fn set_load(&self, load: SimLoad) {
        lock(&self.shared).set_load(load);
    }

    /// Switches a fault on, or all faults off.
    pub fn set_fault(&self, fault: Fault) {
        lock(&self.shared).fault = fault;
    }

    /// How many TCP connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.shared).connections
    }

    /// The newest commands, oldest first.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        lock(&self.shared).commands.iter().cloned().collect()
    }

    /// How many connections neither side has closed.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        lock(&self.shared).served
    }

    /// Silently loses every byte of the open connections, in both directions, as when a firewall
    /// has forgotten them. Later connections are served.
    pub fn lose_connections(&self) {
        for lost in lock(&self.shared).lost.drain(..) {
            lost.store(true, Ordering::Relaxed);
        }
    }

    /// Closes all connections.
    pub async fn hang_up(&self) {
        let open = std::mem::take(&mut lock(&self.shared).open);
        for handle in open {
            // A client that has disconnected already is left alone.
            let _ = handle.disconnect(Disconnect::ByApplication, "bye".into(), "en".into()).await;
        }
    }
}

impl Shared {
    fn new(door: Door, load: SimLoad, fault: Fault) -> Self {
        let mut shared = Self {
            door,
            load: SimLoad::default(),
            fault,
            uptime: VM_STARTED,
            next_uptime: None,
            processes: Vec::new(),
            next_pid: FIRST_PID,
            connections: 0,
            commands: VecDeque::new(),
            open: Vec::new(),
            served: 0,
            lost: Vec::new(),
            silent: Vec::new(),
        };
        shared.set_load(load);
        shared.uptime = 10_000.0;
        shared
    }

    fn set_load(&mut self, load: SimLoad) {
        let known: BTreeMap<_, _> =
            self.load.vms.iter().map(|vm| vm.domain.clone()).zip(self.processes.iter().copied()).collect();
        self.processes.clear();
        for vm in &load.vms {
            let fresh = Process { pid: self.next_pid, started: self.uptime, consumed: 0.0 };
            let process = known.get(&vm.domain).copied().unwrap_or(fresh);
            self.next_pid = self.next_pid.max(process.pid + 1);
            self.processes.push(process);
        }
        self.load = load;
    }

    fn pass(&mut self, seconds: f64) {
        self.uptime += seconds;
        for (process, vm) in self.processes.iter_mut().zip(&self.load.vms) {
            process.consumed += vm.cores * seconds;
        }
    }

    /// The answer to a reading command, as the shell of a node would write it.
    fn answer(&mut self, command: &str) -> String {
        let passed = self.next_uptime.take().map_or(SECONDS_BETWEEN_COMMANDS, |next| next - self.uptime);
        self.pass(passed);
        let mut text = String::from("@vm-balancer 1\n");
        let SimLoad { load: [one, five, fifteen], cpus, memory_total, memory_used, .. } = self.load.clone();
        let _ = writeln!(text, "@loadavg\n{one:.2} {five:.2} {fifteen:.2} 3/512 4242");
        let _ = writeln!(text, "@cpus\n{cpus}\n@nproc\n{cpus}\n@ticks\n{TICKS_PER_SECOND}\n@meminfo");
        let available = memory_total.saturating_sub(memory_used).0 * 1024;
        let _ = writeln!(text, "MemTotal: {:>14} kB", memory_total.0 * 1024);
        let _ = writeln!(text, "MemAvailable: {available:>10} kB");
        let SimLoad { cpu_pressure, memory_pressure, io_pressure, .. } = self.load;
        for (resource, average) in [("cpu", cpu_pressure), ("memory", memory_pressure), ("io", io_pressure)] {
            let _ = writeln!(text, "@pressure {resource}");
            if let Some(average) = average {
                let _ = writeln!(text, "some avg10=0.00 avg60=0.00 avg300={average:.2} total=1");
            }
        }
        text.push_str("@names\n");
        for (Process { pid, .. }, vm) in self.processes.iter().zip(&self.load.vms) {
            let _ = writeln!(text, "pid {pid}\nname guest={},debug-threads=on", vm.domain);
        }
        self.sample(&mut text);
        if command.contains("sleep 1;") {
            self.pass(1.0);
            self.sample(&mut text);
        }
        text.push_str("@end\n");
        text
    }

    fn sample(&self, text: &mut String) {
        let ticks = |seconds: f64| (seconds * TICKS_PER_SECOND).round();
        let busy: f64 = self.processes.iter().map(|process| process.consumed).sum();
        let _ = writeln!(text, "@sample\n{:.2} 0.00\ncpu  {} 0 0 1 0 0 0 0 0 0", self.uptime, ticks(busy));
        for Process { pid, started, consumed } in &self.processes {
            let (user, started) = (ticks(*consumed), ticks(*started));
            let _ = writeln!(
                text,
                "{pid} (qemu-system-x86) S 1 {pid} {pid} 0 -1 0 0 0 0 0 {user} 0 0 0 20 0 9 0 {started} 1 1"
            );
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config(host_keys: Vec<PrivateKey>, door: &Door) -> Config {
    let mut methods = MethodSet::empty();
    for (offered, method) in [
        (!door.keys.is_empty(), MethodKind::PublicKey),
        (door.password.is_some() && !door.both, MethodKind::Password),
        (door.keyboard.is_some(), MethodKind::KeyboardInteractive),
    ] {
        if offered {
            methods.push(method);
        }
    }
    let mut preferred = Preferred::default();
    match door.exchange {
        Exchange::Any => {}
        Exchange::FixedGroup => preferred.kex = Cow::Borrowed(&[kex::DH_G14_SHA256]),
        Exchange::ServersGroup => preferred.kex = Cow::Borrowed(&[kex::DH_GEX_SHA256]),
    }
    Config {
        methods,
        keys: host_keys,
        preferred,
        // A real server delays failed logins to slow down guessing, which tests do not need.
        auth_rejection_time: std::time::Duration::ZERO,
        nodelay: true,
        ..Config::default()
    }
}

async fn accept(listener: TcpListener, config: Arc<Config>, shared: Arc<Mutex<Shared>>) {
    let mut sessions = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let fault = {
            let mut shared = lock(&shared);
            shared.connections += 1;
            shared.fault.clone()
        };
        match fault {
            Fault::HangBeforeBanner => lock(&shared).silent.push(stream),
            Fault::NotSsh => {
                sessions.spawn(say(stream, "HTTP/1.1 400 Bad Request\r\n\r\n"));
            }
            _ => {
                sessions.spawn(serve(stream, Arc::clone(&config), Arc::clone(&shared)));
            }
        }
        while sessions.try_join_next().is_some() {}
    }
}

async fn say(mut stream: TcpStream, words: &'static str) {
    use tokio::io::AsyncWriteExt;
    // The client may disconnect before the whole answer is sent.
    let _ = stream.write_all(words.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn serve(stream: TcpStream, config: Arc<Config>, shared: Arc<Mutex<Shared>>) {
    let desk = Desk { shared: Arc::clone(&shared), has_key: false };
    let lost = Arc::new(AtomicBool::new(false));
    {
        let mut shared = lock(&shared);
        shared.served += 1;
        shared.lost.push(Arc::clone(&lost));
    }
    if let Ok(session) = server::run_stream(config, Losable { stream, lost }, desk).await {
        lock(&shared).open.push(session.handle());
        // How the connection ended is the client's business.
        let _ = session.await;
    }
    lock(&shared).served -= 1;
}

/// A connection whose bytes may get lost. Its end is always delivered.
struct Losable {
    stream: TcpStream,
    lost: Arc<AtomicBool>,
}

impl AsyncRead for Losable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        loop {
            ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
            if into.filled().len() == before || !self.lost.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            into.set_filled(before);
        }
    }
}

impl AsyncWrite for Losable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        if self.lost.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(from.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// One connection's end at the node.
struct Desk {
    shared: Arc<Mutex<Shared>>,
    has_key: bool,
}

impl Desk {
    fn admit(&self, user: &str, is_right: impl Fn(&Door) -> bool) -> Auth {
        let shared = lock(&self.shared);
        if shared.door.username == user && is_right(&shared.door) { Auth::Accept } else { Auth::reject() }
    }
}

impl server::Handler for Desk {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(self
            .admit(user, |door| door.password.as_deref() == Some(password) && (!door.both || self.has_key)))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let shown: &KeyData = key.public_key.key_data();
        let accepted = self.admit(user, |door| door.keys.iter().any(|key| key.key_data() == shown));
        if accepted == Auth::Accept && lock(&self.shared).door.both {
            self.has_key = true;
            let proceed_with_methods = Some(MethodSet::from(&[MethodKind::Password][..]));
            return Ok(Auth::Reject { proceed_with_methods, partial_success: true });
        }
        Ok(accepted)
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(mut answers) = response else {
            let prompts: &'static [(Cow<'static, str>, bool)] = &[(Cow::Borrowed("Password: "), false)];
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: Cow::Borrowed(prompts),
            });
        };
        let answer = answers.next().unwrap_or_default();
        Ok(self.admit(user, |door| door.keyboard.as_deref().is_some_and(|word| word.as_bytes() == answer)))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let refuses = lock(&self.shared).fault == Fault::RefuseSession;
        if refuses {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
        } else {
            reply.accept().await;
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(command).into_owned();
        let (fault, answer) = {
            let mut shared = lock(&self.shared);
            shared.commands.push_back(command.clone());
            if shared.commands.len() > COMMANDS_KEPT {
                shared.commands.pop_front();
            }
            (shared.fault.clone(), shared.answer(&command))
        };
        if fault == Fault::RefuseExec {
            return session.channel_failure(channel);
        }
        session.channel_success(channel)?;
        let half = answer.get(..answer.len() / 2).unwrap_or_default().to_owned();
        match fault {
            Fault::HangAfterExec => Ok(()),
            Fault::HugeOutput => (0..64).try_for_each(|_| session.data(channel, vec![b'x'; 32 * 1024])),
            Fault::DropMidOutput => {
                session.data(channel, half.into_bytes())?;
                session.disconnect(Disconnect::ByApplication, "bye", "en")
            }
            Fault::Truncated => end(session, channel, half, 0),
            Fault::Say(words) => end(session, channel, words, 0),
            Fault::Exit(status, words) => {
                session.extended_data(channel, 1, words.into_bytes())?;
                end(session, channel, String::new(), status)
            }
            // Only the one command that nodes are asked is understood.
            _ if !command.starts_with("env LC_ALL=C timeout ") || !command.contains("/proc/loadavg") => {
                session.extended_data(channel, 1, "sh: command not found\n".as_bytes().to_vec())?;
                end(session, channel, String::new(), 127)
            }
            _ => end(session, channel, answer, 0),
        }
    }
}

fn end(session: &mut Session, channel: ChannelId, words: String, status: u32) -> Result<(), russh::Error> {
    session.data(channel, words.into_bytes())?;
    session.exit_status_request(channel, status)?;
    session.eof(channel)?;
    session.close(channel)
}
