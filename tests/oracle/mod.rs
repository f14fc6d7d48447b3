//! The oracle: slow, obviously right, written from semantics.md alone. It keeps what it was told and works everything
//! out anew, rule by rule; only the life of commands is a state of its own. It has the engine's surface.
//!
//! Out of its scope: memory and names limits, the storm brake, snapshots, texts, payloads.

#![allow(dead_code, missing_docs)]

mod answers;
mod before;
mod chain;
mod decide;
mod effects;
mod ends;
mod graph;
mod letters;
mod operator;
mod order;
mod plan;
mod scene;
mod send;
mod state;
mod suspects;
mod verdict;
mod void;
mod works;

use std::collections::{BTreeMap, BTreeSet};

use countermand::{
    model::{Action, BusTime, ChainView, HostTime, Input, LaneId, Moment, Refusal},
    policy::Policy,
};

use chain::{Chain, Now};
use letters::Letter;

/// The oracle.
#[derive(Debug)]
pub struct Oracle {
    policy: Policy,
    lanes: Vec<(String, i32)>,
    streams: Vec<BusTime>,
    host: HostTime,
    clock: u64,
    chains: BTreeMap<String, Chain>,
    /// Whether to say each change of a picture.
    pub tell: bool,
}

/// The next thing that time brings about in a chain.
struct Due {
    at: BusTime,
    lanes: BTreeSet<LaneId>,
}

