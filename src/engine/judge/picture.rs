//! S1.7, S2.1, S3.1: the calls of a chain as they are judged: events in the shape of their consumers' calls, each call
//! with its state, its parent and its place in time.

use std::collections::HashMap;

use petgraph::Direction;

use super::{before, groups, links};
use crate::{
    engine::{
        call::{Answer, AnswerCode, Begun, Call, Stamp},
        chain::{Chain, Node, Wake},
        decide::Now,
        decided::{CallKey, Item},
        lanes::Lanes,
        policies::Policies,
    },
    model::{BusTime, EffectClass, Name, Names, Span},
    policy::Settings,
};

/// State of a call (S3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum State {
    /// Its request never came.
    HalfKnown,
    /// Not answered, and its time is not over.
    Open,
    /// Answered `OK` in time; an event: published.
    Ok,
    /// Answered otherwise in time.
    Failed(AnswerCode),
    /// Its deadline and grace are over.
    TimedOut,
}

impl State {
    /// A failed call (S3.1).
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Failed(_) | Self::TimedOut)
    }
}

/// When a call is late, and when it ended (S2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Times {
    /// End of its timeout; `None`: it has none.
    pub deadline: Option<BusTime>,
    /// End of its grace.
    pub limit: Option<BusTime>,
    /// The answer that its caller acted on, if it came in time.
    pub answered: Option<Stamp>,
}

/// How a call stands with its chain's roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Standing {
    /// Below a root through known calls, or a root.
    Judged,
    /// Below a call whose request never came (S1.3), or such a call.
    Orphaned,
    /// Its parent link was refused (S1.5), or it is below such a call.
    Refused,
}

/// The event that began a chain, seen as one call whose parts its consumers' calls are (S1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::engine) struct EventScope(pub Node);

/// One call as it is judged.
#[derive(Debug)]
pub(in crate::engine) struct Seen<'c> {
    pub key: CallKey,
    pub call: &'c Call,
    /// Answers in bus time; of a consumer's call: its reports.
    pub answers: Vec<&'c Answer>,
    pub begun: Option<&'c Begun>,
    pub parent: Option<usize>,
    pub standing: Standing,
    /// Its own link was refused.
    pub refused: bool,
    pub depth: u32,
    /// Its time limit, without what an `ONGOING` added.
    pub timeout: Option<Span>,
    pub times: Times,
    pub state: State,
    /// It undoes, or is part of undoing (S1.8).
    pub undoes: bool,
    /// The event that began the chain, if this is a part of it.
    pub scope: Option<EventScope>,
    /// An event whose consumers' calls have taken its place (S1.7): it is judged no more, but commands speak of it.
    pub replaced: bool,
    pub group: usize,
    /// Ranks in the total order of begins and ends (S0); ends of open calls have none.
    pub begin_rank: u32,
    pub end_rank: Option<u32>,
    /// Children, in the order of their begins.
    pub children: Vec<usize>,
    /// Rank of the last begin inside it, at any depth; of any call, and of a forward one. Zero: there is none.
    pub last_inside: u32,
    pub last_forward_inside: u32,
}

impl Seen<'_> {
    /// Judged, and not an undo: what may be a suspect, and what may be undone.
    pub fn is_forward(&self) -> bool {
        self.standing == Standing::Judged && !self.undoes
    }

    pub fn is_root(&self) -> bool {
        self.begun.is_some_and(|begun| !begun.has_parent) && !self.undoes
    }

    /// The answer that decides: the first final one in bus time (S1.2).
    pub fn decisive(&self) -> Option<&Answer> {
        self.answers.iter().copied().find(|answer| answer.code.is_final())
    }

    /// When it ended (S2.1): its answer, or its deadline.
    pub fn ended_at(&self) -> Option<BusTime> {
        match self.state {
            State::TimedOut => self.times.deadline,
            State::Ok | State::Failed(_) => {
                self.times.answered.map(|stamp| stamp.at).or(self.begun.map(|begun| begun.stamp.at))
            }
            State::Open | State::HalfKnown => None,
        }
    }

    /// The service that was called.
    pub fn service(&self) -> Name {
        if self.key.consumer.is_none() {
            self.begun.map_or(Name::NONE, |begun| begun.service)
        } else {
            self.key.consumer
        }
    }

    /// The version that answered, else the one that was asked.
    pub fn version(&self) -> Name {
        let answered = self.answers.iter().find(|answer| answer.code == AnswerCode::Ok).or(self.answers.first());
        match answered.map(|answer| answer.version) {
            Some(version) if !version.is_none() => version,
            _ if self.key.consumer.is_none() => self.begun.map_or(Name::NONE, |begun| begun.version),
            _ => Name::NONE,
        }
    }

    /// The declared classes of its effect: response, request; the catalogue's is the caller's to add.
    pub fn declares_class(&self, class: EffectClass) -> bool {
        let answers =
            self.answers.iter().filter_map(|answer| answer.more.as_ref()).any(|m| m.effect.class == Some(class));
        answers || self.begun.and_then(|begun| begun.more.as_ref()).is_some_and(|m| m.effect.class == Some(class))
    }
}

