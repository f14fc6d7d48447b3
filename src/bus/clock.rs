//! The intake clock (S0, S2.8): turns the times that stand on the records of one partition into bus times that no
//! broken clock can drag away.
//!
//! A record's time is no later than the host clock plus `max_ahead`, never earlier than the one before it in its own
//! partition, and a record that stands more than `max_ahead` above the one behind it takes the time of the one before
//! it. Each correction is told, so that it can be counted by source.

use crate::model::{BusTime, HostTime, Span};

/// Why a record did not keep the time that stood on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Correction {
    /// No time stood on it.
    Missing,
    /// It was ahead of the host clock.
    Ahead,
    /// It was earlier than the one before it.
    Backwards,
    /// It stood far above the one behind it.
    Wild,
}

impl Correction {
    /// Every correction.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Ahead, Self::Backwards, Self::Wild];

    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ahead => "ahead",
            Self::Backwards => "backwards",
            Self::Wild => "wild",
        }
    }
}

/// The clock of one topic partition.
#[derive(Debug, Clone)]
pub struct IntakeClock {
    max_ahead: Span,
    last: Option<BusTime>,
    /// The times were corrected before, where the records came from.
    is_given: bool,
}

impl IntakeClock {
    /// A clock for records from the beginning of a partition, or after one that had the bus time `last`.
    #[must_use]
    pub fn new(max_ahead: Span, last: Option<BusTime>) -> Self {
        Self { max_ahead, last, is_given: false }
    }

    /// A clock for records whose times were corrected already. They come from many partitions, and are taken as they are
    /// also where one is earlier than the one before it.
    #[must_use]
    pub fn given(max_ahead: Span, last: Option<BusTime>) -> Self {
        Self { is_given: true, ..Self::new(max_ahead, last) }
    }

    /// The highest bus time of a record, if there was one. No later record can be earlier, unless times are given.
    #[must_use]
    pub fn last(&self) -> Option<BusTime> {
        self.last
    }

    /// The bus time of the next record: `raw` stands on it, and `behind` on the record behind it if there is one yet.
    pub fn stamp(
        &mut self,
        raw: Option<BusTime>,
        behind: Option<BusTime>,
        host: HostTime,
    ) -> (BusTime, Option<Correction>) {
        if let (true, Some(raw)) = (self.is_given, raw) {
            self.last = self.last.max(Some(raw));
            return (raw, None);
        }
        let latest = host.as_bus().plus(self.max_ahead);
        let (wanted, correction) = match (raw, behind) {
            (None, _) => (self.last.unwrap_or(host.as_bus()), Some(Correction::Missing)),
            (Some(raw), Some(behind)) if raw > behind.plus(self.max_ahead) => {
                (self.last.unwrap_or(behind), Some(Correction::Wild))
            }
            (Some(raw), _) => (raw, None),
        };
        let (wanted, correction) = match correction {
            None if wanted > latest => (latest, Some(Correction::Ahead)),
            kept => (wanted.min(latest), kept),
        };
        let (at, correction) = match self.last {
            Some(last) if wanted < last => (last, correction.or(Some(Correction::Backwards))),
            _ => (wanted, correction),
        };
        self.last = Some(at);
        (at, correction)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Correction, IntakeClock};
    use crate::model::{BusTime, HostTime, Span};

    const AHEAD: Span = Span::secs(1);

    /// Stamps a backlog in which every record but the last can see the one behind it.
    fn run(raw: &[i64], host: i64) -> Vec<(i64, Option<Correction>)> {
        let mut clock = IntakeClock::new(AHEAD, None);
        (0..raw.len())
            .map(|n| {
                let behind = raw.get(n + 1).copied().map(BusTime);
                let (at, correction) = clock.stamp(Some(BusTime(raw[n])), behind, HostTime(host));
                (at.0, correction)
            })
            .collect()
    }

    #[test]
    fn one_wild_clock_in_a_backlog_lifts_nothing_after_it() {
        let stamped = run(&[100, 900_000, 150, 90, 200], 1_000_000);
        assert_eq!(
            stamped,
            [(100, None), (100, Some(Correction::Wild)), (150, None), (150, Some(Correction::Backwards)), (200, None)]
        );
    }

    #[test]
    fn a_clock_ahead_of_the_host_stops_at_max_ahead() {
        assert_eq!(run(&[50, 99_000], 1_000), [(50, None), (2_000, Some(Correction::Ahead))]);
        assert_eq!(run(&[50, 1_900], 1_000), [(50, None), (1_900, None)]);
    }

    #[test]
    fn a_record_without_a_time_takes_the_one_before_it() {
        let mut clock = IntakeClock::new(AHEAD, Some(BusTime(70)));
        assert_eq!(clock.stamp(None, None, HostTime(500)), (BusTime(70), Some(Correction::Missing)));
        let mut first = IntakeClock::new(AHEAD, None);
        assert_eq!(first.stamp(None, None, HostTime(500)), (BusTime(500), Some(Correction::Missing)));
    }

    proptest! {
        /// Whatever stands on the records: bus time never goes back, never passes the host clock by more than
        /// `max_ahead`, and honest records keep their time when nothing dishonest is near them.
        #[test]
        fn bus_time_is_monotonic_and_bounded(raw in prop::collection::vec(-10_000i64..100_000, 1..50)) {
            let host = 40_000;
            let stamped = run(&raw, host);
            for pair in stamped.windows(2) {
                prop_assert!(pair[0].0 <= pair[1].0);
            }
            for (n, &(at, correction)) in stamped.iter().enumerate() {
                prop_assert!(at <= host + 1_000);
                prop_assert!(correction.is_some() || at == raw[n]);
            }
        }
    }
}
