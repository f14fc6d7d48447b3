//! Messages of AMQP as records, and records as messages of AMQP.

use bytes::Bytes;
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use prost::Message as _;
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

use super::source::{Source, Way, way};
use crate::{
    bus::{
        Header, Outgoing, Record, Stamp,
        headers::{CHAIN_ID, COMMAND_ID, CONTENT_TYPE, CORRELATION, LEFT_OUT, ORIGIN, is_ours},
        layout::Topics,
    },
    model::{BusTime, HostTime},
    wire::proto::{ChainEvent, ChainEventKind},
};

/// Header in which the broker says when it had a message, or its sender when it was sent, in milliseconds.
const TIMESTAMP: &str = "timestamp_in_ms";

/// Header with a message's place in its stream.
const STREAM_OFFSET: &str = "x-stream-offset";

/// Header that counts deliveries: it differs where the message is the same.
const DELIVERIES: &str = "x-delivery-count";

/// Under which name a record has what AMQP keeps in a property of its own.
const CORRELATION_ID: &str = "correlation-id";

/// Bytes that headers may take: all of them must fit into one frame, which has 128 KiB at most brokers.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// A delivery from `source` that arrived at `now`, and what tells it from others.
pub(super) fn record(source: &Source, delivery: Delivery, now: HostTime) -> (Record, u128) {
    let identity = identity(source, &delivery);
    let table = delivery.properties.headers().as_ref();
    let mut headers: Vec<Header> = Vec::new();
    for (name, value) in table.into_iter().flatten() {
        if let Some(value) = scalar(value) {
            headers.push((name.as_str().to_owned(), value));
        }
    }
    if let Some(content_type) = delivery.properties.content_type() {
        headers.push((CONTENT_TYPE.to_owned(), Some(Bytes::copy_from_slice(content_type.as_str().as_bytes()))));
    }
    if let Some(correlation) = delivery.properties.correlation_id() {
        headers.push((CORRELATION_ID.to_owned(), Some(Bytes::copy_from_slice(correlation.as_str().as_bytes()))));
    }
    let stamped = table.and_then(|table| number(table, TIMESTAMP));
    let record = Record {
        topic: source.topic.clone(),
        partition: source.partition,
        offset: 0,
        // The time of its first arrival here, if nobody says when the broker had it (S0).
        stamp: stamped.map_or(Stamp::Bus(BusTime(now.0)), |at| Stamp::Sender(BusTime(at))),
        key: Some(Bytes::copy_from_slice(delivery.routing_key.as_str().as_bytes())),
        headers,
        payload: Some(Bytes::from(delivery.data)),
    };
    (record, identity)
}

/// The place of a delivery in its stream.
pub(super) fn stream_offset(delivery: &Delivery) -> Option<u64> {
    let offset = delivery.properties.headers().as_ref().and_then(|table| number(table, STREAM_OFFSET))?;
    u64::try_from(offset).ok()
}

fn number(table: &FieldTable, name: &str) -> Option<i64> {
    match table.inner().get(name)? {
        AMQPValue::LongLongInt(number) => Some(*number),
        AMQPValue::Timestamp(number) => i64::try_from(*number).ok(),
        AMQPValue::LongUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongInt(number) => Some(i64::from(*number)),
        _ => None,
    }
}

/// A header's value in bytes, with numbers in decimal; the outer `None`: it is a list or a table.
fn scalar(value: &AMQPValue) -> Option<Option<Bytes>> {
    let text = |text: String| Some(Some(Bytes::from(text)));
    match value {
        AMQPValue::LongString(value) => Some(Some(Bytes::copy_from_slice(value.as_bytes()))),
        AMQPValue::ShortString(value) => text(value.as_str().to_owned()),
        AMQPValue::ByteArray(value) => Some(Some(Bytes::copy_from_slice(value.as_slice()))),
        AMQPValue::Boolean(value) => text(value.to_string()),
        AMQPValue::ShortShortInt(value) => text(value.to_string()),
        AMQPValue::ShortShortUInt(value) => text(value.to_string()),
        AMQPValue::ShortInt(value) => text(value.to_string()),
        AMQPValue::ShortUInt(value) => text(value.to_string()),
        AMQPValue::LongInt(value) => text(value.to_string()),
        AMQPValue::LongUInt(value) => text(value.to_string()),
        AMQPValue::LongLongInt(value) => text(value.to_string()),
        AMQPValue::Timestamp(value) => text(value.to_string()),
        AMQPValue::Float(value) => text(value.to_string()),
        AMQPValue::Double(value) => text(value.to_string()),
        AMQPValue::Void => Some(None),
        AMQPValue::DecimalValue(_) | AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) => None,
    }
}

