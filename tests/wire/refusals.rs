//! Each limit and each senseless value is refused by its own reason, which names the field.

use countermand::{
    model::{Handled, MessageKind, Span, StatusCode, Verb},
    wire::{self, WireError, WireLimits, proto},
};
use prost::Message as _;

use crate::sample;

fn refused(change: impl FnOnce(&mut proto::Envelope)) -> WireError {
    let mut envelope = sample::envelope();
    change(&mut envelope);
    let error = wire::message(&envelope, &WireLimits::default()).expect_err("it should be refused");
    let field = error.field().expect("a field is at fault");
    assert!(error.to_string().contains(&format!("`{field}`")), "the sentence names the field: {error}");
    error
}

#[test]
fn a_request_carries_every_field() {
    let envelope = sample::envelope();
    let message = wire::message(&envelope, &WireLimits::default()).unwrap();
    let MessageKind::Request(request) = message.kind else { panic!("{message:?}") };
    assert_eq!((message.message_id, message.chain_id, message.call_id), ("m-1", &*envelope.chain_id, "reserve"));
    assert_eq!((request.parent, request.operation, request.retry_of), ("place", "Reserve", "reserve-1"));
    assert_eq!((request.source.service, request.source.version, request.source.instance), ("order", "1.4", "order-7"));
    assert_eq!((request.destination.service, request.destination.version), ("inventory", "2.0"));
    assert_eq!((request.compensates, request.during), ("earlier", "c0ffee"));
    assert_eq!(request.timeout, Some(Span::millis(1501)), "parts of a millisecond round up");
    assert_eq!(request.payload.map(|payload| payload.value), Some(&[0_u8, 255, 16][..]));
    assert_eq!(request.attributes, Some(&envelope.attributes));
    assert_eq!(request.effect.key, "k-1");
    let compensation = request.effect.compensation.unwrap();
    assert!(compensation.accepts_in_doubt);
    assert_eq!((compensation.operation, compensation.inquire_operation), ("Release", "IsReserved"));
    assert_eq!((compensation.route, compensation.headers.map(|h| h.len())), ("legacy.inventory", Some(1)));
}

#[test]
fn what_is_too_long_or_too_much_is_refused() {
    let long = |bytes| "x".repeat(bytes);
    let too_long = |field, bytes, limit| WireError::TooLong { field, bytes, limit };
    assert_eq!(refused(|e| e.chain_id = long(129)), too_long("chain_id", 129, 128));
    assert_eq!(refused(|e| e.call_id = long(129)), too_long("call_id", 129, 128));
    assert_eq!(refused(|e| e.message_id = long(129)), too_long("message_id", 129, 128));
    assert_eq!(refused(|e| e.parent_call_id = long(129)), too_long("parent_call_id", 129, 128));
    assert_eq!(refused(|e| e.retry_of = long(129)), too_long("retry_of", 129, 128));
    assert_eq!(refused(|e| e.compensates = long(129)), too_long("compensates", 129, 128));
    assert_eq!(refused(|e| e.during_command_id = long(129)), too_long("during_command_id", 129, 128));
    assert_eq!(refused(|e| e.operation = long(257)), too_long("operation", 257, 256));
    assert_eq!(refused(|e| e.source.as_mut().unwrap().version = long(257)), too_long("source.version", 257, 256));
    assert_eq!(
        refused(|e| e.destination.as_mut().unwrap().service = long(257)),
        too_long("destination.service", 257, 256)
    );
    assert_eq!(refused(|e| e.payload.as_mut().unwrap().type_url = long(513)), too_long("payload.type_url", 513, 512));
    assert_eq!(
        refused(|e| e.status.as_mut().unwrap().caused_by_call_id = long(129)),
        too_long("status.caused_by_call_id", 129, 128)
    );
    assert_eq!(
        refused(|e| drop(e.attributes.insert("key".into(), long(20_000)))),
        too_long("attributes", 20_013, 16_384)
    );
    let error = refused(|e| e.attributes.extend((0..64).map(|n| (n.to_string(), String::new()))));
    assert_eq!(error, WireError::TooMany { field: "attributes", count: 65, limit: 64 });
    let bytes = proto::Envelope { operation: long(1 << 20), ..Default::default() }.encode_to_vec();
    let error = wire::decode_envelope(&bytes[..], &WireLimits::default()).unwrap_err();
    assert_eq!(error, WireError::TooLarge { bytes: (1 << 20) + 4, limit: 1 << 20 });
}

#[test]
fn ids_that_mean_nothing_are_refused() {
    assert_eq!(refused(|e| e.chain_id.clear()), WireError::Missing { field: "chain_id" });
    assert_eq!(refused(|e| e.call_id.clear()), WireError::Missing { field: "call_id" });
    for id in ["00000000-0000-0000-0000-000000000000", "0", "  ", "NULL", "undefined", "${traceId}", "{{trace}}"] {
        let error = refused(|e| e.chain_id = id.into());
        assert_eq!(error, WireError::PlaceholderId { field: "chain_id", value: id.into() });
    }
    for id in ["a\nb", "a\0", "a\u{7f}", "a\u{85}b"] {
        assert_eq!(refused(|e| e.chain_id = id.into()), WireError::ControlCharacter { field: "chain_id" });
    }
    for id in ["10", "nullify", "chain-0", "ключ", "$"] {
        let envelope = proto::Envelope { chain_id: id.into(), ..sample::envelope() };
        assert!(wire::message(&envelope, &WireLimits::default()).is_ok(), "{id} is an id like any other");
    }
}

