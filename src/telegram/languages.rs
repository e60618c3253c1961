//! Which language a person or a chat chose. It outlives a restart; the reader of updates and the writer share it.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    store::{Store, StoreError},
    talk::Language,
};

/// Where the choices are in the store's tree of chats.
const KEY: &str = "lang:";

/// The chosen languages; cheap to clone. A private chat has the number of its person, so one table serves both.
#[derive(Clone)]
pub(super) struct Languages {
    store: Store,
    default: Language,
    chosen: Arc<RwLock<BTreeMap<i64, Language>>>,
}

impl Languages {
    pub(super) fn open(store: Store, default: Language) -> Result<Self, StoreError> {
        let rows: Vec<(String, Language)> = store.chats().with_prefix(KEY)?;
        let read =
            |(key, language): (String, Language)| Some((key.strip_prefix(KEY)?.parse().ok()?, language));
        let chosen = rows.into_iter().filter_map(read).collect();
        Ok(Self { store, default, chosen: Arc::new(RwLock::new(chosen)) })
    }

    /// Returns the language of the first of these people and chats that chose one, else the configured one.
    pub(super) fn of(&self, ids: &[i64]) -> Language {
        ids.iter().find_map(|id| self.chosen_by(*id)).unwrap_or(self.default)
    }

    /// Returns what a person or a chat chose; `None` for no choice.
    pub(super) fn chosen_by(&self, id: i64) -> Option<Language> {
        self.chosen.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    /// Returns every choice.
    pub(super) fn all(&self) -> BTreeMap<i64, Language> {
        self.chosen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a choice, or takes one back; on disk when this returns.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; nothing is changed then.
    pub(super) fn choose(&self, id: i64, language: Option<Language>) -> Result<(), StoreError> {
        let key = format!("{KEY}{id}");
        let mut chosen = self.chosen.write().unwrap_or_else(PoisonError::into_inner);
        match language {
            Some(language) => {
                self.store.chats().put(&key, &language)?;
                chosen.insert(id, language);
            }
            None => {
                self.store.chats().remove(&key)?;
                chosen.remove(&id);
            }
        }
        Ok(())
    }

    /// A group has a new number: its language goes with it.
    pub(super) fn follow_move(&self, from: i64, to: i64) {
        let Some(language) = self.chosen_by(from) else { return };
        if let Err(error) = self.choose(to, Some(language)) {
            tracing::warn!(chat.id = to, %error, "the language of a chat is not on disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_outlives_a_restart_and_a_person_goes_before_the_chat() {
        let dir = tempfile::tempdir().unwrap();
        {
            let languages = Languages::open(Store::open(dir.path()).unwrap(), Language::En).unwrap();
            languages.choose(-100, Some(Language::Ru)).unwrap();
            languages.choose(7, Some(Language::En)).unwrap();
            languages.choose(8, Some(Language::Ru)).unwrap();
            languages.choose(8, None).unwrap();
            languages.follow_move(-100, -1000);
        }
        let languages = Languages::open(Store::open(dir.path()).unwrap(), Language::En).unwrap();
        assert_eq!(languages.of(&[7, -100]), Language::En, "the person goes first");
        assert_eq!(languages.of(&[8, -100]), Language::Ru, "the chat's choice");
        assert_eq!(languages.of(&[8]), Language::En, "the configured one");
        assert_eq!(languages.chosen_by(-1000), Some(Language::Ru), "a group keeps it under its new number");
    }
}
