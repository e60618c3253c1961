//! The conversation: what is understood and what is said. Pure: data in, data out.
//!
//! [`command`] reads, [`access`] knows who may do what, [`dialog`] decides what follows,
//! [`words`] says reasons, [`view`] makes pages of them, `cards` keeps the messages in a chat up to date.
//! Nothing here knows Telegram: another front-end would read and write in its own way and share all of this.

pub mod access;
pub(crate) mod cards;
pub mod command;
pub mod dialog;
pub mod press;
#[cfg(test)]
pub(crate) mod samples;
pub mod view;
pub mod words;

pub use words::Language;
