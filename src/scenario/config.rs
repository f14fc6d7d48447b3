//! `config` of a scenario: flat keys over the engine's defaults, with `mode: auto` and the storm brake off.

use std::collections::BTreeMap;

use super::{
    raw::{RawConfig, RawEvent, Text},
    words::{choose, span},
};
use crate::{
    model::Span,
    policy::{BrakeSettings, Catalogue, Consumers, Mode, OperationRule, Pattern, Policy, Settings, Word},
};

/// What scenarios decide by if they override nothing.
#[must_use]
pub fn default_policy() -> Policy {
    let settings =
        Settings { mode: Mode::Auto, brake: BrakeSettings { per_edge: 0, overall: 0 }, ..Settings::default() };
    Policy { settings, catalogue: Catalogue::default() }
}

/// The policy of a scenario: `base`, and over it what the scenario says.
///
/// # Errors
/// A sentence that names the key.
pub fn policy(base: &Policy, config: Option<&RawConfig>) -> Result<Policy, String> {
    let mut policy = base.clone();
    if let Some(config) = config {
        spans(config, &mut policy.settings)?;
        choices(config, &mut policy.settings)?;
        limits(config, &mut policy.settings);
        policy.catalogue.rules.extend(rules(config)?);
        if let Some(routes) = &config.routes {
            policy.catalogue.routes = Some(patterns(routes)?);
        }
    }
    Ok(policy)
}

fn spans(config: &RawConfig, settings: &mut Settings) -> Result<(), String> {
    let optional = |key: &str, text: &Option<Text>| {
        text.as_ref().map(|text| span(&text.0).map_err(|error| format!("config, `{key}`: {error}"))).transpose()
    };
    let set = |key: &str, text: &Option<Text>, place: &mut Span| {
        *place = optional(key, text)?.unwrap_or(*place);
        Ok::<(), String>(())
    };
    settings.timeout = optional("timeout", &config.timeout)?.or(settings.timeout);
    // The driver reads everything in the order of the file, so there is nothing to align: accepted, without effect.
    optional("align_wait", &config.align_wait)?;
    set("timeout_grace", &config.timeout_grace, &mut settings.timeout_grace)?;
    set("decide_grace", &config.decide_grace, &mut settings.decide_grace)?;
    set("clock_skew", &config.clock_skew, &mut settings.clock_skew)?;
    set("max_ahead", &config.max_ahead, &mut settings.max_ahead)?;
    set("max_age", &config.max_age, &mut settings.max_age)?;
    set("late_window", &config.late_window, &mut settings.late_window)?;
    set("linger", &config.linger, &mut settings.linger)?;
    set("answer_timeout", &config.answer_timeout, &mut settings.answer_timeout)?;
    set("backoff", &config.backoff, &mut settings.backoff)?;
    set("max_backoff", &config.max_backoff, &mut settings.max_backoff)?;
    set("max_plan_age", &config.max_plan_age, &mut settings.max_plan_age)?;
    set("own_undo_window", &config.own_undo_window, &mut settings.own_undo_window)
}

fn choices(config: &RawConfig, settings: &mut Settings) -> Result<(), String> {
    fn set<T: Word>(key: &str, text: &Option<Text>, place: &mut T) -> Result<(), String> {
        if let Some(text) = text {
            *place = choose(key, &text.0).map_err(|error| format!("config: {error}"))?;
        }
        Ok(())
    }
    set("mode", &config.mode, &mut settings.mode)?;
    set("in_flight", &config.in_flight, &mut settings.in_flight)?;
    set("tolerated", &config.tolerated, &mut settings.tolerated)?;
    set("undeclared", &config.undeclared, &mut settings.undeclared)?;
    set("ordering", &config.ordering, &mut settings.ordering)?;
    set("on_undo_failure", &config.on_undo_failure, &mut settings.on_undo_failure)?;
    settings.act_on_incomplete = config.act_on_incomplete.unwrap_or(settings.act_on_incomplete);
    settings.max_attempts = config.max_attempts.unwrap_or(settings.max_attempts);
    if let Some(attributes) = &config.attributes {
        settings.attributes = attributes.iter().map(|name| name.0.clone()).collect();
    }
    if let Some(brake) = &config.brake {
        settings.brake.per_edge = brake.per_edge.unwrap_or(settings.brake.per_edge);
        settings.brake.overall = brake.overall.unwrap_or(settings.brake.overall);
    }
    Ok(())
}

fn limits(config: &RawConfig, settings: &mut Settings) {
    let limits = &mut settings.limits;
    for (value, place) in [
        (config.max_calls, &mut limits.calls_per_chain),
        (config.max_depth, &mut limits.depth),
        (config.max_answers, &mut limits.answers_per_call),
        (config.max_memory, &mut limits.memory),
        (config.max_names, &mut limits.names),
        (config.command_bytes, &mut limits.command_bytes),
    ] {
        *place = value.unwrap_or(*place);
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| format!("config, `{text}`: {error}"))
}

fn patterns(texts: &[Text]) -> Result<Vec<Pattern>, String> {
    texts.iter().map(|text| pattern(&text.0)).collect()
}

/// A rule for each operation that `modes`, `timeouts`, `events` and `compensates_itself` name.
fn rules(config: &RawConfig) -> Result<Vec<OperationRule>, String> {
    let mut rules = Vec::new();
    let empty = BTreeMap::new();
    for (operation, mode) in config.modes.as_ref().unwrap_or(&empty) {
        let mode = Some(choose(operation, &mode.0).map_err(|error| format!("config, `modes`: {error}"))?);
        rules.push(OperationRule { mode, ..rule(operation)? });
    }
    for (operation, timeout) in config.timeouts.as_ref().unwrap_or(&empty) {
        let timeout = Some(span(&timeout.0).map_err(|error| format!("config, `timeouts`: {error}"))?);
        rules.push(OperationRule { timeout, ..rule(operation)? });
    }
    for (operation, event) in config.events.iter().flatten() {
        rules.push(OperationRule { consumers: Some(consumers(operation, event)?), ..rule(operation)? });
    }
    for service in config.compensates_itself.iter().flatten() {
        rules.push(OperationRule { compensates_itself: Some(true), ..rule(&service.0)? });
    }
    Ok(rules)
}

/// A rule for `service/Operation`, or for all operations of `service`.
fn rule(name: &str) -> Result<OperationRule, String> {
    let all = if name.contains('/') { name.to_owned() } else { format!("{name}/*") };
    pattern(&all).map(OperationRule::new)
}

fn consumers(operation: &str, event: &RawEvent) -> Result<Consumers, String> {
    let Some(within) = &event.report_within else {
        return Err(format!("config, `events`: `{operation}` needs `report_within`"));
    };
    let Some(services) = event.consumers.as_ref().filter(|services| !services.is_empty()) else {
        return Err(format!("config, `events`: `{operation}` needs `consumers`"));
    };
    let report_within = span(&within.0).map_err(|error| format!("config, `events`: {error}"))?;
    Ok(Consumers { services: services.iter().map(|service| service.0.clone()).collect(), report_within })
}
