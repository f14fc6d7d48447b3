//! A scenario as the driver and the comparison see it: checked, with every default filled in.

use std::{collections::BTreeMap, fmt};

use crate::{
    model::{
        CommandAction, Compensation, EffectClass, EffectDeclaration, Handled, Party, ResultState, Span, StatusCode,
        Verb,
    },
    policy::{InDoubt, Policy},
};

/// The chain of messages and expectations that name none.
pub const DEFAULT_CHAIN: &str = "c";

/// Given these messages, expect this verdict and these commands.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// One line that says what it is about.
    pub name: String,
    /// The rules that it is about.
    pub rules: Vec<String>,
    /// What the engine decides by: its defaults in `auto`, and what `config` overrides.
    pub policy: Policy,
    /// What the agent reads, in the order in which it reads it.
    pub steps: Vec<Step>,
    /// What is to come of it.
    pub expect: Vec<Block>,
}

/// One step of the bus.
#[derive(Debug, Clone)]
pub struct Step {
    /// Bus time since the start.
    pub at: Span,
    /// Up to this step only messages move time.
    pub lagging: bool,
    /// Partition of the message.
    pub partition: u16,
    /// Chain of the message.
    pub chain: String,
    /// Message id, or id of the operation; never empty.
    pub id: String,
    /// Whether the engine is to refuse it; `None`: either will do.
    pub refused: Option<bool>,
    /// What happens.
    pub act: Act,
}

impl Step {
    /// Whether the agent reads a message here, and does not only see time pass.
    #[must_use]
    pub fn is_message(&self) -> bool {
        !matches!(self.act, Act::Wait)
    }
}

/// What happens in a step.
#[derive(Debug, Clone)]
pub enum Act {
    /// Only time passes.
    Wait,
    /// A request.
    Request(RequestStep),
    /// A one-way event.
    Event(RequestStep),
    /// A response, or a consumer's report.
    Response(ResponseStep),
    /// A request or event turns up in a dead-letter queue.
    DeadLetter {
        /// What died, as it was sent.
        letter: RequestStep,
        /// It was an event.
        event: bool,
        /// Whether a consumer may have had it.
        handled: Handled,
    },
    /// A participant answers a command.
    Result {
        /// The call that the command is about.
        call: String,
        /// What kind of command.
        action: CommandAction,
        /// Its id, if the scenario gives it.
        command_id: Option<String>,
        /// The answer.
        state: ResultState,
    },
    /// An operator acts.
    Operator {
        /// What is asked for.
        verb: Verb,
        /// The call; empty: the whole chain.
        call: String,
    },
}

/// A service, its version and its instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartyText {
    /// Name.
    pub service: String,
    /// Version; empty: unknown.
    pub version: String,
    /// Instance; empty: unknown.
    pub instance: String,
}

impl PartyText {
    /// Reads `service[@version[#instance]]`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let (text, instance) = text.split_once('#').unwrap_or((text, ""));
        let (service, version) = text.split_once('@').unwrap_or((text, ""));
        Self { service: service.to_owned(), version: version.to_owned(), instance: instance.to_owned() }
    }

    /// As the model has it.
    #[must_use]
    pub fn party(&self) -> Party<'_> {
        Party { service: &self.service, version: &self.version, instance: &self.instance }
    }
}

/// What a message declares about its effect.
#[derive(Debug, Clone, Default)]
pub struct EffectStep {
    /// Its class; `None`: compensatable if there is an `undo`, else read-only.
    pub class: Option<EffectClass>,
    /// Idempotency key; empty: none.
    pub key: String,
    /// Operation that undoes it; empty: none.
    pub undo: String,
    /// What its compensation can stand.
    pub in_doubt: InDoubt,
}

/// Operation of an inquiry about an effect that declares no `undo` (a pivot that can be asked about).
const INQUIRE: &str = "Inquire";

