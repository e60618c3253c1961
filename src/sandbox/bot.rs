//! The bot as the sandbox sees it: something that is started with an environment, and can be killed.
//!
//! It does not know what the bot is: whoever starts the sandbox brings a function that runs it.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use serde::Serialize;
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// All that a bot needs to run in the sandbox.
#[derive(Clone, Debug)]
pub struct BotEnvironment {
    /// The configuration by the contract's names, e.g. `VMMANAGER_HOST`, `TELEGRAM_API_URL`, `DATA_DIR`.
    pub variables: BTreeMap<String, String>,
    /// Cancelled when the bot should end in good order.
    pub shutdown: CancellationToken,
}

/// Runs a bot until it ends; dropping the future kills it. The error is what a person is told.
pub type StartBot = Arc<dyn Fn(BotEnvironment) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How the bot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BotStatus {
    Running,
    /// Killed by somebody, and not started again.
    Killed,
    /// Ended by itself.
    Ended {
        why: String,
    },
}

/// Starts, kills and starts again; cheap to clone.
#[derive(Clone)]
pub struct BotSwitch {
    start: StartBot,
    variables: Arc<BTreeMap<String, String>>,
    running: Arc<Mutex<Option<Run>>>,
    status: watch::Sender<BotStatus>,
}

struct Run {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl BotSwitch {
    /// A bot that was not started yet.
    #[must_use]
    pub fn new(start: StartBot, variables: BTreeMap<String, String>) -> Self {
        let status = watch::Sender::new(BotStatus::Killed);
        Self { start, variables: Arc::new(variables), running: Arc::default(), status }
    }

    /// Starts the bot; one that runs is killed before.
    pub async fn restart(&self) {
        let mut running = self.running.lock().await;
        end(&mut running, End::Killed).await;
        let shutdown = CancellationToken::new();
        let variables = self.variables.as_ref().clone();
        let bot = (self.start)(BotEnvironment { variables, shutdown: shutdown.clone() });
        let status = self.status.clone();
        status.send_replace(BotStatus::Running);
        let task = tokio::spawn(async move {
            let why = match bot.await {
                Ok(()) => "it ended".to_owned(),
                Err(why) => why,
            };
            status.send_replace(BotStatus::Ended { why });
        });
        *running = Some(Run { task, shutdown });
    }

    /// Kills the bot in the middle of whatever it does, as `kill -9` would.
    pub async fn kill(&self) {
        let mut running = self.running.lock().await;
        end(&mut running, End::Killed).await;
        self.status.send_replace(BotStatus::Killed);
    }

    /// Asks the bot to end and waits for it.
    pub async fn stop(&self) {
        end(&mut *self.running.lock().await, End::InGoodOrder).await;
    }

    /// Returns how the bot is, and tells of changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<BotStatus> {
        self.status.subscribe()
    }
}

enum End {
    Killed,
    InGoodOrder,
}

async fn end(running: &mut Option<Run>, how: End) {
    let Some(Run { task, shutdown }) = running.take() else { return };
    match how {
        End::Killed => task.abort(),
        End::InGoodOrder => shutdown.cancel(),
    }
    // An aborted task ends with an error that says so; either way it is gone then, and its files are free.
    let _ = task.await;
}
