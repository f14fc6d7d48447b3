//! What a service author writes: handlers, and what they say.

use std::{fmt, time::SystemTime};

use bytes::Bytes;

use super::{
    messages::{Handling, Scope},
    store::Store,
};
use crate::wire::proto::{self, Any, Certainty, Command, Envelope, Fault, StatusCode};

/// The handlers of a service. Each runs inside a transaction, to which all of its changes belong: if it fails, or the
/// process dies, none of them was made. What it does elsewhere is not undone by that: another system is called under a key
/// (the effect's), so that a second time changes nothing.
pub trait Service<S: Store> {
    /// Does what a request or an event asks for. Once it has said anything but `FAILED` it is not called again for that
    /// effect, however often the original is delivered; after `FAILED` only for another call under the same key.
    ///
    /// # Errors
    /// [`Failure::last`]: answered `FAILED`, and remembered. [`Failure::passing`]: nothing is answered or remembered.
    fn handle(&self, tx: &mut S::Tx<'_>, call: &Call<'_>) -> Result<Reply, Failure>;

    /// Takes back the effect of a call. Called only if it is there, or may be there.
    ///
    /// # Errors
    /// [`Failure::last`]: an operator has to look. [`Failure::passing`]: the agent asks again. Nothing was changed.
    fn undo(&self, tx: &mut S::Tx<'_>, order: &Order<'_>) -> Result<Undone, Failure>;

    /// Says whether an effect is there that [`Service::handle`] itself left in doubt. `Ok(None)`: nobody can say yet. After
    /// `Some(false)` it must not come any more.
    ///
    /// # Errors
    /// As [`Service::undo`].
    fn inquire(&self, tx: &mut S::Tx<'_>, order: &Order<'_>) -> Result<Option<bool>, Failure> {
        let _ = (tx, order);
        Ok(None)
    }

    /// Does a call again that failed, after a point of no return (S4.7). [`Order::request`] has what was asked for.
    ///
    /// # Errors
    /// As [`Service::undo`].
    fn retry(&self, tx: &mut S::Tx<'_>, order: &Order<'_>) -> Result<Reply, Failure> {
        let _ = (tx, order);
        Err(Failure::last(super::rules::UNKNOWN_ACTION).message("this service does no call again"))
    }

    /// Goes on with a call that is still open ([`Reply::later`]), since `news` came: usually the response to a call that
    /// it made, or that call's own request where it was waited for long enough. The same news may come twice, and what was
    /// said the first time may not have reached the bus: say the same again, by what the news answers and not by a count
    /// of your own. Not called any more once the call is answered or undone.
    ///
    /// # Errors
    /// Whatever the failure, nothing is changed and nothing answered: say [`Reply::failed`] to end the call.
    fn resume(&self, tx: &mut S::Tx<'_>, call: &Call<'_>, news: &Envelope) -> Result<Reply, Failure> {
        let _ = (tx, call, news);
        Err(Failure::passing("NOT_RESUMED").message("this service leaves no call open"))
    }
}

/// A request or event that is being handled.
#[derive(Debug)]
pub struct Call<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) handling: &'a Handling,
    pub(super) now: SystemTime,
}

impl Call<'_> {
    /// What is asked for.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.envelope.operation
    }

    /// The payload; empty if there is none.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.envelope.payload.as_ref().map_or(&[], |any| &any.value)
    }

    /// The whole request or event.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        self.envelope
    }

    /// To make calls and events inside; see [`Reply::also`].
    #[must_use]
    pub fn handling(&self) -> &Handling {
        self.handling
    }

    /// The time that the participant was given.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.now
    }
}

/// A command that is being handled.
#[derive(Debug)]
pub struct Order<'a> {
    pub(super) command: &'a Command,
    pub(super) answered: Option<&'a Envelope>,
    pub(super) scope: &'a Scope,
    pub(super) now: SystemTime,
}

impl Order<'_> {
    /// Operation that undoes or asks, or the one that is done again.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.command.operation
    }

    /// The call that it is about.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.command.call_id
    }

    /// Whether the agent does not know that the effect is there. The barrier has seen to what is absent; a handler that is
    /// called finds it, but for what [`Service::handle`] itself left open or in doubt.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.command.certainty() != Certainty::Applied
    }

    /// The payload of the call's request. `None`: it had none, or it was too large for the command, which has its place
    /// on the bus instead.
    #[must_use]
    pub fn request(&self) -> Option<&Any> {
        payload(self.command.request.as_ref())
    }

    /// The payload that was declared for the undo, if one was.
    #[must_use]
    pub fn compensation(&self) -> Option<&Any> {
        payload(self.command.compensation.as_ref())
    }

    /// What this service answered to the call, from its own store: it knows what was made.
    #[must_use]
    pub fn answered(&self) -> Option<&Envelope> {
        self.answered
    }

    /// The payload of that answer; else that of the response that the agent saw; empty if there is none.
    #[must_use]
    pub fn response(&self) -> &[u8] {
        let own = self.answered.and_then(|answered| answered.payload.as_ref());
        own.or_else(|| payload(self.command.response.as_ref())).map_or(&[], |any| &any.value)
    }

    /// The whole command.
    #[must_use]
    pub fn command(&self) -> &Command {
        self.command
    }

    /// To make calls and events while undoing: they are never undone themselves (S1.8).
    #[must_use]
    pub fn scope(&self) -> &Scope {
        self.scope
    }

    /// The time that the participant was given.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.now
    }
}

