//! Keys: HMAC-SHA256 and Ed25519 (S8.1).

use std::fmt;

use ring::{
    hmac,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};

use super::{
    Kind,
    header::{Seal, signed_bytes},
};
use crate::policy::load::{self, MAX_KEY_ID, is_key_id};

/// Fewest bytes of a shared secret: as many as the hash has, since a shorter one could be guessed offline.
const MIN_SECRET: usize = 32;

/// Most bytes of a shared secret. More make it no better.
const MAX_SECRET: usize = 1_024;

/// Bytes of an Ed25519 key, public or private.
const ED25519_BYTES: usize = 32;

/// Why something is no key. It holds nothing of what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// Its name cannot stand in a header.
    Name,
    /// A shared secret is too short or too long.
    SecretLength,
    /// It is not the Base64 of 32 bytes.
    NotThirtyTwoBytes,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "the id of a key has 1 to {MAX_KEY_ID} letters, digits, `.`, `_` and `-`"),
            Self::SecretLength => write!(f, "the secret of an HMAC key has {MIN_SECRET} to {MAX_SECRET} bytes"),
            Self::NotThirtyTwoBytes => write!(f, "an Ed25519 key is the Base64 of {ED25519_BYTES} bytes"),
        }
    }
}

impl std::error::Error for KeyError {}

/// What a signature is checked with.
#[derive(Clone)]
pub enum Check {
    /// A secret that both sides have.
    Hmac(hmac::Key),
    /// A public key.
    Ed25519([u8; ED25519_BYTES]),
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hmac(_) => "Hmac(hidden)",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

impl Check {
    /// HMAC-SHA256 under a secret: the bytes of its text as they stand.
    ///
    /// # Errors
    /// [`KeyError::SecretLength`] if it has less than 32 bytes or more than 1,024.
    pub fn hmac(secret: &[u8]) -> Result<Self, KeyError> {
        hmac_key(secret).map(Self::Hmac)
    }

    /// Ed25519 by a public key in Base64.
    ///
    /// # Errors
    /// [`KeyError::NotThirtyTwoBytes`].
    pub fn ed25519(base64: &str) -> Result<Self, KeyError> {
        thirty_two_bytes(base64).map(Self::Ed25519)
    }

    /// Whether `seal` is one of these bytes. The time that it takes says nothing of how much of a signature was right.
    #[must_use]
    pub fn is_of(&self, kind: Kind, seal: &Seal, payload: &[u8]) -> bool {
        let bytes = signed_bytes(kind, &seal.key_id, payload);
        match self {
            Self::Hmac(key) => hmac::verify(key, &bytes, &seal.signature).is_ok(),
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(&bytes, &seal.signature).is_ok(),
        }
    }
}

/// What signs.
pub struct Signer {
    key_id: String,
    with: With,
}

enum With {
    Hmac(hmac::Key),
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Signer {
    /// Signs by HMAC-SHA256 under a secret that the reader has too: the bytes of its text as they stand.
    ///
    /// # Errors
    /// [`KeyError::Name`], and [`KeyError::SecretLength`] if the secret has less than 32 bytes or more than 1,024.
    pub fn hmac(key_id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self { key_id: name(key_id)?, with: With::Hmac(hmac_key(secret)?) })
    }

    /// Signs by Ed25519 with a private key: its 32 bytes of seed in Base64.
    ///
    /// # Errors
    /// [`KeyError::Name`] and [`KeyError::NotThirtyTwoBytes`].
    pub fn ed25519(key_id: &str, base64: &str) -> Result<Self, KeyError> {
        let seed = thirty_two_bytes(base64)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::NotThirtyTwoBytes)?;
        Ok(Self { key_id: name(key_id)?, with: With::Ed25519(Box::new(pair)) })
    }

    /// The name of its key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The header's value for these bytes, which are published as they are. The same bytes have the same.
    #[must_use]
    pub fn sign(&self, kind: Kind, payload: &[u8]) -> String {
        let bytes = signed_bytes(kind, &self.key_id, payload);
        let signature = match &self.with {
            With::Hmac(key) => hmac::sign(key, &bytes).as_ref().to_vec(),
            With::Ed25519(pair) => pair.sign(&bytes).as_ref().to_vec(),
        };
        Seal { key_id: self.key_id.clone(), signature }.write()
    }

    /// What its signatures are checked with.
    #[must_use]
    pub fn check(&self) -> Check {
        match &self.with {
            With::Hmac(key) => Check::Hmac(key.clone()),
            With::Ed25519(pair) => {
                let mut public = [0; ED25519_BYTES];
                public.copy_from_slice(pair.public_key().as_ref());
                Check::Ed25519(public)
            }
        }
    }
}

fn name(key_id: &str) -> Result<String, KeyError> {
    if is_key_id(key_id) { Ok(key_id.to_owned()) } else { Err(KeyError::Name) }
}

fn hmac_key(secret: &[u8]) -> Result<hmac::Key, KeyError> {
    match (MIN_SECRET..=MAX_SECRET).contains(&secret.len()) {
        true => Ok(hmac::Key::new(hmac::HMAC_SHA256, secret)),
        false => Err(KeyError::SecretLength),
    }
}

fn thirty_two_bytes(base64: &str) -> Result<[u8; ED25519_BYTES], KeyError> {
    load::thirty_two_bytes(base64).ok_or(KeyError::NotThirtyTwoBytes)
}
