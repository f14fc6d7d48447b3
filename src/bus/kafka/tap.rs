//! Reading Kafka beside the agent: whole partitions, without a group, only what is committed. Nothing is written, and
//! nothing committed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, KafkaResult},
};

use super::{
    connection::Connection,
    consumer::{Input, Polled},
    ends::{Watch, offsets},
    inputs::{beside, inputs},
    topics::TopicError,
};
use crate::{
    bus::{
        Record, TopicPartition,
        carried::UNDELIVERABLE,
        layout::{Lane, Role, Topics},
    },
    model::HostTime,
    tap::Source,
};

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Least time for one question.
const LEAST: Duration = Duration::from_secs(1);

/// Time until partitions that did not answer are asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// The topics to read, each with its number of partitions: inputs by name, dead-letter topics, then results and operations if they are there.
/// Unlike for the agent, the numbers may differ.
///
/// # Errors
/// [`TopicError::NoInput`] if a name or pattern of inputs names nothing, [`TopicError::BadPattern`].
pub fn look(topics: &Topics, there: &[(String, i32)]) -> Result<Vec<(Lane, i32)>, TopicError> {
    let (inputs, letters) = (inputs(topics, there)?, beside(topics, there, |_, _| {})?.dead);
    let own = |name: &String, role| there.iter().find(|(other, _)| other == name).map(|topic| (topic, role));
    let own = [own(&topics.results, Role::Results), own(&topics.operations, Role::Operations)];
    let all = inputs.into_iter().map(|topic| (topic, Role::Envelopes));
    let all = all.chain(letters.into_iter().map(|topic| (topic, UNDELIVERABLE))).chain(own.into_iter().flatten());
    Ok(all.map(|((name, partitions), role)| (Lane { topic: name.as_str().into(), role }, *partitions)).collect())
}

/// The first and the next offset of each partition, in their order. Records of open transactions are below the next.
///
/// # Errors
/// A sentence, if the cluster does not say.
pub fn bounds(connection: &Connection, partitions: &[TopicPartition]) -> Result<Vec<(u64, u64)>, String> {
    let unanswered = |error: KafkaError| format!("Kafka does not say where partitions begin: {error}");
    let client = connection.watcher().map_err(unanswered)?;
    let begun = Instant::now();
    let left = || PATIENCE.saturating_sub(begun.elapsed()).max(LEAST);
    let ask = || {
        let first = offsets(&client, partitions, Offset::Beginning, left()).map_err(unanswered)?;
        let next = offsets(&client, partitions, Offset::End, left()).map_err(unanswered)?;
        let of = |at: &TopicPartition| Some((*first.get(at)?, *next.get(at)?));
        let silent = |at: &TopicPartition| format!("{at} does not say where it begins and ends");
        partitions.iter().map(|at| of(at).ok_or_else(|| silent(at))).collect()
    };
    loop {
        match ask() {
            // A topic is in the metadata a moment before its partitions have leaders that answer.
            Err(_) if begun.elapsed() < PATIENCE => thread::park_timeout(AGAIN),
            told => return told,
        }
    }
}

struct Place {
    at: TopicPartition,
    next: u64,
    held: bool,
}

/// Partitions being read.
pub struct KafkaSource {
    input: Input,
    watch: Watch,
    lanes: Vec<Place>,
    index: HashMap<TopicPartition, usize>,
}

impl KafkaSource {
    /// Begins to read each partition at an offset. `host` is the host clock.
    ///
    /// # Errors
    /// What the client says.
    pub fn open(connection: &Connection, lanes: &[(TopicPartition, u64)], host: fn() -> HostTime) -> KafkaResult<Self> {
        let topics: BTreeSet<Arc<str>> = lanes.iter().map(|(at, _)| at.topic.clone()).collect();
        let input = Input::tap(connection, &topics.into_iter().collect::<Vec<_>>())?;
        let watch = Watch::start(connection, None, host)?;
        watch.watch(lanes.iter().map(|(at, _)| at.clone()).collect());
        input.assign(lanes)?;
        let index = lanes.iter().enumerate().map(|(n, (at, _))| (at.clone(), n)).collect();
        let lanes = lanes.iter().map(|(at, next)| Place { at: at.clone(), next: *next, held: false }).collect();
        Ok(Self { input, watch, lanes, index })
    }

    /// What offsets are committed with, for a group that nobody joins.
    #[must_use]
    pub fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.input.group_metadata()
    }
}

impl Source for KafkaSource {
    fn poll(&mut self, wait: Duration) -> Result<Option<(usize, Record)>, String> {
        match self.input.poll(wait) {
            Polled::Record(record) => {
                let at = TopicPartition { topic: record.topic.clone(), partition: record.partition };
                let Some(&lane) = self.index.get(&at) else { return Ok(None) };
                self.lanes[lane].next = record.offset + 1;
                Ok(Some((lane, record)))
            }
            Polled::Fatal { why, .. } => Err(why),
            // Nobody shares partitions out here.
            Polled::Nothing | Polled::Assigned(_) | Polled::Revoked => Ok(None),
        }
    }

    fn is_at_end(&self, lane: usize) -> bool {
        let ends = self.watch.ends();
        let end = ends.of(&self.lanes[lane].at).filter(|_| ends.as_of().is_some());
        end.is_some_and(|end| self.position(lane) >= end)
    }

    fn position(&self, lane: usize) -> u64 {
        let place = &self.lanes[lane];
        // Of what is held the client's position may lie ahead of what came here.
        let told = if place.held { None } else { self.input.position(&place.at) };
        told.map_or(place.next, |told| told.max(place.next))
    }

    fn answers(&self) -> bool {
        self.watch.ends().as_of().is_some()
    }

    fn hold(&mut self, lane: usize, hold: bool) -> Result<(), String> {
        let place = &mut self.lanes[lane];
        self.input.pause(&place.at, hold).map_err(|error| format!("{}: {error}", place.at))?;
        place.held = hold;
        Ok(())
    }
}
