//! One partition number: its engine, the lanes that feed it, and what of it is not saved yet.
//!
//! A shard decodes and applies records in bus time and turns what the engine wants into records of the step that is
//! being made. It talks to no broker: the worker reads for it and commits for it.

use std::{collections::HashMap, sync::Arc};

use super::{
    change::{act, count},
    dead_letters::dead_letter,
    outgoing::{self, HOP},
    seal::{ClosedLog, Unsaved},
    step::{Step, Surroundings},
    vouch,
};
use crate::{
    bus::{
        Record, carried,
        clock::IntakeClock,
        layout::{Layout, Role},
        merge::{Merge, Taken},
        partitioner::partition_of,
    },
    engine::{Engine, Report, Stats},
    journal::{
        low_water::{Applied, LowWater, Water},
        restore::{Collected, Restored},
    },
    model::{
        Action, BusTime, ChainChange, Destination, HostTime, Input, LaneId, Moment, Position, Published, Refusal,
        Refused, RouteAnswer, Slot, Span,
    },
    policy::Policy,
    wire::{self, proto},
};

/// Of healthy chains, this many in 10,000 are published as samples.
const SAMPLE: u16 = 100;

/// Of inputs that came over no bus.
const NOWHERE: Moment = Moment { at: BusTime::MIN, position: Position { lane: LaneId(0), offset: 0 } };

/// One topic of the shard's partition number.
#[derive(Debug)]
pub(super) struct Lane {
    pub topic: Arc<str>,
    pub role: Role,
    pub id: LaneId,
    /// The next offset that is expected from the bus.
    pub next: u64,
    /// Reading is held back, since too much waits here.
    pub paused: bool,
    /// What is committed; `None`: nothing yet, not even where the group began.
    pub committed: Option<Water>,
    /// Below this, records were answered for by commits before the restart.
    pub answered: u64,
}

/// One partition number.
#[derive(Debug)]
pub(super) struct Shard {
    pub partition: i32,
    pub engine: Engine,
    pub merge: Merge<Record>,
    pub water: LowWater,
    pub lanes: Vec<Lane>,
    pub unsaved: Unsaved,
    pub closed: ClosedLog,
    /// Lanes of topics that are not read any more, which the state still names. They are at their end when all others are:
    /// nothing comes there, and time must not wait for it.
    gone: Vec<LaneId>,
    /// Parts of the snapshot in the state topic, by slot.
    pub saved: HashMap<Slot, u16>,
    /// Host time up to which the engine was moved. Inputs are applied at it and only [`Shard::advance`] moves it, so
    /// that the command clock misses nothing (S5.13).
    pub host: HostTime,
    counted: Stats,
    pub actions: Vec<Action>,
    /// Routes that the engine asks for: they are answered before the step ends.
    seeks: Vec<Seek>,
    /// More may be due than was applied at once.
    is_behind: bool,
}

/// Routes that an engine asks for (S5.15).
#[derive(Debug)]
struct Seek {
    chain_id: String,
    at: BusTime,
    destinations: Vec<Destination>,
    anew: bool,
}

/// Where a lane begins, and whether that is its group's first beginning.
pub(super) type Start = (Water, bool);

