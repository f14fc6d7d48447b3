//! What is read where it lies is what prost decodes, or is left to prost.

use countermand::wire::{self, EnvelopeRef, WireLimits, proto::Envelope};
use proptest::prelude::*;
use prost::{Message as _, bytes::Bytes};

use crate::roundtrip::envelope;

/// Both ways say the same of these bytes, errors included; whether they were read where they lie.
fn agree(bytes: &[u8]) -> bool {
    let limits = WireLimits::default();
    let decoded = wire::decode_envelope(bytes, &limits);
    let (whole, mut owned) = (Bytes::copy_from_slice(bytes), None);
    match (wire::read_envelope(&whole, &limits, &mut owned), &decoded) {
        (Ok(read), Ok(decoded)) => {
            assert_eq!(read, EnvelopeRef::from(decoded));
            assert_eq!(wire::message(read, &limits), wire::message(decoded, &limits));
        }
        (Err(read), Err(decoded)) => assert_eq!(read, *decoded),
        (read, decoded) => panic!("{read:?}, but {decoded:?}"),
    }
    wire::scan_envelope(bytes).is_some()
}

proptest! {
    #[test]
    fn envelopes_are_read_alike(envelope in envelope()) {
        let has_maps = |envelope: &Envelope| {
            let effect = envelope.effect.as_ref().and_then(|effect| effect.compensation.as_ref());
            !envelope.attributes.is_empty() || effect.is_some_and(|effect| !effect.headers.is_empty())
        };
        prop_assert_eq!(agree(&envelope.encode_to_vec()), !has_maps(&envelope), "only maps are left to prost");
    }

    #[test]
    fn damaged_envelopes_are_read_alike(
        envelope in envelope(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut bytes = envelope.encode_to_vec();
        for (at, byte, how) in damage {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        agree(&bytes);
        // Fields that come twice are merged.
        agree(&[&bytes[..], &envelope.encode_to_vec()].concat());
    }

    #[test]
    fn any_bytes_are_read_alike(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        agree(&bytes);
    }
}

#[test]
fn the_longest_numbers_are_read_alike() {
    let key = [0x28];
    for tail in [&[0xff; 9][..], &[0xff; 10], &[0x80; 9]] {
        for last in [0x00, 0x01, 0x02, 0x7f] {
            agree(&[&key[..], tail, &[last]].concat());
        }
    }
}
