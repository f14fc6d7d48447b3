//! The embedded bus as the worker and the API need it.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use prost::Message as _;
use xxhash_rust::xxh3::xxh3_128;

use super::{Arrival, Bus, Place};
use crate::{
    agent::{Desk, Sent, host_now, vouch},
    bus::{
        Outgoing, Record,
        embedded::{Embedded, Reader},
        layout::{Layout, Topics},
    },
    model::HostTime,
    trust::{Kind, Trust},
    wire::proto::Operation,
};

/// Records of each partition that are taken at once at most.
const BATCH: usize = 1_000;

/// Time between two looks while nothing comes.
const LOOK: Duration = Duration::from_millis(1);

/// Under which name the agent reads.
const NAME: &str = "countermand";

/// An embedded bus, as the agent sees it.
pub struct EmbeddedBus {
    bus: Embedded,
    reader: Reader,
    confirmed: Vec<u64>,
}

impl EmbeddedBus {
    /// Reads what `layout` names, and makes the topics that the agent writes to.
    #[must_use]
    pub fn new(bus: &Embedded, layout: &Layout, topics: &Topics) -> Self {
        for topic in [&topics.events, &topics.chains, &topics.dead_letters] {
            bus.make(topic);
        }
        let names: Vec<&str> = layout.lanes.iter().map(|lane| &*lane.topic).collect();
        let reader = bus.reader(NAME, &names);
        Self { bus: bus.clone(), reader, confirmed: Vec::new() }
    }
}

impl Bus for EmbeddedBus {
    fn begin(&mut self, _places: &[Place]) -> io::Result<()> {
        self.reader.rewind();
        self.confirmed.clear();
        Ok(())
    }

    fn receive(&mut self, wait: Duration) -> Vec<Arrival> {
        let begun = Instant::now();
        loop {
            let taken = self.reader.take(BATCH);
            if !taken.is_empty() || begun.elapsed() >= wait {
                return taken.into_iter().map(arrival).collect();
            }
            thread::park_timeout(LOOK);
        }
    }

    fn acknowledge(&mut self) {
        self.reader.acknowledge();
    }

    fn publish(&mut self, number: u64, record: &Outgoing, now: HostTime) {
        // What leads nowhere is not planned (S5.15), and topics of this bus are never deleted.
        self.bus.publish([record.clone()], now);
        self.confirmed.push(number);
    }

    fn confirmed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.confirmed)
    }

    fn is_at_end(&self, topic: &str, partition: i32) -> bool {
        self.reader.is_at_end(topic, partition)
    }

    fn hold(&mut self, topic: &str, partition: i32, held: bool) {
        self.reader.hold(topic, partition, held);
    }

    fn leads(&mut self, topic: &str, _anew: bool) -> bool {
        self.bus.has(topic)
    }
}

fn arrival(record: Record) -> Arrival {
    let identity = xxh3_128(record.origin().as_bytes());
    // Whether an earlier agent of this bus had it already is known to the journal alone.
    Arrival { record, identity, again: true, place: None }
}

/// Where operators' requests are handed in: they become records of the operations topic.
pub struct EmbeddedDesk {
    bus: Embedded,
    topic: String,
    trust: Arc<Trust>,
}

impl EmbeddedDesk {
    /// A desk that writes to `topic`, signed as `trust` says (S8.1).
    #[must_use]
    pub fn new(bus: &Embedded, topic: &str, trust: Arc<Trust>) -> Self {
        Self { bus: bus.clone(), topic: topic.to_owned(), trust }
    }
}

impl Desk for EmbeddedDesk {
    fn engines(&self) -> i32 {
        self.bus.partitions()
    }

    fn send<'a>(&'a self, operation: &'a Operation, engine: Option<i32>) -> Sent<'a> {
        let mut record = Outgoing {
            partition: engine,
            ..Outgoing::keyed(&self.topic, &operation.chain_id, operation.encode_to_vec())
        };
        vouch::sign(&self.trust, Kind::Operation, &mut record);
        let homeless = self.bus.publish([record], host_now());
        Box::pin(async move { if homeless == 0 { Ok(()) } else { Err(format!("there is no topic {:?}", self.topic)) } })
    }
}
