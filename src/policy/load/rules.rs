//! `[[operations]]`: each table becomes a rule of the catalogue, if it is whole.

use super::{
    MAX_RULES, message,
    report::{Place, Report},
    schema::RuleDraft,
    value::{Entry, Given, Value},
    walk::{Places, walk},
};
use crate::{
    model::{EffectClass, Span},
    policy::{
        catalogue::{Consumers, OperationRule},
        payloads::MAX_SHOWN,
        settings::InDoubt,
    },
};

/// A rule, and where it stands.
#[derive(Debug)]
pub(super) struct Rule {
    /// The rule.
    pub rule: OperationRule,
    /// Its table.
    pub place: Place,
    /// Its pattern.
    pub pattern_place: Place,
    /// The route of its undo.
    pub route_place: Place,
}

/// Reads the list of rules. Those that are not whole are left out, since each has an error.
pub(super) fn read(value: &Value, report: &mut Report) -> Vec<Rule> {
    let place = Place::Source(value.span.clone());
    let Given::List(items) = &value.given else {
        report.error("operations", &place, "rules are a list of tables: write [[operations]] above each");
        return Vec::new();
    };
    if items.len() > MAX_RULES {
        let message = format!("there are {} rules, and at most {MAX_RULES} can be: write patterns", items.len());
        report.error("operations", &place, message);
        return Vec::new();
    }
    let mut rules = Vec::with_capacity(items.len());
    for item in items {
        let Given::Table(entries) = &item.given else {
            let message = format!("a rule is a table, not {}: write [[operations]] above each", item.given.kind());
            report.error("operations", &Place::Source(item.span.clone()), message);
            continue;
        };
        rules.extend(read_one(item, entries, report));
    }
    rules
}

fn read_one(item: &Value, entries: &[Entry], report: &mut Report) -> Option<Rule> {
    let mut draft = RuleDraft::default();
    let mut places = Places::default();
    walk("operations", entries, &mut draft, &mut places, report);
    let place = Place::Source(item.span.clone());
    whole(&draft, &place, &places, report);
    let rule = finish(draft)?;
    let at = |key: &str| places.of(key).clone();
    Some(Rule { rule, place, pattern_place: at("operations.match"), route_place: at("operations.undo.route") })
}

/// Notes what is missing in a rule, and what contradicts itself.
fn whole(draft: &RuleDraft, place: &Place, places: &Places, report: &mut Report) {
    let sound = |name: &str| places.sound(&[&format!("operations.{name}")]);
    let at = |name: &str| places.of(&format!("operations.{name}"));
    if draft.pattern.is_none() && sound("match") {
        report.error(
            "operations.match",
            place,
            "this rule does not say what it is about: write `match = \"payment/*\"`",
        );
    } else if places.set().count() == 1 && places.nothing_failed() {
        report.warning("operations", place, "this rule says nothing of the operations that it matches");
    }
    let reported = (!draft.consumers.is_empty(), draft.report_within.is_some());
    match reported {
        (true, false) if sound("report_within") => report.error(
            "operations.report_within",
            at("consumers"),
            "`consumers` need a time by which they have reported: add `report_within = \"5s\"`",
        ),
        (false, true) if sound("consumers") => report.error(
            "operations.consumers",
            at("report_within"),
            "`report_within` says by when, but not who: add `consumers = [\"invoice\", \"mail\"]`",
        ),
        _ => {}
    }
    let shown = draft.show.as_ref().map_or(0, Vec::len);
    if shown > MAX_SHOWN {
        let message = format!("a rule shows {MAX_SHOWN} fields at most, not {shown}");
        report.error("operations.show", at("show"), message);
    }
    undo_is_whole(draft, places, report);
    message::is_whole(draft, places, report);
    if draft.compensates_itself == Some(true) && draft.own_undo_window.is_some_and(|window| window > Span::ZERO) {
        let message = "nothing waits here: `compensates_itself` only reports what is at and below the operation";
        report.warning("operations.own_undo_window", at("own_undo_window"), message);
    }
}

fn undo_is_whole(draft: &RuleDraft, places: &Places, report: &mut Report) {
    let Some(undo) = &draft.undo else { return };
    let keys =
        ["operations.undo.operation", "operations.undo.inquire", "operations.undo.route", "operations.undo.headers"];
    let somewhere = keys.iter().map(|key| places.of(key)).find(|place| **place != Place::Nowhere);
    let somewhere = somewhere.unwrap_or(&Place::Nowhere);
    if undo.operation.is_empty() && places.sound(&keys[..1]) {
        let message = "`undo` does not say what undoes: add `operation = \"Refund\"`";
        report.error(keys[0], somewhere, message);
    }
    if !undo.headers.is_empty() && undo.route.is_empty() && places.sound(&keys[2..3]) {
        let message = "headers go with a route: add `route = \"TOPIC\"`, or leave them out";
        report.error(keys[3], places.of(keys[3]), message);
    }
    if draft.effect == Some(EffectClass::ReadOnly) {
        let message = "a read-only operation has nothing to undo: leave `effect` out, or `undo`";
        report.error("operations.effect", places.of("operations.effect"), message);
    }
}

fn finish(draft: RuleDraft) -> Option<OperationRule> {
    // Who can be asked, is: an undo of what perhaps never happened needs the service's word that it stands it (S4.3).
    let asked = draft.undo.as_ref().is_some_and(|undo| !undo.inquire_operation.is_empty());
    let consumers = draft.report_within.filter(|_| !draft.consumers.is_empty());
    Some(OperationRule {
        timeout: draft.timeout,
        effect: draft.effect,
        compensation: message::finish(draft.undo, draft.message),
        in_doubt: draft.in_doubt.or(asked.then_some(InDoubt::Inquire)),
        mode: draft.mode,
        max_age: draft.max_age,
        own_undo_window: draft.own_undo_window,
        compensates_itself: draft.compensates_itself,
        consumers: consumers.map(|report_within| Consumers { services: draft.consumers, report_within }),
        show: draft.show,
        ..OperationRule::new(draft.pattern?)
    })
}
