//! Stories: sequences of valid messages, answers, operators' actions and passing time over small alphabets, so that
//! they meet each other often.

use std::collections::HashMap;

use arbitrary::{Arbitrary, Unstructured};
use countermand::{
    model::{CommandResult, Handled, Input, Operation, Party, ResultState, Verb},
    wire::{self, WireLimits, proto},
};

use crate::{World, policy::span};

/// Steps of one story at most: more find nothing that fewer do not, and only take time.
pub const STEPS: usize = 800;

/// One step.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// An envelope, or a dead letter.
    Envelope(EnvelopeSeed),
    /// A participant's answer.
    Result(ResultSeed),
    /// An operator's action.
    Operation(OperationSeed),
    /// Time passes: by this span, with these lanes read to their end.
    Pass(u8, u8),
    /// What was to be published is.
    Publish,
    /// The process ends and begins again.
    Restart,
    /// Many chains of one call, each with a payload.
    Flood(u8, u8),
}

/// The bytes behind an envelope.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct EnvelopeSeed {
    chain: u8,
    call: u8,
    parent: u8,
    kind: u8,
    lane_and_lag: u8,
    links: u8,
    status: u8,
    effect: u8,
    parties: u8,
    timeout: u8,
    rest: u8,
}

/// The bytes behind an answer.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct ResultSeed {
    command: u8,
    state: u8,
    lane_and_lag: u8,
}

/// The bytes behind an operator's action.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct OperationSeed {
    chain: u8,
    call: u8,
    verb: u8,
    rest: u8,
}

impl<'a> Arbitrary<'a> for Step {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match u8::arbitrary(u)? % 32 {
            0..=3 => Self::Pass(u8::arbitrary(u)?, u8::arbitrary(u)?),
            4..=7 => Self::Result(ResultSeed::arbitrary(u)?),
            8..=9 => Self::Operation(OperationSeed::arbitrary(u)?),
            10..=11 => Self::Publish,
            12 => Self::Restart,
            13 => Self::Flood(u8::arbitrary(u)?, u8::arbitrary(u)?),
            _ => Self::Envelope(EnvelopeSeed::arbitrary(u)?),
        })
    }
}

/// Tells stories to a world.
pub struct Teller {
    limits: WireLimits,
    messages: u64,
    flooded: u64,
}

impl Default for Teller {
    fn default() -> Self {
        Self { limits: WireLimits::default(), messages: 0, flooded: 0 }
    }
}

impl Teller {
    /// Chains that stories are about, beside those of floods.
    #[must_use]
    pub fn chains() -> [&'static str; 4] {
        ["c0", "8f14e45f-ceea-467f-a7d1-0d9f2a1b3c4d", "a chain whose id is longer than most", "c0 \u{202e}\u{1f9e8}"]
    }

    /// Tells one step.
    pub fn tell(&mut self, world: &mut World, step: Step) {
        match step {
            Step::Envelope(seed) => self.envelope(world, &seed),
            Step::Result(seed) => result(world, seed),
            Step::Operation(seed) => operation(world, seed),
            Step::Pass(choice, at_end) => world.pass(i64::try_from(span(choice).0).unwrap_or(0), at_end),
            Step::Publish => world.publish(),
            Step::Restart => world.restart(),
            Step::Flood(count, size) => self.flood(world, count, size),
        }
    }

    fn envelope(&mut self, world: &mut World, seed: &EnvelopeSeed) {
        self.messages += 1;
        let envelope = seed.envelope(self.messages);
        let (lane, lag) = place(seed.lane_and_lag);
        // One in sixteen requests died in a queue.
        let dead = seed.rest >> 4 == 15 && envelope.kind() != proto::Kind::Response;
        let handled = if seed.rest & 1 == 0 { Handled::Maybe } else { Handled::No };
        if dead {
            let letter = wire::dead_letter(&envelope, handled, &self.limits).expect("a valid dead letter");
            world.input(lane, lag, &Input::DeadLetter(letter));
        } else {
            let message = wire::message(&envelope, &self.limits).expect("a valid envelope");
            world.input(lane, lag, &Input::Message(message));
        }
    }

    fn flood(&mut self, world: &mut World, count: u8, size: u8) {
        for _ in 0..count {
            self.flooded += 1;
            let envelope = proto::Envelope {
                chain_id: format!("flood-{:036}", self.flooded),
                call_id: "root".to_owned(),
                kind: proto::Kind::Request.into(),
                operation: "Do0".to_owned(),
                payload: (size > 0).then(|| payload(usize::from(size) * 8)),
                ..proto::Envelope::default()
            };
            let message = wire::message(&envelope, &self.limits).expect("a valid envelope");
            world.input(0, 0, &Input::Message(message));
        }
    }
}

/// A lane of three, and how many milliseconds before now the bus had it.
fn place(seed: u8) -> (usize, i64) {
    (usize::from(seed & 3), i64::try_from(span(seed >> 2 & 7).0).unwrap_or(0))
}

/// Twenty-five calls where a chain takes twenty; one is named like a consumer's part of an event, one is a UUID.
fn call(choice: u8) -> String {
    match choice % 25 {
        0 => "root".to_owned(),
        1 => "root/s1".to_owned(),
        2 => "7c9e6679-7425-40de-944b-e07fc1f90ae7".to_owned(),
        n => format!("call-{n}"),
    }
}

fn service(choice: u8) -> String {
    match choice % 16 {
        0 => String::new(),
        15 => format!("service-{choice}"),
        n => format!("s{}", n % 6),
    }
}

