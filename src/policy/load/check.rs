//! What each setting alone cannot show: settings held against each other, each fault with advice.

use std::collections::HashMap;

use super::{
    config::Config,
    report::{Place, Report},
    rules::Rule,
    walk::Places,
};
use crate::{
    model::Span,
    policy::{settings::Mode, words::Word},
};

/// Holds settings against each other, and rules against rules.
pub(super) fn check(config: &Config, rules: &[Rule], places: &Places, report: &mut Report) {
    lengths(config, places, report);
    own_undo(config, places, report);
    http(config, places, report);
    topics(config, places, report);
    same_patterns(rules, report);
    routes(config, rules, places, report);
}

/// One length of time that must not be above (or must stay below) another, and why.
struct Bound {
    key: &'static str,
    span: Span,
    may_equal: bool,
    other: &'static str,
    limit: Span,
    why: &'static str,
}

fn lengths(config: &Config, places: &Places, report: &mut Report) {
    let (engine, kafka) = (&config.engine, &config.kafka);
    let bound = |key, span, may_equal, other, limit, why| Bound { key, span, may_equal, other, limit, why };
    let bounds = [
        bound(
            "engine.linger",
            engine.linger,
            true,
            "engine.max_age",
            engine.max_age,
            "a chain would stay whole for longer than its id is remembered",
        ),
        bound(
            "engine.decide_grace",
            engine.decide_grace,
            false,
            "engine.max_age",
            engine.max_age,
            "chains would be given up before they can be decided",
        ),
        bound(
            "engine.backoff",
            engine.backoff,
            true,
            "engine.max_backoff",
            engine.max_backoff,
            "the first wait would be longer than the longest",
        ),
        bound(
            "engine.decide_grace",
            engine.decide_grace,
            false,
            "engine.max_plan_age",
            engine.max_plan_age,
            "every plan would be stale when it is made",
        ),
        bound(
            "kafka.commit_within",
            kafka.commit_within,
            true,
            "kafka.commit_quiet",
            kafka.commit_quiet,
            "steps with outputs are the ones that somebody waits for",
        ),
        bound(
            "kafka.commit_quiet",
            kafka.commit_quiet,
            false,
            "kafka.transaction_timeout",
            kafka.transaction_timeout,
            "the broker would give up every transaction",
        ),
        bound(
            "kafka.fetch_wait",
            kafka.fetch_wait,
            false,
            "kafka.session_timeout",
            kafka.session_timeout,
            "the instance would be taken for dead while it waits",
        ),
    ];
    for bound in bounds.iter().filter(|bound| places.sound(&[bound.key, bound.other])) {
        if bound.span < bound.limit || (bound.may_equal && bound.span == bound.limit) {
            continue;
        }
        let place = if places.has(bound.key) { bound.key } else { bound.other };
        let relation = if bound.may_equal { "at most" } else { "less than" };
        let (name, other) = (last(bound.key), last(bound.other));
        let message = format!(
            "`{name}` ({}) must be {relation} `{other}` ({}, {}): {}",
            bound.span,
            bound.limit,
            report.name_of(places.of(bound.other)),
            bound.why
        );
        report.error(bound.key, &places.of(place).clone(), message);
    }
}

fn last(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, name)| name)
}

fn own_undo(config: &Config, places: &Places, report: &mut Report) {
    const KEY: &str = "engine.own_undo_window";
    let window = config.engine.own_undo_window;
    if window > Span::ZERO && config.loosest_mode() != Mode::Observe {
        let message = format!(
            "holds the first command of every chain back for {window}: where only some services undo by themselves, set \
             it in their rules"
        );
        report.warning(KEY, places.of(KEY), message);
    }
}

fn http(config: &Config, places: &Places, report: &mut Report) {
    let listen = config.http.listen;
    if !listen.ip().is_loopback() && config.http.token.is_none() && places.sound(&["http.listen", "http.token"]) {
        let message = format!(
            "`{listen}` can be called by other machines, so callers must show a token: add `token = {{ env = \
             \"NAME\" }}` to [http], or listen on `127.0.0.1:{}`",
            listen.port()
        );
        report.error("http.listen", places.of("http.listen"), message);
    }
}

/// No two of the agent's topics may be one, or it would read what it wrote.
fn topics(config: &Config, places: &Places, report: &mut Report) {
    let kafka = &config.kafka;
    let own = [
        ("kafka.results", &kafka.results),
        ("kafka.operations", &kafka.operations),
        ("kafka.commands", &kafka.commands),
        ("kafka.events", &kafka.events),
        ("kafka.chains", &kafka.chains),
        ("kafka.dead_letters", &kafka.dead_letters),
        ("kafka.state", &kafka.state),
    ];
    for (i, (key, name)) in own.iter().enumerate() {
        let earlier = own[..i].iter().find(|(_, other)| other == name).map(|(key, _)| *key);
        let twin = earlier.or_else(|| kafka.topics.contains(name).then_some("kafka.topics"));
        let Some(twin) = twin.filter(|twin| places.sound(&[key, twin])) else { continue };
        let place = if places.has(key) { key } else { twin };
        let message =
            format!("`{name}` stands for both `{}` and `{}`: each needs a topic of its own", last(twin), last(key));
        report.error(key, places.of(place), message);
    }
    if kafka.topics.is_empty() && places.sound(&["kafka.topics"]) {
        let message = "there is nothing to read: write at least one topic, or leave `topics` out";
        report.error("kafka.topics", places.of("kafka.topics"), message);
    }
}

fn same_patterns(rules: &[Rule], report: &mut Report) {
    let mut seen: HashMap<&str, &Place> = HashMap::new();
    for rule in rules {
        let pattern = rule.rule.pattern.text();
        let Some(first) = seen.insert(pattern, &rule.pattern_place) else { continue };
        let message =
            format!("a rule for `{pattern}` is already in {}: make one rule of the two", report.name_of(first));
        report.error("operations.match", &rule.pattern_place, message);
    }
}

/// With nobody to send to, `approve` and `auto` send nothing (S5.15).
fn routes(config: &Config, rules: &[Rule], places: &Places, report: &mut Report) {
    let mode = config.loosest_mode();
    if mode == Mode::Observe || !config.allowed_services().is_empty() || !places.sound(&["routes.allow"]) {
        return;
    }
    let rule = rules.iter().find(|rule| rule.rule.mode == Some(mode));
    let (key, place) = match rule {
        Some(rule) if config.engine.mode != mode => ("operations.mode", rule.place.clone()),
        _ => ("engine.mode", places.of("engine.mode").clone()),
    };
    let message = format!(
        "`{}` sends nothing, since no service is allowed: add `allow = [\"SERVICE\"]` to [routes], or a rule with an \
         `undo` that names its service",
        mode.word()
    );
    report.warning(key, &place, message);
}
