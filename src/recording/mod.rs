//! Recordings: JSON Lines of what a bus gave, one message a line, in the order in which it gave them.
//!
//! A line is `{"at": RFC 3339, "envelope": {...}}`, or with `command_result`, `operation` or `dead_letter` in its
//! place, each in proto3 canonical JSON; `topic`, `partition` and `offset` may say where the message stood. A dead
//! letter is an envelope with one key more, `"handled": "maybe"` or `"no"`. A line with `at` alone lets time pass.
//! Files may be compressed with gzip or Zstandard.
//!
//! [`Reader`] streams: one line is in memory at a time, and a bad line is given out as such and does not end it.
//! [`Writer`] writes what it reads.

mod line;
mod open;
mod read;
mod write;

pub use open::Format;
pub use read::{BadLine, BadReason, Line, ReadError, Reader};
pub use write::Writer;

use crate::{
    model::{BusTime, Handled, Input},
    wire::{
        self, WireError, WireLimits,
        proto::{CommandResult, Envelope, Operation},
    },
};

/// What one line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When the bus had it, in milliseconds: finer times are floored. `None`: the line does not say.
    pub at: Option<BusTime>,
    /// The topic or queue that it stood in.
    pub topic: Option<String>,
    /// The partition of that topic.
    pub partition: Option<i32>,
    /// Its offset in the partition.
    pub offset: Option<u64>,
    /// The message; `None`: only time passes.
    pub body: Option<Body>,
}

/// The message of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// An envelope.
    Envelope(Envelope),
    /// A participant's answer to a command.
    CommandResult(CommandResult),
    /// An operator's action.
    Operation(Operation),
    /// An envelope that turned up in a dead-letter topic or queue (S1.9).
    DeadLetter {
        /// The message that died.
        envelope: Envelope,
        /// Whether it may have been handled.
        handled: Handled,
    },
}

impl Body {
    /// What an engine is told of it.
    ///
    /// # Errors
    /// The reason why the message is refused; see [`WireError`].
    pub fn input(&self, limits: &WireLimits) -> Result<Input<'_>, WireError> {
        match self {
            Self::Envelope(envelope) => wire::message(envelope, limits).map(Input::Message),
            Self::CommandResult(result) => wire::command_result(result, limits).map(Input::Result),
            Self::Operation(operation) => wire::operation(operation, limits).map(Input::Operation),
            Self::DeadLetter { envelope, handled } => {
                wire::dead_letter(envelope, *handled, limits).map(Input::DeadLetter)
            }
        }
    }
}
