//! One request after another to one server: login, token, waiting, repeating, and what an answer means.
//!
//! Knows HTTP and sessions, and no single function of the API. Repeats only what is harmless to repeat.

use std::{sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use reqwest::{Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, error::Category, json};
use tokio::{sync::Mutex, time::Instant};

use crate::causes;

use super::{
    error::{ApiError, code},
    settings::{Credentials, Settings, Timing},
    wire,
};

/// A list of 100,000 VMs is about 100 MB; beyond this, something else is being sent.
const BODY_BYTES_MAX: usize = 512 * 1024 * 1024;

const LOGIN: &str = "/auth/v4/public/token";

/// How long the end of a session is waited for: the program's own end waits with it.
const LOG_OUT_MAX: Duration = Duration::from_secs(2);

/// A secret shorter than this would be struck out of every other word.
const SCRUBBED_CHARS_MIN: usize = 4;

/// A question or an order, as data, so that it can be sent again.
pub(super) struct Ask {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Ask {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), query: Vec::new(), body: None }
    }

    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), query: Vec::new(), body: Some(body) }
    }

    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    /// Names the request for people: method and path, no query and no secret.
    pub fn what(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Why an exchange failed, and whether the server may have acted on it all the same.
#[derive(Debug)]
pub(super) struct Failed {
    pub error: ApiError,
    pub effect: Effect,
    session: Session,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The server did not take the request.
    None,
    /// Nobody knows.
    Unknown,
}

/// What a login does with a service that answers 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    WaitedFor,
    /// It is told to whoever asked.
    IsAnAnswer,
}

/// What a failure says of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    Alive,
    Dead,
    /// "No permission" is also what some versions say to an expired token.
    Doubtful,
}

pub(super) struct Transport {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
    pub timing: Timing,
    /// Held during a login, so that many requests that need one wait for the same.
    session: Mutex<Login>,
}

#[derive(Clone)]
struct Token {
    secret: Arc<SecretString>,
    /// Counts logins, to see whether somebody else has already renewed.
    generation: u64,
    since: Instant,
}

#[derive(Default)]
struct Login {
    token: Option<Token>,
    generation: u64,
    refusals: u32,
    /// When the password was refused last, and in which words.
    refused: Option<(Instant, String)>,
}

