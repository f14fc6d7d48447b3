//! What goes wrong in the shop, and when. All of it is drawn from the seed, by what it is about and not by when it is asked
//! for, so that a run is the same however long things take.

use crate::bench::Rng;

/// What befalls one call at the service that it is made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes well.
    Well,
    /// The service refuses it for a reason of its business.
    Declined(&'static str),
    /// The service breaks on it; nothing remains.
    Breaks(&'static str),
    /// Its message is lost on the way there.
    Lost,
    /// It is done, but the answer is lost.
    Unanswered,
    /// It reaches its service so late that everything was taken back by then.
    Late,
}

/// The fates of one run.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    seed: u64,
}

/// The version of `shipping` that is bad.
pub const BAD: &str = "2.0";
/// The one before it.
pub const GOOD: &str = "1.9";

impl Weather {
    /// The weather of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A generator for what a name names: the same for the same name.
    #[must_use]
    pub fn rng(&self, name: &str) -> Rng {
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(name.as_bytes(), self.seed);
        Rng::new(hash)
    }

    /// What befalls the call of order `number` to an operation of a service at a version.
    #[must_use]
    pub fn fate(&self, number: u32, service: &str, operation: &str, version: &str) -> Fate {
        let mut rng = self.rng(&format!("{number}/{service}/{operation}/{version}"));
        let per_thousand = rng.below(1000);
        match (service, version) {
            // A bad release: it misses a table, hangs, and answers only some of what it did.
            ("shipping", BAD) => match per_thousand {
                0..480 => Fate::Breaks("ROUTE_TABLE_MISSING"),
                480..560 => Fate::Lost,
                560..620 => Fate::Unanswered,
                620..700 => Fate::Late,
                _ => Fate::Well,
            },
            ("payment", _) => match per_thousand {
                0..20 => Fate::Declined("CARD_DECLINED"),
                20..28 => Fate::Unanswered,
                _ => Fate::Well,
            },
            _ => Fate::Well,
        }
    }

    /// Whether a message is delivered twice.
    #[must_use]
    pub fn is_doubled(&self, message_id: &str) -> bool {
        self.rng(&format!("twice/{message_id}")).chance(30)
    }
}
