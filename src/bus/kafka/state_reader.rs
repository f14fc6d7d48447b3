//! Reading state partitions from their beginning to their end, for a restore.
//!
//! The end is where the partition ends for a reader who sees open transactions. What lies before it may still be
//! undecided: the reading waits until it is, and takes only what was committed.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use rdkafka::{Message, Offset, TopicPartitionList, consumer::Consumer, error::KafkaError};

use super::{
    connection::{Client, Connection},
    ends::offsets,
};
use crate::{bus::TopicPartition, journal::restore::Collected};

/// Time between two looks at whether open transactions were decided.
const LOOK: Duration = Duration::from_millis(20);

/// Time for one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the state may take to come without a single record, once all transactions are decided.
const STALL: Duration = Duration::from_secs(30);

/// Why it was not read on.
const STOPPED: &str = "the agent was told to stop";

/// Why state could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The client failed.
    Client(KafkaError),
    /// It did not come to its end in time.
    Stalled(String),
    /// Transactions in these partitions outlived every timeout. With the end of each.
    Open(Vec<(TopicPartition, u64)>),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(error) => write!(f, "the state cannot be read: {error}"),
            Self::Stalled(what) => write!(f, "the state cannot be read: {what}"),
            Self::Open(open) => {
                let open: Vec<String> = open.iter().map(|(at, _)| at.to_string()).collect();
                write!(f, "the state cannot be read: a transaction stays open on {}", open.join(", "))
            }
        }
    }
}

impl std::error::Error for ReadError {}

impl From<KafkaError> for ReadError {
    fn from(error: KafkaError) -> Self {
        Self::Client(error)
    }
}

/// Reads the state of each of `partitions` of `topic` as it stands now. `goes_on` is asked all the time, and ends it with
/// `false`.
///
/// # Errors
/// [`ReadError`]; nothing was changed then.
pub fn read_state(
    connection: &Connection,
    topic: &str,
    partitions: &[i32],
    goes_on: &dyn Fn() -> bool,
) -> Result<HashMap<i32, Collected>, ReadError> {
    let watcher = connection.watcher()?;
    let reader = connection.state_reader()?;
    let watched: Vec<TopicPartition> =
        partitions.iter().map(|&partition| TopicPartition { topic: topic.into(), partition }).collect();
    let ends = offsets(&watcher, &watched, Offset::End, PATIENCE)?;
    if let Some(missing) = watched.iter().find(|at| !ends.contains_key(at)) {
        return Err(ReadError::Stalled(format!("{missing} does not tell its end")));
    }
    let patience = Duration::from_millis(connection.transaction_timeout.0) + PATIENCE;
    await_decided(&reader, &ends, patience, goes_on)?;
    collect(&reader, topic, partitions, goes_on)
}

/// Waits until every transaction before the ends is committed or aborted. Those of a crashed predecessor were ended when
/// this agent's own producer was made; another's end with their timeout.
fn await_decided(
    reader: &Client,
    ends: &HashMap<TopicPartition, u64>,
    patience: Duration,
    goes_on: &dyn Fn() -> bool,
) -> Result<(), ReadError> {
    let begun = Instant::now();
    let mut open: Vec<TopicPartition> = ends.keys().cloned().collect();
    loop {
        let stable = offsets(reader, &open, Offset::End, PATIENCE)?;
        open.retain(|at| stable.get(at).is_none_or(|stable| *stable < ends[at]));
        if open.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > patience {
            open.sort();
            return Err(ReadError::Open(open.into_iter().map(|at| (at.clone(), ends[&at])).collect()));
        }
        if !goes_on() {
            return Err(ReadError::Stalled(STOPPED.to_owned()));
        }
        // Nothing is assigned yet: this only waits.
        reader.poll(LOOK);
    }
}

fn collect(
    reader: &Client,
    topic: &str,
    partitions: &[i32],
    goes_on: &dyn Fn() -> bool,
) -> Result<HashMap<i32, Collected>, ReadError> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for &partition in partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    reader.assign(&list)?;
    let mut collected: HashMap<i32, Collected> =
        partitions.iter().map(|&partition| (partition, Collected::default())).collect();
    let mut unread: BTreeSet<i32> = partitions.iter().copied().collect();
    let mut moved = Instant::now();
    while !unread.is_empty() {
        if !goes_on() {
            return Err(ReadError::Stalled(STOPPED.to_owned()));
        }
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                moved = Instant::now();
                if let (Some(collected), Some(key)) = (collected.get_mut(&message.partition()), message.key()) {
                    collected.record(key, message.payload());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                moved = Instant::now();
                unread.remove(&partition);
            }
            Some(Err(error)) => tracing::debug!(%error, "reading state"),
            None => {}
        }
        if moved.elapsed() > STALL {
            return Err(ReadError::Stalled(format!("{topic} gives nothing for {} s", STALL.as_secs())));
        }
    }
    reader.unassign()?;
    Ok(collected)
}
