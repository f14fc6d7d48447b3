//! `Envelope` to the model's message (S0, S1.7, S3.1).

use super::{
    borrowed::{CompensationRef, EffectRef, EnvelopeRef, StatusRef},
    check::{PartyFields, cut, no_placeholder, timestamp},
    error::WireError,
    proto::{self, EffectKind, Kind},
    words::known,
};
use crate::{
    model::{
        Compensation, DeadLetter, EffectDeclaration, Fault, Handled, Message, MessageKind, Request, Response, Status,
        StatusCode,
    },
    policy::WireLimits,
};

const SOURCE: PartyFields = ["source.service", "source.version", "source.instance"];
const DESTINATION: PartyFields = ["destination.service", "destination.version", "destination.instance"];

/// The message that an envelope is. Every field is checked, whether its kind uses it or not.
///
/// # Errors
/// The first fault that was found; see [`WireError`].
pub fn message<'a>(envelope: impl Into<EnvelopeRef<'a>>, limits: &WireLimits) -> Result<Message<'a>, WireError> {
    let envelope = &envelope.into();
    let chain_id = limits.required_id("chain_id", envelope.chain_id)?;
    no_placeholder("chain_id", chain_id)?;
    let call_id = limits.required_id("call_id", envelope.call_id)?;
    let message_id = limits.id("message_id", envelope.message_id)?;
    timestamp("sent_at", envelope.sent_at.as_ref())?;
    let request = request(envelope, limits)?;
    let status = status(envelope.status, limits)?;
    let kind = match Kind::try_from(envelope.kind) {
        Ok(Kind::Request) => MessageKind::Request(request),
        Ok(Kind::Event) => MessageKind::Event(request),
        Ok(Kind::Response) => MessageKind::Response(Response {
            by: request.source,
            status,
            effect: request.effect,
            payload: request.payload,
        }),
        Ok(Kind::Unspecified) | Err(_) => {
            return Err(WireError::UnknownValue { field: "kind", number: envelope.kind });
        }
    };
    Ok(Message { message_id, chain_id, call_id, kind })
}

/// The dead letter that an envelope from a dead-letter topic or queue is (S1.9).
///
/// # Errors
/// As [`message`], and [`WireError::NoRequest`] for a response.
pub fn dead_letter<'a>(
    envelope: impl Into<EnvelopeRef<'a>>,
    handled: Handled,
    limits: &WireLimits,
) -> Result<DeadLetter<'a>, WireError> {
    let message = message(envelope, limits)?;
    match message.kind {
        MessageKind::Response(_) => Err(WireError::NoRequest),
        MessageKind::Request(_) | MessageKind::Event(_) => Ok(DeadLetter { message, handled }),
    }
}

fn request<'a>(envelope: &EnvelopeRef<'a>, limits: &WireLimits) -> Result<Request<'a>, WireError> {
    Ok(Request {
        parent: limits.id("parent_call_id", envelope.parent_call_id)?,
        source: limits.party(SOURCE, envelope.source)?,
        destination: limits.party(DESTINATION, envelope.destination)?,
        operation: limits.name("operation", envelope.operation)?,
        timeout: limits.timeout("timeout", envelope.timeout.as_ref())?,
        retry_of: limits.id("retry_of", envelope.retry_of)?,
        compensates: limits.id("compensates", envelope.compensates)?,
        during: limits.id("during_command_id", envelope.during_command_id)?,
        effect: effect(envelope.effect, limits)?,
        attributes: limits.map("attributes", envelope.attributes)?,
        payload: limits.payload("payload.type_url", envelope.payload)?,
    })
}

/// A status that is absent, not said or unknown here is `Unknown`: silence is never success (S3.1).
fn status<'a>(status: Option<StatusRef<'a>>, limits: &WireLimits) -> Result<Status<'a>, WireError> {
    let Some(status) = status else {
        return Ok(Status { code: StatusCode::Unknown, reason: "", message: "", caused_by: "", fault: Fault::Callee });
    };
    Ok(Status {
        code: known::<proto::StatusCode, _>(status.code).unwrap_or(StatusCode::Unknown),
        reason: cut(status.reason, limits.name_bytes),
        message: status.message,
        caused_by: limits.id("status.caused_by_call_id", status.caused_by_call_id)?,
        fault: match proto::Fault::try_from(status.fault) {
            Ok(proto::Fault::Caller) => Fault::Caller,
            Ok(proto::Fault::Business) => Fault::Business,
            Ok(proto::Fault::Callee) | Err(_) => Fault::Callee,
        },
    })
}

fn effect<'a>(effect: Option<EffectRef<'a>>, limits: &WireLimits) -> Result<EffectDeclaration<'a>, WireError> {
    let Some(effect) = effect else { return Ok(EffectDeclaration::default()) };
    Ok(EffectDeclaration {
        class: match (effect.kind, known::<EffectKind, _>(effect.kind)) {
            (0, _) => None,
            (number, None) => return Err(WireError::UnknownValue { field: "effect.kind", number }),
            (_, class) => class,
        },
        key: limits.name("effect.idempotency_key", effect.idempotency_key)?,
        compensation: compensation(effect.compensation, limits)?,
    })
}

/// Some libraries send empty messages for absent ones: an empty compensation is none. One that says something, but not
/// which operation, is a fault: to pass it over would be to leave an effect behind.
fn compensation<'a>(
    compensation: Option<CompensationRef<'a>>,
    limits: &WireLimits,
) -> Result<Option<Compensation<'a>>, WireError> {
    let Some(compensation) = compensation.filter(|given| *given != CompensationRef::default()) else {
        return Ok(None);
    };
    if compensation.operation.is_empty() {
        return Err(WireError::Missing { field: "effect.compensation.operation" });
    }
    Ok(Some(Compensation {
        operation: limits.name("effect.compensation.operation", compensation.operation)?,
        payload: limits.payload("effect.compensation.payload.type_url", compensation.payload)?,
        accepts_in_doubt: compensation.accepts_in_doubt,
        inquire_operation: limits.name("effect.compensation.inquire_operation", compensation.inquire_operation)?,
        route: limits.name("effect.compensation.route", compensation.route)?,
        headers: limits.map("effect.compensation.headers", compensation.headers)?,
    }))
}
