//! What the consumer's client calls back into, always on the thread that polls: changes of assignment, which wait there
//! until they are handed out, and statistics, which tell how far was fetched.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    types::RDKafkaRespErr,
};
use serde::Deserialize;

use super::connection;

/// Statistics that are passed over after an assignment: they may have been made before it.
const STALE_STATISTICS: u32 = 3;

/// A change of assignment that waits to be handed out.
pub(super) enum Event {
    /// These partitions are ours.
    Assigned(Vec<(String, i32)>),
    /// All are taken away.
    Revoked,
}

/// Fetch positions by topic and partition.
type Positions = HashMap<String, HashMap<i32, u64>>;

#[derive(Default)]
pub(super) struct State {
    pub events: VecDeque<Event>,
    /// Every record below was polled.
    positions: Positions,
    /// Every record below will have been polled once so many were in all.
    staged: Option<(u64, Positions)>,
    /// Statistics that still are passed over.
    skip: u32,
    /// What was said since a record was last polled.
    pub troubles: BTreeSet<String>,
}

/// What the client calls back into, always on the thread that polls.
#[derive(Default)]
pub(super) struct Context {
    state: Mutex<State>,
    polled: AtomicU64,
    /// An event may wait: asked for each record, which a lock would be too much for.
    pub eventful: AtomicBool,
    pub troubled: AtomicBool,
    /// Nobody answers changes of assignment any more.
    pub closing: AtomicBool,
}

impl Context {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record was polled.
    pub fn polled(&self) {
        self.polled.fetch_add(1, Ordering::Relaxed);
        if self.troubled.swap(false, Ordering::Relaxed) {
            self.lock().troubles.clear();
        }
    }

    /// Takes in fetch positions with the length of the client's queue when they were made. Statistics overtake the
    /// records in that queue: what was fetched then is polled only when as many records more were polled.
    fn stage(&self, positions: Positions, queued: u64) {
        let mut state = self.lock();
        if state.skip > 0 {
            state.skip -= 1;
        } else if queued == 0 {
            state.positions = positions;
            state.staged = None;
        } else if state.staged.is_none() {
            state.staged = Some((self.polled.load(Ordering::Relaxed) + queued, positions));
        }
    }

    pub fn position(&self, topic: &str, partition: i32) -> Option<u64> {
        let mut state = self.lock();
        let is_due = |(due, _): &mut (u64, Positions)| self.polled.load(Ordering::Relaxed) >= *due;
        if let Some((_, positions)) = state.staged.take_if(is_due) {
            state.positions = positions;
        }
        state.positions.get(topic).and_then(|partitions| partitions.get(&partition)).copied()
    }

    /// Reading begins anew somewhere else.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.positions.clear();
        state.staged = None;
        state.skip = STALE_STATISTICS;
    }
}

/// The part of the client's statistics that is looked at.
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: HashMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    partition: i32,
    fetch_state: String,
    /// Records in the queue from which is polled, which is one for all partitions.
    fetchq_cnt: i64,
    next_offset: i64,
}

impl Statistics {
    fn positions(self) -> (Positions, u64) {
        let mut positions = Positions::new();
        let mut queued = 0;
        for (topic, statistics) in self.topics {
            for partition in statistics.partitions.values().filter(|partition| partition.fetch_state == "active") {
                queued = queued.max(u64::try_from(partition.fetchq_cnt).unwrap_or(0));
                if let Ok(next) = u64::try_from(partition.next_offset) {
                    positions.entry(topic.clone()).or_default().insert(partition.partition, next);
                }
            }
        }
        (positions, queued)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        connection::log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) {
            let (positions, queued) = statistics.positions();
            self.stage(positions, queued);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "consumer");
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            let _ = consumer.unassign();
            return;
        }
        let event = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Event::Assigned(
                list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect(),
            ),
            _ => Event::Revoked,
        };
        self.lock().events.push_back(event);
        self.eventful.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, STALE_STATISTICS, Statistics};

    fn statistics(queued: u64, next: u64) -> String {
        format!(
            r#"{{"name": "x", "topics": {{"in": {{"topic": "in", "partitions": {{
                "0": {{"partition": 0, "fetch_state": "active", "fetchq_cnt": {queued}, "next_offset": {next}}},
                "-1": {{"partition": -1, "fetch_state": "none", "fetchq_cnt": 0, "next_offset": -1001}}
            }}}}}}}}"#
        )
    }

    fn tell(context: &Context, queued: u64, next: u64) {
        let statistics: Statistics = serde_json::from_str(&statistics(queued, next)).unwrap();
        let (positions, queued) = statistics.positions();
        context.stage(positions, queued);
    }

    #[test]
    fn what_was_fetched_counts_as_read_only_when_it_was_polled() {
        let context = Context::default();
        tell(&context, 2, 100);
        assert_eq!(context.position("in", 0), None);
        context.polled();
        tell(&context, 5, 200);
        assert_eq!(context.position("in", 0), None, "newer statistics do not move the older ones' turn");
        context.polled();
        assert_eq!(context.position("in", 0), Some(100));
        tell(&context, 0, 300);
        assert_eq!(context.position("in", 0), Some(300));
        context.forget();
        for _ in 0..STALE_STATISTICS {
            tell(&context, 0, 300);
        }
        assert_eq!(context.position("in", 0), None, "statistics from before the assignment say nothing");
        tell(&context, 0, 7);
        assert_eq!(context.position("in", 0), Some(7));
    }
}
