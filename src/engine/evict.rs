//! S2.10: at the memory limit chains go, in a fixed order, each counted and said aloud.

use std::collections::HashSet;

use super::{Engine, call::Call, chain::Chain, change, decided::Decided};
use crate::model::{Action, BusTime, ChainChange, Name, Outcome, PlanState, Slot};

/// Share of the memory that is freed at once, so that the search for what to free is seldom.
const FREED: usize = 20;

/// What goes first. A chain with a command out, or one that waits for an operator, is never given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    LingeringSuccess,
    FinishedFailure,
    WaitsForLateEvidence,
    Undecided,
}

impl Class {
    fn of(chain: &Chain) -> Option<Self> {
        if chain.settled_at.is_some() {
            return Some(Self::LingeringSuccess);
        }
        let Some(decided) = chain.decided.as_ref() else {
            let failed = |call: &Call| call.answers().any(|answer| answer.code != super::call::AnswerCode::Ok);
            return (!chain.graph.node_weights().any(failed)).then_some(Self::Undecided);
        };
        let busy = decided.has_command_out()
            || matches!(
                decided.state,
                PlanState::Compensating | PlanState::AwaitingApproval | PlanState::NeedsOperator
            );
        match outcome(decided) {
            _ if busy => None,
            _ if decided.was_in_doubt => Some(Self::WaitsForLateEvidence),
            Outcome::Succeeded => Some(Self::LingeringSuccess),
            Outcome::Failed => Some(Self::FinishedFailure),
            Outcome::Unknown => Some(Self::WaitsForLateEvidence),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::LingeringSuccess => "lingering success",
            Self::FinishedFailure => "finished failure",
            Self::WaitsForLateEvidence => "evidence_expired",
            Self::Undecided => "undecided",
        }
    }
}

fn outcome(decided: &Decided) -> Outcome {
    decided.verdict.as_ref().map_or(Outcome::Succeeded, |verdict| verdict.outcome)
}

impl Engine {
    /// Frees memory if there is too much in use. `kept`: the chain that is being worked on stays.
    pub(super) fn make_room(&mut self, kept: Slot, at: BusTime, actions: &mut Vec<Action>) {
        let limit = self.policies.policy().settings.limits.memory;
        if self.table.bytes() <= limit {
            return;
        }
        let goal = limit - limit / FREED;
        let candidates = self.table.iter().filter(|(slot, _)| *slot != kept);
        let mut candidates: Vec<(Class, BusTime, u64, Slot)> =
            candidates.filter_map(|(slot, chain)| Some((Class::of(chain)?, chain.first_at, chain.key, slot))).collect();
        candidates.sort_unstable();
        for (class, _, _, slot) in candidates {
            if self.table.bytes() <= goal {
                break;
            }
            let Some(chain) = self.table.take(slot) else { continue };
            self.stats.evicted += 1;
            actions.push(change(chain.id.text(), at, ChainChange::Evicted(class.word())));
            self.close(slot, chain, at, actions);
        }
    }

    /// Whether nothing could be freed: the shell pauses its input, since what has a command out is never given up.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.table.bytes() > self.policies.policy().settings.limits.memory
    }

    /// Frees the names that no chain uses any more. `chain` is taken out of the table at the moment.
    pub(super) fn sweep_names(&mut self, chain: &Chain) {
        let mut used: HashSet<Name> = HashSet::new();
        for chain in self.table.iter().map(|(_, chain)| chain).chain([chain]) {
            for call in chain.graph.node_weights() {
                if let Some(begun) = &call.begun {
                    used.extend([begun.source, begun.service, begun.version, begun.instance, begun.operation]);
                }
                used.extend(call.answers().flat_map(|answer| [answer.reason, answer.service, answer.version]));
            }
        }
        used.extend(self.brake.edges.keys().flat_map(|&(caller, callee)| [caller, callee]));
        let rules = &self.policies.policy().catalogue.rules;
        let consumers = rules.iter().filter_map(|rule| rule.consumers.as_ref()).flat_map(|known| &known.services);
        used.extend(consumers.filter_map(|service| self.names.find(service)));
        self.names.sweep(&|name| used.contains(&name));
        self.policies.forget();
    }
}
