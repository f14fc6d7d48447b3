//! S2.10: at the memory limit chains go, in a fixed order, each counted and said aloud. What is never given up may fill
//! the memory: then the engine says that it is full, and the shell pauses its input.
//!
//! Looking for what may go is a walk over all chains, so it is done only where it frees a fair share of the memory: how
//! much it would free is known before.

use super::{
    Engine, chain::Chain, change, decide::Now, decided::Decided, judge::Picture, plan::Effects, table::CLOSED_BYTES,
};
use crate::model::{
    Action, BusTime, ChainChange, EffectState, Name, Outcome, PlanItemState, PlanState, QuickMap, Slot, WaitReason,
};

/// Share of the memory (or of the calls, for names) that makes a walk over all chains worth it: each chain that comes
/// pays for a look at twenty.
const FREED: usize = 20;

/// Share of the memory that ids of closed chains may take, so that chains have most of it whatever else is configured.
const CLOSED_SHARE: usize = 4;

/// What goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    LingeringSuccess,
    FinishedFailure,
    WaitsForLateEvidence,
    Undecided,
    /// Not in the rule's list. But while input is paused nothing more comes that would decide such chains, so that whoever
    /// can publish enough of them would stop the partition for ever. So they go where they alone fill the memory, and an
    /// operator is told; where other chains would make room by ending, input is paused instead.
    UndecidedFailure,
    /// Likewise: decided, with a plan of which nothing is out, since it waits for time or evidence that only paused input
    /// would bring (an own undo, S4.9; a void call that is open, S5.6).
    UnsentPlan,
    /// Likewise, and a part of its plan is done: after all others.
    HalfUndone,
}

impl Class {
    /// `None`: never given up. It has a command out, waits for an operator, or its plan is being made.
    fn of(chain: &Chain) -> Option<Self> {
        if chain.settled_at.is_some() {
            return Some(Self::LingeringSuccess);
        }
        let Some(decided) = chain.decided.as_ref() else {
            return Some(if chain.has_failure { Self::UndecidedFailure } else { Self::Undecided });
        };
        let human = matches!(decided.state, PlanState::AwaitingApproval | PlanState::NeedsOperator);
        if human || decided.seeks || decided.has_command_out() {
            return None;
        }
        Some(match outcome(decided) {
            _ if decided.state == PlanState::Compensating && decided.undoing() => Self::HalfUndone,
            _ if decided.state == PlanState::Compensating => Self::UnsentPlan,
            _ if decided.was_in_doubt => Self::WaitsForLateEvidence,
            Outcome::Succeeded => Self::LingeringSuccess,
            Outcome::Failed => Self::FinishedFailure,
            Outcome::Unknown => Self::WaitsForLateEvidence,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::LingeringSuccess => "lingering success",
            Self::FinishedFailure => "finished failure",
            Self::WaitsForLateEvidence => "evidence_expired",
            Self::Undecided => "undecided",
            Self::UndecidedFailure => "undecided failure",
            Self::UnsentPlan => "unsent plan",
            Self::HalfUndone => "half undone",
        }
    }

    fn leave(self) -> Leave {
        match self {
            Self::UndecidedFailure | Self::UnsentPlan | Self::HalfUndone => Leave::AtLast,
            _ => Leave::Granted,
        }
    }
}

fn outcome(decided: &Decided) -> Outcome {
    decided.verdict.as_ref().map_or(Outcome::Succeeded, |verdict| verdict.outcome)
}

/// Whether a chain may be given up at the memory limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    Never,
    /// Where chains like it alone fill the memory.
    AtLast,
    Granted,
}

impl Leave {
    pub fn of(chain: &Chain) -> Self {
        Class::of(chain).map_or(Self::Never, Class::leave)
    }
}

/// How it stands with the room of an engine.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// No room, and nothing that may go: until there is a share of it again.
    full: bool,
    /// What may have freed names since they were last swept: calls that went, and messages that were not kept.
    released: usize,
    /// Calls and names that the last sweep of names walked over.
    walked: usize,
}

impl Room {
    /// Calls went, or messages were not kept: names may have become free.
    pub fn release(&mut self, calls: usize) {
        self.released = self.released.saturating_add(calls);
    }
}

impl Engine {
    /// Frees memory if there is too much in use. `kept`: the chain that is being worked on stays.
    pub(super) fn make_room(&mut self, kept: Option<Slot>, at: BusTime, actions: &mut Vec<Action>) {
        let limit = self.policies.policy().settings.limits.memory;
        let share = limit / FREED;
        let goal = limit - share;
        let memory = self.memory();
        if memory > limit || self.room.full && memory > goal {
            // Once it is full a smaller gain will do, if it ends that.
            let worth = share.min(memory - goal).max(1);
            // Whatever else ends would not make room. While an operator pauses, it is he who is waited for.
            let at_last = !self.paused && memory - self.table.bytes() + self.table.leaving(None, Leave::AtLast) > goal;
            let last = if at_last { self.table.leaving(kept, Leave::AtLast) } else { 0 };
            if self.table.leaving(kept, Leave::Granted) + last >= worth {
                self.give_up(goal, at_last, kept, at, actions);
            }
            self.room.full |= self.memory() > limit;
        }
        self.room.full &= self.memory() > goal;
    }

