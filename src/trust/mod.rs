//! Trust (S8.1): who signed which bytes, and what is believed without that. `docs/trust.md` has it for other languages.
//!
//! A signature is over bytes as they are on the bus, so that it holds whatever fields a reader does not know. It names a
//! key and no algorithm: that is the key's, so that nobody who writes a message chooses how it is checked. A key belongs to
//! one service, or to an operator, and vouches for nobody else.

mod header;
mod key;
mod keyring;
mod require;

use std::fmt;

pub use header::{Seal, signed_bytes};
pub use key::{Check, KeyError, Signer};
pub use keyring::{Holder, Key, Keyring};
pub use require::{Claim, Trust};

/// Header with the signature of a message: `v1;key=ID;sig=BASE64URL`.
pub const HEADER: &str = "countermand-signature";

/// What is signed. A signature for one kind is none for another, whatever the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An envelope, by its `source`; also where it died and comes as a dead letter.
    Envelope,
    /// An answer to a command, by the service that the command was for.
    Result,
    /// What an operator asks for, by him or by the agent's own API.
    Operation,
    /// A command, by the agent.
    Command,
    /// What goes out in a command's place, with the marks that say which command it is: for the agent itself, should it die.
    Message,
}

impl Kind {
    /// Its word in the signed bytes.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Result => "result",
            Self::Operation => "operation",
            Self::Command => "command",
            Self::Message => "message",
        }
    }
}

/// Why a message that has to be signed is not believed. The words are a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Distrust {
    /// It bears no signature.
    Unsigned,
    /// Its signature cannot be read, or is not of these bytes.
    Forged,
    /// Nobody knows the key that it names.
    UnknownKey,
    /// The key is another's than who it says it is from.
    WrongSigner,
    /// The key was not valid at its bus time.
    ExpiredKey,
    /// It does not lie where its chain belongs: a copy under another key would be decided apart from its chain.
    Misplaced,
    /// It does not say when it was sent, or its bus time is too far from that: its chain may be forgotten, and a copy of it
    /// would begin the chain anew.
    Stale,
    /// An operation without an id: a copy of it would act again.
    Unnamed,
}

impl Distrust {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unsigned,
        Self::Forged,
        Self::UnknownKey,
        Self::WrongSigner,
        Self::ExpiredKey,
        Self::Misplaced,
        Self::Stale,
        Self::Unnamed,
    ];

    /// Its word, as it stands in `countermand-reason` and in the metric.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Forged => "forged",
            Self::UnknownKey => "unknown_key",
            Self::WrongSigner => "wrong_signer",
            Self::ExpiredKey => "expired_key",
            Self::Misplaced => "misplaced",
            Self::Stale => "stale",
            Self::Unnamed => "unnamed",
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsigned => "it has to be signed, and bears no signature",
            Self::Forged => "its signature is not one of these bytes by the key that it names",
            Self::UnknownKey => "the key of its signature is not known",
            Self::WrongSigner => "the key of its signature belongs to another than who it says it is from",
            Self::ExpiredKey => "the key of its signature was not valid at its bus time",
            Self::Misplaced => "it does not lie under the key, or on the partition, where it belongs",
            Self::Stale => "it does not say when it was sent, or that is too far from its bus time",
            Self::Unnamed => "an operation that has to be signed needs an `operation_id`",
        })
    }
}

impl std::error::Error for Distrust {}
