//! Carries out what the command line asks for: one function per command.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    io::{IsTerminal as _, Read as _, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{CommandFactory as _, Parser as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    Args, Command, HistoryFormat, Outcomes, Report, Telling, check, init, logging,
    progress::Progress,
    reload::{Changes, changes},
    report_json, report_text,
    table::terminal_width,
};
use crate::{
    app::{self, App, AppError, Pace, Reloader, Single},
    balancer::{self, CycleError, CycleReport, NotCarriedOut, Parts, VmBalancer},
    causes::chain,
    clock::Clock,
    config::{Config, Loaded, LogFormat, LogLevel, Problems, Purpose, Sources},
    control::{self, Answer, ControlError, Request, Unanswered},
    model::{Snapshot, Trouble},
    planner::Policy,
    probe::{self, Said},
    store::{JournalEntry, Store},
    talk::{
        rows::Row,
        words::{Words, plain},
    },
};

/// The file that is read where `--config` names none.
pub(super) const CONFIG_FILE: &str = ".env";

/// The file of the Debian package.
pub(super) const PACKAGE_FILE: &str = "/etc/vm-balancer/config.env";

/// A health check is asked often, and Docker waits 30 s for it.
const HEALTH_PATIENCE: Duration = Duration::from_secs(5);

/// The lines of `check` are pasted into tickets and chats: they are no longer than this.
const CHECK_WIDTH: usize = 100;

/// How long threads may take to end. What still runs by then only reads a file, so nothing is lost.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing to do, or all done.
    Fine = 0,
    /// A migration failed, or VMmanager could not be used.
    Trouble = 1,
    /// The configuration or the arguments are wrong.
    BadUsage = 2,
}

/// Why a command failed, in words for the person who called it.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    told: String,
}

/// Carries out a command line; results go to `out`, everything else to standard error.
///
/// Has its own runtime and reads the arguments itself, so that the whole program is compiled with the library and not again with the binary.
pub fn run(
    arguments: Vec<OsString>,
    environment: BTreeMap<String, String>,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> Exit {
    let (file, variables) = (named_file(&arguments), environment.clone());
    let ended = match Args::try_parse_from(arguments) {
        Ok(args) => run_parsed(&args, environment, clock, out),
        // Help and the version are asked for, and clap colours them.
        Err(asked) if !asked.use_stderr() => {
            return if asked.print().is_ok() { Exit::Fine } else { Exit::Trouble };
        }
        Err(wrong) if !wants_json(file.as_deref(), &variables) => {
            // Nobody may read standard error; the exit status says it too.
            let _ = wrong.print();
            return Exit::BadUsage;
        }
        Err(wrong) => Err(Failure::usage(wrong.to_string())),
    };
    match ended {
        Ok(exit) => exit,
        Err(Failure { exit, told }) => {
            if wants_json(file.as_deref(), &variables) {
                // Where the log runs already, this changes nothing.
                logging::start(LogLevel::Info, LogFormat::Json, false);
            }
            logging::say_failure(&told);
            exit
        }
    }
}

fn run_parsed(
    args: &Args,
    environment: BTreeMap<String, String>,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> Result<Exit, Failure> {
    args.check().map_err(Failure::usage)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::trouble(format!("cannot start threads: {error}")))?;
    let ended = runtime.block_on(carry_out(args, environment, clock, out));
    runtime.shutdown_timeout(LAST_PATIENCE);
    ended
}

/// Returns the file that `--config` names, whatever else is wrong with the arguments.
fn named_file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        match argument.to_str().and_then(|text| text.strip_prefix("--config")) {
            Some("") => return left.next().map(PathBuf::from),
            Some(value) if value.starts_with('=') => return Some(value[1..].into()),
            _ => {}
        }
    }
    None
}

