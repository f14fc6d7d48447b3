//! One service of the shop: it answers requests, calls others for them, keeps its books, and undoes what it is told to.
//!
//! It knows nothing of the bus: messages go in, records come out when they are due.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message as _;

use super::{
    effects::{Effects, Known},
    order::{Order, prefix},
    shop::{self, GATEWAY, MAILER, Move, PLACE_ORDER, PLACED, Step, Work},
    speech::{self, Asked},
    weather::{Fate, Weather},
};
use crate::{
    bus::Outgoing,
    model::{HostTime, Span},
    wire::proto::{Command, Envelope, Kind, ResultState, StatusCode},
};

/// How much later than its caller gave up a call arrives that is late: by then all was taken back.
const LATE: Span = Span::secs(4);

/// Time in which an undo is done, in milliseconds, from and to.
const UNDOING: (u64, u64) = (20, 90);

/// One service.
pub struct Service {
    name: &'static str,
    /// Its version; what it sends bears it.
    pub version: String,
    /// Its books, and which effects are in them.
    pub effects: Effects,
    weather: Weather,
    /// What it does later, in its order.
    later: BTreeMap<(HostTime, u64), Later>,
    numbered: u64,
    /// Requests that it works on: by chain and call.
    works: HashMap<(String, String), Working>,
    /// Its calls that are not answered: by chain and call, the request that they are for.
    calls: HashMap<(String, String), (String, String)>,
    /// Chains of which a mail was sent.
    pub mails: BTreeSet<String>,
    /// Orders that the gateway has an answer to.
    pub answers: BTreeMap<u32, Answer>,
    /// When the gateway asked for an order.
    asked_at: HashMap<u32, HostTime>,
}

/// What the gateway was told of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is placed.
    Placed,
    /// It failed.
    Failed,
    /// It came so late that a caller would have given up. Whether it was late by the bus's clock, which alone counts, the
    /// gateway does not know: only that the order must be there whole or not at all.
    TooLate,
}

/// Something to do later.
enum Later {
    Handle(Box<Envelope>, Fate),
    Say(Box<Outgoing>),
    GiveUp { chain: String, call: String },
}

/// A request that is worked on.
struct Working {
    request: Envelope,
    order: Order,
    steps: &'static [Step],
    next: usize,
    fate: Fate,
}

impl Service {
    /// A service with `amount` in one account.
    #[must_use]
    pub fn new(name: &'static str, account: &str, amount: i64, weather: Weather) -> Self {
        Self {
            name,
            version: super::weather::GOOD.to_owned(),
            effects: Effects::new(account, amount),
            weather,
            later: BTreeMap::new(),
            numbered: 0,
            works: HashMap::new(),
            calls: HashMap::new(),
            mails: BTreeSet::new(),
            answers: BTreeMap::new(),
            asked_at: HashMap::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// When it has something to do although nothing comes.
    #[must_use]
    pub fn next_due(&self) -> Option<HostTime> {
        self.later.keys().next().map(|(at, _)| *at)
    }

    /// Whether it works on nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.later.is_empty() && self.works.is_empty()
    }

    /// Begins a chain: the gateway asks for an order.
    pub fn place(&mut self, order: &Order, now: HostTime) {
        let chain = chain_of(order);
        let asked = Asked { chain: &chain, parent: "", by: self.name, version: &self.version, step: &PLACE_ORDER };
        let request = speech::request(&asked, order, None, now);
        self.calls.insert((chain.clone(), request.call_id.clone()), (chain, String::new()));
        self.asked_at.insert(order.number, now);
        self.say(speech::to(PLACE_ORDER.service, &request), now);
    }

    /// Takes in a message that is for this service.
    pub fn hear(&mut self, envelope: Envelope, now: HostTime) {
        match envelope.kind() {
            Kind::Request => self.asked(envelope, now),
            Kind::Response => self.answered(&envelope, now),
            Kind::Event if self.name == MAILER => drop(self.mails.insert(envelope.chain_id)),
            Kind::Event | Kind::Unspecified => {}
        }
    }

    /// What is to be said by now.
    pub fn due(&mut self, now: HostTime) -> Vec<Outgoing> {
        let mut said = Vec::new();
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let at = entry.key().0;
            match entry.remove() {
                Later::Say(record) => said.push(*record),
                Later::Handle(request, fate) => self.handle(*request, fate, at),
                Later::GiveUp { chain, call } => self.give_up(&chain, &call, at),
            }
        }
        said
    }

    fn asked(&mut self, request: Envelope, now: HostTime) {
        let key = (request.chain_id.clone(), request.call_id.clone());
        let Some(order) = request.payload.as_ref().and_then(Order::from_any) else { return };
        // A duplicate of what is worked on is no second request.
        if self.works.contains_key(&key) {
            return;
        }
        let Some(operation) = shop::operation(self.name, &request.operation) else { return };
        let fate = self.weather.fate(order.number, self.name, &request.operation, &self.version);
        let (low, high) = operation.takes;
        let takes = Span::millis(self.weather.rng(&format!("takes/{}/{}", key.0, key.1)).between(low, high));
        match fate {
            Fate::Lost => {}
            Fate::Late => self.later(now.plus(LATE), Later::Handle(Box::new(request), fate)),
            _ => self.later(now.plus(takes), Later::Handle(Box::new(request), fate)),
        }
    }

