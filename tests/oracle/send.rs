//! S5.2, S5.13: when a command goes out, and when it goes out again.

use std::collections::BTreeMap;

use countermand::{
    model::{Action, Command, CommandAction, LaneId, PlanItemState, Span, WaitReason, command_id},
    policy::{Mode, OnUndoFailure, Ordering},
};

use super::{
    chain::{Chain, Now},
    decide, effects,
    plan::{Item, Timer},
    scene::Scene,
    void,
};

impl Chain {
    /// Publishes what may go now.
    pub fn send(&mut self, now: &Now<'_>, actions: &mut Vec<Action>) {
        if self.verdict.is_none() || self.abandoned || self.mode() == Mode::Observe {
            return;
        }
        let over = |until| decide::lanes(&self.graph).into_iter().all(|lane: LaneId| now.stream(lane) >= until);
        if self.held_back_until().is_some_and(|until| !over(until)) {
            return;
        }
        let scene = self.scene(now);
        for index in 0..self.items.len() {
            if self.may_go(&scene, index, now) {
                self.publish(index, now, actions);
            }
        }
    }

    fn may_go(&self, scene: &Scene, index: usize, now: &Now<'_>) -> bool {
        let item = &self.items[index];
        if item.state != PlanItemState::Waiting || self.waits_for_approval(item.generation) {
            return false;
        }
        let members = void::members(scene, &item.effect);
        if members.into_iter().any(|call| effects::being_undone_by_service(scene, call, &self.undos_given_up)) {
            return false;
        }
        let stuck = self.items.iter().any(|other| other.state == PlanItemState::Stuck);
        let only_predecessors = stuck && now.policy.settings.on_undo_failure == OnUndoFailure::Continue;
        let held_up = |other: &Item| {
            let same_kind = (other.action == CommandAction::Retry) == (item.action == CommandAction::Retry);
            if !same_kind || other.finished() || other.only_named() || other.effect == item.effect {
                return false;
            }
            let lower =
                other.generation == item.generation && other.wave < item.wave && other.state != PlanItemState::Held;
            // S5.1: strictly one after the other: all that goes before must be undone before.
            let serial = now.policy.settings.ordering == Ordering::Strict && item.action != CommandAction::Retry;
            let before =
                |it: &Item| it.generation == item.generation && it.turn < item.turn && it.effect == other.effect;
            let earlier = serial && self.items.iter().any(before);
            item.after.contains(&other.effect) || earlier || lower && !only_predecessors
        };
        !self.items.iter().any(held_up)
    }

    /// S5.7, S5.8, S5.14: whether a generation waits for an operator.
    pub fn waits_for_approval(&self, generation: u32) -> bool {
        let gate = self.gates.get(&generation).cloned().unwrap_or_default();
        let revision = self.verdict.as_ref().map(|(_, revision)| *revision);
        let rejected = self.rejected.is_some() && self.rejected == revision && !self.anything_sent();
        !gate.approved && (self.mode() == Mode::Approve || gate.wait.is_some() || rejected)
    }

    fn publish(&mut self, index: usize, now: &Now<'_>, actions: &mut Vec<Action>) {
        let item = &mut self.items[index];
        item.sends += 1;
        item.attempts += 1;
        item.state = PlanItemState::Sent;
        item.reason = None;
        item.timer = Timer::Publication;
        let command = command(&self.id, &self.items[index], now);
        actions.push(Action::Command(Box::new(command)));
    }

    /// S5.13: the publication is committed, and its clock begins.
    pub fn published(&mut self, id: &str, now: &Now<'_>) {
        let Some(index) = self.item(id) else { return };
        let wait = answer_wait(now, self.items[index].attempts);
        let item = &mut self.items[index];
        match item.timer {
            Timer::Publication => item.timer = Timer::Answer(now.clock + wait),
            Timer::Backoff(early, _) if now.clock >= early => {
                item.sends += 1;
                item.attempts += 1;
                item.state = PlanItemState::Sent;
                item.timer = Timer::Answer(now.clock + answer_wait(now, item.attempts));
            }
            Timer::None | Timer::Answer(_) | Timer::Backoff(..) => {}
        }
    }