/// Tells whether `LOG_FORMAT` is `json`, even where nothing else of the configuration can be used.
fn wants_json(file: Option<&Path>, environment: &BTreeMap<String, String>) -> bool {
    let file = app::env_file(file.unwrap_or(Path::new(CONFIG_FILE))).unwrap_or_default();
    let sources = Sources { environment: environment.clone(), file, ..Sources::default() };
    sources.lookup("LOG_FORMAT").is_some_and(|format| format.trim().eq_ignore_ascii_case("json"))
}

async fn carry_out(
    args: &Args,
    environment: BTreeMap<String, String>,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> Result<Exit, Failure> {
    let setup = || Setup::new(args, environment.clone());
    match &args.command {
        Some(Command::Plan { snapshot: Some(file), .. }) => plan_file(args, &setup()?, file, out),
        Some(Command::Plan { snapshot: None, .. }) => plan_live(args, &setup()?, clock, out).await,
        Some(Command::Snapshot) => snapshot(&setup()?, clock, out).await,
        Some(Command::Check { send }) => try_all(args, &setup()?, *send, clock, out).await,
        Some(Command::Health) => health(args, &setup()?, out).await,
        Some(Command::Completions { shell }) => say(out, &completions(*shell)),
        Some(Command::Init) => init(args, &environment, clock, out).await,
        Some(Command::Man) => print(out, manual_page()),
        Some(Command::History { csv, limit }) => history(args, &setup()?, *csv, *limit, out).await,
        #[cfg(feature = "sandbox")]
        Some(Command::Sandbox(wanted)) if wanted.week => week(wanted.clone(), &setup()?, out),
        #[cfg(feature = "sandbox")]
        Some(Command::Sandbox(wanted)) => sandbox(args, wanted.clone(), &environment, clock).await,
        None if args.once => once(args, &setup()?, clock, out).await,
        None => bot(args, &setup()?, environment, clock).await,
    }
}

/// The values that were given, before they are judged.
struct Setup {
    sources: Sources,
    /// Whether there is a file with the configuration.
    is_there: bool,
    dry_run_forced: bool,
}

impl Setup {
    fn new(args: &Args, environment: BTreeMap<String, String>) -> Result<Self, Failure> {
        let named = args.config.as_deref();
        let path = named.unwrap_or(Path::new(CONFIG_FILE));
        let file = match app::env_file(path) {
            Ok(file) => Some(file),
            // Without a file the environment may hold everything.
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let by = if named.is_some() { ", which --config names" } else { "" };
                return Err(Failure::usage(format!("cannot read {}{by}: {error}", path.display())));
            }
        };
        let is_there = file.is_some();
        let (command_line, file_name) = (args.overrides(), path.display().to_string());
        let sources = Sources { command_line, environment, file: file.unwrap_or_default(), file_name };
        Ok(Self { sources, is_there, dry_run_forced: args.dry_run })
    }

    /// Says what to do where nothing is configured at all.
    fn refuse_nothing(&self) -> Result<(), Failure> {
        if self.is_there || self.sources.lookup("VMMANAGER_HOST").is_some() {
            return Ok(());
        }
        let mut told = "there is no .env here and no VMMANAGER_HOST in the environment; \
                        run `vm-balancer init` to make one, or name a file with --config FILE"
            .to_owned();
        if Path::new(PACKAGE_FILE).exists() {
            told += &format!("; the package's is {PACKAGE_FILE}");
        }
        Err(Failure::usage(told))
    }

    /// Checks the values, starts the log and logs the warnings.
    fn config(&self, purpose: Purpose) -> Result<Config, Failure> {
        if purpose != Purpose::Offline {
            self.refuse_nothing()?;
        }
        let loaded =
            Config::from_sources(purpose, &self.sources).map_err(|problems| self.refuse(&problems))?;
        let mut config = loaded.config;
        config.balancer.dry_run_forced = self.dry_run_forced;
        // The log may have been started for another purpose before.
        if logging::start(config.log_level, config.log_format, self.is_in_journal()) {
            for warning in self.sources.warnings().into_iter().chain(loaded.warnings) {
                tracing::warn!("{warning}");
            }
        }
        Ok(config)
    }

    /// Adds the warnings, since a misspelled name is often the reason why another one is not set.
    fn refuse(&self, problems: &Problems) -> Failure {
        let warnings = self.sources.warnings();
        let said: Vec<_> = warnings.iter().map(|warning| format!("\n  warning: {warning}")).collect();
        Failure::usage(format!("{problems}{}", said.concat()))
    }

    fn is_in_journal(&self) -> bool {
        self.sources.environment.contains_key("JOURNAL_STREAM")
    }
}

