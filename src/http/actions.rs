//! `POST /v1/chains/{id}/actions`, `/v1/pause`, `/v1/resume`, `/v1/brake-release` and `GET /v1/audit`: operators' hands
//! (S5.2, S5.7), and what they did (S7.1).

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{
    api::Api,
    chains::{page_size, unknown},
    picture::picture,
    problem::Problem,
};
use crate::{
    audit::Act,
    model::{Refused, Verb, hex},
    wire::{
        self,
        proto::{self, ChainEvent, ChainEventKind, Operation},
    },
};

/// How long the outcome is waited for; then the caller gets a name to ask by.
const PATIENCE: Duration = Duration::from_secs(5);

/// Largest body of a request.
pub(super) const MAX_BODY: usize = 64 << 10;

/// What an operator wants of a chain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    verb: String,
    #[serde(default)]
    call_id: String,
    #[serde(default)]
    revision: u32,
    reason: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    operation_id: String,
}

/// What he wants of the agent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    reason: String,
    #[serde(default)]
    by: String,
}

pub(super) async fn act(
    State(api): State<Api>,
    Path(chain_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: Wish = read(&headers, &body, "verb, call_id, revision, reason, by, operation_id")?;
    let verb = Verb::from_word(&wish.verb)
        .filter(|verb| !matches!(verb, Verb::Pause | Verb::Resume | Verb::BrakeRelease))
        .ok_or_else(|| {
            let hint = "verbs are approve, reject, retry, skip, mark_done, confirm and give_up";
            Problem::bad_request(format!("`{}` is no verb for a chain", wish.verb), hint)
        })?;
    let named = !wish.operation_id.is_empty();
    let operation = Operation {
        operation_id: if named { wish.operation_id } else { new_name(&chain_id, &wish.verb) },
        chain_id,
        call_id: wish.call_id,
        verb: proto::Verb::from(verb).into(),
        revision: wish.revision,
        by: who(wish.by),
        reason: wish.reason,
    };
    check(&api, &operation)?;
    let told = hand_in(&api, &operation, None).await?;
    match told {
        Some(event) if event.kind() == ChainEventKind::Operator => {
            let chain = api.shared.live.get(&operation.chain_id).map(|view| picture(&view));
            let body = json!({
                "operation_id": operation.operation_id,
                "outcome": "done",
                "state": wire::state_word(&event),
                "revision": event.revision,
                "chain": chain,
            });
            Ok(Json(body).into_response())
        }
        Some(event) => Err(refused(&operation, &event.reason)),
        None => Ok(accepted(&operation.operation_id)),
    }
}

/// An action that cannot be carried out as the chain stands.
fn refused(operation: &Operation, why: &str) -> Problem {
    match Refused::from_word(why) {
        Some(Refused::UnknownChain) => unknown(&operation.chain_id),
        Some(refused) => Problem::conflict(format!("the action is refused: {why}"), refused.hint()),
        None => Problem::conflict(format!("the action is refused: {why}"), ""),
    }
}

fn accepted(operation_id: &str) -> Response {
    let detail = "the owning engine has not told yet what became of it; it acts once, however often it is asked for under \
                  this id. Look at the chain, or listen to /v1/events";
    let body = json!({ "operation_id": operation_id, "outcome": "pending", "detail": detail });
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

pub(super) async fn pause(api: State<Api>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    to_all(api, Verb::Pause, &headers, &body).await
}

pub(super) async fn resume(api: State<Api>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    to_all(api, Verb::Resume, &headers, &body).await
}

pub(super) async fn release(api: State<Api>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    to_all(api, Verb::BrakeRelease, &headers, &body).await
}

/// Asks something of every engine, here and elsewhere.
async fn to_all(State(api): State<Api>, verb: Verb, headers: &HeaderMap, body: &[u8]) -> Result<Response, Problem> {
    let word: Word = read(headers, body, "reason, by")?;
    let engines = api.desk()?.engines();
    let name = new_name("", verb.word());
    let by = who(word.by);
    let operation = |engine: i32| Operation {
        operation_id: format!("{name}-{engine}"),
        verb: proto::Verb::from(verb).into(),
        by: by.clone(),
        reason: word.reason.clone(),
        ..Operation::default()
    };
    check(&api, &operation(0))?;
    let mut asked = tokio::task::JoinSet::new();
    for engine in 0..engines {
        let (api, operation) = (api.clone(), operation(engine));
        asked.spawn(async move { hand_in(&api, &operation, Some(engine)).await });
    }
    let (mut done, mut failed) = (0, None);
    while let Some(told) = asked.join_next().await {
        match told.unwrap_or_else(|error| Err(Problem::unavailable(&error.to_string()))) {
            Ok(Some(_)) => done += 1,
            Ok(None) => {}
            Err(problem) => failed = Some(problem),
        }
    }
    if let (Some(problem), 0) = (failed, done) {
        return Err(problem);
    }
    if done < engines {
        let body = json!({ "operation_id": name, "outcome": "pending", "engines": engines, "done": done });
        return Ok((StatusCode::ACCEPTED, Json(body)).into_response());
    }
    Ok(Json(json!({ "operation_id": name, "outcome": "done", "engines": engines, "done": done })).into_response())
}

/// Puts a request into the audit, hands it in, and waits for what becomes of it; `None`: nobody has told yet.
async fn hand_in(api: &Api, operation: &Operation, engine: Option<i32>) -> Result<Option<Arc<ChainEvent>>, Problem> {
    let desk = api.desk()?;
    let act = Act::of("asked", operation);
    let audit = api.audit.clone();
    let at = jiff::Timestamp::now().to_string();
    if let Err(why) = off_thread(move || audit.append(vec![act], &at)).await {
        tracing::error!(file = %api.audit.path().display(), why, "the audit cannot be written: nothing is asked for");
        return Err(Problem::unavailable(
            "the audit file cannot be written, so nothing is asked for; see the agent's log",
        ));
    }
    let id = &operation.operation_id;
    let Some(told) = api.shared.news.outcome_of(id) else {
        return Err(Problem::unavailable("too many requests wait for their outcome already"));
    };
    let sent = desk.send(operation, engine).await;
    let outcome = match sent {
        Ok(()) => Ok(timeout(PATIENCE, told).await.ok().and_then(Result::ok)),
        Err(why) => Err(Problem::unavailable(&format!("the request did not surely reach the bus: {why}"))),
    };
    api.shared.news.forget(id);
    outcome
}

/// Work on a file, which blocks; what fails is told in words.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}

/// That the agent would take it: the same limits hold for what comes by the bus.
fn check(api: &Api, operation: &Operation) -> Result<(), Problem> {
    if operation.reason.trim().is_empty() {
        return Err(Problem::bad_request("`reason` is empty".to_owned(), "say why: it is kept in the audit"));
    }
    wire::operation(operation, &api.limits).map(|_| ()).map_err(|error| Problem::bad_request(error.to_string(), ""))
}

fn who(by: String) -> String {
    if by.is_empty() { "http".to_owned() } else { by }
}

/// A name that no other request has.
fn new_name(chain_id: &str, verb: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hash = Sha256::new();
    for part in [chain_id.as_bytes(), verb.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(jiff::Timestamp::now().as_nanosecond().to_be_bytes());
    hash.update(std::process::id().to_be_bytes());
    hash.update(COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    hex(&hash.finalize()[..16])
}

/// Reads a body. A browser says with each POST which page it is from: none of a page is taken, since on loopback there may
/// be no token that would keep pages out.
fn read<T: serde::de::DeserializeOwned>(headers: &HeaderMap, body: &[u8], keys: &str) -> Result<T, Problem> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Problem::forbidden("requests from pages in a browser are not taken"));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let hint = "send the header `Content-Type: application/json`";
        return Err(Problem::bad_request("the body is not said to be JSON".to_owned(), hint));
    }
    serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body cannot be read: {error}; its keys are {keys}"), ""))
}

/// Which part of the audit.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Part {
    limit: Option<usize>,
    before: Option<u64>,
}

pub(super) async fn audit(
    State(api): State<Api>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(part) = part?;
    let limit = page_size(part.limit)?;
    let log = api.audit.clone();
    let read = off_thread(move || log.newest(part.before.unwrap_or(u64::MAX), limit)).await;
    let (entries, older) = read.map_err(|why| Problem::unavailable(&format!("the audit cannot be read: {why}")))?;
    let before = entries.last().filter(|_| older).map(|entry| entry.seq);
    Ok(Json(json!({ "entries": entries, "before": before })).into_response())
}
