//! Carrying what is not keyed by chain to where its chain is: inputs of services that key otherwise (`kafka.repartition`),
//! and dead-letter topics (S1.9), whose partitions have nothing to do with those of the chains.
//!
//! One carrier for the whole group reads all partitions of these topics in bus time, and writes each message under its
//! chain's id to a topic that is partitioned as the others are. Records and offsets are one transaction. Whoever works on
//! partition number 0 runs it; its transactional id is the group's, so that a carrier that lost its place without knowing is
//! fenced. A message keeps its bus time and says where it came from.
//!
//! The engines take that topic for read to its end only when the carrier has carried all that its sources had
//! (`bus::kafka::ends`): time must not pass by what is still on its way.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Config,
    takeover::{begins, unknown_offsets},
};
use crate::{
    agent::{Post, dead_letters::dead_letter, host_now, pause::Pause, seal::encode, shard::Start},
    bus::{
        Outgoing, Progress, Record, TopicPartition,
        carried::{carried, correlation},
        kafka::{
            connection::{Connection, MAX_RECORD_BYTES},
            producer::{CAREFUL_RECORD_BYTES, CommitError, Output},
            tap::KafkaSource,
        },
        layout::{Layout, Role},
        merge::Taken,
        partitioner::partition_of,
    },
    journal::low_water::Water,
    tap::{Source as _, Tap},
};

/// Most records of one transaction.
const MOST_RECORDS: usize = 5_000;

/// How long a transaction is gathered.
const GATHER: Duration = Duration::from_millis(10);

/// Waits after a failure: they double up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A carrier on a thread of its own, until it is dropped.
pub(super) struct Carrier {
    stop: Arc<AtomicBool>,
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Carrier {
    /// Starts carrying.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(config: &Config, layout: &Layout, post: &Post) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut carrying = Carrying {
            connection: config.connection.carrier(),
            config: config.clone(),
            layout: layout.clone(),
            post: post.clone(),
            stop: stop.clone(),
            largest: MAX_RECORD_BYTES - 1024,
        };
        thread::Builder::new().name("carrier".into()).spawn(move || carrying.run())?;
        Ok(Self { stop })
    }
}

struct Carrying {
    connection: Connection,
    config: Config,
    layout: Layout,
    post: Post,
    stop: Arc<AtomicBool>,
    largest: usize,
}

/// One partition of a source.
struct Lane {
    at: TopicPartition,
    role: Role,
    /// What is committed.
    committed: Option<Water>,
    /// What the transaction that is being gathered brings it to.
    water: Water,
}

