//! A configuration as it is in force: every setting with its value and where that was set. As a file it reads back as
//! the same configuration.

use std::fmt::Write as _;

use super::{
    Loaded,
    schema::{Described, MessageDraft, RuleDraft},
};
use crate::policy::{OperationRule, load::Config, undo::MessageRule};

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// The key with its tables.
    pub key: &'static str,
    /// Which operation rule it belongs to, counted from 1; `None`: it holds for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// Its value as it would be written; `None`: not set. Of a secret it is the place.
    pub value: Option<String>,
    /// `default`, or where it was set.
    pub origin: String,
}

/// All settings as they are in force, and then the rules of operations with what each says.
#[must_use]
pub fn print(loaded: &Loaded) -> Vec<Line> {
    let mut lines: Vec<Line> = Config::settings()
        .map(|setting| Line {
            key: setting.key,
            rule: None,
            value: setting.slot.show(&loaded.config),
            origin: loaded.origins.get(setting.key).cloned().unwrap_or_else(|| "default".to_owned()),
        })
        .collect();
    for (i, (rule, origin)) in loaded.config.operations.iter().zip(&loaded.rule_origins).enumerate() {
        let draft = RuleDraft::from(rule);
        lines.extend(RuleDraft::settings().filter_map(|setting| {
            let value = Some(setting.slot.show(&draft)?);
            Some(Line { key: setting.key, rule: Some(i + 1), value, origin: origin.clone() })
        }));
    }
    lines
}

/// The lines as a configuration file, with the origins as comments.
#[must_use]
pub fn as_toml(lines: &[Line]) -> String {
    let mut text = String::new();
    let mut under = (String::new(), None);
    for line in lines {
        let (table, name) = match line.rule {
            Some(_) => line.key.split_once('.').unwrap_or(("", line.key)),
            None => line.key.rsplit_once('.').unwrap_or(("", line.key)),
        };
        if (table, line.rule) != (under.0.as_str(), under.1) {
            let heading = if line.rule.is_some() { format!("[[{table}]]") } else { format!("[{table}]") };
            let _ = writeln!(text, "{}{heading}", if text.is_empty() { "" } else { "\n" });
            under = (table.to_owned(), line.rule);
        }
        let _ = match &line.value {
            Some(value) => writeln!(text, "{:<48} # {}", format!("{name} = {value}"), line.origin),
            None => writeln!(text, "# {name} is not set"),
        };
    }
    text
}

impl From<&MessageRule> for MessageDraft {
    fn from(rule: &MessageRule) -> Self {
        Self {
            body: Some(rule.body.clone()),
            type_name: rule.type_name.clone(),
            envelope: rule.envelope.then_some(true),
            key: rule.key.clone(),
            silence: rule.silence,
            reply: rule.reply.as_ref().map(|reply| reply.place.clone()),
            words: rule.reply.iter().flat_map(|reply| reply.words.iter().cloned()).collect(),
        }
    }
}

impl From<&OperationRule> for RuleDraft {
    fn from(rule: &OperationRule) -> Self {
        let consumers = rule.consumers.as_ref();
        Self {
            pattern: Some(rule.pattern.clone()),
            timeout: rule.timeout,
            effect: rule.effect,
            undo: rule.compensation.clone(),
            message: rule
                .compensation
                .as_ref()
                .and_then(|undo| undo.message.as_deref())
                .map(MessageDraft::from)
                .unwrap_or_default(),
            in_doubt: rule.in_doubt,
            mode: rule.mode,
            max_age: rule.max_age,
            own_undo_window: rule.own_undo_window,
            compensates_itself: rule.compensates_itself,
            consumers: consumers.map(|it| it.services.clone()).unwrap_or_default(),
            report_within: consumers.map(|it| it.report_within),
            show: rule.show.clone(),
        }
    }
}