impl Shard {
    /// A shard with the state that was collected for it. `starts` are of the layout's lanes, in their order.
    pub fn restore(
        partition: i32,
        layout: &Layout,
        policy: &Policy,
        align_wait: Span,
        starts: &[Start],
        state: Collected,
        host: HostTime,
    ) -> (Self, Restored) {
        let mut engine = Engine::new(policy.clone());
        engine.set_report(Report::Notable { sample: SAMPLE });
        engine.ask_for_routes();
        let mut merge = Merge::new(align_wait);
        let mut water = LowWater::default();
        let mut lanes = Vec::with_capacity(layout.lanes.len());
        for (lane, &(start, fresh)) in layout.lanes.iter().zip(starts) {
            let clock = if lane.role == Role::Carried { IntakeClock::given } else { IntakeClock::new };
            merge.add_lane(clock(policy.settings.max_ahead, start.clock));
            water.add_lane(start);
            lanes.push(Lane {
                topic: lane.topic.clone(),
                role: lane.role,
                id: engine.lane(&lane.topic, partition),
                next: start.offset,
                paused: false,
                committed: (!fresh).then_some(start),
                answered: start.applied,
            });
        }
        let restored = state.restore(&mut engine);
        for lane in lanes.iter().filter(|lane| lane.committed.is_none()) {
            engine.begin_anew(lane.id);
        }
        let gone = engine.lane_ids().filter(|id| lanes.iter().all(|lane| lane.id != *id)).collect();
        let saved = restored.chains.iter().map(|&(slot, _, parts)| (slot, parts)).collect();
        let closed = ClosedLog::new(&restored.closed);
        let counted = engine.stats();
        let mut shard = Self {
            partition,
            engine,
            merge,
            water,
            lanes,
            unsaved: Unsaved::default(),
            closed,
            gone,
            saved,
            host,
            counted,
            actions: Vec::new(),
            seeks: Vec::new(),
            is_behind: false,
        };
        // Sets the engine's clock. With no lane at its end nothing falls due; what is above the memory limit may go.
        shard.engine.advance(host, &[], &mut shard.actions);
        (shard, restored)
    }

    /// Takes in a record from the bus.
    pub fn push(&mut self, lane: usize, record: Record) {
        self.lanes[lane].next = record.offset + 1;
        let stamp = if self.lanes[lane].role == Role::Carried { carried::stamp(&record) } else { record.stamp };
        self.merge.push(lane, stamp.time(), record);
    }

    /// Applies records whose turn it is, `most` of them. Lanes that wait for each other let go of all that they have at
    /// once, and that must not be one step: an agent that is killed often would never come to its end.
    pub fn apply_due(&mut self, most: usize, now: HostTime, around: &Surroundings, step: &mut Step) {
        self.hold_if_full();
        for _ in 0..most {
            let Some(taken) = self.merge.pop(now) else {
                self.is_behind = false;
                return;
            };
            self.apply(&taken, around, step);
            self.hold_if_full();
        }
        self.is_behind = true;
    }

    /// Whether more may be due than was applied at once.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether reading of a lane pauses since the memory is full (S2.10): results and operations are read on, since they
    /// let chains end.
    pub fn is_held(&self, lane: usize) -> bool {
        self.engine.is_full() && self.lanes[lane].role.is_input()
    }

    fn hold_if_full(&mut self) {
        for lane in 0..self.lanes.len() {
            let held = self.is_held(lane);
            self.merge.hold(lane, held);
            self.engine.hold(self.lanes[lane].id, held);
        }
    }

    fn apply(&mut self, taken: &Taken<Record>, around: &Surroundings, step: &mut Step) {
        let lane = &self.lanes[taken.lane];
        let record = &taken.item;
        let moment = Moment { at: taken.at, position: Position { lane: lane.id, offset: record.offset } };
        let (role, answered) = (lane.role, record.offset < lane.answered);
        let holds = match self.feed(role, taken, moment, around) {
            Ok(holds) => holds,
            Err(error) => {
                if !answered {
                    step.count(|metrics| &metrics.dead_letters, error.word());
                    step.write(dead_letter(
                        &around.topics.dead_letters,
                        record,
                        error.word(),
                        &error.to_string(),
                        around.largest,
                    ));
                }
                None
            }
        };
        // What the engine did first may have emptied the very slot that this message's chain got, so its actions are
        // taken before the message is held for its chain.
        self.take_actions(Some(record).filter(|_| !answered), around, step);
        let applied = Applied { offset: record.offset, at: taken.at, before: taken.before, holds };
        self.water.applied(taken.lane, applied, self.host);
    }

