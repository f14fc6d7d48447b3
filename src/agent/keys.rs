//! Whether the inputs are keyed by chain: a chain whose messages lie on several partitions is decided in pieces, by engines
//! that do not know of each other.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use xxhash_rust::xxh3::xxh3_64;

use crate::telemetry::metrics::Metrics;

/// One chain of so many is looked at, chosen by its id.
const SAMPLE: u64 = 64;

/// Chains of the sample that are remembered; then it begins anew.
const MAX_CHAINS: usize = 10_000;

/// Where chains of a sample were seen, by all workers of this process.
#[derive(Debug, Default)]
pub(super) struct Keys {
    seen: Mutex<HashMap<u64, i32>>,
    said: AtomicBool,
}

impl Keys {
    /// A message of this chain was read on this partition number. Counts it if others of the chain were on another, and says
    /// so the first time.
    pub fn saw(&self, chain_id: &str, partition: i32, metrics: &Metrics) {
        let key = xxh3_64(chain_id.as_bytes());
        if !key.is_multiple_of(SAMPLE) {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_CHAINS {
            seen.clear();
        }
        let first = *seen.entry(key).or_insert(partition);
        if first == partition {
            return;
        }
        metrics.split.add("not_keyed_by_chain");
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::error!(
                chain = chain_id,
                partitions = ?[first, partition],
                "inputs are not keyed by chain: messages of one chain lie on several partitions, and it is decided in pieces; \
                 let every service key its envelopes by chain_id with the same partitioner (`countermand doctor` shows which do \
                 not)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Keys, SAMPLE};
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn chains_on_several_partitions_are_counted() {
        let (keys, metrics) = (Keys::default(), Metrics::default());
        let chains = i32::try_from(SAMPLE * 50).unwrap();
        for n in 0..chains {
            keys.saw(&format!("whole-{n}"), n % 4, &metrics);
            keys.saw(&format!("whole-{n}"), n % 4, &metrics);
        }
        assert_eq!(metrics.split.total(), 0);
        for n in 0..chains {
            keys.saw(&format!("split-{n}"), 0, &metrics);
            keys.saw(&format!("split-{n}"), 1, &metrics);
        }
        assert!((20..=100).contains(&metrics.split.total()), "{}", metrics.split.total());
    }
}