fn plan_file(args: &Args, setup: &Setup, file: &Path, out: &mut dyn Write) -> Result<Exit, Failure> {
    let config = setup.config(Purpose::Offline)?;
    let text = read_text(file)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    let snapshot = Snapshot::from_json(&text)
        .map_err(|error| Failure::usage(format!("{}: {}", file.display(), chain(&error))))?;
    print_plan(args, &snapshot, &config.balancer.policy, out)
}

async fn plan_live(
    args: &Args,
    setup: &Setup,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> Result<Exit, Failure> {
    let (snapshot, mut policy) = picture(setup, clock).await?;
    // A running bot waits for a second reading of the load. Here one reading has to do.
    policy.load_readings = 1;
    if args.cluster_ids().is_some() {
        policy.clusters = setup.config(Purpose::Offline)?.balancer.policy.clusters;
    }
    print_plan(args, &snapshot, &policy, out)
}

async fn snapshot(setup: &Setup, clock: &Clock, out: &mut (dyn Write + Send)) -> Result<Exit, Failure> {
    let (snapshot, _) = picture(setup, clock).await?;
    print(out, serde_json::to_string_pretty(&snapshot).map(|text| text + "\n"))
}

async fn try_all(
    args: &Args,
    setup: &Setup,
    send: bool,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> Result<Exit, Failure> {
    setup.refuse_nothing()?;
    // Warnings are part of the result. The log has the rest.
    let level = if args.verbose { LogLevel::Debug } else { LogLevel::Error };
    let format = if wants_json(args.config.as_deref(), &setup.sources.environment) {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    logging::start(level, format, false);
    let progress = |part: &str| {
        if io::stderr().is_terminal() {
            let _ = writeln!(io::stderr(), "trying {part} …");
        }
    };
    let checked = check::check(&setup.sources, send, clock, progress).await;
    let width = terminal_width().unwrap_or(CHECK_WIDTH).min(CHECK_WIDTH);
    match args.json {
        true => print(out, check::json(&checked).map(|text| text + "\n"))?,
        false => say(out, &check::text(&checked, width))?,
    };
    Ok(match checked.worst() {
        check::State::Ok | check::State::NotChecked | check::State::Warning => Exit::Fine,
        check::State::Wrong => Exit::Trouble,
        check::State::Misconfigured => Exit::BadUsage,
    })
}

async fn init(
    args: &Args,
    environment: &BTreeMap<String, String>,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> Result<Exit, Failure> {
    let file = args.config.as_deref().unwrap_or(Path::new(CONFIG_FILE));
    match init::init(file, environment, clock, out).await {
        Ok(said) => say(out, &said),
        Err(error) => Err(Failure::usage(format!("nothing is written: {error}"))),
    }
}

/// Asks the running bot over its socket, so that a container needs no `curl` and no open port.
async fn health(args: &Args, setup: &Setup, out: &mut (dyn Write + Send)) -> Result<Exit, Failure> {
    let data_dir = setup.config(Purpose::Offline)?.data_dir;
    let state = match tokio::time::timeout(HEALTH_PATIENCE, control::ask(&data_dir, &Request::Health)).await {
        Ok(Ok(Some(Answer::Health { stuck }))) if stuck.is_empty() => Ok(()),
        Ok(Ok(Some(Answer::Health { stuck }))) => {
            Err(Failure::trouble(format!("the running vm-balancer hangs: {}", stuck.join(", "))))
        }
        Ok(Ok(Some(other))) => Err(unexpected_answer(other)),
        Ok(Ok(None)) => Err(Failure::trouble(format!("no vm-balancer runs with {}", data_dir.display()))),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::trouble("the running vm-balancer gives no answer".into())),
    };
    if args.json {
        let trouble = state.as_ref().err().map(|failure| failure.told.as_str());
        let told = serde_json::json!({ "alive": state.is_ok(), "trouble": trouble });
        say(out, &format!("{told}\n"))?;
        return state.map(|()| Exit::Fine);
    }
    state.and_then(|()| say(out, "alive\n"))
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "vm-balancer", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn manual_page() -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

async fn history(
    args: &Args,
    setup: &Setup,
    csv: bool,
    limit: usize,
    out: &mut (dyn Write + Send),
) -> Result<Exit, Failure> {
    let data_dir = setup.config(Purpose::Offline)?.data_dir;
    let format = match (csv, args.json) {
        (true, _) => HistoryFormat::Csv,
        (false, true) => HistoryFormat::Json,
        (false, false) => HistoryFormat::Text(terminal_width()),
    };
    let mut told = Told { telling: Telling::new(format), entries: 0, out };
    match control::ask_for_all(&data_dir, &Request::History { limit }).await? {
        Some(answers) => told.by_bot(answers).await?,
        None => told.by_store(&data_dir, limit)?,
    }
    let end = told.telling.end();
    print(told.out, end)
}

/// The history on its way out.
struct Told<'a> {
    telling: Telling,
    entries: usize,
    out: &'a mut (dyn Write + Send),
}

impl Told<'_> {
    async fn by_bot(&mut self, mut answers: control::Answers) -> Result<(), Failure> {
        while let Some(answer) = answers.next().await? {
            match answer {
                Answer::History { entries } => self.entries(&entries)?,
                Answer::HistoryEnd { entries } if u64::try_from(self.entries) == Ok(entries) => return Ok(()),
                Answer::HistoryEnd { .. } => break,
                other => return Err(unexpected_answer(other)),
            }
        }
        Err(ControlError::CutOff.into())
    }

    fn by_store(&mut self, dir: &Path, limit: usize) -> Result<(), Failure> {
        // A question about the past must not create a store.
        if !dir.exists() {
            logging::say_note(&format!(
                "there is no store in {} (DATA_DIR); name the bot's configuration with --config FILE",
                dir.display()
            ));
            return Ok(());
        }
        AppError::refuse_other_owner(dir)?;
        let store = Store::open(dir)?;
        let mut before = None;
        while self.entries < limit {
            let page = control::HISTORY_PAGE.min(limit - self.entries);
            let entries = store.newest_entries(before, page)?;
            let Some(last) = entries.last() else { break };
            before = Some(last.id);
            self.entries(&entries)?;
        }
        Ok(())
    }

    fn entries(&mut self, entries: &[JournalEntry]) -> Result<(), Failure> {
        self.entries += entries.len();
        let rows: Vec<_> = entries.iter().map(Row::from).collect();
        print(self.out, self.telling.rows(&rows)).map(|_| ())
    }
}

async fn once(
    args: &Args,
    setup: &Setup,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> Result<Exit, Failure> {
    let config = setup.config(Purpose::Live)?;
    let is_plain_info = (config.log_level, config.log_format) == (LogLevel::Info, LogFormat::Text);
    let run = Single::new(config, clock.clone()).confirm_restored(args.confirm_restored).open().await?;
    let stop = stop_at_signals()?;
    let shows = !args.json && io::stderr().is_terminal();
    if shows && is_plain_info {
        // The progress says the same in words for people.
        logging::set_level(LogLevel::Warn);
    }
    let cycle = carried_out(&run.balancer, &stop, shows).await;
    run.balancer.parts().api.log_out().await;
    let cycle = cycle?;
    let words = Words::english();
    for (cluster, why) in &cycle.not_carried_out {
        let why = match why {
            NotCarriedOut::Busy(plan) => format!("plan {plan} of this cluster is being carried out"),
            NotCarriedOut::VmManager(why) => words.plain_ending(why, clock.now()),
        };
        tracing::warn!(cluster.id = cluster.0, why, "the plan was not carried out as a whole");
    }
    if cycle.restored_unconfirmed {
        tracing::warn!(
            "the store was restored from an export: plans only, until an admin says /resume, or a start with --confirm-restored"
        );
    }
    let outcomes = Outcomes::of(&cycle.outcomes);
    let trouble = outcomes.any_trouble() || !cycle.not_carried_out.is_empty();
    let (plan, dry_run, is_over) = (&cycle.plan, cycle.dry_run, !cycle.dry_run);
    let report = Report { plan, dry_run, is_over, outcomes, sights: cycle.sights };
    print_report(args, &report, out)?;
    Ok(if trouble { Exit::Trouble } else { Exit::Fine })
}

/// Runs the cycle. At a terminal the plan and each migration are shown as they come.
async fn carried_out(
    balancer: &VmBalancer,
    stop: &CancellationToken,
    shows: bool,
) -> Result<CycleReport, CycleError> {
    let (progress, done) = (Progress::default(), CancellationToken::new());
    let planned = |report: &CycleReport| {
        let migrations = report.plan.clusters.iter().map(|plan| plan.migrations.len()).sum();
        progress.planned(migrations);
        if shows && !report.dry_run && migrations > 0 {
            let _ = writeln!(
                io::stderr(),
                "{}",
                report_text(&Report::of_plan(&report.plan, false), terminal_width())
            );
        }
    };
    let cycle = async {
        let cycle = balancer.run_once_showing(stop, planned).await;
        done.cancel();
        cycle
    };
    if !shows {
        return cycle.await;
    }
    let Parts { store, events, clock, .. } = balancer.parts();
    // The listener is there before the first event.
    let ((), cycle) = tokio::join!(progress.show(store, events, clock, &done), cycle);
    cycle
}

async fn bot(
    args: &Args,
    setup: &Setup,
    environment: BTreeMap<String, String>,
    clock: &Clock,
) -> Result<Exit, Failure> {
    let mut hangups = signal(SignalKind::hangup()).map_err(no_signals)?;
    let config = setup.config(Purpose::Daemon)?;
    let app = App::build(&config, clock.clone(), Pace::Usual).await?;
    if args.confirm_restored {
        app::confirm_restored(app.store(), clock).await?;
    }
    let shutdown = stop_at_signals()?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        mode = ?config.scheduler.mode,
        dry_run = config.balancer.dry_run,
        interval_s = config.scheduler.interval.as_secs(),
        "vm-balancer begins"
    );
    let (before, reloader) = (setup.sources.clone(), app.reloader());
    let mut reread = Reread { args, environment, started: setup, before, reloader };
    // In a task of its own it goes on while the configuration is read again.
    let mut bot = tokio::spawn(app.run(shutdown));
    loop {
        tokio::select! {
            ended = &mut bot => break ended.map_err(|error| Failure::trouble(error.to_string()))?,
            Some(()) = hangups.recv() => reread.again().await,
        }
    }
    tracing::info!("vm-balancer has ended");
    Ok(Exit::Fine)
}

/// The configuration of a running bot, which SIGHUP reads again.
struct Reread<'a> {
    args: &'a Args,
    environment: BTreeMap<String, String>,
    started: &'a Setup,
    /// What was read the last time.
    before: Sources,
    reloader: Reloader,
}

impl Reread<'_> {
    /// Puts in force what can change while the bot runs, and logs what changed and what needs a restart.
    async fn again(&mut self) {
        probe::report(Said::Reloading);
        let read = Setup::new(self.args, self.environment.clone()).and_then(|setup| {
            let loaded = Config::from_sources(Purpose::Daemon, &setup.sources)
                .map_err(|problems| setup.refuse(&problems))?;
            Ok((setup, loaded))
        });
        match read {
            Ok((setup, loaded)) => self.take(setup, loaded).await,
            Err(Failure { told, .. }) => {
                tracing::error!("the configuration is wrong and is not taken: {told}");
            }
        }
        probe::report(Said::Ready);
    }

    async fn take(&mut self, setup: Setup, Loaded { config, warnings }: Loaded) {
        logging::set_level(config.log_level);
        for warning in setup.sources.warnings().into_iter().chain(warnings) {
            tracing::warn!("{warning}");
        }
        let by_chat = match self.reloader.reload(&config).await {
            Ok(by_chat) => by_chat,
            Err(refused) => {
                let error = plain(&Words::english().refusal(&refused));
                return tracing::error!(error, "the configuration was read again and cannot be taken");
            }
        };
        let Changes { at_once, at_restart } = changes(&self.started.sources, &self.before, &setup.sources);
        let (by_chat, at_once): (Vec<_>, Vec<_>) =
            at_once.into_iter().partition(|name| by_chat.contains(name));
        let level = config.log_level;
        tracing::info!(?level, changed = at_once.join(", "), "the configuration was read again");
        if !by_chat.is_empty() {
            let settings = by_chat.join(", ");
            tracing::warn!(
                settings,
                "these are set in the chat, which wins; /set NAME default takes that back"
            );
        }
        if !at_restart.is_empty() {
            tracing::warn!(settings = at_restart.join(", "), "these need a restart to change");
        }
        self.before = setup.sources;
    }
}

