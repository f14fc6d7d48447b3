//! The least that could be done instead: a consumer that only polls and decodes, and a loop that consumes and produces in
//! transactions.

use std::time::{Duration, Instant};

use countermand::wire::{WireLimits, decode_envelope, message};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::{
    load::{PARTITIONS, config},
    process::cpu,
    standard::fails,
};

pub fn run(what: &str, args: &[String]) {
    match (what, args) {
        ("--bare-consume", [broker, topic, messages]) => consume(broker, topic, messages.parse().expect("a number")),
        ("--bare-loop", [broker, topic, out]) => transact(broker, topic, out),
        _ => panic!("unknown {what} {args:?}"),
    }
}

fn consumer(broker: &str, topic: &str) -> BaseConsumer {
    let mut config = config(broker);
    // As the agent's own input is set.
    config
        .set("group.id", format!("bare-{}", std::process::id()))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.wait.max.ms", "100");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&list).expect("an assignment");
    consumer
}

/// Polls and decodes so many messages, and prints the CPU seconds and the seconds that it took.
fn consume(broker: &str, topic: &str, messages: u64) {
    let consumer = consumer(broker, topic);
    let limits = WireLimits::default();
    let (mut read, mut begun) = (0, None);
    while read < messages {
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) else { continue };
        begun.get_or_insert_with(Instant::now);
        let envelope = decode_envelope(record.payload().unwrap_or_default(), &limits).expect("an envelope");
        std::hint::black_box(message(&envelope, &limits).expect("a message"));
        read += 1;
    }
    println!("{} {}", cpu(std::process::id()), begun.expect("a message").elapsed().as_secs_f64());
}

/// For each message with which a chain fails, one record under the chain's id, in transactions with the offsets; for ever.
fn transact(broker: &str, topic: &str, out: &str) {
    let consumer = consumer(broker, topic);
    let mut config = config(broker);
    config.set("transactional.id", format!("bare-{}", std::process::id())).set("linger.ms", "0");
    config.set("retry.backoff.ms", "1").set("retry.backoff.max.ms", "1");
    let producer: BaseProducer = config.create().expect("a producer");
    let patience = Duration::from_secs(30);
    producer.init_transactions(patience).expect("a transactional producer");
    println!("ready");
    let limits = WireLimits::default();
    loop {
        let mut offsets = TopicPartitionList::new();
        let mut keys: Vec<String> = Vec::new();
        let mut wait = Duration::from_millis(50);
        while let Some(Ok(record)) = consumer.poll(wait) {
            let envelope = decode_envelope(record.payload().unwrap_or_default(), &limits).expect("an envelope");
            if fails(&envelope) {
                keys.push(envelope.chain_id);
            }
            let next = Offset::Offset(record.offset() + 1);
            match offsets.find_partition(topic, record.partition()) {
                Some(mut known) => known.set_offset(next).expect("an offset"),
                None => offsets.add_partition_offset(topic, record.partition(), next).expect("an offset"),
            }
            wait = Duration::ZERO;
        }
        if keys.is_empty() {
            continue;
        }
        producer.begin_transaction().expect("a transaction");
        for key in &keys {
            producer
                .send(BaseRecord::to(out).key(key).payload(&b"undo"[..]))
                .map_err(|(error, _)| error)
                .expect("sent");
        }
        let group = consumer.group_metadata().expect("a group");
        producer.send_offsets_to_transaction(&offsets, &group, patience).expect("offsets");
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::ZERO);
            std::thread::park_timeout(Duration::from_micros(100));
        }
        producer.commit_transaction(patience).expect("a commit");
    }
}
