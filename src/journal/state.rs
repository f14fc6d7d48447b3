//! How state stands in the state topic: compacted, one partition for each partition number of the inputs.
//!
//! | key | value |
//! |---|---|
//! | `ch` part (u16) chain id | version, parts (u16), a piece of the chain's snapshot |
//! | `en` | version, the engine's own snapshot |
//! | `cl` bucket (u64) number (u32) | version, ids that were closed, packed by the engine |
//!
//! Numbers are big-endian. A tombstone deletes. A snapshot larger than [`PART_BYTES`] stands in several parts, which are
//! written in one commit. A kind that is retired stays reserved for ever.

/// Largest piece of a snapshot in one record: with its key it stays below Kafka's default limit of 1 MiB a record.
pub const PART_BYTES: usize = 900_000;

/// Most parts of one snapshot, about 55 GB: never reached, since an engine's memory is bounded far below.
const MAX_PARTS: usize = u16::MAX as usize;

/// Version of the values written here.
const VERSION: u8 = 1;

const CHAIN: [u8; 2] = *b"ch";
const ENGINE: [u8; 2] = *b"en";
const CLOSED: [u8; 2] = *b"cl";

/// What a state record is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One part of a chain's snapshot.
    Chain {
        /// The chain.
        chain_id: String,
        /// Part, from zero.
        part: u16,
    },
    /// What is not of one chain.
    Engine,
    /// Ids that were closed.
    Closed(ClosedKey),
}

/// Names one record of closed ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClosedKey {
    /// Time bucket: host time divided by the bucket's length.
    pub bucket: u64,
    /// Number in the bucket.
    pub number: u32,
}

/// A record of the state topic that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// Its key is of no kind that this version knows.
    UnknownKey,
    /// Its value is of a version that this version does not know.
    UnknownVersion(u8),
    /// It ends too early.
    Truncated,
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownKey => f.write_str("its key is of an unknown kind"),
            Self::UnknownVersion(version) => write!(f, "it is of version {version}, this agent knows {VERSION}"),
            Self::Truncated => f.write_str("it ends too early"),
        }
    }
}

impl std::error::Error for StateError {}

impl Key {
    /// The key's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Chain { chain_id, part } => [&CHAIN[..], &part.to_be_bytes(), chain_id.as_bytes()].concat(),
            Self::Engine => ENGINE.to_vec(),
            Self::Closed(key) => [&CLOSED[..], &key.bucket.to_be_bytes(), &key.number.to_be_bytes()].concat(),
        }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`StateError::UnknownKey`] or [`StateError::Truncated`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let (kind, rest) = bytes.split_first_chunk::<2>().ok_or(StateError::Truncated)?;
        match *kind {
            CHAIN => {
                let (part, id) = rest.split_first_chunk::<2>().ok_or(StateError::Truncated)?;
                let chain_id = String::from_utf8(id.to_vec()).map_err(|_| StateError::UnknownKey)?;
                Ok(Self::Chain { chain_id, part: u16::from_be_bytes(*part) })
            }
            ENGINE => Ok(Self::Engine),
            CLOSED => {
                let (bucket, rest) = rest.split_first_chunk::<8>().ok_or(StateError::Truncated)?;
                let number = rest.first_chunk::<4>().ok_or(StateError::Truncated)?;
                Ok(Self::Closed(ClosedKey { bucket: u64::from_be_bytes(*bucket), number: u32::from_be_bytes(*number) }))
            }
            _ => Err(StateError::UnknownKey),
        }
    }
}

/// The values of a chain's snapshot, one for each part.
#[must_use]
pub fn chain_values(snapshot: &[u8]) -> Vec<Vec<u8>> {
    let parts = snapshot.len().div_ceil(PART_BYTES).clamp(1, MAX_PARTS);
    let total = u16::try_from(parts).unwrap_or(u16::MAX).to_be_bytes();
    let pieces: Vec<&[u8]> = if snapshot.is_empty() { vec![&[]] } else { snapshot.chunks(PART_BYTES).collect() };
    pieces.into_iter().map(|piece| [&[VERSION][..], &total, piece].concat()).collect()
}

/// The parts of the whole snapshot, and this piece of it.
///
/// # Errors
/// If the value is too short or of another version.
pub fn chain_piece(value: &[u8]) -> Result<(u16, &[u8]), StateError> {
    let (parts, piece) = body(value)?.split_first_chunk::<2>().ok_or(StateError::Truncated)?;
    Ok((u16::from_be_bytes(*parts), piece))
}

/// The value of an engine or closed record.
#[must_use]
pub fn plain_value(bytes: &[u8]) -> Vec<u8> {
    [&[VERSION][..], bytes].concat()
}

/// What [`plain_value`] was given.
///
/// # Errors
/// If the value is empty or of another version.
pub fn body(value: &[u8]) -> Result<&[u8], StateError> {
    match value.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((&version, _)) => Err(StateError::UnknownVersion(version)),
        None => Err(StateError::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use super::{ClosedKey, Key, PART_BYTES, StateError, body, chain_piece, chain_values, plain_value};

    /// What was written by the first release is read for ever: these bytes may not change.
    #[test]
    fn keys_stand_as_documented() {
        let fixtures: [(Key, &[u8]); 3] = [
            (Key::Chain { chain_id: "a/7".to_owned(), part: 2 }, b"ch\0\x02a/7"),
            (Key::Engine, b"en"),
            (Key::Closed(ClosedKey { bucket: 0x0102, number: 3 }), b"cl\0\0\0\0\0\0\x01\x02\0\0\0\x03"),
        ];
        for (key, bytes) in fixtures {
            assert_eq!(key.encode(), bytes);
            assert_eq!(Key::decode(bytes), Ok(key));
        }
        assert_eq!(Key::decode(b"zz"), Err(StateError::UnknownKey));
        assert_eq!(Key::decode(b"cl\0"), Err(StateError::Truncated));
    }

    #[test]
    fn a_snapshot_of_any_size_comes_back_whole() {
        for size in [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 5] {
            let snapshot: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let values = chain_values(&snapshot);
            let mut whole = Vec::new();
            for value in &values {
                let (parts, piece) = chain_piece(value).unwrap();
                assert_eq!(usize::from(parts), values.len());
                whole.extend_from_slice(piece);
            }
            assert_eq!(whole, snapshot);
        }
    }

    #[test]
    fn values_of_another_version_are_refused() {
        assert_eq!(body(&plain_value(b"x")), Ok(&b"x"[..]));
        assert_eq!(body(&[9, 1]), Err(StateError::UnknownVersion(9)));
        assert_eq!(chain_piece(&[1, 0]), Err(StateError::Truncated));
    }
}
