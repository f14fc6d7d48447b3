//! A report as JSON Lines: the sample, then one object a finding, an operation, a service, and the configuration.

use serde_json::{Value, json};

use super::Report;
use crate::{model::Span, render::instant};

/// One line for each thing; `kind` says what it is.
#[must_use]
pub fn lines(report: &Report) -> Vec<Value> {
    let sample = &report.sample;
    let (first, last) = sample.times.map(|(first, last)| (instant(first), instant(last))).unzip();
    let mut lines = vec![json!({
        "kind": "sample", "bus": report.place, "messages": sample.records, "chains": sample.chains,
        "whole_chains": sample.whole, "first": first, "last": last, "worst": report.severity().word(),
        "calls_of_further_operations": report.more_calls,
    })];
    lines.extend(report.findings.iter().map(|it| {
        json!({
            "kind": "finding", "about": it.about, "severity": it.severity.word(), "sentence": it.sentence,
            "advice": it.advice, "numbers": it.numbers,
        })
    }));
    let millis = |span: Option<Span>| span.map(|span| span.0);
    lines.extend(report.operations.iter().map(|it| {
        let latency = |n: usize| millis(it.latency.map(|all| all[n]));
        json!({
            "kind": "operation", "service": it.service, "operation": it.operation, "calls": it.calls,
            "events": it.events, "with_timeout": it.with_timeout, "with_effect": it.with_effect,
            "with_compensation": it.with_compensation, "answered": it.answered, "failed": it.failed,
            "p50_ms": latency(0), "p99_ms": latency(1), "p999_ms": latency(2), "proposed_timeout_ms": millis(it.proposed),
        })
    }));
    lines.extend(report.services.iter().map(|it| {
        json!({
            "kind": "service", "service": it.service, "sent": it.sent, "called": it.called, "versions": it.versions,
        })
    }));
    if !report.configuration.is_empty() {
        lines.push(json!({"kind": "configuration", "toml": report.configuration}));
    }
    lines
}
