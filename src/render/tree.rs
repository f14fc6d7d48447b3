//! A chain as a tree: what called what, when, how it ended, where the failure began, and what is done about it.

use std::fmt::Write as _;

use super::{
    forest::{Forest, Visit},
    look::{Look, Sign, Tone, columns, safe},
    marks::{Marks, Note},
    plan::plan,
    time::{instant, short},
};
use crate::model::{CallEnd, CallView, ChainView, Outcome, PlanState, StatusCode};

/// Calls that are drawn of one chain; of larger ones the rest is only counted.
pub const MAX_CALLS: usize = 2_000;

/// Columns of the widest call that is not elided.
const MAX_LABEL: usize = 52;
/// Columns of branches; deeper calls say how many levels were left out.
const MAX_GUIDE: usize = 24;
/// Columns of an id that is shown whole; of a longer one the beginning is.
const MAX_ID: usize = 14;
/// Columns of the beginning: as many as people quote of a commit.
const ID_HEAD: usize = 8;
/// Columns of the shortest operation that is worth showing.
const MIN_OPERATION: usize = 10;
/// Columns of a begin or a duration.
const TIME: usize = 7;

/// The chain as text, ended by a newline.
#[must_use]
pub fn tree(view: &ChainView, look: Look) -> String {
    let mut out = head(view, look);
    out.push('\n');
    out.push_str(&calls(view, look));
    let plan = plan(view, look);
    if !plan.is_empty() {
        out.push('\n');
        out.push_str(&plan);
    }
    out
}

/// What was decided, in two or three lines.
fn head(view: &ChainView, look: Look) -> String {
    let mut out = format!("chain {}", look.paint(Tone::Strong, &safe(&view.chain_id)));
    let Some(verdict) = &view.verdict else {
        let _ = writeln!(out, "  {}  began {}", look.paint(Tone::Warn, "undecided"), instant(view.started_at));
        return out;
    };
    let tone = match verdict.outcome {
        Outcome::Succeeded => Tone::Good,
        Outcome::Failed => Tone::Bad,
        Outcome::Unknown => Tone::Warn,
    };
    let _ = write!(out, "  {}", look.paint(tone, verdict.outcome.word()));
    if let Some(cause) = verdict.cause {
        let _ = write!(out, " ({cause})");
    }
    let _ = write!(out, "  plan: {}", look.paint(state_tone(view.state), view.state.word()));
    if !view.waits.is_empty() {
        let reasons: Vec<&str> = view.waits.iter().map(|reason| reason.word()).collect();
        let _ = write!(out, " ({})", reasons.join(", "));
    }
    let decided = short(verdict.decided_at.since(view.started_at));
    let _ =
        writeln!(out, "\nbegan {}, decided {decided} later, revision {}", instant(view.started_at), verdict.revision);
    let mut remarks: Vec<String> = verdict.anomalies.iter().map(ToString::to_string).collect();
    remarks.extend(verdict.ambiguous.then(|| "ambiguous".to_owned()));
    remarks.extend(verdict.incomplete.then(|| "incomplete".to_owned()));
    if !remarks.is_empty() {
        let _ = writeln!(out, "{}", look.paint(Tone::Warn, &remarks.join(", ")));
    }
    out.push_str(&wrap(&safe(&verdict.sentence), 0, look.width));
    out
}

/// The tone of a plan's state.
#[must_use]
pub fn state_tone(state: PlanState) -> Tone {
    match state {
        PlanState::None | PlanState::Compensated | PlanState::Completed => Tone::Good,
        PlanState::Observed | PlanState::AwaitingApproval | PlanState::Compensating => Tone::Warn,
        PlanState::NeedsOperator | PlanState::Abandoned => Tone::Bad,
    }
}

fn calls(view: &ChainView, look: Look) -> String {
    let marks = Marks::of(view);
    let visits = Forest::of(view).walk();
    let labels: Vec<String> = visits.iter().take(MAX_CALLS).map(|visit| label(visit, &marks, look)).collect();
    let width = labels.iter().map(|label| columns(label)).max().unwrap_or(0).min(MAX_LABEL);
    let mut out = String::new();
    for (visit, label) in visits.iter().zip(&labels) {
        row(&mut out, visit.call, &look.elide(label, width), width, view, &marks, look);
    }
    if visits.len() > MAX_CALLS {
        let _ = writeln!(out, "  {} {} more calls", look.sign(Sign::Elided), visits.len() - MAX_CALLS);
    }
    out
}

