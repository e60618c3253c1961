//! The sandbox as one: its page's API, its switches, and the bot that is killed and started again.
#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use serde_json::{Value, json};
use teloxide::{
    prelude::Requester,
    types::{ChatId, InputFile},
};
use vm_balancer::{
    cli::real_bot,
    clock::Clock,
    sandbox::{
        BotChat, BotEnvironment, Options, Sandbox, Ssh, bot,
        telegram::{ADMIN, FORUM, GROUP, OPERATOR, OPS_TOPIC, SUPERGROUP},
    },
};

use crate::sim_telegram::{PNG, client};

/// Far longer than anything here takes.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_page_is_whole_and_loads_nothing_from_elsewhere() {
    let sandbox = started(Options::default()).await;
    for (path, kind) in [("", "text/html"), ("style.css", "text/css")] {
        assert!(!part(&sandbox, path, kind).await.contains("://"), "{path} names an address");
    }
    // The script's parts, found by following the imports.
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    let mut open = vec!["app.js".to_owned()];
    while let Some(name) = open.pop() {
        let text = part(&sandbox, &name, "text/javascript").await;
        assert!(text.starts_with("// "), "{name} does not say what it is for");
        let imports: Vec<_> = text.split("\"./").skip(1).filter_map(|rest| rest.split_once('"')).collect();
        let imports: Vec<_> = imports.into_iter().map(|(name, _)| name.to_owned()).collect();
        let is_new = |name: &&String| !parts.iter().any(|(known, _)| known == *name) && !open.contains(name);
        let new: Vec<_> = imports.iter().filter(is_new).cloned().collect();
        open.extend(new);
        parts.push((name, imports));
    }
    assert_eq!(circle(parts), Vec::<String>::new(), "these parts import each other");
}

#[tokio::test]
async fn the_state_has_all_that_the_page_shows() {
    let sandbox = started(Options { nodes: 5, vms: 60, ..Options::default() }).await;
    let state = get(&sandbox, "api/state").await;
    assert_eq!(state["world"]["nodes"].as_array().unwrap().len(), 5);
    assert!(state["world"]["vms"].as_array().unwrap().len() >= 59);
    assert_eq!(state["about"]["roles"][ADMIN.to_string()], "admin");
    assert_eq!(state["about"]["room"], SUPERGROUP.to_string());
    assert_eq!(state["switches"]["vmmanager_away"], false);
    assert_eq!(state["bot"]["state"], "running");
}

#[tokio::test]
async fn what_is_said_and_pressed_on_the_page_reaches_the_bot_and_back() {
    let sandbox = started(Options::default()).await;
    let said = json!({ "user": OPERATOR, "chat": SUPERGROUP, "text": "/status" });
    post(&sandbox, "api/say", said).await;
    let status = sandbox.telegram.wait_for_text(SUPERGROUP, "12 nodes").await.unwrap();
    let press = json!({ "user": OPERATOR, "chat": SUPERGROUP, "message": status.id, "button": "Refresh" });
    let answer = post(&sandbox, "api/press", press).await;
    assert_eq!((&answer["user"], &answer["message"]), (&json!(OPERATOR), &json!(status.id)));
    let menu = get(&sandbox, &format!("api/menu?user={OPERATOR}&chat={SUPERGROUP}")).await;
    assert!(menu.as_array().unwrap().iter().any(|line| line["command"] == "status"), "{menu}");
}

