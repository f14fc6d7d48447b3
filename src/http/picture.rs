//! A chain as JSON: replay's keys, and what only a live agent knows.

use serde_json::{Value, json};

use crate::model::{BusTime, CallView, ChainView, CommandView, FailureView, StatusCode, VerdictView};

/// The picture of a chain. Empty texts are left as they are; what is unknown is `null`. All keys are always there.
#[must_use]
pub fn picture(view: &ChainView) -> Value {
    let verdict = view.verdict.as_ref();
    let failures = |list: fn(&VerdictView) -> &Vec<FailureView>| {
        verdict.map_or_else(Vec::new, |verdict| list(verdict).iter().map(failure).collect())
    };
    json!({
        "chain_id": view.chain_id,
        "started_at": time(view.started_at),
        "decided_at": verdict.map(|verdict| time(verdict.decided_at)),
        "state": view.state.word(),
        "waits": view.waits.iter().map(|reason| reason.word()).collect::<Vec<_>>(),
        "revision": verdict.map_or(0, |verdict| verdict.revision),
        "outcome": verdict.map(|verdict| verdict.outcome.word()),
        "failing_edge": verdict.and_then(|verdict| verdict.failing.as_ref()).map(failure),
        "failing_version": verdict.map_or("", |verdict| &verdict.failing_version),
        "cause": verdict.and_then(|verdict| verdict.cause).map(|cause| cause.word()),
        "callee_active": verdict.is_some_and(|verdict| verdict.callee_active),
        "path": verdict.map_or(&[][..], |verdict| &verdict.path),
        "contributing": failures(|verdict| &verdict.contributing),
        "runners_up": failures(|verdict| &verdict.runners_up),
        "tolerated": failures(|verdict| &verdict.tolerated),
        "anomalies": verdict.map_or_else(Vec::new, |verdict| verdict.anomalies.iter().map(|kind| kind.word()).collect()),
        "ambiguous": verdict.is_some_and(|verdict| verdict.ambiguous),
        "incomplete": verdict.is_some_and(|verdict| verdict.incomplete),
        "missing": verdict.map_or(&[][..], |verdict| &verdict.missing),
        "sentence": verdict.map_or("", |verdict| &verdict.sentence),
        "calls": view.calls.iter().map(call).collect::<Vec<_>>(),
        "commands": view.commands.iter().map(command).collect::<Vec<_>>(),
    })
}

/// A chain in a list: its picture without its calls, and how many there are.
#[must_use]
pub fn item(view: &ChainView) -> Value {
    let mut item = picture(view);
    if let Some(item) = item.as_object_mut() {
        item.remove("calls");
        item.insert("call_count".to_owned(), view.calls.len().into());
    }
    item
}

fn failure(failure: &FailureView) -> Value {
    json!({
        "call_id": failure.call_id,
        "caller": failure.caller,
        "callee": failure.callee,
        "operation": failure.operation,
        "reason": failure.reason,
    })
}

fn call(call: &CallView) -> Value {
    json!({
        "call_id": call.call_id,
        "parent": call.parent,
        "caller": call.caller,
        "callee": call.callee,
        "version": call.version,
        "operation": call.operation,
        "retry_of": call.retry_of,
        "compensates": call.compensates,
        "event": call.event,
        "began_at": call.began_at.map(time),
        "timeout": call.timeout.map(|timeout| timeout.to_string()),
        "end": call.end.word(),
        "ended_at": call.ended_at.map(time),
        "answer": call.answer.map(status_word),
        "reason": call.reason,
        "late": call.late.map(|(status, at)| json!({"answer": status_word(status), "at": time(at)})),
        "undeliverable": call.undeliverable,
        "refused": call.refused,
        "has_effect": call.has_effect,
        "effect": call.effect.word(),
        "voided": call.voided,
        "fields": call.fields,
    })
}

/// A command of a plan.
pub(super) fn command(command: &CommandView) -> Value {
    json!({
        "command_id": command.command_id,
        "wave": command.wave,
        "generation": command.generation,
        "action": command.action.word(),
        "call_id": command.call_id,
        "service": command.service,
        "operation": command.operation,
        "certainty": match command.certainty {
            crate::model::Certainty::Applied => "applied",
            crate::model::Certainty::InDoubt => "in_doubt",
        },
        "state": command.state.word(),
        "reason": command.reason.map(|reason| reason.word()),
        "sends": command.sends,
        "detail": command.detail,
    })
}

fn status_word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::Ok => "ok",
        StatusCode::Failed => "failed",
        StatusCode::Unknown => "unknown",
        StatusCode::Cancelled => "cancelled",
        StatusCode::Ongoing => "ongoing",
    }
}

/// RFC 3339; an instant that has no date is given as its number.
fn time(at: BusTime) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}
