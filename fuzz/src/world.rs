//! An engine under watch: every step is checked against what must hold whatever comes.

use std::collections::{BTreeMap, BTreeSet};

use countermand::{
    engine::Engine,
    model::{
        Action, BusTime, Command, CommandAction, Destination, HostTime, Input, LaneId, Moment, Position, Published,
        RouteAnswer, Slot, Verb,
    },
    policy::Policy,
};

use crate::{account::live, picture};

/// 2026-01-01T00:00:00Z.
pub const BASE: i64 = 1_767_225_600_000;

/// What a command is about: chain, call, action, generation.
type Subject = (String, String, CommandAction, u32);

/// Beside the chains themselves: names, ids of closed chains, and what one step adds before room is made.
const SLACK: usize = 150_000;

/// Bytes that the engine may take beyond its own account: empty tables, resolved rules, lanes, timers that were
/// overtaken and not yet swept.
const UNACCOUNTED: isize = 400_000;

/// An engine, what the shell around it would know, and what it said.
pub struct World {
    policy: Policy,
    engine: Engine,
    lanes: Vec<(LaneId, u64, BusTime)>,
    host: HostTime,
    /// Chains that a shell would have saved.
    unsettled: BTreeSet<Slot>,
    closed: Vec<Vec<u8>>,
    /// Commands whose publication is not committed yet.
    departing: Vec<(String, String)>,
    /// Chain and id of every command, in the order of their first publication.
    commands: Vec<(String, String)>,
    ids: BTreeMap<Subject, String>,
    subjects: BTreeMap<String, Subject>,
    /// Publications of each command since an operator last had it sent again.
    tries: BTreeMap<String, u32>,
    /// Routes that the engine asks for.
    seeks: Vec<(String, BusTime, Vec<Destination>)>,
    /// Bytes that the engine really takes.
    taken: isize,
}

