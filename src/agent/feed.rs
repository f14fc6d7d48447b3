//! What a record is, by where it was read: it is decoded, believed or not (S8.1), and given to the engine.

use super::{
    desk::Share,
    reply,
    shard::Shard,
    step::Surroundings,
    vouch::{self, Rejected},
};
use crate::{
    bus::{Record, carried, layout::Role, merge::Taken},
    model::{BusTime, Input, Moment, Slot},
    trust::Distrust,
    wire::{self, proto},
};

impl Shard {
    /// The time by which it is said whether a record is too old to be believed (S8.1): that of its lane, which no sender can
    /// set back. What was read before a restart is believed as it was then.
    fn stands_at(&self, moment: Moment) -> BusTime {
        let Moment { at, position } = moment;
        if self.engine.was_read(position) { at } else { at.max(self.engine.stream_time(position.lane)) }
    }

    /// Decodes a record and gives it to the engine.
    pub(super) fn feed(
        &mut self,
        role: Role,
        taken: &Taken<Record>,
        moment: Moment,
        around: &Surroundings,
    ) -> Result<Option<Slot>, Rejected> {
        let (host, limits, record) = (self.host, &around.limits, &taken.item);
        let now = self.stands_at(moment);
        let bytes = record.payload.clone().unwrap_or_default();
        match role {
            Role::Carried => self.feed(carried::role(&taken.item), taken, moment, around),
            Role::DeadLetters(handled) if let Some(result) = reply::died(record, handled, &self.engine) => {
                // It bears the agent's own signature, if that signs.
                match vouch::is_own(around, record) {
                    Some(true) => self.answered(&result, moment, around),
                    Some(false) => Err(Distrust::Forged.into()),
                    None => self.result(&result, record, moment, around),
                }
            }
            Role::Results if let Some(whose) = carried::correlation(record) => {
                // Whoever answers where it is told, as in any RPC, answers an envelope there, too.
                if self.engine.is_call(&whose.chain_id, &whose.command_id) {
                    return self.feed(Role::Envelopes, taken, moment, around);
                }
                let result = reply::answer(record, whose, &self.engine, &around.payloads)?;
                self.result(&result, record, moment, around)
            }
            Role::Envelopes | Role::DeadLetters(_) => {
                let mut owned = None;
                let envelope = wire::read_envelope(&bytes, limits, &mut owned)?;
                vouch::envelope(around, record, &envelope, now)?;
                let input = match role {
                    Role::DeadLetters(handled) => Input::DeadLetter(wire::dead_letter(envelope, handled, limits)?),
                    _ => Input::Message(wire::message(envelope, limits)?),
                };
                if let Some(correction) = taken.correction {
                    around.metrics.corrected(correction, envelope.source_service());
                }
                if around.layout.partitions > 1 {
                    around.keys.saw(envelope.chain_id(), self.partition, &around.metrics);
                }
                Ok(self.engine.apply(&input, moment, host, &mut self.actions))
            }
            Role::Results => self.result(&wire::decode_command_result(bytes, limits)?, record, moment, around),
            Role::Operations => {
                let operation = wire::decode_operation(bytes, limits)?;
                let operation = wire::operation(&operation, limits)?;
                vouch::operation(around, record, &operation, now)?;
                let is_elsewhere = |share: &Share| share.is_elsewhere(operation.operation_id);
                if operation.verb.is_for_all() && around.share.as_ref().is_some_and(is_elsewhere) {
                    around.metrics.operations.add("elsewhere");
                    return Ok(None);
                }
                Ok(self.engine.apply(&Input::Operation(operation), moment, host, &mut self.actions))
            }
        }
    }

    /// Gives the answer in a record to the engine.
    fn result(
        &mut self,
        result: &proto::CommandResult,
        record: &Record,
        moment: Moment,
        around: &Surroundings,
    ) -> Result<Option<Slot>, Rejected> {
        let target = |chain: &str, command: &str| self.engine.command_target(chain, command);
        vouch::result(around, record, result, self.stands_at(moment), target)?;
        self.answered(result, moment, around)
    }

    fn answered(
        &mut self,
        result: &proto::CommandResult,
        moment: Moment,
        around: &Surroundings,
    ) -> Result<Option<Slot>, Rejected> {
        let result = wire::command_result(result, &around.limits)?;
        Ok(self.engine.apply(&Input::Result(result), moment, self.host, &mut self.actions))
    }
}
