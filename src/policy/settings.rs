//! Settings of the engine: each with its default and why it is that.

use std::collections::BTreeSet;

use crate::model::Span;

/// Whether commands are sent (S5.7). The order is that of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mode {
    /// Sent at once.
    Auto,
    /// Sent when an operator approved the plan.
    Approve,
    /// Never sent.
    #[default]
    Observe,
}

/// What a participant can be told about an effect in doubt (S4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum InDoubt {
    /// Undo it if it is there.
    Undo,
    /// Say whether it is there.
    Inquire,
    /// Nothing: an operator decides.
    #[default]
    Hold,
}

/// What to do about calls still open below answered roots (S2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum InFlight {
    /// Wait for them.
    #[default]
    Wait,
    /// Plan now, amend later.
    PlanNow,
}

/// What to do about what a tolerated branch left behind (S4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tolerated {
    /// Undo it.
    #[default]
    Undo,
    /// Only report it.
    Report,
}

/// What a call is that declares nothing (S4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Undeclared {
    /// Read-only.
    #[default]
    ReadOnly,
    /// Something that nobody knows how to undo.
    Effect,
}

/// How overlapping effects are undone (S5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ordering {
    /// Together.
    #[default]
    Parallel,
    /// One after the other, the last ended first.
    Strict,
}

/// What an undo that failed for good holds up (S5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnUndoFailure {
    /// All later waves.
    #[default]
    Stop,
    /// Only what depends on it.
    Continue,
}

/// Bounds on what one engine keeps (S1.5, S2.10). What happens at each is written beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls of one chain, 1 to 60,000. One more is refused with `limit_exceeded`. 1,000: the largest traces published
    /// by large users have some hundreds of calls, and a chain of 1,000 costs about 200 KB.
    pub calls_per_chain: usize,
    /// Depth of a chain. The parent link of a deeper call is refused. 64: recorded systems stay below 20.
    pub depth: usize,
    /// Answers kept of one call; one more is refused. 32: duplicates are dropped before they count.
    pub answers_per_call: usize,
    /// Memory of all chains of one engine, with names and ids of closed chains, in bytes, by the engine's own account.
    /// At the limit chains go in the order of S2.10; if none may go, input is paused. 1 GiB: about 700,000 open chains
    /// of 8 calls.
    pub memory: usize,
    /// Names (services, versions, operations, reasons), in at most a quarter of the memory. At the limit unused ones are
    /// swept, then input is refused.
    pub names: usize,
    /// Ids of closed chains that are remembered, in at most a quarter of the memory; the oldest go first. 1,000,000 are
    /// about 40 MB.
    pub closed_chains: usize,
    /// A payload above this many bytes goes into a command as a reference (S5.15). 512 KiB: with request and response
    /// a command stays below Kafka's default of 1 MiB a record.
    pub command_bytes: usize,
}

impl Limits {
    /// Bytes that names may take (S2.10): a quarter of the memory, so that chains have most of it; and of memories as
    /// small as in tests as much as some hundred names need.
    #[must_use]
    pub fn name_bytes(&self) -> usize {
        (self.memory / 4).max(32 * 1024)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_per_chain: 1_000,
            depth: 64,
            answers_per_call: 32,
            memory: 1 << 30,
            names: 100_000,
            closed_chains: 1_000_000,
            command_bytes: 512 * 1024,
        }
    }
}

/// The storm brake (S5.8): more plans a minute than this wait for approval. Zero switches a bound off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrakeSettings {
    /// Plans a minute of one failing edge. 60: a person still can follow one a second.
    pub per_edge: u32,
    /// Plans a minute of all edges of one engine.
    pub overall: u32,
}

impl Default for BrakeSettings {
    fn default() -> Self {
        Self { per_edge: 60, overall: 300 }
    }
}

/// Settings that hold for all chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Added to a call's timeout before it counts as timed out (S2.1): clocks and queues are not exact.
    pub timeout_grace: Span,
    /// How long a chain must have held still before it is decided (S2.3).
    pub decide_grace: Span,
    /// How much later than its caller a callee on another partition may have failed and still be the cause (S3.2).
    pub clock_skew: Span,
    /// How far ahead of the host clock a message's time may be (S0).
    pub max_ahead: Span,
    /// When a chain with an unanswered call without a timeout is decided (S2.2), and how long a closed id is kept.
    pub max_age: Span,
    /// How long effects in doubt and `unknown` chains stay matchable after the verdict (S2.7).
    pub late_window: Span,
    /// How long other decided chains stay whole (S2.9).
    pub linger: Span,
    /// How long to wait for an answer to a command; doubles with each attempt (S5.2).
    pub answer_timeout: Span,
    /// Publications of one command in all (S5.2).
    pub max_attempts: u32,
    /// First backoff after a retryable failure; doubles (S5.2).
    pub backoff: Span,
    /// Longest backoff.
    pub max_backoff: Span,
    /// A plan from older evidence waits for approval (S5.14).
    pub max_plan_age: Span,
    /// Time for services to undo by themselves before the first command (S4.9), unless set per root operation.
    pub own_undo_window: Span,
    /// Timeout of calls that give none and whose operation has none configured; `None`: they never time out (S2.2).
    pub timeout: Option<Span>,
    /// Mode where no rule of the catalogue says another (S5.7).
    pub mode: Mode,
    /// Calls still open below answered roots (S2.4).
    pub in_flight: InFlight,
    /// What tolerated branches left (S4.1).
    pub tolerated: Tolerated,
    /// What a call is that declares nothing (S4.6).
    pub undeclared: Undeclared,
    /// Overlapping effects (S5.1).
    pub ordering: Ordering,
    /// What a failed undo holds up (S5.2).
    pub on_undo_failure: OnUndoFailure,
    /// Act on incomplete verdicts in `auto` (S5.8).
    pub act_on_incomplete: bool,
    /// Attributes carried into commands (S5.9).
    pub attributes: BTreeSet<String>,
    /// The storm brake.
    pub brake: BrakeSettings,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout_grace: Span::secs(1),
            decide_grace: Span::millis(200),
            clock_skew: Span::millis(50),
            max_ahead: Span::secs(1),
            max_age: Span::hours(1),
            late_window: Span::hours(24),
            linger: Span::secs(30),
            answer_timeout: Span::secs(30),
            max_attempts: 5,
            backoff: Span::secs(1),
            max_backoff: Span::mins(1),
            max_plan_age: Span::hours(1),
            own_undo_window: Span::ZERO,
            timeout: None,
            mode: Mode::default(),
            in_flight: InFlight::default(),
            tolerated: Tolerated::default(),
            undeclared: Undeclared::default(),
            ordering: Ordering::default(),
            on_undo_failure: OnUndoFailure::default(),
            act_on_incomplete: false,
            attributes: BTreeSet::new(),
            brake: BrakeSettings::default(),
            limits: Limits::default(),
        }
    }
}