fn label(visit: &Visit<'_>, marks: &Marks<'_>, look: Look) -> String {
    let call = visit.call;
    let (sign, _) = sign_of(call);
    let mut out = guide(&visit.later, look);
    let _ = write!(out, "{} ", look.sign(sign));
    if visit.later.is_empty() && !call.caller.is_empty() {
        let _ = write!(out, "{} {} ", safe(&call.caller), look.sign(Sign::Arrow));
    }
    let _ = write!(out, "{}", safe(&call.callee));
    if !call.version.is_empty() {
        let _ = write!(out, "@{}", safe(&call.version));
    }
    let id = safe(&call.call_id);
    let id = match columns(&id) {
        // Where it only repeats the operation.
        _ if marks.ids_repeat => String::new(),
        ..=MAX_ID => format!(" ({id})"),
        _ => format!(" ({}{})", id.chars().take(ID_HEAD).collect::<String>(), look.sign(Sign::Elided)),
    };
    if !call.operation.is_empty() {
        let room = MAX_LABEL.saturating_sub(columns(&out) + columns(&id) + 1).max(MIN_OPERATION);
        let _ = write!(out, " {}", look.elide(&safe(&call.operation), room));
    }
    out + &id
}

fn guide(later: &[bool], look: Look) -> String {
    let mut out = String::new();
    let shown = later.len().min(MAX_GUIDE / 2);
    if later.len() > shown {
        let _ = write!(out, "{}{} ", look.sign(Sign::Elided), later.len() - shown);
    }
    for (n, &more) in later[later.len() - shown..].iter().enumerate() {
        let last = n + 1 == shown;
        out.push_str(match (last, more) {
            (true, true) => look.sign(Sign::Branch),
            (true, false) => look.sign(Sign::Corner),
            (false, true) => look.sign(Sign::Bar),
            (false, false) => " ",
        });
        out.push(' ');
    }
    out
}

fn row(out: &mut String, call: &CallView, label: &str, width: usize, view: &ChainView, marks: &Marks<'_>, look: Look) {
    let (_, tone) = sign_of(call);
    let tone = if marks.on_path(&call.call_id) { Tone::Bad } else { tone };
    let began = call.began_at.map(|at| format!("+{}", short(at.since(view.started_at)))).unwrap_or_default();
    let took = match (call.began_at, call.ended_at) {
        (Some(began), Some(ended)) => short(ended.since(began)),
        _ => String::new(),
    };
    let pad = " ".repeat(width.saturating_sub(columns(label)));
    let tone = if tone == Tone::Good { Tone::Plain } else { tone };
    let times = format!("{began:>width$}  {took:>TIME$}", width = TIME + 1);
    let _ = write!(out, "  {}{pad}  {}", look.paint(tone, label), look.paint(Tone::Dim, &times));
    let start = 2 + width + 2 + TIME + 1 + 2 + TIME;
    let mut at = start;
    for Note { tone, text } in marks.notes(call, look) {
        let text = look.elide(&text, look.width.saturating_sub(start + 2));
        if at > start && at + 2 + columns(&text) > look.width {
            let _ = write!(out, "\n{}", " ".repeat(start));
            at = start;
        }
        at += 2 + columns(&text);
        let _ = write!(out, "  {}", look.paint(tone, &text));
    }
    out.push('\n');
}

fn sign_of(call: &CallView) -> (Sign, Tone) {
    match (call.end, call.answer) {
        (CallEnd::HalfKnown, _) => (Sign::Unknown, Tone::Warn),
        (CallEnd::Open, _) => (Sign::Open, Tone::Warn),
        (CallEnd::TimedOut, _) => (Sign::Bad, Tone::Bad),
        (CallEnd::Answered, Some(StatusCode::Failed | StatusCode::Unknown | StatusCode::Cancelled)) => {
            (Sign::Bad, Tone::Bad)
        }
        (CallEnd::Answered, _) => (Sign::Good, Tone::Good),
    }
}

/// `text` broken between words into lines of at most `width` columns, each indented and ended.
#[must_use]
pub fn wrap(text: &str, indent: usize, width: usize) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent + columns(&line) + 1 + columns(word) > width {
            let _ = writeln!(out, "{}{line}", " ".repeat(indent));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(out, "{}{line}", " ".repeat(indent));
    }
    out
}
