//! A record as a line of a recording.

use crate::{
    bus::{Record, carried, layout::Role, merge::Taken},
    recording::{Body, Entry},
    wire::{self, WireError, WireLimits},
};

/// What a recording says of a record. Only what cannot be decoded has no line: a message that breaks a rule of the
/// contract is written down, and refused by whoever reads it, as it would have been on the bus.
///
/// # Errors
/// [`WireError::TooLarge`] and [`WireError::Malformed`].
pub fn entry(taken: &Taken<Record>, role: Role, limits: &WireLimits) -> Result<Entry, WireError> {
    let record = &taken.item;
    let bytes = record.payload.clone().unwrap_or_default();
    let body = match role {
        Role::Envelopes => wire::decode_envelope(bytes, limits).map(Body::Envelope),
        Role::Carried => return entry(taken, carried::role(record), limits),
        Role::Results => wire::decode_command_result(bytes, limits).map(Body::CommandResult),
        Role::Operations => wire::decode_operation(bytes, limits).map(Body::Operation),
        Role::DeadLetters(handled) => {
            wire::decode_envelope(bytes, limits).map(|envelope| Body::DeadLetter { envelope, handled })
        }
    }?;
    Ok(Entry {
        at: Some(taken.at),
        topic: Some(record.topic.to_string()),
        partition: Some(record.partition),
        offset: Some(record.offset),
        body: Some(body),
    })
}
