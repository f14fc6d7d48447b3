//! Bus time, host time, spans and positions (S0). Milliseconds everywhere: no bus stamps finer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A length of time in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `n` seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Self(n.saturating_mul(1000))
    }

    /// A span of `n` milliseconds.
    #[must_use]
    pub const fn millis(n: u64) -> Self {
        Self(n)
    }

    /// A span of `n` minutes.
    #[must_use]
    pub const fn mins(n: u64) -> Self {
        Self::secs(n.saturating_mul(60))
    }

    /// A span of `n` hours.
    #[must_use]
    pub const fn hours(n: u64) -> Self {
        Self::mins(n.saturating_mul(60))
    }

    /// This span `n` times over, saturating.
    #[must_use]
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }

    fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0ms"),
            n if n % 3_600_000 == 0 => write!(f, "{}h", n / 3_600_000),
            n if n % 60_000 == 0 => write!(f, "{}m", n / 60_000),
            n if n % 1000 == 0 => write!(f, "{}s", n / 1000),
            n => write!(f, "{n}ms"),
        }
    }
}

macro_rules! instant {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub i64);

        impl $name {
            /// Before every other instant.
            pub const MIN: Self = Self(i64::MIN);
            /// After every other instant.
            pub const MAX: Self = Self(i64::MAX);

            /// The instant `span` later, saturating.
            #[must_use]
            pub fn plus(self, span: Span) -> Self {
                Self(self.0.saturating_add(span.as_i64()))
            }

            /// The instant `span` earlier, saturating.
            #[must_use]
            pub fn minus(self, span: Span) -> Self {
                Self(self.0.saturating_sub(span.as_i64()))
            }

            /// How long after `earlier` this is; zero if it is not after it.
            #[must_use]
            pub fn since(self, earlier: Self) -> Span {
                Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
            }
        }
    };
}

instant! {
    /// When the bus had a message (S0), corrected on intake; milliseconds since the Unix epoch.
    BusTime
}

instant! {
    /// The time of day on the agent's host; milliseconds since the Unix epoch. It is always an argument.
    HostTime
}

impl BusTime {
    /// The host time with the same reading: on a partition read to its end the host clock drives bus time (S2.5).
    #[must_use]
    pub fn as_host(self) -> HostTime {
        HostTime(self.0)
    }
}

impl HostTime {
    /// The bus time with the same reading.
    #[must_use]
    pub fn as_bus(self) -> BusTime {
        BusTime(self.0)
    }
}

/// One input of one engine: a topic partition, or a queue. Small, since every call keeps two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u16);

/// Where a message stood on the bus (S0): within a lane, a larger offset came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The topic partition or queue.
    pub lane: LaneId,
    /// The offset in it.
    pub offset: u64,
}

/// When and where the bus had a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Its bus time.
    pub at: BusTime,
    /// Its position.
    pub position: Position,
}
