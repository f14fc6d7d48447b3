//! Oracle and engine side by side, driven by the same steps.

use std::collections::{BTreeMap, BTreeSet};

use countermand::{
    engine::Engine,
    model::{
        Action, ChainView, Command, CommandAction, HostTime, Input, LaneId, Moment, Position, Published, Slot,
        command_id,
    },
    policy::Policy,
    scenario::{Act, EPOCH, Step, input},
};

use crate::{compare::differences, oracle::Oracle};

/// One step of a history; `restore`: before it, the engine is written down, thrown away and taken back.
#[derive(Debug, Clone)]
pub struct Told {
    pub step: Step,
    pub restore: bool,
}

/// What the engine needs beside itself to be taken back.
#[derive(Debug, Default)]
struct Saved {
    slots: BTreeSet<Slot>,
    closed: Vec<Vec<u8>>,
}

/// Both of them.
pub struct Pair {
    policy: Policy,
    pub oracle: Oracle,
    engine: Engine,
    lanes: Vec<LaneId>,
    pub host: HostTime,
    saved: Saved,
    /// Generation of the newest command for a call.
    newest: BTreeMap<(String, String, CommandAction), u32>,
    /// Every command of the engine as it was sent first.
    sent: BTreeMap<String, Command>,
    places: BTreeMap<(u16, u64), u64>,
    last: BTreeMap<String, ChainView>,
    pub chains: BTreeSet<String>,
    refused: bool,
}

const TOPIC: &str = "scenario";

impl Pair {
    pub fn new(policy: &Policy, lanes: u16) -> Self {
        let mut pair = Self {
            policy: policy.clone(),
            oracle: Oracle::new(policy.clone()),
            engine: Engine::new(policy.clone()),
            lanes: Vec::new(),
            host: EPOCH.as_host(),
            saved: Saved::default(),
            newest: BTreeMap::new(),
            sent: BTreeMap::new(),
            places: BTreeMap::new(),
            last: BTreeMap::new(),
            chains: BTreeSet::new(),
            refused: false,
        };
        for lane in 0..lanes {
            let id = pair.oracle.lane(TOPIC, i32::from(lane));
            assert_eq!(id, pair.engine.lane(TOPIC, i32::from(lane)));
            pair.lanes.push(id);
        }
        pair
    }

    /// Reads one step while the host clock shows `host`.
    ///
    /// # Errors
    /// Says where the two differ.
    pub fn read(&mut self, told: &Told, host: HostTime, look: bool) -> Result<(), String> {
        let step = &told.step;
        if told.restore {
            self.restore()?;
        }
        if step.lagging {
            self.host = self.host.max(host);
            self.advance(&[])?;
        } else {
            self.let_time_pass(host)?;
        }
        let id = self.command_id(step);
        if let Some(input) = input(step, &id) {
            self.chains.insert(step.chain.clone());
            let moment = Moment { at: EPOCH.plus(step.at), position: self.position(step) };
            self.refused = false;
            self.both(|pair, actions| {
                pair.oracle.apply(&input, moment, pair.host, &mut actions.0);
                let slot = pair.engine.apply(&input, moment, pair.host, &mut actions.1);
                pair.saved.slots.extend(slot);
            })?;
        }
        if look { self.compare() } else { Ok(()) }
    }

    /// The position of a message is by bus time, then by order of reading.
    fn position(&mut self, step: &Step) -> Position {
        let place = self.places.entry((step.partition, step.at.0)).or_default();
        *place += 1;
        Position { lane: self.lanes[usize::from(step.partition)], offset: step.at.0 * 1000 + *place }
    }

    fn command_id(&self, step: &Step) -> String {
        let newest = |call: &str, action| {
            let key = (step.chain.clone(), call.to_owned(), action);
            command_id(&step.chain, call, action, self.newest.get(&key).copied().unwrap_or(1))
        };
        match &step.act {
            Act::Result { command_id: Some(id), .. } => id.clone(),
            Act::Result { call, action, .. } => newest(call, *action),
            Act::Request(request) if !request.during.is_empty() => newest(&request.during, CommandAction::Undo),
            _ => String::new(),
        }
    }

    fn let_time_pass(&mut self, target: HostTime) -> Result<(), String> {
        let target = target.max(self.host);
        let lanes = self.lanes.clone();
        for _ in 0..100_000 {
            let due = self.oracle.next_due().into_iter().chain(self.engine.next_due()).min();
            let next = due.unwrap_or(target).clamp(self.host, target);
            let moved = next > self.host;
            self.host = next;
            let anything = self.advance(&lanes)?;
            if self.host == target && !anything {
                return Ok(());
            }
            if !moved && !anything {
                // What is due does not come: go on to where the other one has something.
                self.host = HostTime(self.host.0 + 1).min(target);
            }
        }
        Err("time does not pass".into())
    }

    fn advance(&mut self, at_end: &[LaneId]) -> Result<bool, String> {
        self.both(|pair, actions| {
            pair.oracle.advance(pair.host, at_end, &mut actions.0);
            pair.engine.advance(pair.host, at_end, &mut actions.1);
        })
    }

