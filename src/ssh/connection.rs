//! One connection to one node: opens it, runs commands on it and ends it.
//!
//! Knows nothing of readings.

use std::{
    borrow::Cow,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use russh::{
    Channel, ChannelMsg, ChannelOpenFailure, client, kex,
    keys::{PrivateKey, PublicKey, PublicKeyOrCertificate},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::{
    Phase, Settings, SshFailure, auth,
    host_keys::{Known, Trust, fingerprint},
    settings::Target,
};
use crate::{
    model::{
        Quote,
        ssh::{HandshakeFlaw, HostKeyDoubt, LoginWay, SessionRefusal},
    },
    threads::Threads,
};

/// How many keepalives without an answer end a connection.
const KEEPALIVES_MAX: usize = 3;

/// The longest answer, standard output and standard error together.
///
/// A node with a thousand VMs answers with about 500 KiB. Anything longer is not a reading.
pub(super) const OUTPUT_MAX_BYTES: usize = 1024 * 1024;

/// Elliptic curves first: they cost a millisecond of CPU. A large fixed group costs tens of them, and a group that the
/// server chooses (group exchange) up to seconds, and a round has hundreds of nodes.
const KEY_EXCHANGES: [kex::Name; 13] = [
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G14_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_GEX_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// How many handshakes of all monitors may compute at the same time, so that a round of hundreds of nodes leaves CPU
/// to the chat.
static HANDSHAKES: Semaphore = Semaphore::const_new(16);

/// A handshake gives up its place after this time. By then it waits for the node, and a silent node must not delay
/// the others.
const HANDSHAKE_PLACE_MAX: Duration = Duration::from_millis(250);

/// An open, authenticated connection. Dropping it ends it, whatever is going on.
pub(super) struct Connection {
    handle: client::Handle<Gate>,
    pub target: Target,
    pub host_key: PublicKey,
    /// How the login went through.
    pub login: LoginWay,
    _cut: DropGuard,
}

/// The moment at which a step times out, and how long it was given, for the failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub at: Instant,
    pub patience: Duration,
}

impl Deadline {
    pub(super) fn after(patience: Duration) -> Self {
        Self { at: Instant::now() + patience, patience }
    }

    /// The earlier of this one and one that begins at this moment.
    pub(super) fn or_after(self, patience: Duration) -> Self {
        let other = Self::after(patience);
        if other.at < self.at { other } else { self }
    }

    /// Waits for `step`, no longer than the deadline.
    pub(super) async fn bound<T>(self, phase: Phase, step: impl Future<Output = T>) -> Result<T, SshFailure> {
        let late = SshFailure::Timeout { phase, after: self.patience };
        timeout_at(self.at, step).await.map_err(|_| late)
    }
}

/// What a server showed of itself, kept outside russh's errors, which do not tell why a key was refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Option<SeenKey>>>);

#[derive(Clone, Debug)]
pub(super) struct SeenKey {
    pub key: PublicKey,
    pub known: Known,
    refused: Option<SshFailure>,
}

impl Seen {
    pub(super) fn get(&self) -> Option<SeenKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, seen: SeenKey) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}

impl Connection {
    /// Connects, checks the host key and logs in.
    ///
    /// # Errors
    ///
    /// Says which of these failed; `seen` holds the host key if it came that far.
    pub(super) async fn open(
        target: &Target,
        settings: &Settings,
        key: Option<&Arc<PrivateKey>>,
        trust: &Arc<Trust>,
        seen: &Seen,
        (deadline, threads): (Deadline, &Threads),
    ) -> Result<Self, SshFailure> {
        let stream = connect(target, deadline).await?;
        let token = CancellationToken::new();
        let cut = token.clone().drop_guard();
        let stream = Cuttable { stream, cut: Box::pin(token.cancelled_owned()) };
        let gate = Gate { target: target.clone(), trust: Arc::clone(trust), seen: seen.clone() };
        let handshake = client::connect_stream(Arc::new(config(target, settings, trust)), stream, gate);
        // If this is given up, the stream is cut, and with it the handshake ends.
        let handshake = in_turn(threads.run(handshake));
        let mut handle = match deadline.bound(Phase::Handshake, handshake).await? {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => return Err(handshake_failure(target, seen, &error)),
            Err(_) => return Err(connection_lost()),
        };
        let login = deadline.bound(Phase::Auth, auth::log_in(&mut handle, settings, key)).await??;
        let Some(SeenKey { key: host_key, .. }) = seen.get() else {
            let why = HandshakeFlaw::NoHostKey;
            return Err(SshFailure::Handshake { host: target.to_string(), why });
        };
        Ok(Self { handle, target: target.clone(), host_key, login, _cut: cut })
    }

    /// Tells whether the other side is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Runs one command and returns what it wrote to standard output.
    ///
    /// # Errors
    ///
    /// Everything but a status of zero after a whole answer.
    pub(super) async fn run(&self, command: &str, deadline: Deadline) -> Result<String, SshFailure> {
        deadline.bound(Phase::Command, async { answer(self.session().await?, command).await }).await?
    }

    /// As [`Self::run`], on a connection that may be dead without our knowing: one that opens no session within
    /// `alive` counts as dropped. A server opens it at once, however long the command then takes.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub(super) async fn run_if_alive(
        &self,
        command: &str,
        alive: Deadline,
        deadline: Deadline,
    ) -> Result<String, SshFailure> {
        let session = alive.bound(Phase::Command, self.session()).await.map_err(|_| connection_lost())??;
        deadline.bound(Phase::Command, answer(session, command)).await?
    }

    async fn session(&self) -> Result<Channel<client::Msg>, SshFailure> {
        self.handle.channel_open_session().await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(why) => SshFailure::SessionRefused(session_refusal(why)),
            _ => connection_lost(),
        })
    }
}

