//! Why a message was refused.

use std::fmt;

/// Why a message was refused before any engine saw it (S8.2, S8.3). A field is named as in the contract, from the
/// message down: `effect.compensation.operation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireError {
    /// More bytes than a message may have.
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// The bytes are no such message.
    Malformed {
        /// The type that was expected.
        name: &'static str,
        /// What the decoder says.
        why: String,
    },
    /// The JSON is no such message.
    MalformedJson {
        /// What the parser says, with the place.
        why: String,
    },
    /// A required field is empty.
    Missing {
        /// The field.
        field: &'static str,
    },
    /// An id that stands for "none": it would merge chains that have nothing to do with each other.
    PlaceholderId {
        /// The field.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// An id with a control character.
    ControlCharacter {
        /// The field.
        field: &'static str,
    },
    /// A text is too long.
    TooLong {
        /// The field.
        field: &'static str,
        /// Bytes that it has.
        bytes: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// A map has too many entries.
    TooMany {
        /// The field.
        field: &'static str,
        /// Entries that it has.
        count: usize,
        /// Entries that are allowed.
        limit: usize,
    },
    /// An enum says nothing, or something that is unknown here and cannot be passed over.
    UnknownValue {
        /// The field.
        field: &'static str,
        /// Its number.
        number: i32,
    },
    /// A time or a length of time that is out of range.
    OutOfRange {
        /// The field.
        field: &'static str,
        /// What it says.
        value: String,
        /// What is allowed.
        range: String,
    },
    /// A dead letter that is a response: only requests and events are delivered to a callee.
    NoRequest,
}

impl WireError {
    /// The word in the `countermand-reason` header and in metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "message_too_large",
            Self::Malformed { .. } => "malformed",
            Self::MalformedJson { .. } => "malformed_json",
            Self::Missing { .. } => "missing_field",
            Self::PlaceholderId { .. } => "placeholder_id",
            Self::ControlCharacter { .. } => "control_character",
            Self::TooLong { .. } => "field_too_long",
            Self::TooMany { .. } => "too_many_entries",
            Self::UnknownValue { .. } => "unknown_value",
            Self::OutOfRange { .. } => "out_of_range",
            Self::NoRequest => "no_request",
        }
    }

    /// The field at fault, if it is one.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Missing { field }
            | Self::PlaceholderId { field, .. }
            | Self::ControlCharacter { field }
            | Self::TooLong { field, .. }
            | Self::TooMany { field, .. }
            | Self::UnknownValue { field, .. }
            | Self::OutOfRange { field, .. } => Some(field),
            Self::NoRequest => Some("kind"),
            Self::TooLarge { .. } | Self::Malformed { .. } | Self::MalformedJson { .. } => None,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => write!(f, "the message has {bytes} bytes; {limit} are allowed"),
            Self::Malformed { name, why } => write!(f, "these bytes are no countermand.v1.{name}: {why}"),
            Self::MalformedJson { why } => write!(f, "this JSON does not fit: {why}"),
            Self::Missing { field } => write!(f, "`{field}` is empty and must not be"),
            Self::PlaceholderId { field, value } => {
                write!(f, "`{field}` is {value:?}, which stands for none: it would merge chains")
            }
            Self::ControlCharacter { field } => write!(f, "`{field}` has a control character"),
            Self::TooLong { field, bytes, limit } => write!(f, "`{field}` has {bytes} bytes; {limit} are allowed"),
            Self::TooMany { field, count, limit } => write!(f, "`{field}` has {count} entries; {limit} are allowed"),
            Self::UnknownValue { field, number: 0 } => write!(f, "`{field}` is not said and must be"),
            Self::UnknownValue { field, number } => write!(f, "`{field}` has the value {number}, unknown here"),
            Self::OutOfRange { field, value, range } => write!(f, "`{field}` is {value}; allowed is {range}"),
            Self::NoRequest => write!(f, "`kind`: a dead letter must be a request or an event, this is a response"),
        }
    }
}

impl std::error::Error for WireError {}
