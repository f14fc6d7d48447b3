//! S5.7, S5.8, S5.14: whether a plan goes at once, waits, or is only looked at.

use super::brake::Brake;
use crate::{
    engine::decided::{Decided, Gate},
    model::{BusTime, HostTime, Name, PlanItemState, WaitReason},
    policy::{Mode, Settings},
};

/// What is known when a plan's gate is set.
#[derive(Debug)]
pub(in crate::engine) struct GateInput<'a> {
    pub settings: &'a Settings,
    /// The strictest mode among the plan's commands.
    pub mode: Mode,
    pub incomplete: bool,
    /// The agent has not caught up for the first time yet.
    pub catching_up: bool,
    /// Bus time of the newest evidence.
    pub newest: BusTime,
    pub host: HostTime,
    pub edge: (Name, Name),
    pub at: BusTime,
}

/// The gate of the newest generation. The strictest mode among its commands holds for all of it.
pub(in crate::engine) fn gate(decided: &mut Decided, input: &GateInput<'_>, brake: &mut Brake) -> Gate {
    let generation = decided.generation();
    let own = |item: &&crate::engine::decided::Item| item.generation == generation && !item.superseded;
    let sendable = decided.items.iter().filter(own).any(|item| item.state == PlanItemState::Waiting);
    let mode = input.mode;
    decided.mode = mode;
    if mode == Mode::Observe {
        return Gate::Observe;
    }
    if !sendable {
        return Gate::Open;
    }
    let stale = input.host.since(input.newest.as_host()) > input.settings.max_plan_age;
    match () {
        () if mode == Mode::Approve => Gate::Await(WaitReason::Mode),
        () if input.incomplete && !input.settings.act_on_incomplete => Gate::Await(WaitReason::Incomplete),
        () if input.catching_up => Gate::Await(WaitReason::CatchingUp),
        () if stale => Gate::Await(WaitReason::Stale),
        () if decided.braked_generation == generation => Gate::Open,
        () => {
            decided.braked_generation = generation;
            let admitted = brake.admits(&input.settings.brake, input.edge, input.at);
            if admitted { Gate::Open } else { Gate::Await(WaitReason::Brake) }
        }
    }
}
