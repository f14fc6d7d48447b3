//! Identifiers from outside, kept compactly.
//!
//! Most systems use UUIDs or hex trace ids: a canonical UUID is kept as its 16 bytes, other ids of up to 22 bytes in
//! place, and only longer ones on the heap. The text that comes out is the text that went in.

use std::{borrow::Cow, fmt};

/// Longest identifier that is accepted, in bytes. Longer ones are refused on decoding (S8.2): a UUID has 36, and
/// composed ids rarely pass 100.
pub const MAX_ID_BYTES: usize = 128;

/// A call id, chain id or other identifier: 24 bytes, or 24 and a heap string.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id(Repr);

const INLINE: usize = 22;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Uuid([u8; 16]),
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Box<str>),
}

impl Id {
    /// Keeps `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if let Some(bytes) = parse_uuid(text) {
            return Self(Repr::Uuid(bytes));
        }
        if text.len() <= INLINE {
            let mut bytes = [0; INLINE];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            let len = u8::try_from(text.len()).unwrap_or(0);
            return Self(Repr::Inline { len, bytes });
        }
        Self(Repr::Heap(text.into()))
    }

    /// The text as it came.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Repr::Uuid(bytes) => Cow::Owned(format_uuid(bytes)),
            Repr::Inline { len, bytes } => String::from_utf8_lossy(&bytes[..usize::from(*len)]),
            Repr::Heap(text) => Cow::Borrowed(text),
        }
    }

    /// Whether this is the id `text`, without making a string.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        match &self.0 {
            Repr::Uuid(bytes) => parse_uuid(text).is_some_and(|other| other == *bytes),
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)] == text.as_bytes(),
            Repr::Heap(own) => **own == *text,
        }
    }

    /// Bytes kept on the heap, for the memory account (S2.10).
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Heap(text) => text.len(),
            _ => 0,
        }
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

/// Ids sort by their text, so that an order never depends on how an id is kept.
impl Ord for Id {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text().cmp(&other.text())
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Only the canonical form (lower case, hyphens at their places) is packed: any other must come out as it went in.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    /// Where each byte's two digits stand.
    const PLACES: [u8; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    if text[8] != b'-' || text[13] != b'-' || text[18] != b'-' || text[23] != b'-' {
        return None;
    }
    let mut out = [0; 16];
    let mut bad = 0;
    for (byte, place) in out.iter_mut().zip(PLACES) {
        let (high, low) =
            (DIGITS[usize::from(text[usize::from(place)])], DIGITS[usize::from(text[usize::from(place) + 1])]);
        bad |= high | low;
        *byte = (high << 4) | (low & 15);
    }
    (bad & 0xf0 == 0).then_some(out)
}

/// The value of a lower-case hexadecimal digit; of anything else, something above 15.
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut n = 0_u8;
    while n < 16 {
        digits[if n < 10 { b'0' + n } else { b'a' + n - 10 } as usize] = n;
        n += 1;
    }
    digits
};

fn format_uuid(bytes: &[u8; 16]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(36);
    for (n, byte) in bytes.iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Id;

    #[test]
    fn text_survives_however_it_is_kept() {
        for text in [
            "",
            "a",
            "0123456789012345678901",
            "01234567890123456789012",
            "8f14e45f-ceea-467f-a7d1-0d9f2a1b3c4d",
            "8F14E45F-ceea-467f-a7d1-0d9f2a1b3c4d",
            "8f14e45fceea467fa7d10d9f2a1b3c4d",
            "8f14e45f-ceea-467f-a7d1-0d9f2a1b3c4é",
        ] {
            let id = Id::new(text);
            assert_eq!(id.text(), text);
            assert!(id.is(text));
            assert!(!id.is("another"));
        }
        assert_eq!(std::mem::size_of::<Id>(), 24);
    }
}
