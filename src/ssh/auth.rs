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

/// OpenSSH's `MaxAuthTries`: after so many failures the server hangs up, and nothing else can be tried.
const TRIES_MAX: usize = 6;

/// How many times a server may ask during one keyboard-interactive login; one is usual, then an empty one.
const QUESTIONS_MAX: usize = 4;

/// An agent that is silent for longer is left: it may hang or ask a person, and there may be other ways in.
const AGENT_PATIENCE: Duration = Duration::from_secs(2);

/// Where all has to be done quickly, the agent gets no more than this part of the time.
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
) -> Result<String, SshFailure> {
    let mut login = Login { handle, settings, tried: Vec::new(), offered: Vec::new(), is_over: false };
    // Costs no try, and tells what the server offers.
    let first = login.handle.authenticate_none(&settings.username).await;
    if login.heard(first)? {
        return Ok("no authentication".into());
    }
    let mut agent = Agent::unasked(settings);
    let mut ways = ways(settings, key);
    while let Some(next) = ways.iter().position(|way| login.is_offered(way.method())) {
        if login.tried.len() >= TRIES_MAX {
            login.tried.push("no more, servers hang up after six tries".into());
            break;
        }
        let way = ways.remove(next);
        if let Way::AskAgent = way {
            let left = TRIES_MAX.saturating_sub(login.tried.len() + ways.len());
            let keys = agent.keys(settings, key).await.into_iter().take(left);
            ways.splice(next..next, keys.map(Way::Agent));
            continue;
        }
        login.tried.push(way.name());
        if login.by(way, &mut agent).await? {
            return Ok(login.tried.pop().unwrap_or_default());
        }
        if agent.client.is_none() {
            ways.retain(|way| !matches!(way, Way::Agent(_)));
        }
    }
    login.tried.extend(agent.trouble);
    let offered = login.offered.iter().map(ToString::to_string).collect();
    Err(SshFailure::Auth { username: settings.username.clone(), tried: login.tried, offered })
}

/// One way to log in.
enum Way {
    Key(Arc<PrivateKey>),
    /// No try yet: the agent is asked for its keys only where they are needed.
    AskAgent,
    Agent(PublicKey),
    Password,
    Keyboard,
}

impl Way {
    fn method(&self) -> MethodKind {
        match self {
            Self::Key(_) | Self::AskAgent | Self::Agent(_) => MethodKind::PublicKey,
            Self::Password => MethodKind::Password,
            Self::Keyboard => MethodKind::KeyboardInteractive,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Key(key) => format!("publickey {}", key.fingerprint(HashAlg::Sha256)),
            Self::AskAgent => "the agent".into(),
            Self::Agent(key) => format!("publickey {} from the agent", key.fingerprint(HashAlg::Sha256)),
            Self::Password => "password".into(),
            Self::Keyboard => "keyboard-interactive".into(),
        }
    }
}

/// In the order they are tried; the agent's keys get the tries that the others leave.
fn ways(settings: &Settings, key: Option<&Arc<PrivateKey>>) -> Vec<Way> {
    let mut ways: Vec<Way> = key.map(|key| Way::Key(Arc::clone(key))).into_iter().collect();
    ways.extend(settings.agent.is_some().then_some(Way::AskAgent));
    if settings.password.is_some() {
        ways.extend([Way::Password, Way::Keyboard]);
    }
    ways
}

struct Login<'a> {
    handle: &'a mut Handle<Gate>,
    settings: &'a Settings,
    tried: Vec<String>,
    /// What the server said last that it would take.
    offered: Vec<&'static str>,
    /// The server takes nothing more.
    is_over: bool,
}

impl Login<'_> {
    fn is_offered(&self, method: MethodKind) -> bool {
        !self.is_over && self.offered.contains(&<&str>::from(&method))
    }

    async fn by(&mut self, way: Way, agent: &mut Agent) -> Result<bool, SshFailure> {
        match way {
            Way::Key(key) => {
                let hash = self.hash_for(&key.algorithm()).await?;
                let key = PrivateKeyWithHashAlg::new(key, hash);
                let said = self.handle.authenticate_publickey(&self.settings.username, key).await;
                self.heard(said)
            }
            Way::AskAgent => Ok(false),
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
                agent.trouble = Some(format!("the agent did not sign: {error}"));
                Ok(false)
            }
            Err(_) => Err(dropped()),
        }
    }

    /// Answers a question for the password and no other: a second factor is nothing a program has.
    async fn by_keyboard(&mut self) -> Result<bool, SshFailure> {
        let username = self.settings.username.clone();
        let mut said = self.handle.authenticate_keyboard_interactive_start(username, None).await;
        let mut password = self.settings.password.as_ref();
        for _ in 0..QUESTIONS_MAX {
            match said.map_err(|_| dropped())? {
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
                            let count = other.len();
                            self.tried
                                .push(format!("the server asks for more than a password ({count} answers)"));
                            return Ok(false);
                        }
                    };
                    said = self.handle.authenticate_keyboard_interactive_respond(answers).await;
                }
            }
        }
        Ok(false)
    }

    /// An RSA key signs with the best hash that the server takes; SHA-2 where it does not say.
    async fn hash_for(&self, algorithm: &Algorithm) -> Result<Option<HashAlg>, SshFailure> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        let best = self.handle.best_supported_rsa_hash().await.map_err(|_| dropped())?;
        Ok(best.unwrap_or(Some(HashAlg::Sha256)))
    }

    /// Takes note of what the server said; true for success.
    fn heard(&mut self, said: Result<AuthResult, russh::Error>) -> Result<bool, SshFailure> {
        match said.map_err(|_| dropped())? {
            AuthResult::Success => Ok(true),
            // russh reports a lost connection as a failure that offers nothing. After a try it is an answer
            // too: servers hang up on those who fail too often.
            AuthResult::Failure { remaining_methods, .. } if remaining_methods.is_empty() => {
                self.is_over = true;
                if self.tried.is_empty() { Err(dropped()) } else { Ok(false) }
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
    trouble: Option<String>,
    patience: Duration,
}

impl Agent {
    fn unasked(settings: &Settings) -> Self {
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
                self.trouble = Some(format!("the agent at {} cannot be asked: {error}", socket.display()));
                Vec::new()
            }
        }
    }

    async fn bound<T>(
        &self,
        step: impl Future<Output = Result<T, russh::keys::Error>>,
    ) -> Result<T, russh::keys::Error> {
        let silent = || {
            let within = humantime::format_duration(self.patience);
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {within}"))
        };
        timeout(self.patience, step).await.unwrap_or_else(|_| Err(silent().into()))
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
        // A key that is refused says nothing of the others; after silence nobody knows what an answer belongs to.
        self.client = (!matches!(signed, Err(russh::keys::Error::IO(_)))).then_some(client);
        Ok(signed?)
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

fn dropped() -> SshFailure {
    SshFailure::Dropped { phase: Phase::Auth }
}