impl EffectStep {
    /// As the model has it. The language has one name for a compensation, so an inquiry goes to that name too: the `op`
    /// of an expected command is the compensation's operation whatever the action.
    #[must_use]
    pub fn declaration(&self) -> EffectDeclaration<'_> {
        let inquire_operation = match (self.in_doubt, self.undo.as_str()) {
            (InDoubt::Inquire, "") => INQUIRE,
            (InDoubt::Inquire, undo) => undo,
            _ => "",
        };
        let compensation = (!self.undo.is_empty() || !inquire_operation.is_empty()).then_some(Compensation {
            operation: &self.undo,
            payload: None,
            accepts_in_doubt: self.in_doubt == InDoubt::Undo,
            inquire_operation,
            route: "",
            headers: None,
        });
        EffectDeclaration { class: self.class, key: &self.key, compensation }
    }
}

/// A request or an event.
#[derive(Debug, Clone, Default)]
pub struct RequestStep {
    /// The call.
    pub call: String,
    /// Its parent; empty: a root.
    pub parent: String,
    /// Who calls.
    pub from: PartyText,
    /// Who is called.
    pub to: PartyText,
    /// What is asked for.
    pub op: String,
    /// How long the caller waits.
    pub timeout: Option<Span>,
    /// The attempt that it retries; empty: none.
    pub retry_of: String,
    /// The call that it undoes; empty: none.
    pub compensates: String,
    /// The call whose undo command is being handled; empty: none.
    pub during: String,
    /// Its effect.
    pub effect: EffectStep,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct ResponseStep {
    /// The call.
    pub call: String,
    /// Who answers; an empty service: the callee, or the event itself.
    pub by: PartyText,
    /// How it went.
    pub code: StatusCode,
    /// Why.
    pub reason: String,
    /// The call that it blames; empty: none.
    pub caused_by: String,
    /// What it declares about the effect.
    pub effect: EffectStep,
}

/// What a moment is to look like.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// The moment; `None`: the end.
    pub at: Option<Span>,
    /// Chains, by name.
    pub chains: BTreeMap<String, Vec<(Key, Fact)>>,
    /// The complete list of commands sent.
    pub commands: Option<Vec<ExpectedCommand>>,
}

/// A key of an expected chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Outcome of the verdict; `none` before there is one.
    Outcome,
    /// Call of the failing edge, or `none`.
    Failing,
    /// Cause, or `none`.
    Cause,
    /// From the root down to the failing edge, in order.
    Path,
    /// Other suspects.
    Contributing,
    /// Tolerated failures.
    Tolerated,
    /// The complete set of anomalies.
    Anomalies,
    /// Whether only time told the suspects apart.
    Ambiguous,
    /// Whether something is missing.
    Incomplete,
    /// State of the plan.
    State,
    /// Revision of the verdict; zero before there is one.
    Revision,
    /// Calls that nothing undoes.
    Uncompensatable,
    /// Calls that an operator passed over.
    Skipped,
}

impl Key {
    /// Its name in a scenario.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Failing => "failing",
            Self::Cause => "cause",
            Self::Path => "path",
            Self::Contributing => "contributing",
            Self::Tolerated => "tolerated",
            Self::Anomalies => "anomalies",
            Self::Ambiguous => "ambiguous",
            Self::Incomplete => "incomplete",
            Self::State => "state",
            Self::Revision => "revision",
            Self::Uncompensatable => "uncompensatable",
            Self::Skipped => "skipped",
        }
    }
}

/// A value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A word or a call.
    Text(String),
    /// Calls or words; sorted where their order does not count.
    List(Vec<String>),
    /// Yes or no.
    Flag(bool),
    /// How many.
    Count(u32),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::List(texts) => write!(f, "[{}]", texts.join(", ")),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

/// One command that was to be sent. What is `None` is not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedCommand {
    /// Its chain.
    pub chain: String,
    /// What it asks for.
    pub action: CommandAction,
    /// The call that it is about.
    pub call: String,
    /// Its generation; 1 if the scenario gives none.
    pub generation: u32,
    /// Its wave.
    pub wave: Option<u32>,
    /// Its certainty, as a word.
    pub certainty: Option<String>,
    /// Its operation.
    pub op: Option<String>,
    /// How often it was published.
    pub sends: Option<u32>,
}