    /// Lets both act, and says of every command of either that it is on the bus.
    fn both(&mut self, act: impl FnOnce(&mut Self, &mut (Vec<Action>, Vec<Action>))) -> Result<bool, String> {
        let mut actions = (Vec::new(), Vec::new());
        act(self, &mut actions);
        let any = !actions.0.is_empty() || !actions.1.is_empty();
        let refused = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Refused(_)));
        if refused(&actions.0) != refused(&actions.1) {
            return Err(format!("refused: oracle {}, engine {}", refused(&actions.0), refused(&actions.1)));
        }
        let mut published: Vec<(String, String)> = Vec::new();
        for action in actions.0.iter().chain(&actions.1) {
            let Action::Command(command) = action else { continue };
            let key = (command.chain_id.clone(), command.call_id.clone(), command.action);
            let newest = self.newest.entry(key).or_default();
            *newest = command.generation.max(*newest);
            let id = (command.chain_id.clone(), command.command_id.clone());
            if !published.contains(&id) {
                published.push(id);
            }
        }
        for action in &actions.1 {
            match action {
                Action::Save(slot) | Action::Settled(slot) => {
                    self.saved.slots.insert(*slot);
                }
                Action::Closed { slot, .. } => {
                    self.saved.slots.remove(slot);
                }
                Action::View(view) => {
                    self.last.insert(view.chain_id.clone(), (**view).clone());
                }
                _ => {}
            }
        }
        self.same_again(&actions.1)?;
        for (chain_id, command_id) in published {
            let input = Input::Published(Published { chain_id: &chain_id, command_id: &command_id });
            let moment = Moment { at: self.host.as_bus(), position: Position { lane: self.lanes[0], offset: 0 } };
            let mut more = Vec::new();
            self.oracle.apply(&input, moment, self.host, &mut Vec::new());
            self.saved.slots.extend(self.engine.apply(&input, moment, self.host, &mut more));
            if more.iter().any(|action| matches!(action, Action::Command(_))) {
                return Err("a publication brought about a command".into());
            }
        }
        Ok(any)
    }

    /// S5.2, S5.3: a command that is sent again is the same command, and every command has something to do.
    fn same_again(&mut self, actions: &[Action]) -> Result<(), String> {
        for action in actions {
            let Action::Command(command) = action else { continue };
            let first = self.sent.entry(command.command_id.clone()).or_insert_with(|| (**command).clone());
            let what = |command: &Command| {
                let Command { call_id, action, service, operation, certainty, generation, .. } = command.clone();
                // A plan made anew may place an inquiry that was sent in another wave.
                let wave = if action == CommandAction::Inquire { 0 } else { command.wave };
                (call_id, service, operation, certainty, wave, generation)
            };
            if what(first) != what(command) {
                return Err(format!("sent again as another: {:?}, then {:?}", what(first), what(command)));
            }
            if command.operation.is_empty() {
                return Err(format!("a command without an operation: {:?}", what(command)));
            }
        }
        Ok(())
    }

    /// The engine is written down and taken back by a new one.
    fn restore(&mut self) -> Result<(), String> {
        let mut engine = Engine::new(self.policy.clone());
        for lane in 0..self.lanes.len() {
            engine.lane(TOPIC, i32::try_from(lane).expect("few lanes"));
        }
        engine.restore_engine(&self.engine.snapshot_engine())?;
        self.saved.closed.extend(self.engine.take_closed());
        for closed in &self.saved.closed {
            engine.restore_closed(closed)?;
        }
        let mut slots = BTreeSet::new();
        for slot in &self.saved.slots {
            if let Some(bytes) = self.engine.snapshot_chain(*slot) {
                slots.insert(engine.restore_chain(&bytes)?);
            }
        }
        self.saved.slots = slots;
        self.engine = engine;
        self.compare().map_err(|text| format!("after a restore: {text}"))
    }

    fn compare(&mut self) -> Result<(), String> {
        for chain in self.chains.clone() {
            let oracle = self.oracle.view(&chain);
            let engine = self.engine.view(&chain);
            if let Some(engine) = &engine {
                self.last.insert(chain.clone(), engine.clone());
            }
            let gone = engine.is_none();
            let engine = engine.or_else(|| self.last.get(&chain).cloned());
            let may_go = self.oracle.may_be_forgotten(&chain, self.host.as_bus());
            match (oracle, engine) {
                (Some(oracle), _) if gone && oracle.verdict.is_some() && !may_go => {
                    return Err(format!("chain {chain}: the engine forgot it"));
                }
                (Some(oracle), Some(engine)) => differences(&oracle, &engine)?,
                (Some(oracle), None) if oracle.verdict.is_some() => {
                    return Err(format!("chain {chain}: only the oracle knows it"));
                }
                (None, Some(engine)) if !gone && engine.verdict.is_some() => {
                    return Err(format!("chain {chain}: only the engine knows it"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
