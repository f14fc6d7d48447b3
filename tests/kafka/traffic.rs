//! Chains of a small shop with known truth, and participants that answer commands.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use countermand::{
    model::{CommandAction, command_id},
    wire::proto::{
        Any, Command, CommandResult, Compensation, Duration as Span, Effect, EffectKind, Envelope, Kind, Party,
        ResultState, Status, StatusCode,
    },
};
use prost::Message;

use crate::{
    bus::{PATIENCE, Reader, Sender},
    world::World,
};

/// A seeded sequence of numbers: the same seed is the same traffic.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What happens in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Story {
    /// Everything works.
    Good,
    /// Everything works, but takes longer than an agent waits before it saves a chain.
    Patient,
    /// The card is declined: the reservation is undone.
    Declined,
    /// As before, but only after seven seconds.
    DeclinedLate,
    /// The payment never answers: it is undone in doubt, then the reservation.
    Hanging,
}

impl Story {
    /// The calls that are undone, in the order of their waves.
    pub fn undone(self) -> &'static [&'static str] {
        match self {
            Self::Good | Self::Patient => &[],
            Self::Declined | Self::DeclinedLate => &["reserve"],
            Self::Hanging => &["charge", "reserve"],
        }
    }

    /// Ids of the commands that undo chain `id`, in the order of their waves.
    pub fn command_ids(self, id: &str) -> Vec<String> {
        self.undone().iter().map(|call| command_id(id, call, CommandAction::Undo, 1)).collect()
    }

    /// Cause of the failure of the payment, where the chain fails.
    pub fn cause(self) -> Option<&'static str> {
        match self {
            Self::Good | Self::Patient => None,
            Self::Declined | Self::DeclinedLate => Some("error"),
            Self::Hanging => Some("no_response"),
        }
    }

    /// Messages of chain `id`, each with the milliseconds after its begin at which it is sent.
    pub fn messages(self, id: &str) -> Vec<(u64, Envelope)> {
        let late = if matches!(self, Self::Patient | Self::DeclinedLate) { 7_000 } else { 0 };
        let chain = Chain { id };
        let mut messages = vec![
            (0, chain.request("place", "", "gateway", "order", "PlaceOrder", None)),
            (5, chain.request("reserve", "place", "order", "inventory", "Reserve", Some("Release"))),
            (9, chain.response("reserve", "inventory", StatusCode::Ok, "")),
            (12, chain.request("charge", "place", "order", "payment", "Charge", Some("Refund"))),
        ];
        let (charge, place) = match self {
            Self::Good | Self::Patient => (Some((StatusCode::Ok, "")), (StatusCode::Ok, "")),
            Self::Declined | Self::DeclinedLate => {
                (Some((StatusCode::Failed, "CARD_DECLINED")), (StatusCode::Failed, "PAYMENT_FAILED"))
            }
            Self::Hanging => (None, (StatusCode::Failed, "PAYMENT_TIMED_OUT")),
        };
        if let Some((code, reason)) = charge {
            messages.push((20 + late, chain.response("charge", "payment", code, reason)));
        } else if let Some((_, request)) = messages.last_mut() {
            request.timeout = Some(Span { seconds: 0, nanos: 400_000_000 });
        }
        let answered = if self == Self::Hanging { 450 } else { 25 + late };
        messages.push((answered, chain.response("place", "order", place.0, place.1)));
        messages
    }
}

struct Chain<'a> {
    id: &'a str,
}

impl Chain<'_> {
    fn envelope(&self, call: &str, kind: Kind) -> Envelope {
        Envelope {
            message_id: format!("{call}-{}", kind.as_str_name()),
            chain_id: self.id.to_owned(),
            call_id: call.to_owned(),
            kind: kind.into(),
            ..Envelope::default()
        }
    }

    fn request(&self, call: &str, parent: &str, from: &str, to: &str, operation: &str, undo: Option<&str>) -> Envelope {
        let party = |service: &str| Party { service: service.into(), version: "1".into(), instance: String::new() };
        Envelope {
            parent_call_id: parent.to_owned(),
            source: Some(party(from)),
            destination: Some(party(to)),
            operation: operation.to_owned(),
            effect: undo.map(|undo| Effect {
                kind: EffectKind::Compensatable.into(),
                idempotency_key: String::new(),
                compensation: Some(Compensation {
                    operation: undo.to_owned(),
                    accepts_in_doubt: true,
                    ..Compensation::default()
                }),
            }),
            ..self.envelope(call, Kind::Request)
        }
    }

    fn response(&self, call: &str, by: &str, code: StatusCode, reason: &str) -> Envelope {
        Envelope {
            source: Some(Party { service: by.into(), version: "1".into(), instance: String::new() }),
            status: Some(Status { code: code.into(), reason: reason.to_owned(), ..Status::default() }),
            ..self.envelope(call, Kind::Response)
        }
    }
}

