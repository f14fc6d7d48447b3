//! `Operation` to the model.

use super::{check::cut, error::WireError, limits::WireLimits, proto};
use crate::model::{Operation, Verb};

/// What an operator asks for.
///
/// # Errors
/// The first fault that was found; see [`WireError`].
pub fn operation<'a>(operation: &'a proto::Operation, limits: &WireLimits) -> Result<Operation<'a>, WireError> {
    let verb = verb(operation.verb)?;
    Ok(Operation {
        operation_id: limits.id("operation_id", &operation.operation_id)?,
        chain_id: match verb {
            Verb::Pause | Verb::Resume | Verb::BrakeRelease => limits.id("chain_id", &operation.chain_id)?,
            _ => limits.required_id("chain_id", &operation.chain_id)?,
        },
        call_id: limits.id("call_id", &operation.call_id)?,
        verb,
        revision: operation.revision,
        by: limits.name("by", &operation.by)?,
        reason: cut(&operation.reason, limits.text_bytes),
    })
}

fn verb(number: i32) -> Result<Verb, WireError> {
    Ok(match proto::Verb::try_from(number) {
        Ok(proto::Verb::Approve) => Verb::Approve,
        Ok(proto::Verb::Reject) => Verb::Reject,
        Ok(proto::Verb::Retry) => Verb::Retry,
        Ok(proto::Verb::Skip) => Verb::Skip,
        Ok(proto::Verb::MarkDone) => Verb::MarkDone,
        Ok(proto::Verb::Confirm) => Verb::Confirm,
        Ok(proto::Verb::GiveUp) => Verb::GiveUp,
        Ok(proto::Verb::Pause) => Verb::Pause,
        Ok(proto::Verb::Resume) => Verb::Resume,
        Ok(proto::Verb::BrakeRelease) => Verb::BrakeRelease,
        Ok(proto::Verb::Unspecified) | Err(_) => {
            return Err(WireError::UnknownValue { field: "verb", number });
        }
    })
}