/// All that the sender gave: what the broker adds may differ from one delivery to the next.
fn identity(source: &Source, delivery: &Delivery) -> u128 {
    let mut hash = Xxh3::new();
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    let properties = &delivery.properties;
    for text in [&source.queue, delivery.exchange.as_str(), delivery.routing_key.as_str()] {
        part(text.as_bytes());
    }
    for text in [properties.message_id(), properties.correlation_id(), properties.kind(), properties.app_id()] {
        part(text.as_ref().map_or("", ShortString::as_str).as_bytes());
    }
    part(&properties.timestamp().unwrap_or_default().to_be_bytes());
    for (name, value) in properties.headers().iter().flatten().filter(|(name, _)| name.as_str() != DELIVERIES) {
        part(name.as_str().as_bytes());
        part(scalar(value).flatten().as_deref().unwrap_or_default());
    }
    part(&delivery.data);
    hash.digest128()
}

/// What is published.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Where it goes.
    pub way: Way,
    /// What it is in the agent's layout.
    pub topic: String,
    /// What it stays in line with: what says something newer of a chain goes once the broker has what was said before.
    /// `None`: it goes when it likes.
    pub line: Option<u64>,
    /// What stands on it.
    pub properties: BasicProperties,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// A record as it is published to `exchange`. An error: its way has no name that AMQP takes, which no plan leads to.
///
/// # Errors
/// What is wrong with it.
pub fn letter(record: &Outgoing, topics: &Topics, exchange: &str, now: HostTime) -> Result<Letter, String> {
    let payload = record.payload.clone().unwrap_or_default();
    let event = (record.topic == topics.events).then(|| ChainEvent::decode(&*payload).ok()).flatten();
    let kind = event.as_ref().map_or("unspecified", |event| word(event.kind()));
    let way = way(&record.topic, exchange, kind);
    for name in [&way.exchange, &way.routing_key] {
        ShortString::try_new(name.as_str()).map_err(|error| format!("{name:?}: {error}"))?;
    }
    let header = |name: &str| {
        let found = record.headers.iter().find(|(own, _)| own == name);
        found.and_then(|(_, value)| std::str::from_utf8(value.as_deref()?).ok())
    };
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    // A service that does not know commands replies as it always does: to whom it is told, with what it was given.
    let foreign = header(CORRELATION);
    let correlation_id = foreign.or(header(CHAIN_ID)).or(key);
    let message_id = header(COMMAND_ID).or(event.as_ref().map(|event| event.event_id.as_str())).or(header(ORIGIN));
    let kind = match record.topic.as_str() {
        _ if foreign.is_some() => header("type").unwrap_or_default(),
        _ if header(COMMAND_ID).is_some() => "countermand.v1.Command",
        topic if topic == topics.events => "countermand.v1.ChainEvent",
        topic if topic == topics.chains => "countermand.v1.ChainRecord",
        topic if topic == topics.results => "countermand.v1.CommandResult",
        topic if topic == topics.operations => "countermand.v1.Operation",
        _ => "",
    };
    let mut headers = table(record);
    headers.insert(TIMESTAMP.into(), AMQPValue::LongLongInt(now.0));
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_timestamp(u64::try_from(now.0 / 1_000).unwrap_or(0))
        .with_headers(headers);
    if let Some(text) = short(header(CONTENT_TYPE)) {
        properties = properties.with_content_type(text);
    }
    if let Some(text) = short(message_id) {
        properties = properties.with_message_id(text);
    }
    if let Some(text) = short(correlation_id) {
        properties = properties.with_correlation_id(text);
    }
    if let Some(text) = short(foreign.map(|_| topics.results.as_str())) {
        properties = properties.with_reply_to(text);
    }
    if let Some(text) = short(Some(kind).filter(|kind| !kind.is_empty())) {
        properties = properties.with_type(text);
    }
    // What was refused is of use in any order, and much of it may have one key.
    let line = record.key.as_deref().filter(|key| !key.is_empty() && record.topic != topics.dead_letters);
    let line = line.map(|key| xxh3_64_with_seed(key, xxh3_64(record.topic.as_bytes())));
    Ok(Letter { way, topic: record.topic.clone(), line, properties, body: payload })
}

