//! S1, S2.9, S5.5: what each kind of input does to its chain.

use super::{
    Engine,
    call::Stamp,
    change,
    command::{Answered, answer, operate, published},
    correlate::{Intake, Taken},
    decided::{Decided, Item},
    judge::Picture,
    message::Own,
    table::{key_of, new_chain},
};
use crate::model::{
    Action, BusTime, ChainChange, CommandAction, CommandResult, DeadLetter, Message, MessageKind, Moment, Operation,
    Published, Refusal, Refused, ResultState, Slot, Verb, command_id,
};

/// Operations on a whole engine whose ids it remembers, in 8 bytes each. Pauses and storms are rare: these are years of them,
/// and all are in every snapshot of the engine.
const MAX_OPERATED: usize = 256;

impl Engine {
    pub(super) fn message(&mut self, message: &Message<'_>, moment: Moment, actions: &mut Vec<Action>) -> Option<Slot> {
        let under_ours;
        let message = match self.own(message) {
            Own::Nothing => message,
            Own::Echo => {
                self.stats.duplicates += 1;
                return None;
            }
            Own::Answer(result) => return self.result(&result, moment, actions),
            Own::During(message) => {
                under_ours = *message;
                &under_ours
            }
        };
        let is_root = match &message.kind {
            MessageKind::Request(request) | MessageKind::Event(request) => request.parent.is_empty(),
            MessageKind::Response(_) => false,
        };
        self.take(message.chain_id, is_root, moment, actions, |intake, chain, stamp| {
            intake.message(chain, message, stamp)
        })
    }

    pub(super) fn dead_letter(
        &mut self,
        letter: &DeadLetter<'_>,
        moment: Moment,
        actions: &mut Vec<Action>,
    ) -> Option<Slot> {
        self.take(letter.message.chain_id, false, moment, actions, |intake, chain, stamp| {
            intake.dead_letter(chain, letter, stamp)
        })
    }

