//! How far each partition goes on the bus: asked again and again on a thread of its own, so that "read to its end" (S0)
//! always rests on an answer whose age is known.
//!
//! The high watermark counts, not the last stable offset: records of open transactions are on the bus, and time does
//! not pass them by.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer, error::KafkaResult};

use super::{
    TopicPartition,
    connection::{Client, Connection},
};

/// Time between two questions. A fifth of [`FRESH`], so that one lost answer stops nothing.
const PERIOD: Duration = Duration::from_millis(200);

/// Age up to which an answer counts (S0).
pub const FRESH: Duration = Duration::from_secs(1);

/// Time for one answer: what takes longer is too old to use.
const PATIENCE: Duration = Duration::from_millis(900);

/// Ends of partitions, as of when they were asked for.
type Ends = HashMap<TopicPartition, (u64, Instant)>;

/// Asks for the ends of the partitions that it is told to watch.
pub struct Watch {
    ends: Arc<Mutex<Ends>>,
    orders: mpsc::Sender<Vec<TopicPartition>>,
}

impl Watch {
    /// Starts watching nothing. The thread ends when the watch is dropped.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn start(connection: &Connection) -> KafkaResult<Self> {
        let client = connection.watcher()?;
        let ends = Arc::<Mutex<Ends>>::default();
        let (orders, told) = mpsc::channel();
        let shared = ends.clone();
        // A thread that cannot be made is as fatal as a client that cannot.
        thread::Builder::new()
            .name("ends".into())
            .spawn(move || watch(&client, &shared, &told))
            .map_err(|error| rdkafka::error::KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { ends, orders })
    }

    /// Watches these partitions from now on, and no others.
    pub fn watch(&self, partitions: Vec<TopicPartition>) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // It fails only when the thread is gone; then nothing is fresh, and nothing is taken for read to its end.
        let _ = self.orders.send(partitions);
    }

    /// The end of a partition, if it was asked for less than [`FRESH`] ago: one more than its last record's offset.
    #[must_use]
    pub fn end(&self, at: &TopicPartition) -> Option<u64> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(at).filter(|(_, asked)| asked.elapsed() < FRESH).map(|&(end, _)| end)
    }
}

fn watch(client: &Client, ends: &Mutex<Ends>, orders: &mpsc::Receiver<Vec<TopicPartition>>) {
    let mut watched: Vec<TopicPartition> = Vec::new();
    loop {
        let wait = if watched.is_empty() { Duration::from_secs(3600) } else { PERIOD };
        match orders.recv_timeout(wait) {
            Ok(order) => watched = order,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        // Only the newest order counts.
        while let Ok(order) = orders.try_recv() {
            watched = order;
        }
        if watched.is_empty() {
            continue;
        }
        let asked = Instant::now();
        match offsets(client, &watched, Offset::End, PATIENCE) {
            Ok(found) => {
                let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
                ends.extend(found.into_iter().map(|(at, end)| (at, (end, asked))));
            }
            Err(error) => tracing::debug!(%error, "asking for the ends of partitions"),
        }
    }
}

/// Asks for the first ([`Offset::Beginning`]) or the next ([`Offset::End`]) offset of each partition. One that cannot be
/// told is left out. With a `read_committed` client, the end is the last stable offset.
///
/// # Errors
/// What the cluster says.
pub fn offsets(
    client: &Client,
    partitions: &[TopicPartition],
    which: Offset,
    patience: Duration,
) -> KafkaResult<HashMap<TopicPartition, u64>> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition_offset(&at.topic, at.partition, which)?;
    }
    let list = client.offsets_for_times(list, patience)?;
    let mut found = HashMap::new();
    for at in partitions {
        let element = list.find_partition(&at.topic, at.partition).filter(|element| element.error().is_ok());
        let offset = element.and_then(|element| element.offset().to_raw()).and_then(|raw| u64::try_from(raw).ok());
        found.extend(offset.map(|offset| (at.clone(), offset)));
    }
    Ok(found)
}
