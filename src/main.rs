//! Starts the program: the arguments, the environment and the clock of the real world.

use std::{collections::BTreeMap, io::stdout, process::ExitCode};

use clap::Parser as _;
use vm_balancer::{
    cli::{self, Args},
    clock::Clock,
};

fn main() -> ExitCode {
    let exit = cli::run(&Args::parse(), environment(), &Clock::system(), &mut stdout());
    ExitCode::from(exit as u8)
}

/// Names and values that are no UTF-8 cannot be ours.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
