//! Whether messages can be decoded and keep the rules of the contract (S8.2, S8.3).

use std::collections::BTreeMap;

use serde_json::json;

use super::{Finding, Severity, percent};
use crate::{bus::Record, render::grouped, wire::WireError};

/// Places of refused messages that are named for each reason.
const EXAMPLES: usize = 3;

/// What was accepted and what was not.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    accepted: u64,
    refused: BTreeMap<&'static str, Refused>,
    /// By what they look like: messages that are no envelopes.
    shapes: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
struct Refused {
    count: u64,
    detail: String,
    examples: Vec<String>,
}

impl Decoded {
    pub(super) fn accept(&mut self) {
        self.accepted += 1;
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(super) fn refuse(&mut self, record: &Record, error: &WireError) {
        let refused = self.refused.entry(error.word()).or_default();
        refused.count += 1;
        if refused.detail.is_empty() {
            refused.detail = error.to_string();
        }
        if refused.examples.len() < EXAMPLES {
            refused.examples.push(record.origin());
        }
        if let Some(shape) = shape(record.payload.as_deref().unwrap_or_default()) {
            *self.shapes.entry(shape).or_default() += 1;
        }
    }

    pub(super) fn findings(&self, findings: &mut Vec<Finding>) {
        let refused: u64 = self.refused.values().map(|it| it.count).sum();
        let all = self.accepted + refused;
        let numbers: serde_json::Map<String, serde_json::Value> = self
            .refused
            .iter()
            .map(|(word, it)| {
                ((*word).to_owned(), json!({"count": it.count, "detail": it.detail, "examples": it.examples}))
            })
            .collect();
        let numbers =
            json!({"accepted": self.accepted, "refused": refused, "reasons": numbers, "look_like": self.shapes});
        if refused == 0 {
            let sentence = format!("all {} messages are envelopes that the agent accepts", grouped(all));
            findings.push(Finding::new("decodable", Severity::Ok, sentence).numbers(numbers));
            return;
        }
        let reasons: Vec<String> = self
            .refused
            .iter()
            .map(|(word, it)| format!("{word} {} (such as {}: {})", grouped(it.count), it.examples[0], it.detail))
            .collect();
        let severity = if refused > self.accepted { Severity::Problem } else { Severity::Warning };
        let sentence = format!(
            "{} of {} messages ({}) would be refused: {}",
            grouped(refused),
            grouped(all),
            percent(refused, all),
            reasons.join("; ")
        );
        findings.push(Finding::new("decodable", severity, sentence).advise(self.advice()).numbers(numbers));
    }

    fn advice(&self) -> String {
        let most = self.shapes.iter().max_by_key(|(_, count)| **count).map(|(shape, _)| *shape);
        match most {
            Some(shape) => format!(
                "most of them look like {shape}; the agent reads the protobuf message countermand.v1.Envelope: let services \
                 send it to topics of its own, and leave other topics out of kafka.topics"
            ),
            None => "each goes to the dead letters with its reason, and the rest is read on; mend what sends them, or leave \
                     topics that hold something else out of kafka.topics"
                .to_owned(),
        }
    }
}

/// What bytes that are no envelope look like.
fn shape(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [] => Some("tombstones (no bytes at all)"),
        [0, _, _, _, _, ..] => Some("messages with a schema registry's prefix (a zero byte and a schema's number)"),
        [b'{' | b'[', ..] => Some("JSON"),
        [b'<', ..] => Some("XML"),
        [0x1f, 0x8b, ..] => Some("gzip data"),
        _ => None,
    }
}
