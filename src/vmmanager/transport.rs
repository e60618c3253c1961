//! One request after another to one server: login, token, waiting, repeating, and what an answer means.
//!
//! Knows HTTP and sessions, and no single function of the API. Repeats only what is harmless to repeat.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};
use tracing::{Instrument as _, Span, field::Empty};

use super::{
    error::code,
    settings::{Credentials, Settings, Timing},
    wire::{self, Intake, WireError},
};
use crate::{
    causes::causes,
    dial::{self, DialError, Trust},
    meter,
    model::{AnswerFlaw, ApiFailure, ApiSettingsFlaw, Body, LoginRefusal, Quote, Said, Silence},
};

/// A list of 100,000 VMs is about 100 MB; beyond this, something else is being sent.
const BODY_BYTES_MAX: usize = 512 * 1024 * 1024;

/// How much of an answer is read in one turn: about a millisecond of work. A server that is faster than we are would
/// keep a thread busy for the whole list, and all that waits on this thread.
const TURN_BYTES: usize = 256 * 1024;

const LOGIN: &str = "/auth/v4/public/token";

/// The path of a session, with its token behind.
const SESSION: &str = "/auth/v4/token/";

/// How long logging out may take. The end of the program waits for it.
const LOG_OUT_MAX: Duration = Duration::from_secs(2);

/// The shortest secret that is removed from a server's texts. Shorter ones occur inside ordinary words.
const SCRUBBED_CHARS_MIN: usize = 4;

/// A question or an order, as data, so that it can be sent again.
pub(super) struct Ask {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Ask {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), query: Vec::new(), body: None }
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), query: Vec::new(), body: Some(body) }
    }

    pub(super) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    /// Names the request for people: method and path, no query and no secret.
    pub(super) fn what(&self) -> String {
        format!("{} {}", self.method, self.shown_path())
    }

    fn shown_path(&self) -> &str {
        if self.path.starts_with(SESSION) { "/auth/v4/token/…" } else { &self.path }
    }
}

/// Why an exchange failed, and whether the server may have acted on it all the same.
#[derive(Debug)]
pub(super) struct Failed {
    pub error: ApiFailure,
    pub effect: Effect,
    session: Session,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The server did not take the request.
    None,
    /// The server may have acted on the request.
    Unknown,
}

/// What a login does with a service that answers 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    WaitedFor,
    /// It is reported to the caller.
    IsAnAnswer,
}

/// What a failure means for the token.
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
    /// Held during a login, so that all requests that need one wait for it.
    session: Mutex<Login>,
    /// The newest `Date` of the server.
    date: std::sync::Mutex<Option<DateTime<Utc>>>,
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
    /// When the password was refused last, and why.
    refused: Option<(Instant, LoginRefusal)>,
}

