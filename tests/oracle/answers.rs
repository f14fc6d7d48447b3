//! S5.2, S5.5, S4.3: what an answer to a command does.

use countermand::model::{BusTime, Certainty, CommandAction, PlanItemState, ResultState};

use super::{
    chain::{Chain, Now},
    plan::{Item, Timer},
    send::{answer_wait, backoff, give_up},
};

impl Chain {
    /// Whether the answer changed anything. Answers to unknown, finished or superseded commands change nothing, nor
    /// does anything after an operator gave up.
    pub fn answered(&mut self, id: &str, state: ResultState, at: BusTime, now: &Now<'_>) -> bool {
        let Some(index) = self.item(id).filter(|_| !self.abandoned) else { return false };
        let item = &mut self.items[index];
        let out = matches!(item.state, PlanItemState::Sent | PlanItemState::Backoff);
        // Also of one that an operator has sent again, whose turn has not come.
        let stuck = matches!(item.state, PlanItemState::Stuck | PlanItemState::Waiting);
        let held = item.state == PlanItemState::Held;
        let inquiry = item.action == CommandAction::Inquire;
        match state {
            ResultState::Done | ResultState::NotNeeded if !inquiry && (out || stuck) => {
                finish(item, state == ResultState::Done, at);
            }
            ResultState::Applied | ResultState::Absent if inquiry && (out || stuck || held) => {
                self.found(index, state == ResultState::Applied, at);
            }
            ResultState::Ongoing if out => {
                item.state = PlanItemState::Sent;
                item.timer = Timer::Answer(now.clock + answer_wait(now, item.attempts));
            }
            ResultState::Retryable if item.state == PlanItemState::Sent => again(item, now),
            ResultState::Unknown if inquiry && item.state == PlanItemState::Sent => again(item, now),
            ResultState::Failed if out => give_up(item),
            _ => return false,
        }
        true
    }

    /// S4.3: an inquiry found the effect, which is then undone in the same wave, or found nothing.
    pub fn found(&mut self, index: usize, applied: bool, at: BusTime) {
        let call = self.items[index].call.clone();
        finish(&mut self.items[index], applied, at);
        if !applied {
            self.settled.absent.insert(call);
            return;
        }
        self.settled.applied.insert(call);
        if self.items[index].pivot {
            // S4.7: it says whether to go forward, and is not followed by an undo.
            return;
        }
        let mut undo = self.items[index].clone();
        undo.action = CommandAction::Undo;
        undo.operation = undo.undo_operation.clone();
        undo.certainty = Certainty::Applied;
        undo.state = PlanItemState::Waiting;
        undo.absent_at = None;
        undo.sends = 0;
        undo.attempts = 0;
        self.items.push(undo);
    }
}

fn finish(item: &mut Item, done: bool, at: BusTime) {
    item.timer = Timer::None;
    item.reason = None;
    item.state = if done { PlanItemState::Done } else { PlanItemState::NotNeeded };
    if !done {
        item.absent_at = Some(at);
    }
}

fn again(item: &mut Item, now: &Now<'_>) {
    if item.attempts >= now.max_attempts() {
        give_up(item);
    } else {
        item.state = PlanItemState::Backoff;
        item.timer = backoff(now, item.attempts);
    }
}
