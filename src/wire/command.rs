//! The model's command to `Command` (S5.9).

use super::{
    borrowed::{AnyRef, PartyRef},
    check::{PartyFields, timestamp},
    error::WireError,
    proto::{self, Any, Content, Party, Reference},
    time::timestamp_of,
    words::number,
};
use crate::{
    model::{self, Command, Position},
    policy::WireLimits,
};

const TARGET: PartyFields = ["target.service", "target.version", "target.instance"];

/// Whether a participant can take a command for granted: ids, names and times are within their limits, and what undo,
/// inquire and retry need is there. An action that is unknown here passes: it is answered, not refused.
///
/// # Errors
/// The first fault that was found; see [`WireError`].
pub fn check_command(command: &proto::Command, limits: &WireLimits) -> Result<(), WireError> {
    limits.required_id("command_id", &command.command_id)?;
    limits.id("chain_id", &command.chain_id)?;
    limits.id("call_id", &command.call_id)?;
    limits.party(TARGET, command.target.as_ref().map(PartyRef::from))?;
    let names = [
        ("operation", &command.operation),
        ("call_operation", &command.call_operation),
        ("idempotency_key", &command.idempotency_key),
        ("route", &command.route),
    ];
    names.into_iter().try_for_each(|(field, name)| limits.name(field, name).map(|_| ()))?;
    limits.map("attributes", Some(&command.attributes))?;
    limits.map("headers", Some(&command.headers))?;
    let contents = [
        ("request.payload.type_url", &command.request),
        ("response.payload.type_url", &command.response),
        ("compensation.payload.type_url", &command.compensation),
    ];
    for (field, content) in contents {
        limits.payload(field, content.as_ref().and_then(|content| content.payload.as_ref()).map(AnyRef::from))?;
    }
    timestamp("issued_at", command.issued_at.as_ref())?;
    timestamp("answer_by", command.answer_by.as_ref())?;
    timestamp("requested_at", command.requested_at.as_ref())?;
    let action = command.action();
    if matches!(action, proto::Action::Undo | proto::Action::Inquire | proto::Action::Retry) {
        limits.required_id("chain_id", &command.chain_id)?;
        limits.required_id("call_id", &command.call_id)?;
    }
    // An undo of nobody knows what would be guessed at.
    if action == proto::Action::Undo
        && !matches!(proto::Certainty::try_from(command.certainty), Ok(known) if known != proto::Certainty::Unspecified)
    {
        return Err(WireError::UnknownValue { field: "certainty", number: command.certainty });
    }
    Ok(())
}

/// The command as it is published. `place` names the topic, partition and offset of a position: the engine knows lanes
/// by number only.
#[must_use]
pub fn command(command: &Command, place: &dyn Fn(Position) -> Reference) -> proto::Command {
    let content = |content: &Option<model::Content>| content.as_ref().map(|content| self::content(content, place));
    proto::Command {
        command_id: command.command_id.clone(),
        chain_id: command.chain_id.clone(),
        call_id: command.call_id.clone(),
        action: number::<_, proto::Action>(command.action),
        target: Some(Party {
            service: command.service.clone(),
            version: command.version.clone(),
            instance: command.instance.clone(),
        }),
        operation: command.operation.clone(),
        certainty: number::<_, proto::Certainty>(command.certainty),
        wave: command.wave,
        generation: command.generation,
        attempt: command.attempt,
        issued_at: Some(timestamp_of(command.issued_at.0)),
        answer_by: Some(timestamp_of(command.answer_by.0)),
        request: content(&command.request),
        response: content(&command.response),
        compensation: content(&command.compensation),
        call_operation: command.call_operation.clone(),
        idempotency_key: command.key.clone(),
        requested_at: command.requested_at.map(|at| timestamp_of(at.0)),
        attributes: command.attributes.clone(),
        route: command.route.clone(),
        headers: command.headers.clone(),
        verdict: Some(proto::CommandVerdict { revision: command.revision, sentence: command.verdict.clone() }),
        ..Default::default()
    }
}

/// The service that requests of the agent's own come from.
pub const AGENT: &str = "countermand";

/// The envelope that goes out in a command's place, to a service that understands envelopes but no commands: a request whose
/// call is named by the command's id, and which undoes the call that the command is about (S1.8).
#[must_use]
pub fn request_of(command: &Command, message: &model::ServiceMessage) -> proto::Envelope {
    let payload =
        Any { type_url: format!("type.googleapis.com/{}", message.type_name), value: message.payload.clone().into() };
    proto::Envelope {
        message_id: command.command_id.clone(),
        chain_id: command.chain_id.clone(),
        call_id: command.command_id.clone(),
        kind: proto::Kind::Request.into(),
        source: Some(Party { service: AGENT.to_owned(), ..Party::default() }),
        destination: Some(Party { service: command.service.clone(), ..Party::default() }),
        operation: command.operation.clone(),
        sent_at: Some(timestamp_of(command.issued_at.0)),
        compensates: command.call_id.clone(),
        attributes: command.attributes.clone(),
        payload: Some(payload),
        ..proto::Envelope::default()
    }
}

fn content(content: &model::Content, place: &dyn Fn(Position) -> Reference) -> Content {
    match content {
        model::Content::Whole { type_url, value } => {
            let payload = Any { type_url: type_url.clone(), value: value.clone().into() };
            Content { payload: Some(payload), reference: None }
        }
        model::Content::Reference(moment) => Content { payload: None, reference: Some(place(moment.position)) },
    }
}
