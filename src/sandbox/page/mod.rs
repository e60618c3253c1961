//! The chat page: a chat on one side, the simulated clusters on the other, and the switches for faults.
//!
//! Everything it serves is in the program; it talks to the sandbox's servers and to nothing else.

#[cfg(test)]
mod contrast;
mod offers;
mod switches;
mod world;

use std::{collections::BTreeSet, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, broadcast, watch},
    task::JoinHandle,
};

pub use switches::{Switch, SwitchError};

use super::{
    bot::{BotStatus, BotSwitch},
    bot_chat::place_of,
    measured::MeasuredNodes,
    scenario::Life,
    telegram::{Change, ChatKind, Place, SUPERGROUP, SimError, SimTelegram},
    vmmanager,
};
use crate::model::VmId;
use world::{Told, shown};

/// The interval of the simulation and of reports to the page: smooth for the bars, and cheap with 1000 nodes.
const TICK: Duration = Duration::from_millis(500);
/// How many reports a slow page may lag behind. One that lags further reads everything again.
const NEWS_BACKLOG: usize = 512;
/// How many messages of each chat a page gets when it opens.
const MESSAGES_SHOWN: usize = 200;

const INDEX: &str = include_str!("index.html");
const STYLE: &str = include_str!("style.css");
/// The page's script: ES modules by subject, served as they are. `app.js` starts the others.
const SCRIPTS: [(&str, &str); 18] = [
    ("/app.js", include_str!("script/app.js")),
    ("/commands.js", include_str!("script/commands.js")),
    ("/connection.js", include_str!("script/connection.js")),
    ("/dom.js", include_str!("script/dom.js")),
    ("/flights.js", include_str!("script/flights.js")),
    ("/format.js", include_str!("script/format.js")),
    ("/known.js", include_str!("script/known.js")),
    ("/log.js", include_str!("script/log.js")),
    ("/look.js", include_str!("script/look.js")),
    ("/map.js", include_str!("script/map.js")),
    ("/nodes.js", include_str!("script/nodes.js")),
    ("/paint.js", include_str!("script/paint.js")),
    ("/rooms.js", include_str!("script/rooms.js")),
    ("/say.js", include_str!("script/say.js")),
    ("/summary.js", include_str!("script/summary.js")),
    ("/switches.js", include_str!("script/switches.js")),
    ("/tour.js", include_str!("script/tour.js")),
    ("/world.js", include_str!("script/world.js")),
];
/// No content from other servers and no inline scripts, so a message cannot run anything.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All that the page shows and switches; cheap to clone.
#[derive(Clone)]
pub struct Stage {
    shared: Arc<Shared>,
}

struct Shared {
    telegram: SimTelegram,
    vmmanager: vmmanager::Running,
    life: Mutex<Life>,
    measured: MeasuredNodes,
    bot: BotSwitch,
    /// Facts about this sandbox that the page gets when it opens: the roles, the thresholds.
    about: Value,
    told: Mutex<Told>,
    /// The step of the tour that is shown; null without one.
    caption: watch::Sender<Value>,
    /// Whether anybody has opened the page.
    is_seen: watch::Sender<bool>,
    news: broadcast::Sender<(&'static str, Arc<str>)>,
}

/// A page that is served until it is dropped.
pub struct Served {
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Served {
    /// Returns where the page is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Stage {
    /// Combines what the page shows; `about` is passed to the page unchanged.
    #[must_use]
    pub(super) fn new(
        telegram: SimTelegram,
        vmmanager: vmmanager::Running,
        life: Life,
        measured: MeasuredNodes,
        bot: BotSwitch,
        about: Value,
    ) -> Self {
        let life = Mutex::new(life);
        let (told, news) = (Mutex::new(Told::default()), broadcast::Sender::new(NEWS_BACKLOG));
        let (caption, is_seen) = (watch::Sender::new(Value::Null), watch::Sender::new(false));
        let shared = Shared { telegram, vmmanager, life, measured, bot, about, told, caption, is_seen, news };
        Self { shared: Arc::new(shared) }
    }

    /// Serves the page on a listener, and runs the simulation.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn serve(&self, listener: TcpListener) -> std::io::Result<Served> {
        let address = listener.local_addr()?;
        let router = router(self.clone());
        let server = tokio::spawn(async move {
            // Ends only when its task is aborted: axum retries failed accepts.
            let _ = axum::serve(listener, router).await;
        });
        let tasks = vec![
            server,
            tokio::spawn(self.clone().go_on()),
            tokio::spawn(self.clone().tell_changes()),
            tokio::spawn(self.clone().tell_bot()),
        ];
        Ok(Served { address, tasks })
    }

