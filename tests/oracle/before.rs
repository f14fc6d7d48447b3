//! S0, *before*: one total order of the begins and ends of a chain.

use std::collections::BTreeMap;

use countermand::model::{BusTime, LaneId};

use super::{ends::End, graph::Graph};

/// A begin or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    call: usize,
    is_end: bool,
    at: BusTime,
    /// Lane and offset; a deadline has none.
    place: Option<(LaneId, u64)>,
}

/// Where begins and ends stand in the order; `None`: there is none.
#[derive(Debug, Clone, Default)]
pub struct Before {
    pub begin: Vec<Option<usize>>,
    pub end: Vec<Option<usize>>,
}

impl Before {
    pub fn order(graph: &Graph, ends: &[End]) -> Self {
        let mut order: Vec<Mark> = Vec::new();
        let mut marks = marks(graph, ends);
        marks.sort_by_key(|mark| mark.at);
        while !marks.is_empty() {
            let at = marks[0].at;
            let same: Vec<Mark> = marks.iter().copied().filter(|mark| mark.at == at).collect();
            marks.retain(|mark| mark.at != at);
            order.extend(merge(graph, same));
        }
        ends_after_begins(&mut order);
        let place = |call, is_end| order.iter().position(|mark| mark.call == call && mark.is_end == is_end);
        Self {
            begin: (0..graph.calls.len()).map(|call| place(call, false)).collect(),
            end: (0..graph.calls.len()).map(|call| place(call, true)).collect(),
        }
    }
}

fn marks(graph: &Graph, ends: &[End]) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (index, call) in graph.calls.iter().enumerate() {
        let Some(begin) = call.begin() else { continue };
        let place = Some((begin.position.lane, begin.position.offset));
        marks.push(Mark { call: index, is_end: false, at: begin.at, place });
        let (at, place) = match ends[index] {
            End::Half | End::Open => continue,
            End::Published => (begin.at, place),
            End::TimedOut(deadline) => (deadline, None),
            End::Answered(said) => {
                let moment = call.said[said].moment;
                (moment.at, Some((moment.position.lane, moment.position.offset)))
            }
        };
        marks.push(Mark { call: index, is_end: true, at, place });
    }
    marks
}

/// Equal bus times: in one topic partition by position; those of different ones head by head, an end if a head is one
/// (the deeper call's first), else the shallower call's begin, then the smaller call id.
fn merge(graph: &Graph, same: Vec<Mark>) -> Vec<Mark> {
    let depth = |mark: &Mark| graph.up(mark.call).len();
    let mut queues: BTreeMap<(Option<LaneId>, usize), Vec<Mark>> = BTreeMap::new();
    for mark in same {
        let queue = match mark.place {
            Some((lane, _)) => (Some(lane), 0),
            None => (None, mark.call),
        };
        queues.entry(queue).or_default().push(mark);
    }
    for queue in queues.values_mut() {
        queue.sort_by_key(|mark| (mark.place.map(|place| place.1), &graph.calls[mark.call].id, mark.is_end));
    }
    let mut order = Vec::new();
    loop {
        let heads: Vec<((Option<LaneId>, usize), Mark)> =
            queues.iter().filter_map(|(name, queue)| queue.first().map(|mark| (*name, *mark))).collect();
        let end = heads
            .iter()
            .filter(|(_, mark)| mark.is_end)
            .min_by_key(|(_, mark)| (usize::MAX - depth(mark), &graph.calls[mark.call].id));
        let begin = heads.iter().min_by_key(|(_, mark)| (depth(mark), &graph.calls[mark.call].id));
        let Some((name, mark)) = end.or(begin) else { return order };
        order.push(*mark);
        queues.get_mut(name).expect("a head has a queue").remove(0);
    }
}

/// An end that would sort before its own begin stands right after it.
fn ends_after_begins(order: &mut Vec<Mark>) {
    let calls = order.iter().map(|mark| mark.call + 1).max().unwrap_or(0);
    for call in 0..calls {
        let end = order.iter().position(|mark| mark.call == call && mark.is_end);
        let begin = order.iter().position(|mark| mark.call == call && !mark.is_end);
        if let (Some(end), Some(begin)) = (end, begin)
            && end < begin
        {
            let mark = order.remove(end);
            order.insert(begin, mark);
        }
    }
}
