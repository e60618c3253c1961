//! A VMmanager that answers with the bytes that the simulated one gave once, so that making them costs nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use vm_balancer::{
    sandbox::vmmanager::{Options, Scale, SimVmManager, World},
    vmmanager::{Credentials, Settings, Timing, VmManagerApi},
};

/// Whoever logs in by these names is let in, as everybody else.
pub const USERNAME: &str = "balancer@example.com";
pub const PASSWORD: &str = "secret";

const LOGIN: &str = "/auth/v4/public/token";

const HOSTS: &str = "/vm/v3/host";
const TASKS: &str = "/vm/v3/task";

const LISTS: [&str; 4] = ["/vm/v3/cluster", "/vm/v3/node", HOSTS, TASKS];

pub struct Canned {
    url: String,
    served: Arc<Served>,
    http: reqwest::Client,
}

struct Served {
    bodies: BTreeMap<&'static str, Vec<u8>>,
    /// How many times the list of VMs was asked for.
    looks: AtomicUsize,
}

impl Canned {
    pub async fn of(nodes: usize, vms: usize) -> Self {
        Self::with_running(nodes, vms, 0).await
    }

    /// One where this many migrations run: both numbers of their tasks count from 1.
    pub async fn with_running(nodes: usize, vms: usize, running: u64) -> Self {
        let clusters = nodes.div_ceil(100);
        let world = World::generate(&Scale { nodes, vms, clusters, ..Scale::default() });
        let sim = SimVmManager::start(world, Options::default()).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let login = serde_json::json!({"email": sim.options().username, "password": sim.options().password});
        let asked = http.post(format!("{}{LOGIN}", sim.url())).json(&login);
        let said: serde_json::Value = asked.send().await.unwrap().json().await.unwrap();
        let mut bodies = BTreeMap::new();
        for path in LISTS {
            let asked = http.get(format!("{}{path}", sim.url()));
            let answer = asked.header("x-xsrf-token", said["token"].as_str().unwrap()).send().await.unwrap();
            bodies.insert(path, answer.bytes().await.unwrap().to_vec());
        }
        bodies.insert(LOGIN, said.to_string().into_bytes());
        if running > 0 {
            let task = |id| serde_json::json!({"id": id, "consul_id": id, "name": "host_migrate", "status": "running"});
            let tasks: Vec<_> = (1..=running).map(task).collect();
            bodies
                .insert(TASKS, serde_json::json!({"list": tasks, "size": running}).to_string().into_bytes());
        }
        let served = Arc::new(Served { bodies, looks: AtomicUsize::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let of = Arc::clone(&served);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&of)));
            }
        });
        Self { url, served, http }
    }

    pub fn api(&self) -> VmManagerApi {
        let credentials = Credentials::Token("a-token".into());
        let mut settings = Settings::new(self.url.parse().unwrap(), credentials);
        settings.timing = Timing::short();
        VmManagerApi::new(settings).unwrap()
    }

    /// Returns where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn bytes(&self) -> usize {
        self.served.bodies.values().map(Vec::len).sum()
    }

    /// Returns how many times the list of VMs was asked for.
    pub fn looks(&self) -> usize {
        self.served.looks.load(Ordering::Relaxed)
    }

    /// Fetches every list at once, as a look does, and lets `parse` read them; returns how long that took.
    pub async fn bare(&self, parse: fn(&[u8])) -> Duration {
        let began = Instant::now();
        let fetched = LISTS.map(|path| async move {
            let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
            let body = answer.bytes().await.unwrap();
            tokio::task::spawn_blocking(move || parse(&body)).await.unwrap();
        });
        futures::future::join_all(fetched).await;
        began.elapsed()
    }
}

async fn serve(stream: TcpStream, served: Arc<Served>) {
    stream.set_nodelay(true).unwrap();
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    let (mut line, mut path, mut asked_with) = (String::new(), String::new(), 0);
    while reading.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let head = std::mem::take(&mut line).to_ascii_lowercase();
        if head.trim_end().ends_with(" http/1.1") {
            // A request to end the session is answered with nothing.
            let asked = head.split(' ').nth(1).unwrap_or_default();
            path = asked.split('?').next().unwrap_or_default().to_owned();
        }
        if let Some(length) = head.strip_prefix("content-length:") {
            asked_with = length.trim().parse().unwrap_or(0);
        }
        if !head.trim().is_empty() {
            continue;
        }
        let mut body = vec![0; std::mem::take(&mut asked_with)];
        if reading.read_exact(&mut body).await.is_err() {
            return;
        }
        let nothing = Vec::new();
        let body = served.bodies.get(path.as_str()).unwrap_or(&nothing);
        served.looks.fetch_add(usize::from(path == HOSTS), Ordering::Relaxed);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if writing.write_all(head.as_bytes()).await.is_err() || writing.write_all(body).await.is_err() {
            return;
        }
    }
}
