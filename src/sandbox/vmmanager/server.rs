//! The HTTP side of the simulator: sessions, routes, strictness, and faults of the line.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State as Extract, connect_info::Connected},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
    serve::{IncomingStream, Listener},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

use super::{
    Options, View,
    engine::{Engine, Refusal},
    fault::{Fault, Rule},
    filter::{self, Query},
    locked,
    render::{self, Listable, Profile, TaskRow},
    world::{SimVm, World},
};
use crate::model::{NodeId, VmId};

/// How many requests are kept: a test makes fewer, and a sandbox may run for days.
const REQUESTS_KEPT: usize = 50_000;

/// Longer than any client waits for an answer.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// The longest body that is accepted; requests of this API are shorter.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A client's request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestSeen {
    pub method: String,
    pub path: String,
    /// Decoded.
    pub query: String,
    /// The body as JSON, without the password; null where there is none or it is not JSON.
    pub body: Value,
    pub token: TokenSeen,
    /// The status of the answer; 0 where the connection was cut.
    pub status: u16,
}

/// The token of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSeen {
    Missing,
    Good,
    Bad,
}

impl RequestSeen {
    /// Returns `METHOD /path?query`.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { method, path, query, .. } = self;
        if query.is_empty() { format!("{method} {path}") } else { format!("{method} {path}?{query}") }
    }
}

pub(super) struct Shared(Mutex<State>);

pub(super) struct State {
    pub engine: Engine,
    pub options: Options,
    pub requests: VecDeque<RequestSeen>,
    pub sessions: HashMap<String, Session>,
    pub advanced: Duration,
    began: Instant,
    logins: u64,
    /// Rendered lists, with what they were rendered from.
    rendered: HashMap<&'static str, (u64, Profile, Bytes)>,
}

#[derive(Clone, Copy)]
pub(super) struct Session {
    used: Duration,
    long_lived: bool,
}

impl Shared {
    pub(super) fn new(world: World, options: Options) -> Self {
        let engine = Engine::new(world, options.pace, options.task_delay, options.starts_at);
        let sessions =
            HashMap::from([(options.token.clone(), Session { used: Duration::ZERO, long_lived: true })]);
        Self(Mutex::new(State {
            engine,
            options,
            requests: VecDeque::new(),
            sessions,
            advanced: Duration::ZERO,
            began: Instant::now(),
            logins: 0,
            rendered: HashMap::new(),
        }))
    }

    /// Returns the state, after everything that is due has happened.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = locked(&self.0);
        let now = state.elapsed();
        state.engine.catch_up(now);
        state
    }
}

/// An answer before it is sent.
struct Answer {
    status: u16,
    kind: &'static str,
    body: Bytes,
    delay: Duration,
    /// Nothing is sent, or only the beginning.
    cut: Option<Cut>,
}

#[derive(Clone, Copy, PartialEq)]
enum Cut {
    AtOnce,
    InBody,
}

impl Answer {
    fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, kind: "application/json", body: body.into(), delay: Duration::ZERO, cut: None }
    }

    fn text(status: u16, kind: &'static str, body: &'static str) -> Self {
        Self { kind, ..Self::json(status, body) }
    }

    fn error(status: u16, code: i64, msg: &str) -> Self {
        Self::json(status, render::error(code, msg))
    }

    fn invalid(msg: &str) -> Self {
        Self::error(400, 3004, msg)
    }

    fn no_function() -> Self {
        Self::error(404, 1106, "Request handler not found")
    }

    fn no_instance() -> Self {
        Self::error(404, 3080, "Instance not found")
    }

    fn cut() -> Self {
        Self { cut: Some(Cut::AtOnce), ..Self::text(200, "text/plain", "") }
    }
}

/// One request, taken apart.
struct Asked {
    method: Method,
    path: String,
    query: String,
    body: Bytes,
    token: Option<String>,
}

impl Asked {
    fn line(&self) -> String {
        let decoded = decoded(&self.query);
        let (method, path) = (&self.method, &self.path);
        if decoded.is_empty() { format!("{method} {path}") } else { format!("{method} {path}?{decoded}") }
    }
}

