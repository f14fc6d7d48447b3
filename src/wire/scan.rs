//! Reading an envelope where it lies, without a copy of anything: what most messages are read by.
//!
//! It reads only what is written as every library writes it: known fields, each at most once, and no maps. Of anything else
//! it says nothing, also not what would be wrong with it, and prost reads that; so what is accepted and why something is not
//! is decided by prost alone. A property test holds both ways against each other (`tests/wire/scan.rs`).

use std::str::from_utf8;

use super::{
    borrowed::{AnyRef, CompensationRef, EffectRef, EnvelopeRef, PartyRef, StatusRef},
    proto::{Duration, Timestamp},
};

/// The envelope in `bytes`, if it is written as most are.
#[must_use]
pub fn scan_envelope(bytes: &[u8]) -> Option<EnvelopeRef<'_>> {
    let mut envelope = EnvelopeRef::default();
    fields(bytes, |number, value| {
        match number {
            1 => envelope.message_id = value.text()?,
            2 => envelope.chain_id = value.text()?,
            3 => envelope.call_id = value.text()?,
            4 => envelope.parent_call_id = value.text()?,
            5 => envelope.kind = value.enumeration()?,
            6 => envelope.source = Some(party(value.bytes()?)?),
            7 => envelope.destination = Some(party(value.bytes()?)?),
            8 => envelope.operation = value.text()?,
            9 => envelope.payload = Some(any(value.bytes()?)?),
            10 => envelope.timeout = Some(time(value.bytes()?).map(|(seconds, nanos)| Duration { seconds, nanos })?),
            11 => envelope.sent_at = Some(time(value.bytes()?).map(|(seconds, nanos)| Timestamp { seconds, nanos })?),
            12 => envelope.status = Some(status(value.bytes()?)?),
            13 => envelope.effect = Some(effect(value.bytes()?)?),
            20 => envelope.retry_of = value.text()?,
            21 => envelope.compensates = value.text()?,
            22 => envelope.during_command_id = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(envelope)
}

fn party(bytes: &[u8]) -> Option<PartyRef<'_>> {
    let mut party = PartyRef::default();
    fields(bytes, |number, value| {
        match number {
            1 => party.service = value.text()?,
            2 => party.version = value.text()?,
            3 => party.instance = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(party)
}

fn any(bytes: &[u8]) -> Option<AnyRef<'_>> {
    let mut any = AnyRef::default();
    fields(bytes, |number, value| {
        match number {
            1 => any.type_url = value.text()?,
            2 => any.value = value.bytes()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(any)
}

/// Seconds and nanoseconds of a duration or a timestamp.
fn time(bytes: &[u8]) -> Option<(i64, i32)> {
    let (mut seconds, mut nanos) = (0, 0);
    fields(bytes, |number, value| {
        match number {
            1 => seconds = value.varint()?.cast_signed(),
            2 => nanos = value.enumeration()?,
            _ => return None,
        }
        Some(())
    })?;
    Some((seconds, nanos))
}

fn status(bytes: &[u8]) -> Option<StatusRef<'_>> {
    let mut status = StatusRef::default();
    fields(bytes, |number, value| {
        match number {
            1 => status.code = value.enumeration()?,
            2 => status.reason = value.text()?,
            3 => status.message = value.text()?,
            4 => status.caused_by_call_id = value.text()?,
            5 => status.fault = value.enumeration()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(status)
}

fn effect(bytes: &[u8]) -> Option<EffectRef<'_>> {
    let mut effect = EffectRef::default();
    fields(bytes, |number, value| {
        match number {
            1 => effect.kind = value.enumeration()?,
            2 => effect.idempotency_key = value.text()?,
            3 => effect.compensation = Some(compensation(value.bytes()?)?),
            _ => return None,
        }
        Some(())
    })?;
    Some(effect)
}

fn compensation(bytes: &[u8]) -> Option<CompensationRef<'_>> {
    let mut compensation = CompensationRef::default();
    fields(bytes, |number, value| {
        match number {
            1 => compensation.operation = value.text()?,
            2 => compensation.payload = Some(any(value.bytes()?)?),
            3 => compensation.accepts_in_doubt = value.varint()? != 0,
            4 => compensation.inquire_operation = value.text()?,
            5 => compensation.route = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(compensation)
}

/// The value of a field.
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn varint(&self) -> Option<u64> {
        if let Self::Varint(number) = self { Some(*number) } else { None }
    }

    /// An `int32` or the number of an enumeration, which a varint is cut to.
    fn enumeration(&self) -> Option<i32> {
        #[expect(clippy::cast_possible_truncation, reason = "protobuf keeps the low 32 bits")]
        self.varint().map(|number| number as i32)
    }

    fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    fn text(&self) -> Option<&'a str> {
        from_utf8(self.bytes()?).ok()
    }
}

/// Gives every field with its number to `take`, as long as that takes it. `None`: it did not, a field came twice, or the bytes
/// are no message.
fn fields<'a>(mut bytes: &'a [u8], mut take: impl FnMut(u32, Value<'a>) -> Option<()>) -> Option<()> {
    let mut seen = 0_u32;
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number < u32::BITS)?;
        if seen & (1 << number) != 0 {
            return None;
        }
        seen |= 1 << number;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Bytes(value)
            }
            _ => return None,
        };
        take(number, value)?;
    }
    Some(())
}

/// A varint in at most ten bytes, of which the last holds one bit.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    let mut number = 0;
    for (n, &byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * n);
        if byte < 0x80 {
            *bytes = &bytes[n + 1..];
            return (n < 9 || byte < 2).then_some(number);
        }
    }
    None
}
