//! The file that the Python tool 2.0.1 shipped, filled in as its README says and changed in nothing else: what each
//! way to call the program makes of it.

use std::{collections::BTreeMap, fs, process::Stdio};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};
use vm_balancer::sandbox::{
    telegram::{self, SUPERGROUP, SimTelegram},
    vmmanager::{Options, Running, SimVmManager, World},
};

use crate::{
    conversation::{LOG, process_with},
    platform::{PATIENCE, until},
};

const SHIPPED: &str = include_str!("../../src/config/testdata/python-2.0.1.env");

/// What says how to have plans carried out as before.
const REMEDY: &str = "set BALANCE_MODE=auto";

#[tokio::test]
async fn once_the_plan_is_carried_out_with_a_bot_and_without() {
    for with_bot in [true, false] {
        let moved = Moved::new(with_bot).await;
        let (status, said) = moved.run(&["--once"]).await;
        assert_eq!(status, 0, "{said}");
        assert_eq!(moved.sim.orders().len(), 1, "{said}");
        assert!(said.contains("1 done") && !said.contains(REMEDY), "{said}");
    }
}

#[tokio::test]
async fn as_a_daemon_it_asks_in_the_chat_and_says_in_one_line_what_to_set() {
    for arguments in [&[][..], &["--interval", "1"]] {
        let moved = Moved::new(true).await;
        let mut bot = moved.start(arguments);
        moved.telegram.wait_for_text(SUPERGROUP, "Waits for approval").await.unwrap();
        assert!(moved.sim.orders().is_empty(), "nobody has approved");
        let log = moved.log();
        assert_eq!(log.lines().filter(|line| line.contains(REMEDY)).count(), 1, "{arguments:?}: {log}");
        bot.kill().await.unwrap();
        let (status, said) = moved.run(&["check"]).await;
        assert!(status == 0 && said.contains(REMEDY), "{said}");
    }
}

#[tokio::test]
async fn as_a_daemon_with_that_set_it_carries_out_and_reports() {
    for arguments in [&[][..], &["--interval", "1"]] {
        let moved = Moved::new(true).await;
        moved.add("BALANCE_MODE=auto");
        let _bot = moved.start(arguments);
        moved.telegram.wait_for_text(SUPERGROUP, "done: 1 moved").await.unwrap();
        assert_eq!(moved.sim.orders().len(), 1);
    }
}

#[tokio::test]
async fn as_a_daemon_without_a_bot_it_does_not_start_until_that_is_set() {
    let moved = Moved::new(false).await;
    for arguments in [&[][..], &["--interval", "1"]] {
        let (status, said) = moved.run(arguments).await;
        let line = said.lines().find(|line| line.contains("BALANCE_MODE: not set, expected auto"));
        assert!(status == 2 && line.is_some(), "{said}");
    }
    let (status, said) = moved.run(&["check"]).await;
    assert!(status == 1 && said.contains("set BALANCE_MODE in .env"), "{said}");
    moved.add("BALANCE_MODE=auto");
    let _bot = moved.start(&["--interval", "1"]);
    until("a VM is migrated", async || !moved.sim.orders().is_empty()).await;
}

/// Somebody who has moved from the Python tool.
struct Moved {
    sim: Running,
    telegram: telegram::Running,
    dir: TempDir,
}

impl Moved {
    async fn new(with_bot: bool) -> Self {
        let sim = SimVmManager::start(World::small(), Options::default()).await.unwrap();
        let telegram = SimTelegram::start(telegram::Options::default()).await.unwrap();
        let options = sim.options();
        let mut answers = vec![
            ("VMMANAGER_HOST", sim.url()),
            ("VMMANAGER_USERNAME", options.username),
            ("VMMANAGER_PASSWORD", options.password),
        ];
        if with_bot {
            answers.push(("TELEGRAM_BOT_TOKEN", telegram.token().to_owned()));
            answers.push(("TELEGRAM_CHAT_ID", SUPERGROUP.to_string()));
        }
        let filled = |line: &str| {
            let name = line.split('=').next().unwrap_or_default();
            let answer = answers.iter().find(|(asked, _)| *asked == name);
            answer.map_or(line.to_owned(), |(name, answer)| format!("{name}={answer}  # as before"))
        };
        let text: Vec<_> = SHIPPED.lines().map(filled).collect();
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(".env"), text.join("\n") + "\n").unwrap();
        Self { sim, telegram, dir }
    }

    /// Adds a line to the file.
    fn add(&self, line: &str) {
        let file = self.dir.path().join(".env");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("{text}{line}\n")).unwrap();
    }

    /// The only variable that is not the Python tool's: where the simulated Telegram is.
    fn environment(&self) -> BTreeMap<String, String> {
        [("TELEGRAM_API_URL".to_owned(), self.telegram.url())].into()
    }

    /// Starts the bot, which is killed when it is dropped.
    fn start(&self, arguments: &[&str]) -> tokio::process::Child {
        process_with(self.dir.path(), &self.environment(), arguments)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join(LOG)).unwrap()
    }

    /// Runs the program to its end; returns its exit status and all that it printed.
    async fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vm-balancer"));
        command.args(arguments).current_dir(self.dir.path()).env_clear().envs(self.environment());
        command.env("HOME", self.dir.path()).stdin(Stdio::null()).kill_on_drop(true);
        let ended = timeout(PATIENCE, command.output()).await.expect("it should end").unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code().unwrap(), String::from_utf8(said).unwrap())
    }
}
