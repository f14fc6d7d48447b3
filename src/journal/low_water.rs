//! How far the input of one engine is saved: the committed offset of a lane is that of the oldest message whose effect
//! is in no snapshot yet, not that of the last one read (architecture, "Low water").
//!
//! Every applied message that left something unsaved in a chain is remembered as (offset, slot, epoch). Saving a chain
//! raises its epoch, which makes all its older entries clean at once; clean entries leave at the front of their lane.

use std::collections::VecDeque;

use crate::model::{BusTime, HostTime, Slot, Span};

/// Entries kept over all lanes before the oldest chains are saved early: a bound of about 32 MB for one engine.
pub const MAX_HELD: usize = 1_000_000;

/// From where a lane is read again after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Water {
    /// The offset to commit: of the oldest message that is not saved.
    pub offset: u64,
    /// Bus time of the record before it, where the lane's intake clock starts again.
    pub clock: Option<BusTime>,
    /// One more than the last offset that was applied. What lies between was refused, answered or forwarded with the
    /// commits so far, and is not to be refused, answered or forwarded again.
    pub applied: u64,
}

/// One applied message.
#[derive(Debug, Clone, Copy)]
pub struct Applied {
    /// Its offset.
    pub offset: u64,
    /// Its bus time.
    pub at: BusTime,
    /// Bus time of the record before it in its lane.
    pub before: Option<BusTime>,
    /// The chain that now holds something of it that is not saved.
    pub holds: Option<Slot>,
}

/// The low water of one engine's lanes, by index.
#[derive(Debug, Default)]
pub struct LowWater {
    lanes: Vec<Lane>,
    chains: Vec<Chain>,
    dirty: VecDeque<(HostTime, Slot, u32)>,
    held: usize,
}

#[derive(Debug)]
struct Lane {
    applied: u64,
    answered: u64,
    clock: Option<BusTime>,
    held: VecDeque<Held>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    offset: u64,
    before: Option<BusTime>,
    slot: Slot,
    epoch: u32,
}

/// What is known of a slot: slots are used again, so the epoch only ever grows.
#[derive(Debug, Clone, Copy, Default)]
struct Chain {
    epoch: u32,
    dirty: bool,
}

impl LowWater {
    /// Adds a lane whose next record to read is `water.offset`, and says its index. What was applied before a restart
    /// stays applied, however little of it is read again when the next restart comes.
    pub fn add_lane(&mut self, water: Water) -> usize {
        let Water { offset, clock, applied } = water;
        self.lanes.push(Lane { applied: offset, answered: applied, clock, held: VecDeque::new() });
        self.lanes.len() - 1
    }

    /// A message of `lane` was applied at host time `host`.
    ///
    /// # Panics
    /// If the messages of a lane are not given in their order: the low water would be wrong.
    pub fn applied(&mut self, lane: usize, message: Applied, host: HostTime) {
        let lane = &mut self.lanes[lane];
        assert!(message.offset >= lane.applied, "offset {} after {}", message.offset, lane.applied);
        lane.applied = message.offset + 1;
        lane.clock = Some(message.at);
        let Some(slot) = message.holds else { return };
        let n = slot.0 as usize;
        if self.chains.len() <= n {
            self.chains.resize(n + 1, Chain::default());
        }
        let chain = &mut self.chains[n];
        if !chain.dirty {
            chain.dirty = true;
            self.dirty.push_back((host, slot, chain.epoch));
        }
        lane.held.push_back(Held { offset: message.offset, before: message.before, slot, epoch: chain.epoch });
        self.held += 1;
    }

    /// All that the chain in `slot` held is in the commit that is being made, or need not be saved any more.
    pub fn saved(&mut self, slot: Slot) {
        if let Some(chain) = self.chains.get_mut(slot.0 as usize)
            && chain.dirty
        {
            chain.dirty = false;
            chain.epoch = chain.epoch.wrapping_add(1);
        }
    }

    /// Whether the chain in `slot` holds something that is not saved.
    #[must_use]
    pub fn is_dirty(&self, slot: Slot) -> bool {
        self.chains.get(slot.0 as usize).is_some_and(|chain| chain.dirty)
    }

    /// The chain that has held something unsaved for longest, if that is `age` or more by `host`, or if too many
    /// entries are held. It stays until [`LowWater::saved`].
    pub fn oldest_due(&mut self, host: HostTime, age: Span) -> Option<Slot> {
        let crowded = self.held > MAX_HELD;
        while let Some(&(since, slot, epoch)) = self.dirty.front() {
            let chain = self.chains[slot.0 as usize];
            if chain.dirty && chain.epoch == epoch {
                return (crowded || host >= since.plus(age)).then_some(slot);
            }
            self.dirty.pop_front();
        }
        None
    }

