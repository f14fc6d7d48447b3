//! S2.2 to S2.4: when a chain is decided, in bus time, if nothing more is heard.

use std::collections::BTreeSet;

use countermand::{
    model::{BusTime, LaneId, Span},
    policy::{InFlight, Policy},
};

use super::{
    ends::{Fate, fate},
    graph::{Call, Graph},
};

/// The instant at which a chain is decided, and the partitions that must all have reached it.
pub fn instant(graph: &Graph, policy: &Policy) -> Option<BusTime> {
    let settings = &policy.settings;
    let grace = settings.timeout_grace;
    let holding: Vec<&Call> =
        (0..graph.calls.len()).filter(|call| graph.holds(*call)).map(|call| &graph.calls[call]).collect();
    let roots: Vec<&Call> = holding.iter().copied().filter(|call| call.root).collect();
    let waited_for = if settings.in_flight == InFlight::PlanNow { &roots } else { &holding };
    let settled: Option<Vec<BusTime>> = waited_for.iter().map(|call| settled_at(call, grace)).collect();
    let still = settled
        .filter(|_| !roots.is_empty())
        .and_then(|times| times.into_iter().max())
        .map(|time| time.plus(settings.decide_grace));
    let given_up = max_age(graph, policy, &holding, &roots)?;
    Some(still.unwrap_or(given_up))
}

/// S2.5: a chain's grace runs on the slowest of its calls' partitions.
pub fn lanes(graph: &Graph) -> BTreeSet<LaneId> {
    let asked: BTreeSet<LaneId> =
        (0..graph.calls.len()).filter_map(|call| graph.calls[call].begin()).map(|begin| begin.position.lane).collect();
    if asked.is_empty() { graph.lanes.clone() } else { asked }
}

/// S2.3: since when nothing moves about a call: the latest of its begin and its end in time or its time-out; `None`:
/// nothing ends it.
fn settled_at(call: &Call, grace: Span) -> Option<BusTime> {
    let begin = call.begin()?.at;
    match fate(call, grace) {
        Fate::Half | Fate::Forever => None,
        Fate::Published => Some(begin),
        Fate::Answered(said) => Some(begin.max(call.said[said].moment.at)),
        Fate::Deadline { due, .. } => Some(due),
    }
}

/// The age at which a chain is decided in any case: its roots', where configured.
pub fn oldest(graph: &Graph, policy: &Policy) -> Span {
    age(graph.calls.iter().filter(|call| call.root), policy)
}

fn age<'a>(roots: impl Iterator<Item = &'a Call>, policy: &Policy) -> Span {
    let ages = roots.filter_map(|root| root.rule.as_ref()).map(|rule| rule.max_age);
    ages.max().unwrap_or(policy.settings.max_age)
}

/// S2.2: at `max_age` after the first message, but not before `decide_grace` after the last call with a timeout is
/// answered or timed out.
fn max_age(graph: &Graph, policy: &Policy, holding: &[&Call], roots: &[&Call]) -> Option<BusTime> {
    let settings = &policy.settings;
    let age = age(roots.iter().copied(), policy);
    let last = holding
        .iter()
        .filter(|call| call.timeout.is_some())
        .filter_map(|call| settled_at(call, settings.timeout_grace))
        .max()
        .map(|time| time.plus(settings.decide_grace));
    let old = graph.first_at?.plus(age);
    Some(last.map_or(old, |last| last.max(old)))
}