/// Kept on disk.
const PERSISTENT: u8 = 2;

/// A text that fits; what is longer stands in the message itself.
fn short(text: Option<&str>) -> Option<ShortString> {
    ShortString::try_new(text?).ok()
}

/// The headers of a record. Where they are too large for a frame, only the agent's own are left.
fn table(record: &Outgoing) -> FieldTable {
    let size = |(name, value): &(String, Option<Vec<u8>>)| name.len() + value.as_ref().map_or(0, Vec::len) + 8;
    let whole = record.headers.iter().map(size).sum::<usize>() <= MAX_HEADER_BYTES;
    let mut table = FieldTable::default();
    let mut left_out = !whole;
    for (name, value) in &record.headers {
        if name == CONTENT_TYPE || !(whole || is_ours(name)) {
            continue;
        }
        let Ok(name) = ShortString::try_new(name.as_str()) else {
            left_out = true;
            continue;
        };
        let value = value.as_ref().map(|value| AMQPValue::LongString(LongString::from(value.clone())));
        table.insert(name, value.unwrap_or(AMQPValue::Void));
    }
    if left_out && !table.contains_key(LEFT_OUT) {
        table.insert(LEFT_OUT.into(), AMQPValue::LongString("headers".into()));
    }
    table
}

/// The word of a change in a routing key: `events.{kind}`.
fn word(kind: ChainEventKind) -> &'static str {
    match kind {
        ChainEventKind::Unspecified => "unspecified",
        ChainEventKind::Decided => "decided",
        ChainEventKind::State => "state",
        ChainEventKind::UndoStarted => "undo_started",
        ChainEventKind::Answered => "answered",
        ChainEventKind::Operator => "operator",
        ChainEventKind::Evicted => "evicted",
        ChainEventKind::IdReused => "id_reused",
        ChainEventKind::BrakeEngaged => "brake_engaged",
        ChainEventKind::Closed => "closed",
        ChainEventKind::AnswerIgnored => "answer_ignored",
        ChainEventKind::OperatorRefused => "operator_refused",
    }
}

#[cfg(test)]
mod tests {
    use lapin::{
        BasicProperties,
        message::Delivery,
        types::{AMQPValue, FieldTable},
    };
    use prost::Message as _;

    use super::{MAX_HEADER_BYTES, letter, record, stream_offset};
    use crate::{
        bus::{
            Outgoing, Stamp,
            rabbit::source::{Kind, Source, topics},
        },
        model::{BusTime, HostTime},
        wire::proto::{ChainEvent, ChainEventKind},
    };

