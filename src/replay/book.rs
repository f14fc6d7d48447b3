//! What is taken down while an engine works: lines of chains, answers that are owed.

use super::{chains::Chains, mode::Modes};
use crate::{
    engine::Engine,
    model::{
        Action, ChainView, CommandResult, HostTime, Input, LaneId, Moment, Party, PlanState, Position, Published,
        ResultState,
    },
    render::ChainLine,
};

/// What is written down while the engine works.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) chains: Chains,
    pub(super) modes: Modes,
    pub(super) lines: Vec<ChainLine>,
    /// Lane of what the recording does not have.
    pub(super) own_lane: LaneId,
    /// Things said to the engine that the recording does not have.
    pub(super) said: u64,
    pub(super) explain: Option<String>,
    pub(super) explained: Option<ChainView>,
}

impl Book {
    /// Takes down what came of a call, and goes on until nothing more comes: commands are published, and answered where
    /// the recording does not.
    pub(super) fn settle(&mut self, engine: &mut Engine, host: HostTime, mut actions: Vec<Action>) {
        while !actions.is_empty() {
            let mut more = Vec::new();
            for action in actions {
                match action {
                    Action::Command(command) => {
                        let (chain_id, command_id) = (&command.chain_id, &command.command_id);
                        let published = Input::Published(Published { chain_id, command_id });
                        engine.apply(&published, self.moment(host), host, &mut more);
                        let answer = self.chains.get_mut(chain_id).and_then(|open| open.answers.sent(&command));
                        if let Some(state) = answer {
                            self.answer_into(engine, host, chain_id, command_id, state, &mut more);
                        }
                        self.look(engine, chain_id);
                    }
                    Action::View(view) => self.see(*view),
                    Action::Change { chain_id, .. } => self.look(engine, &chain_id),
                    Action::Closed { chain_id, .. } => self.close(&chain_id),
                    Action::Refused(_)
                    | Action::Unclaimed
                    | Action::Seek { .. }
                    | Action::Save(_)
                    | Action::Settled(_) => {}
                }
            }
            actions = more;
        }
    }

    pub(super) fn answer(
        &mut self,
        engine: &mut Engine,
        host: HostTime,
        chain: &str,
        command_id: &str,
        state: ResultState,
    ) {
        let mut actions = Vec::new();
        self.answer_into(engine, host, chain, command_id, state, &mut actions);
        self.settle(engine, host, actions);
    }

    fn answer_into(
        &mut self,
        engine: &mut Engine,
        host: HostTime,
        chain_id: &str,
        command_id: &str,
        state: ResultState,
        actions: &mut Vec<Action>,
    ) {
        if let Some(open) = self.chains.get_mut(chain_id) {
            open.answers.heard(command_id, state);
        }
        let by = Party::default();
        let result = CommandResult { command_id, chain_id, state, reason: "", message: "", by };
        engine.apply(&Input::Result(result), self.moment(host), host, actions);
    }

    /// The moment of something that the recording does not have.
    fn moment(&mut self, host: HostTime) -> Moment {
        self.said += 1;
        Moment { at: host.as_bus(), position: Position { lane: self.own_lane, offset: self.said } }
    }

    pub(super) fn look(&mut self, engine: &Engine, chain: &str) {
        if let Some(view) = engine.view(chain).filter(|view| view.verdict.is_some()) {
            self.see(view);
        }
    }

    fn see(&mut self, mut view: ChainView) {
        let approved = self.chains.get_mut(&view.chain_id).and_then(|open| open.approved);
        let own = view.state;
        let held = self.modes.state(&view);
        view.state = match approved {
            Some(true) if held == PlanState::AwaitingApproval => own,
            Some(false) if held == PlanState::AwaitingApproval => PlanState::Observed,
            _ => held,
        };
        if view.state != own {
            view.waits.clear();
        }
        // A plan under way is not settled, whatever the policy would have made of it.
        let under_way = own == PlanState::Compensating;
        self.chains.set_line(ChainLine::from(&view), under_way);
        if self.explain.as_ref() == Some(&view.chain_id) {
            self.explained = Some(view);
        }
    }

    pub(super) fn close(&mut self, chain: &str) {
        self.lines.extend(self.chains.close(chain));
    }
}
