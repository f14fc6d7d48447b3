//! `POST /v1/chains/{id}/actions`, `/v1/pause`, `/v1/resume` and `/v1/brake-release`: operators' hands (S5.2, S5.7, S5.8).

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, error::Category};

use super::{
    api::Api,
    chains::unknown,
    operations::{check, claim, hand_in, name, pending, told, told_of_all},
    problem::Problem,
    token::Caller,
};
use crate::{
    agent::desk::of_engine,
    model::{Refused, Verb},
    wire::proto::{self, ChainEvent, ChainEventKind, Operation},
};

/// What an operator wants of a chain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    verb: String,
    #[serde(default)]
    call_id: String,
    revision: u32,
    reason: String,
    #[serde(default)]
    by: String,
}

/// What he wants of the agent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    reason: String,
    #[serde(default)]
    by: String,
}

type Body = Result<Bytes, BytesRejection>;

/// Who asks, as the guard has found out.
type Who = Extension<Caller>;

pub(super) async fn act(
    State(api): State<Api>,
    Extension(caller): Who,
    chain_id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Path(chain_id) = chain_id?;
    let wish: Wish = read(&headers, body, "verb, call_id, revision (0: any), reason and by")?;
    let verb = Verb::from_word(&wish.verb).filter(|verb| !verb.is_for_all()).ok_or_else(|| {
        let verbs: Vec<&str> = Verb::ALL.iter().filter(|verb| !verb.is_for_all()).map(|verb| verb.word()).collect();
        Problem::unprocessable(
            format!("`{}` is no verb for a chain", wish.verb),
            format!("verbs are {}", verbs.join(", ")),
        )
    })?;
    let mut operation = Operation {
        operation_id: String::new(),
        chain_id,
        call_id: wish.call_id,
        verb: proto::Verb::from(verb).into(),
        revision: wish.revision,
        by: caller.who(wish.by),
        reason: wish.reason,
    };
    check(&api, &operation)?;
    // Each of the agents would take it for another's.
    let live = &api.shared.live;
    if api.desk()?.may_be_unanswered() && live.get(&operation.chain_id).is_none() && live.cut().is_none() {
        return Err(unknown(&operation.chain_id));
    }
    operation.operation_id = name(&headers, &operation)?;
    claim(&api, &operation.operation_id)?;
    match hand_in(&api, &operation, None).await? {
        Some(event) if event.kind() == ChainEventKind::Operator => Ok(Json(told(&event)).into_response()),
        Some(event) => Err(refused(&event)),
        None => Ok(accepted(&operation.operation_id, pending(&operation.operation_id))),
    }
}

/// An action that cannot be carried out as the chain stands.
fn refused(event: &ChainEvent) -> Problem {
    let why = &event.reason;
    let problem = match Refused::from_word(why) {
        Some(Refused::UnknownChain) => unknown(&event.chain_id),
        Some(refused) => Problem::conflict(format!("the action is refused: {why}"), refused.hint()),
        None => Problem::conflict(format!("the action is refused: {why}"), "look at the chain again"),
    };
    problem.of(&event.operation_id)
}

/// Nobody has told yet, and this is where to ask.
fn accepted(name: &str, body: Value) -> Response {
    let place = [(header::LOCATION, format!("/v1/operations/{name}"))];
    (StatusCode::ACCEPTED, place, Json(body)).into_response()
}

pub(super) async fn pause(api: State<Api>, caller: Who, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    to_all(api, caller, Verb::Pause, &headers, body).await
}

pub(super) async fn resume(api: State<Api>, caller: Who, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    to_all(api, caller, Verb::Resume, &headers, body).await
}

pub(super) async fn release(api: State<Api>, caller: Who, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    to_all(api, caller, Verb::BrakeRelease, &headers, body).await
}

/// Asks something of every engine, here and elsewhere.
async fn to_all(
    State(api): State<Api>,
    Extension(caller): Who,
    verb: Verb,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let word: Word = read(headers, body, "reason and by")?;
    let engines = api.desk()?.engines();
    let operation = Operation {
        verb: proto::Verb::from(verb).into(),
        by: caller.who(word.by),
        reason: word.reason,
        ..Operation::default()
    };
    check(&api, &operation)?;
    let name = name(headers, &operation)?;
    claim(&api, &name)?;
    let mut asked = tokio::task::JoinSet::new();
    for engine in 0..engines.max(1) {
        let (api, operation) = (api.clone(), Operation { operation_id: of_engine(&name, engine), ..operation.clone() });
        asked.spawn(async move { hand_in(&api, &operation, Some(engine)).await });
    }
    let (mut done, mut failed) = (0, None);
    while let Some(told) = asked.join_next().await {
        match told.unwrap_or_else(|error| Err(Problem::unavailable(error.to_string(), "this is a bug"))) {
            Ok(Some(_)) => done += 1,
            Ok(None) => {}
            Err(problem) => failed = Some(problem),
        }
    }
    let body = told_of_all(&name, verb.word(), engines, done);
    match failed {
        // Some engines were asked, and some could not be.
        Some(problem) => {
            let detail = format!("{done} of {engines} engines have done it: {}", problem.detail);
            Err(Problem { detail, ..problem }.of(&name))
        }
        None if done < engines => Ok(accepted(&name, body)),
        None => Ok(Json(body).into_response()),
    }
}

/// Reads a body. A browser says with each POST which page it is from: none of a page is taken, since on loopback there may
/// be no token that would keep pages out.
fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body, keys: &str) -> Result<T, Problem> {
    if headers.contains_key(header::ORIGIN) {
        let hint = "use the command line, or a program that sends no `Origin`";
        return Err(Problem::new(StatusCode::FORBIDDEN, "requests from pages in a browser are not taken", hint));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let hint = "send the header `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is not said to be JSON", hint));
    }
    serde_json::from_slice(&body?).map_err(|error| {
        let (detail, hint) = (format!("the body cannot be read: {error}"), format!("it is an object with {keys}"));
        match error.classify() {
            Category::Data => Problem::unprocessable(detail, hint),
            _ => Problem::bad_request(detail, hint),
        }
    })
}
