//! Whole conversations as people see them, one snapshot for each scenario and language: who writes and presses what,
//! and what the bot's messages say and offer then.

use std::fmt::Write as _;

use chrono::TimeDelta;
use vm_balancer::{
    model::NodeId,
    sandbox::{
        telegram::{ADMIN, ANONYMOUS_ADMIN, CHANNEL, OPERATOR, STRANGER, SimMessage, VIEWER},
        vmmanager::{Fault, World},
    },
};

use crate::{
    conversation::{Ctx, Setup},
    platform,
    worlds::{one_over_and_one_near, two_clusters, two_overloaded},
};

/// Both steps of [`two_overloaded`] in one plan.
pub const BOTH: [(&str, &str); 2] = [("MAX_MIGRATIONS_PER_CYCLE", "9"), ("MAX_PARALLEL_MIGRATIONS", "1")];

pub const DONE: [&str; 2] = ["Ended at ", "Завершено в "];
pub const RUNS: [&str; 2] = ["running since", "идёт с"];

#[tokio::test]
async fn a_plan_from_the_question_to_the_history() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default().manual()).await;
        talk.ask(VIEWER, "/status").await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(VIEWER, &plan, ":a").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, RUNS).await;
        talk.bot.until_watched().await;
        talk.ask(VIEWER, "/running").await;
        talk.bot.sim.finish_all();
        talk.becomes(&plan, DONE).await;
        talk.ordered();
        talk.ask(OPERATOR, "/balance 1").await;
        talk.ask(VIEWER, "/history").await;
        talk.ask(VIEWER, "/history kvm-01").await;
        talk.shows("a_plan_from_the_question_to_the_history");
    }
}

#[tokio::test]
async fn a_migration_that_is_left_out_stays_where_it_is() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_overloaded(), Setup::of(&BOTH)).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":x:").await;
        let changed = talk.becomes(&plan, ["left out", "исключ"]).await;
        talk.press(ADMIN, &plan, ":a").await;
        talk.seconds_pass(5);
        talk.press(ADMIN, &changed, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.shows("a_migration_that_is_left_out_stays_where_it_is");
    }
}

#[tokio::test]
async fn a_node_near_its_threshold_is_relieved_with_one_that_is_over() {
    for lang in LANGUAGES {
        let setup = Setup::of(&[&BOTH[..], &[("RELIEF_AHEAD", "3")]].concat());
        let mut talk = Talk::start(lang, one_over_and_one_near(), setup).await;
        talk.ask(ADMIN, "/mode propose").await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.ordered();
        talk.ask(OPERATOR, "/balance 1").await;
        talk.shows("a_node_near_its_threshold_is_relieved_with_one_that_is_over");
    }
}

#[tokio::test]
async fn a_rejection_ends_a_plan_for_everybody() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(ADMIN, &plan, ":r").await;
        talk.becomes(&plan, ["Rejected by", "Отклонено"]).await;
        for button in [":a", ":r", ":f"] {
            talk.press(OPERATOR, &plan, button).await;
        }
        talk.ordered();
        talk.shows("a_rejection_ends_a_plan_for_everybody");
    }
}

#[tokio::test]
async fn an_expired_plan_is_refreshed_in_its_message() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.minutes_pass(31);
        talk.press(OPERATOR, &plan, ":a").await;
        let expired = talk.becomes(&plan, ["Expired at", "Срок вышел"]).await;
        talk.press(OPERATOR, &expired, ":f").await;
        let fresh = talk.becomes(&plan, ["Waits for approval", "Ждёт подтверждения"]).await;
        talk.minutes_pass(1);
        talk.press(OPERATOR, &fresh, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.ordered();
        talk.shows("an_expired_plan_is_refreshed_in_its_message");
    }
}

#[tokio::test]
async fn a_dry_run_says_so_first_and_an_admin_ends_it() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::of(&[("DRY_RUN", "true")])).await;
        talk.ask(VIEWER, "/dryrun").await;
        talk.ask(OPERATOR, "/balance 1").await;
        talk.ask(OPERATOR, "/dryrun off").await;
        talk.ask(ADMIN, "/dryrun off").await;
        talk.shows("a_dry_run_says_so_first_and_an_admin_ends_it");
    }
}

