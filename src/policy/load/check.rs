//! What each setting alone cannot show: settings held against each other, each fault with advice.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    config::Config,
    report::{Place, Report},
    rules::Rule,
    trust::Owner,
    walk::Places,
};
use crate::{
    model::Span,
    policy::{pattern::Pattern, settings::Mode, words::Word},
};

/// Holds settings against each other, and rules against rules.
pub(super) fn check(config: &Config, rules: &[Rule], places: &Places, report: &mut Report) {
    lengths(config, places, report);
    own_undo(config, places, report);
    http(config, places, report);
    trust(config, places, report);
    topics(config, places, report);
    queues(config, places, report);
    shards(config, places, report);
    same_patterns(rules, report);
    own_routes(config, rules, report);
    unsigned_replies(config, rules, report);
    unkept_attributes(config, rules, report);
    routes(config, rules, places, report);
}

/// How a length of time stands to another.
#[derive(Clone, Copy)]
enum Relation {
    AtMost,
    Below,
}

/// One length of time with its key, how it must stand to another, and what would happen else.
type Bound = ((&'static str, Span), Relation, (&'static str, Span), &'static str);

fn bounds(config: &Config) -> [Bound; 7] {
    use Relation::{AtMost, Below};
    let (engine, kafka) = (&config.engine, &config.kafka);
    let decide_grace = ("engine.decide_grace", engine.decide_grace);
    let max_age = ("engine.max_age", engine.max_age);
    let max_plan_age = ("engine.max_plan_age", engine.max_plan_age);
    let max_backoff = ("engine.max_backoff", engine.max_backoff);
    let commit_quiet = ("kafka.commit_quiet", kafka.commit_quiet);
    let transaction_timeout = ("kafka.transaction_timeout", kafka.transaction_timeout);
    let session_timeout = ("kafka.session_timeout", kafka.session_timeout);
    [
        (("engine.linger", engine.linger), AtMost, max_age, "a chain would outlive the memory of its id"),
        (decide_grace, Below, max_age, "chains would be given up before they can be decided"),
        (decide_grace, Below, max_plan_age, "every plan would be stale when it is made"),
        (("engine.backoff", engine.backoff), AtMost, max_backoff, "the first wait would be longer than the longest"),
        (
            ("kafka.commit_within", kafka.commit_within),
            AtMost,
            commit_quiet,
            "steps with outputs are the ones that somebody waits for",
        ),
        (commit_quiet, Below, transaction_timeout, "the broker would give up every transaction"),
        (
            ("kafka.fetch_wait", kafka.fetch_wait),
            Below,
            session_timeout,
            "the instance would be taken for dead while it waits",
        ),
    ]
}

fn lengths(config: &Config, places: &Places, report: &mut Report) {
    for ((key, span), relation, (other, limit), why) in bounds(config) {
        let (holds, word) = match relation {
            Relation::AtMost => (span <= limit, "at most"),
            Relation::Below => (span < limit, "less than"),
        };
        if holds || !places.sound(&[key, other]) {
            continue;
        }
        let place = places.of(if places.has(key) { key } else { other });
        let set = report.name_of(places.of(other));
        let message = format!("`{}` ({span}) must be {word} `{}` ({limit}, {set}): {why}", last(key), last(other));
        report.error(key, place, message);
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
    if !listen.ip().is_loopback()
        && config.http.token.is_none()
        && config.http.tokens.is_empty()
        && places.sound(&["http.listen", "http.token", "http.tokens"])
    {
        let message = format!(
            "`{listen}` can be called by other machines, so callers must show a token: add `token = {{ env = \
             \"NAME\" }}` to [http], or listen on `127.0.0.1:{}`",
            listen.port()
        );
        report.error("http.listen", places.of("http.listen"), message);
    }
}

/// Signatures that are asked for must be possible (S8.1).
fn trust(config: &Config, places: &Places, report: &mut Report) {
    const KEYS: &str = "trust.keys";
    let (trust, sign) = (&config.trust, &config.trust.sign);
    let pair = ["trust.sign.key", "trust.sign.secret"];
    let has_key = (!sign.key.is_empty(), sign.secret.is_some());
    if places.sound(&pair) && has_key.0 != has_key.1 {
        let (there, missing) = if has_key.0 { (pair[0], "secret") } else { (pair[1], "key") };
        let message = format!("a key to sign with has an id and a secret: add `{missing}` to [trust.sign]");
        report.error(there, places.of(there), message);
    }
    if places.sound(&[pair[0], KEYS]) && trust.keys.iter().any(|key| key.id == sign.key) {
        let message = format!("`{}` is in `keys`, too: give each key an id of its own", sign.key);
        report.error(pair[0], places.of(pair[0]), message);
    }
    const OPERATIONS: &str = "trust.require_operation_signature";
    if trust.require_operation_signature && has_key == (false, false) && places.sound(&[OPERATIONS, pair[0], pair[1]]) {
        let message = "what is asked over HTTP could not be signed: add `key` and `secret` to [trust.sign]";
        report.error(OPERATIONS, places.of(OPERATIONS), message);
    }
    if !places.sound(&[KEYS]) {
        return;
    }
    let lists = [
        ("trust.require_signature", &trust.require_signature),
        ("trust.require_result_signature", &trust.require_result_signature),
    ];
    for (key, patterns) in lists {
        for pattern in patterns {
            let has_key = trust.keys.iter().any(|key| match &key.owner {
                Owner::Service(service) => pattern.matches(service),
                Owner::Operator(_) => false,
            });
            if !has_key {
                let message =
                    format!("no service that `{}` matches has a key: all that they send is refused", pattern.text());
                report.warning(key, places.of(key), message);
            }
        }
    }
    if !trust.exempt.is_empty() && trust.require_signature.is_empty() && places.sound(&["trust.require_signature"]) {
        let message = "nothing has to be signed: `exempt` says what need not be although `require_signature` names it";
        report.warning("trust.exempt", places.of("trust.exempt"), message);
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

/// No queue may be two things: it would be read twice, or what was written would come back.
fn queues(config: &Config, places: &Places, report: &mut Report) {
    let rabbitmq = &config.rabbitmq;
    let one = |key, queue: &String| (key, vec![queue.clone()]);
    let all = [
        ("rabbitmq.queues", rabbitmq.queues.clone()),
        ("rabbitmq.shards", rabbitmq.shards.clone()),
        ("rabbitmq.streams", rabbitmq.streams.clone()),
        ("rabbitmq.dead_letter_queues", rabbitmq.dead_letter_queues.clone()),
        ("rabbitmq.unroutable_queues", rabbitmq.unroutable_queues.clone()),
        one("rabbitmq.results", &rabbitmq.results),
        one("rabbitmq.operations", &rabbitmq.operations),
        one("rabbitmq.told", &rabbitmq.told),
        one("rabbitmq.dead_letters", &rabbitmq.dead_letters),
    ];
    for (i, (key, names)) in all.iter().enumerate() {
        for name in names {
            let twin = all[..i].iter().find(|(_, others)| others.contains(name)).map(|(twin, _)| *twin);
            let Some(twin) = twin.filter(|twin| places.sound(&[key, twin])) else { continue };
            let place = if places.has(key) { key } else { twin };
            let message =
                format!("`{name}` stands in both `{}` and `{}`: each queue is one thing", last(twin), last(key));
            report.error(key, places.of(place), message);
        }
    }
}

/// An agent that shares the chains with others reads some of the shards.
fn shards(config: &Config, places: &Places, report: &mut Report) {
    let rabbitmq = &config.rabbitmq;
    let (all, own) = ("rabbitmq.shards", "rabbitmq.own");
    if !places.sound(&[all, own]) {
        return;
    }
    if rabbitmq.own.is_empty() && !rabbitmq.shards.is_empty() {
        let message = "nothing says which of them this agent reads: add `own = [\"...\"]`";
        report.error(all, places.of(all), message);
    }
    for other in rabbitmq.own.iter().filter(|own| !rabbitmq.shards.contains(own)) {
        report.error(
            own,
            places.of(own),
            format!("`{other}` is none of `shards`: name all shards there, also other agents'"),
        );
    }
    let beside = [
        ("rabbitmq.queues", &rabbitmq.queues),
        ("rabbitmq.streams", &rabbitmq.streams),
        ("rabbitmq.dead_letter_queues", &rabbitmq.dead_letter_queues),
        ("rabbitmq.unroutable_queues", &rabbitmq.unroutable_queues),
    ];
    for (key, _) in beside.into_iter().filter(|(_, named)| !named.is_empty() && !rabbitmq.shards.is_empty()) {
        let message = "what is read beside `shards` is not shared out by chains: whatever of it is about another agent's chains \
                       is lost to that agent; share it out, too, or let one agent work alone";
        report.warning(key, places.of(key), message);
    }
    let longest = [rabbitmq.results_queue(), rabbitmq.operations_queue()].into_iter().find(|name| name.len() > 255);
    if let Some(name) = longest {
        report.error(own, places.of(own), format!("the queue `{name}` would have a name of more than 255 bytes"));
    }
}

fn same_patterns(rules: &[Rule], report: &mut Report) {
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for rule in rules {
        let pattern = rule.rule.pattern.text();
        let Some(first) = seen.insert(pattern, &rule.pattern_place) else { continue };
        let message =
            format!("a rule for `{pattern}` is already in {}: make one rule of the two", report.name_of(first));
        report.error("operations.match", &rule.pattern_place, message);
    }
}

/// A command that goes where the agent reads or writes would come back as something else (S5.15).
fn own_routes(config: &Config, rules: &[Rule], report: &mut Report) {
    let (own, inputs) = (config.kafka.own_topics(), config.kafka.input_topics());
    for rule in rules {
        let Some(undo) = &rule.rule.compensation else { continue };
        let route = &undo.route;
        let is_envelope = undo.message.as_ref().is_some_and(|message| message.envelope);
        // An envelope is what the agent reads there anyway.
        let inputs = if is_envelope { [].iter() } else { inputs.iter() };
        if own.iter().chain(inputs).any(|topic| topic.matches(route)) {
            let message = format!(
                "`{route}` is one of the agent's own topics: leave `route` out for the service's usual topic, or name \
                 one that only the service reads"
            );
            report.error("operations.undo.route", &rule.route_place, message);
        }
    }
}

/// Whoever does not know commands signs no answer to one (S8.1).
fn unsigned_replies(config: &Config, rules: &[Rule], report: &mut Report) {
    for rule in rules {
        let message = rule.rule.compensation.as_ref().and_then(|undo| undo.message.as_ref());
        let Some((service, _)) = message.and_then(|_| rule.rule.pattern.text().split_once('/')) else { continue };
        let of_rule = Pattern::new(service).ok();
        let meets =
            |signs: &Pattern| signs.matches(service) || of_rule.as_ref().is_some_and(|rule| rule.matches(signs.text()));
        if config.trust.require_result_signature.iter().any(meets) {
            let message = format!(
                "answers of `{service}` have to be signed (`trust.require_result_signature`), and one that does not know \
                 commands signs none: name the services there that do"
            );
            report.error("operations.undo.body", &rule.route_place, message);
        }
    }
}

/// What is not kept of a request cannot be put into a message: it could never be written.
fn unkept_attributes(config: &Config, rules: &[Rule], report: &mut Report) {
    for rule in rules {
        let message = rule.rule.compensation.as_ref().and_then(|undo| undo.message.as_ref());
        let named = message.into_iter().flat_map(|message| message.attributes());
        let unkept: BTreeSet<&str> = named.filter(|name| !config.engine.attributes.contains(*name)).collect();
        for name in unkept {
            let message = format!("the attribute `{name}` is not kept: add it to `engine.attributes`");
            report.error("operations.undo.body", &rule.route_place, message);
        }
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
