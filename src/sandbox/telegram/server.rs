//! The Bot API over HTTP: paths, tokens, faults, long polling, and the log of requests.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, Path, Request as HttpRequest, State as Extract},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde_json::{Value, json};

use super::{
    Shared,
    connection::Cut,
    faults::{Fate, Kind},
    methods,
    params::Params,
    refusal::Refusal,
    state::{Request, State},
};

/// Telegram's longest long poll.
const POLL_MAX: Duration = Duration::from_secs(50);
/// Multipart adds names and borders around the largest document.
const BODY_BYTES_MAX: usize = methods::DOCUMENT_BYTES_MAX + (1 << 20);
/// The page that an overloaded gateway in front of the Bot API answers instead of JSON.
const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n\
    <body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

/// Returns all that the server answers to.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/{bot}/{method}", any(method))
        .route("/file/{bot}/files/{file}", get(file))
        .fallback(async || answered(Err(Refusal::new(404, "Not Found"))))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

async fn method(
    Extract(shared): Extract<Arc<Shared>>,
    ConnectInfo(Cut(cut)): ConnectInfo<Cut>,
    Path((bot, method)): Path<(String, String)>,
    request: HttpRequest,
) -> Response {
    let method = method.to_ascii_lowercase();
    if let Err(refusal) = authorized(&shared, &bot) {
        shared.log(&method, json!({}), &Err(refusal.clone()));
        return answered(Err(refusal));
    }
    let params = match Params::read(request).await {
        Ok(params) => params,
        Err(refusal) => return answered(Err(refusal)),
    };
    let kind = Kind::of(&method);
    if kind != Kind::Poll {
        let slow = shared.with(|state, _| state.faults.slow);
        tokio::time::sleep(slow).await;
    }
    let fate = shared.with(|state, _| state.faults.meet(kind));
    let answer = match fate {
        Fate::ServerError => {
            shared.log(&method, params.to_json(), &Err(Refusal::new(502, "Bad Gateway")));
            let html = [(CONTENT_TYPE, "text/html")];
            return (StatusCode::BAD_GATEWAY, html, BAD_GATEWAY).into_response();
        }
        Fate::TooMany { retry_after_seconds } => Err(Refusal::too_many_requests(retry_after_seconds)),
        Fate::Answered | Fate::LostAnswer | Fate::LateAnswer if kind == Kind::Poll => {
            poll(&shared, &params).await
        }
        Fate::Answered | Fate::LostAnswer | Fate::LateAnswer => {
            shared.with(|state, now| methods::call(state, &method, &params, now))
        }
    };
    shared.log(&method, params.to_json(), &answer);
    if fate == Fate::LostAnswer {
        cut.cancel();
    }
    if matches!(fate, Fate::LostAnswer | Fate::LateAnswer) {
        // This answer is never read: the connection is closed, here or by who waits for it.
        std::future::pending::<()>().await;
    }
    answered(answer)
}

fn authorized(shared: &Shared, bot: &str) -> Result<(), Refusal> {
    match bot.strip_prefix("bot") {
        Some(token) if token == shared.token => Ok(()),
        Some(token) if token.contains(':') => Err(Refusal::unauthorized()),
        _ => Err(Refusal::new(404, "Not Found")),
    }
}

fn answered(answer: Result<Value, Refusal>) -> Response {
    let (status, body) = match answer {
        Ok(result) => (StatusCode::OK, json!({ "ok": true, "result": result })),
        Err(refusal) => (StatusCode::from_u16(refusal.code).unwrap_or_default(), refusal.to_json()),
    };
    (status, axum::Json(body)).into_response()
}

/// Waits for updates. The next `getUpdates` ends the wait.
async fn poll(shared: &Shared, params: &Params) -> Result<Value, Refusal> {
    let timeout = params.number("timeout").and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout).min(POLL_MAX);
    let allowed = params.json("allowed_updates").transpose()?;
    let mut changed = shared.version.subscribe();
    let mine = shared.with(|state, _| {
        state.updates.poll += 1;
        state.updates.confirm(params.number("offset").unwrap_or(0), allowed.as_ref());
        state.updates.poll
    });
    loop {
        changed.mark_unchanged();
        let batch = shared.look(|state, now| look(state, mine, params, now))?;
        if !batch.is_empty() {
            return Ok(Value::Array(batch));
        }
        if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
            return Ok(json!([]));
        }
    }
}

fn look(
    state: &mut State,
    mine: u64,
    params: &Params,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<Value>, Refusal> {
    if state.webhook.is_some() {
        return Err(Refusal::new(
            409,
            "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the \
             webhook first",
        ));
    }
    if state.updates.poll != mine || state.faults.conflict {
        return Err(Refusal::two_pollers());
    }
    Ok(state.updates.batch(params.number("limit"), now))
}

async fn file(Extract(shared): Extract<Arc<Shared>>, Path((bot, file)): Path<(String, String)>) -> Response {
    if let Err(refusal) = authorized(&shared, &bot) {
        return answered(Err(refusal));
    }
    match shared.look(|state, _| state.files.get(&file).cloned()) {
        Some(media) => media.bytes.to_vec().into_response(),
        None => answered(Err(Refusal::new(404, "Not Found"))),
    }
}

impl Shared {
    fn log(&self, method: &str, params: Value, answer: &Result<Value, Refusal>) {
        let (status, refusal) = match answer {
            Ok(_) => (200, None),
            Err(refusal) => (refusal.code, Some(refusal.description.clone())),
        };
        let method = method.to_owned();
        self.with(|state, now| state.log(Request { method, params, at: now, status, refusal }));
    }
}
