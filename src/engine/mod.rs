//! The engine: everything that is decided, as a function of what it is told (S1 to S5).
//!
//! [`Engine::apply`] takes one input with its position and bus time, [`Engine::advance`] lets time pass; both say what
//! is to be done as [`Action`]s. There is no I/O, clock, randomness or thread: same inputs, same actions.

mod call;
mod census;
mod chain;
mod command;
mod correlate;
mod decide;
mod decided;
mod dispatch;
mod evict;
mod input;
mod judge;
mod lanes;
mod message;
mod parts;
mod plan;
mod policies;
mod routes;
mod settle;
mod snapshot;
mod table;
mod tend;
mod timers;
mod view;

use crate::{
    model::{Action, BusTime, ChainChange, ChainView, HostTime, Input, LaneId, Moment, Names, Slot},
    policy::Policy,
};
pub use census::Census;
use command::Brake;
use evict::Room;
use lanes::Lanes;
use policies::Policies;
use routes::Routes;
use table::{Closed, Table};

/// What one engine counts, from its beginning. A shell turns these into metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Messages that changed something.
    pub applied: u64,
    /// Duplicates that were dropped (S1.2).
    pub duplicates: u64,
    /// Messages read again after a restore, whose effect a snapshot already held.
    pub reread: u64,
    /// Messages refused.
    pub refused: u64,
    /// Answers to unknown, finished or superseded commands (S5.5).
    pub answers_ignored: u64,
    /// Verdicts, without revisions.
    pub verdicts: u64,
    /// Chains given up at the memory limit (S2.10).
    pub evicted: u64,
    /// Walks over all chains at a limit, to see what may go: they are dear, and seldom.
    pub sweeps: u64,
}

/// Of which decided chains an [`Action::View`] is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Report {
    /// Of all.
    #[default]
    All,
    /// Of those that failed, tolerated a failure or have a plan, and of this many in 10,000 of the rest, chosen by id.
    Notable {
        /// Sample of the rest, in 10,000.
        sample: u16,
    },
}

/// One engine: the chains of one partition (or of one queue, recording or scenario).
#[derive(Debug)]
pub struct Engine {
    policies: Policies,
    names: Names,
    lanes: Lanes,
    table: Table,
    closed: Closed,
    room: Room,
    brake: Brake,
    routes: Routes,
    paused: bool,
    /// Hashes of the ids of operations on the whole engine, the newest last.
    operated: Vec<u64>,
    catching_up: bool,
    report: Report,
    stats: Stats,
    /// Offsets up to which restored state holds, by chain key and lane: what is read again below them is known.
    reread: snapshot::Reread,
}

