//! `GET /healthz`, `/readyz` and `/metrics`: for those who watch over the agent.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{api::Api, problem::Problem};
use crate::agent::MEMORY_FULL;

pub(super) async fn health(State(Api { shared, .. }): State<Api>) -> Result<Json<Value>, Problem> {
    if !shared.is_alive() {
        return Err(Problem::unavailable("the worker has not turned for too long", "restart the agent"));
    }
    Ok(Json(json!({"status": "alive"})))
}

pub(super) async fn ready(State(Api { shared, desk, .. }): State<Api>) -> Result<Json<Value>, Problem> {
    // The way for operators' requests opens a moment after the workers began.
    if !shared.is_ready() || desk.get().is_none() {
        let waiting = shared.waiting();
        let why =
            if waiting.is_empty() { "no partitions are assigned, or their state is being restored" } else { &waiting };
        return Err(Problem::unavailable(why, "it goes on trying by itself; its log says more"));
    }
    if shared.is_full() {
        return Err(Problem::unavailable(
            MEMORY_FULL,
            "`countermand chains --state needs_operator` lists those that wait",
        ));
    }
    let unread = shared.unread();
    // The agent works on, but an operator should know what it does not see.
    Ok(Json(if unread.is_empty() { json!({"status": "ready"}) } else { json!({"status": "ready", "unread": unread}) }))
}

pub(super) async fn metrics(State(Api { shared, .. }): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.metrics.text()).into_response()
}
