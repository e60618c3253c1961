//! VMmanager's lists over the wire: in small pieces, cut off, and as something else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::DateTime;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use vm_balancer::{
    model::{AnswerFlaw, ApiFailure, Block, Body, BodyKind, NodeState, Silence},
    vmmanager::{Credentials, Look, Settings, Timing, VmManagerApi},
};

const CLUSTERS: &str = r#"{"list": [{"id": 1, "name": "msk"}], "size": 1}"#;
const NODES: &str = r#"{"last_notify": 7, "list": [
    {"id": 10, "name": "kvm-\"01\"", "cluster": {"id": 1}, "cpu": {"number": 8}, "ram_mib": {"total": 65536}}], "size": 1}"#;
const HOSTS: &str = r#"{"list": [{"id": 1000, "name": "сайт [1]", "node": {"id": 10}, "state": "active", "cpu_number": 2,
    "ram_mib": 2048, "unknown": {"deep": ["}", {"er": "]"}]}},
    {"id": 1001, "name": "база", "node": 10, "state": "active", "cpu_number": 2, "ram_mib": 4096}], "size": 2}"#;
const TASKS: &str = "[]";

/// The whole answer to a request: how often its path was asked for before is known.
type Reply = fn(&str, usize) -> Vec<u8>;

#[tokio::test]
async fn lists_that_come_byte_by_byte_are_read() {
    let (api, _) = client(|path, _| in_chunks(body_of(path))).await;
    let bytewise = look(&api).await.unwrap();
    let (api, _) = client(|path, _| whole(body_of(path))).await;
    assert_eq!(bytewise, look(&api).await.unwrap());
    let names: Vec<_> = bytewise.snapshot.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!((names, bytewise.snapshot.nodes[0].name.as_str()), (vec!["сайт [1]", "база"], "kvm-\"01\""));
}

#[tokio::test]
async fn a_list_that_breaks_off_is_asked_for_again() {
    let (api, asked) = client(|path, before| match (path, before) {
        ("/vm/v3/host", 0) => broken_off(HOSTS, HOSTS.len() / 2),
        _ => whole(body_of(path)),
    })
    .await;
    assert_eq!(look(&api).await.unwrap().snapshot.vms.len(), 2, "none of them twice");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    let (api, _) = client(|path, _| match path {
        "/vm/v3/host" => broken_off(HOSTS, HOSTS.len() - 1),
        _ => whole(body_of(path)),
    })
    .await;
    let error = look(&api).await.unwrap_err();
    assert!(matches!(error, ApiFailure::NoAnswer { said: Silence::Lost(_), .. }), "{error:?}");
}

#[tokio::test]
async fn of_two_records_that_contradict_each_other_neither_is_believed() {
    const TWO: &str = r#"{"list": [{"id": 1000, "name": "web", "node": 10, "state": "active", "cpu_number": 2, "ram_mib": 2048},
        {"id": 1000, "name": "web", "node": 11, "state": "active", "cpu_number": 2, "ram_mib": 2048},
        {"id": 1001, "name": "db", "node": 12, "state": "active", "cpu_number": 2, "ram_mib": 2048},
        {"id": 1001, "name": "db", "node": 12, "state": "active", "cpu_number": 2, "ram_mib": 2048}], "size": 2}"#;
    const THREE: &str = r#"{"list": [{"id": 10, "cluster": 1, "cpu": 8, "ram_mib": 65536, "state": "active"},
        {"id": 11, "cluster": 1, "cpu": 8, "ram_mib": 65536, "state": "active"},
        {"id": 12, "cluster": 1, "cpu": 8, "ram_mib": 65536, "state": "active"},
        {"id": 13, "cluster": 1, "cpu": 8, "ram_mib": 65536, "state": "active"},
        {"id": 13, "cluster": 1, "cpu": 8, "ram_mib": 65536, "state": "active", "maintenance_mode": true}], "size": 4}"#;
    let (api, _) = client(|path, _| match path {
        "/vm/v3/host" => whole(TWO),
        "/vm/v3/node" => whole(THREE),
        _ => whole(body_of(path)),
    })
    .await;
    let snapshot = look(&api).await.unwrap().snapshot;
    let states: Vec<_> = snapshot.nodes.iter().map(|node| node.state.clone()).collect();
    let unknown = NodeState::UnreadableVm;
    assert_eq!(states, [unknown.clone(), unknown, NodeState::Active, NodeState::Unreadable]);
    let blocks: Vec<_> = snapshot.vms.iter().map(|vm| vm.blocked_by.clone()).collect();
    assert_eq!(blocks, [vec![Block::Unreadable], vec![]], "the one that came twice alike is believed");
}

