//! What the consumer's client calls back into, always on the thread that polls: changes of assignment, which wait there
//! until they are handed out, and statistics, which tell how far was fetched.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
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

/// For how long after an assignment statistics are made that may still tell of the time before it: the client's threads take
/// it up one after the other, within milliseconds.
const STALE: Duration = Duration::from_millis(600);

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
    /// Statistics of a client that was not older when they were made tell of the time before the assignment. While nobody polled,
    /// as in a commit that waits for a broker, many of them came together.
    stale_until: Duration,
    /// What was said since a record was last polled.
    pub troubles: BTreeSet<String>,
}

/// What the client calls back into, always on the thread that polls. It is made before the client.
pub(super) struct Context {
    made: Instant,
    state: Mutex<State>,
    polled: AtomicU64,
    /// An event may wait: asked for each record, which a lock would be too much for.
    pub eventful: AtomicBool,
    pub troubled: AtomicBool,
    /// Nobody answers changes of assignment any more.
    pub closing: AtomicBool,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            made: Instant::now(),
            state: Mutex::default(),
            polled: AtomicU64::default(),
            eventful: AtomicBool::default(),
            troubled: AtomicBool::default(),
            closing: AtomicBool::default(),
        }
    }
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
    fn stage(&self, Fetched { positions, queued, age }: Fetched) {
        let mut state = self.lock();
        if age <= state.stale_until {
            return;
        }
        if queued == 0 {
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
        // The client is younger than this, so that what says to have been made later was.
        state.stale_until = self.made.elapsed() + STALE;
    }
}

/// The part of the client's statistics that is looked at.
#[derive(Deserialize)]
struct Statistics {
    /// Age of the client when they were made, in microseconds.
    age: u64,
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

/// How far was fetched, as statistics tell it.
struct Fetched {
    positions: Positions,
    /// Records in the client's queue at that time.
    queued: u64,
    /// The client's age.
    age: Duration,
}

impl Statistics {
    fn fetched(self) -> Fetched {
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
        Fetched { positions, queued, age: Duration::from_micros(self.age) }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        connection::log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) {
            self.stage(statistics.fetched());
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
    use std::time::Duration;

    use super::{Context, STALE, Statistics};

    fn statistics(age: Duration, queued: u64, next: u64) -> String {
        let age = age.as_micros();
        format!(
            r#"{{"name": "x", "age": {age}, "topics": {{"in": {{"topic": "in", "partitions": {{
                "0": {{"partition": 0, "fetch_state": "active", "fetchq_cnt": {queued}, "next_offset": {next}}},
                "-1": {{"partition": -1, "fetch_state": "none", "fetchq_cnt": 0, "next_offset": -1001}}
            }}}}}}}}"#
        )
    }

    fn tell_at(context: &Context, age: Duration, queued: u64, next: u64) {
        let statistics: Statistics = serde_json::from_str(&statistics(age, queued, next)).unwrap();
        context.stage(statistics.fetched());
    }

    fn tell(context: &Context, queued: u64, next: u64) {
        tell_at(context, Duration::from_secs(1), queued, next);
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
        let forgotten = context.made.elapsed();
        for n in 0..100 {
            tell_at(&context, forgotten * n / 100, 0, 300);
        }
        assert_eq!(context.position("in", 0), None, "statistics from before the assignment say nothing, however many");
        tell_at(&context, forgotten + STALE + Duration::from_millis(1), 0, 7);
        assert_eq!(context.position("in", 0), Some(7));
    }
}