impl Carrying {
    fn run(&mut self) {
        let mut pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
        while !self.is_stopping() {
            let begun = Instant::now();
            if let Err(why) = self.carry() {
                tracing::warn!(why, "carrying messages to their chains' partitions; trying again");
                self.post.metrics.carried.add("failed");
                if begun.elapsed() > LONGEST_PAUSE {
                    pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
                }
                pause.rest_unless(&self.post, || self.stop.load(Ordering::Acquire));
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.post.is_stopping()
    }

    fn carry(&mut self) -> Result<(), String> {
        let (post, stop) = (self.post.clone(), self.stop.clone());
        let waits = Box::new(move || !stop.load(Ordering::Acquire) && !post.is_stopping());
        // It fences whoever carried before: from here on the committed offsets are ours.
        let output = Output::new(&self.connection, &self.connection.group, Duration::MAX, waits);
        let output = output.map_err(|error| error.to_string())?;
        let mut lanes = self.lanes()?;
        let clocks: Vec<_> = lanes.iter().map(|lane| lane.water.clock).collect();
        let starts: Vec<_> = lanes.iter().map(|lane| (lane.at.clone(), lane.water.offset)).collect();
        let source = KafkaSource::open(&self.connection, &starts, host_now).map_err(|error| error.to_string())?;
        let (max_ahead, align_wait) = (self.config.policy.settings.max_ahead, self.config.align_wait);
        let mut tap = Tap::new(source, &clocks, max_ahead, align_wait, host_now);
        tracing::info!(
            topics = self.layout.sources.len(),
            partitions = lanes.len(),
            "carrying messages to their chains' partitions"
        );
        let mut records = Vec::new();
        let mut committed_at = Instant::now();
        while !self.is_stopping() {
            tap.read()?;
            while records.len() < MOST_RECORDS
                && let Some(taken) = tap.take()
            {
                let lane = &mut lanes[taken.lane];
                lane.water =
                    Water { offset: taken.item.offset + 1, clock: Some(taken.at), applied: taken.item.offset + 1 };
                // Whoever replies to others than us does it there, too.
                if lane.role != Role::Results || correlation(&taken.item).is_some() {
                    records.push(self.carried(lane.role, &taken));
                }
            }
            for (n, lane) in lanes.iter_mut().enumerate().filter(|(n, _)| tap.is_idle(*n)) {
                // Markers of transactions take offsets but are no records.
                lane.water.offset = lane.water.offset.max(tap.source().position(n));
                lane.water.applied = lane.water.offset;
            }
            let full = records.len() >= MOST_RECORDS;
            let moved = lanes.iter().any(|lane| lane.committed != Some(lane.water));
            if moved && (full || committed_at.elapsed() >= GATHER) {
                self.commit(&output, tap.source(), &mut records, &mut lanes)?;
                committed_at = Instant::now();
            }
        }
        Ok(())
    }

    fn commit(
        &mut self,
        output: &Output,
        source: &KafkaSource,
        records: &mut Vec<Outgoing>,
        lanes: &mut [Lane],
    ) -> Result<(), String> {
        let progress: Vec<Progress> = lanes
            .iter()
            .filter(|lane| lane.committed != Some(lane.water))
            .map(|lane| Progress { at: lane.at.clone(), offset: lane.water.offset, metadata: encode(lane.water) })
            .collect();
        let group = source.group_metadata().ok_or("the client has no group")?;
        output.commit(records, &progress, &group, "").map_err(|error| self.failed(error))?;
        for record in records.drain(..) {
            self.post.metrics.carried.add(if record.topic == self.config.topics.rekeyed {
                "carried"
            } else {
                "too_large"
            });
        }
        lanes.iter_mut().for_each(|lane| lane.committed = Some(lane.water));
        Ok(())
    }

    fn failed(&mut self, error: CommitError) -> String {
        if error.too_large {
            self.largest = CAREFUL_RECORD_BYTES;
        }
        error.why
    }

    /// A message as it is carried. One that is too large for that goes to the dead letters, as from an input.
    fn carried(&self, role: Role, taken: &Taken<Record>) -> Outgoing {
        let record = &taken.item;
        if let Some(correction) = taken.correction {
            self.post.metrics.corrected(correction, &record.topic);
        }
        let outgoing = carried(&self.config.topics.rekeyed, role, record, taken.at, |chain_id| {
            partition_of(chain_id, self.layout.partitions)
        });
        if outgoing.size() > self.largest {
            let (topic, why) = (&self.config.topics.dead_letters, "too large to be carried to its chain's partition");
            return dead_letter(topic, record, "too_large", why, self.largest);
        }
        outgoing
    }

    /// All partitions of the sources, and where each goes on.
    fn lanes(&self) -> Result<Vec<Lane>, String> {
        let all = self.layout.carried_partitions();
        let committed = self.connection.committed(&all).map_err(unknown_offsets)?;
        let begins = begins(&self.config, &self.layout, &all, &committed)?;
        let role = |at: &TopicPartition| {
            let source = self.layout.sources.iter().find(|source| source.topic == at.topic);
            source.map_or(Role::Envelopes, |source| source.role)
        };
        let lane = |(at, (water, fresh)): (TopicPartition, Start)| Lane {
            role: role(&at),
            at,
            committed: (!fresh).then_some(water),
            water,
        };
        Ok(all.into_iter().zip(begins).map(lane).collect())
    }
}
