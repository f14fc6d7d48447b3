//! Sending where nothing is transactional: generated load, and the demo's shop.

use std::time::Duration;

use rdkafka::{
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::ToBytes,
    producer::{BaseProducer, BaseRecord},
};

/// Wait for room in a full queue.
const ROOM: Duration = Duration::from_millis(10);

/// Sends one record; a full queue is served until there is room.
///
/// # Errors
/// What the client says of the record.
pub fn send<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
    producer: &BaseProducer,
    mut record: BaseRecord<'_, K, P>,
) -> KafkaResult<()> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(ROOM);
            }
            Err((error, _)) => return Err(error),
        }
    }
}
