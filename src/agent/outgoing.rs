//! What is published: commands, changes, pictures and forwarded results as records, with their topics, keys and headers.

use prost::Message as _;
use sha2::{Digest, Sha256};

use super::dead_letters::LEFT_OUT;
use crate::{
    bus::{
        Record,
        kafka::{producer::Outgoing, topics::Topics},
    },
    model::{BusTime, ChainChange, ChainView, Command, Position},
    wire::{self, proto},
};

/// Header with the command's id.
pub const COMMAND_ID: &str = "countermand-command-id";
/// Header with the chain's id.
pub const CHAIN_ID: &str = "countermand-chain-id";
/// Header with the action's lower-case word.
pub const ACTION: &str = "countermand-action";
/// Header of a result that was forwarded to where its key belongs; it is forwarded once.
pub const HOP: &str = "countermand-hop";

fn outgoing(topic: &str, key: &str, payload: Vec<u8>) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        partition: None,
        key: Some(key.as_bytes().to_vec()),
        payload: Some(payload),
        headers: vec![("content-type".to_owned(), Some(b"application/protobuf".to_vec()))],
    }
}

/// The topic that a command goes to: its service's, or the route that the service asked for.
#[must_use]
pub fn command_topic(topics: &Topics, command: &Command) -> String {
    if command.route.is_empty() { topics.commands_of(&command.service) } else { command.route.clone() }
}

/// A command. `place` names positions in it. Of one above `largest` bytes the payloads of request and response are left
/// out, and a header says so: the handler finds them by the call's id, and nothing is ever too large to be written.
#[must_use]
pub fn command(
    topics: &Topics,
    command: &Command,
    place: &dyn Fn(Position) -> proto::Reference,
    largest: usize,
) -> Outgoing {
    let mut message = wire::command(command, place);
    let mut left_out = Vec::new();
    if message.encoded_len() > largest && message.request.take().is_some() {
        left_out.push("request");
    }
    if message.encoded_len() > largest && message.response.take().is_some() {
        left_out.push("response");
    }
    let mut record = outgoing(&command_topic(topics, command), &command.chain_id, message.encode_to_vec());
    for (name, value) in [
        (COMMAND_ID, command.command_id.as_str()),
        (CHAIN_ID, command.chain_id.as_str()),
        (ACTION, command.action.word()),
    ] {
        record.headers.push((name.to_owned(), Some(value.into())));
    }
    if !left_out.is_empty() {
        record.headers.push((LEFT_OUT.to_owned(), Some(left_out.join(",").into_bytes())));
    }
    let asked_for = command.headers.iter().map(|(name, value)| (name.clone(), Some(value.clone().into_bytes())));
    record.headers.extend(asked_for);
    record
}

/// A change in a chain's life (S5.10). Its id says what it is about and depends on nothing else.
#[must_use]
pub fn event(topics: &Topics, chain_id: &str, at: BusTime, change: &ChainChange, view: Option<&ChainView>) -> Outgoing {
    let revision = view.and_then(|view| view.verdict.as_ref()).map_or(0, |verdict| verdict.revision);
    let mut hash = Sha256::new();
    hash.update(b"countermand.event.v1");
    for part in [chain_id, &format!("{change:?}")] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(revision.to_be_bytes());
    hash.update(at.0.to_be_bytes());
    let id: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let message = wire::chain_event(&id, chain_id, at, change, view);
    outgoing(&topics.events, chain_id, message.encode_to_vec())
}

/// The picture of a chain.
#[must_use]
pub fn picture(topics: &Topics, view: &ChainView) -> Outgoing {
    outgoing(&topics.chains, &view.chain_id, wire::chain_record(view).encode_to_vec())
}

/// A result as it came, on its way to where its chain belongs.
#[must_use]
pub fn forwarded(topics: &Topics, record: &Record, chain_id: &str) -> Outgoing {
    let mut headers: Vec<(String, Option<Vec<u8>>)> =
        record.headers.iter().map(|(name, value)| (name.clone(), value.as_ref().map(|value| value.to_vec()))).collect();
    headers.push((HOP.to_owned(), Some(record.origin().into_bytes())));
    Outgoing {
        topic: topics.results.clone(),
        partition: None,
        key: Some(chain_id.as_bytes().to_vec()),
        payload: record.payload.as_ref().map(|payload| payload.to_vec()),
        headers,
    }
}
