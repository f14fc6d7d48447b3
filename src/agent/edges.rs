//! Failing edges on the terminal, one line each, as they are committed.

use std::{
    io::{self, Write as _},
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
};

use crate::{
    model::{BusTime, ChainView, Outcome, PlanItemState, PlanState},
    telemetry::metrics::Metrics,
};

/// Lines that may wait for the terminal. More are dropped and counted: a terminal that does not keep up holds up no
/// commit.
const MAX_WAITING: usize = 1_000;

/// Where committed failures are told.
#[derive(Clone)]
pub struct Printer {
    lines: mpsc::SyncSender<String>,
    metrics: Arc<Metrics>,
}

/// Starts a thread that prints.
///
/// # Errors
/// If there can be no thread.
pub fn printer(metrics: Arc<Metrics>) -> io::Result<Printer> {
    let (lines, waiting) = mpsc::sync_channel::<String>(MAX_WAITING);
    thread::Builder::new().name("edges".into()).spawn(move || {
        for line in waiting {
            // A closed pipe is no reason to stop undoing.
            let _ = writeln!(io::stdout().lock(), "{line}");
        }
    })?;
    Ok(Printer { lines, metrics })
}

impl Printer {
    /// Prints a chain that failed.
    pub fn tell(&self, view: &ChainView) {
        let Some(line) = describe(view) else { return };
        if self.lines.try_send(line).is_err() {
            self.metrics.unprinted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A failed chain in one line; `None`: it did not fail. Names from outside are shown without control characters.
#[must_use]
pub fn describe(view: &ChainView) -> Option<String> {
    let verdict = view.verdict.as_ref().filter(|verdict| verdict.outcome == Outcome::Failed)?;
    let edge = verdict.failing.as_ref()?;
    let cause = verdict.cause.map_or("", |cause| cause.word());
    let version =
        if verdict.failing_version.is_empty() { String::new() } else { format!("@{}", verdict.failing_version) };
    let reason = if edge.reason.is_empty() { String::new() } else { format!(" {}", edge.reason) };
    let line = format!(
        "{}  {} -> {}{version} {}  {cause}{reason}  chain {}  call {}{}  {}",
        time(verdict.decided_at),
        or_unknown(&edge.caller),
        or_unknown(&edge.callee),
        edge.operation,
        view.chain_id,
        edge.call_id,
        if verdict.revision > 1 { format!("  revision {}", verdict.revision) } else { String::new() },
        plan(view),
    );
    Some(line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
}

fn or_unknown(name: &str) -> &str {
    if name.is_empty() { "?" } else { name }
}

fn time(at: BusTime) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| format!("{at:.3}"))
}

fn plan(view: &ChainView) -> String {
    let to_send = |state: PlanItemState| !matches!(state, PlanItemState::Kept | PlanItemState::Withdrawn);
    let commands = view.commands.iter().filter(|command| to_send(command.state)).count();
    match (view.state, commands) {
        (PlanState::None, _) | (_, 0) => "nothing to undo".to_owned(),
        (PlanState::Observed, 1) => "1 effect would be undone".to_owned(),
        (PlanState::Observed, n) => format!("{n} effects would be undone"),
        (state, n) => format!("{n} to undo: {}", state.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::describe;
    use crate::model::{BusTime, Cause, ChainView, FailureView, Outcome, PlanState, VerdictView};

    #[test]
    fn a_failing_edge_is_one_line_whatever_its_names_hold() {
        let edge = FailureView {
            call_id: "charge".into(),
            caller: "order".into(),
            callee: "payment".into(),
            operation: "Charge\n\u{1b}[2J".into(),
            reason: "CARD_DECLINED".into(),
        };
        let verdict = VerdictView {
            outcome: Outcome::Failed,
            failing: Some(edge),
            failing_version: "3.1".into(),
            cause: Some(Cause::Error),
            callee_active: false,
            path: Vec::new(),
            contributing: Vec::new(),
            runners_up: Vec::new(),
            tolerated: Vec::new(),
            anomalies: std::collections::BTreeSet::default(),
            ambiguous: false,
            incomplete: false,
            missing: Vec::new(),
            sentence: String::new(),
            revision: 1,
            decided_at: BusTime(1_000),
        };
        let view = ChainView {
            chain_id: "c-1".into(),
            started_at: BusTime(0),
            verdict: Some(verdict),
            state: PlanState::None,
            waits: Vec::new(),
            calls: Vec::new(),
            commands: Vec::new(),
        };
        assert_eq!(
            describe(&view).unwrap(),
            "1970-01-01T00:00:01.000Z  order -> payment@3.1 Charge\u{fffd}\u{fffd}[2J  error CARD_DECLINED  chain c-1  \
             call charge  nothing to undo"
        );
    }
}
