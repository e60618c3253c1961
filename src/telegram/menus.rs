//! Keeps Telegram's menus of commands. They are filled at the start, and again when a person chooses another language.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{api::Failure, bot::Shared};
use crate::talk::{
    menu::{Menu, menus},
    view::View,
};

/// Pause after a menu that could not be filled. Commands work without it, so there is no hurry.
const RETRY: Duration = Duration::from_secs(60);

/// Why a menu is not filled yet.
enum Unfilled {
    TooMany(Duration),
    Unanswered(Failure),
}

impl Shared {
    /// Fills the menus that differ from what Telegram has, until everything stops.
    pub(super) async fn keep_menus(self: Arc<Self>) {
        let mut filled: Vec<Menu> = Vec::new();
        let mut is_logged = false;
        loop {
            let wanted = menus(&self.lists(), self.settings.language, |ids| self.view_of(ids).language);
            filled.retain(|menu| wanted.contains(menu));
            let missing: Vec<_> = wanted.into_iter().filter(|menu| !filled.contains(menu)).collect();
            match self.fill(missing, &mut filled).await {
                Ok(()) => {
                    is_logged = false;
                    self.menus_wanted.notified().await;
                }
                Err(Unfilled::TooMany(wait)) => sleep(wait).await,
                Err(Unfilled::Unanswered(failure)) => {
                    if !std::mem::replace(&mut is_logged, true) {
                        tracing::warn!(error = %failure, "the menu of commands cannot be filled; will retry");
                    }
                    let _ = timeout(RETRY, self.menus_wanted.notified()).await;
                }
            }
        }
    }

    /// Fills menus one by one, until Telegram cannot be used.
    async fn fill(&self, missing: Vec<Menu>, filled: &mut Vec<Menu>) -> Result<(), Unfilled> {
        for menu in missing {
            let commands = View::new(menu.language, self.settings.timezone).menu(menu.role);
            match self.api().menu(commands, menu.scope, menu.readers.map(|language| language.code())).await {
                Ok(()) => filled.push(menu),
                Err(Failure::TooMany(wait)) => return Err(Unfilled::TooMany(wait)),
                Err(failure @ (Failure::NoAnswer(_) | Failure::Unreached(_) | Failure::BadToken)) => {
                    return Err(Unfilled::Unanswered(failure));
                }
                // A person who never wrote to the bot in private has no chat with it.
                Err(failure) => {
                    tracing::debug!(error = %failure, ?menu, "a menu of commands is refused");
                    filled.push(menu);
                }
            }
        }
        Ok(())
    }
}