    /// Lets time pass up to `host` (S2.5), as of which the lanes at their end were read to their end.
    pub fn advance(&mut self, host: HostTime, around: &Surroundings, step: &mut Step) {
        // What was known of the lanes before the time that is reached says nothing about now.
        let known = host >= self.host;
        let at_end = (0..self.lanes.len()).filter(|&n| known && self.merge.is_at_end(n)).map(|n| self.lanes[n].id);
        let mut at_end: Vec<LaneId> = at_end.collect();
        if known && (0..self.lanes.len()).all(|n| self.is_held(n) || self.merge.is_at_end(n)) {
            at_end.extend(&self.gone);
        }
        self.host = self.host.max(host);
        self.engine.advance(self.host, &at_end, &mut self.actions);
        self.take_actions(None, around, step);
    }

    /// The publication of these commands is committed: their clocks begin (S5.13).
    pub fn published(&mut self, chain_id: &str, command_id: &str) {
        let input = Input::Published(Published { chain_id, command_id });
        self.engine.apply(&input, NOWHERE, self.host, &mut self.actions);
        debug_assert!(self.actions.is_empty(), "a publication makes nothing new");
    }

    /// A command of the step has nowhere to go, and is taken out of it: it is stuck (S5.15).
    #[cfg(feature = "kafka")]
    pub fn unrouted(&mut self, chain_id: &str, command_id: &str, around: &Surroundings, step: &mut Step) {
        let input = Input::Unrouted(Published { chain_id, command_id });
        self.engine.apply(&input, NOWHERE, self.host, &mut self.actions);
        self.take_actions(None, around, step);
    }

    /// Tells the engine which of the routes that it asked for are there, until it asks for no more. `leads` knows whether
    /// commands can be written to a topic, and looks again if it is told to. Nothing is committed before.
    pub fn answer_seeks(&mut self, around: &Surroundings, step: &mut Step, mut leads: impl FnMut(&str, bool) -> bool) {
        while let Some(Seek { chain_id, at, destinations, anew }) = self.seeks.pop() {
            let (there, missing): (Vec<_>, Vec<_>) = destinations
                .into_iter()
                .partition(|to| leads(&outgoing::topic_of(&around.topics, &to.service, &to.route), anew));
            for _ in &missing {
                step.count(|metrics| &metrics.no_routes, "no_topic");
            }
            let (chain_id, there, missing) = (&chain_id, &there, &missing);
            let input = Input::Route(RouteAnswer { chain_id, there, missing, at });
            self.engine.apply(&input, NOWHERE, self.host, &mut self.actions);
            self.take_actions(None, around, step);
        }
    }

    /// Turns what the engine wants into the step. `record` is the input behind it, if it may still be answered for.
    fn take_actions(&mut self, record: Option<&Record>, around: &Surroundings, step: &mut Step) {
        let mut actions = std::mem::take(&mut self.actions);
        let mut is_elsewhere = false;
        for action in actions.drain(..) {
            match action {
                Action::Save(slot) => self.unsaved.save(slot),
                Action::Settled(slot) => self.settled(slot),
                Action::Closed { slot, chain_id } => self.closed(slot, chain_id),
                Action::Command(command) => {
                    step.count(|metrics| &metrics.commands, command.action.word());
                    let place = |position| self.place(position);
                    let (mut record, dropped) = outgoing::command(&around.topics, &command, &place, around.largest);
                    vouch::sign_command(&around.trust, &mut record);
                    for _ in 0..dropped {
                        step.count(|metrics| &metrics.dropped_headers, "reserved");
                    }
                    step.command(self.partition, record, command.chain_id, command.command_id);
                }
                Action::Seek { chain_id, at, destinations, anew } => {
                    self.seeks.push(Seek { chain_id, at, destinations, anew });
                }
                // It is another agent's, which hears it, too.
                Action::Change { change: ChainChange::OperatorRefused { why: Refused::UnknownChain, .. }, .. }
                    if around.share.is_some() =>
                {
                    is_elsewhere = true;
                    step.count(|metrics| &metrics.operations, "elsewhere");
                }
                Action::Refused(Refusal::OperationRefused) if is_elsewhere => {}
                Action::Change { chain_id, at, change } => self.change(&chain_id, at, &change, around, step),
                Action::View(view) => step.view(*view),
                Action::Refused(refusal) => {
                    if let Some(record) = record {
                        step.count(|metrics| &metrics.dead_letters, refusal.word());
                        let topic = &around.topics.dead_letters;
                        step.write(dead_letter(topic, record, refusal.word(), "", around.largest));
                    }
                }
                Action::Unclaimed => {
                    if let Some(record) = record {
                        self.forward(record, around, step);
                    }
                }
            }
        }
        self.actions = actions;
    }

