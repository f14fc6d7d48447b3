//! proto3 canonical JSON of the contract's types, both ways (`docs/decisions/canonical-json.md`).
//!
//! Written are lowerCamelCase names, enum names, RFC 3339 times, durations such as `"1.5s"`, 64-bit integers as texts
//! and bytes in base64; what has its default is left out. Read are also the original field names, enum numbers,
//! integers as numbers or texts, both alphabets of base64, and `null` for absent. A field that the type does not have
//! is an error that names it. Payloads are `{"@type": URL, "value": BASE64}` whatever their type: the agent has no
//! descriptors of them.

mod any;
mod field;
mod object;
mod time;

use serde::{Serialize, de::DeserializeOwned};

pub(super) use field::{
    is_default, read_enum, read_enums, read_message, read_messages, read_nullable, read_number, write_enum,
    write_enums, write_long,
};
pub(crate) use object::Object;

use super::error::WireError;

/// Reads one message of the contract from JSON.
///
/// # Errors
/// [`WireError::MalformedJson`], with line and column.
pub fn from_json<M: DeserializeOwned>(json: &[u8]) -> Result<M, WireError> {
    let Object(message) = serde_json::from_slice(json).map_err(malformed)?;
    Ok(message)
}

/// Writes one message of the contract as JSON, on one line.
///
/// # Errors
/// [`WireError::MalformedJson`] for a time or duration outside of what protobuf allows: JSON has no way to write it.
pub fn to_json<M: Serialize>(message: &M) -> Result<String, WireError> {
    serde_json::to_string(message).map_err(malformed)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn malformed(error: serde_json::Error) -> WireError {
    WireError::MalformedJson { why: error.to_string() }
}
