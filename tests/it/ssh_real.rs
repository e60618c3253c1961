//! The SSH monitor against the real OpenSSH server, as `.ci/ssh` has set it up.
//!
//! Three instances: `quiet` (ed25519 host key) and `busy` (RSA) answer with a recorded text whatever they are
//! asked, `real` (ECDSA, PAM) runs the command as a user without rights.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use vm_balancer::{
    clock::Clock,
    model::{ClusterId, ClusterInfo, Mib, NodeId, NodeInfo, Snapshot, VmId, VmInfo, ssh::LoginWay},
    planner::{self, Policy},
    sandbox::vmmanager::{self, Options, Running, SimVmManager, World},
    ssh::{self, HostPort, KeyFile, Known, Settings, SshFailure, SshMonitor},
};

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn the_vm_that_burns_the_cpu_is_known_by_its_use_not_by_its_size() {
    let snapshot = measured_snapshot().await;
    let used: Vec<_> = snapshot
        .vms
        .iter()
        .map(|vm| (vm.name.as_str(), vm.measured.as_ref().map(|used| (used.cores * 100.0).round() / 100.0)))
        .collect();
    assert_eq!(used, [("tiny", Some(0.05)), ("burner", Some(5.8)), ("decoy", Some(0.3))]);
    let load = |node: usize| snapshot.nodes[node].load.as_ref().map(|load| (load.five, load.cpus)).unwrap();
    assert_eq!((load(0), load(1)), ((12.8, Some(8)), (0.2, Some(8))));
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn the_vm_that_burns_the_cpu_is_moved_not_the_smallest() {
    let mut snapshot = measured_snapshot().await;
    let moves = |snapshot: &Snapshot| -> Vec<_> {
        let plan = planner::plan(snapshot, &Policy::default());
        let migrations = plan.clusters.into_iter().flat_map(|cluster| cluster.migrations);
        migrations.map(|m| (m.vm_name, m.source, m.target)).collect()
    };
    assert_eq!(moves(&snapshot), [("burner".into(), NodeId(2), NodeId(1))]);
    // By vCPUs alone the idle one would do, and it is the cheaper one.
    snapshot.vms.iter_mut().for_each(|vm| vm.measured = None);
    assert_eq!(moves(&snapshot), [("decoy".into(), NodeId(2), NodeId(1))]);
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn the_program_measures_real_servers_and_moves_the_vm_that_burns_the_cpu() {
    let setup = Setup::read();
    let node = |name: &str| vmmanager::SimNode::new(name).cores(8).gib(64);
    let vm = |name: &str, cores, gib| vmmanager::SimVm::new(name).cores(cores).gib(gib);
    let mut world = World::builder()
        .cluster("msk")
        .node(node("busy"))
        .vm(vm("tiny", 1, 1))
        .vm(vm("burner", 6, 8))
        .vm(vm("decoy", 6, 4))
        .node(node("quiet"))
        .node(node("real"))
        .build();
    // The numbers by which the recorded answer calls them.
    let named: Vec<_> = world.vms.values().cloned().collect();
    world.vms = named
        .into_iter()
        .zip(401..)
        .map(|(vm, id)| (VmId(id), vmmanager::SimVm { id: VmId(id), ..vm }))
        .collect();
    // What runs on this machine is not known, so it takes nothing.
    world.nodes.values_mut().filter(|node| node.name == "real").for_each(|node| node.maintenance = true);
    let sim = SimVmManager::start(world, Options::default()).await.unwrap();

    let check = setup.program("check", &sim).await;
    assert!(check.contains("3 of 3 nodes can be measured"), "{check}");
    assert_eq!(check.matches("known: yes").count(), 3, "{check}");
    let once: serde_json::Value = serde_json::from_str(&setup.program("--once --json", &sim).await).unwrap();
    let step = &once["clusters"][0]["migrations"][0];
    assert_eq!((&step["vm_name"], &step["outcome"]), (&"burner".into(), &"done".into()), "{once}");
    let quiet = sim.world().node("quiet").unwrap().id;
    assert_eq!(sim.node_of(VmId(402)), Some(quiet));
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn the_command_runs_for_a_user_without_rights_and_sees_who_burns_cpu() {
    let setup = Setup::read();
    let monitor = setup.monitor(setup.with_key("user_ecdsa"));
    let round = monitor.measure(&[node(3, "real")]).await;
    assert_eq!(round.failures, BTreeMap::new());
    let reading = &round.readings[&NodeId(3)];
    assert!(reading.cpus > Some(0) && reading.memory_total > reading.memory_used);
    let cores = |name: &str| reading.domains.iter().find(|d| d.name == name).unwrap().cores.unwrap();
    assert!(cores("311_web-1") > cores("312_db-1"), "{:?}", reading.domains);
    // Asked again at once, this is no reading before the next one.
    let round = monitor.measure(&[node(3, "real")]).await;
    assert_eq!(round.failures, BTreeMap::new());
    assert_eq!(round.readings[&NodeId(3)].previous_five, None);
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn keys_of_every_kind_open_every_server() {
    let setup = Setup::read();
    for key in ["user_ed25519", "user_rsa", "user_ecdsa", "user_pem", "user_locked"] {
        let round = setup.monitor(setup.with_key(key)).measure(&nodes()).await;
        assert_eq!(round.failures, BTreeMap::new(), "{key}");
        assert_eq!(round.readings.len(), 3, "{key}");
    }
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn a_password_opens_by_password_and_by_keyboard_interactive() {
    let setup = Setup::read();
    let settings = Settings { password: Some(setup.word("password").into()), ..setup.settings() };
    let probes = ssh::probe(&setup.monitor(settings), &[node(2, "busy"), node(3, "real")]).await;
    let ways: Vec<_> = probes.iter().map(|probe| probe.auth.clone()).collect();
    assert_eq!(ways, [Ok(LoginWay::Password), Ok(LoginWay::KeyboardInteractive)]);
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn a_stranger_is_told_what_was_tried_and_what_is_offered() {
    let setup = Setup::read();
    let settings = Settings { password: Some("wrong".into()), ..setup.with_key("stranger") };
    let round = setup.monitor(settings).measure(&[node(1, "quiet")]).await;
    let SshFailure::Auth { tried, offered, .. } = &round.failures[&NodeId(1)] else { panic!("{round:?}") };
    assert_eq!((tried.len(), offered), (1, &vec!["publickey".to_string()]), "{tried:?}");
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn hashed_known_hosts_are_enough() {
    let setup = Setup::read();
    let settings = Settings { known_hosts: setup.file("known_hosts_hashed"), ..setup.with_key("user_rsa") };
    assert!(!fs::read_to_string(&settings.known_hosts).unwrap().contains("127.0.0.1"));
    assert_eq!(setup.monitor(settings).measure(&nodes()).await.failures, BTreeMap::new());
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn strict_refuses_what_is_not_known_and_shows_the_fingerprint_that_ssh_keygen_shows() {
    let setup = Setup::read();
    let settings = Settings { known_hosts: setup.file("none"), ..setup.with_key("user_ed25519") };
    let probes = ssh::probe(&setup.monitor(settings), &nodes()).await;
    for (probe, key) in probes.iter().zip(["host_ed25519", "host_rsa", "host_ecdsa"]) {
        let listed =
            std::process::Command::new("ssh-keygen").arg("-lf").arg(setup.file(key)).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let expected = listed.split_whitespace().nth(1).unwrap();
        assert!(probe.fingerprint.as_ref().is_some_and(|shown| shown.ends_with(expected)), "{probe:?}");
        assert_eq!(probe.known, Some(Known::No));
        assert!(matches!(probe.auth, Err(SshFailure::HostKeyUnknown { .. })), "{probe:?}");
    }
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn a_changed_key_is_an_alarm_and_a_revoked_one_too() {
    let setup = Setup::read();
    let folder = tempfile::tempdir().unwrap();
    let known = fs::read_to_string(setup.file("known_hosts")).unwrap();
    let other = fs::read_to_string(setup.file("stranger.pub")).unwrap();
    let line = known.lines().next().unwrap();
    let host = line.split(' ').next().unwrap();
    for lines in [format!("{host} {other}"), format!("{line}\n@revoked {line}\n")] {
        let path = folder.path().join("known_hosts");
        fs::write(&path, lines).unwrap();
        let settings = Settings { known_hosts: path, ..setup.with_key("user_ed25519") };
        let round = setup.monitor(settings).measure(&[node(1, "quiet")]).await;
        assert!(round.failures[&NodeId(1)].is_host_key(), "{round:?}");
        assert_eq!(round.alarms.len(), 1, "{round:?}");
    }
}

#[tokio::test]
#[ignore = "needs the real OpenSSH servers that .ci/ssh starts"]
async fn an_agent_of_openssh_opens_the_door() {
    let setup = Setup::read();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let mut agent = tokio::process::Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while !socket.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for key in ["stranger", "user_rsa"] {
        let added = std::process::Command::new("ssh-add")
            .arg(setup.file(key))
            .env("SSH_AUTH_SOCK", &socket)
            .output()
            .unwrap();
        assert!(added.status.success(), "{added:?}");
    }
    let settings = Settings { agent: Some(socket), ..setup.settings() };
    assert_eq!(setup.monitor(settings).measure(&nodes()).await.failures, BTreeMap::new());
    agent.kill().await.unwrap();
}

/// Two nodes of one cluster as the monitor finds them: `busy` with three VMs, `quiet` with none.
///
/// `burner` burns nearly all that is burned; `decoy` has as many vCPUs, less memory and is nearly idle.
async fn measured_snapshot() -> Snapshot {
    let setup = Setup::read();
    let monitor = setup.monitor(setup.with_key("user_ed25519"));
    let mut snapshot = Snapshot::empty(Clock::system().now());
    snapshot.clusters = vec![ClusterInfo::new(ClusterId(1), "msk")];
    snapshot.nodes = vec![node(2, "busy"), node(1, "quiet")];
    snapshot.vms = vec![vm(401, "tiny", 1, 1024), vm(402, "burner", 6, 8192), vm(403, "decoy", 6, 4096)];
    snapshot.nodes[0].cpu_used = Some(13);
    snapshot.nodes[0].memory_used = Some(Mib(13_312));
    snapshot.nodes[0].vm_count = 3;
    let round = monitor.measure(&snapshot.nodes).await;
    assert_eq!(round.failures, BTreeMap::new());
    monitor.apply(&mut snapshot, &round);
    snapshot
}

struct Setup {
    folder: PathBuf,
}

impl Setup {
    fn read() -> Self {
        Self { folder: Self::said("folder").into() }
    }

    fn said(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ci-sshd").join(name);
        let text = fs::read_to_string(&path);
        text.unwrap_or_else(|error| panic!("run .ci/ssh, which makes {}: {error}", path.display()))
            .trim()
            .into()
    }

    fn word(&self, name: &str) -> String {
        Self::said(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn settings(&self) -> Settings {
        let host = |name: &str| HostPort {
            host: "127.0.0.1".into(),
            port: Some(self.word(&format!("{name}.port")).parse().unwrap()),
        };
        Settings {
            username: self.word("user"),
            timeout: Duration::from_secs(30),
            hosts: ["quiet", "busy", "real"].map(|name| (name.to_string(), host(name))).into(),
            ..Settings::new(self.file("known_hosts"), self.file("learned_hosts"))
        }
    }

    fn with_key(&self, name: &str) -> Settings {
        let passphrase = (name == "user_locked").then(|| self.word("passphrase").into());
        Settings { private_key: Some(KeyFile { path: self.file(name), passphrase }), ..self.settings() }
    }

    /// Runs the program in a folder of its own and returns what it printed.
    async fn program(&self, line: &str, sim: &Running) -> String {
        let dir = tempfile::tempdir().unwrap();
        let settings = self.settings();
        let hosts: BTreeMap<_, _> = settings
            .hosts
            .iter()
            .map(|(name, at)| (name, format!("{}:{}", at.host, at.port.unwrap())))
            .collect();
        let Options { username, password, .. } = sim.options();
        let path = |path: PathBuf| path.display().to_string();
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_vm-balancer"));
        program.args(line.split_whitespace()).current_dir(dir.path()).env_clear().envs([
            ("HOME", path(dir.path().into())),
            ("VMMANAGER_HOST", sim.url()),
            ("VMMANAGER_USERNAME", username),
            ("VMMANAGER_PASSWORD", password),
            ("BALANCE_MODE", "auto".into()),
            ("SSH_ENABLED", "true".into()),
            ("SSH_TIMEOUT", "30".into()),
            ("SSH_USERNAME", settings.username),
            ("SSH_PRIVATE_KEY_PATH", path(self.file("user_ed25519"))),
            ("SSH_KNOWN_HOSTS", path(settings.known_hosts)),
            ("SSH_HOSTS_MAPPING", serde_json::to_string(&hosts).unwrap()),
        ]);
        let ended = program.output().await.unwrap();
        assert!(ended.status.success(), "{ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    }

    fn monitor(&self, settings: Settings) -> SshMonitor {
        SshMonitor::new(settings, Clock::system()).unwrap()
    }
}

fn nodes() -> [NodeInfo; 3] {
    [node(1, "quiet"), node(2, "busy"), node(3, "real")]
}

fn node(id: u64, name: &str) -> NodeInfo {
    NodeInfo::new(NodeId(id), name, ClusterId(1)).with_cpu(8, 0).with_memory(Mib(65_536), Mib(0))
}

fn vm(id: u64, name: &str, cpu_cores: u32, memory: u64) -> VmInfo {
    VmInfo::new(VmId(id), name, NodeId(2), cpu_cores, Mib(memory))
}
