//! `vm-balancer sandbox`: the real bot among simulated servers.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum, value_parser};
use tokio_util::sync::CancellationToken;

use super::curve;
use crate::{
    app::{App, Pace},
    clock::Clock,
    config::{Config, Purpose},
    planner::{Policy, Strategy},
    sandbox::{
        self, BotChat, BotEnvironment, LISTEN, Options, SandboxError, Ssh, StartBot,
        week::{self, Approval, Ours, Outcome, Rule, Start, Week},
    },
};

/// How the sandbox is started.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct SandboxArgs {
    /// Address of the chat page; the next free port is taken where it is in use
    #[arg(long, value_name = "ADDRESS", default_value_t = LISTEN)]
    listen: SocketAddr,
    /// What the simulated world and its life are made of: the same number, the same world
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Nodes of the simulated world
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = count(2, 2000))]
    nodes: usize,
    /// VMs of the simulated world [default: 25 for each node]
    #[arg(long, value_name = "N", value_parser = count(1, 100_000))]
    vms: Option<usize>,
    /// Simulated seconds for one real second
    #[arg(long, value_name = "TIMES", default_value_t = 60, value_parser = value_parser!(u32).range(1..=100_000))]
    speed: u32,
    /// Begin with a world that `vm-balancer snapshot` saved
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Play a week of one cluster at speed, without a chat, and print how each rule kept it: nothing, the Python
    /// tool's, ours by its defaults, ours with this configuration where there is one, and ours with other settings
    #[arg(long, conflicts_with_all = ["tour", "data_dir", "listen", "speed", "chat", "ssh"])]
    pub(super) week: bool,
    /// How often a day each VM bursts in the week that is played: more bursts make more overload by load
    #[arg(long, value_name = "TIMES", default_value_t = week::BURSTS_A_DAY, requires = "week", value_parser = bursts)]
    bursts: f64,
    /// Also draw the week as a picture: overload and RAM moved over time, as PNG
    #[arg(long, value_name = "FILE", requires = "week")]
    curve: Option<PathBuf>,
    /// Play a short story by itself: overload, proposal, approval, a fault and the recovery
    #[arg(long)]
    tour: bool,
    /// Keep the bot's store in this folder; without it the store goes when the sandbox ends
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The chat that the bot is configured for; the page can change it
    #[arg(long, value_enum, default_value_t = ChatArg::Supergroup, conflicts_with = "tour")]
    chat: ChatArg,
    /// Whether the bot asks the nodes for their load: each is an SSH server of its own and takes three open files;
    /// auto does it up to 60 nodes
    #[arg(long, value_enum, value_name = "WHETHER", default_value_t = SshArg::Auto)]
    ssh: SshArg,
    /// The language that the bot begins with [default: VM_BALANCER_LANG of the environment, else en]
    #[arg(long, value_name = "LANG", value_parser = ["en", "ru"])]
    lang: Option<String>,
}

/// A kind of chat.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum ChatArg {
    Supergroup,
    Topic,
    Group,
    Private,
}

/// Whether nodes are asked.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum SshArg {
    On,
    Off,
    Auto,
}

impl From<SshArg> for Ssh {
    fn from(ssh: SshArg) -> Self {
        match ssh {
            SshArg::On => Self::On,
            SshArg::Off => Self::Off,
            SshArg::Auto => Self::Auto,
        }
    }
}

impl From<ChatArg> for BotChat {
    fn from(chat: ChatArg) -> Self {
        match chat {
            ChatArg::Supergroup => Self::Supergroup,
            ChatArg::Topic => Self::Topic,
            ChatArg::Group => Self::Group,
            ChatArg::Private => Self::Private,
        }
    }
}

/// So many rules at the end of the table show what a setting changes. They are left out of the picture.
const VARIANTS: usize = 4;

/// More bursts a day than this leave no time between them.
const BURSTS_MAX: u32 = 24;

/// VMs for each node unless a number is given.
const VMS_PER_NODE: usize = 25;

/// The only variable of the environment that the sandbox reads.
const LANGUAGE: &str = "VM_BALANCER_LANG";

impl SandboxArgs {
    /// Returns the sandbox's options; of the environment only the language counts.
    pub(super) fn options(self, environment: &BTreeMap<String, String>) -> Options {
        let Self {
            listen,
            seed,
            nodes,
            vms,
            speed,
            snapshot,
            week: _,
            bursts: _,
            curve: _,
            tour,
            data_dir,
            chat,
            ssh,
            lang,
        } = self;
        let language = lang.or_else(|| environment.get(LANGUAGE).cloned());
        Options {
            listen,
            seed,
            nodes,
            vms: vms.unwrap_or(nodes * VMS_PER_NODE),
            speed: f64::from(speed),
            snapshot,
            tour,
            data_dir,
            chat: chat.into(),
            ssh: ssh.into(),
            bot_variables: language.map(|language| (LANGUAGE.to_owned(), language)).into_iter().collect(),
        }
    }
}

