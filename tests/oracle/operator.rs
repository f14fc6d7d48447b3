//! S5.2, S5.7, S4.7: what an operator can do. A step that is refused changes nothing.

use countermand::model::{BusTime, Certainty, CommandAction, Operation, PlanItemState, PlanState, Verb, WaitReason};

use super::{
    chain::Chain,
    plan::{Item, Timer},
};

impl Chain {
    /// Whether the operation is carried out.
    pub fn operate(&mut self, operation: &Operation<'_>, at: BusTime) -> bool {
        let revision = self.verdict.as_ref().map_or(0, |(_, revision)| *revision);
        if self.verdict.is_none() || self.abandoned || self.closed {
            return false;
        }
        if operation.revision != 0 && operation.revision != revision {
            return false;
        }
        match operation.verb {
            Verb::Approve | Verb::Reject if self.state() != PlanState::AwaitingApproval => false,
            Verb::Approve => {
                for gate in self.gates.values_mut() {
                    gate.approved = true;
                }
                true
            }
            Verb::Reject => {
                self.rejected = Some(revision);
                true
            }
            Verb::GiveUp => {
                let unfinished = |item: &Item| !item.finished() && item.state != PlanItemState::Kept;
                let waits = [PlanState::NeedsOperator, PlanState::Compensating].contains(&self.state());
                self.abandoned = self.items.iter().any(unfinished) || waits;
                if self.abandoned {
                    self.items.iter_mut().for_each(|item| item.timer = Timer::None);
                }
                self.abandoned
            }
            Verb::Retry | Verb::Skip | Verb::MarkDone | Verb::Confirm => self.about_one(operation, at),
            Verb::Pause | Verb::Resume | Verb::BrakeRelease => false,
        }
    }

    fn about_one(&mut self, operation: &Operation<'_>, at: BusTime) -> bool {
        let unfinished = |item: &Item| !item.finished() && item.state != PlanItemState::Kept;
        let found = self.items.iter().rposition(|item| item.call == operation.call_id && unfinished(item));
        let Some(index) = found else { return false };
        let item = &mut self.items[index];
        match operation.verb {
            Verb::Retry if item.state == PlanItemState::Stuck && item.reason == Some(WaitReason::NoRoute) => {}
            Verb::Retry
                if item.state == PlanItemState::Stuck || item.state == PlanItemState::Held && item.sends > 0 =>
            {
                self.send_again(index);
            }
            Verb::Skip | Verb::MarkDone | Verb::Confirm if item.pivot => {
                self.by_word = true;
                let item = &mut self.items[index];
                let applied = operation.verb != Verb::Skip;
                finish(item, if applied { PlanItemState::MarkedDone } else { PlanItemState::Skipped });
                let settled = if applied { &mut self.settled.applied } else { &mut self.settled.absent };
                settled.insert(operation.call_id.into());
            }
            Verb::Skip => finish(item, PlanItemState::Skipped),
            Verb::MarkDone => finish(item, PlanItemState::MarkedDone),
            Verb::Confirm if item.state == PlanItemState::Held => {
                self.by_word = true;
                self.confirm(index, at);
            }
            _ => return false,
        }
        true
    }

    /// S5.2: a held effect did happen: undone in its own place, wave and generation, for certain.
    fn confirm(&mut self, index: usize, at: BusTime) {
        if self.items[index].action == CommandAction::Inquire {
            self.found(index, true, at);
            return;
        }
        let item = &mut self.items[index];
        item.certainty = Certainty::Applied;
        item.reason = None;
        item.state = PlanItemState::Waiting;
        let call = self.graph.find(&item.call).and_then(|call| self.graph.calls[call].rule.as_ref());
        if call.is_some_and(|rule| !rule.routed) {
            item.state = PlanItemState::Stuck;
            item.reason = Some(WaitReason::NoRoute);
        }
        if item.undo_operation.is_empty() {
            item.state = PlanItemState::Uncompensatable;
            item.reason = Some(WaitReason::Uncompensatable);
            item.wave = 0;
        }
        self.settled.applied.insert(item.call.clone());
    }
}

fn finish(item: &mut Item, state: PlanItemState) {
    item.state = state;
    item.reason = None;
    item.timer = Timer::None;
}
