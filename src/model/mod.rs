//! The words of semantics.md as types: ids, times, names, inputs, answers, and what the engine says back.
//!
//! Nothing here knows a bus, a clock or a store. Inputs borrow from the decoded message, so that a message which
//! changes nothing costs no allocation; what the engine gives out is owned.

#[macro_use]
mod words;

mod command;
mod correlation;
mod hash;
mod id;
mod input;
mod name;
mod time;
mod view;

pub use command::{
    Action, ChainChange, Command, CommandAction, Content, Destination, Refusal, Refused, ServiceMessage, Slot,
    command_id,
};
pub use correlation::Correlation;
pub(crate) use hash::{QuickMap, hex};
pub use id::{Id, MAX_ID_BYTES};
pub use input::{
    Certainty, CommandResult, Compensation, DeadLetter, EffectClass, EffectDeclaration, Fault, Handled, Input, Message,
    MessageKind, Operation, Party, Payload, Published, Request, Response, ResultState, RouteAnswer, Status, StatusCode,
    Verb,
};
pub use name::{Name, Names, NamesFull};
pub use time::{BusTime, HostTime, LaneId, Moment, Position, Span};
pub use view::{
    AnomalyKind, CallEnd, CallView, Cause, ChainView, CommandView, EffectState, FailureView, Outcome, PlanItemState,
    PlanState, VerdictView, WaitReason,
};
