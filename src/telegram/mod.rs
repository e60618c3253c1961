//! The chat: commands and presses in, texts out.
//!
//! Deciding is pure: [`command`] reads, [`access`] knows who may what, [`dialog`] says what follows, [`view`] has
//! every text. `bot` reads updates, [`TelegramNotifier`] writes. Losing Telegram stops nothing else.

pub mod access;
mod api;
mod bot;
mod chats;
pub mod command;
pub mod dialog;
mod notifier;
mod outbox;
pub mod press;
#[cfg(test)]
mod samples;
mod text;
pub mod view;

pub use bot::{Bot, BotError, POLL_TIMEOUT, SECOND_POLLER_PAUSE, Settings, name, reach};
pub use notifier::{ChatTarget, TelegramNotifier};
pub use outbox::Spacing;
pub use text::Language;
