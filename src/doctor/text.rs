//! A report for people.

use std::fmt::Write as _;

use super::{OperationSeen, Report, Severity, percent};
use crate::{
    model::Span,
    render::{Cell, Look, Sign, Table, Tone, grouped, instant, safe, short, wrap},
};

/// Operations that are shown; all are in the JSON.
const SHOWN_OPERATIONS: usize = 30;

/// Columns in front of what is said about a finding.
const INDENT: usize = 4;

/// The report, findings first; the configuration comes last.
#[must_use]
pub fn text(report: &Report, look: Look) -> String {
    let mut out = heading(report);
    for finding in &report.findings {
        let (sign, tone) = match finding.severity {
            Severity::Ok => (Sign::Good, Tone::Good),
            Severity::Note => (Sign::Dot, Tone::Plain),
            Severity::Warning => (Sign::Unknown, Tone::Warn),
            Severity::Problem => (Sign::Bad, Tone::Bad),
        };
        let head = format!("{} {}", look.sign(sign), finding.severity.word());
        let _ = writeln!(out, "{} {}", look.paint(tone, &head), look.paint(Tone::Strong, finding.about));
        out.push_str(&wrap(&safe(&finding.sentence), INDENT, look.width));
        if !finding.advice.is_empty() {
            let advice = format!("{} {}", look.sign(Sign::Arrow), safe(&finding.advice));
            out.push_str(&wrap(&advice, INDENT, look.width));
        }
    }
    let _ = writeln!(out, "\n{}", verdict(report));
    out.push_str(&operations(report, look));
    out.push_str(&services(report, look));
    if !report.configuration.is_empty() {
        let _ = writeln!(out, "\n{}\n", look.paint(Tone::Strong, "A configuration that fits"));
        out.push_str(&report.configuration);
    }
    out
}

fn heading(report: &Report) -> String {
    let sample = &report.sample;
    let Some((first, last)) = sample.times else { return String::new() };
    format!(
        "{} messages of {} chains, {} to {}\n\n",
        grouped(sample.records),
        grouped(sample.chains),
        instant(first),
        instant(last)
    )
}

/// How many findings want somebody's attention.
fn verdict(report: &Report) -> String {
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let said = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let (problems, warnings) = (count(Severity::Problem), count(Severity::Warning));
    match problems {
        0 => format!("no problem, {}: the agent can work here", said(warnings, "warning")),
        n => format!("{}, {}: the agent cannot work rightly here", said(n, "problem"), said(warnings, "warning")),
    }
}

fn operations(report: &Report, look: Look) -> String {
    if report.operations.is_empty() {
        return String::new();
    }
    let mut table = Table::default();
    let titles = ["calls", "timeout", "effect", "undo", "failed", "p50", "p99", "p99.9", "proposed"];
    let mut head = vec![Cell::left(Tone::Dim, "operation")];
    head.extend(titles.map(|title| Cell::right(Tone::Dim, title)));
    table.row(head);
    report.operations.iter().take(SHOWN_OPERATIONS).for_each(|it| table.row(row(it)));
    let mut out = format!("\n{}", table.lines(look, 0));
    let hidden = report.operations.len().saturating_sub(SHOWN_OPERATIONS);
    if hidden > 0 {
        let _ = writeln!(out, "and {hidden} more operations; --format json has them");
    }
    if report.more_calls > 0 {
        let calls = grouped(report.more_calls);
        let _ = writeln!(out, "and {calls} calls of still more operations: are there ids in their names?");
    }
    out
}

fn row(it: &OperationSeen) -> Vec<Cell> {
    let right = |text: String| Cell::right(Tone::Plain, text);
    let span = |span: Option<Span>| right(span.map_or_else(|| "-".to_owned(), short));
    let latency = |n: usize| span(it.latency.map(|all| all[n]));
    let requests = it.calls - it.events;
    vec![
        Cell::left(Tone::Plain, safe(&format!("{}/{}", it.service, it.operation))),
        right(grouped(it.calls)),
        right(if requests == 0 { "-".to_owned() } else { percent(it.with_timeout, requests) }),
        right(percent(it.with_effect, it.calls)),
        right(percent(it.with_compensation, it.calls)),
        right(if it.answered == 0 { "-".to_owned() } else { percent(it.failed, it.answered) }),
        latency(0),
        latency(1),
        latency(2),
        span(it.proposed),
    ]
}

/// Services that send, and what their versions are.
fn services(report: &Report, look: Look) -> String {
    if report.services.is_empty() {
        return String::new();
    }
    let mut table = Table::default();
    let head = ["service", "sent", "called", "versions"];
    table.row(vec![
        Cell::left(Tone::Dim, head[0]),
        Cell::right(Tone::Dim, head[1]),
        Cell::right(Tone::Dim, head[2]),
        Cell::left(Tone::Dim, head[3]),
    ]);
    for it in report.services.iter().take(SHOWN_OPERATIONS) {
        table.row(vec![
            Cell::left(Tone::Plain, safe(&it.service)),
            Cell::right(Tone::Plain, grouped(it.sent)),
            Cell::right(Tone::Plain, grouped(it.called)),
            Cell::left(Tone::Plain, safe(&it.versions.join(", "))),
        ]);
    }
    let mut out = format!("\n{}", table.lines(look, 0));
    let hidden = report.services.len().saturating_sub(SHOWN_OPERATIONS);
    if hidden > 0 {
        let _ = writeln!(out, "and {hidden} more services; --format json has them");
    }
    out
}
