//! S5.4: a chain as bytes and back: a restored engine goes on exactly as the one before.

mod image;
mod read;
mod write;

use std::collections::HashMap;

use serde::{Serialize, de::DeserializeOwned};

use self::{
    image::{ChainImage, ClosedImage, EngineImage, LaneImage, MinuteImage},
    read::Reader,
    write::Writer,
};
use super::{Engine, command::Brake, decide, lanes::Lanes};
use crate::{
    engine::command::Minute,
    model::{BusTime, HostTime, LaneId, Name, Names, Position, Slot},
};

/// Version byte of all snapshots that are written today.
pub(super) const VERSION: u8 = 1;

/// Up to where restored state holds: what is read again below it is known already.
#[derive(Debug, Default)]
pub(super) struct Reread {
    chains: HashMap<u64, Vec<(LaneId, u64)>>,
    /// Of the whole engine: what was refused below this was refused in a step that is committed.
    engine: Vec<(LaneId, u64)>,
}

impl Reread {
    /// Whether the snapshot of this chain holds the message at this position.
    pub fn holds(&self, key: u64, position: Position) -> bool {
        !self.chains.is_empty() && self.chains.get(&key).is_some_and(|lanes| is_below(lanes, position))
    }

    /// Up to where the snapshot of this chain holds a lane.
    fn next_offset(&self, key: u64, lane: LaneId) -> u64 {
        let lanes = self.chains.get(&key).into_iter().flatten();
        lanes.filter(|(known, _)| *known == lane).map(|&(_, next)| next).max().unwrap_or(0)
    }

    /// Whether a committed step took the message at this position.
    pub fn was_read(&self, position: Position) -> bool {
        is_below(&self.engine, position)
    }

    /// Nothing of this lane was read before.
    pub fn forget(&mut self, lane: LaneId) {
        self.engine.retain(|(known, _)| *known != lane);
        self.chains.values_mut().for_each(|lanes| lanes.retain(|(known, _)| *known != lane));
    }

    fn raise(&mut self, lanes: &[(LaneId, u64)]) {
        for &(lane, next) in lanes {
            match self.engine.iter_mut().find(|(known, _)| *known == lane) {
                Some((_, known)) => *known = next.max(*known),
                None => self.engine.push((lane, next)),
            }
        }
    }
}

fn is_below(lanes: &[(LaneId, u64)], position: Position) -> bool {
    lanes.iter().any(|&(lane, next)| lane == position.lane && position.offset < next)
}

impl Engine {
    /// Writes a chain down: versioned bytes that [`Engine::restore_chain`] reads back. They hold up to which offset of
    /// each lane they are valid. `None`: there is no chain in this slot.
    #[must_use]
    pub fn snapshot_chain(&self, slot: Slot) -> Option<Vec<u8>> {
        let chain = self.table.get(slot)?;
        let mut image = Writer { names: &self.names, lanes: &self.lanes }.chain(chain);
        // A chain that was restored holds what its snapshot held, also where this engine has not read as far again.
        for (known, lane) in self.lanes.ids().zip(&mut image.lanes) {
            lane.next_offset = lane.next_offset.max(self.reread.next_offset(chain.key, known));
        }
        Some(encode(&image))
    }

    /// Takes a chain back from its bytes. Messages at positions that the snapshot already holds are dropped when they
    /// are read again. A chain of that id that is already here is replaced.
    ///
    /// # Errors
    /// A text that says what is wrong with the bytes.
    pub fn restore_chain(&mut self, bytes: &[u8]) -> Result<Slot, String> {
        let image: ChainImage = decode(bytes)?;
        let lanes = known_lanes(&mut self.lanes, &image.lanes);
        let mut reader = Reader {
            names: &mut self.names,
            policies: &self.policies,
            clock: self.lanes.command_clock,
            lanes: lanes.iter().map(|&(lane, _)| lane).collect(),
            calls: 0,
        };
        let chain = reader.chain(&image)?;
        let key = chain.key;
        if let Some(slot) = self.table.find(&image.id, key)
            && let Some(older) = self.table.take(slot)
        {
            self.table.forget(slot, &older);
        }
        let slot = self.table.insert(chain);
        self.reread.raise(&lanes);
        self.reread.chains.insert(key, lanes);
        self.set_timers(slot);
        Ok(slot)
    }

    /// Sets the timers of a chain that was restored.
    fn set_timers(&mut self, slot: Slot) {
        let Some(mut chain) = self.table.take(slot) else { return };
        self.time_commands(slot, &mut chain);
        for limit in chain.decided.iter().flat_map(|decided| &decided.limits) {
            self.lanes.set_timer(*limit, chain.key, slot);
        }
        let next = match &chain.decided {
            Some(_) => self.next_time(&chain),
            None => Some(decide::due(&chain, &self.names, &self.policies, &self.lanes).at),
        };
        self.table.put(slot, chain);
        if let Some(next) = next {
            self.schedule(slot, next);
        }
    }

