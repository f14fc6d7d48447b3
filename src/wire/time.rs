//! Milliseconds to protobuf's times and back.

use super::{
    check::{FIRST_SECOND, LAST_SECOND},
    proto::{Duration, Timestamp},
};
use crate::model::Span;

/// The timestamp of `millis` since the Unix epoch; outside of the years 1 to 9999 the nearest within.
pub(crate) fn timestamp_of(millis: i64) -> Timestamp {
    let millis = millis.clamp(FIRST_SECOND * 1000, LAST_SECOND * 1000 + 999);
    let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: millis.div_euclid(1000), nanos }
}

/// Milliseconds since the Unix epoch; parts of one are dropped, towards the past. Of a timestamp that is in range.
pub(crate) fn millis_of(timestamp: &Timestamp) -> i64 {
    timestamp.seconds.saturating_mul(1000).saturating_add(i64::from(timestamp.nanos.div_euclid(1_000_000)))
}

/// The duration of a span.
pub(crate) fn duration_of(span: Span) -> Duration {
    let seconds = i64::try_from(span.0 / 1000).unwrap_or(i64::MAX);
    Duration { seconds, nanos: i32::try_from(span.0 % 1000 * 1_000_000).unwrap_or(0) }
}
