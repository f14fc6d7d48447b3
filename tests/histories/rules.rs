//! Random policies, of the kind that a scenario's `config` can say.

use countermand::{
    model::Span,
    policy::{
        Consumers, InFlight, Mode, OnUndoFailure, OperationRule, Ordering, Pattern, Policy, Tolerated, Undeclared,
    },
    scenario::default_policy,
};

use crate::rng::Rng;

/// The service and operation of events whose consumers are known.
pub const CATALOGUED: (&str, &str) = ("shop", "Placed");

/// The services of a history.
pub const SERVICES: &[&str] = &["s0", "s1", "s2", "s3", "s4"];

/// A policy near the defaults: most histories turn two or three knobs.
pub fn policy(rng: &mut Rng) -> Policy {
    let mut policy = default_policy();
    let settings = &mut policy.settings;
    settings.mode = rng.weighted(&[(84, Mode::Auto), (10, Mode::Approve), (6, Mode::Observe)]);
    settings.act_on_incomplete = rng.percent(50);
    settings.timeout_grace = Span(rng.weighted(&[(6, 1000), (3, 100), (1, 300)]));
    settings.decide_grace = Span(rng.weighted(&[(8, 200), (1, 50), (1, 1000)]));
    settings.max_attempts = rng.pick(&[5, 5, 2, 3, 1]);
    settings.answer_timeout = Span(rng.pick(&[30_000, 30_000, 1000, 5000]));
    settings.backoff = Span(rng.pick(&[1000, 1000, 100]));
    settings.clock_skew = Span(rng.pick(&[50, 50, 0, 20]));
    if rng.percent(15) {
        settings.in_flight = InFlight::PlanNow;
    }
    if rng.percent(12) {
        settings.tolerated = Tolerated::Report;
    }
    if rng.percent(15) {
        settings.undeclared = Undeclared::Effect;
    }
    if rng.percent(18) {
        settings.ordering = Ordering::Strict;
    }
    if rng.percent(30) {
        settings.on_undo_failure = OnUndoFailure::Continue;
    }
    if rng.percent(15) {
        settings.timeout = Some(Span(rng.pick(&[500, 2000, 30_000])));
    }
    if rng.percent(10) {
        settings.max_age = Span(rng.pick(&[1000, 5000, 60_000]));
    }
    if rng.percent(6) {
        settings.max_plan_age = Span(rng.pick(&[1000, 20_000]));
    }
    if rng.percent(8) {
        settings.own_undo_window = Span(rng.pick(&[500, 5000]));
    }
    rules(rng, &mut policy);
    policy
}

fn rules(rng: &mut Rng, policy: &mut Policy) {
    let pattern = |text: &str| Pattern::new(text).expect("a short pattern");
    if rng.percent(8) {
        let service = rng.pick(SERVICES);
        let mode = rng.pick(&[Mode::Approve, Mode::Observe, Mode::Auto]);
        let rule = OperationRule::new(pattern(&format!("{service}/Do")));
        policy.catalogue.rules.push(OperationRule { mode: Some(mode), ..rule });
    }
    if rng.percent(8) {
        let service = rng.pick(SERVICES);
        let rule = OperationRule::new(pattern(&format!("{service}/Do")));
        policy.catalogue.rules.push(OperationRule { timeout: Some(Span(rng.pick(&[100, 1000]))), ..rule });
    }
    if rng.percent(40) {
        let (service, operation) = CATALOGUED;
        let mut services: Vec<String> = SERVICES[..3].iter().map(|name| (*name).to_owned()).collect();
        services.truncate(1 + rng.index(3));
        let consumers = Consumers { services, report_within: Span(rng.pick(&[200, 1000])) };
        let rule = OperationRule::new(pattern(&format!("{service}/{operation}")));
        policy.catalogue.rules.push(OperationRule { consumers: Some(consumers), ..rule });
    }
    if rng.percent(4) {
        let rule = OperationRule::new(pattern(&format!("{}/*", rng.pick(SERVICES))));
        policy.catalogue.rules.push(OperationRule { compensates_itself: Some(true), ..rule });
    }
    if rng.percent(6) {
        policy.catalogue.routes = Some(SERVICES[1..].iter().map(|name| pattern(name)).collect());
    }
}
