//! Answers to commands (S5.2), checked as the agent checks them.

use std::time::SystemTime;

use bytes::Bytes;
use prost::Message as _;

use super::{messages::Messages, record::envelopes, time::millis};
use crate::wire::{
    self, WireError,
    proto::{Command, CommandResult, Envelope, ResultState},
    time::timestamp_of,
};

/// What is published for a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The answer, for `countermand.results` under the key `chain_id`.
    pub result: CommandResult,
    /// What the handler publishes besides.
    pub messages: Vec<Envelope>,
}

impl Answered {
    /// Bytes for a column of a table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.result.encode_length_delimited_to_vec();
        for message in &self.messages {
            bytes.extend(message.encode_length_delimited_to_vec());
        }
        bytes
    }

    /// What [`Answered::to_bytes`] wrote; `None` of anything else.
    #[must_use]
    pub fn from_bytes(mut bytes: Bytes) -> Option<Self> {
        let result = CommandResult::decode_length_delimited(&mut bytes).ok()?;
        Some(Self { result, messages: envelopes(bytes)? })
    }
}

/// An answer that is being written.
#[derive(Debug, Clone)]
#[must_use = "an answer is nothing before it is given"]
pub struct Answer(CommandResult);

impl Messages {
    /// The answer to a command. A [`super::Participant`] gives it by itself.
    pub fn answer(&self, command: &Command, state: ResultState) -> Answer {
        Answer(CommandResult {
            command_id: command.command_id.clone(),
            chain_id: command.chain_id.clone(),
            state: state.into(),
            by: Some(self.party().clone()),
            ..CommandResult::default()
        })
    }
}

impl Answer {
    /// Short, machine-readable reason. The agent keeps 256 bytes.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.0.reason = reason.into();
        self
    }

    /// Text for people. Not kept by the agent.
    pub fn message(mut self, text: impl Into<String>) -> Self {
        self.0.message = text.into();
        self
    }

    /// The answer, given at `now` by the participant's clock.
    ///
    /// # Errors
    /// What the agent would refuse it for.
    pub fn at(mut self, now: SystemTime, limits: &wire::WireLimits) -> Result<CommandResult, WireError> {
        self.0.at = Some(timestamp_of(millis(now)));
        if !self.0.chain_id.is_empty() {
            wire::command_result(&self.0, limits)?;
        }
        Ok(self.0)
    }
}
