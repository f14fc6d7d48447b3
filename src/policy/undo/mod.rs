//! Undoing through messages that a service understands already: where it does not know our commands, the catalogue says what
//! it is sent instead, and what counts as its answer.

mod reply;
mod template;

pub use reply::{ReplyPlace, ReplyRule};
pub use template::{Filled, Lacking, Source, Template};

use std::collections::BTreeMap;

use serde_json::Value;

use super::payloads::{Payloads, at_path};
use crate::model::{Certainty, Command, Content, Correlation, ServiceMessage, Span};

/// What a service is sent instead of a command, and what its answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRule {
    /// What it says.
    pub body: Template,
    /// The protobuf message that a JSON body is written as; empty: it stays JSON.
    pub type_name: String,
    /// It is the payload of an envelope, as between services that are read anyway: its response is the answer.
    pub envelope: bool,
    /// The record's key; `None`: the chain's id.
    pub key: Option<Template>,
    /// Headers, beside the agent's own.
    pub headers: BTreeMap<String, Template>,
    /// Nothing against it for so long is the answer `done`; `None`: a reply is.
    pub silence: Option<Span>,
    /// What replies mean.
    pub reply: Option<ReplyRule>,
}

/// What a message is made of beside its command.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The types of payloads.
    pub payloads: &'a Payloads,
    /// The topic or queue in which replies are read.
    pub replies: &'a str,
    /// Most bytes that it may have.
    pub largest: usize,
}

impl MessageRule {
    /// The attributes of requests that it needs.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        let templates = [&self.body].into_iter().chain(&self.key).chain(self.headers.values());
        templates.flat_map(Template::attributes)
    }

    /// The message that does what `command` asks for.
    ///
    /// # Errors
    /// Why it cannot be written, for an operator: a field has no value, or its type does not take it.
    pub fn write(&self, command: &Command, around: Around<'_>) -> Result<ServiceMessage, String> {
        let mut values = Values { command, around, request: None, response: None };
        let mut fill =
            |template: &Template| template.fill(&mut |source| values.of(source)).map_err(|it| it.to_string());
        let key = self.key.as_ref().map_or_else(|| Ok(command.chain_id.clone()), |key| fill(key).map(text))?;
        let mut headers = BTreeMap::new();
        for (name, template) in &self.headers {
            headers.insert(name.clone(), text(fill(template)?));
        }
        let body = fill(&self.body)?;
        let (type_name, content_type) = match (&body, self.type_name.as_str(), self.envelope) {
            (Filled::Json(Value::Object(_)), "", true) => ("google.protobuf.Struct", PROTOBUF),
            (Filled::Json(_), "", true) => ("google.protobuf.Value", PROTOBUF),
            (Filled::Json(_), "", false) => ("", "application/json"),
            (Filled::Json(_), name, _) => (name, PROTOBUF),
            (Filled::Text(_), _, true) => ("google.protobuf.StringValue", PROTOBUF),
            (Filled::Text(_), _, false) => ("", "text/plain; charset=utf-8"),
        };
        let payload = match &body {
            Filled::Json(value) if !type_name.is_empty() => around.payloads.write(type_name, value)?,
            Filled::Text(text) if !type_name.is_empty() => {
                around.payloads.write(type_name, &Value::from(text.as_str()))?
            }
            _ => body.into_bytes(),
        };
        let marks: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + key.len();
        if marks > MAX_MARK_BYTES {
            return Err(format!("its headers and its key have {marks} bytes, and at most {MAX_MARK_BYTES} are sent"));
        }
        let largest = around.largest.min(MAX_BODY_BYTES);
        if payload.len() > largest {
            return Err(format!("it has {} bytes, and at most {largest} are sent", payload.len()));
        }
        Ok(ServiceMessage {
            key,
            headers,
            content_type: content_type.to_owned(),
            type_name: type_name.to_owned(),
            payload,
            envelope: self.envelope,
            correlation: Correlation::of(&command.chain_id, &command.command_id).to_string(),
        })
    }
}

/// Most bytes of a message's headers and key together: they have to fit into one frame of AMQP, with the agent's own.
const MAX_MARK_BYTES: usize = 32 << 10;

/// Most bytes of its body, however large commands may be: with all else it fits into a record of Kafka.
const MAX_BODY_BYTES: usize = 768 << 10;

/// The content type of protobuf, as the contract writes it.
pub const PROTOBUF: &str = "application/protobuf";

fn text(filled: Filled) -> String {
    match filled {
        Filled::Text(text) => text,
        Filled::Json(value) => value.to_string(),
    }
}

/// What fields stand for. Payloads are read once, when the first field asks for them.
struct Values<'a> {
    command: &'a Command,
    around: Around<'a>,
    request: Option<Option<Value>>,
    response: Option<Option<Value>>,
}

impl Values<'_> {
    fn of(&mut self, source: &Source) -> Option<Value> {
        let command = self.command;
        Some(Value::String(match source {
            Source::Chain => command.chain_id.clone(),
            Source::Call => command.call_id.clone(),
            Source::Command => command.command_id.clone(),
            Source::Correlation => Correlation::of(&command.chain_id, &command.command_id).to_string(),
            Source::Replies => self.around.replies.to_owned(),
            Source::Service => command.service.clone(),
            Source::Version => command.version.clone(),
            Source::Operation => command.call_operation.clone(),
            Source::Undo => command.operation.clone(),
            Source::IdempotencyKey => command.key.clone(),
            Source::Certainty => match command.certainty {
                Certainty::Applied => "applied".to_owned(),
                Certainty::InDoubt => "in_doubt".to_owned(),
            },
            Source::Verdict => command.verdict.clone(),
            Source::Attribute(name) => command.attributes.get(name)?.clone(),
            Source::Request(path) => return read(&mut self.request, &command.request, path, self.around.payloads),
            Source::Response(path) => return read(&mut self.response, &command.response, path, self.around.payloads),
        }))
    }
}

fn read(
    known: &mut Option<Option<Value>>,
    content: &Option<Content>,
    path: &[String],
    types: &Payloads,
) -> Option<Value> {
    let whole = known.get_or_insert_with(|| match content {
        Some(Content::Whole { type_url, value }) => types.read(type_url, value),
        _ => None,
    });
    at_path(whole.as_ref()?, path).cloned()
}
