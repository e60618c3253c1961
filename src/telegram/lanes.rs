//! One queue for each person, so that nobody waits for somebody else's questions.
//!
//! Presses and `/cancel` have a queue of their own: a stop passes the same person's commands that are stuck.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tracing::{Instrument as _, field::Empty};

use super::bot::Shared;
use crate::talk::dialog::{Incoming, What};

/// How many messages or presses of one person may wait. More would be answered too late to be of use.
const WAITING_MAX: usize = 32;

/// How many of one person's requests are worked on at the same time.
const AT_ONCE_MAX: usize = 4;

/// Quick commands of one person keep their order; a slow one holds up the next no longer than this.
const ORDER_PATIENCE: Duration = Duration::from_millis(300);

/// A queue that was empty for so long ends; the next message begins another.
const IDLE: Duration = Duration::from_secs(60);

/// A person, and whether the queue is the one for presses and stops.
type Lane = (i64, bool);

/// The queues of everybody who wrote lately.
#[derive(Default)]
pub(super) struct Lanes {
    queues: BTreeMap<Lane, mpsc::Sender<Incoming>>,
    workers: JoinSet<()>,
}

impl Lanes {
    /// Puts a message or a press into its person's queue; where too many wait there, it is left out.
    pub(super) fn put(&mut self, shared: &Arc<Shared>, incoming: Incoming) {
        while self.workers.try_join_next().is_some() {}
        self.queues.retain(|_, queue| !queue.is_closed());
        let lane = (incoming.sender.id(), is_urgent(&incoming.what));
        let queue = self.queues.entry(lane).or_insert_with(|| {
            let (queue, waiting) = mpsc::channel(WAITING_MAX);
            self.workers.spawn(work(Arc::clone(shared), waiting));
            queue
        });
        if queue.try_send(incoming).is_err() {
            tracing::warn!(person.id = lane.0, "a message is left out: too many of this person wait");
        }
    }

    /// Waits until all that was taken is done.
    pub(super) async fn finish(mut self) {
        self.queues.clear();
        while self.workers.join_next().await.is_some() {}
    }
}

fn is_urgent(what: &What) -> bool {
    match what {
        What::Press { .. } => true,
        What::Text { text, .. } => text.trim_start().starts_with("/cancel"),
    }
}

async fn work(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Incoming>) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let mut running = JoinSet::new();
    while let Ok(Some(incoming)) = timeout(IDLE, waiting.recv()).await {
        let Ok(permit) = Arc::clone(&at_once).acquire_owned().await else { return };
        let (done, wait) = oneshot::channel::<()>();
        let (chat, person) = (incoming.place.chat, incoming.sender.id());
        let span = tracing::info_span!("chat", chat.id = chat, person.id = person, command = Empty);
        let handler = handle(Arc::clone(&shared), incoming).instrument(span);
        running.spawn(async move {
            handler.await;
            drop((done, permit));
        });
        // An error is the end too.
        let _ = timeout(ORDER_PATIENCE, wait).await;
        while running.try_join_next().is_some() {}
    }
    waiting.close();
    while let Some(incoming) = waiting.recv().await {
        handle(Arc::clone(&shared), incoming).await;
    }
    while running.join_next().await.is_some() {}
}

/// A panic ends nothing but the handler, and the person learns of it.
async fn handle(shared: Arc<Shared>, incoming: Incoming) {
    let work = Arc::clone(&shared).handle(incoming.clone());
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!("a handler panicked");
        shared.apologise(&incoming).await;
    }
}
