//! The embedded bus: topics in the memory of this process, for the demo and for tests. What is published in one call
//! becomes visible together, every record gets its time from the bus, and what a reader has not acknowledged is given to
//! it again.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{Outgoing, Record, Stamp, partitioner::partition_of};
use crate::model::{BusTime, HostTime};

/// Records that a partition keeps at most; the oldest go, whoever has not read them.
pub const MAX_RECORDS: usize = 100_000;

/// A bus. Clones are the same bus.
#[derive(Debug, Clone)]
pub struct Embedded(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    partitions: i32,
    topics: BTreeMap<Arc<str>, Topic>,
    /// Records that went before some reader of theirs had them.
    lost: u64,
}

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    partitions: Vec<Partition>,
    /// By reader: for each partition the next offset that is not acknowledged.
    acknowledged: HashMap<String, Vec<u64>>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Offset of the first record that is kept.
    first: u64,
    records: VecDeque<Record>,
}

impl Partition {
    fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }
}

impl Embedded {
    /// A bus without topics; each will have `partitions` partitions.
    #[must_use]
    pub fn new(partitions: i32) -> Self {
        Self(Arc::new(Mutex::new(Inner { partitions: partitions.max(1), topics: BTreeMap::new(), lost: 0 })))
    }

    /// Makes a topic unless it is there.
    pub fn make(&self, topic: &str) {
        let mut inner = self.inner();
        let count = usize::try_from(inner.partitions).unwrap_or(1);
        inner.topics.entry(topic.into()).or_insert_with(|| Topic {
            name: topic.into(),
            partitions: (0..count).map(|_| Partition::default()).collect(),
            acknowledged: HashMap::new(),
        });
    }

    /// Whether a topic is there.
    #[must_use]
    pub fn has(&self, topic: &str) -> bool {
        self.inner().topics.contains_key(topic)
    }

