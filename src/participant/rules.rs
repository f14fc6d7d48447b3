//! What the barrier says, as pure functions of the row that was found (S4.3, S4.5, S5.2, S5.6). [`super::Participant`]
//! carries it out over a blocking [`super::Store`]; whoever has an asynchronous database calls these.

use super::record::State;
use crate::wire::proto::{ResultState, StatusCode};

/// The handler was not asked: the call was undone, or an undo or inquiry found nothing of it.
pub const REFUSED_AFTER_UNDO: &str = "REFUSED_AFTER_UNDO";
/// The agent knows that it is there, and here is no trace of it.
pub const NO_TRACE: &str = "NO_TRACE";
/// It is older than what is remembered here.
pub const FORGOTTEN: &str = "FORGOTTEN";
/// An undo had begun before the call was to be done again.
pub const ALREADY_UNDONE: &str = "ALREADY_UNDONE";
/// The action is not known here, or not supported by this service.
pub const UNKNOWN_ACTION: &str = "UNKNOWN_ACTION";
/// The original, or an undo of it, is still being worked on.
pub const STILL_OPEN: &str = "STILL_OPEN";

/// A sentence for people about one of these reasons; empty about any other.
#[must_use]
pub fn explain(reason: &str) -> &'static str {
    match reason {
        REFUSED_AFTER_UNDO => "the agent was told that nothing of this call is here, so it is not carried out any more",
        NO_TRACE => {
            "the effect is said to be there, and this store knows nothing of the call; if that stays so, look whether it \
             was handled elsewhere, or outside of the barrier"
        }
        FORGOTTEN => {
            "the call is older than what this store remembers; look into the books whether its effect is there"
        }
        ALREADY_UNDONE => "the call was undone, or found absent, and is not done again",
        STILL_OPEN => "the call, or its undo, is being worked on",
        _ => "",
    }
}

/// What to do with an original: a request or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRequest {
    /// Insert the row if there is none, run the handler, write what it said, in one transaction.
    Run,
    /// Publish again what was published.
    Repeat,
    /// Answer this with [`REFUSED_AFTER_UNDO`]; change nothing.
    Refuse(StatusCode),
}

/// An original arrives. `found`: its row, if there is one. `answered`: this very call was answered, not only another under
/// the same key ([`super::Record::answers`]).
///
/// A duplicate gets the answer that was given, but not once an undo has begun: whoever acts on an `OK` then builds on what
/// is not there. `FAILED` says that nothing remains, so before the undo is finished it is `CANCELLED`. For the same reason
/// an attempt that failed does not stand in the way of the next one under its key (S4.5).
#[must_use]
pub fn on_request(found: Option<State>, answered: bool) -> OnRequest {
    match found {
        None => OnRequest::Run,
        Some(State::Failed) if !answered => OnRequest::Run,
        Some(State::Open | State::Applied | State::InDoubt | State::Failed) => OnRequest::Repeat,
        Some(State::Undoing) => OnRequest::Refuse(StatusCode::Cancelled),
        Some(State::Undone | State::Barred) => OnRequest::Refuse(StatusCode::Failed),
    }
}

/// What to do with a command. Only what settles the command is remembered under its id ([`settles`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCommand {
    /// Run the handler of that action, and write what it did and the answer in one transaction.
    Run,
    /// Write the row as [`State::Barred`] and remember the answer, in one transaction.
    Bar(ResultState),
    /// Remember the answer if it settles the command; change nothing else.
    Answer(ResultState, &'static str),
}

/// An undo. `certain`: the agent knows that the effect is there. `forgets`: the row may have been there and been forgotten
/// ([`super::Transaction::forgotten_before`]).
///
/// | row | certain | in doubt | because |
/// |---|---|---|---|
/// | none | `retryable` | bar, `not_needed` | see below |
/// | none, perhaps forgotten | `failed` | `failed` | nobody can say; a person has to look |
/// | `open`, `applied`, `in_doubt`, `undoing` | run | run | it is there, or may be |
/// | `undone` | `done` | `done` | done by an earlier command |
/// | `failed` | bar, `not_needed` | bar, `not_needed` | it is not there, and no further attempt may come after this answer |
/// | `barred` | `not_needed` | `not_needed` | it is not there, and will not come |
///
/// Certain and no row: the agent has an `OK` of this service, or an operator's word, and here is no trace. To say
/// `not_needed` would leave money taken. It may be that the row is not yet to be seen here (a replica, an answer published
/// before its commit): so `retryable`. If it is not, the attempts are used up, and an operator looks. The original is
/// not barred, since nothing was said of it.
#[must_use]
pub fn on_undo(found: Option<State>, certain: bool, forgets: bool) -> OnCommand {
    match found {
        None if forgets => OnCommand::Answer(ResultState::Failed, FORGOTTEN),
        None if certain => OnCommand::Answer(ResultState::Retryable, NO_TRACE),
        None | Some(State::Failed) => OnCommand::Bar(ResultState::NotNeeded),
        Some(State::Open | State::Applied | State::InDoubt | State::Undoing) => OnCommand::Run,
        Some(State::Undone) => OnCommand::Answer(ResultState::Done, ""),
        Some(State::Barred) => OnCommand::Answer(ResultState::NotNeeded, ""),
    }
}

/// An inquiry. Nothing is undone after `absent`, so `absent` has to stay true: the original is barred as by an undo. A
/// handler is only asked about what is in doubt here too.
#[must_use]
pub fn on_inquire(found: Option<State>, forgets: bool) -> OnCommand {
    match found {
        None if forgets => OnCommand::Answer(ResultState::Unknown, FORGOTTEN),
        None | Some(State::Failed) => OnCommand::Bar(ResultState::Absent),
        Some(State::Open | State::Undoing) => OnCommand::Answer(ResultState::Ongoing, STILL_OPEN),
        Some(State::InDoubt) => OnCommand::Run,
        Some(State::Applied) => OnCommand::Answer(ResultState::Applied, ""),
        Some(State::Undone | State::Barred) => OnCommand::Answer(ResultState::Absent, ""),
    }
}

/// A retry: the call is done again (S4.7). What was undone or barred is not: that would break what was answered.
#[must_use]
pub fn on_retry(found: Option<State>, forgets: bool) -> OnCommand {
    match found {
        None if forgets => OnCommand::Answer(ResultState::Failed, FORGOTTEN),
        Some(State::Open) => OnCommand::Answer(ResultState::Ongoing, STILL_OPEN),
        None | Some(State::Failed | State::InDoubt) => OnCommand::Run,
        Some(State::Applied) => OnCommand::Answer(ResultState::Done, ""),
        Some(State::Undoing | State::Undone | State::Barred) => OnCommand::Answer(ResultState::Failed, ALREADY_UNDONE),
    }
}

/// Whether an answer is the last word on its command: it is remembered, and given again whenever the command comes again.
/// All others are given anew: `ongoing`, `retryable` and `unknown` are asked again under the same id so that something
/// else may be said, and so is `failed` when an operator says `retry` (S5.2).
#[must_use]
pub fn settles(state: ResultState) -> bool {
    matches!(state, ResultState::Done | ResultState::NotNeeded | ResultState::Applied | ResultState::Absent)
}
