//! What may stand on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Keeps the VMs of VMmanager 6 clusters well spread over their nodes.
///
/// Without a command: the Telegram bot and the scheduler. Everything is configured with variables, in a file or in
/// the environment; config.env.example names them all.
#[derive(Clone, Debug, Parser)]
#[command(name = "vm-balancer", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// File with the configuration [default: .env, where there is one]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Change nothing: plan and tell only (DRY_RUN)
    #[arg(long)]
    pub dry_run: bool,
    /// Run one cycle, carry its plan out, and end
    #[arg(long)]
    pub once: bool,
    /// Seconds between cycles (BALANCE_INTERVAL)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub interval: Option<u32>,
    /// Only these clusters (CLUSTER_IDS)
    #[arg(long, value_name = "1,2,3", global = true)]
    pub cluster_ids: Option<String>,
    /// Go on with a store that was restored from its export, as an admin would say with /resume
    #[arg(long)]
    pub confirm_restored: bool,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Log more (LOG_LEVEL=DEBUG)
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// A job other than the main one.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Tell what would be done, and change nothing
    Plan {
        /// Plan for a file that `vm-balancer snapshot` wrote, instead of the live system
        #[arg(long, value_name = "FILE")]
        snapshot: Option<PathBuf>,
    },
    /// Print the live system as one JSON file; holds no secret and no client's e-mail
    Snapshot,
    /// Try every part of the configuration for real and tell what is wrong; order nothing
    Check,
    /// Tell whether the bot that runs with this DATA_DIR is alive: exit status 0, else 1
    Health,
    /// Tell what was done, newest first
    History {
        /// Print the history as CSV
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// The most migrations to tell
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Try it: everything simulated, VMmanager and Telegram too, with a chat page
    #[cfg(feature = "sandbox")]
    Sandbox(super::SandboxArgs),
}

impl Args {
    /// Says why these arguments do not go together.
    ///
    /// # Errors
    ///
    /// A sentence for the person who wrote them.
    pub fn check(&self) -> Result<(), String> {
        let flags = [(self.once, "--once"), (self.confirm_restored, "--confirm-restored")];
        match flags.into_iter().find(|(given, _)| *given && self.command.is_some()) {
            Some((_, flag)) => Err(format!("{flag} belongs to the main job and does not go with a command")),
            None => Ok(()),
        }
    }

    /// Returns what the command line says in place of variables.
    #[must_use]
    pub fn overrides(&self) -> std::collections::BTreeMap<&'static str, String> {
        let Self {
            command: _,
            config: _,
            dry_run,
            once: _,
            confirm_restored: _,
            interval,
            cluster_ids,
            json: _,
            verbose,
        } = self;
        [
            dry_run.then(|| ("DRY_RUN", "true".to_owned())),
            interval.map(|seconds| ("BALANCE_INTERVAL", seconds.to_string())),
            cluster_ids.clone().map(|ids| ("CLUSTER_IDS", ids)),
            verbose.then(|| ("LOG_LEVEL", "debug".to_owned())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
