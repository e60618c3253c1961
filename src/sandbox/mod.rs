//! Everything simulated, so that the bot can be tried and tested without VMmanager, Telegram or a network.

pub mod telegram;