fn payload(content: Option<&proto::Content>) -> Option<&Any> {
    content.and_then(|content| content.payload.as_ref())
}

/// What a handler says to a call.
#[derive(Debug, Clone)]
#[must_use]
pub struct Reply {
    pub(super) code: Option<StatusCode>,
    pub(super) nth: u32,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) payload: Option<Any>,
    pub(super) effect: Option<proto::Effect>,
    pub(super) fault: Fault,
    pub(super) caused_by: String,
    pub(super) also: Vec<Envelope>,
}

impl Reply {
    fn of(code: Option<StatusCode>, reason: String) -> Self {
        Self {
            code,
            nth: 0,
            reason,
            message: String::new(),
            payload: None,
            effect: None,
            fault: Fault::Callee,
            caused_by: String::new(),
            also: Vec::new(),
        }
    }

    /// It worked, and its effect is there.
    pub fn ok() -> Self {
        Self::of(Some(StatusCode::Ok), String::new())
    }

    /// It did not work, **and nothing of it remains here once this transaction is committed**. Changes made before are to
    /// be taken back by the handler; [`Failure::last`] does that by itself for those of this transaction.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::of(Some(StatusCode::Failed), reason.into())
    }

    /// It may have taken effect, as where another system did not answer. [`Service::inquire`] may find out later.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::of(Some(StatusCode::Unknown), reason.into())
    }

    /// Not finished, and nothing is answered yet; [`super::Participant::resume`] goes on with it.
    pub fn later() -> Self {
        Self::of(None, String::new())
    }

    /// As [`Reply::later`], and the caller is told, so that its clock starts anew. `nth` counts these answers from 1.
    pub fn ongoing(nth: u32) -> Self {
        Self { nth, ..Self::of(Some(StatusCode::Ongoing), String::new()) }
    }

    /// The payload of the response.
    pub fn payload(mut self, type_url: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.payload = Some(Any { type_url: type_url.into(), value: value.into() });
        self
    }

    /// The effect that was made (S4.6).
    pub fn effect(mut self, effect: impl Into<proto::Effect>) -> Self {
        self.effect = Some(effect.into());
        self
    }

    /// Text for people.
    pub fn message(mut self, text: impl fmt::Display) -> Self {
        self.message = text.to_string();
        self
    }

    /// The call that is to blame: one made inside, or one further down.
    pub fn caused_by(mut self, call_id: impl Into<String>) -> Self {
        self.caused_by = call_id.into();
        self
    }

    /// Whose fault a failure was.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// Publishes this too: a call made inside, or an event. It is remembered with the answer, and published again with it.
    pub fn also(mut self, message: Envelope) -> Self {
        self.also.push(message);
        self
    }
}

/// What an undo did.
#[derive(Debug, Clone)]
#[must_use]
pub struct Undone {
    pub(super) state: UndoneState,
    pub(super) reason: String,
    pub(super) also: Vec<Envelope>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UndoneState {
    Done,
    NotNeeded,
    Ongoing,
}

impl Undone {
    fn of(state: UndoneState) -> Self {
        Self { state, reason: String::new(), also: Vec::new() }
    }

    /// It is undone by the changes of this transaction.
    pub fn done() -> Self {
        Self::of(UndoneState::Done)
    }

    /// It turned out not to be there, and must not come any more.
    pub fn not_needed(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::of(UndoneState::NotNeeded) }
    }

    /// It is being worked on; the changes of this transaction stand. The handler is called again when the agent asks again,
    /// or when the service itself hands the command in again, since what it waited for has come.
    pub fn ongoing() -> Self {
        Self::of(UndoneState::Ongoing)
    }

    /// Publishes this too, made from [`Order::scope`]. It is remembered with the answer, and published again with it.
    pub fn also(mut self, message: Envelope) -> Self {
        self.also.push(message);
        self
    }
}

/// Why a handler did not do what it was asked. All that it changed in its transaction is taken back.
#[derive(Debug, Clone)]
pub struct Failure {
    pub(super) passes: bool,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) fault: Fault,
    pub(super) caused_by: String,
}

impl Failure {
    fn of(passes: bool, reason: String) -> Self {
        Self { passes, reason, message: String::new(), fault: Fault::Callee, caused_by: String::new() }
    }

    /// It will fail again if tried again. `reason` is short and machine-readable; at most 256 bytes.
    #[must_use]
    pub fn last(reason: impl Into<String>) -> Self {
        Self::of(false, reason.into())
    }

    /// It may work if tried again, as where a database is away for a moment.
    #[must_use]
    pub fn passing(reason: impl Into<String>) -> Self {
        Self::of(true, reason.into())
    }

    /// A business answer, such as a declined card: nobody's fault, and no evidence against a version (S6.7).
    #[must_use]
    pub fn business(reason: impl Into<String>) -> Self {
        Self { fault: Fault::Business, ..Self::of(false, reason.into()) }
    }

    /// Text for people.
    #[must_use]
    pub fn message(mut self, text: impl fmt::Display) -> Self {
        self.message = text.to_string();
        self
    }

    /// Whose fault it was.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// The call that is to blame: one made inside, or one further down.
    #[must_use]
    pub fn caused_by(mut self, call_id: impl Into<String>) -> Self {
        self.caused_by = call_id.into();
        self
    }

    /// Its reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}: {}", self.reason, self.message) }
    }
}

impl std::error::Error for Failure {}
