//! S5.6: how a plan comes to be, and how new evidence changes it. Before anything was sent it is simply made anew; after
//! that, what is found applied gets its own command in the next generation, and what waited stays as it was.

use super::{
    doubt::Want,
    effects::{Effects, compensation_of, policy_of},
    order::{self, Places},
    wanted::{AllWanted, Wanted, wanted},
};
use crate::{
    engine::{
        decided::{CallKey, Decided, Flight, Gate, Item, Sending},
        judge::Picture,
        policies::Policies,
    },
    model::{AnomalyKind, BusTime, Certainty, CommandAction, EffectState, PlanItemState, WaitReason},
};

/// What replanning found beside the items.
#[derive(Debug, Default)]
pub(in crate::engine) struct Replanned {
    /// Anomalies that the plan knows of.
    pub anomalies: Vec<AnomalyKind>,
    /// A generation began (or the plan was made anew) and its gate has to be set.
    pub new_generation: bool,
}

/// Makes or amends the plan of a decided chain.
pub(in crate::engine) fn replan(
    picture: &Picture<'_>,
    effects: &Effects,
    policies: &Policies,
    decided: &mut Decided,
) -> Replanned {
    let all = wanted(picture, effects, policies, decided);
    decided.open_voided = all.open_voided;
    decided.pivot_waits = all.pivot_waits;
    decided.was_in_doubt |= all.in_doubt;
    decided.duplicates = all.duplicates.iter().map(|&n| picture.calls[n].key).collect();
    let new_generation = if decided.undoing() {
        amend(picture, effects, policies, decided, &all)
    } else {
        make(picture, policies, decided, &all)
    };
    let mut anomalies: Vec<AnomalyKind> = all.anomalies.into_iter().collect();
    anomalies.extend(decided.too_early.then_some(AnomalyKind::DecidedTooEarly));
    anomalies.extend(decided.ran_after_undo.then_some(AnomalyKind::RanAfterUndo));
    Replanned { anomalies, new_generation }
}

impl Decided {
    /// An undo or a retry was handed to the bus. An inquiry alone does not bind the plan: it only asks.
    pub fn undoing(&self) -> bool {
        self.items.iter().any(|item| item.sending.sends > 0)
    }
}

/// The plan made anew. What operators settled and what participants were asked is carried over.
fn make(picture: &Picture<'_>, policies: &Policies, decided: &mut Decided, all: &AllWanted) -> bool {
    let old = std::mem::take(&mut decided.items);
    let mut items = items_of(picture, policies, &all.wants, 1, 0);
    for item in &mut items {
        if let Some(before) = old.iter().find(|before| before.call == item.call && before.action == item.action) {
            carry_over(before, item);
        }
    }
    // What was asked, and what operators said of a pivot, stays in the picture also where nothing is wanted any more.
    let asked = |before: &&Item| {
        let settled = matches!(before.state, PlanItemState::Skipped | PlanItemState::MarkedDone);
        settled && before.pivot || before.inquiry.is_some_and(|inquiry| inquiry.sends > 0)
    };
    let gone = |before: &&Item| !items.iter().any(|item| item.call == before.call && item.action == before.action);
    let left: Vec<Item> = old.iter().filter(asked).filter(gone).map(withdrawn).collect();
    items.extend(left);
    let same = old.len() == items.len() && by_call(&old).into_iter().zip(by_call(&items)).all(|(a, b)| is_same(a, b));
    decided.items = items;
    if decided.items.is_empty() {
        decided.gates.clear();
        return false;
    }
    if same && !decided.gates.is_empty() {
        return false;
    }
    decided.gates = vec![Gate::Open];
    true
}

/// An item that is no longer wanted, but whose inquiry went out: it stays in the picture.
fn withdrawn(before: &Item) -> Item {
    let inquiry = before.inquiry.map(|inquiry| Sending { flight: Flight::Landed, ..inquiry });
    let settled = before.is_finished() && !matches!(before.state, PlanItemState::Kept | PlanItemState::Uncompensatable);
    let state = if settled { before.state } else { PlanItemState::Withdrawn };
    let pivot = before.pivot && before.is_finished();
    Item { state, inquiry, after: Vec::new(), reason: None, pivot, ..before.clone() }
}

fn by_call(items: &[Item]) -> Vec<&Item> {
    let mut items: Vec<&Item> = items.iter().collect();
    items.sort_unstable_by_key(|item| (item.call, item.action));
    items
}

/// Whether a plan made anew asks for the same. What an operator confirmed has got its operation only by that.
fn is_same(a: &Item, b: &Item) -> bool {
    let renamed = a.operation.is_some() && b.operation.is_some() && a.operation != b.operation;
    let place = |item: &Item| (item.call, item.action, item.certainty, item.wave, item.inquiry.is_some());
    place(a) == place(b) && !renamed
}

