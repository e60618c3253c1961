//! Logging in: key, agent, password, keyboard-interactive, as far as the server offers them.

use std::{collections::BTreeSet, future::Future, io, sync::Arc, time::Duration};

use russh::{
    AgentAuthError, MethodKind, MethodSet, Signer,
    client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Answer},
    keys::{
        Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey,
        agent::{AgentIdentity, client::AgentClient},
    },
};
use secrecy::ExposeSecret;
use tokio::{net::UnixStream, time::timeout};

use super::{Phase, Settings, SshFailure, connection::Gate};
use crate::model::ssh::{AgentFlaw, LoginWay, Tried};

/// OpenSSH's `MaxAuthTries`: after this many failures the server hangs up, and nothing else can be tried.
const TRIES_MAX: usize = 6;

/// How many questions a server may ask during one keyboard-interactive login. Usual are one and then an empty one.
const QUESTIONS_MAX: usize = 4;

/// How long an agent may take. It may hang, or ask a person; then other ways to log in are tried.
const AGENT_PATIENCE: Duration = Duration::from_secs(2);

/// With a short timeout the agent gets no more than this part of it.
const AGENT_PART: u32 = 4;

/// Logs in and says how.
///
/// # Errors
///
/// What was tried and what the server offers; or that the connection was lost.
pub(super) async fn log_in(
    handle: &mut Handle<Gate>,
    settings: &Settings,
    key: Option<&Arc<PrivateKey>>,
) -> Result<LoginWay, SshFailure> {
    let mut login = Login { handle, settings, tried: Vec::new(), offered: Vec::new(), is_over: false };
    // This does not count as a try, and its answer lists what the server offers.
    let first = login.handle.authenticate_none(&settings.username).await;
    if login.heard(first)? {
        return Ok(LoginWay::Open);
    }
    let mut agent = Agent::before_any_attempt(settings);
    let mut ways = ways(settings, key);
    while let Some(next) = ways.iter().position(|way| login.is_offered(way.method())) {
        if login.tried.len() >= TRIES_MAX {
            login.tried.push(Tried::TriesUsedUp { tries: TRIES_MAX });
            break;
        }
        let way = match ways.remove(next) {
            Next::AskAgent => {
                let left = TRIES_MAX.saturating_sub(login.tried.len() + ways.len());
                let keys = agent.keys(settings, key).await.into_iter().take(left);
                ways.splice(next..next, keys.map(|key| Next::Try(Way::Agent(key))));
                continue;
            }
            Next::Try(way) => way,
        };
        let name = way.name();
        login.tried.push(Tried::Way(name.clone()));
        if login.by(way, &mut agent).await? {
            return Ok(name);
        }
        if agent.client.is_none() {
            ways.retain(|next| !matches!(next, Next::Try(Way::Agent(_))));
        }
    }
    login.tried.extend(agent.trouble);
    let offered = login.offered.iter().map(ToString::to_string).collect();
    Err(SshFailure::Auth { username: settings.username.clone(), tried: login.tried, offered })
}

/// What comes next.
enum Next {
    /// The agent is asked for its keys only where they are needed. This is no try yet.
    AskAgent,
    Try(Way),
}

impl Next {
    fn method(&self) -> &'static str {
        match self {
            Self::AskAgent => <&str>::from(&MethodKind::PublicKey),
            Self::Try(way) => way.name().method(),
        }
    }
}

/// One way to log in, with what it takes.
enum Way {
    Key(Arc<PrivateKey>),
    Agent(PublicKey),
    Password,
    Keyboard,
}

impl Way {
    fn name(&self) -> LoginWay {
        match self {
            Self::Key(key) => LoginWay::Key { fingerprint: key.fingerprint(HashAlg::Sha256).to_string() },
            Self::Agent(key) => {
                LoginWay::AgentKey { fingerprint: key.fingerprint(HashAlg::Sha256).to_string() }
            }
            Self::Password => LoginWay::Password,
            Self::Keyboard => LoginWay::KeyboardInteractive,
        }
    }
}

/// In the order they are tried; the agent's keys get the tries that the others leave.
fn ways(settings: &Settings, key: Option<&Arc<PrivateKey>>) -> Vec<Next> {
    let mut ways: Vec<Next> = key.map(|key| Next::Try(Way::Key(Arc::clone(key)))).into_iter().collect();
    ways.extend(settings.agent.is_some().then_some(Next::AskAgent));
    if settings.password.is_some() {
        ways.extend([Way::Password, Way::Keyboard].map(Next::Try));
    }
    ways
}

struct Login<'a> {
    handle: &'a mut Handle<Gate>,
    settings: &'a Settings,
    tried: Vec<Tried>,
    /// What the server offered last.
    offered: Vec<&'static str>,
    /// The server accepts no further try.
    is_over: bool,
}

