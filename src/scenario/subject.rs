//! What a scenario is run against.

use crate::{
    engine::Engine,
    model::{Action, ChainView, HostTime, Input, LaneId, Moment},
};

/// What a scenario is run against: the engine, or something that claims to decide like it. Methods are those of
/// [`Engine`].
pub trait Subject {
    /// The lane named `topic` and `partition`, made if it is new.
    fn lane(&mut self, topic: &str, partition: i32) -> LaneId;
    /// Takes one input.
    fn apply(&mut self, input: &Input<'_>, moment: Moment, host: HostTime, actions: &mut Vec<Action>);
    /// Lets the host clock move, while the lanes in `at_end` are read to their end.
    fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>);
    /// The earliest host time at which [`Subject::advance`] would do something if every lane were at its end.
    fn next_due(&self) -> Option<HostTime>;
    /// The picture of a chain that is kept.
    fn view(&self, chain_id: &str) -> Option<ChainView>;
}

impl Subject for Engine {
    fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        Self::lane(self, topic, partition)
    }

    fn apply(&mut self, input: &Input<'_>, moment: Moment, host: HostTime, actions: &mut Vec<Action>) {
        // What is not saved is of no interest: a scenario does not restart.
        let _slot = Self::apply(self, input, moment, host, actions);
    }

    fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>) {
        Self::advance(self, host, at_end, actions);
    }

    fn next_due(&self) -> Option<HostTime> {
        Self::next_due(self)
    }

    fn view(&self, chain_id: &str) -> Option<ChainView> {
        Self::view(self, chain_id)
    }
}
