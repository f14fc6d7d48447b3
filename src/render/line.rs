//! A chain as one line for people.

use super::{
    json::{ChainLine, FailureLine},
    look::{Look, Sign, Tone, columns, safe},
    table::{Cell, Table},
};

/// Columns in which a chain is described, at least, however long its id is.
const DESCRIPTION: usize = 48;
/// Failures that are named of a list.
const NAMED: usize = 2;

/// Whether there is more to say of a chain than that it succeeded.
#[must_use]
pub fn is_notable(chain: &ChainLine) -> bool {
    chain.outcome != "succeeded"
        || chain.state != "none"
        || chain.incomplete
        || !chain.anomalies.is_empty()
        || !chain.tolerated.is_empty()
}

/// The line, without its end: how the chain ended, what there is to say of it, and its id, whole, since that is what
/// `--explain` takes.
#[must_use]
pub fn line(chain: &ChainLine, look: Look) -> String {
    let (sign, tone) = match chain.outcome {
        "succeeded" => (Sign::Good, Tone::Good),
        "failed" => (Sign::Bad, Tone::Bad),
        _ => (Sign::Unknown, Tone::Warn),
    };
    let id = safe(&chain.chain_id);
    let sign = look.sign(sign);
    let width = look.width.saturating_sub(columns(sign) + columns(&id) + 3).max(DESCRIPTION);
    let mut description = Table::default();
    description.row(parts(chain, look).into_iter().map(|(tone, text)| Cell::left(tone, text)).collect());
    let description = description.lines(Look { width, ..look }, 0);
    // Colours take no columns, so the padding is counted on the text without them.
    let mut plain = Table::default();
    plain.row(parts(chain, look).into_iter().map(|(_, text)| Cell::left(Tone::Plain, text)).collect());
    let taken = columns(plain.lines(Look { width, ..look }, 0).trim_end());
    let pad = " ".repeat(width.saturating_sub(taken));
    format!("{} {}{pad}  {}", look.paint(tone, sign), description.trim_end(), look.paint(Tone::Dim, &id))
}

fn parts(chain: &ChainLine, look: Look) -> Vec<(Tone, String)> {
    let mut parts = Vec::new();
    if chain.failing_edge.is_none() && (chain.outcome != "succeeded" || !is_notable(chain)) {
        parts.push((Tone::Plain, chain.outcome.to_owned()));
    }
    if let Some(edge) = &chain.failing_edge {
        let arrow = look.sign(Sign::Arrow);
        let caller = if edge.caller.is_empty() { "?" } else { &edge.caller };
        parts
            .push((Tone::Strong, format!("{} {arrow} {} {}", safe(caller), safe(&edge.callee), safe(&edge.operation))));
    }
    if let Some(cause) = chain.cause {
        parts.push((Tone::Plain, cause.to_owned()));
    }
    if !chain.tolerated.is_empty() {
        parts.push((Tone::Warn, format!("tolerated {}", named(&chain.tolerated))));
    }
    if !chain.anomalies.is_empty() {
        parts.push((Tone::Warn, chain.anomalies.join(", ")));
    }
    for (flag, word) in [(chain.ambiguous, "ambiguous"), (chain.incomplete, "incomplete")] {
        if flag {
            parts.push((Tone::Warn, word.to_owned()));
        }
    }
    if chain.state != "none" {
        let plan = match chain.commands.len() {
            0 => chain.state.to_owned(),
            1 => format!("{} (1 command)", chain.state),
            n => format!("{} ({n} commands)", chain.state),
        };
        parts.push((Tone::Plain, plan));
    }
    parts
}

fn named(failures: &[FailureLine]) -> String {
    let one = |failure: &FailureLine| {
        let reason = if failure.reason.is_empty() { String::new() } else { format!(" ({})", safe(&failure.reason)) };
        format!("{}{reason}", safe(&failure.callee))
    };
    let mut text = failures.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ");
    if failures.len() > NAMED {
        text.push_str(&format!(" and {} more", failures.len() - NAMED));
    }
    text
}
