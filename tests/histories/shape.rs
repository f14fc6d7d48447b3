//! Chains of random shape, as the messages that a bus would have had of them.

use countermand::{
    model::{EffectClass, Handled, Span, StatusCode},
    policy::{InDoubt, Policy},
    scenario::{Act, EffectStep, PartyText, RequestStep, ResponseStep, Step},
};

use crate::{
    rng::Rng,
    rules::{CATALOGUED, SERVICES},
};

/// A call as it really was.
#[derive(Debug, Clone)]
pub struct Real {
    pub request: RequestStep,
    pub event: bool,
    pub parent: Option<usize>,
    pub begin: u64,
    pub end: u64,
    /// `None`: it never answered.
    pub code: Option<StatusCode>,
    pub reason: String,
}

/// A chain and its messages, in bus time, not in the order in which they are read.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    pub chain: String,
    pub calls: Vec<Real>,
    pub steps: Vec<Step>,
    next_id: u32,
    lanes: u16,
    round: u64,
    /// The consumers of catalogued events are known.
    known: bool,
}

const REASONS: &[&str] = &["R1", "R2", "R3"];

impl Shape {
    pub fn random(rng: &mut Rng, chain: &str, lanes: u16, start: u64, policy: &Policy) -> Self {
        let known = policy.catalogue.rules.iter().any(|rule| rule.consumers.is_some());
        let round = rng.pick(&[1, 1, 10]);
        let mut shape = Self { chain: chain.into(), lanes, round, known, ..Self::default() };
        let calls = rng.weighted(&[(2, 1), (3, 2), (4, 3), (4, 4), (4, 5), (3, 6), (2, 8), (1, 10), (1, 12)]);
        for _ in 0..calls {
            shape.grow(rng);
        }
        shape.time(rng, start);
        for call in 0..shape.calls.len() {
            shape.speak(rng, call);
        }
        shape.disturb(rng);
        shape
    }

    fn grow(&mut self, rng: &mut Rng) {
        let index = self.calls.len();
        let root = index == 0 || rng.percent(7);
        let parent = if root { None } else { Some(rng.index(index)).filter(|parent| self.depth(*parent) < 5) };
        let request = self.request(rng, index, parent);
        let mut request = request;
        let event = request.op == CATALOGUED.1 || request.retry_of.is_empty() && rng.percent(6);
        if event {
            // What a committed event is to its key nobody says.
            request.effect.key.clear();
        }
        self.calls.push(Real {
            request,
            event,
            parent,
            begin: 0,
            end: 0,
            code: Some(StatusCode::Ok),
            reason: String::new(),
        });
    }

    pub fn depth(&self, call: usize) -> usize {
        self.calls[call].parent.map_or(1, |parent| 1 + self.depth(parent))
    }

    /// A request of the call that would be the next one.
    pub fn request(&mut self, rng: &mut Rng, index: usize, parent: Option<usize>) -> RequestStep {
        let catalogued = rng.percent(6);
        let service = if catalogued { CATALOGUED.0 } else { rng.pick(SERVICES) };
        let siblings: Vec<usize> = (0..index).filter(|other| self.calls[*other].parent == parent).collect();
        let mut request = RequestStep {
            call: name(index),
            parent: parent.map(|parent| self.parent_name(rng, parent)).unwrap_or_default(),
            from: self.caller(rng, parent),
            to: PartyText { service: service.into(), version: "1".into(), instance: String::new() },
            op: if catalogued { CATALOGUED.1.into() } else { rng.pick(&["Do", "Do", "Make"]).into() },
            timeout: rng.percent(60).then(|| Span(rng.pick(&[30, 100, 300, 1000, 2000]))),
            effect: effect(rng),
            ..RequestStep::default()
        };
        let plain = |request: &RequestStep| request.op != CATALOGUED.1;
        let siblings: Vec<usize> = siblings
            .into_iter()
            .filter(|other| !self.calls[*other].event && self.calls[*other].request.compensates.is_empty())
            .collect();
        if !siblings.is_empty() && plain(&request) && rng.percent(14) {
            let other = &self.calls[rng.pick(&siblings)].request;
            request.retry_of = other.call.clone();
            if rng.percent(80) {
                request.to = other.to.clone();
                request.op = other.op.clone();
                request.effect = other.effect.clone();
            }
        } else if index > 0 && rng.percent(7) {
            request.compensates = self.calls[rng.index(index)].request.call.clone();
        }
        request
    }