    /// Partitions of each topic.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.inner().partitions
    }

    /// Records that went before some reader of theirs had them: a reader that far behind is broken.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.inner().lost
    }

    /// Publishes all of `records` at once, at bus time `now`. Tells how many had no topic to go to; these are dropped.
    pub fn publish(&self, records: impl IntoIterator<Item = Outgoing>, now: HostTime) -> usize {
        let mut inner = self.inner();
        let (partitions, mut lost, mut homeless) = (inner.partitions, 0, 0);
        for record in records {
            let Some(topic) = inner.topics.get_mut(record.topic.as_str()) else {
                homeless += 1;
                continue;
            };
            let by_key = partition_of(record.key.as_deref().unwrap_or_default(), partitions);
            let number = record.partition.filter(|number| (0..partitions).contains(number)).unwrap_or(by_key);
            let index = usize::try_from(number).unwrap_or(0);
            let partition = &mut topic.partitions[index];
            let headers = record.headers.into_iter().map(|(name, value)| (name, value.map(Bytes::from))).collect();
            partition.records.push_back(Record {
                topic: topic.name.clone(),
                partition: number,
                offset: partition.end(),
                stamp: Stamp::Bus(BusTime(now.0)),
                key: record.key.map(Bytes::from),
                headers,
                payload: record.payload.map(Bytes::from),
            });
            if partition.records.len() > MAX_RECORDS {
                partition.records.pop_front();
                partition.first += 1;
                let first = partition.first;
                lost += u64::from(topic.acknowledged.values().any(|offsets| offsets[index] < first));
            }
        }
        inner.lost += lost;
        homeless
    }

    /// A reader of `topics` under a name, which begins at what that name has not acknowledged; a new name at the
    /// beginning. Topics that are not there are made.
    #[must_use]
    pub fn reader(&self, name: &str, topics: &[&str]) -> Reader {
        let mut positions = Vec::new();
        for &topic in topics {
            self.make(topic);
            let mut inner = self.inner();
            let count = usize::try_from(inner.partitions).unwrap_or(1);
            let Some(topic) = inner.topics.get_mut(topic) else { continue };
            let acknowledged = topic.acknowledged.entry(name.to_owned()).or_insert_with(|| vec![0; count]);
            positions.extend(acknowledged.iter().enumerate().map(|(partition, &next)| Position {
                topic: topic.name.clone(),
                partition,
                next,
                held: false,
            }));
        }
        Reader { bus: self.clone(), name: name.to_owned(), positions }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads topics, each partition in its order.
#[derive(Debug)]
pub struct Reader {
    bus: Embedded,
    name: String,
    positions: Vec<Position>,
}

#[derive(Debug)]
struct Position {
    topic: Arc<str>,
    partition: usize,
    next: u64,
    held: bool,
}

impl Reader {
    /// Takes what came, at most `most` records of each partition.
    pub fn take(&mut self, most: usize) -> Vec<Record> {
        let inner = self.bus.inner();
        let mut taken = Vec::new();
        for position in self.positions.iter_mut().filter(|position| !position.held) {
            let Some(topic) = inner.topics.get(&position.topic) else { continue };
            let partition = &topic.partitions[position.partition];
            position.next = position.next.max(partition.first);
            let skip = usize::try_from(position.next - partition.first).unwrap_or(usize::MAX);
            let before = taken.len();
            taken.extend(partition.records.iter().skip(skip).take(most).cloned());
            position.next += (taken.len() - before) as u64;
        }
        taken
    }

    /// Nothing that was taken so far is given to a reader of this name again.
    pub fn acknowledge(&mut self) {
        let mut inner = self.bus.inner();
        for position in &self.positions {
            let topic = inner.topics.get_mut(&position.topic);
            if let Some(offsets) = topic.and_then(|topic| topic.acknowledged.get_mut(&self.name)) {
                offsets[position.partition] = position.next;
            }
        }
    }

    /// Goes back to what is not acknowledged.
    pub fn rewind(&mut self) {
        let inner = self.bus.inner();
        for position in &mut self.positions {
            let acknowledged = inner.topics.get(&position.topic).and_then(|topic| topic.acknowledged.get(&self.name));
            position.next = acknowledged.map_or(0, |offsets| offsets[position.partition]);
        }
    }

    /// Whether all that the bus has of a topic's partition was taken.
    #[must_use]
    pub fn is_at_end(&self, topic: &str, partition: i32) -> bool {
        let inner = self.bus.inner();
        let at = self.position(topic, partition);
        at.is_some_and(|at| {
            inner.topics.get(topic).is_some_and(|topic| topic.partitions[at.partition].end() <= at.next)
        })
    }

    /// Takes nothing of a topic's partition until it is let go again.
    pub fn hold(&mut self, topic: &str, partition: i32, held: bool) {
        let partition = usize::try_from(partition).unwrap_or(usize::MAX);
        for position in &mut self.positions {
            if &*position.topic == topic && position.partition == partition {
                position.held = held;
            }
        }
    }

    fn position(&self, topic: &str, partition: i32) -> Option<&Position> {
        let partition = usize::try_from(partition).ok()?;
        self.positions.iter().find(|position| position.partition == partition && &*position.topic == topic)
    }
}

#[cfg(test)]
mod tests {
    use super::Embedded;
    use crate::{bus::Outgoing, model::HostTime};

    fn record(topic: &str, key: &str) -> Outgoing {
        Outgoing::keyed(topic, key, b"x".to_vec())
    }

    #[test]
    fn what_is_not_acknowledged_comes_again_and_what_is_does_not() {
        let bus = Embedded::new(2);
        bus.make("a");
        assert_eq!(bus.publish([record("a", "1"), record("a", "2"), record("nowhere", "3")], HostTime(1)), 1);
        let mut reader = bus.reader("me", &["a"]);
        assert_eq!(reader.take(10).len(), 2);
        let mut again = bus.reader("me", &["a"]);
        assert_eq!(again.take(10).len(), 2, "the first reader did not acknowledge");
        assert!((0..2).all(|partition| again.is_at_end("a", partition)));
        again.acknowledge();
        bus.publish([record("a", "1")], HostTime(2));
        let at_end: Vec<bool> = (0..2).map(|partition| again.is_at_end("a", partition)).collect();
        assert_eq!(at_end.iter().filter(|at_end| **at_end).count(), 1);
        assert_eq!(bus.reader("me", &["a"]).take(10).len(), 1);
        assert_eq!(bus.reader("another", &["a"]).take(10).len(), 3);
    }
}
