//! One line and what it says.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::{BadReason, Body, Entry};
use crate::{
    model::{BusTime, Handled},
    wire::{
        json::Object,
        proto::{CommandResult, Envelope, Operation, Timestamp},
        time::{millis_of, timestamp_of},
    },
};

const HANDLED: &str = "handled";

/// A line as it is read. The names of messages may also be in the spelling of protobuf's JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    at: Option<Timestamp>,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<u64>,
    envelope: Option<Object<Envelope>>,
    #[serde(alias = "commandResult")]
    command_result: Option<Object<CommandResult>>,
    operation: Option<Object<Operation>>,
    #[serde(alias = "deadLetter")]
    dead_letter: Option<ReadLetter>,
}

/// A line as it is written.
#[derive(Serialize, Default)]
#[serde(default)]
struct Writing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope: Option<&'a Envelope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_result: Option<&'a CommandResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a Operation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<WrittenLetter<'a>>,
}

struct ReadLetter {
    envelope: Envelope,
    handled: Handled,
}

#[derive(Serialize)]
struct WrittenLetter<'a> {
    #[serde(flatten)]
    envelope: &'a Envelope,
    handled: &'static str,
}

impl<'de> Deserialize<'de> for ReadLetter {
    /// By way of a map: an envelope refuses the key that is not its own. Dead letters are few.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Map::deserialize(deserializer)?;
        let handled = match map.remove(HANDLED) {
            None | Some(Value::Null) => Handled::default(),
            Some(value) => match value.as_str() {
                Some("maybe") => Handled::Maybe,
                Some("no") => Handled::No,
                _ => {
                    let message = format_args!("`{HANDLED}` is {value}; it may be \"maybe\" or \"no\"");
                    return Err(D::Error::custom(message));
                }
            },
        };
        let envelope = Envelope::deserialize(Value::Object(map)).map_err(D::Error::custom)?;
        Ok(Self { envelope, handled })
    }
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Entry, BadReason> {
    let Object(line): Object<Reading> =
        serde_json::from_slice(line).map_err(|error| BadReason::Json(error.to_string()))?;
    let mut bodies = [
        line.envelope.map(|Object(envelope)| Body::Envelope(envelope)),
        line.command_result.map(|Object(result)| Body::CommandResult(result)),
        line.operation.map(|Object(operation)| Body::Operation(operation)),
        line.dead_letter.map(|ReadLetter { envelope, handled }| Body::DeadLetter { envelope, handled }),
    ]
    .into_iter()
    .flatten();
    let body = bodies.next();
    if bodies.next().is_some() {
        return Err(BadReason::SeveralMessages);
    }
    if body.is_none() && line.at.is_none() {
        return Err(BadReason::Nothing);
    }
    let at = line.at.as_ref().map(|at| BusTime(millis_of(at)));
    Ok(Entry { at, topic: line.topic, partition: line.partition, offset: line.offset, body })
}

/// Appends a line with its end.
pub(super) fn write(entry: &Entry, line: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut writing = Writing {
        at: entry.at.map(|at| timestamp_of(at.0)),
        topic: entry.topic.as_deref(),
        partition: entry.partition,
        offset: entry.offset,
        ..Writing::default()
    };
    match &entry.body {
        None => {}
        Some(Body::Envelope(envelope)) => writing.envelope = Some(envelope),
        Some(Body::CommandResult(result)) => writing.command_result = Some(result),
        Some(Body::Operation(operation)) => writing.operation = Some(operation),
        Some(Body::DeadLetter { envelope, handled }) => {
            let handled = match handled {
                Handled::Maybe => "maybe",
                Handled::No => "no",
            };
            writing.dead_letter = Some(WrittenLetter { envelope, handled });
        }
    }
    serde_json::to_writer(&mut *line, &writing)?;
    line.push(b'\n');
    Ok(())
}
