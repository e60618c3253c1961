//! The faults of the sandbox's page: each is switched by its name and checked by its effect, not by its flag.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use vm_balancer::{
    clock::Clock,
    model::{NodeId, VmId},
    sandbox::{
        Options, Sandbox,
        telegram::{ADMIN, FORUM, GROUP, OPS_TOPIC, Place, SUPERGROUP},
        vmmanager::{SimNode, SimVm, TaskSeen},
    },
};

use crate::sandbox_page::{flip, get, idle, post, started, url};

/// As slow as a slow Telegram is; nothing else here takes so long.
const TELEGRAM_SLOW: Duration = Duration::from_secs(3);
/// As slow as a slow VMmanager is.
const VMMANAGER_SLOW: Duration = Duration::from_secs(2);
/// Longer than the migration of a small VM takes in this sandbox, and all of them together take less than an hour.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_switch_that_finds_nothing_to_do_says_so() {
    let sandbox = idle(Options::default()).await;
    for (switch, why) in [
        (json!({ "name": "fault", "fault": "vmmanager_moon", "on": true }), "there is no fault"),
        (json!({ "name": "fault", "fault": "telegram_delete_message", "on": true }), "nothing was said"),
        (json!({ "name": "burn", "node": null }), "start the sandbox with --ssh on"),
    ] {
        let answer = reqwest::Client::new().post(url(&sandbox, "api/switch")).json(&switch).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 409);
        let said = answer.text().await.unwrap();
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn every_fault_of_the_table_has_its_effect_for_as_long_as_it_is_on() {
    let sandbox = idle(Options::default()).await;
    sandbox.telegram.say(ADMIN, ADMIN, "hello").unwrap();
    let outside = Outside::new(&sandbox);
    let state = get(&sandbox, "api/state").await;
    let offers = state["more_faults"].as_array().unwrap();
    assert!(offers.len() > 30, "{} faults", offers.len());
    for offer in offers {
        let (name, holds) = (offer["name"].as_str().unwrap(), offer["holds"] == true);
        // This one needs a bot with a store, and has a test of its own.
        if name == "bot_damaged_store" {
            continue;
        }
        outside.confirm_updates().await;
        assert!(!outside.sees(name).await, "{name} before it is on");
        let on = flip(&sandbox, name, true).await;
        assert!(!holds || on[name] == true, "{name} is not said to be on");
        assert!(outside.sees(name).await, "{name} has no effect");
        if holds {
            let off = flip(&sandbox, name, false).await;
            assert_eq!(off[name], false, "{name} is said to be on");
            assert!(!outside.sees(name).await, "{name} goes on");
        }
    }
}

#[tokio::test]
async fn every_fault_with_a_button_of_its_own_has_its_effect_for_as_long_as_it_is_on() {
    let sandbox = idle(Options::default()).await;
    let outside = Outside::new(&sandbox);
    for name in [
        "vmmanager_away",
        "vmmanager_slow",
        "vmmanager_unavailable",
        "next_fails",
        "telegram_too_many",
        "telegram_away",
        "telegram_conflict",
    ] {
        assert!(!outside.sees(name).await, "{name} before it is on");
        for on in [true, false] {
            let state = post(&sandbox, "api/switch", json!({ "name": name, "on": on })).await;
            assert_eq!(state[name], on, "{name}");
            assert_eq!(outside.sees(name).await, on, "{name}");
        }
    }
    let outside_vm = outside.movable();
    let node = sandbox.vmmanager.world().nodes[&outside_vm.node].clone();
    let state =
        post(&sandbox, "api/switch", json!({ "name": "maintenance", "node": node.id, "on": true })).await;
    assert!(sandbox.vmmanager.world().nodes[&node.id].maintenance);
    assert_eq!(state["in_maintenance"], json!([node.id, node.name]));
    post(&sandbox, "api/switch", json!({ "name": "foreign_migration" })).await;
    assert!(sandbox.vmmanager.tasks().iter().any(|task| task.foreign));
    assert_eq!(outside.log_in().await.0, 201);
    post(&sandbox, "api/switch", json!({ "name": "token_dead" })).await;
    assert_eq!(sandbox.vmmanager.session_count(), 0);
}

#[tokio::test]
async fn a_migration_that_never_ends_ends_when_its_fault_is_switched_off() {
    let sandbox = idle(Options::default()).await;
    let outside = Outside::new(&sandbox);
    flip(&sandbox, "vmmanager_runs_forever", true).await;
    let ordered = outside.order().await;
    sandbox.vmmanager.advance(LONG);
    assert_eq!(outside.task_of(&ordered).unwrap().status, "running");
    flip(&sandbox, "vmmanager_runs_forever", false).await;
    assert_eq!(outside.task_of(&ordered).unwrap().status, "complete");
}

