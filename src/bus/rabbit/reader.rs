//! Reads the queues: one channel and one task each, over one connection, with a supervisor that connects again.

use std::{
    future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use lapin::{
    Channel, Connection, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    protocol::AMQPSoftError,
    types::{AMQPValue, FieldTable},
};
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;

use super::{
    Setup,
    inbox::{Inbox, Wanted},
    message::{record, stream_offset},
    source::{Kind, Source},
    topology::{self, Trouble, answer, channel, look},
};
use crate::model::HostTime;

/// Reads over one connection until something goes wrong, or `over`: then nothing did. `serving` is called once all queues
/// are read.
pub(super) async fn read(
    setup: &Setup,
    inbox: &Arc<Inbox>,
    serving: impl FnOnce(),
    over: impl Future<Output = ()>,
) -> Option<Trouble> {
    tokio::pin!(over);
    let address = setup.address.named("reads");
    let connection = tokio::select! {
        connected = address.connect() => match connected {
            Ok(connection) => connection,
            Err(why) => return Some(Trouble::Failed(why)),
        },
        () = &mut over => return None,
    };
    let mut readers = JoinSet::new();
    let work = async {
        open(setup, &connection, inbox, &mut readers).await?;
        serving();
        match readers.join_next().await {
            Some(Ok(trouble)) => Err(trouble),
            Some(Err(error)) => Err(Trouble::Failed(error.to_string())),
            None => Err(Trouble::Failed("there is nothing to read".to_owned())),
        }
    };
    let trouble: Option<Result<(), Trouble>> = tokio::select! {
        result = work => Some(result),
        () = &mut over => None,
    };
    if trouble.is_none() {
        // What is safe is acknowledged, so that little comes again.
        let settled = async {
            while !inbox.is_settled() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(super::FAREWELL, settled).await;
    }
    readers.shutdown().await;
    inbox.close();
    super::close(&connection).await;
    trouble?.err()
}

async fn open(
    setup: &Setup,
    connection: &Connection,
    inbox: &Arc<Inbox>,
    readers: &mut JoinSet<Trouble>,
) -> Result<(), Trouble> {
    if !setup.only_looks {
        topology::make_exchange(connection, &setup.exchange, &setup.dead_letters).await?;
    }
    // All of them, or none: who reads half of the inputs decides wrongly.
    let mut ready = Vec::with_capacity(setup.sources.len());
    for source in &setup.sources {
        ready.push(topology::take(connection, &setup.exchange, source, setup.only_looks).await?);
    }
    for (n, source) in setup.sources.iter().enumerate() {
        let (channel, consumer) = consume(connection, source, inbox.open(n, ready[n]), setup.prefetch).await?;
        let reader = Reader { n, source: source.clone(), inbox: inbox.clone(), channel, now: setup.now };
        readers.spawn(reader.run(consumer));
    }
    Ok(())
}

/// Begins to consume: exclusively where the queue can do that, so that nobody else joins.
async fn consume(
    connection: &Connection,
    source: &Source,
    next: Option<u64>,
    prefetch: u16,
) -> Result<(Channel, Consumer), Trouble> {
    let mut arguments = FieldTable::default();
    if let Some(from_beginning) = source.from_beginning() {
        let from = match (next.and_then(|next| i64::try_from(next).ok()), from_beginning) {
            (Some(next), _) => AMQPValue::LongLongInt(next),
            (None, true) => AMQPValue::LongString("first".into()),
            (None, false) => AMQPValue::LongString("next".into()),
        };
        arguments.insert("x-stream-offset".into(), from);
    }
    let what = format!("consuming queue {}", source.queue);
    // Every agent reads what all tell.
    let attempts: &[bool] = if source.kind == Kind::Told { &[false] } else { &[true, false] };
    for &exclusive in attempts {
        let channel = channel(connection).await?;
        answer(&what, channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let options = BasicConsumeOptions { exclusive, ..BasicConsumeOptions::default() };
        let consumer = channel.basic_consume(source.queue.as_str().into(), "".into(), options, arguments.clone());
        match answer(&what, consumer).await {
            Ok(consumer) => return Ok((channel, consumer)),
            // A classic queue with a single active consumer takes none that is exclusive. Nobody consumed it a moment ago.
            Err(refused) if exclusive && refused.is(&AMQPSoftError::ACCESSREFUSED) => {}
            Err(refused) => return Err(refused.into()),
        }
    }
    Err(Trouble::Taken(format!("standing by: queue {} is consumed exclusively by something else", source.queue)))
}

struct Reader {
    n: usize,
    source: Source,
    inbox: Arc<Inbox>,
    channel: Channel,
    now: fn() -> HostTime,
}

/// A look under way.
type Look = Pin<Box<dyn Future<Output = Result<(u32, u32), topology::Refused>> + Send>>;

impl Reader {
    async fn run(self, mut consumer: Consumer) -> Trouble {
        let mut looking: Option<(Instant, Look)> = None;
        let mut expected = None;
        loop {
            let Wanted { acknowledge, look: wanted } = self.inbox.wanted(self.n);
            if let Some(tag) = acknowledge {
                let options = BasicAckOptions { multiple: true };
                if let Err(refused) = answer("an acknowledgement", self.channel.basic_ack(tag, options)).await {
                    return refused.into();
                }
            }
            let pause = match wanted.filter(|_| looking.is_none()) {
                Some(pause) if pause.is_zero() => {
                    looking = Some((Instant::now(), self.look()));
                    None
                }
                pause => pause,
            };
            tokio::select! {
                // What came counts before the answer to a look that was sent after it.
                biased;
                delivery = consumer.next() => match delivery {
                    Some(Ok(delivery)) => self.came(delivery, &mut expected),
                    Some(Err(error)) => return Trouble::Failed(format!("queue {}: {error}", self.source.queue)),
                    None => return Trouble::Failed(format!("queue {} is gone, or not to be consumed any more", self.source.queue)),
                },
                looked = looked(&mut looking) => match looked {
                    Ok((begun, ready)) => {
                        looking = None;
                        self.inbox.looked(self.n, ready, begun);
                    }
                    Err(refused) => return refused.into(),
                },
                () = self.inbox.changed(self.n) => {}
                () = rest(pause) => {}
            }
        }
    }

    fn look(&self) -> Look {
        let (channel, queue) = (self.channel.clone(), self.source.queue.clone());
        Box::pin(async move { look(&channel, &queue).await })
    }

    fn came(&self, delivery: lapin::message::Delivery, expected: &mut Option<u64>) {
        let (tag, redelivered) = (delivery.delivery_tag, delivery.redelivered);
        let offset = if self.source.is_stream() { stream_offset(&delivery) } else { None };
        if let Some(offset) = offset {
            // Chunks may begin before the place that was asked for.
            if expected.is_some_and(|expected| offset < expected) {
                return;
            }
            *expected = Some(offset + 1);
        }
        let (record, identity) = record(&self.source, delivery, (self.now)());
        self.inbox.push(self.n, record, identity, redelivered, tag, *expected);
    }
}

async fn looked(looking: &mut Option<(Instant, Look)>) -> Result<(Instant, u32), topology::Refused> {
    match looking {
        Some((begun, look)) => look.await.map(|(ready, _)| (*begun, ready)),
        None => future::pending().await,
    }
}

async fn rest(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => future::pending().await,
    }
}