#[tokio::test]
async fn a_failure_is_shown_with_its_reason() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        talk.bot.sim.arm(Fault::libvirt_failure());
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.ask(VIEWER, "/history").await;
        talk.shows("a_failure_is_shown_with_its_reason");
    }
}

#[tokio::test]
async fn a_night_with_one_undecided_plan_is_one_message_and_one_ring() {
    for lang in LANGUAGES {
        let setup = Setup::of(&[("BALANCE_MODE", "propose")]).often();
        let mut talk = Talk::start(lang, World::small(), setup).await;
        let plan = talk.bot.heard(WAITS[lang.1]).await;
        talk.shown(&plan, "");
        for _ in 0..4 {
            talk.minutes_pass(31);
            talk.bot.cycles(3).await;
        }
        talk.becomes(&plan, WAITS).await;
        let written = talk.bot.written();
        assert_eq!(written.len(), 1, "{written:?}");
        assert!(!written[0].silent);
        talk.shows("a_night_with_one_undecided_plan_is_one_message_and_one_ring");
    }
}

#[tokio::test]
async fn the_status_offers_no_plan_that_does_not_fit_any_more() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        let moves = ["would move 1 VM", "переместит 1 ВМ"][lang.1];
        assert!(talk.ask(VIEWER, "/status").await.text().contains(moves));
        // Somebody moves the VM by hand, and the next cycle is an hour away.
        talk.bot.sim.edit(|world| {
            let moved = world.vms.values_mut().find(|vm| vm.node == NodeId(10)).unwrap();
            moved.node = NodeId(11);
        });
        talk.seconds_pass(10);
        let over = ["⚠ 1 node over", "⚠ Перегружен 1 узел"][lang.1];
        platform::until("a look shows the move", async || {
            !talk.bot.ask(VIEWER, "/status").await.text().contains(over)
        })
        .await;
        let status = talk.ask(VIEWER, "/status").await;
        assert!(!status.text().contains(moves), "{}", status.text());
        talk.shows("the_status_offers_no_plan_that_does_not_fit_any_more");
    }
}

#[tokio::test]
async fn failures_of_a_plan_are_one_message_that_somebody_takes_in_hand() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_overloaded(), Setup::of(&BOTH)).await;
        (0..2).for_each(|_| talk.bot.sim.arm(Fault::libvirt_failure()));
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        let failures = talk.bot.heard(["2 migrations need a look", "проверьте 2 миграции"][lang.1]).await;
        talk.shown(&failures, "");
        talk.press(OPERATOR, &failures, "a:t:").await;
        talk.becomes(&failures, ["is on it", "Занимается"]).await;
        let rings = talk.bot.written().into_iter().filter(|message| !message.silent).count();
        assert_eq!(rings, 2, "the plan and its failures");
        talk.shows("failures_of_a_plan_are_one_message_that_somebody_takes_in_hand");
    }
}

#[tokio::test]
async fn a_stop_lets_the_running_migration_end() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_overloaded(), Setup::of(&BOTH).manual()).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        let running = talk.becomes(&plan, RUNS).await;
        talk.bot.until_watched().await;
        talk.press(OPERATOR, &running, ":c").await;
        talk.becomes(&plan, ["■", "■"]).await;
        talk.bot.sim.finish_all();
        talk.becomes(&plan, DONE).await;
        talk.ordered();
        talk.ask(OPERATOR, "/cancel").await;
        talk.shows("a_stop_lets_the_running_migration_end");
    }
}

#[tokio::test]
async fn settings_are_changed_and_shown() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        let texts = [
            "/exclude kvm-02 target 2h",
            "/exclude kvm-2",
            "/exclusions",
            "/include KVM-02",
            "/include kvm-02",
            "/pause 1h30m network works",
            "/mode",
            "/status",
            "/resume",
            "/resume",
        ];
        for text in texts {
            talk.ask(OPERATOR, text).await;
        }
        talk.ask(OPERATOR, "/mode auto").await;
        talk.ask(ADMIN, "/mode propose").await;
        talk.shows("settings_are_changed_and_shown");
    }
}