    /// Healthy and done: its inputs need not be read again, since its id is in the same commit.
    fn settled(&mut self, slot: Slot) {
        self.water.saved(slot);
        self.unsaved.saves.remove(&slot);
        self.unsaved.ids = true;
        // An older snapshot would come back as an open chain that never hears its end.
        if let Some(parts) = self.saved.remove(&slot)
            && let Some(chain_id) = self.engine.chain_id(slot)
        {
            self.unsaved.tombstones.push((chain_id, 0, parts));
        }
    }

    fn closed(&mut self, slot: Slot, chain_id: String) {
        self.water.saved(slot);
        self.unsaved.saves.remove(&slot);
        self.unsaved.ids = true;
        if let Some(parts) = self.saved.remove(&slot) {
            self.unsaved.tombstones.push((chain_id, 0, parts));
        }
    }

    fn change(&mut self, chain_id: &str, at: BusTime, change: &ChainChange, around: &Surroundings, step: &mut Step) {
        let view = if chain_id.is_empty() { None } else { self.engine.outline(chain_id) };
        count(change, view.as_ref(), step);
        step.acts.extend(act(chain_id, change));
        step.write(outgoing::event(&around.topics, chain_id, at, change, view.as_ref()));
    }

    /// A result for a chain that is not here goes once to where its key belongs, unless that is here.
    fn forward(&mut self, record: &Record, around: &Surroundings, step: &mut Step) {
        let bytes = record.payload.clone().unwrap_or_default();
        let result = || wire::decode_command_result(bytes, &around.limits).map(|result| result.chain_id).ok();
        // What died is nobody's answer elsewhere: it lies where it was found.
        let whose = carried::correlation(record).map(|whose| whose.chain_id).or_else(result);
        let chain_id = whose.filter(|_| carried::command(record).is_none());
        let home = chain_id.as_ref().map(|id| partition_of(id.as_bytes(), around.layout.partitions));
        match chain_id {
            Some(_) if around.share.is_some() => step.count(|metrics| &metrics.answers, "elsewhere"),
            Some(id) if home != Some(self.partition) && record.header(HOP).is_none() => {
                step.write(outgoing::forwarded(&around.topics, record, &id));
            }
            _ => {
                step.count(|metrics| &metrics.dead_letters, "unknown_chain");
                let detail = "no chain of this id is kept";
                let topic = &around.topics.dead_letters;
                step.write(dead_letter(topic, record, "unknown_chain", detail, around.largest));
            }
        }
    }

    fn place(&self, position: Position) -> proto::Reference {
        let topic = self.lanes.iter().find(|lane| lane.id == position.lane).map_or("", |lane| &*lane.topic);
        proto::Reference { topic: topic.to_owned(), partition: self.partition, offset: position.offset }
    }

    /// Up to where time has passed on the slowest of its inputs.
    pub fn watermark(&self) -> BusTime {
        let inputs = self.lanes.iter().filter(|lane| lane.role.is_input());
        inputs.map(|lane| self.engine.stream_time(lane.id)).min().unwrap_or(BusTime::MIN)
    }

    /// What the engine counted since the last call, as before and now.
    pub fn take_stats(&mut self) -> (Stats, Stats) {
        let now = self.engine.stats();
        (std::mem::replace(&mut self.counted, now), now)
    }

    /// The host time at which something falls due here although nothing is read.
    pub fn next_due(&self, now: HostTime, snapshot_after: Span) -> Option<HostTime> {
        let merge = self.merge.next_due().map(|span| now.plus(span));
        let behind = self.is_behind.then_some(now);
        [self.engine.next_due(), merge, behind, self.water.next_due(snapshot_after)].into_iter().flatten().min()
    }
}
