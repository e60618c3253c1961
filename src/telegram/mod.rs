//! Telegram's wire: reads updates and writes messages. What is understood and what is said is in [`crate::talk`].
//!
//! `bot` reads updates, [`TelegramNotifier`] writes. Losing Telegram stops nothing else.

mod api;
mod asking;
mod board;
mod bot;
mod chats;
mod clerk;
mod courses;
mod facts;
mod lanes;
mod languages;
mod menus;
mod notifier;
mod probe;

pub use crate::talk::cards::Spacing;
pub use bot::{Bot, BotError, Habits, Settings};
pub use notifier::{ChatTarget, TelegramNotifier};
pub use probe::{Met, Seen, meet, probe};
