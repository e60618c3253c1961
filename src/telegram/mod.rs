//! The chat: commands in, texts out.

pub mod access;
pub mod command;
pub mod press;
#[cfg(test)]
mod samples;
mod text;
pub mod view;

pub use text::Language;
