//! A recording through an engine: time, messages, answers, and a line for every chain.

use std::collections::HashMap;

use super::{
    book::Book,
    chains::Chains,
    mode::{Modes, in_auto},
};
use crate::{
    engine::{Engine, Stats},
    model::{Action, BusTime, ChainView, HostTime, Input, LaneId, Moment, PlanState, Position, Refusal, Span, Verb},
    policy::Policy,
    render::ChainLine,
    scenario::{Restless, run_until},
};

/// Lanes of one recording. What stands in further partitions is read as if it stood in the first.
const MAX_LANES: usize = 10_000;

/// How far time runs on after the end of a recording, at most. Longer limits than ten years cannot be configured.
const RUN_ON: Span = Span::hours(2 * 87_600);

/// Where a line stood on the bus.
#[derive(Debug, Clone, Copy)]
pub struct Stood<'a> {
    /// When the bus had it.
    pub at: BusTime,
    /// Its topic; empty: not said.
    pub topic: &'a str,
    /// Its partition; zero: not said.
    pub partition: i32,
    /// Its offset, if it is said.
    pub offset: Option<u64>,
}

/// Why a message of a recording was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// The engine refused it.
    Refused(Refusal),
    /// It answers a command of a chain that is not there.
    Unclaimed,
}

impl NotTaken {
    /// The word for the dead letters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.word(),
            Self::Unclaimed => "unknown_chain",
        }
    }
}

/// A recording on its way through an engine.
#[derive(Debug)]
pub struct Replay {
    engine: Engine,
    host: Option<HostTime>,
    lanes: HashMap<(String, i32), LaneId>,
    all_lanes: Vec<LaneId>,
    messages: u64,
    memory_limit: usize,
    book: Book,
}

impl Replay {
    /// A replay under `policy`. Of the chain `explain` the last picture is kept.
    #[must_use]
    pub fn new(policy: Policy, explain: Option<String>) -> Self {
        let memory_limit = policy.settings.limits.memory;
        let mut engine = Engine::new(in_auto(&policy));
        let own_lane = engine.lane("countermand.answers", -1);
        let book = Book {
            chains: Chains::default(),
            modes: Modes::of(policy),
            lines: Vec::new(),
            own_lane,
            said: 0,
            explain,
            explained: None,
        };
        Self { engine, host: None, lanes: HashMap::new(), all_lanes: vec![own_lane], messages: 0, memory_limit, book }
    }

    /// Time passes up to `at`, with everything read to its end.
    ///
    /// # Errors
    /// If the engine does not come to rest.
    pub fn pass(&mut self, at: BusTime) -> Result<(), Restless> {
        let mut host = self.host.unwrap_or(at.as_host());
        let book = &mut self.book;
        let done = run_until(&mut self.engine, &mut host, at.as_host(), &self.all_lanes, |engine, host, actions| {
            book.settle(engine, host, actions);
        });
        self.host = Some(host);
        done
    }

    /// Takes a message, after the time before it has passed.
    ///
    /// # Errors
    /// Why the engine did not take it.
    pub fn take(&mut self, input: &Input<'_>, stood: Stood<'_>) -> Result<(), NotTaken> {
        if self.is_approval(input) {
            return Ok(());
        }
        let moment = self.moment(stood);
        let host = self.host.unwrap_or(stood.at.as_host());
        let mut actions = Vec::new();
        self.engine.apply(input, moment, host, &mut actions);
        let not_taken = actions.iter().find_map(|action| match action {
            Action::Refused(refusal) => Some(NotTaken::Refused(*refusal)),
            Action::Unclaimed => Some(NotTaken::Unclaimed),
            _ => None,
        });
        match input {
            Input::Message(message) if not_taken.is_none() => self.book.chains.begin(message.chain_id),
            Input::DeadLetter(letter) if not_taken.is_none() => self.book.chains.begin(letter.message.chain_id),
            Input::Result(result) => {
                if let Some(open) = self.book.chains.get_mut(result.chain_id) {
                    open.answers.heard(result.command_id, result.state);
                }
            }
            _ => {}
        }
        self.book.settle(&mut self.engine, host, actions);
        not_taken.map_or(Ok(()), Err)
    }