impl Transport {
    pub fn new(settings: Settings) -> Result<Self, ApiError> {
        let Settings { base_url, path_prefix, credentials, verify_tls, ca_pem, timing } = settings;
        if !base_url.username().is_empty() || base_url.password().is_some() {
            return Err(ApiError::Settings("the address must not hold a user or a password".into()));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("vm-balancer/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timing.connect_timeout)
            .timeout(timing.request_timeout)
            // A redirected POST would become a GET, and a token would travel to another place.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .danger_accept_invalid_certs(!verify_tls);
        if is_loopback(&base_url) {
            builder = builder.no_proxy();
        }
        for certificate in authorities(ca_pem.as_deref())? {
            builder = builder.add_root_certificate(certificate);
        }
        let http = builder
            .build()
            .map_err(|error| ApiError::Settings(causes::behind("the HTTP client cannot be made", &error)))?;
        let base = format!("{}{}", base_url.as_str().trim_end_matches('/'), prefix(&path_prefix));
        Ok(Self { http, base, credentials, timing, session: Mutex::default() })
    }

    /// Asks a question; repeats it after silence, with growing pauses.
    pub async fn read(&self, ask: Ask) -> Result<Vec<u8>, ApiError> {
        let Timing { read_retries, retry_wait, retry_wait_max, .. } = self.timing;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(retry_wait)
            .with_max_delay(retry_wait_max)
            .with_max_times(read_retries)
            .with_jitter();
        (|| self.exchange(&ask))
            .retry(pauses)
            .when(|failed| matches!(failed.error, ApiError::NoAnswer { .. }))
            .notify(|failed, pause| tracing::debug!(error = %failed.error, ?pause, "asking again"))
            .await
            .map_err(|failed| failed.error)
    }

    /// Sends a request with a token, and once more with a new token where the old one was the trouble.
    async fn exchange(&self, ask: &Ask) -> Result<Vec<u8>, Failed> {
        let token = self.token(Busy::WaitedFor).await.map_err(Failed::before_sending)?;
        let failed = match self.patiently(ask, Some(&token)).await {
            Ok(body) => return Ok(body),
            Err(failed) => failed,
        };
        if !self.may_be_the_token(&failed, &token) {
            return Err(failed);
        }
        let token =
            self.token_after(token.generation, Busy::WaitedFor).await.map_err(Failed::before_sending)?;
        self.patiently(ask, Some(&token)).await
    }

    /// Sends a request that changes something: once, and once more only where the old token was the trouble.
    ///
    /// `may_send` is asked at the last moment before each sending, for a login may take a while; `None` where
    /// it said no. A service that answers 503 is not waited for: whoever orders knows whether the order is still
    /// wanted.
    pub async fn order(
        &self,
        ask: &Ask,
        may_send: &(dyn Fn() -> bool + Send + Sync),
    ) -> Option<Result<Vec<u8>, Failed>> {
        let token = match self.token(Busy::IsAnAnswer).await {
            Ok(token) => token,
            Err(error) => return Some(Err(Failed::before_sending(error))),
        };
        if !may_send() {
            return None;
        }
        match self.send(ask, Some(&token)).await {
            Err(failed) if self.may_be_the_token(&failed, &token) => {}
            answered => return Some(answered),
        }
        let token = match self.token_after(token.generation, Busy::IsAnAnswer).await {
            Ok(token) => token,
            Err(error) => return Some(Err(Failed::before_sending(error))),
        };
        if !may_send() {
            return None;
        }
        Some(self.send(ask, Some(&token)).await)
    }

    fn may_be_the_token(&self, failed: &Failed, token: &Token) -> bool {
        match (failed.session, &self.credentials) {
            (_, Credentials::Token(_)) | (Session::Alive, _) => false,
            (Session::Dead, Credentials::Password { .. }) => true,
            (Session::Doubtful, Credentials::Password { .. }) => {
                token.since.elapsed() >= self.timing.fresh_for
            }
        }
    }

    /// Gives up the session, so that it does not stay behind on the server. Waits for it no longer than
    /// [`LOG_OUT_MAX`].
    pub async fn log_out(&self) {
        if tokio::time::timeout(LOG_OUT_MAX, self.close_session()).await.is_err() {
            tracing::debug!("the session was not closed in time and will expire");
        }
    }

    async fn close_session(&self) {
        let token = self.session.lock().await.token.take();
        let (Some(token), Credentials::Password { .. }) = (token, &self.credentials) else { return };
        let path = format!("/auth/v4/token/{}", token.secret.expose_secret());
        let ask = Ask { method: Method::DELETE, path, query: Vec::new(), body: None };
        // The path holds the token: neither the request nor its failure is shown.
        if self.send(&ask, Some(&token)).await.is_err() {
            tracing::debug!("the session could not be closed and will expire");
        }
    }

    async fn token(&self, busy: Busy) -> Result<Token, ApiError> {
        self.token_after(0, busy).await
    }

    /// Returns a token newer than `generation`, logging in where there is none.
    async fn token_after(&self, generation: u64, busy: Busy) -> Result<Token, ApiError> {
        let mut login = self.session.lock().await;
        if let Some(token) = login.token.as_ref().filter(|token| token.generation > generation) {
            return Ok(token.clone());
        }
        let secret = match &self.credentials {
            Credentials::Token(token) => token.clone(),
            Credentials::Password { username, password } => {
                self.log_in(&mut login, username, password, busy).await?
            }
        };
        login.generation += 1;
        let (generation, since) = (login.generation, Instant::now());
        let token = Token { secret: Arc::new(secret), generation, since };
        login.token = Some(token.clone());
        Ok(token)
    }

    async fn log_in(
        &self,
        login: &mut Login,
        username: &str,
        password: &SecretString,
        busy: Busy,
    ) -> Result<SecretString, ApiError> {
        login.token = None;
        self.may_try(login)?;
        let ask = Ask::post(LOGIN, json!({"email": username, "password": password.expose_secret()}));
        let answer = match busy {
            Busy::WaitedFor => self.patiently(&ask, None).await,
            Busy::IsAnAnswer => self.send(&ask, None).await,
        };
        let refusal = match answer.map_err(|failed| failed.error).and_then(|body| self.token_in(&body)) {
            Ok(token) => {
                (login.refusals, login.refused) = (0, None);
                return Ok(token);
            }
            Err(error) if error.is_missing_function() => {
                let why = format!(
                    "there is no {LOGIN}: the server is older than 2024, or the path prefix is wrong"
                );
                return Err(ApiError::NotFound { what: format!("POST {LOGIN}"), code: None, msg: why });
            }
            // An error within a success is some trouble of the service rather than its word on the password.
            Err(ApiError::Refused { status, msg, .. }) => {
                login.refusals += u32::from(status >= 400);
                msg
            }
            Err(
                ApiError::Forbidden { msg, .. }
                | ApiError::NotFound { msg, .. }
                | ApiError::Unauthorized(msg),
            ) => {
                login.refusals += 1;
                msg
            }
            Err(error) => return Err(error),
        };
        login.refused = Some((Instant::now(), refusal.clone()));
        Err(ApiError::Unauthorized(refusal))
    }

    /// Refuses to try a refused password too soon or too often: accounts may be locked.
    fn may_try(&self, login: &Login) -> Result<(), ApiError> {
        let Some((at, words)) = &login.refused else { return Ok(()) };
        let Timing { login_refusals_max, login_pause, login_long_pause, .. } = self.timing;
        let pause = if login.refusals >= login_refusals_max { login_long_pause } else { login_pause };
        let left = pause.saturating_sub(at.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        Err(ApiError::Unauthorized(format!("{words} (tried again in {} s)", left.as_secs().max(1))))
    }

    fn token_in(&self, body: &[u8]) -> Result<SecretString, ApiError> {
        match wire::login(body) {
            Ok((Some(token), true)) => Ok(token.into()),
            Ok((Some(_), false)) => Err(ApiError::Unauthorized(
                "the login is not confirmed: the account needs a further step; use an account without one"
                    .into(),
            )),
            Ok((None, _)) => Err(ApiError::Unauthorized("the login was answered without a token".into())),
            Err(error) => Err(ApiError::Unreadable {
                what: format!("POST {LOGIN}"),
                detail: Self::unreadable(&error, body),
            }),
        }
    }

    /// Sends a request, again and again while the service says 503: it then was not taken.
    async fn patiently(&self, ask: &Ask, token: Option<&Token>) -> Result<Vec<u8>, Failed> {
        let mut patience = self.timing.patience();
        loop {
            let failed = match self.send(ask, token).await {
                Err(failed) if matches!(failed.error, ApiError::Unavailable { .. }) => failed,
                other => return other,
            };
            let Some(pause) = patience.next_pause() else {
                let error = ApiError::Unavailable { what: ask.what(), waited: patience.waited() };
                return Err(Failed { error, ..failed });
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a request once and says what became of it.
    async fn send(&self, ask: &Ask, token: Option<&Token>) -> Result<Vec<u8>, Failed> {
        let began = Instant::now();
        let response = match self.request(ask, token).send().await {
            Ok(response) => response,
            Err(error) => return Err(self.silent(ask, &error)),
        };
        let status = response.status();
        let body = match whole_body(response).await {
            Ok(body) => body,
            Err(BodyError::TooLong) => return Err(Failed::too_long(ask)),
            // The body broke off: what the status said stands, except that a success cannot be read.
            Err(BodyError::Broken(error)) if status.is_success() => return Err(self.silent(ask, &error)),
            Err(BodyError::Broken(_)) => Vec::new(),
        };
        // No path: that of a logout holds the token.
        tracing::trace!(method = %ask.method, status = status.as_u16(), took_ms = took_ms(began), "vmmanager answered");
        self.judged(ask, status, body, token)
    }

    fn request(&self, ask: &Ask, token: Option<&Token>) -> reqwest::RequestBuilder {
        let mut url = format!("{}{}", self.base, ask.path);
        if !ask.query.is_empty() {
            url.push('?');
            url.push_str(&encoded(&ask.query));
        }
        let mut request =
            self.http.request(ask.method.clone(), url).header(header::ACCEPT, "application/json");
        if let Some(token) = token {
            let secret = token.secret.expose_secret();
            request = request.header("x-xsrf-token", sensitive(secret));
            request = request.header(header::COOKIE, sensitive(&format!("ses6={secret}")));
        }
        match &ask.body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    fn judged(
        &self,
        ask: &Ask,
        status: StatusCode,
        body: Vec<u8>,
        token: Option<&Token>,
    ) -> Result<Vec<u8>, Failed> {
        let what = ask.what();
        let waited = Duration::ZERO;
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            return Err(Failed::refused(ApiError::Unavailable { what, waited }));
        }
        let said = wire::error(&body);
        if status.is_success() && said.is_none() {
            return Ok(body);
        }
        let number = said.as_ref().and_then(|said| said.code);
        let msg = match said {
            // A gateway may echo the request, password and all: of a failed login only the numbers are quoted.
            _ if ask.path == LOGIN => String::new(),
            Some(said) => without_addresses(&self.scrubbed(said.msg, token)),
            None => format!("http status {status} with {}", shape(&body)),
        };
        let msg = match (msg.is_empty(), number) {
            (false, _) => msg,
            (true, Some(number)) => format!("http status {status}, code {number}"),
            (true, None) => format!("http status {status}"),
        };
        // The status comes before the code in the body. After a 5xx nobody knows how far the request came, and 408
        // is mostly a proxy's word.
        let effect = match status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            true => Effect::Unknown,
            false => Effect::None,
        };
        if effect == Effect::Unknown && status != StatusCode::NOT_IMPLEMENTED {
            let error = ApiError::NoAnswer {
                what,
                status: Some(status.as_u16()),
                detail: format!("{status}: {msg}"),
            };
            return Err(Failed { error, effect, session: Session::Alive });
        }
        let names = |code| status.is_client_error() && number == Some(code);
        if status == StatusCode::UNAUTHORIZED || names(code::DEAD_TOKEN) {
            return Err(Failed { session: Session::Dead, ..Failed::refused(ApiError::Unauthorized(msg)) });
        }
        if status == StatusCode::FORBIDDEN || names(code::UNAUTHORIZED) {
            let error = ApiError::Forbidden { what, msg };
            return Err(Failed { session: Session::Doubtful, ..Failed::refused(error) });
        }
        let missing = matches!(number, Some(code::NO_FUNCTION | code::NO_INSTANCE));
        if status == StatusCode::NOT_FOUND || missing {
            let error = ApiError::NotFound { what, code: number, msg };
            return Err(Failed { effect, ..Failed::refused(error) });
        }
        let error = ApiError::Refused { what, status: status.as_u16(), code: number, msg };
        Err(Failed { effect, ..Failed::refused(error) })
    }

    fn silent(&self, ask: &Ask, error: &reqwest::Error) -> Failed {
        // Without a connection nothing was sent.
        let effect = if error.is_connect() || error.is_builder() { Effect::None } else { Effect::Unknown };
        // The error's own words hold the address.
        let words = if error.is_timeout() { "timed out" } else { "connection failed" };
        let detail = causes::behind(words, error);
        let error = ApiError::NoAnswer { what: ask.what(), status: None, detail };
        Failed { error, effect, session: Session::Alive }
    }

    /// Says why a body cannot be read: by its shape and by where reading ended, never by what it holds, which may be
    /// a client's data.
    pub fn unreadable(error: &serde_json::Error, body: &[u8]) -> String {
        let problem = match error.classify() {
            Category::Io | Category::Eof => "it ends too early",
            Category::Syntax => "it is not JSON",
            Category::Data => "it has an unexpected shape",
        };
        format!("{problem} at line {} column {}: {}", error.line(), error.column(), shape(body))
    }

    /// Strikes our own secrets out of a server's words.
    fn scrubbed(&self, mut text: String, token: Option<&Token>) -> String {
        let own = match &self.credentials {
            Credentials::Password { password, .. } => password,
            Credentials::Token(token) => token,
        };
        for secret in [Some(own), token.map(|token| &*token.secret)].into_iter().flatten() {
            let secret = secret.expose_secret();
            if secret.chars().count() >= SCRUBBED_CHARS_MIN {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

impl Failed {
    fn refused(error: ApiError) -> Self {
        Self { error, effect: Effect::None, session: Session::Alive }
    }

    fn before_sending(error: ApiError) -> Self {
        Self { error, effect: Effect::None, session: Session::Alive }
    }

    fn too_long(ask: &Ask) -> Self {
        let detail = format!("it is longer than {BODY_BYTES_MAX} bytes");
        let error = ApiError::Unreadable { what: ask.what(), detail };
        Self { error, effect: Effect::Unknown, session: Session::Alive }
    }
}

fn authorities(pem: Option<&[u8]>) -> Result<Vec<reqwest::Certificate>, ApiError> {
    let Some(pem) = pem else { return Ok(Vec::new()) };
    match reqwest::Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(ApiError::Settings("the file of the private authority holds no PEM certificate".into())),
        Err(error) => Err(ApiError::Settings(causes::behind("the private authority cannot be read", &error))),
    }
}

enum BodyError {
    TooLong,
    Broken(reqwest::Error),
}

async fn whole_body(mut response: reqwest::Response) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Encodes a query once, with `%20` for a space: a `+` would have to be understood as one.
fn encoded(query: &[(&'static str, String)]) -> String {
    let mut serializer = url::form_urlencoded::Serializer::new(String::new());
    serializer.extend_pairs(query);
    serializer.finish().replace('+', "%20")
}

fn sensitive(value: &str) -> header::HeaderValue {
    // A token that is no header value can only be refused; it is not worth a panic or an error of its own.
    let mut value = header::HeaderValue::from_str(value).unwrap_or(header::HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn prefix(path_prefix: &str) -> String {
    match path_prefix.trim_matches('/') {
        "" => String::new(),
        prefix => format!("/{prefix}"),
    }
}

/// Tells whether an address never leaves the machine.
#[must_use]
pub fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => std::net::IpAddr::from(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// Describes a body without quoting it: enough to see whose answer it is.
fn shape(body: &[u8]) -> String {
    let kind = match body.trim_ascii_start().first() {
        None => return "an empty body".into(),
        Some(b'{') => "a JSON object",
        Some(b'[') => "a JSON list",
        Some(b'<') => "a page of HTML or XML",
        Some(_) => "a text",
    };
    format!("{kind} of {} bytes", body.len())
}

/// Strikes out e-mail addresses, which are the clients' of an account as a rule.
fn without_addresses(text: &str) -> String {
    let hidden = |word: &str| match word.contains('@') {
        true => "***".to_owned(),
        false => word.to_owned(),
    };
    text.split(' ').map(hidden).collect::<Vec<_>>().join(" ")
}

fn took_ms(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_described_and_never_quoted() {
        let described = |body: &str| {
            let error = serde_json::from_str::<u64>(body).unwrap_err();
            Transport::unreadable(&error, body.as_bytes())
        };
        for body in [
            "{\"email\": \"owner@example.com\"}",
            "[\"owner@example.com\"]",
            "<html>owner@example.com</html>",
            "owner@example.com",
            "\"owner@example.com\"",
        ] {
            assert!(!described(body).contains("owner"), "{}", described(body));
        }
        let html = "<html>owner@example.com</html>";
        assert_eq!(described(html), "it is not JSON at line 1 column 1: a page of HTML or XML of 30 bytes");
        assert_eq!(described(""), "it ends too early at line 1 column 0: an empty body");
    }

    #[test]
    fn an_address_in_a_servers_words_is_struck_out() {
        let words = "user owner@example.com may not do this";
        assert_eq!(without_addresses(words), "user *** may not do this");
    }
}
