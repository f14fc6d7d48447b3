//! Commands through the barrier (S4.3, S5.2, S5.3, S5.6).

use std::time::SystemTime;

use super::{
    draft::checked,
    handle::{Error, published},
    messages::Messages,
    record::{EffectKey, Record, State},
    result::Answered,
    rules::{self, OnCommand, settles},
    service::{Failure, Order, Service, UndoneState},
    store::{Store, Transaction},
    time::millis,
};
use crate::wire::{
    self, WireError,
    proto::{Action, Certainty, Command, Envelope, ResultState, StatusCode},
};

/// One command that is being carried out.
pub(super) struct Carry<'a, V> {
    pub messages: &'a Messages,
    pub service: &'a V,
    pub command: &'a Command,
    pub now: SystemTime,
}

/// What is said to a command.
struct Said {
    state: ResultState,
    reason: String,
    message: String,
    also: Vec<Envelope>,
}

impl Said {
    fn plain(state: ResultState, reason: &str) -> Self {
        Self { state, reason: reason.to_owned(), message: rules::explain(reason).to_owned(), also: Vec::new() }
    }

    fn failure(failure: Failure) -> Self {
        let state = if failure.passes { ResultState::Retryable } else { ResultState::Failed };
        Self { state, reason: failure.reason, message: failure.message, also: Vec::new() }
    }
}

/// What a handler did: the new state of the row; what is published for the original from now on, if that changed, and how
/// often the call was done again by now; and what is said.
type Done = (State, Option<(Vec<Envelope>, u32)>, Said);