#[tokio::test]
async fn pictures_are_shown_and_all_other_files_are_only_saved() {
    let sandbox = started(Options::default()).await;
    let bot = client(&sandbox.telegram, sandbox.telegram.token());
    let room = ChatId(SUPERGROUP);
    let photo = InputFile::memory(PNG).file_name("load.png");
    let photo = bot.send_photo(room, photo).await.unwrap().photo().unwrap()[0].file.id.clone();
    assert_eq!(served(&sandbox, &photo.0).await, ("image/png".to_owned(), PNG.to_vec()));
    for (name, content) in [
        ("history.csv", "vm,source,target\n"),
        ("page.html", "<script>alert(1)</script>"),
        ("picture.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"),
    ] {
        let file = InputFile::memory(content).file_name(name);
        let file = bot.send_document(room, file).await.unwrap().document().unwrap().file.id.clone();
        let expected = ("application/octet-stream".to_owned(), content.as_bytes().to_vec());
        assert_eq!(served(&sandbox, &file.0).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_press_on_a_button_that_is_not_there_is_refused() {
    let sandbox = started(Options::default()).await;
    let press = json!({ "user": OPERATOR, "chat": SUPERGROUP, "message": 999, "button": "x" });
    let http = reqwest::Client::new();
    let refused = http.post(url(&sandbox, "api/press")).json(&press).send().await.unwrap();
    assert_eq!(refused.status(), 404);
}

#[tokio::test]
async fn changes_are_told_as_they_happen() {
    let sandbox = started(Options::default()).await;
    let events = reqwest::get(url(&sandbox, "api/events")).await.unwrap().bytes_stream();
    let mut events = Box::pin(events);
    let mut heard = String::new();
    let mut asked = false;
    let all = ["event: hello", "event: world", "event: switches", "event: chat", "event: bot"];
    tokio::time::timeout(WAIT_MAX, async {
        while !all.iter().all(|kind| heard.contains(kind)) {
            heard.push_str(&String::from_utf8_lossy(&events.next().await.unwrap().unwrap()));
            if !asked && heard.contains("event: hello") {
                asked = true;
                post(&sandbox, "api/say", json!({ "user": ADMIN, "chat": ADMIN, "text": "hello" })).await;
                post(&sandbox, "api/switch", json!({ "name": "vmmanager_slow", "on": true })).await;
                post(&sandbox, "api/switch", json!({ "name": "rush", "node": null })).await;
                post(&sandbox, "api/switch", json!({ "name": "bot_kill" })).await;
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn in_a_topic_of_the_forum_the_bot_proposes_there_and_nowhere_else() {
    let sandbox = started(Options { chat: BotChat::Topic, ..Options::default() }).await;
    assert_eq!(get(&sandbox, "api/state").await["about"]["room"], format!("{FORUM}/{OPS_TOPIC}"));
    post(&sandbox, "api/switch", json!({ "name": "rush", "node": null })).await;
    let approve = |message: &&vm_balancer::sandbox::telegram::SimMessage| message.button("Approve").is_some();
    let found = sandbox.telegram.wait_for(FORUM, "a proposal", |messages| {
        messages.iter().find(approve).map(|message| message.thread)
    });
    assert_eq!(found.await.unwrap(), Some(OPS_TOPIC));
    assert_eq!(sandbox.telegram.messages(SUPERGROUP), []);
    // In another chat the bot only explains what to do.
    sandbox.telegram.say(OPERATOR, SUPERGROUP, "/status").unwrap();
    sandbox.telegram.wait_for_text(SUPERGROUP, "TELEGRAM_CHAT_ID").await.unwrap();
}

#[tokio::test]
async fn the_bots_chat_is_changed_on_the_page_and_the_bot_restarts_for_it() {
    let sandbox = started(Options::default()).await;
    for (name, place) in [("group", GROUP), ("private", ADMIN), ("supergroup", SUPERGROUP)] {
        let polls = sandbox.telegram.wait_for_poll(0).await.unwrap();
        let switches = post(&sandbox, "api/switch", json!({ "name": "bot_chat", "chat": name })).await;
        assert_eq!((&switches["bot_chat"], &switches["room"]), (&json!(name), &json!(place.to_string())));
        sandbox.telegram.wait_for_poll(polls).await.unwrap();
        sandbox.telegram.say(ADMIN, place, "/status").unwrap();
        sandbox.telegram.wait_for_text(place, "12 nodes").await.unwrap();
    }
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_and_a_topic_that_is_gone_are_followed_by_the_mark() {
    let sandbox = idle(Options { chat: BotChat::Group, ..Options::default() }).await;
    let switches = flip(&sandbox, "telegram_supergroup", true).await;
    let heir =
        sandbox.telegram.chats().into_iter().find(|chat| chat.id == GROUP).unwrap().migrated_to.unwrap();
    assert_eq!(switches["room"], heir.to_string());
    post(&sandbox, "api/switch", json!({ "name": "bot_chat", "chat": "topic" })).await;
    let switches = flip(&sandbox, "telegram_delete_topic", true).await;
    assert_eq!(switches["room"], FORUM.to_string());
}

// ---- load that is measured

#[tokio::test]
async fn a_node_that_burns_is_relieved_of_the_vms_that_burn_for_its_load() {
    let quick = [("BALANCE_INTERVAL", "3"), ("MAX_MIGRATIONS_PER_CYCLE", "2")];
    let bot_variables = quick.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let options = Options { nodes: 4, vms: 60, ssh: Ssh::On, bot_variables, ..Options::default() };
    let sandbox = started(options).await;
    assert_eq!(get(&sandbox, "api/state").await["about"]["measured"], true);
    // Before a node fills up by itself.
    let node = sandbox.vmmanager.view().nodes[0].clone();
    post(&sandbox, "api/switch", json!({ "name": "burn", "node": node.id.0 })).await;
    let found = sandbox.telegram.wait_for(SUPERGROUP, "a proposal for the load", |messages| {
        let texts = messages.iter().map(|message| message.text().to_owned());
        texts.into_iter().find(|text| text.contains("\n1. burn-"))
    });
    let proposal = found.await.unwrap();
    let first = proposal.lines().skip_while(|line| !line.starts_with("1. burn-"));
    let mut first = first.take_while(|line| !line.starts_with("2. "));
    assert!(first.any(|line| line.trim().starts_with("load 1.")), "{proposal}");
    assert!(proposal.contains("Overloaded nodes 1 → 0"), "{proposal}");
}

#[tokio::test]
async fn in_a_large_world_nodes_are_measured_on_demand_only() {
    let large = |ssh| Options { nodes: 70, vms: 70, ssh, ..Options::default() };
    for (ssh, measured) in [(Ssh::Auto, false), (Ssh::On, true)] {
        let sandbox = idle_as_it_is(large(ssh)).await;
        assert_eq!(get(&sandbox, "api/state").await["about"]["measured"], measured);
    }
}

#[tokio::test]
async fn the_bot_is_killed_and_started_again_with_the_same_store() {
    let starts = Arc::new(AtomicU32::new(0));
    let counted = starts.clone();
    let start = bot(move |environment: BotEnvironment| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let note = std::path::Path::new(&environment.variables["DATA_DIR"]).join("starts");
            let before = std::fs::read_to_string(&note).unwrap_or_default();
            assert_eq!(before.len(), number as usize);
            std::fs::write(note, before + "x").unwrap();
            std::future::pending().await
        }
    });
    let sandbox = Sandbox::start(on_any_port(Options::default()), start).await.unwrap();
    let note = sandbox.data_dir().join("starts");
    for round in 1..=3 {
        tokio::time::timeout(WAIT_MAX, async {
            while std::fs::read_to_string(&note).unwrap_or_default().len() != round {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        post(&sandbox, "api/switch", json!({ "name": "bot_kill" })).await;
        assert_eq!(get(&sandbox, "api/state").await["bot"]["state"], "killed");
        post(&sandbox, "api/switch", json!({ "name": "bot_restart" })).await;
        assert_eq!(get(&sandbox, "api/state").await["bot"]["state"], "running");
    }
}

#[tokio::test]
async fn a_bot_that_ends_by_itself_says_why() {
    let start = bot(|_| async { Err("no such token".to_owned()) });
    let sandbox = Sandbox::start(on_any_port(Options::default()), start).await.unwrap();
    let mut status = sandbox.bot.status();
    let ended = |status: &vm_balancer::sandbox::BotStatus| {
        *status == vm_balancer::sandbox::BotStatus::Ended { why: "no such token".to_owned() }
    };
    tokio::time::timeout(WAIT_MAX, status.wait_for(ended)).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_next_free_port_is_taken_and_said() {
    let first = started(Options::default()).await;
    let options = Options { listen: first.address(), ..Options::default() };
    let second = Sandbox::start(options, real_bot(Clock::system())).await.unwrap();
    assert!(second.address().port() > first.address().port());
    let said = format!("Port {} is in use", first.address().port());
    assert!(second.welcome().starts_with(&said), "{}", second.welcome());
    assert!(second.address().ip().is_loopback());
}

#[tokio::test]
async fn a_world_comes_from_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.json");
    let snapshot = json!({
        "version": 1, "taken_at": "2026-11-23T20:15:00Z",
        "clusters": [{ "id": 4, "name": "ams" }],
        "nodes": [{ "id": 40, "name": "ams-01", "cluster": 4, "cpu_total": 16, "cpu_used": 2,
            "memory_total_mib": 65536, "memory_used_mib": 4096, "vm_count": 1, "vm_limit": null,
            "maintenance": false, "vm_creation_allowed": true, "qemu_version": "7.2.0", "load": null }],
        "vms": [{ "id": 400, "name": "web", "node": 40, "cpu_cores": 2, "memory_mib": 4096, "state": "active",
            "can_migrate": true, "blocked_by": [] }],
    });
    std::fs::write(&file, snapshot.to_string()).unwrap();
    let sandbox = started(Options { snapshot: Some(file), ..Options::default() }).await;
    assert_eq!(sandbox.vmmanager.view().nodes[0].name, "ams-01");
}

#[tokio::test]
async fn a_folder_made_for_the_bot_goes_with_the_sandbox() {
    let sandbox = started(Options::default()).await;
    let folder = sandbox.data_dir().to_owned();
    assert!(folder.is_dir());
    sandbox.stop().await;
    assert!(!folder.exists());
}

/// Returns a file as the page gets it: its type and its content.
async fn served(sandbox: &Sandbox, file: &str) -> (String, Vec<u8>) {
    let answer = reqwest::get(url(sandbox, &format!("api/file/{file}"))).await.unwrap();
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (kind, answer.bytes().await.unwrap().to_vec())
}

/// Returns a file of the page, which has the right type and may load nothing from elsewhere.
async fn part(sandbox: &Sandbox, path: &str, kind: &str) -> String {
    let answer = reqwest::get(url(sandbox, path)).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with(kind), "{path}");
    assert!(header("content-security-policy").starts_with("default-src 'none'"), "{path}");
    let text = answer.text().await.unwrap();
    assert!(!text.contains("innerHTML"), "{path} writes raw HTML");
    text
}

/// Returns the parts that are left when all whose imports are known have been taken away.
fn circle(mut parts: Vec<(String, Vec<String>)>) -> Vec<String> {
    let mut known = Vec::new();
    loop {
        let is_free = |(_, imports): &(String, Vec<String>)| imports.iter().all(|name| known.contains(name));
        let (free, rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_free);
        if free.is_empty() {
            return rest.into_iter().map(|(name, _)| name).collect();
        }
        known.extend(free.into_iter().map(|(name, _)| name));
        parts = rest;
    }
}

/// A sandbox with the real bot. Nodes are measured only where a test asks for it: handshakes take their time.
pub(crate) async fn started(options: Options) -> Sandbox {
    Sandbox::start(unmeasured(options), real_bot(Clock::system())).await.unwrap()
}

/// A sandbox whose bot does nothing, for what the servers alone show.
pub(crate) async fn idle(options: Options) -> Sandbox {
    idle_as_it_is(unmeasured(options)).await
}

async fn idle_as_it_is(options: Options) -> Sandbox {
    Sandbox::start(on_any_port(options), bot(|_| std::future::pending())).await.unwrap()
}

fn unmeasured(options: Options) -> Options {
    let ssh = if options.ssh == Ssh::Auto { Ssh::Off } else { options.ssh };
    on_any_port(Options { ssh, ..options })
}

fn on_any_port(mut options: Options) -> Options {
    options.listen.set_port(0);
    options
}

pub(crate) fn url(sandbox: &Sandbox, path: &str) -> String {
    format!("http://{}/{path}", sandbox.address())
}

/// Switches a fault that has no button of its own, as the page does.
pub(crate) async fn flip(sandbox: &Sandbox, fault: &str, on: bool) -> Value {
    post(sandbox, "api/switch", json!({ "name": "fault", "fault": fault, "on": on })).await
}

pub(crate) async fn get(sandbox: &Sandbox, path: &str) -> Value {
    reqwest::get(url(sandbox, path)).await.unwrap().json().await.unwrap()
}

pub(crate) async fn post(sandbox: &Sandbox, path: &str, body: Value) -> Value {
    let answer = reqwest::Client::new().post(url(sandbox, path)).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.unwrap()
}