    /// The host time at which [`LowWater::oldest_due`] will name a chain.
    #[must_use]
    pub fn next_due(&self, age: Span) -> Option<HostTime> {
        self.dirty.front().map(|(since, ..)| since.plus(age))
    }

    /// Where `lane` stands once what was said to be saved is committed.
    pub fn water(&mut self, lane: usize) -> Water {
        let lane = &mut self.lanes[lane];
        let applied = lane.applied.max(lane.answered);
        while let Some(first) = lane.held.front() {
            let chain = self.chains[first.slot.0 as usize];
            if chain.dirty && chain.epoch == first.epoch {
                return Water { offset: first.offset, clock: first.before, applied };
            }
            lane.held.pop_front();
            self.held -= 1;
        }
        Water { offset: lane.applied, clock: lane.clock, applied }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Applied, LowWater, Water};
    use crate::model::{BusTime, HostTime, Slot, Span};

    fn applied(water: &mut LowWater, offset: u64, holds: Option<u32>, host: i64) {
        let at = BusTime(i64::try_from(offset).unwrap() * 10);
        let before = (offset > 0).then_some(BusTime(at.0 - 10));
        water.applied(0, Applied { offset, at, before, holds: holds.map(Slot) }, HostTime(host));
    }

    fn fresh() -> LowWater {
        let mut water = LowWater::default();
        water.add_lane(Water { offset: 0, clock: None, applied: 0 });
        water
    }

    #[test]
    fn the_low_water_is_the_oldest_message_of_an_unsaved_chain() {
        let mut water = fresh();
        applied(&mut water, 0, Some(7), 0);
        applied(&mut water, 1, None, 0);
        applied(&mut water, 2, Some(8), 100);
        applied(&mut water, 3, Some(7), 200);
        assert_eq!(water.water(0), Water { offset: 0, clock: None, applied: 4 });
        water.saved(Slot(7));
        assert_eq!(water.water(0), Water { offset: 2, clock: Some(BusTime(10)), applied: 4 });
        applied(&mut water, 4, Some(7), 300);
        water.saved(Slot(8));
        assert_eq!(water.water(0), Water { offset: 4, clock: Some(BusTime(30)), applied: 5 });
        water.saved(Slot(7));
        assert_eq!(water.water(0), Water { offset: 5, clock: Some(BusTime(40)), applied: 5 });
    }

    #[test]
    fn chains_are_due_by_the_age_of_their_oldest_unsaved_message() {
        let mut water = fresh();
        applied(&mut water, 0, Some(1), 0);
        applied(&mut water, 1, Some(2), 3_000);
        applied(&mut water, 2, Some(1), 4_000);
        let age = Span::secs(5);
        assert_eq!(water.oldest_due(HostTime(4_999), age), None);
        assert_eq!(water.oldest_due(HostTime(5_000), age), Some(Slot(1)));
        water.saved(Slot(1));
        assert_eq!(water.oldest_due(HostTime(5_000), age), None);
        assert_eq!(water.next_due(age), Some(HostTime(8_000)));
    }

    #[test]
    fn what_was_answered_before_a_restart_stays_answered() {
        let mut water = LowWater::default();
        water.add_lane(Water { offset: 3, clock: None, applied: 9 });
        applied(&mut water, 3, Some(1), 0);
        assert_eq!((water.water(0).offset, water.water(0).applied), (3, 9));
    }

    proptest! {
        /// Against the definition: the smallest offset whose chain was not saved since, else one after the last.
        #[test]
        fn the_low_water_equals_its_definition(steps in prop::collection::vec((0u32..6, prop::bool::ANY), 1..200)) {
            let mut water = fresh();
            let mut unsaved: BTreeMap<u64, u32> = BTreeMap::new();
            let mut next = 0;
            for (slot, save) in steps {
                if save {
                    water.saved(Slot(slot));
                    unsaved.retain(|_, own| *own != slot);
                } else {
                    let holds = (slot > 0).then_some(slot);
                    applied(&mut water, next, holds, 0);
                    unsaved.extend(holds.map(|slot| (next, slot)));
                    next += 1;
                }
                let expected = unsaved.keys().next().copied().unwrap_or(next);
                let got = water.water(0);
                prop_assert_eq!((got.offset, got.applied), (expected, next));
                prop_assert_eq!(water.is_dirty(Slot(slot)), unsaved.values().any(|own| *own == slot));
            }
        }
    }
}
