//! `Operation` to the model.

use super::{check::cut, error::WireError, proto, words::known};
use crate::{
    model::{Operation, Verb},
    policy::WireLimits,
};

/// What an operator asks for.
///
/// # Errors
/// The first fault that was found; see [`WireError`].
pub fn operation<'a>(operation: &'a proto::Operation, limits: &WireLimits) -> Result<Operation<'a>, WireError> {
    let verb: Verb = known::<proto::Verb, _>(operation.verb)
        .ok_or(WireError::UnknownValue { field: "verb", number: operation.verb })?;
    Ok(Operation {
        operation_id: limits.id("operation_id", &operation.operation_id)?,
        chain_id: if verb.is_for_all() {
            limits.id("chain_id", &operation.chain_id)?
        } else {
            limits.required_id("chain_id", &operation.chain_id)?
        },
        call_id: limits.id("call_id", &operation.call_id)?,
        verb,
        revision: operation.revision,
        by: limits.name("by", &operation.by)?,
        reason: cut(&operation.reason, limits.text_bytes),
    })
}
