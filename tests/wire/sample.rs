//! A request that uses every field.

use std::collections::BTreeMap;

use countermand::wire::proto::{
    Any, Compensation, Duration, Effect, EffectKind, Envelope, Fault, Kind, Party, Status, StatusCode, Timestamp,
};

pub fn envelope() -> Envelope {
    let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    Envelope {
        message_id: "m-1".into(),
        chain_id: "6f3cbf05-8c27-4554-8a39-ad724905d6a1".into(),
        call_id: "reserve".into(),
        parent_call_id: "place".into(),
        kind: Kind::Request.into(),
        source: Some(Party { service: "order".into(), version: "1.4".into(), instance: "order-7".into() }),
        destination: Some(Party { service: "inventory".into(), version: "2.0".into(), instance: String::new() }),
        operation: "Reserve".into(),
        payload: Some(Any { type_url: "type.googleapis.com/shop.Reservation".into(), value: vec![0, 255, 16].into() }),
        timeout: Some(Duration { seconds: 1, nanos: 500_000_001 }),
        sent_at: Some(Timestamp { seconds: 1_700_000_000, nanos: 123_456_789 }),
        status: Some(Status {
            code: StatusCode::Failed.into(),
            reason: "SOLD_OUT".into(),
            message: "nothing left".into(),
            caused_by_call_id: "count".into(),
            fault: Fault::Business.into(),
        }),
        effect: Some(Effect {
            kind: EffectKind::Compensatable.into(),
            idempotency_key: "k-1".into(),
            compensation: Some(Compensation {
                operation: "Release".into(),
                payload: Some(Any { type_url: "type.googleapis.com/shop.Release".into(), value: vec![1].into() }),
                accepts_in_doubt: true,
                inquire_operation: "IsReserved".into(),
                route: "legacy.inventory".into(),
                headers: map("x-tenant", "blue"),
            }),
        }),
        retry_of: "reserve-1".into(),
        compensates: "earlier".into(),
        during_command_id: "c0ffee".into(),
        attributes: map("tenant", "blue"),
    }
}
