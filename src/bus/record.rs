//! Records: what a bus hands over, and what is handed to it.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::BusTime;

/// Who wrote the time on a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// Nobody.
    Missing,
    /// Its sender, by a clock that nobody checked.
    Sender(BusTime),
    /// The bus, when it took the record.
    Bus(BusTime),
}

impl Stamp {
    /// The time on the record, whoever wrote it.
    #[must_use]
    pub fn time(self) -> Option<BusTime> {
        match self {
            Self::Missing => None,
            Self::Sender(at) | Self::Bus(at) => Some(at),
        }
    }
}

/// A header of a record: its name, and its value if it has one.
pub type Header = (String, Option<Bytes>);

/// One record as it was on the bus, owned: it may wait for the records that belong before it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The topic or queue.
    pub topic: Arc<str>,
    /// The partition; zero where a bus has none.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: u64,
    /// The time on it.
    pub stamp: Stamp,
    /// Its key, if it has one.
    pub key: Option<Bytes>,
    /// Its headers, in their order.
    pub headers: Vec<Header>,
    /// Its bytes; `None` for a tombstone.
    pub payload: Option<Bytes>,
}

impl Record {
    /// Where it came from, in the words of the `countermand-origin` header: `topic/partition/offset`.
    #[must_use]
    pub fn origin(&self) -> String {
        super::carried::origin(self).unwrap_or_else(|| self.place())
    }

    /// Where it stands, in the same words: of one that was carried another place than where it came from.
    pub(super) fn place(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }

    /// The value of its first header `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(own, _)| own == name).and_then(|(_, value)| value.as_deref())
    }
    /// Bytes that it takes in memory, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        let part = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + part(value) + 64).sum();
        part(&self.key) + part(&self.payload) + headers + 200
    }
}

/// A topic and one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A record to be written. The journal keeps it with its parts in this order (`journal::local`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The topic.
    pub topic: String,
    /// The partition; `None`: where its key belongs.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its bytes; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Outgoing {
    /// A record that goes where its key belongs, without headers.
    #[must_use]
    pub fn keyed(topic: &str, key: &str, payload: Vec<u8>) -> Self {
        Self {
            topic: topic.to_owned(),
            partition: None,
            key: Some(key.as_bytes().to_vec()),
            payload: Some(payload),
            headers: Vec::new(),
        }
    }

    /// Bytes that it takes in a batch, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        let part = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + part(value) + 8).sum();
        part(&self.key) + part(&self.payload) + headers + 64
    }
}

/// How far an input was read, with a text to be committed beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The partition.
    pub at: TopicPartition,
    /// The next offset to read.
    pub offset: u64,
    /// The text.
    pub metadata: String,
}
