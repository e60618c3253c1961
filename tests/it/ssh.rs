//! The SSH monitor against simulated nodes: every fault, every way in, and many nodes at once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use russh::keys::{
    Algorithm, EcdsaCurve, PrivateKey,
    agent::{client::AgentClient, server as agent_server},
    key::safe_rng,
    ssh_key::LineEnding,
};
use secrecy::SecretString;
use tempfile::TempDir;
use vm_balancer::{
    clock::{Clock, ManualClock},
    model::{
        Asked, ClusterId, ClusterInfo, Mib, NodeId, NodeInfo, Snapshot, VmId, VmInfo,
        ssh::{AgentFlaw, LoginWay, Phase, Tried, Unreadable},
    },
    planner::{self, Note, Policy},
    sandbox::ssh::{Door, Exchange, Fault, SimLoad, SimNode, SimVm},
    ssh::{self, HostKeyCheck, KeyFile, Known, Round, Settings, SshFailure, SshMonitor},
};

/// Long enough for a handshake on a machine that compiles beside the tests.
const GENEROUS: Duration = Duration::from_secs(30);

/// How long a test waits for a node that is known to stay silent.
const SHORT: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn a_node_tells_its_load_and_what_each_vm_uses_of_it() {
    let world = World::new();
    let node = world.known(SimNode::start(busy()).await.unwrap());
    let monitor = world.monitor(world.settings());
    let mut snapshot = snapshot(vec![info(10, &node)], &[(311, "web-1"), (312, "db-1"), (313, "idle")]);

    let round = monitor.measure(&snapshot.nodes).await;
    monitor.apply(&mut snapshot, &round);

    assert_eq!(round.failures, BTreeMap::new());
    let load = snapshot.nodes[0].load.as_ref().unwrap();
    assert_eq!((load.one, load.five, load.fifteen, load.at), (9.0, 8.0, 7.0, world.clock.now()));
    assert_eq!((load.cpus, load.memory_used_mib), (Some(16), Some(Mib(100_000))));
    assert_eq!((load.cpu_pressure, load.memory_pressure, load.io_pressure), (Some(12.5), None, Some(3.5)));
    assert_eq!(load.previous_five, None);
    assert_eq!(cores(&snapshot), [Some(6.5), Some(0.25), None]);
}

#[tokio::test]
async fn one_connection_serves_all_rounds_and_later_rounds_need_one_sample() {
    let world = World::new();
    let node = world.known(SimNode::start(busy()).await.unwrap());
    let monitor = world.monitor(world.settings());
    let nodes = [info(10, &node)];

    for _ in 0..3 {
        assert_eq!(monitor.measure(&nodes).await.failures, BTreeMap::new());
        world.clock.advance(TimeDelta::minutes(10));
    }

    assert_eq!(node.connections(), 1);
    let pauses: Vec<_> = node.commands().iter().map(|command| command.contains("sleep 1;")).collect();
    assert_eq!(pauses, [true, false, false]);
}

#[tokio::test]
async fn use_between_two_readings_is_what_was_burned_between_them() {
    let world = World::new();
    let node = world.known(SimNode::start(busy()).await.unwrap());
    let monitor = world.monitor(world.settings());
    let mut snapshot = snapshot(vec![info(10, &node)], &[(311, "web-1"), (312, "db-1")]);
    monitor.measure(&snapshot.nodes).await;
    world.clock.advance(TimeDelta::minutes(10));
    node.set_load(SimLoad {
        load: [1.0, 2.0, 3.0],
        vms: vms(&[("311_web-1", 0.5), ("312_db-1", 4.0)]),
        ..busy()
    });

    let round = monitor.measure(&snapshot.nodes).await;
    round.apply_to(&mut snapshot);

    assert_eq!(cores(&snapshot), [Some(0.5), Some(4.0)]);
    let load = snapshot.nodes[0].load.as_ref().unwrap();
    assert_eq!((load.five, load.previous_five), (2.0, Some(8.0)));
}

#[tokio::test]
async fn somebody_who_asks_just_before_a_cycle_does_not_shorten_the_time_that_it_looks_back_on() {
    let world = World::new();
    let node = world.start(busy()).await;
    let monitor = world.monitor(world.settings());
    let mut snapshot = snapshot(vec![info(10, &node)], &[(311, "web-1"), (312, "db-1")]);
    node.set_uptime(20_000.0);
    monitor.measure(&snapshot.nodes).await;
    // The second sample of that command was taken a second later.
    world.clock.advance(TimeDelta::seconds(594));
    node.set_uptime(20_595.0);
    monitor.measure_asking(&snapshot.nodes, Asked::WhoAnswered).await;
    // In the last seconds before the cycle the busy VM rests.
    node.set_load(SimLoad { vms: vms(&[("311_web-1", 0.5), ("312_db-1", 0.25)]), ..busy() });
    world.clock.advance(TimeDelta::seconds(6));
    node.set_uptime(20_601.0);
    monitor.measure(&snapshot.nodes).await.apply_to(&mut snapshot);

    assert_eq!(cores(&snapshot), [Some(6.44), Some(0.25)]);
}