/// The declined chain, of which nobody declares what undoes the reservation. Its response says in JSON where it is.
pub fn undeclared(id: &str) -> Vec<Envelope> {
    let mut messages: Vec<Envelope> = Story::Declined.messages(id).into_iter().map(|(_, message)| message).collect();
    for message in messages.iter_mut().filter(|message| message.call_id == "reserve") {
        message.effect = None;
        let value = format!(r#"{{"shelf": {{"no": 7}}, "for": "{id}"}}"#);
        message.payload = Some(Any { type_url: "json".to_owned(), value: value.into_bytes().into() });
    }
    messages
}

/// Sends one envelope where it belongs, and returns once it is on the bus and what is sent next bears a later time.
pub fn send(world: &World, sender: &Sender, envelope: &Envelope) {
    sender.send_numbered(topic_of(world, envelope), &world.key_of(envelope), &envelope.encode_to_vec(), 0);
    assert_eq!(sender.delivered(PATIENCE), [0], "not delivered");
    thread::park_timeout(APART);
}

fn topic_of<'a>(world: &'a World, envelope: &Envelope) -> &'a str {
    if envelope.kind() == Kind::Request { &world.requests } else { &world.responses }
}

/// Least time between two messages of a chain: messages of one millisecond on several topics have no order that anybody
/// knows.
const APART: Duration = Duration::from_millis(2);

/// Sends `stories` at `rate` new chains a second, and returns when all is on the bus. A message is sent once the one before
/// it in its chain is on the bus, as services do: they have read what they answer. However late the load is, no two are
/// closer to each other than their story says.
pub fn play(world: &World, stories: &[(String, Story)], rate: u64) {
    let sender = Sender::new();
    let begun = Instant::now();
    let chains: Vec<Vec<(u64, Envelope)>> = stories.iter().map(|(id, story)| story.messages(id)).collect();
    let begins = |n: usize| Duration::from_millis(n as u64 * 1000 / rate);
    let mut due: BinaryHeap<Reverse<(Duration, usize)>> = (0..chains.len()).map(|n| Reverse((begins(n), n))).collect();
    let mut sent = vec![0; chains.len()];
    let mut sent_at = vec![Duration::ZERO; chains.len()];
    let (mut left, mut quiet) = (chains.len(), Instant::now());
    while left > 0 {
        let now = begun.elapsed();
        while let Some(&Reverse((_, n))) = due.peek().filter(|due| due.0.0 <= now) {
            due.pop();
            let envelope = &chains[n][sent[n]].1;
            sent[n] += 1;
            sent_at[n] = begun.elapsed();
            sender.send_numbered(topic_of(world, envelope), &world.key_of(envelope), &envelope.encode_to_vec(), n);
            quiet = Instant::now();
        }
        let wait = due.peek().map_or(PATIENCE, |due| due.0.0.saturating_sub(begun.elapsed()));
        for n in sender.delivered(wait) {
            match chains[n].get(sent[n]) {
                Some((after, _)) => {
                    let gap = Duration::from_millis(after - chains[n][sent[n] - 1].0);
                    due.push(Reverse((sent_at[n] + gap.max(APART), n)));
                }
                None => left -= 1,
            }
            quiet = Instant::now();
        }
        assert!(!due.is_empty() || left == 0 || quiet.elapsed() < PATIENCE * 2, "nothing is delivered any more");
    }
}

/// A command as a participant got it.
#[derive(Debug, Clone)]
pub struct Received {
    pub command: Command,
    pub headers: BTreeMap<String, String>,
}

/// Participants of all services: answer every command `done`, and remember what they got.
pub struct Participants {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Received>>>,
}

impl Participants {
    pub fn start(world: &World) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let topics = world.command_topics();
        let (results, stopped) = (world.topic("results"), stop.clone());
        let thread = thread::spawn(move || {
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            let reader = Reader::new(&topics);
            let sender = Sender::new();
            let mut received = Vec::new();
            while !stopped.load(Ordering::Acquire) {
                let Some(got) = reader.next(Duration::from_millis(50)) else { continue };
                let command = Command::decode(&*got.payload).expect("a command");
                let result = CommandResult {
                    command_id: command.command_id.clone(),
                    chain_id: command.chain_id.clone(),
                    state: ResultState::Done.into(),
                    ..CommandResult::default()
                };
                sender.send(&results, &command.chain_id, &result.encode_to_vec(), &[]);
                received.push(Received { command, headers: got.headers });
            }
            sender.flush();
            let late = reader.rest().into_iter().map(|got| Received {
                command: Command::decode(&*got.payload).expect("a command"),
                headers: got.headers,
            });
            received.extend(late);
            received
        });
        Self { stop, thread: Some(thread) }
    }

    /// Everything that was received, up to the end of the topics.
    pub fn stop(mut self) -> Vec<Received> {
        self.stop.store(true, Ordering::Release);
        self.thread.take().expect("a thread").join().expect("participants")
    }
}

/// Ids of the commands that were received, sorted.
pub fn ids_of(received: Vec<Received>) -> Vec<String> {
    let mut ids: Vec<String> = received.into_iter().map(|got| got.command.command_id).collect();
    ids.sort();
    ids
}

/// Ids of the commands that undo these stories, sorted.
pub fn commands_of<S: AsRef<str>>(stories: &[(S, Story)]) -> Vec<String> {
    let mut ids: Vec<String> = stories.iter().flat_map(|(id, story)| story.command_ids(id.as_ref())).collect();
    ids.sort();
    ids
}
