//! Reading what agents publish, without a group: what is told to all instances alike.

use std::{collections::HashMap, time::Duration};

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

/// Reads topics from near their end, on and on; only what is committed.
pub struct Listener(Client);

impl Listener {
    /// Listens to whole topics, from this many records before the end of each partition.
    ///
    /// # Errors
    /// If the client cannot be made, or the cluster does not say which partitions there are.
    pub fn new(connection: &Connection, topics: &[(&str, u64)]) -> KafkaResult<Self> {
        let client = connection.listener()?;
        let mut list = TopicPartitionList::new();
        for &(topic, before) in topics {
            let metadata = client.fetch_metadata(Some(topic), PATIENCE)?;
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|known| known.id());
            let all: Vec<TopicPartition> =
                partitions.map(|partition| TopicPartition { topic: topic.into(), partition }).collect();
            let ends = offsets(&client, &all, Offset::End, PATIENCE)?;
            let begins = offsets(&client, &all, Offset::Beginning, PATIENCE)?;
            for at in &all {
                let known = |offsets: &HashMap<TopicPartition, u64>| offsets.get(at).copied();
                let from = known(&ends).map(|end| end.saturating_sub(before).max(known(&begins).unwrap_or(0)));
                let from = from.and_then(|from| i64::try_from(from).ok()).map_or(Offset::End, Offset::Offset);
                list.add_partition_offset(topic, at.partition, from)?;
            }
        }
        client.assign(&list)?;
        Ok(Self(client))
    }

    /// The next record within `wait`, as its topic and value; one without a value is passed over. What troubles the client
    /// it overcomes by itself.
    ///
    /// # Errors
    /// What it cannot overcome: listen anew.
    pub fn next(&self, wait: Duration) -> KafkaResult<Option<(String, Vec<u8>)>> {
        match self.0.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => Ok(message.payload().map(|payload| (message.topic().to_owned(), payload.to_vec()))),
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => Err(error),
            Some(Err(error)) => {
                tracing::debug!(%error, "listening");
                Ok(None)
            }
        }
    }
}
