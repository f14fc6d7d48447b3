//! `[engine]`: what chains are decided by (S1 to S5).

use super::{
    Setting,
    names::check_name,
    slot::{Slot, unless_empty},
};
use crate::{
    model::Span,
    policy::{
        load::config::Config,
        settings::{InFlight, Mode, OnUndoFailure, Ordering, Tolerated, Undeclared},
        words::Word,
    },
};

macro_rules! span {
    ($least:expr, $($field:ident).+) => {
        Slot::Span { least: $least, get: |it| Some(it.$($field).+), set: |it, span| it.$($field).+ = span }
    };
}
pub(super) use span;

macro_rules! word {
    ($word:ty, $($field:ident).+) => {
        Slot::Word {
            words: <$word>::words,
            get: |it| Some(it.$($field).+.word()),
            set: |it, word| it.$($field).+ = <$word>::from_word(word).unwrap_or(it.$($field).+),
        }
    };
}
pub(super) use word;

/// A whole number that is kept as `$kind`; its bounds lie within what that kind holds.
macro_rules! count {
    ($slot:ident, $least:expr, $most:expr, $kind:ty, $($field:ident).+) => {
        Slot::$slot {
            least: $least,
            most: $most,
            get: |it| u64::try_from(it.$($field).+).ok(),
            set: |it, count| it.$($field).+ = <$kind>::try_from(count).unwrap_or(<$kind>::MAX),
        }
    };
}
pub(super) use count;

const MS: Span = Span::millis(1);

