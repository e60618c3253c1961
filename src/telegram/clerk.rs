//! Puts on disk what no answer waits for: who asked what, which updates were taken, which messages show what.
//!
//! Whatever waits is written together, so a slow disk is waited for once and by nobody who only asks. Who must not go on
//! before a note is on disk waits for its [`Receipt`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use crate::{
    store::{Note, Store, StoreError},
    talk::{cards::Card, dialog::Under},
};

/// How many notes may wait. A disk that takes this long holds up the chat after all, and memory has a bound.
const WAITING_MAX: usize = 1024;

/// How many notes are written together at most.
const TOGETHER_MAX: usize = 256;

/// Takes notes and lets a task of its own write them; cheap to clone.
#[derive(Clone)]
pub(super) struct Clerk {
    store: Store,
    queue: mpsc::Sender<Waiting>,
    /// Updates whose notes wait.
    updates: Arc<Mutex<BTreeSet<u64>>>,
}

/// A note that waits, and who waits for it.
struct Waiting {
    note: Note,
    written: oneshot::Sender<bool>,
}

/// What the clerk writes from.
pub(super) struct Desk {
    store: Store,
    queue: mpsc::Receiver<Waiting>,
    updates: Arc<Mutex<BTreeSet<u64>>>,
    results: mpsc::UnboundedSender<CardsWritten>,
}

/// What became of the records of cards that were written together.
#[derive(Debug)]
pub(super) struct CardsWritten {
    /// The keys of the records in the outbox.
    pub(super) keys: Vec<String>,
    pub(super) error: Option<StoreError>,
}

/// Tells whether a note is on disk.
#[derive(Debug)]
pub(super) struct Receipt(oneshot::Receiver<bool>);

impl Receipt {
    /// Waits until the note was tried to be written; false where it is not on disk.
    pub(super) async fn wait(self) -> bool {
        self.0.await.unwrap_or(false)
    }

    /// A receipt for what nobody writes.
    #[cfg(test)]
    pub(super) fn of_nothing() -> Self {
        Self(oneshot::channel().1)
    }
}

/// What the store says of an update.
pub(super) enum Claim {
    /// It was not taken before. What it asks for may be done once it is recorded.
    New(Receipt),
    /// It came before.
    Known,
    /// The store cannot tell. It could be done twice, so it is not done.
    Unrecorded,
}

impl Clerk {
    /// Makes the clerk, what it writes from, and where it tells of cards.
    pub(super) fn new(store: Store) -> (Self, Desk, mpsc::UnboundedReceiver<CardsWritten>) {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        // At most one for each writing, and each writing waits for the disk.
        let (results, written) = mpsc::unbounded_channel();
        let updates = Arc::<Mutex<BTreeSet<u64>>>::default();
        let desk = Desk { store: store.clone(), queue: waiting, updates: Arc::clone(&updates), results };
        (Self { store, queue, updates }, desk, written)
    }

    /// Takes a note. Waits only where too many wait already.
    pub(super) async fn note(&self, note: Note) -> Receipt {
        let (written, receipt) = oneshot::channel();
        // A clerk that has ended drops the note, and the receipt says so.
        let _ = self.queue.send(Waiting { note, written }).await;
        Receipt(receipt)
    }

    /// As [`Self::note`]; `None` where too many wait.
    pub(super) fn try_note(&self, note: Note) -> Option<Receipt> {
        let (written, receipt) = oneshot::channel();
        self.queue.try_send(Waiting { note, written }).ok().map(|()| Receipt(receipt))
    }

    /// Notes that an update is taken, unless it was before.
    pub(super) async fn claim(&self, update: u64, now: DateTime<Utc>) -> Claim {
        if !lock(&self.updates).insert(update) {
            return Claim::Known;
        }
        match self.store.knows_update(update, now) {
            Ok(false) => Claim::New(self.note(Note::Update(update, now)).await),
            known => {
                lock(&self.updates).remove(&update);
                let said = known.inspect_err(|error| {
                    tracing::error!(%error, update, "an update cannot be recorded and is left alone");
                });
                said.map_or(Claim::Unrecorded, |_| Claim::Known)
            }
        }
    }
}

impl Desk {
    /// Writes until nobody can note anything any more.
    pub(super) async fn write(mut self) {
        let mut waiting = Vec::new();
        while self.queue.recv_many(&mut waiting, TOGETHER_MAX).await > 0 {
            self.write_together(std::mem::take(&mut waiting)).await;
        }
    }

