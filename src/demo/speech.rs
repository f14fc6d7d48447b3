//! What the shop's services say: envelopes, and answers to commands, as records of their topics.

use prost::Message as _;

use super::{
    order::Order,
    shop::{Move, Step},
};
use crate::{
    bus::Outgoing,
    model::{HostTime, Span},
    wire::{
        proto::{
            Command, CommandResult, Compensation, Effect, EffectKind, Envelope, Kind, Party, ResultState, Status,
            StatusCode,
        },
        time::{duration_of, timestamp_of},
    },
};

/// Where answers to commands go.
pub const RESULTS: &str = "countermand.results";

/// Where messages to a service go.
#[must_use]
pub fn topic_of(service: &str) -> String {
    format!("shop.{service}")
}

/// Where commands to a service go.
#[must_use]
pub fn commands_of(service: &str) -> String {
    format!("countermand.commands.{service}")
}

/// Who asks whom for what.
pub struct Asked<'a> {
    /// In which chain.
    pub chain: &'a str,
    /// Inside which call; empty: it is the root.
    pub parent: &'a str,
    /// Who asks.
    pub by: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What for.
    pub step: &'a Step,
}

/// A request. Where it has an effect, it says what undoes it.
#[must_use]
pub fn request(asked: &Asked<'_>, order: &Order, effect: Option<Move>, now: HostTime) -> Envelope {
    let Asked { chain, parent, by, version, step } = asked;
    // Of one order each operation is asked for once, so its name names the call.
    let call = step.operation.to_ascii_lowercase();
    let compensation = |what: Move| Compensation {
        operation: what.undo.to_owned(),
        accepts_in_doubt: what.inquire.is_empty(),
        inquire_operation: what.inquire.to_owned(),
        ..Compensation::default()
    };
    Envelope {
        message_id: format!("{chain}/{call}/request"),
        chain_id: (*chain).to_owned(),
        call_id: call.clone(),
        parent_call_id: (*parent).to_owned(),
        kind: Kind::Request.into(),
        source: Some(party(by, version)),
        destination: Some(party(step.service, "")),
        operation: step.operation.to_owned(),
        payload: Some(order.to_any()),
        timeout: Some(duration_of(Span::millis(step.timeout))),
        sent_at: Some(timestamp_of(now.0)),
        effect: effect.map(|what| Effect {
            kind: EffectKind::Compensatable.into(),
            idempotency_key: format!("{chain}/{call}"),
            compensation: Some(compensation(what)),
        }),
        ..Envelope::default()
    }
}

/// The response to a request.
#[must_use]
pub fn response(
    request: &Envelope,
    by: &str,
    version: &str,
    code: StatusCode,
    reason: &str,
    caused_by: &str,
    now: HostTime,
) -> Envelope {
    Envelope {
        message_id: format!("{}/{}/response", request.chain_id, request.call_id),
        chain_id: request.chain_id.clone(),
        call_id: request.call_id.clone(),
        kind: Kind::Response.into(),
        source: Some(party(by, version)),
        destination: request.source.clone(),
        sent_at: Some(timestamp_of(now.0)),
        status: Some(Status {
            code: code.into(),
            reason: reason.to_owned(),
            caused_by_call_id: caused_by.to_owned(),
            ..Status::default()
        }),
        ..Envelope::default()
    }
}

/// An event inside of the call that `request` began.
#[must_use]
pub fn event(request: &Envelope, by: &str, version: &str, name: &str, order: &Order, now: HostTime) -> Envelope {
    Envelope {
        message_id: format!("{}/{name}", request.chain_id),
        chain_id: request.chain_id.clone(),
        call_id: name.to_ascii_lowercase(),
        parent_call_id: request.call_id.clone(),
        kind: Kind::Event.into(),
        source: Some(party(by, version)),
        operation: name.to_owned(),
        payload: Some(order.to_any()),
        sent_at: Some(timestamp_of(now.0)),
        ..Envelope::default()
    }
}

/// An envelope on its way to a service, and its message's id.
#[must_use]
pub fn to(service: &str, envelope: &Envelope) -> (Outgoing, String) {
    let record = Outgoing::keyed(&topic_of(service), &envelope.chain_id, envelope.encode_to_vec());
    (record, envelope.message_id.clone())
}

/// The answer to a command.
#[must_use]
pub fn result(command: &Command, by: &str, state: ResultState, at: HostTime) -> Outgoing {
    let result = CommandResult {
        command_id: command.command_id.clone(),
        chain_id: command.chain_id.clone(),
        state: state.into(),
        by: Some(party(by, "")),
        at: Some(timestamp_of(at.0)),
        ..CommandResult::default()
    };
    Outgoing::keyed(RESULTS, &command.chain_id, result.encode_to_vec())
}

fn party(service: &str, version: &str) -> Party {
    Party { service: service.to_owned(), version: version.to_owned(), ..Party::default() }
}
