//! S1.2 to S1.8: from the messages of one chain to its calls and their parents, whatever the order of arrival.

use std::collections::{BTreeMap, BTreeSet};

use countermand::{
    model::{AnomalyKind, BusTime, Handled, LaneId, Moment, Span, StatusCode},
    policy::{OperationPolicy, Policy},
};

use super::letters::{Answer, Ask, Body, Declared, Letter};

/// What a call is (S1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A request that is answered.
    Request,
    /// An event of which no consumer is known.
    Event,
    /// One consumer's part in an event.
    Consumer,
}

/// What was heard about the end of a call.
#[derive(Debug, Clone)]
pub struct Said {
    pub moment: Moment,
    /// `None`: it turned up dead (S1.9).
    pub code: Option<StatusCode>,
    pub handled: Handled,
    pub reason: String,
    pub caused_by: String,
    pub declared: Option<Declared>,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: String,
    pub form: Form,
    /// `None`: half-known (S1.3).
    pub ask: Option<(Ask, Moment)>,
    /// In bus time.
    pub said: Vec<Said>,
    /// `None`: a root, a refused link, or half-known.
    pub parent: Option<usize>,
    pub root: bool,
    pub refused: bool,
    /// It, or a call that it is inside, is an undo (S1.8).
    pub undo: bool,
    pub timeout: Option<Span>,
    pub rule: Option<OperationPolicy>,
    /// The event whose place it takes (S1.7).
    pub event: Option<String>,
}

/// The calls of a chain.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub calls: Vec<Call>,
    pub anomalies: BTreeSet<AnomalyKind>,
    pub lanes: BTreeSet<LaneId>,
    pub first_at: Option<BusTime>,
    pub newest_at: Option<BusTime>,
    pub events: bool,
}

impl Graph {
    pub fn draw(letters: &[Letter], policy: &Policy) -> Self {
        let mut graph = Self {
            lanes: letters.iter().map(|letter| letter.moment.position.lane).collect(),
            first_at: letters.iter().map(|letter| letter.moment.at).min(),
            newest_at: letters.iter().map(|letter| letter.moment.at).max(),
            ..Self::default()
        };
        let heard = heard_once(letters, &mut graph.anomalies);
        let asks = first_requests(&heard, &mut graph.anomalies);
        let events = consumers(&heard, &asks, policy);
        graph.events = asks.values().any(|(ask, _)| ask.event);
        graph.begin(&asks, &events, policy);
        graph.answer(&heard, &events);
        graph.link(&asks, &events);
        graph.refuse_cycles();
        graph.mark_undo();
        graph.name_what_never_came();
        graph
    }

    pub fn find(&self, id: &str) -> Option<usize> {
        self.calls.iter().position(|call| call.id == id)
    }

    /// The call and all that it is inside, inside out.
    pub fn up(&self, call: usize) -> Vec<usize> {
        let mut all = vec![call];
        while let Some(parent) = self.calls[all[all.len() - 1]].parent {
            all.push(parent);
        }
        all
    }

    /// Whether `inner` is inside `outer`, or is it.
    pub fn within(&self, inner: usize, outer: usize) -> bool {
        self.up(inner).contains(&outer)
    }

    /// S1.3, S1.5: whether it hangs on a known root by links that were not refused: only such calls are judged.
    pub fn rooted(&self, call: usize) -> bool {
        let up = self.up(call);
        let top = &self.calls[up[up.len() - 1]];
        top.ask.is_some() && top.ask.as_ref().is_some_and(|(ask, _)| ask.parent.is_empty()) && !top.refused
    }

    /// S1.3, S1.5, S2.3: whether an open end of it holds the verdict: an orphan does, a half-known call and what a
    /// refused link cut off do not.
    pub fn holds(&self, call: usize) -> bool {
        self.calls[call].ask.is_some() && self.up(call).iter().all(|at| !self.calls[*at].refused)
    }

    /// S1.7: one call an event, or one for each consumer that is named or that reported.
    fn begin(&mut self, asks: &Asks<'_>, events: &Events, policy: &Policy) {
        for (id, (ask, moment)) in asks {
            let named = policy.catalogue.resolve(&policy.settings, &ask.to.service, &ask.operation);
            let services = events.get(*id).map(|services| services.iter()).into_iter().flatten();
            for service in services.clone() {
                let rule = policy.catalogue.resolve(&policy.settings, service, &ask.operation);
                let mut part = (*ask).clone();
                part.retry_of.clear();
                if part.to.service != *service {
                    part.to = super::letters::Party { service: service.clone(), ..Default::default() };
                }
                let limit = named.consumers.as_ref().filter(|consumers| consumers.services.contains(service));
                let mut call = Call::new(format!("{id}/{service}"), Form::Consumer, Some((part, *moment)), rule);
                call.timeout = limit.map(|consumers| consumers.report_within);
                call.event = Some((*id).into());
                self.calls.push(call);
            }
            if services.count() > 0 && !stands_itself(id, asks, events) {
                continue;
            }
            let form = if ask.event { Form::Event } else { Form::Request };
            let timeout = ask.timeout.or(named.timeout).filter(|_| !ask.event);
            let mut call = Call::new((*id).into(), form, Some(((*ask).clone(), *moment)), named);
            call.timeout = timeout;
            call.event = ask.event.then(|| (*id).to_owned());
            self.calls.push(call);
        }
    }

