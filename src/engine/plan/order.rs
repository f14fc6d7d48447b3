//! S5.1: what must be undone before what, and the waves that follow from it.

use petgraph::{algo::toposort, graph::DiGraph, visit::EdgeRef};

use crate::{
    engine::judge::Picture,
    policy::{Ordering, Settings},
};

/// The places of some calls in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// By call, in the order given: its wave, from 1.
    pub waves: Vec<u32>,
    /// By call: which of the others must be finished before it, by their place in the order given.
    pub after: Vec<Vec<usize>>,
}

/// The rule had a cycle, which it cannot have: assert it, and never loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrderCycle;

/// Whether the effect of `b` came after that of `a`, so that it is undone before it.
pub(super) fn came_after(picture: &Picture<'_>, b: usize, a: usize) -> bool {
    if a == b {
        return false;
    }
    began_after_end(picture, b, a) || (picture.is_within(a, b) && !went_on(picture, b))
}

fn began_after_end(picture: &Picture<'_>, b: usize, a: usize) -> bool {
    u64::from(picture.calls[b].begin_rank) * 2 > end_place(picture, a)
}

/// Twice the rank of a call's end. An unknown end stands right after the last begin inside the call, else after its own.
fn end_place(picture: &Picture<'_>, a: usize) -> u64 {
    let seen = &picture.calls[a];
    match seen.end_rank {
        Some(rank) => u64::from(rank) * 2,
        None if seen.last_inside > 0 => u64::from(seen.last_inside) * 2 + 1,
        None => u64::from(seen.begin_rank) * 2 + 1,
    }
}

/// A call that went on working after its answer is ordered by time alone.
fn went_on(picture: &Picture<'_>, b: usize) -> bool {
    let seen = &picture.calls[b];
    seen.end_rank.is_some_and(|end| seen.last_forward_inside > end)
}

/// Places for undoing `calls`: the reverse of what happened.
pub(super) fn backward(picture: &Picture<'_>, calls: &[usize], settings: &Settings) -> Result<Places, OrderCycle> {
    let graph = graph_of(calls, |b, a| came_after(picture, b, a));
    let mut places = places(&graph)?;
    if settings.ordering == Ordering::Strict {
        serialise(picture, calls, &mut places);
    }
    Ok(places)
}

/// Places for doing `calls` again: as they happened.
pub(super) fn forward(picture: &Picture<'_>, calls: &[usize]) -> Result<Places, OrderCycle> {
    places(&graph_of(calls, |a, b| came_after(picture, b, a)))
}

/// An edge leads from what goes first to what waits for it.
fn graph_of(calls: &[usize], goes_first: impl Fn(usize, usize) -> bool) -> DiGraph<(), (), u32> {
    let mut graph = DiGraph::with_capacity(calls.len(), calls.len());
    let nodes: Vec<_> = calls.iter().map(|_| graph.add_node(())).collect();
    for (i, &first) in calls.iter().enumerate() {
        for (j, &second) in calls.iter().enumerate() {
            if i != j && goes_first(first, second) {
                graph.add_edge(nodes[i], nodes[j], ());
            }
        }
    }
    graph
}

fn places(graph: &DiGraph<(), (), u32>) -> Result<Places, OrderCycle> {
    let sorted = toposort(graph, None).map_err(|_| OrderCycle)?;
    let mut places = Places { waves: vec![1; graph.node_count()], after: vec![Vec::new(); graph.node_count()] };
    for node in sorted {
        for edge in graph.edges_directed(node, petgraph::Direction::Incoming) {
            let before = edge.source().index();
            places.after[node.index()].push(before);
            places.waves[node.index()] = places.waves[node.index()].max(places.waves[before] + 1);
        }
        places.after[node.index()].sort_unstable();
    }
    Ok(places)
}

/// `ordering = "strict"`: one after the other; of those that wait for nothing more, the last ended goes next.
fn serialise(picture: &Picture<'_>, calls: &[usize], places: &mut Places) {
    let mut done: Vec<usize> = Vec::with_capacity(calls.len());
    let mut is_done = vec![false; calls.len()];
    while done.len() < calls.len() {
        let ready = (0..calls.len()).filter(|&n| !is_done[n] && places.after[n].iter().all(|&before| is_done[before]));
        let Some(next) = ready.max_by_key(|&n| (end_place(picture, calls[n]), std::cmp::Reverse(n))) else { break };
        places.waves[next] = u32::try_from(done.len()).unwrap_or(u32::MAX) + 1;
        is_done[next] = true;
        done.push(next);
    }
    for (place, &n) in done.iter().enumerate() {
        places.after[n] = done[..place].to_vec();
        places.after[n].sort_unstable();
    }
}