#[tokio::test]
async fn a_damaged_store_is_restored_and_the_chat_is_told() {
    let sandbox = started(Options::default()).await;
    sandbox.telegram.wait_for_poll(0).await.unwrap();
    flip(&sandbox, "bot_damaged_store", true).await;
    sandbox.telegram.say(ADMIN, SUPERGROUP, "/status").unwrap();
    sandbox.telegram.wait_for_text(SUPERGROUP, "restored").await.unwrap();
    let names = std::fs::read_dir(sandbox.data_dir()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("store-damaged-")), "{names:?}");
}

#[tokio::test]
async fn a_clock_that_is_set_wrong_and_right_again_is_told_in_the_chat() {
    let sandbox = started(Options::default()).await;
    sandbox.telegram.wait_for_poll(0).await.unwrap();
    for (fault, on, said) in [
        ("bot_clock_back", true, "went back by 40 d"),
        ("bot_clock_back", false, "went ahead by 40 d"),
        ("bot_clock_ahead", true, "went ahead by 40 d"),
    ] {
        assert_eq!(flip(&sandbox, fault, on).await[fault], on);
        sandbox.telegram.wait_for_text(SUPERGROUP, said).await.unwrap();
    }
}

/// A client that sends the requests of the bot to the simulated servers.
struct Outside<'a> {
    sandbox: &'a Sandbox,
    http: reqwest::Client,
    /// The message that is edited to see whether edits work.
    sent: AtomicI64,
}

/// The result of an order.
struct Ordered {
    vm: SimVm,
    target: NodeId,
    /// The status and the body; `None` where the connection was cut.
    answer: Option<(u16, Value)>,
    taken: bool,
}

