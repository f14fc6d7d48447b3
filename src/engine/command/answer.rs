//! S5.2, S5.5, S4.3: what an answer does to its command.

use super::life::{back_off, restart_wait};
use crate::{
    engine::decided::{Decided, Flight, Item},
    model::{BusTime, Certainty, CommandAction, PlanItemState, ResultState, WaitReason},
    policy::Settings,
};

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Answered {
    /// It changed something.
    Changed,
    /// It is to an unknown, finished or superseded command (S5.5), or says nothing new.
    Ignored,
}

/// An answer to command `command_id`, which is item `n`'s `action`.
pub(in crate::engine) fn answer(
    decided: &mut Decided,
    (n, action): (usize, CommandAction),
    command_id: &str,
    state: ResultState,
    at: BusTime,
    (settings, clock): (&Settings, i64),
) -> Answered {
    if decided.abandoned || decided.items[n].superseded {
        return Answered::Ignored;
    }
    let item = &mut decided.items[n];
    let known = match item.sending_mut(action) {
        Some(sending) => sending.sends > 0,
        None => false,
    };
    if !known || is_settled(item, action) {
        return Answered::Ignored;
    }
    let flying = item.sending_mut(action).is_some_and(|sending| sending.flight != Flight::Landed);
    match state {
        ResultState::Ongoing if flying => restart_wait(item, action, settings, clock),
        ResultState::Retryable if flying => back_off(item, action, command_id, settings, clock),
        ResultState::Unknown if flying && action == CommandAction::Inquire => {
            back_off(item, action, command_id, settings, clock);
        }
        ResultState::Failed if flying => fail(item, action),
        ResultState::Done | ResultState::NotNeeded if action != CommandAction::Inquire => {
            let state = if state == ResultState::Done { PlanItemState::Done } else { PlanItemState::NotNeeded };
            settle(item, action, state, at);
        }
        ResultState::Applied if action == CommandAction::Inquire => {
            land(item, action);
            item.certainty = Certainty::Applied;
            item.state = PlanItemState::Waiting;
            item.reason = None;
        }
        ResultState::Absent if action == CommandAction::Inquire => settle(item, action, PlanItemState::NotNeeded, at),
        _ => return Answered::Ignored,
    }
    if decided.items[n].pivot && matches!(state, ResultState::Applied | ResultState::Absent) {
        let call = decided.items[n].call;
        decided.pivots.push((call, state == ResultState::Applied));
    }
    Answered::Changed
}

/// Nothing that is said of it changes anything any more. A command that is stuck, or an inquiry that left its effect
/// held, is not settled: good news is never refused.
fn is_settled(item: &Item, action: CommandAction) -> bool {
    let asked_and_told = action == CommandAction::Inquire && item.certainty == Certainty::Applied;
    item.is_finished() || asked_and_told
}

fn land(item: &mut Item, action: CommandAction) {
    if let Some(sending) = item.sending_mut(action) {
        sending.flight = Flight::Landed;
    }
}

pub(super) fn settle(item: &mut Item, action: CommandAction, state: PlanItemState, at: BusTime) {
    land(item, action);
    item.state = state;
    item.reason = None;
    item.settled_at = Some(at);
}

fn fail(item: &mut Item, action: CommandAction) {
    land(item, action);
    if action == CommandAction::Inquire {
        item.state = PlanItemState::Held;
        item.reason = Some(WaitReason::Held);
    } else {
        item.state = PlanItemState::Stuck;
        item.reason = Some(WaitReason::Stuck);
    }
}
