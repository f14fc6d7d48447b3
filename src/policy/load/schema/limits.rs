//! `[limits]`: what is accepted from the bus (S8.2).

use super::{
    Setting,
    engine::{count, span},
    slot::Slot,
};
use crate::{
    model::{MAX_ID_BYTES, Span},
    policy::load::config::Config,
};

/// Bounds on single messages. The first says what happens at each.
pub(super) const LIMITS: &[Setting<Config>] = &[
    Setting {
        key: "limits.message_bytes",
        slot: count!(Bytes, 1 << 10, 8 << 20, usize, limits.message_bytes),
        what: "Bytes of one message, payload included. A message above this or any other of these limits goes to the dead \
               letters with the reason (`message_too_large`, `field_too_long`, `too_many_entries`, `out_of_range`), is \
               counted under it (`countermand_dead_letters_total`), and the input goes on.",
        why: "Kafka's own default for a record.",
        rule: "S8.2",
    },
    Setting {
        key: "limits.id_bytes",
        slot: count!(Count, 16, MAX_ID_BYTES as u64, usize, limits.id_bytes),
        what: "Bytes of a message, chain, call or command id.",
        why: "A UUID has 36, and composed ids rarely pass 100; the engine keeps no longer ones.",
        rule: "S8.2, S8.3",
    },
    Setting {
        key: "limits.name_bytes",
        slot: count!(Count, 16, 4_096, usize, limits.name_bytes),
        what: "Bytes of a service, version, instance, operation, idempotency key, route or operator. Reasons are cut there \
               instead: a failure must not be lost because an exception's text was put into one.",
        why: "A topic's name has at most 249, and a name is kept once for all chains.",
        rule: "S8.2",
    },
    Setting {
        key: "limits.attribute_count",
        slot: count!(Count, 0, 1_024, usize, limits.attribute_count),
        what: "Attributes of an envelope, and headers of a compensation.",
        why: "What W3C baggage promises to carry.",
        rule: "S8.2",
    },
    Setting {
        key: "limits.attribute_bytes",
        slot: count!(Bytes, 0, 1 << 20, usize, limits.attribute_bytes),
        what: "Bytes of all of them, keys and values.",
        why: "Twice what W3C baggage promises to carry.",
        rule: "S8.2",
    },
    Setting {
        key: "limits.type_url_bytes",
        slot: count!(Count, 64, 4_096, usize, limits.type_url_bytes),
        what: "Bytes of a payload's type URL.",
        why: "The longest full names of real message types have about 200.",
        rule: "S8.2",
    },
    Setting {
        key: "limits.text_bytes",
        slot: count!(Bytes, 0, 64 << 10, usize, limits.text_bytes),
        what: "Bytes of an operator's reason; the rest is cut off.",
        why: "A page of text.",
        rule: "S8.2",
    },
    Setting {
        key: "limits.timeout",
        slot: span!(Span::secs(1), limits.timeout),
        what: "Longest timeout that a call may give.",
        why: "30 days: whoever waits longer does not wait for a response.",
        rule: "S8.2, S2.1",
    },
];
