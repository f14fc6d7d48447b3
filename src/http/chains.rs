//! `GET /v1/chains`, `/v1/chains/{id}` and `/v1/commands`: what is known of live and recently decided chains, of all
//! instances.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::Api,
    picture::{command, item, picture},
    problem::Problem,
};
use crate::{
    agent::live::MAX_VIEWS,
    model::{BusTime, Cause, ChainView, Outcome, PlanItemState, PlanState, Span},
    policy::load::parse_span,
    render::{self, Look},
};

/// Items of a page unless it is said.
const PAGE: usize = 50;

/// Items of a page at most.
const MAX_PAGE: usize = 500;

/// How many items a page may have, as is asked for.
pub(super) fn page_size(asked: Option<usize>) -> Result<usize, Problem> {
    let size = asked.unwrap_or(PAGE);
    if size == 0 || size > MAX_PAGE {
        return Err(Problem::bad_request(format!("`limit` is from 1 to {MAX_PAGE}"), ""));
    }
    Ok(size)
}

/// What may be asked of a list. Of an unknown filter nobody must think that it filtered.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    outcome: Option<String>,
    state: Option<String>,
    service: Option<String>,
    operation: Option<String>,
    failing_caller: Option<String>,
    failing_callee: Option<String>,
    cause: Option<String>,
    since: Option<String>,
    until: Option<String>,
    min_duration: Option<String>,
    q: Option<String>,
    chain_id: Option<String>,
    action: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A filter that was understood.
struct Wanted {
    filter: Filter,
    outcome: Option<Outcome>,
    state: Option<PlanState>,
    cause: Option<Cause>,
    since: Option<BusTime>,
    until: Option<BusTime>,
    min_duration: Option<Span>,
}

impl Wanted {
    fn read(filter: Filter, states: bool) -> Result<Self, Problem> {
        let state = if states { filter.state.as_deref() } else { None };
        Ok(Self {
            outcome: word("outcome", filter.outcome.as_deref(), Outcome::from_word)?,
            state: word("state", state, PlanState::from_word)?,
            cause: word("cause", filter.cause.as_deref(), Cause::from_word)?,
            since: instant("since", filter.since.as_deref())?,
            until: instant("until", filter.until.as_deref())?,
            min_duration: word("min_duration", filter.min_duration.as_deref(), |text| parse_span(text).ok())?,
            filter,
        })
    }

    fn takes(&self, view: &ChainView) -> bool {
        let is = |wanted: &Option<String>, known: &str| wanted.as_ref().is_none_or(|wanted| wanted == known);
        let verdict = view.verdict.as_ref();
        let failing = verdict.and_then(|verdict| verdict.failing.as_ref());
        let edge = |wanted: &Option<String>, end: fn(&crate::model::FailureView) -> &String| {
            wanted.is_none() || failing.is_some_and(|failing| is(wanted, end(failing)))
        };
        let calls = |wanted: &Option<String>, part: fn(&crate::model::CallView) -> &String| {
            wanted.is_none() || view.calls.iter().any(|call| is(wanted, part(call)))
        };
        let at = decided(view);
        is(&self.filter.chain_id, &view.chain_id)
            && self.outcome.is_none_or(|wanted| verdict.is_some_and(|verdict| verdict.outcome == wanted))
            && self.state.is_none_or(|wanted| view.state == wanted)
            && self.cause.is_none_or(|wanted| verdict.is_some_and(|verdict| verdict.cause == Some(wanted)))
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at <= until)
            && self.min_duration.is_none_or(|least| duration(view) >= least)
            && edge(&self.filter.failing_caller, |failing| &failing.caller)
            && edge(&self.filter.failing_callee, |failing| &failing.callee)
            && calls(&self.filter.service, |call| &call.callee)
            && calls(&self.filter.operation, |call| &call.operation)
            && self.filter.q.as_ref().is_none_or(|text| says(view, text))
    }
}

/// Whether a text stands in a chain's ids, names or words.
fn says(view: &ChainView, text: &str) -> bool {
    let verdict = view.verdict.iter().map(|verdict| verdict.sentence.as_str());
    let calls = view.calls.iter().flat_map(|call| {
        [&call.call_id, &call.caller, &call.callee, &call.operation, &call.reason, &call.version].map(String::as_str)
    });
    std::iter::once(view.chain_id.as_str()).chain(verdict).chain(calls).any(|known| known.contains(text))
}

fn word<T>(name: &str, text: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    let wrong = || Problem::bad_request(format!("`{name}` cannot be `{}`", text.unwrap_or_default()), WORDS);
    text.map(|text| read(text).ok_or_else(wrong)).transpose()
}

/// What is said where a word is none.
const WORDS: &str = "outcomes are succeeded, failed, unknown; states none, observed, awaiting_approval, compensating, \
                     compensated, completed, needs_operator, abandoned; causes error, no_response, slow, undeliverable, \
                     cancelled; times are RFC 3339; durations are like 500ms, 2s, 1h";

fn instant(name: &str, text: Option<&str>) -> Result<Option<BusTime>, Problem> {
    let read = |text: &str| text.parse::<jiff::Timestamp>().ok().map(|at| BusTime(at.as_millisecond()));
    word(name, text, read)
}

