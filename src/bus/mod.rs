//! What a bus hands over, whatever bus it is: records with their positions and stamps; and what is done to them before
//! the engine sees them: the intake clock (S0) and the merge of co-partitioned inputs (S2.6).

pub mod clock;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod merge;

use std::sync::Arc;

use bytes::Bytes;

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
    /// Where it stood, in the words of the `countermand-origin` header: `topic/partition/offset`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }

    /// The value of its first header `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(own, _)| own == name).and_then(|(_, value)| value.as_deref())
    }
}
