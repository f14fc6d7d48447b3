//! Reading the inputs: records one by one, and the changes of assignment between them.
//!
//! The client's own handling of a rebalance is switched off: it is handed out as [`Polled::Assigned`] and
//! [`Polled::Revoked`] and takes effect when the worker calls [`Input::assign`] or [`Input::release`]. Until then the
//! group waits, so that what a worker still has to commit is committed while it still owns its partitions. (A broker
//! fences member and generation, never who owns a partition.)

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    Message, Timestamp, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
};

use super::{
    callbacks::{Context, Event},
    connection::Connection,
};
use crate::{
    bus::{Header, Record, Stamp, TopicPartition},
    model::BusTime,
};

/// How long the coordinator may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a look at the inputs brought.
#[derive(Debug)]
pub enum Polled {
    /// Nothing within the time given.
    Nothing,
    /// A record.
    Record(Record),
    /// These partitions are ours: answer with [`Input::assign`].
    Assigned(Vec<TopicPartition>),
    /// All partitions are taken away: finish, then answer with [`Input::release`].
    Revoked,
    /// Reading cannot go on with this client.
    Fatal {
        /// Another live member bears the same name.
        fenced: bool,
        /// What the client says.
        why: String,
    },
}

/// A committed offset and the text committed with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read; `None`: nothing was ever committed.
    pub offset: Option<u64>,
    /// What the agent wrote beside it.
    pub metadata: String,
}

/// The inputs of one worker.
pub struct Input {
    consumer: BaseConsumer<Context>,
    names: HashMap<String, Arc<str>>,
    /// The topic of the last record: most have the one before's.
    last: RefCell<Option<Arc<str>>>,
}

impl Input {
    /// Connects and joins the group for `topics`, as the worker of this number.
    ///
    /// # Errors
    /// If the client cannot be made or a name cannot be subscribed to.
    pub fn new(connection: &Connection, worker: usize, topics: &[Arc<str>]) -> KafkaResult<Self> {
        let consumer = BaseConsumer::from_config_and_context(&connection.input(worker), Context::default())?;
        let names: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
        consumer.subscribe(&names)?;
        Ok(Self { consumer, names: by_name(topics), last: RefCell::default() })
    }

    /// Connects for reading `topics` beside the agent: no group is joined, and nothing is read before [`Input::assign`].
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn tap(connection: &Connection, topics: &[Arc<str>]) -> KafkaResult<Self> {
        let consumer = BaseConsumer::from_config_and_context(&connection.tap(), Context::default())?;
        Ok(Self { consumer, names: by_name(topics), last: RefCell::default() })
    }

    /// Reads these topics from now on, and no others: the group shares out anew.
    ///
    /// # Errors
    /// What the client says.
    pub fn read_instead(&mut self, topics: &[Arc<str>]) -> KafkaResult<()> {
        self.names = by_name(topics);
        self.last.take();
        self.rejoin()
    }

    /// Makes the group share out the partitions anew.
    ///
    /// # Errors
    /// What the client says.
    pub fn rejoin(&self) -> KafkaResult<()> {
        let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
        self.consumer.unsubscribe();
        self.consumer.subscribe(&names)
    }

    /// Looks for what comes next, for at most `wait`.
    pub fn poll(&self, wait: Duration) -> Polled {
        if let Some(event) = self.take_event() {
            return event;
        }
        match self.consumer.poll(wait) {
            None => self.take_event().unwrap_or(Polled::Nothing),
            Some(Ok(message)) => {
                self.consumer.context().polled();
                Polled::Record(self.record(&message))
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => self.fatal(code),
            // Brokers that go away and come back: the client goes on by itself.
            Some(Err(error)) => {
                self.trouble(&error);
                Polled::Nothing
            }
        }
    }

    /// Says what keeps the client from reading, each thing once until it reads again.
    fn trouble(&self, error: &KafkaError) {
        let text = error.to_string();
        let context = self.consumer.context();
        context.troubled.store(true, Ordering::Relaxed);
        if context.lock().troubles.insert(text.clone()) {
            tracing::warn!(error = text, "reading; the client goes on by itself");
        }
    }

    fn fatal(&self, code: RDKafkaErrorCode) -> Polled {
        let (code, why) = self.consumer.client().fatal_error().unwrap_or((code, code.to_string()));
        Polled::Fatal { fenced: code == RDKafkaErrorCode::FencedInstanceId, why }
    }

    fn take_event(&self) -> Option<Polled> {
        let context = self.consumer.context();
        if !context.eventful.swap(false, Ordering::AcqRel) {
            return None;
        }
        let mut state = context.lock();
        let event = state.events.pop_front()?;
        context.eventful.store(!state.events.is_empty(), Ordering::Release);
        drop(state);
        Some(match event {
            Event::Assigned(partitions) => Polled::Assigned(partitions.iter().map(|at| self.named(at)).collect()),
            Event::Revoked => Polled::Revoked,
        })
    }

    fn named(&self, at: &(String, i32)) -> TopicPartition {
        TopicPartition { topic: self.name(&at.0), partition: at.1 }
    }

    fn name(&self, topic: &str) -> Arc<str> {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some(name) if **name == *topic => name.clone(),
            _ => last.insert(self.names.get(topic).cloned().unwrap_or_else(|| topic.into())).clone(),
        }
    }

