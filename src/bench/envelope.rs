//! Calls as envelopes.

use super::{
    rng::Rng,
    story::{Answer, Call, Story},
};
use crate::{
    model::{BusTime, Span},
    wire::proto::{Any, Compensation, Duration, Effect, Envelope, Kind, Party, Status, StatusCode, Timestamp},
};

/// How large envelopes are made by their payload; `None`: as they are, without one.
pub(super) type Size = Option<usize>;

/// All messages of a story, with their times, in the order in which they were sent.
pub(super) fn messages(story: &Story, began: BusTime, size: Size, rng: &mut Rng) -> Vec<(BusTime, Envelope)> {
    let mut messages = Vec::with_capacity(story.calls.len() * 2);
    for call in &story.calls {
        let at = began.plus(Span(call.began));
        messages.push((at, 0, sized(request(story, call, at, rng), size)));
        if let Some((ended, answer)) = call.ended {
            let at = began.plus(Span(ended));
            messages.push((at, 1, sized(response(story, call, answer, at, rng), size)));
        }
    }
    messages.sort_by_key(|(at, answer, _)| (*at, *answer));
    messages.into_iter().map(|(at, _, envelope)| (at, envelope)).collect()
}

fn base(story: &Story, call: &Call, at: BusTime, rng: &mut Rng) -> Envelope {
    Envelope {
        message_id: rng.uuid(),
        chain_id: story.chain_id.clone(),
        call_id: call.id.clone(),
        operation: call.spec.operation.clone(),
        sent_at: Some(Timestamp {
            seconds: at.0.div_euclid(1000),
            nanos: i32::try_from(at.0.rem_euclid(1000)).unwrap_or(0) * 1_000_000,
        }),
        ..Envelope::default()
    }
}

fn caller(call: &Call) -> Option<Party> {
    Some(Party { service: call.caller.clone(), ..Party::default() })
}

fn callee(call: &Call) -> Option<Party> {
    Some(Party { service: call.spec.service.clone(), version: call.spec.version.clone(), ..Party::default() })
}

fn request(story: &Story, call: &Call, at: BusTime, rng: &mut Rng) -> Envelope {
    let id = |n: Option<usize>| n.map(|n| story.calls[n].id.clone()).unwrap_or_default();
    let kind = if call.spec.event { Kind::Event } else { Kind::Request };
    let timeout = call.spec.timeout.filter(|_| !call.spec.event);
    Envelope {
        kind: kind.into(),
        parent_call_id: id(call.parent),
        retry_of: id(call.retry_of),
        source: caller(call),
        destination: callee(call),
        timeout: timeout.map(|ms| Duration {
            seconds: i64::try_from(ms / 1000).unwrap_or(0),
            nanos: i32::try_from(ms % 1000).unwrap_or(0) * 1_000_000,
        }),
        effect: call.spec.undo.as_ref().map(|undo| Effect {
            compensation: Some(Compensation {
                operation: undo.clone(),
                accepts_in_doubt: call.spec.accepts_in_doubt,
                ..Compensation::default()
            }),
            ..Effect::default()
        }),
        ..base(story, call, at, rng)
    }
}

fn response(story: &Story, call: &Call, answer: Answer, at: BusTime, rng: &mut Rng) -> Envelope {
    let (code, reason) = match answer {
        Answer::Ok => (StatusCode::Ok, ""),
        Answer::Failed(reason) => (StatusCode::Failed, reason),
    };
    Envelope {
        kind: Kind::Response.into(),
        source: callee(call),
        destination: caller(call),
        status: Some(Status { code: code.into(), reason: reason.to_owned(), ..Status::default() }),
        ..base(story, call, at, rng)
    }
}

/// Brings an envelope to its size with a payload of zeros.
fn sized(mut envelope: Envelope, size: Size) -> Envelope {
    use prost::Message as _;
    let Some(size) = size else { return envelope };
    const TYPE: &str = "bench/Payload";
    envelope.payload = Some(Any { type_url: TYPE.to_owned(), value: Vec::new().into() });
    // Lengths of the value and of the payload take a few bytes more once there is something in it.
    let missing = size.saturating_sub(envelope.encoded_len());
    let value = missing.saturating_sub(if missing > 200 { 5 } else { 3 });
    envelope.payload = Some(Any { type_url: TYPE.to_owned(), value: vec![0; value].into() });
    envelope
}
