//! The one table of all settings: its rows drive parsing, hints for unknown keys, `check --explain`, `check
//! --print-settings` and the table in `docs/configuration.md`.

mod engine;
mod kafka;
mod limits;
mod names;
mod rabbitmq;
mod rows;
mod rule;
mod slot;
mod surroundings;
mod table;
mod trust;

pub use names::topic_pattern;
pub(super) use rule::{MessageDraft, RuleDraft};
pub(super) use slot::{Slot, read_text};

use super::config::Config;

/// One setting of a `T`: the whole configuration, or one operation rule.
pub(super) struct Setting<T: 'static> {
    /// Where it stands: tables and key, joined by dots.
    pub key: &'static str,
    /// What may be written, and where it goes.
    pub slot: Slot<T>,
    /// What it does.
    pub what: &'static str,
    /// Why the default is what it is; empty where there is no choice to explain.
    pub why: &'static str,
    /// The rules of semantics.md that it belongs to; empty: none.
    pub rule: &'static str,
}

impl<T> Setting<T> {
    /// The key without its tables, as it stands in a file.
    pub fn name(&self) -> &'static str {
        self.key.rsplit_once('.').map_or(self.key, |(_, name)| name)
    }

    /// Whether its value is a secret, or may hold one.
    pub fn is_secret(&self) -> bool {
        matches!(self.slot, Slot::Secret { .. } | Slot::Table { secrets: true, .. })
    }
}

/// Something that has settings.
pub(super) trait Described: Default + 'static {
    /// Its rows, in the order of the documentation.
    fn settings() -> impl Iterator<Item = &'static Setting<Self>>;

    /// The row of `key`.
    fn setting(key: &str) -> Option<&'static Setting<Self>> {
        Self::settings().find(|setting| setting.key == key)
    }
}

impl Described for Config {
    fn settings() -> impl Iterator<Item = &'static Setting<Self>> {
        let all = [
            engine::ENGINE,
            engine::BOUNDS,
            limits::LIMITS,
            kafka::KAFKA,
            rabbitmq::RABBITMQ,
            rabbitmq::JOURNAL,
            surroundings::ROUTES,
            surroundings::PAYLOADS,
            trust::TRUST,
            trust::TOKENS,
            surroundings::HTTP_AND_LOG,
        ];
        all.into_iter().flatten()
    }
}

impl Described for RuleDraft {
    fn settings() -> impl Iterator<Item = &'static Setting<Self>> {
        rule::RULE.iter()
    }
}

/// All keys, those of operation rules included.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    Config::settings().map(|setting| setting.key).chain(RuleDraft::settings().map(|setting| setting.key))
}

/// A setting as documentation tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// The key with its tables, such as `engine.mode`.
    pub key: &'static str,
    /// What may be written.
    pub values: String,
    /// The default as it would be written; `None`: not set.
    pub default: Option<String>,
    /// What it does.
    pub what: &'static str,
    /// Why the default is what it is; may be empty.
    pub why: &'static str,
    /// The rules of semantics.md that it belongs to; may be empty.
    pub rule: &'static str,
    /// The variable that overrides it; `None`: rules of operations stand in the file only.
    pub variable: Option<String>,
}

/// The rows of all settings, in the order of the documentation.
#[must_use]
pub fn rows() -> Vec<Row> {
    fn row<T: Described>(setting: &'static Setting<T>) -> Row {
        Row {
            key: setting.key,
            values: setting.slot.values(),
            default: setting.slot.show(&T::default()),
            what: setting.what,
            why: setting.why,
            rule: setting.rule,
            variable: None,
        }
    }
    let global = Config::settings().map(|setting| Row { variable: Some(variable(setting.key)), ..row(setting) });
    global.chain(RuleDraft::settings().map(row)).collect()
}

/// The variable that overrides `key`.
pub(super) fn variable(key: &str) -> String {
    format!("{}{}", super::VARIABLE_PREFIX, key.replace('.', "__").to_uppercase())
}
