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

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, KafkaResult},
};

use super::{
    connection::{Client, Connection},
    consumer::committed,
};
use crate::{bus::TopicPartition, model::HostTime};

/// Time between two questions. A fifth of [`FRESH`], so that one lost answer stops nothing.
const PERIOD: Duration = Duration::from_millis(200);

/// Least time between two questions that are asked out of turn.
const HURRY: Duration = Duration::from_millis(10);

/// Age up to which an answer counts (S0).
const FRESH: Duration = Duration::from_secs(1);

/// How long nothing may be answered before the cluster counts as silent: longer than leaders take to move.
const SILENCE: Duration = Duration::from_secs(10);

/// Time for one answer: what takes longer is too old to use.
const PATIENCE: Duration = Duration::from_millis(900);

/// Where partitions end on the bus: one more than the offset of the last record of each.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    ends: HashMap<TopicPartition, u64>,
    asked: Option<HostTime>,
    /// When they were asked for, or were to be; `None`: nothing is watched.
    since: Option<Instant>,
    carried: bool,
}

impl Ends {
    /// When they were asked for, if that is less than [`FRESH`] ago: what the bus had before that instant is below them.
    #[must_use]
    pub fn as_of(&self) -> Option<HostTime> {
        self.asked.filter(|_| self.since.is_some_and(|since| since.elapsed() < FRESH))
    }

    /// Whether something is watched and nothing was answered for [`SILENCE`]: the cluster is not there, or nobody gets
    /// through to it.
    #[must_use]
    pub fn are_silent(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > SILENCE)
    }

    /// Whether all that was on the bus before they were asked for in topics that are carried (`bus::carried`) was carried,
    /// and so is below the ends.
    #[must_use]
    pub fn are_all_carried(&self) -> bool {
        self.carried
    }

    /// The end of a partition, if it is known.
    #[must_use]
    pub fn of(&self, at: &TopicPartition) -> Option<u64> {
        self.ends.get(at).copied()
    }
}

enum Order {
    /// Watch these from now on.
    Watch(Vec<TopicPartition>),
    /// Ask now.
    Ask,
}

/// Asks for the ends of the partitions that it is told to watch.
pub struct Watch {
    ends: Arc<Mutex<Arc<Ends>>>,
    orders: mpsc::Sender<Order>,
    hurried: Instant,
}

/// What is carried to other partitions: how far, and how far there is to go.
pub struct Carriage {
    sources: Vec<TopicPartition>,
    /// A client of the carrier's group, for its offsets.
    group: Client,
}

impl Watch {
    /// Starts watching nothing. `carriage`: what is carried to the partitions that will be watched. `host` is the host clock. The thread ends when the watch is dropped.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn start(connection: &Connection, carriage: Option<Carriage>, host: fn() -> HostTime) -> KafkaResult<Self> {
        let client = connection.watcher()?;
        let ends = Arc::<Mutex<Arc<Ends>>>::default();
        let (orders, told) = mpsc::channel();
        let shared = ends.clone();
        // A thread that cannot be made is as fatal as a client that cannot.
        thread::Builder::new()
            .name("ends".into())
            .spawn(move || watch(&client, carriage.as_ref(), &shared, &told, host))
            .map_err(|error| rdkafka::error::KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { ends, orders, hurried: Instant::now() })
    }

    /// Watches these partitions from now on, and no others.
    pub fn watch(&self, partitions: Vec<TopicPartition>) {
        let since = (!partitions.is_empty()).then(Instant::now);
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Ends { since, ..Ends::default() });
        // It fails only when the thread is gone; then nothing is fresh, and nothing is taken for read to its end.
        let _ = self.orders.send(Order::Watch(partitions));
    }

    /// Asks out of turn: something waits for the answer.
    pub fn hurry(&mut self) {
        if self.hurried.elapsed() >= HURRY {
            self.hurried = Instant::now();
            let _ = self.orders.send(Order::Ask);
        }
    }

    /// The newest answer.
    #[must_use]
    pub fn ends(&self) -> Arc<Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn watch(
    client: &Client,
    carriage: Option<&Carriage>,
    ends: &Mutex<Arc<Ends>>,
    orders: &mpsc::Receiver<Order>,
    host: fn() -> HostTime,
) {
    let mut watched: Vec<TopicPartition> = Vec::new();
    loop {
        let wait = if watched.is_empty() { Duration::from_secs(3600) } else { PERIOD };
        let mut order = orders.recv_timeout(wait);
        // Of what else was ordered meanwhile only the newest counts.
        while let Ok(given) = order {
            if let Order::Watch(partitions) = given {
                watched = partitions;
            }
            order = orders.try_recv().map_err(|_| mpsc::RecvTimeoutError::Timeout);
        }
        if order.is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected) {
            return;
        }
        if watched.is_empty() {
            continue;
        }
        let (asked, since) = (Some(host()), Some(Instant::now()));
        // First what there is to carry, then what was carried: so what there was is below the ends that are asked for last.
        let carried = carriage.is_none_or(|carriage| carriage.is_done(client));
        let answer = match offsets(client, &watched, Offset::End, PATIENCE) {
            Ok(found) => Ends { ends: found, asked, since, carried },
            Err(error) => {
                tracing::debug!(%error, "asking for the ends of partitions");
                continue;
            }
        };
        *ends.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(answer);
    }
}

impl Carriage {
    /// What the carrier reads, whose connection this is; `None`: nothing is carried.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn of(carrier: &Connection, sources: Vec<TopicPartition>) -> KafkaResult<Option<Self>> {
        if sources.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { sources, group: carrier.state_reader()? }))
    }

    /// Whether all that the sources have by now was carried.
    fn is_done(&self, client: &Client) -> bool {
        let done = || {
            let there = offsets(client, &self.sources, Offset::End, PATIENCE)?;
            let carried = committed(&self.group, &self.sources)?;
            let is_carried =
                |at| there.get(at).zip(carried.get(at)).is_some_and(|(end, done)| done.offset >= Some(*end));
            Ok::<bool, KafkaError>(self.sources.iter().all(is_carried))
        };
        done().unwrap_or_else(|error| {
            tracing::debug!(%error, "asking how far messages were carried");
            false
        })
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
    // The client takes a question about nothing for a mistake.
    if partitions.is_empty() {
        return Ok(HashMap::new());
    }
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

/// Whether the agent's group has committed an offset of one of these partitions.
///
/// # Errors
/// What the cluster says.
pub fn has_committed(connection: &Connection, partitions: &[TopicPartition]) -> KafkaResult<bool> {
    Ok(connection.committed(partitions)?.values().any(|committed| committed.offset.is_some()))
}
