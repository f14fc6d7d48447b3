//! `countermand bench produce`: a recording through Kafka.

use std::{path::PathBuf, time::Duration};

use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::{
    bus::kafka::{connection::Connection, send::send, topics::Maker},
    policy::load::KafkaConfig,
    recording::{Body, Entry, Line, Reader},
};

/// Arguments of `bench produce`.
#[derive(Debug, clap::Args)]
pub struct Produce {
    /// Kafka brokers to begin with.
    #[arg(long, value_name = "HOST:PORT[,..]")]
    kafka: String,
    /// Topic for the envelopes; made if it is not there.
    #[arg(long, default_value = "countermand.envelopes")]
    topic: String,
    /// Partitions of that topic if it is made.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    partitions: i32,
    /// The recording. Its bus times become the records' timestamps.
    file: PathBuf,
}

/// Longest wait for what was sent to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends the envelopes of a recording; says what of it is no envelope.
pub fn run(args: &Produce) -> Result<(), String> {
    let connection = connection(args);
    let mut maker = Maker::new(&connection, args.partitions, &[]).map_err(|error| error.to_string())?;
    maker.secure(&args.topic, true, true).map_err(|error| error.to_string())?;
    let mut config = connection.admin();
    config.set("partitioner", "murmur2_random").set("linger.ms", "5");
    let producer: BaseProducer = config.create().map_err(|error| error.to_string())?;
    let (mut sent, mut left) = (0_u64, 0_u64);
    for line in Reader::open(&args.file).map_err(|error| error.to_string())? {
        match line.map_err(|error| error.to_string())? {
            Line::Entry(Entry { at, body: Some(Body::Envelope(envelope)), .. }) => {
                let (key, payload) = (envelope.chain_id.clone(), envelope.encode_to_vec());
                let mut record = BaseRecord::to(&args.topic).key(&key).payload(&payload);
                record.timestamp = at.map(|at| at.0);
                send(&producer, record).map_err(|error| error.to_string())?;
                sent += 1;
            }
            Line::Entry(Entry { body: None, .. }) => {}
            Line::Entry(_) | Line::Bad(_) => left += 1,
        }
    }
    let unsent = await_all(&producer);
    eprintln!("{sent} envelopes sent to {}, {left} lines passed over that are none", args.topic);
    if unsent == 0 { Ok(()) } else { Err(format!("{unsent} were not acknowledged within {} s", PATIENCE.as_secs())) }
}

fn connection(args: &Produce) -> Connection {
    let kafka = KafkaConfig::default();
    Connection {
        properties: Vec::new(),
        brokers: args.kafka.clone(),
        group: kafka.group,
        instance: kafka.instance,
        client_id: "countermand-bench".to_owned(),
        transaction_timeout: kafka.transaction_timeout,
        session_timeout: kafka.session_timeout,
        fetch_wait: kafka.fetch_wait,
        fetch_backoff: kafka.fetch_backoff,
    }
}

/// Waits until all is acknowledged; says how much is not.
fn await_all(producer: &BaseProducer) -> i32 {
    let until = std::time::Instant::now() + PATIENCE;
    while producer.in_flight_count() > 0 && std::time::Instant::now() < until {
        producer.poll(Duration::from_millis(10));
    }
    producer.in_flight_count()
}
