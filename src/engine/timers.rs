//! Timers of one lane, or of the command clock (S2.5, S5.13): a near heap and far buckets.
//!
//! Most timers are set long before they are due and most are overtaken (a root's deadline by its answer), so setting
//! one must be cheap: far ones are appended to a bucket of about a second, and only the bucket whose time has come is
//! sorted. Entries are never removed: one that is overtaken no longer matches its chain and is passed over.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// A timer: equal times fire in the order of the chains' keys, so that slots, which differ after a restore, decide
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    /// When it is due, on the clock of its queue.
    pub at: i64,
    /// The chain's key: a hash of its id.
    pub key: u64,
    /// The chain's slot.
    pub slot: u32,
}

/// Width of a far bucket as a power of two: 1,024 ms.
const BUCKET_BITS: u32 = 10;

/// A queue of timers.
#[derive(Debug)]
pub(super) struct Timers {
    near: BinaryHeap<Reverse<Timer>>,
    far: BTreeMap<i64, Vec<Timer>>,
    /// Everything due before this bucket is in `near`.
    horizon: i64,
    len: usize,
}

impl Default for Timers {
    fn default() -> Self {
        Self { near: BinaryHeap::new(), far: BTreeMap::new(), horizon: i64::MIN, len: 0 }
    }
}

impl Timers {
    /// Sets a timer.
    pub fn push(&mut self, timer: Timer) {
        let bucket = timer.at >> BUCKET_BITS;
        self.len += 1;
        if bucket < self.horizon {
            self.near.push(Reverse(timer));
        } else {
            self.far.entry(bucket).or_default().push(timer);
        }
    }

    /// The time of the earliest timer.
    pub fn next_at(&mut self) -> Option<i64> {
        while self.near.is_empty() {
            let (bucket, timers) = self.far.pop_first()?;
            self.horizon = bucket + 1;
            self.near = timers.into_iter().map(Reverse).collect();
        }
        self.near.peek().map(|timer| timer.0.at)
    }

    /// The earliest time without touching anything; may be that of a bucket's first entry.
    pub fn peek_at(&self) -> Option<i64> {
        let near = self.near.peek().map(|timer| timer.0.at);
        near.or_else(|| self.far.first_key_value().and_then(|(_, timers)| timers.iter().map(|timer| timer.at).min()))
    }

    /// Takes the earliest timer if it is due at `now`.
    pub fn pop_due(&mut self, now: i64) -> Option<Timer> {
        if self.next_at()? > now {
            return None;
        }
        self.len -= 1;
        self.near.pop().map(|timer| timer.0)
    }

    /// Timers that are kept, the overtaken ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Drops the overtaken ones: a root's deadline may lie hours after its answer.
    pub fn retain(&mut self, is_live: impl Fn(&Timer) -> bool) {
        self.near.retain(|timer| is_live(&timer.0));
        for timers in self.far.values_mut() {
            timers.retain(&is_live);
            timers.shrink_to_fit();
        }
        self.far.retain(|_, timers| !timers.is_empty());
        self.len = self.near.len() + self.far.values().map(Vec::len).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::{Timer, Timers};

    #[test]
    fn timers_fire_in_order_whenever_they_were_set() {
        let mut timers = Timers::default();
        let at = |at| Timer { at, key: 0, slot: 0 };
        for time in [5_000, 10, 900_000, 5_001, -7] {
            timers.push(at(time));
        }
        assert_eq!(timers.pop_due(9).map(|t| t.at), Some(-7));
        assert_eq!(timers.pop_due(9), None);
        timers.push(at(3));
        assert_eq!(timers.peek_at(), Some(3));
        let fired: Vec<i64> = std::iter::from_fn(|| timers.pop_due(6_000).map(|t| t.at)).collect();
        assert_eq!(fired, [3, 10, 5_000, 5_001]);
        assert_eq!(timers.next_at(), Some(900_000));
    }
}
