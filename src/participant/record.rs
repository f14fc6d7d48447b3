//! What a participant remembers of each effect: the barrier against empty, late and duplicate originals (S4.3, S4.5).

use bytes::{Buf, Bytes};
use prost::Message as _;

use crate::wire::proto::{Command, Envelope, Kind, Status, StatusCode};

/// Names an effect of this service: the primary key of the barrier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EffectKey {
    /// The chain.
    pub chain_id: String,
    /// `call:CALL_ID`, or `key:BYTES:OPERATION:KEY` if the calls of one operation share the effect by an idempotency key
    /// (S4.5); `BYTES` is the length of the operation, so that no two share a text. At most 600 bytes.
    pub effect: String,
}

impl EffectKey {
    /// The effect that `request`, a request or an event, has at `service`. Each consumer of an event has an effect of its
    /// own, under the name that the agent gives its call (S1.7).
    #[must_use]
    pub fn of_request(request: &Envelope, service: &str) -> Self {
        let key = request.effect.as_ref().map_or("", |effect| &effect.idempotency_key);
        let effect = match request.kind() {
            _ if !key.is_empty() => shared(&request.operation, key),
            Kind::Event => format!("call:{}/{service}", request.call_id),
            _ => format!("call:{}", request.call_id),
        };
        Self { chain_id: request.chain_id.clone(), effect }
    }

    /// The effect that a command is about.
    #[must_use]
    pub fn of_command(command: &Command) -> Self {
        let effect = if command.idempotency_key.is_empty() {
            format!("call:{}", command.call_id)
        } else {
            shared(&command.call_operation, &command.idempotency_key)
        };
        Self { chain_id: command.chain_id.clone(), effect }
    }
}

fn shared(operation: &str, key: &str) -> String {
    format!("key:{}:{operation}:{key}", operation.len())
}

/// What became of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The original is being worked on; part of it may be there.
    Open,
    /// It is there, and was answered `OK`.
    Applied,
    /// It may be there, and was answered `UNKNOWN` or `CANCELLED`.
    InDoubt,
    /// It was tried, and nothing of it remains: answered `FAILED`. Another call under its key may try again.
    Failed,
    /// An undo of it has begun and is not finished.
    Undoing,
    /// It was there and is undone.
    Undone,
    /// It never was there, and an undo was answered `not_needed` or an inquiry `absent`: it must not come any more (empty
    /// compensation).
    Barred,
}

impl State {
    const ALL: [Self; 7] =
        [Self::Open, Self::Applied, Self::InDoubt, Self::Failed, Self::Undoing, Self::Undone, Self::Barred];

    /// The word for a column of a table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Applied => "applied",
            Self::InDoubt => "in_doubt",
            Self::Failed => "failed",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Barred => "barred",
        }
    }

    /// The state of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// One row of the barrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What became of the effect.
    pub state: State,
    /// When that was written, by the participant's clock, in milliseconds since the Unix epoch.
    pub at: i64,
    /// What was published for the original, as [`Record::messages`] reads it: published again for a duplicate. May be
    /// empty. Grows with the calls that the handler makes and with the attempts that fail: each of them is an envelope.
    /// It also says how often the call was done again ([`Record::again`]).
    pub answer: Bytes,
}

impl Record {
    /// A row without an answer.
    #[must_use]
    pub fn bare(state: State, at: i64) -> Self {
        Self { state, at, answer: Bytes::new() }
    }

    /// A row with what is published for the original.
    #[must_use]
    pub fn with(state: State, at: i64, messages: &[Envelope]) -> Self {
        let answer: Vec<u8> = messages.iter().flat_map(prost::Message::encode_length_delimited_to_vec).collect();
        Self { state, at, answer: answer.into() }
    }

    /// The row after `said` was published for the call `call_id`, which had the row `found` or none, and was done again
    /// `again` times by now. Calls and events of before stay: they may not have reached the bus. So do the last words to
    /// other calls under the same key.
    #[must_use]
    pub fn after(found: Option<&Self>, state: State, at: i64, call_id: &str, said: &[Envelope], again: u32) -> Self {
        let mut messages = said.to_vec();
        let is_kept = |old: &Envelope| match old.kind() {
            Kind::Response => code_of(old) != StatusCode::Ongoing && !is_for(old, call_id),
            _ => !said.iter().any(|new| new.message_id == old.message_id),
        };
        messages.extend(found.map(Self::messages).unwrap_or_default().into_iter().filter(is_kept));
        messages.extend((again > 0).then(|| done_again(again)));
        Self::with(state, at, &messages)
    }

    /// How often a retry has run the handler anew. Each time the answers have ids of their own: what was said before may
    /// have been published, and something else may be said now.
    #[must_use]
    pub fn again(&self) -> u32 {
        let marks = envelopes(self.answer.clone()).unwrap_or_default();
        marks.iter().filter(|mark| is_mark(mark)).find_map(|mark| mark.operation.parse().ok()).unwrap_or(0)
    }

    /// What was published for the original, its response first if there is one, and the answers to other calls under its
    /// key at the end. Nothing, if the bytes were not written by [`Record::with`].
    #[must_use]
    pub fn messages(&self) -> Vec<Envelope> {
        let mut messages = envelopes(self.answer.clone()).unwrap_or_default();
        messages.retain(|message| !is_mark(message));
        messages
    }

    /// What was answered last, if the effect was answered: to whichever call, if several share it.
    #[must_use]
    pub fn response(&self) -> Option<Envelope> {
        // An attempt that failed says nothing of the one after it.
        let fits = |message: &Envelope| match self.state {
            State::Open => code_of(message) == StatusCode::Ongoing,
            State::Failed => code_of(message) == StatusCode::Failed,
            _ => code_of(message) != StatusCode::Failed,
        };
        self.messages().into_iter().find(|message| message.kind() == Kind::Response && fits(message))
    }

    /// Whether this very call got its last word.
    #[must_use]
    pub fn answers(&self, call_id: &str) -> bool {
        let is_last = |message: &Envelope| is_for(message, call_id) && code_of(message) != StatusCode::Ongoing;
        self.messages().iter().any(|message| message.kind() == Kind::Response && is_last(message))
    }
}

/// Whether a response is for the call of that name. Commands call a consumer's part in an event otherwise than the event
/// itself does (S1.7).
pub(super) fn is_for(response: &Envelope, name: &str) -> bool {
    let consumer = response.source.as_ref().map_or("", |source| &source.service);
    let is_part = |part: &str, event: &str| {
        part.strip_suffix(consumer).and_then(|part| part.strip_suffix('/')).is_some_and(|part| part == event)
    };
    let own = &response.call_id;
    own == name || is_part(name, own) || is_part(own, name)
}

/// Stands in a row among the envelopes, and is published to nobody: the call was done again so many times.
fn done_again(times: u32) -> Envelope {
    Envelope { operation: times.to_string(), ..Envelope::default() }
}

/// What is published has a kind.
fn is_mark(message: &Envelope) -> bool {
    message.kind() == Kind::Unspecified
}

fn code_of(response: &Envelope) -> StatusCode {
    response.status.as_ref().map_or(StatusCode::Unknown, Status::code)
}

/// Envelopes that stand one behind the other, each with its length before it; `None`: something else stands there.
pub(super) fn envelopes(mut bytes: Bytes) -> Option<Vec<Envelope>> {
    let mut envelopes = Vec::new();
    while bytes.has_remaining() {
        envelopes.push(Envelope::decode_length_delimited(&mut bytes).ok()?);
    }
    Some(envelopes)
}
