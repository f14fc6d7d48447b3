//! What is answered where.

use std::{future::Future, io, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{picture::picture, problem::Problem};
use crate::agent::{MEMORY_FULL, Shared};

/// All resources of an agent.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/chains/{id}", get(chain))
        .fallback(nothing)
        .with_state(shared)
}

/// Answers on `listener` until `stop` completes.
///
/// # Errors
/// What the listener says.
pub async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(shared)).with_graceful_shutdown(stop).await
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
