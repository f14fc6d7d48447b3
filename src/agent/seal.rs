//! What a shard adds to a commit: snapshots of chains, ids that were closed, the engine's own state, and how far its
//! inputs are saved.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    outgoing,
    shard::Shard,
    step::{Step, Surroundings},
};
use crate::{
    bus::{Outgoing, Progress, TopicPartition},
    journal::{
        low_water::Water,
        state::{ClosedKey, Key, chain_values, plain_value},
    },
    model::{HostTime, Slot, Span},
    policy::Settings,
};

/// Most chains that are saved in one commit because they are old: 20,000 snapshots of 1 KB take a fifth of a second.
const MAX_SAVES: usize = 20_000;

/// Length of a time bucket of closed ids.
const BUCKET: Span = Span::mins(1);

/// What of a shard has to go into the next commit.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// Chains of which something becomes visible.
    pub saves: BTreeSet<Slot>,
    /// Snapshots to be deleted: chain, and parts from and to.
    pub tombstones: Vec<(String, u16, u16)>,
    /// Ids were closed.
    pub ids: bool,
}

impl Unsaved {
    /// The chain in `slot` belongs into the next commit.
    pub fn save(&mut self, slot: Slot) {
        self.saves.insert(slot);
    }
}

/// Which records of closed ids stand in the state topic, so that they can be deleted when no id in them counts any more.
#[derive(Debug, Default)]
pub(super) struct ClosedLog {
    /// Number of records by bucket.
    buckets: BTreeMap<u64, u32>,
}

impl ClosedLog {
    /// The log of the records that were read back.
    pub fn new(keys: &[ClosedKey]) -> Self {
        let mut log = Self::default();
        for key in keys {
            let count = log.buckets.entry(key.bucket).or_default();
            *count = (*count).max(key.number + 1);
        }
        log
    }

    fn next(&mut self, host: HostTime) -> ClosedKey {
        let bucket = bucket_of(host);
        let count = self.buckets.entry(bucket).or_default();
        *count += 1;
        ClosedKey { bucket, number: *count - 1 }
    }

    /// Takes out the records of which every id is older than `keep`.
    fn expired(&mut self, host: HostTime, keep: Span) -> Vec<ClosedKey> {
        let first_kept = bucket_of(host.minus(keep)).saturating_sub(1);
        let kept = self.buckets.split_off(&first_kept);
        let gone = std::mem::replace(&mut self.buckets, kept);
        let keys = |(bucket, count): (u64, u32)| (0..count).map(move |number| ClosedKey { bucket, number });
        gone.into_iter().flat_map(keys).collect()
    }
}

fn bucket_of(host: HostTime) -> u64 {
    u64::try_from(host.0).unwrap_or(0) / BUCKET.0
}

/// How a shard's state is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealing<'a> {
    /// The state topic.
    pub topic: &'a str,
    /// Age from which unsaved chains are saved. Zero saves all.
    pub snapshot_after: Span,
    /// How long closed ids count.
    pub keep_closed: Span,
    /// Host time.
    pub host: HostTime,
}

/// Appends to the step what is to be written with it: pictures of its chains, and the state of every shard. Says how far
/// inputs are saved with that, and how many chains. As [`Shard::seal`] says, the shards count as committed from here on.
pub(super) fn seal_all(
    step: &mut Step,
    shards: &mut BTreeMap<i32, Shard>,
    around: &Surroundings,
    settings: &Settings,
    snapshot_after: Span,
    host: HostTime,
) -> (Vec<Progress>, u64) {
    let keep_closed = Span(settings.max_age.0.saturating_add(settings.linger.0));
    let sealing = Sealing { topic: &around.topics.state, snapshot_after, keep_closed, host };
    step.records.extend(step.views.values().map(|view| outgoing::picture(&around.topics, view, around.largest)));
    let (mut progress, mut saved) = (Vec::new(), 0);
    for shard in shards.values_mut() {
        let (moved, chains) = shard.seal(sealing, &mut step.records);
        progress.extend(moved);
        saved += chains;
    }
    (progress, saved)
}

impl Shard {
    /// Whether nothing that was read waits for its turn.
    pub fn is_idle(&self) -> bool {
        (0..self.lanes.len()).all(|lane| self.merge.waiting(lane) == 0)
    }

    /// Whether something of a chain became visible, so that its snapshot belongs into the next commit.
    pub fn has_saves(&self) -> bool {
        !self.unsaved.saves.is_empty()
    }

    /// Whether a commit is worth its while for this shard alone. That more was applied than is committed is not: it is
    /// said with the next commit.
    pub fn has_progress(&mut self, snapshot_after: Span, host: HostTime) -> bool {
        let unsaved = self.unsaved.ids || !self.unsaved.tombstones.is_empty() || self.has_saves();
        unsaved
            || self.water.oldest_due(host, snapshot_after).is_some()
            || (0..self.lanes.len()).any(|lane| self.moved(lane))
    }

    /// Whether more of a lane is saved than is committed.
    fn moved(&mut self, lane: usize) -> bool {
        let offset = self.water.water(lane).offset;
        self.lanes[lane].committed.map(|committed| committed.offset) != Some(offset)
    }

