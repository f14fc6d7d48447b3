//! What is accepted from the bus (S8.2): bounds on single messages, which decoding holds.

use crate::model::{MAX_ID_BYTES, Span};

/// Bounds on what is accepted from the bus. A message that breaks one is refused whole; only `Status.reason`,
/// `CommandResult.reason` and `Operation.reason` are cut instead: they are for people and for comparing, and a failure
/// must not be lost because an exception's text was put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireLimits {
    /// Bytes of one message, payload included. 1 MiB: Kafka's own default for a record.
    pub message_bytes: usize,
    /// Bytes of an id. 128: a UUID has 36, and composed ids rarely pass 100. Also the most that can be set.
    pub id_bytes: usize,
    /// Bytes of a name: service, version, instance, operation, reason, idempotency key, route, operator. 256: a topic's
    /// name has at most 249, and a name is kept once for all chains.
    pub name_bytes: usize,
    /// Attributes of an envelope, and headers of a compensation. 64: what W3C baggage promises to carry.
    pub attribute_count: usize,
    /// Bytes of all of them, keys and values. 16 KiB: twice what W3C baggage promises to carry.
    pub attribute_bytes: usize,
    /// Bytes of a payload's type URL. 512: the longest full names of real message types have about 200.
    pub type_url_bytes: usize,
    /// Bytes of an operator's reason; the rest is cut off. 4 KiB: a page of text.
    pub text_bytes: usize,
    /// Longest timeout of a call. 30 days: whoever waits longer does not wait for a response.
    pub timeout: Span,
}

impl Default for WireLimits {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            id_bytes: MAX_ID_BYTES,
            name_bytes: 256,
            attribute_count: 64,
            attribute_bytes: 16 << 10,
            type_url_bytes: 512,
            text_bytes: 4 << 10,
            timeout: Span::hours(30 * 24),
        }
    }
}