/// Plays a week under several rules; the configuration at hand is one of them where there is one.
#[cfg(feature = "sandbox")]
fn week(wanted: super::SandboxArgs, setup: &Setup, out: &mut dyn Write) -> Result<Exit, Failure> {
    use crate::{
        sandbox::week::{Approval, Autopilot, Ours},
        store::Mode,
    };
    let ours = match setup.sources.file.values.is_empty() {
        true => None,
        false => Some(setup.config(Purpose::Offline)?),
    };
    let table = wanted.play_week(ours.map(|config| {
        let is_asked = config.balancer.policy.nodes_are_asked;
        let ours = Ours {
            interval_min: (config.scheduler.interval.as_secs() / 60).max(1) as u32,
            cooldown: config.balancer.migration_cooldown,
            failure_cooldown: config.balancer.failure_cooldown,
            approval: match config.scheduler.mode {
                Mode::Auto => Approval::None,
                // As a person does: within a quarter of an hour, by day.
                Mode::Propose | Mode::Off => Approval::People { minutes: 15, from: 9, to: 19 },
            },
            autopilot: config
                .scheduler
                .autopilot
                .as_ref()
                .map(|nightly| Autopilot { minutes: nightly.windows.week(), limits: nightly.limits.clone() }),
            watch_min: config.scheduler.watch.map(|watch| (watch.as_secs() / 60).max(1) as u32),
            ..Ours::by_defaults(config.balancer.policy)
        };
        if is_asked { ours } else { ours.without_ssh() }
    }));
    print(out, table)
}

