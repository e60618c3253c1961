//! The conversation: what is understood and what is said. Pure: data in, data out.
//!
//! [`command`] reads, [`access`] knows who may do what, [`dialog`] decides what follows, [`view`] has every text.
//! Nothing here knows Telegram: another front-end would read and write in its own way and share all of this.

pub mod access;
pub mod command;
pub mod dialog;
pub mod press;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod text;
pub mod view;

pub use text::Language;