fn decided(view: &ChainView) -> BusTime {
    view.verdict.as_ref().map_or(view.started_at, |verdict| verdict.decided_at)
}

fn duration(view: &ChainView) -> Span {
    let end = view.calls.iter().filter_map(|call| call.ended_at).max().unwrap_or(view.started_at);
    end.since(view.started_at)
}

/// Where a page ends: the newest come first, and what came since does not move what follows.
type Place = (i64, String);

fn place(view: &ChainView) -> Place {
    (decided(view).0, view.chain_id.clone())
}

fn read_cursor(text: Option<&str>) -> Result<Option<Place>, Problem> {
    let read = |text: &str| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (at, id) = text.split_once(' ')?;
        Some((at.parse().ok()?, id.to_owned()))
    };
    let wrong = || Problem::bad_request("`cursor` is none that was given out".to_owned(), "begin without one");
    text.map(|text| read(text).ok_or_else(wrong)).transpose()
}

fn write_cursor((at, id): &Place) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{at} {id}"))
}

/// A page of the chains that are wanted, the newest first, as many as come before there are `limit` items.
fn page(
    api: &Api,
    wanted: &Wanted,
    items: impl Fn(&ChainView) -> Vec<Value>,
) -> Result<(Vec<Value>, Option<String>), Problem> {
    let limit = page_size(wanted.filter.limit)?;
    let after = read_cursor(wanted.filter.cursor.as_deref())?;
    let mut views: Vec<Arc<ChainView>> = api.shared.live.all();
    views.retain(|view| after.as_ref().is_none_or(|after| place(view) < *after) && wanted.takes(view));
    views.sort_by_cached_key(|view| std::cmp::Reverse(place(view)));
    let mut listed = Vec::new();
    for (n, view) in views.iter().enumerate() {
        // All of a chain stand on one page.
        listed.extend(items(view));
        if listed.len() >= limit {
            let more = n + 1 < views.len();
            return Ok((listed, more.then(|| write_cursor(&place(view)))));
        }
    }
    Ok((listed, None))
}

fn listing(api: &Api, name: &str, (items, cursor): (Vec<Value>, Option<String>)) -> Json<Value> {
    let dropped = api.shared.live.dropped();
    let mut body = json!({ "cursor": cursor, "cut": dropped > 0 });
    body[name] = items.into();
    if dropped > 0 {
        body["cut_because"] =
            format!("the newest {MAX_VIEWS} chains are kept; {dropped} older ones have gone from this list").into();
    }
    Json(body)
}

pub(super) async fn chains(
    State(api): State<Api>,
    query: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let wanted = Wanted::read(query?.0, true)?;
    if wanted.filter.action.is_some() {
        return Err(Problem::bad_request("`action` is a filter of /v1/commands".to_owned(), ""));
    }
    let found = page(&api, &wanted, |view| vec![item(view)])?;
    Ok(listing(&api, "chains", found))
}

pub(super) async fn commands(
    State(api): State<Api>,
    query: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    // `state`, `service` and `operation` are those of the command here.
    let Query(mut filter) = query?;
    let state = word("state", filter.state.take().as_deref(), PlanItemState::from_word)?;
    let (service, operation) = (filter.service.take(), filter.operation.take());
    let action = filter.action.take();
    let wanted = Wanted::read(filter, false)?;
    let is = |wanted: &Option<String>, known: &str| wanted.as_ref().is_none_or(|wanted| wanted == known);
    let found = page(&api, &wanted, |view| {
        let taken = view.commands.iter().filter(|command| {
            state.is_none_or(|state| command.state == state)
                && is(&service, &command.service)
                && is(&operation, &command.operation)
                && is(&action, command.action.word())
        });
        let of_chain = |mut command: Value| {
            command["chain_id"] = view.chain_id.clone().into();
            command["chain_state"] = view.state.word().into();
            command
        };
        taken.map(|taken| of_chain(command(taken))).collect()
    })?;
    Ok(listing(&api, "commands", found))
}

/// How a chain is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    format: Option<String>,
}

pub(super) async fn chain(
    State(api): State<Api>,
    Path(id): Path<String>,
    shape: Result<Query<Shape>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(shape) = shape?;
    let Some(view) = api.shared.live.get(&id) else { return Err(unknown(&id)) };
    let text = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text).into_response();
    match shape.format.as_deref().unwrap_or("json") {
        "json" => Ok(Json(picture(&view)).into_response()),
        "text" => {
            let look = Look::default();
            Ok(text("text/plain; charset=utf-8", render::tree(&view, look) + &render::plan(&view, look)))
        }
        "dot" => Ok(text("text/vnd.graphviz; charset=utf-8", render::dot(&view))),
        "mermaid" => Ok(text("text/plain; charset=utf-8", render::mermaid(&view))),
        other => Err(Problem::bad_request(
            format!("a chain is not shown as `{other}`"),
            "formats are json, text, dot and mermaid",
        )),
    }
}

/// That a chain is not here, and why that may be.
pub(super) fn unknown(id: &str) -> Problem {
    Problem::not_found(format!(
        "no chain {id:?} is kept: only chains that failed, tolerated a failure or have a plan are shown, and only the \
         newest {MAX_VIEWS}"
    ))
}
