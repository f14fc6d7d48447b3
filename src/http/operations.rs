//! What operators ask for: how it is named, handed in, and told again. `GET /v1/operations/{id}`.

use std::{io, time::Duration};

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::HeaderMap,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{api::Api, problem::Problem};
use crate::{
    agent::{
        desk,
        news::{KEPT_OUTCOMES, Outcome},
    },
    audit::Act,
    model::hex,
    wire::{
        self,
        proto::{ChainEvent, ChainEventKind, Operation},
    },
};

/// How long the outcome is waited for; then the caller gets a name to ask by.
const PATIENCE: Duration = Duration::from_secs(5);

/// The header by which a repetition is known.
const KEY: &str = "idempotency-key";

/// Longest key.
const MAX_KEY: usize = 255;

/// The name of a request: that of its key and of what it asks for, if it bears a key, or one that no other has. Of an
/// operation all but its id counts.
///
/// # Errors
/// If the key is none.
pub(super) fn name(headers: &HeaderMap, asked: &Operation) -> Result<String, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    let Some(key) = keys.next() else { return Ok(new_name(asked)) };
    let fits = (1..=MAX_KEY).contains(&key.len()) && keys.next().is_none();
    let Some(key) = key.to_str().ok().filter(|_| fits) else {
        let hint = format!("send the header once, with 1 to {MAX_KEY} visible ASCII characters, such as a UUID");
        return Err(Problem::bad_request("the header `Idempotency-Key` holds no key", hint));
    };
    let what = [
        asked.chain_id.as_bytes(),
        asked.call_id.as_bytes(),
        asked.verb().as_str_name().as_bytes(),
        &asked.revision.to_be_bytes(),
        asked.by.as_bytes(),
        asked.reason.as_bytes(),
    ];
    Ok(desk::keyed(&digest(16, &[b"key", key.as_bytes()]), &digest(8, &what)))
}

/// A name that no other request has.
fn new_name(asked: &Operation) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let parts = [
        asked.chain_id.as_bytes(),
        &jiff::Timestamp::now().as_nanosecond().to_be_bytes(),
        &std::process::id().to_be_bytes(),
        &COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes(),
    ];
    digest(16, &parts)
}

fn digest(bytes: usize, parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..bytes])
}

/// That the agent would take it: the same limits hold for what comes by the bus.
///
/// # Errors
/// What it would not take.
pub(super) fn check(api: &Api, operation: &Operation) -> Result<(), Problem> {
    if operation.reason.trim().is_empty() {
        return Err(Problem::unprocessable("`reason` is empty", "say why: it is kept in the audit"));
    }
    let most = api.limits.text_bytes;
    if operation.reason.len() > most {
        let detail = format!("`reason` has more than {most} bytes");
        return Err(Problem::unprocessable(detail, "say it in fewer words, and where more is to be found"));
    }
    let wrong = |error: wire::WireError| {
        Problem::unprocessable(error.to_string(), "the limits are those of `[limits]` in the agent's configuration")
    };
    wire::operation(operation, &api.limits).map(|_| ()).map_err(wrong)
}

/// Remembers a request by its key.
///
/// # Errors
/// If something else was asked for under the key.
pub(super) fn claim(api: &Api, name: &str) -> Result<(), Problem> {
    if api.shared.news.claim(name) {
        return Ok(());
    }
    let hint = "a key is for one request and its repetitions: take a new one for what is new";
    Err(Problem::unprocessable("something else was asked for under this `Idempotency-Key`", hint))
}

