//! Messages that were carried to their chain's partition: how they are marked, and what is read from the marks. They keep
//! their bus time and where they came from.

use prost::Message;

use super::{
    Outgoing, Record, Stamp,
    headers::{CHAIN_ID, COMMAND_ID, is_ours},
    layout::Role,
};
use crate::model::{BusTime, Correlation, Handled};

/// What stands in the dead-letter topics of services (S1.9). Kafka never says that a message was not handed to anybody.
pub(crate) const UNDELIVERABLE: Role = Role::DeadLetters(Handled::Maybe);

/// Header: what the message is, `envelope`, `dead_letter` or `result`.
const KIND: &str = "countermand-carried";
/// Header: its bus time where it came from, in milliseconds since 1970.
const TIME: &str = "countermand-bus-time";
/// Header: `topic/partition/offset` where it came from.
const FROM: &str = "countermand-carried-from";

/// All that is looked at of an envelope here.
#[derive(Clone, PartialEq, Message)]
struct Keyed {
    #[prost(string, tag = "2")]
    chain_id: String,
}

/// Whose answer a record is, if it is a reply to what went out in a command's place: services bring the correlation back in
/// whatever header they use for one, or as the key. Headers that only an agent sets are no reply.
pub(crate) fn correlation(record: &Record) -> Option<Correlation> {
    let read = |bytes: &[u8]| Correlation::read(std::str::from_utf8(bytes).ok()?);
    let theirs = record.headers.iter().filter(|(name, _)| !is_ours(name)).filter_map(|(_, value)| value.as_deref());
    theirs.chain(record.key.as_deref()).find_map(read)
}

/// The command that a record is, or stands for: one of ours that died has its marks.
pub(crate) fn command(record: &Record) -> Option<Correlation> {
    let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned);
    Some(Correlation { chain_id: text(CHAIN_ID)?, command_id: text(COMMAND_ID)? })
}

/// The chain that a record of this role belongs to, if it says so.
fn chain_of(role: Role, record: &Record) -> Option<String> {
    let keyed = || Keyed::decode(record.payload.clone()?).ok().map(|keyed| keyed.chain_id).filter(|id| !id.is_empty());
    match role {
        Role::Results => correlation(record).map(|whose| whose.chain_id),
        Role::DeadLetters(_) => command(record).map(|whose| whose.chain_id).or_else(keyed),
        _ => keyed(),
    }
}

/// The record that carries `record`, read from a source of this role with the bus time `at`, to `topic`. `home` says to
/// which partition a key belongs. What cannot be decoded goes where its own key belongs, and is refused there.
pub(crate) fn carried(topic: &str, role: Role, record: &Record, at: BusTime, home: impl Fn(&[u8]) -> i32) -> Outgoing {
    let payload = record.payload.as_ref().map(|payload| payload.to_vec());
    let key = chain_of(role, record)
        .map_or_else(|| record.key.as_ref().map_or_else(Vec::new, |key| key.to_vec()), String::into_bytes);
    let ours = |name: &str| [KIND, TIME, FROM].contains(&name);
    let kept = record.headers.iter().filter(|(name, _)| !ours(name));
    let mut headers: Vec<(String, Option<Vec<u8>>)> =
        kept.map(|(name, value)| (name.clone(), value.as_ref().map(|value| value.to_vec()))).collect();
    let mark = |name: &str, value: String| (name.to_owned(), Some(value.into_bytes()));
    headers.extend([mark(KIND, role.word().to_owned()), mark(TIME, at.0.to_string()), mark(FROM, record.place())]);
    Outgoing { topic: topic.to_owned(), partition: Some(home(&key)), key: Some(key), payload, headers }
}

/// What a carried record is.
pub(crate) fn role(record: &Record) -> Role {
    match record.header(KIND) {
        Some(kind) if kind == UNDELIVERABLE.word().as_bytes() => UNDELIVERABLE,
        Some(kind) if kind == Role::Results.word().as_bytes() => Role::Results,
        _ => Role::Envelopes,
    }
}

/// The bus time of a carried record; without a mark the time on it.
pub(crate) fn stamp(record: &Record) -> Stamp {
    let time = record.header(TIME).and_then(|time| std::str::from_utf8(time).ok()?.parse().ok());
    time.map_or(record.stamp, |at| Stamp::Bus(BusTime(at)))
}

/// Where a carried record came from.
pub(super) fn origin(record: &Record) -> Option<String> {
    record.header(FROM).and_then(|from| std::str::from_utf8(from).ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;

    use super::{UNDELIVERABLE, carried, role, stamp};
    use crate::{
        bus::{Record, Stamp},
        model::BusTime,
        wire::proto::Envelope,
    };

    fn record(payload: Vec<u8>) -> Record {
        Record {
            topic: "in".into(),
            partition: 3,
            offset: 9,
            stamp: Stamp::Sender(BusTime(50)),
            key: Some(Bytes::from_static(b"customer-7")),
            headers: vec![
                ("own".to_owned(), None),
                ("countermand-bus-time".to_owned(), Some(Bytes::from_static(b"1"))),
            ],
            payload: Some(payload.into()),
        }
    }

    #[test]
    fn a_message_keeps_its_time_and_its_origin_under_its_chains_key() {
        let envelope = Envelope { message_id: "m".into(), chain_id: "chain-1".into(), ..Envelope::default() };
        for (payload, key) in [(envelope.encode_to_vec(), "chain-1"), (vec![0xff; 20], "customer-7")] {
            let home = |own: &[u8]| if own == key.as_bytes() { 7 } else { 0 };
            let outgoing = carried("to", UNDELIVERABLE, &record(payload.clone()), BusTime(70), home);
            assert_eq!((outgoing.partition, outgoing.key.as_deref()), (Some(7), Some(key.as_bytes())));
            assert_eq!(outgoing.payload.as_ref(), Some(&payload));
            let headers = outgoing.headers.into_iter().map(|(name, value)| (name, value.map(Bytes::from)));
            let there = Record { topic: "to".into(), offset: 1, headers: headers.collect(), ..record(payload) };
            assert_eq!((role(&there), stamp(&there)), (UNDELIVERABLE, Stamp::Bus(BusTime(70))));
            assert_eq!((there.origin().as_str(), there.header("own")), ("in/3/9", None));
        }
    }
}
