//! The whole service in simulated surroundings, as a person in the chat sees it: the base of the tests of the
//! service and of its faults. Everything is seen from outside.

use std::{collections::BTreeMap, fs::File, path::Path, process::Stdio, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use vm_balancer::{
    app::{App, Pace as AppPace},
    clock::{Clock, ManualClock},
    config::{Config, Purpose},
    model::VmId,
    sandbox::{
        BotEnvironment, BotStatus, BotSwitch, StartBot,
        telegram::{self, ADMIN, OPERATOR, SUPERGROUP, SimMessage, SimTelegram, VIEWER},
        vmmanager::{Options, Pace, Running, SimVmManager, World},
    },
    scheduler::Patience,
    store::Store,
    telegram::{Settings, Spacing},
};

use crate::{platform, transcripts::DONE};

/// How the lines of an order and of a look at the tasks begin.
const ORDER: &str = "POST /vm/v3/host/";
const TASKS: &str = "GET /vm/v3/task";

/// A running service with its chat.
pub struct Ctx {
    pub sim: Running,
    pub telegram: telegram::Running,
    pub clock: ManualClock,
    pub dir: TempDir,
    /// The chat for reports.
    pub home: i64,
    start: StartBot,
    variables: BTreeMap<String, String>,
    switch: BotSwitch,
}

/// What a service is started with besides the usual.
pub struct Setup {
    pub pace: Pace,
    pub variables: Vec<(&'static str, String)>,
    /// The interval of cycles; a long one means no cycle after the first.
    pub interval: Duration,
    pub panics_at: Option<&'static str>,
    /// For how long a message counts against what a group takes; the usual minute would be waited for.
    pub counts_for: Duration,
    /// An answer of a small world comes before anybody could read that it takes a while.
    pub word_within: Duration,
    /// How long people wait while nothing is known of the platform.
    pub patience: Patience,
    pub home: i64,
    /// For the real program, whose clock cannot be moved.
    pub real_time: bool,
}

impl Default for Setup {
    /// A bot that writes only when asked, and migrations that take almost no time.
    fn default() -> Self {
        Self {
            pace: Pace::After(Duration::from_millis(5)),
            variables: Vec::new(),
            interval: Duration::from_secs(3600),
            panics_at: None,
            counts_for: CARD_SPACING,
            word_within: Duration::from_secs(3),
            patience: Patience::default(),
            home: SUPERGROUP,
            real_time: false,
        }
    }
}

/// How a slow answer is announced.
pub const LOOKING: [&str; 2] = ["Looking at the platform", "Опрашиваю платформу"];

/// How one is announced that waits for the disk.
const ONE_MOMENT: [&str; 2] = ["… One moment", "… Минуту"];

/// The log of [`process`], beside its data.
pub const LOG: &str = "log";

/// Cycles that come often enough to wait for some of them.
pub const OFTEN: Duration = Duration::from_millis(50);

/// Between two messages or edits. What was sent is known for at least as long, so that edits leave room for answers.
const CARD_SPACING: Duration = Duration::from_millis(1);

/// How long Telegram counts what a group takes.
const MINUTE: Duration = Duration::from_secs(60);

impl Setup {
    pub fn of(variables: &[(&'static str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { variables, ..Self::default() }
    }

    pub fn manual(self) -> Self {
        Self { pace: Pace::Manual, ..self }
    }

    /// The group takes no more than Telegram's groups do.
    pub fn counted(self) -> Self {
        Self { counts_for: MINUTE, ..self }
    }

    pub fn often(self) -> Self {
        Self { interval: OFTEN, ..self }
    }
}

impl Ctx {
    pub async fn start(world: World) -> Self {
        Self::with(world, Setup::default()).await
    }

    pub async fn with(world: World, setup: Setup) -> Self {
        let ctx = Self::prepared(world, setup).await;
        ctx.restart().await;
        ctx
    }

    /// Everything but the bot itself.
    pub async fn prepared(world: World, setup: Setup) -> Self {
        let clock = ManualClock::at(platform::noon());
        let options = Options { pace: setup.pace, ..Options::default() };
        let sim = SimVmManager::start(world, options).await.unwrap();
        let telegrams_clock = if setup.real_time { Clock::system() } else { clock.clone().into() };
        let options = telegram::Options { clock: telegrams_clock, ..telegram::Options::default() };
        let telegram = SimTelegram::start(options).await.unwrap();
        let dir = TempDir::new().unwrap();
        let mut variables = environment(&sim, &telegram, dir.path(), setup.home);
        for (name, value) in &setup.variables {
            variables.insert((*name).to_owned(), value.clone());
        }
        let (home, its_clock, setup) = (setup.home, Clock::from(clock.clone()), Arc::new(setup));
        let start: StartBot =
            Arc::new(move |environment| Box::pin(run(environment, its_clock.clone(), setup.clone())));
        let switch = BotSwitch::new(start.clone(), variables.clone());
        Self { sim, telegram, clock, dir, home, start, variables, switch }
    }

    /// Starts the bot; one that runs is killed before.
    pub async fn restart(&self) {
        self.switch.restart().await.unwrap();
    }

    /// Starts the bot in place of this one, with another value of a variable.
    pub async fn restart_with(&mut self, name: &str, value: &str) {
        self.kill().await;
        self.variables.insert(name.to_owned(), value.to_owned());
        self.switch = BotSwitch::new(self.start.clone(), self.variables.clone());
        self.restart().await;
    }

    /// Starts the bot and says why it ended by itself.
    pub async fn failed_start(&self) -> String {
        self.restart().await;
        let mut status = self.switch.status();
        let ended =
            status.wait_for(|status| matches!(status, BotStatus::Ended { .. })).await.unwrap().clone();
        match ended {
            BotStatus::Ended { why } => why,
            BotStatus::Running | BotStatus::Killed => unreachable!("that was waited for"),
        }
    }

    pub async fn kill(&self) {
        self.switch.kill().await;
    }

    /// The bot's store, after its end.
    pub async fn store(&self) -> Store {
        self.switch.stop().await;
        Store::open(&self.dir.path().join("data")).unwrap()
    }

    /// Writes a message and returns its number.
    pub fn say(&self, user: i64, text: &str) -> i64 {
        self.telegram.say(user, self.home, text).unwrap()
    }

    /// Writes a message and returns the bot's answer.
    pub async fn ask(&self, user: i64, text: &str) -> SimMessage {
        self.ask_in(user, self.home, text).await
    }

    pub async fn ask_in(&self, user: i64, place: impl Into<telegram::Place>, text: &str) -> SimMessage {
        let place = place.into();
        let said = self.telegram.say(user, place, text).unwrap();
        self.answer_to(place.chat, said).await
    }

    /// The bot's first answer to a message.
    pub async fn answer_to(&self, chat: i64, said: i64) -> SimMessage {
        // The last word: a slow answer is announced first.
        let announces =
            |m: &SimMessage| LOOKING.iter().chain(&ONE_MOMENT).any(|words| m.text().contains(words));
        let is_last = |m: &&SimMessage| !announces(m);
        let found = |messages: &[SimMessage]| {
            messages.iter().filter(|m| m.reply_to == Some(said)).find(is_last).cloned()
        };
        self.telegram.wait_for(chat, &format!("an answer to {said}"), found).await.unwrap()
    }

    /// Asks for a plan as the operator and returns its message.
    pub async fn proposal(&self) -> SimMessage {
        let proposal = self.ask(OPERATOR, "/balance 1").await;
        assert!(proposal.button("Approve").is_some(), "{}", proposal.text());
        proposal
    }

    /// Presses a button of this message as it was, even if the message has changed since, and returns the answer.
    pub async fn press(&self, user: i64, shown: &SimMessage, button: &str) -> String {
        let query = self.press_only(user, shown, button);
        self.told(&query).await
    }

    pub fn press_only(&self, user: i64, shown: &SimMessage, button: &str) -> String {
        let data = shown.button(button).and_then(|button| button.data.as_ref());
        assert!(data.is_some(), "no {button} among {:?}", shown.labels());
        self.telegram.press_forged(user, shown.chat, shown.id, data.unwrap()).unwrap()
    }

    pub async fn told(&self, query: &str) -> String {
        self.telegram.answer_to(query).await.unwrap().text.unwrap_or_default()
    }

    /// Waits until a message contains this.
    pub async fn says(&self, message: &SimMessage, text: &str) -> SimMessage {
        let (chat, id) = (message.chat, message.id);
        let found = |messages: &[SimMessage]| {
            messages.iter().find(|message| message.id == id && message.text().contains(text)).cloned()
        };
        self.telegram.wait_for(chat, &format!("{text:?} in message {id}"), found).await.unwrap()
    }

    /// Waits until a message of the bot in the home chat contains this.
    pub async fn heard(&self, text: &str) -> SimMessage {
        self.telegram.wait_for_text(self.home, text).await.unwrap()
    }

    /// Waits until a message of the bot in the home chat contains one of these.
    pub async fn heard_any(&self, texts: [&str; 2]) -> SimMessage {
        let says = |it: &&SimMessage| texts.iter().any(|text| it.text().contains(text));
        let found = |all: &[SimMessage]| all.iter().find(says).cloned();
        self.telegram.wait_for(self.home, texts[0], found).await.unwrap()
    }

    /// Waits until this many plans in the home chat have ended, and returns their messages.
    pub async fn ends(&self, count: usize) -> Vec<SimMessage> {
        let has_ended = |it: &&SimMessage| DONE.iter().any(|words| it.text().contains(words));
        let found = |all: &[SimMessage]| {
            let ended: Vec<_> = all.iter().filter(has_ended).cloned().collect();
            (ended.len() == count).then_some(ended)
        };
        self.telegram.wait_for(self.home, &format!("{count} plans have ended"), found).await.unwrap()
    }

    /// What the bot has written in the home chat.
    pub fn written(&self) -> Vec<SimMessage> {
        self.written_in(self.home)
    }

    pub fn written_in(&self, chat: i64) -> Vec<SimMessage> {
        let bot = self.telegram.bot().id;
        self.telegram.messages(chat).into_iter().filter(|message| message.from.id == bot).collect()
    }

    /// Waits for this many whole cycles.
    pub async fn cycles(&self, count: usize) {
        let reads = || self.sim.count_requests("GET /vm/v3/host");
        let before = reads();
        platform::until("cycles went by", async || reads() > before + count).await;
    }

    /// Waits until a condition holds for the platform.
    pub async fn until(&self, what: &str, holds: impl Fn(&Running) -> bool) {
        platform::until(what, async || holds(&self.sim)).await;
    }

    /// Waits until the bot has VMmanager's answer to an order and looks what becomes of it.
    pub async fn until_watched(&self) {
        self.until("an order is watched", is_watched).await;
    }

    pub fn minutes_pass(&self, minutes: i64) {
        self.clock.advance(TimeDelta::minutes(minutes));
    }

    pub fn vm_name(&self, vm: VmId) -> String {
        self.sim.look(|world| world.vms[&vm].name.clone())
    }

    /// The order with this number as people read it: the VM's name, and both nodes.
    pub fn ordered(&self, number: usize) -> [String; 2] {
        let order = self.sim.orders()[number].clone();
        let node = |id| self.sim.look(|world| world.nodes[&id].name.clone());
        [self.vm_name(order.vm), format!("{} → {}", node(order.source), node(order.target))]
    }
}

/// Tells whether whoever ordered has VMmanager's answer and looks what becomes of it.
pub fn is_watched(sim: &Running) -> bool {
    let requests = sim.requests();
    let order = requests.iter().position(|seen| seen.line().starts_with(ORDER));
    order.is_some_and(|at| requests[at..].iter().any(|seen| seen.line().starts_with(TASKS)))
}

/// Starts the real service as the program does, with cycles and messages in quick succession.
async fn run(environment: BotEnvironment, clock: Clock, setup: Arc<Setup>) -> Result<(), String> {
    let BotEnvironment { variables, shutdown, .. } = environment;
    let loaded = Config::for_purpose(Purpose::Daemon, |name| variables.get(name).cloned());
    let mut config = loaded.map_err(|problems| problems.to_string())?.config;
    config.scheduler.interval = setup.interval;
    config.scheduler.patience = setup.patience;
    let spacing =
        Spacing { card: CARD_SPACING, progress: Duration::from_millis(5), counts_for: setup.counts_for };
    let settings = |chat| Settings {
        panics_at: setup.panics_at.map(str::to_owned),
        word_within: setup.word_within,
        spacing,
        second_poller_pause: Duration::from_millis(50),
        look_every: OFTEN,
        ..chat
    };
    let chat = config.telegram.take().map(settings);
    let app = App::build_with_chat(&config, chat, clock, AppPace::Short).await;
    app.map_err(|error| error.to_string())?.run(shutdown).await;
    Ok(())
}

/// The variables of a quiet service with one admin, one operator and one viewer.
pub fn environment(
    sim: &Running,
    telegram: &telegram::Running,
    dir: &Path,
    home: i64,
) -> BTreeMap<String, String> {
    let options = sim.options();
    [
        ("VMMANAGER_HOST", sim.url()),
        ("VMMANAGER_USERNAME", options.username),
        ("VMMANAGER_PASSWORD", options.password),
        ("TELEGRAM_BOT_TOKEN", telegram.token().to_owned()),
        ("TELEGRAM_API_URL", telegram.url()),
        ("TELEGRAM_CHAT_ID", home.to_string()),
        ("TELEGRAM_ADMIN_IDS", ADMIN.to_string()),
        ("TELEGRAM_OPERATOR_IDS", OPERATOR.to_string()),
        ("TELEGRAM_VIEWER_IDS", VIEWER.to_string()),
        // One migration at a time, so that a test names the one that it is about.
        ("MAX_MIGRATIONS_PER_CYCLE", "1".to_owned()),
        ("MAX_PARALLEL_MIGRATIONS", "1".to_owned()),
        ("MIGRATION_COOLDOWN", "3600".to_owned()),
        ("DATA_DIR", dir.join("data").display().to_string()),
        ("BALANCE_MODE", "off".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The real program with these variables and nothing else of the caller's environment; it logs to [`LOG`].
pub fn process(dir: &Path, variables: &BTreeMap<String, String>) -> Child {
    process_with(dir, variables, &[])
}

pub fn process_with(dir: &Path, variables: &BTreeMap<String, String>, arguments: &[&str]) -> Child {
    let log = File::options().create(true).append(true).open(dir.join(LOG)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vm-balancer"));
    command.args(arguments).current_dir(dir).env_clear().env("HOME", dir).envs(variables);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
    command.spawn().unwrap()
}
