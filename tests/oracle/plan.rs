//! S5.1, S5.3, S5.6: the items of a plan, made anew while nothing is sent, and amended generation by generation after.

use std::collections::{BTreeMap, BTreeSet};

use countermand::{
    model::{BusTime, Certainty, CommandAction, PlanItemState, WaitReason},
    policy::{Mode, Ordering, Policy},
};

use super::{
    order,
    scene::Scene,
    void,
    works::{How, Work},
};

/// What an item's command waits for, on the command clock (S5.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    None,
    /// Its publication is not committed yet.
    Publication,
    /// Its answer.
    Answer(u64),
    /// The end of a backoff, whose jitter the oracle does not foretell: some time from the first to the second.
    Backoff(u64, u64),
}

/// One item of a plan.
#[derive(Debug, Clone)]
pub struct Item {
    pub effect: String,
    pub call: String,
    pub action: CommandAction,
    /// What the inquiry asks with, and what undoes after it.
    pub operation: String,
    pub undo_operation: String,
    pub service: String,
    pub certainty: Certainty,
    pub wave: u32,
    /// Its wave in the plan as it was made last: strictly one after the other (S5.1).
    pub turn: u32,
    pub generation: u32,
    pub state: PlanItemState,
    pub reason: Option<WaitReason>,
    pub sends: u32,
    /// Publications since the last time that an operator had it sent anew.
    pub attempts: u32,
    pub timer: Timer,
    /// Bus time of an answer that nothing was there.
    pub absent_at: Option<BusTime>,
    /// That answer was contradicted, and another item stands for the effect.
    pub contradicted: bool,
    pub mode: Mode,
    /// A pivot whose state decides whether to go forward (S4.7).
    pub pivot: bool,
    /// The effects that must be undone (or done again) before, as the order was when either of the two was planned.
    pub after: BTreeSet<String>,
}

impl Item {
    /// S5.2: what need not be waited for any more.
    pub fn finished(&self) -> bool {
        matches!(
            self.state,
            PlanItemState::Done
                | PlanItemState::NotNeeded
                | PlanItemState::Skipped
                | PlanItemState::MarkedDone
                | PlanItemState::Withdrawn
        )
    }

    /// S4.6, S4.7: named in the plan, with nothing to send.
    pub fn only_named(&self) -> bool {
        matches!(self.state, PlanItemState::Uncompensatable | PlanItemState::Kept)
    }
}

/// Items for these works, in one generation.
pub fn items(scene: &Scene, policy: &Policy, works: &[&Work], generation: u32) -> Vec<Item> {
    let placed = |retry: bool| -> Vec<usize> {
        let takes_a_place = |work: &&&Work| match work.how {
            How::Undo | How::Inquire(_) | How::Hold(_) => !retry,
            How::Retry => retry,
            How::Uncompensatable | How::Keep => false,
        };
        works.iter().filter(takes_a_place).map(|work| work.call).collect()
    };
    let undo = match policy.settings.ordering {
        Ordering::Parallel => order::waves(scene, &placed(false), false),
        Ordering::Strict => order::strict_waves(scene, &placed(false)),
    };
    let retry = order::waves(scene, &placed(true), true);
    let mut items = Vec::new();
    for work in works {
        let waves = if work.how == How::Retry { &retry } else { &undo };
        items.push(item(scene, work, waves, generation));
    }
    items
}

