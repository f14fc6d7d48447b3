//! Merging the co-partitioned inputs of one engine in bus time (S2.6): the request topic, the response topic, results
//! and operations of one partition number come out as one sequence, so that catching up gives the verdicts that live
//! reading would have given.
//!
//! A record waits here until every other lane has shown something later, is read to its end, or has been waited for
//! long enough (`align_wait`). A record also waits for the one behind it in its own lane, which its bus time may depend
//! on (S0), unless the lane is read to its end.
//!
//! What counts as waiting is the time that somebody listened ([`Merge::listened`]), not the time that passed: while a
//! step is committed, or while the client still hands out what it has, a lane that shows nothing is not silent.

use std::collections::VecDeque;

use super::clock::{Correction, IntakeClock};
use crate::model::{BusTime, HostTime, Span};

/// A record whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken<T> {
    /// Index of its lane.
    pub lane: usize,
    /// Its bus time.
    pub at: BusTime,
    /// The bus time of the record before it in its lane: from there the lane's clock can be started again.
    pub before: Option<BusTime>,
    /// How its time was corrected.
    pub correction: Option<Correction>,
    /// The record.
    pub item: T,
}

/// The inputs of one engine. Lanes are named by their index.
#[derive(Debug)]
pub struct Merge<T> {
    lanes: Vec<Lane<T>>,
    align_wait: Span,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<(Option<BusTime>, T)>,
    head: Option<Head>,
    clock: IntakeClock,
    at_end: bool,
    /// What waits here is not to be taken for now.
    held: bool,
    /// For how much listening the lane has held up others, or its own record, by showing nothing; `None`: it does not.
    silent: Option<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    at: BusTime,
    before: Option<BusTime>,
    correction: Option<Correction>,
}

impl<T> Merge<T> {
    /// A merge without lanes, that waits at most `align_wait` for a lane that lags.
    #[must_use]
    pub fn new(align_wait: Span) -> Self {
        Self { lanes: Vec::new(), align_wait }
    }

    /// Adds a lane with its clock, and says its index.
    pub fn add_lane(&mut self, clock: IntakeClock) -> usize {
        self.lanes.push(Lane { waiting: VecDeque::new(), head: None, clock, at_end: false, held: false, silent: None });
        self.lanes.len() - 1
    }

    /// Takes in the next record of a lane, with the time that stands on it.
    pub fn push(&mut self, lane: usize, raw: Option<BusTime>, item: T) {
        let lane = &mut self.lanes[lane];
        lane.waiting.push_back((raw, item));
        lane.silent = None;
    }

    /// Says for how long was listened, all that came being pushed before this: so much longer have the lanes been silent
    /// that hold something up.
    pub fn listened(&mut self, span: Span) {
        for silent in self.lanes.iter_mut().filter_map(|lane| lane.silent.as_mut()) {
            *silent = Span(silent.0.saturating_add(span.0));
        }
    }

    /// Says whether all that the bus has of a lane was pushed.
    pub fn set_at_end(&mut self, lane: usize, at_end: bool) {
        self.lanes[lane].at_end = at_end;
    }

    /// Holds back what waits of a lane, and lets it go again (S2.10). Meanwhile the other lanes go on without it.
    pub fn hold(&mut self, lane: usize, held: bool) {
        let lane = &mut self.lanes[lane];
        if lane.held != held {
            lane.held = held;
            lane.silent = None;
        }
    }

    /// Records of a lane that wait here.
    #[must_use]
    pub fn waiting(&self, lane: usize) -> usize {
        self.lanes[lane].waiting.len()
    }

    /// Whether all that the bus has of a lane was pushed.
    #[must_use]
    pub fn is_read_up(&self, lane: usize) -> bool {
        self.lanes[lane].at_end
    }

    /// Whether a lane is read to its end and nothing of it waits here (S0).
    #[must_use]
    pub fn is_at_end(&self, lane: usize) -> bool {
        self.lanes[lane].at_end && self.lanes[lane].waiting.is_empty()
    }

