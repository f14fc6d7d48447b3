//! What the policy's own mode would have made of a plan (S5.7).

use std::collections::HashMap;

use crate::{
    model::{ChainView, CommandView, PlanItemState, PlanState, Span},
    policy::{BrakeSettings, Mode, Policy},
};

/// The policy that a recording is run under: everything is sent, so that every wave and what becomes of it shows.
#[must_use]
pub fn in_auto(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    policy.settings.mode = Mode::Auto;
    for rule in &mut policy.catalogue.rules {
        rule.mode = rule.mode.map(|_| Mode::Auto);
    }
    // How old the evidence is says nothing here, and a minute of recorded time is read in a moment.
    policy.settings.max_plan_age = Span(u64::MAX);
    policy.settings.brake = BrakeSettings { per_edge: 0, overall: 0 };
    policy
}

/// Modes of operations under the policy as it is.
#[derive(Debug)]
pub struct Modes {
    policy: Policy,
    known: HashMap<(String, String), Mode>,
}

/// Operations whose mode is remembered; a recording with more of them resolves again.
const MAX_KNOWN: usize = 10_000;

impl Modes {
    /// Of a policy.
    #[must_use]
    pub fn of(policy: Policy) -> Self {
        Self { policy, known: HashMap::new() }
    }

    /// The state that a plan ends in under the policy, where `view` is what came of it in `auto`.
    pub fn state(&mut self, view: &ChainView) -> PlanState {
        let planned = |item: &&CommandView| item.state != PlanItemState::Withdrawn || item.sends > 0;
        if matches!(view.state, PlanState::None | PlanState::Abandoned)
            || !view.commands.iter().any(|item| planned(&item))
        {
            return view.state;
        }
        match self.strictest(view) {
            Mode::Observe => PlanState::Observed,
            // A plan of which nothing can be sent needs no approval.
            Mode::Approve if view.commands.iter().any(is_sendable) => PlanState::AwaitingApproval,
            Mode::Approve | Mode::Auto => view.state,
        }
    }

    /// The strictest mode among what a plan is about: it holds for the whole plan.
    pub fn strictest(&mut self, view: &ChainView) -> Mode {
        let calls: HashMap<&str, (&str, &str)> =
            view.calls.iter().map(|call| (call.call_id.as_str(), (&*call.callee, &*call.operation))).collect();
        let about = view.commands.iter().filter_map(|item| calls.get(item.call_id.as_str()));
        about.map(|(service, operation)| self.mode(service, operation)).max().unwrap_or(Mode::Auto)
    }

    fn mode(&mut self, service: &str, operation: &str) -> Mode {
        let name = (service.to_owned(), operation.to_owned());
        if let Some(&mode) = self.known.get(&name) {
            return mode;
        }
        let mode = self.policy.catalogue.resolve(&self.policy.settings, service, operation).mode;
        if self.known.len() < MAX_KNOWN {
            self.known.insert(name, mode);
        }
        mode
    }
}

/// The strictest mode among what a plan is about, under a policy as it is.
#[must_use]
pub fn strictest(policy: &Policy, view: &ChainView) -> Mode {
    Modes::of(policy.clone()).strictest(view)
}

fn is_sendable(item: &CommandView) -> bool {
    use PlanItemState::{Held, Kept, Uncompensatable, Withdrawn};
    item.sends > 0 || !matches!(item.state, Held | Kept | Uncompensatable | Withdrawn)
}
