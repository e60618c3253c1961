//! A Bot API server on loopback, as strict as Telegram's and with its texts.
//!
//! It knows nothing about the bot that uses it. People write and press through [`SimTelegram`], from a test
//! or from the chat page. A bot sees all of that over HTTP only.

mod cast;
mod connection;
mod faults;
mod found;
mod handle;
mod html;
mod keyboard;
mod menu;
mod message;
mod methods;
mod params;
mod refusal;
mod server;
mod state;
mod updates;

use std::{
    net::SocketAddr,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::JoinHandle,
};

pub use cast::{
    ADMIN, ANONYMOUS_ADMIN, Appears, CHANNEL, CHANNEL_BOT, CROWD, ChatKind, FORUM, GROUP,
    GROUP_ANONYMOUS_BOT, NEWS, OPERATOR, OPS_TOPIC, Place, Role, STRANGER, SUPERGROUP, TALK_TOPIC, User,
    VIEWER,
};
pub use faults::Faults;
pub use handle::{ChatView, SimError};
pub use html::{Entity, EntityKind, Formatted, HtmlError};
pub use message::{Author, Button, Media, MediaKind, Revision, Service, SimMessage};
pub use state::{Answer, Change, Command, Request};

use crate::clock::Clock;
use connection::{BreakableListener, Breaker, Cut};
use state::State;

/// How the server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The bot's token; the number before the colon is the bot's id.
    pub token: String,
    /// The bot's name behind the `@`.
    pub username: String,
    /// The clock that dates messages and ends the time to answer presses.
    pub clock: Clock,
    /// Whether a group takes 20 messages and edits a minute, as Telegram's do.
    pub rate_limit: bool,
    /// How many people there are besides the named ones: their ids begin with [`CROWD`].
    pub crowd: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: "700000001:simulated_bot_token_35_letters_long".to_owned(),
            username: "vm_balancer_bot".to_owned(),
            clock: Clock::system(),
            rate_limit: false,
            crowd: 0,
        }
    }
}

/// The simulated Telegram: what people do and see in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SimTelegram {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts changes, so that a caller can wait for one.
    version: watch::Sender<u64>,
    changes: broadcast::Sender<Change>,
    clock: Clock,
    token: String,
    breaker: Breaker,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    telegram: SimTelegram,
    addr: SocketAddr,
    server: JoinHandle<()>,
}

/// How many changes a page may lag behind. One that lags further reads everything again.
const CHANGES_BACKLOG: usize = 1024;

impl SimTelegram {
    /// Starts a server.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use vm_balancer::sandbox::telegram::{ADMIN, Options, SimTelegram};
    ///
    /// let telegram = SimTelegram::start(Options::default()).await.unwrap();
    /// telegram.say(ADMIN, ADMIN, "/status").unwrap();
    /// let updates = format!("{}/bot{}/getUpdates", telegram.url(), telegram.token());
    /// let updates = reqwest::get(updates).await.unwrap().text().await.unwrap();
    /// assert!(updates.contains("/status"));
    /// # });
    /// ```
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(options: Options) -> std::io::Result<Running> {
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let id = options.token.split(':').next().and_then(|id| id.parse().ok()).unwrap_or(700_000_001);
        let bot = cast::bot(id, &options.username);
        let breaker = Breaker::default();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(bot, &options)),
            version: watch::Sender::new(0),
            changes: broadcast::Sender::new(CHANGES_BACKLOG),
            clock: options.clock,
            token: options.token,
            breaker: breaker.clone(),
        });
        let service = server::router(shared.clone()).into_make_service_with_connect_info::<Cut>();
        let server = tokio::spawn(async move {
            // Ends only when its task is aborted: axum retries failed accepts.
            let _ = axum::serve(BreakableListener { listener, breaker }, service).await;
        });
        Ok(Running { telegram: Self { shared }, addr, server })
    }
}

impl Running {
    /// Returns the base URL for `TELEGRAM_API_URL` or teloxide's `set_api_url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns a handle that may outlive this guard.
    #[must_use]
    pub fn handle(&self) -> SimTelegram {
        self.telegram.clone()
    }
}

impl Deref for Running {
    type Target = SimTelegram;

    fn deref(&self) -> &SimTelegram {
        &self.telegram
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.breaker.set_away(true);
        self.server.abort();
    }
}

impl Shared {
    /// Reads or changes the state without a notification.
    fn look<R>(&self, work: impl FnOnce(&mut State, DateTime<Utc>) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut state, self.clock.now())
    }

    /// Changes the state and notifies those that wait for a change.
    fn with<R>(&self, work: impl FnOnce(&mut State, DateTime<Utc>) -> R) -> R {
        let (result, changes) = self.look(|state, now| {
            let result = work(state, now);
            (result, std::mem::take(&mut state.changes))
        });
        for change in changes {
            // Without an open page nobody receives it, which is fine.
            let _ = self.changes.send(change);
        }
        self.version.send_modify(|version| *version += 1);
        result
    }
}