    fn caller(&self, rng: &mut Rng, parent: Option<usize>) -> PartyText {
        let Some(parent) = parent.map(|parent| &self.calls[parent]) else { return PartyText::new("client") };
        if parent.event { PartyText::new(rng.pick(&SERVICES[..3])) } else { parent.request.to.clone() }
    }

    fn parent_name(&self, rng: &mut Rng, parent: usize) -> String {
        let parent = &self.calls[parent];
        let part = self.known && parent.event && parent.request.op == CATALOGUED.1 && rng.percent(30);
        if part { format!("{}/{}", parent.request.call, SERVICES[0]) } else { parent.request.call.clone() }
    }

    /// Begins and ends: children inside their parents, most of the time.
    fn time(&mut self, rng: &mut Rng, start: u64) {
        let roots: Vec<usize> = (0..self.calls.len()).filter(|call| self.calls[*call].parent.is_none()).collect();
        let mut at = start;
        for root in roots {
            let begin = at + rng.below(20);
            at = self.time_one(rng, root, begin);
            if rng.percent(60) {
                at = start + rng.below(60);
            }
        }
    }

    fn time_one(&mut self, rng: &mut Rng, call: usize, begin: u64) -> u64 {
        self.calls[call].begin = self.rounded(begin);
        let mut at = begin + rng.below(12);
        let mut last = begin;
        let children: Vec<usize> = (0..self.calls.len()).filter(|c| self.calls[*c].parent == Some(call)).collect();
        for child in children {
            let end = self.time_one(rng, child, at);
            last = last.max(end);
            at = if rng.percent(65) { end + rng.below(15) } else { at + rng.below(15) };
        }
        let early = rng.percent(8);
        let slow = if rng.percent(9) { rng.range(100, 3500) } else { 0 };
        let from = if early { begin } else { last };
        let end = self.rounded(from + rng.range(1, 40) + slow);
        self.calls[call].end = end;
        self.judge(rng, call);
        end
    }

    fn rounded(&self, at: u64) -> u64 {
        at / self.round * self.round
    }

    /// How a call ends: a caller mostly fails when what it called failed.
    fn judge(&mut self, rng: &mut Rng, call: usize) {
        let failed = (0..self.calls.len())
            .filter(|child| self.calls[*child].parent == Some(call))
            .find(|child| self.calls[*child].code != Some(StatusCode::Ok));
        let code = match failed {
            Some(_) if rng.percent(65) => Some(StatusCode::Failed),
            _ => rng.weighted(&[
                (64, Some(StatusCode::Ok)),
                (17, Some(StatusCode::Failed)),
                (7, Some(StatusCode::Unknown)),
                (5, Some(StatusCode::Cancelled)),
                (7, None),
            ]),
        };
        let inherited = failed.map(|child| self.calls[child].reason.clone()).filter(|_| rng.percent(60));
        self.calls[call].code = code;
        self.calls[call].reason = inherited.unwrap_or_else(|| rng.pick(REASONS).into());
    }

    /// What the bus has of a call.
    fn speak(&mut self, rng: &mut Rng, call: usize) {
        let real = self.calls[call].clone();
        let act = if real.event { Act::Event(real.request.clone()) } else { Act::Request(real.request.clone()) };
        self.say(rng, real.begin, act);
        if real.event {
            return self.report(rng, &real);
        }
        if rng.percent(4) {
            let at = real.begin + rng.range(1, 500);
            self.answer(rng, &real, StatusCode::Ongoing, at);
        }
        if rng.percent(4) {
            let handled = rng.pick(&[Handled::Maybe, Handled::No]);
            let letter = real.request.clone();
            self.say(rng, real.end, Act::DeadLetter { letter, event: false, handled });
        } else if let Some(code) = real.code {
            self.answer(rng, &real, code, real.end);
        }
        if rng.percent(6) {
            let code = any_code(rng);
            let at = real.end + rng.below(600);
            self.answer(rng, &real, code, at);
        }
    }

    /// Consumers' reports on an event.
    fn report(&mut self, rng: &mut Rng, real: &Real) {
        let named = real.request.op == CATALOGUED.1;
        if !named && rng.percent(30) {
            let code = any_code(rng);
            return self.answer(rng, real, code, real.end);
        }
        for service in &SERVICES[..3] {
            if rng.percent(if named { 80 } else { 25 }) {
                let code = rng.weighted(&[(7, StatusCode::Ok), (2, StatusCode::Failed), (1, StatusCode::Unknown)]);
                let at = real.end + rng.below(80);
                self.answer_by(rng, real, code, at, service);
            }
        }
    }

