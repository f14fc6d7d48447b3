//! Instants and lengths of time as people read them.

use crate::model::{BusTime, Span};

/// A length of time in at most seven columns: `31ms`, `1.54s`, `12m03s`, `5h12m`, `3d04h`.
#[must_use]
pub fn short(span: Span) -> String {
    let (ms, s) = (span.0, span.0 / 1_000);
    let (m, h) = (s / 60, s / 3_600);
    match () {
        () if ms < 1_000 => format!("{ms}ms"),
        () if s < 100 => format!("{s}.{:02}s", ms % 1_000 / 10),
        () if m < 100 => format!("{m}m{:02}s", s % 60),
        () if h < 100 => format!("{h}h{:02}m", m % 60),
        () => format!("{}d{:02}h", h / 24, h % 24),
    }
}

/// An instant in UTC, to the millisecond: `2026-01-01T00:00:00.040Z`. Outside the years that have a name (-9999 to
/// 9999): milliseconds since the epoch.
#[must_use]
pub fn instant(at: BusTime) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => format!("{}ms", at.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{instant, short};
    use crate::model::{BusTime, Span};

    #[test]
    fn times_are_short() {
        let shown = [(0, "0ms"), (999, "999ms"), (1_549, "1.54s"), (723_000, "12m03s"), (18_720_000, "5h12m")];
        for (millis, text) in shown {
            assert_eq!(short(Span(millis)), text);
        }
        assert_eq!(short(Span::hours(76)), "76h00m");
        assert_eq!(short(Span::hours(100)), "4d04h");
        assert_eq!(instant(BusTime(1_767_225_600_040)), "2026-01-01T00:00:00.040Z");
        assert_eq!(instant(BusTime::MAX), "9223372036854775807ms");
    }
}