    /// The next record in bus time, if it need not wait for another any more.
    pub fn pop(&mut self, host: HostTime) -> Option<Taken<T>> {
        let wait = self.align_wait;
        for lane in self.lanes.iter_mut().filter(|lane| !lane.held) {
            lane.stamp_head(host, wait);
        }
        let (at, first) = self
            .lanes
            .iter()
            .enumerate()
            .filter(|(_, lane)| !lane.held)
            .filter_map(|(n, lane)| lane.head.map(|head| (head.at, n)))
            .min()?;
        let mut held_up = false;
        for (n, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| !lane.held) {
            // The next record of lane `n` sorts at or after `(last, n)`.
            let shows_nothing_earlier = lane.clock.last().is_some_and(|last| (last, n) > (at, first));
            held_up |= !shows_nothing_earlier && lane.holds_up(wait);
        }
        if held_up {
            return None;
        }
        let lane = &mut self.lanes[first];
        let head = lane.head.take()?;
        let (_, item) = lane.waiting.pop_front()?;
        Some(Taken { lane: first, at, before: head.before, correction: head.correction, item })
    }

    /// For how much longer to listen until [`Merge::pop`] may give something although nothing more was pushed.
    #[must_use]
    pub fn next_due(&self) -> Option<Span> {
        let taken = || self.lanes.iter().filter(|lane| !lane.held);
        if taken().all(|lane| lane.waiting.is_empty()) {
            return None;
        }
        let silent = taken().filter_map(|lane| lane.silent).max()?;
        Some(Span(self.align_wait.0.saturating_sub(silent.0)))
    }
}

impl<T> Lane<T> {
    /// Gives the first waiting record its bus time once the record behind it is there, or none is to be expected.
    fn stamp_head(&mut self, host: HostTime, wait: Span) {
        if self.head.is_some() || self.waiting.is_empty() {
            return;
        }
        if self.waiting.len() == 1 && !self.at_end && !self.waited(wait) {
            return;
        }
        let behind = self.waiting.get(1).and_then(|(raw, _)| *raw);
        let before = self.clock.last();
        let (at, correction) = self.clock.stamp(self.waiting[0].0, behind, host);
        self.head = Some(Head { at, before, correction });
    }

    /// Whether the heads of other lanes must wait for what this one may still show.
    fn holds_up(&mut self, wait: Span) -> bool {
        let at_end = self.at_end && self.waiting.is_empty();
        self.head.is_none() && !at_end && !self.waited(wait)
    }