impl Transport {
    pub(super) fn new(settings: Settings) -> Result<Self, ApiFailure> {
        let Settings { base_url, path_prefix, credentials, verify_tls, ca_pem, proxy, timing } = settings;
        if !base_url.username().is_empty() || base_url.password().is_some() {
            return Err(ApiFailure::Settings(ApiSettingsFlaw::UserInAddress));
        }
        let trust = if verify_tls { Trust::Authorities(ca_pem.as_deref()) } else { Trust::Anybody };
        let builder = dial::client(Some(&base_url), trust, proxy.as_ref())
            .map_err(|error| ApiFailure::Settings(flaw(&error)))?
            .user_agent(concat!("vm-balancer/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timing.connect_timeout)
            .timeout(timing.request_timeout)
            // A redirected POST would become a GET, and a token would travel to another place.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        let http = builder
            .build()
            .map_err(|error| ApiFailure::Settings(ApiSettingsFlaw::Client(causes(&error).into())))?;
        let base = format!("{}{}", base_url.as_str().trim_end_matches('/'), prefix(&path_prefix));
        Ok(Self {
            http,
            base,
            credentials,
            timing,
            session: Mutex::default(),
            date: std::sync::Mutex::default(),
        })
    }

    /// Returns what the server's clock said in its newest answer.
    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_date(&self, response: &reqwest::Response) {
        let said = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = said.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some(date.to_utc());
        }
    }

    /// Asks a question; repeats it after silence, with growing pauses.
    pub(super) async fn read<I: Intake>(&self, ask: Ask) -> Result<I::Taken, ApiFailure> {
        let Timing { read_retries, retry_wait, retry_wait_max, .. } = self.timing;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(retry_wait)
            .with_max_delay(retry_wait_max)
            .with_max_times(read_retries)
            .with_jitter();
        (|| self.exchange::<I>(&ask))
            .retry(pauses)
            .when(|failed| matches!(failed.error, ApiFailure::NoAnswer { .. }))
            .notify(|failed, pause| tracing::debug!(error = %failed.error, ?pause, "asking again"))
            .await
            .map_err(|failed| failed.error)
    }

    /// Sends a request with a token, and once more with a new token where the old one was the trouble.
    async fn exchange<I: Intake>(&self, ask: &Ask) -> Result<I::Taken, Failed> {
        let token = self.token(Busy::WaitedFor).await.map_err(Failed::before_sending)?;
        let failed = match self.patiently::<I>(ask, Some(&token)).await {
            Ok(taken) => return Ok(taken),
            Err(failed) => failed,
        };
        if !self.may_be_the_token(&failed, &token) {
            return Err(failed);
        }
        let token =
            self.token_after(token.generation, Busy::WaitedFor).await.map_err(Failed::before_sending)?;
        self.patiently::<I>(ask, Some(&token)).await
    }

    /// Sends a request that changes something: once, and once more only where the old token was the trouble.
    ///
    /// `may_send` is asked at the last moment before each sending, for a login may take a while; `None` where
    /// it said no. The order does not wait for a service that answers 503: only the caller knows whether the order is
    /// still wanted.
    pub(super) async fn order(
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
        match self.send::<Vec<u8>>(ask, Some(&token)).await {
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
        Some(self.send::<Vec<u8>>(ask, Some(&token)).await)
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
    pub(super) async fn log_out(&self) {
        if tokio::time::timeout(LOG_OUT_MAX, self.close_session()).await.is_err() {
            tracing::debug!("the session was not closed in time and will expire");
        }
    }

    async fn close_session(&self) {
        let token = self.session.lock().await.token.take();
        let (Some(token), Credentials::Password { .. }) = (token, &self.credentials) else { return };
        let path = format!("{SESSION}{}", token.secret.expose_secret());
        let ask = Ask { method: Method::DELETE, path, query: Vec::new(), body: None };
        if self.send::<Vec<u8>>(&ask, Some(&token)).await.is_err() {
            tracing::debug!("the session could not be closed and will expire");
        }
    }

    async fn token(&self, busy: Busy) -> Result<Token, ApiFailure> {
        self.token_after(0, busy).await
    }

    /// Returns a token newer than `generation`, logging in where there is none.
    async fn token_after(&self, generation: u64, busy: Busy) -> Result<Token, ApiFailure> {
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
    ) -> Result<SecretString, ApiFailure> {
        login.token = None;
        self.may_try(login)?;
        let ask = Ask::post(LOGIN, json!({"email": username, "password": password.expose_secret()}));
        let answer = match busy {
            Busy::WaitedFor => self.patiently::<Vec<u8>>(&ask, None).await,
            Busy::IsAnAnswer => self.send::<Vec<u8>>(&ask, None).await,
        };
        let refusal = match answer.map_err(|failed| failed.error).and_then(|body| self.token_in(&body)) {
            Ok(token) => {
                (login.refusals, login.refused) = (0, None);
                return Ok(token);
            }
            Err(error) if error.is_missing_function() => {
                return Err(ApiFailure::NoLogin { what: ask.what() });
            }
            // An error inside a success is a fault of the service and not an answer about the password.
            Err(ApiFailure::Refused { status, said, .. }) => {
                login.refusals += u32::from(status >= 400);
                LoginRefusal::Said(said)
            }
            Err(ApiFailure::Forbidden { said, .. } | ApiFailure::NotFound { said, .. }) => {
                login.refusals += 1;
                LoginRefusal::Said(said)
            }
            Err(ApiFailure::Credentials(refusal)) => {
                login.refusals += 1;
                refusal
            }
            Err(error) => return Err(error),
        };
        login.refused = Some((Instant::now(), refusal.clone()));
        Err(ApiFailure::Credentials(refusal))
    }

    /// Refuses to try a refused password too soon or too often: accounts may be locked.
    fn may_try(&self, login: &Login) -> Result<(), ApiFailure> {
        let Some((at, because)) = &login.refused else { return Ok(()) };
        let Timing { login_refusals_max, login_pause, login_long_pause, .. } = self.timing;
        let pause = if login.refusals >= login_refusals_max { login_long_pause } else { login_pause };
        let left = pause.saturating_sub(at.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        let because = Box::new(because.clone());
        Err(ApiFailure::Credentials(LoginRefusal::Rests { because, seconds: left.as_secs().max(1) }))
    }

    fn token_in(&self, body: &[u8]) -> Result<SecretString, ApiFailure> {
        match wire::login(body) {
            Ok((Some(token), true)) => Ok(token.into()),
            Ok((Some(_), false)) => Err(ApiFailure::Credentials(LoginRefusal::NotConfirmed)),
            Ok((None, _)) => Err(ApiFailure::Credentials(LoginRefusal::NoToken)),
            Err(error) => Err(ApiFailure::Unreadable {
                what: format!("POST {LOGIN}"),
                said: wire::unreadable(&error, body),
            }),
        }
    }

    /// Sends a request, again and again while the service says 503: it then was not taken.
    async fn patiently<I: Intake>(&self, ask: &Ask, token: Option<&Token>) -> Result<I::Taken, Failed> {
        let (mut patience, began) = (self.timing.patience(), Instant::now());
        let is_unavailable = |failed: &Failed| matches!(failed.error, ApiFailure::Unavailable { .. });
        let answered = (|| self.send::<I>(ask, token))
            .retry(std::iter::from_fn(move || patience.next_pause()))
            .when(is_unavailable)
            .await;
        answered.map_err(|failed| match is_unavailable(&failed) {
            true => {
                let waited = began.elapsed().as_secs();
                Failed { error: ApiFailure::Unavailable { what: ask.what(), waited }, ..failed }
            }
            false => failed,
        })
    }

    /// Sends a request once and says what became of it, in a span of its own.
    async fn send<I: Intake>(&self, ask: &Ask, token: Option<&Token>) -> Result<I::Taken, Failed> {
        let (method, path) = (&ask.method, ask.shown_path());
        let span = tracing::debug_span!("request", %method, path, status = Empty, took_ms = Empty);
        let began = Instant::now();
        let exchange = async {
            let answered = self.answer_to::<I>(ask, token).await;
            Span::current().record("took_ms", took_ms(began));
            match &answered {
                Ok(_) => tracing::debug!("VMmanager answered"),
                Err(failed) => tracing::debug!(error = %failed.error, "a request failed"),
            }
            answered
        };
        exchange.instrument(span).await
    }

    async fn answer_to<I: Intake>(&self, ask: &Ask, token: Option<&Token>) -> Result<I::Taken, Failed> {
        let began = Instant::now();
        let meter = |status: Option<StatusCode>| {
            let status = status.map(|status| status.as_u16());
            meter::request(ask.method.as_str(), &ask.path, status, began.elapsed());
        };
        let response = self.request(ask, token).send().await.map_err(|error| {
            meter(None);
            self.silent(ask, &error)
        })?;
        self.note_date(&response);
        let status = response.status();
        Span::current().record("status", status.as_u16());
        if !status.is_success() {
            let body = match pour(response, Vec::new()).await {
                Ok(body) => body,
                Err(BodyError::TooLong) => return Err(Failed::too_long(ask)),
                // The body broke off. The status counts.
                Err(BodyError::Broken(_)) => Vec::new(),
            };
            meter(Some(status));
            let error = wire::error(&body).or_else(|| task_named(ask, &body));
            return Err(self.refusal(ask, status, error, Body::of(&body), token));
        }
        let intake = pour(response, I::default()).await.map_err(|error| match error {
            BodyError::TooLong => Failed::too_long(ask),
            BodyError::Broken(error) => self.silent(ask, &error),
        })?;
        meter(Some(status));
        match intake.error() {
            Some(error) => Err(self.refusal(ask, status, Some(error), Body::of(&[]), token)),
            None => intake.finish().map_err(|said| Failed::unreadable(ask, said)),
        }
    }

    fn request(&self, ask: &Ask, token: Option<&Token>) -> reqwest::RequestBuilder {
        let mut url = format!("{}{}", self.base, ask.path);
        if !ask.query.is_empty() {
            url.push('?');
            url.push_str(&encode(&ask.query));
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

    /// Says what an answer means that is no success, or that has an error in it.
    fn refusal(
        &self,
        ask: &Ask,
        status: StatusCode,
        error: Option<WireError>,
        body: Body,
        token: Option<&Token>,
    ) -> Failed {
        let what = ask.what();
        let is_put_off = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let may_be_taken = error.as_ref().is_some_and(|error| may_be_taken(ask, status, error));
        if is_put_off && !may_be_taken {
            return Failed::from_refusal(ApiFailure::Unavailable { what, waited: 0 });
        }
        let code = error.as_ref().and_then(|error| error.code);
        let numbers = Said::Numbers { status: status.as_u16(), code };
        let said = match error {
            // A gateway may echo the request, password and all: of a failed login only the numbers are kept.
            _ if ask.path == LOGIN => numbers,
            Some(error) if error.msg.is_empty() => numbers,
            Some(error) => Said::Words(without_addresses(&self.scrub(error.msg, token)).into()),
            None => Said::Foreign { status: status.as_u16(), body },
        };
        // The status comes before the code in the body. After a 5xx nobody knows how far the request came, and 408
        // is mostly a proxy's word.
        let is_doubtful = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT || may_be_taken;
        let effect = match is_doubtful {
            true => Effect::Unknown,
            false => Effect::None,
        };
        if effect == Effect::Unknown && status != StatusCode::NOT_IMPLEMENTED {
            let said = Silence::Status { status: status.as_u16(), said };
            let error = ApiFailure::NoAnswer { what, said };
            return Failed { error, effect, session: Session::Alive };
        }
        let names = |known| status.is_client_error() && code == Some(known);
        if status == StatusCode::UNAUTHORIZED || names(code::DEAD_TOKEN) {
            let error = ApiFailure::Credentials(LoginRefusal::Said(said));
            return Failed { session: Session::Dead, ..Failed::from_refusal(error) };
        }
        if status == StatusCode::FORBIDDEN || names(code::UNAUTHORIZED) {
            let error = ApiFailure::Forbidden { what, said };
            return Failed { session: Session::Doubtful, ..Failed::from_refusal(error) };
        }
        let missing = matches!(code, Some(code::NO_FUNCTION | code::NO_INSTANCE));
        if status == StatusCode::NOT_FOUND || missing {
            let error = ApiFailure::NotFound { what, code, said };
            return Failed { effect, ..Failed::from_refusal(error) };
        }
        let error = ApiFailure::Refused { what, status: status.as_u16(), code, said };
        Failed { effect, ..Failed::from_refusal(error) }
    }

    fn silent(&self, ask: &Ask, error: &reqwest::Error) -> Failed {
        // Without a connection nothing was sent.
        let effect = if error.is_connect() || error.is_builder() { Effect::None } else { Effect::Unknown };
        // The error's own words hold the address; its causes do not.
        let causes = Quote::from(causes(error));
        let said = if error.is_timeout() { Silence::TimedOut(causes) } else { Silence::Lost(causes) };
        let error = ApiFailure::NoAnswer { what: ask.what(), said };
        Failed { error, effect, session: Session::Alive }
    }

    /// Strikes our own secrets out of a server's words.
    fn scrub(&self, mut text: String, token: Option<&Token>) -> String {
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
    fn from_refusal(error: ApiFailure) -> Self {
        Self { error, effect: Effect::None, session: Session::Alive }
    }

    fn before_sending(error: ApiFailure) -> Self {
        Self { error, effect: Effect::None, session: Session::Alive }
    }

    fn too_long(ask: &Ask) -> Self {
        Self::unreadable(ask, AnswerFlaw::TooLong { bytes_max: BODY_BYTES_MAX })
    }

    fn unreadable(ask: &Ask, said: AnswerFlaw) -> Self {
        let error = ApiFailure::Unreadable { what: ask.what(), said };
        Self { error, effect: Effect::Unknown, session: Session::Alive }
    }
}

/// What an answer to an order says that names a task and no error.
fn task_named(ask: &Ask, body: &[u8]) -> Option<WireError> {
    let names_task = is_order(ask) && matches!(wire::ordered_task(body), Ok(Some(_)));
    names_task.then(|| WireError { code: None, msg: String::new(), names_task })
}

/// Tells whether an answer that is no plain success may be of an order that was taken: a success that speaks of a
/// session, which it cannot be about, or an answer that names the task. A refusal with a reason may name a task that is
/// in the way.
fn may_be_taken(ask: &Ask, status: StatusCode, error: &WireError) -> bool {
    let of_session = matches!(error.code, Some(code::DEAD_TOKEN | code::UNAUTHORIZED));
    let has_reason = error.code.is_some() || !error.msg.is_empty();
    let is_refusal = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS && has_reason;
    is_order(ask) && (of_session && status.is_success() || error.names_task && !is_refusal)
}

fn is_order(ask: &Ask) -> bool {
    ask.method == Method::POST && ask.path != LOGIN
}

fn flaw(error: &DialError) -> ApiSettingsFlaw {
    let why = Quote::from(causes(error));
    match error {
        DialError::NoCertificate => ApiSettingsFlaw::NoCertificate,
        DialError::Pem(_) | DialError::Certificate(_) => ApiSettingsFlaw::Authority(why),
        DialError::Tls(_) | DialError::Client(_) | DialError::Proxy(_) => ApiSettingsFlaw::Client(why),
    }
}

enum BodyError {
    TooLong,
    Broken(reqwest::Error),
}

/// Lets an answer flow into what it becomes, as fast as that takes it.
async fn pour<I: Intake>(mut response: reqwest::Response, mut intake: I) -> Result<I, BodyError> {
    let (mut bytes, mut in_a_row) = (0, 0);
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        bytes += chunk.len();
        if bytes > BODY_BYTES_MAX {
            return Err(BodyError::TooLong);
        }
        if !intake.take(&chunk) {
            break;
        }
        in_a_row += chunk.len();
        if in_a_row >= TURN_BYTES {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }
    Ok(intake)
}

/// Encodes a query once, with `%20` for a space: a `+` would have to be understood as one.
fn encode(query: &[(&'static str, String)]) -> String {
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
    fn a_logout_is_shown_without_its_token() {
        let ask = Ask::get(format!("{SESSION}s3cr3t"));
        assert_eq!(ask.what(), "GET /auth/v4/token/…");
    }

    #[test]
    fn an_address_in_a_servers_words_is_struck_out() {
        let words = "user owner@example.com may not do this";
        assert_eq!(without_addresses(words), "user *** may not do this");
    }
}