    /// The recording has ended: every command is answered, and time runs on until every chain has its verdict. Then
    /// every chain has its line.
    ///
    /// # Errors
    /// If the engine does not come to rest.
    pub fn end(&mut self) -> Result<(), Restless> {
        let limit = self.host.map(|host| host.plus(RUN_ON));
        loop {
            self.answer_all();
            if self.book.chains.are_settled() {
                break;
            }
            match self.engine.next_due() {
                Some(due) if limit.is_some_and(|limit| due <= limit) => self.pass(due.as_bus())?,
                _ => break,
            }
        }
        for chain in self.book.chains.in_order() {
            self.book.look(&self.engine, &chain);
            self.book.close(&chain);
        }
        Ok(())
    }

    /// The lines that came since the last call.
    pub fn lines(&mut self) -> Vec<ChainLine> {
        std::mem::take(&mut self.book.lines)
    }

    /// The last picture of the chain to explain.
    #[must_use]
    pub fn explained(&self) -> Option<&ChainView> {
        self.book.explained.as_ref()
    }

    /// Chains so far.
    #[must_use]
    pub fn chains(&self) -> u64 {
        self.book.chains.count()
    }

    /// What the engine counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Whether the memory limit is reached by chains that are never given up (S2.10). An agent would pause its input; a
    /// recording cannot wait, so it is read on.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.engine.is_full()
    }

    /// Whether such chains take twice the memory limit, so that no more should be read.
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.is_full() && self.engine.memory() > self.memory_limit.saturating_mul(2)
    }

    /// Where the recording does not say at which offset a line stood, its time and then the order of reading do: a line
    /// that is read late stands for one of another topic.
    fn moment(&mut self, stood: Stood<'_>) -> Moment {
        self.messages += 1;
        if self.messages.is_multiple_of(CLOSED_KEPT) {
            // Nothing is saved here.
            drop(self.engine.take_closed());
        }
        let derived =
            (u64::try_from(stood.at.0).unwrap_or(0) << ORDER_BITS) | (self.messages & ((1 << ORDER_BITS) - 1));
        let offset = stood.offset.unwrap_or(derived);
        Moment { at: stood.at, position: Position { lane: self.lane(stood.topic, stood.partition), offset } }
    }

    fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        let full = self.lanes.len() >= MAX_LANES;
        let name = (topic.to_owned(), partition);
        if let Some(&lane) = self.lanes.get(&name) {
            return lane;
        }
        if full && let Some(&first) = self.all_lanes.get(1) {
            return first;
        }
        let lane = self.engine.lane(topic, partition);
        self.lanes.insert(name, lane);
        self.all_lanes.push(lane);
        lane
    }

    /// An operator of the recording decides on a plan that the policy holds back and that went on here as if it were
    /// sent: that is noted, and the engine, where nothing waits, is not asked.
    fn is_approval(&mut self, input: &Input<'_>) -> bool {
        let Input::Operation(operation) = input else { return false };
        let approved = match operation.verb {
            Verb::Approve => true,
            Verb::Reject => false,
            _ => return false,
        };
        let Some(view) = self.engine.view(operation.chain_id) else { return false };
        let held =
            self.book.modes.state(&view) == PlanState::AwaitingApproval && view.state != PlanState::AwaitingApproval;
        let Some(open) = self.book.chains.get_mut(operation.chain_id).filter(|_| held) else { return false };
        open.approved = Some(approved);
        self.book.look(&self.engine, operation.chain_id);
        true
    }

    fn answer_all(&mut self) {
        let Some(host) = self.host else { return };
        // Each answer may let the next wave go; a plan has no more waves than its chain has calls.
        loop {
            let owed = self.book.chains.owed();
            if owed.is_empty() {
                return;
            }
            for (chain, command_id, state) in owed {
                self.book.answer(&mut self.engine, host, &chain, &command_id, state);
            }
        }
    }
}

/// Messages after which the list of what was closed, which an agent would save, is dropped.
const CLOSED_KEPT: u64 = 100_000;

/// Low bits of a derived offset: messages of one millisecond, four millions.
const ORDER_BITS: u32 = 22;
