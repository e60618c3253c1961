//! The command line: its arguments, and its results as text, JSON and CSV.
//!
//! Results go to standard output, everything else to standard error. Every text here is made by a pure function.

mod args;
mod check;
#[cfg(feature = "sandbox")]
mod curve;
mod history;
mod init;
mod json;
mod logging;
mod progress;
mod reload;
mod report;
mod run;
#[cfg(feature = "sandbox")]
mod sandbox;
mod table;
mod text;

pub use crate::app::environment;
pub use args::{Args, Command};
pub use history::{Format as HistoryFormat, Telling};
pub use json::report as report_json;
pub use report::{Became, Ending, Outcomes, Report};
pub use run::{Exit, run};
#[cfg(feature = "sandbox")]
pub use sandbox::{SandboxArgs, real_bot};
pub use text::report as report_text;

#[cfg(test)]
mod tests;
