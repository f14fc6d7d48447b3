//! Where the ids of messages and calls come from (S1.2, S5.4): a handler that runs again names everything as before.

use sha2::{Digest, Sha256};

use crate::model::hex;

/// A source of ids. What is named is said by `about`; the same words must give the same id, or a handler that runs again
/// publishes its messages a second time under other names.
///
/// A closure `Fn(&[&str]) -> String` is one too. What it gives must be an id that the agent takes: 1 to 128 bytes, no
/// control characters, no placeholder such as `null`.
pub trait Ids: Send + Sync {
    /// The id of what `about` names. The first word says what kind of thing it is: `call` or `message`.
    fn id(&self, about: &[&str]) -> String;
}

impl<F: Fn(&[&str]) -> String + Send + Sync> Ids for F {
    fn id(&self, about: &[&str]) -> String {
        self(about)
    }
}

/// The usual source: a UUID (version 8) from a SHA-256 of the words and of a seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DerivedIds {
    seed: String,
}

impl DerivedIds {
    /// Ids that another seed does not give. Only tests and simulations need one: names are made of chain and call, which
    /// are unique already.
    #[must_use]
    pub fn seeded(seed: impl Into<String>) -> Self {
        Self { seed: seed.into() }
    }
}

impl Ids for DerivedIds {
    fn id(&self, about: &[&str]) -> String {
        let mut hash = Sha256::new();
        hash.update(b"countermand.participant.v1");
        // Each word is preceded by its length: no two lists share their text.
        for word in std::iter::once(&self.seed.as_str()).chain(about) {
            hash.update((word.len() as u64).to_be_bytes());
            hash.update(word.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let text = hex(&bytes);
        format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
    }
}
