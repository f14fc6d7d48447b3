//! `GET /v1/chains`, `/v1/chains/{id}` and `/v1/commands`: what is known of live and recently decided chains, of all
//! instances.

use std::{cmp::Reverse, sync::Arc};

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{
    api::Api,
    filter::{OF_CHAINS, OF_COMMANDS, OfChains, OfCommands},
    picture::{command, item, picture},
    problem::Problem,
    query::Params,
};
use crate::{
    agent::live::MAX_VIEWS,
    model::ChainView,
    render::{self, Look},
};

/// What a page follows: the chains that began last come first, and what came since, or what became of them since, does not
/// move what follows.
type Place = (i64, String);

fn place(view: &ChainView) -> Place {
    (view.started_at.0, view.chain_id.clone())
}

fn read_cursor(text: &str) -> Option<Place> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (at, id) = text.split_once(' ')?;
    Some((at.parse().ok()?, id.to_owned()))
}

fn write_cursor((at, id): &Place) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{at} {id}"))
}

/// A page of the chains that are wanted, as many as come before there are `limit` items: all of a chain stand on one page.
fn page(
    api: &Api,
    params: &Params,
    name: &str,
    takes: impl Fn(&ChainView) -> bool,
    items: impl Fn(&ChainView) -> Vec<Value>,
) -> Result<Json<Value>, Problem> {
    let limit = params.page_size()?;
    let after = match params.text("cursor").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(read_cursor(text).ok_or_else(|| {
            Problem::unprocessable("`cursor` is none that a page here ended with", "begin without one")
        })?),
    };
    // Asked before: what goes meanwhile is missing from the list.
    let cut = api.shared.live.cut();
    let mut views: Vec<Arc<ChainView>> = api.shared.live.all();
    views.retain(|view| after.as_ref().is_none_or(|after| place(view) < *after) && takes(view));
    views.sort_by_cached_key(|view| Reverse(place(view)));
    let (mut listed, mut cursor) = (Vec::new(), None);
    for (n, view) in views.iter().enumerate() {
        listed.extend(items(view));
        if listed.len() >= limit {
            cursor = views.get(n + 1).map(|_| write_cursor(&place(view)));
            break;
        }
    }
    let mut body = serde_json::json!({ "cursor": cursor, "cut": cut.is_some(), "cut_because": cut });
    body[name] = listed.into();
    Ok(Json(body))
}

pub(super) async fn chains(State(api): State<Api>, query: RawQuery) -> Result<Json<Value>, Problem> {
    let params = Params::read(query, OF_CHAINS)?;
    let wanted = OfChains::read(&params)?;
    page(&api, &params, "chains", |view| wanted.takes(view), |view| vec![item(view)])
}

pub(super) async fn commands(State(api): State<Api>, query: RawQuery) -> Result<Json<Value>, Problem> {
    let params = Params::read(query, OF_COMMANDS)?;
    let wanted = OfCommands::read(&params)?;
    let of_chain = |view: &ChainView| {
        let taken = view.commands.iter().filter(|command| wanted.takes_command(command));
        let told = taken.map(|taken| {
            let mut told = command(taken);
            told["chain_id"] = view.chain_id.clone().into();
            told["chain_state"] = view.state.word().into();
            told
        });
        told.collect()
    };
    page(&api, &params, "commands", |view| wanted.takes(view), of_chain)
}

/// What can be asked of one chain.
pub(super) const OF_A_CHAIN: &[&str] = &["format"];

/// How a chain is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Json,
    Text,
    Dot,
    Mermaid,
    Otlp,
}

impl Shape {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "json" => Self::Json,
            "text" => Self::Text,
            "dot" => Self::Dot,
            "mermaid" => Self::Mermaid,
            "otlp" => Self::Otlp,
            _ => return None,
        })
    }
}

pub(super) async fn chain(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    query: RawQuery,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    let params = Params::read(query, OF_A_CHAIN)?;
    let hint = || "formats are json, text, dot, mermaid and otlp".to_owned();
    let shape = params.value("format", Shape::read, hint)?.unwrap_or(Shape::Json);
    let Some(view) = api.shared.live.get(&id) else { return Err(unknown(&id)) };
    let text = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text).into_response();
    Ok(match shape {
        Shape::Json => Json(picture(&view)).into_response(),
        Shape::Otlp => Json(render::otlp(&view)).into_response(),
        Shape::Dot => text("text/vnd.graphviz; charset=utf-8", render::dot(&view)),
        Shape::Mermaid => text("text/plain; charset=utf-8", render::mermaid(&view)),
        Shape::Text => text("text/plain; charset=utf-8", render::tree(&view, Look::default())),
    })
}

/// That a chain is not here, and why that may be.
pub(super) fn unknown(id: &str) -> Problem {
    let hint = format!(
        "only chains that failed, tolerated a failure or have a plan are shown, and only the newest {MAX_VIEWS}; list them \
         with /v1/chains"
    );
    Problem::not_found(format!("no chain {id:?} is kept"), hint)
}