/// Runs the command in the session and reads its whole output.
async fn answer(mut session: Channel<client::Msg>, command: &str) -> Result<String, SshFailure> {
    session.exec(true, command).await.map_err(|_| connection_lost())?;
    let mut heard = Heard::default();
    // Output may follow the exit status, so this reads to the end.
    while let Some(message) = session.wait().await {
        heard.hear(message)?;
    }
    heard.result()
}

fn connection_lost() -> SshFailure {
    SshFailure::Dropped { phase: Phase::Command }
}

/// The output of a command so far.
#[derive(Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: Option<u32>,
    signal: Option<String>,
}

impl Heard {
    fn hear(&mut self, message: ChannelMsg) -> Result<(), SshFailure> {
        match message {
            ChannelMsg::Data { data } => self.stdout.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, .. } => self.stderr.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => self.status = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => self.signal = Some(format!("{signal_name:?}")),
            ChannelMsg::Failure => {
                return Err(SshFailure::SessionRefused(SessionRefusal::Command));
            }
            _ => {}
        }
        if self.stdout.len() + self.stderr.len() > OUTPUT_MAX_BYTES {
            return Err(SshFailure::TooMuchOutput { limit_bytes: OUTPUT_MAX_BYTES });
        }
        Ok(())
    }

    fn result(self) -> Result<String, SshFailure> {
        let said = Quote::of(&String::from_utf8_lossy(&self.stderr));
        match (self.status, self.signal) {
            (_, Some(signal)) => Err(SshFailure::Killed { signal, said }),
            (Some(0), None) => Ok(String::from_utf8_lossy(&self.stdout).into_owned()),
            (Some(code), None) => Err(SshFailure::ExitStatus { code, said }),
            (None, None) => Err(connection_lost()),
        }
    }
}

/// OpenSSH answers `ConnectFailed` when `MaxSessions` are open.
fn session_refusal(why: ChannelOpenFailure) -> SessionRefusal {
    match why {
        ChannelOpenFailure::AdministrativelyProhibited => SessionRefusal::Prohibited,
        ChannelOpenFailure::ConnectFailed => SessionRefusal::TooMany,
        ChannelOpenFailure::UnknownChannelType => SessionRefusal::Unknown,
        ChannelOpenFailure::ResourceShortage => SessionRefusal::Shortage,
        _ => SessionRefusal::Unexplained,
    }
}