    fn half_known(&mut self, id: &str) -> usize {
        self.find(id).unwrap_or_else(|| {
            self.calls.push(Call { rule: None, ..Call::new(id.into(), Form::Request, None, no_rule()) });
            self.calls.len() - 1
        })
    }

    /// S1.2, S1.3, S1.7, S1.9: every answer goes to its call; one without a request is half-known.
    fn answer(&mut self, heard: &[&Letter], events: &Events) {
        for letter in heard {
            let said = match &letter.body {
                Body::Ask(_) => continue,
                Body::Answer(answer) => Said::answer(answer, letter.moment),
                Body::Dead(handled) => Said::dead(*handled, letter.moment),
            };
            let by = match &letter.body {
                Body::Answer(answer) if events.contains_key(&letter.call) => answer.by.service.as_str(),
                _ => "",
            };
            let id = if by.is_empty() { letter.call.clone() } else { format!("{}/{by}", letter.call) };
            let call = self.half_known(&id);
            self.calls[call].said.push(said);
        }
        for call in &mut self.calls {
            let finals: BTreeSet<StatusCode> = call
                .said
                .iter()
                .filter_map(|said| said.code)
                .filter(|code| matches!(code, StatusCode::Ok | StatusCode::Failed | StatusCode::Cancelled))
                .collect();
            if finals.len() > 1 {
                self.anomalies.insert(AnomalyKind::ConflictingResponse);
            }
        }
    }

    /// S1.3, S1.7: every parent that is named; a call inside an event belongs to the consumer whose service made it.
    fn link(&mut self, asks: &Asks<'_>, events: &Events) {
        for index in 0..self.calls.len() {
            let Some((ask, _)) = self.calls[index].ask.clone() else { continue };
            if ask.parent.is_empty() {
                self.calls[index].root = true;
                continue;
            }
            let parent = parent_of(&ask, asks, events);
            let parent = self.half_known(&parent);
            self.calls[index].parent = Some(parent);
        }
    }

    /// S1.5: of a cycle, the link of the call whose request is latest (bus time, position, id) is refused.
    fn refuse_cycles(&mut self) {
        loop {
            let Some(cycle) = (0..self.calls.len()).find_map(|start| self.cycle_of(start)) else { return };
            let latest = cycle
                .into_iter()
                .max_by_key(|call| {
                    let call = &self.calls[*call];
                    (call.ask.as_ref().map(|(_, moment)| *moment), call.id.clone())
                })
                .expect("a cycle has calls");
            self.calls[latest].parent = None;
            self.calls[latest].refused = true;
            self.anomalies.insert(AnomalyKind::CyclicParent);
        }
    }

    fn cycle_of(&self, start: usize) -> Option<Vec<usize>> {
        let mut seen = vec![start];
        loop {
            let parent = self.calls[seen[seen.len() - 1]].parent?;
            if parent == start {
                return Some(seen);
            }
            if seen.contains(&parent) {
                return None;
            }
            seen.push(parent);
        }
    }

    /// S1.8: marked `compensates`, made while an undo command was handled, or inside such a call.
    fn mark_undo(&mut self) {
        let own: Vec<bool> = self
            .calls
            .iter()
            .map(|call| call.ask.as_ref().is_some_and(|(ask, _)| !ask.compensates.is_empty() || !ask.during.is_empty()))
            .collect();
        for call in 0..self.calls.len() {
            self.calls[call].undo = self.up(call).iter().any(|at| own[*at]);
            self.calls[call].root &= !self.calls[call].undo;
        }
    }

    /// S1.3: what never came is an anomaly.
    fn name_what_never_came(&mut self) {
        for index in 0..self.calls.len() {
            if self.calls[index].ask.is_some() {
                continue;
            }
            if !self.calls[index].said.is_empty() {
                self.anomalies.insert(AnomalyKind::OrphanResponse);
            }
            if self.calls.iter().any(|call| call.parent == Some(index)) {
                self.anomalies.insert(AnomalyKind::MissingParent);
            }
        }
    }
}

impl Call {
    fn new(id: String, form: Form, ask: Option<(Ask, Moment)>, rule: OperationPolicy) -> Self {
        Self {
            id,
            form,
            ask,
            said: Vec::new(),
            parent: None,
            root: false,
            refused: false,
            undo: false,
            timeout: None,
            rule: Some(rule),
            event: None,
        }
    }