/// All calls of a chain as they are judged.
pub(in crate::engine) struct Picture<'c> {
    pub calls: Vec<Seen<'c>>,
    /// Attempts of each retry group, in the order of their begins.
    pub groups: Vec<groups::Group>,
    pub cyclic: bool,
    pub too_deep: bool,
    pub chain: &'c Chain,
    pub names: &'c Names,
    pub settings: &'c Settings,
}

impl<'c> Picture<'c> {
    /// Draws the picture of a chain at the stream times of its lanes.
    pub fn draw(chain: &'c Chain, names: &'c Names, policies: &'c Policies, lanes: &Lanes) -> Self {
        let items = chain.decided.as_ref().map_or(&[][..], |decided| &decided.items);
        Self::draw_as_of(chain, names, policies, Now { lanes, as_of: BusTime::MAX }, items)
    }

    /// The same as of an instant that the lanes may have passed: in a backlog one step passes many, and what was not
    /// timed out then is not timed out in the picture (S2.6). `items`: those of the chain's plan.
    pub fn draw_as_of(
        chain: &'c Chain,
        names: &'c Names,
        policies: &'c Policies,
        now: Now<'_>,
        items: &[Item],
    ) -> Self {
        let settings = &policies.policy().settings;
        let mut picture = Self {
            calls: Vec::with_capacity(chain.graph.node_count()),
            groups: Vec::new(),
            cyclic: false,
            too_deep: false,
            chain,
            names,
            settings,
        };
        let index = picture.list_calls(policies, items);
        picture.set_states(now);
        links::resolve(&mut picture, &index);
        before::rank(&mut picture);
        picture.sort_children();
        groups::gather(&mut picture);
        picture
    }

    /// Every node as one call, every event with consumers as one call a consumer (S1.7).
    fn list_calls(&mut self, policies: &Policies, items: &[Item]) -> Index {
        let mut index = Index::default();
        for node in self.chain.graph.node_indices() {
            let call = &self.chain.graph[node];
            let consumers = consumers_of(call, self.names, policies);
            if stands_by_itself(self.chain, node, &consumers) {
                index.own.insert(node, self.calls.len());
                let answers = call.answers().filter(|answer| !is_report(call, answer)).collect();
                self.calls.push(seen(CallKey { node, consumer: Name::NONE }, call, answers));
            } else if items.iter().any(|item| item.call == CallKey { node, consumer: Name::NONE }) {
                // Commands were planned for it before its consumers were known.
                let event = seen(CallKey { node, consumer: Name::NONE }, call, Vec::new());
                self.calls.push(Seen { replaced: true, undoes: true, ..event });
            }
            for (consumer, within) in consumers {
                let own = |answer: &&Answer| answer.service == consumer;
                let dead = |answer: &&Answer| answer.code.is_dead_letter() && !call.is_answered_by(consumer);
                let answers = call.answers().filter(|answer| own(answer) || dead(answer)).collect();
                let mut part = seen(CallKey { node, consumer }, call, answers);
                part.times.deadline = within.and_then(|within| call.begun.as_ref().map(|b| b.stamp.at.plus(within)));
                index.consumers.insert((node, consumer), self.calls.len());
                self.calls.push(part);
            }
        }
        self.adopt_aliases(&mut index);
        index
    }

    /// A node that is only a name `EVENT/service` is the consumer's call: what names it as parent means that one, and
    /// what answers it reports for that one.
    fn adopt_aliases(&mut self, index: &mut Index) {
        if !self.chain.has_events {
            return;
        }
        let graph = &self.chain.graph;
        let placeholders: Vec<usize> = (0..self.calls.len()).filter(|&n| self.calls[n].begun.is_none()).collect();
        let mut gone = Vec::new();
        for n in placeholders {
            let text = self.calls[n].call.id.text();
            let Some((event, service)) = text.rsplit_once('/') else { continue };
            let Some(event) = self.chain.find(event) else { continue };
            if !graph[event].begun.as_ref().is_some_and(|begun| begun.event) {
                continue;
            }
            let consumer = self.names.find(service);
            let target = consumer.and_then(|consumer| index.consumers.get(&(event, consumer)).copied());
            let Some(target) = target.or_else(|| index.own.get(&event).copied()) else { continue };
            let moved = std::mem::take(&mut self.calls[n].answers);
            let answers = &mut self.calls[target].answers;
            answers.extend(moved);
            answers.sort_by_key(|answer| answer.stamp);
            index.alias.insert(self.calls[n].key.node, target);
            gone.push(n);
        }
        self.drop_calls(&gone, index);
    }

