//! The program as a person calls it, over a simulated VMmanager: what it prints and how it ends.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Output, Stdio},
};

use futures::future::join_all;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};
use vm_balancer::{
    control::{self, Answer, Request},
    sandbox::vmmanager::{Fault, Options, Running, SimVmManager, World},
};

use crate::{
    platform::{PATIENCE, until, without_times},
    worlds::two_overloaded,
};

#[tokio::test]
async fn a_dry_run_tells_a_plan_and_touches_nothing() {
    let place = Place::with_vmmanager().await;
    let told = place.run("--config .env --dry-run --once").await;
    insta::assert_snapshot!("a_dry_run_tells_a_plan", place.shown(&told));
    assert!(!place.dir.path().join("data").exists(), "not even a store is made");
    assert!(place.sim().orders().is_empty());
}

#[tokio::test]
async fn one_cycle_is_carried_out_and_remembered() {
    let place = Place::with_vmmanager().await;
    let told = place.run("--once --json").await;
    assert_eq!(told.status, 0, "{told:?}");
    let object: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(object["dry_run"], false);
    let step = &object["clusters"][0]["migrations"][0];
    assert_eq!(step["outcome"], "done", "{object}");
    assert!(step["detail"].is_string());
    assert_eq!(place.sim().orders().len(), 1);

    let history: Value = serde_json::from_str(&place.run("history --json").await.out).unwrap();
    assert_eq!(history[0]["vm"], step["vm"]);
    assert_eq!(history[0]["approver"], "command line");
    let table = place.run("history --csv").await.out;
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split(',').collect()).collect();
    let column = |name| rows[0].iter().position(|title| *title == name).unwrap();
    assert_eq!(
        (rows[1][column("approver")], rows[1][column("outcome")]),
        ("command line", "done"),
        "{table}"
    );
}

#[tokio::test]
async fn a_failed_migration_is_an_exit_status_and_a_detail() {
    let place = Place::with_vmmanager().await;
    place.sim().arm(Fault::libvirt_failure());
    let told = place.run("--once --json").await;
    assert_eq!(told.status, 1, "{told:?}");
    let object: Value = serde_json::from_str(&told.out).unwrap();
    let step = &object["clusters"][0]["migrations"][0];
    assert_eq!(step["outcome"], "failed");
    assert!(!step["detail"].as_str().unwrap().is_empty());
    let cluster = &object["clusters"][0];
    assert_eq!(cluster["after"], cluster["before"], "nothing was moved");
    assert_eq!(cluster["predicted"]["overloaded"], 0, "{object}");
}

