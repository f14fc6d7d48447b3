//! A connection, what is made over it, and what is sent and read.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind, PublisherConfirm,
    message::Delivery,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
        QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::{runtime::Runtime, sync::mpsc, task::JoinHandle};
use tokio_stream::StreamExt as _;

/// The header with the chain of a command, as the agent writes it.
pub const CHAIN: &str = "countermand-chain-id";

/// Publications that are not yet confirmed, at most.
const WINDOW: usize = 2_000;

/// A connection with one channel, on which publications are confirmed.
pub struct Link {
    pub runtime: Runtime,
    pub channel: Channel,
    _connection: Connection,
}

impl Link {
    pub fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (connection, channel) = runtime.block_on(async {
            let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("a connection");
            let channel = connection.create_channel().await.expect("a channel");
            channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
            (connection, channel)
        });
        Self { runtime, channel, _connection: connection }
    }

    /// Makes quorum queues.
    pub fn make_queues(&self, names: &[&str]) {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        for &name in names {
            let made = self.channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments.clone());
            self.runtime.block_on(made).expect("a queue");
        }
    }

    /// Has an exchange give a copy of each message with a key like `key` to each of these queues.
    pub fn bind(&self, exchange: &str, key: &str, queues: &[&str]) {
        self.runtime.block_on(async {
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let made =
                self.channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default());
            made.await.expect("an exchange");
            for &queue in queues {
                let (options, none) = (QueueBindOptions::default(), FieldTable::default());
                let bound = self.channel.queue_bind(queue.into(), exchange.into(), key.into(), options, none);
                bound.await.expect("a binding");
            }
        });
    }

    /// Consumes a queue with so many messages on their way.
    pub fn consume(&self, queue: &str, prefetch: u16) -> Consumer {
        self.runtime.block_on(async {
            self.channel.basic_qos(prefetch, BasicQosOptions::default()).await.expect("a prefetch");
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            self.channel.basic_consume(queue.into(), "".into(), options, none).await.expect("a consumer")
        })
    }

    /// Messages in a queue.
    pub fn length(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let looked = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        self.runtime.block_on(looked).expect("a queue").message_count()
    }
}

/// Publishes a message as services do whose broker stamps nothing; a chain's id stands in its headers where there is one.
pub async fn publish(
    channel: &Channel,
    (exchange, key): (&str, &str),
    payload: &[u8],
    (at, chain): (i64, &str),
) -> PublisherConfirm {
    let mut headers = FieldTable::default();
    headers.insert("timestamp_in_ms".into(), AMQPValue::LongLongInt(at));
    if !chain.is_empty() {
        headers.insert(CHAIN.into(), AMQPValue::LongString(chain.into()));
    }
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    let sent = channel.basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), payload, properties);
    sent.await.expect("a publication")
}

/// Fills an exchange's queues as fast as the broker takes it.
pub fn fill(link: &Link, exchange: &str, messages: impl Iterator<Item = (Vec<u8>, i64)>) -> u64 {
    link.runtime.block_on(async {
        let (mut open, mut count) = (VecDeque::new(), 0);
        for (payload, at) in messages {
            open.push_back(publish(&link.channel, (exchange, "in"), &payload, (at, "")).await);
            count += 1;
            if open.len() >= WINDOW
                && let Some(first) = open.pop_front()
            {
                first.await.expect("a confirm");
            }
        }
        for confirm in open {
            confirm.await.expect("a confirm");
        }
        count
    })
}

/// When numbered publications were confirmed.
pub struct Confirmed {
    told: mpsc::UnboundedSender<(Option<usize>, PublisherConfirm)>,
    done: JoinHandle<HashMap<usize, Instant>>,
}

impl Confirmed {
    pub fn begin(link: &Link) -> Self {
        let (told, mut heard) = mpsc::unbounded_channel::<(Option<usize>, PublisherConfirm)>();
        let done = link.runtime.spawn(async move {
            let mut at = HashMap::new();
            while let Some((number, confirm)) = heard.recv().await {
                confirm.await.expect("a confirm");
                if let Some(number) = number {
                    at.insert(number, Instant::now());
                }
            }
            at
        });
        Self { told, done }
    }

    pub fn await_one(&self, number: Option<usize>, confirm: PublisherConfirm) {
        self.told.send((number, confirm)).expect("somebody listens");
    }

    /// When each was, once all are.
    pub fn finish(self, link: &Link) -> HashMap<usize, Instant> {
        drop(self.told);
        link.runtime.block_on(self.done).expect("confirms")
    }
}

/// The chain that stands in a message's headers.
fn chain_of(delivery: &Delivery) -> Option<String> {
    match delivery.properties.headers().as_ref()?.inner().get(CHAIN)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Chains of what is read until a time, with the time at which each was first read.
pub fn read_chains(link: &Link, mut consumer: Consumer, until: Instant) -> HashMap<String, Instant> {
    link.runtime.block_on(async {
        let mut read = HashMap::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return read;
            }
            if let Ok(Some(Ok(delivery))) = tokio::time::timeout(left, consumer.next()).await {
                let at = Instant::now();
                read.extend(chain_of(&delivery).filter(|chain| !read.contains_key(chain)).map(|chain| (chain, at)));
                delivery.acker.ack(lapin::options::BasicAckOptions::default()).await.expect("an acknowledgement");
            }
        }
    })
}
