//! The protobuf contract, and its conversion from and to the model.
//!
//! What comes from the bus takes two steps: bytes to a contract type ([`decode_envelope`] and its like), contract type
//! to the model ([`message`], [`dead_letter`], [`command_result`], [`operation`]). The second borrows from the first
//! and checks everything that the engine takes for granted: ids, lengths, enum values, times (S8.2, S8.3). Nothing
//! here panics, whatever the bytes. The way back is for what the agent publishes: [`command`], [`chain_record`],
//! [`chain_event`]. JSON is [`from_json`] and [`to_json`].
//!
//! Nesting needs no setting: prost refuses more than 100 levels, JSON more than 128, and the contract itself has 4.

mod borrowed;
mod chain;
mod check;
mod command;
mod envelope;
mod error;
pub(crate) mod json;
mod operation;
pub mod proto;
mod result;
mod scan;
pub(crate) mod time;
mod view;
mod words;

use prost::{
    Message,
    bytes::{Buf, Bytes},
};

pub use crate::policy::WireLimits;

pub use borrowed::EnvelopeRef;
pub use chain::{chain_event, chain_record, chain_record_within, state_word, verb_word};
pub use command::{AGENT, check_command, command, request_of};
pub use envelope::{dead_letter, message};
pub use error::WireError;
pub use json::{from_json, to_json};
pub use operation::operation;
pub use result::command_result;
pub use scan::scan_envelope;
pub use view::chain_view;

/// Decodes an envelope. Given [`prost::bytes::Bytes`], payloads share their memory; given a slice, they are copied.
///
/// # Errors
/// [`WireError::TooLarge`] and [`WireError::Malformed`].
pub fn decode_envelope(bytes: impl Buf, limits: &WireLimits) -> Result<proto::Envelope, WireError> {
    decode("Envelope", bytes, limits)
}

/// An envelope as it is read without a copy, or as it was decoded into `owned` where it is written in a way that few use.
///
/// # Errors
/// As [`decode_envelope`].
pub fn read_envelope<'a>(
    bytes: &'a Bytes,
    limits: &WireLimits,
    owned: &'a mut Option<proto::Envelope>,
) -> Result<EnvelopeRef<'a>, WireError> {
    if bytes.len() <= limits.message_bytes
        && let Some(envelope) = scan_envelope(bytes)
    {
        return Ok(envelope);
    }
    Ok(EnvelopeRef::from(&*owned.insert(decode_envelope(bytes.clone(), limits)?)))
}

/// Decodes a command, as a participant reads it. What it says is checked by [`check_command`].
///
/// # Errors
/// [`WireError::TooLarge`] and [`WireError::Malformed`].
pub fn decode_command(bytes: impl Buf, limits: &WireLimits) -> Result<proto::Command, WireError> {
    decode("Command", bytes, limits)
}

/// Decodes a participant's answer to a command.
///
/// # Errors
/// [`WireError::TooLarge`] and [`WireError::Malformed`].
pub fn decode_command_result(bytes: impl Buf, limits: &WireLimits) -> Result<proto::CommandResult, WireError> {
    decode("CommandResult", bytes, limits)
}

/// Decodes an operator's action.
///
/// # Errors
/// [`WireError::TooLarge`] and [`WireError::Malformed`].
pub fn decode_operation(bytes: impl Buf, limits: &WireLimits) -> Result<proto::Operation, WireError> {
    decode("Operation", bytes, limits)
}

fn decode<M: Message + Default>(name: &'static str, bytes: impl Buf, limits: &WireLimits) -> Result<M, WireError> {
    let size = bytes.remaining();
    if size > limits.message_bytes {
        return Err(WireError::TooLarge { bytes: size, limit: limits.message_bytes });
    }
    M::decode(bytes).map_err(|error| WireError::Malformed { name, why: error.to_string() })
}