    /// Shows a step of the tour in the page.
    pub fn caption(&self, step: usize, steps: usize, text: &str) {
        let caption = json!({ "step": step, "steps": steps, "text": text });
        self.tell("tour", &caption);
        self.shared.caption.send_replace(caption);
    }

    /// Waits until somebody has opened the page.
    pub async fn wait_for_viewer(&self) {
        // `self` owns the sender, so the wait cannot fail.
        let _ = self.shared.is_seen.subscribe().wait_for(|seen| *seen).await;
    }

    /// Switches something, as the page's buttons do, and logs a failure.
    pub async fn switch(&self, switch: Switch) {
        if let Err(error) = self.try_switch(switch).await {
            tracing::warn!(%error, "a switch did nothing");
        }
    }

    /// Switches something.
    ///
    /// # Errors
    /// When there is nothing to switch, e.g. no message that could be deleted.
    pub async fn try_switch(&self, switch: Switch) -> Result<(), SwitchError> {
        let thrown = switches::throw(&self.shared, switch).await;
        self.tell("switches", &self.shared.switches());
        thrown
    }

    /// Returns where the bot's chat is.
    #[must_use]
    pub fn bot_place(&self) -> Place {
        self.shared.bot_place()
    }

    fn tell(&self, kind: &'static str, what: &Value) {
        // Without an open page nobody receives it, which is fine.
        let _ = self.shared.news.send((kind, Arc::from(what.to_string())));
    }

    /// Runs the simulated clusters and reports what changed.
    async fn go_on(self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut switches = Value::Null;
        loop {
            ticks.tick().await;
            self.live().await;
            let delta = self.shared.delta(&mut *self.shared.told.lock().await).await;
            if delta.is_news() {
                self.tell("world", &json!(delta));
            }
            // Armed faults end by themselves.
            let now = self.shared.switches();
            if switches != now {
                self.tell("switches", &now);
                switches = now;
            }
        }
    }

    async fn live(&self) {
        let Shared { vmmanager, life, measured, .. } = &*self.shared;
        let open = |task: &vmmanager::TaskSeen| task.status == "created" || task.status == "running";
        let busy: BTreeSet<VmId> =
            vmmanager.tasks().iter().filter(|task| open(task)).map(|task| task.vm).collect();
        let mut life = life.lock().await;
        vmmanager.edit(|world| life.live(world, &busy, TICK));
        vmmanager.look(|world| measured.feed(world, &life));
    }

