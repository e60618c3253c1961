//! The VMmanager client against the simulated server: one test for every status and every fault.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test says no by panicking")]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use vm_balancer::{
    model::{
        AnswerFlaw, ApiFailure, Block, BodyKind, ClusterId, Flaw, List, Mib, NodeId, NodeState, RowShape,
        Silence, VmId,
    },
    planner::{self, Note, Policy, TargetRefusal},
    sandbox::vmmanager::{
        Fault, Options, Pace, Profile, RequestSeen, Rule, Running, Scale, SimNode, SimVm, SimVmManager,
        TokenSeen, World,
    },
    vmmanager::{Credentials, Look, OrderError, Settings, TaskInfo, TaskStatus, Timing, VmManagerApi},
};

const WEB: VmId = VmId(1000);
const FIRST: NodeId = NodeId(10);
const SECOND: NodeId = NodeId(11);

// ---- a look

#[tokio::test]
async fn a_look_is_four_requests_and_one_login_however_many_clusters() {
    let world = World::generate(&Scale { clusters: 3, nodes: 9, vms: 60, ..Scale::default() });
    let sim = start(world).await;
    let look = look(&client(&sim)).await.unwrap();
    assert_eq!(
        (look.snapshot.clusters.len(), look.snapshot.nodes.len(), look.snapshot.vms.len()),
        (3, 9, 60)
    );
    assert_eq!(look.warnings, []);
    assert_eq!((sim.count_requests("/auth/"), sim.requests().len()), (1, 5));
    let lists = |request: &&RequestSeen| request.path.starts_with("/vm/");
    assert!(sim.requests().iter().filter(lists).all(|request| request.token == TokenSeen::Good));
}

#[tokio::test]
async fn every_kind_of_server_gives_the_same_picture() {
    let sim = start(unusual_world()).await;
    let api = client(&sim);
    let current = look(&api).await.unwrap();
    sim.set_profile(Profile::Messy);
    let messy = look(&api).await.unwrap();
    assert_eq!(messy.snapshot, current.snapshot);
    sim.set_profile(Profile::Old);
    let mut old = look(&api).await.unwrap();
    // What the older schema does not have: the systems of the nodes, and the balancer's mode.
    for (node, known) in old.snapshot.nodes.iter_mut().zip(&current.snapshot.nodes) {
        assert_eq!((&node.kernel_version, &node.os_version), (&None, &None));
        node.kernel_version.clone_from(&known.kernel_version);
        node.os_version.clone_from(&known.os_version);
    }
    for (vm, known) in old.snapshot.vms.iter_mut().zip(&current.snapshot.vms) {
        if known.blocked_by.contains(&Block::BalancerMode) {
            assert_eq!(vm.blocked_by, []);
            vm.blocked_by = known.blocked_by.clone();
        }
    }
    assert_eq!(old.snapshot, current.snapshot);
}

#[tokio::test]
async fn a_look_shows_the_world_as_it_is() {
    let sim = start(unusual_world()).await;
    let snapshot = look(&client(&sim)).await.unwrap().snapshot;
    let node = snapshot.node(SECOND).unwrap();
    assert_eq!((node.cpu_total, node.cpu_used, node.vm_count), (Some(16), Some(2), 1));
    assert_eq!((node.memory_total, node.memory_used), (Some(Mib(65536)), Some(Mib(4096))));
    assert_eq!((node.vm_limit, node.vm_creation_allowed, node.maintenance), (Some(9), false, true));
    assert_eq!(
        (node.address.as_deref(), node.ssh_port, &node.state),
        (Some("192.0.2.11"), Some(22), &"active".into())
    );
    assert_eq!(node.qemu_version.as_ref().unwrap().to_string(), "6.2.0");
    let blocked = |name: &str| snapshot.vms.iter().find(|vm| vm.name == name).unwrap().blocked_by.clone();
    assert_eq!(blocked("plain"), []);
    assert_eq!(blocked("iso"), [Block::Iso]);
    assert_eq!(blocked("saved"), [Block::Snapshots]);
    assert_eq!(blocked("off"), [Block::BalancerMode]);
    assert_eq!(blocked("rescue"), [Block::Rescue]);
    assert_eq!(blocked("imported"), [Block::Vm5Restrictions]);
    let cluster = snapshot.cluster(ClusterId(1)).unwrap();
    assert_eq!((cluster.virtualization.as_deref(), cluster.local_storage), (Some("kvm"), Some(true)));
    assert_eq!(cluster.builtin_balancer.as_deref().map(|sign| sign.contains("balancer_enabled")), Some(true));
}

#[tokio::test]
async fn a_server_that_gives_pages_is_read_to_the_end() {
    let sim = start(World::generate(&Scale { vms: 1200, ..Scale::default() })).await;
    sim.switch_on(Fault::PageOf { rows: 100 });
    let look = look(&client(&sim)).await.unwrap();
    assert_eq!(look.snapshot.vms.len(), 1200);
    assert_eq!(look.snapshot.clusters[0].incomplete, []);
    assert!(sim.count_requests("limit=100,500&orderby=id asc") > 0);
}

#[tokio::test]
async fn fewer_rows_than_promised_mark_every_cluster() {
    let sim = start(World::generate(&Scale { clusters: 2, ..Scale::default() })).await;
    sim.rule(Rule::always(Fault::HalfLists).only("/vm/v3/host"));
    let look = look(&client(&sim)).await.unwrap();
    assert_eq!(look.snapshot.vms.len(), 150);
    for cluster in &look.snapshot.clusters {
        assert_eq!(cluster.incomplete, [Flaw::ShortList { list: List::Vms, rows: 150, promised: 300 }]);
    }
}

#[tokio::test]
async fn an_unreadable_node_marks_its_cluster_and_no_other() {
    let sim = start(World::generate(&Scale { clusters: 2, ..Scale::default() })).await;
    sim.rule(Rule::always(Fault::UnreadableRows).only("/vm/v3/node"));
    let clusters = look(&client(&sim)).await.unwrap().snapshot.clusters;
    let row = Flaw::UnreadableRows { list: List::Nodes, rows: 1, first: 1, shape: RowShape::NoId };
    assert!(clusters[0].incomplete.contains(&row), "{clusters:?}");
    assert_eq!(clusters[1].incomplete, []);
}