/// How chains are decided, and what is done about them.
pub(super) const ENGINE: &[Setting<Config>] = &[
    Setting {
        key: "engine.mode",
        slot: word!(Mode, engine.mode),
        what: "Whether commands are sent: `observe` never, `approve` when an operator approved the plan, `auto` at once. \
               Rules of operations may say otherwise; the strictest mode among a plan's commands holds.",
        why: "Nobody should be surprised by an agent that acts: watch it first.",
        rule: "S5.7",
    },
    Setting {
        key: "engine.timeout",
        slot: Slot::Span { least: MS, get: |it| it.engine.timeout, set: |it, span| it.engine.timeout = Some(span) },
        what: "Timeout of calls that give none and whose operation has none in a rule. Not set: they never time out.",
        why: "Absence of evidence undoes nothing: a limit is for somebody who knows the callee.",
        rule: "S2.1, S2.2",
    },
    Setting {
        key: "engine.timeout_grace",
        slot: span!(Span::ZERO, engine.timeout_grace),
        what: "Added to a call's timeout before it counts as timed out.",
        why: "Clocks and queues are not exact, and an answer that was in time must not read as late.",
        rule: "S2.1",
    },
    Setting {
        key: "engine.decide_grace",
        slot: span!(Span::ZERO, engine.decide_grace),
        what: "How long a chain must have held still, all answered or timed out, before it is decided.",
        why: "Longer than messages of one chain are usually apart on different partitions, short beside a person's \
              patience.",
        rule: "S2.3",
    },
    Setting {
        key: "engine.clock_skew",
        slot: span!(Span::ZERO, engine.clock_skew),
        what: "How much later than its caller a callee on another partition may have failed and still be the cause.",
        why: "Hosts that keep their clocks by NTP differ by less.",
        rule: "S3.2",
    },
    Setting {
        key: "engine.max_ahead",
        slot: span!(Span::ZERO, engine.max_ahead),
        what: "How far ahead of the host clock a message's time may be; what is further is corrected and counted.",
        why: "More than a healthy clock is wrong, less than would time out calls of others.",
        rule: "S0, S2.8",
    },
    Setting {
        key: "engine.max_age",
        slot: span!(MS, engine.max_age),
        what: "Age at which a chain is decided that has unanswered calls without a timeout; how long failed chains stay \
               whole, and how long ids of closed chains are remembered.",
        why: "Few requests live longer, and a chain that waits costs memory.",
        rule: "S2.2, S2.9",
    },
    Setting {
        key: "engine.linger",
        slot: span!(Span::ZERO, engine.linger),
        what: "How long a decided chain without a failure stays whole, so that stragglers join it.",
        why: "Longer than redelivery after a rebalance usually takes; successes are most of the traffic, so it costs.",
        rule: "S2.9",
    },
    Setting {
        key: "engine.late_window",
        slot: span!(Span::ZERO, engine.late_window),
        what: "How long after the verdict late answers are matched to chains with an effect in doubt.",
        why: "Late answers come minutes to hours later; a day covers a night without operators.",
        rule: "S2.7",
    },
    Setting {
        key: "engine.in_flight",
        slot: word!(InFlight, engine.in_flight),
        what: "Calls still open below answered roots: `wait` for them, or `plan_now` and amend the plan later.",
        why: "A plan that is made once is easier to follow than one that is amended.",
        rule: "S2.4",
    },
    Setting {
        key: "engine.tolerated",
        slot: word!(Tolerated, engine.tolerated),
        what: "What a failed branch left behind in a chain that succeeded without it: `undo` it, or only `report` it.",
        why: "A fallback does not pay for what the failed branch reserved.",
        rule: "S4.1",
    },
    Setting {
        key: "engine.undeclared",
        slot: word!(Undeclared, engine.undeclared),
        what: "What a call is of which nobody says what it changes: `read_only`, or an `effect` that cannot be undone.",
        why: "Most calls read; with `effect` each chain that fails needs an operator until its operations are declared.",
        rule: "S4.6",
    },
    Setting {
        key: "engine.ordering",
        slot: word!(Ordering, engine.ordering),
        what: "Effects of calls that overlapped are undone in `parallel`, or in `strict` order, the last ended first.",
        why: "What ran at the same time did not depend on each other.",
        rule: "S5.1",
    },
    Setting {
        key: "engine.own_undo_window",
        slot: span!(Span::ZERO, engine.own_undo_window),
        what: "How long after the verdict services may undo by themselves before the first command. Rules may set it \
               per root operation or service.",
        why: "Most services either undo before they answer or not at all.",
        rule: "S4.9",
    },
    Setting {
        key: "engine.answer_timeout",
        slot: span!(MS, engine.answer_timeout),
        what: "How long to wait for the answer to a command before it is sent again; doubles with each attempt.",
        why: "Undo is rare and may be slow; sending again too early only doubles the load.",
        rule: "S5.2",
    },
    Setting {
        key: "engine.max_attempts",
        slot: count!(Count, 1, 100, u32, engine.max_attempts),
        what: "How often one command is sent in all before its chain needs an operator.",
        why: "With doubling waits five attempts span a quarter of an hour: longer is an outage that a person knows of.",
        rule: "S5.2, S4.3",
    },
    Setting {
        key: "engine.backoff",
        slot: span!(MS, engine.backoff),
        what: "First wait after an answer `retryable`; doubles with each attempt, with up to half jitter.",
        why: "Long enough for a lock to be free again, short enough not to be noticed.",
        rule: "S5.2",
    },
    Setting {
        key: "engine.max_backoff",
        slot: span!(MS, engine.max_backoff),
        what: "Longest such wait.",
        why: "After a minute more patience changes nothing.",
        rule: "S5.2",
    },
    Setting {
        key: "engine.on_undo_failure",
        slot: word!(OnUndoFailure, engine.on_undo_failure),
        what: "What an undo that failed for good holds up: `stop` all later waves, or `continue` with what does not \
               depend on it.",
        why: "Where something unexpected happened, a person should see it before more is undone.",
        rule: "S5.2",
    },
    Setting {
        key: "engine.max_plan_age",
        slot: span!(MS, engine.max_plan_age),
        what: "A plan whose newest evidence is older waits for approval, whatever the mode.",
        why: "A reset offset must never undo last week.",
        rule: "S5.14",
    },
    Setting {
        key: "engine.act_on_incomplete",
        slot: Slot::Flag {
            get: |it| Some(it.engine.act_on_incomplete),
            set: |it, flag| it.engine.act_on_incomplete = flag,
        },
        what: "Whether `auto` acts on verdicts that are `incomplete`; else such plans wait for approval.",
        why: "A chain whose start was cut off may have had a root that succeeded.",
        rule: "S5.8",
    },
    Setting {
        key: "engine.attributes",
        slot: Slot::Texts {
            form: "attribute names",
            check: check_name,
            get: |it| unless_empty(it.engine.attributes.iter().cloned().collect()),
            set: |it, names| it.engine.attributes = names.into_iter().collect(),
        },
        what: "Attributes of the call undone that its command carries, such as a tenant or a security context.",
        why: "Attributes may hold what other readers of the topic should not see.",
        rule: "S5.9",
    },
];