    fn drop_calls(&mut self, gone: &[usize], index: &mut Index) {
        if gone.is_empty() {
            return;
        }
        let shift = |n: usize| n - gone.iter().filter(|&&dropped| dropped < n).count();
        let mut n = 0;
        self.calls.retain(|_| {
            n += 1;
            !gone.contains(&(n - 1))
        });
        index.own.retain(|_, at| !gone.contains(at));
        for at in index.own.values_mut().chain(index.consumers.values_mut()).chain(index.alias.values_mut()) {
            *at = shift(*at);
        }
    }

    fn set_states(&mut self, now: Now<'_>) {
        let grace = self.settings.timeout_grace;
        for seen in &mut self.calls {
            let Some(begun) = seen.begun else { continue };
            let timeout = if seen.key.consumer.is_none() {
                begun.timeout().filter(|_| !begun.event)
            } else {
                seen.times.deadline.map(|deadline| deadline.since(begun.stamp.at))
            };
            seen.timeout = timeout;
            seen.times = call_clock(begun.stamp.at, timeout, grace, seen.answers.iter().copied());
            seen.state = match seen.times.answered {
                Some(_) => match seen.decisive().map(|answer| answer.code) {
                    Some(AnswerCode::Ok) => State::Ok,
                    Some(code) => State::Failed(code),
                    None => State::Open,
                },
                None if begun.event && seen.key.consumer.is_none() => State::Ok,
                None => match seen.times.limit {
                    Some(at) if now.has_passed(Wake { at, lane: begun.stamp.lane() }) => State::TimedOut,
                    _ => State::Open,
                },
            };
        }
    }

    fn sort_children(&mut self) {
        for n in 0..self.calls.len() {
            if let Some(parent) = self.calls[n].parent.filter(|_| !self.calls[n].replaced) {
                self.calls[parent].children.push(n);
            }
        }
        for n in 0..self.calls.len() {
            let mut children = std::mem::take(&mut self.calls[n].children);
            children.sort_by_key(|&child| self.calls[child].begin_rank);
            self.calls[n].children = children;
        }
        self.look_inside();
    }

    /// From the leaves up: when the last call inside each began.
    fn look_inside(&mut self) {
        let mut order: Vec<usize> = (0..self.calls.len()).collect();
        order.sort_by_key(|&n| std::cmp::Reverse(self.calls[n].depth));
        for n in order {
            let seen = &self.calls[n];
            let Some(parent) = seen.parent.filter(|_| !seen.replaced) else { continue };
            let last = seen.last_inside.max(seen.begin_rank);
            let own = if seen.is_forward() { seen.begin_rank } else { 0 };
            let last_forward = seen.last_forward_inside.max(own);
            let parent = &mut self.calls[parent];
            parent.last_inside = parent.last_inside.max(last);
            parent.last_forward_inside = parent.last_forward_inside.max(last_forward);
        }
    }

    /// Whether call `a` is `b` or inside it. Bounded by the depth limit, since refused links are not followed.
    pub fn is_within(&self, a: usize, b: usize) -> bool {
        let mut at = Some(a);
        while let Some(n) = at {
            if n == b {
                return true;
            }
            at = self.calls[n].parent;
        }
        false
    }

    /// The call of a key. Calls stand in the order of their nodes.
    pub fn find(&self, key: CallKey) -> Option<usize> {
        let first = self.calls.partition_point(|seen| seen.key.node < key.node);
        let own = self.calls[first..].iter().take_while(|seen| seen.key.node == key.node);
        own.zip(first..).find(|(seen, _)| seen.key == key).map(|(_, n)| n)
    }

    /// The call of an id, also of a consumer's call.
    pub fn find_id(&self, id: &str) -> Option<usize> {
        self.calls.iter().position(|seen| self.is_id(seen, id))
    }

    fn is_id(&self, seen: &Seen<'_>, id: &str) -> bool {
        if seen.key.consumer.is_none() {
            return seen.call.id.is(id);
        }
        id.rsplit_once('/')
            .is_some_and(|(event, service)| seen.call.id.is(event) && self.names.text(seen.key.consumer) == service)
    }

    /// Text of a call's id.
    pub fn id(&self, n: usize) -> String {
        key_text(self.chain, self.names, self.calls[n].key)
    }
}

