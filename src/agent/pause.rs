//! Waiting before what just failed is tried again: longer each time, and not longer than until the agent is told to stop.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::Place;

/// How soon a stop is seen.
const SLICE: Duration = Duration::from_millis(50);

/// The next wait: it doubles up to the longest.
#[derive(Debug)]
pub(super) struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    /// Waits from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Waits.
    pub fn rest(&mut self, place: &Place) {
        self.rest_unless(place, || false);
    }

    /// Waits until it is `over`.
    pub fn rest_unless(&mut self, place: &Place, over: impl Fn() -> bool) {
        let until = Instant::now() + self.next;
        self.next = (self.next * 2).min(self.longest);
        while Instant::now() < until && !place.is_stopping() && !over() {
            place.beat();
            thread::park_timeout(until.saturating_duration_since(Instant::now()).min(SLICE));
        }
    }
}
