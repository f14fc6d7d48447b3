//! S7.1: what operators asked for and what became of it, in a file that is only ever added to. Each line carries the hash
//! of the one before, so that a line that is changed, missing or put in between shows.
//!
//! A line is a JSON object; its `hash` is the SHA-256 of the line as it stands without it, in hexadecimal, and `prev` is the
//! `hash` of the line before it (64 zeros in the first). What the chain cannot show is that lines are missing at its end:
//! keep the newest hash elsewhere, and compare.

mod log;
mod page;
mod verify;

pub use log::Log;
pub use page::MAX_PAGE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
pub use verify::{Fault, Verified, verify};

use crate::{
    model::hex,
    wire::{proto::Operation, verb_word},
};

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1.
    pub seq: u64,
    /// Host time, RFC 3339.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub act: Act,
    /// `hash` of the line before.
    pub prev: String,
    /// Hash of this line without this field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// What happened. Empty texts are left out of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Act {
    /// `asked` by way of this instance, or by the instance that decides the chain `done` or `refused`.
    pub what: String,
    /// What was asked for, as a lower-case word.
    pub verb: String,
    /// The chain; empty: the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub chain_id: String,
    /// The call; empty: the chain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call_id: String,
    /// Revision of the verdict that it was decided on; zero: not said.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u32,
    /// Who asked.
    pub by: String,
    /// Why, or why it was refused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Name of the operation; `asked` and `done` are of one name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operation_id: String,
}

impl Act {
    /// What became of, or is asked by, an operation.
    #[must_use]
    pub fn of(what: &str, operation: &Operation) -> Self {
        Self {
            what: what.to_owned(),
            verb: verb_word(operation.verb()).to_owned(),
            chain_id: operation.chain_id.clone(),
            call_id: operation.call_id.clone(),
            revision: operation.revision,
            by: operation.by.clone(),
            reason: operation.reason.clone(),
            operation_id: operation.operation_id.clone(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `prev` of the first line.
const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Entry {
    /// What its `hash` is to be: that of the line without it.
    fn seal(&self) -> serde_json::Result<String> {
        let bare = Self { hash: String::new(), ..self.clone() };
        Ok(hex(&Sha256::digest(serde_json::to_vec(&bare)?)))
    }
}
