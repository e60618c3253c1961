//! Starts the program: the arguments, the environment and the clock of the real world.

use std::{
    collections::BTreeMap,
    io::{Write as _, stderr, stdout},
    process::ExitCode,
    time::Duration,
};

use clap::Parser as _;
use vm_balancer::{
    cli::{self, Args},
    clock::Clock,
};

/// Work that is still on a thread when everything has ended is a read of a file: nothing is lost with it.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Without standard error the status is all there is to say.
            let _ = writeln!(stderr(), "vm-balancer: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(cli::run(&args, environment(), &Clock::system(), &mut stdout()));
    runtime.shutdown_timeout(LAST_PATIENCE);
    ExitCode::from(exit as u8)
}

/// Names and values that are no UTF-8 cannot be ours.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
