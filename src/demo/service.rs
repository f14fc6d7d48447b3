//! One service of the shop on the bus: what it hears goes to its participant, and what that says goes out, each when it is
//! due. What is done about it is in `trade`; what goes wrong on the way, in `weather`.
//!
//! It knows nothing of the bus itself: messages go in, records come out.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use bytes::Bytes;
use prost::Message as _;

use super::{
    books::{Books, Row},
    order::{Order, prefix},
    shop::{self, GATEWAY, MAILER, PLACE_ORDER},
    speech::{self, clock},
    trade::Trade,
    weather::{Fate, GOOD, Weather},
};
use crate::{
    bus::Outgoing,
    model::{HostTime, Span},
    participant::{Error, Heard, How, MemoryError, Participant},
    wire::{
        self, WireLimits,
        proto::{Command, Envelope, Kind, StatusCode},
    },
};

/// How much later than its caller gave up a call arrives that is late: by then all was taken back.
const LATE: Span = Span::secs(4);

/// Time in which an undo is done, in milliseconds, from and to.
const UNDOING: (u64, u64) = (20, 90);

/// A call of a chain.
type CallKey = (String, String);

/// One service.
pub struct Service {
    name: &'static str,
    weather: Weather,
    version: String,
    participant: Participant<Books, Trade>,
    /// What it does later, in its order.
    later: BTreeMap<(HostTime, u64), Later>,
    numbered: u64,
    /// Requests that are not answered yet, since they wait for others.
    open: HashMap<CallKey, Envelope>,
    /// Its own calls that are not answered.
    calls: HashMap<CallKey, Asked>,
    /// Orders that the gateway has an answer to.
    pub answers: BTreeMap<u32, Answer>,
    /// When the gateway asked for an order.
    asked_at: HashMap<u32, HostTime>,
    /// Requests that came after they were taken back, and were refused.
    pub refused: u32,
    /// What should never happen, in words.
    pub troubles: Vec<String>,
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
    Handle(Box<Envelope>),
    Obey(Box<Command>),
    Say(Box<Outgoing>),
    GiveUp(CallKey),
}

/// A call that it made.
struct Asked {
    request: Envelope,
    /// The request that it is made for; `None`: the customer's.
    inside: Option<CallKey>,
}

impl Service {
    /// A service with `amount` in one account.
    #[must_use]
    pub fn new(name: &'static str, account: &str, amount: i64, weather: Weather) -> Self {
        let books = Books::holding([(Row::Account(account.to_owned()), amount)]);
        Self {
            name,
            weather,
            version: GOOD.to_owned(),
            participant: participant(name, GOOD, books, weather),
            later: BTreeMap::new(),
            numbered: 0,
            open: HashMap::new(),
            calls: HashMap::new(),
            answers: BTreeMap::new(),
            asked_at: HashMap::new(),
            refused: 0,
            troubles: Vec::new(),
        }
    }

    /// Its books.
    #[must_use]
    pub fn books(&self) -> &Books {
        self.participant.store()
    }

    /// Another version runs from now on, on the same books.
    pub fn release(&mut self, version: &str) {
        version.clone_into(&mut self.version);
        self.participant = participant(self.name, version, self.books().clone(), self.weather);
    }