/// The sandbox reads no configuration but the language: it is the same world everywhere.
#[cfg(feature = "sandbox")]
async fn sandbox(
    args: &Args,
    wanted: super::SandboxArgs,
    environment: &BTreeMap<String, String>,
    clock: &Clock,
) -> Result<Exit, Failure> {
    // The terminal shows the chat, and log lines below a warning would clutter it.
    let level = if args.verbose { LogLevel::Debug } else { LogLevel::Warn };
    logging::start(level, LogFormat::Text, false);
    let shutdown = stop_at_signals()?;
    super::sandbox::run(wanted.options(environment), clock, shutdown)
        .await
        .map_err(|error| Failure::trouble(chain(&error)))?;
    Ok(Exit::Fine)
}

/// The platform with the policy in force: from the bot that runs, or else by a look of our own.
async fn picture(setup: &Setup, clock: &Clock) -> Result<(Snapshot, Policy), Failure> {
    // If something is wrong, everything is reported at once, including what only our own look needs.
    let offline = setup.config(Purpose::Offline).or_else(|_| setup.config(Purpose::Live));
    let data_dir = offline?.data_dir;
    match control::ask(&data_dir, &Request::Look).await? {
        Some(Answer::Look { snapshot, policy }) => {
            let whose =
                "this is the picture of the vm-balancer that runs here, with its settings and its history";
            logging::say_note(whose);
            return Ok((*snapshot, *policy));
        }
        Some(other) => return Err(unexpected_answer(other)),
        None => {}
    }
    let picture = Single::new(setup.config(Purpose::Live)?, clock.clone()).look().await?;
    Ok((Snapshot::clone(&picture.snapshot), Policy::clone(&picture.policy)))
}

