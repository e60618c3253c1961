//! What the real bot says over HTTP: that it is alive, that it is ready, and what it counts.

use std::{collections::BTreeSet, fs, net::TcpListener, path::Path, time::Duration};

use serde_json::Value;
use tokio::{net::UnixDatagram, time::timeout};

use vm_balancer::sandbox::{
    telegram::{ADMIN, OPERATOR},
    vmmanager::{Fault, World},
};

use crate::{
    conversation::{Ctx, LOG, Setup, environment, process, process_with},
    platform::{self, PATIENCE},
};

#[tokio::test]
async fn health_readiness_and_figures_are_told_over_http() {
    let address = free_address();
    let bot = Ctx::with(World::small(), Setup::of(&[("HTTP_LISTEN", &address)])).await;
    ready(&address, 200).await;
    let (status, health) = get(&address, "/healthz").await;
    let told: Value = serde_json::from_str(&health).unwrap();
    let loops: Vec<_> = told["loops"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((status, loops), (200, vec!["chat", "cycle", "lanes", "notifier", "scheduler"]), "{health}");

    let proposal = bot.proposal().await;
    let (_, metrics) = get(&address, "/metrics").await;
    assert!(metrics.contains("vm_balancer_proposals{state=\"pending\"} 1\n"), "{metrics}");
    assert!(
        metrics.contains("vm_balancer_overloaded_nodes{cluster=\"msk\",cluster_id=\"1\"} 1\n"),
        "{metrics}"
    );
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.says(&proposal, "done: 1 moved").await;
    let (_, metrics) = get(&address, "/metrics").await;
    let expected = [
        "vm_balancer_proposals{state=\"pending\"} 0\n",
        "vm_balancer_vmmanager_up 1\n",
        "vm_balancer_mode{mode=\"off\"} 1\n",
        "vm_balancer_overload_threshold{resource=\"memory\"} 0.7\n",
        "vm_balancer_node_memory_allocated_bytes{cluster=\"msk\",cluster_id=\"1\",node=\"kvm-01\",",
        "vm_balancer_node_cpus{cluster=\"msk\",cluster_id=\"1\",node=\"kvm-02\",",
        "vm_balancer_store_size_bytes ",
        "vm_balancer_build_info{version=\"",
        "vm_balancer_loop_alive{loop=\"chat\"} 1\n",
        "vm_balancer_cycles_total{result=\"done\"} ",
        "vm_balancer_cycle_duration_seconds_bucket{le=\"0.1\"} ",
        "vm_balancer_migrations_total{outcome=\"done\"} ",
        "vm_balancer_migrated_memory_bytes_total ",
        "vm_balancer_vmmanager_requests_total{method=\"POST\",endpoint=\"/vm/v3/host/{id}/migrate\",status=\"200\"} ",
        "vm_balancer_telegram_requests_total{method=\"SendMessage\",result=\"ok\"} ",
    ];
    for line in expected {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    for name in drawn_and_alerted() {
        // These come with SSH: `probe::figures` has their test.
        let is_measured = ["vm_balancer_node_load5", "vm_balancer_node_memory_used_bytes"].contains(&&*name);
        let is_exported = metrics
            .lines()
            .any(|line| line.strip_prefix(&*name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        assert!(is_exported || is_measured, "docs/ use {name}, which nobody exports:\n{metrics}");
    }
    assert!(!metrics.contains(bot.telegram.token()), "no secret is a label");
    // `.ci/prometheus` has promtool judge it.
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.prom"), metrics).unwrap();

    assert_eq!(get(&address, "/secrets").await.0, 404);
    let posted = reqwest::Client::new().post(format!("http://{address}/healthz")).send().await.unwrap();
    assert_eq!(posted.status(), 405);
}

#[tokio::test]
async fn without_vmmanager_the_bot_is_alive_and_not_ready() {
    let address = free_address();
    let bot = Ctx::with(World::small(), Setup::of(&[("HTTP_LISTEN", &address)]).often()).await;
    ready(&address, 200).await;
    bot.sim.switch_on(Fault::Away);
    ready(&address, 503).await;
    let (_, told) = get(&address, "/readyz").await;
    assert!(told.contains("\"vmmanager\":false") && told.contains("\"store\":true"), "{told}");
    assert_eq!(get(&address, "/healthz").await.0, 200, "a restart would not help");
    assert!(get(&address, "/metrics").await.1.contains("vm_balancer_vmmanager_up 0\n"));
    bot.sim.switch_off(&Fault::Away);
    ready(&address, 200).await;
}

#[tokio::test]
async fn systemd_is_told_how_it_goes_and_a_hangup_reads_the_configuration_again() {
    let bot = Ctx::prepared(World::small(), Setup { real_time: true, ..Setup::default() }).await;
    let dir = bot.dir.path();
    let told = UnixDatagram::bind(dir.join("notify")).unwrap();
    let mut variables = environment(&bot.sim, &bot.telegram, dir, bot.home);
    variables.insert("NOTIFY_SOCKET".into(), dir.join("notify").display().to_string());
    variables.insert("WATCHDOG_USEC".into(), Duration::from_millis(200).as_micros().to_string());
    let mut child = process(dir, &variables);
    for state in ["READY=1", "WATCHDOG=1"] {
        hears(&told, state).await;
    }
    assert!(process_with(dir, &variables, &["health"]).wait().await.unwrap().success(), "it is alive");

    fs::write(
        dir.join(".env"),
        "LOG_LEVEL=DEBUG # more\nNODE_MEMORY_RESERVE=3\nPROPOSAL_TTL=99\nTIMEZONE=Europe/Moscow\n",
    )
    .unwrap();
    bot.ask(ADMIN, "/set PROPOSAL_TTL 600").await;
    signal(&child, "HUP");
    for state in ["RELOADING=1", "READY=1"] {
        hears(&told, state).await;
    }
    let log = fs::read_to_string(dir.join(LOG)).unwrap();
    let line = log.lines().find(|line| line.contains("need a restart"));
    let line = line.unwrap_or_else(|| panic!("nothing of a restart in:\n{log}"));
    assert!(line.contains("TIMEZONE") && !line.contains("NODE_MEMORY_RESERVE"), "{line}");
    let line = log.lines().find(|line| line.contains("the configuration was read again")).unwrap();
    assert!(
        line.contains("LOG_LEVEL, NODE_MEMORY_RESERVE") || line.contains("NODE_MEMORY_RESERVE, LOG_LEVEL"),
        "{line}"
    );
    assert!(line.contains("Debug") && !line.contains("PROPOSAL_TTL"), "{line}");
    let line = log.lines().find(|line| line.contains("are set in the chat")).unwrap();
    assert!(line.contains("PROPOSAL_TTL"), "{line}");
    let shown = bot.ask(ADMIN, "/settings").await.text().to_owned();
    assert!(shown.contains("NODE_MEMORY_RESERVE: 3 %") && shown.contains("PROPOSAL_TTL: 600 s"), "{shown}");
    fs::write(dir.join(".env"), "LOG_LEVEL=loud\n").unwrap();
    signal(&child, "HUP");
    hears(&told, "READY=1").await;
    assert!(fs::read_to_string(dir.join(LOG)).unwrap().contains("LOG_LEVEL: found \"loud\""));

    fs::remove_file(dir.join(".env")).unwrap();
    signal(&child, "TERM");
    hears(&told, "STOPPING=1").await;
    assert!(child.wait().await.unwrap().success());
    assert_eq!(process_with(dir, &variables, &["health"]).wait().await.unwrap().code(), Some(1));
}

/// What a move to another machine is: the process dies, its folder turns up somewhere else, and it starts there.
#[tokio::test]
async fn killed_in_one_folder_the_bot_goes_on_in_another() {
    let mut bot = Ctx::with(World::small(), Setup::default().manual()).await;
    let proposal = bot.proposal().await;
    bot.press(OPERATOR, &proposal, "Approve").await;
    bot.says(&proposal, "running since").await;
    bot.until_watched().await;
    bot.kill().await;
    let moved = bot.dir.path().join("elsewhere");
    fs::rename(bot.dir.path().join("data"), &moved).unwrap();
    bot.restart_with("DATA_DIR", &moved.display().to_string()).await;
    bot.sim.finish_all();
    bot.says(&proposal, "done: 1 moved").await;
    assert_eq!(bot.sim.orders().len(), 1, "it is not ordered again");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let bot = Ctx::prepared(World::small(), Setup::of(&[("HTTP_LISTEN", &address)])).await;
    let error = bot.failed_start().await;
    assert!(error.contains("HTTP_LISTEN") && error.contains(&address), "{error}");
}

/// The metrics that the dashboard and the alert rules name.
fn drawn_and_alerted() -> BTreeSet<String> {
    let text = [include_str!("../../docs/grafana.json"), include_str!("../../docs/alerts.yml")].concat();
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !is_of_name(letter));
    words.filter(|word| word.starts_with("vm_balancer_")).map(str::to_owned).collect()
}

async fn hears(socket: &UnixDatagram, state: &str) {
    let mut text = [0; 256];
    loop {
        let length = timeout(PATIENCE, socket.recv(&mut text)).await.expect(state).unwrap();
        if String::from_utf8_lossy(&text[..length]).lines().any(|line| line == state) {
            return;
        }
    }
}

fn signal(child: &tokio::process::Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
    assert!(sent.success());
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

async fn ready(address: &str, wanted: u16) {
    platform::until(&format!("/readyz is {wanted}"), async || get(address, "/readyz").await.0 == wanted)
        .await;
}

/// The status is 0 where nobody listens.
async fn get(address: &str, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    match client.get(format!("http://{address}{path}")).send().await {
        Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
        Err(_) => (0, String::new()),
    }
}