/// Puts a request into the audit, hands it in, and waits for what becomes of it; `None`: nobody has told yet. What was asked
/// for before is not done again: its outcome is told.
///
/// # Errors
/// If it cannot be asked for now.
pub(super) async fn hand_in(
    api: &Api,
    operation: &Operation,
    engine: Option<i32>,
) -> Result<Option<ChainEvent>, Problem> {
    let desk = api.desk()?;
    let (news, id) = (&api.shared.news, &operation.operation_id);
    if let Some(why) = desk.closed() {
        return Err(Problem::unavailable(why, "any instance that works answers for all chains"));
    }
    if timeout(PATIENCE, news.standing()).await.is_err() {
        let detail = "the agent does not hear yet what becomes of requests, so nothing is asked for";
        return Err(Problem::unavailable(detail, "it tries on by itself; /readyz and its log say more"));
    }
    let (comes, is_first) = match news.outcome_of(id) {
        Outcome::Known(event) => return Ok(Some((*event).clone())),
        Outcome::TooMany => {
            let detail = "too many requests wait for their outcome already, so nothing is asked for";
            return Err(Problem::unavailable(detail, "ask again in a moment, and fewer at once"));
        }
        Outcome::Comes { told, is_first } => (told, is_first),
    };
    if is_first {
        put_into_the_audit(api, operation).await?;
        let sent = desk.send(operation, engine).await;
        sent.map_err(|why| {
            let hint = "ask again under the same `Idempotency-Key`: it acts once";
            Problem::unavailable(format!("the request did not surely reach the bus: {why}"), hint).of(id)
        })?;
    }
    Ok(timeout(PATIENCE, comes).await.ok().and_then(Result::ok).map(|event| (*event).clone()))
}

async fn put_into_the_audit(api: &Api, operation: &Operation) -> Result<(), Problem> {
    let act = Act::of("asked", operation);
    let audit = api.audit.clone();
    let at = jiff::Timestamp::now().to_string();
    off_thread(move || audit.append(vec![act], &at)).await.map_err(|why| {
        tracing::error!(file = %api.audit.path().display(), why, "the audit cannot be written: nothing is asked for");
        Problem::unavailable("the audit file cannot be written, so nothing is asked for", "the agent's log says why")
    })
}

/// Work on a file, which blocks; what fails is told in words.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}

/// What became of an operation on a chain.
pub(super) fn told(event: &ChainEvent) -> Value {
    let outcome = if event.kind() == ChainEventKind::Operator { "done" } else { "refused" };
    let verb = wire::verb_word(event.verb());
    // One engine's part of an operation on all.
    if event.chain_id.is_empty() {
        return json!({
            "operation_id": event.operation_id, "outcome": outcome, "verb": verb, "by": event.by, "reason": event.reason,
        });
    }
    json!({
        "operation_id": event.operation_id,
        "outcome": outcome,
        "verb": verb,
        "chain_id": event.chain_id,
        "call_id": event.call_id,
        "by": event.by,
        // Of what is refused, why that is.
        "reason": event.reason,
        "state": wire::state_word(event),
        "revision": event.revision,
    })
}

/// How far an operation on all engines is.
pub(super) fn told_of_all(name: &str, verb: &str, engines: i32, done: i32) -> Value {
    let outcome = if done < engines { "pending" } else { "done" };
    json!({ "operation_id": name, "outcome": outcome, "verb": verb, "engines": engines, "done": done })
}

/// That nobody has told yet.
pub(super) fn pending(name: &str) -> Value {
    let detail = "the owning engine has not told yet what became of it; ask again at /v1/operations/{id}, or post the same \
                  again under the same `Idempotency-Key`: it acts once";
    json!({ "operation_id": name, "outcome": "pending", "detail": detail })
}

pub(super) async fn operation(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let Path(name) = name?;
    let news = &api.shared.news;
    if let Some(event) = news.known_outcome(&name) {
        return Ok(Json(told(&event)));
    }
    let engines = api.desk.get().map_or(0, |desk| desk.engines());
    let parts: Vec<_> = (0..engines).filter_map(|n| news.known_outcome(&desk::of_engine(&name, n))).collect();
    if let Some(part) = parts.first() {
        let done = i32::try_from(parts.len()).unwrap_or(i32::MAX);
        return Ok(Json(told_of_all(&name, wire::verb_word(part.verb()), engines, done)));
    }
    if news.knows(&name) {
        return Ok(Json(pending(&name)));
    }
    let hint = format!(
        "the newest {KEPT_OUTCOMES} are remembered; of what was asked of another instance only the outcome is known here"
    );
    Err(Problem::not_found(format!("no operation {name:?} is known"), hint))
}
