//! What a change in a chain's life says to the metrics and to the audit.

use super::step::Step;
use crate::{
    audit::Act,
    model::{AnomalyKind, ChainChange, ChainView},
};

/// Counts a change once it is committed.
pub(super) fn count(change: &ChainChange, view: Option<&ChainView>, step: &mut Step) {
    match change {
        ChainChange::Decided => {
            let Some(verdict) = view.and_then(|view| view.verdict.as_ref()) else { return };
            step.count(|metrics| &metrics.verdicts, verdict.outcome.word());
            if let Some(cause) = verdict.cause {
                step.count(|metrics| &metrics.causes, cause.word());
            }
            if verdict.incomplete {
                let mut half = [AnomalyKind::MissingParent, AnomalyKind::OrphanResponse]
                    .into_iter()
                    .filter(|kind| verdict.anomalies.contains(kind))
                    .peekable();
                // With neither, calls were open when the chain was given up (S2.2).
                if half.peek().is_none() {
                    step.count(|metrics| &metrics.incomplete, "unanswered");
                }
                half.for_each(|kind| step.count(|metrics| &metrics.incomplete, kind.word()));
            }
        }
        ChainChange::Answered { state, .. } => step.count(|metrics| &metrics.answers, state),
        ChainChange::Operator { verb, .. } => step.count(|metrics| &metrics.operations, verb),
        ChainChange::BrakeEngaged => step.count(|metrics| &metrics.brakes, "too_many_plans"),
        _ => {}
    }
}

/// What the audit keeps of a change (S7.1): what operators did. `None`: it was none of theirs.
pub(super) fn act(chain_id: &str, change: &ChainChange) -> Option<Act> {
    let (what, operation_id, verb, call_id, by, reason) = match change {
        ChainChange::Operator { operation_id, verb, call_id, by, reason } => {
            ("done", operation_id, verb, call_id, by, reason.as_str())
        }
        ChainChange::OperatorRefused { operation_id, verb, call_id, by, why } => {
            ("refused", operation_id, verb, call_id, by, why.word())
        }
        _ => return None,
    };
    Some(Act {
        what: what.to_owned(),
        verb: (*verb).to_owned(),
        chain_id: chain_id.to_owned(),
        call_id: call_id.clone(),
        revision: 0,
        by: by.clone(),
        reason: reason.to_owned(),
        operation_id: operation_id.clone(),
    })
}
