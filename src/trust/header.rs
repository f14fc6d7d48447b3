//! The header of a signature, and the bytes that are signed (S8.1).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Kind;
use crate::policy::load::is_key_id;

/// What the signed bytes begin with: no signature made for anything else is one of these.
const DOMAIN: &str = "countermand-signature-v1";

/// Longest header that is looked at: an Ed25519 signature and the longest id have less than half of that.
const MAX_HEADER: usize = 512;

/// Longest signature, in bytes; those of both algorithms are shorter or as long.
const MAX_SIGNATURE: usize = 64;

/// The bytes that are signed: domain, kind and key id, each with a line feed behind it, then the payload as it is on the
/// bus. Neither kind nor id can hold a line feed, so no two messages have the same.
#[must_use]
pub fn signed_bytes(kind: Kind, key_id: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DOMAIN.len() + kind.word().len() + key_id.len() + 3 + payload.len());
    for line in [DOMAIN, kind.word(), key_id] {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A signature with the name of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The key.
    pub key_id: String,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Seal {
    /// Reads a header; `None`: it is none of this form. At most 512 bytes.
    #[must_use]
    pub fn read(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok().filter(|text| text.len() <= MAX_HEADER)?;
        let mut parts = text.split(';');
        let (version, key_id, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let (key_id, signature) = (key_id.strip_prefix("key=")?, signature.strip_prefix("sig=")?);
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let is_whole = version == "v1" && parts.next().is_none() && is_key_id(key_id);
        let fits = !signature.is_empty() && signature.len() <= MAX_SIGNATURE;
        (is_whole && fits).then(|| Self { key_id: key_id.to_owned(), signature })
    }

    /// The header's value.
    #[must_use]
    pub fn write(&self) -> String {
        format!("v1;key={};sig={}", self.key_id, URL_SAFE_NO_PAD.encode(&self.signature))
    }
}

#[cfg(test)]
mod tests {
    use super::Seal;

    #[test]
    fn a_header_is_read_as_it_is_written_and_no_other() {
        let seal = Seal { key_id: "stock-1".into(), signature: vec![0xfb; 32] };
        let text = seal.write();
        assert_eq!(Seal::read(text.as_bytes()), Some(seal));
        for wrong in [
            "",
            "v1",
            "v2;key=a;sig=AAAA",
            "v1;key=;sig=AAAA",
            "v1;key=a b;sig=AAAA",
            "v1;key=a;sig=",
            "v1;key=a;sig=+/+/",
            "v1;key=a;sig=AAAA=",
            "v1;key=a;sig=AAAA;x",
            "v1;sig=AAAA;key=a",
            &format!("v1;key={};sig=AAAA", "a".repeat(65)),
            &format!("v1;key=a;sig={}", "A".repeat(88)),
            &format!("v1;key=a;sig={}", "A".repeat(600)),
        ] {
            assert_eq!(Seal::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