#[tokio::test]
async fn what_a_live_migration_needs_is_read_and_heeded() {
    let node = |name: &str| SimNode::new(name).cores(32).gib(128);
    let newer = SimNode { kernel_version: "5.14.0-427.el9.x86_64".into(), ..node("kvm-02") };
    let web = SimVm { disk: Mib(10 * 1024), ..SimVm::new("web").cores(2).gib(8) };
    let nested = SimVm { nesting: true, ..web.clone() };
    let world = |third: SimNode| {
        let crowded = World::builder().node(node("kvm-01")).vms(13, &web).vm(nested.clone());
        crowded.node(newer.clone()).node(third).build()
    };
    let planned = async |third: SimNode| {
        let sim = start(world(third)).await;
        let snapshot = look(&client(&sim)).await.unwrap().snapshot;
        let policy = Policy { migrations_max: 20, ..Policy::default() };
        let plan = planner::plan(&snapshot, &policy).clusters.remove(0);
        assert_eq!(planner::check(&snapshot, &policy, &plan), []);
        (snapshot, plan)
    };
    let (snapshot, plan) = planned(node("kvm-03")).await;
    assert_eq!(snapshot.vms[13].blocked_by, [Block::Nesting]);
    assert_eq!(snapshot.nodes[0].storage_available, Some(Mib(2_100_000)));
    let to = |plan: &planner::ClusterPlan| {
        plan.migrations.iter().map(|step| (step.target_name.clone(), step.cautions.len())).collect::<Vec<_>>()
    };
    assert_eq!(to(&plan), vec![("kvm-03".to_owned(), 0); 3]);
    for third in [
        SimNode { libvirt_error: "cannot connect".into(), ..node("kvm-03") },
        SimNode { ha_error: "quorum_lost".into(), ..node("kvm-03") },
        SimNode { disk_free: Mib(5 * 1024), ..node("kvm-03") },
        SimNode { os_version: "Debian 12".into(), ..node("kvm-03") },
        node("kvm-03").cores(1),
    ] {
        let (_, plan) = planned(third.clone()).await;
        assert_eq!(to(&plan), vec![("kvm-02".to_owned(), 1); 3], "{third:?}");
    }
}

#[tokio::test]
async fn a_damaged_vm_closes_its_node_and_no_other() {
    let sim = start(World::small()).await;
    sim.switch_on(Fault::OddRecord);
    let look = look(&client(&sim)).await.unwrap();
    let damaged = Flaw::DamagedRow { list: List::Vms, id: WEB.0, fields: "name".into() };
    assert_eq!(look.warnings, [(None, damaged)]);
    let snapshot = look.snapshot;
    assert_eq!(snapshot.clusters[0].incomplete, []);
    let states: Vec<_> = snapshot.nodes.iter().map(|node| node.state.clone()).collect();
    assert_eq!(states, [NodeState::UnreadableVm, NodeState::Active, NodeState::Active]);
    let plan = planner::plan(&snapshot, &Policy::default()).clusters.remove(0);
    assert_eq!((plan.overloaded.len(), plan.migrations.len()), (1, 0));
    let noted = Note::Unreadable { node: "kvm-01".into(), vms: vec![format!("#{WEB}")] };
    assert!(plan.notes.contains(&noted), "{:?}", plan.notes);
    let full = planner::explain_node(&snapshot, &Policy::default(), snapshot.nodes[0].id).unwrap();
    assert_eq!(full.target, Err(TargetRefusal::Unreadable));
}

#[tokio::test]
async fn vms_without_their_nodes_mark_the_picture() {
    let sim = start(World::small()).await;
    sim.rule(Rule::always(Fault::EmptyLists).only("/vm/v3/node"));
    let clusters = look(&client(&sim)).await.unwrap().snapshot.clusters;
    assert_eq!(clusters[0].incomplete, [Flaw::VmsWithoutNode { vms: 10, example: WEB }]);
}

#[tokio::test]
async fn a_shrunken_list_is_shown_as_it_is() {
    let sim = start(World::small()).await;
    sim.switch_on(Fault::ShrunkList);
    assert_eq!(look(&client(&sim)).await.unwrap().snapshot.vms.len(), 5);
}

#[tokio::test]
async fn unfinished_migrations_are_seen_with_their_vm_where_the_server_says_it() {
    let sim = start_manual(World::small()).await;
    let api = client(&sim);
    sim.foreign_migration(WEB, SECOND, true).unwrap();
    sim.foreign_migration(VmId(1001), SECOND, false).unwrap();
    let seen = look(&api).await.unwrap().migrations;
    assert_eq!(seen.iter().map(|migration| migration.vm).collect::<Vec<_>>(), [Some(WEB), None]);
    assert_eq!(seen[0].consul_id, Some(sim.tasks()[0].consul_id));
    sim.finish_all();
    assert_eq!(look(&api).await.unwrap().migrations, []);
}

#[tokio::test]
async fn a_broken_task_filter_is_done_without_and_remembered() {
    let sim = start_manual(World::small()).await;
    let api = client(&sim);
    sim.foreign_migration(WEB, SECOND, false).unwrap();
    sim.switch_on(Fault::TaskFilterBroken);
    let seen = look(&api).await.unwrap();
    assert_eq!((seen.migrations.len(), seen.snapshot.clusters[0].incomplete.len()), (1, 0));
    let filtered = sim.count_requests("/vm/v3/task?where");
    look(&api).await.unwrap();
    assert_eq!(sim.count_requests("/vm/v3/task?where"), filtered);
    let consul = sim.tasks()[0].consul_id;
    assert!(!api.find_task(consul).await.unwrap().unwrap().status.has_ended());
}

#[tokio::test]
async fn too_many_tasks_to_read_without_a_filter_mark_the_picture() {
    let sim = start_manual(World::small()).await;
    sim.foreign_migration(WEB, SECOND, false).unwrap();
    sim.foreign_migration(VmId(1001), SECOND, false).unwrap();
    sim.switch_on(Fault::TaskFilterBroken);
    sim.rule(Rule::always(Fault::PageOf { rows: 1 }).only("/vm/v3/task"));
    let clusters = look(&client(&sim)).await.unwrap().snapshot.clusters;
    assert_eq!(clusters[0].incomplete, [Flaw::ShortList { list: List::Tasks, rows: 1, promised: 2 }]);
}