#[tokio::test]
async fn who_may_not_learns_why() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_clusters(), Setup::default()).await;
        talk.ask(STRANGER, "/status").await;
        talk.ask(VIEWER, "/whoami").await;
        for text in ["/balance", "/pause", "/dryrun off"] {
            talk.ask(VIEWER, text).await;
        }
        let clusters = talk.ask(OPERATOR, "/balance").await;
        talk.press(VIEWER, &clusters, "b:2").await;
        talk.press(STRANGER, &clusters, "b:2").await;
        talk.shows("who_may_not_learns_why");
    }
}

pub const WAITS: [&str; 2] = ["Waits for approval", "Ждёт подтверждения"];

/// A language, and where it stands in a pair of texts.
pub type Lang = (&'static str, usize);

pub const LANGUAGES: [Lang; 2] = [("en", 0), ("ru", 1)];

/// Plays a conversation in each language and shows it.
pub async fn in_both(
    scenario: &str,
    world: impl Fn() -> World,
    setup: impl Fn() -> Setup,
    play: impl AsyncFn(&mut Talk),
) {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, world(), setup()).await;
        play(&mut talk).await;
        talk.shows(scenario);
    }
}

/// A conversation and what it shows so far.
pub struct Talk {
    pub bot: Ctx,
    lang: Lang,
    lines: String,
    /// What differs from run to run, and what stands for it.
    masks: Vec<(String, &'static str)>,
    seen: Vec<SimMessage>,
}

impl Talk {
    pub async fn start(lang: Lang, world: World, mut setup: Setup) -> Self {
        setup.variables.push(("VM_BALANCER_LANG", lang.0.to_owned()));
        let bot = Ctx::with(world, setup).await;
        platform::until("the first cycle is over", async || {
            bot.ask_in(ADMIN, ADMIN, "/status")
                .await
                .text()
                .contains(["Last cycle", "Последний цикл"][lang.1])
        })
        .await;
        Self::over(lang, bot)
    }

    /// A conversation with a bot that is started later.
    pub async fn prepared(lang: Lang, world: World, mut setup: Setup) -> Self {
        setup.variables.push(("VM_BALANCER_LANG", lang.0.to_owned()));
        Self::over(lang, Ctx::prepared(world, setup).await)
    }

    /// A conversation with a bot that may not have begun.
    pub fn over(lang: Lang, bot: Ctx) -> Self {
        Self { bot, lang, lines: String::new(), masks: Vec::new(), seen: Vec::new() }
    }