fn print_plan(
    args: &Args,
    snapshot: &Snapshot,
    policy: &Policy,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let plan = balancer::checked_plan(snapshot, policy);
    // A plan that is only shown changes nothing, whatever is configured.
    print_report(args, &Report::of_plan(&plan, true), out)
}

fn print_report(args: &Args, report: &Report<'_>, out: &mut dyn Write) -> Result<Exit, Failure> {
    match args.json {
        true => print(out, report_json(report).map(|text| text + "\n")),
        false => say(out, &report_text(report, terminal_width())),
    }
}

fn print<E: std::error::Error>(out: &mut dyn Write, text: Result<String, E>) -> Result<Exit, Failure> {
    say(out, &text.map_err(|error| Failure::trouble(chain(&error)))?)
}

fn say(out: &mut dyn Write, text: &str) -> Result<Exit, Failure> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Exit::Fine),
        // The reader, for example `head`, may stop early.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Fine),
        Err(error) => Err(Failure::trouble(format!("cannot write the result: {error}"))),
    }
}

/// Reads a file, or standard input for `-`.
fn read_text(file: &Path) -> io::Result<String> {
    if file != Path::new("-") {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// A token that is cancelled by SIGTERM and by SIGINT.
fn stop_at_signals() -> Result<CancellationToken, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    // This task only waits for a signal, and ends with the process.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::debug!("stopping: nothing new is ordered");
        token.cancel();
    });
    Ok(stop)
}

