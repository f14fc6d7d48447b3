//! `CommandResult` to the model.

use super::{
    check::{PartyFields, cut, timestamp},
    error::WireError,
    limits::WireLimits,
    proto,
};
use crate::model::{CommandResult, ResultState};

const BY: PartyFields = ["by.service", "by.version", "by.instance"];

/// The answer to a command.
///
/// # Errors
/// The first fault that was found; see [`WireError`].
pub fn command_result<'a>(
    result: &'a proto::CommandResult,
    limits: &WireLimits,
) -> Result<CommandResult<'a>, WireError> {
    timestamp("at", result.at.as_ref())?;
    Ok(CommandResult {
        command_id: limits.required_id("command_id", &result.command_id)?,
        chain_id: limits.required_id("chain_id", &result.chain_id)?,
        state: state(result.state)?,
        reason: cut(&result.reason, limits.name_bytes),
        message: &result.message,
        by: limits.party(BY, result.by.as_ref())?,
    })
}

fn state(number: i32) -> Result<ResultState, WireError> {
    Ok(match proto::ResultState::try_from(number) {
        Ok(proto::ResultState::Done) => ResultState::Done,
        Ok(proto::ResultState::NotNeeded) => ResultState::NotNeeded,
        Ok(proto::ResultState::Ongoing) => ResultState::Ongoing,
        Ok(proto::ResultState::Retryable) => ResultState::Retryable,
        Ok(proto::ResultState::Failed) => ResultState::Failed,
        Ok(proto::ResultState::Applied) => ResultState::Applied,
        Ok(proto::ResultState::Absent) => ResultState::Absent,
        Ok(proto::ResultState::Unknown) => ResultState::Unknown,
        Ok(proto::ResultState::Unspecified) | Err(_) => {
            return Err(WireError::UnknownValue { field: "state", number });
        }
    })
}
