//! Enums that the model and the contract have in common. The contract's have one value more, for "not said".

use super::proto;
use crate::model;

/// Conversions between a model enum and its twin in the contract: total one way, without "not said" the other.
macro_rules! twins {
    ($($model:ident = $proto:ident { $($value:ident),+ $(,)? })+) => {$(
        impl From<model::$model> for proto::$proto {
            fn from(value: model::$model) -> Self {
                match value {
                    $(model::$model::$value => Self::$value,)+
                }
            }
        }

        impl FromWire<proto::$proto> for model::$model {
            fn from_wire(value: proto::$proto) -> Option<Self> {
                match value {
                    $(proto::$proto::$value => Some(Self::$value),)+
                    proto::$proto::Unspecified => None,
                }
            }
        }
    )+};
}

/// Reads an enum of the contract.
pub(super) trait FromWire<T>: Sized {
    /// The model's value; `None`: not said.
    fn from_wire(value: T) -> Option<Self>;
}

/// The model's value of a field; `None` if it says nothing, or something that is unknown here.
pub(super) fn known<P: TryFrom<i32>, M: FromWire<P>>(number: i32) -> Option<M> {
    P::try_from(number).ok().and_then(M::from_wire)
}

/// The number of a model's value in a field.
pub(super) fn number<M, P: From<M> + Into<i32>>(value: M) -> i32 {
    P::from(value).into()
}

twins! {
    StatusCode = StatusCode { Ok, Failed, Unknown, Cancelled, Ongoing }
    EffectClass = EffectKind { ReadOnly, Compensatable, Pivot, Retriable }
    ResultState = ResultState { Done, NotNeeded, Ongoing, Retryable, Failed, Applied, Absent, Unknown }
    Verb = Verb {
        Approve, Reject, Retry, Skip, MarkDone, Confirm, GiveUp, Pause, Resume, BrakeRelease,
    }
    Certainty = Certainty { Applied, InDoubt }
    Outcome = Outcome { Succeeded, Failed, Unknown }
    Cause = Cause { Error, NoResponse, Slow, Undeliverable, Cancelled }
    AnomalyKind = Anomaly {
        ConflictingResponse, ConflictingRequest, MessageIdReused, OrphanResponse, MissingParent, CyclicParent,
        LimitExceeded, SupersededInDoubt, DuplicateEffect, RanAfterUndo, DecidedTooEarly,
    }
    PlanState = PlanState {
        None, Observed, AwaitingApproval, Compensating, Compensated, Completed, NeedsOperator, Abandoned,
    }
    EffectState = EffectState { None, Applied, InDoubt, Undone }
    WaitReason = WaitReason {
        Mode, Incomplete, Stale, Brake, CatchingUp, NoRoute, Held, Uncompensatable, Stuck, Pivot, DuplicateEffect,
        EvidenceExpired, Rejected, OrderCycle, Unwritable,
    }
    PlanItemState = PlannedCommandState {
        Waiting, Held, Uncompensatable, Kept, Sent, Backoff, Stuck, Done, NotNeeded, Skipped, MarkedDone, Withdrawn,
    }
    CallEnd = CallEnd { Open, Answered, TimedOut, HalfKnown }
}

/// Commands about versions have no twin in the engine.
impl From<model::CommandAction> for proto::Action {
    fn from(action: model::CommandAction) -> Self {
        match action {
            model::CommandAction::Undo => Self::Undo,
            model::CommandAction::Retry => Self::Retry,
            model::CommandAction::Inquire => Self::Inquire,
        }
    }
}
