//! S0 *before*: the one total order of the begins and ends of a chain. Nothing else compares the times of two calls.
//!
//! Each lane has its own order, by position. The lanes are merged head by head: the earlier bus time first; of equal
//! ones an end (the deeper call's first), else the shallower call's begin, then the smaller call id. A deadline stands
//! in no lane, so it is a lane of its own.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use super::picture::{Picture, State};
use crate::{engine::call::Stamp, model::BusTime};

/// A begin or an end.
#[derive(Debug, Clone, Copy)]
struct Happening {
    call: usize,
    is_end: bool,
    at: BusTime,
    /// Where it stands; a deadline stands nowhere.
    stamp: Option<Stamp>,
}

/// Sets the ranks of all begins and ends.
pub(super) fn rank(picture: &mut Picture<'_>) {
    let lanes = lanes_of(picture);
    let sequence = merge(picture, lanes);
    let mut early_end = vec![false; picture.calls.len()];
    let mut has_begun = vec![false; picture.calls.len()];
    let mut rank = 0;
    for happening in sequence {
        let n = happening.call;
        rank += 1;
        if happening.is_end {
            // An end that would sort before its own begin stands right after it.
            if has_begun[n] {
                picture.calls[n].end_rank = Some(rank);
            } else {
                early_end[n] = true;
            }
            continue;
        }
        has_begun[n] = true;
        picture.calls[n].begin_rank = rank;
        if early_end[n] || is_published(picture, n) {
            rank += 1;
            picture.calls[n].end_rank = Some(rank);
        }
    }
}

/// An event that nobody reported on ends when it is published.
fn is_published(picture: &Picture<'_>, n: usize) -> bool {
    let seen = &picture.calls[n];
    seen.state == State::Ok && seen.times.answered.is_none()
}

fn lanes_of(picture: &Picture<'_>) -> Vec<Vec<Happening>> {
    let mut stamped: Vec<Happening> = Vec::with_capacity(picture.calls.len() * 2);
    let mut lanes: Vec<Vec<Happening>> = Vec::new();
    for (call, seen) in picture.calls.iter().enumerate() {
        let Some(begun) = seen.begun else { continue };
        stamped.push(Happening { call, is_end: false, at: begun.stamp.at, stamp: Some(begun.stamp) });
        match (seen.state, seen.times.answered, seen.times.deadline) {
            (State::Ok | State::Failed(_), Some(stamp), _) => {
                stamped.push(Happening { call, is_end: true, at: stamp.at, stamp: Some(stamp) });
            }
            (State::TimedOut, _, Some(at)) => lanes.push(vec![Happening { call, is_end: true, at, stamp: None }]),
            _ => {}
        }
    }
    let place = |happening: &Happening| {
        let place = happening.stamp.map(|stamp| (stamp.lane(), stamp.offset()));
        (place, happening.is_end, picture.calls[happening.call].depth)
    };
    // One event is one message for all its consumers' calls: the smaller id.
    stamped.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| picture.id(a.call).cmp(&picture.id(b.call))));
    for lane in stamped.chunk_by(|a, b| a.stamp.map(Stamp::lane) == b.stamp.map(Stamp::lane)) {
        let mut highest = BusTime::MIN;
        // Within a lane the position decides, whatever the times say.
        lanes.push(
            lane.iter()
                .map(|happening| {
                    highest = highest.max(happening.at);
                    Happening { at: highest, ..*happening }
                })
                .collect(),
        );
    }
    lanes
}

/// A lane's head, greatest last to go.
struct Head<'p, 'c> {
    picture: &'p Picture<'c>,
    happening: Happening,
    lane: usize,
}

impl Head<'_, '_> {
    fn key(&self) -> (BusTime, bool, i64) {
        let depth = i64::from(self.picture.calls[self.happening.call].depth);
        (self.happening.at, !self.happening.is_end, if self.happening.is_end { -depth } else { depth })
    }
}

impl Ord for Head<'_, '_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let ids = || self.picture.id(self.happening.call).cmp(&self.picture.id(other.happening.call));
        self.key().cmp(&other.key()).then_with(ids)
    }
}

impl PartialOrd for Head<'_, '_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_, '_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head<'_, '_> {}

fn merge(picture: &Picture<'_>, lanes: Vec<Vec<Happening>>) -> Vec<Happening> {
    if lanes.len() == 1 {
        return lanes.into_iter().next().unwrap_or_default();
    }
    let mut lanes: Vec<_> = lanes.into_iter().map(Vec::into_iter).collect();
    let mut heads = BinaryHeap::with_capacity(lanes.len());
    for (lane, rest) in lanes.iter_mut().enumerate() {
        heads.extend(rest.next().map(|happening| Reverse(Head { picture, happening, lane })));
    }
    let mut sequence = Vec::with_capacity(picture.calls.len() * 2);
    while let Some(Reverse(head)) = heads.pop() {
        sequence.push(head.happening);
        let next = lanes[head.lane].next();
        heads.extend(next.map(|happening| Reverse(Head { picture, happening, lane: head.lane })));
    }
    sequence
}
