//! `bus` of a scenario: lines of keys to [`Step`]s, with what a later or earlier line says filled in.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    language::{Act, DEFAULT_CHAIN, EffectStep, PartyText, RequestStep, ResponseStep, Step},
    raw::{RawStep, Text},
    words::{choose, pick, span},
};
use crate::{
    model::{CommandAction, Handled, ResultState, StatusCode, Verb},
    policy::Word,
};

const ACTIONS: &[(&str, CommandAction)] =
    &[("undo", CommandAction::Undo), ("retry", CommandAction::Retry), ("inquire", CommandAction::Inquire)];

const RESULTS: &[(&str, ResultState)] = &[
    ("done", ResultState::Done),
    ("not_needed", ResultState::NotNeeded),
    ("ongoing", ResultState::Ongoing),
    ("retryable", ResultState::Retryable),
    ("failed", ResultState::Failed),
    ("applied", ResultState::Applied),
    ("absent", ResultState::Absent),
    ("unknown", ResultState::Unknown),
];

/// The kinds of steps: the key that makes one, and the keys that it may have besides those of every step.
const KINDS: &[(&str, &[&str])] = &[
    ("request", REQUEST_KEYS),
    ("event", REQUEST_KEYS),
    (
        "response",
        &[
            "failed",
            "unknown",
            "cancelled",
            "ongoing",
            "caused_by",
            "undo",
            "in_doubt",
            "effect",
            "key",
            "version",
            "by",
        ],
    ),
    ("dead_letter", &["handled"]),
    ("result", &["state", "action", "command_id"]),
    ("operator", &["call"]),
];

const REQUEST_KEYS: &[&str] = &[
    "from",
    "to",
    "op",
    "parent",
    "timeout",
    "retry_of",
    "undo",
    "in_doubt",
    "effect",
    "key",
    "compensates",
    "during",
    "attrs",
];

const COMMON_KEYS: &[&str] = &["at", "partition", "lagging", "chain", "id", "refused"];

/// The steps, in the order of the file.
///
/// # Errors
/// A sentence that names the step.
pub fn steps(raw: &[RawStep]) -> Result<Vec<Step>, String> {
    let mut steps = Vec::with_capacity(raw.len());
    for (n, raw) in raw.iter().enumerate() {
        steps.push(step(raw).map_err(|error| format!("step {}: {error}", n + 1))?);
    }
    fill_in(&mut steps)?;
    Ok(steps)
}

fn step(raw: &RawStep) -> Result<Step, String> {
    let act = act(raw)?;
    Ok(Step {
        at: span(text(&raw.at, "at")?)?,
        lagging: raw.lagging.unwrap_or(false),
        partition: raw.partition.unwrap_or(0),
        chain: raw.chain.as_ref().map_or_else(|| DEFAULT_CHAIN.to_owned(), |chain| chain.0.clone()),
        id: or_empty(&raw.id),
        refused: raw.refused,
        act,
    })
}

fn act(raw: &RawStep) -> Result<Act, String> {
    let names = raw.names();
    let kinds: Vec<_> = KINDS.iter().filter(|(kind, _)| names.contains(kind)).collect();
    let (kind, keys) = match kinds.as_slice() {
        [] => ("", &[][..]),
        [(kind, keys)] => (*kind, *keys),
        [(one, _), (other, _), ..] => return Err(format!("is both `{one}` and `{other}`")),
    };
    if let Some(name) = names.iter().find(|name| **name != kind && !keys.contains(name) && !COMMON_KEYS.contains(name))
    {
        let name = if *name == "parent" { "in" } else { name };
        let kind = if kind.is_empty() { "a step without a message" } else { kind };
        return Err(format!("`{name}` means nothing in {kind}"));
    }
    match kind {
        "request" => Ok(Act::Request(request(raw, &raw.request)?)),
        "event" => Ok(Act::Event(request(raw, &raw.event)?)),
        "response" => Ok(Act::Response(response(raw)?)),
        "dead_letter" => dead_letter(raw),
        "result" => result(raw),
        "operator" => operator(raw),
        _ => Ok(Act::Wait),
    }
}

fn text<'a>(value: &'a Option<Text>, key: &str) -> Result<&'a str, String> {
    value.as_ref().map(|text| text.0.as_str()).ok_or_else(|| format!("needs `{key}`"))
}

fn or_empty(value: &Option<Text>) -> String {
    value.as_ref().map(|text| text.0.clone()).unwrap_or_default()
}

fn chosen<T: Word>(key: &str, value: &Option<Text>) -> Result<Option<T>, String> {
    value.as_ref().map(|text| choose(key, &text.0)).transpose()
}

fn call(value: &Option<Text>) -> Result<String, String> {
    match value {
        Some(Text(call)) if !call.is_empty() => Ok(call.clone()),
        _ => Err("needs the name of a call".to_owned()),
    }
}

fn effect(raw: &RawStep) -> Result<EffectStep, String> {
    Ok(EffectStep {
        class: chosen("effect", &raw.effect)?,
        key: or_empty(&raw.key),
        undo: or_empty(&raw.undo),
        in_doubt: chosen("in_doubt", &raw.in_doubt)?.unwrap_or_default(),
    })
}