    async fn tell_changes(self) {
        let mut changes = self.shared.telegram.changes();
        loop {
            match changes.recv().await {
                Ok(Change::Faults) => self.tell("switches", &self.shared.switches()),
                Ok(change) => self.tell("chat", &json!(change)),
                Err(broadcast::error::RecvError::Lagged(_)) => self.tell("reload", &Value::Null),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    async fn tell_bot(self) {
        let mut status = self.shared.bot.status();
        while status.changed().await.is_ok() {
            let now: BotStatus = status.borrow_and_update().clone();
            self.tell("bot", &json!(now));
        }
    }
}

impl Shared {
    async fn delta(&self, told: &mut Told) -> world::Delta {
        let tasks = shown(self.vmmanager.tasks());
        let life = self.life.lock().await;
        self.vmmanager.look(|world| told.delta(world, &life.loads(world), &tasks, life.hour()))
    }

    fn switches(&self) -> Value {
        switches::state(self)
    }

    /// Returns the configured chat, or the supergroup it became; the default chat where it does not exist.
    fn bot_place(&self) -> Place {
        let Some(Place { chat, thread }) = self.bot.variable("TELEGRAM_CHAT_ID").and_then(|id| place_of(&id))
        else {
            return SUPERGROUP.into();
        };
        let Some(there) = self.telegram.chats().into_iter().find(|view| view.id == chat) else {
            return SUPERGROUP.into();
        };
        let thread = thread.filter(|thread| there.topics.iter().any(|(topic, _)| topic == thread));
        Place { chat: there.migrated_to.unwrap_or(chat), thread }
    }

    /// Returns the page's name for the bot's chat.
    fn room(&self) -> String {
        let Place { chat, thread } = self.bot_place();
        thread.map_or_else(|| chat.to_string(), |thread| format!("{chat}/{thread}"))
    }

    /// Returns everything that a page needs when it opens.
    async fn everything(&self) -> Value {
        let telegram = &self.telegram;
        let messages = |chat: i64| {
            let messages = telegram.messages(chat);
            json!(messages[messages.len().saturating_sub(MESSAGES_SHOWN)..])
        };
        let chats: Vec<_> =
            telegram.chats().into_iter().filter(|chat| chat.kind != ChatKind::Channel).collect();
        let messages: serde_json::Map<_, _> =
            chats.iter().map(|chat| (chat.id.to_string(), messages(chat.id))).collect();
        let bot: BotStatus = self.bot.status().borrow().clone();
        let mut about = self.about.clone();
        about["room"] = json!(self.room());
        json!({
            "about": about,
            "more_faults": offers::shown(),
            "me": telegram.bot(),
            "users": telegram.users(),
            "chats": chats,
            "messages": messages,
            "world": self.delta(&mut Told::default()).await,
            "switches": self.switches(),
            "bot": bot,
            "tour": *self.caption.borrow(),
        })
    }
}

fn router(stage: Stage) -> Router {
    let file = |content: &'static str, kind: &'static str| {
        get(async move || ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], content))
    };
    let scripts = SCRIPTS.iter().fold(Router::new(), |router, (path, script)| {
        router.route(path, file(script, "text/javascript; charset=utf-8"))
    });
    scripts
        .route("/", file(INDEX, "text/html; charset=utf-8"))
        .route("/style.css", file(STYLE, "text/css; charset=utf-8"))
        .route("/api/state", get(state))
        .route("/api/events", get(events))
        .route("/api/menu", get(menu))
        .route("/api/file/{id}", get(media))
        .route("/api/say", post(say))
        .route("/api/press", post(press))
        .route("/api/switch", post(switch))
        .layer(axum::middleware::map_response(with_policy))
        .with_state(stage)
}

async fn with_policy(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

async fn state(State(stage): State<Stage>) -> Json<Value> {
    Json(stage.shared.everything().await)
}

async fn events(State(stage): State<Stage>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let news = stage.shared.news.subscribe();
    stage.shared.is_seen.send_replace(true);
    // The page reads the whole state after this event, so it misses no change in between.
    let hello = stream::once(async { Ok(Event::default().event("hello").data("{}")) });
    let rest = stream::unfold(news, async |mut news| {
        let event = match news.recv().await {
            Ok((kind, what)) => Event::default().event(kind).data(&*what),
            Err(broadcast::error::RecvError::Lagged(_)) => Event::default().event("reload").data("null"),
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((Ok(event), news))
    });
    Sse::new(stream::StreamExt::chain(hello, rest)).keep_alive(KeepAlive::default())
}

#[derive(Deserialize)]
struct MenuFor {
    user: i64,
    chat: i64,
}

async fn menu(State(stage): State<Stage>, Query(MenuFor { user, chat }): Query<MenuFor>) -> Json<Value> {
    Json(json!(stage.shared.telegram.menu(user, chat)))
}

async fn media(State(stage): State<Stage>, Path(id): Path<String>) -> Response {
    let Some(media) = stage.shared.telegram.file(&id) else { return StatusCode::NOT_FOUND.into_response() };
    // Only pictures are shown in the page. Everything else is downloaded, whatever type it claims.
    let kind = match media.mime.as_str() {
        kind @ ("image/png" | "image/jpeg") => kind.to_owned(),
        _ if media.bytes.starts_with(b"\x89PNG") => "image/png".to_owned(),
        _ => "application/octet-stream".to_owned(),
    };
    ([(header::CONTENT_TYPE, kind)], media.bytes.to_vec()).into_response()
}

#[derive(Deserialize)]
struct Said {
    user: i64,
    chat: i64,
    thread: Option<i64>,
    text: String,
    reply_to: Option<i64>,
}

async fn say(State(stage): State<Stage>, Json(said): Json<Said>) -> Response {
    let Said { user, chat, thread, text, reply_to } = said;
    let place = Place { chat, thread };
    let telegram = &stage.shared.telegram;
    answered(match reply_to {
        Some(message) => telegram.reply(user, place, message, &text),
        None => telegram.say(user, place, &text),
    })
}

#[derive(Deserialize)]
struct Pressed {
    user: i64,
    chat: i64,
    message: i64,
    button: String,
}

async fn press(State(stage): State<Stage>, Json(pressed): Json<Pressed>) -> Response {
    let Pressed { user, chat, message, button } = pressed;
    answered(stage.shared.telegram.press(user, chat, message, &button).await)
}

async fn switch(State(stage): State<Stage>, Json(switch): Json<Switch>) -> Response {
    match stage.try_switch(switch).await {
        Ok(()) => Json(stage.shared.switches()).into_response(),
        Err(error) => (StatusCode::CONFLICT, error.to_string()).into_response(),
    }
}

fn answered<T: serde::Serialize>(result: Result<T, SimError>) -> Response {
    match result {
        Ok(done) => Json(done).into_response(),
        Err(error @ SimError::NothingCame { .. }) => {
            (StatusCode::GATEWAY_TIMEOUT, error.to_string()).into_response()
        }
        Err(error) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
    }
}
