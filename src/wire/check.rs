//! Checks of single fields (S8.2, S8.3): each gives back what it found good.

use std::collections::BTreeMap;

use super::{
    borrowed::{AnyRef, PartyRef},
    error::WireError,
    proto::{Duration, Timestamp},
};
use crate::{
    model::{self, Span},
    policy::WireLimits,
};

/// Seconds of 0001-01-01T00:00:00Z, the first instant of a protobuf timestamp.
pub(super) const FIRST_SECOND: i64 = -62_135_596_800;
/// Seconds of 9999-12-31T23:59:59Z, the last one.
pub(super) const LAST_SECOND: i64 = 253_402_300_799;
/// Largest count of nanoseconds in a protobuf time.
pub(super) const LAST_NANO: i32 = 999_999_999;

/// The names of a party's three fields in an error.
pub(super) type PartyFields = [&'static str; 3];

impl WireLimits {
    /// An id that may be empty.
    pub(super) fn id<'a>(&self, field: &'static str, text: &'a str) -> Result<&'a str, WireError> {
        if text.len() > self.id_bytes.min(model::MAX_ID_BYTES) {
            return Err(WireError::TooLong { field, bytes: text.len(), limit: self.id_bytes.min(model::MAX_ID_BYTES) });
        }
        if has_control(text) {
            return Err(WireError::ControlCharacter { field });
        }
        Ok(text)
    }

    /// An id that must be there.
    pub(super) fn required_id<'a>(&self, field: &'static str, text: &'a str) -> Result<&'a str, WireError> {
        if text.is_empty() {
            return Err(WireError::Missing { field });
        }
        self.id(field, text)
    }

    /// A name that may be empty.
    pub(super) fn name<'a>(&self, field: &'static str, text: &'a str) -> Result<&'a str, WireError> {
        if text.len() > self.name_bytes {
            return Err(WireError::TooLong { field, bytes: text.len(), limit: self.name_bytes });
        }
        Ok(text)
    }

    /// A party; absent: all unknown.
    pub(super) fn party<'a>(
        &self,
        fields: PartyFields,
        party: Option<PartyRef<'a>>,
    ) -> Result<model::Party<'a>, WireError> {
        let Some(party) = party else { return Ok(model::Party::default()) };
        Ok(model::Party {
            service: self.name(fields[0], party.service)?,
            version: self.name(fields[1], party.version)?,
            instance: self.name(fields[2], party.instance)?,
        })
    }

    /// A payload; an empty one of no type is none.
    pub(super) fn payload<'a>(
        &self,
        field: &'static str,
        any: Option<AnyRef<'a>>,
    ) -> Result<Option<model::Payload<'a>>, WireError> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty() || !any.value.is_empty()) else { return Ok(None) };
        if any.type_url.len() > self.type_url_bytes {
            return Err(WireError::TooLong { field, bytes: any.type_url.len(), limit: self.type_url_bytes });
        }
        Ok(Some(model::Payload { type_url: any.type_url, value: any.value }))
    }

    /// Attributes or headers; none if empty.
    pub(super) fn map<'a>(
        &self,
        field: &'static str,
        map: Option<&'a BTreeMap<String, String>>,
    ) -> Result<Option<&'a BTreeMap<String, String>>, WireError> {
        let Some(map) = map else { return Ok(None) };
        if map.len() > self.attribute_count {
            return Err(WireError::TooMany { field, count: map.len(), limit: self.attribute_count });
        }
        let bytes = map.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > self.attribute_bytes {
            return Err(WireError::TooLong { field, bytes, limit: self.attribute_bytes });
        }
        Ok((!map.is_empty()).then_some(map))
    }

    /// A timeout, rounded up to whole milliseconds; zero is the same as none: most languages' default for "not set".
    pub(super) fn timeout(&self, field: &'static str, duration: Option<&Duration>) -> Result<Option<Span>, WireError> {
        let Some(&Duration { seconds, nanos }) = duration else { return Ok(None) };
        let out_of_range = || WireError::OutOfRange {
            field,
            value: format!("{seconds} s and {nanos} ns"),
            range: format!("from zero to {}", self.timeout),
        };
        if !(0..=LAST_NANO).contains(&nanos) {
            return Err(out_of_range());
        }
        let seconds = u64::try_from(seconds).map_err(|_| out_of_range())?;
        let millis = seconds.saturating_mul(1000).saturating_add(u64::from(nanos.unsigned_abs()).div_ceil(1_000_000));
        if Span(millis) > self.timeout {
            return Err(out_of_range());
        }
        Ok((millis > 0).then_some(Span(millis)))
    }
}

/// A protobuf timestamp is one of the years 1 to 9999.
pub(super) fn timestamp(field: &'static str, timestamp: Option<&Timestamp>) -> Result<(), WireError> {
    let Some(&Timestamp { seconds, nanos }) = timestamp else { return Ok(()) };
    if (FIRST_SECOND..=LAST_SECOND).contains(&seconds) && (0..=LAST_NANO).contains(&nanos) {
        return Ok(());
    }
    Err(WireError::OutOfRange {
        field,
        value: format!("{seconds} s and {nanos} ns after 1970"),
        range: "a time of the years 1 to 9999".to_owned(),
    })
}

/// At most `limit` bytes from the beginning of `text`, never within a character.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Refuses ids that many senders put where they have none (S8.3): they would merge chains.
pub(super) fn no_placeholder(field: &'static str, id: &str) -> Result<(), WireError> {
    const WORDS: [&str; 12] =
        ["null", "nil", "none", "undefined", "unknown", "default", "n/a", "nan", "(null)", "<nil>", "<null>", "{}"];
    let only = |chars: &[u8]| id.bytes().all(|byte| chars.contains(&byte));
    // Nothing but zeros (a nil UUID, an unset number), nothing but blanks, the largest UUID, a variable that was never
    // filled in, a word for none.
    let placeholder = only(b"0-_. ")
        || (id.len() >= 32 && only(b"fF-"))
        || ["${", "{{", "%{"].iter().any(|open| id.starts_with(open))
        || (id.len() <= 9 && WORDS.iter().any(|word| id.trim().eq_ignore_ascii_case(word)));
    if placeholder { Err(WireError::PlaceholderId { field, value: id.to_owned() }) } else { Ok(()) }
}

fn has_control(text: &str) -> bool {
    // Folding without leaving early is what lets the compiler look at many bytes at once.
    let (low, high) = text
        .bytes()
        .fold((false, false), |(low, high), byte| (low | (byte < 0x20) | (byte == 0x7f), high | (byte >= 0x80)));
    low || (high && text.chars().any(char::is_control))
}