    fn take(
        &mut self,
        chain_id: &str,
        is_root: bool,
        moment: Moment,
        actions: &mut Vec<Action>,
        take: impl Fn(&mut Intake<'_>, &mut super::chain::Chain, Stamp) -> Taken,
    ) -> Option<Slot> {
        let key = key_of(chain_id);
        if self.reread.holds(key, moment.position) {
            self.stats.reread += 1;
            return None;
        }
        let found = self.table.find(chain_id, key);
        if found.is_none() && self.closed.holds(key, self.lanes.stream(moment.position.lane)) {
            if is_root && !self.reread.was_read(moment.position) {
                actions.push(change(chain_id, moment.at, ChainChange::IdReused));
            }
            return self.refuse(Refusal::ChainClosed, moment, actions);
        }
        let stamp = Stamp::new(moment);
        let (slot, mut chain) = match found {
            Some(slot) => (Some(slot), self.table.take(slot)?),
            None => (None, new_chain(chain_id, key, moment.at)),
        };
        let mut intake = Intake { names: &mut self.names, policies: &mut self.policies };
        let mut taken = take(&mut intake, &mut chain, stamp);
        if taken == Taken::Refused(Refusal::NamesFull) {
            self.sweep_names(&chain);
            let mut intake = Intake { names: &mut self.names, policies: &mut self.policies };
            taken = take(&mut intake, &mut chain, stamp);
        }
        let slot = match slot {
            Some(slot) => {
                self.table.put(slot, chain);
                slot
            }
            None if matches!(taken, Taken::Kept | Taken::Opened) => self.table.insert(chain),
            None => return self.not_kept(taken, moment, actions),
        };
        if !matches!(taken, Taken::Kept | Taken::Opened) {
            return self.not_kept(taken, moment, actions);
        }
        self.stats.applied += 1;
        let waits = |chain: &super::chain::Chain| chain.wake.is_some() && !chain.is_decided();
        if taken == Taken::Kept || !self.table.get(slot).is_some_and(waits) {
            self.settle(slot, moment.at, actions);
        }
        self.table.get(slot).map(|_| slot)
    }

    fn not_kept(&mut self, taken: Taken, moment: Moment, actions: &mut Vec<Action>) -> Option<Slot> {
        self.room.release(1);
        match taken {
            Taken::Refused(refusal) => return self.refuse(refusal, moment, actions),
            Taken::Duplicate => self.stats.duplicates += 1,
            Taken::Kept | Taken::Opened => {}
        }
        None
    }

    fn refuse(&mut self, refusal: Refusal, moment: Moment, actions: &mut Vec<Action>) -> Option<Slot> {
        if self.reread.was_read(moment.position) {
            self.stats.reread += 1;
            return None;
        }
        self.stats.refused += 1;
        actions.push(Action::Refused(refusal));
        None
    }

    /// A publication is committed: the command's clock begins.
    pub(super) fn published(&mut self, published_command: &Published<'_>) -> Option<Slot> {
        let slot = self.table.find(published_command.chain_id, key_of(published_command.chain_id))?;
        let (n, action) = self.find_command(slot, published_command.command_id)?;
        let mut chain = self.table.take(slot)?;
        let clock = self.lanes.command_clock;
        if let Some(decided) = chain.decided.as_mut() {
            published(&mut decided.items[n], action, &self.policies.policy().settings, clock);
        }
        self.time_commands(slot, &mut chain);
        self.table.put(slot, chain);
        None
    }

    /// A publication that was committed is still on its way, as a bus that confirms later says after a restart: its clock begins
    /// when it is published, and silence is no answer to what nobody has.
    pub fn is_on_its_way(&mut self, chain_id: &str, command_id: &str) {
        let Some(slot) = self.table.find(chain_id, key_of(chain_id)) else { return };
        let Some((n, action)) = self.find_command(slot, command_id) else { return };
        let Some(mut chain) = self.table.take(slot) else { return };
        let items = chain.decided.as_mut().map(|decided| &mut decided.items);
        if let Some(sending) = items.and_then(|items| items[n].sending_mut(action)) {
            sending.departs_still();
        }
        self.table.put(slot, chain);
    }

    /// The item and action that a command id stands for.
    pub(super) fn find_command(&self, slot: Slot, id: &str) -> Option<(usize, CommandAction)> {
        let chain = self.table.get(slot)?;
        let decided = chain.decided.as_ref()?;
        let chain_id = chain.id.text();
        decided.items.iter().enumerate().find_map(|(n, item)| {
            let call = super::judge::key_text(chain, &self.names, item.call);
            let is = |action: CommandAction| command_id(&chain_id, &call, action, item.generation) == id;
            let asked = item.inquiry.is_some() && is(CommandAction::Inquire);
            match () {
                () if asked => Some((n, CommandAction::Inquire)),
                () if is(item.action) => Some((n, item.action)),
                () => None,
            }
        })
    }

    /// The service that a command is for; `None`: no such command is known here. Whoever answers it must be that service
    /// (S8.1).
    #[must_use]
    pub fn command_target(&self, chain_id: &str, id: &str) -> Option<&str> {
        let (picture, item) = self.commanded(chain_id, id)?;
        Some(self.names.text(picture.calls[picture.find(item.call)?].service()))
    }

    /// The item that the command of this id is of, and the picture of its chain.
    pub(super) fn commanded(&self, chain_id: &str, id: &str) -> Option<(Picture<'_>, &Item)> {
        let slot = self.table.find(chain_id, key_of(chain_id))?;
        let (n, _) = self.find_command(slot, id)?;
        let chain = self.table.get(slot)?;
        let picture = Picture::draw(chain, &self.names, &self.policies, &self.lanes);
        Some((picture, &chain.decided.as_ref()?.items[n]))
    }

    pub(super) fn result(
        &mut self,
        result: &CommandResult<'_>,
        moment: Moment,
        actions: &mut Vec<Action>,
    ) -> Option<Slot> {
        let key = key_of(result.chain_id);
        if self.reread.holds(key, moment.position) {
            self.stats.reread += 1;
            return None;
        }
        let Some(slot) = self.table.find(result.chain_id, key) else {
            if self.reread.was_read(moment.position) {
                self.stats.reread += 1;
                return None;
            }
            self.stats.answers_ignored += 1;
            if !self.closed.holds(key, self.lanes.stream(moment.position.lane)) {
                actions.push(Action::Unclaimed);
            }
            return None;
        };
        let command = self.find_command(slot, result.command_id);
        let settings = &self.policies.policy().settings;
        let clock = self.lanes.command_clock;
        let mut chain = self.table.take(slot)?;
        let answered = match (chain.decided.as_mut(), command) {
            (Some(decided), Some(command)) => {
                answer(decided, command, result.command_id, result.state, moment.at, (settings, clock))
            }
            _ => Answered::Ignored,
        };
        // A `not_needed` may have been said before the effect came (S5.6).
        let found_nothing = result.state == ResultState::NotNeeded;
        let settles = command.is_some_and(|(n, _)| {
            found_nothing || chain.decided.as_ref().is_some_and(|decided| decided.items[n].pivot)
        });
        let call_id = command
            .and_then(|(n, _)| chain.decided.as_ref().map(|decided| decided.items[n].call))
            .map_or_else(String::new, |call| super::judge::key_text(&chain, &self.names, call));
        let state = result.state.word();
        let chain_id = chain.id.text().into_owned();
        self.table.put(slot, chain);
        let command_id = result.command_id.to_owned();
        if answered == Answered::Ignored {
            self.stats.answers_ignored += 1;
            actions.push(change(chain_id, moment.at, ChainChange::AnswerIgnored { call_id, command_id, state }));
            return None;
        }
        actions.push(change(chain_id, moment.at, ChainChange::Answered { call_id, command_id, state }));
        self.replan_after_word(slot, moment.at, settles, actions);
        Some(slot)
    }

    pub(super) fn operation(
        &mut self,
        operation: &Operation<'_>,
        moment: Moment,
        actions: &mut Vec<Action>,
    ) -> Option<Slot> {
        if operation.verb.is_for_all() {
            if !self.reread.was_read(moment.position) {
                self.operate_engine(operation, moment.at, actions);
            }
            return None;
        }
        let key = key_of(operation.chain_id);
        if self.reread.holds(key, moment.position) {
            self.stats.reread += 1;
            return None;
        }
        let Some(slot) = self.table.find(operation.chain_id, key) else {
            return self.refuse_operation(operation, Refused::UnknownChain, moment, actions);
        };
        let call = {
            let chain = self.table.get(slot)?;
            let picture = Picture::draw(chain, &self.names, &self.policies, &self.lanes);
            picture.find_id(operation.call_id).map(|n| picture.calls[n].key)
        };
        let mut chain = self.table.take(slot)?;
        let mark = key_of(operation.operation_id);
        let pivot =
            |decided: &Decided| call.and_then(|call| decided.item_of(call)).is_some_and(|n| decided.items[n].pivot);
        let settles = operation.verb == Verb::Confirm || chain.decided.as_deref().is_some_and(pivot);
        let done = match chain.decided.as_mut() {
            Some(decided) if !operation.operation_id.is_empty() && decided.operations.contains(&mark) => None,
            Some(decided) => {
                let done = operate(decided, operation.verb, call, operation.revision, moment.at);
                if done.is_ok() && !operation.operation_id.is_empty() {
                    decided.operations.push(mark);
                }
                Some(done)
            }
            None => Some(Err(Refused::NotDecided)),
        };
        let chain_id = chain.id.text().into_owned();
        self.table.put(slot, chain);
        match done {
            None => {
                self.stats.duplicates += 1;
                return None;
            }
            Some(Err(why)) => return self.refuse_operation(operation, why, moment, actions),
            Some(Ok(())) => {}
        }
        actions.push(change(chain_id, moment.at, operator_change(operation)));
        self.routes.anew = operation.verb == Verb::Retry;
        self.replan_after_word(slot, moment.at, settles, actions);
        self.routes.anew = false;
        Some(slot)
    }

    fn refuse_operation(
        &mut self,
        operation: &Operation<'_>,
        why: Refused,
        moment: Moment,
        actions: &mut Vec<Action>,
    ) -> Option<Slot> {
        if !self.reread.was_read(moment.position) {
            let refused = ChainChange::OperatorRefused {
                operation_id: operation.operation_id.to_owned(),
                verb: operation.verb.word(),
                call_id: operation.call_id.to_owned(),
                by: operation.by.to_owned(),
                why,
            };
            actions.push(change(operation.chain_id, moment.at, refused));
        }
        self.refuse(Refusal::OperationRefused, moment, actions)
    }

    /// Pause, resume and brake release are of the whole engine. The same one twice acts once.
    fn operate_engine(&mut self, operation: &Operation<'_>, at: BusTime, actions: &mut Vec<Action>) {
        let mark = key_of(operation.operation_id);
        if !operation.operation_id.is_empty() {
            if self.operated.contains(&mark) {
                self.stats.duplicates += 1;
                return;
            }
            if self.operated.len() >= MAX_OPERATED {
                self.operated.remove(0);
            }
            self.operated.push(mark);
        }
        actions.push(change("", at, operator_change(operation)));
        match operation.verb {
            Verb::Pause => self.paused = true,
            Verb::BrakeRelease => self.brake.release(),
            Verb::Resume if self.paused => {
                self.paused = false;
                let waiting = self.table.iter().filter(|(_, chain)| {
                    chain.decided.as_ref().is_some_and(|decided| decided.items.iter().any(|item| !item.is_finished()))
                });
                let mut waiting: Vec<(u64, Slot)> = waiting.map(|(slot, chain)| (chain.key, slot)).collect();
                waiting.sort_unstable();
                for (_, slot) in waiting {
                    self.go_on(slot, at, actions);
                }
            }
            _ => {}
        }
    }
}

fn operator_change(operation: &Operation<'_>) -> ChainChange {
    ChainChange::Operator {
        operation_id: operation.operation_id.to_owned(),
        verb: operation.verb.word(),
        call_id: operation.call_id.to_owned(),
        by: operation.by.to_owned(),
        reason: operation.reason.to_owned(),
    }
}
