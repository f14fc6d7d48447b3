//! `[trust]` and `http.tokens`: whose word is believed, and who may do what (S8.1).

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::secret::Secret;
use crate::{
    model::BusTime,
    policy::{
        pattern::Pattern,
        words::{Word, words},
    },
};

/// Most keys of one configuration: two for each of five hundred services.
pub const MAX_KEYS: usize = 1_000;

/// Most tokens of callers. Each request is compared with all of them.
pub const MAX_TOKENS: usize = 100;

/// Longest id of a key, in bytes: it stands in every header.
pub const MAX_KEY_ID: usize = 64;

/// Whether a text can name a key: 1 to 64 letters, digits, `.`, `_` and `-`.
#[must_use]
pub fn is_key_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_KEY_ID).contains(&text.len()) && text.bytes().all(plain)
}

/// The 32 bytes of a key, out of its Base64 with or without padding; `None`: it is something else.
#[must_use]
pub fn thirty_two_bytes(base64: &str) -> Option<[u8; 32]> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, config).decode(base64).ok()?.try_into().ok()
}

/// `[trust]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustConfig {
    /// Keys of services and operators; at most [`MAX_KEYS`].
    pub keys: Vec<KeyConfig>,
    /// Services whose envelopes have to be signed.
    pub require_signature: Vec<Pattern>,
    /// Services whose envelopes need not be, although `require_signature` names them.
    pub exempt: Vec<Pattern>,
    /// Services whose answers to commands have to be signed.
    pub require_result_signature: Vec<Pattern>,
    /// Whether what operators ask for has to be signed.
    pub require_operation_signature: bool,
    /// `[trust.sign]`: what the agent signs with.
    pub sign: SignConfig,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyConfig {
    /// Its id.
    pub id: String,
    /// Whom it belongs to.
    pub owner: Owner,
    /// What its signatures are checked with.
    pub proof: Proof,
    /// Bus time from which on it is valid.
    pub not_before: Option<BusTime>,
    /// Bus time up to which it is valid.
    pub not_after: Option<BusTime>,
}

/// Whom a key belongs to: it vouches for nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A service: its envelopes, and its answers to commands.
    Service(String),
    /// The operator of that name; `None`: whoever signs for all operators.
    Operator(Option<String>),
}

/// What signatures of a key are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// HMAC-SHA256 under a secret.
    Hmac(Secret),
    /// Ed25519 by a public key.
    Ed25519([u8; 32]),
}

/// `[trust.sign]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignConfig {
    /// The id of the agent's key; empty: it has none.
    pub key: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Its secret.
    pub secret: Option<Secret>,
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// With a private key; who has the public one can check.
    #[default]
    Ed25519,
    /// With a secret that both sides have.
    HmacSha256,
}

/// What a caller of HTTP may do: each may also do what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look.
    Viewer,
    /// Act on chains.
    Operator,
    /// Act on the whole agent.
    Admin,
}

/// A token that callers can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// Who shows it, as the audit calls him.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
}

words! {
    Algorithm { Ed25519 = "ed25519", HmacSha256 = "hmac-sha256" }
    Role { Viewer = "viewer", Operator = "operator", Admin = "admin" }
}
