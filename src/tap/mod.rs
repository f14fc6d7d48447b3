//! Tapping a bus: reading beside the agent what its engines are given, in the order in which they are given it (S0,
//! S2.6), and writing nothing.
//!
//! The lanes of all partition numbers go through one merge. Within a number that is the order which its engine sees, and
//! over all of them it is the order of bus times, which is what a recording is in.

mod entry;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use entry::entry;

use crate::{
    bus::{
        Record,
        clock::IntakeClock,
        layout::Role,
        merge::{Merge, Taken},
    },
    model::{BusTime, HostTime, Span},
};

/// A bus that is read beside the agent. Lanes are named by their index.
pub trait Source {
    /// The next record within `wait`, with its lane.
    ///
    /// # Errors
    /// Why nothing can be read any more.
    fn poll(&mut self, wait: Duration) -> Result<Option<(usize, Record)>, String>;

    /// Whether a lane is read to its end (S0).
    fn is_at_end(&self, lane: usize) -> bool;

    /// Up to which offset a lane was handed out.
    fn position(&self, lane: usize) -> u64;

    /// Whether the bus answered lately.
    fn answers(&self) -> bool;

    /// Stops or goes on reading a lane.
    ///
    /// # Errors
    /// Why it cannot.
    fn hold(&mut self, lane: usize, hold: bool) -> Result<(), String>;
}

/// One partition of a topic that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The topic.
    pub topic: Arc<str>,
    /// What is in it.
    pub role: Role,
    /// The partition.
    pub partition: i32,
}

/// Records read in one turn at most.
const BATCH: usize = 2_000;

/// Longest wait for a record: how soon a stop is seen.
const MAX_WAIT: Span = Span::millis(50);

/// What a full batch counts as listening for a lane that shows nothing, as in the agent's worker (S2.6).
const FULL_BATCH: Span = Span::millis(1);

/// Bytes of all records that may wait here for others, 256 MiB; each lane has its share of them, but at least 1 MiB, so
/// that a record of any size passes.
const WAITING_BYTES: usize = 256 << 20;
const LEAST_WAITING_BYTES: usize = 1 << 20;

/// A bus being tapped.
pub struct Tap<S> {
    source: S,
    merge: Merge<Record>,
    /// By lane: bytes that wait here, and whether reading is held.
    waiting: Vec<(usize, bool)>,
    share: usize,
    host: fn() -> HostTime,
    read_at: Instant,
}

impl<S: Source> Tap<S> {
    /// Taps lanes that go on after records with these bus times. `max_ahead` and `align_wait` are those of the agent, `host` is
    /// the host clock.
    pub fn new(
        source: S,
        lanes: &[Option<BusTime>],
        max_ahead: Span,
        align_wait: Span,
        host: fn() -> HostTime,
    ) -> Self {
        let mut merge = Merge::new(align_wait);
        for &last in lanes {
            merge.add_lane(IntakeClock::new(max_ahead, last));
        }
        let share = (WAITING_BYTES / lanes.len().max(1)).max(LEAST_WAITING_BYTES);
        Self { source, merge, waiting: vec![(0, false); lanes.len()], share, host, read_at: Instant::now() }
    }

    /// Reads what is there, after at most a moment if there is nothing. Says how many records came.
    ///
    /// # Errors
    /// Why nothing can be read any more.
    pub fn read(&mut self) -> Result<usize, String> {
        let due = self.merge.next_due().unwrap_or(MAX_WAIT).min(MAX_WAIT);
        let mut wait = Duration::from_millis(due.0.max(1));
        let mut came = 0;
        while came < BATCH {
            let Some((lane, record)) = self.source.poll(wait)? else { break };
            self.waiting[lane].0 += record.size();
            self.merge.push(lane, record.stamp.time(), record);
            came += 1;
            wait = Duration::ZERO;
        }
        self.listened(came == BATCH);
        self.look_at_ends();
        self.hold_back()?;
        Ok(came)
    }

    /// What is longer than a wait is a pause of the whole process, perhaps of the client too: it counts as one wait.
    fn listened(&mut self, full: bool) {
        let since = u64::try_from(self.read_at.elapsed().as_millis()).map_or(MAX_WAIT, Span::millis);
        let span = if full { FULL_BATCH } else { since.min(MAX_WAIT) };
        if span > Span::ZERO {
            self.read_at = Instant::now();
            self.merge.listened(span);
        }
    }

    fn look_at_ends(&mut self) {
        for lane in 0..self.waiting.len() {
            self.merge.set_at_end(lane, self.source.is_at_end(lane));
        }
    }

    fn hold_back(&mut self) -> Result<(), String> {
        for (lane, (bytes, held)) in self.waiting.iter_mut().enumerate() {
            let hold = if *held { *bytes > self.share / 4 } else { *bytes > self.share };
            if hold != *held {
                self.source.hold(lane, hold)?;
                *held = hold;
            }
        }
        Ok(())
    }

    /// The next record whose turn it is.
    pub fn take(&mut self) -> Option<Taken<Record>> {
        let taken = self.merge.pop((self.host)())?;
        let bytes = &mut self.waiting[taken.lane].0;
        *bytes = bytes.saturating_sub(taken.item.size());
        Some(taken)
    }

    /// Whether a lane is read to its end, and nothing of it waits here.
    #[must_use]
    pub fn is_idle(&self, lane: usize) -> bool {
        self.merge.is_at_end(lane)
    }

    /// Nothing more is read: what waits is given out by [`Tap::take`] without waiting for others.
    pub fn close(&mut self) {
        for lane in 0..self.waiting.len() {
            self.merge.set_at_end(lane, true);
        }
    }

    /// What is read.
    pub fn source(&self) -> &S {
        &self.source
    }
}
