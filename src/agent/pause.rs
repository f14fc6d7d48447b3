//! Waiting before what just failed is tried again: longer each time, and not longer than until the agent is told to stop.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::Post;

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
    pub fn rest(&mut self, post: &Post) {
        self.rest_unless(post, || false);
    }

    /// Waits until it is `over`.
    pub fn rest_unless(&mut self, post: &Post, over: impl Fn() -> bool) {
        let until = Instant::now() + self.next;
        self.next = (self.next * 2).min(self.longest);
        while Instant::now() < until && !post.is_stopping() && !over() {
            post.beat();
            thread::park_timeout(until.saturating_duration_since(Instant::now()).min(SLICE));
        }
    }
}
