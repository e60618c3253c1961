//! Broken situations, one after the other, over simulated servers: each is found, named, and answered with what to do.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use rcgen::{Certificate, CertificateParams, KeyPair};

use super::*;
use crate::{
    clock::ManualClock,
    config::read_env_file,
    sandbox::{
        telegram::{self, ADMIN, FORUM, GROUP, Role, SUPERGROUP, SimTelegram},
        vmmanager::{self, Fault, Rule, SimVmManager, World},
    },
};

/// One broken situation.
struct Case {
    /// What stands in the file besides a configuration in which nothing is wrong.
    lines: String,
    role: &'static str,
    arrange: fn(&Place),
    part: &'static str,
    state: State,
    detail: &'static str,
    todo: &'static str,
}

/// The servers of one situation.
struct Place {
    vmmanager: vmmanager::Running,
    chat: telegram::Running,
    dir: tempfile::TempDir,
    /// Ports of servers with certificates, by what stands for them in a case.
    tls: [(&'static str, u16); 3],
}

fn case(
    lines: impl Into<String>,
    part: &'static str,
    state: State,
    detail: &'static str,
    todo: &'static str,
) -> Case {
    Case { lines: lines.into(), role: "@admin", arrange: |_| {}, part, state, detail, todo }
}

impl Case {
    fn after(self, arrange: fn(&Place)) -> Self {
        Self { arrange, ..self }
    }

    fn with_role(self, role: &'static str) -> Self {
        Self { role, ..self }
    }
}

fn configuration() -> Vec<Case> {
    let wrong = |lines, detail, todo| case(lines, CONFIGURATION, State::Misconfigured, detail, todo);
    let warning = |lines, detail, todo| case(lines, CONFIGURATION, State::Warning, detail, todo);
    vec![
        wrong(
            "BALANCE_INTERVAL=often",
            "BALANCE_INTERVAL: found \"often\"",
            "correct BALANCE_INTERVAL in .env",
        ),
        wrong("VMMANAGER_HOST=http://192.0.2.1", "VMMANAGER_ALLOW_HTTP", "correct VMMANAGER_HOST in .env"),
        wrong("VMMANAGER_PASSWORD=", "VMMANAGER_PASSWORD: not set", "set VMMANAGER_PASSWORD in .env"),
        wrong("VMMANAGER_HOST=", "VMMANAGER_HOST: not set", "set VMMANAGER_HOST in .env"),
        wrong(
            r#"SSH_HOSTS_MAPPING={"node-1": "root:s3cr3t@10.0.0.1"}"#,
            "without a user",
            "correct SSH_HOSTS_MAPPING in .env",
        ),
        warning("EXCLUDE_NODES=kvm-01", "EXCLUDE_NODES in the file", "did you mean EXCLUDE_SOURCE_NODES?"),
        warning("MAX_MIGRATIONS=3", "MAX_MIGRATIONS in the file", "did you mean MAX_MIGRATIONS_PER_CYCLE?"),
        warning("not a line of ours", "is not NAME=value", "write NAME=value"),
        warning("TELEGRAM_CHAT_ID=", "TELEGRAM_CHAT_ID is not", "/whoami"),
        warning("TELEGRAM_BOT_TOKEN=\nBALANCE_MODE=auto", "there is no chat", "set TELEGRAM_BOT_TOKEN"),
        warning("VERIFY_SSL=false", "VERIFY_SSL is false", "VMMANAGER_CA_FILE"),
        warning("MAX_MIGRATIONS_PER_CYCLE=0", "ever hold a migration", "DRY_RUN=true"),
        warning(
            "CPU_TARGET_THRESHOLD=8",
            "CPU_TARGET_THRESHOLD is above",
            "set CPU_TARGET_THRESHOLD to at most",
        ),
        warning(
            "SSH_ENABLED=true\nSSH_HOST_KEY_CHECK=off",
            "any machine can pose as a node",
            "SSH_HOST_KEY_CHECK=accept-new",
        ),
        case(
            "TELEGRAM_BOT_TOKEN=\nTELEGRAM_CHAT_ID=",
            CONFIGURATION,
            State::Wrong,
            "BALANCE_MODE: not set, expected auto",
            "set BALANCE_MODE in .env; until then the bot does not start",
        ),
        case(
            "DATA_DIR=/proc/nowhere/data",
            STORE,
            State::Wrong,
            "cannot write to",
            "DATA_DIR must be a folder",
        ),
        case("HTTP_LISTEN={vmmanager}", HTTP, State::Wrong, "cannot listen on", "HTTP_LISTEN"),
    ]
}

fn platform() -> Vec<Case> {
    let wrong = |lines, detail, todo| case(lines, "vmmanager", State::Wrong, detail, todo);
    let platform = |lines, state, detail, todo| case(lines, PLATFORM, state, detail, todo);
    vec![
        wrong(
            "VMMANAGER_PASSWORD=not-it",
            "does not accept the user",
            "VMMANAGER_USERNAME and VMMANAGER_PASSWORD",
        ),
        wrong("VMMANAGER_TOKEN=nobodys", "does not accept the user", "VMMANAGER_TOKEN"),
        wrong("", "VMmanager", "VMMANAGER_PATH_PREFIX").after(|at| {
            at.vmmanager.rule(Rule::always(Fault::Status { status: 404 }).only("POST /auth/v4/public/token"));
        }),
        wrong("VMMANAGER_HOST=https://{vmmanager}", "no answer", "speaks http and not https"),
        wrong("VMMANAGER_HOST=https://localhost:{self_signed}", "no answer", "VMMANAGER_CA_FILE"),
        wrong("VMMANAGER_HOST=https://localhost:{private}", "no answer", "VMMANAGER_CA_FILE"),
        wrong("VMMANAGER_HOST=https://127.0.0.1:{self_signed}\n{known}", "no answer", "not for this name"),
        wrong("VMMANAGER_HOST=https://localhost:{expired}\n{known}", "no answer", "out of date"),
        wrong("VMMANAGER_HOST=http://127.0.0.1:1", "http://127.0.0.1:1: ", "nothing listens there"),
        wrong("VMMANAGER_HOST=https://nowhere.invalid", "no answer", "DNS does not know"),
        wrong("", "no answer", "the log of VMmanager")
            .after(|at| at.vmmanager.switch_on(Fault::Status { status: 500 })),
        wrong("", "unavailable", "try again in some minutes")
            .after(|at| at.vmmanager.switch_on(Fault::Unavailable)),
        wrong("", "cannot be read", "something else answers").after(|at| at.vmmanager.switch_on(Fault::Html)),
        wrong("", "an ordinary user", "role of an administrator").with_role("@user"),
        wrong("", "may only read", "role of an administrator").with_role("@admin.readonly"),
        case(
            "VMMANAGER_CA_FILE=/nowhere.pem",
            "vmmanager",
            State::Misconfigured,
            "cannot read /nowhere.pem",
            "PEM",
        ),
        case(
            "SSH_ENABLED=true\nSSH_PRIVATE_KEY_PATH=/nowhere",
            SSH,
            State::Misconfigured,
            "/nowhere",
            "SSH_PRIVATE_KEY_PATH",
        ),
        case("SSH_ENABLED=true\nSSH_PASSWORD=x", SSH, State::Wrong, "0 of", "see each node").after(|at| {
            at.vmmanager
                .edit(|world| world.nodes.values_mut().for_each(|node| node.address = "127.0.0.1".into()))
        }),
        case(
            "SSH_ENABLED=true\nSSH_PASSWORD=x\nSSH_TIMEOUT=1\nSSH_HOSTS_MAPPING={\"kvm-99\": \"127.0.0.1\"}",
            SSH,
            State::Warning,
            "names kvm-99",
            "VMmanager has kvm-01",
        ),
        platform("CLUSTER_IDS=777", State::Wrong, "no cluster is left", "correct CLUSTER_IDS"),
        platform("CLUSTER_IDS=1,777", State::Warning, "names cluster 777", "VMmanager has 1 ("),
        platform("EXCLUDE_TARGET_NODES=nobody", State::Warning, "nobody", "EXCLUDE_SOURCE_NODES"),
        platform("PIN_VMS=nobody-*", State::Warning, "nobody-*", "PIN_VMS"),
        platform("ANTI_AFFINITY=nobody,nowhere", State::Warning, "nowhere", "ANTI_AFFINITY"),
        platform("", State::Wrong, "is not acted on", "may read nodes, VMs and tasks").after(|at| {
            at.vmmanager
                .rule(Rule::always(Fault::ErrorInOk { code: 3001, msg: "no".into() }).only("/vm/v3/task"))
        }),
    ]
}

fn chat() -> Vec<Case> {
    let wrong = |lines: String, detail, todo| case(lines, "telegram", State::Wrong, detail, todo);
    let in_chat = |chat: i64| format!("TELEGRAM_CHAT_ID={chat}");
    let viewers = "TELEGRAM_ADMIN_IDS=\nTELEGRAM_VIEWER_IDS=7".to_owned();
    let operators = "TELEGRAM_ADMIN_IDS=\nTELEGRAM_OPERATOR_IDS=7";
    vec![
        wrong("TELEGRAM_BOT_TOKEN=1:other".into(), "does not know the token", "BotFather"),
        wrong("TELEGRAM_API_URL=http://127.0.0.1:1".into(), "Telegram: no answer", "TELEGRAM_PROXY"),
        wrong(String::new(), "another program", "a bot of its own")
            .after(|at| at.chat.set_faults(|faults| faults.conflict = true)),
        case("", "telegram", State::Warning, "privacy mode is off", "/setprivacy")
            .after(|at| at.chat.set_faults(|faults| faults.reads_all = true)),
        wrong(String::new(), "webhook: https://other.example", "deleteWebhook")
            .after(|at| at.chat.set_webhook("https://other.example/hook")),
        wrong(format!("TELEGRAM_CHAT_ID={FORUM}:99"), "no open topic 99", "links to its messages"),
        wrong(in_chat(1_000_000_001), "cannot be reached", "TELEGRAM_CHAT_ID=-1001000000001"),
        wrong(in_chat(-424_242), "cannot be reached", "/whoami"),
        wrong(in_chat(GROUP), "became a supergroup", "write TELEGRAM_CHAT_ID=-100")
            .after(|at| assert!(at.chat.migrate_to_supergroup(GROUP).is_ok())),
        wrong(in_chat(SUPERGROUP), "may not send", "let the bot send")
            .after(|at| at.chat.set_bot_role(SUPERGROUP, Role::Muted).unwrap()),
        wrong(in_chat(SUPERGROUP), "cannot be reached", "add the bot")
            .after(|at| at.chat.kick(SUPERGROUP).unwrap()),
        wrong(viewers, "nobody could approve", "TELEGRAM_ADMIN_IDS"),
        case(operators, "telegram", State::Warning, "nobody is an admin", "TELEGRAM_ADMIN_IDS"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broken_situation_is_found_and_named_with_what_to_do() {
    let cases: Vec<_> = [configuration(), platform(), chat()].into_iter().flatten().collect();
    assert!(cases.len() >= 30);
    let tried = join_all(cases.iter().map(async |case| (case, case.tried().await))).await;
    let mut missed = Vec::new();
    for (case, checked) in tried {
        let text = text(&checked, 100);
        let too_wide = text.lines().any(|line| unicode_width::UnicodeWidthStr::width(line) > 100);
        let finding = checked.findings.iter().find(|finding| case.is_met_by(finding));
        let is_mute = |finding: &&Finding| finding.state > State::NotChecked && finding.todo.is_none();
        let mute = checked.findings.iter().find(is_mute);
        if finding.is_none() || mute.is_some() || too_wide || checked.worst() < case.state {
            missed.push(format!("{}: {}\n{text}", case.lines, case.detail));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test]
async fn where_nothing_is_wrong_nothing_is_found_and_a_message_is_sent_where_one_is_wanted() {
    let place = Place::new("@admin").await;
    let sources = place.sources("");
    let quiet = check(&sources, false, &Clock::system(), |_| {}).await;
    assert_eq!(quiet.worst(), State::NotChecked, "{}", text(&quiet, 100));
    assert!(place.chat.messages(ADMIN).is_empty());
    let loud = check(&sources, true, &Clock::system(), |_| {}).await;
    assert_eq!(loud.worst(), State::NotChecked, "{}", text(&loud, 100));
    let messages = place.chat.messages(ADMIN);
    assert!(messages[0].text().contains("the bot can write here"), "{messages:?}");
    assert!(place.vmmanager.orders().is_empty());
}

/// Takes as long as the patience of both, side by side.
#[tokio::test]
async fn servers_that_keep_silent_cost_seconds_and_what_is_waited_for_is_said() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lines = format!(
        "VMMANAGER_HOST=http://{address}\nVMMANAGER_TOKEN=t\nTELEGRAM_BOT_TOKEN=1:t\nTELEGRAM_API_URL=http://{address}\n\
         TELEGRAM_CHAT_ID=1\nDATA_DIR={}\n",
        dir.path().join("data").display()
    );
    let sources = Sources { file: read_env_file(&lines).unwrap(), ..Sources::default() };
    let (began, said) = (std::time::Instant::now(), std::sync::Mutex::new(Vec::new()));
    let progress = |part: &str| said.lock().unwrap().push((part.to_owned(), began.elapsed()));
    let checked = check(&sources, false, &Clock::system(), progress).await;
    assert!(began.elapsed() <= Duration::from_secs(20), "{:?}", began.elapsed());
    let said = said.into_inner().unwrap();
    let parts: Vec<_> = said.iter().map(|(part, _)| part.as_str()).collect();
    assert_eq!(parts, ["the store", "Telegram and VMmanager"]);
    assert!(
        said.iter().all(|(_, at)| *at <= Duration::from_secs(2)),
        "before the wait and not behind it: {said:?}"
    );
    for part in ["telegram", "vmmanager"] {
        let found = checked.findings.iter().find(|finding| finding.part == part).unwrap();
        assert!(found.state == State::Wrong && found.detail.contains("no answer"), "{found:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_noticed() {
    let place = Place::new("@admin").await;
    let clock = ManualClock::at(Clock::system().now() - chrono::TimeDelta::hours(2));
    let checked = check(&place.sources(""), false, &clock.into(), |_| {}).await;
    let finding = checked.findings.iter().find(|finding| finding.detail.contains("clock")).unwrap();
    assert!(finding.detail.contains("behind VMmanager's") && finding.state == State::Warning, "{finding:?}");
}

#[test]
fn root_does_not_open_the_store_of_another_user() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("export.jsonl"), "").unwrap();
    // Only root can give a folder away.
    if std::os::unix::fs::chown(dir.path(), Some(12_345), None).is_err() {
        return;
    }
    assert!(matches!(try_store(dir.path()), Ok(Tried::Anothers(12_345))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is made");
}

impl Case {
    async fn tried(&self) -> Checked {
        let place = Place::new(self.role).await;
        (self.arrange)(&place);
        let checked = check(&place.sources(&self.lines), false, &Clock::system(), |_| {}).await;
        assert!(place.vmmanager.orders().is_empty());
        checked
    }

    fn is_met_by(&self, finding: &Finding) -> bool {
        let Finding { part, state, detail, todo } = finding;
        let todo = todo.as_deref().unwrap_or_default();
        *part == self.part && *state == self.state && detail.contains(self.detail) && todo.contains(self.todo)
    }
}

impl Place {
    async fn new(role: &'static str) -> Self {
        let options = vmmanager::Options { role: role.into(), ..vmmanager::Options::default() };
        let dir = tempfile::tempdir().unwrap();
        let of_itself = self_signed(|_| {});
        let expired = self_signed(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
        let known = [of_itself.0.pem(), expired.0.pem()].concat();
        fs::write(dir.path().join("known.pem"), known).unwrap();
        Self {
            vmmanager: SimVmManager::start(World::small(), options).await.unwrap(),
            chat: SimTelegram::start(telegram::Options::default()).await.unwrap(),
            tls: [
                ("{self_signed}", tls_server(&of_itself).await),
                ("{expired}", tls_server(&expired).await),
                ("{private}", tls_server(&by_a_private_authority()).await),
            ],
            dir,
        }
    }

    /// A configuration in which nothing is wrong, and more.
    fn sources(&self, more: &str) -> Sources {
        let vmmanager::Options { username, password, .. } = self.vmmanager.options();
        let usual = [
            ("VMMANAGER_HOST", self.vmmanager.url()),
            ("VMMANAGER_USERNAME", username),
            ("VMMANAGER_PASSWORD", password),
            ("TELEGRAM_BOT_TOKEN", self.chat.token().into()),
            ("TELEGRAM_API_URL", self.chat.url()),
            ("TELEGRAM_CHAT_ID", ADMIN.to_string()),
            ("TELEGRAM_ADMIN_IDS", ADMIN.to_string()),
            ("DATA_DIR", self.dir.path().join("data").display().to_string()),
        ];
        let lines: String = usual.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let more = more.replace("{vmmanager}", &self.vmmanager.address().to_string());
        let known = self.dir.path().join("known.pem").display().to_string();
        let more = more.replace("{known}", &format!("VMMANAGER_CA_FILE={known}"));
        let at = |more: String, (name, port): &(&str, u16)| more.replace(name, &port.to_string());
        let more = self.tls.iter().fold(more, at);
        Sources {
            command_line: BTreeMap::new(),
            environment: BTreeMap::new(),
            file: read_env_file(&format!("{lines}{more}\n")).unwrap(),
            file_name: ".env".into(),
        }
    }
}

/// A certificate for `localhost` with its key. As `openssl req -x509` makes it: an authority and a server at once.
fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

/// A certificate for `localhost` by an authority that nobody knows.
fn by_a_private_authority() -> (Certificate, KeyPair) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::Issuer::new(params, KeyPair::generate().unwrap());
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, &authority).unwrap(), key)
}

/// Starts a TLS server that shows a certificate and says nothing more. Returns its port.
async fn tls_server((certificate, key): &(Certificate, KeyPair)) -> u16 {
    use tokio_rustls::{TlsAcceptor, rustls};

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(acceptor.accept(stream).await);
        }
    });
    port
}