impl<V> Carry<'_, V> {
    /// Says that the action is not known here.
    pub fn unknown(&self) -> Result<Answered, WireError> {
        let failure = Failure::last(rules::UNKNOWN_ACTION).message("participants undo, inquire and retry");
        self.say(Said::failure(failure))
    }

    /// Carries it out in `tx`.
    pub fn out<S: Store>(&self, mut tx: S::Tx<'_>) -> Result<Answered, Error<S::Error>>
    where
        V: Service<S>,
    {
        let key = EffectKey::of_command(self.command);
        let fresh = Record::bare(State::Barred, millis(self.now));
        let found = tx.claim(&key, &fresh).map_err(Error::Store)?;
        // Asked for only now: whoever carries out the same command at the same time has been waited for.
        let known = tx.answer(&self.command.command_id).map_err(Error::Store)?;
        if let Some(known) = known.and_then(Answered::from_bytes) {
            return Ok(known);
        }
        let forgets = found.is_none() && self.may_be_older_than(tx.forgotten_before().map_err(Error::Store)?);
        let state = found.as_ref().map(|record| record.state);
        let told = match self.command.action() {
            Action::Undo => rules::on_undo(state, self.command.certainty() == Certainty::Applied, forgets),
            Action::Inquire => rules::on_inquire(state, forgets),
            _ => rules::on_retry(state, forgets),
        };
        match told {
            OnCommand::Bar(said) => {
                if let Some(failed) = found {
                    tx.update(&key, &Record { answer: failed.answer, ..fresh }).map_err(Error::Store)?;
                }
                self.settle::<S>(tx, Said::plain(said, ""))
            }
            OnCommand::Answer(said, reason) if found.is_some() => self.settle::<S>(tx, Said::plain(said, reason)),
            // The row that was inserted to look is taken away again with its transaction.
            OnCommand::Answer(said, reason) => Ok(self.say(Said::plain(said, reason))?),
            OnCommand::Run => {
                let (state, answer, said) = match self.run::<S>(&mut tx, found.as_ref())? {
                    Ok(done) => done,
                    Err(failure) => return Ok(self.say(Said::failure(failure))?),
                };
                for message in &said.also {
                    checked(message, self.messages.wire_limits())?;
                }
                let (at, call_id) = (fresh.at, &self.command.call_id);
                let record = match answer {
                    Some((answer, again)) => Record::after(found.as_ref(), state, at, call_id, &answer, again),
                    None => Record { state, at, ..found.unwrap_or(fresh) },
                };
                tx.update(&key, &record).map_err(Error::Store)?;
                self.settle::<S>(tx, said)
            }
        }
    }

    /// Runs the handler.
    fn run<S: Store>(&self, tx: &mut S::Tx<'_>, found: Option<&Record>) -> Result<Result<Done, Failure>, WireError>
    where
        V: Service<S>,
    {
        let scope = self.messages.during(self.command);
        let answered = found.and_then(Record::response);
        let order = Order { command: self.command, answered: answered.as_ref(), scope: &scope, now: self.now };
        Ok(match self.command.action() {
            Action::Undo => self.service.undo(tx, &order).map(|undone| {
                let (state, said) = match undone.state {
                    UndoneState::Done => (State::Undone, ResultState::Done),
                    UndoneState::NotNeeded => (State::Barred, ResultState::NotNeeded),
                    UndoneState::Ongoing => (State::Undoing, ResultState::Ongoing),
                };
                (state, None, Said { also: undone.also, ..Said::plain(said, &undone.reason) })
            }),
            Action::Inquire => self.service.inquire(tx, &order).map(|there| {
                let (state, said) = match there {
                    Some(true) => (State::Applied, ResultState::Applied),
                    Some(false) => (State::Barred, ResultState::Absent),
                    None => (State::InDoubt, ResultState::Unknown),
                };
                (state, None, Said::plain(said, ""))
            }),
            _ => match self.service.retry(tx, &order) {
                Err(failure) => Err(failure),
                Ok(reply) => {
                    let (state, said) = retried(reply.code);
                    let said = Said {
                        state: said,
                        reason: reply.reason.clone(),
                        message: reply.message.clone(),
                        also: reply.also.clone(),
                    };
                    let again = found.map_or(0, Record::again) + 1;
                    let answer = published(reply, &self.messages.answering(self.command, again), self.now)?;
                    Ok((state, Some((answer, again)), said))
                }
            },
        })
    }

    /// Whether the row of a command that finds none may have been forgotten. Where the agent does not know when the call was
    /// asked for, it may have been at any time.
    fn may_be_older_than(&self, forgotten_before: Option<i64>) -> bool {
        /// Clocks of bus and participant may differ by this much, in milliseconds.
        const CLOCKS_DIFFER: i64 = 60_000;
        let Some(before) = forgotten_before else { return false };
        let asked = self.command.requested_at.as_ref().map(wire::time::millis_of);
        asked.is_none_or(|asked| asked < before.saturating_add(CLOCKS_DIFFER))
    }

    /// Remembers the answer if it is the last word, and commits.
    fn settle<S: Store>(&self, mut tx: S::Tx<'_>, said: Said) -> Result<Answered, Error<S::Error>> {
        let last = settles(said.state);
        let answered = self.say(said)?;
        if last {
            let id = &self.command.command_id;
            tx.remember(id, &answered.to_bytes(), millis(self.now)).map_err(Error::Store)?;
        }
        tx.commit().map_err(Error::Store)?;
        Ok(answered)
    }

    fn say(&self, said: Said) -> Result<Answered, WireError> {
        let answer = self.messages.answer(self.command, said.state).reason(said.reason).message(said.message);
        Ok(Answered { result: answer.at(self.now, self.messages.wire_limits())?, messages: said.also })
    }
}

/// What a call that was done again came to.
fn retried(code: Option<StatusCode>) -> (State, ResultState) {
    match code {
        Some(StatusCode::Ok) => (State::Applied, ResultState::Done),
        Some(StatusCode::Failed) => (State::Failed, ResultState::Failed),
        None | Some(StatusCode::Ongoing) => (State::Open, ResultState::Ongoing),
        // Asked again it may be known.
        Some(_) => (State::InDoubt, ResultState::Retryable),
    }
}
