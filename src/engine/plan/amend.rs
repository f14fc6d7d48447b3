//! S5.6: how a plan comes to be, and how new evidence changes it. Before anything was sent it is simply made anew; after
//! that, what is found applied gets its own command in the next generation, and what waited stays as it was.

use super::{
    doubt::Want,
    effects::Effects,
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
    let asked = |before: &&Item| before.inquiry.is_some_and(|inquiry| inquiry.sends > 0);
    let gone = |before: &&Item| !items.iter().any(|item| item.call == before.call);
    let left: Vec<Item> = old.iter().filter(asked).filter(gone).map(withdrawn).collect();
    items.extend(left);
    let same = old.len() == items.len() && old.iter().zip(&items).all(|(a, b)| is_same(a, b));
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
    let state = if before.is_finished() { before.state } else { PlanItemState::Withdrawn };
    Item { state, inquiry, after: Vec::new(), reason: None, pivot: false, ..before.clone() }
}

fn is_same(a: &Item, b: &Item) -> bool {
    (a.call, a.action, a.certainty, a.wave, a.inquiry.is_some())
        == (b.call, b.action, b.certainty, b.wave, b.inquiry.is_some())
}

/// What operators settled, and what participants were asked, outlives the plan that is made anew.
fn carry_over(before: &Item, item: &mut Item) {
    if matches!(before.state, PlanItemState::Skipped | PlanItemState::MarkedDone) {
        item.state = before.state;
        item.settled_at = before.settled_at;
    }
    let Some(asked) = before.inquiry.filter(|inquiry| inquiry.sends > 0) else { return };
    if item.inquiry.is_some() {
        // It went out from its wave, whatever the new plan looks like.
        *item = Item { after: std::mem::take(&mut item.after), ..before.clone() };
    } else {
        item.inquiry = Some(Sending { flight: Flight::Landed, ..asked });
        // What takes no place itself keeps the one that its inquiry went out from.
        item.wave = item.wave.max(before.wave);
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
    place(picture, &placed, order::backward(picture, &calls(&placed), settings), generation, offset, &mut items);
    let offset = offset + items.len();
    let mut forward = Vec::new();
    place(picture, &retries, order::forward(picture, &calls(&retries)), generation, offset, &mut forward);
    items.extend(forward);
    items.extend(unplaced.into_iter().map(|wanted| item(picture, wanted, generation)));
    items
}

fn place(
    picture: &Picture<'_>,
    wants: &[&Wanted],
    places: Result<Places, order::OrderCycle>,
    generation: u32,
    offset: usize,
    items: &mut Vec<Item>,
) {
    for (n, wanted) in wants.iter().enumerate() {
        let mut item = item(picture, wanted, generation);
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

fn item(picture: &Picture<'_>, wanted: &Wanted, generation: u32) -> Item {
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
        Want::Keep => (CommandAction::Undo, Certainty::Applied, PlanItemState::Kept, None, None),
        Want::Retry => (CommandAction::Retry, Certainty::Applied, PlanItemState::Waiting, None, None),
    };
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
        operation: None,
        pivot: wanted.reason == Some(WaitReason::Pivot),
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
        let verdict = judge_item(item, wanted.map(|at| fresh[at].want), effects, call);
        if let (Some(at), false) = (wanted, matches!(verdict, Verdict::Anew { .. })) {
            fresh.remove(at);
        }
        match verdict {
            Verdict::Stay => {}
            Verdict::Withdraw => decided.items[index].state = PlanItemState::Withdrawn,
            Verdict::Certain => make_certain(&mut decided.items[index]),
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
    let generation = decided.generation() + 1;
    let offset = decided.items.len();
    let mut items = items_of(picture, policies, &fresh, generation, offset);
    wait_for_older(picture, decided, &mut items);
    decided.items.extend(items);
    for (old, call) in replaced {
        supersede(decided, old, call, offset);
    }
    decided.gates.push(Gate::Open);
    true
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

fn judge_item(item: &Item, want: Option<Want>, effects: &Effects, call: usize) -> Verdict {
    use PlanItemState::{Backoff, Held, NotNeeded, Sent, Stuck, Uncompensatable, Waiting, Withdrawn};
    let undo_sent = item.sending.sends > 0;
    let Some(want) = want else {
        let gone = matches!(effects.shared_state(call), EffectState::None | EffectState::Undone);
        let droppable = !undo_sent && matches!(item.state, Waiting | Held | Stuck | Sent | Backoff | Uncompensatable);
        // No longer void, but the undoing had begun: it is finished as planned.
        return if gone && droppable { Verdict::Withdraw } else { Verdict::Stay };
    };
    let certain = matches!(want, Want::Undo(Certainty::Applied));
    let contradicted = || {
        let applied = effects.sharing[call].iter().filter_map(|&n| effects.applied_at[n]).max();
        applied.zip(item.settled_at).is_some_and(|(applied, settled): (BusTime, BusTime)| applied > settled)
    };
    match item.state {
        Held | Uncompensatable if certain => Verdict::Anew { ran_after_undo: false },
        Withdrawn if matches!(want, Want::Undo(_) | Want::Inquire) => Verdict::Anew { ran_after_undo: false },
        Waiting if certain && item.certainty == Certainty::InDoubt => Verdict::Certain,
        // The inquiry is out, and the answer has come by another way.
        Sent | Backoff if certain && !undo_sent => Verdict::Anew { ran_after_undo: false },
        NotNeeded if certain && item.certainty == Certainty::InDoubt && contradicted() => {
            Verdict::Anew { ran_after_undo: undo_sent }
        }
        _ => Verdict::Stay,
    }
}

/// What is new waits for older items that have to be undone before it.
fn wait_for_older(picture: &Picture<'_>, decided: &Decided, items: &mut [Item]) {
    for item in items.iter_mut().filter(|item| item.wave > 0 && item.action == CommandAction::Undo) {
        let Some(call) = picture.find(item.call) else { continue };
        for (index, older) in decided.items.iter().enumerate() {
            let unfinished = older.wave > 0 && !older.is_finished() && older.action == CommandAction::Undo;
            let first = unfinished && older.call != item.call;
            let first = first && picture.find(older.call).is_some_and(|older| order::came_after(picture, older, call));
            if let (true, Ok(index)) = (first, u16::try_from(index)) {
                item.after.push(index);
            }
        }
        item.after.sort_unstable();
    }
}

/// What waited for the old item waits for the one in its place.
fn supersede(decided: &mut Decided, old: usize, call: CallKey, offset: usize) {
    let Some(new) = decided.items.iter().skip(offset).position(|item| item.call == call) else { return };
    decided.items[old].superseded = true;
    let (Ok(old), Ok(new)) = (u16::try_from(old), u16::try_from(new + offset)) else { return };
    for item in &mut decided.items[..offset] {
        for after in item.after.iter_mut().filter(|after| **after == old) {
            *after = new;
        }
    }
}
