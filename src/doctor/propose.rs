//! The configuration that fits what was seen: `observe`, the bus as it was examined, and rules for operations that have an
//! effect or lack a timeout. Each rule is held against the reader of configurations before it is proposed.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{OperationSeen, operations::Declared, percent, timeouts::LEAST_ANSWERS};
use crate::{
    policy::{
        Mode, OperationRule, Pattern,
        load::{Config, Flag, Line, Loaded, Source, load, print},
    },
    render::{grouped, safe, short},
};

const HEAD: &str = "\
# Proposed by `countermand doctor` from what it saw. Nothing is sent in `observe`: look at what is found first, then
# allow more, rule by rule.
";

/// Settings that are written although they may be at their defaults: whoever reads the file looks for them.
const ALWAYS: [&str; 3] = ["engine.mode", "kafka.brokers", "kafka.topics"];
const ALWAYS_ON_RABBITMQ: [&str; 3] = ["engine.mode", "rabbitmq.url", "rabbitmq.queues"];

/// Operations without a rule that are named, those that are called most.
const SHOWN_LEFT: usize = 20;

/// What keeps an operation out of the rules.
struct Left {
    name: String,
    why: String,
}

/// The configuration for what was seen, over what `config` says already.
pub(super) fn configuration(
    config: &Config,
    operations: &[OperationSeen],
    declared: &BTreeMap<(String, String), Declared>,
) -> String {
    let mut proposed = config.clone();
    proposed.engine.mode = Mode::Observe;
    for rule in &mut proposed.operations {
        rule.mode = None;
    }
    // A rule that said nothing but a mode says nothing now.
    proposed.operations.retain(|rule| *rule != OperationRule::new(rule.pattern.clone()));
    let mut notes: Vec<String> = proposed.operations.iter().map(|_| "as it is configured".to_owned()).collect();
    let mut left = Vec::new();
    let policy = config.policy();
    for seen in operations {
        let name = (seen.service.clone(), seen.operation.clone());
        let known = policy.catalogue.resolve(&policy.settings, &seen.service, &seen.operation);
        let declared = declared.get(&name).cloned().unwrap_or_default();
        let lacks_timeout = known.timeout.is_none() && seen.with_timeout < seen.calls - seen.events;
        let timeout = seen.proposed.filter(|_| lacks_timeout);
        let effect = declared.effect.filter(|_| known.effect.is_none());
        let undo = declared.compensation.filter(|_| known.compensation.is_none());
        let shown = safe(&format!("{}/{}", seen.service, seen.operation)).into_owned();
        if lacks_timeout && timeout.is_none() {
            let why = format!(
                "no timeout; {} answers seen, {} are needed to propose one",
                grouped(seen.answered),
                grouped(LEAST_ANSWERS as u64)
            );
            left.push(Left { name: shown.clone(), why });
        }
        if timeout.is_none() && effect.is_none() && undo.is_none() {
            continue;
        }
        let Some(rule) = whole(seen, |rule| {
            rule.timeout = timeout;
            rule.effect = effect;
            rule.in_doubt = declared.in_doubt.filter(|_| undo.is_some());
            rule.compensation = undo.map(|mut undo| {
                if config
                    .kafka
                    .own_topics()
                    .iter()
                    .chain(&config.kafka.input_topics())
                    .any(|own| own.matches(&undo.route))
                {
                    undo.route.clear();
                    undo.headers.clear();
                }
                undo
            });
        }) else {
            left.push(Left { name: shown, why: "its name cannot stand in a rule for it alone".to_owned() });
            continue;
        };
        match proposed.operations.iter_mut().find(|own| own.pattern == rule.pattern) {
            Some(own) => merge(own, rule),
            None => {
                proposed.operations.push(rule);
                notes.push(note(seen));
            }
        }
    }
    write(proposed, &notes, &left)
}