fn item(scene: &Scene, work: &Work, waves: &BTreeMap<usize, u32>, generation: u32) -> Item {
    let call = &scene.calls()[work.call];
    let rule = call.rule.as_ref().expect("a call with an effect has its request");
    let (action, operation) = match &work.how {
        How::Inquire(operation) => (CommandAction::Inquire, operation.clone()),
        How::Retry => (CommandAction::Retry, work.operation.clone()),
        _ => (CommandAction::Undo, work.operation.clone()),
    };
    let (state, reason) = match work.how {
        How::Uncompensatable => (PlanItemState::Uncompensatable, Some(WaitReason::Uncompensatable)),
        How::Keep => (PlanItemState::Kept, None),
        How::Hold(reason) => (PlanItemState::Held, Some(reason)),
        _ if !rule.routed => (PlanItemState::Stuck, Some(WaitReason::NoRoute)),
        _ => (PlanItemState::Waiting, None),
    };
    let wave = if matches!(work.how, How::Uncompensatable | How::Keep) { 0 } else { waves[&work.call] };
    Item {
        effect: work.effect.clone(),
        call: call.id.clone(),
        action,
        operation,
        undo_operation: work.operation.clone(),
        service: call.service().to_owned(),
        certainty: work.certainty,
        wave,
        turn: wave,
        generation,
        state,
        reason,
        sends: 0,
        attempts: 0,
        timer: Timer::None,
        absent_at: None,
        contradicted: false,
        mode: rule.mode,
        pivot: work.pivot,
        after: BTreeSet::new(),
    }
}

/// S5.1: what must go before what, where one of the two is new; what waited in the old plan stays as it was (S5.6).
pub fn order_new(scene: &Scene, items: &mut [Item], new: &dyn Fn(&Item) -> bool) {
    let all: Vec<Item> = items.to_vec();
    for item in items {
        for other in &all {
            let counts = other.effect != item.effect && (new(other) || new(item));
            if counts && must_be_first(scene, other, item) {
                item.after.insert(other.effect.clone());
            }
        }
    }
}

/// S5.1, S4.7: what must be undone before, or done again before.
fn must_be_first(scene: &Scene, first: &Item, then: &Item) -> bool {
    let (Some(one), Some(other)) = (scene.graph.find(&first.call), scene.graph.find(&then.call)) else { return false };
    let retries = [first, then].map(|item| item.action == CommandAction::Retry);
    match retries {
        [true, true] => order::comes_after(scene, other, one),
        [false, false] => order::comes_after(scene, one, other),
        _ => false,
    }
}

/// S5.6: a plan that is made anew keeps what an operator decided and the inquiries that were sent.
pub fn take_over(items: &mut Vec<Item>, old: &[Item]) {
    for old in old {
        let by_hand = matches!(old.state, PlanItemState::Skipped | PlanItemState::MarkedDone);
        let asked = old.action == CommandAction::Inquire && old.sends > 0;
        let retries = |item: &Item| item.action == CommandAction::Retry;
        let by_hand = |item: &Item| by_hand && retries(item) == retries(old);
        let takes =
            |item: &Item| by_hand(item) || item.action == old.action || asked && item.state == PlanItemState::Held;
        let new = items.iter_mut().find(|item| (item.effect == old.effect || item.call == old.call) && takes(item));
        let again = new.as_ref().is_some_and(|new| new.action == old.action);
        match new {
            // S4.3: what was not wanted any more is again: it is asked again, under the same id.
            Some(new) if asked && again && old.state == PlanItemState::Withdrawn => new.sends = old.sends,
            Some(new) if asked && again => *new = Item { turn: new.turn, ..old.clone() },
            // An inquiry that was made says nothing any more where nobody can be told or asked.
            Some(new) if asked && new.state == PlanItemState::Held => {
                new.action = CommandAction::Inquire;
                new.sends = old.sends;
                continue;
            }
            Some(new) if by_hand(new) && new.state != PlanItemState::Kept => new.state = old.state,
            None if by_hand(old) && !asked && old.pivot => items.push(old.clone()),
            _ => {}
        }
        if asked && !again {
            // It has no place any more.
            let mut kept = Item { turn: u32::MAX, ..old.clone() };
            if !kept.finished() {
                withdraw(&mut kept);
            }
            items.push(kept);
        }
    }
}

/// What came of amending a plan.
#[derive(Debug, Default)]
pub struct Amended {
    /// Works that need items of the next generation.
    pub new: BTreeSet<String>,
    /// S5.6: an undo had found nothing, and the effect came after it.
    pub ran_after_undo: bool,
}

