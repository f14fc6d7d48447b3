//! A history as a scenario file, with what the oracle expects.

use std::fmt::Write;

use countermand::{
    model::{ChainView, CommandAction, EffectClass, FailureView, Handled, PlanItemState, StatusCode},
    policy::{InDoubt, Policy, Word},
    scenario::{Act, EffectStep, PartyText, RequestStep, ResponseStep, Step, default_policy},
};

use crate::pair::{Pair, Told};

/// The scenario of these steps.
pub fn scenario(seed: u64, policy: &Policy, told: &[Told], pair: &Pair, text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let _ = writeln!(out, "# {line}");
    }
    for (n, _) in told.iter().enumerate().filter(|(_, told)| told.restore) {
        let _ = writeln!(out, "# The engine was written down and restored before step {}.", n + 1);
    }
    let _ = writeln!(out, "scenario: history {seed}");
    let config = config(policy);
    if !config.is_empty() {
        let _ = writeln!(out, "config:\n  {}", config.join("\n  "));
    }
    let _ = writeln!(out, "bus:");
    for told in told {
        let _ = writeln!(out, "  - {{{}}}", step(&told.step));
    }
    let _ = writeln!(out, "expect:\n  chains:");
    let views: Vec<ChainView> = pair.chains.iter().filter_map(|chain| pair.oracle.view(chain)).collect();
    for view in &views {
        let _ = writeln!(out, "    {}: {{{}}}", view.chain_id, chain(view));
    }
    let _ = writeln!(out, "  commands:");
    for view in &views {
        for command in view.commands.iter().filter(|command| command.sends > 0) {
            let certainty = match command.action {
                CommandAction::Undo => format!(", certainty: {}", certainty(command.certainty)),
                _ => String::new(),
            };
            let _ = writeln!(
                out,
                "    - {{chain: {}, wave: {}, generation: {}, {}: {}{certainty}, sends: {}}}",
                view.chain_id,
                command.wave,
                command.generation,
                command.action.word(),
                command.call_id,
                command.sends
            );
        }
    }
    out.replace("  commands:\n", if out.ends_with("  commands:\n") { "  commands: []\n" } else { "  commands:\n" })
}

fn certainty(certainty: countermand::model::Certainty) -> &'static str {
    match certainty {
        countermand::model::Certainty::Applied => "applied",
        countermand::model::Certainty::InDoubt => "in_doubt",
    }
}

/// What differs from a scenario's defaults.
fn config(policy: &Policy) -> Vec<String> {
    let (settings, plain) = (&policy.settings, default_policy().settings);
    let mut lines = Vec::new();
    macro_rules! spans {
        ($($field:ident),+) => { $(if settings.$field != plain.$field {
            lines.push(format!("{}: {}", stringify!($field), settings.$field));
        })+ };
    }
    macro_rules! words {
        ($($field:ident),+) => { $(if settings.$field != plain.$field {
            lines.push(format!("{}: {}", stringify!($field), word(settings.$field)));
        })+ };
    }
    spans!(timeout_grace, decide_grace, clock_skew, max_age, answer_timeout, backoff, max_plan_age, own_undo_window);
    spans!(max_attempts, act_on_incomplete);
    words!(mode, in_flight, tolerated, undeclared, ordering, on_undo_failure);
    if let Some(timeout) = settings.timeout {
        lines.push(format!("timeout: {timeout}"));
    }
    for rule in &policy.catalogue.rules {
        let name = rule.pattern.text();
        if let Some(mode) = rule.mode {
            lines.push(format!("modes: {{\"{name}\": {}}}", word(mode)));
        }
        if let Some(timeout) = rule.timeout {
            lines.push(format!("timeouts: {{\"{name}\": {timeout}}}"));
        }
        if let Some(all) = &rule.consumers {
            let services = all.services.join(", ");
            lines.push(format!(
                "events: {{\"{name}\": {{consumers: [{services}], report_within: {}}}}}",
                all.report_within
            ));
        }
        if rule.compensates_itself.is_some() {
            lines.push(format!("compensates_itself: [{}]", name.trim_end_matches("/*")));
        }
    }
    if let Some(routes) = &policy.catalogue.routes {
        let routes: Vec<&str> = routes.iter().map(|route| route.text()).collect();
        lines.push(format!("routes: [{}]", routes.join(", ")));
    }
    lines
}

fn word<T: Word>(value: T) -> &'static str {
    value.word()
}