    /// Whether it works on nothing, and no customer waits for an answer: while a broker is away nothing is heard, and much is
    /// under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.later.is_empty() && self.open.is_empty() && self.asked_at.is_empty()
    }

    /// Begins a chain: the gateway asks for an order.
    pub fn place(&mut self, order: &Order, now: HostTime) {
        let chain = chain_of(order);
        let step = &PLACE_ORDER;
        let messages = self.participant.messages();
        let request = messages.begin(&chain, &speech::label(step), step.service, step.operation);
        let request = request.timeout(std::time::Duration::from_millis(step.timeout));
        match request.payload(Order::TYPE, order.encode_to_vec()).sent(clock(now)) {
            Ok(request) => {
                self.asked_at.insert(order.number, now);
                self.ask(request, None, now);
            }
            Err(error) => self.trouble(&chain, error),
        }
    }

    /// Takes in a message that is for this service.
    pub fn hear(&mut self, envelope: Envelope, now: HostTime) {
        match envelope.kind() {
            Kind::Request | Kind::Event => self.asked(envelope, now),
            Kind::Response => {
                if let Some(asked) = self.calls.remove(&key_of(&envelope)) {
                    self.ended(&asked, &envelope, now);
                }
            }
            Kind::Unspecified => {}
        }
    }

    /// Takes in a command of the agent.
    pub fn obey(&mut self, command: Bytes, now: HostTime) {
        match wire::decode_command(command, &WireLimits::default()) {
            Ok(command) => {
                let (low, high) = UNDOING;
                let takes = self.weather.rng(&format!("undo/{}", command.command_id)).between(low, high);
                self.later(now.plus(Span::millis(takes)), Later::Obey(Box::new(command)));
            }
            Err(error) => self.trouble("a command", error),
        }
    }

    /// What is to be said by now.
    pub fn due(&mut self, now: HostTime) -> Vec<Outgoing> {
        let mut said = Vec::new();
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let at = entry.key().0;
            match entry.remove() {
                Later::Say(record) => said.push(*record),
                Later::Handle(request) => {
                    let heard = self.participant.request(&request, clock(at));
                    self.heard(&request, heard, at);
                }
                Later::Obey(command) => said.extend(self.carry_out(&command, at)),
                Later::GiveUp(call) => {
                    if let Some(asked) = self.calls.remove(&call) {
                        self.ended(&asked, &asked.request, at);
                    }
                }
            }
        }
        said
    }

    fn asked(&mut self, request: Envelope, now: HostTime) {
        let handle = Later::Handle(Box::new(request.clone()));
        match self.fate(&request) {
            Fate::Lost => {}
            Fate::Late => self.later(now.plus(LATE), handle),
            _ => {
                let (low, high) = shop::operation(self.name, &request.operation).map_or((0, 0), |known| known.takes);
                let (chain, call) = key_of(&request);
                let takes = self.weather.rng(&format!("takes/{chain}/{call}")).between(low, high);
                self.later(now.plus(Span::millis(takes)), handle);
            }
        }
    }

    fn fate(&self, request: &Envelope) -> Fate {
        let order = request.payload.as_ref().and_then(Order::from_any);
        let number = order.map_or(0, |order| order.number);
        self.weather.fate(number, self.name, &request.operation, &self.version)
    }

    /// A call ended, by `news` that answers it or without: the request that it was made for goes on, or fails.
    fn ended(&mut self, asked: &Asked, news: &Envelope, now: HostTime) {
        match &asked.inside {
            Some(inside) => {
                if let Some(request) = self.open.get(inside).cloned() {
                    let heard = self.participant.resume(&request, news, clock(now));
                    self.heard(&request, heard, now);
                }
            }
            None => self.answered(news, now),
        }
    }

    /// The gateway has its answer.
    fn answered(&mut self, news: &Envelope, now: HostTime) {
        let Some(number) = number_of(&news.chain_id).filter(|_| self.name == GATEWAY) else { return };
        let waited = self.asked_at.remove(&number).map_or(Span::ZERO, |asked_at| now.since(asked_at));
        let answer = match is_ok(news) {
            _ if waited > Span::millis(PLACE_ORDER.timeout) => Answer::TooLate,
            true => Answer::Placed,
            false => Answer::Failed,
        };
        self.answers.insert(number, answer);
    }

    /// Publishes what came of a request.
    fn heard(&mut self, request: &Envelope, heard: Result<Heard, Error<MemoryError>>, now: HostTime) {
        let key = key_of(request);
        let Heard { how, messages, why } = match heard {
            Ok(heard) => heard,
            Err(error) => return self.trouble(&key.0, error),
        };
        match how {
            How::Refused => self.refused += 1,
            // Nobody here waits for a moment and tries again.
            How::PutOff => self.trouble(&key.0, why),
            How::Handled | How::Repeated => {}
        }
        if messages.iter().any(|message| message.kind() == Kind::Response) {
            self.open.remove(&key);
        } else if how == How::Handled {
            self.open.insert(key.clone(), request.clone());
        }
        for message in messages {
            match message.kind() {
                // It is done, and nobody hears of it.
                Kind::Response if is_ok(&message) && self.fate(request) == Fate::Unanswered => {}
                Kind::Request if how == How::Handled => self.ask(message, Some(key.clone()), now),
                Kind::Event => self.say(MAILER, &message, now),
                _ => {
                    let whom = message.destination.clone().unwrap_or_default().service;
                    self.say(&whom, &message, now);
                }
            }
        }
    }

    /// Makes a call. One for a customer is waited for as long as it takes: he looks at the clock himself.
    fn ask(&mut self, request: Envelope, inside: Option<CallKey>, now: HostTime) {
        let call = key_of(&request);
        if inside.is_some() {
            self.later(now.plus(speech::timeout_of(&request)), Later::GiveUp(call.clone()));
        }
        let callee = request.destination.clone().unwrap_or_default().service;
        self.say(&callee, &request, now);
        self.calls.insert(call, Asked { request, inside });
    }

    /// Carries out a command, and answers it.
    fn carry_out(&mut self, command: &Command, now: HostTime) -> Option<Outgoing> {
        match self.participant.command(command, clock(now)) {
            Ok(answered) => answered.map(|answered| speech::result(&answered)),
            Err(error) => {
                self.trouble(&command.chain_id, error);
                None
            }
        }
    }

    /// Says something now; some messages are delivered twice.
    fn say(&mut self, whom: &str, envelope: &Envelope, now: HostTime) {
        let record = speech::to(whom, envelope);
        if self.weather.is_doubled(&envelope.message_id) {
            self.later(now.plus(Span::millis(30)), Later::Say(Box::new(record.clone())));
        }
        self.later(now, Later::Say(Box::new(record)));
    }

    fn later(&mut self, at: HostTime, what: Later) {
        self.numbered += 1;
        self.later.insert((at, self.numbered), what);
    }

    fn trouble(&mut self, about: &str, what: impl fmt::Display) {
        self.troubles.push(format!("{}: {about}: {what}", self.name));
    }
}

fn participant(name: &'static str, version: &str, books: Books, weather: Weather) -> Participant<Books, Trade> {
    let trade = Trade { name, version: version.to_owned(), weather };
    Participant::new(speech::messages(name, version), books, trade)
}

fn key_of(envelope: &Envelope) -> CallKey {
    (envelope.chain_id.clone(), envelope.call_id.clone())
}

fn is_ok(response: &Envelope) -> bool {
    response.status.as_ref().is_some_and(|status| status.code() == StatusCode::Ok)
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
