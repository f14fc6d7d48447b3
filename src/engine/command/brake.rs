//! S5.8: the storm brake. It counts plans that would be sent, by minute of bus time, so that it brakes the same storm in
//! the same way live, in a backlog and in a replay.

use std::collections::BTreeMap;

use crate::{
    model::{BusTime, Name},
    policy::BrakeSettings,
};

/// Edges that are counted; above it the counters of quiet edges go, then further edges count as one.
const EDGES: usize = 10_000;

/// Plans of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) struct Minute {
    pub minute: i64,
    pub plans: u32,
    /// More than the limit came in this minute or the one before it.
    pub engaged: bool,
}

/// The brake of one engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::engine) struct Brake {
    pub overall: Minute,
    pub edges: BTreeMap<(Name, Name), Minute>,
    /// A bound was passed since this was last asked: one alert.
    pub alert: bool,
}

impl Brake {
    /// Counts a plan; false: it has to wait.
    pub fn admits(&mut self, settings: &BrakeSettings, edge: (Name, Name), at: BusTime) -> bool {
        let minute = at.0.div_euclid(60_000);
        if self.edges.len() >= EDGES && !self.edges.contains_key(&edge) {
            self.edges.retain(|_, counted| counted.minute >= minute);
        }
        let edge = if self.edges.len() >= EDGES { (Name::NONE, Name::NONE) } else { edge };
        let own = self.edges.entry(edge).or_default();
        let (by_edge, first_by_edge) = own.count(minute, settings.per_edge);
        let (overall, first_overall) = self.overall.count(minute, settings.overall);
        self.alert |= first_by_edge || first_overall;
        by_edge && overall
    }

    /// An operator lets plans go again.
    pub fn release(&mut self) {
        *self = Self::default();
    }
}

impl Minute {
    /// Counts one; says whether it may go, and whether the brake engaged just now.
    fn count(&mut self, minute: i64, limit: u32) -> (bool, bool) {
        if limit == 0 {
            return (true, false);
        }
        if minute > self.minute {
            // A full minute below the limit lets go.
            let still = minute == self.minute + 1 && self.plans > limit;
            *self = Self { minute, plans: 0, engaged: self.engaged && still };
        }
        self.plans = self.plans.saturating_add(1);
        let before = self.engaged;
        self.engaged |= self.plans > limit;
        (!self.engaged, self.engaged && !before)
    }
}
