//! VMmanager and Telegram behind real TLS and real proxies: whose certificates count, and which way requests take.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};
use vm_balancer::{
    sandbox::{
        telegram::{self, SUPERGROUP, SimTelegram},
        vmmanager::{Options, Running, SimVmManager, World},
    },
    telegram::{Seen, Settings as TelegramSettings},
    vmmanager::{Credentials, Settings, Timing, VmManagerApi},
};

use crate::{
    conversation::{environment, process_with},
    platform::noon,
};

const ADDRESS: &str = "127.0.0.1";

#[tokio::test]
async fn a_private_authority_counts_and_a_strange_one_does_not() {
    let authority = Authority::new();
    let server = Server::start(authority.issue(&[ADDRESS])).await;
    server.read(Some(&authority.pem)).await.unwrap();
    for other in [None, Some(Authority::new().pem)] {
        let error = server.read(other.as_deref()).await.unwrap_err();
        assert!(error.contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_servers_own_certificate_is_accepted_as_curl_accepts_it() {
    // What `openssl req -x509` makes: an authority, and the server's own certificate at the same time.
    let own = Identity::self_signed(&[ADDRESS], |_| ());
    let pem = own.pem.clone();
    let server = Server::start(own).await;
    server.read(Some(&pem)).await.unwrap();

    let stranger = Server::start(Identity::self_signed(&[ADDRESS], |_| ())).await;
    assert!(stranger.read(Some(&pem)).await.is_err(), "another key with the same name");
    let misnamed = Identity::self_signed(&["vm.example.com"], |_| ());
    let (pem, server) = (misnamed.pem.clone(), Server::start(misnamed).await);
    assert!(server.read(Some(&pem)).await.is_err(), "the certificate of another name");
    // Without `-addext` openssl names nobody but the subject.
    let nameless = Identity::self_signed(&[], |_| ());
    let (pem, server) = (nameless.pem.clone(), Server::start(nameless).await);
    server.read(Some(&pem)).await.unwrap();
    assert!(server.read(None).await.is_err(), "it counts by the file alone");
    let expired = Identity::self_signed(&[ADDRESS], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let (pem, server) = (expired.pem.clone(), Server::start(expired).await);
    let error = server.read(Some(&pem)).await.unwrap_err();
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test]
async fn the_systems_store_counts_beside_the_file() {
    let (system, private) = (Authority::new(), Authority::new());
    let folder = TempDir::new().unwrap();
    let file = |name: &str, pem: &str| {
        fs::write(folder.path().join(name), pem).unwrap();
        folder.path().join(name).display().to_string()
    };
    let (store, ca) = (file("store.pem", &system.pem), file("ca.pem", &private.pem));
    for issuer in [&system, &private] {
        let server = Server::start(issuer.issue(&[ADDRESS])).await;
        let more = [("SSL_CERT_FILE", store.clone()), ("VMMANAGER_CA_FILE", ca.clone())];
        assert!(server.snapshot_by_program(folder.path(), &server.url(), &more).await);
        assert!(!server.snapshot_by_program(folder.path(), &server.url(), &more[..0]).await);
    }
}

#[tokio::test]
async fn vmmanager_is_reached_through_a_proxy() {
    let authority = Authority::new();
    let server = Server::start(authority.issue(&["vm.test"])).await;
    for (kind, host, wanted) in [
        ("http", "operator:s3cret@", "CONNECT vm.test:443 Basic b3BlcmF0b3I6czNjcmV0"),
        ("socks5h", "", "SOCKS vm.test:443"),
    ] {
        let proxy = Proxy::start(server.address).await;
        let settings = Settings {
            ca_pem: Some(authority.pem.clone().into_bytes()),
            proxy: Some(format!("{kind}://{host}{}", proxy.address).into()),
            ..server.settings("https://vm.test")
        };
        VmManagerApi::new(settings).unwrap().look(noon()).await.unwrap();
        assert_eq!(proxy.seen(), wanted);
    }
}

#[tokio::test]
async fn the_usual_variables_name_a_proxy_too() {
    let authority = Authority::new();
    let server = Server::start(authority.issue(&["vm.test"])).await;
    let proxy = Proxy::start(server.address).await;
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
    let ca = ("VMMANAGER_CA_FILE", folder.path().join("ca.pem").display().to_string());
    let usual = ("HTTPS_PROXY", format!("http://{}", proxy.address));
    assert!(server.snapshot_by_program(folder.path(), "https://vm.test", &[ca.clone(), usual.clone()]).await);
    assert_eq!(proxy.seen(), "CONNECT vm.test:443");
    let spared = ("NO_PROXY", "vm.test".to_owned());
    assert!(!server.snapshot_by_program(folder.path(), "https://vm.test", &[ca, usual, spared]).await);
}

#[tokio::test]
async fn servers_on_this_machine_are_reached_past_the_usual_proxies() {
    let sim = SimVmManager::start(World::small(), Options::default()).await.unwrap();
    let telegram = SimTelegram::start(telegram::Options::default()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let mut variables = environment(&sim, &telegram, folder.path(), SUPERGROUP);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        // Nothing listens there.
        variables.insert(name.into(), format!("http://{ADDRESS}:1"));
    }
    assert!(process_with(folder.path(), &variables, &["check"]).wait().await.unwrap().success());
    // A proxy of their own counts.
    for name in ["TELEGRAM_PROXY", "VMMANAGER_PROXY"] {
        let named = [variables.clone(), [(name.to_owned(), format!("http://{ADDRESS}:1"))].into()];
        let named = named.into_iter().flatten().collect();
        assert!(!process_with(folder.path(), &named, &["check"]).wait().await.unwrap().success(), "{name}");
    }
}

#[tokio::test]
async fn telegram_is_reached_through_a_socks_proxy() {
    let telegram = SimTelegram::start(telegram::Options::default()).await.unwrap();
    let at: SocketAddr = telegram.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let proxy = Proxy::start(at).await;
    let settings = TelegramSettings {
        api_url: Some("http://api.telegram.test".parse().unwrap()),
        proxy: Some(format!("socks5h://{}", proxy.address).into()),
        ..TelegramSettings::new(telegram.token().to_owned().into())
    };
    let seen = vm_balancer::telegram::probe(&settings, true, false).await;
    let Some(Seen::Bot { name, .. }) = seen.first() else { panic!("{seen:?}") };
    assert_eq!(*name, telegram.bot().username.unwrap());
    assert!(proxy.seen().starts_with("SOCKS api.telegram.test:80"), "{}", proxy.seen());
}

/// A key with the certificate that a server shows.
struct Identity {
    pem: String,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Identity {
    fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(texts(names)).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let made = params.self_signed(&key).unwrap();
        Self { pem: made.pem(), certificate: made.der().clone(), key }
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(texts(names)).unwrap().signed_by(&key, &self.issuer).unwrap();
        Identity { pem: made.pem(), certificate: made.der().clone(), key }
    }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The simulated VMmanager behind TLS.
struct Server {
    sim: Running,
    address: SocketAddr,
}

impl Server {
    async fn start(identity: Identity) -> Self {
        let sim = SimVmManager::start(World::small(), Options::default()).await.unwrap();
        let behind = sim.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        let key = PrivateKeyDer::Pkcs8(identity.key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((ADDRESS, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        pass_on(stream, behind).await;
                    }
                });
            }
        });
        Self { sim, address }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    fn settings(&self, url: &str) -> Settings {
        let Options { username, password, .. } = self.sim.options();
        let credentials = Credentials::Password { username, password: password.into() };
        let timing = Timing { read_retries: 0, connect_timeout: Duration::from_secs(5), ..Timing::short() };
        Settings { timing, ..Settings::new(url.parse().unwrap(), credentials) }
    }

    async fn read(&self, pem: Option<&str>) -> Result<(), String> {
        let ca_pem = pem.map(|pem| pem.as_bytes().to_vec());
        let api = VmManagerApi::new(Settings { ca_pem, ..self.settings(&self.url()) }).unwrap();
        api.look(noon()).await.map(drop).map_err(|error| format!("{error:?}"))
    }

    /// Whether the real program can read the platform.
    async fn snapshot_by_program(&self, dir: &std::path::Path, url: &str, more: &[(&str, String)]) -> bool {
        let Options { username, password, .. } = self.sim.options();
        let given = [
            ("VMMANAGER_HOST", url.to_owned()),
            ("VMMANAGER_USERNAME", username),
            ("VMMANAGER_PASSWORD", password),
            ("DATA_DIR", dir.join("data").display().to_string()),
        ];
        let given = given.into_iter().chain(more.iter().cloned());
        let variables: BTreeMap<_, _> = given.map(|(name, value)| (name.to_owned(), value)).collect();
        process_with(dir, &variables, &["snapshot"]).wait().await.unwrap().success()
    }
}

/// A proxy that speaks HTTP and SOCKS 5, and that leads to one server whatever it is asked for.
struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<String>>,
}

impl Proxy {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((ADDRESS, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let notes = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let notes = Arc::clone(&notes);
                tokio::spawn(async move {
                    let mut first = [0; 1];
                    stream.peek(&mut first).await.unwrap();
                    let asked = match first[0] {
                        5 => socks(&mut stream).await,
                        _ => connect(&mut stream).await,
                    };
                    *notes.lock().unwrap() = asked;
                    pass_on(stream, target).await;
                });
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }
}

async fn connect(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let request = String::from_utf8(request).unwrap();
    let line = request.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let authorization =
        request.lines().find_map(|line| line.to_lowercase().find("proxy-authorization: ").map(|_| line));
    match authorization {
        Some(authorization) => format!("{line} {}", authorization.split_once(": ").unwrap().1),
        None => line,
    }
}

async fn socks(stream: &mut TcpStream) -> String {
    let methods = [stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap()][1];
    stream.read_exact(&mut vec![0; methods.into()]).await.unwrap();
    stream.write_all(&[5, 0]).await.unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 3, "a name, which the proxy looks up");
    let mut name = vec![0; head[4].into()];
    stream.read_exact(&mut name).await.unwrap();
    let port = stream.read_u16().await.unwrap();
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    format!("SOCKS {}:{port}", String::from_utf8(name).unwrap())
}

async fn pass_on(mut stream: impl AsyncRead + AsyncWrite + Unpin, to: SocketAddr) {
    let mut server = TcpStream::connect(to).await.unwrap();
    // Either side may go away at any time.
    let _ = copy_bidirectional(&mut stream, &mut server).await;
}