    /// The next instant of the command clock at which something is due.
    pub fn next_timer(&self) -> Option<u64> {
        let due = |item: &Item| match item.timer {
            Timer::Answer(due) | Timer::Backoff(_, due) => Some(due),
            Timer::None | Timer::Publication => None,
        };
        self.items.iter().filter_map(due).min()
    }

    /// S5.2: no answer in time, or the end of a backoff: again, `max_attempts` in all.
    pub fn ring(&mut self, now: &Now<'_>, actions: &mut Vec<Action>) {
        for index in 0..self.items.len() {
            match self.items[index].timer {
                Timer::Answer(due) if due <= now.clock && self.items[index].attempts >= now.max_attempts() => {
                    give_up(&mut self.items[index]);
                }
                Timer::Answer(due) | Timer::Backoff(_, due) if due <= now.clock => {
                    self.publish(index, now, actions);
                }
                _ => {}
            }
        }
        self.send(now, actions);
    }

    /// An operator has a stuck command sent again: attempts count anew, and it goes when its turn is.
    pub fn send_again(&mut self, index: usize) {
        let item = &mut self.items[index];
        item.attempts = 0;
        item.state = PlanItemState::Waiting;
        item.reason = None;
        item.timer = Timer::None;
    }

    pub fn item(&self, id: &str) -> Option<usize> {
        self.items.iter().position(|item| item.id(&self.id) == id && item.sends > 0)
    }
}

impl Now<'_> {
    pub fn max_attempts(&self) -> u32 {
        self.policy.settings.max_attempts
    }
}

impl Item {
    pub fn id(&self, chain: &str) -> String {
        command_id(chain, &self.call, self.action, self.generation)
    }
}

/// S5.2: a terminal failure, or attempts used up. An inquiry that nobody can answer leaves the effect held (S4.3).
pub fn give_up(item: &mut Item) {
    item.timer = Timer::None;
    let inquiry = item.action == CommandAction::Inquire;
    item.state = if inquiry { PlanItemState::Held } else { PlanItemState::Stuck };
    item.reason = Some(if inquiry { WaitReason::Held } else { WaitReason::Stuck });
}

/// S5.2: `answer_timeout`, doubling with each attempt.
pub fn answer_wait(now: &Now<'_>, attempts: u32) -> u64 {
    now.policy.settings.answer_timeout.times(1 << (attempts.max(1) - 1).min(40)).0
}

/// S5.2: the backoff after a retryable failure, doubling up to a limit; the oracle allows for half of it to both sides.
pub fn backoff(now: &Now<'_>, attempts: u32) -> Timer {
    let settings = &now.policy.settings;
    let Span(wait) = settings.backoff.times(1 << (attempts.max(1) - 1).min(40)).min(settings.max_backoff);
    Timer::Backoff(now.clock + wait / 2, now.clock + wait + wait / 2)
}

fn command(chain: &str, item: &Item, now: &Now<'_>) -> Command {
    Command {
        command_id: item.id(chain),
        chain_id: chain.into(),
        call_id: item.call.clone(),
        action: item.action,
        service: item.service.clone(),
        version: String::new(),
        instance: String::new(),
        operation: item.operation.clone(),
        call_operation: String::new(),
        key: String::new(),
        requested_at: None,
        certainty: item.certainty,
        wave: item.wave,
        generation: item.generation,
        attempt: item.sends,
        issued_at: now.host,
        answer_by: now.host.plus(Span(answer_wait(now, item.attempts))),
        request: None,
        response: None,
        compensation: None,
        route: String::new(),
        headers: BTreeMap::new(),
        message: None,
        attributes: BTreeMap::new(),
        revision: 0,
        verdict: String::new(),
    }
}