impl State {
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed() + self.advanced
    }

    pub(super) fn add(&mut self, rule: Rule) {
        let now = self.elapsed();
        match rule.fault {
            Fault::ForeignMigration { vm, target, says_vm } => {
                self.engine.foreign(vm, target, says_vm, now);
            }
            Fault::Busy { vm, ref task, says_vm } => {
                self.engine.occupy(vm, task, says_vm, now);
                self.engine.faults.add(rule);
            }
            _ => self.engine.faults.add(rule),
        }
    }

    /// Ends every fault of this kind.
    pub(super) fn remove(&mut self, fault: &Fault) {
        self.engine.faults.remove(fault);
        if matches!(fault, Fault::Busy { .. }) {
            self.engine.finish_work(self.elapsed());
        }
    }

    /// Ends all faults.
    pub(super) fn heal(&mut self) {
        self.engine.faults.0.clear();
        self.engine.finish_work(self.elapsed());
    }

    pub(super) fn view(&self) -> View {
        let World { clusters, nodes, vms } = self.engine.world.clone();
        View {
            now: self.engine.date(self.elapsed()),
            clusters: clusters.into_values().collect(),
            nodes: nodes.into_values().collect(),
            vms: vms.into_values().collect(),
            tasks: self.engine.tasks.values().map(|task| task.seen.clone()).collect(),
            faults: self.engine.faults.0.clone(),
            violations: self.engine.violations.clone(),
        }
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        if asked.path.starts_with("/_sandbox/") {
            return self.page(asked);
        }
        let line = asked.line();
        let token = self.token_seen(asked);
        let (method, path) = (asked.method.to_string(), asked.path.clone());
        let (query, body) = (decoded(&asked.query), shown(&asked.body));
        let answer = self.disturbed(asked, &line);
        let status = if answer.cut == Some(Cut::AtOnce) { 0 } else { answer.status };
        if self.requests.len() == REQUESTS_KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(RequestSeen { method, path, query, body, token, status });
        answer
    }

    /// Answers a request, unless a fault of the connection or of the service replaces the answer.
    fn disturbed(&mut self, asked: &Asked, line: &str) -> Answer {
        let faults = &mut self.engine.faults;
        if faults.takes(line, &Fault::DeadToken) {
            self.sessions.retain(|_, session| session.long_lived);
        }
        let faults = &mut self.engine.faults;
        let in_place = faults.take(line, |fault| match fault {
            Fault::Away => Some(Answer::cut()),
            Fault::Unavailable => Some(Answer::text(503, "text/plain", "Unavailable")),
            Fault::Status { status } => Some(Answer::text(*status, "text/html", GATEWAY_PAGE)),
            Fault::Html => Some(Answer::text(200, "text/html", LOGIN_PAGE)),
            Fault::ErrorInOk { code, msg } => Some(Answer::error(200, *code, msg)),
            _ => None,
        });
        let delay = faults.take(line, |fault| match fault {
            Fault::Slow { millis } => Some(Duration::from_millis(*millis)),
            Fault::Hangs => Some(NEVER),
            _ => None,
        });
        let said = faults.take(line, |fault| match fault {
            Fault::FalseError { status, code } => Some(Answer::error(*status, *code, "Unauthorized")),
            _ => None,
        });
        let torn = in_place.is_none() && faults.takes(line, &Fault::TornBody);
        let mut answer = in_place.unwrap_or_else(|| self.routed(asked, line));
        answer = said.unwrap_or(answer);
        answer.delay = delay.unwrap_or_default();
        if torn {
            answer.cut = Some(Cut::InBody);
        }
        answer
    }

    fn routed(&mut self, asked: &Asked, line: &str) -> Answer {
        let Some(path) = asked.path.strip_prefix(&self.options.path_prefix) else {
            return Answer::no_function();
        };
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        if (&asked.method, parts.as_slice()) == (&Method::POST, &["auth", "v4", "public", "token"]) {
            return self.log_in(asked, line);
        }
        if self.session(asked).is_none() {
            return Answer::error(401, 1000, "Invalid or expired token");
        }
        let reads = asked.method == Method::GET;
        if !reads && parts[0] == "vm" && self.engine.faults.takes(line, &Fault::ReadOnlyAdmin) {
            return Answer::error(403, 3001, "Unauthorized");
        }
        match parts.as_slice() {
            ["auth", "v4", rest @ ..] => self.auth(asked, rest),
            ["vm", "v3", rest @ ..] if reads => self.read(asked, line, rest),
            ["vm", "v3", "host", id, "migrate"] if asked.method == Method::POST => {
                self.order(asked, line, id)
            }
            _ => Answer::no_function(),
        }
    }

    // ---- sessions

    fn token_seen(&self, asked: &Asked) -> TokenSeen {
        match &asked.token {
            None => TokenSeen::Missing,
            Some(token) if self.sessions.contains_key(token) => TokenSeen::Good,
            Some(_) => TokenSeen::Bad,
        }
    }

    fn log_in(&mut self, asked: &Asked, line: &str) -> Answer {
        if self.engine.faults.takes(line, &Fault::LoginEcho) {
            let body = String::from_utf8_lossy(&asked.body);
            let form: String = url::form_urlencoded::byte_serialize(&asked.body).collect();
            let page = format!("<html><h1>403</h1><p>blocked: {body}</p><p>{form}</p></html>");
            return Answer { kind: "text/html", ..Answer::json(403, page) };
        }
        let Ok(Value::Object(body)) = serde_json::from_slice(&asked.body) else {
            return Answer::invalid("the body is not a JSON object");
        };
        if let Some(unknown) = unknown_property(&body, &["email", "password"]) {
            return unknown;
        }
        let is = |key: &str, wanted: &str| body.get(key).and_then(Value::as_str) == Some(wanted);
        let right = is("email", &self.options.username) && is("password", &self.options.password);
        if !right || self.engine.faults.takes(line, &Fault::WrongPassword) {
            return Answer::error(self.options.refused_login_status, 2001, "Wrong email or password");
        }
        let token = self.open_session(false);
        let expires = self.engine.date(self.elapsed() + self.options.idle_limit).format("%Y-%m-%d %H:%M:%S");
        let id = self.logins;
        Answer::json(
            201,
            format!(r#"{{"id":{id},"token":"{token}","expires_at":"{expires}","confirmed":true}}"#),
        )
    }

    fn open_session(&mut self, long_lived: bool) -> String {
        self.logins += 1;
        let token = format!("3-2f0c8a51-7d7b-4a47-9c3c-{:012}", self.logins);
        let used = self.elapsed();
        self.sessions.insert(token.clone(), Session { used, long_lived });
        token
    }

    /// Finds the session of a request, and keeps it awake.
    fn session(&mut self, asked: &Asked) -> Option<Session> {
        let now = self.elapsed();
        let token = asked.token.as_ref()?;
        let idle_limit = self.options.idle_limit;
        let session = self.sessions.get_mut(token)?;
        if !session.long_lived && now.saturating_sub(session.used) > idle_limit {
            self.sessions.remove(token);
            return None;
        }
        session.used = now;
        Some(*session)
    }

    fn auth(&mut self, asked: &Asked, rest: &[&str]) -> Answer {
        match (&asked.method, rest) {
            (&Method::GET, ["whoami"]) => {
                let (email, role) = (&self.options.username, &self.options.role);
                let (email, role) = (render::quoted(email), render::quoted(role));
                Answer::json(200, format!(r#"{{"id":1,"email":{email},"state":"active","roles":[{role}]}}"#))
            }
            (&Method::POST, ["token"]) => {
                let token = self.open_session(true);
                Answer::json(201, format!(r#"{{"id":{},"token":"{token}"}}"#, self.logins))
            }
            (&Method::DELETE, ["token", token]) => match self.sessions.remove(*token) {
                Some(_) => Answer::json(200, "{}"),
                None => Answer::no_instance(),
            },
            _ => Answer::no_function(),
        }
    }

    // ---- questions

    fn read(&mut self, asked: &Asked, line: &str, rest: &[&str]) -> Answer {
        match rest {
            ["cluster"] => self.list(asked, line, "cluster", |world| world.clusters.values().collect()),
            ["node"] => self.list(asked, line, "node", |world| world.nodes.values().collect()),
            ["host"] => self.hosts(asked, line),
            ["task"] => self.tasks(asked, line),
            ["version"] => Answer::json(200, r#"{"version":"2026.1.0-sandbox"}"#),
            ["task", id] => self.task(id),
            ["node", id] => match id.parse().ok().and_then(|id| self.engine.world.nodes.get(&NodeId(id))) {
                Some(node) => Answer::json(200, render::single_node(node)),
                None => Answer::no_instance(),
            },
            ["host", id, rest @ ..] => {
                let Some(vm) = id.parse().ok().and_then(|id| self.engine.world.vms.get(&VmId(id))).cloned()
                else {
                    return Answer::no_instance();
                };
                self.host(line, &vm, rest)
            }
            _ => Answer::no_function(),
        }
    }

    fn host(&mut self, line: &str, vm: &SimVm, rest: &[&str]) -> Answer {
        match rest {
            [] => Answer::json(200, render::single_vm(vm)),
            ["history"] => {
                let entries = self.engine.history.get(&vm.id).map(Vec::as_slice).unwrap_or_default();
                Answer::json(200, render::history(entries, self.options.profile))
            }
            ["migrate"] if self.engine.faults.takes(line, &Fault::NoMigrateForm) => Answer::no_function(),
            ["migrate"] => {
                let refused = self.engine.faults.take(line, |fault| match fault {
                    Fault::FormSaysNo { node } => Some(*node),
                    _ => None,
                });
                let says_no = |node| refused.is_some_and(|only| only.is_none_or(|only| only == node));
                Answer::json(200, render::migrate_form(&self.engine.world, vm, says_no))
            }
            _ => Answer::no_function(),
        }
    }

    fn hosts(&mut self, asked: &Asked, line: &str) -> Answer {
        if self.engine.faults.takes(line, &Fault::ShrunkList) {
            return self.list(asked, line, "half of host", |world| {
                world.vms.values().take(world.vms.len() / 2).collect()
            });
        }
        self.list(asked, line, "host", |world| world.vms.values().collect())
    }

    fn task(&self, id: &str) -> Answer {
        let (profile, now) = (self.options.profile, self.elapsed());
        let found =
            self.engine.tasks.values().find(|task| task.seen.id.to_string() == id && task.seen.listed);
        match found {
            Some(task) => {
                Answer::json(200, render::single_task(&TaskRow { task, now }, &self.engine.world, profile))
            }
            None => Answer::no_instance(),
        }
    }

    fn tasks(&mut self, asked: &Asked, line: &str) -> Answer {
        if asked.query.contains("where=") && self.engine.faults.takes(line, &Fault::TaskFilterBroken) {
            return Answer::error(500, 1, "Internal error");
        }
        let query = match Query::parse(&asked.query) {
            Ok(query) => query,
            Err(msg) => return Answer::invalid(&msg),
        };
        let cuts = self.cuts(line);
        let (now, Engine { tasks, world, .. }) = (self.elapsed(), &self.engine);
        let rows: Vec<_> =
            tasks.values().filter(|t| t.seen.listed).map(|task| TaskRow { task, now }).collect();
        listed(&rows.iter().collect::<Vec<_>>(), world, &query, &cuts, self.options.profile)
    }

    fn list<T: Listable>(
        &mut self,
        asked: &Asked,
        line: &str,
        kind: &'static str,
        rows: impl Fn(&World) -> Vec<&T>,
    ) -> Answer {
        let filtered = asked.query.contains("where=") && kind != "cluster";
        if filtered && self.engine.faults.takes(line, &Fault::FilterBroken) {
            return Answer::error(500, 1, "Internal error");
        }
        let query = match Query::parse(&asked.query) {
            Ok(query) => query,
            Err(msg) => return Answer::invalid(&msg),
        };
        let cuts = self.cuts(line);
        let profile = self.options.profile;
        let plain = query == Query::default() && cuts == Cuts::default();
        let version = self.engine.version;
        if let Some((of, with, bytes)) = self.rendered.get(kind).filter(|_| plain)
            && (*of, *with) == (version, profile)
        {
            return Answer::json(200, bytes.clone());
        }
        let world = &self.engine.world;
        let answer = listed(&rows(world), world, &query, &cuts, profile);
        if plain {
            self.rendered.insert(kind, (version, profile, answer.body.clone()));
        }
        answer
    }

    /// Takes the faults that leave rows out.
    fn cuts(&mut self, line: &str) -> Cuts {
        let faults = &mut self.engine.faults;
        Cuts {
            empty: faults.takes(line, &Fault::EmptyLists),
            half: faults.takes(line, &Fault::HalfLists),
            unreadable: faults.takes(line, &Fault::UnreadableRows),
            odd: line.contains("/host") && faults.takes(line, &Fault::OddRecord),
            page: faults.take(line, |fault| match fault {
                Fault::PageOf { rows } => Some(*rows),
                _ => None,
            }),
        }
    }

    // ---- orders

    fn order(&mut self, asked: &Asked, line: &str, id: &str) -> Answer {
        let Ok(vm) = id.parse().map(VmId) else { return Answer::no_instance() };
        let target = match target_in(&asked.body) {
            Ok(target) => target,
            Err(answer) => return *answer,
        };
        let faults = &mut self.engine.faults;
        if faults.takes(line, &Fault::OrderUnavailable) {
            return Answer::text(503, "text/plain", "Unavailable");
        }
        if faults.takes(line, &Fault::NodeIntoMaintenance) {
            // A race that a client cannot avoid does not count as a violation.
            self.engine.edit(|world| {
                world.nodes.entry(target).and_modify(|node| node.maintenance = true);
            });
            return Answer::invalid("the node is in maintenance mode");
        }
        let now = self.elapsed();
        let consul = match self.engine.order(vm, target, now) {
            Ok(consul) => consul,
            Err(Refusal::NoSuchVm) => return Answer::no_instance(),
            Err(Refusal::Busy) => return Answer::error(400, 3035, "The host is locked by another task"),
            Err(Refusal::Invalid(msg)) => return Answer::invalid(&msg),
        };
        let disturbed = self.engine.faults.take(line, |fault| match fault {
            Fault::OrderReset => Some(Answer::cut()),
            Fault::OrderGateway { status } => Some(Answer::text(*status, "text/html", GATEWAY_PAGE)),
            Fault::OrderTakenUnder { status } => {
                Some(Answer::json(*status, format!(r#"{{"id":{vm},"task":{consul}}}"#)))
            }
            Fault::OrderWithoutTask => Some(Answer::json(200, format!(r#"{{"id":{vm}}}"#))),
            _ => None,
        });
        disturbed.unwrap_or_else(|| Answer::json(200, format!(r#"{{"id":{vm},"task":{consul}}}"#)))
    }

    // ---- the sandbox's own page

    fn page(&mut self, asked: &Asked) -> Answer {
        let json = |value: serde_json::Result<String>| match value {
            Ok(text) => Answer::json(200, text),
            Err(error) => Answer::error(500, 1, &error.to_string()),
        };
        match (&asked.method, asked.path.as_str()) {
            (&Method::GET, "/_sandbox/state") => json(serde_json::to_string(&self.view())),
            (&Method::GET, "/_sandbox/faults") => json(serde_json::to_string(&Fault::examples())),
            (&Method::POST, "/_sandbox/fault") => match serde_json::from_slice(&asked.body) {
                Ok(FaultOrder { rule, off: false }) => {
                    self.add(rule);
                    json(serde_json::to_string(&self.engine.faults.0))
                }
                Ok(FaultOrder { rule, off: true }) => {
                    self.remove(&rule.fault);
                    json(serde_json::to_string(&self.engine.faults.0))
                }
                Err(error) => Answer::invalid(&error.to_string()),
            },
            (&Method::POST, "/_sandbox/heal") => {
                self.heal();
                Answer::json(200, "[]")
            }
            _ => Answer::no_function(),
        }
    }
}

/// What the page sends: `{"fault": {"kind": "away"}, "times": 1}`, or with `"off": true`.
#[derive(Deserialize)]
struct FaultOrder {
    #[serde(flatten)]
    rule: Rule,
    #[serde(default)]
    off: bool,
}

const LOGIN_PAGE: &str =
    "<!doctype html>\n<html><head><title>VMmanager</title></head><body>Loading…</body></html>";
const GATEWAY_PAGE: &str = "<html>\r\n<head><title>Gateway</title></head>\r\n<body>nginx</body>\r\n</html>";

/// Which rows are left out of an answer.
#[derive(Debug, Default, PartialEq)]
struct Cuts {
    empty: bool,
    half: bool,
    unreadable: bool,
    odd: bool,
    page: Option<usize>,
}

fn listed<T: Listable>(rows: &[&T], world: &World, query: &Query, cuts: &Cuts, profile: Profile) -> Answer {
    let mut passed = Vec::with_capacity(rows.len());
    for row in rows {
        match query.filter.as_ref().map_or(Ok(true), |filter| filter.passes(&|name: &str| row.field(name))) {
            Ok(true) => passed.push(*row),
            Ok(false) => {}
            Err(msg) => return Answer::invalid(&msg),
        }
    }
    if let Some((field, falls)) = &query.order {
        passed.sort_by(|a, b| {
            let [a, b] = [a, b].map(|row| row.field(field).unwrap_or(filter::Field::Null));
            let order = filter::compare(a, b);
            if *falls { order.reverse() } else { order }
        });
    }
    // Faults leave rows out before paging, so that another request does not get them either.
    let size = if cuts.empty { 0 } else { passed.len() };
    let there = if cuts.half { size / 2 } else { size };
    let (offset, count) = query.limit.unwrap_or((0, usize::MAX));
    let count = count.min(cuts.page.unwrap_or(usize::MAX));
    let mut text = String::new();
    for (n, row) in passed.iter().take(there).skip(offset).take(count).enumerate() {
        if n > 0 {
            text.push(',');
        }
        if n == 0 && (cuts.unreadable || cuts.odd) {
            let mut row_text = String::new();
            row.write(world, profile, &mut row_text);
            text.push_str(&match cuts.odd {
                true => row_text.replacen(r#""name":""#, r#""name":"\ud83d"#, 1),
                false => render::without_id(&row_text),
            });
        } else {
            row.write(world, profile, &mut text);
        }
    }
    // `size` lets the client see that this is a page and not the whole list.
    let profile = if there < size || cuts.page.is_some() { Profile::Current } else { profile };
    Answer::json(200, render::list(&text, size, profile))
}

/// Reads the body of an order, as strictly as the real server.
fn target_in(body: &[u8]) -> Result<NodeId, Box<Answer>> {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return Err(Box::new(Answer::invalid("the body is not a JSON object")));
    };
    if let Some(unknown) = unknown_property(&body, &["node", "plain", "disks"]) {
        return Err(Box::new(unknown));
    }
    match body.get("node") {
        Some(Value::Number(node)) => {
            node.as_u64().map(NodeId).ok_or_else(|| Box::new(Answer::invalid("node: not a whole number")))
        }
        Some(_) => Err(Box::new(Answer::invalid("node: expected a number"))),
        None => Err(Box::new(Answer::invalid("node: missing"))),
    }
}

fn unknown_property(body: &Map<String, Value>, known: &[&str]) -> Option<Answer> {
    let unknown = body.keys().find(|key| !known.contains(&key.as_str()))?;
    let property = render::quoted(unknown);
    let msg = "PROXY-3008: Unexpected property";
    let text = format!(r#"{{"error":{{"code":3008,"msg":"{msg}","value":{{"property":{property}}}}}}}"#);
    Some(Answer::json(400, text))
}

fn decoded(query: &str) -> String {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

fn shown(body: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(password) = value.get_mut("password") {
        *password = "***".into();
    }
    value
}

/// The token of a request: in the header, or in the cookie of older clients.
fn token(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let cookie =
        || text(header::COOKIE.as_str())?.split(';').find_map(|pair| pair.trim().strip_prefix("ses6="));
    text("x-xsrf-token").or_else(cookie).map(str::to_owned)
}

// ---- the line

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, closed: Arc<AtomicBool>) {
    let router = Router::new().fallback(handle).with_state(shared);
    let service = router.into_make_service_with_connect_info::<Scissors>();
    if let Err(error) = axum::serve(Cuttable { listener, closed }, service).await {
        tracing::error!(%error, "the simulated vmmanager stopped");
    }
}

async fn handle(
    Extract(shared): Extract<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return response(Answer::error(413, 1, "the body is too long"), &scissors);
    };
    let asked = Asked {
        token: token(&parts.headers),
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body,
    };
    let answer = shared.state().answer(&asked);
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    response(answer, &scissors)
}

fn response(answer: Answer, scissors: &Scissors) -> Response {
    let Answer { status, kind, body, cut, .. } = answer;
    let body = match cut {
        None => Body::from(body),
        Some(Cut::AtOnce) => {
            scissors.0.store(true, Ordering::Relaxed);
            Body::empty()
        }
        Some(Cut::InBody) => {
            let half = Ok(body.slice(..body.len() / 2));
            Body::from_stream(futures::stream::iter([
                half,
                Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            ]))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

/// Cuts the connection that a request came over.
#[derive(Clone)]
struct Scissors(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, Cuttable>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, Cuttable>) -> Self {
        Self(stream.io().cut.clone())
    }
}

/// A listener whose connections can be cut without an answer, which HTTP libraries do not offer.
struct Cuttable {
    listener: TcpListener,
    closed: Arc<AtomicBool>,
}

struct Line {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
}

impl Listener for Cuttable {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Line { stream, cut: Arc::default(), closed: self.closed.clone() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Line {
    fn whole(&self) -> io::Result<()> {
        let is_cut = self.cut.load(Ordering::Relaxed) || self.closed.load(Ordering::Relaxed);
        if is_cut { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.whole()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.whole()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