    fn delivery(headers: &[(&str, AMQPValue)], redelivered: bool) -> Delivery {
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), value.clone());
        }
        let mut delivery = Delivery::mock(1, "shop".into(), "orders".into(), redelivered, b"body".to_vec());
        delivery.properties = BasicProperties::default().with_headers(table);
        delivery
    }

    fn source() -> Source {
        Source { topic: "orders".into(), partition: 0, queue: "orders".into(), kind: Kind::Queue }
    }

    #[test]
    fn the_bus_time_is_the_brokers_or_that_of_arrival() {
        let (plain, _) = record(&source(), delivery(&[], false), HostTime(9_000));
        assert_eq!(plain.stamp, Stamp::Bus(BusTime(9_000)));
        let stamped = delivery(&[("timestamp_in_ms", AMQPValue::LongLongInt(8_500))], false);
        assert_eq!(record(&source(), stamped, HostTime(9_000)).0.stamp, Stamp::Sender(BusTime(8_500)));
        let text = delivery(&[("timestamp_in_ms", AMQPValue::LongString("soon".into()))], false);
        assert_eq!(record(&source(), text, HostTime(9_000)).0.stamp, Stamp::Bus(BusTime(9_000)));
        let streamed = delivery(&[("x-stream-offset", AMQPValue::LongLongInt(42))], false);
        assert_eq!(stream_offset(&streamed), Some(42));
    }

    #[test]
    fn a_message_that_comes_again_is_known_and_another_is_not() {
        let identity = |delivery: &Delivery| super::identity(&source(), delivery);
        let first = delivery(&[("a", AMQPValue::LongInt(1))], false);
        let again = delivery(&[("a", AMQPValue::LongInt(1)), ("x-delivery-count", AMQPValue::LongLongInt(1))], true);
        assert_eq!(identity(&first), identity(&again));
        for other in [delivery(&[("a", AMQPValue::LongInt(2))], false), delivery(&[("ab", AMQPValue::Void)], false)] {
            assert_ne!(identity(&first), identity(&other));
        }
    }

    #[test]
    fn a_command_can_be_told_without_decoding_it() {
        let topics = topics(&[], "results", "operations");
        let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
        let command = Outgoing {
            headers: vec![
                header("content-type", "application/protobuf"),
                header("countermand-command-id", "id-1"),
                header("countermand-chain-id", "chain-1"),
                header("countermand-action", "undo"),
                header("tenant", "a"),
            ],
            ..Outgoing::keyed("commands.stock", "chain-1", b"bytes".to_vec())
        };
        let made = letter(&command, &topics, "cm", HostTime(7_999)).unwrap();
        let properties = &made.properties;
        let text = |text: &Option<lapin::types::ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
        assert_eq!(text(properties.message_id()).as_deref(), Some("id-1"));
        assert_eq!(text(properties.correlation_id()).as_deref(), Some("chain-1"));
        assert_eq!(text(properties.kind()).as_deref(), Some("countermand.v1.Command"));
        assert_eq!(text(properties.content_type()).as_deref(), Some("application/protobuf"));
        assert_eq!((properties.timestamp(), properties.delivery_mode()), (&Some(7), &Some(2)));
        let names: Vec<&str> =
            properties.headers().as_ref().unwrap().into_iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["countermand-action", "countermand-chain-id", "countermand-command-id", "tenant", "timestamp_in_ms"]
        );
    }

    #[test]
    fn an_event_says_its_kind_in_its_routing_key() {
        let topics = topics(&[], "results", "operations");
        let event =
            ChainEvent { event_id: "e-1".into(), kind: ChainEventKind::UndoStarted.into(), ..ChainEvent::default() };
        let made = letter(&Outgoing::keyed("events", "c", event.encode_to_vec()), &topics, "cm", HostTime(0)).unwrap();
        assert_eq!((made.way.routing_key.as_str(), made.way.mandatory), ("events.undo_started", false));
        assert_eq!(made.properties.message_id().as_ref().unwrap().as_str(), "e-1");
    }

    #[test]
    fn headers_that_fit_into_no_frame_are_left_out_and_that_is_said() {
        let topics = topics(&[], "results", "operations");
        let headers = vec![
            ("countermand-reason".to_owned(), Some(b"malformed".to_vec())),
            ("huge".to_owned(), Some(vec![0; MAX_HEADER_BYTES])),
            ("n".repeat(256), None),
        ];
        let record = Outgoing { headers, ..Outgoing::keyed("dead-letters", "k", Vec::new()) };
        let made = letter(&record, &topics, "cm", HostTime(0)).unwrap();
        let table = made.properties.headers().as_ref().unwrap();
        let names: Vec<&str> = table.into_iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["countermand-left-out", "countermand-reason", "timestamp_in_ms"]);
        let nowhere = Outgoing::keyed(&"r".repeat(300), "k", Vec::new());
        assert!(letter(&nowhere, &topics, "cm", HostTime(0)).is_err());
    }
}
