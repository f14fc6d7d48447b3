//! Originals through the barrier (S4.3, S4.5, S5.10); commands go on in `carry.rs`.

use std::{fmt, time::SystemTime};

use super::{
    carry::Carry,
    messages::{Handling, Messages},
    record::{EffectKey, Record, State, is_for},
    result::Answered,
    rules::{self, OnRequest},
    service::{Call, Failure, Reply, Service},
    store::{Store, Transaction},
    time::millis,
};
use crate::wire::{
    self, WireError,
    proto::{Action, Command, Envelope, Kind, StatusCode},
};

/// What came of a request or an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// How it was taken.
    pub how: How,
    /// What is to be published, the response first. Keyed by `chain_id`.
    pub messages: Vec<Envelope>,
    /// Why, if it was put off: reason and text.
    pub why: String,
}

/// How a request or an event was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The handler did it, or said that it cannot be done.
    Handled,
    /// It was handled before; the same is published again.
    Repeated,
    /// It was undone, or an undo or inquiry has found nothing of it: the handler was not called, and never will be.
    Refused,
    /// The handler could not do it for now. Nothing was changed, nothing is to be published: have it delivered again.
    PutOff,
}

/// Why nothing could be said.
#[derive(Debug)]
pub enum Error<E> {
    /// A message that the agent would not take: the one that came, or one that the handler made. Nothing was changed, and
    /// a second try ends the same.
    Wire(WireError),
    /// The store failed; if it was on commit, nobody knows whether it did. Have the message delivered again.
    Store(E),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the store: {error}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Wire(error) => Some(error),
            Self::Store(error) => Some(error),
        }
    }
}

impl<E> From<WireError> for Error<E> {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// A participant: a service, its store, and the barrier between them and the bus. Each thread has its own.
#[derive(Debug)]
pub struct Participant<S, V> {
    messages: Messages,
    store: S,
    service: V,
}

impl<S: Store, V: Service<S>> Participant<S, V> {
    /// A participant under the name of `messages`.
    pub fn new(messages: Messages, store: S, service: V) -> Self {
        Self { messages, store, service }
    }

    /// To make messages with.
    pub fn messages(&self) -> &Messages {
        &self.messages
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The handlers.
    pub fn service(&self) -> &V {
        &self.service
    }

    /// Handles a request or an event that came at `now`. Publish what it gives, then commit the offset.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn request(&mut self, request: &Envelope, now: SystemTime) -> Result<Heard, Error<S::Error>> {
        let handling = self.messages.within(request)?;
        let key = EffectKey::of_request(request, &self.messages.party().service);
        let at = millis(now);
        let failure = {
            let mut tx = self.store.begin().map_err(Error::Store)?;
            let found = tx.claim(&key, &Record::bare(State::Open, at)).map_err(Error::Store)?;
            if let Some(heard) = known(found.as_ref(), &handling, now)? {
                return Ok(heard);
            }
            let handling = handling.clone().again(times_again(found.as_ref()));
            let call = Call { envelope: request, handling: &handling, now };
            match self.service.handle(&mut tx, &call) {
                Ok(reply) => return written(tx, &key, found.as_ref(), reply, &handling, now),
                Err(failure) if failure.passes => return Ok(put_off(&failure)),
                Err(failure) => failure,
            }
        };
        // What the handler changed is taken back; that it failed is remembered by itself.
        let mut tx = self.store.begin().map_err(Error::Store)?;
        let found = tx.claim(&key, &Record::bare(State::Failed, at)).map_err(Error::Store)?;
        let handling = handling.again(times_again(found.as_ref()));
        match known(found.as_ref(), &handling, now)? {
            Some(heard) => Ok(heard),
            None => written(tx, &key, found.as_ref(), refusal(failure), &handling, now),
        }
    }

    /// Goes on with a request that was left open, since `news` came. Of one that is answered, the answer is published
    /// again; one that is undone is refused; one that never came is put off.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn resume(&mut self, request: &Envelope, news: &Envelope, now: SystemTime) -> Result<Heard, Error<S::Error>> {
        let handling = self.messages.within(request)?;
        let key = EffectKey::of_request(request, &self.messages.party().service);
        let mut tx = self.store.begin().map_err(Error::Store)?;
        let found = tx.claim(&key, &Record::bare(State::Open, millis(now))).map_err(Error::Store)?;
        if found.as_ref().is_none_or(|found| found.state != State::Open || found.answers(handling.call_id())) {
            let not_open = Failure::passing("NOT_OPEN").message("the request was not handled here yet");
            return Ok(known(found.as_ref(), &handling, now)?.unwrap_or_else(|| put_off(&not_open)));
        }
        let handling = handling.again(times_again(found.as_ref()));
        let call = Call { envelope: request, handling: &handling, now };
        match self.service.resume(&mut tx, &call, news) {
            Ok(reply) => written(tx, &key, found.as_ref(), reply, &handling, now),
            Err(failure) => Ok(put_off(&failure)),
        }
    }