impl World {
    /// An engine with `lanes` lanes.
    #[must_use]
    pub fn new(policy: Policy, lanes: usize) -> Self {
        let before = live();
        let mut engine = Engine::new(policy.clone());
        engine.ask_for_routes();
        let ids: Vec<LaneId> = (0..lanes).map(|n| engine.lane(topic(n), partition(n))).collect();
        let taken = live() - before;
        Self {
            policy,
            engine,
            lanes: ids.into_iter().map(|id| (id, 0, BusTime(BASE))).collect(),
            host: HostTime(BASE),
            unsettled: BTreeSet::new(),
            closed: Vec::new(),
            departing: Vec::new(),
            commands: Vec::new(),
            ids: BTreeMap::new(),
            subjects: BTreeMap::new(),
            tries: BTreeMap::new(),
            seeks: Vec::new(),
            taken,
        }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Commands so far: chain and id.
    #[must_use]
    pub fn commands(&self) -> &[(String, String)] {
        &self.commands
    }

    /// One input on a lane, which the bus had `lag` milliseconds ago but not before what it had there last. A full
    /// engine gets no more envelopes: the shell pauses its input (S2.10).
    pub fn input(&mut self, lane: usize, lag: i64, input: &Input<'_>) {
        let chain = match input {
            Input::Message(message) => message.chain_id,
            Input::DeadLetter(letter) => letter.message.chain_id,
            Input::Result(result) => result.chain_id,
            Input::Operation(operation) => operation.chain_id,
            Input::Published(_) | Input::Route(_) => return,
        };
        if self.engine.is_full() && matches!(input, Input::Message(_) | Input::DeadLetter(_)) {
            return;
        }
        let count = self.lanes.len();
        let (id, next, last) = &mut self.lanes[lane % count];
        *last = BusTime(self.host.0.saturating_sub(lag)).max(*last);
        let moment = Moment { at: *last, position: Position { lane: *id, offset: *next } };
        *next += 1;
        if let Input::Operation(operation) = input {
            self.allow_again(operation.chain_id, operation.verb);
        }
        let host = self.host;
        self.step(|engine, actions| engine.apply(input, moment, host, actions));
        if let Some(view) = self.engine.view(chain) {
            picture::check(&view, self.policy.settings.limits.calls_per_chain);
        }
    }

    /// Time passes, with the lanes whose bit is set read to their end.
    pub fn pass(&mut self, millis: i64, at_end: u8) {
        self.host = HostTime(self.host.0.saturating_add(millis));
        let lanes = self.lanes.iter_mut().enumerate().filter(|(n, _)| at_end >> n & 1 == 1);
        let lanes: Vec<LaneId> = lanes
            .map(|(_, (id, _, last))| {
                *last = self.host.as_bus().max(*last);
                *id
            })
            .collect();
        let host = self.host;
        self.step(|engine, actions| {
            engine.advance(host, &lanes, actions);
            None
        });
    }

    /// The host clock stands at `host` from now on, unless it is later already.
    pub fn host_at(&mut self, host: HostTime) {
        self.host = self.host.max(host);
    }

    /// The publications of all departing commands are committed.
    pub fn publish(&mut self) {
        let moment = Moment { at: self.host.as_bus(), position: Position { lane: self.lanes[0].0, offset: 0 } };
        let host = self.host;
        for (chain_id, command_id) in std::mem::take(&mut self.departing) {
            let published = Published { chain_id: &chain_id, command_id: &command_id };
            self.step(|engine, actions| {
                engine.apply(&Input::Published(published), moment, host, actions);
                None
            });
        }
    }

    /// The process ends and begins again from what was saved.
    pub fn restart(&mut self) {
        self.closed.extend(self.engine.take_closed());
        let whole = self.engine.snapshot_engine();
        let chains: Vec<Vec<u8>> = self.unsettled.iter().filter_map(|&slot| self.engine.snapshot_chain(slot)).collect();
        let before = live();
        let mut engine = Engine::new(self.policy.clone());
        engine.ask_for_routes();
        for (n, (id, ..)) in self.lanes.iter_mut().enumerate() {
            *id = engine.lane(topic(n), partition(n));
        }
        engine.restore_engine(&whole).expect("the engine's own bytes");
        let mut slots = Vec::with_capacity(chains.len());
        for bytes in &chains {
            slots.push(engine.restore_chain(bytes).expect("a chain's own bytes"));
        }
        for bytes in &self.closed {
            engine.restore_closed(bytes).expect("the engine's own list of closed chains");
        }
        self.taken = live() - before - (slots.capacity() * size_of::<Slot>()).cast_signed();
        for (bytes, &slot) in chains.iter().zip(&slots) {
            let id = id_in(bytes);
            assert_eq!(engine.view(id), self.engine.view(id), "a restored chain looks as it did");
            assert!(engine.snapshot_chain(slot).is_some(), "a restored chain can be saved");
        }
        self.unsettled = slots.into_iter().collect();
        self.departing.clear();
        self.engine = engine;
        // As a shell does: what is above the memory limit now may go.
        self.pass(0, 0);
    }

    /// Looks at every chain that is kept, in every way that people and programs look at it.
    pub fn look_at<'a>(&self, chains: impl IntoIterator<Item = &'a str>) {
        for view in chains.into_iter().filter_map(|chain| self.engine.view(chain)) {
            picture::check(&view, self.policy.settings.limits.calls_per_chain);
            picture::show(&view);
        }
    }

    /// One step of the engine, and the answers to what it asks in it.
    fn step(&mut self, work: impl FnOnce(&mut Engine, &mut Vec<Action>) -> Option<Slot>) {
        self.watch(work);
        self.hold();
        self.answer_seeks();
    }

    /// What the engine took in bytes, and what it said.
    fn watch(&mut self, work: impl FnOnce(&mut Engine, &mut Vec<Action>) -> Option<Slot>) {
        let before = live();
        let mut actions = Vec::new();
        let held = work(&mut self.engine, &mut actions);
        let grown = live() - before;
        for action in &actions {
            self.hear(action);
        }
        if let Some(slot) = held.filter(|&slot| !is_settled(&actions, slot)) {
            self.unsettled.insert(slot);
        }
        let with_actions = live();
        drop(actions);
        self.taken += grown - (with_actions - live());
        let before = live();
        let fresh = self.engine.take_closed();
        self.taken += live() - before - fresh.as_ref().map_or(0, |bytes| bytes.capacity().cast_signed());
        self.closed.extend(fresh);
        self.check_memory();
    }

    /// While the engine is full the shell reads results only (S2.10).
    fn hold(&mut self) {
        let full = self.engine.is_full();
        for (n, &(id, ..)) in self.lanes.iter().enumerate() {
            self.engine.hold(id, full && topic(n) != "results");
        }
    }

