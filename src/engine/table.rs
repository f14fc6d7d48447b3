//! S2.9: the chains of an engine, and the ids of those that are closed.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::{census::Census, chain::Chain, evict::Leave};
use crate::model::{BusTime, Id, QuickMap, Slot};

/// Chains by slot and by id.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Box<Chain>>>,
    free: Vec<u32>,
    /// Where the chains stand that more is expected of, and those that linger as healthy (S2.9): of these there may be
    /// hundreds for each of the others, and an index of them all would be too large for the caches.
    awaited: HashTable<Place>,
    lingering: HashTable<Place>,
    bytes: usize,
    /// Of these, bytes of chains that may be given up (S2.10), and of those that may at last.
    granted: usize,
    at_last: usize,
    census: Census,
}

/// Where the chain of a key stands. The key is here too, so that a chain is not touched before it is the right one.
#[derive(Debug, Clone, Copy)]
struct Place {
    key: u64,
    slot: u32,
}

/// The key of a chain: a hash of its id.
pub(super) fn key_of(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

impl Table {
    pub fn find(&self, id: &str, key: u64) -> Option<Slot> {
        // An id of 64 equal hash bits is nearly always the same one, so that the texts are compared once.
        let is_it = |place: &Place| {
            place.key == key && self.slots[place.slot as usize].as_ref().is_some_and(|chain| chain.id.is(id))
        };
        let found = self.awaited.find(key, is_it).or_else(|| self.lingering.find(key, is_it));
        found.map(|place| Slot(place.slot))
    }

    pub fn insert(&mut self, mut chain: Box<Chain>) -> Slot {
        chain.lingers = chain.settled_at.is_some();
        self.count(&chain);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.index(slot, &chain);
        self.slots[slot as usize] = Some(chain);
        Slot(slot)
    }

    fn index_of(&mut self, chain: &Chain) -> &mut HashTable<Place> {
        if chain.lingers { &mut self.lingering } else { &mut self.awaited }
    }

    fn index(&mut self, slot: u32, chain: &Chain) {
        let place = Place { key: chain.key, slot };
        self.index_of(chain).insert_unique(place.key, place, |place| place.key);
    }

    fn unindex(&mut self, slot: u32, chain: &Chain) {
        if let Ok(place) = self.index_of(chain).find_entry(chain.key, |place| place.slot == slot) {
            place.remove();
        }
    }

    pub fn get(&self, slot: Slot) -> Option<&Chain> {
        self.slots.get(slot.0 as usize)?.as_deref()
    }

    /// Takes a chain out to work on it; it must come back by [`Table::put`] or be gone by [`Table::forget`].
    pub fn take(&mut self, slot: Slot) -> Option<Box<Chain>> {
        let chain = self.slots.get_mut(slot.0 as usize)?.take()?;
        let bytes = chain.bytes();
        self.bytes = self.bytes.saturating_sub(bytes);
        let kind = self.leaving_mut(Leave::of(&chain));
        kind.into_iter().for_each(|kind| *kind = kind.saturating_sub(bytes));
        self.census.went(&chain);
        Some(chain)
    }

    pub fn put(&mut self, slot: Slot, mut chain: Box<Chain>) {
        self.count(&chain);
        if chain.lingers != chain.settled_at.is_some() {
            self.unindex(slot.0, &chain);
            chain.lingers = !chain.lingers;
            self.index(slot.0, &chain);
        }
        self.slots[slot.0 as usize] = Some(chain);
    }

    fn count(&mut self, chain: &Chain) {
        let bytes = chain.bytes();
        self.bytes += bytes;
        self.leaving_mut(Leave::of(chain)).into_iter().for_each(|kind| *kind += bytes);
        self.census.came(chain);
    }

    fn leaving_mut(&mut self, leave: Leave) -> Option<&mut usize> {
        match leave {
            Leave::Never => None,
            Leave::AtLast => Some(&mut self.at_last),
            Leave::Granted => Some(&mut self.granted),
        }
    }

    /// Forgets a chain that was taken out.
    pub fn forget(&mut self, slot: Slot, chain: &Chain) {
        self.unindex(slot.0, chain);
        self.free.push(slot.0);
    }

    pub fn len(&self) -> usize {
        self.awaited.len() + self.lingering.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn census(&self) -> &Census {
        &self.census
    }

    /// Bytes of the chains with that leave to be given up, but for the one in `kept`.
    pub fn leaving(&self, kept: Option<Slot>, leave: Leave) -> usize {
        let kept = kept.and_then(|slot| self.get(slot)).filter(|chain| Leave::of(chain) == leave);
        let all = match leave {
            Leave::Never => self.bytes - self.granted - self.at_last,
            Leave::AtLast => self.at_last,
            Leave::Granted => self.granted,
        };
        all.saturating_sub(kept.map_or(0, Chain::bytes))
    }

    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Chain)> {
        (0..=u32::MAX).zip(&self.slots).filter_map(|(slot, chain)| Some((Slot(slot), chain.as_deref()?)))
    }
}

/// Ids of closed chains, for `max_age` and within a limit (S2.9). Hashes of 64 bits stand for ids: among a million of
/// them, one new chain in ten million million would be taken for a closed one.
#[derive(Debug, Default)]
pub(super) struct Closed {
    until: QuickMap<u64, i64>,
    by_time: BTreeMap<i64, Vec<u64>>,
    /// Closed since the last record was taken.
    fresh: Vec<(u64, i64)>,
}

/// What an id takes: its places in the map, which has room to spare, and in a bucket.
pub(super) const CLOSED_BYTES: usize = 48;

/// Width of a bucket of closing times: a minute.
const BUCKET: i64 = 60_000;

impl Closed {
    pub fn add(&mut self, key: u64, until: BusTime, limit: usize) {
        self.fresh.push((key, until.0));
        self.insert(key, until.0, limit);
    }

    fn insert(&mut self, key: u64, until: i64, limit: usize) {
        if self.until.insert(key, until).is_none_or(|before| before < until) {
            self.by_time.entry(until.div_euclid(BUCKET)).or_default().push(key);
        }
        while self.until.len() > limit {
            let Some((bucket, keys)) = self.by_time.pop_first() else { break };
            self.drop_keys(bucket, &keys);
        }
    }

    fn drop_keys(&mut self, bucket: i64, keys: &[u64]) {
        for key in keys {
            if self.until.get(key).is_some_and(|until| until.div_euclid(BUCKET) == bucket) {
                self.until.remove(key);
            }
        }
    }

    /// Whether the chain of this key is closed, as of `now`.
    pub fn holds(&mut self, key: u64, now: BusTime) -> bool {
        while let Some(entry) = self.by_time.first_entry().filter(|entry| (entry.key() + 1) * BUCKET <= now.0) {
            let (bucket, keys) = entry.remove_entry();
            self.drop_keys(bucket, &keys);
        }
        self.until.get(&key).is_some_and(|&until| until > now.0)
    }

    /// Bytes that the ids take (S2.10).
    pub fn bytes(&self) -> usize {
        self.until.len() * CLOSED_BYTES
    }

    pub fn take_fresh(&mut self) -> Vec<(u64, i64)> {
        std::mem::take(&mut self.fresh)
    }

    pub fn restore(&mut self, entries: &[(u64, i64)], limit: usize) {
        for &(key, until) in entries {
            self.insert(key, until, limit);
        }
    }
}

/// A chain that is new.
pub(super) fn new_chain(id: &str, key: u64, at: BusTime) -> Box<Chain> {
    Box::new(Chain::new(Id::new(id), key, at))
}
