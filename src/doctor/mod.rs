//! What a bus looks like to the agent: a sample of its newest messages is examined, and what is found is said with what to
//! do about it. Pure: whoever reads the bus hands in what is there ([`Facts`]) and the records in the order of a
//! [`crate::tap::Tap`].

mod calls;
mod clock;
mod decoded;
mod effects;
mod examiner;
mod json;
mod keys;
mod operations;
mod propose;
mod responses;
#[cfg(test)]
mod tests;
mod text;
mod timeouts;
mod topics;

pub use examiner::Examiner;
pub use json::lines;
pub use text::text;

use serde_json::Value;

use crate::{
    bus::layout::Topics,
    model::{BusTime, Span},
};

/// What kind of bus it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// Topics and partitions.
    Kafka,
    /// Queues, streams and exchanges: nothing is keyed or spread there.
    RabbitMq,
}

/// What is known of a bus without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub bus: Bus,
    /// Where it is, as people write it.
    pub place: String,
    /// What topics are called.
    pub names: Topics,
    /// Topics with envelopes.
    pub inputs: Vec<String>,
    /// All topics there are, with their numbers of partitions.
    pub there: Vec<(String, i32)>,
}

impl Facts {
    /// Partitions of a topic; zero: it is not there.
    #[must_use]
    pub fn partitions(&self, topic: &str) -> i32 {
        self.there.iter().find(|(name, _)| name == topic).map_or(0, |(_, partitions)| *partitions)
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// The agent works, but not as well as it could.
    Warning,
    /// The agent cannot work like this, or not rightly.
    Problem,
}

impl Severity {
    /// The lower-case word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What it is about, in a word that does not change.
    pub about: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub sentence: String,
    /// What to do about it; empty: nothing.
    pub advice: String,
    /// The numbers behind it.
    pub numbers: Value,
}

impl Finding {
    fn new(about: &'static str, severity: Severity, sentence: impl Into<String>) -> Self {
        Self { about, severity, sentence: sentence.into(), advice: String::new(), numbers: Value::Null }
    }

    fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }

    fn numbers(self, numbers: Value) -> Self {
        Self { numbers, ..self }
    }
}

/// An operation as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperationSeen {
    /// The service that is called.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// Requests and events.
    pub calls: u64,
    /// Of them, events.
    pub events: u64,
    /// Requests with a timeout.
    pub with_timeout: u64,
    /// With an effect other than read-only, said by the request or its response.
    pub with_effect: u64,
    /// With a compensation.
    pub with_compensation: u64,
    /// Requests whose answer was seen, too.
    pub answered: u64,
    /// Answers other than `OK`.
    pub failed: u64,
    /// The median time to an answer, and that below which 99 % and 99.9 % of the answers came.
    pub latency: Option<[Span; 3]>,
    /// A timeout that this suggests; `None`: too few answers for one.
    pub proposed: Option<Span>,
}

/// A service as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSeen {
    /// Its name.
    pub service: String,
    /// Messages that it sent.
    pub sent: u64,
    /// Calls of it.
    pub called: u64,
    /// Its versions, as far as messages say; at most [`MAX_VERSIONS`].
    pub versions: Vec<String>,
}

/// What the sample was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Records of inputs.
    pub records: u64,
    /// Chains.
    pub chains: u64,
    /// Chains that are in it from their beginning: only of those it is said what is missing in them.
    pub whole: u64,
    /// Bus times of the first and the last record.
    pub times: Option<(BusTime, BusTime)>,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Where.
    pub place: String,
    /// Of what.
    pub sample: Sample,
    /// Findings, in the order in which a person looks at things.
    pub findings: Vec<Finding>,
    /// Operations, most called first; at most [`MAX_OPERATIONS`].
    pub operations: Vec<OperationSeen>,
    /// Calls of operations beyond that.
    pub more_calls: u64,
    /// Services, by name; at most [`MAX_SERVICES`].
    pub services: Vec<ServiceSeen>,
    /// The configuration that fits, as TOML that `check` takes.
    pub configuration: String,
}

impl Report {
    /// The worst that was found.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    /// Whether nothing was found that keeps the agent from working rightly.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.severity() < Severity::Problem
    }

    /// A report about a bus that cannot be examined at all.
    #[must_use]
    pub fn hopeless(place: &str, finding: Finding) -> Self {
        Self {
            place: place.to_owned(),
            sample: Sample::default(),
            findings: vec![finding],
            operations: Vec::new(),
            more_calls: 0,
            services: Vec::new(),
            configuration: String::new(),
        }
    }
}

/// Most operations that are told apart. A real estate has some hundreds; thousands are names with ids in them.
pub const MAX_OPERATIONS: usize = 1_000;

/// Most services that are told apart.
pub const MAX_SERVICES: usize = 500;

/// Versions of one service that are listed.
pub const MAX_VERSIONS: usize = 8;

/// The bus does not answer.
#[must_use]
pub fn unreachable(why: &str) -> Finding {
    Finding::new("bus", Severity::Problem, why).advise("check --kafka, the network, and kafka.properties for a login")
}

/// There is nothing to read.
#[must_use]
pub fn no_input(why: &str) -> Finding {
    Finding::new("topics", Severity::Problem, why)
        .advise("name the topics or queues that services write their envelopes to; what may not be read does not show")
}

/// A share in percent. It is 0 or 100 only where nothing or all is meant.
fn percent(part: u64, whole: u64) -> String {
    match part.saturating_mul(1_000).checked_div(whole) {
        None => "0 %".to_owned(),
        Some(_) if part == 0 => "0 %".to_owned(),
        Some(_) if part == whole => "100 %".to_owned(),
        Some(permille) => {
            let permille = permille.clamp(1, 999);
            format!("{}.{} %", permille / 10, permille % 10)
        }
    }
}

/// Names for a sentence: the first few, and how many more there are.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 4;
    match names.len() {
        n if n > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => names.join(", "),
    }
}
