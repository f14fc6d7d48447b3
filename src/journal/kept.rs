//! Inputs as the journal keeps them: those of one batch and one lane in one entry, since a store sorts entries, and a message is
//! little work for an agent otherwise.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    bus::{Record, Stamp, TopicPartition},
    model::BusTime,
};

/// Bytes of messages in one entry, as they are in memory: what a store takes in one value.
const ENTRY_BYTES: usize = 256 << 10;

/// Inputs of one lane that came in one batch, in their order.
pub(super) struct Entry<'a> {
    pub at: TopicPartition,
    records: Vec<&'a Record>,
    bytes: usize,
}

impl Entry<'_> {
    /// The sequence number of the first.
    pub fn first(&self) -> u64 {
        self.records.first().map_or(0, |record| record.offset)
    }

    /// The sequence number after the last.
    pub fn next(&self) -> u64 {
        self.records.last().map_or(0, |record| record.offset + 1)
    }

    /// As it is written.
    pub fn encoded(&self) -> Vec<u8> {
        let kept: Vec<(u64, Kept<'_>)> = self.records.iter().map(|record| (record.offset, Kept::of(record))).collect();
        postcard::to_extend(&kept, Vec::with_capacity(self.bytes))
            .expect("plain values without maps of unknown length are written to memory")
    }
}

/// Parts inputs into entries.
pub(super) fn entries<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for record in records {
        let is_its = |entry: &&mut Entry<'a>| {
            entry.bytes < ENTRY_BYTES && entry.at.partition == record.partition && entry.at.topic == record.topic
        };
        let bytes = record.size();
        if let Some(entry) = entries.iter_mut().find(is_its) {
            entry.records.push(record);
            entry.bytes += bytes;
        } else {
            let at = TopicPartition { topic: Arc::clone(&record.topic), partition: record.partition };
            entries.push(Entry { at, records: vec![record], bytes });
        }
    }
    entries
}

/// The inputs in an entry.
///
/// # Errors
/// It is none.
pub(super) fn records(entry: &[u8], at: &TopicPartition) -> postcard::Result<Vec<Record>> {
    let kept: Vec<(u64, Kept<'_>)> = postcard::from_bytes(entry)?;
    Ok(kept.into_iter().map(|(offset, kept)| kept.record(at, offset)).collect())
}

/// The sequence number after the last input in an entry.
///
/// # Errors
/// It is none.
pub(super) fn next(entry: &[u8]) -> postcard::Result<u64> {
    let kept: Vec<(u64, Kept<'_>)> = postcard::from_bytes(entry)?;
    Ok(kept.last().map_or(0, |(offset, _)| offset + 1))
}

/// The entry in which the first format had one input.
///
/// # Errors
/// It is none.
pub(super) fn lifted(single: &[u8], offset: u64) -> postcard::Result<Vec<u8>> {
    let kept: Kept<'_> = postcard::from_bytes(single)?;
    postcard::to_stdvec(&[(offset, kept)].as_slice())
}

/// Bytes that are written at once, and not one by one.
#[derive(Clone, Copy)]
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(deserializer).map(Self)
    }
}

/// An input.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    /// 0: no time on it, 1: its sender's, 2: the bus's.
    stamp: u8,
    at: i64,
    #[serde(borrow)]
    key: Option<Raw<'a>>,
    #[serde(borrow)]
    headers: Vec<(&'a str, Option<Raw<'a>>)>,
    #[serde(borrow)]
    payload: Option<Raw<'a>>,
}

impl<'a> Kept<'a> {
    fn of(record: &'a Record) -> Self {
        let (stamp, at) = match record.stamp {
            Stamp::Missing => (0, 0),
            Stamp::Sender(at) => (1, at.0),
            Stamp::Bus(at) => (2, at.0),
        };
        let raw = |bytes: &'a Option<Bytes>| bytes.as_deref().map(Raw);
        let headers = record.headers.iter().map(|(name, value)| (name.as_str(), raw(value))).collect();
        Self { stamp, at, key: raw(&record.key), headers, payload: raw(&record.payload) }
    }

    fn record(self, at: &TopicPartition, offset: u64) -> Record {
        let bytes = |raw: Option<Raw<'_>>| raw.map(|raw| Bytes::copy_from_slice(raw.0));
        Record {
            topic: Arc::clone(&at.topic),
            partition: at.partition,
            offset,
            stamp: match self.stamp {
                1 => Stamp::Sender(BusTime(self.at)),
                2 => Stamp::Bus(BusTime(self.at)),
                _ => Stamp::Missing,
            },
            key: bytes(self.key),
            headers: self.headers.into_iter().map(|(name, value)| (name.to_owned(), bytes(value))).collect(),
            payload: bytes(self.payload),
        }
    }
}