#[tokio::test]
async fn what_is_no_list_is_described_with_its_place_and_not_asked_for_again() {
    let body = |kind, bytes| Body { kind, bytes };
    let (object, list, page) = (BodyKind::Object, BodyKind::List, BodyKind::Page);
    let cases: [(Reply, AnswerFlaw); 4] = [
        (
            |_, _| in_chunks("{\"list\": [{\"id\": 1000,\n \"node\""),
            AnswerFlaw::CutOff { line: 2, column: 7, body: body(object, 30) },
        ),
        (
            |_, _| in_chunks("[{\"id\": 1000}\n{\"id\": 1001}]"),
            AnswerFlaw::NotJson { line: 2, column: 1, body: body(list, 27) },
        ),
        (
            |_, _| whole("<html>down for maintenance</html>"),
            AnswerFlaw::NotJson { line: 1, column: 1, body: body(page, 33) },
        ),
        (|_, _| without_end(), AnswerFlaw::TooLong { bytes_max: 16 * 1024 * 1024 }),
    ];
    for (reply, flaw) in cases {
        let (api, asked) = client_of_hosts(reply).await;
        let what = "GET /vm/v3/host".into();
        assert_eq!(look(&api).await.unwrap_err(), ApiFailure::Unreadable { what, said: flaw });
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}

// ---- helpers

async fn look(api: &VmManagerApi) -> Result<Look, ApiFailure> {
    api.look(DateTime::UNIX_EPOCH).await
}

fn body_of(path: &str) -> &'static str {
    match path {
        "/vm/v3/cluster" => CLUSTERS,
        "/vm/v3/node" => NODES,
        "/vm/v3/host" => HOSTS,
        "/vm/v3/task" => TASKS,
        other => unreachable!("{other}"),
    }
}

fn whole(body: &str) -> Vec<u8> {
    broken_off(body, body.len())
}

/// Promises a body and ends after this many bytes of it.
fn broken_off(body: &str, after: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body.as_bytes()[..after]].concat()
}

/// Each byte is a chunk of its own.
fn in_chunks(body: &str) -> Vec<u8> {
    let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunks = body.bytes().flat_map(|byte| [b"1\r\n", [byte].as_slice(), b"\r\n"].concat());
    head.into_iter().chain(chunks).chain(*b"0\r\n\r\n").collect()
}

/// A row that is longer than any row may be, of a list that promises more.
fn without_end() -> Vec<u8> {
    let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 500000000\r\n\r\n[{\"id\": \"";
    [head.as_slice(), &vec![b'1'; 20 * 1024 * 1024]].concat()
}

async fn client_of_hosts(reply: Reply) -> (VmManagerApi, Arc<AtomicUsize>) {
    client(move |path, before| match path {
        "/vm/v3/host" => reply(path, before),
        _ => whole(body_of(path)),
    })
    .await
}

/// Returns a client of a server that answers like this, and how often its VMs were asked for.
async fn client(
    reply: impl Fn(&str, usize) -> Vec<u8> + Send + Sync + 'static,
) -> (VmManagerApi, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (reply, asked) = (Arc::new(reply), Arc::new(AtomicUsize::new(0)));
    let hosts = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reply, hosts) = (Arc::clone(&reply), Arc::clone(&hosts));
            tokio::spawn(async move { answer(stream, &*reply, &hosts).await });
        }
    });
    let mut settings = Settings::new(url.parse().unwrap(), Credentials::Token("a-token".into()));
    settings.timing = Timing { request_timeout: Duration::from_secs(60), ..Timing::short() };
    (VmManagerApi::new(settings).unwrap(), asked)
}

async fn answer(stream: TcpStream, reply: &(impl Fn(&str, usize) -> Vec<u8> + Sync), hosts: &AtomicUsize) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut path) = (String::new(), String::new());
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if let Some(asked) = line.strip_prefix("GET ") {
            path = asked.split(['?', ' ']).next().unwrap_or_default().to_owned();
        }
        if line == "\r\n" {
            break;
        }
        line.clear();
    }
    let before = if path == "/vm/v3/host" { hosts.fetch_add(1, Ordering::Relaxed) } else { 0 };
    // A client that has had enough closes first.
    let _ = stream.write_all(&reply(&path, before)).await;
    let _ = stream.shutdown().await;
}
