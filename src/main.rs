//! Starts the program: the arguments, the environment and the clock of the real world.

use std::{env::args_os, io::stdout, process::ExitCode};

use vm_balancer::{cli, clock::Clock};

fn main() -> ExitCode {
    let exit = cli::run(args_os().collect(), cli::environment(), &Clock::system(), &mut stdout());
    ExitCode::from(exit as u8)
}