#[tokio::test]
async fn a_vm_that_came_after_the_reading_before_is_measured_over_its_life() {
    let world = World::new();
    let node = world.start(SimLoad { vms: vms(&[("312_db-1", 0.25)]), ..busy() }).await;
    let monitor = world.monitor(world.settings());
    let mut snapshot = snapshot(vec![info(10, &node)], &[(311, "web-1"), (312, "db-1")]);
    node.set_uptime(20_000.0);
    monitor.measure(&snapshot.nodes).await;
    node.set_load(busy());
    world.clock.advance(TimeDelta::minutes(30));
    node.set_uptime(21_800.0);
    monitor.measure(&snapshot.nodes).await.apply_to(&mut snapshot);

    assert_eq!(cores(&snapshot), [Some(6.5), Some(0.25)]);
}

#[tokio::test]
async fn a_connection_that_died_without_a_word_is_opened_again_in_the_same_round() {
    let world = World::new();
    let node = world.start(busy()).await;
    let monitor = world.monitor(Settings { timeout: SHORT * 4, ..world.settings() });
    let nodes = [info(10, &node)];
    monitor.measure(&nodes).await;

    node.lose_connections();

    assert_eq!(monitor.measure(&nodes).await.failures, BTreeMap::new());
    assert_eq!((node.connections(), node.commands().len()), (2, 2));
}

#[tokio::test]
async fn a_kept_connection_that_died_without_a_word_is_closed_between_rounds() {
    let world = World::new();
    let node = world.start(busy()).await;
    let keepalive = Duration::from_millis(100);
    let monitor = world.monitor(Settings { keepalive, ..world.settings() });
    let nodes = [info(10, &node)];
    monitor.measure(&nodes).await;
    let idle =
        tokio::time::timeout(keepalive * 10, until(async || (node.open_connections() == 0).then_some(())));
    assert!(idle.await.is_err(), "a living one stays open");

    node.lose_connections();

    until(async || (node.open_connections() == 0).then_some(())).await;
    assert_eq!(monitor.measure(&nodes).await.failures, BTreeMap::new());
    assert_eq!(node.connections(), 2);
}

#[tokio::test]
async fn a_question_does_not_wait_again_for_a_node_that_kept_silent() {
    let world = World::new();
    let (healthy, dead) = (world.start(busy()).await, world.start(busy()).await);
    let monitor = world.monitor(Settings { timeout: SHORT * 2, ..world.settings() });
    let nodes = [info(10, &healthy), info(11, &dead)];
    monitor.measure(&nodes).await;
    let before = world.clock.now();
    dead.set_fault(Fault::HangAfterExec);
    // The first question does not know yet.
    for _ in 0..3 {
        world.clock.advance(TimeDelta::minutes(1));
        let round = monitor.measure_asking(&nodes, Asked::WhoAnswered).await;
        assert_eq!(round.failures.keys().collect::<Vec<_>>(), [&NodeId(11)]);
        let at = |id| round.readings[&NodeId(id)].at;
        assert_eq!((at(10), at(11)), (world.clock.now(), before));
        assert_eq!(dead.commands().len(), 2, "asked once in vain");
    }
    dead.set_fault(Fault::None);
    assert_eq!(monitor.measure(&nodes).await.failures, BTreeMap::new(), "a cycle asks everybody");
    let round = monitor.measure_asking(&nodes, Asked::WhoAnswered).await;
    assert_eq!((round.failures.len(), dead.commands().len()), (0, 4));
}

#[tokio::test]
async fn a_connection_that_was_lost_is_opened_again() {
    let world = World::new();
    let node = world.known(SimNode::start(busy()).await.unwrap());
    let monitor = world.monitor(world.settings());
    let nodes = [info(10, &node)];
    monitor.measure(&nodes).await;

    node.hang_up().await;

    assert_eq!(monitor.measure(&nodes).await.failures, BTreeMap::new());
    assert_eq!(node.connections(), 2);
}

#[tokio::test]
async fn a_node_that_is_gone_keeps_no_connection() {
    let world = World::new();
    let (stays, goes) = (world.start(busy()).await, world.start(busy()).await);
    let monitor = world.monitor(world.settings());
    let both = [info(10, &stays), info(11, &goes)];

    for nodes in [&both[..], &both[..1], &both[..]] {
        assert_eq!(monitor.measure(nodes).await.failures, BTreeMap::new());
    }

    assert_eq!((stays.connections(), goes.connections()), (1, 2));
}

