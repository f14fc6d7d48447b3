//! What is answered where.

use std::{future::Future, io, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{picture::picture, problem::Problem, token::Token};
use crate::agent::{MEMORY_FULL, Shared};

/// All resources of an agent. Where there is a `token`, callers must show it for everything but whether the agent lives
/// and is ready: probes seldom carry secrets, and learn nothing of any chain. The metrics name services, so they are not
/// open; what is added later is not either, unless it is put before the guard.
pub fn router(shared: Arc<Shared>, token: Option<Token>) -> Router {
    let guarded = Router::new().route("/metrics", get(metrics)).route("/v1/chains/{id}", get(chain)).fallback(nothing);
    let guarded = match token {
        Some(token) => guarded.layer(middleware::from_fn_with_state(Arc::new(token), guard)),
        None => guarded,
    };
    Router::new().route("/healthz", get(health)).route("/readyz", get(ready)).merge(guarded).with_state(shared)
}

async fn guard(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    match token.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => Problem::unauthorized(why).into_response(),
    }
}

/// Answers on `listener` until `stop` completes.
///
/// # Errors
/// What the listener says.
pub async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    token: Option<Token>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(shared, token)).with_graceful_shutdown(stop).await
}

async fn health(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    if !shared.is_alive() {
        return Err(Problem::unavailable("the worker has not turned for too long: restart the agent"));
    }
    Ok(Json(json!({"status": "alive"})))
}

async fn ready(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    if !shared.is_ready() {
        let waiting = shared.waiting();
        let why =
            if waiting.is_empty() { "no partitions are assigned, or their state is being restored" } else { &waiting };
        return Err(Problem::unavailable(why));
    }
    if shared.is_full() {
        return Err(Problem::unavailable(MEMORY_FULL));
    }
    Ok(Json(json!({"status": "ready"})))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.metrics.text()).into_response()
}

async fn chain(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    match shared.live.get(&id) {
        Some(view) => Ok(Json(picture(&view))),
        None => Err(Problem::not_found(format!(
            "no chain {id:?} is kept: only chains that failed, tolerated a failure or have a plan are shown, and only \
             the newest {}, by the instance that reads their partition",
            crate::agent::live::MAX_VIEWS
        ))),
    }
}

async fn nothing() -> Problem {
    Problem::not_found("there is no such resource; see /v1/chains/{id}, /metrics, /healthz and /readyz".to_owned())
}
