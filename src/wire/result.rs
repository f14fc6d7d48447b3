//! `CommandResult` to the model.

use super::{
    borrowed::PartyRef,
    check::{PartyFields, cut, timestamp},
    error::WireError,
    proto,
    words::known,
};
use crate::{model::CommandResult, policy::WireLimits};

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
        state: known::<proto::ResultState, _>(result.state)
            .ok_or(WireError::UnknownValue { field: "state", number: result.state })?,
        reason: cut(&result.reason, limits.name_bytes),
        message: &result.message,
        by: limits.party(BY, result.by.as_ref().map(PartyRef::from))?,
    })
}