    /// Shows these texts as others from now on.
    pub fn masks(&mut self, masks: impl IntoIterator<Item = (String, &'static str)>) {
        self.masks.extend(masks);
    }

    /// What was shown so far.
    pub fn lines(&self) -> &str {
        &self.lines
    }

    /// The bot's messages as they were shown.
    pub fn seen(&self) -> &[SimMessage] {
        &self.seen
    }

    /// This conversation, and another one behind it.
    pub fn followed_by(self, other: Self) -> Self {
        let seen = [self.seen, other.seen].concat();
        Self { lines: self.lines + &other.lines, seen, ..other }
    }

    /// Somebody writes, and the bot answers.
    pub async fn ask(&mut self, user: i64, text: &str) -> SimMessage {
        self.line(&format!("{}: {text}", name(user)));
        let answer = self.bot.ask(user, text).await;
        self.shown(&answer, "");
        answer
    }

    /// Somebody writes in another place, and the bot answers there.
    pub async fn ask_in(&mut self, user: i64, chat: i64, text: &str) -> SimMessage {
        self.line(&format!("{} in private: {text}", name(user)));
        let answer = self.bot.ask_in(user, chat, text).await;
        self.shown(&answer, " in private");
        answer
    }

    /// A message of the bot changes until it has a button whose data has this in it.
    pub async fn offers(&mut self, message: &SimMessage, data: &str) -> SimMessage {
        let offers = |it: &&SimMessage| it.id == message.id && it.button_with(data).is_some();
        let found = |all: &[SimMessage]| all.iter().find(offers).cloned();
        let changed = self.bot.telegram.wait_for(message.chat, data, found).await.unwrap();
        self.shown(&changed, " (edited)");
        changed
    }

    /// A message is pinned, or is no more.
    pub async fn pinned(&mut self, message: &SimMessage, is_so: bool) {
        let found = |all: &[SimMessage]| all.iter().any(|it| it.id == message.id && it.pinned == is_so);
        let what = if is_so { "pinned" } else { "unpinned" };
        self.bot.telegram.wait_for(message.chat, what, |all| found(all).then_some(())).await.unwrap();
        self.line(&format!("— the message is {what} —"));
    }

    /// The bot writes by itself.
    pub async fn hears(&mut self, texts: [&str; 2]) -> SimMessage {
        let heard = self.bot.heard(texts[self.lang.1]).await;
        self.shown(&heard, "");
        heard
    }

    /// The bot is killed and started again.
    pub async fn restarts(&mut self) {
        self.bot.kill().await;
        self.bot.restart().await;
        self.line("— the bot is started again —");
    }

    /// Somebody presses the first button whose data has this in it, and the bot answers in passing.
    pub async fn press(&mut self, user: i64, shown: &SimMessage, data: &str) {
        let button = shown.button_with(data).expect("the button is there");
        let words = self.bot.press(user, shown, button.data.as_deref().unwrap()).await;
        self.line(&format!("{} presses [{}] → “{words}”", name(user), button.text));
    }

    /// Somebody sends a press with this data, whatever the message carries.
    pub async fn forge(&mut self, user: i64, shown: &SimMessage, data: &str) {
        let query = self.bot.telegram.press_forged(user, shown.chat, shown.id, data).unwrap();
        let words = self.bot.told(&query).await;
        let first = shown.text().lines().next().unwrap_or_default();
        self.line(&format!("{} forges {data} under “{first}” → “{words}”", name(user)));
    }

    /// A message of the bot changes until it says this, in the language of the conversation.
    pub async fn becomes(&mut self, message: &SimMessage, texts: [&str; 2]) -> SimMessage {
        let changed = self.bot.says(message, texts[self.lang.1]).await;
        self.shown(&changed, " (edited)");
        changed
    }

    /// Shows what VMmanager was ordered to do so far.
    pub fn ordered(&mut self) {
        let orders = (0..self.bot.sim.orders().len()).map(|number| self.bot.ordered(number).join(": "));
        let orders: Vec<_> = orders.collect();
        let orders = if orders.is_empty() { "nothing".to_owned() } else { orders.join(", ") };
        self.line(&format!("— ordered: {orders} —"));
    }

    pub fn seconds_pass(&mut self, seconds: i64) {
        self.bot.clock.advance(TimeDelta::seconds(seconds));
        self.line(&format!("— {seconds} seconds pass —"));
    }

    pub fn minutes_pass(&mut self, minutes: i64) {
        self.bot.minutes_pass(minutes);
        self.line(&format!("— {minutes} minutes pass —"));
    }

    pub fn shown(&mut self, message: &SimMessage, how: &str) {
        self.seen.push(message.clone());
        self.line(&format!("balancer{how}:\n{}", message.text()));
        for row in message.labels() {
            self.line(&format!("[{}]", row.join("] [")));
        }
    }

    pub fn line(&mut self, text: &str) {
        let mask = |text: String, (found, shown): &(String, &str)| text.replace(found, shown);
        let text = self.masks.iter().fold(text.to_owned(), mask);
        for (index, line) in text.lines().enumerate() {
            let indent = if index == 0 && !text.starts_with('[') { "" } else { "    " };
            writeln!(self.lines, "{}", format!("{indent}{line}").trim_end()).unwrap();
        }
    }

    pub fn shows(self, scenario: &str) {
        insta::assert_snapshot!(format!("{scenario}_{}", self.lang.0), self.lines);
    }
}

fn name(user: i64) -> &'static str {
    match user {
        ADMIN => "Anna",
        OPERATOR => "Oleg",
        VIEWER => "Vera",
        STRANGER => "Stan",
        ANONYMOUS_ADMIN => "an anonymous admin",
        CHANNEL => "a channel",
        _ => "somebody",
    }
}