/// What operators settled, and what participants were asked, outlives the plan that is made anew.
fn carry_over(before: &Item, item: &mut Item) {
    let settled = matches!(before.state, PlanItemState::Skipped | PlanItemState::MarkedDone);
    // A pivot that is there is kept, whoever said so (S4.7).
    if settled && item.state != PlanItemState::Kept {
        item.state = before.state;
        item.settled_at = before.settled_at;
    }
    let Some(asked) = before.inquiry.filter(|inquiry| inquiry.sends > 0) else { return };
    if item.inquiry.is_some() {
        // What was not wanted any more is again: it is asked again, under the same id.
        let again = matches!(before.state, PlanItemState::Kept | PlanItemState::Withdrawn);
        // Until the effect is found it has the wave that the inquiry went out from, whatever the new plan looks like.
        let wave = if again || before.certainty == Certainty::Applied { item.wave } else { before.wave };
        *item = Item { after: std::mem::take(&mut item.after), wave, ..before.clone() };
        if again {
            item.state = PlanItemState::Waiting;
            item.inquiry = Some(Sending { flight: Flight::Ashore, tries: 0, ..asked });
        }
    } else {
        item.inquiry = Some(Sending { flight: Flight::Landed, ..asked });
        item.asks.clone_from(&before.asks);
    }
}

/// Items for wants, in one generation, with waves from 1. `offset`: index that the first of them will have.
fn items_of(picture: &Picture<'_>, policies: &Policies, wants: &[Wanted], generation: u32, offset: usize) -> Vec<Item> {
    let (retries, rest): (Vec<&Wanted>, Vec<&Wanted>) = wants.iter().partition(|wanted| wanted.want == Want::Retry);
    let (placed, unplaced): (Vec<&Wanted>, Vec<&Wanted>) =
        rest.into_iter().partition(|wanted| matches!(wanted.want, Want::Undo(_) | Want::Inquire | Want::Hold));
    let mut items = Vec::with_capacity(wants.len());
    let settings = &policies.policy().settings;
    let calls = |wants: &[&Wanted]| wants.iter().map(|wanted| wanted.call).collect::<Vec<_>>();
    place(
        picture,
        policies,
        &placed,
        order::backward(picture, &calls(&placed), settings),
        generation,
        offset,
        &mut items,
    );
    let offset = offset + items.len();
    let mut forward = Vec::new();
    place(picture, policies, &retries, order::forward(picture, &calls(&retries)), generation, offset, &mut forward);
    items.extend(forward);
    items.extend(unplaced.into_iter().map(|wanted| item(picture, policies, wanted, generation)));
    items
}

fn place(
    picture: &Picture<'_>,
    policies: &Policies,
    wants: &[&Wanted],
    places: Result<Places, order::OrderCycle>,
    generation: u32,
    offset: usize,
    items: &mut Vec<Item>,
) {
    for (n, wanted) in wants.iter().enumerate() {
        let mut item = item(picture, policies, wanted, generation);
        match &places {
            Ok(places) => {
                item.wave = places.waves[n];
                item.after = places.after[n].iter().filter_map(|&n| u16::try_from(n + offset).ok()).collect();
            }
            Err(order::OrderCycle) => {
                debug_assert!(false, "S5.1: the undo order has no cycle");
                item.wave = 1;
                item.state = PlanItemState::Held;
                item.reason = Some(WaitReason::OrderCycle);
            }
        }
        items.push(item);
    }
}

fn item(picture: &Picture<'_>, policies: &Policies, wanted: &Wanted, generation: u32) -> Item {
    let (action, certainty, state, inquiry, reason) = match wanted.want {
        Want::Undo(certainty) => (CommandAction::Undo, certainty, PlanItemState::Waiting, None, None),
        Want::Inquire => {
            (CommandAction::Undo, Certainty::InDoubt, PlanItemState::Waiting, Some(Sending::default()), None)
        }
        Want::Hold => (CommandAction::Undo, Certainty::InDoubt, PlanItemState::Held, None, Some(WaitReason::Held)),
        Want::Uncompensatable => (
            CommandAction::Undo,
            Certainty::Applied,
            PlanItemState::Uncompensatable,
            None,
            Some(WaitReason::Uncompensatable),
        ),
        Want::Keep(certainty) => (CommandAction::Undo, certainty, PlanItemState::Kept, None, None),
        Want::Retry => (CommandAction::Retry, Certainty::Applied, PlanItemState::Waiting, None, None),
    };
    let policy = policy_of(picture, policies, &picture.calls[wanted.call]);
    let undone = matches!(wanted.want, Want::Undo(_) | Want::Inquire | Want::Hold);
    let compensation = compensation_of(picture, wanted.call, &policy).filter(|_| undone);
    Item {
        call: picture.calls[wanted.call].key,
        action,
        certainty,
        generation,
        wave: 0,
        after: Vec::new(),
        state,
        reason: wanted.reason.or(reason),
        sending: Sending::default(),
        inquiry,
        settled_at: None,
        superseded: false,
        operation: compensation.and_then(|compensation| Item::named(compensation.operation())),
        asks: None,
        pivot: wanted.reason == Some(WaitReason::Pivot),
        is_writable: false,
    }
}

