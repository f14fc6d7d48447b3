//! What a bus hands over, whatever bus it is: records with their positions and stamps, under which names; and what is
//! done to them before the engine sees them: the intake clock (S0) and the merge of co-partitioned inputs (S2.6).

#[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "only on Kafka there are partitions to carry to"))]
pub(crate) mod carried;
pub mod clock;
pub mod embedded;
pub mod headers;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod layout;
pub mod merge;
pub mod partitioner;
#[cfg(feature = "rabbitmq")]
pub mod rabbit;
mod record;
pub mod settings;

pub use record::{Header, Outgoing, Progress, Record, Stamp, TopicPartition};
