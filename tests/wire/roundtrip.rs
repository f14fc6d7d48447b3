//! Any envelope survives JSON and bytes unchanged, and no bytes make the decoders panic.

use countermand::{
    model::Handled,
    recording::Reader,
    wire::{
        self, WireLimits,
        proto::{Any, Compensation, Duration, Effect, Envelope, Party, Status, Timestamp},
    },
};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
};
use prost::Message as _;

use crate::sample;

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![4 => 0..7_i32, 1 => any::<i32>()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 3 => Just("a-1".to_owned()), 2 => any::<String>()]
}

fn payload() -> impl Strategy<Value = Any> {
    (text(), vec(any::<u8>(), 0..40)).prop_map(|(type_url, value)| Any { type_url, value: value.into() })
}

fn party() -> impl Strategy<Value = Party> {
    (text(), text(), text()).prop_map(|(service, version, instance)| Party { service, version, instance })
}

fn nanos() -> impl Strategy<Value = i32> {
    prop_oneof![Just(0), (0..1000).prop_map(|n| n * 1_000_000), 0..1_000_000_000]
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800..=253_402_300_799_i64, nanos()).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos })
}

fn duration() -> impl Strategy<Value = Duration> {
    let seconds = prop_oneof![0..10_i64, 0..=315_576_000_000_i64];
    (seconds, nanos(), any::<bool>()).prop_map(|(seconds, nanos, negative)| {
        let sign = if negative { -1 } else { 1 };
        Duration { seconds: seconds * i64::from(sign), nanos: nanos * sign }
    })
}

fn compensation() -> impl Strategy<Value = Compensation> {
    let headers = btree_map(text(), text(), 0..3);
    (text(), option::of(payload()), any::<bool>(), text(), text(), headers).prop_map(
        |(operation, payload, accepts_in_doubt, inquire_operation, route, headers)| Compensation {
            operation,
            payload,
            accepts_in_doubt,
            inquire_operation,
            route,
            headers,
        },
    )
}

pub fn envelope() -> impl Strategy<Value = Envelope> {
    let effect = (number(), text(), option::of(compensation()))
        .prop_map(|(kind, idempotency_key, compensation)| Effect { kind, idempotency_key, compensation });
    let status =
        (number(), text(), text(), text(), number()).prop_map(|(code, reason, message, caused_by_call_id, fault)| {
            Status { code, reason, message, caused_by_call_id, fault }
        });
    let ids = (text(), text(), text(), text(), text(), text(), text(), text());
    let parts = (option::of(party()), option::of(party()), option::of(payload()), option::of(effect));
    let rest = (
        number(),
        option::of(duration()),
        option::of(timestamp()),
        option::of(status),
        btree_map(text(), text(), 0..3),
    );
    (ids, parts, rest).prop_map(|(ids, (source, destination, payload, effect), rest)| {
        let (message_id, chain_id, call_id, parent_call_id, operation, retry_of, compensates, during_command_id) = ids;
        let (kind, timeout, sent_at, status, attributes) = rest;
        Envelope {
            message_id,
            chain_id,
            call_id,
            parent_call_id,
            kind,
            source,
            destination,
            operation,
            payload,
            timeout,
            sent_at,
            status,
            effect,
            retry_of,
            compensates,
            during_command_id,
            attributes,
        }
    })
}

/// Bytes that get further than noise: an envelope with some of them changed, and cut somewhere.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![
        Just(sample::envelope().encode_to_vec()),
        Just(wire::to_json(&sample::envelope()).unwrap().into_bytes()),
        vec(any::<u8>(), 0..300),
    ];
    (whole, vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), any::<prop::sample::Index>()).prop_map(
        |(mut bytes, changes, cut)| {
            for (place, byte) in changes {
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                }
            }
            bytes.truncate(cut.index(2 * bytes.len() + 1));
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_envelope_survives_json_and_bytes(envelope in envelope()) {
        let json = wire::to_json(&envelope).unwrap();
        prop_assert_eq!(&wire::from_json::<Envelope>(json.as_bytes()).unwrap(), &envelope, "{}", json);
        let bytes = envelope.encode_to_vec();
        prop_assert_eq!(wire::decode_envelope(&bytes[..], &WireLimits::default()).unwrap(), envelope);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in damaged()) {
        let limits = WireLimits::default();
        let decoded = wire::decode_envelope(&bytes[..], &limits).into_iter();
        for envelope in decoded.chain(wire::from_json(&bytes)) {
            let _ = wire::message(&envelope, &limits);
            let _ = wire::dead_letter(&envelope, Handled::Maybe, &limits);
            let _ = wire::to_json(&envelope);
        }
        if let Ok(result) = wire::decode_command_result(&bytes[..], &limits) {
            let _ = wire::command_result(&result, &limits);
        }
        if let Ok(operation) = wire::decode_operation(&bytes[..], &limits) {
            let _ = wire::operation(&operation, &limits);
        }
        let input = std::io::Cursor::new(bytes);
        if let Ok(reader) = Reader::new("bytes", input) {
            prop_assert!(reader.line_limit(100).count() <= 400, "reading ends");
        }
    }

    /// jiff knows the calendar by other means than we do.
    #[test]
    fn dates_are_those_of_the_calendar(seconds in -62_135_596_800..253_370_000_000_i64) {
        let ours = wire::to_json(&Timestamp { seconds, nanos: 0 }).unwrap();
        let theirs = jiff::Timestamp::from_second(seconds).unwrap().to_string();
        prop_assert_eq!(ours.trim_matches('"'), theirs);
    }
}
