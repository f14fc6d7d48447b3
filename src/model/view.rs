//! The picture of a chain that people and other parts see: owned, bounded by the chain's own limits.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    command::CommandAction,
    input::{Certainty, StatusCode},
    time::{BusTime, Span},
};

words! {
    /// How a chain ended (S0).
    Outcome {
        /// Every root worked.
        Succeeded = "succeeded",
        /// A root failed.
        Failed = "failed",
        /// Nobody can say (S2.2).
        Unknown = "unknown",
    }
}

words! {
    /// Why the failing edge failed (S3.6).
    Cause {
        /// The callee said so.
        Error = "error",
        /// It never answered.
        NoResponse = "no_response",
        /// It answered after the deadline.
        Slow = "slow",
        /// The request was not delivered.
        Undeliverable = "undeliverable",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}

words! {
    /// The closed set of anomalies (S1.10).
    AnomalyKind {
        /// Final answers that contradict each other (S1.2).
        ConflictingResponse = "conflicting_response",
        /// Two requests of one call that differ (S1.4).
        ConflictingRequest = "conflicting_request",
        /// One message id with two contents (S1.2).
        MessageIdReused = "message_id_reused",
        /// A response whose request never came (S1.3).
        OrphanResponse = "orphan_response",
        /// A parent that never came (S1.3).
        MissingParent = "missing_parent",
        /// A parent link that would close a cycle (S1.5).
        CyclicParent = "cyclic_parent",
        /// Deeper or larger than the limits (S1.5).
        LimitExceeded = "limit_exceeded",
        /// An earlier attempt in doubt beside the one that worked (S4.4).
        SupersededInDoubt = "superseded_in_doubt",
        /// An earlier attempt applied beside the one that worked (S4.4).
        DuplicateEffect = "duplicate_effect",
        /// An effect that came after its undo had found nothing (S5.6).
        RanAfterUndo = "ran_after_undo",
        /// Undoing had begun when the chain turned out not to have failed (S5.6).
        DecidedTooEarly = "decided_too_early",
    }
}

words! {
    /// State of a chain's plan (S5.12).
    PlanState {
        /// Nothing to do.
        None = "none",
        /// A plan exists and is not to be sent.
        Observed = "observed",
        /// A plan waits for an operator.
        AwaitingApproval = "awaiting_approval",
        /// Commands are on their way.
        Compensating = "compensating",
        /// All finished.
        Compensated = "compensated",
        /// Went forward past a pivot.
        Completed = "completed",
        /// A human is needed.
        NeedsOperator = "needs_operator",
        /// Given up by an operator.
        Abandoned = "abandoned",
    }
}

words! {
    /// State of an effect (S4.2).
    EffectState {
        /// Nothing is there.
        None = "none",
        /// It is there.
        Applied = "applied",
        /// It may be there.
        InDoubt = "in_doubt",
        /// It was taken back.
        Undone = "undone",
    }
}

words! {
    /// Why a plan waits, or why a human is needed.
    WaitReason {
        /// The mode is `approve`.
        Mode = "mode",
        /// The verdict is incomplete (S5.8).
        Incomplete = "incomplete",
        /// The newest evidence is old (S5.14).
        Stale = "stale",
        /// Too many plans at once (S5.8).
        Brake = "brake",
        /// Decided before the agent had first caught up (S5.14).
        CatchingUp = "catching_up",
        /// The service has no route (S5.15).
        NoRoute = "no_route",
        /// An effect in doubt is held (S4.3).
        Held = "held",
        /// An effect that nothing undoes (S4.6).
        Uncompensatable = "uncompensatable",
        /// A command failed for good or was never answered (S5.2).
        Stuck = "stuck",
        /// A pivot is in doubt, or nothing can be retried behind it (S4.7).
        Pivot = "pivot",
        /// Two effects where one was wanted (S4.4).
        DuplicateEffect = "duplicate_effect",
        /// Evidence was given up at the memory limit (S2.10).
        EvidenceExpired = "evidence_expired",
        /// An operator rejected the plan.
        Rejected = "rejected",
        /// The undo order had a cycle: never to be seen (S5.1).
        OrderCycle = "order_cycle",
        /// What a service that does not know commands should be sent cannot be written (S5.15).
        Unwritable = "unwritable",
    }
}

words! {
    /// State of one item of a plan.
    PlanItemState {
        /// Waits for its turn.
        Waiting = "waiting",
        /// Nobody knows whether the effect is there, and its undo takes no doubt.
        Held = "held",
        /// Nothing undoes it.
        Uncompensatable = "uncompensatable",
        /// Kept, since the chain goes forward past a pivot.
        Kept = "kept",
        /// Published, not yet answered.
        Sent = "sent",
        /// To be published again after a backoff.
        Backoff = "backoff",
        /// Failed for good, attempts used up, or without a route.
        Stuck = "stuck",
        /// Answered `done`.
        Done = "done",
        /// Answered `not_needed`, or found absent.
        NotNeeded = "not_needed",
        /// Passed over by an operator.
        Skipped = "skipped",
        /// Done by hand, says an operator.
        MarkedDone = "marked_done",
        /// No longer needed before it was sent.
        Withdrawn = "withdrawn",
    }
}

words! {
    /// How a call ended.
    CallEnd {
        /// Not yet.
        Open = "open",
        /// Answered.
        Answered = "answered",
        /// Its deadline and grace passed (S2.1).
        TimedOut = "timed_out",
        /// Its request never came (S1.3).
        HalfKnown = "half_known",
    }
}

/// A failed call that is named beside the failing edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FailureView {
    /// The call.
    pub call_id: String,
    /// Calling service.
    pub caller: String,
    /// Called service.
    pub callee: String,
    /// Called operation.
    pub operation: String,
    /// The reason that it gave; empty: none.
    pub reason: String,
}