fn payload(bytes: usize) -> proto::Any {
    proto::Any { type_url: "type.googleapis.com/shop.Order".to_owned(), value: vec![7; bytes].into() }
}

impl EnvelopeSeed {
    fn envelope(&self, n: u64) -> proto::Envelope {
        let kind = match self.kind % 8 {
            0..=3 => proto::Kind::Request,
            7 => proto::Kind::Event,
            _ => proto::Kind::Response,
        };
        proto::Envelope {
            message_id: match self.rest % 8 {
                0 => String::new(),
                1 => "reused".to_owned(),
                _ => format!("m{n}"),
            },
            chain_id: Teller::chains()[usize::from(self.chain % 4)].to_owned(),
            call_id: call(self.call),
            // The root has none, as a rule, and one in eight others.
            parent_call_id: match (self.call % 25, self.parent % 8) {
                (0, 0..=6) | (_, 7) => String::new(),
                _ => call(self.parent / 8),
            },
            kind: kind.into(),
            source: Some(party(self.parties)),
            destination: Some(party(self.parties >> 4)),
            operation: if self.parties == 255 { format!("Op{n}") } else { format!("Do{}", self.parties % 3) },
            payload: (self.rest & 8 == 8).then(|| payload(usize::from(self.links) * 4)),
            timeout: self.timeout(),
            sent_at: None,
            status: (kind == proto::Kind::Response).then(|| self.status()),
            effect: self.effect(),
            retry_of: if self.links & 3 == 1 { call(self.links >> 2) } else { String::new() },
            compensates: if self.links & 7 == 2 { call(self.links >> 3) } else { String::new() },
            during_command_id: if self.links & 15 == 3 { "a command".to_owned() } else { String::new() },
            attributes: HashMap::from([("tenant".to_owned(), "t1".to_owned())]).into_iter().collect(),
        }
    }

    fn timeout(&self) -> Option<proto::Duration> {
        let millis = i64::try_from(span(self.timeout).0.min(30 * 86_400_000)).unwrap_or(0);
        let nanos = i32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000;
        (self.timeout < 200).then_some(proto::Duration { seconds: millis / 1_000, nanos })
    }

    fn status(&self) -> proto::Status {
        proto::Status {
            // Zero and above the known codes: nobody knows what they mean (S3.1).
            code: i32::from(self.status & 7),
            reason: ["", "NO", "TIMEOUT", "NO_STOCK"][usize::from(self.status >> 3 & 3)].to_owned(),
            message: String::new(),
            caused_by_call_id: if self.status >> 7 == 1 { call(self.status >> 3) } else { String::new() },
            fault: i32::from(self.status >> 5 & 1),
        }
    }

    fn effect(&self) -> Option<proto::Effect> {
        let compensation = proto::Compensation {
            operation: "Undo".to_owned(),
            payload: (self.effect & 128 != 0).then(|| payload(100)),
            accepts_in_doubt: self.effect & 32 != 0,
            inquire_operation: if self.effect & 64 == 0 { String::new() } else { "Ask".to_owned() },
            ..proto::Compensation::default()
        };
        (self.effect % 8 != 7).then(|| proto::Effect {
            kind: i32::from(self.effect % 8 % 5),
            idempotency_key: if self.effect & 8 == 0 { String::new() } else { "key".to_owned() },
            compensation: (self.effect & 16 == 16).then_some(compensation),
        })
    }
}

fn party(choice: u8) -> proto::Party {
    proto::Party { service: service(choice), version: format!("{}", choice % 2), instance: String::new() }
}

fn result(world: &mut World, seed: ResultSeed) {
    const STATES: [ResultState; 8] = [
        ResultState::Done,
        ResultState::NotNeeded,
        ResultState::Ongoing,
        ResultState::Retryable,
        ResultState::Failed,
        ResultState::Applied,
        ResultState::Absent,
        ResultState::Unknown,
    ];
    let commands = world.commands();
    // Newest first; now and then one that was never sent.
    let known = commands.iter().rev().nth(usize::from(seed.command) % (commands.len() + 1)).cloned();
    let (chain_id, command_id) = known.unwrap_or_else(|| ("c0".to_owned(), "no such command".to_owned()));
    let (lane, lag) = place(seed.lane_and_lag);
    let result = CommandResult {
        command_id: &command_id,
        chain_id: &chain_id,
        state: STATES[usize::from(seed.state) % STATES.len()],
        reason: "",
        message: "",
        by: Party::default(),
    };
    world.input(lane, lag, &Input::Result(result));
}

fn operation(world: &mut World, seed: OperationSeed) {
    const VERBS: [Verb; 10] = [
        Verb::Approve,
        Verb::Retry,
        Verb::Skip,
        Verb::Confirm,
        Verb::MarkDone,
        Verb::Reject,
        Verb::GiveUp,
        Verb::Pause,
        Verb::Resume,
        Verb::BrakeRelease,
    ];
    let call_id = if seed.call & 1 == 0 { String::new() } else { call(seed.call >> 1) };
    let operation = Operation {
        operation_id: if seed.rest & 7 == 1 { "operation" } else { "" },
        chain_id: Teller::chains()[usize::from(seed.chain % 4)],
        call_id: &call_id,
        verb: VERBS[usize::from(seed.verb) % VERBS.len()],
        revision: u32::from(seed.rest >> 6),
        by: "anna",
        reason: "",
    };
    world.input(2, 0, &Input::Operation(operation));
}