    pub fn answer(&mut self, rng: &mut Rng, real: &Real, code: StatusCode, at: u64) {
        self.answer_by(rng, real, code, at, "");
    }

    fn answer_by(&mut self, rng: &mut Rng, real: &Real, code: StatusCode, at: u64, by: &str) {
        let blames = !matches!(code, StatusCode::Ok | StatusCode::Ongoing) && rng.percent(15);
        let caused_by = match () {
            () if !blames => String::new(),
            () if rng.percent(10) => "ghost".into(),
            () => self.calls[rng.index(self.calls.len())].request.call.clone(),
        };
        let declares = code == StatusCode::Ok && rng.percent(8);
        let good = matches!(code, StatusCode::Ok | StatusCode::Ongoing);
        let response = ResponseStep {
            call: real.request.call.clone(),
            by: PartyText::new(by),
            code,
            reason: if good { String::new() } else { real.reason.clone() },
            caused_by,
            effect: if declares { undo(rng) } else { EffectStep::default() },
        };
        self.say(rng, at, Act::Response(response));
    }

    pub fn say(&mut self, rng: &mut Rng, at: u64, act: Act) {
        let at = Span(self.rounded(at));
        self.next_id += 1;
        let id = format!("{}{}", self.chain, self.next_id);
        let partition = u16::try_from(rng.below(u64::from(self.lanes))).expect("few lanes");
        let chain = self.chain.clone();
        self.steps.push(Step { at, lagging: false, partition, chain, id, refused: None, act });
    }

    /// Loss, duplicates, second requests, message ids used twice, cycles.
    fn disturb(&mut self, rng: &mut Rng) {
        for n in 0..self.steps.len() {
            if rng.percent(8) {
                let mut copy = self.steps[n].clone();
                copy.at = Span(copy.at.0 + rng.pick(&[0, 0, 0, 7]));
                copy.partition = u16::try_from(rng.below(u64::from(self.lanes))).expect("few lanes");
                self.steps.push(copy);
            }
            if rng.percent(1) {
                self.steps[n].id = self.steps[0].id.clone();
            }
            let last = self.calls[rng.index(self.calls.len())].request.call.clone();
            if let Act::Request(request) = &mut self.steps[n].act {
                if rng.percent(2) {
                    request.parent = last;
                } else if rng.percent(3) {
                    let mut other = request.clone();
                    other.effect = effect(rng);
                    let at = self.steps[n].at.0 + rng.below(20);
                    self.say(rng, at, Act::Request(other));
                }
            }
        }
        if rng.percent(30) {
            let lost = rng.range(0, 2);
            for _ in 0..lost {
                let n = rng.index(self.steps.len());
                self.steps.remove(n);
                if self.steps.is_empty() {
                    return;
                }
            }
        }
    }
}

pub fn name(index: usize) -> String {
    char::from(b'a' + u8::try_from(index % 26).expect("a letter")).to_string() + if index > 25 { "2" } else { "" }
}

pub fn any_code(rng: &mut Rng) -> StatusCode {
    rng.weighted(&[(5, StatusCode::Ok), (4, StatusCode::Failed), (2, StatusCode::Unknown), (1, StatusCode::Cancelled)])
}

fn undo(rng: &mut Rng) -> EffectStep {
    EffectStep {
        undo: rng.pick(&["Undo", "Revert"]).into(),
        in_doubt: rng.weighted(&[(4, InDoubt::Hold), (4, InDoubt::Undo), (3, InDoubt::Inquire)]),
        ..EffectStep::default()
    }
}

fn effect(rng: &mut Rng) -> EffectStep {
    let mut effect = if rng.percent(55) { undo(rng) } else { EffectStep::default() };
    if rng.percent(16) {
        effect.class = Some(rng.weighted(&[
            (2, EffectClass::ReadOnly),
            (2, EffectClass::Pivot),
            (3, EffectClass::Retriable),
            (1, EffectClass::Compensatable),
        ]));
    }
    if rng.percent(10) {
        effect.key = rng.pick(&["k1", "k2"]).into();
    }
    effect
}
