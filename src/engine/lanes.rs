//! S2.1, S2.5: the lanes of an engine, their stream times and timers, and the clock that commands run on (S5.13).

use super::{
    chain::Wake,
    timers::{Timer, Timers},
};
use crate::model::{BusTime, HostTime, LaneId, Slot};

/// One topic partition, or queue.
#[derive(Debug)]
pub(super) struct Lane {
    pub topic: String,
    pub partition: i32,
    /// Highest bus time seen, or the host clock where the lane was read to its end.
    pub stream: BusTime,
    pub timers: Timers,
    /// One more than the highest offset that was applied; what a snapshot is valid up to.
    pub next_offset: u64,
    /// The shell has stopped reading it, for want of memory.
    pub held: bool,
}

/// All lanes, and the host and command clocks.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Host time as of the last call.
    pub host: HostTime,
    /// Host time that passed while all lanes that are not held were at their end, in milliseconds.
    pub command_clock: i64,
    pub command_timers: Timers,
    /// A timer was set for a time that its lane has passed.
    pub overdue: bool,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            lanes: Vec::new(),
            host: HostTime::MIN,
            command_clock: 0,
            command_timers: Timers::default(),
            overdue: false,
        }
    }
}

impl Lanes {
    /// The lane of that name, made if it is new.
    pub fn get_or_make(&mut self, topic: &str, partition: i32) -> LaneId {
        let found = self.lanes.iter().position(|lane| lane.topic == topic && lane.partition == partition);
        let index = found.unwrap_or_else(|| {
            self.lanes.push(Lane {
                topic: topic.to_owned(),
                partition,
                stream: BusTime::MIN,
                timers: Timers::default(),
                next_offset: 0,
                held: false,
            });
            self.lanes.len() - 1
        });
        LaneId(u16::try_from(index).expect("an engine has at most 65,535 lanes"))
    }

    pub fn all(&self) -> impl Iterator<Item = (LaneId, &Lane)> {
        (0..=u16::MAX).map(LaneId).zip(&self.lanes)
    }

    pub fn ids(&self) -> impl Iterator<Item = LaneId> + use<> {
        (0..=u16::MAX).map(LaneId).take(self.lanes.len())
    }

    pub fn lane_mut(&mut self, id: LaneId) -> &mut Lane {
        &mut self.lanes[usize::from(id.0)]
    }

    /// Stream time of a lane.
    pub fn stream(&self, id: LaneId) -> BusTime {
        self.lanes.get(usize::from(id.0)).map_or(BusTime::MIN, |lane| lane.stream)
    }

    /// The latest of all stream times.
    pub fn newest(&self) -> BusTime {
        self.lanes.iter().map(|lane| lane.stream).max().unwrap_or(BusTime::MIN)
    }

    /// Whether `ids` are all lanes.
    pub fn are_all(&self, ids: &[LaneId]) -> bool {
        self.ids().all(|id| ids.contains(&id))
    }

    /// Whether a lane is not read on for now.
    pub fn any_held(&self) -> bool {
        self.all().any(|(_, lane)| lane.held)
    }

    /// Whether every lane is one of `at_end` or held, and not all are held.
    pub fn are_all_but_held(&self, at_end: &[LaneId]) -> bool {
        let mut read = self.all().filter(|(_, lane)| !lane.held).peekable();
        read.peek().is_some() && read.all(|(id, _)| at_end.contains(&id))
    }

    /// Sets a timer for the chain of that key in that slot.
    pub fn set_timer(&mut self, wake: Wake, key: u64, slot: Slot) {
        self.overdue |= wake.at <= self.stream(wake.lane);
        self.lane_mut(wake.lane).timers.push(Timer { at: wake.at.0, key, slot: slot.0 });
    }

    /// Lets the host clock reach `host`, with the lanes in `at_end` following it.
    pub fn move_host(&mut self, host: HostTime, at_end: &[LaneId], commands_run: bool) {
        if host > self.host {
            if commands_run && self.host > HostTime::MIN {
                self.command_clock = self.command_clock.saturating_add(host.0.saturating_sub(self.host.0));
            }
            self.host = host;
        }
        for &id in at_end {
            let lane = self.lane_mut(id);
            lane.stream = lane.stream.max(host.as_bus());
        }
    }
}