impl Oracle {
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            lanes: Vec::new(),
            streams: Vec::new(),
            host: HostTime::MIN,
            clock: 0,
            chains: BTreeMap::new(),
            tell: false,
        }
    }

    pub fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        let name = (topic.to_owned(), partition);
        let index = self.lanes.iter().position(|lane| *lane == name).unwrap_or_else(|| {
            self.lanes.push(name);
            self.streams.push(BusTime::MIN);
            self.lanes.len() - 1
        });
        LaneId(u16::try_from(index).expect("few lanes"))
    }

    /// S2.5: stream time advances by messages; what is due by then on this lane comes first.
    pub fn apply(&mut self, input: &Input<'_>, moment: Moment, host: HostTime, actions: &mut Vec<Action>) {
        self.host = self.host.max(host);
        if let Input::Published(published) = input {
            self.with(published.chain_id, actions, |chain, now, _| chain.published(published.command_id, now));
            return;
        }
        let lane = moment.position.lane;
        let stream = &mut self.streams[usize::from(lane.0)];
        *stream = (*stream).max(moment.at);
        let decided = self.decided(input);
        while let Some(id) = self.ripe() {
            self.fire(&id, actions);
        }
        self.take(input, moment, decided, actions);
        while let Some(id) = self.ripe() {
            self.fire(&id, actions);
        }
    }

    /// S2.5, S5.13: lets the host clock move; on lanes read to their end, and only there, stream time follows.
    pub fn advance(&mut self, host: HostTime, at_end: &[LaneId], actions: &mut Vec<Action>) {
        let all = (0..self.lanes.len()).all(|lane| at_end.iter().any(|end| usize::from(end.0) == lane));
        while let Some((due, stream)) = self.next_within(host, at_end, all) {
            self.move_to(due, stream, at_end, all);
            while let Some(id) = self.ripe() {
                self.fire(&id, actions);
            }
            let ids: Vec<String> = self.chains.keys().cloned().collect();
            for id in ids {
                self.with(&id, actions, |chain, now, actions| {
                    if chain.next_timer().is_some_and(|timer| timer <= now.clock) {
                        chain.ring(now, actions);
                    }
                });
            }
        }
        self.move_to(host, host.as_bus(), at_end, all);
    }

    /// The earliest host time at which something is due if every lane is at its end.
    pub fn next_due(&self) -> Option<HostTime> {
        let every: Vec<LaneId> = (0..self.lanes.len()).map(|lane| LaneId(lane as u16)).collect();
        self.next_within(HostTime::MAX, &every, true).map(|(host, _)| host)
    }

    pub fn view(&self, chain: &str) -> Option<ChainView> {
        self.chains.get(chain).map(|chain| chain.view())
    }

    /// S5.1: whether the effect of call `first` must be undone before that of `then`, as things are known now.
    pub fn undone_before(&self, chain: &str, first: &str, then: &str) -> bool {
        let Some(chain) = self.chains.get(chain) else { return false };
        let scene = chain.scene(&self.now());
        match (scene.graph.find(first), scene.graph.find(then)) {
            (Some(first), Some(then)) => order::comes_after(&scene, first, then),
            _ => false,
        }
    }

    /// Whether the time in which something may still come for this chain is over on some lane (S2.7, S2.9).
    pub fn may_be_forgotten(&self, chain: &str, by: BusTime) -> bool {
        let at = self.chains.get(chain).and_then(|chain| chain.closes_at(&self.now()));
        at.is_some_and(|at| by >= at || self.streams.iter().any(|stream| *stream >= at))
    }

    fn now(&self) -> Now<'_> {
        Now { policy: &self.policy, streams: &self.streams, host: self.host, clock: self.clock }
    }

    fn with(&mut self, id: &str, actions: &mut Vec<Action>, act: impl FnOnce(&mut Chain, &Now<'_>, &mut Vec<Action>)) {
        let Some(mut chain) = self.chains.remove(id) else { return };
        act(&mut chain, &self.now(), actions);
        let view = self.tell.then(|| chain.view());
        if let Some(view) = view.filter(|view| view.verdict.is_some() && chain.shown.as_ref() != Some(view)) {
            chain.shown = Some(view.clone());
            actions.push(Action::View(Box::new(view)));
        }
        self.chains.insert(id.to_owned(), chain);
    }

    fn decided(&self, input: &Input<'_>) -> bool {
        let id = match input {
            Input::Message(message) => message.chain_id,
            Input::DeadLetter(dead) => dead.message.chain_id,
            _ => return false,
        };
        self.chains.get(id).is_some_and(|chain| chain.verdict.is_some())
    }

    /// `decided`: there was a verdict before this message moved the time.
    fn take(&mut self, input: &Input<'_>, moment: Moment, decided: bool, actions: &mut Vec<Action>) {
        let (id, letter) = match input {
            Input::Message(message) => (message.chain_id, Letter::message(message, moment)),
            Input::DeadLetter(dead) => (dead.message.chain_id, Letter::dead(dead, moment)),
            Input::Result(result) => {
                return self.with(result.chain_id, actions, |chain, now, actions| {
                    if !chain.closed && chain.answered(result.command_id, result.state, moment.at, now) {
                        let about_pivot = chain.item(result.command_id).is_some_and(|item| chain.items[item].pivot);
                        chain.review(now, about_pivot);
                        chain.send(now, actions);
                        chain.changed_at = chain.changed_at.max(Some(moment.at));
                    }
                });
            }
            Input::Operation(operation) => {
                if !self.chains.contains_key(operation.chain_id) {
                    actions.push(Action::Refused(Refusal::OperationRefused));
                }
                return self.with(operation.chain_id, actions, |chain, now, actions| {
                    let known = !operation.operation_id.is_empty()
                        && !chain.operations.insert(operation.operation_id.to_owned());
                    if known {
                        return;
                    }
                    if chain.operate(operation, moment.at) {
                        let settles = std::mem::take(&mut chain.by_word);
                        chain.review(now, settles);
                        chain.send(now, actions);
                        chain.changed_at = chain.changed_at.max(Some(moment.at));
                    } else {
                        actions.push(Action::Refused(Refusal::OperationRefused));
                    }
                });
            }
            Input::Published(_) | Input::Unrouted(_) | Input::Route(_) => return,
        };
        // S2.9: the id of a closed chain is remembered for `max_age`.
        let age = self.policy.settings.max_age;
        let stream = self.streams[usize::from(moment.position.lane.0)];
        let forgotten = |chain: &Chain| chain.closed && chain.closed_at.is_some_and(|at| stream >= at.plus(age));
        self.chains.retain(|known, chain| known != id || !forgotten(chain));
        let new = Chain { id: id.to_owned(), ..Chain::default() };
        self.chains.entry(id.to_owned()).or_insert(new);
        self.with(id, actions, |chain, now, actions| {
            let over = chain.closes_at(now).is_some_and(|at| now.stream(moment.position.lane) >= at);
            chain.closed |= over && decided;
            if chain.closed {
                actions.push(Action::Refused(Refusal::ChainClosed));
                return;
            }
            chain.hear(letter, now.policy);
            if chain.verdict.is_some() {
                chain.changed_at = chain.changed_at.max(Some(moment.at));
                chain.as_of = now.streams.iter().copied().max();
            }
            chain.review(now, true);
            chain.send(now, actions);
        });
    }

    /// What time brings about next in a chain, in bus time: its verdict, the end of the time for its services to undo
    /// themselves, a time-out after the verdict.
    fn dues(&self, chain: &Chain) -> Vec<Due> {
        if chain.verdict.is_none() {
            let at = decide::instant(&chain.graph, &self.policy).filter(|_| !chain.closed);
            return at.map(|at| Due { at, lanes: decide::lanes(&chain.graph) }).into_iter().collect();
        }
        let window = chain.held_back_until().map(|at| Due { at, lanes: decide::lanes(&chain.graph) });
        let window = window.filter(|due| chain.window_over != due.lanes);
        let time_outs = chain.time_outs(&self.policy).into_iter();
        let time_outs = time_outs.map(|(lane, at)| Due { at, lanes: BTreeSet::from([lane]) });
        let patience = chain.patience_ends(&self.policy).into_iter();
        let patience = patience.map(|(at, lane)| Due { at, lanes: BTreeSet::from([lane]) });
        let undos = chain.own_undos_end(&self.policy).into_iter();
        let undos = undos.map(|(_, lane, at)| Due { at, lanes: BTreeSet::from([lane]) });
        let over = chain.closes_at(&self.now());
        // S2.7, S2.9: nothing more happens to a chain that is closed.
        time_outs
            .chain(window)
            .chain(patience)
            .chain(undos)
            .filter(|due| over.is_none_or(|over| due.at < over))
            .collect()
    }

    /// The first thing that the stream times have come to.
    fn due(&self, chain: &Chain) -> Option<Due> {
        self.dues(chain).into_iter().filter(|due| self.reached(due)).min_by_key(|due| due.at)
    }

    fn reached(&self, due: &Due) -> bool {
        due.lanes.iter().all(|lane| self.streams[usize::from(lane.0)] >= due.at)
    }

    /// A chain of which something is due now.
    fn ripe(&self) -> Option<String> {
        let ripe = self.chains.values().filter_map(|chain| self.due(chain).map(|due| (due, chain)));
        ripe.min_by_key(|(due, _)| due.at).map(|(_, chain)| chain.id.clone())
    }

    /// S2.6: what falls due is judged as of its own time, also where one message in a backlog moves the stream far on.
    fn fire(&mut self, id: &str, actions: &mut Vec<Action>) {
        let at = self.chains.get(id).and_then(|chain| self.due(chain)).map(|due| due.at);
        let as_of =
            self.chains.get(id).and_then(|chain| chain.as_of).unwrap_or(BusTime::MIN).max(at.unwrap_or(BusTime::MAX));
        let streams = self.streams.clone();
        self.streams.iter_mut().for_each(|stream| *stream = (*stream).min(as_of));
        self.with(id, actions, |chain, now, actions| {
            let (Some(at), None) = (at, &chain.verdict) else {
                let over = chain.held_back_until().is_some_and(|until| Some(until) == at);
                let lanes = decide::lanes(&chain.graph);
                if over && chain.window_over != lanes {
                    chain.window_over = lanes;
                } else {
                    chain.review(now, true);
                    chain.changed_at = chain.changed_at.max(at);
                }
                return chain.send(now, actions);
            };
            if chain.only_undos() {
                // S1.8: such a chain is closed without a verdict.
                chain.closed = true;
                chain.closed_at = Some(at);
                return;
            }
            chain.decide(at, now);
            chain.changed_at = Some(at);
            chain.send(now, actions);
        });
        self.streams = streams;
        self.with(id, actions, |chain, _, _| chain.as_of = Some(as_of));
    }

    /// S5.13: command clocks run only while every lane is read to its end.
    fn move_to(&mut self, host: HostTime, at: BusTime, at_end: &[LaneId], all: bool) {
        if all && self.host > HostTime::MIN {
            self.clock += host.since(self.host).0;
        }
        self.host = self.host.max(host);
        for lane in at_end {
            let stream = &mut self.streams[usize::from(lane.0)];
            *stream = (*stream).max(at);
        }
    }

    /// The host time of what is next, and the stream time that goes with it.
    fn next_within(&self, host: HostTime, at_end: &[LaneId], all: bool) -> Option<(HostTime, BusTime)> {
        let on_stream = self.chains.values().flat_map(|chain| self.dues(chain)).filter(|due| {
            due.lanes.iter().all(|lane| at_end.contains(lane) || self.streams[usize::from(lane.0)] >= due.at)
        });
        let on_stream = on_stream.map(|due| (due.at.as_host().max(self.host), due.at));
        let timers = self.chains.values().filter(|_| all).filter_map(Chain::next_timer);
        let timers = timers.map(|timer| self.host.plus(countermand::model::Span(timer.saturating_sub(self.clock))));
        let next = on_stream.chain(timers.map(|host| (host, host.as_bus()))).min()?;
        (next.0 <= host).then_some(next)
    }
}
