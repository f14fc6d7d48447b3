//! `undo.body` of a rule, and what belongs to it: whether it is whole, and what it becomes.

use std::collections::BTreeMap;

use super::{report::Report, schema::RuleDraft, walk::Places};
use crate::policy::{
    CompensationRule,
    undo::{MessageRule, ReplyRule, Template},
};

/// The settings that say something of a message.
const OTHERS: [&str; 10] = [
    "type",
    "key",
    "envelope",
    "silence",
    "reply.field",
    "reply.done",
    "reply.not_needed",
    "reply.ongoing",
    "reply.retryable",
    "reply.failed",
];

fn full(name: &str) -> String {
    format!("operations.undo.{name}")
}

/// Notes what is missing in the message of a rule, and what contradicts itself.
pub(super) fn is_whole(draft: &RuleDraft, places: &Places, report: &mut Report) {
    let message = &draft.message;
    let mut fault = |key: &str, at: &str, text: String| report.error(&full(key), places.of(&full(at)), text);
    let Some(body) = &message.body else {
        let given = OTHERS.iter().find(|name| places.has(&full(name)));
        if let Some(name) = given.filter(|_| places.sound(&["operations.undo.body"])) {
            fault(name, name, "this goes with a message: add `body`, or leave it out".to_owned());
        }
        return;
    };
    let undo = draft.undo.clone().unwrap_or_default();
    if undo.route.is_empty() && places.sound(&["operations.undo.route"]) {
        fault("body", "body", "a message needs a way to its service: add `route = \"TOPIC OR QUEUE\"`".to_owned());
    }
    if !undo.inquire_operation.is_empty() {
        let text = "nobody who does not know commands can be asked by one: leave `inquire` out, or `body`";
        fault("inquire", "inquire", text.to_owned());
    }
    for (name, value) in &undo.headers {
        if let Err(error) = Template::text(value) {
            fault("headers", "headers", format!("header `{name}`: {error}"));
        }
    }
    if !message.type_name.is_empty() && !body.is_json() {
        fault("type", "type", "only a `body` of JSON becomes a protobuf message".to_owned());
    }
    let envelope = message.envelope == Some(true);
    match (message.reply.is_some(), message.words.is_empty()) {
        (true, true) => {
            fault("reply.field", "reply.field", "no word means anything: add `done = [\"...\"]`".to_owned())
        }
        (false, false) => {
            fault("reply.field", "body", "nothing says where the word of a reply stands: add `field`".to_owned());
        }
        _ if envelope && message.reply.is_some() => {
            let text = "the answer to an envelope is its response, which says what it means: leave `reply` out";
            fault("reply.field", "reply.field", text.to_owned());
        }
        (false, true) if !envelope && message.silence.is_none() => {
            let text = "nothing says what counts as the answer: add `reply`, `silence = \"10s\"` or `envelope = true`";
            fault("body", "body", text.to_owned());
        }
        _ => {}
    }
}

/// The compensation of a whole rule.
pub(super) fn finish(undo: Option<CompensationRule>, draft: super::schema::MessageDraft) -> Option<CompensationRule> {
    let undo = undo?;
    let Some(body) = draft.body else { return Some(undo) };
    let headers: BTreeMap<String, Template> =
        undo.headers.iter().filter_map(|(name, value)| Some((name.clone(), Template::text(value).ok()?))).collect();
    let message = MessageRule {
        body,
        type_name: draft.type_name,
        envelope: draft.envelope == Some(true),
        key: draft.key,
        headers,
        silence: draft.silence,
        reply: draft.reply.map(|place| ReplyRule { place, words: draft.words }),
    };
    Some(CompensationRule { message: Some(Box::new(message)), ..undo })
}