#[tokio::test]
async fn the_mapping_leads_to_the_node() {
    let world = World::new();
    let node = world.start(busy()).await;
    let mut settings = world.settings();
    settings.hosts.insert("node-10".into(), node.address().to_string().parse().unwrap());
    let mut mapped = info(10, &node);
    (mapped.address, mapped.ssh_port) = (Some("192.0.2.1".into()), Some(9));

    let round = world.monitor(settings).measure(&[mapped]).await;

    assert_eq!(round.failures, BTreeMap::new());
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let world = World::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut node = node_info(10);
    (node.address, node.ssh_port) = (Some("127.0.0.1".into()), Some(free.port()));
    let round = world.monitor(world.settings()).measure(&[node]).await;
    assert_eq!(failure(&round), &SshFailure::Refused { host: free.to_string() });
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_unreachable() {
    let world = World::new();
    let mut node = node_info(10);
    node.address = Some("no-such-host.invalid".into());
    let round = world.monitor(world.settings()).measure(&[node]).await;
    assert!(matches!(failure(&round), SshFailure::Unreachable { .. }), "{:?}", failure(&round));
}

#[tokio::test]
async fn a_wrong_password_is_told_with_what_was_tried_and_what_is_offered_but_never_the_password() {
    let world = World::new();
    let node = world.start(busy()).await;
    let mut settings = world.settings();
    settings.password = Some("hunter2".into());
    let round = world.monitor(settings).measure(&[info(10, &node)]).await;
    insta::assert_snapshot!(failure(&round), @"login as monitor failed: password; the server offers password");
    assert!(!format!("{round:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_wrong_key_is_told_with_its_fingerprint() {
    let world = World::new();
    let (right, wrong) = (new_key(Algorithm::Ed25519), new_key(Algorithm::Ed25519));
    let node = world
        .start_door(Door { keys: vec![right.public_key().clone()], password: None, ..Door::default() })
        .await;
    let mut settings = world.settings();
    settings.password = None;
    settings.private_key = Some(world.key_file(&wrong));
    let round = world.monitor(settings).measure(&[info(10, &node)]).await;
    let SshFailure::Auth { tried, offered, .. } = failure(&round) else { panic!("{round:?}") };
    assert_eq!(offered, &["publickey"]);
    let fingerprint = wrong.fingerprint(Default::default()).to_string();
    assert_eq!(tried, &[Tried::Way(LoginWay::Key { fingerprint })]);
}

#[tokio::test]
async fn keys_of_every_kind_open_the_door() {
    let world = World::new();
    for algorithm in [Algorithm::Ed25519, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }] {
        let key = new_key(algorithm.clone());
        let door = Door { keys: vec![key.public_key().clone()], password: None, ..Door::default() };
        let node = world.start_door(door).await;
        let mut settings = world.settings();
        settings.password = None;
        settings.private_key = Some(world.key_file(&key));
        let round = world.monitor(settings).measure(&[info(10, &node)]).await;
        assert_eq!(round.failures, BTreeMap::new(), "{algorithm}");
    }
}

#[tokio::test]
async fn an_encrypted_key_opens_the_door_with_its_passphrase() {
    let world = World::new();
    let key = new_key(Algorithm::Ed25519);
    let node = world
        .start_door(Door { keys: vec![key.public_key().clone()], password: None, ..Door::default() })
        .await;
    let mut settings = world.settings();
    settings.password = None;
    let mut file = world.key_file(&key.encrypt(&mut safe_rng(), "correct horse").unwrap());
    file.passphrase = Some("correct horse".into());
    settings.private_key = Some(file);
    let round = world.monitor(settings).measure(&[info(10, &node)]).await;
    assert_eq!(round.failures, BTreeMap::new());
}

#[tokio::test]
async fn a_keyboard_interactive_question_is_answered_with_the_password() {
    let world = World::new();
    let door = Door { password: None, keyboard: Some("secret".into()), ..Door::default() };
    let node = world.start_door(door).await;
    let round = world.monitor(world.settings()).measure(&[info(10, &node)]).await;
    assert_eq!(round.failures, BTreeMap::new());
}

#[tokio::test]
async fn a_server_that_wants_key_and_password_gets_both() {
    let world = World::new();
    let key = new_key(Algorithm::Ed25519);
    let node =
        world.start_door(Door { keys: vec![key.public_key().clone()], both: true, ..Door::default() }).await;
    let mut settings = world.settings();
    settings.private_key = Some(world.key_file(&key));
    let round = world.monitor(settings).measure(&[info(10, &node)]).await;
    assert_eq!(round.failures, BTreeMap::new());
}

#[tokio::test]
async fn the_agents_key_opens_the_door() {
    let world = World::new();
    let key = new_key(Algorithm::Ed25519);
    let node = world
        .start_door(Door { keys: vec![key.public_key().clone()], password: None, ..Door::default() })
        .await;
    let socket = world.folder.path().join("agent");
    let agent = tokio::spawn(serve_agent(socket.clone()));
    let other = new_key(Algorithm::Ed25519);
    let mut client = until(async || AgentClient::connect_uds(&socket).await.ok()).await;
    for key in [&other, &key] {
        client.add_identity(key, &[]).await.unwrap();
    }
    let mut settings = world.settings();
    (settings.password, settings.agent) = (None, Some(socket));

    let round = world.monitor(settings).measure(&[info(10, &node)]).await;

    assert_eq!(round.failures, BTreeMap::new());
    agent.abort();
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_named() {
    let world = World::new();
    let node = world.start_door(key_or_password(&new_key(Algorithm::Ed25519))).await;
    let mut settings = world.settings();
    (settings.password, settings.agent) = (None, Some(world.path("no-agent")));
    let round = world.monitor(settings).measure(&[info(10, &node)]).await;
    let said = failure(&round).to_string();
    assert!(said.contains("no-agent cannot be asked") && said.contains("offers publickey"), "{said}");
}

#[tokio::test]
async fn an_agent_that_is_not_needed_is_not_asked() {
    let world = World::new();
    let key = new_key(Algorithm::Ed25519);
    let node = world.start_door(key_or_password(&key)).await;
    let agent = tokio::net::UnixListener::bind(world.path("agent")).unwrap();
    let mut settings = world.settings();
    settings.agent = Some(world.path("agent"));
    settings.private_key = Some(world.key_file(&key));
    let round = world.monitor(settings).measure(&[info(10, &node)]).await;
    assert_eq!(round.failures, BTreeMap::new());
    assert!(agent.accept().now_or_never().is_none(), "nobody knocked");
}

#[tokio::test]
async fn an_agent_that_is_silent_leaves_the_password_its_turn() {
    let world = World::new();
    let node = world.start_door(key_or_password(&new_key(Algorithm::Ed25519))).await;
    // The kernel takes the connection; nobody answers on it.
    let _agent = tokio::net::UnixListener::bind(world.path("agent")).unwrap();
    let settings = Settings { agent: Some(world.path("agent")), ..world.settings() };
    let round = world.monitor(settings.clone()).measure(&[info(10, &node)]).await;
    assert_eq!(round.failures, BTreeMap::new());

    let settings = Settings { password: Some("wrong".into()), ..settings };
    let round = world.monitor(settings).measure(&[info(10, &node)]).await;
    let SshFailure::Auth { tried, .. } = failure(&round) else { panic!("{round:?}") };
    let silent = Tried::AgentUnreachable { socket: world.path("agent"), why: AgentFlaw::Silent };
    assert_eq!(tried, &[Tried::Way(LoginWay::Password), silent]);
}

#[tokio::test]
async fn an_agent_that_shows_its_key_and_does_not_sign_leaves_the_password_its_turn() {
    let world = World::new();
    let key = new_key(Algorithm::Ed25519);
    let node = world.start_door(key_or_password(&key)).await;
    let listener = tokio::net::UnixListener::bind(world.path("agent")).unwrap();
    let agent = tokio::spawn(show_key_and_hang(listener, key.public_key().to_bytes().unwrap()));
    let settings = Settings { agent: Some(world.path("agent")), ..world.settings() };
    let probes = ssh::probe(&world.monitor(settings), &[info(10, &node)]).await;
    assert_eq!(probes[0].auth, Ok(LoginWay::Password));
    agent.abort();
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_before_any_secret_is_sent() {
    let world = World::new();
    let node = SimNode::start(busy()).await.unwrap();
    let round = world.monitor(world.settings()).measure(&[info(10, &node)]).await;
    let SshFailure::HostKeyUnknown { found, .. } = failure(&round) else { panic!("{round:?}") };
    assert_eq!(found, &format!("ssh-ed25519 {}", node.fingerprint()));
    assert!(round.alarms.is_empty() && node.commands().is_empty());
}

#[tokio::test]
async fn a_changed_host_key_is_an_alarm_with_both_fingerprints() {
    let world = World::new();
    let (before, node) = (SimNode::start(busy()).await.unwrap(), SimNode::start(busy()).await.unwrap());
    let port =
        |line: String| line.replace(&before.address().port().to_string(), &node.address().port().to_string());
    world.add_known(&port(before.known_hosts_line()));
    for check in [HostKeyCheck::Strict, HostKeyCheck::AcceptNew] {
        let settings = Settings { host_key_check: check, ..world.settings() };
        let round = world.monitor(settings).measure(&[info(10, &node)]).await;
        let [alarm] = round.alarms.as_slice() else { panic!("{round:?}") };
        assert_eq!((alarm.node, &alarm.host), (NodeId(10), &node.address().to_string()));
        assert_eq!(alarm.expected, [format!("ssh-ed25519 {}", before.fingerprint())]);
        assert_eq!(alarm.found, format!("ssh-ed25519 {}", node.fingerprint()));
        assert!(matches!(failure(&round), SshFailure::HostKeyChanged { .. }));
    }
    let off = Settings { host_key_check: HostKeyCheck::Off, ..world.settings() };
    assert_eq!(world.monitor(off).measure(&[info(10, &node)]).await.failures, BTreeMap::new());
}

#[tokio::test]
async fn a_key_revoked_between_two_rounds_ends_the_open_connection_and_its_reading() {
    let world = World::new();
    let node = world.start(busy()).await;
    let monitor = world.monitor(world.settings());
    let nodes = [info(10, &node)];
    assert_eq!(monitor.measure(&nodes).await.readings.len(), 1);

    world.add_known(&format!("@revoked * {}\n", node.host_key().to_openssh().unwrap()));
    let round = monitor.measure(&nodes).await;

    assert!(matches!(failure(&round), SshFailure::HostKeyRevoked { .. }), "{round:?}");
    assert!(round.readings.is_empty());
    assert_eq!(round.alarms.len(), 1);
}

#[tokio::test]
async fn accept_new_learns_a_key_once_and_for_good() {
    let world = World::new();
    let node = SimNode::start(busy()).await.unwrap();
    let settings = Settings { host_key_check: HostKeyCheck::AcceptNew, ..world.settings() };
    let nodes = [info(10, &node)];

    assert_eq!(world.monitor(settings.clone()).measure(&nodes).await.failures, BTreeMap::new());
    assert_eq!(fs::read_to_string(&settings.learned_hosts).unwrap(), node.known_hosts_line());
    // Another start, and stricter.
    assert_eq!(world.monitor(world.settings()).measure(&nodes).await.failures, BTreeMap::new());
    assert_eq!(fs::read_to_string(&settings.learned_hosts).unwrap(), node.known_hosts_line());
}

#[tokio::test]
async fn of_several_host_keys_the_known_kind_is_asked_for() {
    let world = World::new();
    let ecdsa = new_key(Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 });
    let keys = vec![ecdsa, new_key(Algorithm::Ed25519)];
    let node = SimNode::start_with(busy(), Door::default(), keys, Fault::None).await.unwrap();
    let node = world.known(node);
    let round = world.monitor(world.settings()).measure(&[info(10, &node)]).await;
    assert_eq!(round.failures, BTreeMap::new());
}

#[tokio::test]
async fn nodes_that_hang_time_out_and_cost_the_others_nothing() {
    let world = World::new();
    let healthy = world.start(busy()).await;
    let (mute, stuck) = (world.start(busy()).await, world.start(busy()).await);
    mute.set_fault(Fault::HangBeforeBanner);
    let monitor = world.monitor(Settings { timeout: SHORT * 4, ..world.settings() });
    let nodes = [info(10, &healthy), info(11, &mute), info(12, &stuck)];
    stuck.set_fault(Fault::HangAfterExec);

    let round = monitor.measure(&nodes).await;

    assert_eq!(round.readings.keys().collect::<Vec<_>>(), [&NodeId(10)]);
    let phase = |id| match &round.failures[&NodeId(id)] {
        SshFailure::Timeout { phase, .. } => *phase,
        other => panic!("{other:?}"),
    };
    assert_eq!((phase(11), phase(12)), (Phase::Handshake, Phase::Command));
}

#[tokio::test]
async fn a_handshake_that_is_given_up_leaves_no_connection_behind() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut node = node_info(10);
    node.address = Some("127.0.0.1".into());
    node.ssh_port = Some(listener.local_addr().unwrap().port());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-silent\r\n").await.unwrap();
        // Returns when the other side closes; an error is an end too.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });

    let round = world.monitor(Settings { timeout: SHORT, ..world.settings() }).measure(&[node]).await;

    assert_eq!(failure(&round), &SshFailure::Timeout { phase: Phase::Handshake, after: SHORT });
    tokio::time::timeout(GENEROUS, server).await.unwrap().unwrap();
}

#[tokio::test]
async fn known_hosts_that_cannot_be_read_any_more_stop_all_measuring() {
    let world = World::new();
    let node = world.start(busy()).await;
    let monitor = world.monitor(world.settings());
    let nodes = [info(10, &node)];
    assert_eq!(monitor.measure(&nodes).await.readings.len(), 1);
    fs::remove_file(world.path("known_hosts")).unwrap();
    fs::create_dir(world.path("known_hosts")).unwrap();

    let round = monitor.measure(&nodes).await;

    assert!(matches!(failure(&round), SshFailure::HostKeyUnchecked(_)), "{round:?}");
    assert!(round.readings.is_empty());
}

#[tokio::test]
async fn nodes_of_every_age_are_measured_side_by_side() {
    let world = World::new();
    let mut nodes = Vec::new();
    for exchange in [Exchange::ServersGroup, Exchange::FixedGroup, Exchange::Any, Exchange::ServersGroup] {
        nodes.push(world.start_door(Door { exchange, ..Door::default() }).await);
    }
    let infos: Vec<NodeInfo> = (0..4).zip(&nodes).map(|(id, node)| info(id, node)).collect();
    let monitor = world.monitor(Settings { timeout: Duration::from_secs(10), ..world.settings() });
    let round = monitor.measure(&infos).await;
    assert_eq!((round.readings.len(), &round.failures), (4, &BTreeMap::new()));
}

#[tokio::test]
async fn two_rounds_at_one_time_share_the_connection() {
    let world = World::new();
    let node = world.start(busy()).await;
    let monitor = world.monitor(world.settings());
    let nodes = [info(10, &node)];
    let (one, two) = tokio::join!(monitor.measure(&nodes), monitor.measure(&nodes));
    assert_eq!((one.failures, two.failures), (BTreeMap::new(), BTreeMap::new()));
    assert_eq!(node.connections(), 1);
}

#[tokio::test]
async fn what_is_no_ssh_server_is_called_so() {
    let world = World::new();
    let node = world.start(busy()).await;
    node.set_fault(Fault::NotSsh);
    let round = world.monitor(world.settings()).measure(&[info(10, &node)]).await;
    assert!(
        matches!(
            failure(&round),
            SshFailure::Handshake { .. } | SshFailure::Dropped { phase: Phase::Handshake }
        ),
        "{round:?}"
    );
}

#[tokio::test]
async fn every_fault_of_the_command_has_its_name_and_heals_in_the_next_round() {
    let world = World::new();
    let node = world.start(busy()).await;
    let monitor = world.monitor(world.settings());
    let nodes = [info(10, &node)];
    let mut names = Vec::new();
    for fault in [
        Fault::RefuseSession,
        Fault::RefuseExec,
        Fault::HugeOutput,
        Fault::DropMidOutput,
        Fault::Truncated,
        Fault::Exit(1, "sh: 1: Permission denied\n".into()),
        Fault::Say("This account is currently not available.\n".into()),
        Fault::Say("\0\u{1b}[2J\u{7f}ä".into()),
    ] {
        node.set_fault(fault);
        let round = monitor.measure(&nodes).await;
        names.push(failure(&round).to_string());
        node.set_fault(Fault::None);
        assert_eq!(monitor.measure(&nodes).await.failures, BTreeMap::new());
    }
    insta::assert_snapshot!(names.join("\n"), @"
    the server refused the session: it allows no more of them (MaxSessions)
    the server refused the session: commands are not allowed
    the answer cannot be understood: it is longer than 1048576 bytes
    connection lost during the command
    the answer cannot be understood: it ends too early
    the command failed with status 1: “sh: 1: Permission denied”
    the answer cannot be understood: it is no reading but “This account is currently not available.”
    the answer cannot be understood: it is no reading but “[2J ä”
    ");
}

#[tokio::test]
async fn a_reading_of_an_earlier_round_stays_with_its_own_time() {
    let world = World::new();
    let node = world.start(busy()).await;
    let monitor = world.monitor(world.settings());
    let mut snapshot = snapshot(vec![info(10, &node)], &[(311, "web-1")]);
    monitor.measure(&snapshot.nodes).await;
    let then = world.clock.now();
    world.clock.advance(TimeDelta::minutes(10));
    node.set_fault(Fault::Truncated);

    let round = monitor.measure(&snapshot.nodes).await;
    round.apply_to(&mut snapshot);

    assert_eq!(failure(&round), &SshFailure::Unreadable(Unreadable::Truncated));
    assert_eq!(snapshot.nodes[0].load.as_ref().unwrap().at, then);
    assert_eq!(snapshot.vms[0].measured.as_ref().unwrap().at, then);
}

#[tokio::test]
async fn known_hosts_that_cannot_be_read_stop_the_start() {
    let world = World::new();
    let settings = Settings { known_hosts: world.folder.path().into(), ..world.settings() };
    let error = SshMonitor::new(settings, Clock::from(world.clock.clone())).err().unwrap();
    assert!(matches!(error, ssh::SshError::KnownHosts { .. }), "{error}");
}

#[tokio::test]
async fn a_probe_shows_fingerprints_tries_the_login_and_learns_nothing() {
    let world = World::new();
    let (known, unknown) = (world.start(busy()).await, SimNode::start(busy()).await.unwrap());
    let nodes = [info(10, &known), info(11, &unknown)];
    let strict = world.monitor(world.settings());
    let accepting = world.monitor(Settings { host_key_check: HostKeyCheck::AcceptNew, ..world.settings() });

    let probes = ssh::probe(&strict, &nodes).await;
    assert_eq!((probes[0].known.clone(), probes[1].known.clone()), (Some(Known::Yes), Some(Known::No)));
    assert_eq!(probes[0].auth, Ok(LoginWay::Password));
    assert_eq!(probes[0].reading.as_ref().unwrap().load, [9.0, 8.0, 7.0]);
    assert_eq!(probes[1].fingerprint, Some(format!("ssh-ed25519 {}", unknown.fingerprint())));
    assert!(matches!(probes[1].auth, Err(SshFailure::HostKeyUnknown { .. })));

    let probes = ssh::probe(&accepting, &nodes).await;
    assert_eq!((probes[1].known.clone(), probes[1].auth.clone()), (Some(Known::No), Ok(LoginWay::Password)));
    assert!(!world.settings().learned_hosts.exists());
}

/// Prints how long the round took: `cargo test --release --test it -- two_hundred_nodes --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figure is what one runs it for")]
async fn two_hundred_nodes_answer_in_one_round_though_ten_of_them_hang() {
    let world = World::new();
    let mut nodes = Vec::new();
    for id in 0..200 {
        nodes.push(world.start(SimLoad { load: [id as f64 / 100.0; 3], ..busy() }).await);
    }
    let infos: Vec<NodeInfo> = (0..200).zip(&nodes).map(|(id, node)| info(id, node)).collect();
    let mut snapshot = snapshot(infos.clone(), &[]);
    let timeout = Duration::from_secs(10);
    let monitor = world.monitor(Settings { timeout, ..world.settings() });
    // Some at a time: unoptimised key exchanges of 200 servers and clients are no matter of this test.
    for some in (20..=200).step_by(20) {
        until(async || monitor.measure(&infos[..some]).await.failures.is_empty().then_some(())).await;
    }
    // What the ten said before is too old by then.
    world.clock.advance(TimeDelta::minutes(21));
    for (id, node) in nodes.iter().enumerate().skip(7).step_by(20) {
        let mute = id % 40 == 7;
        node.set_fault(if mute { Fault::HangBeforeBanner } else { Fault::HangAfterExec });
        if mute {
            node.hang_up().await;
        }
    }

    let started = Instant::now();
    let round = monitor.measure(&infos).await;
    let took = started.elapsed();

    println!("one round of 200 nodes, 10 hanging: {took:.1?} with a timeout of {timeout:?}");
    assert_eq!(round.failures.len(), 10, "{:?}", round.failures);
    assert!(round.failures.values().all(|failure| matches!(failure, SshFailure::Timeout { .. })));
    let fresh = round.readings.iter().filter(|(_, reading)| reading.at == world.clock.now());
    let five: Vec<_> = fresh.map(|(id, reading)| (id.0, reading.load[1])).collect();
    let expected = (0..200_u64).filter(|id| id % 20 != 7).map(|id| (id, id as f64 / 100.0));
    assert_eq!(five, expected.collect::<Vec<_>>());
    assert!(took < timeout + Duration::from_secs(2), "{took:?}");
    snapshot.taken_at = world.clock.now();
    assert_the_planner_uses_190(&round, &mut snapshot);
}

/// As after a start: no connection is open yet, and the planner has 190 readings to go by.
///
/// In an optimised build only: otherwise the key exchanges of 200 servers and 200 clients in one process take longer
/// than nodes of the real world have. `cargo test --release --test it -- two_hundred_nodes --nocapture` prints the figure.
#[cfg(not(debug_assertions))]
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figure is what one runs it for")]
async fn two_hundred_nodes_are_measured_from_a_cold_start_though_ten_of_them_hang() {
    let world = World::new();
    let mut nodes = Vec::new();
    for id in 0..200 {
        let node = world.start(SimLoad { load: [id as f64 / 100.0; 3], ..busy() }).await;
        let fault = if id % 40 == 7 { Fault::HangBeforeBanner } else { Fault::HangAfterExec };
        if id % 20 == 7 {
            node.set_fault(fault);
        }
        nodes.push(node);
    }
    let mut snapshot = snapshot((0..200).zip(&nodes).map(|(id, node)| info(id, node)).collect(), &[]);
    let timeout = Duration::from_secs(10);
    let monitor = world.monitor(Settings { timeout, ..world.settings() });

    let started = Instant::now();
    let round = monitor.measure(&snapshot.nodes).await;
    let took = started.elapsed();

    println!("a first round of 200 nodes, 10 hanging: {took:.1?} with a timeout of {timeout:?}");
    assert_eq!(round.failures.len(), 10, "{:?}", round.failures);
    assert!(took < timeout + Duration::from_secs(2), "{took:?}");
    assert_the_planner_uses_190(&round, &mut snapshot);
}

/// The ten hanging nodes are named as unmeasured, and each of the others counts with its own load.
fn assert_the_planner_uses_190(round: &Round, snapshot: &mut Snapshot) {
    round.apply_to(snapshot);
    let policy = Policy { nodes_are_asked: true, ..Policy::default() };
    let plan = planner::plan(snapshot, &policy);
    let hanging: Vec<_> = (7..200).step_by(20).map(|id| format!("node-{id}")).collect();
    let notes = &plan.clusters[0].notes;
    assert!(notes.contains(&Note::Unmeasured { nodes: hanging }), "{notes:?}");
    let overview = planner::overview(snapshot, &policy, ClusterId(1)).unwrap();
    let used: Vec<_> = overview.nodes.iter().filter_map(|node| Some((node.node.0, node.at.load?))).collect();
    let expected = (0..200_u64).filter(|id| id % 20 != 7).map(|id| (id, (id as f64 / 100.0) / 16.0));
    assert_eq!(used.len(), 190);
    for ((id, load), (expected_id, expected)) in used.iter().zip(expected) {
        assert!(*id == expected_id && (load - expected).abs() < 1e-6, "{id}: {load}");
    }
    let overloaded: Vec<_> = plan.clusters[0].overloaded.iter().map(|node| node.node.0).collect();
    assert_eq!(overloaded, Vec::<u64>::new(), "the busiest has two of 16 cores to do");
}

struct World {
    folder: TempDir,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now: DateTime<Utc> = "2026-11-23T20:15:00Z".parse().unwrap();
        Self { folder, clock: ManualClock::at(now) }
    }

    fn settings(&self) -> Settings {
        Settings {
            username: "monitor".into(),
            password: Some(SecretString::from("secret")),
            timeout: GENEROUS,
            ..Settings::new(self.path("known_hosts"), self.path("learned_hosts"))
        }
    }

    fn monitor(&self, settings: Settings) -> SshMonitor {
        SshMonitor::new(settings, Clock::from(self.clock.clone())).unwrap()
    }

    /// Starts a node whose host key is known.
    async fn start(&self, load: SimLoad) -> SimNode {
        self.known(SimNode::start(load).await.unwrap())
    }

    async fn start_door(&self, door: Door) -> SimNode {
        let keys = vec![new_key(Algorithm::Ed25519)];
        self.known(SimNode::start_with(busy(), door, keys, Fault::None).await.unwrap())
    }

    fn known(&self, node: SimNode) -> SimNode {
        self.add_known(&node.known_hosts_line());
        node
    }

    fn add_known(&self, lines: &str) {
        let path = self.path("known_hosts");
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, before + lines).unwrap();
    }

    fn key_file(&self, key: &PrivateKey) -> KeyFile {
        let path = self.path("id");
        fs::write(&path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        KeyFile { path, passphrase: None }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::join(self.folder.path(), name)
    }
}

fn busy() -> SimLoad {
    SimLoad {
        load: [9.0, 8.0, 7.0],
        cpus: 16,
        memory_total: Mib(262_144),
        memory_used: Mib(100_000),
        cpu_pressure: Some(12.5),
        memory_pressure: None,
        io_pressure: Some(3.5),
        vms: vms(&[("311_web-1", 6.5), ("312_db-1", 0.25)]),
    }
}

fn vms(shares: &[(&str, f64)]) -> Vec<SimVm> {
    shares.iter().map(|(domain, cores)| SimVm { domain: (*domain).into(), cores: *cores }).collect()
}

fn info(id: u64, node: &SimNode) -> NodeInfo {
    let mut info = node_info(id);
    info.address = Some(node.address().ip().to_string());
    info.ssh_port = Some(node.address().port());
    info
}

fn node_info(id: u64) -> NodeInfo {
    NodeInfo::new(NodeId(id), format!("node-{id}"), ClusterId(1))
        .with_cpu(16, 8)
        .with_memory(Mib(262_144), Mib(65_536))
}

fn snapshot(nodes: Vec<NodeInfo>, vms: &[(u64, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::empty("2026-11-23T20:15:00Z".parse().unwrap());
    snapshot.clusters = vec![ClusterInfo::new(ClusterId(1), "msk")];
    let vm = |&(id, name): &(u64, &str)| VmInfo::new(VmId(id), name, nodes[0].id, 8, Mib(8192));
    snapshot.vms = vms.iter().map(vm).collect();
    snapshot.nodes = nodes;
    snapshot
}

/// Rounded to hundredths: the kernel's clock has no finer ticks.
fn cores(snapshot: &Snapshot) -> Vec<Option<f64>> {
    let round = |cores: f64| (cores * 100.0).round() / 100.0;
    snapshot.vms.iter().map(|vm| vm.measured.as_ref().map(|used| round(used.cores))).collect()
}

fn failure(round: &Round) -> &SshFailure {
    round.failures.get(&NodeId(10)).unwrap_or_else(|| panic!("no failure in {round:?}"))
}

fn new_key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), algorithm).unwrap()
}

/// A door that the key opens, and the password that the monitor has.
fn key_or_password(key: &PrivateKey) -> Door {
    Door { keys: vec![key.public_key().clone()], ..Door::default() }
}

/// An agent that answers the question for its keys and no other.
async fn show_key_and_hang(listener: tokio::net::UnixListener, key: Vec<u8>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const IDENTITIES_ANSWER: u8 = 12;
    let (mut stream, _) = listener.accept().await.unwrap();
    let asked = stream.read_u32().await.unwrap();
    stream.read_exact(&mut vec![0; asked as usize]).await.unwrap();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes();
    let body = [&[IDENTITIES_ANSWER][..], &1_u32.to_be_bytes(), &length(&key), &key, &length(b"")].concat();
    stream.write_all(&[&length(&body)[..], &body].concat()).await.unwrap();
    // Until the other side has had enough.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

async fn serve_agent(socket: std::path::PathBuf) {
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    let incoming = futures::stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    agent_server::serve(Box::pin(incoming), ()).await.unwrap();
}

/// Waits until `look` finds something.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came");
}
