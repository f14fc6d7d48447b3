//! Scenario files: YAML documents to [`Scenario`]s. Strict: what is not understood is an error that names the scenario
//! and the step.

use std::{fmt, path::Path};

use serde::Deserialize as _;

use super::{
    config, expect,
    language::Scenario,
    names,
    raw::{NameOnly, RawScenario},
    steps,
};
use crate::policy::Policy;

/// Largest scenario file, in bytes: 16 MiB are 100,000 steps and more. A larger one is no scenario.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Faulty documents of one file after which the rest is left alone: to name a fault the file is read once more.
const MAX_FAULTS: usize = 100;

/// Why a document is no scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Its name; `document 3` if it has none.
    pub scenario: String,
    /// What is wrong, and where.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.scenario, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Reads all documents of `text`, in their order; empty ones are left out. A faulty document does not spoil the others,
/// unless it is no YAML at all: then it is the last. `base` is what the scenarios' `config` overrides; see
/// [`super::default_policy`].
#[must_use]
pub fn parse(text: &str, base: &Policy) -> Vec<Result<Scenario, ParseError>> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; a scenario file has at most {MAX_FILE_BYTES}", text.len());
        return vec![Err(ParseError { scenario: "document 1".to_owned(), message })];
    }
    let mut scenarios = Vec::new();
    let mut faults = 0;
    for (index, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        match Option::<RawScenario>::deserialize(document) {
            Ok(None) => {}
            Ok(Some(raw)) => {
                let scenario = raw.scenario.0.clone();
                scenarios.push(check(raw, base).map_err(|message| ParseError { scenario, message }));
            }
            Err(error) => {
                let scenario = name_of(text, index).unwrap_or_else(|| format!("document {}", index + 1));
                scenarios.push(Err(ParseError { scenario, message: placed(&error.to_string()) }));
                faults += 1;
                if faults == MAX_FAULTS || is_no_yaml(text, index) {
                    break;
                }
            }
        }
    }
    scenarios
}

/// Whether `path` is named like a scenario file.
#[must_use]
pub fn is_scenario_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The parser's message with the place as the rest of the errors name it: `bus[1].at` is in step 2.
fn placed(message: &str) -> String {
    for (list, place) in [("bus[", "step "), ("expect[", "expect, block ")] {
        let index = message.strip_prefix(list).and_then(|rest| rest.split_once(']'));
        if let Some((index, rest)) = index.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest))) {
            return format!("{place}{}{rest}", index + 1);
        }
    }
    message.to_owned()
}

/// The name of the scenario in document `index`, as far as it can be read.
fn name_of(text: &str, index: usize) -> Option<String> {
    let document = serde_yaml_ng::Deserializer::from_str(text).nth(index)?;
    NameOnly::deserialize(document).ok()?.scenario.map(|name| name.0)
}

/// Whether not even the syntax of document `index` can be read: then nobody knows where the next one begins.
fn is_no_yaml(text: &str, index: usize) -> bool {
    let document = serde_yaml_ng::Deserializer::from_str(text).nth(index);
    document.is_none_or(|document| serde::de::IgnoredAny::deserialize(document).is_err())
}

fn check(raw: RawScenario, base: &Policy) -> Result<Scenario, String> {
    let policy = config::policy(base, raw.config.as_ref())?;
    let (steps, expect) = (steps::steps(&raw.bus.0)?, expect::blocks(raw.expect.0)?);
    names::check(&steps, &expect)?;
    let rules = raw.rules.into_iter().map(|rule| rule.0).collect();
    Ok(Scenario { name: raw.scenario.0, rules, policy, steps, expect })
}