fn step(step: &Step) -> String {
    let mut keys = vec![format!("at: {}", step.at)];
    match &step.act {
        Act::Wait => {}
        Act::Request(request) => ask(&mut keys, "request", request),
        Act::Event(event) => ask(&mut keys, "event", event),
        Act::Response(response) => answer(&mut keys, response),
        Act::DeadLetter { letter, handled, .. } => {
            keys.push(format!("dead_letter: {}", letter.call));
            if *handled == Handled::No {
                keys.push("handled: no".into());
            }
        }
        Act::Result { call, action, state, .. } => {
            keys.push(format!("result: {call}, action: {}, state: {}", action.word(), state.word()));
        }
        Act::Operator { verb, call } => {
            keys.push(format!("operator: {}", verb.word()));
            if !call.is_empty() {
                keys.push(format!("call: {call}"));
            }
        }
    }
    if step.is_message() {
        keys.push(format!("chain: {}, id: {}, partition: {}", step.chain, step.id, step.partition));
    }
    if step.lagging {
        keys.push("lagging: true".into());
    }
    keys.join(", ")
}

fn ask(keys: &mut Vec<String>, kind: &str, request: &RequestStep) {
    keys.push(format!("{kind}: {}", request.call));
    for (key, value) in [("in", &request.parent), ("op", &request.op)] {
        if !value.is_empty() {
            keys.push(format!("{key}: {value}"));
        }
    }
    keys.push(format!("from: {}, to: {}", party(&request.from), party(&request.to)));
    if let Some(timeout) = request.timeout {
        keys.push(format!("timeout: {timeout}"));
    }
    for (key, value) in
        [("retry_of", &request.retry_of), ("compensates", &request.compensates), ("during", &request.during)]
    {
        if !value.is_empty() {
            keys.push(format!("{key}: {value}"));
        }
    }
    effect(keys, &request.effect);
}

fn answer(keys: &mut Vec<String>, response: &ResponseStep) {
    keys.push(format!("response: {}", response.call));
    if !response.by.service.is_empty() {
        keys.push(format!("by: {}", party(&response.by)));
    }
    match response.code {
        StatusCode::Ok => {}
        StatusCode::Failed => keys.push(format!("failed: {}", response.reason)),
        StatusCode::Unknown => keys.push(format!("unknown: {}", response.reason)),
        StatusCode::Cancelled => keys.push(format!("cancelled: {}", response.reason)),
        StatusCode::Ongoing => keys.push("ongoing: true".into()),
    }
    if !response.caused_by.is_empty() {
        keys.push(format!("caused_by: {}", response.caused_by));
    }
    effect(keys, &response.effect);
}

fn party(party: &PartyText) -> String {
    if party.version.is_empty() { party.service.clone() } else { format!("{}@{}", party.service, party.version) }
}

fn effect(keys: &mut Vec<String>, effect: &EffectStep) {
    if !effect.undo.is_empty() {
        keys.push(format!("undo: {}", effect.undo));
    }
    match effect.in_doubt {
        InDoubt::Hold => {}
        InDoubt::Undo => keys.push("in_doubt: undo".into()),
        InDoubt::Inquire => keys.push("in_doubt: inquire".into()),
    }
    if let Some(class) = effect.class {
        let class = match class {
            EffectClass::ReadOnly => "read_only",
            EffectClass::Pivot => "pivot",
            EffectClass::Retriable => "retriable",
            EffectClass::Compensatable => "compensatable",
        };
        keys.push(format!("effect: {class}"));
    }
    if !effect.key.is_empty() {
        keys.push(format!("key: {}", effect.key));
    }
}

fn chain(view: &ChainView) -> String {
    let Some(verdict) = &view.verdict else { return "outcome: none".into() };
    let names = |failures: &[FailureView]| {
        let names: Vec<&str> = failures.iter().map(|failure| failure.call_id.as_str()).collect();
        format!("[{}]", names.join(", "))
    };
    let failing = verdict.failing.as_ref().map_or("none", |failure| failure.call_id.as_str());
    let anomalies: Vec<&str> = verdict.anomalies.iter().map(|kind| kind.word()).collect();
    let of_state = |state: PlanItemState| {
        let mut calls: Vec<&str> =
            view.commands.iter().filter(|item| item.state == state).map(|item| item.call_id.as_str()).collect();
        calls.sort_unstable();
        calls.dedup();
        format!("[{}]", calls.join(", "))
    };
    format!(
        "outcome: {}, failing: {failing}, cause: {}, path: [{}], contributing: {}, tolerated: {}, anomalies: [{}], \
         ambiguous: {}, incomplete: {}, state: {}, revision: {}, uncompensatable: {}, skipped: {}",
        verdict.outcome,
        verdict.cause.map_or("none", |cause| cause.word()),
        verdict.path.join(", "),
        names(&verdict.contributing),
        names(&verdict.tolerated),
        anomalies.join(", "),
        verdict.ambiguous,
        verdict.incomplete,
        view.state,
        verdict.revision,
        of_state(PlanItemState::Uncompensatable),
        of_state(PlanItemState::Skipped),
    )
}