    pub fn begin(&self) -> Option<Moment> {
        self.ask.as_ref().map(|(_, moment)| *moment)
    }

    pub fn service(&self) -> &str {
        self.ask.as_ref().map_or("", |(ask, _)| ask.to.service.as_str())
    }

    pub fn operation(&self) -> &str {
        self.ask.as_ref().map_or("", |(ask, _)| ask.operation.as_str())
    }
}

impl Said {
    fn answer(answer: &Answer, moment: Moment) -> Self {
        Self {
            moment,
            code: Some(answer.code),
            handled: Handled::Maybe,
            reason: answer.reason.clone(),
            caused_by: answer.caused_by.clone(),
            declared: Some(answer.declared.clone()),
        }
    }

    fn dead(handled: Handled, moment: Moment) -> Self {
        Self { moment, code: None, handled, reason: String::new(), caused_by: String::new(), declared: None }
    }

    /// Everything but `ONGOING` (S3.1).
    pub fn is_final(&self) -> bool {
        self.code != Some(StatusCode::Ongoing)
    }
}

type Asks<'a> = BTreeMap<&'a str, (&'a Ask, Moment)>;
type Events = BTreeMap<String, BTreeSet<String>>;

fn no_rule() -> OperationPolicy {
    Policy::default().catalogue.resolve(&Policy::default().settings, "", "")
}

/// S1.2: in the order of bus time and position; a known message id with known content is dropped.
fn heard_once<'a>(letters: &'a [Letter], anomalies: &mut BTreeSet<AnomalyKind>) -> Vec<&'a Letter> {
    let mut sorted: Vec<&Letter> = letters.iter().collect();
    sorted.sort_by_key(|letter| letter.moment);
    let mut heard: Vec<&Letter> = Vec::new();
    for letter in sorted {
        let same_id = |other: &&&Letter| !letter.message_id.is_empty() && other.message_id == letter.message_id;
        if heard.iter().filter(same_id).any(|other| other.same_content(letter)) {
            continue;
        }
        if heard.iter().any(|other| same_id(&other)) {
            anomalies.insert(AnomalyKind::MessageIdReused);
        }
        heard.push(letter);
    }
    heard
}

/// S1.4: the first request in bus time stands.
fn first_requests<'a>(heard: &[&'a Letter], anomalies: &mut BTreeSet<AnomalyKind>) -> Asks<'a> {
    let mut asks = Asks::new();
    for letter in heard {
        let Body::Ask(ask) = &letter.body else { continue };
        let (first, _) = asks.entry(letter.call.as_str()).or_insert((ask, letter.moment));
        if *first != ask {
            anomalies.insert(AnomalyKind::ConflictingRequest);
        }
    }
    asks
}

/// S1.7: the consumers of every event: those that the catalogue names and those that reported.
fn consumers(heard: &[&Letter], asks: &Asks<'_>, policy: &Policy) -> Events {
    let mut events = Events::new();
    for (id, (ask, _)) in asks.iter().filter(|(_, (ask, _))| ask.event) {
        let rule = policy.catalogue.resolve(&policy.settings, &ask.to.service, &ask.operation);
        let mut services: BTreeSet<String> = rule.consumers.map(|all| all.services).into_iter().flatten().collect();
        for letter in heard.iter().filter(|letter| letter.call == **id) {
            if let Body::Answer(answer) = &letter.body {
                services.insert(answer.by.service.clone());
            }
        }
        services.remove("");
        events.insert((*id).into(), services);
    }
    events
}

fn parent_of(ask: &Ask, asks: &Asks<'_>, events: &Events) -> String {
    let is_event = asks.get(ask.parent.as_str()).is_some_and(|(parent, _)| parent.event);
    let consumed = events.get(&ask.parent).is_some_and(|services| services.contains(&ask.from.service));
    if is_event && consumed {
        return format!("{}/{}", ask.parent, ask.from.service);
    }
    // A consumer that is named as a parent, but neither catalogued nor heard of: the event itself did come.
    let part = ask.parent.rsplit_once('/').filter(|_| !asks.contains_key(ask.parent.as_str()));
    match part {
        Some((event, service)) if asks.get(event).is_some_and(|(parent, _)| parent.event) => {
            let known = events.get(event).is_some_and(|services| services.contains(service));
            if known { ask.parent.clone() } else { event.to_owned() }
        }
        _ => ask.parent.clone(),
    }
}

/// S1.7: an event whose place consumers took still stands if a call inside it belongs to none of them.
fn stands_itself(id: &str, asks: &Asks<'_>, events: &Events) -> bool {
    asks.values().any(|(ask, _)| parent_of(ask, asks, events) == id)
}
