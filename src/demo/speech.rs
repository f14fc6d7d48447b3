//! How the shop's services speak: the participant kit writes what they say, and these are the topics that it goes to.

use std::time::{Duration, SystemTime};

use prost::Message as _;

use super::shop::{Move, Step};
use crate::{
    bus::Outgoing,
    model::{HostTime, Span},
    participant::{Answered, Effect, Handling, Messages, Request},
    wire::proto::{self, Envelope},
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

/// The messages of a service at a version. Their ids are names that a person can read: of one order each operation is
/// asked for once, so that its label names a call.
#[must_use]
pub fn messages(service: &str, version: &str) -> Messages {
    Messages::of(service).version(version).ids(|about: &[&str]| match about {
        ["call", .., label] => (*label).to_owned(),
        [_, words @ ..] => words.iter().copied().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("/"),
        [] => String::new(),
    })
}

/// The label of a step.
#[must_use]
pub fn label(step: &Step) -> String {
    step.operation.to_ascii_lowercase()
}

/// A call made while another is handled.
pub fn request(handling: &Handling, step: &Step) -> Request {
    let request = handling.request(&label(step), step.service, step.operation);
    request.timeout(Duration::from_millis(step.timeout))
}

/// How long a call is waited for.
#[must_use]
pub fn timeout_of(request: &Envelope) -> Span {
    let parts = |timeout: &proto::Duration| (u64::try_from(timeout.seconds), u64::try_from(timeout.nanos));
    let (seconds, nanos) = request.timeout.as_ref().map_or((Ok(0), Ok(0)), parts);
    Span::millis(seconds.unwrap_or(0) * 1_000 + nanos.unwrap_or(0) / 1_000_000)
}

/// What undoes a move.
#[must_use]
pub fn effect(what: &Move) -> Effect {
    let effect = Effect::undone_by(what.undo);
    if what.inquire.is_empty() { effect.accepts_in_doubt() } else { effect.inquired_by(what.inquire) }
}

/// An envelope on its way to a service.
#[must_use]
pub fn to(service: &str, envelope: &Envelope) -> Outgoing {
    Outgoing::keyed(&topic_of(service), &envelope.chain_id, envelope.encode_to_vec())
}

/// The answer to a command on its way.
#[must_use]
pub fn result(answered: &Answered) -> Outgoing {
    Outgoing::keyed(RESULTS, &answered.result.chain_id, answered.result.encode_to_vec())
}

/// The run's time as the kit takes it.
#[must_use]
pub fn clock(now: HostTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now.0).unwrap_or(0))
}
