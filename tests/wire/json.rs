//! proto3 canonical JSON: the exact text that is written, and everything that may be read instead.

use countermand::wire::{self, WireError, proto};

use crate::sample;

const CANONICAL: &str = concat!(
    r#"{"messageId":"m-1","chainId":"6f3cbf05-8c27-4554-8a39-ad724905d6a1","callId":"reserve","parentCallId":"place","#,
    r#""kind":"KIND_REQUEST","source":{"service":"order","version":"1.4","instance":"order-7"},"#,
    r#""destination":{"service":"inventory","version":"2.0"},"operation":"Reserve","#,
    r#""payload":{"@type":"type.googleapis.com/shop.Reservation","value":"AP8Q"},"timeout":"1.500000001s","#,
    r#""sentAt":"2023-11-14T22:13:20.123456789Z","status":{"code":"STATUS_CODE_FAILED","reason":"SOLD_OUT","#,
    r#""message":"nothing left","causedByCallId":"count","fault":"FAULT_BUSINESS"},"#,
    r#""effect":{"kind":"EFFECT_KIND_COMPENSATABLE","idempotencyKey":"k-1","compensation":{"operation":"Release","#,
    r#""payload":{"@type":"type.googleapis.com/shop.Release","value":"AQ=="},"acceptsInDoubt":true,"#,
    r#""inquireOperation":"IsReserved","route":"legacy.inventory","headers":{"x-tenant":"blue"}}},"#,
    r#""retryOf":"reserve-1","compensates":"earlier","duringCommandId":"c0ffee","attributes":{"tenant":"blue"}}"#
);

fn read(json: &str) -> proto::Envelope {
    wire::from_json(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn refused(json: &str) -> String {
    match wire::from_json::<proto::Envelope>(json.as_bytes()) {
        Err(WireError::MalformedJson { why }) => why,
        other => panic!("{json}: {other:?}"),
    }
}

#[test]
fn every_field_is_written_canonically() {
    assert_eq!(wire::to_json(&sample::envelope()).unwrap(), CANONICAL);
    assert_eq!(read(CANONICAL), sample::envelope());
    assert_eq!(wire::to_json(&proto::Envelope::default()).unwrap(), "{}");
}

#[test]
fn other_spellings_are_read() {
    let alike = [
        (r#"{"chain_id":"c"}"#, r#"{"chainId":"c"}"#),
        (r#"{"kind":2}"#, r#"{"kind":"KIND_RESPONSE"}"#),
        (r#"{"effect":{"idempotency_key":"k"}}"#, r#"{"effect":{"idempotencyKey":"k"}}"#),
        (r#"{"sentAt":"2026-01-02T05:04:05.5+02:00"}"#, r#"{"sentAt":"2026-01-02T03:04:05.500Z"}"#),
        (r#"{"sentAt":"2026-01-02t03:04:05z"}"#, r#"{"sentAt":"2026-01-02T03:04:05Z"}"#),
        (r#"{"timeout":"1.50s"}"#, r#"{"timeout":"1.500s"}"#),
        (r#"{"payload":{"value":"-_8","@type":"t"}}"#, r#"{"payload":{"@type":"t","value":"+/8="}}"#),
        (r#"{"payload":{"@type":"t","value":"+/8"}}"#, r#"{"payload":{"@type":"t","value":"+/8="}}"#),
        (r#"{"payload":{"@type":"t"}}"#, r#"{"payload":{"@type":"t","value":""}}"#),
        (r#"{"chainId":null,"kind":null,"source":null,"attributes":null,"timeout":null}"#, "{}"),
        (r#"{"effect":{"compensation":{"acceptsInDoubt":null}}}"#, r#"{"effect":{"compensation":{}}}"#),
        (r#"{"kind":0,"status":{"fault":"FAULT_CALLEE"}}"#, r#"{"status":{}}"#),
    ];
    for (spelling, canonical) in alike {
        assert_eq!(wire::to_json(&read(spelling)).unwrap(), canonical);
    }
    for revision in ["7", "\"7\"", "7.0", "0.7e1"] {
        let json = format!("{{\"revision\":{revision}}}");
        assert_eq!(wire::from_json::<proto::Operation>(json.as_bytes()).unwrap().revision, 7);
    }
    let evidence: proto::Evidence = wire::from_json(br#"{"calls":"18446744073709551615","failures":3}"#).unwrap();
    assert_eq!(wire::to_json(&evidence).unwrap(), r#"{"calls":"18446744073709551615","failures":"3"}"#);
    assert_eq!(read(r#"{"kind":77}"#).kind, 77, "an unknown number is kept");
    assert_eq!(wire::to_json(&read(r#"{"kind":77}"#)).unwrap(), r#"{"kind":77}"#);
}

#[test]
fn what_does_not_fit_is_refused_with_its_name_or_place() {
    let faults = [
        (r#"{"chain":"c"}"#, "unknown field `chain`"),
        (r#"{"effect":{"undo":"x"}}"#, "unknown field `undo`"),
        (r#"{"payload":{"@type":"t","orderId":"5"}}"#, "unknown field `orderId` in a payload"),
        (r#"{"chainId":"a","chain_id":"b"}"#, "duplicate field"),
        (r#"{"payload":{"@type":"t","@type":"u"}}"#, "duplicate field"),
        (r#"{"payload":{"@type":"t","value":"!"}}"#, "no base64"),
        (r#"{"kind":"KIND_REPLY"}"#, "countermand.v1.Kind"),
        (r#"{"kind":1.5}"#, "countermand.v1.Kind"),
        (r#"{"kind":4294967297}"#, "countermand.v1.Kind"),
        (r#"{"chainId":5}"#, "expected a string"),
        (r#"{"timeout":"1.5"}"#, "a duration such as"),
        (r#"{"timeout":"1.0000000001s"}"#, "a duration such as"),
        (r#"{"timeout":1.5}"#, "a duration such as"),
        (r#"{"sentAt":"2026-02-29T00:00:00Z"}"#, "RFC 3339"),
        (r#"{"sentAt":"2026-01-01T00:00:00"}"#, "RFC 3339"),
        (r#"{"sentAt":"2026-01-01 00:00:00Z"}"#, "RFC 3339"),
        (r#"{"sentAt":"0001-01-01T00:00:00+00:01"}"#, "RFC 3339"),
        (r#"{"sentAt":"2026-01-01T00:00:00+0100"}"#, "RFC 3339"),
        (r#"{"source":["order"]}"#, "an object"),
        (r#"["m-1"]"#, "an object"),
        (r#"{"chainId":"c"} {"#, "trailing characters"),
    ];
    for (json, part) in faults {
        let why = refused(json);
        assert!(why.contains(part) && why.contains("line 1 column"), "{json}: {why}");
    }
}

#[test]
fn times_that_json_cannot_write_are_refused() {
    let mut envelope = sample::envelope();
    envelope.sent_at = Some(proto::Timestamp { seconds: i64::MAX, nanos: 0 });
    assert_eq!(wire::to_json(&envelope).unwrap_err().word(), "malformed_json");
    envelope.sent_at = None;
    envelope.timeout = Some(proto::Duration { seconds: 1, nanos: -1 });
    assert_eq!(wire::to_json(&envelope).unwrap_err().word(), "malformed_json");
}