    fn record(&self, message: &BorrowedMessage<'_>) -> Record {
        let stamp = match message.timestamp() {
            Timestamp::CreateTime(at) => Stamp::Sender(BusTime(at)),
            Timestamp::LogAppendTime(at) => Stamp::Bus(BusTime(at)),
            Timestamp::NotAvailable => Stamp::Missing,
        };
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let owned = |header: rdkafka::message::Header<'_, &[u8]>| -> Header {
                (header.key.to_owned(), header.value.map(Bytes::copy_from_slice))
            };
            headers.iter().map(owned).collect()
        });
        Record {
            topic: self.name(message.topic()),
            partition: message.partition(),
            offset: u64::try_from(message.offset()).unwrap_or(0),
            stamp,
            key: message.key().map(Bytes::copy_from_slice),
            headers,
            payload: message.payload().map(Bytes::copy_from_slice),
        }
    }

    /// Begins reading: answers [`Polled::Assigned`], or starts again at other offsets after a failed commit.
    ///
    /// # Errors
    /// What the client says.
    pub fn assign(&self, offsets: &[(TopicPartition, u64)]) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (at, offset) in offsets {
            list.add_partition_offset(&at.topic, at.partition, raw(*offset))?;
        }
        self.consumer.context().forget();
        self.consumer.assign(&list)
    }

    /// Goes back to earlier offsets in partitions that are being read, after a commit that failed. If that cannot be
    /// done (the group may have moved on meanwhile), the group is asked to share out anew.
    ///
    /// # Errors
    /// What the client says.
    pub fn rewind(&self, offsets: &[(TopicPartition, u64)]) -> KafkaResult<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (at, offset) in offsets {
            list.add_partition_offset(&at.topic, at.partition, raw(*offset))?;
        }
        self.consumer.resume(&list)?;
        let sought = self.consumer.seek_partitions(list, PATIENCE);
        self.consumer.context().forget();
        let sought = sought.and_then(|list| list.elements().iter().try_for_each(|element| element.error()));
        sought.or_else(|error| {
            tracing::warn!(%error, "going back to the last commit");
            self.rejoin()
        })
    }

    /// Stops reading: answers [`Polled::Revoked`].
    ///
    /// # Errors
    /// What the client says.
    pub fn release(&self) -> KafkaResult<()> {
        self.consumer.context().forget();
        self.consumer.unassign()
    }

    /// What is committed for `partitions`. Open transactions on the offsets are waited for.
    ///
    /// # Errors
    /// What the coordinator says.
    pub fn committed(&self, partitions: &[TopicPartition]) -> KafkaResult<HashMap<TopicPartition, Committed>> {
        committed(&self.consumer, partitions)
    }

    /// Up to where a partition was handed out, as the client tells it now and then: every record below was returned by
    /// [`Input::poll`]. Transaction markers take offsets but are no records, so this may be more than the last record's
    /// offset plus one.
    #[must_use]
    pub fn position(&self, at: &TopicPartition) -> Option<u64> {
        self.consumer.context().position(&at.topic, at.partition)
    }

    /// Stops or goes on fetching a partition.
    ///
    /// # Errors
    /// What the client says.
    pub fn pause(&self, at: &TopicPartition, pause: bool) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&at.topic, at.partition);
        if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) }
    }

    /// Membership as it is now. Ask at each commit: it moves with the group.
    #[must_use]
    pub fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // Dropping the client revokes what is assigned; nobody will answer that any more.
        self.consumer.context().closing.store(true, Ordering::Release);
    }
}

fn by_name(topics: &[Arc<str>]) -> HashMap<String, Arc<str>> {
    topics.iter().map(|name| (name.to_string(), name.clone())).collect()
}

/// What is committed for `partitions` in the group of `client`.
pub(super) fn committed<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[TopicPartition],
) -> KafkaResult<HashMap<TopicPartition, Committed>> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition(&at.topic, at.partition);
    }
    let list = client.committed_offsets(list, PATIENCE)?;
    let mut committed = HashMap::new();
    for at in partitions {
        let Some(element) = list.find_partition(&at.topic, at.partition) else { continue };
        element.error()?;
        let offset = element.offset().to_raw().and_then(|raw| u64::try_from(raw).ok());
        committed.insert(at.clone(), Committed { offset, metadata: element.metadata().to_owned() });
    }
    Ok(committed)
}

/// An offset as the client wants it.
fn raw(offset: u64) -> rdkafka::Offset {
    rdkafka::Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}