/// What new evidence means for an item that exists.
enum Verdict {
    /// It stays.
    Stay,
    /// It is dropped before it was sent.
    Withdraw,
    /// Its certainty is known now; it keeps its place.
    Certain,
    /// It is there now, and nothing undoes it (S4.6).
    Uncompensatable,
    /// It is past a pivot now (S4.7).
    Keep(Certainty),
    /// A new command, in the next generation, takes its place.
    Anew { ran_after_undo: bool },
}

fn amend(
    picture: &Picture<'_>,
    effects: &Effects,
    policies: &Policies,
    decided: &mut Decided,
    all: &AllWanted,
) -> bool {
    let mut fresh: Vec<Wanted> = all.wants.clone();
    let mut replaced: Vec<(usize, CallKey)> = Vec::new();
    for index in 0..decided.items.len() {
        let item = &decided.items[index];
        if item.superseded {
            continue;
        }
        let Some(call) = picture.find(item.call) else { continue };
        let wanted = fresh.iter().position(|wanted| {
            let same_effect = wanted.call == call || effects.sharing[call].contains(&wanted.call);
            same_effect && (wanted.want == Want::Retry) == (item.action == CommandAction::Retry)
        });
        let verdict = judge_item(item, wanted.map(|at| fresh[at].want), effects, call, decided.too_early);
        let known = &mut decided.items[index];
        if let (Some(at), false) = (wanted, matches!(verdict, Verdict::Anew { .. })) {
            fresh.remove(at);
        }
        match verdict {
            Verdict::Stay => {}
            Verdict::Withdraw => withdraw_unsent(known),
            Verdict::Certain => make_certain(known),
            Verdict::Uncompensatable => {
                known.cannot_be_undone();
                known.certainty = Certainty::Applied;
            }
            Verdict::Keep(certainty) => {
                known.state = PlanItemState::Kept;
                known.reason = None;
                known.certainty = certainty;
                known.land();
            }
            Verdict::Anew { ran_after_undo } => {
                decided.ran_after_undo |= ran_after_undo;
                if let Some(at) = wanted {
                    replaced.push((index, picture.calls[fresh[at].call].key));
                }
            }
        }
    }
    if fresh.is_empty() {
        return false;
    }
    // What is only named begins no generation.
    let only_named = |wanted: &Wanted| matches!(wanted.want, Want::Uncompensatable | Want::Keep(_));
    let begins = !fresh.iter().all(only_named);
    let generation = decided.generation() + u32::from(begins);
    let offset = decided.items.len();
    let mut items = items_of(picture, policies, &fresh, generation, offset);
    wait_for_older(picture, decided, &mut items);
    decided.items.extend(items);
    wait_for_newer(picture, &mut decided.items, offset);
    for (old, call) in replaced {
        supersede(decided, old, call, offset);
    }
    decided.gates.extend(begins.then_some(Gate::Open));
    begins
}

/// Drops what was not sent. An inquiry that is out is over: whatever is answered changes nothing any more.
fn withdraw_unsent(item: &mut Item) {
    let only_named = matches!(item.state, PlanItemState::Uncompensatable | PlanItemState::Kept);
    if item.sending.sends > 0 || item.is_finished() && !only_named {
        return;
    }
    item.state = PlanItemState::Withdrawn;
    item.reason = None;
    item.land();
}

fn make_certain(item: &mut Item) {
    item.certainty = Certainty::Applied;
    if let Some(inquiry) = &mut item.inquiry {
        inquiry.flight = Flight::Landed;
    }
    if item.state != PlanItemState::Waiting {
        item.state = PlanItemState::Waiting;
        item.reason = None;
    }
}

