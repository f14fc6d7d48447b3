//! S3.8: the sentence of a verdict: what happened, where, when, and what decided, so that it can be checked.

use std::fmt::Write as _;

use super::{
    picture::{Picture, State},
    suspects::Rule,
    verdict::{Finding, failure_of},
};
use crate::model::{Cause, Outcome, Span, VerdictView};

/// Names that are listed before "and n more".
const LISTED: usize = 4;

/// Writes the sentence.
pub(super) fn sentence(picture: &Picture<'_>, finding: &Finding, verdict: &VerdictView) -> String {
    let mut out = String::new();
    match finding.walks.first() {
        Some(walk) => failed(&mut out, picture, walk.edge, verdict, walk.chosen_by),
        None if finding.outcome == Outcome::Unknown => out.push_str("Nobody can say how it ended"),
        None => out.push_str("Every root was answered OK"),
    }
    let names = |calls: &[crate::model::FailureView]| {
        let shown = calls.iter().take(LISTED).map(|failure| format!("{} ({})", failure.call_id, failure.callee));
        let mut text = shown.collect::<Vec<_>>().join(", ");
        if calls.len() > LISTED {
            let _ = write!(text, " and {} more", calls.len() - LISTED);
        }
        text
    };
    if !verdict.contributing.is_empty() {
        let _ = write!(out, "; contributing: {}", names(&verdict.contributing));
    }
    if !verdict.runners_up.is_empty() {
        let _ = write!(out, "; runners-up: {}", names(&verdict.runners_up));
    }
    if !verdict.tolerated.is_empty() {
        let _ = write!(out, "; tolerated: {}", names(&verdict.tolerated));
    }
    if !verdict.missing.is_empty() {
        let shown: Vec<&str> = verdict.missing.iter().take(LISTED).map(String::as_str).collect();
        let _ = write!(out, "; missing: {}", shown.join(", "));
        if verdict.missing.len() > LISTED {
            let _ = write!(out, " and {} more", verdict.missing.len() - LISTED);
        }
    }
    out.push('.');
    out
}

fn failed(out: &mut String, picture: &Picture<'_>, edge: usize, verdict: &VerdictView, chosen_by: Option<Rule>) {
    let failure = failure_of(picture, edge);
    let caller = if failure.caller.is_empty() { "?" } else { &failure.caller };
    let _ = write!(out, "{caller} -> {} {} ({})", failure.callee, failure.operation, failure.call_id);
    let seen = &picture.calls[edge];
    let took = seen.begun.zip(seen.ended_at()).map_or(Span::ZERO, |(begun, end)| end.since(begun.stamp.at));
    let because = if failure.reason.is_empty() { String::new() } else { format!(" with {}", failure.reason) };
    let _ = match verdict.cause {
        Some(Cause::Error) => write!(out, " failed{because} after {took}"),
        Some(Cause::Cancelled) => write!(out, " was cancelled{because} after {took}"),
        Some(Cause::Undeliverable) => write!(out, " was not delivered: its request became a dead letter after {took}"),
        Some(Cause::Slow) => slow(out, picture, edge),
        Some(Cause::NoResponse) => no_response(out, picture, edge, verdict.callee_active),
        None => Ok(()),
    };
    if verdict.path.len() > 1 {
        let _ = write!(out, "; from there it rose to {}", verdict.path[0]);
    }
    if seen.state != State::TimedOut && seen.children.iter().any(|&n| picture.calls[n].state.is_failed()) {
        out.push_str("; what failed inside it failed after it had");
    }
    let why = match chosen_by {
        Some(Rule::Named) => "its caller's answer names it (S3.3a)",
        Some(Rule::NotCancelled) => "the others were cancelled (S3.3b)",
        Some(Rule::SameReason) => "it has its caller's reason (S3.3c)",
        Some(Rule::NothingAfter) => "its caller began nothing after it had failed (S3.3d)",
        Some(Rule::Earliest) => "it was the earliest, which is all that tells the suspects apart (S3.3e)",
        None => return,
    };
    let _ = write!(out, "; chosen since {why}");
}

fn slow(out: &mut String, picture: &Picture<'_>, edge: usize) -> std::fmt::Result {
    let seen = &picture.calls[edge];
    let Some((begun, answer)) = seen.begun.zip(seen.decisive()) else { return write!(out, " was slow") };
    let took = answer.stamp.at.since(begun.stamp.at);
    match seen.times.deadline {
        Some(deadline) => write!(out, " answered after {took}, its limit was {}", deadline.since(begun.stamp.at)),
        None => write!(out, " answered after {took}, when its caller's time was over"),
    }
}

fn no_response(out: &mut String, picture: &Picture<'_>, edge: usize, active: bool) -> std::fmt::Result {
    let seen = &picture.calls[edge];
    match seen.begun.zip(seen.times.deadline) {
        Some((begun, deadline)) => write!(out, " did not answer within {}", deadline.since(begun.stamp.at))?,
        None => write!(out, " did not answer")?,
    }
    if active { write!(out, ", though it had begun calls of its own") } else { Ok(()) }
}