    async fn write_together(&self, waiting: Vec<Waiting>) {
        let (notes, receipts): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|Waiting { note, written }| (note, written)).unzip();
        let (mut keys, mut updates, mut others) = (Vec::new(), Vec::new(), 0);
        for note in &notes {
            match note {
                Note::Kept(key, _) => keys.push(key.clone()),
                Note::Update(update, _) => updates.push(*update),
                Note::Audit(_) => others += 1,
                // An alert that is shown once more, or a card that is compared once more, is no loss.
                Note::Dropped(_) | Note::Shown(_) => {}
            }
        }
        let store = self.store.clone();
        let written = tokio::task::spawn_blocking(move || store.note_together(&notes)).await;
        let written = written.unwrap_or_else(|error| Err(StoreError::Broken(error.to_string())));
        if let Err(error) = &written
            && others + updates.len() > 0
        {
            tracing::error!(%error, audit = others, updates = updates.len(), "what people asked cannot be recorded");
        }
        lock(&self.updates).retain(|update| !updates.contains(update));
        let is_written = written.is_ok();
        if !keys.is_empty() {
            // Nobody listens any more where everything stops.
            let _ = self.results.send(CardsWritten { keys, error: written.err() });
        }
        // Not everybody waits for a receipt.
        for receipt in receipts {
            let _ = receipt.send(is_written);
        }
    }
}

/// The cards as they are shown, whether they are on disk or not; cheap to clone. The reader of updates asks the writer's
/// cards by this.
#[derive(Clone, Default)]
pub(super) struct Shown(Arc<Mutex<BTreeMap<String, Card>>>);

impl Shown {
    /// Takes over the cards of an earlier process.
    pub(super) fn of(cards: impl IntoIterator<Item = Card>) -> Self {
        let cards = cards.into_iter().map(|card| (card.key(), card)).collect();
        Self(Arc::new(Mutex::new(cards)))
    }

    pub(super) fn put(&self, card: Card) {
        lock(&self.0).insert(card.key(), card);
    }

    pub(super) fn remove(&self, key: &str) {
        lock(&self.0).remove(key);
    }

    /// Returns what a message shows; `None` where no card is known for it.
    pub(super) fn under(&self, chat: i64, message: i32) -> Option<Under> {
        lock(&self.0).values().find_map(|card| card.under(chat, message))
    }

    /// Tells whether the alert with this key has a message whose buttons still mean something.
    pub(super) fn is_open(&self, key: &str) -> bool {
        lock(&self.0).get(key).is_some_and(|card| card.urgency().is_some())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{store::AuditEntry, talk::samples::now};

    #[tokio::test]
    async fn an_update_is_claimed_once_also_while_its_record_waits() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (clerk, desk, _written) = Clerk::new(store.clone());
        let is_new = async |update| matches!(clerk.claim(update, now()).await, Claim::New(_));
        let Claim::New(receipt) = clerk.claim(7, now()).await else { panic!("it is new") };
        assert_eq!((is_new(7).await, is_new(8).await, is_new(8).await), (false, true, false));
        assert!(!store.knows_update(7, now()).unwrap(), "nobody writes yet");
        let writing = tokio::spawn(desk.write());
        assert!(receipt.wait().await);
        assert!(store.knows_update(7, now()).unwrap());
        assert!(!is_new(7).await);
        drop(clerk);
        writing.await.unwrap();
        assert!(store.knows_update(8, now()).unwrap(), "what waits at the end is written");
    }

    #[tokio::test]
    async fn who_waits_for_a_note_learns_that_it_is_not_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (clerk, desk, mut written) = Clerk::new(store.clone());
        let audit = clerk.note(Note::Audit(AuditEntry::new(now(), None, "command", "/pause"))).await;
        let unwritable = dir.path().join("store");
        store.close_for_test();
        // Opening anew fails: a file is in the place of the folder.
        std::fs::rename(&unwritable, dir.path().join("aside")).unwrap();
        std::fs::write(&unwritable, "").unwrap();
        let card = clerk.note(Note::keep("card:1", &1).unwrap()).await;
        let writing = tokio::spawn(desk.write());
        assert!(!audit.wait().await && !card.wait().await);
        let CardsWritten { keys, error } = written.recv().await.unwrap();
        assert!(keys == ["card:1"] && error.is_some());
        assert!(matches!(clerk.claim(1, now()).await, Claim::Unrecorded), "nothing can be read either");
        drop(clerk);
        tokio::time::timeout(Duration::from_secs(20), writing).await.unwrap().unwrap();
    }
}