    /// Some services have no topic (S5.15).
    fn answer_seeks(&mut self) {
        let is_there = |to: &Destination| to.service.len() % 4 != 3;
        let mut asked = 0;
        while let Some((chain, at, to)) = self.seeks.pop() {
            asked += 1;
            assert!(asked < 10_000, "asked again and again for what was told: {to:?}");
            let (there, missing): (Vec<_>, Vec<_>) = to.into_iter().partition(is_there);
            let answer = RouteAnswer { chain_id: &chain, there: &there, missing: &missing, at };
            let moment = Moment { at, position: Position { lane: self.lanes[0].0, offset: 0 } };
            let host = self.host;
            self.watch(|engine, actions| engine.apply(&Input::Route(answer), moment, host, actions));
        }
    }

    fn hear(&mut self, action: &Action) {
        match action {
            Action::Command(command) => self.command(command),
            Action::Save(slot) => {
                self.unsettled.insert(*slot);
            }
            Action::Settled(slot) => {
                self.unsettled.remove(slot);
            }
            Action::Closed { slot, chain_id } => {
                self.unsettled.remove(slot);
                self.forget(chain_id);
            }
            Action::View(view) => picture::check(view, self.policy.settings.limits.calls_per_chain),
            Action::Seek { chain_id, at, destinations, .. } => {
                self.seeks.push((chain_id.clone(), *at, destinations.clone()));
            }
            Action::Change { .. } | Action::Refused(_) | Action::Unclaimed => {}
        }
    }

    /// S5.3: one decision, one id. S5.2: at most so many publications.
    fn command(&mut self, command: &Command) {
        let id = command.command_id.clone();
        let subject = (command.chain_id.clone(), command.call_id.clone(), command.action, command.generation);
        let known = self.ids.entry(subject.clone()).or_insert_with(|| id.clone());
        assert_eq!(*known, id, "two ids of one command: {subject:?}");
        let known = self.subjects.entry(id.clone()).or_insert_with(|| subject.clone());
        assert_eq!(*known, subject, "one id of two commands: {id}");
        assert!(command.wave >= 1 && command.generation >= 1 && command.attempt >= 1, "counted from 1: {command:?}");
        let tries = self.tries.entry(id.clone()).or_insert(0);
        if *tries == 0 {
            self.commands.push((command.chain_id.clone(), id.clone()));
        }
        *tries += 1;
        let most = self.policy.settings.max_attempts;
        assert!(*tries <= most, "published {tries} times, and at most {most} are allowed: {command:?}");
        self.departing.push((command.chain_id.clone(), id));
    }

    /// An operator's retry counts attempts anew (S5.2).
    fn allow_again(&mut self, chain: &str, verb: Verb) {
        if matches!(verb, Verb::Retry | Verb::Confirm) {
            self.forget(chain);
        }
    }

    /// The attempts of a chain's commands count anew: an operator said so, or the chain's id was used again.
    fn forget(&mut self, chain: &str) {
        let subjects = &self.subjects;
        self.tries.retain(|id, _| subjects.get(id).is_none_or(|subject| subject.0 != chain));
    }

    fn check_memory(&self) {
        let (limits, memory) = (&self.policy.settings.limits, self.engine.memory());
        assert!(memory <= limits.memory + SLACK || self.engine.is_full(), "{memory} bytes, and not said to be full");
        assert!(memory <= 2 * limits.memory + SLACK, "{memory} bytes, though the input pauses when it is full");
        let (taken, known) = (self.taken, memory.cast_signed());
        assert!(taken <= 2 * known + UNACCOUNTED, "the engine takes {taken} bytes and knows of {known}");
    }
}

fn is_settled(actions: &[Action], held: Slot) -> bool {
    actions.iter().any(|action| match action {
        Action::Settled(slot) | Action::Closed { slot, .. } => *slot == held,
        _ => false,
    })
}

fn topic(lane: usize) -> &'static str {
    ["requests", "responses", "results"][lane % 3]
}

fn partition(lane: usize) -> i32 {
    i32::try_from(lane / 3).unwrap_or(0)
}

/// The id of the chain in a snapshot: its first field (version byte, length as a varint, text).
#[must_use]
pub fn id_in(snapshot: &[u8]) -> &str {
    let mut length = 0;
    for (n, &byte) in snapshot.iter().enumerate().skip(1) {
        length |= usize::from(byte & 0x7f) << (7 * (n - 1));
        if byte & 0x80 == 0 {
            return std::str::from_utf8(&snapshot[n + 1..n + 1 + length]).expect("an id is text");
        }
    }
    unreachable!("a snapshot begins with an id")
}
