//! A chain as a trace in OpenTelemetry's JSON, as a collector takes it at `/v1/traces`: a span for each call.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::marks::Marks;
use crate::model::{BusTime, CallEnd, CallView, ChainView, StatusCode, hex};

/// `SpanKind` of the specification, for a call as its callee serves it, and for an event.
const SERVER: u8 = 2;
const CONSUMER: u8 = 5;

/// `StatusCode` of the specification.
const UNSET: u8 = 0;
const OK: u8 = 1;
const ERROR: u8 = 2;

/// The chain as `ExportTraceServiceRequest`. Ids derive from the chain's and the calls' and depend on nothing else, so the
/// same chain posted twice is the same trace; a chain whose id is that of a trace, 32 hexadecimal digits, keeps it. A call
/// that has no end yet ends as it begins, and says so in `countermand.end`.
#[must_use]
pub fn otlp(view: &ChainView) -> Value {
    let marks = Marks::of(view);
    let trace = trace_id(&view.chain_id);
    let mut services: BTreeMap<(&str, &str), Vec<Value>> = BTreeMap::new();
    for call in &view.calls {
        services.entry((&call.callee, &call.version)).or_default().push(span(view, call, &marks, &trace));
    }
    let resource = |((service, version), spans): ((&str, &str), Vec<Value>)| {
        let mut attributes = Attributes::default();
        attributes.text("service.name", service);
        attributes.text("service.version", version);
        let scope = json!({ "name": "countermand", "version": env!("CARGO_PKG_VERSION") });
        json!({
            "resource": { "attributes": attributes.0 },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        })
    };
    json!({ "resourceSpans": services.into_iter().map(resource).collect::<Vec<_>>() })
}

fn span(view: &ChainView, call: &CallView, marks: &Marks, trace: &str) -> Value {
    let ids = |call_id: &str| span_id(&view.chain_id, call_id);
    let is_root = call.parent.is_empty() || call.refused;
    let begin = call.began_at.or(call.ended_at).unwrap_or(view.started_at);
    let end = call.ended_at.unwrap_or(begin).max(begin);
    let link = |to: &str, why: &str| json!({ "traceId": trace, "spanId": ids(to), "attributes": [text("countermand.link", why)] });
    let links = [("retry_of", &call.retry_of), ("compensates", &call.compensates)];
    let links = links.into_iter().filter(|(_, to)| !to.is_empty()).map(|(why, to)| link(to, why));
    let (code, message) = status(call);
    json!({
        "traceId": trace,
        "spanId": ids(&call.call_id),
        "parentSpanId": if is_root { String::new() } else { ids(&call.parent) },
        "name": call.operation,
        "kind": if call.event { CONSUMER } else { SERVER },
        "startTimeUnixNano": nanos(begin),
        "endTimeUnixNano": nanos(end),
        "attributes": attributes(view, call, marks, is_root),
        "links": links.collect::<Vec<_>>(),
        "status": { "code": code, "message": message },
    })
}

fn status(call: &CallView) -> (u8, &str) {
    match (call.end, call.answer) {
        (CallEnd::Answered, Some(StatusCode::Ok)) => (OK, ""),
        (CallEnd::Answered, Some(StatusCode::Failed | StatusCode::Unknown | StatusCode::Cancelled)) => {
            (ERROR, &call.reason)
        }
        (CallEnd::TimedOut, _) => (ERROR, "timed out"),
        _ if call.undeliverable => (ERROR, "undeliverable"),
        _ => (UNSET, ""),
    }
}

fn attributes(view: &ChainView, call: &CallView, marks: &Marks, is_root: bool) -> Vec<Value> {
    let mut attributes = Attributes::default();
    attributes.text("countermand.chain_id", &view.chain_id);
    attributes.text("countermand.call_id", &call.call_id);
    attributes.text("countermand.caller", &call.caller);
    attributes.text("countermand.end", call.end.word());
    attributes.text("countermand.reason", &call.reason);
    if call.has_effect {
        attributes.text("countermand.effect", call.effect.word());
    }
    attributes.flag("countermand.voided", call.voided);
    for (name, value) in &call.fields {
        attributes.text(&format!("countermand.{name}"), value);
    }
    attributes.flag("countermand.undeliverable", call.undeliverable);
    let part = marks.part(&call.call_id);
    attributes.text("countermand.part", part.unwrap_or_default());
    attributes.flag("countermand.failing_edge", part == Some("failing edge"));
    attributes.flag("countermand.on_path", marks.on_path(&call.call_id));
    if let (true, Some(verdict)) = (is_root, &view.verdict) {
        attributes.text("countermand.outcome", verdict.outcome.word());
        attributes.text("countermand.cause", verdict.cause.map_or("", |cause| cause.word()));
        attributes.text("countermand.state", view.state.word());
        attributes.text("countermand.verdict", &verdict.sentence);
        attributes
            .0
            .push(json!({ "key": "countermand.revision", "value": { "intValue": verdict.revision.to_string() } }));
    }
    attributes.0
}

/// Attributes of a span or a service. What is empty or does not hold is left out.
#[derive(Default)]
struct Attributes(Vec<Value>);

impl Attributes {
    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.0.push(text(key, value));
        }
    }

    fn flag(&mut self, key: &str, holds: bool) {
        if holds {
            self.0.push(json!({ "key": key, "value": { "boolValue": true } }));
        }
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// 64-bit numbers are texts in protobuf's JSON. What was before 1970 is put there.
fn nanos(at: BusTime) -> String {
    (i128::from(at.0.max(0)) * 1_000_000).min(i128::from(u64::MAX)).to_string()
}

/// The id of a chain's trace: 16 bytes, not all of them zero.
fn trace_id(chain_id: &str) -> String {
    let digits: String = chain_id.chars().filter(|&c| c != '-').collect();
    let is_one = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one && matches!(chain_id.len(), 32 | 36) && digits.bytes().any(|byte| byte != b'0') {
        return digits.to_ascii_lowercase();
    }
    derived::<16>("countermand.trace.v1", &[chain_id])
}

/// The id of a call's span: 8 bytes.
fn span_id(chain_id: &str, call_id: &str) -> String {
    derived::<8>("countermand.span.v1", &[chain_id, call_id])
}

fn derived<const BYTES: usize>(what: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(what.as_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize()[..BYTES])
}