impl SandboxArgs {
    /// Plays a week and returns its table.
    ///
    /// # Errors
    ///
    /// Why the snapshot file cannot be used, or the picture cannot be written.
    pub(super) fn play_week(self, ours: Option<Ours>) -> Result<String, SandboxError> {
        let start = match &self.snapshot {
            Some(file) => Start::Snapshot(Box::new(sandbox::read_snapshot(file)?)),
            None => {
                Start::Generated { nodes: self.nodes, vms: self.vms.unwrap_or(self.nodes * VMS_PER_NODE) }
            }
        };
        let week = Week { seed: self.seed, days: 7, bursts: self.bursts, start };
        let auto = || Ours::by_defaults(Policy::default());
        let propose = Ours { approval: Approval::People { minutes: 15, from: 9, to: 19 }, ..auto() };
        let even = Ours::by_defaults(Policy { strategy: Strategy::Level, ..Policy::default() });
        let ours_by = |ours: Ours| Some(Rule::Ours(Box::new(ours)));
        let rules = [
            ("nothing", Some(Rule::Nothing)),
            ("Python 2.0.1, its defaults", Some(Rule::Python { migrations_max: 1, interval_min: 10 })),
            ("vm-balancer, defaults, auto", ours_by(auto())),
            ("vm-balancer, this configuration", ours.and_then(ours_by)),
            ("the defaults, propose", ours_by(propose.clone())),
            ("the same, autopilot 19 to 9", ours_by(propose.with_autopilot(19, 9))),
            ("the defaults, auto, without SSH", ours_by(auto().without_ssh())),
            ("the defaults, auto, level", ours_by(even)),
        ];
        let head = week::HEAD.lines().map(|line| format!("{:<32}{line}\n", ""));
        let played: Vec<_> =
            rules.into_iter().filter_map(|(name, rule)| Some((name, week.play(&rule?)))).collect();
        if let Some(file) = &self.curve {
            let title = match &self.snapshot {
                Some(_) => "A week of this cluster".to_owned(),
                None => format!("A week of {} nodes", self.nodes),
            };
            write_curve(file, title, &played[..played.len().saturating_sub(VARIANTS)])?;
        }
        let lines = played.iter().map(|(name, outcome)| format!("{name:<32}{outcome}\n"));
        let lanes = u32::try_from(Policy::default().parallel_max).unwrap_or(u32::MAX);
        let bound = format!("\n{}\n", week.bound(lanes));
        Ok(head.chain(lines).chain([bound]).collect())
    }
}

fn write_curve(file: &Path, title: String, played: &[(&str, Outcome)]) -> Result<(), SandboxError> {
    let unwritten = |source| SandboxError::Picture { file: file.to_owned(), source };
    let chart = curve::curve(title, played);
    let png = chart.png().map_err(|error| unwritten(io::Error::other(error)))?;
    fs::write(file, png).map_err(unwritten)
}

/// Runs the sandbox until `shutdown`.
pub(super) async fn run(
    options: Options,
    clock: &Clock,
    shutdown: CancellationToken,
) -> Result<(), SandboxError> {
    let print = |text: &str| {
        // The terminal may have been closed. The page still works.
        let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    };
    let input = tokio::io::BufReader::new(tokio::io::stdin());
    sandbox::run(options, real_bot(clock.clone()), input, print, shutdown).await
}

/// Returns what starts the real bot in a sandbox.
#[must_use]
pub fn real_bot(clock: Clock) -> StartBot {
    sandbox::bot(move |environment: BotEnvironment| {
        let clock = clock.clone();
        async move {
            let BotEnvironment { variables, shutdown, clock_shift } = environment;
            let clock = clock.shifted(clock_shift);
            let loaded = Config::for_purpose(Purpose::Daemon, |name| variables.get(name).cloned())
                .map_err(|problems| problems.to_string())?;
            let app =
                App::build(&loaded.config, clock, Pace::Short).await.map_err(|error| error.to_string())?;
            app.run(shutdown).await;
            Ok(())
        }
    })
}

/// Reads a number of bursts a day.
fn bursts(text: &str) -> Result<f64, String> {
    let most = f64::from(BURSTS_MAX);
    match text.parse() {
        Ok(bursts) if (0.0..=most).contains(&bursts) => Ok(bursts),
        Ok(_) | Err(_) => Err(format!("expected a number of bursts a day from 0 to {BURSTS_MAX}, e.g. 1.5")),
    }
}

fn count(least: u64, most: u64) -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser as _;
    value_parser!(u64).range(least..=most).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Args, Command};

    #[test]
    fn the_language_of_the_environment_passes_through_and_the_flag_wins() {
        let environment: BTreeMap<_, _> =
            [(LANGUAGE, "ru"), ("DRY_RUN", "true")].map(|(name, value)| (name.into(), value.into())).into();
        let variables = |line: &str, environment| {
            let Some(Command::Sandbox(args)) = parsed(line).unwrap().command else { unreachable!() };
            args.options(environment).bot_variables.into_iter().collect::<Vec<_>>()
        };
        let language = |code: &str| vec![(LANGUAGE.to_owned(), code.to_owned())];
        assert_eq!(variables("", &environment), language("ru"));
        assert_eq!(variables("--lang en", &environment), language("en"));
        assert_eq!(variables("", &BTreeMap::new()), []);
    }

    #[test]
    fn the_tour_has_a_chat_of_its_own() {
        let refused = parsed("--tour --chat topic").unwrap_err().to_string();
        assert!(refused.contains("cannot be used with"), "{refused}");
        parsed("--tour").unwrap();
    }

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(["vm-balancer", "sandbox"].into_iter().chain(line.split_whitespace()))
    }
}
