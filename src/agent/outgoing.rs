//! What is published: commands, changes, pictures and forwarded results as records, with their topics, keys and headers.

use std::collections::BTreeMap;

use prost::Message as _;
use sha2::{Digest, Sha256};

pub use crate::bus::headers::{ACTION, CHAIN_ID, COMMAND_ID, CORRELATION, HOP};
use crate::{
    bus::{
        Outgoing, Record,
        headers::{CONTENT_TYPE, LEFT_OUT, is_ours},
        layout::Topics,
    },
    model::{BusTime, ChainChange, ChainView, Command, Position, ServiceMessage, hex},
    policy::undo::PROTOBUF,
    wire::{self, proto},
};

fn outgoing(topic: &str, key: &str, payload: Vec<u8>) -> Outgoing {
    let headers = vec![(CONTENT_TYPE.to_owned(), Some(PROTOBUF.into()))];
    Outgoing { headers, ..Outgoing::keyed(topic, key, payload) }
}

/// The topic that commands to `service` by `route` go to: its own, or the route that it asked for.
#[must_use]
pub fn topic_of(topics: &Topics, service: &str, route: &str) -> String {
    if route.is_empty() { topics.commands_of(service) } else { route.to_owned() }
}

/// A command. `place` names positions in it. Of one above `largest` bytes the payloads of request and response are left
/// out, and a header says so: the handler finds them by the call's id, and nothing is ever too large to be written.
/// Headers that the service asked for under names of ours are left out: a participant trusts what these say. Their number
/// stands beside the record.
#[must_use]
pub fn command(
    topics: &Topics,
    command: &Command,
    place: &dyn Fn(Position) -> proto::Reference,
    largest: usize,
) -> (Outgoing, usize) {
    if let Some(message) = &command.message {
        return in_its_place(topics, command, message);
    }
    let mut message = wire::command(command, place);
    let mut left_out = Vec::new();
    if message.encoded_len() > largest && message.request.take().is_some() {
        left_out.push("request");
    }
    if message.encoded_len() > largest && message.response.take().is_some() {
        left_out.push("response");
    }
    let mut record =
        outgoing(&topic_of(topics, &command.service, &command.route), &command.chain_id, message.encode_to_vec());
    record.headers.extend(marks(command));
    if !left_out.is_empty() {
        record.headers.push((LEFT_OUT.to_owned(), Some(left_out.join(",").into_bytes())));
    }
    let dropped = add(&mut record, &command.headers);
    (record, dropped)
}

/// What tells a command without decoding it.
fn marks(command: &Command) -> [(String, Option<Vec<u8>>); 3] {
    let marks =
        [(COMMAND_ID, command.command_id.as_str()), (CHAIN_ID, &command.chain_id), (ACTION, command.action.word())];
    marks.map(|(name, value)| (name.to_owned(), Some(value.into())))
}

/// Adds headers that somebody else asked for, but for those that only the agent sets, and says how many were left out.
fn add(record: &mut Outgoing, headers: &BTreeMap<String, String>) -> usize {
    let (ours, theirs): (Vec<_>, Vec<_>) = headers.iter().partition(|(name, _)| is_ours(name));
    record.headers.extend(theirs.into_iter().map(|(name, value)| (name.clone(), Some(value.clone().into_bytes()))));
    ours.len()
}

/// What a service that does not know commands gets in a command's place.
fn in_its_place(topics: &Topics, command: &Command, message: &ServiceMessage) -> (Outgoing, usize) {
    let topic = topic_of(topics, &command.service, &command.route);
    let (payload, content_type) = if message.envelope {
        (wire::request_of(command, message).encode_to_vec(), PROTOBUF)
    } else {
        (message.payload.clone(), message.content_type.as_str())
    };
    let mut record = Outgoing::keyed(&topic, &message.key, payload);
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    record.headers = vec![header(CONTENT_TYPE, content_type), header(CORRELATION, &message.correlation)];
    record.headers.extend(marks(command));
    let dropped = add(&mut record, &message.headers);
    (record, dropped)
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
    let id = hex(&hash.finalize()[..16]);
    let message = wire::chain_event(&id, chain_id, at, change, view);
    outgoing(&topics.events, chain_id, message.encode_to_vec())
}

/// The picture of a chain, in at most `largest` bytes.
#[must_use]
pub fn picture(topics: &Topics, view: &ChainView, largest: usize) -> Outgoing {
    outgoing(&topics.chains, &view.chain_id, wire::chain_record_within(view, largest).encode_to_vec())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ACTION, CHAIN_ID, COMMAND_ID, command};
    use crate::{
        bus::layout::Topics,
        model::{Certainty, Command, CommandAction, HostTime},
        wire::proto,
    };

    fn undo(headers: BTreeMap<String, String>) -> Command {
        let text = |text: &str| text.to_owned();
        Command {
            command_id: text("id-1"),
            chain_id: text("chain-1"),
            call_id: text("call-1"),
            action: CommandAction::Undo,
            service: text("stock"),
            version: String::new(),
            instance: String::new(),
            operation: text("Release"),
            call_operation: text("Reserve"),
            key: String::new(),
            requested_at: None,
            certainty: Certainty::Applied,
            wave: 1,
            generation: 1,
            attempt: 1,
            issued_at: HostTime(0),
            answer_by: HostTime(0),
            request: None,
            response: None,
            compensation: None,
            route: text("legacy"),
            headers,
            message: None,
            attributes: BTreeMap::new(),
            revision: 1,
            verdict: String::new(),
        }
    }

    #[test]
    fn no_service_forges_the_headers_of_a_command() {
        let topics = Topics::under("");
        let asked = [COMMAND_ID, "Countermand-Action", "countermand-new", "Content-Type", "tenant", "x-content-type"];
        let asked = asked.into_iter().map(|name| (name.to_owned(), "forged".to_owned())).collect();
        let place = |_| proto::Reference::default();
        let (record, dropped) = command(&topics, &undo(asked), &place, 1 << 20);
        assert_eq!((record.topic.as_str(), dropped), ("legacy", 4));
        let value = |value: &Option<Vec<u8>>| String::from_utf8(value.clone().unwrap()).unwrap();
        let headers: Vec<(&str, String)> =
            record.headers.iter().map(|(name, bytes)| (name.as_str(), value(bytes))).collect();
        let expected = [
            ("content-type", "application/protobuf"),
            (COMMAND_ID, "id-1"),
            (CHAIN_ID, "chain-1"),
            (ACTION, "undo"),
            ("tenant", "forged"),
            ("x-content-type", "forged"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name, value.to_owned())));
    }
}