    /// Appends the shard's state to `records`, and says how far its inputs are saved with that, and how many chains.
    /// From here on the shard counts as committed: if the commit fails, it must be restored.
    pub fn seal(&mut self, sealing: Sealing<'_>, records: &mut Vec<Outgoing>) -> (Vec<Progress>, u64) {
        let has_changed = (0..self.lanes.len()).any(|n| self.lanes[n].committed != Some(self.water.water(n)));
        if !has_changed && !self.has_progress(sealing.snapshot_after, sealing.host) {
            return (Vec::new(), 0);
        }
        while self.unsaved.saves.len() < MAX_SAVES
            && let Some(slot) = self.water.oldest_due(sealing.host, sealing.snapshot_after)
        {
            self.water.saved(slot);
            self.unsaved.saves.insert(slot);
        }
        let unsaved = std::mem::take(&mut self.unsaved);
        let record = |key: &Key, payload| Outgoing {
            topic: sealing.topic.to_owned(),
            partition: Some(self.partition),
            key: Some(key.encode()),
            payload,
            headers: Vec::new(),
        };
        // Deletions first: a chain that was closed may have come back under its id.
        for (chain_id, from, to) in unsaved.tombstones {
            for part in from..to {
                records.push(record(&Key::Chain { chain_id: chain_id.clone(), part }, None));
            }
        }
        let mut saved = 0;
        for slot in unsaved.saves {
            let (Some(chain_id), Some(snapshot)) = (self.engine.chain_id(slot), self.engine.snapshot_chain(slot))
            else {
                continue;
            };
            self.water.saved(slot);
            saved += 1;
            let mut part = 0;
            for value in chain_values(&snapshot) {
                records.push(record(&Key::Chain { chain_id: chain_id.clone(), part }, Some(value)));
                part += 1;
            }
            let before = self.saved.insert(slot, part).unwrap_or(0);
            for part in part..before {
                records.push(record(&Key::Chain { chain_id: chain_id.clone(), part }, None));
            }
        }
        if let Some(ids) = self.engine.take_closed() {
            let key = Key::Closed(self.closed.next(sealing.host));
            records.push(record(&key, Some(plain_value(&ids))));
        }
        for key in self.closed.expired(sealing.host, sealing.keep_closed) {
            records.push(record(&Key::Closed(key), None));
        }
        records.push(record(&Key::Engine, Some(plain_value(&self.engine.snapshot_engine()))));
        (self.progress(), saved)
    }

    fn progress(&mut self) -> Vec<Progress> {
        let mut progress = Vec::new();
        for n in 0..self.lanes.len() {
            let water = self.water.water(n);
            let lane = &mut self.lanes[n];
            if lane.committed != Some(water) {
                lane.committed = Some(water);
                let at = TopicPartition { topic: lane.topic.clone(), partition: self.partition };
                progress.push(Progress { at, offset: water.offset, metadata: encode(water) });
            }
        }
        progress
    }
}

/// The text that is committed beside an offset: version, what was applied, and the clock where reading starts again.
pub(super) fn encode(water: Water) -> String {
    let clock = water.clock.map_or_else(|| "-".to_owned(), |clock| clock.0.to_string());
    format!("1 {} {clock}", water.applied)
}

/// Reads it back. Offsets that an operator set by hand have none: nothing is known but the offset then.
pub(super) fn decode(offset: u64, metadata: &str) -> Water {
    let mut words = metadata.split(' ');
    let known = (words.next() == Some("1")).then_some(());
    let applied = known.and(words.next()).and_then(|word| word.parse().ok());
    let clock = known.and(words.next()).and_then(|word| word.parse().ok()).map(crate::model::BusTime);
    Water { offset, clock, applied: applied.unwrap_or(offset).max(offset) }
}

#[cfg(test)]
mod tests {
    use super::{ClosedLog, decode, encode};
    use crate::{
        journal::{low_water::Water, state::ClosedKey},
        model::{BusTime, HostTime, Span},
    };

    #[test]
    fn what_is_committed_beside_an_offset_comes_back() {
        for clock in [None, Some(BusTime(-5)), Some(BusTime(1_700_000_000_000))] {
            let water = Water { offset: 7, clock, applied: 12 };
            assert_eq!(decode(7, &encode(water)), water);
        }
        for foreign in ["", "hello", "2 9 9", "1 x y"] {
            assert_eq!(decode(7, foreign), Water { offset: 7, clock: None, applied: 7 }, "{foreign}");
        }
    }

    #[test]
    fn closed_records_go_when_all_in_them_is_old() {
        let key = |bucket, number| ClosedKey { bucket, number };
        let mut log = ClosedLog::new(&[key(10, 0), key(10, 1), key(12, 0)]);
        let minute = |n: i64| HostTime(n * 60_000);
        assert_eq!(log.next(minute(12)), key(12, 1));
        assert_eq!(log.expired(minute(70), Span::mins(60)), []);
        assert_eq!(log.expired(minute(72), Span::mins(60)), [key(10, 0), key(10, 1)]);
        assert_eq!(log.next(minute(72)), key(72, 0));
    }
}
