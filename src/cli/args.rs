//! What may stand on the command line.

use std::{path::PathBuf, sync::LazyLock};

use clap::{Parser, Subcommand};

/// What `--help` says below the arguments.
const AFTER_HELP: &str = "\
Examples:
  vm-balancer init                      ask for what is needed and write .env
  vm-balancer check                     try every part of the configuration
  vm-balancer --dry-run --once          show what one cycle would do
  vm-balancer --config /etc/vm-balancer/config.env
  vm-balancer plan --json | jq '.clusters[].migrations'

Exit status:
  0  nothing to do, or all done
  1  a migration failed or was interrupted, or VMmanager or something else could not be used
  2  the configuration or the arguments are wrong

Results go to standard output, the log to standard error. NO_COLOR=1 takes the colours away.";

/// The version with what it was built from. A build is given commit and date by its environment.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("VM_BALANCER_COMMIT")
        .filter(|commit| !commit.is_empty())
        .map(|commit| format!("commit {commit}"));
    let date = option_env!("VM_BALANCER_DATE").filter(|date| !date.is_empty()).map(str::to_owned);
    let features = if cfg!(feature = "sandbox") { "sandbox" } else { "none" };
    let known: Vec<_> = [commit, date, Some(format!("features: {features}"))].into_iter().flatten().collect();
    format!("{} ({})", env!("CARGO_PKG_VERSION"), known.join(", "))
});

/// Keeps the VMs of VMmanager 6 clusters well spread over their nodes.
///
/// Without a command: the Telegram bot and the scheduler. Everything is configured with variables, in a file or in
/// the environment; config.env.example names them all.
#[derive(Clone, Debug, Parser)]
#[command(name = "vm-balancer", version = VERSION.as_str(), max_term_width = 100, after_help = AFTER_HELP)]
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
    #[arg(long, value_name = "1,2,3")]
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
        /// Only these clusters (CLUSTER_IDS)
        #[arg(long, value_name = "1,2,3")]
        cluster_ids: Option<String>,
    },
    /// Print the live system as one JSON file; holds no secret and no client's e-mail
    Snapshot,
    /// Try every part of the configuration for real; say what is wrong and what to do; order nothing
    Check {
        /// Send a real message to the chat too
        #[arg(long)]
        send: bool,
    },
    /// Tell whether the bot that runs with this DATA_DIR is alive: exit status 0, else 1
    Health,
    /// Ask for what is needed, try each answer, and write the configuration file
    Init,
    /// Print the completions for a shell: vm-balancer completions bash > /etc/bash_completion.d/vm-balancer
    Completions { shell: clap_complete::Shell },
    /// Print the manual page: vm-balancer man > vm-balancer.1
    Man,
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

impl Command {
    /// Tells whether what it prints can be JSON.
    fn knows_json(&self) -> bool {
        match self {
            Self::Init | Self::Completions { .. } | Self::Man => false,
            #[cfg(feature = "sandbox")]
            Self::Sandbox(_) => false,
            Self::Plan { .. } | Self::Snapshot | Self::Check { .. } | Self::Health | Self::History { .. } => {
                true
            }
        }
    }
}

impl Args {
    /// Says why these arguments do not go together.
    ///
    /// # Errors
    ///
    /// A sentence for the person who wrote them.
    pub fn check(&self) -> Result<(), String> {
        let for_clusters = matches!(self.command, None | Some(Command::Plan { .. } | Command::Check { .. }));
        if self.json && self.command.as_ref().is_some_and(|command| !command.knows_json()) {
            return Err("--json does not go with this command, whose output is no result".to_owned());
        }
        let flags = [
            (self.once, "--once"),
            (self.confirm_restored, "--confirm-restored"),
            (self.interval.is_some(), "--interval"),
            (self.cluster_ids.is_some() && !for_clusters, "--cluster-ids"),
        ];
        let misplaced = flags.into_iter().find(|(given, _)| *given && self.command.is_some());
        match misplaced {
            Some((_, flag)) => {
                Err(format!("{flag} belongs to the main job and does not go with this command"))
            }
            None => Ok(()),
        }
    }

    /// Returns the clusters that are named, before or behind the command.
    #[must_use]
    pub fn cluster_ids(&self) -> Option<&str> {
        match &self.command {
            Some(Command::Plan { cluster_ids: Some(ids), .. }) => Some(ids),
            _ => self.cluster_ids.as_deref(),
        }
    }

    /// Returns what the command line says in place of variables.
    #[must_use]
    pub fn overrides(&self) -> std::collections::BTreeMap<&'static str, String> {
        let Self { dry_run, interval, verbose, .. } = self;
        [
            dry_run.then(|| ("DRY_RUN", "true".to_owned())),
            interval.map(|seconds| ("BALANCE_INTERVAL", seconds.to_string())),
            self.cluster_ids().map(|ids| ("CLUSTER_IDS", ids.to_owned())),
            verbose.then(|| ("LOG_LEVEL", "debug".to_owned())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