    /// Carries out a command that came at `now`. Publish what it gives, then commit the offset. `None`: it is for another
    /// service, and is passed over.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn command(&mut self, command: &Command, now: SystemTime) -> Result<Option<Answered>, Error<S::Error>> {
        wire::check_command(command, self.messages.wire_limits())?;
        let target = command.target.as_ref().map_or("", |target| &target.service);
        if !target.is_empty() && target != self.messages.party().service {
            return Ok(None);
        }
        let carry = Carry { messages: &self.messages, service: &self.service, command, now };
        if !matches!(command.action(), Action::Undo | Action::Inquire | Action::Retry) {
            return Ok(Some(carry.unknown()?));
        }
        let tx = self.store.begin().map_err(Error::Store)?;
        carry.out::<S>(tx).map(Some)
    }
}

fn put_off(failure: &Failure) -> Heard {
    Heard { how: How::PutOff, messages: Vec::new(), why: failure.to_string() }
}

fn times_again(found: Option<&Record>) -> u32 {
    found.map_or(0, Record::again)
}

/// What is published for an original that is known; `None`: the handler has to run.
fn known(found: Option<&Record>, handling: &Handling, now: SystemTime) -> Result<Option<Heard>, WireError> {
    let answered = found.is_some_and(|found| found.answers(handling.call_id()));
    let (how, messages) = match rules::on_request(found.map(|found| found.state), answered) {
        OnRequest::Run => return Ok(None),
        OnRequest::Repeat => (How::Repeated, found.map(|found| repeated(found, handling)).unwrap_or_default()),
        OnRequest::Refuse(code) => {
            let response = handling.response(code, rules::REFUSED_AFTER_UNDO, "refused").business();
            let response = response.message(rules::explain(rules::REFUSED_AFTER_UNDO)).sent(now)?;
            (How::Refused, vec![response])
        }
    };
    Ok(Some(Heard { how, messages, why: String::new() }))
}

/// What was published for an original: its own answer, else what was answered to a call that shares its effect; and the
/// calls and events besides.
fn repeated(found: &Record, handling: &Handling) -> Vec<Envelope> {
    let last = found.response();
    let (responses, mut messages): (Vec<_>, Vec<_>) =
        found.messages().into_iter().partition(|message| message.kind() == Kind::Response);
    let own = responses.into_iter().find(|response| is_for(response, handling.call_id()));
    if let Some(response) = own.or(last) {
        messages.insert(0, handling.readdressed(response));
    }
    messages
}

/// Writes what a handler said to an original whose row was `found`, and commits.
fn written<T: Transaction>(
    mut tx: T,
    key: &EffectKey,
    found: Option<&Record>,
    reply: Reply,
    handling: &Handling,
    now: SystemTime,
) -> Result<Heard, Error<T::Error>> {
    let state = match reply.code {
        Some(StatusCode::Ok) => State::Applied,
        Some(StatusCode::Failed) => State::Failed,
        None | Some(StatusCode::Ongoing) => State::Open,
        Some(_) => State::InDoubt,
    };
    let messages = published(reply, handling, now)?;
    let record = Record::after(found, state, millis(now), handling.call_id(), &messages, times_again(found));
    tx.update(key, &record).map_err(Error::Store)?;
    tx.commit().map_err(Error::Store)?;
    Ok(Heard { how: How::Handled, messages, why: String::new() })
}

pub(super) fn published(reply: Reply, handling: &Handling, now: SystemTime) -> Result<Vec<Envelope>, WireError> {
    let mut messages = Vec::with_capacity(1 + reply.also.len());
    if let Some(code) = reply.code {
        let nth = if code == StatusCode::Ongoing { reply.nth.to_string() } else { String::new() };
        let mut response = handling.response(code, reply.reason, &nth).message(reply.message);
        response = response.fault(reply.fault).caused_by(reply.caused_by);
        if let Some(payload) = reply.payload {
            response = response.payload(payload.type_url, payload.value);
        }
        if let Some(effect) = reply.effect {
            response = response.effect(effect);
        }
        messages.push(response.sent(now)?);
    }
    for message in reply.also {
        super::draft::checked(&message, handling.limits())?;
        messages.push(message);
    }
    Ok(messages)
}

fn refusal(failure: Failure) -> Reply {
    let reply = Reply::failed(failure.reason).message(failure.message);
    reply.fault(failure.fault).caused_by(failure.caused_by)
}