/// The storm brake, and bounds on what one engine keeps.
pub(super) const BOUNDS: &[Setting<Config>] = &[
    Setting {
        key: "engine.brake.per_edge",
        slot: count!(Count, 0, 1_000_000, u32, engine.brake.per_edge),
        what: "Plans a minute of one failing edge; further ones wait for approval. 0: no bound.",
        why: "A person can still follow one a second.",
        rule: "S5.8",
    },
    Setting {
        key: "engine.brake.overall",
        slot: count!(Count, 0, 1_000_000, u32, engine.brake.overall),
        what: "Plans a minute of all edges of one engine; further ones wait for approval. 0: no bound.",
        why: "Five edges at their bound are no longer one fault but an outage.",
        rule: "S5.8",
    },
    Setting {
        key: "engine.limits.calls_per_chain",
        slot: count!(Count, 1, 60_000, usize, engine.limits.calls_per_chain),
        what: "Calls of one chain; one more is refused with the anomaly `limit_exceeded`.",
        why: "The largest traces that large users published have some hundreds of calls.",
        rule: "S1.5",
    },
    Setting {
        key: "engine.limits.depth",
        slot: count!(Count, 1, 1_000, usize, engine.limits.depth),
        what: "Depth of a chain; the parent link of a deeper call is refused.",
        why: "Recorded systems stay below 20.",
        rule: "S1.5",
    },
    Setting {
        key: "engine.limits.answers_per_call",
        slot: count!(Count, 1, 1_000, usize, engine.limits.answers_per_call),
        what: "Answers kept of one call; one more is refused.",
        why: "Duplicates are dropped before they count, so more is a broken producer.",
        rule: "S1.5",
    },
    Setting {
        key: "engine.limits.memory",
        slot: count!(Bytes, 16 << 20, 1 << 40, usize, engine.limits.memory),
        what: "Memory of one engine, by its own account; at the limit chains are given up in a fixed order, and if none \
               may go input is paused.",
        why: "About 700,000 open chains of 8 calls.",
        rule: "S2.10",
    },
    Setting {
        key: "engine.limits.names",
        slot: count!(Count, 1_000, 10_000_000, usize, engine.limits.names),
        what: "Names of services, versions, operations and reasons, in at most a quarter of the memory; at the limit unused \
               ones are swept, then input is refused.",
        why: "A large estate has some ten thousand; more are usually ids written where a name belongs.",
        rule: "S2.10",
    },
    Setting {
        key: "engine.limits.closed_chains",
        slot: count!(Count, 1_000, 100_000_000, usize, engine.limits.closed_chains),
        what: "Ids of closed chains that are remembered, in at most a quarter of the memory; the oldest go first.",
        why: "About 40 MB.",
        rule: "S2.9",
    },
    Setting {
        key: "engine.limits.command_bytes",
        slot: count!(Bytes, 1 << 10, 16 << 20, usize, engine.limits.command_bytes),
        what: "A payload above this goes into a command as a reference.",
        why: "With request and response a command stays below Kafka's default of 1 MiB a record.",
        rule: "S5.15",
    },
];