/// A verdict (S0, S3.8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictView {
    /// How the chain ended.
    pub outcome: Outcome,
    /// The failing edge.
    pub failing: Option<FailureView>,
    /// Version of the failing callee; empty: unknown.
    pub failing_version: String,
    /// Why it failed.
    pub cause: Option<Cause>,
    /// With `no_response`: the callee had begun calls of its own.
    pub callee_active: bool,
    /// Call ids from the root down to the failing edge.
    pub path: Vec<String>,
    /// The other suspects on the way (S3.3) and the edges of other failed roots (S3.7).
    pub contributing: Vec<FailureView>,
    /// Suspects of a later class below a call that timed out (S3.4).
    pub runners_up: Vec<FailureView>,
    /// Failures that did not fail their caller (S3.1, S3.5).
    pub tolerated: Vec<FailureView>,
    /// What was wrong with the messages.
    pub anomalies: BTreeSet<AnomalyKind>,
    /// Only the time of failing told the suspects apart.
    pub ambiguous: bool,
    /// Something is missing.
    pub incomplete: bool,
    /// What is missing, in words, at most as many as the chain has calls.
    pub missing: Vec<String>,
    /// One sentence that can be checked against the messages.
    pub sentence: String,
    /// Counts from 1; new evidence that changes any part makes a new one.
    pub revision: u32,
    /// Bus time of the decision, or of the evidence that made this revision.
    pub decided_at: BusTime,
}

/// One call of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallView {
    /// The call.
    pub call_id: String,
    /// Its parent; empty: a root, or unknown.
    pub parent: String,
    /// Calling service.
    pub caller: String,
    /// Called service.
    pub callee: String,
    /// Called version; empty: unknown.
    pub version: String,
    /// Called operation.
    pub operation: String,
    /// The attempt that it retries; empty: none.
    pub retry_of: String,
    /// The call that it undoes; empty: none.
    pub compensates: String,
    /// A one-way event, or a consumer's part in one.
    pub event: bool,
    /// When it began, in bus time; `None`: its request never came.
    pub began_at: Option<BusTime>,
    /// Its time limit.
    pub timeout: Option<Span>,
    /// How it ended.
    pub end: CallEnd,
    /// When it ended, in bus time.
    pub ended_at: Option<BusTime>,
    /// The answer that its caller acted on.
    pub answer: Option<StatusCode>,
    /// The reason that it gave.
    pub reason: String,
    /// A late answer (S2.7), with its bus time.
    pub late: Option<(StatusCode, BusTime)>,
    /// Answered by a dead letter (S1.9).
    pub undeliverable: bool,
    /// Its parent link was refused (S1.5).
    pub refused: bool,
    /// It has an effect (S4.6).
    pub has_effect: bool,
    /// State of that effect.
    pub effect: EffectState,
    /// The effect is void (S4.1).
    pub voided: bool,
    /// Fields of its payloads that the configuration lets people see (S8.4), by name: `request.PATH` or `response.PATH`.
    pub fields: BTreeMap<String, String>,
}

/// One item of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandView {
    /// The command's id.
    pub command_id: String,
    /// What it asks for.
    pub action: CommandAction,
    /// The call that it is about.
    pub call_id: String,
    /// Service that shall act.
    pub service: String,
    /// Operation that it shall carry out; empty: nothing is known to.
    pub operation: String,
    /// Whether the effect is known to be there.
    pub certainty: Certainty,
    /// Wave; zero for what takes none.
    pub wave: u32,
    /// Generation.
    pub generation: u32,
    /// Where it stands.
    pub state: PlanItemState,
    /// Why it is held or stuck.
    pub reason: Option<WaitReason>,
    /// How often it was published.
    pub sends: u32,
    /// What else is to be said of it; empty: nothing.
    pub detail: String,
}

/// A chain as it is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainView {
    /// The chain.
    pub chain_id: String,
    /// Bus time of its first message.
    pub started_at: BusTime,
    /// Its verdict, once it has one.
    pub verdict: Option<VerdictView>,
    /// State of its plan.
    pub state: PlanState,
    /// Why it waits or needs a human.
    pub waits: Vec<WaitReason>,
    /// Its calls, parents before children, siblings by begin.
    pub calls: Vec<CallView>,
    /// Its plan, every generation, by generation, wave and call.
    pub commands: Vec<CommandView>,
}
