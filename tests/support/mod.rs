//! A hand on the engine for tests that need more than scenario files can say.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use countermand::{
    engine::Engine,
    model::{
        Action, BusTime, ChainView, Command, CommandResult, Compensation, EffectDeclaration, Fault, HostTime, Input,
        LaneId, Message, MessageKind, Moment, Operation, Party, Position, Published, Request, Response, ResultState,
        Span, Status, StatusCode, Verb,
    },
    policy::{BrakeSettings, Mode, Policy},
};

/// 2026-01-01T00:00:00Z.
pub const BASE: i64 = 1_767_225_600_000;

/// A policy in `auto`, without the storm brake.
pub fn auto() -> Policy {
    let mut policy = Policy::default();
    policy.settings.mode = Mode::Auto;
    policy.settings.brake = BrakeSettings { per_edge: 0, overall: 0 };
    policy
}

/// An engine with one lane that is always read to its end, and everything it said.
pub struct Hand {
    pub engine: Engine,
    pub lane: LaneId,
    pub offset: u64,
    pub said: Vec<Action>,
}

impl Hand {
    pub fn new(policy: Policy) -> Self {
        let mut engine = Engine::new(policy);
        let lane = engine.lane("envelopes", 0);
        Self { engine, lane, offset: 0, said: Vec::new() }
    }

    /// Lets time pass, each timer at its own time.
    pub fn at(&mut self, ms: i64) {
        let host = HostTime(BASE + ms);
        while let Some(due) = self.engine.next_due().filter(|&due| due <= host) {
            self.step(due, &[self.lane]);
        }
        self.step(host, &[self.lane]);
    }

    /// Lets time pass in one step, with these lanes read to their end.
    pub fn advance(&mut self, ms: i64, at_end: &[LaneId]) {
        self.step(HostTime(BASE + ms), at_end);
    }

    fn step(&mut self, host: HostTime, at_end: &[LaneId]) {
        let mut actions = Vec::new();
        self.engine.advance(host, at_end, &mut actions);
        self.take(actions, host);
    }

    fn take(&mut self, actions: Vec<Action>, host: HostTime) {
        for action in &actions {
            if let Action::Command(command) = action {
                let published = Published { chain_id: &command.chain_id, command_id: &command.command_id };
                self.engine.apply(&Input::Published(published), self.moment(host), host, &mut Vec::new());
            }
        }
        self.said.extend(actions);
    }

    fn moment(&self, host: HostTime) -> Moment {
        Moment { at: host.as_bus(), position: Position { lane: self.lane, offset: self.offset } }
    }

    /// One input at `ms`.
    pub fn input(&mut self, ms: i64, input: &Input<'_>) {
        self.at(ms);
        let host = HostTime(BASE + ms);
        let mut actions = Vec::new();
        let moment = self.moment(host);
        self.offset += 1;
        self.engine.apply(input, moment, host, &mut actions);
        self.take(actions, host);
    }

    pub fn request<'a>(
        &mut self,
        ms: i64,
        chain: &'a str,
        call: &'a str,
        parent: &'a str,
        change: impl Fn(&mut Request<'a>),
    ) {
        let mut request = Self::asked(parent);
        change(&mut request);
        self.message(ms, chain, call, MessageKind::Request(request));
    }

    /// A one-way event without a parent (S1.7).
    pub fn event(&mut self, ms: i64, chain: &str, call: &str) {
        self.message(ms, chain, call, MessageKind::Event(Self::asked("")));
    }

    pub fn asked(parent: &str) -> Request<'_> {
        Request {
            parent,
            source: Party { service: "caller", ..Party::default() },
            destination: Party { service: "callee", version: "1.0", ..Party::default() },
            operation: "Do",
            timeout: Some(Span::secs(5)),
            retry_of: "",
            compensates: "",
            during: "",
            effect: EffectDeclaration::default(),
            attributes: None,
            payload: None,
        }
    }

    /// A consumer's report on an event.
    pub fn report(&mut self, ms: i64, chain: &str, event: &str, consumer: &str, code: StatusCode) {
        self.answer(ms, chain, event, consumer, code, "");
    }

    /// An answer to a command.
    pub fn result(&mut self, ms: i64, chain_id: &str, command_id: &str, state: ResultState) {
        let result = CommandResult { command_id, chain_id, state, reason: "", message: "", by: Party::default() };
        self.input(ms, &Input::Result(result));
    }

    /// What an operator asks of a call, or of the whole engine where neither chain nor call is named.
    pub fn operation(&mut self, ms: i64, chain_id: &str, call_id: &str, verb: Verb) {
        let operation = Operation { operation_id: "", chain_id, call_id, verb, revision: 0, by: "test", reason: "" };
        self.input(ms, &Input::Operation(operation));
    }

    /// The newest view of a chain that was said.
    pub fn view_said(&self, chain: &str) -> Option<ChainView> {
        self.said.iter().rev().find_map(|action| match action {
            Action::View(view) if view.chain_id == chain => Some((**view).clone()),
            _ => None,
        })
    }

    pub fn respond(&mut self, ms: i64, chain: &str, call: &str, code: StatusCode, reason: &str) {
        self.answer(ms, chain, call, "", code, reason);
    }

    fn answer(&mut self, ms: i64, chain: &str, call: &str, service: &str, code: StatusCode, reason: &str) {
        let by = Party { service, ..Party::default() };
        let status = Status { code, reason, message: "", caused_by: "", fault: Fault::Callee };
        let response = Response { by, status, effect: EffectDeclaration::default(), payload: None };
        self.message(ms, chain, call, MessageKind::Response(response));
    }

    pub fn message(&mut self, ms: i64, chain_id: &str, call_id: &str, kind: MessageKind<'_>) {
        let message_id = format!("m{}", self.offset);
        self.input(ms, &Input::Message(Message { message_id: &message_id, chain_id, call_id, kind }));
    }

    pub fn commands(&self) -> Vec<&Command> {
        self.said
            .iter()
            .filter_map(|action| match action {
                Action::Command(command) => Some(&**command),
                _ => None,
            })
            .collect()
    }
}

/// A declaration that `operation` undoes.
pub fn undo(operation: &str) -> EffectDeclaration<'_> {
    EffectDeclaration {
        class: None,
        key: "",
        compensation: Some(Compensation {
            operation,
            payload: None,
            accepts_in_doubt: false,
            inquire_operation: "",
            route: "",
            headers: None,
        }),
    }
}

/// A time in the tests' terms.
pub fn bus(ms: i64) -> BusTime {
    BusTime(BASE + ms)
}
