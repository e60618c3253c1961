//! The bot as the sandbox sees it: a function that is started with an environment and can be killed.
//!
//! It does not know what the bot is: the caller of the sandbox passes a function that runs it. Each run has a
//! runtime of its own, so that a kill ends everything that the bot has spawned, and nothing else.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use serde::Serialize;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Mutex, watch},
};
use tokio_util::sync::CancellationToken;

use crate::clock::Shift;

/// All that a bot needs to run in the sandbox.
#[derive(Clone, Debug)]
pub struct BotEnvironment {
    /// The configuration by the contract's names, e.g. `VMMANAGER_HOST`, `TELEGRAM_API_URL`, `DATA_DIR`.
    pub variables: BTreeMap<String, String>,
    /// Cancelled when the bot should shut down.
    pub shutdown: CancellationToken,
    /// By how much its clock is to be wrong.
    pub clock_shift: Shift,
}

/// Few threads are enough: the simulated servers run on the same machine.
const THREADS: usize = 2;
/// How long a kill waits for threads that are writing, before it goes on without them.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// How long a bot may take to shut down. A running migration is left to VMmanager.
const STOP_WAIT: Duration = Duration::from_secs(15);

/// Runs a bot until it ends, on a runtime of its own. The error is shown to a person.
pub type StartBot = Arc<dyn Fn(BotEnvironment) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How the bot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BotStatus {
    Running,
    /// Killed, and not started again.
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
    variables: Arc<StdMutex<BTreeMap<String, String>>>,
    running: Arc<Mutex<Option<Run>>>,
    status: watch::Sender<BotStatus>,
    clock_shift: Shift,
}

struct Run {
    /// Empty once the bot is shutting down.
    runtime: Option<Runtime>,
    ended: watch::Receiver<bool>,
    shutdown: CancellationToken,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl BotSwitch {
    /// A bot that was not started yet.
    #[must_use]
    pub fn new(start: StartBot, variables: BTreeMap<String, String>) -> Self {
        let status = watch::Sender::new(BotStatus::Killed);
        let (variables, clock_shift) = (Arc::new(StdMutex::new(variables)), Shift::default());
        Self { start, variables, running: Arc::default(), status, clock_shift }
    }

    /// Starts the bot; one that runs is killed before.
    ///
    /// # Errors
    /// When the system provides no threads for it.
    pub async fn restart(&self) -> io::Result<()> {
        let mut running = self.running.lock().await;
        end(&mut running).await;
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        let shutdown = CancellationToken::new();
        let variables = self.variables().clone();
        let clock_shift = self.clock_shift.clone();
        let bot = (self.start)(BotEnvironment { variables, shutdown: shutdown.clone(), clock_shift });
        let (status, (tell_end, ended)) = (self.status.clone(), watch::channel(false));
        status.send_replace(BotStatus::Running);
        runtime.spawn(async move {
            let why = match bot.await {
                Ok(()) => "it ended".to_owned(),
                Err(why) => why,
            };
            status.send_replace(BotStatus::Ended { why });
            tell_end.send_replace(true);
        });
        *running = Some(Run { runtime: Some(runtime), ended, shutdown });
        Ok(())
    }

    /// Kills the bot at once, as `kill -9` would. Its files are free afterwards.
    pub async fn kill(&self) {
        let mut running = self.running.lock().await;
        end(&mut running).await;
        self.status.send_replace(BotStatus::Killed);
    }

    /// Asks the bot to end and waits for it.
    pub async fn stop(&self) {
        let mut running = self.running.lock().await;
        if let Some(run) = running.as_mut() {
            run.shutdown.cancel();
            // A bot that panicked or takes too long is killed below.
            let _ = tokio::time::timeout(STOP_WAIT, run.ended.wait_for(|ended| *ended)).await;
        }
        end(&mut running).await;
    }

    /// Returns what the bot's clock is set wrong with.
    #[must_use]
    pub fn clock_shift(&self) -> &Shift {
        &self.clock_shift
    }

    /// Returns one of the bot's variables, as its next start will have it.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables().get(name).cloned()
    }

    /// Changes a variable for the next start. A running bot is not affected.
    pub fn set_variable(&self, name: &str, value: String) {
        self.variables().insert(name.to_owned(), value);
    }

    fn variables(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.variables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the state of the bot, and lets the caller wait for changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<BotStatus> {
        self.status.subscribe()
    }
}

async fn end(running: &mut Option<Run>) {
    let Some(runtime) = running.take().and_then(|mut run| run.runtime.take()) else { return };
    // Shutting a runtime down blocks, so it must not happen on a worker thread of another runtime.
    let ending = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(KILL_WAIT));
    // Whether it returned or panicked, the bot has ended.
    let _ = ending.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kill_ends_whatever_the_bot_has_spawned() {
        let held = Arc::new(());
        let (holds, started) = (held.clone(), Arc::new(tokio::sync::Semaphore::new(0)));
        let tell = started.clone();
        let start: StartBot = Arc::new(move |_| {
            let (holds, tell) = (holds.clone(), tell.clone());
            Box::pin(async move {
                tokio::spawn(async move {
                    tell.add_permits(1);
                    std::future::pending::<()>().await;
                    drop(holds);
                });
                std::future::pending().await
            })
        });
        let bot = BotSwitch::new(start, BTreeMap::new());
        for _ in 0..3 {
            bot.restart().await.unwrap();
            started.acquire().await.unwrap().forget();
            assert_eq!(Arc::strong_count(&held), 3);
            bot.kill().await;
            assert_eq!(Arc::strong_count(&held), 2);
        }
    }

    #[tokio::test]
    async fn a_stop_lets_the_bot_end_by_itself() {
        let start: StartBot = Arc::new(|environment: BotEnvironment| {
            Box::pin(async move {
                environment.shutdown.cancelled().await;
                Err("in good order".to_owned())
            })
        });
        let bot = BotSwitch::new(start, BTreeMap::new());
        bot.restart().await.unwrap();
        bot.stop().await;
        assert_eq!(*bot.status().borrow(), BotStatus::Ended { why: "in good order".into() });
    }
}