    /// Gives chains up, in the order of S2.10, until no more than `goal` bytes are in use; those that go `at_last` only if
    /// that is said.
    fn give_up(&mut self, goal: usize, at_last: bool, kept: Option<Slot>, at: BusTime, actions: &mut Vec<Action>) {
        self.stats.sweeps += 1;
        let candidates = self.table.iter().filter(|(slot, _)| Some(*slot) != kept);
        let mut candidates: Vec<(Class, BusTime, u64, Slot)> =
            candidates.filter_map(|(slot, chain)| Some((Class::of(chain)?, chain.first_at, chain.key, slot))).collect();
        candidates.retain(|candidate| at_last || candidate.0.leave() != Leave::AtLast);
        candidates.sort_unstable();
        for (class, _, _, slot) in candidates {
            if self.memory() <= goal {
                break;
            }
            let Some(mut chain) = self.table.take(slot) else { continue };
            self.stats.evicted += 1;
            match class {
                Class::WaitsForLateEvidence if self.is_in_doubt(&chain) => self.expire(&mut chain, at, actions),
                Class::UnsentPlan | Class::HalfUndone => self.expire(&mut chain, at, actions),
                Class::UndecidedFailure => {
                    actions.push(change(chain.id.text(), at, ChainChange::State(PlanState::NeedsOperator)));
                }
                _ => {}
            }
            actions.push(change(chain.id.text(), at, ChainChange::Evicted(class.word())));
            self.close(slot, chain, at, actions);
        }
    }

    /// Of a chain whose evidence will not be waited for: the last that is said of it is that an operator has to look.
    fn expire(&self, chain: &mut Chain, at: BusTime, actions: &mut Vec<Action>) {
        let Some(decided) = chain.decided.as_mut() else { return };
        decided.state = PlanState::NeedsOperator;
        decided.waits = vec![WaitReason::EvidenceExpired];
        actions.push(change(chain.id.text(), at, ChainChange::State(PlanState::NeedsOperator)));
        actions.push(Action::View(Box::new(self.view_of(chain))));
    }

    /// Whether an effect of a decided chain is in doubt, and neither a command nor an operator has settled it.
    fn is_in_doubt(&self, chain: &Chain) -> bool {
        use PlanItemState::{Done, MarkedDone, NotNeeded, Skipped};
        let Some(decided) = chain.decided.as_ref() else { return false };
        let now = Now { lanes: &self.lanes, as_of: decided.as_of };
        let picture = Picture::draw_as_of(chain, &self.names, &self.policies, now, &decided.items);
        let effects = Effects::of(&picture, &self.policies, outcome(decided), &decided.given_up);
        let settled = |n: usize| {
            let item = decided.item_of(picture.calls[n].key).map(|item| decided.items[item].state);
            matches!(item, Some(Done | NotNeeded | Skipped | MarkedDone))
        };
        (0..picture.calls.len()).any(|n| {
            let in_doubt = effects.has[n] && effects.shared_state(n) == EffectState::InDoubt;
            in_doubt && !effects.sharing[n].iter().any(|&n| settled(n))
        })
    }

    /// Whether the memory limit is reached by what is never given up (S2.10). The shell then pauses its input, but for
    /// results and operations, which let chains end. Once it is full, it is so until a twentieth of the memory is free.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room.full
    }

    /// Ids of closed chains that are remembered at most: as configured, and no more than a quarter of the memory holds.
    pub(super) fn closed_limit(&self) -> usize {
        let limits = &self.policies.policy().settings.limits;
        limits.closed_chains.min(limits.memory / CLOSED_SHARE / CLOSED_BYTES).max(1)
    }

    /// Frees the names that no chain uses any more, if enough has gone since the last time that it is worth a walk over
    /// all calls. `chain` is taken out of the table at the moment.
    pub(super) fn sweep_names(&mut self, chain: &Chain) {
        if self.room.released.saturating_mul(FREED) < self.room.walked {
            return;
        }
        self.stats.sweeps += 1;
        // Edges that were quiet for a full minute count from zero again, as if they were new (S5.8).
        let minute = self.brake.overall.minute;
        self.brake.edges.retain(|_, counted| counted.minute + 1 >= minute);
        let mut used: QuickMap<Name, ()> = QuickMap::default();
        let mut walked = 0;
        for chain in self.table.iter().map(|(_, chain)| chain).chain([chain]) {
            walked += chain.graph.node_count();
            for call in chain.graph.node_weights() {
                if let Some(begun) = &call.begun {
                    let names = [begun.source, begun.service, begun.version, begun.instance, begun.operation];
                    used.extend(names.map(|name| (name, ())));
                }
                let names = call.answers().flat_map(|answer| [answer.reason, answer.service, answer.version]);
                used.extend(names.map(|name| (name, ())));
            }
        }
        used.extend(self.brake.edges.keys().flat_map(|&(caller, callee)| [(caller, ()), (callee, ())]));
        let rules = &self.policies.policy().catalogue.rules;
        let consumers = rules.iter().filter_map(|rule| rule.consumers.as_ref()).flat_map(|known| &known.services);
        used.extend(consumers.filter_map(|service| self.names.find(service)).map(|name| (name, ())));
        self.room.released = 0;
        self.room.walked = walked + self.names.len();
        self.names.sweep(&|name| used.contains_key(&name));
        self.policies.forget();
    }
}
