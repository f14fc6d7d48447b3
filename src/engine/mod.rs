//! The engine: everything that is decided, as a function of what it is told (S1 to S5).
//!
//! [`Engine::apply`] takes one input with its position and bus time, [`Engine::advance`] lets time pass; both say what
//! is to be done as [`Action`]s. There is no I/O, clock, randomness or thread: same inputs, same actions.

use crate::{
    model::{Action, ChainView, HostTime, Input, LaneId, Moment, Slot},
    policy::Policy,
};

/// What one engine counts, from its beginning. A shell turns these into metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Messages that changed something.
    pub applied: u64,
    /// Duplicates that were dropped (S1.2).
    pub duplicates: u64,
    /// Messages read again after a restore, whose effect a snapshot already held.
    pub reread: u64,
    /// Messages refused.
    pub refused: u64,
    /// Answers to unknown, finished or superseded commands (S5.5).
    pub answers_ignored: u64,
    /// Verdicts, without revisions.
    pub verdicts: u64,
    /// Chains given up at the memory limit (S2.10).
    pub evicted: u64,
}

/// One engine: the chains of one partition (or of one queue, recording or scenario).
#[derive(Debug)]
pub struct Engine {
    _policy: Policy,
}

impl Engine {
    /// An engine that knows no chain yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { _policy: policy }
    }

    /// The lane named `topic` and `partition`, made if it is new. A lane that is made holds its chains' clocks from
    /// then on; make all lanes of an engine before the first input.
    ///
    /// # Panics
    /// Above 65,535 lanes.
    pub fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        let _ = (topic, partition);
        todo!()
    }

    /// Takes one input that the bus had at `moment`, while the host clock shows `host`. Timers due at or before the bus
    /// time of the message, on its lane, fire first (S2.5). Appends what is to be done. Says which chain now holds
    /// something of this input that is not saved; `None` if nothing has to be kept of it.
    pub fn apply(
        &mut self,
        input: &Input<'_>,
        moment: Moment,
        host: HostTime,
        actions: &mut Vec<Action>,
    ) -> Option<Slot> {
        let _ = (input, moment, host, actions);
        todo!()
    }

    /// Lets the host clock move to `host`, while the lanes in `at_end` are read to their end (S2.5): on these, and only
    /// on these, stream time follows the host clock. Command clocks run only if all lanes are (S5.13).
    pub fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>) {
        let _ = (host, at_end, actions);
        todo!()
    }

    /// The earliest host time at which [`Engine::advance`] would do something if every lane were at its end.
    #[must_use]
    pub fn next_due(&self) -> Option<HostTime> {
        todo!()
    }

    /// The picture of a chain that is kept.
    #[must_use]
    pub fn view(&self, chain_id: &str) -> Option<ChainView> {
        let _ = chain_id;
        todo!()
    }

    /// Writes a chain down: versioned bytes that [`Engine::restore_chain`] reads back. They hold up to which offset of
    /// each lane they are valid.
    #[must_use]
    pub fn snapshot_chain(&self, slot: Slot) -> Option<Vec<u8>> {
        let _ = slot;
        todo!()
    }

    /// Takes a chain back from its bytes. Messages at positions that the snapshot already holds are dropped when they
    /// are read again.
    ///
    /// # Errors
    /// A text that says what is wrong with the bytes.
    pub fn restore_chain(&mut self, bytes: &[u8]) -> Result<Slot, String> {
        let _ = bytes;
        todo!()
    }

    /// Writes down what is not of one chain: brake, pause, stream times, command clock. Small.
    #[must_use]
    pub fn snapshot_engine(&self) -> Vec<u8> {
        todo!()
    }

    /// Takes it back.
    ///
    /// # Errors
    /// A text that says what is wrong with the bytes.
    pub fn restore_engine(&mut self, bytes: &[u8]) -> Result<(), String> {
        let _ = bytes;
        todo!()
    }

    /// The ids of chains that were settled or closed since the last call ([`Action::Settled`], [`Action::Closed`]), as
    /// one packed record; `None` if there are none.
    pub fn take_closed(&mut self) -> Option<Vec<u8>> {
        todo!()
    }

    /// Takes such a record back.
    ///
    /// # Errors
    /// A text that says what is wrong with the bytes.
    pub fn restore_closed(&mut self, bytes: &[u8]) -> Result<(), String> {
        let _ = bytes;
        todo!()
    }

    /// Bytes that chains take, by the engine's own account (S2.10).
    #[must_use]
    pub fn memory(&self) -> usize {
        todo!()
    }

    /// Chains that are kept, whatever their state.
    #[must_use]
    pub fn chains(&self) -> usize {
        todo!()
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        todo!()
    }
}