impl Engine {
    /// An engine that knows no chain yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let names = Names::new(policy.settings.limits.names, policy.settings.limits.name_bytes());
        Self {
            policies: Policies::new(policy),
            names,
            lanes: Lanes::default(),
            table: Table::default(),
            closed: Closed::default(),
            room: Room::default(),
            brake: Brake::default(),
            routes: Routes::default(),
            paused: false,
            operated: Vec::new(),
            catching_up: false,
            report: Report::All,
            stats: Stats::default(),
            reread: snapshot::Reread::default(),
        }
    }

    /// Of which chains views are wanted.
    pub fn set_report(&mut self, report: Report) {
        self.report = report;
    }

    /// Has the engine ask for the routes that its commands need ([`Action::Seek`]): from then on each is answered.
    pub fn ask_for_routes(&mut self) {
        self.routes.ask();
    }

    /// Has the engine ask again for routes that were there when it asked before: one of them turned out not to be.
    pub fn forget_routes(&mut self) {
        self.routes.forget();
    }

    /// Says that the agent begins far behind: what is decided before all lanes were first read to their end waits for
    /// approval (S5.14).
    pub fn set_catching_up(&mut self) {
        self.catching_up = true;
    }

    /// The lane named `topic` and `partition`, made if it is new. A lane that is made holds the command clock from then
    /// on; make all lanes of an engine before the first input.
    ///
    /// # Panics
    /// Above 65,535 lanes.
    pub fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        self.lanes.get_or_make(topic, partition)
    }

    /// All lanes, also those that only a snapshot named: of what is not read any more.
    pub fn lane_ids(&self) -> impl Iterator<Item = LaneId> + use<> {
        self.lanes.ids()
    }

    /// A lane's offsets begin anew, since its topic was made again: what snapshots hold of it says nothing about what is read
    /// from now on. Call it once all is restored.
    pub fn begin_anew(&mut self, lane: LaneId) {
        self.reread.forget(lane);
    }

    /// Says whether the shell has stopped reading a lane since the engine is full ([`Engine::is_full`]). Command clocks do
    /// not wait for such a lane: answers come on others, and without them the memory might never be free again (S5.13).
    pub fn hold(&mut self, lane: LaneId, held: bool) {
        self.lanes.lane_mut(lane).held = held;
    }

    /// Takes one input that the bus had at `moment`, while the host clock shows `host`. Timers due at or before the bus
    /// time of the message, on its lane, fire first (S2.5). Appends what is to be done. Says which chain now holds
    /// something of this input that is not saved; `None` if nothing has to be kept of it.
    ///
    /// Host time that passes between [`Engine::advance`] and this counts for no command clock (S5.13): call `advance`
    /// first where the lanes are at their end.
    pub fn apply(
        &mut self,
        input: &Input<'_>,
        moment: Moment,
        host: HostTime,
        actions: &mut Vec<Action>,
    ) -> Option<Slot> {
        self.lanes.host = self.lanes.host.max(host);
        if let Input::Published(published) = input {
            return self.published(published);
        }
        if let Input::Unrouted(command) = input {
            return self.unrouted(command, actions);
        }
        if let Input::Route(answer) = input {
            return self.route_answer(answer, actions);
        }
        let lane = self.lanes.lane_mut(moment.position.lane);
        lane.stream = lane.stream.max(moment.at);
        lane.next_offset = lane.next_offset.max(moment.position.offset.saturating_add(1));
        self.fire_lane(moment.position.lane, actions);
        self.fire_overdue(actions);
        let kept = match input {
            Input::Message(message) => self.message(message, moment, actions),
            Input::DeadLetter(letter) => self.dead_letter(letter, moment, actions),
            Input::Result(result) => self.result(result, moment, actions),
            Input::Operation(operation) => self.operation(operation, moment, actions),
            Input::Published(_) | Input::Unrouted(_) | Input::Route(_) => None,
        };
        self.fire_overdue(actions);
        let kept = kept.filter(|&slot| self.table.get(slot).is_some());
        self.make_room(kept, moment.at, actions);
        kept
    }

    /// Lets the host clock move to `host`, while the lanes in `at_end` are read to their end (S2.5): on these, and only
    /// on these, stream time follows the host clock. Command clocks run only if all lanes are that are not held
    /// ([`Engine::hold`], S5.13). What falls due in between is done in its order, each at its own time.
    pub fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>) {
        let commands_run = self.lanes.are_all_but_held(at_end);
        let host = host.max(self.lanes.host);
        if self.lanes.host == HostTime::MIN {
            self.lanes.host = host;
        }
        while let Some(next) = self.next_happening(at_end, commands_run).filter(|&next| next <= host) {
            self.lanes.move_host(next, at_end, commands_run);
            self.fire_next(at_end, actions);
        }
        self.lanes.move_host(host, at_end, commands_run);
        self.fire_overdue(actions);
        self.catching_up &= !self.lanes.are_all(at_end);
        self.make_room(None, host.as_bus(), actions);
    }

    /// The earliest host time at which [`Engine::advance`] would do something if every lane were at its end.
    #[must_use]
    pub fn next_due(&self) -> Option<HostTime> {
        let host = self.lanes.host;
        let bus = self.lanes.all().filter_map(|(_, lane)| lane.timers.peek_at()).min();
        let command = self.lanes.command_timers.peek_at();
        let command = command.map(|due| host.0.saturating_add((due - self.lanes.command_clock).max(0)));
        [bus, command].into_iter().flatten().min().map(|at| HostTime(at).max(host))
    }

    fn next_happening(&mut self, at_end: &[LaneId], commands_run: bool) -> Option<HostTime> {
        let host = self.lanes.host;
        let bus = at_end.iter().filter_map(|&id| self.lanes.lane_mut(id).timers.next_at()).min();
        let command = if commands_run { self.lanes.command_timers.next_at() } else { None };
        let command = command.map(|due| host.0.saturating_add((due - self.lanes.command_clock).max(0)));
        [bus, command].into_iter().flatten().min().map(|at| HostTime(at).max(host))
    }

    /// Fires the one timer that is due first: those of the bus before those of commands.
    fn fire_next(&mut self, at_end: &[LaneId], actions: &mut Vec<Action>) {
        let lanes = &mut self.lanes;
        let first = at_end
            .iter()
            .filter_map(|&id| {
                let lane = lanes.lane_mut(id);
                lane.timers.next_at().filter(|&at| at <= lane.stream.0).map(|at| (at, id))
            })
            .min();
        if let Some((_, id)) = first {
            let lane = self.lanes.lane_mut(id);
            let stream = lane.stream.0;
            if let Some(timer) = lane.timers.pop_due(stream) {
                self.wake(timer, id, actions);
            }
            return;
        }
        let clock = self.lanes.command_clock;
        if let Some(timer) = self.lanes.command_timers.pop_due(clock) {
            self.wake_commands(timer, actions);
        }
    }

    fn fire_lane(&mut self, id: LaneId, actions: &mut Vec<Action>) {
        loop {
            let lane = self.lanes.lane_mut(id);
            let stream = lane.stream.0;
            let Some(timer) = lane.timers.pop_due(stream) else { return };
            self.wake(timer, id, actions);
        }
    }

    /// Fires timers that were set for a time which their lane had passed, as those of a chain that is decided late.
    fn fire_overdue(&mut self, actions: &mut Vec<Action>) {
        while std::mem::take(&mut self.lanes.overdue) {
            for id in self.lanes.ids() {
                self.fire_lane(id, actions);
            }
        }
    }

    /// The picture of a chain that is kept.
    #[must_use]
    pub fn view(&self, chain_id: &str) -> Option<ChainView> {
        self.kept(chain_id).map(|chain| self.view_of(chain))
    }

    /// The same without anything of payloads: for whoever wants to know how a chain stands, often.
    #[must_use]
    pub fn outline(&self, chain_id: &str) -> Option<ChainView> {
        self.kept(chain_id).map(|chain| self.outline_of(chain))
    }

    /// The picture of a chain that is kept and of which there is something to say: what is told anew after a restart.
    #[must_use]
    pub fn notable_view(&self, chain_id: &str) -> Option<ChainView> {
        let chain = self.kept(chain_id).filter(|chain| chain.is_decided() && self.wants_view(chain))?;
        Some(self.view_of(chain))
    }

    fn kept(&self, chain_id: &str) -> Option<&chain::Chain> {
        self.table.get(self.table.find(chain_id, table::key_of(chain_id))?)
    }

    /// The id of the chain in `slot`, if there is one.
    #[must_use]
    pub fn chain_id(&self, slot: Slot) -> Option<String> {
        self.table.get(slot).map(|chain| chain.id.text().into_owned())
    }

    /// Bytes that chains, names and ids of closed chains take, by the engine's own account (S2.10).
    #[must_use]
    pub fn memory(&self) -> usize {
        self.table.bytes() + self.names.bytes() + self.closed.bytes()
    }

    /// Up to where time has passed on a lane (S0).
    #[must_use]
    pub fn stream_time(&self, lane: LaneId) -> BusTime {
        self.lanes.stream(lane)
    }

    /// Chains that are kept, whatever their state.
    #[must_use]
    pub fn chains(&self) -> usize {
        self.table.len()
    }

    /// How many chains and commands stand where.
    #[must_use]
    pub fn census(&self) -> Census {
        *self.table.census()
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

/// A change in the life of a chain, as an action.
fn change(chain_id: impl Into<String>, at: BusTime, change: ChainChange) -> Action {
    Action::Change { chain_id: chain_id.into(), at, change }
}