/// Text of a call's id: `EVENT/service` for a consumer's part (S1.7).
pub(in crate::engine) fn key_text(chain: &Chain, names: &Names, key: CallKey) -> String {
    let id = chain.graph[key.node].id.text();
    if key.consumer.is_none() { id.into_owned() } else { format!("{id}/{}", names.text(key.consumer)) }
}

/// Where nodes stand in the picture.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub own: HashMap<Node, usize>,
    pub consumers: HashMap<(Node, Name), usize>,
    pub alias: HashMap<Node, usize>,
}

/// Whether a node is a call of its own: it has no consumers, or is an event with a dead letter that is none of theirs,
/// or with children that belong to none of them (S1.7).
pub(in crate::engine) fn stands_by_itself(chain: &Chain, node: Node, consumers: &[(Name, Option<Span>)]) -> bool {
    let call = &chain.graph[node];
    let dead = call.answers().any(|answer| answer.code.is_dead_letter());
    // A dead letter is that of a consumer which has not reported; if all have, nobody knows whose.
    let nobodys = dead && consumers.iter().all(|(consumer, _)| call.is_answered_by(*consumer));
    consumers.is_empty() || nobodys || has_stray_children(chain, node, consumers)
}

/// Whether an event that its consumers stand for still has children that belong to none of them.
fn has_stray_children(chain: &Chain, event: Node, consumers: &[(Name, Option<Span>)]) -> bool {
    chain.graph.neighbors_directed(event, Direction::Outgoing).any(|child| {
        chain.graph[child]
            .begun
            .as_ref()
            .is_some_and(|begun| !consumers.iter().any(|(consumer, _)| *consumer == begun.source))
    })
}

fn seen<'c>(key: CallKey, call: &'c Call, answers: Vec<&'c Answer>) -> Seen<'c> {
    Seen {
        key,
        call,
        answers,
        begun: call.begun.as_ref(),
        parent: None,
        standing: Standing::Orphaned,
        refused: false,
        depth: 0,
        timeout: None,
        times: Times { deadline: None, limit: None, answered: None },
        state: State::HalfKnown,
        undoes: false,
        scope: None,
        replaced: false,
        group: 0,
        begin_rank: 0,
        end_rank: None,
        children: Vec::new(),
        last_inside: 0,
        last_forward_inside: 0,
    }
}

/// A response to an event that names the service which reports.
fn is_report(call: &Call, answer: &Answer) -> bool {
    call.begun.as_ref().is_some_and(|begun| begun.event) && !answer.service.is_none()
}

/// The consumers of an event: those of the catalogue, then those that reported, each with its limit (S1.7).
pub(in crate::engine) fn consumers_of(call: &Call, names: &Names, policies: &Policies) -> Vec<(Name, Option<Span>)> {
    let Some(begun) = call.begun.as_ref().filter(|begun| begun.event) else { return Vec::new() };
    let policy = policies.look_up(names, begun.service, begun.operation);
    let mut consumers: Vec<(Name, Option<Span>)> = Vec::new();
    if let Some(known) = &policy.consumers {
        let named = known.services.iter().filter_map(|service| names.find(service));
        consumers.extend(named.map(|name| (name, Some(known.report_within))));
    }
    for answer in call.answers().filter(|answer| !answer.service.is_none()) {
        if !consumers.iter().any(|(consumer, _)| *consumer == answer.service) {
            consumers.push((answer.service, None));
        }
    }
    consumers
}

/// S2.1: deadline and grace of a call, and the answer that came within them. An `ONGOING` that comes in time restarts
/// the clock at its own bus time.
pub(in crate::engine) fn call_clock<'a>(
    began_at: BusTime,
    timeout: Option<Span>,
    grace: Span,
    answers: impl Iterator<Item = &'a Answer> + Clone,
) -> Times {
    let decisive = answers.clone().find(|answer| answer.code.is_final());
    // Nearly every call: no progress was reported.
    let Some(timeout) = timeout else {
        return Times { deadline: None, limit: None, answered: decisive.map(|answer| answer.stamp) };
    };
    let mut deadline = began_at.plus(timeout);
    for progress in answers.filter(|answer| answer.code == AnswerCode::Ongoing) {
        let after_end = decisive.is_some_and(|answer| answer.stamp < progress.stamp);
        if after_end || progress.stamp.at > deadline.plus(grace) {
            break;
        }
        deadline = deadline.max(progress.stamp.at.plus(timeout));
    }
    let limit = deadline.plus(grace);
    let answered = decisive.filter(|answer| answer.stamp.at <= limit).map(|answer| answer.stamp);
    Times { deadline: Some(deadline), limit: Some(limit), answered }
}
