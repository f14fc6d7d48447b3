//! What an engine is told: messages, dead letters, command results, operators' actions, publications.
//!
//! Decoders turn foreign conventions into these and nothing else; the engine sees no other. Everything borrows from
//! the decoded message. Identifiers and names are already within their limits (S8.2) when they get here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{command::Destination, time::Span};

/// A service, its version and its instance; empty parts are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Party<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// Version that runs.
    pub version: &'a str,
    /// Instance that handled it.
    pub instance: &'a str,
}

/// A payload of any type: its type's URL and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Payload<'a> {
    /// `Any.type_url`.
    pub type_url: &'a str,
    /// `Any.value`.
    pub value: &'a [u8],
}

/// What a call changes at its callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EffectClass {
    /// Nothing.
    ReadOnly,
    /// Something that a compensation takes back.
    Compensatable,
    /// A point of no return (S4.7).
    Pivot,
    /// Something that may be asked for again until it works (S4.7).
    Retriable,
}

/// The operation that undoes an effect, and what its handler can stand (S4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Compensation<'a> {
    /// Operation that undoes.
    pub operation: &'a str,
    /// Payload for it, if the service gave one.
    pub payload: Option<Payload<'a>>,
    /// The handler may be told to undo what perhaps never happened.
    pub accepts_in_doubt: bool,
    /// Operation that asks for the state; empty: cannot be asked.
    pub inquire_operation: &'a str,
    /// Topic or queue for services that don't know our commands; empty: the usual one.
    pub route: &'a str,
    /// Headers for that route.
    pub headers: Option<&'a BTreeMap<String, String>>,
}

/// What a message declares about the effect of its call (S4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EffectDeclaration<'a> {
    /// Its class, if declared.
    pub class: Option<EffectClass>,
    /// Idempotency key; empty: none (S4.5).
    pub key: &'a str,
    /// What undoes it, if declared.
    pub compensation: Option<Compensation<'a>>,
}

/// A request, or a one-way event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request<'a> {
    /// The call whose handling issued this one; empty: a root.
    pub parent: &'a str,
    /// Who calls.
    pub source: Party<'a>,
    /// Who is called.
    pub destination: Party<'a>,
    /// What is asked for.
    pub operation: &'a str,
    /// How long the caller waits, if it said so.
    pub timeout: Option<Span>,
    /// The attempt that this one retries; empty: none.
    pub retry_of: &'a str,
    /// The call that this one undoes; empty: none (S1.8).
    pub compensates: &'a str,
    /// The command that is being handled where this call was made; empty: none (S1.8).
    pub during: &'a str,
    /// The effect it declares.
    pub effect: EffectDeclaration<'a>,
    /// Attributes; the configured ones are carried into commands (S5.9).
    pub attributes: Option<&'a BTreeMap<String, String>>,
    /// The request itself.
    pub payload: Option<Payload<'a>>,
}

/// How a call was answered (S3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatusCode {
    /// It worked.
    Ok,
    /// It did not, and nothing of it remains.
    Failed,
    /// It may have taken effect. Also every code that the agent does not know.
    Unknown,
    /// It was given up because of another failure.
    Cancelled,
    /// No outcome yet.
    Ongoing,
}

/// Whose fault a failure was, as the callee says; only evidence against versions looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fault {
    /// The callee's.
    #[default]
    Callee,
    /// The caller's.
    Caller,
    /// A business answer.
    Business,
}

/// The status of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status<'a> {
    /// What happened.
    pub code: StatusCode,
    /// Short, machine-readable reason.
    pub reason: &'a str,
    /// Text for people. Not kept.
    pub message: &'a str,
    /// The call that the callee blames; empty: none.
    pub caused_by: &'a str,
    /// Whose fault.
    pub fault: Fault,
}

/// A response, or one consumer's report on an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Response<'a> {
    /// Who answers. For an event: the consumer that reports (S1.7); an empty service reports for the event itself.
    pub by: Party<'a>,
    /// How it went.
    pub status: Status<'a>,
    /// What the callee declares about the effect: it knows what was made.
    pub effect: EffectDeclaration<'a>,
    /// The response itself.
    pub payload: Option<Payload<'a>>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind<'a> {
    /// Asks for something and will be answered.
    Request(Request<'a>),
    /// Answers.
    Response(Response<'a>),
    /// Tells something one-way (S1.7).
    Event(Request<'a>),
}

/// One envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Message<'a> {
    /// Names the message inside its chain. Empty: the sender gave none, and every copy counts as a message.
    pub message_id: &'a str,
    /// The chain that it belongs to; never empty here (S8.3).
    pub chain_id: &'a str,
    /// The call that it belongs to; never empty here.
    pub call_id: &'a str,
    /// Request, response or event.
    pub kind: MessageKind<'a>,
}

/// Whether a dead letter may have been handled before it died (S1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Handled {
    /// A consumer may have had it.
    #[default]
    Maybe,
    /// The bus says that it was never handed to a consumer.
    No,
}

/// A request or event that turned up in a dead-letter topic or queue, or came back as unroutable (S1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeadLetter<'a> {
    /// The message that died.
    pub message: Message<'a>,
    /// Whether it may have been handled.
    pub handled: Handled,
}

