//! What is answered where.

use std::{future::Future, io, sync::Arc};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use super::{actions, api::Api, chains, feed, problem::Problem, token::Token};
use crate::agent::MEMORY_FULL;

/// All resources of an agent. Where there is a `token`, callers must show it for everything but whether the agent lives
/// and is ready: probes seldom carry secrets, and learn nothing of any chain. The metrics name services, so they are not
/// open; what is added later is not either, unless it is put before the guard.
pub fn router(api: Api, token: Option<Token>) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route("/v1/chains", get(chains::chains))
        .route("/v1/chains/{id}", get(chains::chain))
        .route("/v1/chains/{id}/actions", post(actions::act))
        .route("/v1/commands", get(chains::commands))
        .route("/v1/events", get(feed::events))
        .route("/v1/pause", post(actions::pause))
        .route("/v1/resume", post(actions::resume))
        .route("/v1/brake-release", post(actions::release))
        .route("/v1/audit", get(actions::audit))
        .layer(DefaultBodyLimit::max(actions::MAX_BODY))
        .fallback(nothing);
    let guarded = match token {
        Some(token) => guarded.layer(middleware::from_fn_with_state(Arc::new(token), guard)),
        None => guarded,
    };
    Router::new().route("/healthz", get(health)).route("/readyz", get(ready)).merge(guarded).with_state(api)
}

/// Completes when the sender of `stopped` is dropped.
pub async fn dropped(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
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
    api: Api,
    token: Option<Token>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(api, token)).with_graceful_shutdown(stop).await
}

async fn health(State(Api { shared, .. }): State<Api>) -> Result<Json<Value>, Problem> {
    if !shared.is_alive() {
        return Err(Problem::unavailable("the worker has not turned for too long: restart the agent"));
    }
    Ok(Json(json!({"status": "alive"})))
}

async fn ready(State(Api { shared, .. }): State<Api>) -> Result<Json<Value>, Problem> {
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

async fn metrics(State(Api { shared, .. }): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.metrics.text()).into_response()
}

async fn nothing() -> Problem {
    Problem::not_found("there is no such resource; see /v1/chains, /v1/chains/{id}, /v1/commands, /v1/events, /v1/audit, /metrics, /healthz and /readyz".to_owned())
}
