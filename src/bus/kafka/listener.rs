//! Reading what agents publish, without a group: what is told to all instances alike.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, KafkaResult},
};

use super::{
    connection::{Client, Connection},
    ends::offsets,
};
use crate::bus::TopicPartition;

/// Time for one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where reading of a partition begins.
#[derive(Debug, Clone)]
pub struct Begin {
    /// The partition.
    pub at: TopicPartition,
    /// Its first record that the cluster still has.
    pub first: u64,
    /// The first that is read.
    pub from: u64,
}

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its topic.
    pub topic: String,
    /// Its partition number.
    pub partition: i32,
    /// Its place there.
    pub offset: u64,
    /// What it says; `None`: nothing.
    pub value: Option<Vec<u8>>,
}

/// Reads topics from near their end, on and on; only what is committed.
pub struct Listener(Client);

impl Listener {
    /// Listens to whole topics, from where `from` says, given a partition's first record and its end. Returns as well
    /// where that is: whatever is written from now on is heard.
    ///
    /// # Errors
    /// If the client cannot be made, or the cluster does not say which partitions there are.
    pub fn new(
        connection: &Connection,
        topics: &[&str],
        from: impl Fn(&TopicPartition, u64, u64) -> u64,
    ) -> KafkaResult<(Self, Vec<Begin>)> {
        let client = connection.listener()?;
        let mut list = TopicPartitionList::new();
        let mut begins = Vec::new();
        for &topic in topics {
            for Begin { at, first, from } in look(&client, topic, &from)? {
                let offset = i64::try_from(from).map_or(Offset::End, Offset::Offset);
                list.add_partition_offset(topic, at.partition, offset)?;
                begins.push(Begin { at, first, from });
            }
        }
        client.assign(&list)?;
        Ok((Self(client), begins))
    }

    /// The next record within `wait`. What troubles the client it overcomes by itself.
    ///
    /// # Errors
    /// What it cannot overcome: listen anew.
    pub fn next(&self, wait: Duration) -> KafkaResult<Option<Heard>> {
        match self.0.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(Heard {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset: u64::try_from(message.offset()).unwrap_or(0),
                value: message.payload().map(<[u8]>::to_vec),
            })),
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => Err(error),
            Some(Err(error)) => {
                tracing::debug!(%error, "listening");
                Ok(None)
            }
        }
    }
}

/// Where reading of a topic's partitions begins.
fn look(client: &Client, topic: &str, from: impl Fn(&TopicPartition, u64, u64) -> u64) -> KafkaResult<Vec<Begin>> {
    let metadata = client.fetch_metadata(Some(topic), PATIENCE)?;
    let known = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let name: Arc<str> = topic.into();
    let all: Vec<TopicPartition> =
        known.map(|known| TopicPartition { topic: name.clone(), partition: known.id() }).collect();
    let missing = || KafkaError::MetadataFetch(rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition);
    if all.is_empty() {
        return Err(missing());
    }
    let ends = offsets(client, &all, Offset::End, PATIENCE)?;
    let firsts = offsets(client, &all, Offset::Beginning, PATIENCE)?;
    let begin = |at: TopicPartition| {
        let (first, end) = firsts.get(&at).copied().zip(ends.get(&at).copied()).ok_or_else(missing)?;
        let from = from(&at, first, end).clamp(first, end.max(first));
        Ok(Begin { at, first, from })
    };
    all.into_iter().map(begin).collect()
}
