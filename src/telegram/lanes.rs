//! One queue for each person, so that nobody waits for somebody else's questions.
//!
//! Presses and `/cancel` have a queue of their own: a stop passes the same person's commands that are stuck.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tracing::{Instrument as _, field::Empty};

use super::{
    bot::{Answered, Shared},
    clerk::Receipt,
};
use crate::{
    meter::Beat,
    talk::dialog::{Incoming, What},
};

/// How many messages or presses of one person may wait. More would be answered too late to be of use.
const WAITING_MAX: usize = 32;

/// How many of one person's requests are worked on at the same time.
const AT_ONCE_MAX: usize = 4;

/// Quick commands of one person keep their order; a slow one holds up the next no longer than this.
const ORDER_PATIENCE: Duration = Duration::from_millis(300);

/// How long messages may wait while none is begun. A person's questions wait for VMmanager, which takes minutes at
/// worst; longer than this, the queues hang.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// A queue that was empty for this long ends; the next message begins another.
const IDLE: Duration = Duration::from_secs(60);

/// A message or a press, its record on the way to the disk, and when it came.
type Taken = (Incoming, Receipt, Instant);

/// A person, and whether the queue is the one for presses and stops.
type Lane = (i64, bool);

/// The queues of everybody who wrote lately.
pub(super) struct Lanes {
    queues: BTreeMap<Lane, mpsc::Sender<Taken>>,
    workers: JoinSet<()>,
    beat: Beat,
}

impl Lanes {
    /// No queues yet. `beat` is their sign of life.
    pub(super) fn new(beat: Beat) -> Self {
        Self { queues: BTreeMap::new(), workers: JoinSet::new(), beat }
    }

    /// Makes the sign of life of queues.
    pub(super) fn beat() -> Beat {
        Beat::new("lanes", SILENCE)
    }

    /// Where nothing waits the queues are well. To be called at least every `pause`.
    pub(super) fn look(&self, pause: Duration) {
        let is_empty = |queue: &mpsc::Sender<Taken>| queue.capacity() == queue.max_capacity();
        if self.queues.values().all(|queue| queue.is_closed() || is_empty(queue)) {
            self.beat.again_within(pause.saturating_add(SILENCE));
        }
    }

    /// Puts a message or a press into its person's queue; where too many wait there, it is left out.
    pub(super) fn put(&mut self, shared: &Arc<Shared>, incoming: Incoming, recorded: Receipt) {
        while self.workers.try_join_next().is_some() {}
        self.queues.retain(|_, queue| !queue.is_closed());
        let lane = (incoming.sender.id(), is_urgent(&incoming.what));
        let queue = self.queues.entry(lane).or_insert_with(|| {
            let (queue, waiting) = mpsc::channel(WAITING_MAX);
            self.workers.spawn(work(Arc::clone(shared), waiting, self.beat.clone()));
            queue
        });
        if queue.try_send((incoming, recorded, Instant::now())).is_err() {
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

async fn work(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Taken>, beat: Beat) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let mut running = JoinSet::new();
    let mut before = None;
    while let Ok(Some((incoming, recorded, came))) = timeout(IDLE, waiting.recv()).await {
        let word_at = came + shared.settings.word_within;
        let answered = in_turn(&shared, &incoming, word_at, before.take()).await;
        let Ok(permit) = Arc::clone(&at_once).acquire_owned().await else { return };
        beat.again_within(SILENCE);
        let (done, wait) = oneshot::channel::<()>();
        let (chat, person) = (incoming.place.chat, incoming.sender.id());
        let span = tracing::info_span!("chat", chat.id = chat, person.id = person, command = Empty);
        let handler = handle(Arc::clone(&shared), incoming, recorded, answered, word_at).instrument(span);
        running.spawn(async move {
            handler.await;
            drop((done, permit));
        });
        before = Some(Before { ended: wait, until: Instant::now() + ORDER_PATIENCE });
        while running.try_join_next().is_some() {}
    }
    waiting.close();
    while let Some((incoming, recorded, came)) = waiting.recv().await {
        let word_at = came + shared.settings.word_within;
        handle(Arc::clone(&shared), incoming, recorded, Answered::No, word_at).await;
    }
    while running.join_next().await.is_some() {}
}

/// What the same person asked before.
struct Before {
    /// Closes when it is done.
    ended: oneshot::Receiver<()>,
    /// It holds up the next one until then at the latest.
    until: Instant,
}

/// Waits until what came before is done or has had its time. A press that waits past `word_at` has its word then.
async fn in_turn(shared: &Shared, incoming: &Incoming, word_at: Instant, before: Option<Before>) -> Answered {
    let Some(Before { mut ended, until }) = before else { return Answered::No };
    let word_at = until.min(word_at);
    // An error is the end too.
    if timeout_at(word_at, &mut ended).await.is_ok() || word_at == until {
        return Answered::No;
    }
    let answered = shared.take_press(incoming).await;
    let _ = timeout_at(until, &mut ended).await;
    answered
}

/// A panic ends nothing but the handler, and the person learns of it.
async fn handle(
    shared: Arc<Shared>,
    incoming: Incoming,
    recorded: Receipt,
    answered: Answered,
    word_at: Instant,
) {
    let work = Arc::clone(&shared).handle(incoming.clone(), recorded, answered, word_at);
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!("a handler panicked");
        shared.apologise(&incoming).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::{
        access::{Place, Sender},
        samples::{anna, now},
    };

    #[test]
    fn queues_in_which_something_waits_and_nothing_begins_are_late() {
        let mut lanes = Lanes::new(Lanes::beat());
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        lanes.queues.insert((1, false), queue.clone());
        let late_after_a_look = |lanes: &Lanes| {
            lanes.beat.again_within(Duration::ZERO);
            lanes.look(Duration::ZERO);
            lanes.beat.is_late()
        };
        assert!(!late_after_a_look(&lanes), "nothing waits");
        queue.try_send((incoming(), Receipt::of_nothing(), Instant::now())).unwrap();
        assert!(late_after_a_look(&lanes), "nobody takes it");
        drop(waiting);
        assert!(!late_after_a_look(&lanes), "a queue that has ended holds up nobody");
    }

    fn incoming() -> Incoming {
        Incoming {
            place: Place { chat: 1, private: true },
            thread: None,
            message: 1,
            sender: Sender::Person(anna()),
            what: What::Text { text: "/status".into(), at: now(), quoted: false },
        }
    }
}
