//! The whole service with nodes that measure themselves: simulated VMmanager, simulated nodes, and the real program.
#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Output, Stdio},
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{process::Command, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use vm_balancer::{
    app::{App, Pace},
    balancer::checked_plan,
    clock::{Clock, ManualClock},
    config::{Config, Purpose},
    model::{ClusterId, Mib, NodeId, Snapshot},
    planner::{self, Note, Policy, Resource},
    sandbox::{
        ssh::{Fault, SimLoad, SimNode, SimVm},
        telegram::{self, ADMIN, SimMessage, SimTelegram},
        vmmanager::{self, Options, Running, SimCluster, SimVmManager, World},
    },
    scheduler::{Handle, Picture},
};

use crate::platform::{PATIENCE, noon, until, without_times};

// ---- which VM is moved

#[tokio::test]
async fn the_vm_that_burns_the_cpu_is_moved_not_the_smallest() {
    let place = Place::new().await;
    let told = place.run("--once --json").await;
    assert_eq!(told.status, 0, "{told:?}");
    let object: Value = serde_json::from_str(&told.out).unwrap();
    let cluster = &object["clusters"][0];
    assert_eq!(cluster["overloaded"][0]["why"], "load 1.6 > 1 per core", "{object}");
    let moved: Vec<_> = cluster["migrations"].as_array().unwrap().iter().map(|m| &m["vm_name"]).collect();
    assert_eq!(moved, ["burner"], "{object}");
    assert_eq!(cluster["migrations"][0]["outcome"], "done", "{object}");
    assert_eq!(place.node_of("burner"), "kvm-02");
    assert_eq!(place.node_of("tiny"), "kvm-01");
    assert_eq!(place.node_of("decoy"), "kvm-01");
}

#[tokio::test]
async fn without_its_measured_use_the_idle_vm_that_costs_less_would_be_moved() {
    let place = Place::new().await;
    let bot = Bot::start(&place, "").await;
    let picture = bot.look().await;
    let mut blind = (*picture.snapshot).clone();
    blind.vms.iter_mut().for_each(|vm| vm.measured = None);
    let policy = Policy { load_readings: 1, ..(*picture.policy).clone() };
    let moves = |snapshot: &Snapshot| -> Vec<_> {
        let plan = planner::plan(snapshot, &policy).clusters.swap_remove(0);
        plan.migrations.into_iter().map(|migration| migration.vm_name).collect()
    };
    assert_eq!(moves(&picture.snapshot), ["burner"]);
    assert_eq!(moves(&blind), ["decoy"]);
    bot.stop().await;
}

#[tokio::test]
async fn a_second_run_at_once_waits_until_the_load_shows_what_the_first_one_moved() {
    let place = Place::new().await;
    let mut busy = place.busy();
    busy.vms[2].cores = 5.0;
    place.nodes["kvm-01"].set_load(busy);
    let first: Value = serde_json::from_str(&place.run("--once --json").await.out).unwrap();
    let moved = first["clusters"][0]["migrations"].as_array().unwrap().len();
    assert_eq!(moved, 1, "{first}");
    let placed = ["tiny", "burner", "decoy"].map(|vm| place.node_of(vm));
    // The five-minute averages are what they were.
    let told = place.run("--once --json").await;
    assert_eq!(told.status, 0, "{told:?}");
    let second: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(second["clusters"][0]["migrations"], json!([]), "{second}");
    let notes = without_times(&second["clusters"][0]["notes"].to_string());
    insta::assert_snapshot!("a_second_run_at_once_waits", notes);
    assert_eq!(["tiny", "burner", "decoy"].map(|vm| place.node_of(vm)), placed);
}

#[tokio::test]
async fn what_is_allocated_counts_where_nothing_is_measured_and_the_plan_says_so() {
    let place = Place::new().await;
    for node in place.nodes.values() {
        node.set_fault(Fault::RefuseSession);
    }
    let told = place.run("plan --json").await;
    assert_eq!(told.status, 0, "{told:?}");
    let object: Value = serde_json::from_str(&told.out).unwrap();
    let note = "No fresh measurement of kvm-01, kvm-02: counted by allocation.";
    assert_eq!(object["clusters"][0]["notes"], json!([note]), "{object}");
    assert_eq!(object["clusters"][0]["overloaded"], json!([]), "{object}");
}

// ---- when it counts

#[tokio::test]
async fn in_the_bot_a_node_counts_when_it_is_over_in_the_readings_of_two_cycles() {
    let place = Place::new().await;
    place.nodes["kvm-01"].set_load(place.a_little_busy());
    let bot = Bot::start(&place, "WATCH_INTERVAL=0\n").await;
    assert_eq!(bot.moves().await, Vec::<String>::new(), "one reading may be a peak");
    // A person asks many times between the cycles.
    for _ in 0..3 {
        bot.clock.advance(TimeDelta::seconds(20));
        assert_eq!(bot.moves().await, Vec::<String>::new(), "the same peak is seen twice");
    }
    bot.clock.advance(TimeDelta::minutes(9));
    assert_eq!(bot.moves().await, ["burner"]);
    bot.stop().await;
}

#[tokio::test]
async fn a_peak_that_is_over_by_the_next_cycle_moves_nothing() {
    let place = Place::new().await;
    place.nodes["kvm-01"].set_load(place.a_little_busy());
    let bot = Bot::start(&place, "WATCH_INTERVAL=0\n").await;
    bot.look().await;
    place.nodes["kvm-01"].set_load(SimLoad { load: [0.4; 3], ..place.a_little_busy() });
    bot.clock.advance(TimeDelta::minutes(10));
    assert_eq!(bot.moves().await, Vec::<String>::new());
    place.nodes["kvm-01"].set_load(place.a_little_busy());
    bot.clock.advance(TimeDelta::minutes(10));
    assert_eq!(bot.moves().await, Vec::<String>::new(), "the reading before was fine");
    bot.clock.advance(TimeDelta::minutes(10));
    assert_eq!(bot.moves().await, ["burner"]);
    bot.stop().await;
}

#[tokio::test]
async fn beside_a_bot_that_waits_for_a_second_reading_plan_takes_the_first() {
    let place = Place::new().await;
    place.nodes["kvm-01"].set_load(place.a_little_busy());
    let bot = Bot::start(&place, "").await;
    assert_eq!(bot.moves().await, Vec::<String>::new());
    let object: Value = serde_json::from_str(&place.run("plan --json").await.out).unwrap();
    assert_eq!(object["clusters"][0]["migrations"][0]["vm_name"], "burner", "{object}");
    bot.stop().await;
}

#[tokio::test]
async fn a_reading_counts_for_two_intervals_and_then_allocation_does() {
    let place = Place::new().await;
    let bot = Bot::start(&place, "").await;
    bot.look().await;
    place.nodes["kvm-01"].set_fault(Fault::Truncated);
    bot.clock.advance(TimeDelta::minutes(20));
    assert_eq!(bot.unmeasured().await, Vec::<String>::new());
    bot.clock.advance(TimeDelta::seconds(1));
    assert_eq!(bot.unmeasured().await, ["kvm-01"]);
    bot.stop().await;
}

#[tokio::test]
async fn the_prediction_takes_the_vms_measured_use_along() {
    let place = Place::new().await;
    let bot = Bot::start(&place, "").await;
    bot.look().await;
    bot.clock.advance(TimeDelta::minutes(10));
    let picture = bot.look().await;
    let migration = &picture.plan.clusters[0].migrations[0];
    let load = |state: &vm_balancer::planner::Fullness| (state.load.unwrap() * 1000.0).round() / 1000.0;
    assert_eq!((load(&migration.source_state.before), load(&migration.source_state.after)), (1.6, 0.85));
    assert_eq!((load(&migration.target_state.before), load(&migration.target_state.after)), (0.025, 0.775));
    let over = &picture.plan.clusters[0].overloaded[0].over;
    assert_eq!(over.iter().map(|excess| excess.resource).collect::<Vec<_>>(), [Resource::Load]);
    bot.stop().await;
}

// ---- who is asked

#[tokio::test]
async fn nobody_logs_in_to_nodes_of_clusters_that_are_not_balanced() {
    let place = Place::new().await;
    place.sim.edit(|world| {
        let msk = world.clusters.values().next().unwrap().clone();
        let spb = SimCluster { id: ClusterId(msk.id.0 + 1), name: "spb".into(), ..msk };
        for node in world.nodes.values_mut().filter(|node| node.name == "kvm-02") {
            node.cluster = spb.id;
        }
        world.clusters.insert(spb.id, spb);
    });
    let bot = Bot::start(&place, "CLUSTER_IDS=1\n").await;
    bot.look().await;
    let connections = |name| place.nodes[name].connections();
    assert_eq!((connections("kvm-01"), connections("kvm-02")), (1, 0));
    bot.stop().await;
}

#[tokio::test]
async fn a_dead_node_delays_no_answer_and_the_others_are_shown_as_they_are() {
    let place = Place::new().await;
    let chat = SimTelegram::start(telegram::Options::default()).await.unwrap();
    let bot = Bot::start(&place, &(with_chat(&chat) + "SSH_TIMEOUT=4\n")).await;
    let (dead, healthy) = (&place.nodes["kvm-01"], &place.nodes["kvm-02"]);
    dead.set_fault(Fault::HangAfterExec);
    bot.look().await;
    let asked = dead.commands().len();
    for minute in 1..=3 {
        bot.clock.advance(TimeDelta::minutes(1));
        healthy.set_load(SimLoad { load: [f64::from(minute); 3], cpus: 8, ..SimLoad::default() });
        bot.asked().await;
        chat.say(ADMIN, ADMIN, "/node kvm-02").unwrap();
        let measured = format!("(12:0{minute} UTC):\n   load per core {:.2}", f64::from(minute) / 8.0);
        chat.wait_for_text(ADMIN, &measured).await.unwrap();
    }
    insta::assert_snapshot!(
        "a_dead_node_delays_no_answer",
        answers(&chat, &["/node kvm-01", "/status"]).await
    );
    assert_eq!(dead.commands().len(), asked, "no question waits for it again");

    dead.set_fault(Fault::None);
    bot.clock.advance(TimeDelta::minutes(1));
    let now = bot.clock.now();
    let picture = bot.look().await;
    assert!(
        picture.snapshot.nodes.iter().all(|node| node.load.as_ref().unwrap().at == now),
        "a plan asks all"
    );
    bot.stop().await;
}

// ---- what the chat says

#[tokio::test]
async fn node_and_status_show_measured_beside_allocated_and_how_old_that_is() {
    for lang in ["en", "ru"] {
        let place = Place::new().await;
        place.nodes["kvm-01"].set_load(place.a_little_busy());
        let chat = SimTelegram::start(telegram::Options::default()).await.unwrap();
        let bot = Bot::start(&place, &format!("{}VM_BALANCER_LANG={lang}\n", with_chat(&chat))).await;
        bot.look().await;
        bot.clock.advance(TimeDelta::minutes(3));
        // A query looks again, but the nodes have no new values.
        for node in place.nodes.values() {
            node.set_fault(Fault::RefuseSession);
        }
        bot.asked().await;
        let told = answers(&chat, &["/node kvm-01", "/status", "/vm burner"]).await;
        insta::assert_snapshot!(format!("measured_beside_allocated_{lang}"), told);
        bot.stop().await;
    }
}

#[tokio::test]
async fn a_changed_host_key_is_told_in_the_chat_with_both_fingerprints_and_the_node_is_not_measured() {
    let place = Place::new().await;
    let other = SimNode::start(SimLoad::default()).await.unwrap();
    let node = &place.nodes["kvm-01"];
    let port = |node: &SimNode| node.address().port().to_string();
    let changed = other.known_hosts_line().replace(&port(&other), &port(node));
    place.know(&(changed + &place.nodes["kvm-02"].known_hosts_line()));
    let chat = SimTelegram::start(telegram::Options::default()).await.unwrap();
    let bot = Bot::start(&place, &with_chat(&chat)).await;

    let alarm = chat.wait_for_text(ADMIN, "SSH host key of kvm-01").await.unwrap();
    assert_eq!(bot.unmeasured().await, ["kvm-01"]);
    let told = format!("{}\n\n{}", alarm.text(), answers(&chat, &["/node kvm-01", "/status"]).await);
    let told = place.masked(&told.replace(&other.fingerprint(), "SHA256:expected"));
    insta::assert_snapshot!("a_changed_host_key_is_told", told);
    // A node that is silent for a while and then shows the same key does not cause a new alert.
    for fault in [Fault::NotSsh, Fault::None] {
        node.set_fault(fault);
        bot.look().await;
    }
    answers(&chat, &["/whoami"]).await;
    // Besides the alarm there are the answers, and what was asked.
    assert_eq!(chat.messages(ADMIN).len(), 1 + 2 * 3, "{}", chat.transcript(ADMIN));
    bot.stop().await;
}

// ---- check

#[tokio::test]
async fn check_tries_everything_and_shows_every_node_with_its_fingerprint() {
    let place = Place::new().await;
    let chat = SimTelegram::start(telegram::Options::default()).await.unwrap();
    place.configure(&with_chat(&chat));
    let told = place.run("check").await;
    assert_eq!(told.status, 0, "{told:?}");
    insta::assert_snapshot!(
        "check_tries_everything",
        place.masked(&told.out.replace(&chat.url(), "http://telegram"))
    );
    assert_eq!(told.err, "", "all is told with the result");
    assert!(!place.dir.path().join("data").exists(), "check leaves nothing behind");
    assert_eq!(place.sim.orders(), []);
    assert!(chat.messages(ADMIN).is_empty());
}

#[tokio::test]
async fn check_beside_a_running_bot_leaves_the_store_to_it() {
    let place = Place::new().await;
    let bot = Bot::start(&place, "").await;
    bot.look().await;
    let told = place.run("check --json").await;
    assert_eq!(told.status, 0, "{told:?}");
    let object: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(object["ok"], true);
    let store = object["findings"].as_array().unwrap().iter().find(|found| found["part"] == "store").unwrap();
    // The bot runs in this process.
    let detail = store["detail"].as_str().unwrap().replace(&std::process::id().to_string(), "4711");
    insta::assert_snapshot!("check_beside_a_running_bot", place.masked(&detail));
    assert_eq!(object["nodes"][0]["login"], "password", "{object}");
    bot.stop().await;
}

#[tokio::test]
async fn check_says_what_is_wrong_with_each_node() {
    let place = Place::new().await;
    place.know(&place.nodes["kvm-01"].known_hosts_line());
    place.nodes["kvm-01"].set_fault(Fault::RefuseExec);
    let told = place.run("check").await;
    assert_eq!(told.status, 1, "{told:?}");
    insta::assert_snapshot!("check_says_what_is_wrong_with_each_node", place.masked(&told.out));
}

#[tokio::test]
async fn check_says_which_part_is_wrong_by_its_status_and_shows_no_secret() {
    let place = Place::new().await;
    let chat = SimTelegram::start(telegram::Options::default()).await.unwrap();
    let another_chat = with_chat(&chat).replace(&format!("ID={ADMIN}"), "ID=-100424242");
    let mut all = String::new();
    for more in [
        "SSH_PRIVATE_KEY_PATH=/nowhere/key\nTELEGRAM_BOT_TOKEN=1:wrong_token\nTELEGRAM_API_URL=http://127.0.0.1:1\n",
        &another_chat,
        "BALANCE_INTERVAL=often\nVMMANAGER_PASSWORD=deep\n",
        "VMMANAGER_PASSWORD=not-the-password\n",
    ] {
        place.configure(more);
        let told = place.run("check").await;
        assert!(!format!("{told:?}").contains("not-the-password"), "{told:?}");
        let out = place.masked(&told.out.replace(&chat.url(), "http://telegram"));
        all += &format!("status {}\n{out}\n", told.status);
    }
    insta::assert_snapshot!("check_says_which_part_is_wrong", all);
}

/// Asks one after the other, and returns the questions with their answers.
async fn answers(chat: &telegram::Running, questions: &[&str]) -> String {
    let mut all = Vec::new();
    for question in questions {
        let said = Some(chat.say(ADMIN, ADMIN, question).unwrap());
        let found = |messages: &[SimMessage]| messages.iter().find(|it| it.reply_to == said).cloned();
        let answer = chat.wait_for(ADMIN, question, found).await.unwrap();
        all.push(format!("Anna: {question}\nbalancer:\n{}", answer.text()));
    }
    all.join("\n\n")
}

/// A VMmanager with two nodes, the first of them busy, and a folder to call the program in.
struct Place {
    dir: TempDir,
    sim: Running,
    nodes: BTreeMap<&'static str, SimNode>,
}

#[derive(Debug)]
struct Told {
    status: i32,
    out: String,
    err: String,
}

impl Place {
    async fn new() -> Self {
        let node = |name| vmmanager::SimNode::new(name).cores(8).gib(64);
        let vm = |name| vmmanager::SimVm::new(name);
        let world = World::builder()
            .cluster("msk")
            .node(node("kvm-01"))
            .vm(vm("tiny").cores(1).gib(1))
            .vm(vm("burner").cores(6).gib(8))
            .vm(vm("decoy").cores(6).gib(4))
            .node(node("kvm-02"))
            .build();
        let sim = SimVmManager::start(world, Options::default()).await.unwrap();
        let idle = SimLoad { load: [0.2; 3], cpus: 8, memory_total: Mib(65_536), ..SimLoad::default() };
        let quiet = SimNode::start(SimLoad { memory_used: Mib(4096), ..idle.clone() }).await.unwrap();
        let busy = SimNode::start(busy(&sim.world(), &idle)).await.unwrap();
        let nodes = BTreeMap::from([("kvm-01", busy), ("kvm-02", quiet)]);
        let place = Self { dir: TempDir::new().unwrap(), sim, nodes };
        place.know(&place.nodes.values().map(SimNode::known_hosts_line).collect::<String>());
        place.configure("");
        place
    }

    fn busy(&self) -> SimLoad {
        busy(&self.sim.world(), &SimLoad { cpus: 8, memory_total: Mib(65_536), ..SimLoad::default() })
    }

    /// Over the threshold by so little that one reading may be a peak.
    fn a_little_busy(&self) -> SimLoad {
        SimLoad { load: [10.2, 9.6, 9.0], cpu_pressure: Some(12.0), ..self.busy() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What people read, without what differs from run to run.
    fn masked(&self, text: &str) -> String {
        let mut text = text.replace(&self.dir.path().display().to_string(), "/root");
        text = text.replace(&self.sim.url(), "http://127.0.0.1:8080");
        for (number, (name, node)) in self.nodes.iter().enumerate() {
            let line = node.known_hosts_line();
            let key = line.split_whitespace().last().unwrap_or_default();
            text = text.replace(key, &format!("KEY-OF-{name}"));
            text = text.replace(&node.fingerprint(), &format!("SHA256:{name}"));
            text = text.replace(&node.address().port().to_string(), &format!("2200{number}"));
        }
        text
    }

    fn know(&self, lines: &str) {
        std::fs::write(self.path("known_hosts"), lines).unwrap();
    }

    /// Writes the configuration; a name that stands in `more` too has the value that stands there.
    fn configure(&self, more: &str) {
        let Options { username, password, .. } = self.sim.options();
        let hosts: BTreeMap<_, _> =
            self.nodes.iter().map(|(name, node)| (*name, node.address().to_string())).collect();
        let usual = [
            ("VMMANAGER_HOST", self.sim.url()),
            ("VMMANAGER_USERNAME", username),
            ("VMMANAGER_PASSWORD", password),
            ("BALANCE_MODE", "off".into()),
            ("DATA_DIR", self.path("data").display().to_string()),
            ("SSH_ENABLED", "true".into()),
            ("SSH_USERNAME", "monitor".into()),
            ("SSH_PASSWORD", "secret".into()),
            ("SSH_TIMEOUT", "20".into()),
            ("SSH_KNOWN_HOSTS", self.path("known_hosts").display().to_string()),
            ("SSH_HOSTS_MAPPING", format!("'{}'", json!(hosts))),
        ];
        let given = |name: &str| more.lines().any(|line| line.starts_with(&format!("{name}=")));
        let lines: String = usual
            .iter()
            .filter(|(name, _)| !given(name))
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        std::fs::write(self.path(".env"), lines + more).unwrap();
    }

    fn config(&self) -> Config {
        let text = std::fs::read_to_string(self.path(".env")).unwrap();
        let values: BTreeMap<_, _> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| (k, v.trim_matches('\'')))
            .collect();
        Config::for_purpose(Purpose::Daemon, |name| values.get(name).map(ToString::to_string)).unwrap().config
    }

    fn node_of(&self, vm: &str) -> String {
        let world = self.sim.world();
        let node: NodeId = world.vm(vm).unwrap().node;
        world.nodes[&node].name.clone()
    }

    async fn run(&self, line: &str) -> Told {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vm-balancer"));
        command.current_dir(self.dir.path()).env_clear().env("HOME", self.dir.path()).stdin(Stdio::null());
        command.args(line.split_whitespace());
        let Output { status, stdout, stderr } =
            timeout(PATIENCE * 3, command.output()).await.expect("it should end").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Told { status: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }
}

/// `burner` burns nearly all that is burned; `decoy` has as many vCPUs, less memory and is nearly idle.
fn busy(world: &World, like: &SimLoad) -> SimLoad {
    let vm = |name: &str, cores| SimVm { domain: format!("{}_{name}", world.vm(name).unwrap().id), cores };
    SimLoad {
        load: [14.2, 12.8, 11.9],
        memory_used: Mib(20_480),
        vms: vec![vm("tiny", 0.05), vm("burner", 5.8), vm("decoy", 0.3)],
        cpu_pressure: Some(35.5),
        ..like.clone()
    }
}

fn with_chat(chat: &telegram::Running) -> String {
    format!(
        "TELEGRAM_BOT_TOKEN={}\nTELEGRAM_API_URL={}\nTELEGRAM_CHAT_ID={ADMIN}\n",
        chat.token(),
        chat.url()
    )
}

/// The service in this process, with a clock that the test turns.
struct Bot {
    clock: ManualClock,
    handle: Handle,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Bot {
    async fn start(place: &Place, more: &str) -> Self {
        place.configure(more);
        let clock = ManualClock::at(noon());
        let app = App::build(&place.config(), Clock::from(clock.clone()), Pace::Short).await.unwrap();
        let (handle, shutdown) = (app.handle(), CancellationToken::new());
        let running = tokio::spawn(app.run(shutdown.clone()));
        // The first cycle measures too, so the clock is not moved during it.
        until("the first cycle has ended", || async { handle.status().await.unwrap().last_cycle.is_some() })
            .await;
        Self { clock, handle, shutdown, running }
    }

    /// Lets somebody ask, and waits for the look behind the answer.
    async fn asked(&self) {
        self.handle.glance().await.unwrap();
        until("the look is over", || async {
            self.handle.status().await.unwrap().picture.unwrap().snapshot.taken_at == self.clock.now()
        })
        .await;
    }

    async fn look(&self) -> Picture {
        let picture = self.handle.look().await.unwrap();
        let plan = checked_plan(&picture.snapshot, &picture.policy);
        picture.with_plan(plan.into())
    }

    async fn moves(&self) -> Vec<String> {
        let picture = self.look().await;
        picture.plan.clusters[0].migrations.iter().map(|migration| migration.vm_name.clone()).collect()
    }

    async fn unmeasured(&self) -> Vec<String> {
        let picture = self.look().await;
        let notes = picture.plan.clusters[0].notes.iter();
        notes
            .filter_map(|note| match note {
                Note::Unmeasured { nodes } => Some(nodes.clone()),
                _ => None,
            })
            .flatten()
            .collect()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.running).await.expect("it should end").unwrap();
    }
}
