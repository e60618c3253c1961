//! What is known of chats and outlives a restart: which group became which supergroup, and whether one is closed to
//! the bot. The reader of updates and the writer share it.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};

use crate::{
    store::{Store, StoreError},
    talk::cards,
};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    v: u32,
    moved_to: Option<i64>,
    /// Why nothing can be sent there.
    dead: Option<String>,
}

/// What is known of chats; cheap to clone.
#[derive(Clone)]
pub(super) struct Chats {
    store: Store,
    known: Arc<RwLock<BTreeMap<i64, Known>>>,
}

impl Chats {
    pub(super) fn open(store: Store) -> Result<Self, StoreError> {
        let rows: Vec<(String, Known)> = store.chats().with_prefix("chat:")?;
        let known = rows
            .into_iter()
            .filter_map(|(key, known)| Some((key.strip_prefix("chat:")?.parse().ok()?, known)))
            .collect();
        Ok(Self { store, known: Arc::new(RwLock::new(known)) })
    }

    /// Returns the chat's present number.
    pub(super) fn resolve(&self, chat: i64) -> i64 {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        cards::resolve(chat, |chat| known.get(&chat).and_then(|known| known.moved_to))
    }

    /// Returns the groups with a new number.
    pub(super) fn moves(&self) -> BTreeMap<i64, i64> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(|(chat, known)| Some((*chat, known.moved_to?))).collect()
    }

    /// Notes that a group became a supergroup; true where that was not known.
    pub(super) fn note_move(&self, from: i64, to: i64) -> bool {
        from != to && self.change(from, |known| known.moved_to.replace(to) != Some(to))
    }

    /// Notes that nothing can be sent there; true where that was not known.
    pub(super) fn dead(&self, chat: i64, why: &str) -> bool {
        self.change(chat, |known| known.dead.replace(why.to_owned()).is_none())
    }

    /// Notes that something was heard from there; true where it was dead.
    pub(super) fn alive(&self, chat: i64) -> bool {
        let was_dead = self.dead_chats().contains(&chat);
        was_dead && self.change(chat, |known| known.dead.take().is_some())
    }

    pub(super) fn dead_chats(&self) -> Vec<i64> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(_, known)| known.dead.is_some()).map(|(chat, _)| *chat).collect()
    }

    fn change(&self, chat: i64, change: impl FnOnce(&mut Known) -> bool) -> bool {
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(chat).or_default();
        known.v = 1;
        let changed = change(known);
        if changed && let Err(error) = self.store.chats().put(&format!("chat:{chat}"), known) {
            // It is known until the next start, and will be found out again then.
            tracing::warn!(chat.id = chat, %error, "what is known of a chat is not on disk");
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_and_closed_chats_outlive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        {
            let chats = Chats::open(Store::open(dir.path()).unwrap()).unwrap();
            assert!(chats.note_move(-1, -100));
            assert!(!chats.note_move(-1, -100));
            assert!(chats.dead(-5, "kicked"));
        }
        let chats = Chats::open(Store::open(dir.path()).unwrap()).unwrap();
        assert_eq!((chats.resolve(-1), chats.resolve(-100), chats.resolve(7)), (-100, -100, 7));
        assert_eq!(chats.dead_chats(), [-5]);
        assert!(chats.alive(-5));
        assert!(!chats.alive(-5));
    }
}