/// What a participant answers to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResultState {
    /// The undo (or retry) is done.
    Done,
    /// There was nothing to undo.
    NotNeeded,
    /// It is being worked on.
    Ongoing,
    /// It failed and may be tried again.
    Retryable,
    /// It failed for good.
    Failed,
    /// Inquiry: the effect is there.
    Applied,
    /// Inquiry: it is not.
    Absent,
    /// Inquiry: nobody can say.
    Unknown,
}

impl ResultState {
    /// The lower-case word of scenarios and the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotNeeded => "not_needed",
            Self::Ongoing => "ongoing",
            Self::Retryable => "retryable",
            Self::Failed => "failed",
            Self::Applied => "applied",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }
}

/// A participant's answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandResult<'a> {
    /// The command that is answered.
    pub command_id: &'a str,
    /// Its chain.
    pub chain_id: &'a str,
    /// The answer.
    pub state: ResultState,
    /// Short, machine-readable reason.
    pub reason: &'a str,
    /// Text for people. Not kept.
    pub message: &'a str,
    /// Who answers.
    pub by: Party<'a>,
}

words! {
    /// What an operator can ask for (S5.2, S5.7, S5.8).
    Verb {
        /// Send the waiting plan.
        Approve = "approve",
        /// Don't send it.
        Reject = "reject",
        /// Send a stuck command again.
        Retry = "retry",
        /// Pass over a command or a held effect.
        Skip = "skip",
        /// It was done by hand; of a pivot in doubt: it took effect.
        MarkDone = "mark_done",
        /// A held effect did happen: undo it.
        Confirm = "confirm",
        /// Send nothing more for this chain.
        GiveUp = "give_up",
        /// Send nothing for any chain until resumed.
        Pause = "pause",
        /// Send again.
        Resume = "resume",
        /// Let plans go again after a storm.
        BrakeRelease = "brake_release",
    }
}

impl Verb {
    /// Whether it is asked of every engine, and not of one chain.
    #[must_use]
    pub fn is_for_all(self) -> bool {
        matches!(self, Self::Pause | Self::Resume | Self::BrakeRelease)
    }
}

/// An operator's action, as it came over the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation<'a> {
    /// Names the operation; the same one twice acts once. Empty: none.
    pub operation_id: &'a str,
    /// The chain that it is about; empty for pause, resume and brake release.
    pub chain_id: &'a str,
    /// The call that it is about; empty: the whole chain.
    pub call_id: &'a str,
    /// What to do.
    pub verb: Verb,
    /// The revision that it was decided on; zero: not said. Another revision refuses it.
    pub revision: u32,
    /// Who asks.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// A command of which is said whether it was published: once that is committed its clocks begin (S5.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Published<'a> {
    /// The chain of the command.
    pub chain_id: &'a str,
    /// The command.
    pub command_id: &'a str,
}

/// Which of the destinations are there that one [`super::Action::Seek`] asked about (S5.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouteAnswer<'a> {
    /// The chain that asked.
    pub chain_id: &'a str,
    /// Commands can be written there.
    pub there: &'a [Destination],
    /// They cannot be written there.
    pub missing: &'a [Destination],
    /// The bus time at which it was asked.
    pub at: super::BusTime,
}

/// Whether an undo is for something that is there or that may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Certainty {
    /// The effect is there.
    Applied,
    /// Nobody knows.
    InDoubt,
}

/// Everything that an engine can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input<'a> {
    /// An envelope.
    Message(Message<'a>),
    /// A dead letter.
    DeadLetter(DeadLetter<'a>),
    /// An answer to a command.
    Result(CommandResult<'a>),
    /// An operator's action.
    Operation(Operation<'a>),
    /// A command is on the bus.
    Published(Published<'a>),
    /// A command that was let go has nowhere to go after all (S5.15), and is not on the bus.
    Unrouted(Published<'a>),
    /// Which routes are there, and which are not.
    Route(RouteAnswer<'a>),
}