impl<'a> Outside<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { sandbox, http, sent: AtomicI64::new(0) }
    }

    /// Makes a request that this fault affects, and returns whether it did.
    async fn sees(&self, fault: &str) -> bool {
        match fault.split_once('_').unwrap() {
            ("telegram", fault) => self.sees_at_telegram(fault).await,
            ("bot", "clock_back") => self.sandbox.bot.clock_shift().get() < TimeDelta::days(-39),
            ("bot", "clock_ahead") => self.sandbox.bot.clock_shift().get() > TimeDelta::days(39),
            (_, fault) => match self.sees_in_answers(fault).await {
                Some(seen) => seen,
                None => self.sees_in_an_order(fault).await,
            },
        }
    }

    // ---- VMmanager

    async fn sees_in_answers(&self, fault: &str) -> Option<bool> {
        let vm = self.movable().id;
        let began = Instant::now();
        let nodes = self.vmmanager("node").await;
        let took = began.elapsed();
        let Some((status, text)) = nodes else {
            return Some(matches!(fault, "away" | "torn_body" | "hangs"));
        };
        let list: Value = serde_json::from_str(&text).unwrap_or_default();
        let count = |list: &Value| list["list"].as_array().map_or(0, Vec::len) as u64;
        let size = |list: &Value| list["size"].as_u64().unwrap_or_default();
        Some(match fault {
            "status" => status == 500,
            "html" => status == 200 && text.starts_with("<!doctype html>"),
            "error_in_ok" => status == 200 && list["error"]["code"].is_number(),
            "false_error" => status == 500 && list["error"]["code"] == 1000,
            "away" | "torn_body" | "hangs" => false,
            "slow" => took >= VMMANAGER_SLOW,
            "unavailable" => status == 503,
            "wrong_password" => self.log_in().await.0 == 401,
            "login_echo" => {
                let password = self.sandbox.vmmanager.options().password;
                let (status, said) = self.log_in().await;
                status == 403 && said.contains(&password) && said.contains(&password.replace(' ', "+"))
            }
            "node_fault" => text.contains(r#""libvirt_error":"Failed"#),
            "newer_kernel" => text.contains(r#""kernel_version":"6.12"#),
            "little_disk" => text.contains(r#""available_mib":5120"#),
            "clock_skew" => self.sandbox.vmmanager.view().now - Clock::system().now() > TimeDelta::hours(1),
            "empty_lists" => size(&list) == 0,
            "half_lists" => count(&list) * 2 == size(&list),
            "shrunk_list" => size(&self.list("host").await) * 2 <= self.vms() as u64,
            "page_of" => count(&self.list("host").await) == 50,
            "unreadable_rows" => list["list"][0]["id"].is_null(),
            "odd_record" => self.vmmanager("host").await.unwrap().1.contains(r"\ud83d"),
            "busy" => {
                let filter = "task?where=(name+EQ+'host_backup')+AND+(status+EQ+'running')";
                count(&self.list(filter).await) == 1
            }
            "filter_broken" => self.vmmanager(&format!("host?where=id+EQ+{vm}")).await.unwrap().0 == 500,
            "task_filter_broken" => {
                self.vmmanager("task?where=name+EQ+'host_migrate'").await.unwrap().0 == 500
            }
            "no_migrate_form" => self.vmmanager(&format!("host/{vm}/migrate")).await.unwrap().0 == 404,
            "form_says_no" => {
                !self.vmmanager(&format!("host/{vm}/migrate")).await.unwrap().1.contains(r#""suitable":true"#)
            }
            _ => return None,
        })
    }

    async fn sees_in_an_order(&self, fault: &str) -> bool {
        let ordered = self.order().await;
        let Ordered { vm, target, answer, taken } = &ordered;
        let status = answer.as_ref().map(|(status, _)| *status);
        let platform = &self.sandbox.vmmanager;
        platform.advance(Duration::from_secs(3));
        let early = self.task_of(&ordered);
        platform.advance(LONG);
        let task = self.task_of(&ordered);
        let is = |task: &Option<TaskSeen>, status: &str| task.as_ref().is_some_and(|t| t.status == status);
        match fault {
            "read_only_admin" => status == Some(403),
            "order_unavailable" => status == Some(503) && !taken,
            "order_reset" => status.is_none() && *taken,
            "order_gateway" => status == Some(504) && *taken,
            "order_taken_under" => status == Some(503) && *taken,
            "order_without_task" => *taken && answer.as_ref().unwrap().1["task"].is_null(),
            "node_into_maintenance" => {
                let refused = status == Some(400) && platform.world().nodes[target].maintenance;
                platform.set_maintenance(*target, false);
                refused
            }
            "task_never_shows" | "task_lost" => {
                task.is_some_and(|task| !task.listed) && platform.node_of(vm.id) == Some(*target)
            }
            "complete_without_move" => is(&task, "complete") && platform.node_of(vm.id) == Some(vm.node),
            "ends_with" => is(&task, "") && platform.node_of(vm.id) == Some(*target),
            "pulls_back" => platform.tasks().iter().any(|task| task.foreign && task.target == vm.node),
            "runs_forever" => is(&task, "running"),
            "deferred" => is(&early, "created") && is(&task, "complete"),
            "fails" => is(&task, "failed") && platform.node_of(vm.id) == Some(vm.node),
            "vm_vanishes" => platform.node_of(vm.id).is_none(),
            "restored" => {
                let orders = platform.orders();
                let (last, before) = orders.split_last().unwrap();
                before.iter().any(|order| order.consul_id == last.consul_id)
            }
            "target_vanishes" => !platform.world().nodes.contains_key(target),
            other => unreachable!("nobody says how {other} looks"),
        }
    }

    /// Orders a migration of a VM that can go to a node that has room.
    async fn order(&self) -> Ordered {
        let (vm, platform) = (self.movable(), &self.sandbox.vmmanager);
        let (before, world) = (platform.orders().len(), platform.world());
        let free = |node: &&SimNode| node.memory.saturating_sub(node.memory_used);
        let others = world.nodes.values().filter(|node| node.id != vm.node);
        let target = others.max_by_key(free).unwrap().id;
        let path = format!("host/{}/migrate", vm.id);
        let request = self.authorized(self.http.post(self.at(&path))).json(&json!({ "node": target }));
        let answer = match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                Some((status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()))
            }
            Err(_) => None,
        };
        Ordered { vm, target, answer, taken: platform.orders().len() > before }
    }

    fn task_of(&self, ordered: &Ordered) -> Option<TaskSeen> {
        let order =
            self.sandbox.vmmanager.orders().into_iter().rev().find(|order| order.vm == ordered.vm.id)?;
        self.sandbox.vmmanager.tasks().into_iter().find(|task| task.consul_id == order.consul_id)
    }

    /// The smallest VM that may move and is not moving.
    fn movable(&self) -> SimVm {
        let tasks = self.sandbox.vmmanager.tasks();
        let moved = |id: VmId| tasks.iter().any(|task| task.vm == id);
        let free = |vm: &SimVm| vm.state == "active" && !vm.iso_mounted && vm.snapshots == 0 && !moved(vm.id);
        let world = self.sandbox.vmmanager.world();
        world.vms.into_values().filter(free).min_by_key(|vm| vm.memory).unwrap()
    }

    fn vms(&self) -> usize {
        self.sandbox.vmmanager.look(|world| world.vms.len())
    }

    async fn list(&self, path: &str) -> Value {
        serde_json::from_str(&self.vmmanager(path).await.unwrap().1).unwrap()
    }

    async fn vmmanager(&self, path: &str) -> Option<(u16, String)> {
        let request = self.authorized(self.http.get(self.at(path))).timeout(VMMANAGER_SLOW * 2);
        let answer = request.send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    async fn log_in(&self) -> (u16, String) {
        let platform = &self.sandbox.vmmanager;
        let body = json!({ "email": platform.options().username, "password": platform.options().password });
        let url = format!("{}/auth/v4/public/token", platform.url());
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn at(&self, path: &str) -> String {
        format!("{}/vm/v3/{path}", self.sandbox.vmmanager.url())
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("x-xsrf-token", self.sandbox.vmmanager.options().token)
    }

    // ---- Telegram

    async fn sees_at_telegram(&self, fault: &str) -> bool {
        match fault {
            "server_errors" => self.telegram("getMe", json!({})).await.unwrap().0 == 502,
            "too_many" => self.send(SUPERGROUP).await.unwrap().0 == 429,
            "away" => self.telegram("getMe", json!({})).await.is_none(),
            "conflict" => self.telegram("getUpdates", json!({})).await.unwrap().0 == 409,
            "lost_answers" | "late_answers" => self.send(SUPERGROUP).await.is_none(),
            "slow" => {
                let began = Instant::now();
                self.telegram("getMe", json!({})).await.unwrap();
                began.elapsed() >= TELEGRAM_SLOW
            }
            "kicked" => self.send(SUPERGROUP).await.unwrap().0 == 403,
            "counts_anew" => {
                self.sandbox.telegram.say(ADMIN, ADMIN, "hello again").unwrap();
                self.confirm_updates().await;
                self.sandbox.telegram.last_update_id().unwrap() < 1000
            }
            "replay" => self.updates().await > 0,
            "supergroup" => self.send(GROUP).await.unwrap().1["parameters"]["migrate_to_chat_id"].is_number(),
            "delete_message" => self.message_is_gone().await,
            "delete_topic" => self.send((FORUM, OPS_TOPIC)).await.unwrap().0 == 400,
            other => unreachable!("nobody says how {other} looks"),
        }
    }

    /// Edits a message that was sent the first time this was asked.
    async fn message_is_gone(&self) -> bool {
        if self.sent.load(Ordering::Relaxed) == 0 {
            let sent = self.send(SUPERGROUP).await.unwrap().1["result"]["message_id"].as_i64().unwrap();
            self.sent.store(sent, Ordering::Relaxed);
        }
        let message = self.sent.load(Ordering::Relaxed);
        let edit = json!({ "chat_id": SUPERGROUP, "message_id": message, "text": "other words" });
        let answer = self.telegram("editMessageText", edit).await.unwrap().1;
        answer["description"].as_str().is_some_and(|words| words.contains("message to edit not found"))
    }

    async fn send(&self, place: impl Into<Place>) -> Option<(u16, Value)> {
        let Place { chat, thread } = place.into();
        let mut message = json!({ "chat_id": chat, "text": "words" });
        if let Some(thread) = thread {
            message["message_thread_id"] = json!(thread);
        }
        self.telegram("sendMessage", message).await
    }

    async fn updates(&self) -> usize {
        self.telegram("getUpdates", json!({})).await.unwrap().1["result"].as_array().unwrap().len()
    }

    async fn confirm_updates(&self) {
        let next = self.sandbox.telegram.last_update_id().unwrap() + 1;
        self.telegram("getUpdates", json!({ "offset": next })).await;
    }

    async fn telegram(&self, method: &str, params: Value) -> Option<(u16, Value)> {
        let telegram = &self.sandbox.telegram;
        let url = format!("{}/bot{}/{method}", telegram.url(), telegram.token());
        let answer = self.http.post(url).json(&params).timeout(TELEGRAM_SLOW * 2).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, serde_json::from_str(&answer.text().await.ok()?).unwrap_or_default()))
    }
}