/// S5.6: what late evidence does to items of a plan of which something was sent. `finish`: the chain turned out not to
/// have failed, and what was begun is finished as planned.
pub fn amend(scene: &Scene, items: &mut [Item], works: &[Work], finish: bool, gone: &dyn Fn(&Item) -> bool) -> Amended {
    let mut amended = Amended::default();
    // S1.4: an earlier request that was read later may bear another key; the effect is still that of the same call.
    for item in items.iter_mut().filter(|item| works.iter().all(|work| work.effect != item.effect)) {
        let retries = item.action == CommandAction::Retry;
        let same = |work: &&Work| scene.id(work.call) == item.call && (work.how == How::Retry) == retries;
        if let Some(work) = works.iter().find(same) {
            item.effect.clone_from(&work.effect);
        }
    }
    for item in items.iter_mut().filter(|item| item.state != PlanItemState::Withdrawn) {
        let work = works.iter().find(|work| work.effect == item.effect);
        match work {
            // S1.7: an event whose consumers have taken its place.
            None if item.sends == 0 && !item.finished() && scene.graph.find(&item.call).is_none() => withdraw(item),
            None if item.sends == 0 && !item.finished() && (!finish || gone(item)) => withdraw(item),
            None if item.action == CommandAction::Inquire && !item.finished() && !finish => withdraw(item),
            None => {}
            Some(work) if item.sends == 0 => amend_unsent(item, work, &mut amended),
            Some(work) => amend_sent(scene, item, work, &mut amended),
        }
    }
    for work in works {
        let stands = |item: &&Item| item.effect == work.effect && item.state != PlanItemState::Withdrawn;
        let mut standing = items.iter().filter(stands).peekable();
        if standing.peek().is_none() || standing.all(|item| item.contradicted) {
            amended.new.insert(work.effect.clone());
        }
    }
    amended
}

fn withdraw(item: &mut Item) {
    item.state = PlanItemState::Withdrawn;
    item.reason = None;
    item.timer = Timer::None;
}

fn amend_unsent(item: &mut Item, work: &Work, amended: &mut Amended) {
    let applied = work.certainty == Certainty::Applied;
    match item.state {
        // S4.7: a pivot turned out to be there, and no undoing had begun under that call.
        PlanItemState::Held | PlanItemState::Waiting | PlanItemState::Stuck if applied && work.how == How::Keep => {
            only_name(item, PlanItemState::Kept, None);
        }
        PlanItemState::Held if work.how == How::Uncompensatable => {
            only_name(item, PlanItemState::Uncompensatable, Some(WaitReason::Uncompensatable));
        }
        // Its answer, read later, may say what undoes it (S4.6).
        PlanItemState::Uncompensatable if work.how == How::Undo => {
            withdraw(item);
            amended.new.insert(work.effect.clone());
        }
        PlanItemState::Held if applied && item.certainty == Certainty::InDoubt => {
            withdraw(item);
            amended.new.insert(work.effect.clone());
        }
        PlanItemState::Waiting | PlanItemState::Stuck if applied && item.action != CommandAction::Retry => {
            item.certainty = Certainty::Applied;
            item.action = CommandAction::Undo;
            item.undo_operation.clone_from(&work.operation);
            item.operation = item.undo_operation.clone();
        }
        _ => {}
    }
}

fn only_name(item: &mut Item, state: PlanItemState, reason: Option<WaitReason>) {
    item.action = CommandAction::Undo;
    item.state = state;
    item.reason = reason;
    item.certainty = Certainty::Applied;
    item.wave = 0;
}

fn amend_sent(scene: &Scene, item: &mut Item, work: &Work, amended: &mut Amended) {
    if work.certainty != Certainty::Applied || item.contradicted {
        return;
    }
    if item.action == CommandAction::Inquire && !item.finished() {
        withdraw(item);
        return;
    }
    let Some(absent_at) = item.absent_at else { return };
    let first_ok = void::members(scene, &item.effect).into_iter().filter_map(|call| scene.first_ok(call)).min();
    let ok_after = first_ok.is_some_and(|first| first.at > absent_at);
    if ok_after && item.certainty == Certainty::InDoubt && item.state == PlanItemState::NotNeeded {
        item.contradicted = true;
        amended.ran_after_undo |= item.action == CommandAction::Undo;
    }
}