#[tokio::test]
async fn an_interrupted_run_names_what_runs_and_what_has_not_begun() {
    let place = Place::with_world(two_overloaded()).await;
    place.sim().switch_on(Fault::RunsForever);
    let mut command = program(place.dir.path());
    command
        .args(["--once", "--json"])
        .env("MAX_MIGRATIONS_PER_CYCLE", "2")
        .env("MAX_PARALLEL_MIGRATIONS", "1");
    let run = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    until("an order is sent", async || !place.sim().orders().is_empty()).await;
    signal(&run, "INT").await;
    let ended = timeout(PATIENCE, run.wait_with_output()).await.expect("it should end").unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let object: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let migrations =
        object["clusters"].as_array().unwrap().iter().flat_map(|of| of["migrations"].as_array().unwrap());
    let outcomes: Vec<_> = migrations.map(|step| step["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["running", "not_begun"], "{object}");
    let history: Value = serde_json::from_str(&place.run("history --json").await.out).unwrap();
    assert_eq!(history[0]["outcome"], "running", "an open migration is in the history: {history}");
    let table = place.run("history --csv").await.out;
    assert!(
        table.lines().nth(1).unwrap().contains(",running,"),
        "as the table and the JSON have it: {table}"
    );
    assert_eq!(history[0]["plan_id"], object["plan_id"], "one plan has one id");
}

#[tokio::test]
async fn completions_and_the_manual_page_name_every_command() {
    let place = Place::bare();
    for line in ["completions bash", "completions zsh", "completions fish", "man", "--help", "help"] {
        let told = place.run(line).await;
        assert_eq!(told.status, 0, "{line}: {told:?}");
        for word in ["history", "snapshot", "cluster"] {
            assert!(told.out.contains(word), "{line}: {word}: {}", told.out);
        }
    }
    assert!(place.run("--help").await.out.contains("Exit status:"));
}

#[tokio::test]
async fn without_a_configuration_the_program_says_what_to_run() {
    let place = Place::bare();
    let told = place.same_of_all(&["", "--once", "check", "plan", "snapshot"]).await;
    insta::assert_snapshot!("without_a_configuration", told);
    insta::assert_snapshot!(
        "without_a_terminal_init_says_what_to_set",
        place.shown(&place.run("init").await)
    );
    let history = place.run("history").await;
    assert_eq!(history.status, 0, "what was done needs no configuration");
    assert!(history.err.contains("there is no store in ./data"), "{history:?}");
}

#[tokio::test]
async fn a_missing_right_is_an_exit_status_and_a_detail_and_no_failure() {
    let place = Place::with_vmmanager().await;
    place.sim().switch_on(Fault::ReadOnlyAdmin);
    let told = place.run("--once --json").await;
    assert_eq!(told.status, 1, "{told:?}");
    let object: Value = serde_json::from_str(&told.out).unwrap();
    let step = &object["clusters"][0]["migrations"][0];
    assert_eq!(step["outcome"], "dropped");
    insta::assert_snapshot!("a_missing_right", step["detail"].as_str().unwrap());
}

#[tokio::test]
async fn with_a_log_in_json_every_line_is_json_even_where_nothing_starts() {
    let place = Place::bare();
    for file in ["BALANCE_INTERVAL=often\n", "VMMANAGER_HOST=http://127.0.0.1:1\nVMMANAGER_TOKEN=t\n"] {
        place.write(".env", &format!("LOG_FORMAT=json\nLOG_LEVEL=DEBUG\n{file}"));
        let told = place.run("--once --dry-run").await;
        assert!(!told.err.is_empty(), "{told:?}");
        every_line_is_json(&told);
    }
}

#[tokio::test]
async fn in_a_log_in_json_every_id_but_a_plans_is_a_number() {
    let place = Place::with_vmmanager().await;
    let told = place.run_with("--once", &[("LOG_FORMAT", "json"), ("LOG_LEVEL", "DEBUG")]).await;
    assert_eq!(told.status, 0, "{told:?}");
    let mut seen = BTreeSet::new();
    for line in told.err.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let spans = line["spans"].as_array().into_iter().flatten();
        for part in [&line, &line["span"]].into_iter().chain(spans).filter_map(Value::as_object) {
            for (name, value) in part.iter().filter(|(name, _)| name.ends_with(".id")) {
                assert_eq!(value.is_number(), name != "plan.id", "{name} in {line}");
                seen.insert(name.clone());
            }
        }
    }
    for name in ["cluster.id", "vm.id", "plan.id", "proposal.id", "migration.id"] {
        assert!(seen.contains(name), "{name} is not among {seen:?}");
    }
}

#[tokio::test]
async fn with_a_log_in_json_wrong_arguments_and_a_file_that_cannot_be_read_are_json_too() {
    let place = Place::bare();
    place.write("json.env", "LOG_FORMAT=json\nVMMANAGER_HOST=http://127.0.0.1:1\nVMMANAGER_TOKEN=t\n");
    let json = [("LOG_FORMAT", "json")];
    let mut errors = String::new();
    for (line, environment) in [
        ("--frobnicate", &json[..]),
        ("--config missing.env --once", &json[..]),
        ("--once plan", &json[..]),
        ("plan --snapshot missing.json", &json[..]),
        ("", &json[..]),
        // The file says it, and nothing else.
        ("--config json.env --frobnicate", &[][..]),
        ("--config=json.env --once plan", &[][..]),
    ] {
        let told = place.run_with(line, environment).await;
        assert_eq!((told.status, told.out.as_str()), (2, ""), "{line}: {told:?}");
        errors += &format!("$ vm-balancer {line}\n{}\n", every_line_is_json(&told));
    }
    insta::assert_snapshot!("errors_in_a_log_in_json", errors);
    let told = place.run_with("--frobnicate", &[("LOG_FORMAT", "text")]).await;
    assert!(told.err.starts_with("error: "), "{told:?}");
    assert_eq!(place.run_with("--version", &json).await.err, "");
}

/// Returns what the lines of standard error say of errors.
fn every_line_is_json(told: &Told) -> String {
    let lines: Result<Vec<Value>, _> = told.err.lines().map(serde_json::from_str).collect();
    let lines = lines.unwrap_or_default();
    assert!(!lines.is_empty(), "{told:?}");
    assert!(lines.iter().all(|line| line.is_object() && line["level"].is_string()), "{told:?}");
    lines.iter().filter_map(|line| line["error"].as_str()).collect()
}

#[tokio::test]
async fn colours_are_for_terminals_that_want_them() {
    let place = Place::with_vmmanager().await;
    let file = std::fs::read_to_string(place.dir.path().join(".env")).unwrap();
    place.write(".env", &(file + "LOG_LEVEL=DEBUG\nVERIFY_SSL=false\n"));
    let piped = place.run_with("plan", &[("TERM", "xterm-256color")]).await;
    assert!(piped.err.contains("VERIFY_SSL") && !piped.err.contains(ESCAPE), "{piped:?}");
    for (line, sign) in [("plan", "VERIFY_SSL"), ("--help", "Usage:")] {
        for (environment, is_coloured) in [
            (&[("TERM", "xterm-256color")][..], true),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "1")][..], false),
            (&[("TERM", "dumb")][..], false),
        ] {
            let shown = place.run_in_terminal(line, environment).await;
            assert!(shown.contains(sign), "{line} {environment:?}: {shown}");
            assert_eq!(shown.contains(ESCAPE), is_coloured, "{line} {environment:?}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_vmmanager_that_is_not_there_is_trouble() {
    let place = Place::bare();
    place.write(".env", "VMMANAGER_HOST=http://127.0.0.1:1\nVMMANAGER_TOKEN=t\n");
    // Each tries for some seconds, so they run at the same time.
    let lines = ["--once --dry-run", "plan", "snapshot"];
    let all = join_all(lines.map(|line| place.run(line))).await;
    for (line, told) in lines.into_iter().zip(all) {
        assert_eq!((told.status, told.out.as_str()), (1, ""), "{line}: {told:?}");
        assert!(told.err.contains("VMmanager is unavailable: no answer to"), "{line}: {told:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_trouble_and_never_shown() {
    let place = Place::with_vmmanager().await;
    let told = place.run_with("--once --dry-run -v", &[("VMMANAGER_PASSWORD", "not-the-password")]).await;
    assert_eq!(told.status, 1, "{told:?}");
    assert!(told.err.contains("it does not accept the user and password"), "{told:?}");
    assert!(!told.err.contains("not-the-password"), "{told:?}");
}

#[tokio::test]
async fn a_bad_configuration_is_told_at_once_and_whole() {
    let place = Place::bare();
    place.write(".env", "BALANCE_INTERVAL=often\nVMMANAGER_PASWORD=deep\n");
    let told = place.same_of_all(&["--once", "plan", "snapshot"]).await;
    let told = format!("{told}\nas a bot: {}", place.shown(&place.run("").await));
    assert!(!told.contains("deep"), "{told}");
    insta::assert_snapshot!("a_bad_configuration", told);
}

#[tokio::test]
async fn a_file_that_is_named_must_be_there() {
    let place = Place::bare();
    let told = [
        place.shown(&place.run("--config missing.env --once").await),
        place.shown(&place.run("plan --snapshot missing.json").await),
    ];
    insta::assert_snapshot!("a_file_that_is_named_must_be_there", told.join("\n"));
}

#[tokio::test]
async fn wrong_arguments_are_a_status_of_their_own() {
    let place = Place::bare();
    for line in ["--frobnicate", "--interval 0", "--once plan", "history --limit -1"] {
        assert_eq!(place.run(line).await.status, 2, "{line}");
    }
    assert!(place.run("--version").await.out.starts_with(concat!("vm-balancer ", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn what_prints_no_json_says_so_and_health_prints_it() {
    let place = Place::bare();
    for line in ["man --json", "completions bash --json", "--json init", "sandbox --json"] {
        let told = place.run(line).await;
        assert_eq!((told.status, told.out.as_str()), (2, ""), "{line}: {told:?}");
        assert!(told.err.contains("--json does not go with this command"), "{line}: {told:?}");
    }
    let told = place.run("health --json").await;
    assert_eq!(told.status, 1, "{told:?}");
    let object: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(object["alive"], false, "{object}");
    assert!(object["trouble"].as_str().unwrap().contains("no vm-balancer runs"), "{object}");
}

/// What root writes in the folder of the bot's user would keep the bot from its own store.
#[tokio::test]
async fn root_does_not_open_the_store_of_another_user() {
    const ANOTHER: u32 = 54_321;
    let place = Place::with_vmmanager().await;
    assert_eq!(place.run("--once").await.status, 0);
    let data = place.dir.path().join("data");
    if std::os::unix::fs::chown(&data, Some(ANOTHER), None).is_err() {
        // Only root can give a folder away, and only root is refused.
        return;
    }
    let before = names_in(&data);
    insta::assert_snapshot!(
        "root_does_not_open_the_store_of_another_user",
        place.same_of_all(&["plan", "snapshot", "history", "--once", "--once --dry-run"]).await
    );
    assert_eq!(names_in(&data), before, "nothing is made there");
    assert_eq!(place.sim().orders().len(), 1, "and nothing is ordered");
}

fn names_in(folder: &Path) -> BTreeSet<std::ffi::OsString> {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect()
}

#[tokio::test]
async fn a_saved_snapshot_gives_the_live_systems_plan_without_any_settings() {
    let place = Place::with_vmmanager().await;
    let saved = place.run("snapshot").await;
    assert_eq!(saved.status, 0, "{saved:?}");
    let live: Value = serde_json::from_str(&place.run("plan --json").await.out).unwrap();

    let elsewhere = Place::bare();
    let mut snapshot: Value = serde_json::from_str(&saved.out).unwrap();
    snapshot["taken_at"] = "2020-01-01T00:00:00Z".into();
    elsewhere.write("saved.json", &snapshot.to_string());
    let told = elsewhere.run("plan --snapshot saved.json --json").await;
    assert_eq!(told.status, 0, "{told:?}");
    let offline: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(offline["plan_id"], live["plan_id"], "the id does not depend on the time");
    assert_eq!(offline["clusters"][0]["migrations"], live["clusters"][0]["migrations"]);
    assert!(!elsewhere.dir.path().join("data").exists(), "planning a file leaves nothing behind");
    assert!(!place.dir.path().join("data").exists(), "a look leaves nothing behind");
    assert!(place.sim().orders().is_empty());
}

#[tokio::test]
async fn only_the_clusters_that_are_named_are_planned() {
    let place = Place::with_vmmanager().await;
    let told = place.run("plan --json --cluster-ids 777").await;
    let object: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(object["clusters"], Value::Array(Vec::new()));
    insta::assert_snapshot!(
        "only_the_clusters_that_are_named",
        place.shown(&Told { out: String::new(), ..told })
    );
}

#[tokio::test]
async fn beside_a_running_bot_everything_can_be_asked_and_nothing_carried_out() {
    let place = Place::with_vmmanager().await;
    let mut bot = place.bot("BALANCE_MODE=off\nPIN_VMS=*\nMEMORY_OVERLOAD_THRESHOLD=99\n").await;

    let plan = place.run("plan --json").await;
    let object: Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(
        object["clusters"][0]["overloaded"],
        Value::Array(Vec::new()),
        "the bot's own thresholds count"
    );
    let snapshot: Value = serde_json::from_str(&place.run("snapshot").await.out).unwrap();
    assert!(snapshot["vms"].is_array());
    assert_eq!(place.run("history --json").await.out, "[]\n");

    let once = place.run("--once").await;
    let second_bot = place.run_with("", &[("BALANCE_MODE", "off")]).await;
    let told = [Told { out: String::new(), ..plan }, once, second_bot].map(|told| place.shown(&told));
    insta::assert_snapshot!("beside_a_running_bot", told.join("\n"));
    assert!(place.sim().orders().is_empty());
    stop(&mut bot).await;
}

#[tokio::test]
async fn the_bot_ends_well_when_it_is_asked_to() {
    let place = Place::with_vmmanager().await;
    for name in ["TERM", "INT"] {
        let mut bot = place.bot("BALANCE_MODE=off\n").await;
        signal(&bot, name).await;
        let status = timeout(PATIENCE, bot.wait()).await.expect("it should end").unwrap();
        assert_eq!(status.code(), Some(0), "{name}");
        assert!(!place.dir.path().join("data/control.sock").exists());
    }
}

#[tokio::test]
async fn no_way_of_running_leaves_a_session_behind() {
    let place = Place::with_vmmanager().await;
    let before = place.sim().session_count();
    for (runs, line) in ["plan", "snapshot", "--once", "check"].into_iter().enumerate() {
        place.run(line).await;
        assert_eq!(place.sim().count_requests("POST /auth/v4/public/token"), runs + 1, "{line} logs in");
        assert_eq!(place.sim().count_requests("DELETE /auth/v4/token/"), runs + 1, "{line} logs out");
        assert_eq!(place.sim().session_count(), before, "{line}");
    }
    let mut bot = place.bot("BALANCE_MODE=auto\n").await;
    until("it has logged in", async || place.sim().session_count() > before).await;
    stop(&mut bot).await;
    assert_eq!(place.sim().session_count(), before);
}

#[tokio::test]
async fn with_a_long_lived_token_nobody_is_logged_out() {
    let place = Place::with_vmmanager().await;
    let token = place.sim().options().token;
    place.write(".env", &format!("VMMANAGER_HOST={}\nVMMANAGER_TOKEN={token}\n", place.sim().url()));
    let told = place.run("plan").await;
    assert_eq!((told.status, place.sim().count_requests("/auth/")), (0, 0), "{told:?}");
}

#[tokio::test]
async fn a_bot_that_was_killed_leaves_nothing_in_the_way() {
    let place = Place::with_vmmanager().await;
    let mut bot = place.bot("BALANCE_MODE=off\n").await;
    bot.kill().await.unwrap();
    assert!(place.dir.path().join("data/control.sock").exists(), "a killed bot cannot clear up");
    assert_eq!(place.run("history").await.status, 0);
    assert_eq!(place.run("plan").await.status, 0);
    let mut bot = place.bot("BALANCE_MODE=off\n").await;
    stop(&mut bot).await;
}

#[tokio::test]
async fn proposals_without_a_chat_are_refused_for_the_bot() {
    let place = Place::with_vmmanager().await;
    let told = place.run("").await;
    insta::assert_snapshot!("proposals_without_a_chat_are_refused", place.shown(&told));
}

/// A folder to call the program in, with a VMmanager where one is wanted.
struct Place {
    dir: TempDir,
    sim: Option<Running>,
}

/// What begins a change of colour.
const ESCAPE: char = '\u{1b}';

/// What a call printed and how it ended.
#[derive(Debug)]
struct Told {
    status: i32,
    out: String,
    err: String,
}

impl Place {
    fn bare() -> Self {
        Self { dir: TempDir::new().unwrap(), sim: None }
    }

    async fn with_vmmanager() -> Self {
        Self::with_world(World::small()).await
    }

    async fn with_world(world: World) -> Self {
        let sim = SimVmManager::start(world, Options::default()).await.unwrap();
        let options = sim.options();
        let place = Self { sim: Some(sim), ..Self::bare() };
        let file = format!(
            "VMMANAGER_HOST={}  # simulated\nVMMANAGER_USERNAME={}\nVMMANAGER_PASSWORD='{}'\n",
            place.sim().url(),
            options.username,
            options.password
        );
        place.write(".env", &file);
        place
    }

    fn sim(&self) -> &Running {
        self.sim.as_ref().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    async fn run(&self, line: &str) -> Told {
        self.run_with(line, &[]).await
    }

    /// What all these lines print: the same.
    async fn same_of_all(&self, lines: &[&str]) -> String {
        let told = join_all(lines.iter().map(|line| self.run(line))).await;
        let mut all: BTreeSet<_> = told.iter().map(|told| self.shown(told)).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all.pop_first().unwrap()
    }

    /// What was printed, without what differs from run to run.
    fn shown(&self, Told { status, out, err }: &Told) -> String {
        let url = self.sim.as_ref().map_or_else(|| "http://nowhere".to_owned(), Running::url);
        let known = |text: &str| {
            let text = text.replace(&url, "http://127.0.0.1:8080");
            without_times(&text.replace(&self.dir.path().display().to_string(), "/root"))
        };
        format!("status {status}\n--- standard output\n{}--- standard error\n{}", known(out), known(err))
    }

    async fn run_with(&self, line: &str, environment: &[(&str, &str)]) -> Told {
        let mut command = program(self.dir.path());
        command.args(line.split_whitespace()).envs(environment.iter().copied());
        let Output { status, stdout, stderr } =
            timeout(PATIENCE, command.output()).await.expect("it should end").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Told { status: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }

    /// What a person at a terminal sees, which `script` plays.
    async fn run_in_terminal(&self, line: &str, environment: &[(&str, &str)]) -> String {
        let mut command = Command::new("script");
        let call = format!("{} {line}", env!("CARGO_BIN_EXE_vm-balancer"));
        command.args(["--quiet", "--return", "--command", &call, "/dev/null"]);
        command.current_dir(self.dir.path()).env_clear().env("HOME", self.dir.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("SHELL", "/bin/sh");
        command.envs(environment.iter().copied()).stdin(Stdio::null());
        let ended = timeout(PATIENCE, command.output()).await.expect("it should end").unwrap();
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }

    /// Starts a bot with more settings and waits until it can be asked.
    async fn bot(&self, more: &str) -> Child {
        let file = std::fs::read_to_string(self.dir.path().join(".env")).unwrap();
        self.write("bot.env", &(file + more));
        let mut command = program(self.dir.path());
        let bot = command.args(["--config", "bot.env"]).kill_on_drop(true).stderr(Stdio::null()).spawn();
        let data = self.dir.path().join("data");
        let asked = async || control::ask(&data, &Request::Ping).await;
        until("the bot answers", async || matches!(asked().await, Ok(Some(Answer::Pong { .. })))).await;
        bot.unwrap()
    }
}

async fn stop(bot: &mut Child) {
    signal(bot, "TERM").await;
    timeout(PATIENCE, bot.wait()).await.expect("it should end").unwrap();
}

async fn signal(bot: &Child, name: &str) {
    let pid = bot.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status().await.unwrap();
    assert!(sent.success());
}

/// The program with nothing of the caller's environment but what it needs to run.
fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vm-balancer"));
    command.current_dir(dir).env_clear().env("HOME", dir).stdin(Stdio::null());
    command
}
