//! S5.2, S5.7: operators' hands on one chain. Every action is carried out or refused whole.

use crate::{
    engine::decided::{CallKey, Decided, Flight, Gate, Item, Sending},
    model::{BusTime, Certainty, CommandAction, PlanItemState, PlanState, Refused, Verb},
};

/// Carries out an action on a decided chain. `call`: the call that it names, if it names one of the chain's.
pub(in crate::engine) fn operate(
    decided: &mut Decided,
    verb: Verb,
    call: Option<CallKey>,
    revision: u32,
    at: BusTime,
) -> Result<(), Refused> {
    if revision != 0 && revision != decided.revision {
        return Err(Refused::RevisionChanged);
    }
    if decided.abandoned {
        return Err(Refused::Abandoned);
    }
    match verb {
        Verb::Approve => approve(decided),
        Verb::Reject => reject(decided),
        Verb::GiveUp => give_up(decided),
        Verb::Retry => retry(item(decided, call)?),
        Verb::Confirm => {
            let call = call.ok_or(Refused::UnknownCall)?;
            if item(decided, Some(call))?.pivot {
                return settle(decided, call, PlanItemState::MarkedDone, at);
            }
            confirm(item(decided, Some(call))?)?;
            decided.confirmed.push(call);
            Ok(())
        }
        Verb::Skip => settle(decided, call.ok_or(Refused::UnknownCall)?, PlanItemState::Skipped, at),
        Verb::MarkDone => settle(decided, call.ok_or(Refused::UnknownCall)?, PlanItemState::MarkedDone, at),
        // What is for all engines does not come here.
        _ => Err(Refused::NotInState),
    }
}

fn item(decided: &mut Decided, call: Option<CallKey>) -> Result<&mut Item, Refused> {
    let n = call.and_then(|call| decided.item_of(call)).ok_or(Refused::UnknownCall)?;
    Ok(&mut decided.items[n])
}

/// A plan is approved whole: its waves need no further word.
fn approve(decided: &mut Decided) -> Result<(), Refused> {
    pass(decided, Gate::Open)?;
    decided.approved = true;
    Ok(())
}

fn reject(decided: &mut Decided) -> Result<(), Refused> {
    pass(decided, Gate::Rejected(decided.revision))
}

/// Sets all gates that wait for a word, if something waits behind one.
fn pass(decided: &mut Decided, word: Gate) -> Result<(), Refused> {
    if !matches!(decided.shut_gate(), Some(Gate::Await(_))) {
        return Err(Refused::NothingWaits);
    }
    for gate in decided.gates.iter_mut().filter(|gate| matches!(gate, Gate::Await(_))) {
        *gate = word;
    }
    Ok(())
}

fn give_up(decided: &mut Decided) -> Result<(), Refused> {
    let finished = |item: &Item| item.is_finished() && item.state != PlanItemState::Uncompensatable;
    let waits = matches!(decided.state, PlanState::NeedsOperator | PlanState::Compensating);
    if decided.items.iter().all(finished) && !waits {
        return Err(Refused::NotInState);
    }
    decided.abandoned = true;
    decided.items.iter_mut().for_each(Item::land);
    Ok(())
}

/// The same command under the same id, with its attempts counted anew.
fn retry(item: &mut Item) -> Result<(), Refused> {
    let again = |sending: &mut Sending| *sending = Sending { tries: 0, flight: Flight::Ashore, ..*sending };
    match item.state {
        PlanItemState::Stuck => again(&mut item.sending),
        // An inquiry that came to nothing is made again.
        PlanItemState::Held => match item.inquiry.as_mut().filter(|inquiry| inquiry.sends > 0) {
            Some(inquiry) => again(inquiry),
            None => return Err(Refused::NotInState),
        },
        _ => return Err(Refused::NotInState),
    }
    item.state = PlanItemState::Waiting;
    item.reason = None;
    Ok(())
}

/// A held effect did happen: it is undone in its own place.
fn confirm(item: &mut Item) -> Result<(), Refused> {
    if item.state != PlanItemState::Held || item.action != CommandAction::Undo {
        return Err(Refused::NotInState);
    }
    item.certainty = Certainty::Applied;
    if item.operation.is_some() {
        item.state = PlanItemState::Waiting;
        item.reason = None;
    } else {
        item.cannot_be_undone();
    }
    if let Some(inquiry) = &mut item.inquiry {
        inquiry.flight = Flight::Landed;
    }
    Ok(())
}

/// `skip` and `mark_done`: nothing more is sent for it, and the rest goes on. Of a pivot in doubt they say whether it
/// is applied (S4.7).
fn settle(decided: &mut Decided, call: CallKey, state: PlanItemState, at: BusTime) -> Result<(), Refused> {
    if decided.duplicates.contains(&call) {
        decided.duplicates_settled.push(call);
        decided.duplicates.retain(|duplicate| *duplicate != call);
        return Ok(());
    }
    let n = decided.item_of(call).ok_or(Refused::UnknownCall)?;
    let is_pivot = decided.items[n].pivot;
    let item = &mut decided.items[n];
    if item.is_finished() && item.state != PlanItemState::Uncompensatable {
        return Err(Refused::NotInState);
    }
    if is_pivot {
        decided.pivots.push((call, state == PlanItemState::MarkedDone));
    }
    item.state = state;
    item.reason = None;
    item.settled_at = Some(at);
    item.land();
    Ok(())
}