    fn handle(&mut self, request: Envelope, fate: Fate, now: HostTime) {
        let Some(order) = request.payload.as_ref().and_then(Order::from_any) else { return };
        let Some(operation) = shop::operation(self.name, &request.operation) else { return };
        match (fate, operation.work) {
            (Fate::Declined(reason) | Fate::Breaks(reason), _) => {
                self.answer(&request, StatusCode::Failed, reason, "", now);
            }
            (_, Work::Reads) => self.answer(&request, StatusCode::Ok, "", "", now),
            (_, Work::Moves(what)) => self.apply(&request, &order, what, fate, now),
            (_, Work::Calls(steps) | Work::CallsAndMoves(steps, _)) => {
                let key = (request.chain_id.clone(), request.call_id.clone());
                self.works.insert(key.clone(), Working { request, order, steps, next: 0, fate });
                self.go_on(&key, now);
            }
        }
    }

    /// Makes the next call of a request, or ends it.
    fn go_on(&mut self, key: &(String, String), now: HostTime) {
        let Some(working) = self.works.get_mut(key) else { return };
        if let Some(step) = working.steps.get(working.next) {
            working.next += 1;
            let asked = Asked { chain: &key.0, parent: &key.1, by: self.name, version: &self.version, step };
            let effect = shop::operation(step.service, step.operation).and_then(|operation| operation.work.moves());
            let request = speech::request(&asked, &working.order, effect, now);
            let call = (key.0.clone(), request.call_id.clone());
            self.calls.insert(call.clone(), key.clone());
            self.later(now.plus(Span::millis(step.timeout)), Later::GiveUp { chain: call.0, call: call.1 });
            self.say(speech::to(step.service, &request), now);
            return;
        }
        let Some(Working { request, order, fate, .. }) = self.works.remove(key) else { return };
        let work = shop::operation(self.name, &request.operation).map(|operation| operation.work);
        match work {
            Some(Work::CallsAndMoves(_, what)) => self.apply(&request, &order, what, fate, now),
            _ => {
                self.answer(&request, StatusCode::Ok, "", "", now);
                let event = speech::event(&request, self.name, &self.version, PLACED, &order, now);
                self.say(speech::to(MAILER, &event), now);
            }
        }
    }

    /// An answer to one of its calls.
    fn answered(&mut self, response: &Envelope, now: HostTime) {
        let call = (response.chain_id.clone(), response.call_id.clone());
        let Some(for_whom) = self.calls.remove(&call) else { return };
        let status = response.status.clone().unwrap_or_default();
        self.ended(&for_whom, status.code() == StatusCode::Ok, &status.reason, &call, now);
    }

    /// A call was waited for long enough.
    fn give_up(&mut self, chain: &str, call: &str, now: HostTime) {
        let call = (chain.to_owned(), call.to_owned());
        if let Some(for_whom) = self.calls.remove(&call) {
            self.ended(&for_whom, false, "TIMEOUT", &call, now);
        }
    }

    /// A call ended: the request that it was for goes on, or fails.
    fn ended(&mut self, for_whom: &(String, String), ok: bool, reason: &str, call: &(String, String), now: HostTime) {
        if self.name == GATEWAY {
            if let Some(number) = number_of(&call.0) {
                let waited = self.asked_at.remove(&number).map_or(Span::ZERO, |asked_at| now.since(asked_at));
                let answer = match ok {
                    _ if waited > Span::millis(PLACE_ORDER.timeout) => Answer::TooLate,
                    true => Answer::Placed,
                    false => Answer::Failed,
                };
                self.answers.insert(number, answer);
            }
        } else if ok {
            self.go_on(for_whom, now);
        } else if let Some(working) = self.works.remove(for_whom) {
            self.answer(&working.request, StatusCode::Failed, reason, &call.1, now);
        }
    }

    /// Moves what an order asks for, once, unless it was taken back before it came.
    fn apply(&mut self, request: &Envelope, order: &Order, what: Move, fate: Fate, now: HostTime) {
        let (from, to, amount) = what.of(order);
        match self.effects.apply(&request.chain_id, &request.call_id, &from, &to, amount) {
            Known::Applied if fate == Fate::Unanswered => {}
            Known::Applied => self.answer(request, StatusCode::Ok, "", "", now),
            Known::Lacking => self.answer(request, StatusCode::Failed, what.lacking, "", now),
            Known::Refused => self.answer(request, StatusCode::Failed, "ALREADY_UNDONE", "", now),
        }
    }

    fn answer(&mut self, request: &Envelope, code: StatusCode, reason: &str, caused_by: &str, now: HostTime) {
        let response = speech::response(request, self.name, &self.version, code, reason, caused_by, now);
        let caller = request.source.as_ref().map_or("", |source| source.service.as_str()).to_owned();
        self.say(speech::to(&caller, &response), now);
    }

    /// Carries out a command of the agent, and answers it.
    pub fn obey(&mut self, command: &[u8], now: HostTime) {
        let Ok(command) = Command::decode(command) else { return };
        let (low, high) = UNDOING;
        let takes = Span::millis(self.weather.rng(&format!("undo/{}", command.command_id)).between(low, high));
        let state = self.effects.obey(&command);
        let result = speech::result(&command, self.name, state, now.plus(takes));
        if state != ResultState::Unspecified {
            self.later(now.plus(takes), Later::Say(Box::new(result)));
        }
    }

    /// Says something now; some messages are delivered twice.
    fn say(&mut self, (record, message_id): (Outgoing, String), now: HostTime) {
        if self.weather.is_doubled(&message_id) {
            self.later(now.plus(Span::millis(30)), Later::Say(Box::new(record.clone())));
        }
        self.later(now, Later::Say(Box::new(record)));
    }

    fn later(&mut self, at: HostTime, what: Later) {
        self.numbered += 1;
        self.later.insert((at, self.numbered), what);
    }
}

/// The chain of an order.
#[must_use]
pub fn chain_of(order: &Order) -> String {
    format!("{}{:04}", prefix(&order.run), order.number)
}

/// The order of a chain.
fn number_of(chain: &str) -> Option<u32> {
    chain.rsplit('-').next()?.parse().ok()
}