fn judge_item(item: &Item, want: Option<Want>, effects: &Effects, call: usize, finish: bool) -> Verdict {
    use PlanItemState::{Backoff, Held, Kept, NotNeeded, Sent, Stuck, Uncompensatable, Waiting, Withdrawn};
    let undo_sent = item.sending.sends > 0;
    let Some(want) = want else {
        let gone = matches!(effects.shared_state(call), EffectState::None | EffectState::Undone);
        let droppable =
            !undo_sent && matches!(item.state, Waiting | Held | Stuck | Sent | Backoff | Uncompensatable | Kept);
        // Where the chain turned out not to have failed, it is finished as planned.
        return if droppable && (gone || !finish) { Verdict::Withdraw } else { Verdict::Stay };
    };
    let certain = matches!(want, Want::Undo(Certainty::Applied));
    let contradicted = || {
        let applied = effects.sharing[call].iter().filter_map(|&n| effects.applied_at[n]).max();
        applied.zip(item.settled_at).is_some_and(|(applied, settled): (BusTime, BusTime)| applied > settled)
    };
    match item.state {
        Withdrawn | Held | Waiting | Stuck | Sent | Backoff if !undo_sent && let Want::Keep(certainty) = want => {
            Verdict::Keep(certainty)
        }
        Held | Withdrawn if want == Want::Uncompensatable => Verdict::Uncompensatable,
        Held | Uncompensatable if certain => Verdict::Anew { ran_after_undo: false },
        Withdrawn if matches!(want, Want::Undo(_) | Want::Inquire) => Verdict::Anew { ran_after_undo: false },
        Waiting if certain && item.certainty == Certainty::InDoubt && !undo_sent => Verdict::Certain,
        Stuck if certain && item.certainty == Certainty::InDoubt && !item.was_sent() => Verdict::Certain,
        // The inquiry is out, and the answer has come by another way.
        Sent | Backoff if certain && !undo_sent => Verdict::Anew { ran_after_undo: false },
        NotNeeded if certain && item.certainty == Certainty::InDoubt && contradicted() => {
            Verdict::Anew { ran_after_undo: undo_sent }
        }
        _ => Verdict::Stay,
    }
}

/// Whether the command of one item has to be finished before that of another goes: undos in the reverse of what happened,
/// what is done again as it happened (S5.1, S4.7).
fn goes_first(picture: &Picture<'_>, first: &Item, then: &Item) -> bool {
    let placed = |item: &Item| item.wave > 0 && !item.is_finished();
    if !placed(first) || !placed(then) || first.action != then.action {
        return false;
    }
    // An event whose consumers have taken its place has no place of its own any more.
    let place = |item: &Item| picture.find(item.call).filter(|&n| !picture.calls[n].replaced);
    match (place(first), place(then)) {
        (Some(a), Some(b)) if first.action == CommandAction::Retry => order::came_after(picture, b, a),
        (Some(a), Some(b)) => order::came_after(picture, a, b),
        _ => false,
    }
}

/// What is new waits for older items that go before it.
fn wait_for_older(picture: &Picture<'_>, decided: &Decided, items: &mut [Item]) {
    for item in items {
        let first = decided.items.iter().enumerate().filter(|(_, older)| goes_first(picture, older, item));
        let first: Vec<u16> = first.filter_map(|(index, _)| u16::try_from(index).ok()).collect();
        item.after.extend(first);
        item.after.sort_unstable();
    }
}

/// Older items wait for new ones that go before them: that what waited stays as it was is no leave to undo out of order
/// (S5.1).
fn wait_for_newer(picture: &Picture<'_>, items: &mut [Item], offset: usize) {
    for new in offset..items.len() {
        for old in 0..offset {
            // What the new one waits for cannot wait for it, however the order came out before.
            let waits = goes_first(picture, &items[new], &items[old]) && !reaches(items, new, old);
            if let (true, Ok(new)) = (waits, u16::try_from(new)) {
                items[old].after.push(new);
            }
        }
    }
}

/// Whether item `from` waits for item `to`, by others too.
fn reaches(items: &[Item], from: usize, to: usize) -> bool {
    let mut known = vec![false; items.len()];
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for &next in &items[at].after {
            let next = usize::from(next);
            if next == to {
                return true;
            }
            if !std::mem::replace(&mut known[next], true) {
                open.push(next);
            }
        }
    }
    false
}

/// What waited for the old item waits for the one in its place.
fn supersede(decided: &mut Decided, old: usize, call: CallKey, offset: usize) {
    let Some(new) = decided.items.iter().skip(offset).position(|item| item.call == call) else { return };
    let item = &mut decided.items[old];
    if !item.is_finished() {
        item.state = PlanItemState::Withdrawn;
    }
    item.superseded = true;
    item.land();
    let (Ok(old), Ok(new)) = (u16::try_from(old), u16::try_from(new + offset)) else { return };
    for item in &mut decided.items[..offset] {
        for after in item.after.iter_mut().filter(|after| **after == old) {
            *after = new;
        }
    }
}