    /// Whether this lane has been silent for `wait`; starts counting if it was not silent before.
    fn waited(&mut self, wait: Span) -> bool {
        *self.silent.get_or_insert(Span::ZERO) >= wait
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{IntakeClock, Merge};
    use crate::model::{BusTime, HostTime, Span};

    const AHEAD: Span = Span::secs(1);
    const WAIT: Span = Span::millis(500);

    fn merge(lanes: usize) -> Merge<i64> {
        let mut merge = Merge::new(WAIT);
        for _ in 0..lanes {
            merge.add_lane(IntakeClock::new(AHEAD, None));
        }
        merge
    }

    fn push(merge: &mut Merge<i64>, lane: usize, times: &[i64]) {
        for &at in times {
            merge.push(lane, Some(BusTime(at)), at);
        }
    }

    fn drain(merge: &mut Merge<i64>) -> Vec<i64> {
        std::iter::from_fn(|| merge.pop(HostTime(1_000))).map(|taken| taken.item).collect()
    }

    #[test]
    fn a_lane_that_lags_is_waited_for_and_then_no_longer() {
        let mut merge = merge(2);
        push(&mut merge, 0, &[10, 20, 30]);
        assert_eq!(drain(&mut merge), [] as [i64; 0]);
        assert_eq!(merge.next_due(), Some(WAIT));
        push(&mut merge, 1, &[15, 25, 26]);
        assert_eq!(drain(&mut merge), [10, 15, 20]);
        merge.listened(WAIT);
        assert_eq!(drain(&mut merge), [25], "nothing came behind 30 for align_wait");
        merge.listened(WAIT);
        assert_eq!(drain(&mut merge), [26, 30], "nothing came behind 26 either");
    }

    #[test]
    fn time_in_which_nobody_listened_is_no_silence() {
        let mut merge = merge(2);
        push(&mut merge, 0, &[10, 20]);
        for host in [0, 10_000, 20_000] {
            assert_eq!(merge.pop(HostTime(host)), None, "only the host's clock went on");
        }
        merge.listened(Span::millis(WAIT.0 - 1));
        assert_eq!(merge.next_due(), Some(Span::millis(1)));
        push(&mut merge, 1, &[15, 16]);
        assert_eq!(drain(&mut merge), [10], "the second lane was heard in time");
    }

    #[test]
    fn lanes_read_to_their_end_hold_nothing_up() {
        let mut merge = merge(3);
        push(&mut merge, 0, &[10]);
        for lane in 0..3 {
            merge.set_at_end(lane, true);
        }
        assert!(!merge.is_at_end(0));
        assert_eq!(drain(&mut merge), [10]);
        assert!(merge.is_at_end(0));
    }

    #[test]
    fn a_lane_that_is_held_back_holds_up_nobody() {
        let mut merge = merge(2);
        merge.set_at_end(1, true);
        push(&mut merge, 0, &[10, 20]);
        push(&mut merge, 1, &[15, 25]);
        merge.hold(0, true);
        assert_eq!(drain(&mut merge), [15, 25], "neither what waits there nor what may come");
        assert_eq!((merge.next_due(), merge.is_at_end(0)), (None, false), "it is not waited for, nor read to its end");
        merge.hold(0, false);
        merge.set_at_end(0, true);
        assert_eq!(drain(&mut merge), [10, 20]);
    }

    #[test]
    fn a_wild_record_is_seen_by_the_one_behind_it() {
        let mut merge = merge(1);
        push(&mut merge, 0, &[10, 900_000]);
        let first = merge.pop(HostTime(1_000_000)).map(|taken| taken.item);
        assert_eq!(first, Some(10));
        assert_eq!(merge.pop(HostTime(1_000_000)), None, "the second waits for the one behind it");
        push(&mut merge, 0, &[11]);
        merge.set_at_end(0, true);
        let taken = merge.pop(HostTime(1_000_000)).unwrap();
        assert_eq!((taken.at, taken.before, taken.item), (BusTime(10), Some(BusTime(10)), 900_000));
    }

    proptest! {
        /// However the lanes are read, the merge of the whole is by bus time with each lane in its own order.
        #[test]
        fn the_order_does_not_depend_on_how_the_lanes_are_read(
            lanes in prop::collection::vec(prop::collection::vec(0i64..50, 0..20), 1..4),
            picks in prop::collection::vec(0usize..4, 0..200),
        ) {
            let sorted: Vec<Vec<i64>> = lanes.iter().map(|lane| { let mut l = lane.clone(); l.sort_unstable(); l }).collect();
            let mut expected: Vec<(i64, usize)> =
                sorted.iter().enumerate().flat_map(|(n, lane)| lane.iter().map(move |&at| (at, n))).collect();
            expected.sort_unstable();

            let mut merge = Merge::new(WAIT);
            for _ in &sorted { merge.add_lane(IntakeClock::new(AHEAD, None)); }
            let mut read = vec![0; sorted.len()];
            let mut got = Vec::new();
            let order = picks.into_iter().map(|pick| pick % sorted.len());
            let rest = (0..sorted.len()).flat_map(|lane| std::iter::repeat_n(lane, 21));
            for lane in order.chain(rest) {
                if let Some(&at) = sorted[lane].get(read[lane]) {
                    merge.push(lane, Some(BusTime(at)), at);
                    read[lane] += 1;
                }
                merge.set_at_end(lane, read[lane] == sorted[lane].len());
                while let Some(taken) = merge.pop(HostTime(100)) {
                    got.push((taken.at.0, taken.lane));
                }
            }
            prop_assert_eq!(got, expected);
        }
    }
}