    /// Writes down what is not of one chain: brake, pause, stream times, and up to where each lane was read. Small.
    #[must_use]
    pub fn snapshot_engine(&self) -> Vec<u8> {
        let text = |name: Name| self.names.text(name).to_owned();
        let edges = self.brake.edges.iter();
        let mut bytes = encode(&EngineImage {
            lanes: write::lanes(&self.lanes),
            host: self.lanes.host.0,
            paused: self.paused,
            catching_up: self.catching_up,
            brake: minute_image(self.brake.overall),
            brake_edges: edges
                .map(|(&(caller, callee), &counted)| (text(caller), text(callee), minute_image(counted)))
                .collect(),
        });
        // Behind the image, where earlier releases look no more.
        if !self.operated.is_empty() {
            bytes.extend(postcard::to_stdvec(&self.operated).unwrap_or_default());
        }
        bytes
    }

    /// Takes it back. Restore chains before or after it, in any order.
    ///
    /// # Errors
    /// A text that says what is wrong with the bytes.
    pub fn restore_engine(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (image, rest) = decode_part::<EngineImage>(bytes)?;
        let operated: Vec<u64> =
            if rest.is_empty() { Vec::new() } else { postcard::from_bytes(rest).map_err(damaged)? };
        let lanes = known_lanes(&mut self.lanes, &image.lanes);
        for (&(id, _), lane) in lanes.iter().zip(&image.lanes) {
            let known = self.lanes.lane_mut(id);
            known.stream = known.stream.max(BusTime(lane.stream));
        }
        self.reread.raise(&lanes);
        self.lanes.host = self.lanes.host.max(HostTime(image.host));
        self.paused = image.paused;
        self.operated = operated;
        self.catching_up |= image.catching_up;
        self.brake = Brake { overall: minute_of(image.brake), ..Brake::default() };
        for (caller, callee, counted) in &image.brake_edges {
            let edge = (intern(&mut self.names, caller)?, intern(&mut self.names, callee)?);
            self.brake.edges.insert(edge, minute_of(*counted));
        }
        Ok(())
    }

    /// The ids of chains that were settled or closed since the last call ([`crate::model::Action::Settled`],
    /// [`crate::model::Action::Closed`]), as one packed record; `None` if there are none.
    #[must_use]
    pub fn take_closed(&mut self) -> Option<Vec<u8>> {
        let chains = self.closed.take_fresh();
        (!chains.is_empty()).then(|| encode(&ClosedImage { lanes: write::lanes(&self.lanes), chains }))
    }

    /// Takes such a record back.
    ///
    /// # Errors
    /// A text that says what is wrong with the bytes.
    pub fn restore_closed(&mut self, bytes: &[u8]) -> Result<(), String> {
        let image: ClosedImage = decode(bytes)?;
        let lanes = known_lanes(&mut self.lanes, &image.lanes);
        self.reread.raise(&lanes);
        let limit = self.closed_limit();
        self.closed.restore(&image.chains, limit);
        Ok(())
    }

    /// Whether a step that is committed took the message at this position, so that reading it again says nothing new
    /// to anybody but the chain that it belongs to: what was refused then is not refused aloud a second time.
    #[must_use]
    pub fn was_read(&self, position: Position) -> bool {
        self.reread.was_read(position)
    }
}

/// Lanes of this engine for those of an image, each with the offset that the image holds up to.
fn known_lanes(lanes: &mut Lanes, images: &[LaneImage]) -> Vec<(LaneId, u64)> {
    images.iter().map(|lane| (lanes.get_or_make(&lane.topic, lane.partition), lane.next_offset)).collect()
}

fn intern(names: &mut Names, text: &str) -> Result<Name, String> {
    names.intern(text).map_err(|_| "no room for more names: raise limits.names".to_owned())
}

fn minute_image(minute: Minute) -> MinuteImage {
    MinuteImage(minute.minute, minute.plans, minute.engaged)
}

fn minute_of(MinuteImage(minute, plans, engaged): MinuteImage) -> Minute {
    Minute { minute, plans, engaged }
}

fn encode<T: Serialize>(image: &T) -> Vec<u8> {
    // Postcard fails on nothing that an image holds: no sequence of unknown length, no map but of strings.
    postcard::to_extend(image, vec![VERSION]).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    decode_part(bytes).map(|(image, _)| image)
}

fn damaged(error: postcard::Error) -> String {
    format!("the snapshot is damaged: {error}")
}

/// An image, and the bytes behind it.
fn decode_part<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), String> {
    match bytes.split_first() {
        None => Err("the snapshot is empty".to_owned()),
        Some((&VERSION, rest)) => postcard::take_from_bytes(rest).map_err(damaged),
        Some((version, _)) => {
            Err(format!("snapshot version {version} is not known; this release reads version {VERSION}"))
        }
    }
}