// ---- sessions

#[tokio::test]
async fn a_session_that_died_is_opened_again_once_for_all() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    look(&api).await.unwrap();
    sim.advance(Duration::from_secs(3601));
    look(&api).await.unwrap();
    assert_eq!(sim.count_requests("POST /auth/v4/public/token"), 2);
}

#[tokio::test]
async fn a_token_that_dies_while_a_task_is_watched_is_replaced() {
    let sim = start_manual(World::small()).await;
    let api = client(&sim);
    let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
    appeared(&api, consul).await;
    sim.rule(Rule::times(Fault::DeadToken, 1).only("GET /vm/v3/task"));
    assert!(api.find_task(consul).await.unwrap().is_some());
    assert_eq!(sim.count_requests("POST /auth/v4/public/token"), 2);
}

#[tokio::test]
async fn an_order_with_a_dead_token_is_taken_once() {
    let sim = start_manual(World::small()).await;
    let api = client(&sim);
    look(&api).await.unwrap();
    sim.end_sessions();
    api.orders().migrate(WEB, SECOND, &|| true).await.unwrap();
    assert_eq!(sim.orders().len(), 1);
    assert_eq!(sim.count_requests("POST /vm/v3/host/1000/migrate"), 2);
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_tried_again_at_once() {
    for status in [401, 400, 403] {
        let options = Options { refused_login_status: status, ..Options::default() };
        let sim = SimVmManager::start(World::small(), options).await.unwrap();
        sim.switch_on(Fault::WrongPassword);
        let api = client_with(&sim, |settings| settings.timing.login_pause = Duration::from_secs(600));
        for _ in 0..3 {
            let refused = look(&api).await.unwrap_err();
            assert!(
                refused.to_string().contains(&format!("token: status {status}")),
                "a failed login is told by its numbers alone: {refused}"
            );
        }
        assert_eq!(sim.count_requests("POST /auth/v4/public/token"), 1, "status {status}");
    }
}

#[tokio::test]
async fn a_password_that_stays_wrong_is_given_up() {
    let sim = start(World::small()).await;
    sim.switch_on(Fault::WrongPassword);
    let api = client_with(&sim, |settings| settings.timing.login_pause = Duration::ZERO);
    for _ in 0..6 {
        api.vm(WEB).await.unwrap_err();
    }
    assert_eq!(sim.count_requests("POST /auth/v4/public/token"), 3);
    sim.heal();
    let given_up = api.vm(WEB).await.unwrap_err().to_string();
    assert!(given_up.contains("(next try in "), "{given_up}");
}

#[tokio::test]
async fn a_password_is_tried_again_after_a_while() {
    let sim = start(World::small()).await;
    sim.arm(Fault::WrongPassword);
    let api = client_with(&sim, |settings| settings.timing.login_pause = Duration::from_millis(50));
    api.vm(WEB).await.unwrap_err();
    until(async || api.vm(WEB).await.is_ok()).await;
}

#[tokio::test]
async fn a_long_lived_token_needs_no_login_and_is_left_alone() {
    let sim = start(World::small()).await;
    let token = sim.options().token;
    let api = client_with(&sim, |settings| settings.credentials = Credentials::Token(token.into()));
    look(&api).await.unwrap();
    api.log_out().await;
    look(&api).await.unwrap();
    assert_eq!(sim.count_requests("/auth/"), 0);
}

#[tokio::test]
async fn a_long_lived_token_that_is_not_taken_is_said() {
    let sim = start(World::small()).await;
    let token = Credentials::Token("3-this-one-is-not-known".to_owned().into());
    let api = client_with(&sim, |settings| settings.credentials = token);
    assert!(matches!(api.vm(WEB).await, Err(ApiFailure::Credentials(_))));
    assert_eq!(sim.requests().len(), 1);
}

#[tokio::test]
async fn a_session_is_closed_at_the_end() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    look(&api).await.unwrap();
    assert_eq!(sim.session_count(), 2);
    api.log_out().await;
    assert_eq!(sim.session_count(), 1);
}

#[tokio::test]
async fn a_server_that_hangs_holds_up_the_end_of_a_session_for_seconds_only() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    look(&api).await.unwrap();
    sim.switch_on(Fault::Slow { millis: 60_000 });
    let began = std::time::Instant::now();
    api.log_out().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_older_than_2024_is_named_as_such() {
    let sim = start(World::small()).await;
    sim.switch_on(Fault::Status { status: 404 });
    let error = look(&client(&sim)).await.unwrap_err().to_string();
    assert!(error.contains("older than 2024"), "{error}");
}

#[tokio::test]
async fn a_read_only_administrator_may_look_and_not_order() {
    let sim = start(World::small()).await;
    sim.switch_on(Fault::ReadOnlyAdmin);
    let api = client(&sim);
    look(&api).await.unwrap();
    let refused = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap_err();
    assert!(matches!(refused, OrderError::NotTaken(ApiFailure::Forbidden { .. })), "{refused:?}");
    assert_eq!(sim.orders(), []);
}

#[tokio::test]
async fn no_permission_with_an_old_token_is_asked_once_more_with_a_new_one() {
    let sim = start(World::small()).await;
    let api = client_with(&sim, |settings| settings.timing.fresh_for = Duration::ZERO);
    look(&api).await.unwrap();
    sim.arm(Fault::FalseError { status: 400, code: 3001 });
    assert!(api.vm(WEB).await.unwrap().is_some());
    assert_eq!(sim.count_requests("POST /auth/v4/public/token"), 2);
}

