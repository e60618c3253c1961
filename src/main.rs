//! Starts the program: the arguments, the environment and the clock of the real world.

use std::{io::stdout, process::ExitCode};

use clap::Parser as _;
use vm_balancer::{
    cli::{self, Args},
    clock::Clock,
};

fn main() -> ExitCode {
    let exit = cli::run(&Args::parse(), cli::environment(), &Clock::system(), &mut stdout());
    ExitCode::from(exit as u8)
}
