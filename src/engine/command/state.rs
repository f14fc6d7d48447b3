//! S5.12: the state of a plan, and why it waits or needs a human. It says nothing of the outcome: an undo that
//! succeeded does not make the chain a success (S5.11).

use crate::{
    engine::decided::{Decided, Gate, Item},
    model::{PlanItemState, PlanState, WaitReason},
};

/// State of a decided chain's plan, with its reasons.
pub(in crate::engine) fn state_of(decided: &Decided) -> (PlanState, Vec<WaitReason>) {
    if decided.abandoned {
        return (PlanState::Abandoned, Vec::new());
    }
    let live: Vec<&Item> = decided.items.iter().filter(|item| !item.superseded).collect();
    if live.is_empty() && decided.duplicates.is_empty() && !decided.open_voided {
        return (PlanState::None, Vec::new());
    }
    let unfinished = live.iter().any(|item| !item.is_finished());
    if decided.gate(decided.generation()) == Gate::Observe && !live.is_empty() {
        return (PlanState::Observed, Vec::new());
    }
    match decided.shut_gate() {
        Some(Gate::Rejected(_)) => return (PlanState::Observed, vec![WaitReason::Rejected]),
        Some(Gate::Await(reason)) => return (PlanState::AwaitingApproval, vec![reason]),
        _ => {}
    }
    let needs = needs_operator(decided, &live);
    if !needs.is_empty() {
        return (PlanState::NeedsOperator, needs);
    }
    if unfinished || decided.open_voided {
        return (PlanState::Compensating, Vec::new());
    }
    let forward = live.iter().any(|item| item.state == PlanItemState::Kept)
        || live.iter().any(|item| item.action == crate::model::CommandAction::Retry);
    let nothing_left = live.iter().all(|item| item.state == PlanItemState::Withdrawn && !item.was_sent());
    match () {
        () if nothing_left => (PlanState::None, Vec::new()),
        () if forward => (PlanState::Completed, Vec::new()),
        () => (PlanState::Compensated, Vec::new()),
    }
}

fn needs_operator(decided: &Decided, live: &[&Item]) -> Vec<WaitReason> {
    let mut reasons: Vec<WaitReason> = live
        .iter()
        .filter(|item| {
            matches!(item.state, PlanItemState::Held | PlanItemState::Stuck | PlanItemState::Uncompensatable)
        })
        .map(|item| item.reason.unwrap_or(WaitReason::Stuck))
        .collect();
    if decided.pivot_waits {
        reasons.push(WaitReason::Pivot);
    }
    if !decided.duplicates.is_empty() {
        reasons.push(WaitReason::DuplicateEffect);
    }
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}