#[tokio::test]
async fn a_login_that_is_echoed_shows_no_password_in_any_spelling() {
    let raw = "p\"ä&ss\\ w";
    let spellings =
        [raw, r#"p\"ä&ss\\ w"#, r#"p\"\u00e4&ss\\ w"#, "p%22%C3%A4%26ss%5C%20w", "p%22%C3%A4%26ss%5C+w"];
    for echoed in spellings {
        let sim = start(World::small()).await;
        let msg = format!("bad request: password={echoed}");
        sim.rule(Rule::always(Fault::ErrorInOk { code: 7, msg }).only("POST /auth/"));
        let api = client_with(&sim, |settings| {
            let username = "admin@example.com".to_owned();
            settings.credentials = Credentials::Password { username, password: raw.to_owned().into() };
        });
        let error = look(&api).await.unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(!said.contains(echoed) && !said.contains("bad request"), "{said}");
    }
}

#[tokio::test]
async fn no_secret_shows_in_what_is_printed() {
    let sim = start(World::small()).await;
    let password = sim.options().password;
    sim.switch_on(Fault::ErrorInOk { code: 7, msg: format!("no such user with {password}") });
    let settings = settings(&sim);
    let printed = format!("{settings:?}");
    let error = VmManagerApi::new(settings).unwrap().vm(WEB).await.unwrap_err();
    assert!(!printed.contains(&password) && !format!("{error} {error:?}").contains(&password), "{error:?}");
    assert!(sim.requests().iter().all(|request| !request.line().contains(&password)));
}

#[tokio::test]
async fn a_path_prefix_stands_before_every_path() {
    let options = Options { path_prefix: "/api".into(), ..Options::default() };
    let sim = SimVmManager::start(World::small(), options).await.unwrap();
    let api = client_with(&sim, |settings| settings.path_prefix = "api/".into());
    look(&api).await.unwrap();
    assert!(sim.requests().iter().all(|request| request.path.starts_with("/api/")));
}

#[tokio::test]
async fn an_address_with_a_password_and_a_broken_authority_are_refused() {
    let sim = start(World::small()).await;
    let mut with_password = settings(&sim);
    with_password.base_url.set_password(Some("secret")).unwrap();
    let mut with_authority = settings(&sim);
    with_authority.ca_pem = Some(b"no certificate".to_vec());
    for settings in [with_password, with_authority] {
        assert!(matches!(VmManagerApi::new(settings).err(), Some(ApiFailure::Settings(_))));
    }
}

// ---- waiting and repeating

#[tokio::test]
async fn a_suspended_service_is_waited_for() {
    let sim = start(World::small()).await;
    sim.rule(Rule::times(Fault::Unavailable, 3).only("/auth/"));
    sim.rule(Rule::times(Fault::Unavailable, 3).only("/vm/"));
    look(&client(&sim)).await.unwrap();
    assert_eq!(sim.requests().iter().filter(|request| request.status == 503).count(), 6);
}

#[tokio::test]
async fn a_service_that_stays_suspended_is_unavailable() {
    let sim = start(World::small()).await;
    sim.switch_on(Fault::Unavailable);
    let api = client_with(&sim, |settings| settings.timing.unavailable_total = Duration::from_millis(30));
    assert!(matches!(api.vm(WEB).await, Err(ApiFailure::Unavailable { .. })));
    let refused = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap_err();
    assert!(matches!(refused, OrderError::NotTaken(ApiFailure::Unavailable { .. })), "{refused:?}");
}

#[tokio::test]
async fn reads_are_repeated_after_silence_and_gateways() {
    let faults = [500, 502, 504].map(|status| Fault::Status { status });
    for fault in faults.into_iter().chain([Fault::Away, Fault::TornBody]) {
        let sim = start(World::small()).await;
        let api = client(&sim);
        look(&api).await.unwrap();
        sim.rule(Rule::times(fault.clone(), 2).only("GET /vm/v3/cluster"));
        look(&api).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(sim.faults(), [], "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_stays_silent_gives_no_answer() {
    for fault in [Fault::Away, Fault::TornBody, Fault::Status { status: 500 }, Fault::Status { status: 504 }]
    {
        let sim = start(World::small()).await;
        let api = client(&sim);
        look(&api).await.unwrap();
        sim.rule(Rule::always(fault.clone()).only("GET /vm/v3/host"));
        let error = look(&api).await.unwrap_err();
        assert!(matches!(error, ApiFailure::NoAnswer { .. }), "{fault:?}: {error:?}");
        assert!(matches!(error, ApiFailure::NoAnswer { .. } | ApiFailure::Unavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_slow_server_is_not_waited_for_without_end() {
    let sim = start(World::small()).await;
    sim.rule(Rule::always(Fault::Slow { millis: 60_000 }).only("GET /vm/v3/host"));
    let api = client_with(&sim, |settings| {
        settings.timing.request_timeout = Duration::from_millis(100);
        settings.timing.read_retries = 1;
    });
    let error = api.vm(WEB).await.unwrap_err();
    assert!(matches!(&error, ApiFailure::NoAnswer { said: Silence::TimedOut(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_gives_no_answer_and_takes_no_order() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    drop(sim);
    until(async || matches!(api.vm(WEB).await, Err(ApiFailure::NoAnswer { .. }))).await;
    let refused = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap_err();
    assert!(matches!(refused, OrderError::NotTaken(ApiFailure::NoAnswer { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_page_instead_of_json_is_described_and_not_quoted() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    look(&api).await.unwrap();
    sim.switch_on(Fault::Html);
    let error = api.vm(WEB).await.unwrap_err();
    assert!(
        matches!(&error, ApiFailure::Unreadable { said: AnswerFlaw::NotJson { body, .. }, .. } if body.kind == BodyKind::Page),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_error_inside_a_success_is_an_error() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    look(&api).await.unwrap();
    sim.rule(
        Rule::times(Fault::ErrorInOk { code: 5000, msg: "disk on fire".into() }, 1).only("GET /vm/v3/node"),
    );
    let error = look(&api).await.unwrap_err();
    let expected =
        "VMmanager is unavailable: it refused GET /vm/v3/node: “disk on fire” (status 200, code 5000)";
    assert_eq!(error.to_string(), expected);
}

// ---- one of them

#[tokio::test]
async fn one_vm_and_one_node_are_read_by_id() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    assert_eq!(api.vm(WEB).await.unwrap().unwrap().name, "web-1");
    assert_eq!(api.vm_place(WEB).await.unwrap().unwrap().node, FIRST);
    assert_eq!(api.node(SECOND).await.unwrap().unwrap().memory_used, Some(Mib(16384)));
    assert_eq!(api.vm(VmId(4)).await.unwrap(), None);
    assert_eq!(api.node(NodeId(4)).await.unwrap(), None);
    assert_eq!(sim.count_requests("GET /vm/v3/host?where=(id EQ 1000)"), 2);
}

#[tokio::test]
async fn a_broken_filter_is_done_without_and_remembered() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    sim.switch_on(Fault::FilterBroken);
    assert_eq!(api.vm_place(WEB).await.unwrap().unwrap().node, FIRST);
    let filtered = sim.count_requests("/vm/v3/host?where");
    assert_eq!(api.vm_place(WEB).await.unwrap().unwrap().state, "active".into());
    assert_eq!(api.node(FIRST).await.unwrap().unwrap().id, FIRST);
    assert_eq!(sim.count_requests("/vm/v3/host?where"), filtered);
}

#[tokio::test]
async fn the_server_names_its_own_targets() {
    let world = World::builder()
        .node(SimNode::new("a"))
        .vm(SimVm::new("web").gib(8))
        .node(SimNode::new("b"))
        .node(SimNode::new("c").in_maintenance())
        .build();
    let sim = start(world).await;
    let api = client(&sim);
    let verdicts = async || {
        let form = api.migrate_form(WEB).await.unwrap().unwrap();
        form.into_iter().map(|target| (target.node.0, target.suitable)).collect::<Vec<_>>()
    };
    assert_eq!(verdicts().await, [(11, true), (12, false)]);
    sim.arm(Fault::FormSaysNo { node: None });
    assert_eq!(verdicts().await, [(11, false), (12, false)]);
    assert!(matches!(api.migrate_form(VmId(4)).await, Err(ApiFailure::NotFound { .. })));
    assert_eq!(verdicts().await, [(11, true), (12, false)]);
}

#[tokio::test]
async fn a_server_without_the_migrate_form_is_asked_once() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    sim.arm(Fault::NoMigrateForm);
    assert_eq!(api.migrate_form(WEB).await.unwrap(), None);
    assert_eq!(api.migrate_form(VmId(1001)).await.unwrap(), None);
    assert_eq!(sim.count_requests("GET /vm/v3/host/"), 1);
}

#[tokio::test]
async fn the_server_says_who_we_are_and_what_it_is() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    assert_eq!(api.whoami().await.unwrap().unwrap().roles, ["@admin"]);
    assert_eq!(api.version().await.unwrap().as_deref(), Some("2026.1.0-sandbox"));
    sim.switch_on(Fault::Status { status: 404 });
    assert_eq!((api.whoami().await.unwrap(), api.version().await.unwrap()), (None, None));
}

// ---- orders and tasks

#[tokio::test]
async fn a_migration_is_ordered_watched_and_found_done() {
    for profile in [Profile::Current, Profile::Old, Profile::Messy] {
        let sim = start(World::small()).await;
        sim.set_profile(profile);
        let api = client(&sim);
        let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
        let done = ended(&api, consul).await;
        assert_eq!((done.status, done.consul_id), (TaskStatus::Complete, Some(consul)), "{profile:?}");
        assert_ne!(done.id, consul);
        assert_eq!(api.task(done.id).await.unwrap().unwrap().status, TaskStatus::Complete);
        assert_eq!(api.vm_place(WEB).await.unwrap().unwrap().node, SECOND);
        let nodes = look(&api).await.unwrap().snapshot.nodes;
        assert_eq!(nodes[0].memory_used, Some(Mib(5 * 8192)));
        assert_eq!(nodes[1].memory_used, Some(Mib(3 * 8192)));
        assert_eq!(sim.violations(), []);
    }
}

#[tokio::test]
async fn an_order_says_the_node_and_nothing_else() {
    let sim = start(World::small()).await;
    client(&sim).orders().migrate(WEB, SECOND, &|| true).await.unwrap();
    let order = sim.requests().into_iter().find(|request| request.path.ends_with("/migrate")).unwrap();
    assert_eq!(order.body, serde_json::json!({"node": 11}));
}

#[tokio::test]
async fn a_task_is_not_there_at_once() {
    let options = Options { task_delay: Duration::from_secs(3600), ..Options::default() };
    let sim = SimVmManager::start(World::small(), options).await.unwrap();
    let api = client(&sim);
    let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
    assert_eq!(api.find_task(consul).await.unwrap(), None);
    sim.advance(Duration::from_secs(3600));
    assert!(api.find_task(consul).await.unwrap().is_some());
}

#[tokio::test]
async fn the_history_leads_to_the_task() {
    for profile in [Profile::Current, Profile::Messy] {
        let sim = start(World::small()).await;
        sim.set_profile(profile);
        let api = client(&sim);
        assert_eq!(api.history(WEB).await.unwrap().entries, []);
        for target in [SECOND, FIRST] {
            let consul = api.orders().migrate(WEB, target, &|| true).await.unwrap().task.unwrap();
            ended(&api, consul).await;
        }
        let history = api.history(WEB).await.unwrap();
        let newest = history.entries.last().unwrap();
        assert_eq!((newest.id, newest.name.as_str()), (history.max_id, "host_migrate"), "{profile:?}");
        assert_eq!((newest.state.as_str(), newest.at.is_some()), ("complete", true));
        assert_eq!(newest.task, sim.tasks().last().map(|task| task.id));
    }
}

#[tokio::test]
async fn the_history_of_an_old_server_has_no_numbers() {
    let sim = start(World::small()).await;
    sim.set_profile(Profile::Old);
    let api = client(&sim);
    let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
    ended(&api, consul).await;
    let history = api.history(WEB).await.unwrap();
    assert_eq!((history.max_id, history.entries.len(), history.entries[0].task), (None, 1, None));
}

#[tokio::test]
async fn a_wrong_order_is_refused_and_nothing_happens() {
    let world = World::builder()
        .cluster("msk")
        .node(SimNode::new("a"))
        .vm(SimVm::new("web"))
        .cluster("spb")
        .node(SimNode::new("b"))
        .build();
    let sim = start(world).await;
    let orders = client(&sim).orders();
    for target in [FIRST, SECOND, NodeId(99)] {
        let refused = orders.migrate(WEB, target, &|| true).await.unwrap_err();
        assert!(
            matches!(&refused, OrderError::NotTaken(ApiFailure::Refused { status: 400, .. })),
            "{refused:?}"
        );
    }
    let gone = orders.migrate(VmId(4), SECOND, &|| true).await.unwrap_err();
    assert!(matches!(&gone, OrderError::NotTaken(ApiFailure::NotFound { .. })), "{gone:?}");
    assert_eq!(sim.orders(), []);
}

#[tokio::test]
async fn a_vm_on_its_way_takes_no_second_order() {
    let sim = start_manual(World::small()).await;
    let orders = client(&sim).orders();
    sim.foreign_migration(WEB, SECOND, false).unwrap();
    let busy = orders.migrate(WEB, SECOND, &|| true).await.unwrap_err();
    assert!(matches!(&busy, OrderError::NotTaken(ApiFailure::Refused { .. })), "{busy:?}");
    assert_eq!(sim.violations(), []);
}

#[tokio::test]
async fn a_node_that_goes_into_maintenance_takes_no_order() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    sim.arm(Fault::NodeIntoMaintenance);
    let refused = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap_err();
    assert!(matches!(&refused, OrderError::NotTaken(ApiFailure::Refused { .. })), "{refused:?}");
    assert!(api.node(SECOND).await.unwrap().unwrap().maintenance);
}

#[tokio::test]
async fn an_order_put_off_is_told_and_not_repeated_unasked() {
    let sim = start_manual(World::small()).await;
    let api = client(&sim);
    sim.arm(Fault::OrderUnavailable);
    let put_off = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap_err();
    assert!(matches!(put_off, OrderError::NotTaken(ApiFailure::Unavailable { .. })), "{put_off:?}");
    assert_eq!((sim.orders().len(), sim.count_requests("/migrate")), (0, 1));
    sim.end_sessions();
    sim.rule(Rule::times(Fault::Unavailable, 1).only("/auth/"));
    let put_off = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap_err();
    assert!(matches!(put_off, OrderError::NotTaken(ApiFailure::Unavailable { .. })), "{put_off:?}");
    assert_eq!(
        (sim.orders().len(), sim.count_requests("/auth/")),
        (0, 2),
        "a login is not waited for either"
    );
}

#[tokio::test]
async fn an_order_that_is_taken_back_is_not_sent_even_after_a_login() {
    let sim = start_manual(World::small()).await;
    let api = client(&sim);
    let held = api.orders().migrate(WEB, SECOND, &|| false).await.unwrap_err();
    assert_eq!((held, sim.count_requests("/migrate")), (OrderError::Held, 0));
    sim.end_sessions();
    let asked = AtomicU32::new(0);
    let only_once = || asked.fetch_add(1, Ordering::Relaxed) == 0;
    let held = api.orders().migrate(WEB, SECOND, &only_once).await.unwrap_err();
    assert_eq!((held, sim.count_requests("/migrate")), (OrderError::Held, 1), "the token was dead");
    assert_eq!(sim.orders(), []);
}

#[tokio::test]
async fn an_order_without_an_answer_is_never_repeated() {
    let gateways = [500, 502, 504].map(|status| Fault::OrderGateway { status });
    for fault in gateways.into_iter().chain([Fault::OrderReset]) {
        let sim = start_manual(World::small()).await;
        sim.arm(fault.clone());
        let unknown = client(&sim).orders().migrate(WEB, SECOND, &|| true).await.unwrap_err();
        assert!(
            matches!(unknown, OrderError::NoAnswer(ApiFailure::NoAnswer { .. })),
            "{fault:?}: {unknown:?}"
        );
        assert_eq!((sim.orders().len(), sim.count_requests("/migrate")), (1, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn no_code_under_a_server_error_makes_an_order_be_sent_again() {
    for (status, code) in [(500, 1000), (502, 3001), (504, 3080), (501, 1106), (200, 1000), (200, 3001)] {
        let sim = start_manual(World::small()).await;
        let api = client_with(&sim, |settings| settings.timing.fresh_for = Duration::ZERO);
        look(&api).await.unwrap();
        sim.rule(Rule::always(Fault::FalseError { status, code }).only("POST /vm/"));
        let unknown = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap_err();
        assert!(matches!(unknown, OrderError::NoAnswer(_)), "{status}, {code}: {unknown:?}");
        assert_eq!((sim.orders().len(), sim.count_requests("/migrate")), (1, 1), "{status}, {code}");
        assert_eq!(sim.count_requests("POST /auth/"), 1, "{status}, {code}");
    }
}

#[tokio::test]
async fn no_code_but_under_a_refusal_makes_a_read_log_in_again() {
    for (status, code) in [(500, 3001), (502, 1000), (200, 1000)] {
        let sim = start(World::small()).await;
        let api = client_with(&sim, |settings| settings.timing.fresh_for = Duration::ZERO);
        look(&api).await.unwrap();
        sim.rule(Rule::times(Fault::FalseError { status, code }, 1).only("GET /vm/v3/host"));
        assert!(api.vm(WEB).await.unwrap().is_some(), "{status}, {code}");
        sim.rule(Rule::always(Fault::FalseError { status, code }).only("GET /vm/v3/host"));
        let error = api.vm(WEB).await.unwrap_err();
        assert_eq!(
            matches!(error, ApiFailure::NoAnswer { .. }),
            status >= 500,
            "{status}, {code}: {error:?}"
        );
        assert_eq!(sim.count_requests("POST /auth/"), 1, "{status}, {code}");
    }
}

#[tokio::test]
async fn an_order_that_takes_too_long_or_is_answered_by_a_page_is_unknown() {
    for fault in [Fault::Slow { millis: 60_000 }, Fault::Html, Fault::TornBody] {
        let sim = start_manual(World::small()).await;
        let api = client_with(&sim, |settings| settings.timing.request_timeout = Duration::from_millis(300));
        look(&api).await.unwrap();
        sim.rule(Rule::times(fault.clone(), 1).only("POST /vm/"));
        let unknown = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap_err();
        assert!(matches!(unknown, OrderError::NoAnswer(_)), "{fault:?}: {unknown:?}");
        assert_eq!(sim.count_requests("/migrate"), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn an_order_that_gets_no_number_is_found_in_the_history() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    sim.arm(Fault::OrderWithoutTask);
    assert_eq!(api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task, None);
    until(async || !api.history(WEB).await.unwrap().entries.is_empty()).await;
    let task = api.history(WEB).await.unwrap().entries[0].task.unwrap();
    until(async || api.task(task).await.unwrap().unwrap().status == TaskStatus::Complete).await;
}

#[tokio::test]
async fn a_failure_brings_its_words() {
    for profile in [Profile::Current, Profile::Old, Profile::Messy] {
        let sim = start(World::small()).await;
        sim.set_profile(profile);
        sim.arm(Fault::libvirt_failure());
        let api = client(&sim);
        let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
        let failed = ended(&api, consul).await;
        assert_eq!(failed.status, TaskStatus::Failed, "{profile:?}");
        assert_eq!(failed.output.unwrap().lines().count(), 3);
        assert_eq!(api.vm_place(WEB).await.unwrap().unwrap().node, FIRST);
    }
}

#[tokio::test]
async fn a_task_that_completes_without_a_move_leaves_the_vm_where_it_was() {
    let sim = start(World::small()).await;
    sim.arm(Fault::CompleteWithoutMove);
    let api = client(&sim);
    let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
    assert_eq!(ended(&api, consul).await.status, TaskStatus::Complete);
    assert_eq!(api.vm_place(WEB).await.unwrap().unwrap().node, FIRST);
}

#[tokio::test]
async fn a_lost_task_may_have_moved_the_vm_or_not() {
    for (fault, place) in [
        (Fault::TaskLost { moves: true }, SECOND),
        (Fault::TaskLost { moves: false }, FIRST),
        (Fault::TaskNeverShows, SECOND),
    ] {
        let sim = start_manual(World::small()).await;
        sim.arm(fault.clone());
        let api = client(&sim);
        let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
        sim.finish(consul);
        assert_eq!(api.find_task(consul).await.unwrap(), None, "{fault:?}");
        assert_eq!(api.task(sim.tasks()[0].id).await.unwrap(), None);
        assert_eq!(api.history(WEB).await.unwrap().entries, []);
        assert_eq!(api.vm_place(WEB).await.unwrap().unwrap().node, place, "{fault:?}");
    }
}

#[tokio::test]
async fn a_task_may_wait_and_say_why() {
    let sim = start(World::small()).await;
    sim.arm(Fault::Deferred { millis: 3_600_000, reason: "another task is running".into() });
    let api = client(&sim);
    let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
    let waiting = appeared(&api, consul).await;
    assert_eq!(
        (waiting.status, waiting.defer_reason.as_deref()),
        (TaskStatus::Created, Some("another task is running"))
    );
    sim.advance(Duration::from_secs(3600));
    ended(&api, consul).await;
}

#[tokio::test]
async fn a_task_may_run_for_ever() {
    let sim = start(World::small()).await;
    sim.arm(Fault::RunsForever);
    let api = client(&sim);
    let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
    appeared(&api, consul).await;
    sim.advance(Duration::from_secs(3000));
    let task = api.find_task(consul).await.unwrap().unwrap();
    assert_eq!(task.status, TaskStatus::Running);
    assert!(task.running_time.unwrap() >= 2999);
}

#[tokio::test]
async fn a_vm_or_a_target_that_vanishes_on_the_way_is_gone() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    sim.arm(Fault::VmVanishes);
    let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
    assert_eq!(ended(&api, consul).await.status, TaskStatus::Failed);
    assert_eq!(api.vm_place(WEB).await.unwrap(), None);
    sim.arm(Fault::TargetVanishes);
    let consul = api.orders().migrate(VmId(1001), NodeId(12), &|| true).await.unwrap().task.unwrap();
    assert_eq!(ended(&api, consul).await.status, TaskStatus::Failed);
    assert_eq!(api.node(NodeId(12)).await.unwrap(), None);
    assert_eq!(api.vm_place(VmId(1001)).await.unwrap().unwrap().node, FIRST);
}

#[tokio::test]
async fn dates_may_be_off_and_are_only_words() {
    let sim = start(World::small()).await;
    let api = client(&sim);
    sim.switch_on(Fault::ClockSkew { seconds: -7200 });
    let consul = api.orders().migrate(WEB, SECOND, &|| true).await.unwrap().task.unwrap();
    ended(&api, consul).await;
    assert_eq!(
        api.history(WEB).await.unwrap().entries[0].at.as_deref().map(|at| &at[..13]),
        Some("2026-05-03 22")
    );
}

// ---- the simulator's own promises

#[tokio::test]
async fn the_simulator_writes_down_what_should_never_be_asked() {
    let world = World::builder()
        .node(SimNode::new("a").gib(64))
        .vm(SimVm::new("big").gib(48))
        .vm(SimVm::new("iso").with_iso())
        .vm(SimVm::new("plain"))
        .node(SimNode::new("small").gib(32))
        .node(SimNode::new("old").qemu("4.2.0"))
        .node(SimNode::new("resting").in_maintenance())
        .node(SimNode::new("full").limit(0))
        .node(SimNode::new("good"))
        .build();
    let sim = start_manual(world).await;
    let orders = client(&sim).orders();
    let order = async |vm: u64, node: u64| {
        let _ = orders.migrate(VmId(vm), NodeId(node), &|| true).await;
        let broken: Vec<_> = sim.violations().iter().map(ToString::to_string).collect();
        sim.finish_all();
        broken.last().cloned().unwrap_or_default()
    };
    assert_eq!(order(1000, 11).await, "vm 1000 to node 11: 48 GiB of 32 GiB would be needed");
    assert_eq!(order(1001, 15).await, "vm 1001 cannot be moved: an ISO image is mounted");
    assert_eq!(order(1002, 12).await, "vm 1002 to node 12 with an older QEMU");
    assert_eq!(order(1002, 13).await, "vm 1002 to node 13 in maintenance");
    assert_eq!(order(1002, 14).await, "vm 1002 to node 14 beyond its limit");
    let before = sim.violations().len();
    orders.migrate(VmId(1000), NodeId(15), &|| true).await.unwrap();
    assert_eq!(sim.violations().len(), before);
    orders.migrate(VmId(1000), NodeId(15), &|| true).await.unwrap_err();
    assert_eq!(sim.violations().last().unwrap().to_string(), "vm 1000 was ordered twice");
}

#[tokio::test]
async fn the_simulator_is_strict_about_requests() {
    let sim = start(World::small()).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = sim.options().token;
    let get = async |path: &str, token: &str| {
        let request = http.get(format!("{}{path}", sim.url())).header("x-xsrf-token", token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(get("/vm/v3/host", "nonsense").await, 401);
    assert_eq!(get("/vm/v3/host", &token).await, 200);
    assert_eq!(get("/vm/v3/host?where=id+EQ+1000", &token).await, 200);
    assert_eq!(get("/vm/v3/host?where=id%2BEQ%2B1000", &token).await, 400);
    assert_eq!(get("/vm/v3/host?page=2", &token).await, 400);
    assert_eq!(get("/vm/v3/unheard-of", &token).await, 404);
    let post = async |body: serde_json::Value| {
        let url = format!("{}/vm/v3/host/1000/migrate", sim.url());
        let request = http.post(url).header("Cookie", format!("ses6={token}")).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, text) = post(serde_json::json!({"node": 11, "live": true})).await;
    assert_eq!((status, text.contains("3008")), (400, true));
    assert_eq!(post(serde_json::json!({"node": "11"})).await.0, 400);
    assert_eq!(post(serde_json::json!({})).await.0, 400);
    assert_eq!(post(serde_json::json!({"node": 11})).await.0, 200);
}

#[tokio::test]
async fn faults_can_be_switched_over_http() {
    let sim = start(World::small()).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |body: serde_json::Value| {
        let request = http.post(format!("{}/_sandbox/fault", sim.url())).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send(serde_json::json!({"fault": {"kind": "slow", "millis": 5}, "times": 2})).await, 200);
    assert_eq!(sim.faults(), [Rule::times(Fault::Slow { millis: 5 }, 2)]);
    assert_eq!(send(serde_json::json!({"fault": {"kind": "slow", "millis": 0}, "off": true})).await, 200);
    assert_eq!(sim.faults(), []);
    assert_eq!(send(serde_json::json!({"fault": {"kind": "foreign_migration"}})).await, 200);
    assert!(sim.tasks()[0].foreign);
    assert_eq!(send(serde_json::json!({"fault": {"kind": "earthquake"}})).await, 400);
    let state = http.get(format!("{}/_sandbox/state", sim.url())).send().await.unwrap().text().await.unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["nodes"].as_array().map(Vec::len), Some(3));
    assert_eq!(state["tasks"][0]["vm"], 1000);
}

#[test]
fn generated_worlds_are_as_full_as_asked() {
    for seed in 1..20 {
        let world = World::generate(&Scale { seed, clusters: 2, nodes: 24, vms: 600, ..Scale::default() });
        assert_eq!(
            world,
            World::generate(&Scale { seed, clusters: 2, nodes: 24, vms: 600, ..Scale::default() })
        );
        assert_eq!((world.nodes.len(), world.vms.len()), (24, 600));
        assert_eq!(world.nodes_above(70.0).len(), 6, "seed {seed}");
        assert_eq!(world.nodes_above(100.0), []);
        let (used, total): (u64, u64) = world
            .nodes
            .values()
            .fold((0, 0), |sum, node| (sum.0 + node.memory_used.0, sum.1 + node.memory.0));
        let percent = used as f64 * 100.0 / total as f64;
        assert!((42.0..58.0).contains(&percent), "seed {seed}: {percent}");
    }
}

#[tokio::test]
async fn a_world_made_from_a_snapshot_gives_that_snapshot_again() {
    let first = start(World::generate(&Scale::default())).await;
    let snapshot = look(&client(&first)).await.unwrap().snapshot;
    let second = start(World::from_snapshot(&snapshot)).await;
    assert_eq!(look(&client(&second)).await.unwrap().snapshot, snapshot);
}

// ---- helpers

async fn start(world: World) -> Running {
    SimVmManager::start(world, Options::default()).await.unwrap()
}

async fn start_manual(world: World) -> Running {
    SimVmManager::start(world, Options { pace: Pace::Manual, ..Options::default() }).await.unwrap()
}

fn settings(sim: &Running) -> Settings {
    let Options { username, password, .. } = sim.options();
    let credentials = Credentials::Password { username, password: password.into() };
    Settings { timing: Timing::short(), ..Settings::new(sim.url().parse().unwrap(), credentials) }
}

fn client(sim: &Running) -> VmManagerApi {
    client_with(sim, |_| {})
}

fn client_with(sim: &Running, change: impl FnOnce(&mut Settings)) -> VmManagerApi {
    let mut settings = settings(sim);
    change(&mut settings);
    VmManagerApi::new(settings).unwrap()
}

async fn look(api: &VmManagerApi) -> Result<Look, ApiFailure> {
    api.look(DateTime::<Utc>::UNIX_EPOCH).await
}

async fn appeared(api: &VmManagerApi, consul: u64) -> TaskInfo {
    until(async || api.find_task(consul).await.unwrap().is_some()).await;
    api.find_task(consul).await.unwrap().unwrap()
}

async fn ended(api: &VmManagerApi, consul: u64) -> TaskInfo {
    let has_ended = |task: TaskInfo| task.status.has_ended();
    until(async || api.find_task(consul).await.unwrap().is_some_and(has_ended)).await;
    api.find_task(consul).await.unwrap().unwrap()
}

/// Waits for a condition. The bound is for busy machines.
async fn until(condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("what was waited for did not come");
}

/// One node with a VM of every kind, and one that is closed in every way.
fn unusual_world() -> World {
    World::builder()
        .cluster_as(|cluster| cluster.builtin_balancer = true, "msk")
        .node(SimNode::new("kvm-01"))
        .vm(SimVm::new("plain"))
        .vm(SimVm::new("iso").with_iso())
        .vm(SimVm::new("saved").with_snapshots(2))
        .vm(SimVm::new("off").balancer_off())
        .vm(SimVm { rescue_mode: true, ..SimVm::new("rescue") })
        .vm(SimVm { vm5_restricted: true, ..SimVm::new("imported") })
        .vm(SimVm { cpu_mode: "host-passthrough".into(), ..SimVm::new("bare <b>\"metal\"</b>") })
        .vm(SimVm::new("stopped").stopped())
        .node(SimNode::new("узел-02").cores(16).gib(64).limit(9).closed().in_maintenance().qemu("6.2.0"))
        .vm(SimVm::new("почта"))
        .build()
}
