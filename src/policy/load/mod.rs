//! The configuration: a TOML file, variables over it, flags over both (S5.7, S5.15, S8.4).
//!
//! [`load`] reads all of it and says everything that is wrong, each with its place. It touches neither the environment
//! nor a file: both are arguments. What there is to set stands in one table, the schema.

mod check;
mod client;
mod config;
mod explain;
mod fault;
mod hint;
mod message;
mod overrides;
mod print;
mod properties;
mod report;
mod rules;
mod schema;
mod secret;
mod topics;
mod trust;
mod units;
mod value;
mod walk;

use std::collections::BTreeMap;

use toml::de::DeTable;

pub use client::CLIENT_SETTINGS;
pub use config::{
    AuditConfig, Config, HttpConfig, JournalConfig, KafkaConfig, LogConfig, LogFormat, LogLevel, PayloadsConfig,
    Property, RabbitmqConfig, RoutesConfig, Start,
};
pub use explain::{explain, markdown};
pub use fault::{Excerpt, Fault, Faults, Severity};
pub use hint::nearest;
pub use overrides::Flag;
pub use print::{Line, as_toml, print};
pub use schema::{Row, rows, topic_pattern};
pub use secret::{Secret, SecretText};
pub use trust::{
    Algorithm, KeyConfig, MAX_KEY_ID, MAX_KEYS, MAX_TOKENS, Owner, Proof, Role, SignConfig, TokenConfig, TrustConfig,
    is_key_id, thirty_two_bytes,
};
pub use units::parse_span;

use super::{Policy, payloads::Payloads};
use report::{Place, Report, Text};
use rules::Rule;
use value::entries;
use walk::{Places, walk};

/// What variables that override settings begin with. Those without `__` after it are not settings, and are left alone.
pub const VARIABLE_PREFIX: &str = "COUNTERMAND_";

/// Largest configuration file, in bytes: ten thousand rules fit. A larger one is somebody else's file.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Most operation rules. Each operation is looked up once, so more would work; but nobody reads them.
pub const MAX_RULES: usize = 10_000;

/// A configuration file.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// What people call it: its path.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// All settings.
    pub config: Config,
    /// What somebody should look at.
    pub warnings: Faults,
    /// Where each setting that is not at its default was set: `countermand.toml:3`, or the name of a variable or flag.
    pub origins: BTreeMap<&'static str, String>,
    /// Where each operation rule begins.
    pub rule_origins: Vec<String>,
    /// What is in `payloads.descriptors`, once somebody has read them: this reads no file.
    pub payloads: Payloads,
}

impl Loaded {
    /// What the engine decides by.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let mut policy = self.config.policy();
        policy.catalogue.payloads = self.payloads.clone();
        policy
    }
}

/// Reads a configuration: defaults, over them the file (`None`: there is none), over it those `variables` that begin
/// with [`VARIABLE_PREFIX`] and hold `__`, over them the flags.
///
/// # Errors
/// Everything that is wrong, warnings included, in the order of the file.
pub fn load(
    file: Option<Source>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: Vec<Flag>,
) -> Result<Loaded, Faults> {
    let file = file.unwrap_or_else(|| Source { name: "configuration".to_owned(), text: String::new() });
    let (overrides, texts) = overrides::collect(variables, flags);
    let mut report = Report::new(Text { name: file.name, text: file.text.clone() }, texts);
    if file.text.len() > MAX_FILE_BYTES {
        let message = format!("has {} bytes; a configuration has at most {MAX_FILE_BYTES}", file.text.len());
        report.error("", &Place::Nowhere, message);
        return Err(report.finish());
    }
    let (table, broken) = DeTable::parse_recoverable(&file.text);
    for error in &broken {
        report.syntax_error(error.span().unwrap_or(0..0), error.message());
    }
    let mut config = Config::default();
    let mut places = Places::default();
    let (rules, settings): (Vec<_>, Vec<_>) =
        entries(table.get_ref()).into_iter().partition(|entry| entry.key == "operations");
    walk("", &settings, &mut config, &mut places, &mut report);
    let rules: Vec<Rule> = rules.iter().flat_map(|entry| rules::read(&entry.value, &mut report)).collect();
    overrides::apply(&overrides, &mut config, &mut places, &mut report);
    config.operations = rules.iter().map(|rule| rule.rule.clone()).collect();
    if broken.is_empty() {
        check::check(&config, &rules, &places, &mut report);
    } else {
        report.keep_what_syntax_errors_allow();
    }
    finish(config, &rules, &places, report)
}

fn finish(config: Config, rules: &[Rule], places: &Places, report: Report) -> Result<Loaded, Faults> {
    if report.failed() {
        return Err(report.finish());
    }
    let origins = places.set().map(|(key, place)| (key, report.origin_of(place))).collect();
    let rule_origins = rules.iter().map(|rule| report.origin_of(&rule.place)).collect();
    Ok(Loaded { config, origins, rule_origins, payloads: Payloads::default(), warnings: report.finish() })
}
