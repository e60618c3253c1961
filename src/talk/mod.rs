//! The conversation: what is understood and what is said. Pure: data in, data out.
//!
//! `verbs` has each command in a file of its own, [`access`] knows who may do what, [`dialog`] decides what follows,
//! [`words`] says reasons, [`view`] makes pages of them, `cards` keeps the messages in a chat up to date.
//! Nothing here knows Telegram: another front-end would read and write in its own way and share all of this.

pub mod access;
pub mod ask;
pub(crate) mod cards;
pub(crate) mod chart;
pub mod dialog;
mod grammar;
mod hand;
pub mod menu;
pub mod proposal;
pub mod rows;
#[cfg(test)]
pub(crate) mod samples;
mod verb;
mod verbs;
pub mod view;
pub mod words;

pub use verbs::HistoryPage;
pub use words::Language;
