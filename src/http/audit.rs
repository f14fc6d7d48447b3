//! `GET /v1/audit`: what operators did (S7.1).

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde_json::{Value, json};

use super::{api::Api, operations::off_thread, problem::Problem, query::Params};

/// What the audit can be asked.
pub(super) const OF_THE_AUDIT: &[&str] = &["limit", "before"];

pub(super) async fn audit(State(api): State<Api>, query: RawQuery) -> Result<Json<Value>, Problem> {
    let params = Params::read(query, OF_THE_AUDIT)?;
    let limit = params.page_size()?;
    let hint = || "it is the number of an entry, as the page before gave it in its own `before`".to_owned();
    let before: Option<u64> = params.value("before", |text| text.parse().ok(), hint)?;
    let log = api.audit.clone();
    let read = off_thread(move || log.newest(before.unwrap_or(u64::MAX), limit)).await;
    let (entries, older) = read.map_err(|why| {
        Problem::unavailable(
            format!("the audit cannot be read: {why}"),
            "`countermand audit verify` says where it is wrong",
        )
    })?;
    let before = entries.last().filter(|_| older).map(|entry| entry.seq);
    Ok(Json(json!({ "entries": entries, "before": before })))
}