fn request(raw: &RawStep, name: &Option<Text>) -> Result<RequestStep, String> {
    Ok(RequestStep {
        call: call(name)?,
        parent: or_empty(&raw.parent),
        from: raw.from.as_ref().map(|from| PartyText::new(&from.0)).unwrap_or_default(),
        to: PartyText::new(text(&raw.to, "to")?),
        op: text(&raw.op, "op")?.to_owned(),
        timeout: raw.timeout.as_ref().map(|timeout| span(&timeout.0)).transpose()?,
        retry_of: or_empty(&raw.retry_of),
        compensates: or_empty(&raw.compensates),
        during: or_empty(&raw.during),
        effect: effect(raw)?,
        attributes: raw.attrs.iter().flatten().map(|(name, value)| (name.clone(), value.0.clone())).collect(),
    })
}

fn response(raw: &RawStep) -> Result<ResponseStep, String> {
    let ongoing = (raw.ongoing == Some(true)).then(|| Text(String::new()));
    let mut answers = [
        (StatusCode::Failed, &raw.failed),
        (StatusCode::Unknown, &raw.unknown),
        (StatusCode::Cancelled, &raw.cancelled),
        (StatusCode::Ongoing, &ongoing),
    ]
    .into_iter()
    .filter_map(|(code, reason)| reason.as_ref().map(|reason| (code, reason.0.clone())));
    let (code, reason) = answers.next().unwrap_or((StatusCode::Ok, String::new()));
    if answers.next().is_some() {
        return Err("answers in two ways at once".to_owned());
    }
    let mut by = raw.by.as_ref().map(|by| PartyText::new(&by.0)).unwrap_or_default();
    if let Some(version) = &raw.version {
        by.version.clone_from(&version.0);
    }
    let caused_by = or_empty(&raw.caused_by);
    Ok(ResponseStep { call: call(&raw.response)?, by, code, reason, caused_by, effect: effect(raw)? })
}

fn dead_letter(raw: &RawStep) -> Result<Act, String> {
    let handled = match &raw.handled {
        Some(text) => pick("handled", &text.0, &[("maybe", Handled::Maybe), ("no", Handled::No)])?,
        None => Handled::default(),
    };
    let letter = RequestStep { call: call(&raw.dead_letter)?, ..RequestStep::default() };
    Ok(Act::DeadLetter { letter, event: false, handled })
}

fn result(raw: &RawStep) -> Result<Act, String> {
    let state = pick("state", text(&raw.state, "state")?, RESULTS)?;
    // Only an inquiry can be answered like this, so nobody has to say that it is one.
    let asked = matches!(state, ResultState::Applied | ResultState::Absent | ResultState::Unknown);
    let default = if asked { CommandAction::Inquire } else { CommandAction::Undo };
    Ok(Act::Result {
        call: call(&raw.result)?,
        action: raw.action.as_ref().map_or(Ok(default), |action| pick("action", &action.0, ACTIONS))?,
        command_id: raw.command_id.as_ref().map(|id| id.0.clone()),
        state,
    })
}

fn operator(raw: &RawStep) -> Result<Act, String> {
    let verbs: Vec<(&str, Verb)> = Verb::ALL.iter().map(|verb| (verb.word(), *verb)).collect();
    Ok(Act::Operator { verb: pick("operator", text(&raw.operator, "operator")?, &verbs)?, call: or_empty(&raw.call) })
}

/// A request or event as it was first sent.
struct Sent {
    request: RequestStep,
    event: bool,
    id: String,
}

/// Fills in ids and callers that are not given (the caller is the parent's callee), and what dead letters carry: the
/// very message that was sent.
fn fill_in(steps: &mut [Step]) -> Result<(), String> {
    let taken: BTreeSet<String> = steps.iter().map(|step| step.id.clone()).collect();
    let mut sent: BTreeMap<(String, String), Sent> = BTreeMap::new();
    for (n, step) in steps.iter_mut().enumerate() {
        if step.id.is_empty() && !matches!(step.act, Act::DeadLetter { .. }) {
            step.id = unique_id(n, &taken);
        }
        if let Act::Request(request) | Act::Event(request) = &step.act {
            let event = matches!(step.act, Act::Event(_));
            let key = (step.chain.clone(), request.call.clone());
            sent.entry(key).or_insert_with(|| Sent { request: request.clone(), event, id: step.id.clone() });
        }
    }
    for (n, step) in steps.iter_mut().enumerate() {
        let find = |call: &str| sent.get(&(step.chain.clone(), call.to_owned()));
        match &mut step.act {
            Act::Request(request) | Act::Event(request) if request.from == PartyText::default() => {
                request.from = caller(request, find).map_err(|error| format!("step {}: {error}", n + 1))?;
            }
            Act::DeadLetter { letter, event, .. } => {
                let died = find(&letter.call);
                if step.id.is_empty() {
                    step.id = died.map_or_else(|| unique_id(n, &taken), |sent| sent.id.clone());
                }
                if let Some(sent) = died {
                    *letter = sent.request.clone();
                    *event = sent.event;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The caller of a request that names none.
fn caller<'a>(request: &RequestStep, find: impl Fn(&str) -> Option<&'a Sent>) -> Result<PartyText, String> {
    if request.parent.is_empty() {
        return Err(format!("the root `{}` needs `from`", request.call));
    }
    if let Some(parent) = find(&request.parent) {
        return Ok(parent.request.to.clone());
    }
    // A consumer's part in an event: the consumer calls.
    let consumer = request.parent.rsplit_once('/').filter(|(event, _)| find(event).is_some_and(|sent| sent.event));
    Ok(consumer.map(|(_, service)| PartyText::new(service)).unwrap_or_default())
}

/// An id that no message of the scenario was given.
fn unique_id(n: usize, taken: &BTreeSet<String>) -> String {
    let mut id = format!("m-{}", n + 1);
    while taken.contains(&id) {
        id.push('\'');
    }
    id
}