async fn connect(target: &Target, deadline: Deadline) -> Result<TcpStream, SshFailure> {
    let opening = TcpStream::connect((target.host.as_str(), target.port));
    let stream = deadline.bound(Phase::Connect, opening).await?.map_err(|error| {
        let host = target.to_string();
        match error.kind() {
            io::ErrorKind::ConnectionRefused => SshFailure::Refused { host },
            _ => SshFailure::Unreachable { host, said: error.to_string().into() },
        }
    })?;
    // If this fails, the connection is only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// There is no inactivity timeout: before the login the deadline ends a dead connection, afterwards keepalives do.
fn config(target: &Target, settings: &Settings, trust: &Trust) -> client::Config {
    let mut config = client::Config {
        keepalive_interval: Some(settings.keepalive),
        keepalive_max: KEEPALIVES_MAX,
        ..client::Config::default()
    };
    config.preferred.kex = Cow::Borrowed(&KEY_EXCHANGES);
    config.preferred.key = trust.order_of_kinds(target, &config.preferred.key).into();
    config
}

/// Carries a handshake out when there is a place for it.
async fn in_turn<T>(handshake: impl Future<Output = T>) -> T {
    let place = HANDSHAKES.acquire().await;
    let mut handshake = pin!(handshake);
    match timeout(HANDSHAKE_PLACE_MAX, &mut handshake).await {
        Ok(done) => done,
        Err(_) => {
            drop(place);
            handshake.await
        }
    }
}

fn handshake_failure(target: &Target, seen: &Seen, error: &russh::Error) -> SshFailure {
    if let Some(refused) = seen.get().and_then(|seen| seen.refused) {
        return refused;
    }
    match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_) | russh::Error::RecvError => {
            SshFailure::Dropped { phase: Phase::Handshake }
        }
        other => {
            let why = HandshakeFlaw::Said(other.to_string().into());
            SshFailure::Handshake { host: target.to_string(), why }
        }
    }
}

/// Asks [`Trust`] about the host key before anything is sent.
pub(super) struct Gate {
    target: Target,
    trust: Arc<Trust>,
    seen: Seen,
}

impl client::Handler for Gate {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let key = shown.public_key();
        if let Some(before) = self.seen.get() {
            // In a later key exchange on the same connection the key must be the same.
            return Ok(before.refused.is_none() && before.key.key_data() == key.key_data());
        }
        let known = self.trust.verdict(&self.target, &key);
        let (trust, target, asked) = (Arc::clone(&self.trust), self.target.clone(), key.clone());
        // This may write a file, so it runs on a blocking thread.
        let judged = tokio::task::spawn_blocking(move || trust.judge(&target, &asked)).await;
        let refused = match judged {
            Ok(judged) => judged.err(),
            Err(error) => {
                Some(SshFailure::HostKeyUnchecked(HostKeyDoubt::Panicked(error.to_string().into())))
            }
        };
        let accepted = refused.is_none();
        tracing::debug!(host = %self.target, key = fingerprint(&key), accepted, "host key");
        self.seen.set(SeenKey { key, known, refused });
        Ok(accepted)
    }
}

/// A stream that can be ended from outside.
///
/// russh runs each session in a task of its own. That task outlives a handshake that was given up, and would wait
/// forever for a silent server.
struct Cuttable {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Cuttable {
    /// Called in every poll, so that the token wakes the task that waits for the stream.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(cx).is_ready() {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        // A connection must end even if the other side does not read.
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elliptic_curves_come_before_groups_and_group_exchange_is_last() {
        let place = |name: kex::Name| KEY_EXCHANGES.iter().position(|known| *known == name).unwrap();
        let curves = [kex::CURVE25519, kex::ECDH_SHA2_NISTP256, kex::ECDH_SHA2_NISTP521].map(place);
        let groups = [kex::DH_G14_SHA256, kex::DH_G16_SHA512, kex::DH_G18_SHA512].map(place);
        assert!(curves.iter().max() < groups.iter().min());
        assert!(groups.iter().all(|group| *group < place(kex::DH_GEX_SHA256)));
    }

    #[tokio::test]
    async fn handshakes_take_turns_and_silent_nodes_delay_the_others_for_a_moment_only() {
        let began = Instant::now();
        let silent: Vec<_> = (0..16).map(|_| tokio::spawn(in_turn(std::future::pending::<()>()))).collect();
        tokio::task::yield_now().await;
        in_turn(async {}).await;
        let waited = began.elapsed();
        assert!(waited >= HANDSHAKE_PLACE_MAX && waited < 40 * HANDSHAKE_PLACE_MAX, "{waited:?}");
        silent.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