fn no_signals(error: io::Error) -> Failure {
    Failure::trouble(format!("cannot wait for signals: {error}"))
}

fn unexpected_answer(answer: Answer) -> Failure {
    match answer {
        Answer::Refused { why } => {
            let words = Words::english();
            let why = match &why {
                Unanswered::NotUnderstood(said) => format!("it does not understand the request: {said}"),
                Unanswered::Refused(refused) => plain(&words.refusal(refused)),
                Unanswered::Store(failure) => plain(&words.trouble(&Trouble::Store(failure.clone()))),
                Unanswered::Other(said) => said.to_string(),
            };
            Failure::trouble(format!("the running vm-balancer says: {why}"))
        }
        Answer::Pong { .. }
        | Answer::Health { .. }
        | Answer::Look { .. }
        | Answer::History { .. }
        | Answer::HistoryEnd { .. } => {
            Failure::trouble("the running vm-balancer answered something else".into())
        }
    }
}

impl Failure {
    fn usage(told: String) -> Self {
        Self { exit: Exit::BadUsage, told }
    }

    fn trouble(told: String) -> Self {
        Self { exit: Exit::Trouble, told }
    }
}

impl<E> From<E> for Failure
where
    AppError: From<E>,
{
    fn from(error: E) -> Self {
        let error = AppError::from(error);
        let told = match error.is_another_running() {
            true => format!(
                "another vm-balancer is running with this DATA_DIR: {}; stop it, or use plan, or ask it in the chat",
                chain(&error)
            ),
            false => chain(&error),
        };
        let exit = if error.is_configuration() { Exit::BadUsage } else { Exit::Trouble };
        Self { exit, told }
    }
}