#[test]
fn times_out_of_range_are_refused_and_zero_is_none() {
    let month = 30 * 24 * 3600;
    for (seconds, nanos) in [(-1, 0), (0, -1), (1, -1), (0, 1_000_000_000), (month, 1), (i64::MAX, 0)] {
        let error = refused(|e| e.timeout = Some(proto::Duration { seconds, nanos }));
        assert_eq!((error.word(), error.field()), ("out_of_range", Some("timeout")));
    }
    let timeout = |seconds, nanos| {
        let timeout = Some(proto::Duration { seconds, nanos });
        let envelope = proto::Envelope { timeout, ..sample::envelope() };
        match wire::message(&envelope, &WireLimits::default()).unwrap().kind {
            MessageKind::Request(request) => request.timeout,
            kind => panic!("{kind:?}"),
        }
    };
    assert_eq!((timeout(0, 0), timeout(0, 1)), (None, Some(Span::millis(1))));
    assert_eq!(timeout(month, 0), Some(Span::hours(30 * 24)));
    for (seconds, nanos) in [(i64::MAX, 0), (-62_135_596_801, 0), (253_402_300_800, 0), (0, -1), (0, 1_000_000_000)] {
        let error = refused(|e| e.sent_at = Some(proto::Timestamp { seconds, nanos }));
        assert_eq!((error.word(), error.field()), ("out_of_range", Some("sent_at")));
    }
}

#[test]
fn unknown_enum_values_are_refused_where_they_matter() {
    assert_eq!(refused(|e| e.kind = 0), WireError::UnknownValue { field: "kind", number: 0 });
    assert_eq!(refused(|e| e.kind = 9), WireError::UnknownValue { field: "kind", number: 9 });
    let error = refused(|e| e.effect.as_mut().unwrap().kind = 9);
    assert_eq!(error, WireError::UnknownValue { field: "effect.kind", number: 9 });
    let error = refused(|e| e.effect.as_mut().unwrap().compensation.as_mut().unwrap().operation.clear());
    assert_eq!(error, WireError::Missing { field: "effect.compensation.operation" });
}

#[test]
fn silence_and_unknown_codes_are_never_success() {
    let code = |status: Option<proto::Status>| {
        let envelope = proto::Envelope { kind: proto::Kind::Response.into(), status, ..sample::envelope() };
        match wire::message(&envelope, &WireLimits::default()).unwrap().kind {
            MessageKind::Response(response) => response.status.code,
            kind => panic!("{kind:?}"),
        }
    };
    let with = |code| Some(proto::Status { code, ..Default::default() });
    assert_eq!(code(None), StatusCode::Unknown);
    assert_eq!(code(with(0)), StatusCode::Unknown);
    assert_eq!(code(with(77)), StatusCode::Unknown);
    assert_eq!(code(with(1)), StatusCode::Ok);
}

#[test]
fn a_long_reason_is_cut_and_its_failure_kept() {
    let mut envelope = sample::envelope();
    envelope.kind = proto::Kind::Response.into();
    envelope.status.as_mut().unwrap().reason = "é".repeat(200);
    let message = wire::message(&envelope, &WireLimits::default()).unwrap();
    let MessageKind::Response(response) = message.kind else { panic!("{message:?}") };
    assert_eq!(response.status.code, StatusCode::Failed);
    assert_eq!(response.status.reason, "é".repeat(128));
    assert_eq!(response.by.service, "order", "who answers is the source");
}

#[test]
fn a_dead_letter_is_a_request_or_an_event() {
    let mut envelope = sample::envelope();
    let letter = wire::dead_letter(&envelope, Handled::No, &WireLimits::default()).unwrap();
    assert_eq!((letter.message.call_id, letter.handled), ("reserve", Handled::No));
    envelope.kind = proto::Kind::Response.into();
    let error = wire::dead_letter(&envelope, Handled::No, &WireLimits::default()).unwrap_err();
    assert_eq!(error, WireError::NoRequest);
}

#[test]
fn results_and_operations_say_what_they_answer_and_ask() {
    let limits = WireLimits::default();
    let good = proto::CommandResult {
        command_id: "c".into(),
        chain_id: "k".into(),
        state: proto::ResultState::NotNeeded.into(),
        ..Default::default()
    };
    assert!(wire::command_result(&good, &limits).is_ok());
    let bad = |change: fn(&mut proto::CommandResult)| {
        let mut result = good.clone();
        change(&mut result);
        wire::command_result(&result, &limits).unwrap_err()
    };
    assert_eq!(bad(|r| r.command_id.clear()), WireError::Missing { field: "command_id" });
    assert_eq!(bad(|r| r.chain_id.clear()), WireError::Missing { field: "chain_id" });
    assert_eq!(bad(|r| r.state = 0), WireError::UnknownValue { field: "state", number: 0 });

    let operation = |verb: proto::Verb, chain_id: &str| proto::Operation {
        verb: verb.into(),
        chain_id: chain_id.into(),
        ..Default::default()
    };
    let pause = operation(proto::Verb::Pause, "");
    assert_eq!(wire::operation(&pause, &limits).unwrap().verb, Verb::Pause);
    let nobody = wire::operation(&operation(proto::Verb::Approve, ""), &limits).unwrap_err();
    assert_eq!(nobody, WireError::Missing { field: "chain_id" });
    let nothing = wire::operation(&operation(proto::Verb::Unspecified, "c"), &limits).unwrap_err();
    assert_eq!(nothing, WireError::UnknownValue { field: "verb", number: 0 });
}
