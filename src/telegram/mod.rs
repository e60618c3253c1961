//! Telegram's wire: reads updates and writes messages. What is understood and what is said is in [`crate::talk`].
//!
//! `bot` reads updates, [`TelegramNotifier`] writes. Losing Telegram stops nothing else.

mod api;
mod bot;
mod chats;
mod notifier;

pub use crate::talk::cards::{Bell, Spacing};
pub use bot::{Bot, BotError, Settings, name, reach};
pub use notifier::{ChatTarget, TelegramNotifier};