impl Login<'_> {
    fn is_offered(&self, method: &str) -> bool {
        !self.is_over && self.offered.contains(&method)
    }

    async fn by(&mut self, way: Way, agent: &mut Agent) -> Result<bool, SshFailure> {
        match way {
            Way::Key(key) => {
                let hash = self.hash_for(&key.algorithm()).await?;
                let key = PrivateKeyWithHashAlg::new(key, hash);
                let said = self.handle.authenticate_publickey(&self.settings.username, key).await;
                self.heard(said)
            }
            Way::Agent(key) => self.by_agent(key, agent).await,
            Way::Password => {
                let Some(password) = &self.settings.password else { return Ok(false) };
                let password = password.expose_secret();
                let said = self.handle.authenticate_password(&self.settings.username, password).await;
                self.heard(said)
            }
            Way::Keyboard => self.by_keyboard().await,
        }
    }

    async fn by_agent(&mut self, key: PublicKey, agent: &mut Agent) -> Result<bool, SshFailure> {
        let hash = self.hash_for(&key.algorithm()).await?;
        let username = &self.settings.username;
        match self.handle.authenticate_publickey_with(username, key, hash, agent).await {
            Ok(said) => self.heard(Ok(said)),
            Err(error) if !self.handle.is_closed() => {
                agent.trouble = Some(Tried::NotSigned(match error {
                    AgentAuthError::Key(error) => agent_flaw(&error),
                    AgentAuthError::Send(error) => AgentFlaw::Said(error.to_string().into()),
                }));
                Ok(false)
            }
            Err(_) => Err(connection_lost()),
        }
    }

    /// Answers one question, for the password. A program cannot give a second factor.
    async fn by_keyboard(&mut self) -> Result<bool, SshFailure> {
        let username = self.settings.username.clone();
        let mut said = self.handle.authenticate_keyboard_interactive_start(username, None).await;
        let mut password = self.settings.password.as_ref();
        for _ in 0..QUESTIONS_MAX {
            match said.map_err(|_| connection_lost())? {
                Answer::Success => return Ok(true),
                Answer::Failure { remaining_methods, partial_success } => {
                    return self.heard(Ok(AuthResult::Failure { remaining_methods, partial_success }));
                }
                Answer::InfoRequest { prompts, .. } => {
                    let answers = match prompts.as_slice() {
                        [] => Vec::new(),
                        [prompt] if !prompt.echo && password.is_some() => {
                            password.take().map(|p| p.expose_secret().to_owned()).into_iter().collect()
                        }
                        other => {
                            self.tried.push(Tried::MoreThanPassword { answers: other.len() });
                            return Ok(false);
                        }
                    };
                    said = self.handle.authenticate_keyboard_interactive_respond(answers).await;
                }
            }
        }
        Ok(false)
    }

    /// Chooses the best hash that the server accepts for an RSA key, and SHA-256 where the server does not say.
    async fn hash_for(&self, algorithm: &Algorithm) -> Result<Option<HashAlg>, SshFailure> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        let best = self.handle.best_supported_rsa_hash().await.map_err(|_| connection_lost())?;
        Ok(best.unwrap_or(Some(HashAlg::Sha256)))
    }

    /// Notes what the server answered. Returns true for success.
    fn heard(&mut self, said: Result<AuthResult, russh::Error>) -> Result<bool, SshFailure> {
        match said.map_err(|_| connection_lost())? {
            AuthResult::Success => Ok(true),
            // russh reports a lost connection as a failure that offers nothing. After a try it is an answer
            // too: servers hang up on those who fail too often.
            AuthResult::Failure { remaining_methods, .. } if remaining_methods.is_empty() => {
                self.is_over = true;
                if self.tried.is_empty() { Err(connection_lost()) } else { Ok(false) }
            }
            AuthResult::Failure { remaining_methods, .. } => {
                self.offered = names(&remaining_methods);
                Ok(false)
            }
        }
    }
}

/// The agent, or why it cannot be asked.
struct Agent {
    client: Option<AgentClient<UnixStream>>,
    trouble: Option<Tried>,
    patience: Duration,
}

impl Agent {
    fn before_any_attempt(settings: &Settings) -> Self {
        let patience = AGENT_PATIENCE.min(settings.timeout / AGENT_PART);
        Self { client: None, trouble: None, patience }
    }

    /// Asks for the keys that are not `key`, which was tried already.
    async fn keys(&mut self, settings: &Settings, key: Option<&Arc<PrivateKey>>) -> Vec<PublicKey> {
        let Some(socket) = &settings.agent else { return Vec::new() };
        let asked = self.bound(async {
            let mut client = AgentClient::connect_uds(socket).await?;
            let identities = client.request_identities().await?;
            Ok((client, identities))
        });
        match asked.await {
            Ok((client, identities)) => {
                self.client = Some(client);
                let own = key.map(|key| key.public_key().key_data().clone());
                let mut once: BTreeSet<_> = own.into_iter().collect();
                let keys = identities.iter().filter_map(plain_key);
                keys.filter(|key| once.insert(key.key_data().clone())).collect()
            }
            Err(error) => {
                let why = agent_flaw(&error);
                self.trouble = Some(Tried::AgentUnreachable { socket: socket.clone(), why });
                Vec::new()
            }
        }
    }

    async fn bound<T>(
        &self,
        step: impl Future<Output = Result<T, russh::keys::Error>>,
    ) -> Result<T, russh::keys::Error> {
        let silent = |_| Err(io::Error::from(io::ErrorKind::TimedOut).into());
        timeout(self.patience, step).await.unwrap_or_else(silent)
    }
}

impl Signer for Agent {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        what: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        let mut client = self.client.take().ok_or_else(|| russh::keys::Error::from(gone()))?;
        let signed = self.bound(client.sign_request(key, hash, what)).await;
        // After a refused key the others may still work. After silence, a late answer could be taken for the next one.
        self.client = (!matches!(signed, Err(russh::keys::Error::IO(_)))).then_some(client);
        Ok(signed?)
    }
}

fn agent_flaw(error: &russh::keys::Error) -> AgentFlaw {
    match error {
        russh::keys::Error::IO(error) if error.kind() == io::ErrorKind::TimedOut => AgentFlaw::Silent,
        other => AgentFlaw::Said(other.to_string().into()),
    }
}

fn plain_key(identity: &AgentIdentity) -> Option<PublicKey> {
    match identity {
        AgentIdentity::PublicKey { key, .. } => Some(key.clone()),
        _ => None,
    }
}

fn names(methods: &MethodSet) -> Vec<&'static str> {
    methods.iter().map(<&'static str>::from).collect()
}

fn connection_lost() -> SshFailure {
    SshFailure::Dropped { phase: Phase::Auth }
}