/// A rule for exactly this operation, if it can be written down.
fn whole(seen: &OperationSeen, fill: impl FnOnce(&mut OperationRule)) -> Option<OperationRule> {
    if seen.service.is_empty() || seen.operation.is_empty() || seen.service.contains('/') {
        return None;
    }
    let name = format!("{}/{}", seen.service, seen.operation);
    // A star would match more.
    let pattern = Pattern::new(&name).ok().filter(|_| !name.contains('*'))?;
    let mut rule = OperationRule::new(pattern);
    fill(&mut rule);
    let alone = Config { operations: vec![rule.clone()], ..Config::default() };
    let text = write(alone, &[String::new()], &[]);
    let source = Source { name: String::new(), text };
    load(Some(source), [], Vec::<Flag>::new()).ok().filter(|loaded| loaded.config.operations == [rule.clone()])?;
    Some(rule)
}

/// Adds to a rule that is there what it does not say.
fn merge(own: &mut OperationRule, rule: OperationRule) {
    own.timeout = own.timeout.or(rule.timeout);
    own.effect = own.effect.or(rule.effect);
    if own.compensation.is_none() {
        own.compensation = rule.compensation;
        own.in_doubt = own.in_doubt.or(rule.in_doubt);
    }
}

fn note(seen: &OperationSeen) -> String {
    let mut note = format!("{} calls seen", grouped(seen.calls));
    let requests = seen.calls - seen.events;
    if requests > 0 {
        let _ = write!(note, ", {} with a timeout", percent(seen.with_timeout, requests));
    }
    if let Some([_, _, nearly_all]) = seen.latency.filter(|_| seen.proposed.is_some()) {
        let _ = write!(note, ", 99.9 % of {} answers within {}", grouped(seen.answered), short(nearly_all));
    }
    if seen.with_effect > 0 {
        let _ = write!(note, ", {} with an effect", percent(seen.with_effect, seen.calls));
    }
    note
}

/// The file: settings that are not at their defaults, and the rules, each with a note above it.
fn write(config: Config, notes: &[String], left: &[Left]) -> String {
    let defaults = lines(Config::default());
    let on_rabbitmq = !config.rabbitmq.url.is_empty() && config.kafka.brokers.is_empty();
    let always = if on_rabbitmq { ALWAYS_ON_RABBITMQ } else { ALWAYS };
    let mut text = String::from(HEAD);
    let (mut table, mut rule) = (String::new(), None);
    for line in lines(config) {
        let Some(value) = &line.value else { continue };
        let is_default = || defaults.iter().any(|other| other.key == line.key && other.value == line.value);
        let (heading, name) = match line.rule {
            Some(_) => line.key.split_once('.').unwrap_or(("", line.key)),
            None if is_default() && !always.contains(&line.key) => continue,
            None => line.key.rsplit_once('.').unwrap_or(("", line.key)),
        };
        if let Some(n) = line.rule.filter(|_| line.rule != rule) {
            let _ = writeln!(text, "\n# {}\n[[{heading}]]", notes.get(n - 1).map_or("", String::as_str));
        } else if line.rule.is_none() && heading != table {
            let _ = writeln!(text, "\n[{heading}]");
        }
        heading.clone_into(&mut table);
        rule = line.rule;
        let _ = writeln!(text, "{name} = {value}");
    }
    if !left.is_empty() {
        text.push_str("\n# Not in a rule:\n");
        for Left { name, why } in left.iter().take(SHOWN_LEFT) {
            let _ = writeln!(text, "# {name}: {why}");
        }
        if left.len() > SHOWN_LEFT {
            let _ = writeln!(text, "# and {} more operations", left.len() - SHOWN_LEFT);
        }
    }
    text
}

fn lines(config: Config) -> Vec<Line> {
    let rule_origins = vec![String::new(); config.operations.len()];
    print(&Loaded {
        config,
        warnings: Default::default(),
        origins: BTreeMap::new(),
        rule_origins,
        payloads: Default::default(),
    })
}
