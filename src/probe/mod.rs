//! Says over HTTP whether the program is alive and ready, and what it counts: `/healthz`, `/readyz`, `/metrics`.
//! Says the first to systemd too.
//!
//! Only reads. Knows neither Telegram nor VMmanager: a platform that is away makes the program not ready, and never
//! dead, since a restart would not help.

mod figures;
mod systemd;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CACHE_CONTROL, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    meter::{self, Beat},
    scheduler::{Handle, Status},
    store::Store,
};
pub(crate) use systemd::{Said, report, watch};

/// Prometheus and a load balancer or two; more at a time is somebody else.
const CONNECTIONS_MAX: usize = 16;

/// How long a client may take to say what it wants.
const HEADERS_WAIT: Duration = Duration::from_secs(10);

/// A connection lives no longer than this, so that idle ones do not fill the places.
const CONNECTION_MAX: Duration = Duration::from_secs(300);

/// How long the scheduler may take to say how things stand. Prometheus waits 10 s.
const STATUS_WAIT: Duration = Duration::from_secs(5);

/// Out of file descriptors, accepting fails at once and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Values of histograms are put in order at this pace, or else they pile up where nobody reads them.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(30);

/// A read of VMmanager: a list of 100,000 VMs takes some ten seconds.
const REQUEST_BUCKETS: [f64; 9] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0];
const CYCLE_BUCKETS: [f64; 9] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// From a small VM to one whose memory changes faster than the network carries it.
const MIGRATION_BUCKETS: [f64; 9] = [10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0];

/// Why nothing can listen.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("HTTP_LISTEN: cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("figures cannot be collected: {0}")]
    Figures(String),
}

/// What answers are made of.
#[derive(Clone)]
pub(crate) struct Sources {
    pub handle: Handle,
    pub store: Store,
    pub beats: Vec<Beat>,
}

/// An open address that nobody serves yet.
pub(crate) struct Probe {
    listener: TcpListener,
    figures: PrometheusHandle,
}

impl Probe {
    /// Listens on the address and begins to collect figures.
    ///
    /// # Errors
    ///
    /// Says why the address cannot be had.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, ProbeError> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| ProbeError::Listen { address, source })?;
        Ok(Self { listener, figures: collector().map_err(ProbeError::Figures)? })
    }

    /// Answers until the shutdown.
    pub(crate) async fn serve(self, sources: Sources, shutdown: CancellationToken) {
        let Self { listener, figures } = self;
        let sources = Arc::new(sources);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut clients = JoinSet::new();
        let mut upkeep = interval(UPKEEP_INTERVAL);
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                _ = upkeep.tick() => {
                    figures.run_upkeep();
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            while clients.try_join_next().is_some() {}
            match (accepted, Arc::clone(&places).try_acquire_owned()) {
                (Ok((stream, _)), Ok(place)) => {
                    let (sources, figures) = (Arc::clone(&sources), figures.clone());
                    clients.spawn(async move {
                        let _place = place;
                        let answer = service_fn(move |request| {
                            let (sources, figures) = (Arc::clone(&sources), figures.clone());
                            async move { Ok::<_, Infallible>(answer(&request, &sources, &figures).await) }
                        });
                        let mut server = http1::Builder::new();
                        server.timer(TokioTimer::new()).header_read_timeout(HEADERS_WAIT);
                        // A client that went away needs no answer.
                        let _ =
                            timeout(CONNECTION_MAX, server.serve_connection(TokioIo::new(stream), answer))
                                .await;
                    });
                }
                (Ok(_), Err(_)) => {}
                (Err(error), _) => {
                    tracing::warn!(%error, "a client of HTTP_LISTEN was lost");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        clients.shutdown().await;
    }
}

/// The process has one collector; the first use makes it.
fn collector() -> Result<PrometheusHandle, String> {
    static COLLECTED: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let collect = || {
        let whole = |name: &str| Matcher::Full(name.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(whole(meter::CYCLE_SECONDS), &CYCLE_BUCKETS)
            .and_then(|made| made.set_buckets_for_metric(whole(meter::REQUEST_SECONDS), &REQUEST_BUCKETS))
            .and_then(|made| made.set_buckets_for_metric(whole(meter::MIGRATION_SECONDS), &MIGRATION_BUCKETS))
            .map_err(|error| error.to_string())?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
        meter::describe();
        Ok(handle)
    };
    COLLECTED.get_or_init(collect).clone()
}

async fn answer(
    request: &Request<Incoming>,
    sources: &Sources,
    figures: &PrometheusHandle,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
    }
    match request.uri().path() {
        "/healthz" => {
            let (alive, told) = health(&sources.beats);
            respond(alive, &told)
        }
        "/readyz" => {
            let (ready, told) = readiness(sources).await;
            respond(ready, &told)
        }
        "/metrics" => {
            let status = status(sources).await;
            plain(
                StatusCode::OK,
                figures.render() + &figures::now(status.as_ref(), &sources.store, &sources.beats),
            )
        }
        "/" => plain(StatusCode::OK, "/healthz\n/readyz\n/metrics\n".into()),
        _ => plain(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".into()),
    }
}

/// Tells whether every loop is alive, with the age of each one's last sign of life in seconds.
fn health(beats: &[Beat]) -> (bool, Value) {
    let loops: serde_json::Map<_, _> = beats
        .iter()
        .map(|beat| {
            (beat.name().to_owned(), json!({"alive": !beat.is_late(), "age_seconds": beat.age().as_secs()}))
        })
        .collect();
    let alive = beats.iter().all(|beat| !beat.is_late());
    (alive, json!({"status": if alive { "ok" } else { "stuck" }, "loops": loops}))
}

/// Tells whether the bot can do its work: loops alive, store usable, VMmanager read at the last try.
async fn readiness(sources: &Sources) -> (bool, Value) {
    let (alive, _) = health(&sources.beats);
    let store = sources.store.settings().is_ok();
    let status = status(sources).await;
    let vmmanager = status.is_some_and(|status| status.picture.is_some() && status.vmmanager_away.is_none());
    let ready = alive && store && vmmanager;
    let told = if ready { "ready" } else { "not ready" };
    (ready, json!({"status": told, "loops": alive, "store": store, "vmmanager": vmmanager}))
}

async fn status(sources: &Sources) -> Option<Status> {
    timeout(STATUS_WAIT, sources.handle.status()).await.ok()?.ok()
}

fn respond(fine: bool, told: &Value) -> Response<Full<Bytes>> {
    let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response(status, "application/json", format!("{told}\n"))
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    response(status, "text/plain; version=0.0.4; charset=utf-8", text)
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}
